//! Transfers with a peer on another thread, and the exact counts of vectored reads and writes.
//!
//! What also holds on a simulated network is in `net_laws`.

use crate::support::{block_on, close_when_delivered, pairs};
use futures::{AsyncReadExt, AsyncWriteExt};
use glassfrog::net::TcpStream;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::thread;

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
fn read_to_end_reads_every_byte_of_a_bulk_transfer() {
    block_on(async {
        for (stream, mut peer) in pairs().await {
            let bytes = pattern(4 << 20, 3);
            let sent = bytes.clone();
            let sending = thread::spawn(move || peer.write_all(&sent));
            let mut all = Vec::new();
            assert_eq!(stream.read_to_end(&mut all).await.unwrap(), bytes.len());
            assert!(all == bytes);
            sending.join().unwrap().unwrap();
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
