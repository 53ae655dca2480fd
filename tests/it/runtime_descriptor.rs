//! The descriptor of a runtime: a foreign loop that waits for it misses nothing and does not spin.

use crate::support::{few_or_many, watchdog};
use futures::channel::mpsc;
use futures::task::LocalSpawn;
use futures::{FutureExt, StreamExt};
use glassfrog::net::TcpStream;
use glassfrog::task::{LocalSpawner, spawn_blocking, yield_now};
use glassfrog::time::sleep;
use glassfrog::{Runtime, spawn};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::cell::{Cell, RefCell};
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

/// Waits until a descriptor is readable, at most for `timeout`. Returns whether it is.
fn wait(fd: BorrowedFd<'_>, timeout: Option<Duration>) -> bool {
    let timeout = timeout.map(|timeout| Timespec::try_from(timeout).unwrap());
    let mut fds = [PollFd::new(&fd, PollFlags::IN)];
    loop {
        match poll(&mut fds, timeout.as_ref()) {
            Err(rustix::io::Errno::INTR) => {}
            count => return count.unwrap() > 0,
        }
    }
}

/// Returns whether the runtime asks for a turn.
fn is_readable(runtime: &Runtime) -> bool {
    wait(runtime.as_fd(), Some(Duration::ZERO))
}

/// A foreign loop that holds the descriptor and makes a turn only when it is readable or a deadline passes.
/// Returns how many turns it has made when `is_over` says so.
fn drive(runtime: &Runtime, is_over: impl Fn() -> bool) -> usize {
    let fd = runtime.as_fd();
    let mut turns = 0;
    while !is_over() {
        let deadline = runtime.next_deadline();
        wait(
            fd,
            deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())),
        );
        runtime.turn(Some(Duration::ZERO)).unwrap();
        turns += 1;
    }
    turns
}

/// Makes turns until the descriptor is not readable, as after a start.
fn settle(runtime: &Runtime) {
    while is_readable(runtime) {
        runtime.turn(Some(Duration::ZERO)).unwrap();
    }
}

/// A task that waits to be woken by hand, and counts its polls.
fn waiting(runtime: &Runtime) -> (Rc<RefCell<Option<Waker>>>, Rc<Cell<u32>>) {
    let (waker, polls) = (Rc::new(RefCell::new(None)), Rc::new(Cell::new(0)));
    let (their_waker, their_polls) = (Rc::clone(&waker), Rc::clone(&polls));
    let _guard = runtime.enter();
    spawn(std::future::poll_fn(move |cx| {
        their_polls.set(their_polls.get() + 1);
        their_waker.replace(Some(cx.waker().clone()));
        Poll::<()>::Pending
    }));
    (waker, polls)
}

#[test]
fn a_new_runtime_is_not_readable_and_a_turn_makes_it_so_again() {
    let runtime = Runtime::new().unwrap();
    assert!(!is_readable(&runtime));
    assert_eq!(runtime.as_raw_fd(), runtime.as_fd().as_raw_fd());
    let guard = runtime.enter();
    spawn(async {});
    assert!(is_readable(&runtime));
    assert!(is_readable(&runtime), "asking changes nothing");
    drop(guard);
    let turned = runtime.turn(Some(Duration::ZERO)).unwrap();
    assert_eq!((turned.polled, turned.is_ready), (1, false));
    assert!(!is_readable(&runtime));
}

#[test]
fn everything_that_happens_on_the_own_thread_between_turns_makes_it_readable() {
    let runtime = Runtime::new().unwrap();
    let (waker, polls) = waiting(&runtime);
    settle(&runtime);
    let wake = || waker.borrow_mut().take().unwrap().wake();
    let local = {
        let _guard = runtime.enter();
        LocalSpawner::current()
    };
    let long = RefCell::new(None);
    let happenings: [(&str, &dyn Fn()); 7] = [
        ("a wake", &wake),
        ("a wake under the guard", &|| {
            let _guard = runtime.enter();
            wake();
        }),
        ("a spawn", &|| {
            let _guard = runtime.enter();
            drop(spawn(async {}));
        }),
        ("a spawn by the handle", &|| {
            drop(runtime.handle().spawn(async {}))
        }),
        ("a spawn by the local spawner", &|| {
            local.spawn_local_obj(Box::pin(async {}).into()).unwrap();
        }),
        ("an abort", &|| {
            let _guard = runtime.enter();
            let task = spawn(async {});
            settle(&runtime);
            task.abort();
        }),
        ("an earlier deadline", &|| {
            let _guard = runtime.enter();
            let mut sleep = Box::pin(sleep(Duration::from_secs(60)));
            assert!((&mut sleep).now_or_never().is_none());
            long.replace(Some(sleep));
        }),
    ];
    for (what, happen) in happenings {
        assert!(!is_readable(&runtime), "before {what}");
        happen();
        assert!(is_readable(&runtime), "{what}");
        settle(&runtime);
    }
    assert_eq!(polls.get(), 3);
}

/// A future that is ready at once, and does something when it is dropped.
struct Leaves<F: FnMut()>(F);

impl<F: FnMut()> Drop for Leaves<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

impl<F: FnMut()> Future for Leaves<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

