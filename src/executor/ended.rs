//! [`Ended`]: which tasks have ended, for threads other than the loop's.
//!
//! The slab of tasks belongs to the loop's thread. For other threads there is a word for each of its slots:
//! the id of the last task that has ended in the slot. A task gets its id and its slot at the
//! same time, so earlier tasks in the slot have lower ids, and later ones have higher ids. The task has
//! ended if and only if the word has reached its id. (The tasks of `Handle::spawn` get their ids before
//! their slots. They write no word, and their handles ask elsewhere.)
//!
//! ```text
//!    slots of the slab   | 7, runs | 9, has ended | vacant | 8, runs |
//!    words               |    4    |      9       |   6    |    0    |
//! ```
//!
//! The end of a task stores one word. The words are allocated in chunks, each when the first task
//! ends in one of its slots. So a spawn costs nothing here, and tasks that never end take no memory.

use crate::primitives::{AtomicU64, Mutex, Ordering, lock};
use std::array;
use std::sync::Arc;

/// How many words a chunk has. It takes 1 KiB, so a small program has one chunk, and the list of chunks
/// takes half a byte for each slot.
const CHUNK: usize = 128;

/// What is known of [`CHUNK`] slots in a row.
#[derive(Clone)]
enum Chunk {
    /// All slots have reached this id, and no task has ended in one of them since.
    Blank(u64),
    /// The word of each slot.
    Words(Words),
}

/// The words of a chunk.
pub(crate) type Words = Arc<[AtomicU64; CHUNK]>;

/// Which tasks have ended; any thread may ask.
pub(crate) struct Ended {
    /// The chunks. The loop writes words without the lock, and changes the list under it.
    list: Mutex<List>,
}

/// The list of chunks, which is under the lock.
struct List {
    /// The chunks, in the order of their slots.
    chunks: Vec<Chunk>,
    /// The id that all slots behind those have reached.
    beyond: u64,
}

/// The loop's own list of the chunks, which lets it write words without the lock.
pub(crate) struct Writer(pub(crate) Vec<Option<Words>>);

impl Ended {
    /// Makes the record of a loop in which no task has ended.
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

    /// Notes that a task has ended, the first one in its chunk.
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
        // The lock orders it.
        words[slot % CHUNK].store(number, Ordering::Relaxed);
        writer.0[index] = Some(Arc::clone(&words));
        list.chunks[index] = Chunk::Words(words);
    }

    /// Frees the memory of a burst, when there are only `slots` slots left.
    #[inline]
    pub(crate) fn shrink(&self, writer: &mut Writer, slots: usize) {
        // A chunk is made for slots that exist. If there are more chunks than that, the slab has shrunk.
        if writer.0.len() > slots.div_ceil(CHUNK) {
            self.cut_off(writer, slots.div_ceil(CHUNK));
        }
    }

    /// Notes that all tasks have ended, and that no other will be spawned.
    pub(crate) fn note_all(&self, writer: &mut Writer) {
        self.cut_off(writer, 0);
        lock(&self.list).beyond = u64::MAX;
    }

    /// Keeps the first `kept` chunks. The slots of the others are gone: every task in them has ended, and has a
    /// lower id than every later task.
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
    /// Returns the highest id that one of the slots has reached.
    fn reached(&self) -> u64 {
        match self {
            Chunk::Blank(reached) => *reached,
            // Relaxed is enough: the loop, which has written the words, reads them.
            Chunk::Words(words) => {
                let words = words.iter().map(|word| word.load(Ordering::Relaxed));
                words.max().unwrap_or_default()
            }
        }
    }
}

impl Writer {
    /// Makes a writer without words.
    pub(crate) fn new() -> Writer {
        Writer(Vec::new())
    }
}
