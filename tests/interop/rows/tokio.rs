//! `tokio` itself: what the guard makes work, and its limits, as the page `guide::tokio_crates` states them.

use glassfrog::Runtime;
use glassfrog::time::{now, sleep, timeout};
use glassfrog_interop::{assert_threads, tokio_runtime};
use std::panic::catch_unwind;
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

#[test]
fn sockets_sleeps_and_jobs_of_tokio_work_inside_the_guard() {
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let _guard = tokio.enter();
    glassfrog::block_on(async {
        let here = thread::current().id();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let accepted = glassfrog::spawn(async move {
            listener.accept().await.unwrap();
            thread::current().id()
        });
        tokio::net::TcpStream::connect(addr).await.unwrap();
        assert_eq!(accepted.await.unwrap(), here);
        tokio::time::sleep(Duration::from_millis(1)).await;
        let job = tokio::task::spawn_blocking(|| thread::current().id())
            .await
            .unwrap();
        assert_ne!(job, here);
        assert_threads(&["tokio-rt-worker"]);
    });
}

#[test]
fn what_tokio_spawn_starts_runs_on_the_thread_of_tokio() {
    let tokio = tokio_runtime();
    let _guard = tokio.enter();
    glassfrog::block_on(async {
        let spawned = tokio::spawn(async {
            let is_here = glassfrog::Handle::try_current().is_some();
            (thread::current().id(), is_here)
        });
        let (thread, is_on_glassfrog) = spawned.await.unwrap();
        assert_ne!(thread, thread::current().id());
        assert!(!is_on_glassfrog);
    });
}

#[test]
fn a_task_of_tokio_uses_a_socket_of_glassfrog() {
    let tokio = tokio_runtime();
    let _guard = tokio.enter();
    glassfrog::block_on(async {
        let listener = glassfrog::net::TcpListener::bind("127.0.0.1:0")
            .await
            .unwrap();
        let addr = listener.local_addr().unwrap();
        let client = glassfrog::net::TcpStream::connect(addr).await.unwrap();
        let reader = tokio::spawn(async move {
            let mut buf = [0; 5];
            let count = client.read(&mut buf).await.unwrap();
            buf[..count].to_vec()
        });
        let (server, _peer) = listener.accept().await.unwrap();
        server.write(b"croak").await.unwrap();
        assert_eq!(reader.await.unwrap(), b"croak");
    });
}

#[test]
fn the_virtual_clock_does_not_see_a_sleep_of_tokio() {
    let tokio = tokio_runtime();
    let _guard = tokio.enter();
    let runtime = Runtime::builder().virtual_clock().build().unwrap();
    runtime.block_on(async {
        let (virtual_start, start) = (now(), Instant::now());
        let slow = tokio::time::sleep(Duration::from_millis(50));
        // The clock jumps over an hour, while the sleep of tokio waits for real time.
        assert!(timeout(Duration::from_secs(3600), slow).await.is_err());
        assert!(now() - virtual_start >= Duration::from_secs(3600));
        // With no deadline of its own, the clock stands still, and the thread waits for tokio.
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(start.elapsed() >= Duration::from_millis(50));
    });
}

#[test]
fn a_dump_shows_something_outside() {
    let tokio = tokio_runtime();
    let _guard = tokio.enter();
    glassfrog::block_on(async {
        let sleeper = glassfrog::task::Builder::new()
            .name("sleeper")
            .spawn(tokio::time::sleep(Duration::from_secs(3600)));
        let socket = glassfrog::task::Builder::new()
            .name("acceptor")
            .spawn(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                listener.accept().await.unwrap();
            });
        sleep(Duration::from_millis(1)).await;
        let dump = glassfrog::task::dump().to_string();
        for name in ["sleeper", "acceptor"] {
            let line = dump.lines().find(|line| line.contains(name)).unwrap();
            assert!(line.contains("something outside glassfrog"), "{dump}");
        }
        sleeper.abort();
        socket.abort();
    });
}

#[test]
fn the_synchronization_of_tokio_needs_no_guard() {
    glassfrog::block_on(async {
        let (send, receive) = oneshot::channel();
        thread::spawn(|| send.send("hello"));
        assert_eq!(receive.await, Ok("hello"));
    });
}

#[test]
fn without_the_guard_a_sleep_of_tokio_panics() {
    let result = catch_unwind(|| {
        glassfrog::block_on(async { tokio::time::sleep(Duration::from_millis(1)).await });
    });
    let panic = result.unwrap_err();
    let text = panic.downcast_ref::<&str>().copied().map(String::from);
    let text = text
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap();
    assert!(text.contains("there is no reactor running"), "{text}");
}
