//! The command line.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lexopt::prelude::*;

use crate::fetch::FetchOptions;

/// The text of `--help`.
pub(crate) const HELP: &str = "\
Fetches URLs, many at once on a single thread, and draws what each of them waited
for, and when.

Usage: fetch [OPTION]... [[http://]HOST[:PORT][/PATH]]...

HOST is a name, an IPv4 address, or an IPv6 address in brackets. Only http is
supported, not https. Without URLs, fetch starts a server of its own and fetches
five pages from it.

What to fetch:
  -n, --times N         fetch each URL N times [default: 1]
  -c, --at-once N       run at most N fetches at a time [default: 100]
  -L, --follow          follow redirects: at most 10 per fetch, and only to http
      --timeout SECONDS give up a fetch after this time, which includes the name
                        lookup, all redirects, and saving the body; 0.5 is valid,
                        too [default: 30]
      --max-size SIZE   fail if a body is longer than SIZE bytes; K, M and G stand
                        for powers of 1024, as in 64K [default: 1G]
      --fail            fail if the status is 400 or above

Where to save the bodies (by default they are only counted):
  -o, --output PATH     With a single fetch: save the body as the file PATH. If PATH
                        is `-`, write the body to standard output, and the report
                        to standard error.
                        With several fetches, or if PATH is a directory or ends
                        with a slash: save the bodies in the directory PATH, which
                        is created if necessary. Each file is named after the
                        number of the fetch and the last part of its URL, such as
                        0017-index.html.
                        A file appears when it is complete, and then replaces an
                        existing file of the same name.

What to print:
  -v, --verbose         also print the requests and the response headers
  -q, --quiet           print only failures, to standard error
      --json            print JSON: a line for each fetch when it is done, and a
                        line for the whole run; times are in microseconds
  On a terminal the report has colors, unless NO_COLOR is set, and there is a
  progress line. Elsewhere, or if TERM is `dumb`, the report is plain ASCII. It is
  as wide as COLUMNS says or, if that is not set, as the terminal is.

Other options:
      --timeline FILE   write a timeline of the run to FILE, with a lane for each
                        fetch: a page to open in a browser or, if FILE ends in
                        .json, a trace for https://ui.perfetto.dev
      --serve ADDRESS   do not fetch, but run the server at IP:PORT until killed
  -h, --help            print this help

A fetch fails if the response is malformed, ends early, or is ambiguous about where
it ends. The report of each failure names the operation that failed. A failure does
not affect the other fetches. SIGINT (Ctrl-C) and SIGTERM end the run early: the
report then covers the fetches that are done, and incomplete files are removed.

Exit codes: 0, all fetches succeeded; 1, something failed; 2, the command line is
invalid; 130 and 143, SIGINT or SIGTERM ended the run.
";

/// The largest value of `--at-once`: no system has more ports per address.
const MOST_AT_ONCE: usize = 65_535;

/// The smallest value of `--timeout`: the precision of the timers of the system.
const SHORTEST_TIMEOUT: f64 = 0.001;

/// The largest value of `--timeout`: ten days.
const LONGEST_TIMEOUT: f64 = 864_000.0;

/// A parsed command line.
#[derive(Debug, PartialEq)]
pub(crate) enum Command {
    /// Print the help.
    Help,
    /// Run the server at this address.
    Serve(SocketAddr),
    /// Fetch URLs.
    Fetch(Options),
}

/// The options of a run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Options {
    /// The URLs, valid or not. If there are none, the run fetches from the embedded server.
    pub(crate) urls: Vec<String>,
    /// The number of fetches of each URL.
    pub(crate) times: usize,
    /// The number of fetches at a time.
    pub(crate) at_once: usize,
    /// The path for the bodies, if they are saved.
    pub(crate) output: Option<PathBuf>,
    /// The options of each fetch.
    pub(crate) fetch_options: FetchOptions,
    /// The file for the timeline, if the run records one.
    pub(crate) timeline: Option<PathBuf>,
    /// The output of the run.
    pub(crate) show: Show,
}

/// The output of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Show {
    /// The report: a table and a picture.
    Report,
    /// The heads of the responses, then the report.
    Verbose,
    /// Only failures.
    Quiet,
    /// JSON lines.
    Json {
        /// Whether the lines include the heads of the responses.
        verbose: bool,
    },
}

