//! The laws of the wire, which the tests state without a runtime.

mod fault_laws;
mod harness;
mod stream_laws;
mod tcp_laws;
