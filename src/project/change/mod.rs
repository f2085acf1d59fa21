//! What changes a project's registry: adding, syncing, and the difference that it makes.

pub(in crate::project) mod add;
pub(in crate::project) mod difference;
pub(in crate::project) mod enter;
pub(in crate::project) mod known;
pub(in crate::project) mod plan;
mod remove;
pub(in crate::project) mod sync;