/// Parses the command line, without the name of the program.
pub(crate) fn parse(
    arguments: impl IntoIterator<Item = impl Into<OsString>>,
) -> Result<Command, lexopt::Error> {
    let mut options = Options {
        urls: Vec::new(),
        times: 1,
        at_once: 100,
        output: None,
        fetch_options: FetchOptions {
            deadline: Duration::from_secs(30),
            max_size: 1024 * 1024 * 1024,
            follow: false,
            fail: false,
        },
        timeline: None,
        show: Show::Report,
    };
    let (mut verbose, mut quiet, mut json) = (false, false, false);
    let mut serve = None;

    let mut parser = lexopt::Parser::from_args(arguments.into_iter().map(Into::into));
    while let Some(argument) = parser.next()? {
        match argument {
            Short('n') | Long("times") => {
                options.times = value(&mut parser, "--times", |text| count(text, usize::MAX))?;
            }
            Short('c') | Long("at-once") => {
                options.at_once =
                    value(&mut parser, "--at-once", |text| count(text, MOST_AT_ONCE))?;
            }
            Short('L') | Long("follow") => options.fetch_options.follow = true,
            Long("timeout") => {
                options.fetch_options.deadline = value(&mut parser, "--timeout", seconds)?
            }
            Long("max-size") => {
                options.fetch_options.max_size = value(&mut parser, "--max-size", size)?
            }
            Long("fail") => options.fetch_options.fail = true,
            Short('o') | Long("output") => options.output = Some(parser.value()?.into()),
            Short('v') | Long("verbose") => verbose = true,
            Short('q') | Long("quiet") => quiet = true,
            Long("json") => json = true,
            Long("timeline") => options.timeline = Some(parser.value()?.into()),
            Long("serve") => serve = Some(value(&mut parser, "--serve", address)?),
            Short('h') | Long("help") => return Ok(Command::Help),
            // A value that is not Unicode is not a URL either, and is rejected as such.
            Value(url) => options.urls.push(url.to_string_lossy().into_owned()),
            other => return Err(other.unexpected()),
        }
    }

    options.show = match (verbose, quiet, json) {
        (_, true, true) => return Err("--quiet and --json cannot be used together".into()),
        (true, true, _) => return Err("--verbose and --quiet cannot be used together".into()),
        (verbose, _, true) => Show::Json { verbose },
        (_, true, _) => Show::Quiet,
        (true, ..) => Show::Verbose,
        (false, ..) => Show::Report,
    };
    let to_stdout = options
        .output
        .as_deref()
        .is_some_and(|path| path.as_os_str() == "-");
    let fetches = options.urls.len().checked_mul(options.times);
    match serve {
        Some(_) if !options.urls.is_empty() => Err("--serve does not take URLs".into()),
        Some(address) => Ok(Command::Serve(address)),
        None if options.output.as_deref() == Some(Path::new("")) => {
            Err("--output needs a path that is not empty".into())
        }
        None if to_stdout && json => Err(
            "--json and --output - cannot be used together: both write to standard output".into(),
        ),
        None if to_stdout && fetches != Some(1) => {
            Err("--output - can only be used with a single fetch".into())
        }
        None if fetches.is_none() => Err("there are too many fetches".into()),
        None => Ok(Command::Fetch(options)),
    }
}

/// Parses the value of an option.
fn value<T>(
    parser: &mut lexopt::Parser,
    option: &str,
    read: impl FnOnce(&str) -> Result<T, String>,
) -> Result<T, lexopt::Error> {
    let text = parser.value()?.string()?;
    read(&text).map_err(|reason| format!("invalid value {text:?} for {option}: {reason}").into())
}

/// Parses a number of at least 1.
fn count(text: &str, most: usize) -> Result<usize, String> {
    match text.parse() {
        Ok(count) if (1..=most).contains(&count) => Ok(count),
        _ if most == usize::MAX => Err("expected a whole number, at least 1".to_string()),
        _ => Err(format!("expected a whole number from 1 to {most}")),
    }
}

/// Parses the address of a server.
fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "expected IP:PORT, such as 127.0.0.1:8000 or [::1]:8000".to_string())
}

/// Parses a time.
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: Option<f64> = text.parse().ok();
    match seconds {
        Some(seconds) if (SHORTEST_TIMEOUT..=LONGEST_TIMEOUT).contains(&seconds) => {
            Ok(Duration::from_secs_f64(seconds))
        }
        _ => Err(format!(
            "expected a number of seconds from {SHORTEST_TIMEOUT} to {LONGEST_TIMEOUT}"
        )),
    }
}

