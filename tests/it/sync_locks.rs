//! The laws of locks, semaphores, barriers and cells: exclusion, order, cancellation, and what dumps say of them.

use crate::support::{block_on, park_on, settle, watchdog};
use futures::FutureExt as _;
use futures::future::{join_all, pending, poll_fn};
use glassfrog::spawn;
use glassfrog::sync::{
    self, Barrier, Mutex, OnceCell, OwnedSemaphorePermit, RwLock, Semaphore, SetError,
    TryAcquireError,
};
use glassfrog::task::{self, spawn_blocking, yield_now};
use proptest::prelude::*;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

/// Polls a future once, with a waker that does nothing.
fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// A waker that remembers whether it was called.
#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Returns the text of a dump of this runtime.
async fn dump() -> String {
    settle().await;
    format!("{:#}", task::dump())
}

/// Checks that a dump contains a text.
fn assert_says(dump: &str, text: &str) {
    assert!(dump.contains(text), "{text:?} is not in the dump:\n{dump}");
}

/// Runs a closure on four threads at once, which it tells apart by their numbers.
fn on_threads(run: impl Fn(usize) + Sync) {
    let run = &run;
    thread::scope(|scope| {
        for number in 0..4 {
            scope.spawn(move || run(number));
        }
    });
}

#[test]
fn everything_may_cross_threads() {
    fn check<T: Send + Sync>(_: &T) {}
    fn check_send<T: Send>(_: &T) {}
    let (mutex, lock) = (Arc::new(Mutex::new(7)), Arc::new(RwLock::new(7)));
    check(&mutex);
    check(&lock);
    check(&mutex.try_lock().unwrap());
    check(&Arc::clone(&mutex).try_lock_owned().unwrap());
    check(&lock.try_read().unwrap());
    check(&lock.try_write().unwrap());
    check(&Arc::clone(&lock).try_read_owned().unwrap());
    check(&Arc::clone(&lock).try_write_owned().unwrap());
    check_send(&mutex.lock());
    check_send(&Arc::clone(&mutex).lock_owned());
    check_send(&lock.read());
    check_send(&lock.write());
    check_send(&Arc::clone(&lock).read_owned());
    check_send(&Arc::clone(&lock).write_owned());
    let pool = Arc::new(Semaphore::new(2));
    check(&pool);
    check(&pool.try_acquire().unwrap());
    check(&Arc::clone(&pool).try_acquire_owned().unwrap());
    check_send(&pool.acquire());
    check_send(&Arc::clone(&pool).acquire_owned());
    let (barrier, cell) = (Barrier::new(2), OnceCell::new());
    check(&barrier);
    check_send(&barrier.wait());
    check(&cell);
    check_send(&cell.get_or_init(async || 7));
    check_send(&cell.get_or_try_init(async || Err::<i32, ()>(())));
    check(&sync::held());
}

// Mutex.

#[test]
fn a_mutex_excludes_threads_tasks_and_foreign_executors() {
    static SUM: Mutex<usize> = Mutex::new(0);
    const ROUNDS: usize = 500;
    let _watchdog = watchdog();
    on_threads(|number| match number {
        0 => {
            for _ in 0..ROUNDS {
                let mut sum = SUM.blocking_lock();
                let before = *sum;
                thread::yield_now();
                *sum = before + 1;
            }
        }
        1 | 2 => park_on(async {
            for _ in 0..ROUNDS {
                *SUM.lock().await += 1;
            }
        }),
        _ => block_on(async {
            for _ in 0..ROUNDS {
                let mut sum = SUM.lock().await;
                let before = *sum;
                yield_now().await;
                *sum = before + 1;
            }
        }),
    });
    assert_eq!(*SUM.try_lock().unwrap(), 4 * ROUNDS);
}

#[test]
fn those_who_wait_for_a_mutex_lock_it_in_the_order_in_which_they_came() {
    block_on(async {
        let mutex = Rc::new(Mutex::new(Vec::new()));
        let guard = mutex.lock().await;
        let tasks: Vec<_> = (0..5)
            .map(|number| {
                let mutex = Rc::clone(&mutex);
                spawn(async move { mutex.lock().await.push(number) })
            })
            .collect();
        settle().await;
        drop(guard);
        join_all(tasks).await;
        assert_eq!(*mutex.lock().await, [0, 1, 2, 3, 4]);
    });
}

#[test]
fn a_lock_future_that_is_dropped_passes_its_turn_on() {
    let mutex = Mutex::new(7);
    let guard = mutex.try_lock().unwrap();
    let mut first = Box::pin(mutex.lock());
    let mut second = Box::pin(mutex.lock());
    assert!(poll_once(first.as_mut()).is_pending());
    let woken = Arc::new(Flag::default());
    let waker = Waker::from(Arc::clone(&woken));
    assert!(
        second
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
    );
    drop(guard);
    // It was next.
    drop(first);
    assert!(woken.0.load(Ordering::SeqCst));
    assert!(poll_once(second.as_mut()).is_ready());
    // A future that was never polled takes nothing.
    drop(mutex.lock());
    assert!(mutex.try_lock().is_ok());
}

