//! [`Sleep`]: waiting for a moment.

use crate::context;
use crate::event_loop::Shared;
use crate::executor::budget::{may_overdraw, overdraw};
use crate::executor::current;
use crate::foreign::trace;
use crate::slab::Key;
use crate::timers::TimerState;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

/// How far away "never" is, where an `Instant` cannot hold the sum: a thousand years, which is more than
/// the timers count.
const FAR_AWAY: Duration = Duration::from_secs(1000 * 365 * 24 * 60 * 60);

/// The moment a duration after `start`, or one that never comes if an `Instant` cannot hold it.
pub(super) fn far_enough(start: Instant, duration: Duration) -> Instant {
    start
        .checked_add(duration)
        .unwrap_or_else(|| start + FAR_AWAY)
}

/// Waits for a duration, which counts from this call and not from the first poll.
///
/// The argument of `block_on` is made before there is a runtime, so `block_on(sleep(duration))` panics:
/// write `block_on(async { sleep(duration).await })`.
///
/// A sleep whose deadline lies more than 584 years after its runtime was made never ends. So
/// `sleep(Duration::MAX)` waits for ever.
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

/// Waits for a moment.
///
/// If the moment has passed, the sleep ends in the next turn of the loop. It ends at once where the poll
/// has [spent its budget](crate::task#fairness): a loop that awaits either an operation or
/// `sleep_until(deadline)` in each round ends soon after the deadline, even if every operation succeeds
/// at once.
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
    let mut sleep = Sleep::new(Arc::clone(&context::current().shared), deadline);
    sleep.is_moment = true;
    sleep
}

/// The future of [`sleep`] and [`sleep_until`].
///
/// It belongs to the runtime in which it was made. While that runs, any thread and any executor may poll
/// it. The runtime does not know of it before the first poll.
///
/// # Panics
///
/// Polling panics once the runtime has ended: nothing would ever wake the task.
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
    /// Whether the caller named the deadline, which may then have passed before. A sleep for a duration
    /// begins when it is made.
    is_moment: bool,
    /// How far it is.
    state: State,
    /// The runtime whose timers it uses.
    shared: Arc<Shared>,
}

/// How far a sleep is.
///
/// ```text
///      |            first poll: overdue, and the budget is spent
///      |     +-----------------------------------------------+
///      v     |                                               v
///    New ----+-------> Registered ----------------------> Elapsed
///     ^    first poll     | ^   | reset      fired           |
///     |                   | +---+                            |
///     +-------------------|------------ reset ---------------+
///                         | dropped: taken out of the timers
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
    /// A sleep from now on, by the timers of a runtime.
    pub(crate) fn new(shared: Arc<Shared>, deadline: Instant) -> Sleep {
        Sleep {
            deadline,
            is_moment: false,
            state: State::New,
            shared,
        }
    }

    /// Returns when it ends.
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

    /// Returns whether the deadline has passed.
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

    /// Moves the deadline, whether it has passed or not.
    ///
    /// A task that awaits the sleep goes on waiting, until the new deadline. A sleep that has ended can
    /// be awaited again.
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
        self.is_moment = true;
        self.state = match self.state {
            State::Registered(key) => match self.shared.timers.reset(key, deadline) {
                TimerState::Waiting { key, earliest } => {
                    self.nudge(earliest);
                    State::Registered(key)
                }
                // The next poll registers it, or says that the runtime has ended.
                TimerState::Fired | TimerState::Ended => State::New,
            },
            State::New | State::Elapsed => State::New,
        };
    }

    /// The time of the runtime that it belongs to.
    pub(super) fn now(&self) -> Instant {
        self.shared.clock.now()
    }

    /// Whether the sleep ends in its first poll: the deadline has passed, and the poll of the task has
    /// spent its budget.
    ///
    /// A caller that makes a new sleep for each operation, all of which succeed at once, polls a sleep only
    /// when an operation was put off, and drops it in the task's next poll without another look. If the
    /// sleep registered, nobody would ever see it end.
    ///
    /// A sleep for a duration registers all the same. The caller of `timeout(Duration::ZERO, ..)` wants an
    /// operation tried, and one that was put off has not been.
    fn is_overdue(&self) -> bool {
        let ends = self.is_moment
            && may_overdraw()
            && self.is_elapsed()
            && !self.shared.timers.have_ended();
        if ends {
            overdraw();
        }
        ends
    }

    /// Ends the park of the loop if this has become its next deadline. On the loop's own thread it does
    /// not park meanwhile.
    fn nudge(&self, earliest: bool) {
        if earliest && !current::is_here(&self.shared.inbox) {
            self.shared.inbox.nudge();
        }
    }
}

/// The runtime of a sleep has ended: nobody will ever wake it.
#[derive(Debug)]
pub(crate) struct RuntimeEnded;

impl Sleep {
    /// Waits for the deadline, or for the end of the runtime.
    pub(crate) fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), RuntimeEnded>> {
        let timers = &self.shared.timers;
        let tag = self.shared.current_tag();
        let look = match self.state {
            State::New if self.is_overdue() => TimerState::Fired,
            State::New => timers.insert(self.deadline, cx.waker().clone(), tag),
            State::Registered(key) => timers.check(key, cx.waker(), tag),
            State::Elapsed => return Poll::Ready(Ok(())),
        };
        match look {
            TimerState::Waiting { key, earliest } => {
                self.nudge(earliest);
                self.state = State::Registered(key);
                trace!(
                    "glassfrog::time",
                    "the waker is left with the timers for {:?}",
                    self.deadline.saturating_duration_since(self.now())
                );
                Poll::Pending
            }
            TimerState::Fired => {
                trace!("glassfrog::time", "the deadline has come");
                self.state = State::Elapsed;
                Poll::Ready(Ok(()))
            }
            TimerState::Ended => Poll::Ready(Err(RuntimeEnded)),
        }
    }
}

impl Future for Sleep {
    type Output = ();

    #[track_caller]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match ready!(self.poll_deadline(cx)) {
            Ok(()) => Poll::Ready(()),
            Err(RuntimeEnded) => {
                panic!("the runtime of this sleep has ended: nobody will ever wake it")
            }
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
