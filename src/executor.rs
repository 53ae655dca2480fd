//! The executor: tasks, and the run queue of those that are ready.
//!
//! The loop in [`runtime`](crate::runtime) calls it; it knows no I/O and no time. Tasks live in a
//! slab of the thread that owns the runtime. A poll takes the task's box out of the slab, so that
//! no borrow is held while the future runs, and puts it back afterwards.
//!
//! ```text
//!            spawn               poll: Pending
//!              |         +-------------------------+
//!              v         v                         |
//!          +---------------+   taken out     +-----------+
//!          |   in the slab | --------------> |  running  |
//!          +---------------+                 +-----------+
//!              ^  drain                            | poll: Ready, a panic, or aborted
//!              |                                   v
//!          (shutdown drops it)   joined, or  +------------+
//!                                detached <- |  finished  |
//!                                            +------------+
//! ```

pub(crate) mod flag;
pub(crate) mod inbox;
pub(crate) mod local;
pub(crate) mod look;
pub(crate) mod outcome;
pub(crate) mod pulse;
mod shuffle;
pub(crate) mod task;

use self::flag::QueuedFlag;
use self::inbox::Inbox;
use self::local::Entered;
use self::look::Child;
use self::outcome::{Id, JoinError, OnTaskPanic, Payload};
use self::pulse::{Polling, Pulse, Tally, one_more};
use self::shuffle::Shuffle;
use self::task::{Run, TaskWaker};
use crate::clock::{Stamp, Stopwatch};
use crate::slab::{Key, Slab};
use crate::waiter::{Tag, Waiter, muffled, panic_message, shielded, trace, wake_all};
use futures_task::{ArcWake, waker_ref};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::mem;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// How many idle wakers are kept for the tasks to come.
///
/// A task that finishes without having waited gives its waker back at once, so one is enough for
/// those; this many cover a burst of connections that end together, in 6 KiB.
const SPARE_WAKERS: usize = 128;

/// The inbox of an executor.
pub(crate) type Remote = Inbox<Message>;

/// Wakes the loop if it is parked, without a message: there is something to be looked at anew.
impl ArcWake for Remote {
    fn wake_by_ref(this: &Arc<Self>) {
        this.nudge();
    }
}

/// A way into it that is counted.
pub(crate) type Outsider = inbox::Outsider<Message>;

/// Builds a task on the thread of its runtime, where it will have this key.
type MakeTask = Box<dyn FnOnce(Key) -> Pin<Box<dyn Run>> + Send>;

/// A task that other threads know before it has a key.
pub(crate) trait Placed: Send + Sync {
    /// Its key; `None` before it has one.
    fn key(&self) -> Option<Key>;

    /// Cancels it here and now if it is no task but a blocking job, and that waits for a thread. Says
    /// whether it is one.
    fn cancel_job(&self) -> bool;
}

/// What other threads have to say to an executor.
pub(crate) enum Message {
    /// This task is ready.
    Wake(Key),
    /// The handle of this task is gone.
    Detach(Key),
    /// This task is to be cancelled.
    Abort(Key),
    /// So is this one, which came, or will have come, by an earlier message.
    AbortPlaced(Arc<dyn Placed>),
    /// Here is a new task.
    Spawn {
        /// Makes the task.
        make: MakeTask,
        /// Who it is.
        origin: Origin,
    },
    /// Somebody wants to look at what only this thread sees.
    Look(Box<dyn FnOnce() + Send>),
}

/// Who a task is to those who look at it.
pub(crate) struct Origin {
    /// Its number.
    pub(crate) id: Id,
    /// What its spawner calls it.
    pub(crate) name: Option<Box<str>>,
    /// Where it was spawned.
    pub(crate) location: &'static Location<'static>,
}

/// What stands in the slab for a task.
struct Task {
    /// The future, or the outcome; taken out while it is being polled.
    run: Option<Pin<Box<dyn Run>>>,
    /// Its waker, between its first poll and its last; taken out while it is being polled.
    waker: Option<Arc<TaskWaker>>,
    /// Who awaits the join handle.
    joiner: Option<Waiter>,
    /// The number that users see.
    id: Id,
    /// Who spawned it.
    location: &'static Location<'static>,
    /// When it was spawned.
    spawned: Stamp,
    /// When it was polled last: in the turn that began then.
    polled: Stamp,
    /// How many times it was polled.
    polls: u32,
    /// Whether `run` holds an outcome.
    finished: bool,
    /// Whether the join handle is gone, so that nobody will take the outcome.
    detached: bool,
    /// Whether it is to be dropped instead of being polled again.
    aborted: bool,
    /// Whether it has a name, which stands elsewhere: most have none.
    named: bool,
}

