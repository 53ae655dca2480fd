//! Dumps: what every task of a runtime waits for, as data, as text and as JSON.
//!
//! [`task::dump`](crate::task::dump) and [`Handle::dump`](crate::Handle::dump) return a [`Dump`],
//! [`Workers::dump`](crate::Workers::dump) a [`WorkersDump`]. The other types are parts of a dump, on which a test can
//! assert.
//!
//! [`Dump::circles`] returns the [`Circle`]s of tasks that wait for one another. The runtime searches for them by itself,
//! at most once a second; see [`Builder::on_deadlock`](crate::Builder#circles).

// `event_loop/dump.rs` collects the data, and `handle/request.rs` requests it from other threads.

mod circles;
mod fold;
mod json;
mod pool;
mod stuck;
mod text;
mod workers;

pub use self::circles::Circle;
pub(crate) use self::circles::MayHave;
pub(crate) use self::pool::Awaited;
pub use self::pool::{JobDump, JobState, PoolDump};
pub(crate) use self::stuck::Loose;
use self::text::QuotedLabel;
pub(crate) use self::text::{Grouped, Quoted, Time, label};
pub use self::workers::WorkersDump;
use crate::traces::Trace;
use std::fmt;
use std::panic::Location;
use std::time::Duration;

/// A snapshot of all tasks of a runtime and of what each is waiting for.
///
/// The [`Display`](fmt::Display) implementation prints a table for a terminal. A task that another task awaits is
/// listed under that task, and so are the children of a [`scope`](crate::task::scope()):
///
/// ```text
/// task           spawned at             age  polls  state     waits for
/// main           examples/dump.rs:18      -      4  waiting   join task 1 "writer" for 3.2 s
/// └ 1 "writer"   examples/dump.rs:20  3.2 s      2  waiting   write tcp 127.0.0.1:40112 → 127.0.0.1:80 for 3.2 s
/// 2              examples/dump.rs:31  3.2 s      1  waiting   sleep, 250 ms to go (examples/dump.rs:32)
/// 32 ×           examples/dump.rs:40  4.2 s     71  waiting   read tcp 127.0.0.1:40116 → 127.0.0.1:80, the longest for 4.1 s: task 17
/// 5 ×            examples/dump.rs:44  4.2 s      5  finished  not joined yet, the longest for 4.2 s: task 40
/// ```
///
/// The row of `main`, the root future, shows where `block_on` was called. A sleep shows where it was made. To see in
/// which async function each task waits, turn on [`Builder::trace_waits`](crate::Builder::trace_waits).
///
/// A task that awaits several tasks listed under it, such as those of a [`JoinSet`](crate::task::JoinSet), has
/// one line for all of them: "join the 5 tasks below". The row of a [worker](crate::Workers) has its number instead of
/// "main".
///
/// # Folding
///
/// Three or more tasks share a line if they were spawned at the same place, have the same name or none, are listed under
/// the same task, are in the same state, and wait for the same kinds of things. Reads, writes, sleeps and joins are
/// different kinds, and so are waits with different labels. The line shows the number of the tasks, the age of the oldest,
/// the sum of their polls, and the task that has waited for the longest time, with what it waits for. If the others wait
/// for other locks, channels or tasks, the text says "e.g.". Names of more than 60 characters and labels of more than 200 are cut off. Finished
/// tasks that nothing has joined share a line even if there are only two, whatever their names.
///
/// A line also shows how often its tasks were [polled](TaskDump::polls_per_second), and how many sockets they
/// [opened](TaskDump::sockets_per_second), if they did so often: "polled 3,200 times a second, opened 1,600 sockets a
/// second". The rates of a group are sums.
///
/// If the tasks would take more than 40 lines, tasks with different names fold too. If that is not enough, so do tasks
/// under different tasks, and the text is a list of groups without a tree. If this list has more than 40 lines, and
/// the dump has more than 100 tasks, the text shows the ten largest groups and the number of the other tasks.
///
/// The alternate form, `{:#}`, and the [JSON](Dump::to_json) list every task.
///
/// # The blocking pool
///
/// If a [blocking job](crate::task::spawn_blocking), a name lookup or a job for a standard stream runs or is queued, the
/// text ends with the [pool](Dump::pool):
///
/// ```text
/// blocking pool: 4 threads, 1 idle, 2 jobs queued, the oldest for 1.2 s
/// job                        submitted at           for  state      awaited by
/// lookup 6 "resolve a.test"  -                    8.1 s  abandoned  nothing: its future was dropped, but the resolver has not returned
/// job 4 "indexer"            examples/dump.rs:44  3.2 s  running    task 3 "job"
/// job 7                      examples/dump.rs:46  1.4 s  running    nothing: its handle was dropped
/// job 9                      examples/dump.rs:47  1.2 s  queued     main
/// ```
///
/// Three or more running jobs share a line if they were submitted at the same place, have the same name or none, are in
/// the same state, and are all awaited by tasks, or all not awaited for the same reason. The line shows the one that has
/// run for the longest time. At most ten lines show running jobs, and one shows the oldest queued job. The alternate form
/// lists all running jobs and the eight oldest queued ones of each kind. Jobs take real time, so their times are real even
/// under a virtual clock.
///
/// # What a wait is
///
/// Taking a dump polls no task. A dump shows the sockets, deadlines, tasks, jobs and primitives of `sync` that hold the
/// waker of a task, with the holders of the primitives, and the labels of [`waiting_for`](crate::task::waiting_for). If
/// the task left its waker in a poll before its last one, the dump shows that poll ("since poll 12 of 15"): the wait
/// may belong to one of several futures that the task polls in turn, or to a future that was dropped. If a wait is
/// over, but the socket still keeps the waker, the dump shows it as over ("until poll 12 of 15").
///
/// Waits with a [label](crate::task::waiting_for) and waits for the primitives of `sync` last from the first poll in which
/// they were pending, even if the task has been polled for another reason since. Other waits last from the last poll.
///
/// A task waits for something outside glassfrog, such as a channel or a lock of another crate, if nothing in glassfrog
/// holds its waker, or if something else holds it too. The dump shows the number of these holders. Without a holder,
/// the task will never be woken. A holder may be the task itself, or a task that waits for it, so a task with holders
/// may never be woken either. If the wait has a label, the dump shows the label instead, unless there is no holder.
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
///     for _ in 0..1000 {
///         glassfrog::spawn(sleep(Duration::from_secs(30)));
///     }
///     task::yield_now().await;
///     let dump = task::dump();
///     let text = dump.to_string();
///     assert!(text.contains("1 \"sleeper\""), "{text}");
///     assert!(text.contains("waiting  sleep, 59."), "{text}");
///     // The heading, `main`, the sleeper, and the others.
///     assert_eq!(text.lines().count(), 4);
///     assert!(text.contains("1000 ×"), "{text}");
///     assert_eq!(format!("{dump:#}").lines().count(), 1003);
/// });
/// ```
///
/// A test asserts on what a task waits for:
///
/// ```
/// use glassfrog::task;
///
/// glassfrog::block_on(async {
///     let client = task::Builder::new().name("client");
///     client.spawn(std::future::pending::<()>());
///     task::yield_now().await;
///     let dump = task::dump();
///     let client = dump.find_by_name("client").unwrap();
///     assert_eq!(client.waits()[0].to_string(), "something outside glassfrog");
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
    /// The blocking pool.
    pub(crate) pool: PoolDump,
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

