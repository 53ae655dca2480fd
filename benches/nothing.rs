//! Nothing: the benchmarks stand in `tasks.rs`, `timers.rs` and `net.rs`.
