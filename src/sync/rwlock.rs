//! [`RwLock`]: an async reader-writer lock that records its readers and its writer.

use super::holders::{Attempt, Holders, Slot, list_each};
use super::seen::{
    About, Holdable, Holding, Lazy, Listed, Mark, Taken, Unused, is_woken, next_for, next_in_line,
};
use super::{TryLockError, assert_may_block};
use crate::executor::budget::{poll_budget, spend_budget};
use crate::executor::primitive::{Blockers, Description, Lines, Primitive, View};
use crate::executor::waits::{Declared, Subject, Wait};
use pin_project_lite::pin_project;
use std::borrow::Cow;
use std::fmt;
use std::future::poll_fn;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// A reader-writer lock whose methods wait without blocking the thread. It allows any number of readers or one writer
/// at a time. A task may hold a guard across an `.await`.
///
/// If a task waits for the lock, a dump shows the holders of the lock:
///
/// ```text
/// rwlock "config" (made at src/config.rs:8), taken to read by task 2 "poller" 3.2 s ago at src/poll.rs:24, task 5 0.1 s ago
/// at src/show.rs:61
/// ```
///
/// The dump names the first four readers and counts the others. A program can move a guard to another task: the lock
/// knows the task that took it, not the one that owns it now.
///
/// # Fairness
///
/// The lock prefers writers: while a writer waits, no other task begins to read, so readers cannot starve it. A steady
/// stream of writers can starve the readers. Writers lock in first-in, first-out order, except that a new writer may
/// overtake one that has waited for less than half a millisecond. (These are the rules of `async-lock`.)
///
/// A task that holds a read guard and calls `read` again can deadlock: if a writer waits, the second `read` waits for
/// the writer, which waits for the first guard. The dump shows that the reader waits behind a writer.
///
/// Each lock takes part in the [budget of a poll](crate::task#fairness): a task that finds it free every time still lets
/// other tasks run.
///
/// # Poisoning
///
/// The lock is never poisoned. If a task panics while it holds a guard, the lock is unlocked, and the value is as the
/// task left it.
///
/// # Examples
///
/// ```
/// use glassfrog::sync::RwLock;
///
/// glassfrog::block_on(async {
///     let config = RwLock::new(5);
///     {
///         let first = config.read().await;
///         let second = config.read().await;
///         assert_eq!((*first, *second), (5, 5));
///     }
///     *config.write().await += 1;
///     assert_eq!(*config.read().await, 6);
/// });
/// ```
pub struct RwLock<T> {
    /// The value, until the lock is used for the first time.
    value: Unused<T>,
    /// The lock with the value, and its state for dumps.
    shared: Lazy<Shared<T>>,
}

/// The lock and its state. Owned guards share the lock.
struct Shared<T> {
    /// The lock.
    lock: Arc<async_lock::RwLock<T>>,
    /// Its state for dumps, which does not own the value.
    seen: Arc<Seen>,
}

/// The state of a lock for dumps.
#[derive(Debug)]
struct Seen {
    /// The name of the lock, and where it was made.
    about: About,
    /// The writer.
    writer: Mark,
    /// The readers.
    readers: Holders,
    /// Its entry in the list of primitives that can be held.
    _listed: Listed,
}

/// A wait to read.
const READ: u32 = 0;

/// A wait to write.
const WRITE: u32 = 1;

impl<T> Shared<T> {
    /// Creates an unlocked lock.
    fn new(about: About, value: T) -> Shared<T> {
        Shared {
            lock: Arc::new(async_lock::RwLock::new(value)),
            seen: Listed::create(|listed| Seen {
                about,
                writer: Mark::default(),
                readers: Holders::default(),
                _listed: listed,
            }),
        }
    }
}

impl Seen {
    /// Returns the readers that have marks.
    fn known_readers(&self) -> Vec<Taken> {
        let known = self.readers.known().into_iter();
        known.map(|(_, taken)| taken).collect()
    }
}

/// Returns one reading of each reader: the oldest. A task may read more than once at the same time.
fn oldest_of_each(readers: &[Taken], view: &View<'_>) -> Vec<Taken> {
    let mut oldest: Vec<Taken> = Vec::new();
    for reader in readers {
        match oldest.iter_mut().find(|other| other.who == reader.who) {
            Some(other) if other.age(view) < reader.age(view) => *other = *reader,
            Some(_) => {}
            None => oldest.push(*reader),
        }
    }
    oldest
}

