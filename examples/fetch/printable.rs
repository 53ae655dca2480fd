//! Makes untrusted bytes safe to print.

/// Escapes everything except printable ASCII, because a terminal interprets other bytes. Quotes and
/// backslashes stay as they are, so the result cannot be parsed again.
pub(crate) fn printable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes {
        match byte {
            b' '..=b'~' => text.push(char::from(byte)),
            other => text += &other.escape_ascii().to_string(),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn only_printable_ascii_is_printed() {
        assert_eq!(printable(b"it's a \"\\\" ~"), "it's a \"\\\" ~");
        assert_eq!(
            printable(b"\r\n\t\0\x1b[2J\x7f\xff"),
            r"\r\n\t\x00\x1b[2J\x7f\xff"
        );
        let all: Vec<u8> = (0..=255).collect();
        assert!(
            printable(&all)
                .bytes()
                .all(|byte| (b' '..=b'~').contains(&byte))
        );
    }
}
