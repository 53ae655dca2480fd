//! The waiters of a descriptor, compared with a naive oracle, and in a model of a run queue.

use crate::reactor::attempts::Buffer;
use crate::reactor::readiness::{Direction, READABLE, Readiness, WRITABLE};
use crate::reactor::waiters::{Swept, Taken, Wait, WaitCounters, WaiterKey};
use crate::waiter::{Tag, Waiter};
use proptest::prelude::*;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::iter;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::task::{Wake, Waker};

/// The number of wakers from which a list is swept.
const FEW: usize = 8;
/// The maximum number of wakers of outsiders on a list, even if none of them polls again.
const MOST_OUTSIDERS: usize = 1024;

/// Counts its wakes.
#[derive(Default)]
struct Counter(AtomicUsize);

impl Counter {
    fn wakes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Returns the address that identifies the waker of a counter.
fn address(counter: &Arc<Counter>) -> usize {
    Arc::as_ptr(counter) as usize
}

/// The owner of a waker.
#[derive(Clone, Copy, Debug)]
enum By {
    /// A task of the loop.
    Task,
    /// Code outside the loop.
    Outsider,
}

/// Returns a waiter with the waker of a counter.
fn waiter(counter: &Arc<Counter>, by: By) -> Waiter {
    Waiter {
        waker: Waker::from(Arc::clone(counter)),
        tag: match by {
            By::Task => Tag::new(1, 1),
            By::Outsider => Tag::NONE,
        },
    }
}

/// A descriptor that is not ready until it ends.
struct Descriptor {
    /// Its readiness.
    readiness: Readiness,
    /// The state that it would share with others.
    counters: WaitCounters,
    /// The round of the run queue.
    rounds: Arc<AtomicU32>,
}

impl Descriptor {
    fn new() -> Descriptor {
        let rounds = Arc::default();
        Descriptor {
            readiness: Readiness::new(0),
            counters: WaitCounters::new(Arc::clone(&rounds)),
            rounds,
        }
    }

    /// Starts this round of the run queue.
    fn set_round(&self, round: u32) {
        self.rounds.store(round, Ordering::Relaxed);
    }

    /// Waits to read with a poll method, as an outsider. Returns the sweep that this causes.
    fn poll_as_outsider(&self, counter: &Arc<Counter>) -> Option<Box<Swept>> {
        let waiter = waiter(counter, By::Outsider);
        match self
            .readiness
            .wait(Direction::Read, None, waiter, Buffer::NONE, &self.counters)
        {
            Wait::Ready(_) => panic!("it is not ready"),
            Wait::Waiting(_) => None,
            Wait::Swept(swept) => Some(swept),
        }
    }

    /// Waits to read with fresh outsider wakers until one of them causes a sweep.
    fn poll_until_swept(&self) -> Box<Swept> {
        loop {
            if let Some(swept) = self.poll_as_outsider(&Arc::default()) {
                return swept;
            }
        }
    }

    /// Returns the addresses of the kept wakers.
    fn kept(&self) -> Vec<usize> {
        let kept = self.readiness.kept();
        kept.iter().map(|(_, seen)| seen.waker).collect()
    }

    /// Waits to read with a poll method. Returns the wakers that a sweep wakes.
    fn poll(&self, counter: &Arc<Counter>, by: By) -> Vec<usize> {
        let waiter = waiter(counter, by);
        match self
            .readiness
            .wait(Direction::Read, None, waiter, Buffer::NONE, &self.counters)
        {
            Wait::Ready(_) => panic!("it is not ready"),
            Wait::Waiting(_) => Vec::new(),
            Wait::Swept(swept) => {
                let woken = swept.iter().map(|waiter| waiter.info().waker).collect();
                swept.wake();
                drop(self.readiness.keep(Direction::Read, *swept));
                woken
            }
        }
    }

    /// Wakes all waiters for an event. The event is over at once: the next waiter waits.
    fn event(&self, bits: u32) {
        self.wake(|taken| self.readiness.publish(bits, taken));
        for direction in [Direction::Read, Direction::Write] {
            self.readiness.clear(direction, self.readiness.load());
        }
    }

    /// Wakes all waiters for the last time.
    fn kill(&self) {
        self.wake(|taken| self.readiness.kill(taken));
    }

