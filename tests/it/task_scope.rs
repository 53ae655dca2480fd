//! Scopes: children that borrow, when they are polled, and what remains when a scope ends early.

use crate::support::{block_on, child, few_or_many, park_on, settle, watchdog};
use crate::task_probes::{
    Drops, Meddler, OnDrop, Place, Wakes, counted, logged, panic_text, poll_with, record_log, until,
};
use futures::channel::{mpsc, oneshot};
use futures::future::{Either, join, join_all, select};
use futures::stream::FuturesUnordered;
use futures::{AsyncWriteExt, FutureExt, StreamExt};
use glassfrog::net::{TcpListener, TcpStream};
use glassfrog::task::{Scope, ScopedJoinHandle, TryScope, scope, try_scope, yield_now};
use glassfrog::time::{sleep, timeout};
use glassfrog::{Runtime, spawn};
use proptest::prelude::*;
use std::cell::{Cell, RefCell};
use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::future::{pending, poll_fn, ready};
use std::hint;
use std::mem;
use std::num::ParseIntError;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc as std_mpsc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

/// The maximum number of children that one poll of the parent polls.
const BATCH: usize = 128;

/// A duration that exceeds every test.
const FAR: Duration = Duration::from_secs(3600);

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
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        match self.panics {
            Some(text) => panic!("{text}"),
            None => Poll::Ready(()),
        }
    }
}

/// Lets code outside a scope wake a child.
#[derive(Default)]
struct Gate {
    /// Whether the waiter may continue.
    open: Cell<bool>,
    /// The waker of the waiter.
    waker: Cell<Option<Waker>>,
}

