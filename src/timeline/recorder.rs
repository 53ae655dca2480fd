//! [`Recorder`]: writes what a loop does into a [`Ring`], and keeps the names of what the events mention.
//!
//! The engines call the recorder, if there is one, where they already know what happens. The thread of the loop writes to
//! the ring, and needs no lock for it. Other threads write to a short list under a lock: jobs, name lookups, marks, and
//! wakes. They do not wait for the loop, so a reader sees what happens while a poll blocks it. [`Recorder::copy`] merges
//! the ring and the list.
//!
//! The recorder calls no foreign code, and never holds two of its locks at once. An event costs one reading of the clock
//! at most:
//!
//! | event | time |
//! | --- | --- |
//! | the end of a poll or a park, a spawn, a wake, due deadlines, a mark, and the events of jobs | the clock is read |
//! | the begin of a poll | the last reading |
//! | a wait, the readiness of a socket | the last reading |
//!
//! So a poll begins when whatever came before it has ended, and the waits of a poll lie within it.

use super::event::{Cause, Event, Outcome, Reason, What, restore_times};
use super::on_core::OnCore;
use super::output::Output;
use super::recording::Recording;
use super::ring::Ring;
use super::tables::{Pin, Position, Subject, Tables};
use crate::clock::Clock;
use crate::primitives::{AtomicU8, AtomicU32, AtomicU64, Mutex, Ordering, fence, lock};
use crate::waiter::Tag;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Instant;

/// Other threads keep this fraction of the number of events in the ring. A job has three events of other threads, and
/// causes several of the loop.
const OUTSIDE_SHARE: u64 = 4;

/// The smallest number of events of other threads that are kept.
const FEWEST_OUTSIDE: u64 = 64;

/// After this many nanoseconds without an event, which is half of the range of a packed time, the loop records a park, so
/// that the times can be restored.
const LONGEST_GAP: u64 = 1 << 47;

/// No time: later than all times.
const NEVER: u64 = u64::MAX;

/// Records what one loop does.
///
/// The fields that the loop writes are atomics, because readers on other threads share the recorder. Relaxed is enough
/// for all but `since`: only the loop reads them.
pub(crate) struct Recorder {
    /// The number of the worker, if the runtime belongs to workers.
    worker: Option<usize>,
    /// What only the recorder of a simulated host has.
    host: Option<Host>,
    /// The file to write without being asked, if the environment names one.
    output: Option<Arc<Output>>,
    /// The clock from which the times come: that of the runtime, or the true time of a simulation.
    clock: Clock,
    /// When the runtime was created, or the simulation began. All times count from here.
    epoch: Instant,
    /// The events of the loop.
    ring: Ring,
    /// The last reading of the clock by the loop. Every event of the ring has a time up to this.
    last: AtomicU64,
    /// The task that is being polled, not counting the children of scopes. Written by the loop, read by readers.
    running: AtomicU32,
    /// When the poll of that task began; [`NEVER`] between polls. Written by the loop, read by readers.
    since: AtomicU64,
    /// When the park began; [`NEVER`] if the loop does not park.
    parked: AtomicU64,
    /// What wakes tasks outside polls: one of the constants of [`Phase`].
    phase: AtomicU8,
    /// How the current poll ends its task, if it does: an [`Outcome`] as a number.
    outcome: AtomicU8,
    /// The time that the thread of the loop has spent on a core.
    on_core: OnCore,
    /// The events of other threads.
    outside: Mutex<Outside>,
    /// The names.
    tables: Mutex<Tables>,
}

/// What only the recorder of a simulated host has. The host's own clock may show a wrong time, or be fast or slow, so the
/// events of all hosts have the true time.
struct Host {
    /// The name of the host.
    name: String,
    /// The clock of the runtime, by which its deadlines count.
    clock: Clock,
    /// When the runtime ended; [`NEVER`] until then. Relaxed is enough: the simulation runs on one thread.
    ended: AtomicU64,
}

/// What wakes tasks outside polls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The loop itself.
    Loop = 0,
    /// The events of sockets.
    Sockets = 1,
    /// Deadlines.
    Deadlines = 2,
}

/// The events of other threads.
#[derive(Debug, Default)]
struct Outside {
    /// The newest events, with full times, and with the number of events that were in the ring before each.
    events: VecDeque<(u64, Event)>,
    /// The number of older events that were dropped.
    lost: u64,
}

thread_local! {
    /// The job that this thread runs, and the recorder of its runtime.
    static JOB: RefCell<Option<(Arc<Recorder>, u32)>> = const { RefCell::new(None) };
}

