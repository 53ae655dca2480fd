//! The waiters of one descriptor: the wakers to call when it becomes ready.
//!
//! [`Readiness`](super::readiness::Readiness) keeps them under its lock. They know wakers, never
//! tasks, and run no foreign code: each waker that leaves a line is returned, to be woken or dropped
//! by the caller once the lock is released.
//!
//! Each direction has a line, and waiters join it in one of two ways:
//!
//! - An async method takes a *seat*, which has a number. Its drop gives up the seat, so a seat never
//!   outlives its method.
//! - A poll method puts its waker on a *list*, on which a waker stands once. Nothing says when the
//!   caller of a poll method loses interest, so the list collects wakers that nobody needs any more.
//!
//! ```text
//!              first waiter            another waiter
//!    nobody ----------------> one, inline ----------> many, in a box
//!       ^                          |                     |
//!       +--------------------------+---------------------+
//!          an event takes the whole line; or the last seat is given up
//! ```
//!
//! Joining, replacing a waker and leaving cost the same with one waiter and with ten thousand (for
//! seats, up to the depth of a B-tree). An event takes the line out as it is, and then wakes all of
//! its waiters: the cost of an event is linear in the number of waiters that it wakes.
//!
//! # Sweeps
//!
//! A full list is *swept*: all wakers on it are woken, and the list starts again empty. The callers
//! that still wait poll again and put their wakers back. So a sweep is correct at any time, and the
//! question is only when it pays.
//!
//! ```text
//!                two rounds later: the list            the list holds twice as many
//!                holds those who live                  as lived, at least eight
//!    +----------+ ---------------------> +---------+ ------------------------------> sweep
//!    | counting |                        | filling |                                   |
//!    +----------+                        +---------+                                   |
//!         ^                                                                            |
//!         +----------------------------------------------------------------------------+
//! ```
//!
//! A task that a sweep wakes is polled in the next round of the run queue. So once two rounds have
//! begun since the sweep, every task that still waits is back on the list. The length at that moment
//! counts the living; it includes what was given up within those two rounds. From there the list may
//! double.
//!
//! *Memory is bounded*: a list holds at most twice the number of wakers that live or were registered
//! within two rounds. (The loop tells of rounds once a turn, so these may be the rounds of three turns.) The
//! wakers of the last sweep are kept as well, as explained below.
//!
//! *Nobody is woken in circles*: a task that comes back within two rounds never triggers a sweep. A
//! list of n living wakers is swept only after n others have joined it, so each waker that joins pays
//! for two wakes. A task may come back later, for example if another task passes the wake on to it.
//! So the list remembers the identities of the wakers that it has swept: one that comes back is
//! counted among the living, whenever that is, and never triggers a sweep. For this, the wakers
//! themselves are kept until the next sweep. If they were dropped, a new waker could get the address
//! of an old one and be taken for it.
//!
//! Rounds say nothing about *outsiders*: pollers that are no task of this loop, but run on another
//! executor or thread. They may take long to come back, and while the loop is parked, no round
//! begins. So when an outsider finds the list full, the rounds do not count, and the list is swept
//! once it holds twice as many as the last sweep has woken. That gives up to [`MOST_OUTSIDERS`]
//! living outsiders a list on which all of them have room, after a few sweeps. It stops at that
//! number, since a list that only doubles is a leak: nothing tells a slow outsider from one that has
//! given up. With more than twice as many living outsiders in one direction, and nobody else, sweeps
//! would follow one another.

use super::readiness::Direction;
use crate::foreign::{log_panics, wake_all};
use crate::primitives::{AtomicU32, AtomicUsize, Ordering};
use crate::waiter::{Seen, Waiter};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::mem;
use std::num::NonZeroU32;
use std::ptr;
use std::task::Waker;

/// The length at which a list may be swept and gets an index. A stream is rarely polled by more than
/// a few tasks, and a list of fewer is searched as fast as it is hashed.
const FEW: usize = 8;

/// How many rounds have to begin after a sweep until each task that it woke has been polled: the
/// round in which the sweep takes place may be over at once, and the next one polls the task.
const ROUNDS_TO_COME_BACK: u32 = 2;

/// The longest list that is granted to outsiders merely because a sweep has not shown who lives. At
/// some 50 bytes each, it costs as much as the buffer of a connection.
const MOST_OUTSIDERS: usize = 1024;

/// How many wakers the vector that a turn collects keeps room for: as many as its events bring.
const KEPT_ONES: usize = 2048;

/// The number of a seat, once an async method has had to wait. It is stale once an event has emptied
/// the seat; no number is given out again before 2³¹ others.
pub(crate) type Seat = Option<NonZeroU32>;

