//! [`Mutex`]: an async mutex that records which task has locked it.

use super::seen::{About, Holdable, Holding, Lazy, Listed, Mark, Unused, next_in_line};
use super::{TryLockError, assert_may_block};
use crate::executor::budget::{poll_budget, spend_budget};
use crate::executor::primitive::{Blockers, Description, Lines, Primitive, View};
use crate::executor::waits::{Declared, Wait};
use pin_project_lite::pin_project;
use std::borrow::Cow;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// A mutex whose `lock` waits without blocking the thread. The guard may be held across an `.await`.
///
/// If a task waits for the mutex, a dump shows which task has locked it, when and where:
///
/// ```text
/// lock "accounts" (made at src/bank.rs:12), taken by task 2 "auditor" 3.2 s ago at src/audit.rs:24
/// ```
///
/// A program can move the guard to another task. The mutex knows the task that took it, not the one that owns it now.
///
/// A critical section without an `.await` needs no async mutex: a [`std::sync::Mutex`] is cheaper there, and within one
/// runtime a [`RefCell`](std::cell::RefCell) suffices.
///
/// # Fairness
///
/// The mutex wakes waiting tasks in first-in, first-out order. A task that calls `lock` at the moment of an unlock may
/// overtake them, but not a task that has waited for more than half a millisecond. (The queue is that of `async-lock`.)
///
/// Each lock takes part in the [budget of a poll](crate::task#fairness): a task that finds the mutex free every time
/// still lets other tasks run.
///
/// # Poisoning
///
/// The mutex is never poisoned. If a task panics while it holds the guard, the mutex is unlocked, and the value is as
/// the task left it.
///
/// # Examples
///
/// ```
/// use glassfrog::sync::Mutex;
/// use glassfrog::task::yield_now;
/// use std::rc::Rc;
///
/// glassfrog::block_on(async {
///     let count = Rc::new(Mutex::new(0));
///     let tasks = [(); 2].map(|()| {
///         let count = Rc::clone(&count);
///         glassfrog::spawn(async move {
///             let mut count = count.lock().await;
///             let before = *count;
///             yield_now().await;
///             *count = before + 1;
///         })
///     });
///     for task in tasks {
///         task.await.unwrap();
///     }
///     assert_eq!(*count.lock().await, 2);
/// });
/// ```
pub struct Mutex<T> {
    /// The value, until the mutex is used for the first time.
    value: Unused<T>,
    /// The lock with the value, and its state for dumps.
    shared: Lazy<Shared<T>>,
}

/// The lock and its state. The guard of `lock_owned` shares the lock.
struct Shared<T> {
    /// The lock.
    lock: Arc<async_lock::Mutex<T>>,
    /// Its state for dumps, which does not own the value.
    seen: Arc<Seen>,
}

/// The state of a mutex for dumps.
#[derive(Debug)]
struct Seen {
    /// The name of the mutex, and where it was made.
    about: About,
    /// The task that has locked it.
    holder: Mark,
    /// Its entry in the list of primitives that can be held.
    _listed: Listed,
}

impl Seen {
    /// Creates the state of an unlocked mutex.
    fn new(about: About) -> Arc<Seen> {
        Listed::create(|listed| Seen {
            about,
            holder: Mark::default(),
            _listed: listed,
        })
    }
}

impl Primitive for Seen {
    fn blocked_by(&self, wait: &Declared, runtime: u32, _waits: &Lines<'_>) -> Blockers {
        let holder = self.holder.get();
        let holder = holder.and_then(|taken| taken.blocker(wait, runtime));
        holder.into_iter().collect()
    }

    fn describe(&self, wait: &Declared, view: &View<'_>) -> Description {
        let holder = self.holder.get();
        Description {
            kind: "lock",
            subject: format!("lock {}", self.about),
            state: match &holder {
                Some(taken) => format!(", taken by {}", taken.text(view)),
                None => next_in_line(wait, view),
            },
            ..Description::default()
        }
    }
}

