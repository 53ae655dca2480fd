//! The driver: how a [`Sim`] moves from moment to moment.
//!
//! A simulation is a sequence of *moments*. At each moment, the driver [processes](Sim::moment) the events of the network
//! that are due, and steps the hosts that have something to do, one at a time in an order that the seed chooses, until
//! none is left. Then the time [jumps](Sim::jump) to the next event, deadline, job, fault or check. There are no ticks, and
//! nothing here looks at all hosts.
//!
//! The outcome of a step is a function of the seed, so the whole run is. Only foreign messages could change that, and these end
//! the run.

use super::Sim;
use super::bell::Interrupt;
use super::failure::{Cause, Failure, Parts, Scene};
use super::faults::{Act, Planned};
use super::inside::{self, Command};
use super::machine::{Machine, Outcome, Step};
use super::origin::Origin;
use super::report::Report;
use super::rng::mix;
use crate::clock::Stopwatch;
use crate::dump::{Wait, What};
use crate::foreign::panic_message;
use crate::wire::HostId;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// The number of lines of the journal in a failure: about as many as fit on a screen with the dumps.
const LAST_LINES: usize = 32;

/// How long, in real time, a run that stands still waits for a thread outside the simulation, if it may be what a task
/// waits for. Only a run that fails anyway takes that long.
const FOREIGN_PATIENCE: Duration = Duration::from_millis(100);

/// A check that the test has given to [`Sim::every`].
pub(super) struct Check {
    /// How often the check is made, in nanoseconds.
    pub(super) period: u64,
    /// The check.
    pub(super) check: Box<dyn FnMut() -> super::Result>,
}

/// A step that a host has taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    /// The moment, in nanoseconds since the beginning.
    pub(super) at: u64,
    /// The host.
    pub(super) host: HostId,
    /// The number of polls.
    pub(super) polls: u64,
}

impl Sim {
    /// Runs until all clients have ended.
    pub(super) fn run_clients(&mut self) -> Result<(), Failure> {
        loop {
            self.moment()?;
            if self.clients == 0 {
                self.check_panics()?;
                return self.check_all();
            }
            let Some(next) = self.next() else {
                self.wait_for_interrupt();
                self.check_interrupt()?;
                return Err(self.fail(Cause::Standstill, None));
            };
            self.jump(next)?;
        }
    }

    /// Runs until a moment, in nanoseconds since the beginning.
    pub(super) fn run_until(&mut self, end: u64) -> Result<(), Failure> {
        loop {
            self.moment()?;
            match self.next().filter(|next| *next <= end) {
                Some(next) => self.jump(next)?,
                None if self.now() < end => self.jump(end)?,
                None => return Ok(()),
            }
        }
    }

    /// Returns the present moment, in nanoseconds since the beginning.
    pub(super) fn now(&self) -> u64 {
        self.simulation.time.now()
    }

    /// Returns when the next thing happens, if anything can happen any more. Checks do not count: they change nothing.
    pub(super) fn next(&self) -> Option<u64> {
        let timer = self.timers.first().map(|(at, _)| *at);
        let times = [
            timer,
            self.simulation.wire.next(),
            self.jobs.next(),
            self.plan.next(),
        ];
        times.into_iter().flatten().min()
    }

    /// Moves the time, on the way to `next`: to `next` itself, or to a check before it.
    pub(super) fn jump(&mut self, next: u64) -> Result<(), Failure> {
        let check = self.next_check().filter(|check| *check < next);
        let next = check.unwrap_or(next);
        if next > self.time_limit {
            let limit = self.time_limit;
            self.simulation.time.advance_to(limit.max(self.now()));
            return Err(self.fail(Cause::TimeLimit(Duration::from_nanos(limit)), None));
        }
        self.simulation.time.advance_to(next.max(self.now()));
        Ok(())
    }

