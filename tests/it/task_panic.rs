//! Panics of tasks and of their destructors, and where they are reported.

use crate::support::{accepted, block_on, child, park_on, settle, watchdog};
use crate::task_probes::{
    Drops, Meddler, Wakes, Way, inside, logged, panic_text, poll_with, record_log, until,
};
use crate::task_reentrancy::OnWrite;
use glassfrog::task::{JoinError, JoinHandle, yield_now};
use glassfrog::time::sleep;
use glassfrog::{Handle, Runtime, spawn};
use std::any::Any;
use std::error::Error;
use std::fmt::Write as _;
use std::future::pending;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

/// Panics when dropped.
struct Bomb(&'static str);

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("{}", self.0);
    }
}

/// A future that ends at once and owns a value that panics when dropped.
struct Armed {
    /// The message with which its poll panics, if it does.
    panics: Option<&'static str>,
    /// The value that panics after that.
    _bomb: Bomb,
}

impl Future for Armed {
    type Output = &'static str;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<&'static str> {
        match self.panics {
            Some(text) => panic!("{text}"),
            None => Poll::Ready("output"),
        }
    }
}

#[test]
fn a_panic_becomes_the_error_of_its_handle() {
    for way in Way::ALL {
        block_on(async {
            let task = way.spawn(async {
                yield_now().await;
                panic!("out of luck")
            });
            let id = task.id();
            let error: JoinError = task.await.map(|()| "no output").unwrap_err();
            assert!(error.is_panic() && !error.is_cancelled(), "{way:?}");
            assert_eq!(error.id(), id);
            assert_eq!(error.to_string(), "task 1 panicked: out of luck");
            assert!(format!("{error:?}").contains("task 1 panicked: out of luck"));
        });
    }
}

#[test]
fn an_error_shows_the_panic_message_if_it_is_text() {
    let text = |payload: fn()| {
        block_on(async {
            spawn(async move { payload() })
                .await
                .unwrap_err()
                .to_string()
        })
    };
    assert_eq!(text(|| panic!("literal")), "task 1 panicked: literal");
    assert_eq!(text(|| panic!("{}", 5 + 5)), "task 1 panicked: 10");
    let no_text = text(|| panic_any(5_u8));
    assert!(no_text.starts_with("task 1 panicked: ("), "{no_text}");
}

#[test]
fn formatting_an_error_is_reentrant() {
    let _watchdog = watchdog();
    for way in Way::ALL {
        let error = block_on(async { way.spawn(async { panic!("shown twice") }).await });
        let error: JoinError = error.map(|()| "no output").unwrap_err();
        let mut inner = Vec::new();
        write!(OnWrite(|| inner.push(error.to_string())), "{error}").unwrap();
        assert!(!inner.is_empty());
        for text in inner {
            assert_eq!(text, "task 1 panicked: shown twice", "{way:?}");
        }
    }
}

#[test]
fn into_panic_returns_the_payload() {
    for way in Way::ALL {
        let payload: Box<dyn Any + Send> = block_on(async {
            let task = way.spawn(async { panic_any(Arc::new(42_i32)) });
            task.await.map(|()| "no output").unwrap_err().into_panic()
        });
        let resumed = catch_unwind(AssertUnwindSafe(|| resume_unwind(payload))).unwrap_err();
        let payload = resumed.downcast::<Arc<i32>>().unwrap();
        assert_eq!(Arc::into_inner(*payload), Some(42), "{way:?}");
    }
}

#[test]
fn into_panic_of_a_cancelled_task_panics_with_advice() {
    for way in Way::ALL {
        let runtime = Runtime::new().unwrap();
        let task = inside(&runtime, || way.spawn(pending::<()>()));
        drop(runtime);
        let error = block_on(task).unwrap_err();
        assert!(error.is_cancelled() && !error.is_panic(), "{way:?}");
        assert_eq!(error.to_string(), "task 1 was cancelled");
        let text = panic_text(|| error.into_panic());
        assert!(
            text.contains("cancelled") && text.contains("is_panic"),
            "{text}"
        );
    }
}

#[test]
fn a_join_error_converts_into_other_error_types() {
    fn assert_error<T: Error + Send + Sync + 'static>() {}
    assert_error::<JoinError>();

    async fn boxed() -> Result<(), Box<dyn Error + Send + Sync>> {
        spawn(async { panic!("boxed") }).await?;
        Ok(())
    }
    async fn io() -> io::Result<()> {
        spawn(async { panic!("as an io::Error") }).await?;
        Ok(())
    }
    block_on(async {
        let error = boxed().await.unwrap_err();
        assert!(error.downcast_ref::<JoinError>().unwrap().is_panic());
        let error = io().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Other);
        assert!(error.to_string().contains("as an io::Error"), "{error}");
        assert!(error.get_ref().unwrap().is::<JoinError>());
    });
}

