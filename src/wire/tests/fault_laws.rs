//! The laws of faults on the wire, in exact virtual time.

use super::harness::{MS, NOTHING, Net, PORT, blocked_writer, fill, kind, read_all};
use crate::wire::{Link, Tcp};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

/// TCP whose reads and writes are never short at random.
fn exact() -> Tcp {
    Tcp::default().short(0.0)
}

#[test]
fn a_lost_segment_is_sent_again_after_200_ms_then_400_and_so_on() {
    let mut net = Net::new(exact());
    let (client, server) = net.pair();
    net.wire.cut(0, 1);
    client.write(b"x").unwrap();
    net.run_for(1500 * MS);
    assert_eq!(kind(server.read(&mut [0])), ErrorKind::WouldBlock);
    net.wire.repair(0, 1);
    // Sent after 0, 200, 600, 1400 and 3000 ms.
    net.run_for(1509 * MS);
    assert_eq!(kind(server.read(&mut [0])), ErrorKind::WouldBlock);
    net.run_for(MS);
    assert_eq!(read_all(&server).0, b"x");
}

#[test]
fn a_connection_that_is_cut_for_good_times_out_after_924_600_ms() {
    let mut net = Net::new(exact());
    let (client, server) = net.pair();
    let begin = net.now();
    net.partition();
    client.write(b"x").unwrap();
    net.wire.record(1000);
    assert_eq!(net.settle() - begin, 924_600 * MS);
    let sent = net
        .wire
        .lines()
        .iter()
        .filter(|line| line.ends_with("1 byte"))
        .count();
    // Once, and 15 times again.
    assert_eq!(sent, 16);
    assert_eq!(kind(client.read(&mut [0])), ErrorKind::TimedOut);
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
    // The peer has heard nothing of it.
    assert_eq!(kind(server.read(&mut [0])), ErrorKind::WouldBlock);
}

#[test]
fn a_cut_loses_what_is_under_way() {
    let mut net = Net::new(exact());
    let (client, server) = net.pair();
    client.write(b"x").unwrap();
    net.run_for(5 * MS);
    net.wire.cut(0, 1);
    net.run_for(10 * MS);
    net.wire.repair(0, 1);
    net.run_for(194 * MS);
    assert_eq!(kind(server.read(&mut [0])), ErrorKind::WouldBlock);
    net.run_for(MS);
    assert_eq!(read_all(&server).0, b"x");
}

#[test]
fn a_one_way_cut_lets_the_other_direction_through_but_not_its_acknowledgments() {
    let mut net = Net::new(exact());
    let (client, server) = net.pair();
    net.wire.cut(1, 0);
    client.write(b"there").unwrap();
    server.write(b"back").unwrap();
    net.run_for(10 * MS);
    assert_eq!(read_all(&server).0, b"there");
    assert_eq!(read_all(&client).0, b"");
    let begin = net.now() - 10 * MS;
    // Without an acknowledgment, the client sends the same again until it gives up.
    net.settle();
    assert_eq!(net.now() - begin, 924_600 * MS);
    assert_eq!(kind(client.read(&mut [0])), ErrorKind::TimedOut);
    assert_eq!(read_all(&server).0, b"");
}

#[test]
fn a_lost_acknowledgment_is_made_good_by_a_retransmission() {
    let mut net = Net::new(exact().send_buffer(3000));
    let (client, server) = net.pair();
    net.wire.cut(1, 0);
    assert_eq!(fill(&client), 3000);
    net.run_for(15 * MS);
    net.wire.repair(1, 0);
    assert_eq!(read_all(&server).0.len(), 3000);
    assert_eq!(fill(&client), 0);
    net.run_for(205 * MS);
    assert_eq!(fill(&client), 3000);
}

