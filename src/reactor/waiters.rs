//! The waiters of one descriptor: the wakers to call when it becomes ready.
//!
//! [`Readiness`](super::readiness::Readiness) keeps them under its lock. This module knows wakers,
//! not tasks, and runs no foreign code: it returns every waker that leaves to the caller, which wakes
//! or drops it after it has released the lock.
//!
//! Each direction has a line of its own. A waiter joins the line in one of two ways:
//!
//! - An async method gets a *key*. Dropping the method removes the waiter with this key, so no such waiter
//!   outlives its method.
//! - A poll method puts its waker on a *list*, which holds each waker once. A caller that loses
//!   interest in a poll method does not say so, so the list also holds wakers that are no longer
//!   needed.
//!
//! ```text
//!              the first joins          another joins
//!    empty ------------------> one ------------------> many
//!       ^                    (inline)                 (boxed)
//!       |                        |                       |
//!       +------------------------+-----------------------+
//!        an event takes the line, or the last waiter is removed by its key
//! ```
//!
//! Joining, replacing a waker and leaving cost the same with one waiter and with ten thousand (a key
//! costs the depth of a B-tree). An event takes the whole line in one step, and then wakes each of its
//! waiters, so the cost of an event is linear in the number of its waiters.
//!
//! # Sweeps
//!
//! A full list is *swept*: the sweep takes all wakers off the list and wakes them. Callers that still
//! wait poll again and put their wakers back. A sweep is therefore correct at any time, and the only
//! question is when it pays.
//!
//! ```text
//!                two rounds after               the list has doubled and
//!                the last sweep                 holds at least eight wakers
//!    +----------+ -------------> +---------+ ----------------------------+
//!    | counting |                | filling |                             | sweep
//!    +----------+                +---------+                             |
//!         ^                                                              |
//!         +--------------------------------------------------------------+
//! ```
//!
//! A sweep on the thread of the loop puts the tasks that it wakes into the run queue, and the next
//! round polls them. When two rounds have begun since the sweep, every task that polls again at once
//! is back on the list. The length of the list is then the number of the *living*: the wakers that
//! came back, and those that joined in the meantime. From there the list may double.
//!
//! *Memory is bounded.* A list holds at most twice as many wakers as live or joined within two rounds.
//! It keeps at most as many from the last sweep, for the reason given below.
//!
//! *No task is woken in circles.* A task that comes back within two rounds finds a list that is still
//! counting, and causes no sweep. Between the count and the next sweep as many wakers join as were
//! counted, so each of them pays for two wakes. A task may also come back later, for example because
//! another task passes the wake on to it, or because another thread has swept the list and the wake
//! goes through the inbox. The list therefore recognizes the wakers that it has swept: one that comes
//! back counts as living at any time, and causes no sweep. To recognize a waker, the list keeps its
//! clone until it comes back or the next sweep replaces it. If the list dropped the clone, another
//! waker could get its address and be mistaken for it.
//!
//! *Outsiders have no rounds.* An outsider is a poller that is not a task of this loop: it runs on
//! another executor or another thread, may take long to come back, and may join while the loop is
//! parked. An outsider that finds the list full sweeps it in any round, but only if the list holds
//! twice as many wakers as the last sweep has woken. The list thus doubles from sweep to sweep until
//! all living outsiders fit. The doubling ends at [`MOST_OUTSIDERS`], or a list of abandoned wakers
//! would grow without bound, since they cannot be told from the wakers of slow outsiders. While the
//! loop is parked, a list therefore holds at most that many wakers, or twice as many as are known to
//! live. Sweeps follow one another only if more outsiders than that wait for one direction.

use super::readiness::Direction;
use crate::foreign::{log_panics, wake_all};
use crate::primitives::{AtomicU32, AtomicUsize, Ordering};
use crate::waiter::{Waiter, WaiterInfo};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::mem;
use std::num::NonZeroU32;
use std::ptr;
use std::sync::Arc;
use std::task::Waker;