    /// Wakes the waiters that an operation takes.
    fn wake(&self, take: impl FnOnce(&mut Taken)) {
        let taken = RefCell::default();
        take(&mut taken.borrow_mut());
        self.counters.subtract(taken.borrow().len());
        Taken::wake(&taken);
    }
}

/// The number of async methods in a history. Even ones read, odd ones write.
const METHODS: usize = 6;
/// The number of wakers that a history reuses.
const WAKERS: usize = 4;

/// A step of a random history. A waker is one of a few reused ones, or a fresh one.
#[derive(Clone, Debug)]
enum Step {
    /// An async method is polled.
    Method(usize, Option<usize>),
    /// An async method is dropped.
    Leave(usize),
    /// A poll method is called.
    Poll(Direction, Option<usize>, By),
    /// An event arrives.
    Event(u32),
    /// A round of the run queue begins.
    Round,
}

/// A waker.
fn which() -> impl Strategy<Value = Option<usize>> {
    prop_oneof![Just(None), (0..WAKERS).prop_map(Some)]
}

/// Generates a step. With three `events`, an event soon empties most lists; with one, they become long.
fn step(events: u32) -> impl Strategy<Value = Step> {
    let direction = prop_oneof![Just(Direction::Read), Just(Direction::Write)];
    let by = prop_oneof![3 => Just(By::Task), 1 => Just(By::Outsider)];
    let bits = prop_oneof![Just(READABLE), Just(WRITABLE), Just(READABLE | WRITABLE)];
    prop_oneof![
        8 => (0..METHODS, which()).prop_map(|(method, which)| Step::Method(method, which)),
        8 => (0..METHODS).prop_map(Step::Leave),
        16 - 4 * events => (direction, which(), by)
            .prop_map(|(direction, which, by)| Step::Poll(direction, which, by)),
        4 * events => bits.prop_map(Step::Event),
        3 => Just(Step::Round),
    ]
}

/// The expected state of one direction.
#[derive(Default)]
struct Expected {
    /// The waiting methods, in the order in which they began to wait, with their counters.
    keys: Vec<(usize, Arc<Counter>)>,
    /// The wakers on the list.
    list: Vec<Arc<Counter>>,
    /// The round of the last sweep.
    swept: Option<u32>,
}

/// The descriptor and the oracle.
struct History {
    /// The descriptor under test.
    descriptor: Descriptor,
    /// The expected state, by direction.
    expected: [Expected; 2],
    /// The keys of the async methods.
    keys: [WaiterKey; METHODS],
    /// Every counter so far, with its expected number of wakes. The reused ones come first.
    owed: Vec<(Arc<Counter>, usize)>,
    /// The round of the run queue.
    round: u32,
}

impl History {
    fn new() -> History {
        let mut history = History {
            descriptor: Descriptor::new(),
            expected: Default::default(),
            keys: Default::default(),
            owed: Vec::new(),
            round: 0,
        };
        for _ in 0..WAKERS {
            history.new_counter();
        }
        history
    }

    /// Returns the counter of a waker.
    fn counter(&mut self, which: Option<usize>) -> Arc<Counter> {
        match which {
            Some(which) => Arc::clone(&self.owed[which].0),
            None => self.new_counter(),
        }
    }

    fn new_counter(&mut self) -> Arc<Counter> {
        let counter = Arc::default();
        self.owed.push((Arc::clone(&counter), 0));
        counter
    }

    /// Expects one more wake for each of these.
    fn owe(&mut self, counters: impl IntoIterator<Item = Arc<Counter>>) {
        for counter in counters {
            let owed = self.owed.iter_mut();
            let mut of_counter = owed.filter(|(other, _)| Arc::ptr_eq(other, &counter));
            of_counter.next().expect("it is known").1 += 1;
        }
    }

    fn run(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Method(method, which) => {
                let counter = self.counter(which);
                self.wait_keyed(method, counter)?;
            }
            Step::Leave(method) => self.leave(method),
            Step::Poll(direction, which, by) => {
                let counter = self.counter(which);
                self.poll(direction, counter, by)?;
            }
            Step::Event(bits) => {
                self.descriptor.event(bits);
                for direction in [Direction::Read, Direction::Write] {
                    if bits & direction.bit() != 0 {
                        let gone = mem::take(&mut self.expected[direction as usize]);
                        self.owe(gone.keys.into_iter().map(|(_, counter)| counter));
                        self.owe(gone.list);
                    }
                }
            }
            Step::Round => {
                self.round += 1;
                self.descriptor.set_round(self.round);
            }
        }
        self.check()
    }

