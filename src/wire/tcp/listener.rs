//! [`Listening`]: a socket that listens.

use crate::wire::{Door, Mask};

/// A socket that listens.
#[derive(Debug)]
pub(in crate::wire) struct Listening {
    /// The socket.
    pub(in crate::wire) door: Door,
}

impl Listening {
    /// Returns what the socket is ready for.
    pub(in crate::wire) fn mask(&self) -> Mask {
        Mask::default()
    }
}
