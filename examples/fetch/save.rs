//! Saves the bodies: nowhere, to standard output, to a file, or to a directory with one file per body.
//!
//! A file appears under its name when its body is complete. Until then it has a temporary name (see
//! `unfinished.rs`). In a directory, a URL determines only the last part of a file name, after the number
//! of the fetch, and only with harmless characters.
//!
//! Every operation on a file may block, for example on a sleeping disk or on a pipe without a reader. It
//! therefore runs in `spawn_blocking`, and a fetch that waits for it can time out as usual.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{self, Path, PathBuf};
use std::sync::Arc;

use glassfrog::Handle;
use glassfrog::task::{JoinHandle, spawn_blocking};

use crate::failure::with_context;
use crate::unfinished::Unfinished;
use crate::url::Url;

/// The longest part of a URL in a file name: shorter than any file system allows.
const MAX_NAME: usize = 64;

/// The number of bytes to gather before a thread writes them: enough to outweigh the cost of the job, and
/// few enough for many fetches to have such a buffer.
const WRITE_SIZE: usize = 256 * 1024;

/// The number of symbolic links to follow in a chain, as on Linux.
const MAX_LINKS: usize = 40;

/// Saves the bodies of a run.
#[derive(Debug)]
pub(crate) struct Saving {
    /// The destination of the bodies.
    destination: Destination,
    /// The incomplete files.
    unfinished: Arc<Unfinished>,
}

/// The destination of the bodies of a run.
#[derive(Debug)]
enum Destination {
    /// Nowhere; they are only counted.
    Nowhere,
    /// Standard output, for a single body.
    Stdout,
    /// A file, for a single body.
    File(PathBuf),
    /// A directory with a file for each body.
    Directory {
        /// The directory, which exists.
        path: PathBuf,
        /// The number of digits in the numbers of the fetches.
        digits: usize,
    },
}

impl Saving {
    /// Prepares to save the bodies of `total` fetches according to the option `output`.
    pub(crate) fn new(
        output: Option<&Path>,
        total: usize,
        unfinished: Arc<Unfinished>,
    ) -> io::Result<Self> {
        let destination = Destination::new(output, total)?;
        Ok(Self {
            destination,
            unfinished,
        })
    }

    /// Returns whether the body is written to standard output.
    pub(crate) fn is_stdout(&self) -> bool {
        matches!(self.destination, Destination::Stdout)
    }

    /// Returns the number of descriptors that each fetch needs to save its body.
    pub(crate) fn descriptors(&self) -> usize {
        match self.destination {
            Destination::Nowhere | Destination::Stdout => 0,
            Destination::File(_) | Destination::Directory { .. } => 1,
        }
    }

    /// Returns the beginning of a message about saving the body of a fetch.
    pub(crate) fn attempt(&self, number: usize, url: &Url) -> String {
        match self.destination.path(number, url) {
            Some(path) => save_as(&path),
            None => WRITE_STDOUT.to_string(),
        }
    }

