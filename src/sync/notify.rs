//! [`Notify`]: wakes tasks without passing a value.

mod signal;

use self::signal::{Signal, Waiting};
use super::seen::{About, Lazy, Mark};
use crate::executor::budget::{poll_budget, spend_budget};
use crate::executor::primitive::{Description, Primitive, View};
use crate::executor::waits::{Declared, Wait};
use std::borrow::Cow;
use std::fmt;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// Notifies one waiting task or all of them, without passing a value.
///
/// If a task waits, a dump shows which task has notified last:
///
/// ```text
/// notified of "ready", nobody has notified since task 3 did 12 s ago at src/loader.rs:40; `Notify` made at src/main.rs:9
/// notified of "ready", nobody has notified since it was made; `Notify` made at src/main.rs:9
/// ```
///
/// # Fairness
///
/// [`notify_one`](Notify::notify_one) wakes the task that has waited longest.
///
/// Each wait takes part in the [budget of a poll](crate::task#fairness): a task that finds a notification every time
/// still lets other tasks run.
///
/// # Examples
///
/// ```
/// use glassfrog::sync::Notify;
/// use std::cell::Cell;
/// use std::rc::Rc;
///
/// glassfrog::block_on(async {
///     let (ready, value) = (Rc::new(Notify::new()), Rc::new(Cell::new(0)));
///     let (theirs, written) = (Rc::clone(&ready), Rc::clone(&value));
///     glassfrog::spawn(async move {
///         written.set(7);
///         theirs.notify_one();
///     });
///     ready.notified().await;
///     assert_eq!(value.get(), 7);
/// });
/// ```
pub struct Notify {
    /// The signal with its state for dumps.
    shared: Lazy<Arc<Shared>>,
}

/// The signal with its state for dumps.
struct Shared {
    /// The name of the signal, and where it was made.
    about: About,
    /// The signal.
    signal: Signal,
    /// The task that has notified last.
    last: Mark,
}

impl Shared {
    /// Creates a signal that has not been notified.
    fn new(about: About) -> Arc<Shared> {
        Arc::new(Shared {
            about,
            signal: Signal::new(),
            last: Mark::default(),
        })
    }
}

impl Primitive for Shared {
    fn describe(&self, _wait: &Declared, view: &View<'_>) -> Description {
        let (subject, origin) = self.about.name_and_origin("`Notify`");
        Description {
            kind: "notified",
            subject: format!("notified of {subject}"),
            state: match self.last.get() {
                Some(last) => {
                    let (who, when) = (last.who.name(view), last.when(view));
                    format!(", nobody has notified since {who} did{when}")
                }
                None => String::from(", nobody has notified since it was made"),
            },
            origin,
            ..Description::default()
        }
    }
}

impl Notify {
    /// Creates a `Notify` that has not been notified.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::Notify;
    ///
    /// static STOP: Notify = Notify::new();
    ///
    /// STOP.notify_one();
    /// glassfrog::block_on(async { STOP.notified().await });
    /// ```
    #[track_caller]
    pub const fn new() -> Notify {
        Notify {
            shared: Lazy::new(),
        }
    }

    /// Creates a `Notify` with a name, which dumps show.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::Notify;
    ///
    /// let ready = Notify::named("ready");
    /// ready.notify_one();
    /// ```
    #[track_caller]
    pub fn named(name: impl Into<Cow<'static, str>>) -> Notify {
        Notify {
            shared: Lazy::named(name, Shared::new),
        }
    }

    /// Returns the signal.
    fn shared(&self) -> &Arc<Shared> {
        self.shared.get(Shared::new)
    }

    /// Notifies the task that has waited longest. If no task waits, stores a permit, which the next `notified` takes.
    /// At most one permit is stored.
    ///
    /// # Examples
    ///
    /// See [`Notify`].
    #[track_caller]
    pub fn notify_one(&self) {
        let shared = self.shared();
        shared.last.set_shared(Location::caller());
        shared.signal.notify_one();
    }

