//! The smallest server of HTTP: hyper without a framework.
//!
//! ```text
//! cargo run --release -p glassfrog-axum --bin hyper_hello
//! cargo run --release -p glassfrog-axum --bin hyper_hello -- --listen 127.0.0.1:8000
//! ```
//!
//! Without arguments, the program sends itself a request and exits. With `--listen`, it serves until it is killed; try
//! `curl -i http://127.0.0.1:8000/frog`, and `curl -i --http2-prior-knowledge http://127.0.0.1:8000/frog`.

use glassfrog::hyper::serve;
use glassfrog::net::{TcpListener, TcpStream};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use std::cell::Cell;
use std::convert::Infallible;
use std::env;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

fn main() -> io::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    glassfrog::block_on(async {
        match arguments[..] {
            [] => demo().await,
            ["--listen", addr] => hello(TcpListener::bind(addr).await?).await,
            _ => Err(io::Error::other("give --listen ADDRESS, or no argument")),
        }
    })
}

/// Serves until the listener fails.
async fn hello(listener: TcpListener) -> io::Result<()> {
    // The service runs on this thread alone, so an `Rc` is enough to share state.
    let visits = Rc::new(Cell::new(0));
    let server = serve(listener, move |peer: SocketAddr| {
        let visits = Rc::clone(&visits);
        service_fn(move |request: Request<Incoming>| {
            visits.set(visits.get() + 1);
            let text = format!(
                "Hello {peer}, you are visitor {} of {}.\n",
                visits.get(),
                request.uri().path()
            );
            async { Ok::<_, Infallible>(Response::new(text)) }
        })
    });
    server.await.map(|_aborted| ())
}

/// Sends a request to the server, and prints the response.
async fn demo() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let client = TcpStream::connect(listener.local_addr()?).await?;
    let server = glassfrog::spawn(hello(listener));
    client.write(b"GET /frog HTTP/1.0\r\n\r\n").await?;
    let mut response = Vec::new();
    client.read_to_end(&mut response).await?;
    print!("{}", String::from_utf8_lossy(&response));
    server.abort();
    if response.starts_with(b"HTTP/1.0 200 OK\r\n") {
        Ok(())
    } else {
        Err(io::Error::other("the server did not answer"))
    }
}
