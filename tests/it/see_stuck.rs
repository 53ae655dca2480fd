//! Programs that are stuck or slow, as people report them, and what a dump says about each: what the stuck task waits
//! for, where the program waits, and who holds what it waits for.
//!
//! A program marks the places that its dump must name with comments: `place("reads")` is the line that ends in
//! `// here: reads`.

use crate::support::{block_on, park_on, settle, watchdog};
use crate::task_probes::{logged, record_log};
use futures::FutureExt as _;
use futures::future::{Either, join, pending, select};
use futures::stream::{FuturesUnordered, StreamExt as _};
use glassfrog::dump::Dump;
#[cfg(target_os = "linux")]
use glassfrog::net::UnixStream;
use glassfrog::net::{TcpListener, TcpStream};
use glassfrog::sync::{
    Barrier, CancellationToken, Mutex, Notify, OnceCell, RwLock, Semaphore, broadcast, mpsc,
    oneshot, watch,
};
use glassfrog::task::{self, JoinHandle, JoinSet, scope, spawn_blocking, waiting_for, yield_now};
use glassfrog::time::{sleep, timeout};
use glassfrog::{Handle, Runtime, Workers};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::mem;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// A time that no test waits for.
const LONG: Duration = Duration::from_secs(3600);

/// Spawns a task with a name.
#[track_caller]
fn spawn<F>(name: &'static str, future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
{
    task::Builder::new().name(name).spawn(future)
}

/// Returns the place that a comment marks.
fn place(mark: &str) -> String {
    let mark = format!("// here: {mark}");
    let lines = include_str!("see_stuck.rs").lines();
    let mut lines = lines
        .enumerate()
        .filter(|(_, line)| line.trim_end().ends_with(&mark));
    let (line, _) = lines.next().expect("a line bears the mark");
    assert!(lines.next().is_none(), "several lines end in {mark:?}");
    format!("{}:{}", file!(), line + 1)
}

/// What somebody sees who asks a stuck program.
struct Seen(Dump);

/// Lets all tasks run until they are stuck, and takes a dump.
async fn look() -> Seen {
    settle().await;
    let seen = Seen(task::dump());
    // For those who run a test with `--nocapture`.
    println!("{}{}", seen.0, seen.circles());
    seen
}

impl Seen {
    /// Returns the waits of a task, a line each.
    fn waits(&self, task: &str) -> String {
        let task = match task {
            "main" => &self.0.tasks()[0],
            name => self.0.find_by_name(name).expect("the task is in the dump"),
        };
        let waits = task.waits().iter().map(|wait| format!("{wait}\n"));
        waits.collect()
    }

    /// Checks that the waits of a task contain these texts, in this order.
    #[track_caller]
    fn says(&self, task: &str, texts: &[&str]) -> &Seen {
        let waits = self.waits(task);
        let mut rest = &*waits;
        for text in texts {
            let Some(at) = rest.find(text) else {
                panic!(
                    "{text:?} is missing from the waits of {task:?}:\n{waits}\n{}",
                    self.0
                );
            };
            rest = &rest[at + text.len()..];
        }
        self
    }

    /// Returns the circles, a line each.
    fn circles(&self) -> String {
        let circles = self.0.circles();
        circles.iter().map(|circle| format!("{circle}\n")).collect()
    }
}

// Locks.

#[test]
fn a_lock_is_held_across_a_sleep() {
    block_on(async {
        let accounts = Rc::new(Mutex::named("accounts", 0));
        let theirs = Rc::clone(&accounts);
        spawn("auditor", async move {
            let _guard = theirs.lock().await; // here: auditor
            sleep(LONG).await;
        });
        spawn("teller", async move { *accounts.lock().await += 1 }); // here: teller
        look().await.says(
            "teller",
            &[
                "lock \"accounts\" (made at ",
                "), taken by task 1 \"auditor\" ",
                " ago at ",
                &place("auditor"),
                "; waiting at ",
                &place("teller"),
            ],
        );
    });
}

#[test]
fn a_lock_is_held_while_a_silent_peer_is_read() {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await;
        let connection = Rc::new(Mutex::new(stream.unwrap()));
        let theirs = Rc::clone(&connection);
        spawn("first", async move {
            let stream = theirs.lock().await; // here: first request
            stream.read(&mut [0; 1]).await
        });
        spawn("second", async move { drop(connection.lock().await) });
        let seen = look().await;
        seen.says(
            "second",
            &[
                "lock made at ",
                ", taken by task 1 \"first\" ",
                &place("first request"),
            ],
        );
        seen.says("first", &["read tcp "]);
    });
}

/// Spawns a task that holds a lock until the notification.
fn hold_until(lock: &Rc<Mutex<i32>>, release: &Rc<Notify>) {
    let (lock, release) = (Rc::clone(lock), Rc::clone(release));
    spawn("background", async move {
        let _guard = lock.lock().await;
        release.notified().await;
    });
}

#[test]
fn a_future_that_is_next_for_a_lock_is_not_polled_any_more() {
    // "Futurelock": the branch of a `select` that lost keeps its place in the queue of the lock.
    block_on(async {
        let (lock, release) = (Rc::new(Mutex::named("state", 0)), Rc::new(Notify::new()));
        hold_until(&lock, &release);
        spawn("server", async move {
            let first = pin!(lock.lock()); // here: first future
            let other = pin!(yield_now());
            let lost = select(first, other).await;
            assert!(matches!(lost, Either::Right(_)));
            drop(lock.lock().await); // here: second future
        });
        settle().await;
        release.notify_one();
        look().await.says(
            "server",
            &[
                "lock \"state\" (made at ",
                "), free; next for this lock: a future of task 2 \"server\", not polled since its poll ",
                " of ",
                &place("first future"),
                "; waiting at ",
                &place("second future"),
            ],
        );
    });
}