    /// Lets everything happen that is due at the present moment.
    pub(super) fn moment(&mut self) -> Result<(), Failure> {
        self.draw_faults();
        let now = self.now();
        for id in mem::take(&mut self.fresh) {
            self.boot(id)?;
        }
        // 1. What was planned for this moment: faults, jobs, deadlines.
        while let Some(planned) = self.plan.take(now) {
            self.act(planned)?;
        }
        while let Some(id) = self.jobs.take(now) {
            self.run_job(id)?;
        }
        while let Some(&(at, id)) = self.timers.first()
            && at <= now
        {
            self.timers.pop_first();
            self.machines[id as usize].timer = None;
            self.simulation.bells.ring(id);
        }
        // 2. Until nothing is left: the network, and one of the ready hosts. Each step counts, even one without polls.
        let mut left = self.poll_limit;
        loop {
            self.obey_all(&mut left)?;
            self.deliver();
            let Some(id) = self.simulation.bells.take(&self.order) else {
                break;
            };
            let polls = self.step_host(id, left)?;
            self.count(&mut left, polls.max(1), id)?;
        }
        self.check_interrupt()?;
        // 3. The checks see the moment when it is over.
        while self.next_check().is_some_and(|next| next <= now) {
            if let Some((at, place)) = self.next_checks.pop_first() {
                let next = at.saturating_add(self.checks[place].period);
                self.next_checks.insert((next, place));
                self.check(place)?;
            }
        }
        Ok(())
    }

    /// Counts the polls of a step, or a command. Fails if the moment has no polls left.
    fn count(&mut self, left: &mut u64, polls: u64, id: HostId) -> Result<(), Failure> {
        *left = left.saturating_sub(polls);
        match *left {
            0 => {
                let polls = self.poll_limit;
                Err(self.fail(Cause::Livelock { polls }, Some(id)))
            }
            _ => Ok(()),
        }
    }

    /// Does what hosts have asked for. The destructors that run meanwhile may ask for more. Each command counts as a poll.
    fn obey_all(&mut self, left: &mut u64) -> Result<(), Failure> {
        while self.simulation.has_commands() {
            for command in self.simulation.commands() {
                let id = command.host();
                self.obey(command)?;
                self.count(left, 1, id)?;
            }
        }
        Ok(())
    }

    /// Draws the plan of the faults, once the hosts are known.
    fn draw_faults(&mut self) {
        if let Some(faults) = self.faults.take() {
            let hosts = self.machines.iter();
            let hosts: Vec<_> = hosts
                .map(|host| (String::from(&*host.here.name), host.is_client))
                .collect();
            let before = mem::take(&mut self.plan);
            self.plan = faults.plan(&hosts, &self.fault_rng, self.now(), before);
        }
    }

    /// Has the network process its events, and rings the bells of the hosts whose sockets have become ready.
    fn deliver(&mut self) {
        self.simulation.wire.advance(&mut self.deliveries);
        for ready in self.deliveries.drain(..) {
            let machine = &mut self.machines[ready.host as usize];
            if machine.is_up() {
                machine.ready.push((ready.token, ready.mask));
                self.simulation.bells.ring(ready.host);
            }
        }
    }

    /// Steps a host. Returns the number of its polls.
    fn step_host(&mut self, id: HostId, most_polls: u64) -> Result<u64, Failure> {
        let now = self.now();
        let machine = &mut self.machines[id as usize];
        let stepped = machine.step(most_polls);
        self.visits += 1;
        self.check_interrupt()?;
        let Some(Step {
            polls,
            is_ready_again,
            held_jobs,
            outcome,
            timer,
        }) = stepped
        else {
            return Ok(0);
        };
        self.polls += polls;
        self.hash = mix(self.hash ^ now.rotate_left(20) ^ (u64::from(id) << 40) ^ polls);
        if let Some(steps) = &mut self.steps {
            let (at, host) = (now, id);
            steps.push(Taken { at, host, polls });
        }
        let due_jobs = &mut self.machines[id as usize].due_jobs;
        for _ in *due_jobs..held_jobs {
            self.jobs.schedule(now, id, &self.order);
        }
        *due_jobs = held_jobs.max(*due_jobs);
        if is_ready_again {
            self.simulation.bells.ring(id);
        }
        self.set_timer(id, timer);
        match outcome {
            None => {}
            Some(Outcome::Returned(Ok(()))) => {
                if let Some(message) = self.machines[id as usize].unreceived_panic() {
                    return Err(self.fail(Cause::Panic(message), Some(id)));
                }
                self.end(id);
            }
            Some(Outcome::Returned(Err(error))) => {
                return Err(self.fail(Cause::Error(Rc::from(error)), Some(id)));
            }
            Some(Outcome::Panicked(message)) => {
                return Err(self.fail(Cause::Panic(message), Some(id)));
            }
        }
        Ok(polls)
    }

