//! The workloads of the counting gate on other runtimes, side by side in one run:
//! `cargo run --profile count -p glassfrog-peers -- instructions|syscalls|time|memory`.
//!
//! All run the same generic code (`glassfrog_count::workloads`) in one binary, each run a process
//! of its own, against the same server. Every runtime has one thread and its default settings:
//!
//! - *raw*: a state machine written by hand on mio, without futures; only where there are sockets;
//! - *tokio*: a `LocalRuntime` (the current-thread scheduler with `spawn_local`; spawning `Send`
//!   tasks on it counts the same within two per cent), I/O and time enabled;
//! - *smol*: a `LocalExecutor` under `smol::block_on`, sockets of `smol::net`;
//! - *monoio*: the legacy driver (epoll), timers enabled, built without io_uring;
//! - *glassfrog*: `glassfrog::block_on`.
//!
//! Instructions, syscalls and memory are costs per operation or idle thing, counted as
//! `glassfrog_count::measure` says. Time is a ratio to tokio: the runtimes take turns for several
//! rounds, and a cell shows the ratio of the least times, then that of the medians. Times of
//! different rows, or of different machines, say nothing about one another.

mod raw;
mod runtimes;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::{env, io};

use glassfrog_count::measure::{Quantity, Subject, hidden_subcommand};
use glassfrog_count::runtime::Glassfrog;
use glassfrog_count::server::Server;
use glassfrog_count::table::{NOTHING, Table};
use glassfrog_count::workloads::Workload;

use runtimes::{Monoio, Smol, Tokio};

/// The columns of every table.
const RUNTIMES: [&str; 5] = ["raw", "tokio", "smol", "monoio", "glassfrog"];

/// The column that times are compared with: tokio's.
const REFERENCE: usize = 1;

const USAGE: &str = "usage: glassfrog-peers instructions|syscalls|time|memory";

/// How often the runtimes take turns: odd, so that there is a median, and enough for the least of
/// them to be undisturbed.
const ROUNDS: usize = 9;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match main_or_error(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn main_or_error(arguments: &[String]) -> Result<(), String> {
    if hidden_subcommand(arguments, run)? {
        return Ok(());
    }
    let [word] = arguments else {
        return Err(USAGE.into());
    };
    let server = Server::start().map_err(|error| format!("the server: {error}"))?;
    let table = match word.as_str() {
        "instructions" => costs(&[Quantity::Instructions], server.address()),
        "syscalls" => costs(&[Quantity::Syscalls], server.address()),
        "memory" => costs(&[Quantity::Bytes, Quantity::WakeUps], server.address()),
        "time" => times(server.address()),
        _ => return Err(USAGE.into()),
    };
    print!("{}", table.map_err(|error| error.to_string())?);
    Ok(())
}

/// The body of the hidden subcommand: one run of one workload on one runtime.
fn run(runtime: &str, workload: Workload, n: u64, server: SocketAddr) -> Result<u64, String> {
    match runtime {
        "raw" => raw::run(workload, n, server).map_err(|error| error.to_string()),
        "tokio" => Ok(workload.run::<Tokio>(n, server)),
        "smol" => Ok(workload.run::<Smol>(n, server)),
        "monoio" => Ok(workload.run::<Monoio>(n, server)),
        "glassfrog" => Ok(workload.run::<Glassfrog>(n, server)),
        _ => Err(format!("no runtime is named `{runtime}`")),
    }
}

fn runs(runtime: &str, workload: Workload) -> bool {
    runtime != "raw" || raw::has(workload)
}

/// What an operation, or an idle thing, costs in `quantities`.
fn costs(quantities: &[Quantity], server: SocketAddr) -> io::Result<Table> {
    let mut table = empty_table();
    for workload in Workload::ALL {
        for &quantity in quantities {
            let mut row = vec![workload.to_string()];
            for runtime in RUNTIMES {
                let cost = match runs(runtime, workload) {
                    true => Subject { runtime, server }.measure(workload, quantity)?,
                    false => None,
                };
                row.push(cost.map_or(NOTHING.into(), |cost| quantity.format(cost)));
            }
            table.push_if_any(row);
        }
    }
    Ok(table)
}

/// How long a run is whose time is taken: some tenth of a second; zero if it is not.
fn timed_length(workload: Workload) -> u64 {
    match workload {
        Workload::SpawnJoin | Workload::SpawnMany | Workload::PingPong => 300_000,
        Workload::Timer | Workload::TimerMillion => 300_000,
        Workload::Yield1000 | Workload::YieldLone => 1_000_000,
        Workload::Echo | Workload::EchoLone | Workload::Fetch => 10_000,
        Workload::KeepAlive => 12_800,
        Workload::IdleTasks | Workload::IdleSockets | Workload::IdleConnections => 0,
    }
}

/// The time that each workload takes, relative to the reference.
fn times(server: SocketAddr) -> io::Result<Table> {
    let mut table = empty_table();
    for workload in Workload::ALL {
        let n = timed_length(workload);
        if n == 0 {
            continue;
        }
        let mut times = RUNTIMES.map(|_| Vec::new());
        for _ in 0..ROUNDS {
            for (times, runtime) in times.iter_mut().zip(RUNTIMES) {
                if runs(runtime, workload) {
                    times.push(Subject { runtime, server }.value(workload, n)?);
                }
            }
        }
        for times in &mut times {
            times.sort_unstable();
        }
        let reference = &times[REFERENCE];
        let mut row = vec![workload.to_string()];
        row.extend(times.iter().map(|times| {
            if times.is_empty() {
                return NOTHING.into();
            }
            let ratio = |rank: usize| times[rank] as f64 / reference[rank] as f64;
            format!("{:.2}/{:.2}", ratio(0), ratio(ROUNDS / 2))
        }));
        table.push(row);
    }
    Ok(table)
}

fn empty_table() -> Table {
    Table::new(["workload"].into_iter().chain(RUNTIMES))
}
