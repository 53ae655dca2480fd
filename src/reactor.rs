//! The reactor: file descriptors, their readiness, and the wakers to call when it changes.
//!
//! The loop in [`event_loop`](crate::event_loop) turns the reactor, and sockets register with it. The
//! reactor knows wakers, not tasks. Each descriptor is registered once, edge-triggered and for both
//! directions, and stays registered until it is closed, so waiting costs no syscall.
//!
//! An event carries a token made of the index and the generation of the source's slot. A late event for a
//! socket that has been closed therefore finds no source.

pub(crate) mod attempts;
#[cfg(feature = "sim")]
pub(crate) mod host;
pub(crate) mod opened;
pub(crate) mod readiness;
pub(crate) mod platform;
pub(crate) mod proc_net;
mod queue;
pub(crate) mod refusal;
pub(crate) mod source;
pub(crate) mod waiters;
#[cfg(unix)]
pub(crate) mod watched;

use self::opened::Opened;
use self::platform::AsRaw;
use self::proc_net::Connecting;
use self::queue::Queue;
use self::readiness::Direction;
use self::refusal::runtime_ended;
use self::source::{InitialState, Source};
use self::waiters::{Taken, WaitCounters};
use crate::foreign::{swallow_panics, trace};
use crate::primitives::{AtomicU32, Mutex, lock};
use crate::slab::{Key, Slab};
use crate::timeline::recorder::Recorder;
use crate::waiter::{Tag, Tries, WaiterInfo};
use futures_task::ArcWake;
use mio::{Events, Token};
use std::cell::RefCell;
use std::fmt::Debug;
use std::io;
use std::iter;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

/// The longest wait in one call. A later deadline takes several calls: kqueue of macOS refuses to
/// wait for more than three years, and `epoll_wait(2)` waits for at most 25 days.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// The token of the `mio::Waker` that ends a park from another thread.
const UNPARK: Token = Token(usize::MAX);

/// The bit of a token at which the generation begins: the middle of a word of 64 bits. In a shorter
/// word, it leaves room for the 2²⁰ descriptors that such a machine may have.
const GENERATION_SHIFT: u32 = if usize::BITS >= 64 { 32 } else { 20 };

/// Returns the token of a source.
fn token(key: Key) -> Token {
    Token(key.index() | (key.generation() as usize) << GENERATION_SHIFT)
}

/// Returns the index of the slot that a token names.
fn index(token: Token) -> usize {
    token.0 & ((1 << GENERATION_SHIFT) - 1)
}

/// Returns the tokens of events, and the bits of readiness that they set.
fn bits_of(events: &Events) -> impl Iterator<Item = (Token, u32)> {
    let events = events.iter();
    events.map(|event| (event.token(), platform::bits_of(event)))
}

/// A descriptor of any type, as the reactor sees it.
pub(crate) trait Io: Debug + Send + Sync {
    /// Describes the operation of a task that waits in this direction.
    fn describe(&self, direction: Direction, connecting: &Connecting) -> String;

    /// Describes the operation for a descriptor that this crate has created, and that no other code has had. Its type
    /// needs no inspection.
    fn describe_own(&self, direction: Direction, connecting: &Connecting) -> String {
        self.describe(direction, connecting)
    }

    /// Returns whether the descriptor is a simulated socket, which no queue of the operating system watches.
    #[cfg(feature = "sim")]
    fn is_simulated(&self) -> bool {
        false
    }
}

/// The part of the reactor that belongs to the loop.
pub(crate) struct Reactor {
    /// The queue of the operating system, and the events of this turn.
    queue: RefCell<Queue>,
    /// The waiters to wake in this turn. Empty between turns, and kept for its capacity.
    taken: RefCell<Taken>,
    /// The part that sockets use, from any thread.
    sources: Arc<Sources>,
    /// Ends the park of the loop that turns this reactor.
    unparker: Arc<Unparker>,
    /// The other reference to the way into the queue. Its descriptor is pollable like that of a socket.
    registry: Arc<mio::Registry>,
}

/// The registered descriptors, which sockets reach from any thread.
pub(crate) struct Sources {
    /// The counters that all wait queues share.
    counters: WaitCounters,
    /// The registrar; `None` once the runtime has ended. Its lock is held from the choice of a key to
    /// the insertion into the slab, and whenever the slab changes. mio may log while it is held, if
    /// another crate enables mio's feature `log`.
    registrar: Mutex<Option<Registrar>>,
    /// The sources, by their keys. A thread that takes both locks takes this one second, and logs
    /// nothing while it holds it, so a logger may request metrics.
    registered: Mutex<Registered>,
    /// Records the timeline, if the runtime has one.
    recorder: Option<Arc<Recorder>>,
}

