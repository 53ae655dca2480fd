//! How a server stops.

use crate::support::{
    Body, Client, Gate, bind, block_on, block_on_virtual, echo, echo_server, has_logged, keep_log,
};
use futures::channel::oneshot;
use glassfrog::hyper::{Executor, Io, Timer, serve};
use glassfrog::net::TcpStream;
use glassfrog::prelude::*;
use glassfrog::time::{now, sleep};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use std::cell::Cell;
use std::convert::Infallible;
use std::future::pending;
use std::rc::Rc;
use std::time::Duration;

/// A grace period that only a virtual clock can wait for.
const GRACE: Duration = Duration::from_secs(10 * 60);

#[test]
fn a_request_in_flight_finishes_after_the_signal() {
    block_on_virtual(async {
        let (listener, addr) = bind().await;
        let (stop, stopped) = oneshot::channel::<()>();
        let gate = Gate::default();
        let served = gate.clone();
        let server = serve(listener, move |_peer| served.service()).graceful(stopped, GRACE);
        let server = glassfrog::spawn(server);
        let mut client = Client::connect(addr).await;
        client.get("/").await;
        gate.reached_by(1).await;
        stop.send(()).unwrap();
        sleep(GRACE / 2).await;
        assert!(!server.is_finished());
        // The listener is closed.
        TcpStream::connect(addr).await.unwrap_err();
        gate.open();
        assert_eq!(client.body().await, "passed");
        assert_eq!(client.end().await, "");
        assert_eq!(server.await.unwrap().unwrap(), 0);
    });
}

#[test]
fn a_request_that_hangs_is_cut_after_the_grace_period() {
    keep_log();
    block_on_virtual(async {
        let (listener, addr) = bind().await;
        let (stop, stopped) = oneshot::channel::<()>();
        let gate = Gate::default();
        let served = gate.clone();
        let server = serve(listener, move |_peer| served.service()).graceful(stopped, GRACE);
        let server = glassfrog::spawn(server);
        let mut clients = [Client::connect(addr).await, Client::connect(addr).await];
        for client in &mut clients {
            client.get("/").await;
        }
        gate.reached_by(2).await;
        let before = now();
        stop.send(()).unwrap();
        assert_eq!(server.await.unwrap().unwrap(), 2);
        assert_eq!(now() - before, GRACE);
        for client in &mut clients {
            assert_eq!(client.end().await, "");
        }
    });
    assert!(has_logged(&[
        "WARN",
        "aborting 2 connections",
        "within 600s"
    ]));
}

#[test]
fn idle_and_silent_connections_are_closed_at_once() {
    block_on_virtual(async {
        let (stop, stopped) = oneshot::channel::<()>();
        let (addr, server) = echo_server(|server| server.graceful(stopped, GRACE)).await;
        let mut idle = Client::connect(addr).await;
        idle.get("/").await;
        idle.body().await;
        let mut silent = Client::connect(addr).await;
        let mut half = Client::connect(addr).await;
        half.send("PRI *").await;
        sleep(Duration::from_secs(1)).await;
        let before = now();
        stop.send(()).unwrap();
        assert_eq!(server.await.unwrap().unwrap(), 0);
        assert_eq!(now(), before);
        for client in [&mut idle, &mut silent, &mut half] {
            assert_eq!(client.end().await, "");
        }
    });
}

#[test]
fn half_a_head_does_not_outlive_its_timeout() {
    block_on_virtual(async {
        let (stop, stopped) = oneshot::channel::<()>();
        let limit = GRACE / 10;
        let (addr, server) =
            echo_server(|server| server.header_read_timeout(limit).graceful(stopped, GRACE)).await;
        let mut client = Client::connect(addr).await;
        client.send("GET / HTTP/1.1\r\nHost: test\r\nX").await;
        sleep(Duration::from_secs(1)).await;
        let before = now();
        stop.send(()).unwrap();
        assert_eq!(server.await.unwrap().unwrap(), 0);
        assert!(now() - before <= limit);
        client.end().await;
    });
}

