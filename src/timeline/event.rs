//! [`Event`]: something that a loop did, in sixteen bytes.
//!
//! ```text
//!    first word    time, 48 bits | kind, 8 bits | detail, 8 bits
//!    second word   a, 32 bits                   | b, 32 bits
//! ```
//!
//! The time counts nanoseconds since the recorder was created, modulo 2⁴⁸ (78 hours). A reader
//! [restores](restore_times) the full times. A task, a job and a text are named by 32 bits: the low half of the id of
//! the task or job, and the number of the text in a table of the [`Recording`](super::recording::Recording).

/// The number of bits of the time.
const TIME_BITS: u32 = 48;

/// The mask of the time.
const TIME_MASK: u64 = (1 << TIME_BITS) - 1;

/// No task: the loop itself, or another thread.
const NONE: u32 = u32::MAX;

/// Something that the loop did, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// When it happened or, for something that takes time, when it ended: nanoseconds since the recorder was created.
    pub(crate) time: u64,
    /// What happened.
    pub(crate) what: What,
}

/// What happened. Tasks and jobs are given by the low halves of their ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// A task was spawned.
    Spawned {
        /// The new task.
        task: u32,
        /// The task that spawned it, unless it was none.
        by: Option<u32>,
    },
    /// A poll has ended. It began `length` nanoseconds before.
    Polled {
        /// The task.
        task: u32,
        /// The length of the poll in nanoseconds. Lengths of more than four seconds are rounded to microseconds.
        length: u64,
        /// What the poll did to the task.
        outcome: Outcome,
    },
    /// The thread ran for this long on a core during the poll before, in nanoseconds.
    OnCore {
        /// The time on a core, in nanoseconds.
        nanos: u64,
    },
    /// A task that was not in the run queue was woken.
    Woken {
        /// The task.
        task: u32,
        /// What woke it.
        cause: Cause,
    },
    /// The poll of a task that runs at this time leaves the task waiting for something.
    Waits {
        /// The task.
        task: u32,
        /// What it waits for.
        reason: Reason,
    },
    /// The operating system has reported that a socket is ready.
    Ready {
        /// The text that describes the socket's operation, as in [`Reason::Socket`].
        text: u32,
    },
    /// The loop was parked, and has woken up.
    Parked {
        /// The length of the park in nanoseconds.
        length: u64,
    },
    /// Deadlines have passed, and their waiters are woken next.
    Fired {
        /// The number of deadlines.
        count: u32,
    },
    /// A blocking job or a name lookup was submitted.
    Queued {
        /// The job.
        job: u32,
        /// The task that submitted it, unless it was none.
        by: Option<u32>,
    },
    /// A job has begun.
    Began {
        /// The job.
        job: u32,
    },
    /// A job has ended, or was cancelled before it began.
    Ended {
        /// The job.
        job: u32,
    },
    /// The program has marked this moment.
    Marked {
        /// The task that was polled, unless it was none.
        task: Option<u32>,
        /// The text of the mark.
        text: u32,
    },
}

/// What a poll did to the task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The task has to be woken before its next poll.
    Pending = 0,
    /// The task has ended.
    Ready = 1,
    /// The task has panicked.
    Panicked = 2,
    /// The task was aborted: its future was dropped instead of a poll.
    Aborted = 3,
}

/// What woke a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// A task, during its poll or at its end.
    Task(u32),
    /// An event of a socket.
    Socket,
    /// A deadline.
    Deadline,
    /// A blocking job or name lookup.
    Job(u32),
    /// Another thread.
    Thread,
    /// An abort, from outside of any task.
    Abort,
    /// The loop, in some other way.
    Loop,
}

/// What a task waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// A socket or a standard stream; the text describes the operation.
    Socket {
        /// The text.
        text: u32,
    },
    /// A deadline, this many microseconds away.
    Deadline {
        /// The microseconds; [`u32::MAX`] for more than 71 minutes.
        micros: u32,
    },
    /// The end of a task.
    Task(u32),
    /// The children of a scope, or the members of a set.
    Children,
    /// A blocking job or name lookup.
    Job(u32),
    /// A primitive of `sync` or a label; the text describes it.
    Declared {
        /// The text.
        text: u32,
    },
}

