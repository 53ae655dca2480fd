//! Takes a [`Dump`]: asks the executor, the reactor, the timers and the pool who waits for what, and puts the
//! answers together.
//!
//! It runs on the thread of the loop, and polls nothing. How a dump looks is in `dump.rs`.

use super::EventLoop;
use crate::clock::Stamp;
use crate::dump::{Answer, Dump, TaskDump, Under, Wait, What, called};
use crate::executor::snapshot::{TaskSnapshot, TaskState};
use crate::waiter::WaiterInfo;
use std::collections::{BTreeMap, HashMap, HashSet};

/// What each task waits for, by the low half of its id, with the identity of the waker that it left.
type Waits = HashMap<u32, Vec<(Wait, usize)>>;

/// Notes what the task that left a waiter waits for.
fn note(waits: &mut Waits, waiter: WaiterInfo, what: What) {
    if let Some((task, poll)) = waiter.tag.parts() {
        let wait = Wait { what, poll };
        waits.entry(task).or_default().push((wait, waiter.waker));
    }
}

impl EventLoop {
    /// Returns what each task waits for at this moment. It is called on the thread of the loop.
    pub(crate) fn dump(&self) -> Dump {
        let now = self.shared.clock.now();
        let stamp = Stamp::new(self.shared.timers.nanos(now));
        let snapshots = self.executor.snapshot();
        let mut waits = Waits::new();
        for (waiter, text) in self.shared.sources.waiters() {
            note(&mut waits, waiter, What::Io(text));
        }
        for (waiter, text) in self.shared.sources.kept_waiters() {
            note(&mut waits, waiter, What::Kept(text));
        }
        for (waiter, deadline) in self.shared.timers.waiters() {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(now));
            note(&mut waits, waiter, What::Timer(left));
        }
        for (waiter, text) in self.shared.pool.jobs() {
            if let Some(waiter) = waiter {
                note(&mut waits, waiter, What::Job(text));
            }
        }
        // Which task each task stands under.
        let mut under = HashMap::new();
        for task in &snapshots {
            if let Some(waiter) = task.awaited_by {
                let id = task.id.0;
                let name = called(id, task.name.as_deref());
                note(&mut waits, waiter, What::Join { id, task: name });
                if let Some((joiner, _)) = waiter.tag.parts() {
                    under.insert(task.id.low(), (joiner, Under::Joined));
                }
            }
            if let Some(parent) = task.parent {
                under.insert(task.id.low(), (parent, Under::Scope));
            }
        }
        let parents: HashSet<u32> = snapshots.iter().filter_map(|task| task.parent).collect();
        let tasks = snapshots.into_iter().map(|task| {
            let id = task.id.low();
            let waits = waits.remove(&id).unwrap_or_default();
            (id, task_dump(task, stamp, waits, parents.contains(&id)))
        });
        Dump {
            answer: Answer::Tasks,
            tasks: tree(tasks.collect(), &under),
        }
    }
}

/// Makes the dump of one task.
fn task_dump(
    task: TaskSnapshot,
    now: Stamp,
    mut waits: Vec<(Wait, usize)>,
    has_children: bool,
) -> TaskDump {
    waits.sort_by_key(|(wait, _)| wait.poll);
    let is_over = |wait: &Wait| matches!(wait.what, What::Kept(_));
    // A task that was just woken may still come back.
    waits.retain(|(wait, _)| task.state == TaskState::Waiting || !is_over(wait));
    let mut open = waits.iter().filter(|(wait, _)| !is_over(wait));
    let current = open.any(|(wait, _)| wait.poll == task.polls);
    if task.state == TaskState::Waiting {
        let is_ours = |waker: usize| task.waker.is_some_and(|(address, _)| address == waker);
        let ours = waits.iter().filter(|(_, waker)| is_ours(*waker)).count();
        // What wrapped the waker for the others (a `JoinSet`, a combinator) holds the waker too.
        let wrapped = usize::from(ours < waits.len());
        let held = task
            .waker
            .map(|(_, others)| others.saturating_sub(ours + wrapped));
        let mut open = waits.iter().filter(|(wait, _)| !is_over(wait));
        let is_explained = current || open.any(|(_, waker)| !is_ours(*waker));
        let what = match held {
            _ if has_children && !current => Some(What::Children),
            // The children hold its waker.
            _ if has_children => None,
            // As far as can be seen, the task waits for nothing but what it has registered.
            None | Some(0) if is_explained => None,
            _ => Some(What::Outside(held)),
        };
        let poll = task.polls;
        waits.extend(what.map(|what| (Wait { what, poll }, 0)));
    }
    TaskDump {
        id: task.id.0,
        name: task.name,
        location: task.location,
        under: None,
        depth: 0,
        age: task.spawned.map(|spawned| spawned.until(now)),
        idle: task.polled.until(now),
        polls: task.polls,
        state: match task.state {
            TaskState::Running => "running",
            TaskState::Ready => "ready",
            TaskState::Waiting => "waiting",
            TaskState::Finished => "finished",
        },
        waits: waits.into_iter().map(|(wait, _)| wait).collect(),
    }
}

/// Puts each task after the one that it stands under. Tasks that stand under one another in a circle begin with
/// the lowest id.
fn tree(mut tasks: BTreeMap<u32, TaskDump>, under: &HashMap<u32, (u32, Under)>) -> Vec<TaskDump> {
    let mut below: HashMap<u32, Vec<u32>> = HashMap::new();
    let mut tops = Vec::new();
    for id in tasks.keys() {
        match under.get(id) {
            Some((parent, _)) if tasks.contains_key(parent) => {
                below.entry(*parent).or_default().push(*id);
            }
            _ => tops.push(*id),
        }
    }
    let mut tree = Vec::with_capacity(tasks.len());
    tops.reverse();
    loop {
        let mut open: Vec<(u32, usize)> = match tops.pop() {
            Some(top) => vec![(top, 0)],
            // Only circles are left.
            None => match tasks.keys().next() {
                Some(first) => vec![(*first, 0)],
                None => return tree,
            },
        };
        while let Some((id, depth)) = open.pop() {
            let Some(mut task) = tasks.remove(&id) else {
                continue;
            };
            task.depth = depth;
            task.under = under
                .get(&id)
                .map(|(parent, why)| (u64::from(*parent), *why));
            tree.push(task);
            let below = below.get(&id).into_iter().flatten().rev();
            open.extend(below.map(|id| (*id, depth + 1)));
        }
    }
}
