//! [`Tables`]: the names of what events mention: tasks, jobs and texts.
//!
//! The tables are bounded as the events are. A task or job stays while it lives, and after its end until no event can
//! mention it. A text stays while an event mentions it. Each mention has a [`Position`], and what was mentioned last at a
//! position that has been overwritten is dropped: the ended tasks and jobs in the order of their ends, and the texts in
//! a sweep whenever their number has doubled. So the cost is constant for each entry.

use super::recording::{JobInfo, Recording, TaskInfo};
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::hash::Hash;
use std::panic::Location;
use std::sync::Arc;

/// The capacity that a table keeps after a burst, in entries.
const KEPT_ENTRIES: usize = 1024;

/// The number of texts below which no sweep runs.
const FEWEST_SWEPT: usize = 256;

/// A place in the program.
type Place = &'static Location<'static>;

/// When something was mentioned: the numbers of the last events that mention it, counted from 1, or 0 if none does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Position {
    /// The event in the ring.
    pub(super) ring: u64,
    /// The event of another thread.
    pub(super) outside: u64,
}

impl Position {
    /// Returns whether these events have been overwritten, if as many as `lost` have been.
    fn is_gone(self, lost: Position) -> bool {
        self.ring <= lost.ring && self.outside <= lost.outside
    }
}

/// A task.
#[derive(Clone, Debug)]
struct Task {
    /// The name of the task, if it has one.
    name: Option<Arc<str>>,
    /// Where the task was spawned.
    place: Option<Place>,
    /// When the task was spawned. The root future was not spawned.
    spawned: Option<u64>,
    /// The task that spawned it, if one did.
    by: Option<u32>,
    /// For the child of a scope, the task or child whose future contains it.
    parent: Option<u32>,
    /// The number of the event in the ring that says that the task has ended; `None` while it lives.
    ended: Option<u64>,
}

/// A job or a name lookup.
#[derive(Clone, Debug)]
struct Job {
    /// Whether this is a name lookup.
    is_lookup: bool,
    /// The name of the job, or what the lookup looks up.
    name: Option<Arc<str>>,
    /// Where the job was submitted.
    place: Place,
    /// When the job was submitted; `None` until the event of that is recorded.
    queued: Option<u64>,
    /// When the job began; `None` before.
    began: Option<u64>,
    /// When the job ended; `None` before.
    ended: Option<Position>,
}

/// What a text describes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Subject {
    /// The operations of a socket in one direction: the key of its registration, and whether it writes. A key is never
    /// used again.
    Socket(u64, bool),
    /// The standard stream with this number.
    Stream(u64),
    /// The primitive of `sync` at this address, and the kind of the wait.
    Primitive(usize, u32),
    /// The text itself: a label or a mark.
    Text(Arc<str>),
}

/// A text.
struct Text {
    /// The text.
    text: Arc<str>,
    /// What it describes.
    subject: Subject,
    /// When it was mentioned last.
    mentioned: Position,
    /// Keeps the address in the subject from being used again.
    _pin: Option<Pin>,
}

/// Keeps an address from being used again. No foreign code runs when it is dropped.
pub(crate) type Pin = Box<dyn Send + Sync>;

/// The names of what events mention.
#[derive(Default)]
pub(super) struct Tables {
    /// The tasks that live or are mentioned, by the low halves of their ids.
    tasks: HashMap<u32, Task>,
    /// The tasks that have ended, the oldest end first.
    ended_tasks: VecDeque<(u64, u32)>,
    /// The jobs that live or are mentioned, by the low halves of their ids.
    jobs: HashMap<u32, Job>,
    /// The jobs that have ended, the oldest end first.
    ended_jobs: VecDeque<(Position, u32)>,
    /// The texts that are mentioned, by their numbers.
    texts: HashMap<u32, Text>,
    /// The numbers of the texts that describe something else than themselves, by what they describe.
    numbers: HashMap<Subject, u32>,
    /// The numbers of labels and marks.
    contents: HashMap<Arc<str>, u32>,
    /// The number of the newest text.
    last: u32,
    /// The number of texts at which the table is swept.
    full: usize,
}

