//! The laws of TCP on the wire, in exact virtual time.

use super::harness::{MS, NOTHING, Net, PORT, blocked_writer, fill, kind, read_all};
use crate::wire::{Link, Mask, Tcp};
use std::io::ErrorKind;
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

/// TCP whose reads and writes are never short at random.
fn exact() -> Tcp {
    Tcp::default().short(0.0)
}

/// What a socket is ready for after both directions have closed.
const CLOSED: Mask = Mask {
    readable: true,
    writable: true,
    read_closed: true,
    write_closed: true,
    error: false,
};

/// The same, with an error.
const FAILED: Mask = Mask {
    error: true,
    ..CLOSED
};

/// What a connected socket is ready for.
const WRITABLE: Mask = Mask {
    readable: false,
    writable: true,
    read_closed: false,
    write_closed: false,
    error: false,
};

#[test]
fn connecting_takes_one_round_trip_and_accepting_half_a_one_more() {
    let mut net = Net::new(exact());
    let listener = net.listen();
    let (client, token) = net.connect();
    assert_eq!(kind(client.peer_addr()), ErrorKind::NotConnected);
    assert_eq!(kind(client.write(b"early")), ErrorKind::WouldBlock);
    assert_eq!(kind(client.read(&mut [0])), ErrorKind::WouldBlock);
    net.settle();
    let reports = net.reports(token);
    assert_eq!(
        reports,
        [(Duration::ZERO, Mask::default()), (20 * MS, WRITABLE)]
    );
    let (at, mask) = *net.reports(0).last().unwrap();
    assert_eq!((at, mask.readable), (30 * MS, true));
    let (server, peer) = listener.accept().unwrap();
    assert_eq!(kind(listener.accept().map(|_| ())), ErrorKind::WouldBlock);
    assert_eq!(peer, client.local_addr().unwrap());
    assert_eq!(client.peer_addr().unwrap(), net.server());
    assert_eq!(server.local_addr().unwrap(), net.server());
    assert!(client.take_error().unwrap().is_none());
}

#[test]
fn a_connection_is_refused_after_a_round_trip_where_nobody_listens() {
    let mut net = Net::new(exact());
    let (client, token) = net.connect();
    assert_eq!(net.settle(), 20 * MS);
    assert_eq!(net.reports(token).last(), Some(&(20 * MS, FAILED)));
    let error = client.take_error().unwrap().unwrap();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    // On Linux, it reads like the real error.
    let real = std::io::Error::from_raw_os_error(111);
    if real.kind() == ErrorKind::ConnectionRefused {
        assert_eq!(error.to_string(), real.to_string());
    }
    assert!(client.take_error().unwrap().is_none());
    drop(client);
    assert_eq!(net.kept(), NOTHING);
}

#[test]
fn connecting_to_a_host_without_power_times_out_after_127_seconds() {
    let mut net = Net::new(exact());
    net.wire.power_off(1);
    let (client, token) = net.connect();
    assert_eq!(net.settle(), Duration::from_secs(127));
    assert_eq!(
        net.reports(token).last(),
        Some(&(Duration::from_secs(127), FAILED))
    );
    let error = client.take_error().unwrap().unwrap();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    let sent = net
        .wire
        .lines()
        .iter()
        .filter(|line| line.ends_with("syn"))
        .count();
    assert_eq!(sent, 7);
}

#[test]
fn an_address_that_nobody_has_is_unreachable_after_three_seconds() {
    let mut net = Net::new(exact());
    let client = net.host(0).connect("10.9.9.9:80".parse().unwrap()).unwrap();
    assert_eq!(net.settle(), Duration::from_secs(3));
    let error = client.take_error().unwrap().unwrap();
    assert_eq!(error.kind(), ErrorKind::HostUnreachable);
    let outside = net.host(0).connect("192.0.2.1:80".parse().unwrap());
    assert_eq!(kind(outside), ErrorKind::NetworkUnreachable);
}

