//! The members of a group that one future polls: each has a waker of its own, which puts it into
//! the group's queue and wakes whoever polls the group. So a wake costs the same however many
//! members there are.

use crate::executor::flag::QueuedFlag;
use crate::primitives::{Mutex, lock};
use crate::slab::Key;
use futures_task::ArcWake;
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;

/// How many members one poll of the group looks at at most, so that the other tasks get their turn: as
/// many as the loop polls tasks before it looks at the reactor.
pub(super) const BATCH: usize = 128;

/// How many keys an empty queue keeps room for.
const KEPT_KEYS: usize = 1024;

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
        let keys = &mut lock(&self.state).keys;
        let key = keys.pop_front();
        // The room of a burst goes.
        if keys.is_empty() && keys.capacity() > KEPT_KEYS {
            *keys = VecDeque::new();
        }
        key
    }

    /// How many members are to be looked at in one poll of the group: those that are in the queue now,
    /// unless they are too many. Those that come meanwhile wait for the next poll, and so let the other
    /// tasks go first.
    pub(super) fn round(&self) -> usize {
        lock(&self.state).keys.len().min(BATCH)
    }

    /// Puts members back that are to be looked at in the next poll of the group.
    pub(super) fn put_back(&self, keys: Vec<Key>) {
        if !keys.is_empty() {
            lock(&self.state).keys.extend(keys);
        }
    }

    /// Ends a poll: leaves the waker for the next member that comes, or, if there is one already, wakes
    /// it at once.
    pub(super) fn wait(&self, waker: &Waker) {
        let waker = waker.clone();
        let mut state = lock(&self.state);
        if state.keys.is_empty() {
            let former = state.waker.replace(waker);
            drop(state);
            drop(former);
        } else {
            drop(state);
            waker.wake();
        }
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
    /// The waker of a new member. To be looked at the first time, it is to be woken.
    pub(super) fn new(key: Key, queue: &Arc<Queue>) -> Arc<MemberWaker> {
        Arc::new(MemberWaker {
            key,
            queued: QueuedFlag::default(),
            queue: Arc::clone(queue),
        })
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
