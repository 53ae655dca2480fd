//! Taking a [`Dump`]: collects what each task waits for from the executor, the reactor, the timers and the pool.
//!
//! The thread of the loop takes the dump, and polls no task. `dump.rs` formats it.

use super::{EventLoop, others};
use crate::clock::Stamp;
use crate::dump::{self, Answer, Dump, Loose, TaskDump, Under, Unused, Wait, What, label};
use crate::executor::Message;
use crate::executor::primitive::{Lines, View};
use crate::executor::snapshot::{ScopeSnapshot, TaskSnapshot, TaskState};
use crate::executor::waits::Subject;
use crate::reactor::readiness::Direction;
use crate::traces::{Slot, Trace};
use crate::waiter::WaiterInfo;
use std::collections::HashMap;
use std::sync::Arc;

/// The waits of each task, by the low half of its id. Each wait comes with the waker that the task left.
type Waits = HashMap<u32, Vec<(Wait, Left)>>;

/// A waker that a task has left.
#[derive(Clone, Copy)]
struct Left {
    /// The identity of the waker.
    waker: usize,
    /// The number of its clones.
    clones: usize,
    /// Whether it is the waker of a `JoinSet`, which gives it to nothing else.
    in_set: bool,
}

/// The wakers of the scopes.
#[derive(Default)]
struct Scopes {
    /// The wakers of the bodies in each task, by the low half of its id: the identity of each, and the number of its
    /// holders.
    bodies: HashMap<u32, Vec<(usize, usize)>>,
    /// The number of scopes and sets that keep each waker.
    kept: HashMap<usize, usize>,
}

impl Scopes {
    /// Sorts the wakers of the scopes.
    fn new(scopes: Vec<ScopeSnapshot>, kept_by_sets: Vec<usize>) -> Scopes {
        let mut sorted = Scopes::default();
        for waker in kept_by_sets {
            *sorted.kept.entry(waker).or_default() += 1;
        }
        for scope in scopes {
            sorted
                .bodies
                .entry(scope.parent)
                .or_default()
                .push(scope.body);
            if let Some(outer) = scope.outer {
                *sorted.kept.entry(outer).or_default() += 1;
            }
        }
        sorted
    }

    /// Finds out what may wake or drop a task besides its waits. Whether it may be aborted is left open.
    fn loose(&self, task: &TaskSnapshot, waits: &[(Wait, Left)]) -> Loose {
        let Some(own) = task.waker.or(task.member) else {
            return Loose {
                is_unseen: true,
                may_drop_scopes: true,
                may_be_aborted: true,
            };
        };
        let bodies = self.bodies.get(&task.id.low());
        let bodies = bodies.map_or(&[][..], Vec::as_slice);
        // The wakers of the task and of its bodies in order, each with the number of its holders that are not seen.
        let mut ours: Vec<(usize, usize)> = bodies.iter().copied().chain([own]).collect();
        ours.sort_unstable();
        for (waker, holders) in &mut ours {
            let kept = self.kept.get(waker).copied().unwrap_or_default();
            *holders = holders.saturating_sub(kept);
        }
        let mut is_wrapped = false;
        let mut awaits_beside_scopes = false;
        // A label and the wait for the children of a scope keep no waker.
        for (_, left) in waits.iter().filter(|(_, left)| left.waker != 0) {
            match ours.binary_search_by_key(&left.waker, |(waker, _)| *waker) {
                Ok(index) => ours[index].1 = ours[index].1.saturating_sub(left.clones),
                Err(_) => is_wrapped |= !left.in_set,
            }
            awaits_beside_scopes |= left.in_set || left.waker == own.0;
        }
        let mut held = ours.iter().filter(|(_, holders)| *holders > 0);
        let is_own_held = held.clone().any(|(waker, _)| *waker == own.0);
        Loose {
            is_unseen: is_wrapped || held.next().is_some(),
            may_drop_scopes: is_own_held || awaits_beside_scopes,
            may_be_aborted: false,
        }
    }
}

/// Adds a wait to those of the task that left this waiter. Returns the wait, unless no task left the waiter.
fn note(waits: &mut Waits, waiter: WaiterInfo, what: What) -> Option<&mut Wait> {
    let (task, poll) = waiter.tag.parts()?;
    let waits = waits.entry(task).or_default();
    let left = Left {
        waker: waiter.waker,
        clones: 1,
        in_set: false,
    };
    waits.push((Wait::new(what, poll), left));
    waits.last_mut().map(|(wait, _)| wait)
}

