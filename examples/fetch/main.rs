//! Fetches URLs, many at once on one thread, and draws what each of them waited for, and when.
//!
//! ```text
//! cargo run --release --example fetch
//! cargo run --release --example fetch -- http://127.0.0.1:8000/a http://example.com/ -v
//! cargo run --release --example fetch -- --help
//! ```
//!
//! Without URLs, the program starts a server on the same thread and fetches five pages from it.
//!
//! To read the source, start with `main`, `run` and `jobs` in this file. Continue with `many.rs`, which
//! runs many fetches at a time, and `fetch.rs`, which performs one. `url.rs`, `head.rs` and `body.rs`
//! parse HTTP and know no sockets. `names.rs`, `save.rs`, `unfinished.rs`, `signals.rs`, `server.rs` and
//! `descriptors.rs` deal with the operating system. The other files turn fetches into statistics, and
//! statistics into text.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::{env, iter};

use glassfrog::Runtime;

use crate::args::{Command, HELP, Options, Show};
use crate::failure::with_context;
use crate::fetch::{Client, Fetch, Job, Target};
use crate::many::Progress;
use crate::save::Saving;
use crate::screen::{Screen, complain};
use crate::stats::Stats;
use crate::style::{Style, grouped};
use crate::unfinished::Unfinished;

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
mod unfinished;
mod signals;
mod server;
mod descriptors;
mod timing;
mod timeline;
mod histogram;
mod stats;
mod screen;
mod report;
mod picture;
mod columns;
mod style;
mod json;

/// The exit code if the command line is invalid.
const USAGE: u8 = 2;

/// The number of threads that write files. A disk needs few. The others are for pipes without a reader,
/// each of which occupies a thread until its fetch times out.
const WRITERS: usize = 64;

/// The number of events of a timeline: enough for some thousand fetches, and four megabytes.
const EVENTS: usize = 1 << 18;

fn main() -> ExitCode {
    let outcome = match args::parse(env::args_os().skip(1)) {
        Ok(Command::Help) => io::stdout()
            .write_all(HELP.as_bytes())
            .map(|()| ExitCode::SUCCESS),
        Ok(Command::Serve(address)) => block_on(serve(address), None).map(|()| ExitCode::SUCCESS),
        Ok(Command::Fetch(options)) => {
            let clean_up = CleanUp(Arc::default());
            let timeline = options.timeline.clone();
            let run = run(options, Arc::clone(&clean_up.0));
            block_on(run, timeline.as_deref())
        }
        Err(error) => {
            complain(&format!("{error}; see --help"));
            return ExitCode::from(USAGE);
        }
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            // The reader of a pipe that closes its end has seen enough.
            if error.kind() != io::ErrorKind::BrokenPipe {
                complain(&error.to_string());
            }
            ExitCode::FAILURE
        }
    }
}

/// Runs a future on a new runtime. Then writes the timeline of the runtime to a file, if there is one.
fn block_on<T>(
    future: impl Future<Output = io::Result<T>>,
    timeline: Option<&Path>,
) -> io::Result<T> {
    let mut builder = Runtime::builder().blocking_threads(WRITERS);
    if timeline.is_some() {
        builder = builder.timeline(EVENTS);
    }
    let runtime = builder.build()?;
    let result = runtime.block_on(future);
    let written = match timeline {
        Some(path) => runtime.handle().timeline().write_to(path),
        None => Ok(()),
    };
    // An error of the run comes first.
    let output = result?;
    written.map(|()| output)
}

/// Removes the incomplete files when dropped, whatever ends the run.
struct CleanUp(Arc<Unfinished>);

impl Drop for CleanUp {
    fn drop(&mut self) {
        self.0.remove_all();
    }
}

/// Runs the server until the process is killed.
async fn serve(address: SocketAddr) -> io::Result<()> {
    let announce = |address| {
        let _unread = writeln!(io::stdout(), "listening on {address}");
    };
    server::run(address, announce).await
}

