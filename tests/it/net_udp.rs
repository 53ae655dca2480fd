//! UDP sockets on several threads, after the end of their runtime, and with options of the kernel.
//!
//! What also holds on a simulated network is in `net_laws`.

use crate::support::{block_on, few_or_many, park_on, settle, watchdog};
use futures::FutureExt;
use futures::channel::oneshot;
use futures::future::join_all;
use glassfrog::Runtime;
use glassfrog::net::UdpSocket;
use glassfrog::task::{self, yield_now};
use socket2::SockRef;
use std::cell::Cell;
use std::io::ErrorKind;
use std::net::{self, SocketAddr};
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
