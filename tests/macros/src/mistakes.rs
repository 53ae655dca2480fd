//! Misuse of the attributes: one error, at the location of the mistake, that explains the fix.
//!
//! These tests run the compiler on small programs. The programs see only the package of the attributes, under the
//! name `glassfrog`.

use std::env::{self, consts};
use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{self, Command, Stdio};
use std::sync::LazyLock;

/// The path of the compiled library of the attributes.
static MACROS: LazyLock<PathBuf> = LazyLock::new(|| {
    let directory = env::current_exe().unwrap().with_extension("macros");
    fs::create_dir_all(&directory).unwrap();
    let library = format!("{}glassfrog{}", consts::DLL_PREFIX, consts::DLL_SUFFIX);
    // Some harnesses run each test in a process of its own, and another process may be reading the library.
    let own = directory.join(format!("{}-{library}", process::id()));
    let library = directory.join(library);
    let status = rustc()
        .args(["--crate-name", "glassfrog", "--crate-type", "proc-macro"])
        .args(["--extern", "proc_macro", "-o"])
        .arg(&own)
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../macros/src/lib.rs"
        ))
        .status();
    assert!(status.unwrap().success());
    fs::rename(own, &library).unwrap();
    library
});

/// Returns a command that runs the compiler.
fn rustc() -> Command {
    let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc")));
    rustc.args(["--edition", "2024"]);
    rustc
}

/// Compiles a program that must not compile. Returns the errors: one string each, with line, column and message.
fn errors(program: &str) -> Vec<String> {
    let mut glassfrog = OsString::from("glassfrog=");
    glassfrog.push(&*MACROS);
    let mut rustc = rustc();
    rustc.args(["--error-format", "short", "--emit", "metadata", "--extern"]);
    rustc.arg(glassfrog);
    if program.contains("glassfrog::test") {
        rustc.arg("--test");
    }
    let mut process = rustc
        .arg("-")
        .current_dir(MACROS.parent().unwrap())
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = process.stdin.take().unwrap();
    stdin.write_all(program.as_bytes()).unwrap();
    drop(stdin);
    let output = process.wait_with_output().unwrap();
    assert!(!output.status.success(), "the program compiles: {program}");
    let text = String::from_utf8(output.stderr).unwrap();
    let lines = text.lines().filter(|line| {
        let is_error = line.contains("error: ") || line.contains("error[");
        is_error && !line.starts_with("error: aborting due to ")
    });
    let errors = lines.map(|line| line.trim_start_matches("<anon>:"));
    errors.map(String::from).collect()
}

/// Asserts that the program `line` has one error, at the `^` in it, with this message.
#[track_caller]
fn assert_wrong(line: &str, message: &str) {
    let column = line.find('^').unwrap() + 1;
    let program = line.replace('^', "");
    let error = format!("1:{column}: error: {message}");
    assert_eq!(errors(&program), [error], "{program}");
}

#[test]
fn an_unsupported_function_is_one_error() {
    let functions = [
        (
            "^fn main() { async {}.await }",
            "requires an `async` function: add `async` before this `fn`",
        ),
        (
            "pub(crate) ^fn main() -> u32 { 7 }",
            "requires an `async` function: add `async` before this `fn`",
        ),
        ("^const fn main() {}", "does not support `const` functions"),
        (
            "^const async fn main() {}",
            "does not support `const` functions",
        ),
        (
            "async ^unsafe fn main() {}",
            "does not support `unsafe` functions",
        ),
        (
            r#"pub async ^extern "C" fn main() {}"#,
            "does not support `extern` functions",
        ),
        (
            "async fn main^(number: u32) -> u32 { number }",
            "requires a function without parameters: remove them",
        ),
        (
            "async fn main^<'a, T>() -> &'a T where T: 'a { loop {} }",
            "requires a function without generic parameters: remove them",
        ),
    ];
    for called in ["main", "test"] {
        for (function, requires) in functions {
            let line = format!("/** It. */ #[glassfrog::{called}] {function}");
            assert_wrong(&line, &format!("`#[glassfrog::{called}]` {requires}"));
        }
    }
}

