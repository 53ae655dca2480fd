//! A server on all cores, with one worker per core. All workers listen on the same port.
//!
//! ```text
//! cargo run --release --example all_cores
//! cargo run --release --example all_cores -- 127.0.0.1:7777
//! ```
//!
//! Without an argument, the program connects to itself and prints how many connections each worker has
//! served. With an address, it serves there until it is killed; try `nc 127.0.0.1 7777` a few times.
//!
//! glassfrog does not move tasks between threads; here the kernel distributes the work. Each worker has
//! a listening socket of its own (`SO_REUSEPORT`, see `socket(7)`), and Linux assigns each new connection
//! to one of them by a hash of the addresses. The workers share nothing and never wait for each other.
//! The kernel does not consider their load, however. If some connections cost far more than others,
//! accept on one thread and distribute the connections through `Workers::handles`.
//!
//! On other systems, the program works with only one busy worker: macOS and the BSDs give all connections
//! to the socket that was bound last (FreeBSD has `SO_REUSEPORT_LB` for the behavior of Linux), and
//! Windows has no such option.

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

/// The backlog of each listening socket.
const BACKLOG: i32 = 1024;

/// The number of connections that a worker serves at a time; others wait in the backlog.
const MAX_CONNECTIONS: usize = 500;

/// The time limit of a connection, at either end.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The pause after a failed `accept`, so that a lasting error does not cause a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1);
    let argument = arguments.next().map(|it| it.to_string_lossy().into_owned());
    let outcome = match (argument, arguments.next()) {
        (None, _) => run(None),
        (Some(address), None) => match address.parse() {
            Ok(address) => run(Some(address)),
            Err(_) => Err(io::Error::other(format!(
                "{address:?} is not an address: give IP:PORT, such as 127.0.0.1:7777"
            ))),
        },
        (Some(_), Some(_)) => Err(io::Error::other("give at most one address")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("all_cores: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Serves at an address forever, or at any address for the time of the demo.
fn run(address: Option<SocketAddr>) -> io::Result<()> {
    let cores = thread::available_parallelism()?.get();
    // At least two, so that there is something to distribute.
    let count = if cfg!(unix) { cores.max(2) } else { 1 };

    // All sockets listen before the first connection: their number determines which of them gets it.
    let listeners = listen(address.unwrap_or((Ipv4Addr::LOCALHOST, 0).into()), count)?;
    let bound = listeners[0].local_addr()?;
    let workers = Workers::new(count)?;
    println!("listening on {bound} (cores: {cores}, workers: {count})");

    // A socket of `std` belongs to no runtime yet, so it can be sent to a worker.
    let pairs = listeners.into_iter().zip(workers.handles());
    let servers = pairs
        .enumerate()
        .map(|(number, (listener, handle))| handle.spawn_with(move || serve(listener, number)));

    // This thread has a runtime of its own, for the clients and for the errors of the servers.
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

/// Creates listening sockets that share an address.
fn listen(mut address: SocketAddr, count: usize) -> io::Result<Vec<std::net::TcpListener>> {
    let mut listeners = Vec::new();
    for _ in 0..count {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        // On Windows, this option would let another program take over the port.
        #[cfg(unix)]
        socket.set_reuse_address(true)?;
        #[cfg(unix)]
        socket.set_reuse_port(true)?;
        socket
            .bind(&address.into())
            .and_then(|()| socket.listen(BACKLOG))
            .map_err(|error| io::Error::new(error.kind(), format!("bind to {address}: {error}")))?;
        let listener = std::net::TcpListener::from(socket);
        // Port 0 means any free port for the first socket; the others use the same port.
        address = listener.local_addr()?;
        listeners.push(listener);
    }
    Ok(listeners)
}

/// Accepts connections forever, and responds to each in a task of its own.
async fn serve(listener: std::net::TcpListener, worker: usize) -> io::Result<Infallible> {
    let listener = TcpListener::try_from(listener)?;
    let mut connections = JoinSet::new();
    loop {
        // Remove the tasks that have finished. If the set is full, wait for one to finish.
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

/// Sends the number of the worker to a client. Replace this with your own protocol.
async fn answer(mut stream: TcpStream, worker: usize) -> io::Result<()> {
    let text = format!("worker {worker}\n");
    in_time(stream.write_all(text.as_bytes())).await
}

/// Runs a step within the time limit.
async fn in_time<T>(step: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(TIMEOUT, step).await.unwrap_or_else(|_| {
        let reason = format!("the peer did not finish within {TIMEOUT:?}");
        Err(io::Error::new(io::ErrorKind::TimedOut, reason))
    })
}

/// The number of connections of the demo per worker: few enough to finish quickly, and enough for each
/// worker to get some.
const DEMO_CONNECTIONS: usize = 200;

/// The number of connections of the demo that are open at a time.
const DEMO_CLIENTS: usize = 50;

/// Connects many times and prints how many connections each worker has served.
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
        println!("(this system does not distribute connections among several sockets)");
    } else if served.contains(&0) {
        return Err(io::Error::other("a worker has served no connection"));
    }
    Ok(())
}

/// Opens a connection, and returns the number of the worker that responds.
async fn visit(address: SocketAddr) -> io::Result<usize> {
    let stream = TcpStream::connect(address).await?;
    let mut text = String::new();
    stream.take(100).read_to_string(&mut text).await?;
    let worker = text.trim_end().strip_prefix("worker ");
    worker
        .and_then(|number| number.parse().ok())
        .ok_or_else(|| io::Error::other(format!("unexpected response from {address}: {text:?}")))
}
