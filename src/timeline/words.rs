//! Names, durations and reasons in words, for pages and lines of text.

use super::event::Reason;
use super::model::Kind;
use super::recording::Recording;
use std::fmt;

/// The number of characters of a name that a label contains. A longer one would push the rest of a line out of sight.
const LONGEST_NAME: usize = 60;

/// What a task waits for, if the poll has left nothing that glassfrog knows.
pub(super) const OUTSIDE: &str = "something outside glassfrog";

/// What a task waits for, if the wait began before the oldest event.
pub(super) const UNKNOWN: &str = "unknown: the wait began before the oldest event";

/// What a job waits for.
pub(super) const THREAD: &str = "a thread for blocking jobs";

/// Why a task is polled for the first time.
pub(super) const SPAWNED: &str = "spawned";

/// Why a task runs that has woken itself.
pub(super) const ITSELF: &str = "itself";

/// Why a task runs whose deadline has passed.
pub(super) const DEADLINE: &str = "its deadline passed";

/// Why a task runs that has awaited the end of the waker.
pub(super) const ITS_END: &str = "it ended";

/// Returns the label of a task or job: its kind, its id and, if it has one, its name.
///
/// The name is quoted, and its invisible characters are escaped.
pub(super) fn label(kind: Kind, id: u32, name: Option<&str>) -> String {
    match (kind, name) {
        (Kind::Main, _) => String::from("main"),
        (_, None) => format!("{} {id}", kind.word()),
        (_, Some(name)) => match name.char_indices().nth(LONGEST_NAME) {
            Some((end, _)) => format!("{} {id} {:?}", kind.word(), format!("{}…", &name[..end])),
            None => format!("{} {id} {name:?}", kind.word()),
        },
    }
}

/// Returns the label of a task of a recording.
pub(super) fn task_label(recording: &Recording, task: u32) -> String {
    let info = recording.tasks.get(&task);
    let name = info.and_then(|info| info.name.as_deref());
    let is_child = info.is_some_and(|info| info.parent.is_some());
    label(kind(task, is_child), task, name)
}

/// Returns the label of a job of a recording.
pub(super) fn job_label(recording: &Recording, job: u32) -> String {
    let info = recording.jobs.get(&job);
    let kind = match info.is_some_and(|info| info.is_lookup) {
        true => Kind::Lookup,
        false => Kind::Job,
    };
    label(kind, job, info.and_then(|info| info.name.as_deref()))
}

/// Returns the kind of a task.
pub(super) fn kind(task: u32, is_child: bool) -> Kind {
    match (task, is_child) {
        (_, true) => Kind::Child,
        // The id of the future of `block_on`.
        (0, false) => Kind::Main,
        (_, false) => Kind::Task,
    }
}

/// Returns a text of a recording.
pub(super) fn text(recording: &Recording, text: u32) -> &str {
    recording.texts.get(&text).map_or("…", String::as_str)
}

/// Returns what a task waits for, in words.
pub(super) fn reason(recording: &Recording, reason: Reason) -> String {
    match reason {
        Reason::Socket { text: index } | Reason::Declared { text: index } => {
            String::from(text(recording, index))
        }
        Reason::Deadline { micros: u32::MAX } => String::from("sleep for more than 71 min"),
        Reason::Deadline { micros } => format!("sleep {}", Nanos(i64::from(micros) * 1000)),
        Reason::Task(task) => format!("join {}", task_label(recording, task)),
        Reason::Children => String::from("its children"),
        Reason::Job(job) => job_label(recording, job),
    }
}

/// A time in nanoseconds that is displayed with three digits.
#[derive(Clone, Copy)]
pub(super) struct Nanos(pub(super) i64);

impl fmt::Display for Nanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// The units, each with its nanoseconds.
        const UNITS: [(&str, f64); 4] = [("ns", 1.0), ("µs", 1e3), ("ms", 1e6), ("s", 1e9)];
        let nanos = self.0.unsigned_abs();
        let sign = if self.0 < 0 { "-" } else { "" };
        let secs = nanos / 1_000_000_000;
        match secs {
            0..120 => {}
            120..7200 => return write!(f, "{sign}{} min {} s", secs / 60, secs % 60),
            _ => return write!(f, "{sign}{} h {} min", secs / 3600, secs / 60 % 60),
        }
        let fits = |(_, unit): &&(&str, f64)| (nanos as f64) < 999.5 * unit;
        let (name, unit) = UNITS.iter().find(fits).unwrap_or(&UNITS[3]);
        let value = nanos as f64 / unit;
        let text = match value {
            _ if *unit == 1.0 => format!("{value:.0}"),
            ..9.995 => format!("{value:.2}"),
            ..99.95 => format!("{value:.1}"),
            _ => format!("{value:.0}"),
        };
        let text = match text.contains('.') {
            true => text.trim_end_matches('0').trim_end_matches('.'),
            false => &text,
        };
        write!(f, "{sign}{text} {name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_three_digits_and_no_idle_zeros() {
        let cases = [
            (0, "0 ns"),
            (999, "999 ns"),
            (1500, "1.5 µs"),
            (19_998_000, "20 ms"),
            (999_700, "1 ms"),
            (12_345_678, "12.3 ms"),
            (-300_000, "-300 µs"),
            (119_000_000_000, "119 s"),
            (125_000_000_000, "2 min 5 s"),
            (7_260_000_000_000, "2 h 1 min"),
            (i64::MIN, "-2562047 h 47 min"),
        ];
        for (nanos, text) in cases {
            assert_eq!(Nanos(nanos).to_string(), text);
        }
    }

    #[test]
    fn the_invisible_characters_of_a_name_are_escaped_in_its_label() {
        let label = |name| label(Kind::Task, 7, Some(name));
        assert_eq!(label("a\u{202e}\n\"b"), r#"task 7 "a\u{202e}\n\"b""#);
        let long = label(&"é".repeat(61));
        assert_eq!(long, format!("task 7 \"{}…\"", "é".repeat(60)));
    }
}
