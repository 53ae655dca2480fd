//! [`UdpSocket`]: a socket that sends and receives datagrams.
//!
//! Each operation transfers one datagram, whose length says nothing about the next one. Only `WouldBlock` therefore
//! clears the readiness.

use super::addrs::{Addrs, Target, ToSocketAddrs};
use super::adopt::{Inspect, std_conversions};
use super::error::with_context;
use super::raw::{self, RawUdp};
use super::resolve::resolve;
use super::socket::Socket;
use super::with::{read_with, write_with};
use crate::reactor::Io;
use crate::reactor::proc_net::Connecting;
use crate::reactor::readiness::Direction;
use crate::reactor::source::InitialState;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::task::{Context, Poll};

/// The async counterpart of [`std::net::UdpSocket`]: a UDP socket.
///
/// After binding a socket to an address, you can [send data to](UdpSocket::send_to) and [receive data
/// from](UdpSocket::recv_from) any other address. A socket that is [connected](UdpSocket::connect) to an address
/// exchanges datagrams with that address only, through [`send`](UdpSocket::send) and [`recv`](UdpSocket::recv). As in
/// `std`, all methods take `&self`, so one task may receive while another sends.
///
/// UDP may lose, reorder and duplicate datagrams. If datagrams arrive faster than the program receives them, the
/// operating system discards those that do not fit into its buffer.
///
/// # Examples
///
/// ```
/// use glassfrog::net::UdpSocket;
///
/// glassfrog::block_on(async {
///     let server = UdpSocket::bind("127.0.0.1:0").await?;
///     let addr = server.local_addr()?;
///     let echo = glassfrog::spawn(async move {
///         let mut buf = [0; 1500];
///         let (count, from) = server.recv_from(&mut buf).await?;
///         server.send_to(&buf[..count], from).await
///     });
///
///     let client = UdpSocket::bind("127.0.0.1:0").await?;
///     client.connect(addr).await?;
///     client.send(b"hello").await?;
///     let mut buf = [0; 1500];
///     let count = client.recv(&mut buf).await?;
///     assert_eq!(&buf[..count], b"hello");
///     assert_eq!(echo.await??, 5);
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub struct UdpSocket {
    /// The registered socket.
    pub(super) socket: Socket<RawUdp>,
}

impl UdpSocket {
    /// Creates a UDP socket that is bound to the specified address.
    ///
    /// If `addr` yields multiple addresses, the method tries each of them until one succeeds. With port 0 the
    /// operating system assigns a port, which [`local_addr`](UdpSocket::local_addr) returns.
    ///
    /// # Errors
    ///
    /// If no address succeeds, returns the error of the last attempt, with the address in its text. If a host
    /// name cannot be resolved, returns the error of the resolver, with the name. The kind is `InvalidInput` if
    /// `addr` is neither an address nor a host name.
    ///
    /// # Panics
    ///
    /// Panics outside a runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future abandons the lookup, and closes the socket if it has been created.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::net::UdpSocket;
    ///
    /// glassfrog::block_on(async {
    ///     let socket = UdpSocket::bind("127.0.0.1:0").await?;
    ///     let taken = UdpSocket::bind(socket.local_addr()?).await.unwrap_err();
    ///     assert_eq!(taken.kind(), std::io::ErrorKind::AddrInUse);
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub async fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<UdpSocket> {
        let socket = Socket::bind(addr.target()?, InitialState::Open, raw::bind_udp).await?;
        Ok(UdpSocket::new(socket))
    }

    /// Creates a socket from a registered one.
    fn new(socket: Socket<RawUdp>) -> UdpSocket {
        UdpSocket { socket }
    }

