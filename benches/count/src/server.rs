//! The other end of the connections, in a second process: an HTTP server on bare mio.
//!
//! One thread, one loop, no runtime, so that it costs every client the same. Every answer is
//! [`RESPONSE`]. After a request that says `Connection: close` it answers and closes at once, so
//! that the end of the stream follows the data closely. A request that keeps the connection open
//! is answered when all [`KEEP_ALIVE_CONNECTIONS`] have sent theirs: under a tool that slows the
//! client the answers would otherwise be there before the client first looks, and the waiting,
//! which is what a runtime is for, would not be counted.
//!
//! It is no general server: it relies on its clients, which send a short request in one piece and
//! wait for the answer before they send another.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::{env, mem, process, thread};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use crate::workloads::KEEP_ALIVE_CONNECTIONS;

/// The request that [`RESPONSE`] answers, once.
pub const REQUEST_CLOSE: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// The request that leaves the connection open.
pub const REQUEST_KEEP_ALIVE: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// How long the body of the answer is: with the head it makes about 2 KiB, a small page.
const BODY_LENGTH: usize = 2000;

/// What every request is answered with.
pub static RESPONSE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {BODY_LENGTH}\r\n\r\n");
    let mut response = head.into_bytes();
    response.resize(response.len() + BODY_LENGTH, b'.');
    response
});

/// The token of the listener; connections count up from zero.
const LISTENER: Token = Token(usize::MAX);

/// How many connections may wait to be accepted: more than are ever opened at once. Those that a
/// shorter queue drops would come again after a second, and time would measure that.
const BACKLOG: i32 = 4096;

/// A server process; ends when this is dropped, or when the process that holds it ends.
#[derive(Debug)]
pub struct Server {
    /// The process.
    child: Child,
    /// Where it listens.
    address: SocketAddr,
}

impl Server {
    /// Runs this binary again as a server and waits until it listens.
    pub fn start() -> io::Result<Server> {
        let mut child = Command::new(env::current_exe()?)
            .arg("serve")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let address = line.trim().parse().map_err(io::Error::other)?;
        Ok(Server { child, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Closing its standard input ends it; see `serve`.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// The body of the hidden subcommand `serve`: prints its address, serves until standard input ends.
pub fn serve() -> io::Result<()> {
    thread::spawn(|| {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        process::exit(0);
    });

    let mut listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    // A second `listen` changes the backlog of a socket that listens already.
    rustix::net::listen(&listener, BACKLOG)?;
    println!("{}", listener.local_addr()?);
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut connections = Connections::default();

    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((stream, _)) = listener.accept() {
                    connections.insert(stream, poll.registry())?;
                }
            } else {
                connections.serve(event.token().0, event.is_read_closed());
            }
        }
    }
}

/// The open connections of a server.
#[derive(Default)]
struct Connections {
    /// By token; `None` where one has been closed.
    streams: Vec<Option<TcpStream>>,
    /// The tokens that can be given out again.
    free: Vec<usize>,
    /// The tokens of those that keep open and wait for their answer.
    waiting: Vec<usize>,
}

impl Connections {
    fn insert(&mut self, mut stream: TcpStream, registry: &mio::Registry) -> io::Result<()> {
        let index = self.free.pop().unwrap_or_else(|| {
            self.streams.push(None);
            self.streams.len() - 1
        });
        registry.register(&mut stream, Token(index), Interest::READABLE)?;
        self.streams[index] = Some(stream);
        Ok(())
    }

    /// Reads one request and answers it as the module says.
    fn serve(&mut self, index: usize, peer_closed: bool) {
        let Some(stream) = &mut self.streams[index] else {
            return;
        };
        let mut request = [0; 1024];
        // One read is enough: a client sends no second request before the answer to the first.
        match stream.read(&mut request) {
            Ok(length) if request[..length] == *REQUEST_CLOSE => {
                self.answer(index);
                self.close(index);
            }
            Ok(length) if length > 0 && !peer_closed => {
                self.waiting.push(index);
                if self.waiting.len() as u64 == KEEP_ALIVE_CONNECTIONS {
                    for index in mem::take(&mut self.waiting) {
                        self.answer(index);
                    }
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            _ => self.close(index),
        }
    }

    fn answer(&mut self, index: usize) {
        if let Some(stream) = &mut self.streams[index] {
            // A client that is gone gets no answer; its end comes as an event of its own.
            let _ = stream.write_all(&RESPONSE);
        }
    }

    fn close(&mut self, index: usize) {
        self.streams[index] = None;
        self.free.push(index);
    }
}
