//! Timeouts: the future is polled before the deadline is checked.

use crate::support::block_on;
use crate::task_probes::{Drops, Wakes, counted, poll_with, until};
use futures::channel::oneshot;
use glassfrog::task::yield_now;
use glassfrog::time::{Elapsed, now, sleep, timeout};
use std::cell::Cell;
use std::error::Error;
use std::future::{pending, poll_fn, ready};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// A duration that exceeds every test.
const FAR: Duration = Duration::from_secs(3600);

#[test]
fn a_future_that_is_ready_at_once_beats_every_deadline() {
    block_on(async {
        for duration in [Duration::ZERO, Duration::from_nanos(1), FAR, Duration::MAX] {
            assert_eq!(timeout(duration, ready(5)).await, Ok(5));
        }
    });
}

#[test]
fn an_output_that_is_ready_at_the_deadline_is_returned() {
    block_on(async {
        let mut limited = Box::pin(timeout(Duration::from_millis(1), async {
            yield_now().await;
            "output"
        }));
        let (_, waker) = Wakes::new();
        let begun = now();
        assert!(poll_with(&mut limited, &waker).is_pending());
        // The deadline has passed, and the future is ready.
        sleep(Duration::from_millis(2)).await;
        assert!(now() - begun >= Duration::from_millis(1));
        assert_eq!(poll_with(&mut limited, &waker), Poll::Ready(Ok("output")));
    });
}

#[test]
fn a_future_that_misses_its_deadline_times_out() {
    block_on(async {
        let before = now();
        let given_up = timeout(Duration::from_millis(3), pending::<()>()).await;
        assert!(given_up.is_err());
        assert!(now() - before >= Duration::from_millis(3));
        assert!(timeout(Duration::ZERO, pending::<()>()).await.is_err());
    });
}

#[test]
fn a_future_is_polled_when_it_is_woken_and_once_more_at_the_deadline() {
    block_on(async {
        let polls = Rc::new(Cell::new(0));
        let (wakes, waker) = Wakes::new();
        let limited = timeout(Duration::from_millis(3), counted(&polls, pending::<()>()));
        let mut limited = Box::pin(limited);
        assert!(poll_with(&mut limited, &waker).is_pending());
        assert_eq!(polls.get(), 1);
        until(|| wakes.count() == 1).await;
        assert_eq!(
            poll_with(&mut limited, &waker).map(|output| output.is_err()),
            Poll::Ready(true)
        );
        assert_eq!(polls.get(), 2);

        let (wake, woken) = oneshot::channel::<()>();
        let (wakes, waker) = Wakes::new();
        let mut limited = Box::pin(timeout(FAR, woken));
        assert!(poll_with(&mut limited, &waker).is_pending());
        wake.send(()).unwrap();
        assert_eq!(wakes.count(), 1);
        assert_eq!(poll_with(&mut limited, &waker), Poll::Ready(Ok(Ok(()))));
    });
}

#[test]
fn a_timeout_that_does_not_fire_leaves_no_timer() {
    block_on(async {
        let (wakes, waker) = Wakes::new();
        let mut limited = Box::pin(timeout(FAR, async {
            yield_now().await;
        }));
        assert!(poll_with(&mut limited, &waker).is_pending());
        assert_eq!(Arc::strong_count(&wakes), 3);
        assert!(poll_with(&mut limited, &waker).is_ready());
        drop(limited);
        assert_eq!(Arc::strong_count(&wakes), 2);
        // A future that is ready at once leaves no timer even before the timeout is dropped.
        let mut limited = Box::pin(timeout(FAR, ready(())));
        assert!(poll_with(&mut limited, &waker).is_ready());
        assert_eq!(Arc::strong_count(&wakes), 2);
    });
}

#[test]
fn dropping_a_timeout_drops_its_future() {
    block_on(async {
        let drops = Drops::default();
        let probe = drops.probe();
        let mut limited = Box::pin(timeout(Duration::ZERO, async move {
            let _probe = probe;
            pending::<()>().await;
        }));
        assert!((&mut limited).await.is_err());
        drop(limited);
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn the_nearest_deadline_of_nested_timeouts_fires_first() {
    block_on(async {
        let near = timeout(FAR, timeout(Duration::from_millis(1), pending::<()>()));
        assert!(matches!(near.await, Ok(Err(Elapsed { .. }))));
        let near = timeout(Duration::from_millis(1), timeout(FAR, pending::<()>()));
        assert!(near.await.is_err());
    });
}

#[test]
fn a_timeout_accepts_any_into_future() {
    struct Order(u8);
    impl IntoFuture for Order {
        type Output = u8;
        type IntoFuture = std::future::Ready<u8>;
        fn into_future(self) -> Self::IntoFuture {
            ready(self.0)
        }
    }
    block_on(async { assert_eq!(timeout(FAR, Order(7)).await, Ok(7)) });
}

#[test]
fn a_task_that_always_wakes_itself_times_out() {
    block_on(async {
        let polls = Cell::new(0_u64);
        let busy = poll_fn(|cx| {
            polls.set(polls.get() + 1);
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        });
        assert!(timeout(Duration::from_millis(2), busy).await.is_err());
        assert!(polls.get() > 1);
    });
}

#[test]
fn elapsed_is_an_error_and_converts_into_an_io_error_of_kind_timed_out() {
    fn assert_error<T: Error + Send + Sync + 'static>() {}
    assert_error::<Elapsed>();

    async fn io() -> io::Result<()> {
        timeout(Duration::ZERO, pending::<io::Result<()>>()).await?
    }
    async fn boxed() -> Result<(), Box<dyn Error + Send + Sync>> {
        timeout(Duration::ZERO, pending::<()>()).await?;
        Ok(())
    }
    block_on(async {
        let error = io().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(error.get_ref().unwrap().is::<Elapsed>());
        assert!(boxed().await.unwrap_err().is::<Elapsed>());
        let elapsed = timeout(Duration::ZERO, pending::<()>()).await.unwrap_err();
        assert_eq!(elapsed.to_string(), "deadline has elapsed");
    });
}
