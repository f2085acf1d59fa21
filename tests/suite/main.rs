//! One test binary: what the crate promises, shown from outside.
#![allow(
    missing_docs,
    clippy::needless_pass_by_value,
    clippy::unwrap_used,
    reason = "a test's name says what it shows, and a step that fails ends it"
)]

mod cli;
mod layering;
mod manager;
#[cfg(feature = "author")]
mod project;
mod sources;
mod support;
#[cfg(feature = "author")]
mod texts;
