//! The targets of connections that are not established yet, from `/proc/net/tcp` and `tcp6`, for dumps.
//!
//! `getpeername(2)` fails with `ENOTCONN` on such a socket, but Linux lists its target in the table of
//! connections (`proc_net_tcp(5)`). Other platforms have no such table.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The state of a connection whose SYN has not been answered, as it appears in the table.
const SYN_SENT: &str = "02";

/// The table of connections. The first lookup reads it, and later ones reuse it, because it may be long.
#[derive(Default)]
pub(crate) struct Connecting {
    /// The connections that are not established yet: their targets, by their local addresses.
    table: OnceCell<HashMap<SocketAddr, SocketAddr>>,
}

impl Connecting {
    /// Creates a table without connections. Lookups do not read the system's table.
    pub(crate) fn unknown() -> Connecting {
        Connecting {
            table: OnceCell::from(HashMap::new()),
        }
    }

    /// Returns the address that the socket with this local address is connecting to.
    pub(crate) fn target(&self, local: SocketAddr) -> Option<SocketAddr> {
        self.table.get_or_init(read).get(&local).copied()
    }
}

/// Reads the table of the operating system.
fn read() -> HashMap<SocketAddr, SocketAddr> {
    let mut table = HashMap::new();
    for path in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let text = fs::read_to_string(path).unwrap_or_default();
        table.extend(text.lines().filter_map(|line| {
            let mut columns = line.split_whitespace().skip(1);
            let (from, to) = (columns.next()?, columns.next()?);
            match columns.next()? {
                SYN_SENT => Some((parse(from)?, parse(to)?)),
                _ => None,
            }
        }));
    }
    table
}

/// Parses an address of the table: words in the byte order of the machine, and the port.
fn parse(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| u32::from_str_radix(ip.get(8 * at..8 * at + 8)?, 16).ok();
    let ip = match ip.len() {
        8 => IpAddr::from(Ipv4Addr::from(word(0)?.to_ne_bytes())),
        _ => {
            let mut bytes = [0; 16];
            for (at, chunk) in bytes.chunks_mut(4).enumerate() {
                chunk.copy_from_slice(&word(at)?.to_ne_bytes());
            }
            IpAddr::from(Ipv6Addr::from(bytes))
        }
    };
    Some(SocketAddr::new(ip, port))
}
