//! Step 3 of 4: a state machine, and a scheduler on the system's selector.
//!
//! The kernel knows when a socket becomes ready, and a *selector* (`epoll`, `kqueue`; here through
//! mio) is the way to ask it: register any number of sockets, say what each waits for, and sleep in
//! one call until the first of them can go on.
//!
//! So a fetch must be able to pause and to say what it waits for. In a language with generators it
//! would `yield (socket, event)`. Here the generator is written out by hand:
//!
//! ```text
//!   start ──▶ Connecting ──▶ Sending ──▶ Receiving ──▶ Return(text)
//!                │ ▲            │ ▲          │ ▲
//!   yields       ▼ │            ▼ │          ▼ │
//!             WRITABLE       WRITABLE     READABLE
//! ```
//!
//! - `FetchData` holds all that must outlive a pause: the socket, the state, the bytes so far.
//! - `FetchData::resume` runs on until it would block (`Yield`) or is through (`Return`).
//! - `run` is the scheduler for one fetch: resume, register, sleep, unregister, resume ...
//! - `run_all` is the scheduler for many on one thread: the same, with a table of who waits.
//!
//! **What changed against step 2.** Nobody asks in vain any more: between two events the thread
//! sleeps in the kernel, as in step 1, but for *all* its sockets at once. Five fetches take as long
//! as one, on one thread, and with hardly any CPU.
//!
//! **What it costs.** The six lines of step 1 have become a struct, an enum and a loop that jumps
//! between them: whoever adds a step to the protocol adds a state. And each wait costs two extra
//! system calls, to register and to unregister. In step 4 the compiler writes the states, and a
//! socket is registered just once.
//!
//! ```text
//! cargo run --example 03_selector
//! cargo run --example 03_selector -- 127.0.0.1:8000
//! ```

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

mod common;

fn main() -> ExitCode {
    common::run(|address| {
        common::report("one fetch", || Ok(vec![run(FetchData::start(address)?)?]))?;
        common::report("five fetches at once", || {
            let fetches: io::Result<_> = (0..5).map(|_| FetchData::start(address)).collect();
            run_all(fetches?)
        })
    })
}

// --- The generator ---------------------------------------------------------------------------

/// One fetch of `/`, which can pause.
struct FetchData {
    /// The socket, which the scheduler registers while the fetch is paused.
    stream: TcpStream,
    /// Where to go on.
    state: State,
    /// What has been received so far.
    response: Vec<u8>,
}

/// Where a fetch is.
enum State {
    /// The connect is on its way.
    Connecting,
    /// Connected; this many bytes of the request are sent.
    Sending(usize),
    /// The request is sent; the peer answers until it closes.
    Receiving,
}

/// How a call of `resume` ends.
enum Step {
    /// Paused: resume when the socket is ready for this.
    Yield(Interest),
    /// Finished, with the whole response.
    Return(String),
}

impl FetchData {
    /// Starts to connect, and pauses there.
    fn start(address: SocketAddr) -> io::Result<Self> {
        Ok(Self {
            stream: TcpStream::connect(address)?,
            state: State::Connecting,
            response: Vec::new(),
        })
    }

    /// Goes on from where the fetch has paused.
    fn resume(&mut self) -> io::Result<Step> {
        match self.go_on() {
            Ok(text) => Ok(Step::Return(text)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                Ok(Step::Yield(match self.state {
                    State::Connecting | State::Sending(_) => Interest::WRITABLE,
                    State::Receiving => Interest::READABLE,
                }))
            }
            Err(error) => Err(error),
        }
    }

    /// Goes from state to state. Each `?` is a place where it may pause: it leaves with
    /// `WouldBlock`, the state stays as it is, and the next call comes back to the same place.
    fn go_on(&mut self) -> io::Result<String> {
        let mut buffer = [0; 4096];
        loop {
            match self.state {
                State::Connecting => {
                    connected(&self.stream)?;
                    self.state = State::Sending(0);
                }
                State::Sending(sent) if sent < common::REQUEST.len() => {
                    let more = self.stream.write(&common::REQUEST[sent..])?;
                    self.state = State::Sending(sent + more);
                }
                State::Sending(_) => self.state = State::Receiving,
                State::Receiving => {
                    let received = self.stream.read(&mut buffer)?;
                    self.response.extend_from_slice(&buffer[..received]);
                    if received == 0 || self.response.len() > common::MAX_RESPONSE {
                        return common::text(std::mem::take(&mut self.response));
                    }
                }
            }
        }
    }
}

/// Whether the connect is through: yes, not yet (`WouldBlock`), or no (any other error). See step
/// 2.
fn connected(stream: &TcpStream) -> io::Result<()> {
    if let Some(error) = stream.take_error()? {
        return Err(error);
    }
    match stream.peer_addr() {
        Err(error) if error.kind() == ErrorKind::NotConnected => Err(ErrorKind::WouldBlock.into()),
        peer => peer.map(drop),
    }
}

// --- The scheduler ---------------------------------------------------------------------------

/// Drives one fetch to its end.
fn run(mut fetch: FetchData) -> io::Result<String> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1);
    let deadline = Instant::now() + common::DEADLINE;
    loop {
        match fetch.resume()? {
            Step::Return(text) => return Ok(text),
            Step::Yield(interest) => {
                poll.registry()
                    .register(&mut fetch.stream, Token(0), interest)?;
                select(&mut poll, &mut events, deadline)?;
                poll.registry().deregister(&mut fetch.stream)?;
            }
        }
    }
}

/// Drives many fetches to their end, all in flight at once, on this thread. The responses come in
/// the order in which they are complete.
fn run_all(fetches: Vec<FetchData>) -> io::Result<Vec<String>> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(fetches.len().max(1));
    let deadline = Instant::now() + common::DEADLINE;

    // A fetch is in one of the two: it can go on, or it waits under the token of its socket.
    let mut ready: Vec<(Token, FetchData)> = (0..).map(Token).zip(fetches).collect();
    let mut waiting: HashMap<Token, FetchData> = HashMap::new();
    let mut responses = Vec::new();
    loop {
        for (token, mut fetch) in ready.drain(..) {
            match fetch.resume()? {
                Step::Return(text) => responses.push(text),
                Step::Yield(interest) => {
                    poll.registry()
                        .register(&mut fetch.stream, token, interest)?;
                    waiting.insert(token, fetch);
                }
            }
        }
        if waiting.is_empty() {
            return Ok(responses);
        }
        select(&mut poll, &mut events, deadline)?;
        for event in &events {
            if let Some(mut fetch) = waiting.remove(&event.token()) {
                poll.registry().deregister(&mut fetch.stream)?;
                ready.push((event.token(), fetch));
            }
        }
    }
}

/// Sleeps until a registered socket is ready. This is the only place where the thread waits.
fn select(poll: &mut Poll, events: &mut Events, deadline: Instant) -> io::Result<()> {
    loop {
        let time_left = deadline.saturating_duration_since(Instant::now());
        if time_left == Duration::ZERO {
            return Err(common::too_late());
        }
        match poll.poll(events, Some(time_left)) {
            // The time is up; the next turn says so.
            Ok(()) if events.is_empty() => {}
            // A process that was stopped and continued: no socket is ready, so sleep on.
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}
