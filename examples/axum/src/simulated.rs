//! An axum service and its clients: once over loopback, and a hundred times on simulated hosts, with cuts and restarts.
//!
//! ```text
//! cargo run --release -p glassfrog-axum --bin simulated
//! ```
//!
//! The service reserves seats. Two clients want ten seats each. They time out, reconnect and retry, so that they get
//! their seats although the network fails and the service restarts. `service` and `reserve` are production code: they use
//! axum, hyper and the sockets of glassfrog, and know nothing of the simulation. `over_loopback` runs them over real
//! sockets, and `simulated` runs the same functions on three hosts, with faults that a seed determines.
//!
//! - A request is safe to repeat: who has a seat gets it again. A reply may be lost after the seat was taken.
//! - The seats are kept in a `Store`, which stands for a database. The simulated service loses everything else when it
//!   restarts.
//! - Each seed runs twice and must do the same both times.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::put;
use axum::{Json, Router};
use glassfrog::hyper::{Io, TowerToHyperService, serve};
use glassfrog::net::{TcpListener, TcpStream};
use glassfrog::sim::{self, Link, Report, Sim};
use glassfrog::time::{sleep, timeout};
use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The number of seats.
const SEATS: u32 = 20;

/// How many seats a client wants.
const WANTED: usize = 10;

/// The time limit of an attempt.
const ATTEMPT: Duration = Duration::from_secs(1);

/// The pause after the first attempt. It doubles with each attempt.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The time limit of a request, with all its attempts.
const DEADLINE: Duration = Duration::from_secs(60);

// The service.

/// The seats that are taken, and who has them.
type Store = Arc<Mutex<BTreeMap<u32, String>>>;

/// Serves until the listener fails.
async fn service(listener: TcpListener, store: Store) -> io::Result<()> {
    let app = Router::new()
        .route("/seats/{seat}", put(take))
        .with_state(store);
    let server = serve(listener, move |_peer| TowerToHyperService::new(app.clone()));
    server.await.map(|_aborted| ())
}

/// Gives a seat to the client that is named in the body, unless another client has it.
async fn take(
    State(store): State<Store>,
    Path(seat): Path<u32>,
    Json(name): Json<String>,
) -> StatusCode {
    if seat >= SEATS {
        return StatusCode::NOT_FOUND;
    }
    let mut seats = store.lock().unwrap();
    let owner = seats.entry(seat).or_insert_with(|| name.clone());
    match *owner == name {
        true => StatusCode::OK,
        false => StatusCode::CONFLICT,
    }
}

// The client.

/// A client of the service.
struct Client<'a> {
    /// The address of the service.
    addr: &'a str,
    /// Sends requests over the connection, unless it has failed.
    sender: Option<SendRequest<Full<Bytes>>>,
    /// The number of attempts.
    attempts: u32,
}

impl Client<'_> {
    /// Sends a request once.
    async fn attempt(&mut self, request: Request<Full<Bytes>>) -> io::Result<StatusCode> {
        self.attempts += 1;
        let sender = match &mut self.sender {
            Some(sender) => sender,
            none => {
                let stream = TcpStream::connect(self.addr).await?;
                let (sender, connection) =
                    handshake(Io::new(stream)).await.map_err(io::Error::other)?;
                // The task ends with the connection. The sender reports its errors.
                drop(glassfrog::spawn(connection));
                none.insert(sender)
            }
        };
        sender.ready().await.map_err(io::Error::other)?;
        let response = sender.send_request(request).await;
        Ok(response.map_err(io::Error::other)?.status())
    }

    /// Asks for a seat until the service responds.
    async fn take(&mut self, seat: u32, name: &str) -> io::Result<StatusCode> {
        let mut pause = FIRST_PAUSE;
        loop {
            let request = Request::put(format!("/seats/{seat}"))
                .header("host", self.addr)
                .header("content-type", "application/json")
                .body(Full::from(format!("{name:?}")))
                .map_err(io::Error::other)?;
            match timeout(ATTEMPT, self.attempt(request)).await {
                Ok(Ok(status)) => return Ok(status),
                Ok(Err(_)) | Err(_) => self.sender = None,
            }
            sleep(pause).await;
            pause = LONGEST_PAUSE.min(2 * pause);
        }
    }
}