#[test]
fn a_handshake_that_hangs_does_not_delay_the_stop() {
    block_on_virtual(async {
        let (stop, stopped) = oneshot::channel::<()>();
        let (addr, server) = echo_server(|server| {
            server
                .handshake(async |_stream: TcpStream| pending::<std::io::Result<TcpStream>>().await)
                .handshake_timeout(GRACE * 2)
                .graceful(stopped, GRACE)
        })
        .await;
        let mut client = Client::connect(addr).await;
        sleep(Duration::from_secs(1)).await;
        let before = now();
        stop.send(()).unwrap();
        assert_eq!(server.await.unwrap().unwrap(), 0);
        assert_eq!(now(), before);
        assert_eq!(client.end().await, "");
    });
}

#[test]
fn a_connection_of_http2_finishes_its_requests_and_accepts_no_more() {
    block_on_virtual(async {
        let (listener, addr) = bind().await;
        let (stop, stopped) = oneshot::channel::<()>();
        let gate = Gate::default();
        let served = gate.clone();
        let server = serve(listener, move |_peer| served.service()).graceful(stopped, GRACE);
        let server = glassfrog::spawn(server);
        let stream = TcpStream::connect(addr).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http2::Builder::new(Executor)
            .timer(Timer::new())
            .handshake::<_, Empty<Bytes>>(Io::new(stream))
            .await
            .unwrap();
        let connection = glassfrog::spawn(connection);
        let request = Request::get("http://test/").body(Empty::new()).unwrap();
        let response = glassfrog::spawn(sender.send_request(request));
        gate.reached_by(1).await;
        stop.send(()).unwrap();
        sleep(Duration::from_secs(1)).await;
        assert!(!server.is_finished());
        gate.open();
        let response = response.await.unwrap().unwrap();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, "passed");
        assert_eq!(server.await.unwrap().unwrap(), 0);
        connection.await.unwrap().unwrap();
        let request = Request::get("http://test/").body(Empty::new()).unwrap();
        sender.send_request(request).await.unwrap_err();
    });
}

#[test]
fn a_request_of_http2_that_hangs_is_dropped_after_the_grace_period() {
    block_on_virtual(async {
        let (listener, addr) = bind().await;
        let (stop, stopped) = oneshot::channel::<()>();
        let (begun, has_begun) = oneshot::channel::<()>();
        let (dropped, is_dropped) = oneshot::channel::<()>();
        let guards = Cell::new(Some((begun, dropped)));
        let guards = Rc::new(guards);
        let server = serve(listener, move |_peer| {
            let guards = Rc::clone(&guards);
            service_fn(move |_request| {
                let (begun, dropped) = guards.take().unwrap();
                begun.send(()).unwrap();
                async move {
                    let _dropped = dropped;
                    pending::<Result<Response<Body>, Infallible>>().await
                }
            })
        });
        let server = glassfrog::spawn(server.graceful(stopped, GRACE));
        let stream = TcpStream::connect(addr).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http2::Builder::new(Executor)
            .timer(Timer::new())
            .handshake::<_, Empty<Bytes>>(Io::new(stream))
            .await
            .unwrap();
        drop(glassfrog::spawn(connection));
        let request = Request::get("http://test/").body(Empty::new()).unwrap();
        let response = glassfrog::spawn(sender.send_request(request));
        has_begun.await.unwrap();
        stop.send(()).unwrap();
        assert_eq!(server.await.unwrap().unwrap(), 1);
        response.await.unwrap().unwrap_err();
        is_dropped.await.unwrap_err();
    });
}

