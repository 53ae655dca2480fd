//! One fetch, from the URL to the last byte: resolve, connect, send the request, read the response, and
//! follow redirects.
//!
//! A fetch never returns an error to its caller. Its outcome contains the error, so that other fetches
//! continue.

use std::cell::RefCell;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use glassfrog::net::TcpStream;
use glassfrog::prelude::*;
use glassfrog::time::{self, timeout};

use crate::body::Body;
use crate::failure::{broken, has_context, is_out_of_descriptors};
use crate::head::{Framing, Head, HeadReader};
use crate::names::Names;
use crate::printable::printable;
use crate::save::{Saving, Sink};
use crate::timing::{Phase, Timing};
use crate::url::Url;

/// The size of a read. A larger buffer means fewer calls for a large response, but beyond 64 KiB the
/// difference is small.
const READ_SIZE: usize = 64 * 1024;

/// The number of redirects to follow: half of what browsers allow, and more than a well-behaved server
/// needs.
const MAX_REDIRECTS: usize = 10;

/// The state that all fetches of a run share.
#[derive(Debug)]
pub(crate) struct Client {
    /// The start of the run.
    origin: Instant,
    /// The options of each fetch.
    fetch_options: FetchOptions,
    /// The destination of the bodies.
    saving: Saving,
    /// The resolved names.
    names: Names,
    /// The read buffer. All fetches share it, because none holds it across an `.await`.
    buffer: RefCell<Vec<u8>>,
}

/// The options of each fetch.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FetchOptions {
    /// The time limit.
    pub(crate) deadline: Duration,
    /// The largest body in bytes.
    pub(crate) max_size: u64,
    /// Whether to follow redirects.
    pub(crate) follow: bool,
    /// Whether a status of 400 or above is a failure.
    pub(crate) fail: bool,
}

/// A fetch to perform.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    /// The number of the job in the run, from 1.
    pub(crate) number: usize,
    /// The URL to fetch.
    pub(crate) target: Rc<Target>,
}

/// A URL given by the user.
#[derive(Debug)]
pub(crate) struct Target {
    /// The URL as given.
    pub(crate) given: String,
    /// The URL as printed. An invalid URL may contain anything.
    pub(crate) text: String,
    /// The parsed URL, or the reason why it is invalid.
    pub(crate) url: Result<Url, String>,
}

impl Target {
    /// Parses a URL, valid or not.
    pub(crate) fn new(given: String) -> Self {
        let url = Url::parse_typed(&given);
        Self {
            text: match url {
                Ok(_) => given.clone(),
                Err(_) => printable(given.as_bytes()),
            },
            given,
            url,
        }
    }
}

/// A fetch that is over.
#[derive(Debug)]
pub(crate) struct Fetch {
    /// The job.
    pub(crate) job: Job,
    /// The times of its phases.
    pub(crate) timing: Timing,
    /// The requests with a response: the followed redirects and the last request.
    pub(crate) exchanges: Vec<Exchange>,
    /// The last body, or the text of the error.
    pub(crate) outcome: Result<Received, String>,
}

/// A request and the head of its response.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// The URL of the request.
    pub(crate) url: Url,
    /// The head of the response.
    pub(crate) head: Head,
}

/// A body that was received.
#[derive(Debug)]
pub(crate) struct Received {
    /// The length in bytes.
    pub(crate) bytes: u64,
    /// The file in which it was saved, if any.
    pub(crate) saved: Option<PathBuf>,
}

/// The end of a fetch.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The fetch is over, successfully or not.
    Over(Fetch),
    /// The fetch lacked descriptors, and can be retried when others have closed theirs.
    Starved(Fetch),
}

impl Client {
    /// Creates a client for a run that starts now.
    pub(crate) fn new(fetch_options: FetchOptions, saving: Saving) -> Self {
        Self {
            origin: time::now(),
            fetch_options,
            saving,
            names: Names::default(),
            buffer: RefCell::new(vec![0; READ_SIZE]),
        }
    }

    /// Performs a fetch.
    pub(crate) async fn fetch(self: Rc<Self>, job: Job) -> Ended {
        let mut timing = Timing::start(self.origin);
        let mut exchanges = Vec::new();
        let mut url = job.target.url.clone();
        let outcome = match &mut url {
            Err(reason) => Err(broken(format!("invalid URL: {reason}"))),
            Ok(url) => {
                let hops = self.follow(job.number, url, &mut exchanges, &mut timing);
                let deadline = self.fetch_options.deadline;
                let too_late = |_| Err(broken(format!("timed out after {deadline:?}")));
                timeout(deadline, hops).await.unwrap_or_else(too_late)
            }
        };
        timing.end();

        let is_starved = outcome.as_ref().is_err_and(is_out_of_descriptors);
        let outcome = outcome.map_err(|error| match (timing.phase(), &url) {
            (Some(phase), Ok(url)) if !is_complete(phase, &error) => {
                let attempt = match timing.is_saving {
                    true => self.saving.attempt(job.number, url),
                    false => format!("{} {}", phase.attempt(), url.peer()),
                };
                format!("{attempt}: {error}")
            }
            _ => error.to_string(),
        });
        let fetch = Fetch {
            job,
            timing,
            exchanges,
            outcome,
        };
        match is_starved {
            true => Ended::Starved(fetch),
            false => Ended::Over(fetch),
        }
    }

