//! Selecting some files of a model.

use crate::catalog::Pin;
use crate::glob::Glob;
use crate::store::record::ModelRecord;

/// The files of a model that are wanted, as patterns of paths.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Selection {
    pub(crate) include: Vec<String>,
    pub(crate) exclude: Vec<String>,
}

impl Selection {
    /// Returns the selection that an installed model was pulled with.
    pub(crate) fn recorded(record: &ModelRecord) -> Self {
        record.pin.as_deref().map(Self::pinned).unwrap_or_default()
    }

    /// Returns the selection that a pin has.
    pub(crate) fn pinned(pin: &Pin) -> Self {
        Self {
            include: pin.include.clone(),
            exclude: pin.exclude.clone(),
        }
    }

    pub(crate) fn is_everything(&self) -> bool {
        self.include.is_empty() && self.exclude.is_empty()
    }

    /// Returns whether a file is wanted. A pattern that ends in a slash matches everything below that folder, as in the Hub's
    /// own tools.
    pub(crate) fn wants(&self, path: &str) -> bool {
        (self.include.is_empty() || matches(&self.include, path)) && !self.excludes(path)
    }

    /// Returns whether a file is unwanted by its own name, whatever else is wanted.
    pub(crate) fn excludes(&self, path: &str) -> bool {
        matches(&self.exclude, path)
    }
}

fn matches(patterns: &[String], path: &str) -> bool {
    patterns.iter().any(|pattern| {
        let folder = if pattern.ends_with('/') { "*" } else { "" };
        Glob::new(&format!("{pattern}{folder}")).matches(path)
    })
}
