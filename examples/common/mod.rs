//! Shared by the examples `01` to `04`: the request, the limits, the report, and a slow server.
//!
//! The four steps perform the same fetch and differ only in how they wait. Everything else is in this
//! module, so that each step shows only its own idea. Nothing here is asynchronous: the server uses
//! `std` threads and is the same for each step.

use std::error::Error;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

/// The request that every step sends. With HTTP/1.0, the peer closes the connection after its response,
/// so each step knows when it has read everything.
pub(crate) const REQUEST: &[u8] = b"GET / HTTP/1.0\r\n\r\n";

/// The time after which a step gives up: far longer than the embedded server takes, but short enough for
/// a person who watches a peer that never responds.
pub(crate) const DEADLINE: Duration = Duration::from_secs(5);

/// The longest response that a step accepts, so that a peer cannot fill the memory.
pub(crate) const MAX_RESPONSE: usize = 1024 * 1024;

/// The time that the embedded server takes before it responds: long enough to see how the steps wait.
const THINKING_TIME: Duration = Duration::from_millis(200);

/// The longest request line or header that the embedded server reads.
const MAX_REQUEST_LINE: u64 = 8 * 1024;

/// Runs a step against the address that the user gave, or against the embedded server.
///
/// Prints an error as a sentence and returns a nonzero exit code.
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

/// Runs `fetches`, then prints the responses, the elapsed time, and the CPU time of this thread.
pub(crate) fn report(
    what: &str,
    fetches: impl FnOnce() -> io::Result<Vec<String>>,
) -> io::Result<()> {
    let cpu_before = cpu_time();
    let begun = Instant::now();
    let responses = fetches()?;
    let took = begun.elapsed();
    let cpu = match (cpu_before, cpu_time()) {
        // The kernel counts CPU time in ticks, so it can exceed a very short elapsed time.
        (Some(before), Some(after)) => {
            format!("{} ms", after.saturating_sub(before).min(took).as_millis())
        }
        _ => "an unknown part".to_string(),
    };

    println!("{what}:");
    for response in &responses {
        // Printed with `{:?}`: the bytes of a peer must not reach the terminal unescaped.
        let first_line = response.lines().next().unwrap_or_default();
        println!("  {first_line:?}, {} bytes", response.len());
    }
    println!("  took {} ms, {cpu} of it on the CPU", took.as_millis());
    Ok(())
}

/// Converts a complete response to text. Rejects a response that is empty or too long.
pub(crate) fn text(response: Vec<u8>) -> io::Result<String> {
    if response.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the peer closed the connection without a response",
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

/// Returns the error of a step whose peer did not respond in time.
pub(crate) fn too_late() -> io::Error {
    io::Error::new(
        io::ErrorKind::TimedOut,
        format!("no complete response within {DEADLINE:?}"),
    )
}

/// Returns the address to fetch from: the first argument, or that of a new embedded server.
fn address() -> Result<SocketAddr, Box<dyn Error>> {
    let mut arguments = env::args_os().skip(1);
    match (arguments.next(), arguments.next()) {
        (None, _) => Ok(start_server()?),
        (Some(argument), None) => {
            let argument = argument.to_string_lossy();
            argument.parse().map_err(|_| {
                format!("{argument:?} is not an address: give IP:PORT, such as 127.0.0.1:8000")
                    .into()
            })
        }
        (Some(_), Some(_)) => Err("give at most one address".into()),
    }
}

/// Returns the CPU time of the calling thread so far, if the system provides it (Linux does).
fn cpu_time() -> Option<Duration> {
    let statistics = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds = statistics.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanoseconds))
}

/// Starts a server on a free port of the loopback interface, with one thread per connection.
///
/// The server runs until the process exits.
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

/// Reads a request, waits, responds, and closes.
fn answer(mut stream: TcpStream) -> io::Result<()> {
    // Closing a connection with unread bytes resets it, and the reset can overtake the response. So read
    // up to the empty line that ends the request, although its contents do not matter here.
    let mut request = BufReader::new(&stream);
    loop {
        let mut line = Vec::new();
        io::Read::take(&mut request, MAX_REQUEST_LINE).read_until(b'\n', &mut line)?;
        if line.is_empty() || line == b"\r\n" || line == b"\n" {
            break;
        }
    }
    // The steps wait for this. It blocks only the thread of this client.
    thread::sleep(THINKING_TIME);

    let body = "Hello from the embedded server.\n";
    let length = body.len();
    write!(
        stream,
        "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}
