//! Many simultaneous connections, and many successive ones. Linux only, because the tests measure in `/proc`.

use crate::support::{
    Child, Files, block_on, child, child_with, few_or_many, open_files, say, status, watchdog,
};
use futures::channel::oneshot;
use futures::future::join_all;
use futures::{AsyncReadExt, AsyncWriteExt};
use glassfrog::net::{TcpListener, TcpStream};
use socket2::{Domain, Socket, Type};
use std::cell::RefCell;
use std::fs;
use std::io;
use std::net::{self, Ipv4Addr, SocketAddr};
use std::rc::Rc;

/// Returns a listener for many simultaneous clients. A connection that does not fit into the backlog is retried a
/// second later.
fn roomy_listener(ip: Ipv4Addr) -> TcpListener {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((ip, 0)).into()).unwrap();
    socket.listen(4096).unwrap();
    TcpListener::try_from(net::TcpListener::from(socket)).unwrap()
}

/// Starts a listener in a server process and prints its address.
fn announced_listener() -> TcpListener {
    let listener = roomy_listener(Ipv4Addr::LOCALHOST);
    say(listener.local_addr().unwrap());
    listener
}

/// Returns the address of the listener of a server process.
fn announced(server: &mut Child) -> SocketAddr {
    server.line().parse().unwrap()
}

/// Returns the response to a request: each has its own length and content.
fn answer(question: u32) -> Vec<u8> {
    let length = 100 + question * 7919 % 20_000;
    (0..length).map(|at| (at * 31 + question) as u8).collect()
}

#[test]
fn a_thousand_concurrent_fetches_are_complete_and_correct() {
    const FETCHES: u32 = 1000;

    /// Responds after all requests have arrived, so that all are in flight together.
    async fn serve() {
        let listener = announced_listener();
        let asked = Rc::new(RefCell::new(Vec::new()));
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let asked = Rc::clone(&asked);
            glassfrog::spawn(async move {
                let mut question = [0; 4];
                stream.read_exact(&mut question).await.unwrap();
                let (all, all_have_asked) = oneshot::channel();
                asked.borrow_mut().push(all);
                if asked.borrow().len() == FETCHES as usize {
                    asked
                        .take()
                        .into_iter()
                        .for_each(|all| all.send(()).unwrap());
                }
                all_have_asked.await.unwrap();
                stream
                    .write_all(&answer(u32::from_be_bytes(question)))
                    .await
                    .unwrap();
            });
        }
    }

    async fn fetch(addr: SocketAddr, question: u32) -> io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(addr).await?;
        stream.write_all(&question.to_be_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok(answer)
    }

    child_with(Files::Most, || {
        let mut server = child(|| block_on(serve()));
        let addr = announced(&mut server);
        block_on(async {
            let fetches: Vec<_> = (0..FETCHES)
                .map(|question| glassfrog::spawn(fetch(addr, question)))
                .collect();
            for (question, fetch) in (0..).zip(fetches) {
                assert!(fetch.await.unwrap().unwrap() == answer(question));
            }
        });
    })
    .finish();
}

/// Echoes data until the end of the stream.
async fn echo(stream: TcpStream) -> io::Result<()> {
    let mut buf = [0; 64];
    loop {
        let count = stream.read(&mut buf).await?;
        if count == 0 {
            return Ok(());
        }
        (&stream).write_all(&buf[..count]).await?;
    }
}

/// Sends a number and asserts that it is echoed.
async fn round_trip(mut stream: &TcpStream, number: u64) {
    stream.write_all(&number.to_be_bytes()).await.unwrap();
    let mut back = [0; 8];
    stream.read_exact(&mut back).await.unwrap();
    assert_eq!(u64::from_be_bytes(back), number);
}

/// Returns the limit of open files of this process.
fn limit_of_files() -> usize {
    let limits = fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.unwrap().split_whitespace().next().unwrap();
    soft.parse().unwrap_or(usize::MAX)
}

#[test]
fn many_connections_stay_open_while_a_tenth_is_active() {
    const CONNECTIONS: usize = few_or_many(1000, 10_000);
    /// The number of tasks that connect.
    const CONNECTING: usize = 100;
    /// The number of other files that the processes need.
    const OTHER_FILES: usize = 100;

    async fn serve() {
        let listener = announced_listener();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            glassfrog::spawn(async { echo(stream).await.unwrap() });
        }
    }

    child_with(Files::Most, || {
        if limit_of_files() < CONNECTIONS + OTHER_FILES {
            return say("skipped: not enough files may be open here");
        }
        let mut server = child(|| block_on(serve()));
        let addr = announced(&mut server);
        block_on(async {
            let connecting = (0..CONNECTING).map(async |_| {
                let mut streams = Vec::new();
                for _ in 0..CONNECTIONS / CONNECTING {
                    streams.push(Rc::new(TcpStream::connect(addr).await.unwrap()));
                }
                streams
            });
            let streams = join_all(connecting).await.concat();
            let active: Vec<_> = (streams.iter().step_by(10).cloned().zip(0..))
                .map(|(stream, number)| {
                    glassfrog::spawn(async move {
                        for round in 0..5 {
                            round_trip(&stream, number << 8 | round).await;
                        }
                    })
                })
                .collect();
            for active in active {
                active.await.unwrap();
            }
            // The idle connections still work.
            for (stream, number) in streams.iter().zip(0..) {
                round_trip(stream, number).await;
            }
        });
    })
    .finish();
}

#[test]
fn closed_connections_leave_nothing_behind() {
    const ROUNDS: u8 = few_or_many(6, 20) as u8;
    const CONNECTIONS_A_ROUND: usize = few_or_many(1000, 5000);
    /// The number of tasks that connect.
    const CONNECTING: usize = 50;
    /// The tolerance for the allocator and the kernel, in KiB. A leak of sixteen bytes per connection would exceed
    /// it, or of 350 bytes in the run with few connections.
    const SLACK: usize = 1024;

    child(|| {
        let runtime = glassfrog::Runtime::new().unwrap();
        let listener = runtime.block_on(async { roomy_listener(Ipv4Addr::UNSPECIFIED) });
        let port = listener.local_addr().unwrap().port();
        runtime.handle().spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                glassfrog::spawn(async { echo(stream).await.unwrap() });
            }
        });
        let mut former = None;
        for round in 1..=ROUNDS {
            let _watchdog = watchdog();
            // Each of the loopback addresses has its own ports, and a port is not free again at once (TIME_WAIT).
            let addr = (Ipv4Addr::new(127, 0, 0, round), port);
            let connecting = (0..CONNECTING).map(async |_| {
                for number in 0..(CONNECTIONS_A_ROUND / CONNECTING) as u64 {
                    let stream = TcpStream::connect(addr).await.unwrap();
                    round_trip(&stream, number).await;
                    // Ends the task of the other side before the next round begins.
                    stream.shutdown(net::Shutdown::Write).unwrap();
                    assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
                }
            });
            runtime.block_on(join_all(connecting));
            let now = (open_files(), status("self", "RssAnon"));
            // The first rounds fill caches that later rounds reuse.
            if round > 2 {
                let (files, memory) = *former.get_or_insert(now);
                assert_eq!(now.0, files);
                assert!(
                    now.1 <= memory + SLACK,
                    "{memory} KiB then, {} KiB now",
                    now.1
                );
            }
        }
    })
    .finish();
}
