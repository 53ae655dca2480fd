//! The command line: what it may say, and what it said.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::prelude::*;

use crate::fetch::Wishes;

/// What `--help` says.
pub(crate) const HELP: &str = "\
Fetches URLs, many at once on one thread, and draws who waited for what, and when.

usage: fetch [OPTION]... [http://host[:port][/path]]...

Hosts are names, IP addresses, or IPv6 addresses in brackets. Only http is spoken,
not https. Without URLs, five pages of a server of its own are fetched.

What is fetched:
  -n, --times N         fetch each URL N times [1]
  -c, --at-once N       at most N at a time [100]
  -L, --follow          go where redirects lead to, at most 10 times a fetch, and
                        never to another scheme
      --timeout SECONDS how long a fetch may take, from the look-up of the name to
                        the last byte, with all redirects; 0.5 is a time too [30]
      --max-size SIZE   the longest body that is accepted, in bytes or as in 64K,
                        16M, 2G [1G]
      --fail            take a status from 400 on for a failure

What becomes of the bodies (otherwise they are only counted):
  -o, --output PATH     Of a single fetch: save the body as the file PATH. `-` is
                        standard output; then the report goes to standard error.
                        Of several, or if PATH is a directory: save the bodies in
                        the directory PATH, which is made if need be, with the
                        number of the fetch and the last part of the URL for a
                        name: 0017-index.html
                        A file appears when it is complete, and then replaces one
                        of the same name.

What is shown:
  -v, --verbose         also what was sent, and the heads of the answers
  -q, --quiet           failures only, on standard error
      --json            JSON: a line for each fetch when it is over, and then one
                        for the whole run. Times are in microseconds.
  On a terminal there are colours, unless NO_COLOR is set, and a line that says how
  far it is. In a pipe, or where TERM is `dumb`, there is only ASCII. COLUMNS is
  the width [80].

And besides:
      --serve ADDRESS   fetch nothing, but be the server, at ip:port, until killed
  -h, --help            this text

An answer is taken apart and checked: it fails if it is longer or shorter than it
says, or if what it says leaves a doubt. A fetch that fails, be it for its URL, has
a line that says what was tried, and harms no other.

Exit codes: 0, all went well; 1, something failed; 2, the options make no sense.
";

/// The most that `--at-once` takes: no system has more ports for one address.
const MOST_AT_ONCE: usize = 65_535;

/// The shortest time that `--timeout` takes, which is the precision of the system's timers.
const SHORTEST_TIMEOUT: f64 = 0.001;

/// The longest time that `--timeout` takes: ten days, which nobody waits for.
const LONGEST_TIMEOUT: f64 = 864_000.0;

/// What the command line said.
#[derive(Debug, PartialEq)]
pub(crate) enum Command {
    /// Show the help.
    Help,
    /// Be the server, at this address.
    Serve(SocketAddr),
    /// Fetch.
    Fetch(Options),
}

/// What to fetch, and how.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Options {
    /// The URLs, right or wrong. None: those of the embedded server.
    pub(crate) urls: Vec<String>,
    /// How often each of them.
    pub(crate) times: usize,
    /// How many at a time.
    pub(crate) at_once: usize,
    /// Where the bodies go, if they are wanted.
    pub(crate) output: Option<PathBuf>,
    /// What holds for each fetch.
    pub(crate) wishes: Wishes,
    /// What is shown.
    pub(crate) show: Show,
}

/// What is shown of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Show {
    /// The table and the picture.
    Report,
    /// The heads of the answers, and then the same.
    Verbose,
    /// Failures only.
    Quiet,
    /// JSON lines.
    Json {
        /// Whether they have the heads of the answers.
        verbose: bool,
    },
}

