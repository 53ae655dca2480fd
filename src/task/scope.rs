//! [`scope`] and [`try_scope`]: children that borrow from their parent.
//!
//! The children live inside the parent's future, which is why they may borrow whatever outlives it,
//! without `'static` and without `unsafe`. Each has a waker of its own: the parent polls those that
//! were woken and no others. The body is polled in the same way, as a member of its own scope.
//!
//! ```text
//!    parent's future
//!      +-- body          the `async` closure; holds a `Scope`, which spawns
//!      +-- nursery ----- the children, each in a box; held by the scope's future, the body and
//!            |           the children, and emptied when the scope's future ends
//!            +-- queue   who was woken
//! ```

use super::members::{MemberWaker, Queue};
use crate::executor::local::poll_budget;
use crate::executor::outcome::Payload;
use crate::slab::{Key, Slab};
use crate::waiter::{shielded, wake_all};
use futures_task::waker_ref;
use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

/// How many children one poll of the parent polls at most, so that the other tasks get their turn:
/// as many as the loop polls tasks before it looks at the reactor.
const BATCH: usize = 128;

/// Runs children beside one another that may borrow what outlives the scope.
///
/// `body` is given a [`Scope`], by which it spawns; a child spawns by a clone of it. The scope ends
/// when the body and all children have ended, with the body's output. A panic of any of them
/// cancels the others, which are dropped first, and goes on in the parent. Dropping the scope's
/// future drops the children.
///
/// The children take their turns within the parent's task, on its thread, and are polled only when
/// they are woken. They need be neither `Send` nor `'static`; the scope's future is not `Send`. It
/// works under any executor.
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
/// A child that spawns another takes a clone of the scope with it; one that changes what it borrows
/// takes the reference with it:
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
pub async fn scope<'env, F, R>(body: F) -> R
where
    F: AsyncFnOnce(Scope<'env>) -> R,
{
    let nursery = Nursery::new();
    let scope = Scope {
        nursery: Rc::clone(&nursery),
    };
    match run(nursery, async move { Ok(body(scope).await) }).await {
        Ok(output) => output,
        Err(Failure::Panic(payload)) => resume_unwind(payload),
        Err(Failure::Error(never)) => match never {},
    }
}

/// Does what [`scope`] does for a body and children that may fail: the first error of any of them
/// cancels the others, which are dropped, and is what comes out.
///
/// # Errors
///
/// With the first error of the body or a child.
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

/// Spawns the children of a [`scope`].
///
/// # Examples
///
/// See [`scope`].
pub struct Scope<'env> {
    /// The children, which cannot fail.
    nursery: Rc<Nursery<'env, Infallible>>,
}

impl<'env> Scope<'env> {
    /// Gives the scope a child. It is not polled before this returns.
    ///
    /// Once the scope has ended the future is dropped, and awaiting the handle panics.
    ///
    /// # Examples
    ///
    /// See [`scope`].
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> ScopedJoinHandle<F::Output>
    where
        F: Future + 'env,
        F::Output: 'env,
    {
        self.nursery
            .spawn(Location::caller(), async move { Ok(future.await) })
    }
}

impl Clone for Scope<'_> {
    fn clone(&self) -> Self {
        let nursery = Rc::clone(&self.nursery);
        Scope { nursery }
    }
}

impl fmt::Debug for Scope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.nursery.fmt("Scope", f)
    }
}

/// Spawns the children of a [`try_scope`].
///
/// # Examples
///
/// See [`try_scope`].
pub struct TryScope<'env, E> {
    /// The children.
    nursery: Rc<Nursery<'env, E>>,
}

impl<'env, E: 'env> TryScope<'env, E> {
    /// Gives the scope a child, whose error would end the scope. It is not polled before this
    /// returns.
    ///
    /// Once the scope has ended the future is dropped, and awaiting the handle panics.
    ///
    /// # Examples
    ///
    /// See [`try_scope`].
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

