//! The model of a timeline, its page, its trace and its lists.
//!
//! The checker of the trace knows the Trace Event Format, and nothing of the code that writes it.

use crate::strict_json::Json;
use crate::timeline::event::{Cause, Event, Outcome, Reason, What};
use crate::timeline::recording::{JobInfo, Recording, TaskInfo};
use crate::timeline::{Hand, latest, lists, page, page_data, trace};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// A wake: its time, the lane that made it, and its text.
type ShownWake = (i64, i64, String);

/// A poll: start, length, ready, flags, CPU time, and what led to it.
type ShownPoll = (i64, i64, i64, i64, i64, Option<ShownWake>);

/// A lane of the page's data, with its texts resolved.
#[derive(Clone, Debug, PartialEq)]
struct Shown {
    /// Its kind and its id.
    label: String,
    /// Its polls.
    polls: Vec<ShownPoll>,
    /// Start, length, text, kind and flags.
    waits: Vec<(i64, i64, String, i64, i64)>,
}

/// Returns the lanes of the only group of the page's data.
fn shown(recordings: &[Recording]) -> Vec<Shown> {
    let data = Json::read(&page_data(recordings));
    let texts = data.get("texts").list();
    let text = |index: &Json| String::from(texts[index.integer() as usize].text());
    let mut shown = Vec::new();
    for group in data.get("groups").list() {
        let wakes: Vec<&[Json]> = group.get("wakes").list().chunks(3).collect();
        for lane in group.get("lanes").list() {
            let (kind, id) = (lane.get("kind").text(), lane.get("id").integer());
            let polls = lane.get("polls").list().chunks(6).map(|poll| {
                let [start, length, ready, wake, flags, cpu] =
                    std::array::from_fn(|index| poll[index].integer());
                let wake = usize::try_from(wake).ok().map(|wake| wakes[wake]);
                let wake = wake.map(|wake| (wake[0].integer(), wake[1].integer(), text(&wake[2])));
                (start, length, ready, flags, cpu, wake)
            });
            let waits = lane.get("waits").list().chunks(5).map(|wait| {
                let number = |index: usize| wait[index].integer();
                (number(0), number(1), text(&wait[2]), number(3), number(4))
            });
            shown.push(Shown {
                label: format!("{kind} {id}"),
                polls: polls.collect(),
                waits: waits.collect(),
            });
        }
    }
    shown
}

/// Returns a lane by its label.
#[track_caller]
fn lane<'a>(lanes: &'a [Shown], label: &str) -> &'a Shown {
    let lane = lanes.iter().find(|lane| lane.label == label);
    lane.unwrap_or_else(|| panic!("there is no {label} in {lanes:?}"))
}

/// A server that reads, a task that yields and then waits for another thread, and the end of the server.
fn story() -> [Recording; 1] {
    let mut hand = Hand::default();
    hand.text(7, "read tcp a → b")
        .text(8, "lock \"x\"")
        .name(1, "server", "src/main.rs:3");
    hand.name(0, "never shown", "src/main.rs:1");
    hand.spawn(2, 1, 0)
        .spawn(4, 2, 0)
        .wait(8, 0, Reason::Task(1))
        .poll(0, 10, 0);
    hand.wait(28, 1, Reason::Socket { text: 7 });
    hand.wait(29, 1, Reason::Deadline { micros: 19_998 })
        .poll(10, 30, 1);
    hand.wake(35, 2, Cause::Task(2)).poll(30, 40, 2);
    hand.wait(45, 2, Reason::Declared { text: 8 })
        .poll(40, 50, 2);
    hand.wake(90, 2, Cause::Thread)
        .park(50, 100)
        .event(100, What::Ready { text: 7 });
    hand.wake(101, 1, Cause::Socket);
    // The end of a task is stamped before it wakes the task that awaits it.
    hand.polled(102, 150, 1, Outcome::Ready)
        .wake(151, 0, Cause::Task(1));
    hand.poll(150, 400, 2)
        .event(400, What::OnCore { nanos: 9000 });
    hand.polled(400, 420, 0, Outcome::Ready);
    hand.done(500)
}

#[test]
fn the_model_names_each_poll_wait_and_wake() {
    let lanes = shown(&story());
    let wake = |time, by, text: &str| Some((time, by, String::from(text)));
    let main = lane(&lanes, "main 0");
    assert_eq!(
        main.polls,
        [
            (0, 10_000, 0, 0, -1, None),
            (
                400_000,
                20_000,
                151_000,
                1,
                -1,
                wake(151_000, 1, "it ended")
            ),
        ]
    );
    let join = String::from("join task 1 \"server\"");
    assert_eq!(main.waits, [(10_000, 141_000, join, 2, 0)]);
    let server = lane(&lanes, "task 1");
    let ready = wake(101_000, -1, "ready: read tcp a → b");
    assert_eq!(
        server.polls,
        [
            (10_000, 20_000, 2000, 0, -1, wake(2000, 0, "spawned")),
            (102_000, 48_000, 101_000, 1, -1, ready),
        ]
    );
    let reasons = String::from("read tcp a → b or sleep 20 ms");
    assert_eq!(server.waits, [(30_000, 71_000, reasons, 0, 0)]);
    let other = lane(&lanes, "task 2");
    assert_eq!(
        other.polls,
        [
            (30_000, 10_000, 4000, 0, -1, wake(4000, 0, "spawned")),
            // It was woken during its poll, so it is ready from the end of that.
            (40_000, 10_000, 40_000, 0, -1, wake(35_000, 2, "itself")),
            (
                150_000,
                250_000,
                90_000,
                0,
                9000,
                wake(90_000, -1, "another thread")
            ),
        ]
    );
    let outside = String::from("something outside glassfrog");
    assert_eq!(
        other.waits,
        [
            (50_000, 40_000, String::from("lock \"x\""), 4, 0),
            (400_000, 100_000, outside, 5, 1),
        ]
    );
    let data = Json::read(&page_data(&story()));
    let group = &data.get("groups").list()[0];
    let numbers = |key| -> Vec<i64> { group.get(key).list().iter().map(Json::integer).collect() };
    assert_eq!(numbers("parks"), [50_000, 50_000]);
    let queue = [
        [2000, 1],
        [4000, 2],
        [10_000, 1],
        [30_000, 0],
        [90_000, 1],
        [101_000, 2],
        [102_000, 1],
        [150_000, 0],
        [151_000, 1],
        [400_000, 0],
    ];
    assert_eq!(numbers("queue"), queue.concat());
    assert_eq!(data.get("span").integer(), 500_000);
    assert_eq!(group.get("lanes").list()[1].get("ended").integer(), 150_000);
    assert_eq!(
        group.get("lanes").list()[1].get("place").text(),
        "src/main.rs:3"
    );
}

