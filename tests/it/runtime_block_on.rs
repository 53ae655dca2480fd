//! `block_on`, the function and the method: what runs when, and what remains afterwards.

use crate::support::{accepted, block_on, settle, watchdog};
use crate::task_probes::{Drops, OnDrop, Place, counted, inside, poll_with, until};
use futures::channel::{mpsc, oneshot};
use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use glassfrog::net::{TcpListener, TcpStream};
use glassfrog::task::yield_now;
use glassfrog::time::{sleep, timeout};
use glassfrog::{Builder, Handle, Runtime, spawn};
use std::cell::{Cell, RefCell};
use std::fmt::Debug;
use std::future::{pending, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Barrier, Mutex};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

#[test]
fn the_root_future_may_borrow_and_need_not_be_send() {
    let runtime = Runtime::new().unwrap();
    let mut count = 0;
    let text = String::from("borrowed");
    let not_send = Rc::new(());
    let length = runtime.block_on(async {
        let _not_send = &not_send;
        yield_now().await;
        count += 1;
        text.len()
    });
    assert_eq!((count, length), (1, 8));
    let length = block_on(async {
        let _not_send = &not_send;
        yield_now().await;
        count += 1;
        text.len()
    });
    assert_eq!((count, length), (2, 8));
}

#[test]
fn the_root_future_is_polled_at_once_and_then_only_when_woken() {
    let _watchdog = watchdog();
    let runtime = Runtime::new().unwrap();
    for _ in 0..3 {
        let polls = Rc::new(Cell::new(0));
        let (wake, woken) = oneshot::channel::<()>();
        runtime.block_on(counted(&polls, async {
            drop(spawn(async move {
                settle().await;
                wake.send(()).unwrap();
            }));
            woken.await.unwrap();
        }));
        assert_eq!(polls.get(), 2);
    }
}

#[test]
fn a_wake_left_over_from_one_call_does_not_affect_the_next() {
    let _watchdog = watchdog();
    let runtime = Runtime::new().unwrap();
    let mut left = None;
    for _ in 0..3 {
        runtime.block_on(poll_fn(|cx| {
            // A wake that belongs to this call and arrives after its end.
            cx.waker().wake_by_ref();
            left = Some(cx.waker().clone());
            Poll::Ready(())
        }));
        // On the runtime's thread but outside the runtime, and on another thread.
        let waker = left.take().unwrap();
        waker.wake_by_ref();
        thread::spawn(|| waker.wake()).join().unwrap();
        let polls = Rc::new(Cell::new(0));
        runtime.block_on(counted(&polls, async {
            // Each waiting task is woken spuriously at most once.
            let (wake, woken) = oneshot::channel::<()>();
            drop(spawn(async move {
                settle().await;
                wake.send(()).unwrap();
            }));
            woken.await.unwrap();
        }));
        assert!(polls.get() <= 3, "{} polls", polls.get());
    }
}

#[test]
fn tasks_pause_between_two_calls_and_continue_in_the_next() {
    let _watchdog = watchdog();
    let runtime = Runtime::new().unwrap();
    let steps = Rc::new(Cell::new(0));
    let theirs = Rc::clone(&steps);
    let task = inside(&runtime, || {
        spawn(async move {
            loop {
                theirs.set(theirs.get() + 1);
                if theirs.get() == 100 {
                    return "at the end";
                }
                yield_now().await;
            }
        })
    });
    assert_eq!(steps.get(), 0);
    runtime.block_on(until(|| steps.get() == 10));
    let reached = steps.get();
    assert!(reached < 100);
    // Another runtime may run on this thread meanwhile.
    glassfrog::block_on(yield_now());
    assert_eq!(steps.get(), reached);
    runtime.block_on(ready(()));
    assert_eq!(runtime.block_on(task).unwrap(), "at the end");
    assert_eq!(steps.get(), 100);
}

#[test]
fn spawns_wakes_and_data_between_two_calls_reach_the_next_call() {
    let _watchdog = watchdog();
    let runtime = Runtime::new().unwrap();
    let handle = runtime.handle();
    let here = handle.spawn(async { "from here" });
    let there = thread::spawn(move || handle.spawn(async { "from there" }))
        .join()
        .unwrap();
    assert_eq!(runtime.block_on(here).unwrap(), "from here");
    assert_eq!(runtime.block_on(there).unwrap(), "from there");

    let (send, receive) = mpsc::unbounded();
    let sum = receive.fold(0, async |sum, number: u32| sum + number);
    let sum = inside(&runtime, || spawn(sum));
    runtime.block_on(yield_now());
    send.unbounded_send(1).unwrap();
    let theirs = send.clone();
    thread::spawn(move || theirs.unbounded_send(2).unwrap())
        .join()
        .unwrap();
    runtime.block_on(yield_now());
    send.unbounded_send(3).unwrap();
    drop(send);
    assert_eq!(runtime.block_on(sum).unwrap(), 6);
}

