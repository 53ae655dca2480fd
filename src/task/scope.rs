//! [`scope`] and [`try_scope`]: child futures that may borrow from their parent.
//!
//! The children are stored in the parent's future, so they may borrow anything that outlives the scope,
//! without `'static` and without `unsafe`. Each child has a waker of its own, and the parent polls only the
//! children that have been woken. The body is polled in the same way, as a member of its own scope. Children
//! are not tasks: the executor knows them only for dumps.
//!
//! ```text
//!    parent's future
//!      +-- body          the `async` closure; holds a `Scope` to spawn children
//!      +-- nursery ----- the boxed children; shared by the scope's future, the body and the children,
//!            |           and emptied when the scope ends
//!            +-- queue   the children that have been woken
//! ```
//!
//! A child that holds a [`Scope`] forms a reference cycle with the nursery. When the scope's future completes or
//! is dropped, it drops all children, which breaks the cycle.

use super::group::{BATCH, MemberWaker, WakeQueue};
use crate::context;
use crate::executor::Payload;
use crate::executor::actor::note_wait;
use crate::executor::budget::{poll_budget, spend_budget};
use crate::executor::children::{MemberRef, RegisteredChild, RegisteredScope};
use crate::executor::current::record_wait_for_children;
use crate::foreign::{log_panics, wake_all};
use crate::slab::{Key, Slab};
use futures_task::{ArcWake, waker_ref};
use pin_project_lite::pin_project;
use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::fmt;
use std::future::poll_fn;
use std::mem;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

/// Creates a scope for child futures that may borrow from the parent's stack.
///
/// The async counterpart of [`std::thread::scope`]. `body` receives a [`Scope`], with which it spawns
/// children; a child spawns further children with a clone of it. The scope ends when the body and all children
/// have finished, and returns the output of the body. If the body or a child panics, the others are cancelled
/// and dropped, and the panic continues in the parent. Dropping the scope's future drops the children.
///
/// The children run concurrently within the parent's task, on its thread, and are polled only when they have
/// been woken. They need be neither `Send` nor `'static`. The scope's future is not `Send`; it works under any
/// executor. Write the closure directly in the call: the compiler cannot infer its type from a variable.
///
/// # Examples
///
/// ```
/// use glassfrog::task::scope;
///
/// glassfrog::block_on(async {
///     let words = vec![String::from("tree"), String::from("frog")];
///     let lengths = scope(async |s| {
///         let children: Vec<_> = words
///             .iter()
///             .map(|word| s.spawn(async { word.len() }))
///             .collect();
///         let mut lengths = Vec::new();
///         for child in children {
///             lengths.push(child.await);
///         }
///         lengths
///     })
///     .await;
///     assert_eq!(lengths, [4, 4]);
///     drop(words);
/// });
/// ```
///
/// To spawn from a child, move a clone of the scope into it. To mutate a borrowed value in a child, move the
/// reference into it:
///
/// ```
/// use glassfrog::task::scope;
///
/// glassfrog::block_on(async {
///     let mut log = Vec::new();
///     let entries = &mut log;
///     scope(async move |s| {
///         let nested = s.clone();
///         s.spawn(async move {
///             nested.spawn(async move { entries.push("grandchild") });
///         });
///     })
///     .await;
///     assert_eq!(log, ["grandchild"]);
/// });
/// ```
///
/// A child cannot borrow from the body, which may be dropped before the child:
///
/// ```compile_fail,E0597
/// glassfrog::block_on(glassfrog::task::scope(async |s| {
///     let word = String::from("frog");
///     s.spawn(async { println!("{}", &word) });
/// }));
/// ```
pub async fn scope<'env, F, R>(body: F) -> R
where
    F: AsyncFnOnce(Scope<'env>) -> R,
{
    let body = async move |scope| Ok(body(Scope { scope }).await);
    match try_scope(body).await {
        Ok(output) => output,
        Err(never) => match never {},
    }
}

/// Creates a scope for child futures that may fail.
///
/// This works like [`scope`], except that the body and the children return a `Result`. The first error of any
/// of them cancels and drops the others.
///
/// # Errors
///
/// Returns the first error of the body or a child.
///
/// # Examples
///
/// ```
/// use glassfrog::task::try_scope;
///
/// glassfrog::block_on(async {
///     let numbers = ["1", "2", "three"];
///     let sum = try_scope(async |s| {
///         let children = numbers.map(|number| s.spawn(async { number.parse::<i32>() }));
///         let mut sum = 0;
///         for child in children {
///             sum += child.await;
///         }
///         Ok(sum)
///     })
///     .await;
///     assert_eq!(sum.unwrap_err().to_string(), "invalid digit found in string");
/// });
/// ```
pub async fn try_scope<'env, F, R, E>(body: F) -> Result<R, E>
where
    F: AsyncFnOnce(TryScope<'env, E>) -> Result<R, E>,
    E: 'env,
{
    let nursery = Nursery::new();
    let scope = TryScope {
        nursery: Rc::clone(&nursery),
    };
    match run(nursery, body(scope)).await {
        Ok(output) => Ok(output),
        Err(Failure::Panic(payload)) => resume_unwind(payload),
        Err(Failure::Error(error)) => Err(error),
    }
}

/// A scope to spawn child futures in. [`scope`] passes it to its closure.
///
/// # Examples
///
/// ```
/// glassfrog::block_on(glassfrog::task::scope(async |s| {
///     s.spawn(async { println!("from the child") });
///     println!("from the body");
/// }));
/// ```
pub struct Scope<'env> {
    /// The scope of children that never fail.
    scope: TryScope<'env, Infallible>,
}

impl<'env> Scope<'env> {
    /// Spawns a child into the scope. The child is not polled before this function returns.
    ///
    /// After the end of the scope, the future is dropped at once, and awaiting the handle panics.
    ///
    /// # Examples
    ///
    /// ```
    /// glassfrog::block_on(glassfrog::task::scope(async |s| {
    ///     let child = s.spawn(async { 6 * 7 });
    ///     assert_eq!(child.await, 42);
    /// }));
    /// ```
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> ScopedJoinHandle<F::Output>
    where
        F: Future + 'env,
        F::Output: 'env,
    {
        self.scope.spawn(AlwaysOk { future })
    }
}

pin_project! {
    /// A future that wraps the output of another in `Ok`.
    struct AlwaysOk<F> {
        // The other future. An `async` block would drop it while a panic of its poll unwinds.
        #[pin]
        future: F,
    }
}

impl<F: Future> Future for AlwaysOk<F> {
    type Output = Result<F::Output, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().future.poll(cx).map(Ok)
    }
}