#[test]
fn a_buffer_of_futures_is_not_polled_while_its_items_are_handled() {
    block_on(async {
        let (cache, release) = (Rc::new(Mutex::named("cache", 0)), Rc::new(Notify::new()));
        hold_until(&cache, &release);
        spawn("crawler", async move {
            let fetch = async |page: i32| {
                if page > 0 {
                    *cache.lock().await += page; // here: fetches
                } else {
                    yield_now().await;
                }
            };
            let mut pages: FuturesUnordered<_> = (0..3).map(&fetch).collect();
            while pages.next().await.is_some() {
                *cache.lock().await += 1; // here: handles
            }
        });
        settle().await;
        release.notify_one();
        look().await.says(
            "crawler",
            &[
                "next for this lock: a future of task 2 \"crawler\", not polled since its poll ",
                &place("fetches"),
                &place("handles"),
            ],
        );
    });
}

#[test]
fn a_task_locks_twice() {
    block_on(async {
        spawn("recursive", async {
            let config = Mutex::named("config", 0);
            let _outer = config.lock().await; // here: outer
            drop(config.lock().await); // here: inner
        });
        let seen = look().await;
        seen.says(
            "recursive",
            &[
                "lock \"config\" (made at ",
                "taken by task 1 \"recursive\" (this task) ",
                &place("outer"),
                "waiting at ",
                &place("inner"),
            ],
        );
        assert!(
            seen.circles()
                .starts_with("\"recursive\" waits for itself (lock \"config\"")
        );
    });
}

#[test]
fn two_tasks_take_two_locks_in_opposite_orders() {
    block_on(async {
        let locks = Rc::new((Mutex::named("from", 0), Mutex::named("to", 0)));
        let theirs = Rc::clone(&locks);
        spawn("pay", async move {
            let _from = locks.0.lock().await; // here: pay takes from
            yield_now().await;
            drop(locks.1.lock().await);
        });
        spawn("refund", async move {
            let _to = theirs.1.lock().await; // here: refund takes to
            yield_now().await;
            drop(theirs.0.lock().await);
        });
        let seen = look().await;
        seen.says(
            "pay",
            &[
                "lock \"to\" ",
                "taken by task 2 \"refund\" ",
                &place("refund takes to"),
            ],
        );
        seen.says(
            "refund",
            &[
                "lock \"from\" ",
                "taken by task 1 \"pay\" ",
                &place("pay takes from"),
            ],
        );
        let circles = seen.circles();
        assert!(
            circles.starts_with("\"pay\" waits for \"refund\" (lock \"to\" (made at "),
            "{circles}"
        );
        assert!(
            circles.contains(", which waits for \"pay\" (lock \"from\" (made at "),
            "{circles}"
        );
    });
}

#[test]
fn a_guard_was_moved_to_another_task() {
    block_on(async {
        let lock = Arc::new(Mutex::named("session", 0));
        let guard = Arc::clone(&lock).lock_owned().await; // here: main takes
        spawn("keeper", async move {
            let _guard = guard;
            pending::<()>().await;
        });
        spawn("client", async move { drop(lock.lock().await) });
        let seen = look().await;
        seen.says(
            "client",
            &["lock \"session\" ", "taken by main ", &place("main takes")],
        );
        assert!(seen.circles().is_empty());
    });
}

#[test]
fn a_guard_was_leaked_by_a_task_that_has_ended() {
    block_on(async {
        let lock = Arc::new(Mutex::named("table", 0));
        let theirs = Arc::clone(&lock);
        let leaker = spawn("leaker", async move {
            mem::forget(theirs.lock().await); // here: leaker
        });
        leaker.await.unwrap();
        spawn("client", async move { drop(lock.lock().await) });
        look().await.says(
            "client",
            &[
                "lock \"table\" ",
                "taken by task 1 (which has ended) ",
                &place("leaker"),
            ],
        );
    });
}

#[test]
fn a_thread_holds_a_lock() {
    let _watchdog = watchdog();
    let lock = Arc::new(Mutex::named("settings", 0));
    let theirs = Arc::clone(&lock);
    let (locked, is_locked) = std::sync::mpsc::channel();
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let thread = thread::Builder::new().name("importer".into());
    let thread = thread.spawn(move || {
        let _guard = theirs.blocking_lock(); // here: importer
        locked.send(()).unwrap();
        let _ = ended.recv();
    });
    is_locked.recv().unwrap();
    glassfrog::block_on(async {
        spawn("client", async move { drop(lock.lock().await) });
        look().await.says(
            "client",
            &[
                "lock \"settings\" ",
                "taken by thread \"importer\"",
                " at ",
                &place("importer"),
            ],
        );
    });
    drop(end);
    thread.unwrap().join().unwrap();
}

