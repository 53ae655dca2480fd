//! Tests of long waits under a virtual clock: a whole day in a millisecond.
//!
//! ```text
//! cargo run --release --example virtual_time
//! ```
//!
//! A program rotates its log every hour and makes a backup every night. The backup may hang or fail, and
//! is then retried. This example tests that program; in a project, each of these functions would be a
//! `#[test]`:
//!
//! - `a_night_in_which_the_backup_fails` runs a whole day under `Builder::virtual_clock`: when no task can
//!   run, the clock jumps to the next deadline. The test states exactly when each event must happen. A
//!   test under the real clock could only approximate it, and would take a day.
//! - `the_backup_begins_neither_early_nor_late` moves the clock by hand, with `time::advance`.
//! - `the_jobs_work_in_every_order` runs two jobs in many orders, each determined by a `Builder::seed`,
//!   and finds an order in which they fail. In the order in which they are spawned, they succeed.
//!
//! The program under test needs no change, except that it must ask `time::now` for the time:
//! `Instant::now` returns the real time.

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use futures_channel::oneshot;
use glassfrog::task::scope;
use glassfrog::time::{
    self, MissedTickBehavior, advance, interval_at, sleep, sleep_until, timeout,
};
use glassfrog::{Builder, Runtime};

/// A minute, an hour, a day.
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The time of the backup, counted from midnight.
const BACKUP_AT: Duration = Duration::from_secs(2 * 60 * 60 + 30 * 60);

/// The time limit of a backup, which usually takes forty minutes.
const BACKUP_TIMEOUT: Duration = HOUR;

/// The number of attempts per night.
const BACKUP_ATTEMPTS: u32 = 4;

/// The pause after the first attempt. It doubles with each attempt.
const BACKUP_PAUSE: Duration = Duration::from_secs(10 * 60);

fn main() -> io::Result<()> {
    let begun = Instant::now();
    a_night_in_which_the_backup_fails()?;
    the_backup_begins_neither_early_nor_late()?;
    the_jobs_work_in_every_order()?;
    println!("\nThe tests took {:?} of real time.", begun.elapsed());
    Ok(())
}

// The program.

/// Runs the jobs forever, from midnight. `copy` makes the backup; its argument is the number of the
/// attempt.
async fn run_jobs(journal: &Journal, copy: impl AsyncFn(u32) -> io::Result<()>) {
    let midnight = journal.midnight;
    scope(async |jobs| {
        jobs.spawn(every(midnight, HOUR, async || journal.note("log rotated")));
        jobs.spawn(every(midnight + BACKUP_AT, DAY, async || {
            back_up(journal, &copy).await;
        }));
    })
    .await
}

/// Runs a job at `first` and again after each period. Skips the ticks that it misses.
async fn every(first: Instant, period: Duration, job: impl AsyncFn()) {
    let mut ticks = interval_at(first, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        job().await;
    }
}

/// Makes a backup, in several attempts if necessary.
async fn back_up(journal: &Journal, copy: &impl AsyncFn(u32) -> io::Result<()>) {
    let mut pause = BACKUP_PAUSE;
    for attempt in 1..=BACKUP_ATTEMPTS {
        if attempt > 1 {
            sleep(pause).await;
            pause *= 2;
        }
        journal.note(format!("backup {attempt} begins"));
        match timeout(BACKUP_TIMEOUT, copy(attempt)).await {
            Ok(Ok(())) => return journal.note(format!("backup {attempt} done")),
            Ok(Err(error)) => journal.note(format!("backup {attempt} failed: {error}")),
            Err(_) => journal.note(format!("backup {attempt} timed out")),
        }
    }
    journal.note("no backup tonight");
}

/// The journal of a day.
struct Journal {
    /// The start of the day.
    midnight: Instant,
    /// The events, each with its time after midnight.
    entries: RefCell<Vec<(Duration, String)>>,
}

impl Journal {
    /// Creates an empty journal for the day that starts now.
    fn new() -> Journal {
        Journal {
            midnight: time::now(),
            entries: RefCell::default(),
        }
    }

    /// Records an event.
    fn note(&self, what: impl Into<String>) {
        let when = time::now() - self.midnight;
        self.entries.borrow_mut().push((when, what.into()));
    }

    /// Returns the entries that start with `what`.
    fn about(&self, what: &str) -> Vec<(Duration, String)> {
        let entries = self.entries.borrow();
        let about_it = entries.iter().filter(|(_, entry)| entry.starts_with(what));
        about_it.cloned().collect()
    }
}

// Its tests.

