//! Many hosts: what they cost.

use crate::sim_hosts::{MS, echo_server, round_trip};
use glassfrog::net::TcpStream;
use glassfrog::sim::Sim;
use glassfrog::time::sleep;
use std::future::pending;
use std::time::Duration;

#[test]
fn three_hundred_hosts_talk() {
    let mut sim = Sim::new(1);
    sim.host("server", echo_server);
    for n in 0..300_u32 {
        sim.client(&format!("client{n}"), async move {
            sleep(MS * (n % 100)).await;
            let mut stream = TcpStream::connect("server:7").await?;
            for _ in 0..10 {
                round_trip(&mut stream, b"ping").await?;
                sleep(Duration::from_secs(1)).await;
            }
            Ok(())
        });
    }
    let start = std::time::Instant::now();
    let report = sim.run().unwrap();
    println!(
        "{:?}: {} events, {} polls",
        start.elapsed(),
        report.events,
        report.polls
    );
}

/// Returns the number of steps in which two hosts talk beside `idle` others, after the beginning.
fn visits(idle: u32) -> u64 {
    let mut sim = Sim::new(1);
    for n in 0..idle {
        sim.host(&format!("idle{n}"), pending);
    }
    sim.host("server", echo_server);
    sim.client("client", async {
        let mut stream = TcpStream::connect("server:7").await?;
        loop {
            round_trip(&mut stream, b"ping").await?;
            sleep(Duration::from_secs(1)).await;
        }
    });
    sim.run_for(Duration::from_millis(500)).unwrap();
    let before = sim.test_visits();
    sim.run_for(Duration::from_secs(100)).unwrap();
    sim.test_visits() - before
}

#[test]
fn nothing_visits_the_hosts_that_have_nothing_to_do() {
    let (few, many) = (visits(10), visits(1000));
    // The number of steps depends a little on the addresses, by way of the random numbers.
    assert!(few > 100 && many < few * 2, "{few} and {many} steps");
}
