//! Channels with many senders and one receiver.
//!
//! [`channel`] has a capacity, and its [`Sender::send`] waits while the channel is full. [`unbounded_channel`] grows
//! without limit, so its [`UnboundedSender::send`] never waits. The receiver receives the values in the order in which
//! they were sent. It is also a [`Stream`](futures_core::Stream).
//!
//! The ends work on any thread and under any executor. The queue is that of the crate `async-channel`.
//!
//! # Dumps
//!
//! If a task waits for a channel, a dump shows which tasks made or used the other end:
//!
//! ```text
//! recv on "jobs": 1 sender left, made by main at src/main.rs:9; mpsc channel made at src/main.rs:9
//! send on full "jobs" (100 of 100): its receiver was last used by task 3 "worker" (4 s ago at src/worker.rs:12), which
//! waits for lock "index" (made at src/main.rs:7) at src/worker.rs:15; mpsc channel made at src/main.rs:9
//! ```
//!
//! A program can move the ends to other tasks. The channel knows the tasks that made or cloned the first four senders,
//! and the task that used the receiver last. It does not know which tasks own them now.
//!
//! # Closing
//!
//! A channel closes when its last sender is dropped, or when its receiver is dropped or [closed](Receiver::close).
//! Sending to a closed channel returns an error. A receiver that still exists receives the values that were sent
//! before, and then `None`. Dropping the receiver drops these values.
//!
//! # Fairness
//!
//! Receiving, and sending into a channel with a capacity, count as operations of the
//! [budget of a poll](crate::task#fairness): a task that finds a value in every `recv` still lets other tasks run.
//!
//! The channel wakes waiting senders in first-in, first-out order, but reserves no room for them. A `send` that finds
//! room may overtake them, and a woken sender that finds the channel full again waits behind the others.
//!
//! # Examples
//!
//! ```
//! use glassfrog::sync::mpsc;
//!
//! glassfrog::block_on(async {
//!     let (sender, mut receiver) = mpsc::channel_named("jobs", 10);
//!     for worker in 0..3 {
//!         let sender = sender.clone();
//!         glassfrog::spawn(async move { sender.send(worker).await.unwrap() });
//!     }
//!     drop(sender);
//!
//!     let mut sum = 0;
//!     while let Some(number) = receiver.recv().await {
//!         sum += number;
//!     }
//!     assert_eq!(sum, 3);
//! });
//! ```

pub mod error;
mod receiver;
mod sender;
mod unbounded;

pub use self::receiver::{Receiver, Recv, RecvMany};
pub use self::sender::{Closed, Send, Sender, WeakSender};
pub use self::unbounded::{UnboundedReceiver, UnboundedSender, WeakUnboundedSender};

use self::receiver::Rx;
use self::sender::Tx;
use super::ends::{End, Senders};
use super::seen::{About, next_future};
use crate::executor::primitive::{Blockers, Description, Lines, Primitive, View};
use crate::executor::waits::{Declared, Subject};
use std::borrow::Cow;
use std::panic::Location;
use std::sync::Arc;

/// Creates a channel that holds at most `capacity` values, and allocates the memory for all of them.
///
/// # Panics
///
/// Panics if the capacity is 0, or if so many values exceed the address space. If the allocation fails, the process
/// aborts, as it does for [`Vec::with_capacity`].
///
/// # Examples
///
/// ```
/// use glassfrog::sync::mpsc;
///
/// glassfrog::block_on(async {
///     let (sender, mut receiver) = mpsc::channel(1);
///     sender.send("hello").await.unwrap();
///     assert_eq!(receiver.recv().await, Some("hello"));
/// });
/// ```
#[track_caller]
pub fn channel<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    bounded(None, Location::caller(), capacity)
}

/// Creates a channel that holds at most `capacity` values, with a name that dumps show. Allocates the memory for all of
/// them.
///
/// # Panics
///
/// Panics if the capacity is 0, or if so many values exceed the address space. If the allocation fails, the process
/// aborts, as it does for [`Vec::with_capacity`].
///
/// # Examples
///
/// ```
/// use glassfrog::sync::mpsc;
///
/// let (sender, mut receiver) = mpsc::channel_named("jobs", 1);
/// sender.try_send("hello").unwrap();
/// assert_eq!(receiver.try_recv(), Ok("hello"));
/// ```
#[track_caller]
pub fn channel_named<T>(
    name: impl Into<Cow<'static, str>>,
    capacity: usize,
) -> (Sender<T>, Receiver<T>) {
    bounded(Some(name.into()), Location::caller(), capacity)
}

/// Creates a channel that grows without limit.
///
/// If the receiver is slower than the senders, the channel grows until the memory is exhausted. Use [`channel`]
/// wherever a sender can wait.
///
/// # Examples
///
/// ```
/// use glassfrog::sync::mpsc;
///
/// glassfrog::block_on(async {
///     let (sender, mut receiver) = mpsc::unbounded_channel();
///     sender.send("hello").unwrap();
///     assert_eq!(receiver.recv().await, Some("hello"));
/// });
/// ```
#[track_caller]
pub fn unbounded_channel<T>() -> (UnboundedSender<T>, UnboundedReceiver<T>) {
    unbounded_with(None, Location::caller())
}

