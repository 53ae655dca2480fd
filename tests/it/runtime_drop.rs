//! Dropping a runtime: what it cancels, and how objects that outlive it behave.

use crate::support::{accepted, block_on, park_on, settle, watchdog};
use crate::task_probes::{
    Drops, Meddler, OnDrop, Place, Probe, Wakes, Way, inside, poll_with, until,
};
use futures::channel::oneshot;
use futures::task::{LocalSpawn, LocalSpawnExt, Spawn};
use glassfrog::net::{TcpListener, TcpStream};
use glassfrog::task::{JoinError, JoinHandle, LocalSpawner};
use glassfrog::time::sleep;
use glassfrog::{Handle, Runtime, spawn};
use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::io::{self, Read, Write};
use std::net;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

/// A duration that exceeds every test.
const FAR: Duration = Duration::from_secs(3600);

/// Spawns tasks that wait forever for each kind of event. Each task owns probes. Returns the number of probes.
async fn spawn_everything_pending(drops: &Drops) -> usize {
    async fn keep(probe: Probe, future: impl Future) {
        future.await;
        drop(probe);
    }
    let mut probes = 0;
    let mut probe = || {
        probes += 1;
        drops.probe()
    };
    let (stream, peer) = accepted().await;
    drop(spawn(keep(probe(), async move {
        let _peer = peer;
        stream.read(&mut [0]).await
    })));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    drop(spawn(keep(probe(), async move {
        listener.accept().await.map(drop)
    })));
    drop(spawn(keep(probe(), sleep(FAR))));
    drop(spawn(keep(
        probe(),
        glassfrog::time::timeout(FAR, pending::<()>()),
    )));
    let (sender, receiver) = oneshot::channel::<Probe>();
    drop(spawn(keep(probe(), receiver)));
    drop(spawn(keep(probe(), async move {
        let _sender = sender;
        pending::<()>().await;
    })));
    for way in Way::ALL {
        let joined = way.spawn(keep(probe(), pending::<()>()));
        drop(way.spawn(keep(probe(), joined)));
        // A finished task whose output is not taken.
        let output = probe();
        let ended = way.spawn(async move { output });
        drop(spawn(async move {
            let _kept = ended;
            pending::<()>().await;
        }));
    }
    settle().await;
    // A finished task that is not polled again.
    drop(spawn(keep(probe(), pending::<()>())));
    drop(Handle::current().spawn(keep(probe(), pending::<()>())));
    probes
}

#[test]
fn dropping_a_runtime_drops_each_task_once_on_its_thread_and_in_its_context() {
    let _watchdog = watchdog();
    let drops = Drops::default();
    let runtime = Runtime::new().unwrap();
    let probes = runtime.block_on(spawn_everything_pending(&drops));
    assert_eq!(drops.count(), 0);
    drop(runtime);
    assert_eq!(drops.places(), vec![Place::here_inside(); probes]);
    assert!(Handle::try_current().is_none());
}

#[test]
fn a_runtime_that_never_ran_may_be_dropped() {
    let drops = Drops::default();
    let runtime = Runtime::new().unwrap();
    let probe = drops.probe();
    let task = runtime.handle().spawn(async move { drop(probe) });
    drop(runtime);
    assert_eq!(drops.places(), [Place::here_inside()]);
    assert!(park_on(task).unwrap_err().is_cancelled());
}

