//! What a server costs its process: syscalls and threads. Each server runs in a process of its own.

use crate::support::{Client, EchoService, bind, block_on, echo_server};
use futures::channel::oneshot;
use glassfrog::hyper::serve;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::Service;
use std::cell::Cell;
use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{self, Command, Stdio};
use std::time::Duration;

/// The variable that makes a test the server.
const CHILD: &str = "GLASSFROG_HYPER_CHILD";

/// The start of the line in which the server tells its address.
const ADDRESS: &str = "address ";

/// Returns the command that runs a test of this module in a process of its own, under the program `under` if there is one.
fn child(under: &[&str], test: &str) -> Command {
    let own = env::current_exe().unwrap();
    let mut command = match under {
        [] => Command::new(own),
        [program, arguments @ ..] => {
            let mut command = Command::new(program);
            command.args(arguments).arg(own);
            command
        }
    };
    let name = format!("process::{test}");
    command
        .args(["--exact", &name, "--nocapture", "--test-threads=1"])
        .env(CHILD, "1");
    command
}

/// `EchoService`, which stops the server when its connection ends.
struct Last {
    /// Stops the server when it is dropped.
    _stop: Option<oneshot::Sender<()>>,
}

impl Service<Request<Incoming>> for Last {
    type Response = <EchoService as Service<Request<Incoming>>>::Response;
    type Error = <EchoService as Service<Request<Incoming>>>::Error;
    type Future = <EchoService as Service<Request<Incoming>>>::Future;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        EchoService.call(request)
    }
}

/// Serves one connection.
async fn serve_one() {
    let (listener, addr) = bind().await;
    println!("\n{ADDRESS}{addr}");
    let (stop, stopped) = oneshot::channel::<()>();
    let stop = Cell::new(Some(stop));
    let server = serve(listener, move |_peer| Last { _stop: stop.take() });
    let server = server.graceful(stopped, Duration::from_secs(60));
    assert_eq!(server.await.unwrap(), 0);
}

/// Returns the number of syscalls of a server that answers this many requests on one connection. Returns `None` without
/// strace.
fn syscalls(requests: usize) -> Option<u64> {
    let report = env::temp_dir().join(format!("glassfrog-strace-{}-{requests}", process::id()));
    let report = report.to_str().unwrap();
    let test = "a_request_on_an_open_connection_takes_three_syscalls";
    let mut server = child(&["strace", "-f", "-c", "-U", "calls", "-o", report], test)
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let addr = lines.find_map(|line| Some(String::from(line.unwrap().strip_prefix(ADDRESS)?)));
    let mut client = TcpStream::connect(addr?).unwrap();
    let mut buffer = [0; 1024];
    for _ in 0..requests {
        client
            .write_all(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            .unwrap();
        let mut count = 0;
        while !buffer[..count].ends_with(b"GET / 0") {
            count += client.read(&mut buffer[count..]).unwrap();
        }
    }
    drop(client);
    lines.for_each(drop);
    assert!(server.wait().unwrap().success());
    let table = fs::read_to_string(report).unwrap();
    fs::remove_file(report).unwrap();
    let total = table.lines().last().unwrap();
    Some(total.split_whitespace().next().unwrap().parse().unwrap())
}

#[test]
fn a_request_on_an_open_connection_takes_three_syscalls() {
    if env::var_os(CHILD).is_some() {
        return block_on(serve_one());
    }
    let (few, many) = (100, 2100);
    let (Some(before), Some(after)) = (syscalls(few), syscalls(many)) else {
        println!("skipped: strace is not installed");
        return;
    };
    // `epoll_wait`, `recv` and `send`.
    let each = (after - before) as f64 / (many - few) as f64;
    assert!(each <= 3.01, "{each}");
}

#[test]
fn a_server_starts_no_thread() {
    if env::var_os(CHILD).is_none() {
        let child = child(&[], "a_server_starts_no_thread").output().unwrap();
        let output = String::from_utf8_lossy(&child.stdout);
        assert!(child.status.success(), "{output}");
        return;
    }
    let threads = || fs::read_dir("/proc/self/task").unwrap().count();
    let before = threads();
    block_on(async {
        let (addr, _server) = echo_server(|server| server).await;
        let mut client = Client::connect(addr).await;
        client.get("/").await;
        assert_eq!(client.body().await, "GET / 0");
        assert_eq!(threads(), before);
    });
}
