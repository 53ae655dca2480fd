//! The other end of the connections, in a second process: an HTTP server on bare mio.
//!
//! It has one thread, one loop and no runtime, so it costs every client the same. All responses are the same,
//! with a configurable length; that of the counting gate is [`RESPONSE`]. After a request with
//! `Connection: close`, the server responds and closes at once, so the end of the stream follows the data
//! closely. The server responds to keep-alive requests when all [`KEEP_ALIVE_CONNECTIONS`] have sent theirs.
//! Otherwise, under a tool that slows the client, the responses would arrive before the client first looks, and
//! the waits would not be counted.
//!
//! It is not a general server. It relies on its clients to send a short request in one piece, and to wait for
//! the response before they send another.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::{env, mem, process, thread};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use crate::workloads::KEEP_ALIVE_CONNECTIONS;

/// The request after which the server closes the connection.
pub const REQUEST_CLOSE: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// The request after which the connection stays open.
pub const REQUEST_KEEP_ALIVE: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// The length of the body of [`RESPONSE`]: with the head, about 2 KiB, a small page.
pub const BODY_LENGTH: usize = 2000;

/// The response of a server with bodies of [`BODY_LENGTH`].
pub static RESPONSE: LazyLock<Vec<u8>> = LazyLock::new(|| response(BODY_LENGTH));

/// Returns a response with a body of `length` bytes.
pub fn response(length: usize) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
    let mut response = head.into_bytes();
    response.resize(response.len() + length, b'.');
    response
}

/// The token of the listener; connections count up from zero.
const LISTENER: Token = Token(usize::MAX);

/// The backlog of the listener: more connections than are opened at once. Connections that a shorter backlog
/// drops would be retried after a second and distort the time.
const BACKLOG: i32 = 4096;

/// A server process. It exits when this is dropped, or when the process that holds this exits.
#[derive(Debug)]
pub struct Server {
    /// The process.
    child: Child,
    /// The address of the server.
    address: SocketAddr,
}

impl Server {
    /// Runs this binary again as a server whose responses have bodies of `body_length` bytes, and waits until it
    /// listens.
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

    /// Returns the address of the server.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The server exits when its standard input ends; see `serve`.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Executes the hidden subcommand `serve`: prints the address and serves until standard input ends.
pub fn serve(body_length: usize) -> io::Result<()> {
    thread::spawn(|| {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        process::exit(0);
    });

    let mut listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    // A second `listen` changes the backlog of a listening socket.
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
    /// The response to every request.
    response: Vec<u8>,
    /// The connections by token; `None` after a close.
    streams: Vec<Option<Connection>>,
    /// The tokens that can be reused.
    free: Vec<usize>,
    /// The tokens of keep-alive connections that wait for their response.
    waiting: Vec<usize>,
}

/// One open connection.
struct Connection {
    /// The socket.
    stream: TcpStream,
    /// The number of bytes of the response sent so far, if the send buffer was full. The server closes such a
    /// connection after the response, because only a response to a request with `Connection: close` can exceed the
    /// buffer.
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

    /// Reads a request and responds as the module documentation says, or continues to send a response.
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
        // One read is enough: a client sends no second request before the response to the first.
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

    /// Responds on a keep-alive connection. The response fits into the send buffer.
    fn answer(&mut self, index: usize) {
        if let Some(connection) = &mut self.streams[index] {
            // If the client is gone, another event reports it.
            let _ = connection.stream.write_all(&self.response);
        }
    }

    /// Sends the rest of the response from `sent`. Closes the connection when everything is sent; otherwise waits
    /// for room in the send buffer.
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
