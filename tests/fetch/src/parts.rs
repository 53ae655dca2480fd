//! Parts that are played by a second process, because they need many descriptors: this same program,
//! told by its environment which part to play.

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

/// Where a second process finds which part it is to play, and with whom.
const PART: &str = "GLASSFROG_FETCH_PART";

/// A second process. Dropping it ends it.
pub(crate) struct Part {
    /// The process.
    process: Child,
    /// What it told when it was ready.
    pub(crate) told: String,
    /// Its input, the end of which tells it to end.
    _stdin: ChildStdin,
}

/// Starts a second process, and waits for it to be ready.
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

/// Starts a process, and waits for a line that begins with this.
pub(crate) fn start(mut command: Command, ready: &str) -> Part {
    let mut process = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let told = lines
        .map(Result::unwrap)
        // libtest may have printed the name of the test in front of it.
        .find_map(|line| Some(line.split_once(ready)?.1.to_string()));
    Part {
        told: told.expect("it never was ready"),
        _stdin: process.stdin.take().unwrap(),
        process,
    }
}

impl Part {
    /// The number of the process.
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

/// Tells the first process something.
fn tell(ready: impl std::fmt::Display) {
    let mut stdout = io::stdout();
    writeln!(stdout, "ready: {ready}").unwrap();
    stdout.flush().unwrap();
}

/// A server with a long queue.
fn listen() -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
    socket.listen(4096)?;
    TcpListener::try_from(std::net::TcpListener::from(socket))
}

/// Answers every request with its own path, after it has thought for a while.
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

/// A thousand clients that never come to the end of their requests.
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
