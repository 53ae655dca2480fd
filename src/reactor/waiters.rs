//! The waiters of one descriptor: the wakers to call when it becomes ready.
//!
//! [`Readiness`](super::readiness::Readiness) keeps them under its lock. This module knows wakers,
//! not tasks, and runs no foreign code under that lock: it returns every waker that it removes, and the
//! caller wakes or drops the waker after it has released the lock.
//!
//! Each direction has a wait queue of its own. A waiter joins the queue in one of two ways:
//!
//! - An async method gets a *key*. Dropping the future of the method removes the waiter with this key,
//!   so no such waiter outlives its future.
//! - A poll method puts its waker on a *list*, which holds each waker once. A caller that loses
//!   interest in a poll method has no way to report that, so the list also holds wakers that are no
//!   longer needed.
//!
//! ```text
//!              the first joins          another joins
//!    empty ------------------> one ------------------> many
//!       ^                    (inline)                 (boxed)
//!       |                        |                       |
//!       +------------------------+-----------------------+
//!        an event takes the queue, or the last waiter is removed by its key
//! ```
//!
//! Joining, replacing a waker and removing a waiter cost the same with one waiter and with ten thousand
//! (a key costs the depth of a B-tree). An event takes the whole queue in one step, and then wakes each
//! of its waiters, so the cost of an event is linear in the number of its waiters.
//!
//! # Sweeps
//!
//! A full list is *swept*: the sweep takes all wakers off the list and wakes them. Callers that still
//! wait poll again and put their wakers back. A sweep is therefore correct at any time, and the rules
//! below only decide when one is worth its cost.
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
//! is back on the list. The length of the list is then the number of *live* wakers: those that came
//! back, and those that joined in the meantime. From there the list may double.
//!
//! *Memory is bounded.* A list holds at most twice as many wakers as are live or have joined within two
//! rounds. It keeps at most as many again from the last sweep, for the reason given below.
//!
//! *Waiting tasks do not keep waking each other.* A task that comes back within two rounds finds a list
//! that is still counting, and causes no sweep. Between the count and the next sweep as many wakers join
//! as were counted, so each of them pays for two wakes. A task may also come back later, for example
//! because another task passes the wake on to it, or because another thread has swept the list and the
//! wake goes through the inbox. The list therefore recognizes the wakers that it has swept: one that
//! comes back counts as live at any time, and causes no sweep. To recognize a waker, the list keeps its
//! clone until the waker comes back or the next sweep replaces it. If the list dropped the clone,
//! another waker could get its address and be mistaken for it.
//!
//! *Outsiders have no rounds.* An outsider is a poller that is not a task of this loop: it runs on
//! another executor or another thread, may take long to come back, and may join while the loop is
//! parked. An outsider that finds the list full sweeps it in any round, but only if the list holds
//! twice as many wakers as the last sweep has woken. The list thus doubles from sweep to sweep until
//! the wakers of all live outsiders fit. The doubling ends at [`MOST_OUTSIDERS`]. Without that limit, a
//! list of abandoned wakers would grow without bound, because they cannot be distinguished from the
//! wakers of slow outsiders. While the loop is parked, a list therefore holds at most that many wakers,
//! or twice as many as are known to be live. A sweep soon follows another only if more outsiders than
//! that wait for one direction.

use super::attempts::Attempted;
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

/// The direction of an operation, and the index of its wait queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Receiving or accepting.
    Read,
    /// Sending or connecting.
    Write,
}

/// The length at which a list gets an index and may be swept. Rarely do more than a few tasks poll the
/// same stream, and searching a shorter list is as fast as hashing.
const FEW: usize = 8;

/// The number of rounds that begin after a sweep until the tasks that it woke have been polled: the
/// first round polls them, and the second begins when the first is over.
const ROUNDS_TO_COME_BACK: u32 = 2;

/// The length up to which a list may double before its outsiders are known to be live. At some 50
/// bytes for each waker, such a list takes as much memory as the buffer of a connection.
const MOST_OUTSIDERS: usize = 1024;

/// The capacity that the vector of lone wakers keeps between turns. A turn takes at most 1024 events,
/// and an event takes at most two queues.
const KEPT_CAPACITY: usize = 2048;

