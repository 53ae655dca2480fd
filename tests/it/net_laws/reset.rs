//! Resets by the peer. Linux only: systems differ in how much data can be read after a reset.

use super::{Place, arrived, assert_fails, bulk, fill, pattern, read, read_all, settle, write};
use futures::future::join;
use futures::{AsyncReadExt, AsyncWriteExt};
use glassfrog::net::TcpStream;
use std::io::{self, ErrorKind};
use std::net::Shutdown;

laws! {
    a_reset_after_unread_data_is_never_a_truncated_success,
    a_reset_after_data_was_read_is_never_a_truncated_success,
    a_reset_at_any_moment_is_never_a_truncated_success,
    a_reset_is_reported_to_one_operation,
    a_reset_wakes_a_waiting_read,
    a_reset_wakes_a_waiting_write,
    a_try_read_or_write_reports_a_reset_as_an_error,
    take_error_takes_a_reset,
    closing_with_unread_data_resets_the_peer,
    closing_without_unread_data_does_not_reset_the_peer,
    data_for_a_closed_socket_resets_its_sender,
    a_write_to_a_closed_peer_ends_in_an_error,
    a_reset_after_the_end_leaves_the_end_and_breaks_the_pipe,
    a_reset_connection_has_no_peer,
    shutting_down_a_reset_connection_succeeds,
}

/// Buffers smaller than "hello", of exactly its size, and larger.
const ROOMS: [usize; 4] = [1, 3, 5, 64];

/// Resets the connection of `peer`: closes it while it has unread data.
async fn reset(stream: &TcpStream, peer: TcpStream) {
    write(stream, b"unread").await;
    arrived(&peer, 6).await;
    drop(peer);
}

/// Reads a stream in pieces of at most `room` bytes. Returns the data, and the error if one ended it.
async fn outcome(stream: &TcpStream, room: usize) -> (Vec<u8>, Option<ErrorKind>) {
    let mut all = Vec::new();
    let mut buf = vec![0; room];
    loop {
        match stream.read(&mut buf).await {
            Ok(0) => return (all, None),
            Ok(count) => all.extend_from_slice(&buf[..count]),
            Err(error) => return (all, Some(error.kind())),
        }
    }
}

/// Waits until the reset has arrived and the reactor has reported it.
async fn reset_arrived(stream: &TcpStream) {
    while stream.peer_addr().is_ok() {
        settle().await;
    }
    settle().await;
}

async fn a_reset_after_unread_data_is_never_a_truncated_success(place: Place) {
    for room in ROOMS {
        for (stream, peer) in place.pairs().await {
            write(&peer, b"hello").await;
            arrived(&stream, 5).await;
            reset(&stream, peer).await;
            reset_arrived(&stream).await;
            let (data, error) = outcome(&stream, room).await;
            assert_eq!(data, b"hello");
            assert_eq!(error, Some(ErrorKind::ConnectionReset));
            // The error is reported once.
            assert_eq!(outcome(&stream, room).await, (Vec::new(), None));
        }
    }
}

async fn a_reset_after_data_was_read_is_never_a_truncated_success(place: Place) {
    for room in ROOMS {
        for (stream, peer) in place.pairs().await {
            write(&peer, b"hello").await;
            assert_eq!(read(&stream, 5).await, b"hello");
            reset(&stream, peer).await;
            let (data, error) = outcome(&stream, room).await;
            assert_eq!(data, b"");
            assert_eq!(error, Some(ErrorKind::ConnectionReset));
        }
    }
}

async fn a_reset_at_any_moment_is_never_a_truncated_success(place: Place) {
    for round in 0..20 {
        for (stream, peer) in place.pairs().await {
            write(&stream, b"unread").await;
            arrived(&peer, 6).await;
            // Chance decides which of these the stream sees together.
            write(&peer, b"hello").await;
            drop(peer);
            let (data, error) = outcome(&stream, ROOMS[round % ROOMS.len()]).await;
            assert!(b"hello".starts_with(&data));
            assert_eq!(error, Some(ErrorKind::ConnectionReset));
        }
    }
}

async fn a_reset_is_reported_to_one_operation(place: Place) {
    for (stream, peer) in place.pairs().await {
        reset(&stream, peer).await;
        reset_arrived(&stream).await;
        assert_fails(stream.write(b"x").await, ErrorKind::ConnectionReset);
        for _ in 0..2 {
            assert_fails(stream.write(b"x").await, ErrorKind::BrokenPipe);
            assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
            assert!(stream.take_error().unwrap().is_none());
        }
    }
}

