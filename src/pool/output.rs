//! [`STDOUT`] and [`STDERR`]: the standard output and error streams of the process, which all runtimes share.
//!
//! Writers append their bytes to a queue. At most one job in the whole process writes the chunks of a stream, in
//! their order, until the queue is empty. If its runtime ends first, the remaining chunks stay in the queue for the
//! job of the next writer.
//!
//! Each writer has its own limit of unwritten bytes, and gets only the errors of its own bytes.

use super::job::copy_error;
use super::stream::{StreamWaiter, blocking_error, runtime_ended};
use super::{About, Job, Lane, Pool};
use crate::foreign::wake_all;
use crate::primitives::{Mutex, lock};
use crate::waiter::{Tag, WaiterInfo};
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Write};
use std::panic::Location;
use std::sync::Arc;
use std::task::{Context, Poll};

/// The maximum number of unwritten bytes of a writer: the capacity of a pipe (`pipe(7)`). Each write costs a round
/// trip to a thread, so it should be large.
const MOST_UNWRITTEN: usize = 64 * 1024;

/// The standard output of the process.
pub(crate) static STDOUT: Output = Output::new("standard output", u64::MAX - 1, |bytes| {
    write_to(&mut io::stdout().lock(), bytes)
});

/// The standard error stream of the process.
pub(crate) static STDERR: Output = Output::new("standard error", u64::MAX - 2, |bytes| {
    write_to(&mut io::stderr().lock(), bytes)
});

/// Writes all bytes to a stream.
fn write_to(stream: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes)?;
    stream.flush()
}

/// A stream of the process, which threads of the pools write to.
pub(crate) struct Output {
    /// The name of the stream, for dumps.
    pub(crate) name: &'static str,
    /// The id that stands for the stream in dumps. The ids of jobs have 48 bits.
    pub(crate) id: u64,
    /// Writes all bytes to the stream.
    write: fn(&[u8]) -> io::Result<()>,
    /// The bytes and their writers, under one lock.
    state: Mutex<State>,
}

/// The state under the lock of an [`Output`].
struct State {
    /// The chunks that have not been written, in order.
    chunks: VecDeque<Chunk>,
    /// Whether a pool has a job that writes.
    is_writing: bool,
    /// The writers, by their keys.
    writers: BTreeMap<u64, Writer>,
    /// The key of the newest writer.
    last_key: u64,
}

/// Bytes of one writer.
struct Chunk {
    /// The key of the writer, which may be gone.
    writer: u64,
    /// The bytes.
    bytes: Vec<u8>,
}

/// A writer.
#[derive(Default)]
struct Writer {
    /// How many of its bytes have not been written.
    unwritten: usize,
    /// The first error of its bytes, until a poll returns it.
    error: Option<io::Error>,
    /// The task that waits for room or for a flush.
    waiting: Option<StreamWaiter>,
}

impl Output {
    /// Creates the state of a stream to which nothing has been written.
    const fn new(name: &'static str, id: u64, write: fn(&[u8]) -> io::Result<()>) -> Output {
        Output {
            name,
            id,
            write,
            state: Mutex::new(State {
                chunks: VecDeque::new(),
                is_writing: false,
                writers: BTreeMap::new(),
                last_key: 0,
            }),
        }
    }

    /// Adds a writer, and returns its key.
    pub(crate) fn add_writer(&self) -> u64 {
        let mut state = lock(&self.state);
        state.last_key += 1;
        let key = state.last_key;
        state.writers.insert(key, Writer::default());
        key
    }

    /// Removes a writer. Its bytes are still written.
    pub(crate) fn remove_writer(&self, key: u64) {
        let removed = lock(&self.state).writers.remove(&key);
        drop(removed);
    }

    /// Accepts bytes of a writer, or waits until there is room for some.
    pub(crate) fn poll_write(
        &'static self,
        key: u64,
        pool: &Arc<Pool>,
        cx: &mut Context<'_>,
        tag: Tag,
        new_id: impl FnOnce() -> u64,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll(key, pool, cx, tag, new_id, |state| {
            let room = MOST_UNWRITTEN - state.writer(key).unwritten;
            let count = buf.len().min(room);
            if count == 0 && !buf.is_empty() {
                return None;
            }
            state.append(key, &buf[..count]);
            Some(count)
        })
    }

    /// Waits until all bytes of a writer have been written.
    pub(crate) fn poll_flush(
        &'static self,
        key: u64,
        pool: &Arc<Pool>,
        cx: &mut Context<'_>,
        tag: Tag,
        new_id: impl FnOnce() -> u64,
    ) -> Poll<io::Result<()>> {
        self.poll(key, pool, cx, tag, new_id, |state| {
            (state.writer(key).unwritten == 0).then_some(())
        })
    }

