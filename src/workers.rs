//! [`Workers`]: one runtime a core, on threads of their own.

use crate::foreign::{panic_message, swallow_panics, wake_all};
use crate::handle::Handle;
use crate::primitives::{Mutex, lock};
use crate::runtime::{Builder, block_on};
use crate::task::{AbortHandle, JoinError, JoinHandle, JoinSet};
use std::any::Any;
use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::panic::resume_unwind;
use std::sync::{Arc, PoisonError, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread;

/// Several runtimes, each on a thread of its own.
///
/// glassfrog does not move tasks between threads. A program that wants more than one core runs a
/// runtime on each, and gives each a part of the work: a listener of its own on a port that they
/// share (`SO_REUSEPORT` of `socket(7)`), or tasks that are dealt out by the [`Handle`]s.
///
/// Dropping the workers stops them, and waits for their threads.
///
/// # Examples
///
/// ```
/// use glassfrog::Workers;
///
/// let workers = Workers::new(2)?;
/// // The closure crosses to each worker's thread; the future that it makes stays there.
/// let squares = workers.run(|index| async move { index * index });
/// let squares: Result<Vec<_>, _> = squares.into_iter().collect();
/// assert_eq!(squares?, [0, 1]);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub struct Workers {
    /// The runtimes, in the order of their numbers.
    handles: Vec<Handle>,
    /// Their threads, with what ends them.
    threads: Vec<Worker>,
}

/// The thread of one runtime.
struct Worker {
    /// The number of the worker.
    index: usize,
    /// Ends the runtime's `block_on`.
    end: Arc<End>,
    /// The thread, which ends then.
    thread: thread::JoinHandle<()>,
}

/// What the `block_on` of a worker waits for.
#[derive(Default)]
struct End {
    /// Whether it has come, and who waits for it.
    state: Mutex<(bool, Option<Waker>)>,
}

impl End {
    /// Lets it come.
    fn come(&self) {
        let mut state = lock(&self.state);
        state.0 = true;
        let waker = state.1.take();
        drop(state);
        wake_all(waker);
    }

    /// Waits for it.
    fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let mut state = lock(&self.state);
        if state.0 {
            return Poll::Ready(());
        }
        let former = state.1.replace(waker);
        drop(state);
        drop(former);
        Poll::Pending
    }
}

impl Workers {
    /// Starts as many runtimes as `count` says, with the settings of [`Builder::new`]; for others
    /// there is [`build`](Workers::build).
    ///
    /// [`available_parallelism`](thread::available_parallelism) tells how many cores there are.
    ///
    /// # Errors
    ///
    /// If the operating system has no thread, descriptors or memory left for one of them. Then none
    /// is left running.
    ///
    /// # Panics
    ///
    /// If `count` is zero.
    ///
    /// # Examples
    ///
    /// ```
    /// let cores = std::thread::available_parallelism()?;
    /// let workers = glassfrog::Workers::new(cores.get())?;
    /// assert_eq!(workers.handles().len(), cores.get());
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn new(count: usize) -> io::Result<Workers> {
        Workers::build(Builder::new(), count)
    }

    /// Starts as many runtimes as `count` says, with the settings of `builder`.
    ///
    /// # Errors
    ///
    /// As [`new`](Workers::new).
    ///
    /// # Panics
    ///
    /// As [`new`](Workers::new).
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::{Builder, Workers};
    ///
    /// let workers = Workers::build(Builder::new().blocking_threads(4), 2)?;
    /// assert_eq!(workers.handles().len(), 2);
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn build(builder: Builder, count: usize) -> io::Result<Workers> {
        assert!(count > 0, "no workers would never do any work");
        let mut workers = Workers {
            handles: Vec::new(),
            threads: Vec::new(),
        };
        for index in 0..count {
            // If this fails, those that have been started are stopped by the drop of `workers`.
            let (handle, worker) = Worker::start(builder.clone(), index)?;
            workers.handles.push(handle);
            workers.threads.push(worker);
        }
        Ok(workers)
    }

    /// The handles of the runtimes, in the order of their numbers, which count from 0.
    ///
    /// # Examples
    ///
    /// ```
    /// let workers = glassfrog::Workers::new(2)?;
    /// let task = workers.handles()[1].spawn(async { std::thread::current().id() });
    /// let theirs = glassfrog::block_on(async { task.await }).unwrap();
    /// assert_ne!(theirs, std::thread::current().id());
    /// # std::io::Result::Ok(())
    /// ```
    pub fn handles(&self) -> &[Handle] {
        &self.handles
    }

