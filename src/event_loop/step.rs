//! [`EventLoop::step`]: the turns of a simulated host, which its driver asks for.
//!
//! A host does not wait: its driver knows when something happens next, and steps the host then. A step polls until no
//! task is ready, at one moment of the host's clock. It reads no other clock and makes no syscall, so the same steps
//! always make the same polls. It looks neither for deadlocks nor for circles nor for a standstill, because the driver
//! knows more: whether anything at all can still happen.

use super::{BATCH, EventLoop};
use crate::executor::unreceived::TaskPanic;
use crate::executor::{Payload, Polled};
use crate::reactor::readiness::{ERROR, READ_CLOSED, READABLE, WRITABLE, WRITE_CLOSED};
use crate::wire::Mask;

/// The result of [`EventLoop::step`].
#[derive(Default)]
pub(crate) struct Stepped {
    /// The number of polls.
    pub(crate) polls: u64,
    /// Whether the host has to be stepped again at this moment: a task is ready, because the step has made as many polls
    /// as it may, or something has called the host.
    pub(crate) is_ready_again: bool,
    /// Whether a blocking job waits to be [taken](crate::pool::Pool::take_held).
    pub(crate) has_jobs: bool,
    /// The panics of tasks and jobs that no handle returns, or that no task was waiting for, oldest first.
    pub(crate) panics: Vec<TaskPanic>,
    /// The panic that has ended the runtime.
    pub(crate) panicked: Option<Payload>,
}

impl EventLoop {
    /// Steps a simulated host: publishes the readiness of these sockets, fires the timers that are due, and polls until
    /// no task is ready, but at most `most_polls` times. The caller has [entered](crate::context::enter) the context,
    /// and leaves it afterwards.
    pub(crate) fn step(&self, ready: &[(usize, Mask)], most_polls: u64) -> Stepped {
        if self.executor.is_closed() {
            return Stepped::default();
        }
        let before = self.executor.polls();
        let panicked = self.make_turns(ready, before.saturating_add(most_polls));
        Stepped {
            polls: self.executor.polls() - before,
            // From now on, a call makes the host ready again: the bell rings.
            is_ready_again: !self.executor.is_idle() || !self.shared.inbox.announce_park(),
            has_jobs: self.shared.pool.has_held(),
            panics: self.executor.take_panics(),
            panicked,
        }
    }

    /// Makes turns until no task is ready, or until there have been `most_polls` polls since the beginning. Returns the
    /// panic that has ended the runtime.
    fn make_turns(&self, ready: &[(usize, Mask)], most_polls: u64) -> Option<Payload> {
        let _running = self.begin(false);
        let ready: Vec<(usize, u32)> = ready.iter().map(|(at, mask)| (*at, bits(*mask))).collect();
        if !ready.is_empty() {
            self.shared.status.events.add(ready.len() as u64);
            self.reactor.make_ready(&ready);
        }
        let mut left = 0;
        loop {
            // These are the steps of `look_around` that concern a host, and then those of `poll_batch`.
            self.executor.take_messages();
            let now = self.begin_turn(false);
            self.shared.fire_timers(now);
            self.executor.postpone(left);
            if self.executor.is_idle() {
                return None;
            }
            for _ in 0..BATCH {
                if self.executor.polls() >= most_polls {
                    return None;
                }
                match self.executor.poll_next() {
                    Polled::Task => {}
                    // There is no `block_on`.
                    Polled::Root => drop(self.executor.skip_root()),
                    Polled::Nothing => break,
                    Polled::Panicked(payload) => {
                        self.shut_down();
                        return Some(payload);
                    }
                }
            }
            left = self.executor.end_polls();
        }
    }
}

/// Returns the bits of readiness that a socket of the wire sets, as an event of the operating system would.
fn bits(mask: Mask) -> u32 {
    // Only an operation can return an error or the end to its caller, so both count as ready.
    let parts = [
        (mask.readable, READABLE),
        (mask.writable, WRITABLE),
        (mask.read_closed, READABLE | READ_CLOSED),
        (mask.write_closed, WRITABLE | WRITE_CLOSED),
        (mask.error, READABLE | WRITABLE | ERROR),
    ];
    let set = parts.into_iter().filter(|(is_set, _)| *is_set);
    set.fold(0, |bits, (_, part)| bits | part)
}
