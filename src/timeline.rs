//! The timeline: a picture of what a runtime did lately, in which you see why a task came late.
//!
//! A runtime that was built with [`Builder::timeline`](crate::Builder::timeline), or in an environment that
//! [asks for it](#without-touching-the-program), records what its loop does: polls, wakes, waits and their reasons, parks, blocking jobs and name lookups. It keeps the newest events in a ring.
//! [`Handle::timeline`](crate::Handle::timeline) copies them on any thread, even while a poll blocks the loop, and returns
//! a [`Timeline`], which can be
//!
//! - written as a **page**, one HTML file that needs no other ([`Timeline::to_html`]),
//! - written as a **trace** for Perfetto ([`Timeline::to_trace_json`]),
//! - asked for [the longest polls](Timeline::longest_polls) and [the latest starts](Timeline::latest_starts), and
//! - displayed as a summary.
//!
//! ```
//! use glassfrog::time::sleep;
//! use std::time::Duration;
//!
//! let runtime = glassfrog::Runtime::builder().timeline(65_536).build()?;
//! let timeline = runtime.block_on(async {
//!     sleep(Duration::from_millis(2)).await;
//!     glassfrog::Handle::current().timeline()
//! });
//! println!("{timeline}");
//! # let path = std::env::temp_dir().join(format!("glassfrog-timeline-doc-{}.html", std::process::id()));
//! timeline.write_to(&path)?;
//! # std::fs::remove_file(&path)?;
//! # std::io::Result::Ok(())
//! ```
//!
//! The module requires the feature `timeline`, which is on by default. It adds no crate, but some 0.3 MB to the binary, for
//! the page and the code that writes it. A program without it records nothing, and [`task::mark`](crate::task::mark) does
//! nothing.
//!
//! # Without touching the program
//!
//! The environment variable `GLASSFROG_TIMELINE` turns the timeline on:
//!
//! ```sh
//! GLASSFROG_TIMELINE=run.html ./program
//! ```
//!
//! Each runtime then records 65,536 events, unless its builder sets another number, and writes the file
//!
//! - when the runtime ends: [`block_on`](crate::block_on) returns, or the [`Runtime`](crate::Runtime) is dropped;
//! - when a panic leaves `block_on`;
//! - when a task panics, at most once a minute;
//! - when a [deadlock](crate::Builder::on_deadlock) is certain, unless the policy is to ignore it;
//! - with the feature `signal`, when SIGINT or SIGTERM ends the program. If the program handles the signal itself when it
//!   builds its first runtime, which only Linux tells, or ever listens to it with `glassfrog::signal`, then the program decides.
//!
//! A later file replaces an earlier one. The second runtime of the process writes `run-2.html`, and so on. The runtimes of
//! [`Workers`](crate::Workers) write one file, with a group of lanes each. If the path ends in `.json`, the file is a
//! trace.
//!
//! A process that aborts, exits by [`exit`](std::process::exit), or is killed writes nothing. To see what such a program does,
//! let it write a file when it receives a signal: `signal::timeline_on_sigusr2`. To see what led to a poll that blocks the
//! loop, use [`Builder::timeline_on_slow_poll`](crate::Builder::timeline_on_slow_poll).
//!
//! A file is written whole or not at all, and never over a directory, a device or a pipe. If it cannot be written, glassfrog logs a warning with
//! the path and the reason. If the program has no logger, the warning goes to the standard error stream.
//!
//! # In tests
//!
//! If `GLASSFROG_TIMELINE` names a directory, each test of `#[glassfrog::test]` that fails writes a page
//! into it, which has the name of the test, and says so beneath the failure. It does not matter whether the test panics,
//! returns an error, or reaches its time limit.
//!
//! # Of a simulation
//!
//! With the feature `sim`, a simulation (`glassfrog::sim`) writes one file for all its hosts. Each host is a group of
//! lanes, the packets between the hosts are arrows, and faults are marks on the axis. A packet that is lost is red, and ends in a cross. All
//! times are those of the simulation, however wrong the clock of a host is.
//!
//! ```sh
//! GLASSFROG_SEED=4 GLASSFROG_TIMELINE=run.html cargo test no_acknowledged_write_is_lost
//! ```
//!
//! A poll takes no simulated time, so it is a tick. The ticks of one moment stand side by side in their order, where there is
//! room. The page shows the newest packets and events; a host that was started again continues its group.
//!
//! The file is written when a run fails or its `Sim` is dropped. A later run replaces it, unless an earlier one has failed and the
//! later one has not. If the variable names a directory, each test of `#[glassfrog::test(sim)]` that fails writes a page into
//! it.
//!
//! # The terms
//!
//! A task is in one of three states, which the picture shows in its lane:
//!
//! - It *runs*: it is being polled. A poll should take microseconds, because no other task of the runtime can run
//!   meanwhile.
//! - It is *ready*: it was woken, and others run before it. If a task is woken during its own poll, it is ready from the end
//!   of that poll. If its deadline passes while the loop polls others, it is ready from the deadline on. What a socket
//!   receives meanwhile is unknown to the loop until it asks the operating system: such a task is ready from then on.
//! - It *waits* for what its last poll has left: a socket, a deadline, another task, a blocking job, a lock.
//!   If it waits for several things at once, all are named: `read tcp 127.0.0.1:4000 → 127.0.0.1:80 or sleep 20 ms`.
//!
//! # The figures
//!
//! | figure | meaning |
//! | --- | --- |
//! | busy | the share of time in which the loop polled tasks. The rest are parks, and the work of the loop itself |
//! | longest poll | the longest time in which one task kept all others from running |
//! | latest start | the longest time between a task's being ready and the begin of its poll, and the task that ran longest meanwhile |
//! | late starts | the number of polls that began, or had not yet begun, more than a millisecond after their task was ready |
//!
//! The polls of a scope's children are part of the poll of the task that has the scope. They have lanes of their own,
//! and count once as busy.
//!
//! # What is unknown
//!
//! The ring keeps the newest events only. A wait that began before the oldest event has an unknown reason and seems to
//! begin with the picture. A poll whose wake was overwritten counts as not late. A wake is recorded when it puts the task
//! into the run queue; further wakes before the poll have no effect, and are not recorded.
//!
//! # In Perfetto
//!
//! 1. Write the timeline to a path that ends in `.json`, with [`Timeline::write_to`].
//! 2. Open <https://ui.perfetto.dev> and drop the file into the window. The page reads the file in the browser, and does
//!    not upload it. (`chrome://tracing` opens the file too.)
//! 3. Each runtime is a process. Its first track is that of the loop: polls and parks. Below it are the length
//!    of the run queue, a track for each task and job, and the waits. The arrows are wakes: select a poll to see the
//!    poll that woke its task.
//!
//! The keys W, A, S and D zoom and move. A query over the trace begins with `select name, dur from slice order by dur
//! desc`.

