//! Compares glassfrog with other runtimes: `cargo run --profile count -p glassfrog-peers -- report`.
//!
//! `report` measures all runtimes alternately. It writes the values to `benches/report/data.tsv`, and the pictures
//! and the page `README.md` to the same directory. `draw` redraws the pictures and the page from the values.
//! `--rows` measures some of the rows and keeps the other values.
//!
//! All runtimes run the same generic code in one binary, and each run is a process of its own. Every
//! runtime has one thread and its default settings, unless a row says otherwise:
//!
//! - *raw*: a state machine written by hand on mio, without futures, for the rows with sockets only;
//! - *tokio*: a `LocalRuntime` (the current-thread scheduler with `spawn_local`; spawning `Send`
//!   tasks on it counts the same within two per cent), I/O and time enabled;
//! - *smol*: a `LocalExecutor` under `smol::block_on`, sockets of `smol::net`;
//! - *monoio*: the legacy driver (epoll), timers enabled, built without io_uring;
//! - *glassfrog*: `glassfrog::block_on`.
//!
//! In reading order: the [`rows`], and their workloads on one core ([`work`]), on two (`cores`) and without a
//! runtime ([`raw`]); the other [`runtimes`]; the measurements ([`collect`], [`hello`], [`cpus`]) and their file
//! ([`data`]); the numbers ([`stats`]), the pictures ([`svg`], [`pictures`]) and the page ([`page`]).

mod collect;
#[cfg(feature = "threads")]
mod cores;
mod cpus;
mod data;
mod hello;
mod page;
mod pictures;
mod raw;
mod rows;
mod runtimes;
mod stats;
mod svg;
mod work;

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use glassfrog_count::measure::{hidden_subcommand, raise_file_limit};
use glassfrog_count::runtime::{Glassfrog, Runtime};

use collect::{Collector, Measurement};
use data::Data;
use rows::{ROWS, Row};
use runtimes::{Monoio, Smol, Tokio};

/// The directory of the report in this repository.
const REPORT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../report");

/// The front page of this repository, which shows a part of the report.
const FRONT_PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");

/// The file of the measured values in the directory of a report.
const DATA: &str = "data.tsv";

/// The file of the remarks in the directory of the report. They are written by hand.
const REMARKS: &str = "remarks.md";

/// The default number of rounds: enough for quartiles.
const ROUNDS: usize = 16;

const USAGE: &str = "\
usage: glassfrog-peers report [--rounds N] [--rows a,b] [--what a,b] [--to DIRECTORY]
       glassfrog-peers draw [--to DIRECTORY]";

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
    if hidden_subcommand(arguments, rows::run)? {
        return Ok(());
    }
    if let [word, runtime] = arguments
        && word == "http"
    {
        return serve_http(runtime).map_err(|error| error.to_string());
    }
    let Some((command, options)) = arguments.split_first() else {
        return Err(usage());
    };
    let options = Options::parse(options)?;
    let data = match command.as_str() {
        "report" => options.measure(),
        "draw" => Data::read(&options.directory.join(DATA)),
        _ => return Err(usage()),
    };
    data.and_then(|data| options.draw(&data))
        .map_err(|error| error.to_string())
}

/// Returns the usage, with the names of rows and quantities.
fn usage() -> String {
    let rows: Vec<_> = ROWS.iter().map(|row| row.name).collect();
    let measurements = Measurement::ALL.map(Measurement::name);
    format!(
        "{USAGE}\nrows: {}\nwhat: {}",
        rows.join(", "),
        measurements.join(", ")
    )
}

/// The options on the command line.
struct Options {
    /// The number of rounds.
    rounds: usize,
    /// The rows to measure.
    rows: Vec<&'static Row>,
    /// The kinds of measurement.
    measurements: Vec<Measurement>,
    /// The directory of the report.
    directory: PathBuf,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Options, String> {
        let mut options = Options {
            rounds: ROUNDS,
            rows: ROWS.iter().collect(),
            measurements: Measurement::ALL.to_vec(),
            directory: REPORT.into(),
        };
        let mut arguments = arguments.iter();
        while let Some(name) = arguments.next() {
            let value = arguments.next().ok_or_else(usage)?;
            let names = || value.split(',');
            match name.as_str() {
                "--rounds" => {
                    let rounds = value.parse().ok().filter(|&rounds| rounds > 0);
                    options.rounds = rounds.ok_or_else(usage)?;
                }
                "--rows" => options.rows = collected(names(), rows::row)?,
                "--what" => {
                    let what =
                        |name: &str| Measurement::ALL.into_iter().find(|it| it.name() == name);
                    options.measurements = collected(names(), what)?;
                }
                "--to" => options.directory = value.into(),
                _ => return Err(usage()),
            }
        }
        Ok(options)
    }

    /// Measures the selected rows. Returns all values of the report.
    fn measure(&self) -> io::Result<Data> {
        let mut collector = Collector::start(&self.directory, self.rounds)?;
        collector.collect(&self.rows, &self.measurements)?;
        Ok(collector.data())
    }

    /// Writes the page and its pictures.
    fn draw(&self, data: &Data) -> io::Result<()> {
        let remarks = fs::read_to_string(Path::new(REPORT).join(REMARKS))?;
        for (name, picture) in pictures::all(data) {
            fs::write(self.directory.join(name), picture)?;
        }
        let page = page::page(data, &remarks).map_err(io::Error::other)?;
        let path = self.directory.join("README.md");
        fs::write(&path, page)?;
        // A report in another directory does not change the README.
        if self.directory == Path::new(REPORT) {
            let front = fs::read_to_string(FRONT_PAGE)?;
            let front = page::front_page(data, &front).map_err(io::Error::other)?;
            fs::write(FRONT_PAGE, front)?;
        }
        println!("{}", path.display());
        Ok(())
    }
}

/// Finds the item of each name.
fn collected<'a, T>(
    names: impl Iterator<Item = &'a str>,
    find: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, String> {
    names
        .map(|name| find(name).ok_or_else(|| format!("`{name}` is unknown\n{}", usage())))
        .collect()
}

/// Executes the hidden subcommand `http`: runs a server on a runtime until standard input ends.
fn serve_http(runtime: &str) -> io::Result<()> {
    raise_file_limit();
    match runtime {
        "raw" => raw::serve_http(),
        "tokio" => Tokio::block_on(work::serve_http::<Tokio>()),
        "smol" => Smol::block_on(work::serve_http::<Smol>()),
        "monoio" => Monoio::block_on(work::serve_http::<Monoio>()),
        "glassfrog" => Glassfrog::block_on(work::serve_http::<Glassfrog>()),
        _ => Err(io::Error::other(format!("no runtime is named `{runtime}`"))),
    }
}
