//! What stands for the module `timeline` without the feature `timeline`: nothing is recorded.
//!
//! The other modules are the same with and without the feature. They find no recorder, and because a [`Recorder`] cannot
//! exist, the compiler removes whatever they would do with one.
//!
//! [`Recorder`]: recorder::Recorder

/// What stands for `event.rs`.
pub(crate) mod event {
    /// What a poll did to the task.
    #[derive(Clone, Copy, Debug)]
    pub(crate) enum Outcome {
        /// The task has to be woken before its next poll.
        Pending,
        /// The task has ended.
        Ready,
        /// The task has panicked.
        Panicked,
        /// The task was aborted.
        Aborted,
    }

    /// What a task waits for.
    #[derive(Clone, Copy, Debug)]
    #[cfg_attr(not(feature = "timeline"), expect(dead_code, reason = "never read"))]
    pub(crate) enum Reason {
        /// The end of a task.
        Task(u32),
        /// The end of a blocking job.
        Job(u32),
        /// The children of a scope.
        Children,
    }
}

/// What stands for `tables.rs`.
pub(crate) mod tables {
    /// What a text describes.
    #[derive(Clone, Copy, Debug)]
    #[cfg_attr(not(feature = "timeline"), expect(dead_code, reason = "never read"))]
    pub(crate) enum Subject {
        /// The operations of a socket in one direction.
        Socket(u64, bool),
        /// The standard stream with this number.
        Stream(u64),
        /// The primitive of `sync` at this address, and the kind of the wait.
        Primitive(usize, u32),
    }

    /// Keeps an address from being used again.
    pub(crate) type Pin = Box<dyn Send + Sync>;
}

/// What stands for `output.rs`.
pub(crate) mod output {
    use super::recorder::Recorder;
    use std::path::Path;
    use std::sync::Arc;

    /// A file, which there is not.
    #[derive(Debug)]
    pub(crate) enum Output {}

    impl Output {
        /// Returns `None`.
        pub(crate) fn by_environment() -> Option<Arc<Output>> {
            None
        }
    }

    /// A file that only a recorder can write.
    pub(crate) struct RareFile;

    impl RareFile {
        /// Creates the file that nothing writes.
        pub(crate) fn new(_path: &Path) -> RareFile {
            RareFile
        }

        /// Cannot be called.
        pub(crate) fn write(&mut self, recorder: &Recorder) {
            match *recorder {}
        }
    }
}

/// What stands for `test_file.rs`.
#[cfg(feature = "macros")]
pub(crate) mod test_file {
    use super::recorder::Recorder;

    /// The file of a test, which there is not.
    #[derive(Debug)]
    pub(crate) enum TestFile {}

    impl TestFile {
        /// Returns `None`.
        pub(crate) fn of(_test: &str) -> Option<TestFile> {
            None
        }

        /// Cannot be called.
        pub(crate) fn write(&self, _recorder: Option<&Recorder>) -> String {
            match *self {}
        }
    }
}

/// What stands for `recorder.rs`.
pub(crate) mod recorder {
    use super::event::{Outcome, Reason};
    use super::output::Output;
    use super::tables::{Pin, Subject};
    use crate::clock::Clock;
    use crate::waiter::Tag;
    use std::panic::Location;
    use std::sync::Arc;
    use std::time::Instant;

    /// A recorder, which there is not.
    #[derive(Debug)]
    pub(crate) enum Recorder {}

    impl Recorder {
        /// Returns `None`.
        pub(crate) fn start(
            _events: Option<usize>,
            _clock: &Clock,
            _epoch: Instant,
            _worker: Option<usize>,
            _output: Option<Arc<Output>>,
        ) -> Option<Arc<Recorder>> {
            None
        }

        /// Calls nothing: no job is recorded.
        pub(crate) fn of_job(_f: impl FnOnce(&Recorder)) {}
    }

    impl Recorder {
        /// Cannot be called.
        #[cfg_attr(not(feature = "sim"), expect(dead_code))]
        pub(crate) fn begin_events(&self) {
            match *self {}
        }
    }

