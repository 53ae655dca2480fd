//! Channels that hold only the latest value, such as a configuration or a state that many tasks watch.
//!
//! A [`Receiver`] reads the latest value at any time, and waits for [changes](Receiver::changed). A receiver that is
//! slower than the senders skips the values in between. The ends work on any thread and under any executor.
//!
//! # Locks
//!
//! A blocking lock protects the value. A [`Ref`] holds it for reading, and the closure of
//! [`wait_for`](Receiver::wait_for) runs while it is locked for reading. The closures of
//! [`send_modify`](Sender::send_modify) and [`send_if_modified`](Sender::send_if_modified) run while it is locked for
//! writing. Sending blocks the thread meanwhile. So keep a `Ref` only briefly and not across an `.await`. Do not use
//! the channel inside such a closure or while the same thread has a `Ref`, which may deadlock. The channel drops
//! replaced values outside the lock.
//!
//! The lock is never poisoned. If a closure panics, the value is as the closure left it, the channel notifies no
//! receiver, and it stays usable.
//!
//! # Dumps
//!
//! If a task waits for a change, a dump shows which task sent the last one:
//!
//! ```text
//! changed on "config": last sent by task 2 "reloader" 75.2 s ago at src/config.rs:31; watch channel made at src/main.rs:9
//! ```
//!
//! # Examples
//!
//! ```
//! use glassfrog::sync::watch;
//!
//! glassfrog::block_on(async {
//!     let (sender, mut receiver) = watch::channel_named("config", "default");
//!     let watching = glassfrog::spawn(async move {
//!         receiver.changed().await.unwrap();
//!         *receiver.borrow_and_update()
//!     });
//!     sender.send("from the file").unwrap();
//!     assert_eq!(watching.await.unwrap(), "from the file");
//! });
//! ```

pub(crate) mod core;
pub mod error;
mod receiver;
mod sender;

pub use self::receiver::{Changed, Receiver, Ref, WaitFor};
pub use self::sender::{Closed, Sender};

use self::core::Core;
use super::ends::Senders;
use super::seen::{About, Mark};
use crate::executor::primitive::{Description, Primitive, View};
use crate::executor::waits::{Declared, Subject, Wait};
use crate::primitives::EventListener;
use std::borrow::Cow;
use std::panic::Location;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::task::{Context, Poll};

/// Creates a channel that holds a value, which the receiver has seen.
///
/// # Examples
///
/// ```
/// use glassfrog::sync::watch;
///
/// let (sender, receiver) = watch::channel("first");
/// assert_eq!(*receiver.borrow(), "first");
/// sender.send("second").unwrap();
/// assert_eq!(*receiver.borrow(), "second");
/// ```
#[track_caller]
pub fn channel<T>(value: T) -> (Sender<T>, Receiver<T>) {
    create(None, Location::caller(), value)
}

/// Creates a channel that holds a value, with a name that dumps show.
///
/// # Examples
///
/// See [`watch`](self).
#[track_caller]
pub fn channel_named<T>(name: impl Into<Cow<'static, str>>, value: T) -> (Sender<T>, Receiver<T>) {
    create(Some(name.into()), Location::caller(), value)
}

/// Creates a channel.
fn create<T>(
    name: Option<Cow<'static, str>>,
    made: &'static Location<'static>,
    value: T,
) -> (Sender<T>, Receiver<T>) {
    let shared = Shared::new(About { name, made }, value, 1);
    let receiver = Receiver::new(Arc::clone(&shared), 0);
    (Sender::new_at(shared, made), receiver)
}

/// The state that all ends of a channel share.
struct Shared<T> {
    /// The value.
    value: RwLock<T>,
    /// The state that does not own the value.
    seen: Arc<Seen>,
}

impl<T> Shared<T> {
    /// Creates a channel with a sender and `receivers` receivers.
    fn new(about: About, value: T, receivers: usize) -> Arc<Shared<T>> {
        Arc::new(Shared {
            value: RwLock::new(value),
            seen: Arc::new(Seen {
                about,
                core: Core::new(receivers),
                senders: Senders::new(),
                sent: Mark::default(),
            }),
        })
    }

    /// Locks the value for reading.
    fn read(&self) -> RwLockReadGuard<'_, T> {
        self.value.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks the value for writing. A closure that panics does not poison it.
    fn write(&self) -> RwLockWriteGuard<'_, T> {
        self.value.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the versions and the numbers of the ends.
    fn core(&self) -> &Core {
        &self.seen.core
    }
}

/// The number of a wait for a change.
const CHANGED: u32 = 0;
/// The number of a wait for the end of the receivers.
const CLOSED: u32 = 1;

/// The state of a channel, without its value.
struct Seen {
    /// The name of the channel, and where it was made.
    about: About,
    /// The versions and the numbers of the ends.
    core: Core,
    /// The senders, and the tasks that made them.
    senders: Senders,
    /// The task that sent the last value. Set under the lock of the value.
    sent: Mark,
}

impl Primitive for Seen {
    fn describe(&self, wait: &Declared, view: &View<'_>) -> Description {
        let (name, origin) = self.about.name_and_origin("watch channel");
        let (kind, subject, state) = match (&wait.subject, self.sent.get()) {
            (Subject::Primitive(_, CLOSED), _) => (
                "closed",
                format!("end of {name}"),
                match self.core.receivers() {
                    1 => String::from("1 receiver left"),
                    many => format!("{many} receivers left"),
                },
            ),
            (_, Some(sent)) => (
                "changed",
                format!("changed on {name}"),
                format!("last sent by {}", sent.text(view)),
            ),
            (_, None) => (
                "changed",
                format!("changed on {name}"),
                format!("nothing has been sent, {}", self.senders.text(view)),
            ),
        };
        // No task blocks this one: any task may own another sender or receiver.
        Description {
            kind,
            subject,
            state: format!(": {state}"),
            origin,
            ..Description::default()
        }
    }
}

/// A wait for an event of a channel.
#[derive(Default)]
struct Listening {
    /// The listener. Created in the first poll that is pending.
    listener: Option<EventListener>,
    /// The wait for dumps.
    wait: Wait,
}

impl Listening {
    /// Calls `ask`, listening until it returns a result. Declares the wait meanwhile. See [`core::poll_until`].
    fn poll_until<R>(
        &mut self,
        cx: &mut Context<'_>,
        location: &'static Location<'static>,
        seen: &Arc<Seen>,
        wanted: u32,
        ask: impl FnMut() -> Option<R>,
    ) -> Poll<R> {
        let listen = || match wanted {
            CLOSED => seen.core.listen_closed(),
            _ => seen.core.listen(),
        };
        let polled = core::poll_until(&mut self.listener, cx, listen, ask);
        match polled {
            Poll::Ready(_) => self.wait.withdraw(),
            Poll::Pending => self.wait.declare(Some(cx.waker()), location, 0, || {
                Subject::Primitive(Arc::clone(seen) as Arc<dyn Primitive>, wanted)
            }),
        }
        polled
    }
}