impl Gate {
    /// Waits until the gate is opened, and closes it again.
    async fn pass(&self) {
        poll_fn(|cx| {
            if self.open.take() {
                return Poll::Ready(());
            }
            self.waker.set(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await;
    }

    /// Lets the waiter continue.
    fn open(&self) {
        self.open.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

// What children may borrow, and when a scope ends.

#[test]
fn children_borrow_data_that_outlives_the_scope() {
    block_on(async {
        // Neither of them is `Send`.
        let (sum, shared) = (Rc::new(Cell::new(0)), Cell::new(1));
        let mut numbers: Vec<usize> = (0..100).collect();
        let mut last = String::new();
        scope(async |s| {
            for chunk in numbers.chunks_mut(7) {
                let (sum, shared) = (&sum, &shared);
                s.spawn(async move {
                    for number in chunk {
                        *number *= 2;
                        yield_now().await;
                        sum.set(sum.get() + *number);
                    }
                    shared.set(shared.get() + 1);
                });
            }
            s.spawn(async { last.push_str("written") });
        })
        .await;
        assert!(numbers.iter().enumerate().all(|(n, twice)| n * 2 == *twice));
        assert_eq!(sum.get(), numbers.iter().sum());
        assert_eq!(shared.get(), 1 + 100_usize.div_ceil(7));
        assert_eq!(last, "written");
        drop(numbers);
    });
}

#[test]
fn outputs_may_borrow_data_that_outlives_the_scope() {
    block_on(async {
        let text = String::from("to be or not to be");
        let longest: &str = scope(async |s| {
            let words = text.split(' ').map(|word| s.spawn(async move { word }));
            let mut longest = "";
            for word in words.collect::<Vec<_>>() {
                let word = word.await;
                if word.len() > longest.len() {
                    longest = word;
                }
            }
            longest
        })
        .await;
        assert_eq!(longest, "not");
    });
}

#[test]
fn a_scope_ends_when_its_body_and_the_last_descendant_have_ended() {
    for order in [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ] {
        let gates: [Gate; 3] = Default::default();
        let (ended, gates) = (Cell::new(0), &gates);
        let mut whole = pin!(scope(async |s| {
            let ended = &ended;
            let nested = s.clone();
            s.spawn(async move {
                nested.spawn(async move {
                    gates[2].pass().await;
                    ended.set(ended.get() + 1);
                });
                drop(nested);
                gates[1].pass().await;
                ended.set(ended.get() + 1);
            });
            gates[0].pass().await;
            ended.set(ended.get() + 1);
            "body"
        }));
        let (wakes, waker) = Wakes::new();
        for (count, which) in order.into_iter().enumerate() {
            assert!(poll_with(&mut whole, &waker).is_pending(), "{order:?}");
            assert_eq!((ended.get(), wakes.count()), (count, count), "{order:?}");
            gates[which].open();
        }
        assert_eq!(poll_with(&mut whole, &waker), Poll::Ready("body"));
        assert_eq!(ended.get(), 3);
    }
}

#[test]
fn a_scope_without_children_returns_the_output_of_its_body() {
    block_on(async {
        assert_eq!(scope(async |_| 5).now_or_never(), Some(5));
        assert_eq!(scope(|_| ready(5)).await, 5);
        assert_eq!(try_scope(async |_| Ok::<_, ()>(5)).await, Ok(5));
        assert_eq!(try_scope(async |_| Err::<(), _>(5)).await, Err(5));
        let late = scope(async |_| {
            yield_now().await;
            "late"
        });
        assert_eq!(late.await, "late");
    });
}

#[test]
fn a_chain_of_children_that_spawn_children_runs_to_completion() {
    fn next<'env>(s: &Scope<'env>, left: usize, depth: &'env Cell<usize>) {
        let nested = s.clone();
        s.spawn(async move {
            depth.set(depth.get() + 1);
            if left > 0 {
                next(&nested, left - 1, depth);
            }
        });
    }
    let depth = Cell::new(0);
    block_on(scope(async |s| next(&s, 9_999, &depth)));
    assert_eq!(depth.get(), 10_000);
}

// Handles.

#[test]
fn the_body_and_siblings_can_await_a_handle_before_and_after_the_child_ends() {
    block_on(async {
        for late in [false, true] {
            let sum = scope(async |s| {
                let first = s.spawn(async { Rc::new(5) });
                if late {
                    settle().await;
                }
                let second = s.spawn(async move { *first.await + 1 });
                let third = s.spawn(async { 10 });
                if late {
                    settle().await;
                }
                second.await + third.await
            });
            assert_eq!(sum.await, 16);
        }
    });
}

#[test]
fn siblings_can_await_each_other_in_any_order() {
    block_on(async {
        // Each awaits the next one; the last awaits nothing.
        const CHILDREN: usize = 1000;
        let handles: Vec<Cell<Option<ScopedJoinHandle<usize>>>> =
            (0..=CHILDREN).map(|_| Cell::default()).collect();
        let sum = scope(async |s| {
            for number in 0..CHILDREN {
                let handles = &handles;
                let handle = s.spawn(async move {
                    match handles[number + 1].take() {
                        Some(next) => next.await + 1,
                        None => 1,
                    }
                });
                handles[number].set(Some(handle));
            }
            handles[0].take().unwrap().await
        });
        assert_eq!(sum.await, CHILDREN);
    });
}

#[test]
fn a_dropped_handle_detaches_its_child_and_the_output_is_dropped() {
    block_on(async {
        for ended in [false, true] {
            let drops = Drops::default();
            let ran = Cell::new(false);
            scope(async |s| {
                let gate = Rc::new(Gate::default());
                let theirs = Rc::clone(&gate);
                let handle = s.spawn(async {
                    let gate = theirs;
                    gate.pass().await;
                    ran.set(true);
                    drops.probe()
                });
                settle().await;
                if ended {
                    gate.open();
                    settle().await;
                    assert!(ran.get());
                    assert_eq!(drops.count(), 0, "the output waits for its handle");
                }
                drop(handle);
                assert_eq!(drops.count(), usize::from(ended));
                gate.open();
                settle().await;
                assert!(ran.get());
                assert_eq!(drops.count(), 1);
            })
            .await;
        }
    });
}

#[test]
fn a_cancelled_await_of_a_handle_can_be_repeated() {
    block_on(async {
        let gate = Gate::default();
        scope(async |s| {
            let mut handle = s.spawn(async {
                gate.pass().await;
                7
            });
            for _ in 0..3 {
                assert!((&mut handle).now_or_never().is_none());
                yield_now().await;
            }
            gate.open();
            settle().await;
            assert_eq!((&mut handle).now_or_never(), Some(7));
        })
        .await;
    });
}

#[test]
fn a_handle_wakes_the_task_that_polled_it_last() {
    block_on(async {
        let gate = Gate::default();
        scope(async |s| {
            let mut handle = s.spawn(gate.pass());
            let ((first, one), (second, other)) = (Wakes::new(), Wakes::new());
            assert!(poll_with(&mut handle, &one).is_pending());
            assert!(poll_with(&mut handle, &other).is_pending());
            assert_eq!(Arc::strong_count(&first), 2, "the former waker is kept");
            yield_now().await;
            gate.open();
            settle().await;
            assert_eq!((first.count(), second.count()), (0, 1));
            assert_eq!(handle.now_or_never(), Some(()));
        })
        .await;
    });
}

#[test]
fn a_handle_polled_after_completion_panics_with_advice() {
    block_on(async {
        scope(async |s| {
            let mut handle = s.spawn(async { 5 });
            assert_eq!((&mut handle).await, 5);
            let text = panic_text(|| (&mut handle).now_or_never());
            assert!(text.contains("after it had returned the output"), "{text}");
            // The panic repeats.
            panic_text(|| handle.now_or_never());
        })
        .await;
    });
}

#[test]
fn a_handle_that_leaves_the_scope_still_has_its_output() {
    block_on(async {
        let (ended, unasked) = scope(async |s| (s.spawn(async { 5 }), s.spawn(async { 6 }))).await;
        assert_eq!(ended.await, 5);
        drop(unasked);
    });
}

/// Asserts that a handle reports that its scope has ended without the child.
fn assert_says_that_the_scope_has_ended<T>(handle: ScopedJoinHandle<T>) {
    let text = panic_text(|| handle.now_or_never());
    assert!(
        text.contains("scope of this `ScopedJoinHandle` ended before"),
        "{text}"
    );
}

#[test]
fn a_finished_scope_drops_new_children_and_their_handles_panic_with_advice() {
    let drops = Drops::default();
    block_on(async {
        let late = scope(async |s| s.clone()).await;
        let probe = drops.probe();
        let handle = late.spawn(async { drop(probe) });
        assert_eq!(drops.count(), 1);
        assert_says_that_the_scope_has_ended(handle);

        let late = try_scope(async |s: TryScope<'_, ()>| Ok(s)).await.unwrap();
        let probe = drops.probe();
        let handle = late.spawn(async {
            drop(probe);
            Ok(())
        });
        assert_eq!(drops.count(), 2);
        assert_says_that_the_scope_has_ended(handle);

        let (leak, leaked) = oneshot::channel();
        let failed = try_scope(async |s| {
            let handle = s.spawn(pending::<Result<(), &str>>());
            assert!(leak.send((s.clone(), handle)).is_ok());
            Err::<(), _>("failed")
        });
        assert_eq!(failed.await, Err("failed"));
        let (late, handle) = leaked.await.unwrap();
        assert_says_that_the_scope_has_ended(handle);
        assert_says_that_the_scope_has_ended(late.spawn(async { Ok(()) }));
    });
}

#[test]
fn the_end_of_the_scope_wakes_a_task_that_awaits_a_handle_outside() {
    let handle = Cell::new(None);
    let mut whole = Box::pin(scope(async |s| {
        handle.set(Some(s.spawn(pending::<()>())));
        pending::<()>().await;
    }));
    assert!(poll_with(&mut whole, Waker::noop()).is_pending());
    let mut handle = handle.take().unwrap();
    let (wakes, waker) = Wakes::new();
    assert!(poll_with(&mut handle, &waker).is_pending());
    drop(whole);
    assert_eq!(wakes.count(), 1);
    assert_says_that_the_scope_has_ended(handle);
}

// Which children are polled.

#[test]
fn spawn_never_polls_the_future_in_place() {
    block_on(async {
        let order = RefCell::new(Vec::new());
        scope(async |s| {
            for number in 0..3 {
                let order = &order;
                s.spawn(async move { order.borrow_mut().push(number) });
            }
            assert!(order.borrow().is_empty());
            yield_now().await;
            assert_eq!(*order.borrow(), [0, 1, 2]);
        })
        .await;
    });
}

#[test]
fn waking_one_of_ten_thousand_children_polls_only_that_child() {
    const CHILDREN: usize = 10_000;
    block_on(async {
        let gates: Rc<Vec<Gate>> = Rc::new((0..CHILDREN).map(|_| Gate::default()).collect());
        let polls: Vec<Rc<Cell<usize>>> = (0..CHILDREN).map(|_| Rc::default()).collect();
        let (of_parent, of_body) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let (theirs, counts) = (Rc::clone(&gates), polls.clone());
        let (parents, bodys) = (Rc::clone(&of_parent), Rc::clone(&of_body));
        let task = spawn(async move {
            let whole = scope(async |s| {
                for (gate, polls) in theirs.iter().zip(&counts) {
                    s.spawn(counted(polls, async move {
                        loop {
                            gate.pass().await;
                        }
                    }));
                }
                counted(&bodys, pending::<()>()).await;
            });
            counted(&parents, whole).await;
        });
        settle().await;
        assert!(polls.iter().all(|polls| polls.replace(0) == 1));
        for which in [0, CHILDREN / 2, CHILDREN - 1, 7, 7] {
            of_parent.set(0);
            gates[which].open();
            settle().await;
            assert_eq!(polls[which].replace(0), 1);
            assert!(polls.iter().all(|polls| polls.get() == 0));
            assert_eq!((of_parent.get(), of_body.get()), (1, 1));
        }
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
    });
}

#[test]
fn many_wakes_before_a_poll_cause_one_poll() {
    let polls = Rc::new(Cell::new(0));
    let waker: Cell<Option<Waker>> = Cell::default();
    let mut whole = pin!(scope(async |s| {
        s.spawn(counted(
            &polls,
            poll_fn(|cx| {
                waker.set(Some(cx.waker().clone()));
                Poll::<()>::Pending
            }),
        ));
    }));
    let (wakes, parent) = Wakes::new();
    assert!(poll_with(&mut whole, &parent).is_pending());
    assert_eq!(polls.replace(0), 1);
    let waker = waker.take().unwrap();
    for round in 1..4 {
        for _ in 0..10 {
            waker.wake_by_ref();
        }
        assert_eq!(wakes.count(), round, "the parent is woken once, too");
        assert!(poll_with(&mut whole, &parent).is_pending());
        assert_eq!(polls.replace(0), 1);
        // A child without a wake is not polled, however many times the parent is.
        for _ in 0..10 {
            assert!(poll_with(&mut whole, &parent).is_pending());
        }
        assert_eq!(polls.get(), 0);
    }
}

#[test]
fn a_child_woken_in_its_last_poll_is_not_polled_again() {
    /// Completes at once, and is woken in its last poll and afterwards.
    async fn ends(waker: &Cell<Option<Waker>>) {
        poll_fn(|cx| {
            cx.waker().wake_by_ref();
            waker.set(Some(cx.waker().clone()));
            Poll::Ready(())
        })
        .await;
    }
    block_on(async {
        let wakers: [Cell<Option<Waker>>; 2] = Default::default();
        let polls = Rc::new(Cell::new(0));
        scope(async |s| {
            s.spawn(counted(&polls, ends(&wakers[0])));
            let wakers = &wakers;
            s.spawn(async move {
                settle().await;
                for waker in wakers {
                    waker.take().unwrap().wake();
                }
                settle().await;
            });
            counted(&polls, ends(&wakers[1])).await;
        })
        .await;
        assert_eq!(polls.get(), 2);
    });
}

#[test]
fn a_spurious_poll_of_the_parent_polls_no_child() {
    block_on(async {
        let (of_child, of_body) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let gate = Gate::default();
        let whole = scope(async |s| {
            s.spawn(counted(&of_child, gate.pass()));
            counted(&of_body, pending::<()>()).await;
        });
        let busy = async {
            for _ in 0..1000 {
                yield_now().await;
            }
            assert_eq!((of_child.get(), of_body.get()), (1, 1));
            gate.open();
            yield_now().await;
            yield_now().await;
            assert_eq!((of_child.get(), of_body.get()), (2, 1));
        };
        // The `select` polls both, whichever was woken.
        assert!(matches!(
            select(pin!(whole), pin!(busy)).await,
            Either::Right(_)
        ));
    });
}

#[test]
fn a_scope_wakes_the_task_that_polled_it_last() {
    let gate = Gate::default();
    let mut whole = pin!(scope(async |s| {
        s.spawn(gate.pass());
    }));
    let ((first, one), (second, other)) = (Wakes::new(), Wakes::new());
    assert!(poll_with(&mut whole, &one).is_pending());
    assert!(poll_with(&mut whole, &other).is_pending());
    assert_eq!(Arc::strong_count(&first), 2, "the former waker is kept");
    gate.open();
    assert_eq!((first.count(), second.count()), (0, 1));
    assert!(poll_with(&mut whole, &other).is_ready());
}

#[test]
fn a_child_spawned_by_another_task_wakes_the_scope() {
    block_on(async {
        let given: Rc<RefCell<Option<Scope<'static>>>> = Rc::default();
        let theirs = Rc::clone(&given);
        let task = spawn(scope(async move |s| {
            *theirs.borrow_mut() = Some(s.clone());
            s.spawn(pending::<()>());
            pending::<()>().await;
        }));
        settle().await;
        let s = given.take().unwrap();
        for _ in 0..3 {
            let handle = s.spawn(async { "child" });
            assert_eq!(handle.await, "child");
        }
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
    });
}

#[test]
fn a_wake_during_the_poll_is_not_lost() {
    for elsewhere in [false, true] {
        block_on(async {
            let polls = Rc::new(Cell::new(0));
            scope(async |s| {
                let mut woken = false;
                s.spawn(counted(
                    &polls,
                    poll_fn(move |cx| {
                        if woken {
                            return Poll::Ready(());
                        }
                        woken = true;
                        let waker = cx.waker().clone();
                        if elsewhere {
                            thread::spawn(|| waker.wake()).join().unwrap();
                        } else {
                            waker.wake();
                        }
                        Poll::Pending
                    }),
                ));
            })
            .await;
            assert_eq!(polls.get(), 2);
        });
    }
}

#[test]
fn a_wake_during_the_poll_of_a_sibling_is_not_lost() {
    block_on(async {
        let gate = Gate::default();
        let polls = Rc::new(Cell::new(0));
        scope(async |s| {
            s.spawn(counted(&polls, gate.pass()));
            s.spawn(async { gate.open() });
        })
        .await;
        assert_eq!(polls.get(), 2);
    });
}

/// Runs children whose polls hand their wakers to other threads, which call them at any moment: during that poll,
/// between it and the park of the parent, or after.
async fn children_woken_by_threads() {
    const THREADS: usize = 3;
    const CHILDREN: usize = 20;
    const ROUNDS: usize = 500;
    let (send, receive) = std_mpsc::channel::<(Waker, Arc<AtomicBool>)>();
    let receive = Arc::new(Mutex::new(receive));
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let receive = Arc::clone(&receive);
            thread::spawn(move || {
                loop {
                    let next = receive.lock().unwrap().recv();
                    let Ok((waker, flag)) = next else {
                        return;
                    };
                    flag.store(true, Ordering::Release);
                    waker.wake();
                }
            })
        })
        .collect();
    let polls = Rc::new(Cell::new(0));
    scope(async |s| {
        for number in 0..CHILDREN {
            let send = send.clone();
            s.spawn(counted(&polls, async move {
                for round in 0..ROUNDS {
                    let flag = Arc::new(AtomicBool::new(false));
                    let mut asked = false;
                    poll_fn(|cx| {
                        if flag.load(Ordering::Acquire) {
                            return Poll::Ready(());
                        }
                        assert!(!asked, "polled without having been woken");
                        asked = true;
                        send.send((cx.waker().clone(), Arc::clone(&flag))).unwrap();
                        // Some polls last until the wake is on its way, others end before it.
                        for _ in 0..(number + round) % 3 {
                            thread::yield_now();
                        }
                        Poll::Pending
                    })
                    .await;
                }
            }));
        }
    })
    .await;
    assert!(
        polls.get() <= CHILDREN * (ROUNDS + 1),
        "{} polls",
        polls.get()
    );
    drop(send);
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn no_wake_from_another_thread_is_lost() {
    let _watchdog = watchdog();
    block_on(children_woken_by_threads());
    park_on(children_woken_by_threads());
}

#[test]
fn no_wake_is_lost_while_the_parent_is_about_to_wait() {
    const ROUNDS: usize = few_or_many(2000, 10_000);
    /// Spins, without a system call until it has taken too long.
    fn spin_until(mut so: impl FnMut() -> bool) {
        let mut looks = 0;
        while !so() {
            looks += 1;
            match looks < 1000 {
                true => hint::spin_loop(),
                false => thread::yield_now(),
            }
        }
    }
    let _watchdog = watchdog();
    // The waker of the child, and how many times it was called.
    let asked: Arc<Mutex<Option<Waker>>> = Arc::default();
    let answered = Arc::new(AtomicUsize::new(0));
    let (theirs, answers) = (Arc::clone(&asked), Arc::clone(&answered));
    let thread = thread::spawn(move || {
        for round in 0..ROUNDS {
            let mut waker = None;
            spin_until(|| {
                waker = theirs.lock().unwrap().take();
                waker.is_some()
            });
            // Sooner and later, while the other thread returns from the child to its parent.
            for _ in 0..round % 100 {
                hint::spin_loop();
            }
            answers.store(round + 1, Ordering::Release);
            waker.unwrap().wake();
        }
    });
    let mut whole = pin!(scope(async |s| {
        s.spawn(async {
            for round in 0..ROUNDS {
                poll_fn(|cx| {
                    if answered.load(Ordering::Acquire) > round {
                        return Poll::Ready(());
                    }
                    *asked.lock().unwrap() = Some(cx.waker().clone());
                    Poll::Pending
                })
                .await;
            }
        });
    }));
    // An executor that spins, since a thread that parks would miss the critical moment.
    let (wakes, parent) = Wakes::new();
    loop {
        let before = wakes.count();
        if poll_with(&mut whole, &parent).is_ready() {
            break;
        }
        spin_until(|| wakes.count() > before);
    }
    thread.join().unwrap();
}

#[test]
fn wakers_of_children_that_outlive_the_scope_wake_nothing() {
    let (wakes, parent) = Wakes::new();
    let waker: Cell<Option<Waker>> = Cell::default();
    let mut whole = Box::pin(scope(async |s| {
        s.spawn(poll_fn(|cx| {
            waker.set(Some(cx.waker().clone()));
            Poll::<()>::Pending
        }));
    }));
    assert!(poll_with(&mut whole, &parent).is_pending());
    drop(whole);
    let waker = waker.take().unwrap();
    thread::spawn(move || {
        waker.wake_by_ref();
        waker.wake();
    })
    .join()
    .unwrap();
    // Spurious wakes of the parent are allowed, lost ones are not.
    assert!(wakes.count() <= 1);
    drop(parent);
    assert_eq!(Arc::strong_count(&wakes), 1);
}

thread_local! {
    /// A scope that is known to the waker of its own parent.
    static REACHED: RefCell<Option<Scope<'static>>> = const { RefCell::new(None) };
}

#[test]
fn a_waker_that_spawns_into_the_scope_that_wakes_it_loses_no_child() {
    let ran = Arc::new(AtomicUsize::new(0));
    let again = Arc::clone(&ran);
    let waker = Meddler::waker(
        move || {
            let ran = Arc::clone(&again);
            if let Some(s) = REACHED.take() {
                s.spawn(async move { ran.fetch_add(1, Ordering::SeqCst) });
            }
        },
        || {},
    );
    let mut whole = Box::pin(scope(async |s| {
        REACHED.set(Some(s.clone()));
        pending::<()>().await;
    }));
    assert!(poll_with(&mut whole, &waker).is_pending());
    let reached = REACHED.with_borrow(Clone::clone).unwrap();
    // Wakes the parent, as the first entry of an empty queue does.
    let theirs = Arc::clone(&ran);
    reached.spawn(async move { theirs.fetch_add(1, Ordering::SeqCst) });
    assert!(poll_with(&mut whole, Waker::noop()).is_pending());
    assert_eq!(ran.load(Ordering::SeqCst), 2);
}

// Early ends.

/// The ways to end a scope early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// A panic of a child.
    ChildPanics,
    /// A panic of the body.
    BodyPanics,
    /// An error of a child.
    ChildFails,
    /// An error of the body.
    BodyFails,
    /// The drop of the scope's future.
    Dropped,
}

impl Cut {
    /// All ways.
    const ALL: [Cut; 5] = [
        Cut::ChildPanics,
        Cut::BodyPanics,
        Cut::ChildFails,
        Cut::BodyFails,
        Cut::Dropped,
    ];

    /// Runs a scope with the children that `setup` spawns until every child waits, and then ends it early. Returns
    /// what is left of the scope's future, to drop after the children are known to be gone.
    async fn off<'env>(self, setup: impl FnOnce(TryScope<'env, &'static str>)) -> impl Sized {
        let gate = Rc::new(Gate::default());
        let theirs = Rc::clone(&gate);
        let cut = async move {
            theirs.pass().await;
            match self {
                Cut::ChildPanics | Cut::BodyPanics => panic_any(self),
                Cut::ChildFails | Cut::BodyFails => Err("an error"),
                Cut::Dropped => pending::<Result<(), _>>().await,
            }
        };
        let mut whole = Box::pin(try_scope(async move |s| {
            setup(s.clone());
            if self == Cut::ChildPanics || self == Cut::ChildFails {
                s.spawn(cut);
                pending().await
            } else {
                cut.await
            }
        }));
        for _ in 0..10 {
            assert!((&mut whole).now_or_never().is_none());
        }
        gate.open();
        if self == Cut::Dropped {
            return None;
        }
        match AssertUnwindSafe(&mut whole).catch_unwind().await {
            Ok(outcome) => {
                assert_eq!(outcome, Err("an error"));
                assert!(self == Cut::ChildFails || self == Cut::BodyFails);
            }
            Err(payload) => assert_eq!(payload.downcast_ref(), Some(&self)),
        }
        Some(whole)
    }
}

#[test]
fn every_early_end_of_a_scope_drops_all_descendants_on_their_thread_in_context() {
    for cut in Cut::ALL {
        let drops = Drops::default();
        block_on(async {
            let _left = cut
                .off(|s| {
                    for number in 0..10 {
                        let (probe, of_grandchild) = (drops.probe(), drops.probe());
                        let nested = s.clone();
                        s.spawn(async move {
                            let _probe = probe;
                            let kept = nested.clone();
                            nested.spawn(async move {
                                let _kept = (of_grandchild, kept);
                                pending::<Result<(), _>>().await
                            });
                            if number % 2 == 0 {
                                return Ok(());
                            }
                            pending::<Result<(), _>>().await
                        });
                    }
                })
                .await;
            assert_eq!(drops.count(), 20, "{cut:?}: not when the parent goes on");
        });
        assert_eq!(drops.places(), [Place::here_inside(); 20], "{cut:?}");
    }
}

#[test]
fn an_early_end_drops_unpolled_children_without_polling_them() {
    for (of_child, panics) in [(false, false), (false, true), (true, false), (true, true)] {
        block_on(async {
            let drops = Drops::default();
            let polls = Rc::new(Cell::new(0));
            let cut = async || match panics {
                true => panic!("right away"),
                false => Err::<(), _>("right away"),
            };
            let whole = try_scope(async |s| {
                if of_child {
                    // It is polled before the others.
                    s.spawn(cut());
                }
                for _ in 0..10 {
                    let probe = drops.probe();
                    s.spawn(counted(&polls, async {
                        let _probe = probe;
                        Ok(())
                    }));
                }
                if of_child {
                    pending().await
                } else {
                    cut().await
                }
            });
            let outcome = AssertUnwindSafe(whole).catch_unwind().await;
            assert_eq!(outcome.is_err(), panics);
            assert_eq!((polls.get(), drops.count()), (0, 10));
        });
    }
}

#[test]
fn dropping_a_scope_drops_children_in_every_state() {
    const CHILDREN: usize = 3 * BATCH;
    let drops = Drops::default();
    block_on(async {
        let polls: Vec<Rc<Cell<usize>>> = (0..CHILDREN).map(|_| Rc::default()).collect();
        let mut whole = Box::pin(scope(async |s| {
            for (number, polls) in polls.iter().enumerate() {
                let probe = drops.probe();
                s.spawn(counted(polls, async move {
                    let _probe = probe;
                    match number % 3 {
                        0 => {}
                        1 => pending().await,
                        _ => yield_now().await,
                    }
                }));
            }
            pending::<()>().await;
        }));
        assert!((&mut whole).now_or_never().is_none());
        assert!(polls.iter().any(|polls| polls.get() == 0));
        assert!((CHILDREN / 12..CHILDREN / 3).contains(&drops.count()));
        drop(whole);
        assert_eq!(drops.count(), CHILDREN);
        assert!(polls.iter().all(|polls| polls.get() <= 1));
    });
    assert_eq!(drops.places(), [Place::here_inside(); CHILDREN]);
    // Before its first poll there is only the body.
    let drops = Drops::default();
    let probe = drops.probe();
    drop(scope(async move |_| drop(probe)));
    assert_eq!(drops.count(), 1);
}

#[test]
fn every_way_to_drop_the_parent_drops_the_children() {
    /// Runs a scope that never ends, with probes in its body, a child and a grandchild.
    async fn endless(drops: Drops) {
        // They borrow from the parent.
        let drops = &drops;
        scope(async |s| {
            let (_body, child, grandchild) = (drops.probe(), drops.probe(), drops.probe());
            let nested = s.clone();
            s.spawn(async move {
                let _child = child;
                nested.spawn(async move {
                    let _grandchild = grandchild;
                    pending::<()>().await;
                });
                pending::<()>().await;
            });
            pending::<()>().await;
        })
        .await;
    }
    let drops = Drops::default();
    block_on(async {
        let elapsed = timeout(Duration::from_millis(1), endless(drops.clone())).await;
        assert!(elapsed.is_err());
        assert_eq!(drops.count(), 3);

        let whole = Box::pin(endless(drops.clone()));
        match select(whole, pin!(settle())).await {
            Either::Left(_) => panic!("it has ended"),
            Either::Right(((), whole)) => drop(whole),
        }
        assert_eq!(drops.count(), 6);

        let task = spawn(endless(drops.clone()));
        settle().await;
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(drops.count(), 9);

        let panics = async {
            settle().await;
            panic!("the parent's own")
        };
        let task = spawn(join(endless(drops.clone()), panics));
        let text = task.await.map(drop).unwrap_err().to_string();
        assert!(text.ends_with("panicked: the parent's own"), "{text}");
        assert_eq!(drops.count(), 12);
    });
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        drop(spawn(endless(drops.clone())));
        settle().await;
    });
    drop(runtime);
    assert_eq!(drops.places(), [Place::here_inside(); 15]);
}

