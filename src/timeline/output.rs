//! [`Output`]: the file that runtimes write their timeline to without being asked, because `GLASSFROG_TIMELINE` names it.
//!
//! The [recorder](super::recorder) of each runtime holds the output, and the event loop tells the recorder when to write:
//!
//! | when | on which thread | how often |
//! | --- | --- | --- |
//! | the runtime ends; of [`Workers`](crate::Workers), the last one | that of the loop | once |
//! | a panic leaves `block_on` or a turn | that of the loop | each time |
//! | a deadlock is certain | that of the loop | each time |
//! | a task panics | a thread of its own, because the loop continues | at most once a minute |
//! | SIGINT or SIGTERM ends the process | that of `signals.rs` | once |
//!
//! A write copies the events first, and then takes no lock of a runtime. A write that fails is a warning.

use super::recorder::Recorder;
use super::recording::Recording;
use super::{Timeline, signals};
use crate::foreign::swallow_panics;
use crate::primitives::{AtomicU32, Mutex, MutexGuard, Ordering, lock};
use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Once, Weak};
use std::thread;
use std::time::{Duration, Instant};

/// The environment variable that names the file. Runtimes do not record for it if it is empty.
const VARIABLE: &str = "GLASSFROG_TIMELINE";

/// The shortest time between two files about the same kind of event. A panic or a slow poll may recur with each request,
/// and a file takes a tenth of a second of computing.
const PAUSE: Duration = Duration::from_secs(60);

/// The number of outputs that this process has created.
static CREATED: AtomicU32 = AtomicU32::new(0);

/// The outputs that exist, by their numbers.
static OUTPUTS: Mutex<BTreeMap<u32, Weak<Output>>> = Mutex::new(BTreeMap::new());

/// The file of one runtime, or of the runtimes of some workers.
pub(crate) struct Output {
    /// The number of the output, counted from 1.
    number: u32,
    /// The path of the file.
    path: PathBuf,
    /// The runtimes, in the order of their numbers as workers.
    members: Mutex<BTreeMap<usize, Member>>,
    /// When the panic of a task was last written.
    last_panic: Mutex<Option<Instant>>,
    /// Held while the file is written, so that a copy never replaces a newer one. Only writers take it.
    writing: Mutex<()>,
}

/// A runtime whose timeline is in the file.
#[derive(Clone)]
enum Member {
    /// It has not ended.
    Alive(Weak<Recorder>),
    /// It has ended, and this is what it had recorded.
    Ended(Arc<Recording>),
}

impl Output {
    /// Returns the output that the environment asks for, if it does. The first of the process has the path in the variable,
    /// and the second has a `-2` before the extension.
    pub(crate) fn by_environment() -> Option<Arc<Output>> {
        let path = path_in_environment()?;
        if path.is_dir() {
            static WARNED: Once = Once::new();
            WARNED.call_once(|| {
                let path = path.display();
                warn(&format!(
                    "{VARIABLE} names the directory {path}, into which only `#[glassfrog::test]` writes: name a file, \
                     such as run.html"
                ));
            });
            return None;
        }
        // Relaxed suffices: only the numbers must differ.
        let number = CREATED.fetch_add(1, Ordering::Relaxed) + 1;
        let output = Arc::new(Output {
            number,
            path: numbered(&path, number),
            members: Mutex::default(),
            last_panic: Mutex::default(),
            writing: Mutex::default(),
        });
        lock(&OUTPUTS).insert(number, Arc::downgrade(&output));
        signals::watch();
        Some(output)
    }

    /// Adds a runtime, by its number as a worker.
    pub(super) fn add(&self, worker: usize, recorder: &Arc<Recorder>) {
        let member = Member::Alive(Arc::downgrade(recorder));
        lock(&self.members).insert(worker, member);
    }

    /// Notes that a runtime ends. Writes the file if no other is left.
    pub(super) fn end(&self, worker: usize, recording: Recording) {
        let mut members = lock(&self.members);
        if let Some(Member::Ended(_)) = members.get(&worker) {
            return;
        }
        members.insert(worker, Member::Ended(Arc::new(recording)));
        drop(members);
        if !self.is_alive() {
            self.write_under(lock(&self.writing));
        }
    }

    /// Returns whether a runtime has not ended.
    fn is_alive(&self) -> bool {
        let members = lock(&self.members);
        members
            .values()
            .any(|member| matches!(member, Member::Alive(_)))
    }