#[test]
fn a_blocking_job_holds_a_lock() {
    block_on(async {
        let lock = Arc::new(Mutex::named("index", 0));
        let theirs = Arc::clone(&lock);
        let (locked, is_locked) = oneshot::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let job = spawn_blocking(move || {
            let _guard = theirs.blocking_lock(); // here: job
            locked.send(()).unwrap();
            let _ = ended.recv();
        });
        is_locked.await.unwrap();
        spawn("client", async move { drop(lock.lock().await) });
        look().await.says(
            "client",
            &[
                "lock \"index\" ",
                "taken by thread \"glassfrog-job-",
                " at ",
                &place("job"),
            ],
        );
        drop(end);
        job.await.unwrap();
    });
}

#[test]
fn a_task_of_another_runtime_holds_a_lock() {
    let _watchdog = watchdog();
    let lock = Arc::new(Mutex::named("shared", 0));
    let theirs = Arc::clone(&lock);
    let (locked, is_locked) = std::sync::mpsc::channel();
    let (end, ended) = oneshot::channel::<()>();
    let thread = thread::spawn(move || {
        glassfrog::block_on(async move {
            let holder = spawn("holder", async move {
                let _guard = theirs.lock().await; // here: holder
                locked.send(()).unwrap();
                let _ = ended.await;
            });
            holder.await.unwrap();
        });
    });
    is_locked.recv().unwrap();
    glassfrog::block_on(async {
        spawn("client", async move { drop(lock.lock().await) });
        look().await.says(
            "client",
            &[
                "lock \"shared\" ",
                "taken by task 1 \"holder\" of runtime ",
                " ago at ",
                &place("holder"),
            ],
        );
    });
    drop(end);
    thread.join().unwrap();
}

#[test]
fn a_foreign_executor_holds_a_lock() {
    let lock = Arc::new(Mutex::named("foreign", 0));
    let guard = park_on(Arc::clone(&lock).lock_owned()); // here: foreign
    block_on(async {
        spawn("client", async move { drop(lock.lock().await) });
        look().await.says(
            "client",
            &[
                "lock \"foreign\" ",
                "taken by thread \"see_stuck::a_foreign_executor_holds_a_lock\"",
                &place("foreign"),
            ],
        );
    });
    drop(guard);
}

#[test]
fn many_tasks_wait_for_one_lock() {
    block_on(async {
        let lock = Rc::new(Mutex::named("database", 0));
        let theirs = Rc::clone(&lock);
        spawn("migration", async move {
            let _guard = theirs.lock().await; // here: migration
            pending::<()>().await;
        });
        for _ in 0..100 {
            let lock = Rc::clone(&lock);
            glassfrog::spawn(async move { drop(lock.lock().await) });
        }
        let seen = look().await;
        let text = seen.0.to_string();
        let line = text
            .lines()
            .find(|line| line.contains("100 ×"))
            .expect("one line for all");
        assert!(line.contains("taken by task 1 \"migration\" "), "{line}");
        assert!(line.contains(&place("migration")), "{line}");
        assert!(text.lines().count() <= 5, "{text}");
    });
}

#[test]
fn a_reader_keeps_a_writer_waiting_and_the_writer_all_later_readers() {
    block_on(async {
        let config = Rc::new(RwLock::named("config", 0));
        let (first, second) = (Rc::clone(&config), Rc::clone(&config));
        spawn("slow reader", async move {
            let _guard = first.read().await; // here: slow reader
            sleep(LONG).await;
        });
        spawn("writer", async move { *second.write().await += 1 }); // here: writer
        spawn("reader", async move { drop(config.read().await) });
        let seen = look().await;
        seen.says(
            "writer",
            &[
                "rwlock \"config\" (made at ",
                "taken to read by task 1 \"slow reader\" ",
                &place("slow reader"),
            ],
        );
        seen.says(
            "reader",
            &[
                "rwlock \"config\" ",
                "behind a writer that waits: task 2 \"writer\"",
                &place("writer"),
            ],
        );
    });
}

#[test]
fn a_task_reads_again_behind_a_writer() {
    block_on(async {
        let config = Rc::new(RwLock::named("config", 0));
        let theirs = Rc::clone(&config);
        spawn("reader", async move {
            let _outer = theirs.read().await; // here: outer read
            yield_now().await;
            drop(theirs.read().await);
        });
        spawn("writer", async move { *config.write().await += 1 });
        let seen = look().await;
        seen.says(
            "reader",
            &[
                "rwlock \"config\" ",
                "taken to read by task 1 \"reader\" (this task) ",
                &place("outer read"),
                "behind a writer that waits: task 2 \"writer\"",
            ],
        );
        let circles = seen.circles();
        assert!(
            circles.contains("\"reader\" waits for \"writer\" (rwlock \"config\""),
            "{circles}"
        );
    });
}

#[test]
fn a_task_writes_while_it_reads() {
    block_on(async {
        spawn("upgrade", async {
            let cache = RwLock::named("cache", 0);
            let _read = cache.read().await; // here: upgrade reads
            *cache.write().await += 1;
        });
        let seen = look().await;
        seen.says(
            "upgrade",
            &[
                "rwlock \"cache\" ",
                "taken to read by task 1 \"upgrade\" (this task) ",
                &place("upgrade reads"),
            ],
        );
        assert!(
            seen.circles()
                .starts_with("\"upgrade\" waits for itself (rwlock \"cache\"")
        );
    });
}

// Permits.

