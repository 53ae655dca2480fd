//! [`Holders`]: the holders of a primitive that several tasks may hold at once.

use super::seen::{Mark, Taken};
use crate::executor::actor::actor;
use crate::executor::primitive::View;
use crate::primitives::{AtomicUsize, Ordering};
use crate::waiter::Tag;
use std::panic::Location;

/// The number of holders that have marks. A list of all holders would need a lock, which made an uncontended read of an
/// `RwLock` cost 85 % more instructions.
pub(super) const KNOWN: usize = 4;

/// The readers of a lock, or the holders of permits.
#[derive(Debug, Default)]
pub(super) struct Holders {
    /// The marks. Each holder sets a free one, and clears it later.
    marks: [Mark; KNOWN],
    /// The number of holders that found no free mark.
    ///
    /// Relaxed is enough, because the number guards no memory.
    others: AtomicUsize,
}

/// The index of a holder's mark; [`KNOWN`] for a holder without a mark.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot(u8);

/// The outcome of [`Holders::attempt`].
#[derive(Clone, Copy, Debug)]
pub(super) enum Attempt {
    /// A mark names the holder and the place.
    Entered(Slot),
    /// The mark names the holder, but lacks the place.
    WithoutPlace(Slot),
    /// No mark names the holder.
    NotEntered,
}

impl Slot {
    /// Returns the index of the mark, or `None` for a holder without a mark.
    #[inline]
    pub(super) fn index(self) -> Option<usize> {
        let index = usize::from(self.0);
        (index < KNOWN).then_some(index)
    }
}

impl Holders {
    /// Performs the fast path of [`enter`](Holders::enter): sets the first mark, if this thread knows the place. It
    /// calls no function, so its caller saves no registers, which would take a third of the time of a permit.
    /// [`attempt_further`](Holders::attempt_further) and [`finish`](Holders::finish) perform the rest.
    #[inline]
    pub(super) fn attempt(&self, place: &'static Location<'static>) -> Attempt {
        let (tag, turn) = actor();
        match tag {
            Tag::NONE => Attempt::NotEntered,
            _ => self.attempt_mark(0, tag, turn, place),
        }
    }

    /// Tries the other marks, unless a mark names the holder already.
    #[inline]
    pub(super) fn attempt_further(
        &self,
        attempt: Attempt,
        place: &'static Location<'static>,
    ) -> Attempt {
        let (tag, turn) = actor();
        if tag == Tag::NONE || !matches!(attempt, Attempt::NotEntered) {
            return attempt;
        }
        for index in 1..KNOWN {
            let attempt = self.attempt_mark(index, tag, turn, place);
            if !matches!(attempt, Attempt::NotEntered) {
                return attempt;
            }
        }
        Attempt::NotEntered
    }

    /// Tries one mark.
    #[inline]
    fn attempt_mark(
        &self,
        index: usize,
        tag: Tag,
        turn: u64,
        place: &'static Location<'static>,
    ) -> Attempt {
        let mark = &self.marks[index];
        let slot = Slot(index as u8);
        if !mark.claim(turn) {
            Attempt::NotEntered
        } else if mark.finish_known(tag, place) {
            Attempt::Entered(slot)
        } else {
            Attempt::WithoutPlace(slot)
        }
    }

    /// Finishes what the attempts have begun.
    pub(super) fn finish(&self, attempt: Attempt, place: &'static Location<'static>) -> Slot {
        match attempt {
            Attempt::Entered(slot) => slot,
            Attempt::WithoutPlace(slot) => {
                self.marks[usize::from(slot.0)].finish(place);
                slot
            }
            Attempt::NotEntered => self.enter(place),
        }
    }

    /// Records that the task on this thread is a holder.
    pub(super) fn enter(&self, place: &'static Location<'static>) -> Slot {
        for (index, mark) in self.marks.iter().enumerate() {
            if mark.try_set(place) {
                return Slot(index as u8);
            }
        }
        self.others.fetch_add(1, Ordering::Relaxed);
        Slot(KNOWN as u8)
    }

    /// Records that what a holder has taken is an owned guard or permit.
    #[inline]
    pub(super) fn set_owned(&self, slot: Slot) {
        if let Some(index) = slot.index() {
            self.marks[index].set_owned();
        }
    }

    /// Records that a holder has released the primitive.
    #[inline]
    pub(super) fn leave(&self, slot: Slot) {
        match slot.index() {
            Some(index) => self.marks[index].clear(),
            None => {
                self.others.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    /// Returns the holders that have marks, each with the index of its mark.
    pub(super) fn known(&self) -> Vec<(usize, Taken)> {
        let marks = self.marks.iter().enumerate();
        marks
            .filter_map(|(index, mark)| Some((index, mark.get()?)))
            .collect()
    }

    /// Returns the number of holders without marks.
    pub(super) fn others(&self) -> usize {
        self.others.load(Ordering::Relaxed)
    }
}

/// Lists holders, each with time and place: `task 2 3 s ago at src/a.rs:7, task 5 1 s ago at src/b.rs:8 and 2 more`.
pub(super) fn list_each(known: &[Taken], others: usize, view: &View<'_>) -> String {
    let texts: Vec<String> = known.iter().map(|taken| taken.text(view)).collect();
    and_more(texts.join(", "), others)
}

/// Lists holders, with the time and place of the oldest: `tasks 4, 7, 9, the longest 8 s ago at src/a.rs:7`.
pub(super) fn list_oldest(known: &[Taken], others: usize, view: &View<'_>) -> String {
    let oldest = known.iter().max_by_key(|taken| taken.age(view));
    let (Some(oldest), false) = (oldest, known.len() + others == 1) else {
        return list_each(known, others, view);
    };
    let mut names: Vec<String> = Vec::new();
    for taken in known {
        let name = taken.who.name_for_waiter(view);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let numbers: Option<Vec<&str>> = names
        .iter()
        .map(|name| name.strip_prefix("task "))
        .collect();
    let names = match numbers {
        Some(numbers) if numbers.len() > 1 => format!("tasks {}", numbers.join(", ")),
        _ => names.join(", "),
    };
    let when = oldest.when(view);
    format!("{}, the longest{when}", and_more(names, others))
}

/// Appends the number of the holders without marks.
fn and_more(names: String, others: usize) -> String {
    match (names.is_empty(), others) {
        (_, 0) => names,
        (true, 1) => String::from("one other"),
        (true, _) => format!("{others} others"),
        (false, _) => format!("{names} and {others} more"),
    }
}
