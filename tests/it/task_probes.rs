//! What tasks, sleeps and runtimes are observed with: probes that note their drop, wakers that
//! count, and a log that can be asked.

use glassfrog::task::JoinHandle;
use glassfrog::{Handle, Runtime};
use std::cell::Cell;
use std::fmt;
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
    /// On which thread.
    pub(crate) thread: ThreadId,
    /// Whether a runtime was the context of that thread.
    pub(crate) inside: bool,
}

impl Place {
    /// This thread, inside a runtime.
    pub(crate) fn here_inside() -> Place {
        Place {
            thread: thread::current().id(),
            inside: true,
        }
    }
}

/// The drops of some probes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Drops {
    /// Where each of them was dropped, in that order.
    places: Arc<Mutex<Vec<Place>>>,
}

impl Drops {
    /// Something whose drop is noted here.
    pub(crate) fn probe(&self) -> Probe {
        Probe {
            drops: self.clone(),
        }
    }

    /// Where the probes were dropped so far.
    pub(crate) fn places(&self) -> Vec<Place> {
        self.places.lock().unwrap().clone()
    }

    /// How many of them were.
    pub(crate) fn count(&self) -> usize {
        self.places.lock().unwrap().len()
    }
}

/// Notes its drop.
#[derive(Debug)]
pub(crate) struct Probe {
    /// Where to.
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

/// Does something when dropped.
pub(crate) struct OnDrop<F: FnMut()>(pub(crate) F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Does something whenever it is written to.
pub(crate) struct OnWrite<F: FnMut()>(pub(crate) F);

impl<F: FnMut()> fmt::Write for OnWrite<F> {
    fn write_str(&mut self, _: &str) -> fmt::Result {
        (self.0)();
        Ok(())
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
    /// All of them.
    pub(crate) const ALL: [Way; 3] = [Way::Local, Way::Remote, Way::RemoteWith];
    /// Those whose handle works on any thread.
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

/// Calls something inside a runtime, which runs no further than that.
pub(crate) fn inside<R>(runtime: &Runtime, call: impl FnOnce() -> R) -> R {
    runtime.block_on(async { call() })
}

/// Lets the others run until something is so.
pub(crate) async fn until(mut so: impl FnMut() -> bool) {
    while !so() {
        glassfrog::task::yield_now().await;
    }
}

/// Counts the polls of a future.
pub(crate) struct Counted<F> {
    /// The future.
    future: Pin<Box<F>>,
    /// How many times it was polled.
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

/// A waker that only counts how often it is called.
#[derive(Debug, Default)]
pub(crate) struct Wakes(AtomicUsize);

impl Wakes {
    /// A counter, and a waker that counts there.
    pub(crate) fn new() -> (Arc<Wakes>, Waker) {
        let wakes = Arc::new(Wakes::default());
        (Arc::clone(&wakes), Waker::from(wakes))
    }

    /// How often the waker was called.
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A waker with side effects: when it is called, and when the last of its clones is dropped.
pub(crate) struct Meddler {
    /// What it does when called.
    on_wake: Box<dyn Fn() + Send + Sync>,
    /// What it does when dropped.
    on_drop: Box<dyn Fn() + Send + Sync>,
}

impl Meddler {
    /// A waker that does the one when called and the other when dropped.
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

/// Polls a future once with a waker of one's choice.
pub(crate) fn poll_with<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

/// What a closure panics with, as text.
pub(crate) fn panic_text<R>(panics: impl FnOnce() -> R) -> String {
    match catch_unwind(AssertUnwindSafe(panics)) {
        Ok(_) => panic!("this was to panic"),
        Err(payload) => match payload.downcast::<String>() {
            Ok(text) => *text,
            Err(payload) => String::from(*payload.downcast::<&'static str>().unwrap()),
        },
    }
}

/// What was logged since [`record_log`].
static LOG: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Keeps what is logged, since a process has one logger.
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

/// Keeps what is logged from now on, for [`logged`].
pub(crate) fn record_log() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&Recorder).unwrap();
        // What is below drowns the rest: mio tells of each registration.
        log::set_max_level(log::LevelFilter::Warn);
    });
}

/// The log lines that contain a text, which has to be one that only the asking test can cause.
pub(crate) fn logged(text: &str) -> Vec<String> {
    let log = LOG.lock().unwrap();
    log.iter()
        .filter(|line| line.contains(text))
        .cloned()
        .collect()
}
