//! [`lookup_host`]: resolves host names on threads of the pool.
//!
//! `connect` and `bind` resolve their targets here, too. Nothing is cached.

use super::ToSocketAddrs;
use super::addrs::{Addrs, Target};
use super::error::with_context;
#[cfg(feature = "sim")]
use super::error::with_hint;
use crate::context;
use crate::event_loop::Shared;
use crate::pool::{Lane, Pool};
use crate::reactor::refusal::runtime_ended;
use crate::task::{JoinHandle, blocking};
#[cfg(feature = "sim")]
use crate::wire::Host;
use std::io;
#[cfg(feature = "sim")]
use std::net::Ipv4Addr;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::panic::Location;
use std::sync::Arc;

/// Resolves a host name to its addresses, in the order in which the operating system prefers them.
///
/// # Errors
///
/// Returns the error of the resolver, with the name in its text. The kind is `InvalidInput` if `host` is
/// neither an address nor a host name.
///
/// # Panics
///
/// Panics outside a runtime.
///
/// # Cancel safety
///
/// Dropping the future abandons the lookup; see [`ToSocketAddrs`](ToSocketAddrs#name-resolution).
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
    let shared = context::shared();
    resolve(host.target()?, &shared).await
}

/// Resolves a target to its addresses. A host name has at least one.
pub(super) async fn resolve(target: Target, shared: &Shared) -> io::Result<Addrs> {
    let (host, port) = match target {
        Target::Addrs(addrs) => return Ok(addrs),
        Target::Name { host, port } => (host, port),
    };
    #[cfg(feature = "sim")]
    if let Some(of) = &shared.host {
        return resolve_on_host(of, &host, port);
    }
    let name = format!("resolve {host}").into_boxed_str();
    let host_of_job = host.clone();
    let work = move || (&*host_of_job, port).to_socket_addrs();
    let job = blocking::submit(shared, Lane::Lookups, Some(name), Location::caller(), work);
    let pool = Arc::clone(&shared.pool);
    let mut lookup = Lookup { job, pool };
    let answer = match (&mut lookup.job).await {
        Ok(answer) => answer,
        Err(_cancelled) if shared.inbox.is_closed() => Err(runtime_ended()),
        Err(error) => Err(error.into()),
    };
    // The text of an error escapes invisible characters.
    let host = host.escape_debug();
    match answer {
        Ok(addrs) if addrs.len() > 0 => Ok(Addrs::Several(addrs)),
        Ok(_) => Err(with_context(
            "resolve",
            host,
            io::ErrorKind::NotFound.into(),
        )),
        Err(error) => Err(with_context("resolve", host, error)),
    }
}

/// Resolves a name on a simulated host: each host of the simulation has an address, and no other name has one.
#[cfg(feature = "sim")]
fn resolve_on_host(of: &Host, name: &str, port: u16) -> io::Result<Addrs> {
    let addr = match name.eq_ignore_ascii_case("localhost") {
        true => Some(Ipv4Addr::LOCALHOST.into()),
        false => of.lookup(name),
    };
    match addr {
        Some(addr) => Ok(Addrs::One(Some(SocketAddr::new(addr, port)))),
        None => Err(with_hint(
            "resolve",
            name.escape_debug(),
            io::ErrorKind::NotFound.into(),
            "no host of the simulation has this name",
        )),
    }
}

/// A running or queued lookup. Dropping it before the answer abandons the lookup.
struct Lookup<T> {
    /// The job that asks the operating system.
    job: JoinHandle<T>,
    /// The pool that runs the job.
    pool: Arc<Pool>,
}

impl<T> Drop for Lookup<T> {
    fn drop(&mut self) {
        // A finished job keeps its place within the limit: its thread is about to take the next lookup,
        // which would otherwise start on another thread.
        if !self.job.is_finished() {
            self.pool.give_up(self.job.id().0);
        }
    }
}
