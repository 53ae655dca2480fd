//! One fetch, from the URL to the last byte: resolve, connect, ask, read, and once more where a
//! redirect leads to.
//!
//! It never fails: what goes wrong stands in its outcome, so that it harms no other.

use std::cell::RefCell;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use glassfrog::net::TcpStream;
use glassfrog::prelude::*;
use glassfrog::time::{self, timeout};

use crate::body::Body;
use crate::failure::{broken, is_out_of_descriptors, says_what_was_tried};
use crate::head::{Framing, Head, HeadReader};
use crate::names::Names;
use crate::printable::printable;
use crate::save::{Saving, Sink};
use crate::timing::{Phase, Timing};
use crate::url::Url;

/// How much is read at a time. Large answers need fewer calls with a larger buffer; beyond 64 KiB
/// that hardly changes.
const READ_SIZE: usize = 64 * 1024;

/// How many redirects are followed: what browsers allow is twice as many, and no honest server needs
/// half.
const MAX_REDIRECTS: usize = 10;

/// What all fetches of a run have in common.
#[derive(Debug)]
pub(crate) struct Client {
    /// When the run began.
    origin: Instant,
    /// What the user wants.
    wishes: Wishes,
    /// Where the bodies go.
    saving: Saving,
    /// The names that were resolved.
    names: Names,
    /// What is read into. One for all: nobody holds it while waiting.
    buffer: RefCell<Vec<u8>>,
}

/// What the user wants of each fetch.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wishes {
    /// How long it may take.
    pub(crate) deadline: Duration,
    /// How many bytes a body may have.
    pub(crate) max_size: u64,
    /// Whether redirects are followed.
    pub(crate) follow: bool,
    /// Whether a status from 400 on is a failure.
    pub(crate) fail: bool,
}

/// What is to be fetched.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    /// Its number in the run, from 1 on.
    pub(crate) number: usize,
    /// From where.
    pub(crate) target: Rc<Target>,
}

/// A URL as the user gave it.
#[derive(Debug)]
pub(crate) struct Target {
    /// As it was given.
    pub(crate) given: String,
    /// The same, fit to be shown: a wrong one may have anything in it.
    pub(crate) text: String,
    /// What it means, or why it means nothing.
    pub(crate) url: Result<Url, String>,
}

impl Target {
    /// Takes a URL, be it right or wrong.
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

/// One fetch that is over.
#[derive(Debug)]
pub(crate) struct Fetch {
    /// What was fetched.
    pub(crate) job: Job,
    /// When its phases began and ended.
    pub(crate) timing: Timing,
    /// The requests that were answered: the redirects that were followed, and the last.
    pub(crate) exchanges: Vec<Exchange>,
    /// The body of the last answer, or what was tried and why it failed.
    pub(crate) outcome: Result<Received, String>,
}

/// A request, and the head of its answer.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// Where it was sent to.
    pub(crate) url: Url,
    /// What came back.
    pub(crate) head: Head,
}

/// A body that was received.
#[derive(Debug)]
pub(crate) struct Received {
    /// How many bytes it has.
    pub(crate) bytes: u64,
    /// The file that it was saved in, if it was.
    pub(crate) saved: Option<PathBuf>,
}

/// How a fetch can end.
#[derive(Debug)]
pub(crate) enum Ended {
    /// Well or not, but for good.
    Over(Fetch),
    /// For want of descriptors. It is to be tried again once others have given theirs back.
    Starved(Fetch),
}

impl Client {
    /// A client for a run that begins now.
    pub(crate) fn new(wishes: Wishes, saving: Saving) -> Self {
        Self {
            origin: time::now(),
            wishes,
            saving,
            names: Names::default(),
            buffer: RefCell::new(vec![0; READ_SIZE]),
        }
    }

    /// Fetches.
    pub(crate) async fn fetch(self: Rc<Self>, job: Job) -> Ended {
        let mut timing = Timing::start(self.origin);
        let mut exchanges = Vec::new();
        let mut url = job.target.url.clone();
        let outcome = match &mut url {
            Err(reason) => Err(broken(format!("invalid URL: {reason}"))),
            Ok(url) => {
                let hops = self.follow(job.number, url, &mut exchanges, &mut timing);
                let deadline = self.wishes.deadline;
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

    /// Fetches, and goes where redirects lead to. `url` is where it has come to.
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
            let redirect = head.redirect().filter(|_| self.wishes.follow);
            let is_refusal = self.wishes.fail && head.status >= 400;
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
            // Nobody wants the body of a redirect: its connection is closed here.
            let next = match reference.is_empty() || reference.starts_with('#') {
                // There the same would happen again, and again.
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

    /// Receives the body, and puts it where it belongs.
    async fn receive(
        &self,
        mut connection: Connection<'_>,
        framing: Framing,
        number: usize,
        url: &Url,
        timing: &mut Timing,
    ) -> io::Result<Received> {
        let mut body = Body::new(framing, self.wishes.max_size)?;
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

/// Whether an error says by itself what was tried, and with whom. The runtime's errors do where
/// something is resolved or connected.
fn is_complete(phase: Phase, error: &io::Error) -> bool {
    says_what_was_tried(error) || error.to_string().starts_with(phase.attempt())
}

/// A connection over which an answer is to come.
struct Connection<'a> {
    /// The connection.
    stream: TcpStream,
    /// What is read into.
    buffer: &'a RefCell<Vec<u8>>,
    /// What came behind the head.
    rest: Vec<u8>,
}

impl Connection<'_> {
    /// Receives the head of the final answer.
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

    /// Receives a body to its end. Nobody looks at what the peer sends beyond that, or the outcome
    /// would depend on whether it has come already.
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

    /// Waits for bytes, and has them taken. There are none where the peer has closed.
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
