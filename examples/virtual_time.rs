//! A day in a millisecond: testing what takes long, on a clock that does not wait.
//!
//! ```text
//! cargo run --release --example virtual_time
//! ```
//!
//! A program rotates its log every hour, and makes a backup every night, which may hang or fail and
//! is then tried again. Here it is tested; in a project each of the three would be a `#[test]`:
//!
//! - `a_night_in_which_the_backup_goes_wrong` runs a whole day under `Builder::virtual_clock`: when
//!   nobody can go on, the time jumps to the next deadline. So it can say exactly when everything
//!   has to happen, where a test on the real clock says "about" and takes a day.
//! - `the_backup_begins_neither_early_nor_late` moves the clock by hand, with `time::advance`.
//! - `every_order_of_the_jobs_will_do` runs two jobs in many orders, each that of a `Builder::seed`,
//!   and finds one in which they fail. Nothing else shows that mistake: in the order in which they
//!   were spawned they work.
//!
//! The program knows nothing of all this. It only has to ask `time::now` for the time:
//! `Instant::now` would tell the real one.

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

/// When the backup begins, counted from midnight.
const BACKUP_AT: Duration = Duration::from_secs(2 * 60 * 60 + 30 * 60);

/// How long a backup may take. It takes forty minutes on most days.
const BACKUP_TIMEOUT: Duration = HOUR;

/// How often a backup is tried in a night.
const BACKUP_ATTEMPTS: u32 = 4;

/// The pause after the first attempt. It doubles with each.
const BACKUP_PAUSE: Duration = Duration::from_secs(10 * 60);

fn main() -> io::Result<()> {
    let begun = Instant::now();
    a_night_in_which_the_backup_goes_wrong()?;
    the_backup_begins_neither_early_nor_late()?;
    every_order_of_the_jobs_will_do()?;
    println!("\nAll of this took {:?} of real time.", begun.elapsed());
    Ok(())
}

// The program.

/// Does its jobs for ever, from midnight on. `copy` makes the backup; it is told the number of the
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

/// Does a job at a moment, and again after each period. Those that it is late for are left out.
async fn every(first: Instant, period: Duration, job: impl AsyncFn()) {
    let mut ticks = interval_at(first, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        job().await;
    }
}

/// Makes a backup, in several attempts if need be.
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
            Err(_) => journal.note(format!("backup {attempt} given up")),
        }
    }
    journal.note("no backup tonight");
}

/// What was done when.
struct Journal {
    /// The beginning of the day.
    midnight: Instant,
    /// What was done, and how long after midnight.
    entries: RefCell<Vec<(Duration, String)>>,
}

impl Journal {
    /// An empty one for the day that begins now.
    fn new() -> Journal {
        Journal {
            midnight: time::now(),
            entries: RefCell::default(),
        }
    }

    /// Notes what has just been done.
    fn note(&self, what: impl Into<String>) {
        let when = time::now() - self.midnight;
        self.entries.borrow_mut().push((when, what.into()));
    }

    /// The entries that begin in a certain way.
    fn about(&self, what: &str) -> Vec<(Duration, String)> {
        let entries = self.entries.borrow();
        let about_it = entries.iter().filter(|(_, entry)| entry.starts_with(what));
        about_it.cloned().collect()
    }
}

// Its tests.

/// The first attempt hangs, the second fails, the third succeeds; meanwhile the hourly job goes on.
fn a_night_in_which_the_backup_goes_wrong() -> io::Result<()> {
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
        // The last second of the day is not waited for, so that the next midnight is not in it.
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
            at(3, 30, "backup 1 given up"),
            at(3, 40, "backup 2 begins"),
            at(3, 45, "backup 2 failed: disk full"),
            at(4, 5, "backup 3 begins"),
            at(4, 45, "backup 3 done"),
        ]
    );
    let hourly: Vec<_> = (0..24).map(|hour| at(hour, 0, "log rotated")).collect();
    assert_eq!(journal.about("log"), hourly);
    println!("Each at its time.\n");
    Ok(())
}

/// A nanosecond before half past two there is no backup, and then there is one.
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
    println!("The backup begins to the nanosecond.\n");
    Ok(())
}

/// Two jobs are due at midnight: one sets the log of the day aside, the other sends away what was
/// set aside. Version `Hasty` does both at their time, and works for as long as the first job happens
/// to have the first turn. In version `Patient` the second waits for the first.
fn every_order_of_the_jobs_will_do() -> io::Result<()> {
    assert!(sends_the_log(Runtime::builder(), Version::Hasty)?);
    println!("No seed: two jobs work, in the order in which they were spawned.");

    let mut seed = 0;
    while sends_the_log(Runtime::builder().seed(seed), Version::Hasty)? {
        seed += 1;
        assert!(seed < SEEDS, "no order has shown the mistake");
    }
    let again = sends_the_log(Runtime::builder().seed(seed), Version::Hasty)?;
    assert!(!again, "the same seed, and another order");
    println!("Seed {seed}: they fail, whenever this seed is tried.");

    for seed in 0..SEEDS {
        let sent = sends_the_log(Runtime::builder().seed(seed), Version::Patient)?;
        assert!(sent, "seed {seed}");
    }
    println!(
        "Seeds 0 to {}: they work, now that one waits for the other.",
        SEEDS - 1
    );
    Ok(())
}

/// How many orders are tried.
const SEEDS: u64 = 100;

/// How the second job takes care that it comes second.
#[derive(PartialEq)]
enum Version {
    /// Not at all.
    Hasty,
    /// It waits.
    Patient,
}

/// Whether the log of the day is sent at midnight.
fn sends_the_log(builder: Builder, version: Version) -> io::Result<bool> {
    let runtime = builder.virtual_clock().build()?;
    runtime.block_on(async {
        let midnight = time::now() + DAY;
        let is_set_aside = Rc::new(Cell::new(false));
        let there = Rc::clone(&is_set_aside);
        let (ready, is_ready) = oneshot::channel();

        glassfrog::spawn(async move {
            sleep_until(midnight).await;
            is_set_aside.set(true);
            // Nobody waits for it in the hasty version.
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
