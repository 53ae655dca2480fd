//! [`Traces`]: where in the program the tasks began their waits.
//!
//! A runtime that traces waits keeps a stack trace of each. It captures the trace when a task leaves a waker where it
//! has left none yet, and after it has released every lock. Polls that leave the waker again capture nothing. Printing
//! a dump resolves the traces, and `traces/chain.rs` extracts the frames of the program.
//!
//! The traces are kept beside the waiters and not inside them, so that a runtime without traces pays one comparison for
//! each wait. The engines do not report the end of a wait. Instead, a *sweep* asks them which of the waits in the table
//! have not ended, and drops the traces of the others. A new wait causes a sweep if the table has doubled since the
//! last one, so each wait pays for a constant number of questions, and the table holds at most twice as many traces as
//! there were waits at the last sweep. After a burst, a wait also causes a sweep if enough time has passed since the
//! last one.
//!
//! The waits that tasks declare in `executor/waits.rs` hold their traces themselves.

mod chain;

use crate::clock::Stopwatch;
use crate::primitives::{Mutex, lock};
use std::backtrace::Backtrace;
use std::collections::{HashMap, HashSet};
use std::env;
use std::fmt;
use std::panic::Location;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

/// The number of traces below which no sweep runs.
const FEWEST_SWEPT: usize = 64;

/// The time after which a sweep runs even if the table has not doubled: long enough that sweeps are rare, and short
/// enough that the memory of a burst is soon released.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

/// The minimum pause after a sweep, as a multiple of the time of that sweep, unless the table doubles. Such sweeps take
/// at most a hundredth of the time.
const PAUSE_FACTOR: u32 = 100;

/// The stack of a thread at the moment when a task began to wait, unresolved.
#[derive(Clone)]
pub(crate) struct Trace {
    /// The stack.
    stack: Arc<Backtrace>,
    /// A place in the program, from which the chain derives how the dump displays paths.
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
    /// The queue of the readers of the source with this key.
    Read(u64),
    /// The queue of the writers of the source with this key.
    Write(u64),
    /// The timer with this key.
    Timer(u64),
    /// The handle of the task or job with this id, or the standard stream with this number.
    Awaited(u64),
}

/// How a sweep finds out whether a wait has ended.
#[derive(Clone)]
pub(crate) enum Ask {
    /// It asks the engines about the slot.
    Engines,
    /// It asks the executor about the local task with this key.
    Task(u64),
    /// It calls this closure, which returns the task that awaits a job, or a task that was spawned through a handle.
    Awaited(Arc<dyn Fn() -> Option<u32> + Send + Sync>),
}

/// The engines of a runtime, which know the tasks that wait.
pub(crate) trait Engines: Send + Sync {
    /// Returns the tasks that have left a waker in a slot. `task` is the key of the local task, if the slot is its
    /// handle.
    fn waiting(&self, slot: Slot, task: Option<u64>) -> Vec<u32>;
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
    /// The trace of each wait, by the low half of the task's id and the slot.
    traces: HashMap<(u32, Slot), (Trace, Ask)>,
    /// The number of traces at which the table is swept.
    full: usize,
    /// The time since the last sweep.
    swept: Stopwatch,
    /// The time after the last sweep until the next one, if the table does not double.
    pause: Duration,
}

impl Traces {
    /// Creates an empty table.
    pub(crate) fn new() -> Traces {
        Traces {
            table: Mutex::new(Table {
                traces: HashMap::new(),
                full: FEWEST_SWEPT,
                swept: Stopwatch::start(),
                pause: SHORTEST_PAUSE,
            }),
            engines: OnceLock::new(),
        }
    }

    /// Sets the engines that a sweep asks.
    pub(crate) fn set_engines(&self, engines: Weak<dyn Engines>) {
        // Succeeds, because nothing else sets them.
        let _first = self.engines.set(engines);
    }

    /// Captures the trace of a wait that a task has just begun. The trace replaces that of an earlier wait of the task
    /// in the same slot. The caller holds no lock and no borrow.
    #[cold]
    pub(crate) fn note(&self, task: u32, slot: Slot, ask: Ask) {
        self.insert(task, slot, ask, Trace::capture());
    }

    /// Adds a trace, and sweeps the table if a sweep is due.
    fn insert(&self, task: u32, slot: Slot, ask: Ask, trace: Trace) {
        let mut table = lock(&self.table);
        let former = table.traces.insert((task, slot), (trace, ask));
        let len = table.traces.len();
        let is_due =
            len >= table.full || (len > FEWEST_SWEPT && table.swept.elapsed() >= table.pause);
        drop(table);
        drop(former);
        if is_due && let Some(engines) = self.engines.get().and_then(Weak::upgrade) {
            self.sweep(&*engines);
        }
    }

