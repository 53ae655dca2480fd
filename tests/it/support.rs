//! Helpers that the tests share: a watchdog for hanging tests, connections, and child processes.

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

/// How long a test may run before the watchdog considers it hung. No test of a working crate takes nearly as long,
/// even on a loaded machine, except those that wait for the kernel with the feature `slow`.
const PATIENCE: Duration = Duration::from_secs(few_or_many(60, 240) as u64);

/// Returns the smaller number for everyday runs, and the larger one with the feature `slow`, where tests may take
/// long.
pub(crate) const fn few_or_many(few: usize, many: usize) -> usize {
    if cfg!(feature = "slow") { many } else { few }
}

/// Runs a future on its own runtime. Ends the process with the name of the test if the future never completes.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let _watchdog = watchdog();
    glassfrog::block_on(future)
}

/// Starts a watch that ends the process with the name of the test unless the returned guard is dropped in time.
///
/// A thread keeps the watch instead of a timer of the runtime. It also notices a stuck loop, and adds no deadline to
/// the runtime under test. All tests share one thread, because some create thousands of runtimes.
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

/// The time at which each running test counts as hung, and its name, by the number of its watch.
static WATCHED: Mutex<BTreeMap<u64, (Instant, String)>> = Mutex::new(BTreeMap::new());

/// Checks every second for a test that hangs.
fn keep_watch() {
    loop {
        thread::sleep(Duration::from_secs(1));
        let watched = WATCHED.lock().unwrap();
        // All watches last equally long, so the first one ends first.
        if let Some((_, (end, test))) = watched.first_key_value()
            && *end <= Instant::now()
        {
            // Not `eprintln!`: the harness captures its output, and the abort would lose it.
            let _nobody_reads = writeln!(io::stderr(), "\n{test} hangs");
            process::abort();
        }
    }
}

/// A running watch; see [`watchdog`].
pub(crate) struct Watchdog {
    /// The number of the watch.
    number: u64,
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        WATCHED.lock().unwrap().remove(&self.number);
    }
}

/// Runs a future on a minimal foreign executor, which polls on this thread and parks it in between.
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

/// Yields many times, so that every ready task runs and the loop turns the reactor.
pub(crate) async fn settle() {
    for _ in 0..1000 {
        yield_now().await;
    }
}

/// Returns a connection of each origin that a stream can have, with the plain socket at the other end. A law must
/// hold for all of them.
pub(crate) async fn pairs() -> [(TcpStream, net::TcpStream); 3] {
    [accepted().await, connected().await, adopted().await]
}

/// Checks a law for all cases concurrently, each on a connection of each origin.
pub(crate) async fn for_each<C: Copy>(
    cases: impl IntoIterator<Item = C>,
    law: impl AsyncFn(C, TcpStream, net::TcpStream),
) {
    let cases = cases.into_iter().map(async |case| {
        join_all(pairs().await.map(|(stream, peer)| law(case, stream, peer))).await;
    });
    join_all(cases).await;
}

/// Returns a connection that a listener accepted.
pub(crate) async fn accepted() -> (TcpStream, net::TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    (stream, peer)
}

/// Returns a connection made by `connect`.
pub(crate) async fn connected() -> (TcpStream, net::TcpStream) {
    let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).await;
    let (peer, _) = listener.accept().unwrap();
    (stream.unwrap(), peer)
}

/// Returns a connection adopted from the standard library.
pub(crate) async fn adopted() -> (TcpStream, net::TcpStream) {
    let (ours, peer) = plain();
    (TcpStream::try_from(ours).unwrap(), peer)
}

/// Returns two connected plain sockets.
pub(crate) fn plain() -> (net::TcpStream, net::TcpStream) {
    let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (ours, listener.accept().unwrap().0)
}

/// Closes a connection and waits until the kernel of the other end has received all data and the end of the stream.
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

/// Resets a connection.
pub(crate) fn reset(peer: net::TcpStream) {
    // With this option `close` sends RST instead of FIN (`tcp(7)`, `SO_LINGER` of `socket(7)`).
    SockRef::from(&peer)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
}

/// Returns the number of open files of this process, including the one that this function opens.
#[cfg(target_os = "linux")]
pub(crate) fn open_files() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Returns a number from `/proc/.../status`, of this process (`self`) or this thread (`thread-self`).
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

/// The address space of a process that is to run out of it: enough for everything that a test does before, and quick
/// to fill.
#[cfg(target_os = "linux")]
const ADDRESS_SPACE_MIB: u32 = 1024;

/// Fills the address space of a child process with a low limit until it has no room for the stack of another thread.
#[cfg(target_os = "linux")]
pub(crate) fn exhaust() -> Vec<Vec<u8>> {
    /// Half of a stack (`std::thread`, "Stack size").
    const BLOCK: usize = 1 << 20;
    // A starting thread maps twice the size of the heap that `malloc(3)` gives it, and unmaps the rest. That rest
    // must not become room for a stack.
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
    // Leaves room for small allocations.
    blocks.pop();
    blocks
}

