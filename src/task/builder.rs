//! [`Builder`]: tasks with a name.

use super::{JoinHandle, blocking, spawn_named};
use crate::context;
use crate::pool::Lane;
use std::panic::Location;

/// Spawns a task under a name, by which errors, logs and reports call it.
///
/// # Examples
///
/// ```
/// # std::panic::set_hook(Box::new(|_| {}));
/// glassfrog::block_on(async {
///     let task = glassfrog::task::Builder::new()
///         .name("writer")
///         .spawn(async { panic!("disk full") });
///     let error = task.await.unwrap_err();
///     assert_eq!(error.to_string(), "task 1 \"writer\" panicked: disk full");
/// });
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until it spawns"]
pub struct Builder {
    /// What the task is called.
    name: Option<Box<str>>,
}

impl Builder {
    /// A task without a name.
    ///
    /// # Examples
    ///
    /// See [`Builder`].
    pub fn new() -> Builder {
        Builder::default()
    }

    /// Names the task. Several may have the same name.
    ///
    /// # Examples
    ///
    /// See [`Builder`].
    pub fn name(self, name: impl Into<String>) -> Builder {
        let name = Some(name.into().into_boxed_str());
        Builder { name }
    }

    /// Spawns the task, as [`spawn`](crate::spawn) does.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    ///
    /// # Examples
    ///
    /// See [`Builder`].
    #[track_caller]
    pub fn spawn<F>(self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        spawn_named(self.name, Location::caller(), future)
    }

    /// Runs a closure that blocks, as [`spawn_blocking`](super::spawn_blocking) does.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// # std::panic::set_hook(Box::new(|_| {}));
    /// glassfrog::block_on(async {
    ///     let job = glassfrog::task::Builder::new()
    ///         .name("indexer")
    ///         .spawn_blocking(|| panic!("disk full"));
    ///     assert_eq!(job.await.unwrap_err().name(), Some("indexer"));
    /// });
    /// ```
    #[track_caller]
    pub fn spawn_blocking<F, T>(self, work: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let shared = &context::current().shared;
        blocking::submit(shared, Lane::Jobs, self.name, Location::caller(), work)
    }
}
