//! Running a future on a thread that is not the runtime's: [`Handle::block_on`](super::Handle::block_on).
//!
//! The thread polls the future and parks between the polls. The loop serves the sockets and sleeps of the future
//! on its own thread, and its wakers unpark this one.

use crate::context;
use crate::event_loop::Shared;
use crate::foreign::swallow_panics;
use futures_task::{ArcWake, waker_ref};
use std::panic::Location;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// How long a thread waits before it checks whether any thread runs the loop. A program may do other work between two
/// calls of `Runtime::block_on`, and a report of that would be noise.
const PATIENCE: Duration = Duration::from_secs(1);

/// Runs a future to completion on this thread, as a guest of a runtime. `location` is that of the
/// caller.
///
/// # Panics
///
/// Panics if this is the thread of the runtime, if this thread runs the loop of another one, or if the future panics.
#[track_caller]
pub(super) fn block_on<F: Future>(
    shared: &Arc<Shared>,
    future: F,
    location: &'static Location<'static>,
) -> F::Output {
    assert!(
        shared.owner != thread::current().id(),
        "`Handle::block_on` on the runtime's own thread would wait for a loop that only this thread can run: use \
         `Runtime::block_on`, or inside the runtime `.await` or `spawn` the future"
    );
    let _context = context::enter_to_wait(shared);
    // Pinned after the context is entered, so that it is dropped inside the context.
    let mut future = pin!(future);
    let parker = Arc::new(Parker::new());
    let waker = waker_ref(&parker);
    let mut cx = Context::from_waker(&waker);
    let mut is_reported = false;
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
        wait(shared, &parker, location, &mut is_reported);
    }
}

/// Waits until the future is woken. If that takes long and no thread runs the loop, reports it once.
///
/// A loop may rest between two turns of a foreign loop. This function then nudges it, and expects a turn before the
/// next check. While the loop runs, the checks come less and less often, since it may stop later.
fn wait(shared: &Shared, parker: &Parker, location: &Location<'_>, is_reported: &mut bool) {
    let first = shared.test_patience.unwrap_or(PATIENCE);
    let mut patience = first;
    let mut before = call_resting_loop(shared);
    while !*is_reported {
        if parker.park(Some(patience)) {
            return;
        }
        let now = call_resting_loop(shared);
        patience = match (before, now) {
            (Some(turns), Some(same)) if turns == same => {
                *is_reported = true;
                report(patience, location);
                break;
            }
            // The loop has stopped running, perhaps only a moment ago.
            (None, Some(_)) => first,
            _ => patience.saturating_mul(2),
        };
        before = now;
    }
    parker.park(None);
}

/// Reports that a future waits for a loop that no thread runs.
fn report(patience: Duration, location: &Location<'_>) {
    swallow_panics(|| {
        log::warn!(
            target: "glassfrog::task",
            "the future of `Handle::block_on` ({location}) has waited for {patience:?}, and no thread runs the loop of \
             its runtime: its sockets and sleeps make no progress until the runtime's own thread calls \
             `Runtime::block_on` or `Runtime::turn`"
        );
    });
}

/// Nudges the loop if no thread runs it, and returns the number of turns that it has made. Returns `None` if the loop
/// runs or has ended.
fn call_resting_loop(shared: &Shared) -> Option<u64> {
    if shared.status.is_running() || shared.inbox.is_closed() {
        return None;
    }
    let turns = shared.status.turns.get();
    shared.inbox.nudge();
    Some(turns)
}

/// Parks a thread until it is woken.
struct Parker {
    /// The thread that parks.
    thread: Thread,
    /// Set by a wake on any thread, and cleared by the parked thread. The token of `std::thread::park` alone is not
    /// enough, because the future may park too.
    woken: AtomicBool,
}

impl Parker {
    /// Creates the parker of this thread.
    fn new() -> Parker {
        Parker {
            thread: thread::current(),
            woken: AtomicBool::new(false),
        }
    }

    /// Parks until a wake, for at most `timeout`. Returns whether there was a wake.
    fn park(&self, timeout: Option<Duration>) -> bool {
        let begun = Instant::now();
        // Acquire: pairs with the Release of the wake, so that the next poll sees what came before it.
        while !self.woken.swap(false, Ordering::Acquire) {
            match timeout.map(|timeout| timeout.saturating_sub(begun.elapsed())) {
                None => thread::park(),
                Some(Duration::ZERO) => return false,
                Some(left) => thread::park_timeout(left),
            }
        }
        true
    }
}

impl ArcWake for Parker {
    fn wake_by_ref(this: &Arc<Self>) {
        // Only the first wake finds a thread that may be parked.
        if !this.woken.swap(true, Ordering::Release) {
            this.thread.unpark();
        }
    }
}
