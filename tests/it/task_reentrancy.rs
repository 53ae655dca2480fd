//! Foreign code that calls back: futures, outputs and wakers that wake, spawn and drop everything within reach,
//! inside their own polls, wakes and drops.
//!
//! A borrow or a lock held around foreign code shows here as a panic or a hang.

use crate::support::{block_on, plain, settle, watchdog};
use crate::task_probes::{Drops, Meddler, Probe, poll_with, until};
use futures::channel::oneshot;
use futures::io::AsyncRead;
use glassfrog::net::{TcpListener, TcpStream};
use glassfrog::time::{sleep, timeout};
use glassfrog::{Handle, Runtime, spawn};
use std::any::Any;
use std::fmt::{self, Debug, Write as _};
use std::future::{pending, poll_fn};
use std::io::Write;
use std::mem;
use std::net;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// A duration that exceeds every test.
const FAR: Duration = Duration::from_secs(3600);

/// Calls a closure on every write.
pub(crate) struct OnWrite<F: FnMut()>(pub(crate) F);

impl<F: FnMut()> fmt::Write for OnWrite<F> {
    fn write_str(&mut self, _: &str) -> fmt::Result {
        (self.0)();
        Ok(())
    }
}

/// The objects with which foreign code meddles, from any thread.
#[derive(Default)]
struct Bag {
    /// Wakers of tasks and others, to be called.
    wakers: Mutex<Vec<Waker>>,
    /// Registered sleeps, sockets and handles, to be dropped.
    things: Mutex<Vec<Box<dyn Any + Send>>>,
    /// How many times meddling began.
    begun: AtomicUsize,
    /// How many times it completed.
    done: AtomicUsize,
}

impl Bag {
    /// Keeps a waker to be called, and evicts the oldest one.
    fn keep_waker(&self, waker: &Waker) {
        let mut wakers = self.wakers.lock().unwrap();
        wakers.push(waker.clone());
        let oldest = (wakers.len() > 20).then(|| wakers.remove(0));
        drop(wakers);
        drop(oldest);
    }

    /// Keeps an object to be dropped.
    fn keep(&self, thing: impl Any + Send) {
        self.things.lock().unwrap().push(Box::new(thing));
    }

    /// Meddles, and records a panic, which the caller may have swallowed.
    fn meddle(self: &Arc<Self>) {
        self.begun.fetch_add(1, Ordering::SeqCst);
        self.do_everything();
        self.done.fetch_add(1, Ordering::SeqCst);
    }

    /// Fails unless all meddling completed.
    fn assert_unharmed(&self) {
        let (begun, done) = (&self.begun, &self.done);
        assert_eq!(begun.load(Ordering::SeqCst), done.load(Ordering::SeqCst));
    }

    /// Wakes and drops everything, spawns, and registers new objects.
    fn do_everything(self: &Arc<Self>) {
        let wakers = self.wakers.lock().unwrap().clone();
        for waker in &wakers {
            waker.wake_by_ref();
        }
        let things = mem::take(&mut *self.things.lock().unwrap());
        drop(things);
        for waker in wakers {
            waker.wake();
        }
        let Some(handle) = Handle::try_current() else {
            return;
        };
        drop(spawn(async {}));
        drop(handle.spawn(async {}));
        drop(handle.spawn_with(|| async {}));
        let waker = self.wakers.lock().unwrap().last().cloned();
        let waker = waker.unwrap_or(Waker::noop().clone());
        // A runtime that is being dropped rejects some of the following, each in its own way.
        let _refused = catch_unwind(AssertUnwindSafe(|| {
            let mut dropped = sleep(FAR);
            assert!(poll_with(&mut dropped, &waker).is_pending());
            drop(dropped);
            let mut kept = sleep(FAR);
            assert!(poll_with(&mut kept, &waker).is_pending());
            self.keep(kept);
        }));
        let mut local = spawn(pending::<()>());
        let mut remote = handle.spawn(pending::<()>());
        let _cancelled = poll_with(&mut local, &waker);
        let _cancelled = poll_with(&mut remote, &waker);
        self.keep((local, remote));
        let (ours, peer) = plain();
        if let Ok(mut stream) = TcpStream::try_from(ours) {
            let cx = &mut Context::from_waker(&waker);
            let _refused = Pin::new(&mut stream).poll_read(cx, &mut [0]);
            self.keep((stream, peer));
        }
    }
}

