//! [`Attempts`]: how often the tasks have begun an operation on a descriptor and dropped it before it completed.
//!
//! [`Attempted`] keeps this record from the first operation that was given up until the descriptor is closed, and dumps
//! show it. A descriptor without such operations has none. Its operations test one bit of the word that
//! [`Readiness`](super::readiness::Readiness) has loaded anyway, and a read that has to wait stores one number.
//!
//! An async method counts exactly, because dropping its future removes its waiter. `poll_read` has no such hook: a
//! combinator like `read_exact` polls it, and nothing reports that the combinator was dropped. But a future that still
//! waits polls with the buffer of its last poll. So a read was given up if the same task polls next with another buffer:
//!
//! ```text
//!    read_exact(16 bytes)     poll_read(buf + 0)   4 bytes
//!                             poll_read(buf + 4)   pending
//!    dropped by a select
//!    read_exact(16 bytes)     poll_read(buf + 0)   another buffer: the 4 bytes are lost
//! ```
//!
//! - A poll with the same buffer continues the same read. If a read is given up before it has read anything, and the next
//!   one uses the same buffer, nothing is lost, and nothing is counted.
//! - A poll with the rest of the buffer, after a short read, continues the same `read_exact`. The short read then does
//!   not count as completed.
//! - If two futures of a task read by turns, each finds the buffer of the other. The second poll with the earlier
//!   buffer reveals them, and their task is not counted any more.

use super::waiters::Direction;
use crate::primitives::{Mutex, lock};
use crate::waiter::Tries;
use std::cell::Cell;
use std::collections::HashMap;

thread_local! {
    /// Whether the reads on this thread use a buffer that other futures use too. Another buffer in the next poll then
    /// does not show that a read was given up.
    pub(crate) static IS_SHARED: Cell<bool> = const { Cell::new(false) };
}

/// The number of tasks whose attempts a direction of a descriptor keeps. Rarely do more tasks use the same one, and a
/// search among so few is as fast as hashing.
const MOST_TASKS: usize = 8;

/// A buffer of `poll_read`, which identifies the read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Buffer {
    /// The low half of the address of its first byte, which distinguishes buffers well enough; or 0 if the operation is
    /// not such a read. A buffer whose address has this low half by chance says nothing about its read.
    pub(crate) address: u32,
    /// Its length.
    pub(crate) length: usize,
}

impl Buffer {
    /// The buffer of an operation that is not a `poll_read`, or whose buffer says nothing about it.
    pub(crate) const NONE: Buffer = Buffer {
        address: 0,
        length: 0,
    };

    /// Returns the buffer of a `poll_read`, which is not empty.
    #[inline(always)]
    pub(crate) fn of(bytes: &[u8]) -> Buffer {
        Buffer {
            address: bytes.as_ptr().addr() as u32,
            length: bytes.len(),
        }
    }

    /// Returns this buffer, or none if the reads on this thread use a shared one.
    #[inline(always)]
    pub(crate) fn unless_shared(self) -> Buffer {
        match IS_SHARED.get() {
            true => Buffer::NONE,
            false => self,
        }
    }
}

/// The attempts on the descriptors of a reactor. Few descriptors have any, so they are not in the descriptors
/// themselves, of which an idle connection would pay for them.
#[derive(Debug, Default)]
pub(crate) struct Attempted {
    /// The attempts in each direction, by the [identity](super::readiness::Readiness) of the descriptor. The lock is
    /// the last one that a thread takes.
    descriptors: Mutex<HashMap<usize, [Attempts; 2]>>,
}

impl Attempted {
    /// Records that a task has dropped an operation that was pending.
    pub(crate) fn give_up(&self, descriptor: usize, direction: Direction, task: u32) {
        let mut descriptors = lock(&self.descriptors);
        let attempts = descriptors.entry(descriptor).or_default();
        attempts[direction as usize].give_up(task);
    }

    /// Records that a read is pending, as [`Attempts::pend`] does.
    pub(crate) fn pend(&self, descriptor: usize, task: u32, buffer: u32) {
        let mut descriptors = lock(&self.descriptors);
        let attempts = descriptors.entry(descriptor).or_default();
        attempts[Direction::Read as usize].pend(task, buffer);
    }