#[test]
fn an_upgraded_connection_outlives_its_server() {
    block_on(async {
        let (listener, addr) = bind().await;
        let (stop, stopped) = oneshot::channel::<()>();
        let upgrade = |mut request: Request<Incoming>| async move {
            glassfrog::spawn(async move {
                let upgraded = hyper::upgrade::on(&mut request).await.unwrap();
                Io::new(upgraded).read_to_end(&mut Vec::new()).await
            });
            Response::builder()
                .status(StatusCode::SWITCHING_PROTOCOLS)
                .body(Body::default())
        };
        let server = serve(listener, move |_peer| service_fn(upgrade)).graceful(stopped, GRACE);
        let server = glassfrog::spawn(server);
        let mut client = Client::connect(addr).await;
        client
            .send("GET / HTTP/1.1\r\nHost: test\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
            .await;
        assert_eq!(client.response().await.unwrap().0, 101);
        stop.send(()).unwrap();
        assert_eq!(server.await.unwrap().unwrap(), 0);
        client.send("still here").await;
    });
}

#[test]
fn a_dropped_server_drops_its_connections() {
    block_on(async {
        let (addr, server) = echo_server(|server| server).await;
        let mut client = Client::connect(addr).await;
        client.get("/").await;
        client.body().await;
        server.abort();
        assert_eq!(client.end().await, "");
        TcpStream::connect(addr).await.unwrap_err();
    });
}

#[test]
fn a_signal_that_is_ready_stops_the_server_before_it_serves() {
    block_on(async {
        let (listener, addr) = bind().await;
        let server = serve(listener, |_peer| service_fn(echo)).graceful(async {}, GRACE);
        assert_eq!(server.await.unwrap(), 0);
        TcpStream::connect(addr).await.unwrap_err();
    });
}

#[test]
fn a_request_that_arrived_before_the_signal_is_answered() {
    for has_answered_before in [false, true] {
        block_on_virtual(async {
            let (stop, stopped) = oneshot::channel::<()>();
            let (addr, server) = echo_server(|server| server.graceful(stopped, GRACE)).await;
            let mut client = Client::connect(addr).await;
            if has_answered_before {
                client.get("/first").await;
                client.body().await;
            }
            sleep(Duration::from_secs(1)).await;
            // The socket has room, so the request is sent without a turn of the loop between it and the signal.
            client.get("/").await;
            stop.send(()).unwrap();
            assert_eq!(client.body().await, "GET / 0");
            assert_eq!(client.end().await, "");
            assert_eq!(server.await.unwrap().unwrap(), 0);
        });
    }
}

#[test]
fn a_destructor_that_panics_after_the_grace_period_is_logged() {
    /// Panics when it is dropped.
    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("the destructor of a service");
        }
    }

    keep_log();
    block_on_virtual(async {
        let (listener, addr) = bind().await;
        let (stop, stopped) = oneshot::channel::<()>();
        let server = serve(listener, |_peer| {
            service_fn(|_request: Request<Incoming>| async {
                let _bomb = Bomb;
                pending::<Result<Response<Body>, Infallible>>().await
            })
        });
        let server = glassfrog::spawn(server.graceful(stopped, GRACE));
        let mut client = Client::connect(addr).await;
        client.get("/").await;
        sleep(Duration::from_secs(1)).await;
        stop.send(()).unwrap();
        assert_eq!(server.await.unwrap().unwrap(), 1);
    });
    assert!(has_logged(&["ERROR", "the destructor of a service"]));
    assert!(!has_logged(&["ERROR", "was cancelled"]));
}

#[test]
fn a_silent_peer_of_http2_delays_the_stop_by_twice_the_timeout_at_most() {
    // The preface, alone and with an empty frame of settings.
    for sent in [
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
    ] {
        block_on_virtual(async {
            let (stop, stopped) = oneshot::channel::<()>();
            let limit = GRACE / 10;
            let (addr, server) =
                echo_server(|server| server.header_read_timeout(limit).graceful(stopped, GRACE))
                    .await;
            let mut client = Client::connect(addr).await;
            client.send(sent).await;
            sleep(Duration::from_secs(1)).await;
            let before = now();
            stop.send(()).unwrap();
            assert_eq!(server.await.unwrap().unwrap(), 0);
            assert!(now() - before <= 2 * limit);
            client.end().await;
        });
    }
}