impl Primitive for Seen {
    fn blocked_by(&self, wait: &Declared, runtime: u32, waits: &Lines<'_>) -> Blockers {
        let is_reader = matches!(wait.subject, Subject::Primitive(_, READ));
        if let Some(writer) = self.writer.get() {
            return writer.blocker(wait, runtime).into_iter().collect();
        }
        let readers = self.known_readers();
        let mut tasks: Vec<u32> = match is_reader {
            // A reader does not wait for other readers.
            true if readers.is_empty() && self.readers.others() == 0 => Vec::new(),
            true => {
                let writer = waits.of(wait, Some(WRITE)).first();
                writer.and_then(|wait| wait.task()).into_iter().collect()
            }
            false => {
                let blockers = readers.iter();
                blockers
                    .filter_map(|reader| reader.blocker(wait, runtime))
                    .collect()
            }
        };
        tasks.sort_unstable();
        tasks.dedup();
        tasks.into_iter().collect()
    }

    fn describe(&self, wait: &Declared, view: &View<'_>) -> Description {
        let is_reader = matches!(wait.subject, Subject::Primitive(_, READ));
        let (writer, readers) = (self.writer.get(), self.known_readers());
        let others = self.readers.others();
        let state = if let Some(writer) = &writer {
            format!(", taken to write by {}", writer.text(view))
        } else if readers.is_empty() && others == 0 {
            // A writer that waits does not keep readers from a free lock, unless it has begun to take the lock.
            let readers = view.waits.of(wait, Some(READ));
            match readers
                .first()
                .filter(|first| is_reader && is_woken(first, view))
            {
                Some(first) => next_for(first, view),
                None => next_in_line(wait, view),
            }
        } else {
            let each = oldest_of_each(&readers, view);
            let read = format!(", taken to read by {}", list_each(&each, others, view));
            if is_reader {
                // A reader does not wait for other readers.
                let writers = view.waits.of(wait, Some(WRITE));
                let writer = writers
                    .first()
                    .and_then(|other| Some((other.waiter.tag.parts()?.0, other.location)));
                let writer = writer.map(|(task, location)| {
                    let at = location.map(|at| format!(" at {}:{}", at.file(), at.line()));
                    format!(": {}{}", view.task(task), at.unwrap_or_default())
                });
                format!(
                    "{read}; behind a writer that waits{}",
                    writer.unwrap_or_default()
                )
            } else {
                read
            }
        };
        Description {
            kind: if is_reader { "read" } else { "write" },
            subject: format!("rwlock {}", self.about),
            state,
            ..Description::default()
        }
    }
}

impl Holdable for Seen {
    fn holding(&self) -> Holding {
        let (how, known, others) = match self.writer.get() {
            Some(writer) => ("taken to write", vec![writer], 0),
            None => ("taken to read", self.known_readers(), self.readers.others()),
        };
        Holding {
            kind: "rwlock",
            about: self.about.clone(),
            how,
            known,
            others,
        }
    }
}

impl<T> RwLock<T> {
    /// Creates an unlocked lock.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::RwLock;
    ///
    /// static LEVEL: RwLock<u32> = RwLock::new(0);
    ///
    /// *LEVEL.blocking_write() = 3;
    /// assert_eq!(*LEVEL.blocking_read(), 3);
    /// ```
    #[track_caller]
    pub const fn new(value: T) -> RwLock<T> {
        RwLock {
            value: Unused::new(value),
            shared: Lazy::new(),
        }
    }

    /// Creates an unlocked lock with a name, which dumps show.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::RwLock;
    ///
    /// let config = RwLock::named("config", String::from("fast"));
    /// glassfrog::block_on(async { assert_eq!(*config.read().await, "fast") });
    /// ```
    #[track_caller]
    pub fn named(name: impl Into<Cow<'static, str>>, value: T) -> RwLock<T> {
        RwLock {
            value: Unused::none(),
            shared: Lazy::named(name, |about| Shared::new(about, value)),
        }
    }

    /// Returns the lock and its state.
    #[inline]
    fn shared(&self) -> &Shared<T> {
        self.shared
            .get(|about| Shared::new(about, self.value.take()))
    }