/// The length at which a list gets an index and may be swept. A stream is rarely polled by more than
/// a few tasks, and searching a shorter list is as fast as hashing.
const FEW: usize = 8;

/// The number of rounds that begin after a sweep until the tasks that it woke have been polled: the
/// first round polls them, and the second begins when the first is over.
const ROUNDS_TO_COME_BACK: u32 = 2;

/// The length up to which a list may double before outsiders have shown that they live. At some 50
/// bytes a waker, such a list takes as much memory as the buffer of a connection.
const MOST_OUTSIDERS: usize = 1024;

/// The number of wakers for which the vector of a turn keeps room. A turn takes at most 1024 events,
/// and an event takes at most two lines.
const KEPT_ONES: usize = 2048;

/// The key of a waiter, once an async method has had to wait. When an event takes the waiter, the
/// number becomes stale. A stale number is reused only after 2³¹ others.
pub(crate) type WaiterKey = Option<NonZeroU32>;

/// What the waiters of all descriptors of a reactor have in common.
#[derive(Debug, Default)]
pub(crate) struct Common {
    /// The number of lines, of all descriptors, that are not empty.
    ///
    /// Relaxed is enough: the number guards no memory. A waiter raises it under the lock of its line,
    /// before the decrement that undoes this, so it never falls below zero.
    waited_for: AtomicUsize,
    /// The number of rounds that the run queue of the loop has begun (modulo 2³²). The run queue writes
    /// it.
    ///
    /// Relaxed is enough: the number measures time and guards no memory. A thread that reads an old
    /// number puts off a sweep.
    rounds: Arc<AtomicU32>,
    /// The number of sweeps, of all lists (modulo 2³²).
    ///
    /// Relaxed is enough: the number only tells sweeps apart.
    sweeps: AtomicU32,
}

impl Common {
    /// Creates the common part of a reactor without waiters, whose loop counts its rounds here.
    pub(crate) fn new(rounds: Arc<AtomicU32>) -> Common {
        Common {
            rounds,
            ..Common::default()
        }
    }

    /// Returns whether anything waits for a descriptor. The loop asks this before it parks.
    ///
    /// The tasks of the loop have counted themselves on the thread that asks. The answer may miss a
    /// waiter that joins on another thread at this moment; no answer could be certain about that one.
    pub(crate) fn is_waited_for(&self) -> bool {
        self.waited_for.load(Ordering::Relaxed) > 0
    }

    /// Notes that this many lines have become empty.
    pub(crate) fn subtract(&self, lines: usize) {
        if lines > 0 {
            self.waited_for.fetch_sub(lines, Ordering::Relaxed);
        }
    }

    /// Notes that a line is no longer empty.
    #[inline(always)]
    fn add(&self) {
        self.waited_for.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the round that the run queue is in.
    fn round(&self) -> u32 {
        self.rounds.load(Ordering::Relaxed)
    }

    /// Returns the number of a new sweep, which is never 0 before it wraps around.
    fn new_sweep(&self) -> u32 {
        self.sweeps.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }
}

/// The outcome of an attempt to wait.
#[derive(Debug)]
#[must_use]
pub(crate) enum Wait {
    /// The direction is ready: try again. The waiter is returned.
    Ready(Waiter),
    /// The waiter has joined the line. The waiter that it replaces, if any, is returned.
    Waiting(Option<Waiter>),
    /// The waiter has joined the line, and its list was swept: [wake](Swept::wake) these wakers, then
    /// [keep](Waiters::keep) them. Boxed, so that the other outcomes stay small.
    Swept(Box<Swept>),
}

/// The waiters of one descriptor.
#[derive(Debug)]
pub(crate) struct Waiters {
    /// The lines, by direction.
    lines: [Line; 2],
    /// The number of the last key in each direction, which is even. The lowest bit is set if the
    /// waiter inline came by a poll method. A field for this bit would make a descriptor sixteen bytes
    /// larger.
    last_keys: [u32; 2],
}

/// The waiters of one direction.
#[derive(Debug)]
enum Line {
    /// One waiter, which costs no allocation.
    One(Waiter),
    /// Several waiters, or none.
    Many(Option<Box<Crowd>>),
}

/// The lines that events have taken. Their waiters are woken after all locks are released.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    /// The wakers that waited alone.
    ones: Vec<Waker>,
    /// The other lines, as they stood.
    crowds: Vec<Crowd>,
}

