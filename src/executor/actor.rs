//! The task that the current thread polls, for the marks of `sync`, and the number of waits that have begun.
//!
//! Every lock reads the task, so it is in two thread-locals and costs two loads. A build without the feature `sync` writes
//! neither.

use super::Executor;
use crate::clock::Stamp;
use crate::waiter::Tag;
use std::cell::Cell;

thread_local! {
    /// The tag of the task that this thread polls, as a number.
    static POLLED: Cell<u64> = const { Cell::new(Tag::NONE.number()) };

    /// The number of the runtime whose loop this thread runs in the high half, and the stamp of its turn in the low
    /// one.
    static TURN: Cell<u64> = const { Cell::new(0) };

    /// How many times a task on this thread has begun to wait for a task or a primitive of `sync`, or has polled or ended
    /// such a wait (modulo 2³²). Only these may close a circle.
    static WAITS: Cell<u32> = const { Cell::new(0) };
}

/// Records that this thread runs an executor, or none.
pub(super) fn enter(executor: Option<&Executor>) {
    note_poll(executor.map_or(Tag::NONE, Executor::current_tag));
    match executor {
        Some(executor) => note_turn(executor.number, executor.turn.get()),
        None => TURN.set(0),
    }
}

/// Records that this thread polls a task.
#[inline]
pub(super) fn note_poll(tag: Tag) {
    if cfg!(feature = "sync") {
        POLLED.set(tag.number());
    }
}

/// Records that the loop of this thread begins a turn.
#[inline]
pub(super) fn note_turn(number: u32, now: Stamp) {
    if cfg!(feature = "sync") {
        TURN.set(u64::from(number) << 32 | u64::from(now.number()));
    }
}

/// Returns the task that this thread polls, or [`Tag::NONE`], with the number of its runtime in the high half of the
/// other number and the stamp of the turn in the low one.
#[inline]
#[cfg_attr(not(feature = "sync"), expect(dead_code, reason = "only `sync` asks"))]
pub(crate) fn actor() -> (Tag, u64) {
    (Tag::from_number(POLLED.get()), TURN.get())
}

/// Records that a task of this thread begins to wait for another task, or for a primitive of `sync`.
#[inline]
pub(crate) fn note_wait() {
    WAITS.set(WAITS.get().wrapping_add(1));
}

/// Records that a task of this thread, whose tag is given, begins to wait for another task.
///
/// As long as nothing else has begun to wait, a root future that waits for tasks is not recorded: no task waits for it, so
/// it is in no circle. Most programs have only such waits.
#[inline]
pub(super) fn note_join(tag: Tag) {
    let is_root = matches!(tag.parts(), Some((0, _)));
    if !is_root || WAITS.get() > 0 {
        note_wait();
    }
}

/// Returns the number of such waits that have begun on this thread (modulo 2³²).
#[inline]
pub(crate) fn waits_begun() -> u32 {
    WAITS.get()
}
