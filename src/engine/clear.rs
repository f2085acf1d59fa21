//! Removing cached registries.

use tracing::info;

use serde::Serialize;

use crate::engine::Engine;
use crate::error::Result;
use crate::setters::setters;
use crate::source::cache::{RegistryCache, cached_refs, cached_sources};

/// Which cached registries to remove. Default: all.
///
/// ```
/// use modelrack::{ClearOptions, Manager, SyncOptions};
///
/// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
/// manager.sync(&SyncOptions::default())?;
/// let of_branch = ClearOptions::default().source("digits").reference("develop");
/// assert!(manager.clear(&of_branch)?.registries.is_empty(), "it has no refs");
/// assert_eq!(manager.clear(&ClearOptions::default().source("digits"))?.registries.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ClearOptions {
    /// Only registries of the source with this key or name.
    pub source: Option<String>,
    /// Only registries of this ref.
    pub reference: Option<String>,
}

setters!(ClearOptions {
    source: Some(impl Into<String>),
    reference: Some(impl Into<String>),
});

/// The cached registries that [`Manager::clear`](crate::Manager::clear) removes, in the order of the configuration, followed
/// by those of sources that are no longer configured.
///
/// ```
/// use modelrack::{ClearOptions, Manager, SyncOptions};
///
/// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
/// manager.sync(&SyncOptions::default())?;
/// let plan = manager.plan_clear(&ClearOptions::default())?;
/// for registry in &plan.registries {
///     println!("{} ({}@{:?}): {} bytes", registry.name, registry.source, registry.reference, registry.bytes);
/// }
/// assert_eq!(manager.clear(&ClearOptions::default())?.bytes, plan.bytes);
/// assert!(manager.plan_clear(&ClearOptions::default())?.registries.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ClearPlan {
    /// One entry for each registry.
    #[serde(rename = "removed")]
    pub registries: Vec<ClearedRegistry>,
    /// Their total size.
    #[serde(rename = "bytes_freed")]
    pub bytes: u64,
}

/// A cached registry to remove; [`ClearPlan`] has an example.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ClearedRegistry {
    /// The key of the source.
    pub source: String,
    /// How messages name the source: by its name, or else its location.
    pub name: String,
    /// The ref; `None` for a source without refs.
    #[serde(rename = "ref")]
    pub reference: Option<String>,
    /// Its size, with the archives that are cached with it.
    pub bytes: u64,
}

impl ClearedRegistry {
    /// Creates the entry of an empty registry of a source without refs; for [implementations of
    /// `Manager`](crate::remote#reports-of-your-own).
    pub fn new(source: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            source: source.into(),
            name: name.into(),
            reference: None,
            bytes: 0,
        }
    }
}

impl Engine {
    pub(crate) fn plan_clear(&self, options: &ClearOptions) -> Result<ClearPlan> {
        let found = self.find_cached(options)?;
        let registries: Vec<ClearedRegistry> = found.into_iter().map(|(plan, _)| plan).collect();
        Ok(ClearPlan {
            bytes: registries.iter().map(|registry| registry.bytes).sum(),
            registries,
        })
    }

    pub(crate) fn clear(&self, options: &ClearOptions) -> Result<ClearPlan> {
        let mut cleared = ClearPlan::default();
        for (registry, cache) in self.find_cached(options)? {
            cache.remove()?;
            info!(
                source = registry.name,
                reference = registry.reference,
                "cleared"
            );
            cleared.bytes += registry.bytes;
            cleared.registries.push(registry);
        }
        self.sources.rescan();
        Ok(cleared)
    }

    fn find_cached(&self, options: &ClearOptions) -> Result<Vec<(ClearedRegistry, RegistryCache)>> {
        let named = options.source.as_deref();
        let key = named
            .map(|wanted| self.sources.named(wanted))
            .transpose()?
            .map(|source| source.identity().key.clone());
        let cache_dir = self.sources.cache_dir();
        let mut named: Vec<(String, String)> = self
            .sources
            .all()
            .iter()
            .map(|source| (source.identity().key.clone(), source.label()))
            .collect();
        // What is left of sources that the configuration has no more.
        for key in cached_sources(cache_dir) {
            if !named.iter().any(|(other, _)| *other == key) {
                named.push((key.clone(), key));
            }
        }
        named.retain(|(other, _)| key.as_ref().is_none_or(|key| other == key));
        let mut found = Vec::new();
        for (source, name) in named {
            let refs = cached_refs(cache_dir, &source).into_iter();
            let of_refs = refs.map(|reference| {
                let cache = RegistryCache::of_ref(cache_dir, &source, &reference);
                (Some(reference), cache)
            });
            let of_source = [
                RegistryCache::of_source(cache_dir, &source),
                RegistryCache::of_documents(cache_dir, &source),
            ];
            let of_source = of_source.map(|cache| (None, cache));
            for (reference, cache) in of_source.into_iter().chain(of_refs) {
                if options.reference.is_some() && reference != options.reference {
                    continue;
                }
                let Some(bytes) = cache.bytes() else { continue };
                let registry = ClearedRegistry {
                    source: source.clone(),
                    name: name.clone(),
                    reference,
                    bytes,
                };
                found.push((registry, cache));
            }
        }
        Ok(found)
    }
}
