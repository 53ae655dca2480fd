//! [`search`]: looks for a seed that fails.

use super::{Failure, Sim};
use crate::foreign::panic_message;
use crate::sim::failure::Cause;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs a simulation with each seed of a range, until one fails. Returns its seed and its failure, or `None` if all runs
/// succeed.
///
/// A run fails if the closure returns an error or panics, for example in an assertion after
/// [`Sim::run`]. To look at the failure again, call the closure with a `Sim::new` of the same seed.
///
/// # Examples
///
/// A bug that shows only if the network is fast one way and slow the other:
///
/// ```
/// use glassfrog::sim::{self, Sim};
/// use glassfrog::time::sleep;
/// use std::time::Duration;
///
/// let found = sim::search(0..1_000, |sim| {
///     sim.client("client", async {
///         let (there, back) = (sim::rng().below(10), sim::rng().below(10));
///         sleep(Duration::from_millis(there + back)).await;
///         if back > there + 5 {
///             return Err("the answer was overtaken".into());
///         }
///         Ok(())
///     });
///     sim.run()
/// });
/// let (seed, failure) = found.expect("one of the thousand seeds fails");
/// assert_eq!(failure.seed(), seed);
/// ```
pub fn search<T>(
    seeds: impl IntoIterator<Item = u64>,
    mut run: impl FnMut(&mut Sim) -> Result<T, Failure>,
) -> Option<(u64, Failure)> {
    seeds.into_iter().find_map(|seed| {
        let mut sim = Sim::new(seed);
        // After a panic, the simulation only makes a failure of it.
        let failure = match catch_unwind(AssertUnwindSafe(|| run(&mut sim).map(drop))) {
            Ok(Ok(())) => return None,
            Ok(Err(failure)) => failure,
            Err(panic) => match sim.failure() {
                Some(failure) => failure,
                None => {
                    let text = format!("the test panicked: {}", panic_message(&*panic));
                    sim.fail(Cause::Panic(text), None)
                }
            },
        };
        Some((seed, failure))
    })
}
