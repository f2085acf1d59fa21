//! The configuration of an app, and how its users change it.
//!
//! | name | what it is |
//! |---|---|
//! | [`Config`] | what an app says about its models |
//! | [`Environment`], [`System`] | the variables and the home folder that are read, as a value |
//! | [`HttpConfig`], [`ProxyConfig`], [`RetryPolicy`] | how the built-in transport reaches servers |
//! | [`RateLimit`] | how many bytes a second may be downloaded |
//!
//! # Layers
//!
//! Later layers override earlier ones:
//!
//! 1. [`Config`], with the sources that are compiled into the app: [`Config::bootstrap`].
//! 2. The user's file, `<config dir>/<app>/models.toml`. A source in it replaces the one with the same key as a whole; an
//!    empty `refs` list turns the source off.
//! 3. The environment; see [below](self#variables).
//! 4. The options of a call.
//!
//! Nothing is read when a [`Config`] or a manager is created; the first call of a manager reads the file and the
//! environment, once.
//!
//! # The file
//!
//! ```toml
//! [sources.weights]                      # chunked: static files, on any server or disk
//! url = "https://models.example.org"
//! mirrors = ["https://mirror.example.net/models"]
//! public_key = "RWQ…"                    # minisign: refuse an index without a valid signature
//!
//! [sources.private]                      # chunked, in a bucket of an object store
//! url = "s3://models-bucket/prefix"      # the next two default to those of the AWS tools
//! region = "eu-west-3"
//! endpoint = "https://s3.example.org"    # a store other than AWS
//! anonymous = false                      # true: never sign requests, even if there are keys
//!
//! [sources.modflow6-testmodels]          # repository: GitHub, or a server with a compatible API
//! repo = "MODFLOW-ORG/modflow6-testmodels"
//! name = "mf6/test"                      # the prefix of the models' names; default: the key
//! refs = ["develop", "master"]           # branches, tags and commits; default: the default branch
//! registry_path = ".registry"            # the folder of models.toml under version control
//! asset = "mf6examples.zip"              # the zip of a release, if the registry does not name it
//! server = "https://git.example.com"     # the next three follow from it, unless they are set
//! api = "https://git.example.com/api/v3"
//! raw = "https://git.example.com/{repo}/raw/{ref}/{path}"
//! archive = "https://git.example.com/{repo}/archive/{ref}.zip"
//!
//! [sources.hf]                           # hub: the Hugging Face Hub, or a mirror of it
//! hub = "https://huggingface.co"
//!
//! [sources.ghcr]                         # oci: a registry that speaks the OCI distribution specification
//! oci = "https://ghcr.io/acme"           # with or without the beginning of the names of its repositories
//!                                        # or an OCI layout: "oci-layout:///media/stick/llama"
//! insecure = false                       # whether plain http may be used to another machine
//! ```
//!
//! Exactly one of `url`, `repo`, `hub` and `oci` must be present; it determines the kind of the source. An unknown key is an error
//! that names the file, the key and the most similar known key.
//!
//! # Variables
//!
//! | variable | meaning |
//! |---|---|
//! | `<APP>_MODELS_DIR`, `<APP>_MODELS_CACHE_DIR` | the store; the folder of cached registries |
//! | `<APP>_MODELS_CONFIG` | the user's file, which must then exist |
//! | `<APP>_MODELS_REGISTRY_URL` | the URL of the source without a name |
//! | `<APP>_MODELS_OFFLINE`, `<APP>_MODELS_AUTO_SYNC`, `<APP>_MODELS_DURABLE` | as [`Config::offline`], [`Config::auto_sync`] and [`Config::durable`] |
//! | `<APP>_MODELS_LIMIT_RATE` | as [`Config::rate_limit`]: bytes a second, such as `20M`; `0` for no limit |
//! | `GH_TOKEN`, `GITHUB_TOKEN` | the token for the server of repositories; the first that is set |
//! | `GITHUB_SERVER_URL`, `GITHUB_API_URL` | that server, for repositories whose source names none |
//! | `HF_TOKEN`, `HUGGING_FACE_HUB_TOKEN`, else the file at `HF_TOKEN_PATH` or in `HF_HOME` | the token for sources of the Hub |
//! | `HF_HUB_DISABLE_IMPLICIT_TOKEN` | sends no token to the Hub |
//! | `HF_ENDPOINT` | replaces `https://huggingface.co` |
//! | `HF_HUB_OFFLINE`, else `TRANSFORMERS_OFFLINE` | offline mode for sources of the Hub |
//! | `HF_HUB_CACHE`, `HUGGINGFACE_HUB_CACHE`, else in `HF_HOME` | where the Hub's own tools keep what they downloaded |
//! | `OLLAMA_MODELS`, `KITOPS_HOME` | where ollama and Kit keep what they downloaded |
//! | `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN` | the key for object stores |
//! | `AWS_PROFILE`, `AWS_SHARED_CREDENTIALS_FILE`, `AWS_CONFIG_FILE` | else the profile of `~/.aws/credentials` and `~/.aws/config` with a key or a `credential_process` |
//! | `AWS_WEB_IDENTITY_TOKEN_FILE`, `AWS_ROLE_ARN`, `AWS_CONTAINER_CREDENTIALS_FULL_URI`, … | else the services that give keys, as for the AWS tools; `AWS_EC2_METADATA_DISABLED` keeps the last of them from being asked |
//! | `AWS_REGION`, `AWS_DEFAULT_REGION`, `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL` | the region and the URL of the object store, else those of the profile |
//! | `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY` | proxies, unless [`HttpConfig`] sets them; also in lower case |
//! | `SSL_CERT_FILE`, `SSL_CERT_DIR` | a PEM file, and a list of folders of them, with authorities to trust instead of the system's, unless [`HttpConfig`] sets them |
//!
//! `<APP>` is the app's name in capitals, with `_` for every character other than A–Z and 0–9. Values are trimmed, and an empty
//! variable counts as unset. In paths, `~/`, `$NAME` and `${NAME}` are expanded, as no shell does for unit files and containers.
//! A switch is on if it is set to anything but `0`, `false`, `no` or `off`, in any case.
//!
//! What only the network needs (proxies, certificates, tokens, URLs of servers) is judged by the first request that needs it:
//! [`ErrorKind::Config`](crate::ErrorKind::Config) names the variable. A token that a server refuses is left out of the next try,
//! with a warning; if that fails as well, [`ErrorKind::Authentication`](crate::ErrorKind::Authentication) says where it came from.

