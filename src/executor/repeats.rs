//! [`Repeats`]: folds the warnings of the watchdog about one place.
//!
//! A task that blocks its thread in each poll would fill the log. The first slow poll is reported at once, and the
//! further ones of the tasks that were spawned at the same place with the same name are counted. The next report about
//! that place, at least [`PAUSE`] later, gives their number, and so does the end of the runtime.
//!
//! `observe.rs` and `event_loop/watchdog.rs` ask before they log. They call the logger after the table is released.

use super::status::{Polling, describe_place};
use crate::dump::Time;
use crate::foreign::swallow_panics;
use std::fmt;
use std::panic::Location;
use std::time::{Duration, Instant};

/// The time between two warnings about one place. It is short enough to see that the trouble goes on, and long enough
/// that it does not hide other messages.
pub(crate) const PAUSE: Duration = Duration::from_secs(10);

/// The maximum number of places. Only slow polls search the table, so the search costs little beside them.
const MOST_PLACES: usize = 64;

/// The maximum number of names for which one place has separate entries. The further ones share an entry: a server may
/// name each of its tasks differently.
const MOST_NAMES: usize = 8;

/// What to do about a slow poll.
pub(crate) struct Report {
    /// The slow polls that were counted since the last warning about the same place.
    folded: Option<Folded>,
    /// The entry that gave way, if the table was full and had polls of another place to report.
    evicted: Option<Place>,
}

impl Report {
    /// Logs the warning about a poll that took longer than `limit`. `poll` says which one, and how long it took.
    pub(crate) fn warn(&self, limit: Duration, poll: fmt::Arguments<'_>) {
        self.evicted.iter().for_each(|place| place.warn(limit));
        let folded = self.folded.as_ref().map(Folded::to_string);
        let folded = folded.unwrap_or_default();
        swallow_panics(|| {
            log::warn!(
                target: "glassfrog::task",
                "{poll}{folded}: move blocking calls and long computations to `spawn_blocking`"
            );
        });
    }
}

/// The slow polls that no warning has reported yet.
#[derive(Clone, Debug)]
struct Folded {
    /// The number of polls.
    count: u64,
    /// The longest time that one of them took, or had taken when it was noted.
    longest: Duration,
    /// Whether the polls were over when they were noted.
    were_over: bool,
    /// Whether the polls were those of a root future.
    of_root: bool,
}

impl Folded {
    /// Returns the time of the longest poll in words.
    fn longest(&self) -> String {
        let at_least = if self.were_over { "" } else { "at least " };
        format!("the longest {at_least}{}", Time(self.longest))
    }
}

impl fmt::Display for Folded {
    /// Writes the remark at the end of the next warning.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (polls, longest) = (polls(self.count), self.longest());
        let whose = if self.of_root {
            ""
        } else {
            " of tasks spawned there"
        };
        write!(
            f,
            " ({polls}{whose} since the last such warning, {longest})"
        )
    }
}

/// Returns a number of polls in words.
fn polls(count: u64) -> String {
    match count {
        1 => String::from("1 more slow poll"),
        count => format!("{count} more slow polls"),
    }
}

/// A place where tasks with slow polls were spawned.
#[derive(Debug)]
pub(crate) struct Place {
    /// Where the tasks were spawned, or where `block_on` was called.
    location: Option<&'static Location<'static>>,
    /// The name of the tasks. `Some(None)`: they have none. `None`: this is the entry of all further names.
    name: Option<Option<Box<str>>>,
    /// Whether the entry is that of a root future.
    is_root: bool,
    /// When the last warning about the place was logged.
    warned: Instant,
    /// The polls that no warning has reported yet.
    folded: Option<Folded>,
}

impl Place {
    /// Returns whether the entry counts the polls of this task.
    fn counts(&self, polling: &Polling) -> bool {
        let name = self.name.as_ref().is_none_or(|name| *name == polling.name);
        name && self.location == polling.location
    }

    /// Logs the number of the polls that no warning has reported yet.
    pub(crate) fn warn(&self, limit: Duration) {
        let Some(folded) = &self.folded else {
            return;
        };
        let name = self.name.as_ref().and_then(Option::as_deref);
        let (polls, longest) = (polls(folded.count), folded.longest());
        let place = describe_place(self.is_root, name, self.location);
        swallow_panics(|| {
            log::warn!(
                target: "glassfrog::task",
                "{polls} of {place} took more than {} since the last warning about them, {longest}: move \
                 blocking calls and long computations to `spawn_blocking`",
                Time(limit)
            );
        });
    }
}

/// The places of the slow polls, as far as they were reported.
#[derive(Debug)]
pub(crate) struct Repeats {
    /// The time between two warnings about one place: [`PAUSE`], unless a test has set another duration.
    pause: Duration,
    /// Whether the polls are over when they are noted. The thread of the watchdog notes them earlier.
    are_over: bool,
    /// The places, at most [`MOST_PLACES`]. The entries for single names come before the one for the further names.
    places: Vec<Place>,
}

impl Repeats {
    /// Creates an empty table.
    pub(crate) fn new(pause: Duration, are_over: bool) -> Repeats {
        Repeats {
            pause,
            are_over,
            places: Vec::new(),
        }
    }

