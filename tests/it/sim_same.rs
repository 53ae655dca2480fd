//! The same seed leads to the same run: in other processes, on other threads, and beside other simulations.

use crate::sim_hosts::{echo_server, round_trip};
use crate::sim_toy::lost_writes;
use glassfrog::net::TcpStream;
use glassfrog::sim::{Report, Sim};
use std::collections::HashMap;
use std::thread;

/// The hashes of some runs of the toy.
fn hashes() -> Vec<String> {
    let runs = (0..5).map(lost_writes);
    runs.map(|(report, lost)| {
        format!(
            "{:x} {} {} {lost:?}",
            report.hash, report.events, report.polls
        )
    })
    .collect()
}

#[test]
fn another_process_makes_the_same_runs() {
    let text = format!("HASHES {:?}", hashes());
    match std::env::var_os("SIM_HASHES") {
        Some(_) => println!("{text}"),
        None => {
            let output = std::process::Command::new(std::env::current_exe().unwrap())
                .args([
                    "--exact",
                    "sim_same::another_process_makes_the_same_runs",
                    "--nocapture",
                ])
                .env("SIM_HASHES", "1")
                .output()
                .unwrap();
            let output = String::from_utf8(output.stdout).unwrap();
            assert!(output.contains(&text), "{output}\nagainst\n{text}");
        }
    }
}

#[test]
fn simulations_on_several_threads_at_once_do_not_meet() {
    let alone = hashes();
    let threads: Vec<_> = (0..4).map(|_| thread::spawn(hashes)).collect();
    for thread in threads {
        assert_eq!(thread.join().unwrap(), alone);
    }
}

#[test]
fn two_simulations_on_one_thread_do_not_meet() {
    let build = |seed| {
        let mut sim = Sim::new(seed);
        sim.host("server", echo_server);
        sim.client("client", async {
            let mut stream = TcpStream::connect("server:7").await?;
            round_trip(&mut stream, &[7; 10_000]).await?;
            Ok(())
        });
        sim
    };
    let mut alone = build(1);
    while alone.step().unwrap() {}
    let (mut one, mut other) = (build(1), build(2));
    while one.step().unwrap() | other.step().unwrap() {}
    assert_eq!(one.run().unwrap(), alone.run().unwrap());
}

#[test]
fn the_hash_tells_runs_apart_that_differ() {
    let run = || -> Report {
        let mut sim = Sim::new(9);
        sim.host("server", echo_server);
        sim.client("client", async {
            let names: HashMap<u32, &[u8]> =
                [(1, &b"one"[..]), (2, b"two"), (3, b"three"), (4, b"four")].into();
            let mut stream = TcpStream::connect("server:7").await?;
            for text in names.values() {
                round_trip(&mut stream, text).await?;
            }
            Ok(())
        });
        sim.run().unwrap()
    };
    let first = run();
    assert!(
        (0..50).any(|_| run().hash != first.hash),
        "the keys of a `HashMap` are random"
    );
}
