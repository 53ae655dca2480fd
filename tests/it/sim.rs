//! The tests of simulations, a module per subject.

#[expect(dead_code, reason = "the tests use a part of it")]
mod support;
mod sim_bugs;
