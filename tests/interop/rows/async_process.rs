//! `async-process`: child processes, which its own thread reaps. Nothing to write: it runs as it is.

use async_process::{Command, Stdio};
use glassfrog::prelude::*;
use glassfrog::time::{sleep, timeout};
use glassfrog_interop::assert_threads;
use std::time::Duration;

#[test]
fn a_child_answers_through_pipes() {
    glassfrog::block_on(async {
        let mut child = Command::new("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let feeder = glassfrog::spawn(async move {
            // More than a pipe holds.
            stdin.write_all(&vec![b'x'; 1_000_000]).await.unwrap();
        });
        let output = child.output().await.unwrap();
        feeder.await.unwrap();
        assert!(output.status.success());
        assert_eq!(output.stdout.len(), 1_000_000);
    });
}

#[test]
fn the_status_of_a_child_arrives_while_other_tasks_run() {
    glassfrog::block_on(async {
        let mut child = Command::new("sh").args(["-c", "exit 7"]).spawn().unwrap();
        let ticks = glassfrog::spawn(async {
            loop {
                sleep(Duration::from_millis(1)).await;
            }
        });
        assert_eq!(child.status().await.unwrap().code(), Some(7));
        assert_threads(&["async-io", "async-process"]);
        ticks.abort();
    });
}

#[test]
fn a_child_is_killed_after_a_timeout() {
    glassfrog::block_on(async {
        let mut child = Command::new("sleep").arg("3600").spawn().unwrap();
        let early = timeout(Duration::from_millis(10), child.status()).await;
        assert!(early.is_err());
        child.kill().unwrap();
        assert!(!child.status().await.unwrap().success());
    });
}
