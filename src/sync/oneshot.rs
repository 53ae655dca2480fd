//! Channels for a single value.
//!
//! The sender never waits. The receiver is a future that returns the value. The ends work on any thread and under any
//! executor.
//!
//! # Dumps
//!
//! If a task waits for the value, a dump shows which task made the sender:
//!
//! ```text
//! recv on oneshot "reply" (made at src/client.rs:40), its sender has not been used since it was made by task 2
//! "client" 3.2 s ago at src/client.rs:40
//! ```
//!
//! A program can move the sender to another task. The channel knows the task that made it and the one that [waited with
//! it](Sender::closed) last, not the one that owns it now.
//!
//! # Fairness
//!
//! Each value takes part in the [budget of a poll](crate::task#fairness): a task that finds a value in every channel
//! still lets other tasks run.
//!
//! # Examples
//!
//! ```
//! use glassfrog::sync::oneshot;
//!
//! glassfrog::block_on(async {
//!     let (reply, replied) = oneshot::channel_named("reply");
//!     glassfrog::spawn(async move { reply.send(42).unwrap() });
//!     assert_eq!(replied.await, Ok(42));
//! });
//! ```

pub(crate) mod core;
pub mod error;

use self::core::Core;
use self::error::{RecvError, TryRecvError};
use super::assert_may_block;
use super::ends::End;
use super::seen::About;
use crate::executor::budget::{poll_budget, spend_budget};
use crate::executor::primitive::{Blockers, Description, Lines, Primitive, View};
use crate::executor::waits::{Declared, Subject, Wait};
use std::borrow::Cow;
use std::fmt;
use std::panic::Location;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker, ready};
use std::thread::{self, Thread};

/// Creates a channel for a single value.
///
/// # Examples
///
/// ```
/// use glassfrog::sync::oneshot;
///
/// glassfrog::block_on(async {
///     let (sender, receiver) = oneshot::channel();
///     sender.send("hello").unwrap();
///     assert_eq!(receiver.await, Ok("hello"));
/// });
/// ```
#[track_caller]
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    create(None, Location::caller())
}

/// Creates a channel for a single value, with a name that dumps show.
///
/// # Examples
///
/// See [`oneshot`](self).
#[track_caller]
pub fn channel_named<T>(name: impl Into<Cow<'static, str>>) -> (Sender<T>, Receiver<T>) {
    create(Some(name.into()), Location::caller())
}

/// Creates a channel.
fn create<T>(
    name: Option<Cow<'static, str>>,
    made: &'static Location<'static>,
) -> (Sender<T>, Receiver<T>) {
    let seen = Arc::new(Seen {
        about: About { name, made },
        sender: End::default(),
        receiver: End::default(),
    });
    seen.sender.make(made);
    seen.receiver.make(made);
    let core = Arc::new(Core::new());
    let sender = Sender {
        core: Some(Arc::clone(&core)),
        seen: Arc::clone(&seen),
        wait: Wait::default(),
    };
    let wait = Wait::default();
    (sender, Receiver { core, seen, wait })
}

/// The number of a wait for the value.
const RECV: u32 = 0;
/// The number of a wait for the end of the receiver.
const CLOSED: u32 = 1;

/// The state of a channel for dumps. It does not own the value.
#[derive(Debug)]
struct Seen {
    /// The name of the channel, and where it was made.
    about: About,
    /// The task that made the sender, and the task that waited with it last.
    sender: End,
    /// The task that made the receiver, and the task that used it last.
    receiver: End,
}

impl Seen {
    /// Declares that the task that is being polled waits for one end of this channel.
    fn declare(
        self: &Arc<Seen>,
        wait: &mut Wait,
        waker: &Waker,
        location: Option<&'static Location<'static>>,
        wanted: u32,
    ) {
        wait.declare(Some(waker), location, 0, || {
            Subject::Primitive(Arc::clone(self) as Arc<dyn Primitive>, wanted)
        });
    }
}

impl Primitive for Seen {
    fn is_retried(&self) -> bool {
        false
    }

    fn blocked_by(&self, wait: &Declared, runtime: u32, _waits: &Lines<'_>) -> Blockers {
        let user = match wait.subject {
            Subject::Primitive(_, CLOSED) => self.receiver.user(runtime),
            _ => self.sender.user(runtime),
        };
        user.into_iter().collect()
    }

