//! What `serve` speaks: both versions of HTTP, upgrades, and both kinds of listeners.

use crate::support::{
    Body, Client, bind, block_on, block_on_virtual, echo, echo_server, has_logged, keep_log, text,
};
use glassfrog::hyper::{Executor, Io, Timer, serve};
use glassfrog::net::{TcpListener, TcpStream};
use glassfrog::prelude::*;
use glassfrog::time::sleep;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http2;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use std::cell::Cell;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

#[test]
fn a_connection_answers_one_request_after_another() {
    block_on(async {
        let (addr, _server) = echo_server(|server| server).await;
        let mut client = Client::connect(addr).await;
        for path in ["/first", "/second", "/third"] {
            client.get(path).await;
            assert_eq!(client.body().await, format!("GET {path} 0"));
        }
    });
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    block_on(async {
        let (addr, _server) = echo_server(|server| server).await;
        let mut client = Client::connect(addr).await;
        let requests: String = (0..50)
            .map(|number| format!("GET /{number} HTTP/1.1\r\nHost: test\r\n\r\n"))
            .collect();
        client.send(&requests).await;
        for number in 0..50 {
            assert_eq!(client.body().await, format!("GET /{number} 0"));
        }
    });
}

#[test]
fn a_request_may_arrive_byte_by_byte() {
    block_on(async {
        let (addr, _server) = echo_server(|server| server).await;
        let mut client = Client::connect(addr).await;
        client.stream.set_nodelay(true).unwrap();
        // It begins as the preface of HTTP/2 does.
        for byte in "PUT /slow HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\nabc".chars() {
            client.send(&byte.to_string()).await;
            glassfrog::task::yield_now().await;
        }
        assert_eq!(client.body().await, "PUT /slow 3");
    });
}

#[test]
fn a_chunked_body_arrives_whole() {
    block_on(async {
        let (addr, _server) = echo_server(|server| server).await;
        let mut client = Client::connect(addr).await;
        client
            .send(
                "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
            )
            .await;
        client
            .send("6;extension\r\n, worl\r\n1\r\nd\r\n0\r\n\r\n")
            .await;
        assert_eq!(client.body().await, "POST / 12");
        client.get("/after").await;
        assert_eq!(client.body().await, "GET /after 0");
    });
}

#[test]
fn a_large_body_arrives_whole_in_both_directions() {
    block_on(async {
        let (listener, addr) = bind().await;
        let service = |request: Request<Incoming>| async {
            let body = request.into_body().collect().await?.to_bytes();
            Ok::<_, hyper::Error>(Response::new(Full::new(body)))
        };
        let _server = glassfrog::spawn(serve(listener, move |_peer| service_fn(service)));
        let sent: Bytes = (0..3_000_000_u32).map(|at| (at / 7) as u8).collect();
        let stream = TcpStream::connect(addr).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(Io::new(stream))
            .await
            .unwrap();
        let connection = glassfrog::spawn(connection);
        let request = Request::post("/").body(Full::new(sent.clone())).unwrap();
        let response = sender.send_request(request).await.unwrap();
        let received = response.into_body().collect().await.unwrap().to_bytes();
        assert!(received == sent, "{} bytes", received.len());
        drop(sender);
        connection.await.unwrap().unwrap();
    });
}

/// Connects with HTTP/2, and returns a sender of requests.
async fn http2_client(addr: SocketAddr) -> http2::SendRequest<Empty<Bytes>> {
    let stream = TcpStream::connect(addr).await.unwrap();
    let (sender, connection) = http2::Builder::new(Executor)
        .timer(Timer::new())
        .handshake(Io::new(stream))
        .await
        .unwrap();
    drop(glassfrog::spawn(connection));
    sender
}

