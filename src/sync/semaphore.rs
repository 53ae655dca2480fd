//! [`Semaphore`]: permits whose holders a dump names.

mod needed;
mod permits;

use self::needed::needed;
use self::permits::{MAX_PERMITS, Permits, Refused};
use super::holders::{Attempt, Holders, KNOWN, Slot, list_oldest};
use super::seen::{
    About, Holdable, Holding, Lazy, Listed, Mark, Taken, first_in_line, next_future,
};
use crate::executor::budget::{poll_budget, spend_budget};
use crate::executor::primitive::{Blockers, Description, Lines, Primitive, View};
use crate::executor::waits::{Declared, Subject, Wait};
use crate::primitives::{AtomicU32, AtomicUsize, Ordering};
use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::mem;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// A semaphore: a limited number of permits, for which tasks wait without blocking their threads.
///
/// If a task waits for a permit, a dump shows the holders of the permits:
///
/// ```text
/// permit of "pool" (0 of 3 free): taken by tasks 4, 7, 9, the longest 8 s ago at
/// src/pool.rs:40
/// ```
///
/// The dump names the first four holders and counts the others. A program can move a permit to another task: the
/// semaphore knows the task that took it, not the one that owns it now.
///
/// # Fairness
///
/// The semaphore serves requests in first-in, first-out order. A request for many permits cannot starve: later requests
/// wait behind it, even if enough permits for them are free.
///
/// Each request takes part in the [budget of a poll](crate::task#fairness): a task that finds permits free every time
/// still lets other tasks run.
///
/// # Examples
///
/// ```
/// use glassfrog::sync::Semaphore;
/// use glassfrog::task::yield_now;
/// use std::cell::Cell;
/// use std::rc::Rc;
///
/// glassfrog::block_on(async {
///     let pool = Rc::new(Semaphore::new(3));
///     let (busy, most) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
///     let tasks = [(); 10].map(|()| {
///         let (pool, busy, most) = (Rc::clone(&pool), Rc::clone(&busy), Rc::clone(&most));
///         glassfrog::spawn(async move {
///             let _permit = pool.acquire().await.unwrap();
///             busy.set(busy.get() + 1);
///             most.set(most.get().max(busy.get()));
///             yield_now().await;
///             busy.set(busy.get() - 1);
///         })
///     });
///     for task in tasks {
///         task.await.unwrap();
///     }
///     assert_eq!(most.get(), 3);
/// });
/// ```
pub struct Semaphore {
    /// The initial number of permits.
    permits: usize,
    /// The permits and their state for dumps.
    state: Lazy<Arc<State>>,
}

/// The permits and their state for dumps.
#[derive(Debug)]
struct State {
    /// The name of the semaphore, and where it was made.
    about: About,
    /// The free permits and the queue for them.
    free: Permits,
    /// The number of permits, free or not. Never more than [`Semaphore::MAX_PERMITS`].
    ///
    /// Relaxed is enough, because the number guards no memory.
    total: AtomicUsize,
    /// The holders of permits.
    holders: Holders,
    /// The number of permits of each holder that has a mark. Undefined where the mark is not set.
    ///
    /// Relaxed is enough, because only dumps read the numbers.
    taken: [AtomicU32; KNOWN],
    /// The task that has forgotten permits last.
    forgotten: Mark,
    /// Its entry in the list of primitives that can be held.
    _listed: Listed,
}

impl State {
    /// Creates free permits.
    fn new(about: About, permits: usize) -> Arc<State> {
        Listed::create(|listed| State {
            about,
            free: Permits::new(permits),
            total: AtomicUsize::new(permits),
            holders: Holders::default(),
            taken: Default::default(),
            forgotten: Mark::default(),
            _listed: listed,
        })
    }

    /// Records that the task on this thread has taken permits.
    fn enter(&self, permits: u32, place: &'static Location<'static>) -> Slot {
        let slot = self.holders.enter(place);
        self.note(slot, permits);
        slot
    }

    /// Records the number of permits of a holder.
    #[inline]
    fn note(&self, slot: Slot, permits: u32) {
        if let Some(index) = slot.index() {
            self.taken[index].store(permits, Ordering::Relaxed);
        }
    }

