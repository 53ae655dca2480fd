//! The server that `fetch` starts without URLs, on the same runtime as the fetches.
//!
//! Each path has a pace of its own, so that the picture shows differences: a delay, and then a body that is
//! sent in pieces, with a pause before each.
//!
//! The server does not trust its clients. It has time limits for requests, for silence and for the close,
//! and a limit on the number of connections. A client that only holds a connection open is therefore
//! disconnected, and the clients in the backlog are served.
//!
//! The server reads the body of a request and ignores it: closing a connection with unread bytes resets it,
//! and the client could lose the end of the response.

use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_lock::Semaphore;
use glassfrog::net::{TcpListener, TcpStream};
use glassfrog::prelude::*;
use glassfrog::time::{sleep, timeout};
use socket2::{Domain, Socket, Type};

use crate::failure::{broken, with_context};
use crate::screen::complain;

/// A page of the server.
struct Page {
    /// The path.
    path: &'static str,
    /// The delay before the first byte.
    thinking: Duration,
    /// The number of pieces of the body.
    pieces: u32,
    /// The pause before each piece.
    pause: Duration,
    /// The size of a piece in bytes.
    piece_size: usize,
}

impl Page {
    /// Creates a page; both times are in milliseconds.
    const fn new(
        path: &'static str,
        thinking: u64,
        pieces: u32,
        pause: u64,
        piece_size: usize,
    ) -> Self {
        Self {
            path,
            thinking: Duration::from_millis(thinking),
            pieces,
            pause: Duration::from_millis(pause),
            piece_size,
        }
    }
}

/// The pages fetched by default: fast and slow, small and large, in an order that shows that no fetch waits
/// for the one before.
const PAGES: [Page; 5] = [
    Page::new("/balanced", 160, 8, 18, 2_000),
    Page::new("/fast", 40, 3, 15, 400),
    Page::new("/slow-to-start", 330, 4, 15, 1_000),
    Page::new("/slow-to-finish", 90, 20, 16, 500),
    Page::new("/large", 130, 10, 20, 200_000),
];

/// The longest head of a request that the server reads.
const MAX_HEAD: usize = 8 * 1024;

/// The time limit for a client to send the head of its request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// The time that a client may read nothing.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// The time limit for a client to send the rest of its request and to close, after the response. Most
/// clients close at once.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// The number of clients served at a time; others wait in the backlog of the listening socket. Below 1024,
/// the usual limit on the file descriptors of a process.
const MAX_CONNECTIONS: usize = 1000;

/// The pause after a failed `accept`, so that a lasting error does not cause a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The backlog of the listening socket. The usual 128 is too small for many clients at once: a client that finds
/// the backlog full tries again after a second.
const BACKLOG: i32 = 1024;

/// Starts the server on a free port, and returns the URLs of its pages.
pub(crate) async fn start() -> io::Result<(SocketAddr, Vec<String>)> {
    let listener = listen((Ipv4Addr::LOCALHOST, 0).into())?;
    let address = listener.local_addr()?;
    // This task is cancelled when `block_on` returns. The fetches report the errors of connections.
    glassfrog::spawn(serve(listener, |_| {}));
    let urls = PAGES
        .iter()
        .map(|page| format!("http://{address}{}", page.path));
    Ok((address, urls.collect()))
}

/// Runs the server at an address forever, and prints the errors of its clients.
pub(crate) async fn run(address: SocketAddr, announce: impl FnOnce(SocketAddr)) -> io::Result<()> {
    let listener = listen(address)?;
    announce(listener.local_addr()?);
    serve(listener, complain).await;
    Ok(())
}

/// Creates a listener with a longer backlog than that of [`TcpListener::bind`].
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listen = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        // On Windows, this option would let other programs listen there too.
        if cfg!(unix) {
            socket.set_reuse_address(true)?;
        }
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        TcpListener::try_from(std::net::TcpListener::from(socket))
    };
    listen().map_err(|error| with_context(format!("listen on {address}"), error))
}

