//! Tests of an axum application under a virtual clock and 200 schedules: days of waiting in about a second.
//!
//! ```text
//! cargo run --release -p glassfrog-axum --bin axum_test
//! ```
//!
//! The application runs reports that take hours. A client starts one, asks for its state, and may cancel it; a report that
//! takes longer than a day fails. The test serves the application on a real socket, with real requests over loopback.
//! When no task can run, the clock jumps to the next deadline, so an hour costs nothing. Each seed polls the ready tasks
//! in another order, which is the same in every run of that seed.
//!
//! In a project, `one_schedule` would be a `#[glassfrog::test(virtual_clock, iterations = 200)]`.
//!
//! With the argument `--broken`, the program tests a version of the application with a race, finds a schedule that shows it,
//! and prints its seed.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use glassfrog::Runtime;
use glassfrog::hyper::{Io, TowerToHyperService, serve};
use glassfrog::net::{TcpListener, TcpStream};
use glassfrog::task::yield_now;
use glassfrog::time::{now, sleep, timeout};
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use std::collections::BTreeMap;
use std::env;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// An hour.
const HOUR: Duration = Duration::from_secs(60 * 60);

/// The longest time of a report.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// The number of schedules.
const SEEDS: u64 = 200;

/// The application under test.
#[derive(Clone)]
struct Reports {
    /// The state of each report, by its number.
    states: Arc<Mutex<BTreeMap<u32, String>>>,
    /// Whether a number is taken in two steps, between which another task may run.
    is_broken: bool,
}

/// Returns the routes.
fn app(is_broken: bool) -> Router {
    let states = Arc::default();
    Router::new()
        .route("/reports", post(start))
        .route("/reports/{number}", get(state))
        .with_state(Reports { states, is_broken })
}

/// Starts a report that takes this many hours. Responds with its number when it has ended.
async fn start(
    State(reports): State<Reports>,
    Json(hours): Json<u32>,
) -> Result<Json<u32>, StatusCode> {
    let number = if reports.is_broken {
        let number = reports.states.lock().unwrap().len() as u32;
        // As if it asked a database. Meanwhile, another report may take the same number.
        yield_now().await;
        number
    } else {
        let mut states = reports.states.lock().unwrap();
        let number = states.len() as u32;
        states.insert(number, String::from("running"));
        number
    };
    let set = |state: &str| {
        let state = String::from(state);
        reports.states.lock().unwrap().insert(number, state)
    };
    match timeout(LONGEST, sleep(hours * HOUR)).await {
        Ok(()) => {
            set("done");
            Ok(Json(number))
        }
        Err(_elapsed) => {
            set("failed");
            Err(StatusCode::GATEWAY_TIMEOUT)
        }
    }
}

/// Responds with the state of a report.
async fn state(
    State(reports): State<Reports>,
    Path(number): Path<u32>,
) -> Result<String, StatusCode> {
    let states = reports.states.lock().unwrap();
    states.get(&number).cloned().ok_or(StatusCode::NOT_FOUND)
}

/// A client with a connection.
struct Client {
    /// Sends the requests.
    sender: SendRequest<Full<Bytes>>,
}

impl Client {
    /// Connects.
    async fn connect(addr: SocketAddr) -> Client {
        let stream = TcpStream::connect(addr).await.unwrap();
        let (sender, connection) = handshake(Io::new(stream)).await.unwrap();
        drop(glassfrog::spawn(connection));
        Client { sender }
    }

    /// Sends a request. Returns the status and the body of its response.
    async fn send(
        &mut self,
        request: hyper::http::request::Builder,
        body: String,
    ) -> (u16, String) {
        let request = request
            .header("host", "test")
            .header("content-type", "application/json")
            .body(Full::from(body))
            .unwrap();
        let response = self.sender.send_request(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    /// Starts a report, and waits for its end.
    async fn report(&mut self, hours: u32) -> (u16, String) {
        let request = Request::post("/reports");
        self.send(request, hours.to_string()).await
    }

    /// Asks for the state of a report.
    async fn state(&mut self, number: &str) -> (u16, String) {
        let request = Request::get(format!("/reports/{number}"));
        self.send(request, String::new()).await
    }
}

/// Tests the application under one schedule.
async fn one_schedule(is_broken: bool) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let app = app(is_broken);
    // An idle connection may wait as long as a report.
    let server = serve(listener, move |_peer| TowerToHyperService::new(app.clone()))
        .header_read_timeout(2 * LONGEST);
    let server = glassfrog::spawn(server);
    let begin = now();
    // Ten clients start reports at once, of one to ten hours.
    let clients: Vec<_> = (1..=10)
        .map(|hours| {
            glassfrog::spawn(async move {
                let mut client = Client::connect(addr).await;
                let (status, number) = client.report(hours).await;
                assert_eq!(status, 200);
                assert_eq!(now() - begin, hours * HOUR, "a report of {hours} hours");
                assert_eq!(client.state(&number).await, (200, String::from("done")));
                number
            })
        })
        .collect();
    let mut numbers = Vec::new();
    for client in clients {
        numbers.push(client.await.unwrap());
    }
    numbers.sort();
    numbers.dedup();
    assert_eq!(numbers.len(), 10, "two reports have the same number");
    // A report that takes too long.
    let mut client = Client::connect(addr).await;
    let before = now();
    let (status, _) = client.report(100).await;
    assert_eq!((status, now() - before), (504, LONGEST));
    assert_eq!(client.state("10").await, (200, String::from("failed")));
    assert_eq!(client.state("11").await.0, 404);
    server.abort();
}

fn main() -> ExitCode {
    let is_broken = env::args().any(|argument| argument == "--broken");
    let start = Instant::now();
    let mut waited = Duration::ZERO;
    for seed in 0..SEEDS {
        let runtime = Runtime::builder().virtual_clock().seed(seed).build();
        let runtime = runtime.expect("no runtime");
        let run = AssertUnwindSafe(|| {
            runtime.block_on(async {
                let before = now();
                one_schedule(is_broken).await;
                now() - before
            })
        });
        match catch_unwind(run) {
            Ok(time) => waited += time,
            Err(_panic) => {
                println!("the test fails under seed {seed}, and will fail again under this seed");
                return ExitCode::from(u8::from(!is_broken));
            }
        }
    }
    println!(
        "{SEEDS} schedules, {} hours of waiting, {:.2?} of real time",
        waited.as_secs() / 3600,
        start.elapsed()
    );
    ExitCode::from(u8::from(is_broken))
}
