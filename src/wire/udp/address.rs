//! [`Addresses`]: which UDP socket has which address.

use crate::slab::Key;
use crate::wire::HostId;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The unspecified address of IPv4. A socket that is bound to it receives what comes over IPv4.
const ANY_V4: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// The unspecified address of IPv6. A socket that is bound to it receives what comes over IPv6 and over IPv4.
const ANY: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// The last address of IPv4, in the order of `IpAddr`.
const LAST_V4: IpAddr = IpAddr::V4(Ipv4Addr::BROADCAST);

/// The last address of all.
const LAST: IpAddr = IpAddr::V6(Ipv6Addr::from_bits(u128::MAX));

/// Which socket of which host has which address. Addresses do not have the mapped form.
///
/// The sockets of a port exclude each other: at most one of them has each address, whether it is bound to this very
/// address or to an unspecified one.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    /// The sockets, by host, port and IP address.
    keys: BTreeMap<(HostId, u16, IpAddr), Key>,
}

impl Addresses {
    /// Returns whether a socket can be bound to an address: no other socket of the host shares a part of it.
    pub(super) fn is_free(&self, host: HostId, addr: SocketAddr) -> bool {
        let port = addr.port();
        let has_none = |first, last| {
            let within = (host, port, first)..=(host, port, last);
            self.keys.range(within).next().is_none()
        };
        match addr.ip() {
            ANY => has_none(ANY_V4, LAST),
            ANY_V4 => has_none(ANY_V4, LAST_V4) && has_none(ANY, ANY),
            _ => self.find(host, addr).is_none(),
        }
    }

    /// Returns the socket that receives what a host gets for an address.
    pub(super) fn find(&self, host: HostId, addr: SocketAddr) -> Option<Key> {
        let find = |ip| self.keys.get(&(host, addr.port(), ip)).copied();
        let any_v4 = || addr.is_ipv4().then(|| find(ANY_V4)).flatten();
        find(addr.ip()).or_else(any_v4).or_else(|| find(ANY))
    }

    /// Notes the address of a socket.
    pub(super) fn insert(&mut self, host: HostId, addr: SocketAddr, key: Key) {
        self.keys.insert((host, addr.port(), addr.ip()), key);
    }

    /// Forgets an address.
    pub(super) fn remove(&mut self, host: HostId, addr: SocketAddr) {
        self.keys.remove(&(host, addr.port(), addr.ip()));
    }

    /// Forgets all addresses of a host, and returns the sockets that had them.
    pub(super) fn take(&mut self, host: HostId) -> Vec<Key> {
        let own = (host, 0, ANY_V4)..=(host, u16::MAX, LAST);
        let own: Vec<_> = self.keys.range(own).map(|(place, _)| *place).collect();
        own.iter()
            .filter_map(|place| self.keys.remove(place))
            .collect()
    }
}

/// Returns whether an address is that of several hosts: a multicast group, or all hosts of the network.
pub(super) fn is_group(addr: SocketAddr) -> bool {
    /// The broadcast address of the simulated network, 10.0.0.0/8.
    const EVERYBODY: Ipv4Addr = Ipv4Addr::new(10, 255, 255, 255);
    match addr.ip().to_canonical() {
        IpAddr::V4(ip) => ip.is_multicast() || ip.is_broadcast() || ip == EVERYBODY,
        IpAddr::V6(ip) => ip.is_multicast(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns whether a second address is free after a first one has been taken, on port 1 of one host.
    fn is_free_beside(first: &str, second: &str) -> bool {
        let addr = |ip: &str| SocketAddr::new(ip.parse().unwrap(), 1);
        let mut addresses = Addresses::default();
        addresses.insert(0, addr(first), Key::NONE);
        addresses.is_free(0, addr(second))
    }

    #[test]
    fn addresses_exclude_each_other_if_they_overlap() {
        for (one, other, is_free) in [
            ("10.0.0.1", "127.0.0.1", true),
            ("10.0.0.1", "10.0.0.1", false),
            ("10.0.0.1", "0.0.0.0", false),
            ("10.0.0.1", "::", false),
            ("::1", "::", false),
            ("::1", "0.0.0.0", true),
            ("::1", "127.0.0.1", true),
            ("0.0.0.0", "::", false),
            ("::", "::", false),
        ] {
            assert_eq!(is_free_beside(one, other), is_free, "{one}, {other}");
            assert_eq!(is_free_beside(other, one), is_free, "{other}, {one}");
        }
    }

    #[test]
    fn what_one_host_loses_another_keeps() {
        let addr: SocketAddr = "0.0.0.0:1".parse().unwrap();
        let mut addresses = Addresses::default();
        for host in 0..3 {
            addresses.insert(host, addr, Key::new(host, 1));
        }
        assert_eq!(addresses.take(1), [Key::new(1, 1)]);
        assert_eq!(addresses.find(0, addr), Some(Key::new(0, 1)));
        assert_eq!(addresses.find(1, addr), None);
        assert_eq!(addresses.find(2, addr), Some(Key::new(2, 1)));
    }
}
