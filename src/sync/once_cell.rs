//! [`OnceCell`]: a cell whose value is initialized at most once.

use super::seen::{About, Lazy, Mark};
use crate::executor::budget::{poll_budget, spend_budget};
use crate::executor::primitive::{Blockers, Description, Lines, Primitive, View};
use crate::executor::waits::{Declared, Subject, Wait};
use crate::primitives::{AtomicBool, Ordering};
use std::borrow::Cow;
use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::panic::Location;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

/// A cell whose value is initialized at most once, by the first task that needs it. Other tasks wait meanwhile.
///
/// If a task waits for the value, a dump shows which task makes it:
///
/// ```text
/// value of "config" (made at src/config.rs:8), being made by task 3, begun 2 s ago at src/config.rs:20
/// ```
///
/// If making the value needs no `.await`, use [`std::sync::OnceLock`], which is cheaper.
///
/// # Fairness
///
/// If the task that makes the value is cancelled, fails or panics, another task makes it: the one that has waited
/// longest, unless a new one is faster.
///
/// Each use takes part in the [budget of a poll](crate::task#fairness): a task that finds the value every time still
/// lets other tasks run. [`get`](OnceCell::get) does not.
///
/// # Poisoning
///
/// The cell is never poisoned. If making the value panics, the cell stays empty.
///
/// # Examples
///
/// ```
/// use glassfrog::sync::OnceCell;
/// use std::time::Duration;
///
/// static CONFIG: OnceCell<String> = OnceCell::new();
///
/// async fn config() -> &'static str {
///     CONFIG
///         .get_or_init(async || {
///             glassfrog::time::sleep(Duration::from_millis(1)).await;
///             String::from("fast")
///         })
///         .await
/// }
///
/// glassfrog::block_on(async {
///     let other = glassfrog::spawn(config());
///     assert_eq!(config().await, "fast");
///     assert_eq!(other.await.unwrap(), "fast");
/// });
/// ```
pub struct OnceCell<T> {
    /// The cell.
    cell: async_lock::OnceCell<T>,
    /// The state for dumps. Created when a task begins to make the value for the first time.
    seen: Lazy<Arc<Seen>>,
}

/// The state of a cell for dumps, which does not own the value.
#[derive(Debug)]
struct Seen {
    /// The name of the cell, and where it was made.
    about: About,
    /// The task that makes the value.
    maker: Mark,
}

impl Seen {
    /// Creates the state of an empty cell.
    fn new(about: About) -> Arc<Seen> {
        let maker = Mark::default();
        Arc::new(Seen { about, maker })
    }
}

impl Primitive for Seen {
    fn blocked_by(&self, wait: &Declared, runtime: u32, _waits: &Lines<'_>) -> Blockers {
        let maker = self.maker.get();
        let maker = maker.and_then(|taken| taken.blocker(wait, runtime));
        maker.into_iter().collect()
    }

    fn describe(&self, _: &Declared, view: &View<'_>) -> Description {
        let maker = self.maker.get();
        Description {
            kind: "value",
            subject: match self.about.name {
                Some(_) => format!("value of {}", self.about),
                None => format!("value of the cell {}", self.about),
            },
            state: match &maker {
                Some(taken) => {
                    let (name, when) = (taken.who.name_for_waiter(view), taken.when(view));
                    format!(", being made by {name}, begun{when}")
                }
                None => String::from(", which no task makes"),
            },
            ..Description::default()
        }
    }
}

/// Records the task that makes the value, until this is dropped.
struct Making<'a>(&'a Seen);

impl<'a> Making<'a> {
    /// Records that the task on this thread makes the value.
    fn begin(seen: &'a Seen, location: &'static Location<'static>) -> Making<'a> {
        seen.maker.set(location);
        Making(seen)
    }
}

impl Drop for Making<'_> {
    fn drop(&mut self) {
        self.0.maker.clear();
    }
}

/// Waits until the poll may finish another operation, and takes it from the budget of the poll.
async fn take_budget() {
    poll_fn(poll_budget).await;
    spend_budget();
}

impl<T> OnceCell<T> {
    /// Creates an empty cell.
    ///
    /// # Examples
    ///
    /// See [`OnceCell`].
    #[track_caller]
    pub const fn new() -> OnceCell<T> {
        OnceCell {
            cell: async_lock::OnceCell::new(),
            seen: Lazy::new(),
        }
    }

