//! A TCP proxy in thirty lines: it connects each client to a server, and copies data in both directions.
//!
//! ```text
//! cargo run --example proxy                                     # runs a demo with a client and a server
//! cargo run --example proxy -- 127.0.0.1:7777 127.0.0.1:8000    # forwards the first address to the second
//! ```
//!
//! `copy_bidirectional` forwards the end of each direction separately, so a client that closes its write side still
//! receives the rest of the response. The proxy disconnects both sides when neither has sent anything for a minute.

use std::env;
use std::io;
use std::process::ExitCode;
use std::time::Duration;

use glassfrog::io::copy_bidirectional;
use glassfrog::net::{TcpListener, TcpStream};
use glassfrog::prelude::*;
use glassfrog::time::{sleep, timeout};

/// How long both sides may be silent.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// The pause after a failed `accept`, so that a lasting error does not cause a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts clients forever, and serves each in a task of its own.
async fn serve(listener: TcpListener, server: String) {
    loop {
        let (client, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                eprintln!("accept: {error}");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let server = server.clone();
        glassfrog::spawn(async move {
            match pass_on(client, &server).await {
                Ok((sent, received)) => println!("{address}: {sent} bytes there, {received} back"),
                Err(error) => eprintln!("{address}: {error}"),
            }
        });
    }
}

/// Copies between a client and the server until both have closed their sides.
async fn pass_on(client: TcpStream, server: &str) -> io::Result<(u64, u64)> {
    let server = timeout(IDLE_TIMEOUT, TcpStream::connect(server)).await??;
    let copy = copy_bidirectional(client, server);
    copy.idle_timeout(IDLE_TIMEOUT).await
}

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(|it| it.to_string_lossy()).collect();
    let outcome = glassfrog::block_on(async {
        match &arguments[..] {
            [] => timeout(DEMO_TIMEOUT, demo()).await?,
            [address, server] => {
                let listener = TcpListener::bind(&**address).await?;
                println!("listening on {}", listener.local_addr()?);
                serve(listener, server.to_string()).await;
                Ok(())
            }
            _ => Err(io::Error::other(
                "give the address to listen on and the address of the server, or no arguments",
            )),
        }
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("proxy: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The time limit of the demo, so that a mistake in the proxy cannot make it hang.
const DEMO_TIMEOUT: Duration = Duration::from_secs(20);

/// The request of the demo.
const REQUEST: &[u8] = b"What is the answer?";

/// The size of the response of the demo: more than the buffers of the sockets hold.
const RESPONSE_SIZE: usize = 10_000_000;

/// Starts a server and the proxy. Sends a request through the proxy, and checks the response.
async fn demo() -> io::Result<()> {
    let server = TcpListener::bind("127.0.0.1:0").await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    println!("listening on {address}");
    glassfrog::spawn(serve(listener, server.local_addr()?.to_string()));

    // The server reads to the end of the request before it responds.
    let serving = glassfrog::spawn(async move {
        let (mut stream, _) = server.accept().await?;
        let mut request = Vec::new();
        stream.read_to_end(&mut request).await?;
        stream.write_all(&[42; RESPONSE_SIZE]).await?;
        io::Result::Ok(request)
    });
    let mut client = TcpStream::connect(address).await?;
    client.write_all(REQUEST).await?;
    client.close().await?;
    let mut response = Vec::new();
    client.read_to_end(&mut response).await?;

    match serving.await?? == REQUEST && response == [42; RESPONSE_SIZE] {
        true => println!("the request and the response are correct"),
        false => return Err(io::Error::other("the proxy has corrupted the data")),
    }
    Ok(())
}