#[test]
fn a_panic_propagates_to_the_parent_after_all_other_children_are_dropped() {
    /// A payload that only this test uses.
    struct Payload(Arc<()>);
    for of_body in [false, true] {
        let (this, order) = (Arc::new(()), RefCell::new(Vec::new()));
        let (order, theirs) = (&order, &this);
        let note = |what| OnDrop(move || order.borrow_mut().push(what));
        let payload = catch_unwind(AssertUnwindSafe(|| {
            block_on(async {
                let _parent = note("parent");
                let panics = async |who| {
                    let _who = note(who);
                    settle().await;
                    panic_any(Payload(Arc::clone(theirs)))
                };
                let waits = async |who| {
                    let _who = note(who);
                    pending::<()>().await;
                };
                scope(async |s| {
                    s.spawn(waits("first"));
                    if of_body {
                        s.spawn(waits("last"));
                        panics("panicking").await;
                    } else {
                        s.spawn(panics("panicking"));
                        s.spawn(waits("last"));
                        waits("body").await;
                    }
                })
                .await;
            });
        }))
        .unwrap_err();
        let payload = payload.downcast::<Payload>().unwrap();
        assert!(Arc::ptr_eq(&payload.0, &this));
        let order = order.take();
        assert_eq!(order.first(), Some(&"panicking"));
        assert_eq!(order.last(), Some(&"parent"));
        assert_eq!(order.len(), 5 - usize::from(of_body));
    }
}

