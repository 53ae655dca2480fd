//! Instruments for observing tasks, sleeps and runtimes: probes that record their drop, wakers that count their
//! calls, and a log that tests can search.

use glassfrog::task::JoinHandle;
use glassfrog::{Handle, Runtime};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Once};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, ThreadId};

/// Where a probe was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The thread.
    pub(crate) thread: ThreadId,
    /// Whether the thread was inside a runtime.
    pub(crate) inside: bool,
}

impl Place {
    /// Returns a place on this thread, inside a runtime.
    pub(crate) fn here_inside() -> Place {
        Place {
            thread: thread::current().id(),
            inside: true,
        }
    }
}

/// The recorded drops of some probes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Drops {
    /// Where each probe was dropped, in order.
    places: Arc<Mutex<Vec<Place>>>,
}

impl Drops {
    /// Returns a probe that records its drop here.
    pub(crate) fn probe(&self) -> Probe {
        Probe {
            drops: self.clone(),
        }
    }

    /// Returns where the probes were dropped so far.
    pub(crate) fn places(&self) -> Vec<Place> {
        self.places.lock().unwrap().clone()
    }

    /// Returns the number of probes dropped so far.
    pub(crate) fn count(&self) -> usize {
        self.places.lock().unwrap().len()
    }
}

/// Records its drop.
#[derive(Debug)]
pub(crate) struct Probe {
    /// The record.
    drops: Drops,
}

impl Drop for Probe {
    fn drop(&mut self) {
        let place = Place {
            thread: thread::current().id(),
            inside: Handle::try_current().is_some(),
        };
        self.drops.places.lock().unwrap().push(place);
    }
}

/// Calls a closure when dropped.
pub(crate) struct OnDrop<F: FnMut()>(pub(crate) F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// The ways to spawn a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// `glassfrog::spawn`.
    Local,
    /// `Handle::spawn`.
    Remote,
    /// `Handle::spawn_with`.
    RemoteWith,
}

impl Way {
    /// All ways.
    pub(crate) const ALL: [Way; 3] = [Way::Local, Way::Remote, Way::RemoteWith];
    /// The ways whose handle works on any thread.
    pub(crate) const REMOTE: [Way; 2] = [Way::Remote, Way::RemoteWith];

    /// Spawns onto the runtime of this thread.
    pub(crate) fn spawn<F>(self, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        match self {
            Way::Local => glassfrog::spawn(future),
            Way::Remote => Handle::current().spawn(future),
            Way::RemoteWith => Handle::current().spawn_with(move || future),
        }
    }
}

/// Calls a closure inside a runtime, and runs the runtime no further.
pub(crate) fn inside<R>(runtime: &Runtime, call: impl FnOnce() -> R) -> R {
    runtime.block_on(async { call() })
}

/// Yields until a condition holds.
pub(crate) async fn until(mut so: impl FnMut() -> bool) {
    while !so() {
        glassfrog::task::yield_now().await;
    }
}

/// Counts the polls of a future.
pub(crate) struct Counted<F> {
    /// The future.
    future: Pin<Box<F>>,
    /// The number of polls.
    polls: Rc<Cell<usize>>,
}

/// Wraps a future so that its polls are counted.
pub(crate) fn counted<F: Future>(polls: &Rc<Cell<usize>>, future: F) -> Counted<F> {
    Counted {
        future: Box::pin(future),
        polls: Rc::clone(polls),
    }
}

impl<F: Future> Future for Counted<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.polls.set(self.polls.get() + 1);
        self.future.as_mut().poll(cx)
    }
}

/// A waker that counts its calls.
#[derive(Debug, Default)]
pub(crate) struct Wakes(AtomicUsize);

impl Wakes {
    /// Returns a counter, and a waker that increments it.
    pub(crate) fn new() -> (Arc<Wakes>, Waker) {
        let wakes = Arc::new(Wakes::default());
        (Arc::clone(&wakes), Waker::from(wakes))
    }

    /// Returns how many times the waker was called.
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A waker with side effects when it is called and when its last clone is dropped.
pub(crate) struct Meddler {
    /// Called on a wake.
    on_wake: Box<dyn Fn() + Send + Sync>,
    /// Called on the last drop.
    on_drop: Box<dyn Fn() + Send + Sync>,
}

impl Meddler {
    /// Returns a waker with these side effects.
    pub(crate) fn waker(
        on_wake: impl Fn() + Send + Sync + 'static,
        on_drop: impl Fn() + Send + Sync + 'static,
    ) -> Waker {
        Waker::from(Arc::new(Meddler {
            on_wake: Box::new(on_wake),
            on_drop: Box::new(on_drop),
        }))
    }
}

impl Wake for Meddler {
    fn wake(self: Arc<Self>) {
        (self.on_wake)();
    }
}

impl Drop for Meddler {
    fn drop(&mut self) {
        (self.on_drop)();
    }
}

/// Polls a future once with a given waker.
pub(crate) fn poll_with<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

/// Returns the panic message of a closure that must panic.
pub(crate) fn panic_text<R>(panics: impl FnOnce() -> R) -> String {
    match catch_unwind(AssertUnwindSafe(panics)) {
        Ok(_) => panic!("the closure did not panic"),
        Err(payload) => match payload.downcast::<String>() {
            Ok(text) => *text,
            Err(payload) => String::from(*payload.downcast::<&'static str>().unwrap()),
        },
    }
}

/// The lines logged since [`record_log`].
static LOG: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Records log lines for all tests, because a process has only one logger.
struct Recorder;

impl log::Log for Recorder {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        LOG.lock()
            .unwrap()
            .push(format!("{} {}", record.level(), record.args()));
    }

    fn flush(&self) {}
}

/// Starts recording the log for [`logged`].
pub(crate) fn record_log() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&Recorder).unwrap();
        // Lower levels would drown the rest: mio logs each registration.
        log::set_max_level(log::LevelFilter::Warn);
    });
}

/// Returns the log lines that contain a text. Only the calling test may cause such lines.
pub(crate) fn logged(text: &str) -> Vec<String> {
    let log = LOG.lock().unwrap();
    log.iter()
        .filter(|line| line.contains(text))
        .cloned()
        .collect()
}
