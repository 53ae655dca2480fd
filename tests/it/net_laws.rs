//! The laws of sockets, which hold on the network of the operating system and on a simulated one.
//!
//! A law is a function that gets a [`Place`]: where the two ends of its connections are. `laws!` makes tests of it:
//!
//! - `real`: both ends on the loopback interface of this machine;
//! - `simulated`: both ends on one simulated host;
//! - `between_hosts`: the ends on two simulated hosts.
//!
//! A law must hold in all three. It depends neither on the sizes of the kernel's buffers nor on a time that a loaded
//! machine could exceed, and where Linux leaves the outcome open, it accepts all outcomes. A read or write of several
//! bytes may always process fewer.

/// Turns laws into tests: of loopback connections, real and simulated, and of connections between two simulated hosts.
macro_rules! laws {
    ($($(#[$attribute:meta])* $law:ident),* $(,)?) => {
        mod real {
            $($(#[$attribute])* #[test] fn $law() { crate::net_laws::place::real(super::$law); })*
        }
        #[cfg(feature = "sim")]
        mod simulated {
            $($(#[$attribute])* #[test] fn $law() { crate::net_laws::place::simulated(super::$law); })*
        }
        #[cfg(feature = "sim")]
        mod between_hosts {
            $($(#[$attribute])* #[test] fn $law() { crate::net_laws::place::between_hosts(super::$law); })*
        }
    };
}

mod place;
mod connect;
#[cfg(target_os = "linux")]
mod race;
mod stream;
mod split;
mod flow;
mod close;
#[cfg(target_os = "linux")]
mod reset;
mod listener;
mod waiters;
mod with;
mod udp;
#[cfg(target_os = "linux")]
mod addresses;
mod programs;

use self::place::Place;
use crate::support;
use futures::{AsyncReadExt, AsyncWriteExt, FutureExt};
use glassfrog::net::TcpStream;
use glassfrog::time::sleep;
use std::fmt::Debug;
use std::io;
use std::time::Duration;

/// Returns whether this code runs on a simulated host.
fn is_simulated() -> bool {
    #[cfg(feature = "sim")]
    return glassfrog::sim::is_simulated();
    #[cfg(not(feature = "sim"))]
    false
}

/// Waits until everything that was sent has arrived and every task waits.
async fn settle() {
    /// Longer than the packets of a simulated network travel.
    const QUIET: Duration = Duration::from_secs(1);
    match is_simulated() {
        // Yielding takes no simulated time.
        true => sleep(QUIET).await,
        false => support::settle().await,
    }
}

/// Returns bytes that differ from near and distant neighbours, so that a lost, duplicated or misplaced byte is
/// noticed.
fn pattern(length: usize, seed: u32) -> Vec<u8> {
    (0..length as u32)
        .map(|at| (at.wrapping_add(seed).wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect()
}

/// Returns the size of bulk transfers: several times what both ends of a connection can buffer, so that a writer must
/// wait.
fn bulk() -> usize {
    match is_simulated() {
        // The buffers of a simulated host have 64 KiB by default.
        true => 1 << 20,
        // Linux buffers at most 4 and 6 MiB (`tcp_wmem` and `tcp_rmem` of `tcp(7)`).
        false => 16 << 20,
    }
}

/// Writes all bytes.
async fn write(mut stream: &TcpStream, bytes: &[u8]) {
    stream.write_all(bytes).await.unwrap();
}

/// Reads this many bytes.
async fn read(mut stream: &TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    stream.read_exact(&mut bytes).await.unwrap();
    bytes
}

/// Reads to the end in pieces of at most `room` bytes.
async fn read_all(stream: &TcpStream, room: usize) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    let mut buf = vec![0; room];
    loop {
        match stream.read(&mut buf).await? {
            0 => return Ok(all),
            count => all.extend_from_slice(&buf[..count]),
        }
    }
}

/// Waits until this many bytes can be read.
async fn arrived(stream: &TcpStream, count: usize) {
    let mut buf = vec![0; count];
    while stream.peek(&mut buf).await.unwrap() < count {
        settle().await;
    }
}

/// Writes the start of `bytes` until no end of the connection has room for more. Returns the number of written bytes.
async fn fill(stream: &TcpStream, bytes: &[u8]) -> usize {
    let mut sent = 0;
    loop {
        let piece = &bytes[sent..][..1 << 14];
        match stream.try_write(piece) {
            Ok(count) => sent += count,
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                settle().await;
                if stream.writable().now_or_never().is_none() {
                    return sent;
                }
            }
        }
    }
}

/// Asserts that an operation failed in this way.
#[track_caller]
fn assert_fails<T: Debug>(result: io::Result<T>, kind: io::ErrorKind) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
}

/// Asserts that an operation would block.
#[track_caller]
fn assert_would_block<T: Debug>(result: io::Result<T>) {
    assert_fails(result, io::ErrorKind::WouldBlock);
}
