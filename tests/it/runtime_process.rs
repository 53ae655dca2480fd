//! What the operating system sees of a runtime: its files, its memory, and whether it sleeps. Linux only, because the
//! tests read `/proc`.

use crate::support::{
    Files, accepted, child, child_with, few_or_many, open_files, park_on, resident, settle,
    watchdog,
};
use crate::task_probes::{poll_with, until};
use futures::channel::oneshot;
use futures::stream::FuturesUnordered;
use glassfrog::net::{TcpListener, TcpStream};
use glassfrog::task::LocalSpawner;
use glassfrog::time::{sleep, timeout};
use glassfrog::{Handle, Runtime, spawn};
use socket2::SockRef;
use std::cell::OnceCell;
use std::fs;
use std::future::{pending, poll_fn};
use std::net;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc as std_mpsc;
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

/// A duration that exceeds every test.
const FAR: Duration = Duration::from_secs(3600);

/// Returns the directory of this thread in `/proc`.
fn this_thread() -> String {
    let link = fs::read_link("/proc/thread-self").unwrap();
    format!("/proc/{}", link.display())
}

/// Returns whether a thread sleeps (`proc(5)`, the state in `stat`).
fn sleeps(thread: &str) -> bool {
    let stat = fs::read_to_string(format!("{thread}/stat")).unwrap();
    // The state follows the name, which is in parentheses and may contain anything.
    stat.rsplit_once(") ").unwrap().1.starts_with('S')
}

