//! [`advance`]: moving the clock by hand.

use crate::context;
use crate::event_loop::Shared;
use crate::executor::{Executor, current};
use crate::task::yield_now;
use std::sync::Arc;
use std::time::Duration;

/// How many times in a row the clock waits for deadlines that have passed already before it moves on. A
/// task that sleeps for no time, again and again, would hold it for ever.
const PATIENCE: u32 = 1000;

/// How many times a call yields at most while it waits for the woken tasks.
///
/// If each yield is a poll of its task, 65 are enough, because a seed lets a task pass over others 64 times
/// in a row. A combinator may poll the call several times in one poll of its task. An executor that
/// blocks within a poll never lets the other tasks run; this bound ends the wait there.
const MOST_YIELDS: u32 = 1000;

/// Moves a [virtual clock](crate::Builder::virtual_clock).
///
/// The duration counts from the call, as that of a [`sleep`](super::sleep) does. The clock stops at each
/// deadline on the way and wakes the tasks that wait for it. Before it moves on, every woken task of this
/// runtime is polled, so each task observes its own deadline, and all of them have been polled when this
/// returns, with a [seed](crate::Builder::seed) too. Unlike a sleep, this waits neither until nothing is
/// left to do nor for blocking jobs.
///
/// # Panics
///
/// Outside a runtime, in one whose clock is not virtual, and if the clock would move more than 200 years
/// past the moment at which its runtime was made. This function panics, not the future that it returns.
///
/// # Cancel safety
///
/// If the future is dropped before it is ready, the clock has moved a part of the way.
///
/// # Examples
///
/// ```
/// use glassfrog::time::{advance, now, sleep};
/// use std::time::Duration;
///
/// let runtime = glassfrog::Runtime::builder().virtual_clock().build()?;
/// runtime.block_on(async {
///     let before = now();
///     let nap = glassfrog::spawn(sleep(Duration::from_secs(60)));
///     glassfrog::task::yield_now().await;
///     advance(Duration::from_secs(59)).await;
///     assert!(!nap.is_finished());
///     advance(Duration::from_secs(1)).await;
///     assert!(nap.is_finished());
///     assert_eq!(now() - before, Duration::from_secs(60));
/// });
/// # std::io::Result::Ok(())
/// ```
#[track_caller]
pub fn advance(duration: Duration) -> impl Future<Output = ()> + Send + Sync + 'static {
    let shared = Arc::clone(&context::current().shared);
    assert!(
        shared.clock.is_virtual(),
        "only a virtual clock can be moved: make the runtime with `Builder::virtual_clock`"
    );
    let target = shared.clock.now().checked_add(duration);
    let Some(target) = target.filter(|target| shared.clock.can_show(*target)) else {
        panic!(
            "`advance({duration:?})` would move the virtual clock past its end, 200 years after its \
             runtime was made: move it less far, or make a new runtime"
        );
    };
    async move {
        let mut stuck = 0;
        let mut shown = shared.clock.now();
        loop {
            fire(&shared);
            let_others_run(&shared).await;
            let now = shared.clock.now();
            if now != shown {
                // Somebody else has moved it, and woken others.
                shown = now;
                continue;
            }
            if stuck == PATIENCE {
                // Those who come back again and again are passed over.
                fire(&shared);
            }
            let next = shared.timers.next();
            let next = match next.and_then(|next| shared.timers.instant(next)) {
                Some(next) if next <= now && stuck < PATIENCE => {
                    stuck += 1;
                    continue;
                }
                Some(next) if now < next && next < target => next,
                _ if now < target => target,
                _ => return,
            };
            stuck = 0;
            shown = next;
            shared.clock.advance_to(next);
        }
    }
}

/// Waits until all tasks that are ready now were polled.
async fn let_others_run(shared: &Shared) {
    // Without a seed they all stand before this task in the queue, and a yield is enough. On the thread
    // of another runtime nothing better is known.
    let queued = current::with(&shared.inbox, Executor::queued).flatten();
    let were_polled = |queued| {
        let were_polled = current::with(&shared.inbox, |executor| executor.has_taken(queued));
        were_polled.unwrap_or(true)
    };
    for _ in 0..MOST_YIELDS {
        yield_now().await;
        if queued.is_none_or(were_polled) {
            return;
        }
    }
}

/// Wakes those whose deadline has come.
fn fire(shared: &Shared) {
    let now = shared.clock.now();
    shared.timers.fire(shared.timers.nanos(now));
}
