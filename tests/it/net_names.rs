//! Name lookups: which names are valid, what they resolve to, and that a slow lookup delays nothing else.

use crate::support::{block_on, few_or_many, watchdog};
use crate::task_probes::{Meddler, Way, inside, panic_text, poll_with};
use futures::future::join_all;
use glassfrog::Runtime;
use glassfrog::net::{TcpListener, TcpStream, ToSocketAddrs, lookup_host};
use glassfrog::task::spawn_blocking;
use glassfrog::time::{now, sleep, timeout};
use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::net::{self, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

/// Looks up a host.
async fn look_up(host: impl ToSocketAddrs) -> io::Result<Vec<SocketAddr>> {
    Ok(lookup_host(host).await?.collect())
}

/// Looks up a host with the standard library, which blocks.
fn look_up_blocking(host: impl net::ToSocketAddrs) -> io::Result<Vec<SocketAddr>> {
    Ok(host.to_socket_addrs()?.collect())
}

/// Returns names that only the resolver knows to be invalid, because a label or the whole name is too long (RFC 1035,
/// section 2.3.4). It sends no query for them.
fn impossible() -> [String; 3] {
    let label = format!("{}.invalid", "a".repeat(64));
    [label, ["a"; 200].join("."), "a".repeat(100_000)]
}

/// Builds a runtime with this many threads for jobs.
fn with_threads(threads: usize) -> Runtime {
    let builder = Runtime::builder().blocking_threads(threads);
    builder.build().unwrap()
}

/// Submits a job that runs until the returned guard is dropped.
fn occupy_a_thread() -> Sender<Infallible> {
    let (holds, held) = channel();
    drop(spawn_blocking(move || held.recv()));
    holds
}

/// Strings that are neither addresses nor names, with or without a port.
const MALFORMED: [&str; 38] = [
    "",
    ":",
    "::",
    ":80",
    " ",
    " :80",
    "127.0.0.1",
    "127.0.0.1:",
    "127.0.0.1:65536",
    "127.0.0.1:-1",
    "127.0.0.1:http",
    "127.0.0.1:80:80",
    "127.0.0.1 :80",
    " 127.0.0.1:80",
    "127.0.0.1:80 ",
    "::1",
    "::1:80",
    "[::1]",
    "[::1]:",
    "[::1]:65536",
    "[::1:80",
    "::1]:80",
    "[127.0.0.1]:80",
    "localhost",
    "localhost:",
    "localhost:65536",
    "localhost:99999999999999999999",
    "localhost:80/",
    "local host:80",
    "localhost\u{a0}:80",
    "localhost\r\n:80",
    "localhost:80\n",
    "local\0host:80",
    "local\u{7f}host:80",
    "user@localhost:80",
    "http://localhost:80",
    "local\\host:80",
    "localhost?#:80",
];

/// The same for hosts with a separate port.
const MALFORMED_HOSTS: [&str; 16] = [
    "",
    " ",
    ":",
    "127.0.0.1 ",
    "127.0.0.1:80",
    "[::1]",
    "::1::",
    "localhost:80",
    "local host",
    "localhost\t",
    "localhost\r\n",
    "local\0host",
    "\u{1b}[31mlocalhost",
    "user@localhost",
    "localhost/",
    "'localhost'",
];

/// Returns the errors of connecting, binding and looking up, which must be ready at the first poll.
fn ready_errors(host: impl ToSocketAddrs + Copy) -> [io::Error; 3] {
    fn ready<T>(future: impl Future<Output = io::Result<T>>) -> io::Error {
        match poll_with(&mut Box::pin(future), Waker::noop()) {
            Poll::Ready(result) => result.map(|_| "it is well-formed").unwrap_err(),
            Poll::Pending => panic!("it is being looked up"),
        }
    }
    [
        ready(TcpStream::connect(host)),
        ready(TcpListener::bind(host)),
        ready(look_up(host)),
    ]
}

/// Tries every malformed address on the runtime of this thread.
fn for_all_malformed(mut law: impl FnMut(&str, io::Error)) {
    for text in MALFORMED {
        for error in ready_errors(text) {
            law(text, error);
        }
        for error in ready_errors(&String::from(text)) {
            law(text, error);
        }
    }
    for host in MALFORMED_HOSTS {
        for error in ready_errors((host, 80)) {
            law(host, error);
        }
        for error in ready_errors(&(String::from(host), 80)) {
            law(host, error);
        }
    }
}

#[test]
fn a_malformed_address_is_an_immediate_error_that_quotes_it() {
    block_on(async {
        for_all_malformed(|text, error| {
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{text:?}");
            let message = error.to_string();
            let shown = format!("invalid address `{}`: expected ", text.escape_debug());
            assert!(message.starts_with(&shown), "{text:?}: {message}");
            assert!(!message.contains(char::is_control), "{message:?}");
        });
    });
}

#[test]
fn every_form_of_name_is_accepted() {
    async fn leads_here<A: ToSocketAddrs>(at: impl Fn(u16) -> A) {
        let listener = TcpListener::bind(at(0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        assert!(addr.ip().is_loopback());
        let addrs = look_up(at(addr.port())).await.unwrap();
        assert!(addrs.contains(&addr), "{addr} is not in {addrs:?}");
        let stream = TcpStream::connect(at(addr.port())).await.unwrap();
        let (_, peer) = listener.accept().await.unwrap();
        assert_eq!(peer, stream.local_addr().unwrap());
    }
    fn kept<T>(form: T) -> &'static T {
        Box::leak(Box::new(form))
    }
    block_on(async {
        leads_here(|port| format!("localhost:{port}")).await;
        leads_here(|port| kept(format!("localhost:{port}"))).await;
        leads_here(|port| kept(format!("localhost:{port}")).as_str()).await;
        leads_here(|port| kept(kept(format!("localhost:{port}")).as_str())).await;
        leads_here(|port| ("localhost", port)).await;
        leads_here(|port| kept(("localhost", port))).await;
        leads_here(|port| (String::from("localhost"), port)).await;
        leads_here(|port| kept((String::from("localhost"), port))).await;
        leads_here(|port| (kept(String::from("localhost")).as_str(), port)).await;
        // The resolver decides about these, as about anything that could be a name.
        leads_here(|port| ("LOCALHOST", port)).await;
    });
}

#[test]
fn an_address_resolves_to_itself() {
    block_on(async {
        let v4 = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 80));
        let v6 = SocketAddr::from((Ipv6Addr::LOCALHOST, 80));
        for addrs in [&[][..], &[v4], &[v4, v4, v6, v6, v4], &[v6, v4, v4]] {
            assert_eq!(look_up(addrs).await.unwrap(), addrs);
        }
        for text in ["192.0.2.1:80", "0.0.0.0:0", "255.255.255.255:65535"] {
            let addr: SocketAddr = text.parse().unwrap();
            assert_eq!(look_up(text).await.unwrap(), [addr]);
            let host = addr.ip().to_string();
            assert_eq!(look_up((host, addr.port())).await.unwrap(), [addr]);
        }
        for (text, host) in [("[::1]:80", "::1"), ("[0:0::1]:80", "0:0:0:0:0:0:0:1")] {
            assert_eq!(look_up(text).await.unwrap(), [v6]);
            assert_eq!(look_up((host, 80)).await.unwrap(), [v6]);
        }
    });
}

