//! [`block_on`], [`Runtime`] and [`Builder`]: the entry points of a program into a runtime.
//!
//! A [`Runtime`] owns an [`EventLoop`], which does the work. The handle that other threads use is in
//! `handle.rs`.

#[cfg(unix)]
mod descriptor;
#[cfg(feature = "timeline")]
mod timeline;
mod turn;

use crate::context;
use crate::event_loop::deadlock::OnDeadlock;
use crate::event_loop::{EventLoop, Settings, TIMELINE_EVENTS, TimelineOutput};
use crate::executor::OnTaskPanic;
use crate::handle::Handle;
use crate::timeline::output::Output;
use std::fmt;
use std::io;
use std::panic::Location;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Runs a future to completion on a new runtime, and returns its output.
///
/// When the future completes, the runtime ends too, and cancels all [`spawn`](crate::spawn)ed tasks that have
/// not finished. To keep such tasks for another call, use a [`Runtime`].
///
/// # Panics
///
/// Panics if this thread is inside a runtime, if the operating system has no descriptors left for a new
/// runtime ([`Runtime::new`] returns an error instead), or if the future panics.
///
/// # Examples
///
/// ```
/// let sum = glassfrog::block_on(async { 1 + 2 });
/// assert_eq!(sum, 3);
/// ```
#[track_caller]
pub fn block_on<F: Future>(future: F) -> F::Output {
    match Runtime::new() {
        Ok(runtime) => runtime.block_on(future),
        Err(error) => panic!("cannot create a runtime: {error}"),
    }
}

/// A runtime: an event loop with its tasks, sockets and timers.
///
/// A runtime belongs to the thread that created it. Its tasks run only inside
/// [`block_on`](Runtime::block_on), and are suspended between calls. Dropping the runtime drops the futures of
/// all tasks. Sockets, handles and sleeps may outlive the runtime; using them then returns an error or panics.
///
/// # Examples
///
/// ```
/// let runtime = glassfrog::Runtime::new()?;
/// let task = runtime.block_on(async { glassfrog::spawn(async { "done" }) });
/// assert_eq!(runtime.block_on(task).unwrap(), "done");
/// # std::io::Result::Ok(())
/// ```
///
/// A runtime is not `Send`. To run one in the background, create it on its own thread, and run a future that
/// completes when the runtime should stop:
///
/// ```
/// use futures_channel::oneshot;
/// use glassfrog::{Handle, Runtime};
/// use std::sync::mpsc;
/// use std::thread;
///
/// let (send_handle, handle) = mpsc::channel();
/// let (stop, stopped) = oneshot::channel::<()>();
/// let background = thread::spawn(move || {
///     let runtime = Runtime::new()?;
///     send_handle.send(runtime.handle()).ok();
///     // Completes when `stop` is dropped. The runtime then cancels the remaining tasks.
///     runtime.block_on(stopped).ok();
///     std::io::Result::Ok(())
/// });
///
/// let handle: Handle = handle.recv().unwrap();
/// let task = handle.spawn(async { 6 * 7 });
/// // The handle of the task works under any executor.
/// # let task = async { task.await };
/// assert_eq!(glassfrog::block_on(task).unwrap(), 42);
///
/// drop(stop);
/// background.join().unwrap()?;
/// # std::io::Result::Ok(())
/// ```
pub struct Runtime {
    /// The event loop. While it runs, the context of the thread shares it.
    pub(crate) event_loop: Rc<EventLoop>,
}

