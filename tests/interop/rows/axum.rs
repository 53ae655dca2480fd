//! `axum` without its feature `tokio`, with the feature `hyper-serve`: routes, state, JSON, streams of events. No thread.
//!
//! The client is curl. For the parts of axum that call tokio by name, see the row `axum_tokio`.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::sse::{Event, Sse};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures::{Stream, StreamExt, stream};
use glassfrog::hyper::{TowerToHyperService, serve};
use glassfrog::net::TcpListener;
use glassfrog::time::sleep;
use glassfrog_interop::{output, program};
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
