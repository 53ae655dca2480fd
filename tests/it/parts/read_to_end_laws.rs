//! Reading to the end of a stream, compared with the bytes sent.

use crate::read_to_end::read_to_end;
use futures::future::poll_immediate;
use glassfrog::block_on;
use proptest::prelude::*;
use std::future::pending;
use std::io;

/// Returns the bytes of a stream: each one identifies its position.
fn sent(length: usize) -> Vec<u8> {
    (0..length).map(|place| place as u8).collect()
}

/// Returns a stream in pieces. Each read gets one piece, or as much of it as fits.
struct Pieces {
    /// The remaining data.
    rest: Vec<u8>,
    /// The lengths of the pieces, in turn. None is zero.
    lengths: Vec<usize>,
    /// The number of reads.
    reads: usize,
    /// The largest buffer that a read had.
    most_room: usize,
}

impl Pieces {
    fn new(length: usize, lengths: Vec<usize>) -> Pieces {
        Pieces {
            rest: sent(length),
            lengths,
            reads: 0,
            most_room: 0,
        }
    }

    fn read(&mut self, room: &mut [u8]) -> usize {
        assert!(!room.is_empty(), "a read of nothing looks like the end");
        let piece = self.lengths[self.reads % self.lengths.len()];
        let count = piece.min(room.len()).min(self.rest.len());
        self.reads += 1;
        self.most_room = self.most_room.max(room.len());
        for (to, from) in room.iter_mut().zip(self.rest.drain(..count)) {
            *to = from;
        }
        count
    }
}

proptest! {
    #[test]
    fn read_to_end_appends_every_byte_to_the_vector(
        length in 0_usize..100_000,
        lengths in prop::collection::vec(1_usize..40_000, 1..8),
        held in 0_usize..100,
        capacity in 0_usize..120_000,
    ) {
        let mut pieces = Pieces::new(length, lengths);
        let mut buf = Vec::with_capacity(capacity);
        buf.resize(held, 0xff);
        let count = block_on(read_to_end(&mut buf, async |room| Ok(pieces.read(room)))).unwrap();
        prop_assert_eq!(count, length);
        prop_assert_eq!(&buf[..held], &vec![0xff; held][..]);
        prop_assert_eq!(&buf[held..], &sent(length)[..]);
    }

    #[test]
    fn bytes_read_before_an_error_or_a_drop_stay_in_the_vector(
        length in 1_usize..50_000,
        lengths in prop::collection::vec(1_usize..10_000, 1..8),
        capacity in 0_usize..60_000,
        fails in any::<bool>(),
    ) {
        let mut pieces = Pieces::new(length, lengths);
        let mut buf = Vec::with_capacity(capacity);
        let reading = read_to_end(&mut buf, async |room| match pieces.read(room) {
            0 if fails => Err(io::ErrorKind::ConnectionReset.into()),
            0 => pending().await,
            count => Ok(count),
        });
        match block_on(poll_immediate(reading)) {
            Some(result) => prop_assert!(fails && result.is_err()),
            None => prop_assert!(!fails),
        }
        prop_assert_eq!(&buf[..], &sent(length)[..]);
    }
}

#[test]
fn a_vector_with_exactly_enough_capacity_does_not_grow() {
    for length in [1, 31, 32, 8 * 1024, 1 << 20] {
        let mut pieces = Pieces::new(length, vec![1500]);
        let mut buf = Vec::with_capacity(length);
        let capacity = buf.capacity();
        block_on(read_to_end(&mut buf, async |room| Ok(pieces.read(room)))).unwrap();
        assert_eq!(buf.len(), length);
        assert_eq!(buf.capacity(), capacity);
    }
}

#[test]
fn reads_ask_for_more_only_while_the_stream_fills_them() {
    let mut trickle = Pieces::new(1 << 20, vec![100]);
    let mut buf = Vec::with_capacity(4 << 20);
    block_on(read_to_end(&mut buf, async |room| Ok(trickle.read(room)))).unwrap();
    assert_eq!(trickle.most_room, 8 * 1024, "this much is zeroed ahead");

    let mut flood = Pieces::new(1 << 20, vec![usize::MAX]);
    let mut buf = Vec::new();
    block_on(read_to_end(&mut buf, async |room| Ok(flood.read(room)))).unwrap();
    assert!(flood.reads < 20, "{} reads for a mebibyte", flood.reads);
}
