//! [`Handle`]: a runtime as it is seen from other threads.

use crate::context;
use crate::dump::{Answer, Dump, called};
use crate::executor::{Message, Origin, Outsider, local};
use crate::metrics::Metrics;
use crate::pool::Lane;
use crate::runtime::Shared;
use crate::task::promise::promise;
use crate::task::remote::{Lazy, Promised};
use crate::task::{JoinHandle, blocking};
use futures_task::{FutureObj, Spawn, SpawnError};
use std::fmt;
use std::panic::Location;
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// How long a dump waits for the loop, before it says what the loop is busy with.
const PATIENCE: Duration = Duration::from_secs(1);

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
    /// Says that there is somebody who may spawn at any time.
    _outsider: Outsider,
}

impl Handle {
    /// The handle of a runtime.
    pub(crate) fn new(shared: Arc<Shared>) -> Handle {
        let _outsider = Outsider::new(&shared.inbox);
        Handle { shared, _outsider }
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
        blocking::submit(&self.shared, Lane::Jobs, None, Location::caller(), work)
    }

    /// What every task of the runtime waits for; see [`Dump`].
    ///
    /// It may be called on any thread. On another than the runtime's it blocks until the loop has
    /// answered, at most for a second; a loop that does not answer is busy in a poll, which the dump
    /// then tells, or nobody is inside `block_on`.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::Handle;
    ///
    /// glassfrog::block_on(async {
    ///     let handle = Handle::current();
    ///     let dump = glassfrog::task::spawn_blocking(move || handle.dump()).await.unwrap();
    ///     // Taken on the other thread, while `main` waited for it.
    ///     assert!(dump.to_string().contains("main"));
    ///     assert!(dump.to_string().contains("blocking job"));
    /// });
    /// ```
    pub fn dump(&self) -> Dump {
        dump(&self.shared)
    }

    /// How much the runtime has done; see [`Metrics`]. It may be called on any thread.
    ///
    /// # Examples
    ///
    /// See [`Metrics`].
    pub fn metrics(&self) -> Metrics {
        // On its own thread nothing that has been counted is left out.
        if let Some(executor) = local::here(&self.shared.inbox) {
            executor.publish();
        }
        self.shared.metrics()
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
        let inbox = Arc::clone(&self.shared.inbox);
        let (promise, output) = promise(origin(name.clone()), inbox, None);
        let origin = origin(name);
        let make = Box::new(move |key| Promised::boxed(make(), promise, key));
        // Refused by a runtime that has ended: dropped here, which breaks its promise.
        drop(self.shared.inbox.post(Message::Spawn { make, origin }));
        JoinHandle::remote(id, output)
    }
}

/// Asks the loop of a runtime who waits for what; see [`Handle::dump`].
pub(crate) fn dump(shared: &Arc<Shared>) -> Dump {
    if let Some(core) = context::try_current()
        && Arc::ptr_eq(&core.shared, shared)
    {
        return core.dump();
    }
    let (send, answer) = mpsc::channel();
    let look = move || {
        if let Some(core) = context::try_current() {
            // Who asked may have gone.
            let _gone = send.send(core.dump());
        }
    };
    let busy_before = shared.pulse.polling();
    let posted = shared.inbox.post(Message::Look(Box::new(look)));
    let tasks = Vec::new();
    if posted.is_err() {
        let answer = Answer::Ended;
        return Dump { answer, tasks };
    }
    let patience = shared.test_patience.unwrap_or(PATIENCE);
    if let Ok(dump) = answer.recv_timeout(patience) {
        return dump;
    }
    let busy = shared.pulse.polling();
    let answer = match busy.who() {
        _ if shared.inbox.is_closed() => Answer::Ended,
        None => Answer::Asleep,
        Some((task, poll)) => {
            let who = shared.pulse.who();
            let who = who.filter(|who| (who.id, who.poll) == (task, poll));
            Answer::Busy {
                task,
                poll,
                at_least: match &who {
                    Some(who) => who.since.elapsed(),
                    None if busy == busy_before => patience,
                    None => Duration::ZERO,
                },
                who: match who {
                    Some(who) => who.to_string(),
                    None => format!("poll {poll} of task {}", called(u64::from(task), None)),
                },
            }
        }
    };
    Dump { answer, tasks }
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