    /// Fetches and follows redirects. `url` is the current URL.
    async fn follow(
        &self,
        number: usize,
        url: &mut Url,
        exchanges: &mut Vec<Exchange>,
        timing: &mut Timing,
    ) -> io::Result<Received> {
        loop {
            let mut connection = self.ask(url, timing).await?;
            let head = connection.head(timing).await?;
            let framing = head.framing();
            let redirect = head.redirect().filter(|_| self.fetch_options.follow);
            let is_refusal = self.fetch_options.fail && head.status >= 400;
            let status_line = head.status_line.clone();
            let sent_to = url.clone();
            exchanges.push(Exchange { url: sent_to, head });

            let framing = framing?;
            if is_refusal {
                return Err(broken(format!("the server responded with {status_line}")));
            }
            let Some(reference) = redirect else {
                return self.receive(connection, framing, number, url, timing).await;
            };
            // The body of a redirect is not needed, so the connection is closed here.
            let next = match reference.is_empty() || reference.starts_with('#') {
                // This would redirect forever.
                true => Err("that is the same page again".to_string()),
                false => url.join(&reference),
            };
            let next = next.map_err(|reason| {
                let reference = printable(reference.as_bytes());
                broken(format!("redirected to \"{reference}\": {reason}"))
            })?;
            if exchanges.len() > MAX_REDIRECTS {
                return Err(broken(format!(
                    "redirected more than {MAX_REDIRECTS} times"
                )));
            }
            *url = next;
        }
    }

    /// Connects and sends the request.
    async fn ask(&self, url: &Url, timing: &mut Timing) -> io::Result<Connection<'_>> {
        if url.needs_look_up() {
            timing.enter(Phase::Resolve);
        }
        let addrs = self.names.resolve(url).await?;
        timing.enter(Phase::Connect);
        let mut stream = TcpStream::connect(&addrs[..]).await?;
        timing.enter(Phase::Wait);
        stream.write_all(url.request().as_bytes()).await?;
        Ok(Connection {
            stream,
            buffer: &self.buffer,
            rest: Vec::new(),
        })
    }

    /// Receives the body and saves it.
    async fn receive(
        &self,
        mut connection: Connection<'_>,
        framing: Framing,
        number: usize,
        url: &Url,
        timing: &mut Timing,
    ) -> io::Result<Received> {
        let mut body = Body::new(framing, self.fetch_options.max_size)?;
        timing.is_saving = true;
        let mut sink = self.saving.open(number, url).await?;
        timing.is_saving = false;
        connection.body(&mut body, &mut sink, timing).await?;
        timing.is_saving = true;
        Ok(Received {
            bytes: body.received,
            saved: sink.finish().await?,
        })
    }
}

/// Returns whether an error already names the operation and the peer. For resolving and connecting, the errors of the
/// runtime do.
fn is_complete(phase: Phase, error: &io::Error) -> bool {
    has_context(error) || error.to_string().starts_with(phase.attempt())
}

/// A connection on which a response is expected.
struct Connection<'a> {
    /// The socket.
    stream: TcpStream,
    /// The read buffer.
    buffer: &'a RefCell<Vec<u8>>,
    /// The bytes received after the head.
    rest: Vec<u8>,
}

impl Connection<'_> {
    /// Receives the head of the final response.
    async fn head(&mut self, timing: &mut Timing) -> io::Result<Head> {
        let mut reader = HeadReader::default();
        loop {
            let read = self.read(|bytes| {
                if bytes.is_empty() {
                    return Err(reader.closed());
                }
                timing.enter(Phase::Read);
                reader.receive(bytes)
            });
            if let Some((head, rest)) = read.await? {
                self.rest = rest;
                return Ok(head);
            }
        }
    }

    /// Receives a body to its end. Ignores bytes after the end, because otherwise the outcome would depend on
    /// whether they have arrived yet.
    async fn body(
        &mut self,
        body: &mut Body,
        sink: &mut Sink,
        timing: &mut Timing,
    ) -> io::Result<()> {
        body.receive(&self.rest, |part| sink.take(part))?;
        while !body.is_complete() {
            let read = self.read(|bytes| match bytes {
                [] => body.closed(),
                bytes => body.receive(bytes, |part| sink.take(part)),
            });
            read.await?;
            if sink.is_full() {
                timing.is_saving = true;
                sink.write().await?;
                timing.is_saving = false;
            }
        }
        Ok(())
    }

    /// Waits for bytes and passes them to `take`. An empty slice means that the peer has closed the
    /// connection.
    async fn read<T>(&self, take: impl FnOnce(&[u8]) -> io::Result<T>) -> io::Result<T> {
        loop {
            self.stream.readable().await?;
            let mut buffer = self.buffer.borrow_mut();
            match self.stream.try_read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return take(&buffer[..read?]),
            }
        }
    }
}
