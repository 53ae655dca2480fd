//! The chain of a trace, for the texts of real stack traces and for arbitrary ones.

use crate::chain::chain;
use proptest::prelude::*;

/// A stack trace with full debug information, or with `debug = 1`. The program stands in `/home/u/app`.
const FULL: &str = "   0: glassfrog::traces::Trace::capture
             at /home/u/.cargo/registry/src/example-1949cf8c6b5b557f/glassfrog-0.1.0/src/traces.rs:46:29
   1: glassfrog::executor::waits::Wait::declare
             at /home/u/.cargo/registry/src/example-1949cf8c6b5b557f/glassfrog-0.1.0/src/executor/waits.rs:160:50
   2: <glassfrog::task::waiting_for::WaitingFor<F> as core::future::future::Future>::poll
             at /home/u/.cargo/registry/src/example-1949cf8c6b5b557f/glassfrog-0.1.0/src/task/waiting_for.rs:90:39
   3: app::client::read_reply::{{closure}}::{{closure}}
             at ./src/client.rs:88:28
   4: <core::future::poll_fn::PollFn<F> as core::future::future::Future>::poll
             at /rustc/59807616e1fa2540724bfbac14d7976d7e4a3860/library/core/src/future/poll_fn.rs:151:9
   5: <app::client::Client<T> as app::Service>::call::{{closure}}
             at ./src/client.rs:40:22
   6: <futures_util::future::join_all::JoinAll<F> as core::future::future::Future>::poll
             at /home/u/.cargo/registry/src/example-1949cf8c6b5b557f/futures-util-0.3.31/src/future/join_all.rs:149:38
   7: hyper::client::send::{{closure}}
             at /home/u/.cargo/registry/src/example-1949cf8c6b5b557f/hyper-1.2.0-rc.1/src/client.rs:7:3
   8: <app::Retry<F> as core::future::future::Future>::poll
             at ./src/retry.rs:21:5
   9: app::main::{{closure}}::{{closure}}
             at ./src/main.rs:12:55
  10: <glassfrog::executor::task::Stage<F,<F as core::future::future::Future>::Output> as glassfrog::executor::task::Run>::poll
             at /home/u/.cargo/registry/src/example-1949cf8c6b5b557f/glassfrog-0.1.0/src/executor/task.rs:76:44
  11: glassfrog::executor::Executor::poll_next::{{closure}}
             at /home/u/.cargo/registry/src/example-1949cf8c6b5b557f/glassfrog-0.1.0/src/executor.rs:435:46
  12: app::main
             at ./src/main.rs:9:5
  13: __libc_start_call_main
             at ./csu/../sysdeps/nptl/libc_start_call_main.h:58:16
";

/// The chain of [`FULL`].
const CHAIN: &str = "src/client.rs:88 read_reply ← src/client.rs:40 Client::call ← \
                     hyper-1.2.0-rc.1/src/client.rs:7 send ← src/retry.rs:21 Retry::poll ← src/main.rs:12 main";

#[test]
fn the_chain_has_the_frames_of_the_program_from_the_innermost_to_the_task() {
    assert_eq!(chain(FULL, "/home/u/app", "src/main.rs"), CHAIN);
    // From another directory, the place of `block_on` shows where the program stands.
    let text = FULL.replace("at ./src", "at /home/u/app/src");
    assert_eq!(chain(&text, "/tmp", "src/main.rs"), CHAIN);
    let members = "/home/u/app/src/client.rs:88 read_reply";
    assert!(chain(&text, "/tmp", "").starts_with(members));
    let below = FULL.replace("./src", ".\\src");
    assert_eq!(chain(&below, "\\home\\u\\app", "src/main.rs"), CHAIN);
}

