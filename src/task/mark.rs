//! [`mark`]: a mark of the program in the timeline.

use crate::context;
use crate::timeline::recorder::Recorder;

/// Marks this moment in the timeline of the current runtime, with a text.
///
/// The mark belongs to the task that is being polled. A blocking job marks the timeline of its own runtime. Without a
/// [timeline](crate::Builder::timeline), and outside a runtime, this function does nothing.
///
/// The timeline stores each text once, so marking many moments with the same text allocates nothing.
///
/// # Examples
///
/// ```
/// use glassfrog::{Runtime, task};
///
/// let runtime = Runtime::builder().timeline(1024).build()?;
/// runtime.block_on(async {
///     task::mark("the cache is full");
/// });
/// # std::io::Result::Ok(())
/// ```
pub fn mark(text: impl AsRef<str>) {
    match context::try_shared() {
        Some(shared) => shared.record_mark(text.as_ref()),
        None => Recorder::of_job(|recorder| recorder.marked(false, None, text.as_ref())),
    }
}
