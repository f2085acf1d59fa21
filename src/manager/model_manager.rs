//! The [`Manager`] of one app on this machine.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use tracing::warn;

use crate::config::Config;
use crate::engine::Engine;
use crate::engine::lookup::list::mark_installed;
use crate::env::Environment;
use crate::error::Result;
use crate::http::transport::Transport;
use crate::manager::{
    Annotation, CancelToken, ClearOptions, ClearPlan, CopyOptions, CopyReport, DiscoverOptions,
    DiscoveredRegistry, Download, Example, InstallOptions, InstallReport, InstalledDetail,
    InstalledModel, ListOptions, Listing, LockOptions, LockReport, LockedOptions, Manager,
    MatchingReport, MirrorOptions, MirrorReport, ModelAddress, ModelName, ModelPattern,
    PruneOptions, PrunePlan, PruneReport, PublishTarget, PullOptions, PullPlan, PullReport,
    RegistryLocation, RegistryReport, RemoteDetail, RemoteListing, RemoteModel, RemoteOptions,
    RemoveReport, SearchOptions, SearchReport, SourceInfo, SyncOptions, SyncReport, UpdateOptions,
    UpdateReport, UsageOptions, UsageReport, VerifyOptions, VerifyRegistryOptions, VerifyReport,
};
use crate::mutex::Mutex;
use crate::progress::{Progress, Silent};
use crate::settings::Settings;
use crate::source::Sources;
use crate::store::Store;
use crate::store::durability::Durability;
use crate::store::layout::Layout;

/// The models of one app on this machine.
///
/// Creating one reads nothing. The first call reads the environment and the user's file; if that fails, the next call tries
/// again.
///
/// ```
/// use modelrack::{Config, ModelManager};
///
/// let manager = ModelManager::new(Config::new("tool").registry_url("https://models.example.org"));
/// ```
pub struct ModelManager {
    setup: ModelManagerBuilder,
    engine: OnceLock<Engine>,
    opening: Mutex<()>,
}

/// Builds a [`ModelManager`].
///
/// ```
/// use std::sync::Arc;
///
/// use modelrack::progress::Silent;
/// use modelrack::{Config, Environment, ModelManager};
///
/// let manager = ModelManager::builder(Config::new("tool").registry_url("https://models.example.org"))
///     .environment(Environment::of_process().variable("TOOL_MODELS_OFFLINE", "1"))
///     .progress(Arc::new(Silent))
///     .build();
/// ```
///
/// The [`transport`](crate::transport) module has an example with a transport.
#[derive(Debug)]
pub struct ModelManagerBuilder {
    config: Config,
    environment: Option<Environment>,
    transport: Option<Arc<dyn Transport>>,
    progress: Arc<dyn Progress>,
}

impl ModelManagerBuilder {
    /// Sets the environment to read. Default: that of the process. [`ModelManagerBuilder`] has an example.
    #[must_use]
    pub fn environment(mut self, environment: Environment) -> Self {
        self.environment = Some(environment);
        self
    }

    /// Sets the transport of all requests, except those for `file://` URLs. Default: the built-in one. The
    /// [`transport`](crate::transport) module has an example.
    #[must_use]
    pub fn transport(mut self, transport: Arc<dyn Transport>) -> Self {
        self.transport = Some(transport);
        self
    }

    /// Sets the handler of the events of all pulls. Default: [`Silent`].
    #[must_use]
    pub fn progress(mut self, progress: Arc<dyn Progress>) -> Self {
        self.progress = progress;
        self
    }

    /// Creates the manager; [`ModelManagerBuilder`] has an example.
    #[must_use]
    pub fn build(self) -> ModelManager {
        ModelManager {
            setup: self,
            engine: OnceLock::new(),
            opening: Mutex::default(),
        }
    }
}

