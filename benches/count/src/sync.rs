//! The costs of the feature `sync` beside those of the crates that it stands on.
//!
//! A subject is one side of an operation, glassfrog's or that of the crate below. Both run in a task of glassfrog, so
//! glassfrog has a task to note as the holder. The limits are relative to the crate, which is measured in the same run,
//! so there is no baseline.

use std::fmt;
use std::hint::black_box;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use glassfrog::{spawn, sync};

use crate::measure::{Subject, per_operation};
use crate::table::Table;

/// The capacity of the channels.
const CAPACITY: usize = 10;
/// The number of permits of the semaphore.
const PERMITS: usize = 3;
/// The lengths of the two runs whose difference counts. The counts hardly vary, so one run of each is enough.
const LENGTHS: (u64, u64) = (2_000, 22_000);
/// How many more allocations per operation than the crate are none: a table may grow between the two lengths.
const FEW_ALLOCATIONS: f64 = 0.01;
/// The side of the crate below, in arguments.
const CRATE: &str = "crate";
/// The side of glassfrog, in arguments.
const GLASSFROG: &str = "glassfrog";

/// An operation of `sync` that a crate has too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    /// Lock a free mutex and unlock it.
    Lock,
    /// Lock a free `RwLock` for reading and unlock it.
    Read,
    /// Acquire a free permit and return it.
    Permit,
    /// Send a value and receive it in the same task.
    Send,
    /// Send a value to another task, and receive it back. Each receive waits.
    SendWaiting,
    /// Send a value on an unbounded channel and receive it in the same task.
    Unbounded,
    /// Broadcast a value and receive it in the same task.
    Broadcast,
    /// Broadcast a value to another task, and receive it back. Each receive waits.
    BroadcastWaiting,
}

/// How much more than the crate an operation may cost.
#[derive(Clone, Copy, Debug)]
enum Limit {
    /// A number of instructions.
    Instructions(f64),
    /// A share of the cost of the crate.
    Share(f64),
}

impl Limit {
    /// Returns the largest permitted cost.
    fn above(self, cost: f64) -> f64 {
        match self {
            Limit::Instructions(more) => cost + more,
            Limit::Share(more) => cost * (1.0 + more),
        }
    }
}

impl Operation {
    /// All operations, in the order of the table.
    const ALL: [Operation; 8] = [
        Operation::Lock,
        Operation::Read,
        Operation::Permit,
        Operation::Send,
        Operation::SendWaiting,
        Operation::Unbounded,
        Operation::Broadcast,
        Operation::BroadcastWaiting,
    ];