    fn wait_keyed(&mut self, method: usize, counter: Arc<Counter>) -> Result<(), TestCaseError> {
        let direction = [Direction::Read, Direction::Write][method % 2];
        let Descriptor {
            readiness,
            counters,
            ..
        } = &self.descriptor;
        let (key, waiter) = (&mut self.keys[method], waiter(&counter, By::Task));
        let wait = readiness.wait(direction, Some(key), waiter, Buffer::NONE, counters);
        let Wait::Waiting(former) = wait else {
            return Err(TestCaseError::fail(format!("{wait:?}")));
        };
        let former = former.map(|former| former.info().waker);
        let keys = &mut self.expected[direction as usize].keys;
        match keys.iter_mut().find(|(other, _)| *other == method) {
            Some((_, waiting)) => {
                let replaced = mem::replace(waiting, counter);
                prop_assert_eq!(former, Some(address(&replaced)));
            }
            None => {
                prop_assert_eq!(former, None);
                keys.push((method, counter));
            }
        }
        Ok(())
    }

    fn leave(&mut self, method: usize) {
        let direction = [Direction::Read, Direction::Write][method % 2];
        let Descriptor {
            readiness,
            counters,
            ..
        } = &self.descriptor;
        // As the drop of a method does, whether or not an event has arrived.
        if let Some(key) = self.keys[method].take() {
            drop(readiness.remove(direction, key, counters));
        }
        let keys = &mut self.expected[direction as usize].keys;
        keys.retain(|(other, _)| *other != method);
    }

    fn poll(
        &mut self,
        direction: Direction,
        counter: Arc<Counter>,
        by: By,
    ) -> Result<(), TestCaseError> {
        let (readiness, counters) = (&self.descriptor.readiness, &self.descriptor.counters);
        let wait = readiness.wait(
            direction,
            None,
            waiter(&counter, by),
            Buffer::NONE,
            counters,
        );
        let expected = &mut self.expected[direction as usize];
        let stands = expected
            .list
            .iter()
            .any(|other| Arc::ptr_eq(other, &counter));
        match wait {
            Wait::Ready(_) => return Err(TestCaseError::fail("it is not ready")),
            Wait::Waiting(former) => {
                // A newer waker replaces the clone on the list, or the one kept from a sweep.
                let former = former.map(|former| former.info().waker);
                prop_assert!(former.is_none_or(|former| former == address(&counter)));
                prop_assert!(former.is_some() || !stands);
                if !stands {
                    expected.list.push(counter);
                }
            }
            Wait::Swept(swept) => {
                prop_assert!(!stands);
                let gone = mem::replace(&mut expected.list, vec![counter]);
                prop_assert!(gone.len() >= FEW);
                let swept_before = expected.swept.replace(self.round);
                if let (By::Task, Some(before)) = (by, swept_before) {
                    prop_assert!(self.round - before >= 2);
                }
                swept.wake();
                drop(readiness.keep(direction, *swept));
                self.owe(gone);
            }
        }
        Ok(())
    }

    /// Drops the oracle, and returns the rest.
    fn end(self) -> (Vec<(Arc<Counter>, usize)>, Descriptor) {
        (self.owed, self.descriptor)
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let mut expected = Vec::new();
        for direction in [Direction::Read, Direction::Write] {
            let Expected { keys, list, .. } = &self.expected[direction as usize];
            let all = keys.iter().map(|(_, counter)| counter).chain(list);
            expected.extend(all.map(|counter| (direction, address(counter))));
        }
        let seen: Vec<_> = self.descriptor.readiness.waiting().into_iter().collect();
        let seen: Vec<_> = seen
            .iter()
            .map(|(direction, seen)| (*direction, seen.waker))
            .collect();
        // A lone waiter comes before later ones, whichever kind it is.
        prop_assert_eq!(seen, expected.clone());
        for (direction, kept) in self.descriptor.readiness.kept() {
            let list = &self.expected[direction as usize].list;
            prop_assert!(!list.iter().any(|counter| address(counter) == kept.waker));
        }
        prop_assert_eq!(self.descriptor.counters.has_waiters(), !expected.is_empty());
        for (counter, owed) in &self.owed {
            prop_assert_eq!(counter.wakes(), *owed);
        }
        Ok(())
    }
}

proptest! {
    /// The waiting, woken and replaced wakers are those of searched lists, except for sweeps. A sweep wakes a whole
    /// list of at least eight, and a task causes none within two rounds of the last one.
    #[test]
    fn waiters_behave_like_searched_lists(
        steps in (1..4_u32).prop_flat_map(|events| prop::collection::vec(step(events), 0..300))
    ) {
        let mut history = History::new();
        for step in steps {
            history.run(step)?;
        }
        history.descriptor.kill();
        prop_assert!(!history.descriptor.counters.has_waiters());
        let (owed, _descriptor) = history.end();
        for (counter, _) in owed {
            prop_assert_eq!(Arc::strong_count(&counter), 1, "nothing keeps a waker after the end");
        }
    }
}

