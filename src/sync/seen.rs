//! What dumps show about the primitives: their names, where they were made, and which tasks have taken them.
//!
//! A [`Mark`] records which task took a primitive, where and when. Setting one takes a few loads and stores, because
//! every lock sets one and only dumps read it. Whatever costs more, such as names and descriptions, is left to the
//! dump.
//!
//! A mark keeps the address of a [`Location`], because an atomic can't hold a reference. [`PLACES`] translates the
//! address back: a thread adds an address there before it uses it for the first time.

use crate::clock::Stamp;
use crate::dump::{Quoted, Time};
use crate::executor::actor::actor;
use crate::executor::budget::{poll_budget, spend_budget};
use crate::executor::primitive::{Primitive, View};
use crate::executor::snapshot::TaskState;
use crate::executor::waits::{Declared, Subject, Wait};
use crate::primitives::{AtomicU64, AtomicUsize, Mutex, Ordering, lock};
use crate::waiter::Tag;
use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::hint;
use std::panic::Location;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, fence};
use std::sync::{Arc, OnceLock, Weak};
use std::task::{Context, Poll, ready};
use std::thread::{self, ThreadId};

/// The name of a primitive, and the place where it was made.
#[derive(Clone, Debug)]
pub(super) struct About {
    /// The name, if it has one.
    pub(super) name: Option<Cow<'static, str>>,
    /// Where it was made.
    pub(super) made: &'static Location<'static>,
}

impl About {
    /// Returns the name, and separately where it was made: `"jobs"` and `channel made at src/main.rs:9`. Without a name,
    /// the first text contains the place: `the channel made at src/main.rs:9`.
    pub(super) fn name_and_origin(&self, kind: &str) -> (String, Option<String>) {
        let origin = format!("{kind} made at {}:{}", self.made.file(), self.made.line());
        match &self.name {
            Some(name) => (Quoted(name).to_string(), Some(origin)),
            None => (format!("the {origin}"), None),
        }
    }
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (file, line) = (self.made.file(), self.made.line());
        match &self.name {
            Some(name) => write!(f, "{} (made at {file}:{line})", Quoted(name)),
            None => write!(f, "made at {file}:{line}"),
        }
    }
}

/// A state that is created at its first use, so that `new` can be `const`.
#[derive(Debug)]
pub(super) struct Lazy<S> {
    /// Where the primitive was made.
    made: &'static Location<'static>,
    /// The state.
    state: OnceLock<S>,
}

impl<S> Lazy<S> {
    /// Creates no state yet.
    #[track_caller]
    pub(super) const fn new() -> Lazy<S> {
        Lazy {
            made: Location::caller(),
            state: OnceLock::new(),
        }
    }

    /// Creates a state with a name at once.
    #[track_caller]
    pub(super) fn named(
        name: impl Into<Cow<'static, str>>,
        create: impl FnOnce(About) -> S,
    ) -> Lazy<S> {
        let made = Location::caller();
        let name = Some(name.into());
        Lazy {
            made,
            state: OnceLock::from(create(About { name, made })),
        }
    }

    /// Returns the state.
    #[inline]
    pub(super) fn get(&self, create: impl FnOnce(About) -> S) -> &S {
        match self.state.get() {
            Some(state) => state,
            None => self.create(create),
        }
    }

    /// Returns the state, if it has been created.
    pub(super) fn get_mut(&mut self) -> Option<&mut S> {
        self.state.get_mut()
    }

    /// Returns the state, if it has been created.
    pub(super) fn into_inner(self) -> Option<S> {
        self.state.into_inner()
    }

    /// Creates the state.
    #[cold]
    fn create(&self, create: impl FnOnce(About) -> S) -> &S {
        let about = About {
            name: None,
            made: self.made,
        };
        self.state.get_or_init(|| create(about))
    }
}

/// The value of a primitive that has not been used yet.
#[derive(Debug)]
pub(super) struct Unused<T>(Mutex<Option<T>>);

impl<T> Unused<T> {
    /// Contains nothing, because the state has the value from the beginning.
    pub(super) const fn none() -> Unused<T> {
        Unused(Mutex::new(None))
    }

