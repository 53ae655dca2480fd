//! [`serve`]: a server of HTTP/1 and HTTP/2.
//!
//! One future accepts connections, and each connection is a task of its own:
//!
//! ```text
//!    accept ──► handshake ──► version ──► HTTP/1 or HTTP/2 ──► closed, or upgraded
//!              (deadline)    (deadline)   (hyper: header timeout)
//! ```
//!
//! The future of the server owns the tasks. When the signal to stop arrives, it drops the listener and notifies the
//! connections, each of which finishes its requests. At the end of the grace period, it aborts the connections that
//! remain.

mod connection;
mod contained;
mod listener;
mod prefixed;
mod stop;

pub use self::listener::Listener;

use self::connection::Connections;
use super::Executor;
use crate::foreign::swallow_panics;
use crate::task::{JoinError, JoinSet};
use crate::time::{sleep, timeout};
use futures_io::{AsyncRead, AsyncWrite};
use hyper::body::{Body, Incoming};
use hyper::service::Service;
use hyper::{Request, Response};
use hyper_util::server::conn::auto;
use std::error::Error;
use std::fmt;
use std::future::{Ready, poll_fn, ready};
use std::io;
use std::mem;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

/// The default of [`Serve::header_read_timeout`], which is also that of hyper.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(30);

/// The default of [`Serve::handshake_timeout`]. A TLS handshake takes two round trips, and this leaves time for
/// retransmissions on a bad link.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest timeout that is passed to hyper, which adds it to an `Instant` and would panic if the sum overflowed: a
/// hundred years.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// An error that hyper can report.
type BoxError = Box<dyn Error + Send + Sync>;

/// The handshake of a server without one.
pub type NoHandshake<S> = fn(S) -> Ready<io::Result<S>>;

/// Serves HTTP/1 and HTTP/2 on the connections to a listener.
///
/// The listener is a [`TcpListener`](crate::net::TcpListener), or on Unix a `UnixListener`. `service` is called with the
/// address of the peer once for each connection, and returns the [`Service`] that answers its requests. Neither need be
/// `Send`. For a service of tower, such as a router of axum, use [`TowerToHyperService`](super::TowerToHyperService).
///
/// The future of the server runs until it is dropped, unless [`graceful`](Serve::graceful) gives it a signal to stop. After
/// a graceful stop, it returns the number of connections that it had to abort. Each connection runs in a task of its own.
/// The task
///
/// - completes the [handshake](Serve::handshake) if there is one,
/// - tells HTTP/2 (by its preface, with prior knowledge or after ALPN) from HTTP/1,
/// - answers requests until the peer closes, a timeout passes, or the service upgrades the connection.
///
/// TCP connections have Nagle's algorithm turned off (`TCP_NODELAY`). If the process runs out of descriptors, the listener
/// waits and retries, as described at [`TcpListener::accept`](crate::net::TcpListener::accept).
///
/// On a host of a simulation (the feature `sim`), responses have no `Date` header unless [`configure`](Serve::configure)
/// turns it on: hyper takes the date from the operating system, so the same seed would lead to different bytes.
///
/// An upgraded connection (`hyper::upgrade::Upgraded`) cannot be downcast to the socket, because the server wraps the
/// socket in a private type, which holds the first bytes. Read and write it through [`Io`](super::Io).
///
/// # Failures
///
/// A connection that fails affects no other. The server logs its error at level `debug` with the target
/// `glassfrog::hyper`, because a peer can cause any number of errors. The errors of single requests of HTTP/2 are not
/// logged: hyper resets their streams and does not report them.
///
/// A panic of the service is logged as an error. The panic ends the connection (HTTP/1) or fails the request (HTTP/2). If
/// the runtime was built with [`OnTaskPanic::EndRuntime`](crate::OnTaskPanic::EndRuntime), a panic in one request ends the
/// runtime, and with it the server.
///
/// # Errors
///
/// The future returns an error if the listener fails permanently, or if its runtime has ended. It then drops the
/// connections.
///
/// # Panics
///
/// Polling the future panics outside a runtime.
///
/// # Cancel safety
///
/// Dropping the future closes the listener and aborts the connections, except those that were upgraded.
///
/// # Examples
///
/// ```
/// use glassfrog::hyper::serve;
/// use glassfrog::net::{TcpListener, TcpStream};
/// use hyper::body::Incoming;
/// use hyper::service::service_fn;
/// use hyper::{Request, Response};
/// use std::convert::Infallible;
/// use std::net::SocketAddr;
///
/// glassfrog::block_on(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     let addr = listener.local_addr()?;
///     let server = glassfrog::spawn(serve(listener, |peer: SocketAddr| {
///         service_fn(move |_request: Request<Incoming>| async move {
///             Ok::<_, Infallible>(Response::new(format!("hello, {peer}")))
///         })
///     }));
///
///     let mut client = TcpStream::connect(addr).await?;
///     client.write(b"GET / HTTP/1.0\r\n\r\n").await?;
///     let mut response = Vec::new();
///     client.read_to_end(&mut response).await?;
///     assert!(response.starts_with(b"HTTP/1.0 200 OK\r\n"));
///     assert!(response.ends_with(client.local_addr()?.to_string().as_bytes()));
///     server.abort();
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub fn serve<L, M, S>(listener: L, service: M) -> Serve<L, M>
where
    L: Listener,
    M: Fn(L::Peer) -> S,
{
    Serve {
        state: State::Idle(Box::new(Settings {
            listener,
            service,
            handshake: ready_stream::<L::Stream> as NoHandshake<L::Stream>,
            handshake_timeout: HANDSHAKE_TIMEOUT,
            header_read_timeout: HEADER_READ_TIMEOUT,
            max_connections: usize::MAX,
            stop: None,
            configure: None,
        })),
    }
}

