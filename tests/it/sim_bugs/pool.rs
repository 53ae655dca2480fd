//! A connection pool that, after a restart of the server, exchanges one dead connection for another.

use super::{MS, Version, assert_is_found_and_mended, random_ms, simulation};
use futures::future::join_all;
use futures::{AsyncReadExt, AsyncWriteExt};
use glassfrog::net::{TcpListener, TcpStream};
use glassfrog::sim::{self, Failure, Report};
use glassfrog::spawn;
use glassfrog::time::{now, sleep, timeout};
use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How long an attempt may take.
const ATTEMPT: Duration = Duration::from_millis(500);

/// Responds to each byte with its successor.
async fn server() -> sim::Result {
    let listener = TcpListener::bind("0.0.0.0:80").await?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        drop(spawn(async move {
            let mut byte = [0];
            while stream.read_exact(&mut byte).await.is_ok() {
                byte[0] += 1;
                stream.write_all(&byte).await?;
            }
            io::Result::Ok(())
        }));
    }
}

/// A pool of connections to the server.
struct Pool {
    /// The connections that no request uses.
    idle: RefCell<Vec<TcpStream>>,
    /// What the pool does when a connection from it fails.
    version: Version,
}

impl Pool {
    /// Sends a request over an idle connection, or over a new one if there is none. If this fails, tries once more.
    async fn request(&self, byte: u8) -> io::Result<u8> {
        match timeout(ATTEMPT, self.attempt(byte)).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(_)) | Err(_) => {
                if self.version == Version::Mended {
                    // If one has died, the others may have too.
                    self.idle.take();
                }
            }
        }
        timeout(ATTEMPT, self.attempt(byte)).await?
    }

    /// Sends a request once.
    async fn attempt(&self, byte: u8) -> io::Result<u8> {
        let idle = self.idle.borrow_mut().pop();
        let mut stream = match idle {
            Some(stream) => stream,
            None => TcpStream::connect("server:80").await?,
        };
        stream.write_all(&[byte]).await?;
        let mut answer = [0];
        stream.read_exact(&mut answer).await?;
        self.idle.borrow_mut().push(stream);
        Ok(answer[0])
    }
}

/// Sends up to three requests at once, again and again. They must succeed if they begin when the server is running.
async fn client(restarted: Rc<Cell<Option<Instant>>>, version: Version) -> sim::Result {
    let idle = RefCell::default();
    let pool = Pool { idle, version };
    for _ in 0..20 {
        let count = 1 + sim::rng().below(3) as u8;
        let begin = now();
        for outcome in join_all((0..count).map(|byte| pool.request(byte))).await {
            if let Err(error) = outcome
                && restarted.get().is_some_and(|restarted| restarted < begin)
            {
                return Err(format!("the server is running, but a request fails: {error}").into());
            }
        }
        sleep(random_ms(200)).await;
    }
    Ok(())
}

/// Runs the program while the server restarts.
pub(crate) fn run(seed: u64, version: Version) -> Result<Report, Failure> {
    let mut sim = simulation(seed);
    let restarted = Rc::new(Cell::new(None));
    let at = Rc::clone(&restarted);
    sim.host("server", server);
    sim.client("client", client(restarted, version));
    sim.client("chaos", async move {
        sleep(random_ms(1500)).await;
        sim::crash("server");
        sleep(5 * MS).await;
        sim::restart("server");
        // The command is executed after this poll, and the server listens before the next moment.
        sleep(MS).await;
        at.set(Some(now()));
        Ok(())
    });
    sim.run()
}

#[test]
fn a_pool_that_exchanges_one_dead_connection_for_another_fails_after_a_restart() {
    let failure = assert_is_found_and_mended(run);
    assert!(failure.to_string().contains("the server is running"));
}
