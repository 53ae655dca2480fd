//! [`CancellationToken`]: requests that tasks stop.

mod tree;

use self::tree::Node;
use super::seen::{About, Mark};
use crate::executor::budget::{poll_budget, spend_budget};
use crate::executor::primitive::{Description, Primitive, View};
use crate::executor::waits::{Declared, Wait};
use crate::primitives::EventListener;
use pin_project_lite::pin_project;
use std::borrow::Cow;
use std::fmt;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// A token that requests that tasks stop. Each of its clones can cancel it, or wait until it is cancelled.
///
/// Tokens form a tree. Cancelling a token cancels all its descendants, but not its parent. A cancelled token stays
/// cancelled.
///
/// # Examples
///
/// ```
/// use glassfrog::sync::CancellationToken;
/// use glassfrog::time::sleep;
/// use std::time::Duration;
///
/// glassfrog::block_on(async {
///     let shutdown = CancellationToken::new();
///     let theirs = shutdown.child_token();
///     let worker = glassfrog::spawn(async move {
///         let work = sleep(Duration::from_secs(60));
///         match theirs.run_until_cancelled(work).await {
///             Some(()) => "done",
///             None => "stopped",
///         }
///     });
///     shutdown.cancel();
///     assert_eq!(worker.await.unwrap(), "stopped");
/// });
/// ```
#[derive(Clone)]
pub struct CancellationToken {
    /// The token in the tree.
    node: Arc<Node<Seen>>,
}

/// The description of a token for dumps.
#[derive(Debug)]
struct Seen {
    /// The name of the token, and where it was made.
    about: About,
    /// The task that made it.
    maker: Mark,
}

impl Seen {
    /// Describes a new token.
    #[track_caller]
    fn new(name: Option<Cow<'static, str>>) -> Seen {
        let made = Location::caller();
        let maker = Mark::default();
        maker.set(made);
        Seen {
            about: About { name, made },
            maker,
        }
    }
}

impl Primitive for Node<Seen> {
    fn is_retried(&self) -> bool {
        false
    }

    fn describe(&self, _wait: &Declared, view: &View<'_>) -> Description {
        let Seen { about, maker } = &self.about;
        Description {
            kind: "cancelled",
            subject: format!("cancellation of {about}"),
            state: match maker.get() {
                Some(maker) => {
                    let maker = maker.who.name(view);
                    format!(", created by {maker}, nobody has cancelled it")
                }
                None => String::from(", nobody has cancelled it"),
            },
            ..Description::default()
        }
    }
}

impl CancellationToken {
    /// Creates a token that is not cancelled.
    ///
    /// # Examples
    ///
    /// See [`CancellationToken`].
    #[track_caller]
    pub fn new() -> CancellationToken {
        CancellationToken {
            node: Node::root(Seen::new(None)),
        }
    }

    /// Creates a token with a name, which dumps show.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::CancellationToken;
    ///
    /// let shutdown = CancellationToken::named("shutdown");
    /// assert!(!shutdown.is_cancelled());
    /// ```
    #[track_caller]
    pub fn named(name: impl Into<Cow<'static, str>>) -> CancellationToken {
        CancellationToken {
            node: Node::root(Seen::new(Some(name.into()))),
        }
    }

    /// Creates a child of this token. Cancelling this token cancels the child, but not conversely. A child of a
    /// cancelled token is cancelled from the beginning.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::CancellationToken;
    ///
    /// let server = CancellationToken::new();
    /// let connection = server.child_token();
    /// connection.cancel();
    /// assert!(!server.is_cancelled());
    ///
    /// let connection = server.child_token();
    /// server.cancel();
    /// assert!(connection.is_cancelled());
    /// ```
    #[track_caller]
    pub fn child_token(&self) -> CancellationToken {
        let name = self.node.about.about.name.clone();
        CancellationToken {
            node: self.node.child(Seen::new(name)),
        }
    }

    /// Cancels this token and its descendants. Does nothing if the token is already cancelled.
    ///
    /// # Examples
    ///
    /// See [`CancellationToken`].
    pub fn cancel(&self) {
        self.node.cancel();
    }

    /// Returns whether the token is cancelled.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::CancellationToken;
    ///
    /// let token = CancellationToken::new();
    /// token.cancel();
    /// assert!(token.is_cancelled());
    /// ```
    pub fn is_cancelled(&self) -> bool {
        self.node.is_cancelled()
    }

    /// Waits until the token is cancelled.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::CancellationToken;
    ///
    /// glassfrog::block_on(async {
    ///     let token = CancellationToken::new();
    ///     let theirs = token.clone();
    ///     glassfrog::spawn(async move { theirs.cancel() });
    ///     token.cancelled().await;
    /// });
    /// ```
    #[track_caller]
    pub fn cancelled(&self) -> Cancelled<'_> {
        Cancelled {
            token: self,
            cancelled: PollCancelled::new(),
        }
    }

    /// Waits until the token is cancelled. The future owns the token.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::CancellationToken;
    ///
    /// glassfrog::block_on(async {
    ///     let token = CancellationToken::new();
    ///     let waiter = glassfrog::spawn(token.clone().cancelled_owned());
    ///     token.cancel();
    ///     waiter.await.unwrap();
    /// });
    /// ```
    #[track_caller]
    pub fn cancelled_owned(self) -> CancelledOwned {
        CancelledOwned {
            token: self,
            cancelled: PollCancelled::new(),
        }
    }

    /// Runs a future until it completes or the token is cancelled. Returns `None` if the token is cancelled first, or
    /// if both happen between two polls.
    ///
    /// # Cancel safety
    ///
    /// The returned future owns the other one, and drops it when the token is cancelled.
    ///
    /// # Examples
    ///
    /// See [`CancellationToken`].
    #[track_caller]
    pub fn run_until_cancelled<F: IntoFuture>(
        &self,
        future: F,
    ) -> RunUntilCancelled<'_, F::IntoFuture> {
        RunUntilCancelled {
            cancelled: self.cancelled(),
            future: future.into_future(),
        }
    }

    /// Returns a guard that cancels the token when it is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::CancellationToken;
    ///
    /// let token = CancellationToken::new();
    /// let guard = token.clone().drop_guard();
    /// drop(guard);
    /// assert!(token.is_cancelled());
    /// ```
    pub fn drop_guard(self) -> DropGuard {
        DropGuard { token: Some(self) }
    }
}

