//! What `net/raw` calls and the sockets do not have yet. To be deleted with the first merge that brings it.

use super::UdpSocket;
use std::io;

impl UdpSocket {
    /// Returns `IP_TTL`, which changes nothing.
    pub(crate) fn ttl(&self) -> io::Result<u32> {
        Ok(64)
    }

    /// Sets `IP_TTL`, which changes nothing.
    pub(crate) fn set_ttl(&self, _ttl: u32) -> io::Result<()> {
        Ok(())
    }
}