/// Reserves seats. Returns their numbers, and how many attempts this took.
async fn reserve(addr: &str, name: &str) -> io::Result<(Vec<u32>, u32)> {
    let mut client = Client {
        addr,
        sender: None,
        attempts: 0,
    };
    let mut seats = Vec::new();
    for seat in 0..SEATS {
        if seats.len() < WANTED
            && timeout(DEADLINE, client.take(seat, name)).await?? == StatusCode::OK
        {
            seats.push(seat);
        }
    }
    Ok((seats, client.attempts))
}

/// Checks that the clients have the seats that the store says they have. Returns the number of attempts.
fn check(outcomes: &[(&str, (Vec<u32>, u32))], store: &Store) -> u32 {
    let store = store.lock().unwrap();
    for (name, (seats, _attempts)) in outcomes {
        let stored = store.iter().filter(|(_, owner)| owner == name);
        let stored: Vec<u32> = stored.map(|(seat, _)| *seat).collect();
        assert_eq!(*seats, stored, "the seats of {name}");
        assert_eq!(seats.len(), WANTED, "the seats of {name}");
    }
    outcomes.iter().map(|(_, (_, attempts))| attempts).sum()
}

// Twice the same program.

/// Runs the service and its clients over real sockets. Returns the number of attempts.
fn over_loopback() -> io::Result<u32> {
    glassfrog::block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?.to_string();
        let store = Store::default();
        let server = glassfrog::spawn(service(listener, Arc::clone(&store)));
        let clients = ["ann", "bob"].map(|name| {
            let addr = addr.clone();
            (
                name,
                glassfrog::spawn(async move { reserve(&addr, name).await }),
            )
        });
        let mut outcomes = Vec::new();
        for (name, client) in clients {
            outcomes.push((name, client.await??));
        }
        server.abort();
        Ok(check(&outcomes, &store))
    })
}

/// Runs the service and its clients on simulated hosts, with faults. Returns the number of attempts.
fn simulated(seed: u64) -> (Report, u32) {
    let mut sim = Sim::new(seed);
    sim.link(Link::latency(Duration::from_millis(1)..=Duration::from_millis(10)).loss(0.01));
    let store = Store::default();
    let survivor = Arc::clone(&store);
    sim.host("service", move || {
        let store = Arc::clone(&survivor);
        async move { Ok(service(TcpListener::bind("0.0.0.0:80").await?, store).await?) }
    });
    let outcomes = Arc::new(Mutex::new(Vec::new()));
    for name in ["ann", "bob"] {
        let outcomes = Arc::clone(&outcomes);
        sim.client(name, async move {
            let outcome = reserve("service:80", name).await?;
            outcomes.lock().unwrap().push((name, outcome));
            Ok(())
        });
    }
    sim.client("chaos", async {
        let ms = |most| sim::rng().range(Duration::ZERO..Duration::from_millis(most));
        for _ in 0..3 {
            sleep(ms(500)).await;
            match sim::rng().below(3) {
                0 => {
                    sim::partition("ann", "service");
                    sleep(ms(3000)).await;
                    sim::repair("ann", "service");
                }
                1 => {
                    sim::kill("service");
                    sleep(ms(1000)).await;
                    sim::restart("service");
                }
                _ => {
                    sim::crash("service");
                    sleep(ms(1000)).await;
                    sim::restart("service");
                }
            }
        }
        Ok(())
    });
    let report = sim.run().unwrap_or_else(|failure| panic!("{failure}"));
    let attempts = check(&outcomes.lock().unwrap(), &store);
    (report, attempts)
}

/// The number of seeds.
const SEEDS: u64 = 100;

fn main() -> io::Result<()> {
    let attempts = over_loopback()?;
    println!("over loopback: each client has its {WANTED} seats after {attempts} attempts in all");

    let begin = Instant::now();
    let (mut attempts, mut elapsed) = (0, Duration::ZERO);
    for seed in 0..SEEDS {
        let (report, count) = simulated(seed);
        let (again, _) = simulated(seed);
        assert_eq!(report, again, "the seed {seed} determines the run");
        attempts += count;
        elapsed += report.elapsed;
    }
    println!(
        "simulated: the same under {SEEDS} seeds, with 3 faults each: {:.1} attempts and {:.1?} of simulated time a \
         seed, {:.1?} of real time in all",
        f64::from(attempts) / SEEDS as f64,
        elapsed / SEEDS as u32,
        begin.elapsed(),
    );
    Ok(())
}
