//! The attributes `#[glassfrog::main]` and `#[glassfrog::test]`.
//!
//! Do not depend on this crate. Use the attributes through the feature `macros` of glassfrog.
//!
//! An attribute keeps its function unchanged and wraps it in another function, which runs it. The crate
//! therefore needs no parser for Rust, and the compiler reports errors where they are in the function.
//! The expansion of `test` calls a hidden module of glassfrog, which runs the test.

#![forbid(unsafe_code)]

mod function;
mod settings;
mod tokens;

use function::Function;
use proc_macro::{Span, TokenStream};
use settings::{Settings, is_sim};
use tokens::{Error, fill};

/// Runs an `async fn`, usually `main`, with [`block_on`].
///
/// The attribute turns the `async fn` into a function with the same name, attributes and return type. The
/// new function can be called anywhere outside a runtime. The `async fn` must have no parameters and no
/// generic parameters.
///
/// | setting | meaning |
/// | --- | --- |
/// | `crate = path` | the path of glassfrog, if it is not `::glassfrog` |
///
/// To configure the runtime, use a [`Builder`] instead of this attribute.
///
/// # Panics
///
/// The function panics if [`block_on`] panics.
///
/// # Examples
///
/// ```
/// use glassfrog::time::sleep;
/// use std::time::Duration;
///
/// #[glassfrog::main]
/// async fn main() -> std::io::Result<()> {
///     let task = glassfrog::spawn(async { 6 * 7 });
///     sleep(Duration::from_millis(1)).await;
///     assert_eq!(task.await?, 42);
///     Ok(())
/// }
/// ```
///
/// This attribute expands to:
///
/// ```
/// fn main() -> std::io::Result<()> {
///     async fn main() -> std::io::Result<()> {
///         // …
///         Ok(())
///     }
///     glassfrog::block_on(main())
/// }
/// ```
///
/// If glassfrog has another name in this crate:
///
/// ```
/// # extern crate glassfrog as frog;
/// #[frog::main(crate = frog)]
/// async fn main() {}
/// ```
///
/// [`block_on`]: ../glassfrog/fn.block_on.html
/// [`Builder`]: ../glassfrog/struct.Builder.html
#[proc_macro_attribute]
pub fn main(settings: TokenStream, item: TokenStream) -> TokenStream {
    expand("main", settings, item)
}

