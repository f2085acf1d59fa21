//! Selecting some files of a model.

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
        let pin = record.pin.as_ref();
        pin.map_or_else(Self::default, |pin| Self {
            include: pin.include.clone(),
            exclude: pin.exclude.clone(),
        })
    }

    pub(crate) fn is_everything(&self) -> bool {
        self.include.is_empty() && self.exclude.is_empty()
    }

    /// Returns whether a file is wanted. A pattern that ends in a slash matches everything below that folder, as in the Hub's
    /// own tools.
    pub(crate) fn wants(&self, path: &str) -> bool {
        let matches = |pattern: &String| {
            let folder = if pattern.ends_with('/') { "*" } else { "" };
            Glob::new(&format!("{pattern}{folder}")).matches(path)
        };
        (self.include.is_empty() || self.include.iter().any(matches))
            && !self.exclude.iter().any(matches)
    }
}
