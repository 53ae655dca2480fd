//! [`JoinSet`]: tasks that belong together, joined in the order in which they end.

use super::group::{MemberWaker, Queue};
use super::{AbortHandle, Builder, Id, JoinError, JoinHandle, spawn};
use crate::executor::budget::{poll_budget, spend_budget};
use crate::slab::{Key, Slab};
use futures_task::{ArcWake, waker_ref};
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// Tasks that belong together. Dropping the set aborts those that still run.
///
/// # Examples
///
/// ```
/// use glassfrog::task::JoinSet;
///
/// glassfrog::block_on(async {
///     let mut set = JoinSet::new();
///     for n in 1..=3 {
///         set.spawn(async move { n * n });
///     }
///     let mut sum = 0;
///     while let Some(square) = set.join_next().await {
///         sum += square?;
///     }
///     assert_eq!(sum, 14);
///     Ok::<_, glassfrog::task::JoinError>(())
/// })?;
/// # Ok::<_, glassfrog::task::JoinError>(())
/// ```
pub struct JoinSet<T> {
    /// The tasks whose outcome has not been taken.
    members: Slab<Member<T>>,
    /// Which of them are to be looked at.
    queue: Arc<Queue>,
}

/// One task of a set.
struct Member<T> {
    /// Where its outcome comes.
    handle: JoinHandle<T>,
    /// What the handle is polled with.
    waker: Arc<MemberWaker>,
}

impl<T> JoinSet<T> {
    /// An empty set.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::task::JoinSet;
    ///
    /// assert!(JoinSet::<()>::new().is_empty());
    /// ```
    pub fn new() -> JoinSet<T> {
        JoinSet {
            members: Slab::new(),
            queue: Arc::new(Queue::new()),
        }
    }

    /// How many tasks there are whose outcome has not been taken, ended or not.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::task::JoinSet;
    ///
    /// glassfrog::block_on(async {
    ///     let mut set = JoinSet::new();
    ///     set.spawn(async {});
    ///     assert_eq!(set.len(), 1);
    ///     set.join_next().await;
    ///     assert_eq!(set.len(), 0);
    /// });
    /// ```
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are none.
    ///
    /// # Examples
    ///
    /// See [`new`](JoinSet::new).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Aborts all tasks; see [`JoinHandle::abort`]. They stay in the set until they are joined.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::task::JoinSet;
    ///
    /// glassfrog::block_on(async {
    ///     let mut set = JoinSet::new();
    ///     set.spawn(std::future::pending::<()>());
    ///     set.abort_all();
    ///     assert!(set.join_next().await.unwrap().unwrap_err().is_cancelled());
    /// });
    /// ```
    pub fn abort_all(&mut self) {
        for (_, member) in self.members.iter() {
            member.handle.abort();
        }
    }
}

