//! TCP between simulated hosts, as Linux does it (RFC 9293).
//!
//! Each connection has two [ends](end::End). An end outlives its socket until the stream is over, and both its
//! directions are:
//!
//! ```text
//!    connect ─> SynSent ──────┐                               ┌─> TimeWait ── 60 s ──> Closed
//!                             ├─> Open ── both FINs acked ────┤    (closed first)
//!    a SYN ──> SynReceived ───┘    │                          └─> Closed
//!                                  └── RST, or retransmitted too often ──> Closed
//! ```
//!
//! The half-closed states of RFC 9293 (`FIN-WAIT`, `CLOSE-WAIT` and so on) are `Open` with flags. A closed end is
//! removed with its socket.
//!
//! The network knows which packets get lost, so an end runs a retransmission timer only after a loss: in time and in
//! effect, that is what a timer for each segment does. There is no congestion control, no fast retransmission and no
//! Nagle's algorithm, and an acknowledgment is never delayed.

pub(super) mod calls;
pub(super) mod end;
pub(super) mod listener;
pub(super) mod settings;
mod close;
mod connect;
mod receive;
mod send;
mod timer;
