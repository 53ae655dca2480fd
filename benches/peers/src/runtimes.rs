//! Implementations of [`Runtime`] for tokio, smol and monoio.

use std::io;
use std::mem;
use std::net::SocketAddr;
use std::time::Duration;

use glassfrog_count::runtime::Runtime;
use monoio::buf::IoBufMut as _;
use monoio::io::{AsyncReadRent as _, AsyncWriteRentExt as _};
use smol::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Tokio with its current-thread scheduler.
pub(crate) struct Tokio;

impl Runtime for Tokio {
    type Stream = tokio::net::TcpStream;
    type Listener = tokio::net::TcpListener;

    fn block_on<F: Future>(future: F) -> F::Output {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().build_local(Default::default());
        runtime.expect("a tokio runtime").block_on(future)
    }

    fn spawn<F>(future: F) -> impl Future<Output = F::Output> + 'static
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let handle = tokio::task::spawn_local(future);
        async { handle.await.expect("a task of a workload panicked") }
    }

    fn spawn_detached(future: impl Future<Output = ()> + 'static) {
        drop(tokio::task::spawn_local(future));
    }

    fn yield_now() -> impl Future<Output = ()> {
        tokio::task::yield_now()
    }

    fn sleep(duration: Duration) -> impl Future<Output = ()> + 'static {
        tokio::time::sleep(duration)
    }

    fn bind(address: SocketAddr) -> impl Future<Output = io::Result<Self::Listener>> {
        Self::Listener::bind(address)
    }

    fn local_addr(listener: &Self::Listener) -> io::Result<SocketAddr> {
        listener.local_addr()
    }

    async fn accept(listener: &Self::Listener) -> io::Result<Self::Stream> {
        Ok(listener.accept().await?.0)
    }

    fn connect(address: SocketAddr) -> impl Future<Output = io::Result<Self::Stream>> {
        Self::Stream::connect(address)
    }

    fn write_all(
        stream: &mut Self::Stream,
        message: &'static [u8],
    ) -> impl Future<Output = io::Result<()>> {
        stream.write_all(message)
    }

    fn read<'a>(
        stream: &'a mut Self::Stream,
        buffer: &'a mut Vec<u8>,
    ) -> impl Future<Output = io::Result<usize>> {
        stream.read(buffer)
    }

    fn read_to_end<'a>(
        stream: &'a mut Self::Stream,
        buffer: &'a mut Vec<u8>,
    ) -> impl Future<Output = io::Result<usize>> {
        stream.read_to_end(buffer)
    }
}

thread_local! {
    /// The executor of smol; leaked, so that `spawn` reaches it at the least cost.
    static EXECUTOR: &'static smol::LocalExecutor<'static> = Box::leak(Box::default());
}

/// The backlog of a listener, as in the other runtimes.
const BACKLOG: i32 = 1024;

/// Smol with a local executor.
pub(crate) struct Smol;

impl Runtime for Smol {
    type Stream = smol::net::TcpStream;
    type Listener = smol::net::TcpListener;

    fn block_on<F: Future>(future: F) -> F::Output {
        smol::block_on(EXECUTOR.with(|executor| *executor).run(future))
    }

    fn spawn<F>(future: F) -> impl Future<Output = F::Output> + 'static
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        EXECUTOR.with(|executor| executor.spawn(future))
    }

    fn spawn_detached(future: impl Future<Output = ()> + 'static) {
        EXECUTOR.with(|executor| executor.spawn(future)).detach();
    }

    fn yield_now() -> impl Future<Output = ()> {
        smol::future::yield_now()
    }

    async fn sleep(duration: Duration) {
        smol::Timer::after(duration).await;
    }

    async fn bind(address: SocketAddr) -> io::Result<Self::Listener> {
        let listener = Self::Listener::bind(address).await?;
        // The backlog of `std` is 128. If 500 connections arrive at once, the kernel drops some of them.
        rustix::net::listen(&listener, BACKLOG)?;
        Ok(listener)
    }

    fn local_addr(listener: &Self::Listener) -> io::Result<SocketAddr> {
        listener.local_addr()
    }

    async fn accept(listener: &Self::Listener) -> io::Result<Self::Stream> {
        Ok(listener.accept().await?.0)
    }

    fn connect(address: SocketAddr) -> impl Future<Output = io::Result<Self::Stream>> {
        Self::Stream::connect(address)
    }

    fn write_all(
        stream: &mut Self::Stream,
        message: &'static [u8],
    ) -> impl Future<Output = io::Result<()>> {
        stream.write_all(message)
    }

    fn read<'a>(
        stream: &'a mut Self::Stream,
        buffer: &'a mut Vec<u8>,
    ) -> impl Future<Output = io::Result<usize>> {
        stream.read(buffer)
    }

    fn read_to_end<'a>(
        stream: &'a mut Self::Stream,
        buffer: &'a mut Vec<u8>,
    ) -> impl Future<Output = io::Result<usize>> {
        stream.read_to_end(buffer)
    }
}

/// Monoio on epoll.
pub(crate) struct Monoio;

impl Runtime for Monoio {
    type Stream = monoio::net::TcpStream;
    type Listener = monoio::net::TcpListener;

    fn block_on<F: Future>(future: F) -> F::Output {
        let builder = monoio::RuntimeBuilder::<monoio::LegacyDriver>::new().enable_timer();
        builder.build().expect("a monoio runtime").block_on(future)
    }

    fn spawn<F>(future: F) -> impl Future<Output = F::Output> + 'static
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        monoio::spawn(future)
    }

    fn spawn_detached(future: impl Future<Output = ()> + 'static) {
        drop(monoio::spawn(future));
    }

    fn yield_now() -> impl Future<Output = ()> {
        // Monoio has no yield of its own. This future wakes its task and is pending once. Monoio puts a task that
        // is woken in its own poll at the front of its queue.
        smol::future::yield_now()
    }

    fn sleep(duration: Duration) -> impl Future<Output = ()> + 'static {
        monoio::time::sleep(duration)
    }

    async fn bind(address: SocketAddr) -> io::Result<Self::Listener> {
        Self::Listener::bind(address)
    }

    fn local_addr(listener: &Self::Listener) -> io::Result<SocketAddr> {
        listener.local_addr()
    }

    async fn accept(listener: &Self::Listener) -> io::Result<Self::Stream> {
        Ok(listener.accept().await?.0)
    }

    fn connect(address: SocketAddr) -> impl Future<Output = io::Result<Self::Stream>> {
        Self::Stream::connect_addr(address)
    }

    async fn write_all(stream: &mut Self::Stream, message: &'static [u8]) -> io::Result<()> {
        stream.write_all(message).await.0.map(drop)
    }

    async fn read<'a>(stream: &'a mut Self::Stream, buffer: &'a mut Vec<u8>) -> io::Result<usize> {
        let (result, taken) = stream.read(mem::take(buffer)).await;
        *buffer = taken;
        result
    }

    async fn read_to_end<'a>(
        stream: &'a mut Self::Stream,
        buffer: &'a mut Vec<u8>,
    ) -> io::Result<usize> {
        loop {
            // As in the other runtimes, the buffer grows only when it is full.
            if buffer.len() == buffer.capacity() {
                buffer.reserve(buffer.len().max(32));
            }
            let filled = buffer.len();
            let (result, taken) = stream.read(mem::take(buffer).slice_mut(filled..)).await;
            *buffer = taken.into_inner();
            if result? == 0 {
                return Ok(buffer.len());
            }
        }
    }
}
