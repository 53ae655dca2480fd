//! What the executor tells the [`Recorder`], if the runtime records a timeline.
//!
//! All of this is cold, so that other runtimes pay for none of it: a poll checks whether it is
//! [observed](Executor::begin_poll), and a wake finds out with the flag that it reads anyway.

use super::Executor;
use super::id::Id;
use super::primitive::{Lines, View};
use super::status::increment;
use super::waits::{Declared, Subject, Waits};
use super::waker::TaskWaker;
use crate::clock::Stamp;
use crate::timeline::event::{Outcome, Reason};
use crate::timeline::recorder::Recorder;
use crate::timeline::tables;
use crate::waiter::{Tag, WaiterInfo};
use std::collections::HashMap;
use std::panic::Location;
use std::sync::Arc;

impl Executor {
    /// Returns the task that is being polled.
    fn polled_task(&self) -> Option<u32> {
        self.current_tag().parts().map(|(task, _poll)| task)
    }

    /// Notes that a poll begins.
    pub(super) fn record_begin(&self, task: u32, waker: &TaskWaker) {
        if let Some(recorder) = &self.recorder {
            waker.flags.record();
            recorder.begin_poll(task);
        }
    }

    /// Notes that a poll has ended.
    pub(super) fn record_end(&self, is_ready: bool) {
        if let (Some(recorder), Some(task)) = (&self.recorder, self.polled_task()) {
            recorder.end_poll(task, is_ready);
        }
    }

    /// Notes that a poll ends its task without an output.
    pub(super) fn record_outcome(&self, outcome: Outcome) {
        if let Some(recorder) = &self.recorder {
            recorder.set_outcome(outcome);
        }
    }

    /// Wakes a task on this thread, and records that, unless the task is in the run queue.
    pub(super) fn wake_recorded(&self, waker: &TaskWaker) {
        if waker.flags.wake_recorded() {
            self.record_wake(waker.task());
            increment(&self.counters.local_wakes);
            self.push(waker.key());
        }
    }

    /// Notes that a task was woken on this thread.
    #[cold]
    #[inline(never)]
    pub(super) fn record_wake(&self, task: u32) {
        if let Some(recorder) = &self.recorder {
            recorder.woken(task, self.polled_task());
        }
    }

    /// Notes that a task was aborted on this thread, and has to be polled for that.
    pub(super) fn record_abort(&self, task: u32) {
        if let Some(recorder) = &self.recorder {
            recorder.aborted(task, self.polled_task());
        }
    }

    /// Notes that a task was spawned.
    #[cold]
    #[inline(never)]
    pub(super) fn record_spawn(
        &self,
        id: Id,
        name: Option<&str>,
        location: &'static Location<'static>,
    ) {
        if let Some(recorder) = &self.recorder {
            recorder.spawned(id.low(), self.polled_task(), name, location, None);
        }
    }

    /// Notes that the child of a scope was spawned.
    pub(super) fn record_child(&self, id: Id, parent: u32, location: &'static Location<'static>) {
        if let Some(recorder) = &self.recorder {
            let by = self.polled_task();
            recorder.spawned(id.low(), by, None, location, Some(parent));
        }
    }

    /// Notes that the task that is being polled waits for the end of another.
    #[inline]
    pub(crate) fn record_join(&self, tag: Tag, task: u32) {
        if let (Some(recorder), Some((waiting, _))) = (&self.recorder, tag.parts()) {
            recorder.waits(waiting, Reason::Task(task));
        }
    }
}

impl Waits {
    /// Notes that the task with this tag waits for something that it has declared.
    #[cold]
    #[inline(never)]
    pub(super) fn record(recorder: &Recorder, waiter: WaiterInfo, subject: &Subject) {
        let Some((task, _)) = waiter.tag.parts() else {
            return;
        };
        match subject {
            Subject::Label(label) => recorder.waits_for_label(task, label),
            Subject::Primitive(primitive, kind) => {
                let address = Arc::as_ptr(primitive).addr();
                let described = tables::Subject::Primitive(address, *kind);
                recorder.waits_for(task, &described, || {
                    let pin = Box::new(Arc::downgrade(primitive));
                    (describe(waiter, subject), Some(pin))
                });
            }
        }
    }
}

/// Describes the subject of a wait for a primitive, without its state, which changes.
fn describe(waiter: WaiterInfo, subject: &Subject) -> String {
    let Subject::Primitive(primitive, _) = subject else {
        return String::new();
    };
    let wait = Declared {
        waiter,
        subject: subject.clone(),
        location: None,
        depth: 0,
        number: 0,
        since: Stamp::default(),
        trace: None,
    };
    let view = View {
        runtime: 0,
        now: Stamp::default(),
        waiting: None,
        tasks: HashMap::new(),
        waits: Lines::default(),
        other: |_| None,
        other_task: |_, _| None,
    };
    without_counts(primitive.describe(&wait, &view).subject)
}

/// Removes the counts at the end of a subject: `permit of "db" (0 of 3 free)`.
fn without_counts(mut subject: String) -> String {
    let end = subject.strip_suffix(')').and_then(|rest| rest.rfind(" ("));
    if let Some(end) = end
        && subject[end + 2..].starts_with(|c: char| c.is_ascii_digit())
    {
        subject.truncate(end);
    }
    subject
}
