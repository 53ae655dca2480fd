//! Benchmarks of the timeline, off and on: `cargo bench --bench timeline`.

mod common;

use std::net::Ipv4Addr;
use std::time::Instant;

use criterion::Criterion;
use futures::future::join;
use glassfrog::Runtime;
use glassfrog::net::{TcpListener, TcpStream};
use glassfrog::prelude::*;
use glassfrog::task::{self, spawn, yield_now};

/// The number of events that a runtime keeps.
const EVENTS: usize = 65_536;

fn main() {
    let mut criterion = common::criterion();
    let off = Runtime::new().expect("a runtime");
    let on = Runtime::builder().timeline(EVENTS);
    let on = on.build().expect("a runtime");
    for (name, runtime) in [("off", &off), ("on", &on)] {
        // Two events: the end of a poll, and a wake.
        bench(&mut criterion, runtime, name, "yield", async |yields| {
            for _ in 0..yields {
                yield_now().await;
            }
        });
        // Five events: the spawn, the wait, the ends of two polls, and the wake.
        bench(
            &mut criterion,
            runtime,
            name,
            "spawn, then join",
            async |spawns| {
                for _ in 0..spawns {
                    spawn(async {}).await.expect("it does not panic");
                }
            },
        );
        bench(&mut criterion, runtime, name, "mark", async |marks| {
            for _ in 0..marks {
                task::mark("a mark");
            }
        });
        echo(&mut criterion, runtime, name);
    }
    criterion.final_summary();
}

/// Benchmarks operations of a task.
fn bench(
    criterion: &mut Criterion,
    runtime: &Runtime,
    timeline: &str,
    name: &str,
    body: impl AsyncFn(u64),
) {
    let name = format!("{name}, timeline {timeline}");
    common::bench(criterion, runtime, &name, async |operations| {
        let start = Instant::now();
        body(operations).await;
        start.elapsed()
    });
}

/// Benchmarks messages to a peer on another task, and back.
fn echo(criterion: &mut Criterion, runtime: &Runtime, timeline: &str) {
    bench(criterion, runtime, timeline, "echo", async |messages| {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.expect("a listener");
        let addr = listener.local_addr().expect("its address");
        let (client, server) = join(TcpStream::connect(addr), listener.accept()).await;
        let (mut client, (mut server, _)) = (client.expect("a client"), server.expect("a server"));
        let echo = spawn(async move {
            let mut message = [0; 64];
            while server.read_exact(&mut message).await.is_ok() {
                server.write_all(&message).await.expect("an answer");
            }
        });
        let mut message = [1; 64];
        for _ in 0..messages {
            client.write_all(&message).await.expect("a message");
            client.read_exact(&mut message).await.expect("an answer");
        }
        drop(client);
        echo.await.expect("it does not panic");
    });
}
