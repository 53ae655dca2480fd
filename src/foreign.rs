//! Calling foreign code: wakers, destructors and loggers, which may panic.
//!
//! Foreign code never runs under a lock or a borrow of this crate. Where a panic of it must not stop what comes
//! next, it is called through one of these functions.

use std::any::Any;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;

/// Calls foreign code, and logs its panic if it panics. `what` is the subject of the log text.
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

/// Calls foreign code, and ignores its panic if it panics: for the logger, whose panic cannot be logged.
pub(crate) fn swallow_panics(foreign: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(foreign)) {
        // The destructor of the payload might panic once more, and so on.
        mem::forget(payload);
    }
}

/// Returns whether records at `trace` with this target are logged. Nothing is logged if the logger panics. If nothing is
/// logged at `trace`, this costs a comparison.
#[inline]
pub(crate) fn is_traced(target: &str) -> bool {
    log::max_level() == log::LevelFilter::Trace && asks_for_trace(target)
}

/// Asks the logger.
#[cold]
fn asks_for_trace(target: &str) -> bool {
    let mut is_enabled = false;
    swallow_panics(|| is_enabled = log::log_enabled!(target: target, log::Level::Trace));
    is_enabled
}

/// Logs a record at `trace`, and ignores the panic of the logger. If nothing is logged at `trace`, this costs a
/// comparison.
macro_rules! trace {
    ($target:literal, $($what:tt)+) => {
        if log::max_level() == log::LevelFilter::Trace {
            $crate::foreign::swallow_panics(|| log::trace!(target: $target, $($what)+));
        }
    };
}

pub(crate) use trace;

/// Wakes all of these wakers, even if one panics. The caller holds no lock and no borrow.
pub(crate) fn wake_all(wakers: impl IntoIterator<Item = Waker>) {
    for waker in wakers {
        log_panics("a waker", || waker.wake());
    }
}

/// Returns the message of a panic, if it has one.
pub(crate) fn panic_message(payload: &(dyn Any + Send)) -> &str {
    if let Some(text) = payload.downcast_ref::<&'static str>() {
        text
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text
    } else {
        "(a payload that is not text)"
    }
}
