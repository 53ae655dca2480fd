//! Benchmarks of the executor: `cargo bench --bench tasks`.

mod common;

use std::time::Instant;

use criterion::Criterion;
use futures::StreamExt;
use futures::channel::mpsc;
use glassfrog::Runtime;
use glassfrog::task::{spawn, yield_now};
use glassfrog_benches::shares;

/// The number of tasks in a benchmark of many tasks.
const TASKS: u64 = 1000;

fn main() {
    let mut criterion = common::criterion();
    let runtime = Runtime::new().expect("a runtime");
    spawn_and_join(&mut criterion, &runtime);
    yields(&mut criterion, &runtime);
    ping_pong(&mut criterion, &runtime);
    criterion.final_summary();
}

fn spawn_and_join(criterion: &mut Criterion, runtime: &Runtime) {
    common::bench(criterion, runtime, "spawn, then join", async |spawns| {
        let start = Instant::now();
        for _ in 0..spawns {
            spawn(async {}).await.expect("it does not panic");
        }
        start.elapsed()
    });

    common::bench(
        criterion,
        runtime,
        "spawn 1000, then join them, each",
        async |spawns| {
            let start = Instant::now();
            let mut left = spawns;
            while left > 0 {
                let handles: Vec<_> = (0..left.min(TASKS)).map(|_| spawn(async {})).collect();
                left -= handles.len() as u64;
                for handle in handles {
                    handle.await.expect("it does not panic");
                }
            }
            start.elapsed()
        },
    );
}

fn yields(criterion: &mut Criterion, runtime: &Runtime) {
    for (name, tasks) in [
        ("yield of a lone task", 1),
        ("yield of one in 1000 tasks", TASKS),
    ] {
        common::bench(criterion, runtime, name, async |yields| {
            let start = Instant::now();
            let yield_some = |yields| {
                spawn(async move {
                    for _ in 0..yields {
                        yield_now().await;
                    }
                })
            };
            let handles: Vec<_> = shares(yields, tasks).map(yield_some).collect();
            for handle in handles {
                handle.await.expect("it does not panic");
            }
            start.elapsed()
        });
    }
}

fn ping_pong(criterion: &mut Criterion, runtime: &Runtime) {
    common::bench(
        criterion,
        runtime,
        "ping-pong over channels",
        async |round_trips| {
            let (ping, mut pings) = mpsc::unbounded();
            let (pong, mut pongs) = mpsc::unbounded();
            let start = Instant::now();
            let ponger = spawn(async move {
                while let Some(ball) = pings.next().await {
                    pong.unbounded_send(ball).expect("the other waits for it");
                }
            });
            for ball in 0..round_trips {
                ping.unbounded_send(ball).expect("the other waits for it");
                assert_eq!(pongs.next().await, Some(ball));
            }
            drop(ping);
            ponger.await.expect("it does not panic");
            start.elapsed()
        },
    );
}