/// What was removed by a key, for the caller to drop after it has released the lock.
#[derive(Debug)]
pub(crate) struct Left {
    /// The waiter, unless an event has taken it. With the last waiter comes its crowd.
    _line: Line,
}

/// The wakers that a sweep has taken off a list.
#[derive(Debug)]
pub(crate) struct Swept {
    /// The number of the sweep.
    number: u32,
    /// The wakers.
    roll: Roll,
}

/// Several waiters of the same direction.
#[derive(Debug)]
struct Crowd {
    /// The waiters of async methods, by their keys and so in the order of their arrival.
    keyed: BTreeMap<NonZeroU32, Waiter>,
    /// The callers of poll methods.
    list: List,
}

/// The wakers of poll methods; see [Sweeps](self#sweeps).
#[derive(Debug)]
struct List {
    /// The wakers on the list.
    waiting: Roll,
    /// The number of wakers known to live. The list is full when it holds twice as many.
    living: usize,
    /// The round of the last sweep, while the list is counting the living; `None` while it is filling.
    counting_since: Option<u32>,
    /// The number of the last sweep; 0 before the first.
    last_sweep: u32,
    /// The number of wakers that the last sweep has woken.
    woken: usize,
    /// Those of them that have not come back.
    kept: Roll,
}

/// Wakers in the order of their arrival, each once.
#[derive(Debug, Default)]
struct Roll {
    /// The wakers.
    waiters: Vec<Waiter>,
    /// The position of each waker in `waiters`; empty until there are [`FEW`].
    index: HashMap<Identity, usize>,
}

/// The identity of a waker: the addresses of its data and of its vtable. The clones of a waker share
/// it, and no other waker has it while one of them exists.
type Identity = (usize, usize);

/// Returns the identity of a waker.
fn identity(waker: &Waker) -> Identity {
    (
        waker.data() as usize,
        ptr::from_ref(waker.vtable()) as usize,
    )
}

/// Returns a new key and makes it the last one.
#[inline(always)]
fn new_key(last: &mut u32) -> WaiterKey {
    *last = (*last | 1).wrapping_add(1).max(2);
    NonZeroU32::new(*last)
}

/// Returns whether the waiter inline came by a poll method, given the number of the last key.
fn is_of_list(last: u32) -> bool {
    last & 1 == 1
}

impl Waiters {
    /// No waiters.
    pub(crate) const NONE: Waiters = Waiters {
        lines: [const { Line::Many(None) }; 2],
        last_keys: [0; 2],
    };

    /// Returns whether the line of a direction is empty.
    #[inline(always)]
    pub(crate) fn is_empty(&self, direction: Direction) -> bool {
        self.lines[direction as usize].is_empty()
    }

    /// Begins the line of a direction, which is empty.
    #[inline(always)]
    pub(crate) fn begin(
        &mut self,
        direction: Direction,
        key: Option<&mut WaiterKey>,
        waiter: Waiter,
        common: &Common,
    ) {
        self.lines[direction as usize] = Line::One(waiter);
        let last = &mut self.last_keys[direction as usize];
        match key {
            Some(key) => *key = new_key(last),
            None => *last |= 1,
        }
        common.add();
    }

