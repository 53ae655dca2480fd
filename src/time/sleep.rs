//! [`Sleep`]: waits until a deadline.

use crate::context;
use crate::event_loop::Shared;
use crate::executor::budget::{may_overdraw, overdraw};
use crate::executor::current;
use crate::executor::sampling::note_zero_sleep;
use crate::foreign::trace;
use crate::slab::Key;
use crate::timers::TimerState;
use crate::traces::Slot;
use std::fmt;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

/// The distance of a time that never comes: a thousand years, which is more than the timers count.
const FAR_FUTURE: Duration = Duration::from_secs(1000 * 365 * 24 * 60 * 60);

/// Returns `start + duration`, or a time that never comes if an `Instant` cannot represent the sum.
pub(crate) fn saturating_add(start: Instant, duration: Duration) -> Instant {
    start
        .checked_add(duration)
        .unwrap_or_else(|| start + FAR_FUTURE)
}

/// Waits until `duration` has elapsed, counted from this call.
///
/// The argument of `block_on` is evaluated before there is a runtime, so `block_on(sleep(duration))` panics:
/// write `block_on(async { sleep(duration).await })`.
///
/// A sleep whose deadline lies more than 584 years after the creation of its runtime never ends. To wait
/// forever, use `sleep(Duration::MAX)`.
///
/// # Panics
///
/// Panics outside a runtime.
///
/// # Cancel safety
///
/// Dropping the sleep removes its timer.
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
    let shared = context::shared();
    if duration.is_zero() {
        note_zero_sleep();
    }
    let deadline = saturating_add(shared.clock.now(), duration);
    Sleep::new(shared, deadline, Some(Location::caller()))
}

/// Waits until `deadline` is reached.
///
/// If the deadline has passed, the sleep ends in the next turn of the loop. If the poll has [spent its
/// budget](crate::task#fairness), the sleep ends at once: a loop that awaits either an operation or
/// `sleep_until(deadline)` in each round ends soon after the deadline, even if every operation completes at
/// once.
///
/// # Panics
///
/// Panics outside a runtime.
///
/// # Cancel safety
///
/// Dropping the sleep removes its timer.
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
    Sleep::until(context::shared(), deadline, Some(Location::caller()))
}

/// The future of [`sleep`] and [`sleep_until`].
///
/// A sleep belongs to the runtime in which it was created. While the runtime runs, the sleep may be polled on any
/// thread and by any executor. The first poll registers its timer.
///
/// # Panics
///
/// Polling panics once the runtime has ended, because nothing would ever wake the task.
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
    /// The time at which the sleep ends.
    deadline: Instant,
    /// Whether the caller has set a deadline rather than a duration. Such a deadline may have passed before the
    /// sleep was created.
    is_absolute: bool,
    /// The state of the sleep.
    state: State,
    /// Where the program has made the sleep, for dumps; `None` if the crate has made it itself.
    location: Option<&'static Location<'static>>,
    /// The runtime whose clock and timers the sleep uses.
    shared: Arc<Shared>,
}

/// The state of a sleep.
///
/// ```text
///      |            first poll: overdue, and the budget is spent
///      |     +-----------------------------------------------+
///      v     |                                               v
///    New ----+-------> Registered ----------------------> Elapsed
///     ^    first poll     | ^   | reset      fired           |
///     |                   | +---+                            |
///     +-------------------|------------ reset ---------------+
///                         | dropped: removes the timer
/// ```
#[derive(Clone, Copy)]
enum State {
    /// Not polled since it was created or reset, and without a timer.
    New,
    /// Registered with the timers under this key, and not known to have fired.
    Registered(Key),
    /// Ended.
    Elapsed,
}

impl Sleep {
    /// Creates a sleep for a duration that ends at `deadline`, which the program has made at `location`.
    pub(crate) fn new(
        shared: Arc<Shared>,
        deadline: Instant,
        location: Option<&'static Location<'static>>,
    ) -> Sleep {
        Sleep {
            deadline,
            is_absolute: false,
            state: State::New,
            location,
            shared,
        }
    }

