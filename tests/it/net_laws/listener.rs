//! How a listener handles incoming connections, including failed ones.

use super::{Place, is_simulated, read, read_all, settle, write};
use futures::future::{abortable, join, join_all};
use futures::{FutureExt, StreamExt};
use glassfrog::net::{TcpListener, TcpStream};
use std::collections::HashSet;
use std::io;
use std::pin::pin;
use std::rc::Rc;

laws! {
    accept_returns_the_address_of_the_peer,
    connections_are_accepted_in_the_order_of_their_arrival,
    connections_that_arrive_together_are_all_accepted,
    incoming_yields_connections_in_order,
    a_connection_wakes_incoming,
    a_dropped_accept_loses_no_connection,
    a_cancelled_accept_passes_its_connection_to_another,
    a_client_may_write_and_close_before_it_is_accepted,
    a_client_in_the_backlog_may_write_and_end_its_stream,
    connections_closed_in_the_backlog_do_not_stop_the_listener,
    dropping_a_listener_resets_the_connections_in_its_backlog,
    a_dropped_listener_refuses_connections,
    dropping_a_listener_leaves_its_accepted_connections_open,
    a_port_in_use_is_an_error_that_names_the_address,
    a_bind_uses_the_first_free_address,
    each_bind_to_port_0_gets_a_port_of_its_own,
    a_port_can_be_bound_again_while_its_connections_are_open,
    a_port_can_be_bound_again_after_its_connections_were_closed,
    a_listener_accepts_at_every_address_of_its_host,
    a_listener_keeps_its_ttl,
    clients_that_the_backlog_has_no_room_for_connect_later,
}

async fn accept_returns_the_address_of_the_peer(place: Place) {
    let (listener, addr) = place.listener().await;
    let peer = TcpStream::connect(addr).await.unwrap();
    let (stream, peer_addr) = listener.accept().await.unwrap();
    assert_eq!(peer_addr, peer.local_addr().unwrap());
    assert_eq!(stream.peer_addr().unwrap(), peer_addr);
    assert_eq!(stream.local_addr().unwrap(), addr);
}

async fn connections_are_accepted_in_the_order_of_their_arrival(place: Place) {
    let (listener, addr) = place.listener().await;
    let mut peers = Vec::new();
    for _ in 0..5 {
        peers.push(TcpStream::connect(addr).await.unwrap());
        // A connection has arrived when its client has acknowledged it.
        settle().await;
    }
    for peer in peers {
        let (_, peer_addr) = listener.accept().await.unwrap();
        assert_eq!(peer_addr, peer.local_addr().unwrap());
    }
}

async fn connections_that_arrive_together_are_all_accepted(place: Place) {
    const CONNECTIONS: usize = 50;
    let (listener, addr) = place.listener().await;
    let peers = join_all((0..CONNECTIONS).map(|_| TcpStream::connect(addr))).await;
    let mut connected = HashSet::new();
    for peer in &peers {
        connected.insert(peer.as_ref().unwrap().local_addr().unwrap());
    }
    assert_eq!(connected.len(), CONNECTIONS);
    for _ in 0..CONNECTIONS {
        let (_, peer_addr) = listener.accept().await.unwrap();
        assert!(connected.remove(&peer_addr));
    }
    assert!(listener.accept().now_or_never().is_none());
}

async fn incoming_yields_connections_in_order(place: Place) {
    let (listener, addr) = place.listener().await;
    let mut incoming = listener.incoming();
    for _ in 0..3 {
        assert!(incoming.next().now_or_never().is_none());
        let mut peers = Vec::new();
        for _ in 0..5 {
            peers.push(TcpStream::connect(addr).await.unwrap());
            settle().await;
        }
        for peer in peers {
            let stream = incoming.next().await.unwrap().unwrap();
            assert_eq!(stream.peer_addr().unwrap(), peer.local_addr().unwrap());
        }
    }
}

async fn a_connection_wakes_incoming(place: Place) {
    let (listener, addr) = place.listener().await;
    let connect = async {
        settle().await;
        TcpStream::connect(addr).await.unwrap()
    };
    let mut incoming = listener.incoming();
    let (stream, client) = join(incoming.next(), connect).await;
    let peer_addr = stream.unwrap().unwrap().peer_addr().unwrap();
    assert_eq!(peer_addr, client.local_addr().unwrap());
}

async fn a_dropped_accept_loses_no_connection(place: Place) {
    // As many as the backlog of any system holds.
    const CONNECTIONS: usize = 100;
    let (listener, addr) = place.listener().await;
    let mut connected = HashSet::new();
    let mut accepted = HashSet::new();
    let mut peers = Vec::new();
    for round in 0..CONNECTIONS {
        let mut accept = pin!(listener.accept());
        if round % 2 == 0
            && let Some(result) = (&mut accept).now_or_never()
        {
            assert!(accepted.insert(result.unwrap().1));
        }
        let peer = TcpStream::connect(addr).await.unwrap();
        connected.insert(peer.local_addr().unwrap());
        peers.push(peer);
        if round % 3 == 0 {
            settle().await;
        }
        // Drops the accept while unpolled, waiting, or woken.
    }
    while accepted.len() < CONNECTIONS {
        assert!(accepted.insert(listener.accept().await.unwrap().1));
    }
    assert_eq!(accepted, connected);
}

