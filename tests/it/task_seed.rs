//! Seeds: tasks run in a different order for each seed, and in the same order for the same seed.

use crate::support::{settle, watchdog};
use crate::task_probes::Drops;
use futures::StreamExt;
use futures::channel::{mpsc, oneshot};
use glassfrog::task::{JoinError, JoinSet, yield_now};
use glassfrog::time::{Sleep, now, sleep};
use glassfrog::{Runtime, spawn};
use proptest::prelude::*;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

/// The recorded events, in order.
type Order<T> = Rc<RefCell<Vec<T>>>;

/// Builds a runtime with this seed, or without one, and with a clock that adds no disorder.
fn runtime(seed: Option<u64>) -> Runtime {
    let builder = Runtime::builder().virtual_clock();
    match seed {
        Some(seed) => builder.seed(seed).build().unwrap(),
        None => builder.build().unwrap(),
    }
}

/// Runs a future on its own runtime with this seed.
fn block_on<F: Future>(seed: impl Into<Option<u64>>, future: F) -> F::Output {
    let _watchdog = watchdog();
    runtime(seed.into()).block_on(future)
}

/// Returns the order in which tasks run that exercise every kind of wake.
fn trace(seed: u64) -> Vec<(usize, u32)> {
    block_on(seed, async {
        let order = Order::default();
        let (send, mut receive) = mpsc::unbounded();
        let mut set = JoinSet::new();
        let tasks: Vec<_> = (0..5)
            .map(|task| {
                let (order, send) = (Rc::clone(&order), send.clone());
                set.spawn({
                    let order = Rc::clone(&order);
                    async move {
                        sleep(Duration::from_secs(1)).await;
                        order.borrow_mut().push((task, 100));
                    }
                });
                spawn(async move {
                    for step in 0..5 {
                        order.borrow_mut().push((task, step));
                        yield_now().await;
                        send.unbounded_send((task, step)).unwrap();
                    }
                    let order = Rc::clone(&order);
                    let child = spawn(async move { order.borrow_mut().push((task, 200)) });
                    if task % 2 == 0 {
                        child.abort();
                    }
                    child.await.is_ok()
                })
            })
            .collect();
        drop(send);
        while let Some((task, step)) = receive.next().await {
            order.borrow_mut().push((task, 300 + step));
        }
        for (number, task) in tasks.into_iter().enumerate() {
            let outcome = task.await.unwrap();
            order.borrow_mut().push((number, 400 + u32::from(outcome)));
        }
        while set.join_next().await.is_some() {
            order.borrow_mut().push((0, 500));
        }
        order.take()
    })
}

#[test]
fn equal_seeds_give_equal_orders_and_different_seeds_different_ones() {
    const SEEDS: u64 = 50;
    let of_all: BTreeSet<_> = (0..SEEDS / 2)
        .chain(u64::MAX - SEEDS / 2 + 1..=u64::MAX)
        .map(|seed| {
            let order = trace(seed);
            assert_eq!(order, trace(seed), "seed {seed}");
            order
        })
        .collect();
    assert_eq!(of_all.len(), SEEDS as usize);
}

#[test]
fn a_reused_builder_builds_runtimes_with_the_same_order() {
    let _watchdog = watchdog();
    let builder = Runtime::builder().virtual_clock().seed(7);
    let orders = [builder.clone(), builder].map(|builder| {
        let runtime = builder.build().unwrap();
        runtime.block_on(order_of_ready(Ready::Spawned, 20))
    });
    assert_eq!(orders[0], orders[1]);
}

/// The ways in which several tasks become ready at once.
#[derive(Clone, Copy, Debug)]
enum Ready {
    /// They are new.
    Spawned,
    /// They are new; one of them is the root future, which yields.
    SpawnedOrRoot,
    /// They are new; the order in which their set is joined counts.
    SpawnedIntoASet,
    /// They have the same deadline.
    Due,
    /// One task wakes them all.
    Woken,
}

