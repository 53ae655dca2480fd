//! [`Builder`]: spawns tasks and blocking jobs with a name.

use super::{JoinHandle, blocking, spawn_named};
use crate::context;
use crate::pool::Lane;
use std::panic::Location;

/// A task factory, which configures a task before it is spawned.
///
/// The name of a task appears in its [`JoinError`](super::JoinError), in the log, and in
/// [dumps](crate::Dump).
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
    /// The name of the task.
    name: Option<Box<str>>,
}

impl Builder {
    /// Creates a builder of a task without a name.
    ///
    /// # Examples
    ///
    /// ```
    /// glassfrog::block_on(async {
    ///     let task = glassfrog::task::Builder::new().spawn(async { 6 * 7 });
    ///     assert_eq!(task.await.unwrap(), 42);
    /// });
    /// ```
    pub fn new() -> Builder {
        Builder::default()
    }

    /// Names the task. Several tasks may have the same name.
    ///
    /// # Examples
    ///
    /// ```
    /// glassfrog::block_on(async {
    ///     let builder = glassfrog::task::Builder::new().name("server");
    ///     let server = builder.spawn(std::future::pending::<()>());
    ///     server.abort();
    ///     assert_eq!(server.await.unwrap_err().name(), Some("server"));
    /// });
    /// ```
    pub fn name(self, name: impl Into<String>) -> Builder {
        let name = Some(name.into().into_boxed_str());
        Builder { name }
    }

    /// Spawns a future as the task; see [`spawn`](crate::spawn).
    ///
    /// # Panics
    ///
    /// Panics outside a runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// glassfrog::block_on(async {
    ///     let task = glassfrog::task::Builder::new().name("answer").spawn(async { 42 });
    ///     assert_eq!(task.await.unwrap(), 42);
    /// });
    /// ```
    #[track_caller]
    pub fn spawn<F>(self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        spawn_named(self.name, Location::caller(), future)
    }

    /// Runs a blocking closure under the name; see [`spawn_blocking`](super::spawn_blocking).
    ///
    /// # Panics
    ///
    /// Panics outside a runtime.
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
