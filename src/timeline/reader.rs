//! Reads the events of one recording, once and in their order.

use super::event::{Cause, Event, Outcome, Reason, What};
use super::lane::State;
use super::model::{End, Group, Kind, Lane, LaneIndex, Mark, Poll, TextIndex, Texts, Time};
use super::model::{Wait, WaitKind, Wake, begin, time};
use super::recording::Recording;
use super::strip::{self, Nest};
use super::words;
use std::collections::HashMap;

/// Returns whether the loop itself records a wake of this cause, at the time of the wake.
pub(super) fn is_by_loop(cause: Cause) -> bool {
    match cause {
        Cause::Task(_) | Cause::Socket | Cause::Deadline | Cause::Loop => true,
        Cause::Job(_) | Cause::Thread | Cause::Abort => false,
    }
}

/// Reads a recording. Adding `shift` to a time of an event yields a time of the picture.
pub(super) fn read(recording: &Recording, shift: Time, texts: &mut Texts) -> Group {
    let mut events = recording.events.clone();
    if !events.is_sorted_by_key(|event| event.time) {
        events.sort_by_key(|event| event.time);
    }
    let at = |nanos: u64| time(nanos).saturating_add(shift);
    let begin = begin(recording).saturating_add(shift);
    let newest = events.last().map_or(0, |event| event.time);
    let now = at(recording.now.max(newest)).max(begin);
    let mut reader = Reader {
        recording,
        shift,
        texts,
        group: Group {
            name: recording.name.clone(),
            known: (begin, now),
            ..Group::default()
        },
        states: Vec::new(),
        tasks: HashMap::new(),
        jobs: HashMap::new(),
        nest: Nest::default(),
        first: events.first().map_or(now, |event| at(event.time)),
        order: 0,
        ready: HashMap::new(),
        last_poll: None,
        children: HashMap::new(),
        inner: None,
    };
    for event in events {
        reader.event(event);
        reader.order += 1;
    }
    reader.running();
    reader.parked();
    reader.known_jobs();
    reader.known_tasks();
    reader.finish()
}

/// Reads the events.
struct Reader<'a> {
    /// What is read.
    recording: &'a Recording,
    /// The difference between a time of the picture and one of an event.
    shift: Time,
    /// The texts of the model.
    texts: &'a mut Texts,
    /// What was found so far.
    group: Group,
    /// What is remembered of each lane.
    states: Vec<State>,
    /// The newest lanes of the tasks.
    tasks: HashMap<u32, LaneIndex>,
    /// The newest lanes of the jobs.
    jobs: HashMap<u32, LaneIndex>,
    /// The polls and parks so far.
    nest: Nest,
    /// The time of the first event.
    first: Time,
    /// The number of events that were read.
    order: usize,
    /// For each text of a socket, the number of events that were read before its last [`What::Ready`].
    ready: HashMap<u32, usize>,
    /// The poll that was read last: its lane, and its position there.
    last_poll: Option<(LaneIndex, usize)>,
    /// The children of scopes, by the lane whose future contains them.
    children: HashMap<LaneIndex, Vec<LaneIndex>>,
    /// The earliest poll of a child since the end of the last park, or of the last poll of a task that is not a child.
    inner: Option<Time>,
}

