//! [`Dump`]: what every task waits for, as text and as JSON.
//!
//! This file has only the data and its two formats. `event_loop/dump.rs` collects the data, and `handle.rs`
//! requests it from other threads.

use std::collections::HashSet;
use std::fmt::{self, Write};
use std::panic::Location;
use std::time::Duration;

/// A list of all tasks of a runtime and what each was waiting for, at one moment.
///
/// The [`Display`](fmt::Display) implementation prints a table for a terminal. A task that another task awaits is
/// listed under that task, and so are the children of a [`scope`](crate::task::scope()):
///
/// ```text
/// task           spawned at             age  polls  state    waits for
/// main           -                        -      4  waiting  join task 1 "writer" for 3.2 s
/// └ 1 "writer"   examples/dump.rs:20  3.2 s      2  waiting  write tcp 127.0.0.1:40112 → 127.0.0.1:80 for 3.2 s
/// 2              examples/dump.rs:31  3.2 s      1  waiting  sleep, 250 ms to go
/// ```
///
/// A task that awaits several tasks listed under it, such as those of a [`JoinSet`](crate::task::JoinSet), has
/// one line for all of them: "join the 5 tasks below".
///
/// Taking a dump polls no task. A dump shows the sockets, deadlines, tasks and jobs that hold the waker of a task.
/// If the task left its waker there in an earlier poll than its last, the dump shows that poll ("since poll 12 of
/// 15"): the wait may belong to one of several futures that the task polls in turn, or to a future that was dropped.
/// If a wait is certainly over, but the socket still keeps the waker, the dump shows it as over ("until poll 12 of
/// 15").
///
/// A task waits for something outside glassfrog, such as a channel or a lock, if nothing in glassfrog holds its
/// waker, or if something else holds it too. The dump shows the number of these holders. Without a holder, the task
/// will never be woken. A holder may be the task itself, or a task that waits for it, so a task with holders may
/// never be woken either.
///
/// # Examples
///
/// ```
/// use glassfrog::task;
/// use glassfrog::time::sleep;
/// use std::time::Duration;
///
/// glassfrog::block_on(async {
///     task::Builder::new().name("sleeper").spawn(sleep(Duration::from_secs(60)));
///     task::yield_now().await;
///     let dump = task::dump().to_string();
///     assert!(dump.contains("1 \"sleeper\""), "{dump}");
///     assert!(dump.contains("waiting  sleep, 59."), "{dump}");
/// });
/// ```
#[derive(Clone, Debug)]
pub struct Dump {
    /// The answer of the loop.
    pub(crate) answer: Answer,
    /// The tasks, each after the task under which it is listed.
    pub(crate) tasks: Vec<TaskDump>,
}

/// The answer of a loop to the request for a dump.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// The loop listed its tasks.
    Tasks,
    /// The runtime has ended.
    Ended,
    /// The loop did not answer, because no thread is inside `block_on`.
    Asleep,
    /// The loop did not answer, because it was polling a task.
    Busy {
        /// The low half of the task's id; 0 for the root future.
        task: u32,
        /// The number of the poll, counted from 1.
        poll: u32,
        /// A description of the poll and the task, which is more detailed if polls are watched.
        polling: String,
        /// The time for which the poll has lasted, at least.
        at_least: Duration,
    },
}

/// A task, the root future, or the child of a scope.
#[derive(Clone, Debug)]
pub(crate) struct TaskDump {
    /// The id of the task; 0 for the root future.
    pub(crate) id: u64,
    /// The name of the task, if it has one.
    pub(crate) name: Option<Box<str>>,
    /// Where the task was spawned. The root future was not spawned.
    pub(crate) location: Option<&'static Location<'static>>,
    /// The task under which this one is listed, and the reason.
    pub(crate) under: Option<(u64, Under)>,
    /// The depth of the task in the tree.
    pub(crate) depth: usize,
    /// The time since the task was spawned. The root future was not spawned.
    pub(crate) age: Option<Duration>,
    /// The time since the last poll of the task.
    pub(crate) idle: Duration,
    /// The number of polls of the task.
    pub(crate) polls: u32,
    /// The state of the task: `running`, `ready`, `waiting` or `finished`.
    pub(crate) state: &'static str,
    /// The waits of the task, oldest first.
    pub(crate) waits: Vec<Wait>,
}

