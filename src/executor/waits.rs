//! [`Waits`]: the waits that tasks declare themselves.
//!
//! The reactor, the timers and the pool keep the wakers of the tasks that wait for them, so a dump can ask them.
//! Futures declare other waits here: waits for a primitive of `sync`, and waits that the program names with
//! [`waiting_for`](crate::task::waiting_for). A future declares its wait when a poll returns `Pending`, and withdraws
//! it when it is ready or dropped. A future that is ready at once declares nothing.

use super::abandoned::Abandoned;
use super::actor;
use super::current;
use super::primitive::Primitive;
use crate::clock::Stamp;
use crate::primitives::{Mutex, lock};
use crate::slab::{Key, Slab};
use crate::timeline::recorder::Recorder;
use crate::traces::{Trace, Traces};
use crate::waiter::{Tries, WaiterInfo};
use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::mem;
use std::panic::Location;
use std::sync::Arc;
use std::task::Waker;

/// The declared waits of the tasks of one runtime.
#[derive(Default)]
pub(crate) struct Waits {
    /// The waits. A lock protects them, because any thread may drop a future.
    pub(super) table: Mutex<Table>,
    /// The traces of the waits that are not declared, if the runtime traces waits. Declared waits hold their own.
    pub(crate) traces: Option<Arc<Traces>>,
    /// Records the timeline, if the runtime has one.
    pub(crate) recorder: Option<Arc<Recorder>>,
    /// Whether waits are traced or recorded.
    pub(crate) is_noted: bool,
}

/// The waits, and the number of the newest one.
pub(super) struct Table {
    /// The waits that have not ended.
    declared: Slab<Declared>,
    /// The waits that begin again and again, including those that do not wait now.
    pub(super) kept: Slab<(Declared, Arc<dyn Kept>)>,
    /// How often waits were dropped before they completed.
    pub(super) abandoned: Abandoned,
    /// The number of waits that were ever declared.
    pub(super) last: u64,
}

impl Default for Table {
    fn default() -> Table {
        Table {
            declared: Slab::new(),
            kept: Slab::new(),
            abandoned: Abandoned::default(),
            last: 0,
        }
    }
}

/// A wait that a task has declared.
#[derive(Clone)]
pub(crate) struct Declared {
    /// The task and the poll in which the wait was pending last, and the waker that the task left. The waker of a label
    /// is 0, because a label keeps none.
    pub(crate) waiter: WaiterInfo,
    /// What the task waits for.
    pub(crate) subject: Subject,
    /// Where the program began the wait, if that is known.
    pub(crate) location: Option<&'static Location<'static>>,
    /// For a label, the number of labels around it.
    pub(crate) depth: u16,
    /// The position of this wait among all that were declared. Of the waits for one lock, the one with the smallest
    /// position has waited longest.
    pub(crate) number: u64,
    /// In which turn the wait was declared first. Later polls that are pending leave it.
    pub(crate) since: Stamp,
    /// Where the program waits, if the runtime traces waits.
    pub(crate) trace: Option<Trace>,
}

impl Declared {
    /// Returns the task that waits, by the low half of its id.
    pub(crate) fn task(&self) -> Option<u32> {
        self.waiter.tag.parts().map(|(task, _)| task)
    }
}

/// The subject of a declared wait.
#[cfg_attr(not(any(feature = "sync", feature = "hyper-serve")), expect(dead_code))]
#[derive(Clone)]
pub(crate) enum Subject {
    /// A label of the program.
    Label(Cow<'static, str>),
    /// A lock, a channel or another primitive of `sync`. The number is the kind of the wait, such as a read or a write,
    /// which the primitive defines.
    Primitive(Arc<dyn Primitive>, u32),
}

/// A wait that begins again and again.
pub(crate) trait Kept: Send + Sync {
    /// Returns the task that waits, if there is one.
    fn waiter(&self) -> Option<WaiterInfo>;

    /// Returns the turn in which the present wait began.
    fn since(&self) -> Stamp;
}

impl Waits {
    /// Creates an empty table for a runtime that keeps these traces and has this recorder.
    pub(crate) fn new(traces: Option<Arc<Traces>>, recorder: Option<Arc<Recorder>>) -> Waits {
        Waits {
            is_noted: traces.is_some() || recorder.is_some(),
            traces,
            recorder,
            ..Waits::default()
        }
    }

    /// Notes that a task still waits. If the future has moved to another task, its trace is captured again.
    fn renew(&self, key: Key, waiter: WaiterInfo) {
        let task = |waiter: WaiterInfo| waiter.tag.parts().map(|(task, _)| task);
        let mut table = lock(&self.table);
        let Some(wait) = table.declared.get_mut(key) else {
            return;
        };
        let has_moved = task(wait.waiter) != task(waiter);
        // Another wait of the task may have ended, and this one may be the last.
        actor::note_wait();
        wait.waiter = waiter;
        drop(table);
        if has_moved && self.traces.is_some() {
            // Not under the lock: it takes microseconds.
            let trace = Some(Trace::capture());
            let mut table = lock(&self.table);
            let wait = table.declared.get_mut(key);
            let before = wait.and_then(|wait| mem::replace(&mut wait.trace, trace));
            drop(table);
            drop(before);
        }
    }

