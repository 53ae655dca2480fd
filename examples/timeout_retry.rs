//! A fetch that survives a bad day: a deadline for all of it, a timeout for each attempt, retries.
//!
//! ```text
//! cargo run --release --example timeout_retry
//! cargo run --release --example timeout_retry -- 127.0.0.1:8000
//! ```
//!
//! Without an argument it starts a server of its own that plays a script: it refuses, resets, hangs,
//! is busy, dawdles, and then answers. Given an address, it fetches `/` from there; try one where
//! nobody listens. The exit code says whether an answer came (0) or not (1).
//!
//! What a retry needs, and where it stands here:
//!
//! - a timeout for each attempt, or one server that hangs uses up all the time: `Policy::retry`
//! - a deadline for everything, because somebody waits for the answer. No pause is begun that would
//!   outlast it, and what comes out in the end is the last error: `Policy::retry`
//! - a look at the error, since most of them come again however often one tries: `may_pass`
//! - pauses that grow, so that a server in trouble is not given more of it, and random ones, so that
//!   clients who failed together do not come back together: `Policy::pause`
//!
//! And it needs a request that may happen twice, as a `GET` may: of an attempt that timed out nobody
//! knows whether the server has carried it out.

use std::cell::Cell;
use std::env;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use glassfrog::net::{TcpListener, TcpStream};
use glassfrog::prelude::*;
use glassfrog::time::{self, sleep, timeout_at};
use socket2::{Domain, SockRef, Socket, Type};

/// How patient this program is.
const POLICY: Policy = Policy {
    deadline: Duration::from_secs(5),
    attempt: Duration::from_millis(250),
    first_pause: Duration::from_millis(50),
    longest_pause: Duration::from_secs(1),
};

/// The longest answer that is accepted, so that a peer which never stops sending cannot fill the
/// memory.
const MAX_ANSWER: usize = 1024 * 1024;

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1);
    let argument = arguments.next().map(|it| it.to_string_lossy().into_owned());
    let outcome = match (argument, arguments.next()) {
        (None, _) => glassfrog::block_on(fetch_from_flaky_server()),
        (Some(address), None) => match address.parse() {
            Ok(address) => {
                let what = format!("fetch from {address}");
                glassfrog::block_on(POLICY.retry(&what, async |_| fetch(address).await))
            }
            Err(_) => Err(io::Error::other(format!(
                "{address:?} is not an address: give ip:port, like 127.0.0.1:8000"
            ))),
        },
        (Some(_), Some(_)) => Err(io::Error::other("give one address, or none")),
    };
    match outcome {
        Ok(answer) => {
            println!("{} bytes: {}", answer.len(), first_line(&answer));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("timeout_retry: {error}");
            ExitCode::FAILURE
        }
    }
}

/// How often something is tried, and how long.
struct Policy {
    /// How long all attempts together may take, with the pauses.
    deadline: Duration,
    /// How long one attempt may take.
    attempt: Duration,
    /// The longest pause after the first attempt. It doubles with each further one ...
    first_pause: Duration,
    /// ... up to this.
    longest_pause: Duration,
}

impl Policy {
    /// Tries until an attempt succeeds, until one fails in a way that will not pass, or until the
    /// deadline leaves no time for another one. An attempt is told its number, from 1 on.
    async fn retry<T>(
        &self,
        what: &str,
        mut attempt: impl AsyncFnMut(u32) -> io::Result<T>,
    ) -> io::Result<T> {
        let begun = time::now();
        let deadline = begun + self.deadline;
        let mut number = 1;
        loop {
            let started = time::now();
            let limit = deadline.min(started + self.attempt);
            let at = format!("{:>5} ms, attempt {number}", (started - begun).as_millis());
            // An attempt that takes too long is dropped where it stands, and its socket closed.
            let error = match timeout_at(limit, attempt(number)).await {
                Ok(Ok(output)) => {
                    println!("{at}: success");
                    return Ok(output);
                }
                Ok(Err(error)) => error,
                Err(_) => io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("nothing complete within {:?}", limit - started),
                ),
            };
            if !may_pass(&error) {
                println!("{at}: {error}; that will not pass");
                return Err(io::Error::new(error.kind(), format!("{what}: {error}")));
            }
            let pause = self.pause(number);
            if time::now() + pause >= deadline {
                println!("{at}: {error}; no time for another");
                let tried = format!("{number} attempts in {:?}", self.deadline);
                let text = format!("{what}: {tried}, and the last failed: {error}");
                return Err(io::Error::new(error.kind(), text));
            }
            println!("{at}: {error}; again in {} ms", pause.as_millis());
            sleep(pause).await;
            number += 1;
        }
    }

    /// How long to wait after the attempt with this number: a random time up to a bound that
    /// doubles. This is the "full jitter" of Marc Brooker, "Exponential Backoff And Jitter" (AWS
    /// Architecture Blog, 2015), which costs a crowd of clients the fewest calls.
    fn pause(&self, number: u32) -> Duration {
        let factor = 2_u32.saturating_pow(number - 1);
        let longest = self.first_pause.saturating_mul(factor);
        let longest = longest.min(self.longest_pause);
        // `std` gives each `RandomState` keys of its own, so that even the hash of nothing is
        // random: good enough for a pause, and no further crate.
        let random = RandomState::new().hash_one(());
        longest.mul_f64(random as f64 / u64::MAX as f64)
    }
}

