//! A server that shuts down gracefully: it accepts no new clients, lets current ones finish, and
//! disconnects those that take too long.
//!
//! ```text
//! cargo run --release --example graceful_shutdown
//! cargo run --release --example graceful_shutdown -- --listen 127.0.0.1:7777
//! ```
//!
//! Without arguments, the program connects to itself, stops the server while it serves, checks which
//! clients could finish, and exits. With `--listen`, it serves until it receives `SIGINT` (Ctrl-C) or
//! `SIGTERM`; try `nc 127.0.0.1 7777`, and type `work 3000`. On Windows, it serves until its standard input ends.
//!
//! The server stops in four steps:
//!
//! 1. The signal is a cell that is set once and that every task waits for: `Stop`.
//! 2. The server closes the listening socket, and with it the connections in its backlog: `serve`.
//! 3. A connection ends between two requests: `converse`.
//! 4. After a grace period, the server aborts the remaining tasks, which closes their sockets: `serve`.
//!
//! Any thread may set the cell. With `--listen`, a task does so when the signal of the operating system arrives:
//! `asked_to_stop`.

use std::collections::HashMap;
use std::env;
use std::future::pending;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use async_lock::OnceCell;
use glassfrog::io::{AsyncBufRead, BufReader};
use glassfrog::net::{TcpListener, TcpStream};
use glassfrog::prelude::*;
use glassfrog::task::{AbortHandle, JoinError, JoinSet};
use glassfrog::time::{sleep, timeout};

/// The grace period after the signal: short, for a person who watches. A real server needs a period
/// shorter than its supervisor allows (systemd 90 s, containers usually 10 s).
const GRACE: Duration = Duration::from_secs(1);

/// The number of clients served at a time; others wait in the backlog of the listening socket.
const MAX_CLIENTS: usize = 500;

/// The time that a client may be silent.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// The longest line that the server reads.
const MAX_LINE: u64 = 100;

/// The pause after a failed `accept`, so that a lasting error does not cause a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The signal to stop: a cell that is set once, and that all tasks of the server wait for.
type Stop = Arc<OnceCell<()>>;

