//! What holds once all layers are read: the configuration, the user's file, the environment.

use std::path::{Path, PathBuf};

use crate::config::{Config, HttpConfig, ProxyConfig, check_concurrency};
use crate::env::Environment;
use crate::error::{Error, ErrorKind, Result};
use crate::model::ModelName;
use crate::secret::Secret;

/// Everything that is settled once the environment and the user's file are read.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) app: String,
    pub(crate) store_dir: PathBuf,
    pub(crate) cache_dir: PathBuf,
    pub(crate) offline: bool,
    pub(crate) auto_sync: bool,
    pub(crate) concurrency: Option<usize>,
    pub(crate) max_pulls: Option<usize>,
    pub(crate) http: HttpConfig,
    /// Files with `[sources]`, later ones over earlier ones.
    pub(crate) layers: Vec<Layer>,
    /// The URL of the one source without a key.
    pub(crate) registry_url: Option<Layer>,
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
        let dir = |variable: &str,
                   configured: &Option<PathBuf>,
                   default: &dyn Fn() -> Result<PathBuf>| {
            match env
                .path(&config.variable(variable))
                .or_else(|| configured.clone())
            {
                Some(path) => std::path::absolute(&path).map_err(|error| {
                    Error::from(ErrorKind::Config {
                        message: format!("'{}' is not a usable path", path.display()),
                        source: Some(error.into()),
                    })
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
        let is_required =
            config.config_file.is_some() || env.get(&config.variable("CONFIG")).is_some();
        if let Some(text) = read_overlay(&overlay, is_required)? {
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
            offline: config.offline || env.flag(&config.variable("OFFLINE")),
            auto_sync: config.auto_sync || env.flag(&config.variable("AUTO_SYNC")),
            concurrency: config.concurrency,
            max_pulls: config.max_pulls,
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

fn read_overlay(path: &Path, is_required: bool) -> Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !is_required => Ok(None),
        Err(error) => Err(ErrorKind::Config {
            message: format!("cannot read {}", path.display()),
            source: Some(error.into()),
        }
        .into()),
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
