//! [`timeline_on_sigusr2`]: a timeline whenever the process receives `SIGUSR2`.

use super::SignalKind;
use super::pipe::at_each;
use crate::context;
use crate::timeline::Timeline;
use crate::timeline::output::report;
use std::io;
use std::path::PathBuf;

/// Writes the timeline of this thread's runtime to a file whenever the process receives `SIGUSR2`.
///
/// The file is JSON if the path ends in `.json`, and a [page](Timeline::to_html) otherwise. A later file replaces an
/// earlier one. If the file cannot be written, the runtime logs a warning with the path and the reason.
///
/// Send the signal with `kill -USR2 PID`. A separate thread waits for the signal and writes the file, so it works even if a
/// task blocks the loop, and shows that task. The thread exits at the first signal after the end of the runtime, whose
/// timeline it still writes.
///
/// # Errors
///
/// The kind is `InvalidInput` if the runtime records no [timeline](crate::Builder::timeline). Also returns an error if the
/// operating system cannot start a thread, or has no descriptors left for a pipe.
///
/// # Panics
///
/// Panics outside a runtime.
///
/// # Examples
///
/// ```
/// let runtime = glassfrog::Runtime::builder().timeline(65_536).build()?;
/// runtime.block_on(async {
///     glassfrog::signal::timeline_on_sigusr2("run.html")?;
///     // …
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[track_caller]
pub fn timeline_on_sigusr2(path: impl Into<PathBuf>) -> io::Result<()> {
    // Not a `Handle`: while there is a handle, the deadlock detector assumes that it may still wake a task.
    let shared = context::shared();
    let path = path.into();
    if shared.recorder.is_none() {
        let reason = "this runtime records no timeline: build it with `Builder::timeline`";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
    }
    at_each(
        SignalKind::user_defined2(),
        "glassfrog-timeline",
        move || {
            let timeline = Timeline::of(shared.recorder.as_deref());
            report(timeline.write_to(&path));
            !shared.inbox.is_closed()
        },
    )
}