/// Returns a stream as it is: the handshake of a server without one.
fn ready_stream<S>(stream: S) -> Ready<io::Result<S>> {
    ready(Ok(stream))
}

/// The server that [`serve`] returns: a future, which its methods configure.
///
/// # Examples
///
/// ```no_run
/// use glassfrog::hyper::serve;
/// use glassfrog::net::TcpListener;
/// use hyper::body::Incoming;
/// use hyper::service::service_fn;
/// use hyper::{Request, Response};
/// use std::convert::Infallible;
/// use std::time::Duration;
///
/// async fn hello(_request: Request<Incoming>) -> Result<Response<String>, Infallible> {
///     Ok(Response::new(String::from("hello")))
/// }
///
/// # async fn asked_to_stop() {}
/// glassfrog::block_on(async {
///     let listener = TcpListener::bind("127.0.0.1:8000").await?;
///     let aborted = serve(listener, |_peer| service_fn(hello))
///         .header_read_timeout(Duration::from_secs(5))
///         .max_connections(10_000)
///         .graceful(asked_to_stop(), Duration::from_secs(8))
///         .await?;
///     println!("{aborted} connections did not finish in time");
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct Serve<L: Listener, M, H = NoHandshake<<L as Listener>::Stream>> {
    /// What the server does.
    state: State<L, M, H>,
}

/// The state of a server. The first poll starts it.
enum State<L, M, H> {
    /// The server has not been polled.
    Idle(Box<Settings<L, M, H>>),
    /// The server runs, or has ended.
    Running(Pin<Box<dyn Future<Output = io::Result<usize>>>>),
    /// A method or a poll moves the state.
    Moving,
}

/// The settings of a [`Serve`].
struct Settings<L, M, H> {
    /// Accepts the connections.
    listener: L,
    /// Makes the service of a connection from the address of its peer.
    service: M,
    /// Turns an accepted stream into the one that carries HTTP.
    handshake: H,
    /// The time that a handshake may take.
    handshake_timeout: Duration,
    /// The time that the head of a request may take.
    header_read_timeout: Duration,
    /// The number of connections at which the server stops accepting.
    max_connections: usize,
    /// The signal to stop, and the time that connections have after it.
    stop: Option<(Signal, Duration)>,
    /// The user's settings of hyper.
    configure: Option<Configure>,
}

/// The signal to stop.
type Signal = Pin<Box<dyn Future<Output = ()>>>;

/// Changes the settings of hyper.
type Configure = Box<dyn FnOnce(&mut auto::Builder<Executor>)>;

impl<L: Listener, M, H> Serve<L, M, H> {
    /// Returns the settings of a server that has not been polled.
    #[track_caller]
    fn settings(&mut self) -> &mut Settings<L, M, H> {
        match &mut self.state {
            State::Idle(settings) => settings,
            State::Running(_) | State::Moving => {
                panic!("this server already runs: configure it before it is polled")
            }
        }
    }

