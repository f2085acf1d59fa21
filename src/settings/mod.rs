//! What holds once all layers are read: the configuration, the user's file, the environment.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::{Config, HttpConfig, ProxyConfig, check_concurrency};
use crate::env::Environment;
use crate::error::{Error, Result};
use crate::model::ModelName;
use crate::quantity::ByteSize;
use crate::rate_limit::RateLimit;
use crate::secret::Secret;

/// Everything that is settled once the environment and the user's file are read.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) app: String,
    pub(crate) store_dir: PathBuf,
    pub(crate) cache_dir: PathBuf,
    /// The user's file with `[sources]`, which need not exist.
    #[cfg_attr(
        not(feature = "cli"),
        allow(dead_code, reason = "only commands name it")
    )]
    pub(crate) config_file: PathBuf,
    pub(crate) offline: Offline,
    pub(crate) auto_sync: bool,
    /// Whether pulls wait for the disk.
    pub(crate) durable: bool,
    pub(crate) concurrency: Option<usize>,
    pub(crate) max_pulls: Option<usize>,
    pub(crate) rate: ConfiguredRate,
    pub(crate) http: HttpConfig,
    /// Files with `[sources]`, later ones over earlier ones.
    pub(crate) layers: Vec<Layer>,
    /// The URL of the one source without a key.
    pub(crate) registry_url: Option<Layer>,
}

/// How fast bytes may come, or what is wrong with the variable that says so.
pub(crate) type ConfiguredRate = Result<Option<RateLimit>, Arc<str>>;

/// Whether the network may be used, and what forbids it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Offline {
    #[default]
    No,
    /// The caller or the app's configuration.
    Requested,
    /// An environment variable that is set.
    Variable(String),
}

impl From<bool> for Offline {
    fn from(is_requested: bool) -> Self {
        if is_requested {
            Self::Requested
        } else {
            Self::No
        }
    }
}

impl From<Option<&str>> for Offline {
    fn from(variable: Option<&str>) -> Self {
        variable.map_or(Self::No, |name| Self::Variable(name.to_owned()))
    }
}

/// A text of the configuration, and what it is called in errors: a file's path, or a variable's name.
#[derive(Debug, Clone)]
pub(crate) struct Layer {
    pub(crate) origin: String,
    // A URL may carry a password.
    pub(crate) text: Secret,
}

