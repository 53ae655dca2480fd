//! I/O errors with context: the operation that failed, and the address or name that it was given.

use std::error::Error;
use std::fmt;
use std::io;

/// An I/O error with its context.
struct ContextError {
    /// The operation that failed, such as "connect to".
    operation: &'static str,
    /// The address or name that the operation was given.
    subject: Box<str>,
    /// The error of the operation.
    error: io::Error,
    /// A hint: what the error means for this operation, or what to do about it. May be empty.
    hint: &'static str,
}

/// Prefixes the text of an error with the operation that failed and what it was given. The kind of the
/// error stays the same.
pub(super) fn with_context(
    operation: &'static str,
    subject: impl ToString,
    error: io::Error,
) -> io::Error {
    with_hint(operation, subject, error, "")
}

/// Adds context as [`with_context`] does, and appends a hint: what the error means, or what to do about it.
pub(super) fn with_hint(
    operation: &'static str,
    subject: impl ToString,
    error: io::Error,
    hint: &'static str,
) -> io::Error {
    let context = ContextError {
        operation,
        subject: subject.to_string().into_boxed_str(),
        error,
        hint,
    };
    io::Error::new(context.error.kind(), context)
}

impl fmt::Display for ContextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.operation, self.subject, self.error)?;
        match self.hint {
            "" => Ok(()),
            hint => write!(f, ": {hint}"),
        }
    }
}

impl Error for ContextError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.error)
    }
}

/// Prints one line, for `main` functions that return the error.
impl fmt::Debug for ContextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}