#[test]
fn a_panic_of_a_child_drops_the_output_of_the_body() {
    let drops = Drops::default();
    let text = panic_text(|| {
        block_on(scope(async |s| {
            s.spawn(async {
                settle().await;
                panic!("later than the body")
            });
            drops.probe()
        }))
    });
    assert_eq!(text, "later than the body");
    assert_eq!(drops.count(), 1);
}

#[test]
fn a_panic_in_an_inner_scope_propagates_through_the_outer_one() {
    let drops = Drops::default();
    let payload = catch_unwind(AssertUnwindSafe(|| {
        block_on(scope(async |outer| {
            let _body = drops.probe();
            let (sibling, drops) = (drops.probe(), &drops);
            outer.spawn(async {
                let _sibling = sibling;
                pending::<()>().await;
            });
            outer.spawn(async move {
                scope(async |inner| {
                    let _body = drops.probe();
                    inner.spawn(async { panic_any(7_u8) });
                    pending::<()>().await;
                })
                .await;
            });
            pending::<()>().await;
        }));
    }));
    assert_eq!(payload.unwrap_err().downcast_ref(), Some(&7_u8));
    assert_eq!(drops.count(), 3);
}

#[test]
fn a_scope_returns_the_first_error() {
    block_on(async {
        for order in [[0, 1, 2], [1, 2, 0], [2, 1, 0]] {
            let gates: [Gate; 3] = Default::default();
            let gates = &gates;
            let fails = async |number: usize| {
                gates[number].pass().await;
                Err::<(), _>(number)
            };
            let whole = try_scope(async |s| {
                s.spawn(fails(1));
                s.spawn(fails(2));
                fails(0).await
            });
            let opens = async {
                settle().await;
                for which in order {
                    gates[which].open();
                    // First one after the other, then all at once.
                    if order[0] == 0 {
                        yield_now().await;
                    }
                }
                settle().await;
            };
            assert_eq!(join(whole, opens).await.0, Err(order[0]), "{order:?}");
        }
    });
}

