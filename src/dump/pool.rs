//! [`PoolDump`]: the threads of the blocking pool, and the jobs that they run.
//!
//! `event_loop/pool_dump.rs` collects the data. This file formats it.

use super::json::Json;
use super::text::{Quoted, Time, label};
use std::fmt::{self, Write};
use std::panic::Location;
use std::time::Duration;

/// The maximum number of lines for the running jobs, unless each job has a line. The lines stand below those of the tasks.
const MOST_LINES: usize = 10;

/// The fewest jobs that share a line. Two jobs on one line would hide more than they save.
const FEWEST: usize = 3;

/// The blocking pool in a [`Dump`](crate::Dump): the threads, the number of queued jobs, and the jobs.
///
/// # Examples
///
/// ```
/// use glassfrog::dump::JobState;
/// use glassfrog::task;
/// use std::sync::mpsc::channel;
///
/// glassfrog::block_on(async {
///     let ((begun, has_begun), (end, ended)) = (channel(), channel::<()>());
///     let job = task::Builder::new().name("indexer").spawn_blocking(move || {
///         begun.send(()).unwrap();
///         ended.recv().is_err()
///     });
///     has_begun.recv().unwrap();
///     let dump = task::dump();
///     let pool = dump.pool();
///     assert_eq!((pool.threads(), pool.idle_threads(), pool.queued()), (1, 0, 0));
///     let indexer = &pool.jobs()[0];
///     assert_eq!((indexer.name(), indexer.state()), (Some("indexer"), JobState::Running));
///     // Nothing awaits the handle yet.
///     assert_eq!(indexer.awaited_by(), None);
///     drop(end);
///     assert!(job.await.unwrap());
/// });
/// ```
#[derive(Clone, Debug, Default)]
pub struct PoolDump {
    /// The number of threads.
    pub(crate) threads: usize,
    /// The number of threads that run no job.
    pub(crate) idle: usize,
    /// The number of queued jobs.
    pub(crate) queued: usize,
    /// How long the oldest queued job has been queued.
    pub(crate) oldest: Option<Duration>,
    /// The running jobs, and the oldest queued ones.
    pub(crate) jobs: Vec<JobDump>,
}

impl PoolDump {
    /// Returns the number of threads: those that run a job, are idle, or are about to start.
    ///
    /// # Examples
    ///
    /// See [`PoolDump`].
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Returns the number of threads that run no job.
    ///
    /// # Examples
    ///
    /// See [`PoolDump`].
    pub fn idle_threads(&self) -> usize {
        self.idle
    }

    /// Returns the number of queued jobs.
    ///
    /// # Examples
    ///
    /// See [`PoolDump`].
    pub fn queued(&self) -> usize {
        self.queued
    }

    /// Returns how long the oldest of the queued jobs has been queued, or `None` if no job is queued.
    ///
    /// # Examples
    ///
    /// ```
    /// let dump = glassfrog::block_on(async { glassfrog::task::dump() });
    /// assert_eq!(dump.pool().oldest_queued(), None);
    /// ```
    pub fn oldest_queued(&self) -> Option<Duration> {
        self.oldest
    }

    /// Returns all running jobs, those that have run for the longest time first, followed by the oldest queued jobs.
    ///
    /// Of the jobs of each kind, only the eight oldest queued ones are in the dump, however many are
    /// [queued](PoolDump::queued).
    ///
    /// # Examples
    ///
    /// See [`PoolDump`].
    pub fn jobs(&self) -> &[JobDump] {
        &self.jobs
    }
}

/// A job of the blocking pool in a [`Dump`](crate::Dump): a [blocking job](crate::task::spawn_blocking), a name lookup, or
/// the job that reads or writes a standard stream.
///
/// # Examples
///
/// See [`PoolDump`].
#[derive(Clone, Debug)]
pub struct JobDump {
    /// The id of the job.
    pub(crate) id: u64,
    /// The kind of the job.
    pub(crate) kind: &'static str,
    /// The name of the job, what the lookup looks up, or the name of the standard stream.
    pub(crate) name: Option<Box<str>>,
    /// Where the program submitted the job, if that is known.
    pub(crate) location: Option<&'static Location<'static>>,
    /// The state of the job.
    pub(crate) state: JobState,
    /// How long the job has been running or, if it is queued, how long it has been queued.
    pub(crate) lasted: Duration,
    /// What waits for the job.
    pub(crate) awaited: Awaited,
}

