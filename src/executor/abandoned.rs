//! [`Abandoned`]: how often the tasks of a runtime have declared a wait for a primitive and dropped it before it completed.
//!
//! The table of [declared waits](super::waits) has these counts, and dumps show them. A wait that completes at once is not
//! declared, and is not counted either. Labels are not counted, because a label contains waits of its own.
//!
//! The counts of waits that no longer occur must not stay forever, but nothing reports the end of a task or a primitive
//! to this table. So the table has two generations: when the young one is full, it becomes the old one, and the former
//! old one is dropped. A count that is used moves to the young one. Both together have at most `2 * GENERATION` counts,
//! and a count is lost only if `GENERATION` others are used between two uses of it.

use super::primitive::Primitive;
use super::waits::{Declared, End, Subject};
use crate::waiter::Tries;
use std::collections::HashMap;
use std::mem;
use std::panic::Location;
use std::ptr;
use std::sync::{Arc, Weak};

/// The number of counts in a generation: as many as a busy server has connections, at some 100 bytes each.
const GENERATION: usize = 1024;

/// What is counted together: the low half of the id of the task, the addresses of the primitive and of the place, and
/// what is wanted of the primitive.
type Which = (u32, usize, usize, u32);

/// The counts of one runtime.
#[derive(Default)]
pub(super) struct Abandoned {
    /// The counts that were used since the last change of generations.
    young: Counts,
    /// The counts that were used in the generation before.
    old: Counts,
}

/// The counts of a generation. The references keep the addresses of primitives from being used again.
type Counts = HashMap<Which, (Weak<dyn Primitive>, Tries)>;

/// Returns what a wait is counted with, and its primitive; `None` for a label.
fn which(wait: &Declared) -> Option<(Which, &Arc<dyn Primitive>)> {
    let Subject::Primitive(primitive, wanted) = &wait.subject else {
        return None;
    };
    let (task, _) = wait.waiter.tag.parts()?;
    let place = |place: &'static Location<'static>| ptr::from_ref(place).addr();
    let place = wait.location.map_or(0, place);
    let which = (task, Arc::as_ptr(primitive).addr(), place, *wanted);
    primitive.is_retried().then_some((which, primitive))
}

impl Abandoned {
    /// Counts a wait that has ended.
    pub(super) fn note(&mut self, wait: &Declared, end: End) {
        match end {
            End::Completed => self.complete(wait),
            End::GivenUp(Some(by)) => {
                let task = wait.waiter.tag.parts();
                if task.is_some_and(|(task, _)| task == by) {
                    self.give_up(wait);
                }
            }
            End::GivenUp(None) | End::Moved => {}
        }
    }

    /// Counts a wait that its task has dropped before it completed.
    fn give_up(&mut self, wait: &Declared) {
        let Some((which, primitive)) = which(wait) else {
            return;
        };
        match self.find(&which) {
            Some(tries) => tries.give_up(),
            None => {
                let mut tries = Tries::default();
                tries.give_up();
                self.insert(which, Arc::downgrade(primitive), tries);
            }
        }
    }

    /// Counts a wait that has completed, if its task has given up such waits before.
    fn complete(&mut self, wait: &Declared) {
        if self.is_empty() {
            return;
        }
        if let Some((which, _)) = which(wait)
            && let Some(tries) = self.find(&which)
        {
            tries.complete();
        }
    }

    /// Returns the counts of a wait.
    pub(super) fn of(&self, wait: &Declared) -> Tries {
        if self.is_empty() {
            return Tries::default();
        }
        let found = which(wait).and_then(|(which, _)| {
            let young = self.young.get(&which);
            young.or_else(|| self.old.get(&which))
        });
        found.map(|(_, tries)| *tries).unwrap_or_default()
    }

    /// Returns whether nothing was counted.
    fn is_empty(&self) -> bool {
        self.young.is_empty() && self.old.is_empty()
    }

    /// Finds the counts of a wait, and moves them to the young generation.
    fn find(&mut self, which: &Which) -> Option<&mut Tries> {
        if !self.young.contains_key(which) {
            let (primitive, tries) = self.old.remove(which)?;
            self.insert(*which, primitive, tries);
        }
        self.young.get_mut(which).map(|(_, tries)| tries)
    }

    /// Adds counts to the young generation. If it is full, it becomes the old one.
    fn insert(&mut self, which: Which, primitive: Weak<dyn Primitive>, tries: Tries) {
        if self.young.len() == GENERATION {
            // No value of the program is dropped here: a reference that is weak keeps only memory.
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(which, (primitive, tries));
    }
}
