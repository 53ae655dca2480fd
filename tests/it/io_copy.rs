//! `io::copy_bidirectional`: ends, counts, errors, the idle timeout, and fairness.

use crate::support::{block_on, watchdog};
use futures::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use glassfrog::Builder;
use glassfrog::io::copy_bidirectional;
use glassfrog::net::{TcpListener, TcpStream};
use glassfrog::task::{JoinHandle, yield_now};
use glassfrog::time::{now, sleep, timeout};
use std::cell::RefCell;
use std::future::{pending, poll_fn};
use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

/// An idle timeout.
const IDLE: Duration = Duration::from_secs(60);

/// A connection, both ends of which are here.
async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).await;
    (stream.unwrap(), listener.accept().await.unwrap().0)
}

/// A client and a server, and a task that copies between them.
async fn proxied() -> (TcpStream, TcpStream, JoinHandle<io::Result<(u64, u64)>>) {
    let ((client, a), (b, server)) = (pair().await, pair().await);
    (client, server, glassfrog::spawn(copy_bidirectional(a, b)))
}

/// Reads to the end.
async fn read_all(mut stream: impl AsyncRead + Unpin) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    bytes
}

/// Bytes that differ from their neighbours, with a period that divides no size of a buffer.
fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|at| (at % 251) as u8).collect()
}

/// What a scripted stream does next when it is read from.
#[derive(Clone, Copy)]
enum Read {
    /// Returns this many bytes.
    Bytes(usize),
    /// Returns an error.
    Fail,
}

/// A stream without a socket, which is always ready to accept bytes.
#[derive(Default)]
struct Scripted {
    /// What the reads return, the last one first. Then they wait for ever.
    reads: Vec<Read>,
    /// Whether the reads then return bytes for ever.
    is_endless: bool,
    /// How many bytes a write accepts, if that is limited.
    accepts: Option<usize>,
    /// What was done with the writer.
    log: Rc<RefCell<Vec<String>>>,
}

impl AsyncRead for Scripted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match self.reads.pop() {
            Some(Read::Bytes(count)) => {
                buf[..count].fill(b'.');
                Poll::Ready(Ok(count))
            }
            Some(Read::Fail) => Poll::Ready(Err(ErrorKind::ConnectionReset.into())),
            None if self.is_endless => Poll::Ready(Ok(1)),
            None => Poll::Pending,
        }
    }
}

impl AsyncWrite for Scripted {
    fn poll_write(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let count = self.accepts.unwrap_or(usize::MAX).min(buf.len());
        self.log.borrow_mut().push(format!("write {count}"));
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.log.borrow_mut().push(String::from("flush"));
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.log.borrow_mut().push(String::from("close"));
        Poll::Ready(Ok(()))
    }
}

#[test]
fn what_goes_in_on_one_side_comes_out_on_the_other_and_is_counted() {
    block_on(async {
        for (sent, answered) in [(0, 0), (1, 0), (0, 1), (70_000, 3), (3_000_000, 5_000_000)] {
            let (client, server, copy) = proxied().await;
            let send = async |mut stream: &TcpStream, count| {
                stream.write_all(&bytes(count)).await.unwrap();
                stream.close().await.unwrap();
            };
            let ((), (), there, back) = futures::join!(
                send(&client, sent),
                send(&server, answered),
                read_all(&server),
                read_all(&client),
            );
            assert!(there == bytes(sent) && back == bytes(answered));
            let counts = copy.await.unwrap().unwrap();
            assert_eq!(counts, (sent as u64, answered as u64));
        }
    });
}

#[test]
fn the_end_of_either_direction_leaves_the_other_open() {
    block_on(async {
        for client_ends_first in [true, false] {
            let (client, server, copy) = proxied().await;
            let (first, second) = match client_ends_first {
                true => (&client, &server),
                false => (&server, &client),
            };
            first.write(b"a").await.unwrap();
            first.shutdown(Shutdown::Write).unwrap();
            assert_eq!(read_all(second).await, b"a");
            for _ in 0..3 {
                second.write(b"b").await.unwrap();
                assert_eq!(first.read(&mut [0; 16]).await.unwrap(), 1);
            }
            assert!(!copy.is_finished());
            second.shutdown(Shutdown::Write).unwrap();
            assert!(read_all(first).await.is_empty());
            let counts = copy.await.unwrap().unwrap();
            assert_eq!(counts, if client_ends_first { (1, 3) } else { (3, 1) });
        }
    });
}

