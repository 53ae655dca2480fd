//! The files of bodies that are not complete yet: how they are called, and that none is left behind.
//!
//! Threads create and remove them while the loop goes on, so that a run can end while a thread is at
//! it. Therefore the names stand in a list of the whole run, from which the end of the program
//! removes whatever is left.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a temporary name may be in any case. File systems allow 255 bytes, a few of them 143.
const SHORT_NAME: usize = 64;

/// How many temporary names are tried before giving up. A name is taken if a run was killed that had
/// the same process ID, or if one that has it in another container is at work.
const ATTEMPTS: u32 = 100;

/// How long the end of the program waits for files that are just being created. Only a file system
/// that does not respond takes that long.
const SETTLING_TIME: Duration = Duration::from_secs(1);

/// The files of a run that are not complete.
#[derive(Debug, Default)]
pub(crate) struct Unfinished {
    /// Which they are.
    state: Mutex<State>,
    /// Notified when a thread has created its file, or has failed to.
    created: Condvar,
}

/// What is known of the files.
#[derive(Debug, Default)]
struct State {
    /// Their temporary names.
    paths: BTreeSet<PathBuf>,
    /// How many threads are creating one.
    creating: usize,
    /// Whether the program is about to end, so that no file may be created any more.
    ended: bool,
}

impl Unfinished {
    /// Creates a file beside the one that it is going to be, under a temporary name.
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

    /// Creates a file that does not exist: not somebody else's, and not where a link leads to.
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

    /// Gives a complete file its name.
    pub(crate) fn finish(&self, temporary: &Path, path: &Path) -> io::Result<()> {
        fs::rename(temporary, path)?;
        self.lock().paths.remove(temporary);
        Ok(())
    }

    /// Removes a file that will not be completed.
    pub(crate) fn remove(&self, temporary: &Path) {
        // There is nobody left to complain to.
        let _gone = fs::remove_file(temporary);
        self.lock().paths.remove(temporary);
    }

    /// Removes all files, and sees to it that no others come.
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

    /// Locks the state, which no panic can leave half changed.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The error of a file that came too late.
fn ended() -> io::Error {
    io::Error::new(io::ErrorKind::Interrupted, "the program is ending")
}

/// The temporary name of a file. It is no longer than the name itself, unless that is short.
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

    /// The length of the name of a file.
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
    fn temporary_names_of_short_names_begin_with_them_and_differ() {
        let id = process::id();
        let names = [0, 1].map(|attempt| temporary(Path::new("a/b.html"), attempt));
        assert_eq!(names[0], Path::new(&format!("a/b.html.{id}.part")));
        assert_eq!(names[1], Path::new(&format!("a/b.html.{id}-1.part")));
    }

    #[test]
    fn after_the_end_no_file_is_created() {
        let unfinished = Unfinished::default();
        unfinished.remove_all();
        // Not even tried: such a directory cannot exist.
        let error = unfinished.create(Path::new("\0/x")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Interrupted);
    }
}
