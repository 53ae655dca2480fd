//! The executor: the tasks, and the run queue of those that are ready.
//!
//! The [event loop](crate::event_loop) calls [`poll_next`](Executor::poll_next) to poll the next ready task, and
//! [`take_messages`](Executor::take_messages) to read the messages from other threads. The executor knows neither
//! sockets nor deadlines. Tasks live in a slab, which belongs to the thread of the runtime. A poll takes the
//! future out of the slab, so that no borrow is held while the future runs, and puts it back afterwards.
//!
//! ```text
//!            spawn               poll: Pending
//!              |         +-------------------------+
//!              v         v                         |
//!          +---------------+   taken out     +-----------+
//!          |   in the slab | --------------> |  running  |
//!          +---------------+                 +-----------+
//!              |                                   | poll: Ready, a panic, or aborted
//!              |                                   v
//!              | shut_down             joined  +------------+
//!              +--> dropped       or detached  |  finished  |
//!                                      <------ +------------+
//! ```

mod abandoned;
mod aborters;
pub(crate) mod actor;
pub(crate) mod budget;
pub(crate) mod children;
pub(crate) mod current;
pub(crate) mod ended;
mod entry;
mod failure;
pub(crate) mod flag;
mod id;
pub(crate) mod inbox;
pub(crate) mod join;
mod join_error;
#[cfg(feature = "sync")]
pub(crate) mod kept;
mod message;
pub(crate) mod names;
mod observe;
#[cfg_attr(not(feature = "sync"), expect(dead_code, reason = "for `sync`"))]
pub(crate) mod primitive;
mod queue;
mod receive;
mod record;
pub(crate) mod repeats;
pub(crate) mod sampling;
mod shuffle;
pub(crate) mod snapshot;
pub(crate) mod status;
pub(crate) mod task;
pub(crate) mod waits;
#[cfg(feature = "sim")]
pub(crate) mod unreceived;
mod waker;

pub use self::failure::OnTaskPanic;
pub use self::id::Id;
pub use self::join_error::JoinError;

use self::budget::{begin_budget, end_budget};
use self::children::{ChildEntry, ScopeEntry};
use self::ended::Writer;
use self::entry::{Body, DETACHED, NAMED, Phase, REMOTE, TaskEntry};
pub(crate) use self::join_error::Payload;
pub(crate) use self::message::{InboxHandle, Message, Remote, RemoteTask, SpawnInfo};
use self::observe::Observed;
use self::queue::RunQueue;
use self::repeats::Repeats;
use self::sampling::Sampling;
use self::shuffle::Shuffle;
use self::status::{Counters, LoopStatus, increment};
use self::task::Run;
use self::waits::Waits;
use self::waker::TaskWaker;
use crate::clock::Stamp;
use crate::foreign::{is_traced, log_panics, wake_all};
use crate::primitives::AtomicU32;
use crate::slab::{Key, Slab};
use crate::timeline::recorder::Recorder;
use crate::traces::Traces;
use crate::waiter::Tag;
use futures_task::waker_ref;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::convert::Infallible;
use std::mem;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// The capacity that a map keeps after a burst, in entries.
const KEPT_ENTRIES: usize = 1024;

/// The tasks and the run queue, behind one `RefCell`, because a poll needs both.
struct Tasks {
    /// The tasks that have not ended, and those whose outcome waits for a handle.
    slab: Slab<TaskEntry>,
    /// The run queue. Spawns, wakes on this thread and messages push to it.
    ready: RunQueue,
    /// Publishes which tasks have ended.
    ended: Writer,
}