/// Checks a night in which the first attempt hangs, the second fails, and the third succeeds. The hourly job runs at
/// the same time.
fn a_night_in_which_the_backup_fails() -> io::Result<()> {
    let copy = async |attempt| match attempt {
        1 => pending().await,
        2 => {
            sleep(5 * MINUTE).await;
            Err(io::Error::other("disk full"))
        }
        _ => {
            sleep(40 * MINUTE).await;
            Ok(())
        }
    };

    let runtime = Runtime::builder().virtual_clock().build()?;
    let journal = runtime.block_on(async {
        let journal = Journal::new();
        // Ends a second before the next midnight.
        let day = timeout(DAY - Duration::from_secs(1), run_jobs(&journal, copy));
        assert!(day.await.is_err(), "the jobs have ended");
        journal
    });

    for (when, what) in journal.entries.borrow().iter() {
        let minutes = when.as_secs() / 60;
        println!("{:02}:{:02}  {what}", minutes / 60, minutes % 60);
    }
    let at = |hours, minutes, what: &str| (hours * HOUR + minutes * MINUTE, what.to_string());
    assert_eq!(
        journal.about("backup"),
        [
            at(2, 30, "backup 1 begins"),
            at(3, 30, "backup 1 timed out"),
            at(3, 40, "backup 2 begins"),
            at(3, 45, "backup 2 failed: disk full"),
            at(4, 5, "backup 3 begins"),
            at(4, 45, "backup 3 done"),
        ]
    );
    let hourly: Vec<_> = (0..24).map(|hour| at(hour, 0, "log rotated")).collect();
    assert_eq!(journal.about("log"), hourly);
    println!("Each event happened at its time.\n");
    Ok(())
}

/// Checks that the backup has not begun a nanosecond before half past two, and has begun at half past two.
fn the_backup_begins_neither_early_nor_late() -> io::Result<()> {
    let runtime = Runtime::builder().virtual_clock().build()?;
    runtime.block_on(async {
        let journal = Rc::new(Journal::new());
        let theirs = Rc::clone(&journal);
        glassfrog::spawn(async move { run_jobs(&theirs, async |_| pending().await).await });

        advance(BACKUP_AT - Duration::from_nanos(1)).await;
        assert_eq!(journal.about("backup"), []);
        advance(Duration::from_nanos(1)).await;
        assert_eq!(journal.about("backup 1 begins").len(), 1);
    });
    println!("The backup begins exactly on time.\n");
    Ok(())
}

/// Checks two jobs that are due at midnight: one archives the log of the day, the other sends the archive. Version
/// `Hasty` runs both at midnight, and succeeds only if the first job happens to run first. In version `Patient`,
/// the second job waits for the first.
fn the_jobs_work_in_every_order() -> io::Result<()> {
    assert!(sends_the_log(Runtime::builder(), Version::Hasty)?);
    println!("No seed: the two jobs work in the order of their spawns.");

    let mut seed = 0;
    while sends_the_log(Runtime::builder().seed(seed), Version::Hasty)? {
        seed += 1;
        assert!(seed < SEEDS, "no order has revealed the mistake");
    }
    let again = sends_the_log(Runtime::builder().seed(seed), Version::Hasty)?;
    assert!(!again, "the same seed gave another order");
    println!("Seed {seed}: they fail, each time with this seed.");

    for seed in 0..SEEDS {
        let sent = sends_the_log(Runtime::builder().seed(seed), Version::Patient)?;
        assert!(sent, "seed {seed}");
    }
    println!(
        "Seeds 0 to {}: they work if the second waits for the first.",
        SEEDS - 1
    );
    Ok(())
}

/// The number of orders to try.
const SEEDS: u64 = 100;

/// A version of the jobs, which determines whether the second job runs second.
#[derive(PartialEq)]
enum Version {
    /// The second job does not wait.
    Hasty,
    /// The second job waits for the first.
    Patient,
}

/// Returns whether the jobs send the log of the day at midnight.
fn sends_the_log(builder: Builder, version: Version) -> io::Result<bool> {
    let runtime = builder.virtual_clock().build()?;
    runtime.block_on(async {
        let midnight = time::now() + DAY;
        let is_archived = Rc::new(Cell::new(false));
        let there = Rc::clone(&is_archived);
        let (ready, is_ready) = oneshot::channel();

        glassfrog::spawn(async move {
            sleep_until(midnight).await;
            is_archived.set(true);
            // The hasty version has dropped the receiver.
            let _sent = ready.send(());
        });
        let sender = glassfrog::spawn(async move {
            sleep_until(midnight).await;
            if version == Version::Patient {
                is_ready.await.map_err(io::Error::other)?;
            }
            io::Result::Ok(there.get())
        });
        sender.await?
    })
}
