//! A TCP server to start from: it sends back whatever a client sends.
//!
//! ```text
//! cargo run --example echo_server                     # on 127.0.0.1:7777; try: nc 127.0.0.1 7777
//! cargo run --example echo_server -- [::]:9000        # on an address of your choice
//! cargo run --example echo_server -- --demo           # talks to itself, checks the echoes, ends
//! ```
//!
//! What a server needs besides accepting, and where it stands here:
//!
//! - a task a connection, so that a slow client holds up nobody else: `serve`
//! - errors of a connection are logged and end that connection, never the server: `serve`
//! - a bound on the number of connections, or a crowd uses up memory and file descriptors: `slots`
//! - a limit on silence, or clients that are long gone stay connected for ever: `echo`
//!
//! Put a protocol of your own in the place of `echo`.

use std::env;
use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use async_lock::Semaphore;
use glassfrog::net::{TcpListener, TcpStream};
use glassfrog::prelude::*;
use glassfrog::time::{sleep, timeout};

/// Where the server listens if no address is given.
const DEFAULT_ADDRESS: &str = "127.0.0.1:7777";

/// How many clients are served at a time. Others wait in the queue of the listening socket. Below
/// the 1024 file descriptors that a process usually may have.
const MAX_CONNECTIONS: usize = 1000;

/// How long a client may neither send nor take anything: a person who types should not be cut off.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// How long to wait after a failed `accept`, so that an error that lasts does not become a busy
/// loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How much is read at a time; each connection has one such buffer.
const BUFFER_SIZE: usize = 8 * 1024;

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1);
    let argument = arguments.next().map(|it| it.to_string_lossy().into_owned());
    let outcome = match (argument.as_deref(), arguments.next()) {
        (Some("--demo"), None) => {
            glassfrog::block_on(async { timeout(DEMO_TIMEOUT, demo()).await? })
        }
        (None, _) => glassfrog::block_on(listen(DEFAULT_ADDRESS)),
        (Some(address), None) => glassfrog::block_on(listen(address)),
        (Some(_), Some(_)) => Err(io::Error::other("give one address, or --demo, or nothing")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("echo_server: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Listens on an address, and serves until the process is killed.
async fn listen(address: &str) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    serve(listener).await;
    Ok(())
}

/// Accepts clients for ever, and echoes to each in a task of its own.
async fn serve(listener: TcpListener) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        // The slot comes first: whoever cannot be served yet is not accepted yet.
        let slot = slots.acquire_arc().await;
        let (stream, client) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                eprintln!("accept: {error}");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Nobody awaits the handle, so the task runs on by itself.
        glassfrog::spawn(async move {
            match echo(stream).await {
                Ok(bytes) => println!("{client}: {bytes} bytes echoed"),
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    eprintln!("{client}: disconnected, silent for too long");
                }
                Err(error) => eprintln!("{client}: {error}"),
            }
            drop(slot);
        });
    }
}

/// Sends back what comes in until the client closes its side. Returns how many bytes that were.
async fn echo(mut stream: TcpStream) -> io::Result<u64> {
    let mut buffer = vec![0; BUFFER_SIZE];
    let mut echoed = 0;
    loop {
        let received = timeout(IDLE_TIMEOUT, stream.read(&mut buffer)).await??;
        if received == 0 {
            return Ok(echoed);
        }
        timeout(IDLE_TIMEOUT, stream.write_all(&buffer[..received])).await??;
        echoed += received as u64;
    }
}

/// How many clients the demo has.
const DEMO_CLIENTS: usize = 4;

/// How long the demo may take, so that a mistake in the server cannot hang whoever runs it.
const DEMO_TIMEOUT: Duration = Duration::from_secs(20);

/// Starts the server, lets some clients talk to it at the same time, and checks the echoes.
async fn demo() -> io::Result<()> {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    let address = listener.local_addr()?;
    println!("listening on {address}");
    glassfrog::spawn(serve(listener));

    let clients: Vec<_> = (0..DEMO_CLIENTS)
        .map(|number| glassfrog::spawn(demo_client(address, number)))
        .collect();
    for client in clients {
        client.await??;
    }
    println!("all echoes are right");
    Ok(())
}

/// Sends messages from nothing to more than any socket buffer holds, and compares what comes back.
async fn demo_client(address: SocketAddr, number: usize) -> io::Result<()> {
    for size in [0, 1, 10_000, 10_000_000] {
        let message: Vec<u8> = (0..size).map(|i| (i * 7 + number) as u8).collect();
        let (mut reader, mut writer) = TcpStream::connect(address).await?.into_split();

        // Sending and receiving have to go on at the same time: once all buffers on the way are
        // full, the server takes nothing more before it has got rid of its echo.
        let sent = message.clone();
        let sender = glassfrog::spawn(async move {
            writer.write_all(&sent).await?;
            writer.close().await
        });
        let mut echo = Vec::new();
        reader.read_to_end(&mut echo).await?;
        sender.await??;

        if echo != message {
            return Err(io::Error::other(format!(
                "sent {} bytes, and something else came back ({} bytes)",
                message.len(),
                echo.len()
            )));
        }
    }
    Ok(())
}
