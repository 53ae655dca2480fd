//! How a connection ends in an orderly way.

use super::{Place, pattern, read, read_all, settle, write};
#[cfg(target_os = "linux")]
use super::{arrived, assert_fails};
use futures::future::join;
use futures::{AsyncReadExt, AsyncWriteExt, FutureExt};
use std::io;
use std::net::Shutdown;

laws! {
    an_end_without_data_is_seen,
    the_end_follows_data_that_arrived_with_it,
    the_end_follows_data_that_was_read_before_it_arrived,
    every_read_after_the_end_returns_zero,
    an_end_wakes_a_waiting_read,
    a_response_can_be_read_after_shutting_down_the_write_side,
    closing_shuts_down_the_write_side,
    a_write_after_the_own_shutdown_is_a_broken_pipe,
    a_shutdown_sends_what_was_written_before,
    shutting_down_twice_succeeds,
    shutting_down_both_sides_ends_both_streams,
    #[cfg(unix)]
    shutting_down_the_read_side_ends_a_waiting_read,
    #[cfg(target_os = "linux")]
    shutting_down_the_read_side_is_not_mistaken_for_the_end_of_the_peer,
    both_ends_may_close_at_once,
    consecutive_connections_do_not_mix,
    data_written_just_before_the_close_is_read,
    an_aborted_task_closes_its_connection,
    #[cfg(target_os = "linux")]
    data_for_a_stream_that_was_shut_down_resets_its_sender,
    #[cfg(target_os = "linux")]
    data_outlives_the_ends_of_both_directions,
}

/// Buffers smaller than "hello", of exactly its size, and larger.
const ROOMS: [usize; 4] = [1, 3, 5, 64];

async fn an_end_without_data_is_seen(place: Place) {
    for (stream, peer) in place.pairs().await {
        drop(peer);
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
    }
}

async fn the_end_follows_data_that_arrived_with_it(place: Place) {
    for room in ROOMS {
        for (stream, peer) in place.pairs().await {
            write(&peer, b"hello").await;
            drop(peer);
            settle().await;
            assert_eq!(read_all(&stream, room).await.unwrap(), b"hello");
        }
    }
}

async fn the_end_follows_data_that_was_read_before_it_arrived(place: Place) {
    for room in ROOMS {
        for (stream, peer) in place.pairs().await {
            write(&peer, b"hello").await;
            let mut buf = vec![0; room];
            let mut all = Vec::new();
            while all.len() < 5 {
                let count = stream.read(&mut buf).await.unwrap();
                all.extend_from_slice(&buf[..count]);
            }
            assert_eq!(all, b"hello");
            drop(peer);
            assert_eq!(stream.read(&mut buf).await.unwrap(), 0);
        }
    }
}

async fn every_read_after_the_end_returns_zero(place: Place) {
    for (mut stream, peer) in place.pairs().await {
        write(&peer, b"hello").await;
        drop(peer);
        assert_eq!(read_all(&stream, 64).await.unwrap(), b"hello");
        let mut buf = [0; 8];
        for _ in 0..3 {
            assert_eq!(stream.read(&mut buf).await.unwrap(), 0);
            assert_eq!(stream.peek(&mut buf).await.unwrap(), 0);
            stream.readable().await.unwrap();
            assert_eq!(stream.try_read(&mut buf).unwrap(), 0);
            assert_eq!(AsyncReadExt::read(&mut stream, &mut buf).await.unwrap(), 0);
            settle().await;
        }
    }
}

async fn an_end_wakes_a_waiting_read(place: Place) {
    for (stream, peer) in place.pairs().await {
        let closing = async {
            settle().await;
            drop(peer);
        };
        let (read, ()) = join(read_all(&stream, 8), closing).await;
        assert_eq!(read.unwrap(), b"");
    }
}

async fn a_response_can_be_read_after_shutting_down_the_write_side(place: Place) {
    for (stream, peer) in place.pairs().await {
        let answering = glassfrog::spawn(async move {
            let question = read_all(&peer, 64).await.unwrap();
            write(&peer, &question).await;
        });
        write(&stream, b"question").await;
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_all(&stream, 64).await.unwrap(), b"question");
        answering.await.unwrap();
    }
}

async fn closing_shuts_down_the_write_side(place: Place) {
    for (mut stream, peer) in place.pairs().await {
        stream.write_all(b"question").await.unwrap();
        stream.close().await.unwrap();
        assert_eq!(read_all(&peer, 64).await.unwrap(), b"question");
        write(&peer, b"answer").await;
        drop(peer);
        assert_eq!(read_all(&stream, 64).await.unwrap(), b"answer");
        let error = stream.write(b"more").await.unwrap_err();
        // Windows has its own error for this, which has no name in `std`.
        assert!(error.kind() == io::ErrorKind::BrokenPipe || cfg!(windows));
    }
}

async fn a_write_after_the_own_shutdown_is_a_broken_pipe(place: Place) {
    for (stream, peer) in place.pairs().await {
        stream.shutdown(Shutdown::Write).unwrap();
        for _ in 0..3 {
            let written = stream.write(b"x").await;
            assert!(cfg!(windows) || written.is_err_and(|e| e.kind() == io::ErrorKind::BrokenPipe));
            settle().await;
        }
        // The other direction is open.
        assert_eq!(read_all(&peer, 64).await.unwrap(), b"");
        write(&peer, b"x").await;
        assert_eq!(read(&stream, 1).await, b"x");
    }
}

