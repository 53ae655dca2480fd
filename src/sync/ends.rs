//! [`Senders`] and [`Receiver`]: what a channel shows of its two ends.
//!
//! The ends are values that the program moves from task to task, so a channel cannot know where they lie. It notes who
//! made each sender, and who used the receiver last.

use super::seen::{About, Mark, Taken};
use crate::executor::primitive::View;
use crate::primitives::{AtomicUsize, Ordering};
use std::fmt::Write;
use std::panic::Location;

/// The number of senders whose makers a channel knows.
///
/// Most channels have fewer, and a line of a dump has no place for more. A mark is four words.
const MARKED: usize = 4;

/// Who made the senders that have not been dropped.
#[derive(Debug)]
pub(super) struct Senders {
    /// The marks of the first ones, each at its [`Slot`].
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

    /// Notes that whoever is polled on this thread has made a sender.
    pub(super) fn enter(&self, location: &'static Location<'static>) -> Slot {
        let free = self.marks.iter().position(|mark| mark.try_set(location));
        if free.is_none() {
            // Relaxed: only dumps read it.
            self.others.fetch_add(1, Ordering::Relaxed);
        }
        Slot(free.unwrap_or(MARKED) as u8)
    }

    /// Notes that a sender is being dropped.
    pub(super) fn leave(&self, slot: &Slot) {
        match self.marks.get(usize::from(slot.0)) {
            Some(mark) => mark.clear(),
            None => {
                self.others.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    /// Says how many senders are left, and who made them.
    pub(super) fn text(&self, view: &View<'_>) -> String {
        let others = self.others.load(Ordering::Relaxed);
        let marks: Vec<Taken> = self.marks.iter().filter_map(Mark::get).collect();
        let mut text = match marks.len() + others {
            0 => return String::from("its senders have just been dropped"),
            1 => String::from("1 sender left"),
            many => format!("{many} senders left"),
        };
        for (index, mark) in marks.iter().enumerate() {
            text.push_str(if index == 0 { ", made by " } else { ", by " });
            text.push_str(&mark.text(view));
        }
        if others > 0 {
            let _infallible = write!(text, ", and {others} more");
        }
        text
    }
}

/// Who made the only end of its kind, and who used it last.
#[derive(Debug, Default)]
pub(super) struct End {
    /// Who made it. Set once, by the constructor.
    made: Mark,
    /// Who used it last. Only its owner sets it.
    used: Mark,
}

impl End {
    /// Notes that whoever is polled on this thread has made the end.
    pub(super) fn make(&self, location: &'static Location<'static>) {
        self.made.set(location);
    }

    /// Notes that whoever is polled on this thread uses the end.
    #[inline]
    pub(super) fn use_at(&self, location: &'static Location<'static>) {
        self.used.set(location);
    }

    /// Says who used the end last: `its receiver was last used by task 3 "worker" 4 s ago at src/worker.rs:12`.
    pub(super) fn text(&self, what: &str, view: &View<'_>) -> String {
        match (self.used.get(), self.made.get()) {
            (Some(used), _) => format!("its {what} was last used by {}", used.text(view)),
            (None, Some(made)) => {
                format!(
                    "its {what} has not been used since it was made by {}",
                    made.text(view)
                )
            }
            (None, None) => format!("its {what} has not been used"),
        }
    }

    /// Returns the task that used the end last, if it belongs to the runtime of this view.
    ///
    /// Whoever only made it does not count: a task that makes a channel usually gives one end away.
    pub(super) fn user(&self, view: &View<'_>) -> Option<u32> {
        self.used.get()?.who.task(view)
    }
}

/// Names a channel in a dump: by its name, or by its kind if it has none.
pub(super) fn name(about: &About, kind: &str) -> String {
    match about.name {
        Some(_) => about.to_string(),
        None => format!("{kind} {about}"),
    }
}
