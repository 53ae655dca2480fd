//! Streams of data through the public types, with short transfers, small windows and faults: no byte is lost, and no
//! task waits forever.

use crate::sim_hosts::MS;
use glassfrog::net::{TcpListener, TcpStream};
use glassfrog::prelude::*;
use glassfrog::sim::{self, Link, Sim, Tcp};
use glassfrog::time::sleep;
use std::time::Duration;

/// The number of seeds.
const SEEDS: u64 = 60;

/// The port of the server.
const PORT: u16 = 7;

/// Returns the byte at a place of the stream of a sender.
fn byte(sender: u8, place: usize) -> u8 {
    (place as u8).wrapping_mul(31) ^ (place >> 8) as u8 ^ sender
}

/// Writes a stream in random pieces, sometimes after a pause, and ends it.
async fn send(mut stream: impl AsyncWriteExt + Unpin, sender: u8, length: usize) -> sim::Result {
    let mut sent = 0;
    while sent < length {
        let most = [1, 7, 100, 1460, 20_000][sim::rng().below(5) as usize];
        let end = length.min(sent + 1 + sim::rng().below(most) as usize);
        let piece: Vec<u8> = (sent..end).map(|place| byte(sender, place)).collect();
        match sim::rng().chance(0.3) {
            true => sent += stream.write(&piece).await?,
            false => {
                stream.write_all(&piece).await?;
                sent = end;
            }
        }
        if sim::rng().chance(0.05) {
            sleep(MS * sim::rng().below(300) as u32).await;
        }
    }
    stream.close().await?;
    Ok(())
}

/// Reads a stream in random pieces until its end, sometimes after a pause, and checks it.
async fn receive(mut stream: impl AsyncReadExt + Unpin, sender: u8, length: usize) -> sim::Result {
    let mut place = 0;
    loop {
        let most = [1, 3, 64, 1500, 17_000, 70_000][sim::rng().below(6) as usize];
        let mut buf = vec![0; 1 + sim::rng().below(most) as usize];
        let count = stream.read(&mut buf).await?;
        if count == 0 {
            break;
        }
        for found in &buf[..count] {
            if *found != byte(sender, place) {
                return Err(format!("another byte at {place} of {length}").into());
            }
            place += 1;
        }
        if sim::rng().chance(0.05) {
            sleep(MS * sim::rng().below(300) as u32).await;
        }
    }
    match place == length {
        true => Ok(()),
        false => Err(format!("the stream ends after {place} of {length} bytes").into()),
    }
}

/// Sends and receives at once, and awaits both.
async fn exchange(stream: TcpStream, mine: (u8, usize), theirs: (u8, usize)) -> sim::Result {
    let (reader, writer) = stream.into_split();
    let sender = glassfrog::spawn(send(writer, mine.0, mine.1));
    receive(reader, theirs.0, theirs.1).await?;
    sender.await?
}

/// Runs a seed.
fn run(seed: u64) -> glassfrog::sim::Report {
    let choose = |of: &[usize], place: u32| of[(seed as usize / 3_usize.pow(place)) % of.len()];
    let tcp = Tcp::default()
        .send_buffer(choose(&[65_536, 1000, 7], 0))
        .receive_buffer(choose(&[65_536, 1000, 7], 1))
        .short([0.06, 0.5, 1.0][choose(&[0, 1, 2], 2)]);
    let small = seed % 3 == 2 || seed / 3 % 3 == 2;
    let length = if small { 600 } else { 60_000 };
    let mut sim = Sim::builder().seed(seed).tcp(tcp).build();
    sim.link(
        Link::latency(MS / 2..=5 * MS)
            .loss([0.0, 0.02, 0.1][seed as usize % 3])
            .duplication(0.05)
            .mtu(choose(&[1500, 9000, 68], 3)),
    );
    sim.host("server", move || async move {
        let listener = TcpListener::bind(("0.0.0.0", PORT)).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            let served = exchange(stream, (1, length), (2, length / 2));
            drop(glassfrog::spawn(async { served.await.unwrap() }));
        }
    });
    for n in 0..2 {
        sim.client(&format!("client{n}"), async move {
            let stream = TcpStream::connect(("server", PORT)).await?;
            exchange(stream, (2, length / 2), (1, length)).await
        });
    }
    sim.client("chaos", async {
        for _ in 0..3 {
            sleep(MS * sim::rng().below(2000) as u32).await;
            let (from, to) = match sim::rng().chance(0.5) {
                true => ("client0", "server"),
                false => ("server", "client1"),
            };
            match sim::rng().below(3) {
                0 => sim::partition(from, to),
                1 => sim::partition_oneway(from, to),
                _ => sim::hold(from, to),
            }
            sleep(MS * sim::rng().below(3000) as u32).await;
            sim::repair(from, to);
            sim::release(from, to);
        }
        Ok(())
    });
    sim.run().unwrap_or_else(|failure| panic!("{failure}"))
}

#[test]
fn no_byte_is_lost_and_no_task_waits_forever() {
    for seed in 0..SEEDS {
        let report = run(seed);
        assert!(report.elapsed < Duration::from_secs(3600), "seed {seed}");
        if seed % 20 == 0 {
            assert_eq!(run(seed).hash, report.hash, "seed {seed}");
        }
    }
}
