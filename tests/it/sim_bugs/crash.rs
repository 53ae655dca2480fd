//! A lost update: the primary acknowledges an update before the backup has it, and crashes.

use super::{MS, Version, assert_is_found_and_mended, random_ms, simulation};
use futures::{AsyncReadExt, AsyncWriteExt};
use glassfrog::net::{TcpListener, TcpStream};
use glassfrog::sim::{self, Failure, Report};
use glassfrog::spawn;
use glassfrog::time::{sleep, timeout};
use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

/// How often the buggy primary copies its count to the backup.
const COPY_EVERY: Duration = Duration::from_millis(50);

/// How long the client waits for an acknowledgement.
const PATIENCE: Duration = Duration::from_secs(5);

/// Sends a count to the backup, and waits until the backup has it.
async fn copy(backup: &mut TcpStream, count: u32) -> io::Result<()> {
    backup.write_all(&count.to_be_bytes()).await?;
    backup.read_exact(&mut [0]).await
}

/// Counts the updates of its clients, and copies the count to the backup.
async fn primary(version: Version) -> sim::Result {
    let listener = TcpListener::bind("0.0.0.0:1").await?;
    let mut backup = TcpStream::connect("backup:2").await?;
    let (mut client, _) = listener.accept().await?;
    let count = Rc::new(Cell::new(0));
    let mut update = [0];
    match version {
        Version::Buggy => {
            let copied = Rc::clone(&count);
            drop(spawn(async move {
                loop {
                    sleep(COPY_EVERY).await;
                    copy(&mut backup, copied.get()).await?;
                }
                #[expect(unreachable_code, reason = "gives the block its type")]
                io::Result::Ok(())
            }));
            while client.read_exact(&mut update).await.is_ok() {
                count.set(count.get() + 1);
                client.write_all(b"k").await?;
            }
        }
        Version::Mended => {
            while client.read_exact(&mut update).await.is_ok() {
                count.set(count.get() + 1);
                copy(&mut backup, count.get()).await?;
                client.write_all(b"k").await?;
            }
        }
    }
    Ok(())
}

/// Keeps the count of the primary, on port 2, and tells it to whoever connects to port 3.
async fn backup() -> sim::Result {
    let from_primary = TcpListener::bind("0.0.0.0:2").await?;
    let readers = TcpListener::bind("0.0.0.0:3").await?;
    let count = Rc::new(Cell::new(0_u32));
    let copied = Rc::clone(&count);
    drop(spawn(async move {
        let (mut primary, _) = from_primary.accept().await?;
        let mut copy = [0; 4];
        while primary.read_exact(&mut copy).await.is_ok() {
            copied.set(u32::from_be_bytes(copy));
            primary.write_all(b"k").await?;
        }
        io::Result::Ok(())
    }));
    loop {
        let (mut reader, _) = readers.accept().await?;
        reader.write_all(&count.get().to_be_bytes()).await?;
    }
}

/// Sends twenty updates, or fewer if the primary fails. Then asks the backup whether it has all that were
/// acknowledged.
async fn client() -> sim::Result {
    let mut stream = TcpStream::connect("primary:1").await?;
    let mut acknowledged = 0;
    for _ in 0..20 {
        let update = async {
            stream.write_all(b"+").await?;
            stream.read_exact(&mut [0]).await
        };
        if !matches!(timeout(PATIENCE, update).await, Ok(Ok(()))) {
            break;
        }
        acknowledged += 1;
        sleep(random_ms(50)).await;
    }
    sleep(Duration::from_secs(1)).await;
    let mut backup = TcpStream::connect("backup:3").await?;
    let mut count = [0; 4];
    backup.read_exact(&mut count).await?;
    let count = u32::from_be_bytes(count);
    if count < acknowledged {
        return Err(
            format!("{acknowledged} updates are acknowledged, and {count} are left").into(),
        );
    }
    Ok(())
}

/// Runs the program under a crash.
pub(crate) fn run(seed: u64, version: Version) -> Result<Report, Failure> {
    let mut sim = simulation(seed);
    sim.host("backup", backup);
    sim.host("primary", move || primary(version));
    sim.client("client", async {
        sleep(10 * MS).await;
        client().await
    });
    sim.client("chaos", async {
        sleep(100 * MS + random_ms(1000)).await;
        sim::crash("primary");
        Ok(())
    });
    sim.run()
}

#[test]
fn an_update_that_is_acknowledged_before_it_is_copied_is_lost_at_a_crash() {
    let failure = assert_is_found_and_mended(run);
    assert!(failure.to_string().contains("are acknowledged, and"));
}