/// Meddles when dropped.
struct MeddlesInDrop {
    /// The objects to meddle with.
    bag: Arc<Bag>,
    /// Records that the drop is complete.
    _probe: Probe,
}

impl MeddlesInDrop {
    /// Returns an object to be dropped.
    fn new(bag: &Arc<Bag>, drops: &Drops) -> MeddlesInDrop {
        MeddlesInDrop {
            bag: Arc::clone(bag),
            _probe: drops.probe(),
        }
    }
}

impl Drop for MeddlesInDrop {
    fn drop(&mut self) {
        self.bag.meddle();
    }
}

/// The ways in which a future ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// With an output.
    Ready,
    /// With a panic.
    Panic,
    /// It does not complete before its runtime is dropped.
    Never,
}

/// A future that meddles in its polls and its drop, and whose output meddles in its drop.
struct Meddling {
    /// The objects to meddle with.
    bag: Arc<Bag>,
    /// The number of polls.
    polls: usize,
    /// The action of the third poll.
    end: End,
    /// The output of that poll.
    output: Option<MeddlesInDrop>,
    /// Meddles in the drop.
    _in_drop: MeddlesInDrop,
}

impl Meddling {
    /// Returns an unpolled future.
    fn new(bag: &Arc<Bag>, end: End, drops: &Drops) -> Meddling {
        Meddling {
            bag: Arc::clone(bag),
            polls: 0,
            end,
            output: Some(MeddlesInDrop::new(bag, drops)),
            _in_drop: MeddlesInDrop::new(bag, drops),
        }
    }
}

impl Future for Meddling {
    type Output = MeddlesInDrop;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<MeddlesInDrop> {
        self.bag.keep_waker(cx.waker());
        // Including itself.
        self.bag.meddle();
        self.polls += 1;
        match self.end {
            End::Ready if self.polls == 3 => Poll::Ready(self.output.take().unwrap()),
            End::Panic if self.polls == 3 => panic!("a meddling future"),
            _ => Poll::Pending,
        }
    }
}

#[test]
fn futures_and_outputs_may_do_anything_in_their_polls_and_drops() {
    let _watchdog = watchdog();
    let bag = Arc::new(Bag::default());
    let drops = Drops::default();
    let mut tasks = 0;
    let runtime = Runtime::new().unwrap();
    let left = runtime.block_on(async {
        let mut kept = Vec::new();
        for _ in 0..3 {
            for end in [End::Ready, End::Panic, End::Never] {
                for remote in [false, true] {
                    let future = || Meddling::new(&bag, end, &drops);
                    let spawn = |future| match remote {
                        false => spawn(future),
                        true => Handle::current().spawn(future),
                    };
                    // Detached, awaited, dropped by a meddler, or kept to the end.
                    drop(spawn(future()));
                    let awaited = spawn(future());
                    bag.keep(spawn(future()));
                    kept.push(spawn(future()));
                    tasks += 4;
                    match end {
                        End::Ready => drop(awaited.await.unwrap()),
                        End::Panic => assert!(awaited.await.is_err_and(|error| error.is_panic())),
                        End::Never => bag.keep(awaited),
                    }
                }
            }
        }
        // Each completed future drops itself and its output; the outputs of `kept` remain.
        until(|| drops.count() == tasks / 3 * 2 * 2 - kept.len() / 3).await;
        // Outputs that are dropped with their handles, here and after the runtime.
        kept.truncate(kept.len() / 2);
        kept
    });
    drop(runtime);
    // Each dropped itself and its output once, wherever it was at the end.
    drop(left);
    assert_eq!(drops.count(), 2 * tasks);
    assert!(bag.done.load(Ordering::SeqCst) > 2 * tasks);
    bag.assert_unharmed();
}

/// An event to wait for, and its trigger.
struct Wait {
    /// Its name.
    what: &'static str,
    /// The future that waits for it.
    future: Pin<Box<dyn Future<Output = ()>>>,
    /// Triggers it.
    happens: Box<dyn FnOnce()>,
}

