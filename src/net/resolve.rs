//! [`lookup_host`]: from names to addresses, off the loop.

use super::ToSocketAddrs;
use super::addrs::{Addrs, Target};
use super::socket::attempted;
use crate::context;
use crate::event_loop::Shared;
use crate::pool::{Lane, Pool};
use crate::reactor::source::runtime_ended;
use crate::task::{JoinHandle, blocking};
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::panic::Location;
use std::sync::Arc;

/// Looks up the addresses of a host, in the order in which the operating system prefers them.
///
/// # Errors
///
/// That of the resolver, with the name in its text; `InvalidInput` for what is neither an address nor
/// a name.
///
/// # Panics
///
/// Outside a runtime.
///
/// # Cancel safety
///
/// Dropping the future gives the look-up up; see [`ToSocketAddrs`].
///
/// # Examples
///
/// ```
/// use glassfrog::net::lookup_host;
///
/// glassfrog::block_on(async {
///     let mut addrs = lookup_host("localhost:80").await?;
///     assert!(addrs.all(|addr| addr.ip().is_loopback() && addr.port() == 80));
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub async fn lookup_host<A: ToSocketAddrs>(
    host: A,
) -> io::Result<impl Iterator<Item = SocketAddr> + Send + 'static> {
    let shared = Arc::clone(&context::current().shared);
    resolve(host.target()?, &shared).await
}

/// The addresses that are meant; at least one, unless none were given.
pub(super) async fn resolve(target: Target, shared: &Shared) -> io::Result<Addrs> {
    let (host, port) = match target {
        Target::Addrs(addrs) => return Ok(addrs),
        Target::Name { host, port } => (host, port),
    };
    let name = format!("resolve {host}").into_boxed_str();
    let asked = host.clone();
    let ask = move || (&*asked, port).to_socket_addrs();
    let job = blocking::submit(shared, Lane::LookUps, Some(name), Location::caller(), ask);
    let pool = Arc::clone(&shared.pool);
    let mut look_up = LookUp { job, pool };
    let answer = match (&mut look_up.job).await {
        Ok(answer) => answer,
        Err(_cancelled) if shared.inbox.is_closed() => Err(runtime_ended()),
        Err(error) => Err(error.into()),
    };
    // Characters that cannot be seen are shown all the same.
    let host = host.escape_debug();
    match answer {
        Ok(addrs) if addrs.len() > 0 => Ok(Addrs::Several(addrs)),
        Ok(_) => Err(attempted("resolve", host, io::ErrorKind::NotFound.into())),
        Err(error) => Err(attempted("resolve", host, error)),
    }
}

/// A look-up that is given up when this is dropped before the answer is there.
struct LookUp<T> {
    /// What it finds.
    job: JoinHandle<T>,
    /// The pool that has the job.
    pool: Arc<Pool>,
}

impl<T> Drop for LookUp<T> {
    fn drop(&mut self) {
        // The thread of one that was answered is about to take the next. Without its place, that would
        // begin on another thread.
        if !self.job.is_finished() {
            self.pool.give_up(self.job.id().0);
        }
    }
}
