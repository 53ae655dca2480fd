//! The tests of everything that shows what a runtime does, a module per subject: dumps, metrics, the log, and the
//! reports of deadlocks and long polls.

#[expect(dead_code, reason = "the tests use a part of it")]
mod support;
#[expect(dead_code, reason = "the tests use a part of it")]
mod task_probes;
mod ticks;
mod see_stall;
mod see_watchdog;
mod see_metrics;
#[cfg(all(unix, feature = "signal"))]
mod see_signal;
#[cfg(all(unix, feature = "signal"))]
mod signal_listen;
mod see_dump;
mod see_log;
mod see_given_up;
mod see_places;
#[cfg(all(feature = "sync", feature = "timeline"))]
mod see_timeline;
mod see_spinning;
#[cfg(feature = "timeline")]
mod see_timeline_files;
mod see_traces;
