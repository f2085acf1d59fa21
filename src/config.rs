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

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::env::Environment;
use crate::error::{Error, Result};
use crate::model::{ModelName, nearest};
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

/// Everything that is settled once the environment and the user's file are read.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) app: String,
    pub(crate) store_dir: PathBuf,
    pub(crate) cache_dir: PathBuf,
    pub(crate) offline: bool,
    pub(crate) concurrency: Option<usize>,
    pub(crate) http: HttpConfig,
    pub(crate) sources: Vec<SourceConfig>,
}

impl Settings {
    /// Reads the environment given and the user's overlay file, and lays them over the configuration.
    pub(crate) fn read(config: &Config, env: &Environment) -> Result<Self> {
        check_app(&config.app)?;
        let dir = |variable: &str,
                   configured: &Option<PathBuf>,
                   default: &dyn Fn() -> Result<PathBuf>| {
            match env
                .path(&config.variable(variable))
                .or_else(|| configured.clone())
            {
                Some(path) => std::path::absolute(&path).map_err(|error| Error::Config {
                    message: format!("'{}' is no path", path.display()),
                    source: Some(error.into()),
                }),
                None => default(),
            }
        };
        let below = |base: Result<PathBuf>| base.map(|base| base.join(&config.app).join("models"));
        let store_dir = dir("DIR", &config.data_dir, &|| below(env.data_dir()))?;
        let cache_dir = dir("CACHE_DIR", &config.cache_dir, &|| below(env.cache_dir()))?;
        let overlay = dir("CONFIG", &config.config_file, &|| {
            Ok(env.config_dir()?.join(&config.app).join("models.toml"))
        })?;
        if let Some(workers) = config.concurrency {
            check_concurrency(workers)?;
        }

        let mut sources = BTreeMap::new();
        if let Some(text) = &config.bootstrap {
            read_sources(
                text.expose(),
                &format!("the configuration of {}", config.app),
                &mut sources,
            )?;
        }
        let asked_for =
            config.config_file.is_some() || env.get(&config.variable("CONFIG")).is_some();
        if let Some(text) = read_overlay(&overlay, asked_for)? {
            read_sources(&text, &overlay.display().to_string(), &mut sources)?;
        }
        let mut sources: Vec<SourceConfig> = sources.into_values().flatten().collect();
        let variable = config.variable("REGISTRY_URL");
        let unnamed = match (env.get(&variable), &config.registry_url) {
            (Some(url), _) => Some((url, variable.as_str())),
            (None, Some(url)) => Some((url.expose(), "registry_url")),
            (None, None) => None,
        };
        if let Some((url, origin)) = unnamed {
            let place = SourcePlace::Chunked {
                urls: vec![parse_url(url, origin)?],
                public_key: None,
            };
            sources.push(SourceConfig {
                key: String::new(),
                name: String::new(),
                place,
                origin: origin.to_owned(),
            });
        }
        check_names(&sources)?;
        let mut http = config.http.clone();
        http.https_proxy = http
            .https_proxy
            .or_else(|| proxy_of(env, ["https_proxy", "HTTPS_PROXY"]));
        http.http_proxy = http
            .http_proxy
            .or_else(|| proxy_of(env, ["http_proxy", "HTTP_PROXY"]));
        if http.certificates.is_empty() {
            http.certificates = env
                .path("SSL_CERT_FILE")
                .into_iter()
                .chain(env.path("SSL_CERT_DIR"))
                .collect();
        }
        Ok(Self {
            app: config.app.clone(),
            store_dir,
            cache_dir,
            offline: config.offline || env.flag(&config.variable("OFFLINE")),
            concurrency: config.concurrency,
            http,
            sources,
        })
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

/// The app's name becomes a folder.
fn check_app(app: &str) -> Result<()> {
    let invalid = |reason: &str| {
        Err(Error::config(format!(
            "the app's name '{}' {reason}",
            app.escape_debug()
        )))
    };
    match ModelName::new("", app) {
        Err(error) => invalid(error.reason()),
        Ok(_) if app.starts_with('.') => invalid("begins with a dot"),
        Ok(_) => Ok(()),
    }
}

fn read_overlay(path: &Path, asked_for: bool) -> Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !asked_for => Ok(None),
        Err(error) => Err(Error::Config {
            message: format!("cannot read {}", path.display()),
            source: Some(error.into()),
        }),
    }
}

/// Two sources may not share a name: an address would not tell them apart.
fn check_names(sources: &[SourceConfig]) -> Result<()> {
    for (at, source) in sources.iter().enumerate() {
        if let Some(other) = sources[..at].iter().find(|other| other.name == source.name) {
            return Err(Error::config(format!(
                "{}: the sources '{}' and '{}' have the same name '{}'",
                source.origin, other.key, source.key, source.name
            )));
        }
    }
    Ok(())
}