    /// Contains the value until the first use.
    pub(super) const fn new(value: T) -> Unused<T> {
        Unused(Mutex::new(Some(value)))
    }

    /// Takes the value at the first use.
    pub(super) fn take(&self) -> T {
        lock(&self.0)
            .take()
            .expect("a primitive is used for the first time only once")
    }
}

/// Records the task or the thread that took a primitive, where and when. An unset mark names none.
///
/// A mark has one writer at a time, as the thing itself has. A reader on another thread may come at any time, and never
/// sees a mixture of two writers:
///
/// ```text
///    writer                               reader
///    tag = BUSY                           read the tag: that of a task
///    ---- fence ----                      read the version
///    write the runtime and the place      read the runtime and the place
///    version += 1                         ---- fence ----
///    tag = that of the task               the tag and the version are still the same
/// ```
///
/// A reader that has seen anything of a later writer sees that the tag is [`BUSY`] or has been, because the fences pair.
/// If the later writer has finished, it may have set the same tag, but the version has grown.
#[derive(Debug)]
pub(super) struct Mark {
    /// The tag of the task, [`BUSY`] or [`NOBODY`].
    tag: AtomicU64,
    /// The number of its runtime, and the stamp of the turn. Outside any task, the number of the thread, and 0.
    turn: AtomicU64,
    /// The address of the place, and [`OWNED`].
    place: AtomicUsize,
    /// How often the mark has been set.
    version: AtomicUsize,
}

/// The tag of an unset mark.
const NOBODY: u64 = u64::MAX;

/// The tag of a mark that is being set.
const BUSY: u64 = u64::MAX - 1;

/// The bit of the place that says that the task has taken an owned guard or permit. The address of a [`Location`] is
/// even.
const OWNED: usize = 1;

/// How often a reader looks at a mark that changes or is being set. A writer takes a few nanoseconds, but may lose its
/// processor meanwhile. The reader then takes the mark for one that has not been set yet.
const LOOKS: usize = 100;

/// What a mark says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    /// The task or the thread.
    pub(super) who: Who,
    /// Where.
    pub(super) place: Option<&'static Location<'static>>,
    /// Whether the guard or the permit is an owned one, which a program takes in order to give it to another task.
    pub(super) is_owned: bool,
    /// The turn of the runtime in which it was taken. Unknown outside any task.
    pub(super) turn: Stamp,
}

/// A task, or a thread outside any task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Who {
    /// A task.
    Task {
        /// The number of its runtime.
        runtime: u32,
        /// The low half of its id; 0 for the root future.
        task: u32,
    },
    /// A thread, by its number in [`THREADS`].
    Thread(u32),
}

impl Default for Mark {
    fn default() -> Mark {
        Mark {
            tag: AtomicU64::new(NOBODY),
            turn: AtomicU64::new(0),
            place: AtomicUsize::new(0),
            version: AtomicUsize::new(0),
        }
    }
}

impl Mark {
    /// Notes that whoever is polled on this thread has taken the thing. Nobody else sets the mark meanwhile.
    #[inline]
    pub(super) fn set(&self, place: &'static Location<'static>) {
        let (tag, turn) = whoever();
        // Relaxed: see `begin`.
        self.tag.store(BUSY, Ordering::Relaxed);
        self.begin(turn);
        self.write_place(place);
        self.publish(tag);
    }

    /// Notes the same in a mark that others may set at the same time; one of them wins.
    #[inline]
    pub(super) fn set_shared(&self, place: &'static Location<'static>) {
        let (tag, turn) = whoever();
        // Acquire: what the last writer has written comes before what is written now.
        if self.tag.swap(BUSY, Ordering::Acquire) != BUSY {
            self.begin(turn);
            self.write_place(place);
            self.publish(tag);
        }
    }

    /// Records the same in a mark that other threads may set too. Returns false if the mark is already set.
    #[inline]
    pub(super) fn try_set(&self, place: &'static Location<'static>) -> bool {
        let (tag, turn) = whoever();
        let is_mine = self.claim(turn);
        if is_mine {
            self.write_place(place);
            self.publish(tag);
        }
        is_mine
    }