#[test]
fn mistakes_inside_an_unsupported_function_are_reported_too() {
    for called in ["main", "test"] {
        let function = "fn main() { let _: u32 = async { \"seven\" }.await; }";
        let errors = errors(&format!("#[glassfrog::{called}] {function}"));
        assert_eq!(errors.len(), 2, "{errors:?}");
    }
}

#[test]
fn an_item_that_is_not_a_function_is_one_error() {
    let items = [
        "struct It;",
        "pub(crate) enum It { That }",
        "mod it { pub async fn it() {} }",
        "const fn_: u32 = 7;",
        "unsafe trait It { async fn it(); }",
        r#"unsafe extern "C" { fn it(); }"#,
        "static IT: fn() = main;",
    ];
    for called in ["main", "test"] {
        for item in items {
            let line = format!("#[cfg(all())] ^#[glassfrog::{called}] {item} fn main() {{}}");
            let message =
                format!("`#[glassfrog::{called}]` can only be used on an `async fn` with a body");
            assert_wrong(&line, &message);
        }
    }
}

#[test]
fn an_item_that_is_not_a_function_remains_usable() {
    for called in ["main", "test"] {
        let line = format!("^#[glassfrog::{called}] struct It; use It as That; fn main() {{}}");
        let message =
            format!("`#[glassfrog::{called}]` can only be used on an `async fn` with a body");
        assert_wrong(&line, &message);
    }
}

#[test]
fn a_function_without_a_body_is_one_error() {
    for called in ["main", "test"] {
        let line = format!("trait It {{ #[glassfrog::{called}] async fn it(); }} fn main() {{}}");
        let message =
            format!("`#[glassfrog::{called}]` can only be used on an `async fn` with a body");
        assert_wrong(&line.replace('#', "^#"), &message);
    }
}

