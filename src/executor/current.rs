//! The executor that the current thread runs.
//!
//! It is set while a runtime is inside `block_on` or a turn, and while a runtime shuts down. Wakers and handles that
//! find their executor here call it directly. On any other thread, they post to its inbox.

use super::message::Remote;
use super::waits::Waits;
use super::{Executor, actor};
use crate::clock::Stamp;
use crate::timeline::event::Reason;
use crate::waiter::Tag;
use std::cell::{Cell, RefCell};
use std::mem::ManuallyDrop;
use std::ptr;
use std::rc::Rc;
use std::sync::Arc;

thread_local! {
    /// The executor that this thread runs. The guards of `context.rs` put it in and take it out again, so the
    /// variable needs no destructor. Without one, it can still be read in the destructors of other thread-locals.
    static EXECUTOR: RefCell<ManuallyDrop<Option<Rc<Executor>>>> =
        const { RefCell::new(ManuallyDrop::new(None)) };

    /// The address of the inbox of that executor, or 0. Most callers only compare it with their own.
    static INBOX: Cell<usize> = const { Cell::new(0) };
}

/// Sets the executor that this thread runs.
pub(crate) fn set(executor: Option<&Rc<Executor>>) {
    actor::enter(executor.map(|executor| &**executor));
    INBOX.set(executor.map_or(0, |executor| address(&executor.remote)));
    let executor = executor.map(Rc::clone);
    let previous = EXECUTOR.with(|current| current.replace(ManuallyDrop::new(executor)));
    drop(ManuallyDrop::into_inner(previous));
}

/// Returns the address of an inbox, which identifies it.
fn address(remote: &Arc<Remote>) -> usize {
    Arc::as_ptr(remote) as usize
}

/// Returns whether this thread runs the executor that has this inbox.
pub(crate) fn is_here(remote: &Arc<Remote>) -> bool {
    INBOX.get() == address(remote)
}

/// Returns the executor that has this inbox, if this thread runs it.
pub(crate) fn here(remote: &Arc<Remote>) -> Option<Rc<Executor>> {
    EXECUTOR.with(|current| {
        let current = current.borrow();
        let executor = current.as_ref().filter(|executor| executor.is(remote));
        executor.map(Rc::clone)
    })
}

/// Calls `f` with the executor that has this inbox, if this thread runs it. `f` must not run foreign code,
/// which might enter another executor.
#[inline]
pub(crate) fn with<R>(remote: &Arc<Remote>, f: impl FnOnce(&Executor) -> R) -> Option<R> {
    EXECUTOR.with(|current| match current.borrow().as_ref() {
        Some(executor) if executor.is(remote) => Some(f(executor)),
        _ => None,
    })
}

/// Notes for the timeline that the child of a scope was woken, if this thread runs its executor, which has this number.
pub(crate) fn record_wake_of_child((number, child): (u32, u32)) {
    EXECUTOR.with(|current| {
        if let Some(executor) = current.borrow().as_ref()
            && executor.number == number
        {
            executor.record_wake(child);
        }
    });
}

/// Notes for the timeline that the task that this thread polls waits for the children of a scope or the members of a set.
pub(crate) fn record_wait_for_children() {
    EXECUTOR.with(|current| {
        if let Some(executor) = current.borrow().as_ref()
            && let Some(recorder) = &executor.recorder
            && let Some((task, _)) = executor.current_tag().parts()
        {
            recorder.waits(task, Reason::Children);
        }
    });
}

/// Returns the low half of the id of the task that this thread polls, if the task belongs to the runtime with this table.
pub(super) fn task_in(waits: &Waits) -> Option<u32> {
    EXECUTOR.with(|current| {
        let current = current.borrow();
        let executor = current.as_ref()?;
        let (task, _) = executor.current_tag().parts()?;
        ptr::eq(&*executor.waits, waits).then_some(task)
    })
}

/// Returns the tag of the task that this thread polls, the table of the waits that it declares, and the stamp of the
/// turn.
pub(super) fn polled() -> Option<(Arc<Waits>, Tag, Stamp)> {
    EXECUTOR.with(|current| {
        let current = current.borrow();
        let executor = current.as_ref()?;
        let tag = executor.current_tag();
        tag.parts()?;
        Some((Arc::clone(&executor.waits), tag, executor.turn.get()))
    })
}