use std::path::PathBuf;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::secret::Secret;

pub use crate::env::Environment;
pub use crate::platform::System;
pub use crate::rate_limit::RateLimit;

/// What an app says about its models. Creating one reads neither files nor the environment.
///
/// ```
/// use modelrack::Config;
///
/// let config = Config::new("tool").bootstrap(r#"
///     [sources.weights]
///     url = "https://models.example.org"
///
///     [sources.hf]
///     hub = "https://huggingface.co"
/// "#);
/// assert_eq!(config.app(), "tool");
/// ```
///
/// An app with a single registry needs no TOML. The folders default to those of the platform, and a program that keeps its
/// models elsewhere says where:
///
/// ```
/// use modelrack::Config;
///
/// let config = Config::new("tool")
///     .registry_url("https://models.example.org")
///     .data_dir("/srv/tool/models")
///     .cache_dir("/var/cache/tool/models")
///     .config_file("/etc/tool/models.toml");
/// ```
///
/// Everything else has a default, too:
///
/// ```
/// use modelrack::Config;
/// use modelrack::config::{HttpConfig, RateLimit};
///
/// let config = Config::new("tool")
///     .offline(false)
///     .auto_sync(true)
///     .durable(true)
///     .concurrency(8)
///     .max_pulls(2)
///     .rate_limit(RateLimit::new(20_000_000))
///     .http(HttpConfig::default());
/// ```
#[derive(Debug, Clone)]
pub struct Config {
    pub(crate) app: String,
    // A URL may have a password.
    pub(crate) bootstrap: Option<Secret>,
    pub(crate) registry_url: Option<Secret>,
    pub(crate) data_dir: Option<PathBuf>,
    pub(crate) cache_dir: Option<PathBuf>,
    pub(crate) config_file: Option<PathBuf>,
    pub(crate) offline: bool,
    pub(crate) auto_sync: bool,
    pub(crate) durable: bool,
    pub(crate) concurrency: Option<usize>,
    pub(crate) max_pulls: Option<usize>,
    pub(crate) rate_limit: Option<RateLimit>,
    pub(crate) http: HttpConfig,
}

