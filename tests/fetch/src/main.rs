//! Tests of the example `fetch`, and of the example servers that speak HTTP, from outside: the programs
//! are run as their users run them, against real sockets on loopback, and judged by what they print and
//! send, and by their exit codes.
//!
//! What needs no sockets (URLs, heads, bodies, pictures) has its tests beside it, in the files of the
//! example.

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