    /// Notes a poll that was slow, and returns what to report now. `None`: nothing, because a warning about the same
    /// place was logged a moment ago.
    pub(crate) fn note(
        &mut self,
        polling: &Polling,
        time: Duration,
        now: Instant,
    ) -> Option<Report> {
        if let Some(place) = self.places.iter_mut().find(|place| place.counts(polling)) {
            if now.saturating_duration_since(place.warned) < self.pause {
                let folded = place.folded.get_or_insert(Folded {
                    count: 0,
                    longest: Duration::ZERO,
                    were_over: self.are_over,
                    of_root: place.is_root,
                });
                folded.count += 1;
                folded.longest = folded.longest.max(time);
                return None;
            }
            place.warned = now;
            return Some(Report {
                folded: place.folded.take(),
                evicted: None,
            });
        }
        let evicted = match self.places.len() {
            MOST_PLACES.. => self.evict(),
            _ => None,
        };
        let same_place = self.places.iter();
        let names = same_place.filter(|place| place.location == polling.location);
        let name = (names.count() < MOST_NAMES).then(|| polling.name.clone());
        self.places.push(Place {
            location: polling.location,
            name,
            is_root: polling.id == 0,
            warned: now,
            folded: None,
        });
        Some(Report {
            folded: None,
            evicted,
        })
    }

    /// Removes the place whose last warning is the oldest. Returns it if it has polls to report.
    fn evict(&mut self) -> Option<Place> {
        let places = self.places.iter().enumerate();
        let (oldest, _) = places.min_by_key(|(_, place)| place.warned)?;
        let place = self.places.remove(oldest);
        place.folded.is_some().then_some(place)
    }

    /// Removes all places. Returns those that have polls to report.
    pub(crate) fn take(&mut self) -> impl Iterator<Item = Place> + use<> {
        let places = std::mem::take(&mut self.places).into_iter();
        places.filter(|place| place.folded.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Stopwatch;

    /// Returns a poll of a task that was spawned at a place.
    #[track_caller]
    fn poll(name: Option<&str>) -> Polling {
        Polling {
            id: 7,
            name: name.map(Box::from),
            location: Some(Location::caller()),
            poll: 1,
            since: Stopwatch::start(),
        }
    }

    /// A few milliseconds.
    const SHORT: Duration = Duration::from_millis(3);

    #[test]
    fn a_warning_counts_the_polls_that_were_folded_since_the_last_one() {
        let mut repeats = Repeats::new(PAUSE, true);
        let (polling, begin) = (poll(None), Instant::now());
        assert!(
            repeats
                .note(&polling, SHORT, begin)
                .unwrap()
                .folded
                .is_none()
        );
        for n in 1..=4 {
            assert!(repeats.note(&polling, n * SHORT, begin + SHORT).is_none());
        }
        let report = repeats.note(&polling, SHORT, begin + PAUSE).unwrap();
        let folded = report.folded.unwrap();
        assert_eq!((folded.count, folded.longest), (4, 4 * SHORT));
        // The next pause begins.
        assert!(repeats.note(&polling, SHORT, begin + PAUSE).is_none());
        let left: Vec<Place> = repeats.take().collect();
        assert_eq!(left.len(), 1);
        assert_eq!(left[0].folded.as_ref().unwrap().count, 1);
        assert_eq!(repeats.take().count(), 0);
    }

    #[test]
    fn a_remark_says_whose_polls_were_folded() {
        let mut repeats = Repeats::new(PAUSE, true);
        let begin = Instant::now();
        let (task, mut root) = (poll(None), poll(None));
        root.id = 0;
        let mut remark = |polling: &Polling| {
            assert!(repeats.note(polling, SHORT, begin).is_some());
            assert!(repeats.note(polling, SHORT, begin).is_none());
            let report = repeats.note(polling, SHORT, begin + PAUSE).unwrap();
            report.folded.unwrap().to_string()
        };
        assert_eq!(
            remark(&task),
            " (1 more slow poll of tasks spawned there since the last such warning, the longest 3 ms)"
        );
        assert_eq!(
            remark(&root),
            " (1 more slow poll since the last such warning, the longest 3 ms)"
        );
    }

    #[test]
    fn other_names_and_other_places_are_reported_at_once() {
        let mut repeats = Repeats::new(PAUSE, true);
        let begin = Instant::now();
        let mut polls = vec![poll(None), poll(None), poll(Some("a"))];
        polls.extend(["b", "c"].map(|name| poll(Some(name))));
        for polling in &polls {
            assert!(repeats.note(polling, SHORT, begin).is_some());
        }
        for polling in &polls {
            assert!(repeats.note(polling, SHORT, begin).is_none());
        }
    }

    #[test]
    fn tasks_with_many_names_share_an_entry() {
        let mut repeats = Repeats::new(PAUSE, true);
        let begin = Instant::now();
        let name = |n: usize| n.to_string();
        let polls = (0..1000).map(|n| poll(Some(&name(n))));
        let warned = polls.filter_map(|polling| repeats.note(&polling, SHORT, begin));
        assert_eq!(warned.count(), MOST_NAMES + 1);
        assert_eq!(repeats.places.len(), MOST_NAMES + 1);
    }

    #[test]
    fn the_table_is_bounded_and_an_evicted_entry_is_reported() {
        let mut repeats = Repeats::new(PAUSE, true);
        let begin = Instant::now();
        let first = poll(Some("first"));
        assert!(repeats.note(&first, SHORT, begin).is_some());
        assert!(repeats.note(&first, SHORT, begin).is_none());
        while repeats.places.len() < MOST_PLACES {
            repeats.places.push(Place {
                location: None,
                name: Some(Some(repeats.places.len().to_string().into_boxed_str())),
                is_root: false,
                warned: begin + SHORT,
                folded: None,
            });
        }
        let report = repeats.note(&poll(None), SHORT, begin + SHORT).unwrap();
        let evicted = report.evicted.unwrap();
        assert_eq!(evicted.location, first.location);
        assert_eq!(repeats.places.len(), MOST_PLACES);
    }
}
