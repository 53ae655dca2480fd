//! [`needed`]: the holders of permits without which a request cannot go on.

use crate::executor::primitive::Blockers;
use crate::executor::waits::Declared;
use crate::sync::seen::Taken;

/// What one task has taken.
struct Share {
    /// The task, by the low half of its id.
    task: u32,
    /// The number of its permits.
    permits: usize,
    /// Whether it has taken permits more than once.
    is_repeated: bool,
    /// Whether one of its permits is an owned one.
    is_owned: bool,
}

impl Share {
    /// Returns whether the task probably gives permits to other tasks.
    ///
    /// A program often takes a permit in one task and gives it to another, which does the work: a server, for example,
    /// that limits its connections. Such a task takes permits again and again, and waits for the next. Its permits are
    /// owned ones, unless the semaphore is a static variable. A task that has taken borrowed permits and waits for
    /// something else usually keeps them.
    fn gives(&self, waiter: Option<u32>) -> bool {
        match Some(self.task) == waiter {
            true => self.is_owned || self.is_repeated,
            false => self.is_owned && self.is_repeated,
        }
    }
}

/// Returns the tasks of a runtime that a wait certainly needs: without the permits of each of them, or of a group of them,
/// there are too few. `taken` are the known holders, each with the number of its permits.
///
/// The permits of a task that probably gives them to others may come back at any time, so it is not needed.
pub(super) fn needed(
    wait: &Declared,
    wanted: usize,
    runtime: u32,
    total: usize,
    taken: impl Iterator<Item = (Taken, usize)>,
) -> Blockers {
    let waiter = wait.task();
    let mut shares: Vec<Share> = Vec::new();
    for (taken, permits) in taken {
        let Some(task) = taken.who.task_of(runtime) else {
            continue;
        };
        match shares.iter_mut().find(|share| share.task == task) {
            Some(share) => {
                share.permits += permits;
                share.is_repeated = true;
                share.is_owned |= taken.is_owned;
            }
            None => shares.push(Share {
                task,
                permits,
                is_repeated: false,
                is_owned: taken.is_owned,
            }),
        }
    }
    // A task that waits does not release its own permits.
    let own = shares.iter().find(|share| Some(share.task) == waiter);
    if own.is_some_and(|own| own.gives(waiter)) {
        return Blockers::default();
    }
    let foreign = total.saturating_sub(own.map_or(0, |own| own.permits));
    if foreign < wanted {
        return waiter.into_iter().collect();
    }
    shares.retain(|share| Some(share.task) != waiter && !share.gives(waiter));
    let mut blockers = Blockers::default();
    for group in groups(&shares, foreign, wanted) {
        match group[..] {
            [one] => blockers.each.push(one),
            _ => blockers.groups.push(group),
        }
    }
    blockers
}

/// Returns the smallest groups of tasks without whose permits there are fewer than `wanted`, of `foreign` ones.
///
/// It tries all groups: there are as few shares as a semaphore has marks.
fn groups(shares: &[Share], foreign: usize, wanted: usize) -> Vec<Vec<u32>> {
    let members = |group: usize| {
        let shares = shares.iter().enumerate();
        shares.filter(move |(index, _)| group & 1 << index != 0)
    };
    let suffices = |group: usize| {
        let permits: usize = members(group).map(|(_, share)| share.permits).sum();
        foreign.saturating_sub(permits) < wanted
    };
    let is_smallest =
        |group: &usize| !members(*group).any(|(index, _)| suffices(*group & !(1 << index)));
    let all = 1..1_usize << shares.len();
    let groups = all.filter(|group| suffices(*group)).filter(is_smallest);
    let tasks = |group| members(group).map(|(_, share)| share.task).collect();
    groups.map(tasks).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_groups_are_the_smallest_that_keep_too_many_permits() {
        let share = |(task, permits): (u32, usize)| Share {
            task,
            permits,
            is_repeated: false,
            is_owned: false,
        };
        let of = |shares: &[(u32, usize)], foreign, wanted| {
            let shares: Vec<Share> = shares.iter().copied().map(share).collect();
            groups(&shares, foreign, wanted)
        };
        // All of the permits are taken, and each holder may give back the one that is wanted.
        assert_eq!(of(&[(1, 1), (2, 1)], 2, 1), [[1, 2]]);
        // One more holder is not known.
        assert!(of(&[(1, 1), (2, 1)], 3, 1).is_empty());
        // Both are needed.
        assert_eq!(of(&[(1, 1), (2, 1)], 2, 2), [[1], [2]]);
        // Without the first, or without both others.
        assert_eq!(of(&[(1, 3), (2, 2), (3, 1)], 6, 4), [vec![1], vec![2, 3]]);
    }
}