#[test]
fn stuck_tasks_hold_all_permits() {
    block_on(async {
        let pool = Rc::new(Semaphore::named("pool", 3));
        for _ in 0..3 {
            let pool = Rc::clone(&pool);
            glassfrog::spawn(async move {
                let _permit = pool.acquire().await; // here: stuck permit
                pending::<()>().await;
            });
        }
        spawn("request", async move { drop(pool.acquire().await) }); // here: request
        look().await.says(
            "request",
            &[
                "permit of \"pool\" (0 of 3 free)",
                ": taken by tasks 1, 2, 3, the longest ",
                " ago at ",
                &place("stuck permit"),
                "; waiting at ",
                &place("request"),
            ],
        );
    });
}

#[test]
fn permits_were_leaked() {
    block_on(async {
        let pool = Arc::new(Semaphore::named("connections", 2));
        for _ in 0..2 {
            let pool = Arc::clone(&pool);
            let leaker = spawn("leaker", async move {
                mem::forget(pool.acquire_owned().await.unwrap()); // here: leaked permit
            });
            leaker.await.unwrap();
        }
        spawn("request", async move { drop(pool.acquire().await) });
        look().await.says(
            "request",
            &[
                "permit of \"connections\" (0 of 2 free",
                ": taken by tasks 1 (which has ended), 2 (which has ended), the longest ",
                &place("leaked permit"),
            ],
        );
    });
}

#[test]
fn permits_were_forgotten() {
    block_on(async {
        let pool = Arc::new(Semaphore::named("tickets", 1));
        pool.acquire().await.unwrap().forget(); // here: forgets
        spawn("visitor", async move { drop(pool.acquire().await) });
        look().await.says(
            "visitor",
            &[
                "permit of \"tickets\" (0 of 0 free",
                "permits were forgotten, last by main ",
                &place("forgets"),
            ],
        );
    });
}

#[test]
fn more_permits_are_wanted_than_there_are() {
    block_on(async {
        let pool = Rc::new(Semaphore::named("memory", 4));
        spawn("greedy", async move { drop(pool.acquire_many(5).await) });
        look().await.says(
            "greedy",
            &[
                "5 permits of \"memory\" (4 of 4 free",
                "): more than there are",
            ],
        );
    });
}

#[test]
fn a_large_request_keeps_small_ones_waiting() {
    block_on(async {
        let pool = Rc::new(Semaphore::named("memory", 4));
        let (large, small) = (Rc::clone(&pool), Rc::clone(&pool));
        spawn("holder", async move {
            let _permit = pool.acquire().await; // here: small holder
            pending::<()>().await;
        });
        spawn("large", async move { drop(large.acquire_many(4).await) }); // here: large request
        spawn("small", async move { drop(small.acquire().await) });
        let seen = look().await;
        seen.says(
            "large",
            &[
                "4 permits of \"memory\" (3 of 4 free",
                "taken by task 1 \"holder\" ",
                &place("small holder"),
            ],
        );
        seen.says(
            "small",
            &[
                "permit of \"memory\" (3 of 4 free",
                "behind task 2 \"large\", which waits for 4",
                &place("large request"),
            ],
        );
    });
}

#[test]
fn a_request_for_a_permit_that_is_next_is_not_polled_any_more() {
    block_on(async {
        let pool = Rc::new(Semaphore::named("slots", 1));
        let permit = pool.acquire().await.unwrap();
        let theirs = Rc::clone(&pool);
        spawn("server", async move {
            let first = pin!(theirs.acquire()); // here: first permit
            let other = pin!(yield_now());
            let lost = select(first, other).await;
            assert!(matches!(lost, Either::Right(_)));
            drop(theirs.acquire().await); // here: second permit
        });
        settle().await;
        drop(permit);
        look().await.says(
            "server",
            &[
                "permit of \"slots\" (1 of 1 free): next in line: a future of task 1 \"server\", not polled since its poll ",
                &place("first permit"),
                &place("second permit"),
            ],
        );
    });
}

#[test]
fn a_task_of_a_worker_holds_a_lock() {
    let _watchdog = watchdog();
    let lock = Arc::new(Mutex::named("catalogue", 0));
    let theirs = Arc::clone(&lock);
    let (locked, is_locked) = std::sync::mpsc::channel();
    let end = CancellationToken::new();
    let ended = end.clone();
    let workers = thread::spawn(move || {
        Workers::new(1).unwrap().run(move |_| {
            let (lock, locked, ended) = (Arc::clone(&theirs), locked.clone(), ended.clone());
            async move {
                let _guard = lock.lock().await; // here: worker
                locked.send(()).unwrap();
                ended.cancelled().await;
            }
        })
    });
    is_locked.recv().unwrap();
    glassfrog::block_on(async {
        spawn("client", async move { drop(lock.lock().await) });
        look().await.says(
            "client",
            &[
                "lock \"catalogue\" ",
                " of worker 0 ",
                " ago at ",
                &place("worker"),
            ],
        );
    });
    end.cancel();
    workers.join().unwrap();
}

#[test]
fn a_lock_is_held_across_a_wait_and_nobody_wants_it() {
    block_on(async {
        let lock = Rc::new(Mutex::named("quiet", 0));
        spawn("holder", async move {
            let _guard = lock.lock().await; // here: quiet holder
            pending::<()>().await;
        });
        settle().await;
        let held = glassfrog::sync::held().to_string();
        let line = held
            .lines()
            .find(|line| line.contains("\"quiet\""))
            .unwrap();
        assert!(line.starts_with("lock \"quiet\" (made at "), "{line}");
        assert!(line.contains("), taken by task 1 \"holder\" "), "{line}");
        assert!(line.ends_with(&place("quiet holder")), "{line}");
    });
}