    /// Takes permits if enough are free and the queue is empty.
    fn try_take(&self, permits: u32, place: &'static Location<'static>) -> Result<Slot, Refused> {
        self.free.try_take(permits)?;
        Ok(self.enter(permits, place))
    }

    /// Returns permits to the semaphore, and clears the mark of their holder.
    #[inline]
    fn give_back(&self, permits: u32, slot: Slot) {
        // Clears the mark before the permits are free, after which the next holder may set it.
        self.holders.leave(slot);
        if permits > 0 {
            self.free.give(permits as usize);
        }
    }

    /// Returns the holders that have marks.
    fn known(&self) -> Vec<Taken> {
        let known = self.holders.known().into_iter();
        known.map(|(_, taken)| taken).collect()
    }

    /// Says how many permits the known holders have, of those that have more than one: ` (2 by task 4, 3 by task 7)`.
    fn several(&self, view: &View<'_>) -> String {
        let known = self.holders.known().into_iter();
        let texts: Vec<String> = known
            .map(|(index, taken)| (self.taken[index].load(Ordering::Relaxed), taken))
            .filter(|(permits, _)| *permits > 1)
            .map(|(permits, taken)| format!("{permits} by {}", taken.who.name_for_waiter(view)))
            .collect();
        match texts.is_empty() {
            true => String::new(),
            false => format!(" ({})", texts.join(", ")),
        }
    }

    /// Describes the first request in the queue, for a request that waits although enough permits are free.
    fn turn(&self, wait: &Declared, free: usize, view: &View<'_>) -> String {
        let Some(first) = first_in_line(wait, view) else {
            return String::new();
        };
        let (task, _) = first.waiter.tag.parts().unwrap_or_default();
        match first.subject {
            Subject::Primitive(_, wanted) if wanted as usize > free => {
                let at = first.location;
                let at = at.map(|at| format!(" at {}:{}", at.file(), at.line()));
                format!(
                    ": behind {}, which waits for {wanted} permits{}",
                    view.task(task),
                    at.unwrap_or_default()
                )
            }
            _ => match next_future(first, view) {
                Some(next) => format!(": next in line: {next}"),
                None => String::new(),
            },
        }
    }
}

/// Returns the number of permits that a wait is for.
fn wanted_by(wait: &Declared) -> usize {
    match wait.subject {
        Subject::Primitive(_, wanted) => wanted as usize,
        Subject::Label(_) => 1,
    }
}

impl Primitive for State {
    fn blocked_by(&self, wait: &Declared, runtime: u32, waits: &Lines<'_>) -> Blockers {
        let wanted = wanted_by(wait);
        let free = self.free.available();
        if self.total.load(Ordering::Relaxed) < wanted {
            return Blockers::default();
        }
        if free < wanted {
            let taken = self.holders.known().into_iter().map(|(index, taken)| {
                let permits = self.taken[index].load(Ordering::Relaxed);
                (taken, permits as usize)
            });
            let total = self.total.load(Ordering::Relaxed);
            return needed(wait, wanted, runtime, total, taken);
        }
        // Enough permits are free, but the first request in the queue waits for more.
        match waits.of(wait, None).first() {
            Some(first) if wanted_by(first) > free => first.task().into_iter().collect(),
            _ => Blockers::default(),
        }
    }

