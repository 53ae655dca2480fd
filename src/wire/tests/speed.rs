//! How long the wire takes for a thousand small simulations: run with `--release -- --ignored --nocapture`.

use super::harness::{MS, Net};
use crate::wire::{Link, Stream, Tcp};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Runs a simulation of three hosts: a client asks the server for 300 messages, each of which the server passes on to a
/// third host before it answers. Returns the number of entries in the journal.
fn toy(seed: u64) -> u64 {
    let mut net = Net::with_seed(seed, Tcp::default());
    let third = net.wire.add_host("third");
    net.wire.set_link(Link::latency(MS..=10 * MS).loss(0.01));
    let backup = net
        .host(third)
        .listen(SocketAddr::from(([0, 0, 0, 0], 1)))
        .unwrap();
    let (client, server) = net.pair_after(Duration::from_secs(10));
    let there = net.host(1).connect("10.0.0.3:1".parse().unwrap()).unwrap();
    there.register(net.token());
    net.run_for(Duration::from_secs(10));
    let (last, _) = backup.accept().unwrap();
    last.register(net.token());
    let mut buf = [0; 64];
    let mut pass = |net: &mut Net, from: &Stream, to: &Stream| {
        let mut sent = 0;
        while sent < 16 {
            sent += from.write(&[1; 16][sent..]).unwrap();
        }
        let mut count = 0;
        while count < 16 {
            match to.read(&mut buf) {
                Ok(read) => count += read,
                Err(_) => assert!(net.step()),
            }
            net.ready.clear();
        }
    };
    for _ in 0..300 {
        pass(&mut net, &client, &server);
        pass(&mut net, &there, &last);
        pass(&mut net, &last, &there);
        pass(&mut net, &server, &client);
    }
    net.wire.hash_and_count().1
}

#[test]
#[ignore = "it measures, and states no law"]
fn a_thousand_small_simulations() {
    let start = Instant::now();
    let entries: u64 = (0..1000).map(toy).sum();
    let elapsed = start.elapsed();
    println!(
        "{entries} entries in {elapsed:?}: {:.0} a second",
        entries as f64 / elapsed.as_secs_f64()
    );
}