    fn describe(&self, wait: &Declared, view: &View<'_>) -> Description {
        let about = &self.about;
        let (kind, subject, state) = match wait.subject {
            Subject::Primitive(_, RECV) => (
                "recv",
                format!("recv on oneshot {about}"),
                self.sender.text("sender", view),
            ),
            _ => (
                "closed",
                format!("end of oneshot {about}"),
                self.receiver.text("receiver", view),
            ),
        };
        let other_end = match kind {
            "closed" => self.receiver.user(view.runtime),
            _ => self.sender.user(view.runtime),
        };
        Description {
            kind,
            subject,
            state: format!(", {state}"),
            other_end,
            ..Description::default()
        }
    }
}

/// The sender of a [`channel`].
///
/// # Examples
///
/// See [`oneshot`](self).
pub struct Sender<T> {
    /// The state that both ends share. `None` when the value has been sent.
    core: Option<Arc<Core<T>>>,
    /// The state of the channel for dumps.
    seen: Arc<Seen>,
    /// The wait for the end of the receiver.
    wait: Wait,
}

impl<T> Sender<T> {
    /// Sends the value.
    ///
    /// A return value of `Ok` does not mean that the value will be received: the receiver may be dropped before that.
    ///
    /// # Errors
    ///
    /// Returns the value if the receiver has been closed or dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::oneshot;
    ///
    /// let (sender, receiver) = oneshot::channel();
    /// drop(receiver);
    /// assert_eq!(sender.send(7), Err(7));
    /// ```
    pub fn send(mut self, value: T) -> Result<(), T> {
        let core = self.core.take().expect("`send` consumes the sender");
        core.send(value)
    }

    /// Returns whether the receiver has been closed or dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::oneshot;
    ///
    /// let (sender, receiver) = oneshot::channel::<u32>();
    /// assert!(!sender.is_closed());
    /// drop(receiver);
    /// assert!(sender.is_closed());
    /// ```
    pub fn is_closed(&self) -> bool {
        self.core().is_closed()
    }

    /// Waits until the receiver is closed or dropped.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::oneshot;
    ///
    /// glassfrog::block_on(async {
    ///     let (mut sender, receiver) = oneshot::channel::<u32>();
    ///     glassfrog::spawn(async move { drop(receiver) });
    ///     sender.closed().await;
    /// });
    /// ```
    #[track_caller]
    pub fn closed(&mut self) -> Closed<'_, T> {
        Closed {
            sender: self,
            location: Location::caller(),
        }
    }

    /// Polls whether the receiver has been closed or dropped, for futures that are written by hand.
    ///
    /// The channel wakes only the waker of the latest call.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::oneshot;
    /// use std::future::poll_fn;
    ///
    /// glassfrog::block_on(async {
    ///     let (mut sender, receiver) = oneshot::channel::<u32>();
    ///     drop(receiver);
    ///     poll_fn(|cx| sender.poll_closed(cx)).await;
    /// });
    /// ```
    #[track_caller]
    pub fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_closed_at(cx, Location::caller())
    }

    /// See [`poll_closed`](Sender::poll_closed).
    fn poll_closed_at(
        &mut self,
        cx: &mut Context<'_>,
        location: &'static Location<'static>,
    ) -> Poll<()> {
        ready!(poll_budget(cx));
        let polled = self.core().poll_closed(cx);
        self.seen.sender.use_at(location);
        match polled {
            Poll::Ready(()) => {
                spend_budget();
                self.wait.withdraw();
            }
            Poll::Pending => self
                .seen
                .declare(&mut self.wait, cx.waker(), Some(location), CLOSED),
        }
        polled
    }

    /// Returns the state that both ends share.
    fn core(&self) -> &Core<T> {
        self.core.as_ref().expect("`send` consumes the sender")
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        if let Some(core) = self.core.take() {
            core.drop_sender();
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("is_closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

/// The future of [`Sender::closed`].
///
/// # Examples
///
/// ```
/// use glassfrog::sync::oneshot::{self, Closed};
///
/// glassfrog::block_on(async {
///     let (mut sender, receiver) = oneshot::channel();
///     drop(receiver);
///     let closed: Closed<'_, i32> = sender.closed();
///     closed.await;
/// });
/// ```
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct Closed<'a, T> {
    /// The sender.
    sender: &'a mut Sender<T>,
    /// Where `closed` was called.
    location: &'static Location<'static>,
}

impl<T> Future for Closed<'_, T> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let location = self.location;
        self.sender.poll_closed_at(cx, location)
    }
}

impl<T> Drop for Closed<'_, T> {
    fn drop(&mut self) {
        self.sender.wait.give_up();
    }
}

impl<T> fmt::Debug for Closed<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Closed").finish_non_exhaustive()
    }
}

