//! What the four steps of the ladder share: the request, the bounds, a report, and a slow server.
//!
//! Steps `01` to `04` tell the same story with four different ways to wait. Whatever is not about
//! waiting stands here, so that each step shows only its own idea. Nothing in this module is
//! asynchronous: the server is plain `std` threads and stays the same from step to step.

use std::error::Error;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

/// What every step sends. With HTTP/1.0 the peer closes when its answer is complete, and that is
/// how each step knows that it has read everything.
pub(crate) const REQUEST: &[u8] = b"GET / HTTP/1.0\r\n\r\n";

/// How long a step waits for its answers before it gives up: far longer than the embedded server
/// takes, short enough for somebody who watches a peer that never answers.
pub(crate) const DEADLINE: Duration = Duration::from_secs(5);

/// The longest response that a step accepts, so that a peer which never stops sending cannot fill
/// the memory.
pub(crate) const MAX_RESPONSE: usize = 1024 * 1024;

/// How long the embedded server thinks before it answers: long enough to see who waits and how.
const THINKING_TIME: Duration = Duration::from_millis(200);

/// The longest request line or header that the embedded server reads.
const MAX_REQUEST_LINE: u64 = 8 * 1024;

/// Runs one step against the address that the user gave, or against the embedded server.
///
/// An error is printed as a sentence, and the process then ends with a code other than zero.
pub(crate) fn run(step: fn(SocketAddr) -> io::Result<()>) -> ExitCode {
    let failure = match address() {
        Ok(address) => match step(address) {
            Ok(()) => return ExitCode::SUCCESS,
            Err(error) => format!("fetching from {address}: {error}"),
        },
        Err(error) => error.to_string(),
    };
    eprintln!("error: {failure}");
    ExitCode::FAILURE
}

/// Runs `fetches`, then prints what came back, how long it took, and how much of that time this
/// thread spent on the CPU.
pub(crate) fn report(
    what: &str,
    fetches: impl FnOnce() -> io::Result<Vec<String>>,
) -> io::Result<()> {
    let cpu_before = cpu_time();
    let begun = Instant::now();
    let responses = fetches()?;
    let took = begun.elapsed();
    let cpu = match (cpu_before, cpu_time()) {
        // The kernel books CPU time in ticks, so that it can exceed a very short wall-clock time.
        (Some(before), Some(after)) => {
            format!("{} ms", after.saturating_sub(before).min(took).as_millis())
        }
        _ => "an unknown part".to_string(),
    };

    println!("{what}:");
    for response in &responses {
        // Printed with `{:?}`: a stranger's bytes must not reach the terminal unescaped.
        let first_line = response.lines().next().unwrap_or_default();
        println!("  {first_line:?}, {} bytes", response.len());
    }
    println!("  took {} ms, {cpu} of it on the CPU", took.as_millis());
    Ok(())
}

/// Turns the bytes of a complete response into text, and rejects those that are no answer.
pub(crate) fn text(response: Vec<u8>) -> io::Result<String> {
    if response.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the peer closed the connection without an answer",
        ));
    }
    if response.len() > MAX_RESPONSE {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("the response is longer than {MAX_RESPONSE} bytes"),
        ));
    }
    Ok(String::from_utf8_lossy(&response).into_owned())
}

/// The error of a step whose peer did not answer in time.
pub(crate) fn too_late() -> io::Error {
    io::Error::new(
        io::ErrorKind::TimedOut,
        format!("no complete answer within {DEADLINE:?}"),
    )
}

/// The address to fetch from: the first argument, or else that of a freshly started server.
fn address() -> Result<SocketAddr, Box<dyn Error>> {
    let mut arguments = env::args_os().skip(1);
    match (arguments.next(), arguments.next()) {
        (None, _) => Ok(start_server()?),
        (Some(argument), None) => {
            let argument = argument.to_string_lossy();
            argument.parse().map_err(|_| {
                format!("{argument:?} is not an address: give ip:port, like 127.0.0.1:8000").into()
            })
        }
        (Some(_), Some(_)) => Err("give one address, or none".into()),
    }
}

/// How long the calling thread has been on the CPU so far, where the system tells (Linux does).
fn cpu_time() -> Option<Duration> {
    let statistics = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds = statistics.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanoseconds))
}

/// Starts a server on a free port of the loopback interface, with one thread a connection.
///
/// It runs until the process ends.
fn start_server() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for connection in listener.incoming() {
            thread::spawn(|| {
                if let Err(error) = connection.and_then(answer) {
                    eprintln!("embedded server: {error}");
                }
            });
        }
    });
    Ok(address)
}

/// Reads a whole request, thinks, answers, and closes.
fn answer(mut stream: TcpStream) -> io::Result<()> {
    // A connection that is closed with unread bytes is reset, and a reset can overtake the answer.
    // So read up to the empty line that ends the request, even though nothing in it matters here.
    let mut request = BufReader::new(&stream);
    loop {
        let mut line = Vec::new();
        io::Read::take(&mut request, MAX_REQUEST_LINE).read_until(b'\n', &mut line)?;
        if line.is_empty() || line == b"\r\n" || line == b"\n" {
            break;
        }
    }
    // What the steps have to wait for; it blocks nobody but this client's own thread.
    thread::sleep(THINKING_TIME);

    let body = "Hello from the embedded server.\n";
    let length = body.len();
    write!(
        stream,
        "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}
