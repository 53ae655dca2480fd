//! The events of a [`Recording`] as lines of text, for tests.

use super::event::{Cause, Event, Reason, What};
use super::recording::Recording;
use std::fmt::{self, Write};

/// Returns the events as text, a line each: the time in microseconds, and what happened.
pub(crate) fn lines(recording: &Recording) -> String {
    let (lost, now) = (recording.lost, recording.now as f64 / 1000.0);
    let mut lines = format!("{lost} events lost before {now}\n");
    for event in &recording.events {
        let micros = event.time as f64 / 1000.0;
        // Writing to a string never fails.
        let _written = writeln!(lines, "{micros} {}", Line { event, recording });
    }
    if let Some((task, since)) = recording.running {
        let micros = since as f64 / 1000.0;
        let running = Line::task(recording, task);
        let _written = writeln!(lines, "{micros} {running} is being polled");
    }
    lines
}

/// An event, as a line shows it.
struct Line<'a> {
    /// The event.
    event: &'a Event,
    /// The recording with the names.
    recording: &'a Recording,
}

impl Line<'_> {
    /// Names a task.
    fn task(recording: &Recording, task: u32) -> String {
        let info = recording.tasks.get(&task);
        match info.and_then(|task| task.name.as_ref()) {
            _ if task == 0 => String::from("main"),
            Some(name) => name.clone(),
            None if info.is_some() => format!("task {task}"),
            None => format!("unknown task {task}"),
        }
    }

    /// Names a job.
    fn job(&self, number: u32) -> String {
        match self.recording.jobs.get(&number) {
            Some(job) => {
                let kind = if job.is_lookup { "lookup" } else { "job" };
                let name = job.name.as_ref().or(job.place.as_ref());
                name.map_or_else(|| kind.into(), |name| format!("{kind} ({name})"))
            }
            None => format!("unknown job {number}"),
        }
    }

    /// Returns a text.
    fn text(&self, number: u32) -> &str {
        let text = self.recording.texts.get(&number);
        text.map_or("unknown text", String::as_str)
    }
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let task = |task| Line::task(self.recording, task);
        match self.event.what {
            What::Spawned { task: number, by } => {
                write!(f, "{} is spawned", task(number))?;
                by.map_or(Ok(()), |by| write!(f, " by {}", task(by)))?;
                let info = self.recording.tasks.get(&number);
                let parent = info.and_then(|info| info.parent);
                parent.map_or(Ok(()), |parent| write!(f, " in {}", task(parent)))
            }
            What::Polled {
                task: number,
                length,
                outcome,
            } => {
                let micros = length as f64 / 1000.0;
                write!(f, "{} polled for {micros}: {outcome:?}", task(number))
            }
            What::OnCore { nanos } => write!(f, "on core for {}", nanos as f64 / 1000.0),
            What::Woken {
                task: number,
                cause,
            } => {
                write!(f, "{} is woken by ", task(number))?;
                match cause {
                    Cause::Task(by) => f.write_str(&task(by)),
                    Cause::Job(by) => f.write_str(&self.job(by)),
                    cause => write!(f, "{cause:?}"),
                }
            }
            What::Waits {
                task: number,
                reason,
            } => {
                write!(f, "{} waits for ", task(number))?;
                match reason {
                    Reason::Socket { text } => write!(f, "socket: {}", self.text(text)),
                    Reason::Deadline { micros } => write!(f, "deadline in {micros}"),
                    Reason::Task(other) => f.write_str(&task(other)),
                    Reason::Children => f.write_str("children"),
                    Reason::Job(job) => f.write_str(&self.job(job)),
                    Reason::Declared { text } => f.write_str(self.text(text)),
                }
            }
            What::Ready { text } => write!(f, "ready: {}", self.text(text)),
            What::Parked { length } => write!(f, "parked for {}", length as f64 / 1000.0),
            What::Fired { count } => write!(f, "{count} deadlines"),
            What::Queued { job, by } => {
                write!(f, "{} is queued", self.job(job))?;
                by.map_or(Ok(()), |by| write!(f, " by {}", task(by)))
            }
            What::Began { job } => write!(f, "{} begins", self.job(job)),
            What::Ended { job } => write!(f, "{} ends", self.job(job)),
            What::Marked { task: by, text } => {
                write!(f, "mark {:?}", self.text(text))?;
                by.map_or(Ok(()), |by| write!(f, " by {}", task(by)))
            }
        }
    }
}
