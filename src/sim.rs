//! Several hosts, a network and a time of their own, in one deterministic test.
