//! Hosts that talk over the network: ordinary software, which does not know that it is simulated.

use glassfrog::net::{TcpListener, TcpStream};
use glassfrog::prelude::*;
use glassfrog::sim::{self, Faults, Link, Sim};
use glassfrog::spawn;
use glassfrog::time::{now, sleep, timeout};
use std::future::pending;
use std::io::ErrorKind;
use std::net::Shutdown;
use std::time::Duration;

pub(crate) const MS: Duration = Duration::from_millis(1);

/// A server that sends back what it receives.
pub(crate) async fn echo_server() -> sim::Result {
    let listener = TcpListener::bind("0.0.0.0:7").await?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        drop(spawn(async move {
            let mut buf = [0; 1024];
            while let Ok(n @ 1..) = stream.read(&mut buf).await {
                if stream.write_all(&buf[..n]).await.is_err() {
                    break;
                }
            }
        }));
    }
}

/// Sends a text to an echo server, and receives it.
pub(crate) async fn round_trip(stream: &mut TcpStream, text: &[u8]) -> std::io::Result<()> {
    stream.write_all(text).await?;
    let mut buf = vec![0; text.len()];
    stream.read_exact(&mut buf).await?;
    assert_eq!(buf, text);
    Ok(())
}

#[test]
fn two_hosts_echo_in_the_time_that_the_link_takes() {
    let run = |seed| {
        let mut sim = Sim::builder()
            .seed(seed)
            .link(Link::latency(5 * MS..=5 * MS))
            .record(1000)
            .build();
        sim.host("server", echo_server);
        sim.client("client", async {
            let start = now();
            let mut stream = TcpStream::connect("server:7").await?;
            assert_eq!(now() - start, 10 * MS);
            assert_eq!(stream.peer_addr()?.to_string(), "10.0.0.1:7");
            round_trip(&mut stream, b"hello").await?;
            assert_eq!(now() - start, 20 * MS);
            sleep(Duration::from_secs(600)).await;
            round_trip(&mut stream, &[7; 100_000]).await?;
            Ok(())
        });
        sim.run().unwrap()
    };
    let (one, two) = (run(1), run(1));
    assert!(one.events > 100 && !one.journal.is_empty());
    assert_eq!(one, two);
}

#[test]
fn an_established_connection_outlasts_a_partition() {
    let mut sim = Sim::new(3);
    sim.host("server", echo_server);
    sim.client("client", async {
        let mut stream = TcpStream::connect("server:7").await?;
        round_trip(&mut stream, b"before").await?;
        sim::partition("client", "server");
        let cut = timeout(Duration::from_secs(2), round_trip(&mut stream, b"during")).await;
        assert!(cut.is_err(), "nothing gets through");
        sim::repair("client", "server");
        // TCP sends again what it has sent during the partition.
        let mut buf = [0; 6];
        stream.read_exact(&mut buf).await?;
        assert_eq!(&buf, b"during");
        sim::partition("client", "server");
        let start = now();
        let error = TcpStream::connect("server:7").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert_eq!(now() - start, Duration::from_secs(127));
        stream.write_all(b"x").await?;
        assert_eq!(
            stream.read(&mut buf).await.unwrap_err().kind(),
            ErrorKind::TimedOut
        );
        Ok(())
    });
    sim.run().unwrap();
}

#[test]
fn refusals_and_halves_are_those_of_tcp() {
    let mut sim = Sim::new(4);
    sim.host("server", echo_server);
    sim.client("client", async {
        let error = TcpStream::connect("server:8").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        let error = TcpStream::connect("nowhere:8").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        let mut stream = TcpStream::connect("server:7").await?;
        stream.write_all(b"last words").await?;
        stream.shutdown(Shutdown::Write)?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await?;
        assert_eq!(text, "last words");
        Ok(())
    });
    sim.run().unwrap();
}

#[test]
fn a_link_has_a_bandwidth() {
    let mut sim = Sim::new(5);
    sim.host("server", echo_server);
    sim.link(Link::latency(MS..=MS).bandwidth(100_000));
    sim.client("client", async {
        let mut stream = TcpStream::connect("server:7").await?;
        let start = now();
        round_trip(&mut stream, &[1; 50_000]).await?;
        let took = now() - start;
        // Half a second each way, at the same time, and the headers.
        assert!((500 * MS..700 * MS).contains(&took), "{took:?}");
        Ok(())
    });
    sim.run().unwrap();
}

#[test]
fn the_case_of_a_name_does_not_count() {
    let mut sim = Sim::new(1);
    sim.host("Server", echo_server);
    sim.client("client", async {
        for name in ["Server:7", "server:7", "SERVER:7"] {
            let mut stream = TcpStream::connect(name).await?;
            round_trip(&mut stream, b"1").await?;
        }
        sim::crash("sERVER");
        Ok(())
    });
    sim.run().unwrap();
    assert!(!sim.is_running("server"));
    assert_eq!(sim.lookup("SERVER"), sim.lookup("Server"));
    // The faults are limited to hosts by their names, too.
    sim.faults(Faults::swarm().hosts(["SERVER", "cLIENT"]));
    sim.run_for(MS).unwrap();
}

#[test]
#[should_panic(expected = "two hosts are named \"server\" and \"Server\", which resolve alike")]
fn names_that_differ_only_by_case_are_refused() {
    let mut sim = Sim::new(1);
    sim.host("server", pending).host("Server", pending);
}
