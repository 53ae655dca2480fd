//! The pooled client of hyper-util, over the sockets of glassfrog.

use crate::connector::Connector;
use crate::support::{bind, block_on, block_on_virtual, echo, echo_server};
use glassfrog::hyper::{Executor, Timer, serve};
use glassfrog::time::sleep;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Uri, Version};
use hyper_util::client::legacy::Client;
use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

/// Returns a URI of a server.
fn uri(addr: SocketAddr, path: &str) -> Uri {
    format!("http://{addr}{path}").parse().unwrap()
}

/// Creates a client.
fn client() -> Client<Connector, Empty<Bytes>> {
    Client::builder(Executor)
        .pool_timer(Timer::new())
        .pool_idle_timeout(Duration::from_secs(20))
        .timer(Timer::new())
        .build(Connector)
}

/// Reads a whole body.
async fn whole(body: Incoming) -> Bytes {
    body.collect().await.unwrap().to_bytes()
}

#[test]
fn the_client_reuses_a_connection_until_it_has_been_idle_for_long() {
    block_on_virtual(async {
        let (listener, addr) = bind().await;
        let connections = Rc::new(Cell::new(0));
        let count = Rc::clone(&connections);
        let server = serve(listener, move |_peer| {
            count.set(count.get() + 1);
            service_fn(echo)
        });
        let _server = glassfrog::spawn(server);
        let client = client();
        for round in 0..3 {
            let response = client.get(uri(addr, "/pooled")).await.unwrap();
            assert_eq!(whole(response.into_body()).await, "GET /pooled 0");
            assert_eq!(connections.get(), 1, "in round {round}");
        }
        sleep(Duration::from_secs(25)).await;
        let response = client.get(uri(addr, "/pooled")).await.unwrap();
        assert_eq!(whole(response.into_body()).await, "GET /pooled 0");
        assert_eq!(connections.get(), 2);
    });
}

#[test]
fn the_client_speaks_http2_with_prior_knowledge() {
    block_on(async {
        let (addr, _server) = echo_server(|server| server).await;
        let client: Client<_, Empty<Bytes>> = Client::builder(Executor)
            .timer(Timer::new())
            .http2_only(true)
            .build(Connector);
        let requests = (0..20).map(|_| async {
            let response = client.get(uri(addr, "/h2")).await.unwrap();
            assert_eq!(response.version(), Version::HTTP_2);
            assert_eq!(whole(response.into_body()).await, "GET /h2 0");
        });
        futures::future::join_all(requests).await;
    });
}

#[test]
fn a_refused_connection_is_an_error_that_names_the_address() {
    block_on(async {
        let (listener, addr) = bind().await;
        drop(listener);
        let error = client().get(uri(addr, "/")).await.unwrap_err();
        assert!(error.is_connect());
        let source = std::error::Error::source(&error).unwrap();
        assert!(source.to_string().contains(&addr.to_string()), "{source}");
    });
}

#[test]
fn a_server_that_closes_within_a_response_is_an_error() {
    block_on(async {
        let (listener, addr) = bind().await;
        let server = glassfrog::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            stream.read(&mut [0; 1024]).await.unwrap();
            stream
                .write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
                .await
                .unwrap();
        });
        let request = Request::get(uri(addr, "/")).body(Empty::new()).unwrap();
        let response = client().request(request).await.unwrap();
        response.into_body().collect().await.unwrap_err();
        server.await.unwrap();
    });
}
