//! The example servers that speak HTTP, with clients that differ from `fetch`.

use crate::parts::{Part, start};
use crate::support::{PROGRAM, watchdog};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::Command;

/// Starts both servers. Returns the address of each and the path of a page.
fn servers() -> [(Part, String, &'static str); 2] {
    let mut serve = Command::new(PROGRAM);
    serve.args(["--serve", "127.0.0.1:0"]);
    let serve = start(serve, "listening on ");
    let mut metrics = Command::new(env!("CARGO_BIN_EXE_metrics"));
    metrics.arg("127.0.0.1:0");
    let metrics = start(metrics, "http://");
    let addresses = [&serve.told, metrics.told.trim_end_matches("/metrics")].map(str::to_string);
    let [of_serve, of_metrics] = addresses;
    [(serve, of_serve, "/fast"), (metrics, of_metrics, "/tasks")]
}

/// Sends a request in these pieces, leaves the connection open, and reads the response to its end.
fn ask(address: &str, pieces: &[&[u8]]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    for piece in pieces {
        stream.write_all(piece).unwrap();
    }
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

/// Checks that a response is complete.
#[track_caller]
fn check(response: &str, request: &str) {
    assert!(
        response.starts_with("HTTP/1.0 200 OK\r\n"),
        "{request:?}: {response:?}"
    );
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    let (_, length) = head.split_once("Content-Length: ").unwrap();
    let length: usize = length.lines().next().unwrap().parse().unwrap();
    assert_eq!(body.len(), length, "{request:?}: {response:?}");
}

#[test]
fn a_request_is_answered_with_any_line_ending_and_body() {
    let _watchdog = watchdog();
    for (_server, address, path) in servers() {
        for request in [
            "GET PATH HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET PATH HTTP/1.1\nHost: x\n\n",
            "GET PATH HTTP/1.1\r\nHost: x\n\r\n",
            "\r\n\nGET PATH HTTP/1.1\r\nHost: x\r\n\r\n",
            "POST PATH HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
            "POST PATH HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            // A body that is announced and never sent.
            "POST PATH HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n",
        ] {
            let request = request.replace("PATH", path);
            check(&ask(&address, &[request.as_bytes()]), &request);
            let bytes: Vec<&[u8]> = request.as_bytes().chunks(1).collect();
            check(&ask(&address, &bytes), &request);
        }
    }
}

#[test]
fn a_client_that_sends_a_long_body_receives_the_whole_response() {
    let _watchdog = watchdog();
    for (_server, address, path) in servers() {
        let head = format!("POST {path} HTTP/1.1\r\nContent-Length: 8000000\r\n\r\n");
        let body = vec![b'.'; 8_000_000];
        check(&ask(&address, &[head.as_bytes(), &body]), &head);
    }
}

#[test]
fn a_client_that_shuts_down_writing_after_its_request_gets_a_response() {
    let _watchdog = watchdog();
    for (_server, address, path) in servers() {
        let mut stream = TcpStream::connect(&address).unwrap();
        let request = format!("GET {path} HTTP/1.0\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        check(&response, &request);
    }
}