/// The key of a waiter; `None` until the async method has to wait. When an event takes the waiter, the
/// key becomes stale. A stale key is reused only after 2³¹ others.
pub(crate) type WaiterKey = Option<NonZeroU32>;

/// The counters, and the record of given-up operations, that the wait queues of all descriptors of a reactor share.
#[derive(Debug, Default)]
pub(crate) struct WaitCounters {
    /// The number of queues, of all descriptors, that are not empty.
    ///
    /// Relaxed is enough: the number guards no memory. A waiter increments it under the lock of its
    /// queue, before the matching decrement, so it never falls below zero.
    nonempty_queues: AtomicUsize,
    /// The number of rounds that the run queue of the loop has begun (modulo 2³²). The run queue writes
    /// it.
    ///
    /// Relaxed is enough: the number measures time and guards no memory. A thread that reads an old
    /// number only delays a sweep.
    rounds: Arc<AtomicU32>,
    /// The number of sweeps, of all lists (modulo 2³²).
    ///
    /// Relaxed is enough: the number only tells sweeps apart.
    sweeps: AtomicU32,
    /// The operations that tasks have given up.
    pub(crate) attempted: Attempted,
}

impl WaitCounters {
    /// Creates the counters of a reactor without waiters, whose loop counts its rounds in `rounds`.
    pub(crate) fn new(rounds: Arc<AtomicU32>) -> WaitCounters {
        WaitCounters {
            rounds,
            ..WaitCounters::default()
        }
    }

    /// Returns whether anything waits for a descriptor. The loop asks this before it parks.
    ///
    /// The waiters of the loop's own tasks were counted on the thread that asks, so none of them is
    /// missed. A waiter that joins on another thread at this moment may be missed.
    pub(crate) fn has_waiters(&self) -> bool {
        self.nonempty_queues.load(Ordering::Relaxed) > 0
    }

    /// Records that this many queues have become empty.
    pub(crate) fn subtract(&self, queues: usize) {
        if queues > 0 {
            self.nonempty_queues.fetch_sub(queues, Ordering::Relaxed);
        }
    }

    /// Records that a queue is no longer empty.
    #[inline(always)]
    fn add(&self) {
        self.nonempty_queues.fetch_add(1, Ordering::Relaxed);
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
    /// The waiter has joined the queue. The waiter that it replaces, if any, is returned.
    Waiting(Option<Waiter>),
    /// The waiter has joined the queue, and its list was swept: [wake](Swept::wake) these wakers, then
    /// [keep](Waiters::keep) them. Boxed, so that the other outcomes stay small.
    Swept(Box<Swept>),
}

/// The waiters of one descriptor.
#[derive(Debug)]
pub(crate) struct Waiters {
    /// The queues, by direction.
    queues: [WaitQueue; 2],
    /// The number of the last key in each direction, which is even. The lowest bit is set if the inline
    /// waiter was left by a poll method. A field for this bit would make a descriptor sixteen bytes
    /// larger.
    last_keys: [u32; 2],
}

/// The waiters of one direction.
#[derive(Debug)]
enum WaitQueue {
    /// One waiter, which costs no allocation.
    One(Waiter),
    /// Several waiters, or none.
    Many(Option<Box<ManyWaiters>>),
}

/// The queues that events have taken. Their waiters are woken after all locks have been released.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    /// The wakers that were alone in their queues.
    lone: Vec<Waker>,
    /// The other queues.
    many: Vec<ManyWaiters>,
}

/// The waiter that was removed by its key, for the caller to drop after it has released the lock.
#[derive(Debug)]
pub(crate) struct Removed {
    /// The waiter, unless an event has taken it. The last waiter is returned with its queue.
    _queue: WaitQueue,
}

/// The wakers that a sweep has taken off a list.
#[derive(Debug)]
pub(crate) struct Swept {
    /// The number of the sweep.
    number: u32,
    /// The wakers.
    wakers: WakerSet,
}

/// Several waiters of the same direction.
#[derive(Debug)]
struct ManyWaiters {
    /// The waiters of async methods, by their keys and therefore in the order of their arrival.
    keyed: BTreeMap<NonZeroU32, Waiter>,
    /// The wakers of poll methods.
    list: List,
}

