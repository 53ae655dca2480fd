//! [`Bells`]: the list of ready hosts, and the detection of messages from foreign threads.
//!
//! Each host has a bell, which its inbox rings when a message arrives. The driver rings it when a deadline or a packet
//! is due. A bell that is rung puts the host on the list of ready hosts, once. So the driver never looks at a host that
//! has nothing to do.
//!
//! A bell that is rung on another thread, except the one that runs the blocking jobs, ends the run: the moment depends
//! on the machine, so the run could not be repeated.

use super::rng::Rng;
use crate::primitives::{Mutex, lock};
use crate::wire::HostId;
use futures_task::ArcWake;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;
use std::thread::{self, ThreadId};

/// The bells of the hosts of a simulation.
pub(super) struct Bells {
    /// The thread that runs the simulation.
    thread: ThreadId,
    /// What the bells have told.
    state: Mutex<State>,
    /// Whether `State::foreign` or `State::stop` is set, so that the driver need not lock to find out.
    is_interrupted: AtomicBool,
}

/// What the bells have told.
#[derive(Default)]
struct State {
    /// The hosts that have something to do.
    ready: Vec<HostId>,
    /// For each host whether it is in `ready`.
    is_ready: Vec<bool>,
    /// The thread that runs the blocking jobs, once there is one.
    jobs: Option<ThreadId>,
    /// The first host that another thread has sent a message to, and the name of the thread.
    foreign: Option<(HostId, Option<String>)>,
    /// Why the run must end now, if the test has passed its limit of real time.
    stop: Option<String>,
}

/// Why a run ends at once.
pub(super) enum Interrupt {
    /// Another thread, which may have a name, has sent a message to this host.
    Foreign(HostId, Option<String>),
    /// The test has passed its limit of real time.
    Stop(String),
}

impl Bells {
    /// Creates the bells of a simulation that this thread runs.
    pub(super) fn new() -> Arc<Bells> {
        Arc::new(Bells {
            thread: thread::current().id(),
            state: Mutex::default(),
            is_interrupted: AtomicBool::new(false),
        })
    }

    /// Hangs up the bell of a host.
    pub(super) fn add(self: &Arc<Bells>, host: HostId) -> Waker {
        let mut state = lock(&self.state);
        let len = state.is_ready.len().max(host as usize + 1);
        state.is_ready.resize(len, false);
        drop(state);
        let bells = Arc::clone(self);
        futures_task::waker(Arc::new(Bell { bells, host }))
    }

    /// Puts a host on the list.
    pub(super) fn ring(&self, host: HostId) {
        lock(&self.state).ring(host);
    }

    /// Returns whether a host is ready.
    pub(super) fn has_rung(&self) -> bool {
        !lock(&self.state).ready.is_empty()
    }

    /// Takes one of the ready hosts, each with the same probability.
    pub(super) fn take(&self, rng: &Rng) -> Option<HostId> {
        let mut state = lock(&self.state);
        let place = match state.ready.len() {
            0 => return None,
            // Nothing to choose: no number is drawn.
            1 => 0,
            len => rng.below(len as u64) as usize,
        };
        let host = state.ready.swap_remove(place);
        state.is_ready[host as usize] = false;
        Some(host)
    }

    /// Notes the thread that runs the blocking jobs, whose messages are part of the simulation.
    pub(super) fn set_job_thread(&self, thread: ThreadId) {
        lock(&self.state).jobs = Some(thread);
    }

    /// Ends the run as soon as the driver looks.
    #[cfg_attr(not(feature = "macros"), expect(dead_code, reason = "for tests"))]
    pub(super) fn stop(&self, reason: String) {
        lock(&self.state).stop = Some(reason);
        self.interrupt();
    }

    /// Returns why the run must end now, if it must.
    pub(super) fn interrupted(&self) -> Option<Interrupt> {
        if !self.is_interrupted() {
            return None;
        }
        let mut state = lock(&self.state);
        let foreign = state.foreign.clone();
        let foreign = foreign.map(|(host, thread)| Interrupt::Foreign(host, thread));
        foreign.or_else(|| state.stop.take().map(Interrupt::Stop))
    }

    /// Returns whether the run must end now.
    pub(super) fn is_interrupted(&self) -> bool {
        // Acquire pairs with the release in `interrupt`. The lock alone would do, since nothing else is read.
        self.is_interrupted.load(Ordering::Acquire)
    }

    /// Has the driver look for an interrupt.
    fn interrupt(&self) {
        // Release pairs with the acquire in `interrupted`.
        self.is_interrupted.store(true, Ordering::Release);
    }
}

impl State {
    /// Puts a host on the list.
    fn ring(&mut self, host: HostId) {
        let is_ready = &mut self.is_ready[host as usize];
        if !*is_ready {
            *is_ready = true;
            self.ready.push(host);
        }
    }
}

/// The bell of one host.
struct Bell {
    /// All bells of the simulation.
    bells: Arc<Bells>,
    /// The host.
    host: HostId,
}

impl ArcWake for Bell {
    fn wake_by_ref(bell: &Arc<Bell>) {
        let bells = &bell.bells;
        let thread = thread::current();
        let mut state = lock(&bells.state);
        state.ring(bell.host);
        if thread.id() != bells.thread && Some(thread.id()) != state.jobs {
            let name = || (bell.host, thread.name().map(String::from));
            state.foreign.get_or_insert_with(name);
            bells.interrupt();
        }
    }
}
