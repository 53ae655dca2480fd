//! What a thread knows of the executor that it is running: the run queue, the task that is being
//! polled, and how much more that task may do.
//!
//! Wakers and budget find it through a thread-local, which is set while a runtime is inside
//! `block_on` (and while it shuts down). A thread that runs no executor has an unlimited budget
//! and wakes through the inbox.

use super::Remote;
use crate::slab::Key;
use crate::waiter::Tag;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

/// How many operations that bring something (a read, a write, an accept, a joined task) one poll
/// may do before it has to let others run.
///
/// A task whose sockets are always ready would otherwise never return. At a microsecond an
/// operation it holds the loop for an eighth of a millisecond; with fewer, a bulk transfer would
/// spend a noticeable part of its time on the way through the run queue.
pub(crate) const BUDGET: u32 = 128;

/// The part of an executor that its thread finds without being handed it.
#[derive(Debug)]
pub(crate) struct Local {
    /// Which executor this is: wakers compare it with theirs.
    remote: Arc<Remote>,
    /// The run queue: who is to be polled next, oldest first. Pushed to by wakes on this thread,
    /// by spawns, and when the inbox is emptied.
    ready: RefCell<VecDeque<Key>>,
    /// The task that is being polled, as waiters are tagged.
    current: Cell<Tag>,
    /// How many operations the running poll has left.
    budget: Cell<u32>,
}

thread_local! {
    /// The executor that this thread is running.
    static LOCAL: RefCell<Option<Rc<Local>>> = const { RefCell::new(None) };
}

impl Local {
    /// The local part of the executor that `remote` is the inbox of.
    pub(super) fn new(remote: Arc<Remote>) -> Local {
        Local {
            remote,
            ready: RefCell::new(VecDeque::new()),
            current: Cell::new(Tag::NONE),
            budget: Cell::new(BUDGET),
        }
    }

    /// Makes it the executor of this thread, until the guard is dropped.
    pub(super) fn enter(self: &Rc<Self>) -> Entered {
        let previous = LOCAL
            .try_with(|local| local.replace(Some(Rc::clone(self))))
            .unwrap_or(None);
        Entered { previous }
    }

    /// Puts a task at the end of the run queue.
    pub(super) fn push(&self, key: Key) {
        self.ready.borrow_mut().push_back(key);
    }

    /// Takes the task that has been ready the longest.
    pub(super) fn pop(&self) -> Option<Key> {
        self.ready.borrow_mut().pop_front()
    }

    /// Whether nobody is ready.
    pub(super) fn is_idle(&self) -> bool {
        self.ready.borrow().is_empty()
    }

    /// The inbox of this executor.
    pub(super) fn remote(&self) -> &Arc<Remote> {
        &self.remote
    }

    /// Runs a poll, or a drop, of the task that `tag` names, with a fresh budget.
    pub(super) fn run<R>(&self, tag: Tag, foreign: impl FnOnce() -> R) -> R {
        /// Takes the name off again, also when a panic passes.
        struct Restore<'a>(&'a Cell<Tag>, Tag);
        impl Drop for Restore<'_> {
            fn drop(&mut self) {
                self.0.set(self.1);
            }
        }
        let _restore = Restore(&self.current, self.current.replace(tag));
        self.budget.set(BUDGET);
        foreign()
    }
}

/// Puts the thread's former executor back when dropped.
#[derive(Debug)]
pub(crate) struct Entered {
    /// What stood there before: nothing, or the runtime within which another one is dropped.
    previous: Option<Rc<Local>>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let previous = self.previous.take();
        // Where the thread-local is gone already, nobody can find anything there.
        let _ended = LOCAL.try_with(|local| local.replace(previous));
    }
}

/// Puts a task into the run queue of this thread, if this thread runs that task's executor.
pub(super) fn push_here(remote: &Arc<Remote>, key: Key) -> bool {
    LOCAL
        .try_with(|local| match &*local.borrow() {
            Some(local) if Arc::ptr_eq(&local.remote, remote) => {
                local.push(key);
                true
            }
            _ => false,
        })
        .unwrap_or(false)
}

/// Who is being polled on this thread.
pub(crate) fn current_tag() -> Tag {
    LOCAL
        .try_with(|local| local.borrow().as_ref().map(|local| local.current.get()))
        .ok()
        .flatten()
        .unwrap_or(Tag::NONE)
}

/// Lets the running poll do one more operation; once its budget is spent, wakes the task again
/// and says `Pending`, which the caller has to return.
pub(crate) fn poll_budget(cx: &mut Context<'_>) -> Poll<()> {
    let left = LOCAL
        .try_with(|local| local.borrow().as_ref().map(|local| local.budget.get()))
        .ok()
        .flatten();
    if left == Some(0) {
        cx.waker().wake_by_ref();
        return Poll::Pending;
    }
    Poll::Ready(())
}

/// Takes one operation, which brought something, off the budget of the running poll.
pub(crate) fn spend_budget() {
    // Without an executor on this thread there is nothing to take it from.
    let _outside = LOCAL.try_with(|local| {
        if let Some(local) = &*local.borrow() {
            local.budget.set(local.budget.get().saturating_sub(1));
        }
    });
}
