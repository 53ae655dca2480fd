//! The files that turn a recording of a runtime into a model, a page and a trace.

#[path = "../../../src/timeline/event.rs"]
pub(crate) mod event;
#[cfg(feature = "sim")]
#[path = "../../../src/timeline/hosts.rs"]
mod hosts;
#[path = "../../../src/timeline/json.rs"]
mod json;
#[path = "../../../src/timeline/lane.rs"]
mod lane;
#[path = "../../../src/timeline/lists.rs"]
#[expect(dead_code, reason = "the tests use a part of it")]
pub(crate) mod lists;
#[path = "../../../src/timeline/model.rs"]
#[expect(dead_code, reason = "the tests use a part of it")]
pub(crate) mod model;
#[path = "../../../src/timeline/newest.rs"]
pub(crate) mod newest;
#[path = "../../../src/timeline/page.rs"]
pub(crate) mod page;
#[path = "../../../src/timeline/reader.rs"]
mod reader;
#[path = "../../../src/timeline/recording.rs"]
pub(crate) mod recording;
#[path = "../../../src/timeline/strip.rs"]
mod strip;
#[path = "../../../src/timeline/trace_json.rs"]
mod trace_json;
#[cfg(feature = "sim")]
#[path = "../../../src/timeline/traffic.rs"]
pub(crate) mod traffic;
#[path = "../../../src/timeline/words.rs"]
mod words;

use self::event::{Cause, Event, Outcome, Reason, What};
use self::model::Model;
use self::recording::Recording;

/// Returns the data of the page.
pub(crate) fn page_data(recordings: &[Recording]) -> String {
    page::data(&Model::new(recordings), "title")
}

/// Returns the page.
pub(crate) fn page(recordings: &[Recording], title: &str) -> String {
    page::page(&Model::new(recordings), title)
}

/// Returns the trace.
pub(crate) fn trace(recordings: &[Recording]) -> String {
    trace_json::trace(&Model::new(recordings), "title")
}

/// Returns the data of the page of a simulation, and its trace.
#[cfg(feature = "sim")]
pub(crate) fn simulated(
    recordings: &[(u32, Recording)],
    traffic: &traffic::Traffic,
) -> (String, String) {
    let model = Model::simulated(recordings, traffic);
    (
        page::data(&model, "title"),
        trace_json::trace(&model, "title"),
    )
}

/// Returns the longest polls and the latest starts as text.
pub(crate) fn lists(recordings: &[Recording], n: usize) -> (Vec<String>, Vec<String>) {
    let model = Model::new(recordings);
    let polls = model
        .longest_polls(n)
        .iter()
        .map(ToString::to_string)
        .collect();
    let starts = model
        .latest_starts(n)
        .iter()
        .map(ToString::to_string)
        .collect();
    (polls, starts)
}

/// Returns the newest events as text.
pub(crate) fn latest(recordings: &[Recording], n: usize) -> Vec<String> {
    newest::lines(recordings, &Model::new(recordings).shifts, n)
}

/// A recording that is made by hand: an event a line, in microseconds.
#[derive(Default)]
pub(crate) struct Hand(pub(crate) Recording);

impl Hand {
    /// Adds an event.
    pub(crate) fn event(&mut self, micros: u64, what: What) -> &mut Hand {
        let time = micros * 1000;
        self.0.events.push(Event { time, what });
        self.0.now = self.0.now.max(time);
        self
    }

    /// A task was spawned.
    pub(crate) fn spawn(&mut self, at: u64, task: u32, by: u32) -> &mut Hand {
        self.0.tasks.entry(task).or_default();
        self.event(at, What::Spawned { task, by: Some(by) })
    }

    /// A poll that leaves the task waiting.
    pub(crate) fn poll(&mut self, from: u64, until: u64, task: u32) -> &mut Hand {
        self.polled(from, until, task, Outcome::Pending)
    }

    /// A poll.
    pub(crate) fn polled(
        &mut self,
        from: u64,
        until: u64,
        task: u32,
        outcome: Outcome,
    ) -> &mut Hand {
        let length = (until - from) * 1000;
        self.event(
            until,
            What::Polled {
                task,
                length,
                outcome,
            },
        )
    }

    /// A wake.
    pub(crate) fn wake(&mut self, at: u64, task: u32, cause: Cause) -> &mut Hand {
        self.event(at, What::Woken { task, cause })
    }

    /// A wait.
    pub(crate) fn wait(&mut self, at: u64, task: u32, reason: Reason) -> &mut Hand {
        self.event(at, What::Waits { task, reason })
    }

    /// A park.
    pub(crate) fn park(&mut self, from: u64, until: u64) -> &mut Hand {
        self.event(
            until,
            What::Parked {
                length: (until - from) * 1000,
            },
        )
    }

    /// A text.
    pub(crate) fn text(&mut self, text: u32, words: &str) -> &mut Hand {
        self.0.texts.insert(text, String::from(words));
        self
    }

    /// The name and the place of a task.
    pub(crate) fn name(&mut self, task: u32, name: &str, place: &str) -> &mut Hand {
        let info = self.0.tasks.entry(task).or_default();
        info.name = Some(String::from(name));
        info.place = Some(String::from(place));
        self
    }

    /// Whose child a task is.
    pub(crate) fn child(&mut self, task: u32, parent: u32) -> &mut Hand {
        self.0.tasks.entry(task).or_default().parent = Some(parent);
        self
    }

    /// Returns the recording.
    pub(crate) fn done(&mut self, now: u64) -> [Recording; 1] {
        self.0.now = now * 1000;
        [self.0.clone()]
    }
}