/// Returns whether all other threads of this process sleep (`proc(5)`, the state in `stat`).
#[cfg(target_os = "linux")]
fn others_sleep() -> bool {
    let this = fs::read_link("/proc/thread-self").unwrap();
    let threads = fs::read_dir("/proc/self/task").unwrap().map(Result::unwrap);
    let others = threads.filter(|thread| Some(&*thread.file_name()) != this.file_name());
    // A thread that has exited meanwhile has no state.
    let mut stats = others.filter_map(|other| fs::read_to_string(other.path().join("stat")).ok());
    // The state follows the name, which is in parentheses and may contain anything.
    stats.all(|stat| stat.rsplit_once(") ").unwrap().1.starts_with('S'))
}

/// The limit of open files of a child process.
#[cfg(target_os = "linux")]
pub(crate) enum Files {
    /// This many.
    AtMost(u32),
    /// As many as the system allows.
    Most,
}

/// A child process that runs a part of a test. Dropping the handle kills it.
pub(crate) struct Child {
    /// The process.
    process: process::Child,
    /// Its standard input. The child exits when it is closed.
    _stdin: Option<ChildStdin>,
    /// The lines that it prints.
    lines: Lines<BufReader<ChildStdout>>,
    /// The thread that repeats its standard error stream.
    complaints: Option<JoinHandle<()>>,
}

/// The environment variable that tells a child process which closure to run.
const PART: &str = "GLASSFROG_TEST_PART";

/// The prefix of lines that a child process [`say`]s, to tell them from those of the harness.
const SAYS: &str = "says: ";

/// The line that a child process says when its part is over.
const DONE: &str = "done";

/// Runs a part of the test in a child process, which exits after it, and at the latest when this process does.
///
/// The child runs the same test again and so reaches this call; both processes execute what the test does before it.
/// The part may start a child in turn. A test (or part) may have only one child at a level, because a closure is
/// known by its type name.
pub(crate) fn child<F: FnOnce()>(part: F) -> Child {
    second_process(Command::new(this_program()), part)
}

/// Like [`child`], with another limit of open files.
#[cfg(target_os = "linux")]
pub(crate) fn child_with<F: FnOnce()>(files: Files, part: F) -> Child {
    let limit = match files {
        Files::AtMost(count) => count.to_string(),
        Files::Most => String::from("$(ulimit -H -n)"),
    };
    second_process(limited(&format!("-n {limit}")), part)
}

/// Like [`child`], with little address space, for [`exhaust`].
#[cfg(target_os = "linux")]
pub(crate) fn child_in_little_space<F: FnOnce()>(part: F) -> Child {
    let kibibytes = ADDRESS_SPACE_MIB * 1024;
    second_process(limited(&format!("-v {kibibytes}")), part)
}

/// Returns the anonymous memory in use by this process, in KiB.
#[cfg(target_os = "linux")]
pub(crate) fn resident() -> u64 {
    status("self", "RssAnon") as u64
}

/// Returns a command that runs this program under a limit set by the shell's `ulimit`.
#[cfg(target_os = "linux")]
fn limited(limit: &str) -> Command {
    let mut limited = Command::new("sh");
    limited
        .args(["-c", &format!("ulimit {limit}; exec \"$@\""), "sh"])
        .arg(this_program());
    limited
}

/// Runs a part of the test in a child process with a variable in its environment.
pub(crate) fn child_with_variable<F: FnOnce()>(name: &str, value: &str, part: F) -> Child {
    let mut command = Command::new(this_program());
    command.env(name, value);
    second_process(command, part)
}

/// Returns the path of this program.
fn this_program() -> PathBuf {
    env::current_exe().unwrap()
}

/// Runs a part of the test with a command that starts this program.
fn second_process<F: FnOnce()>(mut command: Command, part: F) -> Child {
    let name = type_name::<F>();
    // A nested part is reached through the parts around it.
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
        // Taken out of the process, because `wait` closes the streams that are left in it.
        _stdin: process.stdin.take(),
        process,
        lines,
        complaints: Some(thread::spawn(move || repeat(stderr))),
    }
}

/// Repeats the standard error stream of a child as output of this test, which the harness shows only if the test
/// fails. Many parts panic on purpose and would flood the screen.
fn repeat(stderr: ChildStderr) {
    for line in BufReader::new(stderr).split(b'\n') {
        eprintln!("{}", String::from_utf8_lossy(&line.unwrap()));
    }
}

/// Runs the part that this process was started for.
fn play(part: impl FnOnce()) -> ! {
    thread::spawn(|| {
        // The stream ends when the parent process does, for whatever reason.
        let _end = io::stdin().read_to_end(&mut Vec::new());
        process::exit(1);
    });
    part();
    say(DONE);
    process::exit(0);
}

/// Prints a line for the parent process.
pub(crate) fn say(line: impl std::fmt::Display) {
    // The harness may have left the cursor in the middle of a line.
    println!("\n{SAYS}{line}");
}

impl Child {
    /// Returns the next line that the child says.
    pub(crate) fn line(&mut self) -> String {
        for line in self.lines.by_ref() {
            if let Some(line) = line.unwrap().strip_prefix(SAYS) {
                return String::from(line);
            }
        }
        panic!("the child process has failed: {:?}", self.process.wait());
    }

    /// Waits until the part is over, and prints the lines that the child says until then.
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
        // A process that inherited the stream ends with the child.
        let _failed = self.complaints.take().map(JoinHandle::join);
    }
}