/// The state of a job in a [`Dump`](crate::Dump).
///
/// # Examples
///
/// See [`PoolDump`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum JobState {
    /// The job waits for a thread.
    Queued,
    /// A thread runs the job.
    Running,
    /// A thread runs the lookup, whose future was dropped. The lookup occupies the thread until the resolver returns.
    Abandoned,
}

impl JobState {
    /// Returns the word for the state in the text and the JSON.
    fn word(self) -> &'static str {
        match self {
            JobState::Queued => "queued",
            JobState::Running => "running",
            JobState::Abandoned => "abandoned",
        }
    }
}

/// What waits for a job.
#[derive(Clone, Debug)]
pub(crate) enum Awaited {
    /// A task of the same runtime.
    Task {
        /// The id of the task; 0 for the root future.
        id: u64,
        /// The name of the task, if it has one.
        name: Option<Box<str>>,
    },
    /// Something that is no task of the same runtime.
    Elsewhere,
    /// Nothing, but the handle exists.
    Nothing,
    /// Nothing, and the handle was dropped.
    Detached,
    /// A standard stream has no handle, and no task of the same runtime waits for it.
    Stream,
}

impl Awaited {
    /// Returns the `awaited` in JSON. Jobs with different ones do not share a line.
    fn word(&self) -> &'static str {
        match self {
            Awaited::Task { .. } => "task",
            Awaited::Elsewhere => "elsewhere",
            Awaited::Nothing => "no",
            Awaited::Detached => "detached",
            Awaited::Stream => "stream",
        }
    }
}

impl JobDump {
    /// Returns the id of the job. An [`Id`](crate::task::Id) converts into this number.
    ///
    /// # Examples
    ///
    /// ```
    /// glassfrog::block_on(async {
    ///     let job = glassfrog::task::spawn_blocking(|| glassfrog::block_on(async { 42 }));
    ///     for seen in glassfrog::task::dump().pool().jobs() {
    ///         assert_eq!(seen.id(), u64::from(job.id()));
    ///     }
    ///     assert_eq!(job.await.unwrap(), 42);
    /// });
    /// ```
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Returns the kind of the job: `"job"` for a [blocking job](crate::task::spawn_blocking), `"lookup"` for a name
    /// lookup, `"output"` or `"input"` for a standard stream.
    ///
    /// # Examples
    ///
    /// ```
    /// let dump = glassfrog::block_on(async { glassfrog::task::dump() });
    /// let lookups = dump.pool().jobs().iter().filter(|job| job.kind() == "lookup");
    /// assert_eq!(lookups.count(), 0);
    /// ```
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// Returns the name of the job, if it has one. The name of a lookup is `resolve` with the name of the host.
    ///
    /// # Examples
    ///
    /// See [`PoolDump`].
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Returns the place where the program submitted the job. Lookups and standard streams have none.
    ///
    /// # Examples
    ///
    /// ```
    /// for job in glassfrog::block_on(async { glassfrog::task::dump() }).pool().jobs() {
    ///     if let Some(at) = job.location() {
    ///         println!("job {} was submitted at {at}", job.id());
    ///     }
    /// }
    /// ```
    pub fn location(&self) -> Option<&'static Location<'static>> {
        self.location
    }

    /// Returns the state of the job.
    ///
    /// # Examples
    ///
    /// See [`PoolDump`].
    pub fn state(&self) -> JobState {
        self.state
    }

    /// Returns how long the job has been running or, if it is queued, how long it has been queued. This is real time,
    /// even if the runtime has a virtual clock.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let dump = glassfrog::block_on(async { glassfrog::task::dump() });
    /// let hangs = |job: &&glassfrog::dump::JobDump| job.lasted() > Duration::from_secs(60);
    /// assert!(dump.pool().jobs().iter().find(hangs).is_none());
    /// ```
    pub fn lasted(&self) -> Duration {
        self.lasted
    }

