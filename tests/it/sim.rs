//! The tests of simulations, a module per subject.

#[expect(dead_code, reason = "the tests use a part of it")]
mod support;
mod sim_bugs;
mod sim_causes;
mod sim_clocks;
mod sim_faults;
mod sim_hosts;
mod sim_jobs;
mod sim_random;
mod sim_run;
mod sim_same;
mod sim_scale;
mod sim_streams;
#[cfg(feature = "timeline")]
mod sim_timeline;
mod sim_toy;
