//! The only thread of a process: whether a loop that finds all other threads at rest can still get a message.

use crate::inbox::Inbox;
use crate::primitives::lock;
use crate::resting::{Answer, Resting, ask};
use loom::sync::Mutex;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;
use std::sync::Arc;
use std::task::Waker;

/// A process.
struct Process {
    /// The count of the kernel: the threads that were started and have not exited.
    threads: Mutex<usize>,
    /// The threads that rest.
    resting: Mutex<Resting>,
    /// The number of queued jobs.
    queued: Mutex<usize>,
    /// The inbox of the loop.
    inbox: Inbox<()>,
}

impl Process {
    /// Creates a process with this number of threads besides the loop's.
    fn new(threads: usize) -> Arc<Process> {
        Arc::new(Process {
            threads: Mutex::new(1 + threads),
            resting: Mutex::new(Resting::new()),
            queued: Mutex::new(0),
            inbox: Inbox::new(Waker::noop().clone(), ()),
        })
    }

    /// Counts a thread that is started.
    fn start(&self) {
        *lock(&self.threads) += 1;
    }

    /// Counts a thread no longer.
    fn exit(&self) {
        *lock(&self.threads) -= 1;
    }

    /// Counts the threads as the kernel does.
    fn count(&self) -> Option<usize> {
        Some(*lock(&self.threads))
    }

    /// Checks as the loop does, which has announced its park. Returns whether the deadlock is certain.
    fn is_certain(&self) -> bool {
        let has_queued_jobs = || *lock(&self.queued) > 0;
        let answer = ask(&self.resting, || self.count(), has_queued_jobs);
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
        let process = Process::new(2);
        let threads = [2, 3].map(|number| {
            let process = Arc::clone(&process);
            thread::spawn(move || {
                let _open = process.inbox.post(());
                match number {
                    2 => lock(&process.resting).begin(),
                    _ => process.exit(),
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
        let process = Process::new(1);
        let job = {
            let process = Arc::clone(&process);
            thread::spawn(move || {
                process.start();
                let started = {
                    let process = Arc::clone(&process);
                    thread::spawn(move || {
                        let _open = process.inbox.post(());
                        process.exit();
                    })
                };
                lock(&process.resting).begin();
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
        let process = Process::new(2);
        lock(&process.resting).begin();
        let threads = [2, 3].map(|number| {
            let process = Arc::clone(&process);
            thread::spawn(move || match number {
                2 => {
                    lock(&process.resting).end();
                    process.exit();
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
        let process = Process::new(2);
        lock(&process.resting).begin();
        let submits = {
            let process = Arc::clone(&process);
            thread::spawn(move || {
                *lock(&process.queued) += 1;
                lock(&process.resting).begin();
            })
        };
        let runs = {
            let process = Arc::clone(&process);
            thread::spawn(move || {
                // A condition variable may wake a thread at any time.
                lock(&process.resting).end();
                let mut queued = lock(&process.queued);
                let takes = *queued > 0;
                *queued = 0;
                drop(queued);
                if takes {
                    let _open = process.inbox.post(());
                }
                lock(&process.resting).begin();
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
        let process = Process::new(1);
        lock(&process.resting).begin();
        let is_polling = Arc::new(AtomicBool::new(true));
        let watchdog = {
            let (process, is_polling) = (Arc::clone(&process), Arc::clone(&is_polling));
            thread::spawn(move || {
                lock(&process.resting).end();
                if is_polling.load(Ordering::Relaxed) {
                    // The logger wakes a task.
                    let _open = process.inbox.post(());
                }
                lock(&process.resting).begin();
            })
        };
        is_polling.store(false, Ordering::Relaxed);
        process.inbox.announce_park();
        let is_certain = process.is_certain();
        watchdog.join().expect("no panic");
        process.check(is_certain);
    });
}