/// Returns how many times a thread has gone to sleep, and its processor time in ticks.
fn activity(thread: &str) -> (u64, u64) {
    let status = fs::read_to_string(format!("{thread}/status")).unwrap();
    let switches = status
        .lines()
        .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))
        .unwrap();
    let stat = fs::read_to_string(format!("{thread}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    // `utime` and `stime`, the 14th and 15th field; the state is the 3rd.
    let ticks = |field: usize| fields[field - 3].parse::<u64>().unwrap();
    (switches.trim().parse().unwrap(), ticks(14) + ticks(15))
}

#[test]
fn an_idle_loop_sleeps() {
    let _watchdog = watchdog();
    let (idle, has_idled) = oneshot::channel::<()>();
    let (parked, will_park) = std_mpsc::channel();
    let thread = thread::spawn(move || {
        glassfrog::block_on(async {
            for _ in 0..100 {
                let (stream, peer) = accepted().await;
                drop(spawn(async move {
                    let _peer = peer;
                    stream.read(&mut [0]).await.map(drop)
                }));
            }
            drop(spawn(sleep(FAR)));
            drop(spawn(timeout(FAR, pending::<()>())));
            settle().await;
            parked.send(this_thread()).unwrap();
            has_idled.await.unwrap();
        });
    });
    let its = will_park.recv().unwrap();
    while !sleeps(&its) {
        thread::yield_now();
    }
    let (switches, ticks) = activity(&its);
    // This orders nothing: it is the time for which the other thread must stay idle.
    thread::sleep(Duration::from_millis(few_or_many(300, 1000) as u64));
    let (switches_later, ticks_later) = activity(&its);
    assert!(sleeps(&its));
    // It may have slept on a lock above. A busy loop never sleeps, or sleeps a thousand times.
    assert!(
        switches_later - switches <= 3,
        "it woke up {}",
        switches_later - switches
    );
    assert!(
        ticks_later - ticks <= 3,
        "it ran for {} ticks",
        ticks_later - ticks
    );
    idle.send(()).unwrap();
    thread.join().unwrap();
}

#[test]
fn any_action_of_another_thread_wakes_a_parked_loop() {
    let _watchdog = watchdog();
    /// An action of another thread.
    type Deed = Box<dyn FnOnce() + Send>;
    /// A function that creates an action, which uses or drops the sender.
    type MakeDeed = fn(oneshot::Sender<()>) -> Deed;
    let deeds: [(&str, MakeDeed); 6] = [
        ("a wake", |done| Box::new(move || done.send(()).unwrap())),
        ("a new task", |done| {
            let handle = Handle::current();
            Box::new(move || drop(handle.spawn(async move { done.send(()).unwrap() })))
        }),
        ("a new task to be built", |done| {
            let handle = Handle::current();
            Box::new(move || {
                drop(handle.spawn_with(|| async move { done.send(()).unwrap() }));
            })
        }),
        ("a handle dropped", |done| {
            // The loop drops the output, and the sender with it. The receiver notices.
            let task = spawn(async move { (done, Rc::new(())) });
            Box::new(move || drop(task))
        }),
        ("a sleep that is begun", |done| {
            let nap = sleep(Duration::from_millis(1));
            Box::new(move || {
                park_on(nap);
                done.send(()).unwrap();
            })
        }),
        ("a byte", |done| {
            let (ours, mut peer) = crate::support::plain();
            let stream = TcpStream::try_from(ours).unwrap();
            drop(spawn(async move {
                stream.readable().await.unwrap();
                done.send(()).unwrap();
            }));
            Box::new(move || {
                std::io::Write::write_all(&mut peer, b"!").unwrap();
                // Kept open, because its end would wake the reader as well.
                thread::park();
            })
        }),
    ];
    for (what, deed) in deeds {
        println!("{what}");
        let (done, has_been_done) = oneshot::channel();
        glassfrog::block_on(async {
            let mut far = pin!(sleep(FAR));
            assert!(poll_with(&mut far, Waker::noop()).is_pending());
            let deed = deed(done);
            settle().await;
            let the_loop = this_thread();
            let thread = thread::spawn(move || {
                while !sleeps(&the_loop) {
                    thread::yield_now();
                }
                deed();
            });
            // Either result shows the wake: a dropped sender is noticed too.
            let _word = has_been_done.await;
            thread.thread().unpark();
            thread.join().unwrap();
        });
    }
}

#[test]
fn objects_that_outlive_a_runtime_keep_no_file_open() {
    child(|| {
        let before = open_files();
        let runtime = Runtime::new().unwrap();
        assert!(open_files() > before);
        let (wakers, waker) = std_mpsc::channel();
        let kept = runtime.block_on(async {
            let theirs = wakers.clone();
            drop(spawn(poll_fn(move |cx| {
                theirs.send(cx.waker().clone()).unwrap();
                Poll::<()>::Pending
            })));
            let (stream, peer) = accepted().await;
            let local = spawn(async move {
                let _peer = peer;
                stream.read(&mut [0]).await.map(drop)
            });
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let remote = Handle::current().spawn(async move { listener.accept().await.map(drop) });
            let mut nap = sleep(FAR);
            assert!(poll_with(&mut nap, Waker::noop()).is_pending());
            settle().await;
            poll_fn(|cx| {
                wakers.send(cx.waker().clone()).unwrap();
                Poll::Ready(())
            })
            .await;
            (
                Handle::current(),
                LocalSpawner::current(),
                local,
                remote,
                nap,
            )
        });
        let handle = runtime.handle();
        drop(runtime);
        let wakers: Vec<Waker> = waker.try_iter().collect();
        assert_eq!(wakers.len(), 2);
        assert_eq!(open_files(), before);
        drop((kept, handle, wakers));
        assert_eq!(open_files(), before);
        // Neither does a nested or a panicking runtime.
        glassfrog::block_on(async { drop(Runtime::new()) });
        let panics = || glassfrog::block_on(async { panic!("with a runtime around it") });
        assert!(
            std::panic::catch_unwind(panics)
                .map(|()| "no panic")
                .is_err()
        );
        assert_eq!(open_files(), before);
    })
    .finish();
}

#[test]
fn a_runtime_dropped_with_pending_work_leaves_no_files_and_no_memory() {
    /// Enough rounds that a leak of some hundred bytes per runtime shows.
    const RUNTIMES: usize = few_or_many(4000, 10_000);
    /// Enough rounds for the allocator and the tables of the kernel to reach their final size.
    const WARM_UP: usize = 500;
    /// Far less than a leak of one task per runtime, in KiB.
    const TOLERANCE: u64 = 1024;

    async fn everything_pending(addr: net::SocketAddr) {
        let stream = Arc::new(TcpStream::connect(addr).await.unwrap());
        let same = Arc::clone(&stream);
        let reader = spawn(async move { same.read(&mut [0]).await.map(drop) });
        drop(spawn(async move { stream.readable().await }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        drop(spawn(async move {
            let mut incoming = listener.incoming();
            futures::StreamExt::next(&mut incoming).await.map(drop)
        }));
        drop(spawn(timeout(FAR, reader)));
        drop(spawn(sleep(FAR)));
        let (first, second) = (oneshot::channel::<()>(), oneshot::channel::<()>());
        drop(spawn(async move {
            let _other = first.0;
            second.1.await
        }));
        drop(spawn(async move {
            let _other = second.0;
            first.1.await
        }));
        let remote = Handle::current().spawn(pending::<()>());
        drop(Handle::current().spawn(remote));
        let set: FuturesUnordered<_> = (0..3).map(|_| spawn(pending::<()>())).collect();
        drop(spawn(futures::StreamExt::collect::<Vec<_>>(set)));
        // A task that owns its own waker, and one with an untaken output.
        let own = OnceCell::new();
        drop(spawn(poll_fn(move |cx| {
            own.get_or_init(|| cx.waker().clone());
            Poll::<()>::Pending
        })));
        drop(spawn(async {
            let _kept = spawn(async { vec![0_u8; 100] });
            pending::<()>().await;
        }));
        let ran = Rc::new(());
        let theirs = Rc::clone(&ran);
        drop(spawn(async move { drop(theirs) }));
        until(|| Rc::strong_count(&ran) == 1).await;
    }

    child_with(Files::AtMost(64), || {
        let peers = net::TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = peers.local_addr().unwrap();
        let mut before = (0, 0);
        for count in 0..WARM_UP + RUNTIMES {
            if count == WARM_UP {
                before = (open_files(), resident());
            }
            glassfrog::block_on(everything_pending(addr));
            // Reset, so that thousands of closed connections do not use up the ports.
            let (peer, _) = peers.accept().unwrap();
            SockRef::from(&peer)
                .set_linger(Some(Duration::ZERO))
                .unwrap();
        }
        let after = (open_files(), resident());
        assert_eq!(after.0, before.0);
        assert!(after.1 <= before.1 + TOLERANCE, "{before:?} {after:?}");
    })
    .finish();
}