/// Returns the job that this thread runs, and the recorder of its runtime. In the destructor of another thread-local, the
/// variable may be gone, and no job runs.
fn current_job() -> Option<(Arc<Recorder>, u32)> {
    JOB.try_with(|job| job.borrow().clone()).ok().flatten()
}

impl Recorder {
    /// Creates a recorder that keeps about this many events of a loop. Its times count from `epoch`.
    fn new(events: usize, clock: Clock, epoch: Instant) -> Recorder {
        Recorder {
            worker: None,
            host: None,
            output: None,
            clock,
            epoch,
            ring: Ring::new(events),
            last: AtomicU64::new(0),
            running: AtomicU32::new(0),
            since: AtomicU64::new(NEVER),
            parked: AtomicU64::new(NEVER),
            phase: AtomicU8::new(Phase::Loop as u8),
            outcome: AtomicU8::new(Outcome::Ready as u8),
            on_core: OnCore::new(),
            outside: Mutex::default(),
            tables: Mutex::default(),
        }
    }

    /// Creates the recorder of a runtime that records this many events, if it records any. `worker` is the number of the
    /// worker to which the runtime belongs, and `output` the file that it writes without being asked.
    pub(crate) fn start(
        events: Option<usize>,
        clock: &Clock,
        epoch: Instant,
        worker: Option<usize>,
        output: Option<Arc<Output>>,
    ) -> Option<Arc<Recorder>> {
        let recorder = Arc::new(Recorder {
            worker,
            output,
            ..Recorder::new(events?, clock.clone(), epoch)
        });
        if let Some(output) = &recorder.output {
            output.add(worker.unwrap_or(0), &recorder);
        }
        Some(recorder)
    }

    /// Creates the recorder of a simulated host. Its times count from `epoch` by the clock `truth`. `clock` is the clock of
    /// the host.
    #[cfg_attr(not(feature = "sim"), expect(dead_code))]
    pub(super) fn of_host(
        events: usize,
        (truth, epoch): (Clock, Instant),
        name: &str,
        clock: Clock,
    ) -> Recorder {
        let host = Host {
            name: String::from(name),
            clock,
            ended: AtomicU64::new(NEVER),
        };
        Recorder {
            host: Some(host),
            ..Recorder::new(events, truth, epoch)
        }
    }

    /// Returns when the runtime of a simulated host ended, or [`NEVER`].
    fn end(&self) -> u64 {
        let host = self.host.as_ref();
        host.map_or(NEVER, |host| host.ended.load(Ordering::Relaxed))
    }

    /// Reads the clock.
    #[inline]
    fn now(&self) -> u64 {
        let elapsed = self.clock.now().saturating_duration_since(self.epoch);
        elapsed.as_secs() * 1_000_000_000 + u64::from(elapsed.subsec_nanos())
    }

    /// Reads the clock for the loop. The times of the loop never go back. After a [`LONGEST_GAP`], the loop was at rest, or
    /// a virtual clock has jumped.
    #[inline]
    fn stamp(&self) -> u64 {
        let last = self.last();
        let now = self.now().max(last);
        self.last.store(now, Ordering::Relaxed);
        if now - last >= LONGEST_GAP {
            self.push_gap(now, now - last);
        }
        now
    }

    /// Records a long time without an event as a park.
    #[cold]
    #[inline(never)]
    fn push_gap(&self, now: u64, length: u64) {
        self.push(now, What::Parked { length });
    }

    /// Returns the last reading of the clock by the loop.
    #[inline]
    fn last(&self) -> u64 {
        self.last.load(Ordering::Relaxed)
    }

    /// Writes an event of the loop.
    #[inline]
    fn push(&self, time: u64, what: What) {
        self.ring.push(Event { time, what }.pack());
    }

    /// Adds an event of another thread, which has just happened. Returns its time.
    fn push_outside(&self, what: What) -> u64 {
        let most = self.most_outside();
        let mut outside = lock(&self.outside);
        if outside.events.len() >= most {
            outside.events.pop_front();
            outside.lost += 1;
        }
        // Read under the lock, so that the events are in the order of their times.
        let time = self.now();
        let event = Event { time, what };
        outside.events.push_back((self.ring.head(), event));
        time
    }

    /// Returns the number of events of other threads that are kept.
    fn most_outside(&self) -> usize {
        let most = (self.ring.capacity() / OUTSIDE_SHARE).max(FEWEST_OUTSIDE);
        usize::try_from(most).unwrap_or(usize::MAX)
    }

