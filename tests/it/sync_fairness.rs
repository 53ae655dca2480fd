//! Every future of `sync` takes part in the budget of a poll.

use crate::support::block_on;
use glassfrog::spawn;
use glassfrog::sync::{
    Barrier, CancellationToken, Mutex, Notify, OnceCell, RwLock, Semaphore, mpsc, oneshot, watch,
};
use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

/// The maximum number of operations in one poll.
const OPERATIONS: usize = 128;

/// The number of operations that each task performs.
const TOTAL: usize = 10 * OPERATIONS;

/// Performs an operation `TOTAL` times in a task, and asserts that no poll performs too many.
#[track_caller]
fn assert_shares(operation: impl AsyncFn() + 'static) {
    let done = Rc::new(Cell::new(0));
    let most = Rc::new(Cell::new(0));
    let (count, most_in_one_poll) = (Rc::clone(&done), Rc::clone(&most));
    block_on(async move {
        let task = spawn(async move {
            let mut all = pin!(async {
                for _ in 0..TOTAL {
                    operation().await;
                    count.set(count.get() + 1);
                }
            });
            poll_fn(|cx| {
                let before = count.get();
                let polled = all.as_mut().poll(cx);
                let in_this_poll = count.get() - before;
                most_in_one_poll.set(most_in_one_poll.get().max(in_this_poll));
                polled
            })
            .await;
        });
        task.await.unwrap();
    });
    assert_eq!(done.get(), TOTAL);
    assert!(most.get() <= OPERATIONS, "{} in one poll", most.get());
}

#[test]
fn one_poll_takes_at_most_128_free_locks() {
    let mutex = Arc::new(Mutex::new(0));
    let owned = Arc::clone(&mutex);
    assert_shares(async move || *mutex.lock().await += 1);
    assert_shares(async move || *Arc::clone(&owned).lock_owned().await += 1);
    let lock = Arc::new(RwLock::new(0));
    let (written, owned) = (Arc::clone(&lock), Arc::clone(&lock));
    assert_shares(async move || drop(lock.read().await));
    assert_shares(async move || *written.write().await += 1);
    assert_shares(async move || {
        drop(Arc::clone(&owned).read_owned().await);
        drop(Arc::clone(&owned).write_owned().await);
    });
}

#[test]
fn one_poll_takes_at_most_128_free_permits() {
    let semaphore = Arc::new(Semaphore::new(2));
    let owned = Arc::clone(&semaphore);
    assert_shares(async move || drop(semaphore.acquire_many(2).await.unwrap()));
    assert_shares(async move || drop(Arc::clone(&owned).acquire_owned().await.unwrap()));
    let closed = Semaphore::new(1);
    closed.close();
    assert_shares(async move || assert!(closed.acquire().await.is_err()));
}

#[test]
fn one_poll_ends_at_most_128_waits_that_are_over() {
    let notify = Notify::new();
    assert_shares(async move || {
        notify.notify_one();
        notify.notified().await;
    });
    let barrier = Barrier::new(1);
    assert_shares(async move || assert!(barrier.wait().await.is_leader()));
    let token = CancellationToken::new();
    token.cancel();
    let (owned, until) = (token.clone(), token.clone());
    assert_shares(async move || token.cancelled().await);
    assert_shares(async move || owned.clone().cancelled_owned().await);
    assert_shares(async move || assert_eq!(until.run_until_cancelled(async {}).await, None));
    let cell = OnceCell::new();
    assert_shares(async move || assert_eq!(*cell.get_or_init(async || 7).await, 7));
    assert_shares(async || assert_eq!(*OnceCell::new().get_or_init(async || 7).await, 7));
}

#[test]
fn one_poll_uses_at_most_128_channels_that_are_ready() {
    assert_shares(async || {
        let (sender, receiver) = oneshot::channel();
        sender.send(7).unwrap();
        assert_eq!(receiver.await, Ok(7));
    });
    assert_shares(async || {
        let (mut sender, receiver) = oneshot::channel::<i32>();
        drop(receiver);
        sender.closed().await;
    });
    let (sender, receiver) = mpsc::channel::<i32>(1);
    drop(receiver);
    assert_shares(async move || sender.closed().await);
    let (sender, receiver) = watch::channel(0);
    drop(receiver);
    assert_shares(async move || sender.closed().await);
}

#[test]
fn a_cancelled_token_comes_before_a_future_that_is_ready_after_the_budget_is_spent() {
    block_on(async {
        let task = spawn(async {
            let (mutex, token) = (Mutex::new(()), CancellationToken::new());
            token.cancel();
            for _ in 0..OPERATIONS {
                drop(mutex.lock().await);
            }
            assert_eq!(token.run_until_cancelled(async { 7 }).await, None);
        });
        task.await.unwrap();
    });
}
