//! The runtime kit of `lapin`, which is that of `async-rs`, for glassfrog. Copy this file, and pass
//! `async_rs::Runtime::new(Glassfrog(Handle::current()))` to `lapin::Connection::connect_with_runtime`.

use async_rs::traits::{Executor, Reactor, RuntimeKit};
use async_rs::util::{DummyIO, Task, TaskImpl};
use futures::{AsyncRead, AsyncWrite, FutureExt, Stream};
use glassfrog::Handle;
use glassfrog::net::TcpStream;
use glassfrog::task::JoinHandle;
use glassfrog::time::{Sleep, interval, sleep};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// A runtime, or a task of it.
#[derive(Clone, Debug)]
pub struct Glassfrog<T>(pub T);

impl RuntimeKit for Glassfrog<Handle> {}

#[rustfmt::skip]
impl Executor for Glassfrog<Handle> {
    type Task<T: Send + 'static> = Glassfrog<JoinHandle<T>>;

    fn block_on<T, F: Future<Output = T>>(&self, future: F) -> T {
        self.0.block_on(future)
    }

    fn spawn<T: Send + 'static, F: Future<Output = T> + Send + 'static>(&self, future: F) -> Task<Self::Task<T>> {
        Glassfrog(self.0.spawn(future)).into()
    }

    fn spawn_blocking<T: Send + 'static, F: FnOnce() -> T + Send + 'static>(&self, work: F) -> Task<Self::Task<T>> {
        Glassfrog(self.0.spawn_blocking(work)).into()
    }
}

impl<T: Send + 'static> TaskImpl for Glassfrog<JoinHandle<T>> {}

impl<T: Send + 'static> Future for Glassfrog<JoinHandle<T>> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        self.0
            .poll_unpin(cx)
            .map(|output| output.expect("the task panicked, or its runtime ended"))
    }
}

#[rustfmt::skip]
impl Reactor for Glassfrog<Handle> {
    type TcpStream = TcpStream;
    type Sleep = Sleep;

    fn register<H: Read + Write + Send + 'static>(
        &self, _: H,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        // lapin connects by `tcp_connect_addr`.
        io::Result::<DummyIO>::Err(io::ErrorKind::Unsupported.into())
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        let _guard = self.0.enter();
        sleep(duration)
    }

    fn interval(&self, period: Duration) -> impl Stream<Item = Instant> + Send + 'static {
        let _guard = self.0.enter();
        interval(period)
    }

    fn tcp_connect_addr(&self, addr: SocketAddr) -> impl Future<Output = io::Result<TcpStream>> + Send + 'static {
        let connected = TcpStream::connect(addr);
        connected.map(|stream| stream.and_then(|stream| stream.set_nodelay(true).map(|()| stream)))
    }
}
