//! `hyper` over TLS of `futures-rustls`: a server by `handshake`, and the pooled client with the connector of
//! `adapters/hyper_tls_client.rs`. ALPN chooses the version of HTTP. No thread.
//!
//! The strangers are curl and nginx.

#[path = "../adapters/hyper_tls_client.rs"]
mod adapter;

use adapter::HttpsConnector;
use futures::future::join_all;
use futures_rustls::TlsAcceptor;
use futures_rustls::pki_types::pem::PemObject;
use futures_rustls::pki_types::{CertificateDer, PrivateKeyDer};
use futures_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use glassfrog::hyper::{Executor, Timer, serve};
use glassfrog::net::{TcpListener, TcpStream};
use glassfrog_interop::{assert_threads, output, program, server};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, Uri, Version};
use hyper_util::client::legacy::Client;
use rcgen::CertifiedKey;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

/// Returns the version of a request.
async fn version(request: Request<Incoming>) -> Result<Response<String>, Infallible> {
    Ok(Response::new(format!("{:?}", request.version())))
}

/// Starts a server, and returns its address and its certificate.
async fn start() -> (SocketAddr, CertificateDer<'static>) {
    let names = [String::from("localhost")];
    let CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(names).unwrap();
    let cert = cert.der().clone();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder().with_no_client_auth();
    let mut config = config.with_single_cert(vec![cert.clone()], key).unwrap();
    config.alpn_protocols = vec![b"h2".into(), b"http/1.1".into()];

    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let server = serve(listener, |_peer| service_fn(version))
        .handshake(async move |stream| acceptor.accept(stream).await);
    glassfrog::spawn(server);
    (addr, cert)
}

/// Returns a client that trusts a server and offers these protocols.
fn client(
    cert: CertificateDer<'static>,
    protocols: &[&[u8]],
) -> Client<HttpsConnector, Empty<Bytes>> {
    let mut roots = RootCertStore::empty();
    roots.add(cert).unwrap();
    let config = ClientConfig::builder().with_root_certificates(roots);
    let mut config = config.with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    let mut builder = Client::builder(Executor);
    builder.timer(Timer::new()).pool_timer(Timer::new());
    builder.build(HttpsConnector(Arc::new(config).into()))
}

#[test]
fn curl_chooses_the_version_while_a_silent_client_waits() {
    if program("curl").is_none() {
        return;
    }
    glassfrog::block_on(async {
        let (addr, _cert) = start().await;
        let _silent = TcpStream::connect(addr).await.unwrap();
        for (option, version) in [("--http1.1", "HTTP/1.1"), ("--http2", "HTTP/2.0")] {
            let mut curl = program("curl").unwrap();
            curl.args([
                "-sS",
                "--fail",
                "--insecure",
                option,
                &format!("https://{addr}/"),
            ]);
            assert_eq!(output(curl).await, version);
        }
    });
}

#[test]
fn a_client_in_the_clear_ends_its_connection_alone() {
    if program("curl").is_none() {
        return;
    }
    glassfrog::block_on(async {
        let (addr, cert) = start().await;
        let clear = TcpStream::connect(addr).await.unwrap();
        clear
            .write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            .await
            .unwrap();
        clear.read_to_end(&mut Vec::new()).await.unwrap();
        let uri = format!("https://localhost:{}/", addr.port())
            .parse()
            .unwrap();
        let response = client(cert, &[]).get(uri).await.unwrap();
        assert_eq!(response.version(), Version::HTTP_11);
    });
}

#[test]
fn the_client_chooses_the_version_by_alpn() {
    let Some(addr) = server("HTTPS") else { return };
    let cert = server("HTTPS_CERT").unwrap();
    let cert = CertificateDer::from_pem_file(cert).unwrap();
    let port = addr.rsplit(':').next().unwrap();
    let uri: Uri = format!("https://localhost:{port}/large.bin")
        .parse()
        .unwrap();
    glassfrog::block_on(async {
        let both: &[&[u8]] = &[b"h2", b"http/1.1"];
        for (protocols, version) in [(both, Version::HTTP_2), (&both[1..], Version::HTTP_11)] {
            let client = client(cert.clone(), protocols);
            let responses = (0..5).map(|_| async {
                let response = client.get(uri.clone()).await.unwrap();
                assert_eq!(response.version(), version);
                let body = response.into_body().collect().await.unwrap();
                assert_eq!(body.to_bytes().len(), 10_000_000);
            });
            join_all(responses).await;
        }
        assert_threads(&[]);
    });
}

#[test]
fn an_untrusted_server_is_an_error() {
    let Some(addr) = server("HTTPS") else { return };
    glassfrog::block_on(async {
        let (_, other) = start().await;
        let uri = format!("https://localhost:{}/", addr.rsplit(':').next().unwrap());
        let error = client(other, &[])
            .get(uri.parse().unwrap())
            .await
            .unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains("certificate"), "{source}");
    });
}
