//! [`INPUT`]: the standard input of the process, which all runtimes share.
//!
//! A read of standard input blocks, and nothing can interrupt it. At most one read is therefore in progress in the
//! process, on a thread of the pool that began it, and it delivers its bytes to the next handle that polls:
//!
//! ```text
//!              a poll finds nothing                      returns
//!    +------+ ----------------------> +---------+ -----------------------> +-------+
//!    | idle |                         | reading |   wakes all waiters      | ready |
//!    +------+ <---------------------- +---------+                          +-------+
//!        ^     the pool drops the job                                          |
//!        +---------------------------------------------------------------------+
//!                      polls have taken all bytes, the end or the error
//! ```
//!
//! No bytes are lost if a waiter gives up or a runtime ends: the thread stays in the read, and the bytes go to the
//! next runtime that reads. Such a thread delays neither a shutdown nor a virtual clock.

use super::job::copy_error;
use super::stream::{StreamWaiter, blocking_error, runtime_ended};
use super::{About, Job, Lane, Pool};
use crate::foreign::wake_all;
use crate::primitives::{Mutex, lock};
use crate::waiter::{Tag, WaiterInfo};
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::mem;
use std::panic::Location;
use std::sync::Arc;
use std::task::{Context, Poll};

/// The maximum size of a read: the capacity of a pipe (`pipe(7)`). Each read costs a round trip to a thread, so it
/// should be large.
const MOST_BYTES: usize = 64 * 1024;

/// The name of the stream, for dumps.
pub(crate) const NAME: &str = "standard input";

/// The standard input of the process.
pub(crate) static INPUT: Input = Input(Mutex::new(State {
    bytes: Vec::new(),
    taken: 0,
    end: None,
    is_reading: false,
    waiters: BTreeMap::new(),
    last_key: 0,
}));

/// A stream of the process, which threads of the pools read.
pub(crate) struct Input(Mutex<State>);

/// The state under the lock of an [`Input`].
struct State {
    /// The bytes that the last read returned.
    bytes: Vec<u8>,
    /// How many of these bytes have been taken.
    taken: usize,
    /// The result of the last read if it returned no bytes: the end of the input, or an error. The next poll takes
    /// it.
    end: Option<io::Result<()>>,
    /// Whether a pool has a job that reads.
    is_reading: bool,
    /// The handles that wait, by their keys.
    waiters: BTreeMap<u64, StreamWaiter>,
    /// The key of the newest handle.
    last_key: u64,
}

impl Input {
    /// Returns the key of a new handle.
    pub(crate) fn new_key(&self) -> u64 {
        let mut state = lock(&self.0);
        state.last_key += 1;
        state.last_key
    }

    /// Takes bytes that were read. If there are none, submits a job that reads, with the id that `new_id` returns,
    /// and stores the waker under the key of the handle.
    pub(crate) fn poll_read(
        &'static self,
        key: u64,
        pool: &Arc<Pool>,
        cx: &mut Context<'_>,
        tag: Tag,
        new_id: impl FnOnce() -> u64,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let waiting = StreamWaiter::new(cx, tag, pool);
        let mut state = lock(&self.0);
        if let Some(result) = state.take(buf) {
            let previous = state.waiters.remove(&key);
            drop(state);
            drop((previous, waiting));
            return Poll::Ready(result);
        }
        // Checked under the lock, so that a runtime that ends later finds the waiter.
        if pool.is_closed() {
            drop(state);
            drop(waiting);
            return Poll::Ready(Err(runtime_ended()));
        }
        let previous = state.waiters.insert(key, waiting);
        let must_begin = !mem::replace(&mut state.is_reading, true);
        drop(state);
        drop(previous);
        if must_begin {
            let job = ReadJob {
                input: self,
                is_over: false,
            };
            pool.submit(Lane::Input, new_id(), Box::new(job), Arc::new(AboutInput));
        }
        Poll::Pending
    }

    /// Removes the waiter of a handle that is dropped.
    pub(crate) fn leave(&self, key: u64) {
        let left = lock(&self.0).waiters.remove(&key);
        drop(left);
    }

    /// Wakes the waiters of a runtime that has ended.
    pub(super) fn wake_waiters_of(&self, pool: &Pool) {
        let mut state = lock(&self.0);
        let all = mem::take(&mut state.waiters);
        let (ended, others) = all.into_iter().partition(|(_, waiter)| waiter.is_of(pool));
        state.waiters = others;
        drop(state);
        wake(ended);
    }

    /// Returns the waiters of a runtime.
    pub(super) fn waiters_of(&self, pool: &Pool) -> Vec<(WaiterInfo, String)> {
        let state = lock(&self.0);
        let waiters = state.waiters.values();
        let ours = waiters.filter(|waiter| waiter.is_of(pool));
        ours.map(|waiter| (waiter.info(), String::from(NAME)))
            .collect()
    }

    /// Ends a read, and wakes all waiters.
    fn end(&self, bytes: Vec<u8>, end: Option<io::Result<()>>) {
        let mut state = lock(&self.0);
        state.is_reading = false;
        state.bytes = bytes;
        state.taken = 0;
        state.end = end;
        let waiters = mem::take(&mut state.waiters);
        drop(state);
        wake(waiters);
    }
}

/// Wakes waiters.
fn wake(waiters: BTreeMap<u64, StreamWaiter>) {
    wake_all(waiters.into_values().map(StreamWaiter::into_waker));
}

impl State {
    /// Takes bytes, the end or an error, if the last read has left any.
    fn take(&mut self, buf: &mut [u8]) -> Option<io::Result<usize>> {
        let left = &self.bytes[self.taken..];
        if left.is_empty() {
            return Some(self.end.take()?.map(|()| 0));
        }
        let count = left.len().min(buf.len());
        buf[..count].copy_from_slice(&left[..count]);
        self.taken += count;
        if self.taken == self.bytes.len() {
            self.bytes = Vec::new();
            self.taken = 0;
        }
        Some(Ok(count))
    }
}

/// The job that reads once.
struct ReadJob {
    /// The stream.
    input: &'static Input,
    /// Whether the read has ended. Otherwise, dropping the job ends it.
    is_over: bool,
}

impl Job for ReadJob {
    fn run(mut self: Box<Self>) {
        let mut bytes = vec![0; MOST_BYTES];
        let result = loop {
            match io::stdin().read(&mut bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result,
            }
        };
        let (count, end) = match result {
            Ok(0) => (0, Some(Ok(()))),
            Ok(count) => (count, None),
            Err(error) => (0, Some(Err(blocking_error(error)))),
        };
        bytes.truncate(count);
        bytes.shrink_to_fit();
        self.is_over = true;
        self.input.end(bytes, end);
    }

    fn refuse(mut self: Box<Self>, error: &io::Error) {
        self.is_over = true;
        let error = copy_error(error);
        self.input.end(Vec::new(), Some(Err(error)));
    }
}

impl Drop for ReadJob {
    fn drop(&mut self) {
        if !self.is_over {
            self.input.end(Vec::new(), None);
        }
    }
}

/// The description of the job. It has no waiter, because dumps list the waiters of the stream instead.
struct AboutInput;

impl About for AboutInput {
    fn describe(&self) -> String {
        String::from(NAME)
    }

    fn name(&self) -> Option<&str> {
        Some(NAME)
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
