//! Spawning, run order, and how a handle returns the output.

use crate::support::{block_on, park_on, settle, watchdog};
use crate::task_probes::{Wakes, Way, counted, inside, poll_with, until};
use futures::channel::oneshot;
use glassfrog::task::{JoinHandle, yield_now};
use glassfrog::{Handle, Runtime, spawn};
use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::thread;

#[test]
fn spawn_never_polls_the_future_in_place() {
    for way in Way::ALL {
        block_on(async {
            let polled = Arc::new(AtomicBool::new(false));
            let theirs = Arc::clone(&polled);
            let task = way.spawn(async move { theirs.store(true, Ordering::SeqCst) });
            assert!(!polled.load(Ordering::SeqCst), "{way:?}");
            task.await.unwrap();
            assert!(polled.load(Ordering::SeqCst), "{way:?}");
        });
    }
}

#[test]
fn a_task_spawned_by_a_task_waits_for_its_turn() {
    block_on(async {
        let order = Rc::new(RefCell::new(Vec::new()));
        let theirs = Rc::clone(&order);
        let parent = spawn(async move {
            let childs = Rc::clone(&theirs);
            let child = spawn(async move { childs.borrow_mut().push("child") });
            theirs.borrow_mut().push("parent");
            child.await.unwrap();
        });
        let theirs = Rc::clone(&order);
        let sibling = spawn(async move { theirs.borrow_mut().push("sibling") });
        parent.await.unwrap();
        sibling.await.unwrap();
        assert_eq!(*order.borrow(), ["parent", "sibling", "child"]);
    });
}

