//! The workloads that only the report has, generic over the trait `Runtime`. The workloads that it shares with the
//! counting gate are in `glassfrog_count::workloads`.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::hint;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use std::{process, thread};

use cpu_time::ProcessTime;
use futures::StreamExt;
use futures::channel::mpsc as async_mpsc;
use glassfrog_count::runtime::Runtime;
use glassfrog_count::server::RESPONSE;
use glassfrog_count::workloads::{BUFFER, ECHO_MESSAGE, TASKS, nanoseconds};

use crate::cpus;

/// The period of the task that ticks.
const TICK: Duration = Duration::from_millis(1);

/// The number of busy connections beside the task that ticks.
const BUSY_CONNECTIONS: u64 = 1000;

/// The time that the busy task computes between its yields.
const COMPUTATION: Duration = Duration::from_millis(5);

/// The size of a large future in bytes: a future that handles a connection may well be this large.
const LARGE_FUTURE: usize = 512;

/// The latest deadline of the timers that fire, in microseconds.
const LAST_DEADLINE: u64 = 100_000;

/// Returns the CPU time of all threads of this process since `start`, in nanoseconds.
fn cpu_time(start: ProcessTime) -> u64 {
    u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// Repeatedly spawns a thousand tasks with large futures and awaits them all, `n` tasks in total.
pub(crate) async fn spawn_large<R: Runtime>(n: u64) -> u64 {
    let mut handles = Vec::new();
    let start = Instant::now();
    for _ in 0..n / TASKS {
        handles.extend((0..TASKS).map(|i| {
            let bytes = [i as u8; LARGE_FUTURE];
            R::spawn(async move {
                // A value that lives across an `await` is stored in the future.
                R::yield_now().await;
                hint::black_box(&bytes)[0]
            })
        }));
        for (i, handle) in handles.drain(..).enumerate() {
            assert_eq!(handle.await, i as u8);
        }
    }
    nanoseconds(start)
}

/// The rounds of `wake_all`: tasks that wait for the next round, and a starter that wakes all of them.
#[derive(Default)]
struct Rounds {
    /// The number of the round.
    round: Cell<u64>,
    /// The wakers of the tasks that wait for the next round.
    waiting: RefCell<Vec<Waker>>,
    /// The waker of the starter, while it waits until all tasks wait.
    starter: Cell<Option<Waker>>,
}

impl Rounds {
    /// Polls for the round with this number. The last task that waits wakes the starter.
    fn poll_round(&self, round: u64, cx: &mut Context<'_>) -> Poll<()> {
        if self.round.get() >= round {
            return Poll::Ready(());
        }
        let mut waiting = self.waiting.borrow_mut();
        waiting.push(cx.waker().clone());
        if waiting.len() as u64 == TASKS
            && let Some(starter) = self.starter.take()
        {
            starter.wake();
        }
        Poll::Pending
    }

    /// Polls until all tasks wait.
    fn poll_all_wait(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.waiting.borrow().len() as u64 == TASKS {
            return Poll::Ready(());
        }
        self.starter.set(Some(cx.waker().clone()));
        Poll::Pending
    }
}

/// Wakes a thousand waiting tasks and lets them run, `n` wakes in total.
pub(crate) async fn wake_all<R: Runtime>(n: u64) -> u64 {
    let rounds = Rc::new(Rounds::default());
    for _ in 0..TASKS {
        let rounds = Rc::clone(&rounds);
        R::spawn_detached(async move {
            for round in 1.. {
                poll_fn(|cx| rounds.poll_round(round, cx)).await;
            }
        });
    }
    // The starter is a task too, because the other runtimes poll the root future outside their queues.
    R::spawn(async move {
        let mut woken = Vec::with_capacity(TASKS as usize);
        poll_fn(|cx| rounds.poll_all_wait(cx)).await;
        let start = Instant::now();
        for round in 1..=n / TASKS {
            rounds.round.set(round);
            woken = rounds.waiting.replace(woken);
            woken.drain(..).for_each(Waker::wake);
            poll_fn(|cx| rounds.poll_all_wait(cx)).await;
        }
        nanoseconds(start)
    })
    .await
}

/// Sends `n` messages to another thread, and awaits the answer to each.
pub(crate) async fn wake_thread<R: Runtime>(n: u64) -> u64 {
    let (ask, questions) = mpsc::channel();
    let (answer, mut answers) = async_mpsc::unbounded();
    let thread = thread::spawn(move || {
        cpus::pin(cpus::Side::Peer);
        for question in questions {
            answer.unbounded_send(question).expect("the task waits");
        }
    });
    let time = R::spawn(async move {
        let start = Instant::now();
        for i in 0..n {
            ask.send(i).expect("the thread waits");
            assert_eq!(answers.next().await, Some(i));
        }
        nanoseconds(start)
    })
    .await;
    thread.join().expect("the thread ends");
    time
}

/// Fires `n` timers, each the sleep of a task, spread over a tenth of a second. Returns CPU time, because the elapsed
/// time is that of the sleeps.
pub(crate) async fn timer_fire<R: Runtime>(n: u64) -> u64 {
    let start = ProcessTime::now();
    let sleepers: Vec<_> = (0..n)
        .map(|i| {
            // The step is prime to the range.
            let deadline = Duration::from_micros(1 + i * 7_919 % LAST_DEADLINE);
            R::spawn(async move { R::sleep(deadline).await })
        })
        .collect();
    for sleeper in sleepers {
        sleeper.await;
    }
    cpu_time(start)
}

/// Yields `n` times in total, from `tasks` tasks. The measured time starts when all have been spawned.
pub(crate) async fn yields<R: Runtime>(n: u64, tasks: u64) -> u64 {
    let yielders: Vec<_> = (0..tasks)
        .map(|_| {
            R::spawn(async move {
                for _ in 0..n / tasks {
                    R::yield_now().await;
                }
            })
        })
        .collect();
    let start = Instant::now();
    for yielder in yielders {
        yielder.await;
    }
    nanoseconds(start)
}

/// Ticks every millisecond until `milliseconds` have passed. Returns the median lateness and the 99.9th percentile,
/// in nanoseconds.
async fn ticks<R: Runtime>(milliseconds: u64) -> Vec<u64> {
    let end = Instant::now() + Duration::from_millis(milliseconds);
    let mut lateness = Vec::new();
    while lateness.is_empty() || Instant::now() < end {
        let due = Instant::now() + TICK;
        R::sleep(TICK).await;
        lateness.push(nanoseconds(due));
    }
    lateness.sort_unstable();
    let rank = |thousandths: usize| lateness[(lateness.len() * thousandths).div_ceil(1000) - 1];
    vec![rank(500), rank(999)]
}

/// Ticks beside connections, both ends of which are as busy as the loop lets them be.
pub(crate) async fn tick_beside_echo<R: Runtime>(milliseconds: u64) -> Vec<u64> {
    let listener = R::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
        .await
        .expect("bind");
    let address = R::local_addr(&listener).expect("local address");
    // All connections are established before the first is busy.
    let mut ends = Vec::new();
    for _ in 0..BUSY_CONNECTIONS {
        let mut stream = R::connect(address).await.expect("connect");
        let peer = R::accept(&listener).await.expect("accept");
        R::write_all(&mut stream, ECHO_MESSAGE)
            .await
            .expect("write");
        ends.extend([stream, peer]);
    }
    for end in ends {
        R::spawn_detached(echo_forever::<R>(end));
    }
    R::spawn(ticks::<R>(milliseconds)).await
}

/// Responds to each message with another, forever.
async fn echo_forever<R: Runtime>(mut stream: R::Stream) {
    let mut buffer = vec![0; BUFFER];
    while R::read(&mut stream, &mut buffer).await.expect("read") > 0 {
        R::write_all(&mut stream, ECHO_MESSAGE)
            .await
            .expect("write");
    }
}

/// Ticks beside a task that computes and yields in turn.
pub(crate) async fn tick_beside_computing<R: Runtime>(milliseconds: u64) -> Vec<u64> {
    let is_over = Rc::new(Cell::new(false));
    let over = Rc::clone(&is_over);
    // The task ends by itself, so that a runtime under which the sleep ends only after the task ends, too.
    let end = Instant::now() + Duration::from_millis(2 * milliseconds);
    // Spawned first, so that it is already asleep when the other task begins to compute.
    let ticking = R::spawn(ticks::<R>(milliseconds));
    R::spawn_detached(async move {
        while !over.get() && Instant::now() < end {
            let computed = Instant::now() + COMPUTATION;
            while Instant::now() < computed {
                hint::spin_loop();
            }
            R::yield_now().await;
        }
    });
    let lateness = ticking.await;
    is_over.set(true);
    lateness
}

/// Responds to HTTP requests until standard input ends, and then prints the CPU time: the body of the hidden
/// subcommand `http`.
pub(crate) async fn serve_http<R: Runtime>() -> io::Result<()> {
    let listener = R::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
    announce_http(R::local_addr(&listener)?);
    loop {
        let mut stream = R::accept(&listener).await?;
        R::spawn_detached(async move {
            let mut buffer = vec![0; BUFFER];
            // wrk sends a request in one piece, and the next one after the response.
            while let Ok(1..) = R::read(&mut stream, &mut buffer).await {
                if R::write_all(&mut stream, &RESPONSE).await.is_err() {
                    break;
                }
            }
        });
    }
}

/// Prints the address of an HTTP server, and the CPU time when standard input ends.
pub(crate) fn announce_http(address: SocketAddr) {
    println!("{address}");
    thread::spawn(|| {
        let start = ProcessTime::now();
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        println!("{}", cpu_time(start));
        process::exit(0);
    });
}
