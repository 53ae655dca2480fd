//! Any pollable descriptor, and the buffers and helpers for readers and writers.
//!
//! On Unix, `Async` waits for whatever the operating system can poll: pipes, terminals, the output of a child
//! process, sockets of other crates. The buffers come from `futures-lite`, with the feature `prelude`.
//!
//! # Examples
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

#[cfg(unix)]
mod async_fd;

#[cfg(unix)]
pub use self::async_fd::Async;
#[doc(no_inline)]
#[cfg(feature = "prelude")]
pub use futures_lite::io::{
    AsyncBufRead, AsyncRead, AsyncSeek, AsyncWrite, BufReader, BufWriter, Cursor, copy,
};
