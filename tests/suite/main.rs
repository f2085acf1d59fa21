//! One test binary: what the crate promises, shown from outside.
#![allow(
    missing_docs,
    clippy::needless_pass_by_value,
    reason = "a test's name says what it shows, and its helpers are for calling"
)]

mod layering;
mod manager;
mod project;
mod sources;
mod support;