impl EventLoop {
    /// Takes a dump. The caller is on the thread of the loop.
    pub(crate) fn dump(&self) -> Dump {
        let now = self.shared.clock.now();
        let stamp = Stamp::new(self.shared.timers.nanos(now));
        let snapshots = self.executor.snapshot();
        let mut waits = Waits::with_capacity(snapshots.len());
        for source in self.shared.sources.waiters() {
            let key = source.key.number();
            let slot = match source.direction {
                Direction::Read => Slot::Read(key),
                Direction::Write => Slot::Write(key),
            };
            if let Some(wait) = note(&mut waits, source.waiter, What::Io(source.text)) {
                wait.trace = self.trace(source.waiter, slot);
                (wait.given_up, wait.completed) = source.tries.parts();
            }
        }
        for source in self.shared.sources.kept_waiters() {
            note(&mut waits, source.waiter, What::Kept(source.text));
        }
        for timer in self.shared.timers.waiters() {
            let left = timer.deadline;
            let left = left.map(|deadline| deadline.saturating_duration_since(now));
            if let Some(wait) = note(&mut waits, timer.waiter, What::Timer(left)) {
                wait.location = timer.location;
                wait.trace = self.trace(timer.waiter, Slot::Timer(timer.key.number()));
            }
        }
        let pool = self.shared.pool.snapshot();
        for job in self.shared.pool.waits(&pool) {
            if let Some(wait) = note(&mut waits, job.waiter, What::Job(job.text)) {
                wait.trace = self.trace(job.waiter, Slot::Awaited(job.id));
            }
        }
        self.note_declared(&mut waits, &snapshots, stamp);
        // The task under which each task is listed.
        let mut under = HashMap::new();
        for task in &snapshots {
            if let Some(waiter) = task.awaited_by {
                let id = task.id.0;
                let name = label(id, task.name.as_deref());
                if let Some(wait) = note(&mut waits, waiter, What::Join { id, task: name }) {
                    wait.trace = self.trace(waiter, Slot::Awaited(id));
                }
                if let Some((joiner, _)) = waiter.tag.parts() {
                    let noted = waits.get_mut(&joiner).and_then(|waits| waits.last_mut());
                    if let Some((_, left)) = noted {
                        left.in_set = task.in_set;
                    }
                    under.insert(task.id.low(), (joiner, Under::Joined));
                }
            }
            if let Some(parent) = task.parent {
                under.insert(task.id.low(), (parent, Under::Scope));
            }
        }
        // The children of each task that is the parent of a scope.
        let mut children: HashMap<u32, Vec<u64>> = HashMap::new();
        for task in &snapshots {
            if let Some(parent) = task.parent {
                children.entry(parent).or_default().push(task.id.0);
            }
        }
        let ids = snapshots.iter().map(|task| (task.id.low(), task.id.0));
        let pool = self.shared.pool_dump_of(&pool, &ids.collect());
        let worker = self.shared.worker;
        let rates = self.inspector.spinners.rates(self);
        let scopes = Scopes::new(self.executor.scopes(), self.executor.kept_by_sets());
        let inbox = &self.shared.inbox;
        let tasks = snapshots.into_iter().map(|task| {
            let id = task.id.low();
            let waits = waits.remove(&id).unwrap_or_default();
            let children = children.remove(&id).unwrap_or_default();
            let mut task = task_dump(task, stamp, waits, children, &scopes);
            task.loose.may_be_aborted |= inbox.aborters.has(task.id);
            if let Some(rates) = &rates {
                let is_over = task.state == dump::TaskState::Finished;
                task.polls_per_second = rates.polls(id, task.polls).filter(|_| !is_over);
                task.sockets_per_second = Some(rates.opened(id));
            }
            if worker.is_some() && id == 0 && task.state == dump::TaskState::Waiting {
                // The root future of a worker waits only for the end of the workers.
                task.waits = vec![Wait::new(What::Idle, task.polls)];
            }
            task
        });
        let mut tasks: Vec<TaskDump> = tasks.collect();
        // Asked after the handles were counted: a thread that has dropped its handle has sent the message before.
        let is_abort =
            |message: &Message| matches!(message, Message::Abort(_) | Message::AbortRemote(_));
        if inbox.has_message(is_abort) {
            tasks
                .iter_mut()
                .for_each(|task| task.loose.may_be_aborted = true);
        }
        note_other_ends(&mut tasks);
        Dump {
            answer: Answer::Tasks,
            worker,
            tasks: tree(tasks, &under),
            pool,
        }
    }
}