impl Clone for Scope<'_> {
    fn clone(&self) -> Self {
        let scope = self.scope.clone();
        Scope { scope }
    }
}

impl fmt::Debug for Scope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.scope.nursery.fmt("Scope", f)
    }
}

/// A scope to spawn child futures in that may fail. [`try_scope`] passes it to its closure.
///
/// # Examples
///
/// ```
/// use glassfrog::task::try_scope;
///
/// let outcome = glassfrog::block_on(try_scope(async |s| {
///     s.spawn(async { Err::<(), _>("disk full") });
///     std::future::pending().await
/// }));
/// assert_eq!(outcome, Err::<(), _>("disk full"));
/// ```
pub struct TryScope<'env, E> {
    /// The children, shared with the scope's future and with other clones.
    nursery: Rc<Nursery<'env, E>>,
}

impl<'env, E: 'env> TryScope<'env, E> {
    /// Spawns a child into the scope. The child is not polled before this function returns.
    ///
    /// An error of the child ends the scope. After the end of the scope, the future is dropped at once, and
    /// awaiting the handle panics.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::task::try_scope;
    ///
    /// let outcome = glassfrog::block_on(try_scope(async |s| {
    ///     let child = s.spawn(async { "42".parse::<i32>() });
    ///     Ok(child.await)
    /// }));
    /// assert_eq!(outcome, Ok(42));
    /// ```
    #[track_caller]
    pub fn spawn<F, T>(&self, future: F) -> ScopedJoinHandle<T>
    where
        F: Future<Output = Result<T, E>> + 'env,
        T: 'env,
    {
        self.nursery.spawn(Location::caller(), future)
    }
}

impl<E> Clone for TryScope<'_, E> {
    fn clone(&self) -> Self {
        let nursery = Rc::clone(&self.nursery);
        TryScope { nursery }
    }
}

impl<E> fmt::Debug for TryScope<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.nursery.fmt("TryScope", f)
    }
}

