//! What the benchmarks share: settings, and the way an `async` body is timed.

use std::time::Duration;

use criterion::Criterion;
use glassfrog::Runtime;

/// Short enough that all benchmarks together take under a minute; pass `--measurement-time` for
/// more.
const MEASUREMENT_TIME: Duration = Duration::from_secs(2);

/// Warms the caches and the branch predictor; there is nothing else to warm.
const WARM_UP_TIME: Duration = Duration::from_millis(500);

/// The settings of all benchmarks.
pub(crate) fn criterion() -> Criterion {
    Criterion::default()
        .measurement_time(MEASUREMENT_TIME)
        .warm_up_time(WARM_UP_TIME)
        .configure_from_args()
}

/// Benchmarks `body`, which performs a number of operations and returns how long they took.
///
/// What it prepares is not timed, but has to be short against the operations: criterion chooses
/// their number by how long all of it takes.
pub(crate) fn bench(
    criterion: &mut Criterion,
    runtime: &Runtime,
    name: &str,
    body: impl AsyncFn(u64) -> Duration,
) {
    criterion.bench_function(name, |bencher| {
        bencher.iter_custom(|operations| runtime.block_on(body(operations)));
    });
}