/// The executor of one runtime.
pub(crate) struct Executor {
    /// The tasks and the run queue.
    tasks: RefCell<Tasks>,
    /// What happens when a task panics.
    on_panic: OnTaskPanic,
    /// How long a poll may take before a warning is logged, if there is a limit.
    watchdog: Option<Duration>,
    /// The slow polls that were reported, as far as they are folded.
    repeats: RefCell<Repeats>,
    /// Whether polls are watched, for the watchdog, for its thread or for the report of a seed.
    is_watched: bool,
    /// Whether polls are observed in this turn, because they are watched, logged, sampled or recorded. Set once a turn, and
    /// when a sample begins or ends.
    is_observed: Cell<bool>,
    /// Whether polls are observed even if they are not logged.
    is_always_observed: Cell<bool>,
    /// The sample of polls, which is open now and then.
    sampling: Sampling,
    /// What is known about the poll that is observed, unless it is only recorded.
    observed: Cell<Option<Box<Observed>>>,
    /// Records the timeline, if the runtime has one.
    recorder: Option<Arc<Recorder>>,
    /// The inbox, which identifies this executor to wakers and handles.
    remote: Arc<Remote>,
    /// The waker of the root future, which is in the run queue as `Key::NONE`.
    root: Arc<TaskWaker>,
    /// How many times root futures were polled (modulo 2³²).
    root_polls: Cell<u32>,
    /// When a root future was polled last.
    root_polled: Cell<Stamp>,
    /// Where the program has called the newest `block_on`, if that is known.
    root_location: Cell<Option<&'static Location<'static>>>,
    /// When this turn of the loop began.
    turn: Cell<Stamp>,
    /// Shows other threads which task is being polled, and the counts.
    status: Arc<LoopStatus>,
    /// Counts what tasks do.
    counters: Counters,
    /// The number of the runtime, which no other runtime of this process has.
    number: u32,
    /// The waits that tasks have declared.
    pub(crate) waits: Arc<Waits>,
    /// The children of scopes, which live in the futures of tasks, by the low halves of their ids.
    children: RefCell<HashMap<u32, ChildEntry>>,
    /// The scopes, which live in the futures of tasks.
    scopes: RefCell<Slab<ScopeEntry>>,
    /// The waker of a task that has ended, for the next new task. Nothing else holds it.
    spare: Cell<Option<Arc<TaskWaker>>>,
    /// Whether the loop runs, rests or has ended.
    activity: Cell<Activity>,
    /// Whether a `block_on` runs, whose future is the root future.
    has_root: Cell<bool>,
    /// The empty vector that messages are read into, kept for its capacity.
    messages: Cell<Vec<Message>>,
    /// The panics of a simulated host that its driver has yet to take.
    #[cfg(feature = "sim")]
    panics: RefCell<Vec<unreceived::TaskPanic>>,
}

/// What a [`Builder`](crate::Builder) has chosen for the executor.
pub(crate) struct Choices {
    /// The seed of the order of ready tasks, if it is random.
    pub(crate) seed: Option<u64>,
    /// What happens when a task panics.
    pub(crate) on_panic: OnTaskPanic,
    /// How long a poll may take before a warning is logged, if there is a limit.
    pub(crate) watchdog: Option<Duration>,
    /// The time between two warnings of the watchdog about one place.
    pub(crate) pause: Duration,
}

/// Whether the loop of an executor runs.
///
/// ```text
///                begin
///    +-------+ ----------> +------+  shut_down  +--------+
///    | Rests |             | Runs | ----------> | Closed |
///    +-------+ <---------- +------+             +--------+
///        |        rest                               ^
///        +-------------------------------------------+
/// ```
#[derive(Clone, Copy, PartialEq)]
enum Activity {
    /// Between two runs of the loop. A task that is spawned meanwhile is a call to the loop.
    Rests,
    /// Tasks are polled, or will be before the loop parks.
    Runs,
    /// The same, and spawns are recorded.
    Records,
    /// The shutdown has begun, and no task is taken any more.
    Closed,
}

/// The result of [`Executor::poll_next`].
pub(crate) enum Polled {
    /// No task is ready.
    Nothing,
    /// The root future is next, and the caller has to poll it.
    Root,
    /// A task was polled or skipped.
    Task,
    /// A task was polled and panicked, and the panic ends the runtime.
    Panicked(Payload),
}

/// Shrinks a map after a burst of entries. The cost is constant for each entry that was removed.
fn shrink<V>(map: &mut HashMap<u32, V>) {
    if map.capacity() > KEPT_ENTRIES && map.len() < map.capacity() / 4 {
        map.shrink_to(KEPT_ENTRIES.max(2 * map.len()));
    }
}

/// Fills an empty option. An assignment would check for a value to drop, in every poll.
#[inline]
fn fill<T>(option: &mut Option<T>, value: T) {
    let former = option.replace(value);
    debug_assert!(former.is_none(), "the option was not empty");
    mem::forget(former);
}