/// An owned permission to await a child of a scope, within the scope. Dropping it does not end the child.
///
/// Awaiting the handle returns the child's output and not a `Result`: a child that panics, or fails in a
/// [`try_scope`], ends the scope and everything in it. If the handle has been dropped, the child's output is
/// dropped when the child finishes, and a panic in that drop is logged.
///
/// # Panics
///
/// Polling panics if the scope ended before the child finished. It also panics after the handle has returned
/// the output.
///
/// # Cancel safety
///
/// A `&mut handle` may be awaited repeatedly; dropping that future loses nothing.
///
/// # Examples
///
/// ```
/// glassfrog::block_on(glassfrog::task::scope(async |s| {
///     let (first, second) = (s.spawn(async { 6 }), s.spawn(async { 7 }));
///     assert_eq!(first.await * second.await, 42);
/// }));
/// ```
pub struct ScopedJoinHandle<T> {
    /// The slot for the output of the child.
    slot: Rc<ChildSlot<T>>,
}

/// The slot for the output of a child, shared with its handle.
struct ChildSlot<T> {
    /// The state of the child.
    state: Cell<ChildState<T>>,
    /// The waker of the handle.
    waker: Cell<Option<Waker>>,
}

/// The state of a child.
///
/// ```text
///              finished             polled
///    Running ----------> Ready(..) ---------> Taken
///       |
///       +---> Cancelled
///     dropped
/// ```
enum ChildState<T> {
    /// The child has not finished.
    Running,
    /// The child has finished with this output.
    Ready(T),
    /// The handle has returned the output.
    Taken,
    /// The child was dropped before it finished.
    Cancelled,
}

impl<T> ChildSlot<T> {
    /// Records how the child ended and wakes the handle, unless the end has been recorded already.
    fn end(&self, state: ChildState<T>) {
        match self.state.replace(state) {
            ChildState::Running => wake_all(self.waker.take()),
            ended => self.state.set(ended),
        }
    }
}

/// The child's side of its slot. Dropping it records the child as cancelled, unless it has finished.
struct SlotWriter<T> {
    /// The slot.
    slot: Rc<ChildSlot<T>>,
}

impl<T> SlotWriter<T> {
    /// Stores the output. If there is no handle, drops it instead.
    fn finish(&self, output: T) {
        match Rc::strong_count(&self.slot) {
            1 => log_panics("dropping the output of a child", || drop(output)),
            _ => self.slot.end(ChildState::Ready(output)),
        }
    }
}

impl<T> Drop for SlotWriter<T> {
    fn drop(&mut self) {
        self.slot.end(ChildState::Cancelled);
    }
}

pin_project! {
    /// The future of a child, which stores its output in the slot.
    struct ChildFuture<F, T> {
        // The future. Declared before the writer, so that it is dropped before the handle is woken.
        #[pin]
        future: F,
        // The writer of the slot, which stores the output.
        writer: SlotWriter<T>,
    }
}

impl<F, T, E> Future for ChildFuture<F, T>
where
    F: Future<Output = Result<T, E>>,
{
    type Output = Result<(), E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), E>> {
        let this = self.project();
        let output = ready!(this.future.poll(cx))?;
        this.writer.finish(output);
        Poll::Ready(Ok(()))
    }
}

impl<T> Future for ScopedJoinHandle<T> {
    type Output = T;

    #[track_caller]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        ready!(poll_budget(cx));
        match self.slot.state.replace(ChildState::Taken) {
            ChildState::Ready(output) => {
                spend_budget();
                Poll::Ready(output)
            }
            ChildState::Running => {
                self.slot.state.set(ChildState::Running);
                let former = self.slot.waker.replace(Some(cx.waker().clone()));
                drop(former);
                Poll::Pending
            }
            ChildState::Taken => {
                panic!("a `ScopedJoinHandle` was polled after it had returned the output")
            }
            ChildState::Cancelled => {
                panic!("the scope of this `ScopedJoinHandle` ended before the child finished")
            }
        }
    }
}

impl<T> fmt::Debug for ScopedJoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopedJoinHandle").finish_non_exhaustive()
    }
}

/// The reason why a scope ended without the output of its body.
enum Failure<E> {
    /// The body or a child returned an error.
    Error(E),
    /// The body or a child panicked.
    Panic(Payload),
}