    /// Tries an operation of a writer. If it has to wait, stores the waker. If there are bytes to write and no job
    /// writes them, submits a job with the id that `new_id` returns.
    fn poll<R>(
        &'static self,
        key: u64,
        pool: &Arc<Pool>,
        cx: &mut Context<'_>,
        tag: Tag,
        new_id: impl FnOnce() -> u64,
        operation: impl FnOnce(&mut State) -> Option<R>,
    ) -> Poll<io::Result<R>> {
        let waiting = StreamWaiter::new(cx, tag, pool);
        let mut state = lock(&self.state);
        // Checked under the lock, so that a runtime that ends later finds the waiter.
        let has_ended = pool.is_closed();
        let result = if let Some(error) = state.writer(key).error.take() {
            Poll::Ready(Err(error))
        } else if has_ended {
            Poll::Ready(Err(runtime_ended()))
        } else {
            match operation(&mut state) {
                Some(result) => Poll::Ready(Ok(result)),
                None => Poll::Pending,
            }
        };
        let waiting = match result.is_pending() {
            true => state.writer(key).waiting.replace(waiting),
            false => Some(waiting),
        };
        let must_begin = !state.chunks.is_empty() && !has_ended && !state.is_writing;
        state.is_writing |= must_begin;
        drop(state);
        drop(waiting);
        if must_begin {
            let job = WriteJob {
                output: self,
                is_over: false,
            };
            let about = Arc::new(AboutOutput(self.name));
            pool.submit(Lane::Output, new_id(), Box::new(job), about);
        }
        result
    }

    /// Wakes the writers of a runtime that has ended.
    pub(super) fn wake_waiters_of(&self, pool: &Pool) {
        let mut state = lock(&self.state);
        let wakers = state.take_waiters(|waiter| waiter.is_of(pool));
        drop(state);
        wake(wakers);
    }

    /// Returns the waiters of a runtime.
    pub(super) fn waiters_of(&self, pool: &Pool) -> Vec<(WaiterInfo, String)> {
        let state = lock(&self.state);
        let waiting = state.writers.values().filter_map(|it| it.waiting.as_ref());
        waiting
            .filter(|waiter| waiter.is_of(pool))
            .map(|waiter| (waiter.info(), String::from(self.name)))
            .collect()
    }

    /// Takes the next chunk, or ends the writing if there is none.
    fn next_chunk(&self) -> Option<Chunk> {
        let mut state = lock(&self.state);
        let chunk = state.chunks.pop_front();
        state.is_writing = chunk.is_some();
        chunk
    }

    /// Ends the writing of a chunk.
    fn written(&self, chunk: &Chunk, result: io::Result<()>) {
        let mut state = lock(&self.state);
        let Some(writer) = state.writers.get_mut(&chunk.writer) else {
            return;
        };
        writer.unwritten -= chunk.bytes.len();
        if let Err(error) = result
            && writer.error.is_none()
        {
            writer.error = Some(error);
        }
        let woken = writer.waiting.take();
        drop(state);
        wake(woken.into_iter().collect());
    }

    /// Ends the writing before the queue is empty. Wakes all waiters; the first of them starts a new job.
    fn stop(&self) {
        let mut state = lock(&self.state);
        state.is_writing = false;
        let woken = state.take_waiters(|_| true);
        drop(state);
        wake(woken);
    }
}

/// Wakes waiters.
fn wake(waiters: Vec<StreamWaiter>) {
    wake_all(waiters.into_iter().map(StreamWaiter::into_waker));
}

impl State {
    /// Returns the writer with this key.
    fn writer(&mut self, key: u64) -> &mut Writer {
        self.writers.entry(key).or_default()
    }

    /// Appends bytes of a writer, to the last chunk if it belongs to the same writer.
    fn append(&mut self, key: u64, bytes: &[u8]) {
        self.writer(key).unwritten += bytes.len();
        match self.chunks.back_mut() {
            Some(last) if last.writer == key => last.bytes.extend_from_slice(bytes),
            _ if bytes.is_empty() => {}
            _ => self.chunks.push_back(Chunk {
                writer: key,
                bytes: bytes.to_vec(),
            }),
        }
    }

    /// Removes and returns the waiters that satisfy a condition.
    fn take_waiters(
        &mut self,
        mut condition: impl FnMut(&StreamWaiter) -> bool,
    ) -> Vec<StreamWaiter> {
        let writers = self.writers.values_mut();
        writers
            .filter_map(|writer| writer.waiting.take_if(|waiting| condition(waiting)))
            .collect()
    }
}

/// The job that writes until the queue is empty.
struct WriteJob {
    /// The stream.
    output: &'static Output,
    /// Whether the job has emptied the queue. Otherwise, dropping the job stops the writing.
    is_over: bool,
}

impl Job for WriteJob {
    fn run(mut self: Box<Self>) {
        let output = self.output;
        while let Some(chunk) = output.next_chunk() {
            let result = (output.write)(&chunk.bytes).map_err(blocking_error);
            output.written(&chunk, result);
        }
        self.is_over = true;
    }

    fn refuse(mut self: Box<Self>, error: &io::Error) {
        while let Some(chunk) = self.output.next_chunk() {
            self.output.written(&chunk, Err(copy_error(error)));
        }
        self.is_over = true;
    }
}

impl Drop for WriteJob {
    fn drop(&mut self) {
        if !self.is_over {
            self.output.stop();
        }
    }
}

/// The description of the job. It has no waiter, because dumps list the waiters of the stream instead.
struct AboutOutput(&'static str);

impl About for AboutOutput {
    fn describe(&self) -> String {
        String::from(self.0)
    }

    fn name(&self) -> Option<&str> {
        Some(self.0)
    }

    fn location(&self) -> Option<&'static Location<'static>> {
        None
    }

    fn awaited_by(&self) -> Option<WaiterInfo> {
        None
    }

    fn is_detached(&self) -> bool {
        false
    }
}
