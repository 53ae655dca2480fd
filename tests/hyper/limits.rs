//! Timeouts, handshakes, the limit of connections, and a lack of descriptors.

use crate::support::{
    Client, Gate, bind, block_on, block_on_virtual, echo, echo_server, has_logged, keep_log,
};
use glassfrog::hyper::{Executor, Io, serve};
use glassfrog::net::TcpStream;
use glassfrog::time::{now, sleep, timeout};
use http_body_util::Empty;
use hyper::Request;
use hyper::body::Bytes;
use hyper::service::service_fn;
use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

/// A timeout that is short enough to wait for on the real clock.
const SHORT: Duration = Duration::from_millis(100);

/// A timeout that only a virtual clock can wait for.
const HOUR: Duration = Duration::from_secs(60 * 60);

#[test]
fn a_silent_client_is_disconnected_on_the_real_clock() {
    keep_log();
    block_on(async {
        let (addr, _server) = echo_server(|server| server.header_read_timeout(SHORT)).await;
        let before = now();
        let mut client = Client::connect(addr).await;
        let own = client.stream.local_addr().unwrap().to_string();
        assert_eq!(client.end().await, "");
        assert!(now() - before >= SHORT);
        assert!(has_logged(&[
            "DEBUG",
            &own,
            "the first request did not complete within 100ms"
        ]));
    });
}

#[test]
fn a_silent_client_is_disconnected_on_a_virtual_clock() {
    block_on_virtual(async {
        let (addr, _server) = echo_server(|server| server.header_read_timeout(HOUR)).await;
        let before = now();
        let mut client = Client::connect(addr).await;
        assert_eq!(client.end().await, "");
        assert_eq!(now() - before, HOUR);
    });
}

#[test]
fn half_a_preface_does_not_keep_a_connection() {
    block_on_virtual(async {
        let (addr, _server) = echo_server(|server| server.header_read_timeout(HOUR)).await;
        let before = now();
        let mut client = Client::connect(addr).await;
        client.send("PRI * HTTP/2.0\r\n").await;
        assert_eq!(client.end().await, "");
        assert_eq!(now() - before, HOUR);
    });
}

#[test]
fn half_a_head_does_not_keep_a_connection() {
    for virtual_clock in [false, true] {
        let limit = if virtual_clock { HOUR } else { SHORT };
        let test = async {
            let (addr, _server) = echo_server(|server| server.header_read_timeout(limit)).await;
            let before = now();
            let mut client = Client::connect(addr).await;
            client.send("GET / HTTP/1.1\r\nHost: te").await;
            client.end().await;
            assert!(now() - before >= limit);
        };
        match virtual_clock {
            true => block_on_virtual(test),
            false => block_on(test),
        }
    }
}

#[test]
fn an_idle_connection_is_closed_after_the_same_time() {
    block_on_virtual(async {
        let (addr, _server) = echo_server(|server| server.header_read_timeout(HOUR)).await;
        let mut client = Client::connect(addr).await;
        client.get("/").await;
        assert_eq!(client.body().await, "GET / 0");
        let before = now();
        client.end().await;
        assert_eq!(now() - before, HOUR);
    });
}

/// The preface of HTTP/2.
const PREFACE: &str = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[test]
fn a_silent_peer_of_http2_is_disconnected() {
    // An empty frame of settings.
    let settings = "\0\0\0\x04\0\0\0\0\0";
    // A frame of headers on stream 1, with a part of a head and without the flag for its end.
    let headers = "\0\0\x01\x01\0\0\0\0\x01A";
    for sent in [
        String::from(PREFACE),
        format!("{PREFACE}{settings}"),
        format!("{PREFACE}{settings}{headers}"),
    ] {
        block_on_virtual(async {
            let (addr, _server) = echo_server(|server| server.header_read_timeout(HOUR)).await;
            let before = now();
            let mut client = Client::connect(addr).await;
            client.send(&sent).await;
            client.end().await;
            assert_eq!(now() - before, 2 * HOUR, "{sent:?}");
        });
    }
}

#[test]
fn an_idle_peer_of_http2_that_answers_pings_keeps_its_connection() {
    block_on_virtual(async {
        let (addr, _server) = echo_server(|server| server.header_read_timeout(HOUR)).await;
        let stream = TcpStream::connect(addr).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http2::Builder::new(Executor)
            .handshake::<_, Empty<Bytes>>(Io::new(stream))
            .await
            .unwrap();
        let _connection = glassfrog::spawn(connection);
        for _ in 0..2 {
            let request = Request::get("http://test/").body(Empty::new()).unwrap();
            let response = sender.send_request(request).await.unwrap();
            assert_eq!(response.status(), 200);
            sleep(10 * HOUR).await;
        }
    });
}

#[test]
fn a_slow_service_and_a_slow_body_are_not_timed_out() {
    block_on_virtual(async {
        let (listener, addr) = bind().await;
        let server = serve(listener, |_peer| {
            service_fn(|request| async {
                sleep(10 * HOUR).await;
                echo(request).await
            })
        });
        let _server = glassfrog::spawn(server.header_read_timeout(HOUR));
        let mut client = Client::connect(addr).await;
        client
            .send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nab")
            .await;
        sleep(20 * HOUR).await;
        client.send("cd").await;
        assert_eq!(client.body().await, "POST / 4");
    });
}

#[test]
fn the_longest_timeout_is_no_timeout() {
    block_on(async {
        let (addr, _server) = echo_server(|server| {
            server
                .header_read_timeout(Duration::MAX)
                .handshake_timeout(Duration::MAX)
        })
        .await;
        let mut client = Client::connect(addr).await;
        client.get("/").await;
        assert_eq!(client.body().await, "GET / 0");
    });
}