/// The wakers of poll methods; see [Sweeps](self#sweeps).
#[derive(Debug)]
struct List {
    /// The wakers on the list.
    waiting: WakerSet,
    /// The number of wakers known to be live. The list is full when it holds twice as many.
    live: usize,
    /// The round of the last sweep, while the list is counting live wakers; `None` while it is filling.
    counting_since: Option<u32>,
    /// The number of the last sweep; 0 before the first.
    last_sweep: u32,
    /// The number of wakers that the last sweep has woken.
    woken: usize,
    /// The wakers of the last sweep that have not come back.
    kept: WakerSet,
}

/// A set of wakers, indexed once it is large.
#[derive(Debug, Default)]
struct WakerSet {
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

/// Returns whether a poll method left the inline waiter, given the number of the last key.
fn is_of_list(last: u32) -> bool {
    last & 1 == 1
}

impl Waiters {
    /// No waiters.
    pub(crate) const NONE: Waiters = Waiters {
        queues: [const { WaitQueue::Many(None) }; 2],
        last_keys: [0; 2],
    };

    /// Returns whether the queue of a direction is empty.
    #[inline(always)]
    pub(crate) fn is_empty(&self, direction: Direction) -> bool {
        self.queues[direction as usize].is_empty()
    }

    /// Adds the first waiter to the queue of a direction, which is empty.
    #[inline(always)]
    pub(crate) fn begin(
        &mut self,
        direction: Direction,
        key: Option<&mut WaiterKey>,
        waiter: Waiter,
        counters: &WaitCounters,
    ) {
        self.queues[direction as usize] = WaitQueue::One(waiter);
        let last = &mut self.last_keys[direction as usize];
        match key {
            Some(key) => *key = new_key(last),
            None => *last |= 1,
        }
        counters.add();
    }

    /// Adds a waiter to the queue of a direction, or replaces its former waker. `key` is the key of an
    /// async method; `None` stands for the list of the poll methods.
    pub(crate) fn join(
        &mut self,
        direction: Direction,
        key: Option<&mut WaiterKey>,
        waiter: Waiter,
        counters: &WaitCounters,
    ) -> Wait {
        let queue = &mut self.queues[direction as usize];
        let last = &mut self.last_keys[direction as usize];
        let mut many = match mem::take(queue) {
            WaitQueue::Many(None) => {
                self.begin(direction, key, waiter, counters);
                return Wait::Waiting(None);
            }
            WaitQueue::Many(Some(many)) => many,
            WaitQueue::One(one) => {
                let is_same = match &key {
                    Some(key) => **key == NonZeroU32::new(*last),
                    None => is_of_list(*last) && one.waker.will_wake(&waiter.waker),
                };
                if is_same {
                    *queue = WaitQueue::One(waiter);
                    return Wait::Waiting(Some(one));
                }
                ManyWaiters::of(one, *last, counters)
            }
        };
        let wait = match key {
            Some(key) => many.join_keyed(key, last, waiter),
            None => many.list.join(waiter, counters),
        };
        *queue = WaitQueue::Many(Some(many));
        wait
    }

    /// Returns whether the queue of a direction has a single waiter.
    pub(crate) fn is_alone(&self, direction: Direction) -> bool {
        matches!(self.queues[direction as usize], WaitQueue::One(_))
    }

    /// Removes the waiter with this key.
    pub(crate) fn remove(
        &mut self,
        direction: Direction,
        key: NonZeroU32,
        counters: &WaitCounters,
    ) -> Removed {
        let queue = &mut self.queues[direction as usize];
        let is_last = match queue {
            WaitQueue::One(_) => self.last_keys[direction as usize] == key.get(),
            WaitQueue::Many(Some(many)) => many.len() == 1 && many.keyed.contains_key(&key),
            WaitQueue::Many(None) => false,
        };
        let removed = match queue {
            _ if is_last => {
                counters.subtract(1);
                mem::take(queue)
            }
            WaitQueue::Many(Some(many)) => many
                .keyed
                .remove(&key)
                .map(WaitQueue::One)
                .unwrap_or_default(),
            _ => WaitQueue::default(),
        };
        Removed { _queue: removed }
    }

