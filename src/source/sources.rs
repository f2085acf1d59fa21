//! The sources of an app, and the client that reaches them.

use std::path::Path;
use std::sync::Arc;

use crate::env::Environment;
use crate::error::{Error, ErrorKind, Result};
use crate::http::Client;
use crate::http::builtin::UreqTransport;
use crate::http::transport::Transport;
use crate::mutex::Mutex;
use crate::settings::Settings;
use crate::source::cache::cached_sources;
use crate::source::entry::{did_you_mean, read_entries};
use crate::source::{Context, Entry, KINDS, Kind, Source};
use crate::url::{Url, without_login};

/// How many sources an error names at most: as many as fit a line.
const MAX_NAMED: usize = 8;

/// The sources of an app, and the client that reaches them.
#[derive(Debug)]
pub(crate) struct Sources {
    context: Context,
    pub(crate) client: Client,
    configured: Vec<Arc<dyn Source>>,
    /// Those configured, followed by the repositories that somebody synced without configuring them.
    all: Mutex<Arc<[Arc<dyn Source>]>>,
}

impl Sources {
    /// Reads the configuration and looks which registries are cached. Without a transport, the built-in one is made.
    pub(crate) fn open(
        settings: &Settings,
        environment: &Environment,
        transport: Option<Arc<dyn Transport>>,
    ) -> Result<Self> {
        let context = Context {
            environment: environment.clone(),
            cache_dir: settings.cache_dir.clone(),
        };
        let entries = read_entries(settings)?.into_iter();
        let configured = entries
            .map(|entry| kind_of(&entry)?.source(entry, &context))
            .collect::<Result<Vec<_>>>()?;
        let mut tokens = Vec::new();
        for kind in KINDS {
            tokens.extend(kind.tokens(environment));
        }
        for source in &configured {
            tokens.extend(source.tokens(environment));
        }
        let transport = match transport {
            Some(transport) => transport,
            None => Arc::new(UreqTransport::new(settings.http.clone())),
        };
        let client = Client::new(transport, settings.http.retry, settings.offline.clone());
        let sources = Self {
            client: client.with_tokens(tokens).with_rate(settings.rate.clone()),
            context,
            configured,
            all: Mutex::new(Arc::new([])),
        };
        sources.rescan();
        Ok(sources)
    }

    /// All sources: those configured first, in the order of keys.
    pub(crate) fn all(&self) -> Arc<[Arc<dyn Source>]> {
        self.all.lock().clone()
    }

    pub(crate) fn environment(&self) -> &Environment {
        &self.context.environment
    }

    pub(crate) fn cache_dir(&self) -> &Path {
        &self.context.cache_dir
    }

    /// Looks again which registries are cached of repositories that are not configured.
    pub(crate) fn rescan(&self) {
        let mut all = self.configured.clone();
        for key in cached_sources(self.cache_dir()) {
            if !all.iter().any(|source| source.identity().is_called(&key)) {
                all.extend(self.recover(&key));
            }
        }
        *self.all.lock() = all.into();
    }

    /// All sources, or the one with this key or name.
    ///
    /// # Errors
    /// [`ErrorKind::NoSource`] when there are none; [`ErrorKind::InvalidArgument`] when none has that key or name.
    pub(crate) fn select(&self, wanted: Option<&str>) -> Result<Vec<Arc<dyn Source>>> {
        let all = self.all();
        match wanted {
            None if all.is_empty() => Err(ErrorKind::NoSource.into()),
            None => Ok(all.to_vec()),
            Some(wanted) => Ok(vec![self.named(wanted)?]),
        }
    }

    /// The source that has this key or name.
    pub(crate) fn named(&self, wanted: &str) -> Result<Arc<dyn Source>> {
        let all = self.all();
        let mut sources = all.iter();
        let found = sources.find(|source| source.identity().is_called(wanted));
        found.cloned().ok_or_else(|| {
            let words = all.iter().map(|source| source.identity());
            let words = words.flat_map(|source| [source.name.as_str(), &source.key]);
            let mut hint = did_you_mean(wanted, words);
            let names = all.iter().map(|source| source.identity().name.as_str());
            let names: Vec<_> = names.filter(|name| !name.is_empty()).collect();
            if hint.is_empty() && (1..=MAX_NAMED).contains(&names.len()) {
                hint = format!(": expected {}", names.join(", "));
            }
            let shown = without_login(wanted);
            let wanted = shown.as_deref().unwrap_or(wanted).escape_debug();
            Error::argument(format!("no source has the key or name '{wanted}'{hint}"))
        })
    }

