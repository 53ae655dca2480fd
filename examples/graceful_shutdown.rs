//! A server that ends well: nobody new is let in, who is being served may finish, and who takes too
//! long is cut off.
//!
//! ```text
//! cargo run --release --example graceful_shutdown
//! cargo run --release --example graceful_shutdown -- --listen 127.0.0.1:7777
//! ```
//!
//! Without arguments it talks to itself, is told to stop in the middle of that, checks who could
//! finish and who could not, and ends. With `--listen` it serves until its standard input ends
//! (Ctrl-D in a terminal); try `nc 127.0.0.1 7777`, and there `work 3000`.
//!
//! How a stop goes, and where it stands here:
//!
//! 1. the signal is a cell that is set once, and every task waits for it: `Stop`
//! 2. the listening socket is closed, and with it the connections that wait in its queue: `serve`
//! 3. a connection ends when it is between two requests, or as soon as it is: `converse`
//! 4. after a time of grace the others are aborted, which closes their sockets: `serve`
//!
//! Any thread may set it. To stop at `SIGTERM`, let a crate for signals do that.

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
use glassfrog::task::{AbortHandle, JoinError, JoinSet, spawn_blocking};
use glassfrog::time::{sleep, timeout};

/// How long clients may go on after the signal: short, for somebody who watches. A real server takes
/// less than its supervisor allows before it kills (systemd 90 s, containers usually 10 s).
const GRACE: Duration = Duration::from_secs(1);

/// How many clients are served at a time. Others wait in the queue of the listening socket.
const MAX_CLIENTS: usize = 500;

/// How long a client may neither send a request nor take an answer.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// The longest line that is read.
const MAX_LINE: u64 = 100;

/// How long to wait after a failed `accept`, so that an error that lasts does not become a busy
/// loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The signal to stop: a cell that whoever stops the server sets, and that all its tasks wait for.
type Stop = Arc<OnceCell<()>>;

/// Returns `what` once the server has to stop.
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
        _ => Err(io::Error::other("give --listen and an address, or nothing")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("graceful_shutdown: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Serves until the standard input ends.
async fn listen(address: &str) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    let stop = Stop::default();
    let signal = Arc::clone(&stop);
    spawn_blocking(move || {
        // An input that cannot be read has ended, too.
        let _read = io::copy(&mut io::stdin(), &mut io::sink());
        let _first = signal.set_blocking(());
    });
    serve(listener, stop).await;
    Ok(())
}

/// What a server waits for.
enum Event {
    /// The signal to stop.
    Stop,
    /// The end of a client's task.
    Left(Result<Outcome, JoinError>),
    /// A new client.
    Came(io::Result<(TcpStream, SocketAddr)>),
}

/// Serves until the signal comes, and then until the last client is gone.
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
        // Looked at in this order: after the signal nobody slips in.
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

    println!("stopping: {} are being served", clients.open.len());
    if timeout(GRACE, clients.all_left()).await.is_err() {
        clients.tasks.abort_all();
        clients.all_left().await;
    }
    let tally = clients.tally;
    println!("stopped: {tally:?}");
    tally
}

/// What comes of a client that is not cut off: how many answers it got, or what went wrong.
type Outcome = (SocketAddr, io::Result<u32>);

/// How many clients ended in which way.
#[derive(Debug, Default, PartialEq)]
struct Tally {
    /// They left, or were between two requests when the server stopped.
    finished: u32,
    /// They broke off, or were silent for too long.
    failed: u32,
    /// They were not ready within the time of grace.
    cut_off: u32,
}

/// The clients of a server.
#[derive(Default)]
struct Clients {
    /// A task for each.
    tasks: JoinSet<Outcome>,
    /// Whose task is which, since a task that was aborted has no outcome to say it.
    open: HashMap<SocketAddr, AbortHandle>,
    /// Those who are gone.
    tally: Tally,
}

impl Clients {
    /// Begins to serve a client.
    fn came(&mut self, client: SocketAddr, stream: TcpStream, stop: Stop) {
        let serving = async move { (client, converse(stream, stop).await) };
        self.open.insert(client, self.tasks.spawn(serving));
    }

    /// Waits until all are gone.
    async fn all_left(&mut self) {
        while let Some(end) = self.tasks.join_next().await {
            self.left(end);
        }
    }

    /// Notes that one is gone, and how.
    fn left(&mut self, end: Result<Outcome, JoinError>) {
        match end {
            Ok((client, Ok(answers))) => {
                println!("{client}: finished, requests answered: {answers}");
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

/// Answers the requests of a client, one after the other, until it closes or the server is to stop.
/// Returns how many there were.
async fn converse(stream: TcpStream, stop: Stop) -> io::Result<u32> {
    let mut lines = BufReader::new(&stream);
    let mut answers = 0;
    loop {
        let stopped = stopped(&stop, Ok(None));
        let request = in_time(read_line(&mut lines));
        // Only here the signal counts. A request that has been read will be answered.
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
            _ => say(&stream, "say `work`, and for how many milliseconds\n").await?,
        }
        answers += 1;
    }
}

/// Sends a client some words.
async fn say(mut client: &TcpStream, words: &str) -> io::Result<()> {
    in_time(client.write_all(words.as_bytes())).await
}

/// Waits for a client, but not for ever.
async fn in_time<T>(step: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(IDLE_TIMEOUT, step).await.unwrap_or_else(|_| {
        let reason = format!("silent for {IDLE_TIMEOUT:?}");
        Err(io::Error::new(io::ErrorKind::TimedOut, reason))
    })
}

/// Reads a line, without its end. `None` if the peer has closed instead.
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
            "a line that is cut short or too long",
        )),
    }
}

/// How long the demo may take, so that a mistake in the server cannot hang whoever runs it.
const DEMO_TIMEOUT: Duration = Duration::from_secs(20);

/// Stops a server while it serves, and checks what becomes of its clients.
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
    // The server hears of the signal and of this at once.
    if ask(address, 0).await.is_ok() {
        return Err(io::Error::other("served somebody after the signal"));
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

/// Connects, asks for some work, and waits until it has begun.
async fn ask(address: SocketAddr, millis: u32) -> io::Result<BufReader<TcpStream>> {
    let mut stream = TcpStream::connect(address).await?;
    stream
        .write_all(format!("work {millis}\n").as_bytes())
        .await?;
    let mut client = BufReader::new(stream);
    hear(&mut client, Some("begun")).await?;
    Ok(client)
}

/// Fails if the next line that a client hears is another, or the end is not (`None`).
async fn hear(client: &mut BufReader<TcpStream>, expected: Option<&str>) -> io::Result<()> {
    let heard = read_line(client).await?;
    match heard.as_deref() == expected {
        true => Ok(()),
        false => Err(io::Error::other(format!(
            "heard {heard:?}, not {expected:?}"
        ))),
    }
}
