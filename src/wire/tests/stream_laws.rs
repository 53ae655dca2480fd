//! Streams against a naive oracle: whatever the network does, both ends receive what the other has written, whole and in
//! order, and then the end.

use super::harness::{MS, NOTHING, Net};
use crate::wire::{Link, Random, Stream, Tcp};
use std::io::ErrorKind;
use std::net::Shutdown;
use std::time::Duration;

/// One end, with what it has written and read so far.
struct Side {
    /// The socket.
    stream: Stream,
    /// The token under which it is registered.
    token: usize,
    /// What it has written.
    written: Vec<u8>,
    /// How much it is going to write.
    total: usize,
    /// What it has read.
    read: Vec<u8>,
    /// Whether it has read the end.
    at_end: bool,
    /// Whether it may find something to read, as the reactor believes.
    readable: bool,
    /// The same of writing.
    writable: bool,
    /// Whether the end of the peer was reported.
    read_closed: bool,
}

impl Side {
    /// Reads and writes as long as the reactor would believe that it is worth trying, by its rules of short transfers.
    fn run(&mut self, random: &mut Random) {
        while self.readable && !self.at_end {
            let mut buf = vec![0; random.within(1..=3000) as usize];
            match self.stream.read(&mut buf) {
                Ok(0) => self.at_end = true,
                Ok(count) => {
                    self.read.extend_from_slice(&buf[..count]);
                    if count < buf.len() {
                        self.readable = false;
                        self.at_end |= self.read_closed;
                    }
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    self.readable = false;
                }
            }
            // Sometimes a reader is slow.
            if random.chance(0.2) {
                break;
            }
        }
        while self.writable && self.written.len() < self.total {
            let length = random
                .within(1..=4000)
                .min((self.total - self.written.len()) as u64);
            let bytes: Vec<u8> = (0..length).map(|_| random.next() as u8).collect();
            match self.stream.write(&bytes) {
                Ok(count) => {
                    self.written.extend_from_slice(&bytes[..count]);
                    self.writable = count == bytes.len();
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    self.writable = false;
                }
            }
            if self.written.len() == self.total {
                self.stream.shutdown(Shutdown::Write).unwrap();
            }
            if random.chance(0.2) {
                break;
            }
        }
    }
}

/// A network to try.
#[derive(Clone, Debug)]
struct Case {
    /// The seed of the network and of the two programs.
    seed: u64,
    /// How much each end writes.
    totals: [usize; 2],
    /// The least latency and its range, in milliseconds.
    latency: (u32, u32),
    /// The probability of a loss.
    loss: f64,
    /// The probability of a duplicate.
    duplication: f64,
    /// The number of bytes in the largest packet.
    mtu: usize,
    /// The bandwidth, in bytes per second.
    bandwidth: Option<u64>,
    /// The sizes of the send buffer and of the receive buffer.
    buffers: (usize, usize),
    /// The probability of a short read or write.
    short: f64,
    /// Whether directions are cut and held at random.
    faults: bool,
}

/// Draws a network from a seed.
fn case(seed: u64) -> Case {
    let mut random = Random::new(seed);
    let random = &mut random;
    let buffers = (
        random.within(1..=30_000) as usize,
        random.within(1..=30_000) as usize,
    );
    // One case in eight has a buffer of a few bytes, and little to send, so that it does not take forever.
    let (buffers, most) = match random.below(8) {
        0 => (
            (
                random.within(1..=100) as usize,
                random.within(1..=100) as usize,
            ),
            500,
        ),
        _ => (buffers, 60_000),
    };
    let chance = |random: &mut Random, most: f64| random.below(1001) as f64 / 1000.0 * most;
    Case {
        seed,
        totals: [
            random.within(1..=most) as usize,
            random.within(1..=most) as usize,
        ],
        latency: (random.within(1..=20) as u32, random.below(100) as u32),
        loss: chance(random, 0.3),
        duplication: chance(random, 0.3),
        mtu: [random.within(68..=200) as usize, 1500, 9000][random.below(3) as usize],
        bandwidth: random
            .chance(0.5)
            .then(|| random.within(20_000..=2_000_000)),
        buffers,
        short: chance(random, 0.5),
        faults: random.chance(0.5),
    }
}