    /// Spawns a task on each worker: the closure is called there, with the worker's number.
    ///
    /// # Examples
    ///
    /// ```
    /// let workers = glassfrog::Workers::new(2)?;
    /// let tasks = workers.spawn_on_each(|index| async move { index + 1 });
    /// glassfrog::block_on(async {
    ///     for (index, task) in tasks.into_iter().enumerate() {
    ///         assert_eq!(task.await.unwrap(), index + 1);
    ///     }
    /// });
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn spawn_on_each<C, F>(&self, build: C) -> Vec<JoinHandle<F::Output>>
    where
        C: FnOnce(usize) -> F + Clone + Send + 'static,
        F: Future + 'static,
        F::Output: Send + 'static,
    {
        let mut tasks = Vec::with_capacity(self.handles.len());
        for (index, handle) in self.handles.iter().enumerate() {
            let build = build.clone();
            tasks.push(handle.spawn_with(move || build(index)));
        }
        tasks
    }

    /// Runs a future on each worker, blocks this thread until all have ended, and stops the workers.
    /// The outputs come in the order of the workers' numbers.
    ///
    /// If one panics, or its runtime is [ended by a panic](Builder::on_task_panic), the others are
    /// cancelled: what comes out is one [`JoinError`] that [is a panic](JoinError::is_panic), and
    /// others that [are cancelled](JoinError::is_cancelled).
    ///
    /// # Panics
    ///
    /// Inside a runtime, whose thread this would block; if the operating system has no descriptors
    /// left for another runtime, which waits for the others; and with the panic of another task, if
    /// that ended a runtime.
    ///
    /// # Examples
    ///
    /// See [`Workers`].
    #[track_caller]
    pub fn run<C, F>(self, build: C) -> Vec<Result<F::Output, JoinError>>
    where
        C: FnOnce(usize) -> F + Clone + Send + 'static,
        F: Future + 'static,
        F::Output: Send + 'static,
    {
        assert!(
            Handle::try_current().is_none(),
            "`Workers::run` inside a runtime would stop all its tasks: use `spawn_on_each`, and \
             `.await` the handles"
        );
        let tasks = self.spawn_on_each(build);
        let outcomes: Vec<_> = block_on(async {
            let aborts: Vec<_> = tasks.iter().map(JoinHandle::abort_handle).collect();
            let mut outcomes: Vec<_> = tasks.iter().map(|_| None).collect();
            let mut running = JoinSet::new();
            for (index, task) in tasks.into_iter().enumerate() {
                running.spawn(async move { (index, task.await) });
            }
            while let Some(Ok((index, outcome))) = running.join_next().await {
                if outcome.is_err() {
                    aborts.iter().for_each(AbortHandle::abort);
                }
                outcomes[index] = Some(outcome);
            }
            outcomes.into_iter().flatten().collect()
        });
        let told =
            |outcome: &Result<_, JoinError>| outcome.as_ref().is_err_and(JoinError::is_panic);
        match self.stop() {
            Err(error) if !outcomes.iter().any(told) => resume_unwind(error.into_panic()),
            _ => outcomes,
        }
    }

    /// Stops all workers at once, and waits for their threads: the tasks that still run are
    /// cancelled, as by the drop of a [`Runtime`](crate::Runtime). A task that blocks its thread
    /// holds this up. On a thread of the workers themselves that one is not waited for.
    ///
    /// # Errors
    ///
    /// With the panic that [ended a runtime](Builder::on_task_panic), if there was one; if there were
    /// several, with that of the worker whose number is the lowest. The `?` of a function that returns an
    /// [`io::Result`] takes the error.
    ///
    /// # Examples
    ///
    /// ```
    /// let workers = glassfrog::Workers::new(2)?;
    /// let tasks = workers.spawn_on_each(|_| std::future::pending::<()>());
    /// workers.stop()?;
    /// glassfrog::block_on(async {
    ///     for task in tasks {
    ///         assert!(task.await.unwrap_err().is_cancelled());
    ///     }
    /// });
    /// # std::io::Result::Ok(())
    /// ```
    pub fn stop(mut self) -> Result<(), WorkerError> {
        self.end()
    }

    /// Ends all runtimes, and waits for their threads. The second time there are none.
    fn end(&mut self) -> Result<(), WorkerError> {
        self.threads.iter().for_each(|worker| worker.end.come());
        let this = thread::current().id();
        let workers = self.threads.drain(..);
        let others = workers.filter(|worker| worker.thread.thread().id() != this);
        // All are joined before the first panic is looked for.
        let ends: Vec<_> = others.map(Worker::join).collect();
        ends.into_iter().collect()
    }
}

