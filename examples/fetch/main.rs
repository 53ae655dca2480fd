//! Fetches URLs, many at once on one thread, and draws who waited for what, and when.
//!
//! ```text
//! cargo run --release --example fetch
//! cargo run --release --example fetch -- http://127.0.0.1:8000/a http://example.com/ -v
//! cargo run --release --example fetch -- --help
//! ```
//!
//! Without URLs it starts a server of its own, on the same thread, and fetches five pages from it.
//!
//! Read on in this order: `main`, `run` and `jobs` here; `many.rs`, which keeps so many fetches going;
//! `fetch.rs`, which is one of them. Of the rest, `url.rs`, `head.rs` and `body.rs` are about HTTP and
//! know no sockets; `names.rs`, `save.rs`, `server.rs` and `descriptors.rs` are about the world
//! outside; what is left turns fetches into figures, and figures into text.

use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::rc::Rc;
use std::{env, iter};

use crate::args::{Command, HELP, Options, Show};
use crate::fetch::{Client, Fetch, Job, Target};
use crate::many::News;
use crate::save::Saving;
use crate::screen::{Screen, complain};
use crate::stats::Stats;
use crate::style::{Style, grouped};

mod args;
mod many;
mod fetch;
mod url;
mod head;
mod body;
mod failure;
mod printable;
mod names;
mod save;
mod server;
mod descriptors;
mod timing;
mod timeline;
mod histogram;
mod stats;
mod screen;
mod report;
mod picture;
mod crowd;
mod style;
mod json;

/// What the exit code says if the options make no sense.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let outcome = match args::parse(env::args_os().skip(1)) {
        Ok(Command::Help) => io::stdout().write_all(HELP.as_bytes()).map(|()| true),
        Ok(Command::Serve(address)) => glassfrog::block_on(serve(address)).map(|()| true),
        Ok(Command::Fetch(options)) => glassfrog::block_on(run(options)),
        Err(error) => {
            complain(&format!("{error}; see --help"));
            return ExitCode::from(USAGE);
        }
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // Whoever closes the other end of a pipe has seen enough, and need not be told.
            if error.kind() != io::ErrorKind::BrokenPipe {
                complain(&error.to_string());
            }
            ExitCode::FAILURE
        }
    }
}

/// Is the server until killed.
async fn serve(address: SocketAddr) -> io::Result<()> {
    let announce = |address| {
        let _unread = writeln!(io::stdout(), "listening on {address}");
    };
    server::run(address, announce).await
}

/// Fetches what was asked for, and reports. Returns whether all went well.
async fn run(mut options: Options) -> io::Result<bool> {
    let server = match options.urls.is_empty() {
        true => {
            let (address, urls) = server::start().await?;
            options.urls = urls;
            Some(address)
        }
        false => None,
    };
    let total = options.urls.len().saturating_mul(options.times);
    let saving = Saving::new(options.output.as_deref(), total)?;
    // The other ends of the server's connections are in this process too.
    let each = 1 + saving.descriptors() + usize::from(server.is_some());
    let wanted = options.at_once.min(total);
    let at_once = descriptors::affordable(wanted, each);

    let (out, is_terminal): (Box<dyn Write>, bool) = match saving {
        Saving::Stdout => (Box::new(io::stderr()), io::stderr().is_terminal()),
        _ => (Box::new(io::stdout()), io::stdout().is_terminal()),
    };
    let style = Style::new(is_terminal);
    let mut screen = Screen::new(out, options.show != Show::Quiet);
    if at_once < wanted {
        let [at_once, wanted] = [at_once, wanted].map(|count| grouped(count as u64));
        screen.complain(&format!(
            "{at_once} at a time instead of {wanted}: no more files may be open (ulimit -n)"
        ));
    }
    let is_report = matches!(options.show, Show::Report | Show::Verbose);
    if is_report {
        if let Some(address) = server {
            screen.print(&format!(
                "A server on this same thread listens on {address}.\n"
            ))?;
        }
        screen.print(&announcement(&options, total, at_once))?;
    }

    let mut stats = Stats::new(total);
    let jobs = jobs(&options);
    let client = Rc::new(Client::new(options.wishes, saving));
    let start = |job| Rc::clone(&client).fetch(job);
    many::do_all(jobs, at_once, start, |news, under_way| {
        match news {
            News::Tick => {}
            News::Starved => screen.complain(
                "too many open files: what finds no room is tried again, fewer at a time",
            ),
            News::Over(fetch) => {
                show(&fetch, options.show, &mut screen)?;
                stats.add(fetch);
            }
        }
        screen.progress(&stats, under_way);
        Ok(())
    })
    .await?;

    match options.show {
        Show::Report | Show::Verbose => screen.print(&report::report(&stats, style))?,
        Show::Json { .. } => screen.print(&json::summary(&stats))?,
        Show::Quiet => {}
    }
    Ok(stats.failed == 0)
}

/// The jobs of a run: each URL once, then each once more, and so on.
fn jobs(options: &Options) -> impl Iterator<Item = Job> + use<> {
    let targets: Vec<Rc<Target>> = options
        .urls
        .iter()
        .map(|url| Rc::new(Target::new(url.clone())))
        .collect();
    let rounds = iter::repeat_n((), options.times);
    rounds
        .flat_map(move |()| targets.clone())
        .zip(1..)
        .map(|(target, number)| Job { number, target })
}

/// What is going to be fetched, in a sentence.
fn announcement(options: &Options, total: usize, at_once: usize) -> String {
    let what = match options.urls.len() {
        1 => "1 URL".to_string(),
        several => format!("{} URLs", grouped(several as u64)),
    };
    let times = match options.times {
        1 => String::new(),
        times => format!(", each {} times", grouped(times as u64)),
    };
    let at_once = match total {
        1 => String::new(),
        total if total > at_once => format!(", {} at a time", grouped(at_once as u64)),
        _ if options.times > 1 => ", all at once".to_string(),
        _ => " at once".to_string(),
    };
    let each = if total == 1 { "" } else { " each" };
    let deadline = options.wishes.deadline;
    format!("Fetching {what}{times}{at_once}, for at most {deadline:?}{each} ...\n\n")
}

/// Shows what is to be seen of a fetch as soon as it is over.
fn show(fetch: &Fetch, show: Show, screen: &mut Screen) -> io::Result<()> {
    match (show, &fetch.outcome) {
        (Show::Verbose, _) => screen.print(&report::verbose(fetch)),
        (Show::Json { verbose }, _) => screen.print(&json::fetch(fetch, verbose)),
        (Show::Quiet, Err(failure)) => {
            screen.complain(&format!("{}: {failure}", fetch.job.target.text));
            Ok(())
        }
        (Show::Quiet | Show::Report, _) => Ok(()),
    }
}