    /// Adds a waiter to the line of a direction, or replaces its former waker. `key` is the key of an
    /// async method; `None` stands for the list of the poll methods.
    pub(crate) fn join(
        &mut self,
        direction: Direction,
        key: Option<&mut WaiterKey>,
        waiter: Waiter,
        common: &Common,
    ) -> Wait {
        let line = &mut self.lines[direction as usize];
        let last = &mut self.last_keys[direction as usize];
        let mut crowd = match mem::take(line) {
            Line::Many(None) => {
                self.begin(direction, key, waiter, common);
                return Wait::Waiting(None);
            }
            Line::Many(Some(crowd)) => crowd,
            Line::One(one) => {
                let is_same = match &key {
                    Some(key) => **key == NonZeroU32::new(*last),
                    None => is_of_list(*last) && one.waker.will_wake(&waiter.waker),
                };
                if is_same {
                    *line = Line::One(waiter);
                    return Wait::Waiting(Some(one));
                }
                Crowd::of(one, *last, common)
            }
        };
        let wait = match key {
            Some(key) => crowd.join_keyed(key, last, waiter),
            None => crowd.list.join(waiter, common),
        };
        *line = Line::Many(Some(crowd));
        wait
    }

    /// Removes the waiter with this key.
    pub(crate) fn leave(&mut self, direction: Direction, key: NonZeroU32, common: &Common) -> Left {
        let line = &mut self.lines[direction as usize];
        let is_last = match line {
            Line::One(_) => self.last_keys[direction as usize] == key.get(),
            Line::Many(Some(crowd)) => crowd.len() == 1 && crowd.keyed.contains_key(&key),
            Line::Many(None) => false,
        };
        let left = match line {
            _ if is_last => {
                common.subtract(1);
                mem::take(line)
            }
            Line::Many(Some(crowd)) => crowd.keyed.remove(&key).map(Line::One).unwrap_or_default(),
            _ => Line::default(),
        };
        Left { _line: left }
    }

    /// Moves the line of a direction to `taken`, unless it is empty.
    #[inline(always)]
    pub(crate) fn take(&mut self, direction: Direction, taken: &mut Taken) {
        let line = &mut self.lines[direction as usize];
        if !line.is_empty() {
            match mem::take(line) {
                Line::One(one) => taken.ones.push(one.waker),
                Line::Many(crowd) => taken.crowds.extend(crowd.map(|crowd| *crowd)),
            }
        }
    }

    /// Returns the number of directions whose line is not empty.
    pub(crate) fn waited_for(&self) -> usize {
        let [read, write] = &self.lines;
        usize::from(!read.is_empty()) + usize::from(!write.is_empty())
    }

    /// Keeps the wakers of a sweep, after they have been woken, until they come back or the list is
    /// swept again. Returns the wakers that are not to be kept, for the caller to drop.
    pub(crate) fn keep(&mut self, direction: Direction, swept: Swept) -> Vec<Waiter> {
        match &mut self.lines[direction as usize] {
            Line::Many(Some(crowd)) if crowd.list.last_sweep == swept.number => {
                crowd.list.keep(swept.roll)
            }
            // Meanwhile another thread has swept the list again, or an event has taken it.
            _ => swept.roll.waiters,
        }
    }

    /// Returns the waiters with their directions.
    pub(crate) fn waiting(&self) -> Vec<(Direction, WaiterInfo)> {
        self.infos(Line::waiting)
    }

    /// Returns the wakers that are kept although they do not wait, with their directions.
    pub(crate) fn kept(&self) -> Vec<(Direction, WaiterInfo)> {
        self.infos(Line::kept)
    }

    /// Returns what can be seen of some of the wakers in each line.
    fn infos<'a, I>(&'a self, some: impl Fn(&'a Line) -> I) -> Vec<(Direction, WaiterInfo)>
    where
        I: Iterator<Item = &'a Waiter>,
    {
        let directions = [Direction::Read, Direction::Write].into_iter();
        let lines = directions.zip(&self.lines);
        let seen = lines
            .flat_map(|(direction, line)| some(line).map(move |waiter| (direction, waiter.info())));
        seen.collect()
    }
}

impl Line {
    /// Returns whether the line has no waiters.
    #[inline(always)]
    fn is_empty(&self) -> bool {
        matches!(self, Line::Many(None))
    }

