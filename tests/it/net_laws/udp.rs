//! UDP sockets.

use super::{Place, assert_fails, assert_would_block, is_simulated, pattern, settle};
use futures::FutureExt;
use futures::future::join_all;
use glassfrog::net::UdpSocket;
use glassfrog::task::yield_now;
use glassfrog::time::timeout;
use std::collections::HashSet;
use std::future::poll_fn;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

laws! {
    a_datagram_arrives_with_the_address_of_its_sender,
    a_datagram_crosses_the_ipv6_loopback_interface,
    an_answer_reaches_the_sender,
    a_connected_socket_receives_from_its_peer_alone,
    a_socket_can_be_connected_again,
    an_unconnected_socket_has_no_peer,
    sending_without_a_peer_is_an_error,
    a_connected_socket_may_send_to_others,
    a_peeked_datagram_can_still_be_received,
    #[cfg(unix)]
    a_datagram_that_is_too_long_for_the_buffer_is_truncated,
    an_empty_datagram_is_a_datagram,
    the_longest_datagram_arrives,
    #[cfg(target_os = "linux")]
    a_datagram_that_is_too_long_for_the_network_is_the_error_of_the_kernel,
    #[cfg(target_os = "linux")]
    a_refusal_is_reported_once_and_the_socket_goes_on,
    a_datagram_to_nobody_is_no_error_of_an_unconnected_socket,
    a_short_datagram_says_nothing_about_the_next,
    a_new_socket_sends_without_a_turn_of_the_loop,
    the_try_methods_do_not_wait,
    the_poll_methods_wake_whoever_waits,
    a_poll_receives_no_more_than_its_budget,
    a_receive_from_a_silent_peer_times_out,
    a_dropped_wait_loses_no_datagram,
    several_receivers_share_the_datagrams,
    many_sockets_wait_side_by_side,
    datagrams_for_one_socket_do_not_reach_another,
    what_has_no_room_is_lost_and_the_rest_arrives,
    a_failed_bind_names_the_address,
    a_missing_or_malformed_address_is_an_error,
    a_dropped_socket_frees_its_port,
    a_socket_keeps_its_ttl,
}

/// How many operations a poll may finish.
const BUDGET: usize = 128;

/// Returns two sockets that are connected to one another.
async fn pair(place: &Place) -> (UdpSocket, UdpSocket) {
    let (near, far) = (place.near_udp().await, place.far_udp().await);
    near.connect(addr(&far)).await.unwrap();
    far.connect(addr(&near)).await.unwrap();
    (near, far)
}

/// Returns connected sockets of each origin, with their peers.
async fn pairs(place: &Place) -> Vec<(UdpSocket, UdpSocket)> {
    let (far, near) = pair(place).await;
    let mut pairs = vec![pair(place).await, (near, far)];
    if !is_simulated() {
        let (socket, peer) = pair(place).await;
        let adopted = std::net::UdpSocket::try_from(socket).unwrap();
        pairs.push((adopted.try_into().unwrap(), peer));
    }
    pairs
}

/// Returns the address of a socket.
fn addr(socket: &UdpSocket) -> SocketAddr {
    socket.local_addr().unwrap()
}

/// Receives a datagram.
async fn receive(socket: &UdpSocket) -> Vec<u8> {
    let mut buf = [0; 1500];
    let count = socket.recv(&mut buf).await.unwrap();
    buf[..count].to_vec()
}

async fn a_datagram_arrives_with_the_address_of_its_sender(place: Place) {
    let (alice, bob) = (place.near_udp().await, place.far_udp().await);
    let (from, to) = (addr(&alice), addr(&bob));
    let mut buf = [0; 16];
    assert_eq!(alice.send_to(b"hello", to).await.unwrap(), 5);
    assert_eq!(bob.peek_from(&mut buf).await.unwrap(), (5, from));
    assert_eq!(bob.recv_from(&mut buf).await.unwrap(), (5, from));
    assert_eq!(&buf[..5], b"hello");
    // By name, as well.
    let name = (place.far, to.port());
    assert_eq!(alice.send_to(b"by name", name).await.unwrap(), 7);
    assert_eq!(bob.recv_from(&mut buf).await.unwrap(), (7, from));
}

async fn a_datagram_crosses_the_ipv6_loopback_interface(_place: Place) {
    let alice = match UdpSocket::bind("[::1]:0").await {
        Err(error) if !is_simulated() => {
            println!("skipped: no IPv6 here: {error}");
            return;
        }
        socket => socket.unwrap(),
    };
    let bob = UdpSocket::bind("[::1]:0").await.unwrap();
    alice.send_to(b"hello", addr(&bob)).await.unwrap();
    let received = bob.recv_from(&mut [0; 8]).await.unwrap();
    assert_eq!(received, (5, addr(&alice)));
}