impl Executor {
    /// Creates an executor without tasks, which other threads reach through `remote`. The run queue counts its
    /// rounds in `rounds`. With a seed, the order of the ready tasks is random.
    pub(crate) fn new(
        number: u32,
        remote: Arc<Remote>,
        status: Arc<LoopStatus>,
        rounds: Arc<AtomicU32>,
        traces: Option<Arc<Traces>>,
        choices: Choices,
    ) -> Executor {
        let Choices {
            seed,
            on_panic,
            watchdog,
            pause,
        } = choices;
        // Nobody asks for the last polls of a simulated host, and to note them would read the real clock.
        let is_reported = seed.is_some() && !remote.is_of_host();
        let is_watched = status.is_watched() || is_reported;
        Executor {
            tasks: RefCell::new(Tasks {
                slab: Slab::new(),
                ready: RunQueue::new(seed.map(Shuffle::boxed), rounds),
                ended: Writer::new(),
            }),
            root: Arc::new(TaskWaker::new(Arc::clone(&remote), Key::NONE)),
            root_polls: Cell::new(0),
            root_polled: Cell::default(),
            root_location: Cell::default(),
            turn: Cell::default(),
            counters: Counters::default(),
            number,
            waits: Arc::new(Waits::new(traces, remote.recorder.clone())),
            children: RefCell::default(),
            scopes: RefCell::new(Slab::new()),
            on_panic,
            watchdog,
            repeats: RefCell::new(Repeats::new(pause, true)),
            is_watched,
            is_observed: Cell::new(false),
            is_always_observed: Cell::new(is_watched || remote.recorder.is_some()),
            sampling: Sampling::default(),
            observed: Cell::new(None),
            recorder: remote.recorder.clone(),
            remote,
            status,
            spare: Cell::new(None),
            activity: Cell::new(Activity::Rests),
            has_root: Cell::new(false),
            messages: Cell::default(),
            #[cfg(feature = "sim")]
            panics: RefCell::default(),
        }
    }

    /// Returns whether `remote` is the inbox of this executor.
    fn is(&self, remote: &Arc<Remote>) -> bool {
        Arc::ptr_eq(&self.remote, remote)
    }

    /// Pushes a task to the run queue.
    #[inline]
    fn push(&self, key: Key) {
        self.tasks.borrow_mut().ready.push(key);
    }

    /// Notes that a turn of the loop begins.
    pub(crate) fn begin_turn(&self, now: Stamp) {
        self.turn.set(now);
        actor::note_turn(self.number, now);
        self.status.begin_turn();
        let is_traced = is_traced("glassfrog::task");
        self.is_observed
            .set(is_traced || self.is_always_observed.get());
        let Tasks { slab, ended, .. } = &mut *self.tasks.borrow_mut();
        slab.shrink();
        self.remote.ended.shrink(ended, slab.slots());
    }

    /// Sets whether the polls that follow are observed, when a sample begins or ends.
    fn set_observed(&self) {
        let is_always_observed =
            self.is_watched || self.recorder.is_some() || self.sampling.is_open();
        self.is_always_observed.set(is_always_observed);
        self.is_observed
            .set(is_always_observed || is_traced("glassfrog::task"));
    }

    /// Returns the tag of the task that is being polled.
    pub(crate) fn current_tag(&self) -> Tag {
        self.status.polling()
    }

    /// Returns the number of polls that have begun.
    pub(crate) fn polls(&self) -> u64 {
        self.counters.polls.get()
    }

    /// Publishes the counts.
    pub(crate) fn publish(&self) {
        self.status.publish(&self.counters);
    }

    /// Ends the polls of this turn. If they have ended a round of the run queue, returns the number of tasks that
    /// are already ready for the new round, for [`postpone`](Executor::postpone). Otherwise returns 0.
    pub(crate) fn end_polls(&self) -> usize {
        self.status.end_polls();
        end_budget();
        self.tasks.borrow().ready.ready_for_new_round()
    }

    /// Lets the tasks that were woken since the end of the polls go before the `count` tasks that were ready
    /// then.
    #[inline]
    pub(crate) fn postpone(&self, count: usize) {
        if count > 0 {
            self.tasks.borrow_mut().ready.postpone(count);
        }
    }

    /// Returns whether no task is ready.
    pub(crate) fn is_idle(&self) -> bool {
        self.tasks.borrow().ready.is_empty()
    }

    /// With a seed, returns how many times a task was pushed to the run queue.
    pub(crate) fn queued(&self) -> Option<u64> {
        self.tasks.borrow().ready.pushed()
    }

