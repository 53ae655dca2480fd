//! [`Senders`] and [`Receiver`]: what a dump shows about the two ends of a channel.
//!
//! A program can move the ends from task to task, so a channel cannot know which task owns one. It records which task
//! made each sender, and which task used the receiver last.

use super::seen::{Mark, Taken};
use crate::clock::Stamp;
use crate::executor::primitive::View;
use crate::primitives::{AtomicUsize, Ordering};
use std::fmt::Write;
use std::panic::Location;

/// The number of senders that have marks.
///
/// Most channels have fewer senders, and a line of a dump has no room for more. A mark is three words.
const MARKED: usize = 4;

/// The senders that have not been dropped, and the tasks that made them.
#[derive(Debug)]
pub(super) struct Senders {
    /// The marks of the first senders, each at its [`Slot`].
    marks: [Mark; MARKED],
    /// The number of senders that have no mark.
    others: AtomicUsize,
}

/// The position of the mark of a sender; [`MARKED`] if it has none.
#[derive(Debug)]
pub(super) struct Slot(u8);

impl Senders {
    /// Creates the state of a channel without senders.
    pub(super) fn new() -> Senders {
        Senders {
            marks: Default::default(),
            others: AtomicUsize::new(0),
        }
    }

    /// Records that the task on this thread has made a sender.
    pub(super) fn enter(&self, location: &'static Location<'static>) -> Slot {
        let free = self.marks.iter().position(|mark| mark.try_set(location));
        if free.is_none() {
            // Relaxed is enough, because only dumps read the number.
            self.others.fetch_add(1, Ordering::Relaxed);
        }
        Slot(free.unwrap_or(MARKED) as u8)
    }

    /// Records that a sender is being dropped.
    pub(super) fn leave(&self, slot: &Slot) {
        match self.marks.get(usize::from(slot.0)) {
            Some(mark) => mark.clear(),
            None => {
                self.others.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    /// Describes the senders by their number and the tasks that made them: `1 sender left, made by main at
    /// src/main.rs:9`.
    pub(super) fn text(&self, view: &View<'_>) -> String {
        let others = self.others.load(Ordering::Relaxed);
        let marks: Vec<Taken> = self.marks.iter().filter_map(Mark::get).collect();
        let mut text = match marks.len() + others {
            0 => return String::from("its senders have just been dropped"),
            1 => String::from("1 sender left"),
            many => format!("{many} senders left"),
        };
        let mut makers: Vec<(String, usize)> = Vec::new();
        for mark in &marks {
            let maker = mark.made_text(view);
            match makers.iter_mut().find(|(known, _)| *known == maker) {
                Some((_, count)) => *count += 1,
                None => makers.push((maker, 1)),
            }
        }
        for (index, (maker, count)) in makers.iter().enumerate() {
            text.push_str(if index == 0 { ", made by " } else { ", by " });
            text.push_str(maker);
            if *count > 1 {
                let _infallible = write!(text, " ({count} of them)");
            }
        }
        if others > 0 {
            let _infallible = write!(text, ", and {others} more");
        }
        text
    }
}

/// An end of which there is only one: the task that made it, and the task that used it last.
#[derive(Debug, Default)]
pub(super) struct End {
    /// The task that made it. Set once, by the constructor.
    made: Mark,
    /// The task that used it last. Only the owner of the end sets it.
    used: Mark,
}

impl End {
    /// Records that the task on this thread has made the end.
    pub(super) fn make(&self, location: &'static Location<'static>) {
        self.made.set(location);
    }

    /// Records that the task on this thread uses the end.
    #[inline]
    pub(super) fn use_at(&self, location: &'static Location<'static>) {
        self.used.set(location);
    }

    /// Describes the last use of the end: `its receiver was last used by task 3 "worker" (4 s ago at
    /// src/worker.rs:12)`.
    pub(super) fn text(&self, what: &str, view: &View<'_>) -> String {
        match (self.used.get(), self.made.get()) {
            (Some(used), _) => {
                let (who, when) = (used.who.name(view), used.when(view));
                let this = match used.who.task(view) {
                    task if task.is_some() && task == view.waiting => "this task,",
                    _ => "",
                };
                let remark = format!("{this}{when}");
                let remark = remark.trim_matches([' ', ',']);
                match remark {
                    "" => format!("its {what} was last used by {who}"),
                    _ => format!("its {what} was last used by {who} ({remark})"),
                }
            }
            (None, Some(made)) => {
                format!(
                    "its {what} has not been used since it was made by {}",
                    made.text(view)
                )
            }
            (None, None) => format!("its {what} has not been used"),
        }
    }

    /// Returns the task that used the end last, if it belongs to the runtime with this number.
    ///
    /// A task that only made the end does not count, because a task that makes a channel usually gives one end away.
    pub(super) fn user(&self, runtime: u32) -> Option<u32> {
        self.used.get()?.who.task_of(runtime)
    }

    /// Returns the task that made the end, and when, if nobody has used the end yet. The task may have given it away.
    pub(super) fn unused(&self, runtime: u32) -> Option<(u32, Stamp)> {
        if self.used.get().is_some() {
            return None;
        }
        let made = self.made.get()?;
        Some((made.who.task_of(runtime)?, made.turn))
    }
}