#[test]
fn a_writer_is_flushed_before_a_wait_and_before_its_close() {
    block_on(async {
        let (reads, log) = (vec![Read::Bytes(3), Read::Bytes(5)], Rc::default());
        let a = Scripted {
            reads,
            ..Scripted::default()
        };
        let b = Scripted {
            log: Rc::clone(&log),
            ..Scripted::default()
        };
        let mut copy = copy_bidirectional(a, b);
        for _ in 0..2 {
            assert!(futures::poll!(&mut copy).is_pending());
            assert_eq!(log.borrow()[..], ["write 5", "write 3", "flush"]);
        }
        log.take();
        let a = Scripted {
            reads: vec![Read::Bytes(0), Read::Bytes(3)],
            ..Scripted::default()
        };
        let b = Scripted {
            log: Rc::clone(&log),
            ..Scripted::default()
        };
        assert!(futures::poll!(copy_bidirectional(a, b)).is_pending());
        assert_eq!(log.borrow()[..], ["write 3", "flush", "close"]);
    });
}

#[test]
fn an_error_comes_out_at_once_and_the_counts_can_still_be_asked_for() {
    block_on(async {
        let a = Scripted {
            reads: vec![Read::Fail, Read::Bytes(7)],
            ..Scripted::default()
        };
        let b = Scripted {
            reads: vec![Read::Bytes(9)],
            ..Scripted::default()
        };
        let mut copy = copy_bidirectional(a, b);
        let error = (&mut copy).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert_eq!(copy.copied(), (7, 9));
    });
}

#[test]
fn a_writer_that_accepts_nothing_is_an_error() {
    block_on(async {
        let a = Scripted {
            reads: vec![Read::Bytes(7)],
            ..Scripted::default()
        };
        let b = Scripted {
            accepts: Some(0),
            ..Scripted::default()
        };
        let error = copy_bidirectional(a, b).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WriteZero);
    });
}

#[test]
fn a_copy_that_is_polled_by_reference_can_be_left_and_resumed() {
    block_on(async {
        let ((client, a), (b, server)) = (pair().await, pair().await);
        let mut copy = copy_bidirectional(&a, &b);
        for round in 1..=3 {
            client.write(b"hello").await.unwrap();
            let mut buf = [0; 16];
            let read = async { server.read(&mut buf).await.unwrap() };
            futures::select_biased! {
                count = Box::pin(futures::FutureExt::fuse(read)) => assert_eq!(count, 5),
                _ = futures::FutureExt::fuse(&mut copy) => panic!("nothing has ended"),
            }
            assert_eq!(copy.copied(), (5 * round, 0));
        }
    });
}

/// Runs a future under a virtual clock.
fn under_a_virtual_clock<T>(future: impl Future<Output = T>) -> T {
    let _watchdog = watchdog();
    let runtime = Builder::new().virtual_clock().build().unwrap();
    runtime.block_on(future)
}

#[test]
fn the_idle_timeout_begins_again_with_each_byte_in_either_direction() {
    under_a_virtual_clock(async {
        let ((client, a), (b, server)) = (pair().await, pair().await);
        let begun = now();
        let copy = copy_bidirectional(a, b).idle_timeout(IDLE);
        let copy = glassfrog::spawn(copy);
        for (from, to) in [(&client, &server), (&server, &client), (&client, &server)] {
            sleep(IDLE - Duration::from_secs(1)).await;
            from.write(b"a").await.unwrap();
            assert_eq!(to.read(&mut [0; 16]).await.unwrap(), 1);
        }
        let error = copy.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert_eq!(now() - begun, 3 * (IDLE - Duration::from_secs(1)) + IDLE);
        // The streams are closed.
        assert!(read_all(&client).await.is_empty());
    });
}