    /// Records that an operation has completed, as [`Attempts::complete`] does, if there are attempts.
    pub(crate) fn complete(
        &self,
        descriptor: usize,
        direction: Direction,
        task: u32,
        buffer: Buffer,
        count: usize,
    ) {
        if let Some(attempts) = lock(&self.descriptors).get_mut(&descriptor) {
            attempts[direction as usize].complete(task, buffer, count);
        }
    }

    /// Returns the counts of a task.
    pub(crate) fn of(&self, descriptor: usize, direction: Direction, task: u32) -> Tries {
        let descriptors = lock(&self.descriptors);
        let attempts = descriptors.get(&descriptor);
        attempts.map_or(Tries::default(), |attempts| {
            attempts[direction as usize].of(task)
        })
    }

    /// Removes the record of a descriptor that is about to be closed.
    pub(crate) fn forget(&self, descriptor: usize) {
        let mut descriptors = lock(&self.descriptors);
        descriptors.remove(&descriptor);
        if descriptors.is_empty() {
            *descriptors = HashMap::new();
        }
    }
}

/// The attempts of the tasks that use one direction of a descriptor.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    /// The counts of the tasks, by the low halves of their ids. At most [`MOST_TASKS`]; the oldest comes first.
    tasks: Vec<(u32, Tries)>,
    /// The last `poll_read`.
    last: LastRead,
}

/// The last `poll_read` of a descriptor.
#[derive(Debug, Default)]
struct LastRead {
    /// The task that polled it.
    task: u32,
    /// The address of the buffer, if the read is pending; otherwise 0.
    pending: u32,
    /// The address of the buffer of the pending read before, if no read has completed since; otherwise 0.
    before: u32,
    /// The address of the rest of the buffer, if the read was short; otherwise 0.
    rest: u32,
    /// Whether several futures of the task read by turns.
    is_shared: bool,
}

impl LastRead {
    /// Creates the record of a task that has not read.
    fn of(task: u32) -> LastRead {
        LastRead {
            task,
            ..LastRead::default()
        }
    }
}

impl Attempts {
    /// Returns the counts of a task.
    pub(crate) fn of(&self, task: u32) -> Tries {
        let mut tasks = self.tasks.iter();
        let found = tasks.find(|(of, _)| *of == task);
        found.map(|(_, tries)| *tries).unwrap_or_default()
    }

    /// Returns the counts of a task, for a change.
    fn tries(&mut self, task: u32) -> &mut Tries {
        let position = self.tasks.iter().position(|(of, _)| *of == task);
        let position = position.unwrap_or_else(|| {
            if self.tasks.len() == MOST_TASKS {
                self.tasks.remove(0);
            }
            self.tasks.push((task, Tries::default()));
            self.tasks.len() - 1
        });
        &mut self.tasks[position].1
    }

    /// Records that a task has dropped an operation that was pending.
    pub(crate) fn give_up(&mut self, task: u32) {
        self.tries(task).give_up();
    }

    /// Records that a read is pending: a `poll_read` with a buffer at this address, or, if that is 0, another.
    pub(crate) fn pend(&mut self, task: u32, buffer: u32) {
        if buffer == 0 {
            self.last.pending = 0;
            return;
        }
        self.begin(task, buffer);
        if self.last.pending != 0 && self.last.pending != buffer {
            self.last.before = self.last.pending;
        }
        self.last.pending = buffer;
    }

    /// Records that an operation has completed. A `poll_read` has read `count` bytes into the buffer.
    pub(crate) fn complete(&mut self, task: u32, buffer: Buffer, count: usize) {
        if buffer.address != 0 {
            self.begin(task, buffer.address);
            self.last.pending = 0;
            self.last.before = 0;
            self.last.rest = match count {
                0 => 0,
                _ if count < buffer.length => buffer.address.wrapping_add(count as u32),
                _ => 0,
            };
        }
        self.tries(task).complete();
    }

    /// Compares a `poll_read` with the last one.
    fn begin(&mut self, task: u32, buffer: u32) {
        if self.last.task != task {
            self.last = LastRead::of(task);
        }
        if self.last.rest == buffer {
            self.tries(task).continue_last();
        }
        self.last.rest = 0;
        let is_another = self.last.pending != 0 && self.last.pending != buffer;
        if !is_another || self.last.is_shared {
            return;
        }
        if self.last.before == buffer {
            self.last.is_shared = true;
            *self.tries(task) = Tries::default();
        } else {
            self.give_up(task);
        }
    }
}
