//! [`advance`]: moves a virtual clock.

use crate::context;
use crate::event_loop::Shared;
use crate::executor::{Executor, current};
use crate::task::yield_now;
use std::time::Duration;

/// The number of consecutive rounds in which the clock waits for deadlines that have already passed before it
/// moves on. Without a limit, a task that repeatedly sleeps for a duration of zero would stop the clock forever.
const MAX_ROUNDS_AT_ONE_TIME: u32 = 1000;

/// The maximum number of times a call yields while it waits for the tasks that it has woken.
///
/// If each yield is one poll of the calling task, 65 are enough, because with a seed a task is passed over at
/// most 64 times in a row. A combinator may poll the call several times in one poll of its task. An executor
/// that blocks within a poll never lets the other tasks run; there, this limit ends the wait.
const MAX_YIELDS: u32 = 1000;

/// Advances a [virtual clock](crate::Builder::virtual_clock).
///
/// The duration counts from this call, as in [`sleep`](super::sleep). The clock stops at each deadline on the
/// way and wakes the tasks that wait for it. Before it moves on, every task of this runtime that has been woken
/// is polled, so each task observes the time of its own deadline. When the future completes, all of these tasks
/// have been polled, even with a [seed](crate::Builder::seed). Unlike a sleep, it does not wait for blocking jobs,
/// or until no task is ready.
///
/// # Panics
///
/// Panics outside a runtime, if the clock of the runtime is not virtual, and if the clock would move more than
/// 200 years past the creation of the runtime. The function itself panics, not the future that it returns.
///
/// # Cancel safety
///
/// If the future is dropped before it is ready, the clock may have moved part of the way.
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
    let shared = context::shared();
    assert!(
        shared.clock.is_virtual() && !shared.clock.is_simulated(),
        "only a virtual clock can be advanced: build the runtime with `Builder::virtual_clock`; on a simulated host, \
         sleep instead"
    );
    let target = shared.clock.now().checked_add(duration);
    let Some(target) = target.filter(|target| shared.clock.can_show(*target)) else {
        panic!(
            "`advance({duration:?})` would move the virtual clock past its end, 200 years after the \
             creation of its runtime: advance it by less, or build a new runtime"
        );
    };
    async move {
        let mut rounds = 0;
        let mut shown = shared.clock.now();
        loop {
            fire(&shared);
            yield_to_ready_tasks(&shared).await;
            let now = shared.clock.now();
            if now != shown {
                // Another call has moved the clock and woken tasks.
                shown = now;
                continue;
            }
            if rounds == MAX_ROUNDS_AT_ONE_TIME {
                // Deadlines that keep passing no longer hold the clock.
                fire(&shared);
            }
            let next = shared.timers.next();
            let next = match next.and_then(|next| shared.timers.instant(next)) {
                Some(next) if next <= now && rounds < MAX_ROUNDS_AT_ONE_TIME => {
                    rounds += 1;
                    continue;
                }
                Some(next) if now < next && next < target => next,
                _ if now < target => target,
                _ => return,
            };
            rounds = 0;
            shown = next;
            shared.clock.advance_to(next);
        }
    }
}

/// Yields until all tasks that are ready now have been polled.
async fn yield_to_ready_tasks(shared: &Shared) {
    // Without a seed, they precede this task in the queue, and one yield is enough. Another thread cannot read
    // the queue, so one yield has to be enough there.
    let queued = current::with(&shared.inbox, Executor::queued).flatten();
    let were_polled = |queued| {
        let were_polled = current::with(&shared.inbox, |executor| executor.has_taken(queued));
        were_polled.unwrap_or(true)
    };
    for _ in 0..MAX_YIELDS {
        yield_now().await;
        if queued.is_none_or(were_polled) {
            return;
        }
    }
}

/// Wakes the tasks whose deadlines have passed.
fn fire(shared: &Shared) {
    let now = shared.clock.now();
    shared.fire_timers(shared.timers.nanos(now));
}
