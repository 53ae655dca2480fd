//! [`TestFile`]: the timeline of a test that fails, if `GLASSFROG_TIMELINE` names a directory.
//!
//! [`Test`](crate::test_runs::Test) asks for the file before it creates a runtime, and writes it after a failure.

use super::Timeline;
use super::files::name_of_test;
use super::output::directory_in_environment;
use super::recorder::Recorder;
use std::path::PathBuf;

/// The file of one test.
#[derive(Debug)]
pub(crate) struct TestFile {
    /// The path of the file.
    path: PathBuf,
}

impl TestFile {
    /// Returns the file for the test with this name, if the environment names a directory.
    pub(crate) fn of(test: &str) -> Option<TestFile> {
        let path = directory_in_environment()?.join(name_of_test(test));
        Some(TestFile { path })
    }

    /// Writes what the runtime of the test has recorded. Returns a sentence about that for the report of the failure.
    pub(crate) fn write(&self, recorder: Option<&Recorder>) -> String {
        match Timeline::of(recorder).write_to(&self.path) {
            Ok(()) => format!("the timeline of this test is in {}", self.path.display()),
            Err(error) => error.to_string(),
        }
    }
}