#[test]
fn a_name_resolves_to_the_addresses_that_std_returns() {
    block_on(async {
        for port in [0, 7, 65535] {
            let addrs = look_up(("localhost", port)).await.unwrap();
            assert_eq!(addrs, look_up_blocking(("localhost", port)).unwrap());
            assert!(!addrs.is_empty());
        }
    });
}

#[test]
fn resolved_addresses_outlive_the_name_and_cross_threads() {
    block_on(async {
        let addrs = {
            let name = String::from("localhost:7");
            lookup_host(&name).await.unwrap()
        };
        let found = thread::spawn(move || addrs.collect::<Vec<_>>());
        let expected = look_up_blocking("localhost:7").unwrap();
        assert_eq!(found.join().unwrap(), expected);
    });
}

#[test]
fn an_unknown_name_is_an_error_that_quotes_it() {
    block_on(async {
        for host in impossible() {
            // The resolver chooses the message.
            let reason = look_up_blocking((&*host, 80)).unwrap_err();
            for error in [
                TcpStream::connect((&*host, 80)).await.unwrap_err(),
                TcpListener::bind((&*host, 80)).await.unwrap_err(),
                look_up((&*host, 80)).await.unwrap_err(),
                look_up((host.clone(), 80)).await.unwrap_err(),
                look_up(format!("{host}:80")).await.unwrap_err(),
            ] {
                assert_eq!(error.to_string(), format!("resolve {host}: {reason}"));
                assert_eq!(error.kind(), reason.kind());
                assert_eq!(error.source().unwrap().to_string(), reason.to_string());
                // The text is one line too, for `main` functions that return the error.
                assert!(format!("{error:?}").contains(&error.to_string()));
            }
        }
    });
}

#[test]
fn a_thousand_concurrent_lookups_all_complete() {
    block_on(async {
        let expected = look_up_blocking("localhost:7").unwrap();
        let ways = Way::ALL.into_iter().cycle().take(1000);
        let look_ups: Vec<_> = ways.map(|way| way.spawn(look_up("localhost:7"))).collect();
        for found in join_all(look_ups).await {
            assert_eq!(found.unwrap().unwrap(), expected);
        }
    });
}

