//! Errors that name the operation that failed.

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

/// Adds the operation that failed to an error. The result has the same kind, and the error as its source.
pub(crate) fn with_context(what: impl Into<String>, error: io::Error) -> io::Error {
    let what = what.into();
    io::Error::new(error.kind(), ContextError { what, error })
}

/// Returns whether an error already names the operation that failed.
pub(crate) fn has_context(error: &io::Error) -> bool {
    error
        .get_ref()
        .is_some_and(|error| error.is::<ContextError>())
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

/// An error with the operation that failed.
#[derive(Debug)]
struct ContextError {
    /// The operation, such as "connect to 127.0.0.1:80".
    what: String,
    /// The error.
    error: io::Error,
}

impl fmt::Display for ContextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.error)
    }
}

impl Error for ContextError {
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
        assert!(is_out_of_descriptors(&with_context(
            "a",
            with_context("b", starved())
        )));
        assert_eq!(
            with_context("a", with_context("b", broken("c"))).to_string(),
            "a: b: c"
        );
        assert!(has_context(&with_context("a", broken("c"))));
        assert!(!has_context(&broken("c")));
        assert!(!is_out_of_descriptors(&with_context("a", broken("c"))));
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert!(!is_out_of_descriptors(&with_context("a", refused)));
    }
}