#[test]
fn the_lists_name_the_task_and_the_one_before_it() {
    let (polls, starts) = lists(&story(), 2);
    assert_eq!(
        polls,
        [
            "250 µs at 150 µs, 9 µs on a core: task 2",
            "48 µs at 102 µs: task 1 \"server\" (src/main.rs:3)",
        ]
    );
    assert_eq!(
        starts,
        [
            "249 µs late at 400 µs: main (src/main.rs:1), behind task 2, which ran for 249 µs",
            "60 µs late at 150 µs: task 2, behind task 1 \"server\" (src/main.rs:3), which ran for 48 µs",
        ]
    );
    assert_eq!(
        latest(&story(), 3),
        [
            "    0.000400 s  task 2 ran for 250 µs",
            "    0.000400 s  of which 9 µs on a core",
            "    0.000420 s  main ran for 20 µs, and ended",
        ]
    );
}

#[test]
fn the_trace_of_a_short_story_is_this() {
    let mut hand = Hand::default();
    hand.spawn(2, 1, 0)
        .wait(3, 0, Reason::Task(1))
        .poll(0, 4, 0);
    hand.polled(4, 9, 1, Outcome::Ready)
        .wake(10, 0, Cause::Task(1));
    hand.event(
        12,
        What::Marked {
            task: Some(0),
            text: 1,
        },
    )
    .text(1, "<half>")
    .polled(11, 13, 0, Outcome::Panicked);
    let trace = trace(&hand.done(13));
    let expected = r#"{"displayTimeUnit":"ms","otherData":{"title":"title","lost":"0"},"traceEvents":[
{"ph":"M","pid":1,"tid":1,"name":"process_name","args":{"name":"glassfrog"}},
{"ph":"M","pid":1,"tid":1,"name":"process_sort_index","args":{"sort_index":1}},
{"ph":"M","pid":1,"tid":1,"name":"thread_name","args":{"name":"loop"}},
{"ph":"M","pid":1,"tid":1,"name":"thread_sort_index","args":{"sort_index":0}},
{"ph":"M","pid":1,"tid":2,"name":"thread_name","args":{"name":"main"}},
{"ph":"M","pid":1,"tid":2,"name":"thread_sort_index","args":{"sort_index":2}},
{"ph":"M","pid":1,"tid":3,"name":"thread_name","args":{"name":"task 1"}},
{"ph":"M","pid":1,"tid":3,"name":"thread_sort_index","args":{"sort_index":3}},
{"ph":"X","pid":1,"tid":1,"name":"main","ts":0,"dur":4,"cat":"poll","args":{}},
{"ph":"X","pid":1,"tid":1,"name":"task 1","ts":4,"dur":5,"cat":"poll","args":{}},
{"ph":"X","pid":1,"tid":1,"name":"main","ts":11,"dur":2,"cat":"poll","args":{}},
{"ph":"X","pid":1,"tid":2,"name":"poll","ts":0,"dur":4,"cat":"poll","args":{}},
{"ph":"X","pid":1,"tid":2,"name":"ready, not running","ts":10,"dur":1,"cat":"ready","args":{}},
{"ph":"X","pid":1,"tid":2,"name":"poll","ts":11,"dur":2,"cat":"poll","args":{"woken by":"task 1","why":"it ended","outcome":"panicked"}},
{"ph":"b","pid":1,"tid":2,"name":"join task 1","ts":4,"cat":"wait","id2":{"local":"0x1"}},
{"ph":"e","pid":1,"tid":2,"name":"join task 1","ts":10,"cat":"wait","id2":{"local":"0x1"}},
{"ph":"X","pid":1,"tid":3,"name":"ready, not running","ts":2,"dur":2,"cat":"ready","args":{}},
{"ph":"X","pid":1,"tid":3,"name":"poll","ts":4,"dur":5,"cat":"poll","args":{"woken by":"main","why":"spawned","outcome":"ended"}},
{"ph":"s","pid":1,"tid":3,"name":"wake","ts":8.999,"cat":"wake","id":1},
{"ph":"f","pid":1,"tid":2,"name":"wake","ts":11,"cat":"wake","id":1,"bp":"e"},
{"ph":"s","pid":1,"tid":2,"name":"wake","ts":2,"cat":"wake","id":2},
{"ph":"f","pid":1,"tid":3,"name":"wake","ts":4,"cat":"wake","id":2,"bp":"e"},
{"ph":"C","pid":1,"tid":1,"name":"run queue","ts":2,"args":{"tasks":1}},
{"ph":"C","pid":1,"tid":1,"name":"run queue","ts":4,"args":{"tasks":0}},
{"ph":"C","pid":1,"tid":1,"name":"run queue","ts":10,"args":{"tasks":1}},
{"ph":"C","pid":1,"tid":1,"name":"run queue","ts":11,"args":{"tasks":0}},
{"ph":"i","pid":1,"tid":2,"name":"\u003chalf>","ts":12,"cat":"mark","s":"t"}]}
"#;
    assert_eq!(trace, expected);
    check_trace(&trace);
}

