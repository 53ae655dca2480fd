//! The output of the program, and a progress line on a terminal, which is erased before anything else is
//! printed.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use glassfrog::time;

use crate::stats::Stats;
use crate::style::grouped;

/// The time before the progress line appears, so that it does not flicker in a short run, and between two
/// updates.
const PACE: Duration = Duration::from_millis(200);

/// Moves to the beginning of the line and erases it (ECMA-48: `EL`).
const WIPE: &str = "\r\x1b[K";

/// The output and the progress line.
pub(crate) struct Screen {
    /// The output for the report.
    out: Box<dyn Write>,
    /// The time of the next update, if there is a progress line.
    next: Option<Instant>,
    /// Whether the line is visible.
    shown: bool,
}

impl Screen {
    /// Creates a screen that prints the report to `out`. Shows a progress line if it is wanted and standard
    /// error is a terminal that can erase a line.
    pub(crate) fn new(out: Box<dyn Write>, wanted: bool) -> Self {
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let shows = wanted && !is_dumb && io::stderr().is_terminal();
        Self {
            out,
            next: shows.then(|| time::now() + PACE),
            shown: false,
        }
    }

    /// Updates the progress line if it is time.
    pub(crate) fn progress(&mut self, stats: &Stats, under_way: usize) {
        let now = time::now();
        if self.next.is_none_or(|next| now < next) {
            return;
        }
        self.next = Some(now + PACE);
        self.shown = true;
        let [over, total, under_way, failed] = [
            stats.over(),
            stats.total as u64,
            under_way as u64,
            stats.failed,
        ]
        .map(grouped);
        let line = format!("{over} of {total} done, {under_way} in progress, {failed} failed");
        say(&format!("{WIPE}{line}"));
    }

    /// Prints a part of the report.
    pub(crate) fn print(&mut self, text: &str) -> io::Result<()> {
        self.wipe();
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }

    /// Prints a message on standard error.
    pub(crate) fn complain(&mut self, message: &str) {
        self.wipe();
        complain(message);
    }

    /// Erases the progress line.
    fn wipe(&mut self) {
        if self.shown {
            self.shown = false;
            say(WIPE);
        }
    }
}

/// Leaves an empty line for what follows, such as the prompt of a shell.
impl Drop for Screen {
    fn drop(&mut self) {
        self.wipe();
    }
}

/// Prints a message on standard error, with the name of the program.
pub(crate) fn complain(message: &str) {
    say(&format!("fetch: {message}\n"));
}

/// Writes to standard error and ignores errors. `eprint!` would panic if the reader has closed its end.
fn say(text: &str) {
    let _unheard = io::stderr().write_all(text.as_bytes());
}