impl Dump {
    /// Returns all tasks. A task that another one awaits follows that task, and so do the children of a scope.
    ///
    /// There are no tasks if the loop did not answer or the runtime has ended.
    ///
    /// # Examples
    ///
    /// ```
    /// glassfrog::block_on(async {
    ///     let task = glassfrog::spawn(async {});
    ///     let dump = glassfrog::task::dump();
    ///     let ids: Vec<u64> = dump.tasks().iter().map(|task| task.id()).collect();
    ///     assert_eq!(ids, [0, u64::from(task.id())]);
    /// });
    /// ```
    pub fn tasks(&self) -> &[TaskDump] {
        &self.tasks
    }

    /// Returns all waits, each with the task that waits.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::task;
    /// use glassfrog::time::sleep;
    /// use std::time::Duration;
    ///
    /// glassfrog::block_on(async {
    ///     for _ in 0..3 {
    ///         glassfrog::spawn(sleep(Duration::from_secs(30)));
    ///     }
    ///     task::yield_now().await;
    ///     let dump = task::dump();
    ///     assert!(dump.waits().all(|(_, wait)| wait.kind() == "timer"));
    ///     assert_eq!(dump.waits().count(), 3);
    /// });
    /// ```
    pub fn waits(&self) -> impl Iterator<Item = (&TaskDump, &Wait)> {
        let waits = |task| TaskDump::waits(task).iter().map(move |wait| (task, wait));
        self.tasks.iter().flat_map(waits)
    }

