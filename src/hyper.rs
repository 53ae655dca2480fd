//! HTTP: the runtime traits of hyper, and a server for hyper and axum.
//!
//! [hyper](https://docs.rs/hyper) implements HTTP/1 and HTTP/2 without a runtime of its own. The feature `hyper`
//! implements its traits: [`Io`] for streams, [`Executor`] for tasks, and [`Timer`] for timeouts. The feature
//! `hyper-serve` adds `serve`, which accepts connections, tells the versions of HTTP apart, and shuts down gracefully.
//!
//! # A server with axum
//!
//! A router of axum is a service of tower, which `TowerToHyperService` adapts for hyper. Turn off the default features
//! of axum, which include the sockets of tokio: `axum = { version = "0.8", default-features = false, features =
//! ["http1", "json"] }`. This is a complete server, which also needs the feature `signal` of glassfrog:
//!
//! ```ignore
//! use axum::{Json, Router, routing::get};
//! use glassfrog::hyper::{TowerToHyperService, serve};
//! use glassfrog::net::TcpListener;
//! use std::time::Duration;
//!
//! async fn squares() -> Json<Vec<u32>> {
//!     // A handler may await everything that glassfrog offers.
//!     glassfrog::time::sleep(Duration::from_millis(1)).await;
//!     Json((1..10).map(|number| number * number).collect())
//! }
//!
//! fn main() -> std::io::Result<()> {
//!     glassfrog::block_on(async {
//!         let app = Router::new().route("/squares", get(squares));
//!         let listener = TcpListener::bind("127.0.0.1:8000").await?;
//!         serve(listener, move |_peer| TowerToHyperService::new(app.clone()))
//!             .graceful(glassfrog::signal::ctrl_c(), Duration::from_secs(10))
//!             .await?;
//!         Ok(())
//!     })
//! }
//! ```
//!
//! The package `examples/axum` has more examples: `hyper_hello` is a server without axum, `axum` shows shared state,
//! JSON, streamed bodies and events, and `axum_test` tests an application under a virtual clock. To pass the address of
//! the peer to the handlers, add it to the requests of its connection: `app.clone().layer(Extension(peer))`.
//!
//! To use all cores, call `serve` in each of the [`Workers`](crate::Workers), on a listener with `SO_REUSEPORT`.
//!
//! # TLS
//!
//! The method `handshake` of the server passes each stream through TLS, in the task of its connection. With futures-rustls:
//!
//! ```ignore
//! serve(listener, service).handshake(move |stream| acceptor.accept(stream))
//! ```
//!
//! Let ALPN offer `h2` and `http/1.1`. The server recognizes the version of HTTP by the first bytes of the client.
//!
//! # A client
//!
//! `hyper::client::conn` sends requests over one connection:
//!
//! ```ignore
//! let stream = TcpStream::connect("127.0.0.1:8000").await?;
//! let (mut sender, connection) = hyper::client::conn::http1::handshake(Io::new(stream)).await?;
//! glassfrog::spawn(connection);
//! let response = sender.send_request(request).await?;
//! ```
//!
//! The `Client` of hyper-util (its feature `client-legacy`) has a pool of connections and speaks both versions. It
//! needs a connector, a service that turns a URI into a stream:
//!
//! ```ignore
//! /// Connects to the host of a URI.
//! #[derive(Clone)]
//! struct Connector;
//!
//! impl tower_service::Service<Uri> for Connector {
//!     type Response = Stream;
//!     type Error = io::Error;
//!     type Future = Pin<Box<dyn Future<Output = io::Result<Stream>> + Send>>;
//!
//!     fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
//!         Poll::Ready(Ok(()))
//!     }
//!
//!     fn call(&mut self, uri: Uri) -> Self::Future {
//!         Box::pin(async move {
//!             let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
//!             let stream = TcpStream::connect((host, uri.port_u16().unwrap_or(80))).await?;
//!             stream.set_nodelay(true)?;
//!             Ok(Stream(Io::new(stream)))
//!         })
//!     }
//! }
//!
//! let client = Client::builder(Executor)
//!     .pool_timer(Timer::new())
//!     .timer(Timer::new())
//!     .build(Connector);
//! let response = client.get("http://127.0.0.1:8000/".parse()?).await?;
//! ```
//!
//! `Stream` wraps `Io<TcpStream>`, forwards hyper's `Read` and `Write`, and implements `Connection`;
//! `tests/hyper/connector.rs` is the complete file. For https, complete the handshake of TLS in `call`. The feature
//! `client-legacy` compiles the sockets of tokio, but the connector does not use them.
//!
//! # What calls tokio
//!
//! hyper and h2 depend on tokio for its channels and its traits (the features `sync` and `io-util`). These need no
//! runtime of tokio and start no thread. Some parts of axum and of tower call the runtime, however, and panic without
//! one. As of axum 0.8.9, tower 0.5.3, and tower-http 0.6 and 0.7, these are:
//!
//! | part | what it calls | on glassfrog |
//! | --- | --- | --- |
//! | `axum::serve` | tokio's sockets, `tokio::spawn` | `serve` |
//! | `WebSocketUpgrade::on_upgrade` | `tokio::spawn` | `hyper::upgrade::on` with async-tungstenite over `Io<Upgraded>` |
//! | `Sse::keep_alive` | `tokio::time::sleep` | send a comment after a [`timeout`](crate::time::timeout), as the example `axum` does |
//! | `TimeoutLayer` of tower and tower-http, and the timeouts of bodies | `tokio::time::sleep` | [`timeout`](crate::time::timeout) in a handler, or in `axum::middleware::from_fn` |
//! | `ServeFile`, `ServeDir` | `tokio::fs` | [`spawn_blocking`](crate::task::spawn_blocking) |
//! | `BufferLayer` | `tokio::spawn` | `Buffer::pair`, and [`spawn`](crate::spawn) its worker |
//! | `RateLimitLayer`, `SpawnReady`, `Hedge`, and the back-off of `Retry` | `tokio::time`, `tokio::spawn` | |
//! | the exporter of `InFlightRequestsLayer` | `tokio::time` | |
//!
//! Everything works unchanged on a thread that has entered a runtime of tokio, which then runs the timers and tasks in this
//! table on a thread of its own. Build a multi-thread runtime with one worker, and enter it before `block_on`: `let _guard =
//! tokio.enter();`. A virtual clock does not move the timers of tokio.

mod executor;
mod io;
#[cfg(feature = "hyper-serve")]
mod serve;
mod timer;

pub use self::executor::Executor;
pub use self::io::Io;
#[cfg(feature = "hyper-serve")]
pub use self::serve::{Listener, NoHandshake, Serve, serve};
pub use self::timer::Timer;
#[cfg(feature = "hyper-serve")]
pub use hyper_util::service::TowerToHyperService;