    /// Defines methods that cannot be called.
    macro_rules! never {
        ($($name:ident($($argument:ident: $type:ty),*) $(-> $output:ty)?;)+) => {
            impl Recorder {
                $(
                    /// Cannot be called.
                    pub(crate) fn $name(&self, $($argument: $type),*) $(-> $output)? {
                        match *self {}
                    }
                )+
            }
        };
    }

    never! {
        set_root(_place: Option<&'static Location<'static>>);
        begin_run();
        end_other();
        begin_park();
        end_park();
        ready(_key: u64, _is_write: bool);
        fired(_count: usize);
        spawned(_task: u32, _by: Option<u32>, _name: Option<&str>, _place: &'static Location<'static>, _parent: Option<u32>);
        begin_poll(_task: u32);
        set_outcome(_outcome: Outcome);
        end_poll(_task: u32, _is_ready: bool);
        end_unwound_poll();
        begin_child() -> u64;
        polled(_task: u32, _began: u64, _outcome: Outcome) -> u64;
        dropped(_child: u32);
        woken(_task: u32, _by: Option<u32>);
        aborted(_task: u32, _by: Option<u32>);
        waits(_task: u32, _reason: Reason);
        waits_until(_tag: Tag, _deadline: Instant);
        waits_for(_task: u32, _subject: &Subject, _describe: impl FnOnce() -> (String, Option<Pin>));
        waits_for_label(_task: u32, _label: &str);
        name(_subject: Subject, _text: String);
        rename(_subject: &Subject);
        woken_outside(_task: u32);
        queued(_is_loop: bool, _job: (u32, Option<u32>), _is_lookup: bool, _name: Option<&str>, _place: &'static Location<'static>);
        marked(_is_loop: bool, _task: Option<u32>, _text: &str);
        write();
        finish();
    }

    /// A job that is not recorded.
    pub(crate) struct RecordedJob;

    impl RecordedJob {
        /// Creates the job.
        pub(crate) fn new(_recorder: Option<&Arc<Recorder>>, _job: u32) -> RecordedJob {
            RecordedJob
        }

        /// Does nothing.
        pub(crate) fn begin(&self) -> Option<Recorder> {
            None
        }

        /// Does nothing.
        pub(crate) fn end(&mut self) {}
    }
}

/// What stands for `simulation.rs`.
#[cfg(feature = "sim")]
pub(crate) mod simulation {
    use super::recorder::Recorder;
    use crate::clock::Clock;
    use std::fmt;
    use std::sync::Arc;
    use std::time::Instant;

    /// What became of a segment.
    #[derive(Clone, Copy, Debug)]
    #[cfg_attr(not(feature = "timeline"), expect(dead_code, reason = "never read"))]
    pub(crate) enum Fate {
        /// It arrived at this time.
        Arrived(u64),
        /// It was lost at this time.
        Lost(u64),
        /// It was on its way when the simulation ended.
        OnItsWay,
    }

    /// The recorder of a simulation, which there is not.
    #[derive(Debug)]
    pub(crate) enum SimulationRecorder {}

    impl SimulationRecorder {
        /// Returns `None`.
        pub(crate) fn by_environment(
            _truth: Clock,
            _zero: Instant,
            _seed: u64,
        ) -> Option<Arc<SimulationRecorder>> {
            None
        }

        /// Cannot be called.
        pub(crate) fn host(&self, _host: u32, _name: &str, _clock: Clock) -> Arc<Recorder> {
            match *self {}
        }

        /// Cannot be called.
        pub(crate) fn segment(
            &self,
            _hosts: (u32, u32),
            _sent: u64,
            _fate: Fate,
            _label: impl fmt::Display,
        ) {
            match *self {}
        }

        /// Cannot be called.
        pub(crate) fn clear_on_their_way(&self) {
            match *self {}
        }

        /// Cannot be called.
        pub(crate) fn fault(&self, _hosts: Option<(u32, u32)>, _text: impl fmt::Display) {
            match *self {}
        }

        /// Cannot be called.
        pub(crate) fn write(&self, _test: Option<&str>, _has_failed: bool) -> Option<String> {
            match *self {}
        }
    }
}

/// What stands for `signals.rs`.
#[cfg(all(unix, feature = "signal"))]
pub(crate) mod signals {
    /// Does nothing.
    pub(crate) fn leave_to_program(_signal: i32) {}
}
