//! The workloads: operations that are repeated `n` times, with the same code for every runtime.

use std::cell::Cell;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::str::FromStr;
use std::time::{Duration, Instant};

use futures::channel::mpsc;
use futures::{StreamExt, poll};

use crate::measure;
use crate::runtime::Runtime;
use crate::server::{REQUEST_KEEP_ALIVE, RESPONSE};

/// The number of tasks in workloads of many tasks, and of fetches in flight.
pub const TASKS: u64 = 1000;
/// The number of connections of `keep_alive`.
pub const KEEP_ALIVE_CONNECTIONS: u64 = 64;
/// The number of connections of `echo`.
pub const ECHO_CONNECTIONS: u64 = 100;
/// The message of the echo workloads.
pub const ECHO_MESSAGE: &[u8] = &[b'.'; 64];
/// The size of all read buffers: larger than any message, so that each read is short.
pub const BUFFER: usize = 4096;
/// The address of the listeners of the echo workloads: any free port.
const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// The duration of `idle_connections`.
const IDLE_TIME: Duration = Duration::from_secs(5);

/// A workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workload {
    /// Spawn a task that is ready at once and await it.
    SpawnJoin,
    /// Spawn 1000 such tasks, then await them all.
    SpawnMany,
    /// 1000 tasks that yield in turn; an operation is one yield.
    Yield1000,
    /// A task that yields with no other task ready.
    YieldLone,
    /// A message to another task and one back, over the channels of the `futures` crate.
    PingPong,
    /// Create a sleep, poll it once and drop it, with 1000 others live.
    Timer,
    /// The same with a million others live.
    TimerMillion,
    /// A message to the other end of a TCP connection and one back, with both ends here, on 100 connections at once.
    Echo,
    /// The same with one connection.
    EchoLone,
    /// An HTTP request and its response of 2 KiB, on 64 connections that stay open.
    KeepAlive,
    /// Connect, send a request, read the response of 2 KiB until the peer closes, close; 1000 at once.
    Fetch,
    /// A task that waits forever. Bytes per task.
    IdleTasks,
    /// A connection and a task that waits for it to become readable. Bytes per connection.
    IdleSockets,
    /// Wake-ups of the process in 5 seconds with 1000 idle connections and a sleep.
    IdleConnections,
}

/// The way in which a workload is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Instructions and syscalls per operation, as the difference between runs of these two lengths.
    Counted(u64, u64),
    /// Only the time of an operation, because its preparation takes too long under a counting tool.
    Timed,
    /// Bytes, with this many idle tasks or connections.
    Bytes(u64),
    /// Wake-ups, with this many connections.
    WakeUps(u64),
}

impl Workload {
    /// All workloads, in the order of the tables.
    pub const ALL: [Workload; 14] = [
        Workload::SpawnJoin,
        Workload::SpawnMany,
        Workload::Yield1000,
        Workload::YieldLone,
        Workload::PingPong,
        Workload::Timer,
        Workload::TimerMillion,
        Workload::Echo,
        Workload::EchoLone,
        Workload::KeepAlive,
        Workload::Fetch,
        Workload::IdleTasks,
        Workload::IdleSockets,
        Workload::IdleConnections,
    ];

