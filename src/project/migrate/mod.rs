//! Reading and writing registries of other programs.

pub(crate) mod import;
pub(crate) mod report;
