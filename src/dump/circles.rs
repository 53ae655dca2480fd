//! [`Circle`]: tasks that wait for one another.
//!
//! `stuck.rs` finds out which tasks cannot go on. In the graph of their waits, the search finds the strongly connected
//! components (Tarjan's algorithm), and in each of them the shortest circle through the task with the lowest id. It takes
//! time proportional to the number of tasks and waits, and keeps its path in a list, so that a chain of a hundred thousand
//! tasks does not overflow the stack.

use super::stuck::{Stuck, is_open};
use super::{Dump, Quoted, TaskDump, Wait, What};
use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;

/// A circle of tasks, each of which waits for the next, and the last for the first.
///
/// No member waits for anything that may end otherwise: a task that also waits for a socket, a deadline, a task that
/// runs, or something outside glassfrog is in no circle. If [`is_likely`](Circle::is_likely) returns false, the circle is
/// a deadlock of its members. If it returns true, the circle may yet end. The text says so. There are two reasons. A wait
/// in the circle is for a lock, a permit, a cell or a channel, and the program may have moved the guard, the permit or the
/// end of the channel to another task, which then gives it back or uses it. Or something may end one of the tasks, such as
/// the owner of its [`AbortHandle`](crate::task::AbortHandle).
///
/// The receiver of a full channel that no task has used yet counts as owned by the task that made it. The text says so:
/// `"a" waits for "b" (send on full "jobs" (8 of 8), its receiver not used yet)`.
///
/// The runtime itself searches for circles; see [`Builder::on_deadlock`](crate::Builder::on_deadlock).
///
/// The [`Display`](fmt::Display) implementation prints a sentence: `"a" waits for "b" (join), which waits for "a"
/// (join)`.
///
/// # Examples
///
/// See [`Dump::circles`].
#[derive(Clone, Debug)]
pub struct Circle<'a> {
    /// The tasks, beginning with the lowest id.
    tasks: Vec<&'a TaskDump>,
    /// For each task, its wait for the next.
    waits: Vec<&'a Wait>,
    /// Whether the tasks certainly wait for one another forever.
    is_certain: bool,
    /// Who may have a receiver in the circle that has never been used.
    unused: Option<MayHave>,
}

/// Who may have a receiver that has never been used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MayHave {
    /// The task that made it, or another one that cannot go on.
    Stuck,
    /// A task that was spawned after it was made and may go on, or a blocking job. It may be about to use the receiver.
    Others,
}

impl<'a> Circle<'a> {
    /// Returns the tasks, beginning with the lowest id. Each waits for the next, and the last for the first.
    ///
    /// # Examples
    ///
    /// See [`Dump::circles`].
    pub fn tasks(&self) -> &[&'a TaskDump] {
        &self.tasks
    }

    /// Returns for each of the [tasks](Circle::tasks), in the same order, its wait for the next.
    ///
    /// # Examples
    ///
    /// See [`Dump::circles`].
    pub fn waits(&self) -> &[&'a Wait] {
        &self.waits
    }

    /// Returns true if the circle may end by itself or be ended, and false if it certainly lasts.
    ///
    /// A circle is certain if it leads through joins and scopes alone, nothing but these waits holds the waker of a
    /// member, no [`AbortHandle`](crate::task::AbortHandle) of a member exists, and all children of a scope in the circle
    /// are stuck. A circle through a primitive of `sync` is likely: a primitive knows which task has taken or used a
    /// guard, a permit or the end of a channel, not where it lies now.
    ///
    /// # Examples
    ///
    /// See [`Dump::circles`].
    pub fn is_likely(&self) -> bool {
        !self.is_certain
    }

    /// Returns which tasks may have the receiver, if one of the waits is for room in a channel whose receiver has never
    /// been used.
    pub(crate) fn unused_receiver(&self) -> Option<MayHave> {
        self.unused
    }

    /// Returns whether one of the waits is for a primitive of `sync`.
    pub(crate) fn leads_through_sync(&self) -> bool {
        let mut waits = self.waits.iter();
        waits.any(|wait| matches!(wait.what, What::Sync { .. }))
    }

    /// Returns the sentence, without the remark that the circle is likely.
    pub(crate) fn sentence(&self) -> impl fmt::Display {
        Sentence(self)
    }

