//! `axum` without its feature `tokio`, with the feature `hyper-serve`: routes, state, JSON, streams of events, and a WebSocket
//! by `async-tungstenite`. No thread.
//!
//! The client is curl. For the parts of axum that call tokio by name, see the row `axum_tokio`.

use async_tungstenite::tungstenite::Message;
use async_tungstenite::tungstenite::handshake::derive_accept_key;
use async_tungstenite::tungstenite::protocol::Role;
use async_tungstenite::{WebSocketStream, client_async};
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use axum::response::Response;
use axum::response::sse::{Event, Sse};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures::{Stream, StreamExt, TryStreamExt, future, stream};
use glassfrog::hyper::{Io, TowerToHyperService, serve};
use glassfrog::net::{TcpListener, TcpStream};
use glassfrog::time::sleep;
use glassfrog_interop::{assert_threads, output, program};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The application: a counter, which its handlers share.
fn app() -> Router {
    Router::new()
        .route("/add/{n}", post(add))
        .route("/sum", post(sum))
        .route("/events", get(events))
        .route("/stream", get(body))
        .route("/socket", get(socket))
        .with_state(Arc::new(AtomicU64::new(0)))
}

/// Adds to the counter, and returns it.
async fn add(State(counter): State<Arc<AtomicU64>>, Path(n): Path<u64>) -> Json<u64> {
    Json(counter.fetch_add(n, Relaxed) + n)
}

/// Returns the sum of numbers.
async fn sum(Json(numbers): Json<Vec<u64>>) -> Json<u64> {
    // A handler sleeps on glassfrog.
    sleep(Duration::from_millis(1)).await;
    Json(numbers.iter().sum())
}

/// Sends three events.
async fn events() -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    Sse::new(stream::iter(0..3).map(|n| Ok(Event::default().data(n.to_string()))))
}

/// Sends a body in parts.
async fn body() -> Body {
    let parts = stream::iter(0..1000).then(|n| async move {
        if n % 100 == 0 {
            sleep(Duration::from_millis(1)).await;
        }
        Ok::<_, Infallible>("x".repeat(1000))
    });
    Body::from_stream(parts)
}

/// Repeats what a WebSocket says. Unlike axum's `WebSocketUpgrade`, this needs no tokio.
async fn socket(request: Request) -> Result<Response, StatusCode> {
    let key = request.headers().get(SEC_WEBSOCKET_KEY);
    let key = key.ok_or(StatusCode::UPGRADE_REQUIRED)?;
    let accept = derive_accept_key(key.as_bytes());
    glassfrog::spawn(async move {
        let Ok(upgraded) = hyper::upgrade::on(request).await else {
            return;
        };
        let io = Io::new(upgraded);
        let socket = WebSocketStream::from_raw_socket(io, Role::Server, None).await;
        let (sink, stream) = socket.split();
        let texts = stream.try_filter(|message| future::ready(message.is_text()));
        // Ends when the peer leaves.
        texts.forward(sink).await.ok();
    });
    let head = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
    let head = head
        .header(CONNECTION, "upgrade")
        .header(UPGRADE, "websocket");
    Ok(head
        .header(SEC_WEBSOCKET_ACCEPT, accept)
        .body(Body::empty())
        .unwrap())
}

#[test]
fn a_web_socket_needs_no_tokio() {
    glassfrog::block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let app = TowerToHyperService::new(app());
        glassfrog::spawn(serve(listener, move |_peer| app.clone()));
        let tcp = TcpStream::connect(addr).await.unwrap();
        let (mut socket, _) = client_async("ws://localhost/socket", tcp).await.unwrap();
        for number in 0..100 {
            let text = Message::text(number.to_string());
            socket.send(text.clone()).await.unwrap();
            assert_eq!(socket.next().await.unwrap().unwrap(), text);
        }
        socket.close(None).await.unwrap();
        assert_threads(&[]);
    });
}

#[test]
fn curl_uses_every_route() {
    let Some(_) = program("curl") else { return };
    glassfrog::block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = TowerToHyperService::new(app());
        glassfrog::spawn(serve(listener, move |_peer| app.clone()));

        let curl = async |path: &str, options: &[&str]| {
            let mut curl = program("curl").unwrap();
            curl.args(["-sS", "--fail", &format!("{url}{path}")])
                .args(options);
            output(curl).await
        };
        assert_eq!(curl("/add/40", &["-d", ""]).await, "40");
        assert_eq!(
            curl("/add/2", &["-d", "", "--http2-prior-knowledge"]).await,
            "42"
        );
        let json = ["-H", "Content-Type: application/json", "-d", "[1, 2, 3]"];
        assert_eq!(curl("/sum", &json).await, "6");
        assert_eq!(
            curl("/events", &[]).await,
            "data: 0\n\ndata: 1\n\ndata: 2\n\n"
        );
        assert_eq!(curl("/stream", &[]).await.len(), 1_000_000);
    });
}