// Channels.

#[test]
fn a_channel_is_full_and_its_receiver_waits_for_a_lock_of_the_sender() {
    block_on(async {
        let state = Rc::new(Mutex::named("state", 0));
        let theirs = Rc::clone(&state);
        let (sender, mut receiver) = mpsc::channel_named("jobs", 1);
        spawn("producer", async move {
            let _guard = state.lock().await; // here: producer locks
            for job in 0..3 {
                sender.send(job).await.unwrap(); // here: producer sends
            }
        });
        spawn("consumer", async move {
            while let Some(job) = receiver.recv().await {
                *theirs.lock().await += job; // here: consumer locks
            }
        });
        let seen = look().await;
        seen.says(
            "producer",
            &[
                "send on full \"jobs\" (1 of 1)",
                ": its receiver was last used by task 2 \"consumer\" (",
                "), which waits for lock \"state\"",
                &place("consumer locks"),
                "; waiting at ",
                &place("producer sends"),
            ],
        );
        seen.says(
            "consumer",
            &[
                "lock \"state\" ",
                "taken by task 1 \"producer\" ",
                &place("producer locks"),
            ],
        );
        let circles = seen.circles();
        assert!(
            circles.contains("\"producer\" waits for \"consumer\" (send on full \"jobs\""),
            "{circles}"
        );
    });
}

#[test]
fn a_channel_is_full_and_its_receiver_sleeps() {
    block_on(async {
        let (sender, mut receiver) = mpsc::channel_named("events", 2);
        spawn(
            "source",
            async move { while sender.send(()).await.is_ok() {} },
        );
        spawn("sink", async move {
            while receiver.recv().await.is_some() {
                sleep(LONG).await; // here: sink
            }
        });
        look().await.says(
            "source",
            &[
                "send on full \"events\" (2 of 2",
                "its receiver was last used by task 2 \"sink\" (",
                "), which waits for sleep, ",
                &place("sink"),
            ],
        );
    });
}

#[test]
fn a_task_sends_to_itself() {
    block_on(async {
        spawn("loop", async {
            let (sender, mut receiver) = mpsc::channel_named("todo", 1);
            sender.send(1).await.unwrap();
            while let Some(job) = receiver.recv().await {
                for _ in 0..2 {
                    sender.send(job).await.unwrap(); // here: to itself
                }
            }
        });
        let seen = look().await;
        seen.says(
            "loop",
            &[
                "send on full \"todo\" (1 of 1",
                "its receiver was last used by task 1 \"loop\" (this task, ",
            ],
        );
        assert!(
            seen.circles()
                .starts_with("\"loop\" waits for itself (send on full \"todo\"")
        );
    });
}

#[test]
fn a_send_that_is_next_is_not_polled_any_more() {
    block_on(async {
        let (sender, mut receiver) = mpsc::channel_named("requests", 1);
        let (go, is_allowed) = oneshot::channel::<()>();
        spawn("receiver", async move {
            is_allowed.await.unwrap();
            while receiver.recv().await.is_some() {}
        });
        sender.send(1).await.unwrap();
        let theirs = sender.clone();
        spawn("undecided", async move {
            let first = pin!(theirs.send(2)); // here: first send
            let other = pin!(yield_now());
            let lost = select(first, other).await;
            assert!(matches!(lost, Either::Right(_)));
            pending::<()>().await;
        });
        settle().await;
        spawn("client", async move { sender.send(3).await }); // here: second send
        settle().await;
        go.send(()).unwrap();
        let seen = look().await;
        seen.says(
            "client",
            &[
                "send on \"requests\" (0 of 1): next in line: a future of task 2 \"undecided\", not polled since its poll ",
                &place("first send"),
                &place("second send"),
            ],
        );
        assert!(seen.circles().is_empty());
    });
}

#[test]
fn nobody_sends_to_an_unbounded_channel() {
    block_on(async {
        let (sender, mut receiver) = mpsc::unbounded_channel_named::<u32>("commands"); // here: commands
        spawn("actor", async move { receiver.recv().await });
        look().await.says(
            "actor",
            &[
                "recv on \"commands\": 1 sender left, made by main at ",
                &place("commands"),
            ],
        );
        drop(sender);
    });
}

#[test]
fn a_sender_waits_for_the_end_of_its_receiver() {
    block_on(async {
        let (sender, mut receiver) = mpsc::channel_named::<u32>("frames", 1);
        spawn("player", async move { receiver.recv().await }); // here: player
        settle().await;
        spawn("decoder", async move { sender.closed().await }); // here: decoder
        let seen = look().await;
        seen.says(
            "decoder",
            &[
                "end of \"frames\": its receiver is used by task 1 \"player\", which waits for recv on \"frames\" at ",
                &place("player"),
                &place("decoder"),
            ],
        );
    });
}

#[test]
fn nobody_receives() {
    block_on(async {
        let (sender, _receiver) = mpsc::channel_named("log", 1); // here: log
        spawn(
            "writer",
            async move { while sender.send(()).await.is_ok() {} },
        );
        look().await.says(
            "writer",
            &[
                "send on full \"log\" (1 of 1",
                "its receiver has not been used since it was made by main ",
                &place("log"),
            ],
        );
    });
}