    /// Returns the number of the next event, in the ring or of another thread, and the numbers of those that are lost.
    fn positions(&self, is_loop: bool) -> (Position, Position) {
        let outside = lock(&self.outside);
        let (kept, outside_lost) = (outside.events.len() as u64, outside.lost);
        drop(outside);
        let lost = Position {
            ring: self.lost(),
            outside: outside_lost,
        };
        let next = match is_loop {
            true => Position {
                ring: self.next(),
                outside: 0,
            },
            false => Position {
                ring: 0,
                outside: outside_lost + kept + 1,
            },
        };
        (next, lost)
    }

    /// Returns the number of the next event in the ring, counted from 1.
    fn next(&self) -> u64 {
        self.ring.head() + 1
    }

    /// Returns the number of events of the ring that have been overwritten.
    fn lost(&self) -> u64 {
        self.next().saturating_sub(self.ring.capacity())
    }
}

/// What the loop calls, on its thread.
impl Recorder {
    /// Notes where the root future comes from.
    pub(crate) fn set_root(&self, place: Option<&'static Location<'static>>) {
        lock(&self.tables).add_task(0, None, None, place, None, None);
    }

    /// Notes that the loop begins to run. It was at rest.
    pub(crate) fn begin_run(&self) {
        self.stamp();
        self.set_phase(Phase::Loop);
    }

    /// Notes that the loop has done something between two polls, which belongs to neither.
    pub(crate) fn end_other(&self) {
        self.stamp();
    }

    /// Notes what wakes tasks outside polls from now on.
    fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// Notes that the loop is about to park.
    #[cold]
    #[inline(never)]
    pub(crate) fn begin_park(&self) {
        self.parked.store(self.stamp(), Ordering::Relaxed);
    }

    /// Notes that the loop has asked for events, after a park or without one. Sockets wake tasks next.
    #[cold]
    #[inline(never)]
    pub(crate) fn end_park(&self) {
        let parked = self.parked.load(Ordering::Relaxed);
        let now = match parked {
            NEVER => self.stamp(),
            _ => {
                self.parked.store(NEVER, Ordering::Relaxed);
                // Not a stamp: however long the park was, it is recorded once.
                let now = self.now().max(self.last());
                self.last.store(now, Ordering::Relaxed);
                let length = now - parked;
                self.push(now, What::Parked { length });
                now
            }
        };
        self.on_core.refresh(now);
        self.set_phase(Phase::Sockets);
    }

    /// Notes that the network of a simulation reports events to its host. Sockets wake tasks next.
    #[cfg_attr(not(feature = "sim"), expect(dead_code))]
    pub(crate) fn begin_events(&self) {
        self.stamp();
        self.set_phase(Phase::Sockets);
    }

    /// Notes that a socket is ready to read or write, if a task has waited for that.
    pub(crate) fn ready(&self, key: u64, is_write: bool) {
        let position = Position {
            ring: self.next(),
            outside: 0,
        };
        let subject = Subject::Socket(key, is_write);
        let text = lock(&self.tables).mention(&subject, position);
        if let Some(text) = text {
            self.push(self.last(), What::Ready { text });
        }
    }

    /// Notes that deadlines are due. They wake tasks next.
    #[cold]
    #[inline(never)]
    pub(crate) fn fired(&self, count: usize) {
        if count > 0 {
            self.set_phase(Phase::Deadlines);
            let count = u32::try_from(count).unwrap_or(u32::MAX);
            self.push(self.stamp(), What::Fired { count });
        }
    }

    /// Notes that a task, or the child of a scope in `parent`, was spawned.
    pub(crate) fn spawned(
        &self,
        task: u32,
        by: Option<u32>,
        name: Option<&str>,
        place: &'static Location<'static>,
        parent: Option<u32>,
    ) {
        let now = self.stamp();
        let mut tables = lock(&self.tables);
        tables.drop_tasks(self.lost());
        tables.add_task(task, Some(now), name, Some(place), by, parent);
        drop(tables);
        self.push(now, What::Spawned { task, by });
    }

    /// Notes that a task is polled.
    #[inline]
    pub(crate) fn begin_poll(&self, task: u32) {
        // A reader that sees the new task sees that the former poll is over: Release pairs with the fence in `running`.
        self.since.store(NEVER, Ordering::Relaxed);
        fence(Ordering::Release);
        self.running.store(task, Ordering::Relaxed);
        self.outcome.store(Outcome::Ready as u8, Ordering::Relaxed);
        // Release: pairs with the Acquire in `running`.
        self.since.store(self.last(), Ordering::Release);
    }

    /// Notes how the current poll ends its task, if not with an output.
    pub(crate) fn set_outcome(&self, outcome: Outcome) {
        self.outcome.store(outcome as u8, Ordering::Relaxed);
    }

