//! The page of a timeline: one HTML file, which needs no other.
//!
//! `page.html` draws, finds and explains. What it draws stands in it as JSON, in the form that this file writes:
//! all times are integers, nanoseconds since the beginning of the picture. Only a time at which a job was queued or began,
//! or another thread woke a task, may be negative, if the ring has lost the events of the loop of that time.

use super::json::Json;
use super::model::{End, Group, Lane, LaneIndex, Model, Network};

/// The page, with a placeholder for the data.
const PAGE: &str = include_str!("page.html");

/// The placeholder.
const PLACEHOLDER: &str = "/*DATA*/";

/// The version of the form of the data.
const FORMAT: i64 = 1;

/// The flag of a poll that ends the task.
const ENDS: i64 = 1;

/// The flag of a poll that panicked.
const PANICKED: i64 = 2;

/// The flag of the last poll of a task that is ready at the end: it would begin then, and has not.
const NOT_BEGUN: i64 = 4;

/// The index of a lane or a wake that there is not.
const NONE: i64 = -1;

/// Returns the page.
pub(super) fn page(model: &Model, title: &str) -> String {
    let data = data(model, title);
    match PAGE.split_once(PLACEHOLDER) {
        Some((before, after)) => [before, &data, after].concat(),
        None => String::from(PAGE),
    }
}

/// Returns the data of the page.
pub(super) fn data(model: &Model, title: &str) -> String {
    let mut json = Json::default();
    json.object(|json| {
        json.key("format").number(FORMAT);
        json.key("title").text(title);
        json.key("span").number(model.span);
        json.key("lost").number(model.lost.min(1 << 53) as i64);
        json.key("texts")
            .array(&model.texts, |text, json| json.text(text));
        json.key("groups").array(&model.groups, |group, json| {
            json.object(|json| write_group(group, model.network.is_some(), json));
        });
        if let Some(network) = &model.network {
            json.key("network")
                .object(|json| write_network(network, json));
        }
    });
    json.text
}

/// Returns the index of a lane or wake in the data.
fn index(index: Option<usize>) -> i64 {
    index.map_or(NONE, |index| index as i64)
}

/// Writes what went over the network of a simulation.
fn write_network(network: &Network, json: &mut Json) {
    json.key("origin").number(network.origin);
    json.key("lost").number(network.lost.min(1 << 53) as i64);
    json.key("flows").array(&network.flows, |flow, json| {
        json.number(flow.from as i64);
        json.number(flow.to as i64);
        json.number(flow.sent);
        json.number(flow.end);
        json.number(flow.fate as i64);
        json.number(i64::from(flow.text));
    });
    json.key("faults")
        .array(&network.faults, |(time, host, text), json| {
            json.number(*time);
            json.number(index(*host));
            json.number(i64::from(*text));
        });
}

/// Writes a runtime, with the order of its polls and its lives if it is a host.
fn write_group(group: &Group, is_simulated: bool, json: &mut Json) {
    json.key("name").text(&group.name);
    if is_simulated {
        json.key("order")
            .array(&group.order, |lane, json| json.number(*lane as i64));
        json.key("lives").array(&group.lives, |life, json| {
            json.number(life.0);
            json.number(life.1);
        });
    }
    json.key("parks").array(&group.parks, |park, json| {
        json.number(park.0);
        json.number(park.1);
    });
    json.key("queue").array(&group.queue, |change, json| {
        json.number(change.0);
        json.number(i64::from(change.1));
    });
    json.key("marks").array(&group.marks, |mark, json| {
        json.number(mark.time);
        json.number(index(mark.lane));
        json.number(i64::from(mark.text));
    });
    json.key("wakes").array(&group.wakes, |wake, json| {
        json.number(wake.time);
        json.number(index(wake.by));
        json.number(i64::from(wake.text));
    });
    json.key("lanes").array(&group.lanes, |lane, json| {
        json.object(|json| write_lane(lane, group, json));
    });
}

/// Writes a lane.
fn write_lane(lane: &Lane, group: &Group, json: &mut Json) {
    json.key("kind").text(lane.kind.word());
    json.key("id").number(i64::from(lane.id));
    if lane.restart > 0 {
        json.key("restart").number(i64::from(lane.restart));
    }
    json.key("name").or_null(lane.name.as_deref(), Json::text);
    json.key("place").or_null(lane.place.as_deref(), Json::text);
    // What was spawned before the picture begins is older than everything in it.
    let spawned = lane.spawned.filter(|time| *time >= 0);
    json.key("spawned").or_null(spawned, Json::number);
    let by = |lane: LaneIndex| lane as i64;
    json.key("by").or_null(lane.by.map(by), Json::number);
    json.key("ended").or_null(lane.ended, Json::number);
    json.key("polls").array(Some(()), |(), json| {
        for poll in &lane.polls {
            json.number(poll.start);
            json.number(poll.length);
            json.number(poll.ready.unwrap_or(poll.start));
            json.number(index(poll.wake));
            json.number(match poll.end {
                End::Pending | End::Running => 0,
                End::Ended | End::Aborted => ENDS,
                End::Panicked => ENDS | PANICKED,
            });
            json.number(
                poll.cpu
                    .map_or(NONE, |nanos| i64::try_from(nanos).unwrap_or(NONE)),
            );
        }
        if let Some((ready, wake)) = lane.queued {
            let poll = [group.known.1, 0, ready, index(wake), NOT_BEGUN, NONE];
            poll.into_iter().for_each(|number| json.number(number));
        }
    });
    json.key("waits").array(Some(()), |(), json| {
        for wait in &lane.waits {
            json.number(wait.start);
            json.number(wait.length);
            json.number(i64::from(wait.text));
            json.number(wait.kind as i64);
            json.number(i64::from(wait.is_open));
        }
    });
}
