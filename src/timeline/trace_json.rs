//! The Trace Event Format, which Perfetto and `chrome://tracing` open.
//!
//! | `ph` | what it is here |
//! | --- | --- |
//! | `M` | the names of runtimes and tracks, and their order |
//! | `X` | a park, a poll (on the track of the loop, and on that of the task), the run of a job, and "ready, not running" |
//! | `b`, `e` | the begin and the end of a wait, each pair with an `id2.local` of its own |
//! | `s`, `f` | a wake: from the poll that made it to the poll that it led to |
//! | `C` | the length of the run queue |
//! | `i` | a mark, a fault of a simulation, the loss of a segment |
//!
//! A simulated host has a track `network` too: an `X` for each segment that it sends or receives, and an `s` and an `f` from the
//! one to the other.
//!
//! A runtime is a process of the format, a lane one of its threads. On each track, two slices are either apart or one
//! inside the other. Times are microseconds with three decimals, and never negative: what began before the
//! picture is cut off, and its `args` tell by how much.

use super::json::Json;
use super::model::{End, FlowFate, Group, Kind, Lane, LaneIndex, Model, Network, Poll, Time};
use super::words;
use std::cmp::Reverse;

/// The `tid` of the loop.
const LOOP: i64 = 1;

/// The length of the slice of a segment, in nanoseconds: an arrow needs a slice to begin and to end on.
const MOMENT: Time = 1;

/// The `tid` of the first lane.
const FIRST_LANE: i64 = 2;

/// Returns the trace.
pub(super) fn trace(model: &Model, title: &str) -> String {
    let mut json = Json::default();
    json.object(|json| {
        json.key("displayTimeUnit").text("ms");
        json.key("otherData").object(|json| {
            json.key("title").text(title);
            json.key("lost").text(&model.lost.to_string());
        });
        json.key("traceEvents").array(Some(()), |(), json| {
            let mut trace = Trace {
                model,
                json,
                pid: 0,
                waits: 0,
                wakes: 0,
            };
            for group in &model.groups {
                trace.pid += 1;
                trace.group(group);
            }
            if let Some(network) = &model.network {
                trace.network(network);
            }
        });
    });
    json.text.push('\n');
    json.text
}

/// A trace that is being written.
struct Trace<'a> {
    /// What happened.
    model: &'a Model,
    /// The text.
    json: &'a mut Json,
    /// The number of the runtime that is being written, from 1.
    pid: i64,
    /// The number of waits so far.
    waits: u64,
    /// The number of wakes so far.
    wakes: i64,
}

