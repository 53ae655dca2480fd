//! How many more files and sockets this process may have open.
//!
//! The standard library cannot ask for the limit, and the limit would not say what is in use
//! already. So it is found out by trying.

use std::env;
use std::fs::File;
use std::iter;

/// What is left alone for whatever else comes up: look-ups of names, a second address that is tried.
const RESERVE: usize = 32;

/// How many fetches there may be at a time if each takes so many descriptors: at most `at_once`, and
/// at least one.
pub(crate) fn affordable(at_once: usize, each: usize) -> usize {
    let wanted = at_once.saturating_mul(each).saturating_add(RESERVE);
    match free(wanted) {
        Some(free) if free < wanted => (free.saturating_sub(RESERVE) / each).clamp(1, at_once),
        _ => at_once,
    }
}

/// How many descriptors are free, counted up to `most`. `None` if there is nothing to try it with.
fn free(most: usize) -> Option<usize> {
    // Any file will do; this one is there.
    let file = File::open(env::current_exe().ok()?).ok()?;
    let copies: Vec<File> = iter::repeat_with(|| file.try_clone())
        .take(most.saturating_sub(1))
        .map_while(Result::ok)
        .collect();
    Some(1 + copies.len())
}
