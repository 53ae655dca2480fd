//! [`Workers`]: one runtime a core, on threads of their own.

use crate::entry::{Builder, block_on};
use crate::handle::Handle;
use crate::sync::{Mutex, lock};
use crate::task::{AbortHandle, JoinError, JoinHandle, JoinSet};
use crate::waiter::{muffled, wake_all};
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::panic::resume_unwind;
use std::sync::{Arc, mpsc};
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
            Err(panic) if !outcomes.iter().any(told) => resume_unwind(panic),
            _ => outcomes,
        }
    }

    /// Stops all workers at once, and waits for their threads: the tasks that still run are
    /// cancelled, as by the drop of a [`Runtime`](crate::Runtime). A task that blocks its thread
    /// holds this up. On a thread of the workers themselves that one is not waited for.
    ///
    /// # Errors
    ///
    /// With the panic that ended a runtime, if there was one; see
    /// [`Builder::on_task_panic`].
    ///
    /// # Examples
    ///
    /// ```
    /// let workers = glassfrog::Workers::new(2)?;
    /// let tasks = workers.spawn_on_each(|_| std::future::pending::<()>());
    /// workers.stop().unwrap();
    /// glassfrog::block_on(async {
    ///     for task in tasks {
    ///         assert!(task.await.unwrap_err().is_cancelled());
    ///     }
    /// });
    /// # std::io::Result::Ok(())
    /// ```
    pub fn stop(mut self) -> thread::Result<()> {
        self.end()
    }

    /// Ends all runtimes, and waits for their threads. The second time there are none.
    fn end(&mut self) -> thread::Result<()> {
        self.threads.iter().for_each(|worker| worker.end.come());
        let this = thread::current().id();
        let threads = self.threads.drain(..).map(|worker| worker.thread);
        let others = threads.filter(|thread| thread.thread().id() != this);
        // All are joined before the first panic is looked for.
        let ends: Vec<_> = others.map(thread::JoinHandle::join).collect();
        ends.into_iter().collect()
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        // Who wants to know calls `stop`.
        muffled(|| drop(self.end()));
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
            Ok(Ok(handle)) => return Ok((handle, Worker { end, thread })),
            Ok(Err(error)) => error,
            Err(_) => io::Error::other("the thread of a worker has ended"),
        };
        // It is about to end, and has nothing to say but that.
        let _end = thread.join();
        Err(error)
    }
}
