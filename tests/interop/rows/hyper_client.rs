//! `hyper-util`'s pooled client, with the feature `hyper` and the connector of `adapters/hyper_client.rs`. No thread.
//!
//! The server is nginx, which speaks HTTP/1 on one port and HTTP/2 on another.

#[path = "../adapters/hyper_client.rs"]
mod adapter;

use adapter::Connector;
use futures::future::join_all;
use glassfrog::hyper::{Executor, Timer};
use glassfrog_interop::{assert_threads, server};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Bytes;
use hyper::{Request, StatusCode, Uri, Version};
use hyper_util::client::legacy::{Builder, Client};

/// Returns the choices of a client on this runtime.
fn builder() -> Builder {
    let mut builder = Client::builder(Executor);
    builder.timer(Timer::new()).pool_timer(Timer::new());
    builder
}

/// Returns the URI of a file of the server.
fn uri(addr: &str, path: &str) -> Uri {
    format!("http://{addr}{path}").parse().unwrap()
}

#[test]
fn a_hundred_requests_share_few_connections_of_http1() {
    let Some(addr) = server("HTTP") else { return };
    glassfrog::block_on(async {
        let client: Client<_, Empty<Bytes>> = builder().build(Connector);
        for _ in 0..10 {
            let requests = (0..10).map(|_| async {
                let response = client.get(uri(&addr, "/small.txt")).await.unwrap();
                assert_eq!(response.version(), Version::HTTP_11);
                let body = response.into_body().collect().await.unwrap().to_bytes();
                assert_eq!(body, "hello\n");
            });
            join_all(requests).await;
        }
        assert_threads(&[]);
    });
}

#[test]
fn a_large_file_arrives_whole_in_both_versions() {
    let (Some(http1), Some(http2)) = (server("HTTP"), server("HTTP2")) else {
        return;
    };
    glassfrog::block_on(async {
        let mut lengths = Vec::new();
        for (addr, is_http2) in [(http1, false), (http2, true)] {
            let client: Client<_, Empty<Bytes>> = builder().http2_only(is_http2).build(Connector);
            let response = client.get(uri(&addr, "/large.bin")).await.unwrap();
            let mut body = response.into_body();
            let mut length = 0;
            while let Some(frame) = body.frame().await {
                length += frame.unwrap().into_data().map_or(0, |data| data.len());
            }
            lengths.push(length);
        }
        assert_eq!(lengths, [10_000_000, 10_000_000]);
    });
}

#[test]
fn a_hundred_requests_share_one_connection_of_http2() {
    let Some(addr) = server("HTTP2") else { return };
    glassfrog::block_on(async {
        let client: Client<_, Empty<Bytes>> = builder().http2_only(true).build(Connector);
        let requests = (0..100).map(|_| async {
            let response = client.get(uri(&addr, "/small.txt")).await.unwrap();
            assert_eq!(response.version(), Version::HTTP_2);
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(body, "hello\n");
        });
        join_all(requests).await;
    });
}

#[test]
fn a_body_that_the_server_refuses_gets_its_status() {
    let Some(addr) = server("HTTP") else { return };
    glassfrog::block_on(async {
        let client: Client<_, Full<Bytes>> = builder().build(Connector);
        let body = Full::new(Bytes::from(vec![b'x'; 100_000]));
        let request = Request::post(uri(&addr, "/small.txt")).body(body).unwrap();
        let response = client.request(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    });
}
