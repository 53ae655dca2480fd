//! The workloads on two cores: glassfrog's `Workers` and tokio's multi-threaded runtime.
//!
//! Both do the same work in two halves. Under `Workers`, each half stays on its thread; under tokio, each half is
//! a task whose child tasks any thread may steal.

use std::net::Ipv4Addr;
use std::time::Instant;

use futures::future::join_all;
use glassfrog::prelude::*;
use glassfrog::{Workers, net};
use glassfrog_count::workloads::{BUFFER, ECHO_MESSAGE, TASKS, nanoseconds};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// The number of threads that run tasks.
const THREADS: usize = 2;

/// The number of connections of each half of `cores_echo`.
const CONNECTIONS: u64 = 50;

/// Runs a row of the section on two cores once.
pub(crate) fn run(runtime: &str, row: &str, n: u64) -> Result<Vec<u64>, String> {
    let half = n / THREADS as u64;
    let time = match (runtime, row) {
        ("tokio", "cores_spawn") => tokio_runtime().block_on(in_halves(|| tokio_spawn(half))),
        ("tokio", "cores_echo") => tokio_runtime().block_on(tokio_echo(half)),
        ("glassfrog", "cores_spawn") => glassfrog_spawn(half),
        ("glassfrog", "cores_echo") => glassfrog_echo(half),
        _ => return Err(format!("`{runtime}` does not run `{row}`")),
    };
    Ok(vec![time])
}

fn tokio_runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(THREADS).enable_all().build();
    runtime.expect("a tokio runtime")
}

/// Runs each half as a task. Returns the time that both took.
async fn in_halves<F>(mut half: impl FnMut() -> F) -> u64
where
    F: Future<Output = ()> + Send + 'static,
{
    let start = Instant::now();
    let halves: Vec<_> = (0..THREADS).map(|_| tokio::spawn(half())).collect();
    for half in halves {
        half.await.expect("a half of the work");
    }
    nanoseconds(start)
}

async fn tokio_spawn(n: u64) {
    let mut handles = Vec::new();
    for _ in 0..n / TASKS {
        handles.extend((0..TASKS).map(|i| tokio::spawn(async move { i })));
        for (i, handle) in handles.drain(..).enumerate() {
            assert_eq!(handle.await.expect("a task"), i as u64);
        }
    }
}

async fn tokio_echo(n: u64) -> u64 {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    let listener = listener.expect("bind");
    let address = listener.local_addr().expect("local address");
    let mut halves = Vec::new();
    for _ in 0..THREADS {
        let mut streams = Vec::new();
        for _ in 0..CONNECTIONS {
            let stream = tokio::net::TcpStream::connect(address).await;
            let (mut peer, _) = listener.accept().await.expect("accept");
            streams.push(stream.expect("connect"));
            tokio::spawn(async move {
                let mut buffer = vec![0; BUFFER];
                while peer.read(&mut buffer).await.expect("read") > 0 {
                    peer.write_all(ECHO_MESSAGE).await.expect("write");
                }
            });
        }
        halves.push(streams);
    }
    in_halves(|| {
        let streams = halves.pop().expect("a half for each thread");
        async move {
            let clients: Vec<_> = streams
                .into_iter()
                .map(|mut stream| {
                    tokio::spawn(async move {
                        let mut buffer = vec![0; BUFFER];
                        for _ in 0..n / CONNECTIONS {
                            stream.write_all(ECHO_MESSAGE).await.expect("write");
                            let length = stream.read(&mut buffer).await.expect("read");
                            assert_eq!(length, ECHO_MESSAGE.len());
                        }
                    })
                })
                .collect();
            for client in clients {
                client.await.expect("a client");
            }
        }
    })
    .await
}

fn workers() -> Workers {
    Workers::new(THREADS).expect("a runtime for each thread")
}

fn glassfrog_spawn(n: u64) -> u64 {
    let workers = workers();
    let start = Instant::now();
    let halves = workers.spawn_on_each(move |_| async move {
        let mut handles = Vec::new();
        for _ in 0..n / TASKS {
            handles.extend((0..TASKS).map(|i| glassfrog::spawn(async move { i })));
            for (i, handle) in handles.drain(..).enumerate() {
                assert_eq!(handle.await.expect("a task"), i as u64);
            }
        }
    });
    glassfrog::block_on(join_all(halves));
    nanoseconds(start)
}

fn glassfrog_echo(n: u64) -> u64 {
    let workers = workers();
    // The connections of a half are registered with the worker that created them. They are `Send`, so they can be
    // returned to this thread and passed back.
    let halves = workers.spawn_on_each(|_| async {
        let listener = net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.expect("bind");
        let address = listener.local_addr().expect("local address");
        let mut streams = Vec::new();
        for _ in 0..CONNECTIONS {
            let stream = net::TcpStream::connect(address).await;
            let (mut peer, _) = listener.accept().await.expect("accept");
            streams.push(stream.expect("connect"));
            glassfrog::spawn(async move {
                let mut buffer = vec![0; BUFFER];
                while peer.read(&mut buffer).await.expect("read") > 0 {
                    peer.write_all(ECHO_MESSAGE).await.expect("write");
                }
            });
        }
        streams
    });
    let halves = glassfrog::block_on(join_all(halves));
    let start = Instant::now();
    let halves: Vec<_> = workers
        .handles()
        .iter()
        .zip(halves)
        .map(|(worker, streams)| {
            let streams = streams.expect("a half for each worker");
            worker.spawn_with(move || async move {
                let clients: Vec<_> = streams
                    .into_iter()
                    .map(|mut stream| {
                        glassfrog::spawn(async move {
                            let mut buffer = vec![0; BUFFER];
                            for _ in 0..n / CONNECTIONS {
                                stream.write_all(ECHO_MESSAGE).await.expect("write");
                                let length = stream.read(&mut buffer).await.expect("read");
                                assert_eq!(length, ECHO_MESSAGE.len());
                            }
                        })
                    })
                    .collect();
                for client in clients {
                    client.await.expect("a client");
                }
            })
        })
        .collect();
    for half in glassfrog::block_on(join_all(halves)) {
        half.expect("a half of the work");
    }
    nanoseconds(start)
}
