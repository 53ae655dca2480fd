//! Sleeps: never early, in deadline order, on any thread.

use crate::support::{block_on, park_on, settle, watchdog};
use crate::task_probes::{Meddler, Wakes, inside, panic_text, poll_with, until};
use futures::StreamExt;
use futures::channel::{mpsc, oneshot};
use futures::stream::FuturesUnordered;
use glassfrog::task::yield_now;
use glassfrog::time::{Sleep, now, sleep, sleep_until};
use glassfrog::{Runtime, spawn};
use proptest::prelude::*;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::mem;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc as std_mpsc};
use std::task::{Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

/// A duration that exceeds every test.
const FAR: Duration = Duration::from_secs(3600);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn no_sleep_ends_early(micros in prop::collection::vec(0..20_000_u64, 1..50)) {
        block_on(async {
            let sleeps: FuturesUnordered<_> = micros
                .into_iter()
                .map(|micros| async move {
                    let duration = Duration::from_micros(micros);
                    let before = Instant::now();
                    sleep(duration).await;
                    assert!(before.elapsed() >= duration);
                })
                .collect();
            sleeps.collect::<()>().await;
        });
    }

    #[test]
    fn sleepers_are_woken_in_deadline_order(
        micros in prop::collection::vec(1..3_000_u64, 1..100),
    ) {
        block_on(async {
            // Distant enough that most are registered before any is due.
            let start = now() + Duration::from_millis(5);
            let order = Rc::new(RefCell::new(Vec::new()));
            let tasks: Vec<_> = micros
                .iter()
                .map(|micros| {
                    let deadline = start + Duration::from_micros(*micros);
                    let order = Rc::clone(&order);
                    spawn(async move {
                        let mut nap = sleep_until(deadline);
                        let pending = poll_fn(|cx| Poll::Ready(poll_with(&mut nap, cx.waker())));
                        assert!(pending.await.is_pending());
                        // A sleep registered after others were woken does not take part in the order.
                        let is_early = now() < start;
                        nap.await;
                        if is_early {
                            order.borrow_mut().push(deadline);
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
            assert!(order.borrow().is_sorted());
        });
    }
}

#[test]
fn sleepers_with_equal_deadlines_are_woken_in_registration_order() {
    block_on(async {
        let deadline = now() + Duration::from_millis(5);
        let order = Rc::new(RefCell::new(Vec::new()));
        let tasks: Vec<_> = (0..100)
            .map(|number| {
                let order = Rc::clone(&order);
                spawn(async move {
                    sleep_until(deadline).await;
                    order.borrow_mut().push(number);
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*order.borrow(), Vec::from_iter(0..100));
    });
}

#[test]
fn a_sleep_with_a_past_deadline_ends_at_once() {
    block_on(async {
        let past = now() - Duration::from_millis(1);
        sleep(Duration::ZERO).await;
        sleep_until(past).await;
        sleep_until(now()).await;
        // An instant before the runtime existed, too.
        sleep_until(past - Duration::from_millis(100)).await;
    });
}

#[test]
fn a_deadline_beyond_the_range_of_instant_is_far_in_the_future() {
    block_on(async {
        let (wakes, waker) = Wakes::new();
        let mut longest = sleep(Duration::MAX);
        let mut long = sleep(Duration::from_secs(u64::from(u32::MAX) * 100));
        assert!(longest.deadline() > now() + Duration::from_secs(10 * 365 * 24 * 3600));
        assert!(poll_with(&mut longest, &waker).is_pending());
        assert!(poll_with(&mut long, &waker).is_pending());
        // Other timers fire meanwhile.
        sleep(Duration::from_millis(2)).await;
        assert!(poll_with(&mut longest, &waker).is_pending());
        assert!(poll_with(&mut long, &waker).is_pending());
        assert_eq!(wakes.count(), 0);
    });
}

#[test]
fn a_loop_whose_only_deadline_is_far_away_still_hears_other_threads() {
    block_on(async {
        let mut longest = sleep(Duration::MAX);
        assert!(poll_with(&mut longest, Waker::noop()).is_pending());
        // In some rounds the loop is parked when the message arrives.
        for _ in 0..100 {
            let (send, receive) = oneshot::channel();
            let thread = thread::spawn(move || send.send(()).unwrap());
            receive.await.unwrap();
            thread.join().unwrap();
        }
    });
}

#[test]
fn a_sleep_counts_from_its_creation_and_not_from_its_first_poll() {
    block_on(async {
        let nap = sleep(Duration::from_millis(20));
        assert!(nap.deadline() <= now() + Duration::from_millis(20));
        while now() < nap.deadline() {}
        let (wakes, waker) = Wakes::new();
        let mut nap = nap;
        // Due, so that a single turn of the loop suffices.
        if poll_with(&mut nap, &waker).is_pending() {
            settle().await;
            assert_eq!(wakes.count(), 1);
            assert!(poll_with(&mut nap, &waker).is_ready());
        }
    });
}

#[test]
fn a_finished_sleep_stays_finished() {
    block_on(async {
        let mut nap = sleep(Duration::from_millis(1));
        (&mut nap).await;
        for _ in 0..3 {
            assert!(poll_with(&mut nap, Waker::noop()).is_ready());
        }
    });
}

#[test]
fn a_sleep_wakes_the_task_that_polled_it_last() {
    block_on(async {
        let mut nap = sleep(Duration::from_millis(10));
        let (first, first_waker) = Wakes::new();
        let (last, last_waker) = Wakes::new();
        assert!(poll_with(&mut nap, &first_waker).is_pending());
        assert!(poll_with(&mut nap, &last_waker).is_pending());
        until(|| last.count() == 1).await;
        assert_eq!(first.count(), 0);
        drop((first_waker, last_waker));
        assert_eq!(
            (Arc::strong_count(&first), Arc::strong_count(&last)),
            (1, 1)
        );
    });
}

#[test]
fn a_sleep_may_move_between_tasks() {
    block_on(async {
        let nap = Rc::new(RefCell::new(sleep(Duration::from_millis(10))));
        for _ in 0..10 {
            let nap = Rc::clone(&nap);
            let polls_once = poll_fn(move |cx| {
                // Whether or not it has fired.
                let _poll = poll_with(&mut *nap.borrow_mut(), cx.waker());
                Poll::Ready(())
            });
            spawn(polls_once).await.unwrap();
        }
        let nap = Rc::into_inner(nap).unwrap().into_inner();
        spawn(nap).await.unwrap();
    });
}

#[test]
fn a_dropped_sleep_keeps_no_timer() {
    block_on(async {
        let (wakes, waker) = Wakes::new();
        let registered = Arc::strong_count(&wakes);
        let mut naps: Vec<_> = (0..100).map(|_| sleep(Duration::from_millis(5))).collect();
        for nap in &mut naps {
            assert!(poll_with(nap, &waker).is_pending());
        }
        assert_eq!(Arc::strong_count(&wakes), registered + 100);
        drop(naps);
        assert_eq!(Arc::strong_count(&wakes), registered);
        sleep(Duration::from_millis(10)).await;
        assert_eq!(wakes.count(), 0);
    });
}

#[test]
fn a_million_sleeps_leave_nothing_behind() {
    block_on(async {
        let (wakes, waker) = Wakes::new();
        let mut before = Vec::new();
        for number in 0..1_000_000_u64 {
            let mut nap = sleep(Duration::from_micros(1_000_000 + number * 7919 % 1_000_003));
            assert!(poll_with(&mut nap, &waker).is_pending());
            // Some live for a while.
            if number % 100 == 0 {
                before.push(nap);
            }
            if before.len() == 1000 {
                before.clear();
            }
        }
        drop(before);
        drop(waker);
        assert_eq!(Arc::strong_count(&wakes), 1);
    });
}

#[test]
fn ten_thousand_sleepers_all_wake_up() {
    const SLEEPERS: usize = 10_000;
    block_on(async {
        let woken = Rc::new(Cell::new(0));
        for number in 0..SLEEPERS {
            let woken = Rc::clone(&woken);
            let deadline = now() + Duration::from_micros(number as u64 * 7919 % 100_003);
            drop(spawn(async move {
                sleep_until(deadline).await;
                assert!(now() >= deadline);
                woken.set(woken.get() + 1);
            }));
        }
        while woken.get() < SLEEPERS {
            sleep(Duration::from_millis(1)).await;
        }
    });
}

#[test]
fn a_sleep_registered_on_another_thread_shortens_the_park() {
    block_on(async {
        // The only other deadline of the loop is far away.
        let mut far = sleep(FAR);
        assert!(poll_with(&mut far, Waker::noop()).is_pending());
        for _ in 0..50 {
            let nap = sleep(Duration::from_millis(1));
            let (over, end) = oneshot::channel();
            let thread = thread::spawn(move || {
                let deadline = nap.deadline();
                // Only the timer wakes this thread.
                park_on(nap);
                assert!(Instant::now() >= deadline);
                over.send(()).unwrap();
            });
            end.await.unwrap();
            thread.join().unwrap();
        }
    });
}

#[test]
fn many_threads_poll_and_drop_sleeps_concurrently() {
    block_on(async {
        let (done, mut end) = mpsc::unbounded();
        let fired = Arc::new(AtomicUsize::new(0));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let naps: Vec<_> = (0..500)
                    .map(|number| (sleep(Duration::from_micros(number * 40)), sleep(FAR)))
                    .collect();
                let (done, fired) = (done.clone(), Arc::clone(&fired));
                thread::spawn(move || {
                    for (nap, mut dropped) in naps {
                        assert!(poll_with(&mut dropped, Waker::noop()).is_pending());
                        park_on(nap);
                        fired.fetch_add(1, Ordering::SeqCst);
                    }
                    done.unbounded_send(()).unwrap();
                })
            })
            .collect();
        for _ in &threads {
            end.next().await.unwrap();
        }
        assert_eq!(fired.load(Ordering::SeqCst), 2000);
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn a_sleep_may_be_dropped_on_another_thread() {
    block_on(async {
        let (dropped, has_dropped) = std_mpsc::channel();
        let waker = Meddler::waker(|| {}, move || dropped.send(thread::current().id()).unwrap());
        let mut nap = sleep(FAR);
        assert!(poll_with(&mut nap, &waker).is_pending());
        drop(waker);
        let thread = thread::spawn(move || drop(nap));
        let id = thread.thread().id();
        thread.join().unwrap();
        assert_eq!(has_dropped.try_recv(), Ok(id));
    });
}

#[test]
fn a_deadline_that_passes_between_two_calls_fires_in_the_next_call() {
    let _watchdog = watchdog();
    let runtime = Runtime::new().unwrap();
    let (fired, has_fired) = oneshot::channel();
    let deadline = runtime.block_on(async {
        let deadline = now() + Duration::from_millis(2);
        drop(spawn(async move {
            sleep_until(deadline).await;
            fired.send(()).unwrap();
        }));
        yield_now().await;
        deadline
    });
    while Instant::now() < deadline {}
    runtime.block_on(has_fired).unwrap();
}

#[test]
fn a_sleep_polled_after_the_end_of_its_runtime_panics() {
    let runtime = Runtime::new().unwrap();
    let (new, registered, over) = runtime.block_on(async {
        let mut registered = sleep(FAR);
        assert!(poll_with(&mut registered, Waker::noop()).is_pending());
        let mut over = sleep(Duration::ZERO);
        (&mut over).await;
        (sleep(FAR), registered, over)
    });
    drop(runtime);
    for mut nap in [new, registered] {
        let text = panic_text(|| poll_with(&mut nap, Waker::noop()));
        assert!(text.contains("runtime") && text.contains("ended"), "{text}");
        // On any thread.
        let text = thread::spawn(move || panic_text(|| poll_with(&mut nap, Waker::noop())));
        assert!(text.join().unwrap().contains("ended"));
    }
    let mut over = over;
    assert!(poll_with(&mut over, Waker::noop()).is_ready());
}

#[test]
fn the_end_of_the_runtime_wakes_its_sleepers() {
    let runtime = Runtime::new().unwrap();
    let (wakes, waker) = Wakes::new();
    let mut nap = inside(&runtime, || sleep(FAR));
    assert!(poll_with(&mut nap, &waker).is_pending());
    drop(runtime);
    assert_eq!(wakes.count(), 1);
    drop(waker);
    assert_eq!(Arc::strong_count(&wakes), 1);
}

#[test]
fn a_sleep_returns_its_deadline() {
    fn assert_traits<T: Send + Sync + Unpin + std::fmt::Debug>() {}
    assert_traits::<Sleep>();
    block_on(async {
        let deadline = now() + FAR;
        let mut nap = sleep_until(deadline);
        assert_eq!(nap.deadline(), deadline);
        assert!(poll_with(&mut nap, Waker::noop()).is_pending());
        assert_eq!(nap.deadline(), deadline);
        let (before, nap, after) = (now(), sleep(FAR), now());
        assert!((before + FAR..=after + FAR).contains(&nap.deadline()));
        mem::drop(nap);
    });
}
