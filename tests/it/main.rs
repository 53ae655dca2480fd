//! The tests of whole runtimes, of time, and of the repository itself, a module per subject.
//!
//! The tests of the public items are four programs, so that an edit compiles only one of them: this one, `net`,
//! `see` and `task`.

#[expect(dead_code, reason = "the tests use a part of it")]
mod support;
mod task_probes;
mod time_sleep;
mod time_timeout;
mod time_interval;
mod time_budget;
mod time_virtual;
mod time_standstill;
mod runtime_block_on;
mod runtime_misuse;
mod runtime_drop;
mod runtime_panic_policy;
mod runtime_workers;
#[cfg(target_os = "linux")]
mod runtime_process;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod runtime_memory;
mod tidy;
