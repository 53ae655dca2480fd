//! [`ToSocketAddrs`]: the types that stand for one or more socket addresses.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::vec;

/// A trait for values that can be converted or resolved to one or more socket addresses.
///
/// [`TcpStream::connect`](super::TcpStream::connect), [`TcpListener::bind`](super::TcpListener::bind) and
/// [`lookup_host`](super::lookup_host) take such values. The trait is the async counterpart of
/// [`std::net::ToSocketAddrs`], whose name resolution blocks. It is sealed: other crates cannot implement it.
///
/// # Name resolution
///
/// IP addresses are parsed at once. The operating system resolves host names with `getaddrinfo(3)`, which
/// blocks, so the call runs on a thread of the runtime's [pool](crate::task::spawn_blocking). At most 32
/// awaited lookups run at a time.
///
/// Dropping the future that awaits a lookup abandons the lookup. An abandoned lookup that has not started
/// never starts. One that is running keeps its thread until the operating system answers, but no longer
/// counts toward the 32. At most 128 threads run lookups, abandoned ones included. If all of them are busy,
/// the next lookup waits for one, and a warning is logged the first time.
///
/// # Examples
///
/// ```
/// use glassfrog::net::TcpListener;
/// use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
///
/// glassfrog::block_on(async {
///     TcpListener::bind("127.0.0.1:0").await?;
///     TcpListener::bind("localhost:0").await?;
///     TcpListener::bind(("localhost", 0)).await?;
///     TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
///     // Binds to the first address that is available.
///     let addrs = [SocketAddr::from((Ipv6Addr::LOCALHOST, 0)), "127.0.0.1:0".parse().unwrap()];
///     TcpListener::bind(&addrs[..]).await?;
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub trait ToSocketAddrs: Sealed {}

impl<T: Sealed + ?Sized> ToSocketAddrs for T {}

/// The supertrait that seals [`ToSocketAddrs`]: other crates cannot name it.
pub trait Sealed {
    /// Returns the addresses, or the host name to resolve.
    fn target(&self) -> io::Result<Target>;
}

/// The target of a connect or a bind.
#[derive(Debug)]
pub enum Target {
    /// Addresses.
    Addrs(Addrs),
    /// A host name, which has yet to be resolved.
    Name {
        /// The name.
        host: String,
        /// The port, the same for all addresses of the host.
        port: u16,
    },
}

/// An iterator over addresses, which does not allocate if there is only one.
#[derive(Debug)]
pub enum Addrs {
    /// A single address; `None` once it has been returned.
    One(Option<SocketAddr>),
    /// The rest of several addresses.
    Several(vec::IntoIter<SocketAddr>),
}

impl Iterator for Addrs {
    type Item = SocketAddr;

    fn next(&mut self) -> Option<SocketAddr> {
        match self {
            Addrs::One(addr) => addr.take(),
            Addrs::Several(addrs) => addrs.next(),
        }
    }
}

impl Sealed for SocketAddr {
    fn target(&self) -> io::Result<Target> {
        Ok(Target::Addrs(Addrs::One(Some(*self))))
    }
}

impl Sealed for [SocketAddr] {
    fn target(&self) -> io::Result<Target> {
        let addrs = Vec::from(self).into_iter();
        Ok(Target::Addrs(Addrs::Several(addrs)))
    }
}

impl Sealed for Vec<SocketAddr> {
    fn target(&self) -> io::Result<Target> {
        self[..].target()
    }
}

impl<const N: usize> Sealed for [SocketAddr; N] {
    fn target(&self) -> io::Result<Target> {
        self[..].target()
    }
}

impl Sealed for str {
    fn target(&self) -> io::Result<Target> {
        if let Ok(addr) = self.parse::<SocketAddr>() {
            return addr.target();
        }
        if let Some((host, port)) = self.rsplit_once(':')
            && is_name(host)
            && let Ok(port) = port.parse::<u16>()
        {
            return (host, port).target();
        }
        Err(invalid(
            self,
            "`example.com:80`, `127.0.0.1:80` or `[::1]:80`, with a port of at most 65535",
        ))
    }
}

impl Sealed for (&str, u16) {
    fn target(&self) -> io::Result<Target> {
        let (host, port) = *self;
        match host.parse::<IpAddr>() {
            Ok(ip) => (ip, port).target(),
            Err(_) if is_name(host) => Ok(Target::Name {
                host: String::from(host),
                port,
            }),
            Err(_) => Err(invalid(host, "`example.com`, `127.0.0.1` or `::1`")),
        }
    }
}

impl Sealed for String {
    fn target(&self) -> io::Result<Target> {
        self.as_str().target()
    }
}

impl Sealed for (String, u16) {
    fn target(&self) -> io::Result<Target> {
        (self.0.as_str(), self.1).target()
    }
}

/// Implements the trait for types that convert into one address.
macro_rules! sealed_for_one {
    ($($one:ty),*) => {$(
        impl Sealed for $one {
            fn target(&self) -> io::Result<Target> {
                SocketAddr::from(*self).target()
            }
        }
    )*};
}

sealed_for_one!(
    SocketAddrV4,
    SocketAddrV6,
    (IpAddr, u16),
    (Ipv4Addr, u16),
    (Ipv6Addr, u16)
);

impl<T: Sealed + ?Sized> Sealed for &T {
    fn target(&self) -> io::Result<Target> {
        (**self).target()
    }
}

/// Returns whether the text may be a host name. This rejects characters that no name contains and leaves the
/// rest to the resolver, which also understands addresses with a zone (`fe80::1%eth0`).
fn is_name(host: &str) -> bool {
    let is_invalid = |c: char| c.is_whitespace() || c.is_control() || "[]/\\@?#\"'".contains(c);
    !host.is_empty() && !host.contains(is_invalid) && (!host.contains(':') || host.contains('%'))
}

/// Creates the error for a text that is neither an address nor a host name.
fn invalid(text: &str, expected: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        format!(
            "invalid address `{}`: expected {expected}",
            text.escape_debug()
        ),
    )
}
