//! The budget of a poll: how many operations a task may finish before it has to let other tasks run.
//!
//! The executor gives each poll a full budget. Sockets, join handles and other futures of this crate call
//! [`poll_budget`] before they try an operation, and [`spend_budget`] when it succeeds. Outside a poll, the budget
//! is unlimited.

use std::cell::Cell;
use std::task::{Context, Poll};

/// The number of operations (a read, a write, an accept, a joined task, a received value, a lock) that one poll may finish.
///
/// Without a limit, a task whose sockets are always ready would never return from its poll. If an operation takes
/// a microsecond, the limit keeps the poll below an eighth of a millisecond. With a lower limit, a bulk transfer
/// would spend a noticeable part of its time in the run queue.
const BUDGET: u32 = 128;

/// The number of operations that are postponed in one poll before the poll gets a new budget.
///
/// A join polls each of its children once, and rarely has as many children. An executor that runs within the poll
/// is woken and tries again at once, so it gets a new budget after a fraction of a millisecond.
const MAX_POSTPONED: u16 = 10_000;

/// The number of overdue sleeps that may end in one poll after its budget is spent.
///
/// It is as large as the budget. Without a limit, a task that awaits overdue sleeps in a loop would never return
/// from its poll.
const MAX_OVERDRAWN: u16 = 128;

thread_local! {
    /// The budget of the task that this thread polls.
    static BUDGET_LEFT: Cell<Budget> = const { Cell::new(Budget::UNLIMITED) };
}

/// The remaining budget of a poll.
#[derive(Clone, Copy)]
struct Budget {
    /// The number of operations that the poll may still finish.
    left: u32,
    /// The number of operations that were postponed since the budget was spent.
    postponed: u16,
    /// The number of overdue sleeps that ended since the budget was spent.
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

/// Gives a full budget to the poll that begins.
#[inline]
pub(super) fn begin_budget() {
    BUDGET_LEFT.set(Budget::FULL);
}

/// Removes the limit, when no task is being polled.
pub(super) fn end_budget() {
    BUDGET_LEFT.set(Budget::UNLIMITED);
}

/// Returns `Ready` if the poll may finish another operation. Otherwise wakes the task and returns `Pending`,
/// which the caller has to return.
///
/// An executor that runs within the poll may call this repeatedly without returning from the poll. It gets a new
/// budget after [`MAX_POSTPONED`] calls.
#[inline]
pub(crate) fn poll_budget(cx: &mut Context<'_>) -> Poll<()> {
    let budget = BUDGET_LEFT.get();
    if budget.left > 0 {
        return Poll::Ready(());
    }
    postpone(budget, cx)
}

/// Postpones an operation, because the poll has spent its budget.
#[cold]
fn postpone(budget: Budget, cx: &mut Context<'_>) -> Poll<()> {
    let postponed = budget.postponed + 1;
    BUDGET_LEFT.set(match postponed < MAX_POSTPONED {
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
#[inline]
pub(crate) fn spend_budget() {
    let budget = BUDGET_LEFT.get();
    let left = budget.left.wrapping_sub(1);
    // One comparison for both: neither an unlimited budget nor a spent one, which has wrapped around, changes.
    if left < Budget::UNLIMITED.left - 1 {
        BUDGET_LEFT.set(Budget { left, ..budget });
    }
}

/// Returns whether the poll has finished no operation, and has postponed none.
pub(super) fn is_unspent() -> bool {
    let budget = BUDGET_LEFT.get();
    budget.left == BUDGET && budget.postponed == 0
}

/// Returns whether the poll has spent its budget and may still end an overdue sleep.
#[inline]
pub(crate) fn may_overdraw() -> bool {
    let budget = BUDGET_LEFT.get();
    budget.left == 0 && budget.overdrawn < MAX_OVERDRAWN
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