    /// Notes that the poll of a task has ended.
    #[inline]
    pub(crate) fn end_poll(&self, task: u32, is_ready: bool) {
        let began = self.since.load(Ordering::Relaxed);
        let outcome = match is_ready {
            false => Outcome::Pending,
            true => match self.outcome.load(Ordering::Relaxed) {
                outcome if outcome == Outcome::Panicked as u8 => Outcome::Panicked,
                outcome if outcome == Outcome::Aborted as u8 => Outcome::Aborted,
                _ => Outcome::Ready,
            },
        };
        let length = self.polled(task, began, outcome);
        self.since.store(NEVER, Ordering::Relaxed);
        if let Some(nanos) = self.on_core.of_poll(self.last(), length) {
            self.push(self.last(), What::OnCore { nanos });
        }
        if outcome == Outcome::Panicked && task != 0 {
            self.task_panicked();
        }
    }

    /// Writes the output because a task has panicked, but not too often.
    #[cold]
    fn task_panicked(&self) {
        if let Some(output) = &self.output {
            output.task_panicked();
        }
    }

    /// Writes the output, if there is one: a panic leaves the loop, or nothing will ever wake a task.
    #[cold]
    pub(crate) fn write(&self) {
        if let Some(output) = &self.output {
            output.write();
        }
    }

    /// Notes that the runtime ends, before it drops its tasks. Writes the output if no other runtime shares it any more.
    pub(crate) fn finish(&self) {
        self.on_core.close();
        if let Some(host) = &self.host {
            host.ended.store(self.now(), Ordering::Relaxed);
        }
        if let Some(output) = &self.output {
            output.end(self.worker.unwrap_or(0), self.copy());
        }
    }

    /// Notes that the root future has panicked, if it is being polled.
    pub(crate) fn end_unwound_poll(&self) {
        if self.since.load(Ordering::Relaxed) != NEVER {
            self.set_outcome(Outcome::Panicked);
            self.end_poll(self.running.load(Ordering::Relaxed), true);
        }
    }

    /// Notes that the child of a scope is polled. Returns the time.
    pub(crate) fn begin_child(&self) -> u64 {
        self.stamp()
    }

    /// Notes that a poll that began at this time has ended, and whether the task has. Returns the length of the poll.
    pub(crate) fn polled(&self, task: u32, began: u64, outcome: Outcome) -> u64 {
        let now = self.stamp();
        let length = now.saturating_sub(began);
        if outcome != Outcome::Pending && task != 0 {
            let mut tables = lock(&self.tables);
            tables.end_task(task, self.next());
            tables.drop_tasks(self.lost());
        }
        let what = What::Polled {
            task,
            length,
            outcome,
        };
        self.push(now, what);
        length
    }

    /// Notes that the child of a scope was dropped. If it had not ended, that ends it.
    pub(crate) fn dropped(&self, child: u32) {
        let is_new = lock(&self.tables).end_task(child, self.next());
        if is_new {
            let what = What::Polled {
                task: child,
                length: 0,
                outcome: Outcome::Aborted,
            };
            self.push(self.stamp(), what);
        }
    }

    /// Notes that a task was woken, by the task that is being polled, if there is one.
    #[inline]
    pub(crate) fn woken(&self, task: u32, by: Option<u32>) {
        let cause = match by {
            Some(by) => Cause::Task(by),
            None => match self.phase.load(Ordering::Relaxed) {
                phase if phase == Phase::Sockets as u8 => Cause::Socket,
                phase if phase == Phase::Deadlines as u8 => Cause::Deadline,
                _ => Cause::Loop,
            },
        };
        self.push(self.stamp(), What::Woken { task, cause });
    }

    /// Notes that a task was woken because it was aborted, by the task that is being polled, if there is one.
    pub(crate) fn aborted(&self, task: u32, by: Option<u32>) {
        let cause = by.map_or(Cause::Abort, Cause::Task);
        self.push(self.stamp(), What::Woken { task, cause });
    }

    /// Notes that the task that is being polled waits.
    pub(crate) fn waits(&self, task: u32, reason: Reason) {
        self.push(self.last(), What::Waits { task, reason });
    }

    /// Notes that the task with this tag waits for a deadline.
    #[cold]
    #[inline(never)]
    pub(crate) fn waits_until(&self, tag: Tag, deadline: Instant) {
        let Some((task, _)) = tag.parts() else {
            return;
        };
        let micros = match &self.host {
            // The deadline of a host is a time of its own clock.
            Some(host) => deadline
                .saturating_duration_since(host.clock.now())
                .as_micros(),
            None => {
                let deadline = deadline.saturating_duration_since(self.epoch).as_micros();
                deadline.saturating_sub(u128::from(self.last() / 1000))
            }
        };
        let micros = u32::try_from(micros).unwrap_or(u32::MAX);
        self.waits(task, Reason::Deadline { micros });
    }

