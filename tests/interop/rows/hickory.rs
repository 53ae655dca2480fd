//! `hickory-resolver`: DNS with the runtime of `adapters/hickory.rs`, against dnsmasq. The crate starts no thread.

#[path = "../adapters/hickory.rs"]
mod adapter;

use adapter::Glassfrog;
use glassfrog_interop::{assert_threads, server};
use hickory_resolver::Resolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use std::net::{IpAddr, SocketAddr};

/// Returns a resolver that asks this server, over TCP if an answer is too long for UDP.
fn resolver(server: SocketAddr) -> Resolver<Glassfrog<()>> {
    let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
    for connection in &mut connections {
        connection.port = server.port();
    }
    let server = NameServerConfig::new(server.ip(), true, connections);
    let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
    Resolver::builder_with_config(config, Glassfrog(()))
        .build()
        .unwrap()
}

#[test]
fn a_name_has_its_addresses() {
    let Some(addr) = server("DNS") else { return };
    glassfrog::block_on(async {
        let resolver = resolver(addr.parse().unwrap());
        let found = resolver.lookup_ip("frog.pond.").await.unwrap();
        let found: Vec<IpAddr> = found.iter().collect();
        assert_eq!(found, [IpAddr::from([127, 0, 0, 7])]);
        assert_threads(&[]);
    });
}

#[test]
fn an_unknown_name_is_an_error() {
    let Some(addr) = server("DNS") else { return };
    glassfrog::block_on(async {
        let resolver = resolver(addr.parse().unwrap());
        let error = resolver.lookup_ip("toad.pond.").await.unwrap_err();
        assert!(error.is_no_records_found(), "{error}");
    });
}

#[test]
fn a_long_answer_arrives_over_tcp() {
    let Some(addr) = server("DNS") else { return };
    glassfrog::block_on(async {
        let resolver = resolver(addr.parse().unwrap());
        let found = resolver.txt_lookup("long.pond.").await.unwrap();
        let length: usize = found
            .answers()
            .iter()
            .map(|record| record.data.to_string().len())
            .sum();
        assert!(length > 5000, "{length}");
    });
}

#[test]
fn a_hundred_lookups_run_at_once() {
    let Some(addr) = server("DNS") else { return };
    glassfrog::block_on(async {
        let resolver = resolver(addr.parse().unwrap());
        let tasks: Vec<_> = (0..100)
            .map(|number| {
                let resolver = resolver.clone();
                glassfrog::spawn(async move {
                    let found = resolver
                        .lookup_ip(format!("h{number}.pond."))
                        .await
                        .unwrap();
                    let expected = IpAddr::from([127, 0, 1, number]);
                    assert_eq!(found.iter().next(), Some(expected));
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}
