//! [`Mask`]: what a socket is ready for.

/// What a socket is ready for, as `epoll(7)` would report it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mask {
    /// A read, a peek or an accept would return something (`EPOLLIN`).
    pub(crate) readable: bool,
    /// A write would send something or return an error (`EPOLLOUT`).
    pub(crate) writable: bool,
    /// The peer will send nothing more (`EPOLLRDHUP`).
    pub(crate) read_closed: bool,
    /// Nothing more can be sent (`EPOLLHUP`).
    pub(crate) write_closed: bool,
    /// The socket has an error that no operation has returned yet (`EPOLLERR`).
    pub(crate) error: bool,
}