    /// Returns the id of the task of the same runtime that awaits the job; 0 for the future of `block_on`.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::{Handle, task};
    ///
    /// glassfrog::block_on(async {
    ///     let handle = Handle::current();
    ///     let dump = task::spawn_blocking(move || handle.dump()).await.unwrap();
    ///     // The job that took the dump.
    ///     assert_eq!(dump.pool().jobs()[0].awaited_by(), Some(0));
    /// });
    /// ```
    pub fn awaited_by(&self) -> Option<u64> {
        match &self.awaited {
            Awaited::Task { id, .. } => Some(*id),
            _ => None,
        }
    }

    /// Returns whether the handle of the job was dropped, so that nothing will take its output.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::task::{dump, spawn_blocking};
    /// use std::sync::mpsc::channel;
    ///
    /// glassfrog::block_on(async {
    ///     let ((begun, has_begun), (_end, ended)) = (channel(), channel::<()>());
    ///     drop(spawn_blocking(move || {
    ///         begun.send(()).unwrap();
    ///         let _end = ended.recv();
    ///     }));
    ///     has_begun.recv().unwrap();
    ///     assert!(dump().pool().jobs()[0].is_detached());
    /// });
    /// ```
    pub fn is_detached(&self) -> bool {
        matches!(self.awaited, Awaited::Detached)
    }

    /// Returns whether the job shares a line with another one.
    fn is_like(&self, other: &JobDump) -> bool {
        let key = |job: &JobDump| (job.kind, job.location, job.state, job.awaited.word());
        key(self) == key(other) && self.name == other.name
    }

    /// Describes the job by its kind, its number and its name.
    fn label(&self) -> String {
        match (self.kind, &self.name) {
            ("job" | "lookup", name) => {
                format!("{} {}", self.kind, label(self.id, name.as_deref()))
            }
            (kind, Some(name)) => format!("{kind} {} ({name})", self.id),
            (kind, None) => format!("{kind} {}", self.id),
        }
    }
}

impl PoolDump {
    /// Returns the lines about the pool in the text of a dump: none if no job runs or is queued. Similar jobs share a
    /// line, unless the dump is whole.
    pub(super) fn lines(&self, worker: Option<usize>, is_whole: bool) -> Vec<String> {
        let is_queued = |job: &&JobDump| job.state == JobState::Queued;
        let running = self.jobs.iter().filter(|job| !is_queued(job));
        let running: Vec<&JobDump> = running.collect();
        if running.is_empty() && self.queued == 0 {
            return Vec::new();
        }
        let mut groups: Vec<Vec<&JobDump>> = Vec::new();
        for job in running {
            let alike = groups.iter_mut().find(|group| group[0].is_like(job));
            match alike.filter(|_group| !is_whole) {
                Some(group) => group.push(job),
                None => groups.push(vec![job]),
            }
        }
        // Splits the groups that are too small.
        let groups = groups.into_iter().flat_map(|group| match group.len() {
            FEWEST.. => vec![group],
            _ => group.into_iter().map(|job| vec![job]).collect(),
        });
        let mut groups: Vec<Vec<&JobDump>> = groups.collect();
        let mut rest = 0;
        if !is_whole && groups.len() > MOST_LINES {
            // The jobs that have run for the longest time come first.
            rest = groups.drain(MOST_LINES..).map(|group| group.len()).sum();
        }
        let queued = self.jobs.iter().filter(is_queued);
        let most_queued = if is_whole { usize::MAX } else { 1 };
        groups.extend(queued.take(most_queued).map(|job| vec![job]));
        let mut lines = vec![self.heading(worker)];
        lines.extend(table(&groups, worker));
        if rest > 0 {
            lines.push(format!(
                "and {rest} more running jobs, which `{{:#}}` and the JSON list"
            ));
        }
        lines
    }

