//! A connector of `https` for the pooled client of `hyper-util`. Copy this file, and pass `HttpsConnector(connector)` to
//! `Client::builder(..).build`. If the configuration of `connector` names `h2` and `http/1.1` in `alpn_protocols`, the server
//! chooses the version of HTTP.

use futures_rustls::TlsConnector;
use futures_rustls::client::TlsStream;
use futures_rustls::pki_types::ServerName;
use glassfrog::hyper::Io;
use glassfrog::net::TcpStream;
use hyper::Uri;
use hyper::rt::{Read, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use std::io::{Error, Result};
use std::pin::Pin;
use std::task::{Context, Poll};
use tower_service::Service;

/// Connects to the host of a URI, with TLS.
#[derive(Clone)]
pub struct HttpsConnector(pub TlsConnector);

/// A stream, as a type of this crate.
pub trait Stream: Read + Write + Send + Unpin {
    /// Returns whether ALPN has chosen HTTP/2.
    fn is_h2(&self) -> bool;
}

impl Stream for Io<TlsStream<TcpStream>> {
    fn is_h2(&self) -> bool {
        self.get_ref().get_ref().1.alpn_protocol() == Some(b"h2")
    }
}

impl Connection for Box<dyn Stream> {
    fn connected(&self) -> Connected {
        match self.is_h2() {
            true => Connected::new().negotiated_h2(),
            false => Connected::new(),
        }
    }
}

impl Service<Uri> for HttpsConnector {
    type Response = Box<dyn Stream>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Box<dyn Stream>>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.0.clone();
        Box::pin(async move {
            // An IPv6 address is in brackets.
            let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
            let name = ServerName::try_from(String::from(host)).map_err(Error::other)?;
            let stream = TcpStream::connect((host, uri.port_u16().unwrap_or(443))).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(Io::new(connector.connect(name, stream).await?)) as _)
        })
    }
}
