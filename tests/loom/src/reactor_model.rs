//! Readiness and waiters of a descriptor that several threads use.

use crate::readiness::{
    DEAD, Direction, Place, READABLE, Readiness, Seat, Snapshot, WRITABLE, Wait,
};
use crate::waiter::{Tag, wake_all};
use loom::sync::Notify;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use std::sync::Arc;
use std::task::{Wake, Waker};

/// A thread that can be woken.
struct Sleeper(Notify);

impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        self.0.notify();
    }
}

/// A sleeper and its waker.
fn sleeper() -> (Arc<Sleeper>, Waker) {
    let sleeper = Arc::new(Sleeper(Notify::new()));
    let waker = Waker::from(Arc::clone(&sleeper));
    (sleeper, waker)
}

/// The kernel's side of a descriptor: how much is in it.
struct Kernel(AtomicUsize);

impl Kernel {
    /// Takes one thing out; false is `WouldBlock`.
    fn take(&self) -> bool {
        self.0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |count| {
                count.checked_sub(1)
            })
            .is_ok()
    }

    /// Puts one thing in; an event follows.
    fn put(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Wakes those who waited for an event, as the reactor does: all locks released.
fn publish(readiness: &Readiness, bits: usize) {
    let mut woken = Vec::new();
    readiness.publish(bits, |waker| woken.push(waker));
    wake_all(woken);
}

/// Takes one thing out of the descriptor, by the shape that every operation has.
fn take(readiness: &Readiness, kernel: &Kernel, mut place: Option<&mut Seat>) {
    let (sleeper, waker) = sleeper();
    loop {
        let seen: Snapshot = readiness.load();
        if seen.is_ready(Direction::Read) {
            if kernel.take() {
                return;
            }
            readiness.clear(Direction::Read, seen);
        }
        let place = match &mut place {
            Some(seat) => Place::Seat(seat),
            None => Place::Shared { turn: 0 },
        };
        match readiness.wait(Direction::Read, place, waker.clone(), Tag::NONE) {
            Wait::Ready(_) => {}
            // If a wake-up could be lost, loom would find the thread here for ever.
            Wait::Waiting(_) => sleeper.0.wait(),
            Wait::Swept(_) => unreachable!("there are too few of them"),
        }
    }
}

#[test]
fn an_event_is_never_lost_between_the_try_and_the_wait() {
    for seated in [false, true] {
        loom::model(move || {
            let readiness = Arc::new(Readiness::new(READABLE));
            let kernel = Arc::new(Kernel(AtomicUsize::new(0)));
            let reactor = {
                let (readiness, kernel) = (Arc::clone(&readiness), Arc::clone(&kernel));
                thread::spawn(move || {
                    kernel.put();
                    publish(&readiness, READABLE);
                })
            };
            let mut seat = None;
            take(&readiness, &kernel, seated.then_some(&mut seat));
            reactor.join().unwrap();
        });
    }
}

#[test]
fn two_who_read_and_two_events_come_out_even() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let readiness = Arc::new(Readiness::new(0));
        let kernel = Arc::new(Kernel(AtomicUsize::new(0)));
        let other = {
            let (readiness, kernel) = (Arc::clone(&readiness), Arc::clone(&kernel));
            thread::spawn(move || {
                let mut seat = None;
                take(&readiness, &kernel, Some(&mut seat));
            })
        };
        let reactor = {
            let (readiness, kernel) = (Arc::clone(&readiness), Arc::clone(&kernel));
            thread::spawn(move || {
                for _ in 0..2 {
                    kernel.put();
                    publish(&readiness, READABLE | WRITABLE);
                }
            })
        };
        take(&readiness, &kernel, None);
        other.join().unwrap();
        reactor.join().unwrap();
    });
}

#[test]
fn who_gives_up_its_seat_takes_no_event_from_the_others() {
    loom::model(|| {
        let readiness = Arc::new(Readiness::new(0));
        let kernel = Arc::new(Kernel(AtomicUsize::new(0)));
        let mut given_up: Seat = None;
        let (_sleeper, waker) = sleeper();
        let place = Place::Seat(&mut given_up);
        assert!(matches!(
            readiness.wait(Direction::Read, place, waker, Tag::NONE),
            Wait::Waiting(_)
        ));
        let reactor = {
            let (readiness, kernel) = (Arc::clone(&readiness), Arc::clone(&kernel));
            thread::spawn(move || {
                kernel.put();
                publish(&readiness, READABLE);
            })
        };
        let quitter = {
            let readiness = Arc::clone(&readiness);
            thread::spawn(move || drop(readiness.leave(given_up.expect("it has a seat"))))
        };
        let mut seat = None;
        take(&readiness, &kernel, Some(&mut seat));
        reactor.join().unwrap();
        quitter.join().unwrap();
        assert!(readiness.waiting().is_empty());
    });
}

#[test]
fn whoever_waits_hears_of_the_end_of_the_runtime() {
    loom::model(|| {
        let readiness = Arc::new(Readiness::new(0));
        let end = {
            let readiness = Arc::clone(&readiness);
            thread::spawn(move || {
                let mut woken = Vec::new();
                readiness.kill(|waker| woken.push(waker));
                wake_all(woken);
            })
        };
        let (sleeper, waker) = sleeper();
        match readiness.wait(
            Direction::Write,
            Place::Shared { turn: 0 },
            waker,
            Tag::NONE,
        ) {
            Wait::Ready(_) => {}
            // Loom wakes without cause too; never to be woken would be a deadlock.
            Wait::Waiting(_) | Wait::Swept(_) => {
                while !readiness.load().has(DEAD) {
                    sleeper.0.wait();
                }
            }
        }
        end.join().unwrap();
    });
}