#[test]
fn a_panic_does_not_affect_other_tasks() {
    for way in Way::ALL {
        block_on(async {
            let ended = Arc::new(AtomicUsize::new(0));
            let tasks: Vec<_> = (0..100)
                .map(|number| {
                    let ended = Arc::clone(&ended);
                    way.spawn(async move {
                        yield_now().await;
                        assert!(number % 2 == 0, "an odd task");
                        yield_now().await;
                        ended.fetch_add(1, Ordering::SeqCst);
                        number
                    })
                })
                .collect();
            for (number, task) in tasks.into_iter().enumerate() {
                match task.await {
                    Ok(output) => assert_eq!((output, number % 2), (number, 0)),
                    Err(error) => assert!(error.is_panic() && number % 2 == 1),
                }
            }
            assert_eq!(ended.load(Ordering::SeqCst), 50, "{way:?}");
        });
    }
}

#[test]
fn a_second_panic_in_the_drop_of_the_future_does_not_hide_the_first() {
    record_log();
    for (way, second) in [
        (Way::Local, "second panic of a local task"),
        (Way::Remote, "second panic of a remote task"),
    ] {
        block_on(async {
            let task = way.spawn(Armed {
                panics: Some("first panic"),
                _bomb: Bomb(second),
            });
            let error = task.await.unwrap_err();
            assert_eq!(error.to_string(), "task 1 panicked: first panic", "{way:?}");
            // The remote handle may report the first before there is a second.
            until(|| !logged(second).is_empty()).await;
            assert_eq!(logged(second).len(), 1, "{way:?}");
            assert_eq!(spawn(async { "well" }).await.unwrap(), "well");
        });
    }
}

#[test]
fn a_second_panic_in_the_drop_of_a_remote_future_does_not_abort_the_process() {
    child(|| {
        block_on(async {
            let task = Way::RemoteWith.spawn(Armed {
                panics: Some("first panic"),
                _bomb: Bomb("second panic of a task built remotely"),
            });
            let error = task.await.unwrap_err();
            assert_eq!(error.to_string(), "task 1 panicked: first panic");
        });
    })
    .finish();
}

#[test]
fn a_panic_in_the_drop_of_a_finished_future_becomes_the_error_of_the_task() {
    block_on(async {
        let task = spawn(Armed {
            panics: None,
            _bomb: Bomb("dropped armed"),
        });
        let error = task.await.unwrap_err();
        assert_eq!(error.to_string(), "task 1 panicked: dropped armed");
        assert_eq!(spawn(async { "well" }).await.unwrap(), "well");
    });
}

#[test]
fn a_panic_in_the_drop_of_an_output_is_logged_and_harmless() {
    record_log();
    for (way, text) in [
        (Way::Local, "output of a local task"),
        (Way::Remote, "output of a remote task"),
        (Way::RemoteWith, "output of a task built remotely"),
    ] {
        block_on(async {
            // The handle is dropped before the end.
            drop(way.spawn(async move { Bomb(text) }));
            until(|| !logged(text).is_empty()).await;
            assert_eq!(logged(text).len(), 1, "{way:?}");
            assert_eq!(spawn(async { "well" }).await.unwrap(), "well");
        });
    }
}

#[test]
fn dropping_a_handle_does_not_panic_even_if_the_output_does() {
    record_log();
    for (way, text) in [
        (Way::Local, "late output of a local task"),
        (Way::Remote, "late output of a remote task"),
        (Way::RemoteWith, "late output of a task built remotely"),
    ] {
        block_on(async {
            let ended = Arc::new(AtomicBool::new(false));
            let theirs = Arc::clone(&ended);
            let task = way.spawn(async move {
                theirs.store(true, Ordering::SeqCst);
                Bomb(text)
            });
            until(|| ended.load(Ordering::SeqCst)).await;
            yield_now().await;
            let dropped = catch_unwind(AssertUnwindSafe(|| drop(task)));
            assert!(
                dropped.is_ok(),
                "{way:?}: the panic came out of the handle's drop"
            );
            assert_eq!(logged(text).len(), 1, "{way:?}");
        });
    }
}

#[test]
fn the_panic_of_a_detached_task_is_logged_with_its_spawn_location() {
    record_log();
    for (way, text) in [
        (Way::Local, "detached local task"),
        (Way::Remote, "detached remote task"),
        (Way::RemoteWith, "detached task built remotely"),
    ] {
        block_on(async {
            drop(way.spawn(async move { panic!("{text}") }));
            until(|| !logged(text).is_empty()).await;
            // Once, even if more time passes.
            settle().await;
        });
        let lines = logged(text);
        assert_eq!(lines.len(), 1, "{way:?} {lines:?}");
        assert!(lines[0].starts_with("ERROR"), "{lines:?}");
        // `Way::spawn`, the caller.
        assert!(lines[0].contains("task_probes.rs:"), "{lines:?}");
    }
}