async fn a_shutdown_sends_what_was_written_before(place: Place) {
    for (stream, peer) in place.pairs().await {
        let bytes = pattern(20_000, 14);
        write(&stream, &bytes).await;
        stream.shutdown(Shutdown::Write).unwrap();
        assert!(read_all(&peer, 64).await.unwrap() == bytes);
    }
}

async fn shutting_down_twice_succeeds(place: Place) {
    for (mut stream, peer) in place.pairs().await {
        for how in [Shutdown::Write, Shutdown::Write, Shutdown::Both] {
            stream.shutdown(how).unwrap();
            stream.close().await.unwrap();
        }
        // Even on a lost connection.
        drop(peer);
        settle().await;
        for how in [Shutdown::Read, Shutdown::Write, Shutdown::Both] {
            stream.shutdown(how).unwrap();
        }
        stream.close().await.unwrap();
    }
}

async fn shutting_down_both_sides_ends_both_streams(place: Place) {
    for (stream, peer) in place.pairs().await {
        write(&stream, b"hello").await;
        stream.shutdown(Shutdown::Both).unwrap();
        assert_eq!(read_all(&peer, 64).await.unwrap(), b"hello");
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
        assert!(stream.write(b"x").await.is_err());
    }
}

/// Unix only: elsewhere this causes no event.
#[cfg(unix)]
async fn shutting_down_the_read_side_ends_a_waiting_read(place: Place) {
    for (stream, _peer) in place.pairs().await {
        let mut buf = [0; 8];
        let shutdown = async {
            settle().await;
            stream.shutdown(Shutdown::Read).unwrap();
        };
        assert_eq!(join(stream.read(&mut buf), shutdown).await.0.unwrap(), 0);
    }
}

/// Linux only: not every system keeps data that arrives later.
#[cfg(target_os = "linux")]
async fn shutting_down_the_read_side_is_not_mistaken_for_the_end_of_the_peer(place: Place) {
    for (stream, peer) in place.pairs().await {
        stream.shutdown(Shutdown::Read).unwrap();
        let mut buf = [0; 8];
        assert_eq!(stream.read(&mut buf).await.unwrap(), 0);
        for _ in 0..2 {
            write(&peer, b"hello").await;
            arrived(&stream, 5).await;
            assert_eq!(read(&stream, 5).await, b"hello");
        }
    }
}

async fn both_ends_may_close_at_once(place: Place) {
    for (one, two) in place.pairs().await {
        one.shutdown(Shutdown::Write).unwrap();
        two.shutdown(Shutdown::Write).unwrap();
        assert_eq!(one.read(&mut [0; 8]).await.unwrap(), 0);
        assert_eq!(two.read(&mut [0; 8]).await.unwrap(), 0);
    }
}

async fn consecutive_connections_do_not_mix(place: Place) {
    // The next connection may get the descriptor and the place in the reactor of the last.
    for round in 0..20 {
        let (stream, peer) = place.pair().await;
        let sent = [round; 3];
        write(&stream, &sent).await;
        assert_eq!(read(&peer, 3).await, sent);
        drop(stream);
        if round % 2 == 0 {
            assert_eq!(read_all(&peer, 8).await.unwrap(), b"");
        }
    }
}

async fn data_written_just_before_the_close_is_read(place: Place) {
    for (stream, peer) in place.pairs().await {
        let mut buf = [0; 8];
        assert!(stream.read(&mut buf).now_or_never().is_none());
        write(&peer, b"goodbye").await;
        drop(peer);
        assert_eq!(read_all(&stream, 64).await.unwrap(), b"goodbye");
    }
}

async fn an_aborted_task_closes_its_connection(place: Place) {
    for (stream, peer) in place.pairs().await {
        let waiting = glassfrog::spawn(async move { stream.read(&mut [0; 8]).await });
        settle().await;
        assert!(!waiting.is_finished());
        waiting.abort();
        assert_eq!(read_all(&peer, 8).await.unwrap(), b"");
    }
}

/// Linux only: other systems drop the data.
#[cfg(target_os = "linux")]
async fn data_for_a_stream_that_was_shut_down_resets_its_sender(place: Place) {
    for (stream, peer) in place.pairs().await {
        stream.shutdown(Shutdown::Both).unwrap();
        assert_eq!(read_all(&peer, 8).await.unwrap(), b"");
        assert_eq!(peer.write(b"x").await.unwrap(), 1);
        settle().await;
        assert_fails(peer.write(b"x").await, io::ErrorKind::BrokenPipe);
        // The own end was reset, too.
        let error = stream.take_error().unwrap().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
}

/// Linux only: other systems still know the peer.
#[cfg(target_os = "linux")]
async fn data_outlives_the_ends_of_both_directions(place: Place) {
    for (one, two) in place.pairs().await {
        write(&one, b"hello").await;
        write(&two, b"goodbye").await;
        arrived(&one, 7).await;
        arrived(&two, 5).await;
        one.shutdown(Shutdown::Write).unwrap();
        two.shutdown(Shutdown::Write).unwrap();
        settle().await;
        for (stream, data) in [(&one, &b"goodbye"[..]), (&two, b"hello")] {
            assert_fails(stream.peer_addr(), io::ErrorKind::NotConnected);
            assert_eq!(read_all(stream, 3).await.unwrap(), data);
            assert_fails(stream.write(b"x").await, io::ErrorKind::BrokenPipe);
            assert!(stream.take_error().unwrap().is_none());
            stream.shutdown(Shutdown::Both).unwrap();
        }
    }
}
