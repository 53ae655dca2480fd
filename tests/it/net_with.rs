//! The `*_with` methods: system calls of the caller's own, with the readiness of the reactor.
//!
//! What also holds on a simulated network is in `net_laws`.

use crate::support::{block_on, few_or_many, pairs, settle, watchdog};
use futures::FutureExt;
use glassfrog::Runtime;
use glassfrog::net::{TcpListener, TcpStream};
use glassfrog::time::timeout;
use socket2::SockRef;
use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind, Read, Write};
use std::net;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Receives by a system call that the runtime knows nothing of.
fn recv(stream: &TcpStream, buf: &mut Vec<u8>) -> io::Result<usize> {
    buf.clear();
    buf.reserve(16);
    SockRef::from(stream).recv(buf.spare_capacity_mut())
}

/// Sends by a system call that the runtime knows nothing of.
fn send(stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    SockRef::from(stream).send(bytes)
}

#[test]
fn what_the_operation_returns_comes_out() {
    block_on(async {
        for (stream, mut peer) in pairs().await {
            let mut buf = Vec::new();
            peer.write_all(b"hello").unwrap();
            assert_eq!(stream.read_with(|s| recv(s, &mut buf)).await.unwrap(), 5);
            assert_eq!(stream.write_with(|s| send(s, b"hi")).await.unwrap(), 2);
            peer.read_exact(&mut [0; 2]).unwrap();
            // No longer ready, so the operation is not called.
            let calls = Cell::new(0);
            while let Ok(_read) = stream.try_read_with(|s| {
                calls.set(calls.get() + 1);
                recv(s, &mut buf)
            }) {}
            assert!(calls.take() <= 1);
            let again = stream.try_read_with(|_| {
                calls.set(1);
                Ok(())
            });
            assert_eq!(again.unwrap_err().kind(), ErrorKind::WouldBlock);
            assert_eq!(calls.get(), 0);
            assert_eq!(stream.try_write_with(|s| send(s, b"!")).unwrap(), 1);
            // Errors come out, too.
            let failed = stream.write_with(|_| io::Result::<()>::Err(ErrorKind::Other.into()));
            assert_eq!(failed.await.unwrap_err().kind(), ErrorKind::Other);
        }
    });
}

#[test]
fn an_idle_socket_has_no_futile_calls() {
    let while_idle = Duration::from_millis(few_or_many(100, 1000) as u64);
    block_on(async {
        for (stream, mut peer) in pairs().await {
            peer.write_all(b"hello").unwrap();
            let calls = Cell::new(0);
            let mut buf = Vec::new();
            let looping = async {
                loop {
                    let count = stream.read_with(|stream| {
                        calls.set(calls.get() + 1);
                        recv(stream, &mut buf)
                    });
                    assert_eq!(count.await.unwrap(), 5);
                }
            };
            assert!(timeout(while_idle, looping).await.is_err());
            // One has read, the next has found nothing, and one more is the price of events of the other
            // direction.
            assert!((2..=3).contains(&calls.get()), "{}", calls.get());
        }
    });
}

#[test]
fn a_listener_accepts_by_the_callers_own_call() {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let calls = RefCell::new(0);
        let accept = |listener: &TcpListener| {
            *calls.borrow_mut() += 1;
            SockRef::from(listener).accept()
        };
        let accepting = async {
            for _ in 0..2 {
                listener.read_with(accept).await.unwrap();
            }
        };
        let connecting = async {
            settle().await;
            assert_eq!(*calls.borrow(), 0, "there is nothing to accept yet");
            drop([(); 2].map(|()| net::TcpStream::connect(addr).unwrap()));
        };
        futures::join!(accepting, connecting);
        let nothing = listener.try_read_with(accept);
        assert_eq!(nothing.unwrap_err().kind(), ErrorKind::WouldBlock);
    });
}

#[test]
fn after_the_end_of_the_runtime_no_operation_is_called() {
    let _watchdog = watchdog();
    let runtime = Runtime::new().unwrap();
    let pairs = runtime.block_on(pairs());
    drop(runtime);
    let mut cx = Context::from_waker(Waker::noop());
    for (stream, _peer) in pairs {
        let never = |_: &TcpStream| -> io::Result<()> { panic!("the operation is called") };
        let Poll::Ready(polled) = stream.poll_write_with(&mut cx, never) else {
            panic!("it waits for a runtime that has ended");
        };
        for result in [
            stream.try_read_with(never),
            stream.read_with(never).now_or_never().unwrap(),
            polled,
        ] {
            let text = result.unwrap_err().to_string();
            assert!(text.contains("runtime") && text.contains("ended"), "{text}");
        }
    }
}
