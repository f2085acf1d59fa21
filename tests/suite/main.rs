//! One test binary: what the crate promises, shown from outside.
