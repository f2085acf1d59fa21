//! The Hub: models found by name, pulled from one commit, checked by what it says of their files.

mod access;
mod answers;
mod large;
mod limits;
pub(crate) mod machine;
mod pulling;
mod records;
mod reuse;
mod revisions;
mod searching;
mod selecting;
mod statuses;
mod updating;
