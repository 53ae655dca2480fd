//! [`Workers`]: several runtimes, each on its own thread.

use crate::dump::WorkersDump;
use crate::foreign::{panic_message, swallow_panics};
use crate::handle::Handle;
use crate::handle::request::DumpRequest;
use crate::primitives::{Mutex, lock};
use crate::runtime::Builder;
use crate::task::oneshot::{Count, Oneshot};
use crate::task::{AbortHandle, JoinError, JoinHandle, JoinSet};
use crate::waiter::Tag;
use std::any::Any;
use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::panic::resume_unwind;
use std::sync::{Arc, PoisonError, mpsc};
use std::thread;

/// Several runtimes, each on its own thread.
///
/// glassfrog does not move tasks between threads. To use several cores, a program runs one runtime per core and
/// divides the work between them. Either each runtime has its own listener on a shared port (`SO_REUSEPORT` in
/// `socket(7)`), or the program spawns tasks through the [`Handle`]s.
///
/// If the environment asks for a [timeline](crate::timeline#without-touching-the-program), the last worker to end writes one
/// file for all.
///
/// Dropping the workers stops them and waits for their threads.
///
/// # Examples
///
/// ```
/// use glassfrog::Workers;
///
/// let workers = Workers::new(2)?;
/// // Each worker calls the closure on its own thread, and the future stays there.
/// let squares = workers.run(|index| async move { index * index });
/// let squares: Result<Vec<_>, _> = squares.into_iter().collect();
/// assert_eq!(squares?, [0, 1]);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub struct Workers {
    /// The handles of the runtimes, in the order of the workers' numbers.
    handles: Vec<Handle>,
    /// The threads of the runtimes, in the same order.
    threads: Vec<Worker>,
}

/// The thread of one runtime.
struct Worker {
    /// The number of the worker.
    index: usize,
    /// Ends the `block_on` of the runtime, and thereby the thread.
    stop: Arc<Oneshot<()>>,
    /// The thread.
    thread: thread::JoinHandle<()>,
}

impl Workers {
    /// Starts `count` runtimes with the settings of [`Builder::new`]. For other settings see
    /// [`build`](Workers::build).
    ///
    /// [`available_parallelism`](thread::available_parallelism) returns the number of cores.
    ///
    /// # Errors
    ///
    /// Returns an error if the operating system has no threads, descriptors or memory left for one of the
    /// runtimes. The runtimes that have started are stopped.
    ///
    /// # Panics
    ///
    /// Panics if `count` is zero.
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