async fn a_cancelled_accept_passes_its_connection_to_another(place: Place) {
    let (listener, addr) = place.listener().await;
    let listener = Rc::new(listener);
    let accept = |listener: &Rc<TcpListener>| {
        let listener = Rc::clone(listener);
        async move { listener.accept().await.unwrap().1 }
    };
    let (first, handle) = abortable(accept(&listener));
    let first = glassfrog::spawn(first);
    let second = glassfrog::spawn(accept(&listener));
    settle().await;
    handle.abort();
    let peer = TcpStream::connect(addr).await.unwrap();
    assert_eq!(second.await.unwrap(), peer.local_addr().unwrap());
    assert!(first.await.unwrap().is_err());
}

async fn a_client_may_write_and_close_before_it_is_accepted(place: Place) {
    let (listener, addr) = place.listener().await;
    for _ in 0..5 {
        let client = TcpStream::connect(addr).await.unwrap();
        write(&client, b"hello").await;
        drop(client);
        settle().await;
    }
    for _ in 0..5 {
        let (stream, _) = listener.accept().await.unwrap();
        assert_eq!(read_all(&stream, 3).await.unwrap(), b"hello");
    }
}

async fn a_client_in_the_backlog_may_write_and_end_its_stream(place: Place) {
    let (listener, addr) = place.listener().await;
    let client = TcpStream::connect(addr).await.unwrap();
    write(&client, b"hello").await;
    client.shutdown(std::net::Shutdown::Write).unwrap();
    settle().await;
    let (stream, _) = listener.accept().await.unwrap();
    assert_eq!(read_all(&stream, 64).await.unwrap(), b"hello");
    write(&stream, b"answer").await;
    drop(stream);
    assert_eq!(read_all(&client, 64).await.unwrap(), b"answer");
}

async fn connections_closed_in_the_backlog_do_not_stop_the_listener(place: Place) {
    let (listener, addr) = place.listener().await;
    for _ in 0..5 {
        let mut clients = Vec::new();
        for _ in 0..3 {
            clients.push(TcpStream::connect(addr).await.unwrap());
            settle().await;
        }
        let stays = clients.remove(1);
        for client in clients {
            write(&client, b"x").await;
            drop(client);
        }
        settle().await;
        for _ in 0..3 {
            let (stream, addr) = listener.accept().await.unwrap();
            if addr == stays.local_addr().unwrap() {
                write(&stays, b"hello").await;
                assert_eq!(read(&stream, 5).await, b"hello");
            } else {
                assert_eq!(read_all(&stream, 8).await.unwrap(), b"x");
            }
        }
    }
}

async fn dropping_a_listener_resets_the_connections_in_its_backlog(place: Place) {
    // Without the pause, the listener may not have heard of the connection yet.
    for pause in [false, true] {
        let (listener, addr) = place.listener().await;
        let peer = TcpStream::connect(addr).await.unwrap();
        if pause {
            settle().await;
        }
        drop(listener);
        // Some systems report a refused connection, others the end of the stream.
        match peer.read(&mut [0; 8]).await {
            Ok(count) => assert_eq!(count, 0),
            Err(error) => assert!(
                matches!(
                    error.kind(),
                    io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted
                ),
                "{error}"
            ),
        }
    }
}

async fn a_dropped_listener_refuses_connections(place: Place) {
    // Another process may get the port in between.
    for _ in 0..10 {
        let (listener, addr) = place.listener().await;
        let _open = TcpStream::connect(addr).await.unwrap();
        drop(listener);
        if let Err(error) = TcpStream::connect(addr).await {
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
            return;
        }
    }
    panic!("connections to closed ports succeed");
}

async fn dropping_a_listener_leaves_its_accepted_connections_open(place: Place) {
    let (listener, addr) = place.listener().await;
    let (stream, accepted) = join(TcpStream::connect(addr), listener.accept()).await;
    let (stream, (peer, _)) = (stream.unwrap(), accepted.unwrap());
    drop(listener);
    settle().await;
    write(&stream, b"question").await;
    assert_eq!(read(&peer, 8).await, b"question");
    write(&peer, b"answer").await;
    drop(peer);
    assert_eq!(read_all(&stream, 8).await.unwrap(), b"answer");
}

async fn a_port_in_use_is_an_error_that_names_the_address(place: Place) {
    let (_listener, addr) = place.listener().await;
    let error = place.there(TcpListener::bind(addr)).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    assert!(error.to_string().contains(&addr.to_string()), "{error}");
}

