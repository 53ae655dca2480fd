//! The context: the runtimes that the current thread has entered.
//!
//! `spawn`, sockets and sleeps use the newest one. [`Runtime`](crate::Runtime) enters a runtime whose loop runs or is
//! at rest on this thread, and [`Handle::enter`](crate::Handle::enter) one whose loop may be elsewhere.
//!
//! A guard stands for each entry. Guards may be dropped in any order, and each removes its own entry:
//!
//! ```text
//!    older: [ 3: runs here ]  [ 4: guest ]      newest: 6: guest      (the guard of 5 was dropped)
//!                                                       ^ the current runtime
//! ```

use crate::event_loop::{EventLoop, Shared};
use crate::executor::{InboxHandle, current as executor};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::mem::{self, ManuallyDrop};
use std::rc::Rc;
use std::sync::Arc;

/// The entries of a thread, as its thread-local holds them.
///
/// The thread-local has no destructor. It would run in an unspecified order with those of other thread-locals, and
/// the variable could not be read after it. Instead, each guard removes its own entry, and the last guard frees the
/// buffer. Nothing is left to drop at the end of the thread.
type Local = RefCell<ManuallyDrop<Entries>>;

thread_local! {
    /// The runtimes that this thread has entered.
    static CONTEXT: Local = const { RefCell::new(ManuallyDrop::new(Entries::NONE)) };
}

const _: () = assert!(!mem::needs_drop::<Local>());

/// The panic message of a call that needs a runtime, on a thread that is not in one.
const NO_RUNTIME: &str = "no runtime on this thread: call this inside `glassfrog::block_on` or `Runtime::block_on`, in \
     the `async` block that they run (the argument itself is evaluated before they enter the runtime), or after \
     `Handle::enter`";

/// The panic message of a call that needs the thread of a runtime, where a handle has entered one.
const GUEST: &str = "`Handle::enter` lets this thread create sockets, sleeps and blocking jobs, but no local tasks: \
     spawn with `Handle::spawn` or `Handle::spawn_with`, and take dumps with `Handle::dump`, or use `Runtime::enter` \
     on the runtime's own thread";

/// The panic message of a `block_on` on a thread that runs a loop.
const BLOCK_ON_INSIDE: &str =
    "`block_on` inside a runtime would block its tasks: `.await` the future, or `spawn` it";

/// The panic message of a turn on a thread that runs a loop.
const TURN_INSIDE: &str = "`Runtime::turn` inside a runtime would poll its tasks within a poll: call it outside \
     `block_on` and outside any other turn";

/// The runtimes that a thread has entered.
struct Entries {
    /// The current runtime. It has a field of its own, so that a thread in a single runtime allocates nothing.
    newest: Option<Entry>,
    /// The entries before it, by their numbers: the oldest comes first.
    older: BTreeMap<u64, Place>,
    /// The number of the newest entry that was ever added.
    last: u64,
}

/// A runtime that a thread has entered.
struct Entry {
    /// The number by which its guard finds it. No two entries of a thread have the same.
    number: u64,
    /// The runtime.
    place: Place,
}

/// The relation of a thread to a runtime that it has entered.
enum Place {
    /// The thread runs the loop, or ends the runtime.
    Runs(Rc<EventLoop>),
    /// The loop belongs to this thread, and is at rest.
    Rests(Rc<EventLoop>),
    /// The thread is a guest that used a handle. The loop may run on another thread, or not at all.
    Guest {
        /// The part of the runtime that any thread may use.
        shared: Arc<Shared>,
        /// Makes the entry count as a handle, because [`Handle::current`](crate::Handle::current) creates one from
        /// it.
        _inbox: InboxHandle,
    },
}

impl Place {
    /// Returns the part of the runtime that any thread may use.
    fn shared(&self) -> &Arc<Shared> {
        match self {
            Place::Runs(event_loop) | Place::Rests(event_loop) => &event_loop.shared,
            Place::Guest { shared, .. } => shared,
        }
    }

    /// Returns the loop, if this thread runs it.
    fn running(&self) -> Option<&Rc<EventLoop>> {
        match self {
            Place::Runs(event_loop) => Some(event_loop),
            Place::Rests(_) | Place::Guest { .. } => None,
        }
    }

    /// Returns the loop, if it belongs to this thread.
    fn event_loop(&self) -> Option<&Rc<EventLoop>> {
        match self {
            Place::Runs(event_loop) | Place::Rests(event_loop) => Some(event_loop),
            Place::Guest { .. } => None,
        }
    }
}

