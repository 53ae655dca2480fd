//! TCP streams and listeners.

pub(crate) mod listener;
pub(crate) mod stream;