const SOURCE_KEYS: [&str; 13] = [
    "url",
    "mirrors",
    "public_key",
    "name",
    "repo",
    "refs",
    "registry_path",
    "asset",
    "server",
    "api",
    "raw",
    "archive",
    "hub",
];

#[derive(Deserialize)]
struct SourceWire {
    url: Option<String>,
    #[serde(default)]
    mirrors: Vec<String>,
    public_key: Option<String>,
    name: Option<String>,
    repo: Option<String>,
    refs: Option<Vec<String>>,
    hub: Option<String>,
}

/// Reads the `[sources]` of one file over those of the files before it; `None` for a source that is turned off.
fn read_sources(
    text: &str,
    origin: &str,
    sources: &mut BTreeMap<String, Option<SourceConfig>>,
) -> Result<()> {
    let table: toml::Table = text
        .parse()
        .map_err(|error: toml::de::Error| Error::Config {
            message: format!("{origin} is no TOML"),
            source: Some(error.into()),
        })?;
    for (key, value) in table {
        if key != "sources" {
            return Err(unknown(origin, &key, ["sources"]));
        }
        let toml::Value::Table(entries) = value else {
            return Err(Error::config(format!("{origin}: 'sources' is no table")));
        };
        for (key, value) in entries {
            let source = read_source(&key, value, origin)?;
            sources.insert(key, source);
        }
    }
    Ok(())
}

fn read_source(key: &str, value: toml::Value, origin: &str) -> Result<Option<SourceConfig>> {
    let at = format!("{origin}: sources.{key}");
    let Some(table) = value.as_table() else {
        return Err(Error::config(format!("{at} is no table")));
    };
    if let Some(unknown_key) = table
        .keys()
        .find(|key| !SOURCE_KEYS.contains(&key.as_str()))
    {
        return Err(unknown(&at, unknown_key, SOURCE_KEYS));
    }
    let wire: SourceWire = value
        .try_into()
        .map_err(|error: toml::de::Error| Error::Config {
            message: format!("{at} cannot be read"),
            source: Some(error.into()),
        })?;
    if wire.refs.as_ref().is_some_and(Vec::is_empty) {
        return Ok(None);
    }
    let name = wire.name.unwrap_or_else(|| key.to_owned());
    ModelName::parse(&name).map_err(|error| Error::config(format!("{at}.name: {error}")))?;
    let place = match (wire.url, wire.repo, wire.hub) {
        (Some(url), None, None) => {
            let mut urls = vec![parse_url(&url, &format!("{at}.url"))?];
            for (index, mirror) in wire.mirrors.iter().enumerate() {
                urls.push(parse_url(mirror, &format!("{at}.mirrors[{index}]"))?);
            }
            SourcePlace::Chunked {
                urls,
                public_key: wire.public_key,
            }
        }
        (None, Some(repo), None) => SourcePlace::Repository {
            repo,
            refs: wire.refs.unwrap_or_default(),
        },
        (None, None, Some(hub)) => SourcePlace::Hub {
            endpoint: parse_url(&hub, &format!("{at}.hub"))?,
        },
        (None, None, None) => {
            return Err(Error::config(format!(
                "{at} has none of 'url', 'repo' and 'hub'"
            )));
        }
        _ => {
            return Err(Error::config(format!(
                "{at} has more than one of 'url', 'repo' and 'hub'"
            )));
        }
    };
    Ok(Some(SourceConfig {
        key: key.to_owned(),
        name,
        place,
        origin: origin.to_owned(),
    }))
}

fn unknown<const N: usize>(at: &str, key: &str, known: [&str; N]) -> Error {
    let near = nearest(key, known)
        .into_iter()
        .next()
        .map(|near| format!(", did you mean '{near}'?"))
        .unwrap_or_default();
    Error::config(format!(
        "{at} has the unknown key '{}'{near}",
        key.escape_debug()
    ))
}

fn parse_url(text: &str, at: &str) -> Result<Url> {
    Url::parse(text).map_err(|error| Error::Config {
        message: format!("{at} is no usable URL"),
        source: Some(error.into()),
    })
}

