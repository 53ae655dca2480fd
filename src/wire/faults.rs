//! Faults: what is done to hosts and links from outside.

use super::journal::Fault;
use super::{HostId, Link, State, Wire};

impl Wire {
    /// Cuts the power of a host. Its sockets vanish, and it sends nothing more. What it has sent before is still in flight.
    pub(crate) fn power_off(&self, host: HostId) {
        self.with(|state| {
            state.journal.fault(state.now, host, host, Fault::PowerOff);
            state.hosts.set_up(host, false);
            state.remove_tcp_of(host);
            state.remove_udp_of(host);
        });
    }

    /// Gives a host its power back.
    pub(crate) fn power_on(&self, host: HostId) {
        self.with(|state| {
            state.journal.fault(state.now, host, host, Fault::PowerOn);
            state.hosts.set_up(host, true);
        });
    }

    /// Closes all sockets of a host that are still open, as a kernel does for a process that is gone.
    pub(crate) fn close_all(&self, host: HostId) {
        self.with(|state| {
            state.journal.fault(state.now, host, host, Fault::Closed);
            state.close_tcp_of(host);
            state.remove_udp_of(host);
        });
    }

    /// Sets the link of all pairs of hosts of which nothing else is said.
    pub(crate) fn set_link(&self, link: Link) {
        self.with(|state| state.links.set_usual(link));
    }

    /// Sets the link from one host to another, in this direction.
    pub(crate) fn set_link_oneway(&self, from: HostId, to: HostId, link: Link) {
        self.with(|state| {
            state.journal.fault(state.now, from, to, Fault::Link);
            let carries_nothing = link.loss >= 1.0;
            state.links.set(from, to, link);
            if carries_nothing {
                state.doubt(from, to);
            }
        });
    }

    /// Cuts the link from one host to another, in this direction: nothing gets through, not even what is under way.
    pub(crate) fn cut(&self, from: HostId, to: HostId) {
        self.with(|state| {
            if state.links.set_cut(from, to, true) {
                state.journal.fault(state.now, from, to, Fault::Cut);
                state.doubt(from, to);
            }
        });
    }

    /// Repairs the link from one host to another, in this direction.
    pub(crate) fn repair(&self, from: HostId, to: HostId) {
        self.with(|state| {
            if state.links.set_cut(from, to, false) {
                state.journal.fault(state.now, from, to, Fault::Repaired);
            }
        });
    }

    /// Holds the link from one host to another, in this direction: packets wait until it is released.
    pub(crate) fn hold(&self, from: HostId, to: HostId) {
        self.with(|state| {
            if state.links.hold(from, to) {
                state.journal.fault(state.now, from, to, Fault::Held);
                state.doubt(from, to);
            }
        });
    }

    /// Releases the link from one host to another, in this direction. The packets that have waited arrive in order.
    pub(crate) fn release(&self, from: HostId, to: HostId) {
        self.with(|state| state.release(from, to));
    }

    /// Resets all connections between two hosts, as a firewall between them would.
    pub(crate) fn reset(&self, one: HostId, other: HostId) {
        self.with(|state| {
            state.journal.fault(state.now, one, other, Fault::Reset);
            state.reset_between(one, other);
        });
    }
}

impl State {
    /// Returns whether a host exists and has power.
    pub(super) fn host_is_up(&self, host: HostId) -> bool {
        self.hosts.is_up(host)
    }
}