#[test]
fn an_error_after_the_end_of_the_body_drops_its_output() {
    block_on(async {
        let drops = Drops::default();
        let whole = try_scope(async |s| {
            s.spawn(async {
                settle().await;
                Err::<(), _>("later than the body")
            });
            Ok(drops.probe())
        });
        assert_eq!(whole.await.map(drop), Err("later than the body"));
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn errors_may_have_any_type_and_borrow_data_that_outlives_the_scope() {
    block_on(async {
        let words = ["1", "2", "three", "4"].map(String::from);
        // Neither `Send` nor an `Error`.
        let failed: Result<(), (&str, Rc<ParseIntError>)> = try_scope(async |s| {
            let children: Vec<_> = words
                .iter()
                .map(|word| {
                    s.spawn(async move {
                        let number = word.parse::<i32>();
                        number.map_err(|error| (word.as_str(), Rc::new(error)))
                    })
                })
                .collect();
            for child in children {
                child.await;
            }
            Ok(())
        })
        .await;
        let (word, error) = failed.unwrap_err();
        assert!(std::ptr::eq(word, words[2].as_str()));
        assert_eq!(error.to_string(), "invalid digit found in string");

        // `?` in the body converts as usual.
        let boxed: Result<i32, Box<dyn std::error::Error>> = try_scope(async |s| {
            let child = s.spawn(async { Ok("5") });
            Ok(child.await.parse::<i32>()?)
        })
        .await;
        assert_eq!(boxed.unwrap(), 5);
    });
}

#[test]
fn panics_in_dropped_children_are_logged_and_do_not_stop_other_drops() {
    record_log();
    let texts = [
        (Cut::ChildPanics, "dropped after a child's panic"),
        (Cut::BodyPanics, "dropped after the body's panic"),
        (Cut::ChildFails, "dropped after a child's error"),
        (Cut::BodyFails, "dropped after the body's error"),
        (Cut::Dropped, "dropped with the scope's future"),
    ];
    for (cut, text) in texts {
        block_on(async {
            let drops = Drops::default();
            let _left = cut
                .off(|s| {
                    for number in 0..10 {
                        let probe = drops.probe();
                        let bomb = (number % 2 == 0).then(|| Bomb(text));
                        s.spawn(async move {
                            let (_bomb, _probe) = (bomb, probe);
                            pending::<Result<(), _>>().await
                        });
                    }
                })
                .await;
            assert_eq!(drops.count(), 10, "{cut:?}");
        });
        assert_eq!(logged(text).len(), 5, "{cut:?}");
    }
}

#[test]
fn panics_in_children_dropped_by_an_unwinding_parent_do_not_abort_the_process() {
    child(|| {
        let drops = Drops::default();
        let text = panic_text(|| {
            glassfrog::block_on(async {
                let whole = scope(async |s| {
                    for _ in 0..5 {
                        let probe = drops.probe();
                        s.spawn(async {
                            let (_bomb, _probe) = (Bomb("dropped while unwinding"), probe);
                            pending::<()>().await;
                        });
                    }
                });
                let panics = async {
                    settle().await;
                    panic!("the parent's own")
                };
                join(whole, panics).await
            })
        });
        assert_eq!(text, "the parent's own");
        assert_eq!(drops.count(), 5);
    })
    .finish();
}

#[test]
fn a_panic_in_the_drop_of_the_body_does_not_stop_the_drop_of_children() {
    let drops = Drops::default();
    let text = panic_text(|| {
        let mut whole = Box::pin(scope(async |s| {
            for _ in 0..5 {
                let probe = drops.probe();
                s.spawn(async {
                    let _probe = probe;
                    pending::<()>().await;
                });
            }
            let _bomb = Bomb("the body's drop");
            pending::<()>().await;
        }));
        assert!((&mut whole).now_or_never().is_none());
        drop(whole);
    });
    assert_eq!(text, "the body's drop");
    assert_eq!(drops.count(), 5);
}

#[test]
fn a_panic_in_the_drop_of_the_body_or_its_output_does_not_hide_the_cause() {
    for body_has_ended in [false, true] {
        let run = |panics| {
            let whole = try_scope(async |s| {
                s.spawn(async move {
                    settle().await;
                    match panics {
                        true => panic!("the child's panic"),
                        false => Err::<(), _>("the child's error"),
                    }
                });
                let bomb = Bomb("the second panic");
                if !body_has_ended {
                    pending::<()>().await;
                }
                Ok(bomb)
            });
            catch_unwind(AssertUnwindSafe(|| block_on(whole).map(drop)))
        };
        let payload = run(true).unwrap_err();
        assert_eq!(
            payload.downcast_ref(),
            Some(&"the child's panic"),
            "body has ended: {body_has_ended}"
        );
        let outcome = run(false).map_err(|_| "a panic instead");
        assert_eq!(outcome, Ok(Err("the child's error")));
    }
}

#[test]
fn a_second_panic_in_the_drop_of_a_panicked_child_does_not_abort_the_process() {
    child(|| {
        let text = panic_text(|| {
            glassfrog::block_on(scope(async |s| {
                s.spawn(Armed {
                    panics: Some("the first panic"),
                    _bomb: Bomb("the second panic"),
                });
            }))
        });
        assert_eq!(text, "the first panic");
    })
    .finish();
}

#[test]
fn a_panic_in_the_drop_of_a_finished_future_is_the_panic_of_the_child() {
    let drops = Drops::default();
    let text = panic_text(|| {
        block_on(scope(async |s| {
            let probe = drops.probe();
            s.spawn(async {
                let _probe = probe;
                pending::<()>().await;
            });
            s.spawn(Armed {
                panics: None,
                _bomb: Bomb("dropped when it was ready"),
            });
        }))
    });
    assert_eq!(text, "dropped when it was ready");
    assert_eq!(drops.count(), 1);
}

#[test]
fn a_child_spawned_during_the_drop_of_a_scope_is_dropped_at_once() {
    for cut in Cut::ALL {
        let drops = Drops::default();
        let told = Cell::new(0);
        block_on(async {
            let _left = cut
                .off(|s| {
                    for _ in 0..5 {
                        let (nested, drops, told) = (s.clone(), &drops, &told);
                        let spawns = OnDrop(move || {
                            let probe = drops.probe();
                            let before = drops.count();
                            let handle = nested.spawn(async {
                                drop(probe);
                                Ok(())
                            });
                            assert_eq!(drops.count(), before + 1);
                            assert_says_that_the_scope_has_ended(handle);
                            told.set(told.get() + 1);
                        });
                        s.spawn(async move {
                            let _spawns = spawns;
                            pending::<Result<(), _>>().await
                        });
                    }
                })
                .await;
        });
        assert_eq!((told.get(), drops.count()), (5, 5), "{cut:?}");
    }
}

#[test]
fn a_child_that_spawns_when_it_ends_extends_the_scope() {
    let ran = Cell::new(false);
    block_on(scope(async |s| {
        let (nested, ran) = (s.clone(), &ran);
        let spawns = OnDrop(move || drop(nested.spawn(async { ran.set(true) })));
        s.spawn(async move { drop(spawns) });
    }));
    assert!(ran.get());
}

#[test]
fn children_that_hold_handles_of_siblings_are_dropped() {
    for cut in Cut::ALL {
        let drops = Drops::default();
        block_on(async {
            let _left = cut
                .off(|s| {
                    // Each holds one handle, and the first and the last hold each other's.
                    let first_of_all = Rc::new(Cell::new(None));
                    let theirs = Rc::clone(&first_of_all);
                    let mut former = None;
                    for number in 0..5 {
                        let (probe, held, theirs) = (drops.probe(), former, Rc::clone(&theirs));
                        former = Some(s.spawn(async move {
                            let (_probe, mut held) = (probe, held);
                            if number == 0 {
                                yield_now().await;
                                held = theirs.take();
                            }
                            match held {
                                Some(held) => held.await,
                                None => pending().await,
                            }
                            Ok(())
                        }));
                    }
                    first_of_all.set(former);
                })
                .await;
            assert_eq!(drops.count(), 5, "{cut:?}");
        });
    }
}

// Nested scopes, scopes in tasks, and scopes under other executors.

#[test]
fn a_scope_in_a_child_borrows_from_the_child() {
    block_on(async {
        let base = 100;
        let sums = scope(async |outer| {
            let children: Vec<_> = (0..5)
                .map(|number| {
                    let (base, further) = (&base, outer.clone());
                    outer.spawn(async move {
                        let own = [number, number + 1, number + 2];
                        let mut sum = *base;
                        let add = &mut sum;
                        scope(async move |inner| {
                            let parts = own.iter().copied().map(|part| {
                                inner.spawn(async move {
                                    yield_now().await;
                                    part
                                })
                            });
                            for part in parts.collect::<Vec<_>>() {
                                *add += part.await;
                            }
                        })
                        .await;
                        // The outer scope still runs.
                        further.spawn(async move { sum }).await
                    })
                })
                .collect();
            join_all(children).await
        });
        assert_eq!(sums.await, [103, 106, 109, 112, 115]);
    });
}

#[test]
fn deeply_nested_scopes_propagate_outputs_and_panics() {
    /// Nests scopes in children to this depth.
    fn nest<'a>(depth: usize, panics: bool) -> Pin<Box<dyn Future<Output = usize> + 'a>> {
        Box::pin(async move {
            if depth == 0 {
                yield_now().await;
                assert!(!panics, "at the bottom");
                return 0;
            }
            scope(async |s| s.spawn(nest(depth - 1, panics)).await + 1).await
        })
    }
    assert_eq!(block_on(nest(50, false)), 50);
    assert_eq!(panic_text(|| block_on(nest(50, true))), "at the bottom");
}

#[test]
fn scopes_work_in_concurrent_tasks() {
    block_on(async {
        let tasks: Vec<_> = (0..100)
            .map(|task| {
                spawn(async move {
                    let counter = Cell::new(0);
                    scope(async |s| {
                        for child in 0..task {
                            let counter = &counter;
                            s.spawn(async move {
                                for _ in 0..child % 5 {
                                    yield_now().await;
                                }
                                counter.set(counter.get() + 1);
                            });
                        }
                    })
                    .await;
                    counter.get()
                })
            })
            .collect();
        for (number, task) in tasks.into_iter().enumerate() {
            assert_eq!(task.await.unwrap(), number);
        }
    });
}

#[test]
fn a_scope_works_under_other_executors() {
    let _watchdog = watchdog();
    let sum = Cell::new(0);
    let whole = async || {
        scope(async |s| {
            let (send, mut receive) = mpsc::channel(1);
            for number in 0..300 {
                let (mut send, sum) = (send.clone(), &sum);
                s.spawn(async move {
                    yield_now().await;
                    sum.set(sum.get() + number);
                    futures::SinkExt::send(&mut send, number).await.unwrap();
                });
            }
            drop(send);
            let mut count = 0;
            while receive.next().await.is_some() {
                count += 1;
            }
            count
        })
        .await
    };
    assert_eq!(park_on(whole()), 300);
    assert_eq!(sum.replace(0), 300 * 299 / 2);
    // Inside another group that polls its members individually.
    let set: FuturesUnordered<_> = (0..10).map(|_| whole()).collect();
    assert_eq!(park_on(set.collect::<Vec<_>>()), [300; 10]);
    assert_eq!(sum.get(), 10 * 300 * 299 / 2);
    // The same with failures.
    let fails = try_scope(async |s| {
        s.spawn(async { Err::<(), _>("an error") });
        pending::<Result<(), _>>().await
    });
    assert_eq!(park_on(fails), Err("an error"));
    let panics = scope(async |s| {
        s.spawn(async { panic!("no runtime around it") });
        pending::<()>().await;
    });
    assert_eq!(panic_text(|| park_on(panics)), "no runtime around it");
}

#[test]
fn combinators_work_in_children() {
    block_on(async {
        let mut names = Vec::new();
        let log = RefCell::new(&mut names);
        scope(async |s| {
            let log = |what| log.borrow_mut().push(what);
            let (send, receive) = oneshot::channel();
            let of_join = s.spawn(async {
                let wait = async { receive.await.unwrap() };
                let tell = async {
                    settle().await;
                    send.send(5).unwrap();
                };
                let (received, ()) = join(wait, tell).await;
                received
            });
            let of_select = s.spawn(async {
                let lost = pin!(sleep(FAR));
                select(pin!(settle()), lost).await.factor_first().0
            });
            let nested = s.clone();
            let of_unordered = s.spawn(async move {
                let mut set: FuturesUnordered<_> = (0..100)
                    .map(|number| {
                        nested.spawn(async move {
                            for _ in 0..number % 7 {
                                yield_now().await;
                            }
                            number
                        })
                    })
                    .collect();
                let mut sum = 0;
                while let Some(number) = set.next().await {
                    sum += number;
                }
                sum
            });
            let of_task = s.spawn(async { spawn(async { "task" }).await.unwrap() });
            assert_eq!(of_join.await, 5);
            of_select.await;
            assert_eq!(of_unordered.await, 99 * 100 / 2);
            log(of_task.await);
            s.spawn(async move {
                sleep(Duration::from_millis(1)).await;
                log("child");
            });
        })
        .await;
        assert_eq!(names, ["task", "child"]);
    });
}

#[test]
fn children_can_use_sockets_and_sleep() {
    const CONNECTIONS: usize = 30;
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let served = Cell::new(0);
        let sum: usize = scope(async |s| {
            let (nested, listener, served) = (s.clone(), &listener, &served);
            s.spawn(async move {
                for _ in 0..CONNECTIONS {
                    let (mut stream, _) = listener.accept().await.unwrap();
                    nested.spawn(async move {
                        let mut text = Vec::new();
                        stream.read_to_end(&mut text).await.unwrap();
                        sleep(Duration::from_millis(1)).await;
                        stream.write_all(&text).await.unwrap();
                        served.set(served.get() + 1);
                    });
                }
            });
            let clients: Vec<_> = (0..CONNECTIONS)
                .map(|number| {
                    s.spawn(async move {
                        let mut stream = TcpStream::connect(addr).await.unwrap();
                        stream.write_all(&vec![7; number * 1000]).await.unwrap();
                        stream.close().await.unwrap();
                        let mut echo = Vec::new();
                        stream.read_to_end(&mut echo).await.unwrap();
                        echo.len()
                    })
                })
                .collect();
            join_all(clients).await.into_iter().sum()
        })
        .await;
        assert_eq!(served.get(), CONNECTIONS);
        assert_eq!(sum, 1000 * CONNECTIONS * (CONNECTIONS - 1) / 2);
    });
}

#[test]
fn children_sleep_concurrently() {
    let runtime = Runtime::builder().virtual_clock().build().unwrap();
    let _watchdog = watchdog();
    runtime.block_on(async {
        let start = glassfrog::time::now();
        let order = RefCell::new(Vec::new());
        scope(async |s| {
            for hours in [3, 1, 2] {
                let order = &order;
                s.spawn(async move {
                    sleep(hours * FAR).await;
                    order.borrow_mut().push(hours);
                });
            }
        })
        .await;
        assert_eq!(*order.borrow(), [1, 2, 3]);
        assert_eq!(glassfrog::time::now() - start, 3 * FAR);
    });
}

// Fairness.

/// Counts the progress of a scope while another task waits for its turn.
struct Turns {
    /// The progress since the other task's last turn.
    since: Cell<usize>,
    /// The number of turns of the other task.
    count: Cell<usize>,
}

impl Turns {
    /// Counts a step of the scope; fails if the other task should have had its turn by now.
    fn step(&self) {
        self.since.set(self.since.get() + 1);
        let (since, count) = (self.since.get(), self.count.get());
        assert!(since <= BATCH, "{since} steps after turn {count}");
    }
}

/// Runs an endless scope until a task beside it has had many turns.
async fn beside_another(whole: impl AsyncFnOnce(&Turns)) {
    const TURNS: usize = 200;
    let turns = Rc::new(Turns {
        since: Cell::new(0),
        count: Cell::new(0),
    });
    let theirs = Rc::clone(&turns);
    let other = spawn(async move {
        while theirs.count.get() < TURNS {
            theirs.count.set(theirs.count.get() + 1);
            theirs.since.set(0);
            yield_now().await;
        }
    });
    let whole = pin!(whole(&turns));
    // In this order, so that the scope is not polled after the last turn of the other task.
    match select(other, whole).await {
        Either::Left((ended, _)) => ended.unwrap(),
        Either::Right(_) => panic!("the scope has ended"),
    }
}

#[test]
fn always_ready_children_let_other_tasks_run() {
    for children in [1, BATCH, 3 * BATCH] {
        block_on(beside_another(async |turns| {
            scope(async |s| {
                for _ in 0..children {
                    s.spawn(async {
                        loop {
                            turns.step();
                            yield_now().await;
                        }
                    });
                }
            })
            .await;
        }));
    }
}

#[test]
fn a_body_that_spawns_and_joins_forever_lets_other_tasks_run() {
    block_on(beside_another(async |turns| {
        scope(async |s| {
            loop {
                turns.step();
                s.spawn(async { turns.step() }).await;
            }
        })
        .await
    }));
}

#[test]
fn an_always_ready_body_lets_its_children_and_other_tasks_run() {
    block_on(beside_another(async |turns| {
        scope(async |s| {
            let of_child = Rc::new(Cell::new(0_usize));
            let theirs = Rc::clone(&of_child);
            s.spawn(async move {
                loop {
                    theirs.set(theirs.get() + 1);
                    yield_now().await;
                }
            });
            for round in 0_usize.. {
                turns.step();
                assert!(of_child.get().abs_diff(round) <= 1);
                yield_now().await;
            }
        })
        .await;
    }));
}

#[test]
fn children_share_the_budget_of_one_poll_and_are_not_polled_without_budget() {
    const CHILDREN: usize = 20;
    block_on(async {
        // Enough for as many turns as the other task has.
        let mut shares: Vec<Vec<_>> = Vec::new();
        for _ in 0..CHILDREN {
            shares.push((0..2000).map(|_| spawn(async {})).collect());
        }
        settle().await;
        beside_another(async |turns| {
            let polls = Rc::new(Cell::new(0));
            scope(async |s| {
                for share in shares {
                    let of_children = Rc::clone(&polls);
                    s.spawn(counted(&polls, async move {
                        for ended in share {
                            ended.await.unwrap();
                            turns.step();
                            // Each turn brings one budget, and one child spends it.
                            let (polls, turns) = (of_children.get(), turns.count.get());
                            assert!(polls <= turns + 1, "{polls} polls after turn {turns}");
                        }
                        panic!("the tasks have not sufficed");
                    }));
                }
            })
            .await;
        })
        .await;
    });
}

// The rest.

#[test]
fn a_hundred_thousand_children_leave_nothing_behind() {
    const ROUNDS: usize = 100;
    const CHILDREN: usize = 1000;
    block_on(async {
        let alive = Rc::new(());
        let most = Cell::new(0);
        scope(async |s| {
            for round in 0..ROUNDS {
                for number in 0..CHILDREN {
                    let (theirs, kept, most) = (Rc::clone(&alive), s.clone(), &most);
                    s.spawn(async move {
                        for _ in 0..(round + number) % 3 {
                            yield_now().await;
                        }
                        most.set(Rc::strong_count(&theirs).max(most.get()));
                        // The output, which nobody takes, holds the scope too.
                        (theirs, kept)
                    });
                }
                until(|| Rc::strong_count(&alive) == 1).await;
            }
        })
        .await;
        assert_eq!(Rc::strong_count(&alive), 1);
        assert!(most.get() > CHILDREN / 2);
    });
}

#[test]
fn a_finished_scope_keeps_no_wakers() {
    for cut in Cut::ALL {
        let (wakes, parent) = Wakes::new();
        let mut whole = Box::pin(
            AssertUnwindSafe(cut.off(|s| {
                for _ in 0..5 {
                    let (nested, kept) = (s.clone(), s.clone());
                    s.spawn(async move {
                        let _kept = (kept, nested.spawn(pending::<Result<(), _>>()));
                        pending::<Result<(), _>>().await
                    });
                }
            }))
            .catch_unwind(),
        );
        assert!(poll_with(&mut whole, &parent).is_ready());
        drop((whole, parent));
        assert_eq!(Arc::strong_count(&wakes), 1, "{cut:?}");
    }
    // While it waits, it holds the waker.
    let (wakes, parent) = Wakes::new();
    let mut whole = Box::pin(scope(async |s| {
        let kept = s.clone();
        s.spawn(async move {
            let _kept = kept;
            pending::<()>().await;
        });
    }));
    assert!(poll_with(&mut whole, &parent).is_pending());
    drop(parent);
    assert_eq!(Arc::strong_count(&wakes), 2);
    drop(whole);
    assert_eq!(Arc::strong_count(&wakes), 1);
}

#[cfg(target_os = "linux")]
#[test]
fn scopes_leave_no_memory_however_they_end() {
    use crate::support::status;

    /// Enough rounds that a leak of some hundred bytes per scope shows.
    const SCOPES: usize = 20_000;
    /// Enough rounds for the heap of the allocator to reach its final size.
    const WARM_UP: usize = 2_000;
    /// Less than a leak of the smallest allocation per scope would cause, in KiB.
    const TOLERANCE: usize = 512;

    /// Spawns children that hold the scope, each other's handles, and untaken outputs.
    fn setup(s: TryScope<'_, &'static str>) {
        let (nested, kept) = (s.clone(), s.clone());
        let first = s.spawn(async move { Ok(kept) });
        s.spawn(async move {
            let own = nested.spawn(pending::<Result<(), _>>());
            let _first = first;
            own.await;
            Ok(())
        });
    }
    child(|| {
        std::panic::set_hook(Box::new(|_| {}));
        block_on(async {
            let mut before = 0;
            for round in 0..WARM_UP + SCOPES {
                if round == WARM_UP {
                    before = status("self", "RssAnon");
                }
                drop(Cut::ALL[round % Cut::ALL.len()].off(setup).await);
                scope(async |s| {
                    let kept = s.clone();
                    s.spawn(async move { kept });
                })
                .await;
            }
            let after = status("self", "RssAnon");
            drop(std::panic::take_hook());
            assert!(after <= before + TOLERANCE, "{before} {after}");
        });
    })
    .finish();
}

/// Asserts that a scope shows children spawned in these lines, and no others.
fn assert_shows(scope: &dyn fmt::Debug, name: &str, lines: &[u32]) {
    let shown = format!("{scope:?}");
    let places: Vec<_> = lines
        .iter()
        .map(|line| format!("{}:{line}:", file!()))
        .collect();
    assert!(shown.starts_with(name), "{shown}");
    assert!(places.iter().all(|place| shown.contains(place)), "{shown}");
    assert_eq!(shown.matches(file!()).count(), lines.len(), "{shown}");
}

#[test]
fn the_debug_output_of_a_scope_shows_where_its_children_were_spawned() {
    block_on(async {
        let gate = Gate::default();
        let late = scope(async |s| {
            assert_shows(&s, "Scope {", &[]);
            let (first, nested) = (line!() + 1, s.clone());
            s.spawn(gate.pass());
            let second = line!() + 1;
            s.spawn(async move {
                // A child that is being polled is still listed.
                assert_shows(&nested, "Scope {", &[first, second]);
            });
            assert_shows(&s, "Scope {", &[first, second]);
            settle().await;
            assert_shows(&s, "Scope {", &[first]);
            gate.open();
            settle().await;
            assert_shows(&s, "Scope { closed: false", &[]);
            s
        });
        assert_shows(&late.await, "Scope { closed: true", &[]);
        let late = try_scope(async |s| {
            let line = line!() + 1;
            let handle = s.spawn(async { Ok::<_, ()>(()) });
            assert_shows(&s, "TryScope { closed: false", &[line]);
            assert_shows(&handle, "ScopedJoinHandle", &[]);
            Ok(s)
        });
        assert_shows(&late.await.unwrap(), "TryScope { closed: true", &[]);
    });
}

// Comparison with a naive model.

/// A step of a child in a random tree.
#[derive(Clone, Debug)]
enum Step {
    /// Yields to all ready children.
    Yield,
    /// Waits until its gate is opened from outside.
    Pass,
    /// Spawns a child with these steps.
    Spawn(Vec<Step>),
    /// Awaits the oldest child that it has not awaited.
    Join,
    /// Ends with an error.
    Fail,
    /// Panics.
    Panic,
}

/// Generates the random steps of a child, with descendants up to some depth.
fn steps() -> impl Strategy<Value = Vec<Step>> {
    let leaf = prop_oneof![
        30 => Just(Step::Yield),
        30 => Just(Step::Pass),
        30 => Just(Step::Join),
        1 => Just(Step::Fail),
        1 => Just(Step::Panic),
    ];
    let step = leaf.prop_recursive(4, 60, 6, |step| {
        prop_oneof![
            1 => step.clone(),
            2 => prop::collection::vec(step, 0..6).prop_map(Step::Spawn),
        ]
    });
    prop::collection::vec(step, 0..10)
}

/// The ways in which a scope of numbered children ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// All children completed.
    Well,
    /// This child failed.
    Error(usize),
    /// This child panicked.
    Panic(usize),
}

