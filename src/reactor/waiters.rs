//! The waiters of one descriptor: the wakers to call when it becomes ready.
//!
//! [`Readiness`](super::readiness::Readiness) keeps them under its lock. They know wakers, not tasks,
//! and they run no foreign code: every waker that leaves is returned to the caller, who wakes or drops
//! it once the lock is released.
//!
//! Each direction has a line of its own. A waiter joins it in one of two ways:
//!
//! - An async method takes a *seat*, which has a number. Its drop gives the seat up, so no seat
//!   outlives its method.
//! - A poll method puts its waker on a *list*, on which a waker stands once. Nothing says when the
//!   caller of a poll method loses interest, so the list also holds wakers that nobody needs any more.
//!
//! ```text
//!              the first joins          another joins
//!    nobody ------------------> one ------------------> many
//!       ^                     (inline)                (boxed)
//!       |                        |                       |
//!       +------------------------+-----------------------+
//!          an event takes the line; or its last waiter gives up a seat
//! ```
//!
//! To join, to replace a waker and to leave cost the same with one waiter and with ten thousand (a
//! seat costs the depth of a B-tree). An event takes a line as it is. Then all of its waiters are
//! woken, so an event costs as much as it has waiters.
//!
//! # Sweeps
//!
//! A full list is *swept*: all wakers on it are woken, and it begins again empty. Callers that still
//! wait poll again and put their wakers back. So a sweep is always correct, and the only question is
//! when it pays.
//!
//! ```text
//!                two rounds after               the list has doubled, and
//!                the last sweep                 has at least eight wakers
//!    +----------+ -------------> +---------+ ----------------------------+
//!    | counting |                | filling |                             | sweep
//!    +----------+                +---------+                             |
//!         ^                                                              |
//!         +--------------------------------------------------------------+
//! ```
//!
//! A sweep puts the tasks that it wakes into the run queue, whose next round polls them. So when two
//! rounds have begun since, all tasks that still wait are back on the list, and its length counts the
//! *living*: them, and what has joined meanwhile. From there the list may double.
//!
//! *Memory is bounded.* A list holds at most twice as many wakers as live or joined within two rounds.
//! As many may be kept from the last sweep, as explained next.
//!
//! *No task is woken in circles.* A task that comes back within two rounds finds a list that is still
//! counting, and causes no sweep. Between the count and the sweep as many wakers join as were counted,
//! so each of them pays for two wakes. A task may also come back later, for example when another task
//! passes the wake on to it. Therefore a list recognizes the wakers that it has swept: one that comes
//! back counts as living at any time, and causes no sweep. For this the list keeps them until they come
//! back or the next sweep replaces them. A waker that was dropped would leave its address to another
//! one, which would be taken for it.
//!
//! *Outsiders* have no rounds here. They are pollers that are no tasks of this loop: they run on
//! another executor or another thread, may take long to come back, and may join while the loop is
//! parked. An outsider that finds the list full sweeps it whatever the round is, but only if it holds
//! twice as many wakers as the last sweep has woken. So a list doubles from sweep to sweep until all
//! living outsiders have room on it. The doubling ends at [`MOST_OUTSIDERS`], or a list of wakers that
//! were all given up would grow for ever: nothing tells them from those of slow outsiders. So while the
//! loop is parked a list holds at most that number, or twice as many as are known to live. Only if more
//! outsiders than that wait for one direction, one sweep may follow another.

use super::readiness::Direction;
use crate::sync::{AtomicU32, AtomicUsize, Ordering};
use crate::waiter::{Seen, Waiter, shielded, wake_all};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::mem;
use std::num::NonZeroU32;
use std::ptr;
use std::task::Waker;

/// The length at which a list gets an index and may be swept. A stream is rarely polled by more than
/// a few tasks, and a list of fewer is searched as fast as it is hashed.
const FEW: usize = 8;

