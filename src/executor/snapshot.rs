//! [`TaskSnapshot`]: the state of a task at one moment.
//!
//! The event loop takes snapshots of all tasks, for a dump or to detect a deadlock or a standstill. Taking a
//! snapshot polls, wakes and moves no task. It is done on the thread of the loop.

use super::Executor;
use super::children::{MemberRef, ScopeEntry, holders};
use super::entry::{IN_SET, Phase, REMOTE};
use super::id::Id;
use crate::clock::Stamp;
use crate::primitives::lock;
use crate::waiter::{Tag, Waiter, WaiterInfo};
use std::collections::HashMap;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

/// The state of a task, of the root future, or of the child of a scope.
pub(crate) struct TaskSnapshot {
    /// The id of the task; 0 for the root future.
    pub(crate) id: Id,
    /// The name of the task, if it has one.
    pub(crate) name: Option<Box<str>>,
    /// Where the task was spawned or, for the root future, where `block_on` was called.
    pub(crate) location: Option<&'static Location<'static>>,
    /// How many times the task was polled (modulo 2³²).
    pub(crate) polls: u32,
    /// When the task was spawned. The root future was not spawned.
    pub(crate) spawned: Option<Stamp>,
    /// When the task was polled last.
    pub(crate) polled: Stamp,
    /// The state of the task.
    pub(crate) state: TaskState,
    /// The waiter of the task's handle.
    pub(crate) awaited_by: Option<WaiterInfo>,
    /// For the child of a scope, the low half of the id of the task or child whose future contains it.
    pub(crate) parent: Option<u32>,
    /// The identity of the task's waker, and the number of other references to it. The children of scopes have none.
    pub(crate) waker: Option<(usize, usize)>,
    /// Whether the handle belongs to a `JoinSet`.
    pub(crate) in_set: bool,
    /// For the child of a scope, the identity of the waker with which the scope polls it, and the number of other
    /// references to it.
    pub(crate) member: Option<(usize, usize)>,
}

/// The wakers of a scope at one moment. While it is alive, its body and its children wait with wakers of their own, and
/// the scope keeps the waker of the task that polls it.
pub(crate) struct ScopeSnapshot {
    /// The low half of the id of the task or child whose future contains the scope.
    pub(crate) parent: u32,
    /// The identity of the waker of the body, and the number of other references to it.
    pub(crate) body: (usize, usize),
    /// The identity of the waker that the scope keeps.
    pub(crate) outer: Option<usize>,
}

/// The state of a task, as a dump shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TaskState {
    /// The task is being polled.
    Running,
    /// The task is in the run queue, or about to be.
    Ready,
    /// The task waits to be woken.
    Waiting,
    /// The task has ended, and its handle has not taken the output.
    Finished,
}

impl Executor {
    /// Returns snapshots of the root future, if there is one, all tasks and all children of scopes, ordered by id.
    pub(crate) fn snapshot(&self) -> Vec<TaskSnapshot> {
        let running = self.running();
        let mut snapshots = Vec::new();
        if self.has_root.get() {
            snapshots.push(self.root_snapshot(&running));
        }
        for (key, task) in self.tasks.borrow_mut().slab.iter_mut() {
            let waker = task.body.as_ref().and_then(|body| body.waker.as_ref());
            let (queued, waker) = match waker {
                // A task that has been polled has a waker.
                Some(waker) => {
                    let address = Arc::as_ptr(waker) as usize;
                    let others = Arc::strong_count(waker) - 1;
                    // Acquire: pairs with the Release in the drop of each other `Arc`. A thread that has woken the task
                    // and has dropped the waker since has raised the flag before.
                    fence(Ordering::Acquire);
                    (waker.flags.is_queued(), Some((address, others)))
                }
                None => (true, None),
            };
            let id = task.id(key);
            let local = task.joiner.as_ref().map(Waiter::info);
            let run = task.body.as_mut().map(|body| body.run.as_mut());
            let state = match &run {
                None => TaskState::Running,
                Some(_) if task.phase == Phase::Finished => TaskState::Finished,
                Some(_) if queued || task.phase == Phase::Aborted => TaskState::Ready,
                Some(_) => TaskState::Waiting,
            };
            snapshots.push(TaskSnapshot {
                id,
                name: self.name_of(key.generation()),
                location: Some(task.location),
                polls: task.polls,
                spawned: Some(task.spawned),
                polled: task.polled,
                state,
                awaited_by: local.or_else(|| run?.awaited_by()),
                parent: None,
                waker,
                in_set: task.has(IN_SET),
                member: None,
            });
        }
        snapshots.extend(self.children.borrow().values().map(|child| TaskSnapshot {
            id: child.id,
            name: None,
            location: Some(child.location),
            polls: child.polls,
            spawned: Some(child.spawned),
            polled: child.polled,
            state: match child.polls {
                _ if running.contains(&child.id.low()) => TaskState::Running,
                0 => TaskState::Ready,
                _ => TaskState::Waiting,
            },
            awaited_by: None,
            parent: Some(child.parent),
            waker: None,
            in_set: false,
            member: Some(holders(&child.waker)),
        }));
        snapshots.sort_by_key(|task| task.id);
        snapshots
    }

