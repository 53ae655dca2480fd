//! The server that `fetch` starts when it is given no URLs, on the same runtime as the fetches.
//!
//! Each path has its own pace, so that there is something to see: a time to think, and then a body
//! that is sent in pieces, with a pause before each.
//!
//! It trusts nobody: there is a deadline for requests, one for silence and one for the end, and a bound
//! on the number of connections. So clients that only hold connections open lose them after a while,
//! and whoever waits behind them is served.
//!
//! A request may have a body. It is of no interest, but has to be read: a connection that is closed
//! with unread bytes is reset, and the client could lose the end of the response.

use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_lock::Semaphore;
use glassfrog::net::{TcpListener, TcpStream};
use glassfrog::prelude::*;
use glassfrog::time::{sleep, timeout};
use socket2::{Domain, Socket, Type};

use crate::failure::{broken, tried};
use crate::screen::complain;

/// How the server answers one path.
struct Page {
    /// The path of the page.
    path: &'static str,
    /// How long the server thinks before it sends the first byte.
    thinking: Duration,
    /// How many pieces the body is sent in.
    pieces: u32,
    /// The pause before each piece.
    pause: Duration,
    /// How many bytes a piece has.
    piece_size: usize,
}

impl Page {
    /// A page; both times are in milliseconds.
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

/// What is fetched by default: fast and slow, small and large, in an order that shows that nobody
/// waits for the one before.
const PAGES: [Page; 5] = [
    Page::new("/balanced", 160, 8, 18, 2_000),
    Page::new("/fast", 40, 3, 15, 400),
    Page::new("/slow-to-start", 330, 4, 15, 1_000),
    Page::new("/slow-to-finish", 90, 20, 16, 500),
    Page::new("/large", 130, 10, 20, 200_000),
];

/// The longest head of a request that the server reads.
const MAX_HEAD: usize = 8 * 1024;

/// How long a client may take to send the head of its request, however busily it does so.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a client may take nothing of a piece.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a client that has its response may take to send the rest of its request, and to close. Most
/// close at once.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// How many clients are served at a time. Others wait in the queue of the listening socket. Below
/// the 1024 file descriptors that a process usually may have.
const MAX_CONNECTIONS: usize = 1000;

/// How long to wait after a failed `accept`, so that an error that lasts does not become a busy
/// loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How many clients wait in that queue. The usual 128 is not much of a crowd, and whoever finds it
/// full knocks again after a second.
const BACKLOG: i32 = 1024;

/// Starts the server on a free port, and returns the URLs of its pages.
pub(crate) async fn start() -> io::Result<(SocketAddr, Vec<String>)> {
    let listener = listen((Ipv4Addr::LOCALHOST, 0).into())?;
    let address = listener.local_addr()?;
    // Nobody waits for this task; it is cancelled when `block_on` returns. What goes wrong with a
    // client, the client reports.
    glassfrog::spawn(serve(listener, |_| {}));
    let urls = PAGES
        .iter()
        .map(|page| format!("http://{address}{}", page.path));
    Ok((address, urls.collect()))
}

/// Is the server at this address for ever, and complains about its clients.
pub(crate) async fn run(address: SocketAddr, announce: impl FnOnce(SocketAddr)) -> io::Result<()> {
    let listener = listen(address)?;
    announce(listener.local_addr()?);
    serve(listener, complain).await;
    Ok(())
}

/// Listens, with a longer queue than [`TcpListener::bind`] makes.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listen = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        // On Windows this would let others listen there too.
        if cfg!(unix) {
            socket.set_reuse_address(true)?;
        }
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        TcpListener::try_from(std::net::TcpListener::from(socket))
    };
    listen().map_err(|error| tried(format!("listen on {address}"), error))
}

/// Accepts connections for ever, and answers each in a task of its own.
async fn serve(listener: TcpListener, log: fn(&str)) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        // The slot comes first: whoever cannot be served yet is not accepted yet.
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

/// Reads one request, sends the page it asks for, and closes.
async fn answer(mut stream: TcpStream) -> io::Result<()> {
    let head = timeout(REQUEST_TIMEOUT, read_head(&mut stream)).await;
    let head =
        head.map_err(|_| broken(format!("no complete request within {REQUEST_TIMEOUT:?}")))??;
    let path = head.split(' ').nth(1).unwrap_or_default();
    send_page(&mut stream, path).await?;
    stream.shutdown(Shutdown::Write)?;
    // Whether the client takes its time or resets the connection: it has its response.
    let _closed = timeout(CLOSE_TIMEOUT, drain(&mut stream)).await;
    Ok(())
}

/// Sends the page of a path, or the list of pages if there is none.
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

/// Sends to a client that has to take something now and then.
async fn send(stream: &mut TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let taken = timeout(IDLE_TIMEOUT, stream.write(bytes)).await;
        bytes = &bytes[taken.map_err(|_| broken("the client does not read its response"))??..];
    }
    Ok(())
}

/// Reads up to the empty line that ends the head of a request, and perhaps some of the body.
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

/// Whether the head of a request has come to its end. Lines end with CR LF or with a bare LF, and empty
/// ones before the first are passed over (RFC 9112, section 2.2).
fn has_empty_line(request: &[u8]) -> bool {
    let head = request.trim_ascii_start();
    [&b"\n\n"[..], b"\n\r\n"]
        .iter()
        .any(|end| head.windows(end.len()).any(|window| window == *end))
}

/// Reads to the end of what a client sends.
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
