//! TCP between simulated hosts, as Linux does it (RFC 9293).

pub(super) mod end;
pub(super) mod listener;
pub(super) mod settings;
mod sketch;