/// Tasks and run queue of one runtime.
pub(crate) struct Executor {
    /// All tasks that run or whose outcome waits for its handle.
    tasks: RefCell<Slab<Task>>,
    /// The run queue: who is to be polled next, oldest first. Pushed to by spawns, by wakes on
    /// this thread, and when the inbox is emptied.
    ready: RefCell<VecDeque<Key>>,
    /// Who is next in the run queue, where that is not whoever has been ready the longest.
    shuffle: Option<Shuffle>,
    /// The names of those tasks that have one, by the low halves of their numbers.
    names: RefCell<HashMap<u32, Box<str>>>,
    /// What the panic of a task does.
    on_panic: OnTaskPanic,
    /// How long a poll may take without being told of, if that is watched.
    watchdog: Option<Duration>,
    /// Whether somebody wants to hear of each poll: the watchdog, its thread, or the log. Looked at
    /// once a turn.
    is_observed: Cell<bool>,
    /// The inbox, by which wakers and handles know whose they are.
    remote: Arc<Remote>,
    /// The waker of the root future, which has its place in the run queue under `Key::NONE`.
    root: Arc<TaskWaker>,
    /// How many times the root futures were polled.
    root_polls: Cell<u32>,
    /// When one was polled last.
    root_polled: Cell<Stamp>,
    /// When this turn of the loop began.
    turn: Cell<Stamp>,
    /// What other threads see of who is being polled.
    pulse: Arc<Pulse>,
    /// What is counted.
    tally: Tally,
    /// The children of scopes, which live in the futures of their parents, by their numbers.
    children: RefCell<HashMap<u32, Child>>,
    /// Wakers that nobody else holds, for the tasks to come.
    spare: RefCell<Vec<Arc<TaskWaker>>>,
    /// Set at the beginning of the shutdown: no task is taken any more.
    closed: Cell<bool>,
    /// The vector that the inbox is emptied into, kept for its room.
    messages: Cell<Vec<Message>>,
}

/// What the run queue says is next.
pub(crate) enum Next {
    /// The root future.
    Root,
    /// This task.
    Task(Key),
}

impl Executor {
    /// An executor without tasks, which other threads reach through `remote`. With a seed, the
    /// order in which ready tasks run is shuffled.
    pub(crate) fn new(
        remote: Arc<Remote>,
        pulse: Arc<Pulse>,
        seed: Option<u64>,
        on_panic: OnTaskPanic,
        watchdog: Option<Duration>,
    ) -> Executor {
        Executor {
            tasks: RefCell::new(Slab::new()),
            root: Arc::new(TaskWaker {
                remote: Arc::clone(&remote),
                key: Key::NONE,
                queued: QueuedFlag::default(),
            }),
            root_polls: Cell::new(0),
            root_polled: Cell::default(),
            turn: Cell::default(),
            tally: Tally::default(),
            children: RefCell::default(),
            ready: RefCell::new(VecDeque::new()),
            shuffle: seed.map(Shuffle::new),
            names: RefCell::new(HashMap::new()),
            on_panic,
            watchdog,
            is_observed: Cell::new(false),
            remote,
            pulse,
            spare: RefCell::new(Vec::new()),
            closed: Cell::new(false),
            messages: Cell::new(Vec::new()),
        }
    }

    /// Makes it the executor of this thread, until the guard is dropped.
    pub(crate) fn enter(self: &Rc<Self>) -> Entered {
        local::enter(self)
    }

    /// Whether `remote` is the inbox of this executor.
    fn is(&self, remote: &Arc<Remote>) -> bool {
        Arc::ptr_eq(&self.remote, remote)
    }

    /// Puts a task at the end of the run queue.
    fn push(&self, key: Key) {
        self.ready.borrow_mut().push_back(key);
    }

    /// Notes that a turn of the loop begins.
    pub(crate) fn begin_turn(&self, now: Stamp) {
        self.turn.set(now);
        self.pulse.begin_turn();
        self.publish();
        let traces = log::log_enabled!(target: "glassfrog::task", log::Level::Trace);
        self.is_observed.set(traces || self.pulse.is_watched());
    }

    /// Who is being polled.
    pub(crate) fn current_tag(&self) -> Tag {
        self.pulse.polling()
    }

    /// Whether each poll is to be observed in this turn.
    pub(crate) fn is_observed(&self) -> bool {
        self.is_observed.get()
    }

