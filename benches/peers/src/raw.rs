//! The workloads with sockets as a state machine on mio, without a runtime.
//!
//! The state machine knows its peers (each event is one message, and no peer fails), so it takes every shortcut
//! that a single program can take and a general runtime cannot.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::Instant;

use glassfrog_count::server::{REQUEST_CLOSE, REQUEST_KEEP_ALIVE, RESPONSE, response};
use glassfrog_count::workloads::{BUFFER, ECHO_MESSAGE, KEEP_ALIVE_CONNECTIONS, nanoseconds};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use crate::work::announce_http;

/// The maximum number of events that a wait returns, as in the runtimes.
const EVENTS: usize = 1024;

/// Registers `streams` in order, so that each token is an index.
fn register(poll: &Poll, streams: &mut [TcpStream]) -> io::Result<()> {
    for (index, stream) in streams.iter_mut().enumerate() {
        poll.registry()
            .register(stream, Token(index), Interest::READABLE)?;
    }
    Ok(())
}

/// Connects, and waits until the connection is established.
fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = std::net::TcpStream::connect(address)?;
    stream.set_nonblocking(true)?;
    Ok(TcpStream::from_std(stream))
}

/// Makes `n` echo round trips over `connections` connections. Returns the time in nanoseconds.
pub(crate) fn echo(n: u64, connections: u64) -> io::Result<u64> {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    // Each client has an even token, and its peer the next odd one.
    let mut streams = Vec::new();
    for _ in 0..connections {
        streams.push(connect(listener.local_addr()?)?);
        streams.push(listener.accept()?.0);
    }
    let mut poll = Poll::new()?;
    register(&poll, &mut streams)?;
    let mut events = Events::with_capacity(EVENTS);
    let mut buffer = [0; BUFFER];

    let start = Instant::now();
    let mut to_start = n - connections;
    let mut to_finish = n;
    for client in streams.iter_mut().step_by(2) {
        client.write_all(ECHO_MESSAGE)?;
    }
    while to_finish > 0 {
        poll.poll(&mut events, None)?;
        for event in &events {
            let index = event.token().0;
            let length = streams[index].read(&mut buffer)?;
            assert_eq!(length, ECHO_MESSAGE.len());
            if index % 2 == 0 {
                to_finish -= 1;
                if to_start == 0 {
                    continue;
                }
                to_start -= 1;
            }
            streams[index].write_all(ECHO_MESSAGE)?;
        }
    }
    Ok(nanoseconds(start))
}

/// Makes `n` requests on connections that stay open. Returns the time in nanoseconds.
pub(crate) fn keep_alive(n: u64, server: SocketAddr) -> io::Result<u64> {
    let mut streams = (0..KEEP_ALIVE_CONNECTIONS)
        .map(|_| connect(server))
        .collect::<io::Result<Vec<_>>>()?;
    let mut poll = Poll::new()?;
    register(&poll, &mut streams)?;
    let mut events = Events::with_capacity(EVENTS);
    let mut buffer = [0; BUFFER];

    let start = Instant::now();
    let mut to_start = n - KEEP_ALIVE_CONNECTIONS;
    let mut to_finish = n;
    for stream in &mut streams {
        stream.write_all(REQUEST_KEEP_ALIVE)?;
    }
    while to_finish > 0 {
        poll.poll(&mut events, None)?;
        for event in &events {
            let stream = &mut streams[event.token().0];
            assert_eq!(stream.read(&mut buffer)?, RESPONSE.len());
            to_finish -= 1;
            if to_start > 0 {
                to_start -= 1;
                stream.write_all(REQUEST_KEEP_ALIVE)?;
            }
        }
    }
    Ok(nanoseconds(start))
}

/// One fetch in flight.
struct Fetch {
    stream: TcpStream,
    /// Whether the connection is established and the request has been sent.
    sent: bool,
    /// The buffer for the response.
    response: Vec<u8>,
    /// The number of bytes of `response` that have been received.
    received: usize,
}

impl Fetch {
    fn start(server: SocketAddr, poll: &Poll, token: Token) -> io::Result<Fetch> {
        let mut stream = TcpStream::connect(server)?;
        poll.registry()
            .register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Fetch {
            stream,
            sent: false,
            response: vec![0; BUFFER],
            received: 0,
        })
    }

    /// Continues after an event. Returns whether the fetch is done.
    fn advance(&mut self) -> io::Result<bool> {
        if !self.sent {
            self.stream.write_all(REQUEST_CLOSE)?;
            self.sent = true;
            return Ok(false);
        }
        loop {
            if self.received == self.response.len() {
                self.response.resize(2 * self.received, 0);
            }
            match self.stream.read(&mut self.response[self.received..]) {
                Ok(0) => return Ok(true),
                Ok(length) => self.received += length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
    }
}

/// Makes `n` fetches of bodies of `body_length` bytes, `at_once` of them at a time. Returns the time in nanoseconds.
pub(crate) fn fetch(
    n: u64,
    at_once: u64,
    server: SocketAddr,
    body_length: usize,
) -> io::Result<u64> {
    let length = response(body_length).len();
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(EVENTS);

    let start = Instant::now();
    let mut to_start = n - at_once;
    let mut to_finish = n;
    let mut fetches = (0..at_once as usize)
        .map(|index| Fetch::start(server, &poll, Token(index)).map(Some))
        .collect::<io::Result<Vec<_>>>()?;
    while to_finish > 0 {
        poll.poll(&mut events, None)?;
        for event in &events {
            let slot = &mut fetches[event.token().0];
            let Some(fetch) = slot else { continue };
            if fetch.advance()? {
                assert_eq!(fetch.received, length);
                *slot = None;
                to_finish -= 1;
                if to_start > 0 {
                    to_start -= 1;
                    *slot = Some(Fetch::start(server, &poll, event.token())?);
                }
            }
        }
    }
    Ok(nanoseconds(start))
}

/// Responds to HTTP requests, as `work::serve_http` does.
pub(crate) fn serve_http() -> io::Result<()> {
    const LISTENER: Token = Token(usize::MAX);
    let mut listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let mut poll = Poll::new()?;
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    announce_http(listener.local_addr()?);
    let mut events = Events::with_capacity(EVENTS);
    let mut buffer = [0; BUFFER];
    let mut streams = Vec::new();
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut stream, _)) = listener.accept() {
                    poll.registry().register(
                        &mut stream,
                        Token(streams.len()),
                        Interest::READABLE,
                    )?;
                    streams.push(stream);
                }
                continue;
            }
            let stream = &mut streams[event.token().0];
            if let Ok(1..) = stream.read(&mut buffer) {
                // A client that is gone gets no response.
                let _ = stream.write_all(&RESPONSE);
            }
        }
    }
}
