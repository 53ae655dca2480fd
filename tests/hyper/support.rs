//! Helpers that the tests share: a server in a task, and clients that send bytes.

use futures::channel::oneshot;
use glassfrog::hyper::{Serve, serve};
use glassfrog::net::{TcpListener, TcpStream};
use glassfrog::task::JoinHandle;
use glassfrog::time::timeout;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::Service;
use hyper::{Request, Response};
use std::cell::RefCell;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Mutex, Once};
use std::time::Duration;

/// How long a test may take before it has failed. No test of a working crate takes nearly as long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a test on the real clock.
pub(crate) fn block_on<F: Future>(test: F) -> F::Output {
    glassfrog::block_on(async { timeout(PATIENCE, test).await.expect("the test hangs") })
}

/// Runs a test on a virtual clock.
pub(crate) fn block_on_virtual<F: Future>(test: F) -> F::Output {
    let runtime = glassfrog::Runtime::builder()
        .virtual_clock()
        .build()
        .unwrap();
    runtime.block_on(test)
}

/// A body of one piece.
pub(crate) type Body = Full<Bytes>;

/// Returns a response with this text.
pub(crate) fn text(text: impl Into<String>) -> Response<Body> {
    Response::new(Full::new(Bytes::from(text.into())))
}

/// Answers with the method, the path, and the number of bytes of the body.
pub(crate) async fn echo(request: Request<Incoming>) -> Result<Response<Body>, hyper::Error> {
    let head = format!("{} {}", request.method(), request.uri().path());
    let mut count = 0;
    let mut body = request.into_body();
    while let Some(frame) = body.frame().await {
        count += frame?.data_ref().map_or(0, Bytes::len);
    }
    Ok(text(format!("{head} {count}")))
}

/// Binds a listener, and returns its address.
pub(crate) async fn bind() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

/// Serves `echo` in a task, with the settings that `change` makes.
pub(crate) async fn echo_server<F>(
    change: impl FnOnce(Serve<TcpListener, fn(SocketAddr) -> EchoService>) -> F,
) -> (SocketAddr, JoinHandle<io::Result<usize>>)
where
    F: Future<Output = io::Result<usize>> + 'static,
{
    let (listener, addr) = bind().await;
    let service: fn(SocketAddr) -> EchoService = |_peer| EchoService;
    let server = change(serve(listener, service));
    (addr, glassfrog::spawn(server))
}

/// The service of `echo`, with a name.
#[derive(Clone, Copy)]
pub(crate) struct EchoService;

impl Service<Request<Incoming>> for EchoService {
    type Response = Response<Body>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, hyper::Error>>>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        Box::pin(echo(request))
    }
}

/// A gate that a service waits at.
#[derive(Clone, Default)]
pub(crate) struct Gate {
    /// Those that wait, with what opens the gate to them.
    waiting: Rc<RefCell<Vec<oneshot::Sender<()>>>>,
    /// Those that wait until somebody waits at the gate.
    watching: Rc<RefCell<Vec<oneshot::Sender<()>>>>,
}

impl Gate {
    /// Waits until the gate opens.
    pub(crate) async fn pass(&self) {
        let (sender, receiver) = oneshot::channel();
        self.waiting.borrow_mut().push(sender);
        for watcher in self.watching.take() {
            let _ = watcher.send(());
        }
        let _ = receiver.await;
    }

    /// Waits until this many wait at the gate.
    pub(crate) async fn reached_by(&self, count: usize) {
        while self.waiting.borrow().len() < count {
            let (sender, receiver) = oneshot::channel();
            self.watching.borrow_mut().push(sender);
            receiver.await.unwrap();
        }
    }

    /// Opens the gate to those that wait.
    pub(crate) fn open(&self) {
        for waiting in self.waiting.take() {
            let _ = waiting.send(());
        }
    }

    /// Returns a service whose requests wait at the gate.
    pub(crate) fn service(&self) -> GateService {
        GateService(self.clone())
    }
}

/// The service of a [`Gate`].
pub(crate) struct GateService(Gate);

impl Service<Request<Incoming>> for GateService {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>>>>;

    fn call(&self, _request: Request<Incoming>) -> Self::Future {
        let gate = self.0.clone();
        Box::pin(async move {
            gate.pass().await;
            Ok(text("passed"))
        })
    }
}

/// A client that sends bytes.
pub(crate) struct Client {
    /// Its connection.
    pub(crate) stream: TcpStream,
    /// Bytes that have arrived and have not been taken.
    arrived: Vec<u8>,
}

impl Client {
    /// Connects.
    pub(crate) async fn connect(addr: SocketAddr) -> Client {
        Client::over(TcpStream::connect(addr).await.unwrap())
    }

    /// Wraps a connection.
    pub(crate) fn over(stream: TcpStream) -> Client {
        let arrived = Vec::new();
        Client { stream, arrived }
    }

    /// Sends text.
    pub(crate) async fn send(&mut self, text: &str) {
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            let count = self.stream.write(rest).await.unwrap();
            rest = &rest[count..];
        }
    }

    /// Sends a request without a body.
    pub(crate) async fn get(&mut self, path: &str) {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"))
            .await;
    }

    /// Reads what arrives next. Returns `false` at the end.
    async fn fill(&mut self) -> bool {
        let mut buffer = [0; 4096];
        let count = self.stream.read(&mut buffer).await.unwrap_or(0);
        self.arrived.extend_from_slice(&buffer[..count]);
        count > 0
    }

    /// Takes the next response, as its status and its body. Returns `None` at the end of the connection.
    pub(crate) async fn response(&mut self) -> Option<(u16, String)> {
        let (head, length) = loop {
            let text = String::from_utf8_lossy(&self.arrived).into_owned();
            if let Some((head, _)) = text.split_once("\r\n\r\n") {
                let head = head.to_ascii_lowercase();
                let length = head
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length: "))
                    .map_or(0, |length| length.parse().unwrap());
                break (head, length);
            }
            if !self.fill().await {
                return None;
            }
        };
        let whole = head.len() + 4 + length;
        while self.arrived.len() < whole {
            assert!(self.fill().await, "the response is cut short");
        }
        let response: Vec<u8> = self.arrived.drain(..whole).collect();
        let body = String::from_utf8(response[head.len() + 4..].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Some((status, body))
    }

    /// Takes the body of the next response, which is successful.
    pub(crate) async fn body(&mut self) -> String {
        let (status, body) = self.response().await.expect("the server has closed");
        assert_eq!(status, 200, "{body}");
        body
    }

    /// Waits until the server closes. Returns what arrived before.
    pub(crate) async fn end(&mut self) -> String {
        while self.fill().await {}
        String::from_utf8_lossy(&self.arrived).into_owned()
    }
}

/// The lines that the crate has logged, by all tests of the process.
static LOGGED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// A logger that keeps the lines of `glassfrog::hyper`.
struct Keeper;

impl log::Log for Keeper {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.target() == "glassfrog::hyper"
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            let line = format!("{} {}", record.level(), record.args());
            LOGGED.lock().unwrap().push(line);
        }
    }

    fn flush(&self) {}
}

/// Begins to keep what the crate logs.
pub(crate) fn keep_log() {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        log::set_logger(&Keeper).unwrap();
        log::set_max_level(log::LevelFilter::Debug);
    });
}

/// Returns whether a line with all of these texts has been logged.
pub(crate) fn has_logged(texts: &[&str]) -> bool {
    let logged = LOGGED.lock().unwrap();
    logged
        .iter()
        .any(|line| texts.iter().all(|text| line.contains(text)))
}
