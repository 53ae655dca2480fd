//! What is to be seen of the tasks, for somebody who asks: nothing is polled, woken or moved.

use super::outcome::Id;
use super::pulse::Polling;
use super::{Executor, Phase, shrink};
use crate::clock::{Stamp, Stopwatch};
use crate::waiter::{Seen, Tag};
use std::collections::HashMap;
use std::panic::Location;
use std::rc::{Rc, Weak};
use std::sync::Arc;

/// A task, or what takes its turns like one, as it is at this moment.
pub(crate) struct TaskLook {
    /// Its number; 0 is the root future's.
    pub(crate) id: Id,
    /// What its spawner calls it.
    pub(crate) name: Option<Box<str>>,
    /// Where it was spawned.
    pub(crate) location: Option<&'static Location<'static>>,
    /// How many times it was polled.
    pub(crate) polls: u32,
    /// When it was spawned, if that is known.
    pub(crate) spawned: Option<Stamp>,
    /// When it was polled last.
    pub(crate) polled: Stamp,
    /// What it does.
    pub(crate) state: State,
    /// Who awaits its handle.
    pub(crate) awaited_by: Option<Seen>,
    /// In whose future it lives, if it is the child of a scope.
    pub(crate) parent: Option<u32>,
    /// Its waker, and how many others hold it. Children of scopes have wakers of their own.
    pub(crate) waker: Option<(usize, usize)>,
}

/// What a task does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It is being polled.
    Running,
    /// It is in the run queue.
    Ready,
    /// It waits to be woken.
    Waiting,
    /// It has ended, and nobody has taken its output.
    Finished,
}

/// The child of a scope.
pub(crate) struct Child {
    /// Its number.
    id: Id,
    /// In whose future it lives.
    parent: u32,
    /// Where it was spawned.
    location: &'static Location<'static>,
    /// When that was.
    spawned: Stamp,
    /// When it was polled last.
    polled: Stamp,
    /// How many times it was polled.
    polls: u32,
}

/// The place of a child among those that the executor knows; given up when dropped.
pub(crate) struct Known {
    /// Who knows it. The child may live in one of its tasks.
    executor: Weak<Executor>,
    /// Its number.
    id: Id,
}

impl Known {
    /// Makes a child known that lives in the future of the task `parent`.
    pub(crate) fn new(
        executor: &Rc<Executor>,
        id: Id,
        parent: u32,
        location: &'static Location<'static>,
    ) -> Known {
        let now = executor.turn.get();
        let child = Child {
            id,
            parent,
            location,
            spawned: now,
            polled: now,
            polls: 0,
        };
        executor.children.borrow_mut().insert(id.low(), child);
        Known {
            executor: Rc::downgrade(executor),
            id,
        }
    }

    /// Runs a poll of the child in its name.
    pub(crate) fn poll<R>(&self, poll: impl FnOnce() -> R) -> R {
        /// Puts back in whose name the parent is polled, also when a panic passes.
        struct Restore {
            /// Whose children these are.
            executor: Rc<Executor>,
            /// What the parent's waiters are tagged with.
            parent: Tag,
            /// The parent in full, if polls are watched.
            watched: Option<Polling>,
        }
        impl Drop for Restore {
            fn drop(&mut self) {
                let pulse = &self.executor.pulse;
                pulse.begin(self.parent);
                if let Some(parent) = self.watched.take() {
                    pulse.show(parent);
                }
            }
        }
        let restore = self.executor.upgrade().and_then(|executor| {
            let (parent, watched) = (executor.pulse.polling(), executor.pulse.who());
            executor.pulse.begin(self.begin_poll(&executor)?);
            Some(Restore {
                executor,
                parent,
                watched,
            })
        });
        let result = poll();
        drop(restore);
        result
    }

    /// Notes that the child is polled, and returns what its waiters are tagged with.
    fn begin_poll(&self, executor: &Executor) -> Option<Tag> {
        let mut children = executor.children.borrow_mut();
        let child = children.get_mut(&self.id.low())?;
        child.polls = child.polls.wrapping_add(1);
        child.polled = executor.turn.get();
        if executor.pulse.is_watched() {
            executor.pulse.show(Polling {
                id: self.id.low(),
                name: None,
                location: Some(child.location),
                poll: child.polls,
                since: Stopwatch::start(),
            });
        }
        Some(Tag::new(self.id.0, child.polls))
    }
}

