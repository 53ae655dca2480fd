//! [`Traces`]: where in the program the tasks have begun their waits.
//!
//! A runtime that traces waits keeps a stack trace of each. The trace is captured when a task leaves a waker where it
//! has left none yet, and after every lock has been released. Polls that leave the waker again capture nothing. A
//! trace stays unresolved until a dump is printed, and `traces/chain.rs` then extracts the frames of the program.
//!
//! The traces are kept beside the waiters and not inside them, so that a runtime without traces pays one comparison
//! for each wait. The engines do not report the end of a wait. Instead, whenever the table has doubled, a *sweep* asks
//! them which of its waits have not ended, and drops the traces of the others. So each new wait pays for a constant
//! number of questions, and the table holds at most twice as many traces as there were waits at the last sweep.
//!
//! The waits that tasks declare in `executor/waits.rs` hold their traces themselves.

mod chain;

use crate::primitives::{Mutex, lock};
use std::backtrace::Backtrace;
use std::collections::{HashMap, HashSet};
use std::env;
use std::fmt;
use std::panic::Location;
use std::sync::{Arc, OnceLock, Weak};

/// The number of traces below which the table is never swept.
const FEWEST_SWEPT: usize = 64;

/// The stack of a thread at the moment when a task began to wait, unresolved.
#[derive(Clone)]
pub(crate) struct Trace {
    /// The stack.
    stack: Arc<Backtrace>,
    /// A place in the program, which says how its paths are displayed elsewhere in a dump.
    program: Option<&'static Location<'static>>,
}

impl Trace {
    /// Captures the stack of this thread. The caller holds no lock.
    #[cold]
    #[inline(never)]
    pub(crate) fn capture() -> Trace {
        Trace {
            stack: Arc::new(Backtrace::force_capture()),
            program: None,
        }
    }

    /// Adds a place in the program. The paths in the chain are then relative to the same directory.
    pub(crate) fn in_program(self, program: Option<&'static Location<'static>>) -> Trace {
        Trace { program, ..self }
    }

    /// Resolves the trace, and returns the chain of the program's async functions, the innermost first. Returns `None`
    /// if none of them is in the trace.
    ///
    /// The first resolution in a process reads its debug information, which takes some 100 ms.
    pub(crate) fn chain(&self) -> Option<String> {
        let text = self.stack.to_string();
        let directory = env::current_dir().unwrap_or_default();
        let program = self.program.map_or("", Location::file);
        let chain = chain::chain(&text, &directory.to_string_lossy(), program);
        (!chain.is_empty()).then_some(chain)
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Trace").field(&self.chain()).finish()
    }
}

/// The place in an engine where a task leaves its waker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Slot {
    /// The queue of those that wait to read from the source with this key.
    Read(u64),
    /// The queue of those that wait to write to the source with this key.
    Write(u64),
    /// The timer with this key.
    Timer(u64),
    /// The handle of the task or job with this id, or the standard stream with this number.
    Awaited(u64),
}

/// The engines of a runtime, as the traces see them.
pub(crate) trait Engines: Send + Sync {
    /// Returns the tasks that have left a waker in a slot, or `None` if that cannot be found out at the moment. `hint`
    /// is what [`Traces::note`] was given with the slot.
    fn waiting(&self, slot: Slot, hint: u64) -> Option<Vec<u32>>;
}

/// The traces of one runtime.
pub(crate) struct Traces {
    /// The traces by their waits. Tasks and dumps use the table on the thread of the loop.
    table: Mutex<Table>,
    /// The engines of the runtime, once they exist.
    engines: OnceLock<Weak<dyn Engines>>,
}

/// The table of the traces.
struct Table {
    /// The trace of each wait, by the low half of the task's id and the slot; and the hint for the engine.
    traces: HashMap<(u32, Slot), (Trace, u64)>,
    /// The number of traces at which the table is swept.
    full: usize,
}

impl Traces {
    /// Creates an empty table.
    pub(crate) fn new() -> Traces {
        Traces {
            table: Mutex::new(Table {
                traces: HashMap::new(),
                full: FEWEST_SWEPT,
            }),
            engines: OnceLock::new(),
        }
    }

    /// Sets the engines that a sweep asks.
    pub(crate) fn set_engines(&self, engines: Weak<dyn Engines>) {
        // Nothing else sets them, so this succeeds.
        let _first = self.engines.set(engines);
    }

    /// Captures the trace of a wait that a task has just begun. It replaces the trace of an earlier wait of the task in
    /// the same slot. The caller holds no lock and no borrow.
    #[cold]
    pub(crate) fn note(&self, task: u32, slot: Slot, hint: u64) {
        let trace = Trace::capture();
        let mut table = lock(&self.table);
        let former = table.traces.insert((task, slot), (trace, hint));
        let is_full = table.traces.len() >= table.full;
        drop(table);
        drop(former);
        if is_full && let Some(engines) = self.engines.get().and_then(Weak::upgrade) {
            self.sweep(&*engines);
        }
    }

    /// Drops the traces of the waits that have ended.
    fn sweep(&self, engines: &dyn Engines) {
        let table = lock(&self.table);
        let entries = table.traces.iter();
        let slots: HashMap<Slot, u64> = entries
            .map(|((_, slot), (_, hint))| (*slot, *hint))
            .collect();
        drop(table);
        // Each slot is asked once, however many tasks wait there.
        let mut waiting = HashSet::new();
        let mut unknown = HashSet::new();
        for (slot, hint) in slots {
            match engines.waiting(slot, hint) {
                Some(tasks) => waiting.extend(tasks.into_iter().map(|task| (task, slot))),
                None => drop(unknown.insert(slot)),
            }
        }
        let mut table = lock(&self.table);
        let ended: Vec<_> = table
            .traces
            .extract_if(|wait, _| !waiting.contains(wait) && !unknown.contains(&wait.1))
            .collect();
        table.full = FEWEST_SWEPT.max(2 * table.traces.len());
        let full = table.full;
        table.traces.shrink_to(full);
        drop(table);
        drop(ended);
    }

    /// Returns the trace of a wait.
    pub(crate) fn get(&self, task: u32, slot: Slot) -> Option<Trace> {
        let table = lock(&self.table);
        table
            .traces
            .get(&(task, slot))
            .map(|(trace, _)| trace.clone())
    }

    /// Drops all traces, because the runtime has ended.
    pub(crate) fn clear(&self) {
        let traces = std::mem::take(&mut lock(&self.table).traces);
        drop(traces);
    }
}