/// Accepts connections forever, and responds to each in a task of its own.
async fn serve(listener: TcpListener, log: fn(&str)) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        // Acquire a slot first: a client that cannot be served yet is not accepted yet.
        let slot = slots.acquire_arc().await;
        let (stream, client) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                log(&format!("accept: {error}"));
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        glassfrog::spawn(async move {
            if let Err(error) = answer(stream).await {
                log(&format!("{client}: {error}"));
            }
            drop(slot);
        });
    }
}

/// Reads a request, sends the requested page, and closes.
async fn answer(mut stream: TcpStream) -> io::Result<()> {
    let head = timeout(REQUEST_TIMEOUT, read_head(&mut stream)).await;
    let head =
        head.map_err(|_| broken(format!("no complete request within {REQUEST_TIMEOUT:?}")))??;
    let path = head.split(' ').nth(1).unwrap_or_default();
    send_page(&mut stream, path).await?;
    stream.shutdown(Shutdown::Write)?;
    // The result does not matter, because the client has its response.
    let _closed = timeout(CLOSE_TIMEOUT, drain(&mut stream)).await;
    Ok(())
}

/// Sends the page of a path, or a list of the pages if there is none.
async fn send_page(stream: &mut TcpStream, path: &str) -> io::Result<()> {
    let Some(page) = PAGES.iter().find(|page| page.path == path) else {
        let pages = PAGES.map(|page| page.path).join("\n") + "\n";
        let length = pages.len();
        let head = format!("HTTP/1.0 404 Not Found\r\nContent-Length: {length}\r\n\r\n");
        return send(stream, (head + &pages).as_bytes()).await;
    };

    sleep(page.thinking).await;
    let length = page.pieces as usize * page.piece_size;
    let head = format!("HTTP/1.0 200 OK\r\nContent-Length: {length}\r\n\r\n");
    send(stream, head.as_bytes()).await?;
    let piece = vec![b'.'; page.piece_size];
    for _ in 0..page.pieces {
        sleep(page.pause).await;
        send(stream, &piece).await?;
    }
    Ok(())
}

/// Sends bytes to a client, which must read some of them within each idle timeout.
async fn send(stream: &mut TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let taken = timeout(IDLE_TIMEOUT, stream.write(bytes)).await;
        bytes = &bytes[taken.map_err(|_| broken("the client does not read its response"))??..];
    }
    Ok(())
}

/// Reads up to the empty line that ends the head of a request, and possibly a part of the body.
async fn read_head(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    let mut buffer = [0; 1024];
    while !has_empty_line(&head) {
        if head.len() >= MAX_HEAD {
            return Err(broken("the head of the request is longer than 8 KiB"));
        }
        match stream.read(&mut buffer).await? {
            0 => return Err(broken("the request ends in the middle of its head")),
            count => head.extend_from_slice(&buffer[..count]),
        }
    }
    Ok(String::from_utf8_lossy(head.trim_ascii_start()).into_owned())
}

/// Returns whether the head of a request is complete. Lines end with CR LF or with a bare LF, and empty
/// lines before the first are skipped (RFC 9112, section 2.2).
fn has_empty_line(request: &[u8]) -> bool {
    let head = request.trim_ascii_start();
    [&b"\n\n"[..], b"\n\r\n"]
        .iter()
        .any(|end| head.windows(end.len()).any(|window| window == *end))
}

/// Reads until the client closes its side.
async fn drain(stream: &mut TcpStream) -> io::Result<()> {
    let mut buffer = [0; 4096];
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::has_empty_line;

    #[test]
    fn a_head_ends_with_its_first_empty_line() {
        for (request, is_whole) in [
            ("", false),
            ("\r\n\r\n", false),
            ("GET / HTTP/1.0\r\n", false),
            ("GET / HTTP/1.0\r\n\r", false),
            ("GET / HTTP/1.0\r\n\r\n", true),
            ("GET / HTTP/1.0\n\n", true),
            ("GET / HTTP/1.0\r\nA: b\n\r\n", true),
            ("\r\nGET / HTTP/1.0\r\n", false),
            ("\n\r\nGET / HTTP/1.0\r\n\r\n", true),
            ("POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody", true),
        ] {
            assert_eq!(has_empty_line(request.as_bytes()), is_whole, "{request:?}");
        }
    }
}
