//! [`advance`]: moving the clock by hand.

use super::sleep::far_enough;
use crate::context;
use crate::runtime::Shared;
use crate::task::yield_now;
use std::sync::Arc;
use std::time::Duration;

/// How many times in a row it is accepted that deadlines come which have passed already, before the
/// clock moves on. A task that sleeps for no time, again and again, would hold it for ever.
const PATIENCE: u32 = 1000;

/// Moves a [virtual clock](crate::Builder::virtual_clock).
///
/// The distance counts from the call, as that of a [`sleep`](super::sleep) does. The clock stops at each deadline on the way, fires
/// it, and lets those tasks of this runtime whom that woke run, so that they see the time for which they
/// waited. They have run once when this returns. Unlike a sleep it does not wait until nobody has
/// anything to do, nor for blocking jobs.
///
/// # Panics
///
/// Outside a runtime, and in one whose clock is not virtual.
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
    let target = far_enough(shared.clock.now(), duration);
    async move {
        let mut stuck = 0;
        let mut shown = shared.clock.now();
        loop {
            fire(&shared);
            // Twice, since with a seed the first only leads into the round of those who were woken.
            yield_now().await;
            yield_now().await;
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

/// Wakes those whose deadline has come.
fn fire(shared: &Shared) {
    let now = shared.clock.now();
    shared.timers.fire(shared.timers.nanos(now));
}