/// The reason why a task is listed under another task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Under {
    /// The other task awaits this one.
    Joined,
    /// This is a child in a scope of the other task.
    Scope,
}

/// Something that a task waits for.
#[derive(Clone, Debug)]
pub(crate) struct Wait {
    /// What the task waits for.
    pub(crate) what: What,
    /// The poll in which the task left its waker.
    pub(crate) poll: u32,
}

/// The things that a task can wait for.
#[derive(Clone, Debug)]
pub(crate) enum What {
    /// A socket, with its description.
    Io(String),
    /// A socket, with its description. The wait is over, but the socket still keeps the waker.
    Kept(String),
    /// A deadline, with the time until then; `None` if it is never reached.
    Timer(Option<Duration>),
    /// The end of a task.
    Join {
        /// The id of the task.
        id: u64,
        /// The label of the task.
        task: String,
    },
    /// A blocking job, with its description.
    Job(String),
    /// The children of a scope, which are listed under the task with their own waits.
    Children,
    /// Something outside glassfrog, with the number of other references to the task's waker, if it is known.
    Outside(Option<usize>),
}

impl What {
    /// Returns the `kind` in JSON.
    fn kind(&self) -> &'static str {
        match self {
            What::Io(_) => "io",
            What::Kept(_) => "kept",
            What::Timer(_) => "timer",
            What::Join { .. } => "join",
            What::Job(_) => "job",
            What::Children => "children",
            What::Outside(_) => "outside",
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            What::Io(text) | What::Kept(text) | What::Job(text) => f.write_str(text),
            What::Join { task, .. } => write!(f, "join task {task}"),
            What::Timer(None) => f.write_str("sleep, forever"),
            What::Timer(Some(Duration::ZERO)) => f.write_str("sleep, due now"),
            What::Timer(Some(left)) => write!(f, "sleep, {} to go", Time(*left)),
            What::Children => f.write_str("the children of its scope"),
            What::Outside(_) => f.write_str("something outside glassfrog"),
        }
    }
}

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
            String::from(self.state),
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
                return f.write_str("the loop is not running: no thread is inside `block_on`\n");
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

impl Dump {
    /// Returns the dump as one line of JSON (RFC 8259).
    ///
    /// The dump is an object with the keys `state` (`"tasks"`, `"ended"`, `"asleep"` or `"busy"`) and `tasks`, an
    /// array in the order of the text. If the loop is busy, the object also has the keys `what`, `task` and `poll`,
    /// which describe the poll that blocks the loop, and `seconds`, the time that the poll has taken at least. A
    /// task is an object:
    ///
    /// | key | value |
    /// | --- | --- |
    /// | `id` | the id of the task; 0 for `main`, the future of `block_on` |
    /// | `name` | the name of the task, or `null` |
    /// | `file`, `line` | where the task was spawned; `null` for `main` |
    /// | `joined_by` | the id of the task that awaits it, or `null` |
    /// | `child_of` | the id of the task in whose scope it is a child, or `null` |
    /// | `age` | the number of seconds since it was spawned; `null` for `main` |
    /// | `idle` | the number of seconds since its last poll |
    /// | `polls` | the number of its polls |
    /// | `state` | `"running"`, `"ready"`, `"waiting"` or `"finished"` |
    /// | `waits` | an array of the things it waits for |
    ///
    /// A wait is an object:
    ///
    /// | key | value |
    /// | --- | --- |
    /// | `kind` | `"io"`, `"kept"`, `"timer"`, `"join"`, `"job"`, `"children"` or `"outside"` |
    /// | `what` | a description, as in the text |
    /// | `poll` | the number of the poll in which the task left its waker |
    /// | `seconds_left` | for `"timer"`, the number of seconds until the deadline; `null` if it is never reached |
    /// | `holders` | for `"outside"`, the number of holders of the task's waker; `null` if it is unknown |
    ///
    /// The kind `"kept"` is a wait for a socket that is over, although the socket still keeps the waker. Later
    /// versions may add keys and kinds, but keep these.
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
        json.object(|json| {
            let state = match self.answer {
                Answer::Tasks => "tasks",
                Answer::Ended => "ended",
                Answer::Asleep => "asleep",
                Answer::Busy { .. } => "busy",
            };
            json.key("state").text(state);
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
            json.key("tasks").array(&self.tasks, TaskDump::to_json);
        });
        json.text
    }
}

