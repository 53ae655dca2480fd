//! The JSON of a dump.

use super::{Answer, Dump, TaskDump, Wait, What};
use crate::traces::Trace;
use std::fmt;
use std::panic::Location;
use std::time::Duration;

impl Dump {
    /// Returns the dump as one line of JSON (RFC 8259).
    ///
    /// The dump is an object with the keys `state` (`"tasks"`, `"ended"`, `"asleep"` or `"busy"`), `tasks`, an
    /// array of all tasks in the order of [`tasks`](Dump::tasks), and `pool`, the [blocking pool](Dump::pool). If the runtime belongs to
    /// [`Workers`](crate::Workers), the object has the key `worker`, the number of the worker. If the loop is busy, the
    /// object also has the keys `what`, `task` and `poll`, which describe the poll that blocks the loop, and `seconds`,
    /// the minimum time that the poll has taken so far. A task is an object:
    ///
    /// | key | value |
    /// | --- | --- |
    /// | `id` | the id of the task; 0 for `main`, the future of `block_on` |
    /// | `name` | the name of the task, or `null` |
    /// | `file`, `line` | where the task was spawned, or where `block_on` was called |
    /// | `joined_by` | the id of the task that awaits it, or `null` |
    /// | `child_of` | the id of the task in whose scope it is a child, or `null` |
    /// | `age` | the number of seconds since it was spawned; `null` for `main` |
    /// | `idle` | the number of seconds since its last poll |
    /// | `polls` | the number of its polls |
    /// | `state` | `"running"`, `"ready"`, `"waiting"` or `"finished"` |
    /// | `polls_per_second` | how often it was polled in a second lately; `null` if that is not known |
    /// | `sockets_per_second` | how many sockets it has opened in a second lately; `null` if that is not known |
    /// | `waits` | an array of the things it waits for |
    ///
    /// A wait is an object:
    ///
    /// | key | value |
    /// | --- | --- |
    /// | `kind` | `"io"`, `"kept"`, `"timer"`, `"join"`, `"job"`, `"children"`, `"label"`, `"outside"` or `"idle"` |
    /// | `what` | a description, as in the text |
    /// | `poll` | the number of the poll in which the task left its waker |
    /// | `file`, `line` | where the program began the wait; `null` if that is not known |
    /// | `blocked_by` | an array of the ids of the tasks that must act before the wait ends |
    /// | `given_up`, `completed` | how often the task has begun this wait and [dropped it](Wait::given_up) before it completed, and how often it has completed since the first time |
    /// | `trace` | the chain of async functions that began the wait, or `null`; see [`Builder::trace_waits`](crate::Builder::trace_waits) |
    /// | `seconds` | for a label or a primitive of `sync`, the number of seconds since the wait began; `null` for others |
    /// | `seconds_left` | for `"timer"`, the number of seconds until the deadline; `null` if it is never reached |
    /// | `depth` | for `"label"`, the number of labels around it |
    /// | `holders` | for `"outside"`, the number of holders of the task's waker; `null` if it is unknown |
    ///
    /// The pool is an object:
    ///
    /// | key | value |
    /// | --- | --- |
    /// | `threads` | the number of threads |
    /// | `idle` | the number of threads that run no job |
    /// | `queued` | the number of queued jobs |
    /// | `oldest` | the number of seconds that the oldest of them has been queued, or `null` |
    /// | `jobs` | an array of the running jobs and the oldest queued ones, in the order of [`jobs`](super::PoolDump::jobs) |
    ///
    /// A job is an object:
    ///
    /// | key | value |
    /// | --- | --- |
    /// | `id` | the id of the job |
    /// | `kind` | `"job"`, `"lookup"`, `"output"` or `"input"` |
    /// | `name` | the name of the job, or `null` |
    /// | `file`, `line` | where the program submitted the job, or `null` |
    /// | `state` | `"running"`, `"abandoned"` or `"queued"` |
    /// | `seconds` | the number of seconds that it has been running or, if it is queued, has been queued |
    /// | `awaited` | `"task"`, `"elsewhere"` (not by a task of this runtime), `"no"`, `"detached"` (its handle was dropped) or `"stream"` (a standard stream, which has no handle) |
    /// | `awaited_by` | the id of the task of this runtime that awaits it, or `null` |
    ///
    /// A wait for a primitive of `sync` has a kind of its own, such as `"lock"`. The kind `"kept"` is a wait for a socket
    /// that is over, although the socket still keeps the waker. The root future of a worker waits for the end of the
    /// workers, which is the kind `"idle"`. Later versions may add keys and kinds, but keep these.
    ///
    /// # Examples
    ///
    /// ```
    /// glassfrog::block_on(async {
    ///     let json = glassfrog::task::dump().to_json();
    ///     assert!(json.starts_with(r#"{"state":"tasks","tasks":[{"id":0,"name":null,"#));
    /// });
    /// ```
    pub fn to_json(&self) -> String {
        let mut json = Json::default();
        self.write_json(&mut json);
        json.text
    }

