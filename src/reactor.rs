//! The reactor: file descriptors, what they are ready for, and whom to wake.
//!
//! The loop in [`event_loop`](crate::event_loop) turns it; sockets register with it. It knows wakers,
//! never tasks. Every descriptor is registered once, edge-triggered and for both directions, and
//! stays registered until it is closed, so that waiting costs no syscall.
//!
//! An event carries a token made of the index and the generation of the source's slot: one that
//! comes late, for a socket that is closed, finds nothing.

pub(crate) mod readiness;
pub(crate) mod platform;
pub(crate) mod proc_net;
pub(crate) mod refusal;
pub(crate) mod source;
pub(crate) mod waiters;

use self::platform::AsRaw;
use self::proc_net::Connecting;
use self::readiness::Direction;
use self::source::{Origin, Source, runtime_ended};
use self::waiters::{Common, Taken};
use crate::foreign::trace;
use crate::primitives::{Mutex, lock};
use crate::slab::{Key, Slab};
use crate::waiter::Seen;
use futures_task::ArcWake;
use mio::{Events, Poll, Token};
use std::cell::RefCell;
use std::fmt::Debug;
use std::io;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

/// How many events one turn takes from the operating system; what does not fit comes with the
/// next. Enough that a thousand connections cost one call, in 12 KiB.
const EVENTS: usize = 1024;

/// The longest that is waited in one call. A deadline further away takes several: kqueue of macOS
/// refuses waits of more than three years, and `epoll_wait(2)` takes at most 25 days.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// The token of the `mio::Waker` that ends a park from another thread.
const UNPARK: Token = Token(usize::MAX);

/// Where the generation begins in a token: half way up, or, where a word is short, after the
/// 2²⁰ descriptors that such a machine may have.
const GENERATION_SHIFT: u32 = if usize::BITS >= 64 { 32 } else { 20 };

/// The token of a source.
fn token(key: Key) -> Token {
    Token(key.index() | (key.generation() as usize) << GENERATION_SHIFT)
}

/// The position that a token names.
fn index(token: Token) -> usize {
    token.0 & ((1 << GENERATION_SHIFT) - 1)
}

/// What a registered descriptor is to those who do not know its type.
pub(crate) trait Io: Debug + Send + Sync {
    /// Says in words what somebody does who waits for it.
    fn describe(&self, direction: Direction, connecting: &Connecting) -> String;
}

/// The part of the reactor that belongs to the loop.
pub(crate) struct Reactor {
    /// The queue of the operating system, and the events of this turn.
    queue: RefCell<Queue>,
    /// Those who are to be woken in this turn; empty between turns, kept for its room.
    taken: RefCell<Taken>,
    /// The part that sockets see, from any thread.
    sources: Arc<Sources>,
    /// Ends the park of this reactor's loop.
    unparker: Arc<Unparker>,
}

/// What a turn needs of mio.
struct Queue {
    /// The queue of the operating system.
    poll: Poll,
    /// What came out of it last.
    events: Events,
}

/// All registered descriptors; reached from any thread.
pub(crate) struct Sources {
    /// What all waiters have in common: how many there are, and the round of the run queue.
    common: Common,
    /// The way into the queue; `None` once the runtime has ended. Its lock is held from the choice of a
    /// key to the entry in the slab, and whenever the slab changes. mio may log while it is held, if
    /// somebody has asked it to.
    entrance: Mutex<Option<Entrance>>,
    /// The sources, by their keys. Its lock is taken after the other one, if both are, and never held
    /// while anything is logged, so that a logger may ask for numbers.
    registered: Mutex<Registered>,
}

/// What it takes to register a descriptor.
struct Entrance {
    /// The queue of the operating system.
    registry: mio::Registry,
    /// The key that the next source gets, so that a registration need not ask the slab for it first.
    next: Key,
}

/// What stands under the lock.
struct Registered {
    /// The sources, by their keys.
    slab: Slab<Arc<Source<dyn Io>>>,
}

impl Registered {
    /// The source that a token names, unless it is gone.
    fn source(&self, wanted: Token) -> Option<&Arc<Source<dyn Io>>> {
        let (key, source) = self.slab.at(index(wanted))?;
        (token(key) == wanted).then_some(source)
    }
}

