//! The parts of the reactor that do not call the operating system.

#[path = "../../../src/reactor/attempts.rs"]
#[expect(dead_code, reason = "the tests use a part of it")]
pub(crate) mod attempts;
#[path = "../../../src/reactor/readiness.rs"]
#[expect(dead_code, reason = "the tests use a part of it")]
pub(crate) mod readiness;
#[path = "../../../src/reactor/waiters.rs"]
#[expect(dead_code, reason = "the tests use a part of it")]
pub(crate) mod waiters;
