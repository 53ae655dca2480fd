//! The face of the crate `event-listener`, made of loom's types, for the files of `sync` that stand on it.
//!
//! It keeps the promises of that crate and none of its algorithms: a listener that exists when `notify` is called can
//! be notified, listeners are notified in the order in which they were created, and a notified listener that is dropped
//! before it is polled passes the notification on.

use loom::sync::{Arc, Mutex, MutexGuard, Notify};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Wake, Waker};

/// An event that notifies its listeners.
#[derive(Debug)]
pub(crate) struct Event {
    /// The listeners.
    list: Arc<Mutex<List>>,
}

/// The listeners of an event.
#[derive(Debug, Default)]
struct List {
    /// Those that have been neither dropped nor ready, the oldest first.
    entries: Vec<Entry>,
    /// The number of the newest one.
    last: usize,
}

/// A listener.
#[derive(Debug)]
struct Entry {
    /// Its number.
    number: usize,
    /// Whether it has been notified.
    state: State,
}

/// The states of a listener.
#[derive(Debug)]
enum State {
    /// It has not been polled.
    Created,
    /// It has left its waker.
    Waiting(Waker),
    /// It has been notified.
    Notified,
}

/// A future that is ready when it has been notified.
#[derive(Debug)]
pub(crate) struct EventListener {
    /// The listeners of the event.
    list: Arc<Mutex<List>>,
    /// The number of this one.
    number: usize,
}

/// Locks a list.
fn lock(list: &Mutex<List>) -> MutexGuard<'_, List> {
    list.lock().expect("no holder panics")
}

impl List {
    /// Returns how many listeners have been notified, and are still there.
    fn notified(&self) -> usize {
        let is_notified = |entry: &&Entry| matches!(entry.state, State::Notified);
        self.entries.iter().filter(is_notified).count()
    }

    /// Notifies the oldest listeners that have not been notified. Returns their number, and the wakers that the caller
    /// has to call.
    fn notify(&mut self, count: usize) -> (usize, Vec<Waker>) {
        let count = count.saturating_sub(self.notified());
        let (mut notified, mut wakers) = (0, Vec::new());
        for entry in &mut self.entries {
            if notified < count && !matches!(entry.state, State::Notified) {
                notified += 1;
                let before = std::mem::replace(&mut entry.state, State::Notified);
                if let State::Waiting(waker) = before {
                    wakers.push(waker);
                }
            }
        }
        (notified, wakers)
    }
}

impl Event {
    /// Creates an event without listeners.
    pub(crate) fn new() -> Event {
        Event {
            list: Arc::new(Mutex::new(List::default())),
        }
    }

    /// Creates a listener, which hears each notification from now on.
    pub(crate) fn listen(&self) -> EventListener {
        let mut list = lock(&self.list);
        list.last += 1;
        let number = list.last;
        list.entries.push(Entry {
            number,
            state: State::Created,
        });
        drop(list);
        EventListener {
            list: Arc::clone(&self.list),
            number,
        }
    }

    /// Makes sure that this number of listeners is notified, including those that are already. Returns how many were
    /// notified now.
    pub(crate) fn notify(&self, count: usize) -> usize {
        let (notified, wakers) = lock(&self.list).notify(count);
        wakers.into_iter().for_each(Waker::wake);
        notified
    }

    /// Returns the number of listeners.
    pub(crate) fn total_listeners(&self) -> usize {
        lock(&self.list).entries.len()
    }
}

impl Future for EventListener {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut list = lock(&self.list);
        let find = |entry: &Entry| entry.number == self.number;
        let index = list.entries.iter().position(find);
        let index = index.expect("a listener is not polled after it was ready");
        if matches!(list.entries[index].state, State::Notified) {
            list.entries.remove(index);
            return Poll::Ready(());
        }
        list.entries[index].state = State::Waiting(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for EventListener {
    fn drop(&mut self) {
        let mut list = lock(&self.list);
        let find = |entry: &Entry| entry.number == self.number;
        let Some(index) = list.entries.iter().position(find) else {
            return;
        };
        let removed = list.entries.remove(index);
        let wakers = match removed.state {
            State::Notified => list.notify(1).1,
            State::Created | State::Waiting(_) => Vec::new(),
        };
        drop(list);
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// Ends the park of [`block_on`].
struct Park(Notify);

impl Wake for Park {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.notify();
    }
}

/// Runs a future on a thread of a model. If a wake-up could be lost, loom would find the thread stuck here.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let park = std::sync::Arc::new(Park(Notify::new()));
    let waker = Waker::from(std::sync::Arc::clone(&park));
    let mut cx = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
        park.0.wait();
    }
}

#[test]
fn a_dropped_listener_passes_its_notification_on() {
    loom::model(|| {
        let event = std::sync::Arc::new(Event::new());
        let (first, second) = (event.listen(), event.listen());
        let notifier = std::sync::Arc::clone(&event);
        let thread = loom::thread::spawn(move || notifier.notify(1));
        drop(first);
        block_on(second);
        thread.join().expect("it does not panic");
        assert_eq!(event.total_listeners(), 0);
    });
}