    /// Shows other threads what has been counted.
    pub(crate) fn publish(&self) {
        self.pulse.publish(&self.tally);
    }

    /// Notes that nobody is being polled.
    pub(crate) fn rest(&self) {
        self.pulse.rest();
    }

    /// Whether the run queue is empty.
    pub(crate) fn is_idle(&self) -> bool {
        self.ready.borrow().is_empty()
    }

    /// Whether its runtime has ended.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// How many tasks there are, finished ones whose outcome nobody has taken included.
    pub(crate) fn len(&self) -> usize {
        self.tasks.borrow().len()
    }

    /// Takes whose turn it is: whoever has been ready the longest, unless the order is shuffled.
    pub(crate) fn next(&self) -> Option<Next> {
        let mut ready = self.ready.borrow_mut();
        if let Some(shuffle) = &self.shuffle {
            shuffle.choose(&mut ready);
        }
        match ready.pop_front()? {
            Key::NONE => Some(Next::Root),
            key => Some(Next::Task(key)),
        }
    }

    /// Makes the root future ready, for a `block_on` that begins.
    pub(crate) fn queue_root(&self) {
        // A wake that the last one left in the queue serves this one.
        if self.root.queued.raise() {
            self.push(Key::NONE);
        }
    }

    /// Polls the root future. Its panic is the caller's.
    pub(crate) fn poll_root<F: Future>(&self, root: Pin<&mut F>) -> Poll<F::Output> {
        self.root.queued.lower();
        let poll = self.root_polls.get().wrapping_add(1);
        self.root_polls.set(poll);
        self.root_polled.set(self.turn.get());
        let waker = waker_ref(&self.root);
        let tag = Tag::new(0, poll);
        self.begin_poll(tag);
        let watched = self.is_observed().then(|| self.watch(tag, None));
        let polled = local::run(|| root.poll(&mut Context::from_waker(&waker)));
        if let Some(watched) = watched {
            self.tell(&watched, polled.is_ready());
        }
        polled
    }

    /// Takes a new task and makes it ready. After the shutdown has begun it is dropped, and there
    /// is no key.
    pub(crate) fn spawn(&self, run: Pin<Box<dyn Run>>, origin: Origin) -> Option<Key> {
        if self.closed.get() {
            return None;
        }
        let Origin { id, name, location } = origin;
        let named = name.is_some();
        if let Some(name) = name {
            self.names.borrow_mut().insert(id.low(), name);
        }
        let key = self.tasks.borrow_mut().insert(Task {
            run: Some(run),
            waker: None,
            joiner: None,
            id,
            location,
            spawned: self.turn.get(),
            polled: self.turn.get(),
            polls: 0,
            finished: false,
            detached: false,
            aborted: false,
            named,
        });
        one_more(&self.tally.spawned);
        self.push(key);
        trace!("glassfrog::task", "task {id} is spawned at {location}");
        Some(key)
    }

    /// Polls a task, or drops it if it was aborted, unless it is gone or finished. What it panics
    /// with comes out if that is to end the runtime.
    pub(crate) fn poll(&self, key: Key) -> Option<Payload> {
        let (mut run, waker, id, poll, aborted) = {
            let mut tasks = self.tasks.borrow_mut();
            let task = tasks.get_mut(key)?;
            if task.finished {
                return None;
            }
            let run = task.run.take()?;
            task.polls = task.polls.wrapping_add(1);
            task.polled = self.turn.get();
            (run, task.waker.take(), task.id, task.polls, task.aborted)
        };
        let waker = match waker {
            Some(waker) => {
                waker.queued.lower();
                waker
            }
            None => self.new_waker(key),
        };
        let mut fatal = None;
        let tag = Tag::new(id.0, poll);
        self.begin_poll(tag);
        let finished = local::run(|| {
            let waker = waker_ref(&waker);
            match catch_unwind(AssertUnwindSafe(|| {
                if aborted {
                    run.as_mut().fail(self.named(JoinError::cancelled(id)));
                    return Poll::Ready(());
                }
                run.as_mut().poll(&mut Context::from_waker(&waker))
            })) {
                Ok(poll) => poll.is_ready(),
                Err(mut payload) => {
                    if self.on_panic == OnTaskPanic::EndRuntime {
                        // The loop gets the panic itself, and the handle what it says.
                        let message: Payload = Box::new(String::from(panic_message(&*payload)));
                        fatal = Some(mem::replace(&mut payload, message));
                    }
                    // What is left of the future is dropped here, and may panic once more.
                    shielded("dropping a task that had panicked", || {
                        let error = self.named(JoinError::panicked(id, payload));
                        run.as_mut().fail(error);
                    });
                    true
                }
            }
        });
        if finished {
            one_more(&self.tally.finished);
            self.finish(key, run);
            self.recycle(waker);
        } else if let Some(task) = self.tasks.borrow_mut().get_mut(key) {
            task.run = Some(run);
            task.waker = Some(waker);
        }
        fatal
    }