impl Entries {
    /// The entries of a thread that is in no runtime.
    const NONE: Entries = Entries {
        newest: None,
        older: BTreeMap::new(),
        last: 0,
    };

    /// Adds an entry, which becomes the newest. Returns its number.
    fn add(&mut self, place: Place) -> u64 {
        self.last += 1;
        let number = self.last;
        let before = self.newest.replace(Entry { number, place });
        self.older
            .extend(before.map(|entry| (entry.number, entry.place)));
        number
    }

    /// Removes and returns the entry with this number. Dropping it may run foreign code, so the caller does that.
    fn remove(&mut self, number: u64) -> Option<Place> {
        let removed = if self.newest.as_ref()?.number == number {
            let newest = self.older.pop_last();
            let newest = newest.map(|(number, place)| Entry { number, place });
            mem::replace(&mut self.newest, newest).map(|entry| entry.place)
        } else {
            self.older.remove(&number)
        };
        if self.older.is_empty() {
            // An emptied map may keep a node, which nothing would free at the end of the thread.
            self.older = BTreeMap::new();
        }
        removed
    }

    /// Returns the places from the newest to the oldest.
    fn places(&self) -> impl Iterator<Item = &Place> {
        let newest = self.newest.iter().map(|entry| &entry.place);
        newest.chain(self.older.values().rev())
    }

    /// Returns the loop that this thread runs; the innermost one, if a runtime ends inside another.
    fn running(&self) -> Option<&Rc<EventLoop>> {
        self.places().find_map(Place::running)
    }
}

/// A guard of an entry. Dropping it leaves the runtime.
pub(crate) struct Context {
    /// The number of the entry.
    number: u64,
    /// The entry belongs to this thread, so the guard is neither `Send` nor `Sync`.
    thread: PhantomData<*const ()>,
}

/// Adds an entry to those of this thread.
fn add(place: Place) -> Context {
    Context {
        number: CONTEXT.with(|entries| entries.borrow_mut().add(place)),
        thread: PhantomData,
    }
}

/// Enters a runtime on the thread that runs its loop or ends it, until the guard is dropped.
pub(crate) fn enter(event_loop: &Rc<EventLoop>) -> Context {
    executor::set(Some(&event_loop.executor));
    add(Place::Runs(Rc::clone(event_loop)))
}

/// Enters a runtime that is about to run its loop.
///
/// # Panics
///
/// Panics if this thread runs a loop, which the inner loop would block.
#[track_caller]
pub(crate) fn enter_to_run(event_loop: &Rc<EventLoop>) -> Context {
    assert_no_loop(BLOCK_ON_INSIDE);
    enter(event_loop)
}

/// Enters a runtime that is about to make one turn.
///
/// # Panics
///
/// Panics if this thread runs a loop, which the turn would block.
#[track_caller]
pub(crate) fn enter_to_turn(event_loop: &Rc<EventLoop>) -> Context {
    assert_no_loop(TURN_INSIDE);
    enter(event_loop)
}

/// Enters a runtime of this thread whose loop rests, until the guard is dropped.
pub(crate) fn enter_at_rest(event_loop: &Rc<EventLoop>) -> Context {
    add(Place::Rests(Rc::clone(event_loop)))
}

/// Enters a runtime on any thread, until the guard is dropped.
pub(crate) fn enter_as_guest(shared: &Arc<Shared>) -> Context {
    add(Place::Guest {
        shared: Arc::clone(shared),
        _inbox: InboxHandle::new(&shared.inbox),
    })
}

/// Enters a runtime on a thread that is about to wait for the runtime's loop.
///
/// # Panics
///
/// Panics if this thread runs a loop, which the wait would block.
#[track_caller]
pub(crate) fn enter_to_wait(shared: &Arc<Shared>) -> Context {
    assert_no_loop(BLOCK_ON_INSIDE);
    enter_as_guest(shared)
}

/// Panics with a message if this thread runs a loop.
#[track_caller]
fn assert_no_loop(message: &str) {
    let runs = CONTEXT.with(|entries| entries.borrow().running().is_some());
    assert!(!runs, "{message}");
}

impl Drop for Context {
    fn drop(&mut self) {
        let removed = CONTEXT.with(|entries| entries.borrow_mut().remove(self.number));
        if let Some(event_loop) = removed.as_ref().and_then(Place::running) {
            let outer = running();
            executor::set(outer.as_ref().map(|event_loop| &event_loop.executor));
            event_loop.rest();
        }
        drop(removed);
    }
}