/// Whether an error may be gone at the next attempt. An answer that makes no sense will not be.
fn may_pass(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NotConnected
            | io::ErrorKind::ResourceBusy
            | io::ErrorKind::TimedOut
            | io::ErrorKind::UnexpectedEof
    )
}

/// Fetches `/`, and returns the answer if it is one of success.
async fn fetch(address: SocketAddr) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await?;
    let mut answer = Vec::new();
    // One byte more than is allowed, to tell "just fits" from "too long".
    let mut stream = stream.take(MAX_ANSWER as u64 + 1);
    stream.read_to_end(&mut answer).await?;

    let failed = |kind, reason: String| Err(io::Error::new(kind, reason));
    if answer.is_empty() {
        let reason = "closed without an answer".to_string();
        return failed(io::ErrorKind::UnexpectedEof, reason);
    }
    if answer.len() > MAX_ANSWER {
        let reason = format!("an answer of more than {MAX_ANSWER} bytes");
        return failed(io::ErrorKind::InvalidData, reason);
    }
    let status = first_line(&answer);
    match status.split(' ').nth(1).unwrap_or_default() {
        code if code.starts_with('2') => Ok(answer),
        // Too many requests, bad gateway, unavailable, gateway timeout: RFC 6585 and RFC 9110.
        "429" | "502" | "503" | "504" => {
            failed(io::ErrorKind::ResourceBusy, format!("answered {status}"))
        }
        _ => failed(io::ErrorKind::InvalidData, format!("answered {status}")),
    }
}

/// The first line of an answer, as far as it is to be shown, without what a terminal would obey.
fn first_line(answer: &[u8]) -> String {
    let line = answer.split(|&byte| byte == b'\r' || byte == b'\n').next();
    let line = line.unwrap_or_default();
    line[..line.len().min(80)].escape_ascii().to_string()
}

/// What the embedded server does with an attempt.
#[derive(Clone, Copy, PartialEq)]
enum Mood {
    /// Nobody listens.
    Refuse,
    /// The connection is broken off.
    Reset,
    /// No answer ever comes.
    Hang,
    /// The answer is that the server has no time.
    Busy,
    /// The answer comes, but byte by byte: each read is quick, the whole is not.
    Dawdle,
    /// The answer comes.
    Answer,
}

/// What happens to the attempts, one after the other. All later ones are answered.
const SCRIPT: [Mood; 5] = [
    Mood::Refuse,
    Mood::Reset,
    Mood::Hang,
    Mood::Busy,
    Mood::Dawdle,
];

/// Fetches from the embedded server.
async fn fetch_from_flaky_server() -> io::Result<Vec<u8>> {
    // Bound, so that nobody else takes the port, but not listening yet: a connect is refused.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    let listener = std::net::TcpListener::from(socket);
    let address = listener.local_addr()?;
    let mut closed = Some(listener);
    let mood = Rc::new(Cell::new(Mood::Refuse));

    let what = format!("fetch from {address}");
    let fetched = POLICY.retry(&what, async |number| {
        // A server sees nothing of a connect that is refused, so it is told which attempt comes.
        let next = SCRIPT.get(number as usize - 1).unwrap_or(&Mood::Answer);
        mood.set(*next);
        if *next != Mood::Refuse
            && let Some(listener) = closed.take()
        {
            SockRef::from(&listener).listen(16)?;
            let listener = TcpListener::try_from(listener)?;
            glassfrog::spawn(serve(listener, Rc::clone(&mood)));
        }
        fetch(address).await
    });
    fetched.await
}

/// Accepts connections for ever, and treats each as the mood is.
async fn serve(listener: TcpListener, mood: Rc<Cell<Mood>>) {
    let mut incoming = listener.incoming();
    while let Some(connection) = incoming.next().await {
        let mood = mood.get();
        glassfrog::spawn(async move {
            // That the client has gone meanwhile is part of the play.
            let _played = play(connection?, mood).await;
            io::Result::Ok(())
        });
    }
}

/// Does to a connection what the script says.
async fn play(mut stream: TcpStream, mood: Mood) -> io::Result<()> {
    if mood == Mood::Reset {
        // A close that waits for nothing is a reset.
        return SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    }
    // The request of `fetch` comes in one piece, and nothing in it matters here.
    stream.read(&mut [0; 1024]).await?;
    let answer: &[u8] = match mood {
        Mood::Busy => b"HTTP/1.0 503 Service Unavailable\r\n\r\n",
        _ => b"HTTP/1.0 200 OK\r\n\r\nHello at last.\n",
    };
    match mood {
        // Until the client gives up.
        Mood::Hang => stream.read(&mut [0]).await.map(|_| ()),
        Mood::Dawdle => {
            for byte in answer {
                stream.write_all(&[*byte]).await?;
                sleep(Duration::from_millis(20)).await;
            }
            Ok(())
        }
        _ => stream.write_all(answer).await,
    }
}
