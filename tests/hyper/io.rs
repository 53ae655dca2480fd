//! `Io` in both directions.

use crate::support::block_on;
use futures::future::poll_fn;
use futures::io::{AsyncRead, AsyncWrite};
use glassfrog::hyper::Io;
use glassfrog::prelude::*;
use hyper::rt::{Read, ReadBuf, Write};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A stream that records the calls of its writer, and reads what it is given.
#[derive(Default)]
struct Recorder {
    /// The pieces that reads return, one each. An empty one makes a read panic.
    pieces: VecDeque<Vec<u8>>,
    /// The room of each read.
    rooms: Vec<usize>,
    /// The address of the memory of the last read.
    address: usize,
    /// The calls of the writer.
    calls: Vec<String>,
}

impl AsyncRead for Recorder {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.rooms.push(buf.len());
        self.address = buf.as_ptr() as usize;
        // What is not written must not appear.
        buf.fill(b'?');
        match self.pieces.pop_front() {
            Some(piece) if piece.is_empty() => panic!("as the test asked"),
            Some(piece) => {
                buf[..piece.len()].copy_from_slice(&piece);
                Poll::Ready(Ok(piece.len()))
            }
            None => Poll::Ready(Ok(0)),
        }
    }
}

impl AsyncWrite for Recorder {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.calls.push(format!("write {}", buf.len()));
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.calls.push(format!("write {} buffers", bufs.len()));
        Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.calls.push(String::from("flush"));
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.calls.push(String::from("close"));
        Poll::Ready(Ok(()))
    }
}

/// Reads once through hyper's trait, into uninitialized memory.
async fn read<T: Read + Unpin>(io: &mut T, room: usize) -> Vec<u8> {
    let mut memory = vec![MaybeUninit::uninit(); room];
    let mut buf = ReadBuf::uninit(&mut memory);
    poll_fn(|cx| Pin::new(&mut *io).poll_read(cx, buf.unfilled()))
        .await
        .unwrap();
    buf.filled().to_vec()
}

#[test]
fn a_read_returns_what_the_stream_has_read() {
    block_on(async {
        let mut io = Io::new(Recorder::default());
        io.get_mut().pieces = [b"first".to_vec(), vec![b'x'; 4096], b"third".to_vec()].into();
        assert_eq!(read(&mut io, 100).await, b"first");
        assert_eq!(read(&mut io, 4096).await, vec![b'x'; 4096]);
        assert_eq!(read(&mut io, 100).await, b"third");
        assert_eq!(read(&mut io, 100).await, b"");
        assert_eq!(read(&mut io, 0).await, b"");
        assert_eq!(io.get_ref().rooms, [100, 4096, 100, 100, 0]);
    });
}

#[test]
fn a_read_asks_for_as_much_as_hyper_and_never_for_more_than_the_buffer() {
    block_on(async {
        let mut io = Io::new(Recorder::default());
        for room in [8192, 507_904, 16 << 20] {
            read(&mut io, room).await;
        }
        assert_eq!(io.get_ref().rooms, [8192, 507_904, 512 * 1024]);
    });
}

#[test]
fn a_large_buffer_is_replaced_after_many_small_reads() {
    block_on(async {
        let mut io = Io::new(Recorder::default());
        read(&mut io, 100_000).await;
        let large = io.get_ref().address;
        for _ in 0..1000 {
            read(&mut io, 100).await;
            assert_eq!(io.get_ref().address, large);
        }
        // A large read begins a new count.
        read(&mut io, 100_000).await;
        for _ in 0..1023 {
            read(&mut io, 100).await;
            assert_eq!(io.get_ref().address, large);
        }
        read(&mut io, 100).await;
        assert_ne!(io.get_ref().address, large);
    });
}

#[test]
fn a_panic_within_a_read_does_not_spoil_the_next_one() {
    block_on(async {
        let mut io = Io::new(Recorder::default());
        io.get_mut().pieces = [vec![], b"next".to_vec()].into();
        let panicked = std::panic::AssertUnwindSafe(read(&mut io, 10));
        futures::FutureExt::catch_unwind(panicked)
            .await
            .unwrap_err();
        assert_eq!(read(&mut io, 10).await, b"next");
    });
}

#[test]
fn adapters_nest() {
    block_on(async {
        let recorder = Recorder {
            pieces: [b"deep".to_vec(), b"er".to_vec()].into(),
            ..Recorder::default()
        };
        // From futures-io to hyper, back, and to hyper again.
        let mut io = Io::new(Io::new(Io::new(recorder)));
        assert_eq!(read(&mut io, 10).await, b"deep");
        assert_eq!(read(&mut io, 10).await, b"er");
        let mut futures_io = Io::new(io);
        assert_eq!(futures_io.read(&mut [0; 10]).await.unwrap(), 0);
        let inner = futures_io
            .into_inner()
            .into_inner()
            .into_inner()
            .into_inner();
        assert_eq!(inner.rooms, [10, 10, 10]);
    });
}

#[test]
fn writes_pass_unchanged_in_both_directions() {
    block_on(async {
        let mut io = Io::new(Recorder::default());
        assert!(io.is_write_vectored());
        let bufs = [IoSlice::new(b"head"), IoSlice::new(b"body")];
        poll_fn(|cx| Write::poll_write(Pin::new(&mut io), cx, b"one"))
            .await
            .unwrap();
        let count = poll_fn(|cx| Write::poll_write_vectored(Pin::new(&mut io), cx, &bufs)).await;
        assert_eq!(count.unwrap(), 8);
        poll_fn(|cx| Write::poll_flush(Pin::new(&mut io), cx))
            .await
            .unwrap();
        poll_fn(|cx| Write::poll_shutdown(Pin::new(&mut io), cx))
            .await
            .unwrap();
        let mut back = Io::new(io);
        back.write_all(b"four").await.unwrap();
        back.write_vectored(&bufs).await.unwrap();
        back.flush().await.unwrap();
        back.close().await.unwrap();
        let calls = &back.get_ref().get_ref().calls;
        let half = ["write 3", "write 2 buffers", "flush", "close"];
        let other = ["write 4", "write 2 buffers", "flush", "close"];
        assert_eq!(calls[..], [half, other].concat());
    });
}

#[test]
fn a_read_works_in_the_destructor_of_a_thread_local() {
    /// Reads when it is dropped.
    struct Late;

    impl Drop for Late {
        fn drop(&mut self) {
            let mut io = Io::new(Recorder::default());
            io.get_mut().pieces = [b"late".to_vec()].into();
            assert_eq!(
                futures::FutureExt::now_or_never(read(&mut io, 10)).unwrap(),
                b"late"
            );
        }
    }

    thread_local! {
        /// Created before the buffer of the adapter in one thread, and after it in the other.
        static LATE: Late = const { Late };
    }

    for first in [true, false] {
        let thread = std::thread::spawn(move || {
            if first {
                LATE.with(|_| ());
            }
            let mut io = Io::new(Recorder::default());
            glassfrog::block_on(read(&mut io, 10));
            LATE.with(|_| ());
        });
        thread.join().unwrap();
    }
}
