//! [`Tcp`]: the settings of TCP on all hosts of a simulation.

/// The size of each buffer. Linux begins with 16 KiB and 128 KiB, and enlarges both (`tcp_wmem`, `tcp_rmem`).
const BUFFER: usize = 64 * 1024;

/// The size of the largest buffer: what the largest window spans (RFC 7323, section 2.3).
const LARGEST_BUFFER: usize = 1 << 30;

/// The default probability of a short read or write. A program that takes one read for one message fails within a few
/// seeds, and a turn of the loop more for each sixteenth read costs little.
const SHORT: f64 = 1.0 / 16.0;

/// The settings of TCP on all hosts of a simulation.
///
/// # Examples
///
/// ```
/// use glassfrog::sim::Tcp;
///
/// // A slow reader is noticed early.
/// let tcp = Tcp::default().send_buffer(4096).receive_buffer(4096);
/// # let _ = tcp;
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Tcp {
    /// The number of bytes that an end keeps until its peer has acknowledged them.
    pub(in crate::wire) send_buffer: usize,
    /// The number of bytes that an end keeps until its socket reads them.
    pub(in crate::wire) receive_buffer: usize,
    /// The probability that a read or a write transfers fewer bytes than it could.
    pub(in crate::wire) short: f64,
    /// How often an end retransmits before it gives the connection up.
    pub(in crate::wire) retries: u32,
    /// How often an end that connects repeats its first segment before it gives up.
    pub(in crate::wire) syn_retries: u32,
}

impl Default for Tcp {
    fn default() -> Tcp {
        Tcp {
            send_buffer: BUFFER,
            receive_buffer: BUFFER,
            short: SHORT,
            retries: 15,
            syn_retries: 6,
        }
    }
}

impl Tcp {
    /// Sets the size of the buffer of each end for data that its peer has not acknowledged (`SO_SNDBUF`), in bytes. By
    /// default, it is 64 KiB.
    ///
    /// # Panics
    ///
    /// Panics if the size is 0, or more than 1 GiB.
    pub fn send_buffer(mut self, bytes: usize) -> Tcp {
        self.send_buffer = checked_buffer(bytes, "send");
        self
    }

    /// Sets the size of the buffer of each end for data that its socket has not read (`SO_RCVBUF`), in bytes. By
    /// default, it is 64 KiB.
    ///
    /// # Panics
    ///
    /// Panics if the size is 0, or more than 1 GiB.
    pub fn receive_buffer(mut self, bytes: usize) -> Tcp {
        self.receive_buffer = checked_buffer(bytes, "receive");
        self
    }

    /// Sets the probability that a read or a write transfers fewer bytes than it could, as a network does now and then.
    /// By default, that is one in 16, so that a program which takes one read for one message soon fails.
    ///
    /// # Panics
    ///
    /// Panics if the probability is not between 0 and 1.
    pub fn short(mut self, probability: f64) -> Tcp {
        assert!(
            (0.0..=1.0).contains(&probability),
            "`short` takes a probability, between 0 and 1"
        );
        self.short = probability;
        self
    }

    /// Sets how often an end retransmits data before the connection fails with
    /// [`TimedOut`](std::io::ErrorKind::TimedOut) (`tcp_retries2`). By default, it does so 15 times, in 924.6 seconds.
    pub fn retries(mut self, count: u32) -> Tcp {
        self.retries = count;
        self
    }

    /// Sets how often `connect` repeats its first segment before it fails with
    /// [`TimedOut`](std::io::ErrorKind::TimedOut) (`tcp_syn_retries`). By default, it does so 6 times, in 127 seconds. Linux
    /// 6.5 and later repeat it four times more, a second apart (`tcp_syn_linear_timeouts`): there, 127 seconds become 131.
    pub fn syn_retries(mut self, count: u32) -> Tcp {
        self.syn_retries = count;
        self
    }
}

/// Returns the size of a buffer after a check.
fn checked_buffer(bytes: usize, what: &str) -> usize {
    assert!(
        (1..=LARGEST_BUFFER).contains(&bytes),
        "a {what} buffer has room for at least one byte, and for 1 GiB at most"
    );
    bytes
}