#[test]
fn a_hold_delays_and_a_release_delivers_in_order() {
    let mut net = Net::new(exact());
    net.wire.set_link(Link::latency(MS..=50 * MS));
    let (client, server) = {
        net.wire.set_link(Link::latency(10 * MS..=10 * MS));
        let pair = net.pair();
        net.wire.set_link(Link::latency(MS..=50 * MS));
        pair
    };
    net.wire.hold(0, 1);
    for number in 0..10 {
        client.write(&[number]).unwrap();
    }
    net.run_for(150 * MS);
    assert_eq!(read_all(&server).0, b"");
    net.wire.record(100);
    net.wire.release(0, 1);
    net.run_for(50 * MS);
    assert_eq!(read_all(&server).0, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    let lines = net.wire.lines();
    let arrivals: Vec<&str> = lines
        .iter()
        .filter(|line| line.ends_with("1 byte: arrives"))
        .map(|line| line.split([' ', ',']).nth(5).unwrap())
        .collect();
    assert_eq!(
        arrivals,
        ["#0", "#1", "#2", "#3", "#4", "#5", "#6", "#7", "#8", "#9"]
    );
}

#[test]
fn what_is_held_under_way_arrives_at_the_release() {
    let mut net = Net::new(exact());
    let (client, server) = net.pair();
    client.write(b"x").unwrap();
    net.run_for(5 * MS);
    net.wire.hold(0, 1);
    net.run_for(100 * MS);
    assert_eq!(read_all(&server).0, b"");
    net.wire.release(0, 1);
    net.run_for(Duration::ZERO);
    assert_eq!(read_all(&server).0, b"x");
}

#[test]
fn fifty_kilobytes_at_a_hundred_a_second_take_half_a_second() {
    let mut net = Net::new(exact());
    let (client, server) = net.pair();
    net.wire
        .set_link(Link::latency(10 * MS..=10 * MS).bandwidth(100_000));
    client.write(&[1; 50_000]).unwrap();
    // 35 segments: 50,000 bytes and 40 each.
    net.run_for(523 * MS);
    let (first, _) = read_all(&server);
    assert!((48_000..50_000).contains(&first.len()), "{}", first.len());
    net.run_for(MS);
    assert_eq!(first.len() + read_all(&server).0.len(), 50_000);
}

#[test]
fn a_crash_is_silent_and_a_restarted_host_resets_what_it_no_longer_knows() {
    let mut net = Net::new(exact());
    let (client, server) = net.pair();
    net.wire.power_off(1);
    net.run_for(Duration::from_secs(5));
    assert_eq!(kind(client.read(&mut [0])), ErrorKind::WouldBlock);
    assert_eq!(kind(server.read(&mut [0])), ErrorKind::NetworkDown);
    drop(server);
    client.write(b"x").unwrap();
    net.run_for(Duration::from_secs(1));
    net.wire.power_on(1);
    // Sent again after 0, 200, 600 and 1400 ms.
    net.run_for(419 * MS);
    assert_eq!(kind(client.read(&mut [0])), ErrorKind::WouldBlock);
    net.run_for(MS);
    assert_eq!(kind(client.read(&mut [0])), ErrorKind::ConnectionReset);
    drop(client);
    net.settle();
    assert_eq!(net.kept(), NOTHING);
}

#[test]
fn a_crash_leaves_nothing_of_the_host_behind() {
    let mut net = Net::new(exact());
    let listener = net.listen();
    let clients: Vec<_> = (0..10).map(|_| net.connect().0).collect();
    net.run_for(30 * MS);
    let server = listener.accept().unwrap();
    net.wire.power_off(1);
    assert!(
        net.kept()
            .contains("ends: 10, connections: 10, listeners: 0"),
        "{}",
        net.kept()
    );
    drop((server, listener));
    net.wire.power_on(1);
    let again = net.listen();
    let (client, _) = net.connect();
    net.run_for(30 * MS);
    assert!(again.accept().is_ok());
    drop((clients, client, again));
    net.settle();
    assert_eq!(net.kept(), NOTHING);
}

#[test]
fn a_client_that_comes_back_from_the_same_port_replaces_its_old_connection() {
    let mut net = Net::new(exact());
    let listener = net.listen();
    let (client, _) = net.connect();
    let port = client.local_addr().unwrap().port();
    net.run_for(30 * MS);
    let (old, _) = listener.accept().unwrap();
    net.wire.power_off(0);
    drop(client);
    net.wire.power_on(0);
    // The ports go round.
    let new = loop {
        let (client, _) = net.connect();
        if client.local_addr().unwrap().port() == port {
            break client;
        }
    };
    net.run_for(Duration::from_secs(2));
    assert_eq!(kind(old.read(&mut [0])), ErrorKind::ConnectionReset);
    let accepted: Vec<_> = std::iter::from_fn(|| listener.accept().ok()).collect();
    assert!(
        accepted
            .iter()
            .any(|(_, peer)| *peer == new.local_addr().unwrap())
    );
}

#[test]
fn a_writer_at_a_closed_window_notices_that_its_peer_has_crashed() {
    let (mut net, client, _server, begin) = blocked_writer();
    net.wire.power_off(1);
    assert_eq!(net.settle() - begin, 924_600 * MS);
    assert_eq!(kind(client.write(b"x")), ErrorKind::TimedOut);
    assert_eq!(kind(client.write(b"x")), ErrorKind::BrokenPipe);
}

#[test]
fn a_lost_announcement_of_room_is_asked_for() {
    let (mut net, _client, server, _) = blocked_writer();
    net.wire.cut(1, 0);
    assert_eq!(read_all(&server).0.len(), 3000);
    net.run_for(100 * MS);
    net.wire.repair(1, 0);
    net.run_for(100 * MS);
    net.run_for(20 * MS);
    net.run_for(10 * MS);
    assert_eq!(read_all(&server).0.len(), 3000);
}

#[test]
fn a_reset_of_a_pair_of_hosts_reaches_both_ends_at_once() {
    let mut net = Net::new(exact());
    let (client, server) = net.pair();
    server.write(b"under way").unwrap();
    net.wire.reset(1, 0);
    for end in [&client, &server] {
        assert_eq!(kind(end.read(&mut [0])), ErrorKind::ConnectionReset);
    }
    net.settle();
    assert_eq!(read_all(&client).0, b"");
}

#[test]
fn a_killed_host_says_goodbye() {
    let mut net = Net::new(exact());
    let (client, server) = net.pair();
    net.wire.close_all(1);
    net.run_for(10 * MS);
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
    drop(server);
    drop(client);
    net.settle();
    assert_eq!(net.kept(), NOTHING);
}

#[test]
fn a_slow_link_of_one_pair_does_not_slow_others() {
    let mut net = Net::new(exact());
    let third = net.wire.add_host("third");
    net.wire
        .set_link_oneway(0, 1, Link::latency(90 * MS..=90 * MS));
    let _listener = net.listen();
    let other = net.host(third).connect(net.server()).unwrap();
    let (slow, token) = net.connect();
    net.run_for(20 * MS);
    assert!(other.peer_addr().is_ok());
    net.settle();
    assert_eq!(net.reports(token).last().unwrap().0, 100 * MS);
    drop(slow);
}

#[test]
fn two_runs_of_a_seed_are_equal_and_the_first_difference_of_others_is_found() {
    let run = |first: &'static [u8], earlier| {
        let mut net = Net::with_seed(5, Tcp::default());
        net.wire.record(usize::MAX);
        if let Some(earlier) = earlier {
            net.wire.compare_with(earlier);
        }
        net.wire.set_link(Link::latency(MS..=10 * MS).loss(0.1));
        let _listener = net
            .host(1)
            .listen(SocketAddr::from(([0, 0, 0, 0], PORT)))
            .unwrap();
        let (client, _) = net.connect();
        net.run_for(Duration::from_secs(5));
        let _ = client.write(first);
        net.run_for(Duration::from_secs(5));
        (
            net.wire.difference(true),
            net.wire.hash_and_count(),
            net.wire.recording(),
        )
    };
    let (_, hash, recording) = run(b"abcd", None);
    let (difference, again, recording) = run(b"abcd", Some(recording));
    assert_eq!((difference, again), (None, hash));
    let (difference, other, _) = run(b"abc", Some(recording));
    assert_ne!(other, hash);
    let difference = difference.unwrap();
    assert!(
        difference
            .first
            .ends_with("client → server data #0, 4 bytes"),
        "{difference:?}"
    );
    assert!(
        difference
            .second
            .ends_with("client → server data #0, 3 bytes"),
        "{difference:?}"
    );
}

