//! The names of tasks. Most tasks have no name, so the names are in a table beside the slab.

use super::id::Id;
use super::{Executor, shrink};
use crate::slab::Key;

impl Executor {
    /// Stores the name of a task.
    #[cold]
    pub(super) fn store_name(&self, id: Id, name: Box<str>) {
        self.names.borrow_mut().insert(id.low(), name);
    }

    /// Removes the name of a task.
    #[cold]
    pub(super) fn remove_name(&self, key: Key) {
        let mut names = self.names.borrow_mut();
        names.remove(&key.generation());
        shrink(&mut names);
    }
}
