//! Tests of the example `fetch` from outside: the program is run as its users run it, against real
//! sockets on loopback, and judged by what it prints and its exit code.
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
#[cfg(target_os = "linux")]
mod terminal;