// Data flows in one direction. The loop writes each `event` into the `ring` of its `recorder`. A reader on any thread
// copies a `recording` out of it. The `model` derives from it when each task ran, what it waited for, and what woke it.
// `page` and `trace_json` print the model.

pub(crate) mod event;
mod on_core;
pub(crate) mod recorder;
pub(crate) mod recording;
mod ring;
pub(crate) mod tables;
mod model;
mod reader;
mod lane;
mod strip;
mod lists;
mod newest;
mod page;
mod trace_json;
#[cfg(feature = "sim")]
mod traffic;
#[cfg(feature = "sim")]
mod hosts;
#[cfg(feature = "sim")]
pub(crate) mod simulation;
mod files;
pub(crate) mod output;
#[cfg(feature = "macros")]
pub(crate) mod test_file;
#[cfg(all(unix, feature = "signal"))]
pub(crate) mod signals;
#[cfg(not(all(unix, feature = "signal")))]
#[path = "timeline/no_signals.rs"]
mod signals;
mod json;
mod words;

pub use self::lists::{LateStart, LongPoll, Task};

use self::lists::LATE;
use self::model::Model;
use self::recorder::Recorder;
use self::recording::Recording;
use self::words::Nanos;
use std::fmt;
use std::io;
use std::path::Path;

