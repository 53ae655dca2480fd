//! What a connection transfers.

use super::{Place, arrived, assert_would_block, pattern, read, read_all, settle, write};
use crate::task_probes::counted;
use futures::future::{join, join_all};
use futures::{AsyncReadExt, AsyncWriteExt, FutureExt};
use glassfrog::net::TcpStream;
use glassfrog::task::yield_now;
use glassfrog::time::timeout;
use std::cell::Cell;
use std::io::{IoSlice, IoSliceMut};
use std::net::Shutdown;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

laws! {
    a_round_trip_returns_what_was_sent,
    data_that_arrives_in_single_bytes_is_complete,
    a_megabyte_travels_in_both_directions_at_once,
    peeked_data_can_still_be_read,
    a_peek_waits_for_data,
    empty_buffers_neither_wait_nor_consume_data,
    vectored_reads_and_writes_use_the_buffers_in_order,
    a_write_of_too_many_buffers_for_one_call_does_not_wait,
    a_read_into_too_many_buffers_for_one_call_leaves_no_data_behind,
    leading_empty_buffers_do_not_hide_the_others,
    try_read_returns_data_after_readable,
    an_accepted_stream_can_be_written_to_at_once,
    a_connected_stream_can_be_written_to_at_once,
    a_read_from_a_silent_peer_times_out,
    a_dropped_read_loses_no_data,
    read_to_end_reads_every_byte,
    a_cancelled_read_to_end_keeps_what_it_has_read,
    an_endless_response_is_read_up_to_the_limit,
    a_task_with_much_to_read_lets_other_tasks_run,
    a_stream_keeps_its_options,
    a_healthy_stream_has_no_error,
    a_hundred_conversations_do_not_mix,
    two_hundred_connections_are_open_at_once,
}

async fn a_round_trip_returns_what_was_sent(place: Place) {
    for (stream, peer) in place.pairs().await {
        for round in 0..10 {
            let question = pattern(1 << round, round);
            write(&stream, &question).await;
            let heard = read(&peer, question.len()).await;
            assert_eq!(heard, question);
            write(&peer, &heard).await;
            assert_eq!(read(&stream, question.len()).await, question);
        }
    }
}

async fn data_that_arrives_in_single_bytes_is_complete(place: Place) {
    for (stream, peer) in place.pairs().await {
        let bytes = pattern(2000, 4);
        let sent = bytes.clone();
        let sending = glassfrog::spawn(async move {
            peer.set_nodelay(true).unwrap();
            for byte in sent {
                write(&peer, &[byte]).await;
                yield_now().await;
            }
        });
        assert_eq!(read_all(&stream, 64).await.unwrap(), bytes);
        sending.await.unwrap();
    }
}

async fn a_megabyte_travels_in_both_directions_at_once(place: Place) {
    let (there, back) = (pattern(1 << 20, 1), pattern(1 << 20, 2));
    let send = async |stream: &TcpStream, bytes: &[u8]| {
        write(stream, bytes).await;
        stream.shutdown(Shutdown::Write).unwrap();
    };
    for (one, two) in place.pairs().await {
        let (_, _, at_two, at_one) = futures::join!(
            send(&one, &there),
            send(&two, &back),
            read_all(&two, 10_000),
            read_all(&one, 10_000),
        );
        assert!(at_two.unwrap() == there);
        assert!(at_one.unwrap() == back);
    }
}

/// Buffers smaller than "hello", of exactly its size, and larger.
const ROOMS: [usize; 4] = [1, 3, 5, 64];

async fn peeked_data_can_still_be_read(place: Place) {
    for room in ROOMS {
        for (stream, peer) in place.pairs().await {
            write(&peer, b"hello").await;
            drop(peer);
            settle().await;
            let mut buf = vec![0; room];
            for _ in 0..2 {
                let count = stream.peek(&mut buf).await.unwrap();
                assert!((1..=room.min(5)).contains(&count));
                assert_eq!(buf[..count], b"hello"[..count]);
            }
            assert_eq!(read_all(&stream, room).await.unwrap(), b"hello");
            assert_eq!(stream.peek(&mut buf).await.unwrap(), 0);
        }
    }
}

