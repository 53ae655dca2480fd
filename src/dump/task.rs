//! [`TaskDump`]: a task in a dump.

use super::{Loose, Wait, What};
use std::panic::Location;
use std::time::Duration;

/// A task in a [`Dump`](super::Dump): a spawned task, the future of `block_on`, or the child of a scope.
///
/// # Examples
///
/// ```
/// use glassfrog::dump::TaskState;
/// use glassfrog::task;
///
/// glassfrog::block_on(async {
///     task::Builder::new().name("stuck").spawn(std::future::pending::<()>());
///     task::yield_now().await;
///     let dump = task::dump();
///     let stuck = dump.find_by_name("stuck").unwrap();
///     assert_eq!((stuck.id(), stuck.polls()), (1, 1));
///     assert_eq!(stuck.state(), TaskState::Waiting);
///     assert_eq!(stuck.location().unwrap().file(), file!());
/// });
/// ```
#[derive(Clone, Debug)]
pub struct TaskDump {
    /// The id of the task; 0 for the root future.
    pub(crate) id: u64,
    /// The name of the task, if it has one.
    pub(crate) name: Option<Box<str>>,
    /// Where the task was spawned or, for the root future, where `block_on` was called.
    pub(crate) location: Option<&'static Location<'static>>,
    /// The task under which this one is listed, and the reason.
    pub(crate) under: Option<(u64, Under)>,
    /// The depth of the task in the tree.
    pub(crate) depth: usize,
    /// The time since the task was spawned. The root future was not spawned.
    pub(crate) age: Option<Duration>,
    /// The time since the last poll of the task.
    pub(crate) idle: Duration,
    /// The number of polls of the task.
    pub(crate) polls: u32,
    /// The state of the task.
    pub(crate) state: TaskState,
    /// The waits of the task, oldest first.
    pub(crate) waits: Vec<Wait>,
    /// How often the task was polled in a second lately, if that is known.
    pub(crate) polls_per_second: Option<f64>,
    /// How many sockets the task has opened in a second lately, if that is known.
    pub(crate) sockets_per_second: Option<f64>,
    /// What may wake or end the task besides its waits.
    pub(crate) loose: Loose,
}

impl TaskDump {
    /// Returns the id of the task; 0 for the future of `block_on`.
    ///
    /// An [`Id`](crate::task::Id) converts into this number.
    ///
    /// # Examples
    ///
    /// See [`Dump::tasks`](super::Dump::tasks).
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Returns the name of the task, if it has one.
    ///
    /// # Examples
    ///
    /// See [`Dump::circles`](super::Dump::circles).
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Returns the place where the task was spawned or, for the root future, where `block_on` was called.
    ///
    /// # Examples
    ///
    /// See [`TaskDump`].
    pub fn location(&self) -> Option<&'static Location<'static>> {
        self.location
    }

    /// Returns the state of the task.
    ///
    /// # Examples
    ///
    /// See [`TaskDump`].
    pub fn state(&self) -> TaskState {
        self.state
    }

    /// Returns the number of polls of the task (modulo 2³²).
    ///
    /// # Examples
    ///
    /// See [`TaskDump`].
    pub fn polls(&self) -> u32 {
        self.polls
    }

    /// Returns how often the task was polled in a second lately: on average over one to two seconds if the loop is busy,
    /// and over a longer time if it is not.
    ///
    /// Returns `None` in the first second of a runtime, under a virtual clock, and if the task has finished. In the text
    /// of the dump, a task that is polled at least 100 times a second has this rate: a task that retries in a loop, for
    /// example. A task that is polled often but does not get on is also [reported](crate::task#spinning).
    ///
    /// # Precision
    ///
    /// Up to 31 polls of a task before that time may be counted too. If more than 16,384 tasks have been polled as often
    /// as that, the rate is known only for those that have been polled most.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::task;
    /// use glassfrog::time::sleep;
    /// use std::time::Duration;
    ///
    /// glassfrog::block_on(async {
    ///     let retries = task::Builder::new().name("retries").spawn(async {
    ///         loop {
    ///             // Tries something.
    ///             sleep(Duration::from_millis(1)).await;
    ///         }
    ///     });
    ///     sleep(Duration::from_millis(1100)).await;
    ///     let dump = task::dump();
    ///     let rate = dump.find_by_name("retries").unwrap().polls_per_second();
    ///     println!("it tries {:.0} times a second", rate.unwrap());
    ///     retries.abort();
    /// });
    /// ```
    pub fn polls_per_second(&self) -> Option<f64> {
        self.polls_per_second
    }

    /// Returns how many sockets the task has opened or accepted in a second lately: in the same time as
    /// [`polls_per_second`](TaskDump::polls_per_second).
    ///
    /// Returns `None` in the first second of a runtime, and under a virtual clock. In the text of the dump, a task that
    /// opens at least 20 sockets a second has this rate, which shows a storm of retries.
    ///
    /// # Precision
    ///
    /// The runtime remembers which tasks have opened its 1024 newest sockets. If there were more, the rate is that of the
    /// tasks' shares among these.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::net::UdpSocket;
    /// use glassfrog::task;
    /// use glassfrog::time::sleep;
    /// use std::time::Duration;
    ///
    /// glassfrog::block_on(async {
    ///     for _ in 0..100 {
    ///         UdpSocket::bind("127.0.0.1:0").await?;
    ///     }
    ///     sleep(Duration::from_millis(1100)).await;
    ///     let dump = task::dump();
    ///     assert!(dump.tasks()[0].sockets_per_second() > Some(1.0));
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn sockets_per_second(&self) -> Option<f64> {
        self.sockets_per_second
    }