/// Returns the loop that this thread runs, whatever the current runtime is.
pub(crate) fn running() -> Option<Rc<EventLoop>> {
    CONTEXT.with(|entries| entries.borrow().running().map(Rc::clone))
}

/// Returns the loop of the specified runtime, if this thread runs it or has entered it at rest.
pub(crate) fn here(shared: &Arc<Shared>) -> Option<Rc<EventLoop>> {
    CONTEXT.with(|entries| {
        let entries = entries.borrow();
        let mut loops = entries.places().filter_map(Place::event_loop);
        let ours = loops.find(|event_loop| Arc::ptr_eq(&event_loop.shared, shared));
        ours.map(Rc::clone)
    })
}

/// Returns the shared part of the current runtime, if there is one.
pub(crate) fn try_shared() -> Option<Arc<Shared>> {
    CONTEXT.with(|entries| {
        let newest = &entries.borrow().newest;
        newest
            .as_ref()
            .map(|entry| Arc::clone(entry.place.shared()))
    })
}

/// Returns the shared part of the current runtime, which suffices for sockets, sleeps and blocking jobs.
///
/// # Panics
///
/// Panics if this thread is in no runtime.
#[track_caller]
pub(crate) fn shared() -> Arc<Shared> {
    match try_shared() {
        Some(shared) => shared,
        None => panic!("{NO_RUNTIME}"),
    }
}

/// Returns the loop of the current runtime, which local tasks need.
///
/// # Panics
///
/// Panics if this thread is in no runtime, or if it is a guest and the loop does not belong to it.
#[track_caller]
pub(crate) fn current() -> Rc<EventLoop> {
    match here(&shared()) {
        Some(event_loop) => event_loop,
        None => panic!("{GUEST}"),
    }
}

/// Calls `f` with the loop of the current runtime. `f` must not run foreign code, because that might enter another
/// runtime.
///
/// # Panics
///
/// Panics like [`current`].
#[inline]
#[track_caller]
pub(crate) fn with<R>(f: impl FnOnce(&EventLoop) -> R) -> R {
    let called = CONTEXT.with(|entries| match &entries.borrow().newest {
        Some(Entry {
            place: Place::Runs(event_loop),
            ..
        }) => Ok(f(event_loop)),
        _ => Err(f),
    });
    match called {
        Ok(result) => result,
        Err(f) => f(&current()),
    }
}

/// A guard that keeps a thread in a runtime.
///
/// [`Handle::enter`](crate::Handle::enter) creates it on any thread, and [`Runtime::enter`](crate::Runtime::enter) on
/// the thread of the runtime. While the guard exists, the thread can create sockets, sleeps and blocking jobs that
/// belong to the runtime. On the runtime's own thread, it can also spawn local tasks. Dropping the guard leaves the
/// runtime.
///
/// A thread may enter several runtimes, or one of them several times. The *current* runtime is the one that the
/// thread entered last, by a guard or by `block_on`, and has not left. Guards may be dropped in any order, and each
/// removes only its own entry. A guard keeps neither the runtime nor its tasks alive.
///
/// A guard stays on its thread. Do not hold one across an `.await`: while the future waits, the thread is still in
/// the runtime, and so are the other futures that the thread polls.
///
/// ```compile_fail,E0277
/// fn assert_send<T: Send>() {}
/// assert_send::<glassfrog::Enter<'static>>();
/// ```
///
/// # Examples
///
/// ```
/// use glassfrog::{Handle, Runtime};
///
/// let (first, second) = (Runtime::new()?, Runtime::new()?);
/// let in_first = first.handle().enter();
/// let in_second = second.handle().enter();
/// // The second runtime stays the current one.
/// drop(in_first);
/// let task = Handle::current().spawn(async { "second" });
/// assert_eq!(second.block_on(task).unwrap(), "second");
/// drop(in_second);
/// assert!(Handle::try_current().is_none());
/// # std::io::Result::Ok(())
/// ```
#[must_use = "dropping the guard leaves the runtime"]
pub struct Enter<'a> {
    /// Leaves the runtime when dropped.
    _context: Context,
    /// The guard borrows the runtime if `Runtime::enter` created it.
    entered: PhantomData<&'a ()>,
}

impl Enter<'_> {
    /// Creates the guard of an entry.
    pub(crate) fn new(context: Context) -> Self {
        Enter {
            _context: context,
            entered: PhantomData,
        }
    }
}

impl fmt::Debug for Enter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Enter").finish_non_exhaustive()
    }
}