    fn describe(&self, wait: &Declared, view: &View<'_>) -> Description {
        let wanted = wanted_by(wait);
        let free = self.free.available();
        let total = self.total.load(Ordering::Relaxed);
        let (known, others) = (self.known(), self.holders.others());
        let holders = match known.len() + others {
            0 => String::from("no holder is known"),
            _ => format!(
                "taken by {}{}",
                list_oldest(&known, others, view),
                self.several(view)
            ),
        };
        let state = if total < wanted {
            let forgotten = match self.forgotten.get() {
                Some(last) => format!("; permits were forgotten, last by {}", last.text(view)),
                None => String::new(),
            };
            let holders = match known.is_empty() {
                true => String::new(),
                false => format!("; {holders}"),
            };
            match (total, forgotten.is_empty() && known.is_empty()) {
                // A semaphore that serves as a signal.
                (0, true) => String::from(": no permit has been added"),
                _ => format!(": more than there are{forgotten}{holders}"),
            }
        } else if free < wanted {
            format!(": {holders}")
        } else {
            self.turn(wait, free, view)
        };
        let permits = match wanted {
            1 => String::from("permit"),
            _ => format!("{wanted} permits"),
        };
        let (of, origin) = self.about.name_and_origin("semaphore");
        Description {
            kind: "permit",
            subject: format!("{permits} of {of} ({free} of {total} free)"),
            state,
            origin,
            ..Description::default()
        }
    }
}

impl Holdable for State {
    fn holding(&self) -> Holding {
        Holding {
            kind: "semaphore",
            about: self.about.clone(),
            how: "permits taken",
            known: self.known(),
            others: self.holders.others(),
        }
    }
}

impl Semaphore {
    /// The largest number of permits of a semaphore.
    pub const MAX_PERMITS: usize = MAX_PERMITS;

    /// Creates a semaphore with this number of permits.
    ///
    /// # Panics
    ///
    /// Panics if the number exceeds [`MAX_PERMITS`](Semaphore::MAX_PERMITS).
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::Semaphore;
    ///
    /// static CONNECTIONS: Semaphore = Semaphore::new(100);
    ///
    /// glassfrog::block_on(async {
    ///     let _permit = CONNECTIONS.acquire().await.unwrap();
    ///     assert_eq!(CONNECTIONS.available_permits(), 99);
    /// });
    /// ```
    #[track_caller]
    pub const fn new(permits: usize) -> Semaphore {
        assert_fits(permits);
        Semaphore {
            permits,
            state: Lazy::new(),
        }
    }

    /// Creates a semaphore with a name, which dumps show.
    ///
    /// # Panics
    ///
    /// Panics if the number exceeds [`MAX_PERMITS`](Semaphore::MAX_PERMITS).
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::Semaphore;
    ///
    /// let pool = Semaphore::named("pool", 3);
    /// assert_eq!(pool.available_permits(), 3);
    /// ```
    #[track_caller]
    pub fn named(name: impl Into<Cow<'static, str>>, permits: usize) -> Semaphore {
        assert_fits(permits);
        Semaphore {
            permits,
            state: Lazy::named(name, |about| State::new(about, permits)),
        }
    }

    /// Returns the permits and their state.
    #[inline]
    fn state(&self) -> &Arc<State> {
        self.state.get(|about| State::new(about, self.permits))
    }

