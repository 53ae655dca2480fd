//! Dumps: what every task of a runtime waits for, as data, as text and as JSON.
//!
//! [`task::dump`](crate::task::dump), [`Handle::dump`](crate::Handle::dump) and
//! [`Workers::dump`](crate::Workers::dump) take a dump. This module contains its parts, which a test can assert on.
//!
//! `event_loop/dump.rs` collects the data, and `handle.rs` requests it from other threads.

mod fold;
mod json;
mod text;

pub(crate) use self::text::{Time, label};
use crate::traces::Trace;
use std::fmt;
use std::panic::Location;
use std::time::Duration;

/// A list of all tasks of a runtime and what each was waiting for, at one moment.
///
/// The [`Display`](fmt::Display) implementation prints a table for a terminal. A task that another task awaits is
/// listed under that task, and so are the children of a [`scope`](crate::task::scope()):
///
/// ```text
/// task           spawned at             age  polls  state    waits for
/// main           examples/dump.rs:18      -      4  waiting  join task 1 "writer" for 3.2 s
/// └ 1 "writer"   examples/dump.rs:20  3.2 s      2  waiting  write tcp 127.0.0.1:40112 → 127.0.0.1:80 for 3.2 s
/// 2              examples/dump.rs:31  3.2 s      1  waiting  sleep, 250 ms to go (examples/dump.rs:32)
/// ```
///
/// The row of `main`, the root future, shows where `block_on` was called. A sleep shows where it was made. To see in
/// which async function each task waits, turn on [`Builder::trace_waits`](crate::Builder::trace_waits).
///
/// A task that awaits several tasks listed under it, such as those of a [`JoinSet`](crate::task::JoinSet), has
/// one line for all of them: "join the 5 tasks below".
///
/// Taking a dump polls no task. A dump shows the sockets, deadlines, tasks and jobs that hold the waker of a task.
/// If the task left its waker there before its last poll, the dump shows that poll ("since poll 12 of
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
    /// The number of the worker, if the runtime belongs to [`Workers`](crate::Workers).
    pub(crate) worker: Option<usize>,
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
    /// The loop did not answer, because no thread is inside `block_on` or a turn.
    Asleep,
    /// The loop did not answer, because it was polling a task.
    Busy {
        /// The low half of the task's id; 0 for the root future.
        task: u32,
        /// The number of the poll, counted from 1.
        poll: u32,
        /// A description of the poll and the task, which is more detailed if polls are watched.
        polling: String,
        /// The minimum time that the poll has taken so far.
        at_least: Duration,
    },
}

/// A task in a [`Dump`]: a spawned task, the future of `block_on`, or the child of a scope.
#[derive(Clone, Debug)]
pub struct TaskDump {
    /// The id of the task; 0 for the root future.
    pub(crate) id: u64,
    /// The name of the task, if it has one.
    pub(crate) name: Option<Box<str>>,
    /// Where the task was spawned or, for the root future, where `block_on` was called.
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
    /// The state of the task.
    pub(crate) state: TaskState,
    /// The waits of the task, oldest first.
    pub(crate) waits: Vec<Wait>,
}

/// The state of a task in a [`Dump`].
///
/// # Examples
///
/// See [`TaskDump::state`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TaskState {
    /// The task is being polled.
    Running,
    /// The task is in the run queue, or about to be.
    Ready,
    /// The task waits to be woken.
    Waiting,
    /// The task has ended, and nothing has taken its output from its handle.
    Finished,
}

impl TaskState {
    /// Returns the word for the state in the text and the JSON.
    fn word(self) -> &'static str {
        match self {
            TaskState::Running => "running",
            TaskState::Ready => "ready",
            TaskState::Waiting => "waiting",
            TaskState::Finished => "finished",
        }
    }
}

/// The reason why a task is listed under another task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Under {
    /// The other task awaits this one.
    Joined,
    /// This is a child in a scope of the other task.
    Scope,
}

/// Something that a task in a [`Dump`] waits for.
#[derive(Clone, Debug)]
pub struct Wait {
    /// What the task waits for.
    pub(crate) what: What,
    /// The poll in which the task left its waker.
    pub(crate) poll: u32,
    /// Where the program began the wait, if that is known.
    pub(crate) location: Option<&'static Location<'static>>,
    /// The ids of the tasks of this runtime that must act before the wait ends.
    pub(crate) blocked_by: Vec<u64>,
    /// The stack of the thread when the wait began, if the runtime traces waits. It is resolved when the dump is
    /// printed, and its chain of async functions stands below the wait.
    pub(crate) trace: Option<Trace>,
    /// The number of labels around this one. The text is indented accordingly.
    pub(crate) depth: u16,
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
    /// Something that the program has described.
    Label(String),
    /// A lock, a channel or another primitive of `sync`.
    Sync {
        /// The `kind` in JSON, such as `"lock"`.
        kind: &'static str,
        /// The description: first the subject, such as `lock "accounts" (made at src/bank.rs:12)`, then, after a
        /// comma or a colon, its state.
        text: String,
    },
    /// Something outside glassfrog, with the number of other references to the task's waker, if it is known.
    Outside(Option<usize>),
    /// The end of the [`Workers`](crate::Workers): the root future of a worker waits for nothing else.
    Idle,
}

impl Wait {
    /// Creates a wait that began in a poll, with the details that most waits have.
    pub(crate) fn new(what: What, poll: u32) -> Wait {
        let blocked_by = match what {
            What::Join { id, .. } => vec![id],
            _ => Vec::new(),
        };
        Wait {
            what,
            poll,
            location: None,
            blocked_by,
            trace: None,
            depth: 0,
        }
    }
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
            What::Label(_) => "label",
            What::Sync { kind, .. } => kind,
            What::Outside(_) => "outside",
            What::Idle => "idle",
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            What::Io(text) | What::Kept(text) | What::Job(text) | What::Sync { text, .. } => {
                f.write_str(text)
            }
            What::Join { task, .. } => write!(f, "join task {task}"),
            What::Timer(None) => f.write_str("sleep, forever"),
            What::Timer(Some(Duration::ZERO)) => f.write_str("sleep, due now"),
            What::Timer(Some(left)) => write!(f, "sleep, {} to go", Time(*left)),
            What::Children => f.write_str("the children of its scope"),
            What::Label(text) => write!(f, "{text:?}"),
            What::Outside(_) => f.write_str("something outside glassfrog"),
            What::Idle => f.write_str("idle"),
        }
    }
}

/// Displays what the task waits for, as in the text of the dump, and where the wait began, if that is known.
impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.what.fmt(f)?;
        match (self.location, &self.what) {
            // The description of a primitive ends with a place of its own.
            (Some(at), What::Sync { .. }) => write!(f, "; waiting at {}:{}", at.file(), at.line()),
            (Some(at), _) => write!(f, " ({}:{})", at.file(), at.line()),
            (None, _) => Ok(()),
        }
    }
}