/// Waits for the signal to stop, then returns `what`.
async fn stopped<T>(stop: &Stop, what: T) -> T {
    stop.wait().await;
    what
}

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(|it| it.to_string_lossy()).collect();
    let outcome = match &arguments[..] {
        [] => glassfrog::block_on(async { timeout(DEMO_TIMEOUT, demo()).await? }),
        [option, address] if option == "--listen" => glassfrog::block_on(listen(address)),
        _ => Err(io::Error::other("give --listen ADDRESS, or no argument")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("graceful_shutdown: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Serves until the process is asked to stop.
async fn listen(address: &str) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    let stop = Stop::default();
    let signal = Arc::clone(&stop);
    glassfrog::spawn(async move {
        if let Err(error) = asked_to_stop().await {
            eprintln!("waiting for a signal: {error}");
        }
        let _first = signal.set(()).await;
    });
    serve(listener, stop).await;
    Ok(())
}

/// Waits for `SIGINT` or `SIGTERM`.
#[cfg(unix)]
async fn asked_to_stop() -> io::Result<()> {
    use glassfrog::signal::{SignalKind, ctrl_c, signal};
    let terminate = signal(SignalKind::terminate())?;
    ctrl_c().or(terminate.recv()).await
}

/// Waits until standard input ends.
#[cfg(not(unix))]
async fn asked_to_stop() -> io::Result<()> {
    use glassfrog::io::{copy, sink, stdin};
    copy(stdin(), sink()).await.map(drop)
}

/// An event that the server waits for.
enum Event {
    /// The signal to stop.
    Stop,
    /// The task of a client has ended.
    Left(Result<Outcome, JoinError>),
    /// A client has connected, or the accept has failed.
    Came(io::Result<(TcpStream, SocketAddr)>),
}

/// Serves until the signal to stop, and then until all clients have left or been disconnected.
async fn serve(listener: TcpListener, stop: Stop) -> Tally {
    let mut clients = Clients::default();
    loop {
        let full = clients.tasks.len() >= MAX_CLIENTS;
        let stopped = stopped(&stop, Event::Stop);
        let left = async {
            match clients.tasks.join_next().await {
                Some(end) => Event::Left(end),
                None => pending().await,
            }
        };
        let came = async {
            if full {
                pending::<()>().await;
            }
            Event::Came(listener.accept().await)
        };
        // `or` polls in this order, so the server accepts no client after the signal.
        match stopped.or(left).or(came).await {
            Event::Stop => break,
            Event::Left(end) => clients.left(end),
            Event::Came(Ok((stream, client))) => clients.came(client, stream, stop.clone()),
            Event::Came(Err(error)) => {
                eprintln!("accept: {error}");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);

    println!("stopping: {} clients are connected", clients.open.len());
    if timeout(GRACE, clients.all_left()).await.is_err() {
        clients.tasks.abort_all();
        clients.all_left().await;
    }
    let tally = clients.tally;
    println!("stopped: {tally:?}");
    tally
}

/// The result of serving a client: its address, and the number of responses or the error.
type Outcome = (SocketAddr, io::Result<u32>);

/// The number of clients by the way in which their connection ended.
#[derive(Debug, Default, PartialEq)]
struct Tally {
    /// Clients that left, or were between two requests when the server stopped.
    finished: u32,
    /// Clients whose connection failed, or that were silent for too long.
    failed: u32,
    /// Clients that did not finish within the grace period.
    cut_off: u32,
}

/// The clients of a server.
#[derive(Default)]
struct Clients {
    /// The task of each client.
    tasks: JoinSet<Outcome>,
    /// The client of each task, because an aborted task returns no address.
    open: HashMap<SocketAddr, AbortHandle>,
    /// The clients that have left.
    tally: Tally,
}

impl Clients {
    /// Starts to serve a client.
    fn came(&mut self, client: SocketAddr, stream: TcpStream, stop: Stop) {
        let serving = async move { (client, converse(stream, stop).await) };
        self.open.insert(client, self.tasks.spawn(serving));
    }

    /// Waits until all clients have left.
    async fn all_left(&mut self) {
        while let Some(end) = self.tasks.join_next().await {
            self.left(end);
        }
    }

    /// Records that a client has left, and how.
    fn left(&mut self, end: Result<Outcome, JoinError>) {
        match end {
            Ok((client, Ok(answers))) => {
                println!("{client}: finished after {answers} requests");
                self.open.remove(&client);
                self.tally.finished += 1;
            }
            Ok((client, Err(error))) => {
                eprintln!("{client}: {error}");
                self.open.remove(&client);
                self.tally.failed += 1;
            }
            Err(error) => {
                let (how, count) = match error.is_cancelled() {
                    true => ("cut off", &mut self.tally.cut_off),
                    false => ("its task panicked", &mut self.tally.failed),
                };
                *count += 1;
                let its_entry = self.open.extract_if(|_, task| task.id() == error.id());
                its_entry.for_each(|(client, _)| println!("{client}: {how}"));
            }
        }
    }
}

/// Handles the requests of a client, one after the other, until the client closes the connection or the
/// server stops. Returns the number of requests.
async fn converse(stream: TcpStream, stop: Stop) -> io::Result<u32> {
    let mut lines = BufReader::new(&stream);
    let mut answers = 0;
    loop {
        let stopped = stopped(&stop, Ok(None));
        let request = in_time(read_line(&mut lines));
        // The signal counts only here. The server responds to every request that it has read.
        let Some(request) = stopped.or(request).await? else {
            return Ok(answers);
        };
        let work = request.strip_prefix("work ").map(str::parse);
        match work {
            Some(Ok(millis)) => {
                say(&stream, "begun\n").await?;
                sleep(Duration::from_millis(millis)).await;
                say(&stream, "done\n").await?;
            }
            _ => say(&stream, "type `work` and a number of milliseconds\n").await?,
        }
        answers += 1;
    }
}

/// Sends text to a client.
async fn say(mut client: &TcpStream, words: &str) -> io::Result<()> {
    in_time(client.write_all(words.as_bytes())).await
}

/// Waits for a client within the idle timeout.
async fn in_time<T>(step: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(IDLE_TIMEOUT, step).await.unwrap_or_else(|_| {
        let reason = format!("silent for {IDLE_TIMEOUT:?}");
        Err(io::Error::new(io::ErrorKind::TimedOut, reason))
    })
}

/// Reads a line and returns it without its end, or `None` if the peer has closed the connection.
async fn read_line(lines: impl AsyncBufRead + Unpin) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    lines.take(MAX_LINE).read_until(b'\n', &mut line).await?;
    match line.pop() {
        None => Ok(None),
        Some(b'\n') => Ok(Some(
            String::from_utf8_lossy(line.trim_ascii()).into_owned(),
        )),
        Some(_) => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the line is incomplete or too long",
        )),
    }
}

/// The time limit of the demo, so that a mistake in the server cannot make it hang.
const DEMO_TIMEOUT: Duration = Duration::from_secs(20);

/// Stops a server while it serves, and checks how the connections of its clients end.
async fn demo() -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    println!("listening on {address}");
    let stop = Stop::default();
    let server = glassfrog::spawn(serve(listener, Arc::clone(&stop)));

    let mut idle = ask(address, 0).await?;
    hear(&mut idle, Some("done")).await?;
    let mut busy = ask(address, 200).await?;
    let mut endless = ask(address, 60 * 60 * 1000).await?;

    let _first = stop.set(()).await;
    // The server sees the signal and this connection at the same time.
    if ask(address, 0).await.is_ok() {
        return Err(io::Error::other(
            "the server served a client after the signal",
        ));
    }
    hear(&mut idle, None).await?;
    hear(&mut busy, Some("done")).await?;
    hear(&mut busy, None).await?;
    hear(&mut endless, None).await?;

    let tally = server.await?;
    let expected = Tally {
        finished: 2,
        failed: 0,
        cut_off: 1,
    };
    match tally == expected {
        true => Ok(()),
        false => Err(io::Error::other(format!("{tally:?} is not {expected:?}"))),
    }
}

/// Opens a connection, requests some work, and waits until the work begins.
async fn ask(address: SocketAddr, millis: u32) -> io::Result<BufReader<TcpStream>> {
    let mut stream = TcpStream::connect(address).await?;
    stream
        .write_all(format!("work {millis}\n").as_bytes())
        .await?;
    let mut client = BufReader::new(stream);
    hear(&mut client, Some("begun")).await?;
    Ok(client)
}

/// Reads the next line, and fails if it is not the expected one. `None` stands for the end.
async fn hear(client: &mut BufReader<TcpStream>, expected: Option<&str>) -> io::Result<()> {
    let heard = read_line(client).await?;
    match heard.as_deref() == expected {
        true => Ok(()),
        false => Err(io::Error::other(format!(
            "received {heard:?} instead of {expected:?}"
        ))),
    }
}
