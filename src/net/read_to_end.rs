//! [`read_to_end`]: reads a stream to its end, into a vector.
//!
//! Safe code can only read into initialized bytes, so the spare capacity of the vector has to be zeroed
//! first. [`read_to_end`] zeroes each byte at most once, even if it waits, and zeroes no further ahead than
//! recent reads have filled.

use std::io;

/// The maximum size of the first read: the standard library starts with the same size.
const FIRST_READ: usize = 8 * 1024;

/// The size of the separate buffer for a read while the vector is exactly full. If the stream ends there, as
/// it does if the caller knew its length, the vector does not grow needlessly.
const PROBE: usize = 32;

/// Calls `read` until it returns 0, and appends the bytes to `buf`. Returns their number.
///
/// When the future completes, fails or is dropped, `buf` holds all bytes that have been read.
pub(crate) async fn read_to_end(
    buf: &mut Vec<u8>,
    mut read: impl AsyncFnMut(&mut [u8]) -> io::Result<usize>,
) -> io::Result<usize> {
    let start = buf.len();
    let capacity = buf.capacity();
    let mut filled = Filled { len: start, buf };
    let mut most = FIRST_READ;
    loop {
        if filled.len == capacity && capacity > 0 {
            let mut probe = [0; PROBE];
            let count = read(&mut probe).await?;
            if count == 0 {
                break;
            }
            filled.append(&probe[..count]);
        }
        let count = read(filled.room(most)).await?;
        if count == 0 {
            break;
        }
        filled.len += count;
        if count >= most {
            most = most.saturating_mul(2);
        }
    }
    Ok(filled.len - start)
}

/// A vector whose filled bytes are followed by initialized room. Dropping it truncates the vector to the
/// filled bytes.
struct Filled<'a> {
    /// The number of filled bytes.
    len: usize,
    /// The filled bytes and the room.
    buf: &'a mut Vec<u8>,
}

impl Filled<'_> {
    /// Returns the room, after extending it to up to `most` bytes: at least one byte, and no more than the
    /// vector has capacity for. Grows the vector if it is full.
    fn room(&mut self, most: usize) -> &mut [u8] {
        if self.len == self.buf.capacity() {
            // `reserve` at least doubles the capacity.
            self.buf.truncate(self.len);
            self.buf.reserve(FIRST_READ);
        }
        let end = self.len.saturating_add(most).min(self.buf.capacity());
        if self.buf.len() < end {
            self.buf.resize(end, 0);
        }
        &mut self.buf[self.len..]
    }

    /// Appends `bytes` to the filled bytes.
    fn append(&mut self, bytes: &[u8]) {
        self.buf.truncate(self.len);
        self.buf.extend_from_slice(bytes);
        self.len = self.buf.len();
    }
}

impl Drop for Filled<'_> {
    fn drop(&mut self) {
        self.buf.truncate(self.len);
    }
}
