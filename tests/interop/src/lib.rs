//! What the rows share: the addresses of the servers that `.ci/interop` starts, programs of the system, and runtimes of
//! tokio.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::{self, Command};

/// Returns the address of a server, which `.ci/interop` leaves in the variable `INTEROP_<NAME>`.
///
/// Without a server, prints that the test is skipped.
pub fn server(name: &str) -> Option<String> {
    let address = env::var(format!("INTEROP_{name}")).ok();
    if address.is_none() {
        println!("SKIPPED: no {name}; `.ci/interop` starts the servers that are installed");
    }
    address
}

/// Returns a command for a program of the system.
///
/// If it is not installed, prints that the test is skipped.
pub fn program(name: &str) -> Option<Command> {
    let path = env::var_os("PATH").unwrap_or_default();
    if env::split_paths(&path).any(|dir| dir.join(name).is_file()) {
        return Some(Command::new(name));
    }
    println!("SKIPPED: {name} is not installed");
    None
}

/// Runs a command to its end on a thread of the pool, and returns its standard output.
///
/// # Panics
///
/// Panics if the command fails.
pub async fn output(mut command: Command) -> String {
    let job = glassfrog::task::spawn_blocking(move || command.output());
    let output = job
        .await
        .expect("the job ends")
        .expect("the program starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{}: {text}\n{errors}",
        output.status
    );
    text
}

/// A child process, which is killed and reaped when this is dropped.
#[derive(Debug)]
pub struct Child(pub process::Child);

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Writes a file into the directory for temporary files, and returns its path.
pub fn temp_file(name: &str, text: &str) -> PathBuf {
    let path = env::temp_dir().join(format!("glassfrog-interop-{}-{name}", process::id()));
    fs::write(&path, text).expect("the directory for temporary files is writable");
    path
}

/// Returns a runtime of tokio with one worker, as the guide builds it.
#[cfg(feature = "tokio")]
pub fn tokio_runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("tokio starts its thread")
}

/// Runs a future on a runtime of tokio, on a thread of its own.
#[cfg(feature = "tokio")]
pub fn on_tokio<F>(future: F) -> std::thread::JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    std::thread::spawn(|| tokio_runtime().block_on(future))
}

/// Checks which threads the process has besides those of the tests and of glassfrog, by the beginnings of their names.
///
/// # Panics
///
/// Panics if an expected thread is missing, or if there is another one.
pub fn assert_threads(expected: &[&str]) {
    let main = process::id().to_string();
    let mut others = Vec::new();
    for task in fs::read_dir("/proc/self/task").expect("this is Linux") {
        let task = task.expect("the kernel lists the threads");
        let Ok(name) = fs::read_to_string(task.path().join("comm")) else {
            // The thread has just ended.
            continue;
        };
        // The threads of tests have the names of the tests, which are sentences with underscores.
        if task.file_name() != *main && !name.contains('_') && !name.starts_with("glassfrog") {
            others.push(name);
        }
    }
    let is_expected = |name: &String| expected.iter().any(|start| name.starts_with(start));
    assert!(
        others.iter().all(is_expected),
        "{others:?} instead of {expected:?}"
    );
    for start in expected {
        assert!(
            others.iter().any(|name| name.starts_with(start)),
            "no {start} among {others:?}"
        );
    }
}
