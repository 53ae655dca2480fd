//! What a thread knows of the executor that it is running: which one it is, and how much more the task
//! may do that is being polled.
//!
//! The executor is set while its runtime is inside `block_on`, and while that shuts down. On a
//! thread that runs none, wakes go through the inbox, and there is no budget.

use super::pulse::one_more;
use super::task::TaskWaker;
use super::{Executor, Remote};
use std::cell::{Cell, RefCell};
use std::mem::ManuallyDrop;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

/// How many operations that bring something (a read, a write, an accept, a joined task) one poll
/// may do before it has to let others run.
///
/// A task whose sockets are always ready would otherwise never return. At a microsecond an
/// operation it holds the loop for an eighth of a millisecond; with fewer, a bulk transfer would
/// spend a noticeable part of its time on the way through the run queue.
pub(crate) const BUDGET: u32 = 128;

/// How many operations are put off in one poll before it is given a new budget.
///
/// More than a join has children, all of which it may ask once in a poll; so few that another
/// executor, which runs within the poll and asks again and again, gets on: it waits a fraction of a
/// millisecond.
const PATIENCE: u16 = 10_000;

/// How many sleeps may end in one poll without the loop, after its budget is spent.
///
/// As many as there are operations in a budget. With no limit, a loop that tries on after its deadline
/// would never return from the poll.
const OVERDRAFT: u16 = 128;

thread_local! {
    /// The executor that this thread runs.
    /// Whoever puts something in takes it out again. So it needs no destructor, and without one
    /// it is there even for the destructors of other thread-locals.
    static EXECUTOR: RefCell<ManuallyDrop<Option<Rc<Executor>>>> =
        const { RefCell::new(ManuallyDrop::new(None)) };

    /// Where the inbox of that executor is: what is asked most often is whether it is a certain one.
    static HERE: Cell<usize> = const { Cell::new(0) };

    /// How much the running poll may still do.
    static BUDGET_LEFT: Cell<Budget> = const { Cell::new(Budget::UNLIMITED) };
}

/// What is left of the budget of a poll.
#[derive(Clone, Copy)]
struct Budget {
    /// How many operations it may do.
    left: u32,
    /// How many operations have been put off since none was left.
    put_off: u16,
    /// How many sleeps have ended without the loop since then.
    overdrawn: u16,
}

impl Budget {
    /// The budget at the beginning of a poll.
    const FULL: Budget = Budget {
        left: BUDGET,
        put_off: 0,
        overdrawn: 0,
    };

    /// The budget where no executor polls.
    const UNLIMITED: Budget = Budget {
        left: u32::MAX,
        put_off: 0,
        overdrawn: 0,
    };
}

/// Makes an executor that of this thread, until the guard is dropped.
pub(super) fn enter(executor: &Rc<Executor>) -> Entered {
    let previous = replace(Some(Rc::clone(executor)));
    Entered { previous }
}

/// Exchanges what stands in the thread-local.
fn replace(executor: Option<Rc<Executor>>) -> Option<Rc<Executor>> {
    HERE.set(
        executor
            .as_ref()
            .map_or(0, |executor| address(&executor.remote)),
    );
    let previous = EXECUTOR.with(|current| current.replace(ManuallyDrop::new(executor)));
    ManuallyDrop::into_inner(previous)
}

/// Puts the thread's former executor back when dropped.
pub(crate) struct Entered {
    /// What stood there before: nothing, or the runtime within which another one is dropped.
    previous: Option<Rc<Executor>>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        drop(replace(self.previous.take()));
    }
}

/// What tells an inbox from others.
fn address(remote: &Arc<Remote>) -> usize {
    Arc::as_ptr(remote) as usize
}

/// Whether this thread runs the executor that has this inbox.
pub(crate) fn is_here(remote: &Arc<Remote>) -> bool {
    HERE.get() == address(remote)
}

/// The executor that has this inbox, if it is the one that this thread runs.
pub(crate) fn here(remote: &Arc<Remote>) -> Option<Rc<Executor>> {
    EXECUTOR.with(|current| {
        let current = current.borrow();
        let executor = current.as_ref().filter(|executor| executor.is(remote));
        executor.map(Rc::clone)
    })
}

/// Does something with the executor that has this inbox, if it is the one that this thread runs. Foreign
/// code is not to run in there: it might enter another one.
#[inline]
pub(crate) fn with<R>(remote: &Arc<Remote>, f: impl FnOnce(&Executor) -> R) -> Option<R> {
    EXECUTOR.with(|current| match current.borrow().as_ref() {
        Some(executor) if executor.is(remote) => Some(f(executor)),
        _ => None,
    })
}

/// Puts a task into the run queue of this thread, unless it stands there, if this thread runs that task's
/// executor.
#[inline]
pub(super) fn wake_here(waker: &TaskWaker) -> bool {
    with(&waker.remote, |executor| {
        if waker.flags.wake_here() {
            one_more(&executor.tally.local_wakes);
            executor.push(waker.key());
        }
    })
    .is_some()
}

/// Gives the poll that begins a fresh budget.
#[inline]
pub(super) fn begin_budget() {
    BUDGET_LEFT.set(Budget::FULL);
}

/// Notes that no poll is going on: what runs now has no budget.
pub(super) fn end_budget() {
    BUDGET_LEFT.set(Budget::UNLIMITED);
}

/// Lets the running poll do one more operation; once its budget is spent, wakes the task again
/// and says `Pending`, which the caller has to return.
///
/// A caller that asks again and again does not return: it is another executor, which runs within the
/// poll and is woken each time. It gets a new budget.
pub(crate) fn poll_budget(cx: &mut Context<'_>) -> Poll<()> {
    let budget = BUDGET_LEFT.get();
    if budget.left > 0 {
        return Poll::Ready(());
    }
    let put_off = budget.put_off + 1;
    BUDGET_LEFT.set(match put_off < PATIENCE {
        true => Budget { put_off, ..budget },
        false => Budget::FULL,
    });
    cx.waker().wake_by_ref();
    Poll::Pending
}

/// Takes one operation, which brought something, off the budget of the running poll.
pub(crate) fn spend_budget() {
    let budget = BUDGET_LEFT.get();
    if budget.left != Budget::UNLIMITED.left {
        let left = budget.left.saturating_sub(1);
        BUDGET_LEFT.set(Budget { left, ..budget });
    }
}

/// Whether the running poll has spent its budget, and a sleep whose deadline has passed may end in it all
/// the same.
#[inline]
pub(crate) fn may_overdraw() -> bool {
    let budget = BUDGET_LEFT.get();
    budget.left == 0 && budget.overdrawn < OVERDRAFT
}

/// Notes that a sleep has ended in a poll that has spent its budget.
pub(crate) fn overdraw() {
    let budget = BUDGET_LEFT.get();
    let overdrawn = budget.overdrawn.saturating_add(1);
    BUDGET_LEFT.set(Budget {
        overdrawn,
        ..budget
    });
}
