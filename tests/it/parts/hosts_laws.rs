//! The timeline of simulated hosts: their groups, the segments between them, and faults.

use crate::strict_json::Json;
use crate::timeline::event::{Cause, Outcome};
use crate::timeline::recording::Recording;
use crate::timeline::traffic::{Fate, Fault, Segment, Traffic};
use crate::timeline::{Hand, simulated};
use crate::timeline_laws::check_trace;
use proptest::prelude::*;

/// Returns the recording of a host.
fn host(name: &str, has_ended: bool, now: u64, hand: &mut Hand) -> Recording {
    let [mut recording] = hand.done(now);
    recording.name = String::from(name);
    recording.has_ended = has_ended;
    recording
}

/// Returns a segment. Times are microseconds.
fn segment(from: u32, to: u32, sent: u64, fate: Fate, label: &str) -> Segment {
    let sent = sent * 1000;
    let label = label.into();
    Segment {
        from,
        to,
        sent,
        fate,
        label,
    }
}

/// Returns the time of an arrival or a loss in nanoseconds.
fn micros(micros: u64) -> u64 {
    micros * 1000
}

/// A client whose request is lost once, and a server that crashes at 60 µs and starts again at 80 µs.
fn story() -> (Vec<(u32, Recording)>, Traffic) {
    let mut client = Hand::default();
    client
        .wake(0, 0, Cause::Loop)
        .spawn(0, 1, 0)
        .poll(0, 0, 0)
        .poll(0, 0, 1)
        .wake(0, 0, Cause::Task(1))
        .poll(0, 0, 0)
        .poll(90, 90, 1);
    let mut first = Hand::default();
    first.poll(10, 10, 0).wake(10, 0, Cause::Task(0));
    let mut second = Hand::default();
    second.polled(80, 80, 0, Outcome::Ready);
    let recordings = vec![
        (3, host("client", false, 100, &mut client)),
        (7, host("server", true, 60, &mut first)),
        (7, host("server", false, 100, &mut second)),
    ];
    let mut traffic = Traffic::default();
    let arrived = Fate::Arrived(micros(40));
    traffic.add(segment(3, 7, 20, arrived, "data #0, 4 bytes, sent again"));
    // Their fates became known in another order than that in which they were sent.
    traffic.add(segment(3, 7, 0, Fate::Lost(micros(5)), "data #0, 4 bytes"));
    traffic.add(segment(7, 3, 95, Fate::OnItsWay, "reset"));
    // No host has this number.
    traffic.add(segment(3, 9, 20, arrived, "nobody"));
    let fault = |time, hosts, text: &str| Fault {
        time: micros(time),
        hosts: Some(hosts),
        text: text.into(),
    };
    traffic.add_fault(fault(4, (3, 7), "is cut"));
    traffic.add_fault(fault(4, (7, 3), "is cut"));
    traffic.add_fault(fault(50, (3, 7), "is repaired"));
    traffic.add_fault(fault(60, (7, 7), "loses its power"));
    (recordings, traffic)
}

/// Returns the page's data of the story.
fn story_data() -> Json {
    let (recordings, traffic) = story();
    Json::read(&simulated(&recordings, &traffic).0)
}

/// Returns a list of integers.
fn integers(json: &Json) -> Vec<i64> {
    json.list().iter().map(Json::integer).collect()
}

#[test]
fn a_segment_goes_from_the_group_of_its_sender_to_that_of_its_receiver() {
    let data = story_data();
    let texts = data.get("texts").list();
    let network = data.get("network");
    let flows: Vec<(Vec<i64>, &str)> = network
        .get("flows")
        .list()
        .chunks(6)
        .map(|flow| {
            let numbers = flow[..5].iter().map(Json::integer).collect();
            (numbers, texts[flow[5].integer() as usize].text())
        })
        .collect();
    let expected = [
        (vec![0, 1, 0, 5_000, 1], "data #0, 4 bytes"),
        (
            vec![0, 1, 20_000, 40_000, 0],
            "data #0, 4 bytes, sent again",
        ),
        (vec![1, 0, 95_000, 100_000, 2], "reset"),
    ];
    assert_eq!(flows, expected);
    let faults = network.get("faults").list().chunks(3).map(|fault| {
        let text = texts[fault[2].integer() as usize].text();
        (fault[0].integer(), fault[1].integer(), text)
    });
    let faults: Vec<_> = faults.collect();
    let expected = [
        (4_000, -1, "client ↔ server is cut"),
        (50_000, -1, "client → server is repaired"),
        (60_000, 1, "server loses its power"),
    ];
    assert_eq!(faults, expected);
    assert_eq!(network.get("origin").integer(), 0);
}

