//! Races between several addresses (RFC 8305, "Happy Eyeballs"): the cost of an unresponsive address, the winner, and
//! the fate of the other attempts. Linux only, where a loopback address can be made unresponsive.

use crate::net_connect::refusing_at;
use crate::support::{Files, block_on, child, child_with, open_files, park_on, settle, watchdog};
use crate::task_probes::{counted, poll_with};
use futures::future::join_all;
use glassfrog::net::TcpStream;
use glassfrog::task::{spawn_blocking, yield_now};
use glassfrog::time::{Elapsed, advance, now, sleep, timeout};
use glassfrog::{Runtime, spawn};
use socket2::{Domain, SockRef, Socket, Type};
use std::cell::Cell;
use std::convert::Infallible;
use std::error::Error;
use std::fs::File;
use std::io::{self, Write};
use std::iter;
use std::net::{self, IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::mpsc::{Sender, channel};
use std::task::Waker;
use std::thread;
use std::time::Duration;

/// The delay before the next attempt begins, as documented.
const DELAY: Duration = Duration::from_millis(250);

/// A pending connect.
type Connect = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;

/// The loopback address of both families.
const LOCALHOSTS: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::LOCALHOST),
    IpAddr::V6(Ipv6Addr::LOCALHOST),
];

/// An unresponsive address, as if its packets were lost: nobody accepts from its listener, and the backlog is full.
/// The kernel then drops connection requests, and the client repeats them after a second.
pub(crate) struct BlackHole {
    /// The address.
    pub(crate) addr: SocketAddr,
    /// The listener.
    listener: Option<net::TcpListener>,
    /// Keeps the address from other processes after the listener is closed.
    _place: Socket,
}

impl BlackHole {
    /// Creates an unresponsive address.
    pub(crate) fn new() -> BlackHole {
        BlackHole::at(Ipv4Addr::LOCALHOST.into())
    }

    /// Creates one on a given interface.
    pub(crate) fn at(ip: IpAddr) -> BlackHole {
        let bound = |port| {
            let addr = SocketAddr::from((ip, port));
            let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None).unwrap();
            socket.set_reuse_port(true).unwrap();
            socket.bind(&addr.into()).unwrap();
            socket
        };
        let place = bound(0);
        let addr = place.local_addr().unwrap().as_socket().unwrap();
        let listener = bound(addr.port());
        // Linux queues one connection more than the backlog.
        listener.listen(0).unwrap();
        let filler = net::TcpStream::connect(addr).unwrap();
        // With this option `close` waits until the end is acknowledged (`socket(7)`), which happens only for a
        // connection in the backlog.
        let patience = Duration::from_secs(60);
        SockRef::from(&filler).set_linger(Some(patience)).unwrap();
        drop(filler);
        BlackHole {
            addr,
            listener: Some(listener.into()),
            _place: place,
        }
    }

    /// Accepts the next request.
    fn answer(&self) {
        self.listener.as_ref().unwrap().accept().unwrap();
    }

    /// Refuses the next request.
    fn refuse(&mut self) {
        self.listener = None;
    }
}

