//! Turning a runtime by hand: `Runtime::enter`, `Runtime::turn` and `Runtime::next_deadline`.

use crate::support::{child, watchdog};
use crate::task_probes::{logged, panic_text, record_log};
use futures::FutureExt;
use futures::channel::oneshot;
use glassfrog::net::TcpStream;
use glassfrog::task::{self, LocalSpawner, yield_now};
use glassfrog::time::{now, sleep};
use glassfrog::{Handle, OnDeadlock, OnTaskPanic, Runtime, Turned, spawn};
use std::cell::{Cell, RefCell};
use std::future::pending;
use std::io::Write;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

/// Makes a turn that does not wait.
fn turn(runtime: &Runtime) -> Turned {
    runtime.turn(Some(Duration::ZERO)).unwrap()
}

/// Makes turns until nothing is ready. Returns how many.
fn turn_while_ready(runtime: &Runtime) -> usize {
    (1..).find(|_| !turn(runtime).is_ready).unwrap()
}

#[test]
fn tasks_are_spawned_under_the_guard_and_polled_in_turns() {
    let runtime = Runtime::new().unwrap();
    let log = Rc::new(RefCell::new(Vec::new()));
    let guard = runtime.enter();
    for number in 0..3 {
        let log = Rc::clone(&log);
        spawn(async move {
            log.borrow_mut().push(number);
            yield_now().await;
            log.borrow_mut().push(10 + number);
        });
    }
    assert!(log.borrow().is_empty());
    drop(guard);
    assert!(Handle::try_current().is_none());
    let turned = turn(&runtime);
    assert_eq!(turned.polled, 6);
    assert!(!turned.is_ready);
    assert_eq!(*log.borrow(), [0, 1, 2, 10, 11, 12]);
    assert_eq!(turn(&runtime).polled, 0);
}

#[test]
fn a_turn_makes_one_batch_at_most_and_says_that_more_is_ready() {
    let _watchdog = watchdog();
    let runtime = Runtime::new().unwrap();
    let _guard = runtime.enter();
    for _ in 0..1000 {
        spawn(async {});
    }
    let mut polled = 0;
    loop {
        // Without a limit of time: it must not wait while a task is ready.
        let turned = runtime.turn(None).unwrap();
        assert!(turned.polled <= 128 + 16, "{turned:?}");
        polled += turned.polled;
        assert_eq!(turned.is_ready, polled < 1000, "{polled}");
        if !turned.is_ready {
            break;
        }
    }
    assert_eq!(runtime.handle().metrics().tasks_alive, 0);
}

#[test]
fn a_turn_waits_for_an_event_a_deadline_or_another_thread_and_polls_what_it_wakes() {
    let _watchdog = watchdog();
    let runtime = Runtime::new().unwrap();
    let guard = runtime.enter();
    let (ours, theirs) = crate::support::plain();
    let stream = TcpStream::try_from(ours).unwrap();
    let (send, receive) = oneshot::channel();
    let reader = spawn(async move { stream.read(&mut [0; 8]).await.unwrap() });
    let sleeper = spawn(sleep(Duration::from_millis(2)));
    let receiver = spawn(receive);
    drop(guard);
    // Waits for the deadline: the first look comes before the first polls.
    turn_while_ready(&runtime);
    while !sleeper.is_finished() {
        runtime.turn(None).unwrap();
    }
    (&theirs).write_all(b"abc").unwrap();
    while !reader.is_finished() {
        let turned = runtime.turn(None).unwrap();
        assert!(turned.events > 0);
    }
    let sender = thread::spawn(move || send.send(7).unwrap());
    while !receiver.is_finished() {
        runtime.turn(None).unwrap();
    }
    sender.join().unwrap();
    let outputs = async { (reader.await.unwrap(), receiver.await.unwrap()) };
    assert_eq!(runtime.block_on(outputs), (3, Ok(7)));
}

#[test]
fn an_event_and_the_poll_that_it_causes_are_in_the_same_turn() {
    let _watchdog = watchdog();
    let runtime = Runtime::new().unwrap();
    let guard = runtime.enter();
    let (ours, theirs) = crate::support::plain();
    let stream = TcpStream::try_from(ours).unwrap();
    let reader = spawn(async move { stream.read(&mut [0; 8]).await.unwrap() });
    drop(guard);
    turn_while_ready(&runtime);
    // The readiness for writing that a new socket has may come now.
    while turn(&runtime).events > 0 {}
    (&theirs).write_all(b"abc").unwrap();
    let turned = runtime.turn(None).unwrap();
    assert_eq!((turned.events, turned.polled), (1, 1));
    assert!(reader.is_finished());
}

#[test]
fn a_turn_ends_after_its_timeout() {
    let runtime = Runtime::new().unwrap();
    let begun = Instant::now();
    let timeout = Duration::from_millis(5);
    while begun.elapsed() < timeout {
        let turned = runtime.turn(Some(timeout)).unwrap();
        assert_eq!((turned.polled, turned.is_ready), (0, false));
    }
    let _guard = runtime.enter();
    spawn(sleep(Duration::from_secs(3600)));
    turn_while_ready(&runtime);
    runtime.turn(Some(timeout)).unwrap();
}

