//! [`Hosts`]: the hosts of a network, with their names and addresses.

use super::HostId;
use super::error::Failure;
use super::random::Random;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The network of the IPv4 addresses, 10.0.0.0/8. The first host has 10.0.0.1.
const NETWORK_V4: u32 = 0x0a00_0000;

/// The number of the last address of that network, which is that of a broadcast.
const LAST_V4: u32 = 0x00ff_ffff;

/// The network of the IPv6 addresses, fd00::/64. The first host has fd00::1.
const NETWORK_V6: u128 = 0xfd00 << 112;

/// The ports that Linux gives to sockets that ask for none (`ip_local_port_range`).
const FIRST_EPHEMERAL: u16 = 32_768;

/// The last of these ports.
const LAST_EPHEMERAL: u16 = 60_999;

/// One host.
#[derive(Debug)]
struct HostState {
    /// Its name.
    name: Box<str>,
    /// Whether it has power.
    is_up: bool,
    /// The port that the next socket that asks for none gets, if it is free.
    next_port: u16,
}

/// All hosts, in the order in which they were added.
#[derive(Debug)]
pub(super) struct Hosts {
    /// The hosts. The number of a host is its index.
    hosts: Vec<HostState>,
    /// Which host has which name, in lower case: the case of a name does not count (RFC 4343).
    names: BTreeMap<Box<str>, HostId>,
}

/// Where an address leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// To this host.
    Host(HostId),
    /// To the network of the simulation, but no host has the address.
    Nobody,
}

impl Hosts {
    /// Creates no hosts.
    pub(super) fn new() -> Hosts {
        Hosts {
            hosts: Vec::new(),
            names: BTreeMap::new(),
        }
    }

    /// Adds a host. `random` are the random numbers of the network.
    pub(super) fn add(&mut self, name: &str, random: &Random) -> HostId {
        let id = self.hosts.len() as HostId;
        assert!(id < LAST_V4 - 1, "a simulation has at most 2^24 - 2 hosts");
        assert!(
            is_name(name),
            "{name:?} cannot be the name of a simulated host, because no program could connect to it by that name: \
             choose one that is neither empty nor `localhost` nor an IP address, and has no colon"
        );
        assert!(
            self.names
                .insert(name.to_ascii_lowercase().into(), id)
                .is_none(),
            "two hosts of a simulation are named {name:?}"
        );
        let mut random = random.fork(u64::from(id));
        let span = u64::from(LAST_EPHEMERAL - FIRST_EPHEMERAL);
        self.hosts.push(HostState {
            name: name.into(),
            is_up: true,
            next_port: FIRST_EPHEMERAL + random.within(0..=span) as u16,
        });
        id
    }

    /// Returns the number of the host with this name, in upper or lower case.
    pub(super) fn find(&self, name: &str) -> Option<HostId> {
        self.names.get(&*name.to_ascii_lowercase()).copied()
    }

    /// Returns the name of a host.
    pub(super) fn name(&self, id: HostId) -> &str {
        self.hosts
            .get(id as usize)
            .map_or("nobody", |host| &host.name)
    }

    /// Returns whether a host exists and has power.
    pub(super) fn is_up(&self, id: HostId) -> bool {
        self.hosts.get(id as usize).is_some_and(|host| host.is_up)
    }

    /// Gives a host power, or takes it.
    pub(super) fn set_up(&mut self, id: HostId, is_up: bool) {
        self.hosts[id as usize].is_up = is_up;
    }

    /// Returns where an address leads to from a host, and the address from which the host sends.
    pub(super) fn route(&self, from: HostId, to: IpAddr) -> Result<(Route, IpAddr), Failure> {
        let number = match to {
            ip if is_local(ip) => return Ok((Route::Host(from), loopback_of(ip))),
            IpAddr::V4(ip) => ip.to_bits().checked_sub(NETWORK_V4).map(u128::from),
            IpAddr::V6(ip) => ip.to_bits().checked_sub(NETWORK_V6),
        };
        // Both networks have room for the numbers of all hosts and one more.
        match number {
            Some(number @ 1..) if number <= self.hosts.len() as u128 => {
                Ok((Route::Host(number as HostId - 1), address_like(to, from)))
            }
            Some(number) if number < u128::from(LAST_V4) || (to.is_ipv6() && number < 1 << 64) => {
                Ok((Route::Nobody, address_like(to, from)))
            }
            _ => Err(Failure::NetworkUnreachable),
        }
    }