    /// Returns all waits, in the order in which they began.
    pub(crate) fn declared(&self) -> Vec<Declared> {
        let table = lock(&self.table);
        let waits = table.declared.iter().map(|(_, wait)| wait.clone());
        let kept = table.kept.iter().filter_map(|(_, (wait, kept))| {
            let waiter = kept.waiter()?;
            Some(Declared {
                waiter,
                since: kept.since(),
                ..wait.clone()
            })
        });
        let mut waits: Vec<Declared> = waits.chain(kept).collect();
        drop(table);
        waits.sort_by_key(|wait| wait.number);
        waits
    }

    /// Returns how often the task of this wait has given up and completed such waits.
    pub(crate) fn tries(&self, wait: &Declared) -> Tries {
        lock(&self.table).abandoned.of(wait)
    }
}

/// Why a wait is no longer declared.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    /// It has completed.
    Completed,
    /// The future was dropped, in a poll of this task. Nothing is known of a future that something else drops, such as
    /// the end of its task.
    GivenUp(Option<u32>),
    /// The future was polled elsewhere.
    Moved,
}

thread_local! {
    /// The number of labelled futures whose polls contain the current one.
    static DEPTH: Cell<u16> = const { Cell::new(0) };
}

/// Polls the future inside a label. Also returns the number of labels around this one.
pub(crate) fn nested<R>(poll: impl FnOnce() -> R) -> (u16, R) {
    /// Restores the depth, even if a panic unwinds.
    struct Restore(u16);
    impl Drop for Restore {
        fn drop(&mut self) {
            DEPTH.set(self.0);
        }
    }
    let depth = DEPTH.get();
    DEPTH.set(depth.saturating_add(1));
    let _restore = Restore(depth);
    (depth, poll())
}

/// The declared wait of one future. Dropping it withdraws the wait.
#[derive(Default)]
pub(crate) struct Wait {
    /// The table and the key of the wait, while the future waits.
    entry: Option<(Arc<Waits>, Key)>,
}

impl Wait {
    /// Declares that the task that is being polled waits, or that it still waits. Does nothing outside the tasks of a
    /// runtime.
    pub(crate) fn declare(
        &mut self,
        waker: Option<&Waker>,
        location: impl Into<Option<&'static Location<'static>>>,
        depth: u16,
        subject: impl FnOnce() -> Subject,
    ) {
        let Some((waits, tag, since)) = current::polled() else {
            return self.remove(End::Moved);
        };
        let waiter = WaiterInfo {
            tag,
            waker: waker.map_or(0, |waker| waker.data() as usize),
        };
        if let Some((table, key)) = &self.entry
            && Arc::ptr_eq(table, &waits)
        {
            if let Some(recorder) = &waits.recorder {
                Waits::record(recorder, waiter, &subject());
            }
            table.renew(*key, waiter);
            return;
        }
        self.remove(End::Moved);
        actor::note_wait();
        let subject = subject();
        if let Some(recorder) = &waits.recorder {
            Waits::record(recorder, waiter, &subject);
        }
        let trace = waits.traces.as_ref().map(|_traces| Trace::capture());
        let mut table = lock(&waits.table);
        table.last += 1;
        let number = table.last;
        let key = table.declared.insert(Declared {
            waiter,
            subject,
            location: location.into(),
            depth,
            number,
            since,
            trace,
        });
        drop(table);
        self.entry = Some((waits, key));
    }

    /// Withdraws the wait, because it has completed. Does nothing if none is declared.
    #[inline]
    pub(crate) fn withdraw(&mut self) {
        if self.entry.is_some() {
            self.remove_completed();
        }
    }

    /// Withdraws the wait, because its future is dropped. Does nothing if none is declared.
    #[inline]
    pub(crate) fn give_up(&mut self) {
        if self.entry.is_some() {
            self.remove_given_up();
        }
    }

    /// Removes the wait of a future that is dropped.
    #[cold]
    #[inline(never)]
    fn remove_given_up(&mut self) {
        if let Some((waits, _)) = &self.entry {
            let by = current::task_in(waits);
            self.remove(End::GivenUp(by));
        }
    }

    /// Removes the wait of a future that has completed.
    #[cold]
    #[inline(never)]
    fn remove_completed(&mut self) {
        self.remove(End::Completed);
    }

    /// Removes the wait from the table, if one is declared.
    fn remove(&mut self, end: End) {
        if let Some((waits, key)) = self.entry.take() {
            // Another wait of the task may be left.
            actor::note_wait();
            let mut table = lock(&waits.table);
            let removed = table.declared.remove(key);
            table.declared.shrink();
            if let Some(wait) = &removed {
                table.abandoned.note(wait, end);
            }
            drop(table);
            drop(removed);
        }
    }
}

impl Drop for Wait {
    #[inline]
    fn drop(&mut self) {
        self.give_up();
    }
}

impl fmt::Debug for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wait")
            .field("is_declared", &self.entry.is_some())
            .finish_non_exhaustive()
    }
}
