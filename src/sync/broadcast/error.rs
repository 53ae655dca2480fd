//! The errors of [`broadcast`](super).

use std::error::Error;
use std::fmt;

/// The error of `send`: there is no receiver. Contains the value.
///
/// # Examples
///
/// ```
/// use glassfrog::sync::broadcast::{self, error::SendError};
///
/// let (sender, receiver) = broadcast::channel(1);
/// drop(receiver);
/// let SendError(value) = sender.send(7).unwrap_err();
/// assert_eq!(value, 7);
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

/// The error of `recv`.
///
/// # Examples
///
/// ```
/// use glassfrog::sync::broadcast::{self, error::RecvError};
///
/// glassfrog::block_on(async {
///     let (sender, mut receiver) = broadcast::channel(1);
///     sender.send(1).unwrap();
///     sender.send(2).unwrap();
///     drop(sender);
///     assert_eq!(receiver.recv().await, Err(RecvError::Lagged(1)));
///     assert_eq!(receiver.recv().await, Ok(2));
///     assert_eq!(receiver.recv().await, Err(RecvError::Closed));
/// });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecvError {
    /// All senders have been dropped, and the receiver has received every value.
    Closed,
    /// The receiver was too slow and has missed this number of values. The next call receives the oldest value that the
    /// channel still has.
    Lagged(u64),
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecvError::Closed => f.write_str("the channel is empty and closed"),
            RecvError::Lagged(count) => {
                write!(f, "the receiver was too slow and missed {count} values")
            }
        }
    }
}

impl Error for RecvError {}

/// The error of `try_recv`.
///
/// # Examples
///
/// ```
/// use glassfrog::sync::broadcast::{self, error::TryRecvError};
///
/// let (sender, mut receiver) = broadcast::channel(1);
/// assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
/// sender.send(1).unwrap();
/// sender.send(2).unwrap();
/// assert_eq!(receiver.try_recv(), Err(TryRecvError::Lagged(1)));
/// assert_eq!(receiver.try_recv(), Ok(2));
/// drop(sender);
/// assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TryRecvError {
    /// The receiver has received every value, but senders may still send.
    Empty,
    /// All senders have been dropped, and the receiver has received every value.
    Closed,
    /// The receiver was too slow and has missed this number of values. The next call receives the oldest value that the
    /// channel still has.
    Lagged(u64),
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TryRecvError::Empty => f.write_str("the channel is empty"),
            TryRecvError::Closed => f.write_str("the channel is empty and closed"),
            TryRecvError::Lagged(count) => {
                write!(f, "the receiver was too slow and missed {count} values")
            }
        }
    }
}

impl Error for TryRecvError {}