    /// Plans when to look at the timers of a host.
    fn set_timer(&mut self, id: HostId, timer: Option<u64>) {
        // A clock that is slow enough never shows its last deadlines.
        let timer = timer.filter(|at| *at < u64::MAX);
        let planned = &mut self.machines[id as usize].timer;
        if *planned != timer {
            if let Some(at) = mem::replace(planned, timer) {
                self.timers.remove(&(at, id));
            }
            self.timers.extend(timer.map(|at| (at, id)));
        }
    }

    /// Runs a job of a host. Its end rings the bell of the host.
    fn run_job(&mut self, id: HostId) -> Result<(), Failure> {
        let machine = &mut self.machines[id as usize];
        machine.due_jobs -= 1;
        if machine.paused.is_any() {
            // The threads of a stopped process stand still. The first step after it resumes schedules the job again.
            return Ok(());
        }
        let pool = machine
            .event_loop()
            .map(|event_loop| Arc::clone(&event_loop.shared.pool));
        // `None`: it was aborted while it waited.
        let Some(job) = pool.and_then(|pool| pool.take_held(|ids| self.order.range(ids))) else {
            return Ok(());
        };
        let name = job.describe();
        let here = Arc::clone(&machine.here);
        let work = move || {
            let _inside = inside::enter(&here);
            job.run();
        };
        match self.jobs.run(Box::new(work), &self.simulation.bells) {
            Ok(true) => self.check_interrupt(),
            Ok(false) => {
                let limit = self.jobs.limit;
                Err(self.fail(Cause::Job { job: name, limit }, Some(id)))
            }
            Err(error) => Err(self.fail(Cause::Error(Rc::new(error)), Some(id))),
        }
    }

    /// Starts the process of a host.
    pub(super) fn boot(&mut self, id: HostId) -> Result<(), Failure> {
        self.has_begun = true;
        let machine = &mut self.machines[id as usize];
        match machine.boot() {
            Ok(None) => {
                self.simulation.bells.ring(id);
                Ok(())
            }
            Ok(Some(message)) => Err(self.fail(Cause::Panic(message), Some(id))),
            Err(error) => Err(self.fail(Cause::Error(Rc::new(error)), Some(id))),
        }
    }

    /// Notes that the software of a host has returned: its process exits, as it does when `main` returns.
    fn end(&mut self, id: HostId) {
        self.note(id, "exits");
        self.stop(id);
        self.simulation.wire.close_all(id);
        let machine = &mut self.machines[id as usize];
        if machine.is_client && !mem::replace(&mut machine.has_ended, true) {
            self.clients -= 1;
        }
    }

    /// Ends the process of a host, and forgets its timers and jobs.
    fn stop(&mut self, id: HostId) {
        self.set_timer(id, None);
        if self.machines[id as usize].due_jobs > 0 {
            self.jobs.forget(id);
        }
        self.machines[id as usize].shut_down();
    }

