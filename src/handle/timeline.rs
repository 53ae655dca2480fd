//! [`Handle::timeline`]: what the loop did lately. Requires the feature `timeline`.

use super::Handle;
use crate::timeline::Timeline;

impl Handle {
    /// Returns what the loop did lately, if the runtime was built with [`Builder::timeline`](crate::Builder::timeline), or
    /// [the environment](crate::timeline#without-touching-the-program) asks for a timeline. Otherwise the timeline is empty.
    ///
    /// The call copies the newest events on this thread. It does not wait for the loop, so it works while a poll blocks
    /// it.
    ///
    /// # Examples
    ///
    /// ```
    /// let runtime = glassfrog::Runtime::builder().timeline(1024).build()?;
    /// let handle = runtime.handle();
    /// runtime.block_on(async { glassfrog::spawn(async {}).await.unwrap() });
    /// assert!(handle.timeline().longest_polls(1).len() == 1);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn timeline(&self) -> Timeline {
        Timeline::of(self.shared.recorder.as_deref())
    }
}
