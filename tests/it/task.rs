//! The tests of tasks, sets, scopes and blocking jobs, a module per subject.

#[expect(dead_code, reason = "the tests use a part of it")]
mod support;
mod task_probes;
mod task_spawn;
mod task_drop;
mod task_panic;
mod task_abort;
mod task_finished;
mod task_set;
mod task_seed;
mod task_names;
mod task_table;
mod task_scope;
mod task_blocking;
mod task_wakers;
mod task_fairness;
mod task_reentrancy;
mod task_ecosystem;
