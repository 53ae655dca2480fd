//! [`Report`]: what a run of a simulation came to.

use std::time::Duration;

/// What a simulation has done up to the end of a run.
///
/// Two runs of the same program with the same seed return equal reports.
///
/// # Examples
///
/// ```
/// use glassfrog::sim::Sim;
/// use std::time::Duration;
///
/// let run = || {
///     let mut sim = Sim::new(7);
///     sim.client("client", async {
///         glassfrog::time::sleep(Duration::from_secs(60)).await;
///         Ok(())
///     });
///     sim.run()
/// };
/// let report = run()?;
/// assert_eq!(report.seed, 7);
/// assert_eq!(report.elapsed, Duration::from_secs(60));
/// assert_eq!(report, run()?);
/// # Ok::<(), glassfrog::sim::Failure>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// A hash of everything that has happened: of each event of the network and of each step of a host. Two runs with
    /// the same hash were the same.
    pub hash: u64,
    /// The number of polls of tasks.
    pub polls: u64,
    /// The number of events of the network.
    pub events: u64,
    /// The simulated time since the beginning.
    pub elapsed: Duration,
    /// The last lines of the journal of the network, if [`Sim::record`](super::Sim::record) has asked for them.
    pub journal: Vec<String>,
}