/// Fetches the URLs, prints the report, and returns the exit code.
async fn run(mut options: Options, unfinished: Arc<Unfinished>) -> io::Result<ExitCode> {
    let signal = signals::first({
        let unfinished = Arc::clone(&unfinished);
        move || unfinished.remove_all()
    })
    .map_err(|error| with_context("watch for signals", error))?;
    let server = match options.urls.is_empty() {
        true => {
            let (address, urls) = server::start().await?;
            options.urls = urls;
            Some(address)
        }
        false => None,
    };
    let total = options.urls.len().saturating_mul(options.times);
    let saving = Saving::new(options.output.as_deref(), total, Arc::clone(&unfinished))?;
    // For the embedded server, both ends of each connection are in this process.
    let each = 1 + saving.descriptors() + usize::from(server.is_some());
    let wanted = options.at_once.min(total);
    let at_once = descriptors::affordable(wanted, each);

    let (out, style): (Box<dyn Write>, Style) = match saving.is_stdout() {
        true => (Box::new(io::stderr()), Style::new(&io::stderr())),
        false => (Box::new(io::stdout()), Style::new(&io::stdout())),
    };
    let mut screen = Screen::new(out, options.show != Show::Quiet);
    if at_once < wanted {
        let [at_once, wanted] = [at_once, wanted].map(|count| grouped(count as u64));
        screen.complain(&format!(
            "running {at_once} fetches at a time instead of {wanted}, because of the limit on open \
             files (ulimit -n)"
        ));
    }
    let is_report = matches!(options.show, Show::Report | Show::Verbose);
    if is_report {
        if let Some(address) = server {
            screen.print(&format!(
                "A server on the same thread is listening on {address}.\n"
            ))?;
        }
        screen.print(&announcement(&options, total, at_once))?;
    }

    let mut stats = Stats::new(total);
    let jobs = jobs(&options);
    let client = Rc::new(Client::new(options.fetch_options, saving));
    let start = |job| Rc::clone(&client).fetch(job);
    let tell = |news, under_way| {
        match news {
            Progress::Tick => {}
            Progress::Starved => screen
                .complain("too many open files: retrying the fetches concerned, fewer at a time"),
            Progress::Over(fetch) => {
                show(&fetch, options.show, &mut screen)?;
                stats.add(fetch);
            }
        }
        screen.progress(&stats, under_way);
        Ok(())
    };
    let signal = many::run_all(jobs, at_once, start, tell, signal).await?;
    let signal = signal.transpose()?;
    if let Some(signal) = signal {
        // This comes before the report, because its output may block.
        unfinished.remove_all();
        let [done, total] = [stats.over(), total as u64].map(grouped);
        let name = signal.name;
        screen.complain(&format!(
            "{name} ended the run: {done} of {total} fetches are done"
        ));
    }

    let shown = match options.show {
        Show::Report | Show::Verbose => screen.print(&report::report(&stats, style)),
        Show::Json { .. } => {
            let signal = signal.map(|signal| signal.name);
            screen.print(&json::summary(&stats, signal))
        }
        Show::Quiet => Ok(()),
    };
    match signal {
        Some(signal) => Ok(ExitCode::from(signal.code)),
        None => shown.map(|()| match stats.failed {
            0 => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        }),
    }
}

/// Returns the jobs of a run: each URL once, then each URL again, and so on.
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

/// Returns a sentence that announces the fetches.
fn announcement(options: &Options, total: usize, at_once: usize) -> String {
    let urls = options.urls.len();
    let what = match urls {
        1 => "1 URL".to_string(),
        urls => format!("{} URLs", grouped(urls as u64)),
    };
    let times = match (options.times, urls) {
        (1, _) => String::new(),
        (times, 1) => format!(" {} times", grouped(times as u64)),
        (times, _) => format!(" {} times each", grouped(times as u64)),
    };
    let at_once = match total {
        1 => String::new(),
        total if total > at_once => format!(", {} at a time", grouped(at_once as u64)),
        _ if options.times > 1 => ", all at once".to_string(),
        _ => " at once".to_string(),
    };
    let each = if total == 1 { "" } else { " each" };
    let deadline = options.fetch_options.deadline;
    format!("Fetching {what}{times}{at_once}, with a timeout of {deadline:?}{each} ...\n\n")
}

/// Prints the output of a fetch that is over, according to the options.
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