    /// Does what a host, or the test, has asked for.
    pub(super) fn obey(&mut self, command: Command) -> Result<(), Failure> {
        if let Command::Crash(id) | Command::Kill(id) | Command::Restart(id) = command {
            // From now on, the test decides whether the host runs.
            self.machines[id as usize].is_felled = false;
        }
        match command {
            Command::Crash(id) => self.crash_host(id),
            Command::Kill(id) => {
                let before = self.fresh.len();
                self.fresh.retain(|fresh| *fresh != id);
                if self.machines[id as usize].is_up() || self.fresh.len() < before {
                    self.note_fault(id, "is killed");
                    self.stop(id);
                    self.simulation.wire.close_all(id);
                    self.give_up(id);
                }
            }
            Command::Pause(id) => self.pause_host(id, Origin::Test),
            Command::Resume(id) => self.resume_host(id, Origin::Test),
            Command::Restart(id) => {
                if !self.fresh.contains(&id) {
                    if self.machines[id as usize].is_up() {
                        self.crash_host(id);
                    }
                    self.note_fault(id, "starts");
                    if !mem::replace(&mut self.machines[id as usize].has_power, true) {
                        self.simulation.wire.power_on(id);
                    }
                    self.boot(id)?;
                }
            }
            Command::Clock(id, clock) => {
                self.note_fault(id, &clock.in_words());
                let machine = &mut self.machines[id as usize];
                machine.clock_set = clock;
                // The wall clock shows what the test has said, also when the fault is over.
                machine.step = 0;
                machine.clock.set(clock.ahead, machine.ppm());
                self.replan_timer(id);
            }
        }
        Ok(())
    }

    /// Stops the process of a host.
    fn pause_host(&mut self, id: HostId, origin: Origin) {
        let machine = &mut self.machines[id as usize];
        if machine.is_up() && machine.paused.set(origin, true) {
            self.note_fault(id, "pauses");
        }
    }

    /// Continues the process of a host, unless another origin has stopped it too.
    fn resume_host(&mut self, id: HostId, origin: Origin) {
        if self.machines[id as usize].paused.set(origin, false) {
            self.note_fault(id, "resumes");
            self.simulation.bells.ring(id);
        }
    }

    /// Takes the power from a host.
    fn crash_host(&mut self, id: HostId) {
        self.fresh.retain(|fresh| *fresh != id);
        if mem::replace(&mut self.machines[id as usize].has_power, false) {
            // The network notes it in the journal.
            self.show_fault(id, "loses its power");
            // First the network: nobody hears what its sockets say while they are dropped.
            self.simulation.wire.power_off(id);
            self.stop(id);
            self.give_up(id);
        }
    }

    /// Notes that a client will never end by itself: the run does not wait for it.
    fn give_up(&mut self, id: HostId) {
        let machine = &mut self.machines[id as usize];
        if machine.is_client && !mem::replace(&mut machine.has_ended, true) {
            self.clients -= 1;
        }
    }

    /// Changes by how much a fault makes the clock of a host fast.
    fn drift(&mut self, id: HostId, ppm: i64) {
        let machine = &mut self.machines[id as usize];
        machine.drift = ppm;
        machine.clock.set_rate(machine.ppm());
        self.replan_timer(id);
    }

    /// Sets the wall clock of a host ahead, or back if the number is negative.
    fn step_wall(&mut self, id: HostId, nanos: i64) {
        let way = match nanos {
            0 => return,
            1.. => "ahead",
            _ => "back",
        };
        self.machines[id as usize].clock.step_wall(nanos);
        let time = Duration::from_nanos(nanos.unsigned_abs());
        self.note_fault(id, &format!("sets its wall clock {way} by {time:?}"));
    }

    /// Plans anew when to look at the timers of a host whose clock has changed.
    fn replan_timer(&mut self, id: HostId) {
        let machine = &self.machines[id as usize];
        let deadline = machine
            .event_loop()
            .and_then(|event_loop| event_loop.next_deadline());
        let timer = deadline.map(|deadline| machine.clock.true_time_of(deadline));
        self.set_timer(id, timer.map(|at| at.max(self.now())));
    }