    /// Returns the waiter that waits alone, or the crowd.
    fn parts(&self) -> (Option<&Waiter>, Option<&Crowd>) {
        match self {
            Line::One(one) => (Some(one), None),
            Line::Many(crowd) => (None, crowd.as_deref()),
        }
    }

    /// Returns all waiters.
    fn waiting(&self) -> impl Iterator<Item = &Waiter> {
        let (one, crowd) = self.parts();
        one.into_iter()
            .chain(crowd.into_iter().flat_map(Crowd::waiting))
    }

    /// Returns the wakers of the last sweep that have not come back.
    fn kept(&self) -> impl Iterator<Item = &Waiter> {
        let (_, crowd) = self.parts();
        crowd.into_iter().flat_map(|crowd| crowd.list.kept.iter())
    }
}

/// An empty line.
impl Default for Line {
    fn default() -> Line {
        Line::Many(None)
    }
}

impl Taken {
    /// Returns the number of lines.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.ones.len() + self.crowds.len()
    }

    /// Wakes all waiters, even if some of their wakers panic, and keeps the room for the next turn.
    /// Nothing is borrowed while a waker runs, and the caller holds no lock.
    #[inline]
    pub(crate) fn wake(taken: &RefCell<Taken>) {
        let mut ones = mem::take(&mut taken.borrow_mut().ones);
        wake_all(ones.drain(..));
        // A turn brings no more than that; the shutdown may bring any number.
        ones.shrink_to(KEPT_ONES);
        taken.borrow_mut().ones = ones;
        if !taken.borrow().crowds.is_empty() {
            Taken::wake_crowds(taken);
        }
    }

    /// Wakes the waiters that did not wait alone.
    #[cold]
    fn wake_crowds(taken: &RefCell<Taken>) {
        let crowds = mem::take(&mut taken.borrow_mut().crowds);
        for crowd in crowds {
            crowd.wake();
        }
    }
}

impl Swept {
    /// Returns all wakers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Waiter> {
        self.roll.iter()
    }

    /// Wakes each waker and keeps it. The caller holds no lock and no borrow.
    pub(crate) fn wake(&self) {
        for waiter in self.iter() {
            log_panics("a waker", || waiter.waker.wake_by_ref());
        }
    }
}

impl Crowd {
    /// Creates a crowd of the waiter that has waited alone: under the last key, or on the list.
    fn of(one: Waiter, last: u32, common: &Common) -> Box<Crowd> {
        let mut crowd = Box::new(Crowd {
            keyed: BTreeMap::new(),
            list: List::new(common.round()),
        });
        match NonZeroU32::new(last) {
            Some(key) if !is_of_list(last) => drop(crowd.keyed.insert(key, one)),
            _ => crowd.list.waiting.push(one),
        }
        crowd
    }

    /// Adds a waiter under its key, or under a new one if it has none or the key is stale.
    fn join_keyed(&mut self, key: &mut WaiterKey, last: &mut u32, waiter: Waiter) -> Wait {
        if let Some(waiting) = key.and_then(|key| self.keyed.get_mut(&key)) {
            return Wait::Waiting(Some(mem::replace(waiting, waiter)));
        }
        *key = new_key(last);
        Wait::Waiting(key.and_then(|key| self.keyed.insert(key, waiter)))
    }

    /// Returns the number of waiters.
    fn len(&self) -> usize {
        self.keyed.len() + self.list.waiting.len()
    }

    /// Returns all waiters.
    fn waiting(&self) -> impl Iterator<Item = &Waiter> {
        self.keyed.values().chain(self.list.waiting.iter())
    }

    /// Wakes all waiters.
    fn wake(self) {
        let List { waiting, kept, .. } = self.list;
        let woken = self.keyed.into_values().chain(waiting.waiters);
        wake_all(woken.map(|waiter| waiter.waker));
        log_panics("dropping wakers", || drop(kept));
    }
}

impl List {
    /// Creates an empty list. It begins by counting the living, as after a sweep, since an event may just
    /// have woken them.
    fn new(round: u32) -> List {
        List {
            waiting: Roll::default(),
            living: 0,
            counting_since: Some(round),
            last_sweep: 0,
            woken: 0,
            kept: Roll::default(),
        }
    }