#[test]
fn what_a_block_on_leaves_behind_makes_it_readable() {
    let runtime = Runtime::new().unwrap();
    // Before the descriptor is handed out for the first time, and afterwards.
    for _ in 0..2 {
        let [task] = runtime.block_on(async { [spawn(async {})] });
        assert!(is_readable(&runtime));
        settle(&runtime);
        assert!(task.is_finished());
    }
    // The future itself is dropped after the last turn.
    runtime.block_on(Leaves(|| drop(spawn(async {}))));
    assert!(is_readable(&runtime));
    settle(&runtime);
    let (waker, polls) = waiting(&runtime);
    settle(&runtime);
    runtime.block_on(Leaves(|| waker.borrow_mut().take().unwrap().wake()));
    assert!(is_readable(&runtime));
    settle(&runtime);
    assert_eq!(polls.get(), 2);
}

#[test]
fn a_task_that_stays_ready_keeps_it_readable() {
    let runtime = Runtime::new().unwrap();
    let fd = runtime.as_fd();
    let guard = runtime.enter();
    let task = spawn(async {
        for _ in 0..1000 {
            yield_now().await;
        }
    });
    drop(guard);
    let mut turns = 0;
    while !task.is_finished() {
        // A foreign loop that does not look at `is_ready`.
        assert!(wait(fd, Some(Duration::ZERO)));
        runtime.turn(Some(Duration::ZERO)).unwrap();
        turns += 1;
    }
    assert!((7..100).contains(&turns), "{turns}");
    settle(&runtime);
}

#[test]
fn a_ready_socket_makes_it_readable() {
    let _watchdog = watchdog();
    let runtime = Runtime::new().unwrap();
    let guard = runtime.enter();
    let (ours, theirs) = crate::support::plain();
    let stream = TcpStream::try_from(ours).unwrap();
    let reader = spawn(async move { stream.read(&mut [0; 8]).await.unwrap() });
    drop(guard);
    settle(&runtime);
    let writer = thread::spawn(move || {
        (&theirs).write_all(b"abc").unwrap();
        theirs
    });
    let turns = drive(&runtime, || reader.is_finished());
    assert!(turns <= 3, "{turns}");
    drop(writer.join().unwrap());
}

#[test]
fn an_idle_loop_with_a_timer_makes_few_turns() {
    let _watchdog = watchdog();
    let runtime = Runtime::new().unwrap();
    let guard = runtime.enter();
    let ticker = spawn(async {
        for _ in 0..4 {
            sleep(Duration::from_millis(50)).await;
        }
    });
    drop(guard);
    let turns = drive(&runtime, || ticker.is_finished());
    assert!(turns <= 1 + 4 * 6, "{turns}");
}

#[test]
fn no_wake_of_another_thread_is_missed_at_any_moment() {
    let _watchdog = watchdog();
    const THREADS: usize = 3;
    let wakes = few_or_many(5_000, 200_000);
    let runtime = Runtime::new().unwrap();
    let guard = runtime.enter();
    let mut tasks = Vec::new();
    let mut threads = Vec::new();
    for number in 0..THREADS {
        // The channel in the other direction: the thread wakes the task again only when that has answered, so a
        // single wake that is lost stops everything.
        let (send, mut receive) = mpsc::unbounded::<usize>();
        let (answer, answers) = std::sync::mpsc::channel();
        tasks.push(spawn(async move {
            let mut sum = 0;
            while let Some(number) = receive.next().await {
                sum += number;
                answer.send(()).unwrap();
            }
            sum
        }));
        threads.push(thread::spawn(move || {
            for wake in 0..wakes {
                send.unbounded_send(wake).unwrap();
                answers.recv().unwrap();
                // Comes at all moments of a turn, and between two.
                for _ in 0..(wake * 7 + number * 13) % 50 {
                    std::hint::spin_loop();
                }
            }
        }));
    }
    drop(guard);
    let turns = drive(&runtime, || tasks.iter().all(|task| task.is_finished()));
    for thread in threads {
        thread.join().unwrap();
    }
    for task in tasks {
        assert_eq!(runtime.block_on(task).unwrap(), wakes * (wakes - 1) / 2);
    }
    // Each answer takes a turn at most, and the turns that find nothing are as many at most: a wake that comes
    // during a turn is served in it, and may make the descriptor readable all the same.
    let most = 2 * THREADS * (wakes + 2);
    assert!(turns <= most, "{turns} turns for {} wakes", THREADS * wakes);
}

#[test]
fn guests_and_jobs_of_other_threads_make_it_readable() {
    let _watchdog = watchdog();
    let runtime = Runtime::new().unwrap();
    let handle = runtime.handle();
    let guest = thread::spawn(move || {
        handle.block_on(async {
            for _ in 0..20 {
                sleep(Duration::from_micros(300)).await;
                spawn_blocking(|| ()).await.unwrap();
            }
        });
    });
    drive(&runtime, || {
        // The end of the thread is not an event.
        guest.is_finished() || runtime.handle().metrics().timers_fired >= 20
    });
    while !guest.is_finished() {
        runtime.turn(Some(Duration::from_millis(1))).unwrap();
    }
    guest.join().unwrap();
}

#[test]
fn a_virtual_clock_that_can_move_keeps_it_readable() {
    let _watchdog = watchdog();
    let runtime = Runtime::builder().virtual_clock().build().unwrap();
    let guard = runtime.enter();
    let task = spawn(sleep(Duration::from_secs(86_400)));
    drop(guard);
    while !task.is_finished() {
        assert!(is_readable(&runtime));
        runtime.turn(None).unwrap();
    }
    assert!(!is_readable(&runtime));
}
