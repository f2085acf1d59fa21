//! Which source it is, and how that shows in the names of its models.

use std::fmt;

use crate::catalog::registry::RegistryFailure;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{ModelName, ModelRef};
use crate::relpath::below;

/// Which source it is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Identity {
    /// The key in `[sources]`; empty for the source that a plain registry URL configures.
    pub(crate) key: String,
    /// The prefix of its models' names; empty for none.
    pub(crate) name: String,
}

impl Identity {
    /// Whether people may mean it by this word.
    pub(crate) fn is_called(&self, word: &str) -> bool {
        self.key == word || self.name == word
    }

    /// The full name of a model or example.
    pub(crate) fn full_name(&self, path: &str) -> String {
        below(&self.name, path)
    }

    /// A version of the model with this path; `location` names in errors where the path is from.
    pub(crate) fn model(
        &self,
        path: &str,
        version: &str,
        location: impl fmt::Display,
    ) -> Result<ModelRef> {
        let name = ModelName::parse(&self.full_name(path));
        let model = name.and_then(|name| name.version(version));
        model.map_err(|error| Error::registry(location, error.to_string()))
    }

    /// The path of a model, which is its name without the source's in front.
    pub(crate) fn path_of(&self, model: &ModelRef) -> String {
        self.path_in(model.name().to_string())
    }

    /// The same of a model's whole name.
    pub(crate) fn path_in(&self, name: String) -> String {
        match name.strip_prefix(&self.name) {
            Some(path) => path.trim_start_matches('/').to_owned(),
            None => name,
        }
    }

    /// The error of a model that the source does not have; `near` are the paths of others.
    pub(crate) fn not_found(&self, path: &str, near: Vec<String>) -> Error {
        Error::from(ErrorKind::ModelNotFound {
            model: self.full_name(path),
            near: near.into_iter().map(|it| self.full_name(&it)).collect(),
            sources: Vec::new(),
            token_variable: None,
            registry: None,
        })
    }

    /// A failure of the registry of a ref, or of the source's only one.
    pub(crate) fn failure(&self, reference: Option<String>, error: Error) -> RegistryFailure {
        RegistryFailure {
            reference,
            ..RegistryFailure::new(&*self.key, error)
        }
    }
}
