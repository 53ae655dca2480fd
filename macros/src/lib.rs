//! `#[glassfrog::main]` and `#[glassfrog::test]`: what is behind the feature `macros` of
//! [glassfrog](https://docs.rs/glassfrog), from where they are to be used.
//!
//! The function under a macro stays as it was written and is put inside of another one that runs it.
//! So the macros need no parser of Rust, and whatever the compiler has to say about the function it
//! says where that stands. Nothing here knows how a test is run: that is in `src/test_runs.rs` of
//! glassfrog, which the expansions call.

#![forbid(unsafe_code)]

mod function;
mod settings;
mod tokens;

use function::Function;
use proc_macro::{Span, TokenStream};
use settings::Settings;
use tokens::{Error, fill};

/// Runs an `async fn`, usually `main`, by [`glassfrog::block_on`].
///
/// The function becomes an ordinary one with the same name, attributes and return type, which any
/// caller can call outside of a runtime. It has no arguments and no generic parameters.
///
/// | setting | meaning |
/// | --- | --- |
/// | `crate = path` | what glassfrog is called here, if it is called something else |
///
/// A program that wants a runtime with settings makes it with [`glassfrog::Builder`], and needs no
/// macro.
///
/// # Panics
///
/// As [`glassfrog::block_on`] does.
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
/// Without the macro this is:
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
/// Under another name:
///
/// ```
/// # extern crate glassfrog as frog;
/// #[frog::main(crate = frog)]
/// async fn main() {}
/// ```
///
/// [`glassfrog::block_on`]: https://docs.rs/glassfrog/latest/glassfrog/fn.block_on.html
/// [`glassfrog::Builder`]: https://docs.rs/glassfrog/latest/glassfrog/struct.Builder.html
#[proc_macro_attribute]
pub fn main(settings: TokenStream, item: TokenStream) -> TokenStream {
    expand("main", settings, item)
}

/// Makes a test of an `async fn`, which runs on a runtime of its own.
///
/// It takes the place of `#[test]`, next to which `#[should_panic]`, `#[ignore]` and other attributes
/// work as ever. The function may return whatever a `#[test]` may, a `Result` for example; it has no
/// arguments and no generic parameters.
///
/// | setting | meaning |
/// | --- | --- |
/// | `virtual_clock` | the time stands still while anything can run, and jumps to the next deadline: see [`Builder::virtual_clock`] |
/// | `seed = N` | chooses at random which ready task is polled next: see [`Builder::seed`] |
/// | `iterations = N` | runs the function `N` times, each time on a new runtime, with the seeds `seed`, `seed + 1`, … (from 0 on, if there is no `seed`) |
/// | `crate = path` | what glassfrog is called here, if it is called something else |
///
/// # Seeds
///
/// The first run that fails, by a panic or by what it returns, ends the test. Its seed and its last polls
/// are printed with the test's output:
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
/// A line is a task that was polled, `x3` if it was polled three times in a row. There are up to 32 lines.
///
/// A test that `#[should_panic]` passes with the first run that panics; the others don't take place.
///
/// A test in which no task can ever be woken again panics, with what every task waits for; one in which
/// only something outside its runtime could wake a task, for five seconds, prints that, and goes on. So
/// does one whose virtual clock stands still for 1,000,000 polls because its tasks yield until something
/// happens, although a deadline waits.
///
/// If `GLASSFROG_SEED` is set in the environment, every test with `seed` or `iterations` runs once,
/// with that seed. Tests with neither poll their tasks in the order in which they became ready, and take no notice of it.
///
/// # Panics
///
/// The test panics with the panic of the function, and if there are no descriptors left for a runtime
/// or the seed in the environment is no number.
///
/// # Examples
///
/// A year takes no time:
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
/// A hundred orders in which two tasks may run:
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
/// [`Builder::virtual_clock`]: https://docs.rs/glassfrog/latest/glassfrog/struct.Builder.html#method.virtual_clock
/// [`Builder::seed`]: https://docs.rs/glassfrog/latest/glassfrog/struct.Builder.html#method.seed
#[proc_macro_attribute]
pub fn test(settings: TokenStream, item: TokenStream) -> TokenStream {
    expand("test", settings, item)
}

/// What becomes of a `main`.
const MAIN: &str = "
    ATTRIBUTES
    VISIBILITY fn NAME() OUTPUT {
        FUNCTION
        CRATE::block_on(NAME())
    }";

/// What becomes of a test that returns nothing.
const TEST: &str = "
    #[::core::prelude::v1::test]
    ATTRIBUTES
    VISIBILITY fn NAME() {
        FUNCTION
        CRATE::__private::Test::new() SETTINGS.run(NAME);
    }";

/// What becomes of a test that returns something.
const TEST_WITH_OUTPUT: &str = "
    #[::core::prelude::v1::test]
    ATTRIBUTES
    VISIBILITY fn NAME() -> ::std::process::ExitCode {
        FUNCTION
        CRATE::__private::Test::new() SETTINGS.run(NAME)
    }";

/// What becomes of a function that cannot be run, beside the error: one that can be called and does
/// nothing, so that nobody misses it and the errors in the function itself can be seen.
const MISTAKE: &str = "
    ATTRIBUTES
    VISIBILITY fn NAME() { FUNCTION }";

/// What becomes of an item under the macro of this name.
fn expand(called: &str, settings: TokenStream, item: TokenStream) -> TokenStream {
    let Some(function) = Function::parse(item.clone(), called) else {
        let message = format!("`#[glassfrog::{called}]` belongs on an `async fn` with a body");
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