    /// Returns the name of the operation in tables and arguments.
    fn name(self) -> &'static str {
        match self {
            Operation::Lock => "lock",
            Operation::Read => "read",
            Operation::Permit => "permit",
            Operation::Send => "send_recv",
            Operation::SendWaiting => "send_recv_waiting",
            Operation::Unbounded => "unbounded",
            Operation::Broadcast => "broadcast",
            Operation::BroadcastWaiting => "broadcast_waiting",
        }
    }

    /// Returns how much more than the crate the operation may cost.
    fn limit(self) -> Limit {
        match self {
            // The place, the task and the time of a lock are a few stores, whatever the lock itself costs.
            Operation::Lock => Limit::Instructions(45.0),
            Operation::Read | Operation::Permit => Limit::Share(0.25),
            Operation::Send | Operation::SendWaiting | Operation::Unbounded => Limit::Share(0.15),
            // The crate clones and drops values under its lock. `sync` has references in the queue instead, and a
            // second lock for them.
            Operation::Broadcast => Limit::Share(0.60),
            Operation::BroadcastWaiting => Limit::Share(0.30),
        }
    }

    /// Runs the operation `n` times, with glassfrog or with the crate below.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no such side.
    fn run(self, side: &str, n: u64) -> Result<(), String> {
        let ours = match side {
            GLASSFROG => true,
            CRATE => false,
            _ => return Err(format!("no side is named `{side}`")),
        };
        // A task of its own, because the root future has no place where it was spawned.
        let run = async { spawn(run(self, ours, n)).await };
        glassfrog::block_on(run).map_err(|error| error.to_string())
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Executes the hidden subcommand `run` for an operation. Returns whether `arguments` name one.
///
/// # Errors
///
/// Returns an error if the arguments are wrong or the run fails.
pub fn hidden_subcommand(arguments: &[String]) -> Result<bool, String> {
    let [subcommand, side, operation, n, _server] = arguments else {
        return Ok(false);
    };
    let Some(operation) = Operation::ALL
        .into_iter()
        .find(|known| known.name() == operation)
    else {
        return Ok(false);
    };
    if subcommand != "run" {
        return Ok(false);
    }
    let n = n.parse().map_err(|_| format!("`{n}` is not a number"))?;
    operation.run(side, n)?;
    Ok(true)
}

/// Measures all operations on both sides, in instructions and allocations. Returns the table, and whether all costs are
/// within their limits.
///
/// # Errors
///
/// Returns an error if a run fails.
pub fn measure(binary: &Path) -> io::Result<(Table, bool)> {
    let mut table = Table::new([
        "operation",
        "crate",
        "glassfrog",
        "limit",
        "more",
        "more-allocations",
        "verdict",
    ]);
    let mut all_fit = true;
    for operation in Operation::ALL {
        let side = |runtime| {
            // No operation connects to the server.
            let server = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
            let subject = Subject {
                runtime,
                server,
                binary,
            };
            let (short, long) = LENGTHS;
            let short = subject.profile(operation.name(), short)?;
            let long = subject.profile(operation.name(), long)?;
            io::Result::Ok((
                per_operation(LENGTHS, short.instructions, long.instructions),
                per_operation(LENGTHS, short.allocations, long.allocations),
            ))
        };
        let (theirs, allocations_of_crate) = side(CRATE)?;
        let (ours, allocations) = side(GLASSFROG)?;
        // The crates allocate too: a block of an unbounded queue, a listener that waits.
        let allocations = allocations - allocations_of_crate;
        let limit = operation.limit().above(theirs);
        let fits = ours <= limit && allocations <= FEW_ALLOCATIONS;
        all_fit &= fits;
        table.push(vec![
            operation.to_string(),
            format!("{theirs:.0}"),
            format!("{ours:.0}"),
            format!("{limit:.0}"),
            format!("{:+.0}%", (ours / theirs - 1.0) * 100.0),
            format!("{allocations:.2}"),
            if fits { "ok" } else { "EXCEEDED" }.into(),
        ]);
    }
    Ok((table, all_fit))
}

/// Runs one side of an operation.
async fn run(operation: Operation, ours: bool, n: u64) {
    match (operation, ours) {
        (Operation::Lock, true) => {
            let lock = sync::Mutex::new(0);
            for i in 0..n {
                *black_box(&lock).lock().await += i;
            }
        }
        (Operation::Lock, false) => {
            let lock = async_lock::Mutex::new(0);
            for i in 0..n {
                *black_box(&lock).lock().await += i;
            }
        }
        (Operation::Read, true) => {
            let lock = sync::RwLock::new(7);
            for _ in 0..n {
                black_box(*black_box(&lock).read().await);
            }
        }
        (Operation::Read, false) => {
            let lock = async_lock::RwLock::new(7);
            for _ in 0..n {
                black_box(*black_box(&lock).read().await);
            }
        }
        (Operation::Permit, true) => {
            let semaphore = sync::Semaphore::new(PERMITS);
            for _ in 0..n {
                let permit = black_box(&semaphore).acquire().await;
                drop(black_box(permit.expect("the semaphore is open")));
            }
        }
        (Operation::Permit, false) => {
            let semaphore = async_lock::Semaphore::new(PERMITS);
            for _ in 0..n {
                drop(black_box(black_box(&semaphore).acquire().await));
            }
        }
        (Operation::Send, true) => {
            let (sender, mut receiver) = sync::mpsc::channel(CAPACITY);
            for i in 0..n {
                sender.send(i).await.expect(OPEN);
                assert_eq!(receiver.recv().await, Some(i));
            }
        }
        (Operation::Send, false) => {
            let (sender, receiver) = async_channel::bounded(CAPACITY);
            for i in 0..n {
                sender.send(i).await.expect(OPEN);
                assert_eq!(receiver.recv().await, Ok(i));
            }
        }
        (Operation::SendWaiting, true) => {
            let (ping, mut pings) = sync::mpsc::channel(CAPACITY);
            let (pong, mut pongs) = sync::mpsc::channel(CAPACITY);
            let ponger = spawn(async move {
                while let Some(i) = pings.recv().await {
                    pong.send(i).await.expect(OPEN);
                }
            });
            for i in 0..n {
                ping.send(i).await.expect(OPEN);
                assert_eq!(pongs.recv().await, Some(i));
            }
            drop(ping);
            ponger.await.expect(NO_PANIC);
        }
        (Operation::SendWaiting, false) => {
            let (ping, pings) = async_channel::bounded(CAPACITY);
            let (pong, pongs) = async_channel::bounded(CAPACITY);
            let ponger = spawn(async move {
                while let Ok(i) = pings.recv().await {
                    pong.send(i).await.expect(OPEN);
                }
            });
            for i in 0..n {
                ping.send(i).await.expect(OPEN);
                assert_eq!(pongs.recv().await, Ok(i));
            }
            drop(ping);
            ponger.await.expect(NO_PANIC);
        }
        (Operation::Unbounded, true) => {
            let (sender, mut receiver) = sync::mpsc::unbounded_channel();
            for i in 0..n {
                sender.send(i).expect(OPEN);
                assert_eq!(receiver.recv().await, Some(i));
            }
        }
        (Operation::Unbounded, false) => {
            let (sender, receiver) = async_channel::unbounded();
            for i in 0..n {
                sender.try_send(i).expect(OPEN);
                assert_eq!(receiver.recv().await, Ok(i));
            }
        }
        (Operation::Broadcast, true) => {
            let (sender, mut receiver) = sync::broadcast::channel(CAPACITY);
            for i in 0..n {
                sender.send(i).expect(OPEN);
                assert_eq!(receiver.recv().await, Ok(i));
            }
        }
        (Operation::Broadcast, false) => {
            let (mut sender, mut receiver) = async_broadcast::broadcast(CAPACITY);
            sender.set_overflow(true);
            for i in 0..n {
                sender.try_broadcast(i).expect(OPEN);
                assert_eq!(receiver.recv_direct().await, Ok(i));
            }
        }
        (Operation::BroadcastWaiting, true) => {
            let (ping, mut pings) = sync::broadcast::channel(CAPACITY);
            let (pong, mut pongs) = sync::broadcast::channel(CAPACITY);
            let ponger = spawn(async move {
                while let Ok(i) = pings.recv().await {
                    pong.send(i).expect(OPEN);
                }
            });
            for i in 0..n {
                ping.send(i).expect(OPEN);
                assert_eq!(pongs.recv().await, Ok(i));
            }
            drop(ping);
            ponger.await.expect(NO_PANIC);
        }
        (Operation::BroadcastWaiting, false) => {
            let (mut ping, mut pings) = async_broadcast::broadcast(CAPACITY);
            let (mut pong, mut pongs) = async_broadcast::broadcast(CAPACITY);
            ping.set_overflow(true);
            pong.set_overflow(true);
            let ponger = spawn(async move {
                while let Ok(i) = pings.recv_direct().await {
                    pong.try_broadcast(i).expect(OPEN);
                }
            });
            for i in 0..n {
                ping.try_broadcast(i).expect(OPEN);
                assert_eq!(pongs.recv_direct().await, Ok(i));
            }
            drop(ping);
            ponger.await.expect(NO_PANIC);
        }
    }
}

/// Why a send succeeds.
const OPEN: &str = "the channel has a receiver";
/// Why a join succeeds.
const NO_PANIC: &str = "the task does not panic";
