//! Fetches several URLs at once on one thread, and draws who waited for what, and when.
//!
//! ```text
//! cargo run --release --example fetch
//! cargo run --release --example fetch -- http://127.0.0.1:8000/a http://[::1]:8000/b
//! ```
//!
//! Without arguments it starts a server of its own, on the same thread, and fetches five pages from
//! it. Given URLs, it fetches those. Names are not resolved here: the host has to be an IP address.
//!
//! The answer ends where the peer closes (HTTP/1.0). Of its head only the status line is looked at;
//! an error status is an answer too, and no failure. A fetch fails alone: the others go on, and the
//! exit code says in the end whether all went well (0), some failed (1), or the arguments were no
//! URLs that it can fetch (2).
//!
//! Read on in this order: `main`, `run`, `fetch_all`, `fetch`, `fetch_data` here, then
//! `picture.rs`, and if you like the small ones: `url.rs`, `answer.rs`, `server.rs`.

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use glassfrog::net::TcpStream;
use glassfrog::prelude::*;
use glassfrog::time::{self, timeout};

use crate::answer::Answer;
use crate::url::Url;

mod answer;
mod picture;
mod server;
mod url;

/// What it takes.
const USAGE: &str = "usage: fetch [http://address[:port][/path]]...
fetches the URLs at once; without any, five pages of a server of its own";

/// How long the whole run may take: all fetches start together, so the limit of each is the limit
/// of all. Patient enough for a slow server, short enough to wait for in front of a terminal.
const DEADLINE: Duration = Duration::from_secs(30);

/// The longest answer that is accepted, because a peer that never stops sending must not fill the
/// memory.
const MAX_RESPONSE: usize = 16 * 1024 * 1024;

/// How much is read at a time. Large answers need fewer calls with a larger buffer; beyond 64 KiB
/// that hardly changes.
const READ_SIZE: usize = 64 * 1024;

