//! The members of a group that one future polls: each has a waker of its own, which puts it into
//! the group's queue and wakes whoever polls the group. So a wake costs the same however many
//! members there are.

use crate::executor::flag::QueuedFlag;
use crate::slab::Key;
use crate::sync::{Mutex, lock};
use futures_task::ArcWake;
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;

/// The members that are to be looked at, and who wants to know; reached from any thread.
pub(super) struct Queue {
    /// Both, under one lock.
    state: Mutex<State>,
}

/// What stands under the lock.
struct State {
    /// Members that are new or were woken, oldest first.
    keys: VecDeque<Key>,
    /// Who polls the group, if it is to be woken by the next that comes.
    waker: Option<Waker>,
}

impl Queue {
    /// An empty queue.
    pub(super) fn new() -> Queue {
        Queue {
            state: Mutex::new(State {
                keys: VecDeque::new(),
                waker: None,
            }),
        }
    }

    /// Takes the member that is to be looked at next.
    pub(super) fn pop(&self) -> Option<Key> {
        lock(&self.state).keys.pop_front()
    }

    /// The same; if there is none, the waker is left for the next that comes.
    pub(super) fn pop_or_wait(&self, waker: &Waker) -> Option<Key> {
        if let Some(key) = self.pop() {
            return Some(key);
        }
        let waker = waker.clone();
        let mut state = lock(&self.state);
        let key = state.keys.pop_front();
        let former = match key {
            // It came from another thread meanwhile.
            Some(_) => Some(waker),
            None => state.waker.replace(waker),
        };
        drop(state);
        drop(former);
        key
    }

    /// Adds a member, and wakes who waits for one.
    fn push(&self, key: Key) {
        let mut state = lock(&self.state);
        state.keys.push_back(key);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Puts a member into the queue of its group.
pub(super) struct MemberWaker {
    /// The member.
    key: Key,
    /// Whether it is in the queue.
    queued: QueuedFlag,
    /// The queue of its group.
    queue: Arc<Queue>,
}

impl MemberWaker {
    /// The waker of a new member, which is in the queue from here on.
    pub(super) fn new(key: Key, queue: &Arc<Queue>) -> Arc<MemberWaker> {
        let waker = Arc::new(MemberWaker {
            key,
            queued: QueuedFlag::default(),
            queue: Arc::clone(queue),
        });
        ArcWake::wake_by_ref(&waker);
        waker
    }

    /// Says that the member has been taken out of the queue. The caller polls it next.
    pub(super) fn lower(&self) {
        self.queued.lower();
    }
}

impl ArcWake for MemberWaker {
    fn wake_by_ref(this: &Arc<Self>) {
        if this.queued.raise() {
            this.queue.push(this.key);
        }
    }
}
