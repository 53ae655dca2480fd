//! The context: which runtime this thread is in.

use crate::executor::local::Entered;
use crate::runtime::Core;
use std::cell::RefCell;
use std::mem::ManuallyDrop;
use std::rc::Rc;

thread_local! {
    /// The runtime whose `block_on` runs on this thread, or that is being dropped on it.
    /// Whoever puts something in takes it out again. So it needs no destructor, and without one
    /// it is there even for the destructors of other thread-locals.
    static CONTEXT: RefCell<ManuallyDrop<Option<Rc<Core>>>> =
        const { RefCell::new(ManuallyDrop::new(None)) };
}

/// What a call that needs a runtime says where there is none.
const NO_RUNTIME: &str = "no runtime on this thread: call this inside `glassfrog::block_on` or `Runtime::block_on`, in \
     the `async` block that they run (their argument itself is made before they begin)";

/// Puts the thread's former context back when dropped.
pub(crate) struct Context {
    /// What stood there before.
    previous: Option<Rc<Core>>,
    /// The same for the executor.
    _entered: Entered,
}

/// Makes a runtime the context of this thread.
pub(crate) fn enter(core: &Rc<Core>) -> Context {
    let previous = replace(Some(Rc::clone(core)));
    Context {
        previous,
        _entered: core.executor.enter(),
    }
}

/// The same for a runtime that is about to run its loop.
///
/// # Panics
///
/// If a loop runs on this thread already: it could not go on before the inner one ends.
#[track_caller]
pub(crate) fn enter_to_run(core: &Rc<Core>) -> Context {
    assert!(
        try_current().is_none(),
        "`block_on` inside a runtime would stop all its tasks: `.await` the future, or `spawn` it"
    );
    enter(core)
}

/// Exchanges what stands in the thread-local.
fn replace(core: Option<Rc<Core>>) -> Option<Rc<Core>> {
    let previous = CONTEXT.with(|context| context.replace(ManuallyDrop::new(core)));
    ManuallyDrop::into_inner(previous)
}

/// Does something with the runtime of this thread. Foreign code is not to run in there: it might enter
/// another one.
///
/// # Panics
///
/// If there is none.
#[inline]
#[track_caller]
pub(crate) fn with<R>(f: impl FnOnce(&Core) -> R) -> R {
    match CONTEXT.with(|context| context.borrow().as_ref().map(|core| f(core))) {
        Some(result) => result,
        None => panic!("{NO_RUNTIME}"),
    }
}

/// The runtime of this thread, if there is one.
pub(crate) fn try_current() -> Option<Rc<Core>> {
    CONTEXT.with(|context| Option::clone(&context.borrow()))
}

/// The runtime of this thread.
///
/// # Panics
///
/// If there is none.
#[track_caller]
pub(crate) fn current() -> Rc<Core> {
    match try_current() {
        Some(core) => core,
        None => panic!("{NO_RUNTIME}"),
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        drop(replace(self.previous.take()));
    }
}
