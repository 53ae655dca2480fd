//! The executor: tasks, and the run queue of those that are ready.
//!
//! The loop in [`runtime`](crate::runtime) calls it; it knows no I/O and no deadlines. Tasks live in a
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

pub(crate) mod ended;
pub(crate) mod flag;
pub(crate) mod inbox;
pub(crate) mod join;
pub(crate) mod local;
pub(crate) mod look;
pub(crate) mod outcome;
pub(crate) mod pulse;
mod queue;
mod shuffle;
pub(crate) mod task;

use self::ended::Writer;
use self::inbox::Inbox;
use self::local::Entered;
use self::look::Child;
use self::outcome::{Id, JoinError, OnTaskPanic, Payload};
use self::pulse::{Polling, Pulse, Tally, one_more};
use self::queue::RunQueue;
use self::shuffle::Shuffle;
use self::task::{Run, TaskWaker};
use crate::clock::{Stamp, Stopwatch};
use crate::slab::{Key, Slab};
use crate::sync::AtomicU32;
use crate::waiter::{Tag, Waiter, muffled, panic_message, shielded, trace, wake_all};
use futures_task::{ArcWake, waker_ref};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::mem;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// How many messages the vector that they are read into keeps room for after a burst.
const KEPT_MESSAGES: usize = 1024;

/// How many entries a map keeps room for after a burst.
const KEPT_ENTRIES: usize = 1024;

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

    /// Cancels a blocking job that is still queued. Returns whether this is a blocking job.
    fn cancel_job(&self) -> bool;

    /// Whether it has ended.
    fn is_finished(&self) -> bool;
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

/// How a task is named to those who look at it.
pub(crate) struct Origin {
    /// Its number.
    pub(crate) id: Id,
    /// The name that its spawner gave it.
    pub(crate) name: Option<Box<str>>,
    /// Where it was spawned.
    pub(crate) location: &'static Location<'static>,
}

/// A task in the slab, where the low half of its number is its generation. In as few bytes as hold it:
/// there may be a million.
struct Task {
    /// The future, or the outcome; taken out while the task is being polled.
    body: Option<Body>,
    /// The task that awaits the join handle.
    joiner: Option<Waiter>,
    /// Where it was spawned.
    location: &'static Location<'static>,
    /// When it was spawned.
    spawned: Stamp,
    /// When it was polled last: in the turn that began then.
    polled: Stamp,
    /// How many times it was polled (modulo 2³²).
    polls: u32,
    /// The part of its number that is above the low half.
    id_high: u16,
    /// How far it has come.
    phase: Phase,
    /// [`DETACHED`], [`NAMED`] and [`PLACED`].
    marks: u8,
}

/// The join handle of the task is gone, so nobody will take the outcome.
const DETACHED: u8 = 1;
/// The task has a name, which is kept elsewhere: most tasks have none.
const NAMED: u8 = 1 << 1;
/// The task came by a message: its handle reads the outcome from its [`Placed`], not from the slab.
const PLACED: u8 = 1 << 2;

/// How far a task has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It is polled whenever it is woken.
    Alive,
    /// Its next poll drops the future instead.
    Aborted,
    /// Its body is the outcome.
    Finished,
}

/// The part of a task that a poll takes out of the slab.
struct Body {
    /// The future, or the outcome.
    run: Pin<Box<dyn Run>>,
    /// The task's waker, between its first poll and its last.
    waker: Option<Arc<TaskWaker>>,
}

impl Task {
    /// The number of the task with this key.
    fn id(&self, key: Key) -> Id {
        Id::from_halves(self.id_high, key.generation())
    }

    /// Whether the task has this mark.
    fn has(&self, mark: u8) -> bool {
        self.marks & mark != 0
    }
}

/// All tasks, and which of them are ready: under one borrow, since a poll needs both.
struct Tasks {
    /// The tasks that run, and those whose outcome waits for its handle.
    slab: Slab<Task>,
    /// The ready tasks. Spawns, wakes on this thread and messages push to it.
    ready: RunQueue,
    /// What others know of those that have ended.
    ended: Writer,
}

