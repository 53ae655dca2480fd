//! Peers that misbehave.

use crate::support::{Peer, TempDir, close, fails, fetch, read_request, reset};
use std::fs;
use std::io::{Read, Write};
use std::thread;
use std::time::Duration;

#[test]
fn a_connection_reset_at_any_point_is_a_failure() {
    for sent in [
        "",
        "HTTP/1.1 200",
        "HTTP/1.1 200 OK\r\nServer: x\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        // Cases that end with the connection must end in order.
        "HTTP/1.1 200 OK\r\n\r\nhello",
    ] {
        let peer = Peer::new(move |mut stream| {
            read_request(&mut stream);
            stream.write_all(sent.as_bytes()).unwrap();
            reset(stream);
        });
        let url = peer.url("/");
        let run = fetch(["-q", &url]).exits_with(1);
        assert!(
            run.stderr.starts_with(&format!("fetch: {url}: "))
                && run.stderr.contains("reset by peer")
                && run.stderr.contains(&peer.address),
            "{sent:?}: {run:#?}"
        );
    }
}

#[test]
fn a_server_that_never_answers_times_out() {
    let silent = Peer::new(|mut stream| drop(stream.read_to_end(&mut Vec::new())));
    fails(
        &["--timeout", "2"],
        &silent,
        "wait for PEER: timed out after 2s",
    );
    let silent_later = Peer::new(|mut stream| {
        read_request(&mut stream);
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
            .unwrap();
        drop(stream.read_to_end(&mut Vec::new()));
    });
    fails(
        &["--timeout", "2"],
        &silent_later,
        "read from PEER: timed out after 2s",
    );
}

#[test]
fn the_deadline_covers_the_whole_fetch_and_not_each_byte() {
    let busy = Peer::new(|mut stream| {
        read_request(&mut stream);
        let mut sent = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while sent.is_ok() {
            // Slowly, so that the deadline ends it, and not the size limit.
            thread::sleep(Duration::from_millis(5));
            sent = stream.write_all(b".");
        }
    });
    fails(
        &["--timeout", "2.5"],
        &busy,
        "read from PEER: timed out after 2.5s",
    );
}

#[test]
fn a_response_that_arrives_byte_by_byte_is_accepted() {
    let slow = Peer::new(|mut stream| {
        read_request(&mut stream);
        stream.set_nodelay(true).unwrap();
        for byte in b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        {
            stream.write_all(&[*byte]).unwrap();
            // This slowness is under test.
            thread::sleep(Duration::from_millis(10));
        }
        close(stream);
    });
    fetch([slow.url("/")])
        .exits_with(0)
        .says(" 5  HTTP/1.1 200 OK\n");
}

#[test]
fn an_endless_head_is_rejected() {
    let endless = |begin: &'static str, more: &'static str| {
        Peer::new(move |mut stream| {
            read_request(&mut stream);
            let mut sent = stream.write_all(begin.as_bytes());
            while sent.is_ok() {
                sent = stream.write_all(more.as_bytes());
            }
        })
    };
    fails(
        &[],
        &endless("HTTP/1.1 200 OK\r\n", "X-Filling: aaaaaaaaaaaaaaaaaaa\r\n"),
        "read from PEER: the header is longer than 64 KiB",
    );
    fails(
        &[],
        &endless("HTTP/1.1 200 O", "KKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKK"),
        "read from PEER: the status line is longer than 64 KiB",
    );
    fails(
        &[],
        &endless("", "HTTP/1.1 100 Continue\r\n\r\n"),
        "read from PEER: more than 8 interim responses",
    );
}

#[test]
fn a_head_with_too_many_fields_is_rejected() {
    let fields = "A: b\r\n".repeat(129);
    let peer = Peer::answering(format!("HTTP/1.1 200 OK\r\n{fields}\r\n"));
    fails(&[], &peer, "read from PEER: more than 128 header fields");
}

