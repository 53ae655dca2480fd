//! What the tests share: a watchdog against hanging, connections, and second processes.

use futures::channel::oneshot;
use futures::future::join_all;
use glassfrog::net::{TcpListener, TcpStream};
use glassfrog::task::yield_now;
use socket2::SockRef;
use std::any::type_name;
use std::collections::BTreeMap;
use std::env;
#[cfg(target_os = "linux")]
use std::fs;
use std::io::{self, BufRead, BufReader, Lines, Read, Write};
use std::net;
use std::path::PathBuf;
use std::pin::pin;
use std::process::{self, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Once};
use std::task::{Context, Poll, Wake};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

/// How long a test may take before it counts as hung. No test of a working crate comes near it,
/// however loaded the machine is.
const PATIENCE: Duration = Duration::from_secs(60);

/// One number for every day, or a larger one where tests may take long: with the feature `slow`.
pub(crate) const fn few_or_many(few: usize, many: usize) -> usize {
    if cfg!(feature = "slow") { many } else { few }
}

/// Runs a future on a runtime of its own; ends the process, naming the test, if that never ends.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let _watchdog = watchdog();
    glassfrog::block_on(future)
}

/// Ends the process, naming the test, unless what it returns is dropped in time.
///
/// A thread keeps watch, and not a timer of the runtime, so that it also sees a loop that is stuck, and so
/// that the runtime of a test has no deadline that the test does not make. There is one thread for all tests,
/// since some make thousands of runtimes.
#[must_use = "the watchdog sleeps as soon as this is dropped"]
pub(crate) fn watchdog() -> Watchdog {
    static THREAD: Once = Once::new();
    static NUMBERS: AtomicU64 = AtomicU64::new(0);
    THREAD.call_once(|| drop(thread::spawn(keep_watch)));
    let test = String::from(thread::current().name().unwrap_or("a test"));
    let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
    let watched = (Instant::now() + PATIENCE, test);
    WATCHED.lock().unwrap().insert(number, watched);
    Watchdog { number }
}

/// When each test that runs counts as hung, and its name, under the numbers of their watches.
static WATCHED: Mutex<BTreeMap<u64, (Instant, String)>> = Mutex::new(BTreeMap::new());

/// Looks for a test that hangs, every second.
fn keep_watch() {
    loop {
        thread::sleep(Duration::from_secs(1));
        let watched = WATCHED.lock().unwrap();
        // All have the same time, so that of the first is over first.
        if let Some((_, (end, test))) = watched.first_key_value()
            && *end <= Instant::now()
        {
            // Not `eprintln!`: what that prints is captured, and lost in the abort.
            let _nobody_reads = writeln!(io::stderr(), "\n{test} hangs");
            process::abort();
        }
    }
}

/// A watch that is on; see [`watchdog`].
pub(crate) struct Watchdog {
    /// Its number.
    number: u64,
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        WATCHED.lock().unwrap().remove(&self.number);
    }
}

/// Another executor, the simplest there is: polls on this thread, and parks it in between.
pub(crate) fn park_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(thread::current())).into();
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// Lets everybody run who can, and the reactor be looked at, many times over.
pub(crate) async fn settle() {
    for _ in 0..1000 {
        yield_now().await;
    }
}

/// A connection of each origin that a stream can have, with the plain socket at the other end:
/// what holds for one has to hold for all.
pub(crate) async fn pairs() -> [(TcpStream, net::TcpStream); 3] {
    [accepted().await, connected().await, adopted().await]
}

/// Lets a law work on all cases at once, each on a connection of each origin.
pub(crate) async fn for_each<C: Copy>(
    cases: impl IntoIterator<Item = C>,
    law: impl AsyncFn(C, TcpStream, net::TcpStream),
) {
    let cases = cases.into_iter().map(async |case| {
        join_all(pairs().await.map(|(stream, peer)| law(case, stream, peer))).await;
    });
    join_all(cases).await;
}

/// A connection that a listener accepted.
pub(crate) async fn accepted() -> (TcpStream, net::TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    (stream, peer)
}

/// A connection that was connected.
pub(crate) async fn connected() -> (TcpStream, net::TcpStream) {
    let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).await;
    let (peer, _) = listener.accept().unwrap();
    (stream.unwrap(), peer)
}

