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

/// A synchronization point for a fixed number of tasks: each waits until all of them have arrived.
///
/// A dump shows which tasks have arrived:
///
/// ```text
/// barrier "start" (made at src/main.rs:12), 2 of 3 have come: task 2 "left", task 3 "right"
/// ```
///
/// Tasks can pass the barrier any number of times. The last task to arrive is the leader of its round.
///
/// # Fairness
///
/// Each wait takes part in the [budget of a poll](crate::task#fairness): a task that finds the barrier open every time
/// still lets other tasks run.
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
    /// The number of tasks that a round needs.
    number: usize,
    /// The state for dumps.
    seen: Lazy<Arc<Seen>>,
}

/// The maximum number of arrived tasks that a dump lists, because a line has no room for more.
const LISTED: usize = 8;

/// The state of a barrier for dumps.
#[derive(Debug)]
struct Seen {
    /// The name of the barrier, and where it was made.
    about: About,
    /// The number of tasks that a round needs.
    number: usize,
    /// The number of tasks that have arrived in this round. The leader subtracts them when the round is over.
    ///
    /// Relaxed is enough, because only dumps read the number.
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
    fn describe(&self, wait: &Declared, view: &View<'_>) -> Description {
        // The first task of the next round may arrive before the leader has subtracted this round.
        let come = self.come.load(Ordering::Relaxed).min(self.number);
        let have = if come == 1 { "has" } else { "have" };
        Description {
            kind: "barrier",
            subject: format!("barrier {}", self.about),
            state: format!(
                ", {come} of {} {have} come{}",
                self.number,
                list(wait, view)
            ),
            ..Description::default()
        }
    }
}

/// Lists some of the tasks that wait for the same barrier: `: task 2 "left", task 3 "right"`.
fn list(wait: &Declared, view: &View<'_>) -> String {
    let waits = view.waits.of(wait, None).iter();
    let mut tasks = waits.filter_map(|wait| wait.waiter.tag.parts());
    let listed: Vec<String> = tasks
        .by_ref()
        .take(LISTED)
        .map(|(task, _)| view.task(task))
        .collect();
    let more = if tasks.next().is_some() { ", ..." } else { "" };
    format!(": {}{more}", listed.join(", "))
}

impl Barrier {
    /// Creates a barrier for this number of tasks. With 0 or 1, no task waits.
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

    /// Waits until all tasks of the round have arrived, the caller included.
    ///
    /// # Cancel safety
    ///
    /// This method is not cancel-safe. The first poll of the future counts its task as arrived, even if the future is
    /// dropped later. The barrier then opens for the others although one task is missing.
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
        // The wait, if other tasks have not arrived.
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

/// The result of [`Barrier::wait`], which says whether the task was the last to arrive.
///
/// # Examples
///
/// See [`Barrier`].
#[derive(Clone, Debug)]
pub struct BarrierWaitResult(bool);

impl BarrierWaitResult {
    /// Returns whether the task is the leader of its round: the last to arrive.
    ///
    /// # Examples
    ///
    /// See [`Barrier`].
    pub fn is_leader(&self) -> bool {
        self.0
    }
}
