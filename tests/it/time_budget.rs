//! Deadlines beside futures that are always ready: they fire however much a poll has to do, and no task starves.
//! Counted in operations.

use crate::support::{accepted, block_on, settle};
use crate::task_probes::{counted, inside};
use futures::future::{Either, select};
use futures::stream::{FuturesUnordered, StreamExt};
use futures::{FutureExt, select_biased};
use glassfrog::net::TcpStream;
use glassfrog::task::{JoinSet, scope, try_scope, yield_now};
use glassfrog::time::{interval, now, sleep_until, timeout, timeout_at};
use glassfrog::{Runtime, spawn};
use std::cell::Cell;
use std::io::Write;
use std::net;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// The maximum number of operations in one poll.
const OPERATIONS: usize = 128;

/// The maximum number of polls before the loop notices a deadline.
const POLLS: usize = 128;

/// The distance of the deadlines, longer than a few polls.
const LIMIT: Duration = Duration::from_millis(3);

/// Operations that are ready whenever they are polled.
struct Ready {
    /// The stream that they use: a byte has arrived and stays.
    stream: TcpStream,
    /// The other end.
    _peer: net::TcpStream,
    /// The deadline of the operations.
    deadline: Instant,
    /// The number of operations after the deadline.
    late: Cell<usize>,
}

impl Ready {
    /// Creates operations with a deadline.
    async fn new() -> Ready {
        let (stream, mut peer) = accepted().await;
        peer.write_all(b"!").unwrap();
        stream.readable().await.unwrap();
        assert_eq!(stream.peek(&mut [0]).await.unwrap(), 1);
        Ready {
            stream,
            _peer: peer,
            deadline: now() + LIMIT,
            late: Cell::new(0),
        }
    }

    /// Performs an operation.
    async fn op(&self) {
        assert_eq!(self.stream.peek(&mut [0]).await.unwrap(), 1);
        self.note();
    }

    /// Counts an operation performed elsewhere.
    fn note(&self) {
        if now() > self.deadline {
            self.late.set(self.late.get() + 1);
        }
        // More operations than any test allows: this one would never end.
        assert!(
            self.late.get() < 100 * POLLS * OPERATIONS,
            "no deadline came"
        );
    }

    /// Performs operations in a loop.
    async fn ops(&self) {
        loop {
            self.op().await;
        }
    }

    /// Asserts that at most this many operations followed the deadline in the named case.
    fn assert_late(&self, most: usize, case: &str) {
        assert!(now() >= self.deadline, "{case} ended early");
        let late = self.late.get();
        assert!(
            late <= most,
            "{case}: {late} operations after the deadline, at most {most}"
        );
    }
}

/// Runs a case, whose operations must end soon after the deadline.
fn law(case: &str, most: usize, run: impl AsyncFnOnce(&Ready)) {
    block_on(async {
        let ready = Ready::new().await;
        run(&ready).await;
        ready.assert_late(most, case);
    });
}

#[test]
fn a_deadline_fires_beside_an_always_ready_branch() {
    // The loop notices the deadline, and the branch has one more poll before the deadline has its own.
    const MOST: usize = (POLLS + 1) * OPERATIONS;
    law("timeout", MOST, async |ready| {
        timeout(LIMIT, ready.ops()).await.unwrap_err();
        assert!(now() >= ready.deadline);
    });
    law("timeout_at", MOST, async |ready| {
        timeout_at(ready.deadline, ready.ops()).await.unwrap_err();
    });
    law("sleep second", MOST, async |ready| {
        select(pin!(ready.ops()), sleep_until(ready.deadline)).await;
    });
    law("sleep first", MOST, async |ready| {
        select(sleep_until(ready.deadline), pin!(ready.ops())).await;
    });
    law("select_biased!", MOST, async |ready| {
        let mut end = sleep_until(ready.deadline).fuse();
        loop {
            select_biased! {
                () = Box::pin(ready.op()).fuse() => {}
                () = end => break,
            }
        }
    });
    law("select!", MOST, async |ready| {
        let mut end = sleep_until(ready.deadline).fuse();
        loop {
            futures::select! {
                () = Box::pin(ready.op()).fuse() => {}
                () = end => break,
            }
        }
    });
    law("JoinSet", MOST, async |ready| {
        let mut end = sleep_until(ready.deadline);
        let mut empty = JoinSet::<()>::new();
        while let Either::Left((None, _)) = select(pin!(empty.join_next()), &mut end).await {
            ready.note();
        }
    });
}