/// A child of a scope, to be awaited within the scope. Dropping it lets the child go on.
///
/// A child that panics, or fails in a [`try_scope`], ends the scope and with it whoever awaits
/// this. So the output is not a `Result`.
///
/// # Panics
///
/// Polling panics once the scope has ended without the child, and after it has given the output.
///
/// # Cancel safety
///
/// Awaiting a reference (`&mut handle`) can be given up and taken up again; nothing is lost.
///
/// # Examples
///
/// See [`scope`].
pub struct ScopedJoinHandle<T> {
    /// Where the child leaves its output.
    place: Rc<Place<T>>,
}

/// What a child and its handle share.
struct Place<T> {
    /// How far the child is.
    state: Cell<Output<T>>,
    /// Who awaits it.
    waker: Cell<Option<Waker>>,
}

/// How far a child is.
///
/// ```text
///              ended                polled
///    Pending ---------> Ready(..) ---------> Taken
///       |
///       +---> Cancelled
///     dropped
/// ```
enum Output<T> {
    /// It runs.
    Pending,
    /// It has ended.
    Ready(T),
    /// Its output has been given to whoever awaited it.
    Taken,
    /// It was dropped before its end.
    Cancelled,
}

impl<T> Place<T> {
    /// Says how the child ended, unless it has been said.
    fn end(&self, output: Output<T>) {
        match self.state.replace(output) {
            Output::Pending => wake_all(self.waker.take()),
            ended => self.state.set(ended),
        }
    }
}

/// Says that a child is gone when it is dropped.
struct Ending<T>(Rc<Place<T>>);

impl<T> Drop for Ending<T> {
    fn drop(&mut self) {
        self.0.end(Output::Cancelled);
    }
}

impl<T> Future for ScopedJoinHandle<T> {
    type Output = T;

    #[track_caller]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        match self.place.state.replace(Output::Taken) {
            Output::Ready(output) => Poll::Ready(output),
            Output::Pending => {
                self.place.state.set(Output::Pending);
                let former = self.place.waker.replace(Some(cx.waker().clone()));
                drop(former);
                Poll::Pending
            }
            Output::Taken => {
                panic!("a `ScopedJoinHandle` was polled after it had given its output")
            }
            Output::Cancelled => {
                panic!("the scope of this `ScopedJoinHandle` ended before the child did")
            }
        }
    }
}

impl<T> fmt::Debug for ScopedJoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopedJoinHandle").finish_non_exhaustive()
    }
}

/// Why a scope ended without the output of its body.
enum Failure<E> {
    /// The body or a child failed.
    Error(E),
    /// The body or a child panicked.
    Panic(Payload),
}

/// A child, without its output.
type Child<'env, E> = Pin<Box<dyn Future<Output = Result<(), E>> + 'env>>;

/// The children of a scope.
struct Nursery<'env, E> {
    /// Those that have not ended.
    cradles: RefCell<Slab<Cradle<'env, E>>>,
    /// Which of them are to be polled; the body is `Key::NONE`.
    queue: Arc<Queue>,
    /// The scope has ended; no child is taken any more.
    closed: Cell<bool>,
}

/// The place of a child.
struct Cradle<'env, E> {
    /// The child; taken out while it is being polled.
    child: Option<Child<'env, E>>,
    /// What it is polled with.
    waker: Arc<MemberWaker>,
    /// Where it was spawned.
    location: &'static Location<'static>,
}