    /// Returns the name of the workload in tables and arguments.
    pub fn name(self) -> &'static str {
        match self {
            Workload::SpawnJoin => "spawn_join",
            Workload::SpawnMany => "spawn_many",
            Workload::Yield1000 => "yield_1000",
            Workload::YieldLone => "yield_lone",
            Workload::PingPong => "ping_pong",
            Workload::Timer => "timer",
            Workload::TimerMillion => "timer_million",
            Workload::Echo => "echo",
            Workload::EchoLone => "echo_lone",
            Workload::KeepAlive => "keep_alive",
            Workload::Fetch => "fetch",
            Workload::IdleTasks => "idle_tasks",
            Workload::IdleSockets => "idle_sockets",
            Workload::IdleConnections => "idle_connections",
        }
    }

    /// Returns how the workload is measured. The lengths are multiples of the operations in flight.
    pub fn kind(self) -> Kind {
        match self {
            Workload::SpawnJoin
            | Workload::SpawnMany
            | Workload::Yield1000
            | Workload::YieldLone
            | Workload::PingPong
            | Workload::Timer => Kind::Counted(2_000, 22_000),
            Workload::TimerMillion => Kind::Timed,
            Workload::Echo | Workload::EchoLone => Kind::Counted(1_000, 6_000),
            Workload::KeepAlive => Kind::Counted(640, 6_400),
            Workload::Fetch => Kind::Counted(2_000, 7_000),
            Workload::IdleTasks => Kind::Bytes(1_000_000),
            Workload::IdleSockets => Kind::Bytes(10_000),
            Workload::IdleConnections => Kind::WakeUps(1_000),
        }
    }

    /// Runs `n` operations on `R`.
    ///
    /// Returns the nanoseconds that the operations took, without their preparation. Idle workloads return the
    /// number of bytes or wake-ups.
    pub fn run<R: Runtime>(self, n: u64, server: SocketAddr) -> u64 {
        R::block_on(async {
            match self {
                Workload::SpawnJoin => spawn_join::<R>(n).await,
                Workload::SpawnMany => spawn_many::<R>(n, TASKS).await,
                Workload::Yield1000 => yields::<R>(n, TASKS).await,
                Workload::YieldLone => yields::<R>(n, 1).await,
                Workload::PingPong => ping_pong::<R>(n).await,
                Workload::Timer => timer::<R>(n, 1_000).await,
                Workload::TimerMillion => timer::<R>(n, 1_000_000).await,
                Workload::Echo => echo::<R>(n, ECHO_CONNECTIONS).await,
                Workload::EchoLone => echo::<R>(n, 1).await,
                Workload::KeepAlive => keep_alive::<R>(n, server).await,
                Workload::Fetch => fetch::<R>(n, TASKS, server, RESPONSE.len()).await,
                Workload::IdleTasks => idle_tasks::<R>(n).await,
                Workload::IdleSockets => idle_sockets::<R>(n, server).await,
                Workload::IdleConnections => idle_connections::<R>(n, server).await,
            }
        })
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Workload {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL
            .into_iter()
            .find(|workload| workload.name() == name);
        found.ok_or_else(|| format!("no workload is named `{name}`"))
    }
}

