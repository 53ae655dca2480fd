//! Time: sleeping, and giving up on what takes too long.
//!
//! # Precision
//!
//! A sleep never ends early. It ends late by what the tasks take that are polled before it, and by what the
//! wait of the operating system is late: the loop gives `epoll_wait(2)` whole milliseconds, rounded up.
//!
//! # The end of time
//!
//! A runtime counts 584 years from the moment at which it was made. A sleep whose deadline lies beyond them
//! never ends, which is what `sleep(Duration::MAX)` is for. Waiting for the other deadlines takes a
//! [virtual clock](crate::Builder::virtual_clock), and that ends 200 years after its runtime was made. It is
//! never moved past its end: [`advance`] panics instead, and so does
//! [`block_on`](crate::Runtime::block_on) when nothing is left to wait for but a deadline there.

mod advance;
mod interval;
pub(crate) mod sleep;
mod timeout;

pub use self::advance::advance;
pub use self::interval::{Interval, MissedTickBehavior, interval, interval_at};
pub use self::sleep::{Sleep, sleep, sleep_until};
pub use self::timeout::{Elapsed, Timeout, timeout, timeout_at};

use crate::context;
use std::time::Instant;

/// Returns the time of the runtime's clock.
///
/// # Panics
///
/// Outside a runtime.
///
/// # Examples
///
/// ```
/// use glassfrog::time;
///
/// glassfrog::block_on(async {
///     let before = time::now();
///     assert!(time::now() >= before);
/// });
/// ```
#[track_caller]
pub fn now() -> Instant {
    context::current().shared.clock.now()
}
