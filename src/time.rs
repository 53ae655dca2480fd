//! Time: sleeping, and giving up on what takes too long.
//!
//! # Precision
//!
//! A sleep never ends early. It ends late by what the operating system's wait is late, which is
//! given in whole milliseconds (`epoll_wait(2)`) and rounded up, and by what the tasks that are
//! polled before it take.

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

/// The time of the runtime's clock.
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