    /// Locks the lock for reading, waiting while another task writes or waits to write.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses its place in the queue, and nothing else.
    ///
    /// # Examples
    ///
    /// See [`RwLock`].
    #[inline]
    #[track_caller]
    pub fn read(&self) -> RwLockRead<'_, T> {
        RwLockRead {
            shared: self.shared(),
            slow: None,
            location: Location::caller(),
            wait: Wait::default(),
        }
    }

    /// Locks the lock for writing, waiting while other tasks read or write.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses its place in the queue, and nothing else.
    ///
    /// # Examples
    ///
    /// See [`RwLock`].
    #[inline]
    #[track_caller]
    pub fn write(&self) -> RwLockWrite<'_, T> {
        RwLockWrite {
            shared: self.shared(),
            slow: None,
            location: Location::caller(),
            wait: Wait::default(),
        }
    }

    /// Locks the lock for reading, unless it has a writer or a writer waits for it. Never waits.
    ///
    /// # Errors
    ///
    /// Returns an error if the lock has a writer, or if a writer waits for it.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::RwLock;
    ///
    /// let lock = RwLock::new(7);
    /// let first = lock.try_read().unwrap();
    /// let second = lock.try_read().unwrap();
    /// assert_eq!((*first, *second), (7, 7));
    /// assert!(lock.try_write().is_err());
    /// ```
    #[inline]
    #[track_caller]
    pub fn try_read(&self) -> Result<RwLockReadGuard<'_, T>, TryLockError> {
        let Shared { lock, seen } = self.shared();
        let guard = lock.try_read().ok_or(TryLockError(()))?;
        let mark = ReadMark::new(&**seen, Location::caller());
        Ok(RwLockReadGuard { _mark: mark, guard })
    }

    /// Locks the lock for writing, unless it has readers or a writer. Never waits.
    ///
    /// # Errors
    ///
    /// Returns an error if the lock has readers or a writer.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::RwLock;
    ///
    /// let lock = RwLock::new(7);
    /// let guard = lock.try_write().unwrap();
    /// assert!(lock.try_write().is_err());
    /// assert!(lock.try_read().is_err());
    /// # drop(guard);
    /// ```
    #[inline]
    #[track_caller]
    pub fn try_write(&self) -> Result<RwLockWriteGuard<'_, T>, TryLockError> {
        let Shared { lock, seen } = self.shared();
        let guard = lock.try_write().ok_or(TryLockError(()))?;
        let mark = WriteMark::new(&**seen, Location::caller());
        Ok(RwLockWriteGuard { mark, guard })
    }

    /// Locks the lock like [`read`](RwLock::read). The guard owns a reference to the lock, so it can be stored and
    /// moved to other tasks.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses its place in the queue, and nothing else.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::RwLock;
    /// use std::sync::Arc;
    ///
    /// glassfrog::block_on(async {
    ///     let lock = Arc::new(RwLock::new(7));
    ///     let guard = Arc::clone(&lock).read_owned().await;
    ///     let task = glassfrog::spawn(async move { *guard });
    ///     assert_eq!(task.await.unwrap(), 7);
    /// });
    /// ```
    #[track_caller]
    pub fn read_owned(self: Arc<Self>) -> impl Future<Output = OwnedRwLockReadGuard<T>> + use<T> {
        let location = Location::caller();
        async move {
            let Shared { lock, seen } = self.shared();
            poll_fn(poll_budget).await;
            let guard = match lock.try_read_arc() {
                Some(guard) => {
                    spend_budget();
                    guard
                }
                None => {
                    let mut slow = pin!(Some(lock.read_arc()));
                    let mut wait = Wait::default();
                    poll_fn(|cx| {
                        let slow = slow.as_mut();
                        wait.poll_slow(slow, cx, location, seen, READ, || lock.read_arc())
                    })
                    .await
                }
            };
            let mark = ReadMark::new(Arc::clone(seen), location).owned();
            OwnedRwLockReadGuard {
                _mark: mark,
                guard,
                _lock: self,
            }
        }
    }

    /// Locks the lock like [`write`](RwLock::write). The guard owns a reference to the lock, so it can be stored and
    /// moved to other tasks.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses its place in the queue, and nothing else.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::RwLock;
    /// use std::sync::Arc;
    ///
    /// glassfrog::block_on(async {
    ///     let lock = Arc::new(RwLock::new(7));
    ///     let mut guard = Arc::clone(&lock).write_owned().await;
    ///     glassfrog::spawn(async move { *guard = 8 }).await.unwrap();
    ///     assert_eq!(*lock.read().await, 8);
    /// });
    /// ```
    #[track_caller]
    pub fn write_owned(self: Arc<Self>) -> impl Future<Output = OwnedRwLockWriteGuard<T>> + use<T> {
        let location = Location::caller();
        async move {
            let Shared { lock, seen } = self.shared();
            poll_fn(poll_budget).await;
            let guard = match lock.try_write_arc() {
                Some(guard) => {
                    spend_budget();
                    guard
                }
                None => {
                    let mut slow = pin!(Some(lock.write_arc()));
                    let mut wait = Wait::default();
                    poll_fn(|cx| {
                        let slow = slow.as_mut();
                        wait.poll_slow(slow, cx, location, seen, WRITE, || lock.write_arc())
                    })
                    .await
                }
            };
            let mark = WriteMark::new(Arc::clone(seen), location).owned();
            OwnedRwLockWriteGuard {
                mark,
                guard,
                lock: self,
            }
        }
    }

    /// Locks the lock like [`try_read`](RwLock::try_read), and returns a guard that owns a reference to the lock.
    ///
    /// # Errors
    ///
    /// Returns an error if the lock has a writer, or if a writer waits for it.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::RwLock;
    /// use std::sync::Arc;
    ///
    /// let lock = Arc::new(RwLock::new(7));
    /// let guard = Arc::clone(&lock).try_read_owned().unwrap();
    /// assert!(lock.try_write().is_err());
    /// drop(guard);
    /// ```
    #[track_caller]
    pub fn try_read_owned(self: Arc<Self>) -> Result<OwnedRwLockReadGuard<T>, TryLockError> {
        let Shared { lock, seen } = self.shared();
        let guard = lock.try_read_arc().ok_or(TryLockError(()))?;
        let mark = ReadMark::new(Arc::clone(seen), Location::caller()).owned();
        Ok(OwnedRwLockReadGuard {
            _mark: mark,
            guard,
            _lock: self,
        })
    }

    /// Locks the lock like [`try_write`](RwLock::try_write), and returns a guard that owns a reference to the lock.
    ///
    /// # Errors
    ///
    /// Returns an error if the lock has readers or a writer.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::RwLock;
    /// use std::sync::Arc;
    ///
    /// let lock = Arc::new(RwLock::new(7));
    /// let guard = Arc::clone(&lock).try_write_owned().unwrap();
    /// assert!(lock.try_read().is_err());
    /// drop(guard);
    /// ```
    #[track_caller]
    pub fn try_write_owned(self: Arc<Self>) -> Result<OwnedRwLockWriteGuard<T>, TryLockError> {
        let Shared { lock, seen } = self.shared();
        let guard = lock.try_write_arc().ok_or(TryLockError(()))?;
        let mark = WriteMark::new(Arc::clone(seen), Location::caller()).owned();
        Ok(OwnedRwLockWriteGuard {
            mark,
            guard,
            lock: self,
        })
    }

    /// Locks the lock for reading, blocking the thread while another task writes or waits to write.
    ///
    /// # Panics
    ///
    /// Panics on a thread that runs a loop: while blocked, the thread polls no task, not even one that holds a guard.
    ///
    /// # Examples
    ///
    /// See [`new`](RwLock::new).
    #[track_caller]
    pub fn blocking_read(&self) -> RwLockReadGuard<'_, T> {
        assert_may_block("blocking_read");
        let Shared { lock, seen } = self.shared();
        let guard = lock.read_blocking();
        let mark = ReadMark::new(&**seen, Location::caller());
        RwLockReadGuard { _mark: mark, guard }
    }

    /// Locks the lock for writing, blocking the thread while others read or write.
    ///
    /// # Panics
    ///
    /// Panics on a thread that runs a loop: while blocked, the thread polls no task, not even one that holds a guard.
    ///
    /// # Examples
    ///
    /// See [`new`](RwLock::new).
    #[track_caller]
    pub fn blocking_write(&self) -> RwLockWriteGuard<'_, T> {
        assert_may_block("blocking_write");
        let Shared { lock, seen } = self.shared();
        let guard = lock.write_blocking();
        let mark = WriteMark::new(&**seen, Location::caller());
        RwLockWriteGuard { mark, guard }
    }

    /// Returns a reference to the value. No locking takes place, because the exclusive borrow proves that there is no
    /// guard.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::RwLock;
    ///
    /// let mut lock = RwLock::new(7);
    /// *lock.get_mut() = 8;
    /// assert_eq!(lock.into_inner(), 8);
    /// ```
    pub fn get_mut(&mut self) -> &mut T {
        self.shared();
        let shared = self.shared.get_mut().expect("the line above has used it");
        let lock = Arc::get_mut(&mut shared.lock).expect("each owned guard owns the lock too");
        lock.get_mut()
    }

    /// Returns the value.
    ///
    /// # Examples
    ///
    /// See [`get_mut`](RwLock::get_mut).
    pub fn into_inner(self) -> T {
        match self.shared.into_inner() {
            Some(shared) => Arc::into_inner(shared.lock)
                .expect("each owned guard owns the lock too")
                .into_inner(),
            None => self.value.take(),
        }
    }
}

