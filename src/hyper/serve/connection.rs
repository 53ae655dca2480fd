//! [`Connections`]: the state that the connections of a server share, and the code that serves each of them.

use super::contained::Contained;
use super::prefixed::Prefixed;
use super::stop::{Stop, StopWaiter};
use super::{BoxError, Configure};
use crate::context;
use crate::foreign::swallow_panics;
use crate::hyper::{Executor, Timer};
use crate::time::timeout;
use futures_io::{AsyncRead, AsyncWrite};
use hyper::body::{Body, Incoming};
use hyper::service::Service;
use hyper::{Request, Response};
use hyper_util::server::conn::auto;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

/// The state that the connections of a server share.
pub(super) struct Connections<M, H> {
    /// Makes the service of a connection.
    service: M,
    /// Turns an accepted stream into the one that carries HTTP.
    handshake: H,
    /// The time that a handshake may take.
    handshake_timeout: Duration,
    /// The time that the first bytes may take.
    first_bytes_timeout: Duration,
    /// The settings of hyper.
    hyper: auto::Builder<Executor>,
    /// Tells the connections that the server stops.
    stop: Stop,
}

impl<M, H> Connections<M, H> {
    /// Creates the state that the connections of a server share.
    pub(super) fn new(
        service: M,
        handshake: H,
        handshake_timeout: Duration,
        header_read_timeout: Duration,
        configure: Option<Configure>,
    ) -> Connections<M, H> {
        let mut hyper = auto::Builder::new(Executor);
        let timer = Timer::new();
        // A peer that has begun a head of HTTP/2 may send no other frame, and so cannot answer a ping either.
        hyper
            .http2()
            .timer(timer.clone())
            .keep_alive_interval(header_read_timeout)
            .keep_alive_timeout(header_read_timeout);
        hyper
            .http1()
            .timer(timer)
            .header_read_timeout(header_read_timeout);
        if context::shared().clock.is_simulated() {
            // hyper takes the date from the operating system, so that two runs of a seed would send different bytes.
            hyper.http1().auto_date_header(false);
            hyper.http2().auto_date_header(false);
        }
        if let Some(configure) = configure {
            configure(&mut hyper);
        }
        Connections {
            service,
            handshake,
            handshake_timeout,
            first_bytes_timeout: header_read_timeout,
            hyper,
            stop: Stop::new(),
        }
    }

    /// Tells the connections that the server stops.
    pub(super) fn stop(&self) {
        self.stop.set();
    }

    /// Serves a connection until it ends, and logs its failure.
    pub(super) async fn serve<A, P, S, B, T>(self: Rc<Self>, accepted: A, peer: P)
    where
        M: Fn(P) -> S,
        P: fmt::Debug + Clone,
        S: Service<Request<Incoming>, Response = Response<B>> + 'static,
        S::Future: 'static,
        S::Error: Into<BoxError>,
        B: Body + 'static,
        B::Data: 'static,
        B::Error: Into<BoxError>,
        H: AsyncFn(A) -> io::Result<T>,
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut stop = self.stop.waiter();
        // When the server stops, an idle connection closes at once.
        let Some(opened) = unless_stopped(&mut stop, self.open(accepted)).await else {
            return;
        };
        let outcome = match opened {
            Ok(Some(stream)) => {
                let service = Contained((self.service)(peer.clone()));
                let connection = self.hyper.serve_connection_with_upgrades(stream, service);
                let mut connection = pin!(connection);
                let mut is_stopping = false;
                poll_fn(|cx| {
                    // The connection goes first: a request that has already arrived is answered. hyper-util also cancels
                    // a connection that stops before its first poll.
                    let polled = connection.as_mut().poll(cx);
                    if polled.is_pending() && !is_stopping && stop.poll(cx).is_ready() {
                        is_stopping = true;
                        connection.as_mut().graceful_shutdown();
                        return connection.as_mut().poll(cx);
                    }
                    polled
                })
                .await
            }
            Ok(None) => Ok(()),
            Err(error) => Err(error.into()),
        };
        if let Err(error) = outcome {
            swallow_panics(|| {
                log::debug!(target: "glassfrog::hyper", "connection from {peer:?}: {}", Chain(&*error));
            });
        }
    }

    /// Completes the handshake, and reads the first bytes. Returns `None` if the peer closes before it sends any.
    async fn open<A, T>(&self, accepted: A) -> io::Result<Option<Prefixed<T>>>
    where
        H: AsyncFn(A) -> io::Result<T>,
        T: AsyncRead + Unpin,
    {
        let stream = timeout(self.handshake_timeout, (self.handshake)(accepted))
            .await
            .map_err(|_elapsed| timed_out("the handshake", self.handshake_timeout))??;
        timeout(self.first_bytes_timeout, Prefixed::read(stream))
            .await
            .map_err(|_elapsed| timed_out("the first request", self.first_bytes_timeout))?
    }
}

/// Waits for a future, or returns `None` if the server stops first. The future goes first, because the bytes of a
/// request may have arrived before the signal.
async fn unless_stopped<F: Future>(stop: &mut StopWaiter<'_>, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => stop.poll(cx).map(|()| None),
    })
    .await
}

/// Returns the error of a peer that took too long.
fn timed_out(what: &str, limit: Duration) -> io::Error {
    io::Error::new(
        io::ErrorKind::TimedOut,
        format!("{what} did not complete within {limit:?}"),
    )
}

/// Displays an error with its sources: hyper's errors leave out the text of their causes.
struct Chain<'a>(&'a (dyn std::error::Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut next = self.0.source();
        while let Some(source) = next {
            write!(f, ": {source}")?;
            next = source.source();
        }
        Ok(())
    }
}
