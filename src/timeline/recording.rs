//! [`Recording`]: what a reader has copied from a recorder: the events, and the names of what they mention.
//!
//! Between the recorder, which writes while the loop runs, and everything that looks at a run afterwards, there is only
//! this. The [model](super::model) is made from it.

use super::event::Event;
use std::collections::HashMap;
use std::time::Instant;

/// A copy of what a recorder has kept.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recording {
    /// The name of the runtime among several: `worker 0`, or that of a simulated host. Empty if there is only one.
    pub(crate) name: String,
    /// When the recorder was created, by which the times of several recordings are compared. `None` if that is
    /// unknown.
    pub(crate) created: Option<Instant>,
    /// The events, ordered by time. Those of other threads are among them.
    pub(crate) events: Vec<Event>,
    /// The number of older events that were overwritten.
    pub(crate) lost: u64,
    /// When the copy was made, in nanoseconds since the recorder was created.
    pub(crate) now: u64,
    /// The task that is being polled, and since when.
    pub(crate) running: Option<(u32, u64)>,
    /// Whether the runtime had ended when the copy was made. Only a simulated host says so: another one may take its
    /// name.
    #[cfg_attr(not(feature = "sim"), expect(dead_code))]
    pub(crate) has_ended: bool,
    /// Since when the loop is parked, if it is.
    pub(crate) parked: Option<u64>,
    /// What is known about the tasks, by the low halves of their ids: those that an event mentions, and those that live.
    pub(crate) tasks: HashMap<u32, TaskInfo>,
    /// What is known about the jobs, by the low halves of their ids: those that an event mentions, and those that have
    /// not ended.
    pub(crate) jobs: HashMap<u32, JobInfo>,
    /// The texts that events mention: operations of sockets, primitives of `sync`, labels and marks.
    pub(crate) texts: HashMap<u32, String>,
}

/// What is known about a task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TaskInfo {
    /// The name of the task, if it has one.
    pub(crate) name: Option<String>,
    /// Where the task was spawned: `src/main.rs:12`. For the root future, where `block_on` was called.
    pub(crate) place: Option<String>,
    /// When the task was spawned, if that is known.
    pub(crate) spawned: Option<u64>,
    /// The task that spawned it, if one did.
    pub(crate) by: Option<u32>,
    /// For the child of a scope, the task or child whose future contains it.
    pub(crate) parent: Option<u32>,
    /// Whether the task had ended when the copy was made. The event of that may have been overwritten.
    pub(crate) is_over: bool,
}

/// What is known about a blocking job or a name lookup.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct JobInfo {
    /// Whether this is a name lookup.
    pub(crate) is_lookup: bool,
    /// The name of the job, or what the lookup looks up.
    pub(crate) name: Option<String>,
    /// Where the job was submitted.
    pub(crate) place: Option<String>,
    /// When the job was submitted, if that is known.
    pub(crate) queued: Option<u64>,
    /// When the job began, if it has and that is known.
    pub(crate) began: Option<u64>,
    /// Whether the job had ended when the copy was made. The event of that may have been overwritten.
    pub(crate) is_over: bool,
}
