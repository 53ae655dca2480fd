//! [`ToSocketAddrs`]: what can be connected and bound to.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::vec;

/// What [`TcpStream::connect`](super::TcpStream::connect) and
/// [`TcpListener::bind`](super::TcpListener::bind) take: addresses, and literals of such.
///
/// The counterpart of [`std::net::ToSocketAddrs`], whose look-up of names blocks. This one knows
/// IP literals only: a host name is an error that says so. Look it up on a thread, and wait for the
/// answer without blocking:
///
/// ```
/// use futures::channel::oneshot;
/// use glassfrog::net::TcpStream;
/// use std::io;
/// use std::net::{SocketAddr, ToSocketAddrs};
///
/// async fn look_up(name: &'static str) -> io::Result<Vec<SocketAddr>> {
///     let (send, answer) = oneshot::channel();
///     std::thread::spawn(move || send.send(name.to_socket_addrs().map(Iterator::collect)));
///     answer.await.map_err(io::Error::other)?
/// }
///
/// # let server = std::net::TcpListener::bind("127.0.0.1:0")?;
/// # let port = server.local_addr()?.port();
/// # let name: &'static str = Box::leak(format!("localhost:{port}").into_boxed_str());
/// # /*
/// let name = "localhost:8000";
/// # */
/// glassfrog::block_on(async {
///     let addrs = look_up(name).await?;
///     TcpStream::connect(&addrs[..]).await
/// })?;
/// # io::Result::Ok(())
/// ```
///
/// It cannot be implemented elsewhere.
///
/// # Examples
///
/// ```
/// use glassfrog::net::TcpListener;
/// use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
///
/// glassfrog::block_on(async {
///     TcpListener::bind("127.0.0.1:0").await?;
///     TcpListener::bind(("127.0.0.1", 0)).await?;
///     TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
///     // The first that can be bound to.
///     let addrs = [SocketAddr::from((Ipv6Addr::LOCALHOST, 0)), "127.0.0.1:0".parse().unwrap()];
///     TcpListener::bind(&addrs[..]).await?;
///
///     let error = TcpListener::bind("localhost:0").await.unwrap_err();
///     assert!(error.to_string().contains("localhost"));
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub trait ToSocketAddrs: Sealed {}

impl<T: Sealed + ?Sized> ToSocketAddrs for T {}

/// The trait's one method, where nobody else can reach it.
pub trait Sealed {
    /// The addresses that are meant.
    fn addrs(&self) -> io::Result<Addrs>;
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

/// What a name is answered.
fn unresolved(name: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        format!("`{name}` is not an IP address, and names are not resolved"),
    )
}

impl Sealed for SocketAddr {
    fn addrs(&self) -> io::Result<Addrs> {
        Ok(Addrs::One(Some(*self)))
    }
}

impl Sealed for [SocketAddr] {
    fn addrs(&self) -> io::Result<Addrs> {
        Ok(Addrs::Several(Vec::from(self).into_iter()))
    }
}

impl<const N: usize> Sealed for [SocketAddr; N] {
    fn addrs(&self) -> io::Result<Addrs> {
        self[..].addrs()
    }
}

impl Sealed for str {
    fn addrs(&self) -> io::Result<Addrs> {
        if let Ok(addr) = self.parse::<SocketAddr>() {
            return addr.addrs();
        }
        match self.split_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
                Err(unresolved(self))
            }
            _ => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!(
                    "`{self}` is not of the form `127.0.0.1:80` or `[::1]:80`, up to port 65535"
                ),
            )),
        }
    }
}

impl Sealed for (&str, u16) {
    fn addrs(&self) -> io::Result<Addrs> {
        match self.0.parse::<IpAddr>() {
            Ok(ip) => (ip, self.1).addrs(),
            Err(_) => Err(unresolved(self.0)),
        }
    }
}

impl Sealed for String {
    fn addrs(&self) -> io::Result<Addrs> {
        self.as_str().addrs()
    }
}

impl Sealed for (String, u16) {
    fn addrs(&self) -> io::Result<Addrs> {
        (self.0.as_str(), self.1).addrs()
    }
}

/// What converts into one address.
macro_rules! sealed_for_one {
    ($($one:ty),*) => {$(
        impl Sealed for $one {
            fn addrs(&self) -> io::Result<Addrs> {
                SocketAddr::from(*self).addrs()
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
    fn addrs(&self) -> io::Result<Addrs> {
        (**self).addrs()
    }
}