/// What the waiters of all descriptors of a reactor have in common.
#[derive(Debug, Default)]
pub(crate) struct Common {
    /// The number of directions, of all descriptors, in which somebody waits.
    ///
    /// Relaxed throughout. The number guards nothing, and the lock of the waiters orders each rise
    /// before the fall that undoes it, so it is never below zero.
    waited_for: AtomicUsize,
    /// How often the run queue of the loop has gone round (modulo 2³²), written by the loop once a turn. Once
    /// it is two higher than at a sweep, the tasks of the loop that the sweep has woken have been polled.
    ///
    /// Relaxed throughout: it is a measure of time and guards nothing. A thread that reads an old
    /// number puts off a sweep.
    round: AtomicU32,
}

impl Common {
    /// Returns whether anybody waits. The loop asks this before it parks.
    ///
    /// A task of the loop has been counted by then, on the same thread. The answer may miss a waiter
    /// that is joining on another thread; to the loop, that one is a holder of a waker outside.
    pub(crate) fn is_waited_for(&self) -> bool {
        self.waited_for.load(Ordering::Relaxed) > 0
    }

    /// Notes that a round of the run queue begins.
    pub(crate) fn set_round(&self, round: u32) {
        self.round.store(round, Ordering::Relaxed);
    }

    /// Notes that this many lines are empty that were counted as waited for.
    pub(crate) fn subtract(&self, lines: usize) {
        if lines > 0 {
            self.waited_for.fetch_sub(lines, Ordering::Relaxed);
        }
    }

    /// Notes that a line is no longer empty.
    fn add(&self) {
        self.waited_for.fetch_add(1, Ordering::Relaxed);
    }

    /// The round that the run queue is in.
    fn round(&self) -> u32 {
        self.round.load(Ordering::Relaxed)
    }
}

/// What came of the wish to wait.
#[derive(Debug)]
#[must_use]
pub(crate) enum Wait {
    /// There is nothing to wait for: try again. The waiter comes back.
    Ready(Waiter),
    /// The waiter has joined the line; this is the one that it replaces.
    Waiting(Option<Waiter>),
    /// The waiter has joined the line, whose list was swept: wake these and hand them to
    /// [`Waiters::keep`].
    Swept(Vec<Waiter>),
}

/// All who wait for one descriptor.
#[derive(Debug)]
pub(crate) struct Waiters {
    /// Those who wait, by direction.
    lines: [Line; 2],
    /// The number of the last seat in each direction, which is even. It is odd if a waker of a poll
    /// method has become the one inline since.
    last_seats: [u32; 2],
}

/// Those who wait in one direction.
#[derive(Debug)]
enum Line {
    /// One waiter, which costs no allocation.
    One(Waiter),
    /// Several, or nobody.
    Many(Option<Box<Crowd>>),
}

/// Lines that an event has taken, on their way to be woken once all locks are released.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    /// The wakers of those that waited alone.
    ones: Vec<Waker>,
    /// The others, as they are: to take many waiters costs hardly more than to take one.
    crowds: Vec<Crowd>,
}

/// What has given up its seat, for the caller to drop once the lock is released: the waiter, unless an
/// event has taken it before, or its whole crowd if it was the last of it.
#[derive(Debug)]
pub(crate) struct Left {
    /// What is to be dropped.
    _line: Line,
}

/// Several who wait in the same direction.
#[derive(Debug)]
struct Crowd {
    /// The async methods, by the numbers of their seats, which is the order in which they came.
    seats: BTreeMap<NonZeroU32, Waiter>,
    /// The callers of poll methods.
    list: List,
}

/// The wakers of poll methods; see [Sweeps](self#sweeps).
#[derive(Debug)]
struct List {
    /// The wakers on the list, in the order in which they came.
    waiters: Vec<Waiter>,
    /// Where each of them stands; empty while they are fewer than [`FEW`].
    index: HashMap<Identity, usize>,
    /// How many of them are known to live, since the last sweep.
    living: usize,
    /// The round of the last sweep, until the living are counted.
    swept: Option<u32>,
    /// The wakers of the last sweep that have not come back.
    missing: HashMap<Identity, usize>,
    /// All wakers of the last sweep, so that none of those addresses becomes another waker's.
    kept: Vec<Waiter>,
}

/// What tells a waker from others: its data and its table of functions, as addresses. Clones of one
/// waker have the same, as long as any of them exists.
type Identity = (usize, usize);

/// The identity of a waker.
fn identity(waker: &Waker) -> Identity {
    (
        waker.data() as usize,
        ptr::from_ref(waker.vtable()) as usize,
    )
}

/// The number of a new seat.
fn new_seat(last: &mut u32) -> Seat {
    *last = (*last | 1).wrapping_add(1).max(2);
    NonZeroU32::new(*last)
}

