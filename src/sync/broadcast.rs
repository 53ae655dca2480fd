//! Channels that send each value to all receivers.
//!
//! Every [`Receiver`] receives a clone of each value that is sent while it exists. The ends work on any thread and
//! under any executor. The queue is that of the crate `async-broadcast`; the receivers that wait are woken outside of
//! its lock.
//!
//! The ends are `Send` if the values are `Send` and `Sync`, because receivers on several threads may clone one value at
//! the same time.
//!
//! # Lagging
//!
//! Sending never waits. The channel keeps the latest values, up to its capacity, until all receivers have received
//! them. If it is full, sending drops the oldest value. A receiver that has not received that value yet *lags*: its
//! next `recv` returns [`RecvError::Lagged`](error::RecvError::Lagged) with the number of values that it has missed,
//! and the one after that returns the oldest value that the channel still has.
//!
//! # Closing
//!
//! The channel closes when its last sender is dropped. The receivers then receive the values that were sent before. A
//! channel without receivers stays open, because a sender can [`subscribe`](Sender::subscribe) a new one, but
//! [`send`](Sender::send) returns an error meanwhile.
//!
//! # Fairness
//!
//! Receiving counts as an operation of the [budget of a poll](crate::task#fairness): a task that finds a value in every
//! `recv` still lets other tasks run.
//!
//! # Dumps
//!
//! If a task waits for a value, a dump shows which tasks made the senders:
//!
//! ```text
//! recv on "events": 1 sender left, made by main at src/main.rs:9; broadcast channel made at src/main.rs:9
//! ```
//!
//! # Examples
//!
//! ```
//! use glassfrog::sync::broadcast;
//!
//! glassfrog::block_on(async {
//!     let (sender, mut first) = broadcast::channel_named("events", 16);
//!     let mut second = sender.subscribe();
//!     sender.send("start").unwrap();
//!     assert_eq!(first.recv().await, Ok("start"));
//!     assert_eq!(second.recv().await, Ok("start"));
//! });
//! ```

pub mod error;
mod message;
mod receiver;
mod sender;

pub use self::receiver::{Receiver, Recv};
pub use self::sender::Sender;

use self::message::{Message, Messages};
use super::ends::Senders;
use super::seen::About;
use crate::executor::primitive::{Description, Primitive, View};
use crate::executor::waits::Declared;
use std::borrow::Cow;
use std::panic::Location;
use std::sync::Arc;

/// Creates a channel that keeps at most `capacity` values for slow receivers, and allocates the memory for all of them.
///
/// # Panics
///
/// Panics if the capacity is 0, or if so many values exceed the address space. If the allocation fails, the process
/// aborts, as it does for [`Vec::with_capacity`].
///
/// # Examples
///
/// ```
/// use glassfrog::sync::broadcast;
///
/// glassfrog::block_on(async {
///     let (sender, mut receiver) = broadcast::channel(16);
///     sender.send("hello").unwrap();
///     assert_eq!(receiver.recv().await, Ok("hello"));
/// });
/// ```
#[track_caller]
pub fn channel<T: Clone>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    create(None, Location::caller(), capacity)
}

/// Creates a channel that keeps at most `capacity` values for slow receivers, with a name that dumps show. Allocates
/// the memory for all of them.
///
/// # Panics
///
/// Panics if the capacity is 0, or if so many values exceed the address space. If the allocation fails, the process
/// aborts, as it does for [`Vec::with_capacity`].
///
/// # Examples
///
/// See [`broadcast`](self).
#[track_caller]
pub fn channel_named<T: Clone>(
    name: impl Into<Cow<'static, str>>,
    capacity: usize,
) -> (Sender<T>, Receiver<T>) {
    create(Some(name.into()), Location::caller(), capacity)
}

/// Creates a channel.
#[track_caller]
fn create<T>(
    name: Option<Cow<'static, str>>,
    made: &'static Location<'static>,
    capacity: usize,
) -> (Sender<T>, Receiver<T>) {
    assert!(capacity > 0, "a channel needs a capacity of at least 1");
    let (mut sender, receiver) = async_broadcast::broadcast(capacity);
    sender.set_overflow(true);
    let shared = Arc::new(Shared {
        messages: Messages::new(capacity),
        // Two receivers for a moment, so that the channel does not close.
        keep_open: receiver.new_receiver().deactivate(),
        seen: Arc::new(Seen {
            about: About { name, made },
            senders: Senders::new(),
        }),
    });
    let receiver = Receiver::new(receiver, Arc::clone(&shared), 0);
    (Sender::new_at(sender, shared, made), receiver)
}

/// The state that all ends of a channel share, beside the queue.
struct Shared<T> {
    /// The messages that are not in the queue.
    messages: Messages<T>,
    /// Keeps the channel open when it has no receiver.
    keep_open: async_broadcast::InactiveReceiver<Message<T>>,
    /// The state of the channel for dumps.
    seen: Arc<Seen>,
}

/// The state of a channel for dumps. It does not own the queue.
#[derive(Debug)]
struct Seen {
    /// The name of the channel, and where it was made.
    about: About,
    /// The senders, and the tasks that made them.
    senders: Senders,
}

impl Primitive for Seen {
    fn describe(&self, _wait: &Declared, view: &View<'_>) -> Description {
        let (name, origin) = self.about.name_and_origin("broadcast channel");
        // No task is known to block this one, because any task may own a sender.
        Description {
            kind: "recv",
            subject: format!("recv on {name}"),
            state: format!(": {}", self.senders.text(view)),
            origin,
            ..Description::default()
        }
    }
}