/// The state shared by all members of a random tree; the body is number 0.
#[derive(Default)]
struct World {
    /// The steps and ends of the members, in order.
    log: RefCell<Vec<(usize, usize)>>,
    /// The members that wait at a gate, in order of arrival.
    gates: RefCell<Vec<(usize, Rc<Gate>)>>,
    /// The number of members so far.
    members: Cell<usize>,
    /// Their drops.
    drops: Drops,
}

impl World {
    /// Performs the steps of a member.
    fn live<'env>(
        &'env self,
        s: TryScope<'env, usize>,
        steps: Vec<Step>,
    ) -> Pin<Box<dyn Future<Output = Result<(), usize>> + 'env>> {
        let own = self.members.replace(self.members.get() + 1);
        let probe = self.drops.probe();
        Box::pin(async move {
            let _probe = probe;
            let mut children = VecDeque::new();
            let count = steps.len();
            for (at, step) in steps.into_iter().enumerate() {
                self.log.borrow_mut().push((own, at));
                match step {
                    Step::Yield => yield_now().await,
                    Step::Pass => {
                        let gate = Rc::new(Gate::default());
                        self.gates.borrow_mut().push((own, Rc::clone(&gate)));
                        gate.pass().await;
                    }
                    Step::Spawn(steps) => {
                        let child = self.live(s.clone(), steps);
                        children.push_back(s.spawn(child));
                    }
                    Step::Join => {
                        if let Some(child) = children.pop_front() {
                            child.await;
                        }
                    }
                    Step::Fail => return Err(own),
                    Step::Panic => panic_any(own),
                }
            }
            self.log.borrow_mut().push((own, count));
            Ok(())
        })
    }
}

