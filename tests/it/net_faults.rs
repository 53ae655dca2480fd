//! A reset right after the handshake, and urgent data. Linux only: systems differ in how much data can be read after a
//! reset, and where an urgent byte appears.
//!
//! What also holds on a simulated network is in `net_laws`.

use crate::support::{block_on, close_when_delivered, for_each, pairs, reset, settle};
use futures::future::join;
use futures::{AsyncReadExt, FutureExt};
use glassfrog::net::TcpStream;
use socket2::SockRef;
use std::io::{self, Read, Write};
use std::net;

/// Buffers smaller than "hello", of exactly its size, and larger.
const ROOMS: [usize; 4] = [1, 3, 5, 64];

/// Reads a stream in pieces of at most `room` bytes. Returns the data, and the error if one ended it.
async fn outcome(stream: &TcpStream, room: usize) -> (Vec<u8>, Option<io::ErrorKind>) {
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

#[test]
fn a_connection_reset_right_after_the_handshake_counts_as_connected() {
    block_on(async {
        let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
        for room in ROOMS {
            let mut connect = Box::pin(TcpStream::connect(listener.local_addr().unwrap()));
            assert!((&mut connect).now_or_never().is_none());
            let (mut peer, _) = listener.accept().unwrap();
            peer.write_all(b"hello").unwrap();
            reset(peer);
            // A later reset is fine too.
            let stream = connect.await.unwrap();
            let (data, error) = outcome(&stream, room).await;
            assert_eq!(data, b"hello");
            assert_eq!(error, Some(io::ErrorKind::ConnectionReset));
        }
    });
}

/// An item that a peer sends.
#[derive(Clone, Copy, Debug)]
enum Piece {
    /// Plain data.
    Data(&'static [u8]),
    /// One urgent byte (`MSG_OOB`).
    Urgent,
}
use Piece::{Data, Urgent};

impl Piece {
    fn send(self, mut peer: &net::TcpStream) {
        match self {
            Data(data) => peer.write_all(data).unwrap(),
            Urgent => assert_eq!(SockRef::from(peer).send_out_of_band(b"!").unwrap(), 1),
        }
    }

    /// Returns the readable data: an urgent byte is not part of the stream (`tcp(7)`).
    fn data(self) -> &'static [u8] {
        match self {
            Data(data) => data,
            Urgent => b"",
        }
    }
}

/// Sequences with urgent bytes in all positions.
const URGENT: [&[Piece]; 6] = [
    &[Data(b"before"), Urgent, Data(b"after")],
    &[Urgent, Data(b"after")],
    &[Data(b"before"), Urgent],
    &[Urgent],
    &[Data(b"b"), Urgent, Data(b"a")],
    &[
        Data(b"before"),
        Data(b"more"),
        Urgent,
        Data(b"x"),
        Data(b"y"),
    ],
];

/// Returns the data among these pieces.
fn data(pieces: &[Piece]) -> Vec<u8> {
    pieces
        .iter()
        .flat_map(|piece| piece.data())
        .copied()
        .collect()
}

#[test]
fn urgent_data_with_ordinary_data_blocks_no_reader() {
    block_on(async {
        let cases = URGENT
            .into_iter()
            .flat_map(|pieces| ROOMS.map(|room| (pieces, room)));
        for_each(cases, async |(pieces, room), stream, peer| {
            pieces.iter().for_each(|piece| piece.send(&peer));
            close_when_delivered(peer).await;
            assert_eq!(outcome(&stream, room).await, (data(pieces), None));
        })
        .await;
    });
}

#[test]
fn urgent_data_between_reads_blocks_no_reader() {
    block_on(async {
        for pieces in URGENT {
            for room in ROOMS {
                for (stream, peer) in pairs().await {
                    for piece in pieces {
                        piece.send(&peer);
                        settle().await;
                        let mut read = vec![0; piece.data().len()];
                        for chunk in read.chunks_mut(room) {
                            (&stream).read_exact(chunk).await.unwrap();
                        }
                        assert_eq!(read, piece.data());
                    }
                    drop(peer);
                    assert_eq!(outcome(&stream, room).await, (Vec::new(), None));
                }
            }
        }
    });
}

#[test]
fn urgent_data_does_not_confuse_a_waiting_reader() {
    block_on(async {
        for pieces in URGENT {
            for (stream, peer) in pairs().await {
                let sending = async {
                    for piece in pieces {
                        settle().await;
                        piece.send(&peer);
                    }
                    settle().await;
                    drop(peer);
                };
                let (read, ()) = join(outcome(&stream, 3), sending).await;
                assert_eq!(read, (data(pieces), None));
            }
        }
    });
}

#[test]
fn repeated_urgent_data_blocks_no_reader() {
    block_on(async {
        for (stream, peer) in pairs().await {
            for round in 0..50 {
                Data(b"before").send(&peer);
                Urgent.send(&peer);
                Data(b"after").send(&peer);
                let mut read = [0; 11];
                for chunk in read.chunks_mut(1 + round % 11) {
                    (&stream).read_exact(chunk).await.unwrap();
                }
                assert_eq!(read, *b"beforeafter");
            }
            drop(peer);
            assert_eq!(outcome(&stream, 8).await, (Vec::new(), None));
        }
    });
}

#[test]
fn a_stream_may_send_urgent_data() {
    block_on(async {
        for (stream, mut peer) in pairs().await {
            assert_eq!(stream.write(b"before").await.unwrap(), 6);
            SockRef::from(&stream).send_out_of_band(b"!").unwrap();
            assert_eq!(stream.write(b"after").await.unwrap(), 5);
            stream.shutdown(net::Shutdown::Write).unwrap();
            let mut heard = String::new();
            peer.read_to_string(&mut heard).unwrap();
            assert_eq!(heard, "beforeafter");
        }
    });
}
