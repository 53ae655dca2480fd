//! Sleeps, timeouts and intervals.
//!
//! ```
//! use glassfrog::time::{interval, sleep, timeout};
//! use std::time::Duration;
//!
//! glassfrog::block_on(async {
//!     sleep(Duration::from_millis(1)).await;
//!
//!     let slow = sleep(Duration::from_secs(60));
//!     assert!(timeout(Duration::from_millis(1), slow).await.is_err());
//!
//!     let mut interval = interval(Duration::from_millis(1));
//!     for _ in 0..3 {
//!         interval.tick().await;
//!     }
//! });
//! ```
//!
//! # Precision
//!
//! A sleep never ends early. It ends late by the time that the tasks polled before it take, and by the precision
//! of the operating system: the loop passes whole milliseconds to `epoll_wait(2)`, rounded up.
//!
//! # The end of time
//!
//! A runtime counts 584 years from its creation. A sleep with a later deadline, such as
//! `sleep(Duration::MAX)`, never ends. Tests reach far deadlines under a [virtual
//! clock](crate::Builder::virtual_clock), which ends 200 years after the creation of its runtime. [`advance`]
//! panics instead of moving the clock further, and so does [`block_on`](crate::Runtime::block_on) if only later
//! deadlines are left to wait for.

mod advance;
mod interval;
pub(crate) mod sleep;
mod timeout;

pub use self::advance::advance;
pub use self::interval::{Interval, MissedTickBehavior, interval, interval_at};
pub use self::sleep::{Sleep, sleep, sleep_until};
pub use self::timeout::{Elapsed, Timeout, timeout, timeout_at};

use crate::context;
use std::time::{Instant, SystemTime};

/// Returns the current time of the runtime's clock.
///
/// # Panics
///
/// Panics outside a runtime.
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
    context::shared().clock.now()
}

/// Returns the current time of the system's wall clock, which is [`SystemTime::now`].
///
/// On a host of a simulation (feature `sim`), it is the wall clock of the host, which may be wrong. A program that asks
/// this function instead of `SystemTime::now` behaves alike in each run of a seed. Outside a runtime, and under a
/// [virtual clock](crate::Builder::virtual_clock), it is always the wall clock of the system.
///
/// # Examples
///
/// ```
/// use glassfrog::time;
/// use std::time::SystemTime;
///
/// glassfrog::block_on(async {
///     let since_epoch = time::system_now().duration_since(SystemTime::UNIX_EPOCH);
///     assert!(since_epoch.unwrap().as_secs() > 1_700_000_000);
/// });
/// ```
pub fn system_now() -> SystemTime {
    match context::try_shared() {
        Some(shared) => shared.clock.system_now(),
        None => SystemTime::now(),
    }
}