    /// Claims a free mark for a task. Returns false if the mark is not free. [`actor`] returns the turn. The place
    /// follows, and then the tag.
    #[inline]
    pub(super) fn claim(&self, turn: u64) -> bool {
        let is_mine = self.tag.load(Ordering::Relaxed) == NOBODY
            // Acquire: what the last holder has written comes before what is written now.
            && self
                .tag
                .compare_exchange(NOBODY, BUSY, Ordering::Acquire, Ordering::Relaxed)
                .is_ok();
        if is_mine {
            self.begin(turn);
        }
        is_mine
    }

    /// Begins to write into a mark that is [`BUSY`].
    #[inline]
    fn begin(&self, turn: u64) {
        // Pairs with the fence in `get`: a reader that sees what is written from here on sees that the mark is busy.
        fence(Ordering::Release);
        self.turn.store(turn, Ordering::Relaxed);
    }

    /// Ends the writing: the mark shows the task with this tag.
    #[inline]
    fn publish(&self, tag: u64) {
        let version = self.version.load(Ordering::Relaxed).wrapping_add(1);
        // Release: pairs with the Acquire in `get`, which then sees what has been written with this version.
        self.version.store(version, Ordering::Release);
        // Release: likewise with this tag.
        self.tag.store(tag, Ordering::Release);
    }

    /// Writes the place into a claimed mark and publishes it, if that is easy: if this thread knows that the place is
    /// entered. Otherwise returns false.
    #[inline]
    pub(super) fn finish_known(&self, tag: Tag, place: &'static Location<'static>) -> bool {
        let address = address(place);
        if self.place.load(Ordering::Relaxed) != address {
            if !is_entered(address) {
                return false;
            }
            self.place.store(address, Ordering::Relaxed);
        }
        self.publish(tag.number());
        true
    }

    /// Writes the place into a mark that this thread has claimed, and publishes it.
    pub(super) fn finish(&self, place: &'static Location<'static>) {
        let (tag, _) = whoever();
        self.write_place(place);
        self.publish(tag);
    }

    /// Writes the place.
    #[inline]
    fn write_place(&self, place: &'static Location<'static>) {
        let address = address(place);
        if self.place.load(Ordering::Relaxed) != address {
            enter_place(address, place);
            self.place.store(address, Ordering::Relaxed);
        }
    }

    /// Notes that the guard or the permit is an owned one. The caller has just set the mark.
    #[inline]
    pub(super) fn set_owned(&self) {
        // Relaxed is enough: a reader on another thread only misses the bit.
        let place = self.place.load(Ordering::Relaxed);
        self.place.store(place | OWNED, Ordering::Relaxed);
    }

    /// Clears the mark, because the primitive has been released.
    #[inline]
    pub(super) fn clear(&self) {
        self.tag.store(NOBODY, Ordering::Release);
    }

    /// Returns the contents of the mark if it is set.
    pub(super) fn get(&self) -> Option<Taken> {
        for _look in 0..LOOKS {
            // Acquire: pairs with the Release in `publish`.
            let tag = self.tag.load(Ordering::Acquire);
            match tag {
                NOBODY => return None,
                BUSY => {
                    hint::spin_loop();
                    continue;
                }
                _ => {}
            }
            // Acquire: pairs with the Release in `publish`.
            let version = self.version.load(Ordering::Acquire);
            let turn = self.turn.load(Ordering::Relaxed);
            let place = self.place.load(Ordering::Relaxed);
            // Pairs with the fence in `begin`.
            fence(Ordering::Acquire);
            // Acquire: the version is read after the tag.
            let is_same = self.tag.load(Ordering::Acquire) == tag
                && self.version.load(Ordering::Relaxed) == version;
            if is_same {
                let (number, stamp) = ((turn >> 32) as u32, turn as u32);
                let who = match Tag::from_number(tag).parts() {
                    Some((task, _)) => Who::Task {
                        runtime: number,
                        task,
                    },
                    None => Who::Thread(number),
                };
                return Some(Taken {
                    who,
                    place: lock(&PLACES).get(&(place & !OWNED)).copied(),
                    is_owned: place & OWNED != 0,
                    turn: Stamp::from_number(stamp),
                });
            }
        }
        None
    }
}