#[test]
fn what_began_before_the_oldest_event_is_unknown_and_not_zero() {
    let mut hand = Hand::default();
    hand.0.lost = 1000;
    for task in 1..6 {
        hand.name(task, "old", "src/main.rs:1");
    }
    // Its wake is there, but not the poll before it. The first poll of the picture may have lost its reasons.
    hand.event(100, What::Ready { text: 1 })
        .wake(120, 1, Cause::Socket);
    hand.wake(140, 3, Cause::Task(2))
        .poll(90, 150, 2)
        .poll(150, 160, 1)
        .poll(160, 170, 4);
    let lanes = shown(&hand.done(200));
    let unknown = "unknown: the wait began before the oldest event";
    let wait = |start, length, flags| (start, length, String::from(unknown), 5, flags);
    let of = |label| lane(&lanes, label).waits.clone();
    assert_eq!(of("task 1")[0], wait(0, 30_000, 0));
    assert_eq!(of("task 1")[1].2, "something outside glassfrog");
    // Its poll began before the first event.
    assert_eq!(of("task 2"), [wait(60_000, 50_000, 1)]);
    // It is ready and has not run.
    assert_eq!(of("task 3"), [wait(0, 50_000, 0)]);
    let [turn] = &lane(&lanes, "task 3").polls[..] else {
        panic!("it has one poll, which has not begun");
    };
    assert_eq!(
        (turn.0, turn.1, turn.2, turn.3),
        (110_000, 0, 50_000, NOT_BEGUN)
    );
    // Its wake is lost, so nobody knows how long it waited and was ready.
    assert_eq!(of("task 4").len(), 1);
    assert_eq!(
        lane(&lanes, "task 4").polls,
        [(70_000, 10_000, 70_000, 0, -1, None)]
    );
    // It lives, and nothing has happened to it.
    assert_eq!(of("task 5"), [wait(0, 110_000, 1)]);
    let (_, starts) = lists(&hand.done(200), 9);
    assert_eq!(starts.len(), 2, "{starts:?}");
    assert!(
        starts[0].starts_with("60 µs so far: task 3 \"old\""),
        "{starts:?}"
    );
}

#[test]
fn a_poll_that_blocks_the_loop_is_in_the_picture_with_all_that_wait_behind_it() {
    let mut hand = Hand::default();
    hand.spawn(1, 1, 0)
        .spawn(2, 2, 0)
        .poll(0, 10, 0)
        .wake(3_000, 0, Cause::Thread);
    hand.0.running = Some((1, 10_000));
    let recording = hand.done(5_000);
    let (polls, starts) = lists(&recording, 9);
    assert_eq!(polls[0], "4.99 ms at 10 µs, not returned yet: task 1");
    assert_eq!(
        starts[..2],
        [
            "5 ms so far: task 2, behind task 1, which ran for 4.99 ms",
            "2 ms so far: main, behind task 1, which ran for 2 ms",
        ]
    );
    check_trace(&trace(&recording));
}

#[test]
fn the_polls_of_children_are_not_counted_twice() {
    let mut hand = Hand::default();
    hand.child(5, 1).child(6, 1);
    hand.spawn(1, 5, 1)
        .spawn(2, 6, 1)
        .poll(3, 40, 5)
        .wake(45, 1, Cause::Task(6))
        .poll(40, 60, 6);
    hand.wait(65, 1, Reason::Children).poll(0, 70, 1);
    // Later, another child runs while this is written.
    hand.child(7, 1)
        .wake(80, 1, Cause::Thread)
        .wake(80, 7, Cause::Thread);
    hand.0.running = Some((7, 100_000));
    let recording = hand.done(120);
    let lanes = shown(&recording);
    assert_eq!(lane(&lanes, "child 5").polls[0].1, 37_000);
    assert_eq!(
        lane(&lanes, "task 1").polls.len(),
        2,
        "that of the running child, too"
    );
    let (_, starts) = lists(&recording, 1);
    assert_eq!(
        starts,
        ["38 µs late at 40 µs: child 6, behind child 5, which ran for 37 µs"]
    );
    check_trace(&trace(&recording));
}

#[test]
fn a_child_in_the_first_microsecond_of_a_poll_of_seconds_is_inside_it() {
    let mut hand = Hand::default();
    let event = |time, task, length| Event {
        time,
        what: What::Polled {
            task,
            length,
            outcome: Outcome::Pending,
        },
    };
    hand.child(2, 1);
    // The event of the parent lacks its last 400 nanoseconds.
    let long = 6_000_000_000;
    hand.0.events = vec![event(900, 2, 700), event(200 + long + 400, 1, long)];
    let recording = hand.done(7_000_000);
    let lanes = shown(&recording);
    assert_eq!((lanes[0].polls[0].0, lanes[0].polls[0].1), (0, 700));
    assert_eq!(
        (lanes[1].polls[0].0, lanes[1].polls[0].1),
        (0, long as i64 + 400)
    );
    check_trace(&trace(&recording));
}

#[test]
fn a_wake_by_another_thread_belongs_to_the_poll_after_it() {
    let mut hand = Hand::default();
    hand.spawn(1, 1, 0).poll(0, 10, 0);
    // During its poll, at a time before other events of the loop.
    hand.wake(15, 1, Cause::Thread)
        .wake(18, 1, Cause::Task(1))
        .poll(10, 20, 1)
        .poll(20, 30, 1);
    // The loop learned of the first wake only after the poll that the second one led to.
    hand.wake(32, 1, Cause::Deadline)
        .wake(33, 1, Cause::Thread)
        .poll(40, 50, 1)
        .poll(60, 70, 1);
    let lanes = shown(&hand.done(70));
    let task = lane(&lanes, "task 1");
    let woken: Vec<(i64, i64, &str)> = task
        .polls
        .iter()
        .map(|poll| (poll.0, poll.2, poll.5.as_ref().map_or("-", |wake| &wake.2)))
        .collect();
    assert_eq!(
        woken,
        [
            (10_000, 1000, "spawned"),
            // A message puts the task into the run queue later than a wake on the thread of the loop.
            (20_000, 20_000, "itself"),
            (40_000, 32_000, "its deadline passed"),
            // Nobody knows since when it was ready.
            (60_000, 60_000, "another thread"),
        ]
    );
    let outside = |start, length| {
        (
            start,
            length,
            String::from("something outside glassfrog"),
            5,
            0,
        )
    };
    assert_eq!(task.waits, [outside(30_000, 2000), outside(50_000, 10_000)]);
}