/// A connection that was made elsewhere.
pub(crate) async fn adopted() -> (TcpStream, net::TcpStream) {
    let (ours, peer) = plain();
    (TcpStream::try_from(ours).unwrap(), peer)
}

/// Two plain sockets.
pub(crate) fn plain() -> (net::TcpStream, net::TcpStream) {
    let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (ours, listener.accept().unwrap().0)
}

/// Closes a connection, and waits until the other end's kernel has got all that was sent and the
/// end of it.
pub(crate) async fn close_when_delivered(peer: net::TcpStream) {
    let (closed, is_closed) = oneshot::channel();
    thread::spawn(move || {
        // With this option `close` waits for that (`socket(7)`).
        SockRef::from(&peer).set_linger(Some(PATIENCE)).unwrap();
        drop(peer);
        let _nobody_waits = closed.send(());
    });
    is_closed.await.unwrap();
}

/// Breaks a connection off.
pub(crate) fn reset(peer: net::TcpStream) {
    // With this option `close` sends RST instead of FIN (`tcp(7)`, `SO_LINGER` of `socket(7)`).
    SockRef::from(&peer)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
}

/// How many files this process has open, and this look at them.
#[cfg(target_os = "linux")]
pub(crate) fn open_files() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// A number of `/proc/.../status`, of this process (`self`) or this thread (`thread-self`).
#[cfg(target_os = "linux")]
pub(crate) fn status(whose: &str, field: &str) -> usize {
    let status = fs::read_to_string(format!("/proc/{whose}/status")).unwrap();
    let value = status.lines().find_map(|line| line.strip_prefix(field));
    let number = value
        .unwrap()
        .trim_start_matches(':')
        .split_whitespace()
        .next();
    number.unwrap().parse().unwrap()
}

/// How much address space there is where no thread can be started: enough for all that a test does before
/// that, and taken up in no time.
#[cfg(target_os = "linux")]
const ADDRESS_SPACE_MIB: u32 = 1024;

/// Takes up the address space of a second process that has little of it, until there is too little for the
/// stack of a thread.
#[cfg(target_os = "linux")]
pub(crate) fn exhaust() -> Vec<Vec<u8>> {
    /// Half of a stack (`std::thread`, "Stack size").
    const BLOCK: usize = 1 << 20;
    // A thread that begins maps twice what it keeps for the heap that `malloc(3)` gives it. What it unmaps
    // again must not be room for a stack.
    while !others_sleep() {
        thread::yield_now();
    }
    let mut blocks = Vec::with_capacity(ADDRESS_SPACE_MIB as usize);
    loop {
        let mut block = Vec::new();
        if block.try_reserve_exact(BLOCK).is_err() {
            break;
        }
        blocks.push(block);
    }
    // For what is smaller.
    blocks.pop();
    blocks
}

/// Whether all threads of this process but this one sleep (`proc(5)`, the state in `stat`).
#[cfg(target_os = "linux")]
fn others_sleep() -> bool {
    let this = fs::read_link("/proc/thread-self").unwrap();
    let threads = fs::read_dir("/proc/self/task").unwrap().map(Result::unwrap);
    let others = threads.filter(|thread| Some(&*thread.file_name()) != this.file_name());
    // One that has ended meanwhile has no state.
    let mut stats = others.filter_map(|other| fs::read_to_string(other.path().join("stat")).ok());
    // After the name, which is in brackets and may contain anything.
    stats.all(|stat| stat.rsplit_once(") ").unwrap().1.starts_with('S'))
}

/// How many files a second process may have open, if not as many as this one.
#[cfg(target_os = "linux")]
pub(crate) enum Files {
    /// So many.
    AtMost(u32),
    /// As many as the system lets it.
    Most,
}

/// A second process that runs a part of the test. It is killed when this is dropped.
pub(crate) struct Child {
    /// The process.
    process: process::Child,
    /// Its input, whose end would end it.
    _stdin: Option<ChildStdin>,
    /// What it prints.
    lines: Lines<BufReader<ChildStdout>>,
    /// The thread that repeats what it prints to its standard error stream.
    complaints: Option<JoinHandle<()>>,
}

/// The environment variable that tells a second process which closure it is there for.
const PART: &str = "GLASSFROG_TEST_PART";

/// What the lines that the processes of a test [`say`] begin with, among those of the harness.
const SAYS: &str = "says: ";