impl Trace<'_> {
    /// Writes an event without a time.
    fn event(&mut self, ph: &str, tid: i64, name: &str, more: impl FnOnce(&mut Json)) {
        let pid = self.pid;
        self.json.line();
        self.json.object(|json| {
            json.key("ph").text(ph);
            json.key("pid").number(pid);
            json.key("tid").number(tid);
            json.key("name").text(name);
            more(json);
        });
    }

    /// Writes an event that happens at a time.
    fn event_at(
        &mut self,
        ph: &str,
        tid: i64,
        time: Time,
        name: &str,
        more: impl FnOnce(&mut Json),
    ) {
        self.event(ph, tid, name, |json| {
            json.key("ts").micros(time);
            more(json);
        });
    }

    /// Writes a slice, cut off at the beginning of the picture.
    fn slice(
        &mut self,
        tid: i64,
        (start, length): (Time, Time),
        cat: &str,
        name: &str,
        args: impl FnOnce(&mut Json),
    ) {
        let Some((shown, length)) = visible(start, length) else {
            return;
        };
        self.event_at("X", tid, shown, name, |json| {
            json.key("dur").micros(length);
            json.key("cat").text(cat);
            json.key("args").object(|json| {
                if start < shown {
                    json.key("began before the picture (µs)")
                        .micros(shown - start);
                }
                args(json);
            });
        });
    }

    /// Writes what went over the network of a simulation.
    fn network(&mut self, network: &Network) {
        let track = |group: usize| tid(self.model.groups[group].lanes.len());
        let tracks: Vec<i64> = (0..self.model.groups.len()).map(track).collect();
        for (group, track) in tracks.iter().enumerate() {
            self.pid = group as i64 + 1;
            self.name(*track, "network", *track);
        }
        for flow in &network.flows {
            let text = self.model.text(flow.text);
            let (from, to) = (flow.from as i64 + 1, flow.to as i64 + 1);
            let peer = |group: usize| self.model.groups[group].name.as_str();
            let (sender, receiver) = (peer(flow.from), peer(flow.to));
            self.pid = from;
            self.slice(
                tracks[flow.from],
                (flow.sent, MOMENT),
                "segment",
                text,
                |json| {
                    json.key("sent to").text(receiver);
                },
            );
            match flow.fate {
                FlowFate::Lost => {
                    let name = format!("lost: {text}");
                    self.instant(tracks[flow.from], flow.end, &name, "lost", "t");
                }
                FlowFate::OnItsWay => {}
                FlowFate::Arrived => {
                    self.pid = to;
                    self.slice(
                        tracks[flow.to],
                        (flow.end, MOMENT),
                        "segment",
                        text,
                        |json| {
                            json.key("sent by").text(sender);
                            json.key("latency (µs)").micros(flow.end - flow.sent);
                        },
                    );
                    self.wakes += 1;
                    let id = self.wakes;
                    let ends = [
                        ("s", from, flow.from, flow.sent),
                        ("f", to, flow.to, flow.end),
                    ];
                    for (ph, pid, group, time) in ends {
                        self.pid = pid;
                        self.event_at(ph, tracks[group], time, "segment", |json| {
                            json.key("cat").text("segment");
                            json.key("id").number(id);
                            if ph == "f" {
                                json.key("bp").text("e");
                            }
                        });
                    }
                }
            }
        }
        for (time, host, text) in &network.faults {
            // A fault of the network belongs to all hosts.
            self.pid = host.map_or(1, |host| host as i64 + 1);
            let scope = if host.is_some() { "p" } else { "g" };
            self.instant(LOOP, *time, self.model.text(*text), "fault", scope);
        }
    }

    /// Writes an event without a length. The scope is the part of the picture over which it is drawn.
    fn instant(&mut self, tid: i64, time: Time, name: &str, cat: &str, scope: &str) {
        self.event_at("i", tid, time.max(0), name, |json| {
            json.key("cat").text(cat);
            json.key("s").text(scope);
        });
    }

    /// Names a track.
    fn name(&mut self, tid: i64, name: &str, order: i64) {
        self.event("M", tid, "thread_name", |json| {
            json.key("args").object(|json| json.key("name").text(name));
        });
        self.event("M", tid, "thread_sort_index", |json| {
            json.key("args")
                .object(|json| json.key("sort_index").number(order));
        });
    }

    /// Writes a runtime.
    fn group(&mut self, group: &Group) {
        let (name, order) = (&group.name, self.pid);
        let name = match name.as_str() {
            "" => "glassfrog",
            name => name,
        };
        self.event("M", LOOP, "process_name", |json| {
            json.key("args").object(|json| json.key("name").text(name));
        });
        self.event("M", LOOP, "process_sort_index", |json| {
            json.key("args")
                .object(|json| json.key("sort_index").number(order));
        });
        self.name(LOOP, "loop", 0);
        let labels: Vec<String> = group.lanes.iter().map(label).collect();
        for (index, name) in labels.iter().enumerate() {
            self.name(tid(index), name, tid(index));
        }
        self.slices_of_the_loop(group, &labels);
        for index in 0..group.lanes.len() {
            self.slices_of_a_lane(group, index, &labels);
            self.waits(group, index);
        }
        self.wakes(group);
        for (time, length) in &group.queue {
            self.event_at("C", LOOP, (*time).max(0), "run queue", |json| {
                json.key("args")
                    .object(|json| json.key("tasks").number(i64::from(*length)));
            });
        }
        for mark in &group.marks {
            let tid = mark.lane.map_or(LOOP, tid);
            let text = self.model.text(mark.text);
            // The scope of the mark is its track.
            self.instant(tid, mark.time, text, "mark", "t");
        }
    }

    /// Writes what the loop did: parks and polls. A slice that contains others comes first.
    fn slices_of_the_loop(&mut self, group: &Group, labels: &[String]) {
        let parks = group.parks.iter();
        let parks = parks.map(|(start, length)| (*start, Reverse(start + length), None));
        let mut slices: Vec<(Time, Reverse<Time>, Option<LaneIndex>)> = parks.collect();
        for (index, lane) in group.lanes.iter().enumerate() {
            if lane.kind.is_on_loop() {
                let polls = lane.polls.iter();
                slices.extend(polls.map(|poll| (poll.start, Reverse(poll.end()), Some(index))));
            }
        }
        slices.sort_unstable();
        for (start, Reverse(end), lane) in slices {
            let (cat, name) = match lane {
                Some(lane) => ("poll", labels[lane].as_str()),
                None => ("park", "park"),
            };
            self.slice(LOOP, (start, end - start), cat, name, |json| {
                let place = lane.and_then(|lane| group.lanes[lane].place.as_deref());
                if let Some(place) = place {
                    json.key("spawned at").text(place);
                }
            });
        }
    }

    /// Writes the polls of a task, or the run of a job, and the times before them in which it was ready.
    fn slices_of_a_lane(&mut self, group: &Group, index: LaneIndex, labels: &[String]) {
        let lane = &group.lanes[index];
        let (name, before) = match lane.kind.is_on_loop() {
            true => ("poll", "ready, not running"),
            false => ("run", "queued"),
        };
        let mut done = Time::MIN;
        for poll in &lane.polls {
            if let Some(ready) = poll.ready.map(|ready| ready.max(done))
                && ready < poll.start
            {
                let slice = (ready, poll.start - ready);
                self.slice(tid(index), slice, "ready", before, |_| {});
            }
            done = done.max(poll.end());
            let slice = (poll.start, poll.length);
            self.slice(tid(index), slice, "poll", name, |json| {
                self.model.describe(group, poll, labels, json);
            });
        }
        if let Some((ready, _)) = lane.queued {
            let ready = ready.max(done);
            let slice = (ready, group.known.1 - ready);
            self.slice(tid(index), slice, "ready", before, |_| {});
        }
    }

    /// Writes the waits of a lane.
    fn waits(&mut self, group: &Group, index: LaneIndex) {
        for wait in &group.lanes[index].waits {
            let Some((start, length)) = visible(wait.start, wait.length) else {
                continue;
            };
            self.waits += 1;
            let id = format!("{:#x}", self.waits);
            for (ph, time) in [("b", start), ("e", start + length)] {
                let text = self.model.text(wait.text);
                self.event_at(ph, tid(index), time, text, |json| {
                    json.key("cat").text("wait");
                    json.key("id2").object(|json| json.key("local").text(&id));
                });
            }
        }
    }

    /// Writes the wakes that were made during a poll or a job.
    fn wakes(&mut self, group: &Group) {
        for (index, lane) in group.lanes.iter().enumerate() {
            for poll in &lane.polls {
                let Some(wake) = poll.wake.map(|wake| &group.wakes[wake]) else {
                    continue;
                };
                let Some((by, source)) = group.waking_poll(wake) else {
                    continue;
                };
                let (Some((start, length)), Some((to, _))) = (
                    visible(source.start, source.length),
                    visible(poll.start, poll.length),
                ) else {
                    continue;
                };
                if by == index {
                    continue;
                }
                // Within the slice, which does not contain its end.
                let from = wake.time.min(start + length - 1).max(start);
                self.wakes += 1;
                let id = self.wakes;
                for (ph, lane, time) in [("s", by, from), ("f", index, to)] {
                    self.event_at(ph, tid(lane), time, "wake", |json| {
                        json.key("cat").text("wake");
                        json.key("id").number(id);
                        if ph == "f" {
                            // Binds the arrow to the slice around its end, not to the next one.
                            json.key("bp").text("e");
                        }
                    });
                }
            }
        }
    }
}

