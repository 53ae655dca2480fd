//! A server that exports the metrics of its own runtime to Prometheus, and shows what its tasks are
//! waiting for.
//!
//! ```text
//! cargo run --release --example metrics                       # fetches both pages from itself
//! cargo run --release --example metrics -- 127.0.0.1:9090     # try: curl 127.0.0.1:9090/metrics
//!                                                             # and:  curl 127.0.0.1:9090/tasks
//! ```
//!
//! The output is in the text format of Prometheus, version 0.0.4: a comment with the type, then a name and
//! a number.

use std::fmt::Write;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use async_lock::Semaphore;
use glassfrog::net::{TcpListener, TcpStream};
use glassfrog::prelude::*;
use glassfrog::task::{self, Builder};
use glassfrog::time::{sleep, timeout};
use glassfrog::{Handle, Metrics};

/// The time limit for a client to send the head of its request and to read the response.
const DEADLINE: Duration = Duration::from_secs(5);

/// The time limit for a client to send the rest of its request and to close, after the response.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// The number of clients served at a time; others wait in the backlog of the listening socket.
const MAX_CONNECTIONS: usize = 100;

/// The longest head of a request that the server reads.
const MAX_HEAD: usize = 4096;

/// The pause after a failed `accept`, so that a lasting error does not cause a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    let outcome = glassfrog::block_on(async {
        match std::env::args().nth(1) {
            Some(addr) => serve(TcpListener::bind(addr).await?).await,
            None => demo().await,
        }
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("metrics: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Starts the server and fetches both pages.
async fn demo() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    let server = Builder::new().name("server").spawn(serve(listener));
    for path in ["/metrics", "/tasks"] {
        println!("{}", timeout(DEADLINE, get(addr, path)).await??);
    }
    server.abort();
    Ok(())
}

/// Fetches a page.
async fn get(addr: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(addr).await?;
    let request = format!("GET {path} HTTP/1.0\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    String::from_utf8(answer).map_err(io::Error::other)
}

/// Serves clients forever, each in a task of its own.
async fn serve(listener: TcpListener) -> io::Result<()> {
    println!("http://{}/metrics", listener.local_addr()?);
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        // Acquire a slot first: a client that cannot be served yet is not accepted yet.
        let slot = slots.acquire_arc().await;
        match listener.accept().await {
            Ok((stream, peer)) => {
                let client = Builder::new().name(format!("client {peer}"));
                client.spawn(async move {
                    let _slot = slot;
                    let outcome = timeout(DEADLINE, answer(&stream)).await;
                    match outcome.unwrap_or_else(|elapsed| Err(elapsed.into())) {
                        Ok(()) => close(stream).await,
                        Err(error) => eprintln!("{peer}: {error}"),
                    }
                });
            }
            Err(error) => {
                eprintln!("accept: {error}");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Reads the head of a request and responds.
async fn answer(mut stream: &TcpStream) -> io::Result<()> {
    let mut head = Vec::new();
    while !has_empty_line(&head) && head.len() < MAX_HEAD {
        let mut buf = [0; 512];
        match stream.read(&mut buf).await? {
            0 => break,
            count => head.extend_from_slice(&buf[..count]),
        }
    }
    let (status, body) = match head.split(|byte| *byte == b' ').nth(1) {
        Some(b"/metrics") => ("200 OK", prometheus(&Handle::current().metrics())),
        Some(b"/tasks") => ("200 OK", task::dump().to_string()),
        _ => ("404 Not Found", String::from("Try /metrics or /tasks.\n")),
    };
    let answer = format!(
        "HTTP/1.0 {status}\r\nContent-Type: text/plain; version=0.0.4\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(answer.as_bytes()).await
}

/// Returns whether the head of a request is complete. Lines end with CR LF or with a bare LF, and empty
/// lines before the first are skipped (RFC 9112, section 2.2).
fn has_empty_line(request: &[u8]) -> bool {
    let head = request.trim_ascii_start();
    [&b"\n\n"[..], b"\n\r\n"]
        .iter()
        .any(|end| head.windows(end.len()).any(|window| window == *end))
}

/// Closes a connection after the response. Reads what the client still sends, such as a body: closing a
/// connection with unread bytes resets it, and the client could lose the end of the response.
async fn close(stream: TcpStream) {
    let drain = async {
        stream.shutdown(Shutdown::Write)?;
        while stream.read(&mut [0; 4096]).await? > 0 {}
        io::Result::Ok(())
    };
    // The result does not matter, because the client has its response.
    let _closed = timeout(CLOSE_TIMEOUT, drain).await;
}

/// Formats the metrics for Prometheus.
fn prometheus(metrics: &Metrics) -> String {
    let counters = [
        ("tasks_spawned_total", metrics.tasks_spawned as f64),
        ("tasks_finished_total", metrics.tasks_finished as f64),
        ("polls_total", metrics.polls as f64),
        ("slow_polls_total", metrics.slow_polls as f64),
        ("wakes_local_total", metrics.wakes_local as f64),
        ("wakes_remote_total", metrics.wakes_remote as f64),
        ("turns_total", metrics.turns as f64),
        ("parks_total", metrics.parks as f64),
        ("busy_seconds_total", metrics.time_busy.as_secs_f64()),
        ("parked_seconds_total", metrics.time_parked.as_secs_f64()),
        ("io_events_total", metrics.io_events as f64),
        ("timers_set_total", metrics.timers_set as f64),
        ("timers_fired_total", metrics.timers_fired as f64),
        ("timers_cancelled_total", metrics.timers_cancelled as f64),
    ];
    let gauges = [
        ("tasks_alive", metrics.tasks_alive as f64),
        ("sockets", metrics.sockets as f64),
        ("blocking_threads", metrics.blocking_threads as f64),
        ("blocking_queue", metrics.blocking_queue as f64),
    ];
    let mut text = String::new();
    let kinds = [("counter", &counters[..]), ("gauge", &gauges[..])];
    for (kind, numbers) in kinds {
        for (name, number) in numbers {
            // Writing into a string cannot fail.
            let _never = writeln!(
                text,
                "# TYPE glassfrog_{name} {kind}\nglassfrog_{name} {number}"
            );
        }
    }
    text
}