/// Ends the park of a loop; the `Waker` that the inbox holds.
struct Unparker {
    /// `None` once the runtime has ended: whoever keeps a handle keeps no descriptor open.
    waker: Mutex<Option<mio::Waker>>,
}

impl ArcWake for Unparker {
    fn wake_by_ref(this: &Arc<Self>) {
        let woken = match &*lock(&this.waker) {
            Some(waker) => waker.wake(),
            None => Ok(()),
        };
        if let Err(error) = woken {
            log::error!(target: "glassfrog::reactor", "waking the loop failed: {error}");
        }
    }
}

impl Reactor {
    /// A reactor without sources.
    ///
    /// # Errors
    ///
    /// Where the operating system has no descriptor or memory left for its queue.
    pub(crate) fn new() -> io::Result<Reactor> {
        let poll = Poll::new()?;
        let unparker = mio::Waker::new(poll.registry(), UNPARK)?;
        let registry = poll.registry().try_clone()?;
        let slab = Slab::new();
        let next = slab.next_key();
        Ok(Reactor {
            queue: RefCell::new(Queue {
                poll,
                events: Events::with_capacity(EVENTS),
            }),
            taken: RefCell::default(),
            sources: Arc::new(Sources {
                common: Common::default(),
                entrance: Mutex::new(Some(Entrance { registry, next })),
                registered: Mutex::new(Registered { slab }),
            }),
            unparker: Arc::new(Unparker {
                waker: Mutex::new(Some(unparker)),
            }),
        })
    }

    /// The part that sockets see.
    pub(crate) fn sources(&self) -> &Arc<Sources> {
        &self.sources
    }

    /// A waker that ends the park of the loop, from any thread.
    pub(crate) fn unparker(&self) -> Waker {
        futures_task::waker(Arc::clone(&self.unparker))
    }

    /// Waits for events, at most for `timeout` (`None`: as long as it takes), and wakes those who
    /// waited for them. Returns how many events there were.
    ///
    /// # Panics
    ///
    /// If the queue has become unusable, which takes somebody who closes descriptors that are not
    /// theirs.
    pub(crate) fn turn(&self, timeout: Option<Duration>) -> usize {
        let count = {
            let queue = &mut *self.queue.borrow_mut();
            let timeout = timeout.map(|timeout| timeout.min(LONGEST_WAIT));
            match queue.poll.poll(&mut queue.events, timeout) {
                Ok(()) => {
                    let taken = &mut self.taken.borrow_mut();
                    self.sources.publish(&queue.events, taken)
                }
                // A signal ended the wait; the loop goes round and comes back.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
                Err(error) => panic!("the event queue of the operating system failed: {error}"),
            }
        };
        if log::log_enabled!(target: "glassfrog::reactor", log::Level::Trace) {
            self.tell_events();
        }
        Taken::wake(&self.taken);
        count
    }

    /// Logs what the last events were.
    fn tell_events(&self) {
        let events: Vec<(usize, Token)> = {
            let queue = self.queue.borrow();
            let events = queue.events.iter();
            events
                .map(|event| (platform::bits_of(event), event.token()))
                .collect()
        };
        let connecting = Connecting::unknown();
        let mut told = Vec::new();
        for (bits, token) in events {
            let registered = lock(&self.sources.registered);
            if let Some(source) = registered.source(token) {
                let directions = [Direction::Read, Direction::Write].into_iter();
                let ready = directions.filter(|direction| bits & direction.bit() != 0);
                told.extend(ready.map(|direction| source.io().describe(direction, &connecting)));
            }
        }
        for what in told {
            trace!("glassfrog::reactor", "event: ready to {what}");
        }
    }

    /// Ends the reactor: what survives of its sockets answers with an error from now on.
    pub(crate) fn shut_down(&self) {
        let entrance = lock(&self.sources.entrance).take();
        {
            let mut registered = lock(&self.sources.registered);
            let taken = &mut self.taken.borrow_mut();
            // Each socket has the other reference to its source, and the last one to drop.
            for source in registered.slab.drain() {
                source.kill(taken);
            }
            self.sources.common.subtract(taken.len());
        }
        Taken::wake(&self.taken);
        drop(entrance);
        drop(lock(&self.unparker.waker).take());
    }
}

