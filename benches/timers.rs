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

/// How many timers fire at once.
const FIRING: u64 = 1000;

/// How far away those are made: long enough that none is due before the last is made.
const AWAY: Duration = Duration::from_millis(2);

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

/// A time until a deadline as timeouts have it: one to two minutes.
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
            let deadline = Instant::now() + AWAY;
            let mut sleeps = join_all((0..FIRING).map(|_| sleep_until(deadline)));
            assert!(poll!(&mut sleeps).is_pending());
            // Waiting in the reactor instead would add the grain of the operating system.
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