async fn an_answer_reaches_the_sender(place: Place) {
    let (alice, bob) = (place.near_udp().await, place.far_udp().await);
    let mut buf = [0; 16];
    for round in 0..10 {
        alice.send_to(&[round; 7], addr(&bob)).await.unwrap();
        let (count, from) = bob.recv_from(&mut buf).await.unwrap();
        bob.send_to(&buf[..count], from).await.unwrap();
        assert_eq!(receive(&alice).await, [round; 7]);
    }
}

async fn a_connected_socket_receives_from_its_peer_alone(place: Place) {
    let ((alice, bob), stranger) = (pair(&place).await, place.near_udp().await);
    let to = addr(&bob);
    stranger.send_to(b"unwanted", to).await.unwrap();
    settle().await;
    alice.send(b"hello").await.unwrap();
    assert_eq!(receive(&bob).await, b"hello");
    assert!(bob.recv(&mut [0; 8]).now_or_never().is_none());
}

async fn a_socket_can_be_connected_again(place: Place) {
    let ((alice, bob), other) = (pair(&place).await, place.near_udp().await);
    bob.connect(addr(&other)).await.unwrap();
    assert_eq!(bob.peer_addr().unwrap(), addr(&other));
    other.send_to(b"wanted", addr(&bob)).await.unwrap();
    assert_eq!(receive(&bob).await, b"wanted");
    alice.send(b"unwanted").await.unwrap();
    settle().await;
    assert!(bob.recv(&mut [0; 8]).now_or_never().is_none());
    bob.send(b"hello").await.unwrap();
    assert_eq!(receive(&other).await, b"hello");
}

async fn an_unconnected_socket_has_no_peer(place: Place) {
    let socket = place.near_udp().await;
    assert_fails(socket.peer_addr(), ErrorKind::NotConnected);
    let peer = place.far_udp().await;
    socket.connect(addr(&peer)).await.unwrap();
    assert_eq!(socket.peer_addr().unwrap(), addr(&peer));
}

async fn sending_without_a_peer_is_an_error(place: Place) {
    let socket = place.near_udp().await;
    let error = socket.send(b"hello").await.unwrap_err();
    #[cfg(target_os = "linux")]
    {
        /// `EDESTADDRREQ`.
        const NO_DESTINATION: i32 = 89;
        assert_eq!(error.raw_os_error(), Some(NO_DESTINATION), "{error}");
    }
    assert!(!error.to_string().is_empty());
}

async fn a_connected_socket_may_send_to_others(place: Place) {
    let (alice, bob) = pair(&place).await;
    let other = place.far_udp().await;
    alice.send_to(b"hello", addr(&other)).await.unwrap();
    assert_eq!(receive(&other).await, b"hello");
    settle().await;
    assert!(bob.recv(&mut [0; 8]).now_or_never().is_none());
}

async fn a_peeked_datagram_can_still_be_received(place: Place) {
    for (socket, peer) in pairs(&place).await {
        peer.send(b"hello").await.unwrap();
        let mut buf = [0; 8];
        for _ in 0..2 {
            assert_eq!(socket.peek(&mut buf).await.unwrap(), 5);
            assert_eq!(socket.peek_from(&mut buf).await.unwrap(), (5, addr(&peer)));
            assert_eq!(&buf[..5], b"hello");
        }
        assert_eq!(receive(&socket).await, b"hello");
        assert!(socket.peek(&mut buf).now_or_never().is_none());
    }
}

#[cfg(unix)]
async fn a_datagram_that_is_too_long_for_the_buffer_is_truncated(place: Place) {
    for (socket, peer) in pairs(&place).await {
        peer.send(b"too long").await.unwrap();
        settle().await;
        peer.send(b"next").await.unwrap();
        let mut buf = [0; 3];
        assert_eq!(socket.peek(&mut buf).await.unwrap(), 3);
        assert_eq!(socket.recv(&mut buf).await.unwrap(), 3);
        assert_eq!(&buf, b"too");
        // The rest is lost.
        assert_eq!(socket.recv_from(&mut buf).await.unwrap().0, 3);
        assert_eq!(&buf, b"nex");
        // An empty buffer takes a datagram, too.
        peer.send(b"lost").await.unwrap();
        settle().await;
        peer.send(b"hi").await.unwrap();
        assert_eq!(socket.recv(&mut []).await.unwrap(), 0);
        assert_eq!(socket.recv(&mut buf).await.unwrap(), 2);
    }
}

