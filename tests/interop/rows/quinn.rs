//! `quinn`: QUIC with the runtime of `adapters/quinn.rs`. The crate starts no thread.

#[path = "../adapters/quinn.rs"]
mod adapter;

use adapter::Glassfrog;
use futures::future::join_all;
use glassfrog::time::sleep;
use glassfrog_interop::{assert_threads, on_tokio};
use quinn::rustls::RootCertStore;
use quinn::rustls::pki_types::PrivateKeyDer;
use quinn::{ClientConfig, Endpoint, EndpointConfig, Runtime, ServerConfig, TokioRuntime, VarInt};
use rcgen::CertifiedKey;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

/// The length of a stream, which takes many packets and more than a window.
const LENGTH: usize = 4_000_000;

/// The number of streams at once.
const STREAMS: usize = 20;

/// Returns the configurations of a server and of a client that trusts it.
fn configs() -> (ServerConfig, ClientConfig) {
    let names = [String::from("localhost")];
    let CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(names).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let server = ServerConfig::with_single_cert(vec![cert.der().clone()], key).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let client = ClientConfig::with_root_certificates(Arc::new(roots)).unwrap();
    (server, client)
}

/// Opens an endpoint on loopback. Only the last argument names the runtime.
fn endpoint(server: Option<ServerConfig>, runtime: Arc<dyn Runtime>) -> Endpoint {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    Endpoint::new(EndpointConfig::default(), server, socket, runtime).unwrap()
}

/// Accepts a connection, and returns each stream of it to the peer, until the peer closes the connection.
async fn echo(endpoint: Endpoint) {
    let connection = endpoint.accept().await.unwrap().await.unwrap();
    while let Ok((mut send, mut receive)) = connection.accept_bi().await {
        let data = receive.read_to_end(LENGTH).await.unwrap();
        send.write_all(&data).await.unwrap();
        send.finish().unwrap();
    }
    endpoint.wait_idle().await;
}

/// Connects to an echo server, and exchanges many streams with it at once.
async fn talk(endpoint: Endpoint, client: ClientConfig, addr: SocketAddr) {
    let connecting = endpoint.connect_with(client, addr, "localhost").unwrap();
    let connection = connecting.await.unwrap();
    let streams = (0..STREAMS).map(|number| {
        let connection = connection.clone();
        async move {
            let (mut send, mut receive) = connection.open_bi().await.unwrap();
            let sent = vec![u8::try_from(number).unwrap(); LENGTH / STREAMS];
            send.write_all(&sent).await.unwrap();
            send.finish().unwrap();
            assert!(receive.read_to_end(LENGTH).await.unwrap() == sent);
        }
    });
    join_all(streams).await;
    connection.close(VarInt::from_u32(0), b"done");
    endpoint.wait_idle().await;
}

#[test]
fn a_client_talks_to_a_server_on_tokio() {
    let (server, client) = configs();
    let (send, addr) = std::sync::mpsc::channel();
    let thread = on_tokio(async move {
        let endpoint = endpoint(Some(server), Arc::new(TokioRuntime));
        send.send(endpoint.local_addr().unwrap()).unwrap();
        echo(endpoint).await;
    });
    glassfrog::block_on(talk_here(client, addr.recv().unwrap()));
    thread.join().unwrap();
}

/// The client of the tests, on glassfrog.
async fn talk_here(client: ClientConfig, addr: SocketAddr) {
    talk(endpoint(None, Arc::new(Glassfrog(()))), client, addr).await;
}

#[test]
fn a_server_serves_a_client_on_tokio() {
    let (server, client) = configs();
    glassfrog::block_on(async {
        let here = endpoint(Some(server), Arc::new(Glassfrog(())));
        let addr = here.local_addr().unwrap();
        let thread = on_tokio(async move {
            talk(endpoint(None, Arc::new(TokioRuntime)), client, addr).await;
        });
        echo(here).await;
        thread.join().unwrap();
    });
}

#[test]
fn a_connection_without_traffic_times_out_on_the_virtual_clock() {
    let (server, client) = configs();
    let runtime = glassfrog::Builder::new().virtual_clock().build().unwrap();
    runtime.block_on(async {
        let here = endpoint(Some(server), Arc::new(Glassfrog(())));
        let addr = here.local_addr().unwrap();
        let accepted = glassfrog::spawn(async move { here.accept().await.unwrap().await.unwrap() });
        let client_endpoint = endpoint(None, Arc::new(Glassfrog(())));
        let connecting = client_endpoint
            .connect_with(client, addr, "localhost")
            .unwrap();
        let connection = connecting.await.unwrap();
        let _other = accepted.await.unwrap();
        sleep(Duration::from_secs(60)).await;
        assert_threads(&[]);
        let error = connection.close_reason().unwrap();
        assert_eq!(error, quinn::ConnectionError::TimedOut);
    });
}
