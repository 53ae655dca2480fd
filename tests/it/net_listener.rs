//! How a listener handles connections that arrive while the loop does not turn.
//!
//! What also holds on a simulated network is in `net_laws`.

use crate::support::{block_on, reset};
use futures::FutureExt;
use glassfrog::net::TcpListener;
use std::net::{self, SocketAddr};

/// Returns a listener and its address.
async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
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
