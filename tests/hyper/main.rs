//! The tests of `glassfrog::hyper`.
//!
//! A server and its clients run in one runtime, over loopback. Most clients are sockets that send bytes, because a client
//! of hyper would not send what a server must withstand.

mod client;
mod connector;
mod graceful;
mod io;
mod limits;
#[cfg(target_os = "linux")]
mod process;
mod protocol;
#[cfg(feature = "sim")]
mod simulated;
mod support;
mod timer;