#[test]
fn a_deadline_fires_among_many_always_ready_futures() {
    for count in [1, 10, 300] {
        // Each of the others may have its turn before the first poll of the sleep, which may be late on a slow
        // machine, and once more between the deadline and the second poll.
        let most = (POLLS + 2 * count + 1) * OPERATIONS;
        law("FuturesUnordered", most, async |ready| {
            let mut all = FuturesUnordered::<Pin<Box<dyn Future<Output = ()>>>>::new();
            for _ in 0..count {
                all.push(Box::pin(ready.ops()));
            }
            all.push(Box::pin(sleep_until(ready.deadline)));
            all.next().await.unwrap();
        });
        law("FuturesUnordered, filled again", most, async |ready| {
            let mut all = FuturesUnordered::<Pin<Box<dyn Future<Output = bool>>>>::new();
            let op = || {
                Box::pin(async {
                    ready.op().await;
                    true
                })
            };
            for _ in 0..count {
                all.push(op());
            }
            all.push(Box::pin(async {
                sleep_until(ready.deadline).await;
                false
            }));
            while all.next().await.unwrap() {
                all.push(op());
            }
        });
        law("scope", most, async |ready| {
            let ended = try_scope(async |children| {
                for _ in 0..count {
                    children.spawn(async {
                        ready.ops().await;
                        Ok::<(), ()>(())
                    });
                }
                children.spawn(async {
                    sleep_until(ready.deadline).await;
                    Err::<(), ()>(())
                });
                Ok(())
            });
            ended.await.unwrap_err();
        });
    }
}

#[test]
fn a_deadline_for_each_operation_ends_a_loop_of_always_ready_operations() {
    law("timeout_at", OPERATIONS, async |ready| {
        while timeout_at(ready.deadline, ready.op()).await.is_ok() {}
    });
    law("sleep second", OPERATIONS, async |ready| {
        let round = || select(Box::pin(ready.op()), sleep_until(ready.deadline));
        while let Either::Left(_) = round().await {}
    });
    law("sleep first", OPERATIONS, async |ready| {
        let round = || select(sleep_until(ready.deadline), Box::pin(ready.op()));
        while let Either::Right(_) = round().await {}
    });
    law("select_biased!", OPERATIONS, async |ready| {
        loop {
            select_biased! {
                () = Box::pin(ready.op()).fuse() => {}
                () = sleep_until(ready.deadline).fuse() => break,
            }
        }
    });
    law("select!", OPERATIONS, async |ready| {
        loop {
            futures::select! {
                () = Box::pin(ready.op()).fuse() => {}
                () = sleep_until(ready.deadline).fuse() => break,
            }
        }
    });
    law("FuturesUnordered", OPERATIONS, async |ready| {
        let mut is_late = false;
        while !is_late {
            let mut both = FuturesUnordered::<Pin<Box<dyn Future<Output = bool>>>>::new();
            both.push(Box::pin(async {
                ready.op().await;
                false
            }));
            both.push(Box::pin(async {
                sleep_until(ready.deadline).await;
                true
            }));
            is_late = both.next().await.unwrap();
        }
    });
    law("the child of a scope", OPERATIONS, async |ready| {
        let end = scope(async |children| {
            children.spawn(async { while timeout_at(ready.deadline, ready.op()).await.is_ok() {} });
        });
        end.await;
    });
    law("JoinSet", OPERATIONS, async |ready| {
        let mut empty = JoinSet::<()>::new();
        while let Ok(None) = timeout_at(ready.deadline, empty.join_next()).await {
            ready.note();
        }
    });
}

/// Runs this many rounds in a task, and returns the maximum number of rounds in one poll.
async fn most_in_one_poll(rounds: usize, mut round: impl AsyncFnMut() + 'static) -> usize {
    let polls = Rc::new(Cell::new(0));
    let theirs = Rc::clone(&polls);
    let task = async move {
        let (mut poll, mut count, mut most) = (0, 0, 0);
        for _ in 0..rounds {
            round().await;
            if poll != theirs.get() {
                (poll, count) = (theirs.get(), 0);
            }
            count += 1;
            most = most.max(count);
        }
        most
    };
    spawn(counted(&polls, task)).await.unwrap()
}