impl Config {
    /// Creates the configuration of an app, whose name keeps its store, its cache and its environment variables apart from
    /// those of other apps; [`Config`] has an example.
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
            durable: false,
            concurrency: None,
            max_pulls: None,
            rate_limit: None,
            http: HttpConfig::default(),
        }
    }

    /// Sets the sources that are compiled into the app, as TOML; see the [module documentation](self). [`Config`] has an
    /// example.
    #[must_use]
    pub fn bootstrap(mut self, toml: impl Into<String>) -> Self {
        self.bootstrap = Some(Secret::new(toml));
        self
    }

    /// Sets the URL of a chunked source without a name; `<APP>_MODELS_REGISTRY_URL` overrides it. [`Config`] has an
    /// example.
    #[must_use]
    pub fn registry_url(mut self, url: impl Into<String>) -> Self {
        self.registry_url = Some(Secret::new(url));
        self
    }

    /// Sets the folder of the store; `<APP>_MODELS_DIR` overrides it. Default: `<data dir>/<app>/models`. [`Config`] has an
    /// example.
    #[must_use]
    pub fn data_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.data_dir = Some(path.into());
        self
    }

    /// Sets the folder of cached registries; `<APP>_MODELS_CACHE_DIR` overrides it. Default: `<cache dir>/<app>/models`.
    /// [`Config`] has an example.
    #[must_use]
    pub fn cache_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.cache_dir = Some(path.into());
        self
    }

    /// Sets the user's file, which must then exist; `<APP>_MODELS_CONFIG` overrides it. Default:
    /// `<config dir>/<app>/models.toml`, if it exists. [`Config`] has an example.
    #[must_use]
    pub fn config_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.config_file = Some(path.into());
        self
    }

    /// Sets whether to stay off the network; `<APP>_MODELS_OFFLINE` turns it on, too. Default: `false`. [`Config`] has an
    /// example.
    #[must_use]
    pub fn offline(mut self, offline: bool) -> Self {
        self.offline = offline;
        self
    }

    /// Sets whether a lookup syncs a registry that it needs and that is not cached; `<APP>_MODELS_AUTO_SYNC` turns it on,
    /// too. Default: `false`. [`Config`] has an example.
    #[must_use]
    pub fn auto_sync(mut self, auto_sync: bool) -> Self {
        self.auto_sync = auto_sync;
        self
    }

    /// Sets whether a pull only ends when the disk has the files (`fsync`); `<APP>_MODELS_DURABLE` turns it on, too. Default:
    /// `false`: where it is safe, the system writes them in its own time, and after a power cut, what it may have lost is
    /// [verified before it is used](crate::installed#after-a-power-cut). [`Config`] has an example.
    #[must_use]
    pub fn durable(mut self, durable: bool) -> Self {
        self.durable = durable;
        self
    }

    /// Sets how many parts a pull fetches at once, from 1 to 16. Default: 4 at first, then more, up to 16, as long as they bring
    /// more bytes a second, and fewer when a server refuses them. [`Config`] has an example.
    #[must_use]
    pub fn concurrency(mut self, workers: usize) -> Self {
        self.concurrency = Some(workers);
        self
    }

    /// Sets how many models this manager pulls at once, at least 1; further pulls wait. Default: no limit. [`Config`] has
    /// an example.
    #[must_use]
    pub fn max_pulls(mut self, pulls: usize) -> Self {
        self.max_pulls = Some(pulls);
        self
    }

    /// Limits how fast this manager downloads, indexes and manifests included; `<APP>_MODELS_LIMIT_RATE` overrides it. Default:
    /// no limit. [`Config`] has an example.
    #[must_use]
    pub fn rate_limit(mut self, limit: RateLimit) -> Self {
        self.rate_limit = Some(limit);
        self
    }

    /// Sets timeouts, retries, proxies and certificates of the built-in transport; [`Config`] has an example.
    #[must_use]
    pub fn http(mut self, http: HttpConfig) -> Self {
        self.http = http;
        self
    }

    /// Returns the app's name; [`Config`] has an example.
    #[must_use]
    pub fn app(&self) -> &str {
        &self.app
    }

    /// Returns the name of one of the app's environment variables, such as `RACK_MODELS_DIR` for the suffix `DIR`.
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

