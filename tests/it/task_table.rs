//! The table in the documentation of `task`, cell by cell: the effect of each call on a task in each state, for each
//! way to spawn it, on the runtime's thread and on another.

use crate::support::{park_on, settle, watchdog};
use crate::task_probes::{Drops, Place, Probe, Way, until};
use futures::channel::oneshot;
use glassfrog::Runtime;
use glassfrog::task::{JoinHandle, yield_now};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::thread::{self, ThreadId};

/// The state of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    NeverPolled,
    Waits,
    Ended,
    Panicked,
}

/// The call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Abort,
    DropHandle,
    Await,
    DropRuntime,
}

/// The result of its handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Given {
    Output,
    Cancelled,
    Panic,
    /// The handle was dropped.
    Nothing,
}

/// A task that waits for a message, and then returns a probe or panics.
struct Subject {
    /// Its handle, unless it was dropped.
    handle: Option<JoinHandle<Probe>>,
    /// Sends the message.
    go: Option<oneshot::Sender<()>>,
    /// Where its future was dropped.
    future: Drops,
    /// Where its output was dropped.
    output: Drops,
    /// The number of polls.
    polls: Arc<AtomicUsize>,
}

impl Subject {
    /// Spawns the task and brings it to a state.
    async fn new(way: Way, stage: Stage) -> Subject {
        let (go, gone) = oneshot::channel();
        let (future, output) = (Drops::default(), Drops::default());
        let polls = Arc::new(AtomicUsize::new(0));
        let (probe, result, count) = (future.probe(), output.probe(), Arc::clone(&polls));
        let mut waits = gone;
        let task = way.spawn(async move {
            let _probe = probe;
            poll_fn(|cx| {
                count.fetch_add(1, Ordering::SeqCst);
                Pin::new(&mut waits).poll(cx)
            })
            .await
            .ok();
            assert!(stage != Stage::Panicked, "a panic on purpose");
            result
        });
        let mut subject = Subject {
            handle: Some(task),
            go: Some(go),
            future,
            output,
            polls,
        };
        match stage {
            Stage::NeverPolled => {}
            Stage::Waits => until(|| subject.polls.load(Ordering::SeqCst) > 0).await,
            Stage::Ended | Stage::Panicked => {
                subject.tell();
                while !subject.handle.as_ref().unwrap().is_finished() {
                    yield_now().await;
                }
            }
        }
        subject
    }

    /// Sends the message.
    fn tell(&mut self) {
        if let Some(go) = self.go.take() {
            // The task may be gone.
            let _gone = go.send(());
        }
    }
}

/// Returns the result of a handle, and keeps the output from being dropped here.
fn given(outcome: Result<Probe, glassfrog::task::JoinError>) -> Given {
    match outcome {
        Ok(probe) => {
            std::mem::forget(probe);
            Given::Output
        }
        Err(error) if error.is_cancelled() => Given::Cancelled,
        Err(error) => {
            assert!(error.is_panic());
            Given::Panic
        }
    }
}

/// Calls a closure here or on another thread, and returns where.
fn on(elsewhere: bool, what: impl FnOnce() + Send) -> ThreadId {
    if !elsewhere {
        what();
        return thread::current().id();
    }
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            what();
            thread::current().id()
        });
        thread.join().unwrap()
    })
}