fn main() -> ExitCode {
    let mut urls = Vec::new();
    for argument in env::args_os().skip(1) {
        let argument = argument.to_string_lossy();
        if argument == "-h" || argument == "--help" {
            // A pipe that nobody reads is no reason to fail.
            let _unread = writeln!(io::stdout(), "{USAGE}");
            return ExitCode::SUCCESS;
        }
        match Url::parse(&argument) {
            Ok(url) => urls.push(url),
            Err(reason) => {
                eprintln!("fetch: cannot fetch {argument:?}: {reason}");
                eprintln!("{USAGE}");
                return ExitCode::from(2);
            }
        }
    }

    match glassfrog::block_on(run(urls)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("fetch: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Fetches the URLs, or without any those of the embedded server, and prints the report. Returns
/// whether all went well.
async fn run(mut urls: Vec<Url>) -> io::Result<bool> {
    // Not with `println!`, which panics when the reader of a pipe has seen enough.
    let mut stdout = io::stdout();
    if urls.is_empty() {
        urls = server::start().await?;
        let address = urls[0].address;
        writeln!(stdout, "A server on this same thread listens on {address}.")?;
    }
    let what = match urls.len() {
        1 => "1 URL".to_string(),
        several => format!("{several} URLs at once"),
    };
    writeln!(stdout, "Fetching {what}, for at most {DEADLINE:?} ...\n")?;

    let fetches = fetch_all(urls).await?;
    let report = picture::report(&fetches, picture::terminal_width());
    stdout.write_all(report.as_bytes())?;
    Ok(fetches.iter().all(|fetch| fetch.outcome.is_ok()))
}

/// Fetches all URLs at once, each in a task of its own.
async fn fetch_all(urls: Vec<Url>) -> io::Result<Vec<Fetch>> {
    let origin = time::now();
    let tasks: Vec<_> = urls
        .into_iter()
        .map(|url| glassfrog::spawn(fetch(url, origin)))
        .collect();
    let mut fetches = Vec::new();
    for task in tasks {
        fetches.push(task.await?);
    }
    Ok(fetches)
}

/// One fetch that is over.
struct Fetch {
    /// What was fetched.
    url: Url,
    /// When its phases began and ended.
    timing: Timing,
    /// The answer, or what was tried and why it failed.
    outcome: Result<Answer, String>,
}

/// When the phases of a fetch began and ended, counted from the beginning of the whole run.
struct Timing {
    /// The beginning of the whole run.
    origin: Instant,
    /// When this fetch began to connect.
    started: Duration,
    /// When it was connected, if it ever was.
    connected: Option<Duration>,
    /// When the first byte of the answer came, if one did.
    first_byte: Option<Duration>,
    /// When the fetch was over, well or not.
    ended: Duration,
}

impl Timing {
    /// The timing of a fetch that starts now.
    fn start(origin: Instant) -> Self {
        let started = time::now() - origin;
        Self {
            origin,
            started,
            connected: None,
            first_byte: None,
            ended: started,
        }
    }

    /// The time since the beginning of the whole run.
    fn now(&self) -> Duration {
        time::now() - self.origin
    }
}

/// Fetches one URL, and never fails: what goes wrong stands in the outcome.
async fn fetch(url: Url, origin: Instant) -> Fetch {
    let mut timing = Timing::start(origin);
    let response = timeout(DEADLINE, fetch_data(&url, &mut timing)).await;
    timing.ended = timing.now();

    let attempt = match (timing.connected, timing.first_byte) {
        (None, _) => "connect to",
        (Some(_), None) => "wait for",
        (Some(_), Some(_)) => "read from",
    };
    let failure = |reason: String| format!("{attempt} {}: {reason}", url.address);
    let outcome = match response {
        Ok(Ok(response)) => Answer::read(&response).map_err(failure),
        // The error of a failed connect says by itself what was tried.
        Ok(Err(error)) if timing.connected.is_none() => Err(error.to_string()),
        Ok(Err(error)) => Err(failure(error.to_string())),
        Err(_) => Err(failure(format!("not finished after {DEADLINE:?}"))),
    };
    Fetch {
        url,
        timing,
        outcome,
    }
}

/// Connects, sends the request, receives until the peer closes, and returns the whole answer.
async fn fetch_data(url: &Url, timing: &mut Timing) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(url.address).await?;
    timing.connected = Some(timing.now());

    stream.write_all(url.request().as_bytes()).await?;

    let mut response = Vec::new();
    let mut buffer = vec![0; READ_SIZE];
    loop {
        let received = stream.read(&mut buffer).await?;
        if received == 0 {
            return Ok(response);
        }
        let now = timing.now();
        timing.first_byte.get_or_insert(now);
        response.extend_from_slice(&buffer[..received]);
        if response.len() > MAX_RESPONSE {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!(
                    "the answer is larger than {} MiB",
                    MAX_RESPONSE / 1024 / 1024
                ),
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Shutdown, SocketAddr};

    use glassfrog::net::TcpListener;
    use socket2::{Domain, Socket, Type};

    use super::*;

    /// Fetches from a peer that reads the request, sends `answer` and closes.
    fn fetch_from_peer(answer: &'static [u8]) -> Fetch {
        glassfrog::block_on(async {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            let address = listener.local_addr().unwrap();
            let peer = glassfrog::spawn(async move {
                let (mut stream, _) = listener.accept().await?;
                stream.write_all(answer).await?;
                stream.shutdown(Shutdown::Write)?;
                // Read to the end, so that the close is orderly.
                stream.read_to_end(&mut Vec::new()).await
            });
            let url = Url::parse(&format!("http://{address}/")).unwrap();
            let fetch = fetch(url, time::now()).await;
            peer.await.unwrap().unwrap();
            fetch
        })
    }

    #[test]
    fn the_embedded_server_answers_all_five() {
        let fetches =
            glassfrog::block_on(async { fetch_all(server::start().await?).await }).unwrap();
        assert_eq!(fetches.len(), 5);
        for Fetch {
            url,
            timing,
            outcome,
        } in fetches
        {
            let answer = outcome.expect(&url.text);
            assert_eq!(answer.status_line, "HTTP/1.0 200 OK", "{}", url.text);
            let connected = timing.connected.unwrap();
            let first_byte = timing.first_byte.unwrap();
            assert!(timing.started <= connected);
            assert!(connected <= first_byte);
            assert!(first_byte < timing.ended);
        }
    }

    #[test]
    fn an_empty_body_is_an_answer() {
        let answer = b"HTTP/1.1 204 No Content\r\n\r\n";
        let fetch = fetch_from_peer(answer);
        assert_eq!(fetch.outcome.unwrap().bytes, answer.len());
    }

    #[test]
    fn a_failure_names_the_attempt_and_the_address() {
        let fetch = fetch_from_peer(b"");
        let address = fetch.url.address;
        assert_eq!(
            fetch.outcome.err().unwrap(),
            format!("wait for {address}: closed without an answer")
        );

        let fetch = fetch_from_peer(b"HTTP/1.0 20");
        let address = fetch.url.address;
        assert_eq!(
            fetch.outcome.err().unwrap(),
            format!("read from {address}: closed in the middle of the status line")
        );
    }

    #[test]
    fn a_failed_fetch_does_not_harm_the_others() {
        glassfrog::block_on(async {
            let mut urls = server::start().await.unwrap();
            // A port that is taken, but where nobody listens.
            let deaf = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            deaf.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())
                .unwrap();
            let refused = deaf.local_addr().unwrap().as_socket().unwrap();
            urls.insert(1, Url::parse(&format!("http://{refused}/")).unwrap());

            let fetches = fetch_all(urls).await.unwrap();
            let failed: Vec<bool> = fetches.iter().map(|f| f.outcome.is_err()).collect();
            assert_eq!(failed, [false, true, false, false, false, false]);
            let failure = fetches[1].outcome.as_ref().err().unwrap();
            assert!(
                failure.starts_with(&format!("connect to {refused}: ")),
                "{failure}"
            );
        });
    }

    #[test]
    fn an_answer_that_never_ends_is_cut_off() {
        glassfrog::block_on(async {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            let address = listener.local_addr().unwrap();
            let peer = glassfrog::spawn(async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
            });
            let url = Url::parse(&format!("http://{address}/")).unwrap();
            let fetch = fetch(url, time::now()).await;
            let failure = fetch.outcome.err().unwrap();
            assert!(
                failure.ends_with("the answer is larger than 16 MiB"),
                "{failure}"
            );
            // The peer ends too: it notices that nobody reads any more.
            peer.await.unwrap();
        });
    }
}