#[test]
fn a_guard_unlocks_the_mutex_where_it_is_dropped() {
    block_on(async {
        let mutex = Arc::new(Mutex::new(7));
        let guard = Arc::clone(&mutex).lock_owned().await;
        let job = spawn_blocking(move || {
            let value = *guard;
            drop(guard);
            value
        });
        assert_eq!(*mutex.lock().await, job.await.unwrap());
    });
}

#[test]
fn a_panic_with_the_guard_unlocks_the_mutex_and_does_not_poison_it() {
    let mutex = Mutex::new(7);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _guard = mutex.try_lock().unwrap();
        panic!("on purpose");
    }));
    assert!(panicked.is_err());
    assert_eq!(*mutex.try_lock().unwrap(), 7);
}

#[test]
fn blocking_methods_panic_on_the_thread_of_a_loop() {
    block_on(async {
        let (mutex, lock) = (Mutex::new(7), RwLock::new(7));
        assert!(catch_unwind(AssertUnwindSafe(|| drop(mutex.blocking_lock()))).is_err());
        assert!(catch_unwind(AssertUnwindSafe(|| drop(lock.blocking_read()))).is_err());
        assert!(catch_unwind(AssertUnwindSafe(|| drop(lock.blocking_write()))).is_err());
        // Nothing is locked.
        assert!(mutex.try_lock().is_ok() && lock.try_write().is_ok());
    });
}