impl Reader<'_> {
    /// Returns the time of an event as a time of the picture.
    fn at(&self, nanos: u64) -> Time {
        time(nanos).saturating_add(self.shift)
    }

    /// Reads the next event.
    fn event(&mut self, event: Event) {
        let now = self.at(event.time);
        match event.what {
            What::Spawned { task, by } => self.spawned(now, task, by),
            What::Polled {
                task,
                length,
                outcome,
            } => self.polled(now, task, time(length), outcome),
            What::OnCore { nanos } => {
                if let Some((lane, poll)) = self.last_poll.take() {
                    self.group.lanes[lane].polls[poll].cpu = Some(nanos);
                }
            }
            What::Woken { task, cause } => self.woken(now, task, cause),
            What::Waits { task, reason } => {
                let lane = self.task(task);
                self.states[lane].reason(now, reason);
            }
            What::Ready { text } => {
                self.ready.insert(text, self.order);
            }
            What::Parked { length } => {
                let start = now - time(length);
                let start = self.nest.add(start.max(self.group.known.0), now);
                self.group.parks.push((start, now - start));
                self.inner = None;
            }
            What::Fired { .. } => {}
            What::Queued { job, by } => {
                let mut lane = self.job(job);
                let is_new = self.group.lanes[lane]
                    .spawned
                    .is_none_or(|time| time == now)
                    && self.group.lanes[lane].ended.is_none();
                if !is_new {
                    lane = self.new_job(job);
                }
                let by = by.map(|by| self.task(by));
                self.group.lanes[lane].spawned = Some(now);
                self.group.lanes[lane].by = by;
            }
            What::Began { job } => {
                let lane = self.job(job);
                self.states[lane].began = Some(now);
            }
            What::Ended { job } => {
                let lane = self.job(job);
                self.end_job(lane, now, End::Ended);
                self.group.lanes[lane].ended = Some(now);
            }
            What::Marked { task, text } => {
                let lane = task.map(|task| self.task(task));
                let text = self.texts.add(words::text(self.recording, text));
                self.group.marks.push(Mark {
                    time: now,
                    lane,
                    text,
                });
            }
        }
    }

    /// Reads a spawn.
    fn spawned(&mut self, now: Time, task: u32, by: Option<u32>) {
        let by = by.map(|by| self.task(by));
        let known = self.tasks.get(&task).copied().filter(|lane| {
            let is_fresh = self.group.lanes[*lane].polls.is_empty() && !self.states[*lane].is_born;
            is_fresh && self.group.lanes[*lane].ended.is_none()
        });
        let lane = known.unwrap_or_else(|| self.new_task(task));
        self.group.lanes[lane].spawned = Some(now);
        self.group.lanes[lane].by = by;
        let text = self.texts.add(words::SPAWNED);
        self.states[lane].spawn(Wake {
            time: now,
            by,
            text,
        });
    }

    /// Reads a poll, which has ended.
    fn polled(&mut self, now: Time, task: u32, length: Time, outcome: Outcome) {
        let start = (now - length).max(self.group.known.0);
        let start = self.nest.add(start, now);
        let end = match outcome {
            Outcome::Pending => End::Pending,
            Outcome::Ready => End::Ended,
            Outcome::Panicked => End::Panicked,
            Outcome::Aborted => End::Aborted,
        };
        let lane = self.living_task(task);
        self.poll(lane, start, now, end);
        match self.group.lanes[lane].kind {
            Kind::Child => {
                let earliest = self.inner.map_or(start, |inner| inner.min(start));
                self.inner = Some(earliest);
            }
            _ => self.inner = None,
        }
        match end {
            End::Pending => {
                let is_cut = self.recording.lost > 0 && start < self.first;
                self.states[lane].leave((start, now), is_cut, self.order);
            }
            _ => {
                self.states[lane].end();
                self.group.lanes[lane].ended = Some(now);
            }
        }
    }

    /// Adds a poll, and the wait before it.
    fn poll(&mut self, lane: LaneIndex, start: Time, until: Time, end: End) {
        let woken = self.states[lane].begin(start);
        let woken = woken.map(|pending| (pending.wake, pending.ready));
        let woken = woken.or_else(|| {
            let spawn = self.unrecorded_spawn(lane, start)?;
            Some((spawn, Some(spawn.time)))
        });
        let ready = woken.and_then(|(_, ready)| ready);
        let ready = ready.map(|ready| self.wait_until(lane, ready).min(start));
        if ready.is_none() && self.states[lane].left.is_some() {
            self.wait_until(lane, start);
        }
        let wake = woken.map(|(wake, _)| self.keep(wake));
        let polls = &mut self.group.lanes[lane].polls;
        polls.push(Poll {
            start,
            length: until - start,
            ready,
            wake,
            end,
            cpu: None,
        });
        self.last_poll = Some((lane, polls.len() - 1));
        self.group.order.push(lane);
    }

    /// Returns the spawn of a task that is polled first, if only its time is known.
    fn unrecorded_spawn(&mut self, lane: LaneIndex, start: Time) -> Option<Wake> {
        let found = &self.group.lanes[lane];
        if self.states[lane].is_born || !found.polls.is_empty() || found.kind == Kind::Main {
            return None;
        }
        let by = found.by;
        let is_within = |time: &Time| (self.group.known.0..=start).contains(time);
        let time = found.spawned.filter(is_within)?;
        let text = self.texts.add(words::SPAWNED);
        Some(Wake { time, by, text })
    }

    /// Adds a wake to those of the group, and returns its position.
    fn keep(&mut self, wake: Wake) -> usize {
        self.group.wakes.push(wake);
        self.group.wakes.len() - 1
    }

    /// Adds the wait of a task that was woken at this time. Returns since when the task is ready.
    fn wait_until(&mut self, lane: LaneIndex, woken: Time) -> Time {
        let since = match &self.states[lane].left {
            Some(left) => left.since,
            None if self.is_older(lane) => self.group.known.0,
            // Nothing came before the first poll.
            None => return woken,
        };
        self.wait(lane, since, woken, false);
        since.max(woken)
    }

    /// Adds a wait, unless it is empty.
    fn wait(&mut self, lane: LaneIndex, since: Time, until: Time, is_open: bool) {
        if until <= since {
            return;
        }
        let (text, kind) = match &self.states[lane].left {
            None => (String::from(words::UNKNOWN), WaitKind::Outside),
            Some(left) => self.describe(&left.reasons, left.is_cut),
        };
        let text = self.texts.add(&text);
        self.group.lanes[lane].waits.push(Wait {
            start: since,
            length: until - since,
            text,
            kind,
            is_open,
        });
    }

    /// Describes the reasons of a wait. The kind is that of the first one; a deadline beside another reason is a limit.
    fn describe(&self, reasons: &[Reason], is_cut: bool) -> (String, WaitKind) {
        let kinds = reasons.iter().map(|reason| match reason {
            Reason::Socket { .. } => WaitKind::Socket,
            Reason::Deadline { .. } => WaitKind::Deadline,
            Reason::Task(_) | Reason::Children => WaitKind::Task,
            Reason::Job(_) => WaitKind::Job,
            Reason::Declared { .. } => WaitKind::Declared,
        });
        let first = kinds.clone().find(|kind| *kind != WaitKind::Deadline);
        let kind = first.or(kinds.clone().next());
        let kind = kind.unwrap_or(WaitKind::Outside);
        let mut parts: Vec<String> = Vec::new();
        for reason in reasons {
            let part = words::reason(self.recording, *reason);
            if !parts.contains(&part) {
                parts.push(part);
            }
        }
        let text = match (parts.is_empty(), is_cut) {
            (true, true) => String::from(words::UNKNOWN),
            (true, false) => String::from(words::OUTSIDE),
            (false, _) => parts.join(" or "),
        };
        (text, kind)
    }

    /// Returns whether a task has lived before the oldest event.
    fn is_older(&self, lane: LaneIndex) -> bool {
        let found = &self.group.lanes[lane];
        let may_be = found.spawned.is_none_or(|time| time < self.group.known.0);
        may_be && found.polls.is_empty() && !self.states[lane].is_born && self.recording.lost > 0
    }

    /// Reads a wake.
    fn woken(&mut self, now: Time, task: u32, cause: Cause) {
        let lane = self.task(task);
        let (kind, ended) = (self.group.lanes[lane].kind, self.group.lanes[lane].ended);
        if ended.is_some() && kind != Kind::Main {
            return;
        }
        let (by, text) = match cause {
            Cause::Task(by) => {
                let end = Reason::Task(by);
                let awaits = self.states[lane].reasons().any(|reason| reason == end);
                let by = self.task(by);
                let text = match (by == lane, awaits) {
                    (true, _) => words::ITSELF,
                    (false, true) => words::ITS_END,
                    (false, false) => "",
                };
                (Some(by), self.texts.add(text))
            }
            Cause::Job(job) => {
                let by = self.job(job);
                (Some(by), self.texts.add(words::ITS_END))
            }
            Cause::Socket => (None, self.socket_text(lane)),
            Cause::Deadline => (None, self.texts.add(words::DEADLINE)),
            Cause::Thread => (None, self.texts.add("another thread")),
            Cause::Abort => (None, self.texts.add("it was aborted")),
            Cause::Loop => (None, self.texts.add("the loop")),
        };
        let wake = Wake {
            time: now,
            by,
            text,
        };
        let ready = match cause {
            Cause::Deadline => self.due(lane, now),
            _ => now,
        };
        self.states[lane].wake(wake, ready, by == Some(lane), !is_by_loop(cause));
    }

    /// Returns since when a task is ready that is woken by a deadline: the deadline, if it passed while the loop polled
    /// tasks. A park that ends late is not the fault of a task.
    fn due(&self, lane: LaneIndex, woken: Time) -> Time {
        let left = |lane: &LaneIndex| self.states[*lane].left.as_ref();
        let family = self.family(lane);
        let due = family.iter().filter_map(|lane| left(lane)?.due).min();
        let due = due.map_or(woken, |due| due.min(woken));
        let parks = &self.group.parks;
        let next = parks.partition_point(|(start, _)| *start <= due);
        match parks[..next].last() {
            Some((start, length)) => due.max(start + length).min(woken),
            None => due,
        }
    }

    /// Returns since when a task is ready whose deadline has passed during the poll that still runs.
    fn overdue(&self, lane: LaneIndex) -> Option<Time> {
        // Without such a poll, the loop is about to look at the deadlines itself, or is at rest.
        self.recording.running?;
        let now = self.group.known.1;
        Some(self.due(lane, now)).filter(|due| *due < now)
    }

    /// Returns the text of a wake by a socket: the operation that is ready, of those that the task waits for.
    fn socket_text(&mut self, lane: LaneIndex) -> TextIndex {
        let mut sockets: Vec<(u32, usize)> = Vec::new();
        for lane in self.family(lane) {
            let state = &self.states[lane];
            let since = state.left.as_ref().map_or(0, |left| left.order);
            sockets.extend(state.reasons().filter_map(|reason| match reason {
                Reason::Socket { text } => Some((text, since)),
                _ => None,
            }));
        }
        let is_ready = |(text, since): &&(u32, usize)| {
            self.ready.get(text).is_some_and(|order| order >= since)
        };
        let newest = sockets.iter().filter(is_ready);
        let newest = newest.max_by_key(|(text, _)| self.ready.get(text));
        let only = (sockets.len() == 1).then(|| &sockets[0]);
        match newest.or(only) {
            Some((text, _)) => {
                let text = words::text(self.recording, *text);
                self.texts.add(&format!("ready: {text}"))
            }
            None => self.texts.add("a socket is ready"),
        }
    }

    /// Returns the lane of a task, and those of the children within its future: what wakes a child wakes the task.
    fn family(&self, lane: LaneIndex) -> Vec<LaneIndex> {
        let mut family = vec![lane];
        let mut next = 0;
        // A circle of parents would be a mistake of the recorder.
        while let Some(member) = family.get(next)
            && next < self.group.lanes.len()
        {
            let children = self.children.get(member).into_iter().flatten();
            let children = children.filter(|lane| self.group.lanes[**lane].ended.is_none());
            family.extend(children.copied().collect::<Vec<_>>());
            next += 1;
        }
        family
    }

    /// Returns the newest lane of a task, which is created if there is none.
    fn task(&mut self, task: u32) -> LaneIndex {
        match self.tasks.get(&task) {
            Some(lane) => *lane,
            None => self.new_task(task),
        }
    }

    /// Returns the lane of a task that is being polled, so it has not ended.
    fn living_task(&mut self, task: u32) -> LaneIndex {
        let lane = self.task(task);
        let found = &mut self.group.lanes[lane];
        match (found.ended, found.kind) {
            (None, _) => lane,
            // The next `block_on`.
            (Some(_), Kind::Main) => {
                found.ended = None;
                lane
            }
            (Some(_), _) => self.new_task(task),
        }
    }

    /// Adds a lane for a task whose number may have been that of another task.
    fn new_task(&mut self, task: u32) -> LaneIndex {
        let info = self.recording.tasks.get(&task);
        let parent = info.and_then(|info| info.parent);
        let is_child = parent.is_some();
        let lane = self.group.lanes.len();
        if let Some(before) = self.tasks.insert(task, lane) {
            // What is known belongs to the newest task of this number.
            let before = &mut self.group.lanes[before];
            (before.name, before.place) = (None, None);
        }
        self.group.lanes.push(Lane {
            restart: 0,
            kind: words::kind(task, is_child),
            id: task,
            name: info.and_then(|info| info.name.clone()),
            place: info.and_then(|info| info.place.clone()),
            spawned: info.and_then(|info| info.spawned).map(|time| self.at(time)),
            by: info
                .and_then(|info| self.tasks.get(&info.by?).copied())
                .filter(|by| *by != lane),
            parent: None,
            ended: None,
            polls: Vec::new(),
            waits: Vec::new(),
            queued: None,
        });
        self.states.push(State::default());
        if let Some(parent) = parent.filter(|parent| *parent != task) {
            // It lives as long as its child.
            let parent = self.task(parent);
            self.group.lanes[lane].parent = Some(parent);
            self.children.entry(parent).or_default().push(lane);
        }
        lane
    }

    /// Returns the newest lane of a job, which is created if there is none.
    fn job(&mut self, job: u32) -> LaneIndex {
        match self.jobs.get(&job) {
            Some(lane) => *lane,
            None => self.new_job(job),
        }
    }

    /// Adds a lane for a job.
    fn new_job(&mut self, job: u32) -> LaneIndex {
        let info = self.recording.jobs.get(&job);
        let is_lookup = info.is_some_and(|info| info.is_lookup);
        let lane = self.group.lanes.len();
        let is_again = self.jobs.insert(job, lane).is_some();
        // What is known of the times belongs to the job that has this number now.
        let info_time = info.filter(|_| !is_again);
        self.group.lanes.push(Lane {
            restart: 0,
            kind: if is_lookup { Kind::Lookup } else { Kind::Job },
            id: job,
            name: info.and_then(|info| info.name.clone()),
            // A lookup is submitted by glassfrog itself, in a place that tells nothing of the program.
            place: info
                .filter(|info| !info.is_lookup)
                .and_then(|info| info.place.clone()),
            spawned: info_time
                .and_then(|info| info.queued)
                .map(|time| self.at(time)),
            by: None,
            parent: None,
            ended: None,
            polls: Vec::new(),
            waits: Vec::new(),
            queued: None,
        });
        let began = info_time.and_then(|info| info.began);
        let began = began.map(|time| self.at(time));
        self.states.push(State::job(began));
        lane
    }

    /// Adds the run of a job up to this time or, if it has not begun, its wait for a thread.
    fn end_job(&mut self, lane: LaneIndex, until: Time, end: End) {
        let began = self.states[lane].began.take();
        let found = &self.group.lanes[lane];
        let (queued, by) = (found.spawned, found.by);
        if let Some(began) = began {
            let began = began.min(until);
            let text = self.texts.add(words::SPAWNED);
            let ready = queued.map(|time| time.min(began));
            let wake = ready.map(|time| self.keep(Wake { time, by, text }));
            self.group.lanes[lane].polls.push(Poll {
                start: began,
                length: until - began,
                ready,
                wake,
                end,
                cpu: None,
            });
        } else if let Some(queued) = queued
            && queued < until
        {
            let text = self.texts.add(words::THREAD);
            self.group.lanes[lane].waits.push(Wait {
                start: queued,
                length: until - queued,
                text,
                kind: WaitKind::Job,
                is_open: end == End::Running,
            });
        }
    }

    /// Adds the polls that have not ended: that of the running task, and of those whose scopes it is in.
    fn running(&mut self) {
        let Some((task, since)) = self.recording.running else {
            return;
        };
        let now = self.group.known.1;
        let (mut task, mut start) = (task, self.at(since).min(now));
        // A chain of parents that closes a circle would be a mistake of the recorder.
        for _ in 0..=self.recording.tasks.len() {
            let lane = self.living_task(task);
            start = self.nest.add(start.max(self.group.known.0), now);
            self.poll(lane, start, now, End::Running);
            let info = self.recording.tasks.get(&task);
            match info.and_then(|info| info.parent) {
                Some(parent) => task = parent,
                None => break,
            }
            // The parent has begun before its first child.
            start = self.inner.map_or(start, |inner| inner.min(start));
        }
    }

    /// Adds the park that has not ended.
    fn parked(&mut self) {
        if let Some(since) = self.recording.parked {
            let (begin, now) = self.group.known;
            let start = self.at(since).clamp(begin, now);
            let start = self.nest.add(start, now);
            self.group.parks.push((start, now - start));
        }
    }

    /// Adds the jobs that no event mentions and that have not ended.
    fn known_jobs(&mut self) {
        let jobs = self.recording.jobs.iter();
        let jobs = jobs.filter(|(_, info)| !info.is_over);
        let mut jobs: Vec<u32> = jobs.map(|(job, _)| *job).collect();
        jobs.sort_unstable();
        for job in jobs {
            self.job(job);
        }
        for lane in 0..self.group.lanes.len() {
            let found = &self.group.lanes[lane];
            let info = self.recording.jobs.get(&found.id);
            let is_over = found.ended.is_some() || info.is_some_and(|info| info.is_over);
            if !found.kind.is_on_loop() && !is_over {
                self.end_job(lane, self.group.known.1, End::Running);
            }
        }
    }

    /// Adds the tasks that no event mentions, and what each task waits for at the end.
    fn known_tasks(&mut self) {
        let (begin, now) = self.group.known;
        let tasks = self.recording.tasks.iter();
        let tasks = tasks.filter(|(_, info)| !info.is_over);
        let mut tasks: Vec<u32> = tasks.map(|(task, _)| *task).collect();
        tasks.sort_unstable();
        for task in tasks {
            self.task(task);
        }
        for lane in 0..self.group.lanes.len() {
            let found = &self.group.lanes[lane];
            let last = found.polls.last();
            let is_running = last.is_some_and(|poll| poll.end == End::Running);
            let info = self.recording.tasks.get(&found.id);
            let is_over = found.ended.is_some() || info.is_some_and(|info| info.is_over);
            if !found.kind.is_on_loop() || is_over || is_running {
                continue;
            }
            let last = last.map(|poll| poll.start);
            let is_known = info.is_some();
            if let Some(pending) = self.states[lane].queued(last) {
                let ready = pending.ready.unwrap_or(pending.wake.time);
                let ready = self.wait_until(lane, ready).min(now);
                let wake = self.keep(pending.wake);
                self.group.lanes[lane].queued = Some((ready, Some(wake)));
            } else if let Some(ready) = self.overdue(lane) {
                let ready = self.wait_until(lane, ready);
                let (time, by, text) = (ready, None, self.texts.add(words::DEADLINE));
                let wake = self.keep(Wake { time, by, text });
                self.group.lanes[lane].queued = Some((ready, Some(wake)));
            } else if let Some(left) = &self.states[lane].left {
                let since = left.since;
                self.wait(lane, since, now, true);
            } else if is_known && self.is_older(lane) {
                self.wait(lane, begin, now, true);
            }
        }
    }

    /// Finishes the group.
    fn finish(mut self) -> Group {
        for lane in 0..self.group.lanes.len() {
            self.group.lanes[lane]
                .polls
                .sort_by_key(|poll| (poll.start, poll.end()));
        }
        self.group.queue = strip::queue(&self.group.lanes);
        self.group.strip = strip::pieces(&self.group.lanes);
        self.group
    }
}