    /// Creates a sleep for a deadline that the caller has set.
    pub(crate) fn until(
        shared: Arc<Shared>,
        deadline: Instant,
        location: Option<&'static Location<'static>>,
    ) -> Sleep {
        let mut sleep = Sleep::new(shared, deadline, location);
        sleep.is_absolute = true;
        sleep
    }

    /// Returns the deadline.
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

    /// Changes the deadline, whether it has passed or not.
    ///
    /// A task that awaits the sleep continues to wait, until the new deadline. A sleep that has ended can be
    /// awaited again.
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
        self.is_absolute = true;
        self.state = match self.state {
            State::Registered(key) => match self.shared.timers.reset(key, deadline) {
                TimerState::Waiting { key, earliest } => {
                    self.wake_loop_if(earliest);
                    State::Registered(key)
                }
                // The next poll registers the timer, or finds that the runtime has ended.
                TimerState::Fired | TimerState::Ended => State::New,
            },
            State::New | State::Elapsed => State::New,
        };
    }

    /// Returns whether the sleep belongs to this runtime.
    #[cfg_attr(not(feature = "hyper"), expect(dead_code, reason = "for `hyper`"))]
    pub(crate) fn belongs_to(&self, shared: &Arc<Shared>) -> bool {
        Arc::ptr_eq(&self.shared, shared)
    }

    /// Returns the current time of the runtime's clock.
    pub(crate) fn now(&self) -> Instant {
        self.shared.clock.now()
    }

    /// Ends the sleep in its first poll if its deadline has passed and the poll of the task has spent its budget.
    /// Returns whether the sleep has ended, and counts it if so.
    ///
    /// Consider a task that creates a new sleep for each operation, all of which could complete at once. It polls
    /// the sleep only if the budget has postponed the operation, and drops the sleep in the next poll. If the
    /// sleep registered a timer, the task would never see it fire.
    ///
    /// A sleep for a duration always registers. The caller of `timeout(Duration::ZERO, ..)` expects the operation
    /// to be tried, and a postponed operation has not been tried.
    fn end_if_overdue(&self) -> bool {
        let ends = self.is_absolute
            && may_overdraw()
            && self.is_elapsed()
            && !self.shared.timers.have_ended();
        if ends {
            overdraw();
        }
        ends
    }

    /// Wakes the loop if this sleep has become its next deadline. On its own thread, the loop is awake.
    fn wake_loop_if(&self, earliest: bool) {
        if earliest && !current::is_here(&self.shared.inbox) {
            self.shared.inbox.nudge();
        }
    }
}

/// The error of a sleep whose runtime has ended, so that nothing will ever wake the task.
#[derive(Debug)]
pub(crate) struct RuntimeEnded;

impl Sleep {
    /// Waits for the deadline, or for the end of the runtime.
    pub(crate) fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), RuntimeEnded>> {
        let timers = &self.shared.timers;
        let tag = self.shared.current_tag();
        let timer = match self.state {
            State::New if self.end_if_overdue() => TimerState::Fired,
            State::New => {
                let timer = timers.insert(self.deadline, cx.waker().clone(), tag, self.location);
                if let TimerState::Waiting { key, .. } = &timer {
                    self.shared.note_wait(|| Slot::Timer(key.number()));
                }
                timer
            }
            State::Registered(key) => timers.check(key, cx.waker(), tag),
            State::Elapsed => return Poll::Ready(Ok(())),
        };
        match timer {
            TimerState::Waiting { key, earliest } => {
                self.wake_loop_if(earliest);
                self.state = State::Registered(key);
                if let Some(recorder) = &self.shared.recorder {
                    recorder.waits_until(tag, self.deadline);
                }
                trace!(
                    "glassfrog::time",
                    "waker left with the timers for {:?}",
                    self.deadline.saturating_duration_since(self.now())
                );
                Poll::Pending
            }
            TimerState::Fired => {
                trace!("glassfrog::time", "deadline reached");
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
                panic!("the runtime of this sleep has ended: nothing would ever wake the task")
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