/// Returns the tag of the task on this thread, and the number of its runtime with the stamp of the turn.
#[inline]
fn whoever() -> (u64, u64) {
    match actor() {
        (Tag::NONE, _) => (Tag::NONE.number(), u64::from(thread_number()) << 32),
        (tag, turn) => (tag.number(), turn),
    }
}

impl Who {
    /// Names the task or the thread.
    pub(super) fn name(self, view: &View<'_>) -> String {
        match self {
            Who::Task { runtime, task } if runtime == view.runtime => view.task(task),
            Who::Task { runtime, task } => {
                let name = (view.other_task)(runtime, task);
                let runtime = match (view.other)(runtime) {
                    Some((name, _)) => name,
                    None => format!("runtime {runtime} (which has ended)"),
                };
                match (task, name) {
                    (0, _) => format!("main of {runtime}"),
                    (_, Some(name)) => format!("task {task} {} of {runtime}", Quoted(&name)),
                    (_, None) => format!("task {task} of {runtime}"),
                }
            }
            Who::Thread(number) => match lock(&THREADS).names.get(&number) {
                Some((Some(name), _)) => format!("thread {name:?}"),
                Some((None, id)) => format!("an unnamed thread, {id:?}"),
                None => String::from("a thread that has ended"),
            },
        }
    }

    /// Names the task or the thread, with a remark if it is the task that waits.
    pub(super) fn name_for_waiter(self, view: &View<'_>) -> String {
        let mut name = self.name(view);
        if self
            .task(view)
            .is_some_and(|task| view.waiting == Some(task))
        {
            name.push_str(" (this task)");
        }
        name
    }

    /// Returns the task, if it belongs to the runtime of this view.
    pub(super) fn task(self, view: &View<'_>) -> Option<u32> {
        self.task_of(view.runtime)
    }

    /// Returns the task, if it belongs to the runtime with this number.
    pub(super) fn task_of(self, number: u32) -> Option<u32> {
        match self {
            Who::Task { runtime, task } if runtime == number => Some(task),
            Who::Task { .. } | Who::Thread(_) => None,
        }
    }
}

impl Taken {
    /// Returns the time since it was taken, and a number that is larger the longer that time is.
    pub(super) fn age(&self, view: &View<'_>) -> Option<std::time::Duration> {
        let Who::Task { runtime, .. } = self.who else {
            return None;
        };
        let now = match runtime == view.runtime {
            true => view.now,
            false => (view.other)(runtime)?.1,
        };
        Some(self.turn.until(now))
    }

    /// Returns the task of this runtime that keeps a wait from its end, because it has taken the thing. A task that has
    /// taken an owned guard and waits for the next has probably given the first away.
    pub(super) fn blocker(&self, wait: &Declared, runtime: u32) -> Option<u32> {
        let task = self.who.task_of(runtime)?;
        (!self.is_owned || wait.task() != Some(task)).then_some(task)
    }

    /// Displays the task that took it, when and where: `task 2 "auditor" 3.2 s ago at src/audit.rs:24`.
    pub(super) fn text(&self, view: &View<'_>) -> String {
        self.who.name_for_waiter(view) + &self.when(view)
    }

    /// Displays the task that made it, and where: `main at src/main.rs:9`.
    pub(super) fn made_text(&self, view: &View<'_>) -> String {
        let mut text = self.who.name(view);
        if let Some(place) = self.place {
            let _infallible = write!(text, " at {}:{}", place.file(), place.line());
        }
        text
    }

    /// Displays when and where it was taken, after a space: ` 3.2 s ago at src/audit.rs:24`.
    pub(super) fn when(&self, view: &View<'_>) -> String {
        let mut text = String::new();
        if let Some(age) = self.age(view) {
            let _infallible = write!(text, " {} ago", Time(age));
        }
        if let Some(place) = self.place {
            let _infallible = write!(text, " at {}:{}", place.file(), place.line());
        }
        text
    }
}