    /// Acquires a permit, waiting until one is available.
    ///
    /// # Errors
    ///
    /// Returns an error if the semaphore has been closed, or is closed during the wait.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses its place in the queue, and nothing else.
    ///
    /// # Examples
    ///
    /// See [`Semaphore`].
    #[inline]
    #[track_caller]
    pub fn acquire(&self) -> Acquire<'_> {
        self.acquire_many(1)
    }

    /// Acquires the given number of permits at once, waiting until all of them are available.
    ///
    /// If the semaphore never has so many permits, the future never completes.
    ///
    /// # Errors
    ///
    /// Returns an error if the semaphore has been closed, or is closed during the wait.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses its place in the queue, and nothing else.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::Semaphore;
    ///
    /// glassfrog::block_on(async {
    ///     let memory = Semaphore::new(100);
    ///     let permit = memory.acquire_many(30).await.unwrap();
    ///     assert_eq!((permit.num_permits(), memory.available_permits()), (30, 70));
    /// });
    /// ```
    #[inline]
    #[track_caller]
    pub fn acquire_many(&self, permits: u32) -> Acquire<'_> {
        Acquire {
            operation: Operation::new(self.state(), permits, Location::caller()),
        }
    }

    /// Acquires a permit like [`acquire`](Semaphore::acquire). The permit owns a reference to the semaphore, so it can
    /// be stored and moved to other tasks.
    ///
    /// # Errors
    ///
    /// Returns an error if the semaphore has been closed, or is closed during the wait.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses its place in the queue, and nothing else.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::Semaphore;
    /// use std::sync::Arc;
    ///
    /// glassfrog::block_on(async {
    ///     let pool = Arc::new(Semaphore::new(3));
    ///     let permit = Arc::clone(&pool).acquire_owned().await.unwrap();
    ///     let task = glassfrog::spawn(async move { permit.num_permits() });
    ///     assert_eq!(task.await.unwrap(), 1);
    ///     assert_eq!(pool.available_permits(), 3);
    /// });
    /// ```
    #[track_caller]
    pub fn acquire_owned(self: Arc<Self>) -> AcquireOwned {
        self.acquire_many_owned(1)
    }

    /// Acquires permits like [`acquire_many`](Semaphore::acquire_many). They own a reference to the semaphore, so they
    /// can be stored and moved to other tasks.
    ///
    /// # Errors
    ///
    /// Returns an error if the semaphore has been closed, or is closed during the wait.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses its place in the queue, and nothing else.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::Semaphore;
    /// use std::sync::Arc;
    ///
    /// glassfrog::block_on(async {
    ///     let memory = Arc::new(Semaphore::new(100));
    ///     let permit = Arc::clone(&memory).acquire_many_owned(30).await.unwrap();
    ///     assert_eq!((permit.num_permits(), memory.available_permits()), (30, 70));
    /// });
    /// ```
    #[track_caller]
    pub fn acquire_many_owned(self: Arc<Self>, permits: u32) -> AcquireOwned {
        AcquireOwned {
            operation: Operation::new(self, permits, Location::caller()),
        }
    }

    /// Acquires a permit if one is available and no other request waits. Never waits.
    ///
    /// # Errors
    ///
    /// Returns an error if no permit is free, if other requests wait, or if the semaphore is closed.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::{Semaphore, TryAcquireError};
    ///
    /// let pool = Semaphore::new(1);
    /// let permit = pool.try_acquire().unwrap();
    /// assert_eq!(pool.try_acquire().unwrap_err(), TryAcquireError::NoPermits);
    /// drop(permit);
    /// pool.close();
    /// assert_eq!(pool.try_acquire().unwrap_err(), TryAcquireError::Closed);
    /// ```
    #[inline]
    #[track_caller]
    pub fn try_acquire(&self) -> Result<SemaphorePermit<'_>, TryAcquireError> {
        self.try_acquire_many(1)
    }

    /// Acquires permits if enough are available and no other request waits. Never waits.
    ///
    /// # Errors
    ///
    /// Returns an error if too few permits are free, if other requests wait, or if the semaphore is closed.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::Semaphore;
    ///
    /// let memory = Semaphore::new(100);
    /// let permit = memory.try_acquire_many(70).unwrap();
    /// assert!(memory.try_acquire_many(70).is_err());
    /// # drop(permit);
    /// ```
    #[inline]
    #[track_caller]
    pub fn try_acquire_many(&self, permits: u32) -> Result<SemaphorePermit<'_>, TryAcquireError> {
        let state = self.state();
        let slot = state.try_take(permits, Location::caller())?;
        Ok(SemaphorePermit {
            state,
            permits,
            slot,
        })
    }

    /// Acquires a permit like [`try_acquire`](Semaphore::try_acquire). The permit owns a reference to the semaphore.
    ///
    /// # Errors
    ///
    /// Returns an error if no permit is free, if other requests wait, or if the semaphore is closed.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::Semaphore;
    /// use std::sync::Arc;
    ///
    /// let pool = Arc::new(Semaphore::new(1));
    /// let permit = Arc::clone(&pool).try_acquire_owned().unwrap();
    /// assert_eq!(pool.available_permits(), 0);
    /// # drop(permit);
    /// ```
    #[track_caller]
    pub fn try_acquire_owned(self: Arc<Self>) -> Result<OwnedSemaphorePermit, TryAcquireError> {
        self.try_acquire_many_owned(1)
    }

    /// Acquires permits like [`try_acquire_many`](Semaphore::try_acquire_many). They own a reference to the semaphore.
    ///
    /// # Errors
    ///
    /// Returns an error if too few permits are free, if other requests wait, or if the semaphore is closed.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::Semaphore;
    /// use std::sync::Arc;
    ///
    /// let memory = Arc::new(Semaphore::new(100));
    /// let permit = Arc::clone(&memory).try_acquire_many_owned(70).unwrap();
    /// assert_eq!(memory.available_permits(), 30);
    /// # drop(permit);
    /// ```
    #[track_caller]
    pub fn try_acquire_many_owned(
        self: Arc<Self>,
        permits: u32,
    ) -> Result<OwnedSemaphorePermit, TryAcquireError> {
        let slot = self.state().try_take(permits, Location::caller())?;
        self.state().holders.set_owned(slot);
        Ok(OwnedSemaphorePermit {
            semaphore: self,
            permits,
            slot,
        })
    }

    /// Adds permits to the semaphore.
    ///
    /// # Panics
    ///
    /// Panics if the semaphore would have more permits than [`MAX_PERMITS`](Semaphore::MAX_PERMITS), free or not.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::Semaphore;
    ///
    /// let pool = Semaphore::new(0);
    /// pool.add_permits(3);
    /// assert_eq!(pool.available_permits(), 3);
    /// ```
    #[track_caller]
    pub fn add_permits(&self, permits: usize) {
        let state = self.state();
        let add = |total: usize| {
            let total = total.checked_add(permits);
            total.filter(|total| *total <= MAX_PERMITS)
        };
        let total = &state.total;
        let added = total.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
        assert!(
            added.is_ok(),
            "a semaphore has at most {MAX_PERMITS} permits"
        );
        if permits > 0 {
            state.free.give(permits);
        }
    }

    /// Removes up to this number of free permits from the semaphore, and returns how many it removed.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::Semaphore;
    ///
    /// let pool = Semaphore::new(3);
    /// assert_eq!(pool.forget_permits(2), 2);
    /// assert_eq!(pool.forget_permits(2), 1);
    /// assert_eq!(pool.available_permits(), 0);
    /// ```
    pub fn forget_permits(&self, permits: usize) -> usize {
        let state = self.state();
        let forgotten = state.free.forget(permits);
        state.total.fetch_sub(forgotten, Ordering::Relaxed);
        forgotten
    }

    /// Returns the number of free permits.
    ///
    /// # Examples
    ///
    /// See [`add_permits`](Semaphore::add_permits).
    pub fn available_permits(&self) -> usize {
        self.state().free.available()
    }

    /// Closes the semaphore. Requests that wait and later requests return an error. Acquired permits stay valid.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::Semaphore;
    /// use std::rc::Rc;
    ///
    /// glassfrog::block_on(async {
    ///     let pool = Rc::new(Semaphore::new(0));
    ///     let closer = Rc::clone(&pool);
    ///     glassfrog::spawn(async move { closer.close() });
    ///     assert!(pool.acquire().await.is_err());
    ///     assert!(pool.is_closed());
    /// });
    /// ```
    pub fn close(&self) {
        self.state().free.close();
    }

    /// Returns whether the semaphore is closed.
    ///
    /// # Examples
    ///
    /// See [`close`](Semaphore::close).
    pub fn is_closed(&self) -> bool {
        self.state().free.is_closed()
    }
}

