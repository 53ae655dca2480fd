//! A replicated log that loses entries now and then, and the search that finds out when.
//!
//! ```text
//! cargo run --release --example replicated_log
//! ```
//!
//! A primary appends the entries of a client to its log. It copies each entry to a backup before it acknowledges the
//! entry, so that no acknowledged entry is lost if the primary crashes. Its authors did not want a slow backup to stop
//! all clients: after 100 ms, the primary acknowledges the entry without the copy. That is the bug.
//!
//! The first part of this file is the program. It uses TCP and `time` as any other program does, and knows nothing of
//! the simulation. The second part is the test: a simulation of three hosts with a network between them, in which a cut
//! and a crash happen at random times that the seed determines. The third part runs the test under many seeds:
//!
//! - over real sockets, on loopback, the program seems to work
//! - `sim::search` finds a seed under which an acknowledged entry is lost, and prints what happened on the network
//! - the mended primary loses no entry under any of 1,000 seeds
//!
//! In a project, `no_acknowledged_entry_is_lost` would be a `#[glassfrog::test(sim, iterations = 1000)]`, and the feature
//! `sim` would be a feature of a dev-dependency. The guide has a page about it: "Testing a distributed program".

use std::cell::RefCell;
use std::error::Error;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use glassfrog::net::{TcpListener, TcpStream};
use glassfrog::prelude::*;
use glassfrog::sim::{self, Failure, Link, Report, Sim};
use glassfrog::spawn;
use glassfrog::time::{sleep, timeout};

// The program.

/// How long the primary waits for the copy of an entry.
const COPY_TIMEOUT: Duration = Duration::from_millis(100);

/// How long the client waits for an acknowledgement.
const APPEND_TIMEOUT: Duration = Duration::from_secs(5);

/// The response of the primary and of the backup to an entry that they have.
const OK: u8 = b'k';

/// The response of the mended primary to an entry that it could not copy.
const FAILED: u8 = b'f';

/// What the primary does if the backup does not confirm a copy in time.
#[derive(Clone, Copy)]
enum WithoutCopy {
    /// It acknowledges the entry all the same.
    Acknowledge,
    /// It tells the client that the entry may be lost, and stops.
    Fail,
}

/// Serves a client: copies each entry that it sends to the backup, and acknowledges it.
async fn primary(listener: TcpListener, backup: &str, without_copy: WithoutCopy) -> io::Result<()> {
    let mut backup = TcpStream::connect(backup).await?;
    let (mut client, _) = listener.accept().await?;
    let mut entry = [0];
    while client.read_exact(&mut entry).await.is_ok() {
        let copy = async {
            backup.write_all(&entry).await?;
            backup.read_exact(&mut [0]).await
        };
        let is_copied = matches!(timeout(COPY_TIMEOUT, copy).await, Ok(Ok(())));
        match without_copy {
            WithoutCopy::Fail if !is_copied => return client.write_all(&[FAILED]).await,
            _ => client.write_all(&[OK]).await?,
        }
    }
    Ok(())
}

/// Keeps the entries of the primary, and sends them to each reader.
async fn backup(from_primary: TcpListener, readers: TcpListener) -> io::Result<()> {
    let log = Rc::new(RefCell::new(Vec::new()));
    let entries = Rc::clone(&log);
    drop(spawn(async move {
        let (mut primary, _) = from_primary.accept().await?;
        let mut entry = [0];
        while primary.read_exact(&mut entry).await.is_ok() {
            entries.borrow_mut().push(entry[0]);
            primary.write_all(&[OK]).await?;
        }
        io::Result::Ok(())
    }));
    loop {
        let (mut reader, _) = readers.accept().await?;
        let log = log.borrow().clone();
        reader.write_all(&log).await?;
    }
}

/// Appends up to twenty entries. Returns those that the primary acknowledged.
async fn append(primary: &str) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(primary).await?;
    let mut acknowledged = Vec::new();
    for entry in 0..20 {
        let mut response = [0];
        let append = async {
            stream.write_all(&[entry]).await?;
            stream.read_exact(&mut response).await
        };
        let is_answered = matches!(timeout(APPEND_TIMEOUT, append).await, Ok(Ok(())));
        if !is_answered || response != [OK] {
            break;
        }
        acknowledged.push(entry);
        sleep(Duration::from_millis(5)).await;
    }
    Ok(acknowledged)
}

/// Reads the log of the backup.
async fn read_log(backup: &str) -> io::Result<Vec<u8>> {
    let mut log = Vec::new();
    TcpStream::connect(backup)
        .await?
        .read_to_end(&mut log)
        .await?;
    Ok(log)
}

/// Returns the acknowledged entries that are not in the log.
fn lost(acknowledged: &[u8], log: &[u8]) -> Vec<u8> {
    let is_lost = |entry: &u8| !log.contains(entry);
    acknowledged.iter().copied().filter(is_lost).collect()
}

// The test.

/// The seeds that the search tries.
const SEEDS: u64 = 1000;

