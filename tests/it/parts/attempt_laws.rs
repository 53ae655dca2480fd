//! The attempts of a descriptor, compared with a model of the futures that read.

use crate::reactor::attempts::{Attempts, Buffer};
use crate::waiter::Tries;
use proptest::prelude::*;

/// The task that reads.
const TASK: u32 = 7;

/// The address and the length of the buffer of each message.
const START: u32 = 1000;
const LENGTH: usize = 16;

/// What happens to a task that reads messages with `read_exact`.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// This many bytes arrive, and the task is polled.
    Bytes(usize),
    /// The task is polled for another reason.
    Poll,
    /// The task drops the future, and begins the same message again.
    Drop,
}

/// Reads with `read_exact`, in a loop.
#[derive(Default)]
struct Reader {
    /// The counts.
    attempts: Attempts,
    /// The number of bytes that the future has read.
    filled: usize,
    /// The number of bytes in the socket.
    available: usize,
    /// What the counts should be.
    expected: Tries,
}

impl Reader {
    /// Polls the future until it is pending. A completed one is followed by another.
    fn poll(&mut self) {
        loop {
            let buffer = Buffer {
                address: START + self.filled as u32,
                length: LENGTH - self.filled,
            };
            if self.available == 0 {
                self.attempts.pend(TASK, buffer.address);
                return;
            }
            let count = self.available.min(buffer.length);
            self.attempts.complete(TASK, buffer, count);
            self.available -= count;
            self.filled += count;
            if self.filled == LENGTH {
                self.filled = 0;
                self.expected.completed += 1;
            }
        }
    }

    /// Takes a step. Only a future that has read something loses something.
    fn step(&mut self, step: Step) {
        match step {
            Step::Bytes(count) => self.available += count,
            Step::Poll => {}
            Step::Drop => {
                if self.filled > 0 {
                    self.expected.given_up += 1;
                }
                self.filled = 0;
            }
        }
        self.poll();
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (1..40_usize).prop_map(Step::Bytes),
        Just(Step::Poll),
        Just(Step::Drop),
    ];
    proptest::collection::vec(step, 0..200)
}

proptest! {
    #[test]
    fn a_future_counts_as_given_up_if_and_only_if_it_loses_bytes(steps in steps()) {
        let mut reader = Reader::default();
        reader.poll();
        for step in steps {
            reader.step(step);
            prop_assert_eq!(reader.attempts.of(TASK), reader.expected);
        }
    }
}

#[test]
fn two_futures_that_read_by_turns_are_recognized() {
    let mut attempts = Attempts::default();
    for _ in 0..100 {
        attempts.pend(TASK, 1000);
        attempts.pend(TASK, 2000);
    }
    assert_eq!(attempts.of(TASK), Tries::default());
}

#[test]
fn the_counts_of_more_tasks_than_fit_replace_the_oldest() {
    let mut attempts = Attempts::default();
    for task in 0..100 {
        attempts.give_up(task);
    }
    let counted = (0..100).filter(|task| attempts.of(*task).given_up > 0);
    assert_eq!(
        counted.collect::<Vec<u32>>(),
        (92..100).collect::<Vec<u32>>()
    );
}
