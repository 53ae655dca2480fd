//! The newest events as lines of text.

use super::event::{Cause, Outcome, What};
use super::recording::Recording;
use super::words::{self, Nanos, job_label, task_label};
use std::fmt;

/// Returns the lines of the `n` newest events of all recordings, and of the polls that have not returned. Each shift turns
/// the times of a recording into times of the picture.
pub(super) fn lines(recordings: &[Recording], shifts: &[i64], n: usize) -> Vec<String> {
    let mut newest: Vec<(i64, &Recording, Shown)> = Vec::new();
    for (recording, shift) in recordings.iter().zip(shifts) {
        let at = |time: u64| {
            let time = i64::try_from(time).unwrap_or(i64::MAX);
            time.saturating_add(*shift)
        };
        let skipped = recording.events.len().saturating_sub(n);
        let events = recording.events[skipped..].iter();
        newest.extend(events.map(|event| (at(event.time), recording, Shown::Event(event.what))));
        let running = recording.running.map(|(task, since)| {
            let so_far = recording.now.saturating_sub(since);
            (at(recording.now), recording, Shown::Runs(task, so_far))
        });
        newest.extend(running);
    }
    newest.sort_by_key(|(time, _, _)| *time);
    let skipped = newest.len().saturating_sub(n);
    newest[skipped..]
        .iter()
        .map(|(time, recording, shown)| line(*time, recording, *shown))
        .collect()
}

/// Returns the line of an event or a poll.
fn line(time: i64, recording: &Recording, shown: Shown) -> String {
    let secs = time as f64 / 1e9;
    let text = Text(recording, shown);
    match recording.name.as_str() {
        "" => format!("{secs:12.6} s  {text}"),
        name => format!("{secs:12.6} s  {name}: {text}"),
    }
}

/// What a line shows.
#[derive(Clone, Copy)]
enum Shown {
    /// An event.
    Event(What),
    /// The task that is being polled, and for how many nanoseconds so far.
    Runs(u32, u64),
}

/// An event or a poll that is displayed as a clause.
struct Text<'a>(&'a Recording, Shown);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Text(recording, shown) = *self;
        let task = |task| task_label(recording, task);
        let job = |job| job_label(recording, job);
        let text = |text| words::text(recording, text);
        let nanos = |nanos: u64| Nanos(i64::try_from(nanos).unwrap_or(i64::MAX));
        let what = match shown {
            Shown::Event(what) => what,
            Shown::Runs(running, so_far) => {
                let so_far = nanos(so_far);
                return write!(f, "{} has been running for {so_far}", task(running));
            }
        };
        match what {
            What::Spawned { task: new, by } => match by {
                Some(by) => write!(f, "{} was spawned by {}", task(new), task(by)),
                None => write!(f, "{} was spawned", task(new)),
            },
            What::Polled {
                task: polled,
                length,
                outcome,
            } => {
                let end = match outcome {
                    Outcome::Pending => "",
                    Outcome::Ready => ", and ended",
                    Outcome::Panicked => ", and panicked",
                    Outcome::Aborted => ", because it was aborted",
                };
                write!(f, "{} ran for {}{end}", task(polled), nanos(length))
            }
            What::OnCore { nanos: on } => write!(f, "of which {} on a core", nanos(on)),
            What::Woken { task: woken, cause } => {
                write!(f, "{} was woken by ", task(woken))?;
                match cause {
                    Cause::Task(by) if by == woken => f.write_str("itself"),
                    Cause::Task(by) => f.write_str(&task(by)),
                    Cause::Socket => f.write_str("a socket"),
                    Cause::Deadline => f.write_str("a deadline"),
                    Cause::Job(by) => f.write_str(&job(by)),
                    Cause::Thread => f.write_str("another thread"),
                    Cause::Abort => f.write_str("an abort"),
                    Cause::Loop => f.write_str("the loop"),
                }
            }
            What::Waits {
                task: waits,
                reason,
            } => {
                let reason = words::reason(recording, reason);
                write!(f, "{} waits for {reason}", task(waits))
            }
            What::Ready { text: index } => write!(f, "ready: {}", text(index)),
            What::Parked { length } => write!(f, "the loop was parked for {}", nanos(length)),
            What::Fired { count } => write!(f, "deadlines passed: {count}"),
            What::Queued { job: new, by } => match by {
                Some(by) => write!(f, "{} was submitted by {}", job(new), task(by)),
                None => write!(f, "{} was submitted", job(new)),
            },
            What::Began { job: new } => write!(f, "{} began", job(new)),
            What::Ended { job: old } => write!(f, "{} ended", job(old)),
            What::Marked {
                task: marked,
                text: index,
            } => match marked {
                Some(marked) => write!(f, "mark of {}: {:?}", task(marked), text(index)),
                None => write!(f, "mark: {:?}", text(index)),
            },
        }
    }
}