#[test]
fn the_next_deadline_follows_the_sleeps_that_are_made_between_turns() {
    let runtime = Runtime::new().unwrap();
    assert_eq!(runtime.next_deadline(), None);
    let _guard = runtime.enter();
    let begun = Instant::now();
    let (hour, minute) = (Duration::from_secs(3600), Duration::from_secs(60));
    let mut long = Box::pin(sleep(hour));
    assert!((&mut long).now_or_never().is_none());
    let first = runtime.next_deadline().unwrap();
    assert!(first <= long.deadline());
    let mut short = Box::pin(sleep(minute));
    assert!((&mut short).now_or_never().is_none());
    let second = runtime.next_deadline().unwrap();
    assert!(begun < second && second <= short.deadline());
    drop(short);
    // The time may be earlier than the deadline, but a turn then makes it later.
    assert!(runtime.next_deadline().unwrap() >= second.min(first));
    drop(long);
    assert_eq!(runtime.next_deadline(), None);
    let forever = Box::pin(sleep(Duration::MAX));
    assert!(forever.now_or_never().is_none());
    assert_eq!(runtime.next_deadline(), None);
}

#[test]
fn a_loop_that_waits_until_the_next_deadline_makes_few_turns() {
    let _watchdog = watchdog();
    let runtime = Runtime::new().unwrap();
    let guard = runtime.enter();
    let ticks = Rc::new(Cell::new(0));
    let theirs = Rc::clone(&ticks);
    let ticker = spawn(async move {
        for _ in 0..5 {
            sleep(Duration::from_millis(50)).await;
            theirs.set(theirs.get() + 1);
        }
    });
    drop(guard);
    let mut turns = 0;
    while !ticker.is_finished() {
        if !turn(&runtime).is_ready
            && let Some(next) = runtime.next_deadline()
        {
            // The foreign loop under test waits for nothing but the deadline.
            thread::sleep(next.saturating_duration_since(Instant::now()));
        }
        turns += 1;
    }
    assert_eq!(ticks.get(), 5);
    // A deadline of 50 ms stands on the second or third level of the wheel.
    assert!(turns <= 5 * 5, "{turns} turns");
}

#[test]
fn a_virtual_clock_moves_in_turns_as_it_does_in_block_on() {
    let _watchdog = watchdog();
    let runtime = Runtime::builder().virtual_clock().build().unwrap();
    let guard = runtime.enter();
    let begun = now();
    let log = Rc::new(RefCell::new(Vec::new()));
    for days in [3, 1, 2] {
        let log = Rc::clone(&log);
        spawn(async move {
            sleep(Duration::from_secs(days * 86_400)).await;
            log.borrow_mut()
                .push((days, (now() - begun).as_secs() / 86_400));
        });
    }
    // A timeout of zero does not hold the clock, and none is waited for while there is a deadline.
    let timeouts = [Some(Duration::ZERO), None];
    let mut turns = 0;
    while runtime.turn(timeouts[turns % 2]).unwrap().is_ready {
        turns += 1;
    }
    assert_eq!(*log.borrow(), [(1, 1), (2, 2), (3, 3)]);
    assert!(turns <= 10, "{turns}");
    drop(guard);
}

#[test]
fn turns_and_block_on_exclude_each_other_and_say_so() {
    let runtime = Rc::new(Runtime::new().unwrap());
    let other = Rc::new(Runtime::new().unwrap());
    let inside_block_on = runtime.block_on(async {
        [&runtime, &other].map(|runtime| panic_text(|| runtime.turn(Some(Duration::ZERO))))
    });
    let guard = runtime.enter();
    let (first, second) = (Rc::clone(&runtime), Rc::clone(&other));
    let task = spawn(async move {
        let zero = Some(Duration::ZERO);
        let turns = [&first, &second].map(|runtime| panic_text(|| runtime.turn(zero)));
        let block_ons = [&first, &second].map(|runtime| panic_text(|| runtime.block_on(async {})));
        (turns, block_ons)
    });
    turn_while_ready(&runtime);
    let (turns, block_ons) = runtime.block_on(task).unwrap();
    for text in inside_block_on.iter().chain(&turns) {
        assert!(text.contains("`Runtime::turn` inside a runtime"), "{text}");
    }
    for text in block_ons {
        assert!(text.contains("`block_on` inside a runtime"), "{text}");
    }
    // Under the guard alone, both work.
    assert_eq!(runtime.block_on(async { 1 }), 1);
    turn(&other);
    drop(guard);
}

#[test]
fn what_one_block_on_leaves_ready_is_polled_in_a_turn() {
    let runtime = Runtime::new().unwrap();
    let (waker, task) = runtime.block_on(async {
        let waker = std::future::poll_fn(|cx| std::task::Poll::Ready(cx.waker().clone())).await;
        (waker, spawn(async { 7 }))
    });
    // A late wake of the future that has ended.
    waker.wake();
    let turned = turn(&runtime);
    assert_eq!((turned.polled, turned.is_ready), (1, false));
    assert_eq!(runtime.block_on(task).unwrap(), 7);
}