impl<'env, E> Nursery<'env, E> {
    /// One without children.
    fn new() -> Rc<Nursery<'env, E>> {
        Rc::new(Nursery {
            cradles: RefCell::new(Slab::new()),
            queue: Arc::new(Queue::new()),
            closed: Cell::new(false),
        })
    }

    /// Takes a child, or drops it if the scope has ended.
    fn spawn<F, T>(&self, location: &'static Location<'static>, future: F) -> ScopedJoinHandle<T>
    where
        F: Future<Output = Result<T, E>> + 'env,
        T: 'env,
        E: 'env,
    {
        let place = Rc::new(Place {
            state: Cell::new(Output::Pending),
            waker: Cell::new(None),
        });
        let ending = Ending(Rc::clone(&place));
        let child: Child<'env, E> = Box::pin(async move {
            ending.0.end(Output::Ready(future.await?));
            Ok(())
        });
        if self.closed.get() {
            drop(child);
        } else {
            let key = self.cradles.borrow().next_key();
            let waker = MemberWaker::new(key, &self.queue);
            self.cradles.borrow_mut().insert(Cradle {
                child: Some(child),
                waker,
                location,
            });
        }
        ScopedJoinHandle { place }
    }

    /// Polls a child, and takes it out if it has ended.
    fn poll(&self, key: Key) -> Result<(), E> {
        let (child, waker) = match self.cradles.borrow_mut().get_mut(key) {
            Some(cradle) => (cradle.child.take(), Arc::clone(&cradle.waker)),
            None => return Ok(()),
        };
        let Some(mut child) = child else {
            return Ok(());
        };
        waker.lower();
        let waker = waker_ref(&waker);
        match child.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(outcome) => {
                let cradle = self.cradles.borrow_mut().remove(key);
                drop(cradle);
                outcome
            }
            Poll::Pending => {
                if let Some(cradle) = self.cradles.borrow_mut().get_mut(key) {
                    cradle.child = Some(child);
                }
                Ok(())
            }
        }
    }

    /// Shows the scope.
    fn fmt(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let locations: Vec<String> = {
            let cradles = self.cradles.borrow();
            let cradles = cradles.keys().filter_map(|key| cradles.at(key.index()));
            cradles
                .map(|(_, cradle)| cradle.location.to_string())
                .collect()
        };
        f.debug_struct(name)
            .field("closed", &self.closed.get())
            .field("children", &locations)
            .finish()
    }
}

/// Ends a scope when it is dropped: drops its children, whatever they do.
struct Closing<'a, 'env, E>(&'a Nursery<'env, E>);

impl<E> Drop for Closing<'_, '_, E> {
    fn drop(&mut self) {
        self.0.closed.set(true);
        let cradles = self.0.cradles.borrow_mut().drain();
        for cradle in cradles {
            shielded("dropping a child of a scope", || drop(cradle));
        }
    }
}

/// Polls the body and the children until all have ended, or one has failed. What is left of them
/// is dropped before this returns.
async fn run<'env, F, R, E>(nursery: Rc<Nursery<'env, E>>, body: F) -> Result<R, Failure<E>>
where
    F: Future<Output = Result<R, E>>,
{
    let _closing = Closing(&nursery);
    let mut body = pin!(body);
    let body_waker = MemberWaker::new(Key::NONE, &nursery.queue);
    let mut output = None;
    poll_fn(|cx| {
        for _ in 0..BATCH {
            ready!(poll_budget(cx));
            if nursery.cradles.borrow().len() == 0
                && let Some(output) = output.take()
            {
                return Poll::Ready(Ok(output));
            }
            let Some(key) = nursery.queue.pop_or_wait(cx.waker()) else {
                return Poll::Pending;
            };
            let polled = catch_unwind(AssertUnwindSafe(|| {
                if key != Key::NONE {
                    return nursery.poll(key);
                }
                body_waker.lower();
                if output.is_none() {
                    let waker = waker_ref(&body_waker);
                    let poll = body.as_mut().poll(&mut Context::from_waker(&waker));
                    if let Poll::Ready(outcome) = poll {
                        output = Some(outcome?);
                    }
                }
                Ok(())
            }));
            match polled {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Poll::Ready(Err(Failure::Error(error))),
                Err(payload) => return Poll::Ready(Err(Failure::Panic(payload))),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}