#[test]
fn the_last_owned_guard_drops_the_value_outside_any_lock() {
    /// Asks what is held when it is dropped, which would deadlock under the lock of the list.
    struct Asks(Arc<AtomicUsize>);
    impl Drop for Asks {
        fn drop(&mut self) {
            let _held = sync::held();
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let drops = Arc::new(AtomicUsize::new(0));
    let mutex = Arc::new(Mutex::new(Asks(Arc::clone(&drops))));
    let guard = Arc::clone(&mutex).try_lock_owned().unwrap();
    drop(mutex);
    assert_eq!(drops.load(Ordering::SeqCst), 0);
    drop(guard);
    assert_eq!(drops.load(Ordering::SeqCst), 1);

    let lock = Arc::new(RwLock::new(Asks(Arc::clone(&drops))));
    let guards = [(); 2].map(|()| Arc::clone(&lock).try_read_owned().unwrap());
    drop(lock);
    drop(guards);
    assert_eq!(drops.load(Ordering::SeqCst), 2);
}

#[test]
fn a_dump_names_who_has_taken_a_mutex_and_where() {
    block_on(async {
        let mutex = Rc::new(Mutex::named("accounts", 0));
        let auditor = Rc::clone(&mutex);
        let line = Rc::new(Cell::new(0));
        let audited = Rc::clone(&line);
        let auditor = task::Builder::new().name("auditor").spawn(async move {
            audited.set(line!() + 1);
            let _guard = auditor.lock().await;
            pending::<()>().await;
        });
        settle().await;
        let waiter = Rc::clone(&mutex);
        let waiter = spawn(async move { drop(waiter.lock().await) });
        let dump = dump().await;
        assert_says(&dump, "lock \"accounts\" (made at ");
        assert_says(
            &dump,
            &format!("taken by task {} \"auditor\" ", auditor.id()),
        );
        assert_says(&dump, &format!("sync_locks.rs:{}; waiting at ", line.get()));
        auditor.abort();
        waiter.await.unwrap();
    });
}

// RwLock.

#[test]
fn readers_share_and_a_writer_excludes() {
    static SUM: RwLock<usize> = RwLock::new(0);
    const ROUNDS: usize = 300;
    let (readers, writers) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let _watchdog = watchdog();
    on_threads(|number| {
        park_on(async {
            for _ in 0..ROUNDS {
                if number == 0 {
                    let mut sum = SUM.write().await;
                    assert_eq!(writers.fetch_add(1, Ordering::SeqCst), 0);
                    assert_eq!(readers.load(Ordering::SeqCst), 0);
                    *sum += 1;
                    writers.fetch_sub(1, Ordering::SeqCst);
                } else {
                    let _sum = SUM.read().await;
                    readers.fetch_add(1, Ordering::SeqCst);
                    assert_eq!(writers.load(Ordering::SeqCst), 0);
                    readers.fetch_sub(1, Ordering::SeqCst);
                }
            }
        });
    });
    assert_eq!(*SUM.blocking_read(), ROUNDS);
}

#[test]
fn a_writer_that_waits_keeps_new_readers_out_until_it_is_dropped() {
    let lock = RwLock::new(7);
    let reader = lock.try_read().unwrap();
    let mut writer = Box::pin(lock.write());
    assert!(poll_once(writer.as_mut()).is_pending());
    assert!(lock.try_read().is_err());
    let mut late = Box::pin(lock.read());
    let woken = Arc::new(Flag::default());
    let waker = Waker::from(Arc::clone(&woken));
    assert!(
        late.as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
    );
    drop(writer);
    assert!(woken.0.load(Ordering::SeqCst));
    assert!(poll_once(late.as_mut()).is_ready());
    drop(reader);
    assert!(lock.try_write().is_ok());
}

#[test]
fn a_writer_that_becomes_a_reader_lets_others_read() {
    let lock = Arc::new(RwLock::new(7));
    let writer = lock.try_write().unwrap();
    let reader = writer.downgrade();
    assert!(lock.try_read().is_ok());
    assert!(lock.try_write().is_err());
    drop(reader);
    let writer = Arc::clone(&lock).try_write_owned().unwrap();
    let reader = writer.downgrade();
    assert!(lock.try_read().is_ok());
    drop(reader);
    assert!(lock.try_write().is_ok());
}

#[test]
fn owned_guards_wait_as_borrowed_ones_do() {
    block_on(async {
        let lock = Arc::new(RwLock::named("owned", 7));
        let guard = Arc::clone(&lock).write_owned().await;
        let reader = spawn(Arc::clone(&lock).read_owned().map(|guard| *guard));
        let writer = spawn(Arc::clone(&lock).write_owned().map(|mut guard| *guard += 1));
        assert_says(&dump().await, "rwlock \"owned\" (made at ");
        drop(guard);
        assert!((7..=8).contains(&reader.await.unwrap()));
        writer.await.unwrap();
        assert_eq!(Arc::into_inner(lock).unwrap().into_inner(), 8);
    });
}

#[test]
fn a_dump_names_a_task_that_reads_several_times_once() {
    block_on(async {
        let lock = Rc::new(RwLock::named("config", 7));
        let (first, other) = (Rc::clone(&lock), Rc::clone(&lock));
        let readers = [first, other].map(|lock| {
            spawn(async move {
                let _guards = (lock.read().await, lock.read().await);
                pending::<()>().await;
            })
        });
        settle().await;
        let writer = Rc::clone(&lock);
        let writer = spawn(async move { *writer.write().await = 8 });
        settle().await;
        let dump = task::dump();
        for reader in &readers {
            let name = format!("by task {} ", reader.id());
            let also = format!(", task {} ", reader.id());
            let text = format!("{dump:#}");
            let times = text.matches(&name).count() + text.matches(&also).count();
            assert_eq!(times, 1, "{text}");
        }
        readers.iter().for_each(|reader| reader.abort());
        writer.await.unwrap();
    });
}

#[test]
fn a_dump_names_four_readers_and_counts_the_others() {
    block_on(async {
        let lock = Rc::new(RwLock::named("config", 7));
        let readers: Vec<_> = (0..6)
            .map(|_| {
                let lock = Rc::clone(&lock);
                spawn(async move {
                    let _guard = lock.read().await;
                    pending::<()>().await;
                })
            })
            .collect();
        settle().await;
        let writer = Rc::clone(&lock);
        let writer = spawn(async move { *writer.write().await = 8 });
        settle().await;
        let late = Rc::clone(&lock);
        let late = spawn(async move { *late.read().await });
        let dump = dump().await;
        assert_says(&dump, "rwlock \"config\" (made at ");
        assert_says(&dump, "read by task ");
        assert_says(&dump, " and 2 more");
        assert_says(
            &dump,
            &format!("behind a writer that waits: task {}", writer.id()),
        );
        readers.iter().for_each(|reader| reader.abort());
        writer.await.unwrap();
        assert_eq!(late.await.unwrap(), 8);
    });
}

// Semaphore.

#[test]
fn permits_are_given_in_the_order_of_the_requests() {
    block_on(async {
        let pool = Rc::new(Semaphore::new(0));
        let order = Rc::new(RefCell::new(Vec::new()));
        let tasks: Vec<_> = [3, 1, 2, 1]
            .into_iter()
            .enumerate()
            .map(|(number, wanted)| {
                let (pool, order) = (Rc::clone(&pool), Rc::clone(&order));
                spawn(async move {
                    pool.acquire_many(wanted).await.unwrap().forget();
                    order.borrow_mut().push(number);
                })
            })
            .collect();
        settle().await;
        for given in 1..=7 {
            pool.add_permits(1);
            settle().await;
            // Nobody overtakes the request for three.
            let served = order.borrow().len();
            assert_eq!(served, [0, 0, 0, 1, 2, 2, 3, 4][given]);
        }
        join_all(tasks).await;
        assert_eq!(*order.borrow(), [0, 1, 2, 3]);
    });
}

#[test]
fn a_request_that_is_dropped_at_any_stage_loses_no_permit() {
    let pool = Semaphore::new(1);
    // Before its first poll.
    drop(pool.acquire());
    let permit = pool.try_acquire().unwrap();
    // While it waits.
    let mut waits = Box::pin(pool.acquire());
    assert!(poll_once(waits.as_mut()).is_pending());
    drop(waits);
    // After it has been woken, while another one waits behind it.
    let mut woken = Box::pin(pool.acquire());
    assert!(poll_once(woken.as_mut()).is_pending());
    let mut next = Box::pin(pool.acquire());
    let flag = Arc::new(Flag::default());
    let waker = Waker::from(Arc::clone(&flag));
    assert!(
        next.as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
    );
    drop(permit);
    assert_eq!(pool.available_permits(), 1);
    drop(woken);
    assert!(flag.0.load(Ordering::SeqCst));
    let Poll::Ready(Ok(permit)) = poll_once(next.as_mut()) else {
        panic!("the permit is free");
    };
    // After it is ready: the permit is the caller's.
    drop(next);
    assert_eq!(pool.available_permits(), 0);
    drop(permit);
    assert_eq!(pool.available_permits(), 1);
}

#[test]
fn a_waker_may_use_the_semaphore_that_calls_it() {
    /// Takes and returns a permit when it is woken.
    struct Reenters(Arc<Semaphore>, AtomicUsize);
    impl Wake for Reenters {
        fn wake(self: Arc<Self>) {
            self.1.fetch_add(1, Ordering::SeqCst);
            let _ignored = self.0.try_acquire();
            assert!(poll_once(pin!(self.0.acquire())).is_pending() || self.0.is_closed());
        }
    }
    let _watchdog = watchdog();
    let pool = Arc::new(Semaphore::new(0));
    let reenters = Arc::new(Reenters(Arc::clone(&pool), AtomicUsize::new(0)));
    let waker = Waker::from(Arc::clone(&reenters));
    let mut waits = Box::pin(Arc::clone(&pool).acquire_owned());
    let mut cx = Context::from_waker(&waker);
    assert!(waits.as_mut().poll(&mut cx).is_pending());
    pool.add_permits(1);
    assert!(waits.as_mut().poll(&mut cx).is_ready());
    let mut waits = Box::pin(pool.acquire_many(5));
    assert!(waits.as_mut().poll(&mut cx).is_pending());
    pool.close();
    assert_eq!(reenters.1.load(Ordering::SeqCst), 2);
}

#[test]
fn a_closed_semaphore_refuses_those_who_wait_and_those_who_come() {
    block_on(async {
        let pool = Rc::new(Semaphore::new(1));
        let permit = pool.acquire().await.unwrap();
        let waiter = Rc::clone(&pool);
        let waiter = spawn(async move { waiter.acquire().await.is_err() });
        settle().await;
        pool.close();
        assert!(waiter.await.unwrap());
        assert!(pool.acquire().await.is_err());
        assert_eq!(pool.try_acquire().unwrap_err(), TryAcquireError::Closed);
        assert_eq!(
            pool.try_acquire_many(0).unwrap_err(),
            TryAcquireError::Closed
        );
        drop(permit);
        assert_eq!(pool.available_permits(), 1);
    });
}

#[test]
fn threads_never_hold_more_permits_than_there_are() {
    static POOL: Semaphore = Semaphore::new(3);
    const ROUNDS: usize = 2000;
    let (taken, _watchdog) = (AtomicUsize::new(0), watchdog());
    on_threads(|number| {
        let wanted = number % 3 + 1;
        let run = async {
            for round in 0..ROUNDS {
                if round % 7 == 0 {
                    // Given up at once, or after one poll.
                    let _given_up = POOL.acquire_many(wanted as u32).now_or_never();
                }
                let permit = POOL.acquire_many(wanted as u32).await.unwrap();
                assert!(taken.fetch_add(wanted, Ordering::SeqCst) + wanted <= 3);
                thread::yield_now();
                taken.fetch_sub(wanted, Ordering::SeqCst);
                drop(permit);
            }
        };
        match number {
            0 => block_on(run),
            _ => park_on(run),
        }
    });
    assert_eq!(POOL.available_permits(), 3);
    assert!(POOL.try_acquire_many(3).is_ok());
}

#[test]
fn permits_split_and_merge_and_belong_to_one_semaphore() {
    let pool = Arc::new(Semaphore::new(5));
    let mut permit = Arc::clone(&pool).try_acquire_many_owned(4).unwrap();
    let part = permit.split(3).unwrap();
    assert_eq!((permit.num_permits(), part.num_permits()), (1, 3));
    drop(part);
    assert_eq!(pool.available_permits(), 4);
    let more = Arc::clone(&pool).try_acquire_many_owned(2).unwrap();
    permit.merge(more);
    assert_eq!((permit.num_permits(), pool.available_permits()), (3, 2));
    let other = Arc::new(Semaphore::new(1));
    let foreign = Arc::clone(&other).try_acquire_owned().unwrap();
    let merged = catch_unwind(AssertUnwindSafe(|| permit.merge(foreign)));
    assert!(merged.is_err());
    assert_eq!(other.available_permits(), 1);
    drop(permit);
    assert_eq!(pool.available_permits(), 5);
}

#[test]
fn permits_that_are_too_many_for_one_value_are_not_merged() {
    let pool = Semaphore::new(1 << 33);
    let mut many = pool.try_acquire_many(u32::MAX).unwrap();
    let one = pool.try_acquire().unwrap();
    let merged = catch_unwind(AssertUnwindSafe(|| many.merge(one)));
    let message = merged.unwrap_err().downcast::<String>().unwrap();
    assert!(message.contains("keep both values"), "{message}");
    drop(many);
    assert_eq!(pool.available_permits(), 1 << 33, "nothing is lost");
}

#[test]
fn a_semaphore_has_a_largest_number_of_permits() {
    assert!(catch_unwind(|| Semaphore::new(Semaphore::MAX_PERMITS + 1)).is_err());
    let pool = Semaphore::new(Semaphore::MAX_PERMITS);
    assert!(catch_unwind(AssertUnwindSafe(|| pool.add_permits(1))).is_err());
    assert_eq!(pool.available_permits(), Semaphore::MAX_PERMITS);
    assert_eq!(pool.forget_permits(usize::MAX), Semaphore::MAX_PERMITS);
    pool.add_permits(1);
    assert_eq!(pool.available_permits(), 1);
}

#[test]
fn a_dump_names_the_holders_of_permits() {
    block_on(async {
        let pool = Rc::new(Semaphore::named("pool", 3));
        let holders: Vec<_> = (0..3)
            .map(|_| {
                let pool = Rc::clone(&pool);
                spawn(async move {
                    let _permit = pool.acquire().await;
                    pending::<()>().await;
                })
            })
            .collect();
        settle().await;
        let one = Rc::clone(&pool);
        let one = spawn(async move { one.acquire().await.is_ok() });
        let two = Rc::clone(&pool);
        let two = spawn(async move { two.acquire_many(2).await.is_ok() });
        let dump = dump().await;
        let ids: Vec<String> = holders.iter().map(|task| task.id().to_string()).collect();
        assert_says(&dump, " permit of \"pool\" (0 of 3 free): ");
        assert_says(&dump, " 2 permits of \"pool\" (0 of 3 free): ");
        let taken = format!("taken by tasks {}, the longest ", ids.join(", "));
        assert_says(&dump, &taken);
        holders.iter().for_each(|holder| holder.abort());
        assert!(one.await.unwrap() && two.await.unwrap());
    });
}

#[test]
fn a_dump_names_the_future_that_is_next_but_is_not_polled() {
    block_on(async {
        let pool = Rc::new(Semaphore::named("pool", 1));
        let permit = pool.acquire().await.unwrap();
        // A task that has begun to wait and then waits for something else.
        let stuck = Rc::clone(&pool);
        let stuck = spawn(async move {
            let mut waits = pin!(stuck.acquire());
            assert!(poll_once_here(waits.as_mut()).await.is_pending());
            pending::<()>().await;
        });
        settle().await;
        let waiter = Rc::clone(&pool);
        let waiter = spawn(async move { waiter.acquire().await.is_ok() });
        settle().await;
        drop(permit);
        let next = format!(
            "(1 of 1 free): next in line: a future of task {}",
            stuck.id()
        );
        assert_says(&dump().await, &next);
        stuck.abort();
        assert!(waiter.await.unwrap());
    });
}

/// Polls a future once in the task that awaits this.
async fn poll_once_here<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

/// A step of the property test.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Tries to take permits.
    Try(u32),
    /// Begins to take permits, and polls once.
    Begin(u32),
    /// Polls one of the requests that wait.
    Poll(usize),
    /// Drops one of the requests that wait.
    Cancel(usize),
    /// Drops some of the permits that were taken.
    Return(usize),
    /// Forgets some of the permits that were taken.
    Forget(usize),
    /// Adds permits.
    Add(usize),
    /// Takes free permits for ever.
    Remove(usize),
    /// Closes the semaphore.
    Close,
}

/// Returns a random step. Few close the semaphore.
fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..4_u32).prop_map(Step::Try),
        8 => (0..4_u32).prop_map(Step::Begin),
        8 => any::<usize>().prop_map(Step::Poll),
        4 => any::<usize>().prop_map(Step::Cancel),
        6 => any::<usize>().prop_map(Step::Return),
        1 => any::<usize>().prop_map(Step::Forget),
        2 => (0..3_usize).prop_map(Step::Add),
        1 => (0..3_usize).prop_map(Step::Remove),
        1 => Just(Step::Close),
    ]
}