    /// Returns whether the first `queued` entries that were pushed to the run queue have left it.
    pub(crate) fn has_taken(&self, queued: u64) -> bool {
        self.tasks.borrow().ready.has_taken(queued)
    }

    /// With a seed, returns the last polls as text, a line for each task.
    pub(crate) fn last_polls(&self) -> Option<String> {
        self.tasks.borrow().ready.last_polls()
    }

    /// Returns whether the shutdown has begun.
    pub(crate) fn is_closed(&self) -> bool {
        self.activity.get() == Activity::Closed
    }

    /// Notes that the loop begins to run, with a root future or without.
    pub(crate) fn begin(&self, has_root: bool) {
        self.activity.set(match self.recorder {
            None => Activity::Runs,
            Some(_) => Activity::Records,
        });
        self.has_root.set(has_root);
    }

    /// Notes that the loop ceases to run, unless it has ended.
    pub(crate) fn rest(&self) {
        if !self.is_closed() {
            self.activity.set(Activity::Rests);
        }
        self.has_root.set(false);
    }

    /// Returns the number of tasks, including those whose outcome waits for a handle.
    pub(crate) fn len(&self) -> usize {
        self.tasks.borrow().slab.len()
    }

    /// Returns where the program has called the newest `block_on`, if that is known.
    pub(crate) fn root_location(&self) -> Option<&'static Location<'static>> {
        self.root_location.get()
    }

    /// Sets where the program has called `block_on`.
    pub(crate) fn set_root_location(&self, location: Option<&'static Location<'static>>) {
        self.root_location.set(location);
        if let Some(recorder) = &self.recorder {
            recorder.set_root(location);
        }
    }

    /// Pushes the root future to the run queue, when a `block_on` begins.
    pub(crate) fn queue_root(&self) {
        // If the previous root future is still in the queue, its entry serves for this one.
        if self.root.flags.wake_local() || self.root.flags.wake_recorded() {
            self.record_wake(0);
            self.push(Key::NONE);
        }
    }

    /// Drops a wake of the last root future, where there is none to poll.
    pub(crate) fn skip_root(&self) -> Poll<Infallible> {
        self.root.flags.begin_poll();
        Poll::Pending
    }

    /// Polls the root future. A panic unwinds into the caller.
    pub(crate) fn poll_root<F: Future>(&self, root: Pin<&mut F>) -> Poll<F::Output> {
        self.root.flags.begin_poll();
        let poll = self.root_polls.get().wrapping_add(1);
        self.root_polls.set(poll);
        self.root_polled.set(self.turn.get());
        let observed = self.begin_poll(Key::NONE, Tag::new(0, poll), &self.root);
        let polled = root.poll(&mut Context::from_waker(&waker_ref(&self.root)));
        self.end_poll(observed, polled.is_ready(), &self.root);
        polled
    }