#[test]
fn a_wake_by_another_thread_does_not_hide_that_of_the_loop() {
    let mut hand = Hand::default();
    hand.spawn(0, 1, 0).poll(0, 0, 0);
    // Under a virtual clock, the end of the job has the time of the polls around it, and comes last.
    let sleep = Reason::Deadline { micros: 1000 };
    hand.wait(0, 1, Reason::Job(2))
        .poll(0, 0, 1)
        .wait(0, 1, sleep)
        .poll(0, 0, 1);
    hand.event(0, What::Ended { job: 2 })
        .wake(0, 1, Cause::Job(2));
    hand.wake(1000, 1, Cause::Deadline)
        .poll(1000, 1000, 1)
        .poll(9000, 9000, 1);
    let recording = hand.done(9000);
    let lanes = shown(&recording);
    let polls = &lane(&lanes, "task 1").polls;
    assert_eq!(polls[2].2, 1_000_000, "it is not a millisecond late");
    assert_eq!(polls[2].5.as_ref().unwrap().2, "its deadline passed");
    assert_eq!(
        polls[3].2, 9_000_000,
        "nobody knows when the loop learned of it"
    );
    assert_eq!(lists(&recording, 9).1, <[&str; 0]>::default());
}

#[test]
fn a_deadline_that_passes_during_a_poll_makes_its_task_ready_at_once() {
    let mut hand = Hand::default();
    hand.child(3, 0);
    let sleep = |micros| Reason::Deadline { micros };
    hand.spawn(1, 1, 0)
        .spawn(1, 2, 0)
        .wait(1, 3, sleep(8))
        .poll(1, 2, 3);
    hand.wait(2, 0, Reason::Children).poll(0, 5, 0);
    // From the time at which the wait is recorded, not from the end of the poll.
    hand.wait(5, 1, sleep(20))
        .poll(5, 10, 1)
        .polled(10, 70, 2, Outcome::Ready);
    // This turn of the reactor did not wait.
    hand.park(70, 71).event(71, What::Fired { count: 2 });
    hand.wake(72, 1, Cause::Deadline)
        .wake(72, 0, Cause::Deadline);
    hand.wait(73, 1, sleep(10)).poll(72, 74, 1).poll(74, 76, 0);
    // This one waited, and ended late.
    hand.park(76, 90)
        .wake(91, 1, Cause::Deadline)
        .poll(91, 92, 1);
    let lanes = shown(&hand.done(100));
    let ready = |label, poll: usize| lane(&lanes, label).polls[poll].2;
    assert_eq!(ready("task 1", 1), 25_000);
    assert_eq!(ready("main 0", 1), 9000, "the deadline of its child");
    assert_eq!(ready("task 1", 2), 90_000);
    let rest = String::from("sleep 15 µs");
    assert_eq!(
        lane(&lanes, "task 1").waits[0],
        (10_000, 15_000, rest, 1, 0)
    );
    let (_, starts) = lists(&hand.done(100), 1);
    assert_eq!(
        starts,
        ["65 µs late at 74 µs: main, behind task 2, which ran for 60 µs"]
    );
}

#[test]
fn jobs_are_queued_run_and_wake() {
    let mut hand = Hand::default();
    let lookup = JobInfo {
        is_lookup: true,
        name: Some(String::from("example.com")),
        ..JobInfo::default()
    };
    hand.0.jobs.insert(3, lookup);
    hand.event(
        2,
        What::Queued {
            job: 3,
            by: Some(0),
        },
    )
    .wait(5, 0, Reason::Job(3))
    .poll(0, 10, 0);
    hand.event(20, What::Began { job: 3 })
        .event(90, What::Ended { job: 3 });
    hand.wake(91, 0, Cause::Job(3)).poll(95, 99, 0);
    // Cancelled, and still in the queue.
    hand.event(96, What::Queued { job: 4, by: None })
        .event(97, What::Ended { job: 4 });
    hand.event(98, What::Queued { job: 5, by: None });
    let recording = hand.done(100);
    let lanes = shown(&recording);
    let wake = Some((2000, 1, String::from("spawned")));
    let job = lane(&lanes, "lookup 3");
    assert_eq!(job.polls, [(20_000, 70_000, 2000, 1, -1, wake)]);
    let main = lane(&lanes, "main 0");
    assert_eq!(main.waits[0].2, "lookup 3 \"example.com\"");
    assert_eq!(main.polls[1].5, Some((91_000, 0, String::from("it ended"))));
    let thread = String::from("a thread for blocking jobs");
    assert_eq!(
        lane(&lanes, "job 4").waits,
        [(96_000, 1000, thread.clone(), 3, 0)]
    );
    assert_eq!(lane(&lanes, "job 5").waits, [(98_000, 2000, thread, 3, 1)]);
    check_trace(&trace(&recording));
}

#[test]
fn a_job_that_is_older_than_the_ring_does_not_stretch_the_picture() {
    let mut hand = Hand::default();
    hand.0.lost = 5;
    let hour = 3_600_000_000;
    let job = JobInfo {
        queued: Some(0),
        began: Some(1000),
        ..JobInfo::default()
    };
    hand.0.jobs.insert(2, job);
    hand.event(1, What::Queued { job: 1, by: None })
        .event(9, What::Began { job: 1 });
    hand.poll(hour, hour + 10, 0)
        .event(hour + 15, What::Ended { job: 1 })
        .wake(hour + 15, 0, Cause::Job(1));
    hand.poll(hour + 20, hour + 30, 0);
    let recording = hand.done(hour + 50);
    let data = Json::read(&page_data(&recording));
    assert_eq!(data.get("span").integer(), 50_000);
    let lanes = shown(&recording);
    // Their true lengths remain.
    let ns = hour as i64 * 1000;
    assert_eq!(lane(&lanes, "job 1").polls[0].1, ns + 15_000 - 9000);
    assert_eq!(lane(&lanes, "job 2").polls[0].1, ns + 50_000 - 1000);
    check_trace(&trace(&recording));
}

