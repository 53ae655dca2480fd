//! Benchmarks of dumps of 5,000 tasks: `cargo bench --bench dumps`.

mod common;

use std::future::pending;
use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::Criterion;
use glassfrog::task::{self, Builder, JoinHandle, JoinSet, scope, spawn, yield_now};
use glassfrog::time::{sleep, timeout};
use glassfrog::{Dump, Runtime};

/// The number of tasks of each kind: with the members of the sets and the children of the scopes, 5,000 tasks.
const EACH: usize = 625;

/// A duration that exceeds every benchmark.
const FAR: Duration = Duration::from_secs(3600);

fn main() {
    let mut criterion = common::criterion();
    let runtime = Runtime::new().expect("a runtime");
    let _finished = runtime.block_on(populate());
    dumps(
        &mut criterion,
        &runtime,
        "dump of 5000 tasks, taken",
        |dump| {
            drop(black_box(dump));
        },
    );
    dumps(
        &mut criterion,
        &runtime,
        "dump of 5000 tasks, taken and printed",
        |dump| {
            assert!(black_box(dump.to_string()).lines().count() <= 40);
        },
    );
    dumps(
        &mut criterion,
        &runtime,
        "dump of 5000 tasks, taken and searched for circles",
        |dump| {
            assert!(black_box(dump.circles()).is_empty());
        },
    );
    criterion.final_summary();
}

/// Spawns tasks of six places that wait for different things. Returns the handles of those that finish.
async fn populate() -> Vec<JoinHandle<()>> {
    let mut finished = Vec::with_capacity(EACH);
    for index in 0..EACH {
        spawn(sleep(FAR));
        spawn(timeout(FAR, pending::<()>()));
        Builder::new()
            .name(format!("named {index}"))
            .spawn(pending::<()>());
        spawn(async {
            let mut set = JoinSet::new();
            set.spawn(sleep(FAR));
            set.join_next().await
        });
        spawn(scope(async |s| {
            s.spawn(pending::<()>());
        }));
        finished.push(spawn(async {}));
    }
    for _ in 0..100 {
        yield_now().await;
    }
    finished
}

/// Benchmarks a use of a dump.
fn dumps(criterion: &mut Criterion, runtime: &Runtime, name: &str, look: impl Fn(Dump)) {
    common::bench(criterion, runtime, name, async |dumps| {
        let start = Instant::now();
        for _ in 0..dumps {
            look(task::dump());
        }
        start.elapsed()
    });
}
