//! The places that a dump shows: where `block_on` was called, where a sleep was made, and what a pause waits for.

use crate::support::{settle, watchdog};
use futures::future::pending;
use futures::{FutureExt as _, poll};
use glassfrog::time::{interval, interval_at, now, sleep, sleep_until, timeout, timeout_at};
use glassfrog::{Dump, Runtime, Workers, task};
use std::pin::pin;
use std::time::Duration;

/// Longer than any test.
const LONG: Duration = Duration::from_secs(3600);

/// Returns the row of `main`.
fn main_row(dump: &Dump) -> String {
    let text = dump.to_string();
    let row = text.lines().find(|line| line.starts_with("main "));
    String::from(row.unwrap_or_else(|| panic!("no row of main:\n{text}")))
}

/// Returns the place of a line of this file, as a dump shows it.
fn place(line: u32) -> String {
    format!("{}:{line}", file!())
}

#[test]
fn the_root_shows_where_block_on_was_called() {
    let _watchdog = watchdog();
    let row = glassfrog::block_on(async { main_row(&task::dump()) });
    assert!(row.contains(&place(line!() - 1)), "{row}");

    let runtime = Runtime::new().unwrap();
    let first = runtime.block_on(async { main_row(&task::dump()) });
    let second = runtime.block_on(async { main_row(&task::dump()) });
    let last = line!() - 1;
    assert!(first.contains(&place(last - 1)), "{first}");
    assert!(second.contains(&place(last)), "{second}");
}

#[test]
fn the_root_of_a_worker_has_no_place() {
    let _watchdog = watchdog();
    let workers = Workers::new(1).unwrap();
    let dump = workers.handles()[0].dump().to_string();
    assert!(!dump.contains(".rs:"), "{dump}");
}

#[test]
fn a_wait_for_a_timer_shows_where_it_was_made() {
    let _watchdog = watchdog();
    Runtime::new().unwrap().block_on(async {
        let at = now() + LONG;
        let first = line!() + 2;
        let mut timers = [
            sleep(LONG).boxed_local(),
            sleep_until(at).boxed_local(),
            timeout(LONG, pending::<()>()).map(drop).boxed_local(),
            timeout_at(at, pending::<()>()).map(drop).boxed_local(),
        ];
        let mut later = interval_at(at, LONG);
        let mut ticks = interval(LONG);
        ticks.tick().await;
        for timer in &mut timers {
            assert!(poll!(timer).is_pending());
        }
        let (later, ticks) = (pin!(later.tick()), pin!(ticks.tick()));
        assert!(poll!(later).is_pending() && poll!(ticks).is_pending());
        let dump = task::dump().to_string();
        for line in [first, first + 1, first + 2, first + 3, first + 5, first + 6] {
            let made = format!(" to go ({})", place(line));
            assert!(dump.contains(&made), "{made}\n{dump}");
        }
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_pause_of_a_unix_socket_is_named_by_what_it_waits_for() {
    use glassfrog::net::{UnixDatagram, UnixStream};
    use socket2::{Domain, SockAddr, Socket, Type};

    let _watchdog = watchdog();
    let directory = std::env::temp_dir();
    let path = |kind: &str| directory.join(format!("glassfrog-{kind}-{}", std::process::id()));
    let (listening, receiving) = (path("backlog"), path("queue"));
    let bound = |path, kind| {
        let socket = Socket::new(Domain::UNIX, kind, None).unwrap();
        socket.bind(&SockAddr::unix(path).unwrap()).unwrap();
        socket
    };
    let listener = bound(&listening, Type::STREAM);
    listener.listen(1).unwrap();
    let _receiver = bound(&receiving, Type::DGRAM);
    Runtime::new().unwrap().block_on(async {
        let to = listening.clone();
        let _connecting = glassfrog::spawn(async move {
            let mut streams = Vec::new();
            loop {
                streams.push(UnixStream::connect(&to).await.unwrap());
            }
        });
        let to = receiving.clone();
        let _sending = glassfrog::spawn(async move {
            let socket = UnixDatagram::unbound().unwrap();
            loop {
                socket.send_to(b"datagram", &to).await.unwrap();
            }
        });
        loop {
            settle().await;
            let dump = task::dump().to_string();
            let backlog = format!("\"room in the backlog of unix {}\"", listening.display());
            let queue = format!("\"room in the queue of unix {}\"", receiving.display());
            if dump.contains(&backlog) && dump.contains(&queue) {
                break;
            }
        }
    });
    std::fs::remove_file(listening).unwrap();
    std::fs::remove_file(receiving).unwrap();
}
