//! [`stdin`], [`stdout`] and [`stderr`]: the standard streams of the process.
//!
//! The [pool](crate::pool) reads and writes them on its threads. This file only forwards to it, within the budget
//! of the poll.

use crate::context;
use crate::event_loop::Shared;
use crate::executor::budget::{poll_budget, spend_budget};
use crate::net::bytes::{forward_read, forward_write};
use crate::pool::INPUT_ID;
use crate::pool::input::{self, INPUT};
use crate::pool::output::{Output, STDERR, STDOUT};
use crate::timeline::tables::Subject;
use crate::traces::Slot;
use crate::waiter::Tag;
use futures_io::{AsyncRead, AsyncWrite};
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// Returns a handle to the standard input of the process.
///
/// A thread of the runtime makes the reads, because reading a terminal, a pipe or a file may block. Nothing waits for
/// that thread: while a read is pending, `block_on` returns,
/// [`Runtime::shutdown_timeout`](crate::Runtime::shutdown_timeout) returns, and the process exits. Like a read of a
/// socket, a pending read does not stop a [virtual clock](crate::Builder::virtual_clock) either: deadlines pass while
/// it waits.
///
/// # Several handles
///
/// All handles of the process, in all runtimes, read the same stream: each byte goes to one of them. The thread reads
/// up to 64 KiB ahead. If a read is cancelled, its handle dropped or its runtime ended, no bytes are lost: they go to
/// the next read of any handle. A `BufReader` around a handle has a buffer of its own, which is lost with it, so keep
/// one for the whole program.
///
/// [`std::io::stdin`] sees none of the bytes that were read ahead, and blocks while a read is pending. Use one or the
/// other.
///
/// The stream stays in blocking mode: `O_NONBLOCK` would affect all programs that share the terminal or pipe.
///
/// # Panics
///
/// Panics outside a runtime.
///
/// # Examples
///
#[cfg_attr(feature = "prelude", doc = "```")]
#[cfg_attr(not(feature = "prelude"), doc = "```ignore")]
/// use glassfrog::io::{BufReader, stdin, stdout};
/// use glassfrog::prelude::*;
///
/// /// Asks for a name, and prints a greeting.
/// async fn greet() -> std::io::Result<()> {
///     let (mut lines, mut stdout) = (BufReader::new(stdin()).lines(), stdout());
///     stdout.write_all(b"What is your name? ").await?;
///     stdout.flush().await?;
///     if let Some(name) = lines.next().await {
///         let greeting = format!("Hello, {}!\n", name?);
///         stdout.write_all(greeting.as_bytes()).await?;
///     }
///     stdout.flush().await
/// }
/// # // The input of a test may be a terminal.
/// # drop(greet());
/// # glassfrog::block_on(async { stdout().flush().await })?;
/// # std::io::Result::Ok(())
/// ```
#[track_caller]
pub fn stdin() -> Stdin {
    let shared = context::shared();
    Stdin(Reader {
        key: INPUT.new_key(),
        shared,
    })
}

/// Returns a handle to the standard output of the process.
///
/// A write appends the bytes to a queue, and a thread of the runtime writes them to the stream. While 64 KiB of a
/// handle are queued, its next write waits. All handles of the process share the queue, so the stream receives the
/// bytes in the order of the writes. For large outputs, wrap the handle in a `BufWriter`: a write to an empty queue
/// has to start or wake a thread.
///
/// [`println!`] still works, but blocks the thread, and does not wait for the bytes in the queue.
///
/// # Flush before the end
///
/// `flush` and `close` wait until all bytes of this handle have been written. Bytes that were not flushed may be lost
/// when the program exits. If only the runtime ends, a write in progress continues, and
/// [`Runtime::shutdown_timeout`](crate::Runtime::shutdown_timeout) waits for it. The other bytes stay in the queue
/// until a handle of another runtime writes or flushes. Dropping a handle loses no bytes.
///
/// # Errors
///
/// A write returns before its bytes reach the stream, so the next write, `flush` or `close` of the same handle
/// returns its error, such as [`BrokenPipe`](io::ErrorKind::BrokenPipe) if the reader of a pipe is gone.
///
/// # Panics
///
/// Panics outside a runtime.
///
/// # Examples
///
#[cfg_attr(feature = "prelude", doc = "```")]
#[cfg_attr(not(feature = "prelude"), doc = "```ignore")]
/// use glassfrog::io::stdout;
/// use glassfrog::prelude::*;
///
/// glassfrog::block_on(async {
///     let mut stdout = stdout();
///     stdout.write_all(b"hello\n").await?;
///     stdout.flush().await
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[track_caller]
pub fn stdout() -> Stdout {
    Stdout(Writer::new(&STDOUT))
}