    /// Stops the server when `signal` is ready, and waits up to `grace` for its connections.
    ///
    /// The output of the signal is ignored. Once it is ready, the server
    ///
    /// 1. closes the listener, and with it the connections in its backlog;
    /// 2. closes the connections that are idle or have not sent a request. The others finish their current requests,
    ///    and tell their peers that no more will be answered (`Connection: close`, `GOAWAY`);
    /// 3. aborts the connections that remain after `grace`, and logs their number;
    /// 4. returns that number.
    ///
    /// A connection that was upgraded belongs to its service, and the server does not wait for it.
    ///
    /// Three kinds of peers delay the server although none of their requests is in progress. It waits for them until the
    /// grace period ends, or for up to twice the [`header_read_timeout`](Serve::header_read_timeout) if that is shorter:
    ///
    /// - a peer of HTTP/1 that has sent a part of its first head;
    /// - a peer of HTTP/2 that has sent the preface but not its `SETTINGS`;
    /// - an idle peer of HTTP/2 that does not answer the `PING` after the first `GOAWAY`.
    ///
    /// # Panics
    ///
    /// Panics if the server has been polled.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::hyper::serve;
    /// # use glassfrog::net::TcpListener;
    /// # use hyper::{Request, Response, body::Incoming, service::service_fn};
    /// # async fn hello(_request: Request<Incoming>) -> std::io::Result<Response<String>> {
    /// #     Ok(Response::new(String::new()))
    /// # }
    /// use glassfrog::time::sleep;
    /// use std::time::Duration;
    ///
    /// glassfrog::block_on(async {
    ///     let listener = TcpListener::bind("127.0.0.1:0").await?;
    ///     let server = serve(listener, |_peer| service_fn(hello));
    ///     let grace = Duration::from_secs(8);
    ///     let aborted = server.graceful(sleep(Duration::from_millis(5)), grace).await?;
    ///     assert_eq!(aborted, 0);
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn graceful<F>(mut self, signal: F, grace: Duration) -> Self
    where
        F: IntoFuture,
        F::IntoFuture: 'static,
    {
        let signal = signal.into_future();
        let signal = Box::pin(async { drop(signal.await) });
        self.settings().stop = Some((signal, grace));
        self
    }