#[test]
fn what_has_ended_neither_waits_nor_runs_if_its_end_is_overwritten() {
    let mut hand = Hand::default();
    hand.poll(100, 110, 1);
    hand.0.lost = 1;
    for (number, is_over) in [(2, true), (3, false)] {
        let spawned = Some(5);
        hand.0.tasks.insert(
            number,
            TaskInfo {
                spawned,
                is_over,
                ..TaskInfo::default()
            },
        );
        hand.0.jobs.insert(
            number + 10,
            JobInfo {
                began: spawned,
                is_over,
                ..JobInfo::default()
            },
        );
    }
    let lanes: Vec<String> = shown(&hand.done(200))
        .into_iter()
        .map(|lane| lane.label)
        .collect();
    assert_eq!(lanes, ["task 1", "job 13", "task 3"]);
}

#[test]
fn a_number_that_is_used_again_is_another_task() {
    let mut hand = Hand::default();
    hand.name(1, "second", "src/main.rs:2");
    hand.spawn(1, 1, 0)
        .poll(0, 5, 0)
        .polled(5, 9, 1, Outcome::Ready);
    hand.spawn(11, 1, 0)
        .polled(10, 15, 0, Outcome::Ready)
        .polled(15, 19, 1, Outcome::Aborted);
    // The next `block_on`.
    hand.polled(30, 40, 0, Outcome::Ready);
    let recording = hand.done(50);
    let lanes = shown(&recording);
    let labels: Vec<&str> = lanes.iter().map(|lane| lane.label.as_str()).collect();
    assert_eq!(labels, ["main 0", "task 1", "task 1"]);
    assert_eq!(lanes[0].polls.len(), 3);
    let data = Json::read(&page_data(&recording));
    let lanes = data.get("groups").list()[0].get("lanes").list();
    assert_eq!(
        lanes[1].get("name"),
        &Json::Null,
        "nothing is known of the first"
    );
    assert_eq!(lanes[2].get("name").text(), "second");
}

#[test]
fn under_a_virtual_clock_polls_have_no_length_and_their_own_wakes() {
    let mut hand = Hand::default();
    hand.spawn(0, 1, 0)
        .wait(0, 0, Reason::Task(1))
        .poll(0, 0, 0);
    hand.wake(0, 1, Cause::Task(1)).poll(0, 0, 1);
    hand.wait(0, 1, Reason::Deadline { micros: 50 })
        .poll(0, 0, 1);
    hand.event(50, What::Fired { count: 1 })
        .wake(50, 1, Cause::Deadline);
    hand.polled(50, 50, 1, Outcome::Ready)
        .wake(50, 0, Cause::Task(1))
        .polled(50, 50, 0, Outcome::Ready);
    let recording = hand.done(50);
    let lanes = shown(&recording);
    let texts = |label| -> Vec<&str> {
        let polls = lane(&lanes, label).polls.iter();
        polls
            .map(|poll| poll.5.as_ref().map_or("-", |wake| &*wake.2))
            .collect()
    };
    assert_eq!(texts("main 0"), ["-", "it ended"]);
    assert_eq!(
        texts("task 1"),
        ["spawned", "itself", "its deadline passed"]
    );
    assert_eq!(
        lane(&lanes, "task 1").waits,
        [(0, 50_000, String::from("sleep 50 µs"), 1, 0)]
    );
    check_trace(&trace(&recording));
}

#[test]
fn several_runtimes_share_one_scale() {
    let first = Instant::now();
    let mut hands = [Hand::default(), Hand::default()];
    hands[1].0.created = Some(first + Duration::from_micros(500));
    hands[0].0.created = Some(first);
    hands[0].0.name = String::from("worker 0");
    hands[1].0.name = String::from("worker 1");
    hands[0].poll(100, 110, 0).done(700);
    hands[1].poll(100, 110, 0).done(200);
    let recordings = hands.map(|hand| hand.0);
    let lanes = shown(&recordings);
    assert_eq!((lanes[0].polls[0].0, lanes[1].polls[0].0), (0, 500_000));
    check_trace(&trace(&recordings));
    assert_eq!(
        latest(&recordings, 1),
        ["    0.000510 s  worker 1: main ran for 10 µs"]
    );
    let (polls, _) = lists(&recordings, 1);
    assert_eq!(polls, ["10 µs at 0 ns: main on worker 0"]);
}

#[test]
fn hostile_names_do_no_harm() {
    let hostile = "</script><!--\u{2028}\u{202e}\"\\\n\u{0}\u{1f438}/*DATA*/'";
    let mut hand = Hand::default();
    hand.0.name = String::from(hostile);
    hand.name(1, hostile, hostile)
        .text(1, hostile)
        .text(2, hostile);
    hand.spawn(1, 1, 0)
        .wait(2, 0, Reason::Task(1))
        .poll(0, 5, 0);
    hand.event(
        6,
        What::Marked {
            task: Some(1),
            text: 2,
        },
    );
    hand.wait(7, 1, Reason::Declared { text: 1 }).poll(5, 10, 1);
    let job = JobInfo {
        name: Some(String::from(hostile)),
        ..JobInfo::default()
    };
    hand.0.jobs.insert(1, job);
    let recording = hand.done(20);
    let page = page(&recording, hostile);
    let begin = page.find("id=\"data\">").unwrap() + "id=\"data\">".len();
    let end = begin + page[begin..].find("</script>").unwrap();
    let data = &page[begin..end];
    for bad in ['<', '\u{2028}', '\u{202e}', '\n'] {
        assert!(!data.contains(bad), "{bad:?}");
    }
    let data = Json::read(data);
    assert_eq!(data.get("title").text(), hostile);
    let group = &data.get("groups").list()[0];
    assert_eq!(group.get("name").text(), hostile);
    let lane = &group.get("lanes").list()[1];
    assert_eq!(lane.get("name").text(), hostile);
    let texts: Vec<&str> = data.get("texts").list().iter().map(Json::text).collect();
    assert!(texts.contains(&hostile));
    let trace = trace(&recording);
    assert!(!trace.contains('<') && !trace.contains('\u{202e}'));
    check_trace(&trace);
    let (polls, starts) = lists(&recording, 9);
    for line in [polls, starts, latest(&recording, 99)].concat() {
        assert!(
            line.starts_with(char::is_numeric) || line.starts_with(' '),
            "{line}"
        );
    }
}

