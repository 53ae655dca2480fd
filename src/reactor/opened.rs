//! [`Opened`]: which tasks have opened the newest sockets, so that a dump shows a storm of connections.
//!
//! The reactor notes each registration under the lock that it holds anyway.

use crate::waiter::Tag;

/// The number of registrations that are remembered, which takes 4 KiB. If more are made in a second, a dump scales these
/// up.
const REMEMBERED: usize = 1024;

/// The task of a registration that no task of the runtime has made. No task has this id, as in [`Tag`].
const NO_TASK: u32 = u32::MAX;

/// The newest registrations of a reactor.
#[derive(Clone, Debug, Default)]
pub(crate) struct Opened {
    /// The number of all registrations.
    pub(crate) count: u64,
    /// The low halves of the ids of the tasks that made the newest registrations. Once it is full, it is a ring.
    newest: Vec<u32>,
}

impl Opened {
    /// Notes a registration.
    pub(super) fn note(&mut self, opener: Tag) {
        let (task, _) = opener.parts().unwrap_or((NO_TASK, 0));
        match self.newest.len() < REMEMBERED {
            true => self.newest.push(task),
            false => self.newest[self.count as usize % REMEMBERED] = task,
        }
        self.count += 1;
    }

    /// Returns the task of each registration since there were `count`, as far as they are remembered.
    pub(crate) fn since(&self, count: u64) -> impl ExactSizeIterator<Item = u32> {
        let newest = self.newest.len();
        let wanted = usize::try_from(self.count.saturating_sub(count)).unwrap_or(usize::MAX);
        let last = self.count as usize;
        (0..wanted.min(newest)).map(move |back| self.newest[(last - 1 - back) % REMEMBERED])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_registrations_are_remembered() {
        let mut opened = Opened::default();
        let mut all = Vec::new();
        for task in 0..3000 {
            let since = |count: usize| opened.since(count as u64).collect::<Vec<_>>();
            for count in [0, all.len() / 2, all.len().saturating_sub(1), all.len()] {
                let wanted = all[count..].iter().rev().take(REMEMBERED);
                assert_eq!(since(count), wanted.copied().collect::<Vec<u32>>());
            }
            opened.note(Tag::new(task, 1));
            all.push(task as u32);
        }
    }
}