impl<T: 'static> JoinSet<T> {
    /// Spawns a task into the set, as [`spawn`](crate::spawn) does.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::task::JoinSet;
    ///
    /// glassfrog::block_on(async {
    ///     let mut set = JoinSet::new();
    ///     let abort = set.spawn(std::future::pending::<()>());
    ///     abort.abort();
    ///     assert!(set.join_next().await.unwrap().is_err());
    /// });
    /// ```
    #[track_caller]
    pub fn spawn<F>(&mut self, future: F) -> AbortHandle
    where
        F: Future<Output = T> + 'static,
    {
        self.add(spawn(future))
    }

    /// Begins to spawn a task that has a name; see [`JoinSetBuilder`].
    ///
    /// # Examples
    ///
    /// ```
    /// # std::panic::set_hook(Box::new(|_| {}));
    /// use glassfrog::task::JoinSet;
    ///
    /// glassfrog::block_on(async {
    ///     let mut set = JoinSet::<()>::new();
    ///     set.build_task().name("writer").spawn(async { panic!("disk full") });
    ///     let error = set.join_next().await.unwrap().unwrap_err();
    ///     assert_eq!(error.to_string(), "task 1 \"writer\" panicked: disk full");
    /// });
    /// ```
    pub fn build_task(&mut self) -> JoinSetBuilder<'_, T> {
        JoinSetBuilder {
            set: self,
            builder: Builder::new(),
        }
    }

    /// Adds a task.
    fn add(&mut self, handle: JoinHandle<T>) -> AbortHandle {
        let abort = handle.abort_handle();
        let waker = MemberWaker::new(self.members.next_key(), &self.queue);
        let first = Arc::clone(&waker);
        self.members.insert(Member { handle, waker });
        // Looked at once, so that its handle knows whom to wake.
        ArcWake::wake_by_ref(&first);
        abort
    }

    /// Waits for the next task to end, and takes its outcome. `None` if the set is empty.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it is ready, no outcome has been taken.
    ///
    /// # Examples
    ///
    /// See [`JoinSet`].
    pub async fn join_next(&mut self) -> Option<Result<T, JoinError>> {
        poll_fn(|cx| self.poll_join_next(cx)).await
    }

    /// Does what [`join_next`](JoinSet::join_next) does, and returns the number of the task with its output.
    /// An error has the number with it: [`JoinError::id`].
    ///
    /// # Cancel safety
    ///
    /// As [`join_next`](JoinSet::join_next).
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::task::JoinSet;
    /// use std::collections::HashMap;
    ///
    /// glassfrog::block_on(async {
    ///     let mut set = JoinSet::new();
    ///     let mut names = HashMap::new();
    ///     for name in ["tree", "frog"] {
    ///         let task = set.spawn(async { name.len() });
    ///         names.insert(task.id(), name);
    ///     }
    ///     while let Some(outcome) = set.join_next_with_id().await {
    ///         let (id, length) = outcome?;
    ///         assert_eq!(names[&id].len(), length);
    ///     }
    ///     Ok::<_, glassfrog::task::JoinError>(())
    /// })?;
    /// # Ok::<_, glassfrog::task::JoinError>(())
    /// ```
    pub async fn join_next_with_id(&mut self) -> Option<Result<(Id, T), JoinError>> {
        poll_fn(|cx| self.poll_join_next_with_id(cx)).await
    }

    /// The same as [`join_next`](JoinSet::join_next), to be polled.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::task::JoinSet;
    /// use std::future::poll_fn;
    ///
    /// glassfrog::block_on(async {
    ///     let mut set = JoinSet::new();
    ///     set.spawn(async { 5 });
    ///     let outcome = poll_fn(|cx| set.poll_join_next(cx)).await;
    ///     assert_eq!(outcome.unwrap().unwrap(), 5);
    /// });
    /// ```
    pub fn poll_join_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, JoinError>>> {
        let outcome = ready!(self.poll_join_next_with_id(cx));
        Poll::Ready(outcome.map(without_id))
    }

    /// The same as [`join_next_with_id`](JoinSet::join_next_with_id), to be polled.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::task::JoinSet;
    /// use std::future::poll_fn;
    ///
    /// glassfrog::block_on(async {
    ///     let mut set = JoinSet::new();
    ///     let id = set.spawn(async { 5 }).id();
    ///     let outcome = poll_fn(|cx| set.poll_join_next_with_id(cx)).await;
    ///     assert_eq!(outcome.unwrap().unwrap(), (id, 5));
    /// });
    /// ```
    pub fn poll_join_next_with_id(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<(Id, T), JoinError>>> {
        ready!(poll_budget(cx));
        let mut outcome = None;
        for _ in 0..self.queue.round() {
            let next = self.queue.pop();
            outcome = next.and_then(|key| self.look_at(key));
            if outcome.is_some() {
                break;
            }
        }
        if outcome.is_none() && !self.is_empty() {
            self.queue.wait(cx.waker());
            return Poll::Pending;
        }
        spend_budget();
        Poll::Ready(outcome)
    }

    /// Takes the outcome of a task that has ended, without waiting for one.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::task::{JoinSet, yield_now};
    ///
    /// glassfrog::block_on(async {
    ///     let mut set = JoinSet::new();
    ///     set.spawn(async { 5 });
    ///     assert!(set.try_join_next().is_none());
    ///     yield_now().await;
    ///     assert_eq!(set.try_join_next().unwrap().unwrap(), 5);
    /// });
    /// ```
    pub fn try_join_next(&mut self) -> Option<Result<T, JoinError>> {
        self.try_join_next_with_id().map(without_id)
    }

    /// Does what [`try_join_next`](JoinSet::try_join_next) does, and returns the number of the task with its
    /// output.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::task::{JoinSet, yield_now};
    ///
    /// glassfrog::block_on(async {
    ///     let mut set = JoinSet::new();
    ///     let id = set.spawn(async { 5 }).id();
    ///     yield_now().await;
    ///     assert_eq!(set.try_join_next_with_id().unwrap().unwrap(), (id, 5));
    /// });
    /// ```
    pub fn try_join_next_with_id(&mut self) -> Option<Result<(Id, T), JoinError>> {
        loop {
            let key = self.queue.pop()?;
            if let Some(outcome) = self.look_at(key) {
                return Some(outcome);
            }
        }
    }

    /// Aborts all tasks and waits until they are gone. What came of them is dropped.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it is ready, all tasks have been aborted, and some may still
    /// be in the set.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::task::JoinSet;
    ///
    /// glassfrog::block_on(async {
    ///     let mut set = JoinSet::new();
    ///     set.spawn(std::future::pending::<()>());
    ///     set.shutdown().await;
    ///     assert!(set.is_empty());
    /// });
    /// ```
    pub async fn shutdown(&mut self) {
        self.abort_all();
        while self.join_next().await.is_some() {}
    }

    /// Takes the outcome of a member, and the member out, if it has ended.
    fn look_at(&mut self, key: Key) -> Option<Result<(Id, T), JoinError>> {
        let member = self.members.get_mut(key)?;
        member.waker.lower();
        let waker = waker_ref(&member.waker);
        let mut cx = Context::from_waker(&waker);
        match member.handle.poll_outcome(&mut cx) {
            Poll::Ready(outcome) => {
                let id = member.handle.id();
                self.members.remove(key);
                self.members.shrink();
                Some(outcome.map(|output| (id, output)))
            }
            Poll::Pending => None,
        }
    }
}

