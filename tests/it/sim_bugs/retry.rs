//! A retry that is not idempotent: the reply to a deposit is lost, the client repeats it, and the server books it twice.

use super::{MS, Version, assert_is_found_and_mended, random_ms, simulation};
use futures::{AsyncReadExt, AsyncWriteExt};
use glassfrog::net::{TcpListener, TcpStream};
use glassfrog::sim::{self, Failure, Report};
use glassfrog::spawn;
use glassfrog::time::{sleep, timeout};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io;
use std::rc::Rc;
use std::time::Duration;

/// How long an attempt may take.
const ATTEMPT: Duration = Duration::from_secs(1);

/// The number of attempts for one deposit.
const ATTEMPTS: usize = 20;

/// An account.
#[derive(Debug, Default)]
struct Account {
    /// The sum of all deposits.
    balance: u32,
    /// The numbers of the deposits that have been booked.
    booked: BTreeSet<u32>,
}

impl Account {
    /// Books a deposit. Returns the balance.
    fn book(&mut self, number: u32, amount: u32, version: Version) -> u32 {
        let is_new = self.booked.insert(number);
        if is_new || version == Version::Buggy {
            self.balance += amount;
        }
        self.balance
    }
}

/// Serves an account: a request is the number of the deposit and its amount, the response is the balance.
async fn server(version: Version) -> sim::Result {
    let listener = TcpListener::bind("0.0.0.0:80").await?;
    let account = Rc::new(RefCell::new(Account::default()));
    loop {
        let (mut stream, _) = listener.accept().await?;
        let account = Rc::clone(&account);
        drop(spawn(async move {
            let mut request = [0; 8];
            while stream.read_exact(&mut request).await.is_ok() {
                let [number, amount] = [&request[..4], &request[4..]]
                    .map(|bytes| u32::from_be_bytes(bytes.try_into().unwrap()));
                let balance = account.borrow_mut().book(number, amount, version);
                stream.write_all(&balance.to_be_bytes()).await?;
            }
            io::Result::Ok(())
        }));
    }
}

/// A client of the account.
#[derive(Default)]
struct Client {
    /// The connection, unless it has failed.
    stream: Option<TcpStream>,
}

impl Client {
    /// Sends a deposit once. Returns the balance.
    async fn attempt(&mut self, number: u32, amount: u32) -> io::Result<u32> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => none.insert(TcpStream::connect("server:80").await?),
        };
        let mut request = [0; 8];
        request[..4].copy_from_slice(&number.to_be_bytes());
        request[4..].copy_from_slice(&amount.to_be_bytes());
        stream.write_all(&request).await?;
        let mut balance = [0; 4];
        stream.read_exact(&mut balance).await?;
        Ok(u32::from_be_bytes(balance))
    }

    /// Sends a deposit until the server responds. Returns the balance.
    async fn deposit(&mut self, number: u32, amount: u32) -> io::Result<u32> {
        for _ in 0..ATTEMPTS {
            match timeout(ATTEMPT, self.attempt(number, amount)).await {
                Ok(Ok(balance)) => return Ok(balance),
                Ok(Err(_)) | Err(_) => self.stream = None,
            }
            sleep(10 * MS).await;
        }
        Err(io::ErrorKind::TimedOut.into())
    }
}

/// Deposits twenty times, and checks the balance after each time.
async fn client() -> sim::Result {
    let mut client = Client::default();
    let mut sum = 0;
    for number in 0..20 {
        let amount = 10 + number;
        sum += amount;
        let balance = client.deposit(number, amount).await?;
        if balance != sum {
            return Err(format!("the balance is {balance}, but {sum} were paid in").into());
        }
        sleep(random_ms(50)).await;
    }
    Ok(())
}

/// Runs the program while its connections are reset.
pub(crate) fn run(seed: u64, version: Version) -> Result<Report, Failure> {
    let mut sim = simulation(seed);
    sim.host("server", move || server(version));
    sim.client("client", client());
    sim.client("chaos", async {
        for _ in 0..3 {
            sleep(random_ms(300)).await;
            sim::reset("client", "server");
        }
        Ok(())
    });
    sim.run()
}

#[test]
fn a_request_that_is_repeated_after_a_lost_reply_is_done_twice() {
    let failure = assert_is_found_and_mended(run);
    assert!(failure.to_string().contains("were paid in"));
}