#[test]
fn a_host_reaches_itself_in_twenty_microseconds() {
    let mut net = Net::new(exact());
    let local: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let listener = net.host(0).listen(local).unwrap();
    let addr = listener.local_addr().unwrap();
    let client = net.host(0).connect(addr).unwrap();
    assert_eq!(net.settle(), Duration::from_micros(60));
    let (server, peer) = listener.accept().unwrap();
    assert_eq!(peer, client.local_addr().unwrap());
    assert!(peer.ip().is_loopback());
    client.write(b"hi").unwrap();
    net.run_for(Duration::from_micros(20));
    assert_eq!(read_all(&server).0, b"hi");
    // Another host does not reach it, nor this one by its address on the network.
    for (host, ip) in [(1, [10, 0, 0, 1]), (0, [10, 0, 0, 1])] {
        let other = net
            .host(host)
            .connect(SocketAddr::from((ip, addr.port())))
            .unwrap();
        net.settle();
        let error = other.take_error().unwrap().unwrap();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    }
}

#[test]
fn a_socket_of_ipv6_receives_ipv4_and_writes_mapped_addresses() {
    let mut net = Net::new(exact());
    let listener = net.host(1).listen("[::]:80".parse().unwrap()).unwrap();
    for (addr, is_mapped) in [
        ("10.0.0.2:80", true),
        ("[fd00::2]:80", false),
        ("[::ffff:10.0.0.2]:80", true),
    ] {
        let addr: SocketAddr = addr.parse().unwrap();
        let client = net.host(0).connect(addr).unwrap();
        net.settle();
        assert_eq!(client.peer_addr().unwrap(), addr);
        let (server, peer) = listener.accept().unwrap();
        let local = client.local_addr().unwrap();
        assert_eq!(peer.ip().to_canonical(), local.ip().to_canonical());
        let SocketAddr::V6(peer) = peer else {
            panic!("{peer}");
        };
        assert_eq!(peer.ip().to_ipv4_mapped().is_some(), is_mapped);
        assert_eq!(server.peer_addr().unwrap(), SocketAddr::V6(peer));
    }
}

#[test]
fn two_listeners_exclude_each_other_if_their_addresses_overlap() {
    let net = Net::new(exact());
    let listen = |host, addr: &str| net.host(host).listen(addr.parse().unwrap());
    let first = listen(0, "127.0.0.1:5").unwrap();
    assert_eq!(kind(listen(0, "127.0.0.1:5")), ErrorKind::AddrInUse);
    assert_eq!(kind(listen(0, "0.0.0.0:5")), ErrorKind::AddrInUse);
    assert_eq!(kind(listen(0, "[::]:5")), ErrorKind::AddrInUse);
    let _other_address = listen(0, "10.0.0.1:5").unwrap();
    let _other_family = listen(0, "[::1]:5").unwrap();
    let _other_host = listen(1, "0.0.0.0:5").unwrap();
    assert_eq!(kind(listen(0, "10.0.0.2:6")), ErrorKind::AddrNotAvailable);
    drop(first);
    listen(0, "127.0.0.1:5").unwrap();
}

#[test]
fn a_writer_fills_both_buffers_and_is_woken_when_a_third_is_free() {
    let mut net = Net::new(exact().send_buffer(30_000).receive_buffer(20_000));
    let (client, server) = net.pair();
    let mut written = fill(&client);
    assert_eq!(written, 30_000);
    net.settle();
    // 20,000 bytes have been acknowledged: room was reported as soon as there were 10,000.
    assert!(net.reports(1).iter().any(|(_, mask)| mask.writable));
    written += fill(&client);
    net.settle();
    assert_eq!((written, fill(&client)), (50_000, 0));
    net.ready.clear();
    let mut read = 0;
    while read < 50_000 {
        let (bytes, _) = read_all(&server);
        read += bytes.len();
        net.run_for(20 * MS);
    }
    net.settle();
    assert!(net.reports(1).iter().any(|(_, mask)| mask.writable));
    assert_eq!(read, 50_000);
    assert_eq!(fill(&client), 30_000);
}

#[test]
fn half_a_connection_goes_on() {
    let mut net = Net::new(exact());
    let (client, server) = net.pair();
    client.write(b"question").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(kind(client.write(b"more")), ErrorKind::BrokenPipe);
    net.run_for(10 * MS);
    assert_eq!(read_all(&server), (b"question".to_vec(), Ok(())));
    server.write(b"answer").unwrap();
    net.run_for(10 * MS);
    assert_eq!(
        read_all(&client),
        (b"answer".to_vec(), Err(ErrorKind::WouldBlock))
    );
    server.shutdown(Shutdown::Write).unwrap();
    net.run_for(10 * MS);
    assert_eq!(read_all(&client), (Vec::new(), Ok(())));
    assert_eq!(net.reports(1).last().unwrap().1, CLOSED);
    net.settle();
    assert_eq!(
        kind(server.shutdown(Shutdown::Both)),
        ErrorKind::NotConnected
    );
    assert_eq!(kind(client.peer_addr()), ErrorKind::NotConnected);
    drop((client, server));
    assert_eq!(net.kept(), NOTHING);
}