/// The lowest bit of the detail of a poll that says that the length is in microseconds.
const IN_MICROS: u8 = 1 << 7;

/// The event in sixteen bytes, with a time modulo 2⁴⁸.
pub(super) type Words = [u64; 2];

impl Event {
    /// Packs the event.
    #[inline]
    pub(super) fn pack(self) -> Words {
        let some = |task: Option<u32>| task.unwrap_or(NONE);
        let (kind, detail, a, b) = match self.what {
            What::Spawned { task, by } => (1, 0, task, some(by)),
            What::Polled {
                task,
                length,
                outcome,
            } => match u32::try_from(length) {
                Ok(nanos) => (2, outcome as u8, task, nanos),
                Err(_) => {
                    let micros = u32::try_from(length / 1000).unwrap_or(u32::MAX);
                    (2, outcome as u8 | IN_MICROS, task, micros)
                }
            },
            What::OnCore { nanos } => (3, 0, (nanos >> 32) as u32, nanos as u32),
            What::Woken { task, cause } => {
                let (detail, by) = match cause {
                    Cause::Task(by) => (0, by),
                    Cause::Socket => (1, NONE),
                    Cause::Deadline => (2, NONE),
                    Cause::Job(by) => (3, by),
                    Cause::Thread => (4, NONE),
                    Cause::Abort => (5, NONE),
                    Cause::Loop => (6, NONE),
                };
                (4, detail, task, by)
            }
            What::Waits { task, reason } => {
                let (detail, what) = match reason {
                    Reason::Socket { text } => (0, text),
                    Reason::Deadline { micros } => (1, micros),
                    Reason::Task(other) => (2, other),
                    Reason::Children => (3, NONE),
                    Reason::Job(job) => (4, job),
                    Reason::Declared { text } => (5, text),
                };
                (5, detail, task, what)
            }
            What::Ready { text } => (6, 0, text, 0),
            What::Parked { length } => (7, 0, (length >> 32) as u32, length as u32),
            What::Fired { count } => (8, 0, count, 0),
            What::Queued { job, by } => (9, 0, job, some(by)),
            What::Began { job } => (10, 0, job, 0),
            What::Ended { job } => (11, 0, job, 0),
            What::Marked { task, text } => (12, 0, some(task), text),
        };
        [
            self.time << 16 | u64::from(kind as u8) << 8 | u64::from(detail),
            u64::from(a) << 32 | u64::from(b),
        ]
    }

    /// Unpacks an event, whose time is modulo 2⁴⁸. Returns `None` for words that no event has.
    pub(super) fn unpack([first, second]: Words) -> Option<Event> {
        let (kind, detail) = ((first >> 8) as u8, first as u8);
        let (a, b) = ((second >> 32) as u32, second as u32);
        let some = |task: u32| (task != NONE).then_some(task);
        let what = match (kind, detail) {
            (1, _) => What::Spawned {
                task: a,
                by: some(b),
            },
            (2, detail) => What::Polled {
                task: a,
                length: match detail & IN_MICROS {
                    0 => u64::from(b),
                    _ => u64::from(b) * 1000,
                },
                outcome: match detail & !IN_MICROS {
                    0 => Outcome::Pending,
                    1 => Outcome::Ready,
                    2 => Outcome::Panicked,
                    3 => Outcome::Aborted,
                    _ => return None,
                },
            },
            (3, _) => What::OnCore { nanos: second },
            (4, detail) => What::Woken {
                task: a,
                cause: match detail {
                    0 => Cause::Task(b),
                    1 => Cause::Socket,
                    2 => Cause::Deadline,
                    3 => Cause::Job(b),
                    4 => Cause::Thread,
                    5 => Cause::Abort,
                    6 => Cause::Loop,
                    _ => return None,
                },
            },
            (5, detail) => What::Waits {
                task: a,
                reason: match detail {
                    0 => Reason::Socket { text: b },
                    1 => Reason::Deadline { micros: b },
                    2 => Reason::Task(b),
                    3 => Reason::Children,
                    4 => Reason::Job(b),
                    5 => Reason::Declared { text: b },
                    _ => return None,
                },
            },
            (6, _) => What::Ready { text: a },
            (7, _) => What::Parked { length: second },
            (8, _) => What::Fired { count: a },
            (9, _) => What::Queued {
                job: a,
                by: some(b),
            },
            (10, _) => What::Began { job: a },
            (11, _) => What::Ended { job: a },
            (12, _) => What::Marked {
                task: some(a),
                text: b,
            },
            _ => return None,
        };
        Some(Event {
            time: first >> 16,
            what,
        })
    }
}