/// What one or more runtimes did lately.
///
/// [`Handle::timeline`](crate::Handle::timeline) returns one. Its display is a summary: the figures, and the first entries
/// of the lists.
///
/// # Examples
///
/// See the [module documentation](self).
#[derive(Clone)]
pub struct Timeline {
    /// The program, and when the timeline was recorded.
    title: String,
    /// What was recorded, for the lines of [`Timeline::latest`].
    recordings: Vec<Recording>,
    /// What was found out.
    model: Model,
}

/// The number of entries of each list in a summary.
const ENTRIES: usize = 5;

impl Timeline {
    /// Finds out what the recordings show.
    fn new(recordings: Vec<Recording>) -> Timeline {
        Timeline {
            title: files::title(),
            model: Model::new(&recordings),
            recordings,
        }
    }

    /// Copies what a runtime has recorded. Without a recorder, the timeline is empty.
    pub(crate) fn of(recorder: Option<&Recorder>) -> Timeline {
        Timeline::new(recorder.map(Recorder::copy).into_iter().collect())
    }

    /// Returns the timeline as a page: the text of an HTML file.
    ///
    /// The file needs no other. It makes no request, and runs from disk in any browser of today.
    ///
    /// # Examples
    ///
    /// ```
    /// let runtime = glassfrog::Runtime::builder().timeline(1024).build()?;
    /// let timeline = runtime.block_on(async { glassfrog::Handle::current().timeline() });
    /// assert!(timeline.to_html().starts_with("<!doctype html>"));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn to_html(&self) -> String {
        page::page(&self.model, &self.title)
    }

    /// Returns the timeline in the Trace Event Format, a JSON that [Perfetto](self#in-perfetto) opens.
    ///
    /// # Examples
    ///
    /// ```
    /// let runtime = glassfrog::Runtime::builder().timeline(1024).build()?;
    /// let timeline = runtime.block_on(async { glassfrog::Handle::current().timeline() });
    /// assert!(timeline.to_trace_json().contains("\"traceEvents\":["));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn to_trace_json(&self) -> String {
        trace_json::trace(&self.model, &self.title)
    }

    /// Writes the timeline to a file: as [JSON](Timeline::to_trace_json) if the path ends in `.json`, else as a
    /// [page](Timeline::to_html).
    ///
    /// The file is written whole or not at all: the text goes to a new file beside it, which then takes its place.
    ///
    /// # Errors
    ///
    /// Returns an error that names the path if the file cannot be written, and if the path is that of a directory, a device,
    /// a pipe or a socket.
    ///
    /// # Examples
    ///
    /// See the [module documentation](self).
    pub fn write_to(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let path = path.as_ref();
        let is_json = path
            .extension()
            .is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
        let text = match is_json {
            true => self.to_trace_json(),
            false => self.to_html(),
        };
        files::write(path, &text)
    }

    /// Returns the `n` longest polls, the longest first.
    ///
    /// The poll of a task contains those of the children of its scopes.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::task;
    /// use std::time::Duration;
    ///
    /// let runtime = glassfrog::Runtime::builder().timeline(1024).build()?;
    /// let timeline = runtime.block_on(async {
    ///     let spin = task::Builder::new().name("spin").spawn(async {
    ///         // No task should do this.
    ///         std::thread::sleep(Duration::from_millis(20));
    ///     });
    ///     spin.await.unwrap();
    ///     glassfrog::Handle::current().timeline()
    /// });
    /// let longest = &timeline.longest_polls(3)[0];
    /// assert_eq!(longest.task().name(), Some("spin"));
    /// assert!(longest.length() >= Duration::from_millis(20));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn longest_polls(&self, n: usize) -> Vec<LongPoll> {
        self.model.longest_polls(n)
    }

    /// Returns the `n` starts that came latest after their task was ready to run, the latest first.
    ///
    /// A task is ready when it is spawned or woken or, if it is woken during its poll, at the end of that. A task
    /// that was ready when the timeline was recorded is in the list too. Where the ring no longer has the wake, the delay
    /// is unknown, and the start is not in the list.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::task;
    /// use std::time::Duration;
    ///
    /// let runtime = glassfrog::Runtime::builder().timeline(1024).build()?;
    /// let timeline = runtime.block_on(async {
    ///     let spin = task::Builder::new().name("spin").spawn(async {
    ///         // No task should do this.
    ///         std::thread::sleep(Duration::from_millis(20));
    ///     });
    ///     let late = task::Builder::new().name("late").spawn(async {});
    ///     spin.await.unwrap();
    ///     late.await.unwrap();
    ///     glassfrog::Handle::current().timeline()
    /// });
    /// let starts = timeline.latest_starts(5);
    /// let late = starts.iter().find(|start| start.task().name() == Some("late")).unwrap();
    /// assert!(late.delay() >= Duration::from_millis(20));
    /// assert_eq!(late.behind().unwrap().name(), Some("spin"));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn latest_starts(&self, n: usize) -> Vec<LateStart> {
        self.model.latest_starts(n)
    }

    /// Returns the `n` newest events as lines of text, the newest last. A poll that has not returned counts as the newest.
    ///
    /// # Examples
    ///
    /// ```
    /// let runtime = glassfrog::Runtime::builder().timeline(1024).build()?;
    /// let timeline = runtime.block_on(async {
    ///     glassfrog::spawn(async {}).await.unwrap();
    ///     glassfrog::Handle::current().timeline()
    /// });
    /// for line in timeline.latest(20) {
    ///     println!("{line}");
    /// }
    /// # std::io::Result::Ok(())
    /// ```
    pub fn latest(&self, n: usize) -> Vec<String> {
        newest::lines(&self.recordings, &self.model.shifts, n)
    }
}

