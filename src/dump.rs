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
mod task;
mod text;
mod wait;
mod workers;

pub use self::circles::Circle;
pub(crate) use self::circles::MayHave;
pub(crate) use self::pool::Awaited;
pub use self::pool::{JobDump, JobState, PoolDump};
pub(crate) use self::stuck::Loose;
pub(crate) use self::task::Under;
pub use self::task::{TaskDump, TaskState};
pub(crate) use self::text::{Grouped, Quoted, Time, label};
pub use self::wait::Wait;
pub(crate) use self::wait::{Unused, What};
pub use self::workers::WorkersDump;
use std::time::Duration;

/// A snapshot of all tasks of a runtime and of what each is waiting for.
///
/// The [`Display`](std::fmt::Display) implementation prints a table for a terminal. A task that another task awaits is
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