/// A request that waits: the future, whether it has been woken since its last poll, and what it wants.
struct Request {
    /// The future.
    future: Pin<Box<sync::AcquireOwned>>,
    /// Its waker.
    woken: Arc<Flag>,
    /// How many permits it wants.
    wanted: usize,
}

proptest! {
    #[test]
    fn a_semaphore_behaves_like_a_number_and_a_list(steps in prop::collection::vec(step(), 0..80)) {
        let pool = Arc::new(Semaphore::new(2));
        // The oracle.
        let (mut free, mut closed) = (2, false);
        let mut queue: Vec<Request> = Vec::new();
        let mut taken: Vec<OwnedSemaphorePermit> = Vec::new();
        for step in steps {
            match step {
                Step::Try(wanted) => {
                    let permit = Arc::clone(&pool).try_acquire_many_owned(wanted);
                    let wanted = wanted as usize;
                    if closed {
                        prop_assert_eq!(permit.unwrap_err(), TryAcquireError::Closed);
                    } else if wanted == 0 || (queue.is_empty() && free >= wanted) {
                        free -= wanted;
                        taken.push(permit.unwrap());
                    } else {
                        prop_assert_eq!(permit.unwrap_err(), TryAcquireError::NoPermits);
                    }
                }
                Step::Begin(wanted) => {
                    let mut request = Request {
                        future: Box::pin(Arc::clone(&pool).acquire_many_owned(wanted)),
                        woken: Arc::default(),
                        wanted: wanted as usize,
                    };
                    let waker = Waker::from(Arc::clone(&request.woken));
                    let polled = request.future.as_mut().poll(&mut Context::from_waker(&waker));
                    let wanted = wanted as usize;
                    if closed {
                        prop_assert!(matches!(polled, Poll::Ready(Err(_))));
                    } else if wanted == 0 || (queue.is_empty() && free >= wanted) {
                        let Poll::Ready(Ok(permit)) = polled else {
                            return Err(TestCaseError::fail("there are enough"));
                        };
                        free -= wanted;
                        taken.push(permit);
                    } else {
                        prop_assert!(polled.is_pending());
                        queue.push(request);
                    }
                }
                Step::Poll(index) if !queue.is_empty() => {
                    let index = index % queue.len();
                    let request = &mut queue[index];
                    request.woken.0.store(false, Ordering::SeqCst);
                    let waker = Waker::from(Arc::clone(&request.woken));
                    let polled = request.future.as_mut().poll(&mut Context::from_waker(&waker));
                    if closed {
                        prop_assert!(matches!(polled, Poll::Ready(Err(_))));
                        queue.remove(index);
                    } else if index == 0 && free >= request.wanted {
                        let Poll::Ready(Ok(permit)) = polled else {
                            return Err(TestCaseError::fail("it is its turn"));
                        };
                        free -= request.wanted;
                        taken.push(permit);
                        queue.remove(0);
                    } else {
                        prop_assert!(polled.is_pending());
                    }
                }
                Step::Cancel(index) if !queue.is_empty() => {
                    queue.remove(index % queue.len());
                }
                Step::Return(index) if !taken.is_empty() => {
                    let permit = taken.swap_remove(index % taken.len());
                    free += permit.num_permits();
                }
                Step::Forget(index) if !taken.is_empty() => {
                    taken.swap_remove(index % taken.len()).forget();
                }
                Step::Add(permits) => {
                    pool.add_permits(permits);
                    free += permits;
                }
                Step::Remove(permits) => {
                    let removed = pool.forget_permits(permits);
                    prop_assert_eq!(removed, free.min(permits));
                    free -= removed;
                }
                Step::Close => {
                    pool.close();
                    closed = true;
                }
                Step::Poll(_) | Step::Cancel(_) | Step::Return(_) | Step::Forget(_) => {}
            }
            prop_assert_eq!(pool.available_permits(), free);
            prop_assert_eq!(pool.is_closed(), closed);
            // Whoever can go on has been woken.
            let is_woken = |request: &Request| request.woken.0.load(Ordering::SeqCst);
            if closed {
                prop_assert!(queue.iter().all(is_woken));
            } else if let Some(first) = queue.first() && free >= first.wanted {
                prop_assert!(is_woken(first));
            }
        }
    }
}