impl TaskDump {
    /// Writes the task as an object.
    fn to_json(&self, json: &mut Json) {
        let under = |why: Under| {
            let (task, _) = self.under.filter(|(_, reason)| *reason == why)?;
            Some(task)
        };
        json.object(|json| {
            json.key("id").number(self.id);
            json.key("name").or_null(self.name.as_deref(), Json::text);
            json.key("file")
                .or_null(self.location.map(Location::file), Json::text);
            json.key("line")
                .or_null(self.location.map(Location::line), Json::number);
            json.key("joined_by")
                .or_null(under(Under::Joined), Json::number);
            json.key("child_of")
                .or_null(under(Under::Scope), Json::number);
            let age = self.age.as_ref().map(Duration::as_secs_f64);
            json.key("age").or_null(age, Json::number);
            json.key("idle").number(self.idle.as_secs_f64());
            json.key("polls").number(self.polls);
            json.key("state").text(self.state);
            json.key("waits").array(&self.waits, Wait::to_json);
        });
    }
}

impl Wait {
    /// Writes the wait as an object.
    fn to_json(&self, json: &mut Json) {
        json.object(|json| {
            json.key("kind").text(self.what.kind());
            json.key("what").text(&self.what.to_string());
            json.key("poll").number(self.poll);
            match &self.what {
                What::Timer(left) => {
                    let left = left.as_ref().map(Duration::as_secs_f64);
                    json.key("seconds_left").or_null(left, Json::number);
                }
                What::Outside(held) => json.key("holders").or_null(*held, Json::number),
                What::Io(_) | What::Kept(_) | What::Join { .. } | What::Job(_) | What::Children => {
                }
            }
        });
    }
}

/// A writer of JSON on one line.
#[derive(Default)]
struct Json {
    /// The text written so far.
    text: String,
}

impl Json {
    /// Writes a comma, unless the next element is the first.
    fn separate(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with(['{', '[', ':']) {
            self.text.push(',');
        }
    }

    /// Writes a key. The caller writes the value next.
    fn key(&mut self, key: &str) -> &mut Json {
        self.separate();
        self.text(key);
        self.text.push(':');
        self
    }

    /// Writes an object.
    fn object(&mut self, members: impl FnOnce(&mut Json)) {
        self.text.push('{');
        members(self);
        self.text.push('}');
    }

    /// Writes an array.
    fn array<T>(&mut self, elements: &[T], element: impl Fn(&T, &mut Json)) {
        self.text.push('[');
        for each in elements {
            self.separate();
            element(each, self);
        }
        self.text.push(']');
    }

    /// Writes a value, or `null`.
    fn or_null<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Json, T)) {
        match value {
            Some(value) => write(self, value),
            None => self.text.push_str("null"),
        }
    }

    /// Writes a number.
    fn number(&mut self, number: impl fmt::Display) {
        self.text.push_str(&number.to_string());
    }

    /// Writes a string.
    fn text(&mut self, text: &str) {
        self.text.push('"');
        for c in text.chars() {
            match c {
                '"' | '\\' => self.text.extend(['\\', c]),
                c if c.is_control() => {
                    // The number of a control character has at most four hexadecimal digits.
                    self.text.push_str(&format!("\\u{:04x}", u32::from(c)));
                }
                c => self.text.push(c),
            }
        }
        self.text.push('"');
    }
}
