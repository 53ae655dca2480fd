//! [`Barrier`]: lets tasks wait for one another.

use super::seen::{About, Lazy};
use crate::executor::primitive::{Description, Primitive, View};
use crate::executor::waits::{Declared, Wait};
use crate::primitives::{AtomicUsize, Ordering};
use pin_project_lite::pin_project;
use std::borrow::Cow;
use std::fmt;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// A barrier that tasks pass together: each waits until a given number of them have come.
///
/// A dump shows how many have come:
///
/// ```text
/// barrier "start" (made at src/main.rs:12), 2 of 3 have come
/// ```
///
/// The barrier can be used again and again. The last task to come is the leader of the round.
///
/// # Examples
///
/// ```
/// use glassfrog::sync::Barrier;
/// use std::rc::Rc;
///
/// glassfrog::block_on(async {
///     let barrier = Rc::new(Barrier::new(3));
///     let tasks = [(); 3].map(|()| {
///         let barrier = Rc::clone(&barrier);
///         glassfrog::spawn(async move { barrier.wait().await.is_leader() })
///     });
///     let mut leaders = 0;
///     for task in tasks {
///         leaders += usize::from(task.await.unwrap());
///     }
///     assert_eq!(leaders, 1);
/// });
/// ```
pub struct Barrier {
    /// The barrier.
    barrier: async_lock::Barrier,
    /// How many have to come.
    number: usize,
    /// The state for dumps.
    seen: Lazy<Arc<Seen>>,
}

/// The state of a barrier for dumps.
#[derive(Debug)]
struct Seen {
    /// How the barrier is called.
    about: About,
    /// How many have to come.
    number: usize,
    /// How many have come in this round. The leader takes them off when the round is over.
    ///
    /// Relaxed is enough: the number is only for dumps. A wait counts from its first poll on. If another thread enters
    /// the barrier at that moment, `async-lock` counts the wait only in its next poll. If the wait is dropped before, this
    /// number stays too large by one: nothing here can tell that wait from the others.
    come: AtomicUsize,
}

impl Seen {
    /// Creates the state of a barrier where no task waits.
    fn new(about: About, number: usize) -> Arc<Seen> {
        let come = AtomicUsize::new(0);
        Arc::new(Seen {
            about,
            number,
            come,
        })
    }
}

impl Primitive for Seen {
    fn describe(&self, _: &Declared, _: &View<'_>) -> Description {
        // The first of the next round may come before the leader has taken this round off.
        let come = self.come.load(Ordering::Relaxed).min(self.number);
        let have = if come == 1 { "has" } else { "have" };
        Description {
            kind: "barrier",
            subject: format!("barrier {}", self.about),
            state: format!("{come} of {} {have} come", self.number),
            blocked_by: Vec::new(),
        }
    }
}

impl Barrier {
    /// Creates a barrier for this number of tasks. 0 means 1: no task waits.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::Barrier;
    ///
    /// static START: Barrier = Barrier::new(1);
    ///
    /// glassfrog::block_on(async { assert!(START.wait().await.is_leader()) });
    /// ```
    #[track_caller]
    pub const fn new(number: usize) -> Barrier {
        let number = if number == 0 { 1 } else { number };
        Barrier {
            barrier: async_lock::Barrier::new(number),
            number,
            seen: Lazy::new(),
        }
    }

    /// Creates a barrier with a name, which dumps show.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::Barrier;
    ///
    /// let start = Barrier::named("start", 1);
    /// glassfrog::block_on(async { assert!(start.wait().await.is_leader()) });
    /// ```
    #[track_caller]
    pub fn named(name: impl Into<Cow<'static, str>>, number: usize) -> Barrier {
        let number = number.max(1);
        Barrier {
            barrier: async_lock::Barrier::new(number),
            number,
            seen: Lazy::named(name, |about| Seen::new(about, number)),
        }
    }

    /// Waits until as many have come as the barrier was made for, this one included.
    ///
    /// # Cancel safety
    ///
    /// This method is not cancel-safe. Once the future has been polled, its caller counts as having come, even if the
    /// future is dropped: the barrier then opens for the others although one of them is missing. If another thread
    /// enters the barrier during that poll, the caller may count only from the next poll on. A dump then shows one too
    /// many if the future is dropped in between.
    ///
    /// # Examples
    ///
    /// See [`Barrier`].
    #[track_caller]
    pub fn wait(&self) -> BarrierWait<'_> {
        BarrierWait {
            seen: self.seen.get(|about| Seen::new(about, self.number)),
            barrier: &self.barrier,
            slow: None,
            location: Location::caller(),
            wait: Wait::default(),
        }
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

pin_project! {
    /// The future of [`Barrier::wait`].
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::{Barrier, BarrierWait};
    ///
    /// glassfrog::block_on(async {
    ///     let barrier = Barrier::new(1);
    ///     let wait: BarrierWait<'_> = barrier.wait();
    ///     assert!(wait.await.is_leader());
    /// });
    /// ```
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct BarrierWait<'a> {
        // The barrier.
        barrier: &'a async_lock::Barrier,
        // Its state for dumps.
        seen: &'a Arc<Seen>,
        // The operation, from the first poll on.
        #[pin]
        slow: Option<async_lock::futures::BarrierWait<'a>>,
        // Where `wait` was called.
        location: &'static Location<'static>,
        // The wait, if others are missing.
        wait: Wait,
    }
}

impl Future for BarrierWait<'_> {
    type Output = BarrierWaitResult;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<BarrierWaitResult> {
        let this = self.project();
        let (seen, barrier) = (*this.seen, *this.barrier);
        let polled = this
            .wait
            .poll_slow(this.slow, cx, this.location, seen, 0, || {
                seen.come.fetch_add(1, Ordering::Relaxed);
                barrier.wait()
            });
        let is_leader = ready!(polled).is_leader();
        if is_leader {
            seen.come.fetch_sub(seen.number, Ordering::Relaxed);
        }
        Poll::Ready(BarrierWaitResult(is_leader))
    }
}

impl fmt::Debug for BarrierWait<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BarrierWait").finish_non_exhaustive()
    }
}

/// What [`Barrier::wait`] returns: whether this was the last to come.
///
/// # Examples
///
/// See [`Barrier`].
#[derive(Clone, Debug)]
pub struct BarrierWaitResult(bool);

impl BarrierWaitResult {
    /// Returns whether the caller is the leader of the round: the one that came last.
    ///
    /// # Examples
    ///
    /// See [`Barrier`].
    pub fn is_leader(&self) -> bool {
        self.0
    }
}
