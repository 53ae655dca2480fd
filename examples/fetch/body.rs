//! The body of a response: decodes chunks, counts bytes, and finds the end.
//!
//! Like the parser of the head, it receives bytes in any pieces. It does not store the body, and allocates
//! nothing for a length that the peer announces. It ignores bytes after the end, as RFC 9112, section 6.3,
//! allows and as curl does. Such bytes arrive in time only by chance, and a response must not fail by
//! chance.
//!
//! ```text
//!    Length ----------------- complete ----------------+
//!    UntilClose ------------- closed ------------------+---> Complete
//!                                                      |
//!    Size --> Data --> DataEnd --> Size   (chunks)     |
//!     | the last one                                   |
//!     +----> Trailer -------- an empty line -----------+
//! ```

use std::io;

use crate::failure::broken;
use crate::head::Framing;
use crate::printable::printable;

/// The longest line before a chunk: its size, and extensions, which are rare.
const MAX_SIZE_LINE: usize = 4 * 1024;

/// The longest trailer: the fields after the last chunk.
const MAX_TRAILER: usize = 64 * 1024;

/// The largest number of fields in a trailer.
const MAX_TRAILER_FIELDS: usize = 128;

/// The end of each chunk.
const LINE_END: &[u8] = b"\r\n";

/// The error of a chunk with a different end.
const TOO_LONG_CHUNK: &str = "a chunk is longer than its size says";

/// A body being received.
#[derive(Debug)]
pub(crate) struct Body {
    /// The state of the body.
    state: State,
    /// The number of bytes received, without the framing of chunks.
    pub(crate) received: u64,
    /// The largest number of bytes allowed.
    most: u64,
    /// The current line of the framing as far as received, or the whole trailer.
    line: Vec<u8>,
}

/// The part of the body that comes next.
#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    /// The rest of a body of known length.
    Length {
        /// The length of the body.
        whole: u64,
    },
    /// The rest of a body that ends when the peer closes the connection.
    UntilClose,
    /// The line with the size of a chunk.
    Size,
    /// The rest of a chunk.
    Data {
        /// The number of bytes still missing.
        left: u64,
    },
    /// The line end after a chunk.
    DataEnd,
    /// The fields after the last chunk, and an empty line.
    Trailer,
    /// Nothing.
    Complete,
}

impl Body {
    /// Creates a body that ends where `framing` says and must not exceed `most` bytes.
    pub(crate) fn new(framing: Framing, most: u64) -> io::Result<Self> {
        let state = match framing {
            Framing::Length(0) => State::Complete,
            Framing::Length(whole) if whole > most => {
                return Err(broken(format!(
                    "the body is {whole} bytes long, and --max-size allows {most}"
                )));
            }
            Framing::Length(whole) => State::Length { whole },
            Framing::Chunked => State::Size,
            Framing::UntilClose => State::UntilClose,
        };
        Ok(Self {
            state,
            received: 0,
            most,
            line: Vec::new(),
        })
    }

    /// Returns whether the body is complete.
    pub(crate) fn is_complete(&self) -> bool {
        self.state == State::Complete
    }

