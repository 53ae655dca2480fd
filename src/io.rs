//! Readers and writers: the standard streams, pollable descriptors, copying between two streams, buffers and helpers.
//!
//! On Unix, `Async` wraps any descriptor that the operating system can poll: pipes, terminals, the output of a child
//! process, sockets of other crates. The buffers, the helpers and the traits come from `futures-lite`, and require
//! the feature `prelude`. The sockets are in [`net`](crate::net).
//!
#![cfg_attr(feature = "prelude", doc = "```")]
#![cfg_attr(not(feature = "prelude"), doc = "```ignore")]
//! use glassfrog::io::BufReader;
//! use glassfrog::prelude::*;
//!
//! glassfrog::block_on(async {
//!     let mut lines = BufReader::new(&b"any\nreader"[..]).lines();
//!     assert_eq!(lines.next().await.unwrap()?, "any");
//!     assert_eq!(lines.next().await.unwrap()?, "reader");
//!     assert!(lines.next().await.is_none());
//!     std::io::Result::Ok(())
//! })?;
//! # std::io::Result::Ok(())
//! ```
//!
//! # Splitting
//!
//! `split` divides any stream into a reader and a writer. The two halves share the stream behind a lock, which a half
//! holds while it polls the stream. The sockets of this crate need neither `split` nor a lock: `&stream` reads and
//! writes too, and [`into_split`](crate::net::TcpStream::into_split) returns owned halves. Dropping the owned write
//! half shuts down the write direction. Use `split` for other streams, such as those of a TLS library:
//!
#![cfg_attr(feature = "prelude", doc = "```")]
#![cfg_attr(not(feature = "prelude"), doc = "```ignore")]
//! use glassfrog::io::{AsyncRead, AsyncWrite, copy, sink, split};
//! use glassfrog::prelude::*;
//! use glassfrog::task::try_scope;
//!
//! /// Sends a request while counting the bytes of the response.
//! async fn exchange<S>(stream: S, request: &[u8]) -> std::io::Result<u64>
//! where
//!     S: AsyncRead + AsyncWrite + Unpin,
//! {
//!     let (reader, mut writer) = split(stream);
//!     let send = async {
//!         writer.write_all(request).await?;
//!         writer.close().await
//!     };
//!     let receive = copy(reader, sink());
//!     try_scope(async |s| {
//!         s.spawn(send);
//!         receive.await
//!     })
//!     .await
//! }
//! # let stream = glassfrog::io::Cursor::new(Vec::new());
//! # assert_eq!(glassfrog::block_on(exchange(stream, b"hello"))?, 0);
//! # std::io::Result::Ok(())
//! ```

#[cfg(unix)]
mod async_fd;
mod copy_bidirectional;
mod stdio;

#[cfg(unix)]
pub use self::async_fd::Async;
pub use self::copy_bidirectional::{CopyBidirectional, copy_bidirectional};
pub use self::stdio::{Stderr, Stdin, Stdout, stderr, stdin, stdout};
#[doc(no_inline)]
#[cfg(feature = "prelude")]
pub use futures_lite::io::{
    AsyncBufRead, AsyncRead, AsyncSeek, AsyncWrite, BufReader, BufWriter, Cursor, Empty, ReadHalf,
    Sink, WriteHalf, copy, empty, sink, split,
};