#[test]
fn one_port_speaks_both_versions() {
    block_on(async {
        let (addr, _server) = echo_server(|server| server).await;
        let mut old = Client::connect(addr).await;
        let mut new = http2_client(addr).await;
        for round in 0..3 {
            old.get("/old").await;
            assert_eq!(old.body().await, "GET /old 0", "in round {round}");
            let request = Request::get("http://test/new").body(Empty::new()).unwrap();
            let response = new.send_request(request).await.unwrap();
            assert_eq!(response.version(), hyper::Version::HTTP_2);
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(body, "GET /new 0");
        }
    });
}

#[test]
fn many_requests_share_a_connection_of_http2() {
    block_on(async {
        let (addr, _server) = echo_server(|server| server).await;
        let sender = http2_client(addr).await;
        let requests = (0..100).map(|number| {
            let mut sender = sender.clone();
            async move {
                let uri = format!("http://test/{number}");
                let request = Request::get(uri).body(Empty::new()).unwrap();
                let response = sender.send_request(request).await.unwrap();
                let body = response.into_body().collect().await.unwrap().to_bytes();
                assert_eq!(body, format!("GET /{number} 0"));
            }
        });
        futures::future::join_all(requests).await;
    });
}

#[test]
fn an_upgraded_connection_carries_any_protocol() {
    block_on(async {
        let (listener, addr) = bind().await;
        let upgrade = |mut request: Request<Incoming>| async move {
            glassfrog::spawn(async move {
                let upgraded = hyper::upgrade::on(&mut request).await.unwrap();
                let mut io = Io::new(upgraded);
                let mut line = [0; 5];
                io.read_exact(&mut line).await.unwrap();
                line.reverse();
                io.write_all(&line).await.unwrap();
                io.close().await.unwrap();
            });
            Response::builder()
                .status(StatusCode::SWITCHING_PROTOCOLS)
                .header("connection", "upgrade")
                .header("upgrade", "reverse")
                .body(Body::default())
        };
        let _server = glassfrog::spawn(serve(listener, move |_peer| service_fn(upgrade)));
        let mut client = Client::connect(addr).await;
        client
            .send("GET / HTTP/1.1\r\nHost: test\r\nConnection: upgrade\r\nUpgrade: reverse\r\n\r\nhello")
            .await;
        let (status, _) = client.response().await.unwrap();
        assert_eq!(status, 101);
        assert_eq!(client.end().await, "olleh");
    });
}

#[test]
fn connect_turns_a_connection_into_a_tunnel() {
    block_on(async {
        let target = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target_addr = target.local_addr().unwrap();
        let (listener, addr) = bind().await;
        let tunnel = move |request: Request<Incoming>| async move {
            assert_eq!(request.method(), Method::CONNECT);
            glassfrog::spawn(async move {
                let upgraded = hyper::upgrade::on(request).await.unwrap();
                let target = TcpStream::connect(target_addr).await.unwrap();
                glassfrog::io::copy_bidirectional(Io::new(upgraded), target).await
            });
            Ok::<_, Infallible>(Response::new(Body::default()))
        };
        let _server = glassfrog::spawn(serve(listener, move |_peer| service_fn(tunnel)));
        let mut client = Client::connect(addr).await;
        client
            .send("CONNECT test:1 HTTP/1.1\r\nHost: test:1\r\n\r\n")
            .await;
        let (status, _) = client.response().await.unwrap();
        assert_eq!(status, 200);
        let (mut accepted, _) = target.accept().await.unwrap();
        client.send("through").await;
        let mut bytes = [0; 7];
        accepted.read_exact(&mut bytes).await.unwrap();
        assert_eq!(&bytes, b"through");
        accepted.write_all(b"and back").await.unwrap();
        drop(accepted);
        assert_eq!(client.end().await, "and back");
    });
}

#[test]
fn the_service_learns_the_address_of_its_peer() {
    block_on(async {
        let (listener, addr) = bind().await;
        let server = serve(listener, |peer: SocketAddr| {
            service_fn(move |_request| async move { Ok::<_, Infallible>(text(peer.to_string())) })
        });
        let _server = glassfrog::spawn(server);
        let mut client = Client::connect(addr).await;
        client.get("/").await;
        let own = client.stream.local_addr().unwrap();
        assert_eq!(client.body().await, own.to_string());
    });
}