/// Returns a listener and its address.
fn listening() -> (net::TcpListener, SocketAddr) {
    let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

/// Returns whether a listener has received a request.
fn is_asked(listener: &net::TcpListener) -> bool {
    listener.set_nonblocking(true).unwrap();
    listener.accept().is_ok()
}

/// Builds a runtime with a virtual clock.
fn virtual_clock() -> Runtime {
    Runtime::builder().virtual_clock().build().unwrap()
}

/// Checks a law on a runtime whose time stands still while any task can run.
fn in_virtual_time(law: impl AsyncFnOnce(&Runtime)) {
    let _watchdog = watchdog();
    let runtime = virtual_clock();
    runtime.block_on(law(&runtime));
}

/// Returns the number of sockets of a runtime, from its `Debug` output.
fn sockets(runtime: &Runtime) -> usize {
    let shown = format!("{runtime:?}");
    let count = shown.split("sockets: ").nth(1).unwrap();
    let end = count.find(|c: char| !c.is_ascii_digit()).unwrap();
    count[..end].parse().unwrap()
}

/// Holds the virtual clock until the returned guard is dropped. Only `advance` moves it meanwhile.
fn hold_the_clock() -> Sender<Infallible> {
    let (holds, held) = channel();
    drop(spawn_blocking(move || held.recv()));
    holds
}

/// Returns whether this machine has both address families. The law holds only if the system itself has them.
fn has_both_families() -> bool {
    let has = net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    if !has {
        println!("skipped: no IPv6 here");
    }
    has
}

/// Returns the operating system's error code at the source of an error.
fn source_code(error: &io::Error) -> Option<i32> {
    let source: &io::Error = error.source()?.downcast_ref()?;
    source.raw_os_error()
}

#[test]
fn an_unresponsive_address_costs_250_ms() {
    in_virtual_time(async |_| {
        let (_listener, answering) = listening();
        for count in 0..=4 {
            let holes: Vec<_> = (0..count).map(|_| BlackHole::new()).collect();
            let mut addrs: Vec<_> = holes.iter().map(|hole| hole.addr).collect();
            addrs.push(answering);
            let start = now();
            let stream = TcpStream::connect(&addrs[..]).await.unwrap();
            assert_eq!(now() - start, count * DELAY);
            assert_eq!(stream.peer_addr().unwrap(), answering);
        }
    });
}

#[test]
fn a_refusing_address_costs_no_time_at_any_position() {
    in_virtual_time(async |_| {
        let hole = BlackHole::new();
        let (_socket, refusing) = refusing_at(Ipv4Addr::LOCALHOST.into());
        let (_listener, answering) = listening();
        for length in 0..=5 {
            for is_hole in 0..1_u32 << length {
                let mut addrs: Vec<_> = (0..length)
                    .map(|at| match is_hole >> at & 1 {
                        0 => refusing,
                        _ => hole.addr,
                    })
                    .collect();
                addrs.push(answering);
                let start = now();
                let stream = TcpStream::connect(&addrs[..]).await.unwrap();
                assert_eq!(now() - start, is_hole.count_ones() * DELAY, "{is_hole:b}");
                assert_eq!(stream.peer_addr().unwrap(), answering);
            }
        }
    });
}

#[test]
fn no_attempt_begins_before_its_turn() {
    in_virtual_time(async |runtime| {
        let [hole, later] = [(); 2].map(|()| BlackHole::new());
        let (next, next_addr) = listening();
        let (_socket, refusing) = refusing_at(Ipv4Addr::LOCALHOST.into());
        let (first, first_addr) = listening();
        for addrs in [
            &[first_addr, next_addr, later.addr][..],
            &[refusing, first_addr, next_addr, later.addr],
            &[hole.addr, first_addr, next_addr, later.addr],
        ] {
            let stream = TcpStream::connect(addrs).await.unwrap();
            assert_eq!(stream.peer_addr().unwrap(), first_addr);
            assert!(is_asked(&first));
            assert!(!is_asked(&next));
        }
        let connect = spawn(TcpStream::connect([hole.addr, later.addr, next_addr]));
        yield_now().await;
        assert_eq!(sockets(runtime), 1);
        advance(DELAY - Duration::from_nanos(1)).await;
        assert_eq!(sockets(runtime), 1);
        advance(Duration::from_nanos(1)).await;
        assert_eq!(sockets(runtime), 2);
        assert!(!is_asked(&next));
        advance(DELAY).await;
        connect.await.unwrap().unwrap();
        assert!(is_asked(&next));
    });
}

#[test]
fn waiting_does_not_poll() {
    in_virtual_time(async |_| {
        let holes = [(); 3].map(|()| BlackHole::new());
        let (_listener, answering) = listening();
        let [one, two, three] = holes.each_ref().map(|hole| hole.addr);
        let polls = Rc::default();
        let connect = TcpStream::connect([one, two, three, answering]);
        counted(&polls, connect).await.unwrap();
        // The start, three deadlines, and the connection.
        assert!(polls.get() <= 5, "{} polls", polls.get());
    });
}

#[test]
fn spurious_polls_begin_no_attempt() {
    in_virtual_time(async |runtime| {
        let [hole, later] = [(); 2].map(|()| BlackHole::new());
        let mut connect = Box::pin(TcpStream::connect([hole.addr, later.addr]));
        for _ in 0..100 {
            assert!(poll_with(&mut connect, Waker::noop()).is_pending());
            yield_now().await;
        }
        assert_eq!(sockets(runtime), 1);
    });
}

#[test]
#[cfg_attr(
    not(feature = "slow"),
    ignore = "the kernel takes a second to ask again"
)]
fn the_next_attempt_begins_250_ms_after_the_previous_one() {
    in_virtual_time(async |_| {
        let _held = hold_the_clock();
        let [mut early, second] = [(); 2].map(|()| BlackHole::new());
        let (_listener, answering) = listening();
        let start = now();
        let polls = Rc::default();
        let connect = TcpStream::connect([early.addr, second.addr, answering]);
        let connect = spawn(counted(&polls, connect));
        yield_now().await;
        advance(Duration::from_millis(100)).await;
        early.refuse();
        // Until it learns of the failure.
        while polls.get() < 2 {
            spawn_blocking(thread::yield_now).await.unwrap();
        }
        advance(DELAY - Duration::from_nanos(1)).await;
        assert!(!connect.is_finished());
        advance(Duration::from_nanos(1)).await;
        let stream = connect.await.unwrap().unwrap();
        assert_eq!(stream.peer_addr().unwrap(), answering);
        assert_eq!(now() - start, Duration::from_millis(100) + DELAY);
    });
}

