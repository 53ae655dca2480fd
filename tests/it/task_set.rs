//! Sets of tasks.

use crate::support::{block_on, settle};
use crate::task_probes::{Drops, panic_text};
use futures::FutureExt;
use futures::channel::oneshot;
use glassfrog::task::{self, JoinSet, yield_now};
use glassfrog::{Runtime, spawn};
use std::cell::Cell;
use std::collections::HashMap;
use std::future::{pending, poll_fn};
use std::rc::Rc;
use std::task::Poll;

/// A set is `Send` and `Sync`, as handles are, for any output.
const _: fn() = || {
    fn crosses<T: Send + Sync + Unpin>() {}
    crosses::<JoinSet<Rc<()>>>();
};

#[test]
fn tasks_are_joined_in_the_order_they_finish() {
    block_on(async {
        let mut set = JoinSet::new();
        let senders: Vec<_> = (0..5)
            .map(|n| {
                let (send, receive) = oneshot::channel::<()>();
                set.spawn(async move {
                    receive.await.unwrap();
                    n
                });
                Some(send)
            })
            .collect();
        let mut senders = senders;
        for n in [3, 0, 4, 1, 2] {
            assert!(set.join_next().now_or_never().is_none());
            senders[n].take().unwrap().send(()).unwrap();
            assert_eq!(set.join_next().await.unwrap().unwrap(), n);
        }
        assert!(set.join_next().await.is_none());
        assert!(set.is_empty());
    });
}

#[test]
fn every_outcome_is_returned_once() {
    const TASKS: usize = 10_000;
    block_on(async {
        let mut set = JoinSet::new();
        for n in 0..TASKS {
            set.spawn(async move {
                for _ in 0..n % 3 {
                    yield_now().await;
                }
                assert_ne!(n % 1000, 999, "one in a thousand");
                n
            });
        }
        assert_eq!(set.len(), TASKS);
        let (mut seen, mut panics) = (vec![false; TASKS], 0);
        while let Some(outcome) = set.join_next().await {
            match outcome {
                Ok(n) => assert!(!std::mem::replace(&mut seen[n], true)),
                Err(error) => panics += usize::from(error.is_panic()),
            }
        }
        assert_eq!(panics, 10);
        assert_eq!(seen.iter().filter(|seen| **seen).count(), TASKS - panics);
    });
}

#[test]
fn dropping_a_set_aborts_its_tasks() {
    block_on(async {
        let drops = Drops::default();
        let mut set = JoinSet::new();
        for _ in 0..10 {
            let probe = drops.probe();
            set.spawn(async move {
                let _probe = probe;
                pending::<()>().await;
            });
        }
        settle().await;
        assert_eq!(drops.count(), 0);
        drop(set);
        settle().await;
        assert_eq!(drops.count(), 10);
    });
}

#[test]
fn shutdown_waits_until_every_task_is_dropped() {
    block_on(async {
        let drops = Drops::default();
        let mut set = JoinSet::new();
        for waits in [true, false, true] {
            let probe = drops.probe();
            set.spawn(async move {
                let _probe = probe;
                if waits {
                    pending::<()>().await;
                }
            });
        }
        set.shutdown().await;
        assert_eq!(drops.count(), 3);
        assert!(set.is_empty());
        // It can be used again.
        set.spawn(async {});
        assert!(set.join_next().await.unwrap().is_ok());
    });
}

#[test]
fn a_cancelled_join_loses_no_output() {
    block_on(async {
        let (send, receive) = oneshot::channel();
        let mut set = JoinSet::new();
        set.spawn(async { receive.await.unwrap() });
        for _ in 0..3 {
            assert!(set.join_next().now_or_never().is_none());
        }
        send.send(7).unwrap();
        settle().await;
        assert_eq!(
            set.join_next().now_or_never().flatten().unwrap().unwrap(),
            7
        );
    });
}

/// A poll outside the runtime of the tasks panics, and the caller may catch the panic.
#[test]
fn a_poll_that_panics_on_another_thread_loses_no_task() {
    block_on(async {
        let mut set = JoinSet::new();
        for n in 0..3 {
            set.spawn(async move { n });
        }
        // Each of these polls another member first.
        for _ in 0..2 {
            let foreign = std::thread::spawn(move || {
                let text = panic_text(|| set.try_join_next());
                (set, text)
            });
            let text;
            (set, text) = foreign.join().unwrap();
            assert!(text.contains("outside the task's runtime"), "{text}");
        }
        settle().await;
        let mut outputs = Vec::new();
        while let Some(outcome) = set.join_next().now_or_never().expect("no task is lost") {
            outputs.push(outcome.unwrap());
        }
        outputs.sort_unstable();
        assert_eq!(outputs, [0, 1, 2]);
    });
}

