//! [`Socket`]: the part that all types of sockets share.
//!
//! Every operation checks the budget of the poll, tries the system call through the reactor, and leaves its
//! waker there if the call would block. The types of sockets choose the system calls.

use super::addrs::Target;
use super::error::with_context;
use super::resolve::resolve;
use crate::context;
use crate::event_loop::Shared;
use crate::executor::budget::{poll_budget, spend_budget};
use crate::foreign::{is_traced, trace};
use crate::reactor::Io;
use crate::reactor::attempts::Buffer;
use crate::reactor::platform::{AsRaw, Conclusion};
use crate::reactor::proc_net::Connecting;
use crate::reactor::readiness::{Direction, Snapshot};
use crate::reactor::source::{InitialState, Place, Poller, Source};
use crate::reactor::waiters::WaiterKey;
use crate::slab::Key;
use crate::timeline::recorder::Recorder;
use crate::timeline::tables::Subject;
use crate::traces::Slot;
use crate::waiter::Waiter;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

/// A registered socket. Dropping it closes it.
pub(crate) struct Socket<S: AsRaw> {
    /// The descriptor and its readiness. The reactor holds the other reference.
    pub(super) source: Arc<Source<S>>,
    /// The runtime with which the socket is registered.
    pub(super) shared: Arc<Shared>,
}

impl<S: AsRaw + mio::event::Source + Io + 'static> Socket<S> {
    /// Registers a socket with a runtime. If that fails, the socket is closed.
    pub(crate) fn new(shared: Arc<Shared>, io: S, initial: InitialState) -> io::Result<Socket<S>> {
        match shared
            .sources
            .register(io, initial, shared.current_opener())
        {
            Ok(source) => Ok(Socket { source, shared }),
            Err((_closed, error)) => Err(error),
        }
    }

    /// Creates a socket that is bound to the first of these addresses that succeeds.
    pub(super) async fn bind(
        target: Target,
        initial: InitialState,
        bind: impl Fn(&Shared, SocketAddr) -> io::Result<S>,
    ) -> io::Result<Socket<S>> {
        let shared = context::shared();
        let mut failed = None;
        for addr in resolve(target, &shared).await? {
            let bound = bind(&shared, addr);
            match bound.and_then(|io| Socket::new(Arc::clone(&shared), io, initial)) {
                Ok(socket) => return Ok(socket),
                Err(error) => failed = Some(with_context("bind to", addr, error)),
            }
        }
        Err(failed.unwrap_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, "no address to bind to")
        }))
    }
}

impl<S: AsRaw + Io> Socket<S> {
    /// Returns the underlying socket, for calls that need no readiness.
    pub(crate) fn io(&self) -> &S {
        self.source.io()
    }

    /// Returns the runtime with which the socket is registered.
    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Returns the underlying socket, for a caller that may read, write or configure it without the
    /// reactor's knowledge.
    pub(crate) fn hand_out(&self) -> &S {
        self.source.share();
        self.source.io()
    }

    /// Removes the socket from its runtime.
    pub(crate) fn into_io(self) -> io::Result<S> {
        self.source.share();
        let source = Arc::clone(&self.source);
        drop(self);
        match Arc::into_inner(source) {
            Some(source) => Ok(source.into_io()),
            // The drop of `self` has removed the reactor's reference, and there are no others.
            None => Err(io::ErrorKind::ResourceBusy.into()),
        }
    }

    /// Tries an operation if the socket is marked as ready.
    pub(super) fn try_op<R>(
        &self,
        direction: Direction,
        op: impl FnMut(&S, Snapshot) -> io::Result<(R, Conclusion)>,
    ) -> io::Result<R> {
        self.source.try_op(direction, op)
    }

    /// Tries an operation. If it would block, leaves the waker on the list that all poll methods share.
    pub(super) fn poll_op<R>(
        &self,
        direction: Direction,
        cx: &mut Context<'_>,
        op: impl FnMut(&S, Snapshot) -> io::Result<(R, Conclusion)>,
    ) -> Poll<io::Result<R>> {
        self.poll_with(direction, None, Buffer::NONE, |_| 0, cx, op)
    }