    /// Receives bytes, and passes those that belong to the body to `keep`.
    pub(crate) fn receive(
        &mut self,
        mut bytes: &[u8],
        mut keep: impl FnMut(&[u8]),
    ) -> io::Result<()> {
        while !bytes.is_empty() {
            let limit = match self.state {
                State::Length { whole } => whole - self.received,
                State::Data { left } => left,
                State::UntilClose => u64::MAX,
                State::Complete => return Ok(()),
                State::Size | State::DataEnd | State::Trailer => {
                    bytes = self.receive_framing(bytes)?;
                    continue;
                }
            };
            // A limit larger than the address space has no effect.
            let count = usize::try_from(limit)
                .unwrap_or(usize::MAX)
                .min(bytes.len());
            let (part, rest) = bytes.split_at(count);
            self.received += count as u64;
            if self.received > self.most {
                return Err(self.too_long());
            }
            keep(part);
            bytes = rest;
            match &mut self.state {
                State::Length { whole } if *whole == self.received => self.state = State::Complete,
                State::Data { left } => {
                    *left -= count as u64;
                    if *left == 0 {
                        self.state = State::DataEnd;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Handles the close of the connection, which is the end of the body or an error.
    pub(crate) fn closed(&mut self) -> io::Result<()> {
        let received = self.received;
        match self.state {
            State::Complete => {}
            State::UntilClose => self.state = State::Complete,
            State::Length { whole } => {
                return Err(broken(format!(
                    "the connection closed after {received} of {whole} bytes"
                )));
            }
            State::Size | State::Data { .. } | State::DataEnd | State::Trailer => {
                return Err(broken(format!(
                    "the connection closed after {received} bytes, before the last chunk was complete"
                )));
            }
        }
        Ok(())
    }

    /// Returns the error of a body that exceeds the limit.
    fn too_long(&self) -> io::Error {
        let most = self.most;
        broken(format!(
            "the body is longer than the {most} bytes that --max-size allows"
        ))
    }

    /// Receives one line of the framing, or a part of it, and returns the bytes after it.
    fn receive_framing<'a>(&mut self, bytes: &'a [u8]) -> io::Result<&'a [u8]> {
        let end = bytes.iter().position(|&byte| byte == b'\n');
        let (line, rest) = bytes.split_at(end.map_or(bytes.len(), |end| end + 1));
        self.line.extend_from_slice(line);
        let (most, complaint) = match self.state {
            State::Trailer => (MAX_TRAILER, "the trailer is longer than 64 KiB"),
            State::DataEnd => (LINE_END.len(), TOO_LONG_CHUNK),
            _ => (
                MAX_SIZE_LINE,
                "the size line of a chunk is longer than 4 KiB",
            ),
        };
        if self.line.len() > most {
            return Err(broken(complaint));
        }
        if end.is_none() {
            return Ok(rest);
        }
        self.state = match self.state {
            State::Trailer if is_whole_trailer(&self.line)? => State::Complete,
            // The next line of the trailer follows this one.
            State::Trailer => return Ok(rest),
            State::DataEnd if self.line == LINE_END => State::Size,
            State::DataEnd if self.line == b"\n" => {
                return Err(broken("the data of a chunk ends with a bare line feed"));
            }
            State::DataEnd => return Err(broken(TOO_LONG_CHUNK)),
            _ => match parse_size(&self.line)? {
                0 => State::Trailer,
                size if size > self.most - self.received => {
                    return Err(self.too_long());
                }
                left => State::Data { left },
            },
        };
        self.line.clear();
        Ok(rest)
    }
}

/// Parses the line before a chunk. (`httparse` accepts an empty number as 0, which would be the end.) The
/// line must end with CR LF: RFC 9112, section 2.2, allows a bare LF only in the fields.
fn parse_size(line: &[u8]) -> io::Result<u64> {
    match httparse::parse_chunk_size(line) {
        Ok(httparse::Status::Complete((read, size)))
            if read == line.len() && line[0].is_ascii_hexdigit() =>
        {
            Ok(size)
        }
        _ => {
            let begin = printable(line[..line.len().min(24)].trim_ascii_end());
            Err(broken(match line.ends_with(LINE_END) {
                true => format!("invalid chunk size \"{begin}\""),
                false => format!("the chunk size \"{begin}\" ends with a bare line feed"),
            }))
        }
    }
}

/// Returns whether the trailer is complete, with its empty line. Its lines end with CR LF or with a bare LF,
/// as those of the head do.
fn is_whole_trailer(lines: &[u8]) -> io::Result<bool> {
    let without_last = lines
        .strip_suffix(b"\r\n")
        .or(lines.strip_suffix(b"\n"))
        .unwrap_or(lines);
    // Parse only a whole trailer. Otherwise, every line would be parsed again for each line that follows.
    if !(without_last.is_empty() || without_last.ends_with(b"\n")) {
        return Ok(false);
    }
    let mut fields = [httparse::EMPTY_HEADER; MAX_TRAILER_FIELDS];
    match httparse::parse_headers(lines, &mut fields) {
        Ok(httparse::Status::Complete(_)) => Ok(true),
        Ok(httparse::Status::Partial) => Err(broken("malformed trailer")),
        Err(error) => Err(broken(format!("malformed trailer: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The limit on the bodies of these tests in bytes.
    const MOST: u64 = 20;

    /// Receives a body in two pieces, split at each position, and byte by byte, followed by the close.
    /// Returns the result, which must be the same each time.
    fn receive(framing: Framing, received: &[u8]) -> Result<Vec<u8>, String> {
        let receive = |pieces: &mut dyn Iterator<Item = &[u8]>| {
            let mut kept = Vec::new();
            let outcome = (|| {
                let mut body = Body::new(framing, MOST)?;
                for piece in pieces {
                    body.receive(piece, |part| kept.extend_from_slice(part))?;
                }
                body.closed()?;
                assert!(body.is_complete());
                assert_eq!(body.received, kept.len() as u64);
                io::Result::Ok(())
            })();
            assert!(kept.len() as u64 <= MOST);
            outcome.map(|()| kept).map_err(|error| error.to_string())
        };
        let whole = receive(&mut [received].into_iter());
        // At some positions of long bodies.
        for cut in (0..received.len()).step_by(1 + received.len() / 100) {
            let (begin, end) = received.split_at(cut);
            assert_eq!(receive(&mut [begin, end].into_iter()), whole, "at {cut}");
        }
        assert_eq!(receive(&mut received.chunks(1)), whole);
        whole
    }

    #[test]
    fn a_body_is_complete_where_its_framing_says() {
        for (framing, received, body) in [
            (Framing::Length(0), &b""[..], &b""[..]),
            (Framing::Length(5), b"hello", b"hello"),
            (Framing::UntilClose, b"", b""),
            (Framing::UntilClose, b"hello", b"hello"),
            (Framing::Chunked, b"0\r\n\r\n", b""),
            (
                Framing::Chunked,
                b"5\r\nhello\r\n1;a=\"b\"\r\n \r\n00A \r\n0123456789\r\n0\r\n\r\n",
                b"hello 0123456789",
            ),
            (
                Framing::Chunked,
                b"1\r\n\n\r\n0\r\nA: b\r\nC: d\r\n\r\n",
                b"\n",
            ),
            // Lines that end with a bare LF.
            (Framing::Chunked, b"1\r\nx\r\n0\r\n\n", b"x"),
            (Framing::Chunked, b"0\r\nA: b\n\n", b""),
            (Framing::Chunked, b"0\r\nA: b\r\n\n", b""),
            (Framing::Chunked, b"0\r\nA: b\n\r\n", b""),
            // Bytes after the end.
            (Framing::Length(5), b"hello!", b"hello"),
            (Framing::Length(0), b"!", b""),
            (Framing::Chunked, b"1\r\nx\r\n0\r\n\r\n!", b"x"),
            (Framing::Chunked, b"0\r\n\n\r\n", b""),
        ] {
            let shown = received.escape_ascii();
            assert_eq!(receive(framing, received), Ok(body.to_vec()), "{shown}");
        }
    }

    #[test]
    fn an_invalid_body_is_rejected() {
        let long_line = format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(MAX_SIZE_LINE));
        let long_trailer = format!("0\r\n{}\r\n", "a: b\r\n".repeat(MAX_TRAILER / 6 + 1));
        let many_fields = format!("0\r\n{}\r\n", "a: b\r\n".repeat(MAX_TRAILER_FIELDS + 1));
        for (framing, received, reason) in [
            (
                Framing::Length(5),
                &b"hell"[..],
                "the connection closed after 4 of 5 bytes",
            ),
            (
                Framing::Length(5),
                b"",
                "the connection closed after 0 of 5 bytes",
            ),
            (
                Framing::Length(21),
                b"",
                "the body is 21 bytes long, and --max-size allows 20",
            ),
            (
                Framing::Length(u64::MAX),
                b"",
                "the body is 18446744073709551615 bytes long, and --max-size allows 20",
            ),
            (
                Framing::UntilClose,
                b"012345678901234567890",
                "the body is longer than the 20 bytes that --max-size allows",
            ),
            (
                Framing::Chunked,
                b"15\r\n",
                "the body is longer than the 20 bytes that --max-size allows",
            ),
            (
                Framing::Chunked,
                b"5\r\nhello\r\n10\r\n",
                "the body is longer than the 20 bytes that --max-size allows",
            ),
            (
                Framing::Chunked,
                b"ffffffffffffffff\r\n",
                "the body is longer than the 20 bytes that --max-size allows",
            ),
            (
                Framing::Chunked,
                b"",
                "the connection closed after 0 bytes, before the last chunk was complete",
            ),
            (
                Framing::Chunked,
                b"5\r\nhello\r\n",
                "the connection closed after 5 bytes, before the last chunk was complete",
            ),
            (
                Framing::Chunked,
                b"5\r\nhel",
                "the connection closed after 3 bytes, before the last chunk was complete",
            ),
            (
                Framing::Chunked,
                b"0\r\nA: b\r\n",
                "the connection closed after 0 bytes, before the last chunk was complete",
            ),
            (Framing::Chunked, b"zz\r\n", "invalid chunk size \"zz\""),
            (Framing::Chunked, b"\r\n\r\n", "invalid chunk size \"\""),
            (Framing::Chunked, b";a\r\n\r\n", "invalid chunk size \";a\""),
            (Framing::Chunked, b" 5\r\n", "invalid chunk size \" 5\""),
            (Framing::Chunked, b"-5\r\n", "invalid chunk size \"-5\""),
            (Framing::Chunked, b"0x5\r\n", "invalid chunk size \"0x5\""),
            (
                Framing::Chunked,
                b"5;a\nb\r\n",
                "the chunk size \"5;a\" ends with a bare line feed",
            ),
            (
                Framing::Chunked,
                b"11111111111111111\r\n",
                "invalid chunk size \"11111111111111111\"",
            ),
            (Framing::Chunked, b"5\r\nhello!\r\n", TOO_LONG_CHUNK),
            (
                Framing::Chunked,
                b"5\r\nhello\n0\r\n",
                "the data of a chunk ends with a bare line feed",
            ),
            (
                Framing::Chunked,
                long_line.as_bytes(),
                "the size line of a chunk is longer than 4 KiB",
            ),
            (
                Framing::Chunked,
                long_trailer.as_bytes(),
                "the trailer is longer than 64 KiB",
            ),
            (
                Framing::Chunked,
                many_fields.as_bytes(),
                "malformed trailer: too many headers",
            ),
            (
                Framing::Chunked,
                b"0\r\nA b\r\n\r\n",
                "malformed trailer: invalid header name",
            ),
        ] {
            let shown = received.escape_ascii();
            let refusal = receive(framing, received);
            assert_eq!(refusal, Err(reason.to_string()), "{framing:?} {shown}");
        }
    }
}