#[test]
fn a_name_is_resolved_while_jobs_occupy_the_whole_pool() {
    let _watchdog = watchdog();
    for threads in [1, 2, 5] {
        with_threads(threads).block_on(async {
            let busy: Vec<_> = (0..threads).map(|_| occupy_a_thread()).collect();
            let waiting: Vec<_> = (0..100).map(|n| spawn_blocking(move || n)).collect();
            look_up("localhost:7").await.unwrap();
            let listener = TcpListener::bind("localhost:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            TcpStream::connect(("localhost", port)).await.unwrap();
            assert!(waiting.iter().all(|job| !job.is_finished()));
            drop(busy);
            for (n, job) in waiting.into_iter().enumerate() {
                assert_eq!(job.await.unwrap(), n);
            }
        });
    }
}

#[test]
fn concurrent_jobs_and_lookups_all_complete() {
    let _watchdog = watchdog();
    for round in 0..few_or_many(50, 200) {
        let threads = 1 + round % 3;
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        with_threads(threads).block_on(async {
            let work = (0..50).map(async |_| {
                let (running, most) = (running.clone(), most.clone());
                let job = spawn_blocking(move || {
                    most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    thread::yield_now();
                    running.fetch_sub(1, Ordering::SeqCst);
                });
                let (job, found) = futures::join!(job, look_up("localhost:7"));
                job.unwrap();
                found.unwrap();
            });
            join_all(work).await;
        });
        assert!(most.load(Ordering::SeqCst) <= threads);
    }
}

#[test]
fn a_finished_lookup_leaves_its_thread_to_the_next_one() {
    /// The number of concurrent lookups, as documented.
    const LOOK_UPS: usize = 32;
    let _watchdog = watchdog();
    let runtime = Runtime::new().unwrap();
    let (answered, answers) = channel();
    let (release, released) = channel::<Infallible>();
    let released = Mutex::new(released);
    // The thread of a lookup calls this and is blocked here.
    let waker = Meddler::waker(
        move || {
            answered.send(()).unwrap();
            let _released = released.lock().unwrap().recv();
        },
        || {},
    );
    let mut look_ups = Vec::new();
    while look_ups.len() < LOOK_UPS {
        let mut look_up = Box::pin(look_up("localhost:7"));
        // Some may be answered at once.
        if inside(&runtime, || poll_with(&mut look_up, &waker)).is_pending() {
            look_ups.push(look_up);
        }
    }
    for _ in &look_ups {
        answers.recv().unwrap();
    }
    for mut look_up in look_ups {
        let polled = inside(&runtime, || poll_with(&mut look_up, Waker::noop()));
        assert!(polled.is_ready());
    }
    let mut next = Box::pin(look_up("localhost:7"));
    assert!(inside(&runtime, || poll_with(&mut next, Waker::noop())).is_pending());
    let metrics = runtime.handle().metrics();
    let threads_and_waiting = (metrics.blocking_threads, metrics.blocking_queue);
    drop(release);
    runtime.block_on(next).unwrap();
    assert_eq!(threads_and_waiting, (LOOK_UPS, 1));
}

#[test]
fn a_lookup_takes_no_virtual_time() {
    let _watchdog = watchdog();
    let runtime = Runtime::builder().virtual_clock().build().unwrap();
    runtime.block_on(async {
        let start = now();
        for _ in 0..200 {
            let found = timeout(Duration::from_nanos(1), look_up("localhost:7")).await;
            found.unwrap().unwrap();
        }
        assert_eq!(now(), start);
        let hour = Duration::from_secs(60 * 60);
        for look_up in [look_up("localhost:7"), look_up("localhost:8")] {
            // An abandoned lookup does not hold the clock.
            drop(poll_with(&mut Box::pin(look_up), Waker::noop()));
            sleep(hour).await;
        }
        assert_eq!(now() - start, 2 * hour);
    });
}

#[test]
fn a_lookup_outside_a_runtime_panics() {
    for host in ["localhost:7", "127.0.0.1:7", "malformed"] {
        let text = panic_text(|| poll_with(&mut Box::pin(look_up(host)), Waker::noop()));
        assert!(text.contains("no runtime on this thread"), "{text}");
    }
}

/// Observations through `/proc`, on Linux.
#[cfg(target_os = "linux")]
mod system {
    use super::{for_all_malformed, impossible, look_up, look_up_blocking, with_threads};
    use crate::net_race::BlackHole;
    use crate::support::{
        accepted, block_on, child, child_in_little_space, exhaust, park_on, settle, watchdog,
    };
    use crate::task_probes::{logged, poll_with, record_log};
    use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
    use futures::future::{Either, select};
    use futures::{FutureExt, StreamExt};
    use glassfrog::net::{TcpListener, TcpStream};
    use glassfrog::task::spawn_blocking;
    use glassfrog::time::{now, sleep, timeout};
    use glassfrog::{Handle, Runtime, spawn};
    use std::any::type_name;
    use std::collections::{BTreeSet, HashMap};
    use std::env;
    use std::error::Error;
    use std::fs;
    use std::io::{self, Read, Write};
    use std::net::{self, IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
    use std::pin::{Pin, pin};
    use std::process::{self, Command, Stdio};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::Waker;
    use std::thread;
    use std::time::Duration;

    /// The number of concurrent awaited lookups, as documented.
    const LOOK_UPS: usize = 32;

    /// The maximum number of threads for lookups, as documented.
    const LOOK_UP_THREADS: usize = 128;

    /// The delay before the next connection attempt begins.
    const DELAY: Duration = Duration::from_millis(250);

    /// Returns the number of threads in the pools of all runtimes.
    fn pool_threads() -> usize {
        let threads = fs::read_dir("/proc/self/task").unwrap();
        threads
            .filter_map(|thread| fs::read_to_string(thread.unwrap().path().join("comm")).ok())
            .filter(|name| name.starts_with("glassfrog-job"))
            .count()
    }

    /// Blocks this thread until the pools have this many threads.
    fn wait_for_pool_threads(count: usize) {
        while pool_threads() != count {
            thread::yield_now();
        }
    }

    #[test]
    fn an_invalid_name_starts_no_thread() {
        child(|| {
            block_on(async {
                let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
                let here = Ipv4Addr::LOCALHOST;
                TcpListener::bind("127.0.0.1:0").await.unwrap();
                TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
                TcpListener::bind((String::from("127.0.0.1"), 0))
                    .await
                    .unwrap();
                TcpListener::bind([addr, addr]).await.unwrap();
                let listener = TcpListener::bind((here, 0)).await.unwrap();
                let addr = listener.local_addr().unwrap();
                TcpStream::connect(addr).await.unwrap();
                TcpStream::connect(addr.to_string()).await.unwrap();
                TcpStream::connect(("127.0.0.1", addr.port()))
                    .await
                    .unwrap();
                TcpStream::connect([addr, addr]).await.unwrap();
                look_up("[::1]:80").await.unwrap();
                look_up(("::1", 80)).await.unwrap();
                look_up((IpAddr::from(here), 80)).await.unwrap();
                for_all_malformed(|_, _| ());
                assert_eq!(pool_threads(), 0);
                look_up("localhost:80").await.unwrap();
                assert_eq!(pool_threads(), 1);
            });
        })
        .finish();
    }

    #[test]
    fn many_lookups_share_few_threads() {
        child(|| {
            block_on(async {
                let look_ups: Vec<_> = (0..1000).map(|_| spawn(look_up("localhost:7"))).collect();
                for look_up in look_ups {
                    look_up.await.unwrap().unwrap();
                }
                // Idle threads stay for a while.
                assert!(pool_threads() <= LOOK_UPS, "{} threads", pool_threads());
            });
            wait_for_pool_threads(0);
        })
        .finish();
    }

    #[test]
    fn an_address_with_a_zone_is_accepted() {
        let index = fs::read_to_string("/sys/class/net/lo/ifindex").unwrap();
        let index = index.trim().parse().unwrap();
        block_on(async {
            let addrs = look_up(("fe80::1%lo", 80)).await.unwrap();
            let [SocketAddr::V6(addr)] = addrs[..] else {
                panic!("{addrs:?}");
            };
            assert_eq!(addr.ip().to_string(), "fe80::1");
            assert_eq!((addr.scope_id(), addr.port()), (index, 80));
        });
    }

    /// The environment variable that marks a child process.
    const AGAIN: &str = "GLASSFROG_TEST_AGAIN";

    /// Returns whether this is a child process.
    fn is_again() -> bool {
        env::var_os(AGAIN).is_some()
    }

    /// Ends this process when its standard input is closed.
    fn end_with_parent() {
        thread::spawn(|| {
            let _end = io::stdin().read_to_end(&mut Vec::new());
            process::exit(1);
        });
    }

    /// Runs the test that contains a closure again, in a child process.
    fn run_again(mut command: Command, closure: &str) {
        let (_crate_name, path) = closure.split_once("::").unwrap();
        let test = path.split("::{{closure}}").next().unwrap();
        let mut process = command
            .arg(env::current_exe().unwrap())
            .args([test, "--exact", "--nocapture"])
            .env(AGAIN, "")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Taken out of the process, because `wait` closes the streams that are left in it.
        let _stdin = process.stdin.take();
        let output = process.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let passed = output.status.success() && said.contains("test result: ok. 1 passed");
        assert!(
            passed,
            "the child process has failed: {}\n{said}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }

    #[test]
    fn a_lookup_without_a_thread_fails_with_the_name_and_the_reason() {
        child_in_little_space(|| {
            let _watchdog = watchdog();
            let runtime = Runtime::new().unwrap();
            let full = exhaust();
            let reason = thread::Builder::new().spawn(|| {}).unwrap_err();
            for _ in 0..3 {
                let error = runtime.block_on(look_up("localhost:80")).unwrap_err();
                let text = error.to_string();
                assert!(text.starts_with("resolve localhost: "), "{text}");
                assert!(text.ends_with(&reason.to_string()), "{text}");
                // Operations that need no thread continue.
                runtime.block_on(look_up("127.0.0.1:80")).unwrap();
            }
            drop(full);
            runtime.block_on(look_up("localhost:80")).unwrap();
        })
        .finish();
    }

    /// A shell script that creates a network with only a loopback interface, points the resolver at a name server
    /// there, and executes the given program.
    const OWN_NETWORK: &str = r#"
        set -e
        # A cache that would be asked first.
        test ! -S /var/run/nscd/socket
        ip link set lo up
        mount -t tmpfs none /etc
        echo 'hosts: files dns' > /etc/nsswitch.conf
        printf '127.0.0.1 localhost\n::1 localhost\n' > /etc/hosts
        # Once, and for longer than any test takes.
        printf 'nameserver 127.0.0.1\nsearch .\noptions attempts:1 timeout:30\n' > /etc/resolv.conf
        exec "$@"
    "#;

    /// Runs a part of a test in a child process in which the test answers every query. Skips it where a process
    /// cannot have its own network.
    fn with_server<F: FnOnce(Server)>(part: F) {
        let own_network = || {
            let mut command = Command::new("unshare");
            command.args(["--map-root-user", "--mount", "--net"]);
            command.args(["sh", "-c", OWN_NETWORK, "sh"]);
            command
        };
        if is_again() {
            end_with_parent();
            let _watchdog = watchdog();
            return part(Server::new());
        }
        match own_network().arg("true").output() {
            Ok(output) if output.status.success() => run_again(own_network(), type_name::<F>()),
            other => println!("skipped: no network of its own here: {other:?}"),
        }
    }

    /// A name server (RFC 1035) that is controlled by the test.
    struct Server {
        /// The queries received.
        questions: UnboundedReceiver<Question>,
    }

    /// A query for all addresses of a name, waiting for an answer.
    struct Question {
        /// The name.
        name: String,
        /// The messages: one for each address family.
        messages: [Vec<u8>; 2],
        /// The sender.
        from: SocketAddr,
        /// The receiving socket.
        socket: Arc<UdpSocket>,
    }

    impl Server {
        /// Starts the server.
        fn new() -> Server {
            let socket = UdpSocket::bind("127.0.0.1:53").unwrap();
            let (ask, questions) = unbounded();
            thread::spawn(move || Server::serve(Arc::new(socket), ask));
            Server { questions }
        }

        /// Receives queries. The two address families of a name arrive in separate messages.
        fn serve(socket: Arc<UdpSocket>, ask: UnboundedSender<Question>) {
            let mut halves = HashMap::new();
            loop {
                let mut message = vec![0; 512];
                let (length, from) = socket.recv_from(&mut message).unwrap();
                message.truncate(length);
                let name = name_in(&message);
                let half = (from, name.clone());
                let Some(other) = halves.remove(&half) else {
                    halves.insert(half, message);
                    continue;
                };
                let question = Question {
                    name,
                    messages: [other, message],
                    from,
                    socket: Arc::clone(&socket),
                };
                // At the end of the test, nobody receives any more.
                let _closed = ask.unbounded_send(question);
            }
        }

        /// Waits for a query.
        async fn question(&mut self) -> Question {
            self.questions.next().await.unwrap()
        }

        /// Waits for a query about this name.
        async fn question_about(&mut self, name: &str) -> Question {
            let question = self.question().await;
            assert_eq!(question.name, name);
            question
        }
    }

    /// Returns the name that a message asks for.
    fn name_in(message: &[u8]) -> String {
        let mut labels = Vec::new();
        let mut rest = &message[12..];
        while let [length, tail @ ..] = rest
            && *length > 0
        {
            let (label, tail) = tail.split_at(usize::from(*length));
            labels.push(String::from_utf8_lossy(label));
            rest = tail;
        }
        labels.join(".")
    }

    impl Question {
        /// Answers with these addresses.
        fn answer(self, ips: &[IpAddr]) {
            self.reply(0, ips);
        }

        /// Answers that the name does not exist (`NXDOMAIN`).
        fn deny(self) {
            self.reply(3, &[]);
        }

        /// Answers with a server failure (`SERVFAIL`).
        fn fail(self) {
            self.reply(2, &[]);
        }

        /// Replies to both messages.
        fn reply(self, code: u8, ips: &[IpAddr]) {
            for message in &self.messages {
                // A header, the name as length-prefixed labels with a final zero, type and class.
                let name_end = 12 + self.name.len() + 2;
                let asked = &message[12..name_end + 4];
                let kind = message[name_end + 1];
                let mut records = Vec::new();
                let mut count = 0;
                for ip in ips {
                    let octets = match ip {
                        IpAddr::V4(ip) if kind == 1 => ip.octets().to_vec(),
                        IpAddr::V6(ip) if kind == 28 => ip.octets().to_vec(),
                        _ => continue,
                    };
                    count += 1;
                    // A pointer to the name above, type, class, a time to live of zero.
                    records.extend([0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 0]);
                    records.extend([0, octets.len() as u8]);
                    records.extend(octets);
                }
                // A response, with recursion available.
                let flags = [0x81, 0x80 | code];
                let counts = [0, 1, 0, count, 0, 0, 0, 0];
                let reply = [&message[..2], &flags, &counts, asked, &records].concat();
                self.socket.send_to(&reply, self.from).unwrap();
            }
        }
    }

    /// Returns an address of this host, which has many.
    fn ip(last: u8) -> IpAddr {
        Ipv4Addr::new(127, 0, 0, last).into()
    }

    /// Starts this many lookups of distinct names, and waits until all are running.
    async fn slow_look_ups(server: &mut Server, count: usize) -> Vec<Question> {
        for n in 0..count {
            drop(spawn(look_up(format!("slow{n}.test:80"))));
        }
        let mut questions = Vec::new();
        while questions.len() < count {
            questions.push(server.question().await);
        }
        questions
    }

    #[test]
    fn a_slow_lookup_delays_nothing_else() {
        with_server(|mut server| {
            glassfrog::block_on(async {
                let slow = spawn(look_up("slow.test:80"));
                let question = server.question_about("slow.test").await;
                // Tasks, timers, sockets, jobs and other names.
                settle().await;
                sleep(Duration::from_millis(1)).await;
                let (stream, mut peer) = accepted().await;
                peer.write_all(b"hello").unwrap();
                assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 5);
                assert_eq!(spawn_blocking(|| 7).await.unwrap(), 7);
                look_up("localhost:80").await.unwrap();
                let quick = spawn(look_up("quick.test:80"));
                server.question_about("quick.test").await.answer(&[ip(2)]);
                let found = quick.await.unwrap().unwrap();
                assert_eq!(found, [SocketAddr::from((ip(2), 80))]);
                assert!(!slow.is_finished());
                question.answer(&[ip(1)]);
                let found = slow.await.unwrap().unwrap();
                assert_eq!(found, [SocketAddr::from((ip(1), 80))]);
            });
        });
    }

    #[test]
    fn many_slow_lookups_delay_other_names_but_no_job() {
        with_server(|mut server| {
            with_threads(1).block_on(async {
                let name = |n| format!("name{n}.test:80");
                let look_ups: Vec<_> = (0..LOOK_UPS + 10)
                    .map(|n| spawn(look_up(name(n))))
                    .collect();
                let mut questions = Vec::new();
                for _ in 0..LOOK_UPS {
                    questions.push(server.question().await);
                }
                for n in 0..100 {
                    assert_eq!(spawn_blocking(move || n).await.unwrap(), n);
                }
                // One thread for the jobs.
                assert_eq!(pool_threads(), LOOK_UPS + 1);
                // When one ends, the next begins.
                for _ in 0..10 {
                    assert!(server.question().now_or_never().is_none());
                    questions.remove(0).answer(&[ip(1)]);
                    questions.push(server.question().await);
                    assert_eq!(pool_threads(), LOOK_UPS + 1);
                }
                let names: BTreeSet<_> = questions.iter().map(|it| it.name.clone()).collect();
                assert_eq!(names.len(), LOOK_UPS);
                for question in questions {
                    question.answer(&[ip(1)]);
                }
                for look_up in look_ups {
                    let found = look_up.await.unwrap().unwrap();
                    assert_eq!(found, [SocketAddr::from((ip(1), 80))]);
                }
            });
        });
    }

    #[test]
    fn a_dropped_lookup_is_abandoned_at_once() {
        with_server(|mut server| {
            glassfrog::block_on(async {
                let connect = spawn(async { drop(TcpStream::connect("slow.test:80").await) });
                let bind = spawn(async { drop(TcpListener::bind("slow.test:80").await) });
                let look_up_only = spawn(async { drop(look_up("slow.test:80").await) });
                let mut questions = Vec::new();
                for _ in 0..3 {
                    questions.push(server.question_about("slow.test").await);
                }
                for task in [connect, bind, look_up_only] {
                    task.abort();
                    assert!(task.await.unwrap_err().is_cancelled());
                }
                // Nobody waits for the results of the busy threads.
                assert_eq!(pool_threads(), 3);
                let again = spawn(look_up("slow.test:80"));
                server.question_about("slow.test").await.answer(&[ip(1)]);
                assert_eq!(again.await.unwrap().unwrap().len(), 1);
                for question in questions {
                    question.answer(&[ip(2)]);
                }
            });
            wait_for_pool_threads(0);
        });
    }

    #[test]
    fn a_lookup_dropped_in_the_queue_sends_no_query() {
        with_server(|mut server| {
            glassfrog::block_on(async {
                let mut questions = slow_look_ups(&mut server, LOOK_UPS).await;
                let given_up = spawn(look_up("given-up.test:80"));
                let last = spawn(look_up("last.test:80"));
                settle().await;
                given_up.abort();
                assert!(given_up.await.unwrap_err().is_cancelled());
                questions.remove(0).answer(&[ip(1)]);
                server.question_about("last.test").await.answer(&[ip(1)]);
                last.await.unwrap().unwrap();
            });
        });
    }

    /// Abandons this many running lookups, a few at a time.
    async fn given_up(server: &mut Server, count: usize) -> Vec<Question> {
        let mut questions = Vec::new();
        while questions.len() < count {
            let task = spawn(look_up(format!("hangs{}.test:80", questions.len())));
            questions.push(server.question().await);
            task.abort();
            assert!(task.await.unwrap_err().is_cancelled());
        }
        questions
    }

    #[test]
    fn abandoned_lookups_with_hanging_threads_delay_no_name() {
        with_server(|mut server| {
            glassfrog::block_on(async {
                let _unanswered = given_up(&mut server, LOOK_UPS).await;
                look_up("localhost:80").await.unwrap();
                // After three rounds, there is as much room as ever.
                let _unanswered = given_up(&mut server, LOOK_UP_THREADS - 2 * LOOK_UPS).await;
                let _slow = slow_look_ups(&mut server, LOOK_UPS).await;
                assert_eq!(pool_threads(), LOOK_UP_THREADS);
            });
        });
    }

    #[test]
    fn a_queued_name_is_looked_up_when_another_lookup_is_abandoned() {
        with_server(|mut server| {
            glassfrog::block_on(async {
                let name = |n| format!("slow{n}.test:80");
                let slow: Vec<_> = (0..LOOK_UPS).map(|n| spawn(look_up(name(n)))).collect();
                let mut unanswered = Vec::new();
                while unanswered.len() < LOOK_UPS {
                    unanswered.push(server.question().await);
                }
                let next = spawn(look_up("next.test:80"));
                settle().await;
                assert!(server.question().now_or_never().is_none());
                slow[5].abort();
                server.question_about("next.test").await.answer(&[ip(1)]);
                next.await.unwrap().unwrap();
            });
        });
    }

    #[test]
    fn a_lookup_waits_and_is_reported_once_when_all_threads_hang() {
        /// A phrase of the report.
        const HANGING: &str = "threads for name lookups are busy";
        with_server(|mut server| {
            record_log();
            glassfrog::block_on(async {
                let mut unanswered = given_up(&mut server, LOOK_UP_THREADS).await;
                assert_eq!(pool_threads(), LOOK_UP_THREADS);
                assert_eq!(logged(HANGING), [""; 0]);
                let waiting = [
                    spawn(look_up("localhost:80")),
                    spawn(look_up("localhost:81")),
                ];
                settle().await;
                assert!(waiting.iter().all(|look_up| !look_up.is_finished()));
                assert_eq!(pool_threads(), LOOK_UP_THREADS);
                let warnings = logged(HANGING);
                assert_eq!(warnings.len(), 1, "{warnings:?}");
                for words in ["WARN ", "all 128 threads", "128 of them", "name servers"] {
                    assert!(warnings[0].contains(words), "{warnings:?}");
                }
                let dump = glassfrog::task::dump().to_string();
                let shown = dump.matches(" resolve localhost, queued");
                assert_eq!(shown.count(), 2, "{dump}");
                for words in [
                    "blocking pool: 128 threads, 0 idle, 2 jobs queued, the oldest for ",
                    " \"resolve hangs0.test\"",
                    "  abandoned  nothing: its future was dropped, but the resolver has not returned",
                ] {
                    assert!(dump.contains(words), "{words}:\n{dump}");
                }
                // Jobs have separate threads.
                assert_eq!(spawn_blocking(|| 7).await.unwrap(), 7);
                unanswered.remove(17).answer(&[ip(1)]);
                for look_up in waiting {
                    look_up.await.unwrap().unwrap();
                }
                let _more = given_up(&mut server, 1).await;
                let waiting = spawn(look_up("localhost:80"));
                settle().await;
                unanswered.remove(3).answer(&[ip(1)]);
                waiting.await.unwrap().unwrap();
                assert_eq!(logged(HANGING).len(), 1);
            });
        });
    }

    #[test]
    fn thousands_of_dropped_lookups_leave_few_threads() {
        with_server(|mut server| {
            glassfrog::block_on(async {
                let name = |n| format!("slow{n}.test:80");
                let mut connects: Vec<_> = (0..5000)
                    .map(|n| Box::pin(TcpStream::connect(name(n))))
                    .collect();
                for connect in &mut connects {
                    assert!(poll_with(connect, Waker::noop()).is_pending());
                }
                for _ in 0..LOOK_UPS {
                    server.question().await;
                }
                let waiting = || Handle::current().metrics().blocking_queue;
                assert_eq!(waiting(), connects.len() - LOOK_UPS);
                // Newest first.
                while connects.pop().is_some() {
                    assert_eq!(waiting(), connects.len().saturating_sub(LOOK_UPS));
                }
                assert_eq!(pool_threads(), LOOK_UPS);
                look_up("localhost:80").await.unwrap();
            });
        });
    }

    #[test]
    fn a_pending_lookup_does_not_delay_the_drop_of_the_runtime() {
        with_server(|mut server| {
            let ends: [fn(Runtime); 2] = [drop, |runtime| runtime.shutdown_timeout(Duration::ZERO)];
            for end in ends {
                let runtime = Runtime::new().unwrap();
                let mut waiting = Box::pin(look_up("waiting.test:80"));
                let questions = runtime.block_on(async {
                    let questions = slow_look_ups(&mut server, LOOK_UPS).await;
                    assert!(poll_with(&mut waiting, Waker::noop()).is_pending());
                    questions
                });
                end(runtime);
                assert_eq!(pool_threads(), LOOK_UPS);
                // The only running lookup is over.
                let error = park_on(waiting).unwrap_err();
                assert!(
                    error.to_string().starts_with("resolve waiting.test: "),
                    "{error}"
                );
                // The others have had their chance, whatever their answers.
                for question in questions {
                    question.answer(&[ip(1)]);
                }
                wait_for_pool_threads(0);
            }
            assert!(server.question().now_or_never().is_none());
        });
    }

    #[test]
    fn a_lookup_that_moves_to_another_thread_needs_no_running_loop() {
        with_server(|mut server| {
            let runtime = Runtime::new().unwrap();
            let mut look_up = Box::pin(look_up("slow.test:80"));
            let question = runtime.block_on(async {
                assert!(poll_with(&mut look_up, Waker::noop()).is_pending());
                server.question().await
            });
            let elsewhere = thread::spawn(|| park_on(look_up));
            question.answer(&[ip(1)]);
            let found = elsewhere.join().unwrap().unwrap();
            assert_eq!(found, [SocketAddr::from((ip(1), 80))]);
        });
    }

    #[test]
    fn a_shutdown_may_wait_for_a_lookup() {
        with_server(|mut server| {
            let runtime = Runtime::new().unwrap();
            let question = runtime.block_on(async {
                drop(spawn(look_up("slow.test:80")));
                server.question().await
            });
            let answered = Arc::new(AtomicBool::new(false));
            let theirs = answered.clone();
            thread::spawn(move || {
                // Gives a shutdown that does not wait a chance to end early.
                for _ in 0..1000 {
                    thread::yield_now();
                }
                theirs.store(true, Ordering::SeqCst);
                question.answer(&[ip(1)]);
            });
            runtime.shutdown_timeout(Duration::MAX);
            assert!(answered.load(Ordering::SeqCst));
        });
    }

    #[test]
    fn a_shutdown_does_not_wait_for_abandoned_lookups() {
        with_server(|mut server| {
            let runtime = Runtime::new().unwrap();
            let _unanswered = runtime.block_on(given_up(&mut server, 3));
            runtime.shutdown_timeout(Duration::MAX);
            assert_eq!(pool_threads(), 3);
        });
    }

    #[test]
    fn an_address_found_after_the_end_of_the_runtime_is_not_connected_to() {
        with_server(|mut server| {
            let listener = net::TcpListener::bind((ip(1), 0)).unwrap();
            let port = listener.local_addr().unwrap().port();
            type Trying = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;
            let tries: [Trying; 2] = [
                Box::pin(async move { TcpStream::connect(("late.test", port)).await.map(drop) }),
                Box::pin(async { TcpListener::bind("late.test:0").await.map(drop) }),
            ];
            for mut trying in tries {
                let runtime = Runtime::new().unwrap();
                let question = runtime.block_on(async {
                    assert!(poll_with(&mut trying, Waker::noop()).is_pending());
                    server.question().await
                });
                let waits = thread::spawn(|| park_on(trying));
                drop(runtime);
                question.answer(&[ip(1)]);
                let error = waits.join().unwrap().unwrap_err();
                assert!(error.to_string().contains("has ended"), "{error}");
            }
        });
    }

    #[test]
    fn a_lookup_holds_the_virtual_clock_until_its_answer() {
        with_server(|mut server| {
            let runtime = Runtime::builder().virtual_clock().build().unwrap();
            runtime.block_on(async {
                let (start, hour) = (now(), Duration::from_secs(60 * 60));
                // While a task waits for it.
                let look_up_within = spawn(timeout(hour, look_up("slow.test:80")));
                let question = server.question_about("slow.test").await;
                let answer = thread::spawn(move || question.answer(&[ip(1)]));
                look_up_within.await.unwrap().unwrap().unwrap();
                answer.join().unwrap();
                assert_eq!(now(), start);
            });
        });
    }

    #[test]
    fn an_abandoned_lookup_does_not_hold_the_virtual_clock() {
        with_server(|mut server| {
            let runtime = Runtime::builder().virtual_clock().build().unwrap();
            runtime.block_on(async {
                let (start, hour) = (now(), Duration::from_secs(60 * 60));
                let given_up = spawn(look_up("slow.test:80"));
                let _unanswered = server.question_about("slow.test").await;
                given_up.abort();
                sleep(hour).await;
                assert_eq!(now() - start, hour);
            });
        });
    }

    #[test]
    fn abandoning_a_lookup_on_another_thread_releases_the_virtual_clock() {
        with_server(|mut server| {
            let runtime = Runtime::builder().virtual_clock().build().unwrap();
            runtime.block_on(async {
                let (start, hour) = (now(), Duration::from_secs(60 * 60));
                let mut look_up = Box::pin(look_up("slow.test:80"));
                assert!(poll_with(&mut look_up, Waker::noop()).is_pending());
                let _unanswered = server.question_about("slow.test").await;
                let elsewhere = thread::spawn(move || drop(look_up));
                sleep(hour).await;
                assert_eq!(now() - start, hour);
                elsewhere.join().unwrap();
            });
        });
    }

    #[test]
    fn a_connect_deadline_covers_the_lookup() {
        with_server(|_server| {
            glassfrog::block_on(async {
                // No answer ever arrives.
                let little = Duration::from_millis(10);
                let connect = TcpStream::connect("slow.test:80");
                assert!(timeout(little, connect).await.is_err());
                let bind = TcpListener::bind("slow.test:80");
                assert!(timeout(little, bind).await.is_err());
                assert!(timeout(little, look_up("slow.test:80")).await.is_err());
            });
        });
    }

    /// Runs a closure while every query gets the same reply, however often it is repeated.
    async fn replying<T>(
        server: &mut Server,
        reply: fn(Question),
        work: impl Future<Output = T>,
    ) -> T {
        let replies = async {
            loop {
                reply(server.question().await);
            }
        };
        match select(pin!(work), pin!(replies)).await {
            Either::Left((output, _)) => output,
            Either::Right((never, _)) => never,
        }
    }

    #[test]
    fn a_resolver_error_is_returned_with_the_name() {
        with_server(|mut server| {
            glassfrog::block_on(async {
                let replies: [fn(Question); 3] = [Question::deny, Question::fail, |question| {
                    question.answer(&[])
                }];
                let mut reasons = BTreeSet::new();
                for reply in replies {
                    let host = "nosuch.invalid:80";
                    let errors = async {
                        let reason = spawn_blocking(move || look_up_blocking(host)).await;
                        let reason = reason.unwrap().unwrap_err();
                        let errors = [
                            TcpStream::connect(host).await.unwrap_err(),
                            TcpListener::bind(host).await.unwrap_err(),
                            look_up(host).await.unwrap_err(),
                        ];
                        (reason, errors)
                    };
                    let (reason, errors) = replying(&mut server, reply, errors).await;
                    for error in errors {
                        let text = format!("resolve nosuch.invalid: {reason}");
                        assert_eq!(error.to_string(), text);
                        assert_eq!(error.kind(), reason.kind());
                        let source: &io::Error = error.source().unwrap().downcast_ref().unwrap();
                        assert_eq!(source.to_string(), reason.to_string());
                    }
                    reasons.insert(reason.to_string());
                }
                assert_eq!(reasons.len(), 3, "these are not all: {reasons:?}");
            });
        });
    }

    #[test]
    fn an_invalid_name_sends_no_query() {
        with_server(|mut server| {
            glassfrog::block_on(async {
                for_all_malformed(|_, _| ());
                for host in impossible() {
                    look_up((host, 80)).await.unwrap_err();
                }
                look_up("localhost:80").await.unwrap();
                // Queries arrive in order.
                let name = spawn(look_up("name.test:80"));
                server.question_about("name.test").await.answer(&[ip(1)]);
                name.await.unwrap().unwrap();
            });
        });
    }

    #[test]
    fn addresses_keep_the_order_of_the_operating_system() {
        with_server(|mut server| {
            glassfrog::block_on(async {
                let v6 = IpAddr::from(Ipv6Addr::LOCALHOST);
                let far = IpAddr::from(Ipv4Addr::new(192, 0, 2, 1));
                for ips in [
                    [ip(3), v6, ip(2), far, ip(1)],
                    [far, ip(2), ip(1), v6, ip(3)],
                    [v6, far, ip(1), ip(3), ip(2)],
                ] {
                    let expected = spawn_blocking(|| look_up_blocking("many.test:7"));
                    server.question().await.answer(&ips);
                    let expected = expected.await.unwrap().unwrap();
                    assert_eq!(expected.len(), ips.len());
                    let found = spawn(look_up("many.test:7"));
                    server.question().await.answer(&ips);
                    assert_eq!(found.await.unwrap().unwrap(), expected);
                }
            });
        });
    }

    /// Returns the addresses in the order of the operating system.
    async fn in_order(server: &mut Server, ips: &[IpAddr]) -> Vec<IpAddr> {
        let found = spawn_blocking(|| look_up_blocking("order.test:7"));
        server.question_about("order.test").await.answer(ips);
        let found = found.await.unwrap().unwrap();
        found.iter().map(SocketAddr::ip).collect()
    }

    #[test]
    fn connecting_to_a_name_races_its_addresses() {
        with_server(|mut server| {
            let runtime = Runtime::builder().virtual_clock().build().unwrap();
            runtime.block_on(async {
                let v6 = IpAddr::from(Ipv6Addr::LOCALHOST);
                let has_v6 = net::TcpListener::bind((v6, 0)).is_ok();
                for ips in [
                    [ip(2), ip(3)],
                    if has_v6 { [ip(2), v6] } else { [ip(4), ip(5)] },
                ] {
                    let [first, second] = in_order(&mut server, &ips).await[..] else {
                        panic!("these are not two");
                    };
                    let hole = BlackHole::at(first);
                    let answering = SocketAddr::from((second, hole.addr.port()));
                    let _listener = net::TcpListener::bind(answering).unwrap();
                    let start = now();
                    let connect = spawn(TcpStream::connect(("both.test", answering.port())));
                    server.question_about("both.test").await.answer(&ips);
                    let stream = connect.await.unwrap().unwrap();
                    assert_eq!(stream.peer_addr().unwrap(), answering);
                    assert_eq!(now() - start, DELAY);
                }
                // No other process uses this network.
                let connect = spawn(TcpStream::connect("both.test:9"));
                server
                    .question_about("both.test")
                    .await
                    .answer(&[ip(2), ip(3)]);
                let error = connect.await.unwrap().unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
                let text = error.to_string();
                for addr in ["127.0.0.2:9", "127.0.0.3:9"] {
                    assert!(text.contains(&format!("connect to {addr}: ")), "{text}");
                }
            });
        });
    }

    #[test]
    fn binding_to_a_name_uses_its_first_free_address() {
        with_server(|mut server| {
            glassfrog::block_on(async {
                let ips = in_order(&mut server, &[ip(2), ip(3), ip(4)]).await;
                let mut taken = Vec::new();
                for ip in &ips {
                    let port = taken.first().map_or(0, |it: &SocketAddr| it.port());
                    let bind = spawn(TcpListener::bind(("three.test", port)));
                    server.question_about("three.test").await.answer(&ips);
                    let listener = bind.await.unwrap().unwrap();
                    let addr = listener.local_addr().unwrap();
                    assert_eq!(addr.ip(), *ip);
                    taken.push(addr);
                    spawn(async move { listener.accept().await.map(drop) });
                }
                let last = taken.last().unwrap();
                let bind = spawn(TcpListener::bind(("three.test", last.port())));
                server.question_about("three.test").await.answer(&ips);
                let error = bind.await.unwrap().unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
                assert!(error.to_string().starts_with(&format!("bind to {last}: ")));
            });
        });
    }
}
