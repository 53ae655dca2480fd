//! Folding: groups the tasks that share a line of the text.
//!
//! [`fold`] tries four forms, each shorter than the one before, and returns the first that fits:
//!
//! ```text
//!   form      tasks share a line if they have the same ...
//!   names     place, state, waits, parent and name, and are at least three
//!   tree      place, state, waits and parent
//!   list      place, state and waits
//!   largest   place, state and waits; only the ten largest groups have lines, and the other tasks are counted
//! ```
//!
//! The waits of two tasks are the same if they are of the same kinds, for example reads and sleeps. The parent of a task
//! is the group of the task under which it is listed, so the trees of a thousand similar tasks become one tree.

use super::{TaskDump, TaskState, Wait, What};
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::time::Duration;

/// The maximum number of lines of a folded text: about what a terminal shows at once.
pub(super) const MOST_LINES: usize = 40;

/// The fewest tasks that share a line in the first form. Two tasks on one line would hide more than they save.
const FEWEST: usize = 3;

/// Up to this number of tasks, no task is left out, even if the text has more than [`MOST_LINES`].
const FEW_TASKS: usize = 100;

/// The number of groups that remain if some are left out.
const LARGEST: usize = 10;

/// The maximum number of lines for the waits of one task in a tree.
const MOST_WAITS: usize = 8;

/// The maximum number of lines for the waits of a group in a flat list. The lines of ten groups, `main`, the heading
/// and the count of the rest are fewer than [`MOST_LINES`].
const MOST_WAITS_FLAT: usize = 3;

/// The tasks of a dump, as the text lists them.
pub(super) struct Folded<'a> {
    /// The groups, in the order of the text.
    pub(super) groups: Vec<Group<'a>>,
    /// Whether the tasks are listed under one another.
    pub(super) is_tree: bool,
    /// The tasks that are listed under another task, if this is a tree.
    below: HashSet<u64>,
    /// The maximum number of lines for the waits of one group.
    pub(super) most_waits: usize,
    /// The number of groups that are left out, and the number of their tasks.
    pub(super) rest: (usize, usize),
}

/// Tasks that share a line of the text.
pub(super) struct Group<'a> {
    /// The task that the line shows: the first of those that have waited for the longest time.
    pub(super) task: &'a TaskDump,
    /// The number of tasks.
    pub(super) count: usize,
    /// The sum of their polls.
    pub(super) polls: u64,
    /// The age of the oldest of them.
    pub(super) age: Option<Duration>,
    /// Whether all have the name of `task`.
    pub(super) is_named: bool,
    /// Whether all wait for the same locks, channels and tasks.
    pub(super) is_same: bool,
    /// Its depth in the tree.
    pub(super) depth: usize,
    /// The sum of their polls in a second, as far as they are known.
    pub(super) polls_per_second: f64,
    /// The sum of the sockets that they have opened in a second, as far as they are known.
    pub(super) sockets_per_second: f64,
}

/// Lists all tasks, each in a group of its own.
pub(super) fn unfolded(tasks: &[TaskDump]) -> Folded<'_> {
    Folded {
        groups: tasks
            .iter()
            .map(|task| Group::new(task, task.depth))
            .collect(),
        is_tree: true,
        below: below(tasks),
        most_waits: usize::MAX,
        rest: (0, 0),
    }
}

/// Lists the tasks in the first form that fits.
pub(super) fn fold(tasks: &[TaskDump]) -> Folded<'_> {
    let traits = traits(tasks);
    let parents = parents(tasks);
    let mut tree = Folded {
        groups: group_tree(tasks, &traits, &parents, true, FEWEST),
        is_tree: true,
        below: below(tasks),
        most_waits: MOST_WAITS,
        rest: (0, 0),
    };
    if tree.fits() {
        return tree;
    }
    tree.groups = group_tree(tasks, &traits, &parents, false, 2);
    if tree.fits() {
        return tree;
    }
    let mut list = Folded {
        groups: group_list(tasks, &traits),
        is_tree: false,
        below: HashSet::new(),
        most_waits: MOST_WAITS_FLAT,
        rest: (0, 0),
    };
    if list.fits() {
        return list;
    }
    if tasks.len() <= FEW_TASKS {
        return tree;
    }
    let main = list.groups.iter().filter(|group| group.task.id == 0);
    let shown = list.groups.len().min(main.count() + LARGEST);
    let rest = list.groups.split_off(shown);
    list.rest = (rest.len(), rest.iter().map(|group| group.count).sum());
    list
}

