//! `Timer` and `Executor`.

use crate::support::block_on;
use glassfrog::hyper::{Executor, Timer};
use glassfrog::time::{Sleep, now};
use glassfrog::{Handle, Runtime};
use hyper::rt::{Executor as _, Timer as _};
use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// A duration that only a virtual clock can wait for.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[test]
fn a_timer_follows_the_virtual_clock_of_its_runtime() {
    let runtime = Runtime::builder().virtual_clock().build().unwrap();
    runtime.block_on(async {
        let timer = Timer::new();
        let start = timer.now();
        assert_eq!(start, now());
        timer.sleep(DAY).await;
        assert_eq!(timer.now() - start, DAY);
        timer.sleep_until(start + 3 * DAY).await;
        assert_eq!(timer.now() - start, 3 * DAY);
        timer.sleep_until(start).await;
        assert_eq!(timer.now() - start, 3 * DAY);
    });
}

#[test]
fn a_timer_belongs_to_the_runtime_in_which_it_was_created() {
    let runtime = Runtime::builder().virtual_clock().build().unwrap();
    let timer = runtime.block_on(async { Timer::new() });
    let start = timer.now();
    runtime.block_on(async { glassfrog::time::advance(DAY).await });
    // On a thread that is in no runtime, and in another one.
    assert_eq!(timer.now() - start, DAY);
    block_on(async { assert_eq!(timer.now() - start, DAY) });
}

#[test]
fn a_reset_moves_a_sleep_of_the_timer_and_replaces_a_foreign_one() {
    /// A sleep of another timer, which never ends.
    struct Foreign;

    impl Future for Foreign {
        type Output = ();

        fn poll(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<()> {
            Poll::Pending
        }
    }

    impl hyper::rt::Sleep for Foreign {}

    let runtime = Runtime::builder().virtual_clock().build().unwrap();
    runtime.block_on(async {
        let timer = Timer::new();
        let start = timer.now();
        let mut sleep = timer.sleep(DAY);
        let address = &raw const *sleep;
        timer.reset(&mut sleep, start + 2 * DAY);
        assert_eq!(&raw const *sleep, address);
        sleep.await;
        assert_eq!(timer.now() - start, 2 * DAY);
        let mut foreign: Pin<Box<dyn hyper::rt::Sleep>> = Box::pin(Foreign);
        timer.reset(&mut foreign, start + 3 * DAY);
        assert!(foreign.is::<Sleep>());
        foreign.await;
        assert_eq!(timer.now() - start, 3 * DAY);
    });
}

#[test]
fn a_reset_replaces_a_sleep_of_another_runtime() {
    let [first, second] = [(), ()].map(|()| Runtime::builder().virtual_clock().build().unwrap());
    let theirs = first.block_on(async { Timer::new() });
    second.block_on(async {
        let timer = Timer::new();
        let start = timer.now();
        let mut sleep = theirs.sleep(DAY);
        timer.reset(&mut sleep, start + DAY);
        sleep.await;
        assert_eq!(timer.now() - start, DAY);
    });
}

#[test]
fn the_longest_sleep_does_not_panic() {
    block_on(async {
        let timer = Timer::new();
        drop(timer.sleep(Duration::MAX));
    });
}

#[test]
fn the_executor_spawns_what_is_not_send_and_the_handle_what_is() {
    block_on(async {
        let count = Rc::new(Cell::new(0));
        let clone = Rc::clone(&count);
        Executor.execute(async move { clone.set(1) });
        glassfrog::task::yield_now().await;
        assert_eq!(count.get(), 1);
        let (sender, receiver) = futures::channel::oneshot::channel();
        let handle = Handle::current();
        std::thread::spawn(move || handle.execute(async move { sender.send(2).unwrap() }));
        assert_eq!(receiver.await.unwrap(), 2);
    });
}

#[test]
fn the_types_are_send_and_sync() {
    fn check<T: Send + Sync + 'static>() {}
    check::<Timer>();
    check::<Executor>();
    check::<glassfrog::hyper::Io<glassfrog::net::TcpStream>>();
    let _: Instant = Instant::now();
}