async fn a_peek_waits_for_data(place: Place) {
    for (stream, peer) in place.pairs().await {
        let mut buf = [0; 8];
        let peek = async { stream.peek(&mut buf).await.unwrap() };
        let sending = async {
            settle().await;
            write(&peer, b"x").await;
        };
        assert_eq!(join(peek, sending).await.0, 1);
        assert_eq!(read(&stream, 1).await, b"x");
    }
}

async fn empty_buffers_neither_wait_nor_consume_data(place: Place) {
    for (mut stream, peer) in place.pairs().await {
        let nothing: &mut [IoSliceMut<'_>] = &mut [];
        // Before any data has arrived ...
        assert_eq!(stream.try_read(&mut []).unwrap(), 0);
        assert_eq!(stream.try_write(&[]).unwrap(), 0);
        assert_eq!(stream.try_read_vectored(nothing).unwrap(), 0);
        assert_eq!(stream.try_write_vectored(&[]).unwrap(), 0);
        assert_eq!(stream.peek(&mut []).await.unwrap(), 0);
        assert_eq!(TcpStream::read(&stream, &mut []).await.unwrap(), 0);
        assert_eq!(TcpStream::write(&stream, &[]).await.unwrap(), 0);
        assert_eq!(AsyncReadExt::read(&mut stream, &mut []).await.unwrap(), 0);
        assert_eq!(AsyncWriteExt::write(&mut stream, &[]).await.unwrap(), 0);
        assert_eq!(stream.read_vectored(nothing).await.unwrap(), 0);
        assert_eq!(stream.write_vectored(&[]).await.unwrap(), 0);
        // ... and when data is there.
        write(&peer, b"hello").await;
        stream.readable().await.unwrap();
        assert_eq!(TcpStream::read(&stream, &mut []).await.unwrap(), 0);
        assert_eq!(stream.peek(&mut []).await.unwrap(), 0);
        assert_eq!(read(&stream, 5).await, b"hello");
    }
}

async fn vectored_reads_and_writes_use_the_buffers_in_order(place: Place) {
    for (mut stream, peer) in place.pairs().await {
        let bytes = b"hello";
        let mut sent = 0;
        while sent < 5 {
            let (head, tail) = bytes[sent..].split_at(2.min(5 - sent));
            let bufs = [head, b"", tail].map(IoSlice::new);
            sent += stream.write_vectored(&bufs).await.unwrap();
        }
        assert_eq!(read(&peer, 5).await, bytes);

        // More than the buffers hold, so that they are full unless the read is short.
        write(&peer, &bytes.repeat(2)).await;
        drop(peer);
        settle().await;
        let mut all = Vec::new();
        loop {
            let (mut head, mut none, mut tail) = ([0; 2], [0; 0], [0; 3]);
            let mut bufs = [&mut head[..], &mut none, &mut tail].map(IoSliceMut::new);
            let count = stream.read_vectored(&mut bufs).await.unwrap();
            if count == 0 {
                break;
            }
            all.extend_from_slice(&[&head[..], &tail].concat()[..count]);
        }
        assert_eq!(all, b"hellohello");
        let mut end = [0; 2];
        let mut bufs = [IoSliceMut::new(&mut end)];
        assert_eq!(stream.try_read_vectored(&mut bufs).unwrap(), 0);
    }
}

/// More buffers than the kernel accepts in one call (`IOV_MAX`, 1024).
const MANY_BUFFERS: usize = 3000;

async fn a_write_of_too_many_buffers_for_one_call_does_not_wait(place: Place) {
    for (mut stream, peer) in place.pairs().await {
        let bytes = pattern(MANY_BUFFERS, 5);
        let mut sent = 0;
        while sent < bytes.len() {
            let rest: Vec<_> = bytes[sent..].chunks(1).map(IoSlice::new).collect();
            sent += stream.write_vectored(&rest).await.unwrap();
        }
        assert_eq!(read(&peer, MANY_BUFFERS).await, bytes);
    }
}

async fn a_read_into_too_many_buffers_for_one_call_leaves_no_data_behind(place: Place) {
    for (mut stream, peer) in place.pairs().await {
        let bytes = pattern(MANY_BUFFERS, 6);
        write(&peer, &bytes).await;
        let mut read = Vec::new();
        while read.len() < bytes.len() {
            let mut buf = [0; MANY_BUFFERS];
            let mut bufs: Vec<_> = buf.chunks_mut(1).map(IoSliceMut::new).collect();
            let count = stream.read_vectored(&mut bufs).await.unwrap();
            read.extend_from_slice(&buf[..count]);
        }
        assert_eq!(read, bytes);
    }
}

async fn leading_empty_buffers_do_not_hide_the_others(place: Place) {
    for (mut stream, peer) in place.pairs().await {
        let mut bufs = vec![IoSlice::new(&[]); MANY_BUFFERS];
        bufs.push(IoSlice::new(b"x"));
        assert_eq!(stream.write_vectored(&bufs).await.unwrap(), 1);
        assert_eq!(read(&peer, 1).await, b"x");
        write(&peer, b"y").await;
        let mut buf = [0; 2];
        let mut bufs: Vec<_> = (0..MANY_BUFFERS)
            .map(|_| IoSliceMut::new(&mut []))
            .collect();
        bufs.push(IoSliceMut::new(&mut buf));
        assert_eq!(stream.read_vectored(&mut bufs).await.unwrap(), 1);
        assert_eq!(buf, *b"y\0");
    }
}

async fn try_read_returns_data_after_readable(place: Place) {
    for (stream, peer) in place.pairs().await {
        let mut buf = [0; 8];
        assert_would_block(stream.try_read(&mut buf));
        assert_would_block(stream.try_read_vectored(&mut [IoSliceMut::new(&mut buf)]));
        write(&peer, b"x").await;
        stream.readable().await.unwrap();
        assert_eq!(stream.try_read(&mut buf).unwrap(), 1);
        assert_would_block(stream.try_read(&mut buf));
        drop(peer);
        stream.readable().await.unwrap();
        for _ in 0..2 {
            assert_eq!(stream.try_read(&mut buf).unwrap(), 0);
        }
    }
}

async fn an_accepted_stream_can_be_written_to_at_once(place: Place) {
    let (peer, accepted) = place.pair().await;
    assert_eq!(accepted.try_write(b"x").unwrap(), 1);
    assert_eq!(read(&peer, 1).await, b"x");
}

async fn a_connected_stream_can_be_written_to_at_once(place: Place) {
    let (listener, addr) = place.listener().await;
    let stream = TcpStream::connect(addr).await.unwrap();
    assert_eq!(stream.try_write(b"x").unwrap(), 1);
    let (peer, _) = listener.accept().await.unwrap();
    assert_eq!(read(&peer, 1).await, b"x");
}

async fn a_read_from_a_silent_peer_times_out(place: Place) {
    for (stream, peer) in place.pairs().await {
        let mut buf = [0; 8];
        let short = Duration::from_millis(5);
        timeout(short, stream.read(&mut buf)).await.unwrap_err();
        timeout(short, stream.readable()).await.unwrap_err();
        let mut borrowed = &stream;
        let poll_read = AsyncReadExt::read(&mut borrowed, &mut buf);
        timeout(short, poll_read).await.unwrap_err();
        // No data was lost in transit.
        write(&peer, b"at last").await;
        assert_eq!(read(&stream, 7).await, b"at last");
    }
}

async fn a_dropped_read_loses_no_data(place: Place) {
    const BYTES: usize = 200;
    for (stream, peer) in place.pairs().await {
        let bytes = pattern(BYTES, 7);
        let mut heard = Vec::new();
        for (round, byte) in bytes.chunks(1).enumerate() {
            let (mut buf, mut finished) = ([0; 8], 0);
            {
                let mut reading = pin!(stream.read(&mut buf));
                if round % 2 == 0
                    && let Some(count) = (&mut reading).now_or_never()
                {
                    finished = count.unwrap();
                }
                write(&peer, byte).await;
                if round % 3 == 0 {
                    settle().await;
                }
                // Drops the read while unpolled, waiting, woken, or finished.
            }
            heard.extend_from_slice(&buf[..finished]);
        }
        drop(peer);
        heard.extend(read_all(&stream, 64).await.unwrap());
        assert_eq!(heard, bytes);
    }
}

async fn read_to_end_reads_every_byte(place: Place) {
    for (stream, peer) in place.pairs().await {
        let bytes = pattern(1 << 18, 3);
        let sent = bytes.clone();
        let sending = glassfrog::spawn(async move { write(&peer, &sent).await });
        let mut all = b"before".to_vec();
        assert_eq!(stream.read_to_end(&mut all).await.unwrap(), bytes.len());
        assert!(all.strip_prefix(b"before") == Some(&bytes));
        sending.await.unwrap();
    }
}

async fn a_cancelled_read_to_end_keeps_what_it_has_read(place: Place) {
    for (stream, peer) in place.pairs().await {
        let mut all = b"before, ".to_vec();
        write(&peer, b"first, ").await;
        let short = Duration::from_millis(5);
        let reading = stream.read_to_end(&mut all);
        timeout(short, reading).await.unwrap_err();
        let held = all.len();
        write(&peer, b"second").await;
        drop(peer);
        let count = stream.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, b"before, first, second");
        assert_eq!(held + count, all.len());
    }
}

