//! The counting gate: `cargo run --profile count -p glassfrog-count -- check`, and the same with the
//! profile `count-unwind`.
//!
//! - `check` measures, compares with the baseline of its profile and fails if anything has become
//!   dearer than the tolerances allow, or a fetch dearer than its limit;
//! - `bless` measures and writes that baseline anew;
//! - `report` measures and prints.
//!
//! Counts depend on the optimiser: only these two profiles are comparable, each with itself. Instructions take
//! `valgrind` and syscalls `perf`; where one is missing, this says so and checks the rest.

use std::path::Path;
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

/// The profile that this binary is built with, unless it is one that is not comparable.
const PROFILE: &str = match cfg!(panic = "abort") {
    true => "count",
    false => "count-unwind",
};

/// The text above the table in the baseline of a profile.
fn baseline_head(profile: &str) -> String {
    format!(
        "\
# The cost of one operation. Written by `cargo run --profile {profile} -p glassfrog-count -- bless`;
# `-- check` fails when one becomes dearer. Each workload is explained in src/workloads.rs. Numbers of
# other harnesses are of other work: here `spawn_join` awaits each task before it spawns the next and
# `spawn_many` a thousand at a time; the sleep of `timer` is not boxed; `echo` reads into 4 KiB, and
# `fetch` checks that it has read text.
"
    )
}

/// A fetch makes six syscalls (socket, connect, epoll_ctl, send, recv, close) and shares its waits with
/// many others. It is 6.03 to 6.05 on a machine with nothing else to do. On a busy one polls take longer, so
/// the loop, which looks for events once a millisecond, looks more often for each fetch: up to 6.10 was seen.
const FETCH_SYSCALLS: f64 = 6.15;

/// How much dearer than the baseline a cost may be: a share of it plus an absolute amount.
fn tolerance(workload: Workload, quantity: Quantity) -> (f64, f64) {
    match quantity {
        // Where polls make syscalls, their time decides how often the loop looks for events and reads the
        // clock, and how many answers of another process one wait finds. Under callgrind, which makes polls
        // slow, the least of three runs spreads by 4 %, where another process answers by 7 to 10 %.
        Quantity::Instructions if matches!(workload, Workload::Fetch | Workload::KeepAlive) => {
            (0.10, 0.0)
        }
        Quantity::Instructions if matches!(workload, Workload::Echo | Workload::EchoLone) => {
            (0.06, 0.0)
        }
        // The counts repeat to the last few; the rest is what C libraries differ by.
        Quantity::Instructions => (0.03, 0.0),
        // The loop looks for events at least once a millisecond, and another process decides how many answers
        // one look finds: a keep-alive request took 2.02 to 2.12 syscalls on one idle machine.
        Quantity::Syscalls
            if matches!(
                workload,
                Workload::Fetch | Workload::KeepAlive | Workload::Echo
            ) =>
        {
            (0.0, 0.3)
        }
        // How many events a wait returns depends on the machine.
        Quantity::Syscalls => (0.0, 0.05),
        // Memory comes in pages, and from allocators of different versions.
        Quantity::Bytes => (0.03, 4.0),
        // The kernel may preempt or page at any time.
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
    let hidden = hidden_subcommand(arguments, |_, workload, n, server| {
        let workload: Workload = workload.parse()?;
        Ok(vec![workload.run::<Glassfrog>(n, server)])
    })?;
    if hidden {
        return Ok(ExitCode::SUCCESS);
    }
    match arguments {
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
        _ => Err("usage: glassfrog-count check|bless|report".into()),
    }
}

/// Measures everything that this machine can.
fn measure() -> Result<Table, String> {
    let this = env::current_exe().map_err(|error| error.to_string())?;
    if this
        .parent()
        .and_then(Path::file_name)
        .is_none_or(|name| name != PROFILE)
    {
        eprintln!(
            "not built with `--profile {PROFILE}`: the counts will differ from the baseline's"
        );
    }
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

/// Prints what was measured beside the baseline; fails if something is too dear.
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
                if fits { "ok" } else { "DEARER" }.into(),
            ]);
        }
    }
    print!("{verdicts}");
    if failed {
        println!("Something costs more than it did. If that is worth it, run `bless` and say why.");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn number(cell: &str) -> Option<f64> {
    cell.parse().ok()
}