/// Returns a handle to the standard error stream of the process.
///
/// The handle works like that of [`stdout`], with a queue of its own. For most messages, [`eprintln!`] is the better
/// choice: it blocks the thread until the message is written.
///
/// # Panics
///
/// Panics outside a runtime.
///
/// # Examples
///
/// See [`stdout`].
#[track_caller]
pub fn stderr() -> Stderr {
    Stderr(Writer::new(&STDERR))
}

/// A handle to the standard input of the process, returned by [`stdin`].
///
/// # Examples
///
/// See [`stdin`].
#[derive(Debug)]
pub struct Stdin(Reader);

/// A handle to the standard output of the process, returned by [`stdout`].
///
/// # Examples
///
/// See [`stdout`].
#[derive(Debug)]
pub struct Stdout(Writer);

/// A handle to the standard error stream of the process, returned by [`stderr`].
///
/// # Examples
///
/// See [`stdout`].
#[derive(Debug)]
pub struct Stderr(Writer);

forward_read!([] Stdin, this => this.0);
forward_write!([] Stdout, this => this.0);
forward_write!([] Stderr, this => this.0);

/// A reader of standard input.
struct Reader {
    /// The key of the handle, unique in the process.
    key: u64,
    /// The runtime whose threads read.
    shared: Arc<Shared>,
}

/// Polls a standard stream. If a wait begins, notes it for a runtime that traces waits.
fn noting_wait<R>(
    shared: &Shared,
    tag: Tag,
    (stream, name): (u64, &str),
    poll: impl FnOnce() -> Poll<R>,
) -> Poll<R> {
    let task = |tag: Tag| tag.parts().map(|(task, _poll)| task);
    let is_waiting = || {
        let mut waiters = shared.pool.waiters_for_stream(stream).into_iter();
        waiters.any(|waiter| task(waiter.tag) == task(tag))
    };
    let is_new = shared.traces.is_some() && !is_waiting();
    let polled = poll();
    if is_new && polled.is_pending() {
        shared.note_wait(|| Slot::Awaited(stream));
    }
    if polled.is_pending()
        && let Some(recorder) = &shared.recorder
    {
        shared.record_wait(recorder, &Subject::Stream(stream), || String::from(name));
    }
    polled
}

impl AsyncRead for Reader {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        ready!(poll_budget(cx));
        let (pool, tag) = (&self.shared.pool, self.shared.current_tag());
        let new_id = || self.shared.new_id().0;
        let poll = || INPUT.poll_read(self.key, pool, cx, tag, new_id, buf);
        let result = ready!(noting_wait(
            &self.shared,
            tag,
            (INPUT_ID, input::NAME),
            poll
        ));
        spend_budget();
        Poll::Ready(result)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        INPUT.leave(self.key);
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}

/// A writer to one of the output streams.
struct Writer {
    /// The stream.
    output: &'static Output,
    /// The key of the handle, unique among those of the stream.
    key: u64,
    /// The runtime whose threads write.
    shared: Arc<Shared>,
}

impl Writer {
    /// Creates a handle to a stream.
    #[track_caller]
    fn new(output: &'static Output) -> Writer {
        let shared = context::shared();
        Writer {
            output,
            key: output.add_writer(),
            shared,
        }
    }
}

impl AsyncWrite for Writer {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(poll_budget(cx));
        let (pool, tag) = (&self.shared.pool, self.shared.current_tag());
        let new_id = || self.shared.new_id().0;
        let poll = || self.output.poll_write(self.key, pool, cx, tag, new_id, buf);
        let stream = (self.output.id, self.output.name);
        let result = ready!(noting_wait(&self.shared, tag, stream, poll));
        spend_budget();
        Poll::Ready(result)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(poll_budget(cx));
        let (pool, tag) = (&self.shared.pool, self.shared.current_tag());
        let new_id = || self.shared.new_id().0;
        let poll = || self.output.poll_flush(self.key, pool, cx, tag, new_id);
        let stream = (self.output.id, self.output.name);
        let result = ready!(noting_wait(&self.shared, tag, stream, poll));
        spend_budget();
        Poll::Ready(result)
    }

    /// Flushes. The stream stays open, because it belongs to the process.
    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.output.remove_writer(self.key);
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}