async fn an_endless_response_is_read_up_to_the_limit(place: Place) {
    const LIMIT: usize = 1 << 18;
    for (stream, peer) in place.pairs().await {
        let sending = glassfrog::spawn(async move {
            let mut peer = peer;
            while peer.write_all(&[b'x'; 4096]).await.is_ok() {}
        });
        let mut all = Vec::new();
        let mut limited = (&stream).take(LIMIT as u64);
        assert_eq!(limited.read_to_end(&mut all).await.unwrap(), LIMIT);
        assert!(all.iter().all(|&byte| byte == b'x'));
        drop(stream);
        sending.await.unwrap();
    }
}

async fn a_task_with_much_to_read_lets_other_tasks_run(place: Place) {
    const BYTES: usize = 10_000;
    /// How many operations a poll may finish.
    const BUDGET: usize = 128;
    for (stream, peer) in place.pairs().await {
        write(&peer, &[0; BYTES]).await;
        drop(peer);
        settle().await;
        let polls = Rc::new(Cell::new(0));
        let reading = async move {
            let mut reads = 0;
            while stream.read(&mut [0]).await.unwrap() > 0 {
                reads += 1;
            }
            reads
        };
        assert_eq!(counted(&polls, reading).await, BYTES);
        assert!(polls.get() >= BYTES / BUDGET, "{}", polls.get());
    }
}

