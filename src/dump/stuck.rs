//! [`Stuck`]: which tasks of a dump cannot go on, as far as the dump shows.
//!
//! A task goes on as soon as *one* of its waits ends, because it may be a `select`. A wait for a task, a lock, a permit or
//! a channel ends if the tasks that it is blocked by go on. Every other wait may end at any time. So the tasks that cannot
//! go on are the largest set in which each wait of each task is blocked by the set: [`greatest`] begins with all tasks
//! that wait, and removes those that may go on until nothing changes. Each wait is visited once for each of its blockers,
//! so the search takes time proportional to the size of the dump.
//!
//! There are two such sets. A task in the first one can *probably* not go on: a guard, a permit or the end of a channel
//! may have been moved, and a task may be aborted. A task in the second one *certainly* cannot, because it waits only for
//! tasks in this set, and nothing else may wake or end it.

use super::{TaskDump, TaskState, Wait, What};
use std::collections::HashMap;

/// What may wake or end a task besides the waits of its dump.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Loose {
    /// Whether something that the dump does not see may hold a waker of the task.
    pub(crate) is_unseen: bool,
    /// Whether the task waits for something beside its scopes, and may drop them when it goes on.
    pub(crate) may_drop_scopes: bool,
    /// Whether an `AbortHandle` of the task exists, or an abort is on its way.
    pub(crate) may_be_aborted: bool,
}

/// The tasks that cannot go on, by their indices in the dump.
pub(super) struct Stuck {
    /// Those that probably cannot go on.
    pub(super) probably: Vec<bool>,
    /// Those of them that certainly cannot.
    pub(super) certainly: Vec<bool>,
}

/// The conditions under which a task belongs to a set. The numbers are indices of tasks.
#[derive(Clone, Debug, Default)]
pub(super) struct Conditions {
    /// Whether the task is in the set at the beginning.
    pub(super) begins: bool,
    /// The tasks that have to be in the set.
    pub(super) with: Vec<usize>,
    /// For each wait of the task, the groups of tasks that block it. All tasks of at least one group have to be in the
    /// set.
    pub(super) waits: Vec<Vec<Vec<usize>>>,
}

/// Returns the greatest set in which every task meets its conditions.
pub(super) fn greatest(tasks: &[Conditions]) -> Vec<bool> {
    /// What the removal of a task causes.
    #[derive(Clone, Copy)]
    enum Effect {
        /// This task leaves the set.
        Leaves(usize),
        /// The group with this number does not block its wait any more.
        Breaks(usize),
    }
    let mut effects: Vec<Vec<Effect>> = vec![Vec::new(); tasks.len()];
    // The wait of each group, while the group blocks it.
    let mut groups: Vec<Option<usize>> = Vec::new();
    // The task of each wait, and the number of groups that block it.
    let mut waits: Vec<(usize, usize)> = Vec::new();
    let mut is_in: Vec<bool> = tasks.iter().map(|task| task.begins).collect();
    for (index, task) in tasks.iter().enumerate() {
        for other in &task.with {
            effects[*other].push(Effect::Leaves(index));
        }
        for blockers in &task.waits {
            if blockers.is_empty() {
                is_in[index] = false;
            }
            for group in blockers {
                for member in group {
                    effects[*member].push(Effect::Breaks(groups.len()));
                }
                groups.push(Some(waits.len()));
            }
            waits.push((index, blockers.len()));
        }
    }
    let outside = is_in.iter().enumerate().filter(|(_, is_in)| !**is_in);
    let mut leaving: Vec<usize> = outside.map(|(index, _)| index).collect();
    while let Some(task) = leaving.pop() {
        for effect in &effects[task] {
            let left = match *effect {
                Effect::Leaves(other) => Some(other),
                Effect::Breaks(group) => groups[group].take().and_then(|wait| {
                    let (task, blocking) = &mut waits[wait];
                    *blocking -= 1;
                    (*blocking == 0).then_some(*task)
                }),
            };
            if let Some(left) = left.filter(|left| is_in[*left]) {
                is_in[left] = false;
                leaving.push(left);
            }
        }
    }
    is_in
}