/// The scheme's own variable goes before `ALL_PROXY`, and lower case before upper case, as curl has it.
fn proxy_of(env: &Environment, own: [&str; 2]) -> Option<ProxyConfig> {
    let url = env
        .first(&own)
        .or_else(|| env.first(&["all_proxy", "ALL_PROXY"]))?;
    let except = env.first(&["no_proxy", "NO_PROXY"]).unwrap_or_default();
    Some(ProxyConfig::new(
        url,
        except
            .split(',')
            .map(str::trim)
            .filter(|host| !host.is_empty()),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::System;

    fn settings(config: &Config, env: &Environment) -> Result<Settings> {
        Settings::read(config, env)
    }

    fn env() -> Environment {
        Environment::empty(
            System::Linux,
            std::env::temp_dir().join("modelrack-no-such-home"),
        )
    }

    #[test]
    fn later_layers_win() {
        let dir = std::env::temp_dir().join(format!("modelrack-config-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let overlay = dir.join("models.toml");
        std::fs::write(
            &overlay,
            "[sources.a]\nurl = \"https://fork.example/a\"\n[sources.b]\nrefs = []\n[sources.d]\nhub = \"https://hub.example\"\n",
        )
        .unwrap();
        let config = Config::new("my-app")
            .registry_url("https://compiled.example/")
            .bootstrap("[sources.a]\nurl = \"https://x.example/a\"\n[sources.b]\nurl = \"https://x.example/b\"\n[sources.c]\nrepo = \"o/n\"\nname = \"c/c\"\n");
        let env = env()
            .variable("MY_APP_MODELS_REGISTRY_URL", "https://env.example/")
            .variable("MY_APP_MODELS_CONFIG", &overlay);
        let read = settings(&config, &env).unwrap();
        let shown: Vec<_> = read
            .sources
            .iter()
            .map(|s| (s.key.as_str(), s.label(), s.kind()))
            .collect();
        assert_eq!(
            shown,
            [
                ("a", "a".to_owned(), SourceKind::Chunked),
                ("c", "c/c".to_owned(), SourceKind::Repository),
                ("d", "d".to_owned(), SourceKind::Hub),
                ("", "https://env.example/".to_owned(), SourceKind::Chunked),
            ]
        );
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn errors_name_the_file_and_the_key() {
        for (toml, expected) in [
            (
                "[source.a]\n",
                "the configuration of app has the unknown key 'source', did you mean 'sources'?",
            ),
            (
                "[sources.a]\nurls = \"x\"\n",
                "the configuration of app: sources.a has the unknown key 'urls', did you mean 'url'?",
            ),
            (
                "[sources.a]\n",
                "the configuration of app: sources.a has none of 'url', 'repo' and 'hub'",
            ),
            (
                "[sources.a]\nurl = \"https://x\"\nhub = \"https://y\"\n",
                "the configuration of app: sources.a has more than one of 'url', 'repo' and 'hub'",
            ),
            (
                "[sources.a]\nurl = \"ftp://x\"\n",
                "the configuration of app: sources.a.url is no usable URL",
            ),
            (
                "[sources.a]\nurl = \"https://x\"\nname = \"../a\"\n",
                "the configuration of app: sources.a.name: the name '..' has a '.' or '..' component",
            ),
            (
                "[sources.a]\nurl = 1\n",
                "the configuration of app: sources.a cannot be read",
            ),
            (
                "[sources.a]\nurl = \"https://x\"\n[sources.b]\nurl = \"https://y\"\nname = \"a\"\n",
                "the configuration of app: the sources 'a' and 'b' have the same name 'a'",
            ),
            ("= broken", "the configuration of app is no TOML"),
        ] {
            let error = settings(&Config::new("app").bootstrap(toml), &env()).unwrap_err();
            assert_eq!(error.to_string(), expected);
            assert_eq!(error.code(), "CONFIG_ERROR");
        }
        for app in ["", "..", "a/b", ".x", "con", "a\u{7}"] {
            assert_eq!(
                settings(&Config::new(app), &env()).unwrap_err().code(),
                "CONFIG_ERROR",
                "{app:?}"
            );
        }
    }

    #[test]
    fn a_missing_overlay_matters_only_when_it_was_asked_for() {
        assert!(settings(&Config::new("app"), &env()).is_ok());
        let error = settings(
            &Config::new("app"),
            &env().variable("APP_MODELS_CONFIG", "/no/such.toml"),
        )
        .unwrap_err();
        assert_eq!(error.code(), "CONFIG_ERROR");
    }

    #[test]
    fn the_proxy_keeps_its_secret() {
        let env = env()
            .variable("HTTPS_PROXY", "http://me:s3cret@proxy:3128")
            .variable("NO_PROXY", "a.example, .b.example");
        let http = settings(&Config::new("app"), &env).unwrap().http;
        assert_eq!(
            http.https_proxy.as_ref().unwrap().no_proxy,
            ["a.example", ".b.example"]
        );
        assert!(http.http_proxy.is_none());
        assert!(!format!("{http:?}").contains("s3cret"));
    }
}