    /// Moves the queue of a direction to `taken`, unless it is empty.
    #[inline(always)]
    pub(crate) fn take(&mut self, direction: Direction, taken: &mut Taken) {
        let queue = &mut self.queues[direction as usize];
        if !queue.is_empty() {
            match mem::take(queue) {
                WaitQueue::One(one) => taken.lone.push(one.waker),
                WaitQueue::Many(many) => taken.many.extend(many.map(|many| *many)),
            }
        }
    }

    /// Returns the number of directions whose queue is not empty.
    pub(crate) fn nonempty_queues(&self) -> usize {
        let [read, write] = &self.queues;
        usize::from(!read.is_empty()) + usize::from(!write.is_empty())
    }

    /// Keeps the wakers of a sweep, after they have been woken, until they come back or the list is
    /// swept again. Returns the wakers that are not kept, for the caller to drop.
    pub(crate) fn keep(&mut self, direction: Direction, swept: Swept) -> Vec<Waiter> {
        match &mut self.queues[direction as usize] {
            WaitQueue::Many(Some(many)) if many.list.last_sweep == swept.number => {
                many.list.keep(swept.wakers)
            }
            // In the meantime, another thread has swept the list again, or an event has taken it.
            _ => swept.wakers.waiters,
        }
    }

    /// Returns the waiters with their directions.
    pub(crate) fn waiting(&self) -> Vec<(Direction, WaiterInfo)> {
        self.infos(WaitQueue::waiting)
    }

    /// Returns the wakers that are kept although they do not wait, with their directions.
    pub(crate) fn kept(&self) -> Vec<(Direction, WaiterInfo)> {
        self.infos(WaitQueue::kept)
    }

    /// Describes the wakers that `some` selects from each queue, with their directions.
    fn infos<'a, I>(&'a self, some: impl Fn(&'a WaitQueue) -> I) -> Vec<(Direction, WaiterInfo)>
    where
        I: Iterator<Item = &'a Waiter>,
    {
        let directions = [Direction::Read, Direction::Write].into_iter();
        let queues = directions.zip(&self.queues);
        let seen = queues.flat_map(|(direction, queue)| {
            some(queue).map(move |waiter| (direction, waiter.info()))
        });
        seen.collect()
    }
}

impl WaitQueue {
    /// Returns whether the queue has no waiters.
    #[inline(always)]
    fn is_empty(&self) -> bool {
        matches!(self, WaitQueue::Many(None))
    }

    /// Returns the only waiter, or the waiters if there are several.
    fn parts(&self) -> (Option<&Waiter>, Option<&ManyWaiters>) {
        match self {
            WaitQueue::One(one) => (Some(one), None),
            WaitQueue::Many(many) => (None, many.as_deref()),
        }
    }

    /// Returns all waiters.
    fn waiting(&self) -> impl Iterator<Item = &Waiter> {
        let (one, many) = self.parts();
        one.into_iter()
            .chain(many.into_iter().flat_map(ManyWaiters::waiting))
    }

    /// Returns the wakers of the last sweep that have not come back.
    fn kept(&self) -> impl Iterator<Item = &Waiter> {
        let (_, many) = self.parts();
        many.into_iter().flat_map(|many| many.list.kept.iter())
    }
}

/// An empty queue.
impl Default for WaitQueue {
    fn default() -> WaitQueue {
        WaitQueue::Many(None)
    }
}

impl Taken {
    /// Returns the number of queues.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.lone.len() + self.many.len()
    }

    /// Wakes all waiters, even if some of their wakers panic, and keeps the vector for the next turn.
    /// Nothing is borrowed while a waker runs, and the caller holds no lock.
    #[inline]
    pub(crate) fn wake(taken: &RefCell<Taken>) {
        let mut lone = mem::take(&mut taken.borrow_mut().lone);
        wake_all(lone.drain(..));
        // A turn takes no more than that; the shutdown may take any number.
        lone.shrink_to(KEPT_CAPACITY);
        taken.borrow_mut().lone = lone;
        if !taken.borrow().many.is_empty() {
            Taken::wake_many(taken);
        }
    }

    /// Wakes the waiters that were not alone in their queues.
    #[cold]
    fn wake_many(taken: &RefCell<Taken>) {
        let many = mem::take(&mut taken.borrow_mut().many);
        for many in many {
            many.wake();
        }
    }
}

impl Swept {
    /// Returns all wakers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Waiter> {
        self.wakers.iter()
    }