#[test]
fn a_sender_that_nobody_uses_keeps_a_channel_open() {
    block_on(async {
        let (sender, mut receiver) = mpsc::channel_named("results", 8); // here: results
        for result in 0..3 {
            let sender = sender.clone();
            glassfrog::spawn(async move { sender.send(result).await });
        }
        spawn("collector", async move {
            while receiver.recv().await.is_some() {}
        });
        look().await.says(
            "collector",
            &[
                "recv on \"results\"",
                ": 1 sender left, made by main ",
                &place("results"),
            ],
        );
        drop(sender);
    });
}

#[test]
fn a_channel_has_several_senders_that_are_stuck() {
    block_on(async {
        let (sender, mut receiver) = mpsc::channel_named::<u32>("results", 8);
        for _ in 0..2 {
            let sender = sender.clone(); // here: clone
            spawn("worker", async move {
                pending::<()>().await;
                sender.send(1).await
            });
        }
        drop(sender);
        spawn("collector", async move { receiver.recv().await });
        look().await.says(
            "collector",
            &[
                "recv on \"results\"",
                ": 2 senders left, made by main ",
                &place("clone"),
                " (2 of them)",
            ],
        );
    });
}

#[test]
fn two_actors_ask_each_other() {
    block_on(async {
        type Ask = oneshot::Sender<u32>;
        let (to_a, mut from_b) = mpsc::channel_named::<Ask>("mailbox of a", 1);
        let (to_b, mut from_a) = mpsc::channel_named::<Ask>("mailbox of b", 1);
        let ask = async |peer: mpsc::Sender<Ask>| {
            let (reply, answer) = oneshot::channel_named("reply"); // here: asks
            peer.send(reply).await.unwrap();
            answer.await
        };
        spawn("a", async move {
            ask(to_b).await.unwrap();
            from_b.recv().await
        });
        spawn("b", async move {
            ask(to_a).await.unwrap();
            from_a.recv().await
        });
        let seen = look().await;
        seen.says(
            "a",
            &[
                "recv on oneshot \"reply\" ",
                ", its sender ",
                "made by task 1 \"a\" ",
                &place("asks"),
            ],
        );
    });
}

#[test]
fn the_sender_of_a_oneshot_stays_in_a_map() {
    block_on(async {
        let requests = Rc::new(RefCell::new(HashMap::new()));
        let theirs = Rc::clone(&requests);
        spawn("client", async move {
            let (reply, answer) = oneshot::channel_named::<u32>("reply 7"); // here: reply 7
            theirs.borrow_mut().insert(7, reply);
            answer.await
        });
        look().await.says(
            "client",
            &[
                "recv on oneshot \"reply 7\" ",
                ", its sender has not been used since it was made by task 1 \"client\" ",
                &place("reply 7"),
            ],
        );
    });
}

// Notifications.

#[test]
fn a_notification_came_before_its_waiter() {
    block_on(async {
        let ready = Rc::new(Notify::named("ready"));
        ready.notify_waiters(); // here: too early
        spawn("late", async move { ready.notified().await }); // here: late
        look().await.says(
            "late",
            &[
                "notified of \"ready\"",
                "nobody has notified since main did ",
                &place("too early"),
                "waiting at ",
                &place("late"),
            ],
        );
    });
}

#[test]
fn nobody_has_ever_notified() {
    block_on(async {
        let ready = Rc::new(Notify::named("ready"));
        spawn("waiter", async move { ready.notified().await });
        look().await.says(
            "waiter",
            &["notified of \"ready\"", ", nobody has notified since "],
        );
    });
}

#[test]
fn one_notification_does_not_wake_two() {
    block_on(async {
        let ready = Rc::new(Notify::named("ready"));
        for name in ["first", "second"] {
            let ready = Rc::clone(&ready);
            spawn(name, async move { ready.notified().await });
        }
        settle().await;
        ready.notify_one(); // here: only one
        look().await.says(
            "second",
            &[
                "notified of \"ready\"",
                ", nobody has notified since main did ",
                &place("only one"),
            ],
        );
    });
}

#[test]
fn a_watched_value_never_changes() {
    block_on(async {
        let (sender, mut receiver) = watch::channel_named("config", 0); // here: config
        let mut theirs = receiver.clone();
        spawn("before", async move { theirs.changed().await });
        look().await.says(
            "before",
            &[
                "changed on \"config\"",
                ": nothing has been sent, 1 sender left, made by main ",
                &place("config"),
            ],
        );
        sender.send(1).unwrap(); // here: reload
        receiver.borrow_and_update();
        spawn("after", async move { receiver.changed().await });
        look().await.says(
            "after",
            &[
                "changed on \"config\"",
                ": last sent by main ",
                &place("reload"),
            ],
        );
    });
}

#[test]
fn nobody_broadcasts() {
    block_on(async {
        let (sender, mut receiver) = broadcast::channel_named::<u32>("events", 4); // here: events
        spawn("listener", async move { receiver.recv().await });
        look().await.says(
            "listener",
            &[
                "recv on \"events\"",
                ": 1 sender left, made by main ",
                &place("events"),
            ],
        );
        drop(sender);
    });
}

#[test]
fn a_barrier_is_one_short() {
    block_on(async {
        let start = Rc::new(Barrier::named("start", 3));
        for name in ["first", "second"] {
            let start = Rc::clone(&start);
            spawn(name, async move { start.wait().await }); // here: barrier
        }
        look().await.says(
            "first",
            &[
                "barrier \"start\" (made at ",
                "2 of 3 have come: task 1 \"first\", task 2 \"second\"",
                &place("barrier"),
            ],
        );
    });
}

