//! The function that a macro generates: the original one without the `async`.

use glassfrog::time::{advance, now};
use std::fmt::{Debug, Display};
use std::io;
use std::time::Duration;

/// Another name of glassfrog, at another path.
pub(crate) mod others {
    pub(crate) use glassfrog as frog;
}

mod far {
    /// It keeps its visibility, documentation and attributes.
    #[must_use]
    #[glassfrog::main]
    pub(super) async fn sum() -> u32 {
        glassfrog::spawn(async { 1 + 2 }).await.unwrap()
    }
}

#[test]
fn a_function_under_main_is_called_like_any_other() {
    assert_eq!(far::sum(), 3);
    assert_eq!(far::sum(), 3);
}

#[glassfrog::main()]
async fn parse() -> Result<u32, impl Display + Debug> {
    let number: u32 = "seven".parse()?;
    Ok::<_, std::num::ParseIntError>(number)
}

#[test]
fn main_returns_the_output_of_the_function() {
    assert_eq!(
        parse().unwrap_err().to_string(),
        "invalid digit found in string"
    );
}

#[glassfrog::main]
async fn never() -> !
where
    String: Clone,
{
    panic!("{}", String::from("reached").clone())
}

#[test]
#[should_panic(expected = "reached")]
fn a_function_under_main_may_never_return() {
    never();
}

#[glassfrog::main(crate = others::frog)]
async fn relative() -> bool {
    glassfrog::Handle::try_current().is_some()
}

#[glassfrog::main(crate = ::glassfrog,)]
async fn absolute() -> bool {
    glassfrog::Handle::try_current().is_some()
}

#[glassfrog::test(virtual_clock, crate = crate::functions::others::frog)]
async fn glassfrog_is_found_under_another_name() {
    advance(Duration::ZERO).await;
}

#[test]
fn main_finds_glassfrog_under_another_name() {
    assert!(relative() && absolute());
}

#[glassfrog::test]
async fn a_test_may_return_a_result() -> io::Result<()> {
    glassfrog::spawn(async {}).await?;
    Ok(())
}

#[glassfrog::test]
async fn r#match() {
    assert!(glassfrog::Handle::try_current().is_some());
}

/// Passes on every kind of macro fragment.
macro_rules! tests {
    ($($(#[$attribute:meta])* $visibility:vis $name:ident: $type:ty, $seed:literal, $body:block)*) => {
        $(
            #[glassfrog::test(virtual_clock, seed = $seed)]
            $(#[$attribute])*
            $visibility async fn $name() -> $type $body
        )*
    };
}

/// The same for a whole function, and the path of glassfrog.
macro_rules! mains {
    ($($path:path, $function:item)*) => {
        $(
            #[glassfrog::main(crate = $path)]
            $function
        )*
    };
}

tests! {
    /// With everything that a signature may contain.
    #[should_panic(expected = "nobody")]
    pub(crate) fragments: (), 7, {
        advance(Duration::ZERO).await;
        panic!("nobody")
    }
    no_attributes: Result<(), Box<dyn std::error::Error + Send>>, 0x7, {
        let before = now();
        advance(Duration::from_secs(1)).await;
        assert_eq!(now() - before, Duration::from_secs(1));
        Ok(())
    }
}

mains! {
    crate::functions::others::frog,
    /// Returns the innermost value.
    async fn answer() -> u32 { 42 }
}

#[test]
fn macro_fragments_are_accepted() {
    assert_eq!(answer(), 42);
}
