//! The [`Engines`](crate::traces::Engines) of a runtime: tells its [traces](crate::traces) which waits have not ended.

use super::Shared;
use crate::executor::current;
use crate::reactor::readiness::Direction;
use crate::slab::Key;
use crate::traces::{Engines, Slot};
use crate::waiter::WaiterInfo;

impl Engines for Shared {
    fn waiting(&self, slot: Slot, task: Option<u64>) -> Vec<u32> {
        let waiters: Vec<WaiterInfo> = match slot {
            Slot::Read(key) => self
                .sources
                .waiters_at(Key::from_number(key), Direction::Read),
            Slot::Write(key) => self
                .sources
                .waiters_at(Key::from_number(key), Direction::Write),
            Slot::Timer(key) => self
                .timers
                .waiter(Key::from_number(key))
                .into_iter()
                .collect(),
            Slot::Awaited(id) => match task {
                None => self.pool.waiters_for_stream(id),
                Some(key) => {
                    let key = Key::from_number(key);
                    let joiner = current::with(&self.inbox, |executor| executor.joiner(key));
                    joiner.flatten().into_iter().collect()
                }
            },
        };
        let tags = waiters.iter().filter_map(|waiter| waiter.tag.parts());
        tags.map(|(task, _poll)| task).collect()
    }
}