/// Turns an `async fn` into a test that runs on its own runtime.
///
/// The attribute replaces `#[test]`. Other attributes, such as `#[should_panic]` and `#[ignore]`, work as
/// they do for `#[test]`. The function may return whatever a `#[test]` may return, such as a `Result`. It
/// must have no parameters and no generic parameters.
///
/// | setting | meaning |
/// | --- | --- |
/// | `virtual_clock` | stops time while any task can run, and advances it to the next deadline when none can; see [`Builder::virtual_clock`] |
/// | `seed = N` | polls the ready tasks in a random order that `N` determines; see [`Builder::seed`] |
/// | `timeout = "5s"` | fails the test if it has not ended after 5 seconds of real time; see [Tests that hang](#tests-that-hang) |
/// | `iterations = N` | runs the function `N` times, each time on a new runtime, with the seeds `seed`, `seed + 1`, ... (from 0 without `seed`) |
/// | `sim` | hands the function a simulation of several hosts instead of running it on a runtime; see [Simulations](#simulations) |
/// | `twice` | with `sim`: runs each seed two times, and fails if the runs differ |
/// | `crate = path` | the path of glassfrog, if it is not `::glassfrog` |
///
/// # Seeds
///
/// The test ends with the first run that fails, by a panic or by the value it returns. The test then prints
/// the seed of that run and its last polls:
///
/// ```text
/// this test failed with seed 17 (run 18 of 100): repeat it with #[glassfrog::test(seed = 17)], or with GLASSFROG_SEED=17 in the environment
/// the last polls, the oldest first:
///   (12 polls before these)
///   task 2 (spawned at src/lib.rs:31:9) x3
///   task 1 "reader" (spawned at src/lib.rs:27:9)
///   the future of `block_on`
/// ```
///
/// Each line names the task that was polled, and `x3` means three times in a row. At most 32 such lines are
/// printed.
///
/// A test with `#[should_panic]` passes with the first run that panics, and skips the remaining runs. A
/// hang counts as a panic: such a test passes when its time limit passes, so give it an `expected`
/// message.
///
/// If the environment variable `GLASSFROG_SEED` is set, every test with `seed` or `iterations` runs once,
/// with that seed. Tests with neither setting poll their tasks in first-in, first-out order and ignore the
/// variable.
///
/// # Simulations
///
/// With `sim`, the function is not `async`, and has one parameter: a [`Sim`] with the seed of the run. It adds hosts and
/// clients, runs the simulation, and looks at what came of it. This requires the feature `sim`; without it, the errors of
/// the compiler say that it gates `sim`.
///
/// A run that fails prints what every task of every host waits for, the last events of the network, and the seed:
///
/// ```text
/// this test failed with seed 4 (run 5 of 1000): repeat it with #[glassfrog::test(sim, seed = 4)], or with GLASSFROG_SEED=4 in the environment
/// ```
///
/// `GLASSFROG_SEED` applies to every test with `sim`. With `twice`, a program that does not do the same in both runs of
/// a seed is found out, and the message names the first difference:
///
/// ```text
/// not deterministic: "0.015996 client → server data #0, 4 bytes" against "0.015996 client → server data #0, 3 bytes"
/// ```
///
/// # The thread of a test
///
/// The function runs on a thread of its own, while the thread of the test harness waits. The thread has the
/// name of the test. The harness captures its output, and a panic on it is a panic of the test. It does not
/// see the values that other code has stored in thread-locals of the harness's thread.
///
/// # Tests that hang
///
/// A test fails if it has not ended after 60 seconds of real time, all iterations together. The setting
/// `timeout` changes this limit. It takes a whole number of `ms`, `s` or `min`, such as `"500ms"` or `"2min"`.
/// With `timeout = "none"` there is no limit, for example under a debugger.
///
/// At the limit, the test panics, and the message lists what every task is waiting for:
///
/// ```text
/// test `server::greets` has not ended within its time limit of 60s (the setting `timeout`):
/// task          spawned at            age  polls  state    waits for
/// main          src/server.rs:28        -      2  waiting  join task 1 "client" for 59.9 s
/// └ 1 "client"  src/server.rs:31   59.9 s      3  waiting  read tcp 127.0.0.1:40112 → 127.0.0.1:80 for 59.9 s
/// ```
///
/// The runtime cannot do that while a poll blocks the thread of the test. If the test has not ended within
/// another second, it fails with a message that names the poll. Its thread stays behind until the process exits.
///
/// If no task can ever be woken again, the test panics with such a list at once. In the following cases it
/// prints the list to the standard error stream, under the name of the test, and continues:
///
/// - for five seconds, no task was ready, and none waited for a deadline, a socket or a blocking job;
/// - the virtual clock stands still for 1,000,000 polls although a deadline is pending, because tasks yield
///   until something happens (the report then lists only the busiest tasks).
///
/// # Timelines
///
/// If the environment variable `GLASSFROG_TIMELINE` names a directory, every test that fails writes a page into it, with
/// what its runtime did lately, and prints where it is:
///
/// ```text
/// the timeline of this test is in /tmp/timelines/server::greets.html
/// ```
///
/// The test may fail by a panic, by the value it returns, or at its time limit. A test with `#[should_panic]` writes the page
/// when it panics, although it passes. On Windows, the name of the file has `--` instead of `::`. This requires the default
/// feature `timeline`.
///
/// # Panics
///
/// The test panics if the function panics, if the time limit passes, if the operating system has no threads or
/// descriptors left for the test, and if `GLASSFROG_SEED` is not a number.
///
/// # Examples
///
/// A test that sleeps for a year finishes at once:
///
/// ```
/// use glassfrog::time::{now, sleep};
/// use std::time::Duration;
///
/// #[glassfrog::test(virtual_clock)]
/// async fn a_sleep_is_as_long_as_it_says() {
///     let before = now();
///     let year = Duration::from_secs(365 * 24 * 60 * 60);
///     sleep(year).await;
///     assert_eq!(now() - before, year);
/// }
/// ```
///
/// A test of two tasks under a hundred schedules:
///
/// ```
/// use std::cell::Cell;
/// use std::rc::Rc;
///
/// #[glassfrog::test(iterations = 100)]
/// async fn no_order_loses_a_count() -> std::io::Result<()> {
///     let count = Rc::new(Cell::new(0));
///     let tasks = [(); 2].map(|()| {
///         let count = Rc::clone(&count);
///         glassfrog::spawn(async move { count.set(count.get() + 1) })
///     });
///     for task in tasks {
///         task.await?;
///     }
///     assert_eq!(count.get(), 2);
///     Ok(())
/// }
/// ```
///
/// [`Sim`]: ../glassfrog/sim/struct.Sim.html
/// [`Builder::virtual_clock`]: ../glassfrog/struct.Builder.html#method.virtual_clock
/// [`Builder::seed`]: ../glassfrog/struct.Builder.html#method.seed
#[proc_macro_attribute]
pub fn test(settings: TokenStream, item: TokenStream) -> TokenStream {
    expand("test", settings, item)
}

