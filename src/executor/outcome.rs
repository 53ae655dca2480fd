//! Which task it was and how it ended: [`Id`] and [`JoinError`], which users see under
//! [`task`](crate::task), and what a panic does.

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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub(crate) u64);

impl Id {
    /// The number whose low half is `low`.
    pub(crate) fn from_halves(high: u16, low: u32) -> Id {
        Id(u64::from(high) << 32 | u64::from(low))
    }

    /// The half of the number by which keys and waiters name the task.
    pub(crate) fn low(self) -> u32 {
        self.0 as u32
    }

    /// The rest of the number. It has 16 bits, enough for nine years of a million tasks a second.
    pub(crate) fn high(self) -> u16 {
        (self.0 >> 32) as u16
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What the panic of a task does, besides going to its [`JoinHandle`](crate::task::JoinHandle); see
/// [`Builder::on_task_panic`](crate::Builder::on_task_panic).
///
/// # Examples
///
/// See [`Builder::on_task_panic`](crate::Builder::on_task_panic).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnTaskPanic {
    /// Nothing. If the task has no handle, the panic is logged.
    #[default]
    Log,
    /// It ends the runtime: all its tasks are cancelled, and `block_on` panics with it.
    EndRuntime,
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
    /// What the spawner called it.
    name: Option<Box<str>>,
    /// How it ended.
    end: End,
}

/// How a task ended that has no output.
enum End {
    /// It was dropped.
    Cancelled,
    /// It was a blocking job, and no thread could be started for it.
    NoThread(io::Error),
    /// It panicked. The lock only makes what is `Send` also `Sync`; it is taken for as long as it
    /// takes to look at the message.
    Panicked(Mutex<Payload>),
}

impl JoinError {
    /// The error of a task that was dropped before its end.
    pub(crate) fn cancelled(id: Id) -> JoinError {
        JoinError::new(id, End::Cancelled)
    }

    /// The error of a blocking job for which no thread could be started.
    pub(crate) fn no_thread(id: Id, error: io::Error) -> JoinError {
        JoinError::new(id, End::NoThread(error))
    }

    /// The error of a task that panicked.
    pub(crate) fn panicked(id: Id, payload: Payload) -> JoinError {
        JoinError::new(id, End::Panicked(Mutex::new(payload)))
    }

    /// The error of a task without a name.
    fn new(id: Id, end: End) -> JoinError {
        let name = None;
        JoinError(Box::new(Cause { id, name, end }))
    }

    /// Adds the name of the task.
    pub(crate) fn with_name(mut self, name: Option<Box<str>>) -> JoinError {
        self.0.name = name;
        self
    }

    /// Logs a panic of which nobody else will hear.
    pub(crate) fn log_panic(&self, spawned_at: &Location<'_>) {
        if self.is_panic() {
            muffled(|| {
                log::error!(target: "glassfrog::task", "{self} (spawned at {spawned_at})");
            });
        }
    }

    /// Whether the task was dropped before its end: it was aborted, its runtime has ended, or it was
    /// a blocking job for which no thread could be started. An output of a local
    /// [`spawn`](crate::spawn) that nobody has taken by the end of its runtime is lost with it.
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
        matches!(self.0.end, End::Panicked(_))
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
        match self.0.end {
            End::Panicked(payload) => payload
                .into_inner()
                .unwrap_or_else(std::sync::PoisonError::into_inner),
            End::Cancelled | End::NoThread(_) => panic!(
                "{} was cancelled and did not panic: ask `is_panic` first",
                Who(&self.0.name, self.0.id)
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

    /// What its spawner called it; see [`task::Builder`](crate::task::Builder).
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

/// How a task is spoken of.
struct Who<'a>(&'a Option<Box<str>>, Id);

impl fmt::Display for Who<'_> {
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
        let who = Who(&self.0.name, self.0.id);
        match &self.0.end {
            End::Cancelled => write!(f, "{who} was cancelled"),
            End::NoThread(error) => write!(
                f,
                "{who} was cancelled: no thread could be started for it: {error}"
            ),
            End::Panicked(payload) => {
                // Copied: what is formatted into is foreign, and must not run under the lock.
                let message = panic_message(&**lock(payload)).to_owned();
                write!(f, "{who} panicked: {message}")
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

/// For `task.await??` where the task's output is an [`io::Result`].
impl From<JoinError> for io::Error {
    fn from(error: JoinError) -> io::Error {
        io::Error::other(error)
    }
}
