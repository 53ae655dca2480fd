//! What the rows share: the addresses of the servers that `.ci/interop` starts, programs of the system, and a server
//! thread on tokio.

use std::env;
use std::process::{Command, Stdio};

/// Returns the address of a server, which `.ci/interop` leaves in the variable `INTEROP_<NAME>`.
///
/// Prints that the test is skipped if the server does not run.
pub fn server(name: &str) -> Option<String> {
    let address = env::var(format!("INTEROP_{name}")).ok();
    if address.is_none() {
        println!("SKIPPED: no server {name}; `.ci/interop` starts it where it is installed");
    }
    address
}

/// Returns a command for a program of the system.
///
/// Prints that the test is skipped if the program is not installed.
pub fn program(name: &str) -> Option<Command> {
    let found = Command::new("which")
        .arg(name)
        .stdout(Stdio::null())
        .status();
    if found.is_ok_and(|status| status.success()) {
        return Some(Command::new(name));
    }
    println!("SKIPPED: {name} is not installed");
    None
}

/// A child process, which is killed and reaped when this is dropped.
#[derive(Debug)]
pub struct Child(pub std::process::Child);

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

/// Runs a future to completion on a runtime of tokio, on a thread of its own.
///
/// The thread ends with the future, so a test joins it.
#[cfg(feature = "tokio")]
pub fn on_tokio<F>(future: F) -> thread::JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    thread::spawn(|| guard::tokio_runtime().block_on(future))
}