    /// Returns the line above the jobs.
    fn heading(&self, worker: Option<usize>) -> String {
        let mut text = match worker {
            Some(worker) => format!("worker {worker}: "),
            None => String::new(),
        };
        let threads = match self.threads {
            1 => String::from("1 thread"),
            threads => format!("{threads} threads"),
        };
        text += &format!("blocking pool: {threads}, {} idle", self.idle);
        match (self.queued, self.oldest) {
            (0, _) => text += ", no job queued",
            (1, Some(oldest)) => text += &format!(", 1 job queued for {}", Time(oldest)),
            (queued, Some(oldest)) => {
                text += &format!(", {queued} jobs queued, the oldest for {}", Time(oldest));
            }
            (queued, None) => text += &format!(", {queued} queued"),
        }
        text
    }

    /// Writes the pool as an object.
    pub(super) fn write_json(&self, json: &mut Json) {
        json.object(|json| {
            json.key("threads").number(self.threads);
            json.key("idle").number(self.idle);
            json.key("queued").number(self.queued);
            let oldest = self.oldest.as_ref().map(Duration::as_secs_f64);
            json.key("oldest").or_null(oldest, Json::number);
            json.key("jobs").array(&self.jobs, JobDump::write_json);
        });
    }
}

impl JobDump {
    /// Writes the job as an object.
    fn write_json(&self, json: &mut Json) {
        json.object(|json| {
            json.key("id").number(self.id);
            json.key("kind").text(self.kind);
            json.key("name").or_null(self.name(), Json::text);
            json.place(self.location);
            json.key("state").text(self.state.word());
            json.key("seconds").number(self.lasted.as_secs_f64());
            json.key("awaited").text(self.awaited.word());
            json.key("awaited_by")
                .or_null(self.awaited_by(), Json::number);
        });
    }
}

/// The headings of the columns.
const HEADINGS: [&str; 5] = ["job", "submitted at", "for", "state", "awaited by"];

/// Returns the lines of a table with a row for each group of jobs. The first job of a group has run for the longest time.
fn table(groups: &[Vec<&JobDump>], worker: Option<usize>) -> Vec<String> {
    let rows = groups.iter().map(|group| cells(group, worker));
    let rows: Vec<[String; 5]> = [HEADINGS.map(String::from)]
        .into_iter()
        .chain(rows)
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: [usize; 4] = std::array::from_fn(|column| width(column).unwrap_or(0));
    let line = |row: &[String; 5]| {
        let mut line = String::new();
        for (column, width) in widths.into_iter().enumerate() {
            let cell = &row[column];
            // Writing to a `String` cannot fail.
            let _ok: fmt::Result = match column {
                2 => write!(line, "{cell:>width$}  "),
                _ => write!(line, "{cell:width$}  "),
            };
        }
        line + &row[4]
    };
    rows.iter().map(line).collect()
}

/// Returns the cells of the row of a group.
fn cells(group: &[&JobDump], worker: Option<usize>) -> [String; 5] {
    let job = group[0];
    let (first, mut awaited) = match group.len() {
        1 => (job.label(), String::new()),
        count => {
            let name = job.name.as_deref();
            let name = name.map_or(String::new(), |name| format!(" {}", Quoted(name)));
            let longest = format!("the longest is {}: ", job.label());
            (format!("{count} × {}{name}", job.kind), longest)
        }
    };
    awaited += &match (&job.awaited, worker) {
        (Awaited::Task { id: 0, .. }, Some(worker)) => format!("worker {worker}"),
        (Awaited::Task { id: 0, .. }, None) => String::from("main"),
        (Awaited::Task { id, name }, _) => format!("task {}", label(*id, name.as_deref())),
        (Awaited::Elsewhere, _) => String::from("something outside this runtime"),
        (Awaited::Nothing, _) => String::from("nothing yet"),
        (Awaited::Detached, _) if job.state == JobState::Abandoned => {
            String::from("nothing: its future was dropped, but the resolver has not returned")
        }
        (Awaited::Detached, _) => String::from("nothing: its handle was dropped"),
        (Awaited::Stream, _) => String::from("-"),
    };
    let location = job.location;
    let location = location.map(|at| format!("{}:{}", at.file(), at.line()));
    [
        first,
        location.unwrap_or_else(|| String::from("-")),
        Time(job.lasted).to_string(),
        String::from(job.state.word()),
        awaited,
    ]
}