#[test]
fn an_endless_body_is_rejected() {
    for (begin, more) in [
        ("\r\n", "................................"),
        (
            "Transfer-Encoding: chunked\r\n\r\n",
            "10\r\n................\r\n",
        ),
    ] {
        let endless = Peer::new(move |mut stream| {
            read_request(&mut stream);
            let mut sent = write!(stream, "HTTP/1.1 200 OK\r\n{begin}");
            while sent.is_ok() {
                sent = stream.write_all(more.repeat(100).as_bytes());
            }
        });
        fails(
            &["--max-size", "1M"],
            &endless,
            "read from PEER: the body is longer than the 1048576 bytes that --max-size allows",
        );
    }
}

#[test]
fn an_endless_trailer_is_rejected() {
    let endless = Peer::new(move |mut stream| {
        read_request(&mut stream);
        let mut sent =
            stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n");
        while sent.is_ok() {
            sent = stream.write_all(b"X-Filling: aaaaaaaaaaaaaaaaaaa\r\n");
        }
    });
    fails(
        &[],
        &endless,
        "read from PEER: the trailer is longer than 64 KiB",
    );
}

#[test]
fn a_response_shorter_than_its_content_length_is_a_failure() {
    for (sent, reason) in [
        (
            "Content-Length: 10\r\n\r\nhello",
            "the connection closed after 5 of 10 bytes",
        ),
        (
            "Content-Length: 10\r\n\r\n",
            "the connection closed after 0 of 10 bytes",
        ),
    ] {
        let peer = Peer::answering(format!("HTTP/1.1 200 OK\r\n{sent}"));
        fails(&[], &peer, &format!("read from PEER: {reason}"));
    }
}

#[test]
fn malformed_chunks_are_a_failure() {
    for (sent, reason) in [
        (
            "",
            "the connection closed after 0 bytes, before the last chunk was complete",
        ),
        (
            "5\r\nhello\r\n",
            "the connection closed after 5 bytes, before the last chunk was complete",
        ),
        (
            "5\r\nhel",
            "the connection closed after 3 bytes, before the last chunk was complete",
        ),
        (
            "5\r\nhello\r\n0\r\n",
            "the connection closed after 5 bytes, before the last chunk was complete",
        ),
        ("zz\r\nhello", "invalid chunk size \"zz\""),
        ("-1\r\nhello", "invalid chunk size \"-1\""),
        (
            "11111111111111111\r\n",
            "invalid chunk size \"11111111111111111\"",
        ),
        (
            "5\r\nhello, world\r\n",
            "a chunk is longer than its size says",
        ),
        (
            "5\nhello\n0\n\n",
            "the chunk size \"5\" ends with a bare line feed",
        ),
    ] {
        let peer = Peer::answering(format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{sent}"
        ));
        fails(&[], &peer, &format!("read from PEER: {reason}"));
    }
}

#[test]
fn an_ambiguous_length_is_a_failure() {
    for (fields, reason) in [
        (
            "Content-Length: 5\r\nContent-Length: 6\r\n",
            "conflicting Content-Lengths, 5 and 6",
        ),
        ("Content-Length: -5\r\n", "invalid Content-Length \"-5\""),
        (
            "Content-Length: 99999999999999999999\r\n",
            "invalid Content-Length \"99999999999999999999\"",
        ),
        (
            "Content-Length: five\r\n",
            "invalid Content-Length \"five\"",
        ),
        (
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "both Transfer-Encoding and Content-Length in one response",
        ),
        (
            "Transfer-Encoding: gzip\r\n",
            "unsupported Transfer-Encoding \"gzip\"",
        ),
    ] {
        let peer = Peer::answering(format!("HTTP/1.1 200 OK\r\n{fields}\r\nhello"));
        fails(&[], &peer, &format!("read from PEER: {reason}"));
    }
}

