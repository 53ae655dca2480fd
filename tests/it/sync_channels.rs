//! `sync::{mpsc, broadcast, watch, oneshot}`: their laws, and what a dump says about them.

use crate::support::{block_on, park_on, watchdog};
use futures::FutureExt;
use futures::StreamExt;
use futures::future::poll_fn;
use futures::task::noop_waker_ref;
use glassfrog::sync::{broadcast, mpsc, oneshot, watch};
use glassfrog::task::{self, yield_now};
use proptest::prelude::*;
use std::cell::Cell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

/// Polls a future once, with a waker that does nothing.
fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    future.poll_unpin(&mut Context::from_waker(noop_waker_ref()))
}

/// A waker that counts its wakes.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Wakes {
    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// Counts the values that exist.
#[derive(Debug)]
struct Counted<'a>(&'a Cell<isize>);

impl<'a> Counted<'a> {
    fn new(count: &'a Cell<isize>) -> Counted<'a> {
        count.set(count.get() + 1);
        Counted(count)
    }
}

impl Clone for Counted<'_> {
    fn clone(&self) -> Self {
        Counted::new(self.0)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// Calls a closure when it is dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// A value that uses a channel when it is dropped.
type Reentrant = OnDrop<Box<dyn FnMut() + Send + Sync>>;

fn reentrant(f: impl FnMut() + Send + Sync + 'static) -> Reentrant {
    OnDrop(Box::new(f))
}

/// A shared value whose last owner is dropped like it.
#[derive(Clone)]
struct Shared(#[expect(dead_code, reason = "it is only dropped")] Arc<Mutex<Reentrant>>);

impl Shared {
    fn new(f: impl FnMut() + Send + Sync + 'static) -> Shared {
        Shared(Arc::new(Mutex::new(reentrant(f))))
    }
}

// ---- mpsc ----

/// A step of a program that uses one channel.
#[derive(Clone, Copy, Debug)]
enum Step {
    TrySend,
    Send,
    TryRecv,
    Recv,
    RecvMany(usize),
    Close,
    CloneSender,
    DropSender,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => Just(Step::TrySend),
        3 => Just(Step::Send),
        3 => Just(Step::TryRecv),
        3 => Just(Step::Recv),
        1 => (0..4_usize).prop_map(Step::RecvMany),
        1 => Just(Step::Close),
        1 => Just(Step::CloneSender),
        1 => Just(Step::DropSender),
    ]
}

proptest! {
    #[test]
    fn an_mpsc_channel_does_what_a_deque_does(
        capacity in 1..4_usize,
        steps in prop::collection::vec(step(), 0..60),
    ) {
        use mpsc::error::{TryRecvError, TrySendError};
        let (sender, mut receiver) = mpsc::channel(capacity);
        let mut senders = vec![sender];
        let (mut model, mut is_closed) = (VecDeque::new(), false);
        for (number, step) in steps.into_iter().enumerate() {
            let open = !is_closed && !senders.is_empty();
            match (step, senders.last()) {
                (Step::TrySend, Some(sender)) => {
                    let expected = if is_closed {
                        Err(TrySendError::Closed(number))
                    } else if model.len() == capacity {
                        Err(TrySendError::Full(number))
                    } else {
                        model.push_back(number);
                        Ok(())
                    };
                    prop_assert_eq!(sender.try_send(number), expected);
                }
                (Step::Send, Some(sender)) => match sender.send(number).now_or_never() {
                    Some(Ok(())) => {
                        prop_assert!(!is_closed && model.len() < capacity);
                        model.push_back(number);
                    }
                    Some(Err(error)) => {
                        prop_assert!(is_closed);
                        prop_assert_eq!(error.0, number);
                    }
                    None => prop_assert!(!is_closed && model.len() == capacity),
                },
                (Step::TryRecv, _) => {
                    let empty = if open { TryRecvError::Empty } else { TryRecvError::Disconnected };
                    prop_assert_eq!(receiver.try_recv(), model.pop_front().ok_or(empty));
                }
                (Step::Recv, _) => {
                    let expected = match model.pop_front() {
                        None if open => None,
                        received => Some(received),
                    };
                    prop_assert_eq!(receiver.recv().now_or_never(), expected);
                }
                (Step::RecvMany(limit), _) => {
                    let mut batch = Vec::new();
                    let count = receiver.recv_many(&mut batch, limit).now_or_never();
                    let expected: Vec<usize> = model.drain(..limit.min(model.len())).collect();
                    let waits = limit > 0 && expected.is_empty() && open;
                    prop_assert_eq!(count, (!waits).then_some(expected.len()));
                    prop_assert_eq!(batch, expected);
                }
                (Step::Close, _) => {
                    receiver.close();
                    is_closed = true;
                }
                (Step::CloneSender, Some(sender)) => {
                    let sender = sender.clone();
                    senders.push(sender);
                }
                (Step::DropSender, _) => drop(senders.pop()),
                (_, None) => {}
            }
            prop_assert_eq!(receiver.len(), model.len());
            prop_assert_eq!(receiver.is_closed(), is_closed || senders.is_empty());
            if let Some(sender) = senders.last() {
                prop_assert_eq!(sender.capacity(), capacity - model.len());
            }
        }
    }
}

#[test]
#[should_panic(expected = "a capacity of at least 1")]
fn a_channel_without_a_capacity_panics() {
    drop(mpsc::channel::<u32>(0));
}

#[test]
fn a_dropped_recv_loses_no_value() {
    let (sender, mut receiver) = mpsc::channel(1);
    for is_woken in [false, true] {
        let mut recv = Box::pin(receiver.recv());
        assert!(poll_once(&mut recv).is_pending());
        if is_woken {
            sender.try_send(1).unwrap();
        }
        drop(recv);
        if !is_woken {
            sender.try_send(1).unwrap();
        }
        assert_eq!(receiver.recv().now_or_never(), Some(Some(1)));
    }
    let mut batch = Vec::new();
    let mut recv = Box::pin(receiver.recv_many(&mut batch, 2));
    assert!(poll_once(&mut recv).is_pending());
    sender.try_send(2).unwrap();
    drop(recv);
    assert!(batch.is_empty());
    assert_eq!(receiver.try_recv(), Ok(2));
}

#[test]
fn a_dropped_send_has_not_sent() {
    let count = Cell::new(0);
    let (sender, mut receiver) = mpsc::channel(1);
    sender.try_send(Counted::new(&count)).unwrap();
    let mut waiting = Box::pin(sender.send(Counted::new(&count)));
    assert!(poll_once(&mut waiting).is_pending());
    assert_eq!(count.get(), 2);
    drop(waiting);
    assert_eq!(count.get(), 1);

    // Even if there is room by now.
    let mut waiting = Box::pin(sender.send(Counted::new(&count)));
    assert!(poll_once(&mut waiting).is_pending());
    drop(receiver.try_recv().unwrap());
    drop(waiting);
    assert_eq!(count.get(), 0);
    assert!(receiver.is_empty());
}

#[test]
fn a_dropped_send_passes_the_room_on_to_the_next_one() {
    let (sender, mut receiver) = mpsc::channel(1);
    sender.try_send(0).unwrap();
    let mut first = Box::pin(sender.send(1));
    let mut second = Box::pin(sender.send(2));
    assert!(poll_once(&mut first).is_pending());
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(Arc::clone(&wakes));
    let mut cx = Context::from_waker(&waker);
    assert!(second.poll_unpin(&mut cx).is_pending());
    receiver.try_recv().unwrap();
    drop(first);
    assert_eq!(wakes.count(), 1);
    assert!(second.poll_unpin(&mut cx).is_ready());
    assert_eq!(receiver.try_recv(), Ok(2));
}

#[test]
fn a_dropped_receiver_drops_the_values_in_the_channel() {
    let count = Cell::new(0);
    let (sender, receiver) = mpsc::channel(3);
    let (unbounded, other) = mpsc::unbounded_channel();
    for _ in 0..3 {
        sender.try_send(Counted::new(&count)).unwrap();
        unbounded.send(Counted::new(&count)).unwrap();
    }
    let mut waiting = Box::pin(sender.send(Counted::new(&count)));
    assert!(poll_once(&mut waiting).is_pending());
    drop((receiver, other));
    assert_eq!(count.get(), 1);
    assert!(matches!(poll_once(&mut waiting), Poll::Ready(Err(_))));
    assert_eq!(count.get(), 0);
    assert!(unbounded.send(Counted::new(&count)).is_err());
    assert_eq!(count.get(), 0);
}

#[test]
fn a_destructor_in_a_channel_that_panics_keeps_no_other_from_running() {
    let count = Cell::new(0);
    let (sender, receiver) = mpsc::unbounded_channel();
    let panics = |_: &Counted<'_>| panic!("in a destructor");
    for _ in 0..3 {
        let value = Counted::new(&count);
        sender.send(OnDrop(move || panics(&value))).unwrap();
    }
    drop(receiver);
    assert_eq!(count.get(), 0);
}

#[test]
fn a_destructor_may_use_the_mpsc_channel_that_drops_it() {
    let _watchdog = watchdog();
    let (sender, receiver) = mpsc::channel(4);
    for _ in 0..2 {
        let again = sender.clone();
        let send = move || assert!(again.try_send(reentrant(|| ())).is_err());
        sender.try_send(reentrant(send)).ok().unwrap();
    }
    drop(receiver);
    assert!(sender.is_closed());
}

#[test]
fn an_mpsc_channel_carries_each_value_of_many_threads_once() {
    const THREADS: usize = 4;
    const VALUES: usize = 2_000;
    let (sender, mut receiver) = mpsc::channel(3);
    let threads = Vec::from_iter((0..THREADS).map(|number| {
        let sender = sender.clone();
        thread::spawn(move || {
            for value in 0..VALUES {
                match value % 3 {
                    0 => sender.blocking_send((number, value)).unwrap(),
                    1 => park_on(sender.send((number, value))).unwrap(),
                    _ => block_on(sender.send((number, value))).unwrap(),
                }
            }
        })
    }));
    drop(sender);
    block_on(async {
        let mut next = [0; THREADS];
        while let Some((number, value)) = receiver.recv().await {
            assert_eq!(next[number], value, "each sender's values are in order");
            next[number] += 1;
        }
        assert_eq!(next, [VALUES; THREADS]);
    });
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn a_channel_works_under_a_foreign_executor() {
    let (sender, mut receiver) = mpsc::channel(1);
    let thread = thread::spawn(move || {
        park_on(async {
            for number in 0..1000 {
                sender.send(number).await.unwrap();
            }
        });
    });
    park_on(async {
        for number in 0..1000 {
            assert_eq!(receiver.recv().await, Some(number));
        }
        assert_eq!(receiver.recv().await, None);
    });
    thread.join().unwrap();
}

#[test]
fn a_receiver_is_a_stream() {
    block_on(async {
        let (sender, receiver) = mpsc::channel(1);
        let task = task::spawn(async move {
            for number in 0..100 {
                sender.send(number).await.unwrap();
            }
        });
        let numbers: Vec<i32> = receiver.collect().await;
        assert_eq!(numbers, Vec::from_iter(0..100));
        task.await.unwrap();
    });
}

#[test]
fn a_stream_that_was_polled_before_misses_no_value() {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(Arc::clone(&wakes));
    let mut cx = Context::from_waker(&waker);
    for number in 0..3 {
        assert!(receiver.poll_recv(&mut cx).is_pending());
        sender.send(number).unwrap();
        assert_eq!(wakes.count(), number + 1);
        // The value goes to another method, so the stream has a stale wake.
        assert_eq!(receiver.try_recv(), Ok(number));
    }
    assert!(receiver.poll_recv(&mut cx).is_pending());
    drop(sender);
    assert_eq!(wakes.count(), 4);
    assert_eq!(receiver.poll_recv(&mut cx), Poll::Ready(None));
}

#[test]
fn the_last_sender_wakes_the_receiver() {
    block_on(async {
        let (sender, mut receiver) = mpsc::channel::<u32>(1);
        let weak = sender.downgrade();
        let other = sender.clone();
        let task = task::spawn(async move { receiver.recv().await });
        yield_now().await;
        drop(sender);
        drop(weak.upgrade().unwrap());
        yield_now().await;
        assert!(!task.is_finished());
        drop(other);
        assert_eq!(task.await.unwrap(), None);
        assert!(weak.upgrade().is_none());
    });
}

#[test]
fn closed_waits_for_the_end_of_the_receiver() {
    block_on(async {
        let (sender, mut receiver) = mpsc::channel::<u32>(1);
        let task = task::spawn(async move { sender.closed().await });
        yield_now().await;
        assert!(!task.is_finished());
        receiver.close();
        task.await.unwrap();
    });
}

#[test]
fn blocking_methods_panic_on_the_thread_of_a_loop() {
    block_on(async {
        let (sender, mut receiver) = mpsc::channel(1);
        let (_events, mut all) = broadcast::channel::<u32>(1);
        let (_reply, replied) = oneshot::channel::<u32>();
        let calls: [Box<dyn FnOnce()>; 4] = [
            Box::new(move || sender.blocking_send(1).unwrap()),
            Box::new(move || assert_eq!(receiver.blocking_recv(), None)),
            Box::new(move || drop(all.blocking_recv())),
            Box::new(move || drop(replied.blocking_recv())),
        ];
        for call in calls {
            let payload = catch_unwind(AssertUnwindSafe(call)).unwrap_err();
            let message = payload.downcast_ref::<String>().unwrap();
            assert!(message.contains("spawn_blocking"), "{message}");
        }
    });
}

#[test]
fn a_task_whose_channels_are_always_ready_lets_others_run() {
    /// Spawns a task that ends when another one has run.
    fn spawn<F: Future<Output = ()> + 'static>(
        mut operation: impl FnMut() -> F + 'static,
    ) -> task::JoinHandle<()> {
        let has_run = Rc::new(Cell::new(false));
        let flag = Rc::clone(&has_run);
        let greedy = task::spawn(async move {
            while !has_run.get() {
                operation().await;
            }
        });
        drop(task::spawn(async move { flag.set(true) }));
        greedy
    }
    block_on(async {
        let bounded = spawn({
            let (sender, receiver) = mpsc::channel(1);
            let receiver = Rc::new(Mutex::new(receiver));
            move || {
                let (sender, receiver) = (sender.clone(), Rc::clone(&receiver));
                async move {
                    sender.send(1).await.unwrap();
                    receiver.lock().unwrap().try_recv().unwrap();
                }
            }
        });
        bounded.await.unwrap();
        let unbounded = task::spawn(async {
            let (sender, mut receiver) = mpsc::unbounded_channel();
            let (events, mut all) = broadcast::channel(1);
            let (config, mut watched) = watch::channel(0);
            let has_run = Rc::new(Cell::new(0));
            for kind in 0..4 {
                let flag = Rc::clone(&has_run);
                drop(task::spawn(async move { flag.set(kind + 1) }));
                while has_run.get() == kind {
                    sender.send(1).unwrap();
                    events.send(1).unwrap();
                    config.send(1).unwrap();
                    match kind {
                        0 => drop(receiver.recv().await),
                        1 => drop(all.recv().await),
                        2 => drop(watched.changed().await),
                        _ => drop(poll_fn(|cx| receiver.poll_recv(cx)).await),
                    }
                }
            }
        });
        unbounded.await.unwrap();
    });
}

// ---- oneshot ----

#[test]
fn a_oneshot_channel_ends_in_every_order() {
    use oneshot::error::TryRecvError;
    let pair = oneshot::channel::<i32>;

    let (sender, mut receiver) = pair();
    assert!(receiver.is_empty() && !receiver.is_terminated());
    sender.send(1).unwrap();
    assert!(!receiver.is_empty() && !receiver.is_terminated());
    assert_eq!(receiver.try_recv(), Ok(1));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
    assert!(receiver.is_terminated());

    let (sender, mut receiver) = pair();
    drop(sender);
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
    assert!(receiver.now_or_never().unwrap().is_err());

    let (sender, receiver) = pair();
    drop(receiver);
    assert!(sender.is_closed());
    assert_eq!(sender.send(1), Err(1));

    let (sender, mut receiver) = pair();
    receiver.close();
    assert!(sender.is_closed() && receiver.is_terminated());
    assert_eq!(sender.send(1), Err(1));
    assert!(receiver.now_or_never().unwrap().is_err());

    let (sender, mut receiver) = pair();
    sender.send(1).unwrap();
    receiver.close();
    assert_eq!(receiver.now_or_never(), Some(Ok(1)));
}

#[test]
fn a_oneshot_value_is_dropped_exactly_once() {
    let count = Cell::new(0);
    let (sender, receiver) = oneshot::channel();
    sender.send(Counted::new(&count)).unwrap();
    drop(receiver);
    assert_eq!(count.get(), 0);

    let (sender, receiver) = oneshot::channel();
    drop(receiver);
    let refused = sender.send(Counted::new(&count)).unwrap_err();
    assert_eq!(count.get(), 1);
    drop(refused);

    let (sender, receiver) = oneshot::channel();
    sender.send(Counted::new(&count)).unwrap();
    drop(receiver.now_or_never().unwrap().unwrap());
    assert_eq!(count.get(), 0);
}

#[test]
fn a_destructor_may_use_the_oneshot_channel_that_drops_it() {
    let _watchdog = watchdog();
    // The value has the receiver of a second channel, whose value has the sender of a third one.
    let (sender, receiver) = oneshot::channel();
    let (inner, received) = oneshot::channel::<u32>();
    let mut both = Some((inner, received));
    sender
        .send(reentrant(move || drop(both.take())))
        .ok()
        .unwrap();
    drop(receiver);

    // A waker that drops the receiver when it is dropped.
    struct Owner(Mutex<Option<oneshot::Receiver<u32>>>);
    impl Wake for Owner {
        fn wake(self: Arc<Self>) {}
    }
    let (sender, mut receiver) = oneshot::channel();
    let owner = Arc::new(Owner(Mutex::new(None)));
    let waker = Waker::from(Arc::clone(&owner));
    assert!(
        receiver
            .poll_unpin(&mut Context::from_waker(&waker))
            .is_pending()
    );
    *owner.0.lock().unwrap() = Some(receiver);
    drop((owner, waker));
    sender.send(1).unwrap();
}

#[test]
fn a_oneshot_receiver_wakes_whoever_polled_it_last() {
    let (sender, mut receiver) = oneshot::channel();
    let wakes = [(); 2].map(|()| Arc::new(Wakes::default()));
    for wakes in &wakes {
        let waker = Waker::from(Arc::clone(wakes));
        for _ in 0..2 {
            assert!(
                receiver
                    .poll_unpin(&mut Context::from_waker(&waker))
                    .is_pending()
            );
        }
    }
    sender.send(1).unwrap();
    assert_eq!(wakes.map(|wakes| wakes.count()), [0, 1]);
    assert_eq!(receiver.now_or_never(), Some(Ok(1)));
}

#[test]
fn a_oneshot_channel_crosses_threads_in_both_directions() {
    let _watchdog = watchdog();
    for _ in 0..500 {
        let (mut sender, receiver) = oneshot::channel();
        let (answer, mut answered) = oneshot::channel();
        let thread = thread::spawn(move || answer.send(receiver.blocking_recv().unwrap() + 1));
        assert!(sender.closed().now_or_never().is_none());
        sender.send(1).unwrap();
        assert_eq!(park_on(&mut answered), Ok(2));
        thread.join().unwrap().unwrap();
    }
}

// ---- broadcast ----

/// A step of a program that uses a broadcast or a watch channel. A number names a receiver.
#[derive(Clone, Copy, Debug)]
enum Shout {
    Send,
    TryRecv(usize),
    Recv(usize),
    Subscribe,
    Again(usize),
    Drop(usize),
    Mark(usize),
}

fn shout() -> impl Strategy<Value = Shout> {
    prop_oneof![
        6 => Just(Shout::Send),
        4 => any::<usize>().prop_map(Shout::TryRecv),
        4 => any::<usize>().prop_map(Shout::Recv),
        1 => Just(Shout::Subscribe),
        1 => any::<usize>().prop_map(Shout::Again),
        1 => any::<usize>().prop_map(Shout::Drop),
        1 => any::<usize>().prop_map(Shout::Mark),
    ]
}

proptest! {
    #[test]
    fn a_broadcast_channel_does_what_a_vector_with_positions_does(
        capacity in 1..5_usize,
        steps in prop::collection::vec(shout(), 0..80),
    ) {
        use broadcast::error::{RecvError, TryRecvError};
        let count = Cell::new(0);
        let (sender, receiver) = broadcast::channel(capacity);
        let mut receivers = vec![(receiver, 0_usize)];
        let mut sent = 0_usize;
        for step in steps {
            match step {
                Shout::Send => {
                    let result = sender.send((sent, Counted::new(&count)));
                    let expected = receivers.len();
                    prop_assert_eq!(result.ok(), (expected > 0).then_some(expected));
                    sent += usize::from(expected > 0);
                }
                Shout::Subscribe => receivers.push((sender.subscribe(), sent)),
                _ if receivers.is_empty() => {}
                Shout::TryRecv(index) | Shout::Recv(index) | Shout::Mark(index) => {
                    let index = index % receivers.len();
                    let (receiver, position) = &mut receivers[index];
                    let missed = sent.saturating_sub(capacity).saturating_sub(*position);
                    let expected = if missed > 0 {
                        Err(TryRecvError::Lagged(missed as u64))
                    } else if *position < sent {
                        Ok(*position)
                    } else {
                        Err(TryRecvError::Empty)
                    };
                    *position += if missed > 0 { missed } else { usize::from(expected.is_ok()) };
                    let received = match step {
                        Shout::Recv(_) => match receiver.recv().now_or_never() {
                            None => Err(TryRecvError::Empty),
                            Some(Ok(value)) => Ok(value),
                            Some(Err(RecvError::Lagged(missed))) => Err(TryRecvError::Lagged(missed)),
                            Some(Err(RecvError::Closed)) => Err(TryRecvError::Closed),
                        },
                        _ => receiver.try_recv(),
                    };
                    prop_assert_eq!(received.map(|(number, _)| number), expected);
                }
                Shout::Again(index) => {
                    let index = index % receivers.len();
                    receivers.push((receivers[index].0.resubscribe(), sent));
                }
                Shout::Drop(index) => drop(receivers.swap_remove(index % receivers.len())),
            }
            for (receiver, position) in &receivers {
                prop_assert_eq!(receiver.len(), sent - position);
            }
            let slowest = receivers.iter().map(|(_, position)| *position).min();
            let kept = sent - slowest.unwrap_or(sent).max(sent.saturating_sub(capacity));
            prop_assert_eq!(sender.len(), kept);
            prop_assert_eq!(sender.receiver_count(), receivers.len());
            prop_assert_eq!(count.get() as usize, kept, "each value exists once, in the channel");
        }
        drop(sender);
        for (receiver, position) in &mut receivers {
            *position = (*position).max(sent.saturating_sub(capacity));
            loop {
                match receiver.recv().now_or_never() {
                    Some(Ok((number, _))) => {
                        prop_assert_eq!(number, *position);
                        *position += 1;
                    }
                    Some(Err(RecvError::Lagged(_))) => {}
                    other => {
                        prop_assert_eq!(other.map(|other| other.unwrap_err()), Some(RecvError::Closed));
                        break;
                    }
                }
            }
            prop_assert_eq!(*position, sent);
        }
        drop(receivers);
        prop_assert_eq!(count.get(), 0);
    }
}

#[test]
fn a_dropped_recv_of_a_broadcast_channel_loses_no_value() {
    let (sender, mut receiver) = broadcast::channel(2);
    let mut recv = Box::pin(receiver.recv());
    assert!(poll_once(&mut recv).is_pending());
    sender.send(1).unwrap();
    drop(recv);
    assert_eq!(receiver.recv().now_or_never(), Some(Ok(1)));
}

#[test]
fn a_destructor_may_use_the_broadcast_channel_that_drops_it() {
    let _watchdog = watchdog();
    let sends = Arc::new(AtomicUsize::new(0));
    let (sender, mut receiver) = broadcast::channel::<Shared>(1);
    let value = |sender: &broadcast::Sender<Shared>| {
        let (sender, sends) = (sender.clone(), Arc::clone(&sends));
        Shared::new(move || {
            drop(sender.send(Shared::new(|| ())));
            sends.fetch_add(1, Ordering::SeqCst);
        })
    };
    // The next value drops it.
    sender.send(value(&sender)).unwrap();
    sender.send(Shared::new(|| ())).unwrap();
    assert_eq!(sends.load(Ordering::SeqCst), 1);
    // The receiver drops it.
    let other = sender.subscribe();
    while receiver.try_recv().is_ok() {}
    while !matches!(
        receiver.try_recv(),
        Err(broadcast::error::TryRecvError::Empty)
    ) {}
    drop(other);
    sender.send(value(&sender)).unwrap();
    drop(receiver);
    assert_eq!(sends.load(Ordering::SeqCst), 2);
}

/// A waker that calls a closure.
struct Calls<F>(F);

impl<F: Fn() + Send + Sync + 'static> Wake for Calls<F> {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}

#[test]
fn a_waker_may_use_the_broadcast_channel_that_calls_it() {
    let _watchdog = watchdog();
    let (sender, mut receiver) = broadcast::channel(4);
    let theirs = sender.clone();
    let waker = Waker::from(Arc::new(Calls(move || {
        let mut other = theirs.subscribe();
        assert!(poll_once(&mut other.recv()).is_pending());
        theirs.send(8).unwrap();
    })));
    let mut recv = receiver.recv();
    assert!(
        recv.poll_unpin(&mut Context::from_waker(&waker))
            .is_pending()
    );
    sender.send(7).unwrap();
    assert_eq!(recv.now_or_never(), Some(Ok(7)));
    assert_eq!(receiver.try_recv(), Ok(8));
}

#[test]
fn a_waker_that_panics_leaves_the_broadcast_channel_usable() {
    let _watchdog = watchdog();
    let (sender, mut receiver) = broadcast::channel(4);
    let mut other = receiver.resubscribe();
    let waker = Waker::from(Arc::new(Calls(|| panic!("in a waker"))));
    let wakes = Arc::new(Wakes::default());
    let counter = Waker::from(Arc::clone(&wakes));
    let (mut first, mut second) = (receiver.recv(), other.recv());
    assert!(
        first
            .poll_unpin(&mut Context::from_waker(&waker))
            .is_pending()
    );
    assert!(
        second
            .poll_unpin(&mut Context::from_waker(&counter))
            .is_pending()
    );
    assert_eq!(sender.send(7), Ok(2));
    assert_eq!(wakes.count(), 1, "the other receiver is woken all the same");
    assert_eq!(first.now_or_never(), Some(Ok(7)));
    assert_eq!(second.now_or_never(), Some(Ok(7)));
    let mut third = receiver.recv();
    assert!(
        third
            .poll_unpin(&mut Context::from_waker(&waker))
            .is_pending()
    );
    drop(sender);
    assert!(matches!(third.now_or_never(), Some(Err(_))));
}

#[test]
fn a_dropped_recv_of_a_broadcast_channel_is_not_woken() {
    let (sender, mut receiver) = broadcast::channel(4);
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(Arc::clone(&wakes));
    let mut recv = receiver.recv();
    for _ in 0..2 {
        let polled = recv.poll_unpin(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
    }
    drop(recv);
    drop(waker);
    assert_eq!(Arc::strong_count(&wakes), 1, "no waker is left behind");
    sender.send(7).unwrap();
    assert_eq!(wakes.count(), 0);
}

#[test]
fn destructors_that_panic_in_a_dropped_broadcast_receiver_are_all_run() {
    let drops = Arc::new(AtomicUsize::new(0));
    let (sender, mut receiver) = broadcast::channel(4);
    let other = sender.subscribe();
    for _ in 0..3 {
        let drops = Arc::clone(&drops);
        let value = Shared::new(move || {
            drops.fetch_add(1, Ordering::SeqCst);
            panic!("in a destructor");
        });
        sender.send(value).unwrap();
    }
    // Two values are left to both, and one to the other one.
    std::mem::forget(receiver.try_recv());
    drop(receiver);
    drop(other);
    assert_eq!(drops.load(Ordering::SeqCst), 2);
    assert!(sender.is_empty());
}

#[test]
fn a_broadcast_value_that_two_receivers_take_at_once_is_dropped() {
    const ROUNDS: usize = 3_000;
    let _watchdog = watchdog();
    let alive = Arc::new(());
    let (sender, mut here) = broadcast::channel(1);
    let mut there = sender.subscribe();
    let barrier = Arc::new(std::sync::Barrier::new(2));
    let theirs = Arc::clone(&barrier);
    let thread = thread::spawn(move || {
        for _ in 0..ROUNDS {
            theirs.wait();
            drop(there.try_recv());
            theirs.wait();
        }
        there
    });
    for _ in 0..ROUNDS {
        sender.send(Arc::clone(&alive)).unwrap();
        barrier.wait();
        drop(here.try_recv());
        barrier.wait();
        assert_eq!(Arc::strong_count(&alive), 1);
    }
    drop(thread.join().unwrap());
}

#[test]
fn a_clone_that_panics_leaves_the_broadcast_channel_usable() {
    struct Fragile(bool);
    impl Clone for Fragile {
        fn clone(&self) -> Fragile {
            assert!(!self.0, "in a clone");
            Fragile(false)
        }
    }
    let (sender, mut receiver) = broadcast::channel(4);
    let mut other = sender.subscribe();
    sender.send(Fragile(true)).ok().unwrap();
    sender.send(Fragile(false)).ok().unwrap();
    assert!(catch_unwind(AssertUnwindSafe(|| receiver.try_recv())).is_err());
    assert!(receiver.try_recv().is_ok());
    assert!(other.try_recv().is_ok(), "the last one needs no clone");
    assert!(other.try_recv().is_ok());
}

#[test]
fn all_receivers_of_a_broadcast_channel_receive_the_values_of_all_threads() {
    const THREADS: usize = 3;
    const VALUES: usize = 300;
    let (sender, _) = broadcast::channel(THREADS * VALUES);
    let receivers = Vec::from_iter((0..THREADS).map(|_| {
        let mut receiver = sender.subscribe();
        thread::spawn(move || {
            let mut next = [0; THREADS];
            while let Ok((number, value)) = park_on(receiver.recv()) {
                assert_eq!(next[number], value);
                next[number] += 1;
            }
            assert_eq!(next, [VALUES; THREADS]);
        })
    }));
    let senders = Vec::from_iter((0..THREADS).map(|number| {
        let sender = sender.clone();
        thread::spawn(move || {
            for value in 0..VALUES {
                sender.send((number, value)).unwrap();
            }
        })
    }));
    drop(sender);
    let _watchdog = watchdog();
    for thread in senders.into_iter().chain(receivers) {
        thread
            .join()
            .unwrap_or_else(|payload| resume_unwind(payload));
    }
}

#[test]
fn receivers_that_are_dropped_while_others_send_leave_no_value_behind() {
    let _watchdog = watchdog();
    let (sender, keeper) = broadcast::channel(8);
    let alive = Arc::new(());
    let threads = [(); 2].map(|()| {
        let (sender, alive) = (sender.clone(), Arc::clone(&alive));
        thread::spawn(move || {
            for _ in 0..2_000 {
                let receiver = sender.subscribe();
                drop(sender.send(Arc::clone(&alive)));
                drop(receiver);
            }
        })
    });
    for thread in threads {
        thread.join().unwrap();
    }
    drop(keeper);
    assert!(sender.is_empty());
    assert_eq!(Arc::strong_count(&alive), 1);
}

// ---- watch ----

proptest! {
    #[test]
    fn a_watch_channel_does_what_numbered_versions_do(
        steps in prop::collection::vec((shout(), any::<bool>()), 0..80),
    ) {
        let (sender, receiver) = watch::channel(0_usize);
        let mut receivers = vec![(receiver, 0_usize)];
        let mut version = 0;
        for (step, variant) in steps {
            match step {
                Shout::Send if variant => {
                    let result = sender.send(version + 1);
                    prop_assert_eq!(result.is_ok(), !receivers.is_empty());
                    version += usize::from(result.is_ok());
                }
                Shout::Send => {
                    version += 1;
                    sender.send_modify(|value| *value = version);
                    prop_assert!(!sender.send_if_modified(|_| false));
                }
                Shout::Subscribe => receivers.push((sender.subscribe(), version)),
                _ if receivers.is_empty() => {}
                Shout::TryRecv(index) => {
                    let index = index % receivers.len();
                    let (receiver, seen) = &mut receivers[index];
                    let has_changed = *seen != version;
                    if variant {
                        *seen = version;
                        let value = receiver.borrow_and_update();
                        prop_assert_eq!((*value, value.has_changed()), (version, has_changed));
                    } else {
                        let value = receiver.borrow();
                        prop_assert_eq!((*value, value.has_changed()), (version, has_changed));
                    }
                }
                Shout::Recv(index) => {
                    let index = index % receivers.len();
                    let (receiver, seen) = &mut receivers[index];
                    if variant {
                        let changed = receiver.changed().now_or_never();
                        prop_assert_eq!(changed, (*seen != version).then_some(Ok(())));
                    } else {
                        let mut calls = 0;
                        let wait = receiver.wait_for(|_| { calls += 1; false }).now_or_never();
                        prop_assert!(wait.is_none());
                        prop_assert_eq!(calls, 1);
                    }
                    *seen = version;
                }
                Shout::Again(index) => {
                    let (receiver, seen) = &receivers[index % receivers.len()];
                    let again = (receiver.clone(), *seen);
                    receivers.push(again);
                }
                Shout::Mark(index) => {
                    let index = index % receivers.len();
                    let (receiver, seen) = &mut receivers[index];
                    if variant {
                        receiver.mark_changed();
                        *seen = usize::MAX;
                    } else {
                        receiver.mark_unchanged();
                        *seen = version;
                    }
                }
                Shout::Drop(index) => drop(receivers.swap_remove(index % receivers.len())),
            }
            for (receiver, seen) in &receivers {
                prop_assert_eq!(receiver.has_changed(), Ok(*seen != version));
            }
            prop_assert_eq!(sender.receiver_count(), receivers.len());
        }
        drop(sender);
        for (receiver, seen) in &mut receivers {
            let changed = receiver.changed().now_or_never().unwrap();
            prop_assert_eq!(changed.is_ok(), *seen != version);
            prop_assert!(receiver.changed().now_or_never().unwrap().is_err());
            prop_assert_eq!(*receiver.borrow(), version);
        }
    }
}

#[test]
fn a_closure_that_panics_leaves_the_watch_channel_usable() {
    let (sender, mut receiver) = watch::channel(1);
    let panics = AssertUnwindSafe(|| {
        sender.send_modify(|value| {
            *value = 2;
            panic!("in a closure");
        });
    });
    assert!(catch_unwind(panics).is_err());
    assert!(!receiver.has_changed().unwrap());
    let panics = AssertUnwindSafe(|| {
        drop(receiver.wait_for(|_| panic!("in a closure")).now_or_never());
    });
    assert!(catch_unwind(panics).is_err());
    assert_eq!(*receiver.borrow(), 2);
    sender.send(3).unwrap();
    assert_eq!(receiver.changed().now_or_never(), Some(Ok(())));
    assert_eq!(*receiver.borrow(), 3);
}

#[test]
fn wait_for_sees_the_last_value_of_a_closed_channel() {
    block_on(async {
        let (sender, mut receiver) = watch::channel(1);
        let mut other = receiver.clone();
        let wanted = task::spawn(async move {
            receiver
                .wait_for(|value| *value == 2)
                .await
                .map(|value| *value)
        });
        let unwanted = task::spawn(async move {
            other
                .wait_for(|value| *value == 3)
                .await
                .map(|value| *value)
        });
        yield_now().await;
        sender.send(2).unwrap();
        drop(sender);
        assert_eq!(wanted.await.unwrap(), Ok(2));
        assert!(unwanted.await.unwrap().is_err());
    });
}

#[test]
fn a_destructor_may_use_the_watch_channel_that_drops_it() {
    let _watchdog = watchdog();
    let (sender, receiver) = watch::channel(None);
    let again = sender.clone();
    let value = reentrant(move || drop(again.send_replace(None)));
    sender.send(Some(value)).ok().unwrap();
    sender.send(None).ok().unwrap();
    assert!(receiver.borrow().is_none());
}

#[test]
fn a_watch_receiver_on_another_thread_sees_growing_values_and_the_last_one() {
    const VALUES: usize = 5_000;
    let (sender, receiver) = watch::channel(0);
    let threads = [(); 2].map(|()| {
        let mut receiver = receiver.clone();
        thread::spawn(move || {
            let mut last = 0;
            while park_on(receiver.changed()).is_ok() {
                let value = *receiver.borrow_and_update();
                assert!(value >= last, "{value} comes after {last}");
                last = value;
            }
            last
        })
    });
    drop(receiver);
    let _watchdog = watchdog();
    for value in 1..=VALUES {
        sender.send(value).unwrap();
    }
    let closed = sender.clone();
    drop(sender);
    let closing = thread::spawn(move || {
        // The receivers end when this sender is gone, so it only asks.
        assert!(closed.closed().now_or_never().is_none());
    });
    closing.join().unwrap();
    for thread in threads {
        assert_eq!(thread.join().unwrap(), VALUES);
    }
}

#[test]
fn the_last_watch_receiver_wakes_the_senders_that_wait_for_it() {
    block_on(async {
        let (sender, receiver) = watch::channel(0);
        let other = sender.subscribe();
        let task = task::spawn(async move { sender.closed().await });
        yield_now().await;
        drop(receiver);
        yield_now().await;
        assert!(!task.is_finished());
        drop(other);
        task.await.unwrap();
    });
}

// ---- dumps ----

/// Returns the dump of the current runtime after all tasks have run.
async fn dump() -> String {
    for _ in 0..3 {
        yield_now().await;
    }
    task::dump().to_string()
}

#[test]
fn a_dump_names_the_senders_of_the_channel_that_a_task_waits_for() {
    block_on(async {
        let (sender, mut receiver) = mpsc::channel_named::<u32>("jobs", 1);
        let task = task::spawn(async move { receiver.recv().await });
        let text = dump().await;
        assert!(
            text.contains("recv on \"jobs\": 1 sender left, made by main at "),
            "{text}"
        );
        assert!(text.contains("; mpsc channel made at "), "{text}");
        assert!(text.contains("sync_channels.rs"), "{text}");
        let clones = [(); 5].map(|()| sender.clone());
        let text = dump().await;
        assert!(text.contains("6 senders left, made by main "), "{text}");
        assert!(text.contains(", and 2 more"), "{text}");
        drop((sender, clones));
        task.await.unwrap();
        let text = dump().await;
        assert!(!text.contains("jobs"), "{text}");
    });
}

#[test]
fn a_dump_names_the_task_that_has_used_the_receiver_of_a_full_channel() {
    block_on(async {
        let (sender, mut receiver) = mpsc::channel_named("jobs", 2);
        sender.send(0).await.unwrap();
        let (go, wait) = oneshot::channel_named::<()>("go");
        let worker = task::Builder::new().name("worker").spawn(async move {
            receiver.recv().await.unwrap();
            wait.await.unwrap();
            receiver
        });
        let producer = task::spawn(async move {
            loop {
                if sender.send(1).await.is_err() {
                    break;
                }
            }
        });
        let text = dump().await;
        let full = "send on full \"jobs\" (2 of 2): its receiver was last used by task ";
        assert!(text.contains(full) && text.contains("\"worker\""), "{text}");
        let waits = "), which waits for recv on oneshot \"go\" (made at ";
        assert!(text.contains(waits), "{text}");
        assert!(text.contains("recv on oneshot \"go\" (made at "), "{text}");
        assert!(
            text.contains("its sender has not been used since it was made by main"),
            "{text}"
        );
        go.send(()).unwrap();
        drop(worker.await.unwrap());
        producer.await.unwrap();
    });
}

#[test]
fn a_dump_says_who_sent_last_to_a_watch_channel() {
    block_on(async {
        let (sender, mut receiver) = watch::channel_named("config", 0);
        let (events, mut all) = broadcast::channel_named::<u32>("events", 4);
        let watching = task::spawn(async move { while receiver.changed().await.is_ok() {} });
        let listening = task::spawn(async move { while all.recv().await.is_ok() {} });
        let text = dump().await;
        assert!(
            text.contains("changed on \"config\": nothing has been sent, "),
            "{text}"
        );
        assert!(
            text.contains("nothing has been sent, 1 sender left, made by main"),
            "{text}"
        );
        assert!(
            text.contains("recv on \"events\": 1 sender left, "),
            "{text}"
        );
        sender.send(1).unwrap();
        let text = dump().await;
        assert!(text.contains("last sent by main "), "{text}");
        drop((sender, events));
        watching.await.unwrap();
        listening.await.unwrap();
    });
}

#[test]
fn a_wait_that_was_given_up_is_not_in_the_dump() {
    block_on(async {
        let (_sender, mut receiver) = mpsc::channel_named::<u32>("jobs", 1);
        let task = task::spawn(async move {
            {
                let mut recv = pin!(receiver.recv());
                assert!(futures::poll!(&mut recv).is_pending());
            }
            yield_now().await;
            std::future::pending::<()>().await;
        });
        let text = dump().await;
        assert!(!text.contains("jobs"), "{text}");
        task.abort();
        drop(task.await);
    });
}

#[test]
fn a_receiver_waits_in_the_dump_of_the_runtime_that_polls_it() {
    let _watchdog = watchdog();
    let (sender, mut receiver) = mpsc::channel_named::<u32>("jobs", 1);
    let (events, mut all) = broadcast::channel_named::<u32>("events", 1);
    let runtimes = [(); 2].map(|()| glassfrog::Runtime::new().unwrap());
    let is_waiting = |runtime: &glassfrog::Runtime| {
        let text = runtime.block_on(dump());
        assert_eq!(text.contains("jobs"), text.contains("events"), "{text}");
        text.contains("jobs")
    };
    for (runtime, other) in [(0, 1), (1, 0), (1, 0), (0, 1)] {
        let (runtime, other) = (&runtimes[runtime], &runtimes[other]);
        let task = runtime.handle().spawn(async move {
            let received = futures::join!(receiver.recv(), all.recv());
            assert_eq!(received, (Some(1), Ok(2)));
            (receiver, all)
        });
        assert!(is_waiting(runtime) && !is_waiting(other));
        sender.try_send(1).unwrap();
        events.send(2).unwrap();
        (receiver, all) = runtime.block_on(task).unwrap();
        assert!(!is_waiting(runtime) && !is_waiting(other));
        // A wait outside any runtime is in no dump.
        let mut recv = Box::pin(receiver.recv());
        assert!(poll_once(&mut recv).is_pending());
        drop(recv);
        assert!(!is_waiting(runtime));
    }
    drop(runtimes);
    sender.try_send(1).unwrap();
    assert_eq!(park_on(receiver.recv()), Some(1));
}

#[test]
fn a_wait_shows_the_place_of_the_latest_recv() {
    block_on(async {
        let (sender, mut receiver) = mpsc::channel_named("jobs", 1);
        let first = line!() + 3;
        let second = first + 1;
        let task = task::spawn(async move {
            receiver.recv().await;
            receiver.recv().await;
        });
        for line in [first, second] {
            let text = dump().await;
            let place = format!("sync_channels.rs:{line}");
            assert!(text.contains(&place), "{place} is not in {text}");
            sender.send(()).await.unwrap();
        }
        task.await.unwrap();
    });
}

#[test]
fn a_dump_says_since_when_a_stream_has_not_been_polled() {
    block_on(async {
        let (sender, mut receiver) = mpsc::channel_named::<u32>("jobs", 1);
        let task = task::spawn(async move {
            assert!(futures::poll!(receiver.next()).is_pending());
            yield_now().await;
            std::future::pending::<()>().await;
        });
        let text = dump().await;
        assert!(text.contains("since poll 1 of 2"), "{text}");
        task.abort();
        drop((task.await, sender));
    });
}

#[test]
#[cfg(target_os = "linux")]
fn a_traced_wait_that_has_ended_leaves_no_trace() {
    use crate::support::{child, resident};
    /// Enough for the receivers, and by far not for a trace each, which takes several KiB.
    const TOLERANCE: u64 = 8 * 1024;
    const RECEIVERS: usize = 8_000;
    child(|| {
        let runtime = glassfrog::Runtime::builder().trace_waits(true);
        runtime.build().unwrap().block_on(async {
            let (sender, receiver) = broadcast::channel::<()>(1);
            let mut receivers = vec![receiver];
            let wait = async |receiver: &mut broadcast::Receiver<()>| {
                let mut recv = pin!(receiver.recv());
                poll_fn(|cx| Poll::Ready(recv.as_mut().poll(cx).is_pending())).await
            };
            assert!(wait(&mut receivers[0]).await);
            let before = resident();
            for _ in 0..RECEIVERS {
                let mut receiver = sender.subscribe();
                assert!(wait(&mut receiver).await);
                receivers.push(receiver);
            }
            let after = resident();
            assert!(
                after <= before + TOLERANCE,
                "{before} KiB, then {after} KiB"
            );
        });
    })
    .finish();
}
