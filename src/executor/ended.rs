//! [`Ended`]: the record of which tasks have ended, for threads other than the loop's.
//!
//! The slab of tasks belongs to the loop's thread. For other threads, there is a word for each of its slots:
//! the id of the last task that has ended in the slot. A task gets its id and its slot at the same time, so
//! earlier tasks in the slot have lower ids, and later tasks have higher ids. A task has ended if and only if the
//! word is at least its id. (The tasks of `Handle::spawn` get their ids before their slots. They write no word,
//! and their handles do not read one.)
//!
//! ```text
//!    slots of the slab   | 7, runs | 9, has ended | vacant | 8, runs |
//!    words               |    4    |      9       |   6    |    0    |
//! ```
//!
//! The end of a task stores one word. The words are allocated in chunks, each when the first task ends in one of
//! its slots. So a spawn costs nothing here, and tasks that never end use no memory.

use crate::primitives::{AtomicU64, Mutex, Ordering, lock};
use std::array;
use std::sync::Arc;

/// The number of words in a chunk. A chunk takes 1 KiB, so a small program has one chunk, and the list of chunks
/// takes a fraction of a byte for each slot.
const CHUNK: usize = 128;

/// The record of [`CHUNK`] slots in a row.
#[derive(Clone)]
enum Chunk {
    /// The value of the word of every slot. No task has ended in these slots since they were added.
    Blank(u64),
    /// The word of each slot.
    Words(Words),
}

/// The words of a chunk.
pub(crate) type Words = Arc<[AtomicU64; CHUNK]>;

/// The record of which tasks have ended, which any thread may read.
pub(crate) struct Ended {
    /// The chunks. The loop writes words without the lock, and changes the list with it.
    list: Mutex<List>,
}

/// The list of chunks, which the lock protects.
struct List {
    /// The chunks, in the order of their slots.
    chunks: Vec<Chunk>,
    /// The value of the words of all later slots.
    beyond: u64,
}

/// The loop's own list of the chunks, which lets it write words without the lock.
pub(crate) struct Writer(pub(crate) Vec<Option<Words>>);

impl Ended {
    /// Creates the record of a loop in which no task has ended.
    pub(crate) fn new() -> Ended {
        Ended {
            list: Mutex::new(List {
                chunks: Vec::new(),
                beyond: 0,
            }),
        }
    }

    /// Returns whether the task with this id, in this slot, has ended.
    pub(crate) fn has(&self, slot: usize, number: u64) -> bool {
        let list = lock(&self.list);
        let reached = match list.chunks.get(slot / CHUNK) {
            None => list.beyond,
            Some(Chunk::Blank(reached)) => *reached,
            // Acquire: pairs with the Release in `note`, so that a thread that sees the end of a task sees what
            // the task did.
            Some(Chunk::Words(words)) => words[slot % CHUNK].load(Ordering::Acquire),
        };
        reached >= number
    }

    /// Notes that a task has ended.
    #[inline]
    pub(crate) fn note(&self, writer: &mut Writer, slot: usize, number: u64) {
        match writer.0.get(slot / CHUNK) {
            // Release: pairs with the Acquire in `has`.
            Some(Some(words)) => words[slot % CHUNK].store(number, Ordering::Release),
            _ => self.note_first(writer, slot, number),
        }
    }

    /// Notes that a task has ended, and allocates the words of its chunk.
    #[cold]
    fn note_first(&self, writer: &mut Writer, slot: usize, number: u64) {
        let index = slot / CHUNK;
        let mut list = lock(&self.list);
        let len = list.chunks.len().max(index + 1);
        let blank = Chunk::Blank(list.beyond);
        list.chunks.resize(len, blank);
        writer.0.resize(len, None);
        let reached = list.chunks[index].reached();
        let words = Arc::new(array::from_fn(|_| AtomicU64::new(reached)));
        // Relaxed is enough: other threads find the words under the lock.
        words[slot % CHUNK].store(number, Ordering::Relaxed);
        writer.0[index] = Some(Arc::clone(&words));
        list.chunks[index] = Chunk::Words(words);
    }

    /// Frees the memory of a burst, when only `slots` slots are left.
    #[inline]
    pub(crate) fn shrink(&self, writer: &mut Writer, slots: usize) {
        // Chunks are created for slots that exist. If there are more chunks, the slab has shrunk.
        if writer.0.len() > slots.div_ceil(CHUNK) {
            self.cut_off(writer, slots.div_ceil(CHUNK));
        }
    }

    /// Notes that all tasks have ended, and that no more tasks will be spawned.
    pub(crate) fn note_all(&self, writer: &mut Writer) {
        self.cut_off(writer, 0);
        lock(&self.list).beyond = u64::MAX;
    }

    /// Keeps the first `kept` chunks. The slots of the other chunks are gone: every task in them has ended, and
    /// has a lower id than every later task.
    #[cold]
    fn cut_off(&self, writer: &mut Writer, kept: usize) {
        let mut list = lock(&self.list);
        let reached = list.chunks.drain(kept..).map(|chunk| chunk.reached()).max();
        list.beyond = list.beyond.max(reached.unwrap_or_default());
        list.chunks.shrink_to_fit();
        writer.0.truncate(kept);
        writer.0.shrink_to_fit();
    }
}

impl Chunk {
    /// Returns the highest word of the slots.
    fn reached(&self) -> u64 {
        match self {
            Chunk::Blank(reached) => *reached,
            // Relaxed is enough: the loop reads the words that it has written itself.
            Chunk::Words(words) => {
                let words = words.iter().map(|word| word.load(Ordering::Relaxed));
                words.max().unwrap_or_default()
            }
        }
    }
}

impl Writer {
    /// Creates a writer without words.
    pub(crate) fn new() -> Writer {
        Writer(Vec::new())
    }
}