    /// Creates an empty cell with a name, which dumps show.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::OnceCell;
    ///
    /// let config = OnceCell::named("config");
    /// glassfrog::block_on(async { assert_eq!(*config.get_or_init(async || 7).await, 7) });
    /// ```
    #[track_caller]
    pub fn named(name: impl Into<Cow<'static, str>>) -> OnceCell<T> {
        OnceCell {
            cell: async_lock::OnceCell::new(),
            seen: Lazy::named(name, Seen::new),
        }
    }

    /// Creates a cell that contains a value, or an empty one.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::OnceCell;
    ///
    /// assert_eq!(OnceCell::new_with(Some(7)).get(), Some(&7));
    /// assert_eq!(OnceCell::<i32>::new_with(None).get(), None);
    /// ```
    #[track_caller]
    pub fn new_with(value: Option<T>) -> OnceCell<T> {
        OnceCell {
            cell: value.map_or_else(async_lock::OnceCell::new, async_lock::OnceCell::from),
            seen: Lazy::new(),
        }
    }

    /// Returns whether the cell contains a value.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::OnceCell;
    ///
    /// let cell = OnceCell::new();
    /// assert!(!cell.initialized());
    /// cell.set(7).unwrap();
    /// assert!(cell.initialized());
    /// ```
    pub fn initialized(&self) -> bool {
        self.cell.is_initialized()
    }

    /// Returns the value, or `None` if the cell is empty. Never waits.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::OnceCell;
    ///
    /// let cell = OnceCell::new();
    /// assert_eq!(cell.get(), None);
    /// cell.set(7).unwrap();
    /// assert_eq!(cell.get(), Some(&7));
    /// ```
    #[inline]
    pub fn get(&self) -> Option<&T> {
        self.cell.get()
    }