/// When the faults end: long before a connection times out.
const QUIET: Duration = Duration::from_secs(100);

/// Ends all faults.
fn mend(net: &Net) {
    for (from, to) in [(0, 1), (1, 0)] {
        net.wire.repair(from, to);
        net.wire.release(from, to);
    }
}

/// Runs a case, and returns the hash of what has happened.
fn run(case: &Case) -> u64 {
    let tcp = Tcp::default()
        .send_buffer(case.buffers.0)
        .receive_buffer(case.buffers.1)
        .short(case.short);
    let mut net = Net::with_seed(case.seed, tcp);
    let (client, server) = net.pair();
    let (least, more) = case.latency;
    let mut link = Link::latency(least * MS..=(least + more) * MS)
        .loss(case.loss)
        .duplication(case.duplication)
        .mtu(case.mtu);
    if let Some(bandwidth) = case.bandwidth {
        link = link.bandwidth(bandwidth);
    }
    net.wire.set_link(link);
    let mut random = Random::new(case.seed);
    let mut sides = [(client, 1, 0), (server, 2, 1)].map(|(stream, token, index)| Side {
        stream,
        token,
        written: Vec::new(),
        total: case.totals[index],
        read: Vec::new(),
        at_end: false,
        readable: true,
        writable: true,
        read_closed: false,
    });
    let mut turns = 0_u64;
    while !sides.iter().all(|side| side.at_end) {
        turns += 1;
        assert!(
            turns < 1_000_000,
            "this does not end: {} {:#?}",
            net.kept(),
            net.wire.lines()
        );
        let (one, other) = if random.chance(0.5) { (0, 1) } else { (1, 0) };
        sides[one].run(&mut random);
        sides[other].run(&mut random);
        let may_fail = case.faults && net.now() < QUIET;
        if may_fail && random.chance(0.02) {
            let (from, to) = if random.chance(0.5) { (0, 1) } else { (1, 0) };
            match random.below(4) {
                0 => net.wire.cut(from, to),
                1 => net.wire.hold(from, to),
                2 => net.wire.release(from, to),
                _ => net.wire.repair(from, to),
            }
        }
        if !may_fail {
            mend(&net);
        }
        let is_busy = sides.iter().any(|side| {
            (side.readable && !side.at_end) || (side.writable && side.written.len() < side.total)
        });
        if !is_busy && !net.step() {
            // Nothing is under way: the faults have to end first.
            assert!(
                turns < 2000,
                "stuck: {} {:#?}",
                net.kept(),
                net.wire.lines()
            );
            turns = 1999;
        }
        if is_busy {
            net.run_for(MS);
        }
        for (_, ready) in std::mem::take(&mut net.ready) {
            let side = sides.iter_mut().find(|side| side.token == ready.token);
            if let Some(side) = side {
                assert!(!ready.mask.error, "{:#?}", net.wire.lines());
                side.readable |= ready.mask.readable;
                side.writable |= ready.mask.writable;
                side.read_closed |= ready.mask.read_closed;
            }
        }
    }
    for (one, other) in [(0, 1), (1, 0)] {
        assert_eq!(sides[one].written.len(), case.totals[one]);
        assert!(sides[one].written == sides[other].read, "the bytes differ");
    }
    mend(&net);
    drop(sides);
    assert!(net.now() < Duration::from_secs(3600));
    net.settle();
    assert_eq!(net.kept(), NOTHING);
    net.wire.hash_and_count().0
}

/// The number of cases to try.
const CASES: u64 = 60;

#[test]
fn streams_arrive_whole_and_in_order_whatever_the_network_does() {
    for seed in 0..CASES {
        let case = case(seed);
        println!("{case:?}");
        run(&case);
    }
}

#[test]
fn a_seed_determines_everything() {
    for seed in CASES..CASES + 10 {
        let case = case(seed);
        assert_eq!(run(&case), run(&case), "{case:?}");
    }
}