/// Displays a summary.
impl fmt::Display for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let model = &self.model;
        let polls = model.polls().count();
        let lanes = model.groups.iter().flat_map(|group| &group.lanes);
        let tasks = lanes.filter(|lane| lane.kind.is_on_loop()).count();
        let span = Nanos(model.span);
        writeln!(f, "timeline of {span}: {polls} polls of {tasks} tasks")?;
        if model.lost > 0 {
            writeln!(f, "{} older events were overwritten", model.lost)?;
        }
        let known = |group: &model::Group| group.known.1 - group.known.0;
        let known: i64 = model.groups.iter().map(known).sum();
        let busy: i64 = model.groups.iter().map(model::Group::busy).sum();
        let share = 100.0 * busy as f64 / known.max(1) as f64;
        write!(f, "busy {share:.0} %")?;
        let longest = self.longest_polls(ENTRIES);
        if let Some(poll) = longest.first() {
            let length = Nanos(i64::try_from(poll.length().as_nanos()).unwrap_or(i64::MAX));
            write!(f, ", longest poll {length}")?;
        }
        let starts = model.starts();
        let latest = starts.iter().map(|start| start.delay).max();
        if let Some(delay) = latest {
            write!(f, ", latest start {}", Nanos(delay))?;
        }
        let late = starts.iter().filter(|start| start.delay > LATE).count();
        write!(f, ", {late} starts more than {} late", Nanos(LATE))?;
        if !longest.is_empty() {
            write!(f, "\nlongest polls:")?;
            for poll in &longest {
                write!(f, "\n  {poll}")?;
            }
        }
        let starts = self.latest_starts(ENTRIES);
        if !starts.is_empty() {
            write!(f, "\nlatest starts:")?;
            for start in &starts {
                write!(f, "\n  {start}")?;
            }
        }
        Ok(())
    }
}

/// Prints the summary, because the events are many.
impl fmt::Debug for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timeline")
            .field("title", &self.title)
            .field("summary", &self.to_string())
            .finish()
    }
}