async fn a_bind_uses_the_first_free_address(place: Place) {
    let (_listener, addr) = place.listener().await;
    let mut free = addr;
    free.set_port(0);
    let listener = place.there(TcpListener::bind([addr, free])).await.unwrap();
    assert_eq!(listener.local_addr().unwrap().ip(), addr.ip());
    assert_ne!(listener.local_addr().unwrap(), addr);
}

async fn each_bind_to_port_0_gets_a_port_of_its_own(place: Place) {
    const LISTENERS: usize = 50;
    let mut listeners = Vec::new();
    let mut addrs = HashSet::new();
    for _ in 0..LISTENERS {
        let (listener, addr) = place.listener().await;
        assert_ne!(addr.port(), 0);
        listeners.push(listener);
        addrs.insert(addr);
    }
    assert_eq!(addrs.len(), LISTENERS);
}

/// The number of ports to try on a real network: the kernel may give one to another process before the test binds it
/// again.
const PORTS: usize = 100;

async fn a_port_can_be_bound_again_while_its_connections_are_open(place: Place) {
    for _ in 0..PORTS {
        let (listener, addr) = place.listener().await;
        let (stream, accepted) = join(TcpStream::connect(addr), listener.accept()).await;
        let (stream, (peer, _)) = (stream.unwrap(), accepted.unwrap());
        drop(listener);
        let again = match place.there(TcpListener::bind(addr)).await {
            Ok(again) => again,
            Err(error) if is_simulated() => panic!("{error}"),
            Err(_) => continue,
        };
        assert_eq!(again.local_addr().unwrap(), addr);
        let (second, accepted) = join(TcpStream::connect(addr), again.accept()).await;
        write(&second.unwrap(), b"new").await;
        assert_eq!(read(&accepted.unwrap().0, 3).await, b"new");
        write(&stream, b"old").await;
        assert_eq!(read(&peer, 3).await, b"old");
        return;
    }
    panic!("none of {PORTS} ports could be bound again");
}

async fn a_port_can_be_bound_again_after_its_connections_were_closed(place: Place) {
    for _ in 0..PORTS {
        let (listener, addr) = place.listener().await;
        let (stream, accepted) = join(TcpStream::connect(addr), listener.accept()).await;
        drop(listener);
        // The end that closes first is the one that stays in TIME_WAIT.
        drop(accepted);
        assert_eq!(read_all(&stream.unwrap(), 8).await.unwrap(), b"");
        match place.there(TcpListener::bind(addr)).await {
            Ok(again) => {
                let (stream, accepted) = join(TcpStream::connect(addr), again.accept()).await;
                assert_eq!(accepted.unwrap().1, stream.unwrap().local_addr().unwrap());
                return;
            }
            Err(error) if is_simulated() => panic!("{error}"),
            Err(_) => continue,
        }
    }
    panic!("none of {PORTS} ports could be bound again");
}

async fn a_listener_accepts_at_every_address_of_its_host(place: Place) {
    let listener = place.there(TcpListener::bind("0.0.0.0:0")).await.unwrap();
    let addr = listener.local_addr().unwrap();
    assert!(addr.ip().is_unspecified());
    let connect = TcpStream::connect((place.far, addr.port()));
    let (stream, accepted) = join(connect, listener.accept()).await;
    let (stream, (peer, peer_addr)) = (stream.unwrap(), accepted.unwrap());
    assert_eq!(stream.local_addr().unwrap(), peer_addr);
    // The end that was accepted has a definite address.
    assert_eq!(peer.local_addr().unwrap(), stream.peer_addr().unwrap());
    assert!(!peer.local_addr().unwrap().ip().is_unspecified());
    let connect = place.there(TcpStream::connect(("127.0.0.1", addr.port())));
    let (stream, accepted) = join(connect, listener.accept()).await;
    assert_eq!(accepted.unwrap().1, stream.unwrap().local_addr().unwrap());
}

async fn a_listener_keeps_its_ttl(place: Place) {
    let (listener, _) = place.listener().await;
    listener.set_ttl(5).unwrap();
    assert_eq!(listener.ttl().unwrap(), 5);
}

async fn clients_that_the_backlog_has_no_room_for_connect_later(place: Place) {
    /// More than the backlog that the standard library and mio ask for.
    const CLIENTS: usize = 200;
    if !is_simulated() && cfg!(not(feature = "slow")) {
        println!("skipped: the kernel takes seconds to ask again");
        return;
    }
    let (listener, addr) = place.listener().await;
    let connect = async || {
        let stream = TcpStream::connect(addr).await.unwrap();
        write(&stream, b"hello").await;
        assert_eq!(read_all(&stream, 8).await.unwrap(), b"goodbye");
    };
    let clients = join_all((0..CLIENTS).map(|_| connect()));
    let serving = async {
        settle().await;
        for _ in 0..CLIENTS {
            let (stream, _) = listener.accept().await.unwrap();
            assert_eq!(read(&stream, 5).await, b"hello");
            write(&stream, b"goodbye").await;
        }
    };
    join(clients, serving).await;
}
