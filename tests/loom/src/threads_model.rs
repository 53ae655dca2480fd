//! The only thread of a process: whether a loop that finds all other threads at rest can still get a message.

use crate::inbox::Inbox;
use crate::primitives::lock;
use crate::resting::{Answer, Resting, ask};
use loom::sync::Mutex;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;
use std::sync::Arc;
use std::task::Waker;

/// The number of the loop's thread. The other threads have higher ones.
const LOOP: u32 = 1;

/// A process.
struct Process {
    /// The list of the kernel: each thread that was started, and whether it has not exited.
    threads: Mutex<Vec<(u32, bool)>>,
    /// The threads that rest.
    resting: Mutex<Resting>,
    /// The number of queued jobs.
    queued: Mutex<usize>,
    /// The inbox of the loop.
    inbox: Inbox<()>,
}

impl Process {
    /// Creates a process with these threads besides the loop's.
    fn new(threads: &[u32]) -> Arc<Process> {
        let all = [&[LOOP], threads].concat();
        Arc::new(Process {
            threads: Mutex::new(all.into_iter().map(|thread| (thread, true)).collect()),
            resting: Mutex::new(Resting::new()),
            queued: Mutex::new(0),
            inbox: Inbox::new(Waker::noop().clone(), ()),
        })
    }

    /// Adds a thread to the list of the kernel.
    fn start(&self, thread: u32) {
        lock(&self.threads).push((thread, true));
    }

    /// Removes a thread from the list of the kernel.
    fn exit(&self, thread: u32) {
        let mut threads = lock(&self.threads);
        let of = |(number, _): &&mut (u32, bool)| *number == thread;
        threads.iter_mut().find(of).expect("started").1 = false;
    }

    /// Lists the threads as the kernel does: step by step. The walk ends early if the thread that it has reached exits.
    fn list(&self) -> Option<Vec<u32>> {
        let (mut at, mut seen) = (0, Vec::new());
        loop {
            let threads = lock(&self.threads);
            if !threads[at].1 {
                break;
            }
            let rest = threads.iter().enumerate().skip(at + 1);
            let next = rest
                .filter(|(_, (_, is_alive))| *is_alive)
                .map(|(at, _)| at)
                .next();
            let number = next.map(|next| threads[next].0);
            drop(threads);
            let (Some(next), Some(number)) = (next, number) else {
                break;
            };
            at = next;
            seen.push(number);
        }
        Some(seen)
    }

    /// Checks as the loop does, which has announced its park. Returns whether the deadlock is certain.
    fn is_certain(&self) -> bool {
        let has_queued_jobs = || *lock(&self.queued) > 0;
        let answer = ask(&self.resting, || self.list(), has_queued_jobs);
        matches!(answer, Answer::AllRest(_)) && self.inbox.is_quiet()
    }

    /// Checks that no message has come if the deadlock was certain. All other threads have ended.
    fn check(&self, was_certain: bool) {
        let mut messages = Vec::new();
        self.inbox.drain(&mut messages);
        assert!(!was_certain || messages.is_empty(), "not a deadlock");
    }
}

#[test]
fn a_message_of_a_thread_that_rests_or_exits_is_seen() {
    loom::model(|| {
        let process = Process::new(&[2, 3]);
        let threads = [2, 3].map(|number| {
            let process = Arc::clone(&process);
            thread::spawn(move || {
                let _open = process.inbox.post(());
                match number {
                    2 => lock(&process.resting).begin(2),
                    _ => process.exit(3),
                }
            })
        });
        assert!(process.inbox.announce_park() || !process.inbox.is_quiet());
        let is_certain = process.is_certain();
        for thread in threads {
            thread.join().expect("no panic");
        }
        process.check(is_certain);
    });
}

#[test]
fn a_thread_that_starts_at_the_check_is_not_missed() {
    loom::model(|| {
        let process = Process::new(&[2]);
        let job = {
            let process = Arc::clone(&process);
            thread::spawn(move || {
                process.start(3);
                let started = {
                    let process = Arc::clone(&process);
                    thread::spawn(move || {
                        let _open = process.inbox.post(());
                        process.exit(3);
                    })
                };
                lock(&process.resting).begin(2);
                started
            })
        };
        process.inbox.announce_park();
        let is_certain = process.is_certain();
        job.join().expect("no panic").join().expect("no panic");
        process.check(is_certain);
    });
}

#[test]
fn an_idle_thread_that_exits_does_not_hide_another() {
    loom::model(|| {
        let process = Process::new(&[2, 3]);
        lock(&process.resting).begin(2);
        let threads = [2, 3].map(|number| {
            let process = Arc::clone(&process);
            thread::spawn(move || match number {
                2 => {
                    lock(&process.resting).end(2);
                    process.exit(2);
                }
                _ => drop(process.inbox.post(())),
            })
        });
        process.inbox.announce_park();
        let is_certain = process.is_certain();
        for thread in threads {
            thread.join().expect("no panic");
        }
        process.check(is_certain);
    });
}

#[test]
fn a_job_that_is_queued_at_the_check_is_not_missed() {
    loom::model(|| {
        let process = Process::new(&[2, 3]);
        lock(&process.resting).begin(2);
        let submits = {
            let process = Arc::clone(&process);
            thread::spawn(move || {
                *lock(&process.queued) += 1;
                lock(&process.resting).begin(3);
            })
        };
        let runs = {
            let process = Arc::clone(&process);
            thread::spawn(move || {
                // A condition variable may wake a thread at any time.
                lock(&process.resting).end(2);
                let mut queued = lock(&process.queued);
                let takes = *queued > 0;
                *queued = 0;
                drop(queued);
                if takes {
                    let _open = process.inbox.post(());
                }
                lock(&process.resting).begin(2);
            })
        };
        process.inbox.announce_park();
        let is_certain = process.is_certain();
        submits.join().expect("no panic");
        runs.join().expect("no panic");
        // A job that is still queued will run.
        let _job = (*lock(&process.queued) > 0).then(|| process.inbox.post(()));
        process.check(is_certain);
    });
}

#[test]
fn a_watchdog_does_not_report_a_poll_after_the_check() {
    loom::model(|| {
        let process = Process::new(&[2]);
        lock(&process.resting).begin(2);
        let is_polling = Arc::new(AtomicBool::new(true));
        let watchdog = {
            let (process, is_polling) = (Arc::clone(&process), Arc::clone(&is_polling));
            thread::spawn(move || {
                lock(&process.resting).end(2);
                if is_polling.load(Ordering::Relaxed) {
                    // The logger wakes a task.
                    let _open = process.inbox.post(());
                }
                lock(&process.resting).begin(2);
            })
        };
        is_polling.store(false, Ordering::Relaxed);
        process.inbox.announce_park();
        let is_certain = process.is_certain();
        watchdog.join().expect("no panic");
        process.check(is_certain);
    });
}