/// A member in the model.
struct Member {
    /// Its steps.
    steps: Vec<Step>,
    /// The index of the next step.
    at: usize,
    /// Whether it has begun that step, and continues after it in the next poll.
    begun: bool,
    /// The children that it has not awaited, oldest first.
    children: VecDeque<usize>,
    /// Whether it has ended.
    ended: bool,
    /// The member that awaits its end.
    joiner: Option<usize>,
}

/// The naive model: a queue of ready members, oldest first.
#[derive(Default)]
struct Model {
    /// All members.
    members: Vec<Member>,
    /// The ready members.
    ready: VecDeque<usize>,
    /// The members that wait at a gate.
    gates: Vec<usize>,
    /// The expected [`World::log`].
    log: Vec<(usize, usize)>,
}

impl Model {
    /// Adds a ready member.
    fn spawn(&mut self, steps: Vec<Step>) -> usize {
        self.members.push(Member {
            steps,
            at: 0,
            begun: false,
            children: VecDeque::new(),
            ended: false,
            joiner: None,
        });
        self.ready.push_back(self.members.len() - 1);
        self.members.len() - 1
    }

    /// Runs until no member is ready or the scope has ended, in rounds that poll each member at most once.
    fn run(&mut self) -> Option<Ending> {
        while !self.ready.is_empty() {
            let (mut polled, mut later) = (HashSet::new(), Vec::new());
            for _ in 0..128 {
                let Some(own) = self.ready.pop_front() else {
                    break;
                };
                if !polled.insert(own) {
                    later.push(own);
                } else if let Some(ending) = self.poll(own) {
                    return Some(ending);
                }
            }
            self.ready.extend(later);
        }
        let all_ended = self.members.iter().all(|member| member.ended);
        all_ended.then_some(Ending::Well)
    }

