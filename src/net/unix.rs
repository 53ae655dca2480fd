//! Unix sockets: streams, listeners and datagrams between processes of one host.

mod stream;
mod listener;
mod datagram;

pub use self::datagram::UnixDatagram;
pub use self::listener::{UnixIncoming, UnixListener};
pub use self::stream::UnixStream;

use super::error::{with_context, with_hint};
use crate::event_loop::Shared;
use crate::executor::waits::{Subject, Wait, nested};
use crate::pool::Lane;
use crate::reactor::refusal::runtime_ended;
use crate::task::blocking;
use crate::time::sleep::{RuntimeEnded, Sleep};
use std::future::poll_fn;
use std::io;
use std::os::unix::net::SocketAddr;
use std::panic::Location;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// The first pause of an operation for which no event comes: about the time in which a running receiver makes room.
const FIRST_PAUSE: Duration = Duration::from_millis(1);

/// The longest pause of such an operation: short enough that a person does not notice the delay, long enough to
/// cost next to nothing.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// The pauses between the attempts of an operation for which no event comes. Each is twice as long as the one
/// before.
struct Pauses<N> {
    /// The next pause.
    next: Duration,
    /// Names what the operation waits for, for dumps.
    name: N,
}

impl<N: Fn() -> String> Pauses<N> {
    /// Creates pauses that begin with the shortest. `name` names what the operation waits for.
    fn new(name: N) -> Pauses<N> {
        let next = FIRST_PAUSE;
        Pauses { next, name }
    }

    /// Waits for the next pause.
    ///
    /// What ends the wait may happen in another process. So under a virtual clock a job lets as much real time pass,
    /// and holds the clock meanwhile.
    async fn pause(&mut self, shared: &Arc<Shared>) -> io::Result<()> {
        let pause = self.next;
        self.next = LONGEST_PAUSE.min(self.next * 2);
        if shared.clock.is_virtual() {
            let name = Some((self.name)().into_boxed_str());
            // Blocks a thread of the pool, not the loop.
            let work = move || thread::sleep(pause);
            let job = blocking::submit(shared, Lane::Jobs, name, Location::caller(), work);
            job.await.map_err(|_cancelled| runtime_ended())?;
        }
        let deadline = shared.clock.now() + pause;
        let mut sleep = Sleep::new(Arc::clone(shared), deadline, None);
        // A dump shows the name above the sleep.
        let mut named = Wait::default();
        let paused = poll_fn(|cx| {
            let (depth, polled) = nested(|| sleep.poll_deadline(cx));
            if polled.is_pending() {
                named.declare(None, None, depth, || Subject::Label((self.name)().into()));
            }
            polled
        });
        let paused = paused.await;
        paused.map_err(|RuntimeEnded| runtime_ended())
    }
}

/// Formats an address for dumps and errors.
fn name(addr: &SocketAddr) -> String {
    match addr.as_pathname() {
        Some(path) => name_of_path(path),
        None if addr.is_unnamed() => String::from("(unnamed)"),
        // A name in the abstract namespace of Linux, in quotation marks.
        None => format!("{addr:?}"),
    }
}

/// Formats a path for dumps and errors. Control characters are escaped.
fn name_of_path(path: &Path) -> String {
    let characters = path.to_string_lossy();
    let shown = characters.chars().flat_map(|c| {
        let escaped = c.is_control().then(|| c.escape_default());
        let plain = (!c.is_control()).then_some(c);
        escaped.into_iter().flatten().chain(plain)
    });
    shown.collect()
}

/// Describes the two ends of a socket, or a descriptor that is not a Unix socket, for dumps.
fn ends(
    local: io::Result<SocketAddr>,
    peer: io::Result<SocketAddr>,
    kind: impl FnOnce() -> String,
) -> String {
    match (local, peer) {
        (Ok(local), Ok(peer)) => format!("unix {} → {}", name(&local), name(&peer)),
        (Ok(local), Err(_)) => format!("unix {}", name(&local)),
        (Err(_), _) => format!("{} (not a Unix socket)", kind()),
    }
}

/// Adds the name to the error of a bind, and a hint if the name is taken.
fn cannot_bind(name: String, error: io::Error) -> io::Error {
    const TAKEN: &str =
        "if this is a file that no process uses any more, remove it before the bind";
    match error.kind() {
        io::ErrorKind::AddrInUse => with_hint("bind to", name, error, TAKEN),
        _ => with_context("bind to", name, error),
    }
}

/// Adds the name to the error of a connect, and a hint if the connection is refused.
fn cannot_connect(name: String, error: io::Error) -> io::Error {
    const REFUSED: &str = "no process listens there";
    match error.kind() {
        io::ErrorKind::ConnectionRefused => with_hint("connect to", name, error, REFUSED),
        _ => with_context("connect to", name, error),
    }
}