/// A run queue in rounds, in which tasks and outsiders poll one silent descriptor with poll methods.
struct RunQueue {
    /// The descriptor that they poll.
    descriptor: Descriptor,
    /// The time: a round of the loop, unless it is parked.
    now: u32,
    /// Whether the loop is parked and begins no rounds.
    is_parked: bool,
    /// The live pollers.
    pollers: Vec<Poller>,
    /// The poller of each waker.
    by_waker: HashMap<usize, usize>,
    /// The pollers due in each round.
    due: BTreeMap<u32, Vec<usize>>,
    /// The number of polls.
    polls: usize,
    /// The largest number of wakers that a sweep has woken.
    most: usize,
}

/// A poller that waits forever.
#[derive(Clone)]
struct Poller {
    /// Its waker.
    counter: Arc<Counter>,
    /// The delay of its poll after a wake: at least one round.
    latency: u32,
    /// Whether it creates a new waker for each poll.
    is_fresh: bool,
    /// Its owner.
    by: By,
}

/// Creates pollers of one kind.
fn pollers(count: usize, latency: u32, is_fresh: bool, by: By) -> Vec<Poller> {
    let poller = || Poller {
        counter: Arc::default(),
        latency,
        is_fresh,
        by,
    };
    iter::repeat_with(poller).take(count).collect()
}

impl RunQueue {
    /// Creates a run queue whose pollers all poll in the first round.
    fn new(pollers: Vec<Poller>) -> RunQueue {
        RunQueue {
            descriptor: Descriptor::new(),
            now: 0,
            is_parked: false,
            due: BTreeMap::from([(0, (0..pollers.len()).collect())]),
            pollers,
            by_waker: HashMap::new(),
            polls: 0,
            most: 0,
        }
    }

    /// Polls once with the waker of `counter`. Pollers woken by that poll later.
    fn poll(&mut self, counter: &Arc<Counter>, by: By) {
        self.polls += 1;
        let woken = self.descriptor.poll(counter, by);
        self.most = self.most.max(woken.len());
        for woken in woken {
            if let Some(position) = self.by_waker.remove(&woken) {
                let later = self.now + self.pollers[position].latency;
                self.due.entry(later).or_default().push(position);
            }
        }
    }

    /// Returns the maximum number of waiters so far: before a sweep, or now.
    fn most(&self) -> usize {
        self.most.max(self.descriptor.readiness.waiting().len())
    }

    /// Polls with fresh wakers.
    fn give_up(&mut self, count: usize, by: By) {
        for _ in 0..count {
            self.poll(&Arc::default(), by);
        }
    }

    /// Polls all pollers that are due, and begins another round.
    fn round(&mut self) {
        for position in self.due.remove(&self.now).unwrap_or_default() {
            let poller = &mut self.pollers[position];
            if poller.is_fresh {
                poller.counter = Arc::default();
            }
            let (counter, by) = (Arc::clone(&poller.counter), poller.by);
            self.by_waker.insert(address(&counter), position);
            self.poll(&counter, by);
        }
        self.now += 1;
        if !self.is_parked {
            self.descriptor.set_round(self.now);
        }
    }

    /// Runs rounds until no poller is due.
    fn come_to_rest(&mut self) {
        for _ in 0..5_000 {
            if self.due.is_empty() {
                return;
            }
            self.round();
        }
        let (polls, count) = (self.polls, self.pollers.len());
        panic!("after {polls} polls, {count} still wake one another");
    }
}

#[test]
fn waiting_tasks_do_not_wake_each_other_endlessly() {
    for count in [9, 20, 1000] {
        for (latency, is_fresh) in [(1, false), (1, true), (3, false), (50, false)] {
            let mut queue = RunQueue::new(pollers(count, latency, is_fresh, By::Task));
            queue.come_to_rest();
            // Nothing is woken while no wait is abandoned.
            assert_eq!(queue.polls, count);
            // One abandoned wait per round makes the others poll again.
            let given_up = 3 * count + FEW;
            for _ in 0..given_up {
                queue.round();
                queue.give_up(1, By::Task);
            }
            queue.come_to_rest();
            let polls = queue.polls - count - given_up;
            assert!(
                (1..=2 * given_up).contains(&polls),
                "{polls} polls of {count}"
            );
        }
    }
}

