//! Which tasks are woken when several wait for one socket, and how long a socket keeps the wakers of others.
//!
//! What also holds on a simulated network is in `net_laws`.

use crate::support::{accepted, block_on, pairs, settle, watchdog};
use futures::stream::FuturesUnordered;
use futures::task::{ArcWake, waker};
use futures::{AsyncRead, AsyncReadExt, StreamExt, poll};
use glassfrog::net::{TcpListener, TcpStream};
use glassfrog::task::{JoinSet, yield_now};
use glassfrog::time::sleep;
use glassfrog::{OnDeadlock, Runtime};
use std::cell::Cell;
use std::future::{pending, poll_fn};
use std::io::{self, Read, Write};
use std::net;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

/// Counts its wakes.
#[derive(Default)]
struct Counter(AtomicUsize);

impl Counter {
    fn new() -> Arc<Counter> {
        Arc::default()
    }

    fn wakes(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl ArcWake for Counter {
    fn wake_by_ref(this: &Arc<Counter>) {
        this.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Polls a future once with the waker of `counter`.
fn poll_for<F: Future>(counter: &Arc<Counter>, future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(&waker(Arc::clone(counter))))
}

/// Reads once with the poll method and the waker of `counter`.
fn poll_read_for(counter: &Arc<Counter>, mut stream: &TcpStream) -> Poll<io::Result<usize>> {
    let waker = waker(Arc::clone(counter));
    Pin::new(&mut stream).poll_read(&mut Context::from_waker(&waker), &mut [0; 1])
}

/// Runs a future and counts its polls.
async fn counted<F: Future>(polls: &Cell<usize>, future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|cx| {
        polls.set(polls.get() + 1);
        future.as_mut().poll(cx)
    })
    .await
}

#[test]
fn an_overfull_waiter_list_comes_to_rest() {
    const TASKS: usize = 20;
    block_on(async {
        for (stream, _peer) in pairs().await {
            let stream = Rc::new(stream);
            let polls = Rc::new(Cell::new(0));
            for _ in 0..TASKS {
                let (stream, polls) = (Rc::clone(&stream), Rc::clone(&polls));
                glassfrog::spawn(async move {
                    let mut byte = [0];
                    let mut stream = &*stream;
                    counted(&polls, AsyncReadExt::read(&mut stream, &mut byte)).await
                });
            }
            settle().await;
            let before = polls.get();
            settle().await;
            assert_eq!(polls.get(), before);
        }
    });
}

/// Returns the number of waiters of a stream, from its `Debug` output.
fn waiting(stream: &TcpStream) -> usize {
    format!("{stream:?}").matches("(Read, ").count()
}

/// Starts and abandons a read with a fresh waker. Returns in a later round of the run queue.
async fn give_up_reading(stream: &TcpStream) {
    assert!(poll_read_once(stream).await.is_pending());
    // Fires in a later turn of the reactor.
    sleep(Duration::ZERO).await;
}

#[test]
fn cancelled_reads_leave_few_wakers_and_rarely_wake_other_tasks() {
    const GIVEN_UP: usize = 40_000;
    /// The number of abandoned wakers that causes a sweep, at least: half of the shortest list.
    const BETWEEN_SWEEPS: usize = 4;
    /// The longest list: twice the number of wakers that are live or were abandoned within two rounds, or the
    /// shortest list that is swept.
    const KEPT: usize = 8;
    block_on(async {
        let (stream, mut peer) = accepted().await;
        let stream = Rc::new(stream);
        let polls = Rc::new(Cell::new(0));
        let live = {
            let (stream, polls) = (Rc::clone(&stream), Rc::clone(&polls));
            glassfrog::spawn(async move {
                let (mut stream, mut byte) = (&*stream, [0]);
                counted(&polls, AsyncReadExt::read(&mut stream, &mut byte)).await
            })
        };
        for _ in 0..GIVEN_UP {
            give_up_reading(&stream).await;
            assert!((1..=KEPT).contains(&waiting(&stream)));
        }
        assert!(polls.get() <= 1 + GIVEN_UP / BETWEEN_SWEEPS);
        peer.write_all(b"x").unwrap();
        assert_eq!(live.await.unwrap().unwrap(), 1);
    });
}

#[test]
fn reads_cancelled_within_one_turn_leave_few_wakers() {
    const GIVEN_UP: usize = 1_000;
    /// The longest list, bounded by two rounds, however many polls the turn has.
    const KEPT: usize = 8;
    block_on(async {
        let (stream, _peer) = accepted().await;
        for _ in 0..GIVEN_UP {
            assert!(poll_read_once(&stream).await.is_pending());
            yield_now().await;
            assert!((1..=KEPT).contains(&waiting(&stream)));
        }
    });
}

/// Reads once with the poll method and a fresh waker.
async fn poll_read_once(mut stream: &TcpStream) -> Poll<()> {
    let mut byte = [0];
    let mut reads = FuturesUnordered::new();
    reads.push(stream.read_exact(&mut byte));
    poll!(reads.next()).map(|_| ())
}

#[test]
fn reads_cancelled_in_random_order_leave_few_wakers() {
    const GIVEN_UP: usize = 5_000;
    /// The wakers abandoned while the shuffle passes tasks over, and those of the last sweep.
    const KEPT: usize = 1_000;
    let _watchdog = watchdog();
    let runtime = glassfrog::Builder::new().seed(7).build().unwrap();
    runtime.block_on(async {
        let (stream, _peer) = accepted().await;
        // Two tasks that are always ready, so that the queue is never empty.
        for _ in 0..2 {
            drop(glassfrog::spawn(async {
                loop {
                    yield_now().await;
                }
            }));
        }
        let mut counters = Vec::new();
        for _ in 0..GIVEN_UP {
            let counter = Counter::new();
            assert!(poll_read_for(&counter, &stream).is_pending());
            counters.push(counter);
            yield_now().await;
        }
        let is_kept = |counter: &&Arc<Counter>| Arc::strong_count(counter) > 1;
        let kept = counters.iter().filter(is_kept).count();
        assert!(kept <= KEPT, "{kept}");
    });
}

#[test]
fn abandoned_wakers_are_woken_once_and_dropped() {
    /// The waiting wakers, those of the last sweep, and the newest one.
    const KEPT: usize = 8 + 8 + 1;
    block_on(async {
        for (stream, mut peer) in pairs().await {
            let mut counters = Vec::new();
            for _ in 0..20 * KEPT {
                let counter = Counter::new();
                assert!(poll_read_for(&counter, &stream).is_pending());
                counters.push(counter);
                // Fires in a later turn of the reactor.
                sleep(Duration::ZERO).await;
            }
            let is_kept = |counter: &&Arc<Counter>| Arc::strong_count(counter) > 1;
            assert!(counters.iter().filter(is_kept).count() <= KEPT);
            let unheard = |counter: &&Arc<Counter>| counter.wakes() == 0;
            assert!((1..=8).contains(&counters.iter().filter(unheard).count()));
            peer.write_all(b"x").unwrap();
            settle().await;
            assert!(counters.iter().all(|counter| counter.wakes() == 1));
            assert!(!counters.iter().any(|counter| is_kept(&counter)));
        }
    });
}

#[test]
fn tasks_on_a_full_waiter_list_do_not_wake_each_other_endlessly() {
    const TASKS: usize = 20;
    const GIVEN_UP: usize = 10 * TASKS;
    block_on(async {
        for (stream, _peer) in pairs().await {
            let stream = Rc::new(stream);
            let polls = Rc::new(Cell::new(0));
            for _ in 0..TASKS {
                let (stream, polls) = (Rc::clone(&stream), Rc::clone(&polls));
                glassfrog::spawn(async move {
                    let (mut stream, mut byte) = (&*stream, [0]);
                    counted(&polls, AsyncReadExt::read(&mut stream, &mut byte)).await
                });
            }
            settle().await;
            assert_eq!(polls.get(), TASKS);
            for _ in 0..GIVEN_UP {
                give_up_reading(&stream).await;
                assert!((1..=3 * TASKS).contains(&waiting(&stream)));
            }
            // A sweep wakes them all, and happens after as many were abandoned.
            assert!(polls.get() > TASKS);
            assert!(polls.get() <= TASKS + GIVEN_UP);
            let before = polls.get();
            settle().await;
            assert!(polls.get() <= before + TASKS);
        }
    });
}

#[test]
fn only_events_wake_two_thousand_tasks_waiting_on_a_listener() {
    const TASKS: usize = 2000;
    const CONNECTIONS: usize = 50;
    block_on(async {
        let accepting = |listener: &TcpListener| format!("{listener:?}").matches("(Read, ").count();
        let listener = Rc::new(TcpListener::bind("127.0.0.1:0").await.unwrap());
        let addr = listener.local_addr().unwrap();
        let polls = Rc::new(Cell::new(0));
        let accepted = Rc::new(Cell::new(0));
        let mut tasks = JoinSet::new();
        for _ in 0..TASKS {
            let listener = Rc::clone(&listener);
            let (polls, accepted) = (Rc::clone(&polls), Rc::clone(&accepted));
            tasks.spawn(async move {
                counted(&polls, listener.accept()).await.unwrap();
                accepted.set(accepted.get() + 1);
            });
        }
        // Lets each task have a turn.
        yield_now().await;
        assert_eq!(polls.get(), TASKS);
        for connection in 1..=CONNECTIONS {
            let _peer = net::TcpStream::connect(addr).unwrap();
            while accepted.get() < connection {
                yield_now().await;
            }
        }
        // An event wakes every waiter. Chance decides how many of them accept.
        assert!(polls.get() <= TASKS * (1 + CONNECTIONS));
        settle().await;
        assert_eq!(accepting(&listener), TASKS - CONNECTIONS);
        drop(tasks);
        settle().await;
        assert_eq!(accepting(&listener), 0);
    });
}

#[test]
#[should_panic = "deadlock"]
fn a_socket_dropped_with_wakers_does_not_hide_a_deadlock() {
    let runtime = Runtime::builder().on_deadlock(OnDeadlock::Panic);
    let _watchdog = watchdog();
    runtime.build().unwrap().block_on(async {
        for (stream, _peer) in pairs().await {
            assert!(poll_read_for(&Counter::new(), &stream).is_pending());
            assert!(poll_read_for(&Counter::new(), &stream).is_pending());
            drop(stream);
        }
        for (stream, _peer) in pairs().await {
            assert!(poll_read_for(&Counter::new(), &stream).is_pending());
            net::TcpStream::try_from(stream).unwrap();
        }
        pending::<()>().await;
    });
}

#[test]
fn a_task_that_polls_repeatedly_takes_one_waiter_slot() {
    block_on(async {
        for (stream, mut peer) in pairs().await {
            let one = Counter::new();
            let waker = waker(Arc::clone(&one));
            let mut cx = Context::from_waker(&waker);
            for _ in 0..100 {
                assert!(
                    Pin::new(&mut &stream)
                        .poll_read(&mut cx, &mut [0; 1])
                        .is_pending()
                );
            }
            assert_eq!(one.wakes(), 0);
            // The clones belong to `one`, `waker` and the socket.
            assert_eq!(Arc::strong_count(&one), 3);
            peer.write_all(b"x").unwrap();
            settle().await;
            assert_eq!(one.wakes(), 1);
        }
    });
}

/// Calls a closure when woken.
struct Calling<F>(F);

impl<F: Fn() + Send + Sync> ArcWake for Calling<F> {
    fn wake_by_ref(this: &Arc<Calling<F>>) {
        (this.0)();
    }
}

#[test]
fn a_panicking_waker_does_not_stop_the_other_wakes() {
    block_on(async {
        for (stream, mut peer) in pairs().await {
            let (before, after) = (Counter::new(), Counter::new());
            let panicking = waker(Arc::new(Calling(|| panic!("this waker always does"))));
            let mut first = pin!(stream.readable());
            let mut second = pin!(stream.readable());
            let mut third = pin!(stream.readable());
            assert!(poll_for(&before, first.as_mut()).is_pending());
            assert!(
                second
                    .as_mut()
                    .poll(&mut Context::from_waker(&panicking))
                    .is_pending()
            );
            assert!(poll_for(&after, third.as_mut()).is_pending());
            peer.write_all(b"x").unwrap();
            settle().await;
            assert_eq!((before.wakes(), after.wakes()), (1, 1));
        }
    });
}

#[test]
fn a_waker_may_use_the_socket_that_wakes_it() {
    block_on(async {
        for (stream, mut peer) in pairs().await {
            let stream = Arc::new(stream);
            let calls = Counter::new();
            let calling = {
                let (stream, calls) = (Arc::clone(&stream), Arc::clone(&calls));
                waker(Arc::new(Calling(move || {
                    assert_eq!(stream.try_read(&mut [0; 8]).unwrap(), 1);
                    stream.try_read(&mut [0; 8]).unwrap_err();
                    // Waits again, which takes every lock of the socket.
                    assert!(poll_for(&calls, pin!(stream.readable())).is_pending());
                    assert!(format!("{stream:?}").contains("TcpStream"));
                    calls.0.fetch_add(1, Ordering::SeqCst);
                })))
            };
            let mut readable = pin!(stream.readable());
            assert!(
                readable
                    .as_mut()
                    .poll(&mut Context::from_waker(&calling))
                    .is_pending()
            );
            peer.write_all(b"x").unwrap();
            settle().await;
            assert_eq!(calls.wakes(), 1);
        }
    });
}

#[test]
fn a_waker_may_hold_the_last_reference_to_the_socket_that_wakes_it() {
    block_on(async {
        for (stream, mut peer) in pairs().await {
            let stream = Arc::new(stream);
            let holding = {
                let stream = Arc::clone(&stream);
                // The call does nothing; the drop after it matters.
                waker(Arc::new(Calling(move || drop(Arc::clone(&stream)))))
            };
            let mut cx = Context::from_waker(&holding);
            assert!(
                Pin::new(&mut &*stream)
                    .poll_read(&mut cx, &mut [0; 1])
                    .is_pending()
            );
            drop((holding, stream));
            peer.write_all(b"x").unwrap();
            settle().await;
            // With an unread byte, the close may cause a reset.
            assert_ended(&mut peer);
        }
    });
}

/// Asserts that the other end is closed.
fn assert_ended(peer: &mut net::TcpStream) {
    match peer.read(&mut [0; 8]) {
        Ok(0) => {}
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
        other => panic!("{other:?}"),
    }
}
