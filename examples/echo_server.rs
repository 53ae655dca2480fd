//! A TCP server to start from. It sends back whatever a client sends.
//!
//! ```text
//! cargo run --example echo_server                     # on 127.0.0.1:7777; try: nc 127.0.0.1 7777
//! cargo run --example echo_server -- [::]:9000        # on another address
//! cargo run --example echo_server -- --demo           # connects to itself, checks the echoes, and exits
//! ```
//!
//! A server must do more than accept connections:
//!
//! - run a task per connection, so that a slow client does not delay the others: `serve`
//! - log the error of a connection and close only that connection: `serve`
//! - limit the number of connections, which cost memory and file descriptors: `slots`
//! - disconnect a client that is silent for too long and may be gone: `echo`
//!
//! Replace `echo` with your own protocol.

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

/// The address to listen on if none is given.
const DEFAULT_ADDRESS: &str = "127.0.0.1:7777";

/// The number of clients served at a time; others wait in the backlog of the listening socket. Below 1024,
/// the usual limit on the file descriptors of a process.
const MAX_CONNECTIONS: usize = 1000;

/// The time that a client may be silent: long enough for a person who types.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// The pause after a failed `accept`, so that a lasting error does not cause a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The size of the buffer of each connection.
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
        (Some(_), Some(_)) => Err(io::Error::other("give an address, --demo, or no argument")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("echo_server: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Listens on an address and serves until the process is killed.
async fn listen(address: &str) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    serve(listener).await;
    Ok(())
}

/// Accepts clients forever, and echoes to each in a task of its own.
async fn serve(listener: TcpListener) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        // Acquire a slot first: a client that cannot be served yet is not accepted yet.
        let slot = slots.acquire_arc().await;
        let (stream, client) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                eprintln!("accept: {error}");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Dropping the handle detaches the task.
        glassfrog::spawn(async move {
            match echo(stream).await {
                Ok(bytes) => println!("{client}: {bytes} bytes echoed"),
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    eprintln!("{client}: disconnected after being silent for too long");
                }
                Err(error) => eprintln!("{client}: {error}"),
            }
            drop(slot);
        });
    }
}

/// Sends back what a client sends until it closes its side. Returns the number of bytes.
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

/// The number of clients in the demo.
const DEMO_CLIENTS: usize = 4;

/// The time limit of the demo, so that a mistake in the server cannot make it hang.
const DEMO_TIMEOUT: Duration = Duration::from_secs(20);

/// Starts the server, connects several clients at the same time, and checks the echoes.
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
    println!("all echoes are correct");
    Ok(())
}

/// Sends messages of several sizes, from empty to more than a socket buffer holds, and checks the echoes.
async fn demo_client(address: SocketAddr, number: usize) -> io::Result<()> {
    for size in [0, 1, 10_000, 10_000_000] {
        let message: Vec<u8> = (0..size).map(|i| (i * 7 + number) as u8).collect();
        let (mut reader, mut writer) = TcpStream::connect(address).await?.into_split();

        // The client must send and receive at the same time: once all buffers are full, the server reads
        // nothing more until the client has read an echo.
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
                "sent {} bytes and received {} different bytes",
                message.len(),
                echo.len()
            )));
        }
    }
    Ok(())
}
