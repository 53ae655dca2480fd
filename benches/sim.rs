//! Benchmarks of simulations: `cargo bench -p glassfrog-benches --features sim --bench sim`.

#[expect(
    dead_code,
    reason = "the hosts of a simulation are runtimes of their own"
)]
mod common;

use std::cell::RefCell;
use std::future::pending;
use std::hint::black_box;
use std::rc::Rc;
use std::time::Duration;

use criterion::Criterion;
use glassfrog::net::{TcpListener, TcpStream};
use glassfrog::prelude::*;
use glassfrog::sim::{self, Report, Sim};
use glassfrog::time::{sleep, timeout};

const MS: Duration = Duration::from_millis(1);

/// The number of entries that the client of the log writes.
const ENTRIES: u8 = 20;

/// The number of hosts that talk with the server, and for how many seconds.
const TALKERS: u64 = 500;

/// The number of round trips of each talker: one in a simulated second.
const ROUND_TRIPS: u32 = 60;

fn main() {
    let mut criterion = common::criterion();
    log_of_each_seed(&mut criterion);
    talk(&mut criterion, "500 hosts talk for a minute", TALKERS, 0);
    talk(&mut criterion, "10 hosts talk beside 0 others", 10, 0);
    talk(&mut criterion, "10 hosts talk beside 1000 others", 10, 1000);
    criterion.final_summary();
}

/// A search for a lost write: each simulation has the next seed.
fn log_of_each_seed(criterion: &mut Criterion) {
    let mut seed = 0;
    criterion.bench_function("replicated log, one seed", |bencher| {
        bencher.iter(|| {
            seed = (seed + 1) % 1000;
            black_box(lost_writes(seed))
        });
    });
}

/// Hosts that talk with one server, beside hosts that do nothing.
fn talk(criterion: &mut Criterion, name: &str, talkers: u64, idle: u64) {
    criterion.bench_function(name, |bencher| {
        bencher.iter_batched(
            || talking(talkers, idle),
            |mut sim| {
                let report = sim.run().expect("a run");
                assert!(report.polls > talkers * u64::from(ROUND_TRIPS));
                // Dropping the hosts is not measured.
                sim
            },
            criterion::BatchSize::PerIteration,
        );
    });
}

/// Creates the simulation of [`talk`]. All hosts have booted.
fn talking(talkers: u64, idle: u64) -> Sim {
    let mut sim = Sim::new(1);
    sim.host("server", echo_server);
    for n in 0..idle {
        sim.host(&format!("idle {n}"), pending);
    }
    for n in 0..talkers {
        sim.client(&format!("talker {n}"), async move {
            sleep(MS * (1 + n % 100) as u32).await;
            let mut stream = TcpStream::connect("server:7").await?;
            for _ in 0..ROUND_TRIPS {
                stream.write_all(b"ping").await?;
                stream.read_exact(&mut [0; 4]).await?;
                sleep(Duration::from_secs(1)).await;
            }
            Ok(())
        });
    }
    sim.run_for(Duration::ZERO).expect("a boot");
    sim
}

/// Sends back what it receives.
async fn echo_server() -> sim::Result {
    let listener = TcpListener::bind("0.0.0.0:7").await?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        drop(glassfrog::spawn(async move {
            let mut buffer = [0; 1024];
            while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                stream.write_all(&buffer[..count]).await?;
            }
            std::io::Result::Ok(())
        }));
    }
}

/// Runs a log with a bug: the primary acknowledges an entry even if the backup has not answered in time. Returns the report,
/// and the number of entries that were acknowledged and lost.
fn lost_writes(seed: u64) -> (Report, usize) {
    let log = Rc::new(RefCell::new(Vec::new()));
    let acknowledged = Rc::new(RefCell::new(Vec::new()));
    let mut sim = Sim::new(seed);
    let ours = Rc::clone(&log);
    sim.host("backup", move || backup(Rc::clone(&ours)));
    sim.host("primary", primary);
    let ours = Rc::clone(&acknowledged);
    sim.client("client", async move {
        sleep(60 * MS).await;
        // The primary may be gone.
        let Ok(mut stream) = TcpStream::connect("primary:1").await else {
            return Ok(());
        };
        for entry in 0..ENTRIES {
            let write = async {
                stream.write_all(&[entry]).await?;
                stream.read_exact(&mut [0]).await
            };
            if !matches!(timeout(Duration::from_secs(5), write).await, Ok(Ok(_))) {
                break;
            }
            ours.borrow_mut().push(entry);
            sleep(MS * sim::rng().below(50) as u32).await;
        }
        Ok(())
    });
    sim.client("chaos", async {
        let rng = sim::rng();
        sleep(MS * rng.below(2000) as u32).await;
        sim::partition("primary", "backup");
        sleep(MS * rng.below(500) as u32).await;
        if rng.below(4) == 0 {
            sim::crash("primary");
        }
        sleep(MS * rng.below(1000) as u32).await;
        sim::repair("primary", "backup");
        sleep(Duration::from_secs(120)).await;
        Ok(())
    });
    let report = sim.run().expect("a run");
    let (log, acknowledged) = (log.borrow(), acknowledged.borrow());
    let lost = acknowledged.iter().filter(|entry| !log.contains(entry));
    (report, lost.count())
}

async fn primary() -> sim::Result {
    sleep(50 * MS).await;
    let listener = TcpListener::bind("0.0.0.0:1").await?;
    let mut backup = TcpStream::connect("backup:2").await?;
    let (mut client, _) = listener.accept().await?;
    let mut entry = [0];
    while client.read_exact(&mut entry).await.is_ok() {
        let copied = async {
            backup.write_all(&entry).await?;
            backup.read_exact(&mut [0]).await
        };
        let _lost_if_it_fails = timeout(100 * MS, copied).await;
        client.write_all(b"k").await?;
    }
    Ok(())
}

async fn backup(log: Rc<RefCell<Vec<u8>>>) -> sim::Result {
    let listener = TcpListener::bind("0.0.0.0:2").await?;
    let (mut primary, _) = listener.accept().await?;
    let mut entry = [0];
    while primary.read_exact(&mut entry).await.is_ok() {
        log.borrow_mut().push(entry[0]);
        if primary.write_all(b"k").await.is_err() {
            break;
        }
    }
    Ok(())
}