#[test]
fn a_response_that_is_not_http_is_shown_escaped() {
    for (sent, shown) in [
        (&b"SSH-2.0-OpenSSH_9.9\r\n"[..], "SSH-2.0-OpenSSH_9.9"),
        (b"\x16\x03\x01\x1b[2J\xff", r"\x16\x03\x01\x1b[2J\xff"),
        (
            b"<html>no head, as in 1991</html>",
            "<html>no head, as in 199",
        ),
        (b"HTTP/1.1 2x0 OK\r\n\r\n", "HTTP/1.1 2x0 OK"),
        (b"HTTP/3 200 OK\r\n\r\n", "HTTP/3 200 OK"),
        (b"\r\n\r\n", ""),
    ] {
        let peer = Peer::answering(sent);
        fails(
            &[],
            &peer,
            &format!("read from PEER: not an HTTP/1 response: it begins with \"{shown}\""),
        );
    }
}

#[test]
fn a_malformed_head_is_a_failure() {
    for (head, reason) in [
        ("No colon\r\n", "malformed header: invalid header name"),
        ("A: b\x01\r\n", "malformed header: invalid header value"),
    ] {
        let peer = Peer::answering(format!("HTTP/1.1 200 OK\r\n{head}\r\n"));
        fails(&[], &peer, &format!("read from PEER: {reason}"));
    }
}

#[test]
fn a_server_that_closes_without_a_response_is_a_failure() {
    for (sent, attempt, reason) in [
        ("", "wait for", "the connection closed without a response"),
        (
            "HTTP/1.1 200",
            "read from",
            "the connection closed in the middle of the status line",
        ),
        (
            "HTTP/1.1 200 OK\r\nA: b\r\n",
            "read from",
            "the connection closed in the middle of the header",
        ),
        (
            "HTTP/1.1 100 Continue\r\n\r\n",
            "read from",
            "the connection closed after an interim response",
        ),
    ] {
        let peer = Peer::answering(sent);
        fails(&[], &peer, &format!("{attempt} PEER: {reason}"));
    }
    // At once: the request may then arrive too late even to be sent.
    let hasty = Peer::new(drop);
    let run = fetch(["-q", &hasty.url("/")]).exits_with(1);
    let expected = format!("fetch: {}: ", hasty.url("/"));
    assert!(run.stderr.starts_with(&expected), "{run:#?}");
}

#[test]
fn interim_responses_are_skipped() {
    let peer = Peer::answering(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n\
         HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    );
    fetch([peer.url("/")])
        .exits_with(0)
        .says(" 5  HTTP/1.1 200 OK\n")
        .never_says("Continue");
    let switching = Peer::answering("HTTP/1.1 101 Switching Protocols\r\n\r\n");
    fails(
        &[],
        &switching,
        "read from PEER: HTTP/1.1 101 Switching Protocols: the server switched protocols without being asked",
    );
}

#[test]
fn a_complete_response_does_not_wait_for_the_close() {
    for (answer, bytes) in [
        ("200 OK\r\nContent-Length: 5\r\n\r\nhello", 5),
        ("200 OK\r\nContent-Length: 0\r\n\r\n", 0),
        (
            "200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n\r\n",
            5,
        ),
        ("204 No Content\r\n\r\n", 0),
        ("304 Not Modified\r\nContent-Length: 5\r\n\r\n", 0),
    ] {
        // It closes after the client does, and the deadline of the client would be a failure.
        let open = Peer::new(move |mut stream| {
            read_request(&mut stream);
            write!(stream, "HTTP/1.1 {answer}").unwrap();
            drop(stream.read_to_end(&mut Vec::new()));
        });
        let status_line = answer.lines().next().unwrap();
        fetch([open.url("/")])
            .exits_with(0)
            .says(format!(" {bytes}  HTTP/1.1 {status_line}\n"));
    }
}

/// When a peer sends bytes after the end of its response.
#[derive(Clone, Copy, Debug)]
enum Extra {
    /// Together with the end.
    AtOnce,
    /// Separately, as soon as possible.
    Next,
    /// After the client has closed, or has not closed for a second.
    Late,
}

