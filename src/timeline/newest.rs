//! The newest events as lines of text.

use super::event::{Cause, Event, Outcome, What};
use super::recording::Recording;
use super::words::{self, Nanos, job_label, task_label};
use std::fmt;

/// Returns the lines of the `n` newest events of all recordings. Each shift turns the times of a recording into times of
/// the picture.
pub(super) fn lines(recordings: &[Recording], shifts: &[i64], n: usize) -> Vec<String> {
    let mut newest: Vec<(i64, &Recording, Event)> = Vec::new();
    for (recording, shift) in recordings.iter().zip(shifts) {
        let skipped = recording.events.len().saturating_sub(n);
        let events = recording.events[skipped..].iter();
        newest.extend(events.map(|event| {
            let time = i64::try_from(event.time).unwrap_or(i64::MAX);
            (time.saturating_add(*shift), recording, *event)
        }));
    }
    newest.sort_by_key(|(time, _, _)| *time);
    let skipped = newest.len().saturating_sub(n);
    newest[skipped..]
        .iter()
        .map(|(time, recording, event)| line(*time, recording, event.what))
        .collect()
}

/// Returns the line of an event.
fn line(time: i64, recording: &Recording, what: What) -> String {
    let secs = time as f64 / 1e9;
    let text = Text(recording, what);
    match recording.name.as_str() {
        "" => format!("{secs:12.6} s  {text}"),
        name => format!("{secs:12.6} s  {name}: {text}"),
    }
}

/// An event that is displayed as a clause.
struct Text<'a>(&'a Recording, What);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Text(recording, what) = *self;
        let task = |task| task_label(recording, task);
        let job = |job| job_label(recording, job);
        let text = |text| words::text(recording, text);
        let nanos = |nanos: u64| Nanos(i64::try_from(nanos).unwrap_or(i64::MAX));
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
