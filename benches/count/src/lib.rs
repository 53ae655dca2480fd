//! The measurements that the counting gate (`glassfrog-count`) and the report (`glassfrog-peers`) share.
//!
//! Each measurement is a process of its own. The measuring process starts a [`server`], then runs its own
//! binary again with the hidden subcommand `run <runtime> <workload> <n>`, alone or under a counting tool. So
//! neither the server nor the measurement itself is counted:
//!
//! ```text
//!   check / report ──starts──> serve                      the other end of fetch and keep_alive
//!          │                     │ loopback
//!          └────────runs──> [valgrind | perf] run ...   the measured process
//! ```
//!
//! The cost of an operation is the difference between two runs of different lengths, divided by the difference
//! of their lengths. The cost of starting and exiting is in both runs and cancels out.
//!
//! In reading order: the [`workloads`], generic over the trait [`runtime::Runtime`]; the [`server`]; the counting
//! of a run ([`measure`]); the output ([`table`]). With the feature `sync`, the module of the same name counts the
//! operations of `glassfrog::sync`.

pub mod measure;
pub mod runtime;
pub mod server;
#[cfg(feature = "sync")]
pub mod sync;
pub mod table;
pub mod workloads;
