//! [`State`]: what the reader remembers of a lane between two of its events.
//!
//! ```text
//!            Spawned                 Polled (Pending)
//!    unborn ────────► in the queue ─────────────────► waits
//!                        ▲                              │
//!                        └──────────────────────────────┘
//!                                     Woken
//! ```
//!
//! An event may be missing, so each transition accepts every state.

use super::event::Reason;
use super::model::{Time, Wake};
use std::mem;

/// What the reader remembers of a lane.
#[derive(Default)]
pub(super) struct State {
    /// The wakes that no poll has followed yet, ordered by time.
    pending: Vec<Pending>,
    /// The reasons that the current poll has left so far.
    reasons: Vec<Reason>,
    /// What the last poll has left, unless there was none or it has ended the task.
    pub(super) left: Option<Left>,
    /// Whether the spawn of the task is among the events.
    pub(super) is_born: bool,
    /// When the job began.
    pub(super) began: Option<Time>,
}

/// A wake that no poll has followed yet.
#[derive(Clone, Copy)]
struct Pending {
    /// The wake.
    wake: Wake,
    /// Whether the task woke itself during the poll that is being read, which the wake cannot have led to.
    is_own: bool,
    /// Whether another thread made the wake. The loop learns of it later.
    is_remote: bool,
}

/// What a poll has left.
pub(super) struct Left {
    /// When the poll ended.
    pub(super) since: Time,
    /// What the task waits for since then.
    pub(super) reasons: Vec<Reason>,
    /// Whether the ring may have lost reasons.
    pub(super) is_cut: bool,
    /// The number of events that were read before the end of the poll.
    pub(super) order: usize,
}

impl State {
    /// Returns the state of a job that began at this time, if it has begun.
    pub(super) fn job(began: Option<Time>) -> State {
        State {
            began,
            ..State::default()
        }
    }

    /// Adds a wake.
    pub(super) fn wake(&mut self, wake: Wake, is_own: bool, is_remote: bool) {
        self.pending.push(Pending {
            wake,
            is_own,
            is_remote,
        });
    }

    /// Adds the spawn, before all wakes.
    pub(super) fn spawn(&mut self, wake: Wake) {
        let pending = Pending {
            wake,
            is_own: false,
            is_remote: false,
        };
        self.pending.insert(0, pending);
        self.is_born = true;
    }

    /// Adds a reason for which the current poll leaves the task waiting.
    pub(super) fn reason(&mut self, reason: Reason) {
        if !self.reasons.contains(&reason) {
            self.reasons.push(reason);
        }
    }

    /// Returns what the task may wait for: what the last poll has left, and the current one so far.
    pub(super) fn reasons(&self) -> impl Iterator<Item = Reason> {
        let left = self.left.iter().flat_map(|left| &left.reasons);
        left.chain(&self.reasons).copied()
    }

    /// Returns the wake that has led to a poll, which begins at this time. Later wakes belong to the next poll.
    ///
    /// Of several wakes before the poll, the first has put the task into the run queue. The others had no effect,
    /// except for one that another thread made: the loop may have learned of it after the poll. It is kept for the
    /// next poll, and used if that has no other wake.
    pub(super) fn begin(&mut self, start: Time) -> Option<Wake> {
        let is_before = |pending: &Pending| match pending.is_own {
            true => pending.wake.time < start,
            false => pending.wake.time <= start,
        };
        // What another thread did before the poll before is the last resort.
        let ended = self.left.as_ref().map_or(Time::MIN, |left| left.since);
        let is_late = |pending: &Pending| pending.is_remote && pending.wake.time < ended;
        let position = self
            .pending
            .iter()
            .position(|pending| is_before(pending) && !is_late(pending))
            .or_else(|| self.pending.iter().position(is_before))?;
        let wake = self.pending.remove(position).wake;
        self.pending.retain(|pending| {
            let is_new = pending.is_remote && !is_late(pending);
            pending.wake.time >= start || is_new
        });
        Some(wake)
    }

    /// Ends a poll that leaves the task waiting.
    pub(super) fn leave(&mut self, since: Time, is_cut: bool, order: usize) {
        for pending in &mut self.pending {
            pending.is_own = false;
        }
        self.left = Some(Left {
            since,
            reasons: mem::take(&mut self.reasons),
            is_cut,
            order,
        });
    }

    /// Ends the task.
    pub(super) fn end(&mut self) {
        *self = State {
            is_born: self.is_born,
            ..State::default()
        };
    }

    /// Returns the wake that has put the task into the run queue since its last poll, which began at this time.
    pub(super) fn queued(&self, last: Option<Time>) -> Option<Wake> {
        let is_new = |pending: &&Pending| last.is_none_or(|last| pending.wake.time >= last);
        self.pending.iter().find(is_new).map(|pending| pending.wake)
    }
}