    /// Returns a sentence that says where the tasks were spawned: `"a" was spawned at src/main.rs:5, "b" at
    /// src/main.rs:9`. Returns an empty string if that is not known of any task.
    pub(crate) fn places(&self) -> String {
        let mut text = String::new();
        for task in &self.tasks {
            let Some(at) = task.location.filter(|_at| task.id != 0) else {
                continue;
            };
            let separator = if text.is_empty() { "" } else { ", " };
            let verb = if text.is_empty() { " was spawned" } else { "" };
            let (file, line) = (at.file(), at.line());
            let named = Named(task);
            text.push_str(&format!("{separator}{named}{verb} at {file}:{line}"));
        }
        text
    }
}

impl fmt::Display for Circle<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Sentence(self).fmt(f)?;
        match (self.is_likely(), self.leads_through_sync()) {
            (false, _) => Ok(()),
            (true, true) => f.write_str(
                "; likely, unless a guard, a permit or the end of a channel has been moved",
            ),
            (true, false) => {
                f.write_str("; likely, unless something aborts or ends one of the tasks")
            }
        }
    }
}

/// Displays the waits of a circle.
struct Sentence<'a>(&'a Circle<'a>);

impl fmt::Display for Sentence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Circle { tasks, waits, .. } = self.0;
        let next = tasks.iter().cycle().skip(1);
        for (index, ((task, next), wait)) in tasks.iter().zip(next).zip(waits).enumerate() {
            match index {
                0 => write!(f, "{} waits for ", Named(task))?,
                _ => f.write_str(", which waits for ")?,
            }
            match tasks.len() {
                1 => f.write_str("itself")?,
                _ => write!(f, "{}", Named(next))?,
            }
            match &wait.what {
                What::Children => f.write_str(" (scope")?,
                What::Sync { subject, .. } => {
                    write!(f, " ({subject}")?;
                    if wait.unused.is_some() {
                        f.write_str(", its receiver not used yet,")?;
                    }
                }
                what => write!(f, " ({}", what.kind())?,
            }
            if let Some(at) = wait.location {
                write!(f, " at {}:{}", at.file(), at.line())?;
            } else if let Some(frame) = first_frame(wait) {
                write!(f, " in {frame}")?;
            }
            f.write_str(")")?;
        }
        Ok(())
    }
}

/// Returns the innermost function of the program in the trace of a wait, if waits are traced.
fn first_frame(wait: &Wait) -> Option<String> {
    let chain = wait.trace.as_ref()?.chain()?;
    chain.lines().next().map(|line| line.trim().to_owned())
}

/// Displays a task by its name, or by its id if it has none.
struct Named<'a>(&'a TaskDump);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.id, &self.0.name) {
            (0, _) => f.write_str("main"),
            (_, Some(name)) => Quoted(name).fmt(f),
            (id, None) => write!(f, "task {id}"),
        }
    }
}

impl Dump {
    /// Returns the circles of tasks that wait for one another, and for nothing that may end otherwise: through joins,
    /// scopes, and everything else whose [`blocked_by`](Wait::blocked_by) names a task. Some circles are certain, others
    /// [likely](Circle::is_likely).
    ///
    /// A dump that a task takes shows that task as running, so its circles do not contain it.
    ///
    /// If several circles have a task in common, or are connected by waits in both directions, the result has only one
    /// of them: the shortest through the lowest of their ids. The result is ordered by the id with which each circle
    /// begins.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::task::{self, JoinHandle};
    /// use std::cell::Cell;
    /// use std::rc::Rc;
    ///
    /// glassfrog::block_on(async {
    ///     // "a" awaits "b", and "b" awaits "a".
    ///     let handle: Rc<Cell<Option<JoinHandle<()>>>> = Rc::default();
    ///     let theirs = Rc::clone(&handle);
    ///     let a = task::Builder::new().name("a").spawn(async move {
    ///         let b = theirs.take().unwrap();
    ///         b.await.unwrap();
    ///     });
    ///     let b = task::Builder::new().name("b").spawn(async { a.await.unwrap() });
    ///     handle.set(Some(b));
    ///     task::yield_now().await;
    ///
    ///     let dump = task::dump();
    ///     let circles = dump.circles();
    ///     assert_eq!(circles.len(), 1);
    ///     assert_eq!(circles[0].tasks()[0].name(), Some("a"));
    ///     assert_eq!(circles[0].waits()[0].kind(), "join");
    ///     assert!(!circles[0].is_likely());
    ///     assert_eq!(
    ///         circles[0].to_string(),
    ///         r#""a" waits for "b" (join), which waits for "a" (join)"#
    ///     );
    /// });
    /// ```
    pub fn circles(&self) -> Vec<Circle<'_>> {
        let graph = Graph::new(&self.tasks, !self.pool.jobs.is_empty());
        let mut circles = Vec::new();
        components(
            self.tasks.len(),
            |task, nth| graph.edges[task].get(nth).map(|(next, _)| *next),
            |component| circles.extend(graph.circle(component)),
        );
        circles.sort_by_key(|circle| circle.tasks[0].id);
        circles
    }
}