/// Panics if a semaphore cannot have so many permits.
#[track_caller]
const fn assert_fits(permits: usize) {
    assert!(
        permits <= MAX_PERMITS,
        "a semaphore has at most `Semaphore::MAX_PERMITS` permits"
    );
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore")
            .field("available_permits", &self.available_permits())
            .finish_non_exhaustive()
    }
}

/// A reference to a semaphore, borrowed or owned.
trait Reference {
    /// Returns the permits and their state.
    fn state(&self) -> &Arc<State>;
}

impl Reference for &Arc<State> {
    #[inline]
    fn state(&self) -> &Arc<State> {
        self
    }
}

impl Reference for Arc<Semaphore> {
    #[inline]
    fn state(&self) -> &Arc<State> {
        (**self).state()
    }
}

/// A request for permits. Dropping it loses its place in the queue.
struct Operation<S: Reference> {
    /// The semaphore.
    semaphore: S,
    /// The number of permits that it needs.
    wanted: u32,
    /// The place in the queue, while the request waits.
    ticket: Option<u64>,
    /// Where the program made the request.
    location: &'static Location<'static>,
    /// The wait, while the request waits.
    wait: Wait,
}

impl<S: Reference> Operation<S> {
    /// Creates an operation that has not begun.
    #[inline]
    fn new(semaphore: S, wanted: u32, location: &'static Location<'static>) -> Operation<S> {
        Operation {
            semaphore,
            wanted,
            ticket: None,
            location,
            wait: Wait::default(),
        }
    }