/// Returns the address of a place.
#[inline]
fn address(place: &'static Location<'static>) -> usize {
    std::ptr::from_ref(place).addr()
}

/// The places that marks name, by their addresses. Their number is bounded by the number of calls in the program.
static PLACES: Mutex<BTreeMap<usize, &'static Location<'static>>> = Mutex::new(BTreeMap::new());

/// The number of places that each thread remembers to have added to [`PLACES`].
const REMEMBERED: usize = 64;

thread_local! {
    /// Addresses that are in [`PLACES`], each at a position that is computed from the address.
    static ENTERED: [Cell<usize>; REMEMBERED] = const { [const { Cell::new(0) }; REMEMBERED] };
}

/// Returns the position of an address in [`ENTERED`].
#[inline]
fn position(address: usize) -> usize {
    // The low bits of an address are all alike.
    (address >> 3) % REMEMBERED
}

/// Returns whether this thread knows that an address is in [`PLACES`].
#[inline]
fn is_entered(address: usize) -> bool {
    ENTERED.with(|entered| entered[position(address)].get() == address)
}

/// Adds an address to [`PLACES`], unless this thread knows that it is there.
#[inline]
fn enter_place(address: usize, place: &'static Location<'static>) {
    let is_entered = ENTERED.with(|entered| entered[position(address)].replace(address) == address);
    if !is_entered {
        enter_new_place(address, place);
    }
}

/// Adds an address to [`PLACES`], unless it is there.
#[cold]
fn enter_new_place(address: usize, place: &'static Location<'static>) {
    lock(&PLACES).insert(address, place);
}

/// The threads that have taken a primitive outside any task.
struct Threads {
    /// The names and the ids of those that have not ended, by their numbers. A mark has no room for a [`ThreadId`].
    names: BTreeMap<u32, (Option<String>, ThreadId)>,
}

/// The threads that have taken a primitive outside any task.
static THREADS: Mutex<Threads> = Mutex::new(Threads {
    names: BTreeMap::new(),
});

/// The number of a thread, until the thread ends. It has a destructor, unlike other thread-locals of this crate, because
/// nothing else says that a thread has ended, and [`THREADS`] would grow with each thread.
struct Numbered(u32);

impl Drop for Numbered {
    fn drop(&mut self) {
        lock(&THREADS).names.remove(&self.0);
    }
}

thread_local! {
    /// The number of this thread.
    static NUMBER: Numbered = Numbered::new();
}

impl Numbered {
    /// Gives this thread a number.
    fn new() -> Numbered {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        let thread = thread::current();
        let named = (thread.name().map(String::from), thread.id());
        lock(&THREADS).names.insert(number, named);
        Numbered(number)
    }
}

/// Returns the number of this thread; 0 while the thread ends.
#[cold]
fn thread_number() -> u32 {
    NUMBER.try_with(|number| number.0).unwrap_or(0)
}

/// The locks and semaphores that have been used and not been dropped, so that [`held`](super::held) can list them.
pub(super) static HOLDABLE: Mutex<BTreeMap<u64, Weak<dyn Holdable>>> = Mutex::new(BTreeMap::new());

/// A primitive that a task can hold.
pub(super) trait Holdable: Send + Sync {
    /// Returns a description of the primitive and its holders.
    fn holding(&self) -> Holding;
}

/// A primitive and its holders.
pub(super) struct Holding {
    /// The kind: "lock", "rwlock", "semaphore".
    pub(super) kind: &'static str,
    /// Its name, and where it was made.
    pub(super) about: About,
    /// The verb for its holders: "taken", "taken to read", "taken to write".
    pub(super) how: &'static str,
    /// The holders that have marks.
    pub(super) known: Vec<Taken>,
    /// The number of the other holders.
    pub(super) others: usize,
}

/// The entry of a primitive in [`HOLDABLE`]. Dropping it removes the entry.
#[derive(Debug)]
pub(super) struct Listed(u64);