/// A boxed child, whose output goes to its slot.
type Child<'env, E> = Pin<Box<dyn Future<Output = Result<(), E>> + 'env>>;

/// The children of a scope.
struct Nursery<'env, E> {
    /// The children that have not finished.
    children: RefCell<Slab<ChildEntry<'env, E>>>,
    /// The queue of the members that should be polled. `Key::NONE` stands for the body.
    queue: Arc<WakeQueue>,
    /// Whether the scope has ended. After that, it accepts no children.
    closed: Cell<bool>,
    /// The id of the task, or of the child of another scope, that polls the scope.
    parent: Cell<u32>,
}

/// A child with its state in the scope.
struct ChildEntry<'env, E> {
    /// The child. Taken out while it is being polled.
    child: Option<Child<'env, E>>,
    /// The waker with which the child is polled.
    waker: Arc<MemberWaker>,
    /// The round of the scope, which is a poll of its future, in which the child was polled last.
    round: u32,
    /// Where the child was spawned.
    location: &'static Location<'static>,
    /// The child's entry in dumps, if there is a runtime.
    registered: Option<Rc<RegisteredChild>>,
}

impl<'env, E> Nursery<'env, E> {
    /// Creates a nursery without children.
    fn new() -> Rc<Nursery<'env, E>> {
        Rc::new(Nursery {
            children: RefCell::new(Slab::new()),
            queue: Arc::new(WakeQueue::new()),
            closed: Cell::new(false),
            parent: Cell::new(0),
        })
    }

    /// Adds a child, or drops it if the scope has ended.
    fn spawn<F, T>(&self, location: &'static Location<'static>, future: F) -> ScopedJoinHandle<T>
    where
        F: Future<Output = Result<T, E>> + 'env,
        T: 'env,
        E: 'env,
    {
        let slot = Rc::new(ChildSlot {
            state: Cell::new(ChildState::Running),
            waker: Cell::new(None),
        });
        let writer = SlotWriter {
            slot: Rc::clone(&slot),
        };
        let child: Child<'env, E> = Box::pin(ChildFuture { future, writer });
        if self.closed.get() {
            drop(child);
        } else {
            let key = self.children.borrow().next_key();
            let core = context::running();
            let id = core.as_ref().map(|core| core.shared.new_id());
            let numbers = core.as_ref().zip(id);
            let numbers = numbers.map(|(core, id)| (core.shared.number, id.low()));
            let waker = MemberWaker::new(key, numbers, &self.queue);
            let first = Arc::clone(&waker);
            let registered = core.zip(id).map(|(core, id)| {
                let weak: MemberRef = Arc::<MemberWaker>::downgrade(&waker);
                let parent = self.parent.get();
                let child = RegisteredChild::new(&core.executor, id, parent, location, weak);
                Rc::new(child)
            });
            self.children.borrow_mut().insert(ChildEntry {
                child: Some(child),
                waker,
                round: 0,
                location,
                registered,
            });
            ArcWake::wake_by_ref(&first);
        }
        ScopedJoinHandle { slot }
    }

    /// Polls a child, and removes it if it has finished.
    fn poll(&self, key: Key) -> Result<(), Failure<E>> {
        let (child, waker, registered) = match self.children.borrow_mut().get_mut(key) {
            Some(entry) => (
                entry.child.take(),
                Arc::clone(&entry.waker),
                entry.registered.clone(),
            ),
            None => return Ok(()),
        };
        let Some(mut child) = child else {
            return Ok(());
        };
        waker.set_dequeued();
        let waker = waker_ref(&waker);
        let mut cx = Context::from_waker(&waker);
        let mut poll = || child.as_mut().poll(&mut cx);
        let polled = catch(|| match &registered {
            Some(registered) => registered.poll(poll),
            None => poll(),
        });
        if let Ok(Poll::Pending) = polled {
            if let Some(entry) = self.children.borrow_mut().get_mut(key) {
                entry.child = Some(child);
            }
            return Ok(());
        }
        let mut children = self.children.borrow_mut();
        let entry = children.remove(key);
        children.shrink();
        drop(children);
        drop(entry);
        let failure = match polled {
            Ok(Poll::Ready(Err(error))) => Failure::Error(error),
            Err(panic) => panic,
            Ok(_) => return catch(|| drop(child)),
        };
        // The drop of the child may panic, which must not hide the failure.
        log_panics("dropping a child that failed", || drop(child));
        Err(failure)
    }

    /// Returns whether a child has been polled in this round, and marks it as polled.
    fn was_polled_in(&self, round: u32, key: Key) -> bool {
        let mut children = self.children.borrow_mut();
        let entry = children.get_mut(key);
        entry.is_some_and(|entry| mem::replace(&mut entry.round, round) == round)
    }

    /// Formats the scope under this name.
    fn fmt(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let locations: Vec<String> = {
            let children = self.children.borrow();
            let entries = children.iter();
            entries
                .map(|(_, entry)| entry.location.to_string())
                .collect()
        };
        f.debug_struct(name)
            .field("closed", &self.closed.get())
            .field("children", &locations)
            .finish()
    }
}

