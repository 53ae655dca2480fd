//! Benchmarks of the timers: `cargo bench --bench timers`.

mod common;

use std::hint;
use std::pin::pin;
use std::time::{Duration, Instant};

use criterion::Criterion;
use futures::future::join_all;
use futures::poll;
use glassfrog::Runtime;
use glassfrog::time::{sleep, sleep_until};

/// The number of timers that fire at once.
const FIRING: u64 = 1000;

/// The time from the creation of these timers to their deadline: long enough that none is due before the last has been
/// created.
const DELAY: Duration = Duration::from_millis(2);

fn main() {
    let mut criterion = common::criterion();
    let runtime = Runtime::new().expect("a runtime");
    create_and_cancel(
        &mut criterion,
        &runtime,
        "create and cancel, 1 thousand live",
        1_000,
    );
    create_and_cancel(
        &mut criterion,
        &runtime,
        "create and cancel, 1 million live",
        1_000_000,
    );
    fire(&mut criterion, &runtime);
    criterion.final_summary();
}

/// Returns a duration that is typical of timeouts: one to two minutes.
fn duration(i: u64) -> Duration {
    Duration::from_millis(60_000 + i * 7_919 % 60_000)
}

fn create_and_cancel(criterion: &mut Criterion, runtime: &Runtime, name: &str, live: u64) {
    let mut others = Vec::new();
    runtime.block_on(async {
        for i in 0..live {
            let mut other = Box::pin(sleep(duration(i)));
            assert!(poll!(&mut other).is_pending());
            others.push(other);
        }
    });
    common::bench(criterion, runtime, name, async |timers| {
        let start = Instant::now();
        for i in 0..timers {
            assert!(poll!(pin!(sleep(duration(i)))).is_pending());
        }
        start.elapsed()
    });
}

fn fire(criterion: &mut Criterion, runtime: &Runtime) {
    common::bench(criterion, runtime, "fire 1000 at once", async |times| {
        let mut elapsed = Duration::ZERO;
        for _ in 0..times {
            let deadline = Instant::now() + DELAY;
            let mut sleeps = join_all((0..FIRING).map(|_| sleep_until(deadline)));
            assert!(poll!(&mut sleeps).is_pending());
            // Waiting in the reactor would add the delay of the operating system's timers.
            while Instant::now() < deadline {
                hint::spin_loop();
            }
            let start = Instant::now();
            sleeps.await;
            elapsed += start.elapsed();
        }
        elapsed
    });
}
