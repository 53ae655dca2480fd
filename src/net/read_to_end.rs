//! [`read_to_end`]: reads a stream to its end, into a vector.
//!
//! Safe code can only read into initialized bytes, so the spare capacity of the vector has to be zeroed
//! first. [`read_to_end`] zeroes each byte at most once, and only as far ahead as the stream has lately
//! delivered at a time. It zeroes nothing again when it has waited.

use std::io;

/// How many bytes the first read asks for, at most: what the standard library begins with.
const FIRST_READ: usize = 8 * 1024;

/// How many bytes are read beside a vector that is exactly full. If the stream ends there, as it does when
/// the caller knew its length, the vector does not grow for nothing.
const PROBE: usize = 32;

/// Calls `read` until it returns 0, and appends what it reads to `buf`. Returns how many bytes that was.
///
/// What has been read is in `buf` whenever this returns or is dropped.
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

/// A vector with initialized room behind the bytes that count. Its drop cuts the room off.
struct Filled<'a> {
    /// How many bytes count.
    len: usize,
    /// Those bytes, and the room.
    buf: &'a mut Vec<u8>,
}

impl Filled<'_> {
    /// Returns the room, after making it up to `most` bytes long: at least one, and no more than the
    /// vector has capacity for.
    fn room(&mut self, most: usize) -> &mut [u8] {
        if self.len == self.buf.capacity() {
            // At least doubles the capacity.
            self.buf.truncate(self.len);
            self.buf.reserve(FIRST_READ);
        }
        let end = self.len.saturating_add(most).min(self.buf.capacity());
        if self.buf.len() < end {
            self.buf.resize(end, 0);
        }
        &mut self.buf[self.len..]
    }

    /// Appends `bytes`.
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
