//! A small async runtime that you can see through.
#![forbid(unsafe_code)]

mod clock;
mod context;
mod entry;
mod executor;
mod handle;
pub mod net;
mod reactor;
mod runtime;
mod slab;
mod sync;
pub mod task;
pub mod time;
mod timers;
mod waiter;

pub use self::entry::{Builder, Runtime, block_on};
pub use self::handle::Handle;
pub use self::task::spawn;

/// The extension traits of futures-lite.
#[cfg(feature = "prelude")]
pub mod prelude {
    #[doc(no_inline)]
    pub use futures_lite::{
        AsyncBufReadExt, AsyncReadExt, AsyncSeekExt, AsyncWriteExt, FutureExt, StreamExt,
    };
}