pin_project! {
    /// The future of [`RwLock::read`].
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::{RwLock, RwLockRead};
    ///
    /// glassfrog::block_on(async {
    ///     let lock = RwLock::new(7);
    ///     let read: RwLockRead<'_, i32> = lock.read();
    ///     assert_eq!(*read.await, 7);
    /// });
    /// ```
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct RwLockRead<'a, T> {
        // The lock.
        shared: &'a Shared<T>,
        // The operation, if the lock was not available.
        #[pin]
        slow: Option<async_lock::futures::Read<'a, T>>,
        // Where `read` was called.
        location: &'static Location<'static>,
        // The wait, if the lock was not available.
        wait: Wait,
    }
}

impl<'a, T> Future for RwLockRead<'a, T> {
    type Output = RwLockReadGuard<'a, T>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<RwLockReadGuard<'a, T>> {
        ready!(poll_budget(cx));
        if self.slow.is_none()
            && let Some(guard) = self.shared.lock.try_read()
        {
            spend_budget();
            let attempt = self.shared.seen.readers.attempt(self.location);
            return match attempt {
                Attempt::Entered(slot) => self.ready(slot, guard),
                _ => self.poll_further(attempt, guard),
            };
        }
        self.poll_slow(cx)
    }
}

impl<'a, T> RwLockRead<'a, T> {
    /// Completes the future with a guard whose reader the mark `slot` names.
    #[inline]
    fn ready(
        &self,
        slot: Slot,
        guard: async_lock::RwLockReadGuard<'a, T>,
    ) -> Poll<RwLockReadGuard<'a, T>> {
        let seen = &*self.shared.seen;
        let mark = ReadMark { seen, slot };
        Poll::Ready(RwLockReadGuard { _mark: mark, guard })
    }

    /// Records the reader that has the guard, beside other readers.
    #[inline(never)]
    fn poll_further(
        &self,
        attempt: Attempt,
        guard: async_lock::RwLockReadGuard<'a, T>,
    ) -> Poll<RwLockReadGuard<'a, T>> {
        let readers = &self.shared.seen.readers;
        let attempt = readers.attempt_further(attempt, self.location);
        match attempt {
            Attempt::Entered(slot) => self.ready(slot, guard),
            _ => self.finish(attempt, guard),
        }
    }

    /// Records the reader that has the guard.
    #[cold]
    #[inline(never)]
    fn finish(
        &self,
        attempt: Attempt,
        guard: async_lock::RwLockReadGuard<'a, T>,
    ) -> Poll<RwLockReadGuard<'a, T>> {
        let slot = self.shared.seen.readers.finish(attempt, self.location);
        self.ready(slot, guard)
    }

    /// Waits for the writers.
    #[cold]
    fn poll_slow(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<RwLockReadGuard<'a, T>> {
        let this = self.project();
        let shared: &'a Shared<T> = this.shared;
        let (location, begin) = (*this.location, || shared.lock.read());
        let polled = this
            .wait
            .poll_slow(this.slow, cx, location, &shared.seen, READ, begin);
        let guard = ready!(polled);
        let mark = ReadMark::new(&*shared.seen, location);
        Poll::Ready(RwLockReadGuard { _mark: mark, guard })
    }
}