#[test]
fn a_value_is_being_made_by_a_stuck_task() {
    block_on(async {
        let config = Rc::new(OnceCell::named("config"));
        let theirs = Rc::clone(&config);
        spawn("maker", async move {
            theirs.get_or_init(async || pending::<u32>().await).await; // here: maker
        });
        spawn("user", async move {
            config.get_or_init(async || 7).await;
        });
        look().await.says(
            "user",
            &[
                "value of \"config\" (made at ",
                "being made by task 1 \"maker\", begun ",
                &place("maker"),
            ],
        );
    });
}

#[test]
fn a_value_needs_itself() {
    block_on(async {
        let cell = Rc::new(OnceCell::named("plugins"));
        spawn("loader", async move {
            let again = async || *cell.get_or_init(async || 7).await;
            cell.get_or_init(again).await; // here: loader
        });
        let seen = look().await;
        seen.says(
            "loader",
            &[
                "value of \"plugins\" ",
                "being made by task 1 \"loader\" (this task), begun ",
                &place("loader"),
            ],
        );
        assert!(
            seen.circles()
                .starts_with("\"loader\" waits for itself (value of \"plugins\"")
        );
    });
}

#[test]
fn nobody_cancels() {
    block_on(async {
        let shutdown = CancellationToken::named("shutdown"); // here: shutdown
        let theirs = shutdown.clone();
        spawn("server", async move { theirs.cancelled().await }); // here: server
        look().await.says(
            "server",
            &[
                "cancellation of \"shutdown\" (made at ",
                &place("shutdown"),
                "by main",
                "nobody has cancelled",
                &place("server"),
            ],
        );
        drop(shutdown);
    });
}

// Tasks, jobs, timers and sockets.

#[test]
fn one_task_of_a_set_is_stuck() {
    block_on(async {
        spawn("supervisor", async {
            let lock = Rc::new(Mutex::named("lease", ()));
            let _guard = lock.lock().await; // here: supervisor
            let mut set = JoinSet::new();
            for task in 0..5 {
                let lock = Rc::clone(&lock);
                set.spawn(async move {
                    if task == 3 {
                        drop(lock.lock().await);
                    }
                });
            }
            while set.join_next().await.is_some() {}
        });
        let seen = look().await;
        seen.says("supervisor", &["join task 5"]);
        let circles = seen.circles();
        assert!(
            circles.starts_with("\"supervisor\" waits for task 5 (join"),
            "{circles}"
        );
        assert!(
            circles.contains(", which waits for \"supervisor\" (lock \"lease\""),
            "{circles}"
        );
    });
}

#[test]
fn a_child_of_a_scope_is_stuck() {
    block_on(async {
        spawn(
            "parent",
            scope(async |s| {
                s.spawn(async {});
                s.spawn(async { Notify::named("done").notified().await }); // here: child
            }),
        );
        let seen = look().await;
        seen.says("parent", &["the children of its scope"]);
        let text = seen.0.to_string();
        let child = text
            .lines()
            .find(|line| line.contains("notified of \"done\""))
            .expect("the child");
        assert!(
            child.contains("└ ") && child.contains(&place("child")),
            "{text}"
        );
    });
}

#[test]
fn a_task_joins_itself() {
    block_on(async {
        let handle: Rc<Cell<Option<JoinHandle<()>>>> = Rc::default();
        let theirs = Rc::clone(&handle);
        handle.set(Some(spawn("ouroboros", async move {
            let own = theirs.take().unwrap();
            own.await.unwrap();
        })));
        let seen = look().await;
        seen.says("ouroboros", &["join task 1 \"ouroboros\""]);
        assert!(
            seen.circles()
                .starts_with("\"ouroboros\" waits for itself (join")
        );
    });
}

#[test]
fn a_blocking_job_waits_for_a_channel_whose_sender_waits_for_the_job() {
    block_on(async {
        let (sender, mut receiver) = mpsc::channel_named::<u32>("input", 1);
        spawn("owner", async move {
            let job = spawn_blocking(move || receiver.blocking_recv()); // here: job waits
            let _never = job.await;
            sender.send(1).await
        });
        look()
            .await
            .says("owner", &["blocking job 2 (", &place("job waits")]);
    });
}

#[test]
fn nobody_connects() {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        spawn("server", async move { listener.accept().await });
        look()
            .await
            .says("server", &[&format!("accept tcp {address}")]);
    });
}

#[test]
#[cfg(target_os = "linux")]
fn a_unix_listener_does_not_accept() {
    block_on(async {
        let path = std::env::temp_dir().join(format!("glassfrog-stuck-{}", std::process::id()));
        let listener = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None);
        let listener = listener.unwrap();
        listener
            .bind(&socket2::SockAddr::unix(&path).unwrap())
            .unwrap();
        listener.listen(0).unwrap();
        let _first = UnixStream::connect(&path).await.unwrap();
        let theirs = path.clone();
        spawn("client", async move { UnixStream::connect(theirs).await });
        sleep(Duration::from_millis(50)).await;
        look().await.says(
            "client",
            &["room in the backlog of unix ", "glassfrog-stuck-"],
        );
        std::fs::remove_file(&path).unwrap();
    });
}