impl EventLoop {
    /// Returns the trace of a wait, if the runtime traces waits. It is not resolved here, on the thread of the loop.
    fn trace(&self, waiter: WaiterInfo, slot: Slot) -> Option<Trace> {
        let traces = self.shared.traces.as_ref()?;
        let (task, _) = waiter.tag.parts()?;
        traces.get(task, slot).map(|trace| self.in_program(trace))
    }

    /// Adds the place of `block_on` to a trace.
    fn in_program(&self, trace: Trace) -> Trace {
        trace.in_program(self.executor.root_location())
    }

    /// Adds the waits that the tasks have declared.
    fn note_declared(&self, waits: &mut Waits, snapshots: &[TaskSnapshot], now: Stamp) {
        let declared = self.executor.waits.declared();
        let tasks = snapshots.iter().map(|task| (task.id.low(), task));
        let mut view = View {
            runtime: self.shared.number,
            now,
            waiting: None,
            tasks: tasks.collect(),
            waits: Lines::new(&declared),
            other: others::describe,
            other_task: others::name_of,
        };
        for wait in &declared {
            let Some((task, poll)) = wait.waiter.tag.parts() else {
                continue;
            };
            view.waiting = Some(task);
            let mut clones = 1;
            let mut dumped = match &wait.subject {
                Subject::Label(label) => Wait::new(What::Label(label.to_string()), poll),
                Subject::Primitive(primitive, _) => {
                    clones = primitive.wakers();
                    let description = primitive.describe(wait, &view);
                    let id = |task: &u32| Some(view.tasks.get(task)?.id.0);
                    let other_end = description.other_end.filter(|end| *end != task);
                    let what = What::Sync {
                        kind: description.kind,
                        subject: description.subject,
                        state: description.state,
                        other_end: other_end.as_ref().and_then(id),
                        origin: description.origin,
                    };
                    let blocked_by = primitive.blocked_by(wait, view.runtime, &view.waits);
                    // A task that has ended keeps nothing: it has given its permits away.
                    let group = |group: &Vec<u32>| group.iter().map(id).collect();
                    let groups = blocked_by.groups.iter();
                    let maker = blocked_by.maker.as_ref();
                    Wait {
                        blocked_by: blocked_by.each.iter().filter_map(id).collect(),
                        groups: groups.filter_map(group).collect(),
                        unused: maker.and_then(|(maker, made)| {
                            Some(Unused {
                                maker: id(maker)?,
                                age: made.until(now),
                                channel: Arc::as_ptr(primitive).addr(),
                            })
                        }),
                        ..Wait::new(what, poll)
                    }
                }
            };
            (dumped.given_up, dumped.completed) = self.executor.waits.tries(wait).parts();
            dumped.location = wait.location;
            dumped.lasted = Some(wait.since.until(now));
            dumped.depth = wait.depth;
            dumped.trace = wait.trace.clone().map(|trace| self.in_program(trace));
            let waits = waits.entry(task).or_default();
            let waker = wait.waiter.waker;
            waits.push((
                dumped,
                Left {
                    waker,
                    clones,
                    in_set: false,
                },
            ));
        }
    }
}

/// Appends to each wait for a channel what the task with the other end waits for.
fn note_other_ends(tasks: &mut [TaskDump]) {
    let waits = tasks.iter().flat_map(|task| &task.waits);
    let mut doing: HashMap<u64, String> = waits
        .filter_map(|wait| match wait.what {
            What::Sync { other_end, .. } => Some((other_end?, String::new())),
            _ => None,
        })
        .collect();
    if doing.is_empty() {
        return;
    }
    for task in tasks.iter() {
        if let Some(text) = doing.get_mut(&task.id) {
            *text = task.doing();
        }
    }
    for wait in tasks.iter_mut().flat_map(|task| &mut task.waits) {
        if let What::Sync {
            state,
            other_end: Some(task),
            ..
        } = &mut wait.what
            && let Some(text) = doing.get(task)
        {
            state.push_str(text);
        }
    }
}