// Barrier.

#[test]
fn a_barrier_opens_when_the_last_has_come_and_serves_again() {
    static START: Barrier = Barrier::new(4);
    let (leaders, before) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let _watchdog = watchdog();
    on_threads(|number| {
        let rounds = async {
            for round in 1..=50 {
                before.fetch_add(1, Ordering::SeqCst);
                if START.wait().await.is_leader() {
                    leaders.fetch_add(1, Ordering::SeqCst);
                }
                assert!(before.load(Ordering::SeqCst) >= 4 * round);
            }
        };
        match number {
            0 => block_on(rounds),
            _ => park_on(rounds),
        }
    });
    assert_eq!(leaders.into_inner(), 50);
}

#[test]
fn a_dump_counts_who_has_come_to_a_barrier() {
    block_on(async {
        let start = Rc::new(Barrier::named("start", 3));
        let come = || {
            let start = Rc::clone(&start);
            spawn(async move { start.wait().await.is_leader() })
        };
        let first = come();
        assert_says(&dump().await, "1 of 3 has come");
        let second = come();
        let dump_of_two = dump().await;
        assert_says(&dump_of_two, "barrier \"start\" (made at ");
        assert_says(&dump_of_two, "2 of 3 have come");
        assert!(come().await.unwrap());
        assert!(!first.await.unwrap() && !second.await.unwrap());
        // The next round begins with nobody.
        let next = come();
        assert_says(&dump().await, "1 of 3 has come");
        // Aborting a task that waits does not take its arrival back, as documented.
        next.abort();
        let next = come();
        assert_says(&dump().await, "2 of 3 have come");
        assert!(come().await.unwrap());
        assert!(!next.await.unwrap());
    });
}

