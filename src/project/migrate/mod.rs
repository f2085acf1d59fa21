//! Registries of other tools: read, and written.

pub(crate) mod import;
pub(crate) mod report;
