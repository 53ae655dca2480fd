//! The children of scopes, as the executor knows them.
//!
//! A child lives inside the future of its parent and is no task. A [`RegisteredChild`] is visible in a dump all
//! the same: it has an id, and what it waits for is tagged with that id. `task/scope.rs` registers children.

use super::id::Id;
use super::status::Polling;
use super::{Executor, shrink};
use crate::clock::{Stamp, Stopwatch};
use crate::waiter::Tag;
use std::panic::Location;
use std::rc::{Rc, Weak};

/// What the executor knows of a child.
pub(crate) struct ChildEntry {
    /// Its id.
    pub(super) id: Id,
    /// The low half of the id of the task that it lives in.
    pub(super) parent: u32,
    /// Where it was spawned.
    pub(super) location: &'static Location<'static>,
    /// When it was spawned.
    pub(super) spawned: Stamp,
    /// When it was polled last.
    pub(super) polled: Stamp,
    /// How many times it was polled.
    pub(super) polls: u32,
}

/// A child that is registered with its executor. Dropping this removes the entry.
pub(crate) struct RegisteredChild {
    /// The executor. It may own the child, so this is weak.
    executor: Weak<Executor>,
    /// The id of the child.
    id: Id,
}

impl RegisteredChild {
    /// Registers a child that lives in the future of the task `parent`.
    pub(crate) fn new(
        executor: &Rc<Executor>,
        id: Id,
        parent: u32,
        location: &'static Location<'static>,
    ) -> RegisteredChild {
        let now = executor.turn.get();
        let child = ChildEntry {
            id,
            parent,
            location,
            spawned: now,
            polled: now,
            polls: 0,
        };
        executor.children.borrow_mut().insert(id.low(), child);
        RegisteredChild {
            executor: Rc::downgrade(executor),
            id,
        }
    }

    /// Runs a poll of the child. What the child waits for is tagged with its id.
    pub(crate) fn poll<R>(&self, poll: impl FnOnce() -> R) -> R {
        /// Restores the tag of the parent, also when a panic unwinds.
        struct Restore {
            /// The executor of the parent.
            executor: Rc<Executor>,
            /// The tag of the parent.
            parent: Tag,
            /// The poll of the parent in full, if polls are watched.
            watched: Option<Polling>,
        }
        impl Drop for Restore {
            fn drop(&mut self) {
                let status = &self.executor.status;
                status.begin_poll(self.parent);
                if let Some(parent) = self.watched.take() {
                    status.show(parent);
                }
            }
        }
        let restore = self.executor.upgrade().and_then(|executor| {
            let (parent, watched) = (executor.status.polling(), executor.status.last_poll());
            executor.status.begin_poll(self.begin_poll(&executor)?);
            Some(Restore {
                executor,
                parent,
                watched,
            })
        });
        let result = poll();
        drop(restore);
        result
    }

    /// Notes that a poll of the child begins. Returns the tag of the poll.
    fn begin_poll(&self, executor: &Executor) -> Option<Tag> {
        let mut children = executor.children.borrow_mut();
        let child = children.get_mut(&self.id.low())?;
        child.polls = child.polls.wrapping_add(1);
        child.polled = executor.turn.get();
        if executor.status.is_watched() {
            executor.status.show(Polling {
                id: self.id.low(),
                name: None,
                location: Some(child.location),
                poll: child.polls,
                since: Stopwatch::start(),
            });
        }
        Some(Tag::new(self.id.0, child.polls))
    }
}

impl Drop for RegisteredChild {
    fn drop(&mut self) {
        if let Some(executor) = self.executor.upgrade() {
            let mut children = executor.children.borrow_mut();
            children.remove(&self.id.low());
            shrink(&mut children);
        }
    }
}