    /// Notes that a poll begins.
    fn begin_poll(&self, tag: Tag) {
        self.pulse.begin(tag);
        one_more(&self.tally.polls);
    }

    /// Begins to watch the next poll of a task.
    #[cold]
    pub(crate) fn watch_task(&self, key: Key) -> Option<Box<Polling>> {
        let mut tasks = self.tasks.borrow_mut();
        let task = tasks.get_mut(key).filter(|task| !task.finished)?;
        let tag = Tag::new(task.id.0, task.polls.wrapping_add(1));
        let location = task.location;
        drop(tasks);
        Some(self.watch(tag, Some(location)))
    }

    /// Tells what came of it.
    #[cold]
    pub(crate) fn tell_task(&self, key: Key, watched: Box<Polling>) {
        self.tell(&watched, self.is_finished(key));
    }

    /// Begins to watch a poll.
    #[cold]
    fn watch(&self, tag: Tag, location: Option<&'static Location<'static>>) -> Box<Polling> {
        let (id, poll) = tag.who().unwrap_or_default();
        let polling = Polling {
            id,
            name: self.names.borrow().get(&id).cloned(),
            location,
            poll,
            since: Stopwatch::start(),
        };
        trace!("glassfrog::task", "{polling} begins");
        self.pulse.show(polling.clone());
        Box::new(polling)
    }

    /// Tells of a poll that is over, if that is to be told.
    #[cold]
    fn tell(&self, watched: &Polling, is_ready: bool) {
        let time = watched.since.elapsed();
        if self.watchdog.is_some_and(|limit| time > limit) {
            one_more(&self.tally.slow_polls);
            muffled(|| {
                log::warn!(
                    target: "glassfrog::task",
                    "{} held up its thread for {} ms: what blocks belongs into `spawn_blocking`, \
                     and what computes for long there too",
                    watched,
                    time.as_millis()
                );
            });
        }
        let outcome = if is_ready {
            "ends the task"
        } else {
            "leaves it waiting"
        };
        trace!("glassfrog::task", "{} {outcome}", watched);
    }

    /// Adds to an error what the task is called.
    fn named(&self, error: JoinError) -> JoinError {
        let name = self.names.borrow().get(&error.id().low()).cloned();
        error.with_name(name)
    }

    /// Frees the place of a task of which nothing is left that is foreign.
    fn discard_slot(&self, tasks: &mut Slab<Task>, key: Key) {
        if let Some(task) = tasks.get_mut(key)
            && task.named
        {
            self.names.borrow_mut().remove(&task.id.low());
        }
        tasks.discard(key);
    }

    /// Keeps the outcome of a task for its handle, or gets rid of it if there is none.
    fn finish(&self, key: Key, run: Pin<Box<dyn Run>>) {
        let mut tasks = self.tasks.borrow_mut();
        let Some(task) = tasks.get_mut(key) else {
            return;
        };
        if task.detached {
            let location = task.location;
            self.discard_slot(&mut tasks, key);
            drop(tasks);
            self.discard(run, location);
        } else {
            task.run = Some(run);
            task.finished = true;
            let joiner = task.joiner.take();
            drop(tasks);
            wake_all(joiner.map(|joiner| joiner.waker));
        }
    }

    /// Drops a task, or its outcome, for which nobody will ask the slab; a panic is logged, not
    /// lost.
    fn discard(&self, mut run: Pin<Box<dyn Run>>, location: &Location<'_>) {
        run.as_mut().deliver();
        if let Some(error) = run.as_mut().error() {
            error.log_panic(location);
        }
        shielded("dropping what a task left", || drop(run));
    }

