//! The `*_with` methods: system calls of the caller's choice, made when the reactor reports readiness.
//!
//! Each type of socket invokes [`read_with`] and [`write_with`] in its own file. The operation is foreign code: it
//! runs without a lock or a borrow, so it may use the same socket. A short read or write says nothing about the next
//! one, so only `WouldBlock` clears the readiness.

/// Defines `read_with`, `try_read_with` and `poll_read_with`.
///
/// `$io` is the argument of the operation, computed from `$self`. The attributes hold the example of `read_with`.
macro_rules! read_with {
    ($self:ident => $io:expr, &$Io:ty $(, $(#[$example:meta])*)?) => {
        /// Reads with a system call of the caller's choice, waiting until it does not block.
        ///
        /// Calls `op` when the reactor has reported data, the end of the data, or an error. If `op` returns
        /// `WouldBlock`, the method waits for the next report. If it returns `Interrupted`, the method calls it
        /// again. The method returns any other result.
        ///
        /// `op` must not block, and should return `WouldBlock` only if the system call did.
        ///
        /// # Errors
        ///
        /// Returns the error of `op`, or an error if the runtime has ended.
        ///
        /// # Cancel safety
        ///
        /// If the future is dropped before it is ready, every call of `op` has returned `WouldBlock` or
        /// `Interrupted`.
        $(
            ///
            /// # Examples
            ///
            $(#[$example])*
        )?
        pub async fn read_with<R>(
            &$self,
            mut op: impl FnMut(&$Io) -> std::io::Result<R>,
        ) -> std::io::Result<R> {
            let socket = &$self.socket;
            socket.op_with($crate::reactor::readiness::Direction::Read, |_| op($io)).await
        }

        /// Reads with a system call of the caller's choice, without waiting.
        ///
        /// # Errors
        ///
        /// The kind is `WouldBlock` if `op` returns `WouldBlock`, or if nothing is known to be readable, in which
        /// case the method does not call `op`. The method does not look for new events, so wait for readiness first.
        /// Otherwise returns the error of `op`, or an error if the runtime has ended.
        ///
        /// # Examples
        ///
        /// See [`read_with`](Self::read_with).
        pub fn try_read_with<R>(
            &$self,
            mut op: impl FnMut(&$Io) -> std::io::Result<R>,
        ) -> std::io::Result<R> {
            let socket = &$self.socket;
            socket.try_with($crate::reactor::readiness::Direction::Read, |_| op($io))
        }

        /// Polls a read with a system call of the caller's choice.
        ///
        /// Does what [`read_with`](Self::read_with) does, for code that implements `poll` itself. If the method
        /// returns `Pending`, the task is woken when it should call the method again. Any number of tasks may wait.
        /// If there are more than eight, some of them may be woken spuriously.
        ///
        /// # Errors
        ///
        /// See [`read_with`](Self::read_with).
        ///
        /// # Examples
        ///
        /// See [`read_with`](Self::read_with).
        pub fn poll_read_with<R>(
            &$self,
            cx: &mut std::task::Context<'_>,
            mut op: impl FnMut(&$Io) -> std::io::Result<R>,
        ) -> std::task::Poll<std::io::Result<R>> {
            let socket = &$self.socket;
            socket.poll_op_with($crate::reactor::readiness::Direction::Read, cx, |_| op($io))
        }
    };
}

/// Defines `write_with`, `try_write_with` and `poll_write_with`, as [`read_with`] does for reads.
macro_rules! write_with {
    ($self:ident => $io:expr, &$Io:ty $(, $(#[$example:meta])*)?) => {
        /// Writes with a system call of the caller's choice, waiting until it does not block.
        ///
        /// Calls `op` when the reactor has reported room to write or an error. If `op` returns `WouldBlock`, the
        /// method waits for the next report. If it returns `Interrupted`, the method calls it again. The method
        /// returns any other result.
        ///
        /// `op` must not block, and should return `WouldBlock` only if the system call did.
        ///
        /// # Errors
        ///
        /// Returns the error of `op`, or an error if the runtime has ended.
        ///
        /// # Cancel safety
        ///
        /// If the future is dropped before it is ready, every call of `op` has returned `WouldBlock` or
        /// `Interrupted`.
        ///
        /// # Examples
        ///
        $($(#[$example])*)?
        /// See also [`read_with`](Self::read_with).
        pub async fn write_with<R>(
            &$self,
            mut op: impl FnMut(&$Io) -> std::io::Result<R>,
        ) -> std::io::Result<R> {
            let socket = &$self.socket;
            socket.op_with($crate::reactor::readiness::Direction::Write, |_| op($io)).await
        }

        /// Writes with a system call of the caller's choice, without waiting.
        ///
        /// # Errors
        ///
        /// The kind is `WouldBlock` if `op` returns `WouldBlock`, or if no room is known to be available, in which
        /// case the method does not call `op`. The method does not look for new events, so wait for readiness first.
        /// Otherwise returns the error of `op`, or an error if the runtime has ended.
        ///
        /// # Examples
        ///
        /// See [`write_with`](Self::write_with).
        pub fn try_write_with<R>(
            &$self,
            mut op: impl FnMut(&$Io) -> std::io::Result<R>,
        ) -> std::io::Result<R> {
            let socket = &$self.socket;
            socket.try_with($crate::reactor::readiness::Direction::Write, |_| op($io))
        }

        /// Polls a write with a system call of the caller's choice.
        ///
        /// Does what [`write_with`](Self::write_with) does, for code that implements `poll` itself. If the method
        /// returns `Pending`, the task is woken when it should call the method again. Any number of tasks may wait.
        /// If there are more than eight, some of them may be woken spuriously.
        ///
        /// # Errors
        ///
        /// See [`write_with`](Self::write_with).
        ///
        /// # Examples
        ///
        /// See [`write_with`](Self::write_with).
        pub fn poll_write_with<R>(
            &$self,
            cx: &mut std::task::Context<'_>,
            mut op: impl FnMut(&$Io) -> std::io::Result<R>,
        ) -> std::task::Poll<std::io::Result<R>> {
            let socket = &$self.socket;
            socket.poll_op_with($crate::reactor::readiness::Direction::Write, cx, |_| op($io))
        }
    };
}

pub(crate) use {read_with, write_with};
