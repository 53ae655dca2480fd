//! Which tasks are woken when several wait for one socket.

use crate::support::{accepted, block_on, pairs, settle, watchdog};
use futures::future::{abortable, join_all};
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

/// Writes until the stream is full.
async fn fill(stream: &TcpStream) {
    stream.writable().await.unwrap();
    while stream.try_write(&[0; 1 << 16]).is_ok() {}
}

/// Starts eight waiting tasks, aborts the first, triggers the event with `happen`, and joins the others.
async fn eight_wait<W, F>(stream: TcpStream, wait: W, happen: impl AsyncFnOnce())
where
    W: Fn(Rc<TcpStream>) -> F,
    F: Future<Output = io::Result<()>> + 'static,
{
    let stream = Rc::new(stream);
    let waiting = Rc::new(Cell::new(0));
    let (first, handle) = abortable(wait(Rc::clone(&stream)));
    let first = glassfrog::spawn(first);
    let others: Vec<_> = (0..7)
        .map(|_| {
            let (wait, waiting) = (wait(Rc::clone(&stream)), Rc::clone(&waiting));
            glassfrog::spawn(async move { counted(&waiting, wait).await })
        })
        .collect();
    settle().await;
    assert_eq!(waiting.get(), 7);
    handle.abort();
    assert!(first.await.unwrap().is_err());
    happen().await;
    for other in others {
        other.await.unwrap().unwrap();
    }
    // Each was woken once and found its event.
    assert_eq!(waiting.get(), 14);
}

#[test]
fn a_cancelled_reader_passes_its_wake_to_the_other_readers() {
    block_on(async {
        for (stream, mut peer) in pairs().await {
            let readable = |stream: Rc<TcpStream>| async move { stream.readable().await };
            eight_wait(stream, readable, async || peer.write_all(b"x").unwrap()).await;
        }
    });
}

#[test]
fn a_cancelled_peek_passes_its_wake_to_the_other_peeks() {
    block_on(async {
        for (stream, mut peer) in pairs().await {
            let peek = |stream: Rc<TcpStream>| async move {
                assert_eq!(stream.peek(&mut [0; 8]).await?, 1);
                Ok(())
            };
            eight_wait(stream, peek, async || peer.write_all(b"x").unwrap()).await;
        }
    });
}

#[test]
fn a_cancelled_writer_passes_its_wake_to_the_other_writers() {
    block_on(async {
        for (stream, mut peer) in pairs().await {
            fill(&stream).await;
            let writable = |stream: Rc<TcpStream>| async move { stream.writable().await };
            eight_wait(stream, writable, async || {
                let mut buf = vec![0; 1 << 16];
                peer.set_nonblocking(true).unwrap();
                // Lets pending events arrive while other tasks run.
                for _ in 0..100 {
                    while peer.read(&mut buf).is_ok() {}
                    settle().await;
                }
            })
            .await;
        }
    });
}

#[test]
fn the_end_of_the_stream_wakes_all_readers() {
    block_on(async {
        for (stream, peer) in pairs().await {
            let read = |stream: Rc<TcpStream>| async move {
                assert_eq!(stream.read(&mut [0; 8]).await?, 0);
                Ok(())
            };
            eight_wait(stream, read, async || drop(peer)).await;
        }
    });
}