    /// Begins or ends a fault of the plan.
    fn act(&mut self, planned: Planned) -> Result<(), Failure> {
        let Planned { what, one, other } = &planned;
        let simulation = Arc::clone(&self.simulation);
        let id = simulation.id(one);
        match *what {
            Act::Cut => simulation.partition(Origin::Swarm, one, other),
            Act::CutOneWay => simulation.partition_oneway(Origin::Swarm, one, other),
            Act::Repair => simulation.repair(Origin::Swarm, one, other),
            Act::RepairOneWay => simulation.repair_oneway(Origin::Swarm, one, other),
            Act::Hold => simulation.hold(Origin::Swarm, one, other),
            Act::Release => simulation.release(Origin::Swarm, one, other),
            Act::Reset => simulation.reset(one, other),
            Act::Disturb(disturbance) => simulation.disturb(id, simulation.id(other), disturbance),
            // A host whose software has ended by itself stays down.
            Act::Crash | Act::Kill if !self.machines[id as usize].is_up() => {}
            Act::Crash | Act::Kill => {
                self.obey(match what {
                    Act::Crash => Command::Crash(id),
                    _ => Command::Kill(id),
                })?;
                self.machines[id as usize].is_felled = true;
            }
            Act::Pause => self.pause_host(id, Origin::Swarm),
            Act::Resume => self.resume_host(id, Origin::Swarm),
            Act::Restart => {
                let machine = &mut self.machines[id as usize];
                // The test, or another host, may have started it already.
                if mem::replace(&mut machine.is_felled, false) && !machine.is_up() {
                    self.obey(Command::Restart(id))?;
                }
            }
            Act::Drift(ppm) => {
                self.note_fault(id, &format!("has a clock that drifts by {ppm} ppm"));
                self.drift(id, ppm);
            }
            Act::EndDrift => {
                self.note_fault(id, "has a clock that no longer drifts");
                self.drift(id, 0);
            }
            Act::Step(nanos) => {
                self.machines[id as usize].step = nanos;
                self.step_wall(id, nanos);
            }
            Act::EndStep => {
                let nanos = mem::take(&mut self.machines[id as usize].step);
                self.step_wall(id, -nanos);
            }
        }
        Ok(())
    }

    /// Notes in the journal what a host does.
    fn note(&self, id: HostId, does: &str) {
        let name = &self.machines[id as usize].here.name;
        self.simulation.wire.note(&format!("{name} {does}"));
    }

    /// Notes in the journal, and in the timeline, what befalls a host.
    fn note_fault(&self, id: HostId, does: &str) {
        let name = &self.machines[id as usize].here.name;
        self.simulation.wire.note_fault(&format!("{name} {does}"));
        self.show_fault(id, does);
    }

    /// Notes in the timeline what befalls a host.
    fn show_fault(&self, id: HostId, does: &str) {
        if let Some(timeline) = &self.simulation.timeline {
            timeline.fault(Some((id, id)), does);
        }
    }

    /// Fails if a task has panicked and nothing has received the panic.
    fn check_panics(&mut self) -> Result<(), Failure> {
        let mut panicked = self.machines.iter().filter(|machine| machine.has_panics());
        let found =
            panicked.find_map(|machine| Some((machine.here.id, machine.unreceived_panic()?)));
        match found {
            None => Ok(()),
            Some((id, message)) => Err(self.fail(Cause::Panic(message), Some(id))),
        }
    }

    /// Returns when the next check is due.
    fn next_check(&self) -> Option<u64> {
        self.next_checks.first().map(|(at, _)| *at)
    }

    /// Makes all checks.
    fn check_all(&mut self) -> Result<(), Failure> {
        (0..self.checks.len()).try_for_each(|place| self.check(place))
    }

    /// Makes a check.
    fn check(&mut self, place: usize) -> Result<(), Failure> {
        let check = &mut self.checks[place].check;
        let error = match catch_unwind(AssertUnwindSafe(check)) {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error,
            Err(panic) => panic_message(&*panic).into(),
        };
        Err(self.fail(Cause::Invariant(Rc::from(error)), None))
    }

