//! The head of a response (RFC 9112): the status line, the fields, and the length of the body that they
//! announce.
//!
//! The parser receives bytes in any pieces and knows no sockets. The head comes from an untrusted peer, so
//! its size is limited in every respect.

use std::io;

use crate::failure::broken;
use crate::printable::printable;

/// The longest head, without interim responses: about eight times the longest that servers are known to send.
const MAX_HEAD: usize = 64 * 1024;

/// The largest number of fields.
const MAX_FIELDS: usize = 128;

/// The largest number of interim responses (such as `100 Continue`) before the final one.
const MAX_INTERIM: usize = 8;

/// The number of bytes to show of something that is not a response: enough to recognize the greeting of
/// another protocol.
const EXCERPT: usize = 24;

/// The head of a final response.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    /// The status code.
    pub(crate) status: u16,
    /// The status line, with everything except printable ASCII escaped, because it is printed to a terminal.
    pub(crate) status_line: String,
    /// The names and values of the fields, in order.
    pub(crate) fields: Vec<(String, Vec<u8>)>,
    /// Whether the version is HTTP/1.0, which has no chunks.
    is_1_0: bool,
}

/// The way in which the end of a body is marked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Framing {
    /// After this many bytes.
    Length(u64),
    /// After the last chunk.
    Chunked,
    /// When the peer closes the connection.
    UntilClose,
}

/// Parses heads up to the final one.
#[derive(Debug, Default)]
pub(crate) struct HeadReader {
    /// The bytes received of the head, and possibly of what follows it.
    held: Vec<u8>,
    /// The number of bytes of `held` that have been searched for the end of the head.
    searched: usize,
    /// The number of interim responses so far.
    interim: usize,
}

impl HeadReader {
    /// Receives bytes. Returns the head once it is complete, with the bytes after it.
    pub(crate) fn receive(&mut self, bytes: &[u8]) -> io::Result<Option<(Head, Vec<u8>)>> {
        self.held.extend_from_slice(bytes);
        loop {
            self.check_begin()?;
            let end = self.find_end();
            if end.unwrap_or(self.held.len()) > MAX_HEAD {
                let what = match self.held[..MAX_HEAD].contains(&b'\n') {
                    true => "header",
                    false => "status line",
                };
                let most = MAX_HEAD / 1024;
                return Err(broken(format!("the {what} is longer than {most} KiB")));
            }
            let Some(end) = end else {
                return Ok(None);
            };
            let head = Head::parse(&self.held[..end])?;
            self.held.drain(..end);
            self.searched = 0;
            match head.status {
                101 => {
                    return Err(broken(format!(
                        "{}: the server switched protocols without being asked",
                        head.status_line
                    )));
                }
                100..=199 => self.interim += 1,
                _ => return Ok(Some((head, std::mem::take(&mut self.held)))),
            }
            if self.interim > MAX_INTERIM {
                return Err(broken(format!("more than {MAX_INTERIM} interim responses")));
            }
        }
    }

    /// Returns the error of a connection that closed before the head was complete.
    pub(crate) fn closed(&self) -> io::Error {
        match self.held.iter().position(|&byte| byte == b'\n') {
            None if self.held.is_empty() && self.interim > 0 => {
                broken("the connection closed after an interim response")
            }
            None if self.held.is_empty() => broken("the connection closed without a response"),
            None if self.held.starts_with(b"HTTP/") => {
                broken("the connection closed in the middle of the status line")
            }
            None => not_a_response(&self.held),
            Some(_) => broken("the connection closed in the middle of the header"),
        }
    }

    /// Fails early if the bytes cannot become a response and there are enough of them to show.
    fn check_begin(&self) -> io::Result<()> {
        let is_begin = self.held.iter().zip(b"HTTP/").all(|(a, b)| a == b);
        let is_enough = self.held.len() >= EXCERPT || self.held.contains(&b'\n');
        match !is_begin && is_enough {
            true => Err(not_a_response(&self.held)),
            false => Ok(()),
        }
    }