/// Closes a scope when it is dropped: drops the children, even if some of their destructors panic.
struct CloseOnDrop<'a, 'env, E>(&'a Nursery<'env, E>);

impl<E> Drop for CloseOnDrop<'_, '_, E> {
    fn drop(&mut self) {
        self.0.closed.set(true);
        let entries = self.0.children.borrow_mut().drain();
        for entry in entries {
            log_panics("dropping a child of a scope", || drop(entry));
        }
    }
}

/// Runs foreign code, and turns its panic into a failure of the scope.
fn catch<R, E>(foreign: impl FnOnce() -> R) -> Result<R, Failure<E>> {
    catch_unwind(AssertUnwindSafe(foreign)).map_err(Failure::Panic)
}

/// Polls the body and the children until all have finished or one has failed. Drops those that have not
/// finished before it returns; panics in these drops do not hide the failure.
async fn run<'env, F, R, E>(nursery: Rc<Nursery<'env, E>>, body: F) -> Result<R, Failure<E>>
where
    F: Future<Output = Result<R, E>>,
{
    let _close = CloseOnDrop(&nursery);
    let mut body = pin!(Some(body));
    let body_waker = MemberWaker::new(Key::NONE, None, &nursery.queue);
    let _registered = context::running().map(|core| {
        let (parent, _) = core.executor.current_tag().parts().unwrap_or_default();
        nursery.parent.set(parent);
        RegisteredScope::new(
            &core.executor,
            parent,
            Arc::<MemberWaker>::downgrade(&body_waker),
        )
    });
    ArcWake::wake_by_ref(&body_waker);
    let mut output = None;
    let (mut round, mut body_round) = (0_u32, 0);
    let ended = poll_fn(|cx| {
        round = round.wrapping_add(1);
        // Members that were polled in this round and woken again wait until the other tasks have run.
        let mut later = Vec::new();
        for _ in 0..BATCH {
            if poll_budget(cx).is_pending() {
                break;
            }
            let Some(key) = nursery.queue.pop() else {
                break;
            };
            let was_polled = match key {
                Key::NONE => mem::replace(&mut body_round, round) == round,
                _ => nursery.was_polled_in(round, key),
            };
            if was_polled {
                later.push(key);
                continue;
            }
            // A poll of a child counts as an operation of the parent. Otherwise nested scopes would multiply
            // the budget.
            spend_budget();
            if key != Key::NONE {
                nursery.poll(key)?;
                continue;
            }
            body_waker.set_dequeued();
            let waker = waker_ref(&body_waker);
            let mut cx = Context::from_waker(&waker);
            let polled = match body.as_mut().as_pin_mut() {
                Some(body) => catch(|| body.poll(&mut cx))?,
                None => continue,
            };
            if let Poll::Ready(outcome) = polled {
                output = Some(outcome.map_err(Failure::Error)?);
                catch(|| body.set(None))?;
                // From now on, the task waits for the children alone.
                note_wait();
            }
        }
        nursery.queue.requeue(later);
        if nursery.children.borrow().len() == 0
            && let Some(output) = output.take()
        {
            return Poll::Ready(Ok(output));
        }
        nursery.queue.register(cx.waker());
        if nursery.children.borrow().len() > 0 {
            record_wait_for_children();
        }
        Poll::Pending
    })
    .await;
    if ended.is_err() {
        log_panics("dropping the body of a scope", || body.set(None));
        log_panics("dropping the output of a scope", || drop(output));
    }
    ended
}