impl Holdable for Seen {
    fn holding(&self) -> Holding {
        Holding {
            kind: "lock",
            about: self.about.clone(),
            how: "taken",
            known: self.holder.get().into_iter().collect(),
            others: 0,
        }
    }
}

impl<T> Mutex<T> {
    /// Creates an unlocked mutex.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::Mutex;
    ///
    /// static COUNT: Mutex<u32> = Mutex::new(0);
    ///
    /// *COUNT.blocking_lock() += 1;
    /// assert_eq!(*COUNT.blocking_lock(), 1);
    /// ```
    #[track_caller]
    pub const fn new(value: T) -> Mutex<T> {
        Mutex {
            value: Unused::new(value),
            shared: Lazy::new(),
        }
    }

    /// Creates an unlocked mutex with a name, which dumps show.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::Mutex;
    ///
    /// let accounts = Mutex::named("accounts", vec![100, 200]);
    /// glassfrog::block_on(async { accounts.lock().await.push(300) });
    /// ```
    #[track_caller]
    pub fn named(name: impl Into<Cow<'static, str>>, value: T) -> Mutex<T> {
        Mutex {
            value: Unused::none(),
            shared: Lazy::named(name, |about| Shared {
                lock: Arc::new(async_lock::Mutex::new(value)),
                seen: Seen::new(about),
            }),
        }
    }

    /// Returns the lock and its state.
    #[inline]
    fn shared(&self) -> &Shared<T> {
        self.shared.get(|about| Shared {
            lock: Arc::new(async_lock::Mutex::new(self.value.take())),
            seen: Seen::new(about),
        })
    }