impl Model {
    /// Writes the details of a poll.
    fn describe(&self, group: &Group, poll: &Poll, labels: &[String], json: &mut Json) {
        if let Some(wake) = poll.wake.map(|wake| &group.wakes[wake]) {
            if let Some(by) = wake.by {
                json.key("woken by").text(&labels[by]);
            }
            let why = self.text(wake.text);
            if !why.is_empty() {
                json.key("why").text(why);
            }
        }
        if let Some(cpu) = poll.cpu {
            json.key("on a core (µs)")
                .micros(i64::try_from(cpu).unwrap_or(i64::MAX));
        }
        let end = match poll.end {
            End::Pending => return,
            End::Ended => "ended",
            End::Panicked => "panicked",
            End::Aborted => "aborted",
            End::Running => "has not returned yet",
        };
        json.key("outcome").text(end);
    }
}

/// Returns the `tid` of a lane.
fn tid(lane: LaneIndex) -> i64 {
    FIRST_LANE + lane as i64
}

/// Returns the name of the track of a lane.
fn label(lane: &Lane) -> String {
    let label = words::label(lane.kind, lane.id, lane.name.as_deref());
    let label = match lane.restart {
        0 => label,
        restart => format!("{label}, restart {restart}"),
    };
    match (&lane.place, lane.kind) {
        (Some(place), Kind::Job | Kind::Lookup) => format!("{label} ({place})"),
        _ => label,
    }
}

/// Returns the part of an interval that is in the picture: its start and its length.
fn visible(start: Time, length: Time) -> Option<(Time, Time)> {
    let end = start + length;
    let is_visible = start >= 0 || end > 0;
    is_visible.then(|| (start.max(0), end - start.max(0)))
}