/// Parses a number of bytes.
fn size(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.char_indices().next_back() {
        Some((at, 'K' | 'k')) => (&text[..at], 1 << 10),
        Some((at, 'M' | 'm')) => (&text[..at], 1 << 20),
        Some((at, 'G' | 'g')) => (&text[..at], 1 << 30),
        _ => (text, 1),
    };
    let number: Option<u64> = digits.parse().ok();
    number
        .and_then(|number| number.checked_mul(unit))
        .ok_or_else(|| "expected a number of bytes, such as 4096, 64K, 16M or 1G".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parses valid options.
    fn options(line: &str) -> Options {
        match parse(line.split_whitespace()) {
            Ok(Command::Fetch(options)) => options,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn each_option_does_what_the_help_says() {
        let plain = options("");
        for (line, change) in [
            (
                "-n 7",
                &(|o: &mut Options| o.times = 7) as &dyn Fn(&mut Options),
            ),
            ("--times=7", &|o| o.times = 7),
            ("-c7", &|o| o.at_once = 7),
            ("--at-once 7", &|o| o.at_once = 7),
            ("-L", &|o| o.fetch_options.follow = true),
            ("--follow", &|o| o.fetch_options.follow = true),
            ("--fail", &|o| o.fetch_options.fail = true),
            ("--timeout 0.3", &|o| {
                o.fetch_options.deadline = Duration::from_millis(300);
            }),
            ("--max-size 12", &|o| o.fetch_options.max_size = 12),
            ("--max-size 0", &|o| o.fetch_options.max_size = 0),
            ("--max-size 3k", &|o| o.fetch_options.max_size = 3072),
            ("--max-size 3M", &|o| o.fetch_options.max_size = 3 << 20),
            ("--max-size 3G", &|o| o.fetch_options.max_size = 3 << 30),
            ("-o x", &|o| o.output = Some("x".into())),
            ("--output x", &|o| o.output = Some("x".into())),
            ("-v", &|o| o.show = Show::Verbose),
            ("-q", &|o| o.show = Show::Quiet),
            ("--timeline x", &|o| o.timeline = Some("x".into())),
            ("--json", &|o| o.show = Show::Json { verbose: false }),
            ("--json -v", &|o| o.show = Show::Json { verbose: true }),
            ("a b", &|o| o.urls = vec!["a".into(), "b".into()]),
            ("-vL -- -q", &|o| {
                o.show = Show::Verbose;
                o.fetch_options.follow = true;
                o.urls = vec!["-q".into()];
            }),
        ] {
            let mut changed = plain.clone();
            change(&mut changed);
            assert_eq!(options(line), changed, "{line}");
        }
        assert_eq!(options("-o - a").output, Some("-".into()));
        assert_eq!(parse(["-qh", "--json"]).unwrap(), Command::Help);
        assert_eq!(
            parse(["--serve", "[::1]:1"]).unwrap(),
            Command::Serve("[::1]:1".parse().unwrap())
        );
    }

    #[test]
    fn invalid_options_are_rejected() {
        for line in [
            "--nonsense",
            "-x",
            "-n",
            "-n 0",
            "-n -1",
            "-n 99999999999999999999999",
            "-n 9223372036854775807 a b c",
            "-c 0",
            "-c 65536",
            "-c many",
            "--timeout 0",
            "--timeout -1",
            "--timeout NaN",
            "--timeout inf",
            "--timeout 1e9",
            "--timeout 0.0009",
            "--max-size 1T",
            "--max-size M",
            "--max-size -1",
            "--max-size 99999999999G",
            "--max-size ü",
            "--fail=1",
            "-q --json",
            "-q -v",
            "--json -o - a",
            "-o - a b",
            "-o - -n 2 a",
            "-o -",
            "-o= a",
            "--serve",
            "--serve localhost:80",
            "--serve 127.0.0.1:80 b",
        ] {
            assert!(parse(line.split_whitespace()).is_err(), "{line}");
        }
    }

    #[test]
    fn the_help_names_every_option_and_fits_a_terminal() {
        for option in [
            "-n, --times",
            "-c, --at-once",
            "-L, --follow",
            "--timeout",
            "--max-size",
            "--fail",
            "-o, --output",
            "-v, --verbose",
            "-q, --quiet",
            "--json",
            "--timeline",
            "--serve",
            "-h, --help",
        ] {
            assert!(HELP.contains(option), "{option}");
        }
        assert!(HELP.lines().all(|line| line.len() <= 84));
    }
}
