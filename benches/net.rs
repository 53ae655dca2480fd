//! Benchmarks of sockets over loopback: `cargo bench --bench net`.

mod common;

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use criterion::Criterion;
use glassfrog::Runtime;
use glassfrog::net::{TcpListener, TcpStream};
use glassfrog::prelude::*;
use glassfrog::spawn;
use glassfrog_benches::shares;

/// The message of an echo, and the request of a fetch.
const MESSAGE: [u8; 64] = [b'.'; 64];

/// The response to a fetch: a small page.
const PAGE: [u8; 2048] = [b'.'; 2048];

/// Room for every message and the page, with some left over.
const BUFFER: usize = 4096;

fn main() -> io::Result<()> {
    let mut criterion = common::criterion();
    let runtime = Runtime::new()?;
    echo(&mut criterion, &runtime, "echo, 1 connection", 1)?;
    echo(&mut criterion, &runtime, "echo, 100 connections", 100)?;
    let server = start_page_server();
    fetch(&mut criterion, &runtime, "fetch, 1 in flight", 1, server);
    fetch(
        &mut criterion,
        &runtime,
        "fetch, 100 in flight",
        100,
        server,
    );
    criterion.final_summary();
    Ok(())
}

/// Benchmarks round trips with both ends on this runtime.
fn echo(criterion: &mut Criterion, runtime: &Runtime, name: &str, count: u64) -> io::Result<()> {
    let connections = runtime.block_on(connect_echoes(count))?;
    common::bench(criterion, runtime, name, async |round_trips| {
        let start = Instant::now();
        let mut tasks = Vec::new();
        for (stream, round_trips) in connections.iter().zip(shares(round_trips, count)) {
            let stream = Rc::clone(stream);
            tasks.push(spawn(async move {
                let mut buffer = [0; BUFFER];
                for _ in 0..round_trips {
                    (&*stream).write_all(&MESSAGE).await?;
                    stream.read(&mut buffer).await?;
                }
                io::Result::Ok(())
            }));
        }
        for task in tasks {
            task.await
                .expect("it does not panic")
                .expect("loopback works");
        }
        start.elapsed()
    });
    Ok(())
}

/// Opens connections to tasks that send back what they receive.
async fn connect_echoes(count: u64) -> io::Result<Vec<Rc<TcpStream>>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let mut connections = Vec::new();
    for _ in 0..count {
        connections.push(Rc::new(TcpStream::connect(listener.local_addr()?).await?));
        let (mut peer, _) = listener.accept().await?;
        drop(spawn(async move {
            let mut buffer = [0; BUFFER];
            loop {
                let length = peer.read(&mut buffer).await?;
                if length == 0 {
                    return io::Result::Ok(());
                }
                peer.write_all(&buffer[..length]).await?;
            }
        }));
    }
    Ok(connections)
}

/// Starts a server on a thread of its own. It responds to every connection with a page, and closes.
fn start_page_server() -> SocketAddr {
    let (send_address, address) = mpsc::channel();
    thread::spawn(move || {
        glassfrog::block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            send_address
                .send(listener.local_addr()?)
                .map_err(io::Error::other)?;
            while let Ok((mut peer, _)) = listener.accept().await {
                drop(spawn(async move {
                    peer.read(&mut [0; BUFFER]).await?;
                    peer.write_all(&PAGE).await
                }));
            }
            io::Result::Ok(())
        })
    });
    address.recv().expect("the server listens")
}

/// Benchmarks fetches from a server on another thread.
fn fetch(
    criterion: &mut Criterion,
    runtime: &Runtime,
    name: &str,
    in_flight: u64,
    server: SocketAddr,
) {
    common::bench(criterion, runtime, name, async |fetches| {
        let start = Instant::now();
        let fetch_some = |fetches| {
            spawn(async move {
                for _ in 0..fetches {
                    assert_eq!(fetch_data(server).await?.len(), PAGE.len());
                }
                io::Result::Ok(())
            })
        };
        let tasks: Vec<_> = shares(fetches, in_flight).map(fetch_some).collect();
        for task in tasks {
            task.await
                .expect("it does not panic")
                .expect("loopback works");
        }
        start.elapsed()
    });
}

async fn fetch_data(server: SocketAddr) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    stream.write_all(&MESSAGE).await?;
    let mut page = Vec::with_capacity(BUFFER);
    stream.read_to_end(&mut page).await?;
    Ok(page)
}
