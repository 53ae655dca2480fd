//! Misuse: the panic message names the mistake and the fix.

use crate::support::{block_on, park_on};
use crate::task_probes::{Way, inside, panic_text, poll_with};
use futures::FutureExt;
use glassfrog::net::{TcpListener, TcpStream};
use glassfrog::task::LocalSpawner;
use glassfrog::time::{now, sleep, sleep_until, timeout};
use glassfrog::{Handle, Runtime, spawn};
use std::future::{pending, ready};
use std::task::Waker;
use std::thread;
use std::time::{Duration, Instant};

/// Asserts that a text contains these phrases.
fn assert_says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "`{word}` is not in: {text}");
    }
}

#[test]
fn calls_that_need_a_runtime_panic_outside_one_with_advice() {
    let plain = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let connected = || crate::support::plain().0;
    let texts = [
        ("spawn", panic_text(|| drop(spawn(async {})))),
        ("Handle::current", panic_text(Handle::current)),
        ("LocalSpawner::current", panic_text(LocalSpawner::current)),
        ("now", panic_text(now)),
        ("sleep", panic_text(|| drop(sleep(Duration::ZERO)))),
        (
            "sleep_until",
            panic_text(|| drop(sleep_until(Instant::now()))),
        ),
        (
            "timeout",
            panic_text(|| drop(timeout(Duration::ZERO, ready(())))),
        ),
        (
            "bind",
            panic_text(|| park_on(TcpListener::bind("127.0.0.1:0"))),
        ),
        (
            "connect",
            panic_text(|| park_on(TcpStream::connect("127.0.0.1:1"))),
        ),
        (
            "TryFrom for a listener",
            panic_text(|| TcpListener::try_from(plain())),
        ),
        (
            "TryFrom for a stream",
            panic_text(|| TcpStream::try_from(connected())),
        ),
    ];
    for (what, text) in texts {
        println!("{what}: {text}");
        assert_says(&text, &["no runtime on this thread", "block_on"]);
    }
    assert!(Handle::try_current().is_none());
}

#[cfg(unix)]
#[test]
fn adopting_a_descriptor_outside_a_runtime_panics_with_advice() {
    use std::os::fd::OwnedFd;

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let connected = crate::support::plain().0;
    for text in [
        panic_text(|| TcpListener::from(OwnedFd::from(listener))),
        panic_text(|| TcpStream::from(OwnedFd::from(connected))),
    ] {
        assert_says(&text, &["no runtime on this thread", "block_on"]);
    }
}

#[test]
fn a_missing_runtime_panic_names_the_location_of_the_call() {
    let (send, receive) = std::sync::mpsc::channel();
    let previous = std::panic::take_hook();
    let mine = thread::current().id();
    std::panic::set_hook(Box::new(move |info| {
        if thread::current().id() == mine {
            let file = String::from(info.location().unwrap().file());
            send.send(file).unwrap();
        } else {
            previous(info);
        }
    }));
    let calls: [fn(); 8] = [
        || drop(spawn(async {})),
        || drop(Handle::current()),
        || drop(LocalSpawner::current()),
        || {
            now();
        },
        || drop(sleep(Duration::ZERO)),
        || drop(sleep_until(Instant::now())),
        || drop(timeout(Duration::ZERO, ready(()))),
        || glassfrog::block_on(async { glassfrog::block_on(ready(())) }),
    ];
    for call in calls {
        panic_text(call);
    }
    drop(std::panic::take_hook());
    let files: Vec<_> = receive.try_iter().collect();
    assert_eq!(files, [file!(); 8]);
}

#[test]
fn block_on_inside_a_runtime_panics_with_advice() {
    let runtime = Runtime::new().unwrap();
    block_on(async {
        let texts = [
            panic_text(|| glassfrog::block_on(ready(()))),
            panic_text(|| runtime.block_on(ready(()))),
            // Inside a task too.
            spawn(async { panic_text(|| glassfrog::block_on(ready(()))) })
                .await
                .unwrap(),
        ];
        for text in texts {
            assert_says(
                &text,
                &["`block_on` inside a runtime", "`.await`", "`spawn`"],
            );
        }
        // The outer runtime still works.
        assert_eq!(spawn(async { 5 }).await.unwrap(), 5);
    });
    // So does the inner one.
    assert_eq!(runtime.block_on(ready(5)), 5);
}

#[test]
fn block_on_inside_the_same_runtime_panics_with_advice() {
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let text = panic_text(|| runtime.block_on(ready(())));
        assert_says(&text, &["`block_on` inside a runtime"]);
        assert_eq!(spawn(async { 5 }).await.unwrap(), 5);
    });
}

#[test]
fn a_local_handle_polled_on_another_thread_panics_with_advice() {
    block_on(async {
        let mut task = spawn(async { 5 });
        let id = task.id();
        let foreign = thread::Builder::new().name(String::from("wrong-thread"));
        let (task, text) = foreign
            .spawn(move || {
                let text = panic_text(|| poll_with(&mut task, Waker::noop()));
                (task, text)
            })
            .unwrap()
            .join()
            .unwrap();
        let words = [
            &format!("task {id}"),
            "thread wrong-thread",
            "`glassfrog::spawn`",
            "`Handle::spawn`",
        ];
        assert_says(&text, &words);
        // No output is lost.
        assert_eq!(task.await.unwrap(), 5);
    });
}

#[test]
fn a_local_handle_polled_outside_its_runtime_panics_with_advice() {
    let runtime = Runtime::new().unwrap();
    let mut task = inside(&runtime, || spawn(async { 5 }));
    let outside = panic_text(|| poll_with(&mut task, Waker::noop()));
    let inside_another = panic_text(|| block_on(&mut task));
    let no_name = thread::spawn(move || {
        let text = panic_text(|| poll_with(&mut task, Waker::noop()));
        (task, text)
    });
    let (task, on_another_thread) = no_name.join().unwrap();
    for text in [outside, inside_another, on_another_thread] {
        assert_says(&text, &["outside the task's runtime", "`Handle::spawn`"]);
    }
    assert_eq!(runtime.block_on(task).unwrap(), 5);
}

#[test]
fn a_local_handle_of_a_dropped_runtime_is_cancelled_everywhere() {
    let poll_there: [fn(_) -> _; 3] = [
        |task| park_on(task),
        |task| block_on(task),
        |task| thread::spawn(|| park_on(task)).join().unwrap(),
    ];
    for poll in poll_there {
        let runtime = Runtime::new().unwrap();
        let task = inside(&runtime, || spawn(pending::<()>()));
        drop(runtime);
        let result: Result<(), glassfrog::task::JoinError> = poll(task);
        assert!(result.unwrap_err().is_cancelled());
    }
}

#[test]
fn a_handle_polled_after_completion_panics() {
    for way in Way::ALL {
        block_on(async {
            let mut task = way.spawn(async {});
            (&mut task).await.unwrap();
            let text = panic_text(|| (&mut task).now_or_never());
            assert_says(
                &text,
                &["`JoinHandle` of task 1", "after it had returned the output"],
            );
        });
    }
}