#[test]
#[cfg_attr(
    not(feature = "slow"),
    ignore = "the kernel takes a second to ask again"
)]
fn an_overtaken_attempt_that_fails_starts_the_next_one_at_once() {
    in_virtual_time(async |runtime| {
        let _held = hold_the_clock();
        let [mut overtaken, second] = [(); 2].map(|()| BlackHole::new());
        let (_listener, answering) = listening();
        let start = now();
        let connect = spawn(TcpStream::connect([overtaken.addr, second.addr, answering]));
        yield_now().await;
        advance(DELAY).await;
        assert_eq!(sockets(runtime), 2);
        overtaken.refuse();
        let stream = connect.await.unwrap().unwrap();
        assert_eq!(stream.peer_addr().unwrap(), answering);
        assert_eq!(now() - start, DELAY);
    });
}

#[test]
fn an_overtaken_attempt_may_still_win() {
    in_virtual_time(async |runtime| {
        let _held = hold_the_clock();
        let [overtaken, second, third] = [(); 3].map(|()| BlackHole::new());
        let holes = [&overtaken, &second, &third];
        let connect = spawn(TcpStream::connect(holes.map(|hole| hole.addr)));
        yield_now().await;
        advance(DELAY).await;
        assert_eq!(sockets(runtime), 2);
        overtaken.answer();
        let stream = connect.await.unwrap().unwrap();
        assert_eq!(stream.peer_addr().unwrap(), overtaken.addr);
        assert_eq!(sockets(runtime), 1);
        // It works like any other connection.
        let listener = overtaken.listener.as_ref().unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        peer.write_all(b"hello").unwrap();
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 5);
    });
}

#[test]
#[cfg_attr(
    not(feature = "slow"),
    ignore = "the kernel takes a second to ask again"
)]
fn a_race_continues_after_its_last_address_fails() {
    in_virtual_time(async |_| {
        let _held = hold_the_clock();
        let hole = BlackHole::new();
        let (_socket, refusing) = refusing_at(Ipv4Addr::LOCALHOST.into());
        let connect = spawn(TcpStream::connect([hole.addr, refusing]));
        yield_now().await;
        advance(DELAY).await;
        advance(DELAY * 10).await;
        hole.answer();
        let stream = connect.await.unwrap().unwrap();
        assert_eq!(stream.peer_addr().unwrap(), hole.addr);
    });
}

#[test]
#[cfg_attr(
    not(feature = "slow"),
    ignore = "the kernel takes a second to ask again"
)]
fn an_attempt_without_a_descriptor_fails_and_the_race_continues() {
    child_with(Files::AtMost(64), || {
        in_virtual_time(async |_| {
            let _held = hold_the_clock();
            let hole = BlackHole::new();
            let (listener, answering) = listening();
            let connect = spawn(TcpStream::connect([hole.addr, answering, answering]));
            yield_now().await;
            let mut files: Vec<_> = iter::from_fn(|| File::open("/dev/null").ok()).collect();
            advance(DELAY).await;
            settle().await;
            assert!(!is_asked(&listener));
            // The failed attempts leave nothing behind.
            let error = TcpStream::connect([answering, answering])
                .await
                .unwrap_err();
            assert_eq!(tried(&error), [answering; 2]);
            files.pop();
            TcpStream::connect([answering]).await.unwrap();
            drop(files);
            hole.answer();
            let stream = connect.await.unwrap().unwrap();
            assert_eq!(stream.peer_addr().unwrap(), hole.addr);
        });
    })
    .finish();
}