#[test]
fn an_unknown_setting_is_one_error_that_lists_the_settings() {
    for (name, settings) in [
        ("sed", "^sed = 7"),
        ("flavor", r#"seed = 7, ^flavor = "current_thread""#),
        (r#""seed""#, r#"^"seed" = 7"#),
        ("Seed", "^Seed(7)"),
        (",", "^,"),
        (",", "seed = 7,^, virtual_clock"),
        ("-", "^-seed"),
        ("(seed = 7)", "^(seed = 7)"),
    ] {
        let line = format!("#[glassfrog::test({settings})] async fn it() {{}}");
        let message = format!(
            "`{name}` is not a setting of `#[glassfrog::test]`, which has `virtual_clock`, `timeout = \
             \"5s\"`, `seed = N`, `iterations = N`, `sim`, `twice`, `crate = path`"
        );
        assert_wrong(&line, &message);
    }
    for (name, settings) in [
        ("flavor", r#"^flavor = "current_thread""#),
        ("glassfrog", "crate = glassfrog, ^glassfrog"),
    ] {
        let line = format!("#[glassfrog::main({settings})] async fn main() {{}}");
        let message =
            format!("`{name}` is not a setting of `#[glassfrog::main]`, which has `crate = path`");
        assert_wrong(&line, &message);
    }
}

#[test]
fn a_setting_of_test_is_one_error_on_main() {
    for (name, settings) in [
        ("virtual_clock", "^virtual_clock"),
        ("timeout", r#"^timeout = "5s""#),
        ("seed", r#"^seed = "seven""#),
        ("iterations", "crate = glassfrog, ^iterations = 7"),
    ] {
        let line = format!("#[glassfrog::main({settings})] async fn main() {{}}");
        let message = format!(
            "`{name}` is a setting of `#[glassfrog::test]` only: use `glassfrog::Builder` and \
             `Runtime::block_on` instead of `#[glassfrog::main]`"
        );
        assert_wrong(&line, &message);
    }
}

#[test]
fn a_setting_that_is_set_twice_is_one_error() {
    for (name, settings) in [
        ("seed", "seed = 7, virtual_clock, ^seed = 7"),
        ("iterations", "iterations = 7, ^iterations = 8"),
        ("virtual_clock", "virtual_clock, ^virtual_clock,"),
        ("timeout", r#"timeout = "5s", ^timeout = "none""#),
        ("crate", "crate = glassfrog, ^crate = glassfrog"),
    ] {
        let line = format!("#[glassfrog::test({settings})] async fn it() {{}}");
        assert_wrong(&line, &format!("`{name}` is set twice"));
    }
}

#[test]
fn an_invalid_number_is_one_error() {
    for (name, least, settings) in [
        ("seed", 0, r#"seed = ^"7""#),
        ("seed", 0, "seed = ^-7"),
        ("seed", 0, "seed = ^7.0"),
        ("seed", 0, "seed = ^7u32"),
        ("seed", 0, "seed = ^18446744073709551616"),
        ("seed", 0, "seed = ^0x1_0000_0000_0000_0000"),
        ("seed", 0, "seed = ^SEED"),
        ("seed", 0, "seed = ^_7"),
        ("seed", 0, "seed = ^{ 7 }"),
        ("seed", 0, "^seed"),
        ("seed", 0, "^seed ="),
        ("seed", 0, "^seed(7)"),
        ("seed", 0, "^seed, iterations = 7"),
        ("iterations", 1, "iterations = ^0"),
        ("iterations", 1, "iterations = ^0b0_0u64"),
        ("iterations", 1, "virtual_clock, ^iterations"),
    ] {
        let line = format!("#[glassfrog::test({settings})] async fn it() {{}}");
        let most = u64::MAX;
        let message = format!("`{name}` takes a number from {least} to {most}: `{name} = 100`");
        assert_wrong(&line, &message);
    }
}

#[test]
fn an_invalid_timeout_is_one_error() {
    for settings in [
        r#"timeout = ^"5""#,
        r#"timeout = ^"s""#,
        r#"timeout = ^"""#,
        r#"timeout = ^"0s""#,
        r#"timeout = ^"5 s""#,
        r#"timeout = ^"+5s""#,
        r#"timeout = ^"-5s""#,
        r#"timeout = ^"0.5s""#,
        r#"timeout = ^"1_000ms""#,
        r#"timeout = ^"5S""#,
        r#"timeout = ^"5us""#,
        r#"timeout = ^"1h""#,
        r#"timeout = ^"1min 5s""#,
        r#"timeout = ^"None""#,
        r#"timeout = ^"18446744073709551615s""#,
        r#"timeout = ^r"5s""#,
        r#"timeout = ^b"5s""#,
        r#"timeout = ^'5'"#,
        "timeout = ^5",
        "timeout = ^5.0",
        "timeout = ^none",
        "timeout = ^Duration::from_secs(5)",
        "^timeout",
        "^timeout =",
        "^timeout(5)",
        "virtual_clock, ^timeout, seed = 7",
    ] {
        let line = format!("#[glassfrog::test({settings})] async fn it() {{}}");
        let message = "`timeout` takes \"none\", or a whole number of `ms`, `s` or `min` that is not zero: \
                       `timeout = \"5s\"`";
        assert_wrong(&line, message);
    }
}

#[test]
fn an_invalid_path_is_one_error() {
    for settings in [
        r#"crate = ^"glassfrog""#,
        "crate = ^7",
        "crate = crate::^{glassfrog}",
        "^crate",
        "^crate = ",
        "^crate = glassfrog::",
        "^crate::glassfrog",
        "^crate(glassfrog)",
    ] {
        for called in ["main", "test"] {
            let line = format!("#[glassfrog::{called}({settings})] async fn main() {{}}");
            assert_wrong(&line, "`crate` takes a path: `crate = my_glassfrog`");
        }
    }
}

#[test]
fn a_missing_comma_is_one_error() {
    for (name, found, settings) in [
        ("seed", "iterations", "seed = 7 ^iterations = 7"),
        ("virtual_clock", "seed", "virtual_clock ^seed = 7"),
        ("virtual_clock", "=", "virtual_clock ^= true"),
        ("crate", "seed", "crate = ::glassfrog ^seed = 7"),
    ] {
        let line = format!("#[glassfrog::test({settings})] async fn it() {{}}");
        let message = format!("expected a comma after the setting `{name}`, found `{found}`");
        assert_wrong(&line, &message);
    }
}

/// The part of glassfrog that the expansions use.
const FROG: &str = "
    mod frog {
        pub fn block_on<F: Future>(_: F) -> F::Output { loop {} }
        pub mod __private {
            pub struct Test;
            impl Test {
                pub fn new(_: &str) -> Test { Test }
                pub fn run<F: Future>(self, _: fn() -> F) -> std::process::ExitCode { loop {} }
            }
        }
    }";

/// Asserts that the program `line`, together with [`FROG`], has one compiler error, at the `^` in it.
#[track_caller]
fn assert_wrong_for_the_compiler(line: &str) {
    let program = line.replace('^', "") + FROG;
    let errors = errors(&program);
    assert_eq!(errors.len(), 1, "{errors:?}");
    let place = format!("1:{}: error[", line.find('^').unwrap() + 1);
    assert!(errors[0].starts_with(&place), "{errors:?}");
}

#[test]
fn a_mistake_in_a_function_is_one_error_at_its_location() {
    for called in ["main", "test"] {
        for function in [
            "async fn main() { let _: u32 = ^\"seven\"; }",
            "async fn main() -> ^Nothing { loop {} }",
            "async fn main() -> Result<(), String> { Ok(^7) }",
            "async fn main() { ^missing(); }",
        ] {
            let attribute = format!("#[glassfrog::{called}(crate = frog)]");
            assert_wrong_for_the_compiler(&format!("{attribute} {function}"));
        }
    }
}

#[test]
fn a_function_keeps_its_visibility() {
    for visibility in ["", "pub(self)", "pub(in crate::it)"] {
        let function =
            format!("#[glassfrog::main(crate = crate::frog)] {visibility} async fn it() {{}}");
        let line = format!("mod it {{ {function} }} fn main() {{ it::^it() }}");
        assert_wrong_for_the_compiler(&line);
    }
}

#[test]
fn a_wrong_path_is_one_error_at_its_location() {
    assert_wrong_for_the_compiler("#[glassfrog::main(crate = ^toad)] async fn main() {}");
}

#[test]
fn a_wrong_function_of_a_simulation_is_one_error() {
    let wrong = |function: &str, requires: &str| {
        let line = format!("#[glassfrog::test(sim)] {function}");
        assert_wrong(&line, &format!("`#[glassfrog::test]` {requires}"));
    };
    wrong(
        "^async fn it(sim: &mut u32) { *sim = 7 }",
        "with `sim` requires a function that is not `async`: remove this `async`; only the software of its hosts and \
         clients is `async`",
    );
    wrong(
        "fn it^() {}",
        "with `sim` requires a parameter: add `sim: &mut Sim`",
    );
    wrong(
        "fn it^<'a>(sim: &'a mut u32) {}",
        "requires a function without generic parameters: remove them",
    );
    assert_wrong(
        "^#[glassfrog::test(sim)] struct It;",
        "`#[glassfrog::test]` can only be used on a `fn` with a body",
    );
}

#[test]
fn settings_that_contradict_a_simulation_are_one_error() {
    for settings in ["sim, ^virtual_clock", "^virtual_clock, sim"] {
        assert_wrong(
            &format!("#[glassfrog::test({settings})] fn it(sim: &mut u32) {{}}"),
            "`virtual_clock` cannot be combined with `sim`: the clocks of simulated hosts are always virtual",
        );
    }
    assert_wrong(
        "#[glassfrog::test(seed = 1, ^twice)] async fn it() {}",
        "`twice` requires `sim`: it compares two runs of a simulation",
    );
}

#[test]
fn a_simulation_without_the_feature_is_one_error_about_the_feature() {
    let program = "mod stub { pub mod __private { pub struct Test; #[cfg(feature = \"sim\")] pub mod sim {} } } \
                   #[glassfrog::test(sim, twice, crate = crate::stub)] fn it(sim: &mut u32) { *sim = 7 }";
    let errors = errors(program);
    assert_eq!(errors.len(), 1, "{errors:?}");
    // A note below says that `sim` is gated behind the feature.
    assert!(
        errors[0].contains("find `sim` in `__private`"),
        "{errors:?}"
    );
}
