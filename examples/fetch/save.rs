//! Where the bodies go: nowhere, to standard output, into a file, or into a directory with a file for
//! each.
//!
//! A file appears when its body is complete, and not before: until then it has another name. In a
//! directory a URL has a say only in the last part of a name, behind the number of the fetch, and
//! only with harmless characters.
//!
//! Files are written right here on the loop: that goes to the memory of the operating system and
//! rarely blocks for long.

use std::fs::{self, File};
use std::io::{self, Stdout, Write};
use std::path::{Path, PathBuf};
use std::process;

use crate::failure::tried;
use crate::url::Url;

/// How much of a URL's own file name is taken over: less than what any file system allows.
const MAX_NAME: usize = 64;

/// Where the bodies of a run go.
#[derive(Debug)]
pub(crate) enum Saving {
    /// They are only counted.
    Nowhere,
    /// The only one goes to standard output.
    Stdout,
    /// The only one goes into this file.
    File(PathBuf),
    /// Each goes into a file of its own.
    Directory {
        /// The directory, which is there.
        path: PathBuf,
        /// How many digits the numbers have.
        digits: usize,
    },
}

impl Saving {
    /// Where the bodies of `total` fetches go if the user said `output`.
    pub(crate) fn new(output: Option<&Path>, total: usize) -> io::Result<Self> {
        let Some(output) = output else {
            return Ok(Saving::Nowhere);
        };
        if total == 1 && output.as_os_str() == "-" {
            return Ok(Saving::Stdout);
        }
        if total == 1 && !output.is_dir() {
            // The file that a link leads to is replaced, and not the link.
            let file = fs::canonicalize(output).unwrap_or_else(|_| output.into());
            return Ok(Saving::File(file));
        }
        fs::create_dir_all(output)
            .map_err(|error| tried(format!("make the directory {}", output.display()), error))?;
        Ok(Saving::Directory {
            path: output.into(),
            digits: total.to_string().len(),
        })
    }

    /// How many descriptors it takes for each fetch.
    pub(crate) fn descriptors(&self) -> usize {
        match self {
            Saving::Nowhere | Saving::Stdout => 0,
            Saving::File(_) | Saving::Directory { .. } => 1,
        }
    }

    /// A place for the body of one fetch.
    pub(crate) fn open(&self, number: usize, url: &Url) -> io::Result<Sink> {
        match self {
            Saving::Nowhere => Ok(Sink::Nowhere),
            Saving::Stdout => Ok(Sink::Stdout(io::stdout())),
            Saving::File(path) => Sink::file(path.clone()),
            Saving::Directory { path, digits } => {
                let name = harmless(url.file_name());
                Sink::file(path.join(format!("{number:0digits$}-{name}")))
            }
        }
    }
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
pub(crate) enum Sink {
    /// Nowhere.
    Nowhere,
    /// To standard output.
    Stdout(Stdout),
    /// Into what is no ordinary file, as `/dev/null` or a pipe, and must not be replaced by one.
    Device(File, PathBuf),
    /// Into a file.
    File(Part),
}

impl Sink {
    /// A file, or what stands in its place.
    fn file(path: PathBuf) -> io::Result<Self> {
        let name = |error| tried(format!("write {}", path.display()), error);
        match fs::metadata(&path) {
            Ok(what) if !what.is_file() => {
                let device = File::options().write(true).open(&path).map_err(name)?;
                Ok(Sink::Device(device, path))
            }
            _ => Ok(Sink::File(Part::create(path)?)),
        }
    }

    /// Takes a part of the body.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (written, path) = match self {
            Sink::Nowhere => return Ok(()),
            Sink::Stdout(stdout) => (stdout.write_all(bytes), Path::new("standard output")),
            Sink::Device(device, path) => (device.write_all(bytes), path.as_path()),
            Sink::File(part) => (part.file.write_all(bytes), part.path.as_path()),
        };
        written.map_err(|error| tried(format!("write {}", path.display()), error))
    }

    /// The body is complete. Returns the file that it stands in, if it is one.
    pub(crate) fn finish(self) -> io::Result<Option<PathBuf>> {
        match self {
            Sink::Nowhere => Ok(None),
            Sink::Stdout(mut stdout) => {
                let flushed = stdout.flush();
                flushed.map_err(|error| tried("write standard output", error))?;
                Ok(None)
            }
            Sink::Device(_, path) => Ok(Some(path)),
            Sink::File(part) => part.finish().map(Some),
        }
    }
}

/// A file that is not complete. Dropping it removes it.
#[derive(Debug)]
pub(crate) struct Part {
    /// What is written to.
    file: File,
    /// What it is called until it is complete; empty afterwards.
    part: PathBuf,
    /// What it will be called.
    path: PathBuf,
}

impl Part {
    /// Makes a file beside the one that it will become, so that it only has to be renamed.
    fn create(path: PathBuf) -> io::Result<Self> {
        let mut part = path.clone().into_os_string();
        part.push(format!(".{}.part", process::id()));
        let part = PathBuf::from(part);
        // A new one: not somebody else's, and not where a link leads to.
        let file = File::create_new(&part)
            .map_err(|error| tried(format!("write {}", part.display()), error))?;
        Ok(Self { file, part, path })
    }

    /// Gives it its name.
    fn finish(mut self) -> io::Result<PathBuf> {
        fs::rename(&self.part, &self.path)
            .map_err(|error| tried(format!("write {}", self.path.display()), error))?;
        self.part = PathBuf::new();
        Ok(std::mem::take(&mut self.path))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.part.as_os_str().is_empty() {
            // There is nobody left to complain to.
            let _gone = fs::remove_file(&self.part);
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