#[test]
fn yielding_tasks_take_turns_in_spawn_order() {
    const TASKS: usize = 300;
    const ROUNDS: usize = 5;
    block_on(async {
        let order = Rc::new(RefCell::new(Vec::new()));
        let tasks: Vec<_> = (0..TASKS)
            .map(|task| {
                let order = Rc::clone(&order);
                spawn(async move {
                    for round in 0..ROUNDS {
                        order.borrow_mut().push((round, task));
                        yield_now().await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let expected: Vec<_> = (0..ROUNDS)
            .flat_map(|round| (0..TASKS).map(move |task| (round, task)))
            .collect();
        assert_eq!(*order.borrow(), expected);
    });
}

#[test]
fn the_root_future_takes_turns_with_the_tasks() {
    block_on(async {
        let order = Rc::new(RefCell::new(String::new()));
        for name in ["a", "b"] {
            let order = Rc::clone(&order);
            drop(spawn(async move {
                for _ in 0..3 {
                    order.borrow_mut().push_str(name);
                    yield_now().await;
                }
            }));
        }
        for _ in 0..3 {
            yield_now().await;
            order.borrow_mut().push('.');
        }
        assert_eq!(*order.borrow(), "ab.ab.ab.");
    });
}

#[test]
fn a_woken_task_goes_to_the_end_of_the_queue() {
    block_on(async {
        let order = Rc::new(RefCell::new(Vec::new()));
        let (wake, woken) = oneshot::channel::<()>();
        let theirs = Rc::clone(&order);
        let sleeper = spawn(async move {
            woken.await.unwrap();
            theirs.borrow_mut().push("woken");
        });
        yield_now().await;
        let theirs = Rc::clone(&order);
        let ready = spawn(async move { theirs.borrow_mut().push("ready before") });
        wake.send(()).unwrap();
        let theirs = Rc::clone(&order);
        let late = spawn(async move { theirs.borrow_mut().push("ready after") });
        for task in [sleeper, ready, late] {
            task.await.unwrap();
        }
        assert_eq!(*order.borrow(), ["ready before", "woken", "ready after"]);
    });
}

#[test]
fn many_wakes_before_a_poll_cause_one_poll() {
    block_on(async {
        let polls = Rc::new(Cell::new(0));
        let (wakers, waker) = oneshot::channel();
        let mut wakers = Some(wakers);
        let task = counted(
            &polls,
            poll_fn(move |cx| {
                if let Some(wakers) = wakers.take() {
                    wakers.send(cx.waker().clone()).unwrap();
                }
                Poll::<()>::Pending
            }),
        );
        drop(spawn(task));
        let waker = waker.await.unwrap();
        assert_eq!(polls.get(), 1);
        for round in 0..10 {
            for _ in 0..100 {
                waker.wake_by_ref();
            }
            yield_now().await;
            yield_now().await;
            assert_eq!(polls.get(), 2 + round);
        }
    });
}

#[test]
fn a_task_without_a_wake_is_not_polled() {
    block_on(async {
        let polls = Rc::new(Cell::new(0));
        drop(spawn(counted(&polls, pending::<()>())));
        settle().await;
        assert_eq!(polls.get(), 1);
    });
}

#[test]
fn a_handle_awaited_before_the_end_returns_the_output() {
    for way in Way::ALL {
        block_on(async {
            let (finish, finished) = oneshot::channel();
            let task = way.spawn(async move { finished.await.unwrap() });
            let joiner = spawn(async move { task.await.unwrap() });
            yield_now().await;
            finish.send("output").unwrap();
            assert_eq!(joiner.await.unwrap(), "output", "{way:?}");
        });
    }
}

#[test]
fn a_handle_awaited_after_the_end_returns_the_output() {
    for way in Way::ALL {
        block_on(async {
            let ended = Arc::new(AtomicBool::new(false));
            let theirs = Arc::clone(&ended);
            let task = way.spawn(async move {
                theirs.store(true, Ordering::SeqCst);
                "output"
            });
            until(|| ended.load(Ordering::SeqCst)).await;
            yield_now().await;
            assert_eq!(task.await.unwrap(), "output", "{way:?}");
        });
    }
}

#[test]
fn a_remote_handle_returns_its_output_on_any_thread() {
    for way in Way::REMOTE {
        // Awaited before the end, on a thread without a runtime.
        block_on(async {
            let (finish, finished) = oneshot::channel();
            let task = way.spawn(async move { finished.await.unwrap() });
            let (done, output) = oneshot::channel();
            let thread = thread::spawn(move || done.send(park_on(task)));
            finish.send("output").unwrap();
            assert_eq!(output.await.unwrap().unwrap(), "output", "{way:?}");
            thread.join().unwrap().unwrap();
        });
        // Awaited after the end of the task and of its runtime.
        let runtime = Runtime::new().unwrap();
        let ended = Arc::new(AtomicBool::new(false));
        let theirs = Arc::clone(&ended);
        let task = inside(&runtime, || {
            way.spawn(async move {
                theirs.store(true, Ordering::SeqCst);
                "output"
            })
        });
        runtime.block_on(until(|| ended.load(Ordering::SeqCst)));
        drop(runtime);
        let thread = thread::spawn(|| park_on(task));
        assert_eq!(thread.join().unwrap().unwrap(), "output", "{way:?}");
    }
}

#[test]
fn a_remote_handle_returns_its_output_inside_another_runtime() {
    let _watchdog = watchdog();
    for way in Way::REMOTE {
        let (send_task, task) = std::sync::mpsc::channel();
        let (end, ended) = oneshot::channel::<()>();
        let thread = thread::spawn(move || {
            glassfrog::block_on(async {
                let (finish, finished) = oneshot::channel();
                let task = way.spawn(async move { finished.await.unwrap() });
                send_task.send((task, finish)).unwrap();
                ended.await.unwrap();
            });
        });
        let (task, finish) = task.recv().unwrap();
        glassfrog::block_on(async {
            let joiner = spawn(task);
            yield_now().await;
            finish.send(5).unwrap();
            assert_eq!(joiner.await.unwrap().unwrap(), 5, "{way:?}");
        });
        end.send(()).unwrap();
        thread.join().unwrap();
    }
}

#[test]
fn a_local_task_may_return_an_output_that_is_not_send() {
    block_on(async {
        let text = Rc::new(String::from("not Send"));
        let theirs = Rc::clone(&text);
        let output = spawn(async move { theirs }).await.unwrap();
        assert!(Rc::ptr_eq(&text, &output));
    });
}

#[test]
fn spawn_with_builds_a_future_that_is_not_send_on_the_runtime_thread() {
    let runtime = Runtime::new().unwrap();
    let handle = runtime.handle();
    let task = thread::spawn(move || {
        handle.spawn_with(|| {
            let built_on = thread::current().id();
            let not_send = Rc::new(built_on);
            async move {
                yield_now().await;
                *not_send
            }
        })
    })
    .join()
    .unwrap();
    assert_eq!(runtime.block_on(task).unwrap(), thread::current().id());
}

#[test]
fn only_the_end_of_a_task_wakes_its_joiner() {
    for way in Way::ALL {
        block_on(async {
            let polls = Rc::new(Cell::new(0));
            let task = way.spawn(async {
                for _ in 0..100 {
                    yield_now().await;
                }
            });
            counted(&polls, task).await.unwrap();
            assert_eq!(polls.get(), 2, "{way:?}");
        });
    }
}

#[test]
fn a_handle_wakes_the_task_that_polled_it_last() {
    for way in Way::ALL {
        block_on(async {
            let (finish, finished) = oneshot::channel::<()>();
            let mut task = way.spawn(async move { finished.await.unwrap() });
            let (first, first_waker) = Wakes::new();
            let (last, last_waker) = Wakes::new();
            assert!(poll_with(&mut task, &first_waker).is_pending());
            assert!(poll_with(&mut task, &last_waker).is_pending());
            yield_now().await;
            finish.send(()).unwrap();
            until(|| last.count() == 1).await;
            assert_eq!(first.count(), 0, "{way:?}");
            assert!(poll_with(&mut task, &first_waker).is_ready());
            assert_eq!((first.count(), last.count()), (0, 1), "{way:?}");
            // Nothing keeps the wakers.
            drop((first_waker, last_waker));
            assert_eq!(Arc::strong_count(&first), 1, "{way:?}");
            assert_eq!(Arc::strong_count(&last), 1, "{way:?}");
        });
    }
}

#[test]
fn awaiting_a_reference_can_be_cancelled_and_repeated() {
    for way in Way::ALL {
        block_on(async {
            let (finish, finished) = oneshot::channel();
            let mut task = way.spawn(async move { finished.await.unwrap() });
            for _ in 0..3 {
                let given_up = futures::future::select(&mut task, std::future::ready(())).await;
                assert!(matches!(given_up, futures::future::Either::Right(_)));
                yield_now().await;
            }
            finish.send(8).unwrap();
            assert_eq!((&mut task).await.unwrap(), 8, "{way:?}");
        });
    }
}

#[test]
fn task_ids_count_the_spawns() {
    block_on(async {
        let mut ids = Vec::new();
        for way in Way::ALL.into_iter().cycle().take(12) {
            let task = way.spawn(async {});
            ids.push(task.id());
            task.await.unwrap();
        }
        let texts: Vec<_> = ids.iter().map(ToString::to_string).collect();
        let expected: Vec<_> = (1..=12).map(|id| id.to_string()).collect();
        assert_eq!(texts, expected);
        assert!(ids.is_sorted());
    });
}

#[test]
fn handles_are_send_and_sync_for_any_output() {
    fn assert_send_sync<T: Send + Sync>() {}
    assert_send_sync::<JoinHandle<Rc<Cell<u8>>>>();
    assert_send_sync::<Handle>();
}

#[test]
fn a_hundred_thousand_tasks_all_run() {
    block_on(async {
        let ran = Rc::new(Cell::new(0));
        for _ in 0..100_000 {
            let ran = Rc::clone(&ran);
            drop(spawn(async move { ran.set(ran.get() + 1) }));
        }
        until(|| ran.get() == 100_000).await;
    });
}
