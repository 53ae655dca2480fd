//! The tests of `glassfrog::sync`, a module per kind of primitive.

mod sync_locks;
