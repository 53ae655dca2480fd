//! The `*_with` methods, with operations that work on a simulated socket as well.

use super::{Place, assert_fails, assert_would_block, read, settle, write};
use futures::FutureExt;
use glassfrog::net::TcpStream;
use glassfrog::task::yield_now;
use std::cell::Cell;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

laws! {
    what_the_operation_returns_comes_out,
    an_operation_that_always_would_block_is_called_once_per_event,
    an_interrupted_operation_is_called_again,
    an_operation_may_use_its_own_socket,
    a_panic_of_an_operation_leaves_the_socket_usable,
    an_event_during_the_operation_is_not_forgotten,
    operations_count_against_the_budget_of_the_poll,
    a_dropped_wait_leaves_the_line,
}

/// How many operations a poll may finish.
const BUDGET: usize = 128;

/// Reads by the method that the operation is given.
fn try_read(stream: &TcpStream) -> io::Result<usize> {
    stream.try_read(&mut [0; 16])
}

async fn what_the_operation_returns_comes_out(place: Place) {
    for (stream, peer) in place.pairs().await {
        write(&peer, b"x").await;
        assert_eq!(stream.read_with(try_read).await.unwrap(), 1);
        let written = stream.write_with(|stream| stream.try_write(b"y"));
        assert_eq!(written.await.unwrap(), 1);
        assert_eq!(read(&peer, 1).await, b"y");
        // No longer ready, so the operation is not called.
        while stream.try_read_with(try_read).is_ok() {}
        let calls = Cell::new(0);
        assert_would_block(stream.try_read_with(|_| {
            calls.set(1);
            Ok(())
        }));
        assert_eq!(calls.get(), 0);
        // Errors come out, too.
        let failed = stream.write_with(|_| io::Result::<()>::Err(ErrorKind::Other.into()));
        assert_fails(failed.await, ErrorKind::Other);
    }
}

async fn an_operation_that_always_would_block_is_called_once_per_event(place: Place) {
    for (stream, peer) in place.pairs().await {
        let calls = Cell::new(0);
        let waiting = stream.read_with(|_| {
            calls.set(calls.get() + 1);
            io::Result::<()>::Err(ErrorKind::WouldBlock.into())
        });
        let mut waiting = pin!(waiting);
        assert!((&mut waiting).now_or_never().is_none());
        let before = calls.get();
        for events in 1..10 {
            write(&peer, b"x").await;
            settle().await;
            for _ in 0..10 {
                assert!((&mut waiting).now_or_never().is_none());
                yield_now().await;
            }
            assert!(calls.get() <= before + events + 1, "{}", calls.get());
        }
        assert!(calls.get() > before + 2);
    }
}

async fn an_interrupted_operation_is_called_again(place: Place) {
    for (stream, _peer) in place.pairs().await {
        let mut calls = 0;
        let interrupted = stream.write_with(|_| {
            calls += 1;
            match calls {
                1..5 => Err(ErrorKind::Interrupted.into()),
                _ => Ok(calls),
            }
        });
        assert_eq!(interrupted.await.unwrap(), 5);
    }
}

async fn an_operation_may_use_its_own_socket(place: Place) {
    for (stream, peer) in place.pairs().await {
        let inner = |stream: &TcpStream| {
            let mut buf = [0; 16];
            // The first of these leaves a waker.
            let mut cx = Context::from_waker(Waker::noop());
            let polled = stream.poll_read_with(&mut cx, |stream| stream.try_read(&mut buf));
            let _others = (format!("{stream:?}"), stream.local_addr());
            match polled {
                Poll::Ready(result) => result,
                Poll::Pending => Err(ErrorKind::WouldBlock.into()),
            }
        };
        for _ in 0..2 {
            write(&peer, b"x").await;
            assert_eq!(stream.read_with(inner).await.unwrap(), 1);
        }
    }
}

async fn a_panic_of_an_operation_leaves_the_socket_usable(place: Place) {
    for (stream, peer) in place.pairs().await {
        let mut cx = Context::from_waker(Waker::noop());
        write(&peer, b"x").await;
        stream.readable().await.unwrap();
        let mut panicking = Box::pin(stream.read_with(|_| -> io::Result<()> { panic!("op") }));
        let polled = catch_unwind(AssertUnwindSafe(|| panicking.as_mut().poll(&mut cx)));
        assert!(polled.is_err());
        drop(panicking);
        let polled = catch_unwind(AssertUnwindSafe(|| {
            stream.poll_write_with(&mut cx, |_| -> io::Result<()> { panic!("op") })
        }));
        assert!(polled.is_err());
        assert_eq!(read(&stream, 1).await, b"x");
        write(&stream, b"y").await;
        assert_eq!(read(&peer, 1).await, b"y");
    }
}

async fn an_event_during_the_operation_is_not_forgotten(place: Place) {
    for (stream, peer) in place.pairs().await {
        let mut is_first = true;
        write(&peer, b"x").await;
        let count = stream.read_with(|stream| {
            let result = try_read(stream);
            if std::mem::take(&mut is_first) {
                assert_eq!(result.unwrap(), 1);
                // This arrives after the read, and possibly before the runtime clears the readiness.
                assert_eq!(peer.try_write(b"y").unwrap(), 1);
                return Err(ErrorKind::WouldBlock.into());
            }
            result
        });
        assert_eq!(count.await.unwrap(), 1);
    }
}

async fn operations_count_against_the_budget_of_the_poll(place: Place) {
    for (stream, peer) in place.pairs().await {
        write(&peer, b"x").await;
        stream.readable().await.unwrap();
        yield_now().await;
        let mut calls = 0;
        poll_fn(|cx| {
            while stream.poll_read_with(cx, |_| Ok(())).is_ready() {
                calls += 1;
                assert!(calls <= BUDGET);
            }
            Poll::Ready(())
        })
        .await;
        assert_eq!(calls, BUDGET);
    }
}

async fn a_dropped_wait_leaves_the_line(place: Place) {
    for (stream, peer) in place.pairs().await {
        for _ in 0..1000 {
            assert!(stream.read_with(try_read).now_or_never().is_none());
            yield_now().await;
        }
        write(&peer, b"x").await;
        assert_eq!(stream.read_with(try_read).await.unwrap(), 1);
    }
}
