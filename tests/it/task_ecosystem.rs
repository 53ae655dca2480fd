//! Interoperation with the `futures` crates: combinators, channels, and the `Spawn` traits.

use crate::support::{block_on, watchdog};
use crate::task_probes::{Drops, Place, until};
use futures::channel::{mpsc, oneshot};
use futures::stream::FuturesUnordered;
use futures::task::{LocalSpawn, LocalSpawnExt, Spawn, SpawnExt};
use futures::{SinkExt, StreamExt, TryStreamExt, future, select};
use glassfrog::task::{LocalSpawner, yield_now};
use glassfrog::time::{now, sleep, sleep_until};
use glassfrog::{Handle, Runtime, spawn};
use std::cell::Cell;
use std::future::pending;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

#[test]
fn joined_futures_run_concurrently() {
    block_on(async {
        let (first, second) = oneshot::channel();
        let (back, forth) = oneshot::channel();
        let (ping, pong) = futures::join!(
            async {
                first.send("ping").unwrap();
                forth.await.unwrap()
            },
            async {
                back.send("pong").unwrap();
                second.await.unwrap()
            }
        );
        assert_eq!((ping, pong), ("pong", "ping"));
    });
}

#[test]
fn select_returns_the_ready_future_and_drops_the_other() {
    use futures::FutureExt;
    block_on(async {
        let mut task = spawn(async {
            yield_now().await;
            "the task"
        })
        .fuse();
        let mut far = Box::pin(sleep(Duration::from_secs(3600)).fuse());
        let first = select! {
            output = task => output.unwrap(),
            () = far => "the sleep",
        };
        assert_eq!(first, "the task");
        drop(far);
        let mut near = sleep(Duration::from_millis(1)).fuse();
        let mut never = pending::<&str>().fuse();
        let first = select! {
            () = near => "the sleep",
            output = never => output,
        };
        assert_eq!(first, "the sleep");
    });
}

#[test]
fn ten_thousand_tasks_are_joined_in_any_order() {
    const TASKS: usize = 10_000;
    block_on(async {
        let due = now() + Duration::from_millis(20);
        let tasks: FuturesUnordered<_> = (0..TASKS)
            .map(|number| {
                let work = async move {
                    match number % 3 {
                        0 => sleep_until(due).await,
                        1 => yield_now().await,
                        _ => {}
                    }
                    number
                };
                match number % 2 {
                    0 => spawn(work),
                    _ => Handle::current().spawn(work),
                }
            })
            .collect();
        let mut outputs: Vec<_> = tasks.try_collect().await.unwrap();
        outputs.sort_unstable();
        assert_eq!(outputs, Vec::from_iter(0..TASKS));
    });
}

#[test]
fn ten_thousand_futures_of_one_task_are_woken_individually() {
    const FUTURES: usize = 10_000;
    block_on(async {
        let (senders, receivers): (Vec<_>, FuturesUnordered<_>) =
            (0..FUTURES).map(|_| oneshot::channel::<usize>()).unzip();
        drop(spawn(async move {
            for (number, sender) in senders.into_iter().enumerate() {
                sender.send(number).unwrap();
                if number % 100 == 0 {
                    yield_now().await;
                }
            }
        }));
        let sum = receivers.try_fold(0, |sum, number| future::ok(sum + number));
        assert_eq!(sum.await, Ok(FUTURES * (FUTURES - 1) / 2));
    });
}

#[test]
fn a_chain_of_channels_forwards_messages_in_order() {
    block_on(async {
        let (mut first, mut last) = mpsc::channel(1);
        for _ in 0..100 {
            let (mut send, receive) = mpsc::channel(1);
            drop(spawn(async move {
                while let Some(item) = last.next().await {
                    send.send(item).await.unwrap();
                }
            }));
            last = receive;
        }
        drop(spawn(async move {
            for number in 0..100 {
                first.send(number).await.unwrap();
            }
        }));
        let items: Vec<i32> = last.collect().await;
        assert_eq!(items, Vec::from_iter(0..100));
    });
}