    /// Notes that a task waits for a socket, a stream or a primitive. `describe` describes it at the first time, and keeps
    /// an address of the subject from being used again.
    pub(crate) fn waits_for(
        &self,
        task: u32,
        subject: &Subject,
        describe: impl FnOnce() -> (String, Option<Pin>),
    ) {
        let text = self.text(subject, describe);
        let reason = match subject {
            Subject::Socket(..) | Subject::Stream(_) => Reason::Socket { text },
            Subject::Primitive(..) | Subject::Text(_) => Reason::Declared { text },
        };
        self.waits(task, reason);
    }

    /// Notes that a task waits for something that the program has named.
    pub(crate) fn waits_for_label(&self, task: u32, label: &str) {
        let (position, lost) = self.positions(true);
        let text = lock(&self.tables).mention_content(label, position, lost);
        self.waits(task, Reason::Declared { text });
    }

    /// Sets the text about the operations of a socket in one direction.
    pub(crate) fn name(&self, subject: Subject, text: String) {
        let (position, lost) = self.positions(true);
        let mut tables = lock(&self.tables);
        tables.add_text(subject, text.into(), None, position, lost);
    }

    /// Forgets the text about the operations of a socket in one direction, because they are others now.
    pub(crate) fn rename(&self, subject: &Subject) {
        lock(&self.tables).forget(subject);
    }

    /// Returns the number of the text about a subject, which the next event mentions.
    fn text(&self, subject: &Subject, describe: impl FnOnce() -> (String, Option<Pin>)) -> u32 {
        let position = Position {
            ring: self.next(),
            outside: 0,
        };
        let known = lock(&self.tables).mention(subject, position);
        if let Some(text) = known {
            return text;
        }
        // The description makes system calls, and looks at primitives, so it needs to be outside the lock.
        let (text, pin) = describe();
        let (position, lost) = self.positions(true);
        let mut tables = lock(&self.tables);
        tables.add_text(subject.clone(), text.into(), pin, position, lost)
    }
}

/// What any thread calls. `is_loop` says whether it is the thread of the loop, inside the runtime.
impl Recorder {
    /// Writes an event to the ring or, on another thread, to the list. Returns its time.
    fn push_from(&self, is_loop: bool, what: What) -> u64 {
        if !is_loop {
            return self.push_outside(what);
        }
        let now = self.stamp();
        self.push(now, what);
        now
    }

    /// Notes that another thread has woken a task. The task may be in the run queue already.
    pub(crate) fn woken_outside(&self, task: u32) {
        let own = |(recorder, job): (Arc<Recorder>, u32)| {
            std::ptr::eq(Arc::as_ptr(&recorder), self).then_some(job)
        };
        let cause = current_job()
            .and_then(own)
            .map_or(Cause::Thread, Cause::Job);
        self.push_outside(What::Woken { task, cause });
    }

    /// Notes that a job was submitted, by the task `by` or outside of any.
    pub(crate) fn queued(
        &self,
        is_loop: bool,
        (job, by): (u32, Option<u32>),
        is_lookup: bool,
        name: Option<&str>,
        place: &'static Location<'static>,
    ) {
        let (_, lost) = self.positions(is_loop);
        let most = self.most_outside();
        let mut tables = lock(&self.tables);
        tables.drop_jobs(lost, most);
        tables.add_job(job, is_lookup, name, place);
        drop(tables);
        let now = self.push_from(is_loop, What::Queued { job, by });
        lock(&self.tables).set_queued(job, now);
    }

    /// Notes that a job has ended, or was cancelled before it began.
    fn ended(&self, job: u32) {
        let (mut position, lost) = self.positions(false);
        // Later events of the ring do not mention the job.
        position.ring = self.next();
        let most = self.most_outside();
        let mut tables = lock(&self.tables);
        tables.end_job(job, position);
        tables.drop_jobs(lost, most);
        drop(tables);
        self.push_outside(What::Ended { job });
    }

    /// Notes a mark of the program, which the task `task` has set, or something else.
    pub(crate) fn marked(&self, is_loop: bool, task: Option<u32>, text: &str) {
        let (position, lost) = self.positions(is_loop);
        let text = lock(&self.tables).mention_content(text, position, lost);
        self.push_from(is_loop, What::Marked { task, text });
    }