async fn a_reset_wakes_a_waiting_read(place: Place) {
    for (mut stream, peer) in place.pairs().await {
        write(&stream, b"unread").await;
        arrived(&peer, 6).await;
        let breaking = async {
            settle().await;
            drop(peer);
        };
        let mut buf = [0; 8];
        let (read, ()) = join(AsyncReadExt::read(&mut stream, &mut buf), breaking).await;
        assert_fails(read, ErrorKind::ConnectionReset);
    }
}

async fn a_reset_wakes_a_waiting_write(place: Place) {
    let bytes = pattern(bulk(), 15);
    for (mut stream, peer) in place.pairs().await {
        fill(&stream, &bytes).await;
        let breaking = async {
            settle().await;
            drop(peer);
        };
        let (written, ()) = join(stream.write_all(&bytes), breaking).await;
        assert!(is_broken(written));
    }
}

/// Returns whether an operation failed because the connection is lost.
fn is_broken<T>(result: io::Result<T>) -> bool {
    result.is_err_and(|error| {
        matches!(
            error.kind(),
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
        )
    })
}

async fn a_try_read_or_write_reports_a_reset_as_an_error(place: Place) {
    for (stream, peer) in place.pairs().await {
        reset(&stream, peer).await;
        stream.readable().await.unwrap();
        assert_fails(stream.try_read(&mut [0; 8]), ErrorKind::ConnectionReset);
        assert_fails(stream.try_write(b"x"), ErrorKind::BrokenPipe);
    }
}

async fn take_error_takes_a_reset(place: Place) {
    for (stream, peer) in place.pairs().await {
        reset(&stream, peer).await;
        reset_arrived(&stream).await;
        let error = stream.take_error().unwrap().unwrap();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert!(stream.take_error().unwrap().is_none());
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
        assert_fails(stream.write(b"x").await, ErrorKind::BrokenPipe);
    }
}

async fn closing_with_unread_data_resets_the_peer(place: Place) {
    for (stream, peer) in place.pairs().await {
        write(&stream, b"read, unread").await;
        arrived(&peer, 12).await;
        assert_eq!(read(&peer, 4).await, b"read");
        drop(peer);
        assert_fails(stream.read(&mut [0; 8]).await, ErrorKind::ConnectionReset);
    }
}

async fn closing_without_unread_data_does_not_reset_the_peer(place: Place) {
    for (stream, peer) in place.pairs().await {
        write(&stream, b"read").await;
        assert_eq!(read(&peer, 4).await, b"read");
        drop(peer);
        for _ in 0..3 {
            assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
            settle().await;
        }
        assert!(stream.take_error().unwrap().is_none());
    }
}

async fn data_for_a_closed_socket_resets_its_sender(place: Place) {
    for (stream, peer) in place.pairs().await {
        drop(peer);
        // The peer cannot be told apart from one that reads on, so the first write succeeds.
        settle().await;
        assert_eq!(stream.write(b"x").await.unwrap(), 1);
        reset_arrived(&stream).await;
        // After the end, which it has not read yet, it reads no error.
        assert_eq!(read_all(&stream, 8).await.unwrap(), b"");
        assert_fails(stream.write(b"x").await, ErrorKind::BrokenPipe);
    }
}

async fn a_write_to_a_closed_peer_ends_in_an_error(place: Place) {
    let bytes = pattern(1 << 16, 16);
    for (mut stream, peer) in place.pairs().await {
        drop(peer);
        let error = loop {
            match stream.write_all(&bytes).await {
                Ok(()) => settle().await,
                Err(error) => break error,
            }
        };
        assert!(is_broken(Err::<(), _>(error)));
        assert_fails(stream.write(b"x").await, ErrorKind::BrokenPipe);
    }
}

async fn a_reset_after_the_end_leaves_the_end_and_breaks_the_pipe(place: Place) {
    for (stream, peer) in place.pairs().await {
        write(&peer, b"hello").await;
        peer.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_all(&stream, 64).await.unwrap(), b"hello");
        reset(&stream, peer).await;
        reset_arrived(&stream).await;
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
        assert_fails(stream.write(b"x").await, ErrorKind::BrokenPipe);
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
    }
}

async fn a_reset_connection_has_no_peer(place: Place) {
    for (stream, peer) in place.pairs().await {
        let ours = stream.local_addr().unwrap();
        reset(&stream, peer).await;
        assert_fails(stream.read(&mut [0; 8]).await, ErrorKind::ConnectionReset);
        assert_fails(stream.peer_addr(), ErrorKind::NotConnected);
        assert_eq!(stream.local_addr().unwrap(), ours);
    }
}

async fn shutting_down_a_reset_connection_succeeds(place: Place) {
    for (mut stream, peer) in place.pairs().await {
        reset(&stream, peer).await;
        reset_arrived(&stream).await;
        for how in [Shutdown::Read, Shutdown::Write, Shutdown::Both] {
            stream.shutdown(how).unwrap();
        }
        stream.close().await.unwrap();
    }
}