/// What a second process says when its part is over.
const DONE: &str = "done";

/// Runs a part of the test in a process of its own, which ends with it, and at the latest when this
/// process does.
///
/// The process is made by running this test once more, so that it comes to this same call; what
/// the test does before, it does in both processes. The part may have a child in turn. Next to one
/// another a test (or part) may only have one, since closures are known by where they stand.
pub(crate) fn child<F: FnOnce()>(part: F) -> Child {
    second_process(Command::new(this_program()), part)
}

/// Does the same under another limit of open files.
#[cfg(target_os = "linux")]
pub(crate) fn child_with<F: FnOnce()>(files: Files, part: F) -> Child {
    let limit = match files {
        Files::AtMost(count) => count.to_string(),
        Files::Most => String::from("$(ulimit -H -n)"),
    };
    second_process(limited(&format!("-n {limit}")), part)
}

/// Does the same with little address space, for [`exhaust`].
#[cfg(target_os = "linux")]
pub(crate) fn child_in_little_space<F: FnOnce()>(part: F) -> Child {
    let kibibytes = ADDRESS_SPACE_MIB * 1024;
    second_process(limited(&format!("-v {kibibytes}")), part)
}

/// How much memory this process has in use that is no file's, in KiB.
#[cfg(target_os = "linux")]
pub(crate) fn resident() -> u64 {
    status("self", "RssAnon") as u64
}

/// This program under a limit of the shell's `ulimit`.
#[cfg(target_os = "linux")]
fn limited(limit: &str) -> Command {
    let mut limited = Command::new("sh");
    limited
        .args(["-c", &format!("ulimit {limit}; exec \"$@\""), "sh"])
        .arg(this_program());
    limited
}

/// The program of the tests.
fn this_program() -> PathBuf {
    env::current_exe().unwrap()
}

/// Runs a part of the test by a command that is this program.
fn second_process<F: FnOnce()>(mut command: Command, part: F) -> Child {
    let name = type_name::<F>();
    // A nested part is reached through those around it.
    if env::var(PART).is_ok_and(|wanted| format!("{wanted}::").starts_with(&format!("{name}::"))) {
        play(part);
    }
    let path = name.split("::{{closure}}").next().unwrap_or(name);
    let (_crate_name, test) = path.split_once("::").unwrap();
    let mut process = command
        .args([test, "--exact", "--nocapture"])
        .env(PART, name)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let stderr = process.stderr.take().unwrap();
    Child {
        // Taken out, since waiting for a process closes what is left in it.
        _stdin: process.stdin.take(),
        process,
        lines,
        complaints: Some(thread::spawn(move || repeat(stderr))),
    }
}

/// Repeats what a second process prints to its standard error stream as output of this test, which the
/// harness shows only if the test fails. Many parts panic on purpose, and would flood the screen.
fn repeat(stderr: ChildStderr) {
    for line in BufReader::new(stderr).split(b'\n') {
        eprintln!("{}", String::from_utf8_lossy(&line.unwrap()));
    }
}

/// Runs the part that this process is there for.
fn play(part: impl FnOnce()) -> ! {
    thread::spawn(|| {
        // Its end is the end of the process at the other side, however that came about.
        let _end = io::stdin().read_to_end(&mut Vec::new());
        process::exit(1);
    });
    part();
    say(DONE);
    process::exit(0);
}

/// Says a line to the process that made this one.
pub(crate) fn say(line: impl std::fmt::Display) {
    // Where the cursor is, only the harness knows.
    println!("\n{SAYS}{line}");
}

impl Child {
    /// The next line that it says.
    pub(crate) fn line(&mut self) -> String {
        for line in self.lines.by_ref() {
            if let Some(line) = line.unwrap().strip_prefix(SAYS) {
                return String::from(line);
            }
        }
        panic!("the second process has failed: {:?}", self.process.wait());
    }

    /// Waits until its part is over, and passes on what it says until then.
    pub(crate) fn finish(mut self) {
        loop {
            match self.line() {
                line if line == DONE => break,
                line => println!("{line}"),
            }
        }
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ended_already = self.process.kill();
        let _status = self.process.wait();
        // Whoever inherited the stream ends with the process.
        let _failed = self.complaints.take().map(JoinHandle::join);
    }
}