    /// Wakes each waker and keeps it. The caller holds no lock and no borrow.
    pub(crate) fn wake(&self) {
        for waiter in self.iter() {
            log_panics("a waker", || waiter.waker.wake_by_ref());
        }
    }
}

impl ManyWaiters {
    /// Creates a queue for several waiters that holds the inline waiter: under the last key, or on the
    /// list.
    fn of(one: Waiter, last: u32, counters: &WaitCounters) -> Box<ManyWaiters> {
        let mut many = Box::new(ManyWaiters {
            keyed: BTreeMap::new(),
            list: List::new(counters.round()),
        });
        match NonZeroU32::new(last) {
            Some(key) if !is_of_list(last) => drop(many.keyed.insert(key, one)),
            _ => many.list.waiting.push(one),
        }
        many
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
    /// Creates an empty list. It begins by counting live wakers, as after a sweep, because an event may
    /// just have woken them.
    fn new(round: u32) -> List {
        List {
            waiting: WakerSet::default(),
            live: 0,
            counting_since: Some(round),
            last_sweep: 0,
            woken: 0,
            kept: WakerSet::default(),
        }
    }

    /// Puts a waker on the list, or replaces its clone there. If the list is full, sweeps it first.
    fn join(&mut self, waiter: Waiter, counters: &WaitCounters) -> Wait {
        if let Some(standing) = self.waiting.find(&waiter.waker) {
            return Wait::Waiting(Some(mem::replace(standing, waiter)));
        }
        let returned = self.kept.remove(&waiter.waker);
        let swept = match &returned {
            Some(_) => {
                self.live += 1;
                None
            }
            None => self
                .is_full(&waiter, counters)
                .then(|| self.sweep(counters)),
        };
        self.waiting.push(waiter);
        match swept {
            Some(swept) => Wait::Swept(Box::new(swept)),
            None => Wait::Waiting(returned),
        }
    }

    /// Returns whether the list is to be swept before this waiter joins it. Ends the count of live wakers
    /// if two rounds have begun.
    fn is_full(&mut self, newcomer: &Waiter, counters: &WaitCounters) -> bool {
        let len = self.waiting.len();
        let is_outsider = newcomer.tag.parts().is_none();
        if is_outsider {
            let presumed = MOST_OUTSIDERS.min(2 * self.woken);
            return len >= FEW.max(2 * self.live).max(presumed);
        }
        if let Some(since) = self.counting_since {
            if counters.round().wrapping_sub(since) < ROUNDS_TO_COME_BACK {
                return false;
            }
            self.counting_since = None;
            self.live = len;
        }
        len >= FEW.max(2 * self.live)
    }

    /// Takes all wakers off the list, and begins to count those that come back.
    fn sweep(&mut self, counters: &WaitCounters) -> Swept {
        self.live = 0;
        self.counting_since = Some(counters.round());
        self.last_sweep = counters.new_sweep();
        self.woken = self.waiting.len();
        Swept {
            number: self.last_sweep,
            wakers: mem::take(&mut self.waiting),
        }
    }

    /// Keeps the wakers of the last sweep. Returns those of the sweep before, and those that are back
    /// already, because another thread has polled in the meantime.
    fn keep(&mut self, mut swept: WakerSet) -> Vec<Waiter> {
        let back = self.waiting.iter();
        let mut dropped: Vec<Waiter> = back.filter_map(|back| swept.remove(&back.waker)).collect();
        // If the count has ended, it has included them.
        if self.counting_since.is_some() {
            self.live += dropped.len();
        }
        let former = mem::replace(&mut self.kept, swept);
        dropped.extend(former.waiters);
        dropped
    }
}

impl WakerSet {
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

    /// Adds a waker that is not in the set.
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

    /// Removes a waker, if the set has an index. The last waker takes its position.
    fn remove(&mut self, waker: &Waker) -> Option<Waiter> {
        let position = self.index.remove(&identity(waker))?;
        let removed = self.waiters.swap_remove(position);
        if let Some(moved) = self.waiters.get(position) {
            self.index.insert(identity(&moved.waker), position);
        }
        Some(removed)
    }
}
