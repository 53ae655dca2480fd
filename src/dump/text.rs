//! The text of a dump: a table for a terminal.
//!
//! `fold.rs` decides which tasks share a line.

use super::fold::{self, Folded, Group};
use super::{Answer, Dump, TaskState, Wait, What};
use crate::traces::Trace;
use std::borrow::Cow;
use std::fmt::{self, Write};
use std::time::Duration;

/// A duration that is displayed with one or two units.
pub(crate) struct Time(pub(crate) Duration);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = self.0.as_secs();
        match secs {
            0 => write!(f, "{} ms", self.0.as_millis()),
            1..60 => write!(f, "{}.{} s", secs, self.0.subsec_millis() / 100),
            60..3600 => write!(f, "{} min {} s", secs / 60, secs % 60),
            3600..86400 => write!(f, "{} h {} min", secs / 3600, secs / 60 % 60),
            _ => write!(f, "{} d {} h", secs / 86400, secs / 3600 % 24),
        }
    }
}

/// A number whose digits are displayed in groups of three, such as 2,345,678.
pub(crate) struct Grouped(pub(crate) u64);

impl fmt::Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0..1000 => write!(f, "{}", self.0),
            number => write!(f, "{},{:03}", Grouped(number / 1000), number % 1000),
        }
    }
}

/// The fewest polls in a second that a line shows. A task that waits for a peer or a user is polled less often.
const MANY_POLLS: f64 = 100.0;

/// The fewest sockets opened in a second that a line shows. A client that keeps its connections opens fewer.
const MANY_SOCKETS: f64 = 20.0;

/// The number of characters of a name that a report shows. A longer one would push the rest of each line out of sight,
/// and the formatter of `std` pads to at most 65,535 characters.
const LONGEST_NAME: usize = 60;

/// The number of characters of a label that a report shows. A label may be a sentence, and stands in the last column.
const LONGEST_LABEL: usize = 200;

/// Displays a name in quotes. A long one is cut off.
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*shortened(self.0, LONGEST_NAME))
    }
}

/// Displays a label in quotes. A long one is cut off.
pub(super) struct QuotedLabel<'a>(pub(super) &'a str);

impl fmt::Display for QuotedLabel<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*shortened(self.0, LONGEST_LABEL))
    }
}

/// Returns a text, or its first characters and an ellipsis.
fn shortened(text: &str, longest: usize) -> Cow<'_, str> {
    match text.char_indices().nth(longest) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

/// Returns the label of a task in a dump: its id and, if it has one, its name.
pub(crate) fn label(id: u64, name: Option<&str>) -> String {
    match (id, name) {
        (0, _) => String::from("main"),
        (_, Some(name)) => format!("{id} {}", Quoted(name)),
        (_, None) => id.to_string(),
    }
}

/// The maximum indentation of the tree, so that a chain of a thousand tasks remains a table.
const MAX_DEPTH: usize = 32;

/// The headings of the columns, except for the last.
const HEADINGS: [&str; 5] = ["task", "spawned at", "age", "polls", "state"];

/// Whether each column is right-aligned.
const RIGHT_ALIGNED: [bool; 5] = [false, false, true, true, false];

/// The rows of one or more dumps, which share the widths of their columns.
#[derive(Default)]
pub(super) struct Table {
    /// The rows, without the heading.
    rows: Vec<Row>,
}

/// A row of the table.
enum Row {
    /// The tasks of a group: the cells of all columns except for the last, and the lines of the last.
    Cells([String; 5], Vec<String>),
    /// A remark across all columns.
    Remark(String),
}

impl Table {
    /// Adds the rows of a dump, folded or whole.
    pub(super) fn add(&mut self, dump: &Dump, is_whole: bool) {
        match dump.remark() {
            Some(remark) => self.rows.push(Row::Remark(remark)),
            None => self.add_tasks(dump, is_whole),
        }
        let pool = dump.pool.lines(dump.worker, is_whole);
        self.rows.extend(pool.into_iter().map(Row::Remark));
    }