impl Folded<'_> {
    /// Returns whether the text, with its heading, has at most [`MOST_LINES`].
    fn fits(&self) -> bool {
        let lines = self.groups.iter().map(|group| self.lines(group));
        // The heading is a line too.
        lines.sum::<usize>() < MOST_LINES
    }

    /// Returns the number of lines of a group, without traces.
    fn lines(&self, group: &Group<'_>) -> usize {
        let waits = group.task.waits.iter();
        let joins = waits.filter(|wait| self.shares_line(group, wait)).count();
        let others = group.task.waits.len() - joins;
        (others + joins.min(1)).clamp(1, self.most_waits)
    }

    /// Returns whether a wait of a group is a join that shares a line with the others. In a tree, the line of a task
    /// stands only for the tasks below it.
    pub(super) fn shares_line(&self, group: &Group<'_>, wait: &Wait) -> bool {
        match wait.what {
            What::Join { id, .. } => group.count > 1 || !self.is_tree || self.below.contains(&id),
            _ => false,
        }
    }
}

impl<'a> Group<'a> {
    /// Creates a group of one task.
    fn new(task: &'a TaskDump, depth: usize) -> Group<'a> {
        Group {
            task,
            count: 1,
            polls: u64::from(task.polls),
            age: task.age,
            is_named: true,
            is_same: true,
            depth,
            polls_per_second: task.polls_per_second.unwrap_or_default(),
            sockets_per_second: task.sockets_per_second.unwrap_or_default(),
        }
    }

    /// Adds a task, which follows those of the group in the dump.
    fn add(&mut self, task: &'a TaskDump) {
        self.count += 1;
        self.polls += u64::from(task.polls);
        self.age = self.age.max(task.age);
        self.polls_per_second += task.polls_per_second.unwrap_or_default();
        self.sockets_per_second += task.sockets_per_second.unwrap_or_default();
        self.is_named &= self.task.name == task.name;
        self.is_same = self.is_same && waits_for_same(self.task, task);
        if task.longest() > self.task.longest() {
            self.task = task;
        }
    }
}

/// Returns whether two tasks wait for the same locks, channels and tasks, as far as the descriptions tell.
fn waits_for_same(one: &TaskDump, other: &TaskDump) -> bool {
    let is_same = |(one, other): (&Wait, &Wait)| match (&one.what, &other.what) {
        (What::Join { id: one, .. }, What::Join { id: other, .. }) => one == other,
        (
            What::Sync { subject, state, .. },
            What::Sync {
                subject: other_subject,
                state: other_state,
                ..
            },
        ) => subject == other_subject && state == other_state,
        _ => true,
    };
    one.waits.iter().zip(&other.waits).all(is_same)
}

/// Returns the tasks that are listed under another task.
fn below(tasks: &[TaskDump]) -> HashSet<u64> {
    let below = tasks.iter().filter(|task| task.depth > 0);
    below.map(|task| task.id).collect()
}

/// Returns the index of the task under which each task is listed.
fn parents(tasks: &[TaskDump]) -> Vec<Option<usize>> {
    // The last task at each depth up to the current one.
    let mut path: Vec<usize> = Vec::new();
    let mut parents = Vec::with_capacity(tasks.len());
    for (index, task) in tasks.iter().enumerate() {
        path.truncate(task.depth);
        parents.push(path.last().copied());
        path.push(index);
    }
    parents
}

/// The properties by which tasks are grouped, each as a number.
#[derive(Clone, Copy)]
struct Traits {
    /// Where the task was spawned.
    place: usize,
    /// The name of the task. Names do not keep finished tasks apart.
    name: usize,
    /// The state of the task, and the kinds of its waits.
    kind: usize,
}

/// One of the things that tasks of a kind have in common: the word for their state, or the kind of a wait, its
/// subject, whether it belongs to the last poll, and whether it was often given up.
type Aspect<'a> = (&'static str, &'a str, bool, bool);

/// Returns the traits of each task.
fn traits(tasks: &[TaskDump]) -> Vec<Traits> {
    let mut places = HashMap::new();
    // Most tasks of one place have the same `Location`, whose address is hashed faster than the name of the file.
    let mut addresses: HashMap<usize, usize> = HashMap::new();
    let mut names = HashMap::new();
    let mut kinds: HashMap<Vec<Aspect<'_>>, usize> = HashMap::new();
    let mut kind: Vec<Aspect<'_>> = Vec::new();
    let mut all = Vec::with_capacity(tasks.len());
    for task in tasks {
        let address = task
            .location
            .map_or(0, |at| std::ptr::from_ref(at) as usize);
        let place = *addresses
            .entry(address)
            .or_insert_with(|| number(&mut places, task.location.map(|at| (at.file(), at.line()))));
        let name = match task.state {
            TaskState::Finished => None,
            _ => task.name.as_deref(),
        };
        kind.clear();
        kind.extend(task.waits.iter().map(|wait| {
            let what = &wait.what;
            let is_current = wait.poll == task.polls;
            let is_given_up = wait.is_often_given_up();
            (what.kind(), what.subject(), is_current, is_given_up)
        }));
        kind.sort_unstable();
        kind.dedup();
        kind.push((task.state.word(), "", true, false));
        let next = kinds.len();
        let kind = match kinds.get(&kind) {
            Some(number) => *number,
            None => *kinds.entry(kind.clone()).or_insert(next),
        };
        all.push(Traits {
            place,
            name: number(&mut names, name),
            kind,
        });
    }
    all
}

/// Returns the number of a value: the same for equal values.
fn number<T: Eq + Hash>(numbers: &mut HashMap<T, usize>, value: T) -> usize {
    let next = numbers.len();
    *numbers.entry(value).or_insert(next)
}

/// Groups the tasks that are listed under the same group, top down. A group of fewer than `fewest` unfinished tasks
/// is split into its tasks.
fn group_tree<'a>(
    tasks: &'a [TaskDump],
    traits: &[Traits],
    parents: &[Option<usize>],
    has_names: bool,
    fewest: usize,
) -> Vec<Group<'a>> {
    let mut order: Vec<usize> = (0..tasks.len()).collect();
    order.sort_by_key(|task| tasks[*task].depth);
    // The group of each task; the groups, each with its first task; and the groups under each group.
    let mut group_of = vec![0; tasks.len()];
    let mut groups: Vec<(Group<'a>, usize)> = Vec::new();
    let mut under: Vec<Vec<usize>> = Vec::new();
    let mut roots = Vec::new();
    for level in order.chunk_by_mut(|a, b| tasks[*a].depth == tasks[*b].depth) {
        let key = |task: usize, group_of: &[usize]| {
            let Traits { place, name, kind } = traits[task];
            let parent = parents[task].map(|parent| group_of[parent]);
            (parent, place, name * usize::from(has_names), kind)
        };
        level.sort_unstable_by_key(|task| (key(*task, &group_of), *task));
        let level = &*level;
        let first_of_level = groups.len();
        let keys: Vec<_> = level.iter().map(|task| key(*task, &group_of)).collect();
        let mut at = 0;
        for alike in keys.chunk_by(|a, b| a == b) {
            let members = &level[at..at + alike.len()];
            at += alike.len();
            let is_finished = tasks[members[0]].state == TaskState::Finished;
            let is_folded = is_finished || members.len() >= fewest;
            for (index, task) in members.iter().enumerate() {
                match groups.last_mut() {
                    Some((group, _)) if is_folded && index > 0 => group.add(&tasks[*task]),
                    _ => groups.push((Group::new(&tasks[*task], tasks[*task].depth), *task)),
                }
                group_of[*task] = groups.len() - 1;
            }
        }
        under.resize_with(groups.len(), Vec::new);
        let mut added: Vec<usize> = (first_of_level..groups.len()).collect();
        added.sort_unstable_by_key(|group| groups[*group].1);
        for group in added {
            match parents[groups[group].1] {
                Some(parent) => under[group_of[parent]].push(group),
                None => roots.push(group),
            }
        }
    }
    // Depth first, as the text lists them.
    let mut groups: Vec<Option<Group<'a>>> =
        groups.into_iter().map(|(group, _)| Some(group)).collect();
    let mut listed = Vec::with_capacity(groups.len());
    roots.reverse();
    while let Some(group) = roots.pop() {
        listed.extend(groups[group].take());
        roots.extend(under[group].iter().rev());
    }
    listed
}

