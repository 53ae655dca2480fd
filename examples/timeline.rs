//! Records a timeline of a small server and its clients, among which one task computes for too long.
//!
//! ```text
//! cargo run --release --example timeline
//! cargo run --release --example timeline -- run.html
//! ```
//!
//! Open the file in a browser: at the first sight it says which task kept the others from running, where that task was
//! spawned, and which one came latest for it. The program prints the same as text. With a path that ends in `.json`, it writes
//! a trace for <https://ui.perfetto.dev>.
//!
//! A program that does not call `Builder::timeline` can be recorded, too: run it with `GLASSFROG_TIMELINE=run.html`.

use std::env;
use std::hint::black_box;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use glassfrog::Runtime;
use glassfrog::net::{TcpListener, TcpStream, lookup_host};
use glassfrog::sync::Mutex;
use glassfrog::task::{self, Builder, JoinSet};
use glassfrog::time::{interval, sleep};

/// The number of clients.
const CLIENTS: usize = 4;

/// The number of requests that each client makes.
const REQUESTS: usize = 20;

/// How long a client thinks between two requests.
const THINKING: Duration = Duration::from_millis(5);

/// How long the report is computed: far too long for a poll, in which no other task can run.
const COMPUTING: Duration = Duration::from_millis(40);

/// How long the audit blocks its thread, which is not that of the runtime.
const AUDIT: Duration = Duration::from_millis(25);

fn main() -> io::Result<()> {
    let path = match env::args_os().nth(1) {
        Some(path) => PathBuf::from(path),
        None => env::temp_dir().join("glassfrog-timeline.html"),
    };
    let runtime = Runtime::builder().timeline(65_536).build()?;
    runtime.block_on(run())?;
    let timeline = runtime.handle().timeline();
    timeline.write_to(&path)?;
    println!("the timeline is in {}\n\n{timeline}", path.display());
    Ok(())
}

/// Runs the server, and its clients until they are done.
async fn run() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    let accounts = Rc::new(Mutex::named("accounts", 0));
    let listening = Builder::new().name("listener");
    listening.spawn(serve(listener, Rc::clone(&accounts)));

    let mut clients = JoinSet::new();
    for number in 1..=CLIENTS {
        let client = clients.build_task().name(format!("client {number}"));
        client.spawn(request(addr));
    }
    Builder::new().name("ticker").spawn(tick());
    Builder::new().name("auditor").spawn(audit(accounts));
    Builder::new().name("reporter").spawn(report());
    while let Some(client) = clients.join_next().await {
        client??;
    }
    Ok(())
}

/// Accepts connections, and answers each in a task of its own.
async fn serve(listener: TcpListener, accounts: Rc<Mutex<u64>>) -> io::Result<()> {
    for number in 1.. {
        let (stream, _peer) = listener.accept().await?;
        let connection = Builder::new().name(format!("connection {number}"));
        connection.spawn(answer(stream, Rc::clone(&accounts)));
    }
    Ok(())
}

/// Answers the requests on a connection. Each of them needs the accounts.
async fn answer(stream: TcpStream, accounts: Rc<Mutex<u64>>) -> io::Result<()> {
    let mut request = [0];
    while stream.read(&mut request).await? > 0 {
        *accounts.lock().await += 1;
        stream.write(&request).await?;
    }
    Ok(())
}

/// Makes requests, one after another.
async fn request(addr: SocketAddr) -> io::Result<()> {
    let stream = TcpStream::connect(addr).await?;
    for _ in 0..REQUESTS {
        stream.write(b"?").await?;
        stream.read(&mut [0]).await?;
        sleep(THINKING).await;
    }
    Ok(())
}

/// Does little, and often.
async fn tick() {
    let mut ticks = interval(Duration::from_millis(2));
    loop {
        ticks.tick().await;
    }
}

/// Holds the accounts while a blocking job looks at them, so that connections wait for the lock.
async fn audit(accounts: Rc<Mutex<u64>>) -> io::Result<()> {
    sleep(Duration::from_millis(30)).await;
    task::mark("the audit begins");
    // A name lookup, on a thread of the pool.
    let _addrs = lookup_host(("localhost", 80)).await?.count();
    let _accounts = accounts.lock().await;
    let audit = Builder::new().name("audit");
    // It blocks a thread of the pool, as a query of a database would.
    audit.spawn_blocking(|| thread::sleep(AUDIT)).await?;
    Ok(())
}

/// Computes on the thread of the runtime. This is the mistake that the timeline shows: such work belongs in
/// `spawn_blocking`.
async fn report() {
    sleep(Duration::from_millis(90)).await;
    let began = Instant::now();
    let mut sum = 0_u64;
    while began.elapsed() < COMPUTING {
        sum = black_box(sum.wrapping_mul(31).wrapping_add(7));
    }
}