/// Creates the dump of one task.
fn task_dump(
    task: TaskSnapshot,
    now: Stamp,
    mut waits: Vec<(Wait, Left)>,
    children: Vec<u64>,
    scopes: &Scopes,
) -> TaskDump {
    // Labels first, and among them the outermost first.
    let order =
        |(wait, _): &(Wait, Left)| (!matches!(wait.what, What::Label(_)), wait.depth, wait.poll);
    waits.sort_by_key(order);
    let is_over = |wait: &Wait| matches!(wait.what, What::Kept(_));
    // A label names a wait but holds no waker.
    let is_label = |wait: &Wait| matches!(wait.what, What::Label(_));
    // A task that was just woken may wait for the same socket again.
    waits.retain(|(wait, _)| task.state == TaskState::Waiting || !is_over(wait));
    if task.state == TaskState::Waiting {
        let is_ours = |left: &Left| task.waker.is_some_and(|(address, _)| address == left.waker);
        let is_current = |wait: &Wait| wait.poll == task.polls;
        let (labels, held_by): (Vec<_>, Vec<_>) =
            waits.iter().partition(|(wait, _)| is_label(wait));
        let is_wrapped = held_by.iter().any(|(_, left)| !is_ours(left));
        let ours = held_by.iter().filter(|(_, left)| is_ours(left));
        let ours: usize = ours.map(|(_, left)| left.clones).sum();
        // The other waits hold a waker that wraps this one (from a `JoinSet` or a combinator), and the wrapper
        // holds this one.
        let wrapped = usize::from(is_wrapped);
        let held = task
            .waker
            .map(|(_, others)| others.saturating_sub(ours + wrapped));
        let open = || held_by.iter().filter(|(wait, _)| !is_over(wait));
        let current = open().any(|(wait, _)| is_current(wait));
        let is_explained = current || open().any(|(_, left)| !is_ours(left));
        let is_labelled = labels.iter().any(|(wait, _)| is_current(wait));
        let what = match held {
            _ if !children.is_empty() && !current => Some(What::Children),
            // The children hold the waker of the task.
            _ if !children.is_empty() => None,
            // The registered waits account for every holder of the waker.
            None | Some(0) if is_explained => None,
            // The label says what the task waits for. If nothing holds the waker, the dump says that too.
            None | Some(1..) if is_labelled => None,
            _ => Some(What::Outside(held)),
        };
        if let Some(what) = what {
            let mut wait = Wait::new(what, task.polls);
            if let What::Children = wait.what {
                wait.blocked_by = children;
            }
            waits.push((
                wait,
                Left {
                    waker: 0,
                    clones: 0,
                    in_set: false,
                },
            ));
        }
    }
    let loose = scopes.loose(&task, &waits);
    TaskDump {
        id: task.id.0,
        name: task.name,
        location: task.location,
        under: None,
        depth: 0,
        age: task.spawned.map(|spawned| spawned.until(now)),
        idle: task.polled.until(now),
        polls: task.polls,
        state: match task.state {
            TaskState::Running => dump::TaskState::Running,
            TaskState::Ready => dump::TaskState::Ready,
            TaskState::Waiting => dump::TaskState::Waiting,
            TaskState::Finished => dump::TaskState::Finished,
        },
        waits: waits.into_iter().map(|(wait, _)| wait).collect(),
        polls_per_second: None,
        sockets_per_second: None,
        loose,
    }
}

/// Orders the tasks, which are ordered by id, so that each follows the task under which it is listed. A cycle of tasks
/// begins with the lowest id.
fn tree(tasks: Vec<TaskDump>, under: &HashMap<u32, (u32, Under)>) -> Vec<TaskDump> {
    if under.is_empty() {
        return tasks;
    }
    let low = |task: &TaskDump| task.id as u32;
    let indices = tasks.iter().enumerate();
    let indices: HashMap<u32, usize> = indices.map(|(index, task)| (low(task), index)).collect();
    let mut below: Vec<Vec<usize>> = vec![Vec::new(); tasks.len()];
    let mut roots = Vec::new();
    for (index, task) in tasks.iter().enumerate() {
        let parent = under
            .get(&low(task))
            .and_then(|(parent, _)| indices.get(parent));
        match parent {
            Some(parent) => below[*parent].push(index),
            None => roots.push(index),
        }
    }
    let mut left: Vec<Option<TaskDump>> = tasks.into_iter().map(Some).collect();
    let mut tree = Vec::with_capacity(left.len());
    // The tasks of a cycle are under no root. They come last.
    for root in roots.into_iter().chain(0..left.len()) {
        let mut stack = vec![(root, 0)];
        while let Some((index, depth)) = stack.pop() {
            let Some(mut task) = left[index].take() else {
                continue;
            };
            task.depth = depth;
            let parent = under.get(&low(&task));
            task.under = parent.map(|(parent, why)| (u64::from(*parent), *why));
            tree.push(task);
            let below = below[index].iter().rev();
            stack.extend(below.map(|index| (*index, depth + 1)));
        }
    }
    tree
}
