//! Tests of the example `fetch`, and of the example servers that speak HTTP, from outside. They run the programs as
//! users do, on loopback sockets, and check their output, their requests and responses, and their exit codes.
//!
//! Parts that need no sockets (URLs, heads, bodies, charts) have unit tests in the files of the example.

mod support;

mod hostile;
mod mixed;
mod names;
mod output;
mod parts;
mod redirects;
mod saving;
mod scale;
mod servers;
#[cfg(target_os = "linux")]
mod signals;
#[cfg(target_os = "linux")]
mod terminal;
