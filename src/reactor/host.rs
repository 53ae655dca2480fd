//! The reactor of a simulated host: it has no event queue, and its driver says which sockets are ready.
//!
//! Everything above the queue is the reactor of production: sources, readiness, waiters. So no host
//! uses a descriptor, however many sockets it has.

use super::queue::Queue;
use super::refusal::not_simulated;
use super::waiters::Taken;
use super::{Io, Reactor};
use crate::foreign::swallow_panics;
use crate::primitives::{AtomicU32, Mutex, lock};
use crate::timeline::recorder::Recorder;
use mio::{Poll, Token};
use std::io;
use std::sync::{Arc, Weak};

/// The registry of all hosts of this process, while there is one. It stands in for the queue of the operating system in
/// the signatures of mio, and never learns of a descriptor. It has no events, and its own descriptor is handed to nobody,
/// because only a `Runtime` hands one out, which a host has not.
static REGISTRY: Mutex<Weak<mio::Registry>> = Mutex::new(Weak::new());

/// Returns the registry of all hosts. It uses one descriptor.
///
/// # Errors
///
/// Returns an error if the operating system has no descriptor or memory left.
fn registry() -> io::Result<Arc<mio::Registry>> {
    let mut shared = lock(&REGISTRY);
    if let Some(registry) = shared.upgrade() {
        return Ok(registry);
    }
    let registry = Arc::new(Poll::new()?.registry().try_clone()?);
    *shared = Arc::downgrade(&registry);
    Ok(registry)
}

impl Reactor {
    /// Creates a reactor for a simulated host, as [`new`](Reactor::new) does for other runtimes.
    ///
    /// # Errors
    ///
    /// Returns an error if it is the only one, and the operating system has no descriptor left for the registry.
    pub(crate) fn of_host(
        rounds: Arc<AtomicU32>,
        recorder: Option<Arc<Recorder>>,
    ) -> io::Result<Reactor> {
        let reactor = Reactor::with_queue(Queue::absent(), registry()?, rounds, recorder);
        if let Some(registrar) = &mut *lock(&reactor.sources.registrar) {
            registrar.is_host = true;
        }
        Ok(reactor)
    }

    /// Publishes the readiness of sockets, like events of the operating system, and wakes their waiters. Each entry is
    /// the token of a socket and its [bits](super::readiness). A socket that is gone is skipped.
    pub(crate) fn make_ready(&self, ready: impl Iterator<Item = (usize, u32)> + Clone) {
        let events = ready.map(|(token, bits)| (Token(token), bits));
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
        (true, false) => Some(not_simulated()),
        (false, true) => Some(io::Error::new(
            io::ErrorKind::Unsupported,
            "a simulated socket belongs to its host: use it inside the simulation",
        )),
    }
}

/// Returns the error of a wait for the events of a simulated host.
#[cold]
pub(super) fn no_queue() -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        "a simulated host has no event queue: only its simulation can run it",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reactor::proc_net::Connecting;
    use crate::reactor::readiness::{Direction, READABLE, WRITABLE};
    use crate::reactor::source::{InitialState, Source};
    use crate::waiter::Tag;
    use mio::{Interest, Registry};

    /// A socket that remembers its token.
    #[derive(Debug)]
    struct Fake {
        /// The token of its registration.
        token: usize,
        /// Whether it claims to be simulated.
        is_simulated: bool,
    }

    impl mio::event::Source for Fake {
        fn register(&mut self, _: &Registry, token: Token, _: Interest) -> io::Result<()> {
            self.token = token.0;
            Ok(())
        }

        fn reregister(&mut self, _: &Registry, _: Token, _: Interest) -> io::Result<()> {
            Ok(())
        }

        fn deregister(&mut self, _: &Registry) -> io::Result<()> {
            Ok(())
        }
    }

    impl Io for Fake {
        fn describe(&self, _: Direction, _: &Connecting) -> String {
            String::from("a fake")
        }

        fn is_simulated(&self) -> bool {
            self.is_simulated
        }
    }

    /// Registers a socket.
    fn register(reactor: &Reactor, is_simulated: bool) -> io::Result<Arc<Source<Fake>>> {
        let fake = Fake {
            token: 0,
            is_simulated,
        };
        let registered = reactor
            .sources()
            .register(fake, InitialState::Created, Tag::NONE);
        registered.map_err(|(_, error)| error)
    }

    /// Returns whether an operation on a socket is tried in a direction.
    fn is_tried(source: &Source<Fake>, direction: Direction) -> bool {
        let tried = source.try_op(direction, |_, _| {
            Ok(((), crate::reactor::platform::Conclusion::Nothing))
        });
        tried.is_ok()
    }

    #[test]
    fn readiness_that_the_driver_publishes_is_that_of_an_event() {
        let reactor = Reactor::of_host(Arc::default(), None).unwrap();
        let (one, two) = (
            register(&reactor, true).unwrap(),
            register(&reactor, true).unwrap(),
        );
        assert!(!is_tried(&one, Direction::Read));
        let ready = [
            (one.io().token, READABLE),
            (usize::MAX, READABLE),
            (two.io().token, WRITABLE),
        ];
        reactor.make_ready(ready.into_iter());
        assert!(is_tried(&one, Direction::Read) && !is_tried(&one, Direction::Write));
        assert!(is_tried(&two, Direction::Write) && !is_tried(&two, Direction::Read));
    }

    #[test]
    fn a_host_takes_simulated_sockets_and_other_runtimes_take_real_ones() {
        let (host, real) = (
            Reactor::of_host(Arc::default(), None).unwrap(),
            Reactor::new(Arc::default(), None).unwrap(),
        );
        assert!(register(&host, true).is_ok() && register(&real, false).is_ok());
        for refused in [register(&host, false), register(&real, true)] {
            assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::Unsupported);
        }
    }

    #[test]
    fn a_host_waits_for_no_events() {
        let host = Reactor::of_host(Arc::default(), None).unwrap();
        assert_eq!(
            host.turn(None).unwrap_err().kind(),
            io::ErrorKind::Unsupported
        );
    }

    #[test]
    fn all_hosts_share_one_registry() {
        let hosts = [(); 3].map(|()| Reactor::of_host(Arc::default(), None).unwrap());
        assert!(
            hosts
                .iter()
                .all(|host| Arc::ptr_eq(&host.registry, &hosts[0].registry))
        );
    }
}