    /// Tries a `poll_read` into this buffer. If it would block, leaves the waker on the list that all poll methods share.
    #[inline]
    pub(crate) fn poll_read_op(
        &self,
        buffer: Buffer,
        cx: &mut Context<'_>,
        op: impl FnMut(&S, Snapshot) -> io::Result<(usize, Conclusion)>,
    ) -> Poll<io::Result<usize>> {
        self.poll_with(Direction::Read, None, buffer, |count| *count, cx, op)
    }

    /// Tries such a read with an operation whose result says nothing about the next one.
    pub(crate) fn poll_read_op_with(
        &self,
        buffer: Buffer,
        cx: &mut Context<'_>,
        op: impl FnMut(&S) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        self.poll_read_op(buffer, cx, inconclusive(op))
    }

    /// Tries an operation. If it would block, leaves the waker under a key of its own. A caller that is
    /// dropped [removes](Socket::remove_waiter) the waiter.
    pub(super) fn poll_keyed<R>(
        &self,
        direction: Direction,
        key: &mut WaiterKey,
        cx: &mut Context<'_>,
        op: impl FnMut(&S, Snapshot) -> io::Result<(R, Conclusion)>,
    ) -> Poll<io::Result<R>> {
        self.poll_with(direction, Some(key), Buffer::NONE, |_| 0, cx, op)
    }

    /// Removes the waiter of an operation that is dropped, if it has not completed.
    #[inline]
    pub(super) fn remove_waiter(&self, direction: Direction, key: &mut WaiterKey) {
        if let Some(key) = key.take() {
            self.give_up(direction, key);
        }
    }

    /// Removes the waiter of an operation that is dropped while it is pending, and counts it.
    #[cold]
    #[inline(never)]
    fn give_up(&self, direction: Direction, key: NonZeroU32) {
        let task = self.shared.current_task();
        self.source
            .remove_waiter(&self.shared.sources, direction, key, task);
    }

    /// Performs an operation as soon as the socket is ready for it.
    pub(super) fn op<R, F>(&self, direction: Direction, op: F) -> Operation<'_, S, F>
    where
        F: FnMut(&S, Snapshot) -> io::Result<(R, Conclusion)>,
    {
        Operation {
            socket: self,
            direction,
            key: None,
            op,
        }
    }

    /// Performs an operation as soon as the socket is ready for it. Its result says nothing about the next one.
    pub(crate) async fn op_with<R>(
        &self,
        direction: Direction,
        op: impl FnMut(&S) -> io::Result<R>,
    ) -> io::Result<R> {
        self.op(direction, inconclusive(op)).await
    }

    /// Tries an operation if the socket is marked as ready. Its result says nothing about the next one.
    pub(crate) fn try_with<R>(
        &self,
        direction: Direction,
        op: impl FnMut(&S) -> io::Result<R>,
    ) -> io::Result<R> {
        self.try_op(direction, inconclusive(op))
    }

    /// Tries an operation whose result says nothing about the next one. If it would block, leaves the waker
    /// in the list that all poll methods share.
    pub(crate) fn poll_op_with<R>(
        &self,
        direction: Direction,
        cx: &mut Context<'_>,
        op: impl FnMut(&S) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        self.poll_op(direction, cx, inconclusive(op))
    }

    /// Waits until the socket is ready.
    pub(crate) async fn ready(&self, direction: Direction) -> io::Result<()> {
        self.op(direction, |_, _| Ok(((), Conclusion::Nothing)))
            .await
    }

    /// Tries an operation within the budget of the running poll. If it would block, leaves the waker under
    /// the key, or, without a key, on the list that all poll methods share. `buffer` is the buffer of a `poll_read`, and
    /// `count` returns how many bytes it has read.
    fn poll_with<R>(
        &self,
        direction: Direction,
        key: Option<&mut WaiterKey>,
        buffer: Buffer,
        count: fn(&R) -> usize,
        cx: &mut Context<'_>,
        op: impl FnMut(&S, Snapshot) -> io::Result<(R, Conclusion)>,
    ) -> Poll<io::Result<R>> {
        ready!(poll_budget(cx));
        let poller = PollOf {
            socket: self,
            waker: cx.waker(),
        };
        let sources = &self.shared.sources;
        let place = Place { key, buffer, count };
        let poll = self.source.poll_op(sources, direction, place, poller, op);
        if is_traced("glassfrog::net") {
            self.log_outcome(direction, &poll);
        }
        poll
    }
}

