//! A registry as a repository serves it now.

use crate::catalog::registry::RegistryMode;
use crate::source::models_toml::ModelsToml;
use crate::url::Url;

/// A registry as it is served now, as [`Manager::discover`](crate::Manager::discover) returns it; it has an example.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct DiscoveredRegistry {
    /// The key of the source.
    pub source: String,
    /// How messages name the source: by its name, or else its location.
    pub name: String,
    /// The ref.
    pub reference: String,
    /// How its files are published.
    pub mode: RegistryMode,
    /// The commit that it came from; `None` for a release.
    pub commit: Option<String>,
    /// Where it was found.
    pub url: Url,
    /// The registry.
    pub registry: ModelsToml,
}

impl DiscoveredRegistry {
    /// Creates a registry that was found under version control at no commit of a source without a name; for [implementations
    /// of `Manager`](crate::remote#reports-of-your-own).
    pub fn new(reference: impl Into<String>, url: Url, registry: ModelsToml) -> Self {
        Self {
            source: String::new(),
            name: String::new(),
            reference: reference.into(),
            mode: RegistryMode::VersionControlled,
            commit: None,
            url,
            registry,
        }
    }
}