/// How many rounds begin after a sweep until the tasks that it woke have been polled: the first polls
/// them, and the second begins when the first is over.
const ROUNDS_TO_COME_BACK: u32 = 2;

/// How far a list may double before outsiders have shown that they live. At some 50 bytes for each
/// waker, it takes as much memory as the buffer of a connection.
const MOST_OUTSIDERS: usize = 1024;

/// How many wakers the vector that a turn collects keeps room for: as many as its events bring.
const KEPT_ONES: usize = 2048;

/// The number of a seat, once an async method has had to wait. When an event has emptied the seat, the
/// number is stale. It is given out again only after 2³¹ others.
pub(crate) type Seat = Option<NonZeroU32>;

/// What the waiters of all descriptors of a reactor have in common.
#[derive(Debug, Default)]
pub(crate) struct Common {
    /// The number of lines, of all descriptors, that are not empty.
    ///
    /// Relaxed is enough: the number guards nothing. It is raised under the lock of the line, before the
    /// fall that undoes this, so it never falls below zero.
    waited_for: AtomicUsize,
    /// How often the run queue of the loop has gone round (modulo 2³²), written by the loop once a turn. Once
    /// it is two higher than at a sweep, the tasks of the loop that the sweep has woken have been polled.
    ///
    /// Relaxed is enough: it measures time and guards nothing. Whoever reads an old number puts off a
    /// sweep.
    round: AtomicU32,
}

impl Common {
    /// Returns whether anybody waits. The loop asks this before it parks.
    ///
    /// The tasks of the loop have counted themselves on the thread that asks. The answer may miss a
    /// waiter that joins on another thread at this moment, about which nothing could be certain.
    pub(crate) fn is_waited_for(&self) -> bool {
        self.waited_for.load(Ordering::Relaxed) > 0
    }

    /// Notes that a round of the run queue begins.
    pub(crate) fn set_round(&self, round: u32) {
        self.round.store(round, Ordering::Relaxed);
    }

