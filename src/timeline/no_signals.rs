//! What stands for `signals.rs` without the feature `signal`: no signal writes a timeline.

/// Does nothing.
pub(super) fn watch() {}
