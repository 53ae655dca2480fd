//! Finds out how many more files and sockets this process may open.
//!
//! The standard library cannot query the limit, and the limit does not say how many descriptors are in use.
//! This module therefore opens files until that fails.

use std::env;
use std::fs::File;
use std::iter;

/// The descriptors reserved for other purposes, such as name lookups and a second connection attempt.
const RESERVE: usize = 32;

/// Returns the number of fetches that may run at a time if each needs `each` descriptors: at most `at_once`,
/// and at least one.
pub(crate) fn affordable(at_once: usize, each: usize) -> usize {
    let wanted = at_once.saturating_mul(each).saturating_add(RESERVE);
    match free(wanted) {
        Some(free) if free < wanted => (free.saturating_sub(RESERVE) / each).clamp(1, at_once),
        _ => at_once,
    }
}

/// Returns the number of free descriptors, up to `most`, or `None` if it cannot be determined.
fn free(most: usize) -> Option<usize> {
    // Any file will do, and this one exists.
    let file = File::open(env::current_exe().ok()?).ok()?;
    let copies: Vec<File> = iter::repeat_with(|| file.try_clone())
        .take(most.saturating_sub(1))
        .map_while(Result::ok)
        .collect();
    Some(1 + copies.len())
}