/// Restores the full times of events, which are ordered as they were recorded. The newest event happened at `newest`
/// or before it, by less than 2⁴⁸ nanoseconds.
///
/// Two events may be further apart only if the loop was parked in between, which the length of the park tells.
pub(super) fn restore_times(events: &mut [Event], newest: u64) {
    // The latest time at which the event before the current one can have happened.
    let mut limit = newest;
    for event in events.iter_mut().rev() {
        let behind = limit.wrapping_sub(event.time) & TIME_MASK;
        event.time = limit.saturating_sub(behind);
        // Nothing is recorded during a park. During a poll, much is.
        limit = match event.what {
            What::Parked { length } => event.time.saturating_sub(length),
            _ => event.time,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One event of each kind.
    fn samples() -> Vec<What> {
        let outcomes = [
            Outcome::Pending,
            Outcome::Ready,
            Outcome::Panicked,
            Outcome::Aborted,
        ];
        let causes = [
            Cause::Task(5),
            Cause::Socket,
            Cause::Deadline,
            Cause::Job(6),
            Cause::Thread,
            Cause::Abort,
            Cause::Loop,
        ];
        let reasons = [
            Reason::Socket { text: 3 },
            Reason::Deadline { micros: 4 },
            Reason::Task(5),
            Reason::Children,
            Reason::Job(7),
            Reason::Declared { text: 8 },
        ];
        let mut samples = vec![
            What::Spawned { task: 1, by: None },
            What::Spawned {
                task: 1,
                by: Some(0),
            },
            What::OnCore { nanos: 1 << 40 | 3 },
            What::Ready { text: 9 },
            What::Parked {
                length: 1 << 50 | 1,
            },
            What::Fired { count: 3 },
            What::Queued {
                job: 4,
                by: Some(2),
            },
            What::Began { job: 4 },
            What::Ended { job: 4 },
            What::Marked {
                task: Some(0),
                text: 2,
            },
            What::Marked {
                task: None,
                text: 2,
            },
        ];
        samples.extend(outcomes.map(|outcome| What::Polled {
            task: 3,
            length: 12_345,
            outcome,
        }));
        samples.extend(causes.map(|cause| What::Woken { task: 2, cause }));
        samples.extend(reasons.map(|reason| What::Waits { task: 2, reason }));
        samples
    }

    #[test]
    fn an_event_survives_packing() {
        for what in samples() {
            let event = Event {
                time: TIME_MASK - 7,
                what,
            };
            assert_eq!(Event::unpack(event.pack()), Some(event));
        }
    }

    #[test]
    fn a_poll_of_minutes_is_rounded_to_microseconds() {
        let event = Event {
            time: 0,
            what: What::Polled {
                task: 1,
                length: 600_000_000_999,
                outcome: Outcome::Pending,
            },
        };
        let Some(Event {
            what: What::Polled { length, .. },
            ..
        }) = Event::unpack(event.pack())
        else {
            panic!("it is a poll");
        };
        assert_eq!(length, 600_000_000_000);
    }

    #[test]
    fn full_times_are_restored_after_days() {
        let week = 7 * 24 * 3_600_000_000_000;
        let park = |time, length| Event {
            time,
            what: What::Parked { length },
        };
        let fired = |time| Event {
            time,
            what: What::Fired { count: 1 },
        };
        let events = [
            fired(5),
            park(week, week - 10),
            fired(week),
            fired(week + 40),
        ];
        let packed = events.map(|event| Event::unpack(event.pack()).expect("an event"));
        let mut restored = packed;
        restore_times(&mut restored, week + 50);
        assert_eq!(restored, events);
    }
}
