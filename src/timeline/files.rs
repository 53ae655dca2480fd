//! Writes a timeline to a file, whole or not at all, and names it.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::path::{MAIN_SEPARATOR, Path};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// The number of files that this process has begun, so that two threads write different ones.
static FILES: AtomicU64 = AtomicU64::new(0);

/// Writes a text to a new file, which then takes the place of the one at this path.
pub(super) fn write(path: &Path, text: &str) -> io::Result<()> {
    let named = |error: io::Error| {
        let path = path.display();
        let message = format!("cannot write the timeline to {path}: {error}");
        io::Error::new(error.kind(), message)
    };
    let Some(name) = path.file_name().filter(|_| !path.is_dir()) else {
        let error = io::Error::new(io::ErrorKind::IsADirectory, "it is a directory");
        return Err(named(error));
    };
    // Behind a link, it is the file that is replaced. A link that leads nowhere is replaced itself.
    let target = fs::canonicalize(path);
    let path = target.as_deref().unwrap_or(path);
    let name = path.file_name().unwrap_or(name);
    if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        // A rename would replace `/dev/null` for the whole system, and to open a pipe may block for ever.
        let message = "it is a device, a pipe or a socket";
        return Err(named(io::Error::new(io::ErrorKind::InvalidInput, message)));
    }
    // Relaxed suffices: only the numbers must differ.
    let number = FILES.fetch_add(1, Ordering::Relaxed);
    let mut temporary = OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}-{number}", process::id()));
    let temporary = path.with_file_name(temporary);
    let written = write_new(&temporary, text).and_then(|()| fs::rename(&temporary, path));
    written.map_err(|error| {
        // It may never have existed.
        let _ = fs::remove_file(&temporary);
        named(error)
    })
}

/// Writes a text to a file that must not exist.
fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file = fs::File::create_new(path)?;
    file.write_all(text.as_bytes())
}

/// Returns the name of the file for a test. On Windows, where a name may not contain a colon, it has `-` instead.
#[cfg_attr(not(any(feature = "macros", feature = "sim")), expect(dead_code))]
pub(super) fn name_of_test(test: &str) -> String {
    let test = match MAIN_SEPARATOR {
        '/' => String::from(test),
        _ => test.replace(':', "-"),
    };
    format!("{test}.html")
}

/// Returns the title of a timeline: the name of the program, and the time of day.
pub(super) fn title() -> String {
    let program = env::args_os().next().unwrap_or_default();
    let program = Path::new(&program).file_name().unwrap_or_default();
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let secs = now.map_or(0, |now| now.as_secs());
    format!("{}, {}", program.to_string_lossy(), date(secs))
}

/// Returns the date and time of a number of seconds since 1970.
fn date(secs: u64) -> String {
    let (mut days, second) = (secs / 86_400, secs % 86_400);
    let length = |year: u64| match year.is_multiple_of(4)
        && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    {
        true => 366,
        false => 365,
    };
    let mut year = 1970;
    while days >= length(year) {
        days -= length(year);
        year += 1;
    }
    let february = length(year) - 337;
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    let (hour, minute) = (second / 3600, second / 60 % 60);
    let (day, second) = (days + 1, second % 60);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_follows_the_calendar() {
        let cases = [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_399, "2000-02-28 23:59:59 UTC"),
            (951_868_799, "2000-02-29 23:59:59 UTC"),
            (951_868_800, "2000-03-01 00:00:00 UTC"),
            (1_767_225_599, "2025-12-31 23:59:59 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
        ];
        for (secs, text) in cases {
            assert_eq!(date(secs), text);
        }
    }

    /// Returns the path of a new empty directory.
    fn directory(name: &str) -> std::path::PathBuf {
        let path = env::temp_dir().join(format!("glassfrog-{name}-{}", process::id()));
        fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn a_file_takes_the_place_of_another_and_nothing_else_remains() {
        let directory = directory("timeline-replace");
        let path = directory.join("run.html");
        write(&path, "one").unwrap();
        write(&path, "two").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn a_directory_is_never_replaced() {
        let directory = directory("timeline-directory");
        let error = write(&directory, "text").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::IsADirectory);
        assert!(error.to_string().contains("timeline-directory"), "{error}");
        assert!(fs::read_dir(&directory).unwrap().next().is_none());
        fs::remove_dir_all(&directory).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_file_is_never_replaced() {
        let directory = directory("timeline-socket");
        let path = directory.join("socket");
        let _socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let error = write(&path, "text").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains("a socket"), "{error}");
        assert!(!fs::metadata(&path).unwrap().is_file());
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
        fs::remove_dir_all(&directory).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn behind_a_link_the_file_is_replaced() {
        let directory = directory("timeline-link");
        let (path, link) = (directory.join("run.html"), directory.join("link.html"));
        write(&path, "one").unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        write(&link, "two").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn an_error_names_the_path() {
        let path = Path::new("no such directory").join("run.json");
        let error = write(&path, "text").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().contains("run.json"), "{error}");
    }
}