    /// Starts `count` runtimes with the settings of `builder`.
    ///
    /// # Errors
    ///
    /// Returns an error if the operating system has no threads, descriptors or memory left for one of the
    /// runtimes. The runtimes that have started are stopped.
    ///
    /// # Panics
    ///
    /// Panics if `count` is zero.
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
        assert!(count > 0, "`count` must be at least 1");
        let mut workers = Workers {
            handles: Vec::new(),
            threads: Vec::new(),
        };
        // One file for all.
        let output = builder.find_timeline_output();
        let builder = builder.timeline_output(output);
        for index in 0..count {
            // If this fails, the destructor of `workers` stops the runtimes that have started.
            let (handle, worker) = Worker::start(builder.clone().worker(index), index)?;
            workers.handles.push(handle);
            workers.threads.push(worker);
        }
        Ok(workers)
    }

    /// Returns the handles of the runtimes. The index of a handle is the number of its worker.
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

    /// Returns the dumps of all runtimes, which show what every task is waiting for.
    ///
    /// This method blocks until all loops have answered, for at most one second altogether. On the thread of a worker,
    /// the dump of that worker is taken at once.
    ///
    /// # Examples
    ///
    /// ```
    /// let workers = glassfrog::Workers::new(2)?;
    /// let dump = workers.dump();
    /// assert!(dump.to_string().contains("worker 1"));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn dump(&self) -> WorkersDump {
        // All loops are asked before the first answer is awaited.
        let requests: Vec<_> = self.handles.iter().map(Handle::request_dump).collect();
        WorkersDump {
            dumps: requests.into_iter().map(DumpRequest::wait).collect(),
        }
    }

    /// Spawns a task on each worker. Each worker calls the closure on its own thread, with its number.
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

    /// Runs a future on each worker until all futures have completed, then stops the workers.
    ///
    /// This blocks the current thread. The outputs are in the order of the workers' numbers. If a future
    /// panics, or a panic [ends its runtime](Builder::on_task_panic), the other futures are cancelled. One of
    /// the results is then a [`JoinError`] that [is a panic](JoinError::is_panic), and others [are
    /// cancelled](JoinError::is_cancelled).
    ///
    /// # Panics
    ///
    /// Panics inside a runtime, whose thread this would block. Panics if the operating system has no descriptors
    /// left for one more runtime, in which this function waits. If the panic of another task has ended a runtime,
    /// this function resumes that panic.
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
            "cannot call `Workers::run` inside a runtime, whose thread it would block: use \
             `spawn_on_each` and `.await` the handles"
        );
        let tasks = self.spawn_on_each(build);
        // The timeline of the workers does not show this wait.
        let waiting = Builder::new().timeline_output(None).build();
        let waiting = waiting.unwrap_or_else(|error| panic!("cannot create a runtime: {error}"));
        let outcomes: Vec<_> = waiting.block_on(async {
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
        drop(waiting);
        let is_panic =
            |outcome: &Result<_, JoinError>| outcome.as_ref().is_err_and(JoinError::is_panic);
        match self.stop() {
            Err(error) if !outcomes.iter().any(is_panic) => resume_unwind(error.into_panic()),
            _ => outcomes,
        }
    }

    /// Stops all workers and waits for their threads to exit.
    ///
    /// Running tasks are cancelled, as if the [`Runtime`](crate::Runtime) were dropped. A task that blocks its
    /// thread delays this. If a task of a worker calls this function, it does not wait for that worker's thread.
    ///
    /// # Errors
    ///
    /// If a panic [ended a runtime](Builder::on_task_panic), returns that panic. If several runtimes ended in
    /// this way, returns the panic of the worker with the lowest number. The error converts into an
    /// [`io::Error`], so `?` works in a function that returns an [`io::Result`].
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

    /// Stops all workers and waits for their threads to exit. A second call does nothing.
    fn end(&mut self) -> Result<(), WorkerError> {
        for worker in &self.threads {
            // A worker that has ended does not receive the signal.
            let _ended = worker.stop.send((), Count::NONE);
        }
        let this = thread::current().id();
        let workers = self.threads.drain(..);
        let others = workers.filter(|worker| worker.thread.thread().id() != this);
        // All threads are joined before the first error is returned.
        let results: Vec<_> = others.map(Worker::join).collect();
        results.into_iter().collect()
    }
}

/// The error of [`Workers::stop`]: the panic that ended the runtime of a worker.
///
/// It converts into an [`io::Error`], so `?` works in a function that returns an [`io::Result`].
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
    /// The payload of the panic. The mutex makes it `Sync`, and is locked only to read the message.
    panic: Mutex<Box<dyn Any + Send>>,
}

impl WorkerError {
    /// Returns the number of the worker: the index of its handle in [`Workers::handles`].
    ///
    /// # Examples
    ///
    /// See [`WorkerError`].
    pub fn worker(&self) -> usize {
        self.worker
    }

    /// Returns the payload of the panic. To continue the panic, pass it to [`resume_unwind`].
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
        // Copied, because the formatter is foreign code and must not run under the lock.
        let message = panic_message(&**lock(&self.panic)).to_owned();
        write!(f, "a panic ended worker {}: {message}", self.worker)
    }
}

/// Prints one line, for `main` functions that return the error.
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
        // `stop` returns the panic of a worker; a destructor cannot.
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
    /// Starts a thread with a runtime, and waits until the runtime has been built.
    fn start(builder: Builder, index: usize) -> io::Result<(Handle, Worker)> {
        let (sender, receiver) = mpsc::channel();
        let stop = Arc::new(Oneshot::new());
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name(format!("glassfrog-{index}"))
            .spawn(move || {
                let runtime = match builder.build() {
                    Ok(runtime) => runtime,
                    Err(error) => return drop(sender.send(Err(error))),
                };
                drop(sender.send(Ok(runtime.handle())));
                runtime.block_on_at(poll_fn(|cx| stopped.poll(cx, Tag::NONE, Count::NONE)), None);
            })?;
        let error = match receiver.recv() {
            Ok(Ok(handle)) => {
                let worker = Worker {
                    index,
                    stop,
                    thread,
                };
                return Ok((handle, worker));
            }
            Ok(Err(error)) => error,
            Err(_) => {
                io::Error::other("the thread of a worker exited before it had built its runtime")
            }
        };
        // The thread is about to exit, and its result is the error that has been received.
        let _exited = thread.join();
        Err(error)
    }

    /// Waits for the thread to exit. The caller has sent the signal to stop.
    fn join(self) -> Result<(), WorkerError> {
        self.thread.join().map_err(|panic| WorkerError {
            worker: self.index,
            panic: Mutex::new(panic),
        })
    }
}