/// Returns the order in which this many tasks run that become ready at once.
async fn order_of_ready(ready: Ready, tasks: usize) -> Vec<usize> {
    let order = Order::default();
    let (mut set, mut senders) = (JoinSet::new(), Vec::new());
    for task in 0..tasks {
        let order = Rc::clone(&order);
        let run = move || order.borrow_mut().push(task);
        match ready {
            Ready::SpawnedOrRoot if task == tasks - 1 => {
                yield_now().await;
                run();
            }
            Ready::Spawned | Ready::SpawnedOrRoot => drop(spawn(async move { run() })),
            Ready::SpawnedIntoASet => drop(set.spawn(async { run })),
            Ready::Due => drop(spawn(async move {
                sleep(Duration::from_secs(1)).await;
                run();
            })),
            Ready::Woken => {
                let (send, receive) = oneshot::channel::<()>();
                senders.push(send);
                drop(spawn(async move {
                    receive.await.unwrap_err();
                    run();
                }));
            }
        }
    }
    while let Some(run) = set.join_next().await {
        run.unwrap()();
    }
    // By the virtual clock: when all of them wait, and when they have finished.
    sleep(Duration::from_nanos(1)).await;
    drop(senders);
    sleep(Duration::from_secs(2)).await;
    order.take()
}

#[test]
fn every_order_of_ready_tasks_occurs() {
    const TASKS: usize = 4;
    const ORDERS: usize = 4 * 3 * 2;
    for ready in [
        Ready::Spawned,
        Ready::SpawnedOrRoot,
        Ready::SpawnedIntoASet,
        Ready::Due,
        Ready::Woken,
    ] {
        let fifo = Vec::from_iter(0..TASKS);
        assert_eq!(
            block_on(None, order_of_ready(ready, TASKS)),
            fifo,
            "{ready:?}"
        );
        let mut counts = BTreeMap::new();
        for seed in 0..(ORDERS as u64 * 30) {
            let order = block_on(seed, order_of_ready(ready, TASKS));
            *counts.entry(order).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), ORDERS, "{ready:?}");
        // The mean would be 30 of each.
        let (least, most) = (counts.values().min(), counts.values().max());
        assert!(
            least > Some(&10) && most < Some(&60),
            "{ready:?} {counts:?}"
        );
    }
}

/// The tasks that a task wakes, for each of its polls.
type Script = Vec<Vec<usize>>;

fn scripts() -> impl Strategy<Value = Vec<Script>> {
    (1..8_usize).prop_flat_map(|tasks| {
        let wakes = prop::collection::vec(0..tasks, 0..4);
        let script = prop::collection::vec(wakes, 0..60);
        prop::collection::vec(script, tasks)
    })
}

/// The state that the tasks share.
#[derive(Default)]
struct World {
    /// The wakers of the tasks polled so far.
    wakers: Vec<Option<Waker>>,
    /// The recorded polls.
    polled: Vec<usize>,
}

/// Performs one poll of a scripted task.
fn follow(
    world: &RefCell<World>,
    task: usize,
    script: &mut dyn Iterator<Item = Vec<usize>>,
    waker: &Waker,
) {
    let world = &mut *world.borrow_mut();
    world.polled.push(task);
    world.wakers[task] = Some(waker.clone());
    for woken in script.next().into_iter().flatten() {
        // An unpolled task is ready anyway.
        if let Some(waker) = &world.wakers[woken] {
            waker.wake_by_ref();
        }
    }
}

/// Runs scripted tasks until none is ready. The first is the root future, which spawns the others. Returns the order
/// of the polls.
fn polls(seed: Option<u64>, scripts: &[Script]) -> Vec<usize> {
    let world = Rc::new(RefCell::new(World::default()));
    world.borrow_mut().wakers.resize(scripts.len(), None);
    let mut root = scripts[0].clone().into_iter();
    // The virtual clock ends it when no task can run.
    let mut end: Option<Sleep> = None;
    block_on(
        seed,
        poll_fn(|cx| {
            let first = end.is_none();
            let end = end.get_or_insert_with(|| sleep(Duration::from_secs(1)));
            if Pin::new(end).poll(cx).is_ready() {
                return Poll::Ready(());
            }
            if first {
                for (task, script) in scripts.iter().enumerate().skip(1) {
                    let (world, mut script) = (Rc::clone(&world), script.clone().into_iter());
                    drop(spawn(poll_fn(move |cx| -> Poll<()> {
                        follow(&world, task, &mut script, cx.waker());
                        Poll::Pending
                    })));
                }
            }
            follow(&world, 0, &mut root, cx.waker());
            Poll::Pending
        }),
    );
    world.take().polled
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn without_a_seed_the_run_queue_is_first_in_first_out(scripts in scripts()) {
        let mut scripted: Vec<_> = scripts.iter().map(|script| script.iter()).collect();
        let mut queue = VecDeque::from([0]);
        let (mut expected, mut begun) = (Vec::new(), false);
        while let Some(task) = queue.pop_front() {
            expected.push(task);
            if !std::mem::replace(&mut begun, true) {
                queue.extend(1..scripts.len());
            }
            for woken in scripted[task].next().into_iter().flatten() {
                if !queue.contains(woken) {
                    queue.push_back(*woken);
                }
            }
        }
        prop_assert_eq!(polls(None, &scripts), expected);
    }

    #[test]
    fn a_seed_loses_no_ready_task_and_passes_each_over_at_most_64_times(
        scripts in scripts(),
        seed in any::<u64>(),
    ) {
        most_passes(&polls(Some(seed), &scripts), &scripts)?;
    }
}

