//! [`JoinSet`]: a collection of tasks, joined in the order in which they finish.

use super::group::{MemberWaker, WakeQueue};
use super::{AbortHandle, Builder, Id, JoinError, JoinHandle, spawn};
use crate::context;
use crate::executor::budget::{poll_budget, spend_budget};
use crate::executor::children::RegisteredSet;
use crate::executor::current::record_wait_for_children;
use crate::slab::{Key, Slab};
use futures_task::{ArcWake, waker_ref};
use std::fmt;
use std::future::poll_fn;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// A collection of tasks, which are joined in the order in which they finish.
///
/// Dropping the set aborts all its tasks.
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
    /// The tasks that have not been joined.
    members: Slab<Member<T>>,
    /// The queue of the tasks that should be polled.
    queue: Arc<WakeQueue>,
    /// The entry of the set in the runtime whose task has waited for it last.
    registered: Option<RegisteredSet>,
}

/// A task of a set.
struct Member<T> {
    /// The handle of the task.
    handle: JoinHandle<T>,
    /// The waker with which the handle is polled.
    waker: Arc<MemberWaker>,
}

impl<T> JoinSet<T> {
    /// Creates an empty set.
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
            queue: Arc::new(WakeQueue::new()),
            registered: None,
        }
    }

    /// Returns the number of tasks in the set: those that have not been joined, finished or not.
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

    /// Returns whether the set contains no tasks.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::task::JoinSet;
    ///
    /// assert!(JoinSet::<()>::new().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Aborts all tasks; see [`JoinHandle::abort`]. The tasks stay in the set until they are joined.
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
    /// Spawns a task into the set; see [`spawn`](crate::spawn).
    ///
    /// # Panics
    ///
    /// Panics outside a runtime.
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
        self.insert(spawn(future))
    }

    /// Returns a builder that configures a task, such as its name, before it is spawned into the set.
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

    /// Inserts a task.
    fn insert(&mut self, handle: JoinHandle<T>) -> AbortHandle {
        let abort = handle.abort_handle();
        let waker = MemberWaker::new(self.members.next_key(), None, &self.queue);
        let first = Arc::clone(&waker);
        self.members.insert(Member { handle, waker });
        // The first poll registers the waker with the task.
        ArcWake::wake_by_ref(&first);
        abort
    }

    /// Waits until one of the tasks finishes, removes it from the set, and returns its outcome.
    ///
    /// Returns `None` if the set is empty.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it is ready, no task has been removed from the set.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::task::JoinSet;
    ///
    /// glassfrog::block_on(async {
    ///     let mut set = JoinSet::new();
    ///     set.spawn(async { 5 });
    ///     assert_eq!(set.join_next().await.unwrap().unwrap(), 5);
    ///     assert!(set.join_next().await.is_none());
    /// });
    /// ```
    pub async fn join_next(&mut self) -> Option<Result<T, JoinError>> {
        poll_fn(|cx| self.poll_join_next(cx)).await
    }

    /// Waits until one of the tasks finishes, and returns its id along with the output.
    ///
    /// For a task that has no output, [`JoinError::id`] returns the id. Otherwise this works like
    /// [`join_next`](JoinSet::join_next).
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it is ready, no task has been removed from the set.
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

    /// Polls for one of the tasks to finish; see [`join_next`](JoinSet::join_next).
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

    /// Polls for one of the tasks to finish; see [`join_next_with_id`](JoinSet::join_next_with_id).
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
        for _ in 0..self.queue.batch_len() {
            let next = self.queue.pop();
            outcome = next.and_then(|key| self.poll_member(key));
            if outcome.is_some() {
                break;
            }
        }
        if outcome.is_none() && !self.is_empty() {
            self.enter();
            self.queue.register(cx.waker());
            record_wait_for_children();
            return Poll::Pending;
        }
        spend_budget();
        Poll::Ready(outcome)
    }

    /// Removes a task that has finished from the set, and returns its outcome, without waiting.
    ///
    /// Returns `None` if no task has finished.
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

    /// Removes a task that has finished from the set, and returns its id along with the output, without
    /// waiting.
    ///
    /// Returns `None` if no task has finished.
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
            if let Some(outcome) = self.poll_member(key) {
                return Some(outcome);
            }
        }
    }

    /// Aborts all tasks, waits until they have finished, and drops their outcomes.
    ///
    /// # Cancel safety
    ///
    /// If the future has been polled and is dropped before it is ready, all tasks have been aborted, and some
    /// may still be in the set.
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

    /// Registers the set with the runtime of this thread, so that a search for circles knows the waker that it keeps.
    fn enter(&mut self) {
        let Some(core) = context::running() else {
            return;
        };
        let inbox = &core.shared.inbox;
        let is_registered = |set: &RegisteredSet| set.is_with(inbox);
        if !self.registered.as_ref().is_some_and(is_registered) {
            let set = Arc::<WakeQueue>::downgrade(&self.queue);
            self.registered = Some(RegisteredSet::new(inbox, set));
        }
    }

    /// Polls a member. If it has finished, removes it and returns its outcome.
    fn poll_member(&mut self, key: Key) -> Option<Result<(Id, T), JoinError>> {
        let member = self.members.get_mut(key)?;
        member.waker.set_dequeued();
        // The poll panics outside the runtime of the task, and the caller may catch the panic.
        let requeue = RequeueOnDrop(&member.waker);
        let waker = waker_ref(&member.waker);
        let mut cx = Context::from_waker(&waker);
        let polled = member.handle.poll_outcome(&mut cx, true);
        mem::forget(requeue);
        match polled {
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

/// Puts a member back into the queue when it is dropped by a panic of the member's poll.
struct RequeueOnDrop<'a>(&'a Arc<MemberWaker>);

impl Drop for RequeueOnDrop<'_> {
    fn drop(&mut self) {
        ArcWake::wake_by_ref(self.0);
    }
}

/// Removes the id of the task from an outcome.
fn without_id<T>(outcome: Result<(Id, T), JoinError>) -> Result<T, JoinError> {
    outcome.map(|(_, output)| output)
}

/// A task factory, which configures a task before it is spawned into a [`JoinSet`]. Created by
/// [`JoinSet::build_task`].
///
/// For tasks outside of sets, see [`task::Builder`](Builder).
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
    /// The set.
    set: &'a mut JoinSet<T>,
    /// The settings of the task.
    builder: Builder,
}

impl<T: 'static> JoinSetBuilder<'_, T> {
    /// Names the task. Several tasks may have the same name.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::task::JoinSet;
    ///
    /// glassfrog::block_on(async {
    ///     let mut set = JoinSet::<()>::new();
    ///     set.build_task().name("reader").spawn(async {});
    /// });
    /// ```
    pub fn name(self, name: impl Into<String>) -> Self {
        let builder = self.builder.name(name);
        JoinSetBuilder { builder, ..self }
    }

    /// Spawns a future as the task; see [`JoinSet::spawn`].
    ///
    /// # Panics
    ///
    /// Panics outside a runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::task::JoinSet;
    ///
    /// glassfrog::block_on(async {
    ///     let mut set = JoinSet::new();
    ///     set.build_task().name("answer").spawn(async { 42 });
    ///     assert_eq!(set.join_next().await.unwrap().unwrap(), 42);
    /// });
    /// ```
    #[track_caller]
    pub fn spawn<F>(self, future: F) -> AbortHandle
    where
        F: Future<Output = T> + 'static,
    {
        let handle = self.builder.spawn(future);
        self.set.insert(handle)
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