    /// Returns the end of the empty line that ends the head. A line ends with CR LF or with a bare LF (RFC
    /// 9112, section 2.2). No byte is searched twice, so that a peer that sends byte by byte causes no
    /// quadratic work.
    fn find_end(&mut self) -> Option<usize> {
        let held = &self.held;
        let line_ends = (self.searched..held.len()).filter(|&at| held[at] == b'\n');
        for end in line_ends {
            let rest = &held[end + 1..];
            for empty in [&b"\n"[..], b"\r\n"] {
                if rest.starts_with(empty) {
                    return Some(end + 1 + empty.len());
                }
            }
        }
        // The end of the last line may become an empty line with the next bytes.
        self.searched = held.len().saturating_sub(2);
        None
    }
}

impl Head {
    /// Parses a complete head.
    fn parse(bytes: &[u8]) -> io::Result<Self> {
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut response = httparse::Response::new(&mut fields);
        let parsed = httparse::ParserConfig::default()
            // A user agent must replace these by spaces (RFC 9112, section 5.2).
            .allow_obsolete_multiline_headers_in_responses(true)
            .parse_response(&mut response, bytes);
        match parsed {
            Ok(httparse::Status::Complete(_)) => {}
            // The empty line was found, so the parser disagrees about the lines.
            Ok(httparse::Status::Partial) => return Err(broken("malformed header")),
            Err(httparse::Error::Version | httparse::Error::Status) => {
                return Err(not_a_response(bytes));
            }
            Err(httparse::Error::TooManyHeaders) => {
                return Err(broken(format!("more than {MAX_FIELDS} header fields")));
            }
            Err(error) => return Err(broken(format!("malformed header: {error}"))),
        }
        let status = response.code.unwrap_or_default();
        if status < 100 {
            return Err(not_a_response(bytes));
        }
        let field = |field: &httparse::Header<'_>| {
            let mut value = field.value.to_vec();
            for byte in &mut value {
                if matches!(byte, b'\r' | b'\n') {
                    *byte = b' ';
                }
            }
            (field.name.to_string(), value)
        };
        Ok(Self {
            status,
            status_line: printable(first_line(bytes)),
            fields: response.headers.iter().map(field).collect(),
            is_1_0: response.version == Some(0),
        })
    }

    /// Returns the values of all fields with this name, in lower case.
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.fields
            .iter()
            .filter(move |(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_slice())
    }

    /// Returns where the body ends (RFC 9112, section 6.3). Rejects an ambiguous head, because two readers
    /// that disagree about the end enable request smuggling.
    pub(crate) fn framing(&self) -> io::Result<Framing> {
        if matches!(self.status, 204 | 304) {
            return Ok(Framing::Length(0));
        }
        let lengths: Vec<&[u8]> = self.values("content-length").collect();
        let codings = self
            .values("transfer-encoding")
            .collect::<Vec<_>>()
            .join(&b", "[..]);
        let is_coded = self.values("transfer-encoding").next().is_some();
        if is_coded {
            // A list may contain empty elements (RFC 9110, section 5.6.1).
            let mut elements = codings
                .split(|&byte| byte == b',')
                .map(<[u8]>::trim_ascii)
                .filter(|element| !element.is_empty());
            let is_chunked = elements
                .next()
                .is_some_and(|first| first.eq_ignore_ascii_case(b"chunked"))
                && elements.next().is_none();
            let shown = printable(&codings);
            return if self.is_1_0 {
                Err(broken(format!(
                    "Transfer-Encoding \"{shown}\" in an HTTP/1.0 response"
                )))
            } else if !lengths.is_empty() {
                Err(broken(
                    "both Transfer-Encoding and Content-Length in one response",
                ))
            } else if is_chunked {
                Ok(Framing::Chunked)
            } else {
                Err(broken(format!("unsupported Transfer-Encoding \"{shown}\"")))
            };
        }
        let mut framing = Framing::UntilClose;
        for length in lengths
            .iter()
            .flat_map(|list| list.split(|&byte| byte == b','))
        {
            let length = length.trim_ascii();
            let Some(length) = parse_length(length) else {
                let shown = printable(length);
                return Err(broken(format!("invalid Content-Length \"{shown}\"")));
            };
            match framing {
                Framing::Length(other) if other != length => {
                    return Err(broken(format!(
                        "conflicting Content-Lengths, {other} and {length}"
                    )));
                }
                _ => framing = Framing::Length(length),
            }
        }
        Ok(framing)
    }

    /// Returns the target of a redirect, if the response is one. The parser of URLs rejects everything
    /// except printable ASCII in it.
    pub(crate) fn redirect(&self) -> Option<String> {
        if !matches!(self.status, 301 | 302 | 303 | 307 | 308) {
            return None;
        }
        let location = self.values("location").next()?;
        Some(String::from_utf8_lossy(location).into_owned())
    }
}