#[test]
fn shutting_down_wakes_whoever_waits_at_the_socket() {
    let mut net = Net::new(exact());
    let (client, _server) = net.pair();
    fill(&client);
    client.shutdown(Shutdown::Read).unwrap();
    net.run_for(Duration::ZERO);
    let mask = net.reports(1).last().unwrap().1;
    assert!(mask.readable && mask.read_closed && !mask.write_closed);
    client.shutdown(Shutdown::Write).unwrap();
    net.run_for(Duration::ZERO);
    assert_eq!(net.reports(1).last().unwrap().1, CLOSED);
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
}

#[test]
fn data_is_read_before_the_reset_which_is_reported_once() {
    let mut net = Net::new(exact());
    let (client, server) = net.pair();
    client.write(b"unread").unwrap();
    server.write(b"data").unwrap();
    net.run_for(15 * MS);
    drop(server);
    net.run_for(10 * MS);
    assert_eq!(net.reports(1).last().unwrap().1, FAILED);
    assert_eq!(
        read_all(&client),
        (b"data".to_vec(), Err(ErrorKind::ConnectionReset))
    );
    assert_eq!(read_all(&client), (Vec::new(), Ok(())));
    assert_eq!(kind(client.write(b"x")), ErrorKind::BrokenPipe);
    assert_eq!(
        kind(client.shutdown(Shutdown::Write)),
        ErrorKind::NotConnected
    );
    drop(client);
    net.settle();
    assert_eq!(net.kept(), NOTHING);
}

#[test]
fn a_write_after_the_peer_has_closed_is_answered_with_a_reset() {
    let mut net = Net::new(exact());
    let (client, server) = net.pair();
    drop(server);
    net.run_for(10 * MS);
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
    client.write(b"nobody reads this").unwrap();
    net.run_for(20 * MS);
    assert_eq!(kind(client.write(b"x")), ErrorKind::BrokenPipe);
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
    drop(client);
    net.settle();
    assert_eq!(net.kept(), NOTHING);
}

#[test]
fn a_full_backlog_drops_first_segments_and_their_senders_try_again() {
    let mut net = Net::new(exact());
    let listener = net.listen();
    let clients: Vec<_> = (0..129).map(|_| net.connect()).collect();
    net.run_for(30 * MS);
    let (late, token) = net.connect();
    net.run_for(500 * MS);
    assert_eq!(kind(late.peer_addr()), ErrorKind::NotConnected);
    let accepted: Vec<_> = (0..129).map(|_| listener.accept().unwrap()).collect();
    net.run_for(Duration::from_secs(2));
    // The first segment was repeated after a second, and answered after 20 ms.
    assert_eq!(net.reports(token).last(), Some(&(1050 * MS, WRITABLE)));
    assert!(listener.accept().is_ok());
    drop((clients, accepted, late, listener));
    net.settle();
    assert_eq!(net.kept(), NOTHING);
}

#[test]
fn connections_beyond_the_backlog_that_are_half_open_complete_when_there_is_room() {
    let mut net = Net::new(exact());
    let listener = net.listen();
    // All first segments arrive before the first connection is complete.
    let clients: Vec<_> = (0..140).map(|_| net.connect().0).collect();
    net.run_for(25 * MS);
    for client in &clients {
        client.write(b"hello").unwrap();
    }
    net.run_for(100 * MS);
    let mut accepted: Vec<_> = std::iter::from_fn(|| listener.accept().ok()).collect();
    assert_eq!(accepted.len(), 129);
    net.run_for(Duration::from_secs(10));
    accepted.extend(std::iter::from_fn(|| listener.accept().ok()));
    assert_eq!(accepted.len(), 140);
    for (server, _) in &accepted {
        assert_eq!(read_all(server).0, b"hello");
    }
}

#[test]
fn a_closed_listener_resets_the_connections_that_it_has_not_accepted() {
    let mut net = Net::new(exact());
    let listener = net.listen();
    let (client, _) = net.connect();
    net.run_for(30 * MS);
    drop(listener);
    net.settle();
    assert_eq!(kind(client.read(&mut [0])), ErrorKind::ConnectionReset);
    drop(client);
    assert_eq!(net.kept(), NOTHING);
}