    /// Calls `f` with the recorder of the job that this thread runs, if it is recorded.
    pub(crate) fn of_job(f: impl FnOnce(&Recorder)) {
        if let Some((recorder, _)) = current_job() {
            f(&recorder);
        }
    }

    /// Copies what is recorded. It may be called on any thread, also while a poll blocks the loop.
    pub(crate) fn copy(&self) -> Recording {
        // Acquire: read before the events. If the park ends meanwhile, they tell that it has ended, or nothing of it.
        let parked = self.parked.load(Ordering::Acquire);
        let (lost, words) = self.ring.copy();
        let end = lost + words.len() as u64;
        let running = self.running();
        let outside = lock(&self.outside);
        let outside_lost = outside.lost;
        let outside_events: Vec<(u64, Event)> = outside.events.iter().copied().collect();
        drop(outside);
        let newest = Position {
            ring: end,
            outside: outside_lost + outside_events.len() as u64,
        };
        let copied = lock(&self.tables).copy();
        // At least as new as the events, and not newer by a gap, however long ago the newest was.
        let last = self.last();
        // Not before the newest event, even under a clock of another thread.
        let now = self.now().min(self.end()).max(last);
        let mut ring: Vec<Event> = words.into_iter().filter_map(Event::unpack).collect();
        restore_times(&mut ring, last);
        // The loop records nothing while it is parked.
        let is_parked = running.is_none() && ring.last().is_none_or(|event| event.time <= parked);
        // The loop wrote event n after n others. An event of another thread with the same number was there before.
        let number = |before: u64, is_loop: bool| (before, is_loop);
        let mut events: Vec<((u64, bool), Event)> = (lost..)
            .zip(ring)
            .map(|(before, event)| (number(before, true), event))
            .collect();
        // Earlier ones are dropped, because the ring no longer says what the loop did then.
        let outside_events = outside_events.into_iter();
        events.extend(
            outside_events
                .filter(|(before, _)| *before >= lost)
                .map(|(before, event)| (number(before, false), event)),
        );
        // Under a virtual clock, many events have the same time.
        events.sort_by_key(|(number, event)| (event.time, *number));
        let worker = self.worker.map(|worker| format!("worker {worker}"));
        let host = self.host.as_ref().map(|host| host.name.clone());
        let mut recording = Recording {
            name: host.or(worker).unwrap_or_default(),
            created: Some(self.epoch),
            events: events.into_iter().map(|(_, event)| event).collect(),
            lost: lost + outside_lost,
            now,
            running,
            has_ended: self.end() != NEVER,
            parked: (is_parked && parked <= now).then_some(parked),
            ..Recording::default()
        };
        copied.fill(&mut recording, newest);
        recording
    }

    /// Returns the task that is being polled, and since when.
    fn running(&self) -> Option<(u32, u64)> {
        // Acquire: pairs with the Release in `begin_poll`, so that the task is at least as new as the time.
        let since = self.since.load(Ordering::Acquire);
        let task = self.running.load(Ordering::Relaxed);
        // If the task belongs to a later poll, the fence pairs with that in `begin_poll`, and the time has changed. Two
        // polls may begin at the same time; then each task ran at that time.
        fence(Ordering::Acquire);
        let again = self.since.load(Ordering::Relaxed);
        (since != NEVER && since == again).then_some((task, since))
    }
}

/// A job that is recorded, from its submission to its end. Dropping it ends the job, and is harmless after that.
pub(crate) struct RecordedJob {
    /// The recorder, and the low half of the id, if the job is recorded and has not ended.
    job: Option<(Arc<Recorder>, u32)>,
}

impl RecordedJob {
    /// Creates a job that was [queued](Recorder::queued), if it is recorded.
    pub(crate) fn new(recorder: Option<&Arc<Recorder>>, job: u32) -> RecordedJob {
        RecordedJob {
            job: recorder.map(|recorder| (Arc::clone(recorder), job)),
        }
    }

    /// Notes that the job begins on this thread. Until the guard is dropped, the wakes of this thread are its own.
    pub(crate) fn begin(&self) -> Option<RunningJob> {
        let (recorder, job) = self.job.as_ref()?;
        let now = recorder.push_outside(What::Began { job: *job });
        lock(&recorder.tables).set_began(*job, now);
        let before = JOB.replace(Some((Arc::clone(recorder), *job)));
        Some(RunningJob(before))
    }

    /// Notes that the job has ended.
    pub(crate) fn end(&mut self) {
        if let Some((recorder, job)) = self.job.take() {
            recorder.ended(job);
        }
    }
}

impl Drop for RecordedJob {
    fn drop(&mut self) {
        self.end();
    }
}

