//! The runtime traits of `hickory-resolver` for glassfrog. Copy this file, and pass `Glassfrog(())` to
//! `Resolver::builder_with_config`.

use futures_io::{AsyncRead, AsyncWrite};
use glassfrog::Handle;
use glassfrog::net::{TcpStream, UdpSocket};
use glassfrog::time::{sleep, timeout};
use hickory_resolver::net::runtime::{DnsTcpStream, DnsUdpSocket, RuntimeProvider, Spawn, Time};
use std::io::Result;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// Without a value, the runtime of the current thread. With one, its socket.
#[derive(Clone, Copy, Debug)]
pub struct Glassfrog<T>(pub T);

/// A stream, as a type of this crate.
pub trait Tcp: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl Tcp for TcpStream {}

type Promise<T> = Pin<Box<dyn Future<Output = Result<T>> + Send>>;

#[rustfmt::skip]
impl RuntimeProvider for Glassfrog<()> {
    type Handle = Self;
    type Timer = Self;
    type Udp = Glassfrog<UdpSocket>;
    type Tcp = Box<dyn Tcp>;

    fn create_handle(&self) -> Self { *self }

    fn connect_tcp(&self, to: SocketAddr, _: Option<SocketAddr>, limit: Option<Duration>) -> Promise<Box<dyn Tcp>> {
        Box::pin(async move {
            let stream = timeout(limit.unwrap_or(Duration::from_secs(5)), TcpStream::connect(to)).await??;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as _)
        })
    }

    fn bind_udp(&self, local: SocketAddr, _: SocketAddr) -> Promise<Glassfrog<UdpSocket>> {
        Box::pin(async move { UdpSocket::bind(local).await.map(Glassfrog) })
    }
}

impl Spawn for Glassfrog<()> {
    fn spawn_bg(&mut self, future: impl Future<Output = ()> + Send + 'static) {
        Handle::current().spawn(future);
    }
}

#[async_trait::async_trait]
impl Time for Glassfrog<()> {
    async fn delay_for(duration: Duration) {
        sleep(duration).await;
    }

    async fn timeout<F: Future + Send + 'static>(limit: Duration, future: F) -> Result<F::Output> {
        Ok(timeout(limit, future).await?)
    }
}

#[rustfmt::skip]
impl DnsUdpSocket for Glassfrog<UdpSocket> {
    type Time = Glassfrog<()>;

    fn poll_recv_from(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<Result<(usize, SocketAddr)>> {
        self.0.poll_recv_from(cx, buf)
    }

    fn poll_send_to(&self, cx: &mut Context<'_>, buf: &[u8], to: SocketAddr) -> Poll<Result<usize>> {
        self.0.poll_send_to(cx, buf, to)
    }
}

impl DnsTcpStream for Box<dyn Tcp> {
    type Time = Glassfrog<()>;
}
