//! Wakes across threads, and custom wakers at sockets, sleeps and join handles.

use crate::support::{accepted, block_on, few_or_many, park_on, settle, watchdog};
use crate::task_probes::{Meddler, Wakes, logged, poll_with, record_log, until};
use futures::channel::{mpsc, oneshot};
use futures::{SinkExt, StreamExt};
use glassfrog::time::{now, sleep_until};
use glassfrog::{Handle, Runtime, spawn};
use std::cell::Cell;
use std::future::{pending, poll_fn};
use std::io::Write;
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc as std_mpsc};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

/// Returns the waker of a task that is polled on each wake, until `ready` returns true.
fn waiting_task(mut ready: impl FnMut() -> bool + 'static) -> oneshot::Receiver<Waker> {
    let (wakers, waker) = oneshot::channel();
    let mut wakers = Some(wakers);
    drop(spawn(poll_fn(move |cx| {
        if let Some(wakers) = wakers.take() {
            wakers.send(cx.waker().clone()).unwrap();
        }
        if ready() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })));
    waker
}

#[test]
fn no_wake_of_a_million_from_ten_threads_is_lost() {
    const THREADS: usize = 10;
    const WAKES: usize = 100_000;
    block_on(async {
        let produced = Arc::new(AtomicUsize::new(0));
        let seen = Rc::new(Cell::new(0));
        let (done, all_seen) = oneshot::channel();
        let mut done = Some(done);
        let (theirs, ours) = (Arc::clone(&produced), Rc::clone(&seen));
        let waker = waiting_task(move || {
            ours.set(theirs.load(Ordering::Relaxed));
            let all = ours.get() == THREADS * WAKES;
            if all {
                done.take().unwrap().send(()).unwrap();
            }
            all
        });
        let waker = waker.await.unwrap();
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                let (waker, produced) = (waker.clone(), Arc::clone(&produced));
                thread::spawn(move || {
                    for _ in 0..WAKES {
                        // Relaxed: the wake must make it visible.
                        produced.fetch_add(1, Ordering::Relaxed);
                        waker.wake_by_ref();
                    }
                })
            })
            .collect();
        // The loop parks whenever the task sees no news; a lost wake would be the last one.
        all_seen.await.unwrap();
        assert_eq!(seen.get(), THREADS * WAKES);
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn every_wake_of_a_parked_loop_ends_the_park() {
    const ROUNDS: usize = few_or_many(4000, 20_000);
    block_on(async {
        let asked = Arc::new(AtomicUsize::new(0));
        let (answer, answers) = std_mpsc::channel();
        let mut answered = 0;
        let theirs = Arc::clone(&asked);
        let waker = waiting_task(move || {
            let asked = theirs.load(Ordering::Relaxed);
            if asked > answered {
                assert_eq!(asked, answered + 1);
                answered = asked;
                answer.send(asked).unwrap();
            }
            answered == ROUNDS
        });
        let waker = waker.await.unwrap();
        let (done, end) = oneshot::channel();
        let thread = thread::spawn(move || {
            for round in 1..=ROUNDS {
                asked.store(round, Ordering::Relaxed);
                waker.wake_by_ref();
                assert_eq!(answers.recv(), Ok(round));
            }
            done.send(()).unwrap();
        });
        end.await.unwrap();
        thread.join().unwrap();
    });
}

#[test]
fn wakes_during_a_busy_turn_cause_one_poll() {
    block_on(async {
        let polls = Rc::new(Cell::new(0));
        let ours = Rc::clone(&polls);
        let waker = waiting_task(move || {
            ours.set(ours.get() + 1);
            false
        });
        let waker = waker.await.unwrap();
        assert_eq!(polls.get(), 1);
        for round in 0..10 {
            let waker = waker.clone();
            // The loop is blocked in this very poll meanwhile.
            thread::spawn(move || {
                for _ in 0..1000 {
                    waker.wake_by_ref();
                }
            })
            .join()
            .unwrap();
            until(|| polls.get() > 1 + round).await;
            settle().await;
            assert_eq!(polls.get(), 2 + round);
        }
    });
}

#[test]
fn ten_threads_await_tasks_that_ten_threads_spawned() {
    const THREADS: usize = 10;
    const TASKS: usize = 500;
    let _watchdog = watchdog();
    let runtime = Runtime::new().unwrap();
    let ran = Arc::new(AtomicUsize::new(0));
    let home = thread::current().id();
    let (done, mut end) = mpsc::unbounded();
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let (handle, ran, done) = (runtime.handle(), Arc::clone(&ran), done.clone());
            thread::spawn(move || {
                for task in 0..TASKS {
                    let ran = Arc::clone(&ran);
                    let work = async move {
                        assert_eq!(thread::current().id(), home);
                        ran.fetch_add(1, Ordering::SeqCst);
                        (thread, task)
                    };
                    let handle = match task % 2 {
                        0 => handle.spawn(work),
                        _ => handle.spawn_with(move || work),
                    };
                    let output = park_on(handle);
                    assert_eq!(output.unwrap(), (thread, task));
                }
                done.unbounded_send(()).unwrap();
            })
        })
        .collect();
    drop(done);
    runtime.block_on(async {
        for _ in 0..THREADS {
            end.next().await.unwrap();
        }
    });
    assert_eq!(ran.load(Ordering::SeqCst), THREADS * TASKS);
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn tasks_spawned_from_one_thread_start_in_spawn_order() {
    block_on(async {
        let (send, receive) = mpsc::unbounded();
        let handle = Handle::current();
        thread::spawn(move || {
            for number in 0..1000 {
                let send = send.clone();
                drop(handle.spawn(async move { send.unbounded_send(number).unwrap() }));
            }
        })
        .join()
        .unwrap();
        let order: Vec<i32> = receive.collect().await;
        assert_eq!(order, Vec::from_iter(0..1000));
    });
}