    /// Limits the time in which a peer must send the head of a request. The default is 30 seconds.
    ///
    /// The limit applies to the first bytes, by which the server recognizes the version of HTTP, and then to each head of
    /// HTTP/1. The time of a head begins when the server is ready for it, so the limit also closes connections of HTTP/1
    /// that are idle. The first head may take twice the limit, because the first bytes have a limit of their own. Bodies
    /// have none.
    ///
    /// A connection of HTTP/2 may be idle for any time if its peer answers pings. The server sends a ping when it has
    /// received nothing for the time of this limit, and closes the connection if no answer arrives within the same time.
    /// Heads of HTTP/2 have no deadline of their own. But a peer that has sent a part of a head (`HEADERS` without
    /// `END_HEADERS`) cannot answer a ping before the rest, so the pings limit heads to twice the time.
    ///
    /// # Panics
    ///
    /// Panics if the server has been polled.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::hyper::serve;
    /// # use glassfrog::net::TcpListener;
    /// # use hyper::{Request, Response, body::Incoming, service::service_fn};
    /// # async fn hello(_request: Request<Incoming>) -> std::io::Result<Response<String>> {
    /// #     Ok(Response::new(String::new()))
    /// # }
    /// use std::time::Duration;
    ///
    /// # glassfrog::block_on(async {
    /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let server = serve(listener, |_peer| service_fn(hello))
    ///     .header_read_timeout(Duration::from_secs(5));
    /// # drop(server);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn header_read_timeout(mut self, timeout: Duration) -> Self {
        self.settings().header_read_timeout = timeout.min(LONGEST_TIMEOUT);
        self
    }

    /// Limits the number of connections. The default is no limit.
    ///
    /// At the limit, the server does not accept. New connections wait in the backlog of the listener until another
    /// connection ends or is upgraded.
    ///
    /// # Panics
    ///
    /// Panics if `count` is 0, or if the server has been polled.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::hyper::serve;
    /// # use glassfrog::net::TcpListener;
    /// # use hyper::{Request, Response, body::Incoming, service::service_fn};
    /// # async fn hello(_request: Request<Incoming>) -> std::io::Result<Response<String>> {
    /// #     Ok(Response::new(String::new()))
    /// # }
    /// # glassfrog::block_on(async {
    /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let server = serve(listener, |_peer| service_fn(hello)).max_connections(10_000);
    /// # drop(server);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn max_connections(mut self, count: usize) -> Self {
        assert!(
            count > 0,
            "a server that may have no connection serves nobody: pass at least 1 to `max_connections`"
        );
        self.settings().max_connections = count;
        self
    }

    /// Passes each accepted stream through a handshake, such as that of TLS.
    ///
    /// The handshake runs in the task of its connection, so a silent peer delays no other. The server closes the
    /// connection if the handshake fails or takes longer than [`handshake_timeout`](Serve::handshake_timeout). The
    /// stream that it returns must be `Send`, because hyper requires that of a connection that may be upgraded.
    ///
    /// To serve HTTP/2 over TLS, let ALPN offer `h2` and `http/1.1` in the settings of TLS. The server does not read the
    /// protocol that was chosen. It recognizes the version of HTTP by the first bytes of the client.
    ///
    /// # Panics
    ///
    /// Panics if the server has been polled.
    ///
    /// # Examples
    ///
    /// With futures-rustls, the handshake is `move |stream| acceptor.accept(stream)`. This one expects a
    /// byte:
    ///
    /// ```
    /// # use glassfrog::hyper::serve;
    /// # use hyper::{Request, Response, body::Incoming, service::service_fn};
    /// # async fn hello(_request: Request<Incoming>) -> std::io::Result<Response<String>> {
    /// #     Ok(Response::new(String::new()))
    /// # }
    /// use glassfrog::net::{TcpListener, TcpStream};
    ///
    /// # glassfrog::block_on(async {
    /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let server = serve(listener, |_peer| service_fn(hello))
    ///     .handshake(async |stream: TcpStream| {
    ///         stream.read(&mut [0]).await?;
    ///         Ok(stream)
    ///     });
    /// # drop(server);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn handshake<H2, T>(mut self, handshake: H2) -> Serve<L, M, H2>
    where
        H2: AsyncFn(L::Stream) -> io::Result<T>,
    {
        self.settings();
        let State::Idle(settings) = mem::replace(&mut self.state, State::Moving) else {
            unreachable!("`settings` has panicked")
        };
        Serve {
            state: State::Idle(Box::new(Settings {
                listener: settings.listener,
                service: settings.service,
                handshake,
                handshake_timeout: settings.handshake_timeout,
                header_read_timeout: settings.header_read_timeout,
                max_connections: settings.max_connections,
                stop: settings.stop,
                configure: settings.configure,
            })),
        }
    }

    /// Limits the time of each [handshake](Serve::handshake). The default is 10 seconds.
    ///
    /// # Panics
    ///
    /// Panics if the server has been polled.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::hyper::serve;
    /// # use glassfrog::net::TcpListener;
    /// # use hyper::{Request, Response, body::Incoming, service::service_fn};
    /// # async fn hello(_request: Request<Incoming>) -> std::io::Result<Response<String>> {
    /// #     Ok(Response::new(String::new()))
    /// # }
    /// use std::time::Duration;
    ///
    /// # glassfrog::block_on(async {
    /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let server = serve(listener, |_peer| service_fn(hello))
    ///     .handshake_timeout(Duration::from_secs(3));
    /// # drop(server);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.settings().handshake_timeout = timeout;
        self
    }

    /// Changes the settings of hyper: sizes of buffers and windows, the number of headers, keep-alive, pings.
    ///
    /// The server calls `configure` when it starts, after it has set the timer, the header timeout of HTTP/1 and the pings
    /// of HTTP/2, and on a host of a simulation has turned off the `Date` header. A second call of this method replaces the first.
    ///
    /// A `header_read_timeout` that is set here applies only after the first bytes, for which the limit of
    /// [`Serve::header_read_timeout`] remains. `keep_alive_interval(None)` of HTTP/2 turns the pings off. A silent peer
    /// then keeps its connection forever.
    ///
    /// hyper ends a connection of HTTP/1 when the peer has closed its writing half, even if a request is in progress. The
    /// client then gets no response. `http1().half_close(true)` serves such clients.
    ///
    /// # Panics
    ///
    /// Panics if the server has been polled.
    ///
    /// # Examples
    ///
    /// ```
    /// # use glassfrog::hyper::serve;
    /// # use glassfrog::net::TcpListener;
    /// # use hyper::{Request, Response, body::Incoming, service::service_fn};
    /// # async fn hello(_request: Request<Incoming>) -> std::io::Result<Response<String>> {
    /// #     Ok(Response::new(String::new()))
    /// # }
    /// use std::time::Duration;
    ///
    /// # glassfrog::block_on(async {
    /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let server = serve(listener, |_peer| service_fn(hello)).configure(|hyper| {
    ///     hyper.http1().max_buf_size(64 * 1024);
    ///     hyper.http2().keep_alive_interval(Duration::from_secs(60));
    /// });
    /// # drop(server);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn configure<C>(mut self, configure: C) -> Self
    where
        C: FnOnce(&mut auto::Builder<Executor>) + 'static,
    {
        self.settings().configure = Some(Box::new(configure));
        self
    }
}

impl<L, M, S, B, H, T> Future for Serve<L, M, H>
where
    L: Listener,
    M: Fn(L::Peer) -> S + 'static,
    S: Service<Request<Incoming>, Response = Response<B>> + 'static,
    S::Future: 'static,
    S::Error: Into<BoxError>,
    B: Body + 'static,
    B::Data: 'static,
    B::Error: Into<BoxError>,
    H: AsyncFn(L::Stream) -> io::Result<T> + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Output = io::Result<usize>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if let State::Idle(_) = &self.state {
            let State::Idle(settings) = mem::replace(&mut self.state, State::Moving) else {
                unreachable!("the state was `Idle` just now")
            };
            self.state = State::Running(Box::pin(run(*settings)));
        }
        match &mut self.state {
            State::Running(running) => running.as_mut().poll(cx),
            State::Idle(_) | State::Moving => unreachable!("the server runs"),
        }
    }
}

