//! Benchmarks of `glassfrog::sync` beside the crates below: `cargo bench -p glassfrog-benches --features sync --bench sync`.
//!
//! Each operation follows that of the crate, so that a change of the machine's speed meets both. Both run in a task of
//! glassfrog. The limit is that the operation takes at most 1.25 times as long as that of the crate.

mod common;

use std::hint::black_box;
use std::time::Instant;

use criterion::Criterion;
use glassfrog::{Runtime, sync};

/// The capacity of the channels.
const CAPACITY: usize = 10;
/// The number of permits of the semaphores.
const PERMITS: usize = 3;
/// Why a send succeeds.
const OPEN: &str = "the channel has a receiver";

fn main() {
    let mut criterion = common::criterion();
    let runtime = Runtime::new().expect("a runtime");
    locks(&mut criterion, &runtime);
    permits(&mut criterion, &runtime);
    channels(&mut criterion, &runtime);
    criterion.final_summary();
}

fn locks(criterion: &mut Criterion, runtime: &Runtime) {
    common::bench(criterion, runtime, "lock, async-lock", async |locks| {
        let lock = async_lock::Mutex::new(0);
        let start = Instant::now();
        for i in 0..locks {
            *black_box(&lock).lock().await += i;
        }
        start.elapsed()
    });
    common::bench(criterion, runtime, "lock, glassfrog", async |locks| {
        let lock = sync::Mutex::new(0);
        let start = Instant::now();
        for i in 0..locks {
            *black_box(&lock).lock().await += i;
        }
        start.elapsed()
    });
    common::bench(criterion, runtime, "read, async-lock", async |reads| {
        let lock = async_lock::RwLock::new(7);
        let start = Instant::now();
        for _ in 0..reads {
            black_box(*black_box(&lock).read().await);
        }
        start.elapsed()
    });
    common::bench(criterion, runtime, "read, glassfrog", async |reads| {
        let lock = sync::RwLock::new(7);
        let start = Instant::now();
        for _ in 0..reads {
            black_box(*black_box(&lock).read().await);
        }
        start.elapsed()
    });
}

fn permits(criterion: &mut Criterion, runtime: &Runtime) {
    common::bench(criterion, runtime, "permit, async-lock", async |permits| {
        let semaphore = async_lock::Semaphore::new(PERMITS);
        let start = Instant::now();
        for _ in 0..permits {
            drop(black_box(black_box(&semaphore).acquire().await));
        }
        start.elapsed()
    });
    common::bench(criterion, runtime, "permit, glassfrog", async |permits| {
        let semaphore = sync::Semaphore::new(PERMITS);
        let start = Instant::now();
        for _ in 0..permits {
            let permit = black_box(&semaphore).acquire().await;
            drop(black_box(permit.expect("the semaphore is open")));
        }
        start.elapsed()
    });
}

fn channels(criterion: &mut Criterion, runtime: &Runtime) {
    common::bench(
        criterion,
        runtime,
        "send, receive, async-channel",
        async |values| {
            let (sender, receiver) = async_channel::bounded(CAPACITY);
            let start = Instant::now();
            for i in 0..values {
                sender.send(i).await.expect(OPEN);
                assert_eq!(receiver.recv().await, Ok(i));
            }
            start.elapsed()
        },
    );
    common::bench(
        criterion,
        runtime,
        "send, receive, glassfrog",
        async |values| {
            let (sender, mut receiver) = sync::mpsc::channel(CAPACITY);
            let start = Instant::now();
            for i in 0..values {
                sender.send(i).await.expect(OPEN);
                assert_eq!(receiver.recv().await, Some(i));
            }
            start.elapsed()
        },
    );
}
