//! A chat over HTTP, with axum: shared state, JSON, a streamed body, server-sent events, and a graceful shutdown.
//!
//! ```text
//! cargo run --release -p glassfrog-axum --bin axum
//! cargo run --release -p glassfrog-axum --bin axum -- --listen 127.0.0.1:8000
//! ```
//!
//! Without arguments, the program sends itself requests, prints the responses, and stops. With `--listen`, it serves until
//! Ctrl-C; try these in several terminals:
//!
//! ```text
//! curl -N http://127.0.0.1:8000/events
//! curl --json '{"from": "frog", "text": "hello"}' http://127.0.0.1:8000/messages
//! curl http://127.0.0.1:8000/messages
//! curl -N http://127.0.0.1:8000/count/5
//! ```
//!
//! - The state is an `Arc<Mutex<_>>`, because axum requires `Send` of its handlers: `Chat`.
//! - A handler may await everything of glassfrog. `count` streams a body with pauses by `time::sleep`.
//! - `events` sends each message to all listeners, and a comment when nothing has happened for a while. axum's own
//!   `KeepAlive` sleeps by the timers of tokio, so this is a stream of two sources.
//! - `serve` finishes the requests in flight on Ctrl-C. The streams of events would never finish, so a watch on `stop`
//!   ends them.

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures_channel::oneshot;
use futures_lite::stream::{self, Stream};
use glassfrog::hyper::{TowerToHyperService, serve};
use glassfrog::net::{TcpListener, TcpStream};
use glassfrog::prelude::*;
use glassfrog::time::{sleep, timeout};
use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use std::env;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

/// The time that requests have to finish after Ctrl-C.
const GRACE: Duration = Duration::from_secs(5);

/// The pause after which a stream of events sends a comment, so that proxies do not consider it dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The longest text of a message.
const MOST_TEXT: usize = 1000;

/// The number of messages that are kept.
const MOST_MESSAGES: usize = 100;

/// A message, as JSON.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Message {
    /// Who has sent it.
    from: String,
    /// What it says.
    text: String,
}

/// The state that all handlers share.
#[derive(Clone, Default)]
struct Chat {
    /// The messages, and those who wait for the next one.
    room: Arc<Mutex<Room>>,
}

/// The messages of a chat.
#[derive(Default)]
struct Room {
    /// The newest messages.
    messages: Vec<Message>,
    /// The number of messages that there ever were.
    count: usize,
    /// Whether the server stops.
    stops: bool,
    /// The listeners that wait for the next message.
    waiting: Vec<Waker>,
}

impl Chat {
    /// Changes the room, and wakes the listeners.
    fn change(&self, change: impl FnOnce(&mut Room)) {
        let waiting = {
            let mut room = self.room.lock().unwrap();
            change(&mut room);
            std::mem::take(&mut room.waiting)
        };
        for waker in waiting {
            waker.wake();
        }
    }

    /// Waits for the message with this number, counted from the first. Returns `None` if the server stops.
    async fn message(&self, number: usize) -> Option<Message> {
        poll_fn(|cx| {
            let mut room = self.room.lock().unwrap();
            if room.stops {
                return Poll::Ready(None);
            }
            if room.count > number {
                // A slow listener misses the messages that are no longer kept.
                let oldest = room.count - room.messages.len();
                return Poll::Ready(Some(room.messages[number.saturating_sub(oldest)].clone()));
            }
            room.waiting.push(cx.waker().clone());
            Poll::Pending
        })
        .await
    }
}

/// Returns the routes.
fn app(chat: Chat) -> Router {
    Router::new()
        .route("/messages", get(messages).post(post_message))
        .route("/events", get(events))
        .route("/count/{most}", get(count))
        .with_state(chat)
}

/// Returns the messages.
async fn messages(State(chat): State<Chat>) -> Json<Vec<Message>> {
    Json(chat.room.lock().unwrap().messages.clone())
}

/// Adds a message.
async fn post_message(State(chat): State<Chat>, Json(message): Json<Message>) -> Response {
    if message.text.len() > MOST_TEXT {
        return (StatusCode::PAYLOAD_TOO_LARGE, "too long").into_response();
    }
    chat.change(|room| {
        if room.messages.len() == MOST_MESSAGES {
            room.messages.remove(0);
        }
        room.messages.push(message);
        room.count += 1;
    });
    StatusCode::CREATED.into_response()
}