/// The graph of the waits of the tasks that cannot go on, by the indices of the tasks in the dump.
struct Graph<'a> {
    /// The tasks.
    tasks: &'a [TaskDump],
    /// For each task, the tasks that it waits for, and the waits.
    edges: Vec<Vec<(usize, &'a Wait)>>,
    /// Which tasks cannot go on.
    stuck: Stuck,
    /// Whether blocking jobs run or are queued.
    has_jobs: bool,
    /// The number of full channels whose receivers have never been used.
    full_channels: usize,
}

/// The progress of the search at a task.
#[derive(Clone, Copy)]
struct Visit {
    /// The number of tasks that were found before this one; `None` before it is found.
    found: Option<usize>,
    /// The lowest such number of a task on the stack that is known to be reachable.
    lowest: usize,
    /// Whether the task is on the stack: its component is not complete.
    is_open: bool,
    /// The number of its edges that were followed.
    followed: usize,
}

/// Finds the strongly connected components of a graph: the sets of tasks of which each waits, directly or not, for all
/// others. `next` returns the task at the end of the nth edge of a task. `complete` is called with each component.
fn components(
    count: usize,
    next: impl Fn(usize, usize) -> Option<usize>,
    mut complete: impl FnMut(&[usize]),
) {
    let mut visits = vec![
        Visit {
            found: None,
            lowest: 0,
            is_open: false,
            followed: 0,
        };
        count
    ];
    let mut found_tasks = 0;
    // The tasks whose components are not complete, and the path from the root of the search to the current task.
    let mut open = Vec::new();
    let mut path = Vec::new();
    for root in 0..count {
        if visits[root].found.is_none() {
            path.push(root);
        }
        while let Some(&task) = path.last() {
            if visits[task].found.is_none() {
                visits[task] = Visit {
                    found: Some(found_tasks),
                    lowest: found_tasks,
                    is_open: true,
                    followed: 0,
                };
                found_tasks += 1;
                open.push(task);
            }
            let followed = visits[task].followed;
            if let Some(next) = next(task, followed) {
                visits[task].followed += 1;
                match visits[next].found {
                    None => path.push(next),
                    Some(found) if visits[next].is_open => {
                        visits[task].lowest = visits[task].lowest.min(found);
                    }
                    Some(_) => {}
                }
                continue;
            }
            path.pop();
            let lowest = visits[task].lowest;
            if let Some(&parent) = path.last() {
                visits[parent].lowest = visits[parent].lowest.min(lowest);
            }
            if visits[task].found == Some(lowest) {
                // All open tasks that were found after this one can reach it.
                let first = open.iter().rposition(|other| *other == task);
                let first = first.unwrap_or_default();
                for member in &open[first..] {
                    visits[*member].is_open = false;
                }
                complete(&open[first..]);
                open.truncate(first);
            }
        }
    }
}