/// Creates a channel that grows without limit, with a name that dumps show.
///
/// # Examples
///
/// ```
/// use glassfrog::sync::mpsc;
///
/// let (sender, mut receiver) = mpsc::unbounded_channel_named("events");
/// sender.send("hello").unwrap();
/// assert_eq!(receiver.try_recv(), Ok("hello"));
/// ```
#[track_caller]
pub fn unbounded_channel_named<T>(
    name: impl Into<Cow<'static, str>>,
) -> (UnboundedSender<T>, UnboundedReceiver<T>) {
    unbounded_with(Some(name.into()), Location::caller())
}

/// Creates a channel with a capacity.
#[track_caller]
fn bounded<T>(
    name: Option<Cow<'static, str>>,
    made: &'static Location<'static>,
    capacity: usize,
) -> (Sender<T>, Receiver<T>) {
    assert!(capacity > 0, "a channel needs a capacity of at least 1");
    let seen = Seen::new(name, made, Some(capacity));
    let (sender, receiver) = async_channel::bounded(capacity);
    (
        Sender(Tx::new(sender, &seen, made)),
        Receiver(Rx::new(receiver, seen)),
    )
}

/// Creates a channel without a capacity.
fn unbounded_with<T>(
    name: Option<Cow<'static, str>>,
    made: &'static Location<'static>,
) -> (UnboundedSender<T>, UnboundedReceiver<T>) {
    let seen = Seen::new(name, made, None);
    let (sender, receiver) = async_channel::unbounded();
    (
        UnboundedSender(Tx::new(sender, &seen, made)),
        UnboundedReceiver(Rx::new(receiver, seen)),
    )
}

/// The state of a channel for dumps. It does not own the queue.
#[derive(Debug)]
struct Seen {
    /// The name of the channel, and where it was made.
    about: About,
    /// Its capacity, if it has one.
    capacity: Option<usize>,
    /// The senders, and the tasks that made them.
    senders: Senders,
    /// The task that made the receiver, and the task that used it last.
    receiver: End,
}

/// The number of a wait for a value.
const RECV: u32 = 0;
/// The number of a wait for room.
const SEND: u32 = 1;
/// The number of a wait for the end of the receiver.
const CLOSED: u32 = 2;

impl Seen {
    /// Creates the state of a channel that is being made.
    fn new(
        name: Option<Cow<'static, str>>,
        made: &'static Location<'static>,
        capacity: Option<usize>,
    ) -> Arc<Seen> {
        let seen = Seen {
            about: About { name, made },
            capacity,
            senders: Senders::new(),
            receiver: End::default(),
        };
        seen.receiver.make(made);
        Arc::new(seen)
    }

    /// Returns the task that receives at the moment. A `recv` that is pending borrows the receiver.
    fn receiving(wait: &Declared, waits: &Lines<'_>) -> Option<u32> {
        waits.of(wait, Some(RECV)).first()?.task()
    }
}

impl Primitive for Seen {
    fn blocked_by(&self, wait: &Declared, runtime: u32, waits: &Lines<'_>) -> Blockers {
        let user = match (&wait.subject, Seen::receiving(wait, waits)) {
            // Any task may own a sender.
            (Subject::Primitive(_, RECV), _) => None,
            // The channel is empty.
            (Subject::Primitive(_, SEND), Some(_)) => None,
            (_, Some(receiving)) => Some(receiving),
            (_, None) => self.receiver.user(runtime),
        };
        Blockers {
            maker: match wait.subject {
                Subject::Primitive(_, SEND) => self.receiver.unused(runtime),
                _ => None,
            },
            ..user.into_iter().collect()
        }
    }

    fn describe(&self, wait: &Declared, view: &View<'_>) -> Description {
        let (name, origin) = self.about.name_and_origin("mpsc channel");
        let receiving = Seen::receiving(wait, &view.waits);
        let receiver = || match receiving {
            Some(task) => format!("its receiver is used by {}", view.task(task)),
            None => self.receiver.text("receiver", view),
        };
        let capacity = self.capacity.unwrap_or(usize::MAX);
        let Subject::Primitive(_, wanted) = wait.subject else {
            unreachable!("a label describes itself");
        };
        let (kind, subject, state) = match wanted {
            RECV => ("recv", format!("recv on {name}"), self.senders.text(view)),
            // The channel is empty. The first future in the queue has been woken, but its task has not polled it since.
            SEND if receiving.is_some() => {
                let senders = view.waits.of(wait, Some(SEND));
                let next = senders.first().and_then(|first| next_future(first, view));
                let next = next.map(|next| format!("next in line: {next}"));
                let state = next.unwrap_or_else(receiver);
                ("send", format!("send on {name} (0 of {capacity})"), state)
            }
            SEND => (
                "send",
                format!("send on full {name} ({capacity} of {capacity})"),
                receiver(),
            ),
            _ => ("closed", format!("end of {name}"), receiver()),
        };
        let user = match kind {
            "recv" => None,
            "send" if receiving.is_some() => None,
            _ => receiving.or_else(|| self.receiver.user(view.runtime)),
        };
        Description {
            kind,
            subject,
            state: format!(": {state}"),
            other_end: user,
            origin,
        }
    }
}