#[test]
fn the_idle_timeout_also_ends_a_copy_of_which_one_direction_is_left() {
    under_a_virtual_clock(async {
        let ((client, a), (b, _server)) = (pair().await, pair().await);
        let copy = copy_bidirectional(a, b).idle_timeout(IDLE);
        client.shutdown(Shutdown::Write).unwrap();
        let begun = now();
        assert_eq!(copy.await.unwrap_err().kind(), ErrorKind::TimedOut);
        assert_eq!(now() - begun, IDLE);
    });
}

#[test]
fn the_idle_timeout_also_ends_a_copy_to_a_peer_that_reads_nothing() {
    under_a_virtual_clock(async {
        let ((client, a), (b, _server)) = (pair().await, pair().await);
        let flood = glassfrog::spawn(async move {
            let chunk = bytes(1 << 20);
            while (&client).write_all(&chunk).await.is_ok() {}
        });
        let mut copy = copy_bidirectional(a, b).idle_timeout(IDLE);
        let error = (&mut copy).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(copy.copied().0 > 0);
        drop(copy);
        flood.await.unwrap();
    });
}

#[test]
fn a_copy_that_has_timed_out_and_is_polled_again_has_its_time_once_more() {
    under_a_virtual_clock(async {
        let ((client, a), (b, server)) = (pair().await, pair().await);
        let mut copy = copy_bidirectional(a, b).idle_timeout(IDLE);
        for _ in 0..3 {
            let begun = now();
            assert_eq!((&mut copy).await.unwrap_err().kind(), ErrorKind::TimedOut);
            assert_eq!(now() - begun, IDLE);
        }
        drop((client, server));
        assert_eq!(copy.await.unwrap(), (0, 0));
    });
}

#[test]
fn an_endless_idle_timeout_never_ends() {
    under_a_virtual_clock(async {
        let ((_client, a), (b, _server)) = (pair().await, pair().await);
        let copy = copy_bidirectional(a, b).idle_timeout(Duration::MAX);
        assert!(timeout(1000 * IDLE, copy).await.is_err());
    });
}

#[test]
fn an_idle_timeout_whose_runtime_has_ended_is_an_error() {
    let _watchdog = watchdog();
    let (a, b) = (Scripted::default(), Scripted::default());
    let mut copies = glassfrog::block_on(async { [copy_bidirectional(a, b).idle_timeout(IDLE)] });
    let error = block_on(async { (&mut copies[0]).await.unwrap_err() });
    assert!(error.to_string().contains("has ended"), "{error}");
}

#[test]
fn streams_that_are_always_ready_do_not_hold_up_another_task() {
    block_on(async {
        let endless = || Scripted {
            is_endless: true,
            ..Scripted::default()
        };
        // Only to be dropped with the runtime: it never ends.
        drop(glassfrog::spawn(copy_bidirectional(endless(), endless())));
        for _ in 0..100 {
            yield_now().await;
        }
    });
}

#[test]
fn a_flooded_socket_does_not_hold_up_another_task() {
    block_on(async {
        let (client, server, _copy) = proxied().await;
        for (from, to) in [(client.into_split()), (server.into_split())] {
            drop(glassfrog::spawn(async move {
                let (mut from, mut to) = (from, to);
                let chunk = bytes(1 << 20);
                let flood = async { while to.write_all(&chunk).await.is_ok() {} };
                let drain = async {
                    let mut buf = bytes(1 << 16);
                    while from.read(&mut buf).await.is_ok_and(|count| count > 0) {}
                };
                futures::join!(flood, drain);
                pending::<()>().await;
            }));
        }
        for _ in 0..1000 {
            yield_now().await;
        }
    });
}

#[test]
fn a_direction_that_is_always_ready_does_not_starve_the_other() {
    block_on(async {
        let endless = Scripted {
            is_endless: true,
            ..Scripted::default()
        };
        let finite = Scripted {
            reads: vec![Read::Bytes(1); 1000],
            ..Scripted::default()
        };
        let mut copy = copy_bidirectional(endless, finite);
        let copied = poll_fn(|cx| {
            assert!(Pin::new(&mut copy).poll(cx).is_pending());
            match copy.copied() {
                (there, 1000) => Poll::Ready(there),
                _ => Poll::Pending,
            }
        });
        let there = copied.await;
        // They take turns, until the budget of a poll ends.
        assert!((900..1200).contains(&there), "{there}");
    });
}
