//! Registries of other tools: read, and written.

pub(in crate::project) mod import;
pub(in crate::project) mod report;
