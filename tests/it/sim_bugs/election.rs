//! Split brain: a leader renews its lease whenever it hears from another node. If the others no longer hear it, but it
//! still hears them, they elect a new leader beside it.

use super::{MS, Version, assert_is_found_and_mended, random_ms, simulation};
use glassfrog::net::{UdpSocket, lookup_host};
use glassfrog::sim::{self, Failure, Report};
use glassfrog::time::{now, sleep, timeout_at};
use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// The names of the nodes.
const NAMES: [&str; 3] = ["n0", "n1", "n2"];

/// How often a node sends a message to each other node.
const BEAT: Duration = Duration::from_millis(50);

/// How long a lease is. It is shorter than `LOYALTY`, so that a lease ends before the voters of its leader vote again.
const LEASE: Duration = Duration::from_millis(350);

/// How long a node that has heard a leader votes for no other.
const LOYALTY: Duration = Duration::from_millis(400);

/// After which silence of a leader a node stands for election, at the earliest.
const SILENCE: Duration = Duration::from_millis(500);

/// What a message says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The sender is running.
    Alive,
    /// The sender is the leader.
    Leads,
    /// The sender asks for votes.
    Asks,
    /// The sender votes for the receiver.
    Votes,
}

/// A message.
#[derive(Clone, Copy, Debug)]
struct Message {
    /// What it says.
    kind: Kind,
    /// The term of its sender.
    term: u32,
    /// The number of the beat in which it was sent.
    beat: u32,
    /// The beat of the last message of the receiver that the sender followed.
    followed: u32,
}

impl Message {
    /// Returns the bytes of the message.
    fn to_bytes(self) -> [u8; 13] {
        let mut bytes = [self.kind as u8; 13];
        for (at, number) in [self.term, self.beat, self.followed]
            .into_iter()
            .enumerate()
        {
            bytes[1 + 4 * at..][..4].copy_from_slice(&number.to_be_bytes());
        }
        bytes
    }

    /// Returns the message with these bytes.
    fn from_bytes(bytes: [u8; 13]) -> Message {
        let number = |at| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
        Message {
            kind: [Kind::Alive, Kind::Leads, Kind::Asks, Kind::Votes][bytes[0] as usize],
            term: number(1),
            beat: number(5),
            followed: number(9),
        }
    }
}

/// Until when each node leads, as the test sees it.
type Leads = Rc<[Cell<Option<Instant>>; 3]>;

/// A node.
struct Node {
    /// Its number.
    me: usize,
    /// Its version.
    version: Version,
    /// The addresses of all nodes.
    addrs: [SocketAddr; 3],
    /// Its socket.
    socket: UdpSocket,
    /// The highest term that it knows.
    term: u32,
    /// Whether it has voted in this term.
    has_voted: bool,
    /// Who votes for it, if it is a candidate.
    votes: Option<[bool; 3]>,
    /// When it last heard a leader or voted for one.
    heard: Instant,
    /// After which silence it stands for election.
    silence: Duration,
    /// The number of its last beat.
    beat: u32,
    /// When it sent its last beats, by their numbers modulo 16.
    sent: [Instant; 16],
    /// The beat of each other node that it followed last.
    followed: [u32; 3],
    /// When each other node gave it a sign, for which it may lead.
    signs: [Option<Instant>; 3],
    /// What the test sees.
    leads: Leads,
}

impl Node {
    /// Returns whether the node leads.
    fn is_leader(&self) -> bool {
        self.leads[self.me].get().is_some_and(|until| now() < until)
    }

    /// Becomes the leader until this moment, or prolongs its lease.
    fn lead_until(&self, until: Instant) -> io::Result<()> {
        for (other, leads) in self.leads.iter().enumerate() {
            if other != self.me && leads.get().is_some_and(|until| now() < until) {
                let me = self.me;
                return Err(io::Error::other(format!("n{me} and n{other} lead at once")));
            }
        }
        self.leads[self.me].set(Some(until));
        Ok(())
    }

    /// Follows a higher term.
    fn enter(&mut self, term: u32) {
        self.term = term;
        self.has_voted = false;
        self.votes = None;
        self.leads[self.me].set(None);
    }

    /// Sends a message to a node.
    async fn send(&self, kind: Kind, to: usize) -> io::Result<()> {
        let message = Message {
            kind,
            term: self.term,
            beat: self.beat,
            followed: self.followed[to],
        };
        self.socket
            .send_to(&message.to_bytes(), self.addrs[to])
            .await?;
        Ok(())
    }

    /// Sends a message to all other nodes.
    async fn send_all(&self, kind: Kind) -> io::Result<()> {
        for to in (0..3).filter(|to| *to != self.me) {
            self.send(kind, to).await?;
        }
        Ok(())
    }

    /// Does what is due every 50 ms.
    async fn tick(&mut self) -> io::Result<()> {
        self.beat += 1;
        self.sent[self.beat as usize % 16] = now();
        if self.is_leader() {
            self.send_all(Kind::Leads).await
        } else if now() - self.heard < self.silence {
            self.send_all(Kind::Alive).await
        } else {
            self.enter(self.term + 1);
            self.has_voted = true;
            let mut votes = [false; 3];
            votes[self.me] = true;
            self.votes = Some(votes);
            self.signs = [None; 3];
            self.heard = now();
            self.silence = SILENCE + random_ms(300);
            self.send_all(Kind::Asks).await
        }
    }