    /// Moves the outcome of a task into `outcome`, an `Option<Result<T, JoinError>>`, or leaves the
    /// waker to be called when there is one. No outcome: there is no such task any more.
    pub(crate) fn poll_join(&self, key: Key, waker: &Waker, outcome: &mut dyn Any) -> Poll<()> {
        let mut tasks = self.tasks.borrow_mut();
        match tasks.get_mut(key) {
            None => Poll::Ready(()),
            Some(task) if task.finished => {
                let run = task.run.take();
                // Nothing foreign is left in it: its waker is recycled, and its joiner is woken.
                self.discard_slot(&mut tasks, key);
                drop(tasks);
                if let Some(mut run) = run {
                    run.as_mut().take(outcome);
                }
                Poll::Ready(())
            }
            Some(task) => {
                let tag = self.pulse.polling();
                if let Some(joiner) = &mut task.joiner
                    && joiner.waker.will_wake(waker)
                {
                    joiner.tag = tag;
                    return Poll::Pending;
                }
                drop(tasks);
                let waker = waker.clone();
                let former = match self.tasks.borrow_mut().get_mut(key) {
                    Some(task) => task.joiner.replace(Waiter { waker, tag }),
                    None => None,
                };
                drop(former);
                Poll::Pending
            }
        }
    }

    /// Has a task dropped in place of its next poll. One that is being polled may still end.
    pub(crate) fn abort(&self, key: Key) {
        if let Some(task) = self.tasks.borrow_mut().get_mut(key)
            && !task.finished
            && !task.aborted
        {
            task.aborted = true;
            // It may stand in the queue twice now; the second time it is finished.
            self.push(key);
        }
    }

    /// Whether a task has ended.
    pub(crate) fn is_finished(&self, key: Key) -> bool {
        self.tasks
            .borrow_mut()
            .get_mut(key)
            .is_none_or(|task| task.finished)
    }

    /// Lets a task go on, or its outcome go, without a handle.
    pub(crate) fn detach(&self, key: Key) {
        let mut tasks = self.tasks.borrow_mut();
        let Some(task) = tasks.get_mut(key) else {
            return;
        };
        task.detached = true;
        if task.finished {
            let (run, location) = (task.run.take(), task.location);
            self.discard_slot(&mut tasks, key);
            drop(tasks);
            if let Some(run) = run {
                self.discard(run, location);
            }
        } else {
            let joiner = task.joiner.take();
            drop(tasks);
            shielded("dropping a waker", || drop(joiner));
        }
    }

    /// Does what other threads have asked for. The loop is awake from here on.
    pub(crate) fn take_messages(&self) {
        let mut messages = self.messages.take();
        self.remote.drain(&mut messages);
        for message in messages.drain(..) {
            match message {
                Message::Wake(key) => {
                    one_more(&self.tally.remote_wakes);
                    self.push(key);
                }
                Message::Detach(key) => self.detach(key),
                Message::Abort(key) => self.abort(key),
                Message::AbortPlaced(task) => self.abort(task.key().unwrap_or(Key::NONE)),
                Message::Spawn { make, origin } => {
                    let run = make(self.tasks.borrow().next_key());
                    if let Some(key) = self.spawn(run, origin) {
                        // Its handle, if there still is one, asks its oneshot and not the slab.
                        self.detach(key);
                    }
                }
                Message::Look(look) => shielded("a look at the tasks", look),
            }
        }
        self.messages.set(messages);
    }

    /// Drops every task, each inside the context and whatever the others do.
    ///
    /// The inbox has been closed. Whoever spawns from a drop gets a handle that is cancelled.
    pub(crate) fn shut_down(&self, messages: Vec<Message>) {
        self.closed.set(true);
        for message in messages {
            shielded("dropping a task that was never polled", || drop(message));
        }
        let tasks = self.tasks.borrow_mut().drain();
        for task in tasks {
            if !task.finished {
                one_more(&self.tally.finished);
            }
            if let Some(run) = task.run {
                self.discard(run, task.location);
            }
            wake_all(task.joiner.map(|joiner| joiner.waker));
        }
        self.ready.take();
        self.spare.take();
        self.names.take();
        self.publish();
    }

    /// A waker for the first poll of a task: a spare one, or a new one. Its flag is down.
    fn new_waker(&self, key: Key) -> Arc<TaskWaker> {
        if let Some(mut spare) = self.spare.borrow_mut().pop()
            && let Some(waker) = Arc::get_mut(&mut spare)
        {
            waker.key = key;
            waker.queued = QueuedFlag::default();
            return spare;
        }
        Arc::new(TaskWaker {
            remote: Arc::clone(&self.remote),
            key,
            queued: QueuedFlag::default(),
        })
    }

    /// Keeps the waker of a finished task for another one, if nobody else seems to hold it: whether
    /// that is so is found out when it is taken.
    fn recycle(&self, waker: Arc<TaskWaker>) {
        let mut spare = self.spare.borrow_mut();
        if spare.len() < SPARE_WAKERS && Arc::strong_count(&waker) == 1 {
            spare.push(waker);
        }
    }
}
