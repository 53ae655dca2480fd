//! [`Dump`]: what every task waits for, as text for a person and as JSON for a machine.
//!
//! This file has only the data and its two formats. `event_loop/dump.rs` collects the data, and `handle.rs`
//! requests it from other threads.

use std::collections::HashSet;
use std::fmt::{self, Write};
use std::panic::Location;
use std::time::Duration;

/// A list of all tasks of a runtime and what each was waiting for, at one moment.
///
/// The text ([`Display`](fmt::Display)) is a table for a terminal. A task that another task awaits is listed under
/// that task, and so are the children of a [`scope`](crate::task::scope()):
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
/// Taking a dump polls nothing. A task waits for whatever it has left its waker with in its last
/// poll. If it left the waker in an earlier poll, the dump says so ("since poll 12 of 15"): the wait may
/// belong to one of several futures that the task polls in turn, or to one that was
/// dropped. A wait that the task has certainly given up, but whose socket still keeps the waker, is shown as
/// over ("until poll 12 of 15").
///
/// A task waits for something outside glassfrog, such as a channel or a lock, if it has left its waker with
/// nothing in glassfrog, or if something else holds its waker too. The text says how many hold it. If nothing
/// does, the task will never be woken. If something does, that may still be the task itself, or a task that
/// waits for it.
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
    /// How the loop answered.
    pub(crate) answer: Answer,
    /// The tasks, each after the one that it stands under.
    pub(crate) tasks: Vec<TaskDump>,
}

/// How the loop answered when it was asked.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// With its tasks.
    Tasks,
    /// The runtime has ended.
    Ended,
    /// Not at all: no thread is inside `block_on` or a turn.
    Asleep,
    /// Not at all: it was polling a task.
    Busy {
        /// The number of the task; 0 is the root future's.
        task: u32,
        /// Which of its polls it was.
        poll: u32,
        /// Both in words; more of them if polls are watched.
        who: String,
        /// For how long, at least.
        at_least: Duration,
    },
}

/// One task, or what takes its turns like one.
#[derive(Clone, Debug)]
pub(crate) struct TaskDump {
    /// Its number; 0 is the root future's.
    pub(crate) id: u64,
    /// What its spawner calls it.
    pub(crate) name: Option<Box<str>>,
    /// Where it was spawned.
    pub(crate) location: Option<&'static Location<'static>>,
    /// The task that it stands under, and why.
    pub(crate) under: Option<(u64, Under)>,
    /// How deep it stands in the tree.
    pub(crate) depth: usize,
    /// How long ago it was spawned.
    pub(crate) age: Option<Duration>,
    /// How long ago it was polled last.
    pub(crate) idle: Duration,
    /// How many times it was polled.
    pub(crate) polls: u32,
    /// What it does: `running`, `ready`, `waiting` or `finished`.
    pub(crate) state: &'static str,
    /// What it waits for.
    pub(crate) waits: Vec<Wait>,
}

/// Why a task stands under another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Under {
    /// That one awaits it.
    Joined,
    /// It is a child of a scope of that one's.
    Scope,
}

/// Something that a task waits for.
#[derive(Clone, Debug)]
pub(crate) struct Wait {
    /// What it is.
    pub(crate) what: What,
    /// Since when: the poll in which the waker was left.
    pub(crate) poll: u32,
}

/// What can be waited for.
#[derive(Clone, Debug)]
pub(crate) enum What {
    /// A socket, in words.
    Io(String),
    /// A socket, in words, which is no longer waited for but still keeps the waker.
    Kept(String),
    /// A deadline, and how far away it is; `None` if it is as good as never.
    Timer(Option<Duration>),
    /// The end of a task.
    Join {
        /// Its number.
        id: u64,
        /// How it is called.
        task: String,
    },
    /// A blocking job, in words, and whether it is queued.
    Job(String),
    /// The children of its scope, which say themselves what they wait for.
    Children,
    /// Nothing of glassfrog's; so many others hold the task's waker, if that is known.
    Outside(Option<usize>),
}

impl What {
    /// The word that stands for it in JSON.
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
            What::Timer(None) => f.write_str("sleep, for ever"),
            What::Timer(Some(Duration::ZERO)) => f.write_str("sleep, due now"),
            What::Timer(Some(left)) => write!(f, "sleep, {} to go", Time(*left)),
            What::Children => f.write_str("the children of its scope"),
            What::Outside(_) => f.write_str("something outside glassfrog"),
        }
    }
}

impl What {
    /// What else there is to say of it.
    fn note(&self) -> String {
        match self {
            What::Outside(Some(0)) => {
                String::from(": nobody holds its waker, nothing will wake it")
            }
            What::Outside(Some(1)) => String::from(" (somebody holds its waker)"),
            What::Outside(Some(held)) => format!(" ({held} hold its waker)"),
            _ => String::new(),
        }
    }
}

/// A duration in words.
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

/// How a task is called: by its number and, if it has one, its name.
pub(crate) fn called(id: u64, name: Option<&str>) -> String {
    match (id, name) {
        (0, _) => String::from("main"),
        (_, Some(name)) => format!("{id} {name:?}"),
        (_, None) => id.to_string(),
    }
}