impl Drop for Known {
    fn drop(&mut self) {
        if let Some(executor) = self.executor.upgrade() {
            let mut children = executor.children.borrow_mut();
            children.remove(&self.id.low());
            shrink(&mut children);
        }
    }
}

impl Executor {
    /// All that take turns, the root future first. It is called on the thread of the loop.
    pub(crate) fn look(&self) -> Vec<TaskLook> {
        let running = self.running();
        let mut seen = vec![self.look_at_root(&running)];
        let names = self.names.borrow();
        for (key, task) in self.tasks.borrow_mut().slab.iter_mut() {
            let waker = task.body.as_ref().and_then(|body| body.waker.as_ref());
            let (queued, waker) = match waker {
                // Between two polls it has one.
                Some(waker) => {
                    let address = Arc::as_ptr(waker) as usize;
                    let others = Arc::strong_count(waker) - 1;
                    (waker.flags.is_queued(), Some((address, others)))
                }
                None => (true, None),
            };
            let id = task.id(key);
            let local = task.joiner.as_ref().map(|joiner| joiner.look());
            let run = task.body.as_mut().map(|body| body.run.as_mut());
            let state = match &run {
                None => State::Running,
                Some(_) if task.phase == Phase::Finished => State::Finished,
                Some(_) if queued || task.phase == Phase::Aborted => State::Ready,
                Some(_) => State::Waiting,
            };
            seen.push(TaskLook {
                id,
                name: names.get(&key.generation()).cloned(),
                location: Some(task.location),
                polls: task.polls,
                spawned: Some(task.spawned),
                polled: task.polled,
                state,
                awaited_by: local.or_else(|| run?.awaited_by()),
                parent: None,
                waker,
            });
        }
        seen.extend(self.children.borrow().values().map(|child| TaskLook {
            id: child.id,
            name: None,
            location: Some(child.location),
            polls: child.polls,
            spawned: Some(child.spawned),
            polled: child.polled,
            state: match child.polls {
                _ if running.contains(&child.id.low()) => State::Running,
                0 => State::Ready,
                _ => State::Waiting,
            },
            awaited_by: None,
            parent: Some(child.parent),
            waker: None,
        }));
        seen.sort_by_key(|task| task.id);
        seen
    }

    /// Whether anything but the executor itself and these waiters holds the waker of a task that waits.
    /// Called on the thread of the loop, while nobody is being polled.
    pub(crate) fn is_held(&self, but_for: impl Iterator<Item = Seen>) -> bool {
        let seen = self.look();
        let mut ours: HashMap<usize, usize> = HashMap::new();
        let joiners = seen.iter().filter_map(|task| task.awaited_by);
        for waiter in joiners.chain(but_for) {
            *ours.entry(waiter.waker).or_default() += 1;
        }
        let waits = |task: &&TaskLook| task.state != State::Finished;
        seen.iter().filter(waits).any(|task| {
            let held = task.waker.is_some_and(|(address, others)| {
                others > ours.get(&address).copied().unwrap_or_default()
            });
            held || task.state != State::Waiting
        })
    }

    /// Who is being polled: a task, or the child of a scope and those in whose futures it lives.
    fn running(&self) -> Vec<u32> {
        let children = self.children.borrow();
        let polling = self.pulse.polling().who();
        let parent = |id: &u32| children.get(id).map(|child| child.parent);
        std::iter::successors(polling.map(|(id, _)| id), parent).collect()
    }

    /// The root future.
    fn look_at_root(&self, running: &[u32]) -> TaskLook {
        let address = Arc::as_ptr(&self.root) as usize;
        let state = match running.contains(&0) {
            true => State::Running,
            _ if self.root.flags.is_queued() => State::Ready,
            _ => State::Waiting,
        };
        TaskLook {
            id: Id(0),
            name: None,
            location: None,
            polls: self.root_polls.get(),
            spawned: None,
            polled: self.root_polled.get(),
            state,
            awaited_by: None,
            parent: None,
            waker: Some((address, Arc::strong_count(&self.root) - 1)),
        }
    }
}
