//! [`KeptWait`]: a declared wait that begins again and again, and costs a few stores each time.
//!
//! A [`Wait`](super::waits::Wait) enters the table of its runtime when it begins and leaves it when it ends. A task
//! that receives from a channel may wait for each value. So a receiver enters the table once, and then only records
//! which task waits. It leaves the table when it is dropped or moves to another runtime.

use super::actor::{self, actor};
use super::current;
use super::waits::{Declared, End, Kept, Subject, Waits};
use crate::clock::Stamp;
use crate::primitives::{AtomicU32, AtomicU64, AtomicUsize, Ordering, lock};
use crate::slab::Key;
use crate::timeline::recorder::Recorder;
use crate::traces::Trace;
use crate::waiter::{Tag, WaiterInfo};
use std::fmt;
use std::panic::Location;
use std::ptr;
use std::sync::{Arc, Weak};
use std::task::Waker;

/// The task that waits. Written by the owner of the wait, and read by dumps.
///
/// All accesses are Relaxed: a dump during a write may combine the old waker with the new tag, and the next dump is
/// right again.
#[derive(Debug)]
struct State {
    /// The tag of the task, or `Tag::NONE`.
    tag: AtomicU64,
    /// The waker that the task left.
    waker: AtomicUsize,
    /// The stamp of the turn in which the present wait began.
    since: AtomicU32,
}

impl Kept for State {
    fn waiter(&self) -> Option<WaiterInfo> {
        let tag = Tag::from_number(self.tag.load(Ordering::Relaxed));
        tag.parts()?;
        Some(WaiterInfo {
            tag,
            waker: self.waker.load(Ordering::Relaxed),
        })
    }

    fn since(&self) -> Stamp {
        Stamp::from_number(self.since.load(Ordering::Relaxed))
    }
}

/// A wait that begins again and again. Dropping it removes it from the table of its runtime.
#[derive(Default)]
pub(crate) struct KeptWait {
    /// The entry in the table of a runtime, from the first wait on.
    entry: Option<Entry>,
    /// Whether a task waits.
    is_declared: bool,
    /// Whether a wait was given up. From then on, waits that complete are counted.
    is_counted: bool,
}

/// The entry of a wait in the table of a runtime.
struct Entry {
    /// The task that waits.
    state: Arc<State>,
    /// The number of the runtime.
    runtime: u32,
    /// Where the wait begins.
    location: &'static Location<'static>,
    /// The table.
    waits: Weak<Waits>,
    /// The key in the table.
    key: Key,
    /// Whether the runtime traces waits. Each wait then has an entry of its own, so that its trace, which takes some
    /// kilobytes, is freed when it ends.
    is_traced: bool,
    /// Records the timeline, if the runtime has one.
    recorder: Option<Arc<Recorder>>,
}

impl KeptWait {
    /// Declares that the task that is being polled waits, or that it still waits. Does nothing outside the tasks of a
    /// runtime.
    pub(crate) fn declare(
        &mut self,
        waker: &Waker,
        location: &'static Location<'static>,
        subject: impl FnOnce() -> Subject,
    ) {
        let (tag, turn) = actor();
        let runtime = (turn >> 32) as u32;
        match &self.entry {
            Some(entry)
                if entry.runtime == runtime
                    && ptr::eq(entry.location, location)
                    && tag != Tag::NONE =>
            {
                let address = waker.data() as usize;
                entry.state.waker.store(address, Ordering::Relaxed);
                if !self.is_declared {
                    actor::note_wait();
                    entry.state.since.store(turn as u32, Ordering::Relaxed);
                }
                entry.state.tag.store(tag.number(), Ordering::Relaxed);
                self.is_declared = true;
                if let Some(recorder) = &entry.recorder {
                    let waiter = WaiterInfo {
                        tag,
                        waker: address,
                    };
                    Waits::record(recorder, waiter, &subject());
                }
            }
            _ => self.enter(waker, location, subject()),
        }
    }

