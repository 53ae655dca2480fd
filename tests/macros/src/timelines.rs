//! The timelines of tests that fail.

use crate::fixtures::{End, run_in_environment};
use std::path::PathBuf;
use std::{env, fs, process};

/// A directory. Dropping it removes it.
struct Directory(PathBuf);

impl Directory {
    /// Creates the directory of a test.
    fn new(test: &str) -> Directory {
        let path = env::temp_dir().join(format!("glassfrog-{test}-{}", process::id()));
        fs::create_dir_all(&path).unwrap();
        Directory(path)
    }

    /// Runs a fixture with the directory in its environment. Returns how it ended, and the files in the directory.
    fn run(&self, fixture: &str) -> (End, Vec<PathBuf>) {
        let path = self.0.to_str().unwrap();
        let end = run_in_environment(fixture, &[("GLASSFROG_TIMELINE", path)]);
        let files = fs::read_dir(path).unwrap();
        (end, files.map(|file| file.unwrap().path()).collect())
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_test_that_fails_writes_its_timeline_and_says_so() {
    let fixtures = [
        "prints_and_panics",
        "prints_and_returns_an_error",
        "waits_forever",
        "panics",
        "returns_an_error",
        "blocks",
    ];
    for fixture in fixtures {
        let directory = Directory::new(fixture);
        let (end, files) = directory.run(fixture);
        assert!(!end.passed, "{}", end.output);
        assert_eq!(files.len(), 1, "{files:?}");
        let separator = if cfg!(windows) { "--" } else { "::" };
        let name = format!("fixtures{separator}{fixture}.html");
        assert_eq!(files[0].file_name().unwrap().to_str(), Some(&*name));
        let page = fs::read_to_string(&files[0]).unwrap();
        assert!(page.starts_with("<!doctype html>"), "{page}");
        let says = format!("the timeline of this test is in {}", files[0].display());
        assert_eq!(end.output.matches(&says).count(), 1, "{}", end.output);
    }
}

#[test]
fn a_test_that_passes_writes_no_timeline() {
    let directory = Directory::new("passes");
    let (end, files) = directory.run("prints");
    assert!(end.passed, "{}", end.output);
    assert!(files.is_empty(), "{files:?}");
}

#[test]
fn a_variable_that_names_no_directory_leaves_tests_alone() {
    let directory = Directory::new("no-directory");
    let missing = directory.0.join("missing");
    let variable = ("GLASSFROG_TIMELINE", missing.to_str().unwrap());
    let end = run_in_environment("prints_and_panics", &[variable]);
    assert!(!end.passed, "{}", end.output);
    assert!(!end.output.contains("timeline"), "{}", end.output);
}
