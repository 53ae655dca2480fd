//! The parts of `axum`, `tower` and `tower-http` that call tokio by name: `WebSocketUpgrade`, the `KeepAlive` of `Sse`,
//! `TimeoutLayer`, `ServeFile` and `BufferLayer`. Each works inside the guard of tokio, and panics without it.
//!
//! The guard's runtime has one thread, and a thread for files while they are read.

use axum::Router;
use axum::body::Body;
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::http::{Request, StatusCode};
use axum::response::Response;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::get;
use futures::{StreamExt, stream};
use glassfrog::hyper::{TowerToHyperService, serve};
use glassfrog::net::{TcpListener, TcpStream};
use glassfrog_interop::{assert_threads, output, program, tokio_runtime};
use http_body_util::BodyExt;
use std::convert::Infallible;
use std::future::pending;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;
use tower::ServiceExt;
use tower::buffer::BufferLayer;
use tower_http::services::ServeFile;
use tower_http::timeout::TimeoutLayer;

/// Sends a request to an application, without a connection.
async fn request(app: Router) -> Response {
    let request = Request::get("/").body(Body::empty()).unwrap();
    app.oneshot(request).await.unwrap()
}

/// Runs a test inside the guard, and checks that it panics without it, because it misses tokio.
fn needs_the_guard<F: Future<Output = ()>>(test: impl Fn() -> F) {
    let without = catch_unwind(AssertUnwindSafe(|| glassfrog::block_on(test())));
    let panic = without.expect_err("the test passes without the guard");
    let text = panic.downcast_ref::<&str>().map(|text| String::from(*text));
    let text = text
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap();
    assert!(text.contains("there is no reactor running"), "{text}");

    let tokio = tokio_runtime();
    let _guard = tokio.enter();
    glassfrog::block_on(test());
}

#[test]
fn the_keep_alive_of_sse_needs_the_guard() {
    needs_the_guard(async || {
        let events = async || {
            let silence = stream::pending::<Result<Event, Infallible>>();
            let keep_alive = KeepAlive::new()
                .interval(Duration::from_millis(5))
                .text("still here");
            Sse::new(silence).keep_alive(keep_alive)
        };
        let response = request(Router::new().route("/", get(events))).await;
        let mut body = response.into_body();
        let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(frame, ": still here\n\n");
    });
}

#[test]
fn a_timeout_layer_needs_the_guard() {
    needs_the_guard(async || {
        let timeout = Duration::from_millis(5);
        let layer = TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, timeout);
        let app = Router::new().route("/", get(pending::<()>)).layer(layer);
        assert_eq!(request(app).await.status(), StatusCode::GATEWAY_TIMEOUT);
    });
}

#[test]
fn serve_file_needs_the_guard() {
    needs_the_guard(async || {
        let app = Router::new().route_service("/", ServeFile::new("Cargo.toml"));
        let response = request(app).await;
        assert_eq!(response.status(), StatusCode::OK);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(body.starts_with(b"[package]"));
    });
}

#[test]
fn a_buffer_layer_needs_the_guard() {
    needs_the_guard(async || {
        let layer = tower::ServiceBuilder::new().layer(BufferLayer::<Request<Body>>::new(8));
        let service = layer.service(tower::service_fn(async |_request| Ok::<_, Infallible>(7)));
        let request = Request::new(Body::empty());
        assert_eq!(service.oneshot(request).await.unwrap(), 7);
    });
}

/// Starts a server whose WebSockets repeat what they hear.
async fn start() -> SocketAddr {
    let upgrade = async |upgrade: WebSocketUpgrade| {
        // This runs on the thread of tokio. The socket stays with the reactor of glassfrog.
        upgrade.on_upgrade(async |mut socket| {
            while let Some(Ok(message)) = socket.recv().await {
                if let Message::Text(text) = message {
                    socket.send(Message::Text(text)).await.unwrap();
                }
            }
        })
    };
    let app = TowerToHyperService::new(Router::new().route("/", get(upgrade)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    glassfrog::spawn(serve(listener, move |_peer| app.clone()));
    addr
}

#[test]
fn a_web_socket_works_inside_the_guard() {
    let tokio = tokio_runtime();
    let _guard = tokio.enter();
    glassfrog::block_on(async {
        let tcp = TcpStream::connect(start().await).await.unwrap();
        let (mut socket, _) = async_tungstenite::client_async("ws://localhost/", tcp)
            .await
            .unwrap();
        for number in 0..100 {
            let text = async_tungstenite::tungstenite::Message::text(number.to_string());
            socket.send(text.clone()).await.unwrap();
            assert_eq!(socket.next().await.unwrap().unwrap(), text);
        }
        assert_threads(&["tokio-rt-worker"]);
        socket.close(None).await.unwrap();
    });
}

#[test]
fn a_web_socket_without_the_guard_ends_its_connection_alone() {
    let Some(mut curl) = program("curl") else {
        return;
    };
    glassfrog::block_on(async {
        let addr = start().await;
        let tcp = TcpStream::connect(addr).await.unwrap();
        let upgraded = async_tungstenite::client_async("ws://localhost/", tcp).await;
        assert!(upgraded.is_err(), "the upgrade works without the guard");
        // The server still answers others.
        curl.args([
            "-sS",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            &format!("http://{addr}/none"),
        ]);
        assert_eq!(output(curl).await, "404");
    });
}