impl<'a> Graph<'a> {
    /// Creates the graph of some tasks. A wait that is over, or for a task that is not in the dump, is no edge.
    fn new(tasks: &'a [TaskDump], has_jobs: bool) -> Graph<'a> {
        let indices = tasks
            .iter()
            .enumerate()
            .map(|(index, task)| (task.id, index));
        let indices: HashMap<u64, usize> = indices.collect();
        let stuck = Stuck::new(tasks);
        let edges_of = |(index, task): (usize, &'a TaskDump)| {
            let mut edges = Vec::new();
            for wait in task.waits.iter().filter(|wait| is_open(wait)) {
                let maker = wait.unused.map(|unused| vec![unused.maker]);
                let one = wait.blocked_by.iter().map(std::slice::from_ref);
                let groups = one.chain(wait.groups.iter().chain(&maker).map(Vec::as_slice));
                for group in groups {
                    let known = group.iter().map(|id| indices.get(id).copied());
                    let known: Option<Vec<usize>> = known.collect();
                    let all_stuck = |group: &Vec<usize>| {
                        stuck.probably[index] && group.iter().all(|other| stuck.probably[*other])
                    };
                    let blocking = known.filter(all_stuck).into_iter().flatten();
                    edges.extend(blocking.map(|other| (other, wait)));
                }
            }
            edges
        };
        let waits = tasks.iter().flat_map(|task| &task.waits);
        let unused = waits.filter_map(|wait| wait.unused);
        let full_channels: HashSet<usize> = unused.map(|unused| unused.channel).collect();
        Graph {
            edges: tasks.iter().enumerate().map(edges_of).collect(),
            full_channels: full_channels.len(),
            tasks,
            stuck,
            has_jobs,
        }
    }

    /// Returns which tasks may have the receiver, if one of these waits is for room in a channel whose receiver has never
    /// been used.
    fn unused_receiver(&self, waits: &[&Wait]) -> Option<MayHave> {
        let ages = waits.iter().filter_map(|wait| Some(wait.unused?.age));
        let oldest = ages.max()?;
        let since = |task: &TaskDump| task.age.is_some_and(|age| age <= oldest);
        let mut tasks = self.tasks.iter().zip(&self.stuck.probably);
        match self.has_jobs || tasks.any(|(task, is_stuck)| !is_stuck && since(task)) {
            true => Some(MayHave::Others),
            false => Some(MayHave::Stuck),
        }
    }

    /// Returns the shortest circle through the lowest id of a component, or `None` if it is a single task that does not
    /// wait for itself.
    fn circle(&self, component: &[usize]) -> Option<Circle<'a>> {
        let first = *component.iter().min_by_key(|task| self.tasks[**task].id)?;
        // For each task that the search has reached, the task before it and its wait.
        let mut before: HashMap<usize, Option<(usize, &'a Wait)>> =
            component.iter().map(|task| (*task, None)).collect();
        let mut reached = VecDeque::from([first]);
        while let Some(task) = reached.pop_front() {
            for (next, wait) in &self.edges[task] {
                // An edge to another component does not lead back.
                let Some(way) = before.get_mut(next).filter(|way| way.is_none()) else {
                    continue;
                };
                *way = Some((task, wait));
                reached.push_back(*next);
            }
        }
        // From the first task backwards to itself.
        let mut circle = Vec::new();
        let mut task = first;
        loop {
            let (previous, wait) = (*before.get(&task)?)?;
            circle.push((&self.tasks[previous], wait));
            task = previous;
            if task == first {
                break;
            }
        }
        let (tasks, waits): (Vec<_>, Vec<_>) = circle.into_iter().rev().unzip();
        let unused = self.unused_receiver(&waits);
        // In a ring, each task has the receiver that another one waits for. A single full channel, or a task that fills
        // the channel it has made, rather waits for a consumer that starts slowly.
        let is_ring = tasks.len() > 1 && self.full_channels > 1;
        if unused == Some(MayHave::Others) && !is_ring {
            return None;
        }
        Some(Circle {
            tasks,
            waits,
            // The members of a component are all certainly stuck, or none is.
            is_certain: self.stuck.certainly[first],
            unused,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dump::fold::tests::{Dice, task};
    use crate::dump::{Answer, PoolDump, TaskState};

    /// Creates a dump in which each task waits for the given ones.
    fn dump(edges: &[Vec<u64>]) -> Dump {
        let tasks = edges.iter().enumerate().map(|(id, edges)| {
            let waits = edges.iter().map(|other| {
                let join = What::Join {
                    id: *other,
                    task: other.to_string(),
                };
                Wait::new(join, 1)
            });
            task(id as u64, None, TaskState::Waiting, 0, waits.collect())
        });
        Dump {
            answer: Answer::Tasks,
            worker: None,
            tasks: tasks.collect(),
            pool: PoolDump::default(),
        }
    }

    /// Returns the ids in each circle.
    fn ids(dump: &Dump) -> Vec<Vec<u64>> {
        let ids = |circle: &Circle<'_>| circle.tasks().iter().map(|task| task.id()).collect();
        dump.circles().iter().map(ids).collect()
    }

    /// For each pair of tasks, the number of waits on the shortest path from one to the other, found by trying all
    /// paths through one more task until nothing changes.
    fn distances(edges: &[Vec<u64>]) -> Vec<Vec<Option<usize>>> {
        let count = edges.len();
        let direct = |from: usize, to: usize| edges[from].contains(&(to as u64)).then_some(1);
        let row = |from| (0..count).map(|to| direct(from, to)).collect();
        let mut distances: Vec<Vec<Option<usize>>> = (0..count).map(row).collect();
        for over in 0..count {
            for from in 0..count {
                for to in 0..count {
                    let way = distances[from][over].zip(distances[over][to]);
                    let ways = [distances[from][to], way.map(|(a, b)| a + b)];
                    distances[from][to] = ways.into_iter().flatten().min();
                }
            }
        }
        distances
    }

    #[test]
    fn the_circles_of_random_graphs_are_the_shortest_through_the_lowest_ids() {
        let mut dice = Dice(1);
        let mut seen = 0;
        for round in 0..5000 {
            let count = 1 + dice.below(8);
            let density = 1 + dice.below(5);
            let edges: Vec<Vec<u64>> = (0..count)
                .map(|_| {
                    (0..count as u64)
                        .filter(|_| dice.below(8) < density)
                        .collect()
                })
                .collect();
            // Removes the waits of tasks that may go on, because one of their waits is for a task that may.
            let mut edges = edges;
            let whole = edges.clone();
            loop {
                let goes_on = |id: u64| edges[id as usize].len() < whole[id as usize].len().max(1);
                let next: Vec<Vec<u64>> = (0..count as u64)
                    .map(
                        |id| match edges[id as usize].iter().any(|other| goes_on(*other)) {
                            true => Vec::new(),
                            false => edges[id as usize].clone(),
                        },
                    )
                    .collect();
                if next == edges {
                    break;
                }
                edges = next;
            }
            let distances = distances(&edges);
            // The lowest id of each set of tasks that wait for one another.
            let is_lowest = |id: &usize| {
                let both =
                    |other: usize| distances[*id][other].and(distances[other][*id]).is_some();
                both(*id) && !(0..*id).any(both)
            };
            let expected: Vec<usize> = (0..count).filter(is_lowest).collect();
            let dump = dump(&whole);
            let circles = ids(&dump);
            let firsts: Vec<usize> = circles.iter().map(|circle| circle[0] as usize).collect();
            assert_eq!(firsts, expected, "round {round}: {edges:?}");
            for circle in circles {
                assert_eq!(circle.iter().min(), Some(&circle[0]));
                let first = circle[0] as usize;
                assert_eq!(Some(circle.len()), distances[first][first], "round {round}");
                for (from, to) in circle.iter().zip(circle.iter().cycle().skip(1)) {
                    assert!(
                        edges[*from as usize].contains(to),
                        "{circle:?} in {edges:?}"
                    );
                }
                seen += 1;
            }
        }
        // The dice make many circles.
        assert!(seen > 1000, "{seen}");
    }

    #[test]
    fn a_long_chain_is_no_circle_and_a_long_ring_is_one() {
        const COUNT: u64 = 100_000;
        let mut edges: Vec<Vec<u64>> = (0..COUNT).map(|id| vec![id + 1]).collect();
        // The last task waits for a task that is not in the dump.
        assert!(ids(&dump(&edges)).is_empty());
        edges[COUNT as usize - 1] = vec![0];
        assert_eq!(ids(&dump(&edges)), [Vec::from_iter(0..COUNT)]);
    }

    #[test]
    fn a_wait_that_is_over_closes_no_circle() {
        let mut dump = dump(&[vec![1], vec![0]]);
        dump.tasks[1].waits[0].what = What::Kept(String::from("read tcp"));
        assert!(dump.circles().is_empty());
    }

    #[test]
    fn a_circle_reads_as_a_sentence() {
        let mut dump = dump(&[vec![0], vec![2], vec![3], vec![1]]);
        dump.tasks[1].name = Some("a".into());
        dump.tasks[2].waits[0].what = What::Sync {
            kind: "lock",
            subject: String::from("lock \"accounts\" (made at src/bank.rs:12)"),
            state: String::from(", taken by task 3"),
            other_end: None,
            origin: None,
        };
        dump.tasks[3].waits[0].what = What::Children;
        let circles: Vec<String> = dump.circles().iter().map(Circle::to_string).collect();
        let ring = "\"a\" waits for task 2 (join), which waits for task 3 (lock \"accounts\" (made at \
                    src/bank.rs:12)), which waits for \"a\" (scope); likely, unless a guard, a permit or \
                    the end of a channel has been moved";
        assert_eq!(circles, ["main waits for itself (join)", ring]);
    }
}