/// Registers descriptors.
struct Registrar {
    /// The queue of the operating system.
    registry: Arc<mio::Registry>,
    /// The key of the next source. Kept here so that a registration locks the slab only once.
    next: Key,
    /// The newest registrations, for dumps.
    opened: Opened,
    /// Whether the runtime is a simulated host, which has simulated sockets only.
    #[cfg(feature = "sim")]
    is_host: bool,
}

impl Registrar {
    /// Returns whether the operating system watches the descriptors.
    fn knows_descriptors(&self) -> bool {
        #[cfg(feature = "sim")]
        return !self.is_host;
        #[cfg(not(feature = "sim"))]
        return true;
    }
}

/// The waiter of a source, for dumps.
pub(crate) struct SourceWaiter {
    /// The key of the source.
    pub(crate) key: Key,
    /// The direction for which it waits.
    pub(crate) direction: Direction,
    /// The task and its waker.
    pub(crate) waiter: WaiterInfo,
    /// A description of the operation.
    pub(crate) text: String,
    /// How often the task has given up and completed such operations.
    pub(crate) tries: Tries,
}

/// The sources, under their lock.
struct Registered {
    /// The sources, by their keys.
    slab: Slab<Arc<Source<dyn Io>>>,
}

impl Registered {
    /// Returns the source that a token names, unless it is gone.
    fn source(&self, wanted: Token) -> Option<&Arc<Source<dyn Io>>> {
        let (key, source) = self.slab.at(index(wanted))?;
        (token(key) == wanted).then_some(source)
    }
}

/// Ends the park of a loop. The inbox holds it as a `Waker`.
struct Unparker {
    /// `None` before it is set, and once the runtime has ended, so that a handle keeps no descriptor open.
    waker: Mutex<Option<mio::Waker>>,
}

impl ArcWake for Unparker {
    fn wake_by_ref(this: &Arc<Self>) {
        let woken = match &*lock(&this.waker) {
            Some(waker) => waker.wake(),
            None => Ok(()),
        };
        if let Err(error) = woken {
            swallow_panics(|| {
                log::error!(target: "glassfrog::reactor", "waking the loop failed: {error}");
            });
        }
    }
}

impl Reactor {
    /// Creates a reactor without sources, for a loop whose run queue counts its rounds in `rounds` and which has this
    /// recorder.
    ///
    /// # Errors
    ///
    /// Returns an error if the operating system has no descriptor or memory left for its queue.
    pub(crate) fn new(
        rounds: Arc<AtomicU32>,
        recorder: Option<Arc<Recorder>>,
    ) -> io::Result<Reactor> {
        let (queue, registry) = Queue::new()?;
        let reactor = Reactor::with_queue(queue, registry, rounds, recorder);
        let waker = mio::Waker::new(&reactor.registry, UNPARK)?;
        lock(&reactor.unparker.waker).replace(waker);
        Ok(reactor)
    }

    /// Creates a reactor whose park nothing ends yet.
    fn with_queue(
        queue: Queue,
        registry: Arc<mio::Registry>,
        rounds: Arc<AtomicU32>,
        recorder: Option<Arc<Recorder>>,
    ) -> Reactor {
        let slab = Slab::new();
        let next = slab.next_key();
        Reactor {
            queue: RefCell::new(queue),
            taken: RefCell::default(),
            sources: Arc::new(Sources {
                counters: WaitCounters::new(rounds),
                registrar: Mutex::new(Some(Registrar {
                    registry: Arc::clone(&registry),
                    next,
                    opened: Opened::default(),
                    #[cfg(feature = "sim")]
                    is_host: false,
                })),
                registered: Mutex::new(Registered { slab }),
                recorder,
            }),
            unparker: Arc::new(Unparker {
                waker: Mutex::new(None),
            }),
            registry,
        }
    }

    /// Returns the part that sockets use.
    pub(crate) fn sources(&self) -> &Arc<Sources> {
        &self.sources
    }

    /// Returns a waker that ends the park of the loop, from any thread.
    pub(crate) fn unparker(&self) -> Waker {
        futures_task::waker(Arc::clone(&self.unparker))
    }

