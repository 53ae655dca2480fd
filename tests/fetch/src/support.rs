//! Helpers that the tests share: running the program, and peers with arbitrary responses.

use socket2::SockRef;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{self, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

/// How long a test may run before the watchdog considers it hung. No test of a working program takes nearly as long,
/// even on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// The program.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_fetch");

/// Ends the process with the name of the test unless the returned guard is dropped in time.
#[must_use = "the watchdog sleeps as soon as this is dropped"]
pub(crate) fn watchdog() -> Sender<()> {
    let test = String::from(thread::current().name().unwrap_or("a test"));
    let (alive, done) = channel();
    thread::spawn(move || {
        if done.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            // Not `eprintln!`: the harness captures its output, and the abort would lose it.
            let _nobody_reads = writeln!(io::stderr(), "\n{test} hangs");
            process::abort();
        }
    });
    alive
}

/// Returns a command that runs the program without terminal variables in its environment, and with its output in
/// pipes.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command
        .env_remove("COLUMNS")
        .env_remove("NO_COLOR")
        .env("TERM", "xterm")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// A completed run of the program.
#[derive(Debug)]
pub(crate) struct Run {
    /// Its standard output.
    pub(crate) stdout: String,
    /// Its standard error stream.
    pub(crate) stderr: String,
    /// Its exit code.
    pub(crate) code: i32,
}

impl Run {
    /// Waits for a process and returns its run.
    pub(crate) fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self {
            stdout: text(output.stdout),
            stderr: text(output.stderr),
            code: output.status.code().expect("it was killed"),
        }
    }

    /// Checks the exit code.
    #[track_caller]
    pub(crate) fn exits_with(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }

    /// Checks that the output contains this.
    #[track_caller]
    pub(crate) fn says(self, text: impl AsRef<str>) -> Self {
        let text = text.as_ref();
        assert!(self.stdout.contains(text), "no {text:?} in {self:#?}");
        self
    }

    /// Checks that the output does not contain this.
    #[track_caller]
    pub(crate) fn never_says(self, text: &str) -> Self {
        assert!(!self.stdout.contains(text), "{text:?} in {self:#?}");
        self
    }

    /// Checks that the error messages are exactly these.
    #[track_caller]
    pub(crate) fn complains(self, complaints: &str) -> Self {
        assert_eq!(self.stderr, complaints, "{self:#?}");
        self
    }
}

/// Runs the program to its end.
pub(crate) fn fetch<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Run {
    let _watchdog = watchdog();
    let output = command(PROGRAM).args(arguments).output().unwrap();
    Run::of(output)
}

/// Runs the program on one URL that must fail, and checks the error message. `reason` is the text after the URL, with
/// `PEER` for the address of the peer.
#[track_caller]
pub(crate) fn fails(options: &[&str], peer: &Peer, reason: &str) {
    let url = peer.url("/");
    let run = fetch([&["-q", &url], options].concat());
    let reason = reason.replace("PEER", &peer.address);
    let complaint = format!("fetch: {url}: {reason}\n");
    run.exits_with(1).says("").complains(&complaint);
}

/// A server in threads of this process. It runs until the process ends.
#[derive(Clone)]
pub(crate) struct Peer {
    /// Its address.
    pub(crate) address: String,
    /// The number of accepted connections.
    accepted: Arc<AtomicUsize>,
}

impl Peer {
    /// Starts a server that passes each connection to `serve`, in a thread of its own.
    pub(crate) fn new(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        Self::at("127.0.0.1:0", serve).unwrap()
    }

    /// The same at a given address, if the machine has it.
    pub(crate) fn at(
        address: &str,
        serve: impl Fn(TcpStream) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?.to_string();
        let accepted = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&accepted);
        let serve = Arc::new(serve);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let serve = Arc::clone(&serve);
                // Relaxed is enough: the reader has seen the end of a process.
                count.fetch_add(1, Ordering::Relaxed);
                thread::spawn(move || serve(stream.unwrap()));
            }
        });
        Ok(Self { address, accepted })
    }

    /// Starts a server that reads each request, sends this response, and closes.
    pub(crate) fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::replying(move |_| answer.clone())
    }

    /// Starts a server that reads each request, sends the response that `reply` returns, and closes.
    pub(crate) fn replying(reply: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::new(move |mut stream| {
            let request = read_request(&mut stream);
            // The client may close before everything is sent.
            let _broken_off = stream.write_all(&reply(&request));
            close(stream);
        })
    }

    /// Returns a URL on this server.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Returns the number of accepted connections.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }
}

/// Reads up to the empty line that ends a request.
pub(crate) fn read_request(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    let mut buffer = [0; 1024];
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read(&mut buffer) {
            Ok(count @ 1..) => request.extend_from_slice(&buffer[..count]),
            _ => break,
        }
    }
    String::from_utf8(request).unwrap()
}

/// Shuts down the write side, and waits for the client to close.
pub(crate) fn close(mut stream: TcpStream) {
    let _gone = stream.shutdown(std::net::Shutdown::Write);
    let _reset = stream.read_to_end(&mut Vec::new());
}

/// Resets a connection.
pub(crate) fn reset(stream: TcpStream) {
    // With this option `close` sends RST instead of FIN (`tcp(7)`, `SO_LINGER` of `socket(7)`).
    SockRef::from(&stream)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
}

/// A directory that is removed at the end of the test.
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    /// Creates an empty directory of this name, which belongs to one test.
    pub(crate) fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _not_there = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Returns a path in it.
    pub(crate) fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_string()
    }

    /// Returns the names of the files in it, sorted.
    pub(crate) fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _left_behind = fs::remove_dir_all(&self.0);
    }
}
