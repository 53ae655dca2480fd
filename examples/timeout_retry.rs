//! A fetch that retries: a deadline for the whole, a timeout per attempt, and pauses that back off.
//!
//! ```text
//! cargo run --release --example timeout_retry
//! cargo run --release --example timeout_retry -- 127.0.0.1:8000
//! ```
//!
//! Without an argument, the program starts a server that follows a script: it refuses a connection,
//! resets one, hangs, is busy, is slow, and then responds. With an address, the program fetches `/` from
//! there; try an address without a server. The exit code is 0 after a response and 1 otherwise.
//!
//! A retry needs:
//!
//! - a timeout per attempt, because otherwise a server that hangs would use up all the time: `Policy::retry`
//! - a deadline for the whole, because the caller waits. The program starts no pause that would outlast
//!   the deadline, and returns the last error: `Policy::retry`
//! - a check of the error, because most errors occur again on each attempt: `may_pass`
//! - pauses that grow, so that an overloaded server gets fewer requests, and that are random, so that
//!   clients that failed together do not return together: `Policy::pause`
//!
//! The request must also be safe to repeat, as a `GET` is: the server may have handled an attempt that
//! timed out.

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

/// The policy of this program.
const POLICY: Policy = Policy {
    deadline: Duration::from_secs(5),
    attempt: Duration::from_millis(250),
    first_pause: Duration::from_millis(50),
    longest_pause: Duration::from_secs(1),
};

/// The longest response that is accepted, so that a peer cannot fill the memory.
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
                "{address:?} is not an address: give IP:PORT, such as 127.0.0.1:8000"
            ))),
        },
        (Some(_), Some(_)) => Err(io::Error::other("give at most one address")),
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

/// The limits on the attempts and on the pauses between them.
struct Policy {
    /// The time limit for all attempts, including the pauses.
    deadline: Duration,
    /// The time limit for one attempt.
    attempt: Duration,
    /// The longest pause after the first attempt. It doubles with each attempt ...
    first_pause: Duration,
    /// ... up to this limit.
    longest_pause: Duration,
}

impl Policy {
    /// Tries until an attempt succeeds, until one fails with an error that is permanent, or until the
    /// deadline leaves no time for another attempt. The argument of `attempt` is its number, from 1.
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
            // An attempt that takes too long is dropped at its current `.await`, which closes its socket.
            let error = match timeout_at(limit, attempt(number)).await {
                Ok(Ok(output)) => {
                    println!("{at}: success");
                    return Ok(output);
                }
                Ok(Err(error)) => error,
                Err(_) => io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("no complete response within {:?}", limit - started),
                ),
            };
            if !may_pass(&error) {
                println!("{at}: {error}; not retrying, the error is permanent");
                return Err(io::Error::new(error.kind(), format!("{what}: {error}")));
            }
            let pause = self.pause(number);
            if time::now() + pause >= deadline {
                println!("{at}: {error}; no time for another attempt");
                let tried = format!("{number} attempts within {:?}", self.deadline);
                let text = format!("{what}: {tried} failed, the last with: {error}");
                return Err(io::Error::new(error.kind(), text));
            }
            println!("{at}: {error}; retrying in {} ms", pause.as_millis());
            sleep(pause).await;
            number += 1;
        }
    }

    /// Returns the pause after the attempt with this number: a random time up to a limit that doubles.
    /// This is the "full jitter" of Marc Brooker, "Exponential Backoff And Jitter" (AWS Architecture
    /// Blog, 2015), with which competing clients need the fewest calls.
    fn pause(&self, number: u32) -> Duration {
        let factor = 2_u32.saturating_pow(number - 1);
        let longest = self.first_pause.saturating_mul(factor);
        let longest = longest.min(self.longest_pause);
        // Each `RandomState` has keys of its own, so even the hash of nothing is random. That is good
        // enough for a pause and needs no other crate.
        let random = RandomState::new().hash_one(());
        longest.mul_f64(random as f64 / u64::MAX as f64)
    }
}

/// Returns whether the next attempt may succeed after this error. An invalid response is permanent.
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