    /// Waits for events, at most for `timeout` (`None`: without limit), and wakes their waiters. Returns
    /// the number of events.
    ///
    /// # Errors
    ///
    /// Returns an error if the queue has become unusable because other code of the process has closed its
    /// descriptor.
    pub(crate) fn turn(&self, timeout: Option<Duration>) -> io::Result<usize> {
        let count = {
            let queue = &mut *self.queue.borrow_mut();
            let timeout = timeout.map(|timeout| timeout.min(LONGEST_WAIT));
            match queue.wait(timeout) {
                Ok(()) => {
                    let taken = &mut self.taken.borrow_mut();
                    self.sources.publish(&queue.events, taken)
                }
                // A signal interrupted the wait. The loop waits again in its next turn.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    if let Some(recorder) = &self.sources.recorder {
                        self.sources.record(recorder, iter::empty());
                    }
                    0
                }
                Err(error) => return Err(error),
            }
        };
        if log::max_level() == log::LevelFilter::Trace {
            // The events have left the queue, so a panic of the logger must not lose the wakes.
            let events: Vec<_> = bits_of(&self.queue.borrow().events).collect();
            swallow_panics(|| self.log_events(events.into_iter()));
        }
        Taken::wake(&self.taken);
        Ok(count)
    }

    /// Logs events, if the logger wants them.
    #[cold]
    fn log_events(&self, events: impl Iterator<Item = (Token, u32)>) {
        if !log::log_enabled!(target: "glassfrog::reactor", log::Level::Trace) {
            return;
        }
        let connecting = Connecting::unknown();
        let mut lines = Vec::new();
        for (token, bits) in events {
            let registered = lock(&self.sources.registered);
            if let Some(source) = registered.source(token) {
                let directions = [Direction::Read, Direction::Write].into_iter();
                let ready = directions.filter(|direction| bits & direction.bit() != 0);
                lines.extend(ready.map(|direction| source.io().describe(direction, &connecting)));
            }
        }
        for line in lines {
            trace!("glassfrog::reactor", "event: ready to {line}");
        }
    }

    /// Ends the reactor and wakes all waiters. Every operation on a socket that survives returns an error
    /// from now on.
    pub(crate) fn shut_down(&self) {
        let registrar = lock(&self.sources.registrar).take();
        {
            let mut registered = lock(&self.sources.registered);
            let taken = &mut self.taken.borrow_mut();
            // Each socket holds the other reference to its source, so none is dropped here.
            for source in registered.slab.drain() {
                source.kill(taken);
            }
            self.sources.counters.subtract(taken.len());
        }
        Taken::wake(&self.taken);
        drop(registrar);
        drop(lock(&self.unparker.waker).take());
    }
}

impl Sources {
    /// Registers a descriptor that the task `opener` has opened or accepted.
    ///
    /// # Errors
    ///
    /// Returns the descriptor with an error if the operating system has no room for another registration
    /// (`epoll_ctl(2)`), or if the runtime has ended.
    pub(crate) fn register<S>(
        &self,
        mut io: S,
        initial: InitialState,
        opener: Tag,
    ) -> Result<Arc<Source<S>>, (S, io::Error)>
    where
        S: mio::event::Source + Io + 'static,
    {
        let mut registrar = lock(&self.registrar);
        let Some(Registrar {
            registry,
            next,
            opened,
            #[cfg(feature = "sim")]
            is_host,
        }) = &mut *registrar
        else {
            return Err((io, runtime_ended()));
        };
        #[cfg(feature = "sim")]
        if let Some(error) = host::refusal(*is_host, &io) {
            return Err((io, error));
        }
        if let Err(error) = registry.register(&mut io, token(*next), platform::interest()) {
            return Err((io, error));
        }
        opened.note(opener);
        let source = Arc::new(Source::new(io, initial, *next));
        let mut registered = lock(&self.registered);
        registered.slab.insert(Arc::clone(&source) as Arc<_>);
        *next = registered.slab.next_key();
        Ok(source)
    }

    /// Deregisters a descriptor that is about to be closed or handed out.
    pub(crate) fn deregister<S: AsRaw>(&self, source: &Source<S>) {
        // The operating system has refused the descriptor, or knows it through another source.
        if source.key() == Key::NONE {
            return;
        }
        let mut registrar = lock(&self.registrar);
        let mut registered = lock(&self.registered);
        let removed = registered.slab.remove(source.key());
        registered.slab.shrink();
        if let Some(Registrar { next, .. }) = &mut *registrar {
            *next = registered.slab.next_key();
        }
        drop(registered);
        if source.is_shared()
            && let Some(registrar) = registrar.as_ref().filter(|it| it.knows_descriptors())
        {
            let registry = &registrar.registry;
            // mio may log, and a panic of the logger must not prevent the rest.
            swallow_panics(|| platform::deregister(registry, source.io()));
        }
        drop(registrar);
        drop(removed);
        // The source may still hold the wakers of poll methods. They are dropped with the socket.
        self.counters.subtract(source.nonempty_queues());
        source.forget_attempts(&self.counters);
    }

