//! Special addresses and ports. Linux only: systems differ in many of them.

use super::{Place, assert_fails, is_simulated, read, settle, write};
use futures::future::join;
use glassfrog::net::{TcpListener, TcpStream, UdpSocket};
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

laws! {
    a_connect_to_port_0_is_refused,
    a_datagram_to_port_0_is_an_error,
    a_bind_to_the_address_of_another_machine_is_an_error,
    a_connect_to_the_unspecified_address_reaches_this_host,
    an_unspecified_address_includes_the_others,
    an_unspecified_udp_address_includes_the_others,
    a_port_of_udp_is_no_port_of_tcp,
    the_unspecified_ipv6_address_accepts_ipv4,
    a_datagram_from_an_unspecified_address_names_a_definite_one,
    connecting_gives_a_udp_socket_a_definite_address,
    a_udp_socket_keeps_what_it_received_before_it_was_connected,
    an_ipv4_socket_does_not_send_to_ipv6,
}

/// An address that no machine has (RFC 5737, "TEST-NET-1").
const ELSEWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 0);

async fn a_connect_to_port_0_is_refused(place: Place) {
    let connected = TcpStream::connect((place.far, 0)).await;
    assert_fails(connected, ErrorKind::ConnectionRefused);
}

async fn a_datagram_to_port_0_is_an_error(place: Place) {
    let socket = place.near_udp().await;
    let sent = socket.send_to(b"x", (place.far, 0)).await;
    assert_fails(sent, ErrorKind::InvalidInput);
}

async fn a_bind_to_the_address_of_another_machine_is_an_error(_place: Place) {
    for error in [
        TcpListener::bind(ELSEWHERE).await.unwrap_err(),
        UdpSocket::bind(ELSEWHERE).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
        assert!(error.to_string().contains("192.0.2.1:0"), "{error}");
    }
}

async fn a_connect_to_the_unspecified_address_reaches_this_host(_place: Place) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let connect = TcpStream::connect(("0.0.0.0", addr.port()));
    let (stream, accepted) = join(connect, listener.accept()).await;
    let stream = stream.unwrap();
    assert_eq!(stream.peer_addr().unwrap(), addr);
    assert_eq!(accepted.unwrap().1, stream.local_addr().unwrap());
}

async fn an_unspecified_address_includes_the_others(place: Place) {
    let specific = TcpListener::bind((place.near, 0)).await.unwrap();
    let port = specific.local_addr().unwrap().port();
    let wild = TcpListener::bind(("0.0.0.0", port)).await;
    assert_fails(wild, ErrorKind::AddrInUse);

    let wild = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = wild.local_addr().unwrap().port();
    let specific = TcpListener::bind((place.near, port)).await;
    assert_fails(specific, ErrorKind::AddrInUse);
    assert_fails(
        TcpListener::bind(("0.0.0.0", port)).await,
        ErrorKind::AddrInUse,
    );
}

async fn an_unspecified_udp_address_includes_the_others(place: Place) {
    let specific = place.near_udp().await;
    let port = specific.local_addr().unwrap().port();
    let wild = UdpSocket::bind(("0.0.0.0", port)).await;
    assert_fails(wild, ErrorKind::AddrInUse);

    let wild = UdpSocket::bind("0.0.0.0:0").await.unwrap();
    let port = wild.local_addr().unwrap().port();
    let specific = UdpSocket::bind((place.near, port)).await;
    assert_fails(specific, ErrorKind::AddrInUse);
}

async fn a_port_of_udp_is_no_port_of_tcp(place: Place) {
    // Another process may have the port of the other protocol.
    for _ in 0..10 {
        let udp = place.near_udp().await;
        match TcpListener::bind(udp.local_addr().unwrap()).await {
            Ok(_) => return,
            Err(error) => assert!(!is_simulated(), "{error}"),
        }
    }
    panic!("TCP has no port that UDP has");
}

async fn the_unspecified_ipv6_address_accepts_ipv4(_place: Place) {
    let listener = match TcpListener::bind("[::]:0").await {
        Err(error) if !is_simulated() => {
            println!("skipped: no IPv6 here: {error}");
            return;
        }
        listener => listener.unwrap(),
    };
    let port = listener.local_addr().unwrap().port();
    for ip in ["127.0.0.1", "::1"] {
        let connect = TcpStream::connect((ip, port));
        let (stream, accepted) = join(connect, listener.accept()).await;
        let (stream, (peer, peer_addr)) = (stream.unwrap(), accepted.unwrap());
        assert_eq!(peer.peer_addr().unwrap(), peer_addr);
        // Addresses of IPv4 have the mapped form (RFC 4291, section 2.5.5.2).
        assert!(peer_addr.is_ipv6());
        let ours = stream.local_addr().unwrap();
        assert_eq!(peer_addr.ip().to_canonical(), ours.ip());
        assert_eq!(peer_addr.port(), ours.port());
        write(&stream, b"x").await;
        assert_eq!(read(&peer, 1).await, b"x");
    }
}

async fn a_datagram_from_an_unspecified_address_names_a_definite_one(place: Place) {
    let (sender, receiver) = (
        UdpSocket::bind("0.0.0.0:0").await.unwrap(),
        place.far_udp().await,
    );
    sender
        .send_to(b"question", receiver.local_addr().unwrap())
        .await
        .unwrap();
    let (_, from) = receiver.recv_from(&mut [0; 8]).await.unwrap();
    assert!(!from.ip().is_unspecified());
    assert!(sender.local_addr().unwrap().ip().is_unspecified());
    assert_eq!(from.port(), sender.local_addr().unwrap().port());
    receiver.send_to(b"answer", from).await.unwrap();
    let answer = sender.recv_from(&mut [0; 8]).await.unwrap();
    assert_eq!(answer, (6, receiver.local_addr().unwrap()));
}

async fn connecting_gives_a_udp_socket_a_definite_address(place: Place) {
    let (socket, peer) = (
        UdpSocket::bind("0.0.0.0:0").await.unwrap(),
        place.far_udp().await,
    );
    let port = socket.local_addr().unwrap().port();
    socket.connect(peer.local_addr().unwrap()).await.unwrap();
    let addr = socket.local_addr().unwrap();
    assert!(!addr.ip().is_unspecified());
    assert_eq!(addr.port(), port);
    peer.send_to(b"hello", addr).await.unwrap();
    assert_eq!(socket.recv(&mut [0; 8]).await.unwrap(), 5);
}

async fn a_udp_socket_keeps_what_it_received_before_it_was_connected(place: Place) {
    let (socket, stranger) = (place.near_udp().await, place.far_udp().await);
    let peer = place.far_udp().await;
    stranger
        .send_to(b"early", socket.local_addr().unwrap())
        .await
        .unwrap();
    settle().await;
    socket.connect(peer.local_addr().unwrap()).await.unwrap();
    let received = socket.recv_from(&mut [0; 8]).await.unwrap();
    assert_eq!(received, (5, stranger.local_addr().unwrap()));
}

async fn an_ipv4_socket_does_not_send_to_ipv6(place: Place) {
    /// `EAFNOSUPPORT`.
    const WRONG_FAMILY: i32 = 97;
    let socket = place.near_udp().await;
    let error = socket.send_to(b"x", "[::1]:9").await.unwrap_err();
    assert_eq!(error.raw_os_error(), Some(WRONG_FAMILY), "{error}");
}
