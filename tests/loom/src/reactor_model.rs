//! Readiness and waiters of a descriptor that several threads use.

use crate::attempts::Buffer;
use crate::readiness::{DEAD, Direction, READABLE, Readiness, Snapshot, WRITABLE};
use crate::waiter::{Tag, Waiter};
use crate::waiters::{Taken, Wait, WaitCounters, WaiterKey};
use loom::sync::Notify;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use std::cell::RefCell;
use std::sync::Arc;
use std::task::{Wake, Waker};

/// A thread that can be woken.
struct Sleeper(Notify);

impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        self.0.notify();
    }
}

/// Returns a sleeper and its waker.
fn sleeper() -> (Arc<Sleeper>, Waker) {
    let sleeper = Arc::new(Sleeper(Notify::new()));
    let waker = Waker::from(Arc::clone(&sleeper));
    (sleeper, waker)
}

/// Counts its wakes.
struct Counter(AtomicUsize);

impl Counter {
    fn new() -> Arc<Counter> {
        Arc::new(Counter(AtomicUsize::new(0)))
    }

    fn wakes(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Returns a waiter outside all tasks.
fn waiter(waker: Waker) -> Waiter {
    let tag = Tag::NONE;
    Waiter { waker, tag }
}

/// A descriptor without its kernel.
struct Descriptor {
    /// The readiness and the waiters.
    readiness: Readiness,
    /// The state that it would share with other descriptors.
    counters: WaitCounters,
    /// The kernel's side: the number of items in it.
    content: AtomicUsize,
}

impl Descriptor {
    /// Creates an empty descriptor with these bits of readiness.
    fn new(bits: u32) -> Arc<Descriptor> {
        Arc::new(Descriptor {
            readiness: Readiness::new(bits),
            counters: WaitCounters::default(),
            content: AtomicUsize::new(0),
        })
    }

    /// Adds an item, as a peer does. An event follows.
    fn put(&self, bits: u32) {
        self.content.fetch_add(1, Ordering::SeqCst);
        self.publish(bits);
    }

    /// Takes an item. `None` stands for `WouldBlock`.
    fn try_take(&self) -> Option<()> {
        let take = |content: usize| content.checked_sub(1);
        let taken = self
            .content
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, take);
        taken.ok().map(|_| ())
    }

    /// Wakes the waiters for an event, as the reactor does, without holding a lock.
    fn publish(&self, bits: u32) {
        self.wake(|taken| self.readiness.publish(bits, taken));
    }

    /// Ends it, as the end of the runtime does.
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

    /// Waits to read, and wakes the wakers of a sweep. Returns whether the descriptor is not ready.
    fn wait(&self, key: Option<&mut WaiterKey>, waker: Waker) -> bool {
        self.wait_for(Direction::Read, key, waker)
    }

    /// Waits in a direction.
    fn wait_for(&self, direction: Direction, key: Option<&mut WaiterKey>, waker: Waker) -> bool {
        let wait = self
            .readiness
            .wait(direction, key, waiter(waker), Buffer::NONE, &self.counters);
        match wait {
            Wait::Ready(_) => false,
            Wait::Waiting(_) => true,
            Wait::Swept(swept) => {
                swept.wake();
                drop(self.readiness.keep(direction, *swept));
                true
            }
        }
    }

    /// Removes the waiter with this key.
    fn leave(&self, key: WaiterKey) {
        let key = key.expect("it has waited");
        drop(self.readiness.remove(Direction::Read, key, &self.counters));
    }

    /// Takes an item, in the pattern of every operation.
    fn take(&self, mut key: Option<&mut WaiterKey>) {
        let (sleeper, waker) = sleeper();
        loop {
            let seen: Snapshot = self.readiness.load();
            if seen.is_ready(Direction::Read) {
                if self.try_take().is_some() {
                    return;
                }
                self.readiness.clear(Direction::Read, seen);
            }
            if self.wait(key.as_deref_mut(), waker.clone()) {
                // If a wake-up could be lost, loom would find the thread stuck here.
                sleeper.0.wait();
            }
        }
    }

    /// Asserts that the count agrees with the existence of waiters.
    fn assert_count(&self) {
        let waits = !self.readiness.waiting().is_empty();
        assert_eq!(self.counters.has_waiters(), waits);
    }
}

/// Runs a closure with a descriptor on a thread of the model.
fn spawn(
    descriptor: &Arc<Descriptor>,
    run: impl FnOnce(&Descriptor) + 'static,
) -> thread::JoinHandle<()> {
    let descriptor = Arc::clone(descriptor);
    thread::spawn(move || run(&descriptor))
}

/// Checks a model under every interleaving with at most three preemptions: all interleavings of three threads would
/// take hours.
fn check_three(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

#[test]
fn no_event_is_lost_between_the_attempt_and_the_wait() {
    for keyed in [false, true] {
        loom::model(move || {
            let descriptor = Descriptor::new(READABLE);
            let reactor = spawn(&descriptor, |descriptor| descriptor.put(READABLE));
            let mut key = None;
            descriptor.take(keyed.then_some(&mut key));
            reactor.join().unwrap();
            descriptor.assert_count();
        });
    }
}

#[test]
fn two_events_serve_two_readers() {
    for keyed in [false, true] {
        check_three(move || {
            let descriptor = Descriptor::new(0);
            let other = spawn(&descriptor, move |descriptor| {
                let mut key = None;
                descriptor.take(keyed.then_some(&mut key));
            });
            let reactor = spawn(&descriptor, |descriptor| {
                descriptor.put(READABLE | WRITABLE);
                descriptor.put(READABLE | WRITABLE);
            });
            descriptor.take(None);
            other.join().unwrap();
            reactor.join().unwrap();
            descriptor.assert_count();
        });
    }
}

#[test]
fn a_departing_waiter_takes_no_event_from_the_others() {
    check_three(|| {
        let descriptor = Descriptor::new(0);
        let mut given_up = None;
        assert!(descriptor.wait(Some(&mut given_up), sleeper().1));
        let reactor = spawn(&descriptor, |descriptor| {
            // A spurious wake, after which the key may be stale.
            descriptor.publish(READABLE);
            descriptor.put(READABLE);
        });
        let quitter = spawn(&descriptor, move |descriptor| descriptor.leave(given_up));
        let mut key = None;
        descriptor.take(Some(&mut key));
        reactor.join().unwrap();
        quitter.join().unwrap();
        assert!(descriptor.readiness.waiting().is_empty());
        descriptor.assert_count();
    });
}

#[test]
fn the_end_of_the_runtime_wakes_every_waiter() {
    loom::model(|| {
        let descriptor = Descriptor::new(0);
        let end = spawn(&descriptor, Descriptor::kill);
        let (sleeper, waker) = sleeper();
        if descriptor.wait_for(Direction::Write, None, waker) {
            // Loom wakes spuriously too; a lost wake would be a deadlock.
            while !descriptor.readiness.load().has(DEAD) {
                sleeper.0.wait();
            }
        }
        end.join().unwrap();
        assert!(descriptor.readiness.waiting().is_empty());
        descriptor.assert_count();
    });
}

#[test]
fn the_waiter_count_is_right_whichever_side_empties_a_list_first() {
    check_three(|| {
        let descriptor = Descriptor::new(0);
        let comer = spawn(&descriptor, |descriptor| {
            let mut key = None;
            if descriptor.wait(Some(&mut key), Counter::new().into()) {
                descriptor.leave(key);
            }
        });
        let reactor = spawn(&descriptor, |descriptor| descriptor.publish(READABLE));
        let _ready_or_not = descriptor.wait(None, Counter::new().into());
        comer.join().unwrap();
        reactor.join().unwrap();
        descriptor.assert_count();
        descriptor.kill();
        assert!(!descriptor.counters.has_waiters());
    });
}

#[test]
fn a_swept_waker_is_woken_or_is_in_the_queue() {
    // One more than a list holds before an outsider sweeps it.
    const POLLERS: usize = 9;
    loom::model(|| {
        let descriptor = Descriptor::new(0);
        let counters = [(); POLLERS].map(|()| Counter::new());
        let (last, others) = counters.split_last().expect("there are some");
        for counter in others {
            assert!(descriptor.wait(None, Arc::clone(counter).into()));
        }
        let reactor = spawn(&descriptor, |descriptor| descriptor.publish(READABLE));
        let waits = descriptor.wait(None, Arc::clone(last).into());
        reactor.join().unwrap();
        // The event takes the wakers that the sweep has not, and no waker is woken by both.
        assert!(others.iter().all(|counter| counter.wakes() == 1));
        assert_eq!(last.wakes(), usize::from(waits));
        descriptor.assert_count();
    });
}
