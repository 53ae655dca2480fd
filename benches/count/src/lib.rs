//! The measuring machinery that the counting gate (`glassfrog-count`) and the comparison with
//! other runtimes (`glassfrog-peers`) share.
//!
//! A measurement is always a process of its own. The measuring process starts a [`server`], then
//! runs its own binary again with the hidden subcommand `run <runtime> <workload> <n>`, alone or
//! under a tool that counts, so that neither the server nor the measuring itself is counted:
//!
//! ```text
//!   check / report ──starts──> serve                      the other end of fetch and keep_alive
//!          │                     │ loopback
//!          └────────runs──> [valgrind | perf] run ...   what is measured
//! ```
//!
//! A cost per operation is the difference of two runs of different length, divided by the
//! difference of their lengths: what starting and ending costs is in both and cancels out.
//!
//! In reading order: the [`workloads`], written once over the [`runtime::Runtime`] trait; the
//! [`server`]; how a run is counted ([`measure`]); how the result is shown ([`table`]).

pub mod measure;
pub mod runtime;
pub mod server;
pub mod table;
pub mod workloads;
