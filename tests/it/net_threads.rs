//! Sockets on other threads than their runtime's, and after its end.

use crate::support::{accepted, block_on, pairs, park_on, plain, watchdog};
use futures::channel::oneshot;
use futures::{AsyncRead, AsyncReadExt, AsyncWriteExt, StreamExt};
use glassfrog::Runtime;
use glassfrog::net::{TcpListener, TcpStream};
use std::future::poll_fn;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{self, Shutdown};
use std::pin::{Pin, pin};
use std::thread;

/// Returns bytes in which neighbours differ.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

/// Runs a closure on another thread, and the runtime of this one meanwhile.
async fn elsewhere<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, is_done) = oneshot::channel();
    thread::spawn(move || done.send(work()));
    is_done.await.expect("the other thread has panicked")
}

/// Runs a future, and sends a message when it first returns `Pending`.
async fn saying_so<F: Future>(waits: oneshot::Sender<()>, future: F) -> F::Output {
    let mut waits = Some(waits);
    let mut future = pin!(future);
    poll_fn(|cx| {
        let polled = future.as_mut().poll(cx);
        if polled.is_pending()
            && let Some(waits) = waits.take()
        {
            let _nobody_asks = waits.send(());
        }
        polled
    })
    .await
}

#[test]
fn a_stream_works_on_another_thread_under_another_executor() {
    block_on(async {
        for (mut stream, mut peer) in pairs().await {
            let echo = thread::spawn(move || io::copy(&mut peer.try_clone().unwrap(), &mut peer));
            let read = elsewhere(move || {
                park_on(async {
                    let mut read = vec![0; 1 << 18];
                    for chunk in read.chunks_mut(1 << 12) {
                        stream.write_all(&pattern(1 << 12)).await.unwrap();
                        stream.read_exact(chunk).await.unwrap();
                    }
                    read
                })
            })
            .await;
            assert!(read == pattern(1 << 12).repeat(1 << 6));
            echo.join().unwrap().unwrap();
        }
    });
}

#[test]
fn halves_work_on_two_threads() {
    block_on(async {
        for (stream, mut peer) in pairs().await {
            let echo = thread::spawn(move || io::copy(&mut peer.try_clone().unwrap(), &mut peer));
            let (mut reader, mut writer) = stream.into_split();
            let reading = elsewhere(move || {
                let mut read = Vec::new();
                park_on(reader.read_to_end(&mut read)).map(|_| read)
            });
            let writing =
                glassfrog::spawn(async move { writer.write_all(&pattern(1 << 20)).await });
            let read = reading.await.unwrap();
            writing.await.unwrap().unwrap();
            assert!(read == pattern(1 << 20));
            echo.join().unwrap().unwrap();
        }
    });
}

#[test]
fn a_listener_works_on_another_thread_under_another_executor() {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (waits, is_waiting) = oneshot::channel();
        let accepting = elsewhere(move || {
            park_on(async {
                let (first, _) = saying_so(waits, listener.accept()).await.unwrap();
                let second = listener.incoming().next().await.unwrap().unwrap();
                [first, second]
            })
        });
        let accepting = glassfrog::spawn(accepting);
        is_waiting.await.unwrap();
        let peers = [(); 2].map(|()| net::TcpStream::connect(addr).unwrap());
        let streams = accepting.await.unwrap();
        for (stream, mut peer) in streams.into_iter().zip(peers) {
            peer.write_all(b"hello").unwrap();
            assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 5);
        }
    });
}

#[test]
fn a_stream_works_inside_another_runtime() {
    block_on(async {
        for (stream, mut peer) in pairs().await {
            let read = elsewhere(move || {
                glassfrog::block_on(async move {
                    // A task of the other runtime waits for a socket of this one.
                    glassfrog::spawn(async move {
                        stream.write(b"question").await.unwrap();
                        let mut answer = [0; 8];
                        let count = stream.read(&mut answer).await.unwrap();
                        String::from_utf8_lossy(&answer[..count]).into_owned()
                    })
                    .await
                    .unwrap()
                })
            });
            let answering = thread::spawn(move || {
                peer.read_exact(&mut [0; 8]).unwrap();
                peer.write_all(b"answer").unwrap();
                peer
            });
            assert_eq!(read.await, "answer");
            answering.join().unwrap();
        }
    });
}

#[test]
fn a_stream_that_is_dropped_on_another_thread_is_closed() {
    block_on(async {
        for (stream, mut peer) in pairs().await {
            elsewhere(move || drop(stream)).await;
            assert_eq!(peer.read(&mut [0; 8]).unwrap(), 0);
        }
    });
}

#[test]
fn data_that_arrives_while_no_loop_runs_is_read_later() {
    let _watchdog = watchdog();
    let runtime = Runtime::new().unwrap();
    for (stream, mut peer) in runtime.block_on(pairs()) {
        peer.write_all(b"hello").unwrap();
        assert_eq!(runtime.block_on(stream.read(&mut [0; 8])).unwrap(), 5);
        let reading = runtime.handle().spawn(async move {
            let mut buf = [0; 8];
            stream.read(&mut buf).await.unwrap()
        });
        peer.write_all(b"once more").unwrap();
        assert_eq!(runtime.block_on(reading).unwrap(), 8);
    }
}

