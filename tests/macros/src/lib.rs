//! The tests of `#[glassfrog::main]` and `#[glassfrog::test]`.
#![cfg(test)]

mod fixtures;
mod functions;
mod limits;
mod mistakes;
mod runs;
mod simulations;
mod timelines;
