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

use super::group::{BATCH, MemberWaker, Queue};
use crate::context;
use crate::executor::Payload;
use crate::executor::budget::{poll_budget, spend_budget};
use crate::executor::children::ChildSlot;
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

/// Runs children beside one another that may borrow what outlives the scope.
///
/// `body` is given a [`Scope`], by which it spawns; a child spawns by a clone of it. The scope ends
/// when the body and all children have ended, with the body's output. A panic of any of them
/// cancels the others, which are dropped first, and goes on in the parent. Dropping the scope's
/// future drops the children.
///
/// The children take their turns within the parent's task, on its thread, and are polled only when
/// they are woken. They need be neither `Send` nor `'static`; the scope's future is not `Send`. It
/// works under any executor. The closure is to stand in the call: in a variable of its own its type
/// could not be inferred.
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
///
/// A child cannot borrow what the body owns, which may be gone before the child is:
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
            .spawn(Location::caller(), Infallibly { future })
    }
}

pin_project! {
    /// A future that cannot fail, for those who expect that it may.
    struct Infallibly<F> {
        // The future. Not in an `async` block, where a panic of its would drop it while it unwinds.
        #[pin]
        future: F,
    }
}

impl<F: Future> Future for Infallibly<F> {
    type Output = Result<F::Output, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().future.poll(cx).map(Ok)
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
/// this. So the output is not a `Result`. An output that panics when it is dropped, for want of a
/// handle, is logged.
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

/// Says how a child has ended, at the latest when it is dropped.
struct Ending<T> {
    /// Whom it says it to.
    place: Rc<Place<T>>,
}

impl<T> Ending<T> {
    /// Leaves the output, or drops it if there is no handle.
    fn ready(&self, output: T) {
        match Rc::strong_count(&self.place) {
            1 => log_panics("dropping what a child of a scope left", || drop(output)),
            _ => self.place.end(Output::Ready(output)),
        }
    }
}

impl<T> Drop for Ending<T> {
    fn drop(&mut self) {
        self.place.end(Output::Cancelled);
    }
}

pin_project! {
    /// A child together with its end.
    struct Ended<F, T> {
        // The child. Before its end, so that it is dropped before anybody hears of that.
        #[pin]
        future: F,
        // Where its output goes.
        ending: Ending<T>,
    }
}

impl<F, T, E> Future for Ended<F, T>
where
    F: Future<Output = Result<T, E>>,
{
    type Output = Result<(), E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), E>> {
        let this = self.project();
        let output = ready!(this.future.poll(cx))?;
        this.ending.ready(output);
        Poll::Ready(Ok(()))
    }
}

impl<T> Future for ScopedJoinHandle<T> {
    type Output = T;

    #[track_caller]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        ready!(poll_budget(cx));
        match self.place.state.replace(Output::Taken) {
            Output::Ready(output) => {
                spend_budget();
                Poll::Ready(output)
            }
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
    /// The number of the task, or child, that polls the scope.
    parent: Cell<u32>,
}

/// The place of a child.
struct Cradle<'env, E> {
    /// The child; taken out while it is being polled.
    child: Option<Child<'env, E>>,
    /// What it is polled with.
    waker: Arc<MemberWaker>,
    /// The poll of the parent in which it was polled last.
    round: u32,
    /// Where it was spawned.
    location: &'static Location<'static>,
    /// Its place in dumps, if there is a runtime.
    known: Option<Rc<ChildSlot>>,
}

