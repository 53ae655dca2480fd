//! UDP sockets.

use crate::support::{block_on, few_or_many, park_on, settle, watchdog};
use futures::FutureExt;
use futures::channel::oneshot;
use futures::future::join_all;
use glassfrog::Runtime;
use glassfrog::net::UdpSocket;
use glassfrog::task::{self, yield_now};
use socket2::SockRef;
use std::cell::Cell;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::{self, SocketAddr};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

/// How many operations a poll may finish.
const BUDGET: usize = 128;

/// A socket on the loopback interface.
async fn bound() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").await.unwrap()
}

/// Two sockets that are connected to one another.
async fn pair() -> (UdpSocket, UdpSocket) {
    let (alice, bob) = (bound().await, bound().await);
    alice.connect(bob.local_addr().unwrap()).await.unwrap();
    bob.connect(alice.local_addr().unwrap()).await.unwrap();
    (alice, bob)
}

/// A socket of each origin, with the plain socket that it exchanges datagrams with. Both are connected.
async fn pairs() -> [(UdpSocket, net::UdpSocket); 2] {
    let connect = |socket: &net::UdpSocket, addr| socket.connect(addr).unwrap();
    let plain = || net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let (created, peer) = (bound().await, plain());
    created.connect(peer.local_addr().unwrap()).await.unwrap();
    connect(&peer, created.local_addr().unwrap());
    let (std, other) = (plain(), plain());
    connect(&std, other.local_addr().unwrap());
    connect(&other, std.local_addr().unwrap());
    [(created, peer), (std.try_into().unwrap(), other)]
}

#[test]
fn a_datagram_arrives_with_the_address_of_its_sender() {
    block_on(async {
        for host in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(alice) = UdpSocket::bind(host).await else {
                println!("skipped: there is no {host} here");
                continue;
            };
            let bob = UdpSocket::bind(host).await.unwrap();
            let (from, to) = (alice.local_addr().unwrap(), bob.local_addr().unwrap());
            let mut buf = [0; 16];
            assert_eq!(alice.send_to(b"hello", to).await.unwrap(), 5);
            assert_eq!(bob.peek_from(&mut buf).await.unwrap(), (5, from));
            assert_eq!(bob.recv_from(&mut buf).await.unwrap(), (5, from));
            assert_eq!(&buf[..5], b"hello");
            // By name, as well.
            let name = ("localhost", to.port());
            if net::ToSocketAddrs::to_socket_addrs(&name).unwrap().next() == Some(to) {
                alice.send_to(b"by name", name).await.unwrap();
                assert_eq!(bob.recv_from(&mut buf).await.unwrap(), (7, from));
            }
        }
    });
}

#[test]
fn a_connected_socket_receives_from_its_peer_alone() {
    block_on(async {
        let ((alice, bob), stranger) = (pair().await, bound().await);
        let to = bob.local_addr().unwrap();
        stranger.send_to(b"unwanted", to).await.unwrap();
        alice.send(b"hello").await.unwrap();
        let mut buf = [0; 16];
        assert_eq!(bob.recv(&mut buf).await.unwrap(), 5);
        assert!(bob.recv(&mut buf).now_or_never().is_none());
        // It can be connected again.
        bob.connect(stranger.local_addr().unwrap()).await.unwrap();
        assert_eq!(bob.peer_addr().unwrap(), stranger.local_addr().unwrap());
        stranger.send_to(b"wanted", to).await.unwrap();
        assert_eq!(bob.recv(&mut buf).await.unwrap(), 6);
        assert_eq!(
            stranger.peer_addr().unwrap_err().kind(),
            ErrorKind::NotConnected
        );
    });
}

#[cfg(unix)]
#[test]
fn a_datagram_that_is_too_long_for_the_buffer_is_truncated() {
    block_on(async {
        for (socket, peer) in pairs().await {
            peer.send(b"too long").unwrap();
            peer.send(b"next").unwrap();
            let mut buf = [0; 3];
            assert_eq!(socket.peek(&mut buf).await.unwrap(), 3);
            assert_eq!(socket.recv(&mut buf).await.unwrap(), 3);
            assert_eq!(&buf, b"too");
            // The rest is lost.
            assert_eq!(socket.recv_from(&mut buf).await.unwrap().0, 3);
            assert_eq!(&buf, b"nex");
            // An empty buffer takes a datagram, too.
            peer.send(b"lost").unwrap();
            peer.send(b"hi").unwrap();
            assert_eq!(socket.recv(&mut []).await.unwrap(), 0);
            assert_eq!(socket.recv(&mut buf).await.unwrap(), 2);
        }
    });
}

