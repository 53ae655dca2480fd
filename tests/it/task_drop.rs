//! The effects of dropping a handle, and when and where futures and outputs are dropped.

use crate::support::{block_on, watchdog};
use crate::task_probes::{Drops, Meddler, OnDrop, Place, Probe, Way, inside, poll_with, until};
use futures::channel::oneshot;
use glassfrog::task::{JoinHandle, yield_now};
use glassfrog::{Handle, Runtime, spawn};
use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::thread;

/// Where a handle is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DroppedIn {
    /// Inside the runtime of its task.
    ItsRuntime,
    /// On the thread of that runtime, between two calls of `block_on`.
    NoRuntime,
    /// Inside another runtime on the same thread.
    AnotherRuntime,
    /// On another thread.
    AnotherThread,
}

impl DroppedIn {
    /// All places.
    const ALL: [DroppedIn; 4] = [
        DroppedIn::ItsRuntime,
        DroppedIn::NoRuntime,
        DroppedIn::AnotherRuntime,
        DroppedIn::AnotherThread,
    ];

    /// Drops a handle there.
    fn drop<T>(self, runtime: &Runtime, task: JoinHandle<T>)
    where
        T: 'static,
    {
        match self {
            DroppedIn::ItsRuntime => runtime.block_on(async { drop(task) }),
            DroppedIn::NoRuntime => drop(task),
            DroppedIn::AnotherRuntime => glassfrog::block_on(async { drop(task) }),
            DroppedIn::AnotherThread => thread::spawn(|| drop(task)).join().unwrap(),
        }
    }
}

#[test]
fn a_dropped_handle_detaches_its_task() {
    let _watchdog = watchdog();
    for way in Way::ALL {
        for dropped_in in DroppedIn::ALL {
            let runtime = Runtime::new().unwrap();
            let (futures, outputs) = (Drops::default(), Drops::default());
            let (finish, finished) = oneshot::channel::<()>();
            let (future, output) = (futures.probe(), outputs.probe());
            let task = inside(&runtime, || {
                way.spawn(async move {
                    let _future = future;
                    finished.await.unwrap();
                    output
                })
            });
            dropped_in.drop(&runtime, task);
            runtime.block_on(async {
                assert_eq!(futures.count(), 0, "{way:?} {dropped_in:?}");
                finish.send(()).unwrap();
                until(|| outputs.count() == 1).await;
            });
            drop(runtime);
            assert_eq!(futures.places(), [Place::here_inside()]);
            assert_eq!(outputs.places(), [Place::here_inside()]);
        }
    }
}

#[test]
fn an_untaken_output_is_dropped_once_with_its_handle() {
    let _watchdog = watchdog();
    for way in Way::ALL {
        for dropped_in in DroppedIn::ALL {
            let runtime = Runtime::new().unwrap();
            let (futures, outputs) = (Drops::default(), Drops::default());
            let (future, output) = (futures.probe(), outputs.probe());
            let task = inside(&runtime, || {
                way.spawn(async move {
                    let _future = future;
                    output
                })
            });
            runtime.block_on(until(|| futures.count() == 1));
            assert_eq!(outputs.count(), 0, "{way:?} {dropped_in:?}");
            dropped_in.drop(&runtime, task);
            runtime.block_on(until(|| outputs.count() == 1));
            drop(runtime);
            assert_eq!(outputs.count(), 1, "{way:?} {dropped_in:?}");
            assert_eq!(futures.places(), [Place::here_inside()]);
            if way == Way::Local {
                // It may be bound to its thread, wherever the handle is.
                assert_eq!(outputs.places(), [Place::here_inside()]);
            }
        }
    }
}

#[test]
fn an_output_whose_handle_was_dropped_elsewhere_is_dropped_by_the_runtime() {
    for way in Way::ALL {
        let runtime = Runtime::new().unwrap();
        let (futures, outputs) = (Drops::default(), Drops::default());
        let (future, output) = (futures.probe(), outputs.probe());
        let task = inside(&runtime, || {
            way.spawn(async move {
                let _future = future;
                output
            })
        });
        runtime.block_on(until(|| futures.count() == 1));
        thread::spawn(|| drop(task)).join().unwrap();
        drop(runtime);
        assert_eq!(outputs.count(), 1, "{way:?}");
        if way == Way::Local {
            assert_eq!(outputs.places(), [Place::here_inside()]);
        }
    }
}

#[test]
fn a_handle_dropped_on_another_thread_wakes_the_loop() {
    block_on(async {
        let (dropped, output_dropped) = oneshot::channel::<()>();
        let mut dropped = Some(dropped);
        // Local: only the loop can drop the output, and nothing else wakes it.
        let task = spawn(async move {
            let not_send = Rc::new(());
            OnDrop(move || {
                assert_eq!(Rc::strong_count(&not_send), 1);
                dropped.take().unwrap().send(()).unwrap();
            })
        });
        yield_now().await;
        let thread = thread::spawn(move || drop(task));
        output_dropped.await.unwrap();
        thread.join().unwrap();
    });
}

