//! The budget of a poll: how many operations a task may finish before it has to let others run.
//!
//! The executor gives each poll a full budget. Sockets, join handles and other operations of this crate ask
//! [`poll_budget`] before they try anything, and take one from the budget with [`spend_budget`] when they
//! succeed. Outside a poll there is no budget.

use std::cell::Cell;
use std::task::{Context, Poll};

/// How many operations that bring something (a read, a write, an accept, a joined task) one poll may
/// finish.
///
/// A task whose sockets are always ready would otherwise never return. At a microsecond an
/// operation it holds the loop for an eighth of a millisecond; with fewer, a bulk transfer would
/// spend a noticeable part of its time on the way through the run queue.
const BUDGET: u32 = 128;

/// How many operations are postponed in one poll before it gets a new budget.
///
/// A join may poll each of its children once in a poll, and has fewer children than this. Another executor
/// within the poll, which is woken and tries again at once, gets on after a fraction of a millisecond.
const MOST_POSTPONED: u16 = 10_000;

/// How many overdue sleeps may end in one poll after its budget is spent, without a turn of the loop.
///
/// As many as there are operations in a budget. Without a limit, a loop that goes on after its deadline
/// would never return from the poll.
const MOST_OVERDRAWN: u16 = 128;

thread_local! {
    /// The budget of the task that this thread polls.
    static BUDGET_LEFT: Cell<Budget> = const { Cell::new(Budget::UNLIMITED) };
}

/// What is left of the budget of a poll.
#[derive(Clone, Copy)]
struct Budget {
    /// How many operations the poll may still finish.
    left: u32,
    /// How many operations have been postponed since none was left.
    postponed: u16,
    /// How many overdue sleeps have ended since then.
    overdrawn: u16,
}

impl Budget {
    /// The budget at the beginning of a poll.
    const FULL: Budget = Budget {
        left: BUDGET,
        postponed: 0,
        overdrawn: 0,
    };

    /// The budget outside a poll.
    const UNLIMITED: Budget = Budget {
        left: u32::MAX,
        postponed: 0,
        overdrawn: 0,
    };
}

/// Gives the poll that begins a full budget.
#[inline]
pub(super) fn begin_budget() {
    BUDGET_LEFT.set(Budget::FULL);
}

/// Ends the budget: no task is being polled.
pub(super) fn end_budget() {
    BUDGET_LEFT.set(Budget::UNLIMITED);
}

/// Returns `Ready` if the poll may finish another operation. Otherwise wakes the task and returns `Pending`,
/// which the caller has to return.
///
/// A caller that asks again and again without returning is another executor, which runs within the poll. It
/// gets a new budget after [`MOST_POSTPONED`] calls.
pub(crate) fn poll_budget(cx: &mut Context<'_>) -> Poll<()> {
    let budget = BUDGET_LEFT.get();
    if budget.left > 0 {
        return Poll::Ready(());
    }
    let postponed = budget.postponed + 1;
    BUDGET_LEFT.set(match postponed < MOST_POSTPONED {
        true => Budget {
            postponed,
            ..budget
        },
        false => Budget::FULL,
    });
    cx.waker().wake_by_ref();
    Poll::Pending
}

/// Takes one finished operation from the budget of the poll.
pub(crate) fn spend_budget() {
    let budget = BUDGET_LEFT.get();
    if budget.left != Budget::UNLIMITED.left {
        let left = budget.left.saturating_sub(1);
        BUDGET_LEFT.set(Budget { left, ..budget });
    }
}

/// Returns whether the poll has spent its budget and may still end an overdue sleep.
#[inline]
pub(crate) fn may_overdraw() -> bool {
    let budget = BUDGET_LEFT.get();
    budget.left == 0 && budget.overdrawn < MOST_OVERDRAWN
}

/// Counts an overdue sleep that ends in a poll that has spent its budget.
pub(crate) fn overdraw() {
    let budget = BUDGET_LEFT.get();
    let overdrawn = budget.overdrawn.saturating_add(1);
    BUDGET_LEFT.set(Budget {
        overdrawn,
        ..budget
    });
}
