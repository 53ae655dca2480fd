//! [`Waiter`]: a waker, and a tag that names the task that left it.
//!
//! The reactor, the timers and the executor keep waiters, and call only the wakers. The tags are for dumps, which
//! show what each task waits for.

use std::fmt;
use std::task::Waker;

/// The task that left a waker, and the poll in which the task left it.
///
/// The tag comes from the thread that polls the task, not from the waker, because combinators wrap wakers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tag(
    /// The low half of the task's id, [`OUTSIDE`] outside a task, in the high half; the number of the poll, counted from
    /// 1 (modulo 2³²), in the low half. One number is moved and shown to other threads at once.
    u64,
);

/// The task of a waiter that was not left by a task of this runtime.
const OUTSIDE: u32 = u32::MAX;

impl Tag {
    /// The tag outside a task.
    pub(crate) const NONE: Tag = Tag((OUTSIDE as u64) << 32);

    /// Creates the tag of a task in one of its polls.
    pub(crate) fn new(task: u64, poll: u32) -> Tag {
        // Two tasks whose ids differ by a multiple of 2³² have the same tags, and a dump may confuse them. This saves
        // eight bytes in every waiter.
        Tag(task << 32 | u64::from(poll))
    }

    /// Returns the tag as one number.
    pub(crate) const fn number(self) -> u64 {
        self.0
    }

    /// Creates the tag with this number.
    pub(crate) fn from_number(number: u64) -> Tag {
        Tag(number)
    }

    /// Returns the low half of the task's id and the number of the poll, or `None` outside a task.
    pub(crate) fn parts(self) -> Option<(u32, u32)> {
        (self != Tag::NONE).then_some(((self.0 >> 32) as u32, self.0 as u32))
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.parts() {
            None => f.write_str("outside any task"),
            Some((0, poll)) => write!(f, "main (poll {poll})"),
            Some((task, poll)) => write!(f, "task {task} (poll {poll})"),
        }
    }
}

/// A waker and its tag.
pub(crate) struct Waiter {
    /// The waker.
    pub(crate) waker: Waker,
    /// The task that left the waker.
    pub(crate) tag: Tag,
}

/// The parts of a waiter that a dump needs.
#[derive(Clone, Copy)]
pub(crate) struct WaiterInfo {
    /// The task that left the waker.
    pub(crate) tag: Tag,
    /// The identity of the waker, which all clones of a waker share.
    pub(crate) waker: usize,
}

impl Waiter {
    /// Returns the parts of the waiter that a dump needs.
    pub(crate) fn info(&self) -> WaiterInfo {
        WaiterInfo {
            tag: self.tag,
            waker: self.waker.data() as usize,
        }
    }
}

/// How often a task has begun the same wait, and how the waits have ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tries {
    /// How often the task has dropped the wait before it completed.
    pub(crate) given_up: u32,
    /// How often the wait has completed since the task dropped it first.
    pub(crate) completed: u32,
}

impl Tries {
    /// Returns how often the wait was given up, and how often it has completed.
    pub(crate) fn parts(self) -> (u32, u32) {
        (self.given_up, self.completed)
    }

    /// Counts a wait that was dropped before it completed.
    pub(crate) fn give_up(&mut self) {
        self.given_up = self.given_up.saturating_add(1);
    }

    /// Counts a wait that has completed.
    pub(crate) fn complete(&mut self) {
        self.completed = self.completed.saturating_add(1);
    }

    /// Records that the wait that seemed to have completed was only a part of one.
    pub(crate) fn continue_last(&mut self) {
        self.completed = self.completed.saturating_sub(1);
    }
}

impl fmt::Debug for Waiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tag.fmt(f)
    }
}
