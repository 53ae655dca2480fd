//! The parts of the pool that use no threads.

#[path = "../../../src/pool/job.rs"]
#[expect(dead_code, reason = "the tests use a part of it")]
pub(crate) mod job;
#[path = "../../../src/pool/queue.rs"]
#[expect(dead_code, reason = "the tests use a part of it")]
pub(crate) mod queue;
