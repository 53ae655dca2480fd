//! Resolves the names of hosts, each once per run, for all fetches that need it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, SocketAddrV6};
use std::rc::Rc;

use async_lock::OnceCell;
use glassfrog::net::lookup_host;

use crate::failure::is_out_of_descriptors;
use crate::url::{Host, Url};

/// The number of names to remember. Redirects can lead to any number of names.
const MAX_NAMES: usize = 1000;

/// The names resolved so far.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// The answer for each name. The first fetch that needs a name resolves it; the others wait for the answer.
    asked: RefCell<HashMap<(String, u16), Cell>>,
}

/// The cell for the answer to a name.
type Cell = Rc<OnceCell<Answer>>;

/// The addresses of a name, or the kind and the text of the error.
type Answer = Result<Vec<SocketAddr>, (io::ErrorKind, String)>;

impl Names {
    /// Returns the addresses to connect to for a URL.
    pub(crate) async fn resolve(&self, url: &Url) -> io::Result<Vec<SocketAddr>> {
        let name = match url.host() {
            Host::Ip(ip) => return Ok(vec![SocketAddr::new(*ip, url.port())]),
            Host::Zoned(ip, zone) => match zone.parse() {
                Ok(zone) => return Ok(vec![SocketAddrV6::new(*ip, url.port(), 0, zone).into()]),
                Err(_) => format!("{ip}%{zone}"),
            },
            Host::Name(name) => name.to_ascii_lowercase(),
        };
        let cell = self.cell(name.clone(), url.port());
        // If the fetch that resolves the name times out, the next one resolves it.
        let answer = cell.get_or_try_init(|| ask(&name, url.port())).await?;
        answer
            .clone()
            .map_err(|(kind, reason)| io::Error::new(kind, reason))
    }

    /// Returns the cell for the answer to a name.
    fn cell(&self, name: String, port: u16) -> Cell {
        let mut asked = self.asked.borrow_mut();
        if asked.len() >= MAX_NAMES {
            asked.clear();
        }
        Rc::clone(asked.entry((name, port)).or_default())
    }
}

/// Resolves a name through the operating system. An error is part of the answer, except for a lack of descriptors,
/// which says nothing about the name. The text of the error already names the operation.
async fn ask(name: &str, port: u16) -> io::Result<Answer> {
    match lookup_host((name, port)).await {
        Ok(addrs) => Ok(Ok(addrs.collect())),
        Err(error) if is_out_of_descriptors(&error) => Err(error),
        Err(error) => Ok(Err((error.kind(), error.to_string()))),
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    #[test]
    fn a_name_is_resolved_once() {
        glassfrog::block_on(async {
            let names = Names::default();
            for (first, again) in [
                ("http://localhost:1/a", "http://LocalHost:1/b"),
                ("http://nosuch.invalid/", "http://nosuch.invalid/"),
            ] {
                let [first, again] = [first, again].map(|url| Url::parse(url).unwrap());
                let asked = names
                    .resolve(&first)
                    .await
                    .map_err(|error| error.to_string());
                // The first poll returns the answer only if it is known already.
                let again = pin!(names.resolve(&again));
                let known = again.poll(&mut Context::from_waker(Waker::noop()));
                let known = known.map_err(|error| error.to_string());
                assert_eq!(known, std::task::Poll::Ready(asked));
            }
        });
    }
}
