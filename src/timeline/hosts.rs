//! Derives a [`Model`] from the recordings of simulated hosts, and from the traffic between them.
//!
//! All times count from the beginning of the simulation. A host that was started again is one group: the lanes of its
//! later runtimes follow those of the earlier ones, and say how often it had been started again.

use super::model::{Flow, FlowFate, Group, Model, Network, Texts, Time, begin, time};
use super::reader;
use super::recording::Recording;
use super::traffic::{Fate, Fault, Traffic};
use std::collections::HashMap;

impl Model {
    /// Finds out what happened in a simulation. Each recording has the number of its host. Those of one host follow one
    /// another, the earliest first.
    pub(super) fn simulated(recordings: &[(u32, Recording)], traffic: &Traffic) -> Model {
        let lost = recordings.iter().map(|(_, recording)| recording.lost);
        let lost = lost.fold(0, u64::saturating_add);
        let begins = recordings.iter().map(|(_, recording)| begin(recording));
        // The picture begins with the simulation, unless the beginning was overwritten.
        let origin = match lost {
            0 => 0,
            _ => begins.min().unwrap_or(0),
        };
        let mut texts = Texts::default();
        let mut groups: Vec<Group> = Vec::new();
        let mut places: HashMap<u32, usize> = HashMap::new();
        let mut span = 0;
        for (host, recording) in recordings {
            let mut group = reader::read(recording, -origin, &mut texts);
            span = span.max(group.known.1);
            let until = match recording.has_ended {
                true => group.end(),
                false => Time::MAX,
            };
            group.lives.push((group.known.0, until));
            match places.get(host) {
                Some(place) => groups[*place].append(group),
                None => {
                    places.insert(*host, groups.len());
                    groups.push(group);
                }
            }
        }
        let mut network = Network {
            origin,
            lost: traffic.lost,
            ..Network::default()
        };
        let at = |nanos: u64| time(nanos) - origin;
        for segment in &traffic.segments {
            let (Some(from), Some(to)) = (places.get(&segment.from), places.get(&segment.to))
            else {
                continue;
            };
            let (fate, end) = match segment.fate {
                Fate::Arrived(end) => (FlowFate::Arrived, at(end)),
                Fate::Lost(end) => (FlowFate::Lost, at(end)),
                Fate::OnItsWay => (FlowFate::OnItsWay, Time::MAX),
            };
            // What was sent before the picture begins would lead from nowhere.
            let sent = at(segment.sent);
            if sent >= 0 {
                let text = texts.add(&segment.label);
                let (from, to) = (*from, *to);
                network.flows.push(Flow {
                    from,
                    to,
                    sent,
                    end,
                    fate,
                    text,
                });
            }
        }
        add_faults(traffic, origin, &places, &groups, &mut network, &mut texts);
        let faults = network.faults.iter().map(|(time, _, _)| *time);
        span = faults.fold(span, Time::max);
        for flow in &network.flows {
            let end = match flow.fate {
                FlowFate::OnItsWay => flow.sent,
                FlowFate::Arrived | FlowFate::Lost => flow.end.max(flow.sent),
            };
            span = span.max(end);
        }
        for flow in &mut network.flows {
            flow.end = flow.end.min(span).max(flow.sent);
        }
        for life in groups.iter_mut().flat_map(|group| &mut group.lives) {
            life.1 = life.1.min(span);
        }
        network.flows.sort_by_key(|flow| flow.sent);
        network.faults.sort_by_key(|(time, _, _)| *time);
        Model {
            groups,
            texts: texts.list,
            span,
            lost,
            shifts: vec![-origin; recordings.len()],
            network: Some(network),
        }
    }
}

/// Adds the faults to those of the picture. A partition cuts both ways at one moment, which is one fault.
fn add_faults(
    traffic: &Traffic,
    origin: Time,
    places: &HashMap<u32, usize>,
    groups: &[Group],
    network: &mut Network,
    texts: &mut Texts,
) {
    let mut before: Option<&Fault> = None;
    for fault in &traffic.faults {
        let at = time(fault.time) - origin;
        let Some((from, to)) = fault.hosts else {
            if at >= 0 {
                network.faults.push((at, None, texts.add(&fault.text)));
            }
            before = None;
            continue;
        };
        let (Some(from), Some(to)) = (places.get(&from), places.get(&to)) else {
            continue;
        };
        if at < 0 {
            continue;
        }
        let is_both = before.is_some_and(|before| {
            let back = before.hosts.map(|(from, to)| (to, from));
            from != to
                && (before.time, back, &before.text) == (fault.time, fault.hosts, &fault.text)
        });
        let (name, text) = (|place: usize| groups[place].name.as_str(), &fault.text);
        let sentence = match (from == to, is_both) {
            (true, _) => format!("{} {text}", name(*from)),
            (false, false) => format!("{} → {} {text}", name(*from), name(*to)),
            (false, true) => format!("{} ↔ {} {text}", name(*to), name(*from)),
        };
        if is_both {
            network.faults.pop();
        }
        let host = (from == to).then_some(*from);
        network.faults.push((at, host, texts.add(&sentence)));
        before = Some(fault);
    }
}

impl Group {
    /// Ends what has not ended, because the runtime of the host has. Returns when it did.
    fn end(&mut self) -> Time {
        for lane in &mut self.lanes {
            lane.ended = lane.ended.or(Some(self.known.1));
            lane.queued = None;
            for wait in &mut lane.waits {
                wait.is_open = false;
            }
        }
        self.known.1
    }

    /// Appends what happened in the next runtime of the same host.
    fn append(&mut self, later: Group) {
        let (lanes, wakes) = (self.lanes.len(), self.wakes.len());
        let restart = self.lanes.iter().map(|lane| lane.restart).max();
        let restart = restart.map_or(0, |restart| restart + 1);
        self.known.1 = later.known.1;
        self.lives.extend(later.lives);
        self.parks.extend(later.parks);
        self.queue.extend(later.queue);
        self.marks.extend(later.marks.into_iter().map(|mut mark| {
            mark.lane = mark.lane.map(|lane| lane + lanes);
            mark
        }));
        self.wakes.extend(later.wakes.into_iter().map(|mut wake| {
            wake.by = wake.by.map(|by| by + lanes);
            wake
        }));
        self.strip.extend(later.strip.into_iter().map(|mut piece| {
            piece.lane += lanes;
            piece
        }));
        self.order
            .extend(later.order.into_iter().map(|lane| lane + lanes));
        self.lanes.extend(later.lanes.into_iter().map(|mut lane| {
            lane.restart = restart;
            lane.by = lane.by.map(|by| by + lanes);
            lane.parent = lane.parent.map(|parent| parent + lanes);
            for poll in &mut lane.polls {
                poll.wake = poll.wake.map(|wake| wake + wakes);
            }
            lane.queued = lane
                .queued
                .map(|(time, wake)| (time, wake.map(|wake| wake + wakes)));
            lane
        }));
    }
}
