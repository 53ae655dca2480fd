//! What `net/raw` calls and the sockets do not have yet. To be deleted with the first merge that brings it.

use super::{Stream, UdpSocket};
use std::io;

impl Stream {
    /// Returns whether the handshake has not ended yet.
    pub(crate) fn is_connecting(&self) -> bool {
        self.peer_addr().is_err()
    }
}

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
