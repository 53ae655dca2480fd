//! [`Primitive`]: what the executor knows about a lock or a channel of `sync`: how to describe a wait for it.

use super::snapshot::TaskSnapshot;
use super::waits::{Declared, Subject};
use crate::clock::Stamp;
use crate::dump::Quoted;
use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::Arc;

/// A lock, a channel or another primitive that tasks wait for.
///
/// An implementation owns no value of the program, because a dump may be its last owner and would then drop the value.
pub(crate) trait Primitive: Send + Sync {
    /// Returns the tasks of this runtime that keep the wait from its end. Returns none if others may end the wait, or if
    /// these tasks are not known.
    ///
    /// A guard, a permit or the end of a channel may lie elsewhere than with the task that has taken or used it. So a
    /// primitive returns a task only if that is unusual. `waits` are all declared waits of the runtime.
    fn blocked_by(&self, _wait: &Declared, _runtime: u32, _waits: &Lines<'_>) -> Blockers {
        Blockers::default()
    }

    /// Describes a wait for this.
    fn describe(&self, wait: &Declared, view: &View<'_>) -> Description;

    /// Returns how many clones of the waker a pending wait for this keeps.
    fn wakers(&self) -> usize {
        1
    }

    /// Returns whether a dump shows how often a task has dropped a wait for this before it completed. It does not for a
    /// primitive that is made to be waited for beside something else, or that completes at most one wait.
    fn is_retried(&self) -> bool {
        true
    }
}

/// The tasks that keep a wait from its end, by the low halves of their ids.
#[derive(Debug, Default)]
pub(crate) struct Blockers {
    /// The tasks that must act before the wait ends: without each of them, it lasts.
    pub(crate) each: Vec<u32>,
    /// Groups of two tasks or more. The wait lasts as long as no task of one of the groups acts.
    pub(crate) groups: Vec<Vec<u32>>,
    /// The task that made the end of a channel that somebody must use before the wait ends, if nobody has used it yet,
    /// and when it did.
    pub(crate) maker: Option<(u32, Stamp)>,
}

impl Blockers {
    /// Returns all of these tasks, some of them more than once.
    pub(crate) fn all(&self) -> impl Iterator<Item = u32> + '_ {
        let several = self.groups.iter().flatten();
        let maker = self.maker.iter().map(|(maker, _)| maker);
        self.each.iter().chain(several).chain(maker).copied()
    }
}

impl FromIterator<u32> for Blockers {
    /// Collects tasks each of which must act.
    fn from_iter<I: IntoIterator<Item = u32>>(tasks: I) -> Blockers {
        Blockers {
            each: tasks.into_iter().collect(),
            ..Blockers::default()
        }
    }
}

/// The description of a wait for a primitive.
#[derive(Default)]
pub(crate) struct Description {
    /// The kind of the wait in a word: "lock", "permit", "recv".
    pub(crate) kind: &'static str,
    /// The name of the primitive. Waits for the same one have the same subject.
    pub(crate) subject: String,
    /// The state, which follows the subject, with the punctuation between them: the tasks that have taken the
    /// primitive, where and when.
    pub(crate) state: String,
    /// The task of this runtime that the state names last, by the low half of its id: the dump appends what this task
    /// waits for.
    pub(crate) other_end: Option<u32>,
    /// Where the primitive was made, unless the subject says so: `channel made at src/main.rs:9`.
    pub(crate) origin: Option<String>,
}

/// The state of a runtime from which a primitive describes a wait.
pub(crate) struct View<'a> {
    /// The number of the runtime whose dump is taken.
    pub(crate) runtime: u32,
    /// When the dump is taken.
    pub(crate) now: Stamp,
    /// The task that waits, by the low half of its id; `None` if none does.
    pub(crate) waiting: Option<u32>,
    /// The tasks of the runtime, by the low halves of their ids.
    pub(crate) tasks: HashMap<u32, &'a TaskSnapshot>,
    /// All declared waits of the runtime.
    pub(crate) waits: Lines<'a>,
    /// Names another runtime, and returns the stamp of its present time. Returns `None` if it has ended.
    pub(crate) other: fn(u32) -> Option<(String, Stamp)>,
    /// Returns the name of a task of another runtime, by the low half of its id.
    pub(crate) other_task: fn(u32, u32) -> Option<Box<str>>,
}

/// The declared waits of a runtime, by what they are for.
#[derive(Default)]
pub(crate) struct Lines<'a> {
    /// The waits, in the order in which they began.
    waits: &'a [Declared],
    /// The same waits, by what they are for. Made at the first question: each description of a wait may ask.
    lines: OnceCell<ByPrimitive<'a>>,
}

/// Waits by the address of their primitive and what is wanted of it; under `None`, whatever is wanted.
type ByPrimitive<'a> = HashMap<(usize, Option<u32>), Vec<&'a Declared>>;

impl<'a> Lines<'a> {
    /// Creates the lines of these waits, which are in the order in which they began.
    pub(crate) fn new(waits: &'a [Declared]) -> Lines<'a> {
        Lines {
            waits,
            lines: OnceCell::new(),
        }
    }

    /// Returns the waits for the same primitive as `wait`, in the order in which they began; only those for `wanted`, if
    /// that is given.
    #[cfg_attr(not(feature = "sync"), expect(dead_code, reason = "for `sync`"))]
    pub(crate) fn of(&self, wait: &Declared, wanted: Option<u32>) -> &[&'a Declared] {
        let Subject::Primitive(primitive, _) = &wait.subject else {
            return &[];
        };
        let address = |primitive: &Arc<dyn Primitive>| Arc::as_ptr(primitive).addr();
        let lines = self.lines.get_or_init(|| {
            let mut lines = ByPrimitive::new();
            for wait in self.waits {
                if let Subject::Primitive(primitive, wanted) = &wait.subject {
                    for wanted in [None, Some(*wanted)] {
                        let line = lines.entry((address(primitive), wanted));
                        line.or_default().push(wait);
                    }
                }
            }
            lines
        });
        let line = lines.get(&(address(primitive), wanted));
        line.map_or(&[], Vec::as_slice)
    }
}

impl View<'_> {
    /// Names a task of the runtime.
    pub(crate) fn task(&self, task: u32) -> String {
        let snapshot = self.tasks.get(&task);
        match (task, snapshot.and_then(|task| task.name.as_ref())) {
            (0, _) if snapshot.is_some() => String::from("main"),
            (0, _) => String::from("main (which has ended)"),
            (_, Some(name)) => format!("task {task} {}", Quoted(name)),
            (_, None) if snapshot.is_some() => format!("task {task}"),
            (_, None) => format!("task {task} (which has ended)"),
        }
    }
}
