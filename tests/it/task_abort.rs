//! Aborting tasks: what happens, when, and where.

use crate::support::{block_on, park_on, settle};
use crate::task_probes::{Drops, Way};
use futures::FutureExt;
use futures::channel::oneshot;
use glassfrog::task::{AbortHandle, spawn_blocking, yield_now};
use glassfrog::{Handle, Runtime, spawn};
use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::panic::panic_any;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::thread;

/// The ways to abort a task.
const HOW: [fn(AbortHandle); 2] = [
    |task| task.abort(),
    |task| thread::spawn(move || task.abort()).join().unwrap(),
];

#[test]
fn aborting_a_task_that_was_never_polled_drops_it_unpolled() {
    for way in Way::ALL {
        for (how, abort) in HOW.into_iter().enumerate() {
            block_on(async {
                let drops = Drops::default();
                let (probe, polls) = (drops.probe(), Arc::new(AtomicUsize::new(0)));
                let theirs = Arc::clone(&polls);
                let task = way.spawn(async move {
                    let _probe = probe;
                    theirs.fetch_add(1, Ordering::SeqCst);
                    pending::<()>().await;
                });
                abort(task.abort_handle());
                assert_eq!(drops.count(), 0, "nothing is dropped within the call");
                let error = task.await.unwrap_err();
                assert!(error.is_cancelled() && !error.is_panic());
                assert_eq!(error.to_string(), "task 1 was cancelled");
                assert_eq!(drops.count(), 1);
                // The loop reads the message of another thread in its next turn. Before that turn it may
                // poll a task that is in the run queue already.
                let may_be_late = way == Way::Local && how == 1;
                let polls = polls.load(Ordering::SeqCst);
                assert!(polls <= usize::from(may_be_late), "{way:?}: {polls}");
            });
        }
    }
}

#[test]
fn aborting_a_waiting_task_drops_it_on_its_thread_in_its_context() {
    /// Reports on which thread it was dropped, and whether inside a runtime.
    struct Witness(Option<oneshot::Sender<(thread::ThreadId, bool)>>);
    impl Drop for Witness {
        fn drop(&mut self) {
            let seen = (thread::current().id(), Handle::try_current().is_some());
            self.0.take().unwrap().send(seen).unwrap();
        }
    }
    for way in Way::ALL {
        for abort in HOW {
            block_on(async {
                let (send, seen) = oneshot::channel();
                let witness = Witness(Some(send));
                let task = way.spawn(async move {
                    let _witness = witness;
                    pending::<()>().await;
                });
                settle().await;
                assert!(!task.is_finished());
                abort(task.abort_handle());
                assert!(task.await.unwrap_err().is_cancelled());
                assert_eq!(seen.await, Ok((thread::current().id(), true)), "{way:?}");
            });
        }
    }
}

#[test]
fn an_abort_in_its_own_poll_takes_effect_if_that_poll_is_pending() {
    for ready in [false, true] {
        block_on(async {
            let (send, receive) = oneshot::channel::<AbortHandle>();
            let polls = Rc::new(Cell::new(0));
            let theirs = Rc::clone(&polls);
            let task = spawn(async move {
                let own = receive.await.unwrap();
                poll_fn(|_| {
                    theirs.set(theirs.get() + 1);
                    own.abort();
                    own.abort();
                    if ready {
                        Poll::Ready(())
                    } else {
                        Poll::Pending
                    }
                })
                .await;
            });
            send.send(task.abort_handle()).unwrap();
            let outcome = task.await;
            assert_eq!(outcome.is_ok(), ready);
            assert_eq!(polls.get(), 1);
        });
    }
}

#[test]
fn aborting_a_finished_task_keeps_its_outcome() {
    for way in Way::ALL {
        for abort in HOW {
            block_on(async {
                let task = way.spawn(async { 7 });
                while !task.is_finished() {
                    yield_now().await;
                }
                abort(task.abort_handle());
                settle().await;
                assert_eq!(task.await.unwrap(), 7);

                let task = way.spawn(async { panic_any("its own") });
                while !task.is_finished() {
                    yield_now().await;
                }
                abort(task.abort_handle());
                settle().await;
                let payload = task.await.unwrap_err().into_panic();
                assert_eq!(payload.downcast_ref(), Some(&"its own"));
            });
        }
    }
}

