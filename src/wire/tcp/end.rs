//! [`End`]: one end of a connection.

use crate::wire::Door;
use crate::wire::Mask;

/// One end of a connection.
#[derive(Debug)]
pub(in crate::wire) struct End {
    /// The socket, while there is one.
    pub(in crate::wire) door: Door,
}

impl End {
    /// Returns what the socket is ready for.
    pub(in crate::wire) fn mask(&self) -> Mask {
        Mask::default()
    }
}