#[test]
fn a_panic_is_logged_when_its_handle_is_dropped() {
    record_log();
    for (way, text) in [
        (Way::Local, "handle of a local task dropped too late"),
        (Way::Remote, "handle of a remote task dropped too late"),
        (
            Way::RemoteWith,
            "handle of a task built remotely dropped too late",
        ),
    ] {
        block_on(async {
            let panicking = Arc::new(AtomicBool::new(false));
            let theirs = Arc::clone(&panicking);
            let task = way.spawn(async move {
                theirs.store(true, Ordering::SeqCst);
                panic!("{text}")
            });
            until(|| panicking.load(Ordering::SeqCst)).await;
            yield_now().await;
            assert!(
                logged(text).is_empty(),
                "{way:?}: a task may still take the output"
            );
            drop(task);
            assert_eq!(logged(text).len(), 1, "{way:?}");
        });
    }
}

#[test]
fn a_panic_is_logged_when_its_handle_is_dropped_on_another_thread() {
    record_log();
    let _watchdog = watchdog();
    for (way, text) in [
        (Way::Local, "handle of a local task dropped far away"),
        (Way::Remote, "handle of a remote task dropped far away"),
        (
            Way::RemoteWith,
            "handle of a task built remotely dropped far away",
        ),
    ] {
        let runtime = Runtime::new().unwrap();
        let panicking = Arc::new(AtomicBool::new(false));
        let theirs = Arc::clone(&panicking);
        let task = inside(&runtime, || {
            way.spawn(async move {
                theirs.store(true, Ordering::SeqCst);
                panic!("{text}")
            })
        });
        runtime.block_on(until(|| panicking.load(Ordering::SeqCst)));
        thread::spawn(|| drop(task)).join().unwrap();
        runtime.block_on(async { yield_now().await });
        assert_eq!(logged(text).len(), 1, "{way:?}");
    }
}

#[test]
fn an_unobserved_panic_is_logged_when_the_runtime_ends() {
    record_log();
    let text = "unasked when the runtime ended";
    let runtime = Runtime::new().unwrap();
    let task = inside(&runtime, || spawn(async move { panic!("{text}") }));
    runtime.block_on(yield_now());
    drop(runtime);
    assert_eq!(logged(text).len(), 1);
    drop(task);
    assert_eq!(logged(text).len(), 1);
}

#[test]
fn an_observed_panic_is_not_logged() {
    record_log();
    for (way, text) in [
        (Way::Local, "asked about a local task"),
        (Way::Remote, "asked about a remote task"),
        (Way::RemoteWith, "asked about a task built remotely"),
    ] {
        block_on(async {
            let error = way.spawn(async move { panic!("{text}") }).await;
            assert!(error.map(|()| "no output").unwrap_err().is_panic());
        });
        assert_eq!(logged(text), [""; 0], "{way:?}");
    }
}

#[test]
fn a_payload_that_panics_when_dropped_is_harmless() {
    record_log();
    for (way, text) in [
        (Way::Local, "payload of a local task"),
        (Way::Remote, "payload of a remote task"),
        (Way::RemoteWith, "payload of a task built remotely"),
    ] {
        block_on(async {
            drop(way.spawn(async move { panic_any(Bomb(text)) }));
            until(|| !logged(text).is_empty()).await;
            assert_eq!(spawn(async { "well" }).await.unwrap(), "well", "{way:?}");
        });
    }
}

/// A payload whose drop panics with another one, and so on.
struct Chain(usize);

impl Drop for Chain {
    fn drop(&mut self) {
        if self.0 > 0 {
            panic_any(Chain(self.0 - 1));
        }
    }
}

#[test]
fn a_payload_that_panics_repeatedly_when_dropped_is_harmless() {
    for way in Way::ALL {
        block_on(async {
            // Once as the payload of a task, and once as that of a drop.
            drop(way.spawn(async { panic_any(Chain(5)) }));
            drop(way.spawn(async { Chain(5) }));
            settle().await;
            assert_eq!(spawn(async { "well" }).await.unwrap(), "well", "{way:?}");
            let chain = Chain(5);
            drop(way.spawn(async move {
                let _chain = chain;
                pending::<()>().await;
            }));
            settle().await;
        });
    }
}

/// A logger that panics, as one that prints does when its output is closed.
struct PanickingLogger;

impl log::Log for PanickingLogger {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        LOG_CALLS.fetch_add(1, Ordering::SeqCst);
        panic!("the logger cannot log: {}", record.args());
    }

    fn flush(&self) {}
}

/// How many times it was called.
static LOG_CALLS: AtomicUsize = AtomicUsize::new(0);

