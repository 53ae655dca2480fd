//! The files of incomplete bodies: their temporary names, and their removal.
//!
//! Threads create and remove these files while the loop runs, so a run can end in the middle of that. A list
//! for the whole run contains their names, and the program removes the files in the list when it exits.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A length that is safe for a temporary name. File systems allow 255 bytes, a few of them 143.
const SHORT_NAME: usize = 64;

/// The number of temporary names to try. A name is taken if a run with the same process ID was killed, or
/// if one is active in another container.
const ATTEMPTS: u32 = 100;

/// The time that the program waits for files being created before it exits. Only a file system that does not
/// respond takes that long.
const SETTLING_TIME: Duration = Duration::from_secs(1);

/// The incomplete files of a run.
#[derive(Debug, Default)]
pub(crate) struct Unfinished {
    /// The state, shared by the threads.
    state: Mutex<State>,
    /// Notified when a thread has created a file or failed to.
    created: Condvar,
}

/// The state of the list.
#[derive(Debug, Default)]
struct State {
    /// The temporary names.
    paths: BTreeSet<PathBuf>,
    /// The number of threads that are creating a file.
    creating: usize,
    /// Whether the program is about to exit, so that no more files may be created.
    ended: bool,
}

impl Unfinished {
    /// Creates a file with a temporary name in the directory of the final one.
    pub(crate) fn create(&self, path: &Path) -> io::Result<(File, PathBuf)> {
        let mut attempts = (0..ATTEMPTS).map(|attempt| temporary(path, attempt));
        loop {
            let Some(temporary) = attempts.next() else {
                return Err(io::Error::new(
                    io::ErrorKind::AlreadyExists,
                    format!("all {ATTEMPTS} temporary names are taken"),
                ));
            };
            match self.create_new(&temporary) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                created => return Ok((created?, temporary)),
            }
        }
    }

    /// Creates a file that does not exist, and follows no link.
    fn create_new(&self, temporary: &Path) -> io::Result<File> {
        let mut state = self.lock();
        if state.ended {
            return Err(ended());
        }
        state.creating += 1;
        drop(state);
        let created = File::create_new(temporary);

        let mut state = self.lock();
        state.creating -= 1;
        self.created.notify_all();
        let file = created?;
        state.paths.insert(temporary.to_path_buf());
        if state.ended {
            drop(state);
            self.remove(temporary);
            return Err(ended());
        }
        Ok(file)
    }

    /// Renames a complete file to its final name.
    pub(crate) fn finish(&self, temporary: &Path, path: &Path) -> io::Result<()> {
        fs::rename(temporary, path)?;
        self.lock().paths.remove(temporary);
        Ok(())
    }

    /// Removes an incomplete file.
    pub(crate) fn remove(&self, temporary: &Path) {
        // An error cannot be reported here.
        let _gone = fs::remove_file(temporary);
        self.lock().paths.remove(temporary);
    }

    /// Removes all files, and prevents the creation of others.
    pub(crate) fn remove_all(&self) {
        let mut state = self.lock();
        state.ended = true;
        let settled = self
            .created
            .wait_timeout_while(state, SETTLING_TIME, |state| state.creating > 0);
        let (mut state, _) = settled.unwrap_or_else(PoisonError::into_inner);
        for temporary in std::mem::take(&mut state.paths) {
            let _gone = fs::remove_file(temporary);
        }
    }

    /// Locks the state. Poisoning is ignored, because no panic leaves the state inconsistent.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the error of a file that was created too late.
fn ended() -> io::Error {
    io::Error::new(io::ErrorKind::Interrupted, "the program is ending")
}

/// Returns a temporary name, which is no longer than the final name unless that is short.
fn temporary(path: &Path, attempt: u32) -> PathBuf {
    let id = process::id();
    let suffix = match attempt {
        0 => format!(".{id}.part"),
        attempt => format!(".{id}-{attempt}.part"),
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let room = name.len().max(SHORT_NAME) - suffix.len();
    let mut end = room.min(name.len());
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    path.with_file_name(format!("{}{suffix}", &name[..end]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the length of the name of a file.
    fn length(path: &Path) -> usize {
        path.file_name().unwrap().len()
    }

    #[test]
    fn a_temporary_name_is_no_longer_than_a_long_name() {
        for name in [
            "x".repeat(255),
            "x".repeat(64),
            "ü".repeat(127),
            "€".repeat(40),
        ] {
            for attempt in [0, 1, 99] {
                let path = Path::new("a/b").join(&name);
                let temporary = temporary(&path, attempt);
                assert!(length(&temporary) <= name.len(), "{temporary:?}");
                assert_eq!(temporary.parent(), path.parent());
            }
        }
    }

    #[test]
    fn temporary_names_begin_with_a_short_name_and_differ_between_attempts() {
        let id = process::id();
        let names = [0, 1].map(|attempt| temporary(Path::new("a/b.html"), attempt));
        assert_eq!(names[0], Path::new(&format!("a/b.html.{id}.part")));
        assert_eq!(names[1], Path::new(&format!("a/b.html.{id}-1.part")));
    }

    #[test]
    fn no_file_is_created_after_the_end() {
        let unfinished = Unfinished::default();
        unfinished.remove_all();
        // The error is not that of the path, so the creation of the file was not even attempted.
        let error = unfinished.create(Path::new("\0/x")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Interrupted);
    }
}