/// Returns whether a wait blocks its task. A label is a name for other waits, and a wait that is over only keeps a waker.
pub(super) fn is_open(wait: &Wait) -> bool {
    !matches!(wait.what, What::Label(_) | What::Kept(_))
}

/// Returns whether a task may have given its children what it has taken of a primitive of this kind.
fn is_given(kind: &str) -> bool {
    matches!(kind, "permit" | "lock" | "rwlock")
}

impl Stuck {
    /// Finds out which tasks of a dump cannot go on.
    pub(super) fn new(tasks: &[TaskDump]) -> Stuck {
        let indices = tasks.iter().enumerate();
        let indices: HashMap<u64, usize> = indices.map(|(index, task)| (task.id, index)).collect();
        let parents: Vec<Option<usize>> = tasks
            .iter()
            .map(|task| indices.get(&task.child_of()?).copied())
            .collect();
        // Each family is one more member of the set: it belongs to the set if all its tasks do.
        let families = families(&parents);
        let numbers: HashMap<usize, usize> = families
            .iter()
            .enumerate()
            .map(|(number, family)| (family[0], tasks.len() + number))
            .collect();
        let may_be_dropped = may_be_dropped(tasks, &parents);
        let known = |wait: &Wait| -> Vec<usize> {
            let blockers = wait.blocked_by.iter();
            blockers.filter_map(|id| indices.get(id).copied()).collect()
        };
        // A guard or a permit may have been given to a child of the task that has taken it.
        let with_children = |wait: &Wait, task: usize| match wait.what {
            What::Sync { kind, .. } if is_given(kind) => {
                numbers.get(&task).copied().unwrap_or(task)
            }
            _ => task,
        };
        let probably = tasks.iter().enumerate().map(|(index, task)| {
            let open = task.waits.iter().filter(|wait| is_open(wait));
            let waits = open.map(|wait| {
                let one = known(wait).into_iter();
                let one = one.map(|task| vec![with_children(wait, task)]);
                let several = wait.groups.iter().filter_map(|group| {
                    let tasks = group.iter();
                    let tasks = tasks.map(|id| Some(with_children(wait, *indices.get(id)?)));
                    tasks.collect::<Option<Vec<usize>>>()
                });
                // The task that made an unused receiver may still have it.
                let maker = wait.unused.and_then(|unused| indices.get(&unused.maker));
                let maker = maker.map(|maker| vec![*maker]);
                one.chain(several).chain(maker).collect()
            });
            let waits: Vec<_> = waits.collect();
            Conditions {
                begins: task.state == TaskState::Waiting
                    && !task.loose.is_unseen
                    && !may_be_dropped[index]
                    && !waits.is_empty(),
                with: Vec::new(),
                waits,
            }
        });
        let mut probably: Vec<Conditions> = probably.collect();
        probably.extend(families.into_iter().map(|family| Conditions {
            begins: true,
            with: family,
            waits: Vec::new(),
        }));
        let certainly = tasks.iter().enumerate().map(|(index, task)| {
            let open = || task.waits.iter().filter(|wait| is_open(wait));
            let is_closed = |wait: &Wait| {
                let (all, known) = (wait.blocked_by.len(), known(wait).len());
                matches!(wait.what, What::Join { .. } | What::Children) && all > 0 && known == all
            };
            Conditions {
                begins: probably[index].begins
                    && !task.loose.may_be_aborted
                    && task
                        .waits
                        .iter()
                        .all(|wait| !matches!(wait.what, What::Kept(_)))
                    && open().all(is_closed),
                // A parent that goes on or ends may drop its children.
                with: parents[index].into_iter().collect(),
                // A child that goes on may end its scope, by a panic.
                waits: open().map(|wait| vec![known(wait)]).collect(),
            }
        });
        let certainly: Vec<Conditions> = certainly.collect();
        let mut probably = greatest(&probably);
        probably.truncate(tasks.len());
        Stuck {
            certainly: greatest(&certainly),
            probably,
        }
    }
}