/// The poll of a task or of another future, which polls an operation.
struct PollOf<'a, S: AsRaw> {
    /// The socket.
    socket: &'a Socket<S>,
    /// The waker of the poll.
    waker: &'a Waker,
}

impl<S: AsRaw + Io> Poller for PollOf<'_, S> {
    #[inline(always)]
    fn waiter(&self) -> Waiter {
        Waiter {
            waker: self.waker.clone(),
            tag: self.socket.shared.current_tag(),
        }
    }

    #[inline(always)]
    fn joined(&self, direction: Direction, source: Key) {
        self.socket.shared.note_wait(|| match direction {
            Direction::Read => Slot::Read(source.number()),
            Direction::Write => Slot::Write(source.number()),
        });
    }

    #[inline(always)]
    fn pending(&self, direction: Direction) {
        if let Some(recorder) = &self.socket.shared.recorder {
            self.socket.record_wait(recorder, direction);
        }
    }

    #[inline(always)]
    fn completed(&self) {
        spend_budget();
    }
}

impl<S: AsRaw + Io> Socket<S> {
    /// Records that the task that is being polled waits for this socket.
    #[cold]
    #[inline(never)]
    fn record_wait(&self, recorder: &Recorder, direction: Direction) {
        let subject = self.subject(direction);
        let describe = || self.source.describe(direction);
        self.shared.record_wait(recorder, &subject, describe);
    }

    /// Returns the operations in a direction, as the timeline knows them.
    fn subject(&self, direction: Direction) -> Subject {
        Subject::Socket(self.source.key().number(), direction == Direction::Write)
    }

    /// Names the wait for the end of a connection attempt, if the runtime records a timeline.
    pub(super) fn record_connecting(&self, describe: impl FnOnce() -> String) {
        if let Some(recorder) = &self.shared.recorder {
            recorder.name(self.subject(Direction::Write), describe());
        }
    }

    /// Notes for the timeline that the connection attempt is over.
    pub(super) fn record_connected(&self) {
        if let Some(recorder) = &self.shared.recorder {
            recorder.rename(&self.subject(Direction::Write));
        }
    }

    /// Logs the outcome of an operation.
    #[cold]
    fn log_outcome<R>(&self, direction: Direction, poll: &Poll<io::Result<R>>) {
        let outcome = match poll {
            Poll::Ready(Ok(_)) => "done",
            Poll::Ready(Err(_)) => "failed",
            Poll::Pending => "would block, waker left with the reactor",
        };
        let what = self.io().describe(direction, &Connecting::unknown());
        trace!("glassfrog::net", "{what}: {outcome}");
    }
}

impl<S: AsRaw> Drop for Socket<S> {
    fn drop(&mut self) {
        self.shared.sources.deregister(&self.source);
    }
}

impl<S: AsRaw + fmt::Debug> fmt::Debug for Socket<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

/// Wraps an operation whose result says nothing about the next one: it moves a single datagram, or the caller
/// alone knows what it does.
fn inconclusive<S, R>(
    mut op: impl FnMut(&S) -> io::Result<R>,
) -> impl FnMut(&S, Snapshot) -> io::Result<(R, Conclusion)> {
    move |io, _| Ok((op(io)?, Conclusion::Nothing))
}

/// The future of an operation. Dropping it removes its waiter.
pub(crate) struct Operation<'a, S: AsRaw + Io, F> {
    /// The socket.
    socket: &'a Socket<S>,
    /// The direction for which the socket has to be ready.
    direction: Direction,
    /// The key of the operation's waiter.
    key: WaiterKey,
    /// The operation.
    op: F,
}

/// An operation is called by reference, and is never pinned.
impl<S: AsRaw + Io, F> Unpin for Operation<'_, S, F> {}

impl<R, S, F> Future for Operation<'_, S, F>
where
    S: AsRaw + Io,
    F: FnMut(&S, Snapshot) -> io::Result<(R, Conclusion)>,
{
    type Output = io::Result<R>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Operation {
            socket,
            direction,
            key,
            op,
        } = &mut *self;
        socket.poll_keyed(*direction, key, cx, op)
    }
}

impl<S: AsRaw + Io, F> Drop for Operation<'_, S, F> {
    fn drop(&mut self) {
        self.socket.remove_waiter(self.direction, &mut self.key);
    }
}