#[test]
fn an_empty_datagram_is_a_datagram() {
    block_on(async {
        for (socket, peer) in pairs().await {
            assert_eq!(socket.send(b"").await.unwrap(), 0);
            assert_eq!(peer.recv(&mut [0; 8]).unwrap(), 0);
            peer.send(b"").unwrap();
            assert_eq!(socket.recv(&mut [0; 8]).await.unwrap(), 0);
            peer.send(b"x").unwrap();
            assert_eq!(socket.recv(&mut [0; 8]).await.unwrap(), 1);
        }
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_datagram_that_is_too_long_for_the_network_is_the_error_of_the_kernel() {
    /// `EMSGSIZE`.
    const TOO_LONG: i32 = 90;
    block_on(async {
        for (socket, _peer) in pairs().await {
            let error = socket.send(&[0; 70_000]).await.unwrap_err();
            assert_eq!(error.raw_os_error(), Some(TOO_LONG));
            assert_eq!(socket.send(b"shorter").await.unwrap(), 7);
        }
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_refusal_is_reported_once_and_the_socket_goes_on() {
    block_on(async {
        for (socket, peer) in pairs().await {
            let addr = peer.local_addr().unwrap();
            drop(peer);
            let mut buf = [0; 8];
            for _ in 0..3 {
                assert_eq!(socket.send(b"anybody?").await.unwrap(), 8);
                let error = socket.recv(&mut buf).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
                assert!(error.raw_os_error().is_some(), "{error}");
                assert!(socket.recv(&mut buf).now_or_never().is_none());

                // A waiting receiver is woken.
                let receiving = async { socket.recv(&mut [0; 8]).await };
                let sending = async {
                    settle().await;
                    socket.send(b"anybody?").await.unwrap();
                };
                let (received, ()) = futures::join!(receiving, sending);
                assert_eq!(received.unwrap_err().kind(), ErrorKind::ConnectionRefused);

                // The next send reports it, too, and sends nothing.
                socket.send(b"anybody?").await.unwrap();
                let error = socket.send(b"anybody?").await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
                socket.send(b"anybody?").await.unwrap();
                let error = socket.take_error().unwrap().unwrap();
                assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
            }
            let peer = net::UdpSocket::bind(addr).unwrap();
            socket.send(b"somebody!").await.unwrap();
            assert_eq!(peer.recv_from(&mut [0; 16]).unwrap().0, 9);
            let back = socket.local_addr().unwrap();
            peer.send_to(b"yes", back).unwrap();
            assert_eq!(socket.recv(&mut buf).await.unwrap(), 3);
        }
    });
}

#[test]
fn a_short_datagram_says_nothing_about_the_next() {
    block_on(async {
        for (socket, peer) in pairs().await {
            for _ in 0..10 {
                peer.send(b"x").unwrap();
            }
            let mut buf = [0; 1500];
            assert_eq!(socket.recv(&mut buf).await.unwrap(), 1);
            // No further event comes for the others.
            for _ in 1..10 {
                let received = socket.recv(&mut buf).now_or_never();
                assert_eq!(received.unwrap().unwrap(), 1);
            }
            assert!(socket.recv(&mut buf).now_or_never().is_none());
        }
    });
}

#[test]
fn a_new_socket_sends_without_a_turn_of_the_loop() {
    block_on(async {
        let (alice, bob) = (bound().await, bound().await);
        let to = bob.local_addr().unwrap();
        let sent = alice.send_to(b"hello", to).now_or_never();
        assert_eq!(sent.unwrap().unwrap(), 5);
        assert_eq!(bob.try_send_to(b"hello", to).unwrap(), 5);
    });
}

#[test]
fn the_try_methods_do_not_wait() {
    block_on(async {
        for (socket, peer) in pairs().await {
            let mut buf = [0; 8];
            let would_block = |result: io::Result<usize>| {
                assert_eq!(result.unwrap_err().kind(), ErrorKind::WouldBlock);
            };
            settle().await;
            would_block(socket.try_recv(&mut buf));
            would_block(socket.try_recv_from(&mut buf).map(|(count, _)| count));
            would_block(socket.try_peek(&mut buf));
            would_block(socket.try_peek_from(&mut buf).map(|(count, _)| count));
            peer.send(b"hello").unwrap();
            let from = peer.local_addr().unwrap();
            socket.readable().await.unwrap();
            assert_eq!(socket.try_peek(&mut buf).unwrap(), 5);
            assert_eq!(socket.try_peek_from(&mut buf).unwrap(), (5, from));
            assert_eq!(socket.try_recv_from(&mut buf).unwrap(), (5, from));
            peer.send(b"again!").unwrap();
            socket.readable().await.unwrap();
            let received = loop {
                match socket.try_recv(&mut buf) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        socket.readable().await.unwrap();
                    }
                    received => break received,
                }
            };
            assert_eq!(received.unwrap(), 6);
            socket.writable().await.unwrap();
            assert_eq!(socket.try_send(b"hello").unwrap(), 5);
        }
    });
}

#[test]
fn the_poll_methods_wake_whoever_waits() {
    block_on(async {
        let (alice, bob) = (bound().await, bound().await);
        let to = bob.local_addr().unwrap();
        let receiving = async {
            let mut buf = [0; 8];
            poll_fn(|cx| bob.poll_recv_from(cx, &mut buf)).await
        };
        let sending = async {
            settle().await;
            poll_fn(|cx| alice.poll_send_to(cx, b"hello", to)).await
        };
        let (received, sent) = futures::join!(receiving, sending);
        assert_eq!(received.unwrap(), (5, alice.local_addr().unwrap()));
        assert_eq!(sent.unwrap(), 5);
    });
}

#[test]
fn a_poll_receives_no_more_than_its_budget() {
    block_on(async {
        for (socket, peer) in pairs().await {
            for _ in 0..BUDGET + 50 {
                peer.send(b"x").unwrap();
            }
            socket.readable().await.unwrap();
            yield_now().await;
            let received = poll_fn(|cx| {
                let received = (0..).take_while(|_| {
                    let polled = socket.poll_recv_from(cx, &mut [0; 8]);
                    polled.is_ready()
                });
                Poll::Ready(received.count())
            });
            assert_eq!(received.await, BUDGET);
        }
    });
}

/// Reads `count` times beside a task that ticks whenever it is polled. Asserts that no more reads than the budget
/// come between two ticks.
pub(crate) async fn assert_budget_is_kept(count: usize, read: impl AsyncFn() + 'static) {
    let since_tick = Rc::new(Cell::new(0));
    let ticking = glassfrog::spawn({
        let since_tick = Rc::clone(&since_tick);
        async move {
            loop {
                since_tick.set(0);
                yield_now().await;
            }
        }
    });
    let reading = glassfrog::spawn(async move {
        let mut most = 0;
        for _ in 0..count {
            read().await;
            since_tick.set(since_tick.get() + 1);
            most = most.max(since_tick.get());
        }
        most
    });
    let most = reading.await.unwrap();
    assert!(most <= BUDGET, "{most} reads between two ticks");
    ticking.abort();
}

#[test]
fn a_flooded_reader_lets_others_run() {
    let datagrams = few_or_many(10_000, 50_000);
    block_on(async {
        let socket = bound().await;
        let addr = socket.local_addr().unwrap();
        let is_over = Arc::new(AtomicBool::new(false));
        let flood = thread::spawn({
            let is_over = Arc::clone(&is_over);
            move || {
                let sender = net::UdpSocket::bind("127.0.0.1:0").unwrap();
                while !is_over.load(Ordering::Relaxed) {
                    // What the receiver has no room for is lost.
                    let _sent = sender.send_to(b"x", addr);
                }
            }
        });
        let read = async move || {
            socket.recv_from(&mut [0; 8]).await.unwrap();
        };
        assert_budget_is_kept(datagrams, read).await;
        is_over.store(true, Ordering::Relaxed);
        flood.join().unwrap();
    });
}

#[test]
fn a_thousand_sockets_wait_side_by_side() {
    // Each has a descriptor, and the limit is often 1024.
    let count = few_or_many(400, 1000);
    block_on(async {
        let mut sockets = Vec::new();
        for _ in 0..count {
            match UdpSocket::bind("127.0.0.1:0").await {
                Ok(socket) => sockets.push(socket),
                Err(error) => {
                    println!("only {}: {error}", sockets.len());
                    break;
                }
            }
        }
        let addrs: Vec<SocketAddr> = sockets.iter().map(|s| s.local_addr().unwrap()).collect();
        let echoes: Vec<_> = sockets
            .into_iter()
            .map(|socket| {
                glassfrog::spawn(async move {
                    let mut buf = [0; 8];
                    let (count, from) = socket.recv_from(&mut buf).await?;
                    socket.send_to(&buf[..count], from).await
                })
            })
            .collect();
        settle().await;
        let asker = bound().await;
        for addr in addrs.into_iter().rev() {
            asker.send_to(b"hello", addr).await.unwrap();
            let answer = asker.recv_from(&mut [0; 8]).await.unwrap();
            assert_eq!(answer, (5, addr));
        }
        for echo in join_all(echoes).await {
            assert_eq!(echo.unwrap().unwrap(), 5);
        }
    });
}

#[test]
fn a_dropped_wait_loses_no_datagram() {
    block_on(async {
        for (socket, peer) in pairs().await {
            let mut buf = [0; 8];
            for _ in 0..100 {
                assert!(socket.recv(&mut buf).now_or_never().is_none());
            }
            peer.send(b"hello").unwrap();
            {
                let mut waiting = pin!(socket.recv(&mut buf));
                let _first = (&mut waiting).now_or_never();
                let _other = socket.readable().await;
            }
            // Either the dropped wait has finished or this one gets the datagram.
            peer.send(b"again").unwrap();
            assert_eq!(socket.recv(&mut buf).await.unwrap(), 5);
        }
    });
}

#[test]
fn a_socket_works_on_another_thread_under_another_executor() {
    block_on(async {
        for (socket, peer) in pairs().await {
            let (done, is_done) = oneshot::channel();
            thread::spawn(move || {
                let count = park_on(async {
                    socket.send(b"question").await.unwrap();
                    socket.recv(&mut [0; 8]).await.unwrap()
                });
                done.send(count).unwrap();
            });
            peer.recv(&mut [0; 8]).unwrap();
            settle().await;
            peer.send(b"answer").unwrap();
            assert_eq!(is_done.await.unwrap(), 6);
        }
    });
}

#[test]
fn after_the_end_of_the_runtime_operations_say_so() {
    let _watchdog = watchdog();
    let runtime = Runtime::new().unwrap();
    let pairs = runtime.block_on(pairs());
    for (socket, _) in &pairs {
        // This one waits when the end comes.
        let mut cx = Context::from_waker(Waker::noop());
        assert!(socket.poll_recv_from(&mut cx, &mut [0; 8]).is_pending());
    }
    drop(runtime);
    for (socket, peer) in pairs {
        peer.send(b"hello").unwrap();
        let mut buf = [0; 8];
        let mut cx = Context::from_waker(Waker::noop());
        let Poll::Ready(polled) = socket.poll_recv_from(&mut cx, &mut buf) else {
            panic!("it waits for a runtime that has ended");
        };
        for result in [
            polled.map(|(count, _)| count),
            socket.recv(&mut buf).now_or_never().unwrap(),
            socket.send(b"hello").now_or_never().unwrap(),
            socket.try_recv(&mut buf),
            socket.try_send(b"hello"),
            socket.readable().now_or_never().unwrap().map(|()| 0),
        ] {
            let text = result.unwrap_err().to_string();
            assert!(text.contains("runtime") && text.contains("ended"), "{text}");
        }
        // It can still be taken out.
        let socket = net::UdpSocket::try_from(socket).unwrap();
        assert_eq!(socket.recv(&mut buf).unwrap(), 5);
    }
}

#[test]
fn a_dump_shows_the_socket_that_a_task_waits_for() {
    block_on(async {
        let (alice, bob) = pair().await;
        let alone = bound().await;
        let (from, to) = (alice.local_addr().unwrap(), bob.local_addr().unwrap());
        let lone = alone.local_addr().unwrap();
        let waiting = [
            glassfrog::spawn(async move { alice.recv(&mut [0; 8]).await }),
            glassfrog::spawn(async move { alone.recv(&mut [0; 8]).await }),
        ];
        settle().await;
        let dump = task::dump().to_string();
        assert!(dump.contains(&format!("recv udp {from} → {to}")), "{dump}");
        assert!(dump.contains(&format!("recv udp {lone}")), "{dump}");
        for task in waiting {
            task.abort();
        }
    });
}

#[test]
fn a_socket_that_is_converted_back_blocks_and_has_lost_nothing() {
    block_on(async {
        for (socket, peer) in pairs().await {
            peer.send(b"hello").unwrap();
            socket.readable().await.unwrap();
            let socket = net::UdpSocket::try_from(socket).unwrap();
            assert_eq!(socket.recv(&mut [0; 8]).unwrap(), 5);
            socket
                .set_read_timeout(Some(Duration::from_millis(1)))
                .unwrap();
            let error = socket.recv(&mut [0; 8]).unwrap_err();
            assert!(
                [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()),
                "{error}"
            );
        }
    });
}

#[cfg(unix)]
#[test]
fn what_is_no_socket_is_refused_with_the_reason() {
    use std::os::fd::OwnedFd;
    block_on(async {
        let file = std::fs::File::open("Cargo.toml").unwrap();
        let socket = UdpSocket::from(OwnedFd::from(file));
        let error = socket.recv(&mut [0; 8]).await.unwrap_err();
        assert!(error.to_string().contains("a regular file"), "{error}");
    });
}

#[test]
fn a_failed_bind_or_connect_names_the_address() {
    block_on(async {
        let socket = bound().await;
        let addr = socket.local_addr().unwrap();
        let error = UdpSocket::bind(addr).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        assert!(error.to_string().contains(&addr.to_string()), "{error}");
        // Another family.
        let error = socket.connect("[::1]:9").await.unwrap_err();
        assert!(error.to_string().contains("[::1]:9"), "{error}");
        let nowhere: [SocketAddr; 0] = [];
        for error in [
            UdpSocket::bind(&nowhere[..]).await.unwrap_err(),
            socket.connect(&nowhere[..]).await.unwrap_err(),
            socket.send_to(b"x", &nowhere[..]).await.unwrap_err(),
            socket.send_to(b"x", "no port").await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
        }
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_broadcast_needs_the_option() {
    block_on(async {
        let socket = bound().await;
        let everyone = UdpSocket::bind("0.0.0.0:0").await.unwrap();
        let port = everyone.local_addr().unwrap().port();
        // The broadcast address of the loopback interface.
        let to = SocketAddr::from((net::Ipv4Addr::new(127, 255, 255, 255), port));
        assert!(!socket.broadcast().unwrap());
        let error = socket.send_to(b"hello", to).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        socket.set_broadcast(true).unwrap();
        socket.send_to(b"hello", to).await.unwrap();
        assert_eq!(everyone.recv(&mut [0; 8]).await.unwrap(), 5);
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_member_of_a_group_receives_what_is_sent_to_it() {
    block_on(async {
        let group = net::Ipv4Addr::new(224, 0, 0, 200);
        let member = UdpSocket::bind("0.0.0.0:0").await.unwrap();
        member
            .join_multicast_v4(&group, &net::Ipv4Addr::LOCALHOST)
            .unwrap();
        let sender = bound().await;
        SockRef::from(&sender)
            .set_multicast_if_v4(&net::Ipv4Addr::LOCALHOST)
            .unwrap();
        let to = (group, member.local_addr().unwrap().port());
        let to = SocketAddr::from(to);
        if let Err(error) = sender.send_to(b"hello", to).await {
            println!("skipped: no multicast here: {error}");
            return;
        }
        assert_eq!(member.recv(&mut [0; 8]).await.unwrap(), 5);
        member
            .leave_multicast_v4(&group, &net::Ipv4Addr::LOCALHOST)
            .unwrap();
        sender.send_to(b"too late", to).await.unwrap();
        assert!(member.recv(&mut [0; 8]).now_or_never().is_none());
    });
}

#[test]
fn a_foreign_system_call_waits_like_the_methods() {
    block_on(async {
        for (socket, peer) in pairs().await {
            let mut buf = Vec::with_capacity(8);
            let receiving = socket
                .read_with(|socket| SockRef::from(socket).recv_from(buf.spare_capacity_mut()));
            let sending = async {
                settle().await;
                peer.send(b"hello").unwrap();
            };
            let (received, ()) = futures::join!(receiving, sending);
            let (count, from) = received.unwrap();
            assert_eq!(count, 5);
            assert_eq!(from.as_socket(), Some(peer.local_addr().unwrap()));
            let sent = socket.write_with(|socket| SockRef::from(socket).send(b"hi"));
            assert_eq!(sent.await.unwrap(), 2);
        }
    });
}
