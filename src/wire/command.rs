//! [`Command`]: what a host asks of the driver, because it concerns a whole runtime.

use super::HostId;

/// What a host asks of the driver, which does it at the end of the present step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Command {
    /// Takes the power of a host: nothing is said to its peers.
    Crash(HostId),
    /// Ends the process of a host: its kernel closes the sockets.
    Kill(HostId),
    /// Starts a host again.
    Restart(HostId),
    /// Stops the process of a host, whose kernel goes on.
    Pause(HostId),
    /// Lets the process of a host go on.
    Resume(HostId),
    /// Changes the clock of a host.
    Clock {
        /// The host.
        host: HostId,
        /// How far to move the clock forward, in nanoseconds; negative: back.
        shift: i64,
        /// How many parts in a million the clock is fast from now on; negative: slow.
        ppm: i64,
    },
}
