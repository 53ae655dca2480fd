//! Notifications and cancellations that cross threads.

use crate::event_listener::block_on;
use crate::signal::{Signal, Waiting};
use crate::tree::Node;
use loom::thread;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// Checks a model under every interleaving with at most three preemptions. All interleavings of the locks would take
/// hours.
fn check(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

/// Waits for a notification.
fn wait(signal: &Signal, waiting: &mut Waiting) {
    block_on(poll_fn(|cx| waiting.poll(signal, cx)));
}

/// Polls a wait once.
fn poll(signal: &Signal, waiting: &mut Waiting) -> Poll<()> {
    waiting.poll(signal, &mut Context::from_waker(Waker::noop()))
}

#[test]
fn a_notification_for_one_reaches_the_waiter_or_waits_for_it() {
    check(|| {
        let signal = Arc::new(Signal::new());
        let theirs = Arc::clone(&signal);
        let notifier = thread::spawn(move || theirs.notify_one());
        wait(&signal, &mut signal.begin());
        notifier.join().expect("it does not panic");
        assert!(
            poll(&signal, &mut signal.begin()).is_pending(),
            "notified twice"
        );
    });
}

#[test]
fn two_notifications_for_one_reach_two_waiters() {
    check(|| {
        let signal = Arc::new(Signal::new());
        let mut here = signal.begin();
        assert!(poll(&signal, &mut here).is_pending());
        let theirs = Arc::clone(&signal);
        let other = thread::spawn(move || {
            let mut there = theirs.begin();
            // Both are in line, or the permit is stored for this one.
            theirs.notify_one();
            wait(&theirs, &mut there);
        });
        signal.notify_one();
        wait(&signal, &mut here);
        other.join().expect("it does not panic");
    });
}

#[test]
fn a_waiter_that_leaves_passes_its_notification_on() {
    check(|| {
        let signal = Arc::new(Signal::new());
        let mut leaving = signal.begin();
        assert!(poll(&signal, &mut leaving).is_pending());
        let theirs = Arc::clone(&signal);
        let notifier = thread::spawn(move || theirs.notify_one());
        leaving.end(&signal);
        // Whether the notification came before or after, the next waiter gets it.
        wait(&signal, &mut signal.begin());
        notifier.join().expect("it does not panic");
        assert!(
            poll(&signal, &mut signal.begin()).is_pending(),
            "notified twice"
        );
    });
}

#[test]
fn a_waiter_that_leaves_takes_no_notification_from_the_others() {
    check(|| {
        let signal = Arc::new(Signal::new());
        let (mut leaving, mut staying) = (signal.begin(), signal.begin());
        assert!(poll(&signal, &mut leaving).is_pending());
        let theirs = Arc::clone(&signal);
        let notifier = thread::spawn(move || theirs.notify_one());
        let leaver = thread::spawn({
            let signal = Arc::clone(&signal);
            move || leaving.end(&signal)
        });
        wait(&signal, &mut staying);
        notifier.join().expect("it does not panic");
        leaver.join().expect("it does not panic");
    });
}

#[test]
fn a_notification_for_all_reaches_each_wait_that_has_begun() {
    check(|| {
        let signal = Arc::new(Signal::new());
        let mut waiting = signal.begin();
        let theirs = Arc::clone(&signal);
        let notifier = thread::spawn(move || theirs.notify_waiters());
        wait(&signal, &mut waiting);
        notifier.join().expect("it does not panic");
        assert!(
            poll(&signal, &mut signal.begin()).is_pending(),
            "it was not stored"
        );
    });
}

#[test]
fn a_notification_for_one_is_not_spent_on_a_waiter_that_a_notification_for_all_has_released() {
    check(|| {
        let signal = Arc::new(Signal::new());
        let mut released = signal.begin();
        assert!(poll(&signal, &mut released).is_pending());
        let theirs = Arc::clone(&signal);
        let notifier = thread::spawn(move || {
            theirs.notify_waiters();
            theirs.notify_one();
        });
        // This one began before or after the notification for all, and gets one of the two.
        wait(&signal, &mut signal.begin());
        notifier.join().expect("it does not panic");
        assert!(poll(&signal, &mut released).is_ready());
    });
}

#[test]
fn both_notifications_at_once_lose_none() {
    check(|| {
        let signal = Arc::new(Signal::new());
        let mut waiting = signal.begin();
        assert!(poll(&signal, &mut waiting).is_pending());
        let theirs = Arc::clone(&signal);
        let all = thread::spawn(move || theirs.notify_waiters());
        signal.notify_one();
        // This passes the notification on, or the permit was stored because all had been notified before.
        waiting.end(&signal);
        all.join().expect("it does not panic");
        assert!(poll(&signal, &mut signal.begin()).is_ready(), "it is lost");
        assert!(
            poll(&signal, &mut signal.begin()).is_pending(),
            "notified twice"
        );
    });
}

#[test]
fn a_waiter_that_has_only_got_in_line_is_notified() {
    check(|| {
        let signal = Arc::new(Signal::new());
        let mut waiting = signal.begin();
        let theirs = Arc::clone(&signal);
        let notifier = thread::spawn(move || theirs.notify_one());
        if !waiting.enable(&signal) {
            wait(&signal, &mut waiting);
        }
        notifier.join().expect("it does not panic");
    });
}

#[test]
fn a_child_of_a_token_that_is_cancelled_meanwhile_is_cancelled() {
    check(|| {
        let parent = Node::root(());
        let theirs = Arc::clone(&parent);
        let canceller = thread::spawn(move || theirs.cancel());
        let child = parent.child(());
        let mut listener = None;
        block_on(poll_fn(|cx| child.poll_cancelled(&mut listener, cx)));
        assert!(canceller.join().expect("it does not panic"));
    });
}

#[test]
fn a_child_may_go_while_its_parent_is_cancelled() {
    check(|| {
        let parent = Node::root(());
        let child = parent.child(());
        let grandchild = child.child(());
        let theirs = Arc::clone(&parent);
        let canceller = thread::spawn(move || theirs.cancel());
        drop((child, parent));
        canceller.join().expect("it does not panic");
        assert!(grandchild.is_cancelled());
    });
}
