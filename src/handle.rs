//! [`Handle`]: spawning onto a runtime and inspecting it, from any thread.
//!
//! A handle posts messages to the loop of its runtime. It does not run the loop, and keeps no task alive.

mod block_on;
pub(crate) mod request;
#[cfg(feature = "timeline")]
mod timeline;

use self::request::DumpRequest;
use crate::context::{self, Enter};
use crate::dump::Dump;
use crate::event_loop::Shared;
use crate::executor::{InboxHandle, Message, SpawnInfo, current};
use crate::metrics::Metrics;
use crate::pool::Lane;
use crate::task::promise::promise;
use crate::task::remote::{Lazy, Promised};
use crate::task::{JoinHandle, blocking};
use futures_task::{FutureObj, Spawn, SpawnError};
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

/// A handle to a runtime, which spawns tasks onto it from any thread.
///
/// Tasks run only while the runtime's thread is inside `block_on` or a [`turn`](crate::Runtime::turn). A task that is
/// spawned at another time runs when either is called next. A handle keeps neither the runtime nor its tasks alive.
/// If the runtime has ended, a spawned future is dropped at once, and its [`JoinHandle`] returns a
/// [cancelled](crate::task::JoinError::is_cancelled) error.
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
    /// The part of the runtime that any thread may use.
    shared: Arc<Shared>,
    /// Counts this handle. While there is a handle, its owner may spawn, so the runtime is not in a deadlock.
    _inbox: InboxHandle,
}

impl Handle {
    /// Creates a handle to a runtime.
    pub(crate) fn new(shared: Arc<Shared>) -> Handle {
        let _inbox = InboxHandle::new(&shared.inbox);
        Handle { shared, _inbox }
    }