    /// Opens the sink for the body of a fetch.
    pub(crate) async fn open(&self, number: usize, url: &Url) -> io::Result<Sink> {
        let target = match self.destination.path(number, url) {
            Some(path) => {
                let unfinished = Arc::clone(&self.unfinished);
                let opened = run_blocking(move || Target::open(path, unfinished));
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

impl Destination {
    /// Returns the destination of the bodies of `total` fetches according to the option `output`.
    fn new(output: Option<&Path>, total: usize) -> io::Result<Self> {
        let Some(output) = output else {
            return Ok(Destination::Nowhere);
        };
        if total == 1 && output.as_os_str() == "-" {
            return Ok(Destination::Stdout);
        }
        let text = output.as_os_str().to_string_lossy();
        if total == 1 && !text.ends_with(path::is_separator) && !output.is_dir() {
            let file =
                resolve_links(output).map_err(|error| with_context(save_as(output), error))?;
            return Ok(Destination::File(file));
        }
        fs::create_dir_all(output).map_err(|error| {
            with_context(format!("create the directory {}", output.display()), error)
        })?;
        Ok(Destination::Directory {
            path: output.into(),
            digits: total.to_string().len(),
        })
    }

    /// Returns the file for the body of a fetch, if there is one.
    fn path(&self, number: usize, url: &Url) -> Option<PathBuf> {
        match self {
            Destination::Nowhere | Destination::Stdout => None,
            Destination::File(path) => Some(path.clone()),
            Destination::Directory { path, digits } => {
                let name = sanitize(url.file_name());
                Some(path.join(format!("{number:0digits$}-{name}")))
            }
        }
    }
}

/// Returns the beginning of a message about saving a file.
fn save_as(path: &Path) -> String {
    format!("save as {}", path.display())
}

/// The beginning of a message about standard output.
const WRITE_STDOUT: &str = "write to standard output";

/// Resolves symbolic links, so that saving replaces the target, which may not exist, and not the link.
fn resolve_links(path: &Path) -> io::Result<PathBuf> {
    if fs::metadata(path).is_ok() {
        // A file without a name, such as the pipe behind `/dev/stdout`, is reachable only through the link.
        return Ok(fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf()));
    }
    let mut path = path.to_path_buf();
    for _ in 0..MAX_LINKS {
        // An error means that the path is not a link.
        let Ok(target) = fs::read_link(&path) else {
            return Ok(path);
        };
        path.pop();
        path.push(target);
    }
    Err(io::Error::other("too many links that lead to links"))
}

/// Runs a closure as a blocking job. Dropping the future cancels the job if it has not started.
async fn run_blocking<T: Send + 'static>(
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

/// Returns a file name without separators, leading dots, and characters that are special to a shell or a
/// file system.
fn sanitize(name: &str) -> String {
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

/// The sink for the body of a fetch.
#[derive(Debug)]
pub(crate) struct Sink {
    /// The target, if there is one. Absent while a thread writes to it.
    target: Option<Target>,
    /// The bytes of the body that are not written yet.
    gathered: Vec<u8>,
}

impl Sink {
    /// Appends a part of the body.
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        if self.target.is_some() {
            self.gathered.extend_from_slice(bytes);
        }
    }

    /// Returns whether enough bytes have been gathered to write them.
    pub(crate) fn is_full(&self) -> bool {
        self.gathered.len() >= WRITE_SIZE
    }

    /// Writes the gathered bytes.
    pub(crate) async fn write(&mut self) -> io::Result<()> {
        let Some(mut target) = self.target.take() else {
            return Ok(());
        };
        let gathered = std::mem::take(&mut self.gathered);
        let work = move || target.write(&gathered).map(|()| (target, gathered));
        let (target, mut written) = run_blocking(work).await??;
        // Reuse the memory of the buffer.
        written.clear();
        self.target = Some(target);
        self.gathered = written;
        Ok(())
    }

    /// Finishes a complete body. Returns the file in which it is saved, if any.
    pub(crate) async fn finish(self) -> io::Result<Option<PathBuf>> {
        let Some(mut target) = self.target else {
            return Ok(None);
        };
        let finished = run_blocking(move || {
            target.write(&self.gathered)?;
            target.finish()
        });
        finished.await?
    }
}

/// The target that a body is written to. Its methods block.
#[derive(Debug)]
enum Target {
    /// Standard output.
    Stdout,
    /// A device or pipe, such as `/dev/null`, which must not be replaced by a file.
    Device(File, PathBuf),
    /// A file.
    File(Part),
}

impl Target {
    /// Opens a new file, or an existing device or pipe.
    fn open(path: PathBuf, unfinished: Arc<Unfinished>) -> io::Result<Self> {
        let opened = match fs::metadata(&path) {
            // Opening a pipe waits for a reader.
            Ok(what) if !what.is_file() => File::options()
                .write(true)
                .open(&path)
                .map(|device| Target::Device(device, path.clone())),
            _ => Part::create(path.clone(), unfinished).map(Target::File),
        };
        opened.map_err(|error| with_context(save_as(&path), error))
    }

    /// Writes a part of the body.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Target::Stdout => io::stdout()
                .write_all(bytes)
                .map_err(|error| with_context(WRITE_STDOUT, error)),
            Target::Device(device, path) => device
                .write_all(bytes)
                .map_err(|error| with_context(save_as(path), error)),
            Target::File(part) => part
                .file
                .write_all(bytes)
                .map_err(|error| with_context(save_as(&part.path), error)),
        }
    }

    /// Finishes a complete body. Returns the file in which it is saved, if any.
    fn finish(self) -> io::Result<Option<PathBuf>> {
        match self {
            Target::Stdout => {
                let flushed = io::stdout().flush();
                flushed.map_err(|error| with_context(WRITE_STDOUT, error))?;
                Ok(None)
            }
            Target::Device(_, path) => Ok(Some(path)),
            Target::File(part) => part.finish().map(Some),
        }
    }
}

/// An incomplete file. Dropping it removes the file.
#[derive(Debug)]
struct Part {
    /// The open file.
    file: File,
    /// The temporary name, or `None` once the file is complete.
    temporary: Option<PathBuf>,
    /// The final name.
    path: PathBuf,
    /// The list of incomplete files.
    unfinished: Arc<Unfinished>,
}

impl Part {
    /// Creates a file in the directory of the final one, so that finishing it is only a rename.
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

    /// Renames the file to its final name.
    fn finish(mut self) -> io::Result<PathBuf> {
        if let Some(temporary) = &self.temporary {
            self.unfinished
                .finish(temporary, &self.path)
                .map_err(|error| with_context(save_as(&self.path), error))?;
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
            // This thread runs the loop. If the runtime ends before the job starts, the exit of the program
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
    fn a_url_determines_only_the_end_of_a_file_name() {
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
            assert_eq!(sanitize(url.file_name()), name, "{path}");
        }
    }
}