impl Waiters {
    /// Nobody.
    pub(crate) const NONE: Waiters = Waiters {
        lines: [const { Line::Many(None) }; 2],
        last_seats: [0; 2],
    };

    /// Whether nobody waits in a direction.
    #[inline]
    pub(crate) fn is_empty(&self, direction: Direction) -> bool {
        self.lines[direction as usize].is_empty()
    }

    /// Begins the line of a direction, which is empty.
    #[inline]
    pub(crate) fn begin(
        &mut self,
        direction: Direction,
        seat: Option<&mut Seat>,
        waiter: Waiter,
        common: &Common,
    ) {
        self.lines[direction as usize] = Line::One(waiter);
        let last = &mut self.last_seats[direction as usize];
        match seat {
            Some(seat) => *seat = new_seat(last),
            None => *last |= 1,
        }
        common.add();
    }

    /// Adds a waiter to the line of a direction, or puts it in the place of its former waker: in the
    /// seat of an async method, or with `None` on the list of the poll methods.
    pub(crate) fn join(
        &mut self,
        direction: Direction,
        seat: Option<&mut Seat>,
        waiter: Waiter,
        common: &Common,
    ) -> Wait {
        let line = &mut self.lines[direction as usize];
        let last = &mut self.last_seats[direction as usize];
        let mut crowd = match mem::take(line) {
            Line::Many(None) => {
                self.begin(direction, seat, waiter, common);
                return Wait::Waiting(None);
            }
            Line::Many(Some(crowd)) => crowd,
            Line::One(one) => {
                let is_same = match &seat {
                    Some(seat) => **seat == NonZeroU32::new(*last),
                    None => *last % 2 == 1 && one.waker.will_wake(&waiter.waker),
                };
                if is_same {
                    *line = Line::One(waiter);
                    return Wait::Waiting(Some(one));
                }
                Crowd::of(one, *last, common)
            }
        };
        let wait = match seat {
            Some(seat) => crowd.sit(seat, last, waiter),
            None => crowd.list.join(waiter, common),
        };
        *line = Line::Many(Some(crowd));
        wait
    }

    /// Gives up a seat.
    pub(crate) fn leave(
        &mut self,
        direction: Direction,
        seat: NonZeroU32,
        common: &Common,
    ) -> Left {
        let line = &mut self.lines[direction as usize];
        let is_last = match line {
            Line::One(_) => self.last_seats[direction as usize] == seat.get(),
            Line::Many(Some(crowd)) => crowd.len() == 1 && crowd.seats.contains_key(&seat),
            Line::Many(None) => false,
        };
        let left = match line {
            _ if is_last => {
                common.subtract(1);
                mem::take(line)
            }
            Line::Many(Some(crowd)) => crowd.seats.remove(&seat).map(Line::One).unwrap_or_default(),
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

    /// Returns the number of directions in which somebody waits.
    pub(crate) fn waited_for(&self) -> usize {
        let [read, write] = &self.lines;
        usize::from(!read.is_empty()) + usize::from(!write.is_empty())
    }

    /// Keeps the wakers of a sweep, once they are woken, until the next one. Returns those that are
    /// no longer to be kept, for the caller to drop.
    pub(crate) fn keep(&mut self, direction: Direction, swept: Vec<Waiter>) -> Vec<Waiter> {
        match &mut self.lines[direction as usize] {
            Line::Many(Some(crowd)) => mem::replace(&mut crowd.list.kept, swept),
            // An event has taken the list, with all that it knew.
            _ => swept,
        }
    }

    /// Who waits in which direction.
    pub(crate) fn look(&self) -> Vec<(Direction, Seen)> {
        let mut seen = Vec::new();
        for direction in [Direction::Read, Direction::Write] {
            let mut see = |waiter: &Waiter| seen.push((direction, waiter.look()));
            match &self.lines[direction as usize] {
                Line::One(one) => see(one),
                Line::Many(Some(crowd)) => crowd.iter().for_each(see),
                Line::Many(None) => {}
            }
        }
        seen
    }
}

impl Line {
    /// Whether nobody is in it.
    fn is_empty(&self) -> bool {
        matches!(self, Line::Many(None))
    }
}

/// Nobody.
impl Default for Line {
    fn default() -> Line {
        Line::Many(None)
    }
}

impl Taken {
    /// How many lines have been taken.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.ones.len() + self.crowds.len()
    }

    /// Wakes all that have been taken, whatever their wakers do, and keeps the room. Nothing is borrowed
    /// meanwhile, and the caller holds no lock.
    #[inline]
    pub(crate) fn wake(taken: &RefCell<Taken>) {
        let mut ones = mem::take(&mut taken.borrow_mut().ones);
        wake_all(ones.drain(..));
        // One turn brings far fewer; the end of a runtime may bring any number.
        ones.shrink_to(KEPT_ONES);
        taken.borrow_mut().ones = ones;
        if !taken.borrow().crowds.is_empty() {
            Taken::wake_crowds(taken);
        }
    }

    /// Wakes those that did not wait alone.
    #[cold]
    fn wake_crowds(taken: &RefCell<Taken>) {
        let crowds = mem::take(&mut taken.borrow_mut().crowds);
        for crowd in crowds {
            crowd.wake();
        }
    }
}

impl Crowd {
    /// The one who has waited alone, with the number of its seat, or an odd number if it is a caller
    /// of a poll method.
    fn of(one: Waiter, last: u32, common: &Common) -> Box<Crowd> {
        let mut crowd = Box::new(Crowd {
            seats: BTreeMap::new(),
            list: List::new(common.round()),
        });
        match NonZeroU32::new(last) {
            Some(seat) if last.is_multiple_of(2) => drop(crowd.seats.insert(seat, one)),
            _ => crowd.list.push(one),
        }
        crowd
    }

