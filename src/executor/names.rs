//! The names of tasks. Most tasks have no name, so the names are in a table beside the slab.

use super::id::Id;
use super::{Executor, shrink};
use crate::primitives::{Mutex, lock};
use crate::slab::Key;
use std::collections::HashMap;
use std::mem;

/// The names of the tasks of one runtime, by the low halves of their ids.
///
/// A lock protects the table, because the dumps of other runtimes name these tasks too. Only the loop changes it.
#[derive(Debug, Default)]
pub(crate) struct Names(Mutex<HashMap<u32, Box<str>>>);

impl Names {
    /// Returns the name of a task, if it has one.
    pub(crate) fn get(&self, task: u32) -> Option<Box<str>> {
        lock(&self.0).get(&task).cloned()
    }

    /// Removes all names.
    pub(super) fn clear(&self) {
        drop(mem::take(&mut *lock(&self.0)));
    }
}

impl Executor {
    /// Stores the name of a task.
    #[cold]
    pub(super) fn store_name(&self, id: Id, name: Box<str>) {
        lock(&self.status.names.0).insert(id.low(), name);
    }

    /// Returns the name of a task, if it has one.
    pub(super) fn name_of(&self, task: u32) -> Option<Box<str>> {
        self.status.names.get(task)
    }

    /// Removes the name of a task.
    #[cold]
    pub(super) fn remove_name(&self, key: Key) {
        let mut names = lock(&self.status.names.0);
        names.remove(&key.generation());
        shrink(&mut names);
    }
}