#[test]
fn the_panic_of_a_task_that_ends_the_runtime_unwinds_out_of_the_turn() {
    let policy = OnTaskPanic::EndRuntime;
    let runtime = Runtime::builder().on_task_panic(policy).build().unwrap();
    let guard = runtime.enter();
    spawn(async { panic!("on purpose") });
    let waits = spawn(pending::<()>());
    assert_eq!(panic_text(|| turn(&runtime)), "on purpose");
    assert!(waits.is_finished());
    let error = runtime.turn(None).unwrap_err();
    assert!(error.to_string().contains("EndRuntime"), "{error}");
    assert!(
        crate::support::park_on(spawn(async {}))
            .unwrap_err()
            .is_cancelled()
    );
    drop(guard);
}

#[test]
fn a_panic_that_is_kept_for_the_handle_does_not_end_the_turn() {
    let runtime = Runtime::new().unwrap();
    let _guard = runtime.enter();
    let panics = spawn(async { panic!("on purpose") });
    let goes_on = spawn(async { 7 });
    turn_while_ready(&runtime);
    assert!(panics.is_finished() && goes_on.is_finished());
}

#[test]
fn no_deadlock_or_stall_is_reported_in_a_turn() {
    let builder = Runtime::builder()
        .on_deadlock(OnDeadlock::Panic)
        .stall_report(Duration::from_millis(1));
    child(move || {
        record_log();
        let runtime = builder.build().unwrap();
        let guard = runtime.enter();
        drop(spawn(pending::<()>()));
        drop(guard);
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(100) {
            runtime.turn(Some(Duration::from_millis(30))).unwrap();
        }
        assert!(logged("nothing has happened").is_empty());
        let text = panic_text(|| runtime.block_on(pending::<()>()));
        assert!(text.contains("deadlock"), "{text}");
    })
    .finish();
}

#[test]
fn dumps_and_metrics_work_between_and_within_turns() {
    let _watchdog = watchdog();
    let runtime = Runtime::new().unwrap();
    let handle = runtime.handle();
    let guard = runtime.enter();
    task::Builder::new()
        .name("sleeper")
        .spawn(sleep(Duration::from_secs(60)));
    let within = spawn(async { (task::dump().to_string(), Handle::current().metrics().polls) });
    turn_while_ready(&runtime);
    let between = [task::dump().to_string(), handle.dump().to_string()];
    drop(guard);
    let (within, polls) = runtime.block_on(within).unwrap();
    assert_eq!(polls, 2);
    for dump in between.iter().chain([&within]) {
        assert!(dump.contains("1 \"sleeper\""), "{dump}");
        // There is no future of `block_on`.
        assert!(!dump.contains("main"), "{dump}");
    }
    // From another thread, a turn answers.
    let theirs = handle.clone();
    let asks = thread::spawn(move || theirs.dump().to_string());
    while !asks.is_finished() {
        runtime.turn(Some(Duration::from_millis(1))).unwrap();
    }
    assert!(asks.join().unwrap().contains("sleeper"));
    let before = handle.metrics();
    turn(&runtime);
    assert_eq!(handle.metrics().turns, before.turns + 1);
}

#[test]
fn a_slow_poll_in_a_turn_is_counted() {
    let builder = Runtime::builder().watchdog(Duration::from_millis(1));
    let runtime = builder.build().unwrap();
    let guard = runtime.enter();
    spawn(async { thread::sleep(Duration::from_millis(3)) });
    drop(guard);
    turn(&runtime);
    assert_eq!(runtime.handle().metrics().slow_polls, 1);
}

#[test]
fn a_guest_on_another_thread_is_served_by_turns() {
    let _watchdog = watchdog();
    let runtime = Runtime::new().unwrap();
    let handle = runtime.handle();
    let guest = thread::spawn(move || {
        handle.block_on(async {
            let (ours, theirs) = crate::support::plain();
            let stream = TcpStream::try_from(ours).unwrap();
            (&theirs).write_all(b"abc").unwrap();
            sleep(Duration::from_millis(1)).await;
            stream.read(&mut [0; 8]).await.unwrap()
        })
    });
    while !guest.is_finished() {
        runtime.turn(Some(Duration::from_millis(1))).unwrap();
    }
    assert_eq!(guest.join().unwrap(), 3);
}

#[test]
fn a_runtime_may_be_entered_inside_another_one() {
    let inner = Runtime::new().unwrap();
    let [task] = glassfrog::block_on(async {
        let before = spawn(async { 1 });
        let guard = inner.enter();
        let task = spawn(async { 2 });
        let spawner = LocalSpawner::current();
        drop(guard);
        assert_eq!(before.await.unwrap(), 1);
        drop(spawner);
        [task]
    });
    assert_eq!(turn(&inner).polled, 1);
    assert_eq!(inner.block_on(task).unwrap(), 2);
}
