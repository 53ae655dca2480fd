//! The timeline: what a loop did lately, as a picture.

// Data flows in one direction. The loop writes each `event` into the `ring` of its `recorder`; a reader on any thread
// copies a `recording` out of it; the `model` finds out who ran, who waited for what, and who was woken by whom; `page`
// and `trace_json` print the model.

pub(crate) mod event;
pub(crate) mod lines;
mod on_core;
pub(crate) mod recorder;
pub(crate) mod recording;
mod ring;
pub(crate) mod tables;
