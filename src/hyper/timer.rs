//! [`Timer`]: the clock and the sleeps of a runtime, for hyper.

use crate::context;
use crate::event_loop::Shared;
use crate::time::Sleep;
use crate::time::sleep::saturating_add;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The clock of a runtime, for the timeouts of hyper.
///
/// The timer belongs to the runtime in which it was created, and reads the clock of that runtime. On a
/// [virtual clock](crate::Builder::virtual_clock), the timeouts of hyper pass without waiting.
///
/// hyper needs a timer for each of its timeouts. A server of `serve` has one. A connection without one behaves as follows:
///
/// | connection | timeout | without a timer |
/// | --- | --- | --- |
/// | HTTP/1, server | the default of `header_read_timeout` | is ignored |
/// | HTTP/1, server | `header_read_timeout` that the program has set | panics |
/// | HTTP/2, client or server | none | works |
/// | HTTP/2, client or server | `keep_alive_interval` | panics |
///
/// # Panics
///
/// Polling a sleep panics once the runtime has ended; see [`Sleep`].
///
/// # Examples
///
/// ```
/// use glassfrog::hyper::Timer;
/// use hyper::rt::Timer as _;
/// use std::time::Duration;
///
/// glassfrog::Runtime::builder().virtual_clock().build()?.block_on(async {
///     let timer = Timer::new();
///     let before = timer.now();
///     timer.sleep(Duration::from_secs(3600)).await;
///     assert_eq!(timer.now() - before, Duration::from_secs(3600));
/// });
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone)]
pub struct Timer {
    /// The runtime whose clock and timers it uses.
    shared: Arc<Shared>,
}

impl Timer {
    /// Creates a timer of the runtime that this thread is in.
    ///
    /// # Panics
    ///
    /// Panics outside a runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::hyper::Timer;
    ///
    /// glassfrog::block_on(async {
    ///     let timer = Timer::new();
    ///     # drop(timer);
    /// });
    /// ```
    #[track_caller]
    pub fn new() -> Timer {
        Timer {
            shared: context::shared(),
        }
    }
}

/// The same as [`Timer::new`], which panics outside a runtime.
impl Default for Timer {
    #[track_caller]
    fn default() -> Timer {
        Timer::new()
    }
}

impl hyper::rt::Timer for Timer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        let deadline = saturating_add(self.shared.clock.now(), duration);
        Box::pin(Sleep::new(Arc::clone(&self.shared), deadline, None))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(Sleep::until(Arc::clone(&self.shared), deadline, None))
    }

    fn now(&self) -> Instant {
        self.shared.clock.now()
    }

    fn reset(&self, sleep: &mut Pin<Box<dyn hyper::rt::Sleep>>, deadline: Instant) {
        match sleep.as_mut().downcast_mut_pin::<Sleep>() {
            Some(own) if own.belongs_to(&self.shared) => own.get_mut().reset(deadline),
            // A timer of another runtime or of another crate has created it.
            _ => *sleep = self.sleep_until(deadline),
        }
    }
}

impl hyper::rt::Sleep for Sleep {}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timer").finish_non_exhaustive()
    }
}
