//! What happens when the buffers of a connection are full.

use super::{Place, assert_would_block, bulk, fill, pattern, read, read_all, settle, write};
use futures::{AsyncWriteExt, FutureExt};
use glassfrog::net::TcpStream;
use glassfrog::time::timeout;
use std::cell::Cell;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::rc::Rc;
use std::time::Duration;

laws! {
    a_writer_stops_while_nobody_reads_and_then_continues,
    two_full_buffers_do_not_deadlock,
    try_write_stops_at_a_full_buffer_and_resumes_when_there_is_room,
    a_full_direction_does_not_block_the_other,
    a_write_to_a_full_connection_times_out_and_writes_nothing,
    the_end_follows_all_data_of_a_full_connection,
    a_slow_reader_gets_everything,
}

async fn a_writer_stops_while_nobody_reads_and_then_continues(place: Place) {
    let bytes = Rc::new(pattern(bulk(), 8));
    for (stream, peer) in place.pairs().await {
        let sent = Rc::new(Cell::new(0));
        let writing = glassfrog::spawn({
            let (bytes, sent) = (Rc::clone(&bytes), Rc::clone(&sent));
            async move {
                while sent.get() < bytes.len() {
                    let count = stream.write(&bytes[sent.get()..]).await.unwrap();
                    sent.set(sent.get() + count);
                }
            }
        });
        loop {
            let before = sent.get();
            settle().await;
            if before > 0 && sent.get() == before {
                break;
            }
        }
        assert!(sent.get() < bytes.len());
        assert!(!writing.is_finished());
        assert!(read_all(&peer, 1 << 14).await.unwrap() == *bytes);
        writing.await.unwrap();
    }
}

async fn two_full_buffers_do_not_deadlock(place: Place) {
    let (there, back) = (pattern(bulk(), 1), pattern(bulk(), 2));
    let (one, two) = place.pair().await;
    // Neither end reads before both buffers are full.
    let sent_there = fill(&one, &there).await;
    let sent_back = fill(&two, &back).await;
    assert!(sent_there < there.len() && sent_back < back.len());

    let send = async |stream: &TcpStream, bytes: &[u8]| {
        write(stream, bytes).await;
        stream.shutdown(Shutdown::Write).unwrap();
    };
    let (_, _, at_two, at_one) = futures::join!(
        send(&one, &there[sent_there..]),
        send(&two, &back[sent_back..]),
        read_all(&two, 1 << 16),
        read_all(&one, 1 << 16),
    );
    assert!(at_two.unwrap() == there);
    assert!(at_one.unwrap() == back);
}

async fn try_write_stops_at_a_full_buffer_and_resumes_when_there_is_room(place: Place) {
    let bytes = pattern(bulk(), 9);
    for (stream, peer) in place.pairs().await {
        stream.writable().await.unwrap();
        let mut sent = fill(&stream, &bytes).await;
        assert_would_block(stream.try_write(b"x"));
        assert_would_block(stream.try_write_vectored(&[IoSlice::new(b"x")]));
        let emptying = glassfrog::spawn(async move { read_all(&peer, 1 << 14).await });
        sent += loop {
            stream.writable().await.unwrap();
            match stream.try_write(&bytes[sent..][..1]) {
                Ok(count) => break count,
                Err(error) => assert_would_block::<()>(Err(error)),
            }
        };
        drop(stream);
        assert!(emptying.await.unwrap().unwrap() == bytes[..sent]);
    }
}

async fn a_full_direction_does_not_block_the_other(place: Place) {
    let bytes = pattern(bulk(), 10);
    for (stream, peer) in place.pairs().await {
        let sent = fill(&stream, &bytes).await;
        for round in 0..20 {
            let piece = pattern(1 << 14, round);
            let sending = write(&peer, &piece);
            let (heard, ()) = futures::join!(read(&stream, piece.len()), sending);
            assert!(heard == piece);
        }
        drop(stream);
        assert!(read_all(&peer, 1 << 16).await.unwrap() == bytes[..sent]);
    }
}

async fn a_write_to_a_full_connection_times_out_and_writes_nothing(place: Place) {
    let bytes = pattern(bulk(), 11);
    for (stream, peer) in place.pairs().await {
        let sent = fill(&stream, &bytes).await;
        let short = Duration::from_millis(5);
        timeout(short, stream.write(b"lost")).await.unwrap_err();
        timeout(short, stream.writable()).await.unwrap_err();
        assert!(stream.write(b"lost").now_or_never().is_none());
        let reading = read(&peer, sent);
        assert!(reading.await == bytes[..sent]);
        write(&stream, b"next").await;
        drop(stream);
        assert_eq!(read_all(&peer, 64).await.unwrap(), b"next");
    }
}

async fn the_end_follows_all_data_of_a_full_connection(place: Place) {
    let bytes = pattern(bulk(), 12);
    for (stream, peer) in place.pairs().await {
        let sent = fill(&stream, &bytes).await;
        // The kernel sends the rest after the close.
        drop(stream);
        settle().await;
        assert!(read_all(&peer, 1 << 16).await.unwrap() == bytes[..sent]);
    }
}

async fn a_slow_reader_gets_everything(place: Place) {
    for (stream, peer) in place.pairs().await {
        let bytes = pattern(300_000, 13);
        let sent = bytes.clone();
        let writing = glassfrog::spawn(async move {
            let mut stream = stream;
            stream.write_all(&sent).await?;
            stream.close().await?;
            io::Result::Ok(stream)
        });
        let mut all = Vec::new();
        let mut buf = vec![0; 10_000];
        loop {
            settle().await;
            match peer.read(&mut buf).await.unwrap() {
                0 => break,
                count => all.extend_from_slice(&buf[..count]),
            }
        }
        assert!(all == bytes);
        writing.await.unwrap().unwrap();
    }
}