/// Frees the memory of a map after a burst. The cost is constant for each entry that was removed.
fn shrink<K: Eq + Hash, V>(map: &mut HashMap<K, V>) {
    if map.capacity() > KEPT_ENTRIES && map.len() < map.capacity() / 4 {
        map.shrink_to(KEPT_ENTRIES.max(2 * map.len()));
    }
}

/// Frees the memory of a queue after a burst.
fn shrink_queue<T>(queue: &mut VecDeque<T>) {
    if queue.capacity() > KEPT_ENTRIES && queue.len() < queue.capacity() / 4 {
        queue.shrink_to(KEPT_ENTRIES.max(2 * queue.len()));
    }
}

/// Returns a place as a recording shows it.
fn shown(place: Place) -> String {
    format!("{}:{}", place.file(), place.line())
}

impl Tables {
    /// Adds a task that was spawned.
    pub(super) fn add_task(
        &mut self,
        task: u32,
        spawned: Option<u64>,
        name: Option<&str>,
        place: Option<Place>,
        by: Option<u32>,
        parent: Option<u32>,
    ) {
        let task_info = Task {
            name: name.map(Arc::from),
            place,
            spawned,
            by,
            parent,
            ended: None,
        };
        self.tasks.insert(task, task_info);
    }

    /// Notes that a task ends with the event of this number. Returns whether it was alive.
    pub(super) fn end_task(&mut self, task: u32, event: u64) -> bool {
        match self.tasks.get_mut(&task) {
            Some(Task {
                ended: ended @ None,
                ..
            }) => {
                *ended = Some(event);
                self.ended_tasks.push_back((event, task));
                true
            }
            _ => false,
        }
    }

    /// Drops the tasks whose ends have been overwritten, as `lost` events of the ring have been.
    pub(super) fn drop_tasks(&mut self, lost: u64) {
        while let Some((event, task)) = self.ended_tasks.front().copied()
            && event <= lost
        {
            self.ended_tasks.pop_front();
            // After 2³² spawns, another task may have the number.
            let ended = self.tasks.get(&task).and_then(|task| task.ended);
            if ended == Some(event) {
                self.tasks.remove(&task);
                shrink(&mut self.tasks);
            }
            shrink_queue(&mut self.ended_tasks);
        }
    }

    /// Adds a job that was submitted.
    pub(super) fn add_job(&mut self, job: u32, is_lookup: bool, name: Option<&str>, place: Place) {
        let job_info = Job {
            is_lookup,
            name: name.map(Arc::from),
            place,
            queued: None,
            began: None,
            ended: None,
        };
        self.jobs.insert(job, job_info);
    }

    /// Notes when a job was submitted, which is known after its event may have been overwritten.
    pub(super) fn set_queued(&mut self, job: u32, time: u64) {
        if let Some(job) = self.jobs.get_mut(&job) {
            job.queued = Some(time);
        }
    }

    /// Notes when a job began, which is known after its event may have been overwritten.
    pub(super) fn set_began(&mut self, job: u32, time: u64) {
        if let Some(job) = self.jobs.get_mut(&job) {
            job.began = Some(time);
        }
    }

    /// Notes that a job has ended.
    pub(super) fn end_job(&mut self, job: u32, position: Position) {
        if let Some(Job {
            ended: ended @ None,
            ..
        }) = self.jobs.get_mut(&job)
        {
            *ended = Some(position);
            self.ended_jobs.push_back((position, job));
        }
    }

    /// Drops the ended jobs whose events have been overwritten. Keeps at most `most` ended jobs: the ends of as many have
    /// overwritten whatever other threads have said about the earlier ones.
    pub(super) fn drop_jobs(&mut self, lost: Position, most: usize) {
        while let Some((ended, job)) = self.ended_jobs.front().copied()
            && (ended.is_gone(lost) || self.ended_jobs.len() > most)
        {
            self.ended_jobs.pop_front();
            let last = self.jobs.get(&job).and_then(|job| job.ended);
            if last == Some(ended) {
                self.jobs.remove(&job);
                shrink(&mut self.jobs);
            }
            shrink_queue(&mut self.ended_jobs);
        }
    }