impl<'env, E> Nursery<'env, E> {
    /// One without children.
    fn new() -> Rc<Nursery<'env, E>> {
        Rc::new(Nursery {
            cradles: RefCell::new(Slab::new()),
            queue: Arc::new(Queue::new()),
            closed: Cell::new(false),
            parent: Cell::new(0),
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
        let ending = Ending {
            place: Rc::clone(&place),
        };
        let child: Child<'env, E> = Box::pin(Ended { future, ending });
        if self.closed.get() {
            drop(child);
        } else {
            let key = self.cradles.borrow().next_key();
            let waker = MemberWaker::new(key, &self.queue);
            let first = Arc::clone(&waker);
            self.cradles.borrow_mut().insert(Cradle {
                child: Some(child),
                waker,
                round: 0,
                location,
                known: context::try_current().map(|core| {
                    let (id, parent) = (core.shared.new_id(), self.parent.get());
                    Rc::new(ChildSlot::new(&core.executor, id, parent, location))
                }),
            });
            ArcWake::wake_by_ref(&first);
        }
        ScopedJoinHandle { place }
    }

    /// Polls a child, and takes it out if it has ended.
    fn poll(&self, key: Key) -> Result<(), Failure<E>> {
        let (child, waker, known) = match self.cradles.borrow_mut().get_mut(key) {
            Some(cradle) => (
                cradle.child.take(),
                Arc::clone(&cradle.waker),
                cradle.known.clone(),
            ),
            None => return Ok(()),
        };
        let Some(mut child) = child else {
            return Ok(());
        };
        waker.lower();
        let waker = waker_ref(&waker);
        let mut cx = Context::from_waker(&waker);
        let mut poll = || child.as_mut().poll(&mut cx);
        let polled = catch(|| match &known {
            Some(known) => known.poll(poll),
            None => poll(),
        });
        if let Ok(Poll::Pending) = polled {
            if let Some(cradle) = self.cradles.borrow_mut().get_mut(key) {
                cradle.child = Some(child);
            }
            return Ok(());
        }
        let mut cradles = self.cradles.borrow_mut();
        let cradle = cradles.remove(key);
        cradles.shrink();
        drop(cradles);
        drop(cradle);
        let failure = match polled {
            Ok(Poll::Ready(Err(error))) => Failure::Error(error),
            Err(panic) => panic,
            Ok(_) => return catch(|| drop(child)),
        };
        // What is left of the child may panic, and must not hide why it failed.
        log_panics("dropping a child that had failed", || drop(child));
        Err(failure)
    }

    /// Whether a child has been polled in this round; if not, it is from here on.
    fn was_polled_in(&self, round: u32, key: Key) -> bool {
        let mut cradles = self.cradles.borrow_mut();
        let cradle = cradles.get_mut(key);
        cradle.is_some_and(|cradle| mem::replace(&mut cradle.round, round) == round)
    }

    /// Shows the scope.
    fn fmt(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let locations: Vec<String> = {
            let cradles = self.cradles.borrow();
            let locations = cradles.iter();
            locations
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
            log_panics("dropping a child of a scope", || drop(cradle));
        }
    }
}

/// Runs foreign code; its panic is a failure of the scope.
fn catch<R, E>(foreign: impl FnOnce() -> R) -> Result<R, Failure<E>> {
    catch_unwind(AssertUnwindSafe(foreign)).map_err(Failure::Panic)
}

/// Polls the body and the children until all have ended, or one has failed. What is left of them
/// is dropped before this returns, and cannot hide why it does.
async fn run<'env, F, R, E>(nursery: Rc<Nursery<'env, E>>, body: F) -> Result<R, Failure<E>>
where
    F: Future<Output = Result<R, E>>,
{
    let _closing = Closing(&nursery);
    if let Some(core) = context::try_current() {
        let (parent, _) = core.executor.current_tag().parts().unwrap_or_default();
        nursery.parent.set(parent);
    }
    let mut body = pin!(Some(body));
    let body_waker = MemberWaker::new(Key::NONE, &nursery.queue);
    ArcWake::wake_by_ref(&body_waker);
    let mut output = None;
    let (mut round, mut body_round) = (0_u32, 0);
    let ended = poll_fn(|cx| {
        round = round.wrapping_add(1);
        // Those who have had their turn and want another let the other tasks go first.
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
            // A poll of a child is an operation of the parent, so that scopes in scopes do not
            // multiply the turn that they take.
            spend_budget();
            if key != Key::NONE {
                nursery.poll(key)?;
                continue;
            }
            body_waker.lower();
            let waker = waker_ref(&body_waker);
            let mut cx = Context::from_waker(&waker);
            let polled = match body.as_mut().as_pin_mut() {
                Some(body) => catch(|| body.poll(&mut cx))?,
                None => continue,
            };
            if let Poll::Ready(outcome) = polled {
                output = Some(outcome.map_err(Failure::Error)?);
                catch(|| body.set(None))?;
            }
        }
        nursery.queue.put_back(later);
        if nursery.cradles.borrow().len() == 0
            && let Some(output) = output.take()
        {
            return Poll::Ready(Ok(output));
        }
        nursery.queue.wait(cx.waker());
        Poll::Pending
    })
    .await;
    if ended.is_err() {
        log_panics("dropping the body of a scope", || body.set(None));
        log_panics("dropping the output of a scope", || drop(output));
    }
    ended
}