    /// Returns the time since the task was spawned; `None` for the future of `block_on`.
    ///
    /// # Precision
    ///
    /// The time is within 17 ms of the true one.
    ///
    /// # Examples
    ///
    /// See [`TaskDump::idle`].
    pub fn age(&self) -> Option<Duration> {
        self.age
    }

    /// Returns the time since the last poll of the task, or since its spawn if it was not polled.
    ///
    /// # Precision
    ///
    /// The time is within 17 ms of the true one.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::task;
    /// use glassfrog::time::sleep;
    /// use std::time::Duration;
    ///
    /// let runtime = glassfrog::Runtime::builder().virtual_clock().build()?;
    /// runtime.block_on(async {
    ///     task::Builder::new().name("sleeper").spawn(sleep(Duration::from_secs(60)));
    ///     sleep(Duration::from_secs(5)).await;
    ///     let dump = task::dump();
    ///     let sleeper = dump.find_by_name("sleeper").unwrap();
    ///     assert!(sleeper.idle() > Duration::from_millis(4950));
    ///     assert!(sleeper.age() >= Some(sleeper.idle()));
    /// });
    /// # std::io::Result::Ok(())
    /// ```
    pub fn idle(&self) -> Duration {
        self.idle
    }

    /// Returns the waits of the task, oldest first.
    ///
    /// # Examples
    ///
    /// See [`Wait`].
    pub fn waits(&self) -> &[Wait] {
        &self.waits
    }

    /// Displays what the task does, after its name: `, which waits for lock "index" (made at src/main.rs:7) at
    /// src/worker.rs:15`.
    pub(crate) fn doing(&self) -> String {
        let is_open = |wait: &&Wait| !matches!(wait.what, What::Kept(_));
        let waits = || self.waits.iter().filter(is_open);
        let wait = waits().find(|wait| wait.poll == self.polls);
        let wait = match (self.state, wait.or_else(|| waits().next())) {
            (TaskState::Running, _) => return String::from(", which is running"),
            (TaskState::Ready, _) => return String::from(", which is ready to run"),
            (TaskState::Finished, _) => return String::from(", which has finished"),
            (TaskState::Waiting, None) => return String::new(),
            (TaskState::Waiting, Some(wait)) => wait,
        };
        match (&wait.what, wait.location) {
            (What::Sync { subject, .. }, Some(at)) => {
                let (file, line) = (at.file(), at.line());
                format!(", which waits for {subject} at {file}:{line}")
            }
            (What::Sync { subject, .. }, None) => format!(", which waits for {subject}"),
            _ => format!(", which waits for {}{}", wait.what, wait.place()),
        }
    }

    /// Returns the id of the task that awaits this one, if there is one.
    ///
    /// # Examples
    ///
    /// See [`Wait::blocked_by`].
    pub fn joined_by(&self) -> Option<u64> {
        self.under(Under::Joined)
    }

    /// Returns the id of the task in whose scope this is a child, if it is one.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::task::{self, scope};
    ///
    /// glassfrog::block_on(scope(async |s| {
    ///     let dump = s.spawn(async { task::dump() }).await;
    ///     let child = dump.tasks().last().unwrap();
    ///     // The scope belongs to `main`.
    ///     assert_eq!(child.child_of(), Some(0));
    /// }));
    /// ```
    pub fn child_of(&self) -> Option<u64> {
        self.under(Under::Scope)
    }

    /// Returns how long the longest wait of the task has lasted: since it was declared, or else since the last poll.
    pub(super) fn longest(&self) -> Duration {
        let lasted = self.waits.iter().filter_map(|wait| wait.lasted);
        lasted.fold(self.idle, Duration::max)
    }

    /// Returns the id of the task under which this one is listed for this reason.
    fn under(&self, reason: Under) -> Option<u64> {
        let (task, _) = self.under.filter(|(_, why)| *why == reason)?;
        Some(task)
    }
}

/// The state of a task in a [`Dump`](super::Dump).
///
/// # Examples
///
/// See [`TaskDump`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TaskState {
    /// The task is being polled.
    Running,
    /// The task is in the run queue, or about to be.
    Ready,
    /// The task waits to be woken.
    Waiting,
    /// The task has ended, and nothing has taken its output from its handle.
    Finished,
}

impl TaskState {
    /// Returns the word for the state in the text and the JSON.
    pub(super) fn word(self) -> &'static str {
        match self {
            TaskState::Running => "running",
            TaskState::Ready => "ready",
            TaskState::Waiting => "waiting",
            TaskState::Finished => "finished",
        }
    }
}

/// The reason why a task is listed under another task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Under {
    /// The other task awaits this one.
    Joined,
    /// This is a child in a scope of the other task.
    Scope,
}
