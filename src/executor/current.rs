//! The executor that the current thread runs.
//!
//! It is set while a runtime is inside `block_on`, and while a runtime shuts down. Wakers and handles that find
//! their executor here call it directly. On any other thread, they post to its inbox.

use super::Executor;
use super::message::Remote;
use std::cell::{Cell, RefCell};
use std::mem::ManuallyDrop;
use std::rc::Rc;
use std::sync::Arc;

thread_local! {
    /// The executor that this thread runs. [`Entered`] puts it in and takes it out again, so the variable needs
    /// no destructor. Without one, it can still be read in the destructors of other thread-locals.
    static EXECUTOR: RefCell<ManuallyDrop<Option<Rc<Executor>>>> =
        const { RefCell::new(ManuallyDrop::new(None)) };

    /// The address of the inbox of that executor, or 0. Most callers only compare it with their own.
    static INBOX: Cell<usize> = const { Cell::new(0) };
}

/// Makes `executor` the one that this thread runs, until the guard is dropped.
pub(super) fn enter(executor: &Rc<Executor>) -> Entered {
    let previous = replace(Some(Rc::clone(executor)));
    Entered { previous }
}

/// Replaces the executor of this thread.
fn replace(executor: Option<Rc<Executor>>) -> Option<Rc<Executor>> {
    INBOX.set(
        executor
            .as_ref()
            .map_or(0, |executor| address(&executor.remote)),
    );
    let previous = EXECUTOR.with(|current| current.replace(ManuallyDrop::new(executor)));
    ManuallyDrop::into_inner(previous)
}

/// A guard that restores the previous executor of this thread when dropped.
pub(crate) struct Entered {
    /// The previous executor. There is one if this runtime is dropped inside another one.
    previous: Option<Rc<Executor>>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        drop(replace(self.previous.take()));
    }
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
