//! The tests of sockets, other descriptors, streams, signals and name lookups, a module per subject.

#[expect(dead_code, reason = "the tests use a part of it")]
mod support;
#[expect(dead_code, reason = "the tests use a part of it")]
mod task_probes;
mod net_types;
mod net_laws;
mod net_stream;
#[cfg(target_os = "linux")]
mod net_faults;
mod net_with;
mod net_udp;
#[cfg(unix)]
mod net_unix;
#[cfg(unix)]
mod io_async;
mod io_copy;
mod io_stdio;
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
