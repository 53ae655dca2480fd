//! The lifetime of file descriptors: who keeps them open, which events still wake a task, and what happens when none
//! are left. Linux only, because the tests read `/proc`.

use crate::support::{
    Files, block_on, child, child_with, open_files, pairs, reset, settle, status, watchdog,
};
use futures::channel::oneshot;
use futures::{FutureExt, StreamExt};
use glassfrog::Runtime;
use glassfrog::net::{TcpListener, TcpStream};
use log::{LevelFilter, Log, Metadata, Record};
use socket2::{Domain, SockRef, Socket, Type};
use std::cell::Cell;
use std::error::Error;
use std::fs::{self, File};
use std::future::poll_fn;
use std::io::{self, Read, Write};
use std::net::{self, Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::pin::pin;
use std::sync::{Arc, Barrier, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

/// Returns a listener with a full backlog; the kernel answers no further connection.
fn full_listener() -> (Socket, Vec<Socket>, SocketAddr) {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    listener.bind(&anywhere.into()).unwrap();
    listener.listen(0).unwrap();
    let addr = listener.local_addr().unwrap().as_socket().unwrap();
    let mut waiting = Vec::new();
    loop {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        let _in_progress = socket.connect(&addr.into());
        let answered = (0..100).any(|_| socket.peer_addr().is_ok());
        waiting.push(socket);
        if !answered {
            return (listener, waiting, addr);
        }
    }
}

#[test]
fn a_connect_that_is_dropped_midway_closes_its_socket() {
    child(|| {
        block_on(async {
            let (_listener, _waiting, addr) = full_listener();
            let before = open_files();
            for _ in 0..10 {
                let mut connect = pin!(TcpStream::connect(addr));
                assert!((&mut connect).now_or_never().is_none());
                assert_eq!(open_files(), before + 1);
            }
            assert_eq!(open_files(), before);
        });
    })
    .finish();
}

#[test]
fn a_dropped_runtime_keeps_no_descriptor_open_for_outliving_objects() {
    child(|| {
        let before = open_files();
        let pairs = block_on(pairs());
        assert_eq!(open_files(), before + 6);
        drop(pairs);
        assert_eq!(open_files(), before);
    })
    .finish();
}

/// Returns a second descriptor of the same connection.
fn duplicate(stream: &impl AsFd) -> net::TcpStream {
    stream.as_fd().try_clone_to_owned().unwrap().into()
}

/// Asserts that the loop of this thread stays asleep while single bytes travel over a connection that it no longer
/// owns.
async fn assert_undisturbed_by(mut from: net::TcpStream, mut to: net::TcpStream) {
    /// How many bytes are sent. Each of them would wake the loop.
    const BYTES: usize = 1000;
    // Returns how many times this thread has gone to sleep.
    let sleeps = || status("thread-self", "voluntary_ctxt_switches");
    to.set_nonblocking(false).unwrap();
    let (done, is_done) = oneshot::channel();
    let before = sleeps();
    thread::spawn(move || {
        for _ in 0..BYTES {
            from.write_all(b"x").unwrap();
            to.read_exact(&mut [0]).unwrap();
        }
        done.send(()).unwrap();
    });
    is_done.await.unwrap();
    // One wake would be correct. But a thread may sleep for other reasons, and several bytes that arrive during a
    // wake cause only one.
    assert!(sleeps() - before < BYTES / 20);
}

#[test]
fn a_duplicate_of_a_dropped_socket_wakes_nobody() {
    block_on(async {
        for (stream, peer) in pairs().await {
            let other = duplicate(&stream);
            drop(stream);
            assert_undisturbed_by(peer, other).await;
        }
        for (stream, peer) in pairs().await {
            let (reader, writer) = stream.into_split();
            let other = duplicate(&reader);
            writer.forget();
            drop(reader);
            assert_undisturbed_by(peer, other).await;
        }
    });
}

#[test]
fn a_socket_that_was_converted_back_wakes_nobody() {
    block_on(async {
        for (stream, peer) in pairs().await {
            let stream = net::TcpStream::try_from(stream).unwrap();
            assert_undisturbed_by(peer, stream).await;
        }
    });
}

/// Returns the processor time of this thread.
fn processor_time() -> Duration {
    let schedstat = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let nanos = schedstat.split(' ').next().unwrap();
    Duration::from_nanos(nanos.parse().unwrap())
}

#[test]
fn idle_sockets_without_waiters_cost_nothing() {
    block_on(async {
        let mut waiting = Vec::new();
        let mut idle = Vec::new();
        let mut peers = Vec::new();
        let mut leave = |stream, peer| {
            idle.push(stream);
            peers.push(peer);
        };
        for (stream, mut peer) in pairs().await {
            peer.write_all(b"unread").unwrap();
            leave(stream, Some(peer));
        }
        for (stream, peer) in pairs().await {
            SockRef::from(&peer).send_out_of_band(b"!").unwrap();
            leave(stream, Some(peer));
        }
        for (stream, _ended) in pairs().await {
            leave(stream, None);
        }
        for (stream, peer) in pairs().await {
            reset(peer);
            leave(stream, None);
        }
        for (stream, peer) in pairs().await {
            let (reader, writer) = stream.into_split();
            glassfrog::spawn(async move { reader.as_ref().read(&mut [0; 8]).await });
            waiting.push((writer, peer));
        }
        settle().await;

        let before = processor_time();
        let waited = Duration::from_millis(200);
        glassfrog::time::sleep(waited).await;
        // The actual share is less than a thousandth.
        assert!(processor_time() - before < waited / 4);
    });
}

/// Returns a listener and its address.
async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

/// Records log lines.
struct Kept(Mutex<Vec<String>>);

static LOG: Kept = Kept(Mutex::new(Vec::new()));

impl Log for Kept {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        self.0.lock().unwrap().push(record.args().to_string());
    }

    fn flush(&self) {}
}

impl Kept {
    /// Returns the lines logged since the last call.
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// Opens files until the limit is reached.
fn take_all_descriptors() -> Vec<File> {
    let mut files = Vec::new();
    loop {
        match File::open("/dev/null") {
            Ok(file) => files.push(file),
            Err(_full) => return files,
        }
    }
}

/// Accepts three connections that first lack descriptors, and checks that they arrive in order.
async fn starve<F>(addr: SocketAddr, accept: impl FnOnce() -> F)
where
    F: Future<Output = Vec<TcpStream>>,
{
    /// The number of attempts to wait for.
    const ATTEMPTS: u32 = 5;
    /// The shortest pause that does not count as spinning.
    const PAUSE: Duration = Duration::from_millis(10);

    let mut peers = [(); 3].map(|()| net::TcpStream::connect(addr).unwrap());
    let mut files = take_all_descriptors();
    let began = Instant::now();
    let polls = Cell::new(0);
    let mut accept = pin!(accept());
    let accepted = poll_fn(|cx| {
        polls.set(polls.get() + 1);
        if polls.get() == ATTEMPTS {
            // The listener has not spun, and has logged once.
            assert!(began.elapsed() >= PAUSE * (ATTEMPTS - 1));
            let [line] = <[_; 1]>::try_from(LOG.take()).unwrap();
            assert!(line.contains("cannot accept"), "{line}");
            files.clear();
        }
        let polled = accept.as_mut().poll(cx);
        assert_eq!(polled.is_ready(), polls.get() >= ATTEMPTS);
        polled
    })
    .await;
    assert_eq!(LOG.take(), [""; 0]);
    assert_eq!(accepted.len(), peers.len());
    for (stream, peer) in accepted.iter().zip(&mut peers) {
        peer.write_all(b"hello").unwrap();
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 5);
    }
}

#[test]
fn a_listener_out_of_descriptors_warns_once_and_recovers() {
    child_with(Files::AtMost(64), || {
        log::set_logger(&LOG).unwrap();
        log::set_max_level(LevelFilter::Info);
        let _watchdog = watchdog();
        // Disables the slow-poll warning, which a slow machine could trigger.
        let builder = Runtime::builder().watchdog(Duration::MAX);
        builder.build().unwrap().block_on(async {
            let (listener, addr) = listener().await;
            // The shortage can recur, and is then logged again.
            for _ in 0..2 {
                starve(addr, async || {
                    let mut accepted = Vec::new();
                    for _ in 0..3 {
                        accepted.push(listener.accept().await.unwrap().0);
                    }
                    accepted
                })
                .await;
                let incoming = listener.incoming().take(3).map(Result::unwrap);
                starve(addr, || incoming.collect()).await;
            }
            // A task that cancels its accept during the pause takes no connection with it.
            let peer = net::TcpStream::connect(addr).unwrap();
            let files = take_all_descriptors();
            assert!(listener.accept().now_or_never().is_none());
            drop(files);
            let (_, peer_addr) = listener.accept().await.unwrap();
            assert_eq!(peer_addr, peer.local_addr().unwrap());
        });
    })
    .finish();
}

/// The error code of a process without free descriptors (`errno(3)`).
const EMFILE: i32 = 24;

#[test]
fn connect_and_bind_fail_without_descriptors() {
    child_with(Files::AtMost(64), || {
        block_on(async {
            let (listener, addr) = listener().await;
            let files = take_all_descriptors();
            for error in [
                TcpStream::connect(addr).await.unwrap_err(),
                TcpListener::bind(addr).await.unwrap_err(),
            ] {
                assert!(error.to_string().contains(&addr.to_string()), "{error}");
                let reason = error.source().unwrap().downcast_ref::<io::Error>();
                assert_eq!(reason.unwrap().raw_os_error(), Some(EMFILE));
            }
            drop(files);
            TcpStream::connect(addr).await.unwrap();
            listener.accept().await.unwrap();
        });
    })
    .finish();
}

#[test]
fn an_accept_waiting_for_descriptors_fails_when_its_runtime_ends() {
    /// Enough tasks that some are in the middle of a poll when the runtime ends.
    const THREADS: usize = 4;
    child_with(Files::AtMost(64), || {
        let _watchdog = watchdog();
        for _ in 0..50 {
            let runtime = Runtime::new().unwrap();
            let (listener, addr) = runtime.block_on(listener());
            let listener = Arc::new(listener);
            let _peer = net::TcpStream::connect(addr).unwrap();
            let _files = take_all_descriptors();
            // The event of the connection arrives here.
            runtime.block_on(settle());
            let all_wait = Arc::new(Barrier::new(THREADS + 1));
            let threads = [(); THREADS].map(|()| {
                let (listener, all_wait) = (Arc::clone(&listener), Arc::clone(&all_wait));
                thread::spawn(move || {
                    let mut accept = pin!(listener.accept());
                    let mut cx = Context::from_waker(Waker::noop());
                    assert!(accept.as_mut().poll(&mut cx).is_pending());
                    all_wait.wait();
                    loop {
                        if let Poll::Ready(accepted) = accept.as_mut().poll(&mut cx) {
                            return accepted.unwrap_err().to_string();
                        }
                    }
                })
            });
            all_wait.wait();
            drop(runtime);
            for thread in threads {
                let text = thread.join().unwrap();
                assert!(text.contains("runtime") && text.contains("ended"), "{text}");
            }
        }
    })
    .finish();
}