    /// Ends the run if something from outside the simulation requires it.
    fn check_interrupt(&mut self) -> Result<(), Failure> {
        match self.simulation.bells.interrupted() {
            None => Ok(()),
            Some(Interrupt::Foreign(id, thread)) => {
                Err(self.fail(Cause::ForeignMessage { thread }, Some(id)))
            }
            Some(Interrupt::Stop(reason)) => Err(self.fail(Cause::Stopped(reason), None)),
        }
    }

    /// Waits a moment of real time for an interrupt, if a task waits for something outside glassfrog that holds its waker:
    /// it may be another thread, and then that is the cause of the failure, rather than the standstill.
    fn wait_for_interrupt(&self) {
        let mut dumps = self.machines.iter().filter_map(Machine::dump);
        let is_held = |wait: &Wait| matches!(wait.what, What::Outside(Some(1..)));
        if !dumps.any(|dump| dump.waits().any(|(_, wait)| is_held(wait))) {
            return;
        }
        let began = Stopwatch::start();
        while !self.simulation.bells.is_interrupted() && began.elapsed() < FOREIGN_PATIENCE {
            // Nothing is left to simulate, and the other thread needs the processor.
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Returns the report about everything so far.
    pub(crate) fn report(&self) -> Report {
        let wire = &self.simulation.wire;
        Report {
            seed: self.seed,
            hash: self.whole_hash(),
            polls: self.polls,
            events: wire.hash_and_count().1,
            elapsed: self.elapsed(),
            journal: match self.record {
                0 => Vec::new(),
                lines => last(wire.lines(), lines),
            },
        }
    }

    /// Returns the hash of everything so far.
    fn whole_hash(&self) -> u64 {
        mix(self.hash ^ self.simulation.wire.hash_and_count().0)
    }

    /// Returns what the hosts wait for, and what has happened last.
    pub(crate) fn scene(&self) -> Scene {
        let dumps = self.machines.iter().filter_map(|machine| {
            let dump = machine.dump()?;
            Some((Arc::clone(&machine.here.name), dump.to_string()))
        });
        let (faults, all_faults) = self.simulation.wire.faults();
        Scene {
            dumps: dumps.collect(),
            faults,
            all_faults,
            journal: last(self.simulation.wire.lines(), self.record.max(LAST_LINES)),
        }
    }

    /// Fails the simulation, which does not go on after that.
    pub(crate) fn fail(&mut self, cause: Cause, host: Option<HostId>) -> Failure {
        let names = |is_named: fn(&Machine) -> bool| {
            let machines = self.machines.iter().filter(|machine| is_named(machine));
            machines
                .map(|machine| Arc::clone(&machine.here.name))
                .collect()
        };
        let awaited = match cause {
            Cause::Standstill | Cause::TimeLimit(_) => {
                names(|machine| machine.is_client && !machine.has_ended)
            }
            _ => Vec::new(),
        };
        self.mark_failure(&cause, host);
        let failure = Failure::new(Parts {
            seed: self.seed,
            cause,
            host: host.map(|id| Arc::clone(&self.machines[id as usize].here.name)),
            elapsed: self.elapsed(),
            hash: self.whole_hash(),
            awaited,
            paused: names(|machine| machine.paused.is_any()),
            scene: self.scene(),
        });
        self.failed = Some(failure.clone());
        self.write_timeline(None, true);
        failure
    }

    /// Marks the failure in the timeline, with the first line of its cause.
    fn mark_failure(&self, cause: &Cause, host: Option<HostId>) {
        if let Some(timeline) = &self.simulation.timeline {
            let text = cause.to_string();
            let line = text.lines().next().unwrap_or_default();
            match host {
                Some(id) => timeline.fault(Some((id, id)), format_args!("fails: {line}")),
                None => timeline.fault(None, format_args!("the simulation fails: {line}")),
            }
        }
    }
}

/// Returns the last `count` lines.
fn last(mut lines: Vec<String>, count: usize) -> Vec<String> {
    lines.split_off(lines.len().saturating_sub(count))
}
