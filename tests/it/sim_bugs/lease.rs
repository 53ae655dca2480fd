//! A lease that breaks under drift: its holder measures it by its own clock, which is slower than that of the server.

use super::{MS, SEEDS, Version, assert_is_found_and_mended, random_ms, simulation};
use crate::support::few_or_many;
use futures::{AsyncReadExt, AsyncWriteExt};
use glassfrog::net::{TcpListener, TcpStream};
use glassfrog::sim::{self, Clock, Failure, Report};
use glassfrog::spawn;
use glassfrog::time::{now, sleep};
use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How long a lease is.
const LEASE: Duration = Duration::from_secs(600);

/// By how many parts in a million a clock may be fast or slow, as the mended worker assumes.
const DRIFT_PPM: u32 = 500;

/// The state of the server.
#[derive(Debug, Default)]
struct Leases {
    /// The number of the last lease.
    number: Cell<u32>,
    /// When it ends.
    end: Cell<Option<Instant>>,
}

/// Serves leases, of which there is one at a time. A request is one byte. The response is the number of the new lease,
/// or 0 and the milliseconds that the present one still lasts.
async fn server() -> sim::Result {
    let listener = TcpListener::bind("0.0.0.0:80").await?;
    let leases = Rc::new(Leases::default());
    loop {
        let (mut stream, _) = listener.accept().await?;
        let leases = Rc::clone(&leases);
        drop(spawn(async move {
            while stream.read_exact(&mut [0]).await.is_ok() {
                let rest = leases
                    .end
                    .get()
                    .map(|end| end.saturating_duration_since(now()));
                let (number, rest) = match rest {
                    Some(rest) if !rest.is_zero() => (0, rest.as_millis() as u32 + 1),
                    _ => {
                        leases.number.set(leases.number.get() + 1);
                        leases.end.set(Some(now() + LEASE));
                        (leases.number.get(), 0)
                    }
                };
                stream.write_all(&number.to_be_bytes()).await?;
                stream.write_all(&rest.to_be_bytes()).await?;
            }
            io::Result::Ok(())
        }));
    }
}

/// Takes leases, and uses the resource while it holds one. `last` is the number of the lease under which the resource
/// was used last, as the test sees it.
async fn worker(version: Version, last: Rc<Cell<u32>>) -> sim::Result {
    let mut stream = TcpStream::connect("server:80").await?;
    let length = match version {
        Version::Buggy => LEASE,
        // The clock of the server may be fast while that of the worker is slow.
        Version::Mended => LEASE - LEASE * 2 * DRIFT_PPM / 1_000_000,
    };
    for _ in 0..3 {
        // The lease begins after this moment.
        let asked = now();
        stream.write_all(b"?").await?;
        let mut response = [[0; 4]; 2];
        for part in &mut response {
            stream.read_exact(part).await?;
        }
        let [number, rest] = response.map(u32::from_be_bytes);
        if number == 0 {
            sleep(MS * rest).await;
            continue;
        }
        while now() < asked + length {
            if number < last.get() {
                let last = last.get();
                return Err(format!("lease {number} is used after lease {last}").into());
            }
            last.set(number);
            sleep(random_ms(5000)).await;
        }
    }
    Ok(())
}

/// Runs two workers, and clocks that drift by up to 500 ppm, or not at all.
fn run(seed: u64, version: Version, drifts: bool) -> Result<Report, Failure> {
    let mut sim = simulation(seed);
    let last = Rc::new(Cell::new(0));
    sim.time_limit(Duration::from_secs(10_000));
    sim.host("server", server);
    for name in ["worker1", "worker2"] {
        sim.client(name, worker(version, Rc::clone(&last)));
    }
    sim.client("drift", async move {
        for name in ["server", "worker1", "worker2"] {
            let most = i64::from(DRIFT_PPM);
            let ppm = sim::rng().range(-most..=most);
            if drifts {
                sim::clock(name, Clock::ahead(random_ms(1000)).ppm(ppm));
            }
        }
        Ok(())
    });
    sim.run()
}

#[test]
fn a_lease_that_its_holder_measures_by_a_slow_clock_is_used_too_long() {
    let failure = assert_is_found_and_mended(|seed, version| run(seed, version, true));
    assert!(failure.to_string().contains("is used after lease"));
}

#[test]
fn clocks_without_drift_do_not_show_the_broken_lease() {
    for seed in 0..few_or_many(20, SEEDS as usize) as u64 {
        if let Err(failure) = run(seed, Version::Buggy, false) {
            panic!("seed {seed}: {failure}");
        }
    }
}
