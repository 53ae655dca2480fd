//! Where the bodies go: nowhere, to standard output, into a file, or into a directory with a file for
//! each.
//!
//! A file appears when its body is complete, and not before: until then it has another name (see
//! `unfinished.rs`). In a directory a URL has a say only in the last part of a name, behind the number
//! of the fetch, and only with harmless characters.
//!
//! Whatever touches a file may block: a disk that is asleep, a pipe that nobody reads. So it happens
//! on a thread, by `spawn_blocking`, and a fetch that waits for it can time out like any other.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{self, Path, PathBuf};
use std::sync::Arc;

use glassfrog::Handle;
use glassfrog::task::{JoinHandle, spawn_blocking};

use crate::failure::tried;
use crate::unfinished::Unfinished;
use crate::url::Url;

/// How much of a URL's own file name is taken over: less than what any file system allows.
const MAX_NAME: usize = 64;

/// How much of a body is gathered before a thread writes it: enough to make up for the way there and
/// back, and little enough to have it for each of many fetches.
const WRITE_SIZE: usize = 256 * 1024;

/// How many links are followed that lead to links; Linux follows as many.
const MAX_LINKS: usize = 40;

/// Where the bodies of a run go.
#[derive(Debug)]
pub(crate) struct Saving {
    /// The place for them.
    place: Place,
    /// The files that are not complete.
    unfinished: Arc<Unfinished>,
}

/// The place for the bodies of a run.
#[derive(Debug)]
enum Place {
    /// They are only counted.
    Nowhere,
    /// The only one goes to standard output.
    Stdout,
    /// The only one goes into this file.
    File(PathBuf),
    /// Each goes into a file of its own.
    Directory {
        /// The directory, which exists.
        path: PathBuf,
        /// How many digits the numbers have.
        digits: usize,
    },
}

impl Saving {
    /// Where the bodies of `total` fetches go if the user said `output`.
    pub(crate) fn new(
        output: Option<&Path>,
        total: usize,
        unfinished: Arc<Unfinished>,
    ) -> io::Result<Self> {
        let place = Place::new(output, total)?;
        Ok(Self { place, unfinished })
    }

    /// Whether the only body goes to standard output.
    pub(crate) fn is_stdout(&self) -> bool {
        matches!(self.place, Place::Stdout)
    }

    /// How many descriptors each fetch needs for it.
    pub(crate) fn descriptors(&self) -> usize {
        match self.place {
            Place::Nowhere | Place::Stdout => 0,
            Place::File(_) | Place::Directory { .. } => 1,
        }
    }

    /// What saving the body of one fetch is, as the beginning of a message.
    pub(crate) fn attempt(&self, number: usize, url: &Url) -> String {
        match self.place.path(number, url) {
            Some(path) => save_as(&path),
            None => WRITE_STDOUT.to_string(),
        }
    }

    /// Opens the place for the body of one fetch.
    pub(crate) async fn open(&self, number: usize, url: &Url) -> io::Result<Sink> {
        let target = match self.place.path(number, url) {
            Some(path) => {
                let unfinished = Arc::clone(&self.unfinished);
                let opened = off_the_loop(move || Target::open(path, unfinished));
                Some(opened.await??)
            }
            None if self.is_stdout() => Some(Target::Stdout),
            None => None,
        };
        Ok(Sink {
            target,
            gathered: Vec::new(),
        })
    }
}

impl Place {
    /// The place that the user named with `output` for the bodies of `total` fetches.
    fn new(output: Option<&Path>, total: usize) -> io::Result<Self> {
        let Some(output) = output else {
            return Ok(Place::Nowhere);
        };
        if total == 1 && output.as_os_str() == "-" {
            return Ok(Place::Stdout);
        }
        let text = output.as_os_str().to_string_lossy();
        if total == 1 && !text.ends_with(path::is_separator) && !output.is_dir() {
            let file = behind_links(output).map_err(|error| tried(save_as(output), error))?;
            return Ok(Place::File(file));
        }
        fs::create_dir_all(output)
            .map_err(|error| tried(format!("create the directory {}", output.display()), error))?;
        Ok(Place::Directory {
            path: output.into(),
            digits: total.to_string().len(),
        })
    }

