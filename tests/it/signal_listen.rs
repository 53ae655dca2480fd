//! Listeners for signals: in second processes, since a signal is the whole process's.

use crate::support::{child, settle, watchdog};
#[cfg(target_os = "linux")]
use crate::support::{open_files, status};
use crate::task_probes::panic_text;
use futures::future::join_all;
use futures::{FutureExt, StreamExt};
use glassfrog::signal::{Signal, SignalKind, ctrl_c, signal};
use glassfrog::{Runtime, Workers, task};
use std::io::ErrorKind;
use std::process::{self, Command};
use std::sync::mpsc;

/// Listeners cross threads, and are shared.
const _: fn() = || {
    fn crosses<T: Send + Sync + Unpin>() {}
    crosses::<Signal>();
    crosses::<SignalKind>();
};

/// Sends a signal to this process.
fn raise(kind: SignalKind) {
    let (number, id) = (format!("-{}", kind.as_raw()), process::id().to_string());
    let sent = Command::new("kill").args([&number, &id]).status();
    assert!(sent.unwrap().success());
}

/// Runs a test in a process of its own.
fn alone<F: Future<Output = ()>>(test: impl FnOnce() -> F) {
    let _watchdog = watchdog();
    glassfrog::block_on(test());
}

#[test]
fn a_listener_receives_a_signal_again_and_again() {
    child(|| {
        alone(async || {
            let mut terminate = signal(SignalKind::terminate()).unwrap();
            for _ in 0..3 {
                raise(SignalKind::terminate());
                terminate.recv().await.unwrap();
                raise(SignalKind::terminate());
                terminate.next().await.unwrap().unwrap();
            }
        });
    })
    .finish();
}

#[test]
fn a_listener_receives_no_signal_of_another_kind() {
    child(|| {
        alone(async || {
            let hangup = signal(SignalKind::hangup()).unwrap();
            let terminate = signal(SignalKind::terminate()).unwrap();
            raise(SignalKind::terminate());
            terminate.recv().await.unwrap();
            assert!(hangup.recv().now_or_never().is_none());
        });
    })
    .finish();
}

#[test]
fn ctrl_c_waits_for_an_interrupt_since_the_call() {
    child(|| {
        alone(async || {
            let interrupt = signal(SignalKind::interrupt()).unwrap();
            let interrupted = ctrl_c();
            let never_polled = ctrl_c();
            raise(SignalKind::interrupt());
            interrupt.recv().await.unwrap();
            interrupted.await.unwrap();
            assert!(ctrl_c().now_or_never().is_none());
            never_polled.await.unwrap();
        });
    })
    .finish();
}

#[test]
fn each_of_many_listeners_receives_the_signal() {
    child(|| {
        alone(async || {
            let listeners: Vec<Signal> = (0..20)
                .map(|_| signal(SignalKind::terminate()).unwrap())
                .collect();
            for _ in 0..3 {
                raise(SignalKind::terminate());
                let all = join_all(listeners.iter().map(Signal::recv)).await;
                assert!(all.into_iter().all(|received| received.is_ok()));
            }
        });
    })
    .finish();
}

#[test]
fn signals_that_a_listener_has_not_looked_at_become_one() {
    child(|| {
        alone(async || {
            // The handler serves the listeners in this order.
            let lazy = signal(SignalKind::terminate()).unwrap();
            let eager = signal(SignalKind::terminate()).unwrap();
            for _ in 0..100 {
                raise(SignalKind::terminate());
                eager.recv().await.unwrap();
            }
            lazy.recv().await.unwrap();
            assert!(lazy.recv().now_or_never().is_none());
        });
    })
    .finish();
}

#[test]
fn a_future_that_is_dropped_loses_no_signal() {
    child(|| {
        alone(async || {
            let lazy = signal(SignalKind::terminate()).unwrap();
            let eager = signal(SignalKind::terminate()).unwrap();
            assert!(lazy.recv().now_or_never().is_none());
            raise(SignalKind::terminate());
            eager.recv().await.unwrap();
            drop(lazy.recv());
            lazy.recv().await.unwrap();
        });
    })
    .finish();
}