async fn an_empty_datagram_is_a_datagram(place: Place) {
    for (socket, peer) in pairs(&place).await {
        assert_eq!(socket.send(b"").await.unwrap(), 0);
        assert_eq!(peer.recv(&mut [0; 8]).await.unwrap(), 0);
        peer.send(b"").await.unwrap();
        assert_eq!(socket.recv(&mut [0; 8]).await.unwrap(), 0);
        peer.send(b"x").await.unwrap();
        assert_eq!(socket.recv(&mut [0; 8]).await.unwrap(), 1);
    }
}

async fn the_longest_datagram_arrives(place: Place) {
    /// What is left of the 65,535 bytes of an IPv4 packet without its header and that of UDP.
    const LONGEST: usize = 65_507;
    let bytes = pattern(LONGEST, 20);
    for (socket, peer) in pairs(&place).await {
        match socket.send(&bytes).await {
            // Not every system sends that many bytes unless it is asked to.
            Err(_) if cfg!(not(target_os = "linux")) => continue,
            sent => assert_eq!(sent.unwrap(), LONGEST),
        }
        let mut buf = vec![0; LONGEST + 1];
        assert_eq!(peer.recv(&mut buf).await.unwrap(), LONGEST);
        assert!(buf[..LONGEST] == bytes);
    }
}

#[cfg(target_os = "linux")]
async fn a_datagram_that_is_too_long_for_the_network_is_the_error_of_the_kernel(place: Place) {
    /// `EMSGSIZE`.
    const TOO_LONG: i32 = 90;
    for (socket, peer) in pairs(&place).await {
        for length in [65_508, 70_000] {
            let error = socket.send(&vec![0; length]).await.unwrap_err();
            assert_eq!(error.raw_os_error(), Some(TOO_LONG));
        }
        assert_eq!(socket.send(b"shorter").await.unwrap(), 7);
        assert_eq!(receive(&peer).await, b"shorter");
    }
}

#[cfg(target_os = "linux")]
async fn a_refusal_is_reported_once_and_the_socket_goes_on(place: Place) {
    for (socket, peer) in pairs(&place).await {
        let (ours, theirs) = (addr(&socket), addr(&peer));
        drop(peer);
        let mut buf = [0; 8];
        for _ in 0..3 {
            assert_eq!(socket.send(b"anybody?").await.unwrap(), 8);
            let received = socket.recv(&mut buf).await;
            assert!(received.as_ref().unwrap_err().raw_os_error().is_some());
            assert_fails(received, ErrorKind::ConnectionRefused);
            assert!(socket.recv(&mut buf).now_or_never().is_none());

            // A waiting receiver is woken.
            let receiving = async { socket.recv(&mut [0; 8]).await };
            let sending = async {
                settle().await;
                socket.send(b"anybody?").await.unwrap();
            };
            let (received, ()) = futures::join!(receiving, sending);
            assert_fails(received, ErrorKind::ConnectionRefused);

            // The next send reports it, too, and sends nothing.
            socket.send(b"anybody?").await.unwrap();
            settle().await;
            assert_fails(socket.send(b"anybody?").await, ErrorKind::ConnectionRefused);
            socket.send(b"anybody?").await.unwrap();
            settle().await;
            let error = socket.take_error().unwrap().unwrap();
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
            assert!(socket.take_error().unwrap().is_none());
        }
        // Somebody takes the port again.
        let at_near_end = UdpSocket::bind(theirs).await;
        let peer = match at_near_end {
            Ok(peer) => peer,
            Err(_) => place.there(UdpSocket::bind(theirs)).await.unwrap(),
        };
        socket.send(b"somebody!").await.unwrap();
        assert_eq!(receive(&peer).await, b"somebody!");
        peer.send_to(b"yes", ours).await.unwrap();
        assert_eq!(receive(&socket).await, b"yes");
    }
}

async fn a_datagram_to_nobody_is_no_error_of_an_unconnected_socket(place: Place) {
    let (socket, peer) = (place.near_udp().await, place.far_udp().await);
    let nobody = addr(&peer);
    drop(peer);
    for _ in 0..3 {
        assert_eq!(socket.send_to(b"anybody?", nobody).await.unwrap(), 8);
        settle().await;
    }
    assert!(socket.recv(&mut [0; 8]).now_or_never().is_none());
    assert!(socket.take_error().unwrap().is_none());
}

