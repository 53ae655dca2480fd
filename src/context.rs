//! The context: the runtime that the current thread is in.
//!
//! [`Runtime`](crate::Runtime) enters and leaves the context. `spawn`, sockets and sleeps find their runtime here.

use crate::event_loop::EventLoop;
use crate::executor::current::Entered;
use std::cell::RefCell;
use std::mem::ManuallyDrop;
use std::rc::Rc;

thread_local! {
    /// The runtime whose `block_on` or destructor runs on this thread. [`Context`] puts it in and takes it out
    /// again, so the variable needs no destructor. Without one, it can still be read in the destructors of other
    /// thread-locals.
    static CONTEXT: RefCell<ManuallyDrop<Option<Rc<EventLoop>>>> =
        const { RefCell::new(ManuallyDrop::new(None)) };
}

/// The panic message of a call that needs a runtime, on a thread that is not in one.
const NO_RUNTIME: &str = "no runtime on this thread: call this inside `glassfrog::block_on` or `Runtime::block_on`, in \
     the `async` block that they run (the argument itself is evaluated before they enter the runtime)";

/// A guard that restores the previous context of this thread when dropped.
pub(crate) struct Context {
    /// The previous context.
    previous: Option<Rc<EventLoop>>,
    /// Restores the previous executor.
    _entered: Entered,
}

/// Enters a runtime, until the guard is dropped.
pub(crate) fn enter(event_loop: &Rc<EventLoop>) -> Context {
    let previous = replace(Some(Rc::clone(event_loop)));
    Context {
        previous,
        _entered: event_loop.executor.enter(),
    }
}

/// Enters a runtime that is about to run its loop.
///
/// # Panics
///
/// Panics if this thread is inside a runtime, whose loop would stop until the inner loop ends.
#[track_caller]
pub(crate) fn enter_to_run(event_loop: &Rc<EventLoop>) -> Context {
    assert!(
        try_current().is_none(),
        "`block_on` inside a runtime would block its tasks: `.await` the future, or `spawn` it"
    );
    enter(event_loop)
}

/// Replaces the context of this thread.
fn replace(event_loop: Option<Rc<EventLoop>>) -> Option<Rc<EventLoop>> {
    let previous = CONTEXT.with(|context| context.replace(ManuallyDrop::new(event_loop)));
    ManuallyDrop::into_inner(previous)
}

/// Calls `f` with the runtime of this thread. `f` must not run foreign code, which might enter another
/// runtime.
///
/// # Panics
///
/// Panics if this thread is not inside a runtime.
#[inline]
#[track_caller]
pub(crate) fn with<R>(f: impl FnOnce(&EventLoop) -> R) -> R {
    match CONTEXT.with(|context| context.borrow().as_ref().map(|event_loop| f(event_loop))) {
        Some(result) => result,
        None => panic!("{NO_RUNTIME}"),
    }
}

/// Returns the runtime of this thread, if it is inside one.
pub(crate) fn try_current() -> Option<Rc<EventLoop>> {
    CONTEXT.with(|context| Option::clone(&context.borrow()))
}

/// Returns the runtime of this thread.
///
/// # Panics
///
/// Panics if this thread is not inside a runtime.
#[track_caller]
pub(crate) fn current() -> Rc<EventLoop> {
    match try_current() {
        Some(event_loop) => event_loop,
        None => panic!("{NO_RUNTIME}"),
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        drop(replace(self.previous.take()));
    }
}