#[test]
fn nobody_waits_at_a_barrier_for_none() {
    let barrier = Barrier::new(0);
    assert!(barrier.wait().now_or_never().unwrap().is_leader());
}

// OnceCell.

#[test]
fn a_value_is_made_once_however_many_ask() {
    static CELL: OnceCell<usize> = OnceCell::new();
    let (made, _watchdog) = (AtomicUsize::new(0), watchdog());
    on_threads(|number| {
        let ask = async {
            let make = async || {
                yield_to_others().await;
                made.fetch_add(1, Ordering::SeqCst) + 7
            };
            assert_eq!(*CELL.get_or_init(make).await, 7);
        };
        match number {
            0 => block_on(ask),
            _ => park_on(ask),
        }
    });
    assert_eq!((made.into_inner(), CELL.get()), (1, Some(&7)));
}

/// Returns `Pending` once, under any executor.
async fn yield_to_others() {
    let mut has_yielded = false;
    poll_fn(|cx| {
        if has_yielded {
            return Poll::Ready(());
        }
        has_yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[test]
fn if_making_a_value_ends_early_another_one_makes_it() {
    block_on(async {
        let cell = Rc::new(OnceCell::named("config"));
        let stuck = Rc::clone(&cell);
        let stuck = spawn(async move { *stuck.get_or_init(pending::<i32>).await });
        settle().await;
        let other = Rc::clone(&cell);
        let other = spawn(async move { *other.get_or_init(async || 7).await });
        let dump = dump().await;
        assert_says(&dump, "value of \"config\" (made at ");
        assert_says(&dump, &format!("being made by task {}, begun ", stuck.id()));
        assert_eq!(cell.set(8), Err(SetError::InitializingError(8)));
        stuck.abort();
        assert_eq!(other.await.unwrap(), 7);
        assert_eq!(cell.set(8), Err(SetError::AlreadyInitializedError(8)));
    });
}

#[test]
fn an_error_or_a_panic_leaves_the_cell_empty() {
    block_on(async {
        let cell = OnceCell::new();
        assert_eq!(
            cell.get_or_try_init(async || Err::<i32, _>("no")).await,
            Err("no")
        );
        assert!(!cell.initialized());
        let panics = AssertUnwindSafe(cell.get_or_init(async || panic!("on purpose")));
        assert!(panics.catch_unwind().await.is_err());
        assert!(!cell.initialized());
        assert_eq!(*cell.get_or_init(async || 7).await, 7);
        assert_eq!(cell.clone(), cell);
    });
}

// Circles.

#[test]
fn a_dump_finds_tasks_that_wait_for_one_another_in_a_circle() {
    block_on(async {
        // A reader that reads again behind a writer.
        let lock = Rc::new(RwLock::new(7));
        let reader = Rc::clone(&lock);
        let reader = spawn(async move {
            let _first = reader.read().await;
            settle().await;
            drop(reader.read().await);
        });
        yield_now().await;
        let writer = spawn(async move { drop(lock.write().await) });
        settle().await;
        settle().await;
        let ids = |tasks: &[&glassfrog::task::JoinHandle<()>]| {
            let ids: Vec<u64> = tasks.iter().map(|task| u64::from(task.id())).collect();
            BTreeSet::from_iter(ids)
        };
        let circles = || -> Vec<BTreeSet<u64>> {
            let dump = task::dump();
            let circles = dump.circles();
            let ids = circles
                .iter()
                .map(|circle| circle.tasks().iter().map(|task| task.id()));
            ids.map(Iterator::collect).collect()
        };
        assert_eq!(circles(), [ids(&[&reader, &writer])]);
        reader.abort();
        writer.await.unwrap();

        // Two tasks that hold one of two permits and want both.
        let pool = Rc::new(Semaphore::new(2));
        let [first, second] = [(); 2].map(|()| {
            let pool = Rc::clone(&pool);
            spawn(async move {
                let _one = pool.acquire().await;
                yield_now().await;
                drop(pool.acquire().await);
            })
        });
        settle().await;
        assert_eq!(circles(), [ids(&[&first, &second])]);
        first.abort();
        second.await.unwrap();

        // A value that needs itself.
        let cell = Rc::new(OnceCell::new());
        let maker = spawn(async move {
            cell.get_or_init(async || *cell.get_or_init(async || 7).await + 1)
                .await;
        });
        settle().await;
        assert_eq!(circles(), [ids(&[&maker])]);
        maker.abort();
    });
}

// What is held.

/// Returns the text of what is held under a name, if anything is.
fn held(name: &str) -> Option<String> {
    let held = sync::held();
    let mut things = held.iter().filter(|thing| thing.name() == Some(name));
    let thing = things.next().map(ToString::to_string);
    assert!(things.next().is_none(), "one line per thing: {held}");
    thing
}

#[test]
fn what_is_held_is_listed_as_long_as_it_is_held() {
    let mutex = Arc::new(Mutex::named("held mutex", 7));
    assert_eq!(held("held mutex"), None);
    let guard = Arc::clone(&mutex).try_lock_owned().unwrap();
    let text = held("held mutex").unwrap();
    assert!(text.starts_with("lock \"held mutex\" (made at "), "{text}");
    assert!(text.contains("taken by thread \""), "{text}");
    assert!(
        text.contains("what_is_held_is_listed_as_long_as_it_is_held"),
        "{text}"
    );
    // From another thread too.
    thread::scope(|scope| {
        scope.spawn(|| assert_eq!(held("held mutex"), Some(text.clone())));
    });
    drop(guard);
    assert_eq!(held("held mutex"), None);

    let lock = RwLock::named("held rwlock", 7);
    let writer = lock.try_write().unwrap();
    assert!(
        held("held rwlock")
            .unwrap()
            .contains("taken to write by thread")
    );
    let first = writer.downgrade();
    assert!(
        held("held rwlock")
            .unwrap()
            .contains("taken to read by thread")
    );
    let more = [(); 5].map(|()| lock.try_read().unwrap());
    assert!(held("held rwlock").unwrap().ends_with(" and 2 more"));
    drop(first);
    drop(more);
    assert_eq!(held("held rwlock"), None);

    let pool = Semaphore::named("held pool", 3);
    let permit = pool.try_acquire_many(2).unwrap();
    assert!(
        held("held pool")
            .unwrap()
            .contains("permits taken by thread")
    );
    permit.forget();
    assert_eq!(held("held pool"), None);
}

#[test]
fn a_holder_on_a_thread_without_a_name_is_named_by_the_id_of_the_thread() {
    let held = thread::spawn(|| {
        let mutex = Mutex::named("on an unnamed thread", 7);
        let _guard = mutex.try_lock().unwrap();
        let id = thread::current().id();
        (held("on an unnamed thread").unwrap(), id)
    });
    let (held, id) = held.join().unwrap();
    let text = format!("taken by an unnamed thread, {id:?} at ");
    assert!(held.contains(&text), "{held}");
}

#[test]
fn a_holder_in_a_task_is_named_and_elsewhere_with_its_runtime() {
    block_on(async {
        let mutex = Rc::new(Mutex::named("held in a task", 7));
        let holder = Rc::clone(&mutex);
        let task = task::Builder::new().name("keeper").spawn(async move {
            let _guard = holder.lock().await;
            pending::<()>().await;
        });
        settle().await;
        let text = held("held in a task").unwrap();
        let name = format!("taken by task {} \"keeper\" ", task.id());
        assert!(text.contains(&name) && text.contains(" ago at "), "{text}");
        let elsewhere = spawn_blocking(|| held("held in a task").unwrap());
        let text = elsewhere.await.unwrap();
        let name = format!("taken by task {} \"keeper\" of runtime ", task.id());
        assert!(text.contains(&name) && text.contains(" ago at "), "{text}");
        task.abort();
        settle().await;
        assert_eq!(held("held in a task"), None);
    });
}

#[test]
fn a_holder_that_is_seen_while_others_come_and_go_is_no_mixture_of_two() {
    const SAMPLES: usize = 60_000;
    let _watchdog = watchdog();
    let (lock, mutex) = (
        Arc::new(RwLock::named("mixed", 0)),
        Arc::new(Mutex::named("mixed", 0)),
    );
    let stop = Arc::new(AtomicBool::new(false));
    let threads = [0, 7].map(|tasks| {
        let (lock, mutex, stop) = (Arc::clone(&lock), Arc::clone(&mutex), Arc::clone(&stop));
        thread::spawn(move || {
            block_on(async move {
                // The tasks that take the locks differ in their ids, and their runtimes in their numbers.
                for _ in 0..tasks {
                    spawn(async {});
                }
                let task = spawn(async move {
                    while !stop.load(Ordering::SeqCst) {
                        for _ in 0..100 {
                            // Each task has places of its own.
                            if tasks == 0 {
                                drop(lock.read().await);
                                drop(mutex.try_lock());
                            } else {
                                drop(mutex.try_lock());
                                drop(lock.read().await);
                            }
                        }
                    }
                });
                task.await.unwrap();
            });
        })
    });
    let mut places = BTreeSet::new();
    for _ in 0..SAMPLES {
        for thing in &sync::held() {
            if thing.name() == Some("mixed") {
                let holders = thing.holders().iter();
                places.extend(holders.map(|holder| {
                    let place = holder.place().unwrap();
                    (place.line(), place.column(), String::from(holder.name()))
                }));
            }
        }
    }
    stop.store(true, Ordering::SeqCst);
    for thread in threads {
        thread.join().unwrap();
    }
    // Each place belongs to one task.
    assert!(places.len() <= 4, "{places:?}");
}

#[test]
fn a_dropped_primitive_is_no_longer_listed() {
    let mutex = Mutex::named("leaked guard", 7);
    std::mem::forget(mutex.try_lock().unwrap());
    assert!(held("leaked guard").is_some());
    drop(mutex);
    assert_eq!(held("leaked guard"), None);
}