#[test]
fn a_connection_that_takes_the_place_of_one_in_time_wait_leaves_nothing_of_it_behind() {
    let mut net = Net::new(exact());
    let listener = net.listen();
    let (client, _) = net.connect();
    let port = client.local_addr().unwrap().port();
    net.run_for(30 * MS);
    let (server, _) = listener.accept().unwrap();
    drop(server);
    net.run_for(10 * MS);
    drop(client);
    net.run_for(20 * MS);
    // The server waits. The ports of the client go round, and reach the same one.
    let again = loop {
        let (client, _) = net.connect();
        if client.local_addr().unwrap().port() == port {
            break client;
        }
    };
    net.run_for(30 * MS);
    let served: Vec<_> = std::iter::from_fn(|| listener.accept().ok()).collect();
    assert!(
        served
            .iter()
            .any(|(_, peer)| *peer == again.local_addr().unwrap())
    );
    drop((again, served, listener));
    net.settle();
    assert_eq!(net.kept(), NOTHING);
}

#[test]
fn a_writer_at_a_closed_window_notices_that_its_link_has_been_cut() {
    for (from, to) in [(0, 1), (1, 0)] {
        let (mut net, client, _server, begin) = blocked_writer();
        net.wire.cut(from, to);
        assert_eq!(net.settle() - begin, 924_600 * MS);
        assert_eq!(kind(client.write(b"x")), ErrorKind::TimedOut);
    }
}

#[test]
fn a_writer_at_a_closed_window_notices_that_its_link_is_held() {
    let (mut net, client, _server, begin) = blocked_writer();
    net.wire.hold(1, 0);
    assert_eq!(net.settle() - begin, 924_600 * MS);
    assert_eq!(kind(client.write(b"x")), ErrorKind::TimedOut);
}

#[test]
fn a_writer_at_a_closed_window_is_quiet_again_after_a_cut() {
    let (mut net, client, server, begin) = blocked_writer();
    for round in 1..=40 {
        net.wire.cut(0, 1);
        net.run_for(MS);
        net.wire.repair(0, 1);
        // One probe after 200 ms, however often the link has been cut before.
        assert_eq!(net.settle() - begin, 220 * MS * round, "{round}");
    }
    assert_eq!(read_all(&server).0.len(), 3000);
    net.settle();
    assert_eq!(read_all(&server).0.len(), 3000);
    client.write(b"x").unwrap();
}