pin_project! {
    /// The future of [`RwLock::write`].
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::{RwLock, RwLockWrite};
    ///
    /// glassfrog::block_on(async {
    ///     let lock = RwLock::new(7);
    ///     let write: RwLockWrite<'_, i32> = lock.write();
    ///     *write.await = 8;
    ///     assert_eq!(lock.into_inner(), 8);
    /// });
    /// ```
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct RwLockWrite<'a, T> {
        // The lock.
        shared: &'a Shared<T>,
        // The operation, if the lock was not available.
        #[pin]
        slow: Option<async_lock::futures::Write<'a, T>>,
        // Where `write` was called.
        location: &'static Location<'static>,
        // The wait, if the lock was not available.
        wait: Wait,
    }
}

impl<'a, T> Future for RwLockWrite<'a, T> {
    type Output = RwLockWriteGuard<'a, T>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<RwLockWriteGuard<'a, T>> {
        ready!(poll_budget(cx));
        if self.slow.is_none()
            && let Some(guard) = self.shared.lock.try_write()
        {
            spend_budget();
            let mark = WriteMark::new(&*self.shared.seen, self.location);
            return Poll::Ready(RwLockWriteGuard { mark, guard });
        }
        self.poll_slow(cx)
    }
}

impl<'a, T> RwLockWrite<'a, T> {
    /// Waits for the readers and the other writers.
    #[cold]
    fn poll_slow(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<RwLockWriteGuard<'a, T>> {
        let this = self.project();
        let shared: &'a Shared<T> = this.shared;
        let (location, begin) = (*this.location, || shared.lock.write());
        let polled = this
            .wait
            .poll_slow(this.slow, cx, location, &shared.seen, WRITE, begin);
        let guard = ready!(polled);
        let mark = WriteMark::new(&*shared.seen, location);
        Poll::Ready(RwLockWriteGuard { mark, guard })
    }
}