/// Checks with a separate queue that only ready tasks were polled and that none is left. Returns the maximum number
/// of times that a ready task was passed over.
fn most_passes(polled: &[usize], scripts: &[Script]) -> Result<u32, TestCaseError> {
    let mut scripted: Vec<_> = scripts.iter().map(|script| script.iter()).collect();
    // The ready tasks in order of arrival, each with the number of times that it was passed over.
    let mut queue = vec![(0, 0)];
    let (mut begun, mut most) = (false, 0);
    for task in polled {
        let place = queue.iter().position(|(ready, _)| ready == task);
        prop_assert!(place.is_some(), "{} is not in {:?}", task, queue);
        let place = place.unwrap();
        queue.remove(place);
        for (_, passes) in &mut queue[..place] {
            *passes += 1;
            most = most.max(*passes);
        }
        prop_assert!(most <= 64, "{:?}", queue);
        // So it suffices that the runtime limits how many times the first one is passed over.
        prop_assert!(queue.iter().rev().is_sorted_by_key(|(_, passes)| passes));
        if !std::mem::replace(&mut begun, true) {
            queue.extend((1..scripts.len()).map(|task| (task, 0)));
        }
        for woken in scripted[*task].next().into_iter().flatten() {
            if queue.iter().all(|(ready, _)| ready != woken) {
                queue.push((*woken, 0));
            }
        }
    }
    prop_assert!(queue.is_empty(), "lost: {:?}", queue);
    Ok(most)
}

#[test]
fn a_ready_task_among_many_is_passed_over_at_most_64_times() {
    const TASKS: usize = 200;
    let scripts: Vec<Script> = (0..TASKS).map(|task| vec![vec![task]; 20]).collect();
    for seed in 0..5 {
        let most = most_passes(&polls(Some(seed), &scripts), &scripts);
        assert_eq!(most.unwrap(), 64, "seed {seed}");
    }
}