#[test]
fn bytes_after_the_end_of_a_response_are_ignored() {
    let directory = TempDir::new("behind");
    for (answer, body) in [
        ("200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello"),
        ("200 OK\r\nContent-Length: 0\r\n\r\n", ""),
        (
            "200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            "hello",
        ),
        ("204 No Content\r\n\r\n", ""),
        ("304 Not Modified\r\nContent-Length: 5\r\n\r\n", ""),
    ] {
        for extra in [Extra::AtOnce, Extra::Next, Extra::Late] {
            let peer = Peer::new(move |mut stream| {
                read_request(&mut stream);
                stream.set_nodelay(true).unwrap();
                let answer = format!("HTTP/1.1 {answer}");
                let behind = "HTTP/1.1 500 Behind\r\n\r\n";
                if let Extra::AtOnce = extra {
                    stream.write_all((answer + behind).as_bytes()).unwrap();
                } else {
                    stream.write_all(answer.as_bytes()).unwrap();
                    if let Extra::Late = extra {
                        let patience = Some(Duration::from_secs(1));
                        stream.set_read_timeout(patience).unwrap();
                        let _closed = stream.read(&mut [0]);
                    }
                    let _closed = stream.write_all(behind.as_bytes());
                }
                close(stream);
            });
            let path = directory.path("body");
            let run = fetch(["-o", &path, &peer.url("/")]).exits_with(0);
            let status_line = answer.lines().next().unwrap();
            run.says(format!(" {}  HTTP/1.1 {status_line}\n", body.len()))
                .never_says("Behind");
            let saved = fs::read_to_string(&path).unwrap();
            assert_eq!(saved, body, "{status_line}, {extra:?}");
        }
    }
}

#[test]
fn the_last_chunk_and_the_trailer_may_end_with_bare_line_feeds() {
    for end in [
        "0\r\n\n",
        "0\r\nA: b\n\n",
        "0\r\nA: b\r\n\n",
        "0\r\nA: b\n\r\n",
    ] {
        // It closes after the client does, and the deadline of the client would be a failure.
        let open = Peer::new(move |mut stream| {
            read_request(&mut stream);
            let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            write!(stream, "{head}5\r\nhello\r\n{end}").unwrap();
            drop(stream.read_to_end(&mut Vec::new()));
        });
        fetch([open.url("/")])
            .exits_with(0)
            .says(" 5  HTTP/1.1 200 OK\n");
    }
    // At other positions in the chunks it is a failure, and at once.
    let open = Peer::new(move |mut stream| {
        read_request(&mut stream);
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        write!(stream, "{head}5\r\nhello\r\n0\n").unwrap();
        drop(stream.read_to_end(&mut Vec::new()));
    });
    fails(
        &[],
        &open,
        "read from PEER: the chunk size \"0\" ends with a bare line feed",
    );
}

#[test]
fn chunked_may_appear_in_a_list_with_empty_elements() {
    for coding in [", chunked", "chunked,", " ,\t, Chunked ,"] {
        let peer = Peer::answering(format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: {coding}\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        ));
        fetch([peer.url("/")])
            .exits_with(0)
            .says(" 5  HTTP/1.1 200 OK\n");
    }
}

#[cfg(unix)]
#[test]
fn an_announced_length_reserves_no_memory() {
    use crate::support::{PROGRAM, Run, command};

    for (says, reason) in [
        (
            "Content-Length: 900000000000\r\n\r\nhello",
            "the connection closed after 5 of 900000000000 bytes",
        ),
        (
            "Transfer-Encoding: chunked\r\n\r\nd18c2e2800\r\nhello",
            "the connection closed after 5 bytes, before the last chunk was complete",
        ),
    ] {
        let peer = Peer::answering(format!("HTTP/1.1 200 OK\r\n{says}"));
        let limited = "ulimit -v 4000000; exec \"$@\"";
        let output = command("sh")
            .args(["-c", limited, "sh", PROGRAM, "-q", "--max-size", "1000G"])
            .arg(peer.url("/"))
            .output();
        let complaint = format!(
            "fetch: {}: read from {}: {reason}\n",
            peer.url("/"),
            peer.address
        );
        Run::of(output.unwrap()).exits_with(1).complains(&complaint);
    }
}