    /// Returns the task with this name: the first of [`tasks`](Dump::tasks), if several have it.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::task;
    ///
    /// glassfrog::block_on(async {
    ///     task::Builder::new().name("server").spawn(async {});
    ///     assert!(task::dump().find_by_name("server").is_some());
    ///     assert!(task::dump().find_by_name("client").is_none());
    /// });
    /// ```
    pub fn find_by_name(&self, name: &str) -> Option<&TaskDump> {
        self.tasks.iter().find(|task| task.name() == Some(name))
    }

    /// Returns the blocking pool: its threads, and the jobs that they run. It is in the dump even if the loop did not
    /// answer.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::{Handle, task};
    ///
    /// glassfrog::block_on(async {
    ///     let handle = Handle::current();
    ///     let builder = task::Builder::new().name("dump");
    ///     let dump = builder.spawn_blocking(move || handle.dump()).await.unwrap();
    ///     assert_eq!(dump.pool().threads(), 1);
    ///     assert_eq!(dump.pool().jobs()[0].name(), Some("dump"));
    ///     assert!(dump.to_string().contains("blocking pool: 1 thread, 0 idle, no job queued"));
    /// });
    /// ```
    pub fn pool(&self) -> &PoolDump {
        &self.pool
    }

    /// Returns the number of the worker, if the runtime belongs to [`Workers`](crate::Workers).
    ///
    /// # Examples
    ///
    /// ```
    /// let workers = glassfrog::Workers::new(2)?;
    /// assert_eq!(workers.handles()[1].dump().worker(), Some(1));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn worker(&self) -> Option<usize> {
        self.worker
    }
}

/// A task in a [`Dump`]: a spawned task, the future of `block_on`, or the child of a scope.
///
/// # Examples
///
/// ```
/// use glassfrog::dump::TaskState;
/// use glassfrog::task;
///
/// glassfrog::block_on(async {
///     task::Builder::new().name("stuck").spawn(std::future::pending::<()>());
///     task::yield_now().await;
///     let dump = task::dump();
///     let stuck = dump.find_by_name("stuck").unwrap();
///     assert_eq!((stuck.id(), stuck.polls()), (1, 1));
///     assert_eq!(stuck.state(), TaskState::Waiting);
///     assert_eq!(stuck.location().unwrap().file(), file!());
/// });
/// ```
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
    /// How often the task was polled in a second lately, if that is known.
    pub(crate) polls_per_second: Option<f64>,
    /// How many sockets the task has opened in a second lately, if that is known.
    pub(crate) sockets_per_second: Option<f64>,
    /// What may wake or end the task besides its waits.
    pub(crate) loose: Loose,
}

impl TaskDump {
    /// Returns the id of the task; 0 for the future of `block_on`.
    ///
    /// An [`Id`](crate::task::Id) converts into this number.
    ///
    /// # Examples
    ///
    /// See [`Dump::tasks`].
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Returns the name of the task, if it has one.
    ///
    /// # Examples
    ///
    /// See [`Dump::circles`].
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Returns the place where the task was spawned or, for the root future, where `block_on` was called.
    ///
    /// # Examples
    ///
    /// See [`TaskDump`].
    pub fn location(&self) -> Option<&'static Location<'static>> {
        self.location
    }

    /// Returns the state of the task.
    ///
    /// # Examples
    ///
    /// See [`TaskDump`].
    pub fn state(&self) -> TaskState {
        self.state
    }

    /// Returns the number of polls of the task (modulo 2³²).
    ///
    /// # Examples
    ///
    /// See [`TaskDump`].
    pub fn polls(&self) -> u32 {
        self.polls
    }