/// Records a reader until it is dropped.
struct ReadMark<S: Deref<Target = Seen>> {
    /// The state of the lock.
    seen: S,
    /// The mark.
    slot: Slot,
}

impl<S: Deref<Target = Seen>> ReadMark<S> {
    /// Records that the task on this thread reads.
    #[inline]
    fn new(seen: S, location: &'static Location<'static>) -> ReadMark<S> {
        let slot = seen.readers.enter(location);
        ReadMark { seen, slot }
    }

    /// Records that the guard is an owned one.
    #[inline]
    fn owned(self) -> ReadMark<S> {
        self.seen.readers.set_owned(self.slot);
        self
    }
}

impl<S: Deref<Target = Seen>> Drop for ReadMark<S> {
    #[inline]
    fn drop(&mut self) {
        self.seen.readers.leave(self.slot);
    }
}

/// Records a writer until it is dropped.
struct WriteMark<S: Deref<Target = Seen>>(S);

impl<S: Deref<Target = Seen>> WriteMark<S> {
    /// Records that the task on this thread writes.
    #[inline]
    fn new(seen: S, location: &'static Location<'static>) -> WriteMark<S> {
        seen.writer.set(location);
        WriteMark(seen)
    }

    /// Records that the guard is an owned one.
    #[inline]
    fn owned(self) -> WriteMark<S> {
        self.0.writer.set_owned();
        self
    }
}

impl<S: Deref<Target = Seen>> Drop for WriteMark<S> {
    #[inline]
    fn drop(&mut self) {
        self.0.writer.clear();
    }
}

impl<S: Deref<Target = Seen> + Clone> WriteMark<S> {
    /// Turns the writer into a reader, whose place is the caller's.
    fn downgrade(self, location: &'static Location<'static>) -> ReadMark<S> {
        ReadMark::new(self.0.clone(), location)
    }
}

/// A guard that lets its owner read the value of an [`RwLock`]. Dropping it unlocks the lock.
///
/// # Examples
///
/// See [`RwLock`].
#[must_use = "dropping the guard unlocks the lock"]
pub struct RwLockReadGuard<'a, T> {
    /// The mark of this reader. Dropped before the guard, after which the next writer sets its own.
    _mark: ReadMark<&'a Seen>,
    /// The lock.
    guard: async_lock::RwLockReadGuard<'a, T>,
}

/// A guard that lets its owner write the value of an [`RwLock`]. Dropping it unlocks the lock.
///
/// # Examples
///
/// See [`RwLock`].
#[must_use = "dropping the guard unlocks the lock"]
pub struct RwLockWriteGuard<'a, T> {
    /// The mark of this writer. Dropped before the guard, after which the mark belongs to the next writer.
    mark: WriteMark<&'a Seen>,
    /// The lock.
    guard: async_lock::RwLockWriteGuard<'a, T>,
}

