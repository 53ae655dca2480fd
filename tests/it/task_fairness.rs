//! The fairness guarantees of the module `task`, counted in polls.

use crate::support::{accepted, block_on, park_on, plain, settle};
use crate::task_probes::{counted, poll_with, until};
use futures::channel::oneshot;
use futures::{AsyncReadExt, AsyncWriteExt};
use glassfrog::net::TcpStream;
use glassfrog::task::{spawn_blocking, yield_now};
use glassfrog::time::{now, sleep, sleep_until, timeout};
use glassfrog::{Handle, spawn};
use socket2::SockRef;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::Write;
use std::net;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

/// The maximum number of polls before the loop notices an event, a timer or another thread.
const NOTICED_AFTER: usize = 128;

/// The maximum number of operations in one poll.
const OPERATIONS: usize = 128;

#[test]
fn each_other_task_is_polled_at_most_once_between_a_wake_and_its_poll() {
    const OTHERS: usize = 50;
    const ROUNDS: usize = 500;
    block_on(async {
        let polls: Rc<Vec<Cell<usize>>> = Rc::new((0..OTHERS).map(|_| Cell::new(0)).collect());
        let at_wake: Rc<RefCell<Vec<usize>>> = Rc::default();
        let waker: Rc<Cell<Option<Waker>>> = Rc::default();
        let ended = Rc::new(Cell::new(false));
        for number in 0..OTHERS {
            let (polls, at_wake) = (Rc::clone(&polls), Rc::clone(&at_wake));
            let (waker, ended) = (Rc::clone(&waker), Rc::clone(&ended));
            drop(spawn(async move {
                while !ended.get() {
                    let count = polls[number].get() + 1;
                    polls[number].set(count);
                    // A different task wakes the sleeper each time, from every position in the queue.
                    if count % OTHERS == number
                        && let Some(waker) = waker.take()
                    {
                        *at_wake.borrow_mut() = polls.iter().map(Cell::get).collect();
                        waker.wake();
                        // A task spawned after the wake is queued behind it as well.
                        let (polls, now) = (Rc::clone(&polls), polls[0].get());
                        drop(spawn(async move { assert!(polls[0].get() <= now + 1) }));
                    }
                    yield_now().await;
                }
            }));
        }
        let sleeper = spawn(async move {
            for _ in 0..ROUNDS {
                let mut asleep = false;
                poll_fn(|cx| {
                    if asleep {
                        return Poll::Ready(());
                    }
                    asleep = true;
                    waker.set(Some(cx.waker().clone()));
                    Poll::Pending
                })
                .await;
                for (before, now) in at_wake.borrow().iter().zip(&*polls) {
                    assert!(now.get() <= before + 1);
                }
            }
            ended.set(true);
        });
        sleeper.await.unwrap();
    });
}

