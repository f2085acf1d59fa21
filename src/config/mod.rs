//! What an app says about its models, and what its users change of it.
//!
//! Layers, later over earlier: [`Config`] with its bootstrap TOML, compiled into the app → the user's overlay file → the
//! environment → options of a call. A source of the overlay replaces the one with the same key whole; one whose `refs`
//! are an empty list is turned off.
//!
//! ```toml
//! [sources.weights]                      # chunked: anything that serves static files
//! url = "https://models.example.org"
//! mirrors = ["https://mirror.example.net/models"]
//! public_key = "RWQ…"                    # minisign: refuse an index that is not signed with it
//!
//! [sources.modflow6-testmodels]          # repository: GitHub, or a server that speaks like it
//! repo = "MODFLOW-ORG/modflow6-testmodels"
//! name = "mf6/test"                      # what its models' names begin with; default: the key
//! refs = ["develop", "master"]           # branches, tags, commits; without it, the default branch
//! registry_path = ".registry"            # where models.toml lies when it is under version control
//! asset = "mf6examples.zip"              # the release's zip, where the registry does not say
//! server = "https://git.example.com"     # the four that follow from one another, each with its default
//! api = "https://git.example.com/api/v3"
//! raw = "https://git.example.com/{repo}/raw/{ref}/{path}"
//! archive = "https://git.example.com/{repo}/archive/{ref}.zip"
//!
//! [sources.hf]                           # hub: the Hugging Face Hub, or a mirror of it
//! hub = "https://huggingface.co"
//! ```
//!
//! Exactly one of `url`, `repo` and `hub` says which kind a source is of.

use std::path::PathBuf;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::secret::Secret;

pub use crate::env::Environment;
pub use crate::platform::System;

/// What an app says about its models. Building one reads nothing: neither files nor the environment.
#[derive(Debug, Clone)]
pub struct Config {
    pub(crate) app: String,
    // A URL may carry a password.
    pub(crate) bootstrap: Option<Secret>,
    pub(crate) registry_url: Option<Secret>,
    pub(crate) data_dir: Option<PathBuf>,
    pub(crate) cache_dir: Option<PathBuf>,
    pub(crate) config_file: Option<PathBuf>,
    pub(crate) offline: bool,
    pub(crate) auto_sync: bool,
    pub(crate) concurrency: Option<usize>,
    pub(crate) max_pulls: Option<usize>,
    pub(crate) http: HttpConfig,
}

impl Config {
    /// Starts a configuration for an app. Its name isolates its store, its cache and its environment variables.
    #[must_use]
    pub fn new(app: impl Into<String>) -> Self {
        Self {
            app: app.into(),
            bootstrap: None,
            registry_url: None,
            data_dir: None,
            cache_dir: None,
            config_file: None,
            offline: false,
            auto_sync: false,
            concurrency: None,
            max_pulls: None,
            http: HttpConfig::default(),
        }
    }

    /// Sets the sources compiled into the app, as TOML; see the [module documentation](self).
    #[must_use]
    pub fn bootstrap(mut self, toml: impl Into<String>) -> Self {
        self.bootstrap = Some(Secret::new(toml));
        self
    }

    /// Sets the URL of the one chunked source without a name. `<APP>_MODELS_REGISTRY_URL` goes before it.
    #[must_use]
    pub fn registry_url(mut self, url: impl Into<String>) -> Self {
        self.registry_url = Some(Secret::new(url));
        self
    }