    /// Adds the rows of the tasks of a dump.
    fn add_tasks(&mut self, dump: &Dump, is_whole: bool) {
        let folded = match is_whole {
            true => fold::unfolded(&dump.tasks),
            false => fold::fold(&dump.tasks),
        };
        self.rows.extend(folded.groups.iter().map(|group| {
            let lines = group.lines(&folded);
            Row::Cells(group.cells(dump.worker), lines)
        }));
        let (groups, tasks) = folded.rest;
        if groups > 0 {
            self.rows.push(Row::Remark(format!(
                "and {tasks} more tasks in {groups} smaller groups, which `{{:#}}` and the JSON list"
            )));
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| match row {
                Row::Cells(cells, _) => Some(cells[column].chars().count()),
                Row::Remark(_) => None,
            });
            cells.chain([HEADINGS[column].len()]).max().unwrap_or(0)
        };
        let widths: [usize; 5] = std::array::from_fn(width);
        let line = |f: &mut fmt::Formatter<'_>, cells: [&str; 5], last: &str| {
            let mut line = String::new();
            for column in 0..cells.len() {
                let (cell, width) = (cells[column], widths[column]);
                match RIGHT_ALIGNED[column] {
                    true => write!(line, "{cell:>width$}  ")?,
                    false => write!(line, "{cell:width$}  ")?,
                }
            }
            line.push_str(last);
            writeln!(f, "{}", line.trim_end())
        };
        if self.rows.iter().any(|row| matches!(row, Row::Cells(..))) {
            line(f, HEADINGS, "waits for")?;
        }
        for row in &self.rows {
            match row {
                Row::Remark(remark) => writeln!(f, "{remark}")?,
                Row::Cells(cells, lines) => {
                    let cells = std::array::from_fn(|column| cells[column].as_str());
                    line(f, cells, lines.first().map_or("", String::as_str))?;
                    for further in lines.iter().skip(1) {
                        line(f, [""; 5], further)?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl fmt::Display for Dump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::default();
        table.add(self, f.alternate());
        table.fmt(f)
    }
}

impl Dump {
    /// Returns a remark that replaces the tasks, if the loop has not listed them.
    fn remark(&self) -> Option<String> {
        let remark = match &self.answer {
            Answer::Tasks => return None,
            Answer::Ended => String::from("the runtime has ended"),
            Answer::Asleep => {
                String::from("the loop is not running: no thread is inside `block_on` or a turn")
            }
            Answer::Busy {
                polling, at_least, ..
            } => format!(
                "the loop does not answer: it has been in {polling} for at least {}",
                Time(*at_least)
            ),
        };
        Some(match self.worker {
            Some(worker) => format!("worker {worker}: {remark}"),
            None => remark,
        })
    }
}

impl Group<'_> {
    /// Returns the cells of the group's row, except for the last.
    fn cells(&self, worker: Option<usize>) -> [String; 5] {
        let name = self.task.name.as_deref();
        let label = match (self.count, name) {
            (1, _) => match worker {
                Some(worker) if self.task.id == 0 => format!("worker {worker}"),
                _ => label(self.task.id, name),
            },
            (count, Some(name)) if self.is_named => format!("{count} × {}", Quoted(name)),
            (count, _) => format!("{count} ×"),
        };
        let branch = match self.depth {
            0 => String::new(),
            depth => format!("{}└ ", "  ".repeat(depth.min(MAX_DEPTH) - 1)),
        };
        let location = self.task.location;
        let location = location.map(|at| format!("{}:{}", at.file(), at.line()));
        let age = self.age.map(|age| Time(age).to_string());
        [
            branch + &label,
            location.unwrap_or_else(|| String::from("-")),
            age.unwrap_or_else(|| String::from("-")),
            self.polls.to_string(),
            String::from(self.task.state.word()),
        ]
    }

    /// Returns what the group waits for: a line for each wait of its task, each followed by its trace. Several joins
    /// share a line.
    fn lines(&self, folded: &Folded<'_>) -> Vec<String> {
        let task = self.task;
        let (mut joins, mut waits): (Vec<&Wait>, Vec<&Wait>) = task
            .waits
            .iter()
            .partition(|wait| folded.shares_line(self, wait));
        if joins.len() < 2 {
            joins.clear();
            waits = task.waits.iter().collect();
        }
        let count = waits.len() + usize::from(!joins.is_empty());
        let shown = match count > folded.most_waits {
            true => folded.most_waits - 1,
            false => count,
        };
        let mut lines = Vec::with_capacity(shown);
        if !joins.is_empty() {
            let what = match self.count == 1 && folded.is_tree {
                true => format!("join the {} tasks below", joins.len()),
                false => format!("join {} tasks", joins.len()),
            };
            let polls = joins.iter().map(|wait| wait.poll);
            let (first, last) = polls.fold((u32::MAX, 0), |(first, last), poll| {
                (first.min(poll), last.max(poll))
            });
            let since = match first {
                _ if first == task.polls => String::new(),
                _ if first == last => format!(", since poll {first} of {}", task.polls),
                _ => format!(", since polls {first} to {last} of {}", task.polls),
            };
            lines.push(self.line(what, since, "", true, None));
        }
        for wait in waits.iter().take(shown - lines.len()) {
            let what = match wait.what {
                What::Children if self.count > 1 => String::from("the children of their scopes"),
                // Each of them may wait for another one.
                What::Sync { .. } | What::Join { .. } if !self.is_same => {
                    format!("e.g. {}{}", wait.what, wait.place())
                }
                _ => format!("{}{}", wait.what, wait.place()),
            };
            let since = match wait.what {
                What::Kept(_) => format!(
                    ", until poll {} of {} (the socket still keeps the waker)",
                    wait.poll, task.polls
                ),
                _ if wait.poll == task.polls => String::new(),
                _ => format!(", since poll {} of {}", wait.poll, task.polls),
            };
            let has_duration = !matches!(wait.what, What::Timer(_) | What::Idle);
            let note = self.note(&wait.what) + &wait.given_up_text();
            let is_first = lines.is_empty();
            let line = match self.count {
                1 => self.line(what, since, &note, has_duration, wait.lasted),
                _ if is_first => self.line(what, since, &note, true, wait.lasted),
                _ => what + &since + &note,
            };
            let indent = "  ".repeat(usize::from(wait.depth));
            lines.push(format!("{indent}{line}"));
            // Resolves the trace only here, for the lines that are printed.
            let chain = wait.trace.as_ref().and_then(Trace::chain);
            let chain = chain.iter().flat_map(|chain| chain.lines());
            lines.extend(chain.map(|frame| format!("{indent}  {frame}")));
        }
        if shown < count {
            lines.push(format!("and {} more waits", count - shown));
        }
        if self.count > 1 && task.state == TaskState::Finished {
            lines.push(self.line(
                String::from("not joined yet"),
                String::new(),
                "",
                true,
                None,
            ));
        }
        if let Some(rates) = self.rates() {
            match lines.first_mut() {
                Some(line) => line.push_str(&format!("; {rates}")),
                None => lines.push(rates),
            }
        }
        lines
    }

    /// Returns how often the tasks were polled and how many sockets they opened in a second lately, if that is remarkable.
    fn rates(&self) -> Option<String> {
        let polls = self.polls_per_second;
        let sockets = self.sockets_per_second;
        let polls = (polls >= MANY_POLLS)
            .then(|| format!("polled {} times a second", Grouped(polls.round() as u64)));
        let sockets = (sockets >= MANY_SOCKETS).then(|| {
            format!(
                "opened {} sockets a second",
                Grouped(sockets.round() as u64)
            )
        });
        match (polls, sockets) {
            (Some(polls), Some(sockets)) => Some(format!("{polls}, {sockets}")),
            (polls, sockets) => polls.or(sockets),
        }
    }

    /// Returns the line of a wait. The line says for how long it has lasted, if that is known; otherwise, if no poll
    /// since the wait began is known, for how long the task has not been polled.
    fn line(
        &self,
        what: String,
        since: String,
        note: &str,
        has_duration: bool,
        lasted: Option<Duration>,
    ) -> String {
        let time = Time(lasted.unwrap_or(self.task.idle));
        match self.count {
            1 if lasted.is_some() || (has_duration && since.is_empty()) => {
                format!("{what} for {time}{since}{note}")
            }
            1 => format!("{what}{since}{note}"),
            _ => {
                let task = label(self.task.id, self.task.name.as_deref());
                format!("{what}{since}, the longest for {time}: task {task}{note}")
            }
        }
    }

    /// Returns a remark about the holders of the task's waker, or an empty string.
    fn note(&self, what: &What) -> String {
        match what {
            What::Outside(Some(0)) if self.count > 1 => {
                String::from(": nothing holds their wakers, so nothing will wake them")
            }
            What::Outside(Some(0)) => {
                String::from(": nothing holds its waker, so nothing will wake it")
            }
            What::Outside(Some(1)) => String::from(" (its waker has 1 holder)"),
            What::Outside(Some(held)) => format!(" (its waker has {held} holders)"),
            _ => String::new(),
        }
    }
}
