//! How connections are made, and the errors when that fails.

use super::{Place, assert_fails, is_simulated, read, read_all, settle, write};
use futures::FutureExt;
use futures::future::join;
use glassfrog::net::{TcpListener, TcpStream, ToSocketAddrs, lookup_host};
use glassfrog::time::timeout;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::time::Duration;

laws! {
    both_ends_know_the_addresses,
    the_addresses_outlive_the_close_of_the_peer,
    a_refused_connect_names_the_address,
    a_refusal_does_not_stop_the_next_connect,
    a_connect_uses_the_first_address_that_answers,
    a_failed_connect_reports_the_error_of_each_address,
    an_empty_list_of_addresses_is_an_error,
    every_form_of_address_is_accepted,
    an_ipv6_address_is_accepted,
    a_malformed_address_is_an_error_that_quotes_it,
    an_unknown_name_is_an_error_that_quotes_it,
    localhost_is_this_host,
    a_dropped_connect_does_not_stop_the_listener,
    a_connect_in_time_is_not_timed_out,
    a_host_connects_to_itself,
}

async fn both_ends_know_the_addresses(place: Place) {
    let (listener, addr) = place.listener().await;
    let (stream, accepted) = join(TcpStream::connect(addr), listener.accept()).await;
    let (stream, (peer, peer_addr)) = (stream.unwrap(), accepted.unwrap());
    assert_ne!(addr.port(), 0);
    assert_eq!(stream.peer_addr().unwrap(), addr);
    assert_eq!(peer.local_addr().unwrap(), addr);
    assert_eq!(stream.local_addr().unwrap(), peer_addr);
    assert_eq!(peer.peer_addr().unwrap(), peer_addr);
    assert_ne!(peer_addr, addr);
}

async fn the_addresses_outlive_the_close_of_the_peer(place: Place) {
    for (stream, peer) in place.pairs().await {
        let (ours, theirs) = (peer.peer_addr().unwrap(), peer.local_addr().unwrap());
        drop(peer);
        assert_eq!(read_all(&stream, 8).await.unwrap(), b"");
        assert_eq!(stream.local_addr().unwrap(), ours);
        assert_eq!(stream.peer_addr().unwrap(), theirs);
    }
}

async fn a_refused_connect_names_the_address(place: Place) {
    let refusing = place.refusing().await;
    let addr = refusing.addr;
    let error = TcpStream::connect(addr).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    let text = error.to_string();
    assert!(text.starts_with(&format!("connect to {addr}: ")), "{text}");
}

async fn a_refusal_does_not_stop_the_next_connect(place: Place) {
    let refusing = place.refusing().await;
    let (listener, addr) = place.listener().await;
    for _ in 0..3 {
        let refused = TcpStream::connect(refusing.addr).await;
        assert_fails(refused, io::ErrorKind::ConnectionRefused);
        let (connected, accepted) = join(TcpStream::connect(addr), listener.accept()).await;
        write(&connected.unwrap(), b"x").await;
        assert_eq!(read(&accepted.unwrap().0, 1).await, b"x");
    }
}

async fn a_connect_uses_the_first_address_that_answers(place: Place) {
    let (refusing, another) = (place.refusing().await, place.refusing().await);
    let (_first, first) = place.listener().await;
    let (_second, second) = place.listener().await;
    for addrs in [
        &[first][..],
        &[first, second],
        &[refusing.addr, first, second],
        &[refusing.addr, another.addr, first, second],
    ] {
        let stream = TcpStream::connect(addrs).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), first);
    }
}

async fn a_failed_connect_reports_the_error_of_each_address(place: Place) {
    let refusing = [place.refusing().await, place.refusing().await];
    let addrs = refusing.each_ref().map(|refusing| refusing.addr);
    let mut reasons = Vec::new();
    for addr in addrs {
        reasons.push(TcpStream::connect(addr).await.unwrap_err().to_string());
    }
    let error = TcpStream::connect(addrs).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    assert_eq!(error.to_string(), reasons.join("; "));
    // The text is one line too, for `main` functions that return the error.
    assert!(format!("{error:?}").contains(&reasons.join("; ")));
}

async fn an_empty_list_of_addresses_is_an_error(_place: Place) {
    let none: &[SocketAddr] = &[];
    for error in [
        TcpStream::connect(none).await.unwrap_err(),
        TcpListener::bind(none).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains("no address"), "{error}");
    }
}

/// Connects, and checks that the listener accepts the connection.
async fn reaches(listener: &TcpListener, addr: impl ToSocketAddrs) {
    let (stream, accepted) = join(TcpStream::connect(addr), listener.accept()).await;
    assert_eq!(accepted.unwrap().1, stream.unwrap().local_addr().unwrap());
}