/// Returns all kinds of waits.
async fn waits() -> Vec<Wait> {
    fn wait(
        what: &'static str,
        future: impl Future<Output = ()> + 'static,
        happens: impl FnOnce() + 'static,
    ) -> Wait {
        Wait {
            what,
            future: Box::pin(future),
            happens: Box::new(happens),
        }
    }
    fn stream() -> (TcpStream, net::TcpStream) {
        let (ours, peer) = plain();
        (TcpStream::try_from(ours).unwrap(), peer)
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (method, mut methods_peer) = stream();
    let (mut by_trait, mut traits_peer) = stream();
    let (finish_local, local) = oneshot::channel::<()>();
    let (finish_remote, remote) = oneshot::channel::<()>();
    let local = spawn(async move { local.await.unwrap_or(()) });
    let remote = Handle::current().spawn(async move { remote.await.unwrap_or(()) });
    vec![
        wait("a sleep", sleep(Duration::from_millis(50)), || {}),
        wait(
            "a method of a socket",
            async move { assert_eq!(method.read(&mut [0]).await.unwrap(), 1) },
            move || methods_peer.write_all(b"!").unwrap(),
        ),
        wait(
            "a trait of a socket",
            poll_fn(move |cx| {
                let read = Pin::new(&mut by_trait).poll_read(cx, &mut [0]);
                read.map(|read| assert_eq!(read.unwrap(), 1))
            }),
            move || traits_peer.write_all(b"!").unwrap(),
        ),
        wait(
            "a listener",
            async move { drop(listener.accept().await.unwrap()) },
            move || drop(net::TcpStream::connect(addr).unwrap()),
        ),
        wait(
            "a local task",
            async move { local.await.unwrap_or(()) },
            move || finish_local.send(()).unwrap(),
        ),
        wait(
            "a remote task",
            async move { remote.await.unwrap_or(()) },
            move || finish_remote.send(()).unwrap(),
        ),
    ]
}

/// Returns a waker that meddles when called and when dropped, and counts both.
fn meddler(bag: &Arc<Bag>) -> (Waker, Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let (called, dropped) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (wake_bag, wake_count) = (Arc::clone(bag), Arc::clone(&called));
    let (drop_bag, drop_count) = (Arc::clone(bag), Arc::clone(&dropped));
    let waker = Meddler::waker(
        move || {
            wake_count.fetch_add(1, Ordering::SeqCst);
            wake_bag.meddle();
        },
        move || {
            drop_count.fetch_add(1, Ordering::SeqCst);
            drop_bag.meddle();
        },
    );
    (waker, called, dropped)
}

/// Runs a test for every kind of wait. The future was polled with a meddling waker, of which there is no other clone.
fn with_each_wait(test: impl AsyncFn(Wait, &AtomicUsize, &AtomicUsize)) {
    let _watchdog = watchdog();
    let bag = Arc::new(Bag::default());
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        drop(spawn(Meddling::new(&bag, End::Never, &Drops::default())));
        for mut wait in waits().await {
            // The tasks and the listener have started.
            settle().await;
            let what = wait.what;
            let (waker, called, dropped) = meddler(&bag);
            assert!(poll_with(&mut wait.future, &waker).is_pending(), "{what}");
            drop(waker);
            assert_eq!(dropped.load(Ordering::SeqCst), 0, "{what}: it was kept");
            test(wait, &called, &dropped).await;
            assert_eq!(dropped.load(Ordering::SeqCst), 1, "{what}");
            bag.assert_unharmed();
        }
    });
}

#[test]
fn wakers_may_do_anything_when_called() {
    with_each_wait(async |mut wait, called, dropped| {
        (wait.happens)();
        until(|| called.load(Ordering::SeqCst) == 1).await;
        assert_eq!(
            dropped.load(Ordering::SeqCst),
            1,
            "{}: called by value",
            wait.what
        );
        let future = &mut wait.future;
        assert!(poll_with(future, Waker::noop()).is_ready(), "{}", wait.what);
    });
}

#[test]
fn wakers_may_do_anything_when_replaced() {
    with_each_wait(async |mut wait, called, _| {
        let future = &mut wait.future;
        assert!(
            poll_with(future, Waker::noop()).is_pending(),
            "{}",
            wait.what
        );
        (wait.happens)();
        wait.future.await;
        // All pollers through a trait are woken.
        assert!(called.load(Ordering::SeqCst) <= 1, "{}", wait.what);
    });
}