#[test]
fn a_task_that_continues_after_its_deadline_lets_other_tasks_run() {
    const ROUNDS: usize = 20 * OPERATIONS;
    block_on(async {
        // Each poll performs its operations, and then this many deadlines.
        let ready = Ready::new().await;
        let past = now();
        let round = async move || {
            let _either = timeout_at(past, ready.op()).await;
        };
        let most = most_in_one_poll(ROUNDS, round).await;
        assert!((OPERATIONS..=2 * OPERATIONS + 1).contains(&most), "{most}");

        let ready = Ready::new().await;
        let round = async move || {
            select(Box::pin(ready.op()), sleep_until(past)).await;
        };
        let most = most_in_one_poll(ROUNDS, round).await;
        assert!(most <= 2 * OPERATIONS + 1, "{most}");

        // No operation after the first ones.
        let ready = Ready::new().await;
        let begun = Cell::new(false);
        let round = async move || {
            if !begun.replace(true) {
                for _ in 0..OPERATIONS {
                    ready.op().await;
                }
            }
            sleep_until(past).await;
        };
        let most = most_in_one_poll(ROUNDS, round).await;
        assert!(most <= OPERATIONS + 1, "{most}");
    });
}

#[test]
fn a_zero_timeout_polls_each_operation_once() {
    const TOTAL: usize = 10 * OPERATIONS + 1;
    block_on(async {
        let (stream, mut peer) = accepted().await;
        peer.write_all(&[7; TOTAL]).unwrap();
        while stream.peek(&mut [0; TOTAL]).await.unwrap() < TOTAL {
            yield_now().await;
        }
        // Available data is read, however many polls that takes.
        for _ in 0..TOTAL {
            let read = timeout(Duration::ZERO, stream.read(&mut [0])).await;
            assert_eq!(read.unwrap().unwrap(), 1);
        }
        let read = timeout(Duration::ZERO, stream.read(&mut [0])).await;
        assert!(read.is_err());
    });
}

#[test]
fn an_interval_that_is_always_late_lets_other_tasks_run() {
    const TICKS: usize = 10 * OPERATIONS;
    block_on(async {
        let mut ticks = interval(Duration::from_nanos(1));
        let round = async move || {
            ticks.tick().await;
        };
        assert!(most_in_one_poll(TICKS, round).await <= 2);
        // Nor do all ticks arrive at once where operations have spent the budget.
        let (ready, mut ticks) = (Ready::new().await, interval(Duration::from_nanos(1)));
        let round = async move || {
            ready.op().await;
            ticks.tick().await;
        };
        assert!(most_in_one_poll(TICKS, round).await <= 2 * OPERATIONS);
    });
}

#[test]
fn one_poll_joins_at_most_128_tasks_of_a_set() {
    const TASKS: usize = 10 * OPERATIONS;
    block_on(async {
        let mut set = JoinSet::new();
        for _ in 0..TASKS {
            set.spawn(async {});
        }
        settle().await;
        let round = async move || set.join_next().await.unwrap().unwrap();
        let most = most_in_one_poll(TASKS, round).await;
        assert!(most <= OPERATIONS, "{most} tasks joined in one poll");
    });
}

#[test]
fn one_poll_joins_at_most_128_children_of_a_scope() {
    const CHILDREN: usize = 10 * OPERATIONS;
    block_on(async {
        let polls = Rc::new(Cell::new(0));
        let theirs = Rc::clone(&polls);
        let joins = async move {
            scope(async |children| {
                let handles: Vec<_> = (0..CHILDREN).map(|_| children.spawn(async {})).collect();
                // All have finished before the first is joined.
                settle().await;
                let (mut poll, mut count, mut most) = (0, 0, 0);
                for handle in handles {
                    handle.await;
                    if poll != theirs.get() {
                        (poll, count) = (theirs.get(), 0);
                    }
                    count += 1;
                    most = most.max(count);
                }
                most
            })
            .await
        };
        let most = spawn(counted(&polls, joins)).await.unwrap();
        assert!(most <= OPERATIONS, "{most} children joined in one poll");
    });
}

#[test]
fn a_deadline_fires_beside_the_joins_of_a_scope() {
    law("scope", (POLLS + 1) * OPERATIONS, async |ready| {
        let joins = scope(async |children| {
            loop {
                children.spawn(async {}).await;
                ready.note();
            }
        });
        timeout_at(ready.deadline, joins).await.unwrap_err();
    });
}

#[test]
fn a_sleep_whose_runtime_has_ended_panics_even_without_budget() {
    let other = Runtime::new().unwrap();
    let orphan = inside(&other, || sleep_until(now()));
    drop(other);
    block_on(async {
        let ready = Ready::new().await;
        let task = spawn(async move {
            for _ in 0..OPERATIONS {
                ready.op().await;
            }
            orphan.await;
        });
        let panic = task.await.unwrap_err().into_panic();
        let text = panic.downcast_ref::<&str>().unwrap();
        assert!(text.contains("has ended"), "{text}");
    });
}
