//! HTTP.

mod executor;
mod io;
mod timer;
#[cfg(feature = "hyper-serve")]
pub(crate) mod serve;

pub use self::executor::Executor;
pub use self::io::Io;
#[cfg(feature = "hyper-serve")]
pub use self::serve::{Listener, NoHandshake, Serve, serve};
pub use self::timer::Timer;
#[cfg(feature = "hyper-serve")]
pub use hyper_util::service::TowerToHyperService;
