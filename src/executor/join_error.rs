//! [`JoinError`]: why a task ended without an output. The module [`task`](crate::task) exports it.

use super::id::Id;
use crate::foreign::{panic_message, swallow_panics};
use crate::primitives::{Mutex, lock};
use std::any::Any;
use std::error::Error;
use std::fmt;
use std::io;
use std::panic::Location;

/// The payload of a panic.
pub(crate) type Payload = Box<dyn Any + Send>;

/// The error of a task that ended without an output: it was cancelled, or it panicked.
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

/// The contents of a [`JoinError`]. They are boxed, so that the `Result` of a task that succeeds stays small.
struct Cause {
    /// The id of the task.
    id: Id,
    /// The name of the task.
    name: Option<Box<str>>,
    /// How the task ended.
    end: End,
}

/// The ways in which a task can end without an output.
enum End {
    /// The task was dropped before its end.
    Cancelled,
    /// The task is a blocking job for which no thread could be started.
    NoThread(io::Error),
    /// The task panicked. The lock makes the payload `Sync`; it is held only while the message is read.
    Panicked(Mutex<Payload>),
}

impl JoinError {
    /// Creates the error of a task that was dropped before its end.
    pub(crate) fn cancelled(id: Id) -> JoinError {
        JoinError::new(id, End::Cancelled)
    }

    /// Creates the error of a blocking job for which no thread could be started.
    pub(crate) fn no_thread(id: Id, error: io::Error) -> JoinError {
        JoinError::new(id, End::NoThread(error))
    }

    /// Creates the error of a task that panicked.
    pub(crate) fn panicked(id: Id, payload: Payload) -> JoinError {
        JoinError::new(id, End::Panicked(Mutex::new(payload)))
    }

    /// Creates the error of a task without a name.
    fn new(id: Id, end: End) -> JoinError {
        let name = None;
        JoinError(Box::new(Cause { id, name, end }))
    }

    /// Adds the name of the task.
    pub(crate) fn with_name(mut self, name: Option<Box<str>>) -> JoinError {
        self.0.name = name;
        self
    }

    /// Logs the panic, if the task panicked and no handle returns the error.
    pub(crate) fn log_panic(&self, spawned_at: &Location<'_>) {
        if self.is_panic() {
            swallow_panics(|| {
                log::error!(target: "glassfrog::task", "{self} (spawned at {spawned_at})");
            });
        }
    }

    /// Returns whether the task was cancelled: it was aborted, its runtime ended, or it was a blocking job for
    /// which no thread could be started.
    ///
    /// If the runtime ends before the handle of a local [`spawn`](crate::spawn) has returned the output, the
    /// output is dropped, and the handle returns this error.
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
        !self.is_panic()
    }

    /// Returns whether the task panicked.
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
        matches!(self.0.end, End::Panicked(_))
    }

    /// Returns the payload of the panic. To continue the panic, pass it to
    /// [`resume_unwind`](std::panic::resume_unwind).
    ///
    /// # Panics
    ///
    /// Panics if the task did not panic; see [`is_panic`](JoinError::is_panic).
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
        match self.0.end {
            End::Panicked(payload) => payload
                .into_inner()
                .unwrap_or_else(std::sync::PoisonError::into_inner),
            End::Cancelled | End::NoThread(_) => panic!(
                "{} was cancelled and did not panic: check `is_panic` first",
                Described(&self.0.name, self.0.id)
            ),
        }
    }

    /// Returns the id of the task.
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

    /// Returns the name of the task, if it has one; see [`task::Builder`](crate::task::Builder).
    ///
    /// # Examples
    ///
    /// ```
    /// glassfrog::block_on(async {
    ///     let writer = glassfrog::task::Builder::new().name("writer");
    ///     let task = writer.spawn(std::future::pending::<()>());
    ///     task.abort();
    ///     let error = task.await.unwrap_err();
    ///     assert_eq!(error.name(), Some("writer"));
    ///     assert_eq!(error.to_string(), "task 1 \"writer\" was cancelled");
    /// });
    /// ```
    pub fn name(&self) -> Option<&str> {
        self.0.name.as_deref()
    }
}

/// The label of a task in a message: its id and, if it has one, its name.
struct Described<'a>(&'a Option<Box<str>>, Id);

impl fmt::Display for Described<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task {}", self.1)?;
        match self.0 {
            Some(name) => write!(f, " {name:?}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let task = Described(&self.0.name, self.0.id);
        match &self.0.end {
            End::Cancelled => write!(f, "{task} was cancelled"),
            End::NoThread(error) => write!(
                f,
                "{task} was cancelled: no thread could be started for it: {error}"
            ),
            End::Panicked(payload) => {
                // Copied, because the formatter is foreign code and must not run under the lock.
                let message = panic_message(&**lock(payload)).to_owned();
                write!(f, "{task} panicked: {message}")
            }
        }
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinError({self})")
    }
}

impl Error for JoinError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0.end {
            End::NoThread(error) => Some(error),
            End::Cancelled | End::Panicked(_) => None,
        }
    }
}

/// Lets `task.await??` work where the output of the task is an [`io::Result`].
impl From<JoinError> for io::Error {
    fn from(error: JoinError) -> io::Error {
        io::Error::other(error)
    }
}
