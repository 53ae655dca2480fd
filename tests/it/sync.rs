//! The tests of `glassfrog::sync`, a module per kind of primitive, and of what dumps say about
//! stuck programs.

mod see_circles;
mod see_stuck;
#[expect(dead_code, reason = "the tests use a part of it")]
mod support;
#[expect(dead_code, reason = "the tests use a part of it")]
mod task_probes;
mod sync_channels;
mod sync_dumps;
mod sync_fairness;
mod sync_given_up;
mod sync_locks;
mod sync_signals;
mod ticks;
