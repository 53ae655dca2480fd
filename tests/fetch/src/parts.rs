//! Parts that run in a child process, because they need many descriptors. The child is this same program, and its
//! environment names the part.

use crate::support::watchdog;
use glassfrog::net::{TcpListener, TcpStream};
use glassfrog::prelude::*;
use glassfrog::time::sleep;
use socket2::{Domain, Socket, Type};
use std::env;
use std::future::pending;
use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

/// The environment variable that names the part of a child process, and its peer.
const PART: &str = "GLASSFROG_FETCH_PART";

/// A child process. Dropping it ends the process.
pub(crate) struct Part {
    /// The process.
    process: Child,
    /// The message that it printed when it was ready.
    pub(crate) told: String,
    /// Its standard input. The child exits when it is closed.
    _stdin: ChildStdin,
}

/// Starts a child process and waits until it is ready.
pub(crate) fn play(part: &str) -> Part {
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args([
            "parts::a_second_process_runs_its_part",
            "--exact",
            "--nocapture",
        ])
        .env(PART, part);
    start(command, "ready: ")
}

/// Starts a process and waits for a line with this prefix.
pub(crate) fn start(mut command: Command, ready: &str) -> Part {
    let mut process = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let told = lines
        .map(Result::unwrap)
        // libtest may have printed the name of the test before it.
        .find_map(|line| Some(line.split_once(ready)?.1.to_string()));
    Part {
        told: told.expect("it never was ready"),
        _stdin: process.stdin.take().unwrap(),
        process,
    }
}

impl Part {
    /// Returns the process id.
    #[cfg(target_os = "linux")]
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ended_already = self.process.kill();
        self.process.wait().unwrap();
    }
}

#[test]
fn a_second_process_runs_its_part() {
    let Ok(part) = env::var(PART) else {
        return;
    };
    let _watchdog = watchdog();
    match part.split_once(' ') {
        None => glassfrog::block_on(count(&part)).unwrap(),
        Some((_, address)) => glassfrog::block_on(drip(address)).unwrap(),
    }
}

/// Prints a message to the parent process.
fn tell(ready: impl std::fmt::Display) {
    let mut stdout = io::stdout();
    writeln!(stdout, "ready: {ready}").unwrap();
    stdout.flush().unwrap();
}

/// Starts a server with a long backlog.
fn listen() -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
    socket.listen(4096)?;
    TcpListener::try_from(std::net::TcpListener::from(socket))
}

/// Responds to every request with its path, after a delay.
async fn count(part: &str) -> io::Result<()> {
    assert_eq!(part, "server");
    let listener = listen()?;
    tell(listener.local_addr()?);
    loop {
        let (mut stream, _) = listener.accept().await?;
        drop(glassfrog::spawn(async move {
            let mut request = [0; 1024];
            let count = stream.read(&mut request).await?;
            let request = String::from_utf8_lossy(&request[..count]).into_owned();
            sleep(Duration::from_millis(20)).await;
            let body = request.split(' ').nth(1).unwrap_or_default();
            let length = body.len();
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}");
            stream.write_all(answer.as_bytes()).await
        }));
    }
}

/// Starts a thousand clients that never complete their requests.
async fn drip(address: &str) -> io::Result<()> {
    let mut connections = Vec::new();
    for _ in 0..1000 {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"GET /fast HTTP/1.1\r\n").await?;
        connections.push(glassfrog::spawn(async move {
            while stream.write_all(b"A: b\r\n").await.is_ok() {
                sleep(Duration::from_millis(200)).await;
            }
        }));
    }
    tell(connections.len());
    pending().await
}