/// Returns the order in which this many tasks take this many steps, and yield in between.
fn order_of_steps(seed: u64, tasks: usize, steps: usize) -> Vec<usize> {
    block_on(seed, async {
        let order = Order::default();
        let tasks: Vec<_> = (0..tasks)
            .map(|task| {
                let order = Rc::clone(&order);
                spawn(async move {
                    for step in 0..steps {
                        if step > 0 {
                            yield_now().await;
                        }
                        order.borrow_mut().push(task);
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        order.take()
    })
}

#[test]
fn every_interleaving_of_yielding_tasks_occurs() {
    // (2 · 3)! / 3!², (3 · 2)! / 2!³ and (2 · 4)! / 4!².
    for (tasks, steps, interleavings) in [(2, 3, 20), (3, 2, 90), (2, 4, 70)] {
        let orders: BTreeSet<_> = (0..3000)
            .map(|seed| order_of_steps(seed, tasks, steps))
            .collect();
        assert_eq!(orders.len(), interleavings, "{tasks} tasks, {steps} steps");
    }
}

#[test]
fn within_a_thousand_seeds_each_of_three_tasks_runs_five_steps_first() {
    let mut missing = BTreeSet::from([[0; 5], [1; 5], [2; 5]]);
    for seed in 0..1000 {
        let order = order_of_steps(seed, 3, 6);
        missing.retain(|steps| !order.starts_with(steps));
    }
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn a_seed_gives_the_same_order_on_every_platform() {
    assert_eq!(
        order_of_steps(2026, 5, 4),
        [1, 1, 2, 3, 3, 4, 2, 0, 0, 2, 1, 0, 2, 4, 1, 0, 3, 4, 3, 4]
    );
}

#[test]
fn tasks_left_ready_by_one_call_are_polled_in_the_next() {
    const TASKS: usize = 10;
    let _watchdog = watchdog();
    let mut cut_short = 0;
    for seed in 0..50 {
        let runtime = runtime(Some(seed));
        let order = Order::default();
        runtime.block_on(async {
            for task in 0..TASKS {
                let order = Rc::clone(&order);
                drop(spawn(async move { order.borrow_mut().push(task) }));
            }
            yield_now().await;
        });
        cut_short += usize::from(order.borrow().len() < TASKS);
        runtime.block_on(settle());
        let mut order = order.take();
        order.sort_unstable();
        assert_eq!(order, Vec::from_iter(0..TASKS), "seed {seed}");
    }
    assert!(cut_short > 25, "{cut_short}");
}

#[test]
fn a_task_that_yields_until_another_has_run_yields_at_most_65_times() {
    for seed in 0..100 {
        block_on(seed, async {
            let tasks: Vec<_> = (0..200).map(|_| spawn(async {})).collect();
            for _ in 0..65 {
                yield_now().await;
            }
            assert!(tasks.iter().all(|task| task.is_finished()), "seed {seed}");
        });
    }
}

#[test]
fn aborted_tasks_are_dropped_once_in_any_order() {
    for seed in 0..50 {
        let drops = Drops::default();
        block_on(seed, async {
            let tasks: Vec<_> = (0..20)
                .map(|number| {
                    let probe = drops.probe();
                    spawn(async move {
                        let _probe = probe;
                        if number % 2 == 0 {
                            pending::<()>().await;
                        }
                        yield_now().await;
                    })
                })
                .collect();
            yield_now().await;
            for task in &tasks {
                task.abort();
                task.abort();
            }
            for task in tasks {
                // Finished tasks have an output.
                let _outcome = task.await;
            }
            assert_eq!(drops.count(), 20);
            let before = now();
            sleep(Duration::from_secs(1)).await;
            assert_eq!(now() - before, Duration::from_secs(1));
        });
        assert_eq!(drops.count(), 20);
    }
}

/// Runs a buggy program: of two tasks that each increment a counter, one may overwrite the update of the other.
fn program_that_loses_updates(seed: u64) -> u32 {
    block_on(seed, async {
        let count = Rc::new(Cell::new(0));
        let tasks = [(); 2].map(|()| {
            let count = Rc::clone(&count);
            spawn(async move {
                let read = count.get();
                yield_now().await;
                count.set(read + 1);
            })
        });
        for task in tasks {
            task.await.unwrap();
        }
        count.get()
    })
}

#[test]
fn some_of_64_seeds_expose_a_lost_update_and_others_do_not() {
    let lost = (0..64).filter(|seed| program_that_loses_updates(*seed) == 1);
    let lost = lost.count();
    // Half of them, since the second choice is between the two tasks.
    assert!((16..48).contains(&lost), "{lost}");
}

/// Runs a buggy program: one task assumes that the other has already run.
fn program_with_a_mistake(seed: Option<u64>) -> Result<u32, JoinError> {
    block_on(seed, async {
        let table = Rc::new(RefCell::new(None));
        let theirs = Rc::clone(&table);
        let loading = spawn(async move {
            yield_now().await;
            *theirs.borrow_mut() = Some(7);
        });
        let using = spawn(async move {
            yield_now().await;
            table.borrow().expect("loaded by now")
        });
        loading.await?;
        using.await
    })
}

#[test]
fn trying_seeds_finds_a_bug_that_depends_on_the_order() {
    for _ in 0..10 {
        assert_eq!(program_with_a_mistake(None).unwrap(), 7);
    }
    let seed = (0..50).find(|seed| program_with_a_mistake(Some(*seed)).is_err());
    // After that, the bug shows each time.
    for _ in 0..10 {
        assert!(program_with_a_mistake(seed).is_err(), "seed {seed:?}");
    }
    assert!((0..50).any(|seed| program_with_a_mistake(Some(seed)).is_ok()));
}