    /// Notifies all waiting tasks. This includes each future of [`notified`](Notify::notified) that exists, even if it
    /// has not been polled, and none that is created later. Stores no permit.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::Notify;
    ///
    /// glassfrog::block_on(async {
    ///     let closing = Notify::new();
    ///     let (first, second) = (closing.notified(), closing.notified());
    ///     closing.notify_waiters();
    ///     first.await;
    ///     second.await;
    /// });
    /// ```
    #[track_caller]
    pub fn notify_waiters(&self) {
        let shared = self.shared();
        shared.last.set_shared(Location::caller());
        shared.signal.notify_waiters();
    }

    /// Waits for a notification.
    ///
    /// The future enters the line at its first poll, or by [`enable`](Notified::enable).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up the place in line. A notification that has arrived goes to the next in line.
    ///
    /// # Examples
    ///
    /// See [`Notify`].
    #[track_caller]
    pub fn notified(&self) -> Notified<'_> {
        let shared = self.shared();
        Notified {
            shared,
            waiting: shared.signal.begin(),
            is_notified: false,
            location: Location::caller(),
            wait: Wait::default(),
        }
    }
}

impl Default for Notify {
    #[track_caller]
    fn default() -> Notify {
        Notify::new()
    }
}

impl fmt::Debug for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let about = &self.shared().about;
        f.debug_struct("Notify")
            .field("name", &about.name)
            .finish_non_exhaustive()
    }
}

/// The future of [`Notify::notified`].
///
/// # Examples
///
/// ```
/// use glassfrog::sync::{Notified, Notify};
///
/// glassfrog::block_on(async {
///     let ready = Notify::new();
///     let notified: Notified<'_> = ready.notified();
///     ready.notify_one();
///     notified.await;
/// });
/// ```
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct Notified<'a> {
    /// The signal.
    shared: &'a Arc<Shared>,
    /// The place in line.
    waiting: Waiting,
    /// Whether the notification has arrived in `enable` or in a poll.
    is_notified: bool,
    /// Where `notified` was called.
    location: &'static Location<'static>,
    /// The wait, while the future is pending.
    wait: Wait,
}

impl Notified<'_> {
    /// Gets in line without waiting. If the future has been polled, the task of that poll is still the one to be woken.
    /// Returns true if a notification has arrived; the future is then ready.
    ///
    /// A future that enters the line before its task checks the condition cannot miss the notification.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::Notify;
    /// use std::cell::Cell;
    /// use std::pin::pin;
    ///
    /// async fn take(value: &Cell<Option<i32>>, changed: &Notify) -> i32 {
    ///     loop {
    ///         let mut notified = pin!(changed.notified());
    ///         notified.as_mut().enable();
    ///         if let Some(value) = value.take() {
    ///             return value;
    ///         }
    ///         notified.await;
    ///     }
    /// }
    ///
    /// let (value, changed) = (Cell::new(Some(7)), Notify::new());
    /// assert_eq!(glassfrog::block_on(take(&value, &changed)), 7);
    /// ```
    pub fn enable(mut self: Pin<&mut Self>) -> bool {
        let this = &mut *self;
        this.is_notified = this.is_notified || this.waiting.enable(&this.shared.signal);
        this.is_notified
    }
}

impl Future for Notified<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        ready!(poll_budget(cx));
        let this = &mut *self;
        this.is_notified =
            this.is_notified || this.waiting.poll(&this.shared.signal, cx).is_ready();
        if this.is_notified {
            spend_budget();
            this.wait.withdraw();
            return Poll::Ready(());
        }
        this.wait.pending(cx, this.location, this.shared, 0);
        Poll::Pending
    }
}

impl Drop for Notified<'_> {
    fn drop(&mut self) {
        self.waiting.end(&self.shared.signal);
    }
}

impl fmt::Debug for Notified<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notified")
            .field("is_notified", &self.is_notified)
            .finish_non_exhaustive()
    }
}