#[test]
fn a_panic_in_the_drop_of_an_aborted_future_reaches_only_its_handle() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("dropped armed");
        }
    }
    for way in Way::ALL {
        for polled in [false, true] {
            block_on(async {
                let bomb = Bomb;
                let task = way.spawn(async move {
                    let _bomb = bomb;
                    pending::<()>().await;
                });
                if polled {
                    settle().await;
                }
                task.abort();
                let error = task.await.unwrap_err();
                assert_eq!(
                    error.to_string(),
                    "task 1 panicked: dropped armed",
                    "{way:?}"
                );
                assert_eq!(spawn(async { "well" }).await.unwrap(), "well");
            });
        }
    }
}

#[test]
fn an_aborted_and_detached_task_is_dropped() {
    for way in Way::ALL {
        for abort in HOW {
            block_on(async {
                let drops = Drops::default();
                let probe = drops.probe();
                let task = way.spawn(async move {
                    let _probe = probe;
                    pending::<()>().await;
                });
                let handle = task.abort_handle();
                drop(task);
                settle().await;
                assert_eq!(drops.count(), 0);
                abort(handle.clone());
                settle().await;
                assert_eq!(drops.count(), 1, "{way:?}");
                // The runtime is gone.
                abort(handle);
                settle().await;
            });
        }
    }
}

#[test]
fn an_abort_does_not_drop_the_future_in_place() {
    /// Borrows when dropped, as a guard that removes itself from a list does.
    struct Leaves(Rc<RefCell<usize>>);
    impl Drop for Leaves {
        fn drop(&mut self) {
            *self.0.borrow_mut() -= 1;
        }
    }
    block_on(async {
        let members = Rc::new(RefCell::new(1));
        let member = Leaves(Rc::clone(&members));
        let task = spawn(async move {
            let _member = member;
            pending::<()>().await;
        });
        yield_now().await;
        {
            let members = members.borrow_mut();
            task.abort();
            assert_eq!(*members, 1);
        }
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(*members.borrow(), 0);
    });
}

#[test]
fn aborting_a_task_of_a_dropped_runtime_does_nothing() {
    let runtime = Runtime::new().unwrap();
    let (local, remote) = runtime.block_on(async {
        (
            spawn(pending::<()>()),
            Handle::current().spawn(pending::<()>()),
        )
    });
    drop(runtime);
    for task in [local, remote] {
        task.abort();
        assert!(task.is_finished());
        assert!(park_on(task).unwrap_err().is_cancelled());
    }
}

#[test]
fn a_task_aborted_between_two_calls_is_dropped_in_the_next_call() {
    let runtime = Runtime::new().unwrap();
    let drops = Drops::default();
    let probe = drops.probe();
    let [task] = runtime.block_on(async {
        let task = spawn(async move {
            let _probe = probe;
            pending::<()>().await;
        });
        settle().await;
        [task]
    });
    task.abort();
    assert_eq!(drops.count(), 0);
    assert!(runtime.block_on(task).unwrap_err().is_cancelled());
    assert_eq!(drops.count(), 1);
}

#[test]
fn an_aborted_task_wakes_its_joiner() {
    block_on(async {
        let mut task = spawn(pending::<()>());
        assert!((&mut task).now_or_never().is_none());
        let abort = task.abort_handle();
        let awaiting = spawn(task);
        yield_now().await;
        abort.abort();
        assert!(awaiting.await.unwrap().unwrap_err().is_cancelled());
    });
}

/// The drop of the last abort handle wakes the loop to look for a deadlock. An abort through the join handle creates
/// no abort handle.
#[test]
fn aborting_a_finished_job_does_not_wake_the_loop() {
    const ABORTS: usize = 10_000;
    // The end of the job, and the end of the thread.
    const WAKES: u64 = 2;
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let job = spawn_blocking(|| ());
        while !job.is_finished() {
            yield_now().await;
        }
        let (send, aborted) = oneshot::channel();
        thread::spawn(move || {
            for _ in 0..ABORTS {
                job.abort();
                // The loop parks again.
                thread::yield_now();
            }
            send.send(()).unwrap();
        });
        aborted.await.unwrap();
    });
    let events = runtime.handle().metrics().io_events;
    assert!(events <= WAKES, "{events} events");
}