    /// Writes the dump as an object.
    pub(super) fn write_json(&self, json: &mut Json) {
        let state = match self.answer {
            Answer::Tasks => "tasks",
            Answer::Ended => "ended",
            Answer::Asleep => "asleep",
            Answer::Busy { .. } => "busy",
        };
        json.object(|json| {
            json.key("state").text(state);
            if let Some(worker) = self.worker {
                json.key("worker").number(worker);
            }
            if let Answer::Busy {
                task,
                poll,
                polling,
                at_least,
            } = &self.answer
            {
                json.key("what").text(polling);
                json.key("task").number(task);
                json.key("poll").number(poll);
                json.key("seconds").number(at_least.as_secs_f64());
            }
            json.key("tasks").array(&self.tasks, TaskDump::write_json);
            self.pool.write_json(json.key("pool"));
        });
    }
}

impl TaskDump {
    /// Writes the task as an object.
    fn write_json(&self, json: &mut Json) {
        json.object(|json| {
            json.key("id").number(self.id);
            json.key("name").or_null(self.name.as_deref(), Json::text);
            json.place(self.location);
            json.key("joined_by")
                .or_null(self.joined_by(), Json::number);
            json.key("child_of").or_null(self.child_of(), Json::number);
            let age = self.age.as_ref().map(Duration::as_secs_f64);
            json.key("age").or_null(age, Json::number);
            json.key("idle").number(self.idle.as_secs_f64());
            json.key("polls").number(self.polls);
            json.key("state").text(self.state.word());
            json.key("polls_per_second")
                .or_null(self.polls_per_second, Json::number);
            json.key("sockets_per_second")
                .or_null(self.sockets_per_second, Json::number);
            json.key("waits").array(&self.waits, Wait::write_json);
        });
    }
}

impl Wait {
    /// Writes the wait as an object.
    fn write_json(&self, json: &mut Json) {
        json.object(|json| {
            json.key("kind").text(self.what.kind());
            json.key("what").text(&self.what.to_string());
            json.key("poll").number(self.poll);
            let lasted = self.lasted.as_ref().map(Duration::as_secs_f64);
            json.key("seconds").or_null(lasted, Json::number);
            match &self.what {
                What::Timer(left) => {
                    let left = left.as_ref().map(Duration::as_secs_f64);
                    json.key("seconds_left").or_null(left, Json::number);
                }
                What::Outside(held) => json.key("holders").or_null(*held, Json::number),
                What::Label(_) => json.key("depth").number(self.depth),
                What::Io(_)
                | What::Kept(_)
                | What::Join { .. }
                | What::Job(_)
                | What::Children
                | What::Sync { .. }
                | What::Idle => {}
            }
            json.place(self.location);
            json.key("blocked_by")
                .array(&self.blocked_by, |id, json| json.number(id));
            json.key("given_up").number(self.given_up);
            json.key("completed").number(self.completed);
            let chain = self.trace.as_ref().and_then(Trace::chain);
            json.key("trace").or_null(chain.as_deref(), Json::text);
        });
    }
}

/// A writer of JSON on one line.
#[derive(Default)]
pub(super) struct Json {
    /// The text written so far.
    pub(super) text: String,
}

impl Json {
    /// Writes a comma, unless the next element is the first.
    fn separate(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with(['{', '[', ':']) {
            self.text.push(',');
        }
    }

    /// Writes a key. The caller writes the value next.
    pub(super) fn key(&mut self, key: &str) -> &mut Json {
        self.separate();
        self.text(key);
        self.text.push(':');
        self
    }

    /// Writes an object.
    pub(super) fn object(&mut self, members: impl FnOnce(&mut Json)) {
        self.text.push('{');
        members(self);
        self.text.push('}');
    }

    /// Writes an array.
    pub(super) fn array<T>(&mut self, elements: &[T], element: impl Fn(&T, &mut Json)) {
        self.text.push('[');
        for each in elements {
            self.separate();
            element(each, self);
        }
        self.text.push(']');
    }

    /// Writes a value, or `null`.
    pub(super) fn or_null<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Json, T)) {
        match value {
            Some(value) => write(self, value),
            None => self.text.push_str("null"),
        }
    }

    /// Writes a place as the keys `file` and `line`.
    pub(super) fn place(&mut self, place: Option<&Location<'_>>) {
        let (file, line) = (place.map(Location::file), place.map(Location::line));
        self.key("file").or_null(file, Json::text);
        self.key("line").or_null(line, Json::number);
    }

    /// Writes a number.
    pub(super) fn number(&mut self, number: impl fmt::Display) {
        self.text.push_str(&number.to_string());
    }

    /// Writes a string.
    pub(super) fn text(&mut self, text: &str) {
        self.text.push('"');
        for c in text.chars() {
            match c {
                '"' | '\\' => self.text.extend(['\\', c]),
                c if c.is_control() || is_direction(c) => {
                    // The numbers of these characters have at most four hexadecimal digits.
                    self.text.push_str(&format!("\\u{:04x}", u32::from(c)));
                }
                c => self.text.push(c),
            }
        }
        self.text.push('"');
    }
}

/// Returns whether the character controls the direction of text, and so could reorder what a terminal or an editor shows.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controls_of_the_direction_of_text_are_escaped() {
        let mut json = Json::default();
        json.text("a\u{202e}b\u{2066}c\u{200f}d\u{61c}é");
        assert_eq!(json.text, r#""a\u202eb\u2066c\u200fd\u061cé""#);
    }
}