/// Tasks and run queue of one runtime.
pub(crate) struct Executor {
    /// The tasks.
    tasks: RefCell<Tasks>,
    /// The names of those tasks that have one, by the low halves of their numbers.
    names: RefCell<HashMap<u32, Box<str>>>,
    /// What the panic of a task does.
    on_panic: OnTaskPanic,
    /// How long a poll may take before the log mentions it, if it is watched.
    watchdog: Option<Duration>,
    /// Whether the watchdog or its thread looks at each poll, or a seed has each one noted.
    is_watched: bool,
    /// Whether that or the log does. Set once a turn.
    is_observed: Cell<bool>,
    /// The inbox, by which wakers and handles know their executor.
    remote: Arc<Remote>,
    /// The waker of the root future, which stands in the run queue as `Key::NONE`.
    root: Arc<TaskWaker>,
    /// How many times the root futures were polled.
    root_polls: Cell<u32>,
    /// When a root future was polled last.
    root_polled: Cell<Stamp>,
    /// When this turn of the loop began.
    turn: Cell<Stamp>,
    /// What other threads see of the poll that is going on.
    pulse: Arc<Pulse>,
    /// What is counted.
    tally: Tally,
    /// The children of scopes, which live in the futures of their parents, by their numbers.
    children: RefCell<HashMap<u32, Child>>,
    /// A waker that nobody else holds, for the next new task: one that ends at its first poll returns it.
    spare: Cell<Option<Arc<TaskWaker>>>,
    /// Set at the beginning of the shutdown: no task is taken any more.
    closed: Cell<bool>,
    /// The vector that the inbox is emptied into, kept for its room.
    messages: Cell<Vec<Message>>,
}

/// What [`Executor::poll_next`] did.
pub(crate) enum Polled {
    /// Nothing: no task is ready.
    Nothing,
    /// Nothing yet: the root future is next, and its owner polls it.
    Root,
    /// It polled a task.
    Task,
    /// It polled a task that panicked, and that panic ends the runtime.
    Panicked(Payload),
}

/// Shrinks a map after a burst of entries. The removals of the burst have paid for it.
fn shrink<V>(map: &mut HashMap<u32, V>) {
    if map.capacity() > KEPT_ENTRIES && map.len() < map.capacity() / 4 {
        map.shrink_to(KEPT_ENTRIES.max(2 * map.len()));
    }
}

/// Fills an empty place. An assignment would look for something to drop there, in every poll.
#[inline]
fn put<T>(place: &mut Option<T>, value: T) {
    let former = place.replace(value);
    debug_assert!(former.is_none(), "the place was not empty");
    mem::forget(former);
}

