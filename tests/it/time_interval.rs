//! Intervals, sleeps that are reset, and timeouts at an instant.

use crate::support::{block_on, settle};
use futures::task::noop_waker;
use futures::{FutureExt, StreamExt};
use glassfrog::spawn;
use glassfrog::time::{MissedTickBehavior, interval, interval_at, now, sleep, timeout_at};
use std::future::{pending, ready};
use std::panic::catch_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Context;
use std::time::Duration;

/// A duration that no test waits for.
const LONG: Duration = Duration::from_secs(600);

#[test]
fn an_interval_ticks_at_once_and_then_at_multiples_of_its_period() {
    block_on(async {
        let before = now();
        let period = Duration::from_millis(3);
        let mut interval = interval(period);
        let first = interval.tick().await;
        assert!(before <= first && first <= now());
        for tick in 1..10 {
            assert_eq!(interval.tick().await, first + period * tick);
            assert!(now() >= first + period * tick, "tick {tick} came early");
        }
    });
}

#[test]
fn an_interval_is_an_endless_stream() {
    block_on(async {
        let start = now();
        let period = Duration::from_millis(1);
        let ticks: Vec<_> = interval_at(start, period).take(5).collect().await;
        assert_eq!(ticks, [0, 1, 2, 3, 4].map(|tick| start + period * tick));
    });
}

#[test]
fn an_interval_with_a_zero_period_panics() {
    block_on(async {
        let panic = catch_unwind(|| interval(Duration::ZERO)).unwrap_err();
        let text = panic.downcast_ref::<&str>().unwrap();
        assert!(text.contains("period"), "{text}");
    });
}

#[test]
fn missed_ticks_burst_delay_or_skip_as_chosen() {
    for behavior in [
        MissedTickBehavior::Burst,
        MissedTickBehavior::Delay,
        MissedTickBehavior::Skip,
    ] {
        block_on(async {
            let period = LONG;
            // The second tick was due one and a half periods ago.
            let Some(start) = now().checked_sub(period * 5 / 2) else {
                return println!("skipped: the machine has not been up for long enough");
            };
            let mut interval = interval_at(start, period);
            interval.set_missed_tick_behavior(MissedTickBehavior::Burst);
            assert_eq!(interval.tick().await, start);
            interval.set_missed_tick_behavior(behavior);
            assert_eq!(interval.tick().await, start + period);
            let third = interval.tick().now_or_never();
            match behavior {
                MissedTickBehavior::Burst => {
                    // The deadline has passed, and the sleep is ready after a turn of the loop.
                    assert_eq!(third, None);
                    assert_eq!(interval.tick().await, start + period * 2);
                }
                MissedTickBehavior::Delay | MissedTickBehavior::Skip => {
                    settle().await;
                    assert_eq!(interval.tick().now_or_never(), None);
                }
            }
        });
    }
}

#[test]
fn a_cancelled_tick_is_not_lost() {
    block_on(async {
        let start = now() + Duration::from_millis(2);
        let mut interval = interval_at(start, LONG);
        assert_eq!(interval.tick().now_or_never(), None);
        assert_eq!(interval.tick().await, start);
    });
}

#[test]
fn a_reset_sleep_wakes_its_task_at_the_new_deadline() {
    block_on(async {
        let mut nap = sleep(LONG);
        let woken = Arc::new(AtomicBool::new(false));
        let waker = {
            let woken = Arc::clone(&woken);
            waker_fn(move || woken.store(true, Ordering::SeqCst))
        };
        let mut cx = Context::from_waker(&waker);
        assert!(Pin::new(&mut nap).poll(&mut cx).is_pending());
        let deadline = now() + Duration::from_millis(1);
        nap.reset(deadline);
        assert_eq!(nap.deadline(), deadline);
        while !woken.load(Ordering::SeqCst) {
            sleep(Duration::ZERO).await;
        }
        assert!(now() >= deadline);
        assert!(nap.is_elapsed());
        assert!(Pin::new(&mut nap).poll(&mut cx).is_ready());
    });
}

#[test]
fn a_finished_sleep_can_be_reset() {
    block_on(async {
        let mut nap = sleep(Duration::ZERO);
        (&mut nap).await;
        let deadline = now() + Duration::from_millis(1);
        nap.reset(deadline);
        assert!(
            nap.poll_unpin(&mut Context::from_waker(&noop_waker()))
                .is_pending()
        );
        (&mut nap).await;
        assert!(now() >= deadline);
    });
}

#[test]
fn a_postponed_deadline_does_not_fire_at_the_old_time() {
    block_on(async {
        let old = now() + Duration::from_millis(2);
        let mut nap = sleep(Duration::ZERO);
        nap.reset(old);
        assert!((&mut nap).now_or_never().is_none());
        nap.reset(old + LONG);
        let other = spawn(glassfrog::time::sleep_until(old + Duration::from_millis(2)));
        other.await.unwrap();
        assert!((&mut nap).now_or_never().is_none());
    });
}

#[test]
fn a_timeout_with_a_past_deadline_still_polls_its_future() {
    block_on(async {
        let past = now();
        assert_eq!(timeout_at(past, ready(7)).await, Ok(7));
        assert!(timeout_at(past, pending::<()>()).await.is_err());
    });
}

/// Returns a waker that calls a function.
fn waker_fn(wake: impl Fn() + Send + Sync + 'static) -> std::task::Waker {
    struct Call<F>(F);
    impl<F: Fn() + Send + Sync + 'static> futures::task::ArcWake for Call<F> {
        fn wake_by_ref(this: &Arc<Self>) {
            (this.0)();
        }
    }
    futures::task::waker(Arc::new(Call(wake)))
}
