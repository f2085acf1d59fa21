//! What registering and its like say of models and targets.

use crate::error::Error;

/// A model or target that was registered.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RegisteredItem {
    /// Its id.
    pub id: String,
    /// Which of the two it is.
    pub kind: ItemKind,
    /// The version; `None` for a target.
    pub version: Option<String>,
    /// The version that was current before; `None` when it is new.
    pub previous: Option<String>,
    /// Whether it was not registered before.
    pub is_new: bool,
    /// The number of its files.
    pub files: usize,
    /// The size of all its files together.
    pub total_bytes: u64,
}

/// What a registered thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ItemKind {
    /// A model.
    Model,
    /// A target.
    Target,
}

impl ItemKind {
    /// Returns the name that machine output uses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Target => "target",
        }
    }
}

/// A path that could not be registered, or that has something in it that could not.
#[derive(Debug)]
#[non_exhaustive]
pub struct FailedPath {
    /// Which, from the project's folder where it is in it.
    pub path: String,
    /// Why.
    pub error: Error,
}
