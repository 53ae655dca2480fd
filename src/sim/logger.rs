//! [`Logger`]: a logger that tells the hosts of a simulation apart.

use super::inside;
use log::{Log, Metadata, Record};
use std::fmt;
use std::time::Duration;

/// A logger that adds the simulated time and the name of the host to each record of a simulated host.
///
/// It passes the records on to another logger, those from outside simulations unchanged:
///
/// ```text
/// 12.345678 primary: accepted a connection from 10.0.0.3:32768
/// ```
///
/// The time is the true time since the simulation began, whatever the clock of the host shows.
///
/// # Examples
///
/// ```
/// # struct Stderr;
/// # impl log::Log for Stderr {
/// #     fn enabled(&self, _: &log::Metadata<'_>) -> bool { true }
/// #     fn log(&self, record: &log::Record<'_>) { eprintln!("{}", record.args()) }
/// #     fn flush(&self) {}
/// # }
/// use glassfrog::sim::Logger;
///
/// log::set_logger(Box::leak(Box::new(Logger::new(Stderr))))?;
/// log::set_max_level(log::LevelFilter::Info);
/// # Ok::<(), log::SetLoggerError>(())
/// ```
pub struct Logger<L> {
    /// The logger that receives the records.
    inner: L,
}

impl<L: Log> Logger<L> {
    /// Creates a logger that passes its records on to `inner`.
    ///
    /// # Examples
    ///
    /// See [`Logger`].
    pub fn new(inner: L) -> Logger<L> {
        Logger { inner }
    }
}

impl<L: Log> Log for Logger<L> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.inner.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        let Some(here) = inside::try_here() else {
            return self.inner.log(record);
        };
        let time = Seconds(here.simulation.time.now());
        self.inner.log(
            &Record::builder()
                .metadata(record.metadata().clone())
                .module_path(record.module_path())
                .file(record.file())
                .line(record.line())
                .args(format_args!("{time} {}: {}", here.name, record.args()))
                .build(),
        );
    }

    fn flush(&self) {
        self.inner.flush();
    }
}

impl<L> fmt::Debug for Logger<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logger").finish_non_exhaustive()
    }
}

/// A time in nanoseconds, printed as seconds with six decimals.
pub(super) struct Seconds(pub(super) u64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = Duration::from_nanos(self.0);
        write!(f, "{}.{:06}", time.as_secs(), time.subsec_micros())
    }
}
