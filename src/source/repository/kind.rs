//! How repositories become sources: from an entry of the configuration, from a name, or from what is cached.

use std::sync::Arc;

use base64::Engine as _;

use super::index;
use super::place::{self, Host, RepositoryPlace};
use super::{Kind, Repository};
use crate::catalog::registry::SourceKind;
use crate::env::Environment;
use crate::error::{Error, Result};
use crate::http::token::{Credential, Token, bearer};
use crate::source::cache::{RegistryCache, cached_refs};
use crate::source::unusable::Unusable;
use crate::source::{self, Context, Entry, Identity, Source};
use crate::url::Url;

impl source::Kind for Kind {
    fn keys(&self) -> &'static [&'static str] {
        &place::KEYS
    }

    fn source(&self, entry: Entry, context: &Context) -> Result<Arc<dyn Source>> {
        let host = Host::read(&context.environment);
        let (host, unknown) = match host {
            Err(reason) if entry.text("server").is_none() => (Host::github(), Some(reason)),
            host => (host, None),
        };
        let place = RepositoryPlace::of_entry(&entry, host)?;
        let repository = Repository::new(entry.identity, place, false, context);
        Ok(repository.on(unknown))
    }

    fn tokens(&self, env: &Environment) -> Vec<Token> {
        // Without a usable server there is nobody to send a token to.
        let Ok(Host { server, api }) = Host::read(env) else {
            return Vec::new();
        };
        // The order of GitHub's own command-line tool.
        let name = env.first_set(&["GH_TOKEN", "GITHUB_TOKEN"]);
        let credential = name.and_then(|name| Credential::of(name, &env.get(name)?));
        let token = |url: &Url, header| {
            Token::new(
                url,
                name.unwrap_or("GITHUB_TOKEN"),
                credential.clone(),
                header,
            )
        };
        let mut tokens = vec![token(&server, password), token(&api, bearer)];
        if place::is_github(&server) {
            let raw = Url::parse("https://raw.githubusercontent.com");
            tokens.extend(raw.map(|raw| token(&raw, bearer)));
        }
        tokens
    }

    fn adopt(&self, repo: &str, context: &Context) -> Option<Result<Arc<dyn Source>>> {
        let adopt = |host: Host| {
            let place = host.place(repo);
            let place = place.map_err(|error| Error::argument(error.to_string()))?;
            Ok(not_configured(place, context).on(None))
        };
        Some(Host::read(&context.environment).and_then(adopt))
    }

    fn recover(&self, key: &str, context: &Context) -> Option<Arc<dyn Source>> {
        let refs = cached_refs(&context.cache_dir, key);
        let (host, unknown) = match Host::read(&context.environment) {
            Ok(host) => (host, None),
            Err(reason) => (Host::github().ok()?, Some(reason)),
        };
        let mut place = host.place(key).ok()?;
        let server = place.server.to_string();
        let is_there = |of: &str| unknown.is_some() || of == server;
        let heads = refs.iter().filter_map(|reference| {
            let cache = RegistryCache::of_ref(&context.cache_dir, key, reference);
            Some(index::open(&cache).ok()??.head)
        });
        let mut origins = heads.map(|head| head.origin);
        origins.find(|origin| origin.fork && origin.repo == key && is_there(&origin.server))?;
        place.refs = refs;
        Some(not_configured(place, context).on(unknown))
    }
}

/// The form in which git sends a token: it knows only passwords.
fn password(token: &str) -> String {
    let password = format!("x-access-token:{token}");
    let password = base64::engine::general_purpose::STANDARD.encode(password);
    format!("Basic {password}")
}

/// A repository that the configuration does not name goes by its own name.
fn not_configured(place: RepositoryPlace, context: &Context) -> Repository {
    let identity = Identity {
        key: place.repo.clone(),
        name: place.repo.clone(),
    };
    Repository::new(identity, place, true, context)
}

impl Repository {
    /// Makes a source of it; if its server is unknown for some reason, one that has only what is cached.
    fn on(mut self, unknown: Option<Error>) -> Arc<dyn Source> {
        let Some(reason) = unknown else {
            return Arc::new(self);
        };
        self.is_of_any_server = true;
        let unusable = Unusable {
            location: self.place.repo.clone(),
            identity: self.identity.clone(),
            kind: SourceKind::REPOSITORY,
            can_list: true,
            reason,
            cached: Some(Box::new(self)),
        };
        unusable.into()
    }
}