    /// Acquires the permits, or waits for them.
    #[inline]
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Slot, AcquireError>> {
        ready!(poll_budget(cx));
        let state = self.semaphore.state();
        if self.ticket.is_none() && state.free.try_take(self.wanted).is_ok() {
            spend_budget();
            let attempt = state.holders.attempt(self.location);
            return match attempt {
                Attempt::Entered(slot) => {
                    state.note(slot, self.wanted);
                    Poll::Ready(Ok(slot))
                }
                _ => self.poll_further(attempt),
            };
        }
        self.poll_slow(cx)
    }

    /// Records the holder of acquired permits, beside other holders.
    #[inline(never)]
    fn poll_further(&self, attempt: Attempt) -> Poll<Result<Slot, AcquireError>> {
        let state = self.semaphore.state();
        let attempt = state.holders.attempt_further(attempt, self.location);
        match attempt {
            Attempt::Entered(slot) => {
                state.note(slot, self.wanted);
                Poll::Ready(Ok(slot))
            }
            _ => self.finish(attempt),
        }
    }

    /// Records the holder of acquired permits.
    #[cold]
    #[inline(never)]
    fn finish(&self, attempt: Attempt) -> Poll<Result<Slot, AcquireError>> {
        let state = self.semaphore.state();
        let slot = state.holders.finish(attempt, self.location);
        state.note(slot, self.wanted);
        Poll::Ready(Ok(slot))
    }

    /// Waits for the permits.
    #[cold]
    fn poll_slow(&mut self, cx: &mut Context<'_>) -> Poll<Result<Slot, AcquireError>> {
        let state = self.semaphore.state();
        let taken = state
            .free
            .poll_take(&mut self.ticket, self.wanted, cx.waker());
        let Poll::Ready(taken) = taken else {
            self.wait.declare(Some(cx.waker()), self.location, 0, || {
                Subject::Primitive(Arc::clone(state) as Arc<dyn Primitive>, self.wanted)
            });
            return Poll::Pending;
        };
        spend_budget();
        self.wait.withdraw();
        Poll::Ready(match taken {
            Ok(()) => Ok(state.enter(self.wanted, self.location)),
            Err(_) => Err(AcquireError(())),
        })
    }
}

impl<S: Reference> Drop for Operation<S> {
    #[inline]
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.semaphore.state().free.leave(ticket);
        }
    }
}

/// The future of [`Semaphore::acquire`] and [`Semaphore::acquire_many`].
///
/// # Examples
///
/// ```
/// use glassfrog::sync::{Acquire, Semaphore};
///
/// glassfrog::block_on(async {
///     let pool = Semaphore::new(1);
///     let acquire: Acquire<'_> = pool.acquire();
///     assert!(acquire.await.is_ok());
/// });
/// ```
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct Acquire<'a> {
    /// The operation.
    operation: Operation<&'a Arc<State>>,
}

impl<'a> Future for Acquire<'a> {
    type Output = Result<SemaphorePermit<'a>, AcquireError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let operation = &mut self.operation;
        operation.poll(cx).map_ok(|slot| SemaphorePermit {
            state: operation.semaphore,
            permits: operation.wanted,
            slot,
        })
    }
}

impl fmt::Debug for Acquire<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acquire")
            .field("wanted", &self.operation.wanted)
            .finish_non_exhaustive()
    }
}