    /// The file for the body of one fetch, if there is to be one.
    fn path(&self, number: usize, url: &Url) -> Option<PathBuf> {
        match self {
            Place::Nowhere | Place::Stdout => None,
            Place::File(path) => Some(path.clone()),
            Place::Directory { path, digits } => {
                let name = harmless(url.file_name());
                Some(path.join(format!("{number:0digits$}-{name}")))
            }
        }
    }
}

/// How a message begins that is about saving a file.
fn save_as(path: &Path) -> String {
    format!("save as {}", path.display())
}

/// How a message begins that is about standard output.
const WRITE_STDOUT: &str = "write to standard output";

/// The file that a link leads to, whether that exists or not: it is replaced, and not the link.
fn behind_links(path: &Path) -> io::Result<PathBuf> {
    if fs::metadata(path).is_ok() {
        // What has no name, as the pipe behind `/dev/stdout`, is reached by the link only.
        return Ok(fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf()));
    }
    let mut path = path.to_path_buf();
    for _ in 0..MAX_LINKS {
        // What is no link cannot be read as one.
        let Ok(target) = fs::read_link(&path) else {
            return Ok(path);
        };
        path.pop();
        path.push(target);
    }
    Err(io::Error::other("too many links that lead to links"))
}

/// Runs a closure on a thread where it may block. If nobody waits for it any more, it is not begun.
async fn off_the_loop<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    struct Job<T>(JoinHandle<T>);

    impl<T> Drop for Job<T> {
        fn drop(&mut self) {
            self.0.abort();
        }
    }

    let mut job = Job(spawn_blocking(work));
    Ok((&mut job.0).await?)
}

/// The part of a URL that may stand in a file name: no separators, no dots at its beginning, nothing
/// that a shell or a file system takes for something else.
fn harmless(name: &str) -> String {
    let is_harmless = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let name: String = name
        .chars()
        .take(MAX_NAME)
        .map(|c| if is_harmless(c) { c } else { '_' })
        .collect();
    match name.trim_matches('.') {
        "" => "index".to_string(),
        name => name.to_string(),
    }
}

/// Where the body of one fetch goes.
#[derive(Debug)]
pub(crate) struct Sink {
    /// What is written to, if anything is. It is not here while a thread writes to it.
    target: Option<Target>,
    /// What has come of the body and is not written yet.
    gathered: Vec<u8>,
}

impl Sink {
    /// Takes a part of the body.
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        if self.target.is_some() {
            self.gathered.extend_from_slice(bytes);
        }
    }

    /// Whether so much has been gathered that it should be written.
    pub(crate) fn is_full(&self) -> bool {
        self.gathered.len() >= WRITE_SIZE
    }

    /// Writes what has been gathered.
    pub(crate) async fn write(&mut self) -> io::Result<()> {
        let Some(mut target) = self.target.take() else {
            return Ok(());
        };
        let gathered = std::mem::take(&mut self.gathered);
        let work = move || target.write(&gathered).map(|()| (target, gathered));
        let (target, mut written) = off_the_loop(work).await??;
        // For its memory.
        written.clear();
        self.target = Some(target);
        self.gathered = written;
        Ok(())
    }

    /// The body is complete. Returns the file that it is saved in, if it is one.
    pub(crate) async fn finish(self) -> io::Result<Option<PathBuf>> {
        let Some(mut target) = self.target else {
            return Ok(None);
        };
        let finished = off_the_loop(move || {
            target.write(&self.gathered)?;
            target.finish()
        });
        finished.await?
    }
}

/// What a body is written to. Its methods block.
#[derive(Debug)]
enum Target {
    /// Standard output.
    Stdout,
    /// What is no ordinary file, as `/dev/null` or a pipe, and must not be replaced by one.
    Device(File, PathBuf),
    /// A file.
    File(Part),
}

