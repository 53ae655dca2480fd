//! The errors of [`oneshot`](super).

use std::error::Error;
use std::fmt;

/// The error of a receiver: the sender was dropped without sending a value, or the receiver was closed before.
///
/// # Examples
///
/// ```
/// use glassfrog::sync::oneshot;
///
/// glassfrog::block_on(async {
///     let (sender, receiver) = oneshot::channel::<u32>();
///     drop(sender);
///     let error = receiver.await.unwrap_err();
///     assert_eq!(error.to_string(), "the sender was dropped without sending a value");
/// });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecvError(pub(super) ());

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the sender was dropped without sending a value")
    }
}

impl Error for RecvError {}

/// The error of `try_recv`.
///
/// # Examples
///
/// ```
/// use glassfrog::sync::oneshot::{self, error::TryRecvError};
///
/// let (sender, mut receiver) = oneshot::channel::<u32>();
/// assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
/// drop(sender);
/// assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TryRecvError {
    /// No value has been sent yet.
    Empty,
    /// The channel can no longer yield a value: the value was received, the sender was dropped, or the receiver was
    /// closed.
    Closed,
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TryRecvError::Empty => "no value has been sent yet",
            TryRecvError::Closed => "no value will be sent any more",
        })
    }
}

impl Error for TryRecvError {}
