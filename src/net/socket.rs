//! What all sockets have in common: where context, budget and reactor meet.

use crate::context;
use crate::event_loop::Shared;
use crate::executor::budget::{poll_budget, spend_budget};
use crate::foreign::trace;
use crate::reactor::Io;
use crate::reactor::platform::{AsRaw, FileKind, Lesson};
use crate::reactor::proc_net::Connecting;
use crate::reactor::readiness::{Direction, Snapshot};
use crate::reactor::refusal::Refusal;
use crate::reactor::source::{Origin, Source};
use crate::reactor::waiters::Seat;
use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// A registered socket. Dropping it closes it.
pub(super) struct Socket<S: AsRaw> {
    /// The descriptor and its readiness; the reactor has the other reference.
    source: Arc<Source<S>>,
    /// The runtime that it belongs to.
    shared: Arc<Shared>,
}

impl<S: AsRaw + mio::event::Source + Io + 'static> Socket<S> {
    /// Registers a socket with a runtime. It is closed if that fails.
    pub(super) fn new(shared: Arc<Shared>, io: S, origin: Origin) -> io::Result<Socket<S>> {
        match shared.sources.register(io, origin) {
            Ok(source) => Ok(Socket { source, shared }),
            Err((_closed, error)) => Err(error),
        }
    }

    /// Adopts a socket into the runtime of this thread, where no error can be returned: if it cannot be
    /// registered, every operation fails and says why. `addr` is what it says of its address.
    #[track_caller]
    pub(super) fn adopt(io: S, addr: &io::Result<SocketAddr>) -> Socket<S>
    where
        S: Foreign,
    {
        let shared = Arc::clone(&context::current().shared);
        let source = match register_foreign(&shared, io, addr) {
            Ok(source) => source,
            Err((io, refusal)) => {
                log::error!(target: "glassfrog::net", "{io:?}: {}", refusal.error());
                Arc::new(Source::refused(io, refusal))
            }
        };
        Socket { source, shared }
    }

    /// Adopts a socket into the runtime of this thread. It is closed if that fails.
    #[track_caller]
    pub(super) fn try_adopt(io: S, addr: &io::Result<SocketAddr>) -> io::Result<Socket<S>>
    where
        S: Foreign,
    {
        let shared = Arc::clone(&context::current().shared);
        match register_foreign(&shared, io, addr) {
            Ok(source) => Ok(Socket { source, shared }),
            Err((_closed, refusal)) => Err(refusal.error()),
        }
    }
}

/// Registers a descriptor that comes from outside. Where this fails, it comes back with the reason.
fn register_foreign<S>(
    shared: &Shared,
    io: S,
    addr: &io::Result<SocketAddr>,
) -> Result<Arc<Source<S>>, (S, Refusal)>
where
    S: AsRaw + mio::event::Source + Io + Foreign + 'static,
{
    // Only what is not a socket has to be asked what it is.
    if addr.is_err() {
        let kind = io.kind();
        if kind.is_not_a_socket() {
            return Err((io, Refusal::NotASocket(kind)));
        }
    }
    let registered = shared.sources.register(io, Origin::Adopted);
    registered.map_err(|(io, error)| (io, Refusal::new(&error)))
}

/// A descriptor that may be something else than its type says, since it may come from outside.
pub(super) trait Foreign {
    /// What it is.
    fn kind(&self) -> FileKind;

    /// Asks for `TCP_NODELAY`, which only TCP sockets have.
    fn nodelay(&self) -> io::Result<bool>;
}

/// Says in words what a descriptor is that does not know `TCP_NODELAY`. `None`: it is TCP, as far as can be
/// known.
pub(super) fn other_than_tcp(
    io: &impl Foreign,
    nodelay: &io::Result<bool>,
    addr: &io::Result<SocketAddr>,
) -> Option<String> {
    let error = nodelay.as_ref().err()?;
    // What some systems say of a TCP connection that is gone.
    let says_gone = matches!(
        error.kind(),
        io::ErrorKind::InvalidInput | io::ErrorKind::NotConnected | io::ErrorKind::ConnectionReset
    );
    if says_gone && addr.is_ok() {
        return None;
    }
    match (io.kind(), addr) {
        // It is closed, or cannot be asked.
        (FileKind::Other, _) => None,
        (FileKind::Socket, Ok(addr)) => Some(format!("a socket {addr} (not TCP)")),
        (kind, _) => Some(format!("{kind} (not TCP)")),
    }
}

impl<S: AsRaw + Io> Socket<S> {
    /// The socket itself, for what needs no readiness.
    pub(super) fn io(&self) -> &S {
        self.source.io()
    }

    /// The runtime that it belongs to.
    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The socket itself, for somebody who may do with it what we do not see.
    pub(super) fn hand_out(&self) -> &S {
        self.source.share();
        self.source.io()
    }

    /// Takes the socket out of the runtime.
    pub(super) fn into_io(self) -> io::Result<S> {
        self.source.share();
        let source = Arc::clone(&self.source);
        drop(self);
        match Arc::into_inner(source) {
            Some(source) => Ok(source.into_io()),
            // The reactor let go of it with `self`, and nobody else ever has a reference.
            None => Err(io::ErrorKind::ResourceBusy.into()),
        }
    }