#[test]
fn an_overfull_waiter_list_loses_no_wake() {
    const TASKS: usize = 20;
    block_on(async {
        for (stream, mut peer) in pairs().await {
            let stream = Rc::new(stream);
            let tasks: Vec<_> = (0..TASKS)
                .map(|_| {
                    let stream = Rc::clone(&stream);
                    glassfrog::spawn(async move {
                        let mut byte = [0];
                        AsyncReadExt::read_exact(&mut &*stream, &mut byte)
                            .await
                            .unwrap();
                        byte[0]
                    })
                })
                .collect();
            settle().await;
            let sent: Vec<u8> = (0..TASKS as u8).collect();
            for byte in &sent {
                peer.write_all(&[*byte]).unwrap();
                settle().await;
            }
            let mut read: Vec<_> = join_all(tasks)
                .await
                .into_iter()
                .map(Result::unwrap)
                .collect();
            read.sort_unstable();
            assert_eq!(read, sent);
        }
    });
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

#[test]
fn any_number_of_tasks_waiting_on_a_listener_come_to_rest() {
    const TASKS: usize = 20;
    block_on(async {
        let listener = Rc::new(TcpListener::bind("127.0.0.1:0").await.unwrap());
        let polls = Rc::new(Cell::new(0));
        let tasks: Vec<_> = (0..TASKS)
            .map(|_| {
                let (listener, polls) = (Rc::clone(&listener), Rc::clone(&polls));
                glassfrog::spawn(async move {
                    let mut incoming = listener.incoming();
                    counted(&polls, incoming.next()).await.unwrap().unwrap();
                })
            })
            .collect();
        settle().await;
        assert_eq!(polls.get(), TASKS);
        let addr = listener.local_addr().unwrap();
        let _peers = [(); TASKS].map(|()| net::TcpStream::connect(addr).unwrap());
        for task in tasks {
            task.await.unwrap();
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

#[test]
fn reading_and_writing_wake_separately() {
    block_on(async {
        for (stream, mut peer) in pairs().await {
            fill(&stream).await;
            let (reader, writer) = (Counter::new(), Counter::new());
            let mut readable = pin!(stream.readable());
            let mut writable = pin!(stream.writable());
            assert!(poll_for(&reader, readable.as_mut()).is_pending());
            assert!(poll_for(&writer, writable.as_mut()).is_pending());
            peer.write_all(b"x").unwrap();
            settle().await;
            assert_eq!((reader.wakes(), writer.wakes()), (1, 0));
            assert!(poll_for(&reader, readable.as_mut()).is_ready());
            assert!(poll_for(&writer, writable.as_mut()).is_pending());
        }
    });
}

#[test]
fn clearing_one_direction_does_not_clear_the_other() {
    block_on(async {
        for (stream, mut peer) in pairs().await {
            stream.writable().await.unwrap();
            peer.write_all(b"x").unwrap();
            assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 1);
            stream.try_read(&mut [0; 8]).unwrap_err();
            assert_eq!(stream.try_write(b"x").unwrap(), 1);

            peer.write_all(b"x").unwrap();
            stream.readable().await.unwrap();
            fill(&stream).await;
            assert_eq!(stream.try_read(&mut [0; 8]).unwrap(), 1);
        }
    });
}

#[test]
fn an_event_wakes_the_waker_of_the_last_poll() {
    block_on(async {
        for (stream, mut peer) in pairs().await {
            let (first, last) = (Counter::new(), Counter::new());
            let mut readable = pin!(stream.readable());
            assert!(poll_for(&first, readable.as_mut()).is_pending());
            assert!(poll_for(&last, readable.as_mut()).is_pending());
            assert_eq!(Arc::strong_count(&first), 1);
            peer.write_all(b"x").unwrap();
            settle().await;
            assert_eq!((first.wakes(), last.wakes()), (0, 1));
        }
    });
}

#[test]
fn a_dropped_wait_keeps_no_waker() {
    block_on(async {
        for (stream, mut peer) in pairs().await {
            let counters = [(); 10].map(|()| Counter::new());
            let mut waits: Vec<_> = counters
                .iter()
                .map(|counter| {
                    let mut wait = Box::pin(stream.readable());
                    assert!(poll_for(counter, wait.as_mut()).is_pending());
                    wait
                })
                .collect();
            // The first, one in the middle, and the last.
            for dropped in [9, 4, 0] {
                drop(waits.remove(dropped));
            }
            for (number, counter) in counters.iter().enumerate() {
                let waits = ![9, 4, 0].contains(&number);
                assert_eq!(Arc::strong_count(counter), 1 + usize::from(waits));
            }
            peer.write_all(b"x").unwrap();
            settle().await;
            for (number, counter) in counters.iter().enumerate() {
                let waited = ![9, 4, 0].contains(&number);
                assert_eq!(counter.wakes(), usize::from(waited));
            }
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

#[test]
fn waiting_does_not_poll() {
    block_on(async {
        let (stream, mut peer) = accepted().await;
        let polls = Rc::new(Cell::new(0));
        let reading = {
            let polls = Rc::clone(&polls);
            glassfrog::spawn(async move { counted(&polls, stream.read(&mut [0; 8])).await })
        };
        // Keeps the loop busy.
        settle().await;
        assert_eq!(polls.get(), 1);
        peer.write_all(b"x").unwrap();
        assert_eq!(reading.await.unwrap().unwrap(), 1);
        assert_eq!(polls.get(), 2);
    });
}