impl Runtime {
    /// Creates a runtime with the settings of [`Builder::new`].
    ///
    /// # Errors
    ///
    /// Returns an error if the operating system has no descriptors or memory left for the event queue.
    ///
    /// # Examples
    ///
    /// ```
    /// let runtime = glassfrog::Runtime::new()?;
    /// assert_eq!(runtime.block_on(async { 7 }), 7);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn new() -> io::Result<Runtime> {
        Runtime::builder().build()
    }

    /// Returns a builder, which configures a runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// let runtime = glassfrog::Runtime::builder().build()?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Runs a future to completion, along with the tasks of the runtime.
    ///
    /// The future need be neither `Send` nor `'static`. It is scheduled like a task. When it completes, the
    /// remaining tasks are suspended until the next call.
    ///
    /// # Panics
    ///
    /// Panics if this thread is inside a runtime, if the future panics, or if a
    /// [virtual clock](Builder::virtual_clock) reaches its end. The runtime can be used again after such a panic.
    ///
    /// Panics if the panic of a task [ends the runtime](Builder::on_task_panic). Every later call panics too.
    ///
    /// Panics in a deadlock under [`OnDeadlock::Panic`].
    ///
    /// # Examples
    ///
    /// ```
    /// let runtime = glassfrog::Runtime::new()?;
    /// let text = String::from("borrowed");
    /// let length = runtime.block_on(async { text.len() });
    /// assert_eq!(length, 8);
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.block_on_at(future, Some(Location::caller()))
    }

    /// Runs a future like [`block_on`](Runtime::block_on), which the program has called at `location`; `None` if the
    /// crate has called it itself.
    #[track_caller]
    pub(crate) fn block_on_at<F: Future>(
        &self,
        future: F,
        location: Option<&'static Location<'static>>,
    ) -> F::Output {
        let _context = context::enter_to_run(&self.event_loop);
        // Pinned after the context is entered, so that it is dropped inside the context.
        let root = pin!(future);
        self.event_loop.run(root, location)
    }

    /// Returns a handle, which spawns tasks onto this runtime from any thread.
    ///
    /// # Examples
    ///
    /// ```
    /// let runtime = glassfrog::Runtime::new()?;
    /// let handle = runtime.handle();
    /// let thread = std::thread::spawn(move || handle.spawn(async { 1 + 1 }));
    /// let task = thread.join().unwrap();
    /// assert_eq!(runtime.block_on(task).unwrap(), 2);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn handle(&self) -> Handle {
        Handle::new(Arc::clone(&self.event_loop.shared))
    }

    /// If the runtime has a seed, returns the last polls as text, a line for each task. For the attribute `test`.
    #[doc(hidden)]
    pub fn last_polls(&self) -> Option<String> {
        self.event_loop.executor.last_polls()
    }

    /// Drops the runtime, then waits for running blocking jobs to return, but no longer than `timeout`.
    ///
    /// This method cancels jobs that wait for a thread, and does not wait for name lookups that were abandoned, nor
    /// for a read of standard input. Dropping a runtime without calling it does not wait for any job.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::task::spawn_blocking;
    /// use std::sync::atomic::{AtomicBool, Ordering};
    /// use std::sync::{Arc, mpsc};
    /// use std::time::Duration;
    ///
    /// let runtime = glassfrog::Runtime::new()?;
    /// let saved = Arc::new(AtomicBool::new(false));
    /// let theirs = Arc::clone(&saved);
    /// let (begun, has_begun) = mpsc::channel();
    /// runtime.block_on(async {
    ///     spawn_blocking(move || {
    ///         begun.send(()).ok();
    ///         // Writes to a disk.
    ///         theirs.store(true, Ordering::Relaxed);
    ///     });
    /// });
    /// has_begun.recv().unwrap();
    /// runtime.shutdown_timeout(Duration::from_secs(10));
    /// assert!(saved.load(Ordering::Relaxed));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn shutdown_timeout(self, timeout: Duration) {
        let pool = Arc::clone(&self.event_loop.shared.pool);
        drop(self);
        pool.wait(timeout);
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        let _context = context::enter(&self.event_loop);
        self.event_loop.shut_down();
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.event_loop.fmt(f)
    }
}

/// A builder that configures a [`Runtime`].
///
/// # Examples
///
/// ```
/// let runtime = glassfrog::Builder::new().build()?;
/// assert_eq!(runtime.block_on(async { "built" }), "built");
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct Builder {
    /// The settings chosen so far.
    settings: Settings,
}