/// Returns the nanoseconds since `start`.
pub fn nanoseconds(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// Spawns a task that is ready at once and awaits it, `n` times.
pub async fn spawn_join<R: Runtime>(n: u64) -> u64 {
    let start = Instant::now();
    for i in 0..n {
        assert_eq!(R::spawn(async move { i }).await, i);
    }
    nanoseconds(start)
}

/// Repeatedly spawns `tasks` tasks that are ready at once and awaits them all, `n` tasks in total.
pub async fn spawn_many<R: Runtime>(n: u64, tasks: u64) -> u64 {
    let mut handles = Vec::new();
    let start = Instant::now();
    for _ in 0..n / tasks {
        handles.extend((0..tasks).map(|i| R::spawn(async move { i })));
        for (i, handle) in handles.drain(..).enumerate() {
            assert_eq!(handle.await, i as u64);
        }
    }
    nanoseconds(start)
}

/// Spawns `tasks` tasks that each run `body`, awaits them, and returns the elapsed time.
async fn side_by_side<R: Runtime, F>(tasks: u64, mut body: impl FnMut() -> F) -> u64
where
    F: Future<Output = ()> + 'static,
{
    let start = Instant::now();
    let handles: Vec<_> = (0..tasks).map(|_| R::spawn(body())).collect();
    for handle in handles {
        handle.await;
    }
    nanoseconds(start)
}

async fn yields<R: Runtime>(n: u64, tasks: u64) -> u64 {
    side_by_side::<R, _>(tasks, || async move {
        for _ in 0..n / tasks {
            R::yield_now().await;
        }
    })
    .await
}

async fn ping_pong<R: Runtime>(n: u64) -> u64 {
    let (ping, mut pings) = mpsc::unbounded();
    let (pong, mut pongs) = mpsc::unbounded();
    let start = Instant::now();
    let ponger = R::spawn(async move {
        while let Some(i) = pings.next().await {
            pong.unbounded_send(i).expect("the other task waits for it");
        }
    });
    let pinger = R::spawn(async move {
        for i in 0..n {
            ping.unbounded_send(i).expect("the other task waits for it");
            assert_eq!(pongs.next().await, Some(i));
        }
    });
    pinger.await;
    ponger.await;
    nanoseconds(start)
}

async fn timer<R: Runtime>(n: u64, live: u64) -> u64 {
    // One to two minutes, like typical timeouts, spread by a step that is coprime to the range. None of them
    // fires in the slowest run.
    let duration = |i: u64| Duration::from_millis(60_000 + i * 7_919 % 60_000);
    let mut others = Vec::new();
    for i in 0..live {
        let mut sleep = Box::pin(R::sleep(duration(i)));
        assert!(poll!(&mut sleep).is_pending());
        others.push(sleep);
    }
    let start = Instant::now();
    for i in 0..n {
        let sleep = pin!(R::sleep(duration(i)));
        assert!(poll!(sleep).is_pending());
    }
    nanoseconds(start)
}

/// Makes `n` echo round trips over `connections` connections at once.
pub async fn echo<R: Runtime>(n: u64, connections: u64) -> u64 {
    let listener = R::bind(LOOPBACK).await.expect("bind");
    let address = R::local_addr(&listener).expect("local address");
    let mut streams = Vec::new();
    for _ in 0..connections {
        let mut stream = R::connect(address).await.expect("connect");
        let mut peer = R::accept(&listener).await.expect("accept");
        R::spawn_detached(async move {
            let mut buffer = vec![0; BUFFER];
            while R::read(&mut peer, &mut buffer).await.expect("read") > 0 {
                R::write_all(&mut peer, ECHO_MESSAGE).await.expect("write");
            }
        });
        // The first round trip comes before the measured time, so that the peer is running.
        let mut buffer = vec![0; BUFFER];
        R::write_all(&mut stream, ECHO_MESSAGE)
            .await
            .expect("write");
        R::read(&mut stream, &mut buffer).await.expect("read");
        streams.push((stream, buffer));
    }
    side_by_side::<R, _>(connections, || {
        let (mut stream, mut buffer) = streams.pop().expect("a stream a task");
        async move {
            for _ in 0..n / connections {
                R::write_all(&mut stream, ECHO_MESSAGE)
                    .await
                    .expect("write");
                let length = R::read(&mut stream, &mut buffer).await.expect("read");
                assert_eq!(length, ECHO_MESSAGE.len());
            }
        }
    })
    .await
}

async fn keep_alive<R: Runtime>(n: u64, server: SocketAddr) -> u64 {
    let mut streams = Vec::new();
    for _ in 0..KEEP_ALIVE_CONNECTIONS {
        streams.push(R::connect(server).await.expect("connect"));
    }
    side_by_side::<R, _>(KEEP_ALIVE_CONNECTIONS, || {
        let mut stream = streams.pop().expect("a stream a task");
        let mut buffer = vec![0; BUFFER];
        async move {
            for _ in 0..n / KEEP_ALIVE_CONNECTIONS {
                R::write_all(&mut stream, REQUEST_KEEP_ALIVE)
                    .await
                    .expect("write");
                let mut received = 0;
                while received < RESPONSE.len() {
                    received += R::read(&mut stream, &mut buffer).await.expect("read");
                }
            }
        }
    })
    .await
}

/// Calls the `fetch_data` of the README `n` times, from `tasks` tasks. The response has `length` bytes.
pub async fn fetch<R: Runtime>(n: u64, tasks: u64, server: SocketAddr, length: usize) -> u64 {
    side_by_side::<R, _>(tasks, || async move {
        for _ in 0..n / tasks {
            let response = R::fetch_data(server).await.expect("fetch");
            assert_eq!(response.len(), length);
        }
    })
    .await
}

thread_local! {
    /// The number of polled tasks of an idle workload. The tasks do not capture it, because the capture would count as
    /// part of their size.
    static POLLED: Cell<u64> = const { Cell::new(0) };
}

fn count_poll() {
    POLLED.set(POLLED.get() + 1);
}

/// Waits until `n` tasks have been polled.
async fn all_polled<R: Runtime>(n: u64) {
    R::spawn(async {}).await;
    assert_eq!(POLLED.get(), n);
}

async fn idle_tasks<R: Runtime>(n: u64) -> u64 {
    let before = measure::memory();
    for _ in 0..n {
        R::spawn_detached(async {
            count_poll();
            std::future::pending().await
        });
    }
    all_polled::<R>(n).await;
    measure::memory() - before
}

/// Opens `n` connections, each with a task that waits for it to become readable.
async fn idle_readers<R: Runtime>(n: u64, server: SocketAddr) {
    for _ in 0..n {
        let mut stream = R::connect(server).await.expect("connect");
        R::spawn_detached(async move {
            count_poll();
            // The smallest buffer, because it counts as part of the socket.
            let _ = R::read(&mut stream, &mut vec![0]).await;
        });
    }
    all_polled::<R>(n).await;
}

async fn idle_sockets<R: Runtime>(n: u64, server: SocketAddr) -> u64 {
    let before = measure::memory();
    idle_readers::<R>(n, server).await;
    measure::memory() - before
}

async fn idle_connections<R: Runtime>(n: u64, server: SocketAddr) -> u64 {
    idle_readers::<R>(n, server).await;
    // Let the work that remains from connecting finish before the count begins.
    R::sleep(Duration::from_millis(100)).await;
    let before = measure::wake_ups();
    R::sleep(IDLE_TIME).await;
    measure::wake_ups() - before
}