impl ModelManager {
    /// Creates the manager of an app; [`ModelManager`] has an example.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self::builder(config).build()
    }

    /// Returns a builder of the manager of an app; [`ModelManagerBuilder`] has an example.
    #[must_use]
    pub fn builder(config: Config) -> ModelManagerBuilder {
        ModelManagerBuilder {
            config,
            environment: None,
            transport: None,
            progress: Arc::new(Silent),
        }
    }

    fn engine(&self) -> Result<&Engine> {
        if let Some(engine) = self.engine.get() {
            return Ok(engine);
        }
        let _opening = self.opening.lock();
        if let Some(engine) = self.engine.get() {
            return Ok(engine);
        }
        let setup = &self.setup;
        let environment = setup.environment.clone();
        let environment = environment.unwrap_or_else(Environment::of_process);
        let settings = Settings::read(&setup.config, &environment)?;
        let sources = Sources::open(&settings, &environment, setup.transport.clone())?;
        let durability = Durability {
            boot: environment.boot_id().map(str::to_owned),
            always_syncs: settings.durable,
        };
        let layout = Layout::new(settings.store_dir.clone(), &settings.app);
        let store = Store::new(layout, durability);
        let engine = Engine::new(settings, store, sources, setup.progress.clone());
        Ok(self.engine.get_or_init(|| engine))
    }
}

impl fmt::Debug for ModelManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelManager")
            .field("config", &self.setup.config)
            .finish_non_exhaustive()
    }
}

impl Manager for ModelManager {
    fn list(&self, options: &ListOptions) -> Result<Listing> {
        self.engine()?.list(options)
    }

    fn list_remote(&self, options: &RemoteOptions) -> Result<RemoteListing> {
        self.engine()?.list_remote(options)
    }

    fn examples(&self, options: &RemoteOptions) -> Result<Vec<Example>> {
        self.engine()?.examples(options)
    }

    fn get(&self, model: &ModelAddress) -> Result<InstalledDetail> {
        self.engine()?.get(model)
    }

    fn get_remote(&self, model: &ModelAddress, options: &RemoteOptions) -> Result<RemoteModel> {
        let engine = self.engine()?;
        let call = engine.call(options.offline, &options.cancel);
        Ok(engine.find_remote(&engine.reading(model)?, &call)?.remote)
    }

    fn remote_detail(&self, model: &ModelAddress, options: &RemoteOptions) -> Result<RemoteDetail> {
        let engine = self.engine()?;
        let call = engine.call(options.offline, &options.cancel);
        let mut offer = engine.find_remote(&engine.reading(model)?, &call)?;
        let records = engine.records()?;
        let manifest = engine.listed_manifest(&records, &offer, &call)?;
        if let Err(error) = engine.refuse_faults(&offer, &manifest) {
            warn!("{error}");
        }
        mark_installed(&records, std::slice::from_mut(&mut offer.remote));
        Ok(RemoteDetail::of(offer.remote, &manifest))
    }

    fn plan_pull(&self, model: &ModelAddress, options: &PullOptions) -> Result<PullPlan> {
        self.engine()?.plan_pull(model, options)
    }

    fn execute(&self, plan: &PullPlan) -> Result<PullReport> {
        self.engine()?.execute(plan)
    }

    fn pull(&self, model: &ModelAddress, options: &PullOptions) -> Result<PullReport> {
        self.engine()?.pull(model, options)
    }

    fn plan_matching(&self, names: &ModelPattern, options: &PullOptions) -> Result<Vec<PullPlan>> {
        self.engine()?.plan_matching(names, options)
    }

    fn execute_all(&self, plans: &[PullPlan]) -> Result<MatchingReport> {
        self.engine()?.execute_all(plans)
    }

    fn pull_matching(&self, names: &ModelPattern, options: &PullOptions) -> Result<MatchingReport> {
        self.engine()?.pull_matching(names, options)
    }

    fn annotate(&self, model: &ModelAddress, annotation: &Annotation) -> Result<InstalledModel> {
        self.engine()?.annotate(model, annotation)
    }

