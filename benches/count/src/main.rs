//! The counting gate: `cargo run --profile count -p glassfrog-count -- check`, and the same with the
//! profile `count-unwind`.
//!
//! - `check` measures, compares with the baseline of its profile, and fails if a cost exceeds its tolerance, or
//!   the cost of a fetch its limit;
//! - `bless` measures and writes a new baseline;
//! - `report` measures and prints;
//! - `sync`, in a build with the feature of that name, measures the operations of `glassfrog::sync` beside those of the
//!   crates below, and fails if one costs too much more.
//!
//! `check` and `bless` need a build without the feature `sync`: the baseline says what glassfrog costs without it.
//!
//! Counts depend on the optimizer, so only counts of the same profile are comparable. Counting instructions needs
//! `valgrind`, and counting syscalls `perf`. If one is missing, the program says so and checks the rest.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use glassfrog_count::measure::{Quantity, Subject, hidden_subcommand};
use glassfrog_count::runtime::Glassfrog;
use glassfrog_count::server::{BODY_LENGTH, Server};
use glassfrog_count::table::{NOTHING, Table};
use glassfrog_count::workloads::Workload;

/// The committed counts of this profile.
const BASELINE: &str = match cfg!(panic = "abort") {
    true => concat!(env!("CARGO_MANIFEST_DIR"), "/baseline-abort.txt"),
    false => concat!(env!("CARGO_MANIFEST_DIR"), "/baseline-unwind.txt"),
};

/// The profile that this binary should be built with.
const PROFILE: &str = match cfg!(panic = "abort") {
    true => "count",
    false => "count-unwind",
};

/// Returns the text above the table in the baseline of a profile.
fn baseline_head(profile: &str) -> String {
    format!(
        "\
# The cost of one operation, written by `cargo run --profile {profile} -p glassfrog-count -- bless`.
# `check` fails if one becomes more expensive. src/workloads.rs explains the workloads. They differ from those
# of other harnesses: `spawn_join` awaits each task before it spawns the next, and `spawn_many` spawns a thousand
# at a time; the sleep of `timer` is not boxed; `echo` reads into 4 KiB; `fetch` checks that it has read text.
"
    )
}

/// The limit on the syscalls of a fetch. A fetch makes six (socket, connect, epoll_ctl, send, recv, close) and
/// shares its waits with many others: 6.03 to 6.05 in total on an idle machine. On a busy machine, polls take
/// longer, so the loop, which looks for events once a millisecond, looks more often per fetch: up to 6.10.
const FETCH_SYSCALLS: f64 = 6.15;

