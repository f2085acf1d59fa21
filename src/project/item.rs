//! Models and targets in reports.

use std::fmt;

use serde::Serialize;

use crate::error::Error;

/// A model or target that was registered; [`AddReport`](crate::project::AddReport) has an example.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RegisteredItem {
    /// Whether it is a model or a target.
    pub kind: ItemKind,
    /// Its id.
    pub id: String,
    /// The version; `None` for a target.
    pub version: Option<String>,
    /// The version that was current before; `None` if it is new, and for a target.
    pub previous: Option<String>,
    /// Whether it was not registered before.
    #[serde(rename = "new")]
    pub is_new: bool,
    /// The number of its files.
    pub files: usize,
    /// The total size of its files.
    pub total_bytes: u64,
}

/// What a registered item is.
///
/// ```
/// use modelrack::project::ItemKind;
///
/// let kinds = [ItemKind::Model, ItemKind::Target].map(ItemKind::as_str);
/// assert_eq!(kinds, ["model", "target"]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ItemKind {
    /// A model.
    Model,
    /// A target.
    Target,
}

impl ItemKind {
    /// Returns the name that `--json` uses; [`ItemKind`] has an example.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Target => "target",
        }
    }
}

/// A registered model or target by its id. `Display` shows it as `model sir`; [`Project::remove`] has an example.
///
/// [`Project::remove`]: crate::project::Project::remove
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[non_exhaustive]
pub struct ItemId {
    /// Whether it is a model or a target.
    pub kind: ItemKind,
    /// Its id.
    pub id: String,
}

impl ItemId {
    pub(super) fn new(kind: ItemKind, id: impl Into<String>) -> Self {
        let id = id.into();
        Self { kind, id }
    }
}

impl fmt::Display for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.as_str(), self.id)
    }
}

/// A path that could not be registered, or below which something could not; [`AddReport`](crate::project::AddReport) has an
/// example.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct FailedPath {
    /// The path, relative to the project's folder if it is in it.
    pub path: String,
    /// Why it could not be registered.
    #[serde(flatten)]
    pub error: Error,
}

/// Returns paths in order, each once.
pub(crate) fn in_order(mut paths: Vec<String>) -> Vec<String> {
    paths.sort_unstable();
    paths.dedup();
    paths
}
