//! The text of a dump: a table for a terminal.

use super::{Answer, Dump, TaskDump, Wait, What};
use std::collections::HashSet;
use std::fmt::{self, Write};
use std::time::Duration;

impl What {
    /// Returns a remark about the holders of the task's waker, or an empty string.
    fn note(&self) -> String {
        match self {
            What::Outside(Some(0)) => {
                String::from(": nothing holds its waker, so nothing will wake it")
            }
            What::Outside(Some(1)) => String::from(" (its waker has 1 holder)"),
            What::Outside(Some(held)) => format!(" (its waker has {held} holders)"),
            _ => String::new(),
        }
    }
}

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

/// Returns the label of a task in a dump: its id and, if it has one, its name.
pub(crate) fn label(id: u64, name: Option<&str>) -> String {
    match (id, name) {
        (0, _) => String::from("main"),
        (_, Some(name)) => format!("{id} {name:?}"),
        (_, None) => id.to_string(),
    }
}

impl TaskDump {
    /// Returns the cells of the task's line, except for the last.
    fn columns(&self) -> [String; 5] {
        let label = label(self.id, self.name.as_deref());
        let branch = match self.depth {
            0 => String::new(),
            depth => format!("{}└ ", "  ".repeat(depth.min(MAX_DEPTH) - 1)),
        };
        let location = self
            .location
            .map(|at| format!("{}:{}", at.file(), at.line()));
        let age = self.age.map(|age| Time(age).to_string());
        [
            branch + &label,
            location.unwrap_or_else(|| String::from("-")),
            age.unwrap_or_else(|| String::from("-")),
            self.polls.to_string(),
            String::from(self.state.word()),
        ]
    }

    /// Returns what the task waits for, one line for each wait. Tasks in `below`, which are listed under another
    /// task, share one line if there are several.
    fn lines(&self, below: &HashSet<u64>) -> Vec<String> {
        let line = |wait: &Wait| {
            let (what, note) = (&wait.what, wait.what.note());
            if let What::Kept(_) = what {
                return format!(
                    "{what}, until poll {} of {} (the socket still keeps the waker)",
                    wait.poll, self.polls
                );
            }
            if wait.poll != self.polls {
                return format!("{what}, since poll {} of {}{note}", wait.poll, self.polls);
            }
            match what {
                What::Timer(_) => what.to_string(),
                _ => format!("{what} for {}{note}", Time(self.idle)),
            }
        };
        let is_below = |wait: &&Wait| match wait.what {
            What::Join { id, .. } => below.contains(&id),
            _ => false,
        };
        let (joined, others): (Vec<&Wait>, Vec<&Wait>) = self.waits.iter().partition(is_below);
        if joined.len() < 2 {
            return self.waits.iter().map(line).collect();
        }
        let polls = joined.iter().map(|wait| wait.poll);
        let (first, last) = polls.fold((u32::MAX, 0), |(first, last), poll| {
            (first.min(poll), last.max(poll))
        });
        let since = match first {
            _ if first == self.polls => format!(" for {}", Time(self.idle)),
            _ if first == last => format!(", since poll {first} of {}", self.polls),
            _ => format!(", since polls {first} to {last} of {}", self.polls),
        };
        let group = format!("join the {} tasks below{since}", joined.len());
        [group]
            .into_iter()
            .chain(others.into_iter().map(line))
            .collect()
    }
}

/// The maximum indentation of the tree, so that a chain of a thousand tasks remains a table.
const MAX_DEPTH: usize = 32;

/// The headings of the columns, except for the last.
const HEADINGS: [&str; 5] = ["task", "spawned at", "age", "polls", "state"];

/// Whether each column is right-aligned.
const RIGHT_ALIGNED: [bool; 5] = [false, false, true, true, false];

impl fmt::Display for Dump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.answer {
            Answer::Tasks => {}
            Answer::Ended => return f.write_str("the runtime has ended\n"),
            Answer::Asleep => {
                return f.write_str(
                    "the loop is not running: no thread is inside `block_on` or a turn\n",
                );
            }
            Answer::Busy {
                polling, at_least, ..
            } => {
                return writeln!(
                    f,
                    "the loop does not answer: it has been in {polling} for at least {}",
                    Time(*at_least)
                );
            }
        }
        let rows: Vec<[String; 5]> = self.tasks.iter().map(TaskDump::columns).collect();
        let width = |column: usize| {
            let cells = rows.iter().map(|row| row[column].chars().count());
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
        // A task is listed under the task that awaits it, if it is listed under any.
        let below = self.tasks.iter().filter(|task| task.depth > 0);
        let below: HashSet<u64> = below.map(|task| task.id).collect();
        line(f, HEADINGS, "waits for")?;
        for (task, row) in self.tasks.iter().zip(&rows) {
            let cells = std::array::from_fn(|column| row[column].as_str());
            let waits = task.lines(&below);
            line(f, cells, waits.first().map_or("", String::as_str))?;
            for wait in waits.iter().skip(1) {
                line(f, [""; 5], wait)?;
            }
        }
        Ok(())
    }
}