/// Runs some tasks that always yield, and a sleeper. One of the tasks triggers the event that the sleeper waits for.
/// Returns the number of polls until the sleeper noticed it.
async fn polls_until_noticed(
    yielding: usize,
    sleeper: impl Future<Output = ()> + 'static,
    happens: impl FnOnce() + 'static,
) -> usize {
    let polls = Rc::new(Cell::new(0));
    let happened_at = Rc::new(Cell::new(None::<usize>));
    let noticed_after = Rc::new(Cell::new(None::<usize>));
    let (ours, theirs) = (Rc::clone(&polls), Rc::clone(&happened_at));
    let noticed = Rc::clone(&noticed_after);
    drop(spawn(async move {
        sleeper.await;
        noticed.set(Some(ours.get() - theirs.get().expect("not yet")));
    }));
    let mut happens = Some(happens);
    for number in 0..yielding {
        let (polls, happened_at) = (Rc::clone(&polls), Rc::clone(&happened_at));
        let noticed = Rc::clone(&noticed_after);
        let mut happens = if number == yielding / 2 {
            happens.take()
        } else {
            None
        };
        drop(spawn(async move {
            while noticed.get().is_none() {
                polls.set(polls.get() + 1);
                // Somewhere in the middle of a turn.
                if polls.get() > 1000
                    && let Some(happens) = happens.take()
                {
                    happens();
                    happened_at.set(Some(polls.get()));
                }
                yield_now().await;
            }
        }));
    }
    poll_fn(|cx| {
        // The root future does not take part.
        match noticed_after.get() {
            Some(polls) => Poll::Ready(polls),
            None => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    })
    .await
}

/// The numbers of tasks that always yield: one, some, and more than a turn has polls.
const YIELDING: [usize; 4] = [1, 10, 127, 300];

/// Asserts that the sleeper noticed the event in time and was polled in its turn, after each other task once.
fn assert_in_time(yielding: usize, polls: usize) {
    let most = NOTICED_AFTER + yielding + 1;
    assert!(
        polls <= most,
        "{polls} polls for {yielding} tasks, at most {most}"
    );
}

/// Sends a byte, and returns when it has arrived at `end`, the receiving socket.
fn send_a_byte(mut peer: &net::TcpStream, end: &net::TcpStream) {
    peer.write_all(b"!").unwrap();
    loop {
        match end.peek(&mut [0]) {
            Ok(count) => return assert_eq!(count, 1),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
        }
    }
}

#[test]
fn a_socket_is_noticed_after_at_most_128_polls() {
    for yielding in YIELDING {
        block_on(async {
            let (stream, peer) = accepted().await;
            let end = net::TcpStream::from(SockRef::from(&stream).try_clone().unwrap());
            let sleeper = async move { stream.readable().await.unwrap() };
            let happens = move || send_a_byte(&peer, &end);
            let polls = polls_until_noticed(yielding, sleeper, happens).await;
            assert_in_time(yielding, polls);
        });
    }
}

#[test]
fn a_deadline_is_noticed_after_at_most_128_polls() {
    for yielding in YIELDING {
        block_on(async {
            // Longer than the thousand polls before; if they are slow, the loop starts again.
            let polls = loop {
                let deadline = now() + Duration::from_millis(100);
                let early = Rc::new(Cell::new(false));
                let theirs = Rc::clone(&early);
                let sleeper = async move {
                    sleep_until(deadline).await;
                    theirs.set(true);
                };
                let on_time = Rc::new(Cell::new(true));
                let theirs = Rc::clone(&on_time);
                let (wake, woken) = oneshot::channel::<()>();
                let sleeper = async move {
                    let sleeper = std::pin::pin!(sleeper);
                    // Not before the event.
                    let (_, woken) = futures::join!(sleeper, woken);
                    woken.unwrap();
                };
                let happens = move || {
                    theirs.set(!early.get() && now() < deadline);
                    while now() < deadline {}
                    wake.send(()).unwrap();
                };
                let polls = polls_until_noticed(yielding, sleeper, happens).await;
                if on_time.get() {
                    break polls;
                }
            };
            assert_in_time(yielding, polls);
        });
    }
}

#[test]
fn a_wake_from_another_thread_is_noticed_after_at_most_128_polls() {
    for yielding in YIELDING {
        block_on(async {
            let (wake, woken) = oneshot::channel::<()>();
            let sleeper = async move { woken.await.unwrap() };
            let happens = move || thread::spawn(|| wake.send(()).unwrap()).join().unwrap();
            let polls = polls_until_noticed(yielding, sleeper, happens).await;
            assert_in_time(yielding, polls);
        });
    }
}

#[test]
fn a_task_from_another_thread_is_noticed_after_at_most_128_polls() {
    for yielding in YIELDING {
        block_on(async {
            let (wake, woken) = oneshot::channel::<()>();
            let sleeper = async move { woken.await.unwrap() };
            let handle = Handle::current();
            let happens = move || {
                let task = async move { wake.send(()).unwrap() };
                drop(thread::spawn(move || handle.spawn(task)).join().unwrap());
            };
            let polls = polls_until_noticed(yielding, sleeper, happens).await;
            // One round of the queue for the new task, and one for the sleeper that it wakes.
            assert_in_time(2 * yielding, polls);
        });
    }
}

/// Occupies the thread for at least this long, as a computation does.
fn compute(time: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < time {}
}

/// Runs tasks that compute for this long in each poll and yield. Counts their polls while `wait` is awaited
/// repeatedly, and returns the counts.
async fn polls_while_waiting(
    computing: usize,
    time: Duration,
    mut wait: impl AsyncFnMut() + 'static,
) -> Vec<usize> {
    const TIMES: usize = 8;
    let polls = Rc::new(Cell::new(0));
    for _ in 0..computing {
        let polls = Rc::clone(&polls);
        drop(spawn(async move {
            loop {
                polls.set(polls.get() + 1);
                compute(time);
                yield_now().await;
            }
        }));
    }
    let waiting = spawn(async move {
        let mut counts = Vec::new();
        for _ in 0..TIMES {
            let before = polls.get();
            wait().await;
            counts.push(polls.get() - before);
        }
        counts
    });
    waiting.await.unwrap()
}

/// Asserts that the loop noticed the event of a long poll after that poll, and then polled each other task once.
/// Polls that a loaded machine lengthens do not matter.
fn assert_after_each(computing: usize, counts: &[usize]) {
    let most = 1 + computing;
    // Setting the timer again and firing it takes two steps.
    assert!(counts.iter().all(|count| *count <= 2 * most), "{counts:?}");
}

#[test]
fn a_deadline_is_noticed_after_each_long_poll() {
    for computing in [1, 3] {
        block_on(async {
            let nap = async || sleep(Duration::from_millis(1)).await;
            let counts = polls_while_waiting(computing, Duration::from_millis(2), nap).await;
            assert_after_each(computing, &counts);
        });
    }
}

#[test]
fn one_task_that_computes_and_yields_delays_a_deadline_by_one_poll() {
    block_on(async {
        let nap = async || sleep(Duration::from_millis(1)).await;
        let counts = polls_while_waiting(1, Duration::from_millis(2), nap).await;
        assert_eq!(counts, [1; 8]);
    });
}

#[test]
fn a_socket_is_noticed_after_each_long_poll() {
    block_on(async {
        let (stream, peer) = accepted().await;
        let end = net::TcpStream::from(SockRef::from(&stream).try_clone().unwrap());
        let echo = async move || {
            send_a_byte(&peer, &end);
            (&stream).read_exact(&mut [0]).await.unwrap();
        };
        let counts = polls_while_waiting(1, Duration::from_millis(2), echo).await;
        assert_after_each(1, &counts);
    });
}

#[test]
fn a_wake_from_another_thread_is_noticed_after_each_long_poll() {
    block_on(async {
        let handle = Handle::current();
        let elsewhere = async move || {
            let handle = handle.clone();
            let (wake, woken) = oneshot::channel::<()>();
            let task = async move { wake.send(()).unwrap() };
            drop(thread::spawn(move || handle.spawn(task)).join().unwrap());
            woken.await.unwrap();
        };
        let counts = polls_while_waiting(1, Duration::from_millis(2), elsewhere).await;
        // The task that another thread spawns takes its turn before it wakes this one.
        assert!(counts.iter().all(|count| *count <= 6), "{counts:?}");
    });
}

#[test]
fn a_dump_from_another_thread_is_answered_between_long_polls() {
    block_on(async {
        let handle = Handle::current();
        let ask = async move || {
            let handle = handle.clone();
            let dump = spawn_blocking(move || handle.dump()).await.unwrap();
            assert!(dump.to_string().starts_with("task "), "{dump}");
        };
        polls_while_waiting(1, Duration::from_millis(5), ask).await;
    });
}

/// Runs `total` operations that are all ready. Returns the maximum number in one poll, and how many times another
/// task was polled meanwhile.
async fn most_in_one_poll(operations: impl AsyncFnOnce(&dyn Fn()) + 'static) -> (usize, usize) {
    let polls = Rc::new(Cell::new(0));
    let most = Rc::new(Cell::new(0));
    let others = Rc::new(Cell::new(0));
    let ended = Rc::new(Cell::new(false));
    let (theirs, theirs_too) = (Rc::clone(&others), Rc::clone(&ended));
    drop(spawn(async move {
        while !theirs_too.get() {
            theirs.set(theirs.get() + 1);
            yield_now().await;
        }
    }));
    let (ours, most_of_all) = (Rc::clone(&polls), Rc::clone(&most));
    let task = async move {
        let (in_poll, count) = (Cell::new(0), Cell::new(0));
        let done = || {
            if in_poll.replace(ours.get()) != ours.get() {
                count.set(0);
            }
            count.set(count.get() + 1);
            most_of_all.set(most_of_all.get().max(count.get()));
        };
        operations(&done).await;
    };
    spawn(counted(&polls, task)).await.unwrap();
    ended.set(true);
    (most.get(), others.get())
}

/// The number of operations that a task wants to perform at once.
const TOTAL: usize = 10 * OPERATIONS;

/// Asserts that no poll performed them all, and that other tasks ran between the polls.
fn assert_shared((most, others): (usize, usize)) {
    assert!(most <= OPERATIONS, "{most} operations in one poll");
    // The other task may have had the first turn.
    assert!(
        others >= TOTAL / OPERATIONS - 1,
        "others had {others} turns"
    );
}

/// Returns a connection on which `TOTAL` bytes have arrived.
async fn full() -> (TcpStream, net::TcpStream) {
    let (stream, mut peer) = accepted().await;
    peer.write_all(&[0; TOTAL]).unwrap();
    let end = net::TcpStream::from(SockRef::from(&stream).try_clone().unwrap());
    until(|| end.peek(&mut [0; TOTAL]).is_ok_and(|count| count == TOTAL)).await;
    stream.readable().await.unwrap();
    (stream, peer)
}

#[test]
fn one_poll_makes_at_most_128_reads() {
    block_on(async {
        let (stream, _peer) = full().await;
        assert_shared(
            most_in_one_poll(async move |done| {
                for _ in 0..TOTAL {
                    assert_eq!(stream.read(&mut [0]).await.unwrap(), 1);
                    done();
                }
            })
            .await,
        );
    });
}

#[test]
fn one_poll_makes_at_most_128_reads_through_the_trait() {
    block_on(async {
        let (mut stream, _peer) = full().await;
        assert_shared(
            most_in_one_poll(async move |done| {
                for _ in 0..TOTAL {
                    stream.read_exact(&mut [0]).await.unwrap();
                    done();
                }
            })
            .await,
        );
    });
}

#[test]
fn one_poll_makes_at_most_128_reads_through_a_reference() {
    block_on(async {
        let (stream, _peer) = full().await;
        assert_shared(
            most_in_one_poll(async move |done| {
                for _ in 0..TOTAL {
                    (&stream).read_exact(&mut [0]).await.unwrap();
                    done();
                }
            })
            .await,
        );
    });
}

#[test]
fn one_poll_makes_at_most_128_reads_through_a_half() {
    block_on(async {
        let (stream, _peer) = full().await;
        let (mut reader, _writer) = stream.into_split();
        assert_shared(
            most_in_one_poll(async move |done| {
                for _ in 0..TOTAL {
                    reader.read_exact(&mut [0]).await.unwrap();
                    done();
                }
            })
            .await,
        );
    });
}

#[test]
fn one_poll_makes_at_most_128_try_reads_after_readable() {
    block_on(async {
        let (stream, _peer) = full().await;
        assert_shared(
            most_in_one_poll(async move |done| {
                for _ in 0..TOTAL {
                    stream.readable().await.unwrap();
                    assert_eq!(stream.try_read(&mut [0]).unwrap(), 1);
                    done();
                }
            })
            .await,
        );
    });
}

#[test]
fn one_poll_makes_at_most_128_peeks() {
    block_on(async {
        let (stream, _peer) = full().await;
        assert_shared(
            most_in_one_poll(async move |done| {
                for _ in 0..TOTAL {
                    assert_eq!(stream.peek(&mut [0]).await.unwrap(), 1);
                    done();
                }
            })
            .await,
        );
    });
}

#[test]
fn one_poll_makes_at_most_128_writes() {
    block_on(async {
        let (stream, peer) = accepted().await;
        let writer = async move |done: &dyn Fn()| {
            for _ in 0..TOTAL {
                assert_eq!(stream.write(&[0]).await.unwrap(), 1);
                done();
            }
        };
        assert_shared(most_in_one_poll(writer).await);
        drop(peer);
    });
}

#[test]
fn one_poll_makes_at_most_128_writes_through_the_trait() {
    block_on(async {
        let (mut stream, peer) = accepted().await;
        let writer = async move |done: &dyn Fn()| {
            for _ in 0..TOTAL {
                stream.write_all(&[0]).await.unwrap();
                done();
            }
        };
        assert_shared(most_in_one_poll(writer).await);
        drop(peer);
    });
}

/// Linux only: elsewhere a backlog may not hold as many connections.
#[cfg(target_os = "linux")]
mod accepting {
    use super::{OPERATIONS, block_on, most_in_one_poll, net};
    use futures::StreamExt;
    use glassfrog::net::TcpListener;
    use socket2::{Domain, Socket, Type};

    /// More than one poll may accept.
    const CONNECTIONS: i32 = 3 * OPERATIONS as i32;

    /// Returns a listener with `CONNECTIONS` in its backlog.
    fn crowded() -> (TcpListener, Vec<net::TcpStream>) {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let addr = net::SocketAddr::from((net::Ipv4Addr::LOCALHOST, 0));
        socket.bind(&addr.into()).unwrap();
        socket.listen(CONNECTIONS).unwrap();
        let listener = net::TcpListener::from(socket);
        let addr = listener.local_addr().unwrap();
        let clients = (0..CONNECTIONS)
            .map(|_| net::TcpStream::connect(addr).unwrap())
            .collect();
        (TcpListener::try_from(listener).unwrap(), clients)
    }

    #[test]
    fn one_poll_makes_at_most_128_accepts() {
        block_on(async {
            let (listener, _clients) = crowded();
            let (most, _) = most_in_one_poll(async move |done| {
                for _ in 0..CONNECTIONS {
                    listener.accept().await.unwrap();
                    done();
                }
            })
            .await;
            assert!(most <= OPERATIONS, "{most} accepts in one poll");
        });
    }

    #[test]
    fn one_poll_takes_at_most_128_connections_from_incoming() {
        block_on(async {
            let (listener, _clients) = crowded();
            let (most, _) = most_in_one_poll(async move |done| {
                let mut incoming = listener.incoming();
                for _ in 0..CONNECTIONS {
                    incoming.next().await.unwrap().unwrap();
                    done();
                }
            })
            .await;
            assert!(most <= OPERATIONS, "{most} connections in one poll");
        });
    }
}

#[test]
fn one_poll_joins_at_most_128_tasks() {
    block_on(async {
        let local: Vec<_> = (0..TOTAL / 2).map(|_| spawn(async {})).collect();
        let remote: Vec<_> = (0..TOTAL / 2)
            .map(|_| Handle::current().spawn(async {}))
            .collect();
        let last = Handle::current().spawn(async {});
        last.await.unwrap();
        assert_shared(
            most_in_one_poll(async move |done| {
                for task in local.into_iter().chain(remote) {
                    task.await.unwrap();
                    done();
                }
            })
            .await,
        );
    });
}

#[test]
fn join_all_joins_at_most_128_tasks_in_one_poll() {
    block_on(async {
        let mut tasks: Vec<_> = (0..TOTAL).map(|_| spawn(async {})).collect();
        settle().await;
        let mut most = 0;
        // The behavior of `join_all` and similar functions: each poll visits all remaining handles.
        poll_fn(|cx| {
            let before = tasks.len();
            tasks.retain_mut(|task| poll_with(task, cx.waker()).is_pending());
            most = most.max(before - tasks.len());
            match tasks.len() {
                0 => Poll::Ready(()),
                _ => Poll::Pending,
            }
        })
        .await;
        assert!(most <= OPERATIONS, "{most} tasks joined in one poll");
    });
}

#[test]
fn a_foreign_executor_within_a_spawned_task_makes_progress() {
    block_on(async {
        let (stream, _peer) = full().await;
        let read_all = async move {
            for _ in 0..TOTAL {
                stream.read(&mut [0]).await.unwrap();
            }
        };
        spawn(async move { park_on(read_all) }).await.unwrap();
    });
}

#[test]
fn the_root_future_has_the_same_limit() {
    block_on(async {
        let (stream, _peer) = full().await;
        let others = Rc::new(Cell::new(0));
        let theirs = Rc::clone(&others);
        drop(spawn(async move {
            loop {
                theirs.set(theirs.get() + 1);
                yield_now().await;
            }
        }));
        for _ in 0..TOTAL {
            stream.read(&mut [0]).await.unwrap();
        }
        assert!(others.get() >= TOTAL / OPERATIONS - 1);
    });
}

#[test]
fn an_always_ready_task_still_times_out() {
    block_on(async {
        let (stream, _peer) = accepted().await;
        let endless = async {
            loop {
                stream.writable().await.unwrap();
            }
        };
        let elapsed = timeout(Duration::from_millis(5), endless).await;
        assert!(elapsed.is_err());
        // Nor the budget of the tasks beside it.
        let stream = Rc::new(stream);
        drop(spawn(async move {
            loop {
                stream.writable().await.unwrap();
            }
        }));
        sleep(Duration::from_millis(5)).await;
    });
}

#[test]
fn a_foreign_executor_has_no_limit() {
    block_on(async {
        let (ours, mut peer) = plain();
        peer.write_all(b"!").unwrap();
        let stream = TcpStream::try_from(ours).unwrap();
        stream.readable().await.unwrap();
        let thread = thread::spawn(move || {
            let polls = Rc::new(Cell::new(0));
            park_on(counted(&polls, async {
                for _ in 0..TOTAL {
                    stream.readable().await.unwrap();
                    assert_eq!(stream.peek(&mut [0]).await.unwrap(), 1);
                }
            }));
            assert_eq!(polls.get(), 1);
        });
        thread.join().unwrap();
    });
}

#[test]
fn a_foreign_executor_within_the_root_future_makes_progress() {
    block_on(async {
        let (stream, _peer) = full().await;
        let polls = Rc::new(Cell::new(0));
        // It blocks the loop, but completes with the data that has already arrived.
        park_on(counted(&polls, async {
            for _ in 0..TOTAL {
                assert_eq!(stream.read(&mut [0]).await.unwrap(), 1);
            }
        }));
        assert!(polls.get() > 1);
    });
}

#[test]
fn there_is_no_limit_outside_block_on() {
    let runtime = glassfrog::Runtime::new().unwrap();
    let (stream, _peer) = runtime.block_on(async {
        let (stream, mut peer) = accepted().await;
        peer.write_all(b"!").unwrap();
        stream.readable().await.unwrap();
        // The budget is entirely spent.
        for _ in 0..OPERATIONS {
            stream.readable().await.unwrap();
        }
        (stream, peer)
    });
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..TOTAL {
        let mut readable = std::pin::pin!(stream.readable());
        assert!(readable.as_mut().poll(&mut cx).is_ready());
    }
}