    /// Returns a handle to the runtime that this thread is in.
    ///
    /// # Panics
    ///
    /// Panics if this thread is not inside [`block_on`](crate::block_on); see [`try_current`](Handle::try_current).
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
        Handle::new(context::shared())
    }

    /// Returns a handle to the runtime that this thread is in, or `None` if it is not in one.
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
        Some(Handle::new(context::try_shared()?))
    }

    /// Enters the runtime on this thread, until the guard is dropped.
    ///
    /// While the guard exists, this thread can create everything for the runtime that needs no local task: the sockets
    /// and name lookups of [`net`](crate::net), [sleeps](crate::time::sleep), and
    /// [blocking jobs](crate::task::spawn_blocking). Any executor may poll them, on any thread. The runtime serves them
    /// while its own thread is inside `block_on` or a turn.
    ///
    /// Tasks stay on the runtime's thread. To spawn one, use [`spawn`](Handle::spawn) of this handle or of
    /// [`Handle::current`]. [`glassfrog::spawn`](crate::spawn) panics, unless the runtime's own thread calls it inside
    /// `block_on`, a turn, or [`Runtime::enter`](crate::Runtime::enter).
    ///
    /// The guard does not borrow the handle. See [`Enter`] for several guards. To run a whole future on this
    /// thread, use [`Handle::block_on`].
    ///
    /// # Examples
    ///
    /// A thread with an executor of its own connects through a runtime:
    ///
    /// ```
    /// use futures_channel::oneshot;
    /// use glassfrog::Handle;
    /// use glassfrog::net::TcpStream;
    ///
    /// let server = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// let addr = server.local_addr()?;
    /// glassfrog::block_on(async {
    ///     let handle = Handle::current();
    ///     let (send, stream) = oneshot::channel();
    ///     std::thread::spawn(move || {
    ///         let _guard = handle.enter();
    ///         let stream = std::net::TcpStream::connect(addr).and_then(TcpStream::try_from);
    ///         send.send(stream).ok();
    ///     });
    ///     let stream = stream.await.unwrap()?;
    ///     assert_eq!(stream.peer_addr()?, addr);
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn enter(&self) -> Enter<'static> {
        Enter::new(context::enter_as_guest(&self.shared))
    }

    /// Runs a future to completion on this thread, as a guest of the runtime.
    ///
    /// The future need be neither `Send` nor `'static`: this thread polls it, and parks between the polls. The
    /// thread [enters](Handle::enter) the runtime for the duration of the call. The runtime serves the sockets and
    /// sleeps of the future while its own thread is inside `block_on` or a turn.
    ///
    /// If no thread runs the loop for a second while the future waits, this thread logs a warning. If the loop stops
    /// during the wait, the warning comes after about as long as the loop ran before, at most.
    ///
    /// If the runtime ends during the call, operations on its sockets return an error and its sleeps panic. The call
    /// continues, because the future may wait for something else.
    ///
    /// The future does not stop a [virtual clock](crate::Builder::virtual_clock).
    ///
    /// # Panics
    ///
    /// Panics if this is the thread that created the runtime, if this thread is inside the `block_on` or a turn of
    /// another runtime, or if the future panics.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::Handle;
    /// use glassfrog::time::sleep;
    /// use std::rc::Rc;
    /// use std::time::Duration;
    ///
    /// glassfrog::block_on(async {
    ///     let handle = Handle::current();
    ///     let job = glassfrog::task::spawn_blocking(move || {
    ///         // On a thread of the pool.
    ///         let local = Rc::new(7);
    ///         handle.block_on(async {
    ///             sleep(Duration::from_millis(2)).await;
    ///             *local
    ///         })
    ///     });
    ///     assert_eq!(job.await.unwrap(), 7);
    /// });
    /// ```
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        block_on::block_on(&self.shared, future, Location::caller())
    }

    /// Spawns a future as a task on the runtime.
    ///
    /// The future is sent to the runtime's thread, and is polled and dropped there. The number of tasks is
    /// unlimited: a thread that spawns tasks faster than the runtime finishes them may exhaust the memory. The
    /// [`JoinHandle`] works on any thread and under any executor. Dropping it detaches the task.
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

    /// Spawns a future that need not be `Send`.
    ///
    /// The closure is sent to the runtime's thread, and creates the future in the first poll of the task.
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

    /// Runs a closure that may block on a thread of the runtime's pool; see
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
        blocking::submit(&self.shared, Lane::Jobs, None, Location::caller(), work)
    }

    /// Returns a dump, which shows what every task of the runtime is waiting for.
    ///
    /// This method may be called on any thread. On a thread other than the runtime's, it blocks until the loop
    /// answers, for at most one second. If the loop does not answer, the dump names the poll that blocks it, or
    /// says that no thread is inside `block_on` or a turn.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::Handle;
    ///
    /// glassfrog::block_on(async {
    ///     let handle = Handle::current();
    ///     let dump = glassfrog::task::spawn_blocking(move || handle.dump()).await.unwrap();
    ///     // The other thread took the dump while `main` was waiting.
    ///     assert!(dump.to_string().contains("main"));
    ///     assert!(dump.to_string().contains("blocking job"));
    /// });
    /// ```
    pub fn dump(&self) -> Dump {
        dump(&self.shared)
    }

    /// Asks the loop for a dump; see [`dump`](Handle::dump).
    pub(crate) fn request_dump(&self) -> DumpRequest {
        DumpRequest::send(&self.shared)
    }

    /// Returns the metrics of the runtime: counters and times.
    ///
    /// This method may be called on any thread, and never blocks on the loop.
    ///
    /// # Examples
    ///
    /// See [`Metrics`].
    pub fn metrics(&self) -> Metrics {
        // On the runtime's own thread, the counts are published first, so the metrics are up to date.
        if let Some(executor) = current::here(&self.shared.inbox) {
            executor.publish();
        }
        self.shared.metrics()
    }

    /// Spawns a task that `make` builds on the runtime's thread.
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
        let info = |name| SpawnInfo { id, name, location };
        let inbox = Arc::clone(&self.shared.inbox);
        let (promise, output) = promise(info(name.clone()), inbox, None);
        let info = info(name);
        let make = Box::new(move |key| Promised::boxed(make(), promise, key));
        // A runtime that has ended returns the task. Dropping the task cancels it.
        drop(self.shared.inbox.post(Message::Spawn { make, info }));
        JoinHandle::remote(id, output)
    }
}

/// Requests a dump from the loop of a runtime; see [`Handle::dump`].
pub(crate) fn dump(shared: &Arc<Shared>) -> Dump {
    DumpRequest::send(shared).wait()
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
            .field("runtime", &self.shared.number)
            .field("ended", &self.shared.inbox.is_closed())
            .finish_non_exhaustive()
    }
}
