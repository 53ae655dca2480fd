//! [`DumpRequest`]: asking the loop of a runtime for a dump, from any thread.

use crate::context;
use crate::dump::{Answer, Dump, label};
use crate::event_loop::Shared;
use crate::executor::Message;
use crate::waiter::Tag;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

/// How long a dump waits for the loop to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// A request for a dump. Several requests may be under way at the same time.
pub(crate) enum DumpRequest {
    /// The dump was taken on the spot, or the runtime has ended.
    Done(Dump),
    /// The loop was asked.
    Sent {
        /// The runtime.
        shared: Arc<Shared>,
        /// Receives the dump.
        answer: mpsc::Receiver<Dump>,
        /// When the request was sent.
        sent: Instant,
        /// The poll that the loop was in before the request.
        busy_before: Tag,
    },
}

impl DumpRequest {
    /// Asks the loop of a runtime for a dump. On the thread of the loop, takes the dump.
    pub(crate) fn send(shared: &Arc<Shared>) -> DumpRequest {
        if let Some(event_loop) = context::here(shared) {
            return DumpRequest::Done(event_loop.dump());
        }
        let (send, answer) = mpsc::channel();
        let take_dump = move || {
            if let Some(event_loop) = context::running() {
                // The caller may no longer be waiting.
                let _gone = send.send(event_loop.dump());
            }
            Ok(())
        };
        let busy_before = shared.status.polling();
        if shared
            .inbox
            .post(Message::Run(Box::new(take_dump)))
            .is_err()
        {
            return DumpRequest::Done(without_tasks(shared, Answer::Ended));
        }
        DumpRequest::Sent {
            shared: Arc::clone(shared),
            answer,
            sent: Instant::now(),
            busy_before,
        }
    }

    /// Returns the dump. Waits for it, but not longer than a second after the request.
    pub(crate) fn wait(self) -> Dump {
        let (shared, answer, sent, busy_before) = match self {
            DumpRequest::Done(dump) => return dump,
            DumpRequest::Sent {
                shared,
                answer,
                sent,
                busy_before,
            } => (shared, answer, sent, busy_before),
        };
        let timeout = shared.test_patience.unwrap_or(ANSWER_TIMEOUT);
        if let Ok(dump) = answer.recv_timeout(timeout.saturating_sub(sent.elapsed())) {
            return dump;
        }
        unanswered_dump(&shared, busy_before, sent.elapsed())
    }
}

/// Returns the dump of a loop that has not answered a message for the duration `waited`. `busy_before` is the poll that
/// it was in when the message was posted.
pub(crate) fn unanswered_dump(shared: &Shared, busy_before: Tag, waited: Duration) -> Dump {
    let busy = shared.status.polling();
    let answer = match busy.parts() {
        _ if shared.inbox.is_closed() => Answer::Ended,
        None => Answer::Asleep,
        Some((task, poll)) => {
            let polling = shared.status.last_poll();
            let polling = polling.filter(|polling| (polling.id, polling.poll) == (task, poll));
            Answer::Busy {
                task,
                poll,
                at_least: match &polling {
                    Some(polling) => polling.since.elapsed(),
                    None if busy == busy_before => waited,
                    None => Duration::ZERO,
                },
                polling: match polling {
                    Some(polling) => polling.to_string(),
                    None => format!("poll {poll} of task {}", label(u64::from(task), None)),
                },
            }
        }
    };
    without_tasks(shared, answer)
}

/// Returns the dump of a loop that has not listed its tasks.
fn without_tasks(shared: &Shared, answer: Answer) -> Dump {
    Dump {
        answer,
        worker: shared.worker,
        tasks: Vec::new(),
        pool: shared.pool_dump(),
    }
}