impl Settings {
    /// Reads the environment given and the user's overlay file, and lays them over the configuration.
    pub(crate) fn read(config: &Config, env: &Environment) -> Result<Self> {
        check_app(&config.app)?;
        let dir =
            |suffix: &str, configured: &Option<PathBuf>, default: &dyn Fn() -> Result<PathBuf>| {
                let variable = config.variable(suffix);
                match (env.path(&variable), configured) {
                    (Some(path), _) => {
                        let found = whole_path(&path);
                        found.map_err(|error| error.step(variable))
                    }
                    (None, Some(path)) => whole_path(path),
                    (None, None) => default(),
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
        if config.max_pulls == Some(0) {
            return Err(Error::argument("max_pulls is 0, but must be at least 1"));
        }

        let mut layers = Vec::new();
        if let Some(text) = &config.bootstrap {
            layers.push(Layer {
                origin: format!("the configuration of {}", config.app),
                text: text.clone(),
            });
        }
        let variable = config.variable("CONFIG");
        let named = env.get(&variable).is_some();
        let is_required = named || config.config_file.is_some();
        let text = read_overlay(&overlay, is_required);
        let text = text.map_err(|error| if named { error.step(variable) } else { error })?;
        if let Some(text) = text {
            layers.push(Layer {
                origin: overlay.display().to_string(),
                text: Secret::new(text),
            });
        }
        let variable = config.variable("REGISTRY_URL");
        let registry_url = match (env.get(&variable), &config.registry_url) {
            (Some(url), _) => Some((variable, Secret::new(url))),
            (None, Some(url)) => Some(("registry_url".to_owned(), url.clone())),
            (None, None) => None,
        };
        let mut http = config.http.clone();
        http.https_proxy = http
            .https_proxy
            .or_else(|| proxy_of(env, ["https_proxy", "HTTPS_PROXY"]));
        http.http_proxy = http
            .http_proxy
            .or_else(|| proxy_of(env, ["http_proxy", "HTTP_PROXY"]));
        if http.certificates.is_empty() {
            let file = env.path("SSL_CERT_FILE");
            let folders = env.paths("SSL_CERT_DIR");
            http.certificates_from = match &file {
                None => Some("SSL_CERT_DIR"),
                Some(_) if folders.is_empty() => Some("SSL_CERT_FILE"),
                Some(_) => Some("SSL_CERT_FILE and SSL_CERT_DIR"),
            };
            http.certificates = file.into_iter().chain(folders).collect();
        }
        Ok(Self {
            app: config.app.clone(),
            store_dir,
            cache_dir,
            config_file: overlay,
            offline: match config.variable("OFFLINE") {
                variable if env.flag(&variable) => Offline::Variable(variable),
                _ => config.offline.into(),
            },
            auto_sync: config.auto_sync || env.flag(&config.variable("AUTO_SYNC")),
            durable: config.durable || env.flag(&config.variable("DURABLE")),
            concurrency: config.concurrency,
            max_pulls: config.max_pulls,
            rate: rate_of(env, &config.variable("LIMIT_RATE"), config),
            http,
            layers,
            registry_url: registry_url.map(|(origin, text)| Layer { origin, text }),
        })
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

/// Makes a path whole; one that starts with a home folder that nobody knows would be a folder called `~`.
fn whole_path(path: &Path) -> Result<PathBuf> {
    let unusable = |reason| format!("'{}' {reason}", path.display());
    let first = path.components().next();
    if first.is_some_and(|first| first.as_os_str().as_encoded_bytes().starts_with(b"~")) {
        return Err(Error::config(unusable(
            "starts with a home folder that is unknown",
        )));
    }
    std::path::absolute(path)
        .map_err(|error| Error::config_from(unusable("is not a usable path"), error))
}

fn read_overlay(path: &Path, is_required: bool) -> Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !is_required => Ok(None),
        Err(error) => {
            let message = format!("cannot read {}", path.display());
            Err(Error::config_from(message, error))
        }
    }
}

fn rate_of(env: &Environment, variable: &str, config: &Config) -> ConfiguredRate {
    match env.get(variable).map(|text| text.parse()) {
        None => Ok(config.rate_limit.clone()),
        Some(Ok(ByteSize(bytes))) => Ok(Some(RateLimit::new(bytes))),
        Some(Err(error)) => Err(format!("{variable}: {error}").into()),
    }
}

/// The scheme's own variable goes before `ALL_PROXY`, and lower case before upper case, as curl has it.
fn proxy_of(env: &Environment, own: [&'static str; 2]) -> Option<ProxyConfig> {
    let variables = own.into_iter().chain(["all_proxy", "ALL_PROXY"]);
    let mut variables = variables.filter_map(|name| Some((name, env.get(name)?)));
    let (variable, url) = variables.next()?;
    let except = env.first(&["no_proxy", "NO_PROXY"]).unwrap_or_default();
    let except = except.split(|c: char| c == ',' || c.is_whitespace());
    Some(ProxyConfig {
        variable: Some(variable),
        ..ProxyConfig::new(url, except.filter(|host| !host.is_empty()))
    })
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
    fn the_name_of_an_app_is_checked() {
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
    fn a_limit_of_the_rate_that_is_wrong_is_told_when_the_network_is_needed() {
        let config = Config::new("app").rate_limit(RateLimit::new(5));
        for (value, expected) in [
            (None, Ok(Some(5))),
            (Some("20M"), Ok(Some(20_000_000))),
            (Some("0"), Ok(Some(0))),
            (
                Some("fast"),
                Err("APP_MODELS_LIMIT_RATE: expected a number of bytes, such as 8MiB or 500KB"),
            ),
        ] {
            let env = match value {
                Some(value) => env().variable("APP_MODELS_LIMIT_RATE", value),
                None => env(),
            };
            let rate = settings(&config, &env).unwrap().rate;
            let rate = rate.map(|limit| limit.map(|limit| limit.bytes_per_second()));
            assert_eq!(
                rate.as_ref().map_err(|it| &**it),
                expected.as_ref().map_err(|it| *it)
            );
        }
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