/// The panic that ended the runtime of a worker; see [`Workers::stop`].
///
/// It converts into an [`io::Error`], so that the `?` of a function that returns an [`io::Result`] takes
/// it.
///
/// # Examples
///
/// ```
/// # std::panic::set_hook(Box::new(|_| {}));
/// use glassfrog::{Builder, OnTaskPanic, Workers, block_on};
///
/// let builder = Builder::new().on_task_panic(OnTaskPanic::EndRuntime);
/// let workers = Workers::build(builder, 2)?;
/// let task = workers.handles()[1].spawn(async { panic!("out of luck") });
/// assert!(block_on(task).unwrap_err().is_panic());
/// # let handle = workers.handles()[1].clone();
/// # while block_on(handle.spawn(async {})).is_ok() {}
///
/// let error = workers.stop().unwrap_err();
/// assert_eq!(error.worker(), 1);
/// assert_eq!(error.to_string(), "a panic ended worker 1: out of luck");
/// # std::io::Result::Ok(())
/// ```
pub struct WorkerError {
    /// The number of the worker.
    worker: usize,
    /// What the panic carries. The lock only makes what is `Send` also `Sync`; it is taken for as long as
    /// it takes to look at the message.
    panic: Mutex<Box<dyn Any + Send>>,
}

impl WorkerError {
    /// Returns the number of the worker, which is the index of its handle in
    /// [`Workers::handles`].
    ///
    /// # Examples
    ///
    /// See [`WorkerError`].
    pub fn worker(&self) -> usize {
        self.worker
    }

    /// Returns what the panic carries, to be passed on with [`resume_unwind`].
    ///
    /// # Examples
    ///
    /// ```
    /// # std::panic::set_hook(Box::new(|_| {}));
    /// use glassfrog::{Builder, OnTaskPanic, Workers, block_on};
    ///
    /// let builder = Builder::new().on_task_panic(OnTaskPanic::EndRuntime);
    /// let workers = Workers::build(builder, 1)?;
    /// let task = workers.handles()[0].spawn(async { std::panic::panic_any(42_i32) });
    /// assert!(block_on(task).unwrap_err().is_panic());
    /// # let handle = workers.handles()[0].clone();
    /// # while block_on(handle.spawn(async {})).is_ok() {}
    ///
    /// let payload = workers.stop().unwrap_err().into_panic();
    /// assert_eq!(*payload.downcast::<i32>().unwrap(), 42);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn into_panic(self) -> Box<dyn Any + Send + 'static> {
        self.panic
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for WorkerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Copied: what is formatted into is foreign, and must not run under the lock.
        let message = panic_message(&**lock(&self.panic)).to_owned();
        write!(f, "a panic ended worker {}: {message}", self.worker)
    }
}

/// One line, for `main` functions that return the error.
impl fmt::Debug for WorkerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WorkerError({self})")
    }
}

impl Error for WorkerError {}

impl From<WorkerError> for io::Error {
    fn from(error: WorkerError) -> io::Error {
        io::Error::other(error)
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        // Who wants to know calls `stop`.
        swallow_panics(|| drop(self.end()));
    }
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workers")
            .field("handles", &self.handles)
            .finish_non_exhaustive()
    }
}

impl Worker {
    /// Starts one runtime on a thread, and waits until it is there.
    fn start(builder: Builder, index: usize) -> io::Result<(Handle, Worker)> {
        let (sender, receiver) = mpsc::channel();
        let end = Arc::new(End::default());
        let theirs = Arc::clone(&end);
        let thread = thread::Builder::new()
            .name(format!("glassfrog-{index}"))
            .spawn(move || {
                let runtime = match builder.build() {
                    Ok(runtime) => runtime,
                    Err(error) => return drop(sender.send(Err(error))),
                };
                drop(sender.send(Ok(runtime.handle())));
                runtime.block_on(poll_fn(|cx| theirs.poll(cx)));
            })?;
        let error = match receiver.recv() {
            Ok(Ok(handle)) => return Ok((handle, Worker { index, end, thread })),
            Ok(Err(error)) => error,
            Err(_) => io::Error::other("the thread of a worker has ended"),
        };
        // It is about to end, and has nothing to say but that.
        let _end = thread.join();
        Err(error)
    }

    /// Waits for the thread, which is about to end.
    fn join(self) -> Result<(), WorkerError> {
        self.thread.join().map_err(|panic| WorkerError {
            worker: self.index,
            panic: Mutex::new(panic),
        })
    }
}