/// The receiver of a [`channel`]: a future that returns the value.
///
/// # Errors
///
/// Returns an error if the sender is dropped without sending a value, or if the receiver was
/// [closed](Receiver::close) before.
///
/// # Cancel safety
///
/// A receiver that is polled by reference, `(&mut receiver).await`, keeps the value when that future is dropped.
/// Dropping the receiver itself drops the value too.
///
/// # Examples
///
/// See [`oneshot`](self).
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct Receiver<T> {
    /// The state that both ends share.
    core: Arc<Core<T>>,
    /// The state of the channel for dumps.
    seen: Arc<Seen>,
    /// The wait for the value.
    wait: Wait,
}

impl<T> Receiver<T> {
    /// Receives the value if it has been sent.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no value.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::oneshot::{self, error::TryRecvError};
    ///
    /// let (sender, mut receiver) = oneshot::channel();
    /// assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    /// sender.send(7).unwrap();
    /// assert_eq!(receiver.try_recv(), Ok(7));
    /// assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
    /// ```
    #[track_caller]
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        self.seen.receiver.use_at(Location::caller());
        match self.core.try_recv() {
            Poll::Ready(Some(value)) => Ok(value),
            Poll::Ready(None) => Err(TryRecvError::Closed),
            Poll::Pending => Err(TryRecvError::Empty),
        }
    }

    /// Receives the value, blocking the thread until it is sent.
    ///
    /// # Errors
    ///
    /// Returns an error if the sender is dropped without sending a value.
    ///
    /// # Panics
    ///
    /// Panics on a thread that runs a loop: while blocked, the thread polls no task, not even one that owns the sender.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::oneshot;
    /// use std::thread;
    ///
    /// let (sender, receiver) = oneshot::channel();
    /// let waiting = thread::spawn(move || receiver.blocking_recv());
    /// glassfrog::block_on(async { sender.send("hello").unwrap() });
    /// assert_eq!(waiting.join().unwrap(), Ok("hello"));
    /// ```
    #[track_caller]
    pub fn blocking_recv(self) -> Result<T, RecvError> {
        assert_may_block("blocking_recv");
        self.seen.receiver.use_at(Location::caller());
        let waker = Waker::from(Arc::new(Unparker(thread::current())));
        let mut cx = Context::from_waker(&waker);
        let mut receiver = pin!(self);
        loop {
            if let Poll::Ready(received) = receiver.as_mut().poll(&mut cx) {
                return received;
            }
            thread::park();
        }
    }

    /// Closes the channel, so that sending returns an error. A value that was sent before can still be received.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::oneshot;
    ///
    /// let (sender, mut receiver) = oneshot::channel();
    /// receiver.close();
    /// assert_eq!(sender.send(7), Err(7));
    /// ```
    pub fn close(&mut self) {
        self.core.close();
    }

    /// Returns whether the channel has no value to receive now.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::oneshot;
    ///
    /// let (sender, receiver) = oneshot::channel();
    /// assert!(receiver.is_empty());
    /// sender.send(7).unwrap();
    /// assert!(!receiver.is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        !self.core.has_value()
    }

    /// Returns whether the channel can no longer yield a value.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::oneshot;
    ///
    /// let (sender, mut receiver) = oneshot::channel();
    /// sender.send(7).unwrap();
    /// assert!(!receiver.is_terminated());
    /// assert_eq!(receiver.try_recv(), Ok(7));
    /// assert!(receiver.is_terminated());
    /// ```
    pub fn is_terminated(&self) -> bool {
        (self.core.is_complete() || self.core.is_closed()) && self.is_empty()
    }
}

impl<T> Future for Receiver<T> {
    type Output = Result<T, RecvError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T, RecvError>> {
        ready!(poll_budget(cx));
        let this = &mut *self;
        let received = this.core.poll_recv(cx);
        // An `.await` does not pass its place.
        let made = this.seen.about.made;
        match received {
            Poll::Ready(value) => {
                spend_budget();
                this.wait.withdraw();
                Poll::Ready(value.ok_or(RecvError(())))
            }
            Poll::Pending => {
                this.seen.receiver.use_at(made);
                this.seen.declare(&mut this.wait, cx.waker(), None, RECV);
                Poll::Pending
            }
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        drop(self.core.drop_receiver());
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("is_empty", &self.is_empty())
            .finish_non_exhaustive()
    }
}

/// Wakes a thread that waits in [`Receiver::blocking_recv`].
struct Unparker(Thread);

impl Wake for Unparker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}
