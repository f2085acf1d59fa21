//! Finds models among the files of a project, reads what they say about themselves, and hashes them.

pub(crate) mod candidate;
pub mod formats;
mod groups;
pub(crate) mod hash;
pub(crate) mod left_out;
#[cfg_attr(
    not(feature = "python"),
    allow(dead_code, reason = "this build does not read Python")
)]
pub(crate) mod python;
pub(crate) mod survey;
pub(crate) mod walk;
