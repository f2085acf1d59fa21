//! Removing what no version names from a chunked registry.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::SystemTime;

use serde::Serialize;

use super::PublishOptions;
use crate::config::Config;
use crate::env::Environment;
use crate::error::Result;
use crate::http::transport::Transport;
use crate::progress::CancelToken;
use crate::project::home::Project;
use crate::publish::PublishTarget;
use crate::publish::chunked::ReadRegistry;
use crate::publish::prune::{self, PrunedRegistry, StoredObject};
use crate::setters::setters;

/// Over which network to prune a registry. What is not said is as for [`PublishOptions`].
///
/// ```
/// use modelrack::project::{Project, RegistryPruneOptions};
/// use modelrack::{CancelToken, Config, Environment};
///
/// # let folder = tempfile::tempdir()?;
/// # let registry = folder.path();
/// # std::fs::write(registry.join("models.json"), "{}")?;
/// let options = RegistryPruneOptions::default()
///     .config(Config::new("tool"))
///     .environment(Environment::of_process())
///     .offline(true)
///     .cancel(CancelToken::new());
/// assert!(Project::plan_prune(registry, &options)?.removed.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct RegistryPruneOptions {
    /// Who prunes: what it says about proxies and certificates counts for a bucket.
    pub config: Option<Config>,
    /// The environment, with the keys of an object store.
    pub environment: Option<Environment>,
    /// The transport of requests.
    pub transport: Option<Arc<dyn Transport>>,
    /// Whether to keep off the network, which only a folder gets by without.
    pub offline: bool,
    /// Cancels the operation.
    pub cancel: CancelToken,
}

setters!(RegistryPruneOptions {
    config: Some(Config),
    environment: Some(Environment),
    transport: Some(Arc<dyn Transport>),
    offline: bool,
    cancel: CancelToken,
});

/// What pruning a registry removes: what no version of its index names, and what killed publishers left.
///
/// ```
/// use modelrack::project::{Project, PublishOptions, RegistryPruneOptions};
/// use modelrack::ModelRef;
///
/// # let folder = tempfile::tempdir()?;
/// # let (weights, registry) = (folder.path().join("weights.bin"), folder.path().join("public"));
/// let model = ModelRef::new("speech", "tiny", "v1")?;
/// for state in ["first", "second"] {
///     std::fs::write(&weights, state)?;
///     Project::publish_files(&[weights.clone()], &model, &registry, &PublishOptions::default())?;
/// }
/// let options = RegistryPruneOptions::default();
/// let plan = Project::plan_prune(&registry, &options)?;
/// for object in &plan.removed {
///     println!("{}: {} bytes of {:?}", object.path, object.bytes, object.modified_at);
/// }
/// // The chunk and the manifest of the first state are too young.
/// assert_eq!((plan.versions, plan.kept, plan.young, plan.bytes_freed), (1, 2, 2, 0));
/// println!("{} bytes are kept, {} of them for a day", plan.bytes_kept + plan.bytes_young, plan.bytes_young);
///
/// let report = Project::prune(&plan, &options)?;
/// assert_eq!((report.removed.len(), report.bytes_freed, report.still_used.len()), (0, 0, 0));
/// assert_eq!(report.registry, plan.registry);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RegistryPrunePlan {
    /// Where the registry is.
    pub registry: PublishTarget,
    /// The number of versions in its index.
    pub versions: usize,
    /// What no version names, in the order of paths.
    pub removed: Vec<PrunedObject>,
    /// Its total size.
    pub bytes_freed: u64,
    /// The number of objects that are named.
    pub kept: usize,
    /// Their total size.
    pub bytes_kept: u64,
    /// The number of objects that no version names, and that are younger than a day: somebody may be publishing them.
    pub young: usize,
    /// Their total size.
    pub bytes_young: u64,
}