    /// Connects the socket to a remote address: [`send`](UdpSocket::send) sends to this address, and the socket
    /// receives datagrams only from this address.
    ///
    /// The method sends no data. If `addr` yields multiple addresses, the method tries each of them until one
    /// succeeds. To connect to another address later, call this method again.
    ///
    /// # Errors
    ///
    /// If no address succeeds, returns the error of the last attempt, with the address in its text. If a host
    /// name cannot be resolved, returns the error of the resolver, with the name. The kind is `InvalidInput` if
    /// `addr` is neither an address nor a host name.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future abandons the lookup.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UdpSocket;
    /// # glassfrog::block_on(async {
    /// # let (alice, bob) = (UdpSocket::bind("127.0.0.1:0").await?, UdpSocket::bind("127.0.0.1:0").await?);
    /// alice.connect(bob.local_addr()?).await?;
    /// assert_eq!(alice.peer_addr()?, bob.local_addr()?);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub async fn connect<A: ToSocketAddrs>(&self, addr: A) -> io::Result<()> {
        let mut failed = None;
        for addr in resolve(addr.target()?, self.socket.shared()).await? {
            match self.socket.io().connect(addr) {
                Ok(()) => return Ok(()),
                Err(error) => failed = Some(with_context("connect to", addr, error)),
            }
        }
        Err(failed.unwrap_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, "no address to connect to")
        }))
    }

    /// Sends a datagram to the address that the socket is [connected](UdpSocket::connect) to, waiting until there
    /// is room in the send buffer.
    ///
    /// Returns the number of bytes sent, which is the length of `buf`.
    ///
    /// # Errors
    ///
    /// The kind is `ConnectionRefused` if an earlier datagram reached a host on which no socket is bound to the port.
    /// The host reports this by ICMP, and the operating system returns the error once, from the next operation on the
    /// socket. In that case, `buf` has not been sent. Otherwise returns the error of `send(2)`, for example if the
    /// datagram is too long.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it is ready, nothing has been sent.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UdpSocket;
    /// # glassfrog::block_on(async {
    /// # let (alice, bob) = (UdpSocket::bind("127.0.0.1:0").await?, UdpSocket::bind("127.0.0.1:0").await?);
    /// # alice.connect(bob.local_addr()?).await?;
    /// # bob.connect(alice.local_addr()?).await?;
    /// assert_eq!(alice.send(b"hello").await?, 5);
    /// let mut buf = [0; 16];
    /// assert_eq!(bob.recv(&mut buf).await?, 5);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub async fn send(&self, buf: &[u8]) -> io::Result<usize> {
        let send = |io: &RawUdp| io.send(buf);
        self.socket.op_with(Direction::Write, send).await
    }

    /// Receives a datagram from the address that the socket is [connected](UdpSocket::connect) to, waiting until one
    /// arrives. On a socket that is not connected, receives a datagram from any address.
    ///
    /// Returns the number of bytes received. 0 means that the datagram or `buf` is empty. A datagram that is longer
    /// than `buf` is truncated, and the excess bytes are discarded. On Windows, that is an error.
    ///
    /// # Errors
    ///
    /// The kind is `ConnectionRefused` if a datagram that this socket sent reached no socket; see
    /// [`send`](UdpSocket::send). Otherwise returns the error of `recv(2)`. The socket remains usable.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it is ready, no datagram has been received.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UdpSocket;
    /// # glassfrog::block_on(async {
    /// # let (alice, bob) = (UdpSocket::bind("127.0.0.1:0").await?, UdpSocket::bind("127.0.0.1:0").await?);
    /// # alice.connect(bob.local_addr()?).await?;
    /// # bob.connect(alice.local_addr()?).await?;
    /// alice.send(b"hello").await?;
    /// let mut buf = [0; 16];
    /// let count = bob.recv(&mut buf).await?;
    /// assert_eq!(&buf[..count], b"hello");
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub async fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        let recv = |io: &RawUdp| io.recv(buf);
        self.socket.op_with(Direction::Read, recv).await
    }

    /// Sends a datagram to the specified address, waiting until there is room in the send buffer.
    ///
    /// Returns the number of bytes sent, which is the length of `buf`. If `addr` yields several addresses, the
    /// datagram goes to the first one.
    ///
    /// # Errors
    ///
    /// Returns the error of `sendto(2)`. If a host name cannot be resolved, returns the error of the resolver,
    /// with the name in its text. The kind is `InvalidInput` if `addr` is neither an address nor a host name, or
    /// yields no address.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it is ready, nothing has been sent.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UdpSocket;
    /// # glassfrog::block_on(async {
    /// # let (alice, bob) = (UdpSocket::bind("127.0.0.1:0").await?, UdpSocket::bind("127.0.0.1:0").await?);
    /// alice.send_to(b"hello", bob.local_addr()?).await?;
    /// let mut buf = [0; 16];
    /// let (count, from) = bob.recv_from(&mut buf).await?;
    /// assert_eq!(&buf[..count], b"hello");
    /// assert_eq!(from, alice.local_addr()?);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub async fn send_to<A: ToSocketAddrs>(&self, buf: &[u8], addr: A) -> io::Result<usize> {
        let addr = match addr.target()? {
            Target::Addrs(Addrs::One(addr)) => addr,
            // Boxed to keep the future of a send to a single address small.
            target => Box::pin(resolve(target, self.socket.shared()))
                .await?
                .next(),
        };
        let Some(addr) = addr else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "no address to send to",
            ));
        };
        let send = |io: &RawUdp| io.send_to(buf, addr);
        self.socket.op_with(Direction::Write, send).await
    }

    /// Receives a datagram, waiting until one arrives. Returns the number of bytes received and the address of the
    /// sender.
    ///
    /// A datagram that is longer than `buf` is truncated, and the excess bytes are discarded. On Windows, that is an
    /// error.
    ///
    /// # Errors
    ///
    /// See [`recv`](UdpSocket::recv).
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it is ready, no datagram has been received.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UdpSocket;
    /// # glassfrog::block_on(async {
    /// # let (alice, bob) = (UdpSocket::bind("127.0.0.1:0").await?, UdpSocket::bind("127.0.0.1:0").await?);
    /// alice.send_to(b"hello", bob.local_addr()?).await?;
    /// let mut buf = [0; 16];
    /// let (count, from) = bob.recv_from(&mut buf).await?;
    /// assert_eq!((count, from), (5, alice.local_addr()?));
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub async fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let recv = |io: &RawUdp| io.recv_from(buf);
        self.socket.op_with(Direction::Read, recv).await
    }

    /// Receives a datagram without removing it from the receive buffer, waiting until one arrives.
    ///
    /// A datagram that is longer than `buf` is truncated; on Windows, that is an error. The datagram stays in the
    /// receive buffer, and the next receive returns it from its beginning.
    ///
    /// # Errors
    ///
    /// See [`recv`](UdpSocket::recv).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect on the datagrams.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UdpSocket;
    /// # glassfrog::block_on(async {
    /// # let (alice, bob) = (UdpSocket::bind("127.0.0.1:0").await?, UdpSocket::bind("127.0.0.1:0").await?);
    /// # alice.connect(bob.local_addr()?).await?;
    /// # bob.connect(alice.local_addr()?).await?;
    /// alice.send(b"hello").await?;
    /// let mut buf = [0; 16];
    /// assert_eq!(bob.peek(&mut buf).await?, 5);
    /// assert_eq!(bob.recv(&mut buf).await?, 5);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        let peek = |io: &RawUdp| io.peek(buf);
        self.socket.op_with(Direction::Read, peek).await
    }

    /// Receives a datagram without removing it from the receive buffer, waiting until one arrives. Returns the number
    /// of bytes received and the address of the sender.
    ///
    /// A datagram that is longer than `buf` is truncated; on Windows, that is an error. The datagram stays in the
    /// receive buffer, and the next receive returns it from its beginning.
    ///
    /// # Errors
    ///
    /// See [`recv`](UdpSocket::recv).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect on the datagrams.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UdpSocket;
    /// # glassfrog::block_on(async {
    /// # let (alice, bob) = (UdpSocket::bind("127.0.0.1:0").await?, UdpSocket::bind("127.0.0.1:0").await?);
    /// alice.send_to(b"hello", bob.local_addr()?).await?;
    /// let mut buf = [0; 16];
    /// let (count, from) = bob.peek_from(&mut buf).await?;
    /// assert_eq!((count, from), bob.recv_from(&mut buf).await?);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub async fn peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let peek = |io: &RawUdp| io.peek_from(buf);
        self.socket.op_with(Direction::Read, peek).await
    }

    /// Waits until the socket is readable: a datagram has arrived, or an error is pending.
    ///
    /// A [`try_recv`](UdpSocket::try_recv) may still return `WouldBlock`, for example if another task has received
    /// the datagram, or if its checksum is wrong.
    ///
    /// # Errors
    ///
    /// Returns an error only if the runtime has ended. Errors of the socket come from the receive itself.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect on the socket.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UdpSocket;
    /// # glassfrog::block_on(async {
    /// # let (alice, bob) = (UdpSocket::bind("127.0.0.1:0").await?, UdpSocket::bind("127.0.0.1:0").await?);
    /// alice.send_to(b"hello", bob.local_addr()?).await?;
    /// let mut buf = [0; 16];
    /// let (count, from) = loop {
    ///     bob.readable().await?;
    ///     match bob.try_recv_from(&mut buf) {
    ///         Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
    ///         result => break result?,
    ///     }
    /// };
    /// assert_eq!((count, from), (5, alice.local_addr()?));
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub async fn readable(&self) -> io::Result<()> {
        self.socket.ready(Direction::Read).await
    }

    /// Waits until the socket is writable: there is room in the send buffer, or an error is pending.
    ///
    /// # Errors
    ///
    /// Returns an error only if the runtime has ended. Errors of the socket come from the send itself.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect on the socket.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UdpSocket;
    /// # glassfrog::block_on(async {
    /// # let (alice, bob) = (UdpSocket::bind("127.0.0.1:0").await?, UdpSocket::bind("127.0.0.1:0").await?);
    /// alice.writable().await?;
    /// assert_eq!(alice.try_send_to(b"hello", bob.local_addr()?)?, 5);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub async fn writable(&self) -> io::Result<()> {
        self.socket.ready(Direction::Write).await
    }

    /// Tries to send a datagram to the address that the socket is [connected](UdpSocket::connect) to, without waiting.
    ///
    /// # Errors
    ///
    /// The kind is `WouldBlock` if the socket is not known to be writable. The method does not look for new events,
    /// so wait for [`writable`](UdpSocket::writable) first. For other errors see [`send`](UdpSocket::send).
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UdpSocket;
    /// # glassfrog::block_on(async {
    /// # let (alice, bob) = (UdpSocket::bind("127.0.0.1:0").await?, UdpSocket::bind("127.0.0.1:0").await?);
    /// # alice.connect(bob.local_addr()?).await?;
    /// # bob.connect(alice.local_addr()?).await?;
    /// alice.writable().await?;
    /// assert_eq!(alice.try_send(b"hello")?, 5);
    /// assert_eq!(bob.recv(&mut [0; 16]).await?, 5);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn try_send(&self, buf: &[u8]) -> io::Result<usize> {
        self.socket.try_with(Direction::Write, |io| io.send(buf))
    }

    /// Tries to send a datagram to the specified address, without waiting.
    ///
    /// # Errors
    ///
    /// The kind is `WouldBlock` if the socket is not known to be writable. The method does not look for new events,
    /// so wait for [`writable`](UdpSocket::writable) first. For other errors see [`send_to`](UdpSocket::send_to).
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UdpSocket;
    /// # glassfrog::block_on(async {
    /// # let (alice, bob) = (UdpSocket::bind("127.0.0.1:0").await?, UdpSocket::bind("127.0.0.1:0").await?);
    /// alice.writable().await?;
    /// assert_eq!(alice.try_send_to(b"hello", bob.local_addr()?)?, 5);
    /// assert_eq!(bob.recv(&mut [0; 16]).await?, 5);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn try_send_to(&self, buf: &[u8], addr: SocketAddr) -> io::Result<usize> {
        self.socket
            .try_with(Direction::Write, |io| io.send_to(buf, addr))
    }

    /// Tries to receive a datagram, without waiting.
    ///
    /// # Errors
    ///
    /// The kind is `WouldBlock` if the socket is not known to be readable. The method does not look for new events,
    /// so wait for [`readable`](UdpSocket::readable) first. For other errors see [`recv`](UdpSocket::recv).
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UdpSocket;
    /// # glassfrog::block_on(async {
    /// # let (alice, bob) = (UdpSocket::bind("127.0.0.1:0").await?, UdpSocket::bind("127.0.0.1:0").await?);
    /// # alice.connect(bob.local_addr()?).await?;
    /// # bob.connect(alice.local_addr()?).await?;
    /// alice.send(b"hello").await?;
    /// bob.readable().await?;
    /// assert_eq!(bob.try_recv(&mut [0; 16])?, 5);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.socket.try_with(Direction::Read, |io| io.recv(buf))
    }

    /// Tries to receive a datagram and the address of its sender, without waiting.
    ///
    /// # Errors
    ///
    /// The kind is `WouldBlock` if the socket is not known to be readable. The method does not look for new events,
    /// so wait for [`readable`](UdpSocket::readable) first. For other errors see [`recv_from`](UdpSocket::recv_from).
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UdpSocket;
    /// # glassfrog::block_on(async {
    /// # let (alice, bob) = (UdpSocket::bind("127.0.0.1:0").await?, UdpSocket::bind("127.0.0.1:0").await?);
    /// alice.send_to(b"hello", bob.local_addr()?).await?;
    /// bob.readable().await?;
    /// assert_eq!(bob.try_recv_from(&mut [0; 16])?, (5, alice.local_addr()?));
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn try_recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.socket
            .try_with(Direction::Read, |io| io.recv_from(buf))
    }

    /// Tries to receive a datagram without removing it from the receive buffer, without waiting.
    ///
    /// # Errors
    ///
    /// The kind is `WouldBlock` if the socket is not known to be readable. The method does not look for new events,
    /// so wait for [`readable`](UdpSocket::readable) first. For other errors see [`peek`](UdpSocket::peek).
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UdpSocket;
    /// # glassfrog::block_on(async {
    /// # let (alice, bob) = (UdpSocket::bind("127.0.0.1:0").await?, UdpSocket::bind("127.0.0.1:0").await?);
    /// # alice.connect(bob.local_addr()?).await?;
    /// # bob.connect(alice.local_addr()?).await?;
    /// alice.send(b"hello").await?;
    /// bob.readable().await?;
    /// assert_eq!(bob.try_peek(&mut [0; 16])?, 5);
    /// assert_eq!(bob.try_recv(&mut [0; 16])?, 5);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn try_peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.socket.try_with(Direction::Read, |io| io.peek(buf))
    }

    /// Tries to peek at a datagram and the address of its sender, without waiting.
    ///
    /// # Errors
    ///
    /// The kind is `WouldBlock` if the socket is not known to be readable. The method does not look for new events,
    /// so wait for [`readable`](UdpSocket::readable) first. For other errors see [`peek_from`](UdpSocket::peek_from).
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UdpSocket;
    /// # glassfrog::block_on(async {
    /// # let (alice, bob) = (UdpSocket::bind("127.0.0.1:0").await?, UdpSocket::bind("127.0.0.1:0").await?);
    /// alice.send_to(b"hello", bob.local_addr()?).await?;
    /// bob.readable().await?;
    /// assert_eq!(bob.try_peek_from(&mut [0; 16])?, (5, alice.local_addr()?));
    /// assert_eq!(bob.try_recv(&mut [0; 16])?, 5);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn try_peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.socket
            .try_with(Direction::Read, |io| io.peek_from(buf))
    }

    /// Polls for a datagram and the address of its sender.
    ///
    /// If the method returns `Pending`, the task is woken when it should call the method again. Any number of tasks
    /// may wait. If there are more than eight, some of them may be woken spuriously.
    ///
    /// # Errors
    ///
    /// See [`recv`](UdpSocket::recv).
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UdpSocket;
    /// # glassfrog::block_on(async {
    /// # let (alice, bob) = (UdpSocket::bind("127.0.0.1:0").await?, UdpSocket::bind("127.0.0.1:0").await?);
    /// # use std::future::poll_fn;
    /// alice.send_to(b"hello", bob.local_addr()?).await?;
    /// let mut buf = [0; 16];
    /// let (count, from) = poll_fn(|cx| bob.poll_recv_from(cx, &mut buf)).await?;
    /// assert_eq!((count, from), (5, alice.local_addr()?));
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        self.socket
            .poll_op_with(Direction::Read, cx, |io| io.recv_from(buf))
    }

    /// Polls the sending of a datagram to the specified address.
    ///
    /// If the method returns `Pending`, the task is woken when it should call the method again. Any number of tasks
    /// may wait. If there are more than eight, some of them may be woken spuriously.
    ///
    /// # Errors
    ///
    /// See [`send`](UdpSocket::send).
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UdpSocket;
    /// # glassfrog::block_on(async {
    /// # let (alice, bob) = (UdpSocket::bind("127.0.0.1:0").await?, UdpSocket::bind("127.0.0.1:0").await?);
    /// # use std::future::poll_fn;
    /// let to = bob.local_addr()?;
    /// assert_eq!(poll_fn(|cx| alice.poll_send_to(cx, b"hello", to)).await?, 5);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn poll_send_to(
        &self,
        cx: &mut Context<'_>,
        buf: &[u8],
        addr: SocketAddr,
    ) -> Poll<io::Result<usize>> {
        self.socket
            .poll_op_with(Direction::Write, cx, |io| io.send_to(buf, addr))
    }

    read_with! {
        self => self, &UdpSocket,
        /// ```
        /// # use glassfrog::net::UdpSocket;
        /// use socket2::SockRef;
        ///
        /// # glassfrog::block_on(async {
        /// # let (alice, bob) = (UdpSocket::bind("127.0.0.1:0").await?, UdpSocket::bind("127.0.0.1:0").await?);
        /// alice.send_to(b"hello", bob.local_addr()?).await?;
        /// let mut buf = Vec::with_capacity(16);
        /// let recv = |socket: &UdpSocket| SockRef::from(socket).recv_from(buf.spare_capacity_mut());
        /// let (count, from) = bob.read_with(recv).await?;
        /// assert_eq!((count, from.as_socket()), (5, Some(alice.local_addr()?)));
        /// # std::io::Result::Ok(())
        /// # })?;
        /// # std::io::Result::Ok(())
        /// ```
    }

    write_with! {
        self => self, &UdpSocket,
        /// ```
        /// # use glassfrog::net::UdpSocket;
        /// use socket2::SockRef;
        /// use std::io::IoSlice;
        ///
        /// # glassfrog::block_on(async {
        /// # let (alice, bob) = (UdpSocket::bind("127.0.0.1:0").await?, UdpSocket::bind("127.0.0.1:0").await?);
        /// let (to, parts) = (bob.local_addr()?.into(), [IoSlice::new(b"he"), IoSlice::new(b"llo")]);
        /// let send = |socket: &UdpSocket| SockRef::from(socket).send_to_vectored(&parts, &to);
        /// assert_eq!(alice.write_with(send).await?, 5);
        /// # std::io::Result::Ok(())
        /// # })?;
        /// # std::io::Result::Ok(())
        /// ```
        ///
    }

    /// Gets the value of the `SO_BROADCAST` option on this socket.
    ///
    /// # Errors
    ///
    /// Returns the error of `getsockopt(2)`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UdpSocket;
    /// # glassfrog::block_on(async {
    /// # let socket = UdpSocket::bind("127.0.0.1:0").await?;
    /// socket.set_broadcast(true)?;
    /// assert!(socket.broadcast()?);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn broadcast(&self) -> io::Result<bool> {
        self.socket.io().broadcast()
    }

    /// Sets the value of the `SO_BROADCAST` option on this socket, which allows it to send to a broadcast address.
    ///
    /// # Errors
    ///
    /// Returns the error of `setsockopt(2)`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UdpSocket;
    /// # glassfrog::block_on(async {
    /// # let socket = UdpSocket::bind("127.0.0.1:0").await?;
    /// socket.set_broadcast(true)?;
    /// assert!(socket.broadcast()?);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn set_broadcast(&self, broadcast: bool) -> io::Result<()> {
        self.socket.io().set_broadcast(broadcast)
    }

    /// Gets the value of the `IP_TTL` option on this socket.
    ///
    /// # Errors
    ///
    /// Returns the error of `getsockopt(2)`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UdpSocket;
    /// # glassfrog::block_on(async {
    /// # let socket = UdpSocket::bind("127.0.0.1:0").await?;
    /// socket.set_ttl(7)?;
    /// assert_eq!(socket.ttl()?, 7);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn ttl(&self) -> io::Result<u32> {
        self.socket.io().ttl()
    }

    /// Sets the value of the `IP_TTL` option on this socket: the maximum number of hops of a datagram.
    ///
    /// # Errors
    ///
    /// Returns the error of `setsockopt(2)`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UdpSocket;
    /// # glassfrog::block_on(async {
    /// # let socket = UdpSocket::bind("127.0.0.1:0").await?;
    /// socket.set_ttl(7)?;
    /// assert_eq!(socket.ttl()?, 7);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.socket.io().set_ttl(ttl)
    }

    /// Gets the value of the `IP_MULTICAST_TTL` option on this socket.
    ///
    /// # Errors
    ///
    /// Returns the error of `getsockopt(2)`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UdpSocket;
    /// # glassfrog::block_on(async {
    /// # let socket = UdpSocket::bind("127.0.0.1:0").await?;
    /// socket.set_multicast_ttl_v4(7)?;
    /// assert_eq!(socket.multicast_ttl_v4()?, 7);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn multicast_ttl_v4(&self) -> io::Result<u32> {
        self.socket.io().multicast_ttl_v4()
    }

    /// Sets the value of the `IP_MULTICAST_TTL` option on this socket: the maximum number of hops of a multicast
    /// datagram. The default is 1, which keeps datagrams in the local network.
    ///
    /// # Errors
    ///
    /// Returns the error of `setsockopt(2)`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UdpSocket;
    /// # glassfrog::block_on(async {
    /// # let socket = UdpSocket::bind("127.0.0.1:0").await?;
    /// socket.set_multicast_ttl_v4(7)?;
    /// assert_eq!(socket.multicast_ttl_v4()?, 7);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn set_multicast_ttl_v4(&self, multicast_ttl_v4: u32) -> io::Result<()> {
        self.socket.io().set_multicast_ttl_v4(multicast_ttl_v4)
    }

    /// Gets the value of the `IP_MULTICAST_LOOP` option on this socket.
    ///
    /// # Errors
    ///
    /// Returns the error of `getsockopt(2)`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UdpSocket;
    /// # glassfrog::block_on(async {
    /// # let socket = UdpSocket::bind("127.0.0.1:0").await?;
    /// socket.set_multicast_loop_v4(false)?;
    /// assert!(!socket.multicast_loop_v4()?);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn multicast_loop_v4(&self) -> io::Result<bool> {
        self.socket.io().multicast_loop_v4()
    }

    /// Sets the value of the `IP_MULTICAST_LOOP` option on this socket, which controls whether multicast datagrams
    /// are looped back to sockets on this host.
    ///
    /// # Errors
    ///
    /// Returns the error of `setsockopt(2)`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UdpSocket;
    /// # glassfrog::block_on(async {
    /// # let socket = UdpSocket::bind("127.0.0.1:0").await?;
    /// socket.set_multicast_loop_v4(false)?;
    /// assert!(!socket.multicast_loop_v4()?);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn set_multicast_loop_v4(&self, multicast_loop_v4: bool) -> io::Result<()> {
        self.socket.io().set_multicast_loop_v4(multicast_loop_v4)
    }

    /// Gets the value of the `IPV6_MULTICAST_LOOP` option on this socket.
    ///
    /// # Errors
    ///
    /// Returns the error of `getsockopt(2)`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UdpSocket;
    /// # glassfrog::block_on(async {
    /// # let Ok(socket) = UdpSocket::bind("[::1]:0").await else { return Ok(()) };
    /// socket.set_multicast_loop_v6(false)?;
    /// assert!(!socket.multicast_loop_v6()?);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn multicast_loop_v6(&self) -> io::Result<bool> {
        self.socket.io().multicast_loop_v6()
    }

    /// Sets the value of the `IPV6_MULTICAST_LOOP` option on this socket, which controls whether multicast datagrams
    /// are looped back to sockets on this host.
    ///
    /// # Errors
    ///
    /// Returns the error of `setsockopt(2)`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UdpSocket;
    /// # glassfrog::block_on(async {
    /// # let Ok(socket) = UdpSocket::bind("[::1]:0").await else { return Ok(()) };
    /// socket.set_multicast_loop_v6(false)?;
    /// assert!(!socket.multicast_loop_v6()?);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn set_multicast_loop_v6(&self, multicast_loop_v6: bool) -> io::Result<()> {
        self.socket.io().set_multicast_loop_v6(multicast_loop_v6)
    }

    /// Joins an IPv4 multicast group (`IP_ADD_MEMBERSHIP`): the socket also receives datagrams that are sent to
    /// `multiaddr`.
    ///
    /// `interface` is the address of the network interface to join on. With [`Ipv4Addr::UNSPECIFIED`] the
    /// operating system chooses one.
    ///
    /// # Errors
    ///
    /// Returns the error of `setsockopt(2)`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UdpSocket;
    /// # glassfrog::block_on(async {
    /// # let socket = UdpSocket::bind("127.0.0.1:0").await?;
    /// use std::net::Ipv4Addr;
    ///
    /// let group = Ipv4Addr::new(224, 0, 0, 123);
    /// socket.join_multicast_v4(&group, &Ipv4Addr::LOCALHOST)?;
    /// socket.leave_multicast_v4(&group, &Ipv4Addr::LOCALHOST)?;
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn join_multicast_v4(&self, multiaddr: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()> {
        self.socket.io().join_multicast_v4(multiaddr, interface)
    }

    /// Joins an IPv6 multicast group (`IPV6_ADD_MEMBERSHIP`): the socket also receives datagrams that are sent to
    /// `multiaddr`.
    ///
    /// `interface` is the index of the network interface to join on. With 0 the operating system chooses one.
    ///
    /// # Errors
    ///
    /// Returns the error of `setsockopt(2)`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UdpSocket;
    /// # glassfrog::block_on(async {
    /// # let Ok(socket) = UdpSocket::bind("[::1]:0").await else { return Ok(()) };
    /// let group = "ff02::123".parse().unwrap();
    /// // A host without an IPv6 network has no interface for it.
    /// if socket.join_multicast_v6(&group, 0).is_ok() {
    ///     socket.leave_multicast_v6(&group, 0)?;
    /// }
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn join_multicast_v6(&self, multiaddr: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.socket.io().join_multicast_v6(multiaddr, interface)
    }

    /// Leaves an IPv4 multicast group (`IP_DROP_MEMBERSHIP`).
    ///
    /// # Errors
    ///
    /// Returns the error of `setsockopt(2)`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UdpSocket;
    /// use std::net::Ipv4Addr;
    ///
    /// # glassfrog::block_on(async {
    /// # let socket = UdpSocket::bind("127.0.0.1:0").await?;
    /// let (group, interface) = (Ipv4Addr::new(224, 0, 0, 123), Ipv4Addr::LOCALHOST);
    /// socket.join_multicast_v4(&group, &interface)?;
    /// socket.leave_multicast_v4(&group, &interface)?;
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn leave_multicast_v4(&self, multiaddr: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()> {
        self.socket.io().leave_multicast_v4(multiaddr, interface)
    }

    /// Leaves an IPv6 multicast group (`IPV6_DROP_MEMBERSHIP`).
    ///
    /// # Errors
    ///
    /// Returns the error of `setsockopt(2)`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UdpSocket;
    /// # glassfrog::block_on(async {
    /// # let Ok(socket) = UdpSocket::bind("[::1]:0").await else { return Ok(()) };
    /// let group = "ff02::123".parse().unwrap();
    /// // A host without an IPv6 network has no interface for it.
    /// if socket.join_multicast_v6(&group, 0).is_ok() {
    ///     socket.leave_multicast_v6(&group, 0)?;
    /// }
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn leave_multicast_v6(&self, multiaddr: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.socket.io().leave_multicast_v6(multiaddr, interface)
    }

    /// Returns the socket address of the remote peer that the socket is [connected](UdpSocket::connect) to.
    ///
    /// # Errors
    ///
    /// The kind is `NotConnected` if the socket is not connected.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UdpSocket;
    /// # glassfrog::block_on(async {
    /// # let (alice, bob) = (UdpSocket::bind("127.0.0.1:0").await?, UdpSocket::bind("127.0.0.1:0").await?);
    /// alice.connect(bob.local_addr()?).await?;
    /// assert_eq!(alice.peer_addr()?, bob.local_addr()?);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.io().peer_addr()
    }

    /// Returns the socket address that the socket is bound to.
    ///
    /// # Errors
    ///
    /// Returns the error of `getsockname(2)`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UdpSocket;
    /// # glassfrog::block_on(async {
    /// # let socket = UdpSocket::bind("127.0.0.1:0").await?;
    /// assert_ne!(socket.local_addr()?.port(), 0);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.io().local_addr()
    }

    /// Gets the value of the `SO_ERROR` option on this socket, and clears the option.
    ///
    /// # Errors
    ///
    /// Returns the error of `getsockopt(2)`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::net::UdpSocket;
    /// # glassfrog::block_on(async {
    /// # let socket = UdpSocket::bind("127.0.0.1:0").await?;
    /// assert!(socket.take_error()?.is_none());
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.socket.io().take_error()
    }
}

std_conversions!(
    UdpSocket,
    std::net::UdpSocket,
    RawUdp::from_std,
    raw::into_std,
    /// The kind is `Unsupported` if the socket is [simulated](crate::net#simulated-sockets).
);

impl Io for mio::net::UdpSocket {
    fn describe(&self, direction: Direction, _connecting: &Connecting) -> String {
        let what = match direction {
            Direction::Read => "recv",
            Direction::Write => "send",
        };
        match (self.local_addr(), self.peer_addr()) {
            (Ok(local), Ok(peer)) => format!("{what} udp {local} → {peer}"),
            (Ok(local), Err(_)) => format!("{what} udp {local}"),
            (Err(_), _) => format!("{what} {} (not UDP)", self.kind()),
        }
    }
}

impl fmt::Debug for UdpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("UdpSocket").field(&self.socket).finish()
    }
}