#[test]
fn a_thread_feeds_a_task_through_a_channel() {
    block_on(async {
        // Little room, so that both sides keep waiting for each other.
        let (mut send, receive) = mpsc::channel(2);
        let thread = thread::spawn(move || {
            park_on(async move {
                for number in 0..10_000_u64 {
                    send.send(number).await.unwrap();
                }
            });
        });
        let sum = spawn(receive.fold(0, async |sum, number| sum + number));
        assert_eq!(sum.await.unwrap(), 10_000 * 9_999 / 2);
        thread.join().unwrap();
    });
}

#[test]
fn a_panicking_waker_does_not_stop_the_wakes_of_other_readers() {
    record_log();
    let text = "a reader's waker is out of order";
    block_on(async {
        let (stream, mut peer) = accepted().await;
        let (wakes, counting) = Wakes::new();
        let panicking = Meddler::waker(|| panic!("a reader's waker is out of order"), || {});
        let mut readers: Vec<_> = (0..5).map(|_| Box::pin(stream.readable())).collect();
        for (number, reader) in readers.iter_mut().enumerate() {
            let waker = if number == 2 { &panicking } else { &counting };
            assert!(poll_with(reader, waker).is_pending());
        }
        peer.write_all(b"!").unwrap();
        until(|| wakes.count() == 4).await;
        for reader in &mut readers {
            reader.await.unwrap();
        }
        assert_eq!(logged(text).len(), 1);
    });
}

#[test]
fn a_panicking_waker_does_not_stop_the_wakes_of_other_sleepers() {
    record_log();
    let text = "a sleeper's waker is out of order";
    block_on(async {
        let (wakes, counting) = Wakes::new();
        let panicking = Meddler::waker(|| panic!("a sleeper's waker is out of order"), || {});
        let due = now() + Duration::from_millis(1);
        let mut sleeps: Vec<_> = (0..5).map(|_| sleep_until(due)).collect();
        for (number, sleep) in sleeps.iter_mut().enumerate() {
            let waker = if number == 2 { &panicking } else { &counting };
            assert!(poll_with(sleep, waker).is_pending());
        }
        until(|| wakes.count() == 4).await;
        for sleep in &mut sleeps {
            sleep.await;
        }
        assert_eq!(logged(text).len(), 1);
    });
}