async fn a_short_datagram_says_nothing_about_the_next(place: Place) {
    for (socket, peer) in pairs(&place).await {
        for _ in 0..10 {
            peer.send(b"x").await.unwrap();
        }
        settle().await;
        let mut buf = [0; 1500];
        assert_eq!(socket.recv(&mut buf).await.unwrap(), 1);
        // No further event comes for the others.
        for _ in 1..10 {
            let received = socket.recv(&mut buf).now_or_never();
            assert_eq!(received.unwrap().unwrap(), 1);
        }
        assert!(socket.recv(&mut buf).now_or_never().is_none());
    }
}

async fn a_new_socket_sends_without_a_turn_of_the_loop(place: Place) {
    let (alice, bob) = (place.near_udp().await, place.far_udp().await);
    let to = addr(&bob);
    let sent = alice.send_to(b"hello", to).now_or_never();
    assert_eq!(sent.unwrap().unwrap(), 5);
    let another = place.near_udp().await;
    assert_eq!(another.try_send_to(b"hello", to).unwrap(), 5);
}

async fn the_try_methods_do_not_wait(place: Place) {
    for (socket, peer) in pairs(&place).await {
        let mut buf = [0; 8];
        settle().await;
        assert_would_block(socket.try_recv(&mut buf));
        assert_would_block(socket.try_recv_from(&mut buf));
        assert_would_block(socket.try_peek(&mut buf));
        assert_would_block(socket.try_peek_from(&mut buf));
        peer.send(b"hello").await.unwrap();
        let from = addr(&peer);
        socket.readable().await.unwrap();
        assert_eq!(socket.try_peek(&mut buf).unwrap(), 5);
        assert_eq!(socket.try_peek_from(&mut buf).unwrap(), (5, from));
        assert_eq!(socket.try_recv_from(&mut buf).unwrap(), (5, from));
        assert_would_block(socket.try_recv(&mut buf));
        peer.send(b"again!").await.unwrap();
        socket.readable().await.unwrap();
        assert_eq!(socket.try_recv(&mut buf).unwrap(), 6);
        socket.writable().await.unwrap();
        assert_eq!(socket.try_send(b"hello").unwrap(), 5);
        assert_eq!(receive(&peer).await, b"hello");
    }
}

async fn the_poll_methods_wake_whoever_waits(place: Place) {
    let (alice, bob) = (place.near_udp().await, place.far_udp().await);
    let to = addr(&bob);
    let receiving = async {
        let mut buf = [0; 8];
        poll_fn(|cx| bob.poll_recv_from(cx, &mut buf)).await
    };
    let sending = async {
        settle().await;
        poll_fn(|cx| alice.poll_send_to(cx, b"hello", to)).await
    };
    let (received, sent) = futures::join!(receiving, sending);
    assert_eq!(received.unwrap(), (5, addr(&alice)));
    assert_eq!(sent.unwrap(), 5);
}