impl Listed {
    /// Creates a primitive that is listed.
    pub(super) fn create<S: Holdable + 'static>(create: impl FnOnce(Listed) -> S) -> Arc<S> {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        let primitive = Arc::new(create(Listed(number)));
        let weak: Weak<dyn Holdable> =
            Arc::downgrade(&(Arc::clone(&primitive) as Arc<dyn Holdable>));
        lock(&HOLDABLE).insert(number, weak);
        primitive
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        let removed = lock(&HOLDABLE).remove(&self.0);
        drop(removed);
    }
}

/// Returns the wait for the same primitive that began first.
pub(super) fn first_in_line<'a>(wait: &Declared, view: &View<'a>) -> Option<&'a Declared> {
    view.waits.of(wait, None).first().copied()
}

/// Names the future that is next for a lock that is free although a task waits for it; see [`next_future`].
pub(super) fn next_in_line(wait: &Declared, view: &View<'_>) -> String {
    match first_in_line(wait, view) {
        Some(first) => next_for(first, view),
        None => String::from(", free"),
    }
}

/// Says that a lock is free although this future waits for it, and is the next.
pub(super) fn next_for(first: &Declared, view: &View<'_>) -> String {
    match next_future(first, view) {
        Some(next) => format!(", free; next for this lock: {next}"),
        None => String::from(", free"),
    }
}

/// Returns whether the task of a wait has been woken since it has polled the future that waits.
pub(super) fn is_woken(wait: &Declared, view: &View<'_>) -> bool {
    let tag = wait.waiter.tag.parts();
    tag.is_some_and(|(task, poll)| {
        let task = view.tasks.get(&task);
        task.is_some_and(|task| task.state == TaskState::Ready && task.polls == poll)
    })
}

/// Describes the future that is first in line for a primitive that is free.
///
/// The last holder has woken the first future in the queue, and its task has not polled it since. The task may poll
/// several futures, such as the branches of a `select`, one of which keeps it from polling the others.
/// If the task is in the run queue and has polled the future in its last poll, it has only just been woken.
pub(super) fn next_future(first: &Declared, view: &View<'_>) -> Option<String> {
    let (task, poll) = first.waiter.tag.parts()?;
    let snapshot = view.tasks.get(&task);
    let polls = snapshot.map_or(poll, |task| task.polls);
    let task = view.task(task);
    if is_woken(first, view) {
        return Some(format!("{task}, which has been woken"));
    }
    let mut text = format!("a future of {task}, not polled since its poll {poll} of {polls}");
    if let Some(at) = first.location {
        let _infallible = write!(text, ", begun at {}:{}", at.file(), at.line());
    }
    Some(text)
}

impl Wait {
    /// Polls an operation of a primitive, which `begin` creates in the first poll. While the operation is pending,
    /// declares the wait. The operation takes part in the budget of the poll.
    pub(super) fn poll_slow<P: Primitive + 'static, F: Future>(
        &mut self,
        mut slow: Pin<&mut Option<F>>,
        cx: &mut Context<'_>,
        location: &'static Location<'static>,
        primitive: &Arc<P>,
        wanted: u32,
        begin: impl FnOnce() -> F,
    ) -> Poll<F::Output> {
        ready!(poll_budget(cx));
        if slow.is_none() {
            slow.set(Some(begin()));
        }
        let operation = slow.as_pin_mut().expect("the operation has begun");
        let polled = operation.poll(cx);
        match polled {
            Poll::Ready(_) => {
                spend_budget();
                self.withdraw();
            }
            Poll::Pending => self.pending(cx, location, primitive, wanted),
        }
        polled
    }

    /// Declares the wait for a primitive, at the end of a poll that is pending.
    pub(super) fn pending<P: Primitive + 'static>(
        &mut self,
        cx: &Context<'_>,
        location: &'static Location<'static>,
        primitive: &Arc<P>,
        wanted: u32,
    ) {
        self.declare(Some(cx.waker()), location, 0, || {
            Subject::Primitive(Arc::clone(primitive) as Arc<dyn Primitive>, wanted)
        });
    }
}