#[test]
fn a_signal_whose_listeners_are_all_dropped_is_ignored() {
    child(|| {
        alone(async || {
            let first = signal(SignalKind::terminate()).unwrap();
            let second = signal(SignalKind::terminate()).unwrap();
            drop(first);
            raise(SignalKind::terminate());
            second.recv().await.unwrap();
            drop(second);
            let hangup = signal(SignalKind::hangup()).unwrap();
            for _ in 0..10 {
                // The default action would end the process.
                raise(SignalKind::terminate());
                raise(SignalKind::hangup());
                hangup.recv().await.unwrap();
            }
            // A new listener does not receive what came before it.
            let third = signal(SignalKind::terminate()).unwrap();
            assert!(third.recv().now_or_never().is_none());
            raise(SignalKind::terminate());
            third.recv().await.unwrap();
        });
    })
    .finish();
}

#[test]
fn a_signal_reaches_every_worker() {
    /// How many workers there are.
    const WORKERS: usize = 4;
    child(|| {
        let _watchdog = watchdog();
        let workers = Workers::new(WORKERS).unwrap();
        let (listens, listening) = mpsc::channel();
        let (received, receiving) = mpsc::channel();
        drop(workers.spawn_on_each(move |index| async move {
            let terminate = signal(SignalKind::terminate()).unwrap();
            for _ in 0..3 {
                listens.send(()).unwrap();
                terminate.recv().await.unwrap();
                received.send(index).unwrap();
            }
        }));
        for _ in 0..3 {
            assert_eq!(listening.iter().take(WORKERS).count(), WORKERS);
            raise(SignalKind::terminate());
            let mut workers: Vec<usize> = receiving.iter().take(WORKERS).collect();
            workers.sort_unstable();
            assert_eq!(workers, [0, 1, 2, 3]);
        }
        workers.stop().unwrap();
    })
    .finish();
}

#[test]
fn a_signal_that_cannot_be_handled_is_an_error() {
    child(|| {
        alone(async || {
            // SIGILL, SIGFPE, SIGKILL and SIGSEGV have these numbers everywhere. The others are no signals.
            for number in [4, 8, 9, 11, 0, -1, 1000] {
                let error = signal(number).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::InvalidInput, "{number}: {error}");
            }
            let error = signal(9).unwrap_err().to_string();
            assert!(error.contains("SIGKILL"), "{error}");
        });
    })
    .finish();
}

#[test]
fn outside_a_runtime_there_is_nothing_to_listen_with() {
    for text in [
        panic_text(|| drop(signal(SignalKind::terminate()))),
        panic_text(|| drop(ctrl_c())),
    ] {
        assert!(text.contains("no runtime on this thread"), "{text}");
    }
}

#[test]
fn a_listener_whose_runtime_has_ended_returns_an_error() {
    child(|| {
        let _watchdog = watchdog();
        let runtime = Runtime::new().unwrap();
        let terminate = runtime.block_on(async { signal(SignalKind::terminate()).unwrap() });
        drop(runtime);
        alone(async || {
            let error = terminate.recv().await.unwrap_err();
            assert!(error.to_string().contains("has ended"), "{error}");
        });
    })
    .finish();
}

#[test]
fn a_dump_names_the_signal_that_a_task_waits_for() {
    child(|| {
        alone(async || {
            let waiting = task::Builder::new().name("waiter").spawn(async {
                let hangup = signal(SignalKind::hangup()).unwrap();
                hangup.recv().await.unwrap();
            });
            settle().await;
            let dump = task::dump().to_string();
            let line = dump.lines().find(|line| line.contains("waiter")).unwrap();
            assert!(line.contains("SIGHUP for"), "{dump}");
            drop(waiting);
        });
    })
    .finish();
}

#[cfg(target_os = "linux")]
#[test]
fn listeners_need_no_thread_and_leave_no_descriptor() {
    child(|| {
        alone(async || {
            let (threads, files) = (status("self", "Threads"), open_files());
            for _ in 0..100 {
                let listeners = [signal(15).unwrap(), signal(15).unwrap()];
                assert_eq!(open_files(), files + 2 * listeners.len());
                assert_eq!(status("self", "Threads"), threads);
                drop(listeners);
            }
            assert_eq!(open_files(), files);
        });
    })
    .finish();
}
