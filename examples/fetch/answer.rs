//! The part of an HTTP answer that `fetch` looks at: the status line, and whether the head is
//! whole.
//!
//! It is given all that was received until the peer closed. It does not interpret header fields, so
//! that it cannot tell whether a body has the length it was announced with.

/// What is reported of an answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status line, with everything but printable ASCII escaped.
    pub(crate) status_line: String,
    /// How many bytes were received, head and body together.
    pub(crate) bytes: usize,
}

impl Answer {
    /// Reads an answer, or says why it is none.
    pub(crate) fn read(received: &[u8]) -> Result<Self, String> {
        if received.is_empty() {
            return Err("closed without an answer".to_string());
        }
        let line_end = received.iter().position(|&byte| byte == b'\n');
        let line = &received[..line_end.unwrap_or(received.len())];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line_end.is_none() && line.starts_with(b"HTTP/") {
            return Err("closed in the middle of the status line".to_string());
        }
        if !is_status_line(line) {
            let begin = line[..line.len().min(EXCERPT)].escape_ascii();
            return Err(format!("no HTTP answer, it begins with \"{begin}\""));
        }
        if !has_whole_head(received) {
            return Err("closed in the middle of the head".to_string());
        }
        Ok(Self {
            // Escaped, because a stranger's bytes go to the terminal.
            status_line: line.escape_ascii().to_string(),
            bytes: received.len(),
        })
    }
}

/// How much is shown of something that is no answer: enough to recognize another protocol's
/// greeting.
const EXCERPT: usize = 24;

/// Whether a line is a status line (RFC 9112, section 4): the version, a code of three digits, and
/// a reason, which some servers leave out together with the blank before it.
fn is_status_line(line: &[u8]) -> bool {
    /// What a status line begins with, where `0` stands for any digit.
    const SHAPE: &[u8] = b"HTTP/0.0 000";

    line.len() >= SHAPE.len()
        && SHAPE.iter().zip(line).all(|(&shape, &byte)| match shape {
            b'0' => byte.is_ascii_digit(),
            _ => byte == shape,
        })
        && matches!(line.get(SHAPE.len()), None | Some(b' '))
}

/// Whether the empty line that ends the head was received. A line ends with CR LF, or with a bare
/// LF (RFC 9112, section 2.2).
fn has_whole_head(received: &[u8]) -> bool {
    let mut line_ends = received
        .iter()
        .enumerate()
        .filter(|&(_, &byte)| byte == b'\n');
    line_ends.any(|(end, _)| {
        let rest = &received[end + 1..];
        rest.starts_with(b"\r\n") || rest.starts_with(b"\n")
    })
}

#[cfg(test)]
mod tests {
    use super::Answer;

    #[test]
    fn the_status_line_is_taken_from_the_answer() {
        for (received, status_line) in [
            (
                &b"HTTP/1.0 200 OK\r\nServer: x\r\n\r\nbody"[..],
                "HTTP/1.0 200 OK",
            ),
            (b"HTTP/1.1 404 Not Found\n\n", "HTTP/1.1 404 Not Found"),
            (b"HTTP/1.1 200\r\n\r\n", "HTTP/1.1 200"),
            (b"HTTP/1.1 200 \r\n\r\n", "HTTP/1.1 200 "),
            (
                b"HTTP/1.1 500 \x1b[2J\xfcps\r\n\r\n",
                r"HTTP/1.1 500 \x1b[2J\xfcps",
            ),
        ] {
            let answer = Answer::read(received).expect(status_line);
            assert_eq!(answer.status_line, status_line);
            assert_eq!(answer.bytes, received.len());
        }
    }

    #[test]
    fn whatever_has_no_status_line_is_no_answer() {
        for (received, reason) in [
            (&b""[..], "closed without an answer"),
            (b"HTTP/", "closed in the middle of the status line"),
            (
                b"HTTP/1.0 200 OK\r",
                "closed in the middle of the status line",
            ),
            (b"HTTP/1.0 200 OK\r\n", "closed in the middle of the head"),
            (
                b"HTTP/1.0 200 OK\r\nServer: x\r\n",
                "closed in the middle of the head",
            ),
            (
                b"HTTP/1.0 200 OK\r\nServer: x\r\n\r",
                "closed in the middle of the head",
            ),
            (
                b"SSH-2.0-OpenSSH_9.9\r\n",
                "no HTTP answer, it begins with \"SSH-2.0-OpenSSH_9.9\"",
            ),
            (
                b"HTTP/1.0 2000 OK\r\n\r\n",
                "no HTTP answer, it begins with \"HTTP/1.0 2000 OK\"",
            ),
            (
                b"HTTP/1.0  200 OK\r\n\r\n",
                "no HTTP answer, it begins with \"HTTP/1.0  200 OK\"",
            ),
            (b"\n\n", "no HTTP answer, it begins with \"\""),
            (
                b"\x00\x01\"",
                r#"no HTTP answer, it begins with "\x00\x01\"""#,
            ),
        ] {
            assert_eq!(Answer::read(received).unwrap_err(), reason);
        }
    }
}