    /// Notes that so many lines have become empty.
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

/// The outcome of an attempt to wait.
#[derive(Debug)]
#[must_use]
pub(crate) enum Wait {
    /// There is nothing to wait for: try again. The waiter comes back.
    Ready(Waiter),
    /// The waiter waits. The one that it replaces, if any, comes back.
    Waiting(Option<Waiter>),
    /// The waiter waits, and its list was swept: [wake](Roll::wake) these, then [keep](Waiters::keep)
    /// them. Boxed, so that the other outcomes stay small.
    Swept(Box<Roll>),
}

/// All who wait for one descriptor.
#[derive(Debug)]
pub(crate) struct Waiters {
    /// Those who wait, by direction.
    lines: [Line; 2],
    /// The number of the last seat in each direction, which is even. Its lowest bit is set if the one
    /// inline came by a poll method. So a descriptor is sixteen bytes smaller than with a field for that.
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

/// Lines that events have taken, to be woken once all locks are released.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    /// The wakers of those who waited alone.
    ones: Vec<Waker>,
    /// The others, as they stood.
    crowds: Vec<Crowd>,
}

/// What a seat has left behind, for the caller to drop once the lock is released.
#[derive(Debug)]
pub(crate) struct Left {
    /// The waiter of the seat, unless an event has taken it; with its crowd if it was the last of it.
    _line: Line,
}

/// Several who wait in the same direction.
#[derive(Debug)]
struct Crowd {
    /// The async methods, by the numbers of their seats: in the order in which they came.
    seats: BTreeMap<NonZeroU32, Waiter>,
    /// The callers of poll methods.
    list: List,
}

/// The wakers of poll methods; see [Sweeps](self#sweeps).
#[derive(Debug)]
struct List {
    /// The wakers on the list.
    waiting: Roll,
    /// How many wakers are known to live. The list is full when it holds twice as many.
    living: usize,
    /// The round of the last sweep, as long as the living are being counted.
    swept: Option<u32>,
    /// How many wakers the last sweep has woken.
    woken: usize,
    /// Those of them that have not come back.
    kept: Roll,
}

/// Wakers in the order in which they came, each once.
#[derive(Debug, Default)]
pub(crate) struct Roll {
    /// The wakers.
    waiters: Vec<Waiter>,
    /// Where each of them stands; empty until they are [`FEW`].
    index: HashMap<Identity, usize>,
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

/// The number of a new seat, which becomes the last one.
fn new_seat(last: &mut u32) -> Seat {
    *last = (*last | 1).wrapping_add(1).max(2);
    NonZeroU32::new(*last)
}

/// Whether the one inline came by a poll method, by the number of the last seat.
fn is_of_list(last: u32) -> bool {
    last & 1 == 1
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

    /// Adds a waiter to the line of a direction, or replaces its former waker: in the seat of an async
    /// method, or with `None` on the list of the poll methods.
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
                    None => is_of_list(*last) && one.waker.will_wake(&waiter.waker),
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

    /// Keeps the wakers of a sweep, once they are woken, until they come back or the list is swept
    /// again. Returns those that are no longer to be kept, for the caller to drop.
    pub(crate) fn keep(&mut self, direction: Direction, swept: Roll) -> Roll {
        match &mut self.lines[direction as usize] {
            Line::Many(Some(crowd)) => mem::replace(&mut crowd.list.kept, swept),
            // An event has taken the list, with all that it knew.
            _ => swept,
        }
    }

    /// Who waits in which direction.
    pub(crate) fn look(&self) -> Vec<(Direction, Seen)> {
        self.look_by(Line::waiting)
    }

    /// Whose wakers are kept, although they do not wait.
    pub(crate) fn look_at_kept(&self) -> Vec<(Direction, Seen)> {
        self.look_by(Line::kept)
    }

    /// What is to be seen of some of those in each line.
    fn look_by<'a, I>(&'a self, some: impl Fn(&'a Line) -> I) -> Vec<(Direction, Seen)>
    where
        I: Iterator<Item = &'a Waiter>,
    {
        let directions = [Direction::Read, Direction::Write].into_iter();
        let lines = directions.zip(&self.lines);
        let seen = lines
            .flat_map(|(direction, line)| some(line).map(move |waiter| (direction, waiter.look())));
        seen.collect()
    }
}

impl Line {
    /// Whether nobody is in it.
    fn is_empty(&self) -> bool {
        matches!(self, Line::Many(None))
    }

    /// The one who waits alone, and those who do not.
    fn parts(&self) -> (Option<&Waiter>, Option<&Crowd>) {
        match self {
            Line::One(one) => (Some(one), None),
            Line::Many(crowd) => (None, crowd.as_deref()),
        }
    }

    /// All who wait.
    fn waiting(&self) -> impl Iterator<Item = &Waiter> {
        let (one, crowd) = self.parts();
        one.into_iter()
            .chain(crowd.into_iter().flat_map(Crowd::waiting))
    }

    /// The wakers of the last sweep that have not come back.
    fn kept(&self) -> impl Iterator<Item = &Waiter> {
        let (_, crowd) = self.parts();
        crowd.into_iter().flat_map(|crowd| crowd.list.kept.iter())
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

    /// Wakes all who were taken, whatever their wakers do, and keeps the room for the next. While a
    /// waker runs nothing is borrowed, and the caller holds no lock.
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

    /// Wakes those who did not wait alone.
    #[cold]
    fn wake_crowds(taken: &RefCell<Taken>) {
        let crowds = mem::take(&mut taken.borrow_mut().crowds);
        for crowd in crowds {
            crowd.wake();
        }
    }
}

impl Crowd {
    /// Makes a crowd of the one who has waited alone: in the last seat, or on the list.
    fn of(one: Waiter, last: u32, common: &Common) -> Box<Crowd> {
        let mut crowd = Box::new(Crowd {
            seats: BTreeMap::new(),
            list: List::new(common.round()),
        });
        match NonZeroU32::new(last) {
            Some(seat) if !is_of_list(last) => drop(crowd.seats.insert(seat, one)),
            _ => crowd.list.waiting.push(one),
        }
        crowd
    }

    /// Puts a waiter into its seat, or into a new one if it has none or its number is stale.
    fn sit(&mut self, seat: &mut Seat, last: &mut u32, waiter: Waiter) -> Wait {
        if let Some(sitting) = seat.and_then(|seat| self.seats.get_mut(&seat)) {
            return Wait::Waiting(Some(mem::replace(sitting, waiter)));
        }
        *seat = new_seat(last);
        Wait::Waiting(seat.and_then(|seat| self.seats.insert(seat, waiter)))
    }

    /// How many wait.
    fn len(&self) -> usize {
        self.seats.len() + self.list.waiting.len()
    }

    /// All who wait.
    fn waiting(&self) -> impl Iterator<Item = &Waiter> {
        self.seats.values().chain(self.list.waiting.iter())
    }

    /// Wakes all who wait.
    fn wake(self) {
        let List { waiting, kept, .. } = self.list;
        let woken = self.seats.into_values().chain(waiting.waiters);
        wake_all(woken.map(|waiter| waiter.waker));
        shielded("dropping wakers", || drop(kept));
    }
}

impl List {
    /// Creates an empty list. It counts the living, as after a sweep: an event may just have woken them.
    fn new(round: u32) -> List {
        List {
            waiting: Roll::default(),
            living: 0,
            swept: Some(round),
            woken: 0,
            kept: Roll::default(),
        }
    }

    /// Puts a waker on the list, unless it stands there, and sweeps the list first if that is due.
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
            None => self.is_due(&waiter, common).then(|| self.sweep(common)),
        };
        self.waiting.push(waiter);
        match swept {
            Some(swept) => Wait::Swept(Box::new(swept)),
            None => Wait::Waiting(returned),
        }
    }

    /// Returns whether to sweep the list before this waiter joins it; counts the living if it is time.
    fn is_due(&mut self, newcomer: &Waiter, common: &Common) -> bool {
        let len = self.waiting.len();
        let is_outsider = newcomer.tag.who().is_none();
        if is_outsider {
            let presumed = MOST_OUTSIDERS.min(2 * self.woken);
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

    /// Takes all wakers off the list, and begins to count those who come back.
    fn sweep(&mut self, common: &Common) -> Roll {
        self.living = 0;
        self.swept = Some(common.round());
        self.woken = self.waiting.len();
        mem::take(&mut self.waiting)
    }
}

impl Roll {
    /// Wakes each, and keeps it. The caller holds no lock and no borrow.
    pub(crate) fn wake(&self) {
        for waiter in self.iter() {
            shielded("a waker", || waiter.waker.wake_by_ref());
        }
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Waiter> {
        self.waiters.iter()
    }

    /// How many there are.
    fn len(&self) -> usize {
        self.waiters.len()
    }

    /// The place of a waker.
    fn find(&mut self, waker: &Waker) -> Option<&mut Waiter> {
        if self.index.is_empty() {
            let mut waiters = self.waiters.iter_mut();
            return waiters.find(|waiter| waiter.waker.will_wake(waker));
        }
        let place = self.index.get(&identity(waker))?;
        self.waiters.get_mut(*place)
    }

    /// Adds a waker that is not among them.
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

    /// Takes a waker out of a roll that has an index. The last waker takes its place.
    fn remove(&mut self, waker: &Waker) -> Option<Waiter> {
        let place = self.index.remove(&identity(waker))?;
        let removed = self.waiters.swap_remove(place);
        if let Some(moved) = self.waiters.get(place) {
            self.index.insert(identity(&moved.waker), place);
        }
        Some(removed)
    }
}