#[cfg(unix)]
#[test]
fn a_unix_listener_serves_too() {
    use glassfrog::net::{UnixListener, UnixStream};
    use std::os::unix::net::SocketAddr;

    let path = std::env::temp_dir().join(format!("glassfrog-hyper-{}", std::process::id()));
    block_on(async {
        let listener = UnixListener::bind(&path).await.unwrap();
        let server = serve(listener, |peer: SocketAddr| {
            assert!(peer.is_unnamed());
            service_fn(echo)
        });
        let _server = glassfrog::spawn(server);
        let stream = UnixStream::connect(&path).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(Io::new(stream))
            .await
            .unwrap();
        drop(glassfrog::spawn(connection));
        let request = Request::get("/unix").body(Empty::<Bytes>::new()).unwrap();
        let response = sender.send_request(request).await.unwrap();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, "GET /unix 0");
    });
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_panic_in_a_service_ends_its_connection_alone() {
    keep_log();
    block_on(async {
        let (listener, addr) = bind().await;
        let service = |request: Request<Incoming>| async move {
            assert_ne!(request.uri().path(), "/panic", "as the client asked");
            Ok::<_, Infallible>(text("fine"))
        };
        let _server = glassfrog::spawn(serve(listener, move |_peer| service_fn(service)));
        let mut other = Client::connect(addr).await;
        other.get("/").await;
        assert_eq!(other.body().await, "fine");
        let mut client = Client::connect(addr).await;
        client.get("/panic").await;
        assert_eq!(client.end().await, "");
        other.get("/").await;
        assert_eq!(other.body().await, "fine");
        let mut later = Client::connect(addr).await;
        later.get("/").await;
        assert_eq!(later.body().await, "fine");
    });
    assert!(has_logged(&["ERROR", "as the client asked"]));
}

#[test]
fn a_panic_while_a_service_is_made_ends_its_connection_alone() {
    block_on(async {
        let (listener, addr) = bind().await;
        let made = Rc::new(Cell::new(0));
        let count = Rc::clone(&made);
        let server = serve(listener, move |_peer| {
            count.set(count.get() + 1);
            assert_ne!(count.get(), 1, "the first service");
            service_fn(echo)
        });
        let _server = glassfrog::spawn(server);
        let mut first = Client::connect(addr).await;
        first.get("/").await;
        assert_eq!(first.end().await, "");
        let mut second = Client::connect(addr).await;
        second.get("/").await;
        assert_eq!(second.body().await, "GET / 0");
        assert_eq!(made.get(), 2);
    });
}

#[test]
fn a_panic_in_a_service_of_http2_fails_its_request_alone() {
    block_on(async {
        let (listener, addr) = bind().await;
        let service = |request: Request<Incoming>| async move {
            assert_ne!(request.uri().path(), "/panic", "as the client asked");
            Ok::<_, Infallible>(text("fine"))
        };
        let _server = glassfrog::spawn(serve(listener, move |_peer| service_fn(service)));
        let mut client = http2_client(addr).await;
        let request = Request::get("http://test/panic")
            .body(Empty::new())
            .unwrap();
        client.send_request(request).await.unwrap_err();
        let request = Request::get("http://test/").body(Empty::new()).unwrap();
        let response = client.send_request(request).await.unwrap();
        assert_eq!(response.status(), 200);
    });
}

