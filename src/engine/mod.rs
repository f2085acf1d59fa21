//! The operations: between the sources, which say where bytes are, and the store, which keeps them.
//!
//! Each file holds one operation whole: its options, its plan, its report and its code.

pub(crate) mod clear;
pub(crate) mod documents;
pub(crate) mod local;
pub(crate) mod matching;
pub(crate) mod offer;
pub(crate) mod offers;
pub(crate) mod pull;
pub(crate) mod resolve;
pub(crate) mod search;
pub(crate) mod sync;
pub(crate) mod transfer;

use std::sync::Arc;

use crate::config::{SourceConfig, SourceKind};
use crate::error::Result;
use crate::http::Client;
use crate::mutex::Mutex;
use crate::progress::Progress;
use crate::settings::Settings;
use crate::store::Store;

use crate::source::cache::{RegistryCache, cached_refs, cached_sources};
use crate::source::repository::Cached;

use crate::source::zips::OpenedZips;
use pull::downloads::{Downloads, Slots};

/// What every operation works with.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) settings: Settings,
    pub(crate) store: Store,
    pub(crate) client: Client,
    pub(crate) progress: Arc<dyn Progress>,
    pub(crate) downloads: Downloads,
    pub(crate) zips: OpenedZips,
    pub(crate) slots: Slots,
    /// The configured sources, and the repositories that somebody synced without configuring them.
    sources: Mutex<Arc<[SourceConfig]>>,
}

impl Engine {
    /// Puts the parts together, and looks which registries are cached.
    pub(crate) fn new(
        settings: Settings,
        store: Store,
        client: Client,
        progress: Arc<dyn Progress>,
    ) -> Self {
        let engine = Self {
            slots: Slots::new(settings.max_pulls),
            settings,
            store,
            client,
            progress,
            downloads: Downloads::default(),
            zips: OpenedZips::default(),
            sources: Mutex::new(Arc::new([])),
        };
        engine.find_sources();
        engine
    }

    /// The sources: those configured first, in the order of keys.
    pub(crate) fn sources(&self) -> Arc<[SourceConfig]> {
        self.sources.lock().clone()
    }

    /// Finds the sources anew.
    fn find_sources(&self) {
        let mut sources = self.settings.sources.clone();
        for key in cached_sources(&self.settings.cache_dir) {
            if !sources
                .iter()
                .any(|source| source.key == key || source.name == key)
            {
                sources.extend(self.unconfigured(&key));
            }
        }
        *self.sources.lock() = sources.into();
    }

    /// The repository that a cached registry is of, when it was asked for by its own name.
    fn unconfigured(&self, key: &str) -> Option<SourceConfig> {
        let cache_dir = &self.settings.cache_dir;
        let heads = cached_refs(cache_dir, key)
            .into_iter()
            .filter_map(|reference| {
                let cache = RegistryCache::of_ref(cache_dir, key, &reference);
                let file = cache.open_index().ok()??;
                Some(Cached::open(file, &cache.index_path()).ok()??.head)
            });
        let place = self.settings.hosts.place(key).ok()?;
        let server = place.server.to_string();
        let mut origins = heads.map(|head| head.origin);
        origins.find(|origin| origin.fork && origin.repo == key && origin.server == server)?;
        Some(SourceConfig::new(key, key, place.into()))
    }

    /// The same client, offline when either the settings or the call say so.
    pub(crate) fn client(&self, offline: bool) -> Client {
        self.client.with_offline(offline)
    }

    /// The client for one source: the Hub may be offline by itself.
    pub(crate) fn client_of(&self, source: &SourceConfig, offline: bool) -> Client {
        let is_hub = source.kind() == SourceKind::Hub;
        self.client(offline || (is_hub && self.settings.hub_offline))
    }

    /// Everything that is installed.
    pub(crate) fn records(&self) -> Result<crate::store::record::Records> {
        self.store.records()
    }
}