/// An object that pruning a registry removes; [`RegistryPrunePlan`] has an example.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PrunedObject {
    /// Its path in the registry, such as `data/<sha256>`.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// When it was written.
    #[serde(serialize_with = "crate::time::serialize")]
    pub modified_at: SystemTime,
}

/// What pruning a registry removed; [`RegistryPrunePlan`] has an example.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RegistryPruneReport {
    /// Where the registry is.
    pub registry: PublishTarget,
    /// What is gone, in the order of paths.
    pub removed: Vec<PrunedObject>,
    /// Its total size.
    pub bytes_freed: u64,
    /// The paths of what was planned, and is not gone by this: a version names it by now, or somebody else has removed it.
    pub still_used: Vec<String>,
}

impl Project {
    /// Returns what pruning a chunked registry in a folder or a bucket would remove. It need not belong to a project.
    /// [`RegistryPrunePlan`] has an example.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for a place of artifacts; [`Registry`](crate::ErrorKind::Registry)
    /// if there is no registry, or anything that its index names cannot be read; the storage and network errors.
    pub fn plan_prune(
        registry: impl Into<PublishTarget>,
        options: &RegistryPruneOptions,
    ) -> Result<RegistryPrunePlan> {
        let registry = registry.into();
        let place = options.open(&registry)?;
        let found = prune::find(&*place, options.reading(&*place, &registry))?;
        let removed = found.objects.into_iter().map(PrunedObject::new);
        let removed: Vec<PrunedObject> = removed.collect();
        Ok(RegistryPrunePlan {
            bytes_freed: removed.iter().map(|object| object.bytes).sum(),
            removed,
            versions: found.versions,
            kept: found.kept.0,
            bytes_kept: found.kept.1,
            young: found.young.0,
            bytes_young: found.young.1,
            registry,
        })
    }

    /// Removes what a plan lists, unless a version names it by now. Who publishes meanwhile loses nothing: either of the two
    /// stops. [`RegistryPrunePlan`] has an example.
    ///
    /// # Errors
    /// Those of [`Project::plan_prune`]; [`Registry`](crate::ErrorKind::Registry) if somebody publishes in the bucket.
    pub fn prune(
        plan: &RegistryPrunePlan,
        options: &RegistryPruneOptions,
    ) -> Result<RegistryPruneReport> {
        let place = options.open(&plan.registry)?;
        let paths: Vec<&str> = plan.removed.iter().map(|it| it.path.as_str()).collect();
        let gone = prune::remove(&*place, &paths, options.reading(&*place, &plan.registry))?;
        let gone: BTreeSet<&str> = gone.into_iter().collect();
        let is_gone = |object: &&PrunedObject| gone.contains(object.path.as_str());
        let (removed, still_used): (Vec<_>, Vec<_>) = plan.removed.iter().partition(is_gone);
        Ok(RegistryPruneReport {
            registry: plan.registry.clone(),
            bytes_freed: removed.iter().map(|object| object.bytes).sum(),
            removed: removed.into_iter().cloned().collect(),
            still_used: still_used.into_iter().map(|it| it.path.clone()).collect(),
        })
    }
}

impl RegistryPruneOptions {
    fn open(&self, registry: &PublishTarget) -> Result<Box<dyn PrunedRegistry>> {
        let options = PublishOptions {
            config: self.config.clone(),
            environment: self.environment.clone(),
            transport: self.transport.clone(),
            offline: self.offline,
            cancel: self.cancel.clone(),
            ..PublishOptions::default()
        };
        registry.open_to_prune(&|| options.network())
    }

    fn reading<'a>(
        &'a self,
        place: &'a dyn PrunedRegistry,
        location: &'a PublishTarget,
    ) -> ReadRegistry<'a> {
        ReadRegistry {
            registry: place,
            location,
            cancel: &self.cancel,
        }
    }
}

impl PrunedObject {
    fn new(object: StoredObject) -> Self {
        Self {
            path: object.path,
            bytes: object.size_bytes,
            modified_at: object.modified_at,
        }
    }
}