    /// Runs a member until it waits or has ended.
    fn poll(&mut self, own: usize) -> Option<Ending> {
        loop {
            let member = &mut self.members[own];
            if mem::take(&mut member.begun) {
                member.at += 1;
            }
            self.log.push((own, member.at));
            let Some(step) = member.steps.get(member.at).cloned() else {
                member.ended = true;
                self.ready.extend(member.joiner);
                return None;
            };
            member.begun = true;
            match step {
                Step::Yield => {
                    self.ready.push_back(own);
                    return None;
                }
                Step::Pass => {
                    self.gates.push(own);
                    return None;
                }
                Step::Spawn(steps) => {
                    let child = self.spawn(steps);
                    self.members[own].children.push_back(child);
                }
                Step::Join => {
                    if let Some(child) = member.children.pop_front()
                        && !self.members[child].ended
                    {
                        self.members[child].joiner = Some(own);
                        return None;
                    }
                }
                Step::Fail => return Some(Ending::Error(own)),
                Step::Panic => return Some(Ending::Panic(own)),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Members run in the order in which they became ready, once each time. The first failure ends the scope. When
    /// the scope ends or is dropped, all its members are dropped.
    #[test]
    fn a_scope_behaves_like_a_queue_of_ready_children(
        steps in steps(),
        choices in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
    ) {
        let _watchdog = watchdog();
        let world = World::default();
        let mut model = Model::default();
        model.spawn(steps.clone());
        let (wakes, parent) = Wakes::new();
        let mut whole = Box::pin(
            AssertUnwindSafe(try_scope(async |s| world.live(s, steps).await)).catch_unwind(),
        );
        let mut choices = choices.into_iter();
        let outcome = loop {
            let mut poll;
            loop {
                let before = wakes.count();
                poll = poll_with(&mut whole, &parent);
                if poll.is_ready() || wakes.count() == before {
                    break;
                }
            }
            let expected = model.run();
            prop_assert_eq!(&*world.log.borrow(), &model.log);
            match poll {
                Poll::Ready(outcome) => {
                    let ending = match outcome {
                        Ok(Ok(())) => Ending::Well,
                        Ok(Err(number)) => Ending::Error(number),
                        Err(payload) => Ending::Panic(*payload.downcast().unwrap()),
                    };
                    prop_assert_eq!(Some(ending), expected);
                    break Some(ending);
                }
                Poll::Pending => prop_assert_eq!(None, expected),
            }
            prop_assert_eq!(world.gates.borrow().len(), model.gates.len());
            prop_assert!(!model.gates.is_empty(), "they all wait for one another");
            let Some(choice) = choices.next() else {
                break None;
            };
            let which = choice.index(model.gates.len());
            let (own, gate) = world.gates.borrow_mut().remove(which);
            prop_assert_eq!(own, model.gates.remove(which));
            model.ready.push_back(own);
            let before = wakes.count();
            gate.open();
            prop_assert_eq!(wakes.count(), before + 1);
        };
        if outcome.is_none() {
            prop_assert!(world.drops.count() < world.members.get());
            drop(whole);
        }
        prop_assert_eq!(world.members.get(), model.members.len());
        prop_assert_eq!(world.drops.count(), model.members.len());
    }
}
