//! Errors that say what was attempted.

use std::error::Error;
use std::fmt;
use std::io;

/// The error codes for too many open files in this process and in the whole system, the same on Linux,
/// macOS and the BSDs. `io::ErrorKind` has no name for them.
const OUT_OF_DESCRIPTORS: [i32; 2] = [24, 23];

/// Creates the error of a peer that violates the protocol.
pub(crate) fn broken(complaint: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, complaint.into())
}

/// Adds to an error what was attempted. The result has the same kind, and the error as its source.
pub(crate) fn tried(what: impl Into<String>, error: io::Error) -> io::Error {
    let what = what.into();
    io::Error::new(error.kind(), Tried { what, error })
}

/// Returns whether an error already says what was attempted.
pub(crate) fn says_what_was_tried(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|error| error.is::<Tried>())
}

/// Returns whether an error was caused by a lack of file descriptors.
pub(crate) fn is_out_of_descriptors(error: &io::Error) -> bool {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = next {
        let code = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::raw_os_error);
        if code.is_some_and(|code| OUT_OF_DESCRIPTORS.contains(&code)) {
            return true;
        }
        next = error.source();
    }
    false
}

/// An error together with what was attempted.
#[derive(Debug)]
struct Tried {
    /// What was attempted.
    what: String,
    /// The error.
    error: io::Error,
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.error)
    }
}

impl Error for Tried {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lack_of_descriptors_is_found_in_the_sources_of_an_error() {
        let starved = || io::Error::from_raw_os_error(24);
        assert!(is_out_of_descriptors(&starved()));
        assert!(is_out_of_descriptors(&tried("a", tried("b", starved()))));
        assert_eq!(tried("a", tried("b", broken("c"))).to_string(), "a: b: c");
        assert!(says_what_was_tried(&tried("a", broken("c"))));
        assert!(!says_what_was_tried(&broken("c")));
        assert!(!is_out_of_descriptors(&tried("a", broken("c"))));
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert!(!is_out_of_descriptors(&tried("a", refused)));
    }
}