/// The future of [`Semaphore::acquire_owned`] and [`Semaphore::acquire_many_owned`].
///
/// # Examples
///
/// ```
/// use glassfrog::sync::{AcquireOwned, Semaphore};
/// use std::sync::Arc;
///
/// glassfrog::block_on(async {
///     let acquire: AcquireOwned = Arc::new(Semaphore::new(1)).acquire_owned();
///     assert!(acquire.await.is_ok());
/// });
/// ```
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct AcquireOwned {
    /// The operation.
    operation: Operation<Arc<Semaphore>>,
}

impl Future for AcquireOwned {
    type Output = Result<OwnedSemaphorePermit, AcquireError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let operation = &mut self.operation;
        let polled = operation.poll(cx);
        polled.map_ok(|slot| {
            let semaphore = Arc::clone(&operation.semaphore);
            semaphore.state().holders.set_owned(slot);
            OwnedSemaphorePermit {
                semaphore,
                permits: operation.wanted,
                slot,
            }
        })
    }
}

impl fmt::Debug for AcquireOwned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcquireOwned")
            .field("wanted", &self.operation.wanted)
            .finish_non_exhaustive()
    }
}

/// Permits of a [`Semaphore`]. Dropping them releases them.
///
/// # Examples
///
/// See [`Semaphore`].
#[must_use = "dropping the permits gives them back"]
pub struct SemaphorePermit<'a> {
    /// The semaphore.
    state: &'a State,
    /// The number of permits.
    permits: u32,
    /// The mark of their holder.
    slot: Slot,
}

/// Permits that own a reference to their [`Semaphore`]. Dropping them releases them.
///
/// # Examples
///
/// See [`Semaphore::acquire_owned`].
#[must_use = "dropping the permits gives them back"]
pub struct OwnedSemaphorePermit {
    /// The semaphore.
    semaphore: Arc<Semaphore>,
    /// The number of permits.
    permits: u32,
    /// The mark of their holder.
    slot: Slot,
}

impl SemaphorePermit<'_> {
    /// Returns the state of the semaphore.
    #[inline]
    fn state(&self) -> &State {
        self.state
    }

    /// Creates the other half of a split.
    fn part(&self, permits: u32, slot: Slot) -> Self {
        SemaphorePermit {
            state: self.state,
            permits,
            slot,
        }
    }
}

impl OwnedSemaphorePermit {
    /// Returns the state of the semaphore.
    #[inline]
    fn state(&self) -> &State {
        self.semaphore.state()
    }

    /// Creates the other half of a split.
    fn part(&self, permits: u32, slot: Slot) -> Self {
        OwnedSemaphorePermit {
            semaphore: Arc::clone(&self.semaphore),
            permits,
            slot,
        }
    }

    /// Returns the semaphore.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::Semaphore;
    /// use std::sync::Arc;
    ///
    /// let pool = Arc::new(Semaphore::new(1));
    /// let permit = Arc::clone(&pool).try_acquire_owned().unwrap();
    /// assert!(Arc::ptr_eq(permit.semaphore(), &pool));
    /// ```
    pub fn semaphore(&self) -> &Arc<Semaphore> {
        &self.semaphore
    }
}