impl Target {
    /// Opens a file, or what exists in its place.
    fn open(path: PathBuf, unfinished: Arc<Unfinished>) -> io::Result<Self> {
        let opened = match fs::metadata(&path) {
            // The open of a pipe waits for a reader.
            Ok(what) if !what.is_file() => File::options()
                .write(true)
                .open(&path)
                .map(|device| Target::Device(device, path.clone())),
            _ => Part::create(path.clone(), unfinished).map(Target::File),
        };
        opened.map_err(|error| tried(save_as(&path), error))
    }

    /// Writes a part of the body.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Target::Stdout => io::stdout()
                .write_all(bytes)
                .map_err(|error| tried(WRITE_STDOUT, error)),
            Target::Device(device, path) => device
                .write_all(bytes)
                .map_err(|error| tried(save_as(path), error)),
            Target::File(part) => part
                .file
                .write_all(bytes)
                .map_err(|error| tried(save_as(&part.path), error)),
        }
    }

    /// The body is complete. Returns the file that it is saved in, if it is one.
    fn finish(self) -> io::Result<Option<PathBuf>> {
        match self {
            Target::Stdout => {
                let flushed = io::stdout().flush();
                flushed.map_err(|error| tried(WRITE_STDOUT, error))?;
                Ok(None)
            }
            Target::Device(_, path) => Ok(Some(path)),
            Target::File(part) => part.finish().map(Some),
        }
    }
}

/// A file that is not complete. Dropping it removes it.
#[derive(Debug)]
struct Part {
    /// What is written to.
    file: File,
    /// Its name until it is complete. `None` afterwards.
    temporary: Option<PathBuf>,
    /// The name that it is going to have.
    path: PathBuf,
    /// The list that it stands in.
    unfinished: Arc<Unfinished>,
}

impl Part {
    /// Creates a file beside the one that it is going to be, so that it only has to be renamed.
    fn create(path: PathBuf, unfinished: Arc<Unfinished>) -> io::Result<Self> {
        let (file, temporary) = unfinished.create(&path).map_err(|error| {
            let directory = path.parent().unwrap_or(Path::new(""));
            let is_missing = error.kind() == io::ErrorKind::NotFound
                && !directory.as_os_str().is_empty()
                && !directory.exists();
            match is_missing {
                true => io::Error::new(
                    error.kind(),
                    format!("there is no directory {}", directory.display()),
                ),
                false => error,
            }
        })?;
        Ok(Self {
            file,
            temporary: Some(temporary),
            path,
            unfinished,
        })
    }

    /// Gives it its name.
    fn finish(mut self) -> io::Result<PathBuf> {
        if let Some(temporary) = &self.temporary {
            self.unfinished
                .finish(temporary, &self.path)
                .map_err(|error| tried(save_as(&self.path), error))?;
        }
        self.temporary = None;
        Ok(std::mem::take(&mut self.path))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let Some(temporary) = self.temporary.take() else {
            return;
        };
        let unfinished = Arc::clone(&self.unfinished);
        let remove = move || unfinished.remove(&temporary);
        match Handle::try_current() {
            // On the loop. If the runtime ends before a thread has come to it, the end of the program
            // removes the file.
            Some(_) => drop(spawn_blocking(remove)),
            None => remove(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_a_say_in_the_end_of_a_name_only() {
        let long = "x".repeat(300);
        for (path, name) in [
            ("/", "index"),
            ("/a/b.html?c=/d", "b.html"),
            ("/a/", "index"),
            ("/..", "index"),
            ("/../../etc/passwd", "passwd"),
            ("/.profile", "profile"),
            ("/a%2f..%2fb", "a_2f.._2fb"),
            (r"/..\..\x", "_.._x"),
            ("/c:d|e*", "c_d_e_"),
            ("/x.", "x"),
            (&format!("/{long}"), &long[..64]),
        ] {
            let url = Url::parse(&format!("http://a{path}")).unwrap();
            assert_eq!(harmless(url.file_name()), name, "{path}");
        }
    }
}