    /// Puts a waker on the list, or replaces its clone there. If the list is full, sweeps it first.
    fn join(&mut self, waiter: Waiter, common: &Common) -> Wait {
        if let Some(standing) = self.waiting.find(&waiter.waker) {
            return Wait::Waiting(Some(mem::replace(standing, waiter)));
        }
        let returned = self.kept.remove(&waiter.waker);
        let swept = match &returned {
            Some(_) => {
                self.living += 1;
                None
            }
            None => self.is_full(&waiter, common).then(|| self.sweep(common)),
        };
        self.waiting.push(waiter);
        match swept {
            Some(swept) => Wait::Swept(Box::new(swept)),
            None => Wait::Waiting(returned),
        }
    }

    /// Returns whether the list is to be swept before this waiter joins it. Ends the count of the living
    /// if it is time.
    fn is_full(&mut self, newcomer: &Waiter, common: &Common) -> bool {
        let len = self.waiting.len();
        let is_outsider = newcomer.tag.parts().is_none();
        if is_outsider {
            let presumed = MOST_OUTSIDERS.min(2 * self.woken);
            return len >= FEW.max(2 * self.living).max(presumed);
        }
        if let Some(since) = self.counting_since {
            if common.round().wrapping_sub(since) < ROUNDS_TO_COME_BACK {
                return false;
            }
            self.counting_since = None;
            self.living = len;
        }
        len >= FEW.max(2 * self.living)
    }

    /// Takes all wakers off the list, and begins to count those that come back.
    fn sweep(&mut self, common: &Common) -> Swept {
        self.living = 0;
        self.counting_since = Some(common.round());
        self.last_sweep = common.new_sweep();
        self.woken = self.waiting.len();
        Swept {
            number: self.last_sweep,
            roll: mem::take(&mut self.waiting),
        }
    }

    /// Keeps the wakers of the last sweep. Returns those of the sweep before, and those that are back
    /// already: another thread may have polled them in the meantime.
    fn keep(&mut self, mut swept: Roll) -> Vec<Waiter> {
        let back = self.waiting.iter();
        let mut dropped: Vec<Waiter> = back.filter_map(|back| swept.remove(&back.waker)).collect();
        // The end of the count has included them, if it has come.
        if self.counting_since.is_some() {
            self.living += dropped.len();
        }
        let former = mem::replace(&mut self.kept, swept);
        dropped.extend(former.waiters);
        dropped
    }
}

impl Roll {
    /// Returns all wakers.
    fn iter(&self) -> impl Iterator<Item = &Waiter> {
        self.waiters.iter()
    }

    /// Returns the number of wakers.
    fn len(&self) -> usize {
        self.waiters.len()
    }

    /// Finds the clone of a waker.
    fn find(&mut self, waker: &Waker) -> Option<&mut Waiter> {
        if self.index.is_empty() {
            let mut waiters = self.waiters.iter_mut();
            return waiters.find(|waiter| waiter.waker.will_wake(waker));
        }
        let position = self.index.get(&identity(waker))?;
        self.waiters.get_mut(*position)
    }

    /// Adds a waker that is not on the roll.
    fn push(&mut self, waiter: Waiter) {
        self.waiters.push(waiter);
        let unindexed = self.index.len()..self.waiters.len();
        if self.waiters.len() >= FEW {
            for position in unindexed {
                let identity = identity(&self.waiters[position].waker);
                self.index.insert(identity, position);
            }
        }
    }

    /// Removes a waker from a roll that has an index. The last waker takes its position.
    fn remove(&mut self, waker: &Waker) -> Option<Waiter> {
        let position = self.index.remove(&identity(waker))?;
        let removed = self.waiters.swap_remove(position);
        if let Some(moved) = self.waiters.get(position) {
            self.index.insert(identity(&moved.waker), position);
        }
        Some(removed)
    }
}