/// Sends each new message as an event.
async fn events(State(chat): State<Chat>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let next = chat.room.lock().unwrap().count;
    Sse::new(stream::unfold((chat, next), |(chat, next)| async move {
        match timeout(KEEP_ALIVE, chat.message(next)).await {
            Ok(Some(message)) => {
                let event = Event::default().json_data(message);
                let event =
                    event.unwrap_or_else(|error| Event::default().comment(error.to_string()));
                Some((Ok(event), (chat, next + 1)))
            }
            Ok(None) => None,
            Err(_elapsed) => Some((Ok(Event::default().comment("")), (chat, next))),
        }
    }))
}

/// Streams a body: one line every 100 ms.
async fn count(Path(most): Path<u32>) -> Response {
    let lines = stream::unfold(1, move |number| async move {
        if number > most.min(1000) {
            return None;
        }
        if number > 1 {
            sleep(Duration::from_millis(100)).await;
        }
        let line = Bytes::from(format!("{number}\n"));
        Some((Ok::<_, Infallible>(line), number + 1))
    });
    let plain = HeaderValue::from_static("text/plain");
    ([(header::CONTENT_TYPE, plain)], Body::from_stream(lines)).into_response()
}

/// Serves until `stop` is ready, and lets the requests in flight finish.
async fn run(listener: TcpListener, stop: impl Future + 'static) -> io::Result<()> {
    let chat = Chat::default();
    let app = app(chat.clone());
    let stop = async move {
        stop.await;
        println!("stopping");
        chat.change(|room| room.stops = true);
    };
    let aborted = serve(listener, move |_peer: SocketAddr| {
        TowerToHyperService::new(app.clone())
    })
    .graceful(stop, GRACE)
    .await?;
    println!("stopped: {aborted} connections had not finished");
    Ok(())
}

fn main() -> io::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    glassfrog::block_on(async {
        match arguments[..] {
            [] => demo().await,
            ["--listen", addr] => {
                let listener = TcpListener::bind(addr).await?;
                println!("listening on http://{}", listener.local_addr()?);
                run(listener, ctrl_c()).await
            }
            _ => Err(io::Error::other("give --listen ADDRESS, or no argument")),
        }
    })
}

/// Waits for Ctrl-C.
#[cfg(unix)]
async fn ctrl_c() {
    if let Err(error) = glassfrog::signal::ctrl_c().await {
        eprintln!("axum: cannot wait for Ctrl-C: {error}");
    }
}

/// Waits until the standard input ends, or fails.
#[cfg(not(unix))]
async fn ctrl_c() {
    let _ended = glassfrog::io::stdin().read_to_end(&mut Vec::new()).await;
}

/// Sends a request, and returns the response with its head.
async fn request(addr: SocketAddr, head: &str, body: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(addr).await?;
    let length = body.len();
    let request = format!(
        "{head} HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut response = Vec::new();
    stream.read_to_end(&mut response).await?;
    String::from_utf8(response).map_err(io::Error::other)
}

/// Serves itself a few requests, and stops.
async fn demo() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let server = glassfrog::spawn(run(listener, stopped));
    let listening = glassfrog::spawn(request(addr, "GET /events", ""));
    // The listener is connected when its task waits for the response.
    sleep(Duration::from_millis(50)).await;
    let message = r#"{"from": "frog", "text": "hello"}"#;
    let posted = request(addr, "POST /messages", message).await?;
    println!("{posted}");
    println!("{}\n", request(addr, "GET /messages", "").await?);
    println!("{}", request(addr, "GET /count/3", "").await?);
    let wrong = request(addr, "POST /messages", "{}").await?;
    println!("{wrong}\n");
    drop(stop);
    server.await??;
    let events = listening.await??;
    println!("{events}");
    let is_right = posted.contains(" 201 ")
        && wrong.contains(" 422 ")
        && events.contains(r#"data: {"from":"frog","text":"hello"}"#);
    if is_right {
        Ok(())
    } else {
        Err(io::Error::other("a response is wrong"))
    }
}