async fn a_stream_keeps_its_options(place: Place) {
    for (stream, _peer) in place.pairs().await {
        for nodelay in [true, false] {
            stream.set_nodelay(nodelay).unwrap();
            assert_eq!(stream.nodelay().unwrap(), nodelay);
        }
        for ttl in [7, 64] {
            stream.set_ttl(ttl).unwrap();
            assert_eq!(stream.ttl().unwrap(), ttl);
        }
    }
}

async fn a_healthy_stream_has_no_error(place: Place) {
    for (stream, peer) in place.pairs().await {
        assert!(stream.take_error().unwrap().is_none());
        write(&peer, b"x").await;
        arrived(&stream, 1).await;
        assert!(stream.take_error().unwrap().is_none());
        drop(peer);
        assert_eq!(read_all(&stream, 8).await.unwrap(), b"x");
        assert!(stream.take_error().unwrap().is_none());
    }
}

async fn a_hundred_conversations_do_not_mix(place: Place) {
    let talks = (0..100).map(async |number| {
        let (stream, peer) = place.pair().await;
        let bytes = pattern(10_000, number);
        let sending = async {
            let peer = peer;
            write(&peer, &bytes).await;
        };
        let (read, ()) = join(read_all(&stream, 1000), sending).await;
        assert!(read.unwrap() == bytes);
    });
    join_all(talks).await;
}

async fn two_hundred_connections_are_open_at_once(place: Place) {
    const CONNECTIONS: usize = 200;
    let (listener, addr) = place.listener().await;
    let connecting = join_all((0..CONNECTIONS).map(|_| TcpStream::connect(addr)));
    let accepting = async {
        let mut accepted = Vec::new();
        while accepted.len() < CONNECTIONS {
            accepted.push(listener.accept().await.unwrap());
        }
        accepted
    };
    let (connected, accepted) = join(connecting, accepting).await;
    for (stream, addr) in &accepted {
        write(stream, addr.port().to_string().as_bytes()).await;
    }
    drop(accepted);
    for stream in connected {
        let stream = stream.unwrap();
        let port = stream.local_addr().unwrap().port().to_string();
        assert_eq!(read_all(&stream, 8).await.unwrap(), port.as_bytes());
    }
}