    /// Handles a message.
    async fn receive(&mut self, from: usize, message: Message) -> io::Result<()> {
        let is_loyal = self.is_leader() || now() - self.heard < LOYALTY;
        if message.term > self.term && !(message.kind == Kind::Asks && is_loyal) {
            self.enter(message.term);
        }
        let is_of_this_term = message.term == self.term;
        match message.kind {
            Kind::Leads if is_of_this_term => {
                self.heard = now();
                self.followed[from] = message.beat;
            }
            Kind::Asks if is_of_this_term && !self.has_voted && !is_loyal => {
                self.has_voted = true;
                self.heard = now();
                self.send(Kind::Votes, from).await?;
            }
            Kind::Votes if is_of_this_term => {
                if let Some(votes) = &mut self.votes {
                    votes[from] = true;
                    // Two of three are the majority.
                    self.votes = None;
                    self.lead_until(self.heard + LEASE)?;
                    self.send_all(Kind::Leads).await?;
                }
            }
            _ => {}
        }
        if self.is_leader() {
            // The lease counts from a moment at which two nodes followed: this one and another one.
            self.signs[from] = match self.version {
                Version::Buggy => Some(now()),
                Version::Mended => {
                    let is_recent = self.beat - message.followed < 16;
                    is_recent.then(|| self.sent[message.followed as usize % 16])
                }
            }
            .max(self.signs[from]);
            if let Some(sign) = self.signs.iter().flatten().max() {
                let until = self.leads[self.me].get().max(Some(*sign + LEASE));
                self.lead_until(until.unwrap())?;
            }
        }
        Ok(())
    }
}

/// Runs a node.
async fn node(me: usize, version: Version, leads: Leads) -> sim::Result {
    let socket = UdpSocket::bind("0.0.0.0:7000").await?;
    let mut addrs = Vec::new();
    for name in NAMES {
        addrs.extend(lookup_host((name, 7000)).await?);
    }
    let mut node = Node {
        me,
        version,
        addrs: addrs.try_into().expect("a node has one address"),
        socket,
        term: 0,
        has_voted: false,
        votes: None,
        heard: now(),
        silence: SILENCE + random_ms(300),
        beat: 0,
        sent: [now(); 16],
        followed: [0; 3],
        signs: [None; 3],
        leads,
    };
    let mut tick_at = now();
    loop {
        let mut bytes = [0; 13];
        match timeout_at(tick_at, node.socket.recv_from(&mut bytes)).await {
            Ok(received) => {
                let (_, addr) = received?;
                let from = node.addrs.iter().position(|it| *it == addr);
                node.receive(from.expect("only nodes send"), Message::from_bytes(bytes))
                    .await?;
            }
            Err(_elapsed) => {
                node.tick().await?;
                tick_at += BEAT;
            }
        }
    }
}

/// A cut between one node and both others.
#[derive(Clone, Copy, Debug)]
enum Cut {
    /// Nothing passes.
    Both,
    /// The others do not hear the node, but the node hears them.
    OneWay,
}

/// Runs three nodes, one of which is cut off for two seconds.
fn run(seed: u64, version: Version, cut: Cut) -> Result<Report, Failure> {
    let mut sim = simulation(seed);
    let leads: Leads = Rc::default();
    for (me, name) in NAMES.into_iter().enumerate() {
        let leads = Rc::clone(&leads);
        sim.host(name, move || node(me, version, Rc::clone(&leads)));
    }
    sim.client("chaos", async move {
        sleep(1500 * MS + random_ms(500)).await;
        let from = sim::rng().below(3) as usize;
        for to in (0..3).filter(|to| *to != from) {
            match cut {
                Cut::Both => sim::partition(NAMES[from], NAMES[to]),
                Cut::OneWay => sim::partition_oneway(NAMES[from], NAMES[to]),
            }
        }
        sleep(1500 * MS).await;
        for to in (0..3).filter(|to| *to != from) {
            sim::repair(NAMES[from], NAMES[to]);
        }
        sleep(2000 * MS).await;
        if !leads
            .iter()
            .any(|leads| leads.get().is_some_and(|until| now() < until))
        {
            return Err("no node leads, though nothing is cut".into());
        }
        Ok(())
    });
    sim.run()
}

#[test]
fn a_leader_that_hears_but_is_not_heard_stays_beside_a_new_one() {
    let failure = assert_is_found_and_mended(|seed, version| run(seed, version, Cut::OneWay));
    assert!(failure.to_string().contains("lead at once"));
}

#[test]
fn a_cut_in_both_directions_does_not_show_the_split_brain() {
    for seed in 0..100 {
        if let Err(failure) = run(seed, Version::Buggy, Cut::Both) {
            panic!("seed {seed}: {failure}");
        }
    }
}