#[test]
fn blocking_jobs_use_all_threads() {
    let _watchdog = watchdog();
    let runtime = Runtime::builder().blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        let (end, ended) = std::sync::mpsc::channel::<()>();
        spawn("first", async move {
            spawn_blocking(move || ended.recv()).await // here: first job
        });
        spawn("second", async {
            spawn_blocking(|| ()).await // here: second job
        });
        let seen = look().await;
        seen.says("first", &["blocking job ", &place("first job")]);
        seen.says("second", &["blocking job ", &place("second job"), "queued"]);
        drop(end);
    });
}

#[test]
fn a_timeout_does_not_end_a_wait_for_a_lock() {
    block_on(async {
        let lock = Rc::new(Mutex::named("slow", ()));
        let _guard = lock.lock().await; // here: main holds
        let theirs = Rc::clone(&lock);
        spawn("patient", async move {
            let is_locked = timeout(LONG, theirs.lock()).await.is_ok(); // here: patient
            assert!(is_locked);
        });
        look().await.says(
            "patient",
            &[
                "sleep, 59 min ",
                &place("patient"),
                "lock \"slow\" ",
                "taken by main ",
                &place("main holds"),
                &place("patient"),
            ],
        );
    });
}

#[test]
fn a_wait_for_something_foreign_has_a_label() {
    block_on(async {
        let (_reply, answer) = futures::channel::oneshot::channel::<u32>();
        spawn("biller", async {
            let reply = waiting_for("reply of the billing service", answer); // here: biller
            reply.await
        });
        look().await.says(
            "biller",
            &["\"reply of the billing service\"", &place("biller")],
        );
    });
}

#[test]
fn a_peer_does_not_read() {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (_peer, _) = listener.accept().await.unwrap();
        let out = Rc::new(Mutex::named("output", stream));
        let theirs = Rc::clone(&out);
        spawn("upload", async move {
            let stream = theirs.lock().await; // here: upload
            while stream.write(&[0; 65536]).await.is_ok() {}
        });
        spawn("heartbeat", async move { drop(out.lock().await) });
        sleep(Duration::from_millis(50)).await;
        let seen = look().await;
        seen.says("upload", &["write tcp "]);
        seen.says(
            "heartbeat",
            &[
                "lock \"output\" ",
                "taken by task 1 \"upload\" ",
                &place("upload"),
            ],
        );
    });
}

#[test]
fn both_futures_of_a_join_wait_for_locks() {
    block_on(async {
        let (left, right) = (
            Rc::new(Mutex::named("left", ())),
            Rc::new(Mutex::named("right", ())),
        );
        let _guards = (left.lock().await, right.lock().await);
        let theirs = (Rc::clone(&left), Rc::clone(&right));
        spawn("both", async move {
            join(theirs.0.lock().map(drop), theirs.1.lock().map(drop)).await
        });
        look().await.says(
            "both",
            &[
                "lock \"left\" ",
                "taken by main ",
                "lock \"right\" ",
                "taken by main ",
            ],
        );
    });
}

#[test]
fn a_task_that_locks_twice_is_reported_when_nothing_happens() {
    let _watchdog = watchdog();
    record_log();
    let (end, ended) = futures::channel::oneshot::channel();
    let reader = thread::spawn(move || {
        let is_report = |text: &String| text.starts_with("WARN nothing has happened");
        let report = loop {
            let lines = logged("lock \"twice\"");
            if let Some(report) = lines.into_iter().find(is_report) {
                break report;
            }
            // Polls the log, and orders nothing.
            thread::sleep(Duration::from_millis(5));
        };
        end.send(()).unwrap();
        report
    });
    let runtime = Runtime::builder().stall_report(Duration::from_millis(50));
    runtime.build().unwrap().block_on(async {
        spawn("twice", async {
            let lock = Mutex::named("twice", ());
            let _guard = lock.lock().await; // here: first of two
            drop(lock.lock().await);
        });
        ended.await.unwrap();
    });
    let report = reader.join().unwrap();
    println!("{report}");
    assert!(
        report.starts_with("WARN nothing has happened for 50 ms"),
        "{report}"
    );
    assert!(
        report.contains(", taken by task 1 \"twice\" (this task) "),
        "{report}"
    );
    assert!(report.contains(&place("first of two")), "{report}");
}

#[test]
fn a_task_that_never_yields_holds_a_lock() {
    block_on(async {
        let lock = Arc::new(Mutex::named("model", ()));
        let theirs = Arc::clone(&lock);
        let handle = Handle::current();
        let (taken, is_taken) = std::sync::mpsc::channel();
        let asker = thread::spawn(move || {
            is_taken.recv().unwrap();
            (
                handle.dump().to_string(),
                glassfrog::sync::held().to_string(),
            )
        });
        let busy = spawn("trainer", async move {
            let _guard = theirs.lock().await; // here: trainer
            taken.send(()).unwrap();
            asker.join().unwrap()
        });
        let (dump, held) = busy.await.unwrap();
        println!("{dump}{held}");
        assert!(
            dump.starts_with(
                "the loop does not answer: it has been in poll 1 of task 1 \"trainer\""
            ),
            "{dump}"
        );
        assert!(held.contains("lock \"model\" (made at "), "{held}");
        assert!(held.contains("task 1 \"trainer\""), "{held}");
        assert!(held.contains(&place("trainer")), "{held}");
    });
}
