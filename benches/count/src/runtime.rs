//! [`Runtime`]: the operations of a runtime that the workloads use, and their implementation for glassfrog.
//!
//! Every method is generic or returns an opaque future. Everything is resolved at compile time, so the trait adds
//! no cost. `glassfrog-peers` implements it for the other runtimes.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use glassfrog::net::{TcpListener, TcpStream};
use glassfrog::prelude::*;

use crate::server::REQUEST_CLOSE;
use crate::workloads::BUFFER;

/// The operations of a runtime: start it, spawn, wait, and use TCP.
///
/// Buffers are `Vec`s and messages are static, because monoio takes both by value.
pub trait Runtime: 'static {
    /// The runtime's TCP listener.
    type Listener;
    /// The runtime's TCP stream.
    type Stream: 'static;

    /// Creates a runtime and runs `future` on it to completion.
    fn block_on<F: Future>(future: F) -> F::Output;

    /// Spawns a task on the current runtime and returns a future of its output.
    fn spawn<F>(future: F) -> impl Future<Output = F::Output> + 'static
    where
        F: Future + 'static,
        F::Output: 'static;

    /// Spawns a detached task.
    fn spawn_detached(future: impl Future<Output = ()> + 'static);

    /// Lets the other tasks run.
    fn yield_now() -> impl Future<Output = ()>;

    /// Waits for `duration`. The timer is registered at the first poll at the latest.
    fn sleep(duration: Duration) -> impl Future<Output = ()> + 'static;

    /// Listens at `address`.
    fn bind(address: SocketAddr) -> impl Future<Output = io::Result<Self::Listener>>;

    /// Returns the address of a listener.
    fn local_addr(listener: &Self::Listener) -> io::Result<SocketAddr>;

    /// Waits for the next connection.
    fn accept(listener: &Self::Listener) -> impl Future<Output = io::Result<Self::Stream>>;

    /// Connects to `address`.
    fn connect(address: SocketAddr) -> impl Future<Output = io::Result<Self::Stream>>;

    /// Writes the whole of `message`.
    fn write_all(
        stream: &mut Self::Stream,
        message: &'static [u8],
    ) -> impl Future<Output = io::Result<()>>;

    /// Reads into the elements of `buffer` and returns the number of bytes.
    fn read<'a>(
        stream: &'a mut Self::Stream,
        buffer: &'a mut Vec<u8>,
    ) -> impl Future<Output = io::Result<usize>>;

    /// Reads until the peer closes, appends to `buffer`, and returns the number of bytes.
    fn read_to_end<'a>(
        stream: &'a mut Self::Stream,
        buffer: &'a mut Vec<u8>,
    ) -> impl Future<Output = io::Result<usize>>;

    /// Performs the fetch of the README: connects, writes the request, and reads the text until the peer closes.
    fn fetch_data(address: SocketAddr) -> impl Future<Output = io::Result<String>> {
        async move {
            let mut stream = Self::connect(address).await?;
            Self::write_all(&mut stream, REQUEST_CLOSE).await?;
            let mut text = Vec::with_capacity(BUFFER);
            Self::read_to_end(&mut stream, &mut text).await?;
            String::from_utf8(text).map_err(io::Error::other)
        }
    }
}

/// glassfrog with its default settings.
#[derive(Debug)]
pub struct Glassfrog;

impl Runtime for Glassfrog {
    type Stream = TcpStream;
    type Listener = TcpListener;

    fn block_on<F: Future>(future: F) -> F::Output {
        glassfrog::block_on(future)
    }

    fn spawn<F>(future: F) -> impl Future<Output = F::Output> + 'static
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let handle = glassfrog::spawn(future);
        async { handle.await.expect("a task of a workload panicked") }
    }

    fn spawn_detached(future: impl Future<Output = ()> + 'static) {
        drop(glassfrog::spawn(future));
    }

    fn yield_now() -> impl Future<Output = ()> {
        glassfrog::task::yield_now()
    }

    fn sleep(duration: Duration) -> impl Future<Output = ()> + 'static {
        glassfrog::time::sleep(duration)
    }

    fn bind(address: SocketAddr) -> impl Future<Output = io::Result<Self::Listener>> {
        TcpListener::bind(address)
    }

    fn local_addr(listener: &Self::Listener) -> io::Result<SocketAddr> {
        listener.local_addr()
    }

    async fn accept(listener: &Self::Listener) -> io::Result<Self::Stream> {
        Ok(listener.accept().await?.0)
    }

    fn connect(address: SocketAddr) -> impl Future<Output = io::Result<Self::Stream>> {
        TcpStream::connect(address)
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

    // The same code as in the README.
    async fn fetch_data(addr: SocketAddr) -> io::Result<String> {
        let mut stream = TcpStream::connect(addr).await?;
        stream.write_all(REQUEST_CLOSE).await?;
        let mut text = Vec::with_capacity(4096);
        stream.read_to_end(&mut text).await?;
        String::from_utf8(text).map_err(io::Error::other)
    }
}
