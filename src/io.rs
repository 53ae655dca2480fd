//! Readers and writers of every kind: copying between them, buffers and helpers.
//!
//! The buffers, the helpers and the traits are those of `futures-lite`, and require the feature `prelude`. The
//! sockets are in [`net`](crate::net).
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

mod copy_bidirectional;

pub use self::copy_bidirectional::{CopyBidirectional, copy_bidirectional};
#[doc(no_inline)]
#[cfg(feature = "prelude")]
pub use futures_lite::io::{
    AsyncBufRead, AsyncRead, AsyncSeek, AsyncWrite, BufReader, BufWriter, Cursor, copy,
};