#[test]
fn a_panicking_joiner_waker_is_harmless() {
    record_log();
    let text = "a joiner's waker is out of order";
    block_on(async {
        let panicking = Meddler::waker(|| panic!("a joiner's waker is out of order"), || {});
        let mut local = spawn(async { 1 });
        let mut remote = Handle::current().spawn(async { 2 });
        assert!(poll_with(&mut local, &panicking).is_pending());
        assert!(poll_with(&mut remote, &panicking).is_pending());
        until(|| logged(text).len() == 2).await;
        assert_eq!((local.await.unwrap(), remote.await.unwrap()), (1, 2));
    });
}

#[test]
fn a_joiner_waker_that_panics_when_dropped_is_harmless() {
    record_log();
    let text = "a joiner's waker does not go in peace";
    block_on(async {
        let panicking = Meddler::waker(|| {}, || panic!("a joiner's waker does not go in peace"));
        let mut local = spawn(pending::<()>());
        assert!(poll_with(&mut local, &panicking).is_pending());
        drop(panicking);
        let handle = Handle::current();
        // The waker is dropped when the loop learns that the handle is gone.
        let thread = thread::spawn(move || {
            drop(local);
            handle.spawn(async { "well" })
        });
        let spawned = thread.join().unwrap();
        assert_eq!(spawned.await.unwrap(), "well");
        assert_eq!(logged(text).len(), 1);
    });
}

#[test]
fn a_waker_that_panics_when_the_runtime_ends_does_not_stop_the_other_wakes() {
    record_log();
    let text = "out of order at the end";
    let (wakes, counting) = Wakes::new();
    let panicking = Meddler::waker(|| panic!("out of order at the end"), || {});
    let runtime = Runtime::new().unwrap();
    // They outlive the runtime, so its end calls their wakers.
    let (stream, _peer) = runtime.block_on(accepted());
    let mut readers: Vec<_> = (0..3).map(|_| Box::pin(stream.readable())).collect();
    let far = std::time::Instant::now() + Duration::from_secs(3600);
    let mut sleeps: Vec<_> = runtime.block_on(async { (0..3).map(|_| sleep_until(far)).collect() });
    let mut remote: Vec<_> = (0..3)
        .map(|_| runtime.handle().spawn(pending::<()>()))
        .collect();
    for number in 0..3 {
        let waker = if number == 1 { &panicking } else { &counting };
        assert!(poll_with(&mut readers[number], waker).is_pending());
        assert!(poll_with(&mut sleeps[number], waker).is_pending());
        assert!(poll_with(&mut remote[number], waker).is_pending());
    }
    drop(runtime);
    assert_eq!(wakes.count(), 6);
    assert_eq!(logged(text).len(), 3);
}

#[test]
fn the_waker_of_a_foreign_combinator_wakes_its_task() {
    // `FuturesUnordered` polls its futures with wakers of its own.
    block_on(async {
        let woken = Arc::new(AtomicBool::new(false));
        let (wakers, waker) = oneshot::channel::<Waker>();
        let theirs = Arc::clone(&woken);
        let mut wakers = Some(wakers);
        let set: futures::stream::FuturesUnordered<_> = [poll_fn(move |cx: &mut Context<'_>| {
            if let Some(wakers) = wakers.take() {
                wakers.send(cx.waker().clone()).unwrap();
            }
            match theirs.load(Ordering::SeqCst) {
                true => Poll::Ready("woken"),
                false => Poll::Pending,
            }
        })]
        .into_iter()
        .collect();
        let thread = thread::spawn(move || {
            let waker = park_on(waker).unwrap();
            woken.store(true, Ordering::SeqCst);
            waker.wake();
        });
        let mut set = pin!(set);
        assert_eq!(set.next().await, Some("woken"));
        thread.join().unwrap();
    });
}
