//! Who waits: a waker together with the task that left it.
//!
//! Reactor, timers and join handles keep waiters. To them the tag means nothing; it is there for
//! the eyes of whoever asks what a task is waiting for.

use std::fmt;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;

/// Which task left a waker, and in which of its polls.
///
/// It is read off the thread and not off the waker, since combinators wrap wakers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tag {
    /// The low half of the task's id; `OUTSIDE` if no task of a runtime was being polled.
    task: u32,
    /// Which of that task's polls it was (modulo 2³²).
    poll: u32,
}

/// The `task` of a waiter that was left by something other than a task.
const OUTSIDE: u32 = u32::MAX;

impl Tag {
    /// Left by something that is no task of a runtime on this thread.
    pub(crate) const NONE: Tag = Tag {
        task: OUTSIDE,
        poll: 0,
    };

    /// Left by the task of this id in this poll.
    pub(crate) fn new(task: u64, poll: u32) -> Tag {
        Tag {
            // Two tasks four thousand million apart may share a tag; then a report names two
            // tasks instead of one, which is worth eight bytes in every waiter.
            task: task as u32,
            poll,
        }
    }

    /// Both numbers in one.
    pub(crate) fn number(self) -> u64 {
        u64::from(self.task) << 32 | u64::from(self.poll)
    }

    /// The tag of such a number.
    pub(crate) fn from_number(number: u64) -> Tag {
        Tag {
            task: (number >> 32) as u32,
            poll: number as u32,
        }
    }

    /// Which task it was, and in which of its polls. `None`: something that is no task.
    pub(crate) fn who(self) -> Option<(u32, u32)> {
        (self != Tag::NONE).then_some((self.task, self.poll))
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Tag::NONE => f.write_str("outside any task"),
            Tag { task: 0, poll } => write!(f, "main (poll {poll})"),
            Tag { task, poll } => write!(f, "task {task} (poll {poll})"),
        }
    }
}

/// A waker and its tag.
pub(crate) struct Waiter {
    /// What to wake.
    pub(crate) waker: Waker,
    /// Who left it.
    pub(crate) tag: Tag,
}

/// A waiter as it is seen by somebody who only looks.
#[derive(Clone, Copy)]
pub(crate) struct Seen {
    /// Who left it.
    pub(crate) tag: Tag,
    /// What tells its waker from others: clones of one have the same.
    pub(crate) waker: usize,
}

impl Waiter {
    /// What is to be seen of it.
    pub(crate) fn look(&self) -> Seen {
        Seen {
            tag: self.tag,
            waker: self.waker.data() as usize,
        }
    }
}

impl fmt::Debug for Waiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tag.fmt(f)
    }
}

/// Runs foreign code that must not stop what comes after it; a panic is logged and goes no further.
pub(crate) fn shielded(what: &str, foreign: impl FnOnce()) {
    let Err(payload) = catch_unwind(AssertUnwindSafe(foreign)) else {
        return;
    };
    muffled(|| {
        // The logger is foreign too, and so is the payload's drop.
        log::error!(target: "glassfrog::task", "{what} panicked: {}", panic_message(&*payload));
        drop(payload);
    });
}

/// Runs foreign code of whose panic there is nobody left to tell, such as the logger.
pub(crate) fn muffled(foreign: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(foreign)) {
        // Its drop might panic once more, and so on.
        mem::forget(payload);
    }
}

/// Logs a step at `trace`, so that a logger that panics does no harm. Where nobody listens it costs a
/// comparison.
macro_rules! trace {
    ($target:literal, $($what:tt)+) => {
        if log::max_level() == log::LevelFilter::Trace {
            $crate::waiter::muffled(|| log::trace!(target: $target, $($what)+));
        }
    };
}

pub(crate) use trace;

/// Wakes each of them, whatever the others do. The caller holds no lock and no borrow.
pub(crate) fn wake_all(wakers: impl IntoIterator<Item = Waker>) {
    for waker in wakers {
        shielded("a waker", || waker.wake());
    }
}

/// The text that a panic carries, as far as it carries one.
pub(crate) fn panic_message(payload: &(dyn std::any::Any + Send)) -> &str {
    if let Some(text) = payload.downcast_ref::<&'static str>() {
        text
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text
    } else {
        "(a payload that is not text)"
    }
}
