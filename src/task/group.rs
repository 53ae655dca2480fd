//! [`WakeQueue`]: the members of a group that have been woken. A group is the tasks of a
//! [`JoinSet`](super::JoinSet), or the children of a [`scope`](super::scope).
//!
//! One future polls the whole group. Each member has a waker of its own, which pushes the member to the queue
//! of the group and wakes the task that polls the group. The cost of a wake is therefore independent of the
//! number of members. The set or the scope stores the members themselves.

use crate::executor::children::MemberOf;
use crate::executor::current::record_wake_of_child;
use crate::executor::flag::QueuedFlag;
use crate::primitives::{Mutex, lock};
use crate::slab::Key;
use futures_task::ArcWake;
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;

/// The maximum number of members that one poll of the group polls, so that other tasks get their turn. The
/// loop polls as many tasks before it turns the reactor.
pub(super) const BATCH: usize = 128;

/// The capacity that an empty queue keeps, so that a group of ordinary size does not reallocate.
const KEPT_CAPACITY: usize = 1024;

/// The queue of members that should be polled. Wakers push to it from any thread.
pub(super) struct WakeQueue {
    /// The members and the waker of the group.
    state: Mutex<State>,
}

/// The state of a [`WakeQueue`].
struct State {
    /// The members that are new or have been woken, oldest first.
    keys: VecDeque<Key>,
    /// The waker of the task that polls the group, if it waits for the next member.
    waker: Option<Waker>,
}

impl WakeQueue {
    /// Creates an empty queue.
    pub(super) fn new() -> WakeQueue {
        WakeQueue {
            state: Mutex::new(State {
                keys: VecDeque::new(),
                waker: None,
            }),
        }
    }

    /// Removes the next member from the queue and returns it.
    pub(super) fn pop(&self) -> Option<Key> {
        let keys = &mut lock(&self.state).keys;
        let key = keys.pop_front();
        // Frees the capacity that a burst has left.
        if keys.is_empty() && keys.capacity() > KEPT_CAPACITY {
            *keys = VecDeque::new();
        }
        key
    }

    /// Returns the number of members that one poll of the group should poll: those in the queue now, up to
    /// [`BATCH`]. Members that are woken during that poll wait for the next one, after the other tasks.
    pub(super) fn batch_len(&self) -> usize {
        lock(&self.state).keys.len().min(BATCH)
    }

    /// Appends members that should be polled in the next poll of the group.
    pub(super) fn requeue(&self, keys: Vec<Key>) {
        if !keys.is_empty() {
            lock(&self.state).keys.extend(keys);
        }
    }

    /// Registers the waker of the group, which the next push of a member wakes. If the queue is not empty,
    /// wakes it at once.
    pub(super) fn register(&self, waker: &Waker) {
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

    /// Returns the identity of the waker of the group, if it is registered.
    fn registered(&self) -> Option<usize> {
        let state = lock(&self.state);
        state.waker.as_ref().map(|waker| waker.data() as usize)
    }

    /// Pushes a member, and wakes the group.
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

/// The waker of a member: pushes the member to the queue of its group.
pub(super) struct MemberWaker {
    /// The key of the member.
    key: Key,
    /// Whether the member is in the queue.
    queued: QueuedFlag,
    /// The number of the runtime and the low half of the id, if the member is the child of a scope in a runtime. For the
    /// timeline.
    child: Option<(u32, u32)>,
    /// The queue of the group.
    queue: Arc<WakeQueue>,
}

impl MemberWaker {
    /// Creates the waker of a new member, which is not in the queue yet.
    pub(super) fn new(
        key: Key,
        child: Option<(u32, u32)>,
        queue: &Arc<WakeQueue>,
    ) -> Arc<MemberWaker> {
        Arc::new(MemberWaker {
            key,
            child,
            queued: QueuedFlag::default(),
            queue: Arc::clone(queue),
        })
    }

    /// Records that the member has been removed from the queue, before it is polled.
    pub(super) fn set_dequeued(&self) {
        self.queued.lower();
    }
}

impl MemberOf for WakeQueue {
    fn outer(&self) -> Option<usize> {
        self.registered()
    }
}

impl MemberOf for MemberWaker {
    fn outer(&self) -> Option<usize> {
        self.queue.registered()
    }
}

impl ArcWake for MemberWaker {
    fn wake_by_ref(this: &Arc<Self>) {
        if this.queued.raise() {
            if let Some(child) = this.child {
                record_wake_of_child(child);
            }
            this.queue.push(this.key);
        }
    }
}