#[test]
fn the_winner_closes_the_other_attempts() {
    child(|| {
        in_virtual_time(async |runtime| {
            let holes = [(); 3].map(|()| BlackHole::new());
            let (_listener, answering) = listening();
            let (_socket, refusing) = refusing_at(Ipv4Addr::LOCALHOST.into());
            let [one, two, three] = holes.each_ref().map(|hole| hole.addr);
            let before = open_files();
            let addrs = [one, refusing, two, refusing, three, answering];
            let mut connect = Box::pin(TcpStream::connect(addrs));
            for running in 1..=3 {
                // The attempts in between are refused and closed.
                for _ in 0..10 {
                    assert!(poll_with(&mut connect, Waker::noop()).is_pending());
                    settle().await;
                }
                assert_eq!([sockets(runtime), open_files() - before], [running; 2]);
                advance(DELAY).await;
            }
            let stream = (&mut connect).await.unwrap();
            // Before the future is dropped.
            assert_eq!([sockets(runtime), open_files() - before], [1; 2]);
            assert_eq!(stream.peer_addr().unwrap(), answering);
            drop(stream);
            assert_eq!([sockets(runtime), open_files() - before], [0; 2]);
            drop(connect);
        });
    })
    .finish();
}

#[test]
fn dropping_a_connect_closes_all_its_attempts() {
    child(|| {
        in_virtual_time(async |runtime| {
            let holes = [(); 3].map(|()| BlackHole::new());
            let before = open_files();
            let connect = spawn(TcpStream::connect(holes.each_ref().map(|hole| hole.addr)));
            yield_now().await;
            advance(DELAY * 2).await;
            assert_eq!([sockets(runtime), open_files() - before], [3; 2]);
            connect.abort();
            assert!(connect.await.unwrap_err().is_cancelled());
            assert_eq!([sockets(runtime), open_files() - before], [0; 2]);
        });
    })
    .finish();
}

#[test]
fn a_deadline_ends_the_race_exactly_and_closes_all_attempts() {
    in_virtual_time(async |runtime| {
        let holes = [(); 4].map(|()| BlackHole::new());
        let addrs = holes.each_ref().map(|hole| hole.addr);
        let nanosecond = Duration::from_nanos(1);
        for (patience, begun) in [
            (Duration::ZERO, 1),
            (DELAY, 1),
            (DELAY + 2 * nanosecond, 2),
            (3 * DELAY, 3),
            (Duration::from_secs(60), 4),
        ] {
            let start = now();
            let seen = Cell::new(0);
            let look = async {
                // Just before the deadline.
                sleep(patience.saturating_sub(nanosecond)).await;
                seen.set(sockets(runtime));
            };
            let connect = timeout(patience, TcpStream::connect(addrs));
            let ((), result) = futures::join!(look, connect);
            assert!(matches!(result, Err(Elapsed { .. })));
            assert_eq!(now() - start, patience);
            assert_eq!(seen.get(), begun);
            assert_eq!(sockets(runtime), 0);
        }
    });
}

#[test]
fn the_error_of_a_lost_race_lists_each_failure_in_order() {
    in_virtual_time(async |_| {
        let (_one, refusing_one) = refusing_at(Ipv4Addr::LOCALHOST.into());
        let (_two, refusing_two) = refusing_at(Ipv4Addr::LOCALHOST.into());
        // Both ends share one kernel, which reports the reset at once.
        let group = SocketAddr::from((Ipv4Addr::new(224, 0, 0, 1), 80));
        let lone = async |addr: SocketAddr| TcpStream::connect(addr).await.unwrap_err();
        assert_ne!(lone(group).await.kind(), io::ErrorKind::ConnectionRefused);
        for addrs in [
            &[refusing_one, refusing_two][..],
            &[refusing_two, refusing_one],
            &[refusing_one, group],
            &[group, refusing_one],
            &[group, refusing_one, refusing_two, group],
            &[refusing_one, group, group, refusing_two],
        ] {
            let start = now();
            let error = TcpStream::connect(addrs).await.unwrap_err();
            assert_eq!(now(), start);
            let reasons = join_all(addrs.iter().map(async |addr| lone(*addr).await)).await;
            let texts: Vec<_> = reasons.iter().map(io::Error::to_string).collect();
            assert_eq!(error.to_string(), texts.join("; "));
            let last = reasons.last().unwrap();
            assert_eq!(error.kind(), last.kind());
            assert!(source_code(last).is_some());
            assert_eq!(source_code(&error), source_code(last));
        }
    });
}