#[test]
fn a_task_may_drop_its_own_handle() {
    block_on(async {
        let outputs = Drops::default();
        let own = Rc::new(Cell::new(None));
        let (theirs, output) = (Rc::clone(&own), outputs.probe());
        own.set(Some(spawn(async move {
            drop(theirs.take());
            yield_now().await;
            output
        })));
        until(|| outputs.count() == 1).await;
        assert_eq!(outputs.places(), [Place::here_inside()]);
    });
}

#[test]
fn a_taken_output_is_dropped_only_by_its_taker() {
    for way in Way::ALL {
        let outputs = Drops::default();
        let output = block_on(async {
            let output = outputs.probe();
            way.spawn(async move { output }).await.unwrap()
        });
        assert_eq!(outputs.count(), 0, "{way:?}");
        drop(output);
        assert_eq!(outputs.count(), 1, "{way:?}");
    }
}

/// The ways in which a future ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// With an output.
    Ready,
    /// With a panic.
    Panic,
    /// It does not complete before its runtime is dropped.
    Never,
}

/// A future that another thread wakes once, and that records where it is polled and dropped.
struct Wanderer {
    /// The action after the wake.
    end: End,
    /// Whether it has been woken.
    woken: bool,
    /// Where it was polled.
    polls: Arc<Mutex<Vec<Place>>>,
    /// Records where it is dropped.
    _probe: Probe,
}

impl Future for Wanderer {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.polls.lock().unwrap().push(Place {
            thread: thread::current().id(),
            inside: Handle::try_current().is_some(),
        });
        if !self.woken {
            self.woken = true;
            let waker = cx.waker().clone();
            thread::spawn(move || waker.wake()).join().unwrap();
            return Poll::Pending;
        }
        match self.end {
            End::Ready => Poll::Ready(()),
            End::Panic => panic!("the end of a wanderer"),
            End::Never => Poll::Pending,
        }
    }
}

#[test]
fn a_future_is_polled_and_dropped_only_on_the_runtime_thread_and_in_context() {
    let _watchdog = watchdog();
    for way in Way::ALL {
        for end in [End::Ready, End::Panic, End::Never] {
            let runtime = Runtime::new().unwrap();
            let polls = Arc::new(Mutex::new(Vec::new()));
            let drops = Drops::default();
            let wanderer = Wanderer {
                end,
                woken: false,
                polls: Arc::clone(&polls),
                _probe: drops.probe(),
            };
            let handle = runtime.handle();
            let task = match way {
                Way::Local => inside(&runtime, || spawn(wanderer)),
                // From a thread on which the future may stay only for the duration of the call.
                Way::Remote => thread::spawn(move || handle.spawn(wanderer))
                    .join()
                    .unwrap(),
                Way::RemoteWith => thread::spawn(move || handle.spawn_with(move || wanderer))
                    .join()
                    .unwrap(),
            };
            runtime.block_on(until(|| polls.lock().unwrap().len() == 2));
            thread::spawn(|| drop(task)).join().unwrap();
            drop(runtime);
            assert_eq!(
                *polls.lock().unwrap(),
                [Place::here_inside(); 2],
                "{way:?} {end:?}"
            );
            assert_eq!(drops.places(), [Place::here_inside()], "{way:?} {end:?}");
        }
    }
}

#[test]
fn an_unpolled_future_is_dropped_on_the_runtime_thread_and_in_context() {
    for way in Way::ALL {
        let runtime = Runtime::new().unwrap();
        let drops = Drops::default();
        let probe = drops.probe();
        let future = async move { drop(probe) };
        let handle = runtime.handle();
        let task = match way {
            Way::Local => inside(&runtime, || spawn(future)),
            Way::Remote => thread::spawn(move || handle.spawn(future)).join().unwrap(),
            Way::RemoteWith => thread::spawn(move || handle.spawn_with(move || future))
                .join()
                .unwrap(),
        };
        drop(runtime);
        assert_eq!(drops.places(), [Place::here_inside()], "{way:?}");
        let error = block_on(task).unwrap_err();
        assert!(error.is_cancelled(), "{way:?}");
    }
}

/// A future that is ready, or panics, at its second poll, and owns a probe.
struct Leaving {
    /// Whether it has been polled.
    yielded: bool,
    /// Whether it panics.
    panics: bool,
    /// Records its drop.
    _probe: Probe,
}

impl Future for Leaving {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if !self.yielded {
            self.yielded = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        assert!(!self.panics, "the end of a leaving future");
        Poll::Ready(())
    }
}

#[test]
fn a_future_is_dropped_before_its_joiner_is_woken() {
    for way in Way::ALL {
        for panics in [false, true] {
            block_on(async {
                let drops = Drops::default();
                let mut task = way.spawn(Leaving {
                    yielded: false,
                    panics,
                    _probe: drops.probe(),
                });
                // The number of drops when the joiner was woken, from whichever thread.
                let heard = Arc::new(Mutex::new(None));
                let theirs = (Arc::clone(&heard), drops.clone());
                let waker = Meddler::waker(
                    move || *theirs.0.lock().unwrap() = Some(theirs.1.count()),
                    || {},
                );
                assert!(poll_with(&mut task, &waker).is_pending());
                until(|| heard.lock().unwrap().is_some()).await;
                assert_eq!(*heard.lock().unwrap(), Some(1), "{way:?}, panics: {panics}");
            });
        }
    }
}