#[test]
fn sockets_stay_open_between_two_calls() {
    let _watchdog = watchdog();
    let runtime = Runtime::new().unwrap();
    let (mut client, mut server) = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await;
        (client.unwrap(), listener.accept().await.unwrap().0)
    });
    for round in 0..10 {
        runtime.block_on(client.write_all(&[round])).unwrap();
        let mut byte = [0];
        runtime.block_on(server.read_exact(&mut byte)).unwrap();
        assert_eq!(byte, [round]);
    }
}

#[test]
fn a_panic_propagates_from_block_on_and_leaves_the_runtime_usable() {
    let _watchdog = watchdog();
    let runtime = Runtime::new().unwrap();
    let ran = Rc::new(Cell::new(0));
    for round in 0..5 {
        let theirs = Rc::clone(&ran);
        let drops = Drops::default();
        let payload = catch_unwind(AssertUnwindSafe(|| {
            runtime.block_on(async {
                let _probe = drops.probe();
                drop(spawn(async move {
                    yield_now().await;
                    theirs.set(theirs.get() + 1);
                }));
                yield_now().await;
                panic!("round {round}");
            })
        }))
        .map(|()| "no panic")
        .unwrap_err();
        assert_eq!(payload.downcast_ref(), Some(&format!("round {round}")));
        assert_eq!(drops.places(), [Place::here_inside()]);
        assert!(Handle::try_current().is_none());
        runtime.block_on(until(|| ran.get() == round + 1));
        runtime.block_on(async {
            let (stream, peer) = accepted().await;
            drop(peer);
            assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
            sleep(Duration::from_millis(1)).await;
        });
    }
}

#[test]
fn the_root_future_is_dropped_inside_the_runtime() {
    let drops = Drops::default();
    let runtime = Runtime::new().unwrap();
    runtime.block_on({
        let probe = Some(drops.probe());
        // Dropped with the future, not at its completion.
        poll_fn(move |_| {
            assert!(probe.is_some());
            Poll::Ready(())
        })
    });
    assert_eq!(drops.places(), [Place::here_inside()]);
    runtime.block_on(async {
        // The drop may still spawn.
        let _spawns = OnDrop(|| drop(spawn(async {})));
    });
}

#[test]
fn block_on_cancels_the_remaining_tasks_before_it_returns() {
    let drops = Drops::default();
    let _watchdog = watchdog();
    let mut unpolled = None;
    glassfrog::block_on(async {
        for _ in 0..10 {
            let probe = drops.probe();
            drop(spawn(async move {
                let _probe = probe;
                pending::<()>().await;
            }));
        }
        yield_now().await;
        let probe = drops.probe();
        unpolled = Some(spawn(async move { drop(probe) }));
    });
    assert_eq!(drops.places(), [Place::here_inside(); 11]);
    assert!(block_on(unpolled.unwrap()).unwrap_err().is_cancelled());
}

#[test]
fn block_on_cancels_the_remaining_tasks_when_its_future_panics() {
    let drops = Drops::default();
    let probe = drops.probe();
    let payload = catch_unwind(AssertUnwindSafe(|| {
        block_on(async move {
            drop(spawn(async move {
                let _probe = probe;
                pending::<()>().await;
            }));
            yield_now().await;
            panic!("the root's end");
        })
    }))
    .map(|()| "no panic")
    .unwrap_err();
    assert_eq!(payload.downcast_ref(), Some(&"the root's end"));
    assert_eq!(drops.places(), [Place::here_inside()]);
}

#[test]
fn the_context_exists_only_inside_block_on() {
    assert!(Handle::try_current().is_none());
    let runtime = Runtime::new().unwrap();
    assert!(Handle::try_current().is_none());
    runtime.block_on(async {
        assert!(Handle::try_current().is_some());
        let task = spawn(async { Handle::try_current().is_some() });
        assert!(task.await.unwrap());
        let thread = thread::spawn(|| Handle::try_current().is_none());
        assert!(thread.join().unwrap());
    });
    assert!(Handle::try_current().is_none());
}

