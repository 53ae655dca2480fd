//! What `#[glassfrog::test(sim)]` needs of a simulation besides its public face.

use super::Sim;
use super::bell::Bells;
use super::driver::Taken;
use super::logger::Seconds;
use crate::wire;
use std::mem;
use std::sync::Arc;

/// What has happened in a run, for a comparison with another run of the seed.
pub(crate) struct Recording {
    /// What has happened on the network.
    wire: wire::Recording,
    /// The steps of the hosts.
    steps: Vec<Taken>,
}

impl Sim {
    /// Returns what stops the simulation from another thread.
    pub(crate) fn stopper(&self) -> Stop {
        Stop(Arc::clone(&self.simulation.bells))
    }

    /// Keeps everything that happens, for [`recording`](Sim::recording).
    pub(crate) fn record_all(&mut self) {
        self.simulation.wire.record(usize::MAX);
        self.steps = Some(Vec::new());
    }

    /// Takes everything that has happened.
    pub(crate) fn recording(&mut self) -> Recording {
        Recording {
            wire: self.simulation.wire.recording(),
            steps: self.steps.take().unwrap_or_default(),
        }
    }

    /// Compares this run with another from its beginning on. Returns the steps of the other run, for
    /// [`difference`](Sim::difference).
    pub(crate) fn compare_with(&mut self, first: Recording) -> Vec<Taken> {
        self.simulation.wire.compare_with(first.wire);
        self.steps = Some(Vec::new());
        first.steps
    }

    /// Returns the first difference to an earlier run, once this one is over: on the network, or else between the steps of
    /// the hosts.
    pub(crate) fn difference(&mut self, first: &[Taken]) -> Option<String> {
        if let Some(found) = self.simulation.wire.difference(true) {
            return Some(found.to_string());
        }
        let second = mem::take(&mut self.steps)?;
        let shared = first.iter().zip(&second);
        let same = shared.take_while(|(one, other)| one == other).count();
        let (one, other) = (first.get(same), second.get(same));
        (one.is_some() || other.is_some()).then(|| {
            let (one, other) = (self.in_words(one), self.in_words(other));
            format!(
                "the network carried the same in both runs, but the hosts did not do the same: \"{one}\" against \
                 \"{other}\""
            )
        })
    }

    /// Describes a step, or the end of a run.
    fn in_words(&self, step: Option<&Taken>) -> String {
        let Some(Taken { at, host, polls }) = step else {
            return String::from("the run ends");
        };
        let (time, name) = (Seconds(*at), &self.machines[*host as usize].here.name);
        let s = if *polls == 1 { "" } else { "s" };
        format!("{time} {name} makes {polls} poll{s}")
    }
}

/// Stops a simulation from another thread.
#[derive(Clone)]
pub(crate) struct Stop(Arc<Bells>);

impl Stop {
    /// Fails the simulation as soon as its driver looks.
    pub(crate) fn stop(&self, reason: String) {
        self.0.stop(reason);
    }
}