/// Says that this thread runs a recorded job, and holds what it ran before.
pub(crate) struct RunningJob(Option<(Arc<Recorder>, u32)>);

impl Drop for RunningJob {
    fn drop(&mut self) {
        drop(JOB.replace(self.0.take()));
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// The number of events that the recorders of these tests keep.
    const EVENTS: usize = 1024;

    /// Returns a recorder under a virtual clock.
    fn recorder() -> Recorder {
        let clock = Clock::stopped();
        let epoch = clock.now();
        Recorder::new(EVENTS, clock, epoch)
    }

    /// Advances the clock of a recorder.
    fn advance(recorder: &Recorder, by: Duration) {
        recorder.clock.advance_to(recorder.clock.now() + by);
    }

    /// Returns the number of entries in the tables, and their capacity.
    fn sizes(recorder: &Recorder) -> ([usize; 3], usize) {
        lock(&recorder.tables).sizes()
    }

    #[test]
    fn many_tasks_and_sockets_leave_bounded_tables() {
        const MANY: u32 = 200_000;
        let recorder = recorder();
        let place = Location::caller();
        recorder.spawned(1, None, Some("alive"), place, None);
        for task in 2..MANY {
            recorder.spawned(task, Some(1), Some("short"), place, None);
            recorder.begin_poll(task);
            let subject = Subject::Socket(u64::from(task), task % 2 == 0);
            recorder.waits_for(task, &subject, || (format!("socket {task}"), None));
            recorder.marked(true, Some(task), &format!("mark {task}"));
            recorder.end_poll(task, true);
            recorder.ready(u64::from(task), task % 2 == 0);
        }
        let ([tasks, _, texts], capacity) = sizes(&recorder);
        assert!(tasks <= EVENTS, "{tasks} tasks");
        assert!(texts <= 4 * EVENTS, "{texts} texts");
        assert!(capacity <= 32 * EVENTS, "a capacity of {capacity}");
        // Whatever an event mentions, and the task that lives, has a name.
        let recording = recorder.copy();
        assert_eq!(recording.tasks[&1].name.as_deref(), Some("alive"));
        for event in &recording.events {
            match event.what {
                What::Spawned { task, .. } | What::Polled { task, .. } => {
                    assert!(recording.tasks.contains_key(&task));
                }
                What::Waits {
                    reason: Reason::Socket { text },
                    ..
                }
                | What::Ready { text }
                | What::Marked { text, .. } => assert!(recording.texts.contains_key(&text)),
                _ => {}
            }
        }
    }

    #[test]
    fn a_burst_of_living_tasks_leaves_bounded_tables() {
        const MANY: u32 = 200_000;
        let recorder = recorder();
        let place = Location::caller();
        for task in 1..MANY {
            recorder.spawned(task, None, None, place, None);
        }
        assert_eq!(sizes(&recorder).0[0], MANY as usize - 1);
        for task in 1..MANY {
            recorder.begin_poll(task);
            recorder.end_poll(task, true);
        }
        let ([tasks, ..], capacity) = sizes(&recorder);
        assert!(tasks <= EVENTS, "{tasks} tasks");
        assert!(capacity <= 32 * EVENTS, "a capacity of {capacity}");
    }

    #[test]
    fn other_threads_fill_no_more_than_their_share() {
        const MANY: u32 = 100_000;
        let recorder = Arc::new(recorder());
        for job in 0..MANY {
            let place = Location::caller();
            recorder.queued(false, (job, None), false, Some("job"), place);
            let mut recorded = RecordedJob::new(Some(&recorder), job);
            let running = recorded.begin();
            Recorder::of_job(|recorder| recorder.marked(false, None, &format!("mark {job}")));
            recorder.woken_outside(3);
            drop(running);
            recorded.end();
        }
        let ([_, jobs, texts], capacity) = sizes(&recorder);
        assert!(jobs <= EVENTS, "{jobs} jobs");
        assert!(texts <= EVENTS, "{texts} texts");
        assert!(capacity <= 32 * EVENTS, "a capacity of {capacity}");
        let recording = recorder.copy();
        assert_eq!(recording.events.len() as u64, EVENTS as u64 / OUTSIDE_SHARE);
        assert_eq!(
            recording.lost,
            5 * u64::from(MANY) - EVENTS as u64 / OUTSIDE_SHARE
        );
        let by_job = |event: &Event| matches!(event.what, What::Woken { cause, .. } if cause == Cause::Job(MANY - 1));
        assert!(recording.events.iter().any(by_job));
        assert!(recording.jobs.contains_key(&(MANY - 1)));
    }

    #[test]
    fn a_job_that_runs_has_its_times_after_its_events_are_overwritten() {
        let recorder = Arc::new(recorder());
        recorder.queued(true, (1, None), false, None, Location::caller());
        advance(&recorder, Duration::from_secs(1));
        let job = RecordedJob::new(Some(&recorder), 1);
        let running = job.begin();
        for _ in 0..2 * EVENTS {
            recorder.marked(true, None, "loop");
            recorder.marked(false, None, "thread");
        }
        let recording = recorder.copy();
        let info = &recording.jobs[&1];
        assert_eq!((info.queued, info.began), (Some(0), Some(1_000_000_000)));
        assert!(!recording.events.iter().any(|event| event.time == 0));
        drop(running);
    }

    #[test]
    fn what_has_ended_is_over_after_its_end_is_overwritten() {
        let recorder = Arc::new(recorder());
        let place = Location::caller();
        for task in 1..=2 {
            recorder.spawned(task, None, None, place, None);
            recorder.queued(true, (task + 10, None), false, None, place);
        }
        recorder.begin_poll(1);
        recorder.end_poll(1, true);
        RecordedJob::new(Some(&recorder), 11).end();
        for _ in 0..2 * EVENTS {
            recorder.marked(true, None, "later");
        }
        let recording = recorder.copy();
        let is_over = |task: u32| recording.tasks.get(&task).is_none_or(|task| task.is_over);
        assert_eq!((is_over(1), is_over(2)), (true, false));
        let is_over = |job: u32| recording.jobs.get(&job).is_none_or(|job| job.is_over);
        assert_eq!((is_over(11), is_over(12)), (true, false));
    }

    #[test]
    fn times_are_right_after_months_at_rest_and_in_parks() {
        const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);
        let recorder = recorder();
        let month = MONTH.as_nanos() as u64;
        recorder.begin_run();
        recorder.begin_poll(1);
        recorder.end_poll(1, false);
        // The loop rests.
        advance(&recorder, MONTH);
        recorder.begin_run();
        recorder.begin_poll(2);
        recorder.end_poll(2, false);
        // The loop parks.
        recorder.begin_park();
        advance(&recorder, MONTH);
        recorder.end_park();
        recorder.begin_poll(3);
        recorder.end_poll(3, false);
        // The recording is made much later.
        advance(&recorder, MONTH);
        let polls = recorder.copy().events.into_iter();
        let polls: Vec<_> = polls
            .filter_map(|event| match event.what {
                What::Polled { task, length, .. } => Some((task, event.time, length)),
                _ => None,
            })
            .collect();
        assert_eq!(polls, [(1, 0, 0), (2, month, 0), (3, 2 * month, 0)]);
    }

