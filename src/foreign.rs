//! Calling foreign code, which may panic: wakers, destructors and loggers.
//!
//! Foreign code never runs under a lock or a borrow of this crate. If a panic in foreign code must not unwind into
//! its caller, every module calls it through one of these functions.

use std::any::Any;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;

/// Calls foreign code, and logs the panic if it panics. `what` is the subject of the log message.
pub(crate) fn log_panics(what: &str, foreign: impl FnOnce()) {
    let Err(payload) = catch_unwind(AssertUnwindSafe(foreign)) else {
        return;
    };
    swallow_panics(|| {
        // The logger is foreign code too, and so is the destructor of the payload.
        log::error!(target: "glassfrog::task", "{what} panicked: {}", panic_message(&*payload));
        drop(payload);
    });
}

/// Calls foreign code, and ignores the panic if it panics. This is for the logger, whose panic cannot be logged.
pub(crate) fn swallow_panics(foreign: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(foreign)) {
        // Leaked, because the destructor of the payload might panic again, and so might the next payload.
        mem::forget(payload);
    }
}

/// Returns whether records at `trace` with this target are logged. If the logger panics, returns false. If the
/// maximum level is below `trace`, this costs one comparison.
#[inline]
pub(crate) fn is_traced(target: &str) -> bool {
    log::max_level() == log::LevelFilter::Trace && asks_for_trace(target)
}

/// Returns whether the logger accepts records at `trace` with this target.
#[cold]
fn asks_for_trace(target: &str) -> bool {
    let mut is_enabled = false;
    swallow_panics(|| is_enabled = log::log_enabled!(target: target, log::Level::Trace));
    is_enabled
}

/// Logs a record at `trace`, and ignores the panic if the logger panics. If the maximum level is below `trace`, this
/// costs one comparison.
macro_rules! trace {
    ($target:literal, $($what:tt)+) => {
        if log::max_level() == log::LevelFilter::Trace {
            $crate::foreign::swallow_panics(|| log::trace!(target: $target, $($what)+));
        }
    };
}

pub(crate) use trace;

/// Calls all of these wakers, even if one panics. The caller holds no lock and no borrow.
pub(crate) fn wake_all(wakers: impl IntoIterator<Item = Waker>) {
    for waker in wakers {
        log_panics("a waker", || waker.wake());
    }
}

/// Returns the message of a panic, or a placeholder if the payload is not text.
pub(crate) fn panic_message(payload: &(dyn Any + Send)) -> &str {
    if let Some(text) = payload.downcast_ref::<&'static str>() {
        text
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text
    } else {
        "(a payload that is not text)"
    }
}