/// The methods that both kinds of permits have.
macro_rules! permit {
    ($name:ident $(<$lifetime:lifetime>)?, $clone:expr, $acquire:literal) => {
        impl $name $(<$lifetime>)? {
            /// Returns the number of permits.
            ///
            /// # Examples
            ///
            /// See [`split`](Self::split).
            pub fn num_permits(&self) -> usize {
                self.permits as usize
            }

            /// Drops the permits without releasing them. The semaphore has fewer permits from now on.
            ///
            /// # Examples
            ///
            /// ```
            /// # use glassfrog::sync::Semaphore;
            /// # use std::sync::Arc;
            #[doc = $clone]
            #[doc = concat!($acquire, "(2).unwrap().forget();")]
            /// assert_eq!(pool.available_permits(), 1);
            /// ```
            #[track_caller]
            pub fn forget(mut self) {
                let permits = mem::take(&mut self.permits) as usize;
                self.state().forgotten.set(Location::caller());
                self.state().total.fetch_sub(permits, Ordering::Relaxed);
            }

            /// Merges other permits into these.
            ///
            /// # Panics
            ///
            /// Panics if the others belong to another semaphore, or if the sum exceeds [`u32::MAX`].
            ///
            /// # Examples
            ///
            /// See [`split`](Self::split).
            #[track_caller]
            pub fn merge(&mut self, mut other: Self) {
                assert!(
                    std::ptr::eq(self.state(), other.state()),
                    "only permits of one semaphore can be merged"
                );
                let (here, there) = (self.permits, other.permits);
                let Some(sum) = here.checked_add(there) else {
                    panic!(
                        "{here} permits and {there} others are more than `u32::MAX`, which one value can hold: keep \
                         both values instead of merging them"
                    );
                };
                self.permits = sum;
                other.permits = 0;
                self.state().note(self.slot, self.permits);
            }

            /// Splits off the given number of permits and returns them. Returns `None` if these are too few.
            ///
            /// # Examples
            ///
            /// ```
            /// # use glassfrog::sync::Semaphore;
            /// # use std::sync::Arc;
            #[doc = $clone]
            #[doc = concat!("let mut permit = ", $acquire, "(3).unwrap();")]
            /// let part = permit.split(1).unwrap();
            /// assert_eq!((permit.num_permits(), part.num_permits()), (2, 1));
            /// assert!(permit.split(3).is_none());
            /// permit.merge(part);
            /// assert_eq!(permit.num_permits(), 3);
            /// ```
            #[track_caller]
            pub fn split(&mut self, permits: usize) -> Option<Self> {
                let part = u32::try_from(permits).ok()?;
                self.permits = self.permits.checked_sub(part)?;
                self.state().note(self.slot, self.permits);
                let slot = self.state().enter(part, Location::caller());
                // A program splits permits in order to give a part away.
                self.state().holders.set_owned(slot);
                Some(self.part(part, slot))
            }
        }

        impl Drop for $name $(<$lifetime>)? {
            #[inline]
            fn drop(&mut self) {
                self.state().give_back(self.permits, self.slot);
            }
        }

        impl fmt::Debug for $name $(<$lifetime>)? {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name))
                    .field("permits", &self.permits)
                    .finish_non_exhaustive()
            }
        }
    };
}

permit!(
    SemaphorePermit<'_>,
    "let pool = Semaphore::new(3);",
    "pool.try_acquire_many"
);
permit!(
    OwnedSemaphorePermit,
    "let pool = Arc::new(Semaphore::new(3));",
    "Arc::clone(&pool).try_acquire_many_owned"
);

/// The error of [`Semaphore::acquire`] and its variants: the semaphore is closed.
///
/// # Examples
///
/// ```
/// use glassfrog::sync::{AcquireError, Semaphore};
///
/// glassfrog::block_on(async {
///     let pool = Semaphore::new(1);
///     pool.close();
///     let error: AcquireError = pool.acquire().await.unwrap_err();
///     assert_eq!(error.to_string(), "the semaphore is closed");
/// });
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct AcquireError(());

impl fmt::Display for AcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the semaphore is closed")
    }
}

impl Error for AcquireError {}

/// The error of [`Semaphore::try_acquire`] and its variants.
///
/// # Examples
///
/// See [`Semaphore::try_acquire`].
#[derive(Debug, PartialEq, Eq)]
pub enum TryAcquireError {
    /// The semaphore is closed.
    Closed,
    /// Too few permits are available, or other requests wait.
    NoPermits,
}

impl From<Refused> for TryAcquireError {
    fn from(refused: Refused) -> TryAcquireError {
        match refused {
            Refused::TooFew => TryAcquireError::NoPermits,
            Refused::Closed => TryAcquireError::Closed,
        }
    }
}

impl fmt::Display for TryAcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TryAcquireError::Closed => "the semaphore is closed",
            TryAcquireError::NoPermits => "too few permits are free",
        })
    }
}

impl Error for TryAcquireError {}