/// Parses a length, which consists of digits only.
fn parse_length(digits: &[u8]) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    str::from_utf8(digits)
        .ok()
        .filter(|_| is_number)?
        .parse()
        .ok()
}

/// Returns the error of bytes that are not a response, with their beginning.
fn not_a_response(received: &[u8]) -> io::Error {
    let line = first_line(received);
    let begin = printable(&line[..line.len().min(EXCERPT)]);
    broken(format!(
        "not an HTTP/1 response: it begins with \"{begin}\""
    ))
}

/// Returns the first line without its end.
fn first_line(bytes: &[u8]) -> &[u8] {
    let line = bytes.split(|&byte| byte == b'\n').next().unwrap_or(bytes);
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parses a head in two pieces, split at each position, and byte by byte. Returns the result, which must
    /// be the same each time.
    fn read(received: &[u8]) -> Result<(Head, Vec<u8>), String> {
        let read = |pieces: &mut dyn Iterator<Item = &[u8]>| {
            let mut reader = HeadReader::default();
            while let Some(piece) = pieces.next() {
                if let Some((head, mut rest)) =
                    reader.receive(piece).map_err(|error| error.to_string())?
                {
                    rest.extend(pieces.flatten());
                    return Ok((head, rest));
                }
            }
            Err(reader.closed().to_string())
        };
        let whole = read(&mut [received].into_iter());
        for cut in 0..received.len() {
            let (begin, end) = received.split_at(cut);
            let parted = read(&mut [begin, end].into_iter());
            assert_eq!(format!("{parted:?}"), format!("{whole:?}"), "at {cut}");
        }
        let bytewise = read(&mut received.chunks(1));
        assert_eq!(format!("{bytewise:?}"), format!("{whole:?}"));
        whole
    }

    #[test]
    fn a_head_is_parsed_whatever_the_pieces() {
        for (received, status_line, rest) in [
            (
                &b"HTTP/1.0 200 OK\r\nServer: x\r\n\r\nbody"[..],
                "HTTP/1.0 200 OK",
                &b"body"[..],
            ),
            (b"HTTP/1.1 404 Not Found\n\n", "HTTP/1.1 404 Not Found", b""),
            (b"HTTP/1.1 200\r\n\r\n", "HTTP/1.1 200", b""),
            (b"HTTP/1.1 200 \r\nA: b\n\r\n\n", "HTTP/1.1 200 ", b"\n"),
            (
                b"HTTP/1.1 500 \xfcps\r\n\r\n",
                r"HTTP/1.1 500 \xfcps",
                b"",
            ),
            (
                b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 x\r\nLink: y\r\n\r\nHTTP/1.1 204 z\r\n\r\n.",
                "HTTP/1.1 204 z",
                b".",
            ),
        ] {
            let (head, behind) = read(received).expect(status_line);
            assert_eq!(head.status_line, status_line);
            assert_eq!(behind, rest);
        }
    }

    #[test]
    fn bytes_without_a_valid_head_are_not_a_response() {
        let many_fields = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(129));
        let interim = "HTTP/1.1 100 Continue\r\n\r\n";
        let many_interim = interim.repeat(9);
        for (received, reason) in [
            (&b""[..], "the connection closed without a response"),
            (
                b"HTTP/",
                "the connection closed in the middle of the status line",
            ),
            (
                b"HTTP/1.0 200 OK\r",
                "the connection closed in the middle of the status line",
            ),
            (
                b"HTTP/1.0 200 OK\r\n",
                "the connection closed in the middle of the header",
            ),
            (
                b"HTTP/1.0 200 OK\r\nServer: x\r\n\r",
                "the connection closed in the middle of the header",
            ),
            (
                interim.as_bytes(),
                "the connection closed after an interim response",
            ),
            (many_interim.as_bytes(), "more than 8 interim responses"),
            (
                b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
                "HTTP/1.1 101 Switching Protocols: the server switched protocols without being asked",
            ),
            (
                b"SSH-2.0-OpenSSH_9.9\r\n",
                "not an HTTP/1 response: it begins with \"SSH-2.0-OpenSSH_9.9\"",
            ),
            (
                b"HTTP/1.0 2000 OK\r\n\r\n",
                "not an HTTP/1 response: it begins with \"HTTP/1.0 2000 OK\"",
            ),
            (
                b"HTTP/1.0  200 OK\r\n\r\n",
                "not an HTTP/1 response: it begins with \"HTTP/1.0  200 OK\"",
            ),
            (
                b"HTTP/1.1 099 x\r\n\r\n",
                "not an HTTP/1 response: it begins with \"HTTP/1.1 099 x\"",
            ),
            (
                b"HTTP/2.0 200 OK\r\n\r\n",
                "not an HTTP/1 response: it begins with \"HTTP/2.0 200 OK\"",
            ),
            (
                b"HTTP/1.1 200 \x1b[2J\r\n\r\n",
                "not an HTTP/1 response: it begins with \"HTTP/1.1 200 \\x1b[2J\"",
            ),
            (b"\n\n", "not an HTTP/1 response: it begins with \"\""),
            (
                b"\x00\x01\"",
                r#"not an HTTP/1 response: it begins with "\x00\x01"""#,
            ),
            (
                b"HTTP/1.1 200 OK\r\nA b\r\n\r\n",
                "malformed header: invalid header name",
            ),
            (
                b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
                "malformed header: invalid header name",
            ),
            (
                b"HTTP/1.1 200 OK\r\nA: \0\r\n\r\n",
                "malformed header: invalid header value",
            ),
            (many_fields.as_bytes(), "more than 128 header fields"),
        ] {
            let shown = received.escape_ascii();
            assert_eq!(
                read(received).map(|_| ()),
                Err(reason.to_string()),
                "{shown}"
            );
        }
    }

    #[test]
    fn the_length_of_a_head_is_limited_whether_it_ends_or_not() {
        for (begin, what) in [("", "status line"), ("\r\nA: ", "header")] {
            for end in ["", "\r\n\r\n"] {
                let filling = "x".repeat(MAX_HEAD);
                let received = format!("HTTP/1.1 200 OK{begin}{filling}{end}");
                let mut reader = HeadReader::default();
                let error = reader.receive(received.as_bytes()).unwrap_err();
                let reason = format!("the {what} is longer than 64 KiB");
                assert_eq!(error.to_string(), reason);
            }
        }
    }

    /// Returns the framing of a response with this head.
    fn framing(head: &str) -> Result<Framing, String> {
        let (head, _) = read(format!("HTTP/{head}\r\n\r\n").as_bytes()).unwrap();
        head.framing().map_err(|error| error.to_string())
    }

    #[test]
    fn the_body_ends_where_the_rfc_says() {
        for (head, expected) in [
            ("1.1 200 OK", Framing::UntilClose),
            ("1.1 200 OK\r\nContent-Length: 0", Framing::Length(0)),
            ("1.1 200 OK\r\ncontent-length:007", Framing::Length(7)),
            ("1.1 200 OK\r\nContent-Length: 7, 7", Framing::Length(7)),
            (
                "1.1 200 OK\r\nContent-Length: 7\r\nContent-Length: 7",
                Framing::Length(7),
            ),
            (
                "1.1 200 OK\r\nContent-Length: 18446744073709551615",
                Framing::Length(u64::MAX),
            ),
            ("1.1 200 OK\r\nTransfer-Encoding: Chunked", Framing::Chunked),
            (
                "1.1 200 OK\r\nTransfer-Encoding:\r\n chunked",
                Framing::Chunked,
            ),
            (
                "1.1 200 OK\r\nTransfer-Encoding: , chunked",
                Framing::Chunked,
            ),
            (
                "1.1 200 OK\r\nTransfer-Encoding:\r\nTransfer-Encoding: chunked ,\t,",
                Framing::Chunked,
            ),
            ("1.1 204 x\r\nContent-Length: 7", Framing::Length(0)),
            (
                "1.1 304 x\r\nTransfer-Encoding: chunked",
                Framing::Length(0),
            ),
        ] {
            assert_eq!(framing(head), Ok(expected), "{head}");
        }
    }

    #[test]
    fn an_ambiguous_length_is_rejected() {
        for (head, reason) in [
            (
                "1.1 200 OK\r\nContent-Length: 7\r\nContent-Length: 8",
                "conflicting Content-Lengths, 7 and 8",
            ),
            (
                "1.1 200 OK\r\nContent-Length: 7, 8",
                "conflicting Content-Lengths, 7 and 8",
            ),
            (
                "1.1 200 OK\r\nContent-Length: -1",
                "invalid Content-Length \"-1\"",
            ),
            (
                "1.1 200 OK\r\nContent-Length: +1",
                "invalid Content-Length \"+1\"",
            ),
            (
                "1.1 200 OK\r\nContent-Length: 1 2",
                "invalid Content-Length \"1 2\"",
            ),
            (
                "1.1 200 OK\r\nContent-Length: ",
                "invalid Content-Length \"\"",
            ),
            (
                "1.1 200 OK\r\nContent-Length: 7,",
                "invalid Content-Length \"\"",
            ),
            (
                "1.1 200 OK\r\nContent-Length: 0x10",
                "invalid Content-Length \"0x10\"",
            ),
            (
                "1.1 200 OK\r\nContent-Length: 18446744073709551616",
                "invalid Content-Length \"18446744073709551616\"",
            ),
            (
                "1.1 200 OK\r\nContent-Length: 7\r\nTransfer-Encoding: chunked",
                "both Transfer-Encoding and Content-Length in one response",
            ),
            (
                "1.0 200 OK\r\nTransfer-Encoding: chunked",
                "Transfer-Encoding \"chunked\" in an HTTP/1.0 response",
            ),
            (
                "1.1 200 OK\r\nTransfer-Encoding: gzip, chunked",
                "unsupported Transfer-Encoding \"gzip, chunked\"",
            ),
            (
                "1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
                "unsupported Transfer-Encoding \"chunked, chunked\"",
            ),
            (
                "1.1 200 OK\r\nTransfer-Encoding: , x-chunked",
                "unsupported Transfer-Encoding \", x-chunked\"",
            ),
            (
                "1.1 200 OK\r\nTransfer-Encoding: ,",
                "unsupported Transfer-Encoding \",\"",
            ),
            (
                "1.1 200 OK\r\nTransfer-Encoding:",
                "unsupported Transfer-Encoding \"\"",
            ),
        ] {
            assert_eq!(framing(head), Err(reason.to_string()), "{head}");
        }
    }

    #[test]
    fn only_a_redirect_with_a_location_redirects() {
        for (head, redirect) in [
            ("301 x\r\nLocation: /a b", Some("/a b")),
            ("308 x\r\nlocation: ", Some("")),
            ("302 x", None),
            ("300 x\r\nLocation: /a", None),
            ("304 x\r\nLocation: /a", None),
            ("201 x\r\nLocation: /a", None),
        ] {
            let (head, _) = read(format!("HTTP/1.1 {head}\r\n\r\n").as_bytes()).unwrap();
            assert_eq!(head.redirect().as_deref(), redirect);
        }
    }
}