/// An outcome, for those who do not ask whose it is.
fn without_id<T>(outcome: Result<(Id, T), JoinError>) -> Result<T, JoinError> {
    outcome.map(|(_, output)| output)
}

/// Spawns a task into a [`JoinSet`] under a name, as [`task::Builder`](Builder) does outside of sets.
///
/// [`JoinSet::build_task`] makes it.
///
/// # Examples
///
/// ```
/// use glassfrog::task::JoinSet;
///
/// glassfrog::block_on(async {
///     let mut set = JoinSet::<()>::new();
///     let writer = set.build_task().name("writer").spawn(std::future::pending());
///     writer.abort();
///     let error = set.join_next().await.unwrap().unwrap_err();
///     assert_eq!(error.name(), Some("writer"));
///     assert_eq!(error.id(), writer.id());
/// });
/// ```
#[must_use = "a builder does nothing until it spawns"]
pub struct JoinSetBuilder<'a, T> {
    /// Where the task will belong.
    set: &'a mut JoinSet<T>,
    /// What has been chosen.
    builder: Builder,
}

impl<T: 'static> JoinSetBuilder<'_, T> {
    /// Names the task. Several may have the same name.
    ///
    /// # Examples
    ///
    /// See [`JoinSetBuilder`].
    pub fn name(self, name: impl Into<String>) -> Self {
        let builder = self.builder.name(name);
        JoinSetBuilder { builder, ..self }
    }

    /// Spawns the task into the set, as [`JoinSet::spawn`] does.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    ///
    /// # Examples
    ///
    /// See [`JoinSetBuilder`].
    #[track_caller]
    pub fn spawn<F>(self, future: F) -> AbortHandle
    where
        F: Future<Output = T> + 'static,
    {
        let handle = self.builder.spawn(future);
        self.set.add(handle)
    }
}

impl<T> fmt::Debug for JoinSetBuilder<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinSetBuilder")
            .field("builder", &self.builder)
            .finish_non_exhaustive()
    }
}

impl<T> Drop for JoinSet<T> {
    fn drop(&mut self) {
        self.abort_all();
    }
}

impl<T> Default for JoinSet<T> {
    fn default() -> JoinSet<T> {
        JoinSet::new()
    }
}

impl<T> fmt::Debug for JoinSet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinSet")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