impl TaskDump {
    /// The first columns of its line.
    fn columns(&self) -> [String; 5] {
        let called = called(self.id, self.name.as_deref());
        let branch = match self.depth {
            0 => String::new(),
            depth => format!("{}└ ", "  ".repeat(depth.min(DEEPEST) - 1)),
        };
        let location = self
            .location
            .map(|at| format!("{}:{}", at.file(), at.line()));
        let age = self.age.map(|age| Time(age).to_string());
        [
            branch + &called,
            location.unwrap_or_else(|| String::from("-")),
            age.unwrap_or_else(|| String::from("-")),
            self.polls.to_string(),
            String::from(self.state),
        ]
    }

    /// What it waits for, a line each; but one for all that it awaits of those who stand `below` another.
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

/// How deep the tree is drawn at most: a chain of a thousand tasks is to stay a table.
const DEEPEST: usize = 32;

/// The headings of the columns, but for the last.
const HEADINGS: [&str; 5] = ["task", "spawned at", "age", "polls", "state"];

/// Which columns are set to the right.
const TO_THE_RIGHT: [bool; 5] = [false, false, true, true, false];

impl fmt::Display for Dump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.answer {
            Answer::Tasks => {}
            Answer::Ended => return f.write_str("the runtime has ended\n"),
            Answer::Asleep => {
                return f.write_str(
                    "the loop does not run: no thread is inside `block_on` or a turn\n",
                );
            }
            Answer::Busy { who, at_least, .. } => {
                return writeln!(
                    f,
                    "the loop does not answer: it has been in {who} for at least {}",
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
                match TO_THE_RIGHT[column] {
                    true => write!(line, "{cell:>width$}  ")?,
                    false => write!(line, "{cell:width$}  ")?,
                }
            }
            line.push_str(last);
            writeln!(f, "{}", line.trim_end())
        };
        // Whoever stands below another one stands below the one that awaits it.
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
    /// The dump for machines, as one line of JSON (RFC 8259).
    ///
    /// An object with `state` (`"tasks"`, `"ended"`, `"asleep"` or `"busy"`) and `tasks`, an array in
    /// the order of the text. If the loop is busy there are `what`, `task`, `poll` and `seconds` too:
    /// what it does, and for how long at least. A task is an object:
    ///
    /// | key | value |
    /// | --- | --- |
    /// | `id` | its number; 0 is `main`, the future of `block_on` |
    /// | `name` | its name, or `null` |
    /// | `file`, `line` | where it was spawned; `null` for `main` |
    /// | `joined_by` | the number of the task that awaits it, or `null` |
    /// | `child_of` | the number of the task in whose scope it is, or `null` |
    /// | `age` | seconds since it was spawned; `null` for `main` |
    /// | `idle` | seconds since its last poll |
    /// | `polls` | how many times it was polled |
    /// | `state` | `"running"`, `"ready"`, `"waiting"` or `"finished"` |
    /// | `waits` | an array of what it waits for |
    ///
    /// and what it waits for is an object with `kind` (`"io"`, `"timer"`, `"join"`, `"job"`,
    /// `"children"`, `"outside"`), `what` (the words of the text), `poll` (in which of the task's polls it was left),
    /// `seconds_left` for a timer, and `holders` for something outside: how many others hold the
    /// task's waker. (Both may be `null`.) The kind `"kept"` is a wait for a socket that the task has given
    /// up, although the socket still keeps its waker. Keys may be added; those that are here stay.
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
                who,
                at_least,
            } = &self.answer
            {
                json.key("what").text(who);
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
            json.key("name").maybe(self.name.as_deref(), Json::text);
            json.key("file")
                .maybe(self.location.map(Location::file), Json::text);
            json.key("line")
                .maybe(self.location.map(Location::line), Json::number);
            json.key("joined_by")
                .maybe(under(Under::Joined), Json::number);
            json.key("child_of")
                .maybe(under(Under::Scope), Json::number);
            let age = self.age.as_ref().map(Duration::as_secs_f64);
            json.key("age").maybe(age, Json::number);
            json.key("idle").number(self.idle.as_secs_f64());
            json.key("polls").number(self.polls);
            json.key("state").text(self.state);
            json.key("waits").array(&self.waits, Wait::to_json);
        });
    }
}

impl Wait {
    /// Writes what is waited for as an object.
    fn to_json(&self, json: &mut Json) {
        json.object(|json| {
            json.key("kind").text(self.what.kind());
            json.key("what").text(&self.what.to_string());
            json.key("poll").number(self.poll);
            match &self.what {
                What::Timer(left) => {
                    let left = left.as_ref().map(Duration::as_secs_f64);
                    json.key("seconds_left").maybe(left, Json::number);
                }
                What::Outside(held) => json.key("holders").maybe(*held, Json::number),
                What::Io(_) | What::Kept(_) | What::Join { .. } | What::Job(_) | What::Children => {
                }
            }
        });
    }
}

/// JSON that is being written, on one line.
#[derive(Default)]
struct Json {
    /// What has been written.
    text: String,
}

impl Json {
    /// Writes what separates one element from the one before it, if there is one.
    fn separate(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with(['{', '[', ':']) {
            self.text.push(',');
        }
    }

    /// Writes a key; its value is to follow.
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
    fn maybe<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Json, T)) {
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
                    // What is a control character has no more than four digits.
                    self.text.push_str(&format!("\\u{:04x}", u32::from(c)));
                }
                c => self.text.push(c),
            }
        }
        self.text.push('"');
    }
}