/// How the built-in transport reaches servers. The environment sets the proxies and certificates that are left out.
///
/// ```
/// use std::time::Duration;
///
/// use modelrack::Config;
/// use modelrack::config::{HttpConfig, ProxyConfig};
///
/// let mut http = HttpConfig::default();
/// http.connect_timeout = Duration::from_secs(5);
/// http.stall_timeout = Duration::from_secs(10);
/// http.retry.retries = 5;
/// http.https_proxy = Some(ProxyConfig::new("http://proxy.example.org:3128", ["localhost", ".example.org"]));
/// http.http_proxy = http.https_proxy.clone();
/// http.certificates = vec!["/etc/ssl/company.pem".into()];
/// http.user_agent = "tool/1.0".into();
/// let config = Config::new("tool").http(http);
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HttpConfig {
    /// The longest time for a connection to any of a host's addresses, including its TLS handshake. Default: 10 s, so that a
    /// host of which no address answers costs at most 47 s with all retries; then its mirrors come first for a minute.
    pub connect_timeout: Duration,
    /// The longest time without data, before or within a body. Default: 30 s. A slow download that proceeds never times out.
    pub stall_timeout: Duration,
    /// Which requests are retried, and when. Default: up to 3 times, after 1 s, 2 s and 4 s.
    pub retry: RetryPolicy,
    /// The proxy for https. Default: `HTTPS_PROXY` or `ALL_PROXY`, with the exceptions in `NO_PROXY`.
    pub https_proxy: Option<ProxyConfig>,
    /// The proxy for plain http. Default: `HTTP_PROXY` or `ALL_PROXY`, with the exceptions in `NO_PROXY`.
    pub http_proxy: Option<ProxyConfig>,
    /// PEM files, or folders of them, with the authorities to trust instead of the system's; the certificate of a server is
    /// trusted as well. Default: `SSL_CERT_FILE` and the folders in `SSL_CERT_DIR`, else the system's store.
    pub certificates: Vec<PathBuf>,
    /// The variables that name the certificates.
    pub(crate) certificates_from: Option<&'static str>,
    /// The `User-Agent` header. Default: `modelrack/<version>`.
    pub user_agent: String,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            stall_timeout: Duration::from_secs(30),
            retry: RetryPolicy::default(),
            https_proxy: None,
            http_proxy: None,
            certificates: Vec::new(),
            certificates_from: None,
            user_agent: concat!("modelrack/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// A proxy with scheme `http`, `https`, `socks4`, `socks4a`, `socks5` or `socks5h`, and optional credentials in its URL; see
/// [`HttpConfig`] for an example.
#[derive(Debug, Clone)]
pub struct ProxyConfig {
    pub(crate) url: Secret,
    pub(crate) no_proxy: Vec<String>,
    /// The variable that names the proxy.
    pub(crate) variable: Option<&'static str>,
}

impl ProxyConfig {
    /// Uses a proxy for every host except those listed: a name, which includes the hosts below it, an address, a range of
    /// them such as `10.0.0.0/8`, each with an optional port, or `*`. [`HttpConfig`] has an example.
    pub fn new<T: Into<String>>(
        url: impl Into<String>,
        no_proxy: impl IntoIterator<Item = T>,
    ) -> Self {
        Self {
            url: Secret::new(url),
            no_proxy: no_proxy.into_iter().map(Into::into).collect(),
            variable: None,
        }
    }
}

/// Which requests are retried, and when.
///
/// Connection errors, stalls, server errors, bodies that end early and bytes with the wrong digest are retried; after a
/// response with `Retry-After`, not before that time. Of a body that ended early, the rest is requested, and a try only counts
/// if it brought no byte. Once all retries have failed, the next mirror is tried. [`HttpConfig`] has an example of setting it.
///
/// ```
/// use modelrack::config::RetryPolicy;
///
/// let policy = RetryPolicy::default();
/// assert_eq!((policy.retries, policy.base.as_secs(), policy.longest_wait.as_secs()), (3, 1, 60));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// How often a request is retried, at each mirror. Default: 3.
    pub retries: u32,
    /// The wait before the first retry, which doubles with each one and is jittered. Default: 1 s.
    pub base: Duration,
    /// The longest wait that a server may ask for in `Retry-After`. Beyond it, a request that was refused as one too many fails
    /// at once, as [`Error::retry_after`](crate::Error::retry_after) says for how long; after other errors of servers, it is
    /// sent again after this time. Default: 60 s.
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

/// Checks that a concurrency is within its limits.
pub(crate) fn check_concurrency(workers: usize) -> Result<()> {
    if (1..=16).contains(&workers) {
        Ok(())
    } else {
        Err(Error::argument(format!(
            "the concurrency is {workers}, but must be from 1 to 16"
        )))
    }
}
