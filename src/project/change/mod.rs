//! Changing a project's registry: adding, removing and syncing, and how two states of it differ.

pub(crate) mod add;
pub(crate) mod candidate;
pub(crate) mod difference;
pub(crate) mod ids;
pub(crate) mod plan;
pub(crate) mod register;
mod remove;
pub(crate) mod sync;