    /// Locks the mutex, waiting until it is available.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses its place in the queue, and nothing else.
    ///
    /// # Examples
    ///
    /// See [`Mutex`].
    #[inline]
    #[track_caller]
    pub fn lock(&self) -> Lock<'_, T> {
        let shared = self.shared();
        Lock {
            shared,
            slow: None,
            location: Location::caller(),
            wait: Wait::default(),
        }
    }

    /// Locks the mutex if it is available. Never waits.
    ///
    /// # Errors
    ///
    /// Returns an error if the mutex is already locked.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::Mutex;
    ///
    /// let mutex = Mutex::new(7);
    /// let guard = mutex.try_lock().unwrap();
    /// assert!(mutex.try_lock().is_err());
    /// drop(guard);
    /// assert_eq!(*mutex.try_lock().unwrap(), 7);
    /// ```
    #[track_caller]
    pub fn try_lock(&self) -> Result<MutexGuard<'_, T>, TryLockError> {
        let Shared { lock, seen } = self.shared();
        let guard = lock.try_lock().ok_or(TryLockError(()))?;
        seen.holder.set(Location::caller());
        Ok(MutexGuard { seen, guard })
    }

    /// Locks the mutex like [`lock`](Mutex::lock). The guard owns a reference to the mutex, so it can be stored and
    /// moved to other tasks.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses its place in the queue, and nothing else.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::Mutex;
    /// use std::sync::Arc;
    ///
    /// glassfrog::block_on(async {
    ///     let mutex = Arc::new(Mutex::new(7));
    ///     let guard = Arc::clone(&mutex).lock_owned().await;
    ///     let task = glassfrog::spawn(async move { *guard });
    ///     assert_eq!(task.await.unwrap(), 7);
    /// });
    /// ```
    #[track_caller]
    pub fn lock_owned(self: Arc<Self>) -> LockOwned<T> {
        LockOwned {
            slow: None,
            mutex: self,
            location: Location::caller(),
            wait: Wait::default(),
        }
    }

    /// Locks the mutex like [`try_lock`](Mutex::try_lock), and returns a guard that owns a reference to the mutex.
    ///
    /// # Errors
    ///
    /// Returns an error if the mutex is already locked.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::Mutex;
    /// use std::sync::Arc;
    ///
    /// let mutex = Arc::new(Mutex::new(7));
    /// let guard = Arc::clone(&mutex).try_lock_owned().unwrap();
    /// assert!(mutex.try_lock().is_err());
    /// drop(guard);
    /// ```
    #[track_caller]
    pub fn try_lock_owned(self: Arc<Self>) -> Result<OwnedMutexGuard<T>, TryLockError> {
        let Shared { lock, seen } = self.shared();
        let guard = lock.try_lock_arc().ok_or(TryLockError(()))?;
        seen.holder.set(Location::caller());
        seen.holder.set_owned();
        Ok(OwnedMutexGuard { guard, mutex: self })
    }

    /// Locks the mutex, blocking the thread until it is available.
    ///
    /// # Panics
    ///
    /// Panics on a thread that runs a loop: while blocked, the thread polls no task, not even one that holds the guard.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::Mutex;
    ///
    /// static LOG: Mutex<Vec<String>> = Mutex::new(Vec::new());
    ///
    /// glassfrog::block_on(async {
    ///     let job = glassfrog::task::spawn_blocking(|| LOG.blocking_lock().push(String::from("done")));
    ///     job.await.unwrap();
    ///     assert_eq!(*LOG.lock().await, ["done"]);
    /// });
    /// ```
    #[track_caller]
    pub fn blocking_lock(&self) -> MutexGuard<'_, T> {
        let location = Location::caller();
        assert_may_block("blocking_lock");
        let Shared { lock, seen } = self.shared();
        let guard = lock.lock_blocking();
        seen.holder.set(location);
        MutexGuard { seen, guard }
    }

    /// Returns a reference to the value. No locking takes place, because the exclusive borrow proves that there is no
    /// guard.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::Mutex;
    ///
    /// let mut mutex = Mutex::new(7);
    /// *mutex.get_mut() = 8;
    /// assert_eq!(mutex.into_inner(), 8);
    /// ```
    pub fn get_mut(&mut self) -> &mut T {
        self.shared();
        let shared = self.shared.get_mut().expect("the line above has used it");
        let lock = Arc::get_mut(&mut shared.lock).expect("each owned guard owns the mutex too");
        lock.get_mut()
    }

    /// Returns the value.
    ///
    /// # Examples
    ///
    /// See [`get_mut`](Mutex::get_mut).
    pub fn into_inner(self) -> T {
        match self.shared.into_inner() {
            Some(shared) => Arc::into_inner(shared.lock)
                .expect("each owned guard owns the mutex too")
                .into_inner(),
            None => self.value.take(),
        }
    }
}

pin_project! {
    /// The future of [`Mutex::lock`].
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::{Lock, Mutex};
    ///
    /// glassfrog::block_on(async {
    ///     let mutex = Mutex::new(7);
    ///     let lock: Lock<'_, i32> = mutex.lock();
    ///     assert_eq!(*lock.await, 7);
    /// });
    /// ```
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct Lock<'a, T> {
        // The mutex.
        shared: &'a Shared<T>,
        // The lock operation, if the mutex was already locked.
        #[pin]
        slow: Option<async_lock::futures::Lock<'a, T>>,
        // Where `lock` was called.
        location: &'static Location<'static>,
        // The wait, if the mutex was already locked.
        wait: Wait,
    }
}

impl<'a, T> Future for Lock<'a, T> {
    type Output = MutexGuard<'a, T>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<MutexGuard<'a, T>> {
        ready!(poll_budget(cx));
        if self.slow.is_none()
            && let Some(guard) = self.shared.lock.try_lock()
        {
            spend_budget();
            let seen = &self.shared.seen;
            seen.holder.set(self.location);
            return Poll::Ready(MutexGuard { seen, guard });
        }
        self.poll_slow(cx)
    }
}

