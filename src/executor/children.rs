//! [`RegisteredChild`], [`RegisteredScope`] and [`RegisteredSet`]: the children of scopes as dumps show them, and the
//! wakers that scopes and sets keep.
//!
//! A child lives inside the future of its parent and is not a task. A registered child appears in dumps all the
//! same: it has an id, and its waits are tagged with that id. `task/scope.rs` registers children.
//!
//! A scope polls its body and its children with wakers of their own, and a `JoinSet` gives such wakers to its tasks. Both
//! keep the waker of the task that polls them. A search for circles counts these wakers as seen. `task/scope.rs` and
//! `task/join_set.rs` register them.

use super::id::Id;
use super::message::Remote;
use super::status::Polling;
use super::{Executor, shrink};
use crate::clock::{Stamp, Stopwatch};
use crate::primitives::lock;
use crate::slab::Key;
use crate::timeline::event::Outcome;
use crate::waiter::Tag;
use std::panic::Location;
use std::rc::{Rc, Weak};
use std::sync::{self, Arc};
use std::task::Poll;

/// The waker with which a scope polls its body or a child. It wakes the task that polls the scope.
pub(crate) trait MemberOf: Send + Sync {
    /// Returns the identity of the waker that the scope has left in its last poll, if the waker is still there.
    fn outer(&self) -> Option<usize>;
}

/// The waker of the body or a child of a scope. This is weak, so that it counts as no holder.
pub(crate) type MemberRef = sync::Weak<dyn MemberOf>;

/// Returns the identity of a waker, and the number of its holders besides the scope.
pub(super) fn holders(waker: &MemberRef) -> (usize, usize) {
    let address = waker.as_ptr().cast::<()>() as usize;
    (address, waker.strong_count().saturating_sub(1))
}

/// A `JoinSet` that is registered with the runtime whose task waits for it. The set keeps the waker of that task.
/// Dropping this removes the entry. A set may be sent to another thread, so the table is in the inbox.
pub(crate) struct RegisteredSet {
    /// The inbox of the runtime.
    inbox: Arc<Remote>,
    /// The key of the entry.
    key: Key,
}

impl RegisteredSet {
    /// Registers a set.
    pub(crate) fn new(inbox: &Arc<Remote>, set: MemberRef) -> RegisteredSet {
        RegisteredSet {
            inbox: Arc::clone(inbox),
            key: lock(&inbox.sets).insert(set),
        }
    }

    /// Returns whether the set is registered with the runtime with this inbox.
    pub(crate) fn is_with(&self, inbox: &Arc<Remote>) -> bool {
        Arc::ptr_eq(&self.inbox, inbox)
    }
}

impl Drop for RegisteredSet {
    fn drop(&mut self) {
        let mut sets = lock(&self.inbox.sets);
        let removed = sets.remove(self.key);
        sets.shrink();
        drop(sets);
        drop(removed);
    }
}

/// A scope in the table of the executor.
pub(crate) struct ScopeEntry {
    /// The low half of the id of the task or child whose future contains the scope.
    pub(super) parent: u32,
    /// The waker of the body.
    pub(super) body: MemberRef,
}

/// A scope that is registered with its executor. Dropping this removes the entry.
pub(crate) struct RegisteredScope {
    /// The executor. This is weak, because the executor may own the scope.
    executor: Weak<Executor>,
    /// The key of the entry.
    key: Key,
}

impl RegisteredScope {
    /// Registers a scope that lives in the future of `parent`.
    pub(crate) fn new(executor: &Rc<Executor>, parent: u32, body: MemberRef) -> RegisteredScope {
        let mut scopes = executor.scopes.borrow_mut();
        RegisteredScope {
            executor: Rc::downgrade(executor),
            key: scopes.insert(ScopeEntry { parent, body }),
        }
    }
}

impl Drop for RegisteredScope {
    fn drop(&mut self) {
        if let Some(executor) = self.executor.upgrade() {
            let mut scopes = executor.scopes.borrow_mut();
            let _entry = scopes.remove(self.key);
            scopes.shrink();
        }
    }
}

/// A child in the table of the executor.
pub(crate) struct ChildEntry {
    /// The id of the child.
    pub(super) id: Id,
    /// The low half of the id of the task or child whose future contains this child.
    pub(super) parent: u32,
    /// Where the child was spawned.
    pub(super) location: &'static Location<'static>,
    /// When the child was spawned.
    pub(super) spawned: Stamp,
    /// When the child was polled last.
    pub(super) polled: Stamp,
    /// How many times the child was polled (modulo 2³²).
    pub(super) polls: u32,
    /// The waker with which the scope polls the child.
    pub(super) waker: MemberRef,
}

/// A child that is registered with its executor. Dropping this removes the entry.
pub(crate) struct RegisteredChild {
    /// The executor. This is weak, because the executor may own the child.
    executor: Weak<Executor>,
    /// The id of the child.
    id: Id,
}

impl RegisteredChild {
    /// Registers a child that lives in the future of `parent`.
    pub(crate) fn new(
        executor: &Rc<Executor>,
        id: Id,
        parent: u32,
        location: &'static Location<'static>,
        waker: MemberRef,
    ) -> RegisteredChild {
        let now = executor.turn.get();
        let child = ChildEntry {
            id,
            parent,
            location,
            spawned: now,
            polled: now,
            polls: 0,
            waker,
        };
        executor.children.borrow_mut().insert(id.low(), child);
        executor.record_child(id, parent, location);
        RegisteredChild {
            executor: Rc::downgrade(executor),
            id,
        }
    }

    /// Runs a poll of the child. The waits of this poll are tagged with the id of the child.
    pub(crate) fn poll<R>(&self, poll: impl FnOnce() -> Poll<R>) -> Poll<R> {
        /// Restores the tag of the parent, even if a panic unwinds.
        struct Restore {
            /// The executor of the parent.
            executor: Rc<Executor>,
            /// The tag of the parent.
            parent: Tag,
            /// The record of the parent's poll, if polls are watched.
            watched: Option<Polling>,
            /// The child, when the poll began and how it has ended, if polls are recorded.
            recorded: Option<(u32, u64, Outcome)>,
        }
        impl Drop for Restore {
            fn drop(&mut self) {
                if let (Some(recorder), Some((child, began, outcome))) =
                    (&self.executor.recorder, self.recorded)
                {
                    recorder.polled(child, began, outcome);
                }
                let status = &self.executor.status;
                status.begin_poll(self.parent);
                if let Some(parent) = self.watched.take() {
                    status.show(parent);
                }
            }
        }
        let mut restore = self.executor.upgrade().and_then(|executor| {
            let (parent, watched) = (executor.status.polling(), executor.status.last_poll());
            executor.status.begin_poll(self.begin_poll(&executor)?);
            let recorder = executor.recorder.as_ref();
            let began = recorder.map(|recorder| recorder.begin_child());
            Some(Restore {
                recorded: began.map(|began| (self.id.low(), began, Outcome::Panicked)),
                executor,
                parent,
                watched,
            })
        });
        let polled = poll();
        if let Some(restore) = &mut restore
            && let Some((_, _, outcome)) = &mut restore.recorded
        {
            *outcome = match polled {
                Poll::Pending => Outcome::Pending,
                Poll::Ready(_) => Outcome::Ready,
            };
        }
        drop(restore);
        polled
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
            drop(children);
            if let Some(recorder) = &executor.recorder {
                recorder.dropped(self.id.low());
            }
        }
    }
}