#[test]
fn connections_beyond_the_limit_wait_in_the_backlog() {
    block_on(async {
        let (listener, addr) = bind().await;
        let gate = Gate::default();
        let served = gate.clone();
        let server = serve(listener, move |_peer| served.service()).max_connections(2);
        let _server = glassfrog::spawn(server);
        let mut clients = Vec::new();
        for _ in 0..4 {
            let mut client = Client::connect(addr).await;
            client
                .send("GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
                .await;
            clients.push(client);
        }
        for round in 0..2 {
            gate.reached_by(2).await;
            // No third one comes.
            timeout(SHORT, gate.reached_by(3)).await.unwrap_err();
            gate.open();
            for client in &mut clients[2 * round..2 * round + 2] {
                assert_eq!(client.body().await, "passed");
            }
        }
    });
}

#[test]
#[should_panic(expected = "pass at least 1 to `max_connections`")]
fn a_limit_of_no_connections_is_refused() {
    block_on(async {
        let (_addr, _server) = echo_server(|server| server.max_connections(0)).await;
    });
}

#[test]
#[should_panic(expected = "configure it before it is polled")]
fn a_server_that_runs_cannot_be_configured() {
    block_on(async {
        let (listener, _addr) = bind().await;
        let mut server = serve(listener, |_peer| service_fn(echo));
        assert!(futures::poll!(&mut server).is_pending());
        let _server = server.handshake_timeout(SHORT);
    });
}

/// A handshake that expects a byte.
async fn greet(stream: TcpStream) -> io::Result<TcpStream> {
    let mut byte = [0];
    stream.read(&mut byte).await?;
    match byte {
        [b'!'] => Ok(stream),
        _ => Err(io::Error::other("a rude client")),
    }
}

#[test]
fn a_silent_client_in_its_handshake_holds_up_no_other() {
    block_on_virtual(async {
        let (addr, _server) =
            echo_server(|server| server.handshake(greet).handshake_timeout(HOUR)).await;
        let before = now();
        let mut silent = Client::connect(addr).await;
        let mut client = Client::connect(addr).await;
        client.send("!").await;
        client.get("/").await;
        assert_eq!(client.body().await, "GET / 0");
        assert_eq!(now(), before);
        drop(client);
        assert_eq!(silent.end().await, "");
        assert_eq!(now() - before, HOUR);
    });
}

#[test]
fn an_accepted_connection_has_no_delay() {
    block_on(async {
        let (addr, _server) = echo_server(|server| {
            server.handshake(async |stream: TcpStream| {
                assert!(stream.nodelay()?);
                Ok(stream)
            })
        })
        .await;
        let mut client = Client::connect(addr).await;
        client.get("/").await;
        assert_eq!(client.body().await, "GET / 0");
    });
}

#[test]
fn a_failed_handshake_closes_and_is_logged() {
    keep_log();
    block_on(async {
        let (addr, _server) = echo_server(|server| server.handshake(greet)).await;
        let mut client = Client::connect(addr).await;
        let own = client.stream.local_addr().unwrap().to_string();
        client.send("?").await;
        assert_eq!(client.end().await, "");
        assert!(has_logged(&["DEBUG", &own, "a rude client"]));
    });
}

#[test]
fn a_panic_in_a_handshake_ends_its_connection_alone() {
    block_on(async {
        let calls = Rc::new(Cell::new(0));
        let (addr, _server) = echo_server(move |server| {
            server.handshake(async move |stream: TcpStream| {
                calls.set(calls.get() + 1);
                assert_ne!(calls.get(), 1, "the first handshake");
                Ok(stream)
            })
        })
        .await;
        let mut first = Client::connect(addr).await;
        assert_eq!(first.end().await, "");
        let mut second = Client::connect(addr).await;
        second.get("/").await;
        assert_eq!(second.body().await, "GET / 0");
    });
}

#[test]
fn a_closure_that_returns_a_future_is_a_handshake() {
    block_on(async {
        let (addr, _server) =
            echo_server(|server| server.handshake(|stream| async move { greet(stream).await }))
                .await;
        let mut client = Client::connect(addr).await;
        client
            .send("!GET /later HTTP/1.1\r\nHost: test\r\n\r\n")
            .await;
        // The handshake has read one byte, and the rest is the request.
        assert_eq!(client.body().await, "GET /later 0");
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_server_without_descriptors_goes_on_when_it_has_some_again() {
    use std::env;
    use std::process::Command;

    // In a process of its own, because the limit concerns the whole process.
    const CHILD: &str = "GLASSFROG_HYPER_FULL_TABLE";
    if env::var_os(CHILD).is_none() {
        let child = Command::new(env::current_exe().unwrap())
            .args([
                "--exact",
                "limits::a_server_without_descriptors_goes_on_when_it_has_some_again",
            ])
            .env(CHILD, "1")
            .output()
            .unwrap();
        let report = String::from_utf8_lossy(&child.stdout);
        assert!(child.status.success(), "{report}");
        return;
    }
    block_on(async {
        let (addr, server) = echo_server(|server| server).await;
        let mut before = Client::connect(addr).await;
        before.get("/").await;
        before.body().await;
        let mut client = Client::connect(addr).await;
        let taken: Vec<_> = {
            let mut limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
            limit.current = Some(64);
            rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
            std::iter::from_fn(|| std::fs::File::open("/dev/null").ok()).collect()
        };
        assert!(taken.len() < 64);
        client.get("/late").await;
        before.get("/").await;
        assert_eq!(before.body().await, "GET / 0");
        sleep(SHORT).await;
        assert!(!server.is_finished());
        drop(taken);
        assert_eq!(client.body().await, "GET /late 0");
    });
}