    /// Returns how often the task was polled in a second lately: on average over one to two seconds if the loop is busy,
    /// and over a longer time if it is not.
    ///
    /// Returns `None` in the first second of a runtime, under a virtual clock, and if the task has finished. In the text
    /// of the dump, a task that is polled at least 100 times a second has this rate: a task that retries in a loop, for
    /// example. A task that is polled often but does not get on is also [reported](crate::task#spinning).
    ///
    /// # Precision
    ///
    /// Up to 31 polls of a task before that time may be counted too. If more than 16,384 tasks have been polled as often
    /// as that, the rate is known only for those that have been polled most.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::task;
    /// use glassfrog::time::sleep;
    /// use std::time::Duration;
    ///
    /// glassfrog::block_on(async {
    ///     let retries = task::Builder::new().name("retries").spawn(async {
    ///         loop {
    ///             // Tries something.
    ///             sleep(Duration::from_millis(1)).await;
    ///         }
    ///     });
    ///     sleep(Duration::from_millis(1100)).await;
    ///     let dump = task::dump();
    ///     let rate = dump.find_by_name("retries").unwrap().polls_per_second();
    ///     println!("it tries {:.0} times a second", rate.unwrap());
    ///     retries.abort();
    /// });
    /// ```
    pub fn polls_per_second(&self) -> Option<f64> {
        self.polls_per_second
    }

    /// Returns how many sockets the task has opened or accepted in a second lately: in the same time as
    /// [`polls_per_second`](TaskDump::polls_per_second).
    ///
    /// Returns `None` in the first second of a runtime, and under a virtual clock. In the text of the dump, a task that
    /// opens at least 20 sockets a second has this rate, which shows a storm of retries.
    ///
    /// # Precision
    ///
    /// The runtime remembers which tasks have opened its 1024 newest sockets. If there were more, the rate is that of the
    /// tasks' shares among these.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::net::UdpSocket;
    /// use glassfrog::task;
    /// use glassfrog::time::sleep;
    /// use std::time::Duration;
    ///
    /// glassfrog::block_on(async {
    ///     for _ in 0..100 {
    ///         UdpSocket::bind("127.0.0.1:0").await?;
    ///     }
    ///     sleep(Duration::from_millis(1100)).await;
    ///     let dump = task::dump();
    ///     assert!(dump.tasks()[0].sockets_per_second() > Some(1.0));
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn sockets_per_second(&self) -> Option<f64> {
        self.sockets_per_second
    }

    /// Returns the time since the task was spawned; `None` for the future of `block_on`.
    ///
    /// # Precision
    ///
    /// The time is within 17 ms of the true one.
    ///
    /// # Examples
    ///
    /// See [`TaskDump::idle`].
    pub fn age(&self) -> Option<Duration> {
        self.age
    }

    /// Returns the time since the last poll of the task, or since its spawn if it was not polled.
    ///
    /// # Precision
    ///
    /// The time is within 17 ms of the true one.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::task;
    /// use glassfrog::time::sleep;
    /// use std::time::Duration;
    ///
    /// let runtime = glassfrog::Runtime::builder().virtual_clock().build()?;
    /// runtime.block_on(async {
    ///     task::Builder::new().name("sleeper").spawn(sleep(Duration::from_secs(60)));
    ///     sleep(Duration::from_secs(5)).await;
    ///     let dump = task::dump();
    ///     let sleeper = dump.find_by_name("sleeper").unwrap();
    ///     assert!(sleeper.idle() > Duration::from_millis(4950));
    ///     assert!(sleeper.age() >= Some(sleeper.idle()));
    /// });
    /// # std::io::Result::Ok(())
    /// ```
    pub fn idle(&self) -> Duration {
        self.idle
    }

    /// Returns the waits of the task, oldest first.
    ///
    /// # Examples
    ///
    /// See [`Wait`].
    pub fn waits(&self) -> &[Wait] {
        &self.waits
    }

    /// Displays what the task does, after its name: `, which waits for lock "index" (made at src/main.rs:7) at
    /// src/worker.rs:15`.
    pub(crate) fn doing(&self) -> String {
        let is_open = |wait: &&Wait| !matches!(wait.what, What::Kept(_));
        let waits = || self.waits.iter().filter(is_open);
        let wait = waits().find(|wait| wait.poll == self.polls);
        let wait = match (self.state, wait.or_else(|| waits().next())) {
            (TaskState::Running, _) => return String::from(", which is running"),
            (TaskState::Ready, _) => return String::from(", which is ready to run"),
            (TaskState::Finished, _) => return String::from(", which has finished"),
            (TaskState::Waiting, None) => return String::new(),
            (TaskState::Waiting, Some(wait)) => wait,
        };
        match (&wait.what, wait.location) {
            (What::Sync { subject, .. }, Some(at)) => {
                let (file, line) = (at.file(), at.line());
                format!(", which waits for {subject} at {file}:{line}")
            }
            (What::Sync { subject, .. }, None) => format!(", which waits for {subject}"),
            _ => format!(", which waits for {}{}", wait.what, wait.place()),
        }
    }

