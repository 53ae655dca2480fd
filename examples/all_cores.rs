//! A server on all cores: one worker on each, and all of them listen on the same port.
//!
//! ```text
//! cargo run --release --example all_cores
//! cargo run --release --example all_cores -- 127.0.0.1:7777
//! ```
//!
//! Without an argument clients connect from within, and it prints how many of them each worker has
//! served. Given an address, it serves there until it is killed; try `nc 127.0.0.1 7777` a few times.
//!
//! glassfrog does not move tasks between threads; here it is the kernel that deals out the work. Each
//! worker has a listening socket of its own (`SO_REUSEPORT` of `socket(7)`), and Linux gives every new
//! connection to one of them, by a hash of the addresses. The workers share nothing and wait for
//! nobody. Nobody looks who has time, either: where some connections cost far more than others, accept
//! on one thread and deal them out through `Workers::handles`.
//!
//! On other systems the program works, and one worker does: macOS and the BSDs give all connections
//! to the socket that was bound last (FreeBSD has `SO_REUSEPORT_LB` for what Linux does), and Windows
//! has no such option.

use std::convert::Infallible;
use std::env;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use glassfrog::Workers;
use glassfrog::net::{TcpListener, TcpStream};
use glassfrog::prelude::*;
use glassfrog::task::JoinSet;
use glassfrog::time::{sleep, timeout};
use socket2::{Domain, Socket, Type};

/// How many connections wait to be accepted, for each worker.
const BACKLOG: i32 = 1024;

/// How many connections a worker serves at a time. Others wait to be accepted.
const MAX_CONNECTIONS: usize = 500;