    /// Spawns a task: puts it into the slab and the run queue. Once the shutdown has begun, returns a key that no
    /// task has, and the task, which the caller drops.
    #[inline]
    pub(crate) fn spawn(
        &self,
        run: Pin<Box<dyn Run>>,
        info: SpawnInfo,
    ) -> (Key, Option<Pin<Box<dyn Run>>>) {
        match self.activity.get() {
            Activity::Runs => {}
            Activity::Records => self.record_spawn(info.id, info.name.as_deref(), info.location),
            // A foreign loop may wait for something to do.
            Activity::Rests => {
                self.remote.nudge();
                self.record_spawn(info.id, info.name.as_deref(), info.location);
            }
            Activity::Closed => return (Key::NONE, Some(run)),
        }
        let SpawnInfo { id, name, location } = info;
        let mut marks = 0;
        if let Some(name) = name {
            marks = NAMED;
            self.store_name(id, name);
        }
        let mut tasks = self.tasks.borrow_mut();
        let key = tasks.slab.insert_as(
            id.low(),
            TaskEntry {
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
        increment(&self.counters.spawned);
        (key, None)
    }

    /// Polls the next ready task, or drops its future if it was aborted. Skips a task that is gone or finished.
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
        let observed = self.begin_poll(key, tag, &waker);
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
        self.end_poll(observed, is_ready, &waker);
        if is_ready {
            self.finish(key, run);
            self.recycle(waker);
        } else if let Some(task) = self.tasks.borrow_mut().slab.get_mut(key) {
            let waker = Some(waker);
            fill(&mut task.body, Body { run, waker });
        }
        match fatal {
            None => Polled::Task,
            Some(payload) => Polled::Panicked(payload),
        }
    }

    /// Begins a poll, with a full budget. Returns whether polls are observed.
    #[inline]
    fn begin_poll(&self, key: Key, tag: Tag, waker: &TaskWaker) -> bool {
        self.status.begin_poll(tag);
        increment(&self.counters.polls);
        begin_budget();
        let is_observed = self.is_observed.get();
        if is_observed {
            self.observe_begin(key, tag, waker);
        }
        is_observed
    }

    /// Ends a poll.
    #[inline]
    fn end_poll(&self, is_observed: bool, is_ready: bool, waker: &TaskWaker) {
        if is_observed {
            self.observe_end(is_ready, waker);
        }
    }

    /// Keeps the outcome of a task for its handle, or drops it if the task is detached.
    #[inline(always)]
    fn finish(&self, key: Key, run: Pin<Box<dyn Run>>) {
        increment(&self.counters.finished);
        let mut tasks = self.tasks.borrow_mut();
        let Tasks { slab, ended, .. } = &mut *tasks;
        let Some(task) = slab.get_mut(key) else {
            return;
        };
        let number = task.id(key).0;
        if !task.has(DETACHED) {
            self.remote.ended.note(ended, key.index(), number);
            fill(&mut task.body, Body { run, waker: None });
            task.phase = Phase::Finished;
            if let Some(joiner) = task.joiner.take() {
                drop(tasks);
                wake_all([joiner.waker]);
            }
        } else if let Some(task) = slab.remove(key) {
            if !task.has(REMOTE) {
                self.remote.ended.note(ended, key.index(), number);
            }
            let (_taken, location) = self.take_apart(key, task);
            drop(tasks);
            self.discard(run, location);
        }
    }

    /// Takes apart a finished task that was removed from the slab. Returns its outcome, if it is still there, and
    /// where the task was spawned.
    #[inline]
    fn take_apart(
        &self,
        key: Key,
        mut task: TaskEntry,
    ) -> (Option<Pin<Box<dyn Run>>>, &'static Location<'static>) {
        if task.has(NAMED) {
            self.remove_name(key);
        }
        let run = task.body.take().map(|body| body.run);
        let location = task.location;
        // Neither a waker nor a joiner is left to drop, but the compiler cannot know that.
        mem::forget(task);
        (run, location)
    }

    /// Delivers or drops a task or its outcome, which no handle will take from the slab. Logs a panic.
    fn discard(&self, mut run: Pin<Box<dyn Run>>, location: &'static Location<'static>) {
        run.as_mut().deliver();
        if let Some(error) = run.as_mut().error() {
            error.log_panic(location);
            #[cfg(feature = "sim")]
            self.note_discarded(error, location);
        }
        log_panics("dropping a task or its outcome", || drop(run));
    }

    /// Wakes a task on this thread: pushes it to the run queue, unless it is already there or the wake is
    /// [recorded](Executor::wake_recorded). Returns whether it has done so.
    #[inline]
    fn wake(&self, waker: &TaskWaker) -> bool {
        let is_first = waker.flags.wake_local();
        if is_first {
            increment(&self.counters.local_wakes);
            self.push(waker.key());
        }
        is_first
    }

    /// Drops all tasks, even if a destructor panics. The caller has closed the inbox, which held `messages`, and
    /// has entered the context. A spawn in a destructor returns the handle of a cancelled task.
    pub(crate) fn shut_down(&self, messages: Vec<Message>) {
        self.activity.set(Activity::Closed);
        for message in messages {
            log_panics("dropping a task that was never polled", || drop(message));
        }
        let tasks = self.tasks.borrow_mut().slab.drain();
        for task in tasks {
            if task.phase != Phase::Finished {
                increment(&self.counters.finished);
            }
            if let Some(body) = task.body {
                self.discard(body.run, task.location);
            }
            wake_all(task.joiner.map(|joiner| joiner.waker));
        }
        let mut tasks = self.tasks.borrow_mut();
        tasks.ready.clear();
        self.remote.ended.note_all(&mut tasks.ended);
        drop(tasks);
        self.spare.take();
        self.report_rest();
        self.status.names.clear();
        self.publish();
    }
}
