//! Benchmarks of simulations: `cargo bench -p glassfrog-benches --features sim --bench sim`.

#[expect(
    dead_code,
    reason = "the hosts of a simulation are runtimes of their own"
)]
mod common;
#[path = "../tests/it/sim_toy/lost_write.rs"]
mod lost_write;

use std::future::pending;
use std::hint::black_box;
use std::time::Duration;

use criterion::Criterion;
use glassfrog::net::{TcpListener, TcpStream};
use glassfrog::prelude::*;
use glassfrog::sim::{self, Sim};
use glassfrog::time::sleep;

const MS: Duration = Duration::from_millis(1);

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
            black_box(lost_write::lost_writes(seed))
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