    /// Returns the id of the task that awaits this one, if there is one.
    ///
    /// # Examples
    ///
    /// See [`Wait::blocked_by`].
    pub fn joined_by(&self) -> Option<u64> {
        self.under(Under::Joined)
    }

    /// Returns the id of the task in whose scope this is a child, if it is one.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::task::{self, scope};
    ///
    /// glassfrog::block_on(scope(async |s| {
    ///     let dump = s.spawn(async { task::dump() }).await;
    ///     let child = dump.tasks().last().unwrap();
    ///     // The scope belongs to `main`.
    ///     assert_eq!(child.child_of(), Some(0));
    /// }));
    /// ```
    pub fn child_of(&self) -> Option<u64> {
        self.under(Under::Scope)
    }

    /// Returns the id of the task under which this one is listed for this reason.
    fn under(&self, reason: Under) -> Option<u64> {
        let (task, _) = self.under.filter(|(_, why)| *why == reason)?;
        Some(task)
    }
}

/// The state of a task in a [`Dump`].
///
/// # Examples
///
/// See [`TaskDump`].
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
///
/// The [`Display`](fmt::Display) implementation prints what the task waits for, as in the text of the dump, and where the
/// wait began, if that is known.
///
/// # Examples
///
/// ```
/// use glassfrog::task;
/// use glassfrog::time::sleep;
/// use std::time::Duration;
///
/// glassfrog::block_on(async {
///     task::Builder::new().name("sleeper").spawn(sleep(Duration::MAX));
///     task::yield_now().await;
///     let dump = task::dump();
///     let wait = &dump.find_by_name("sleeper").unwrap().waits()[0];
///     assert_eq!((wait.kind(), wait.poll()), ("timer", 1));
///     assert!(wait.to_string().starts_with("sleep, forever"));
/// });
/// ```
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
    /// The ids in groups of such tasks. The wait lasts as long as no task of one of the groups acts.
    pub(crate) groups: Vec<Vec<u64>>,
    /// The receiver that somebody must use before the wait ends, if nobody has used it yet.
    pub(crate) unused: Option<Unused>,
    /// The stack of the thread when the wait began, if the runtime traces waits. It is resolved when the dump is
    /// printed, and its chain of async functions stands below the wait.
    pub(crate) trace: Option<Trace>,
    /// The number of labels around this one. The text is indented accordingly.
    pub(crate) depth: u16,
    /// How long the wait has lasted, if the task has declared it. Other waits are known since a poll.
    pub(crate) lasted: Option<Duration>,
    /// How often the task has begun such a wait and dropped it before it completed.
    pub(crate) given_up: u32,
    /// How often such a wait has completed since the task dropped one first.
    pub(crate) completed: u32,
}

/// A receiver that has never been used. The task that made it may have given it away.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unused {
    /// The id of the task that made it.
    pub(crate) maker: u64,
    /// The time since then.
    pub(crate) age: Duration,
    /// The address of the channel, which tells it from other channels.
    pub(crate) channel: usize,
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
        /// The subject, such as `lock "accounts" (made at src/bank.rs:12)`.
        subject: String,
        /// The state, which follows the subject after a comma or a colon.
        state: String,
        /// The id of the task that has the other end of a channel, if it is known. The state ends with what it does.
        other_end: Option<u64>,
        /// Where the primitive was made, unless the subject says so.
        origin: Option<String>,
    },
    /// Something outside glassfrog, with the number of other references to the task's waker, if it is known.
    Outside(Option<usize>),
    /// The end of the [`Workers`](crate::Workers): the root future of a worker waits for nothing else.
    Idle,
}

/// The number of waits that were given up below which the text does not mention them. A timeout that ends a wait now and
/// then is no fault.
const FEWEST_GIVEN_UP: u32 = 8;

/// The number of completed waits for each one that was given up above which the text does not mention them. A heartbeat
/// that interrupts a busy connection is no fault.
const MOST_COMPLETED: u32 = 10;

