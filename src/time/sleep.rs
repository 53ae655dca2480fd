//! [`Sleep`]: waiting for a moment.

use crate::context;
use crate::executor::local;
use crate::runtime::Shared;
use crate::slab::Key;
use crate::timers::Look;
use crate::waiter::trace;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

/// How far away "never" is, where a duration leads out of what an `Instant` can say: a thousand years,
/// and so more than the timers count.
const FAR_AWAY: Duration = Duration::from_secs(1000 * 365 * 24 * 60 * 60);

/// The moment a duration after `start`, or, where that cannot be said, one that is as good as never.
pub(super) fn far_enough(start: Instant, duration: Duration) -> Instant {
    start
        .checked_add(duration)
        .unwrap_or_else(|| start + FAR_AWAY)
}

/// Waits for a duration, from now on. Not from the first poll on.
///
/// As the argument of `block_on` it is made before there is a runtime: write
/// `block_on(async { sleep(duration).await })`.
///
/// A duration that leads out of what an [`Instant`] can say is as good as for ever.
///
/// # Panics
///
/// Outside a runtime.
///
/// # Cancel safety
///
/// Dropping the sleep takes it out of the timers.
///
/// # Examples
///
/// ```
/// use glassfrog::time::{now, sleep};
/// use std::time::Duration;
///
/// glassfrog::block_on(async {
///     let before = now();
///     sleep(Duration::from_millis(2)).await;
///     assert!(now() - before >= Duration::from_millis(2));
/// });
/// ```
#[track_caller]
pub fn sleep(duration: Duration) -> Sleep {
    let core = context::current();
    let deadline = far_enough(core.shared.clock.now(), duration);
    Sleep::new(Arc::clone(&core.shared), deadline)
}

/// Waits for a moment. One that has passed is as good as now.
///
/// # Panics
///
/// Outside a runtime.
///
/// # Cancel safety
///
/// Dropping the sleep takes it out of the timers.
///
/// # Examples
///
/// ```
/// use glassfrog::time::{now, sleep_until};
/// use std::time::Duration;
///
/// glassfrog::block_on(async {
///     let deadline = now() + Duration::from_millis(2);
///     sleep_until(deadline).await;
///     assert!(now() >= deadline);
/// });
/// ```
#[track_caller]
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep::new(Arc::clone(&context::current().shared), deadline)
}

/// The future of [`sleep`] and [`sleep_until`].
///
/// It belongs to the runtime that it was made in, may be polled on any thread and under any
/// executor while that runs, and costs nothing before its first poll.
///
/// # Panics
///
/// Polling panics once that runtime has ended: nobody would ever wake the sleeper.
///
/// # Examples
///
/// ```
/// use glassfrog::time::sleep;
/// use std::time::Duration;
///
/// glassfrog::block_on(async {
///     let nap = sleep(Duration::from_millis(1));
///     println!("until {:?}", nap.deadline());
///     nap.await;
/// });
/// ```
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct Sleep {
    /// When it ends.
    deadline: Instant,
    /// How far it is.
    state: State,
    /// The runtime whose timers it uses.
    shared: Arc<Shared>,
}

/// How far a sleep is.
///
/// ```text
///          first poll                  fired
///    New ------------> Registered ------------> Elapsed
///     ^                 | ^   | reset                |
///     |                 | +---+                      |
///     +-----------------|-------- reset -------------+
///                       | dropped: taken out of the timers
/// ```
#[derive(Clone, Copy)]
enum State {
    /// Never polled; the timers know nothing of it.
    New,
    /// Registered with the timers, and not known to have fired.
    Registered(Key),
    /// Over.
    Elapsed,
}

impl Sleep {
    /// A sleep by the timers of a runtime.
    pub(crate) fn new(shared: Arc<Shared>, deadline: Instant) -> Sleep {
        Sleep {
            deadline,
            state: State::New,
            shared,
        }
    }

    /// When it ends.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::time::{now, sleep_until};
    ///
    /// glassfrog::block_on(async {
    ///     let deadline = now();
    ///     assert_eq!(sleep_until(deadline).deadline(), deadline);
    /// });
    /// ```
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Whether the deadline has passed.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::time::{now, sleep, sleep_until};
    /// use std::time::Duration;
    ///
    /// glassfrog::block_on(async {
    ///     assert!(sleep_until(now()).is_elapsed());
    ///     assert!(!sleep(Duration::from_secs(60)).is_elapsed());
    /// });
    /// ```
    pub fn is_elapsed(&self) -> bool {
        self.now() >= self.deadline
    }

    /// Moves the deadline, whether it has passed or not. Whoever awaits the sleep goes on waiting,
    /// for the new one; after it has been ready, it is to be polled again.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::time::{now, sleep};
    /// use std::time::Duration;
    ///
    /// glassfrog::block_on(async {
    ///     let mut nap = sleep(Duration::from_secs(60));
    ///     let deadline = now() + Duration::from_millis(1);
    ///     nap.reset(deadline);
    ///     (&mut nap).await;
    ///     assert!(now() >= deadline);
    /// });
    /// ```
    pub fn reset(&mut self, deadline: Instant) {
        self.deadline = deadline;
        self.state = match self.state {
            State::Registered(key) => match self.shared.timers.reset(key, deadline) {
                Look::Waiting { key, earliest } => {
                    self.nudge(earliest);
                    State::Registered(key)
                }
                // The next poll registers it, or says that the runtime has ended.
                Look::Fired | Look::Ended => State::New,
            },
            State::New | State::Elapsed => State::New,
        };
    }

    /// The time of the runtime that it belongs to.
    pub(super) fn now(&self) -> Instant {
        self.shared.clock.now()
    }

    /// Ends the park of the loop if this has become its next deadline. On the loop's own thread it does
    /// not park meanwhile.
    fn nudge(&self, earliest: bool) {
        if earliest && !local::is_here(&self.shared.inbox) {
            self.shared.inbox.nudge();
        }
    }
}

/// The runtime of a sleep has ended: nobody will ever wake it.
#[derive(Debug)]
pub(crate) struct Ended;

impl Sleep {
    /// Waits for the deadline, or for the end of the runtime.
    pub(crate) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Ended>> {
        let timers = &self.shared.timers;
        let tag = self.shared.current_tag();
        let look = match self.state {
            State::New => timers.insert(self.deadline, cx.waker().clone(), tag),
            State::Registered(key) => timers.look_again(key, cx.waker(), tag),
            State::Elapsed => return Poll::Ready(Ok(())),
        };
        match look {
            Look::Waiting { key, earliest } => {
                self.nudge(earliest);
                self.state = State::Registered(key);
                trace!(
                    "glassfrog::time",
                    "the waker is left with the timers for {:?}",
                    self.deadline.saturating_duration_since(self.now())
                );
                Poll::Pending
            }
            Look::Fired => {
                trace!("glassfrog::time", "the deadline has come");
                self.state = State::Elapsed;
                Poll::Ready(Ok(()))
            }
            Look::Ended => Poll::Ready(Err(Ended)),
        }
    }
}

impl Future for Sleep {
    type Output = ();

    #[track_caller]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match ready!(self.poll_end(cx)) {
            Ok(()) => Poll::Ready(()),
            Err(Ended) => panic!("the runtime of this sleep has ended: nobody will ever wake it"),
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let State::Registered(key) = self.state {
            self.shared.timers.remove(key);
        }
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep")
            .field("deadline", &self.deadline)
            .field("elapsed", &matches!(self.state, State::Elapsed))
            .finish_non_exhaustive()
    }
}
