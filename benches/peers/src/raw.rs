//! The workloads with sockets as a state machine on mio: what is left when there is no runtime.
//!
//! It knows its peers (one event is one message; nobody fails), so it takes every shortcut that a
//! program of its own can take, and a general runtime cannot.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::Instant;

use glassfrog_count::server::{REQUEST_CLOSE, REQUEST_KEEP_ALIVE, RESPONSE};
use glassfrog_count::workloads::{
    BUFFER, ECHO_CONNECTIONS, ECHO_MESSAGE, KEEP_ALIVE_CONNECTIONS, TASKS, Workload, nanoseconds,
};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

/// How many events a wait can return, as in the peers.
const EVENTS: usize = 1024;

pub(crate) fn has(workload: Workload) -> bool {
    matches!(
        workload,
        Workload::Echo | Workload::EchoLone | Workload::KeepAlive | Workload::Fetch
    )
}

/// Runs one of the workloads that it [`has`]; returns nanoseconds.
pub(crate) fn run(workload: Workload, n: u64, server: SocketAddr) -> io::Result<u64> {
    match workload {
        Workload::Echo => echo(n, ECHO_CONNECTIONS),
        Workload::EchoLone => echo(n, 1),
        Workload::KeepAlive => keep_alive(n, server),
        Workload::Fetch => fetch(n, server),
        _ => Err(io::Error::other(format!("there is no raw {workload}"))),
    }
}

/// Registers `streams` in order, so that a token is an index.
fn register(poll: &Poll, streams: &mut [TcpStream]) -> io::Result<()> {
    for (index, stream) in streams.iter_mut().enumerate() {
        poll.registry()
            .register(stream, Token(index), Interest::READABLE)?;
    }
    Ok(())
}

/// Connects and waits for it.
fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = std::net::TcpStream::connect(address)?;
    stream.set_nonblocking(true)?;
    Ok(TcpStream::from_std(stream))
}

fn echo(n: u64, connections: u64) -> io::Result<u64> {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    // Clients have even tokens, their peers the odd ones after them.
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

fn keep_alive(n: u64, server: SocketAddr) -> io::Result<u64> {
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
    /// Whether the connection stands and the request has been sent.
    sent: bool,
    /// What has come of the answer.
    response: Vec<u8>,
    /// How much of `response` that is.
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

    /// Goes on after an event; returns whether it is done.
    fn advance(&mut self) -> io::Result<bool> {
        if !self.sent {
            self.stream.write_all(REQUEST_CLOSE)?;
            self.sent = true;
            return Ok(false);
        }
        loop {
            match self.stream.read(&mut self.response[self.received..]) {
                Ok(0) => return Ok(true),
                Ok(length) => self.received += length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
    }
}

fn fetch(n: u64, server: SocketAddr) -> io::Result<u64> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(EVENTS);

    let start = Instant::now();
    let mut to_start = n - TASKS;
    let mut to_finish = n;
    let mut fetches = (0..TASKS as usize)
        .map(|index| Fetch::start(server, &poll, Token(index)).map(Some))
        .collect::<io::Result<Vec<_>>>()?;
    while to_finish > 0 {
        poll.poll(&mut events, None)?;
        for event in &events {
            let slot = &mut fetches[event.token().0];
            let Some(fetch) = slot else { continue };
            if fetch.advance()? {
                assert_eq!(fetch.received, RESPONSE.len());
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