    /// Returns the number of the text about a subject, and notes that an event mentions it.
    pub(super) fn mention(&mut self, subject: &Subject, position: Position) -> Option<u32> {
        let number = *self.numbers.get(subject)?;
        self.note_mention(number, position);
        Some(number)
    }

    /// Returns the number of a label or mark, and notes that an event mentions it. Adds it, if it is not known.
    pub(super) fn mention_content(
        &mut self,
        text: &str,
        position: Position,
        lost: Position,
    ) -> u32 {
        if let Some(number) = self.contents.get(text).copied() {
            self.note_mention(number, position);
            return number;
        }
        let text: Arc<str> = Arc::from(text);
        let subject = Subject::Text(Arc::clone(&text));
        self.add_text(subject, text, None, position, lost)
    }

    /// Notes that an event mentions a text.
    fn note_mention(&mut self, number: u32, position: Position) {
        if let Some(text) = self.texts.get_mut(&number) {
            let mentioned = &mut text.mentioned;
            mentioned.ring = mentioned.ring.max(position.ring);
            mentioned.outside = mentioned.outside.max(position.outside);
        }
    }

    /// Adds the text about a subject, or replaces the former one, and returns its number.
    pub(super) fn add_text(
        &mut self,
        subject: Subject,
        text: Arc<str>,
        pin: Option<Pin>,
        position: Position,
        lost: Position,
    ) -> u32 {
        if self.texts.len() >= self.full.max(FEWEST_SWEPT) {
            self.sweep(lost);
        }
        // After 2³² texts, some of the first may still be mentioned.
        loop {
            self.last = self.last.wrapping_add(1);
            if !self.texts.contains_key(&self.last) {
                break;
            }
        }
        match &subject {
            Subject::Text(text) => self.contents.insert(Arc::clone(text), self.last),
            _ => self.numbers.insert(subject.clone(), self.last),
        };
        let text = Text {
            text,
            subject,
            mentioned: position,
            _pin: pin,
        };
        self.texts.insert(self.last, text);
        self.last
    }

    /// Forgets the text about a subject, which has changed. Events that mention it keep it.
    pub(super) fn forget(&mut self, subject: &Subject) {
        self.numbers.remove(subject);
    }

    /// Drops the texts that no event mentions, if as many events as `lost` have been overwritten.
    fn sweep(&mut self, lost: Position) {
        let (numbers, contents) = (&mut self.numbers, &mut self.contents);
        self.texts.retain(|number, text| {
            let is_kept = !text.mentioned.is_gone(lost);
            if !is_kept {
                match &text.subject {
                    Subject::Text(text) => {
                        contents.remove(text);
                    }
                    subject if numbers.get(subject) == Some(number) => {
                        numbers.remove(subject);
                    }
                    _ => {}
                }
            }
            is_kept
        });
        self.full = 2 * self.texts.len();
        shrink(&mut self.texts);
        shrink(&mut self.numbers);
        shrink(&mut self.contents);
    }

    /// Copies the tables. [`Copied::fill`] does what needs no lock.
    pub(super) fn copy(&self) -> Copied {
        let texts = self.texts.iter();
        Copied {
            tasks: self.tasks.clone(),
            jobs: self.jobs.clone(),
            texts: texts
                .map(|(number, text)| (*number, Arc::clone(&text.text)))
                .collect(),
        }
    }
}

/// A copy of the tables.
pub(super) struct Copied {
    /// The tasks.
    tasks: HashMap<u32, Task>,
    /// The jobs.
    jobs: HashMap<u32, Job>,
    /// The texts.
    texts: Vec<(u32, Arc<str>)>,
}