#[test]
fn a_wait_on_another_thread_continues_while_no_loop_runs() {
    let _watchdog = watchdog();
    let runtime = Runtime::new().unwrap();
    let (stream, mut peer) = runtime.block_on(accepted());
    let (waits, is_waiting) = oneshot::channel();
    let reading = thread::spawn(move || {
        let mut buf = [0; 8];
        park_on(saying_so(waits, stream.read(&mut buf)))
    });
    park_on(is_waiting).unwrap();
    peer.write_all(b"hello").unwrap();
    let (read, is_read) = oneshot::channel();
    let joining = thread::spawn(move || read.send(reading.join().unwrap()).unwrap());
    assert_eq!(runtime.block_on(is_read).unwrap().unwrap(), 5);
    joining.join().unwrap();
}

/// Asserts that an operation failed because its runtime has ended.
#[track_caller]
fn assert_ended<T: std::fmt::Debug>(result: io::Result<T>) {
    let text = result.unwrap_err().to_string();
    assert!(text.contains("runtime") && text.contains("ended"), "{text}");
}

#[test]
fn a_stream_that_outlives_its_runtime_reports_the_end() {
    let _watchdog = watchdog();
    for (mut stream, mut peer) in block_on(pairs()) {
        peer.write_all(b"hello").unwrap();
        let mut buf = [0; 8];
        park_on(async {
            assert_ended(TcpStream::read(&stream, &mut buf).await);
            assert_ended(TcpStream::write(&stream, b"x").await);
            assert_ended(stream.peek(&mut buf).await);
            assert_ended(stream.readable().await);
            assert_ended(stream.writable().await);
            assert_ended(AsyncReadExt::read(&mut stream, &mut buf).await);
            assert_ended(AsyncWriteExt::write(&mut stream, b"x").await);
            assert_ended(stream.read_vectored(&mut [IoSliceMut::new(&mut buf)]).await);
            assert_ended(stream.write_vectored(&[IoSlice::new(b"x")]).await);
        });
        assert_ended(stream.try_read(&mut buf));
        assert_ended(stream.try_write(b"x"));
        assert_ended(stream.try_read_vectored(&mut [IoSliceMut::new(&mut buf)]));
        assert_ended(stream.try_write_vectored(&[IoSlice::new(b"x")]));
        // Inside another runtime as well.
        assert_ended(block_on(stream.readable()));
        // Operations that need no runtime still work.
        assert_eq!(stream.peer_addr().unwrap(), peer.local_addr().unwrap());
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(peer.read(&mut buf).unwrap(), 0);
    }
}

#[test]
fn a_listener_that_outlives_its_runtime_reports_the_end() {
    let _watchdog = watchdog();
    let listener = block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let _peer = net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    assert_ended(park_on(listener.accept()));
    assert_ended(park_on(listener.incoming().next()).unwrap());
}

#[test]
fn the_end_of_the_runtime_wakes_waiting_tasks_with_an_error() {
    let _watchdog = watchdog();
    let (waits, is_waiting) = oneshot::channel();
    let (waits_too, is_waiting_too) = oneshot::channel();
    let (waits_three, is_waiting_three) = oneshot::channel();
    let (reading, accepting, polling, _peers) = glassfrog::block_on(async {
        let (stream, peer) = accepted().await;
        let reading = thread::spawn(move || {
            let mut buf = [0; 8];
            park_on(saying_so(waits, stream.read(&mut buf)))
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let accepting = thread::spawn(move || park_on(saying_so(waits_too, listener.accept())));
        // A task waits inside another runtime with a poll method.
        let (stream, another_peer) = accepted().await;
        let polling = thread::spawn(move || {
            let mut buf = [0; 8];
            let read = poll_fn(|cx| Pin::new(&mut &stream).poll_read(cx, &mut buf));
            glassfrog::block_on(saying_so(waits_three, read))
        });
        for waiting in [is_waiting, is_waiting_too, is_waiting_three] {
            waiting.await.unwrap();
        }
        (reading, accepting, polling, [peer, another_peer])
    });
    assert_ended(reading.join().unwrap());
    assert_ended(accepting.join().unwrap());
    assert_ended(polling.join().unwrap());
}

#[test]
fn a_task_cancelled_with_its_runtime_closes_its_socket() {
    let mut peer = block_on(async {
        let (stream, peer) = accepted().await;
        drop(glassfrog::spawn(
            async move { stream.read(&mut [0; 8]).await },
        ));
        peer
    });
    assert_eq!(peer.read(&mut [0; 8]).unwrap(), 0);
}

#[test]
fn a_stream_that_outlives_its_runtime_can_continue_in_another() {
    for (stream, mut peer) in block_on(pairs()) {
        let stream = net::TcpStream::try_from(stream).unwrap();
        block_on(async {
            let stream = TcpStream::try_from(stream).unwrap();
            peer.write_all(b"hello").unwrap();
            assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 5);
        });
    }
}

#[test]
#[should_panic(expected = "no runtime on this thread")]
fn creating_a_stream_outside_a_runtime_panics_with_advice() {
    let _unreachable = TcpStream::try_from(plain().0);
}

#[test]
#[should_panic(expected = "no runtime on this thread")]
fn connecting_outside_a_runtime_panics_with_advice() {
    let _unreachable = park_on(TcpStream::connect("127.0.0.1:1"));
}

#[test]
#[should_panic(expected = "no runtime on this thread")]
fn creating_a_listener_outside_a_runtime_panics_with_advice() {
    let _unreachable = park_on(TcpListener::bind("127.0.0.1:0"));
}
