//! [`Executor`]: spawns the tasks of hyper, on this thread or through a handle.

use crate::handle::Handle;
use crate::task::spawn;

/// Spawns the tasks of hyper onto the runtime that this thread is in.
///
/// HTTP/2 spawns a task for each request. The futures need not be `Send`, so a service may use `Rc` and `RefCell`. To
/// spawn from another thread, pass a [`Handle`] instead: it implements [`hyper::rt::Executor`] for futures that are
/// `Send`. After its runtime has ended, it drops the futures.
///
/// The tasks are detached. If a service panics, the runtime does what
/// [`Builder::on_task_panic`](crate::Builder::on_task_panic) says, and the request fails.
///
/// # Panics
///
/// [`execute`](hyper::rt::Executor::execute) panics outside a runtime.
///
/// # Examples
///
/// ```
/// use glassfrog::hyper::Executor;
/// use hyper::rt::Executor as _;
/// use std::rc::Rc;
///
/// glassfrog::block_on(async {
///     let shared = Rc::new("not Send");
///     Executor.execute(async move { println!("{shared}") });
/// });
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Executor;

impl<F> hyper::rt::Executor<F> for Executor
where
    F: Future + 'static,
    F::Output: 'static,
{
    fn execute(&self, future: F) {
        drop(spawn(future));
    }
}

/// Spawns the futures onto the runtime of the handle. After that runtime has ended, the futures are dropped.
impl<F> hyper::rt::Executor<F> for Handle
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        drop(self.spawn(future));
    }
}