    /// Returns whether a socket of a host can be bound to an address.
    pub(super) fn has_address(&self, id: HostId, ip: IpAddr) -> bool {
        ip.is_loopback() || ip.is_unspecified() || ip == address_like(ip, id)
    }

    /// Returns the next ephemeral port of a host for which `is_free` returns true.
    pub(super) fn ephemeral(
        &mut self,
        id: HostId,
        mut is_free: impl FnMut(u16) -> bool,
    ) -> Result<u16, Failure> {
        let host = &mut self.hosts[id as usize];
        for _ in FIRST_EPHEMERAL..=LAST_EPHEMERAL {
            let port = host.next_port;
            host.next_port = match port {
                LAST_EPHEMERAL => FIRST_EPHEMERAL,
                port => port + 1,
            };
            if is_free(port) {
                return Ok(port);
            }
        }
        Err(Failure::AddrNotAvailable)
    }
}

/// Returns whether a lookup of this name can find a host: nothing else is meant by it.
fn is_name(name: &str) -> bool {
    let has_meaning = name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok();
    !name.is_empty() && !name.contains(':') && !has_meaning
}

/// Returns whether an address is that of the host itself, whichever that is.
fn is_local(ip: IpAddr) -> bool {
    ip.is_loopback() || ip.is_unspecified()
}

/// Returns the address from which a host sends to itself.
fn loopback_of(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    }
}

/// Returns the IPv4 address of a host.
pub(super) fn address_v4(id: HostId) -> IpAddr {
    Ipv4Addr::from_bits(NETWORK_V4 + 1 + id).into()
}

/// Returns the address of a host in the family of another address.
pub(super) fn address_like(ip: IpAddr, id: HostId) -> IpAddr {
    match ip {
        IpAddr::V4(_) => address_v4(id),
        IpAddr::V6(_) => Ipv6Addr::from_bits(NETWORK_V6 + 1 + u128::from(id)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_hosts_have_addresses_of_their_own() {
        let mut hosts = Hosts::new();
        let random = Random::new(1);
        for id in 0..1000 {
            assert_eq!(hosts.add(&format!("host {id}"), &random), id);
        }
        assert_eq!(address_v4(254), IpAddr::from([10, 0, 0, 255]));
        assert_eq!(address_v4(255), IpAddr::from([10, 0, 1, 0]));
        for id in 0..1000 {
            let six = address_like(Ipv6Addr::LOCALHOST.into(), id);
            for ip in [address_v4(id), six] {
                assert_eq!(
                    hosts.route(0, ip).map(|(route, _)| route),
                    Ok(Route::Host(id))
                );
            }
        }
    }

    #[test]
    fn an_address_that_nobody_has_is_in_the_network_or_not() {
        let mut hosts = Hosts::new();
        hosts.add("one", &Random::new(1));
        let route = |ip: &str| hosts.route(0, ip.parse().unwrap()).map(|(route, _)| route);
        assert_eq!(route("10.0.0.2"), Ok(Route::Nobody));
        assert_eq!(route("10.0.0.0"), Ok(Route::Nobody));
        assert_eq!(route("fd00::7"), Ok(Route::Nobody));
        assert_eq!(route("127.0.0.9"), Ok(Route::Host(0)));
        assert_eq!(route("::"), Ok(Route::Host(0)));
        for ip in [
            "10.255.255.255",
            "11.0.0.1",
            "192.168.0.1",
            "2001:db8::1",
            "9.9.9.9",
        ] {
            assert_eq!(route(ip), Err(Failure::NetworkUnreachable));
        }
    }

    #[test]
    fn a_name_that_means_something_else_is_refused() {
        for name in [
            "",
            "localhost",
            "LocalHost",
            "10.0.0.1",
            "fd00::1",
            "server:80",
        ] {
            assert!(!is_name(name), "{name}");
        }
        for name in ["server", "node 1", "replica-3.east", "größe", "10.0.0"] {
            assert!(is_name(name), "{name}");
        }
    }

    #[test]
    fn an_ephemeral_port_is_free() {
        let mut hosts = Hosts::new();
        let id = hosts.add("one", &Random::new(1));
        let first = hosts.ephemeral(id, |_| true).unwrap();
        let second = hosts.ephemeral(id, |port| port != first + 1).unwrap();
        assert_ne!(first + 1, second);
        assert_eq!(hosts.ephemeral(id, |port| port == first), Ok(first));
        assert_eq!(
            hosts.ephemeral(id, |_| false),
            Err(Failure::AddrNotAvailable)
        );
    }
}
