//! The ends of oneshot and watch channels on two threads.

use crate::event_listener::block_on;
use crate::oneshot_core;
use crate::watch_core::{self, News, poll_until};
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use std::future::poll_fn;
use std::sync::Arc;

/// Counts its drops.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_oneshot_receiver_receives_the_value_that_another_thread_sends() {
    loom::model(|| {
        let core = Arc::new(oneshot_core::Core::new());
        let sender = Arc::clone(&core);
        let thread = thread::spawn(move || assert!(sender.send(7).is_ok()));
        assert_eq!(block_on(poll_fn(|cx| core.poll_recv(cx))), Some(7));
        thread.join().unwrap();
    });
}

#[test]
fn a_oneshot_receiver_notices_that_the_sender_is_dropped() {
    loom::model(|| {
        let core = Arc::new(oneshot_core::Core::<u32>::new());
        let sender = Arc::clone(&core);
        let thread = thread::spawn(move || sender.drop_sender());
        assert_eq!(block_on(poll_fn(|cx| core.poll_recv(cx))), None);
        assert!(core.is_complete());
        thread.join().unwrap();
    });
}

#[test]
fn a_oneshot_sender_notices_that_the_receiver_is_closed() {
    loom::model(|| {
        let core = Arc::new(oneshot_core::Core::<u32>::new());
        let receiver = Arc::clone(&core);
        let thread = thread::spawn(move || receiver.close());
        block_on(poll_fn(|cx| core.poll_closed(cx)));
        assert!(core.is_closed());
        thread.join().unwrap();
    });
}

#[test]
fn a_oneshot_value_is_dropped_once_by_the_sender_or_by_the_receiver() {
    loom::model(|| {
        let drops = Arc::new(AtomicUsize::new(0));
        let core = Arc::new(oneshot_core::Core::new());
        let sender = Arc::clone(&core);
        let value = Counted(Arc::clone(&drops));
        let thread = thread::spawn(move || sender.send(value).is_ok());
        let left = core.drop_receiver().is_some();
        let sent = thread.join().unwrap();
        assert_eq!(sent, left);
        assert_eq!(drops.load(Ordering::SeqCst), 1);
        assert!(!core.has_value());
    });
}

/// Waits for news like `Receiver::changed`.
async fn news(core: &watch_core::Core, seen: &mut u64) -> News {
    let mut listener = None;
    let ask = |seen: &mut u64| match core.news(*seen) {
        News::Changed(version) => {
            *seen = version;
            Some(News::Changed(version))
        }
        News::Closed => Some(News::Closed),
        News::Nothing => None,
    };
    poll_fn(|cx| poll_until(&mut listener, cx, || core.listen(), || ask(seen))).await
}

#[test]
fn a_watch_receiver_sees_the_last_version_before_the_end() {
    loom::model(|| {
        let core = Arc::new(watch_core::Core::new(1));
        let sender = Arc::clone(&core);
        let thread = thread::spawn(move || {
            sender.advance();
            sender.notify();
            sender.drop_sender();
        });
        let mut seen = 0;
        assert_eq!(block_on(news(&core, &mut seen)), News::Changed(1));
        assert_eq!(block_on(news(&core, &mut seen)), News::Closed);
        assert!(core.has_no_senders());
        thread.join().unwrap();
    });
}

#[test]
fn a_watch_channel_closes_with_the_last_of_two_senders() {
    loom::model(|| {
        let core = Arc::new(watch_core::Core::new(1));
        core.add_sender();
        let sender = Arc::clone(&core);
        let thread = thread::spawn(move || {
            sender.advance();
            sender.drop_sender();
        });
        core.drop_sender();
        let mut seen = 0;
        assert_eq!(block_on(news(&core, &mut seen)), News::Changed(1));
        thread.join().unwrap();
        assert_eq!(block_on(news(&core, &mut seen)), News::Closed);
    });
}

#[test]
fn a_watch_sender_notices_that_the_last_receiver_is_gone() {
    loom::model(|| {
        let core = Arc::new(watch_core::Core::new(1));
        core.add_receiver();
        let receiver = Arc::clone(&core);
        let thread = thread::spawn(move || receiver.drop_receiver());
        let other = Arc::clone(&core);
        let other = thread::spawn(move || other.drop_receiver());
        let mut listener = None;
        let is_closed = || (core.receivers() == 0).then_some(());
        block_on(poll_fn(|cx| {
            poll_until(&mut listener, cx, || core.listen_closed(), is_closed)
        }));
        thread.join().unwrap();
        other.join().unwrap();
    });
}
