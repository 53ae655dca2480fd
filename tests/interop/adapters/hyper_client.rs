//! A connector for the pooled client of `hyper-util`. Copy this file, and pass `Connector` to `Client::builder(..).build`.

use glassfrog::hyper::Io;
use glassfrog::net::TcpStream;
use hyper::Uri;
use hyper::rt::{Read, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use std::io::Result;
use std::pin::Pin;
use std::task::{Context, Poll};
use tower_service::Service;

/// Connects to the host of a URI.
#[derive(Clone, Copy, Debug)]
pub struct Connector;

/// A stream, as a type of this crate. For TLS, implement it for `Io<TlsStream<TcpStream>>` too.
pub trait Stream: Read + Write + Send + Unpin {
    /// After ALPN has chosen `h2`, this is `Connected::new().negotiated_h2()`.
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Stream for Io<TcpStream> {}

impl Connection for Box<dyn Stream> {
    fn connected(&self) -> Connected {
        (**self).connected()
    }
}

impl Service<Uri> for Connector {
    type Response = Box<dyn Stream>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Box<dyn Stream>>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(async move {
            // An IPv6 address is in brackets.
            let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
            let stream = TcpStream::connect((host, uri.port_u16().unwrap_or(80))).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(Io::new(stream)) as _)
        })
    }
}