/// Reads the command line, without the name of the program.
pub(crate) fn parse(
    arguments: impl IntoIterator<Item = impl Into<OsString>>,
) -> Result<Command, lexopt::Error> {
    let mut options = Options {
        urls: Vec::new(),
        times: 1,
        at_once: 100,
        output: None,
        wishes: Wishes {
            deadline: Duration::from_secs(30),
            max_size: 1024 * 1024 * 1024,
            follow: false,
            fail: false,
        },
        show: Show::Report,
    };
    let (mut verbose, mut quiet, mut json) = (false, false, false);
    let mut serve = None;

    let mut parser = lexopt::Parser::from_args(arguments.into_iter().map(Into::into));
    while let Some(argument) = parser.next()? {
        match argument {
            Short('n') | Long("times") => {
                options.times = parser.value()?.parse_with(|text| count(text, usize::MAX))?;
            }
            Short('c') | Long("at-once") => {
                options.at_once = parser
                    .value()?
                    .parse_with(|text| count(text, MOST_AT_ONCE))?;
            }
            Short('L') | Long("follow") => options.wishes.follow = true,
            Long("timeout") => options.wishes.deadline = parser.value()?.parse_with(seconds)?,
            Long("max-size") => options.wishes.max_size = parser.value()?.parse_with(size)?,
            Long("fail") => options.wishes.fail = true,
            Short('o') | Long("output") => options.output = Some(parser.value()?.into()),
            Short('v') | Long("verbose") => verbose = true,
            Short('q') | Long("quiet") => quiet = true,
            Long("json") => json = true,
            Long("serve") => serve = Some(parser.value()?.parse()?),
            Short('h') | Long("help") => return Ok(Command::Help),
            // What is not Unicode is no URL either, and is refused as such.
            Value(url) => options.urls.push(url.to_string_lossy().into_owned()),
            other => return Err(other.unexpected()),
        }
    }

    options.show = match (verbose, quiet, json) {
        (_, true, true) => return Err("--quiet and --json exclude one another".into()),
        (true, true, _) => return Err("--verbose and --quiet exclude one another".into()),
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
        Some(_) if !options.urls.is_empty() => Err("--serve takes no URLs".into()),
        Some(address) => Ok(Command::Serve(address)),
        None if to_stdout && json => Err("--json and --output - both want standard output".into()),
        None if to_stdout && fetches != Some(1) => {
            Err("--output - takes the body of one fetch only".into())
        }
        None if fetches.is_none() => Err("these are too many fetches to be counted".into()),
        None => Ok(Command::Fetch(options)),
    }
}

/// Reads a number of things, of which there is at least one.
fn count(text: &str, most: usize) -> Result<usize, String> {
    match text.parse() {
        Ok(count) if (1..=most).contains(&count) => Ok(count),
        _ => Err(format!("expected a number from 1 to {most}")),
    }
}

/// Reads a time.
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: Option<f64> = text.parse().ok();
    match seconds {
        Some(seconds) if (SHORTEST_TIMEOUT..=LONGEST_TIMEOUT).contains(&seconds) => {
            Ok(Duration::from_secs_f64(seconds))
        }
        _ => Err(format!(
            "expected seconds, as 30 or 0.5, from {SHORTEST_TIMEOUT} to {LONGEST_TIMEOUT}"
        )),
    }
}

/// Reads a number of bytes.
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
        .ok_or_else(|| "expected a number of bytes, as 4096, 64K, 16M or 1G".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads options that are right.
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
            ("-L", &|o| o.wishes.follow = true),
            ("--follow", &|o| o.wishes.follow = true),
            ("--fail", &|o| o.wishes.fail = true),
            ("--timeout 0.3", &|o| {
                o.wishes.deadline = Duration::from_millis(300);
            }),
            ("--max-size 12", &|o| o.wishes.max_size = 12),
            ("--max-size 0", &|o| o.wishes.max_size = 0),
            ("--max-size 3k", &|o| o.wishes.max_size = 3072),
            ("--max-size 3M", &|o| o.wishes.max_size = 3 << 20),
            ("--max-size 3G", &|o| o.wishes.max_size = 3 << 30),
            ("-o x", &|o| o.output = Some("x".into())),
            ("--output x", &|o| o.output = Some("x".into())),
            ("-v", &|o| o.show = Show::Verbose),
            ("-q", &|o| o.show = Show::Quiet),
            ("--json", &|o| o.show = Show::Json { verbose: false }),
            ("--json -v", &|o| o.show = Show::Json { verbose: true }),
            ("a b", &|o| o.urls = vec!["a".into(), "b".into()]),
            ("-vL -- -q", &|o| {
                o.show = Show::Verbose;
                o.wishes.follow = true;
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
    fn options_that_make_no_sense_are_refused() {
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
            "--serve",
            "--serve localhost:80",
            "--serve 127.0.0.1:80 b",
        ] {
            assert!(parse(line.split_whitespace()).is_err(), "{line}");
        }
    }

    #[test]
    fn the_help_names_every_option_and_fits_a_window() {
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
            "--serve",
            "-h, --help",
        ] {
            assert!(HELP.contains(option), "{option}");
        }
        assert!(HELP.lines().all(|line| line.len() <= 84));
    }
}