    fn install(&self, model: &ModelAddress, options: &InstallOptions) -> Result<InstallReport> {
        self.engine()?.install(model, options)
    }

    fn remove(&self, model: &ModelAddress, cancel: &CancelToken) -> Result<RemoveReport> {
        self.engine()?.remove(model, cancel)
    }

    fn remove_all(&self, name: &ModelName, cancel: &CancelToken) -> Result<RemoveReport> {
        self.engine()?.remove_all(&ModelAddress::from(name), cancel)
    }

    fn path(&self, model: &ModelAddress) -> Result<PathBuf> {
        self.engine()?.path(model)
    }

    fn check_update(&self, options: &UpdateOptions) -> Result<UpdateReport> {
        self.engine()?.update(options, false)
    }

    fn update(&self, options: &UpdateOptions) -> Result<UpdateReport> {
        self.engine()?.update(options, true)
    }

    fn lock(&self, options: &LockOptions) -> Result<LockReport> {
        self.engine()?.lock(options, true)
    }

    fn check_lock(&self, options: &LockOptions) -> Result<LockReport> {
        self.engine()?.lock(options, false)
    }

    fn plan_locked(&self, options: &LockedOptions) -> Result<Vec<PullPlan>> {
        self.engine()?.plan_locked(options)
    }

    fn mirror(&self, to: &PublishTarget, options: &MirrorOptions) -> Result<MirrorReport> {
        self.engine()?.mirror(to, options, true)
    }

    fn check_mirror(&self, to: &PublishTarget, options: &MirrorOptions) -> Result<MirrorReport> {
        self.engine()?.mirror(to, options, false)
    }

    fn verify_registry(
        &self,
        registry: &RegistryLocation,
        options: &VerifyRegistryOptions,
    ) -> Result<RegistryReport> {
        self.engine()?.verify_registry(registry, options)
    }

    fn verify(&self, options: &VerifyOptions) -> Result<VerifyReport> {
        self.engine()?.verify(options)
    }

    fn copy(&self, model: &ModelAddress, to: &Path, options: &CopyOptions) -> Result<CopyReport> {
        self.engine()?.copy(model, to, options)
    }

    fn search(&self, query: &str, options: &SearchOptions) -> Result<SearchReport> {
        self.engine()?.search(query, options)
    }

    fn disk_usage(&self, options: &UsageOptions) -> Result<UsageReport> {
        self.engine()?.disk_usage(options)
    }

    fn plan_prune(&self, options: &PruneOptions) -> Result<PrunePlan> {
        self.engine()?.plan_prune(options)
    }

    fn prune(&self, plan: &PrunePlan) -> Result<PruneReport> {
        self.engine()?.prune(plan)
    }

    fn downloads(&self) -> Vec<Download> {
        let engine = self.engine.get();
        engine.map_or_else(Vec::new, |engine| engine.downloads.list())
    }

    fn cancel(&self, model: &ModelAddress) -> usize {
        let Some(engine) = self.engine.get() else {
            return 0;
        };
        let reading = engine.reading(model);
        reading.map_or(0, |reading| engine.downloads.cancel(&reading))
    }

    fn sources(&self) -> Result<Vec<SourceInfo>> {
        let sources = self.engine()?.sources.all();
        Ok(sources.iter().map(|source| source.info()).collect())
    }

    fn sync(&self, options: &SyncOptions) -> Result<SyncReport> {
        self.engine()?.sync(options)
    }

    fn discover(&self, options: &DiscoverOptions) -> Result<DiscoveredRegistry> {
        self.engine()?.discover(options)
    }

    fn plan_clear(&self, options: &ClearOptions) -> Result<ClearPlan> {
        self.engine()?.plan_clear(options)
    }

    fn clear(&self, options: &ClearOptions) -> Result<ClearPlan> {
        self.engine()?.clear(options)
    }
}