#[test]
fn a_host_that_was_started_again_continues_its_group() {
    let data = story_data();
    let groups = data.get("groups").list();
    let names: Vec<&str> = groups
        .iter()
        .map(|group| group.get("name").text())
        .collect();
    assert_eq!(names, ["client", "server"]);
    let server = &groups[1];
    assert_eq!(
        integers(server.get("lives")),
        [10_000, 60_000, 80_000, 100_000]
    );
    assert_eq!(integers(server.get("order")), [0, 1]);
    let lanes = server.get("lanes").list();
    let restarts: Vec<_> = lanes
        .iter()
        .map(|lane| lane.maybe("restart").map(Json::integer))
        .collect();
    assert_eq!(restarts, [None, Some(1)]);
    // The crash has ended the main future, which is neither ready nor waiting afterwards.
    assert_eq!(lanes[0].get("ended").integer(), 60_000);
    assert_eq!(lanes[0].get("polls").list().len(), 6);
    let is_open = |lane: &Json| {
        lane.get("waits")
            .list()
            .chunks(5)
            .any(|wait| wait[4].integer() == 1)
    };
    assert!(!lanes.iter().any(is_open));
}

#[test]
fn the_polls_of_one_moment_have_an_order() {
    let data = story_data();
    let order = integers(data.get("groups").list()[0].get("order"));
    assert_eq!(order, [0, 1, 0, 1]);
}

#[test]
fn the_picture_begins_with_the_simulation_unless_its_beginning_is_overwritten() {
    let (mut recordings, traffic) = story();
    recordings.remove(0);
    let origin = |recordings: &[(u32, Recording)]| {
        let data = Json::read(&simulated(recordings, &traffic).0);
        let first = integers(data.get("groups").list()[0].get("lives"))[0];
        (data.get("network").get("origin").integer(), first)
    };
    assert_eq!(origin(&recordings), (0, 10_000));
    recordings[0].1.lost = 1;
    assert_eq!(origin(&recordings), (10_000, 0));
}

#[test]
fn the_trace_has_the_hosts_as_processes_and_the_segments_as_flows() {
    let (recordings, traffic) = story();
    let (_, trace) = simulated(&recordings, &traffic);
    check_trace(&trace);
    let trace = Json::read(&trace);
    let events = trace.get("traceEvents").list();
    let with = |key: &str, value: &str| {
        let has = move |event: &&Json| {
            event
                .maybe(key)
                .is_some_and(|found| matches!(found, Json::Text(text) if text == value))
        };
        events.iter().filter(has).collect::<Vec<_>>()
    };
    let names: Vec<&str> = with("name", "process_name")
        .iter()
        .map(|event| event.get("args").get("name").text())
        .collect();
    assert_eq!(names, ["client", "server"]);
    let flows: Vec<_> = with("cat", "segment")
        .iter()
        .filter(|event| event.get("ph").text() != "X")
        .map(|event| {
            (
                event.get("ph").text(),
                event.get("pid").integer(),
                event.get("ts").thousandths(),
            )
        })
        .collect();
    assert_eq!(flows, [("s", 1, 20_000), ("f", 2, 40_000)]);
    assert_eq!(with("name", "lost: data #0, 4 bytes").len(), 1);
    assert_eq!(with("cat", "fault").len(), 3);
}

#[test]
fn the_newest_segments_and_faults_are_kept() {
    let mut traffic = Traffic::default();
    for number in 0..20_000 {
        traffic.add(segment(0, 1, number, Fate::OnItsWay, "data"));
        traffic.add_fault(Fault {
            time: number,
            hosts: Some((0, 1)),
            text: "is cut".into(),
        });
    }
    assert_eq!(
        (traffic.segments.len(), traffic.lost, traffic.faults.len()),
        (16_384, 3_616, 1024)
    );
    assert_eq!(traffic.segments[0].sent, micros(3_616));
}

proptest! {
    #[test]
    fn nothing_panics_whatever_the_traffic_contains(
        segments in proptest::collection::vec((0..10u32, 0..10u32, any::<u64>(), any::<u64>(), 0..3u8), 0..40),
        short in proptest::collection::vec((0..10u32, 0..10u32, 0..200_000u64, 0..200_000u64, 0..3u8), 0..40),
        lost in 0..2u64,
    ) {
        let (mut recordings, mut traffic) = story();
        recordings[1].1.lost = lost;
        for (from, to, sent, end, fate) in segments.into_iter().chain(short) {
            let fate = match fate {
                0 => Fate::Arrived(end),
                1 => Fate::Lost(end),
                _ => Fate::OnItsWay,
            };
            traffic.add(Segment { from, to, sent, fate, label: "any".into() });
        }
        let (data, trace) = simulated(&recordings, &traffic);
        check_trace(&trace);
        let data = Json::read(&data);
        let span = data.get("span").integer();
        let mut before = 0;
        for flow in data.get("network").get("flows").list().chunks(6) {
            let (sent, end) = (flow[2].integer(), flow[3].integer());
            prop_assert!(before <= sent && sent <= end);
            prop_assert!(end <= span);
            before = sent;
        }
    }
}
