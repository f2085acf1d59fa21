//! What holds once all layers are read: the configuration, the user's file, the environment.

mod sources;
mod tokens;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::config::{
    Config, HttpConfig, ProxyConfig, SourceConfig, SourcePlace, check_concurrency,
};
use crate::env::Environment;
use crate::error::{Error, ErrorKind, Result};
use crate::model::ModelName;

use sources::{Hosts, parse_url, read_sources};
pub(crate) use tokens::Token;

/// Everything that is settled once the environment and the user's file are read.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) app: String,
    pub(crate) store_dir: PathBuf,
    pub(crate) cache_dir: PathBuf,
    pub(crate) offline: bool,
    /// Whether sources of the Hub open no socket.
    pub(crate) hub_offline: bool,
    /// Where the Hub's own tools keep what they downloaded.
    pub(crate) hub_cache: Option<PathBuf>,
    pub(crate) auto_sync: bool,
    pub(crate) concurrency: Option<usize>,
    pub(crate) max_pulls: Option<usize>,
    pub(crate) http: HttpConfig,
    pub(crate) tokens: Vec<Token>,
    pub(crate) hosts: Hosts,
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
                Some(path) => std::path::absolute(&path).map_err(|error| {
                    Error::from(ErrorKind::Config {
                        message: format!("'{}' is no path", path.display()),
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
            return Err(Error::argument("max_pulls is 0, and may be from 1 on"));
        }

        let hosts = Hosts::read(env)?;
        let mut sources = BTreeMap::new();
        if let Some(text) = &config.bootstrap {
            read_sources(
                text.expose(),
                &format!("the configuration of {}", config.app),
                &hosts,
                &mut sources,
            )?;
        }
        let asked_for =
            config.config_file.is_some() || env.get(&config.variable("CONFIG")).is_some();
        if let Some(text) = read_overlay(&overlay, asked_for)? {
            read_sources(&text, &overlay.display().to_string(), &hosts, &mut sources)?;
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
            hub_offline: env.flag("HF_HUB_OFFLINE"),
            hub_cache: hub_cache(env),
            auto_sync: config.auto_sync || env.flag(&config.variable("AUTO_SYNC")),
            concurrency: config.concurrency,
            max_pulls: config.max_pulls,
            http,
            tokens: tokens::read(env, &hosts, &sources),
            hosts,
            sources,
        })
    }
}

fn hub_cache(env: &Environment) -> Option<PathBuf> {
    let home = || Some(env.hub_home().ok()?.join("hub"));
    env.path("HF_HUB_CACHE").or_else(home)
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
        Err(error) => Err(ErrorKind::Config {
            message: format!("cannot read {}", path.display()),
            source: Some(error.into()),
        }
        .into()),
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
    use crate::config::SourceKind;
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
