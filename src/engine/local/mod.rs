//! What is on this machine: listing, checking, updating, copying and removing it, and installing what was made here.

pub(crate) mod annotate;
pub(crate) mod copy;
pub(crate) mod install;
pub(crate) mod list;
pub(crate) mod prune;
pub(crate) mod remove;
pub(crate) mod update;
mod usable;
pub(crate) mod usage;
pub(crate) mod verify;