#[test]
fn the_end_of_a_runtime_cancels_its_tasks_and_wakes_their_joiners() {
    let runtime = Runtime::new().unwrap();
    let (wakes, waker) = Wakes::new();
    let mut tasks = runtime.block_on(async {
        let mut tasks = Way::ALL.map(|way| way.spawn(pending::<()>()));
        for task in &mut tasks {
            assert!(poll_with(task, &waker).is_pending());
        }
        tasks
    });
    drop(runtime);
    assert_eq!(wakes.count(), 3);
    for task in &mut tasks {
        match poll_with(task, &waker) {
            Poll::Ready(Err(error)) => assert!(error.is_cancelled()),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_send_output_can_be_taken_after_the_end_of_the_runtime() {
    for way in Way::REMOTE {
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
        assert_eq!(park_on(task).unwrap(), "output");
    }
}

#[test]
fn a_task_spawned_during_the_drop_of_the_runtime_is_cancelled() {
    let _watchdog = watchdog();
    let drops = Drops::default();
    let spawned: Rc<RefCell<Vec<JoinHandle<()>>>> = Rc::default();
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        for _ in 0..3 {
            let (theirs, spawner, drops) =
                (Rc::clone(&spawned), LocalSpawner::current(), drops.clone());
            let spawns = OnDrop(move || {
                for way in Way::ALL {
                    let probe = drops.probe();
                    let task = way.spawn(async move { drop(probe) });
                    theirs.borrow_mut().push(task);
                }
                let probe = drops.probe();
                let refused = spawner.spawn_local(async move { drop(probe) });
                assert!(refused.unwrap_err().is_shutdown());
                assert!(spawner.status_local().unwrap_err().is_shutdown());
            });
            drop(spawn(async move {
                let _spawns = spawns;
                pending::<()>().await;
            }));
        }
        settle().await;
    });
    drop(runtime);
    // Rejected, and dropped at once.
    assert_eq!(drops.places(), [Place::here_inside(); 12]);
    let spawned = spawned.take();
    assert_eq!(spawned.len(), 9);
    for task in spawned {
        assert!(park_on(task).unwrap_err().is_cancelled());
    }
}

#[test]
fn a_handle_awaited_during_the_drop_of_the_runtime_is_cancelled() {
    let result: Rc<Cell<Option<Result<(), JoinError>>>> = Rc::default();
    let theirs = Rc::clone(&result);
    glassfrog::block_on(async {
        let spawns = OnDrop(move || {
            let mut task = spawn(async {});
            match poll_with(&mut task, Waker::noop()) {
                Poll::Ready(ended) => theirs.set(Some(ended)),
                Poll::Pending => panic!("nobody will ever wake it"),
            }
        });
        drop(spawn(async move {
            let _spawns = spawns;
            pending::<()>().await;
        }));
        settle().await;
    });
    assert!(result.take().unwrap().unwrap_err().is_cancelled());
}

#[test]
fn a_handle_that_outlives_its_runtime_cancels_new_tasks() {
    let runtime = Runtime::new().unwrap();
    let handle = runtime.handle();
    drop(runtime);
    // On the runtime's thread, on another one, and inside another runtime.
    let on_this_thread = |handle: Handle| refused_by(&handle);
    on_this_thread(handle.clone());
    let theirs = handle.clone();
    thread::spawn(move || refused_by(&theirs)).join().unwrap();
    block_on(async { refused_by(&handle) });

    fn refused_by(handle: &Handle) {
        let drops = Drops::default();
        let (probe, with_probe) = (drops.probe(), drops.probe());
        let refused = [
            handle.spawn(async move { drop(probe) }),
            handle.spawn_with(move || async move { drop(with_probe) }),
        ];
        let here = Place {
            thread: thread::current().id(),
            inside: Handle::try_current().is_some(),
        };
        assert_eq!(drops.places(), [here; 2]);
        for mut task in refused {
            match poll_with(&mut task, Waker::noop()) {
                Poll::Ready(Err(error)) => assert!(error.is_cancelled()),
                other => panic!("{other:?}"),
            }
        }
        assert!(format!("{handle:?}").contains("ended: true"));
    }
}

#[test]
fn a_waker_that_outlives_its_runtime_does_nothing_and_keeps_no_future() {
    let drops = Drops::default();
    let (wakers, waker) = mpsc::channel();
    let runtime = Runtime::new().unwrap();
    let send_waker = |probe: Option<Probe>| {
        let wakers = wakers.clone();
        poll_fn(move |cx| {
            assert!(probe.is_some());
            wakers.send(cx.waker().clone()).unwrap();
            Poll::<()>::Pending
        })
    };
    drop(runtime.handle().spawn(send_waker(Some(drops.probe()))));
    runtime.block_on(async {
        drop(spawn(send_waker(Some(drops.probe()))));
        drop(spawn(send_waker(Some(drops.probe()))));
        // The root future's waker too.
        let mut root = send_waker(Some(drops.probe()));
        poll_fn(|cx| {
            assert!(poll_with(&mut root, cx.waker()).is_pending());
            Poll::Ready(())
        })
        .await;
        settle().await;
    });
    drop(runtime);
    assert_eq!(drops.places(), [Place::here_inside(); 4]);
    let wakers: Vec<Waker> = waker.try_iter().collect();
    assert_eq!(wakers.len(), 4);
    let wake_all = |wakers: Vec<Waker>| {
        for waker in wakers {
            waker.wake_by_ref();
            waker.wake();
        }
    };
    wake_all(wakers.clone());
    let theirs = wakers.clone();
    thread::spawn(move || wake_all(theirs)).join().unwrap();
    block_on(async { wake_all(wakers) });
}

#[test]
fn a_waker_of_a_finished_task_wakes_no_other_task() {
    block_on(async {
        let (wakers, waker) = oneshot::channel();
        let mut wakers = Some(wakers);
        spawn(poll_fn(move |cx| {
            wakers.take().unwrap().send(cx.waker().clone()).unwrap();
            Poll::Ready(())
        }))
        .await
        .unwrap();
        let old = waker.await.unwrap();
        // The task that reuses the slot.
        let polls = Rc::new(Cell::new(0));
        for _ in 0..10 {
            let polls = Rc::clone(&polls);
            drop(spawn(poll_fn(move |_| {
                polls.set(polls.get() + 1);
                Poll::<()>::Pending
            })));
        }
        settle().await;
        assert_eq!(polls.get(), 10);
        old.wake_by_ref();
        thread::spawn(move || old.wake()).join().unwrap();
        settle().await;
        assert_eq!(polls.get(), 10);
    });
}

#[test]
fn sockets_that_outlive_their_runtime_report_the_end() {
    let runtime = Runtime::new().unwrap();
    let (stream, peer, listener) = runtime.block_on(async {
        let (stream, peer) = accepted().await;
        (
            stream,
            peer,
            TcpListener::bind("127.0.0.1:0").await.unwrap(),
        )
    });
    let (wakes, waker) = Wakes::new();
    let mut readable = Box::pin(stream.readable());
    let mut accept = Box::pin(listener.accept());
    assert!(poll_with(&mut readable, &waker).is_pending());
    assert!(poll_with(&mut accept, &waker).is_pending());
    drop(runtime);
    assert_eq!(wakes.count(), 2);
    let errors = [
        park_on(readable).unwrap_err(),
        park_on(accept).unwrap_err(),
        park_on(stream.read(&mut [0])).unwrap_err(),
        park_on(stream.write(b"!")).unwrap_err(),
        stream.try_read(&mut [0]).unwrap_err(),
        // Being inside another runtime makes no difference.
        block_on(stream.writable()).unwrap_err(),
    ];
    for error in errors {
        let text = error.to_string();
        assert!(text.contains("runtime") && text.contains("ended"), "{text}");
    }
    // Operations that need no runtime still work.
    assert_eq!(stream.peer_addr().unwrap(), peer.local_addr().unwrap());
    assert!(io::Result::is_ok(&listener.local_addr()));
    drop((stream, listener));
}

#[test]
fn a_socket_may_leave_a_runtime_that_is_being_dropped() {
    let _watchdog = watchdog();
    let (send, receive) = mpsc::channel();
    let convert = |(stream, listener): (TcpStream, TcpListener)| {
        let (theirs, kept) = (send.clone(), Mutex::new(Some((stream, listener))));
        move || {
            let (stream, listener) = kept.lock().unwrap().take().unwrap();
            let stream = net::TcpStream::try_from(stream);
            theirs
                .send((stream, net::TcpListener::try_from(listener)))
                .unwrap();
        }
    };
    let make = async || {
        let (stream, peer) = accepted().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        ((stream, listener), peer)
    };
    let runtime = Runtime::new().unwrap();
    // The drop of a task takes the socket ...
    let first_peer = runtime.block_on(async {
        let (sockets, peer) = make().await;
        let converts = OnDrop(convert(sockets));
        drop(spawn(async move {
            let _converts = converts;
            pending::<()>().await;
        }));
        peer
    });
    // ... and so does a waker called at the end of the runtime.
    let (sockets, second_peer) = runtime.block_on(make());
    let (survivor, _peer) = runtime.block_on(accepted());
    let waker = Meddler::waker(convert(sockets), || {});
    let mut readable = Box::pin(survivor.readable());
    assert!(poll_with(&mut readable, &waker).is_pending());
    drop(runtime);
    for mut peer in [first_peer, second_peer] {
        let (stream, listener) = receive.try_recv().unwrap();
        peer.write_all(b"!").unwrap();
        assert_eq!(stream.unwrap().read(&mut [0; 8]).unwrap(), 1);
        let addr = listener.unwrap().local_addr().unwrap();
        assert_ne!(addr.port(), 0);
    }
}

#[test]
fn a_runtime_may_be_dropped_inside_another() {
    let _watchdog = watchdog();
    let drops = Drops::default();
    let inner = Runtime::new().unwrap();
    let probes = inner.block_on(spawn_everything_pending(&drops));
    let (sender, receiver) = oneshot::channel::<()>();
    let spawned: Rc<Cell<Option<JoinHandle<()>>>> = Rc::default();
    let theirs = Rc::clone(&spawned);
    let spawns = OnDrop(move || theirs.set(Some(spawn(async {}))));
    inner.block_on(async {
        drop(spawn(async move {
            let _kept = (sender, spawns);
            pending::<()>().await;
        }));
        settle().await;
    });
    glassfrog::block_on(async {
        // Events of the inner runtime wake a task of the outer one.
        let woken = spawn(receiver);
        settle().await;
        spawn(async move { drop(inner) }).await.unwrap();
        assert_eq!(drops.places(), vec![Place::here_inside(); probes]);
        assert!(woken.await.unwrap().is_err());
        // Tasks spawned meanwhile belong to the inner runtime.
        assert!(spawned.take().unwrap().await.unwrap_err().is_cancelled());
        // The outer runtime is the context again.
        assert_eq!(spawn(async { 5 }).await.unwrap(), 5);
        let (stream, _peer) = accepted().await;
        drop(stream);
        sleep(Duration::from_millis(1)).await;
        // The next task sees it too.
        drop(Runtime::new().unwrap());
        assert_eq!(spawn(async { 6 }).await.unwrap(), 6);
    });
}

#[test]
fn a_task_may_own_another_runtime() {
    let _watchdog = watchdog();
    let drops = Drops::default();
    let inner = Runtime::new().unwrap();
    let probes = inner.block_on(spawn_everything_pending(&drops));
    let outer = Runtime::new().unwrap();
    outer.block_on(async {
        drop(spawn(async move {
            let _inner = inner;
            pending::<()>().await;
        }));
        settle().await;
    });
    drop(outer);
    assert_eq!(drops.places(), vec![Place::here_inside(); probes]);
    assert!(Handle::try_current().is_none());
}

#[test]
fn a_runtime_dropped_at_thread_exit_cancels_its_tasks() {
    thread_local! {
        /// The destructor runs before or after those of the crate's thread-locals, depending on which was used first.
        static LATE: RefCell<Option<Runtime>> = const { RefCell::new(None) };
    }
    let _watchdog = watchdog();
    for crate_first in [false, true] {
        let drops = Drops::default();
        let theirs = drops.clone();
        let thread = thread::spawn(move || {
            if crate_first {
                glassfrog::block_on(settle());
            }
            LATE.with(|_| {});
            let runtime = Runtime::new().unwrap();
            let probes = runtime.block_on(async {
                let woken_by_drop = oneshot::channel::<()>();
                drop(spawn(woken_by_drop.1));
                drop(spawn(async move {
                    let _sender = woken_by_drop.0;
                    pending::<()>().await;
                }));
                spawn_everything_pending(&theirs).await
            });
            LATE.set(Some(runtime));
            probes
        });
        let id = thread.thread().id();
        let probes = thread.join().unwrap();
        let there = Place {
            thread: id,
            inside: true,
        };
        assert_eq!(drops.places(), vec![there; probes]);
    }
}

#[test]
fn no_task_is_lost_when_threads_race_with_the_drop_of_a_runtime() {
    const ROUNDS: usize = 100;
    const THREADS: usize = 3;
    let _watchdog = watchdog();
    for _ in 0..ROUNDS {
        let drops = Drops::default();
        let runtime = Runtime::new().unwrap();
        let begun = Arc::new(AtomicUsize::new(0));
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                let (handle, drops, begun) = (runtime.handle(), drops.clone(), Arc::clone(&begun));
                thread::spawn(move || {
                    let mut tasks = Vec::new();
                    // Until the thread notices the end, and once more.
                    while handle.status().is_ok() || tasks.is_empty() {
                        // No more than the loop can process.
                        while begun.load(Ordering::SeqCst) > drops.count() + 100 {
                            thread::yield_now();
                        }
                        begun.fetch_add(1, Ordering::SeqCst);
                        let (probe, woken) = (drops.probe(), oneshot::channel::<()>());
                        tasks.push(handle.spawn(async move {
                            let _probe = probe;
                            woken.1.await.unwrap();
                        }));
                        woken.0.send(()).unwrap_or(());
                    }
                    let spawned = tasks.len();
                    for task in tasks {
                        // Each handle reports an end of its task, one way or the other.
                        let cancelled = |error: &JoinError| error.is_cancelled();
                        assert!(park_on(task).as_ref().map_or_else(cancelled, |()| true));
                    }
                    spawned
                })
            })
            .collect();
        runtime.block_on(until(|| begun.load(Ordering::SeqCst) > 20 * THREADS));
        drop(runtime);
        let spawned = threads.into_iter().map(|thread| thread.join().unwrap());
        let spawned: usize = spawned.sum();
        assert_eq!(drops.count(), spawned);
    }
}

#[test]
fn a_stream_may_be_dropped_after_its_runtime_on_another_thread() {
    let runtime = Runtime::new().unwrap();
    let (stream, peer) = runtime.block_on(accepted());
    drop(runtime);
    thread::spawn(move || drop::<TcpStream>(stream))
        .join()
        .unwrap();
    // The stream is closed, and the peer sees that.
    assert_eq!((&peer).read(&mut [0]).unwrap(), 0);
}