/// Groups all tasks, whatever they are listed under: first `main`, then the largest groups.
fn group_list<'a>(tasks: &'a [TaskDump], traits: &[Traits]) -> Vec<Group<'a>> {
    let mut found = HashMap::new();
    let mut groups: Vec<Group<'a>> = Vec::new();
    for (task, traits) in tasks.iter().zip(traits) {
        let index = number(&mut found, (traits.place, traits.kind));
        match groups.get_mut(index) {
            Some(group) => group.add(task),
            None => groups.push(Group::new(task, 0)),
        }
    }
    groups.sort_by_key(|group| (group.task.id != 0, Reverse(group.count)));
    groups
}

impl What {
    /// Returns what waits of one kind must have in common, so that their tasks are alike.
    fn subject(&self) -> &str {
        match self {
            What::Io(text) | What::Kept(text) => text.split(' ').next().unwrap_or_default(),
            What::Label(text) => text,
            What::Sync { subject, .. } => subject,
            What::Outside(Some(0)) => "lost",
            What::Timer(_)
            | What::Join { .. }
            | What::Job(_)
            | What::Children
            | What::Outside(_)
            | What::Idle => "",
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::panic::Location;

    /// A source of reproducible numbers (a linear congruential generator).
    pub(in crate::dump) struct Dice(pub(in crate::dump) u64);

    impl Dice {
        /// Returns a number below `end`.
        pub(in crate::dump) fn below(&mut self, end: usize) -> usize {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (self.0 >> 33) as usize % end
        }
    }

    /// Creates the dump of a task.
    pub(in crate::dump) fn task(
        id: u64,
        location: Option<&'static Location<'static>>,
        state: TaskState,
        depth: usize,
        waits: Vec<Wait>,
    ) -> TaskDump {
        TaskDump {
            id,
            name: None,
            location,
            under: None,
            depth,
            age: Some(Duration::from_secs(9)),
            idle: Duration::ZERO,
            polls: 1,
            state,
            waits,
            polls_per_second: None,
            sockets_per_second: None,
            loose: crate::dump::Loose::default(),
        }
    }

    /// Returns the ten places of these tests.
    fn places() -> [&'static Location<'static>; 10] {
        /// Returns the place of the caller.
        #[track_caller]
        fn here() -> &'static Location<'static> {
            Location::caller()
        }
        [
            here(),
            here(),
            here(),
            here(),
            here(),
            here(),
            here(),
            here(),
            here(),
            here(),
        ]
    }

    /// Creates `main` and random tasks of the first `places` places.
    fn population(
        dice: &mut Dice,
        count: usize,
        places_used: usize,
        kinds: usize,
    ) -> Vec<TaskDump> {
        let places = places();
        let is_flat = dice.below(3) == 0;
        let named = dice.below(4);
        let mut tasks = vec![task(0, None, TaskState::Running, 0, Vec::new())];
        for id in 1..=count {
            let deepest = tasks.last().map_or(0, |last| last.depth + 1);
            let depth = match id > 1 && !is_flat {
                true => dice.below(deepest.min(3) + 1),
                false => 0,
            };
            let place = dice.below(places_used);
            // The waits follow from the place if there is one kind a place.
            let kind = match kinds {
                1 => place,
                kinds => dice.below(kinds),
            };
            let state = match kind % 8 {
                6 => TaskState::Finished,
                7 => TaskState::Ready,
                _ => TaskState::Waiting,
            };
            let sync = |subject: &str, state: &str| What::Sync {
                kind: "lock",
                subject: String::from(subject),
                state: String::from(state),
                other_end: None,
                origin: None,
            };
            let waits = match kind % 8 {
                0 => vec![What::Io(format!("read tcp {id}"))],
                1 => vec![What::Io(format!("write tcp {id}")), What::Timer(None)],
                2 => vec![What::Outside(Some(dice.below(2)))],
                3 => vec![
                    sync("lock \"a\"", ", taken by 7"),
                    sync("lock \"a\"", ", free"),
                ],
                4 => vec![sync("lock \"b\"", ": free")],
                5 => vec![What::Label(format!("label {}", dice.below(2)))],
                _ => Vec::new(),
            };
            let waits = waits.into_iter().map(|what| Wait::new(what, 1)).collect();
            let mut task = task(id as u64, Some(places[place]), state, depth, waits);
            task.idle = Duration::from_millis(dice.below(100) as u64);
            task.name = match named {
                0 => None,
                1 => Some(format!("task {id}").into()),
                2 => Some("same".into()),
                _ => (dice.below(2) == 0).then(|| format!("task {id}").into()),
            };
            tasks.push(task);
        }
        tasks
    }

    /// Returns what keeps the waits of tasks apart, as a sorted set.
    fn kinds(task: &TaskDump) -> Vec<String> {
        let kind = |wait: &Wait| {
            let text = wait.what.to_string();
            match &wait.what {
                What::Io(_) => String::from(&text[..4]),
                What::Sync { .. } => String::from(&text[..8]),
                What::Outside(holders) => format!("outside {}", *holders == Some(0)),
                _ => text,
            }
        };
        let mut kinds: Vec<String> = task.waits.iter().map(kind).collect();
        kinds.sort();
        kinds.dedup();
        kinds
    }

    /// For each task, the lowest index of a task in its group, found by comparing all pairs.
    fn naive(tasks: &[TaskDump], is_tree: bool, has_names: bool, fewest: usize) -> Vec<usize> {
        let parent = |index: usize| {
            let mut before = (0..index).rev();
            before.find(|other| tasks[*other].depth < tasks[index].depth)
        };
        let parents: Vec<Option<usize>> = (0..tasks.len()).map(parent).collect();
        let kinds: Vec<Vec<String>> = tasks.iter().map(kinds).collect();
        let mut firsts: Vec<usize> = (0..tasks.len()).collect();
        // The groups of the parents come first.
        let mut order = firsts.clone();
        order.sort_by_key(|index| tasks[*index].depth);
        for index in order {
            let task = &tasks[index];
            let is_finished = task.state == TaskState::Finished;
            let above = |index: usize| parents[index].map(|parent| firsts[parent]);
            let is_alike = |other: &usize| {
                let like = &tasks[*other];
                (task.location, task.state) == (like.location, like.state)
                    && kinds[index] == kinds[*other]
                    && (!has_names || is_finished || task.name == like.name)
                    && (!is_tree || task.depth == like.depth && above(index) == above(*other))
            };
            let alike: Vec<usize> = (0..tasks.len()).filter(is_alike).collect();
            if is_finished || alike.len() >= fewest {
                firsts[index] = alike[0];
            }
        }
        firsts
    }

    /// Returns the first index of each group with the number of its tasks.
    fn counts(firsts: &[usize]) -> Vec<(usize, usize)> {
        let count = |first: &usize| firsts.iter().filter(|other| *other == first).count();
        let mut counts: Vec<_> = firsts.iter().map(|first| (*first, count(first))).collect();
        counts.sort_unstable();
        counts.dedup();
        counts
    }

    /// Returns the number of lines of groups: their waits, at least one and at most `most`.
    fn lines(tasks: &[TaskDump], groups: &[(usize, usize)], most: usize) -> usize {
        let lines = |(first, _): &(usize, usize)| tasks[*first].waits.len().clamp(1, most);
        1 + groups.iter().map(lines).sum::<usize>()
    }

    #[test]
    fn random_tasks_fold_as_a_naive_oracle_folds_them() {
        let mut dice = Dice(2);
        let mut forms = [0; 4];
        for round in 0..1000 {
            let (count, places) = (dice.below(140), 1 + dice.below(10));
            let kinds = 1 + dice.below(16);
            let tasks = population(&mut dice, count, places, kinds);
            let groups =
                |is_tree, has_names, fewest| counts(&naive(&tasks, is_tree, has_names, fewest));
            let names = groups(true, true, FEWEST);
            let tree = groups(true, false, 2);
            let mut list = groups(false, false, 2);
            let (form, mut expected) = match () {
                () if lines(&tasks, &names, MOST_WAITS) <= MOST_LINES => (0, names),
                () if lines(&tasks, &tree, MOST_WAITS) <= MOST_LINES => (1, tree),
                () if lines(&tasks, &list, MOST_WAITS_FLAT) <= MOST_LINES => (2, list),
                () if tasks.len() <= FEW_TASKS => (1, tree),
                () => {
                    list.sort_by_key(|(first, count)| (*first != 0, Reverse(*count)));
                    list.truncate(1 + LARGEST);
                    (3, list)
                }
            };
            forms[form] += 1;
            let folded = fold(&tasks);
            let left = tasks.len() - expected.iter().map(|(_, count)| count).sum::<usize>();
            assert_eq!(folded.rest.1, left, "round {round}");
            expected.sort_by_key(|(first, count)| (*count, tasks[*first].location));
            let mut found: Vec<&Group<'_>> = folded.groups.iter().collect();
            found.sort_by_key(|group| (group.count, group.task.location));
            let shapes = found.iter().map(|group| (group.count, group.task.location));
            let oracle = expected
                .iter()
                .map(|(first, count)| (*count, tasks[*first].location));
            assert!(shapes.eq(oracle), "round {round}, form {form}");
        }
        assert!(forms.iter().all(|count| *count > 20), "{forms:?}");
    }

    #[test]
    fn each_task_is_in_one_group_and_the_longest_wait_stands_for_it() {
        let mut dice = Dice(3);
        for _ in 0..100 {
            let (count, places) = (dice.below(1000), 1 + dice.below(10));
            let kinds = 1 + dice.below(16);
            let tasks = population(&mut dice, count, places, kinds);
            let whole = unfolded(&tasks);
            assert_eq!(whole.groups.len(), tasks.len());
            let folded = fold(&tasks);
            let listed: usize = folded.groups.iter().map(|group| group.count).sum();
            assert_eq!(listed + folded.rest.1, tasks.len());
            assert!(folded.groups.iter().any(|group| group.task.id == 0));
            if folded.rest.1 == 0 {
                let polls: u64 = folded.groups.iter().map(|group| group.polls).sum();
                assert_eq!(polls, tasks.len() as u64);
                // The longest wait of all is never hidden behind a shorter one.
                let longest = tasks.iter().map(|task| task.idle).max();
                let shown = folded.groups.iter().map(|group| group.task.idle).max();
                assert_eq!(longest, shown);
            }
        }
    }

    #[test]
    fn five_thousand_tasks_of_ten_places_have_at_most_forty_lines() {
        let mut dice = Dice(4);
        for round in 0..30 {
            // One kind a place, or any.
            let kinds = [1, 16][round % 2];
            let tasks = population(&mut dice, 5000, 10, kinds);
            let folded = fold(&tasks);
            let lines = folded.groups.iter().map(|group| folded.lines(group));
            let lines = 1 + lines.sum::<usize>() + usize::from(folded.rest.0 > 0);
            assert!(lines <= MOST_LINES, "{lines}");
            // No task is left out if the tasks of a place are alike.
            assert!(kinds != 1 || folded.rest == (0, 0));
        }
    }

    #[test]
    fn a_chain_of_tasks_folds_into_a_list() {
        let place = places()[0];
        let mut tasks = vec![task(0, None, TaskState::Running, 0, Vec::new())];
        for id in 1..=100_000 {
            let join = What::Join {
                id: id + 1,
                task: String::new(),
            };
            let waits = vec![Wait::new(join, 1)];
            let depth = id as usize - 1;
            tasks.push(task(id, Some(place), TaskState::Waiting, depth, waits));
        }
        let folded = fold(&tasks);
        let counts: Vec<usize> = folded.groups.iter().map(|group| group.count).collect();
        assert_eq!(counts, [1, 100_000]);
    }
}
