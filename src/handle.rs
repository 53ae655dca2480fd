//! [`Handle`]: a runtime as it is seen from other threads.

use crate::context;
use crate::executor::{Message, Origin};
use crate::runtime::Shared;
use crate::task::remote::{Crossing, Lazy, promise};
use crate::task::{JoinHandle, blocking};
use futures_task::{FutureObj, Spawn, SpawnError};
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

/// Spawns onto a runtime from any thread.
///
/// Tasks run only while the runtime's thread is inside `block_on`; what is spawned at other times
/// waits for that. A handle keeps neither the runtime nor any of its tasks alive. What is spawned onto a runtime
/// that has ended is dropped at once, and its [`JoinHandle`] yields a cancelled
/// [`JoinError`](crate::task::JoinError).
///
/// # Examples
///
/// ```
/// use glassfrog::Handle;
///
/// glassfrog::block_on(async {
///     let handle = Handle::current();
///     let thread = std::thread::spawn(move || {
///         // From a thread without a runtime.
///         handle.spawn(async { "from outside" })
///     });
///     let task = thread.join().unwrap();
///     assert_eq!(task.await.unwrap(), "from outside");
/// });
/// ```
#[derive(Clone)]
pub struct Handle {
    /// The part of the runtime that any thread may see.
    shared: Arc<Shared>,
}

impl Handle {
    /// The handle of a runtime.
    pub(crate) fn new(shared: Arc<Shared>) -> Handle {
        Handle { shared }
    }

    /// The runtime that this thread is in.
    ///
    /// # Panics
    ///
    /// Outside [`block_on`](crate::block_on); see [`try_current`](Handle::try_current).
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::Handle;
    ///
    /// glassfrog::block_on(async {
    ///     let task = Handle::current().spawn(async { 5 });
    ///     assert_eq!(task.await.unwrap(), 5);
    /// });
    /// ```
    #[track_caller]
    pub fn current() -> Handle {
        Handle::new(Arc::clone(&context::current().shared))
    }

    /// The runtime that this thread is in, if it is in one.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::Handle;
    ///
    /// assert!(Handle::try_current().is_none());
    /// assert!(glassfrog::block_on(async { Handle::try_current().is_some() }));
    /// ```
    pub fn try_current() -> Option<Handle> {
        Some(Handle::new(Arc::clone(&context::try_current()?.shared)))
    }

    /// Spawns a future that may cross threads.
    ///
    /// It is moved to the runtime's thread and is polled and dropped there. Any number may be on
    /// the way: who spawns faster than the runtime polls fills the memory. The [`JoinHandle`]
    /// works on any thread and under any executor; dropping it detaches the task.
    ///
    /// # Examples
    ///
    /// ```
    /// let runtime = glassfrog::Runtime::new()?;
    /// let task = runtime.handle().spawn(async { 2 + 2 });
    /// assert_eq!(runtime.block_on(task).unwrap(), 4);
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.spawn_made(None, Location::caller(), move || future)
    }

    /// Spawns a future that may not cross threads: the closure does, and builds the future on the
    /// runtime's thread, as the first thing the task does.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::rc::Rc;
    ///
    /// let runtime = glassfrog::Runtime::new()?;
    /// let task = runtime.handle().spawn_with(|| async {
    ///     let not_send = Rc::new(6);
    ///     glassfrog::task::yield_now().await;
    ///     *not_send * 7
    /// });
    /// assert_eq!(runtime.block_on(task).unwrap(), 42);
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn spawn_with<C, F>(&self, build: C) -> JoinHandle<F::Output>
    where
        C: FnOnce() -> F + Send + 'static,
        F: Future + 'static,
        F::Output: Send + 'static,
    {
        self.spawn_made(None, Location::caller(), move || Lazy::new(build))
    }

    /// Runs a closure that blocks, on a thread for such; see
    /// [`task::spawn_blocking`](crate::task::spawn_blocking).
    ///
    /// # Examples
    ///
    /// ```
    /// let runtime = glassfrog::Runtime::new()?;
    /// let job = runtime.handle().spawn_blocking(|| std::fs::read_to_string("Cargo.toml"));
    /// assert!(runtime.block_on(job).unwrap()?.contains("glassfrog"));
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn spawn_blocking<F, T>(&self, work: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        blocking::submit(&self.shared, None, Location::caller(), work)
    }

    /// Has a task made on the runtime's thread.
    pub(crate) fn spawn_made<M, F>(
        &self,
        name: Option<Box<str>>,
        location: &'static Location<'static>,
        make: M,
    ) -> JoinHandle<F::Output>
    where
        M: FnOnce() -> F + Send + 'static,
        F: Future + 'static,
        F::Output: Send + 'static,
    {
        let id = self.shared.new_id();
        let origin = |name| Origin { id, name, location };
        let (promise, output) = promise(origin(name.clone()), false);
        let origin = origin(name);
        let make = Box::new(move |key| Crossing::boxed(make(), promise, key));
        // Refused by a runtime that has ended: dropped here, which breaks its promise.
        drop(self.shared.inbox.post(Message::Spawn { make, origin }));
        JoinHandle::remote(id, output, Arc::clone(&self.shared.inbox))
    }
}

impl Spawn for Handle {
    #[track_caller]
    fn spawn_obj(&self, future: FutureObj<'static, ()>) -> Result<(), SpawnError> {
        self.status()?;
        drop(self.spawn(future));
        Ok(())
    }

    fn status(&self) -> Result<(), SpawnError> {
        if self.shared.inbox.is_closed() {
            return Err(SpawnError::shutdown());
        }
        Ok(())
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("ended", &self.shared.inbox.is_closed())
            .finish_non_exhaustive()
    }
}