#[test]
fn a_connection_that_was_reset_in_the_backlog_is_accepted_all_the_same() {
    let mut net = Net::new(exact());
    let listener = net.listen();
    let (client, _) = net.connect();
    net.run_for(30 * MS);
    net.wire.reset(0, 1);
    drop(client);
    let (server, _) = listener.accept().unwrap();
    assert_eq!(kind(server.read(&mut [0])), ErrorKind::ConnectionReset);
}

#[test]
fn the_end_that_closes_first_waits_a_minute_and_is_gone() {
    let mut net = Net::new(exact());
    let (client, server) = net.pair();
    drop(client);
    net.run_for(10 * MS);
    drop(server);
    let last = net.settle();
    // 30 ms until both were connected, 10 for the end of the client, and 10 for that of the server.
    assert_eq!(last, Duration::from_secs(60) + 50 * MS);
    assert_eq!(net.kept(), NOTHING);
}

#[test]
fn an_end_without_a_socket_whose_peer_never_closes_is_gone_after_a_minute() {
    let mut net = Net::new(exact());
    let (client, server) = net.pair();
    drop(client);
    let last = net.settle();
    assert_eq!(last, Duration::from_secs(60) + 50 * MS);
    server.write(b"too late").unwrap();
    net.run_for(20 * MS);
    assert_eq!(kind(server.write(b"x")), ErrorKind::BrokenPipe);
    drop(server);
    assert_eq!(net.kept(), NOTHING);
}

#[test]
fn writes_are_cut_into_segments_of_the_mtu() {
    let mut net = Net::new(exact());
    net.wire.set_link(Link::latency(MS..=MS).mtu(540));
    let (client, server) = net.pair();
    net.wire.record(1000);
    client.write(&[1; 1200]).unwrap();
    net.run_for(MS);
    let lines = net.wire.lines();
    let of = |what: &str| lines.iter().filter(|line| line.ends_with(what)).count();
    assert_eq!((of("500 bytes"), of("200 bytes")), (2, 1));
    assert_eq!(read_all(&server).0.len(), 1200);
}

#[test]
fn a_peek_leaves_what_it_reads() {
    let mut net = Net::new(exact());
    let (client, server) = net.pair();
    client.write(b"abc").unwrap();
    net.run_for(10 * MS);
    let mut buf = [0; 2];
    assert_eq!(server.peek(&mut buf).unwrap(), 2);
    assert_eq!(read_all(&server).0, b"abc");
}

#[test]
fn a_port_that_a_connection_was_opened_from_is_in_use_until_it_is_over() {
    let mut net = Net::new(exact());
    let (client, server) = net.pair();
    let port = client.local_addr().unwrap().port();
    let addr = SocketAddr::from(([0, 0, 0, 0], port));
    assert_eq!(kind(net.host(0).listen(addr)), ErrorKind::AddrInUse);
    // The port of an accepted connection is free for a listener: `SO_REUSEADDR`.
    net.host(1)
        .listen(SocketAddr::from(([0, 0, 0, 0], PORT)))
        .unwrap();
    drop(client);
    drop(server);
    net.settle();
    net.host(0).listen(addr).unwrap();
}

#[test]
fn the_ports_of_a_host_are_used_up_for_one_address_alone() {
    let mut net = Net::new(exact());
    let listener = net.listen();
    let mut clients = Vec::new();
    let mut servers = Vec::new();
    let error = loop {
        match net.host(0).connect(net.server()) {
            Ok(client) => clients.push(client),
            Err(error) => break error,
        }
        if clients.len() % 100 == 0 {
            net.run_for(30 * MS);
            servers.extend(std::iter::from_fn(|| listener.accept().ok()));
        }
    };
    assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
    assert_eq!(clients.len(), 28_232);
    net.host(0).connect("10.0.0.2:81".parse().unwrap()).unwrap();
}

#[test]
fn a_reset_that_overtakes_data_does_not_destroy_it() {
    let mut net = Net::new(exact());
    let (client, server) = net.pair();
    client.write(b"unread").unwrap();
    net.run_for(10 * MS);
    server.write(b"data").unwrap();
    net.wire.set_link(Link::latency(9 * MS..=9 * MS));
    drop(server);
    net.settle();
    assert_eq!(
        read_all(&client),
        (b"data".to_vec(), Err(ErrorKind::ConnectionReset))
    );
    drop(client);
    net.settle();
    assert_eq!(net.kept(), NOTHING);
}

