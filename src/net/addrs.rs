//! [`ToSocketAddrs`]: what can be connected and bound to.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::vec;

/// What [`TcpStream::connect`](super::TcpStream::connect),
/// [`TcpListener::bind`](super::TcpListener::bind) and [`lookup_host`](super::lookup_host) take:
/// addresses, literals of such, and names with a port.
///
/// The counterpart of [`std::net::ToSocketAddrs`], whose look-up of names blocks. It cannot be
/// implemented elsewhere.
///
/// Literals are parsed at once. The operating system looks up a name (`getaddrinfo(3)`), which blocks,
/// so this happens on a thread of the runtime's [pool](crate::task::spawn_blocking), beside the
/// blocking jobs. At most 32 look-ups that somebody waits for run at a time.
///
/// Dropping the future that waits for a look-up gives the look-up up. If it has not begun, it never
/// will. If it runs, its thread stays until the operating system answers, but it no longer counts
/// among the 32 and holds up no other name. At most 128 threads look up names, those of look-ups that
/// were given up included. If all of them are busy, the next look-up waits for one; the first time, a
/// warning is logged.
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
///     // The first that can be bound to.
///     let addrs = [SocketAddr::from((Ipv6Addr::LOCALHOST, 0)), "127.0.0.1:0".parse().unwrap()];
///     TcpListener::bind(&addrs[..]).await?;
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub trait ToSocketAddrs: Sealed {}

impl<T: Sealed + ?Sized> ToSocketAddrs for T {}

/// The trait's one method, where nobody else can reach it.
pub trait Sealed {
    /// The addresses that are meant, or the name that leads to them.
    fn target(&self) -> io::Result<Target>;
}

/// What is to be connected or bound to.
#[derive(Debug)]
pub enum Target {
    /// These.
    Addrs(Addrs),
    /// What this name leads to.
    Name {
        /// The name.
        host: String,
        /// The port, which goes with every address.
        port: u16,
    },
}

/// Some addresses, without an allocation where there is one.
#[derive(Debug)]
pub enum Addrs {
    /// One, or none any more.
    One(Option<SocketAddr>),
    /// Those that are left of several.
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
        Err(malformed(
            self,
            "`example.com:80`, `127.0.0.1:80` or `[::1]:80`, up to port 65535",
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
            Err(_) => Err(malformed(host, "`example.com`, `127.0.0.1` or `::1`")),
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

/// What converts into one address.
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

/// Whether this may be the name of a host: the rest is the resolver's to say, but what stands in no
/// name never comes to it. An address with a zone (`fe80::1%eth0`) is for the resolver too.
fn is_name(host: &str) -> bool {
    let foreign = |c: char| c.is_whitespace() || c.is_control() || "[]/\\@?#\"'".contains(c);
    !host.is_empty() && !host.contains(foreign) && (!host.contains(':') || host.contains('%'))
}

/// What is no address is answered.
fn malformed(text: &str, forms: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("`{}` is not of the form {forms}", text.escape_debug()),
    )
}