    /// Puts a waiter into its seat, or into a new one if it has none or an event has emptied it.
    fn sit(&mut self, seat: &mut Seat, last: &mut u32, waiter: Waiter) -> Wait {
        if let Some(sitting) = seat.and_then(|seat| self.seats.get_mut(&seat)) {
            return Wait::Waiting(Some(mem::replace(sitting, waiter)));
        }
        *seat = new_seat(last);
        Wait::Waiting(seat.and_then(|seat| self.seats.insert(seat, waiter)))
    }

    /// How many there are.
    fn len(&self) -> usize {
        self.seats.len() + self.list.waiters.len()
    }

    /// All of them.
    fn iter(&self) -> impl Iterator<Item = &Waiter> {
        self.seats.values().chain(&self.list.waiters)
    }

    /// Wakes all of them.
    fn wake(self) {
        let List { waiters, kept, .. } = self.list;
        let woken = self.seats.into_values().chain(waiters);
        wake_all(woken.map(|waiter| waiter.waker));
        log_panics("dropping wakers", || drop(kept));
    }
}

impl List {
    /// An empty list. It begins to count the living, as after a sweep: an event may just have woken
    /// all of them.
    fn new(round: u32) -> List {
        List {
            waiters: Vec::new(),
            index: HashMap::new(),
            living: 0,
            swept: Some(round),
            missing: HashMap::new(),
            kept: Vec::new(),
        }
    }

    /// Puts a waker on the list, unless it stands there, and sweeps the list first if that is due.
    fn join(&mut self, waiter: Waiter, common: &Common) -> Wait {
        let identity = identity(&waiter.waker);
        if let Some(standing) = self.find(&waiter.waker, identity) {
            return Wait::Waiting(Some(mem::replace(standing, waiter)));
        }
        let mut swept = Vec::new();
        if self.missing.remove(&identity).is_some() {
            self.living += 1;
        } else if self.is_due(&waiter, common) {
            swept = self.sweep(common);
        }
        self.push(waiter);
        match swept.is_empty() {
            true => Wait::Waiting(None),
            false => Wait::Swept(swept),
        }
    }

    /// The place of a waker.
    fn find(&mut self, waker: &Waker, identity: Identity) -> Option<&mut Waiter> {
        if self.index.is_empty() {
            let mut waiters = self.waiters.iter_mut();
            return waiters.find(|waiter| waiter.waker.will_wake(waker));
        }
        self.waiters.get_mut(*self.index.get(&identity)?)
    }

    /// Adds a waker that does not stand on the list.
    fn push(&mut self, waiter: Waiter) {
        self.waiters.push(waiter);
        let unindexed = self.index.len()..self.waiters.len();
        if self.waiters.len() >= FEW {
            for place in unindexed {
                let identity = identity(&self.waiters[place].waker);
                self.index.insert(identity, place);
            }
        }
    }

    /// Whether the list is to be swept before this waiter joins it.
    fn is_due(&mut self, newcomer: &Waiter, common: &Common) -> bool {
        let len = self.waiters.len();
        let is_outsider = newcomer.tag.parts().is_none();
        if is_outsider {
            let presumed = MOST_OUTSIDERS.min(2 * self.kept.len());
            return len >= FEW.max(2 * self.living).max(presumed);
        }
        if let Some(swept) = self.swept {
            if common.round().wrapping_sub(swept) < ROUNDS_TO_COME_BACK {
                return false;
            }
            self.swept = None;
            self.living = len;
        }
        len >= FEW.max(2 * self.living)
    }

    /// Takes all wakers off the list.
    fn sweep(&mut self, common: &Common) -> Vec<Waiter> {
        self.living = 0;
        self.swept = Some(common.round());
        self.missing = mem::take(&mut self.index);
        mem::take(&mut self.waiters)
    }
}
