//! The reactor of a simulated host: it has no event queue, and its driver says which sockets are ready.
//!
//! Everything above the queue is the reactor of production: sources, readiness, waiters. So a host uses no descriptor,
//! however many sockets it has.

use super::queue::Queue;
use super::waiters::Taken;
use super::{Io, Reactor};
use crate::foreign::swallow_panics;
use crate::primitives::{AtomicU32, lock};
use crate::timeline::recorder::Recorder;
use mio::{Poll, Token};
use std::io;
use std::sync::Arc;

/// What all sockets of a simulation are registered with. It stands in for the queue of the operating system in the
/// signatures of mio, and never learns of a descriptor.
#[derive(Clone, Debug)]
pub(crate) struct HostRegistry(Arc<mio::Registry>);

impl HostRegistry {
    /// Creates a registry, for all hosts of a simulation. It uses one descriptor.
    ///
    /// # Errors
    ///
    /// Returns an error if the operating system has no descriptor or memory left.
    pub(crate) fn new() -> io::Result<HostRegistry> {
        let registry = Poll::new()?.registry().try_clone()?;
        Ok(HostRegistry(Arc::new(registry)))
    }
}

impl Reactor {
    /// Creates a reactor for a simulated host, as [`new`](Reactor::new) does for other runtimes.
    pub(crate) fn of_host(
        registry: &HostRegistry,
        rounds: Arc<AtomicU32>,
        recorder: Option<Arc<Recorder>>,
    ) -> Reactor {
        let registry = Arc::clone(&registry.0);
        let reactor = Reactor::with_queue(Queue::absent(), registry, rounds, recorder);
        if let Some(registrar) = &mut *lock(&reactor.sources.registrar) {
            registrar.is_host = true;
        }
        reactor
    }

    /// Publishes the readiness of sockets, like events of the operating system, and wakes their waiters. Each entry is
    /// the token of a socket and its [bits](super::readiness). A socket that is gone is skipped.
    pub(crate) fn make_ready(&self, ready: &[(usize, u32)]) {
        let events = ready.iter().map(|(token, bits)| (Token(*token), *bits));
        {
            let taken: &mut Taken = &mut self.taken.borrow_mut();
            if let Some(recorder) = &self.sources.recorder {
                self.sources.record(recorder, events.clone());
            }
            let registered = lock(&self.sources.registered);
            for (token, bits) in events.clone() {
                if let Some(source) = registered.source(token) {
                    source.publish(bits, taken);
                }
            }
            drop(registered);
            self.sources.counters.subtract(taken.len());
        }
        if log::max_level() == log::LevelFilter::Trace {
            swallow_panics(|| self.log_events(events));
        }
        Taken::wake(&self.taken);
    }
}

/// Returns the error with which a reactor refuses a descriptor: the reactor of a host refuses those of the operating
/// system, and any other reactor those of a simulation. Returns `None` if it takes the descriptor.
pub(super) fn refusal(is_host: bool, io: &impl Io) -> Option<io::Error> {
    match (is_host, io.is_simulated()) {
        (true, true) | (false, false) => None,
        (true, false) => Some(real_descriptor()),
        (false, true) => Some(io::Error::new(
            io::ErrorKind::Unsupported,
            "a simulated socket belongs to its host: use it inside the simulation",
        )),
    }
}

/// Returns the error of every operation on a descriptor of the operating system that a host has refused.
pub(super) fn real_descriptor() -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        "a simulated host has simulated sockets only: create them inside the host with `TcpStream::connect`, \
         `TcpListener::bind` or `UdpSocket::bind`; sockets, pipes and signals of the operating system belong \
         outside the simulation",
    )
}

/// Returns the error of a wait for the events of a simulated host.
#[cold]
pub(super) fn no_queue() -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        "a simulated host has no event queue: only its simulation can run it",
    )
}