impl Copied {
    /// Adds the names to a recording of the events up to `newest`.
    pub(super) fn fill(self, recording: &mut Recording, newest: Position) {
        let owned = |name: Option<Arc<str>>| name.map(|name| String::from(&*name));
        let tasks = self.tasks.into_iter().map(|(number, task)| {
            let info = TaskInfo {
                name: owned(task.name),
                place: task.place.map(shown),
                spawned: task.spawned,
                by: task.by,
                parent: task.parent,
                is_over: task.ended.is_some_and(|event| event <= newest.ring),
            };
            (number, info)
        });
        recording.tasks.extend(tasks);
        let jobs = self.jobs.into_iter().map(|(number, job)| {
            let info = JobInfo {
                is_lookup: job.is_lookup,
                name: owned(job.name),
                place: Some(shown(job.place)),
                queued: job.queued,
                began: job.began,
                is_over: job
                    .ended
                    .is_some_and(|event| event.outside <= newest.outside),
            };
            (number, info)
        });
        recording.jobs.extend(jobs);
        let texts = self.texts.into_iter();
        recording
            .texts
            .extend(texts.map(|(number, text)| (number, String::from(&*text))));
    }
}

impl fmt::Debug for Tables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tables")
            .field("tasks", &self.tasks.len())
            .field("jobs", &self.jobs.len())
            .field("texts", &self.texts.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Tables {
        /// Returns the numbers of tasks, jobs and texts, and the capacity of all tables.
        pub(crate) fn sizes(&self) -> ([usize; 3], usize) {
            let sizes = [self.tasks.len(), self.jobs.len(), self.texts.len()];
            let capacity = self.tasks.capacity()
                + self.ended_tasks.capacity()
                + self.jobs.capacity()
                + self.ended_jobs.capacity()
                + self.texts.capacity()
                + self.numbers.capacity()
                + self.contents.capacity();
            (sizes, capacity)
        }
    }

    /// The position after the first event of the loop.
    const FIRST: Position = Position {
        ring: 1,
        outside: 0,
    };

    #[test]
    fn a_task_whose_number_is_used_again_outlives_the_former_one() {
        let mut tables = Tables::default();
        tables.add_task(1, Some(10), Some("first"), None, None, None);
        assert!(tables.end_task(1, 5));
        assert!(!tables.end_task(1, 6), "it has ended");
        // The ids have wrapped around.
        tables.add_task(1, Some(20), Some("second"), None, None, None);
        tables.drop_tasks(100);
        let mut recording = Recording::default();
        tables.copy().fill(&mut recording, Position::default());
        assert_eq!(recording.tasks[&1].name.as_deref(), Some("second"));
        assert!(tables.end_task(1, 101));
        tables.drop_tasks(101);
        assert_eq!(tables.sizes().0[0], 0);
    }

    #[test]
    fn the_numbers_of_texts_wrap_around_those_that_are_mentioned() {
        let mut tables = Tables::default();
        let (at, lost) = (FIRST, Position::default());
        let first = tables.mention_content("first", at, lost);
        tables.last = first.wrapping_sub(1);
        let second = tables.mention_content("second", at, lost);
        assert_ne!(first, second);
        assert_eq!(tables.mention_content("first", at, lost), first);
    }

    #[test]
    fn a_subject_that_was_forgotten_gets_a_new_text() {
        let mut tables = Tables::default();
        let (at, lost) = (FIRST, Position::default());
        let subject = Subject::Socket(7, true);
        let connect = tables.add_text(subject.clone(), "connect".into(), None, at, lost);
        assert_eq!(tables.mention(&subject, at), Some(connect));
        tables.forget(&subject);
        assert_eq!(tables.mention(&subject, at), None);
        let write = tables.add_text(subject, "write".into(), None, at, lost);
        let mut recording = Recording::default();
        tables.copy().fill(&mut recording, Position::default());
        assert_eq!(recording.texts[&connect], "connect");
        assert_eq!(recording.texts[&write], "write");
    }
}
