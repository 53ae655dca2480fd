//! The other end of the connections, in a second process: an HTTP server on bare mio.
//!
//! One thread, one loop, no runtime, so that it costs every client the same. Every answer is the
//! same, and as long as the server's starter wants; that of the counting gate is [`RESPONSE`]. After a request that says `Connection: close` it answers and closes at once, so
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

/// How long the body of [`RESPONSE`] is: with the head it makes about 2 KiB, a small page.
pub const BODY_LENGTH: usize = 2000;

/// What every request to a server with bodies of [`BODY_LENGTH`] is answered with.
pub static RESPONSE: LazyLock<Vec<u8>> = LazyLock::new(|| response(BODY_LENGTH));

/// Returns an answer with a body of `length` bytes.
pub fn response(length: usize) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
    let mut response = head.into_bytes();
    response.resize(response.len() + length, b'.');
    response
}

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
    /// Runs this binary again as a server whose answers have bodies of `body_length` bytes, and waits
    /// until it listens.
    pub fn start(body_length: usize) -> io::Result<Server> {
        let mut child = Command::new(env::current_exe()?)
            .args(["serve", &body_length.to_string()])
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
pub fn serve(body_length: usize) -> io::Result<()> {
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
    let mut connections = Connections {
        response: response(body_length),
        streams: Vec::new(),
        free: Vec::new(),
        waiting: Vec::new(),
    };

    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((stream, _)) = listener.accept() {
                    connections.insert(stream, poll.registry())?;
                }
            } else {
                connections.serve(event.token().0, event.is_read_closed(), poll.registry())?;
            }
        }
    }
}

/// The open connections of a server.
struct Connections {
    /// What every request is answered with.
    response: Vec<u8>,
    /// By token; `None` where one has been closed.
    streams: Vec<Option<Connection>>,
    /// The tokens that can be given out again.
    free: Vec<usize>,
    /// The tokens of those that keep open and wait for their answer.
    waiting: Vec<usize>,
}

/// One open connection.
struct Connection {
    /// Its socket.
    stream: TcpStream,
    /// How much of the answer has been sent, while the socket takes no more. After it, the server
    /// closes: an answer that the socket does not take at once is for a request that says so.
    sent: Option<usize>,
}

impl Connections {
    fn insert(&mut self, mut stream: TcpStream, registry: &mio::Registry) -> io::Result<()> {
        let index = self.free.pop().unwrap_or_else(|| {
            self.streams.push(None);
            self.streams.len() - 1
        });
        registry.register(&mut stream, Token(index), Interest::READABLE)?;
        self.streams[index] = Some(Connection { stream, sent: None });
        Ok(())
    }

    /// Reads one request and answers it as the module says, or goes on with an answer.
    fn serve(
        &mut self,
        index: usize,
        peer_closed: bool,
        registry: &mio::Registry,
    ) -> io::Result<()> {
        let Some(connection) = &mut self.streams[index] else {
            return Ok(());
        };
        if let Some(sent) = connection.sent {
            return self.answer_and_close(index, sent, registry);
        }
        let mut request = [0; 1024];
        // One read is enough: a client sends no second request before the answer to the first.
        match connection.stream.read(&mut request) {
            Ok(length) if request[..length] == *REQUEST_CLOSE => {
                return self.answer_and_close(index, 0, registry);
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
        Ok(())
    }

    /// Answers a client that keeps the connection open: such an answer fits into the socket's buffer.
    fn answer(&mut self, index: usize) {
        if let Some(connection) = &mut self.streams[index] {
            // A client that is gone gets no answer; its end comes as an event of its own.
            let _ = connection.stream.write_all(&self.response);
        }
    }

    /// Sends the answer from `sent` on. Closes when all is sent; otherwise waits for the socket to take
    /// more.
    fn answer_and_close(
        &mut self,
        index: usize,
        mut sent: usize,
        registry: &mio::Registry,
    ) -> io::Result<()> {
        let Some(connection) = &mut self.streams[index] else {
            return Ok(());
        };
        while sent < self.response.len() {
            match connection.stream.write(&self.response[sent..]) {
                Ok(length) => sent += length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if connection.sent.replace(sent).is_none() {
                        let token = Token(index);
                        registry.reregister(&mut connection.stream, token, Interest::WRITABLE)?;
                    }
                    return Ok(());
                }
                // The client is gone.
                Err(_) => break,
            }
        }
        self.close(index);
        Ok(())
    }

    fn close(&mut self, index: usize) {
        self.streams[index] = None;
        self.free.push(index);
    }
}