/// Returns each task that has children, followed by all its descendants.
fn families(parents: &[Option<usize>]) -> Vec<Vec<usize>> {
    let mut families: HashMap<usize, Vec<usize>> = HashMap::new();
    for (child, parent) in parents.iter().enumerate() {
        // A chain of parents has no circle, because a future does not contain itself.
        let ancestors = std::iter::successors(*parent, |parent| parents[*parent]);
        for ancestor in ancestors.take(parents.len()) {
            let family = families.entry(ancestor);
            family.or_insert_with(|| vec![ancestor]).push(child);
        }
    }
    families.into_values().collect()
}

/// Returns for each task whether a parent may drop it at any time.
fn may_be_dropped(tasks: &[TaskDump], parents: &[Option<usize>]) -> Vec<bool> {
    let drops = |parent: usize| {
        let parent = &tasks[parent];
        parent.loose.may_drop_scopes || parent.state != TaskState::Waiting
    };
    let is_dropped = |parent: &Option<usize>| {
        let ancestors = std::iter::successors(*parent, |parent| parents[*parent]);
        ancestors.take(parents.len()).any(drops)
    };
    parents.iter().map(is_dropped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dump::fold::tests::Dice;

    /// Removes tasks that do not meet their conditions until all do.
    fn naive(tasks: &[Conditions]) -> Vec<bool> {
        let mut is_in: Vec<bool> = tasks.iter().map(|task| task.begins).collect();
        loop {
            let stays = |task: &Conditions| {
                let blocks = |group: &Vec<usize>| group.iter().all(|member| is_in[*member]);
                task.with.iter().all(|other| is_in[*other])
                    && task.waits.iter().all(|groups| groups.iter().any(blocks))
            };
            let next: Vec<bool> = (0..tasks.len())
                .map(|index| is_in[index] && stays(&tasks[index]))
                .collect();
            if next == is_in {
                return is_in;
            }
            is_in = next;
        }
    }

    #[test]
    fn the_set_of_stuck_tasks_is_that_of_a_naive_search() {
        let mut dice = Dice(1);
        let (mut some, mut all) = (0, 0);
        for round in 0..20_000 {
            let count = 1 + dice.below(7);
            let tasks: Vec<Conditions> = (0..count)
                .map(|_| Conditions {
                    begins: dice.below(8) > 0,
                    with: (0..dice.below(5) / 4).map(|_| dice.below(count)).collect(),
                    waits: (0..dice.below(3))
                        .map(|_| {
                            let groups = (0..1 + dice.below(3) - dice.below(10) / 9).map(|_| {
                                let members = 0..1 + dice.below(2);
                                members.map(|_| dice.below(count)).collect()
                            });
                            groups.collect()
                        })
                        .collect(),
                })
                .collect();
            let stuck = greatest(&tasks);
            assert_eq!(stuck, naive(&tasks), "round {round}: {tasks:?}");
            some += usize::from(stuck.contains(&true) && stuck.contains(&false));
            all += usize::from(!stuck.contains(&false));
        }
        // The dice make all sorts of sets.
        assert!(some > 1000 && all > 100, "{some} {all}");
    }

    #[test]
    fn a_long_chain_of_waits_takes_linear_time() {
        const COUNT: usize = 100_000;
        let chain = |end: bool| -> Vec<Conditions> {
            let task = |index: usize| Conditions {
                begins: index + 1 < COUNT || end,
                with: Vec::new(),
                waits: vec![vec![vec![(index + 1) % COUNT]]],
            };
            (0..COUNT).map(task).collect()
        };
        assert!(greatest(&chain(true)).iter().all(|is_in| *is_in));
        assert!(!greatest(&chain(false)).contains(&true));
    }
}
