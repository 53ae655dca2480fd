//! Which tasks have ended, for threads that do not run their loop.
//!
//! The slab of tasks belongs to the loop's thread. What others may know of it stands here: a word for
//! each slot, the number of the last task that has ended in it. A task gets its number and its slot at the
//! same time, so the tasks before it in the slot have lower numbers, and those after it higher ones: the
//! task has ended if, and only if, the word has reached its number. (The tasks of `Handle::spawn` get
//! their numbers before their slots. They are asked elsewhere, and write no word.)
//!
//! ```text
//!    slots of the slab   | 7, runs | 9, has ended | vacant | 8, runs |
//!    words               |    4    |      9       |   6    |    0    |
//! ```
//!
//! The end of a task stores one word. Words come in chunks, each of which is made when the first task
//! ends in one of its slots. So a spawn costs nothing, and tasks that never end take no room here.

use crate::primitives::{AtomicU64, Mutex, Ordering, lock};
use std::array;
use std::sync::Arc;

/// How many words a chunk has: 1 KiB, so that a small program has one of them, and the list of all chunks
/// has half a byte for each slot.
const CHUNK: usize = 128;

/// What is known of so many slots in a row.
#[derive(Clone)]
enum Chunk {
    /// No task has ended in one of them since this number was reached.
    Blank(u64),
    /// The word of each.
    Words(Words),
}

/// The words of so many slots.
pub(crate) type Words = Arc<[AtomicU64; CHUNK]>;

/// The words, reached from any thread.
pub(crate) struct Ended {
    /// What readers read. The loop writes words without the lock, and changes the list under it.
    list: Mutex<List>,
}

/// What stands under the lock.
struct List {
    /// The chunks, in the order of their slots.
    chunks: Vec<Chunk>,
    /// The number that all slots behind those have reached.
    beyond: u64,
}

/// The loop's own list of the chunks, by which it writes words without the lock.
pub(crate) struct Writer(pub(crate) Vec<Option<Words>>);

impl Ended {
    /// No task has ended.
    pub(crate) fn new() -> Ended {
        Ended {
            list: Mutex::new(List {
                chunks: Vec::new(),
                beyond: 0,
            }),
        }
    }

    /// Whether the task with this number, which was given this slot, has ended.
    pub(crate) fn has(&self, slot: usize, number: u64) -> bool {
        let list = lock(&self.list);
        let reached = match list.chunks.get(slot / CHUNK) {
            None => list.beyond,
            Some(Chunk::Blank(reached)) => *reached,
            // Acquire: pairs with the Release in `note`, so that who sees the end of a task sees what
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

    /// The same for the first task that ends in a slot of its chunk.
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

    /// Gives back the room of a burst, if there are no more slots now than these.
    #[inline]
    pub(crate) fn shrink(&self, writer: &mut Writer, slots: usize) {
        // Chunks are made for slots that are there. If there are more, the slab has shrunk.
        if writer.0.len() > slots.div_ceil(CHUNK) {
            self.cut_off(writer, slots.div_ceil(CHUNK));
        }
    }

    /// Notes that all tasks have ended, and that there will be no others.
    pub(crate) fn note_all(&self, writer: &mut Writer) {
        self.cut_off(writer, 0);
        lock(&self.list).beyond = u64::MAX;
    }

    /// Keeps so many chunks. The slots of the others are gone: whoever was there has ended, and has a
    /// lower number than whoever will be there.
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
    /// The highest number that one of its slots has reached.
    fn reached(&self) -> u64 {
        match self {
            Chunk::Blank(reached) => *reached,
            // Relaxed is enough: the loop asks, which has written them.
            Chunk::Words(words) => {
                let words = words.iter().map(|word| word.load(Ordering::Relaxed));
                words.max().unwrap_or_default()
            }
        }
    }
}

impl Writer {
    /// Of no words.
    pub(crate) fn new() -> Writer {
        Writer(Vec::new())
    }
}