/// The future never projects a pin to its fields.
impl<L: Listener, M, H> Unpin for Serve<L, M, H> {}

/// An event that the server waits for.
enum Event<C> {
    /// A connection was accepted, or the listener has failed.
    Accepted(io::Result<C>),
    /// A connection has ended.
    Ended(Result<(), JoinError>),
    /// The signal to stop was ready.
    Stop,
}

/// Runs a server. Returns the number of connections that it aborted.
async fn run<L, M, S, B, H, T>(settings: Settings<L, M, H>) -> io::Result<usize>
where
    L: Listener,
    M: Fn(L::Peer) -> S + 'static,
    S: Service<Request<Incoming>, Response = Response<B>> + 'static,
    S::Future: 'static,
    S::Error: Into<BoxError>,
    B: Body + 'static,
    B::Data: 'static,
    B::Error: Into<BoxError>,
    H: AsyncFn(L::Stream) -> io::Result<T> + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let listener = settings.listener;
    let most = settings.max_connections;
    let (mut signal, grace) = settings.stop.unzip();
    let all = Rc::new(Connections::new(
        settings.service,
        settings.handshake,
        settings.handshake_timeout,
        settings.header_read_timeout,
        settings.configure,
    ));
    let mut tasks = JoinSet::new();
    loop {
        let has_room = tasks.len() < most;
        let mut accept = pin!(listener.accept());
        let event = poll_fn(|cx| {
            if let Poll::Ready(Some(outcome)) = tasks.poll_join_next(cx) {
                return Poll::Ready(Event::Ended(outcome));
            }
            if let Some(signal) = &mut signal
                && signal.as_mut().poll(cx).is_ready()
            {
                return Poll::Ready(Event::Stop);
            }
            match has_room {
                true => accept.as_mut().poll(cx).map(Event::Accepted),
                false => Poll::Pending,
            }
        });
        match event.await {
            Event::Accepted(Ok((stream, peer))) => {
                tasks.spawn(Rc::clone(&all).serve(stream, peer));
            }
            Event::Accepted(Err(error)) => return Err(error),
            Event::Ended(outcome) => report(outcome),
            Event::Stop => break,
        }
    }
    drop(listener);
    // A sleep ends in the next turn of the loop, which first asks the system for events. So the connections learn of the
    // requests that arrived before the signal.
    sleep(Duration::ZERO).await;
    all.stop();
    let drain = async {
        while let Some(outcome) = tasks.join_next().await {
            report(outcome);
        }
    };
    // There was a signal, so there is a grace period.
    let drained = timeout(grace.unwrap_or_default(), drain).await;
    let remaining = tasks.len();
    if drained.is_err() {
        swallow_panics(|| {
            log::warn!(
                target: "glassfrog::hyper",
                "aborting {remaining} connections that did not finish within {grace:?} of the signal to stop",
                grace = grace.unwrap_or_default()
            );
        });
        tasks.abort_all();
        // A destructor may panic.
        while let Some(outcome) = tasks.join_next().await {
            report(outcome);
        }
    }
    Ok(remaining)
}

/// Logs the panic of a connection. A connection that was aborted has not failed.
fn report(outcome: Result<(), JoinError>) {
    if let Err(error) = outcome
        && !error.is_cancelled()
    {
        swallow_panics(|| {
            log::error!(target: "glassfrog::hyper", "a connection has ended: {error}");
            // The destructor of the payload is foreign code.
            drop(error);
        });
    }
}

impl<L: Listener, M, H> fmt::Debug for Serve<L, M, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("Serve");
        if let State::Idle(settings) = &self.state {
            text.field("listener", &settings.listener)
                .field("handshake_timeout", &settings.handshake_timeout)
                .field("header_read_timeout", &settings.header_read_timeout)
                .field("max_connections", &settings.max_connections);
        }
        text.finish_non_exhaustive()
    }
}