    /// Sets the folder of the store. Default: `<data dir>/<app>/models`; `<APP>_MODELS_DIR` goes before both.
    #[must_use]
    pub fn data_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.data_dir = Some(path.into());
        self
    }

    /// Sets the folder for cached registries. Default: `<cache dir>/<app>/models`; `<APP>_MODELS_CACHE_DIR` goes before.
    #[must_use]
    pub fn cache_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.cache_dir = Some(path.into());
        self
    }

    /// Sets the user's overlay file. Default: `<config dir>/<app>/models.toml`; `<APP>_MODELS_CONFIG` goes before both.
    #[must_use]
    pub fn config_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.config_file = Some(path.into());
        self
    }

    /// Opens no socket. Default: off, or `<APP>_MODELS_OFFLINE`.
    #[must_use]
    pub fn offline(mut self, offline: bool) -> Self {
        self.offline = offline;
        self
    }

    /// Syncs a registry that is not cached yet when a lookup needs it. Default: off, or `<APP>_MODELS_AUTO_SYNC`.
    #[must_use]
    pub fn auto_sync(mut self, auto_sync: bool) -> Self {
        self.auto_sync = auto_sync;
        self
    }

    /// Sets how many parts a pull fetches at once, from 1 to 16. Default: 4, more for many small parts.
    #[must_use]
    pub fn concurrency(mut self, workers: usize) -> Self {
        self.concurrency = Some(workers);
        self
    }

    /// Sets how many models this manager pulls at once, from 1 on; others wait. Default: as many as are asked for.
    #[must_use]
    pub fn max_pulls(mut self, pulls: usize) -> Self {
        self.max_pulls = Some(pulls);
        self
    }

    /// Sets time-outs, retries, proxy and certificates of the built-in transport.
    #[must_use]
    pub fn http(mut self, http: HttpConfig) -> Self {
        self.http = http;
        self
    }

    /// Returns the app's name.
    #[must_use]
    pub fn app(&self) -> &str {
        &self.app
    }

    /// Returns the name of one of the app's environment variables: `RACK_MODELS_DIR` for app `rack` and `DIR`.
    pub(crate) fn variable(&self, suffix: &str) -> String {
        let app: String = self
            .app
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() {
                    c.to_ascii_uppercase()
                } else {
                    '_'
                }
            })
            .collect();
        format!("{app}_MODELS_{suffix}")
    }
}

/// How the built-in transport reaches servers. Proxy and certificates left out come from the environment.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HttpConfig {
    /// Longest time for a connection with its TLS handshake. Default: 30 s.
    pub connect_timeout: Duration,
    /// Longest time without a byte, before or in a body. Default: 30 s. A slow download that moves never times out.
    pub stall_timeout: Duration,
    /// What is tried again, and when.
    pub retry: RetryPolicy,
    /// The proxy for https. Default: as `HTTPS_PROXY` or `ALL_PROXY`, and `NO_PROXY`, say.
    pub https_proxy: Option<ProxyConfig>,
    /// The proxy for plain http. Default: as `HTTP_PROXY` or `ALL_PROXY`, and `NO_PROXY`, say.
    pub http_proxy: Option<ProxyConfig>,
    /// PEM files of the authorities to trust instead of the system's. Default: `SSL_CERT_FILE` and `SSL_CERT_DIR`, else
    /// the system's store.
    pub certificates: Vec<PathBuf>,
    /// What the server sees as `User-Agent`. Default: `modelrack/<version>`.
    pub user_agent: String,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(30),
            stall_timeout: Duration::from_secs(30),
            retry: RetryPolicy::default(),
            https_proxy: None,
            http_proxy: None,
            certificates: Vec::new(),
            user_agent: concat!("modelrack/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// A proxy, with or without credentials in its URL: `http`, `https`, `socks4`, `socks4a` or `socks5`.
#[derive(Debug, Clone)]
pub struct ProxyConfig {
    pub(crate) url: Secret,
    pub(crate) no_proxy: Vec<String>,
}

impl ProxyConfig {
    /// Uses the proxy for every host but those listed: a name, a name with a leading dot for all below it, or `*`.
    pub fn new<T: Into<String>>(
        url: impl Into<String>,
        no_proxy: impl IntoIterator<Item = T>,
    ) -> Self {
        Self {
            url: Secret::new(url),
            no_proxy: no_proxy.into_iter().map(Into::into).collect(),
        }
    }
}

/// What is tried again, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// How often a request is tried again after the first time, at each mirror. Default: 3.
    pub retries: u32,
    /// The wait before the first retry; it doubles each time, with jitter. Default: 1 s.
    pub base: Duration,
    /// The longest wait that a `Retry-After` of a server is followed for. Default: 60 s.
    pub longest_wait: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            retries: 3,
            base: Duration::from_secs(1),
            longest_wait: Duration::from_secs(60),
        }
    }
}

/// Checks a number of workers.
pub(crate) fn check_concurrency(workers: usize) -> Result<()> {
    if (1..=16).contains(&workers) {
        Ok(())
    } else {
        Err(Error::argument(format!(
            "the concurrency is {workers}, but must be from 1 to 16"
        )))
    }
}
