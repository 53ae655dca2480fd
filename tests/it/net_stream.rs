//! What a connection transfers, and how it ends in an orderly way.

use crate::support::{
    accepted, block_on, close_when_delivered, connected, for_each, pairs, settle,
};
use futures::future::{join, join_all};
use futures::{AsyncReadExt, AsyncWriteExt};
use glassfrog::net::TcpStream;
use glassfrog::task::yield_now;
use glassfrog::time::timeout;
use std::cell::Cell;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::Shutdown;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

/// Reads to the end in pieces of at most `room` bytes.
async fn read_all(stream: &TcpStream, room: usize) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    let mut buf = vec![0; room];
    loop {
        match stream.read(&mut buf).await? {
            0 => return Ok(all),
            count => all.extend_from_slice(&buf[..count]),
        }
    }
}

/// Returns bytes that differ from near and distant neighbours, so that a lost, duplicated or misplaced byte is
/// noticed.
fn pattern(length: usize, seed: u32) -> Vec<u8> {
    (0..length as u32)
        .map(|at| (at.wrapping_add(seed).wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect()
}

/// Buffers smaller than "hello", of exactly its size, and larger.
const ROOMS: [usize; 4] = [1, 3, 5, 64];

#[test]
fn the_end_follows_data_that_arrived_with_it() {
    block_on(async {
        for_each(ROOMS, async |room, stream, mut peer| {
            peer.write_all(b"hello").unwrap();
            close_when_delivered(peer).await;
            settle().await;
            assert_eq!(read_all(&stream, room).await.unwrap(), b"hello");
        })
        .await;
    });
}

#[test]
fn the_end_follows_data_that_was_read_before_it_arrived() {
    block_on(async {
        for_each(ROOMS, async |room, stream, mut peer| {
            peer.write_all(b"hello").unwrap();
            let mut buf = vec![0; room];
            let mut read = Vec::new();
            while read.len() < 5 {
                let count = stream.read(&mut buf).await.unwrap();
                read.extend_from_slice(&buf[..count]);
            }
            assert_eq!(read, b"hello");
            close_when_delivered(peer).await;
            assert_eq!(stream.read(&mut buf).await.unwrap(), 0);
        })
        .await;
    });
}

#[test]
fn an_end_without_data_is_seen() {
    block_on(async {
        for (stream, peer) in pairs().await {
            drop(peer);
            assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
        }
    });
}

#[test]
fn every_read_after_the_end_returns_zero() {
    block_on(async {
        for (mut stream, mut peer) in pairs().await {
            peer.write_all(b"hello").unwrap();
            close_when_delivered(peer).await;
            assert_eq!(read_all(&stream, 64).await.unwrap(), b"hello");
            let mut buf = [0; 8];
            for _ in 0..3 {
                assert_eq!(stream.read(&mut buf).await.unwrap(), 0);
                assert_eq!(stream.peek(&mut buf).await.unwrap(), 0);
                stream.readable().await.unwrap();
                assert_eq!(stream.try_read(&mut buf).unwrap(), 0);
                assert_eq!(AsyncReadExt::read(&mut stream, &mut buf).await.unwrap(), 0);
            }
        }
    });
}

#[test]
fn peeked_data_can_still_be_read() {
    block_on(async {
        for_each(ROOMS, async |room, stream, mut peer| {
            peer.write_all(b"hello").unwrap();
            close_when_delivered(peer).await;
            let mut buf = vec![0; room];
            for _ in 0..2 {
                let count = stream.peek(&mut buf).await.unwrap();
                assert_eq!(buf[..count], b"hello"[..room.min(5)]);
            }
            assert_eq!(read_all(&stream, room).await.unwrap(), b"hello");
            assert_eq!(stream.peek(&mut buf).await.unwrap(), 0);
        })
        .await;
    });
}

#[test]
fn a_peek_waits_for_data() {
    block_on(async {
        for (stream, mut peer) in pairs().await {
            let mut buf = [0; 8];
            let peek = async { stream.peek(&mut buf).await.unwrap() };
            let write = async {
                settle().await;
                peer.write_all(b"hello").unwrap();
            };
            assert_eq!(join(peek, write).await.0, 5);
        }
    });
}

#[test]
fn a_response_can_be_read_after_shutting_down_the_write_side() {
    block_on(async {
        for (mut stream, mut peer) in pairs().await {
            let answering = thread::spawn(move || {
                let mut question = Vec::new();
                peer.read_to_end(&mut question).unwrap();
                peer.write_all(&question).unwrap();
            });
            stream.write_all(b"question").await.unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            assert_eq!(read_all(&stream, 64).await.unwrap(), b"question");
            answering.join().unwrap();
        }
    });
}

#[test]
fn closing_shuts_down_the_write_side() {
    block_on(async {
        for (mut stream, mut peer) in pairs().await {
            stream.write_all(b"question").await.unwrap();
            stream.close().await.unwrap();
            let mut question = String::new();
            peer.read_to_string(&mut question).unwrap();
            assert_eq!(question, "question");
            peer.write_all(b"answer").unwrap();
            drop(peer);
            assert_eq!(read_all(&stream, 64).await.unwrap(), b"answer");
            let error = stream.write(b"more").await.unwrap_err();
            // Windows has its own error for this, which has no name in `std`.
            assert!(error.kind() == io::ErrorKind::BrokenPipe || cfg!(windows));
        }
    });
}

#[test]
fn shutting_down_twice_succeeds_even_on_a_lost_connection() {
    block_on(async {
        for (mut stream, peer) in pairs().await {
            for how in [Shutdown::Write, Shutdown::Write, Shutdown::Both] {
                stream.shutdown(how).unwrap();
                stream.close().await.unwrap();
            }
            drop(peer);
            settle().await;
            for how in [Shutdown::Read, Shutdown::Write, Shutdown::Both] {
                stream.shutdown(how).unwrap();
            }
            stream.close().await.unwrap();
        }
    });
}

/// Unix only: elsewhere this causes no event.
#[cfg(unix)]
#[test]
fn shutting_down_the_read_side_ends_a_waiting_read() {
    block_on(async {
        for (stream, _peer) in pairs().await {
            let mut buf = [0; 8];
            let shutdown = async {
                settle().await;
                stream.shutdown(Shutdown::Read).unwrap();
            };
            assert_eq!(join(stream.read(&mut buf), shutdown).await.0.unwrap(), 0);
        }
    });
}

/// Linux only: not every system keeps data that arrives later.
#[cfg(target_os = "linux")]
#[test]
fn shutting_down_the_read_side_is_not_mistaken_for_the_end_of_the_peer() {
    block_on(async {
        for (stream, mut peer) in pairs().await {
            stream.shutdown(Shutdown::Read).unwrap();
            let mut buf = [0; 8];
            assert_eq!(stream.read(&mut buf).await.unwrap(), 0);
            for _ in 0..2 {
                peer.write_all(b"hello").unwrap();
                while stream.peek(&mut buf).await.unwrap() < 5 {
                    settle().await;
                }
                assert_eq!(stream.read(&mut buf).await.unwrap(), 5);
            }
        }
    });
}

#[test]
fn dropping_the_write_half_sends_the_end_to_the_peer() {
    block_on(async {
        for (stream, mut peer) in pairs().await {
            let (mut reader, mut writer) = stream.into_split();
            writer.write_all(b"question").await.unwrap();
            drop(writer);
            let mut question = String::new();
            peer.read_to_string(&mut question).unwrap();
            assert_eq!(question, "question");
            peer.write_all(b"answer").unwrap();
            drop(peer);
            let mut answer = String::new();
            reader.read_to_string(&mut answer).await.unwrap();
            assert_eq!(answer, "answer");
        }
    });
}

#[test]
fn forgetting_the_write_half_leaves_the_connection_open() {
    block_on(async {
        for (stream, mut peer) in pairs().await {
            let (reader, writer) = stream.into_split();
            writer.forget();
            assert_eq!(reader.as_ref().write(b"still here").await.unwrap(), 10);
            drop(reader);
            let mut heard = String::new();
            peer.read_to_string(&mut heard).unwrap();
            assert_eq!(heard, "still here");
        }
    });
}

#[test]
fn dropping_the_read_half_leaves_the_write_half_working() {
    block_on(async {
        for (stream, mut peer) in pairs().await {
            let (reader, mut writer) = stream.into_split();
            drop(reader);
            writer.write_all(b"hello").await.unwrap();
            drop(writer);
            let mut heard = String::new();
            peer.read_to_string(&mut heard).unwrap();
            assert_eq!(heard, "hello");
        }
    });
}

#[test]
fn reuniting_the_halves_restores_the_stream() {
    block_on(async {
        for (stream, mut peer) in pairs().await {
            let (reader, writer) = stream.into_split();
            let (reader, writer) = writer.reunite(reader).unwrap().into_split();
            let mut stream = reader.reunite(writer).unwrap();
            // Neither dropped write half shut anything down.
            stream.write_all(b"question").await.unwrap();
            let mut question = [0; 8];
            peer.read_exact(&mut question).unwrap();
            assert_eq!(question, *b"question");
            peer.write_all(b"answer").unwrap();
            drop(peer);
            assert_eq!(read_all(&stream, 64).await.unwrap(), b"answer");
        }
    });
}

#[test]
fn halves_of_two_streams_cannot_be_reunited() {
    block_on(async {
        let (one, mut one_peer) = accepted().await;
        let (two, mut two_peer) = connected().await;
        let (one_reader, one_writer) = one.into_split();
        let (two_reader, two_writer) = two.into_split();
        let error = one_reader.reunite(two_writer).unwrap_err();
        assert!(error.to_string().contains("different streams"), "{error}");
        let one = error.0.reunite(one_writer).unwrap();
        let two = error.1.reunite(two_reader).unwrap();
        for (stream, peer) in [(one, &mut one_peer), (two, &mut two_peer)] {
            assert_eq!(stream.write(b"whole").await.unwrap(), 5);
            let mut heard = [0; 5];
            peer.read_exact(&mut heard).unwrap();
            assert_eq!(heard, *b"whole");
        }
    });
}

/// The size of bulk transfers: several times what the kernel buffers for a connection (at most 4 and 6 MiB,
/// `tcp_wmem` and `tcp_rmem` of `tcp(7)`), so that a writer must wait.
const BULK: usize = 16 << 20;

#[test]
fn two_full_buffers_do_not_deadlock() {
    block_on(async {
        let (one, peer) = accepted().await;
        let two = TcpStream::try_from(peer).unwrap();
        let (there, back) = (pattern(BULK, 1), pattern(BULK, 2));

        let fill = async |stream: &TcpStream, bytes: &[u8]| {
            stream.writable().await.unwrap();
            let mut sent = 0;
            loop {
                match stream.try_write(&bytes[sent..sent + (1 << 14)]) {
                    Ok(count) => sent += count,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break sent,
                    Err(error) => panic!("{error}"),
                }
            }
        };
        // Neither end reads before both buffers are full.
        let sent_there = fill(&one, &there).await;
        let sent_back = fill(&two, &back).await;
        assert!(sent_there < BULK && sent_back < BULK);

        let write = async |mut stream: &TcpStream, bytes: &[u8]| {
            stream.write_all(bytes).await.unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
        };
        let (_, _, at_two, at_one) = futures::join!(
            write(&one, &there[sent_there..]),
            write(&two, &back[sent_back..]),
            read_all(&two, 1 << 16),
            read_all(&one, 1 << 16),
        );
        assert!(at_two.unwrap() == there);
        assert!(at_one.unwrap() == back);
    });
}

#[test]
fn halves_work_in_two_tasks() {
    block_on(async {
        for (stream, mut peer) in pairs().await {
            let echo = thread::spawn(move || io::copy(&mut peer.try_clone().unwrap(), &mut peer));
            let bytes = pattern(1 << 20, 3);
            let (mut reader, mut writer) = stream.into_split();
            let sent = bytes.clone();
            let writing = glassfrog::spawn(async move { writer.write_all(&sent).await });
            let reading = glassfrog::spawn(async move {
                let mut all = Vec::new();
                reader.read_to_end(&mut all).await.map(|_| all)
            });
            writing.await.unwrap().unwrap();
            assert!(reading.await.unwrap().unwrap() == bytes);
            assert_eq!(echo.join().unwrap().unwrap(), 1 << 20);
        }
    });
}

#[test]
fn data_that_arrives_in_single_bytes_is_complete() {
    block_on(async {
        for (stream, mut peer) in pairs().await {
            let bytes = pattern(2000, 4);
            let sent = bytes.clone();
            let sending = thread::spawn(move || {
                peer.set_nodelay(true).unwrap();
                for byte in sent {
                    peer.write_all(&[byte]).unwrap();
                }
            });
            assert_eq!(read_all(&stream, 64).await.unwrap(), bytes);
            sending.join().unwrap();
        }
    });
}

#[test]
fn a_read_from_a_silent_peer_times_out() {
    block_on(async {
        for (stream, mut peer) in pairs().await {
            let mut buf = [0; 8];
            let short = Duration::from_millis(5);
            timeout(short, stream.read(&mut buf)).await.unwrap_err();
            timeout(short, stream.readable()).await.unwrap_err();
            let mut borrowed = &stream;
            let poll_read = AsyncReadExt::read(&mut borrowed, &mut buf);
            timeout(short, poll_read).await.unwrap_err();
            // No data was lost in transit.
            peer.write_all(b"at last").unwrap();
            assert_eq!(stream.read(&mut buf).await.unwrap(), 7);
        }
    });
}

#[test]
fn an_endless_response_is_read_up_to_the_limit() {
    const BOUND: usize = 1 << 20;
    block_on(async {
        for (stream, mut peer) in pairs().await {
            let sending = thread::spawn(move || while peer.write_all(&[b'x'; 4096]).is_ok() {});
            let mut read = Vec::new();
            let mut bounded = (&stream).take(BOUND as u64);
            assert_eq!(bounded.read_to_end(&mut read).await.unwrap(), BOUND);
            assert!(read.iter().all(|&byte| byte == b'x'));
            drop(stream);
            sending.join().unwrap();
        }
    });
}

#[test]
fn a_task_with_much_to_read_lets_other_tasks_run() {
    const BYTES: usize = 10_000;
    /// The number of consecutive reads that is too many.
    const TOO_MANY: usize = 1000;
    block_on(async {
        for (stream, mut peer) in pairs().await {
            peer.write_all(&[0; BYTES]).unwrap();
            drop(peer);
            let reads = Rc::new(Cell::new(0));
            let counted = Rc::clone(&reads);
            glassfrog::spawn(async move {
                while stream.read(&mut [0]).await.unwrap() > 0 {
                    counted.set(counted.get() + 1);
                }
            });
            while reads.get() < BYTES {
                let before = reads.get();
                yield_now().await;
                assert!(reads.get() - before < TOO_MANY);
            }
        }
    });
}

#[test]
fn vectored_reads_and_writes_use_the_buffers_in_order() {
    block_on(async {
        for (mut stream, mut peer) in pairs().await {
            let written = [&b"he"[..], b"", b"llo"].map(IoSlice::new);
            assert_eq!(stream.write_vectored(&written).await.unwrap(), 5);
            assert_eq!(stream.try_write_vectored(&written).unwrap(), 5);
            let mut heard = [0; 10];
            peer.read_exact(&mut heard).unwrap();
            assert_eq!(heard, *b"hellohello");

            for _ in 0..2 {
                peer.write_all(b"hello").unwrap();
            }
            close_when_delivered(peer).await;
            let (mut head, mut none, mut tail) = ([0; 2], [0; 0], [0; 3]);
            let mut bufs = [&mut head[..], &mut none, &mut tail].map(IoSliceMut::new);
            assert_eq!(stream.read_vectored(&mut bufs).await.unwrap(), 5);
            assert_eq!((&head, &tail), (b"he", b"llo"));
            let (mut head, mut tail) = ([0; 3], [0; 8]);
            let mut bufs = [&mut head[..], &mut tail].map(IoSliceMut::new);
            assert_eq!(stream.try_read_vectored(&mut bufs).unwrap(), 5);
            assert_eq!((&head, &tail[..2]), (b"hel", &b"lo"[..]));
            let mut bufs = [&mut head[..], &mut tail].map(IoSliceMut::new);
            assert_eq!(stream.read_vectored(&mut bufs).await.unwrap(), 0);
        }
    });
}

/// More buffers than the kernel accepts in one call (`IOV_MAX`, 1024).
const MANY_BUFFERS: usize = 3000;

#[test]
fn a_write_of_too_many_buffers_for_one_call_does_not_wait() {
    block_on(async {
        for (mut stream, mut peer) in pairs().await {
            let bytes = pattern(MANY_BUFFERS, 5);
            let mut sent = 0;
            while sent < bytes.len() {
                let rest: Vec<_> = bytes[sent..].chunks(1).map(IoSlice::new).collect();
                sent += stream.write_vectored(&rest).await.unwrap();
            }
            let mut heard = vec![0; MANY_BUFFERS];
            peer.read_exact(&mut heard).unwrap();
            assert_eq!(heard, bytes);
        }
    });
}

#[test]
fn a_read_into_too_many_buffers_for_one_call_leaves_no_data_behind() {
    block_on(async {
        for (mut stream, mut peer) in pairs().await {
            let bytes = pattern(MANY_BUFFERS, 6);
            peer.write_all(&bytes).unwrap();
            let mut read = Vec::new();
            while read.len() < bytes.len() {
                let mut buf = [0; MANY_BUFFERS];
                let mut bufs: Vec<_> = buf.chunks_mut(1).map(IoSliceMut::new).collect();
                let count = stream.read_vectored(&mut bufs).await.unwrap();
                read.extend_from_slice(&buf[..count]);
            }
            assert_eq!(read, bytes);
        }
    });
}

#[test]
fn leading_empty_buffers_do_not_hide_the_others() {
    block_on(async {
        for (mut stream, mut peer) in pairs().await {
            let mut bufs = vec![IoSlice::new(&[]); MANY_BUFFERS];
            bufs.push(IoSlice::new(b"hello"));
            assert_eq!(stream.write_vectored(&bufs).await.unwrap(), 5);
            let mut heard = [0; 5];
            peer.read_exact(&mut heard).unwrap();
            peer.write_all(&heard).unwrap();
            let mut buf = [0; 8];
            let mut bufs: Vec<_> = (0..MANY_BUFFERS)
                .map(|_| IoSliceMut::new(&mut []))
                .collect();
            bufs.push(IoSliceMut::new(&mut buf));
            assert_eq!(stream.read_vectored(&mut bufs).await.unwrap(), 5);
            assert_eq!(buf, *b"hello\0\0\0");
        }
    });
}

/// Asserts that an operation would block.
#[track_caller]
fn assert_would_block<T: std::fmt::Debug>(result: io::Result<T>) {
    assert_eq!(result.unwrap_err().kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn try_read_returns_data_after_readable() {
    block_on(async {
        for (stream, mut peer) in pairs().await {
            let mut buf = [0; 8];
            assert_would_block(stream.try_read(&mut buf));
            assert_would_block(stream.try_read_vectored(&mut [IoSliceMut::new(&mut buf)]));
            peer.write_all(b"hello").unwrap();
            stream.readable().await.unwrap();
            assert_eq!(stream.try_read(&mut buf).unwrap(), 5);
            assert_would_block(stream.try_read(&mut buf));
            drop(peer);
            stream.readable().await.unwrap();
            for _ in 0..2 {
                assert_eq!(stream.try_read(&mut buf).unwrap(), 0);
            }
        }
    });
}

#[test]
fn try_write_stops_at_a_full_buffer_and_resumes_when_there_is_room() {
    block_on(async {
        for (stream, mut peer) in pairs().await {
            stream.writable().await.unwrap();
            let mut sent = 0;
            loop {
                match stream.try_write(&[b'x'; 1 << 16]) {
                    Ok(count) => sent += count,
                    Err(error) => break assert_would_block::<()>(Err(error)),
                }
            }
            assert_would_block(stream.try_write(b"x"));
            assert_would_block(stream.try_write_vectored(&[IoSlice::new(b"x")]));
            let emptying = thread::spawn(move || {
                let mut all = Vec::new();
                peer.read_to_end(&mut all).unwrap();
                all.len()
            });
            sent += loop {
                stream.writable().await.unwrap();
                match stream.try_write(b"x") {
                    Ok(count) => break count,
                    Err(error) => assert_would_block::<()>(Err(error)),
                }
            };
            drop(stream);
            assert_eq!(emptying.join().unwrap(), sent);
        }
    });
}

#[test]
fn an_accepted_stream_can_be_written_to_at_once() {
    block_on(async {
        let (stream, mut peer) = accepted().await;
        assert_eq!(stream.try_write(b"hello").unwrap(), 5);
        peer.read_exact(&mut [0; 5]).unwrap();
    });
}

#[test]
fn empty_buffers_neither_wait_nor_consume_data() {
    block_on(async {
        for (mut stream, mut peer) in pairs().await {
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
            peer.write_all(b"hello").unwrap();
            stream.readable().await.unwrap();
            assert_eq!(TcpStream::read(&stream, &mut []).await.unwrap(), 0);
            assert_eq!(stream.peek(&mut []).await.unwrap(), 0);
            assert_eq!(TcpStream::read(&stream, &mut [0; 8]).await.unwrap(), 5);
        }
    });
}

#[test]
fn a_stream_keeps_its_options() {
    block_on(async {
        for (stream, peer) in pairs().await {
            for nodelay in [true, false] {
                stream.set_nodelay(nodelay).unwrap();
                assert_eq!(stream.nodelay().unwrap(), nodelay);
            }
            for ttl in [7, 64] {
                stream.set_ttl(ttl).unwrap();
                assert_eq!(stream.ttl().unwrap(), ttl);
            }
            assert!(stream.take_error().unwrap().is_none());
            assert_eq!(stream.peer_addr().unwrap(), peer.local_addr().unwrap());
            assert_eq!(stream.local_addr().unwrap(), peer.peer_addr().unwrap());
        }
    });
}

#[test]
fn a_hundred_conversations_do_not_mix() {
    block_on(async {
        let talks = (0..100).map(async |number| {
            let (stream, peer) = accepted().await;
            let peer = TcpStream::try_from(peer).unwrap();
            let bytes = pattern(10_000, number);
            let write = async {
                let mut peer = peer;
                peer.write_all(&bytes).await.unwrap();
            };
            let (read, ()) = join(read_all(&stream, 1000), write).await;
            assert!(read.unwrap() == bytes);
        });
        join_all(talks).await;
    });
}
