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
//! ```

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::secret::Secret;
use crate::url::Url;

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
    pub(crate) concurrency: Option<usize>,
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
            concurrency: None,
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

    /// Sets how many parts a pull fetches at once, from 1 to 16. Default: 4, more for many small parts.
    #[must_use]
    pub fn concurrency(mut self, workers: usize) -> Self {
        self.concurrency = Some(workers);
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

/// The kinds of source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SourceKind {
    /// A static, content-addressed registry.
    Chunked,
    /// A Git-hosted repository that publishes a `models.toml`.
    Repository,
    /// The Hugging Face Hub or a mirror of it.
    Hub,
}

impl SourceKind {
    /// Returns the word that configuration and machine output use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Chunked => "chunked",
            Self::Repository => "repository",
            Self::Hub => "hub",
        }
    }
}

impl fmt::Display for SourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One source after all layers: where it is and what its models' names begin with.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SourceConfig {
    /// The key in `[sources]`; empty for the source given by a plain registry URL.
    pub key: String,
    /// What the names of its models begin with; empty for none.
    pub name: String,
    /// What it takes to reach it.
    pub place: SourcePlace,
    /// Who said so: a file's path, or a variable's name.
    pub(crate) origin: String,
}

impl SourceConfig {
    /// Describes a source.
    pub fn new(key: impl Into<String>, name: impl Into<String>, place: SourcePlace) -> Self {
        Self {
            key: key.into(),
            name: name.into(),
            place,
            origin: String::new(),
        }
    }
}

/// What it takes to reach a source, by kind.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum SourcePlace {
    /// A chunked registry and its mirrors, the first before the second.
    Chunked {
        /// The registry's folder and those of its mirrors; never empty.
        urls: Vec<Url>,
        /// The minisign key that its index must be signed with.
        public_key: Option<String>,
    },
    /// A Git-hosted repository.
    Repository {
        /// `OWNER/NAME`.
        repo: String,
        /// The refs to sync; never empty.
        refs: Vec<String>,
    },
    /// The Hub.
    Hub {
        /// Its endpoint.
        endpoint: Url,
    },
}

impl SourceConfig {
    /// Returns the kind.
    #[must_use]
    pub fn kind(&self) -> SourceKind {
        match self.place {
            SourcePlace::Chunked { .. } => SourceKind::Chunked,
            SourcePlace::Repository { .. } => SourceKind::Repository,
            SourcePlace::Hub { .. } => SourceKind::Hub,
        }
    }

    /// Returns where it is, and then its mirrors, without credentials; never empty.
    #[must_use]
    pub fn locations(&self) -> Vec<String> {
        match &self.place {
            SourcePlace::Chunked { urls, .. } => urls.iter().map(Url::to_string).collect(),
            SourcePlace::Repository { repo, .. } => vec![repo.clone()],
            SourcePlace::Hub { endpoint } => vec![endpoint.to_string()],
        }
    }

    /// Returns what people call it: its name, its key, or its URL.
    #[must_use]
    pub fn label(&self) -> String {
        match (&self.name, &self.place) {
            (name, _) if !name.is_empty() => name.clone(),
            (_, SourcePlace::Chunked { urls, .. }) => {
                urls.first().map(Url::to_string).unwrap_or_default()
            }
            _ => self.key.clone(),
        }
    }
}

/// Checks a number of workers.
pub(crate) fn check_concurrency(workers: usize) -> Result<()> {
    if (1..=16).contains(&workers) {
        Ok(())
    } else {
        Err(Error::argument(format!(
            "the concurrency is {workers}, and may be from 1 to 16"
        )))
    }
}