/// Returns how far a cost may exceed the baseline: a share of it and an absolute amount.
fn tolerance(workload: Workload, quantity: Quantity) -> (f64, f64) {
    match quantity {
        // If polls make syscalls, their time determines how often the loop looks for events and reads the
        // clock, and how many responses of another process one wait finds. Under callgrind, which makes polls
        // slow, the minimum of three runs varies by 4 %, or by 7 to 10 % if another process responds.
        Quantity::Instructions if matches!(workload, Workload::Fetch | Workload::KeepAlive) => {
            (0.10, 0.0)
        }
        Quantity::Instructions if matches!(workload, Workload::Echo | Workload::EchoLone) => {
            (0.06, 0.0)
        }
        // The counts are almost exact; the tolerance is for different C libraries.
        Quantity::Instructions => (0.03, 0.0),
        // The loop looks for events at least once a millisecond, and the speed of another process determines
        // how many responses it finds: a keep-alive request took 2.02 to 2.12 syscalls on an idle machine.
        Quantity::Syscalls
            if matches!(
                workload,
                Workload::Fetch | Workload::KeepAlive | Workload::Echo
            ) =>
        {
            (0.0, 0.3)
        }
        // The number of events per wait depends on the machine.
        Quantity::Syscalls => (0.0, 0.05),
        // Memory is counted in pages, and depends on the version of the allocator.
        Quantity::Bytes => (0.03, 4.0),
        // The kernel may preempt the process or load a page at any time.
        Quantity::WakeUps => (0.0, 1.0),
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match run(&arguments) {
        Ok(code) => code,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<ExitCode, String> {
    #[cfg(feature = "sync")]
    if glassfrog_count::sync::hidden_subcommand(arguments)? {
        return Ok(ExitCode::SUCCESS);
    }
    let hidden = hidden_subcommand(arguments, |_, workload, n, server| {
        let workload: Workload = workload.parse()?;
        Ok(vec![workload.run::<Glassfrog>(n, server)])
    })?;
    if hidden {
        return Ok(ExitCode::SUCCESS);
    }
    match arguments {
        [word] if cfg!(feature = "sync") && (word == "check" || word == "bless") => Err(
            "the baseline is for a build without the feature `sync`: omit `--features sync`".into(),
        ),
        #[cfg(feature = "sync")]
        [word] if word == "sync" => check_sync(),
        [word] if word == "check" => {
            let baseline =
                fs::read_to_string(BASELINE).map_err(|error| format!("{BASELINE}: {error}"))?;
            let baseline = Table::parse(&baseline).ok_or(format!("{BASELINE} is not a table"))?;
            Ok(check(&baseline, &measure()?))
        }
        [word] if word == "bless" => {
            if let Some(missing) = Quantity::ALL
                .into_iter()
                .find(|quantity| !quantity.is_available())
            {
                return Err(format!(
                    "a baseline needs {}",
                    missing.tool().unwrap_or_default()
                ));
            }
            let table = measure()?;
            fs::write(BASELINE, format!("{}{table}", baseline_head(PROFILE)))
                .map_err(|error| error.to_string())?;
            print!("{table}");
            Ok(ExitCode::SUCCESS)
        }
        [word] if word == "report" => {
            print!("{}", measure()?);
            Ok(ExitCode::SUCCESS)
        }
        [word] if word == "sync" => {
            Err("the subcommand `sync` needs a build with `--features sync`".into())
        }
        _ => Err("usage: glassfrog-count check|bless|report|sync".into()),
    }
}

/// Returns the path of this binary. Warns if it was not built with the profile of the gate.
fn this_binary() -> Result<PathBuf, String> {
    let this = env::current_exe().map_err(|error| error.to_string())?;
    if this
        .parent()
        .and_then(Path::file_name)
        .is_none_or(|name| name != PROFILE)
    {
        eprintln!(
            "not built with `--profile {PROFILE}`: the counts will differ from those of the gate"
        );
    }
    Ok(this)
}

/// Measures the operations of `sync`, prints them beside those of the crates below, and fails if one costs too much
/// more.
#[cfg(feature = "sync")]
fn check_sync() -> Result<ExitCode, String> {
    if !Quantity::Instructions.is_available() {
        eprintln!("valgrind is missing: the costs of `sync` are not checked");
        return Ok(ExitCode::SUCCESS);
    }
    let measured = glassfrog_count::sync::measure(&this_binary()?);
    let (table, all_fit) = measured.map_err(|error| error.to_string())?;
    print!("{table}");
    Ok(match all_fit {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// Measures all quantities for which this machine has the tools.
fn measure() -> Result<Table, String> {
    let this = this_binary()?;
    for quantity in Quantity::ALL {
        if let (Some(tool), false) = (quantity.tool(), quantity.is_available()) {
            eprintln!("{tool} is missing: no {}", quantity.name());
        }
    }

    let server = Server::start(BODY_LENGTH).map_err(|error| format!("the server: {error}"))?;
    let subject = Subject {
        runtime: "glassfrog",
        server: server.address(),
        binary: &this,
    };
    let mut table = Table::new(
        ["workload"]
            .into_iter()
            .chain(Quantity::ALL.map(Quantity::name)),
    );
    for workload in Workload::ALL {
        let mut row = vec![workload.to_string()];
        for quantity in Quantity::ALL {
            let value = if quantity.is_available() {
                subject
                    .measure(workload, quantity)
                    .map_err(|error| error.to_string())?
            } else {
                None
            };
            row.push(value.map_or(NOTHING.into(), |value| quantity.format(value)));
        }
        table.push_if_any(row);
    }
    Ok(table)
}

/// Prints the measurements beside the baseline, and fails if a cost exceeds its limit.
fn check(baseline: &Table, measured: &Table) -> ExitCode {
    let mut verdicts = Table::new([
        "workload", "quantity", "baseline", "now", "limit", "verdict",
    ]);
    let mut failed = false;
    for workload in Workload::ALL {
        for quantity in Quantity::ALL {
            let cell = |table: &Table| {
                table
                    .cell(workload.name(), quantity.name())
                    .map(String::from)
            };
            let (before, Some(now)) = (cell(baseline), cell(measured)) else {
                continue;
            };
            let mut limit = before
                .as_deref()
                .and_then(number)
                .map_or(f64::INFINITY, |before| {
                    let (share, amount) = tolerance(workload, quantity);
                    before * (1.0 + share) + amount
                });
            if (workload, quantity) == (Workload::Fetch, Quantity::Syscalls) {
                limit = limit.min(FETCH_SYSCALLS);
            }
            let fits = number(&now).is_some_and(|now| now <= limit);
            failed |= !fits;
            verdicts.push(vec![
                workload.to_string(),
                quantity.name().into(),
                before.unwrap_or(NOTHING.into()),
                now,
                quantity.format(limit),
                if fits { "ok" } else { "EXCEEDED" }.into(),
            ]);
        }
    }
    print!("{verdicts}");
    if failed {
        println!(
            "A cost exceeds its limit. If the change is worth it, run `bless` and give the reason in the commit message."
        );
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn number(cell: &str) -> Option<f64> {
    cell.parse().ok()
}