impl Sources {
    /// Watches a descriptor. Where this fails, it comes back with the error.
    ///
    /// # Errors
    ///
    /// Where the operating system has no room for another registration (`epoll_ctl(2)`), and once
    /// the runtime has ended.
    pub(crate) fn register<S>(
        &self,
        mut io: S,
        origin: Origin,
    ) -> Result<Arc<Source<S>>, (S, io::Error)>
    where
        S: mio::event::Source + Io + 'static,
    {
        let mut entrance = lock(&self.entrance);
        let Some(Entrance { registry, next }) = &mut *entrance else {
            return Err((io, runtime_ended()));
        };
        if let Err(error) = registry.register(&mut io, token(*next), platform::interest()) {
            return Err((io, error));
        }
        let source = Arc::new(Source::new(io, origin, *next));
        let mut registered = lock(&self.registered);
        registered.slab.insert(Arc::clone(&source) as Arc<_>);
        *next = registered.slab.next_key();
        Ok(source)
    }

    /// Stops watching a descriptor that is about to be closed or handed over.
    pub(crate) fn deregister<S: AsRaw>(&self, source: &Source<S>) {
        // The operating system has refused it, or knows it through another one.
        if source.key() == Key::NONE {
            return;
        }
        let mut entrance = lock(&self.entrance);
        let mut registered = lock(&self.registered);
        let removed = registered.slab.remove(source.key());
        registered.slab.shrink();
        if let Some(Entrance { next, .. }) = &mut *entrance {
            *next = registered.slab.next_key();
        }
        drop(registered);
        if source.is_shared()
            && let Some(Entrance { registry, .. }) = &*entrance
        {
            platform::deregister(registry, source.io());
        }
        drop(entrance);
        drop(removed);
        // Wakers of poll methods may still be in it, to be dropped with the socket.
        self.common.subtract(source.waited_for());
    }

    /// How many sockets there are.
    pub(crate) fn len(&self) -> usize {
        lock(&self.registered).slab.len()
    }

    /// Who waits for what.
    pub(crate) fn look(&self) -> Vec<(Seen, String)> {
        let connecting = Connecting::default();
        let mut seen = Vec::new();
        // Under the lock, and not with clones: who takes a socket out of the runtime has to have the
        // only one.
        let registered = lock(&self.registered);
        for key in registered.slab.keys() {
            if let Some((_, source)) = registered.slab.at(key.index()) {
                for (direction, waiter) in source.waiting() {
                    seen.push((waiter, source.io().describe(direction, &connecting)));
                }
            }
        }
        seen
    }

    /// Returns whether anybody waits for a descriptor, without a look at any of them.
    pub(crate) fn has_waiters(&self) -> bool {
        self.common.is_waited_for()
    }

    /// Notes which round the run queue is in: one more has begun whenever all tasks that were ready
    /// have been polled. The loop calls this, on its own thread.
    pub(crate) fn set_round(&self, round: u32) {
        self.common.set_round(round);
    }

    /// What all waiters have in common.
    fn common(&self) -> &Common {
        &self.common
    }

    /// Passes events on to their sources. Returns how many there were.
    fn publish(&self, events: &Events, taken: &mut Taken) -> usize {
        let mut count = 0;
        let mut unknown = Vec::new();
        {
            let registered = lock(&self.registered);
            for event in events {
                count += 1;
                match registered.source(event.token()) {
                    Some(source) => source.publish(platform::bits_of(event), taken),
                    None if event.token() == UNPARK => {}
                    None => unknown.push((event.token(), platform::bits_of(event))),
                }
            }
        }
        if !unknown.is_empty() {
            self.publish_late(unknown, taken);
        }
        self.common.subtract(taken.len());
        count
    }

    /// Passes on the events whose sources were not found: another thread is registering the source, or
    /// it is gone.
    #[cold]
    fn publish_late(&self, unknown: Vec<(Token, usize)>, taken: &mut Taken) {
        // Who registers holds this lock until the source is found.
        let _entrance = lock(&self.entrance);
        let registered = lock(&self.registered);
        for (token, bits) in unknown {
            if let Some(source) = registered.source(token) {
                source.publish(bits, taken);
            }
        }
    }
}