#[test]
fn a_reset_within_a_body_reaches_the_service_and_harms_nobody() {
    keep_log();
    block_on(async {
        let (listener, addr) = bind().await;
        let (seen, mut errors) = futures::channel::mpsc::unbounded();
        let server = serve(listener, move |_peer| {
            let seen = seen.clone();
            service_fn(move |request: Request<Incoming>| {
                let seen = seen.clone();
                async move {
                    let outcome = request.into_body().collect().await;
                    seen.unbounded_send(outcome.is_err()).unwrap();
                    Ok::<_, Infallible>(text("done"))
                }
            })
        });
        let _server = glassfrog::spawn(server);
        let mut client = Client::connect(addr).await;
        client
            .send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 100\r\n\r\nhalf")
            .await;
        let peer = client.stream.local_addr().unwrap().to_string();
        socket2::SockRef::from(&client.stream)
            .set_linger(Some(std::time::Duration::ZERO))
            .unwrap();
        drop(client);
        assert_eq!(errors.next().await, Some(true));
        let mut later = Client::connect(addr).await;
        later.get("/").await;
        assert_eq!(later.body().await, "done");
        assert!(has_logged(&["DEBUG", &peer]));
    });
}

#[test]
fn nonsense_is_refused_and_harms_nobody() {
    block_on(async {
        let (addr, _server) = echo_server(|server| server).await;
        let mut other = Client::connect(addr).await;
        other.get("/").await;
        other.body().await;
        for nonsense in [
            "\0\0\0\0",
            "GET\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
            "\u{16}\u{3}\u{1} TLS\r\n\r\n",
        ] {
            let mut client = Client::connect(addr).await;
            client.send(nonsense).await;
            let answer = client.end().await;
            assert!(
                answer.is_empty() || answer.starts_with("HTTP/1.1 400 "),
                "{answer}"
            );
        }
        // Closed before the first byte, and within the preface.
        drop(Client::connect(addr).await);
        let mut client = Client::connect(addr).await;
        client.send("PRI * HT").await;
        drop(client);
        other.get("/").await;
        assert_eq!(other.body().await, "GET / 0");
    });
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    block_on(async {
        let (addr, _server) = echo_server(|server| {
            server.configure(|hyper| {
                hyper.http1().max_buf_size(8192);
            })
        })
        .await;
        let mut client = Client::connect(addr).await;
        client
            .send(&format!(
                "GET / HTTP/1.1\r\nHost: test\r\nX: {}",
                "x".repeat(10_000)
            ))
            .await;
        let answer = client.end().await;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
        // A path that is too long.
        let mut client = Client::connect(addr).await;
        client
            .send(&format!(
                "GET /{} HTTP/1.1\r\nHost: test\r\n\r\n",
                "x".repeat(70_000)
            ))
            .await;
        let answer = client.end().await;
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
            "{answer}"
        );
    });
}

#[test]
fn a_dump_accounts_for_the_wakers_of_connections() {
    block_on_virtual(async {
        let (addr, _server) = echo_server(|server| server).await;
        let _silent = Client::connect(addr).await;
        let mut idle = Client::connect(addr).await;
        idle.get("/").await;
        idle.body().await;
        sleep(Duration::from_secs(1)).await;
        let dump = glassfrog::task::dump().to_string();
        println!("{dump}");
        assert!(dump.contains("the server to stop"), "{dump}");
        assert!(!dump.contains("outside glassfrog"), "{dump}");
    });
}

#[test]
fn a_panic_in_a_call_of_the_service_fails_one_request_of_http2_alone() {
    block_on(async {
        let (listener, addr) = bind().await;
        let server = serve(listener, |_peer| {
            service_fn(|request: Request<Incoming>| {
                assert_ne!(request.uri().path(), "/panic");
                echo(request)
            })
        });
        let _server = glassfrog::spawn(server);
        let stream = TcpStream::connect(addr).await.unwrap();
        let (mut sender, connection) = http2::handshake(Executor, Io::new(stream)).await.unwrap();
        let _connection = glassfrog::spawn(connection);
        let mut get = |path: &str| {
            let request = Request::get(format!("http://test{path}"));
            sender.send_request(request.body(Empty::<Bytes>::new()).unwrap())
        };
        let (first, failed) = (get("/first"), get("/panic"));
        let (first, failed) = futures::join!(first, failed);
        assert_eq!(first.unwrap().status(), StatusCode::OK);
        failed.unwrap_err();
        assert_eq!(get("/second").await.unwrap().status(), StatusCode::OK);
    });
}
