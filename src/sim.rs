//! Several hosts, a network and a time of their own, in one deterministic test.

pub use crate::wire::{Link, Tcp};
