//! Tests of internal parts that no public item exposes alone: naive oracles and property tests.
//!
//! This package compiles the files of the crate once more, because tests inside them would make every build of an
//! example build proptest.
#![cfg(test)]

#[path = "../../../src/traces/chain.rs"]
mod chain;
#[path = "../../../src/executor/ended.rs"]
mod ended;
#[path = "../../../src/foreign.rs"]
#[expect(
    dead_code,
    unused_macros,
    unused_imports,
    reason = "the tests use a part of it"
)]
mod foreign;
mod pool;
#[path = "../../../src/primitives.rs"]
#[expect(unused_imports, reason = "the tests use a part of it")]
mod primitives;
mod reactor;
#[path = "../../../src/net/read_to_end.rs"]
mod read_to_end;
#[cfg(feature = "timeline")]
#[path = "../../../src/timeline/ring.rs"]
#[expect(dead_code, reason = "the tests use a part of it")]
mod ring;
#[path = "../../../src/slab.rs"]
#[expect(dead_code, reason = "the tests use a part of it")]
mod slab;
#[expect(unreachable_pub, reason = "some of it is public in the crate")]
mod timeline;
#[path = "../../../src/waiter.rs"]
#[expect(dead_code, reason = "the tests use a part of it")]
mod waiter;
#[path = "../../../src/timers/wheel.rs"]
#[expect(dead_code, reason = "the tests use a part of it")]
mod wheel;

mod attempt_laws;
mod chain_laws;
mod ended_laws;
#[cfg(feature = "sim")]
mod hosts_laws;
mod queue_laws;
mod read_to_end_laws;
#[cfg(feature = "timeline")]
mod ring_laws;
mod slab_laws;
mod strict_json;
mod timeline_laws;
mod waiter_laws;
mod wheel_laws;
