//! Two or more hosts on a wire, without a runtime: the tests call the raw sockets and advance the time themselves.

use crate::clock::host::TrueTime;
use crate::wire::{Host, HostId, Link, Listener, Mask, Ready, Stream, Tcp, Wire};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// A millisecond.
pub(super) const MS: Duration = Duration::from_millis(1);

/// The port of the listeners.
pub(super) const PORT: u16 = 80;

/// A network, its time, and what has become ready.
pub(super) struct Net {
    /// The network.
    pub(super) wire: Arc<Wire>,
    /// Its time.
    time: TrueTime,
    /// What has become ready, with the time in nanoseconds.
    pub(super) ready: Vec<(u64, Ready)>,
    /// The number of tokens that were given out.
    tokens: AtomicUsize,
}

impl Net {
    /// Creates a network with two hosts, "client" and "server", 10 ms apart.
    pub(super) fn new(tcp: Tcp) -> Net {
        Net::with_seed(1, tcp)
    }

    /// The same, with another seed.
    pub(super) fn with_seed(seed: u64, tcp: Tcp) -> Net {
        let time = TrueTime::default();
        let wire = Wire::new(seed, tcp, time.clone());
        wire.add_host("client");
        wire.add_host("server");
        wire.set_link(Link::latency(10 * MS..=10 * MS));
        Net {
            wire,
            time,
            ready: Vec::new(),
            tokens: AtomicUsize::new(0),
        }
    }

    /// Returns a host by its number.
    pub(super) fn host(&self, id: HostId) -> Host {
        Host {
            wire: Arc::clone(&self.wire),
            id,
        }
    }

    /// Returns the present time.
    pub(super) fn now(&self) -> Duration {
        Duration::from_nanos(self.time.now())
    }

    /// Advances the time to this moment, with everything that happens until then.
    pub(super) fn run_until(&mut self, end: Duration) {
        let end = end.as_nanos() as u64;
        let mut ready = Vec::new();
        while let Some(next) = self.wire.next().filter(|next| *next <= end) {
            self.time.advance_to(next);
            self.wire.advance(&mut ready);
            self.ready
                .extend(ready.drain(..).map(|ready| (next, ready)));
        }
        self.time.advance_to(end);
    }

    /// Advances the time by a duration.
    pub(super) fn run_for(&mut self, duration: Duration) {
        self.run_until(self.now() + duration);
    }

    /// Advances to the next event, and processes what is due then. Returns false if there is none.
    pub(super) fn step(&mut self) -> bool {
        let Some(next) = self.wire.next() else {
            return false;
        };
        self.run_until(Duration::from_nanos(next));
        true
    }

    /// Advances until nothing can happen any more. Returns when the last event happened.
    pub(super) fn settle(&mut self) -> Duration {
        while self.step() {}
        self.now()
    }

    /// Returns a token that no socket has.
    pub(super) fn token(&self) -> usize {
        self.tokens.fetch_add(1, Ordering::Relaxed)
    }

    /// Has the server listen on all addresses.
    pub(super) fn listen(&self) -> Listener {
        let listener = self
            .host(1)
            .listen(SocketAddr::from(([0, 0, 0, 0], PORT)))
            .unwrap();
        listener.register(self.token());
        listener
    }

    /// Begins to connect the client to the server. Returns the token as well.
    pub(super) fn connect(&self) -> (Stream, usize) {
        let stream = self.host(0).connect(self.server()).unwrap();
        let token = self.token();
        stream.register(token);
        (stream, token)
    }

    /// Returns the address of the server.
    pub(super) fn server(&self) -> SocketAddr {
        SocketAddr::new(IpAddr::from([10, 0, 0, 2]), PORT)
    }

    /// Returns both ends of a connection, that of the client first. Both are registered.
    pub(super) fn pair(&mut self) -> (Stream, Stream) {
        self.pair_after(30 * MS)
    }

    /// The same, if connecting may take longer than on the link of this network.
    pub(super) fn pair_after(&mut self, patience: Duration) -> (Stream, Stream) {
        let listener = self.listen();
        let (client, _) = self.connect();
        self.run_for(patience);
        let (server, peer) = listener.accept().unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
        server.register(self.token());
        self.run_for(Duration::ZERO);
        self.ready.clear();
        (client, server)
    }

    /// Returns when a token was reported, with what it was ready for.
    pub(super) fn reports(&self, token: usize) -> Vec<(Duration, Mask)> {
        let of_token = self.ready.iter().filter(|(_, ready)| ready.token == token);
        of_token
            .map(|(time, ready)| (Duration::from_nanos(*time), ready.mask))
            .collect()
    }

    /// Cuts both directions between the client and the server.
    pub(super) fn partition(&self) {
        self.wire.cut(0, 1);
        self.wire.cut(1, 0);
    }

    /// Returns how many ends, connections, listeners and events the network keeps.
    pub(super) fn kept(&self) -> String {
        format!("{:?}", self.wire)
    }
}

/// What a network without sockets keeps.
pub(super) const NOTHING: &str =
    "Wire { ends: 0, connections: 0, listeners: 0, udp: 0, events: 0, .. }";

/// Reads everything that there is.
pub(super) fn read_all(stream: &Stream) -> (Vec<u8>, Result<(), ErrorKind>) {
    let mut all = Vec::new();
    let mut buf = [0; 4096];
    loop {
        match stream.read(&mut buf) {
            Ok(0) => return (all, Ok(())),
            Ok(count) => all.extend_from_slice(&buf[..count]),
            Err(error) => return (all, Err(error.kind())),
        }
    }
}

/// Writes until the socket is full. Returns the number of bytes.
pub(super) fn fill(stream: &Stream) -> usize {
    let mut count = 0;
    loop {
        match stream.write(&[7; 1000]) {
            Ok(written) => count += written,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                return count;
            }
        }
    }
}

/// Returns a network in which the client waits for room that the server does not make, with both ends and the present
/// time. 3000 bytes wait at each.
pub(super) fn blocked_writer() -> (Net, Stream, Stream, Duration) {
    let tcp = Tcp::default().short(0.0);
    let mut net = Net::new(tcp.send_buffer(3000).receive_buffer(3000));
    let (client, server) = net.pair();
    fill(&client);
    net.settle();
    fill(&client);
    let begin = net.settle();
    (net, client, server, begin)
}

/// Returns the kind of the error of a result.
pub(super) fn kind<T: std::fmt::Debug>(result: io::Result<T>) -> ErrorKind {
    result.unwrap_err().kind()
}
