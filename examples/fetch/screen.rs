//! What stands on the screen while it works, and where output goes: a line that says how far it is,
//! on a terminal only, and wiped away before anything else is printed.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use glassfrog::time;

use crate::stats::Stats;
use crate::style::grouped;

/// How long to wait before the line appears, so that it does not flicker up in a short run; and how
/// often it is drawn.
const PACE: Duration = Duration::from_millis(200);

/// Moves to the beginning of the line and wipes it (ECMA-48: `EL`).
const WIPE: &str = "\r\x1b[K";

/// Where output goes, and the line that says how far it is.
pub(crate) struct Screen {
    /// Where the report goes.
    out: Box<dyn Write>,
    /// When the line is to be drawn next, if it is to be drawn at all.
    next: Option<Instant>,
    /// Whether it stands there.
    shown: bool,
}

impl Screen {
    /// A screen that gives the report to `out`, and shows how far it is if that is wanted and
    /// standard error is a terminal that can wipe a line.
    pub(crate) fn new(out: Box<dyn Write>, wanted: bool) -> Self {
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let shows = wanted && !is_dumb && io::stderr().is_terminal();
        Self {
            out,
            next: shows.then(|| time::now() + PACE),
            shown: false,
        }
    }

    /// Says how far it is, if it is time for that.
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

    /// Wipes the line away.
    fn wipe(&mut self) {
        if self.shown {
            self.shown = false;
            say(WIPE);
        }
    }
}

/// Whatever comes next, be it the prompt of a shell, begins on a line of its own.
impl Drop for Screen {
    fn drop(&mut self) {
        self.wipe();
    }
}

/// Prints a message on standard error, with the name of the program.
pub(crate) fn complain(message: &str) {
    say(&format!("fetch: {message}\n"));
}

/// Writes to standard error. Not with `eprint!`, which panics if nobody is there any more to read it;
/// and if nobody is, there is nobody to tell.
fn say(text: &str) {
    let _unheard = io::stderr().write_all(text.as_bytes());
}