    /// Tries an operation if it is worth trying.
    pub(super) fn try_op<R>(
        &self,
        direction: Direction,
        op: impl FnMut(&S, Snapshot) -> io::Result<(R, Lesson)>,
    ) -> io::Result<R> {
        self.source.try_op(direction, op)
    }

    /// Tries an operation, or leaves the waker in the list that poll methods share.
    pub(super) fn poll_op<R>(
        &self,
        direction: Direction,
        cx: &mut Context<'_>,
        op: impl FnMut(&S, Snapshot) -> io::Result<(R, Lesson)>,
    ) -> Poll<io::Result<R>> {
        self.poll_at(direction, None, cx, op)
    }

    /// Tries an operation, or leaves the waker in a seat, which the caller is to
    /// [leave](Socket::leave) in its drop.
    pub(super) fn poll_seated<R>(
        &self,
        direction: Direction,
        seat: &mut Seat,
        cx: &mut Context<'_>,
        op: impl FnMut(&S, Snapshot) -> io::Result<(R, Lesson)>,
    ) -> Poll<io::Result<R>> {
        self.poll_at(direction, Some(seat), cx, op)
    }

    /// Gives up the seat of an operation that no longer waits.
    pub(super) fn leave(&self, direction: Direction, seat: &mut Seat) {
        self.source.leave(&self.shared.sources, direction, seat);
    }

    /// Does an operation as soon as it can be done.
    pub(super) fn op<R, F>(&self, direction: Direction, op: F) -> Operation<'_, S, F>
    where
        F: FnMut(&S, Snapshot) -> io::Result<(R, Lesson)>,
    {
        Operation {
            socket: self,
            direction,
            seat: None,
            op,
        }
    }

    /// Waits until there is something to be tried.
    pub(super) async fn ready(&self, direction: Direction) -> io::Result<()> {
        self.op(direction, |_, _| Ok(((), Lesson::Nothing))).await
    }

    /// Tries an operation within the budget of the running poll, or leaves the waker: in a seat, or
    /// with `None` on the list that poll methods share.
    fn poll_at<R>(
        &self,
        direction: Direction,
        seat: Option<&mut Seat>,
        cx: &mut Context<'_>,
        op: impl FnMut(&S, Snapshot) -> io::Result<(R, Lesson)>,
    ) -> Poll<io::Result<R>> {
        ready!(poll_budget(cx));
        let tag = || self.shared.current_tag();
        let sources = &self.shared.sources;
        let poll = self
            .source
            .poll_op(sources, direction, seat, cx.waker(), tag, op);
        if log::log_enabled!(target: "glassfrog::net", log::Level::Trace) {
            self.tell(direction, &poll);
        }
        let result = ready!(poll);
        spend_budget();
        Poll::Ready(result)
    }
}

impl<S: AsRaw + Io> Socket<S> {
    /// Logs what came of an operation.
    #[cold]
    fn tell<R>(&self, direction: Direction, poll: &Poll<io::Result<R>>) {
        let outcome = match poll {
            Poll::Ready(Ok(_)) => "done",
            Poll::Ready(Err(_)) => "failed",
            Poll::Pending => "would block, so the waker is left with the reactor",
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

/// An operation that is under way; gives up its seat among the waiters when dropped.
pub(super) struct Operation<'a, S: AsRaw + Io, F> {
    /// What it is done on.
    socket: &'a Socket<S>,
    /// What it waits for.
    direction: Direction,
    /// Its seat, once it has had to wait.
    seat: Seat,
    /// What is done.
    op: F,
}

impl<R, S, F> Future for Operation<'_, S, F>
where
    S: AsRaw + Io,
    F: FnMut(&S, Snapshot) -> io::Result<(R, Lesson)> + Unpin,
{
    type Output = io::Result<R>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Operation {
            socket,
            direction,
            seat,
            op,
        } = &mut *self;
        socket.poll_seated(*direction, seat, cx, op)
    }
}

impl<S: AsRaw + Io, F> Drop for Operation<'_, S, F> {
    fn drop(&mut self) {
        self.socket.leave(self.direction, &mut self.seat);
    }
}

/// Notes that a descriptor could not be made non-blocking, where no error can be returned: it
/// cannot be registered either, and whatever is tried on it fails.
pub(super) fn unblocked(what: &str, done: io::Result<()>) {
    if let Err(error) = done {
        log::error!(target: "glassfrog::net", "{what} stays blocking: {error}");
    }
}

/// An error together with what was tried, and with which address or name.
struct Attempt {
    /// What was tried.
    what: &'static str,
    /// With which address or name.
    with: Box<str>,
    /// What came of it.
    error: io::Error,
}

/// Says in an error what was tried with which address or name. The kind stays.
pub(super) fn attempted(what: &'static str, with: impl ToString, error: io::Error) -> io::Error {
    let with = with.to_string().into_boxed_str();
    io::Error::new(error.kind(), Attempt { what, with, error })
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.what, self.with, self.error)
    }
}

impl Error for Attempt {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.error)
    }
}

/// One line, for `main` functions that return the error.
impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}
