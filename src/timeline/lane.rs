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
    /// The reasons that the current poll has left so far, each with the time.
    reasons: Vec<(Time, Reason)>,
    /// The earliest deadline among them.
    due: Option<Time>,
    /// What the last poll has left, unless there was none or it has ended the task.
    pub(super) left: Option<Left>,
    /// Whether the spawn of the task is among the events.
    pub(super) is_born: bool,
    /// When the job began.
    pub(super) began: Option<Time>,
}

/// A wake that no poll has followed yet.
#[derive(Clone, Copy)]
pub(super) struct Pending {
    /// The wake.
    pub(super) wake: Wake,
    /// Since when the task could have run, if that is known: before the wake, if its deadline passed during a poll.
    pub(super) ready: Option<Time>,
    /// Whether the task woke itself during the poll that is being read, which the wake cannot have led to.
    is_own: bool,
    /// Whether another thread made the wake. The loop learns of it later.
    is_remote: bool,
}

/// What a poll has left.
pub(super) struct Left {
    /// When the poll began.
    began: Time,
    /// When the poll ended.
    pub(super) since: Time,
    /// What the task waits for since then.
    pub(super) reasons: Vec<Reason>,
    /// The earliest deadline among the reasons.
    pub(super) due: Option<Time>,
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

    /// Adds a wake of a task that could have run since `ready`.
    pub(super) fn wake(&mut self, wake: Wake, ready: Time, is_own: bool, is_remote: bool) {
        self.pending.push(Pending {
            wake,
            ready: Some(ready),
            is_own,
            is_remote,
        });
    }

    /// Adds the spawn, before all wakes.
    pub(super) fn spawn(&mut self, wake: Wake) {
        let pending = Pending {
            wake,
            ready: Some(wake.time),
            is_own: false,
            is_remote: false,
        };
        self.pending.insert(0, pending);
        self.is_born = true;
    }

    /// Adds a reason for which the current poll leaves the task waiting, at a time within the poll.
    pub(super) fn reason(&mut self, now: Time, reason: Reason) {
        if let Reason::Deadline { micros } = reason
            && micros < u32::MAX
        {
            let due = now + Time::from(micros) * 1000;
            self.due = Some(self.due.map_or(due, |other| other.min(due)));
        }
        if !self.reasons.iter().any(|(_, other)| *other == reason) {
            self.reasons.push((now, reason));
        }
    }

    /// Returns what the task may wait for: what the last poll has left, and the current one so far.
    pub(super) fn reasons(&self) -> impl Iterator<Item = Reason> {
        let left = self.left.iter().flat_map(|left| &left.reasons);
        let current = self.reasons.iter().map(|(_, reason)| *reason);
        left.copied().chain(current)
    }

    /// Returns the wake that has led to a poll, which begins at this time. Later wakes belong to the next poll.
    ///
    /// The thread of the loop records a wake only if it puts the task into the run queue, so there is at most one before
    /// each poll. Another thread records each wake, which has no effect if the task is in the run queue, and of which
    /// the loop may learn after the poll. Such a wake counts only if there is no other, and is kept for one more poll.
    /// Then nobody knows when the task came into the run queue.
    pub(super) fn begin(&mut self, start: Time) -> Option<Pending> {
        let is_before = |pending: &Pending| match pending.is_own {
            true => pending.wake.time < start,
            false => pending.wake.time <= start,
        };
        let began = self.left.as_ref().map_or(Time::MIN, |left| left.began);
        let is_stale = |pending: &Pending| pending.wake.time < began;
        let find = |may_be: &dyn Fn(&Pending) -> bool| {
            let mut pending = self.pending.iter();
            pending.position(|pending| is_before(pending) && may_be(pending))
        };
        let position = find(&|pending| !pending.is_remote)
            .or_else(|| find(&|pending| !is_stale(pending)))
            .or_else(|| find(&|_| true))?;
        let mut found = self.pending.remove(position);
        if is_stale(&found) {
            found.ready = None;
        }
        self.pending.retain(|pending| {
            let is_kept = pending.is_remote && !is_stale(pending);
            pending.wake.time >= start || is_kept
        });
        Some(found)
    }

    /// Ends a poll that leaves the task waiting.
    pub(super) fn leave(&mut self, (began, since): (Time, Time), is_cut: bool, order: usize) {
        for pending in &mut self.pending {
            pending.is_own = false;
        }
        // The wait begins with the end of the poll, and its deadline counts from there.
        let reasons = mem::take(&mut self.reasons).into_iter();
        let reasons = reasons.map(|(now, reason)| match reason {
            Reason::Deadline { micros } if micros < u32::MAX => Reason::Deadline {
                micros: micros
                    .saturating_sub(u32::try_from((since - now) / 1000).unwrap_or(u32::MAX)),
            },
            reason => reason,
        });
        self.left = Some(Left {
            began,
            since,
            reasons: reasons.collect(),
            due: self.due.take(),
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
    pub(super) fn queued(&self, last: Option<Time>) -> Option<Pending> {
        let is_new = |pending: &&Pending| last.is_none_or(|last| pending.wake.time >= last);
        self.pending.iter().find(is_new).copied()
    }
}
