//! `async-lock`: locks that are held across an `.await`. Nothing to write: they run as they are.

use async_lock::{Barrier, Mutex, RwLock, Semaphore};
use glassfrog::task::yield_now;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;

#[test]
fn a_mutex_keeps_a_balance_across_an_await() {
    glassfrog::block_on(async {
        let balance = Rc::new(Mutex::new(0));
        let tasks: Vec<_> = (0..100)
            .map(|_| {
                let balance = Rc::clone(&balance);
                glassfrog::spawn(async move {
                    let mut balance = balance.lock().await;
                    let before = *balance;
                    yield_now().await;
                    *balance = before + 1;
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*balance.lock().await, 100);
    });
}

#[test]
fn a_semaphore_bounds_what_runs_at_once() {
    glassfrog::block_on(async {
        let permits = Rc::new(Semaphore::new(3));
        let (running, most) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let tasks: Vec<_> = (0..20)
            .map(|_| {
                let (permits, running, most) = (permits.clone(), running.clone(), most.clone());
                glassfrog::spawn(async move {
                    let _permit = permits.acquire().await;
                    running.set(running.get() + 1);
                    most.set(most.get().max(running.get()));
                    yield_now().await;
                    running.set(running.get() - 1);
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(most.get(), 3);
    });
}

#[test]
fn a_lock_and_a_barrier_work_between_two_runtimes() {
    let lock = Arc::new(RwLock::new(1));
    let barrier = Arc::new(Barrier::new(2));
    let (lock_there, barrier_there) = (Arc::clone(&lock), Arc::clone(&barrier));
    let thread = thread::spawn(move || {
        glassfrog::block_on(async {
            *lock_there.write().await += 1;
            barrier_there.wait().await;
        });
    });
    glassfrog::block_on(async {
        barrier.wait().await;
        assert_eq!(*lock.read().await, 2);
    });
    thread.join().unwrap();
}