#[test]
fn the_last_attempt_to_fail_need_not_be_the_last_to_begin() {
    in_virtual_time(async |_| {
        let _held = hold_the_clock();
        let mut hole = BlackHole::new();
        let group = SocketAddr::from((Ipv4Addr::new(224, 0, 0, 1), 80));
        let connect = spawn(TcpStream::connect([hole.addr, group]));
        yield_now().await;
        advance(DELAY).await;
        hole.refuse();
        let error = connect.await.unwrap().unwrap_err();
        let refused = TcpStream::connect(hole.addr).await.unwrap_err();
        let unreachable = TcpStream::connect(group).await.unwrap_err();
        assert_eq!(error.to_string(), format!("{unreachable}; {refused}"));
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(source_code(&error), source_code(&refused));
    });
}

#[test]
fn a_hundred_refusing_addresses_take_no_time() {
    in_virtual_time(async |_| {
        let sockets: Vec<_> = (0..100)
            .map(|_| refusing_at(Ipv4Addr::LOCALHOST.into()))
            .collect();
        let addrs: Vec<_> = sockets.iter().map(|(_, addr)| *addr).collect();
        let start = now();
        let error = TcpStream::connect(&addrs[..]).await.unwrap_err();
        assert_eq!(now(), start);
        assert_eq!(tried(&error), addrs);
    });
}

/// Returns the addresses in the error of a lost race.
fn tried(error: &io::Error) -> Vec<SocketAddr> {
    let text = error.to_string();
    let addr = |reason: &str| {
        let rest = reason.strip_prefix("connect to ").unwrap();
        rest.split(": ").next().unwrap().parse().unwrap()
    };
    text.split("; ").map(addr).collect()
}

#[test]
fn address_families_alternate_and_keep_their_internal_order() {
    const MOST: usize = 7;
    if !has_both_families() {
        return;
    }
    block_on(async {
        let families = LOCALHOSTS.map(|ip| (0..MOST).map(|_| refusing_at(ip)).collect::<Vec<_>>());
        for length in 2..=MOST {
            for pattern in 0..1_u32 << length {
                let mut counts = [0, 0];
                // Each address with its index within its family.
                let given: Vec<(usize, SocketAddr)> = (0..length)
                    .map(|at| {
                        let family = (pattern >> at & 1) as usize;
                        let number = counts[family];
                        counts[family] += 1;
                        (number, families[family][number].1)
                    })
                    .collect();
                let first_is_v6 = given[0].1.is_ipv6();
                let mut turns = given.clone();
                turns.sort_by_key(|(number, addr)| (*number, addr.is_ipv6() != first_is_v6));
                let addrs: Vec<_> = given.into_iter().map(|(_, addr)| addr).collect();
                let turns: Vec<_> = turns.into_iter().map(|(_, addr)| addr).collect();
                let error = TcpStream::connect(&addrs[..]).await.unwrap_err();
                assert_eq!(tried(&error), turns);
            }
        }
    });
}

#[test]
fn an_unresponsive_address_family_costs_250_ms() {
    if !has_both_families() {
        return;
    }
    in_virtual_time(async |runtime| {
        for (broken, working) in [(0, 1), (1, 0)] {
            let [broken, working] = [LOCALHOSTS[broken], LOCALHOSTS[working]];
            let holes = [(); 3].map(|()| BlackHole::at(broken));
            let [one, two, three] = holes.each_ref().map(|hole| hole.addr);
            let listener = net::TcpListener::bind((working, 0)).unwrap();
            let answering = listener.local_addr().unwrap();
            for (addrs, cost) in [
                ([one, two, three, answering], DELAY),
                ([one, two, answering, three], DELAY),
                ([answering, one, two, three], Duration::ZERO),
            ] {
                let start = now();
                let stream = TcpStream::connect(addrs).await.unwrap();
                assert_eq!(stream.peer_addr().unwrap(), answering);
                assert_eq!(now() - start, cost);
                assert_eq!(sockets(runtime), 1);
            }
        }
    });
}