/// Runs the program on three hosts, between which the network is cut for a while. Sometimes the primary crashes during
/// the cut. Fails if an acknowledged entry is lost.
fn no_acknowledged_entry_is_lost(
    sim: &mut Sim,
    without_copy: WithoutCopy,
) -> Result<Report, Failure> {
    sim.link(Link::latency(
        Duration::from_millis(1)..=Duration::from_millis(10),
    ));
    sim.host("backup", || async {
        let from_primary = TcpListener::bind("0.0.0.0:1").await?;
        let readers = TcpListener::bind("0.0.0.0:2").await?;
        Ok(backup(from_primary, readers).await?)
    });
    sim.host("primary", move || async move {
        let listener = TcpListener::bind("0.0.0.0:80").await?;
        Ok(primary(listener, "backup:1", without_copy).await?)
    });
    sim.client("client", async {
        let acknowledged = append("primary:80").await?;
        // If the primary runs, it has time to send again what was lost during the cut.
        sleep(Duration::from_secs(10)).await;
        let log = read_log("backup:2").await?;
        match &lost(&acknowledged, &log)[..] {
            [] => Ok(()),
            lost => Err(
                format!("entries {lost:?} are acknowledged but lost: the log is {log:?}").into(),
            ),
        }
    });
    sim.client("chaos", async {
        let ms = |least, most| {
            let ms = Duration::from_millis;
            sim::rng().range(ms(least)..ms(most))
        };
        sleep(ms(0, 1000)).await;
        sim::partition("primary", "backup");
        sleep(ms(0, 500)).await;
        if sim::rng().chance(0.25) {
            sim::crash("primary");
        }
        sleep(ms(0, 1000)).await;
        sim::repair("primary", "backup");
        Ok(())
    });
    sim.run()
}

// The story.

fn main() -> Result<(), Box<dyn Error>> {
    over_loopback()?;
    let (seed, _) = search(WithoutCopy::Acknowledge).ok_or("the search did not find the bug")?;
    // Once more, with a longer record of the network.
    let mut sim = Sim::builder().seed(seed).record(1000).build();
    let again = no_acknowledged_entry_is_lost(&mut sim, WithoutCopy::Acknowledge);
    explain(&again.expect_err("the seed shows the bug again"));
    match search(WithoutCopy::Fail) {
        None => Ok(()),
        Some((_, failure)) => Err(failure.to_string().into()),
    }
}

/// Runs the program over real sockets.
fn over_loopback() -> io::Result<()> {
    glassfrog::block_on(async {
        let bind = || TcpListener::bind("127.0.0.1:0");
        let (from_primary, readers, clients) = (bind().await?, bind().await?, bind().await?);
        let [primary_addr, backup_addr, log_addr] = [
            clients.local_addr()?,
            from_primary.local_addr()?,
            readers.local_addr()?,
        ]
        .map(|addr| addr.to_string());
        let backup = spawn(backup(from_primary, readers));
        drop(spawn(async move {
            primary(clients, &backup_addr, WithoutCopy::Acknowledge).await
        }));
        let acknowledged = append(&primary_addr).await?;
        let log = read_log(&log_addr).await?;
        backup.abort();
        assert_eq!(lost(&acknowledged, &log), []);
        println!(
            "Over loopback, {} entries are acknowledged, and the backup has all of them.",
            acknowledged.len()
        );
        Ok(())
    })
}

/// Searches for a seed under which the program loses an entry, and says how long this takes.
fn search(without_copy: WithoutCopy) -> Option<(u64, Failure)> {
    let begin = Instant::now();
    let mut simulated = Duration::ZERO;
    let found = sim::search(0..SEEDS, |sim| {
        let report = no_acknowledged_entry_is_lost(sim, without_copy)?;
        simulated += report.elapsed;
        Ok(report)
    });
    let took = begin.elapsed();
    match &found {
        Some((seed, _)) => println!(
            "Simulated, the program loses an entry under seed {seed}, after {} ms.",
            took.as_millis()
        ),
        None => println!(
            "The mended program loses no entry under {SEEDS} seeds. They took {} ms for {} min of simulated time: {:.0} \
             seeds a second.",
            took.as_millis(),
            simulated.as_secs() / 60,
            SEEDS as f64 / took.as_secs_f64(),
        ),
    }
    found
}

/// Says what was lost, and shows what the network did meanwhile.
fn explain(failure: &Failure) {
    println!(
        "The {} {}.",
        failure.host().unwrap_or("test"),
        failure.cause()
    );
    println!("The network, from the cut to the crash, without acknowledgements of TCP:\n");
    let lines: Vec<&str> = failure.journal().collect();
    let place = |event| lines.iter().position(|line| line.contains(event));
    let begin = place("is cut").unwrap_or(0);
    let end = place("loses its power").map_or(lines.len(), |place| place + 1);
    for line in &lines[begin..end] {
        if !line.contains(" ack #") {
            println!("    {line}");
        }
    }
    println!(
        "\nEach copy from the primary to the backup is lost. {} ms later, the primary acknowledges the entry to the client \
         all the same. It crashes before the network is repaired, so TCP never sends the copies again.\n\
         `Sim::new({})` gives the same run again, in any process.\n",
        COPY_TIMEOUT.as_millis(),
        failure.seed(),
    );
}
