//! Receiving the messages of other threads: the executor does what each [`Message`] asks for.

use super::entry::{DETACHED, REMOTE};
use super::message::Message;
use super::status::increment;
use super::{Executor, Tasks};
use crate::foreign::{log_panics, trace};
use crate::slab::Key;

/// How many messages the executor keeps room for after a burst.
const KEPT_MESSAGES: usize = 1024;

impl Executor {
    /// Reads the messages of other threads, if there are any. The loop is awake from here on.
    #[inline]
    pub(crate) fn take_messages(&self) {
        if self.remote.awake() {
            self.read_messages();
        }
    }

    /// Does what the messages of other threads ask for. No task is being polled.
    fn read_messages(&self) {
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
                    // Its handle, if there still is one, does not look for the outcome in the slab.
                    if let Some(task) = self.tasks.borrow_mut().slab.get_mut(key) {
                        task.marks |= DETACHED | REMOTE;
                    }
                }
                Message::Run(run) => log_panics("a closure that another thread sent", run),
            }
        }
        messages.shrink_to(KEPT_MESSAGES);
        self.messages.set(messages);
    }

    /// Pushes a task that another thread has woken to the run queue, unless it is there or gone.
    fn take_wake(&self, key: Key) {
        let mut tasks = self.tasks.borrow_mut();
        let Tasks { slab, ready, .. } = &mut *tasks;
        let waker = match key {
            Key::NONE => Some(&self.root),
            // A task that can be woken was polled, and so it has a waker.
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
