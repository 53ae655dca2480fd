//! The integration tests: one binary, a module a subject.

mod support;
mod task_probes;
mod task_spawn;
mod task_drop;
mod task_panic;
mod task_abort;
mod task_finished;
mod task_set;
mod task_seed;
mod task_names;
mod task_table;
mod task_scope;
mod task_blocking;
mod task_wakers;
mod task_fairness;
mod task_reentrancy;
mod task_ecosystem;
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
mod net_types;
mod net_stream;
#[cfg(target_os = "linux")]
mod net_faults;
mod net_with;
mod net_udp;
#[cfg(unix)]
mod net_unix;
mod net_connect;
mod net_names;
#[cfg(target_os = "linux")]
mod net_race;
mod net_listener;
mod net_waiters;
mod net_threads;
#[cfg(unix)]
mod net_convert;
#[cfg(target_os = "linux")]
mod net_descriptors;
#[cfg(target_os = "linux")]
mod net_scale;
#[cfg(unix)]
mod io_async;
mod io_copy;
mod io_stdio;
mod see_stall;
mod see_watchdog;
mod see_metrics;
#[cfg(all(unix, feature = "signal"))]
mod see_signal;
#[cfg(all(unix, feature = "signal"))]
mod signal_listen;
mod see_dump;
mod see_log;
mod tidy;
