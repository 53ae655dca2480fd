//! The tests of `glassfrog::sync`, a module per kind of primitive.

#[expect(dead_code, reason = "the tests use a part of it")]
mod support;
mod sync_channels;
mod sync_locks;
mod sync_signals;
