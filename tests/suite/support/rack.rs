//! A store, a registry and a server between them, in a folder that goes with the test.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use modelrack::config::{HttpConfig, RetryPolicy};
use modelrack::{
    Config, Environment, ListOptions, Manager, ModelManager, ModelRef, Progress, PullOptions,
    PullReport, Result,
};
use serde_json::Value;
use tempfile::TempDir;

use super::disk::{files_below, names_in};
use super::platform::SYSTEM;
use super::registry::{Publication, Published, publish};
use super::server::{Rule, Server};
use super::{address, bytes};

/// The app of every test.
pub(crate) const APP: &str = "rack";
/// Small, so that small models have many.
pub(crate) const CHUNK: usize = 1024;

/// One machine and one registry.
pub(crate) struct Rack {
    // Before the folder that it serves.
    pub(crate) server: Server,
    pub(crate) temp: TempDir,
}

impl Rack {
    /// An empty store and a server on an empty registry.
    pub(crate) fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let registry = temp.path().join("registry");
        fs::create_dir(&registry).unwrap();
        let server = Server::start().folder(registry);
        Self { server, temp }
    }

    /// With `g/m v1`: `model.bin` of ten chunks, and two small files that share one.
    pub(crate) fn with_model() -> Self {
        let rack = Self::new();
        rack.publish("g/m v1", &sample());
        rack.server.reset_counts();
        rack
    }

    pub(crate) fn registry(&self) -> PathBuf {
        self.temp.path().join("registry")
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.temp.path().join("store")
    }

    pub(crate) fn index_cache(&self) -> PathBuf {
        self.temp.path().join("index-cache")
    }

    /// Publishes in chunks of [`CHUNK`] bytes.
    pub(crate) fn publish<B: AsRef<[u8]>>(&self, model: &str, files: &[(&str, B)]) -> Published {
        self.publish_as(model, files, &Publication::default())
    }

    pub(crate) fn publish_as<B: AsRef<[u8]>>(
        &self,
        model: &str,
        files: &[(&str, B)],
        how: &Publication,
    ) -> Published {
        let files = files.iter().map(|(name, bytes)| (*name, bytes.as_ref()));
        let files: Vec<_> = files.collect();
        publish(&self.registry(), &model_ref(model), &files, how)
    }

    /// A configuration for this store and this server, which waits for milliseconds only.
    pub(crate) fn config(&self) -> Config {
        self.config_of(quick_http())
    }

    pub(crate) fn config_of(&self, http: HttpConfig) -> Config {
        self.bare_config()
            .http(http)
            .registry_url(self.server.url())
    }

    /// A configuration with this store and no source.
    pub(crate) fn bare_config(&self) -> Config {
        Config::new(APP)
            .data_dir(self.store())
            .cache_dir(self.index_cache())
            .http(quick_http())
    }

    pub(crate) fn environment(&self) -> Environment {
        Environment::empty(SYSTEM, self.temp.path().join("home"))
    }

    pub(crate) fn manager(&self) -> ModelManager {
        self.manager_of(self.config())
    }

    pub(crate) fn manager_of(&self, config: Config) -> ModelManager {
        ModelManager::builder(config)
            .environment(self.environment())
            .build()
    }

    pub(crate) fn manager_with(&self, progress: Arc<dyn Progress>) -> ModelManager {
        ModelManager::builder(self.config())
            .environment(self.environment())
            .progress(progress)
            .build()
    }

    /// Pulls with a manager of its own.
    pub(crate) fn pull(&self, model: &str) -> Result<PullReport> {
        self.manager()
            .pull(&address(model), &PullOptions::default())
    }

    /// The folder of an installed version.
    pub(crate) fn dir_of(&self, model: &str) -> PathBuf {
        let model = model_ref(model);
        let group = model.group().split('/').filter(|part| !part.is_empty());
        let parts = group.chain([model.model(), model.version()]);
        parts.fold(self.store(), |path, part| path.join(part))
    }

    /// The files of an installed version, without the store's own.
    pub(crate) fn files_of(&self, model: &str) -> Vec<(String, Vec<u8>)> {
        let own = format!(".{APP}/");
        let files = files_below(&self.dir_of(model)).into_iter();
        files.filter(|(name, _)| !name.starts_with(&own)).collect()
    }

    /// What lies in the store's cache folder.
    pub(crate) fn cache(&self) -> Vec<String> {
        names_in(&self.store().join("cache"))
    }

    /// The folder of the one unfinished pull.
    pub(crate) fn partial(&self) -> Option<PathBuf> {
        let mut cache = self.cache().into_iter();
        let name = cache.rfind(|name| !name.ends_with(".lock"))?;
        Some(self.store().join("cache").join(name))
    }

    /// `registry.json` of the store.
    pub(crate) fn record(&self) -> Value {
        serde_json::from_slice(&fs::read(self.store().join("registry.json")).unwrap()).unwrap()
    }

    /// `models.json` of the registry.
    pub(crate) fn index(&self) -> Value {
        serde_json::from_slice(&fs::read(self.registry().join("models.json")).unwrap()).unwrap()
    }

    /// The names of installed versions, and those of partials.
    pub(crate) fn listed(&self) -> (Vec<String>, Vec<String>) {
        let listing = self.manager().list(&ListOptions::default()).unwrap();
        let models = listing.models.iter().map(|found| found.model.to_string());
        let partials = listing.partials.iter().map(|found| found.model.to_string());
        (models.collect(), partials.collect())
    }

    /// Paths of the requests for chunks and manifests since the last reset, in order of arrival.
    pub(crate) fn data_requests(&self) -> Vec<String> {
        let paths = self
            .server
            .requests()
            .into_iter()
            .map(|request| request.path);
        paths.filter(|path| path.starts_with("/data/")).collect()
    }

    /// How many requests for chunks there were since the last reset: for data, less those of `manifests`.
    pub(crate) fn chunk_requests(&self, reports: &[&Published]) -> Vec<String> {
        let manifests: Vec<String> = reports.iter().map(|report| manifest_path(report)).collect();
        let mut requests = self.data_requests();
        requests.retain(|path| !manifests.contains(path));
        requests
    }

    /// Asserts that a version's files are just these.
    #[track_caller]
    pub(crate) fn assert_files<B: AsRef<[u8]>>(&self, model: &str, files: &[(&str, B)]) {
        let there = self.files_of(model);
        let mut expected: Vec<(&str, &[u8])> = files
            .iter()
            .map(|(name, bytes)| (*name, bytes.as_ref()))
            .collect();
        expected.sort_unstable();
        let there: Vec<(&str, &[u8])> = there
            .iter()
            .map(|(name, bytes)| (&**name, &**bytes))
            .collect();
        let sizes = |files: &[(&str, &[u8])]| -> Vec<String> {
            files
                .iter()
                .map(|(name, bytes)| format!("{name}: {}", bytes.len()))
                .collect()
        };
        assert_eq!(sizes(&there), sizes(&expected));
        assert!(there == expected, "a file of {model} has other bytes");
    }

    /// Asserts that the sample is installed whole, and that nothing is left of pulling it.
    #[track_caller]
    pub(crate) fn assert_sample_installed(&self) {
        self.assert_files("g/m v1", &sample());
        assert_eq!(self.listed(), (vec!["g/m v1".to_owned()], vec![]));
        assert_eq!(self.cache(), Vec::<String>::new());
    }
}