impl Default for CancellationToken {
    #[track_caller]
    fn default() -> CancellationToken {
        CancellationToken::new()
    }
}

/// Tokens are equal if they are clones of one another.
impl PartialEq for CancellationToken {
    fn eq(&self, other: &CancellationToken) -> bool {
        Arc::ptr_eq(&self.node, &other.node)
    }
}

impl Eq for CancellationToken {}

impl fmt::Debug for CancellationToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancellationToken")
            .field("is_cancelled", &self.is_cancelled())
            .finish_non_exhaustive()
    }
}

/// The state of a wait for a token.
struct PollCancelled {
    /// The listener. Created in the first poll that is pending.
    listener: Option<EventListener>,
    /// Where the wait was created.
    location: &'static Location<'static>,
    /// The wait, while the future is pending.
    wait: Wait,
}

impl PollCancelled {
    /// Creates the state of a wait that has not been polled.
    #[track_caller]
    fn new() -> PollCancelled {
        PollCancelled {
            listener: None,
            location: Location::caller(),
            wait: Wait::default(),
        }
    }

    /// Waits for the token.
    fn poll(&mut self, token: &CancellationToken, cx: &mut Context<'_>) -> Poll<()> {
        ready!(poll_budget(cx));
        let polled = token.node.poll_cancelled(&mut self.listener, cx);
        match polled {
            Poll::Ready(()) => {
                spend_budget();
                self.wait.withdraw();
            }
            Poll::Pending => self.wait.pending(cx, self.location, &token.node, 0),
        }
        polled
    }
}

/// The future of [`CancellationToken::cancelled`].
///
/// # Examples
///
/// ```
/// use glassfrog::sync::{CancellationToken, Cancelled};
///
/// let token = CancellationToken::new();
/// token.cancel();
/// let cancelled: Cancelled<'_> = token.cancelled();
/// glassfrog::block_on(cancelled);
/// ```
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct Cancelled<'a> {
    /// The token.
    token: &'a CancellationToken,
    /// The wait for it.
    cancelled: PollCancelled,
}

impl Future for Cancelled<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let token = self.token;
        self.cancelled.poll(token, cx)
    }
}

/// The future of [`CancellationToken::cancelled_owned`].
///
/// # Examples
///
/// ```
/// use glassfrog::sync::{CancellationToken, CancelledOwned};
///
/// let token = CancellationToken::new();
/// token.cancel();
/// let cancelled: CancelledOwned = token.cancelled_owned();
/// glassfrog::block_on(cancelled);
/// ```
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct CancelledOwned {
    /// The token.
    token: CancellationToken,
    /// The wait for it.
    cancelled: PollCancelled,
}

impl Future for CancelledOwned {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        this.cancelled.poll(&this.token, cx)
    }
}

pin_project! {
    /// The future of [`CancellationToken::run_until_cancelled`].
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::{CancellationToken, RunUntilCancelled};
    /// use std::future::{Ready, ready};
    ///
    /// let token = CancellationToken::new();
    /// let run: RunUntilCancelled<'_, Ready<i32>> = token.run_until_cancelled(ready(7));
    /// assert_eq!(glassfrog::block_on(run), Some(7));
    /// ```
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct RunUntilCancelled<'a, F> {
        // The wait for the token.
        cancelled: Cancelled<'a>,
        // The future.
        #[pin]
        future: F,
    }
}

impl<F: Future> Future for RunUntilCancelled<'_, F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<F::Output>> {
        // Before the token, which would not say that it is cancelled without a budget: the future may be ready.
        ready!(poll_budget(cx));
        let this = self.project();
        if Pin::new(this.cancelled).poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        this.future.poll(cx).map(Some)
    }
}

/// A guard that cancels a [`CancellationToken`] when it is dropped.
///
/// # Examples
///
/// See [`CancellationToken::drop_guard`].
#[must_use = "dropping the guard cancels the token"]
pub struct DropGuard {
    /// The token; `None` once it has been disarmed.
    token: Option<CancellationToken>,
}

impl DropGuard {
    /// Returns the token without cancelling it.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::CancellationToken;
    ///
    /// let guard = CancellationToken::new().drop_guard();
    /// let token = guard.disarm();
    /// assert!(!token.is_cancelled());
    /// ```
    pub fn disarm(mut self) -> CancellationToken {
        self.token.take().expect("only this takes the token")
    }
}

impl Drop for DropGuard {
    fn drop(&mut self) {
        if let Some(token) = &self.token {
            token.cancel();
        }
    }
}

impl fmt::Debug for Cancelled<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cancelled").finish_non_exhaustive()
    }
}

impl fmt::Debug for CancelledOwned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelledOwned").finish_non_exhaustive()
    }
}

impl<F> fmt::Debug for RunUntilCancelled<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunUntilCancelled").finish_non_exhaustive()
    }
}

impl fmt::Debug for DropGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DropGuard").finish_non_exhaustive()
    }
}