#[test]
fn line_tables_alone_give_the_places() {
    let text = "   0: capture
             at /home/u/glassfrog/src/traces.rs:46:29
   1: poll
             at /home/u/glassfrog/src/time/sleep.rs:304:9
   2: {closure#0}
             at ./src/main.rs:15:28
   3: poll<u32, app::read_reply::{async_fn#0}::{closure_env#0}>
             at /rustc/59807616e1fa2540724bfbac14d7976d7e4a3860/library/core/src/future/poll_fn.rs:151:9
   4: {async_fn#0}<u8>
             at ./src/main.rs:27:6
   5: poll<app::Inner>
             at ./src/retry.rs:21:5
   6: {async_block#0}
             at ./src/main.rs:35:55
   7: poll<app::main::{async_block#0}::{async_block_env#0}>
             at /home/u/glassfrog/src/executor/task.rs:76:44
   8: poll_next
             at /home/u/glassfrog/src/executor.rs:434:19
   9: main
             at ./src/main.rs:34:5
";
    assert_eq!(
        chain(text, "/home/u/app", "src/main.rs"),
        "src/main.rs:15 ← src/main.rs:27 ← src/retry.rs:21 poll ← src/main.rs:35"
    );
}

#[test]
fn symbols_alone_give_the_names() {
    let text = "   0: <glassfrog::time::sleep::Sleep as core::future::future::Future>::poll
   1: app::client::read_reply::{{closure}}
   2: <app::client::Client>::call::{closure#0}
   3: app::parse::<alloc::vec::Vec<fn(u8) -> core::option::Option<u8>>>::{closure#0}
   4: <glassfrog::executor::task::Stage<F> as glassfrog::executor::task::Run>::poll
   5: glassfrog::event_loop::EventLoop::run
   6: app::main
";
    assert_eq!(chain(text, "/", ""), "read_reply ← Client::call ← parse");
}

#[test]
fn a_trace_without_frames_of_the_program_says_what_is_missing() {
    let text = "   0: <glassfrog::time::sleep::Sleep as core::future::future::Future>::poll
   1: <unknown>
   2: glassfrog::event_loop::EventLoop::run
   3: app::main
";
    assert!(chain(text, "/", "").contains("debug = 1"));
    // With places, there is nothing to be said: the root future is a future of this crate.
    let text = "   0: glassfrog::traces::Trace::capture
             at /home/u/glassfrog/src/traces.rs:46:29
   1: glassfrog::event_loop::EventLoop::run
             at /home/u/glassfrog/src/event_loop.rs:173:47
   2: app::main
             at ./src/main.rs:34:5
";
    assert_eq!(chain(text, "/", ""), "");
}

#[test]
fn a_stripped_program_has_no_chain() {
    let text = "   0: <unknown>
   1: <unknown>
   2: <unknown>
             at ./csu/../sysdeps/nptl/libc_start_call_main.h:58:16
   3: __libc_start_main_impl
             at ./csu/../csu/libc-start.c:360:3
";
    let hint = "(no places: compile with ";
    assert!(chain(text, "/home/u/app", "src/main.rs").starts_with(hint));
}

#[test]
fn a_program_below_a_directory_with_the_name_of_a_library_has_a_chain() {
    let text = FULL.replace("./src", "/home/u/library/core/app/src");
    let text = text.replace(
        "/rustc/59807616e1fa2540724bfbac14d7976d7e4a3860/",
        "/home/u/.rustup/toolchains/stable/lib/rustlib/src/rust/",
    );
    assert_eq!(
        chain(&text, "/home/u/library/core/app", "src/main.rs"),
        CHAIN
    );
}

#[test]
fn an_unknown_format_is_returned_as_it_is() {
    for text in [
        "unsupported backtrace",
        "#0 app!read_reply+0x10\n#1 app!main+0x20",
        "",
    ] {
        assert_eq!(chain(&format!("{text}\n"), "/", "src/main.rs"), text);
    }
}

#[test]
fn an_endless_recursion_is_cut_off() {
    let frames = (0..1000).map(|number| {
        format!(
            "{number:4}: app::recur::{{{{closure}}}}\n             at ./src/main.rs:{}:5\n",
            10 + number
        )
    });
    let capture = String::from("   0: glassfrog::traces::Trace::capture\n");
    let text = capture + &frames.collect::<String>();
    let chain = chain(&text, "/", "");
    assert!(chain.ends_with(" ← …"));
    assert!(chain.len() < 2000, "{}", chain.len());
}

/// Fragments of stack traces, in an order that makes no sense.
fn fragment() -> impl Strategy<Value = String> {
    prop_oneof![
        "(?s).{0,12}",
        "[ ]{0,14}",
        "[<>&(){}:# a-z]{0,20}",
        prop::sample::select(vec![
            "\n",
            "   1: ",
            "             at ",
            "./src/main.rs",
            ":15:28",
            "::",
            "<",
            ">",
            " as ",
            "{{closure}}",
            "app::",
            "glassfrog::executor::Executor",
            "src/traces.rs",
            "src/executor.rs",
            "/registry/src/",
            "-",
            "->",
            "é",
            "←",
            "/rustc/",
            "h0123456789abcdef",
            "<unknown>",
            "&mut ",
        ])
        .prop_map(String::from),
    ]
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(
        parts in prop::collection::vec(fragment(), 0..60),
        directory in fragment(),
        program in fragment(),
    ) {
        let text = parts.concat();
        let chain = chain(&text, &directory, &program);
        // A link adds a number, separators and at most the directory to what the text says.
        let links = text.lines().count().max(1);
        prop_assert!(chain.len() <= text.len() + links * (directory.len() + 16) + 100);
    }

    #[test]
    fn a_damaged_trace_makes_no_panic(cuts in prop::collection::vec(any::<prop::sample::Index>(), 1..8)) {
        let mut text = String::from(FULL);
        for cut in cuts {
            if !text.is_empty() {
                text.remove(cut.index(text.len()));
            }
        }
        let _any = chain(&text, "/home/u/app", "src/main.rs");
    }
}