    /// Returns the number of descriptors that were ever registered.
    pub(crate) fn opened_count(&self) -> u64 {
        let registrar = lock(&self.registrar);
        registrar
            .as_ref()
            .map_or(0, |registrar| registrar.opened.count)
    }

    /// Returns the newest registrations.
    pub(crate) fn opened(&self) -> Opened {
        let registrar = lock(&self.registrar);
        let opened = registrar.as_ref().map(|registrar| &registrar.opened);
        opened.cloned().unwrap_or_default()
    }

    /// Returns the number of sockets.
    pub(crate) fn len(&self) -> usize {
        lock(&self.registered).slab.len()
    }

    /// Returns all waiters, with a description of the operation that each waits for.
    pub(crate) fn waiters(&self) -> Vec<SourceWaiter> {
        self.describe_waiters(Source::waiting)
    }

    /// Returns the wakers that a sweep has kept although they no longer wait, with the operations that
    /// they waited for.
    pub(crate) fn kept_waiters(&self) -> Vec<SourceWaiter> {
        self.describe_waiters(Source::kept)
    }

    /// Describes the wakers that `some` selects from each source.
    fn describe_waiters(
        &self,
        some: impl Fn(&Source<dyn Io>) -> Vec<(Direction, WaiterInfo)>,
    ) -> Vec<SourceWaiter> {
        let connecting = Connecting::default();
        let mut seen = Vec::new();
        // This holds the lock instead of cloning the sources, because a thread that removes a socket from
        // the runtime needs the only reference.
        let registered = lock(&self.registered);
        for (key, source) in registered.slab.iter() {
            for (direction, waiter) in some(source) {
                let io = source.io();
                let text = match source.is_shared() {
                    true => io.describe(direction, &connecting),
                    false => io.describe_own(direction, &connecting),
                };
                seen.push(SourceWaiter {
                    key,
                    direction,
                    waiter,
                    text,
                    tries: source.tries(direction, waiter.tag, &self.counters),
                });
            }
        }
        seen
    }

    /// Returns the waiters of one direction of a source.
    pub(crate) fn waiters_at(&self, key: Key, direction: Direction) -> Vec<WaiterInfo> {
        let mut registered = lock(&self.registered);
        let source = registered.slab.get_mut(key);
        let waiting = source.map(|source| source.waiting()).unwrap_or_default();
        drop(registered);
        let ours = waiting.into_iter().filter(|(of, _)| *of == direction);
        ours.map(|(_, waiter)| waiter).collect()
    }

    /// Returns whether anything waits for a descriptor. This is a single load, however many descriptors
    /// there are.
    pub(crate) fn has_waiters(&self) -> bool {
        self.counters.has_waiters()
    }

    /// Returns the counters that all wait queues share.
    fn counters(&self) -> &WaitCounters {
        &self.counters
    }

    /// Notes for the timeline that the loop has asked for events, and what it got.
    #[cold]
    #[inline(never)]
    fn record(&self, recorder: &Recorder, events: impl Iterator<Item = (Token, u32)>) {
        recorder.end_park();
        let registered = lock(&self.registered);
        for (token, bits) in events {
            let Some(source) = registered.source(token) else {
                continue;
            };
            for direction in [Direction::Read, Direction::Write] {
                if bits & direction.bit() != 0 {
                    recorder.ready(source.key().number(), direction == Direction::Write);
                }
            }
        }
    }

    /// Passes events on to their sources. Returns the number of events.
    fn publish(&self, events: &Events, taken: &mut Taken) -> usize {
        if let Some(recorder) = &self.recorder {
            self.record(recorder, bits_of(events));
        }
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
        self.counters.subtract(taken.len());
        count
    }

    /// Passes on events whose sources were not found: either another thread is registering the source at
    /// this moment, or the source is gone.
    #[cold]
    fn publish_late(&self, unknown: Vec<(Token, u32)>, taken: &mut Taken) {
        // A thread that registers a source holds this lock until the source is in the slab.
        let _registrar = lock(&self.registrar);
        let registered = lock(&self.registered);
        for (token, bits) in unknown {
            if let Some(source) = registered.source(token) {
                source.publish(bits, taken);
            }
        }
    }
}
