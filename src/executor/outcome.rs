//! Which task it was and how it ended: [`Id`] and [`JoinError`], which users see under
//! [`task`](crate::task).

use crate::sync::{Mutex, lock};
use crate::waiter::{muffled, panic_message};
use std::any::Any;
use std::error::Error;
use std::fmt;
use std::io;
use std::panic::Location;

/// The number of a task: unique within its runtime, counted from 1 in the order of the spawns.
///
/// # Examples
///
/// ```
/// glassfrog::block_on(async {
///     let task = glassfrog::spawn(async {});
///     println!("task {}", task.id());
/// });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub(crate) u64);

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a panic carries.
pub(crate) type Payload = Box<dyn Any + Send>;

/// Why a task ended without an output: it was cancelled, or it panicked.
///
/// # Examples
///
/// ```
/// # std::panic::set_hook(Box::new(|_| {}));
/// glassfrog::block_on(async {
///     let task = glassfrog::spawn(async { panic!("out of luck") });
///     let error = task.await.unwrap_err();
///     assert!(error.is_panic());
///     assert_eq!(error.to_string(), "task 1 panicked: out of luck");
/// });
/// ```
pub struct JoinError(Box<Cause>);

/// Why, and who. Behind a box, so that the outputs of tasks, which nearly always are none of this,
/// travel light.
struct Cause {
    /// Whose end it was.
    id: Id,
    /// The panic, unless it was cancelled. The lock only makes what is `Send` also `Sync`; it is
    /// taken for as long as it takes to look at the message.
    panic: Option<Mutex<Payload>>,
}

impl JoinError {
    /// The error of a task that was dropped before its end.
    pub(crate) fn cancelled(id: Id) -> JoinError {
        JoinError(Box::new(Cause { id, panic: None }))
    }

    /// The error of a task that panicked.
    pub(crate) fn panicked(id: Id, payload: Payload) -> JoinError {
        let panic = Some(Mutex::new(payload));
        JoinError(Box::new(Cause { id, panic }))
    }

    /// Logs a panic of which nobody else will hear.
    pub(crate) fn log_panic(&self, spawned_at: &Location<'_>) {
        if self.is_panic() {
            muffled(|| {
                log::error!(target: "glassfrog::task", "{self} (spawned at {spawned_at})");
            });
        }
    }

    /// Whether the task was dropped before its end: it was aborted, or its runtime has ended. An
    /// output of a local [`spawn`](crate::spawn) that nobody has taken by then is lost with it.
    ///
    /// # Examples
    ///
    /// ```
    /// let runtime = glassfrog::Runtime::new()?;
    /// let task = runtime.handle().spawn(std::future::pending::<()>());
    /// drop(runtime);
    /// assert!(glassfrog::block_on(task).unwrap_err().is_cancelled());
    /// # std::io::Result::Ok(())
    /// ```
    pub fn is_cancelled(&self) -> bool {
        self.0.panic.is_none()
    }

    /// Whether the task panicked.
    ///
    /// # Examples
    ///
    /// ```
    /// # std::panic::set_hook(Box::new(|_| {}));
    /// glassfrog::block_on(async {
    ///     let task = glassfrog::spawn(async { panic!() });
    ///     assert!(task.await.unwrap_err().is_panic());
    /// });
    /// ```
    pub fn is_panic(&self) -> bool {
        self.0.panic.is_some()
    }

    /// What the task panicked with, to be passed on with
    /// [`resume_unwind`](std::panic::resume_unwind).
    ///
    /// # Panics
    ///
    /// If the task did not panic; see [`is_panic`](JoinError::is_panic).
    ///
    /// # Examples
    ///
    /// ```
    /// # std::panic::set_hook(Box::new(|_| {}));
    /// glassfrog::block_on(async {
    ///     let task = glassfrog::spawn(async { std::panic::panic_any(42_i32) });
    ///     let payload = task.await.unwrap_err().into_panic();
    ///     assert_eq!(*payload.downcast::<i32>().unwrap(), 42);
    /// });
    /// ```
    #[track_caller]
    pub fn into_panic(self) -> Box<dyn Any + Send + 'static> {
        match self.0.panic {
            Some(payload) => payload
                .into_inner()
                .unwrap_or_else(std::sync::PoisonError::into_inner),
            None => panic!(
                "task {} was cancelled and did not panic: ask `is_panic` first",
                self.0.id
            ),
        }
    }

    /// Which task it was.
    ///
    /// # Examples
    ///
    /// ```
    /// # std::panic::set_hook(Box::new(|_| {}));
    /// glassfrog::block_on(async {
    ///     let task = glassfrog::spawn(async { panic!() });
    ///     let id = task.id();
    ///     assert_eq!(task.await.unwrap_err().id(), id);
    /// });
    /// ```
    pub fn id(&self) -> Id {
        self.0.id
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.panic {
            None => write!(f, "task {} was cancelled", self.0.id),
            Some(payload) => {
                // Copied: what is formatted into is foreign, and must not run under the lock.
                let message = panic_message(&**lock(payload)).to_owned();
                write!(f, "task {} panicked: {message}", self.0.id)
            }
        }
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinError({self})")
    }
}

impl Error for JoinError {}

/// For `task.await??` where the task's output is an [`io::Result`].
impl From<JoinError> for io::Error {
    fn from(error: JoinError) -> io::Error {
        io::Error::other(error)
    }
}
