//! Many URLs at once, good and bad ones: none affects another.

use crate::support::{Peer, fetch, read_request, reset};
use std::io::{Read, Write};

#[test]
fn each_failure_has_a_line_and_does_not_affect_the_successes() {
    let good = Peer::answering("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    let silent = Peer::new(|mut stream| drop(stream.read_to_end(&mut Vec::new())));
    let short = Peer::answering("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello");
    let garbage = Peer::answering("220 mail.example ESMTP\r\n");
    let broken_off = Peer::new(|mut stream| {
        read_request(&mut stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nhello").unwrap();
        reset(stream);
    });
    let closing = Peer::answering("");
    let missing = Peer::answering("HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nno\n");

    // Each bad one between two good ones, with its line.
    let bad = [
        (silent.url("/"), "wait for PEER: timed out after 5s"),
        (
            short.url("/"),
            "read from PEER: the connection closed after 5 of 9 bytes",
        ),
        (
            garbage.url("/"),
            "read from PEER: not an HTTP/1 response: it begins with \"220 mail.example ESMTP\"",
        ),
        (broken_off.url("/"), "reset by peer"),
        (
            closing.url("/"),
            "wait for PEER: the connection closed without a response",
        ),
        (
            missing.url("/"),
            "read from PEER: the server responded with HTTP/1.1 404 Not Found",
        ),
        (
            "http://127.0.0.1:1/".to_string(),
            "connect to 127.0.0.1:1: ",
        ),
        (
            "http://nosuch.invalid/".to_string(),
            "resolve nosuch.invalid",
        ),
        (
            "https://127.0.0.1/".to_string(),
            "invalid URL: the scheme is \"https\", and only http is supported",
        ),
    ];
    let mut arguments = vec![
        "--timeout=5".to_string(),
        "--fail".to_string(),
        good.url("/"),
    ];
    for (url, _) in &bad {
        arguments.extend([url.clone(), good.url("/")]);
    }
    let run = fetch(&arguments).exits_with(1);
    assert_eq!(run.stderr, "");
    assert_eq!(
        run.stdout.matches(" 5  HTTP/1.1 200 OK\n").count(),
        bad.len() + 1
    );
    let failures: Vec<&str> = run
        .stdout
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("x "))
        .collect();
    assert_eq!(failures.len(), bad.len(), "{run:#?}");
    for ((url, reason), failure) in bad.iter().zip(failures) {
        let peer = url.trim_start_matches("http://").trim_end_matches('/');
        let reason = reason.replace("PEER", peer);
        assert!(failure.contains(&reason), "{failure:?} is not {reason:?}");
    }
    run.says(format!("\n{} failed.\n", bad.len()));
}

#[test]
fn a_status_of_400_or_above_fails_only_on_request() {
    for status in ["400 Bad Request", "404 Not Found", "500 Oh no"] {
        let peer = Peer::answering(format!(
            "HTTP/1.1 {status}\r\nContent-Length: 3\r\n\r\nno\n"
        ));
        fetch([peer.url("/")])
            .exits_with(0)
            .says(format!(" 3  HTTP/1.1 {status}\n"));
        fetch(["--fail", &peer.url("/")])
            .exits_with(1)
            .says(format!(
                "x read from {}: the server responded with HTTP/1.1 {status}\n",
                peer.address
            ));
    }
    let found = Peer::answering("HTTP/1.1 399 x\r\nContent-Length: 0\r\n\r\n");
    fetch(["--fail", &found.url("/")]).exits_with(0);
}