/// The expansion of `main`.
const MAIN: &str = "
    ATTRIBUTES
    VISIBILITY fn NAME() OUTPUT {
        FUNCTION
        CRATE::block_on(NAME())
    }";

/// The expansion of a test that returns nothing.
const TEST: &str = r#"
    #[::core::prelude::v1::test]
    ATTRIBUTES
    VISIBILITY fn NAME() {
        FUNCTION
        CRATE::__private::TEST::new(
            ::core::concat!(::core::module_path!(), "::", ::core::stringify!(NAME))
        ) SETTINGS.RUN(NAME);
    }"#;

/// The expansion of a test that returns a value.
const TEST_WITH_OUTPUT: &str = r#"
    #[::core::prelude::v1::test]
    ATTRIBUTES
    VISIBILITY fn NAME() -> ::std::process::ExitCode {
        FUNCTION
        CRATE::__private::TEST::new(
            ::core::concat!(::core::module_path!(), "::", ::core::stringify!(NAME))
        ) SETTINGS.RUN(NAME)
    }"#;

/// The expansion of a function that cannot be run, in addition to the error: a function that does nothing. Its
/// callers still compile, and the compiler still reports the errors in the original function.
const MISTAKE: &str = "
    ATTRIBUTES
    VISIBILITY fn NAME() { FUNCTION }";

/// Expands the attribute `called` on `item`.
fn expand(called: &str, settings: TokenStream, item: TokenStream) -> TokenStream {
    let is_sim = called == "test" && is_sim(&settings);
    let Some(function) = Function::parse(item.clone(), called, is_sim) else {
        let function = if is_sim { "a `fn`" } else { "an `async fn`" };
        let message =
            format!("`#[glassfrog::{called}]` can only be used on {function} with a body");
        let error = Error::new(Span::call_site(), message);
        return TokenStream::from_iter([error.into_tokens(), item]);
    };
    let settings = Settings::parse(settings, called)
        .and_then(|settings| function.mistake.map_or(Ok(settings), Err));
    let template = match function.output.to_string().as_str() {
        _ if called == "main" => MAIN,
        "" | "-> ()" => TEST,
        _ => TEST_WITH_OUTPUT,
    };
    let parts = [
        ("ATTRIBUTES", function.attributes),
        ("VISIBILITY", function.visibility),
        ("NAME", function.name.into()),
        ("OUTPUT", function.output),
        // Without the feature `sim`, there is no such path, and the compiler names the feature.
        ("TEST", fill(if is_sim { "sim::Test" } else { "Test" }, &[])),
        ("RUN", fill(if is_sim { "run_sim" } else { "run" }, &[])),
        ("FUNCTION", function.item),
    ];
    match settings {
        Ok(settings) => {
            let settings = [("CRATE", settings.krate), ("SETTINGS", settings.calls)];
            fill(template, &[parts.as_slice(), &settings].concat())
        }
        Err(error) => TokenStream::from_iter([error.into_tokens(), fill(MISTAKE, &parts)]),
    }
}