#[test]
fn a_list_holds_at_most_a_small_multiple_of_the_live_waiters() {
    const ROUNDS: usize = 2_000;
    for (count, given_up) in [(0, 1), (3, 1), (20, 1), (20, 100), (500, 3)] {
        for (latency, is_fresh) in [(1, false), (1, true), (5, false)] {
            let mut queue = RunQueue::new(pollers(count, latency, is_fresh, By::Task));
            for _ in 0..ROUNDS {
                queue.round();
                queue.give_up(given_up, By::Task);
            }
            // A waker registered within two rounds may be live.
            let living = count + 3 * given_up;
            let most = FEW.max(2 * living);
            assert!(queue.most() <= most, "{} of {living}", queue.most());
            // Each abandoned wait pays for two wakes.
            let polls = 4 * count + 3 * ROUNDS * given_up;
            assert!(queue.polls <= polls, "{} polls of {count}", queue.polls);
        }
    }
}

#[test]
fn foreign_waiters_do_not_wake_each_other_endlessly() {
    for count in [9, 20, 500, MOST_OUTSIDERS] {
        for is_parked in [false, true] {
            for (latency, is_fresh) in [(1, false), (7, true), (1000, false), (1000, true)] {
                let mut queue = RunQueue::new(pollers(count, latency, is_fresh, By::Outsider));
                queue.is_parked = is_parked;
                queue.come_to_rest();
                assert!(queue.polls <= 4 * count, "{} polls of {count}", queue.polls);
            }
        }
    }
}

#[test]
fn abandoned_foreign_waiters_stay_bounded_while_the_loop_is_parked() {
    for count in [0, 20, 1000] {
        let mut queue = RunQueue::new(pollers(count, 1, false, By::Outsider));
        queue.is_parked = true;
        for _ in 0..1000 {
            queue.round();
            queue.give_up(100, By::Outsider);
        }
        let polls = 4 * count + 3 * 1000 * 100;
        assert!(queue.polls <= polls, "{} polls of {count}", queue.polls);
        let most = MOST_OUTSIDERS.max(2 * count) + 100;
        assert!(queue.most() <= most, "{} of {count}", queue.most());
    }
}

#[test]
fn the_cost_of_an_abandoned_poll_does_not_grow_with_the_waiters() {
    let wakes_for_each = |count: usize| {
        const GIVEN_UP: usize = 20_000;
        let mut queue = RunQueue::new(pollers(count, 1, false, By::Task));
        queue.come_to_rest();
        let before = queue.polls;
        for _ in 0..GIVEN_UP {
            queue.round();
            queue.give_up(1, By::Task);
        }
        (queue.polls - before) as f64 / GIVEN_UP as f64
    };
    for count in [10, 1000, 2000, 4000] {
        let polls = wakes_for_each(count);
        assert!(polls <= 3.0, "{polls} polls for each, beside {count}");
    }
}

/// Returns the addresses of the wakers of a sweep.
fn addresses(swept: &Swept) -> Vec<usize> {
    swept.iter().map(|waiter| waiter.info().waker).collect()
}

#[test]
fn an_older_sweep_that_ends_later_keeps_the_wakers_of_a_newer_one() {
    let descriptor = Descriptor::new();
    // Two threads sweep, and the first is slow to wake its wakers.
    let older = descriptor.poll_until_swept();
    let newer = descriptor.poll_until_swept();
    let expected = addresses(&newer);
    assert!(
        descriptor
            .readiness
            .keep(Direction::Read, *newer)
            .is_empty()
    );
    let dropped = descriptor.readiness.keep(Direction::Read, *older);
    assert_eq!(dropped.len(), FEW);
    assert_eq!(descriptor.kept(), expected);
}

#[test]
fn a_sweep_does_not_add_its_wakers_to_a_newer_list() {
    let descriptor = Descriptor::new();
    let older = descriptor.poll_until_swept();
    // An event takes the list, and the next one is swept too.
    descriptor.event(READABLE);
    let newer = descriptor.poll_until_swept();
    let expected = addresses(&newer);
    drop(descriptor.readiness.keep(Direction::Read, *newer));
    let dropped = descriptor.readiness.keep(Direction::Read, *older);
    assert_eq!(dropped.len(), FEW);
    assert_eq!(descriptor.kept(), expected);
}

#[test]
fn a_waker_that_registers_again_during_its_sweep_is_not_kept_twice() {
    let descriptor = Descriptor::new();
    let quick = Arc::default();
    assert!(descriptor.poll_as_outsider(&quick).is_none());
    let swept = descriptor.poll_until_swept();
    assert!(descriptor.poll_as_outsider(&quick).is_none());
    let dropped = descriptor.readiness.keep(Direction::Read, *swept);
    assert_eq!(dropped.len(), 1);
    assert_eq!(descriptor.kept().len(), FEW - 1);
    assert!(!descriptor.kept().contains(&address(&quick)));
    // Only the list and the local variable hold it.
    drop(dropped);
    assert_eq!(Arc::strong_count(&quick), 2);
}
