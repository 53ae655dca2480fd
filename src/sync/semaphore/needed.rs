//! [`needed`]: the holders of permits without which a request cannot go on.

use crate::executor::waits::Declared;
use crate::sync::seen::Taken;

/// What one task has taken.
struct Share {
    /// The task, by the low half of its id.
    task: u32,
    /// The number of its permits.
    permits: usize,
    /// Whether it probably gives permits to other tasks.
    gives: bool,
}

/// Returns the tasks of a runtime that a wait certainly needs: without the permits of each of them, there are too few.
/// `taken` are the known holders, each with the number of its permits.
///
/// A program often takes a permit in one task and gives it to another, which does the work: a server, for example, that
/// limits its connections. Such a task takes owned permits, or several. Its permits may come back at any time, so it is
/// not needed.
pub(super) fn needed(
    wait: &Declared,
    wanted: usize,
    runtime: u32,
    total: usize,
    taken: impl Iterator<Item = (Taken, usize)>,
) -> Vec<u32> {
    let waiter = wait.task();
    let mut shares: Vec<Share> = Vec::new();
    for (taken, permits) in taken {
        let Some(task) = taken.who.task_of(runtime) else {
            continue;
        };
        let gives = taken.is_owned && Some(task) == waiter;
        match shares.iter_mut().find(|share| share.task == task) {
            Some(share) => share.gives = true,
            None => shares.push(Share {
                task,
                permits,
                gives,
            }),
        }
    }
    // A task that waits does not release its own permits.
    let own = shares.iter().find(|share| Some(share.task) == waiter);
    if own.is_some_and(|own| own.gives) {
        return Vec::new();
    }
    let foreign = total.saturating_sub(own.map_or(0, |own| own.permits));
    if foreign < wanted {
        return waiter.into_iter().collect();
    }
    let is_needed = |share: &&Share| {
        Some(share.task) != waiter && !share.gives && foreign.saturating_sub(share.permits) < wanted
    };
    let needed = shares.iter().filter(is_needed);
    needed.map(|share| share.task).collect()
}