    /// Drops the traces of the waits that have ended.
    fn sweep(&self, engines: &dyn Engines) {
        let begun = Stopwatch::start();
        let table = lock(&self.table);
        let entries = table.traces.iter();
        // Asks about each slot once, however many tasks wait there.
        let slots = entries.map(|((_, slot), (_, ask))| (*slot, ask.clone()));
        let slots: HashMap<Slot, Ask> = slots.collect();
        drop(table);
        let mut waiting = HashSet::new();
        for (slot, ask) in slots {
            let tasks = match ask {
                Ask::Engines => engines.waiting(slot, None),
                Ask::Task(key) => engines.waiting(slot, Some(key)),
                Ask::Awaited(by) => by().into_iter().collect(),
            };
            waiting.extend(tasks.into_iter().map(|task| (task, slot)));
        }
        let mut table = lock(&self.table);
        let ended: Vec<_> = table
            .traces
            .extract_if(|wait, _| !waiting.contains(wait))
            .collect();
        table.full = FEWEST_SWEPT.max(2 * table.traces.len());
        let full = table.full;
        table.traces.shrink_to(full);
        drop(table);
        drop(ended);
        let mut table = lock(&self.table);
        table.pause = SHORTEST_PAUSE.max(begun.elapsed().saturating_mul(PAUSE_FACTOR));
        table.swept = Stopwatch::start();
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

    /// The number of tasks that wait.
    const WAITING: u32 = 500;

    /// Engines in which only the newest tasks wait.
    #[derive(Default)]
    struct Newest {
        /// The number that the next task will have.
        next: AtomicU32,
        /// The number of questions of the sweeps.
        asked: AtomicUsize,
    }

    impl Engines for Newest {
        fn waiting(&self, slot: Slot, task: Option<u64>) -> Vec<u32> {
            assert_eq!(task, None);
            self.asked.fetch_add(1, Ordering::Relaxed);
            let next = self.next.load(Ordering::Relaxed);
            let waiting = next.saturating_sub(WAITING)..next;
            match slot {
                Slot::Timer(key) if waiting.contains(&(key as u32)) => vec![key as u32],
                Slot::Timer(_) => Vec::new(),
                _ => waiting.collect(),
            }
        }
    }

    /// Creates a table for these engines.
    fn table(engines: &Arc<Newest>) -> Traces {
        let traces = Traces::new();
        let engines = Arc::downgrade(engines);
        traces.set_engines(engines);
        traces
    }

    #[test]
    fn a_table_never_outgrows_the_waits() {
        const WAITS: u32 = 1_000_000;
        let engines = Arc::new(Newest::default());
        let (traces, trace) = (table(&engines), Trace::capture());
        for task in 0..WAITS {
            let slot = match task % 2 {
                0 => Slot::Timer(task.into()),
                _ => Slot::Read(1),
            };
            engines.next.store(task + 1, Ordering::Relaxed);
            traces.insert(task, slot, Ask::Engines, trace.clone());
            assert!(lock(&traces.table).traces.len() <= 2 * WAITING as usize);
            assert!(traces.get(task, slot).is_some());
        }
        // Each wait pays for a constant number of questions.
        assert!(engines.asked.load(Ordering::Relaxed) < 4 * WAITS as usize);

        // After the end of all waits, the next sweep leaves nothing.
        engines.next.store(0, Ordering::Relaxed);
        traces.sweep(&*engines);
        let table = lock(&traces.table);
        assert_eq!(table.traces.len(), 0);
        assert!(table.traces.capacity() < 4 * FEWEST_SWEPT);
    }

    #[test]
    fn a_wait_in_the_same_slot_replaces_the_trace() {
        let engines = Arc::default();
        let traces = table(&engines);
        traces.note(1, Slot::Read(1), Ask::Engines);
        let first = traces.get(1, Slot::Read(1)).expect("it was noted");
        traces.note(1, Slot::Write(1), Ask::Engines);
        traces.note(2, Slot::Read(1), Ask::Engines);
        let same = traces.get(1, Slot::Read(1)).expect("it was noted");
        assert!(Arc::ptr_eq(&first.stack, &same.stack));
        traces.note(1, Slot::Read(1), Ask::Engines);
        let second = traces.get(1, Slot::Read(1)).expect("it was noted");
        assert!(!Arc::ptr_eq(&first.stack, &second.stack));
        traces.clear();
        assert!(traces.get(1, Slot::Read(1)).is_none());
    }
}