impl<'a, T> RwLockWriteGuard<'a, T> {
    /// Downgrades this guard to a read guard. No other task can write in between.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::RwLock;
    ///
    /// let lock = RwLock::new(7);
    /// let mut writer = lock.try_write().unwrap();
    /// *writer = 8;
    /// let reader = writer.downgrade();
    /// assert_eq!((*reader, *lock.try_read().unwrap()), (8, 8));
    /// ```
    #[track_caller]
    pub fn downgrade(self) -> RwLockReadGuard<'a, T> {
        RwLockReadGuard {
            _mark: self.mark.downgrade(Location::caller()),
            guard: async_lock::RwLockWriteGuard::downgrade(self.guard),
        }
    }
}

/// A guard that owns a reference to an [`RwLock`], and lets its owner read. Dropping it unlocks the lock.
///
/// # Examples
///
/// See [`RwLock::read_owned`].
#[must_use = "dropping the guard unlocks the lock"]
pub struct OwnedRwLockReadGuard<T> {
    /// The mark of this reader. Dropped before the guard, after which the next writer sets its own.
    _mark: ReadMark<Arc<Seen>>,
    /// The lock.
    guard: async_lock::RwLockReadGuardArc<T>,
    /// The user's reference to the lock. Dropped after the guard, because the last owner may take the value out.
    _lock: Arc<RwLock<T>>,
}

/// A guard that owns a reference to an [`RwLock`], and lets its owner write. Dropping it unlocks the lock.
///
/// # Examples
///
/// See [`RwLock::write_owned`].
#[must_use = "dropping the guard unlocks the lock"]
pub struct OwnedRwLockWriteGuard<T> {
    /// The mark of this writer. Dropped before the guard, after which the mark belongs to the next writer.
    mark: WriteMark<Arc<Seen>>,
    /// The lock.
    guard: async_lock::RwLockWriteGuardArc<T>,
    /// The user's reference to the lock. Dropped after the guard, because the last owner may take the value out.
    lock: Arc<RwLock<T>>,
}

impl<T> OwnedRwLockWriteGuard<T> {
    /// Downgrades this guard to a read guard. No other task can write in between.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::RwLock;
    /// use std::sync::Arc;
    ///
    /// let lock = Arc::new(RwLock::new(7));
    /// let writer = Arc::clone(&lock).try_write_owned().unwrap();
    /// let reader = writer.downgrade();
    /// assert_eq!((*reader, *lock.try_read().unwrap()), (7, 7));
    /// ```
    #[track_caller]
    pub fn downgrade(self) -> OwnedRwLockReadGuard<T> {
        OwnedRwLockReadGuard {
            _mark: self.mark.downgrade(Location::caller()).owned(),
            guard: async_lock::RwLockWriteGuardArc::downgrade(self.guard),
            _lock: self.lock,
        }
    }
}

/// Forwards a guard to its value.
macro_rules! guard {
    ($name:ident $(<$lifetime:lifetime>)?) => {
        impl<T> Deref for $name<$($lifetime,)? T> {
            type Target = T;

            #[inline]
            fn deref(&self) -> &T {
                &self.guard
            }
        }

        impl<T: fmt::Debug> fmt::Debug for $name<$($lifetime,)? T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                (**self).fmt(f)
            }
        }

        impl<T: fmt::Display> fmt::Display for $name<$($lifetime,)? T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                (**self).fmt(f)
            }
        }
    };
}

guard!(RwLockReadGuard<'_>);
guard!(RwLockWriteGuard<'_>);
guard!(OwnedRwLockReadGuard);
guard!(OwnedRwLockWriteGuard);

impl<T> DerefMut for RwLockWriteGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

impl<T> DerefMut for OwnedRwLockWriteGuard<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

impl<T: Default> Default for RwLock<T> {
    #[track_caller]
    fn default() -> RwLock<T> {
        RwLock::new(T::default())
    }
}

impl<T> From<T> for RwLock<T> {
    #[track_caller]
    fn from(value: T) -> RwLock<T> {
        RwLock::new(value)
    }
}

impl<T: fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("RwLock");
        // `try_read` of this type would set a mark, so this calls that of the inner lock.
        match self.shared().lock.try_read() {
            Some(guard) => debug.field("value", &&*guard),
            None => debug.field("value", &format_args!("<locked>")),
        };
        debug.finish()
    }
}

impl<T> fmt::Debug for RwLockRead<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RwLockRead").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for RwLockWrite<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RwLockWrite").finish_non_exhaustive()
    }
}
