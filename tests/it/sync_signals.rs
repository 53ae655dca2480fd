//! The laws of notifications and cancellation tokens.

use crate::support::watchdog;
use futures::FutureExt as _;
use glassfrog::sync::{CancellationToken, Notify};
use std::mem;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// A waker that calls a closure.
struct Calls<F>(F);

impl<F: Fn() + Send + Sync + 'static> Wake for Calls<F> {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}

/// Polls a future once, with a waker that does nothing.
fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Returns a waker that calls a closure.
fn calls(call: impl Fn() + Send + Sync + 'static) -> Waker {
    Waker::from(Arc::new(Calls(call)))
}

/// Returns a waker that counts its calls.
fn counter() -> (Waker, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let theirs = Arc::clone(&count);
    let waker = calls(move || {
        theirs.fetch_add(1, Ordering::SeqCst);
    });
    (waker, count)
}

// Notify.

#[test]
fn enable_keeps_the_waker_of_the_last_poll() {
    let notify = Notify::new();
    let (waker, count) = counter();
    let mut notified = pin!(notify.notified());
    let polled = notified.as_mut().poll(&mut Context::from_waker(&waker));
    assert!(polled.is_pending());
    assert!(!notified.as_mut().enable());
    notify.notify_one();
    assert_eq!(count.load(Ordering::SeqCst), 1);
    assert!(notified.as_mut().enable());
    assert!(poll_once(notified).is_ready());
}

#[test]
fn a_future_that_is_enabled_is_in_line() {
    let notify = Notify::new();
    let (mut first, mut second) = (pin!(notify.notified()), pin!(notify.notified()));
    assert!(!first.as_mut().enable());
    assert!(poll_once(second.as_mut()).is_pending());
    notify.notify_one();
    assert!(poll_once(second.as_mut()).is_pending());
    assert!(poll_once(first).is_ready());
    notify.notify_one();
    assert!(poll_once(second).is_ready());
}

#[test]
fn notify_one_is_not_spent_on_a_future_that_notify_waiters_has_released() {
    let notify = Notify::new();
    let mut released = pin!(notify.notified());
    assert!(poll_once(released.as_mut()).is_pending());
    notify.notify_waiters();
    notify.notify_one();
    assert_eq!(notify.notified().now_or_never(), Some(()));
    assert_eq!(notify.notified().now_or_never(), None);
    assert!(poll_once(released).is_ready());
}

#[test]
fn a_dropped_future_passes_on_a_notification_for_one_and_keeps_one_for_all() {
    let notify = Notify::new();
    for passes_on in [true, false] {
        let mut dropped = Box::pin(notify.notified());
        assert!(poll_once(dropped.as_mut()).is_pending());
        match passes_on {
            true => notify.notify_one(),
            false => notify.notify_waiters(),
        }
        drop(dropped);
        let next = notify.notified().now_or_never();
        assert_eq!(next.is_some(), passes_on);
    }
}

#[test]
fn a_waker_may_use_the_notify_that_calls_it() {
    let _watchdog = watchdog();
    let notify = Arc::new(Notify::new());
    let theirs = Arc::clone(&notify);
    let waker = calls(move || {
        assert!(poll_once(pin!(theirs.notified())).is_pending());
        theirs.notify_one();
    });
    let mut notified = pin!(notify.notified());
    let polled = notified.as_mut().poll(&mut Context::from_waker(&waker));
    assert!(polled.is_pending());
    notify.notify_one();
    assert!(poll_once(notified).is_ready());
    assert_eq!(notify.notified().now_or_never(), Some(()));
}

#[test]
fn a_waker_that_panics_keeps_nobody_from_being_notified() {
    let notify = Notify::new();
    let panicking = calls(|| panic!("in a waker"));
    let (waker, count) = counter();
    let (mut first, mut second) = (pin!(notify.notified()), pin!(notify.notified()));
    let polled = first.as_mut().poll(&mut Context::from_waker(&panicking));
    assert!(polled.is_pending());
    let polled = second.as_mut().poll(&mut Context::from_waker(&waker));
    assert!(polled.is_pending());
    notify.notify_waiters();
    assert_eq!(count.load(Ordering::SeqCst), 1);
    assert!(poll_once(first).is_ready());
    assert!(poll_once(second).is_ready());
}

// CancellationToken.

#[test]
fn a_waker_that_panics_keeps_no_token_from_being_cancelled() {
    let token = CancellationToken::new();
    let child = token.child_token();
    let grandchild = child.child_token();
    let panicking = calls(|| panic!("in a waker"));
    let (waker, count) = counter();
    let mut futures =
        [&token, &token, &child, &grandchild].map(|token| Box::pin(token.cancelled()));
    for (future, waker) in futures
        .iter_mut()
        .zip([&panicking, &waker, &panicking, &waker])
    {
        let polled = future.as_mut().poll(&mut Context::from_waker(waker));
        assert!(polled.is_pending());
    }
    token.cancel();
    assert!(child.is_cancelled() && grandchild.is_cancelled());
    assert_eq!(count.load(Ordering::SeqCst), 2);
    // The panics have left the lists of these events in disorder.
    mem::forget(futures);
}

#[test]
fn a_task_that_is_woken_by_a_cancellation_finds_all_tokens_below_cancelled() {
    let token = CancellationToken::new();
    let child = token.child_token();
    let grandchild = child.child_token();
    let seen = Arc::new(AtomicUsize::new(0));
    let waker = calls({
        let seen = Arc::clone(&seen);
        move || {
            assert!(grandchild.is_cancelled());
            seen.fetch_add(1, Ordering::SeqCst);
        }
    });
    let mut cancelled = pin!(token.cancelled());
    let polled = cancelled.as_mut().poll(&mut Context::from_waker(&waker));
    assert!(polled.is_pending());
    token.cancel();
    assert_eq!(seen.load(Ordering::SeqCst), 1);
}