impl<'a, T> Lock<'a, T> {
    /// Waits for the current holder.
    #[cold]
    fn poll_slow(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<MutexGuard<'a, T>> {
        let this = self.project();
        let shared: &'a Shared<T> = this.shared;
        let guard = this
            .wait
            .poll_slow(this.slow, cx, this.location, &shared.seen, 0, || {
                shared.lock.lock()
            });
        let guard = ready!(guard);
        shared.seen.holder.set(this.location);
        Poll::Ready(MutexGuard {
            seen: &shared.seen,
            guard,
        })
    }
}

pin_project! {
    /// The future of [`Mutex::lock_owned`].
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::{LockOwned, Mutex};
    /// use std::sync::Arc;
    ///
    /// glassfrog::block_on(async {
    ///     let lock: LockOwned<i32> = Arc::new(Mutex::new(7)).lock_owned();
    ///     assert_eq!(*lock.await, 7);
    /// });
    /// ```
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct LockOwned<T> {
        // The lock operation, from the first poll on.
        #[pin]
        slow: Option<async_lock::futures::LockArc<T>>,
        // The mutex.
        mutex: Arc<Mutex<T>>,
        // Where `lock_owned` was called.
        location: &'static Location<'static>,
        // The wait, if the mutex was already locked.
        wait: Wait,
    }
}

impl<T> Future for LockOwned<T> {
    type Output = OwnedMutexGuard<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<OwnedMutexGuard<T>> {
        let this = self.project();
        let Shared { lock, seen } = this.mutex.shared();
        let guard = this
            .wait
            .poll_slow(this.slow, cx, this.location, seen, 0, || lock.lock_arc());
        let guard = ready!(guard);
        seen.holder.set(this.location);
        seen.holder.set_owned();
        let mutex = Arc::clone(this.mutex);
        Poll::Ready(OwnedMutexGuard { guard, mutex })
    }
}

/// A guard of a [`Mutex`]. Dropping it unlocks the mutex.
///
/// # Examples
///
/// See [`Mutex`].
#[must_use = "dropping the guard unlocks the mutex"]
pub struct MutexGuard<'a, T> {
    /// The state of the mutex.
    seen: &'a Seen,
    /// The lock.
    guard: async_lock::MutexGuard<'a, T>,
}

impl<T> Drop for MutexGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // Clears the mark before the unlock, after which it belongs to the next holder.
        self.seen.holder.clear();
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

/// A guard of a [`Mutex`] that owns a reference to it. Dropping it unlocks the mutex.
///
/// # Examples
///
/// See [`Mutex::lock_owned`].
#[must_use = "dropping the guard unlocks the mutex"]
pub struct OwnedMutexGuard<T> {
    /// The lock.
    guard: async_lock::MutexGuardArc<T>,
    /// The mutex, which lives as long as the guard. Dropped after the guard.
    mutex: Arc<Mutex<T>>,
}

impl<T> Drop for OwnedMutexGuard<T> {
    fn drop(&mut self) {
        // Clears the mark before the unlock, after which it belongs to the next holder.
        self.mutex.shared().seen.holder.clear();
    }
}

impl<T> Deref for OwnedMutexGuard<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> DerefMut for OwnedMutexGuard<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

impl<T: Default> Default for Mutex<T> {
    #[track_caller]
    fn default() -> Mutex<T> {
        Mutex::new(T::default())
    }
}

impl<T> From<T> for Mutex<T> {
    #[track_caller]
    fn from(value: T) -> Mutex<T> {
        Mutex::new(value)
    }
}

impl<T: fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Mutex");
        // `try_lock` of this type would set the mark, so this calls that of the inner lock.
        match self.shared().lock.try_lock() {
            Some(guard) => debug.field("value", &&*guard),
            None => debug.field("value", &format_args!("<locked>")),
        };
        debug.finish()
    }
}

impl<T> fmt::Debug for Lock<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lock").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for LockOwned<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockOwned").finish_non_exhaustive()
    }
}

impl<T: fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: fmt::Debug> fmt::Debug for OwnedMutexGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: fmt::Display> fmt::Display for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: fmt::Display> fmt::Display for OwnedMutexGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
