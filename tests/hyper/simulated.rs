//! `serve` on a simulated host: the same seed leads to the same bytes.

use glassfrog::hyper::{Executor, Io, serve};
use glassfrog::net::{TcpListener, TcpStream};
use glassfrog::sim::{Report, Sim};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::header::DATE;
use hyper::service::service_fn;
use hyper::{Request, Response};
use std::cell::RefCell;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::rc::Rc;

/// A version of HTTP.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Version {
    /// HTTP/1.1
    One,
    /// HTTP/2, with prior knowledge
    Two,
}

/// Sends a request to a server on another host. Returns the report, and the `Date` header of the response.
fn date(version: Version, is_turned_on: bool) -> (Report, Option<String>) {
    let mut sim = Sim::new(1);
    sim.host("server", move || async move {
        let listener = TcpListener::bind("0.0.0.0:80").await?;
        let server = serve(listener, |_peer: SocketAddr| {
            service_fn(|_request: Request<Incoming>| async {
                Ok::<_, Infallible>(Response::new(String::from("hello")))
            })
        });
        match is_turned_on {
            true => server.configure(|hyper| {
                hyper.http1().auto_date_header(true);
                hyper.http2().auto_date_header(true);
            }),
            false => server,
        }
        .await?;
        Ok(())
    });
    let date = Rc::new(RefCell::new(None));
    let found = Rc::clone(&date);
    sim.client("client", async move {
        let stream = Io::new(TcpStream::connect("server:80").await?);
        let request = Request::get("http://server/").header("host", "server");
        let request = request.body(Empty::<Bytes>::new())?;
        let response = match version {
            Version::One => {
                let (mut requests, connection) = http1::handshake(stream).await?;
                drop(glassfrog::spawn(connection));
                requests.send_request(request).await?
            }
            Version::Two => {
                let (mut requests, connection) = http2::handshake(Executor, stream).await?;
                drop(glassfrog::spawn(connection));
                requests.send_request(request).await?
            }
        };
        let date = response.headers().get(DATE);
        *found.borrow_mut() = date
            .map(|date| date.to_str().map(String::from))
            .transpose()?;
        let body = response.into_body().collect().await?.to_bytes();
        assert_eq!(body, "hello");
        Ok(())
    });
    let report = sim.run().unwrap();
    (report, date.take())
}

#[test]
fn a_simulated_server_sends_no_date_so_that_a_seed_determines_the_bytes() {
    for version in [Version::One, Version::Two] {
        let (report, sent) = date(version, false);
        assert_eq!(sent, None, "{version:?}");
        assert_eq!((report, None), date(version, false), "{version:?}");
    }
}

#[test]
fn the_settings_of_the_user_may_turn_the_date_on() {
    for version in [Version::One, Version::Two] {
        assert!(date(version, true).1.is_some(), "{version:?}");
    }
}