/// Performs a call on a task.
fn check(way: Way, stage: Stage, call: Call, elsewhere: bool) {
    let case = format!("{way:?}, {stage:?}, {call:?}, elsewhere: {elsewhere}");
    let here = Place::here_inside();
    let runtime = Runtime::new().unwrap();
    let (mut subject, caller, mut handle) = runtime.block_on(async {
        let mut subject = Subject::new(way, stage).await;
        let mut handle = subject.handle.take();
        let caller = on(elsewhere, || match call {
            Call::Abort => handle.as_ref().unwrap().abort(),
            Call::DropHandle => drop(handle.take()),
            Call::Await | Call::DropRuntime => {}
        });
        (subject, caller, handle)
    });
    let went_on = matches!(call, Call::DropHandle | Call::Await);
    let outcome = match call {
        Call::DropRuntime => {
            drop(runtime);
            handle.take().map(|handle| match elsewhere {
                true => thread::spawn(move || park_on(handle)).join().unwrap(),
                false => park_on(handle),
            })
        }
        _ => runtime.block_on(async {
            settle().await;
            if went_on {
                let ended = matches!(stage, Stage::Ended | Stage::Panicked);
                assert_eq!(subject.future.count(), usize::from(ended), "{case}");
            }
            subject.tell();
            settle().await;
            match handle.take() {
                Some(handle) => Some(handle.await),
                None => None,
            }
        }),
    };
    let given = outcome.map_or(Given::Nothing, given);

    let output_stands = way != Way::Local;
    let expected = match (call, stage) {
        (Call::DropHandle, _) => Given::Nothing,
        (Call::DropRuntime, Stage::Ended) if !output_stands => Given::Cancelled,
        (Call::DropRuntime, Stage::Panicked) if !output_stands => Given::Cancelled,
        (_, Stage::Ended) | (Call::Await, Stage::NeverPolled | Stage::Waits) => Given::Output,
        (_, Stage::Panicked) => Given::Panic,
        (Call::Abort | Call::DropRuntime, _) => Given::Cancelled,
    };
    assert_eq!(given, expected, "{case}");
    // The future is dropped on its own thread, whatever its outcome.
    assert_eq!(subject.future.places(), [here], "{case}");
    let dropped = match (call, stage) {
        // The output was never created.
        (_, Stage::Panicked) => vec![],
        (Call::Abort | Call::DropRuntime, Stage::NeverPolled | Stage::Waits) => vec![],
        (Call::DropHandle, Stage::Ended) if output_stands => vec![Place {
            thread: caller,
            inside: !elsewhere,
        }],
        (Call::DropHandle, _) => vec![here],
        (Call::DropRuntime, Stage::Ended) if !output_stands => vec![here],
        _ => vec![],
    };
    // An output that was never created was dropped with the future; a returned one was kept.
    let made: Vec<Place> = match given {
        Given::Output => vec![],
        _ if dropped.is_empty() => vec![here],
        _ => dropped,
    };
    assert_eq!(subject.output.places(), made, "{case}");
}

#[test]
fn each_call_changes_a_task_as_the_table_says() {
    let _watchdog = watchdog();
    for way in Way::ALL {
        for stage in [
            Stage::NeverPolled,
            Stage::Waits,
            Stage::Ended,
            Stage::Panicked,
        ] {
            for call in [
                Call::Abort,
                Call::DropHandle,
                Call::Await,
                Call::DropRuntime,
            ] {
                for elsewhere in [false, true] {
                    check(way, stage, call, elsewhere);
                }
            }
        }
    }
}

#[test]
fn a_call_on_a_task_in_its_own_poll_leaves_the_outcome_to_that_poll() {
    let _watchdog = watchdog();
    for way in Way::ALL {
        for ready in [false, true] {
            for aborts in [false, true] {
                let case = format!("{way:?}, ready: {ready}, aborts: {aborts}");
                let here = Place::here_inside();
                let drops = Drops::default();
                let runtime = Runtime::new().unwrap();
                let ended = runtime.block_on(async {
                    let (send, own) = oneshot::channel::<JoinHandle<()>>();
                    let (probe, mut own) = (drops.probe(), own);
                    let task = way.spawn(async move {
                        let _probe = probe;
                        let mut handle = (&mut own).await.ok();
                        poll_fn(|_| {
                            // It gives its handle away, or aborts itself through it.
                            let handle = handle.take();
                            if aborts && let Some(handle) = &handle {
                                handle.abort();
                            }
                            match ready {
                                true => Poll::Ready(()),
                                false => Poll::Pending,
                            }
                        })
                        .await;
                    });
                    let abort = task.abort_handle();
                    send.send(task).ok().unwrap();
                    settle().await;
                    let ended = drops.count() == 1;
                    abort.abort();
                    settle().await;
                    ended
                });
                assert_eq!(ended, ready || aborts, "{case}");
                assert_eq!(drops.places(), [here], "{case}");
            }
        }
    }
}