/// Installs a panicking logger in this process, which can have only one.
fn log_by_panicking() {
    log::set_logger(&PanickingLogger).unwrap();
    log::set_max_level(log::LevelFilter::Warn);
}

#[test]
fn a_panicking_logger_does_not_stop_the_end_of_a_runtime() {
    child(|| {
        log_by_panicking();
        let _watchdog = watchdog();
        let drops = Drops::default();
        let (wakes, waker) = Wakes::new();
        let runtime = Runtime::new().unwrap();
        let (stream, _peer) = runtime.block_on(async {
            for way in Way::ALL {
                let (probe, bomb) = (drops.probe(), Bomb("dropped with the runtime"));
                drop(way.spawn(async move {
                    let (_probe, _bomb) = (probe, bomb);
                    pending::<()>().await;
                }));
            }
            settle().await;
            accepted().await
        });
        let mut nap = inside(&runtime, || sleep(Duration::MAX));
        let mut readable = Box::pin(stream.readable());
        assert!(poll_with(&mut nap, &waker).is_pending());
        assert!(poll_with(&mut readable, &waker).is_pending());
        drop(runtime);
        assert_eq!(LOG_CALLS.load(Ordering::SeqCst), 3);
        assert_eq!(drops.count(), 3);
        assert_eq!(wakes.count(), 2);
        park_on(readable).unwrap_err();
    })
    .finish();
}

#[test]
fn a_panicking_logger_does_not_affect_other_tasks() {
    child(|| {
        log_by_panicking();
        block_on(async {
            // It loses neither the wakes that arrive with a logged one ...
            let (stream, mut peer) = accepted().await;
            let (wakes, counting) = Wakes::new();
            let panicking = Meddler::waker(|| panic!("out of order"), || {});
            let mut readers: Vec<_> = (0..3).map(|_| Box::pin(stream.readable())).collect();
            for (number, reader) in readers.iter_mut().enumerate() {
                let waker = if number == 1 { &panicking } else { &counting };
                assert!(poll_with(reader, waker).is_pending());
            }
            peer.write_all(b"!").unwrap();
            until(|| wakes.count() == 2).await;
            assert_eq!(LOG_CALLS.load(Ordering::SeqCst), 1);

            // ... nor the messages.
            let panicked = spawn(async { panic!("nobody will ask") });
            settle().await;
            let handle = Handle::current();
            let spawned = thread::spawn(move || {
                drop::<JoinHandle<()>>(panicked);
                handle.spawn(async { "well" })
            });
            // Both are in the inbox before the loop looks there.
            let spawned = spawned.join().unwrap();
            assert_eq!(spawned.await.unwrap(), "well");
            assert!(LOG_CALLS.load(Ordering::SeqCst) > 1);
        });
    })
    .finish();
}

#[test]
fn a_panic_in_a_future_during_the_drop_of_a_runtime_is_logged_and_harmless() {
    record_log();
    for (way, text) in [
        (Way::Local, "dropped with the runtime, local"),
        (Way::Remote, "dropped with the runtime, remote"),
        (Way::RemoteWith, "dropped with the runtime, built remotely"),
    ] {
        for polled in [false, true] {
            let drops = Drops::default();
            let runtime = Runtime::new().unwrap();
            let tasks = runtime.block_on(async {
                let tasks: Vec<_> = (0..10)
                    .map(|number| {
                        let (probe, bomb) = (drops.probe(), (number == 1).then(|| Bomb(text)));
                        way.spawn(async move {
                            let (_probe, _bomb) = (probe, bomb);
                            pending::<()>().await;
                        })
                    })
                    .collect();
                if polled {
                    settle().await;
                }
                tasks
            });
            let dropped = catch_unwind(AssertUnwindSafe(|| drop(runtime)));
            assert!(dropped.is_ok(), "{way:?}, polled: {polled}");
            assert_eq!(drops.count(), 10, "{way:?}, polled: {polled}");
            for task in tasks {
                assert!(park_on(task).unwrap_err().is_cancelled());
            }
        }
        assert_eq!(logged(text).len(), 2, "{way:?}");
    }
}

#[test]
fn many_panics_during_an_unwinding_drop_of_a_runtime_do_not_abort_the_process() {
    child(|| {
        let drops = Drops::default();
        let payload = catch_unwind(|| {
            glassfrog::block_on(async {
                for way in Way::ALL.into_iter().cycle().take(9) {
                    let probe = drops.probe();
                    drop(way.spawn(async move {
                        let (_probe, _bomb) = (probe, Bomb("dropped while unwinding"));
                        pending::<()>().await;
                    }));
                }
                settle().await;
                panic!("the root future's panic");
            })
        })
        .map(|()| "no panic")
        .unwrap_err();
        assert_eq!(payload.downcast_ref(), Some(&"the root future's panic"));
        assert_eq!(drops.count(), 9);
    })
    .finish();
}
