//! The settings of all benchmarks, and the timing of an `async` body.

use std::time::Duration;

use criterion::Criterion;
use glassfrog::Runtime;

/// The measurement time of a benchmark: short enough for all benchmarks to finish within a minute. To change it,
/// pass `--measurement-time`.
const MEASUREMENT_TIME: Duration = Duration::from_secs(2);

/// The warm-up time: long enough to warm the caches and the branch predictor.
const WARM_UP_TIME: Duration = Duration::from_millis(500);

/// Returns criterion with the settings of all benchmarks.
pub(crate) fn criterion() -> Criterion {
    Criterion::default()
        .measurement_time(MEASUREMENT_TIME)
        .warm_up_time(WARM_UP_TIME)
        .configure_from_args()
}

/// Benchmarks `body`, which performs a number of operations and returns how long they took.
///
/// The preparation in `body` is not measured, but it must be short compared with the operations, because criterion
/// chooses their number by the total time.
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