    /// Writes the file because a task has panicked, at most once a [`PAUSE`], on another thread.
    pub(super) fn task_panicked(self: &Arc<Self>) {
        if !may_write(&mut lock(&self.last_panic)) {
            return;
        }
        let output = Arc::clone(self);
        let name = String::from("glassfrog-timeline");
        let started = thread::Builder::new()
            .name(name)
            .spawn(move || output.write());
        if let Err(error) = started {
            let path = self.path.display();
            warn(&format!("cannot write the timeline to {path}: {error}"));
        }
    }

    /// Writes the file: what the runtimes have recorded until now. If all have ended, the last one writes it.
    pub(super) fn write(&self) {
        let writing = lock(&self.writing);
        // Under the lock: the end of the process does not wait for a thread that begins to write after the last end.
        if self.is_alive() {
            self.write_under(writing);
        }
    }

    /// Writes the file, and then releases the lock.
    fn write_under(&self, writing: MutexGuard<'_, ()>) {
        let members: Vec<Member> = lock(&self.members).values().cloned().collect();
        let recordings = members.into_iter().filter_map(|member| match member {
            Member::Alive(recorder) => Some(recorder.upgrade()?.copy()),
            Member::Ended(recording) => Some(Recording::clone(&recording)),
        });
        let mut result = Ok(());
        // A mistake in the printers does not end the program either.
        swallow_panics(|| result = Timeline::new(recordings.collect()).write_to(&self.path));
        drop(writing);
        report(result);
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        lock(&OUTPUTS).remove(&self.number);
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Output").field(&self.path).finish()
    }
}

/// A file that is written at most once a [`PAUSE`].
pub(crate) struct RareFile {
    /// The path of the file.
    path: PathBuf,
    /// When the file was last written.
    last: Option<Instant>,
}

impl RareFile {
    /// Creates a file that has not been written.
    pub(crate) fn new(path: &Path) -> RareFile {
        RareFile {
            path: path.to_path_buf(),
            last: None,
        }
    }

    /// Writes what a runtime has recorded, if the pause has passed. A failure is a warning.
    pub(crate) fn write(&mut self, recorder: &Recorder) {
        if may_write(&mut self.last) {
            swallow_panics(|| report(Timeline::of(Some(recorder)).write_to(&self.path)));
        }
    }
}

/// Writes the files of all runtimes that have not ended, because the process ends.
#[cfg_attr(not(all(unix, feature = "signal")), expect(dead_code))]
pub(super) fn write_all() {
    let outputs: Vec<_> = lock(&OUTPUTS).values().filter_map(Weak::upgrade).collect();
    for output in outputs.into_iter().filter(|output| output.is_alive()) {
        output.write();
    }
}

/// Returns the path in the environment, if there is one.
pub(super) fn path_in_environment() -> Option<PathBuf> {
    let path = env::var_os(VARIABLE).filter(|path| !path.is_empty())?;
    Some(PathBuf::from(path))
}

/// Returns the directory in the environment, into which failing tests write, if there is one.
#[cfg_attr(not(feature = "macros"), expect(dead_code))]
pub(crate) fn directory_in_environment() -> Option<PathBuf> {
    path_in_environment().filter(|path| path.is_dir())
}

/// Returns whether enough time has passed since the last file of some kind. If so, notes that there is one now.
fn may_write(last: &mut Option<Instant>) -> bool {
    let is_due = last.is_none_or(|last| last.elapsed() >= PAUSE);
    if is_due {
        *last = Some(Instant::now());
    }
    is_due
}

/// Warns if a file could not be written.
pub(crate) fn report(result: io::Result<()>) {
    if let Err(error) = result {
        warn(&error.to_string());
    }
}

/// Logs a warning. If nobody logs warnings, prints it to the standard error stream: the environment has asked for the
/// file, and the program may know nothing of it.
fn warn(text: &str) {
    swallow_panics(|| {
        log::warn!(target: "glassfrog::timeline", "{text}");
        if log::max_level() < log::LevelFilter::Warn {
            // The stream may be closed.
            let _closed = writeln!(io::stderr(), "warning: {text}");
        }
    });
}

/// Returns the path of the output with this number.
fn numbered(path: &Path, number: u32) -> PathBuf {
    if number == 1 {
        return path.to_path_buf();
    }
    let mut name = OsString::from(path.file_stem().unwrap_or_default());
    name.push(format!("-{number}"));
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_path_has_a_number_before_its_extension() {
        let numbered = |path: &str, number| numbered(Path::new(path), number);
        assert_eq!(numbered("a/run.html", 1), Path::new("a/run.html"));
        assert_eq!(numbered("a/run.html", 2), Path::new("a/run-2.html"));
        assert_eq!(numbered("a.b/run", 3), Path::new("a.b/run-3"));
        assert_eq!(numbered("run.x.json", 4), Path::new("run.x-4.json"));
    }
}
