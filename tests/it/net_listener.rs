//! How a listener handles incoming connections, including failed ones.

use crate::support::{block_on, reset, settle};
use futures::future::{abortable, join};
use futures::{FutureExt, StreamExt};
use glassfrog::net::{TcpListener, TcpStream};
use std::collections::HashSet;
use std::io::{self, Read};
use std::net::{self, SocketAddr};
use std::pin::pin;
use std::rc::Rc;

/// Returns a listener and its address.
async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

#[test]
fn accept_returns_the_address_of_the_peer() {
    block_on(async {
        let (listener, addr) = listener().await;
        let peer = net::TcpStream::connect(addr).unwrap();
        let (stream, peer_addr) = listener.accept().await.unwrap();
        assert_eq!(peer_addr, peer.local_addr().unwrap());
        assert_eq!(stream.peer_addr().unwrap(), peer_addr);
        assert_eq!(stream.local_addr().unwrap(), addr);
    });
}

#[test]
fn connections_that_arrive_together_are_all_accepted() {
    block_on(async {
        let (listener, addr) = listener().await;
        // They cause one event, because the loop does not turn in between.
        let peers = [(); 50].map(|()| net::TcpStream::connect(addr).unwrap());
        for peer in peers {
            let (_, peer_addr) = listener.accept().await.unwrap();
            assert_eq!(peer_addr, peer.local_addr().unwrap());
        }
        assert!(listener.accept().now_or_never().is_none());
    });
}

#[test]
fn incoming_yields_connections_in_order() {
    block_on(async {
        let (listener, addr) = listener().await;
        let mut incoming = listener.incoming();
        for _ in 0..3 {
            assert!(incoming.next().now_or_never().is_none());
            let peers = [(); 5].map(|()| net::TcpStream::connect(addr).unwrap());
            for peer in peers {
                let stream = incoming.next().await.unwrap().unwrap();
                assert_eq!(stream.peer_addr().unwrap(), peer.local_addr().unwrap());
            }
        }
    });
}

#[test]
fn a_connection_wakes_incoming() {
    block_on(async {
        let (listener, addr) = listener().await;
        let connect = async {
            settle().await;
            TcpStream::connect(addr).await.unwrap()
        };
        let mut incoming = listener.incoming();
        let (stream, client) = join(incoming.next(), connect).await;
        assert_eq!(
            stream.unwrap().unwrap().peer_addr().unwrap(),
            client.local_addr().unwrap()
        );
    });
}

#[test]
fn a_dropped_accept_loses_no_connection() {
    // As many as the backlog holds.
    const CONNECTIONS: usize = 100;
    block_on(async {
        let (listener, addr) = listener().await;
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
            let peer = net::TcpStream::connect(addr).unwrap();
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
    });
}

#[test]
fn a_cancelled_accept_passes_its_connection_to_another() {
    block_on(async {
        let (listener, addr) = listener().await;
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
        let peer = net::TcpStream::connect(addr).unwrap();
        assert_eq!(second.await.unwrap(), peer.local_addr().unwrap());
        assert!(first.await.unwrap().is_err());
    });
}

#[test]
fn a_connection_reset_in_the_backlog_does_not_stop_the_listener() {
    block_on(async {
        for _ in 0..20 {
            let (listener, addr) = listener().await;
            reset(net::TcpStream::connect(addr).unwrap());
            reset(net::TcpStream::connect(addr).unwrap());
            let peer = net::TcpStream::connect(addr).unwrap();
            reset(net::TcpStream::connect(addr).unwrap());
            // Some systems, Linux among them, return connections that were reset; others do not.
            while listener.accept().await.unwrap().1 != peer.local_addr().unwrap() {}
        }
    });
}

#[test]
fn dropping_a_listener_resets_the_connections_in_its_backlog() {
    block_on(async {
        let (listener, addr) = listener().await;
        let mut peer = net::TcpStream::connect(addr).unwrap();
        drop(listener);
        // Some systems report a refused connection, others the end of the stream.
        match peer.read(&mut [0; 8]) {
            Ok(count) => assert_eq!(count, 0),
            Err(error) => assert!(
                matches!(
                    error.kind(),
                    io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted
                ),
                "{error}"
            ),
        }
    });
}

#[test]
fn a_listener_keeps_its_ttl() {
    block_on(async {
        let (listener, _) = listener().await;
        listener.set_ttl(5).unwrap();
        assert_eq!(listener.ttl().unwrap(), 5);
    });
}