#[test]
fn block_on_works_in_a_thread_local_destructor() {
    /// A thread-local value that runs a runtime in its destructor.
    struct Late(Sender<Option<&'static str>>);

    impl Drop for Late {
        fn drop(&mut self) {
            // A panic here would abort the process.
            let output = catch_unwind(|| {
                glassfrog::block_on(async {
                    assert!(Handle::try_current().is_some());
                    let local = spawn(async { "well" });
                    Handle::current().spawn(async {}).await.unwrap();
                    local.await.unwrap()
                })
            });
            self.0.send(output.ok()).unwrap();
        }
    }

    thread_local! {
        /// The destructor runs before or after those of the crate's thread-locals, depending on which was used first.
        static LATE: RefCell<Option<Late>> = const { RefCell::new(None) };
    }

    let _watchdog = watchdog();
    for crate_first in [false, true] {
        let (send, receive) = channel();
        let thread = thread::spawn(move || {
            if crate_first {
                glassfrog::block_on(settle());
            }
            LATE.set(Some(Late(send)));
            glassfrog::block_on(settle());
        });
        thread.join().unwrap();
        assert_eq!(receive.recv(), Ok(Some("well")));
    }
}

#[test]
fn debug_output_is_short_however_much_a_runtime_holds() {
    /// A screen of a terminal, in bytes: a builder has a line for each setting.
    const SHORT: usize = 600;
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let mut sockets = Vec::new();
        for _ in 0..50 {
            sockets.push(accepted().await);
            drop(spawn(sleep(Duration::MAX)));
        }
        settle().await;
        let mut nap = sleep(Duration::MAX);
        assert!(poll_with(&mut nap, Waker::noop()).is_pending());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (stream, _peer) = &sockets[0];
        let things: [&dyn Debug; 9] = [
            &runtime,
            &Runtime::builder(),
            &Handle::current(),
            &nap,
            &timeout(Duration::MAX, pending::<()>()),
            &spawn(async {}),
            stream,
            &listener,
            &listener.incoming(),
        ];
        for thing in things {
            for text in [format!("{thing:?}"), format!("{thing:#?}")] {
                assert!((1..=SHORT).contains(&text.len()), "{text}");
            }
        }
    });
}

#[test]
fn a_builder_builds_several_runtimes() {
    let builder = Builder::new();
    assert_eq!(builder.clone().build().unwrap().block_on(ready(1)), 1);
    assert_eq!(builder.build().unwrap().block_on(ready(2)), 2);
    assert_eq!(Runtime::builder().build().unwrap().block_on(ready(3)), 3);
}

#[test]
fn two_runtimes_on_one_thread_take_turns() {
    let _watchdog = watchdog();
    let (first, second) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    let (mut send, mut receive) = mpsc::channel(1);
    let sender = inside(&first, || {
        spawn(async move {
            for number in 0..10 {
                futures::SinkExt::send(&mut send, number).await.unwrap();
            }
        })
    });
    let mut received = Vec::new();
    while received.len() < 10 {
        // The first task can continue only while there is room, and the second one wakes it.
        first.block_on(settle());
        received.push(second.block_on(receive.next()).unwrap());
    }
    first.block_on(sender).unwrap();
    assert_eq!(received, Vec::from_iter(0..10));
}

#[test]
fn runtimes_on_many_threads_communicate() {
    const THREADS: usize = 8;
    let _watchdog = watchdog();
    let started = Barrier::new(THREADS);
    let handles = Mutex::new(Vec::new());
    let served = AtomicUsize::new(0);
    thread::scope(|scope| {
        for number in 0..THREADS {
            let (started, handles, served) = (&started, &handles, &served);
            scope.spawn(move || {
                let runtime = Runtime::new().unwrap();
                let home = thread::current().id();
                handles.lock().unwrap().push((runtime.handle(), home));
                started.wait();
                let others = handles.lock().unwrap().clone();
                runtime.block_on(async {
                    let (mut stream, mut peer) = {
                        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                        let stream = TcpStream::connect(listener.local_addr().unwrap()).await;
                        (stream.unwrap(), listener.accept().await.unwrap().0)
                    };
                    let echo = spawn(async move {
                        let mut byte = [0];
                        while peer.read(&mut byte).await.unwrap() == 1 {
                            peer.write_all(&byte).await.unwrap();
                        }
                    });
                    for _ in 0..100 {
                        let mut byte = [number as u8];
                        stream.write_all(&byte).await.unwrap();
                        stream.read_exact(&mut byte).await.unwrap();
                        assert_eq!(byte, [number as u8]);
                        // Another runtime does a part of the work.
                        let (other, its_home) = &others[(number + 1) % THREADS];
                        let there = other.spawn(async { thread::current().id() }).await;
                        assert_eq!(there.unwrap(), *its_home);
                    }
                    sleep(Duration::from_millis(1)).await;
                    drop(stream);
                    echo.await.unwrap();
                    served.fetch_add(1, Ordering::SeqCst);
                    // The other threads may still need this runtime.
                    while served.load(Ordering::SeqCst) < THREADS {
                        sleep(Duration::from_millis(1)).await;
                    }
                });
            });
        }
    });
}