#[test]
fn try_join_next_has_no_budget() {
    block_on(async {
        let mut set = JoinSet::new();
        for n in 0..1000 {
            set.spawn(async move { n });
        }
        assert!(set.try_join_next().is_none());
        settle().await;
        let mut joined = 0;
        while let Some(outcome) = set.try_join_next() {
            assert_eq!(outcome.unwrap(), joined);
            joined += 1;
        }
        assert_eq!(joined, 1000);
    });
}

#[test]
fn joining_every_task_lets_other_tasks_run() {
    block_on(async {
        let mut set = JoinSet::new();
        for _ in 0..1000 {
            set.spawn(async {});
        }
        settle().await;
        let polls = Rc::new(Cell::new(0));
        let theirs = Rc::clone(&polls);
        let joined = spawn(async move {
            let mut all = Box::pin(async move {
                let mut joined = 0;
                while set.join_next().await.is_some() {
                    joined += 1;
                }
                joined
            });
            poll_fn(move |cx| {
                theirs.set(theirs.get() + 1);
                all.as_mut().poll(cx)
            })
            .await
        });
        assert_eq!(joined.await.unwrap(), 1000);
        assert!(polls.get() >= 1000 / 128, "{} polls", polls.get());
    });
}

#[test]
fn the_end_of_one_task_polls_only_that_task() {
    /// Counts its polls.
    struct Counted(Rc<Cell<usize>>, oneshot::Receiver<()>);
    impl Future for Counted {
        type Output = ();
        fn poll(mut self: std::pin::Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<()> {
            self.0.set(self.0.get() + 1);
            self.1.poll_unpin(cx).map(|_| ())
        }
    }
    block_on(async {
        let polls = Rc::new(Cell::new(0));
        let mut set = JoinSet::new();
        let mut senders = Vec::new();
        for _ in 0..1000 {
            let (send, receive) = oneshot::channel();
            senders.push(send);
            set.spawn(Counted(Rc::clone(&polls), receive));
        }
        assert!(set.join_next().now_or_never().is_none());
        settle().await;
        assert_eq!(polls.replace(0), 1000);
        senders.pop().unwrap().send(()).unwrap();
        assert!(set.join_next().await.unwrap().is_ok());
        assert_eq!(polls.get(), 1);
    });
}

#[test]
fn a_set_outlives_its_block_on_call_and_its_runtime() {
    let runtime = Runtime::new().unwrap();
    let mut set = runtime.block_on(async {
        let mut set = JoinSet::new();
        set.spawn(async { 1 });
        set.spawn(pending());
        set
    });
    runtime.block_on(async {
        assert_eq!(set.join_next().await.unwrap().unwrap(), 1);
    });
    drop(runtime);
    block_on(async {
        assert!(set.join_next().await.unwrap().unwrap_err().is_cancelled());
        assert!(set.join_next().await.is_none());
    });
}

#[test]
fn each_outcome_comes_with_the_id_of_its_task() {
    block_on(async {
        let mut set = JoinSet::new();
        let mut inputs = HashMap::new();
        for n in 0..10 {
            let task = set.spawn(async move {
                assert!(n % 3 != 0, "divisible by three");
                n
            });
            inputs.insert(task.id(), n);
        }
        let mut outcomes = vec![set.join_next_with_id().await.unwrap()];
        settle().await;
        outcomes.push(set.try_join_next_with_id().unwrap());
        outcomes.push(poll_fn(|cx| set.poll_join_next_with_id(cx)).await.unwrap());
        while let Some(outcome) = set.join_next_with_id().await {
            outcomes.push(outcome);
        }
        assert_eq!(outcomes.len(), 10);
        for outcome in outcomes {
            let (id, divisible) = match outcome {
                Ok((id, n)) => {
                    assert_eq!(inputs[&id], n);
                    (id, false)
                }
                Err(error) => (error.id(), true),
            };
            assert_eq!(inputs.remove(&id).unwrap() % 3 == 0, divisible);
        }
        assert!(set.try_join_next_with_id().is_none());
        assert!(set.join_next_with_id().await.is_none());
    });
}

#[test]
fn the_name_of_a_set_task_appears_in_its_error_and_in_the_dump() {
    block_on(async {
        let mut set = JoinSet::<()>::new();
        let line = line!() + 1;
        let writer = set.build_task().name("writer").spawn(pending());
        let nameless = set.build_task().spawn(async { panic!("without a name") });
        settle().await;
        let dump = task::dump().to_string();
        let row = dump.lines().find(|row| row.starts_with("1 \"writer\""));
        let place = format!("task_set.rs:{line} ");
        assert!(row.is_some_and(|row| row.contains(&place)), "{dump}");

        let error = set.join_next().await.unwrap().unwrap_err();
        assert_eq!((error.name(), error.id()), (None, nameless.id()));
        writer.abort();
        let error = set.join_next_with_id().await.unwrap().unwrap_err();
        assert_eq!((error.name(), error.id()), (Some("writer"), writer.id()));
        assert!(set.is_empty());
    });
}