/// How long a connection may take, at either end.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How long to wait after a failed `accept`, so that an error that lasts does not become a busy
/// loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1);
    let argument = arguments.next().map(|it| it.to_string_lossy().into_owned());
    let outcome = match (argument, arguments.next()) {
        (None, _) => run(None),
        (Some(address), None) => match address.parse() {
            Ok(address) => run(Some(address)),
            Err(_) => Err(io::Error::other(format!(
                "{address:?} is not an address: give ip:port, like 127.0.0.1:7777"
            ))),
        },
        (Some(_), Some(_)) => Err(io::Error::other("give one address, or none")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("all_cores: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Serves at an address for ever, or at any address for as long as the demo takes.
fn run(address: Option<SocketAddr>) -> io::Result<()> {
    let cores = thread::available_parallelism()?.get();
    // Two at least, to have something to see.
    let count = if cfg!(unix) { cores.max(2) } else { 1 };

    // All listen before the first connection comes: who is served by whom depends on their number.
    let listeners = listen(address.unwrap_or((Ipv4Addr::LOCALHOST, 0).into()), count)?;
    let bound = listeners[0].local_addr()?;
    let workers = Workers::new(count)?;
    println!("listening on {bound} (cores: {cores}, workers: {count})");

    // A socket of `std` belongs to nobody yet, and can be sent to the worker that is to have it.
    let pairs = listeners.into_iter().zip(workers.handles());
    let servers = pairs
        .enumerate()
        .map(|(number, (listener, handle))| handle.spawn_with(move || serve(listener, number)));

    // This thread has a runtime too, for the clients and for what goes wrong.
    glassfrog::block_on(async {
        let mut failures = JoinSet::new();
        for server in servers {
            failures.spawn(async {
                match server.await {
                    Ok(Err(error)) => error,
                    Err(panicked) => panicked.into(),
                }
            });
        }
        let failure = async {
            match failures.join_next().await {
                Some(first) => Err(first?),
                // There is at least one worker.
                None => std::future::pending().await,
            }
        };
        let work = async {
            match address {
                Some(_) => std::future::pending().await,
                None => demo(bound, count).await,
            }
        };
        work.or(failure).await
    })?;
    Ok(workers.stop()?)
}

/// Makes listening sockets that share an address.
fn listen(mut address: SocketAddr, count: usize) -> io::Result<Vec<std::net::TcpListener>> {
    let mut listeners = Vec::new();
    for _ in 0..count {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        // On Windows this would let another program take the port away.
        #[cfg(unix)]
        socket.set_reuse_address(true)?;
        #[cfg(unix)]
        socket.set_reuse_port(true)?;
        socket
            .bind(&address.into())
            .and_then(|()| socket.listen(BACKLOG))
            .map_err(|error| io::Error::new(error.kind(), format!("bind to {address}: {error}")))?;
        let listener = std::net::TcpListener::from(socket);
        // Port 0 is any for the first, and the same for the others.
        address = listener.local_addr()?;
        listeners.push(listener);
    }
    Ok(listeners)
}

/// Accepts connections for ever, and answers each in a task of its own.
async fn serve(listener: std::net::TcpListener, worker: usize) -> io::Result<Infallible> {
    let listener = TcpListener::try_from(listener)?;
    let mut connections = JoinSet::new();
    loop {
        // Those that have ended leave the set, and if it is full, another one has to end first.
        while connections.try_join_next().is_some() {}
        if connections.len() == MAX_CONNECTIONS {
            connections.join_next().await;
        }
        match listener.accept().await {
            Ok((stream, client)) => {
                connections.spawn(async move {
                    if let Err(error) = answer(stream, worker).await {
                        eprintln!("{client}: {error}");
                    }
                });
            }
            Err(error) => {
                eprintln!("accept: {error}");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Tells a client who serves it. Put a protocol of your own here.
async fn answer(mut stream: TcpStream, worker: usize) -> io::Result<()> {
    let text = format!("worker {worker}\n");
    in_time(stream.write_all(text.as_bytes())).await
}

/// Waits for the other end, but not for ever.
async fn in_time<T>(step: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(TIMEOUT, step).await.unwrap_or_else(|_| {
        let reason = format!("not finished within {TIMEOUT:?}");
        Err(io::Error::new(io::ErrorKind::TimedOut, reason))
    })
}

/// How many connections the demo makes for each worker. Few enough to be over at once, and so many
/// that none of the workers goes away empty-handed.
const DEMO_CONNECTIONS: usize = 200;

/// How many of them are open at a time.
const DEMO_CLIENTS: usize = 50;

/// Connects many times, and prints how many connections each worker has served.
async fn demo(address: SocketAddr, workers: usize) -> io::Result<()> {
    let mut served = vec![0; workers];
    let mut clients = JoinSet::new();
    let mut left = workers * DEMO_CONNECTIONS;
    loop {
        while left > 0 && clients.len() < DEMO_CLIENTS {
            clients.spawn(in_time(visit(address)));
            left -= 1;
        }
        match clients.join_next().await {
            Some(worker) => {
                let worker: usize = worker??;
                let unknown = || io::Error::other(format!("there is no worker {worker}"));
                *served.get_mut(worker).ok_or_else(unknown)? += 1;
            }
            None => break,
        }
    }

    for (worker, connections) in served.iter().enumerate() {
        let bar = "#".repeat(connections * 40 / DEMO_CONNECTIONS / workers);
        println!("worker {worker:>2}  {connections:>6} connections  {bar}");
    }
    if !cfg!(target_os = "linux") {
        println!("(this system does not spread connections over several sockets)");
    } else if served.contains(&0) {
        return Err(io::Error::other("the kernel has left a worker out"));
    }
    Ok(())
}

/// Connects, and returns which worker answers.
async fn visit(address: SocketAddr) -> io::Result<usize> {
    let stream = TcpStream::connect(address).await?;
    let mut text = String::new();
    stream.take(100).read_to_string(&mut text).await?;
    let worker = text.trim_end().strip_prefix("worker ");
    worker
        .and_then(|number| number.parse().ok())
        .ok_or_else(|| io::Error::other(format!("{address} answered {text:?}")))
}