impl TaskDump {
    /// Returns how long the longest wait of the task has lasted: since it was declared, or else since the last poll.
    fn longest(&self) -> Duration {
        let lasted = self.waits.iter().filter_map(|wait| wait.lasted);
        lasted.fold(self.idle, Duration::max)
    }
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
            groups: Vec::new(),
            unused: None,
            trace: None,
            depth: 0,
            lasted: None,
            given_up: 0,
            completed: 0,
        }
    }

    /// Displays the place where the wait began, after what the task waits for.
    fn place(&self) -> String {
        match (self.location, &self.what) {
            (None, _) => String::new(),
            // The description of a primitive ends with a place of its own.
            (Some(at), What::Sync { .. }) => {
                format!("; waiting at {}:{}", at.file(), at.line())
            }
            (Some(at), _) => format!(" ({}:{})", at.file(), at.line()),
        }
    }

    /// Returns whether the task has given up such waits so often that the text says so.
    fn is_often_given_up(&self) -> bool {
        let (given_up, completed) = (self.given_up, self.completed);
        given_up >= FEWEST_GIVEN_UP && given_up.saturating_mul(MOST_COMPLETED) >= completed
    }

    /// Says how often the task has given up such waits, after the rest of the line; an empty text if that was rarely.
    fn given_up_text(&self) -> String {
        let (given_up, completed) = (self.given_up, self.completed);
        match completed {
            _ if !self.is_often_given_up() => String::new(),
            0 => format!(": begun and dropped {given_up} times by this task without completing"),
            _ => format!(
                ": begun and dropped {given_up} times by this task, while {completed} completed"
            ),
        }
    }

    /// Returns the kind of the thing that the task waits for: the `kind` in the [JSON](Dump::to_json).
    ///
    /// # Examples
    ///
    /// See [`Wait`].
    pub fn kind(&self) -> &'static str {
        self.what.kind()
    }

    /// Returns the number of the poll in which the task left its waker. If it is less than the number of the task's
    /// polls, the wait may be over.
    ///
    /// # Examples
    ///
    /// See [`Wait`].
    pub fn poll(&self) -> u32 {
        self.poll
    }

    /// Returns the place where the program began the wait, if that is known.
    ///
    /// # Examples
    ///
    /// ```
    /// for (task, wait) in glassfrog::block_on(async { glassfrog::task::dump() }).waits() {
    ///     if let Some(at) = wait.location() {
    ///         println!("task {} waits at {at}", task.id());
    ///     }
    /// }
    /// ```
    pub fn location(&self) -> Option<&'static Location<'static>> {
        self.location
    }

    /// Returns how many times the task has begun this wait and dropped it before it completed.
    ///
    /// A task gives up a wait when it drops the future, as a `select` or a [`timeout`](crate::time::timeout()) does when the
    /// other future is ready first. That is harmless if the future is *cancel safe*. Otherwise the task loses what the
    /// future has done: `read_exact` loses the bytes that it has read. If a task has given up the same wait at least eight
    /// times, and at least once for ten waits that completed meanwhile, the text of the dump says so:
    ///
    /// ```text
    /// read tcp 127.0.0.1:40116 → 127.0.0.1:80 for 3 ms: begun and dropped 160 times by this task without completing
    /// ```
    ///
    /// The waits for one direction of a socket count as the same, and so do the waits for a primitive of `sync` that began
    /// at the same place. Waits for sleeps, tasks, jobs, labels, cancellation tokens and oneshot channels are not counted.
    ///
    /// # Precision
    ///
    /// The number is exact for the methods of sockets, such as `read` and `accept`, and for `sync`. For the traits of
    /// `futures-io`, it is a lower bound. The socket compares the buffer of a read with that of the read before, so it
    /// sees that the next one begins elsewhere, but not that it begins anew with the same buffer. It does not see what
    /// happens above the buffer of a `BufReader` or of TLS.
    ///
    /// # Examples
    ///
    /// This client waits for a reply of eight bytes, and gives up at each tick. The future of `read_exact` then drops the
    /// bytes that have arrived, so the reply is never complete:
    ///
    #[cfg_attr(feature = "prelude", doc = "```")]
    #[cfg_attr(not(feature = "prelude"), doc = "```ignore")]
    /// use glassfrog::net::{TcpListener, TcpStream};
    /// use glassfrog::prelude::*;
    /// use glassfrog::task;
    /// use glassfrog::time::{sleep, timeout};
    /// use std::time::Duration;
    ///
    /// const TICK: Duration = Duration::from_millis(2);
    ///
    /// # glassfrog::block_on(async {
    /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let mut stream = TcpStream::connect(listener.local_addr()?).await?;
    /// # let (server, _) = listener.accept().await?;
    /// let client = task::Builder::new().name("client").spawn(async move {
    ///     let mut reply = [0; 8];
    ///     while timeout(TICK, stream.read_exact(&mut reply)).await.is_err() {
    ///         // Something else is due at each tick.
    ///     }
    /// });
    /// let text = loop {
    ///     server.write(b"x").await?;
    ///     sleep(4 * TICK).await;
    ///     let dump = task::dump();
    ///     let client = dump.find_by_name("client").unwrap();
    ///     let read = client.waits().iter().find(|wait| wait.kind() == "io");
    ///     if let Some(read) = read.filter(|read| read.given_up() >= 8) {
    ///         break read.to_string();
    ///     }
    /// };
    /// assert!(text.contains("times by this task without completing"), "{text}");
    /// # client.abort();
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// Keep the future outside the loop, and poll it by reference. Then a tick drops nothing:
    ///
    #[cfg_attr(feature = "prelude", doc = "```")]
    #[cfg_attr(not(feature = "prelude"), doc = "```ignore")]
    /// # use glassfrog::net::{TcpListener, TcpStream};
    /// # use glassfrog::prelude::*;
    /// # use glassfrog::time::timeout;
    /// # use std::time::Duration;
    /// # const TICK: Duration = Duration::from_millis(2);
    /// # glassfrog::block_on(async {
    /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// # let mut stream = TcpStream::connect(listener.local_addr()?).await?;
    /// # let (server, _) = listener.accept().await?;
    /// # glassfrog::spawn(async move {
    /// #     for _ in 0..8 {
    /// #         server.write(b"x").await?;
    /// #         glassfrog::time::sleep(4 * TICK).await;
    /// #     }
    /// #     std::io::Result::Ok(())
    /// # });
    /// let mut reply = [0; 8];
    /// let mut read = stream.read_exact(&mut reply);
    /// loop {
    ///     if let Ok(result) = timeout(TICK, &mut read).await {
    ///         break result;
    ///     }
    /// }
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn given_up(&self) -> u32 {
        self.given_up
    }

    /// Returns the ids of the tasks of the same runtime that must act before the wait ends: the task that is joined, the
    /// children of the scope, or the tasks that have taken the lock.
    ///
    /// A task that has taken an owned guard or permit and waits for the next has probably given the first away, so it does
    /// not block itself. For the same reason, the result leaves out a task that has taken several owned permits of the
    /// semaphore. It contains no holder of a permit that another holder can replace.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::task;
    ///
    /// glassfrog::block_on(async {
    ///     let slow = task::Builder::new().name("slow");
    ///     let slow = slow.spawn(std::future::pending::<()>());
    ///     task::Builder::new().name("waits").spawn(slow);
    ///     task::yield_now().await;
    ///     let dump = task::dump();
    ///     let (slow, waits) = (dump.find_by_name("slow"), dump.find_by_name("waits"));
    ///     let (slow, waits) = (slow.unwrap(), waits.unwrap());
    ///     assert_eq!(waits.waits()[0].blocked_by(), [slow.id()]);
    ///     assert_eq!(slow.joined_by(), Some(waits.id()));
    /// });
    /// ```
    pub fn blocked_by(&self) -> &[u64] {
        &self.blocked_by
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
            What::Io(text) | What::Kept(text) | What::Job(text) => f.write_str(text),
            What::Sync {
                subject,
                state,
                origin,
                ..
            } => {
                write!(f, "{subject}{state}")?;
                match origin {
                    Some(origin) => write!(f, "; {origin}"),
                    None => Ok(()),
                }
            }
            What::Join { task, .. } => write!(f, "join task {task}"),
            What::Timer(None) => f.write_str("sleep, forever"),
            What::Timer(Some(Duration::ZERO)) => f.write_str("sleep, due now"),
            What::Timer(Some(left)) => write!(f, "sleep, {} to go", Time(*left)),
            What::Children => f.write_str("the children of its scope"),
            What::Label(text) => QuotedLabel(text).fmt(f),
            What::Outside(_) => f.write_str("something outside glassfrog"),
            What::Idle => f.write_str("idle"),
        }
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.what, self.place(), self.given_up_text())
    }
}