// ---- The checker of the trace --------------------------------------------------------------------------------

/// A slice of a track: its begin and its end in nanoseconds.
type Slice = (i64, i64);

/// Checks a text in the Trace Event Format, of which it knows only the format.
#[track_caller]
pub(crate) fn check_trace(text: &str) -> usize {
    let trace = Json::read(text);
    let events = trace.get("traceEvents").list();
    let key = |event: &Json| (event.get("pid").integer(), event.get("tid").integer());
    let mut slices: BTreeMap<(i64, i64), Vec<Slice>> = BTreeMap::new();
    let mut names: BTreeMap<(String, i64, i64), &Json> = BTreeMap::new();
    let mut used = BTreeSet::new();
    for event in events {
        let ph = event.get("ph").text();
        if ph == "M" {
            let name = String::from(event.get("name").text());
            let (pid, tid) = key(event);
            let tid = if name.starts_with("process") { 0 } else { tid };
            let before = names.insert((name.clone(), pid, tid), event.get("args"));
            assert!(before.is_none(), "{name} of {pid} {tid} is given twice");
            continue;
        }
        used.insert(key(event));
        if ph == "X" {
            let begin = event.get("ts").thousandths();
            let end = begin + event.get("dur").thousandths();
            slices.entry(key(event)).or_default().push((begin, end));
        }
    }
    for (pid, tid) in used {
        let name = |name: &str, tid| names.get(&(String::from(name), pid, tid));
        name("thread_name", tid).unwrap().get("name").text();
        name("thread_sort_index", tid)
            .unwrap()
            .get("sort_index")
            .integer();
        name("process_name", 0).unwrap().get("name").text();
    }
    for (track, slices) in &mut slices {
        slices.sort_by_key(|(begin, end)| (*begin, -end));
        let mut open: Vec<i64> = Vec::new();
        for &(begin, end) in &*slices {
            while open.last().is_some_and(|last| *last <= begin) {
                open.pop();
            }
            assert!(
                open.last().is_none_or(|last| end <= *last),
                "{track:?}: {begin} to {end} overlaps"
            );
            open.push(end);
        }
    }
    // Within a slice, or at the moment of one without a length.
    let is_on_slice = |event: &Json| {
        let ts = event.get("ts").thousandths();
        let slices = slices.get(&key(event)).map_or(&[][..], Vec::as_slice);
        slices
            .iter()
            .any(|(begin, end)| (*begin..*end).contains(&ts) || (*begin == ts && ts == *end))
    };
    let mut flows: BTreeMap<i64, &Json> = BTreeMap::new();
    let mut waits: BTreeMap<(i64, String), &Json> = BTreeMap::new();
    let mut done = BTreeSet::new();
    for event in events {
        let pair = |other: &Json| {
            let ts = |event: &Json| event.get("ts").thousandths();
            assert!(ts(other) <= ts(event), "{event:?} is before {other:?}");
            // A segment goes from one process to another.
            let is_segment = event.get("cat").text() == "segment";
            for key in &["pid", "cat", "name"][usize::from(is_segment)..] {
                assert_eq!(other.get(key), event.get(key));
            }
        };
        match event.get("ph").text() {
            "s" => {
                assert!(is_on_slice(event), "{event:?} begins on no slice");
                let id = event.get("id").integer();
                assert!(flows.insert(id, event).is_none(), "two flows {id}");
            }
            "f" => {
                assert!(is_on_slice(event), "{event:?} ends on no slice");
                assert_eq!(event.get("bp").text(), "e");
                pair(flows.remove(&event.get("id").integer()).expect("a begin"));
            }
            ph @ ("b" | "e") => {
                let id = event.get("id2").get("local").text();
                let id = (event.get("pid").integer(), String::from(id));
                if ph == "b" {
                    assert!(done.insert(id.clone()), "{id:?} is not its own");
                    waits.insert(id, event);
                } else {
                    pair(waits.remove(&id).expect("a begin"));
                }
            }
            "C" => {
                let Json::Object(values) = event.get("args") else {
                    panic!("a counter without values");
                };
                assert!(values.values().all(|value| value.integer() >= 0));
            }
            "i" => assert!(["t", "p", "g"].contains(&event.get("s").text())),
            "M" | "X" => {}
            other => panic!("unknown: {other}"),
        }
    }
    assert!(flows.is_empty() && waits.is_empty(), "{flows:?} {waits:?}");
    events.len()
}

