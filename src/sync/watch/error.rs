//! The errors of [`watch`](super).

use std::error::Error;
use std::fmt;

/// The error of `send`: there is no receiver. Contains the value.
///
/// # Examples
///
/// ```
/// use glassfrog::sync::watch::{self, error::SendError};
///
/// let (sender, receiver) = watch::channel(1);
/// drop(receiver);
/// let SendError(value) = sender.send(2).unwrap_err();
/// assert_eq!(value, 2);
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SendError<T>(pub T);

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendError").finish_non_exhaustive()
    }
}

impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the channel has no receiver")
    }
}

impl<T> Error for SendError<T> {}

/// The error of a receiver: all senders have been dropped, and the receiver has seen the last value.
///
/// # Examples
///
/// ```
/// use glassfrog::sync::watch;
///
/// glassfrog::block_on(async {
///     let (sender, mut receiver) = watch::channel(1);
///     drop(sender);
///     let error = receiver.changed().await.unwrap_err();
///     assert_eq!(error.to_string(), "all senders of the channel were dropped");
/// });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecvError(pub(super) ());

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("all senders of the channel were dropped")
    }
}

impl Error for RecvError {}