    #[test]
    fn a_socket_in_a_slot_that_is_used_again_has_a_text_of_its_own() {
        let recorder = recorder();
        // The index of the slot is in the low half of the key, and the generation in the high half.
        let (first, second) = (5, 1 << 32 | 5);
        for (key, text) in [(first, "first"), (second, "second")] {
            for _ in 0..2 {
                let subject = Subject::Socket(key, false);
                recorder.waits_for(1, &subject, || (String::from(text), None));
            }
        }
        let recording = recorder.copy();
        let texts: Vec<&str> = recording
            .events
            .iter()
            .filter_map(|event| match event.what {
                What::Waits {
                    reason: Reason::Socket { text },
                    ..
                } => Some(&*recording.texts[&text]),
                _ => None,
            })
            .collect();
        assert_eq!(texts, ["first", "first", "second", "second"]);
    }

    #[test]
    fn a_reader_sees_the_poll_that_runs() {
        let recorder = recorder();
        assert_eq!(recorder.copy().running, None);
        recorder.begin_poll(7);
        advance(&recorder, Duration::from_secs(1));
        assert_eq!(recorder.copy().running, Some((7, 0)));
        recorder.end_poll(7, false);
        assert_eq!(recorder.copy().running, None);
        // The next poll begins when this one has ended.
        recorder.begin_poll(8);
        assert_eq!(recorder.copy().running, Some((8, 1_000_000_000)));
    }

    #[test]
    fn a_reader_sees_the_park_that_lasts() {
        let recorder = recorder();
        recorder.begin_poll(7);
        recorder.end_poll(7, false);
        advance(&recorder, Duration::from_secs(1));
        recorder.begin_park();
        advance(&recorder, Duration::from_secs(1));
        assert_eq!(recorder.copy().parked, Some(1_000_000_000));
        recorder.end_park();
        assert_eq!(recorder.copy().parked, None);
    }
}