    /// Returns a reference to the value, or `None` if the cell is empty.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::OnceCell;
    ///
    /// let mut cell = OnceCell::from(7);
    /// *cell.get_mut().unwrap() = 8;
    /// assert_eq!(cell.into_inner(), Some(8));
    /// ```
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.cell.get_mut()
    }

    /// Sets the value of an empty cell.
    ///
    /// # Errors
    ///
    /// Returns the value in an error if the cell already contains one, or if a task is making one.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::{OnceCell, SetError};
    ///
    /// let cell = OnceCell::new();
    /// assert_eq!(cell.set(7), Ok(()));
    /// assert_eq!(cell.set(8), Err(SetError::AlreadyInitializedError(8)));
    /// ```
    pub fn set(&self, value: T) -> Result<(), SetError<T>> {
        self.cell
            .try_set(value)
            .map_err(|value| match self.initialized() {
                true => SetError::AlreadyInitializedError(value),
                false => SetError::InitializingError(value),
            })
    }

    /// Returns the value. If the cell is empty, makes the value first, or waits while another task makes it.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped while it makes the value, the cell stays empty, and one of the waiting tasks makes the
    /// value instead.
    ///
    /// # Deadlocks
    ///
    /// If the future that makes the value waits for the same cell, it deadlocks. The dump shows this.
    ///
    /// # Examples
    ///
    /// See [`OnceCell`].
    #[track_caller]
    pub fn get_or_init<F, Fut>(&self, make: F) -> impl Future<Output = &T>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = T>,
    {
        let location = Location::caller();
        async move {
            take_budget().await;
            if let Some(value) = self.get() {
                return value;
            }
            let made = self.make(location, async move || Ok::<T, Infallible>(make().await));
            let Ok(value) = made.await;
            value
        }
    }

    /// Returns the value. If the cell is empty, tries to make the value first, or waits while another task tries.
    ///
    /// # Errors
    ///
    /// Returns the error of `make`. The cell then stays empty, and one of the waiting tasks tries next.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped while it makes the value, the cell stays empty, and one of the waiting tasks makes the
    /// value instead.
    ///
    /// # Deadlocks
    ///
    /// If the future that makes the value waits for the same cell, it deadlocks. The dump shows this.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::OnceCell;
    ///
    /// glassfrog::block_on(async {
    ///     let port = OnceCell::new();
    ///     let failed = port.get_or_try_init(async || "no".parse::<u16>()).await;
    ///     assert!(failed.is_err());
    ///     let port = port.get_or_try_init(async || "80".parse::<u16>()).await;
    ///     assert_eq!(port, Ok(&80));
    /// });
    /// ```
    #[track_caller]
    pub fn get_or_try_init<E, F, Fut>(&self, make: F) -> impl Future<Output = Result<&T, E>>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let location = Location::caller();
        async move {
            take_budget().await;
            match self.get() {
                Some(value) => Ok(value),
                None => self.make(location, make).await,
            }
        }
    }

    /// Makes the value, or waits for the task that makes it.
    async fn make<E, F, Fut>(&self, location: &'static Location<'static>, make: F) -> Result<&T, E>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let seen = self.seen.get(Seen::new);
        // Whether this future makes the value. Only this task uses the flag, so Relaxed is enough. With a `Cell`, the
        // future would not be `Send`.
        let is_maker = AtomicBool::new(false);
        let is_maker = &is_maker;
        let mut operation = pin!(self.cell.get_or_try_init(move || {
            is_maker.store(true, Ordering::Relaxed);
            let making = Making::begin(seen, location);
            async move {
                let made = make().await;
                drop(making);
                made
            }
        }));
        let mut wait = Wait::default();
        poll_fn(|cx| {
            let polled = operation.as_mut().poll(cx);
            if polled.is_ready() || is_maker.load(Ordering::Relaxed) {
                // The task that makes the value waits for what `make` waits for.
                wait.withdraw();
            } else {
                wait.declare(Some(cx.waker()), location, 0, || {
                    Subject::Primitive(Arc::clone(seen) as Arc<dyn Primitive>, 0)
                });
            }
            match polled {
                Poll::Ready(made) => Poll::Ready(made),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    /// Returns the value, or `None` if the cell is empty.
    ///
    /// # Examples
    ///
    /// See [`get_mut`](OnceCell::get_mut).
    pub fn into_inner(self) -> Option<T> {
        self.cell.into_inner()
    }

    /// Takes the value out of the cell, leaving it empty.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::OnceCell;
    ///
    /// let mut cell = OnceCell::from(7);
    /// assert_eq!(cell.take(), Some(7));
    /// assert_eq!(cell.take(), None);
    /// ```
    pub fn take(&mut self) -> Option<T> {
        self.cell.take()
    }
}

impl<T> Default for OnceCell<T> {
    #[track_caller]
    fn default() -> OnceCell<T> {
        OnceCell::new()
    }
}

impl<T> From<T> for OnceCell<T> {
    #[track_caller]
    fn from(value: T) -> OnceCell<T> {
        OnceCell::new_with(Some(value))
    }
}

impl<T: Clone> Clone for OnceCell<T> {
    #[track_caller]
    fn clone(&self) -> OnceCell<T> {
        OnceCell::new_with(self.get().cloned())
    }
}

impl<T: PartialEq> PartialEq for OnceCell<T> {
    fn eq(&self, other: &OnceCell<T>) -> bool {
        self.get() == other.get()
    }
}

impl<T: Eq> Eq for OnceCell<T> {}

impl<T: fmt::Debug> fmt::Debug for OnceCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("OnceCell");
        debug.field("value", &self.get()).finish()
    }
}

/// The error of [`OnceCell::set`]. Contains the value.
///
/// # Examples
///
/// See [`OnceCell::set`].
#[derive(Debug, PartialEq, Eq)]
pub enum SetError<T> {
    /// The cell already contains a value.
    AlreadyInitializedError(T),
    /// A task is making the value.
    InitializingError(T),
}

impl<T> SetError<T> {
    /// Returns whether the cell already contains a value.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::OnceCell;
    ///
    /// assert!(OnceCell::from(7).set(8).unwrap_err().is_already_init_err());
    /// ```
    pub fn is_already_init_err(&self) -> bool {
        matches!(self, SetError::AlreadyInitializedError(_))
    }

    /// Returns whether a task is making the value.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::OnceCell;
    ///
    /// glassfrog::block_on(async {
    ///     let cell = OnceCell::new();
    ///     cell.get_or_init(async || {
    ///         assert!(cell.set(8).unwrap_err().is_initializing_err());
    ///         7
    ///     })
    ///     .await;
    ///     assert_eq!(cell.get(), Some(&7));
    /// });
    /// ```
    pub fn is_initializing_err(&self) -> bool {
        matches!(self, SetError::InitializingError(_))
    }
}

impl<T> fmt::Display for SetError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SetError::AlreadyInitializedError(_) => "the cell contains a value already",
            SetError::InitializingError(_) => "a task makes the value of the cell at the moment",
        })
    }
}

impl<T: fmt::Debug> Error for SetError<T> {}