    /// Returns the low halves of the ids of the root future, the tasks that have not ended and the children of scopes
    /// that were polled at least `floor` times, with the number of their polls (modulo 2³²).
    pub(crate) fn poll_counts(&self, floor: u32) -> Vec<(u32, u32)> {
        let root = self.has_root.get().then(|| (0, self.root_polls.get()));
        let (tasks, children) = (self.tasks.borrow(), self.children.borrow());
        let alive = tasks.slab.iter();
        let alive = alive.filter(|(_, task)| task.phase != Phase::Finished);
        let alive = alive.map(|(key, task)| (key.generation(), task.polls));
        let children = children.values().map(|child| (child.id.low(), child.polls));
        let all = root.into_iter().chain(alive).chain(children);
        all.filter(|(_, polls)| *polls >= floor).collect()
    }

    /// Returns which task awaits which other task or child, as pairs of the low halves of their ids.
    pub(crate) fn joins(&self) -> Vec<(u32, u32)> {
        let mut joins = Vec::new();
        for (key, task) in self.tasks.borrow_mut().slab.iter_mut() {
            let local = task.joiner.as_ref().map(|joiner| joiner.tag);
            let remote = || {
                let run = task.body.as_mut().filter(|_| task.marks & REMOTE != 0)?;
                run.run.as_mut().awaited_by().map(|waiter| waiter.tag)
            };
            let tag = local.or_else(remote);
            if let Some((joiner, _)) = tag.and_then(Tag::parts) {
                joins.push((joiner, key.generation()));
            }
        }
        for child in self.children.borrow().values() {
            joins.push((child.parent, child.id.low()));
        }
        joins
    }

    /// Returns the wakers of all scopes.
    pub(crate) fn scopes(&self) -> Vec<ScopeSnapshot> {
        let scopes = self.scopes.borrow();
        let snapshot = |scope: &ScopeEntry| ScopeSnapshot {
            parent: scope.parent,
            body: holders(&scope.body),
            // After the count, because it holds the waker for a moment.
            outer: scope.body.upgrade().and_then(|body| body.outer()),
        };
        scopes.iter().map(|(_, scope)| snapshot(scope)).collect()
    }

    /// Returns the identities of the wakers that sets keep.
    pub(crate) fn kept_by_sets(&self) -> Vec<usize> {
        let table = lock(&self.remote.sets);
        let sets: Vec<MemberRef> = table.iter().map(|(_, set)| set.clone()).collect();
        // Another thread may drop a set meanwhile. Then its last reference, which owns a waker, is dropped here.
        drop(table);
        let sets = sets.iter().filter_map(MemberRef::upgrade);
        sets.filter_map(|set| set.outer()).collect()
    }

    /// Returns whether a task is ready, or anything besides the executor, the join handles and the waiters `except`
    /// holds the waker of a task. No task is being polled.
    pub(crate) fn is_held(&self, except: impl Iterator<Item = WaiterInfo>) -> bool {
        let snapshots = self.snapshot();
        let mut ours: HashMap<usize, usize> = HashMap::new();
        let joiners = snapshots.iter().filter_map(|task| task.awaited_by);
        for waiter in joiners.chain(except) {
            *ours.entry(waiter.waker).or_default() += 1;
        }
        let waits = |task: &&TaskSnapshot| task.state != TaskState::Finished;
        snapshots.iter().filter(waits).any(|task| {
            let held = task.waker.is_some_and(|(address, others)| {
                others > ours.get(&address).copied().unwrap_or_default()
            });
            held || task.state != TaskState::Waiting
        })
    }

    /// Returns the id of the task that is being polled; during the poll of a child, the ids of the child and of each of
    /// its parents.
    fn running(&self) -> Vec<u32> {
        let children = self.children.borrow();
        let polling = self.status.polling().parts();
        let parent = |id: &u32| children.get(id).map(|child| child.parent);
        std::iter::successors(polling.map(|(id, _)| id), parent).collect()
    }

    /// Returns a snapshot of the root future.
    fn root_snapshot(&self, running: &[u32]) -> TaskSnapshot {
        let address = Arc::as_ptr(&self.root) as usize;
        let others = Arc::strong_count(&self.root) - 1;
        // Acquire: as in `snapshot`.
        fence(Ordering::Acquire);
        let state = match running.contains(&0) {
            true => TaskState::Running,
            _ if self.root.flags.is_queued() => TaskState::Ready,
            // `block_on` reads messages before it queues the root future for the first time.
            _ if self.root_polls.get() == 0 => TaskState::Ready,
            _ => TaskState::Waiting,
        };
        TaskSnapshot {
            id: Id(0),
            name: None,
            location: self.root_location.get(),
            polls: self.root_polls.get(),
            spawned: None,
            polled: self.root_polled.get(),
            state,
            awaited_by: None,
            parent: None,
            waker: Some((address, others)),
            in_set: false,
            member: None,
        }
    }
}
