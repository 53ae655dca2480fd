//! Receiving messages from other threads: the executor carries out each [`Message`].
//!
//! The event loop calls [`take_messages`](Executor::take_messages) between the polls of two turns.

use super::entry::{DETACHED, REMOTE};
use super::message::Message;
use super::status::increment;
use super::{Executor, Tasks};
use crate::foreign::{log_panics, trace};
use crate::slab::Key;

/// The capacity that the vector of messages keeps after a burst.
const KEPT_MESSAGES: usize = 1024;

impl Executor {
    /// Notes that the loop is awake, and carries out the messages from other threads, if there are any.
    ///
    /// # Panics
    ///
    /// Panics if a closure among the messages has returned an error.
    #[inline]
    pub(crate) fn take_messages(&self) {
        if self.remote.awake() {
            self.read_messages();
        }
    }

    /// Carries out the messages from other threads. No task is being polled.
    ///
    /// # Panics
    ///
    /// Panics after the last message if a closure has returned an error.
    fn read_messages(&self) {
        let mut result = Ok(());
        let mut messages = self.messages.take();
        self.remote.drain(&mut messages);
        for message in messages.drain(..) {
            match message {
                Message::Wake(key) => self.take_wake(key),
                Message::Detach(key) => self.detach(key),
                Message::Abort(key) => self.abort(key),
                Message::AbortRemote(task) => self.abort(task.key().unwrap_or(Key::NONE)),
                Message::Spawn { make, info } => {
                    let key = self.tasks.borrow().slab.next_key_as(info.id.low());
                    let run = make(key);
                    let (id, location) = (info.id, info.location);
                    let (key, refused) = self.spawn(run, info);
                    trace!("glassfrog::task", "task {id} is spawned at {location}");
                    drop(refused);
                    // The handle of this task does not take the outcome from the slab.
                    if let Some(task) = self.tasks.borrow_mut().slab.get_mut(key) {
                        task.marks |= DETACHED | REMOTE;
                    }
                }
                #[cfg(feature = "sim")]
                Message::Panicked(panic) => self.note_panic(panic),
                Message::Run(run) => {
                    log_panics("a closure from another thread", || {
                        if let Err(message) = run() {
                            result = Err(message);
                        }
                    });
                }
            }
        }
        if let Some(recorder) = &self.recorder {
            recorder.end_other();
        }
        messages.shrink_to(KEPT_MESSAGES);
        self.messages.set(messages);
        if let Err(message) = result {
            panic!("{message}");
        }
    }

    /// Wakes a task on behalf of another thread: pushes it to the run queue, unless it is already there or gone.
    fn take_wake(&self, key: Key) {
        let mut tasks = self.tasks.borrow_mut();
        let Tasks { slab, ready, .. } = &mut *tasks;
        let waker = match key {
            Key::NONE => Some(&self.root),
            // A task that can be woken has been polled, so it has a waker.
            _ => slab
                .get_mut(key)
                .and_then(|task| task.body.as_ref()?.waker.as_ref()),
        };
        if waker.is_some_and(|waker| waker.flags.receive()) {
            increment(&self.counters.remote_wakes);
            ready.push(key);
        }
    }
}
