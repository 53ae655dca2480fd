//! A toy: a primary that copies its log to a backup, and, which is the bug, says "ok" all the same if the backup does not
//! answer within a tenth of a second. The benchmarks of simulations run it too.

use glassfrog::net::{TcpListener, TcpStream};
use glassfrog::prelude::*;
use glassfrog::sim::{self, Report, Sim};
use glassfrog::time::{sleep, timeout};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

async fn primary() -> sim::Result {
    sleep(50 * MS).await;
    let listener = TcpListener::bind("0.0.0.0:1").await?;
    let mut backup = TcpStream::connect("backup:2").await?;
    let (mut client, _) = listener.accept().await?;
    let mut entry = [0];
    while client.read_exact(&mut entry).await.is_ok() {
        let copied = async {
            backup.write_all(&entry).await?;
            backup.read_exact(&mut [0]).await
        };
        let _lost_if_it_fails = timeout(100 * MS, copied).await;
        client.write_all(b"k").await?;
    }
    Ok(())
}

async fn backup(log: Rc<RefCell<Vec<u8>>>) -> sim::Result {
    let listener = TcpListener::bind("0.0.0.0:2").await?;
    let (mut primary, _) = listener.accept().await?;
    let mut entry = [0];
    while primary.read_exact(&mut entry).await.is_ok() {
        log.borrow_mut().push(entry[0]);
        if primary.write_all(b"k").await.is_err() {
            break;
        }
    }
    Ok(())
}

/// Runs the toy. Returns the report, and the entries that were acknowledged and lost.
pub(crate) fn lost_writes(seed: u64) -> (Report, Vec<u8>) {
    let log = Rc::new(RefCell::new(Vec::new()));
    let acknowledged = Rc::new(RefCell::new(Vec::new()));
    let mut sim = Sim::new(seed);
    sim.time_limit(Duration::from_secs(600));
    let ours = Rc::clone(&log);
    sim.host("backup", move || backup(Rc::clone(&ours)));
    sim.host("primary", primary);
    let told = Rc::clone(&acknowledged);
    sim.client("client", async move {
        sleep(60 * MS).await;
        // The primary may be gone.
        let Ok(mut stream) = TcpStream::connect("primary:1").await else {
            return Ok(());
        };
        for entry in 0..20 {
            let write = async {
                stream.write_all(&[entry]).await?;
                stream.read_exact(&mut [0]).await
            };
            if !matches!(timeout(Duration::from_secs(5), write).await, Ok(Ok(_))) {
                break;
            }
            told.borrow_mut().push(entry);
            sleep(MS * sim::rng().below(50) as u32).await;
        }
        Ok(())
    });
    sim.client("chaos", async {
        let rng = sim::rng();
        sleep(MS * rng.below(2000) as u32).await;
        sim::partition("primary", "backup");
        sleep(MS * rng.below(500) as u32).await;
        if rng.below(4) == 0 {
            sim::crash("primary");
        }
        sleep(MS * rng.below(1000) as u32).await;
        sim::repair("primary", "backup");
        sleep(Duration::from_secs(120)).await;
        Ok(())
    });
    let report = sim.run().unwrap_or_else(|failure| panic!("{failure}"));
    let (log, acknowledged) = (log.borrow(), acknowledged.borrow());
    let lost = acknowledged
        .iter()
        .copied()
        .filter(|entry| !log.contains(entry));
    (report, lost.collect())
}