#[test]
fn the_checker_finds_faults() {
    let good = trace(&story());
    check_trace(&good);
    for (from, to) in [
        ("\"dur\":20,", "\"dur\":200,"),
        ("\"ph\":\"e\",", "\"ph\":\"i\","),
        ("\"id\":1,\"bp\"", "\"id\":77,\"bp\""),
        ("\"bp\":\"e\"", "\"bp\":\"x\""),
        ("\"name\":\"thread_name\"", "\"name\":\"thread\""),
        ("\"0x2\"", "\"0x1\""),
        (
            "\"ph\":\"s\",\"pid\":1,\"tid\":3",
            "\"ph\":\"s\",\"pid\":1,\"tid\":1000",
        ),
        (",\n", ",,\n"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(good, bad, "{from}");
        let found = std::panic::catch_unwind(|| check_trace(&bad));
        assert!(found.is_err(), "{from} → {to}");
    }
}

// ---- Random recordings ---------------------------------------------------------------------------------------

/// Returns any event.
fn any_event() -> impl Strategy<Value = Event> {
    let (task, job, text) = (0..6u32, 0..4u32, 0..5u32);
    let maybe = proptest::option::of(0..6u32);
    let length =
        prop_oneof![8 => 0..500u64, 1 => 4_294_960_000..4_294_970_000u64, 1 => any::<u64>()];
    let outcome = prop_oneof![
        6 => Just(Outcome::Pending), 1 => Just(Outcome::Ready), 1 => Just(Outcome::Panicked), 1 => Just(Outcome::Aborted),
    ];
    let cause = prop_oneof![
        (0..6u32).prop_map(Cause::Task),
        Just(Cause::Socket),
        Just(Cause::Deadline),
        (0..4u32).prop_map(Cause::Job),
        Just(Cause::Thread),
        Just(Cause::Abort),
        Just(Cause::Loop),
    ];
    let reason = prop_oneof![
        (0..5u32).prop_map(|text| Reason::Socket { text }),
        any::<u32>().prop_map(|micros| Reason::Deadline { micros }),
        (0..6u32).prop_map(Reason::Task),
        Just(Reason::Children),
        (0..4u32).prop_map(Reason::Job),
        (0..5u32).prop_map(|text| Reason::Declared { text }),
    ];
    let what = prop_oneof![
        1 => (task.clone(), maybe.clone()).prop_map(|(task, by)| What::Spawned { task, by }),
        6 => (task.clone(), length.clone(), outcome).prop_map(|(task, length, outcome)| What::Polled { task, length, outcome }),
        1 => any::<u64>().prop_map(|nanos| What::OnCore { nanos }),
        4 => (task.clone(), cause).prop_map(|(task, cause)| What::Woken { task, cause }),
        3 => (task, reason).prop_map(|(task, reason)| What::Waits { task, reason }),
        1 => text.clone().prop_map(|text| What::Ready { text }),
        1 => length.prop_map(|length| What::Parked { length }),
        1 => any::<u32>().prop_map(|count| What::Fired { count }),
        1 => (job.clone(), maybe.clone()).prop_map(|(job, by)| What::Queued { job, by }),
        1 => job.clone().prop_map(|job| What::Began { job }),
        1 => job.prop_map(|job| What::Ended { job }),
        1 => (maybe, text).prop_map(|(task, text)| What::Marked { task, text }),
    ];
    let time = prop_oneof![20 => 0..2000u64, 1 => any::<u64>()];
    (time, what).prop_map(|(time, what)| Event { time, what })
}

/// Returns a recording in which anything may stand.
fn any_recording() -> impl Strategy<Value = Recording> {
    let tasks = proptest::collection::hash_map(
        0..8u32,
        (
            proptest::option::of(".{0,8}"),
            proptest::option::of(0..3000u64),
            proptest::option::of(0..8u32),
            proptest::option::of(0..8u32),
        ),
        0..8,
    );
    let jobs = proptest::collection::hash_map(
        0..5u32,
        (
            any::<bool>(),
            proptest::option::of(0..3000u64),
            proptest::option::of(0..3000u64),
        ),
        0..5,
    );
    (
        proptest::collection::vec(any_event(), 0..60),
        0..3u64,
        prop_oneof![0..3000u64, any::<u64>()],
        proptest::option::of((0..6u32, 0..3000u64)),
        tasks,
        jobs,
    )
        .prop_map(|(mut events, lost, now, running, tasks, jobs)| {
            events.sort_by_key(|event| event.time);
            let tasks = tasks
                .into_iter()
                .map(|(task, (name, spawned, by, parent))| {
                    let info = TaskInfo {
                        name,
                        place: None,
                        spawned,
                        by,
                        parent,
                        is_over: spawned.is_some_and(|time| time % 3 == 0),
                    };
                    (task, info)
                });
            let jobs = jobs.into_iter().map(|(job, (is_lookup, queued, began))| {
                (
                    job,
                    JobInfo {
                        is_lookup,
                        queued,
                        began,
                        is_over: began.is_some_and(|time| time % 3 == 0),
                        ..JobInfo::default()
                    },
                )
            });
            Recording {
                events,
                lost,
                now,
                running,
                tasks: tasks.collect(),
                jobs: jobs.collect(),
                texts: [(0, String::from("zero")), (1, String::from("one"))].into(),
                ..Recording::default()
            }
        })
}

/// The flag of a poll that has not begun, of a task that is ready at the end.
const NOT_BEGUN: i64 = 4;

proptest! {
    #[test]
    fn nothing_panics_whatever_a_recording_contains(
        recordings in proptest::collection::vec(any_recording(), 1..3),
        n in 0..70usize,
    ) {
        check_trace(&trace(&recordings));
        let data = Json::read(&page_data(&recordings));
        let span = data.get("span").integer();
        let is_poll = |event: &&Event| matches!(event.what, What::Polled { .. });
        let mut polls = 0;
        for group in data.get("groups").list() {
            let lanes = group.get("lanes").list();
            let wakes = group.get("wakes").list();
            for wake in wakes.chunks(3) {
                prop_assert!(wake[1].integer() < lanes.len() as i64);
            }
            for lane in lanes {
                let is_task = !["job", "lookup"].contains(&lane.get("kind").text());
                let mut before = i64::MIN;
                for poll in lane.get("polls").list().chunks(6) {
                    let (start, length) = (poll[0].integer(), poll[1].integer());
                    prop_assert!(length >= 0 && start + length <= span);
                    prop_assert!(start >= 0 || !is_task);
                    prop_assert!(poll[2].integer() <= start && before <= start);
                    prop_assert!(poll[3].integer() * 3 < wakes.len() as i64);
                    before = start;
                    polls += usize::from(is_task);
                }
                for wait in lane.get("waits").list().chunks(5) {
                    let (start, length) = (wait[0].integer(), wait[1].integer());
                    prop_assert!(length >= 0 && start + length <= span);
                }
            }
        }
        let ended: usize = recordings.iter().map(|each| each.events.iter().filter(is_poll).count()).sum();
        prop_assert!(polls >= ended, "{polls} of {ended}");
        // A poll that has not returned has a line, too.
        let lines = |each: &Recording| each.events.len() + usize::from(each.running.is_some());
        let events: usize = recordings.iter().map(lines).sum();
        prop_assert_eq!(latest(&recordings, n).len(), events.min(n));
        lists(&recordings, n);
    }

    #[test]
    fn a_loop_is_shown_exactly(steps in proptest::collection::vec((0..8usize, 0..6u32, 0..40u64), 0..120), cut in 0..60usize) {
        let (events, polls) = simulate(&steps);
        let cut = cut.min(events.len());
        let mut recording = Recording { now: events.last().map_or(0, |event| event.time), ..Recording::default() };
        recording.lost = cut as u64;
        recording.events = events[cut..].to_vec();
        for child in 10..16 {
            let info = recording.tasks.entry(child).or_default();
            info.parent = Some(child - 10);
        }
        recording.tasks.retain(|task, _| recording.events.iter().any(|event| matches!(event.what, What::Polled { task: polled, .. } if polled == *task)));
        check_trace(&trace(&[recording.clone()]));
        let lanes = shown(&[recording.clone()]);
        let mut found: Vec<(i64, i64)> = lanes.iter().flat_map(|lane| &lane.polls).filter(|poll| poll.3 != NOT_BEGUN).map(|poll| (poll.0, poll.1)).collect();
        let is_left = |(_, _, order): &&(u64, u64, usize)| *order >= cut;
        let mut expected: Vec<(i64, i64)> = polls.iter().filter(is_left).map(|(start, length, _)| (*start as i64, *length as i64)).collect();
        let own = recording.events.iter().filter(|event| !matches!(event.what, What::Woken { cause: Cause::Thread, .. }));
        let starts = own.map(|event| match event.what {
            What::Polled { length, .. } | What::Parked { length } => event.time - length,
            _ => event.time,
        });
        let others = recording.events.iter().filter(|_| cut == 0).map(|event| event.time);
        let origin = starts.chain(others).min().unwrap_or(recording.now) as i64;
        expected.iter_mut().for_each(|poll| poll.0 -= origin);
        found.sort_unstable();
        expected.sort_unstable();
        prop_assert_eq!(found, expected);
        // No wait overlaps a poll of its task.
        for lane in &lanes {
            for wait in &lane.waits {
                for poll in &lane.polls {
                    prop_assert!(poll.0 + poll.1 <= wait.0 || wait.0 + wait.1 <= poll.0, "{lane:?}");
                }
            }
        }
    }
}

/// Runs a loop that does these steps, and returns its events, and its polls with the position of their events.
fn simulate(steps: &[(usize, u32, u64)]) -> (Vec<Event>, Vec<(u64, u64, usize)>) {
    let (mut now, mut events, mut polls) = (0u64, Vec::new(), Vec::new());
    let mut open: Vec<(u32, u64)> = Vec::new();
    let close = |now, open: &mut Vec<(u32, u64)>, events: &mut Vec<Event>, polls: &mut Vec<_>| {
        if let Some((task, since)) = open.pop() {
            polls.push((since, now - since, events.len()));
            let outcome = Outcome::Pending;
            events.push(Event {
                time: now,
                what: What::Polled {
                    task,
                    length: now - since,
                    outcome,
                },
            });
        }
    };
    for &(step, task, time) in steps {
        now += time;
        let mut event = |what| events.push(Event { time: now, what });
        match (step, open.last().copied()) {
            (0 | 1, None) => open.push((task, now)),
            // A child inside the poll of its parent.
            (0, Some((parent, _))) if parent < 6 => open.push((parent + 10, now)),
            (2, Some((by, _))) => event(What::Woken {
                task,
                cause: Cause::Task(by),
            }),
            (3, Some((task, _))) => event(What::Waits {
                task,
                reason: Reason::Deadline {
                    micros: time as u32,
                },
            }),
            (4, _) => event(What::Woken {
                task,
                cause: Cause::Thread,
            }),
            (5, None) => event(What::Parked { length: time }),
            (6, None) => event(What::Woken {
                task,
                cause: Cause::Socket,
            }),
            (_, Some(_)) => close(now, &mut open, &mut events, &mut polls),
            (_, None) => {}
        }
    }
    while !open.is_empty() {
        close(now, &mut open, &mut events, &mut polls);
    }
    (events, polls)
}

/// Returns a recording of so many events: eight tasks that wake one another.
fn busy(events: u64) -> [Recording; 1] {
    let mut hand = Hand::default();
    hand.text(1, "read tcp 127.0.0.1:4000 → 127.0.0.1:80");
    for round in 0..events / 4 {
        let (task, next, time) = ((round % 8) as u32, ((round + 1) % 8) as u32, round * 10);
        hand.wait(time + 1, task, Reason::Socket { text: 1 });
        hand.wait(
            time + 2,
            task,
            Reason::Deadline {
                micros: round as u32,
            },
        );
        hand.wake(time + 3, next, Cause::Task(task))
            .poll(time, time + 9, task);
    }
    hand.done(events * 10)
}

#[test]
fn a_full_ring_of_the_default_size_is_a_page_and_a_trace() {
    let recording = busy(65_536);
    let begin = Instant::now();
    let data = page_data(&recording);
    let page = begin.elapsed();
    let trace = trace(&recording);
    println!(
        "{} KiB in {page:?}, both in {:?}",
        data.len() / 1024,
        begin.elapsed()
    );
    check_trace(&trace);
    Json::read(&data);
}
