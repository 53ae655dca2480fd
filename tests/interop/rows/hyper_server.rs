//! `hyper` as a server, with the feature `hyper-serve`: HTTP/1 and HTTP/2 on one port. No thread.
//!
//! The clients are curl, h2load, wrk and Python.

use glassfrog::hyper::serve;
use glassfrog::net::{TcpListener, UnixListener};
use glassfrog_interop::{assert_threads, output, program, temp_file};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Error, Request, Response};
use std::net::SocketAddr;
use std::time::Duration;

/// Answers with the version, the method and the path of a request, or with its body if it has one.
async fn echo(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Error> {
    let head = format!(
        "{:?} {} {}",
        request.version(),
        request.method(),
        request.uri().path()
    );
    let body = request.into_body().collect().await?.to_bytes();
    let answer = if body.is_empty() { head.into() } else { body };
    Ok(Response::new(Full::new(answer)))
}

/// Starts the server, and returns its address.
async fn start() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    glassfrog::spawn(serve(listener, |_peer| service_fn(echo)));
    addr
}

#[test]
fn curl_speaks_both_versions_on_one_port() {
    if program("curl").is_none() {
        return;
    }
    glassfrog::block_on(async {
        let url = format!("http://{}/pond", start().await);
        for (option, version) in [
            ("--http1.0", "HTTP/1.0"),
            ("--http1.1", "HTTP/1.1"),
            // By an upgrade, which hyper ignores.
            ("--http2", "HTTP/1.1"),
            ("--http2-prior-knowledge", "HTTP/2.0"),
        ] {
            let mut curl = program("curl").unwrap();
            curl.args(["-sS", "--fail", option, &url]);
            assert_eq!(output(curl).await, format!("{version} GET /pond"));
        }
        assert_threads(&[]);
    });
}

#[test]
fn curl_uploads_and_downloads_ten_megabytes_in_both_versions() {
    if program("curl").is_none() {
        return;
    }
    let sent = "0123456789".repeat(1_000_000);
    let file = temp_file("upload", &sent);
    glassfrog::block_on(async {
        let url = format!("http://{}/", start().await);
        for option in ["--http1.1", "--http2-prior-knowledge"] {
            let mut curl = program("curl").unwrap();
            curl.args(["-sS", "--fail", option, &url, "--data-binary"]);
            curl.arg(format!("@{}", file.display()));
            assert!(output(curl).await == sent);
        }
    });
    std::fs::remove_file(file).unwrap();
}

#[test]
fn h2load_gets_all_its_responses() {
    let Some(mut h2load) = program("h2load") else {
        return;
    };
    glassfrog::block_on(async {
        let url = format!("http://{}/", start().await);
        h2load.args(["-n", "20000", "-c", "10", "-m", "32", &url]);
        let report = output(h2load).await;
        assert!(
            report.contains("20000 succeeded, 0 failed, 0 errored, 0 timeout"),
            "{report}"
        );
    });
}

#[test]
fn wrk_gets_all_its_responses() {
    let Some(mut wrk) = program("wrk") else {
        return;
    };
    glassfrog::block_on(async {
        let url = format!("http://{}/", start().await);
        wrk.args(["-t", "1", "-c", "64", "-d", "1s", &url]);
        let report = output(wrk).await;
        assert!(report.contains("requests in"), "{report}");
        assert!(
            !report.contains("Socket errors") && !report.contains("Non-2xx"),
            "{report}"
        );
    });
}

/// Sends pipelined requests, one byte at a time, and a chunked body.
const PYTHON: &str = r#"
import http.client, socket, sys
port = int(sys.argv[1])
connection = http.client.HTTPConnection("127.0.0.1", port)
for number in range(100):
    connection.request("POST", "/", body=iter([b"a", b"b" * 100000]), encode_chunked=True,
        headers={"Transfer-Encoding": "chunked"})
    assert connection.getresponse().read() == b"a" + b"b" * 100000
sock = socket.create_connection(("127.0.0.1", port))
for byte in b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\nGET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n":
    sock.sendall(bytes([byte]))
answer = b""
while part := sock.recv(4096):
    answer += part
assert answer.count(b"HTTP/1.1 200 OK") == 2 and answer.endswith(b"GET /last"), answer
print("done")
"#;

#[test]
fn python_sends_chunks_and_pipelined_requests() {
    let Some(mut python) = program("python3") else {
        return;
    };
    glassfrog::block_on(async {
        let port = start().await.port().to_string();
        python.args(["-c", PYTHON, &port]);
        assert_eq!(output(python).await, "done\n");
    });
}

#[test]
fn curl_speaks_over_a_unix_socket_and_a_graceful_stop_ends_the_server() {
    let Some(mut curl) = program("curl") else {
        return;
    };
    let path = temp_file("socket", "");
    std::fs::remove_file(&path).unwrap();
    glassfrog::block_on(async {
        let listener = UnixListener::bind(&path).await.unwrap();
        let (stop, stopped) = futures::channel::oneshot::channel::<()>();
        let stopped = async { stopped.await.unwrap_or_default() };
        let server =
            serve(listener, |_peer| service_fn(echo)).graceful(stopped, Duration::from_secs(10));
        let server = glassfrog::spawn(server);
        curl.args(["-sS", "--fail", "http://localhost/unix", "--unix-socket"])
            .arg(&path);
        assert_eq!(output(curl).await, "HTTP/1.1 GET /unix");
        drop(stop);
        assert_eq!(server.await.unwrap().unwrap(), 0);
    });
    std::fs::remove_file(path).unwrap();
}