#[test]
fn wakers_may_do_anything_when_dropped() {
    with_each_wait(async |wait, called, dropped| {
        drop(wait.future);
        assert_eq!(called.load(Ordering::SeqCst), 0, "{}", wait.what);
        assert_eq!(dropped.load(Ordering::SeqCst), 1, "{}", wait.what);
    });
}

#[test]
fn wakers_may_do_anything_when_the_runtime_ends() {
    let _watchdog = watchdog();
    for number in 0.. {
        let bag = Arc::new(Bag::default());
        let runtime = Runtime::new().unwrap();
        let Some(mut wait) = runtime.block_on(async { waits().await.into_iter().nth(number) })
        else {
            break;
        };
        let (waker, called, dropped) = meddler(&bag);
        let future = &mut wait.future;
        runtime
            .block_on(async { assert!(poll_with(future, &waker).is_pending(), "{}", wait.what) });
        drop(waker);
        drop(runtime);
        assert_eq!(called.load(Ordering::SeqCst), 1, "{}", wait.what);
        assert_eq!(dropped.load(Ordering::SeqCst), 1, "{}", wait.what);
        bag.assert_unharmed();
    }
}

#[test]
fn wakers_may_poll_and_drop_the_future_that_registered_them() {
    /// Gives a waker a future to poll to completion and drop when it is called.
    fn leave<F>(mut future: F) -> oneshot::Receiver<F::Output>
    where
        F: Future<Output: Send> + Unpin + Send + 'static,
    {
        let (send, output) = oneshot::channel();
        let (in_waker, from_outside) = std::sync::mpsc::channel::<(F, oneshot::Sender<_>)>();
        let from_outside = Mutex::new(from_outside);
        let when_called = move || {
            // If this panics, or never returns, there is no output.
            let (mut future, send) = from_outside.lock().unwrap().recv().unwrap();
            if let Poll::Ready(output) = poll_with(&mut future, Waker::noop()) {
                drop(future);
                drop(send.send(output));
            }
        };
        let waker = Meddler::waker(when_called, || {});
        assert!(poll_with(&mut future, &waker).is_pending());
        in_waker.send((future, send)).unwrap();
        output
    }
    block_on(async {
        leave(sleep(Duration::from_millis(1))).await.unwrap();
        assert_eq!(leave(spawn(async { 1 })).await.unwrap().unwrap(), 1);
        let remote = Handle::current().spawn(async { 2 });
        assert_eq!(leave(remote).await.unwrap().unwrap(), 2);
        let (ours, mut peer) = plain();
        let mut stream = TcpStream::try_from(ours).unwrap();
        let read = leave(poll_fn(move |cx| {
            Pin::new(&mut stream).poll_read(cx, &mut [0])
        }));
        peer.write_all(b"!").unwrap();
        assert_eq!(read.await.unwrap().unwrap(), 1);
        let (ours, mut peer) = plain();
        let stream = TcpStream::try_from(ours).unwrap();
        let read = leave(Box::pin(async move { stream.read(&mut [0]).await }));
        peer.write_all(b"!").unwrap();
        assert_eq!(read.await.unwrap().unwrap(), 1);
    });
}

#[test]
fn a_formatter_may_do_anything_during_debug_formatting() {
    let _watchdog = watchdog();
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let mut nap = sleep(FAR);
        assert!(poll_with(&mut nap, Waker::noop()).is_pending());
        let stream = TcpStream::try_from(plain().0).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let things: [&dyn Debug; 8] = [
            &runtime,
            &Handle::current(),
            &nap,
            &timeout(FAR, pending::<()>()),
            &spawn(async {}),
            &stream,
            &listener,
            &listener.incoming(),
        ];
        for thing in things {
            let mut writes = 0;
            let meddle = OnWrite(|| {
                writes += 1;
                // Registers everything, formats it, and drops it.
                let stream = TcpStream::try_from(plain().0).unwrap();
                let mut nap = sleep(FAR);
                assert!(poll_with(&mut nap, Waker::noop()).is_pending());
                assert!(poll_with(&mut Box::pin(stream.readable()), Waker::noop()).is_pending());
                drop(spawn(async {}));
                drop(Handle::current().spawn(async {}));
                assert!(!format!("{stream:?} {nap:?} {thing:?}").is_empty());
            });
            write!({ meddle }, "{thing:#?}").unwrap();
            assert!(writes > 0);
        }
    });
}
