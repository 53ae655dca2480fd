//! The settings of a [`Builder`] for the timeline. Requires the feature `timeline`.

use super::Builder;
use std::path::PathBuf;
use std::time::Duration;

impl Builder {
    /// Records a timeline of what the loop does: the newest `events` polls, wakes, waits and other events, rounded up to
    /// a power of two.
    ///
    /// By default, nothing is recorded, unless the environment variable `GLASSFROG_TIMELINE` names a file: see
    /// [the module](crate::timeline#without-touching-the-program). An event takes 16 bytes, so 65,536 of them take a megabyte, and about 100 ns to
    /// record. The names of tasks and of what they wait for are kept as long as an event mentions them.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::{Runtime, task};
    ///
    /// let runtime = Runtime::builder().timeline(65_536).build()?;
    /// runtime.block_on(async { task::mark("the beginning") });
    /// # std::io::Result::Ok(())
    /// ```
    pub fn timeline(mut self, events: usize) -> Builder {
        self.settings.timeline = Some(events);
        self
    }

    /// Writes the timeline to a file *during* a poll that takes longer than `limit`, so that you see what led to it, even if
    /// the poll never returns.
    ///
    /// A thread watches the polls, as for [`watchdog_thread`](Builder::watchdog_thread), and writes the file at most once a
    /// minute: as JSON if the path ends in `.json`, else as a [page](crate::Timeline::to_html). A later file replaces an
    /// earlier one. If the file cannot be written, the thread logs a warning with the path and the reason.
    ///
    /// The runtime records 65,536 events, unless [`timeline`](Builder::timeline) sets another number.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::thread;
    /// use std::time::Duration;
    ///
    /// # let path = std::env::temp_dir().join(format!("glassfrog-slow-doc-{}.html", std::process::id()));
    /// let builder = glassfrog::Builder::new();
    /// let runtime = builder.timeline_on_slow_poll(Duration::from_millis(20), &path).build()?;
    /// runtime.block_on(async {
    ///     while !path.exists() {
    ///         // No task should do this.
    ///         thread::sleep(Duration::from_millis(1));
    ///     }
    /// });
    /// # std::fs::remove_file(&path)?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn timeline_on_slow_poll(mut self, limit: Duration, path: impl Into<PathBuf>) -> Builder {
        self.settings.timeline_on_slow_poll = Some((limit, path.into()));
        self
    }
}
