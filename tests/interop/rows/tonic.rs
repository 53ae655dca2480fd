//! `tonic` without its feature `transport`: a server by the feature `hyper-serve`, and a client over the pooled client of
//! `hyper-util` with the connector of `adapters/hyper_client.rs`. No thread.
//!
//! The service is the health check of gRPC, which needs no generated code. The strangers are the gRPC of Google, in Python,
//! and curl.

#[path = "../adapters/hyper_client.rs"]
mod adapter;

use adapter::Connector;
use glassfrog::hyper::{Executor, Timer, TowerToHyperService, serve};
use glassfrog::net::TcpListener;
use glassfrog_interop::{Child, assert_threads, output, program, server, temp_file};
use hyper_util::client::legacy::Client;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use tonic::body::Body;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::server::{HealthReporter, health_reporter};

/// Starts a server, and returns its address, and the handle that sets its answers.
async fn start() -> (SocketAddr, HealthReporter) {
    let (reporter, service) = health_reporter();
    let routes = TowerToHyperService::new(Routes::new(service).prepare());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    glassfrog::spawn(serve(listener, move |_peer| routes.clone()));
    (addr, reporter)
}

/// Returns a client of the health check at this address.
fn client(addr: SocketAddr) -> HealthClient<Client<Connector, Body>> {
    let client = Client::builder(Executor)
        .timer(Timer::new())
        .http2_only(true)
        .build(Connector);
    HealthClient::with_origin(client, format!("http://{addr}").parse().unwrap())
}

/// Returns the question for the health of a service.
fn question(service: &str) -> HealthCheckRequest {
    HealthCheckRequest {
        service: service.into(),
    }
}

#[test]
fn a_client_calls_a_server_and_watches_its_stream() {
    glassfrog::block_on(async {
        let (addr, reporter) = start().await;
        reporter
            .set_service_status("pond", ServingStatus::NotServing)
            .await;
        let mut client = client(addr);
        let mut watch = client.watch(question("pond")).await.unwrap().into_inner();
        for status in [ServingStatus::NotServing, ServingStatus::Serving] {
            if status == ServingStatus::Serving {
                reporter.set_service_status("pond", status).await;
            }
            let event = watch.message().await.unwrap().unwrap();
            assert_eq!(event.status, status as i32);
            let answer = client.check(question("pond")).await.unwrap().into_inner();
            assert_eq!(answer.status, status as i32);
        }
        let error = client.check(question("desert")).await.unwrap_err();
        assert_eq!(error.code(), tonic::Code::NotFound);
    });
}

#[test]
fn a_thousand_calls_share_a_connection() {
    glassfrog::block_on(async {
        let (addr, _reporter) = start().await;
        let client = client(addr);
        let calls: Vec<_> = (0..1000)
            .map(|_| {
                let mut client = client.clone();
                glassfrog::spawn(async move { client.check(question("")).await.unwrap() })
            })
            .collect();
        for call in calls {
            call.await.unwrap();
        }
        assert_threads(&[]);
    });
}

#[test]
fn curl_calls_the_server() {
    let Some(mut curl) = program("curl") else {
        return;
    };
    // A message of no bytes: not compressed, and of length zero.
    let message = temp_file("message", "\0\0\0\0\0");
    glassfrog::block_on(async {
        let (addr, _reporter) = start().await;
        curl.args([
            "-sS",
            "--http2-prior-knowledge",
            "-o",
            "/dev/null",
            "-D",
            "-",
            "-H",
            "TE: trailers",
        ]);
        curl.args(["-H", "Content-Type: application/grpc", "--data-binary"]);
        curl.arg(format!("@{}", message.display()))
            .arg(format!("http://{addr}/grpc.health.v1.Health/Check"));
        let head = output(curl).await;
        assert!(
            head.contains("HTTP/2 200") && head.contains("grpc-status: 0"),
            "{head}"
        );
    });
    std::fs::remove_file(message).unwrap();
}

/// The stranger, in Python.
const PYTHON: &str = include_str!("tonic.py");

/// Returns a command for the stranger.
fn python(packages: &str, argument: &str) -> Command {
    let mut python = Command::new("python3");
    python
        .args(["-c", PYTHON, argument])
        .env("PYTHONPATH", packages);
    python
}

#[test]
fn python_calls_the_server_and_watches_its_stream() {
    let Some(packages) = server("GRPC") else {
        return;
    };
    glassfrog::block_on(async {
        let (addr, reporter) = start().await;
        reporter
            .set_service_status("pond", ServingStatus::Serving)
            .await;
        let python = python(&packages, &addr.to_string());
        assert_eq!(output(python).await, "SERVING SERVING NOT_FOUND\n");
    });
}

#[test]
fn a_client_calls_a_server_in_python() {
    let Some(packages) = server("GRPC") else {
        return;
    };
    let mut python = python(&packages, "serve");
    let mut child = Child(python.stdout(Stdio::piped()).spawn().unwrap());
    let mut port = String::new();
    let stdout = child.0.stdout.take().unwrap();
    BufReader::new(stdout).read_line(&mut port).unwrap();
    glassfrog::block_on(async {
        let addr = SocketAddr::from(([127, 0, 0, 1], port.trim().parse().unwrap()));
        let mut client = client(addr);
        let answer = client.check(question("pond")).await.unwrap().into_inner();
        assert_eq!(answer.status, ServingStatus::Serving as i32);
        let mut watch = client.watch(question("pond")).await.unwrap().into_inner();
        let event = watch.message().await.unwrap().unwrap();
        assert_eq!(event.status, ServingStatus::Serving as i32);
        let error = client.check(question("desert")).await.unwrap_err();
        assert_eq!(error.code(), tonic::Code::NotFound);
    });
}