#[test]
fn two_runtimes_communicate_through_channels() {
    const ROUNDS: u32 = 2_000;
    let _watchdog = watchdog();
    let (mut ping, mut pings) = mpsc::channel(0);
    let (mut pong, mut pongs) = mpsc::channel(0);
    let thread = thread::spawn(move || {
        glassfrog::block_on(async {
            while let Some(number) = pings.next().await {
                pong.send(number + 1).await.unwrap();
            }
        });
    });
    glassfrog::block_on(async {
        let mut number = 0;
        while number < ROUNDS {
            ping.send(number).await.unwrap();
            number = pongs.next().await.unwrap();
        }
    });
    drop(ping);
    thread.join().unwrap();
}

#[test]
fn a_handle_implements_the_spawn_trait_on_any_thread() {
    block_on(async {
        let handle = Handle::current();
        assert!(handle.status().is_ok());
        let home = thread::current().id();
        let thread = thread::spawn(move || {
            handle
                .spawn_with_handle(async { thread::current().id() })
                .unwrap()
        });
        assert_eq!(thread.join().unwrap().await, home);
        let (ran, has_run) = oneshot::channel();
        let spawner: &dyn Spawn = &Handle::current();
        spawner
            .spawn_obj(Box::new(async move { ran.send(()).unwrap() }).into())
            .unwrap();
        has_run.await.unwrap();
    });
}

#[test]
fn a_local_spawner_spawns_futures_that_are_not_send() {
    block_on(async {
        let spawner = LocalSpawner::current();
        assert!(spawner.status_local().is_ok());
        let text = Rc::new("not Send");
        let theirs = Rc::clone(&text);
        let task = spawner
            .spawn_local_with_handle(async move { *theirs })
            .unwrap();
        assert_eq!(task.await, *text);
        let ran = Rc::new(Cell::new(false));
        let theirs = Rc::clone(&ran);
        spawner
            .spawn_local(async move { theirs.set(true) })
            .unwrap();
        assert!(!ran.get());
        until(|| ran.get()).await;
    });
}

#[test]
fn a_local_spawner_spawns_between_two_calls_of_block_on() {
    let runtime = Runtime::new().unwrap();
    let spawner = runtime.block_on(async { LocalSpawner::current() });
    let (ran, has_run) = oneshot::channel();
    spawner
        .spawn_local(async move { ran.send(Place::here_inside()).unwrap() })
        .unwrap();
    assert_eq!(runtime.block_on(has_run), Ok(Place::here_inside()));
}

#[test]
fn spawners_of_a_dropped_runtime_report_a_shutdown() {
    let runtime = Runtime::new().unwrap();
    let handle = runtime.handle();
    let local = runtime.block_on(async { LocalSpawner::current() });
    assert!(handle.status().is_ok() && local.status_local().is_ok());
    drop(runtime);
    assert!(handle.status().unwrap_err().is_shutdown());
    assert!(local.status_local().unwrap_err().is_shutdown());
    let drops = Drops::default();
    let (probe, local_probe) = (drops.probe(), drops.probe());
    let refused = handle.spawn(async move { drop(probe) });
    assert_eq!(drops.count(), 1);
    assert!(block_on(refused).unwrap_err().is_cancelled());
    let refused = SpawnExt::spawn(&handle, async {});
    assert!(refused.unwrap_err().is_shutdown());
    let refused = local.spawn_local(async move { drop(local_probe) });
    assert!(refused.unwrap_err().is_shutdown());
    assert_eq!(drops.count(), 2);
}

#[test]
fn a_task_may_keep_a_spawner_of_its_own_runtime() {
    let drops = Drops::default();
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let (spawner, handle, probe) = (LocalSpawner::current(), Handle::current(), drops.probe());
        drop(spawn(async move {
            let _kept = (spawner, handle, probe);
            pending::<()>().await;
        }));
        yield_now().await;
    });
    drop(runtime);
    assert_eq!(drops.places(), [Place::here_inside()]);
}