#[test]
fn a_host_can_connect_to_itself_again_and_again() {
    let mut net = Net::new(exact());
    let listener = net
        .host(0)
        .listen(SocketAddr::from(([127, 0, 0, 1], PORT)))
        .unwrap();
    let addr = listener.local_addr().unwrap();
    // The client closes first. Linux uses its port again after a second (`tcp_tw_reuse`).
    for _ in 0..30_000 {
        let client = net.host(0).connect(addr).unwrap();
        net.run_for(MS);
        drop(client);
        assert!(listener.accept().is_ok());
        net.run_for(MS);
    }
    drop(listener);
    net.settle();
    assert_eq!(net.kept(), NOTHING);
}

#[test]
fn the_ports_of_a_client_that_closes_first_are_used_up_for_a_minute() {
    let mut net = Net::new(exact());
    net.wire.set_link(Link::latency(MS / 10..=MS / 10));
    let listener = net.listen();
    let once = |net: &mut Net| {
        let client = net.host(0).connect(net.server())?;
        net.run_for(MS);
        drop(client);
        drop(listener.accept()?);
        net.run_for(MS);
        std::io::Result::Ok(())
    };
    for _ in 0..28_232 {
        once(&mut net).unwrap();
    }
    assert_eq!(kind(once(&mut net)), ErrorKind::AddrNotAvailable);
    net.run_for(Duration::from_secs(60));
    once(&mut net).unwrap();
}

#[test]
fn the_memory_of_a_server_that_closes_first_does_not_grow_with_its_connections() {
    let mut net = Net::new(exact());
    net.wire.set_link(Link::latency(MS / 10..=MS / 10));
    let listener = net.listen();
    for _ in 0..30_000 {
        let client = net.host(0).connect(net.server()).unwrap();
        net.run_for(MS);
        drop(listener.accept().unwrap());
        net.run_for(MS / 4);
        drop(client);
        net.run_for(MS / 4);
    }
    // One for each port of the client.
    assert!(
        net.kept().contains("ends: 28232, connections: 28232"),
        "{}",
        net.kept()
    );
    drop(listener);
    net.settle();
    assert_eq!(net.kept(), NOTHING);
}

#[test]
fn an_end_without_a_socket_gives_up_at_a_window_that_stays_closed() {
    let (mut net, client, server, begin) = blocked_writer();
    drop(client);
    let passed = net.settle() - begin;
    // Eleven time-outs, and ten round trips with the answers to the probes.
    assert_eq!(passed, 324_600 * MS + 200 * MS);
    assert_eq!(read_all(&server).0.len(), 3000);
    drop(server);
    net.settle();
    assert_eq!(net.kept(), NOTHING);
}

#[test]
fn an_end_without_a_socket_sends_the_rest_when_the_window_opens() {
    let (mut net, client, server, _) = blocked_writer();
    drop(client);
    net.run_for(Duration::from_secs(300));
    assert_eq!(read_all(&server).0.len(), 3000);
    net.run_for(20 * MS);
    assert_eq!(read_all(&server), (vec![7; 3000], Ok(())));
}

#[test]
fn a_latency_that_never_ends_does_not_overflow_the_time() {
    let mut net = Net::new(exact());
    let listener = net.listen();
    net.wire
        .set_link(Link::latency(Duration::MAX..=Duration::MAX));
    let (client, _) = net.connect();
    net.settle();
    assert_eq!(
        client.take_error().unwrap().unwrap().kind(),
        ErrorKind::TimedOut
    );
    drop((client, listener));
    net.settle();
}

#[test]
#[should_panic(expected = "for 1 GiB at most")]
fn a_buffer_larger_than_the_largest_window_is_refused() {
    let _ = Tcp::default().receive_buffer(usize::MAX);
}

#[test]
fn buffers_of_one_byte_carry_a_stream() {
    let mut net = Net::new(Tcp::default().send_buffer(1).receive_buffer(1).short(1.0));
    let (client, server) = net.pair();
    let (mut sent, mut got) = (0_u8, Vec::new());
    while got.len() < 50 {
        if sent < 50 && client.write(&[sent, sent + 1]).is_ok() {
            sent += 1;
        }
        net.step();
        got.extend(read_all(&server).0);
    }
    assert_eq!(got, (0..50).collect::<Vec<u8>>());
}
