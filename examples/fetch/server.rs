//! The server that `fetch` starts when it is given no URLs, on the same runtime as the fetches.
//!
//! Each path has its own pace, so that there is something to see: a time to think, and then a body
//! that is sent in pieces, with a pause before each.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use glassfrog::net::{TcpListener, TcpStream};
use glassfrog::prelude::*;
use glassfrog::time::{sleep, timeout};

use crate::url::Url;

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

/// The longest request that the server reads.
const MAX_REQUEST: usize = 8 * 1024;

/// How long a client may take to send its request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Starts the server on a free port, and returns the URLs of its pages.
pub(crate) async fn start() -> io::Result<Vec<Url>> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    // Nobody waits for this task; it is cancelled when `block_on` returns.
    glassfrog::spawn(serve(listener));
    PAGES
        .iter()
        .map(|page| Url::parse(&format!("http://{address}{}", page.path)).map_err(io::Error::other))
        .collect()
}

/// Accepts connections for ever, and answers each in a task of its own.
async fn serve(listener: TcpListener) {
    let mut incoming = listener.incoming();
    while let Some(connection) = incoming.next().await {
        glassfrog::spawn(async move {
            let outcome = match connection {
                Ok(stream) => answer(stream).await,
                Err(error) => Err(error),
            };
            if let Err(error) = outcome {
                eprintln!("embedded server: {error}");
            }
        });
    }
}

/// Reads one request and sends the page it asks for.
async fn answer(mut stream: TcpStream) -> io::Result<()> {
    let request = timeout(REQUEST_TIMEOUT, read_request(&mut stream)).await??;
    let path = request.split(' ').nth(1).unwrap_or_default();
    let Some(page) = PAGES.iter().find(|page| page.path == path) else {
        return stream.write_all(b"HTTP/1.0 404 Not Found\r\n\r\n").await;
    };

    sleep(page.thinking).await;
    let length = page.pieces as usize * page.piece_size;
    let head = format!("HTTP/1.0 200 OK\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let piece = vec![b'.'; page.piece_size];
    for _ in 0..page.pieces {
        sleep(page.pause).await;
        stream.write_all(&piece).await?;
    }
    Ok(())
}

/// Reads up to the empty line that ends the head of a request. (All of it: a connection that is
/// closed with unread bytes is reset, and the client could lose the end of its answer.)
async fn read_request(stream: &mut TcpStream) -> io::Result<String> {
    let mut request = Vec::new();
    let mut buffer = [0; 1024];
    while !request.ends_with(b"\r\n\r\n") {
        let received = stream.read(&mut buffer).await?;
        if received == 0 || request.len() + received > MAX_REQUEST {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a request that is cut short or too long",
            ));
        }
        request.extend_from_slice(&buffer[..received]);
    }
    Ok(String::from_utf8_lossy(&request).into_owned())
}