/// The files of `g/m v1`.
pub(crate) fn sample() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("config.json", b"{\"layers\": 2}".to_vec()),
        ("labels.txt", b"zero\none\n".to_vec()),
        ("weights/model.bin", bytes(10 * CHUNK - 100, 1)),
    ]
}

/// Retries after a millisecond, follows `Retry-After` for 20 ms at most, and takes a second without a byte for a stall.
pub(crate) fn quick_http() -> HttpConfig {
    let mut retry = RetryPolicy::default();
    retry.base = Duration::from_millis(1);
    retry.longest_wait = Duration::from_millis(20);
    let mut http = HttpConfig::default();
    http.retry = retry;
    http.stall_timeout = Duration::from_secs(20);
    http
}

pub(crate) fn model_ref(text: &str) -> ModelRef {
    let (name, version) = text.split_once(' ').unwrap();
    let (group, model) = name.rsplit_once('/').unwrap_or(("", name));
    ModelRef::new(group, model, version).unwrap()
}

/// Where a published manifest is served.
pub(crate) fn manifest_path(report: &Published) -> String {
    format!("/data/{}", report.manifest_digest)
}

/// Every chunk: what is served below `/data/` and is no manifest of these.
pub(crate) fn chunks_but(reports: &[&Published]) -> Rule {
    let manifests: Vec<String> = reports.iter().map(|report| manifest_path(report)).collect();
    Rule::when(move |request| {
        request.path.starts_with("/data/") && !manifests.contains(&request.path)
    })
}