    /// The source with this key, which need not be configured.
    pub(crate) fn by_key(&self, key: &str) -> Option<Arc<dyn Source>> {
        let all = self.all();
        let found = all.iter().find(|source| source.identity().key == key);
        found.cloned().or_else(|| self.recover(key))
    }

    fn recover(&self, key: &str) -> Option<Arc<dyn Source>> {
        let mut kinds = KINDS.iter();
        kinds.find_map(|kind| kind.recover(key, &self.context))
    }

    /// All sources, and the one with this key, which need not be configured.
    pub(crate) fn and(&self, key: Option<&str>) -> Vec<Arc<dyn Source>> {
        let mut all = self.all().to_vec();
        let is_known = |key: &str| all.iter().any(|source| source.identity().key == key);
        if let Some(key) = key.filter(|key| !is_known(key)) {
            all.extend(self.by_key(key));
        }
        all
    }

    /// The source of a place that an address names with its scheme.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRef`] when no kind of source knows the scheme, or there can be no such place.
    pub(crate) fn at(&self, origin: &str) -> Result<Arc<dyn Source>> {
        let mut kinds = KINDS.iter();
        let source = kinds.find_map(|kind| kind.at(origin, &self.context));
        source.unwrap_or_else(|| {
            let message = "begins with a scheme that names no model, as oci:// and oci-layout: do; configure what is elsewhere as a source";
            Err(Error::invalid_ref(origin, message))
        })
    }

    /// The chunked registry at a URL, which nothing configures; its index is kept in a folder of its own.
    pub(crate) fn registry_at(
        &self,
        url: &Url,
        public_key: Option<&str>,
        cache_dir: &Path,
    ) -> Result<Arc<dyn Source>> {
        let entry = Entry::of_url(url, public_key);
        let context = Context {
            cache_dir: cache_dir.to_owned(),
            ..self.context.clone()
        };
        kind_of(&entry)?.source(entry, &context)
    }

    /// The source that serves a repository: the one named, or the one whose repository it is, or one that is made for it.
    pub(crate) fn of_repo(&self, repo: &str, wanted: Option<&str>) -> Result<Arc<dyn Source>> {
        let source = match wanted {
            Some(wanted) => Some(self.named(wanted)?),
            None => {
                let mut configured = self.configured.iter();
                let serving = configured.find(|source| source.repo() == Some(repo));
                serving.cloned()
            }
        };
        match source {
            Some(source) if source.repo() == Some(repo) => Ok(source),
            Some(source) => {
                let fork = source.with_repo(repo).ok_or_else(|| {
                    let wanted = wanted.unwrap_or_default().escape_debug();
                    Error::argument(format!("the source '{wanted}' is not a repository"))
                })?;
                fork.map_err(|error| Error::argument(error.to_string()))
            }
            None => {
                let mut kinds = KINDS.iter();
                let adopted = kinds.find_map(|kind| kind.adopt(repo, &self.context));
                adopted.unwrap_or_else(|| {
                    Err(Error::internal("no kind of source adopts repositories"))
                })
            }
        }
    }
}

fn kind_of(entry: &Entry) -> Result<&'static dyn Kind> {
    let mut kinds = KINDS.iter().copied();
    let kind = kinds.find(|kind| entry.is_of(*kind));
    kind.ok_or_else(|| Error::internal("an entry has no kind"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::platform::System;

    #[test]
    fn a_token_goes_to_the_hosts_it_is_meant_for() {
        let open = |server: Option<&str>| {
            let mut env = Environment::empty(System::Linux, "/no-such-home")
                .variable("GITHUB_TOKEN", "s3cret");
            if let Some(server) = server {
                env = env.variable("GITHUB_SERVER_URL", server);
            }
            let settings = Settings::read(&Config::new("app"), &env).unwrap();
            let sources = Sources::open(&settings, &env, None).unwrap();
            assert!(!format!("{sources:?}").contains("s3cret"));
            sources.client.token_origins()
        };
        let github = [
            "https://github.com/",
            "https://api.github.com/",
            "https://raw.githubusercontent.com/",
        ];
        assert_eq!(open(None), github);
        let own = ["https://git.example.com/", "https://git.example.com/api/v3"];
        assert_eq!(open(Some("https://git.example.com")), own);
        assert!(open(Some("http://git.example.com")).is_empty());
    }
}