async fn a_poll_receives_no_more_than_its_budget(place: Place) {
    for (socket, peer) in pairs(&place).await {
        for _ in 0..BUDGET + 50 {
            peer.send(b"x").await.unwrap();
        }
        settle().await;
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
}

async fn a_receive_from_a_silent_peer_times_out(place: Place) {
    for (socket, peer) in pairs(&place).await {
        let short = Duration::from_millis(5);
        let mut buf = [0; 8];
        timeout(short, socket.recv(&mut buf)).await.unwrap_err();
        timeout(short, socket.readable()).await.unwrap_err();
        peer.send(b"at last").await.unwrap();
        assert_eq!(receive(&socket).await, b"at last");
    }
}

async fn a_dropped_wait_loses_no_datagram(place: Place) {
    for (socket, peer) in pairs(&place).await {
        let mut buf = [0; 8];
        for _ in 0..100 {
            assert!(socket.recv(&mut buf).now_or_never().is_none());
        }
        peer.send(b"first").await.unwrap();
        let is_received = {
            let mut waiting = pin!(socket.recv(&mut buf));
            let first = (&mut waiting).now_or_never();
            settle().await;
            first.is_some()
        };
        settle().await;
        peer.send(b"next").await.unwrap();
        // The dropped wait has either finished or left the datagram to this one.
        if !is_received {
            assert_eq!(receive(&socket).await, b"first");
        }
        assert_eq!(receive(&socket).await, b"next");
    }
}

async fn several_receivers_share_the_datagrams(place: Place) {
    const RECEIVERS: u8 = 20;
    for (socket, peer) in pairs(&place).await {
        let socket = Rc::new(socket);
        let receivers: Vec<_> = (0..RECEIVERS)
            .map(|_| {
                let socket = Rc::clone(&socket);
                glassfrog::spawn(async move { receive(&socket).await })
            })
            .collect();
        settle().await;
        for number in 0..RECEIVERS {
            peer.send(&[number]).await.unwrap();
        }
        let received = join_all(receivers).await.into_iter();
        let received: HashSet<_> = received.map(|datagram| datagram.unwrap()[0]).collect();
        assert_eq!(received, (0..RECEIVERS).collect());
    }
}

async fn many_sockets_wait_side_by_side(place: Place) {
    const SOCKETS: usize = 100;
    let mut addrs = Vec::new();
    let mut echoes = Vec::new();
    for _ in 0..SOCKETS {
        let socket = place.far_udp().await;
        addrs.push(addr(&socket));
        echoes.push(glassfrog::spawn(async move {
            let mut buf = [0; 8];
            let (count, from) = socket.recv_from(&mut buf).await?;
            socket.send_to(&buf[..count], from).await
        }));
    }
    settle().await;
    let asker = place.near_udp().await;
    for addr in addrs.into_iter().rev() {
        asker.send_to(b"hello", addr).await.unwrap();
        let answer = asker.recv_from(&mut [0; 8]).await.unwrap();
        assert_eq!(answer, (5, addr));
    }
    for echo in join_all(echoes).await {
        assert_eq!(echo.unwrap().unwrap(), 5);
    }
}

async fn datagrams_for_one_socket_do_not_reach_another(place: Place) {
    let (one, two) = (place.far_udp().await, place.far_udp().await);
    let sender = place.near_udp().await;
    for round in 0..5 {
        sender.send_to(&[round, 1], addr(&one)).await.unwrap();
        sender.send_to(&[round, 2], addr(&two)).await.unwrap();
        assert_eq!(receive(&one).await, [round, 1]);
        assert_eq!(receive(&two).await, [round, 2]);
    }
}

async fn what_has_no_room_is_lost_and_the_rest_arrives(place: Place) {
    /// Several times what a socket buffers.
    const DATAGRAMS: usize = 2_000;
    for (socket, peer) in pairs(&place).await {
        for _ in 0..DATAGRAMS {
            peer.send(&[0; 1000]).await.unwrap();
        }
        settle().await;
        let mut buf = [0; 1500];
        let mut received = 0;
        loop {
            match socket.recv(&mut buf).now_or_never() {
                Some(count) => assert_eq!(count.unwrap(), 1000),
                // Either nothing is left, or the budget of the poll.
                None if received % BUDGET != 0 || received == 0 => break,
                None => {}
            }
            received += 1;
            yield_now().await;
        }
        assert!(0 < received && received < DATAGRAMS, "{received}");
        // The socket goes on.
        peer.send(b"next").await.unwrap();
        assert_eq!(receive(&socket).await, b"next");
    }
}

async fn a_failed_bind_names_the_address(place: Place) {
    let socket = place.near_udp().await;
    let addr = addr(&socket);
    let error = UdpSocket::bind(addr).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    assert!(error.to_string().contains(&addr.to_string()), "{error}");
    // Another family.
    let error = socket.connect("[::1]:9").await.unwrap_err();
    assert!(error.to_string().contains("[::1]:9"), "{error}");
}

async fn a_missing_or_malformed_address_is_an_error(place: Place) {
    let socket = place.near_udp().await;
    let nowhere: &[SocketAddr] = &[];
    for error in [
        UdpSocket::bind(nowhere).await.unwrap_err(),
        socket.connect(nowhere).await.unwrap_err(),
        socket.send_to(b"x", nowhere).await.unwrap_err(),
        socket.send_to(b"x", "no port").await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
}

async fn a_dropped_socket_frees_its_port(place: Place) {
    // Another process may get the port in between.
    for _ in 0..100 {
        let socket = place.near_udp().await;
        let addr = addr(&socket);
        drop(socket);
        if UdpSocket::bind(addr).await.is_ok() {
            return;
        }
    }
    panic!("no port could be bound again");
}

async fn a_socket_keeps_its_ttl(place: Place) {
    for (socket, _peer) in pairs(&place).await {
        for ttl in [7, 64] {
            socket.set_ttl(ttl).unwrap();
            assert_eq!(socket.ttl().unwrap(), ttl);
        }
    }
}
