//! The runtime traits of `quinn` for glassfrog. Copy this file, and pass `Arc::new(Glassfrog(()))` to
//! `quinn::Endpoint::new`, inside the runtime.

use glassfrog::net::UdpSocket;
use glassfrog::time::{Sleep, now, sleep_until};
use quinn::udp::{RecvMeta, Transmit, UdpSocketState};
use quinn::{AsyncTimer, AsyncUdpSocket, Runtime, UdpPoller};
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

/// Without a value, the runtime of the current thread. With one, its sleep, or its wait for a writable socket.
#[derive(Debug)]
pub struct Glassfrog<T>(pub T);

/// A socket, and what quinn has found out about it.
#[derive(Debug)]
struct Socket(UdpSocket, UdpSocketState);

impl Runtime for Glassfrog<()> {
    fn new_timer(&self, deadline: Instant) -> Pin<Box<dyn AsyncTimer>> {
        Box::pin(Glassfrog(sleep_until(deadline)))
    }

    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        glassfrog::spawn(future);
    }

    fn wrap_udp_socket(&self, socket: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        let state = UdpSocketState::new((&socket).into())?;
        Ok(Arc::new(Socket(socket.try_into()?, state)))
    }

    fn now(&self) -> Instant {
        now()
    }
}

impl AsyncTimer for Glassfrog<Sleep> {
    fn reset(mut self: Pin<&mut Self>, deadline: Instant) {
        self.0.reset(deadline);
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl UdpPoller for Glassfrog<Arc<Socket>> {
    fn poll_writable(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Does nothing to the socket: glassfrog calls the closure when the socket is known to be writable.
        self.0.0.poll_write_with(cx, |_| Ok(()))
    }
}

type Parts<'a, 'b> = &'a mut [IoSliceMut<'b>];

#[rustfmt::skip]
impl AsyncUdpSocket for Socket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> { Box::pin(Glassfrog(self)) }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.0.try_write_with(|socket| self.1.send(socket.into(), transmit))
    }

    fn poll_recv(&self, cx: &mut Context<'_>, bufs: Parts<'_, '_>, meta: &mut [RecvMeta]) -> Poll<io::Result<usize>> {
        self.0.poll_read_with(cx, |socket| self.1.recv(socket.into(), bufs, meta))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> { self.0.local_addr() }
    fn max_transmit_segments(&self) -> usize { self.1.max_gso_segments() }
    fn max_receive_segments(&self) -> usize { self.1.gro_segments() }
    fn may_fragment(&self) -> bool { self.1.may_fragment() }
}