async fn every_form_of_address_is_accepted(place: Place) {
    let (listener, addr) = place.listener().await;
    let (ip, port) = (addr.ip(), addr.port());
    let IpAddr::V4(ip_v4) = ip else {
        panic!("{ip} is not an IPv4 address");
    };
    reaches(&listener, addr).await;
    reaches(&listener, &addr).await;
    reaches(&listener, SocketAddrV4::new(ip_v4, port)).await;
    reaches(&listener, [addr]).await;
    reaches(&listener, &[addr][..]).await;
    reaches(&listener, (ip_v4, port)).await;
    reaches(&listener, (ip, port)).await;
    reaches(&listener, (&*ip.to_string(), port)).await;
    reaches(&listener, (ip.to_string(), port)).await;
    reaches(&listener, (place.far, port)).await;
    reaches(&listener, format!("{}:{port}", place.far)).await;
    reaches(&listener, &format!("{ip}:{port}")).await;
    reaches(&listener, format!("{ip}:{port}").as_str()).await;
}

async fn an_ipv6_address_is_accepted(_place: Place) {
    let localhost = Ipv6Addr::LOCALHOST;
    // Not every machine has such an interface. The law holds only if the system itself can bind.
    if !is_simulated() && std::net::TcpListener::bind((localhost, 0)).is_err() {
        println!("skipped: no IPv6 here");
        return;
    }
    let listener = TcpListener::bind("[::1]:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    assert_eq!(addr.ip(), localhost);
    let port = addr.port();
    reaches(&listener, format!("[::1]:{port}")).await;
    reaches(&listener, format!("[0:0:0:0:0:0:0:1]:{port}")).await;
    reaches(&listener, ("::1", port)).await;
    reaches(&listener, (localhost, port)).await;
    reaches(&listener, SocketAddrV6::new(localhost, port, 0, 0)).await;
}

async fn a_malformed_address_is_an_error_that_quotes_it(_place: Place) {
    for text in [
        "",
        "127.0.0.1",
        "127.0.0.1:65536",
        "local host:80",
        "[::1]:",
    ] {
        for error in [
            TcpStream::connect(text).await.unwrap_err(),
            TcpListener::bind(text).await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
            assert!(error.to_string().contains(&format!("`{text}`")), "{error}");
        }
    }
}

async fn an_unknown_name_is_an_error_that_quotes_it(_place: Place) {
    // A label is too long (RFC 1035, section 2.3.4), so that the resolver of a real network sends no query.
    let name = format!("{}.invalid", "a".repeat(64));
    for error in [
        TcpStream::connect((&*name, 80)).await.unwrap_err(),
        TcpListener::bind((&*name, 80)).await.unwrap_err(),
        lookup_host((&*name, 80)).await.map(|_| ()).unwrap_err(),
    ] {
        let text = error.to_string();
        assert!(text.starts_with(&format!("resolve {name}: ")), "{text}");
    }
}

async fn localhost_is_this_host(_place: Place) {
    let addrs = lookup_host(("localhost", 80)).await.unwrap();
    let addrs: Vec<_> = addrs.collect();
    assert!(!addrs.is_empty());
    for addr in addrs {
        assert!(addr.ip().is_loopback() && addr.port() == 80, "{addr}");
    }
}

async fn a_dropped_connect_does_not_stop_the_listener(place: Place) {
    let (listener, addr) = place.listener().await;
    for polls in 0..4 {
        let mut connect = Box::pin(TcpStream::connect(addr));
        for _ in 0..polls {
            if (&mut connect).now_or_never().is_some() {
                break;
            }
            glassfrog::task::yield_now().await;
        }
        drop(connect);
        settle().await;
        let stream = TcpStream::connect(addr).await.unwrap();
        let ours = stream.local_addr().unwrap();
        // The kernel may have finished the handshake of the dropped connect.
        let peer = loop {
            let (peer, addr) = listener.accept().await.unwrap();
            if addr == ours {
                break peer;
            }
            assert_eq!(read_all(&peer, 8).await.unwrap(), b"");
        };
        write(&stream, b"x").await;
        assert_eq!(read(&peer, 1).await, b"x");
    }
}

async fn a_connect_in_time_is_not_timed_out(place: Place) {
    let (_listener, addr) = place.listener().await;
    let patience = Duration::from_secs(60);
    let connected = timeout(patience, TcpStream::connect(addr)).await;
    assert_eq!(connected.unwrap().unwrap().peer_addr().unwrap(), addr);
}

async fn a_host_connects_to_itself(place: Place) {
    for ip in [place.near, "127.0.0.1"] {
        let listener = TcpListener::bind((ip, 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (stream, accepted) = join(TcpStream::connect(addr), listener.accept()).await;
        let (stream, (peer, _)) = (stream.unwrap(), accepted.unwrap());
        write(&stream, b"hello").await;
        assert_eq!(read(&peer, 5).await, b"hello");
    }
}
