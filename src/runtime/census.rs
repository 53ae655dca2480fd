//! The census: asks the engines who waits for what, and puts the answers together to a [`Dump`].

use super::Core;
use crate::clock::Stamp;
use crate::dump::{Answer, Dump, TaskDump, Under, Wait, What, called};
use crate::executor::look::{State, TaskLook};
use crate::waiter::Seen;
use std::collections::{BTreeMap, HashMap, HashSet};

/// What is waited for, by the numbers of the tasks that wait, with the wakers that they left.
type Waits = HashMap<u32, Vec<(Wait, usize)>>;

/// Notes that whoever left this waiter waits for something.
fn note(waits: &mut Waits, seen: Seen, what: What) {
    if let Some((task, poll)) = seen.tag.who() {
        let wait = Wait { what, poll };
        waits.entry(task).or_default().push((wait, seen.waker));
    }
}

/// The number by which waiters name a task.
fn low(id: u64) -> u32 {
    id as u32
}

impl Core {
    /// Who waits for what, at this moment. It is called on the thread of the loop, and polls nobody.
    pub(crate) fn dump(&self) -> Dump {
        let now = self.shared.clock.now();
        let stamp = Stamp::new(self.shared.timers.nanos(now));
        let looks = self.executor.look();
        let mut waits = Waits::new();
        for (seen, text) in self.shared.sources.look() {
            note(&mut waits, seen, What::Io(text));
        }
        for (seen, text) in self.shared.sources.look_at_kept() {
            note(&mut waits, seen, What::Kept(text));
        }
        for (seen, deadline) in self.shared.timers.look() {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(now));
            note(&mut waits, seen, What::Timer(left));
        }
        for (seen, text) in self.shared.pool.look() {
            if let Some(seen) = seen {
                note(&mut waits, seen, What::Job(text));
            }
        }
        // Under whom each task stands.
        let mut under = HashMap::new();
        for look in &looks {
            if let Some(seen) = look.awaited_by {
                let id = look.id.0;
                let task = called(id, look.name.as_deref());
                note(&mut waits, seen, What::Join { id, task });
                if let Some((joiner, _)) = seen.tag.who() {
                    under.insert(low(look.id.0), (joiner, Under::Joined));
                }
            }
            if let Some(parent) = look.parent {
                under.insert(low(look.id.0), (parent, Under::Scope));
            }
        }
        let parents: HashSet<u32> = looks.iter().filter_map(|look| look.parent).collect();
        let tasks = looks.into_iter().map(|look| {
            let id = low(look.id.0);
            let waits = waits.remove(&id).unwrap_or_default();
            (id, task(look, stamp, waits, parents.contains(&id)))
        });
        Dump {
            answer: Answer::Tasks,
            tasks: as_a_tree(tasks.collect(), &under),
        }
    }
}

/// One task, with what it waits for.
fn task(look: TaskLook, now: Stamp, mut waits: Vec<(Wait, usize)>, has_children: bool) -> TaskDump {
    waits.sort_by_key(|(wait, _)| wait.poll);
    let is_over = |wait: &Wait| matches!(wait.what, What::Kept(_));
    // A task that has just been woken may still come back.
    waits.retain(|(wait, _)| look.state == State::Waiting || !is_over(wait));
    let mut open = waits.iter().filter(|(wait, _)| !is_over(wait));
    let current = open.any(|(wait, _)| wait.poll == look.polls);
    if look.state == State::Waiting {
        let is_ours = |waker: usize| look.waker.is_some_and(|(address, _)| address == waker);
        let ours = waits.iter().filter(|(_, waker)| is_ours(*waker)).count();
        // Whoever wrapped the waker for the others (a set of tasks, a combinator) holds it too.
        let wrapped = usize::from(ours < waits.len());
        let held = look
            .waker
            .map(|(_, others)| others.saturating_sub(ours + wrapped));
        let mut open = waits.iter().filter(|(wait, _)| !is_over(wait));
        let is_explained = current || open.any(|(_, waker)| !is_ours(*waker));
        let what = match held {
            _ if has_children && !current => Some(What::Children),
            // They hold its waker.
            _ if has_children => None,
            // What it has left with us is all that it waits for, as far as can be seen.
            None | Some(0) if is_explained => None,
            _ => Some(What::Outside(held)),
        };
        let poll = look.polls;
        waits.extend(what.map(|what| (Wait { what, poll }, 0)));
    }
    TaskDump {
        id: look.id.0,
        name: look.name,
        location: look.location,
        under: None,
        depth: 0,
        age: look.spawned.map(|spawned| spawned.until(now)),
        idle: look.polled.until(now),
        polls: look.polls,
        state: match look.state {
            State::Running => "running",
            State::Ready => "ready",
            State::Waiting => "waiting",
            State::Finished => "finished",
        },
        waits: waits.into_iter().map(|(wait, _)| wait).collect(),
    }
}

/// Puts each task after the one that it stands under. Those that stand under one another in a circle
/// begin with the lowest number.
fn as_a_tree(
    mut tasks: BTreeMap<u32, TaskDump>,
    under: &HashMap<u32, (u32, Under)>,
) -> Vec<TaskDump> {
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