#[test]
fn a_single_address_starts_no_race() {
    in_virtual_time(async |_| {
        let (_socket, refusing) = refusing_at(Ipv4Addr::LOCALHOST.into());
        let (_listener, answering) = listening();
        let hole = BlackHole::new();
        let start = now();
        for _ in 0..10 {
            let stream = TcpStream::connect([answering]).await.unwrap();
            assert_eq!(stream.peer_addr().unwrap(), answering);
            let error = TcpStream::connect([refusing]).await.unwrap_err();
            let source: &io::Error = error.source().unwrap().downcast_ref().unwrap();
            assert_eq!(
                error.to_string(),
                format!("connect to {refusing}: {source}")
            );
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
            assert_eq!(source.kind(), io::ErrorKind::ConnectionRefused);
        }
        assert_eq!(now(), start);
        // The race sets no deadline: only the caller's passes.
        let hour = Duration::from_secs(60 * 60);
        let connect = TcpStream::connect(hole.addr);
        let polls = Rc::default();
        timeout(hour, counted(&polls, connect)).await.unwrap_err();
        assert_eq!(now() - start, hour);
        assert!(polls.get() <= 2);
    });
}

#[test]
fn concurrent_races_do_not_delay_each_other() {
    in_virtual_time(async |runtime| {
        let holes = [(); 2].map(|()| BlackHole::new());
        let [one, two] = holes.each_ref().map(|hole| hole.addr);
        let (_listener, answering) = listening();
        let start = now();
        let races: Vec<_> = (0..50)
            .map(|_| {
                spawn(async move {
                    let stream = TcpStream::connect([one, two, answering]).await.unwrap();
                    (stream.peer_addr().unwrap(), now())
                })
            })
            .collect();
        for race in races {
            assert_eq!(race.await.unwrap(), (answering, start + 2 * DELAY));
        }
        assert_eq!(sockets(runtime), 0);
    });
}

#[test]
fn a_race_that_moves_to_another_runtime_continues_there() {
    let _watchdog = watchdog();
    for executor in [park_on, |connect| glassfrog::block_on(connect)] {
        let hole = BlackHole::new();
        let (_listener, answering) = listening();
        let runtime = Runtime::new().unwrap();
        let mut connect: Connect = Box::pin(TcpStream::connect([hole.addr, hole.addr, answering]));
        runtime.block_on(async {
            assert!(poll_with(&mut connect, Waker::noop()).is_pending());
        });
        let (done, is_done) = futures::channel::oneshot::channel();
        let thread = thread::spawn(move || {
            let connected = executor(connect);
            done.send(()).unwrap();
            connected
        });
        runtime.block_on(is_done).unwrap();
        let stream = thread.join().unwrap().unwrap();
        assert_eq!(stream.peer_addr().unwrap(), answering);
        // It still belongs to the runtime that started it.
        assert_eq!(sockets(&runtime), 1);
    }
}

#[test]
fn a_race_fails_when_its_runtime_ends() {
    child(|| {
        let _watchdog = watchdog();
        let holes = [(); 3].map(|()| BlackHole::new());
        let [one, two, three] = holes.each_ref().map(|hole| hole.addr);
        let (_listener, answering) = listening();
        let before = open_files();
        for addrs in [
            &[one][..],
            &[one, two],
            &[one, two, three],
            &[one, answering],
            &[one, two, answering],
        ] {
            for begun in 0..addrs.len() as u32 {
                let ours = addrs.to_vec();
                let mut connect: Connect =
                    Box::pin(async move { TcpStream::connect(&ours[..]).await });
                let runtime = virtual_clock();
                runtime.block_on(async {
                    assert!(poll_with(&mut connect, Waker::noop()).is_pending());
                    advance(begun * DELAY).await;
                });
                let waits = thread::spawn(|| park_on(connect));
                drop(runtime);
                let error = waits.join().unwrap().unwrap_err();
                assert!(error.to_string().contains("has ended"), "{error}");
                // The runtime ends concurrently with the polling thread, so the attempts fail in any order.
                let sorted = |mut addrs: Vec<SocketAddr>| {
                    addrs.sort();
                    addrs
                };
                assert_eq!(sorted(tried(&error)), sorted(addrs.to_vec()));
                assert_eq!(open_files(), before);
            }
        }
    })
    .finish();
}

#[test]
fn a_race_whose_runtime_has_ended_fails_even_without_budget() {
    let _watchdog = watchdog();
    let [one, two] = [(); 2].map(|()| BlackHole::new());
    let mut connect: Connect = Box::pin(TcpStream::connect([one.addr, two.addr]));
    Runtime::new().unwrap().block_on(async {
        assert!(poll_with(&mut connect, Waker::noop()).is_pending());
    });
    let error = block_on(async {
        // As many operations as the budget of a poll allows.
        let tasks = [(); 128].map(|()| spawn(async {}));
        settle().await;
        for task in tasks {
            task.await.unwrap();
        }
        connect.await.unwrap_err()
    });
    assert!(error.to_string().contains("has ended"), "{error}");
}