impl Builder {
    /// Creates a builder with the default settings.
    ///
    /// # Examples
    ///
    /// ```
    /// let runtime = glassfrog::Builder::new().build()?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn new() -> Builder {
        Builder::default()
    }

    /// Stops time while any task can run, so that tests of long waits finish at once.
    ///
    /// When no task is ready and no socket has an event, the clock jumps to the next deadline. A
    /// test that sleeps for a year takes a millisecond, and always runs in the same order.
    /// [`time::advance`](crate::time::advance) moves the clock by hand.
    ///
    /// A [blocking job](crate::task::spawn_blocking) stops the clock while it is queued or running, and so do
    /// a name lookup until it is abandoned, and a write to [`stdout`](crate::io::stdout()) or `stderr`. Data that this
    /// process sends to itself over loopback arrives before the clock moves. Nothing else stops the clock. If a task
    /// waits for standard input, for another process, or for a thread outside the blocking pool, deadlines pass
    /// before the answer arrives: use the real clock there. A blocking job that waits for a deadline of this runtime
    /// waits forever, because it stops the clock.
    ///
    /// # Standstill
    ///
    /// A task that calls [`yield_now`](crate::task::yield_now) or `sleep(Duration::ZERO)` until something
    /// happens is always ready. If the event depends on a deadline, the clock never reaches that deadline. The
    /// runtime logs a warning after 1,000,000 polls in which a deadline was pending, the clock did not move, and
    /// no blocking job stopped it. The warning names the busiest tasks and the deadline, and is not repeated
    /// until the clock has moved. `#[glassfrog::test]` also prints it to the standard error stream. To avoid the
    /// standstill, await the event, or sleep for a nonzero duration between attempts.
    ///
    /// # Panics
    ///
    /// The clock ends 200 years after the runtime is created. `block_on` panics when no task is ready and the
    /// next deadline is later than that, and `advance` panics if it would move the clock past its end. A sleep
    /// whose deadline is more than 584 years after the runtime is created never ends. If the runtime waits for
    /// nothing else, that is a [deadlock](Builder::on_deadlock).
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::time::{now, sleep};
    /// use std::time::Duration;
    ///
    /// let runtime = glassfrog::Runtime::builder().virtual_clock().build()?;
    /// runtime.block_on(async {
    ///     let before = now();
    ///     let year = Duration::from_secs(365 * 24 * 60 * 60);
    ///     sleep(year).await;
    ///     assert_eq!(now() - before, year);
    /// });
    /// # std::io::Result::Ok(())
    /// ```
    pub fn virtual_clock(mut self) -> Builder {
        self.settings.virtual_clock = true;
        self
    }

    /// Polls ready tasks in a random order that the seed determines, so tests can search for an order in which
    /// they fail.
    ///
    /// # Possible orders
    ///
    /// For each poll, the runtime chooses among all ready tasks, each with the same probability. The future of
    /// [`block_on`](Runtime::block_on) is one of them. A task that [yields](crate::task::yield_now) stays ready and
    /// may be polled again at once, so one task may take many steps while another takes none. There is one
    /// limit: a ready task is *passed over* when a task that became ready later is polled instead, and no task
    /// is passed over more than 64 times in a row. Every order within this limit is possible. If far more than
    /// 64 tasks are ready, the limit leaves little choice, so search with few tasks.
    ///
    /// The [fairness promise](crate::task#fairness) holds only without a seed. With a seed, this limit replaces
    /// its bounds on polls and time.
    ///
    /// # Impossible orders
    ///
    /// - Tasks switch only at `.await`: a poll is never interrupted.
    /// - The futures that a task itself polls are not shuffled, such as the futures of a `join!` or the children
    ///   of a [`scope`](crate::task::scope).
    /// - A seed controls neither the events of the operating system, nor a real clock, nor other threads. A
    ///   test that depends on none of these runs in the same order on every platform. Another version of
    ///   glassfrog may choose other orders for the same seeds.
    ///
    /// # How to search
    ///
    /// Run the test with many seeds. `#[glassfrog::test(iterations = 1000)]` does this, and prints the first
    /// seed that fails and the last polls of its run. (If you create the runtime yourself, print the seed
    /// yourself.) A bug that needs `n` particular choices in a row among `k` ready tasks shows up with about one
    /// in `k`ⁿ seeds. For example, if the bug needs five steps of one of three tasks before the others take any,
    /// about one in 243 seeds shows it.
    ///
    /// # Examples
    ///
    /// Two tasks increment a counter. If both read it before either writes, one update is lost:
    ///
    /// ```
    /// use glassfrog::task::yield_now;
    /// use std::cell::Cell;
    /// use std::rc::Rc;
    ///
    /// fn count(seed: u64) -> u32 {
    ///     let runtime = glassfrog::Runtime::builder().seed(seed).build().unwrap();
    ///     runtime.block_on(async {
    ///         let count = Rc::new(Cell::new(0));
    ///         let tasks = [(); 2].map(|()| {
    ///             let count = Rc::clone(&count);
    ///             glassfrog::spawn(async move {
    ///                 let read = count.get();
    ///                 yield_now().await;
    ///                 count.set(read + 1);
    ///             })
    ///         });
    ///         for task in tasks {
    ///             task.await.unwrap();
    ///         }
    ///         count.get()
    ///     })
    /// }
    ///
    /// assert_eq!(count(1), count(1));
    /// // In some orders, one task writes before the other reads; in others, it does not.
    /// assert!((0..64).any(|seed| count(seed) == 2));
    /// assert!((0..64).any(|seed| count(seed) == 1));
    /// ```
    pub fn seed(mut self, seed: u64) -> Builder {
        self.settings.seed = Some(seed);
        self
    }

    /// Sets the maximum number of threads that run [blocking jobs](crate::task::spawn_blocking). The default is
    /// 512.
    ///
    /// Threads that run name lookups do not count towards this limit. See
    /// [`ToSocketAddrs`](crate::net::ToSocketAddrs#name-resolution) for their number.
    ///
    /// # Panics
    ///
    /// Panics if `threads` is zero.
    ///
    /// # Examples
    ///
    /// ```
    /// let runtime = glassfrog::Runtime::builder().blocking_threads(4).build()?;
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn blocking_threads(mut self, threads: usize) -> Builder {
        assert!(threads > 0, "`threads` must be at least 1");
        self.settings.blocking_threads = threads;
        self
    }

    /// Sets what happens when a task panics. The default is [`OnTaskPanic::Log`].
    ///
    /// With [`OnTaskPanic::EndRuntime`], every panic of a task ends the runtime, even if the task has a handle:
    /// the runtime cancels all tasks, and `block_on` resumes the panic. Every later call of `block_on` panics
    /// too. The panic of a [blocking job](crate::task::spawn_blocking) never ends the runtime; only its handle
    /// returns it.
    ///
    /// # Examples
    ///
    /// ```should_panic
    /// use glassfrog::OnTaskPanic;
    ///
    /// let runtime = glassfrog::Runtime::builder()
    ///     .on_task_panic(OnTaskPanic::EndRuntime)
    ///     .build()?;
    /// runtime.block_on(async {
    ///     glassfrog::spawn(async { panic!("this must not go unnoticed") });
    ///     std::future::pending::<()>().await
    /// });
    /// # std::io::Result::Ok(())
    /// ```
    pub fn on_task_panic(mut self, policy: OnTaskPanic) -> Builder {
        self.settings.on_task_panic = policy;
        self
    }

    /// Logs a warning after each poll that takes longer than `limit`.
    ///
    /// The warning names the task, where it was spawned, and how long the poll took. While a task is being polled,
    /// no other task on its thread runs, so move blocking calls to
    /// [`spawn_blocking`](crate::task::spawn_blocking). In debug builds, the default limit is 100 ms, and
    /// [`Duration::MAX`] turns the warning off. In release builds, the warning is off by default.
    ///
    /// Warnings about tasks that were spawned at the same place and have the same name or none are folded: the first one
    /// is logged at once, the next one at least ten seconds later, with the number of slow polls in between and the
    /// longest of them. The end of the runtime logs the rest. If tasks of one place have many names, some of them share a
    /// count. [`Metrics::slow_polls`](crate::Metrics::slow_polls) counts all slow polls.
    ///
    /// # Costs
    ///
    /// Each poll reads the clock twice, which takes about 50 ns.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let runtime = glassfrog::Builder::new().watchdog(Duration::from_millis(10)).build()?;
    /// runtime.block_on(async {
    ///     // No task should do this.
    ///     std::thread::sleep(Duration::from_millis(20));
    ///     glassfrog::task::yield_now().await;
    ///     assert_eq!(glassfrog::Handle::current().metrics().slow_polls, 1);
    /// });
    /// # std::io::Result::Ok(())
    /// ```
    pub fn watchdog(mut self, limit: Duration) -> Builder {
        self.settings.watchdog = Some(limit);
        self
    }

    /// Starts a thread that logs a warning *during* each poll that takes longer than `limit`, so even a poll that
    /// never returns is reported. Repeated warnings are folded, as those of [`watchdog`](Builder::watchdog).
    ///
    /// # Costs
    ///
    /// The thread wakes up four times within `limit`, but at most once per millisecond. Each poll reads the clock
    /// twice, takes a lock and copies the name of the task, which takes about 100 ns in total.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let builder = glassfrog::Builder::new().watchdog_thread(Duration::from_secs(1));
    /// let runtime = builder.build()?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn watchdog_thread(mut self, limit: Duration) -> Builder {
        self.settings.watchdog_thread = Some(limit);
        self
    }

    /// Sets what happens in a deadlock: when it is certain that no task will ever be woken, or that some tasks [wait for
    /// one another](#circles) forever. The default is [`OnDeadlock::Log`].
    ///
    /// It is certain that no task will ever be woken if all of the following hold:
    ///
    /// - no task waits for a deadline, a socket or a standard stream;
    /// - no blocking job is queued or runs;
    /// - [nothing holds a waker](#nothing-holds-a-waker), or [no other thread could use one](#the-only-thread).
    ///
    /// Otherwise, a deadlock is possible but not certain: a sender may be on another thread.
    /// [`stall_report`](Builder::stall_report) reports a possible deadlock.
    ///
    /// The message lists the [circles](crate::Dump::circles) of tasks that wait for one another, and all tasks.
    /// [`OnDeadlock::Log`] logs it as an error. If no logger accepts errors, it prints the message to the standard
    /// error stream.
    ///
    /// # Circles
    ///
    /// Tasks that await one another in a circle are in a deadlock, even while other tasks work. The runtime searches for
    /// circles at most once a second, and only if a task has begun to wait for a task, a scope or a primitive of `sync`.
    /// The deadlock is certain if all of the following hold:
    ///
    /// - the circle leads through [`JoinHandle`](crate::task::JoinHandle)s, [`JoinSet`](crate::task::JoinSet)s and
    ///   [scopes](crate::task::scope()) alone, and no member also waits for something else;
    /// - only these waits hold the wakers of the members;
    /// - there is no [`AbortHandle`](crate::task::AbortHandle) of a member, and every child of a scope in the circle is
    ///   stuck.
    ///
    /// The message spells the circle out: `deadlock: "a" waits for "b" (join), which waits for "a" (join)`. A turn of a
    /// foreign loop also searches for circles, and follows the policy.
    ///
    /// Other circles are *likely*, such as one through a lock: the program may have moved the guard to another task. The
    /// runtime logs a warning about a likely circle, once, if none of its members has been polled for a second, or for
    /// three to six seconds if the circle leads through a receiver that no task has used yet. The warning does not
    /// depend on the policy, and goes to the standard error stream too if no logger accepts errors.
    /// [`Circle::is_likely`](crate::dump::Circle::is_likely) has the details.
    ///
    /// # Nothing holds a waker
    ///
    /// On every system, a deadlock is certain if all of the following hold:
    ///
    /// - there is no [`Handle`] and no [`AbortHandle`](crate::task::AbortHandle);
    /// - only the runtime itself holds the wakers of tasks;
    /// - only tasks of this runtime have ever waited for its sockets and sleeps.
    ///
    /// Under a [virtual clock](Builder::virtual_clock), a sleep that never ends, such as
    /// `sleep(Duration::MAX)`, does not count as a wait for a deadline.
    ///
    /// A [`JoinHandle`](crate::task::JoinHandle) that one task polls and another one reaches, through an `Rc` or on
    /// another thread, is not taken into account, although it can abort its task.
    ///
    /// # The only thread
    ///
    /// On Linux, a deadlock inside `block_on` is certain if no thread is left that could wake a task, whatever holds
    /// wakers and handles: a lock, a channel, a static variable. All other threads of the process must belong to
    /// glassfrog and wait for work: idle blocking threads, the thread of a [watchdog](Builder::watchdog_thread), threads
    /// that write a timeline during a slow poll or at a signal, the thread of `signal::dump_on_sigusr1`, and a thread
    /// that waits for the end of a `#[glassfrog::test]`.
    ///
    /// The runtime counts the threads (`/proc/self/status`) when it has been quiet for 20 ms to 2 s. It is not notified
    /// when a thread exits, so it counts them again, each time after twice the time.
    ///
    /// A process with any other thread gets no such answer, whatever the thread does. That includes a process with
    /// [`Workers`](crate::Workers), and one in which the harness of `cargo test` runs. A
    /// [turn](Runtime::turn) never counts the threads, because the foreign loop around it may wake anything.
    ///
    /// Two ways to wake a task are not supported, because no thread shows that they exist:
    ///
    /// - a signal handler that calls a waker itself. Let it write into a pipe that a task reads, or use the module
    ///   `signal`;
    /// - a thread-local variable that a blocking job has set, and whose destructor wakes a task. It runs when the idle
    ///   thread exits, after ten seconds without a job.
    ///
    /// # Examples
    ///
    /// ```should_panic
    /// use glassfrog::OnDeadlock;
    ///
    /// let builder = glassfrog::Builder::new().on_deadlock(OnDeadlock::Panic);
    /// let runtime = builder.build()?;
    /// // Panics with a dump, which says that nothing holds the waker of `main`.
    /// runtime.block_on(std::future::pending::<()>());
    /// # std::io::Result::Ok(())
    /// ```
    pub fn on_deadlock(mut self, policy: OnDeadlock) -> Builder {
        self.settings.on_deadlock = policy;
        self
    }

    /// Logs a warning with a dump when a deadlock has been possible for the duration `after`.
    ///
    /// A deadlock is possible if no task is ready or waits for a deadline, a socket or a blocking job. A mutex that a
    /// task locks twice, or a channel whose sender is never used, causes such a wait. The warning lists the
    /// [circles](crate::Dump::circles) of tasks that wait for one another, and all tasks. If something outside the
    /// runtime holds a waker or a handle, it says that only something outside can wake a task. The warning is not
    /// repeated until a task has run. If the deadlock is certain, the [policy](Builder::on_deadlock) takes effect
    /// instead, unless it is [`OnDeadlock::Ignore`].
    ///
    /// The report is off by default. Leave it off in a runtime that works for other threads, where such a wait is
    /// normal. In a server, some task always listens or sleeps, so the warning is never logged: take a
    /// [dump](Handle::dump) instead. `#[glassfrog::test]` sets five seconds, and also prints the warning to the
    /// standard error stream, under the name of the test.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let builder = glassfrog::Builder::new().stall_report(Duration::from_secs(5));
    /// let runtime = builder.build()?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn stall_report(mut self, after: Duration) -> Builder {
        self.settings.stall_report = Some(after);
        self
    }

    /// Chooses whether the runtime records where in the program each task waits.
    ///
    /// If it does, a [dump](crate::task::dump) shows below each wait the chain of async functions that led to it, the
    /// innermost first:
    ///
    /// ```text
    /// task         spawned at      age  polls  state    waits for
    /// 1 "auditor"  src/main.rs:9  12 s      1  waiting  read tcp 127.0.0.1:40112 → 127.0.0.1:80 for 12 s
    ///                                                     src/client.rs:88 read_reply ← src/client.rs:40 call ← src/main.rs:12 main
    /// ```
    ///
    /// The chain has the functions of the program, its closures and its async blocks, and those of other crates. It
    /// leaves out the standard library, glassfrog, and crates that only combine futures. A wait in a child of a
    /// [`scope`](crate::task::scope()) continues with the functions of the parent.
    ///
    /// If this method is not called, the environment decides: `GLASSFROG_TRACE_WAITS=1` turns the traces on, without a
    /// change to the program. The variable is read by [`build`](Builder::build). `trace_waits(false)` wins over it.
    ///
    /// # Debug information
    ///
    /// The chain needs debug information. In a release build, choose it in `Cargo.toml`:
    ///
    /// | `[profile.release]` | a link of the chain |
    /// | --- | --- |
    /// | `debug = 1` | `src/client.rs:88 read_reply` |
    /// | `debug = "line-tables-only"` | `src/client.rs:88`; a function that is not async also has its name |
    /// | none | `read_reply`; functions that the compiler has inlined are missing, and often that is all of them |
    ///
    /// # Cost
    ///
    /// Each wait captures a [`Backtrace`](std::backtrace::Backtrace) and stores it: in a release build on an AMD EPYC, some
    /// 8 µs and 2 kB under a stack of 20 frames, and more under a deeper one. A debug build takes
    /// about three times as long. A task that is polled while it waits captures nothing again. The traces of waits that
    /// have ended are dropped from time to time, so that there are at most about twice as many as waits.
    ///
    /// The trace is resolved when the dump is displayed, on the thread that displays it, and only for the lines that it
    /// prints. The first resolution in a process reads the debug information, which takes some 100 ms; each later one
    /// takes about 0.2 ms. A runtime that traces nothing pays one comparison for each wait.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::{Runtime, task};
    /// use std::future::pending;
    ///
    /// async fn read_reply() {
    ///     task::waiting_for("the reply", pending()).await
    /// }
    ///
    /// let runtime = Runtime::builder().trace_waits(true).build()?;
    /// runtime.block_on(async {
    ///     let _reply = glassfrog::spawn(read_reply());
    ///     task::yield_now().await;
    ///     let dump = task::dump().to_string();
    ///     # if cfg!(debug_assertions) {
    ///     assert!(dump.contains("read_reply"), "{dump}");
    ///     # }
    /// });
    /// # std::io::Result::Ok(())
    /// ```
    pub fn trace_waits(mut self, traces: bool) -> Builder {
        self.settings.trace_waits = Some(traces);
        self
    }

    /// Also prints the reports of possible deadlocks and of standstills to the standard error stream, with the name of
    /// the thread. For the attribute `test`, whose threads have the names of the tests.
    #[doc(hidden)]
    pub fn stall_to_stderr(mut self) -> Builder {
        self.settings.stall_to_stderr = true;
        self
    }

    /// Replaces the timeouts of several seconds: how long a dump waits for the loop, how long an idle thread waits
    /// for a job, and how long no blocking job begins before the pool reports it. For the crate's own tests.
    #[doc(hidden)]
    pub fn test_patience(mut self, patience: Duration) -> Builder {
        self.settings.test_patience = Some(patience);
        self
    }

    /// Lets the runtime write its timeline to a file that it shares with others, or to none, whatever the environment says.
    pub(crate) fn timeline_output(mut self, output: Option<Arc<Output>>) -> Builder {
        self.settings.output = TimelineOutput::Chosen(output);
        self
    }

    /// If `is_recorded`, lets the runtime record a timeline for the attribute `test`, which writes it itself.
    #[cfg_attr(not(feature = "macros"), expect(dead_code, reason = "for `test_runs`"))]
    pub(crate) fn test_timeline(mut self, is_recorded: bool) -> Builder {
        if is_recorded {
            self.settings.output = TimelineOutput::Chosen(None);
            self.settings.timeline = Some(TIMELINE_EVENTS);
        }
        self
    }

    /// Returns the file that the environment names for the timeline, if the builder has not chosen one.
    pub(crate) fn find_timeline_output(&self) -> Option<Arc<Output>> {
        self.settings.output()
    }

    /// Makes the runtime that of the worker with this number.
    pub(crate) fn worker(mut self, number: usize) -> Builder {
        self.settings.worker = Some(number);
        self
    }

    /// Creates the runtime.
    ///
    /// # Errors
    ///
    /// Returns an error if the operating system has no descriptors or memory left for the event queue, or cannot
    /// start the thread of the watchdog. On Linux, a runtime uses three descriptors.
    ///
    /// # Examples
    ///
    /// ```
    /// let runtime = glassfrog::Runtime::builder().build()?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn build(self) -> io::Result<Runtime> {
        Ok(Runtime {
            event_loop: Rc::new(EventLoop::new(&self.settings)?),
        })
    }
}