    /// Enters the table of the current runtime.
    #[cold]
    fn enter(&mut self, waker: &Waker, location: &'static Location<'static>, subject: Subject) {
        self.leave();
        let Some((waits, tag, since)) = current::polled() else {
            return;
        };
        actor::note_wait();
        let (_, turn) = actor();
        let waker = waker.data() as usize;
        if let Some(recorder) = &waits.recorder {
            Waits::record(recorder, WaiterInfo { tag, waker }, &subject);
        }
        let state = Arc::new(State {
            tag: AtomicU64::new(tag.number()),
            waker: AtomicUsize::new(waker),
            since: AtomicU32::new(since.number()),
        });
        let kept = Arc::clone(&state) as Arc<dyn Kept>;
        let key = waits.keep(WaiterInfo { tag, waker }, location, subject, kept);
        self.entry = Some(Entry {
            state,
            runtime: (turn >> 32) as u32,
            location,
            is_traced: waits.traces.is_some(),
            recorder: waits.recorder.clone(),
            waits: Arc::downgrade(&waits),
            key,
        });
        self.is_declared = true;
    }

    /// Withdraws the wait, because its future is dropped. Does nothing if none is declared.
    #[inline]
    pub(crate) fn give_up(&mut self) {
        if self.is_declared {
            self.note_given_up();
            self.end();
        }
    }

    /// Counts a wait whose future is dropped.
    #[cold]
    #[inline(never)]
    fn note_given_up(&mut self) {
        self.is_counted = true;
        self.note(|waits| End::GivenUp(current::task_in(waits)));
    }

    /// Withdraws the wait, because it has completed. Does nothing if none is declared.
    #[inline]
    pub(crate) fn withdraw(&mut self) {
        if self.is_declared {
            if self.is_counted {
                self.note(|_| End::Completed);
            }
            self.end();
        }
    }

    /// Counts a wait that has ended.
    #[cold]
    fn note(&self, end: impl FnOnce(&Waits) -> End) {
        if let Some(entry) = &self.entry
            && let Some(waits) = entry.waits.upgrade()
        {
            waits.note(entry, end(&waits));
        }
    }

    /// Withdraws the wait, if one is declared.
    #[inline]
    fn end(&mut self) {
        if self.is_declared {
            self.is_declared = false;
            match &self.entry {
                Some(entry) if !entry.is_traced => {
                    entry.state.tag.store(Tag::NONE.number(), Ordering::Relaxed);
                }
                _ => self.leave(),
            }
        }
    }

    /// Leaves the table.
    #[cold]
    fn leave(&mut self) {
        self.is_declared = false;
        if let Some(entry) = self.entry.take()
            && let Some(waits) = entry.waits.upgrade()
        {
            waits.forget(entry.key);
        }
    }
}

impl Waits {
    /// Adds a wait that begins again and again.
    fn keep(
        &self,
        waiter: WaiterInfo,
        location: &'static Location<'static>,
        subject: Subject,
        kept: Arc<dyn Kept>,
    ) -> Key {
        let trace = self.traces.as_ref().map(|_traces| Trace::capture());
        let mut table = lock(&self.table);
        table.last += 1;
        let number = table.last;
        let wait = Declared {
            waiter,
            subject,
            location: Some(location),
            depth: 0,
            number,
            since: Stamp::default(),
            trace,
        };
        table.kept.insert((wait, kept))
    }

    /// Counts such a wait that has ended.
    fn note(&self, entry: &Entry, end: End) {
        let Some(waiter) = entry.state.waiter() else {
            return;
        };
        let table = &mut *lock(&self.table);
        if let Some((wait, _)) = table.kept.get_mut(entry.key) {
            // A dump replaces it too.
            wait.waiter = waiter;
            table.abandoned.note(wait, end);
        }
    }

    /// Removes such a wait.
    fn forget(&self, key: Key) {
        let mut table = lock(&self.table);
        let removed = table.kept.remove(key);
        table.kept.shrink();
        drop(table);
        drop(removed);
    }
}

impl Drop for KeptWait {
    fn drop(&mut self) {
        self.leave();
    }
}

impl fmt::Debug for KeptWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeptWait")
            .field("is_declared", &self.is_declared)
            .finish_non_exhaustive()
    }
}