impl Executor {
    /// Creates an executor without tasks, which other threads reach through `remote`. Its run queue
    /// counts its rounds in `rounds`. With a seed, that chooses among the ready tasks.
    pub(crate) fn new(
        remote: Arc<Remote>,
        pulse: Arc<Pulse>,
        rounds: Arc<AtomicU32>,
        seed: Option<u64>,
        on_panic: OnTaskPanic,
        watchdog: Option<Duration>,
    ) -> Executor {
        Executor {
            tasks: RefCell::new(Tasks {
                slab: Slab::new(),
                ready: RunQueue::new(seed.map(Shuffle::boxed), rounds),
                ended: Writer::new(),
            }),
            root: Arc::new(TaskWaker::new(Arc::clone(&remote), Key::NONE)),
            root_polls: Cell::new(0),
            root_polled: Cell::default(),
            turn: Cell::default(),
            tally: Tally::default(),
            children: RefCell::default(),
            names: RefCell::default(),
            on_panic,
            watchdog,
            is_watched: pulse.is_watched() || seed.is_some(),
            is_observed: Cell::new(false),
            remote,
            pulse,
            spare: Cell::new(None),
            closed: Cell::new(false),
            messages: Cell::default(),
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
    #[inline]
    fn push(&self, key: Key) {
        self.tasks.borrow_mut().ready.push(key);
    }

    /// Notes that a turn of the loop begins.
    pub(crate) fn begin_turn(&self, now: Stamp) {
        self.turn.set(now);
        self.pulse.begin_turn();
        let traces = log::log_enabled!(target: "glassfrog::task", log::Level::Trace);
        self.is_observed.set(traces || self.is_watched);
        let Tasks { slab, ended, .. } = &mut *self.tasks.borrow_mut();
        slab.shrink();
        self.remote.ended.shrink(ended, slab.slots());
    }

    /// The task that is being polled, and its poll.
    pub(crate) fn current_tag(&self) -> Tag {
        self.pulse.polling()
    }

    /// How many polls there have been.
    pub(crate) fn polls(&self) -> u64 {
        self.tally.polls.get()
    }

    /// Shows other threads what has been counted.
    pub(crate) fn publish(&self) {
        self.pulse.publish(&self.tally);
    }

    /// Notes that the polls of this turn are over.
    pub(crate) fn rest(&self) {
        self.pulse.rest();
        local::end_budget();
    }

    /// Whether the run queue is empty.
    pub(crate) fn is_idle(&self) -> bool {
        self.tasks.borrow().ready.is_empty()
    }

    /// With a seed, the number of tasks that were ever put into the run queue.
    pub(crate) fn queued(&self) -> Option<u64> {
        self.tasks.borrow().ready.pushed()
    }

    /// Whether this many tasks, those that were put into the run queue first, have all left it.
    pub(crate) fn has_taken(&self, queued: u64) -> bool {
        self.tasks.borrow().ready.has_taken(queued)
    }

    /// With a seed, the last polls as text, each task in a line.
    pub(crate) fn last_polls(&self) -> Option<String> {
        self.tasks.borrow().ready.last_polls()
    }

    /// Whether its runtime has ended.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// How many tasks there are, finished ones whose outcome nobody has taken included.
    pub(crate) fn len(&self) -> usize {
        self.tasks.borrow().slab.len()
    }

    /// Makes the root future ready, for a `block_on` that begins.
    pub(crate) fn queue_root(&self) {
        // A wake that the last one left in the queue serves this one.
        if self.root.flags.wake_here() {
            self.push(Key::NONE);
        }
    }

    /// Polls the root future. Its panic is the caller's.
    pub(crate) fn poll_root<F: Future>(&self, root: Pin<&mut F>) -> Poll<F::Output> {
        self.root.flags.begin_poll();
        let poll = self.root_polls.get().wrapping_add(1);
        self.root_polls.set(poll);
        self.root_polled.set(self.turn.get());
        let watched = self.begin_poll(Key::NONE, Tag::new(0, poll));
        let polled = root.poll(&mut Context::from_waker(&waker_ref(&self.root)));
        self.end_poll(watched, polled.is_ready());
        polled
    }

    /// Takes a new task and makes it ready. After the shutdown has begun the task comes back, to be
    /// dropped, with a key that no task has.
    #[inline]
    pub(crate) fn spawn(
        &self,
        run: Pin<Box<dyn Run>>,
        origin: Origin,
    ) -> (Key, Option<Pin<Box<dyn Run>>>) {
        if self.closed.get() {
            return (Key::NONE, Some(run));
        }
        let Origin { id, name, location } = origin;
        let mut marks = 0;
        if let Some(name) = name {
            marks = NAMED;
            self.remember_name(id, name);
        }
        let mut tasks = self.tasks.borrow_mut();
        let key = tasks.slab.insert_as(
            id.low(),
            Task {
                body: Some(Body { run, waker: None }),
                joiner: None,
                location,
                spawned: self.turn.get(),
                polled: self.turn.get(),
                polls: 0,
                id_high: id.high(),
                phase: Phase::Alive,
                marks,
            },
        );
        tasks.ready.push(key);
        one_more(&self.tally.spawned);
        (key, None)
    }

    /// Takes the next ready task and polls it, or drops it if it was aborted. A task that is gone or
    /// finished is passed over.
    #[inline(always)]
    pub(crate) fn poll_next(&self) -> Polled {
        let mut tasks = self.tasks.borrow_mut();
        let Some(key) = tasks.ready.pop() else {
            return Polled::Nothing;
        };
        if key == Key::NONE {
            return Polled::Root;
        }
        let Some(task) = tasks.slab.get_mut(key) else {
            return Polled::Task;
        };
        let phase = task.phase;
        if phase == Phase::Finished {
            return Polled::Task;
        }
        let Some(Body { mut run, waker }) = task.body.take() else {
            return Polled::Task;
        };
        task.polls = task.polls.wrapping_add(1);
        task.polled = self.turn.get();
        let tag = Tag::new(key.generation().into(), task.polls);
        drop(tasks);

        let waker = match waker {
            Some(waker) => {
                waker.flags.begin_poll();
                waker
            }
            None => self.new_waker(key),
        };
        let watched = self.begin_poll(key, tag);
        let mut fatal = None;
        let is_ready = {
            let waker = waker_ref(&waker);
            let mut cx = Context::from_waker(&waker);
            match catch_unwind(AssertUnwindSafe(|| match phase {
                Phase::Alive => run.as_mut().poll(&mut cx).is_ready(),
                _ => self.cancel(key, run.as_mut()),
            })) {
                Ok(is_ready) => is_ready,
                Err(payload) => {
                    fatal = self.take_panic(key, run.as_mut(), payload);
                    true
                }
            }
        };
        self.end_poll(watched, is_ready);
        if is_ready {
            self.finish(key, run);
            self.recycle(waker);
        } else if let Some(task) = self.tasks.borrow_mut().slab.get_mut(key) {
            let waker = Some(waker);
            put(&mut task.body, Body { run, waker });
        }
        match fatal {
            None => Polled::Task,
            Some(payload) => Polled::Panicked(payload),
        }
    }

    /// Drops the future of a task that was aborted.
    #[cold]
    fn cancel(&self, key: Key, run: Pin<&mut dyn Run>) -> bool {
        run.fail(self.error_of(key, JoinError::cancelled));
        true
    }

    /// Makes a panic the outcome of its task. Returns the panic if it ends the runtime.
    #[cold]
    fn take_panic(
        &self,
        key: Key,
        run: Pin<&mut dyn Run>,
        mut payload: Payload,
    ) -> Option<Payload> {
        let mut fatal = None;
        if self.on_panic == OnTaskPanic::EndRuntime {
            // The loop gets the panic itself, and the handle its message.
            let message: Payload = Box::new(String::from(panic_message(&*payload)));
            fatal = Some(mem::replace(&mut payload, message));
        }
        // What is left of the future is dropped here, and may panic once more.
        shielded("dropping a task that had panicked", || {
            run.fail(self.error_of(key, |id| JoinError::panicked(id, payload)));
        });
        fatal
    }

    /// The error of the task with this key, which names the task.
    fn error_of(&self, key: Key, error: impl FnOnce(Id) -> JoinError) -> JoinError {
        let mut tasks = self.tasks.borrow_mut();
        let id = tasks.slab.get_mut(key).map(|task| task.id(key));
        drop(tasks);
        let error = error(id.unwrap_or_default());
        let name = self.names.borrow().get(&key.generation()).cloned();
        error.with_name(name)
    }

    /// Begins a poll, with a fresh budget. Returns what is noted of it if somebody observes it.
    #[inline]
    fn begin_poll(&self, key: Key, tag: Tag) -> Option<Box<Polling>> {
        self.pulse.begin(tag);
        one_more(&self.tally.polls);
        local::begin_budget();
        match self.is_observed.get() {
            false => None,
            true => Some(self.observe(key, tag)),
        }
    }

    /// Ends a poll.
    #[inline]
    fn end_poll(&self, watched: Option<Box<Polling>>, is_ready: bool) {
        if let Some(polling) = watched {
            self.report(&polling, is_ready);
        }
    }

    /// Notes for the watchdog, the log and the seed's report which poll begins.
    #[cold]
    fn observe(&self, key: Key, tag: Tag) -> Box<Polling> {
        let (id, poll) = tag.who().unwrap_or_default();
        let mut tasks = self.tasks.borrow_mut();
        let location = tasks.slab.get_mut(key).map(|task| task.location);
        drop(tasks);
        let polling = Polling {
            id,
            name: self.names.borrow().get(&id).cloned(),
            location,
            poll,
            since: Stopwatch::start(),
        };
        trace!("glassfrog::task", "{polling} begins");
        self.pulse.show(polling.clone());
        self.tasks.borrow_mut().ready.note(&polling);
        Box::new(polling)
    }

    /// Logs a poll that took too long.
    #[cold]
    fn report(&self, polling: &Polling, is_ready: bool) {
        let time = polling.since.elapsed();
        if self.watchdog.is_some_and(|limit| time > limit) {
            one_more(&self.tally.slow_polls);
            muffled(|| {
                log::warn!(
                    target: "glassfrog::task",
                    "{} held up its thread for {} ms: what blocks belongs into `spawn_blocking`, \
                     and what computes for long there too",
                    polling,
                    time.as_millis()
                );
            });
        }
        let outcome = match is_ready {
            true => "ends the task",
            false => "leaves it waiting",
        };
        trace!("glassfrog::task", "{polling} {outcome}");
    }

    /// Remembers the name of a task.
    #[cold]
    fn remember_name(&self, id: Id, name: Box<str>) {
        self.names.borrow_mut().insert(id.low(), name);
    }

    /// Forgets the name of a task.
    #[cold]
    fn forget_name(&self, key: Key) {
        let mut names = self.names.borrow_mut();
        names.remove(&key.generation());
        shrink(&mut names);
    }

    /// Keeps the outcome of a task for its handle, or drops it if there is none.
    #[inline(always)]
    fn finish(&self, key: Key, run: Pin<Box<dyn Run>>) {
        one_more(&self.tally.finished);
        let mut tasks = self.tasks.borrow_mut();
        let Tasks { slab, ended, .. } = &mut *tasks;
        let Some(task) = slab.get_mut(key) else {
            return;
        };
        let number = task.id(key).0;
        if !task.has(DETACHED) {
            self.remote.ended.note(ended, key.index(), number);
            put(&mut task.body, Body { run, waker: None });
            task.phase = Phase::Finished;
            if let Some(joiner) = task.joiner.take() {
                drop(tasks);
                wake_all([joiner.waker]);
            }
        } else if let Some(task) = slab.remove(key) {
            if !task.has(PLACED) {
                self.remote.ended.note(ended, key.index(), number);
            }
            let (_taken, location) = self.leave(key, task);
            drop(tasks);
            self.discard(run, location);
        }
    }

    /// Takes apart a finished task that has left the slab: its outcome, if it was not taken out before,
    /// and where it was spawned.
    #[inline]
    fn leave(
        &self,
        key: Key,
        mut task: Task,
    ) -> (Option<Pin<Box<dyn Run>>>, &'static Location<'static>) {
        if task.has(NAMED) {
            self.forget_name(key);
        }
        let run = task.body.take().map(|body| body.run);
        let location = task.location;
        // Neither a waker nor a joiner is left, but the compiler can't know that.
        mem::forget(task);
        (run, location)
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

    /// Does what other threads have asked for. The loop is awake from here on.
    #[inline]
    pub(crate) fn take_messages(&self) {
        if self.remote.awake() {
            self.read_messages();
        }
    }

    /// Reads the messages of other threads. No task is being polled meanwhile.
    fn read_messages(&self) {
        let mut messages = self.messages.take();
        self.remote.drain(&mut messages);
        for message in messages.drain(..) {
            match message {
                Message::Wake(key) => {
                    one_more(&self.tally.remote_wakes);
                    self.take_wake(key);
                }
                Message::Detach(key) => self.detach(key),
                Message::Abort(key) => self.abort(key),
                Message::AbortPlaced(task) => self.abort(task.key().unwrap_or(Key::NONE)),
                Message::Spawn { make, origin } => {
                    let key = self.tasks.borrow().slab.next_key_as(origin.id.low());
                    let run = make(key);
                    let (id, location) = (origin.id, origin.location);
                    let (key, refused) = self.spawn(run, origin);
                    trace!("glassfrog::task", "task {id} is spawned at {location}");
                    drop(refused);
                    // Its handle, if there still is one, asks its oneshot and not the slab.
                    if let Some(task) = self.tasks.borrow_mut().slab.get_mut(key) {
                        task.marks |= DETACHED | PLACED;
                    }
                }
                Message::Look(look) => shielded("a look at the tasks", look),
            }
        }
        messages.shrink_to(KEPT_MESSAGES);
        self.messages.set(messages);
    }

    /// Queues a task that another thread has woken, unless it is gone or stands in the queue.
    fn take_wake(&self, key: Key) {
        let mut tasks = self.tasks.borrow_mut();
        let Tasks { slab, ready, .. } = &mut *tasks;
        let waker = match key {
            Key::NONE => Some(&self.root),
            // A task that can be woken was polled, and so has a waker.
            _ => slab
                .get_mut(key)
                .and_then(|task| task.body.as_ref()?.waker.as_ref()),
        };
        if waker.is_some_and(|waker| waker.flags.receive()) {
            ready.push(key);
        }
    }

    /// Drops every task, each inside the context and whatever the others do.
    ///
    /// The inbox has been closed. A spawn from one of the drops gives a handle that is cancelled.
    pub(crate) fn shut_down(&self, messages: Vec<Message>) {
        self.closed.set(true);
        for message in messages {
            shielded("dropping a task that was never polled", || drop(message));
        }
        let tasks = self.tasks.borrow_mut().slab.drain();
        for task in tasks {
            if task.phase != Phase::Finished {
                one_more(&self.tally.finished);
            }
            if let Some(body) = task.body {
                self.discard(body.run, task.location);
            }
            wake_all(task.joiner.map(|joiner| joiner.waker));
        }
        let Tasks { ready, ended, .. } = &mut *self.tasks.borrow_mut();
        ready.clear();
        self.remote.ended.note_all(ended);
        self.spare.take();
        self.names.take();
        self.publish();
    }

    /// A waker for the first poll of a task. Its flags are down.
    #[inline]
    fn new_waker(&self, key: Key) -> Arc<TaskWaker> {
        match self.spare.take() {
            Some(waker) => {
                waker.reuse(key);
                waker
            }
            None => Arc::new(TaskWaker::new(Arc::clone(&self.remote), key)),
        }
    }

    /// Keeps the waker of a finished task for another one, if nobody else holds it.
    #[inline]
    fn recycle(&self, waker: Arc<TaskWaker>) {
        if Arc::strong_count(&waker) == 1 {
            self.spare.set(Some(waker));
        }
    }
}
