//! `futures-rustls`: TLS over the streams of glassfrog, with a certificate of `rcgen` and ALPN. Nothing to write: the
//! streams have the traits of `futures-io`.

use futures_rustls::pki_types::{PrivateKeyDer, ServerName};
use futures_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use futures_rustls::{TlsAcceptor, TlsConnector};
use glassfrog::net::{TcpListener, TcpStream};
use glassfrog::prelude::*;
use glassfrog::time::{sleep, timeout};
use glassfrog_interop::{Child, assert_threads, program, temp_file};
use rcgen::CertifiedKey;
use std::io;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

/// Returns the two ends of TLS, which know the protocols `h2` and `http/1.1`, and the certificate and key as PEM.
fn configs() -> (TlsAcceptor, TlsConnector, String) {
    let names = [String::from("localhost")];
    let CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(names).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let mut server = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    server.alpn_protocols = vec![b"h2".into(), b"http/1.1".into()];
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let mut client = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.alpn_protocols = vec![b"http/1.1".into()];
    let pem = cert.pem() + &signing_key.serialize_pem();
    (Arc::new(server).into(), Arc::new(client).into(), pem)
}

/// Returns the name that the certificate is for.
fn localhost() -> ServerName<'static> {
    ServerName::try_from("localhost").unwrap()
}

#[test]
fn a_client_and_a_server_agree_on_a_protocol_and_exchange_a_megabyte() {
    let (acceptor, connector, _) = configs();
    glassfrog::block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let server = glassfrog::spawn(async move {
            let (tcp, _peer) = listener.accept().await.unwrap();
            let mut tls = acceptor.accept(tcp).await.unwrap();
            let mut request = Vec::new();
            tls.read_to_end(&mut request).await.unwrap();
            tls.write_all(&request).await.unwrap();
            tls.close().await.unwrap();
        });
        let tcp = TcpStream::connect(addr).await.unwrap();
        let tls = connector.connect(localhost(), tcp).await.unwrap();
        let (_tcp, session) = tls.get_ref();
        assert_eq!(session.alpn_protocol(), Some(&b"http/1.1"[..]));
        let (mut reader, mut writer) = glassfrog::io::split(tls);
        let sent = vec![b'x'; 1_000_000];
        writer.write_all(&sent).await.unwrap();
        writer.close().await.unwrap();
        let mut received = Vec::new();
        reader.read_to_end(&mut received).await.unwrap();
        assert!(received == sent);
        server.await.unwrap();
        assert_threads(&[]);
    });
}

#[test]
fn openssl_talks_to_our_server() {
    let Some(mut openssl) = program("openssl") else {
        return;
    };
    let (acceptor, _, pem) = configs();
    let roots = temp_file("client.pem", &pem);
    glassfrog::block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        openssl.args(["s_client", "-quiet", "-alpn", "h2", "-verify_return_error"]);
        openssl.args([
            "-servername",
            "localhost",
            "-connect",
            &addr.to_string(),
            "-CAfile",
        ]);
        openssl
            .arg(&roots)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = openssl.stderr(Stdio::null()).spawn().unwrap();
        // The client ends when its input ends, so keep it open.
        let stdin = child.stdin.take();
        let (tcp, _peer) = listener.accept().await.unwrap();
        let mut tls = acceptor.accept(tcp).await.unwrap();
        assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        tls.write_all(b"from glassfrog").await.unwrap();
        tls.close().await.unwrap();
        let output = glassfrog::task::spawn_blocking(|| child.wait_with_output()).await;
        drop(stdin);
        assert_eq!(output.unwrap().unwrap().stdout, b"from glassfrog");
    });
}

#[test]
fn our_client_talks_to_openssl() {
    let Some(mut openssl) = program("openssl") else {
        return;
    };
    let (_, connector, pem) = configs();
    let identity = temp_file("server.pem", &pem);
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    openssl.args([
        "s_server",
        "-www",
        "-alpn",
        "http/1.1",
        "-accept",
        &format!("127.0.0.1:{port}"),
        "-cert",
    ]);
    openssl
        .arg(&identity)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let _child = Child(openssl.stderr(Stdio::null()).spawn().unwrap());
    let page: io::Result<String> = glassfrog::block_on(async {
        let connected = timeout(Duration::from_secs(20), async {
            loop {
                match TcpStream::connect(("127.0.0.1", port)).await {
                    Ok(tcp) => break tcp,
                    // It has not started yet.
                    Err(_refused) => sleep(Duration::from_millis(10)).await,
                }
            }
        });
        let mut tls = connector
            .connect(localhost(), connected.await.unwrap())
            .await?;
        assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
        tls.write_all(b"GET / HTTP/1.0\r\n\r\n").await?;
        let mut page = String::new();
        tls.read_to_string(&mut page).await?;
        Ok(page)
    });
    let page = page.unwrap();
    assert!(
        page.starts_with("HTTP/1.0 200 ok") && page.contains("s_server"),
        "{page}"
    );
}
