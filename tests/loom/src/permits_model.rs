//! The permits of a semaphore: none is lost, none is given twice, and no waiter sleeps while there are enough for it.

use crate::event_listener::block_on;
use crate::permits::{Permits, Refused};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use std::future::poll_fn;
use std::task::Waker;

/// Takes permits, and waits for them.
fn take(permits: &Permits, wanted: u32) -> Result<(), Refused> {
    let mut ticket = None;
    block_on(poll_fn(|cx| {
        permits.poll_take(&mut ticket, wanted, cx.waker())
    }))
}

#[test]
fn a_permit_has_one_holder_at_a_time() {
    loom::model(|| {
        let permits = Arc::new(Permits::new(1));
        let holders = Arc::new(AtomicUsize::new(0));
        let hold = {
            let (permits, holders) = (Arc::clone(&permits), Arc::clone(&holders));
            move || {
                take(&permits, 1).expect("it is open");
                // Relaxed is enough if taking the permit orders these.
                assert_eq!(holders.load(Ordering::Relaxed), 0);
                holders.store(1, Ordering::Relaxed);
                holders.store(0, Ordering::Relaxed);
                permits.give(1);
            }
        };
        let thread = thread::spawn(hold.clone());
        hold();
        thread.join().expect("it does not panic");
        assert_eq!(permits.available(), 1);
    });
}

#[test]
fn the_fast_path_does_not_lose_the_wake_of_a_waiter() {
    loom::model(|| {
        let permits = Arc::new(Permits::new(1));
        let other = Arc::clone(&permits);
        let thread = thread::spawn(move || {
            if other.try_take(1).is_ok() {
                other.give(1);
            }
        });
        take(&permits, 1).expect("it is open");
        permits.give(1);
        thread.join().expect("it does not panic");
        assert_eq!(permits.available(), 1);
        // The queue is empty, and known to be.
        assert_eq!(permits.try_take(1), Ok(()));
    });
}

#[test]
fn a_waiter_for_many_gets_permits_that_come_one_by_one() {
    loom::model(|| {
        let permits = Arc::new(Permits::new(0));
        let threads: Vec<_> = [(), ()]
            .map(|()| {
                let permits = Arc::clone(&permits);
                thread::spawn(move || permits.give(1))
            })
            .into();
        take(&permits, 2).expect("it is open");
        for thread in threads {
            thread.join().expect("it does not panic");
        }
        assert_eq!(permits.available(), 0);
    });
}

#[test]
fn a_waiter_that_leaves_wakes_its_successor() {
    loom::model(|| {
        let permits = Arc::new(Permits::new(0));
        let mut ticket = None;
        let polled = permits.poll_take(&mut ticket, 1, Waker::noop());
        assert!(polled.is_pending());
        let ticket = ticket.expect("it waits");
        let other = Arc::clone(&permits);
        let thread = thread::spawn(move || {
            // This wakes the first, which never polls again.
            other.give(1);
            other.leave(ticket);
        });
        take(&permits, 1).expect("it is open");
        thread.join().expect("it does not panic");
        permits.give(1);
        assert_eq!(permits.try_take(1), Ok(()));
    });
}

#[test]
fn permits_for_two_wake_both() {
    loom::model(|| {
        let permits = Arc::new(Permits::new(0));
        let other = Arc::clone(&permits);
        let thread = thread::spawn(move || take(&other, 1));
        permits.give(2);
        take(&permits, 1).expect("it is open");
        thread
            .join()
            .expect("it does not panic")
            .expect("it is open");
        assert_eq!(permits.available(), 0);
    });
}

#[test]
fn a_close_ends_the_wait() {
    loom::model(|| {
        let permits = Arc::new(Permits::new(0));
        let closer = Arc::clone(&permits);
        let thread = thread::spawn(move || closer.close());
        assert_eq!(take(&permits, 1), Err(Refused::Closed));
        thread.join().expect("it does not panic");
        assert!(permits.is_closed());
    });
}

#[test]
fn permits_that_are_forgotten_are_not_taken() {
    loom::model(|| {
        let permits = Arc::new(Permits::new(2));
        let other = Arc::clone(&permits);
        let thread = thread::spawn(move || other.forget(2));
        let taken = usize::from(permits.try_take(1).is_ok());
        let forgotten = thread.join().expect("it does not panic");
        assert_eq!(taken + forgotten + permits.available(), 2);
    });
}