/// Fetches `/` and returns the response if its status is a success.
async fn fetch(address: SocketAddr) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await?;
    let mut answer = Vec::new();
    // One byte more than the limit, to tell "just fits" from "too long".
    let mut stream = stream.take(MAX_ANSWER as u64 + 1);
    stream.read_to_end(&mut answer).await?;

    let failed = |kind, reason: String| Err(io::Error::new(kind, reason));
    if answer.is_empty() {
        let reason = "the peer closed the connection without a response".to_string();
        return failed(io::ErrorKind::UnexpectedEof, reason);
    }
    if answer.len() > MAX_ANSWER {
        let reason = format!("the response is longer than {MAX_ANSWER} bytes");
        return failed(io::ErrorKind::InvalidData, reason);
    }
    let status = first_line(&answer);
    match status.split(' ').nth(1).unwrap_or_default() {
        code if code.starts_with('2') => Ok(answer),
        // Too many requests, bad gateway, unavailable, gateway timeout: RFC 6585 and RFC 9110.
        "429" | "502" | "503" | "504" => failed(
            io::ErrorKind::ResourceBusy,
            format!("the server responded with {status}"),
        ),
        _ => failed(
            io::ErrorKind::InvalidData,
            format!("the server responded with {status}"),
        ),
    }
}

/// Returns the beginning of the first line of a response, with control characters escaped.
fn first_line(answer: &[u8]) -> String {
    let line = answer.split(|&byte| byte == b'\r' || byte == b'\n').next();
    let line = line.unwrap_or_default();
    line[..line.len().min(80)].escape_ascii().to_string()
}

/// What the embedded server does with a connection.
#[derive(Clone, Copy, PartialEq)]
enum Behavior {
    /// Refuses the connection.
    Refuse,
    /// Resets the connection.
    Reset,
    /// Never responds.
    Hang,
    /// Responds that the service is unavailable.
    Busy,
    /// Responds byte by byte: each read is fast, but the whole response takes too long.
    Dawdle,
    /// Responds.
    Answer,
}

/// What the server does with the attempts, in order. It responds to all later ones.
const SCRIPT: [Behavior; 5] = [
    Behavior::Refuse,
    Behavior::Reset,
    Behavior::Hang,
    Behavior::Busy,
    Behavior::Dawdle,
];

/// Fetches from the embedded server.
async fn fetch_from_flaky_server() -> io::Result<Vec<u8>> {
    // Bound, so that no other program takes the port, but not listening: the kernel refuses connections.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    let listener = std::net::TcpListener::from(socket);
    let address = listener.local_addr()?;
    let mut closed = Some(listener);
    let behavior = Rc::new(Cell::new(Behavior::Refuse));

    let what = format!("fetch from {address}");
    let fetched = POLICY.retry(&what, async |number| {
        // The server does not see a refused connection, so set its behavior before each attempt.
        let next = SCRIPT.get(number as usize - 1).unwrap_or(&Behavior::Answer);
        behavior.set(*next);
        if *next != Behavior::Refuse
            && let Some(listener) = closed.take()
        {
            SockRef::from(&listener).listen(16)?;
            let listener = TcpListener::try_from(listener)?;
            glassfrog::spawn(serve(listener, Rc::clone(&behavior)));
        }
        fetch(address).await
    });
    fetched.await
}

/// Accepts connections forever, and treats each according to the current behavior.
async fn serve(listener: TcpListener, behavior: Rc<Cell<Behavior>>) {
    let mut incoming = listener.incoming();
    while let Some(connection) = incoming.next().await {
        let behavior = behavior.get();
        glassfrog::spawn(async move {
            // The client may have given up in the meantime, as the script intends.
            let _played = play(connection?, behavior).await;
            io::Result::Ok(())
        });
    }
}

/// Handles a connection with the given behavior.
async fn play(mut stream: TcpStream, behavior: Behavior) -> io::Result<()> {
    if behavior == Behavior::Reset {
        // Closing a socket with a linger time of zero resets the connection.
        return SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    }
    // `fetch` sends its request in one piece, and the contents do not matter here.
    stream.read(&mut [0; 1024]).await?;
    let answer: &[u8] = match behavior {
        Behavior::Busy => b"HTTP/1.0 503 Service Unavailable\r\n\r\n",
        _ => b"HTTP/1.0 200 OK\r\n\r\nHello at last.\n",
    };
    match behavior {
        // Wait until the client gives up.
        Behavior::Hang => stream.read(&mut [0]).await.map(|_| ()),
        Behavior::Dawdle => {
            for byte in answer {
                stream.write_all(&[*byte]).await?;
                sleep(Duration::from_millis(20)).await;
            }
            Ok(())
        }
        _ => stream.write_all(answer).await,
    }
}
