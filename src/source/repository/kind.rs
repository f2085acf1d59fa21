//! How repositories become sources: from an entry of the configuration, from a name, or from what is cached.

use std::sync::Arc;

use base64::Engine as _;

use super::index::Cached;
use super::place::{self, Host, RepositoryPlace};
use super::{Kind, Repository};
use crate::env::Environment;
use crate::error::Result;
use crate::http::Token;
use crate::source::cache::{RegistryCache, cached_refs};
use crate::source::{self, Context, Entry, Identity, Source};
use crate::url::Url;

impl source::Kind for Kind {
    fn keys(&self) -> &'static [&'static str] {
        &place::KEYS
    }

    fn source(&self, entry: Entry, context: &Context) -> Result<Arc<dyn Source>> {
        let host = Host::read(&context.environment)?;
        let place = RepositoryPlace::of_entry(&entry, &host)?;
        let repository = Repository::new(entry.identity, place, false, context);
        Ok(Arc::new(repository))
    }

    fn tokens(&self, env: &Environment) -> Result<Vec<Token>> {
        let Host { server, api } = Host::read(env)?;
        // The order of GitHub's own command-line tool.
        let token = env.first(&["GH_TOKEN", "GITHUB_TOKEN"]);
        let bearer = token.map(|token| format!("Bearer {token}"));
        // Git itself knows only passwords.
        let basic = token.map(|token| {
            let password = format!("x-access-token:{token}");
            let password = base64::engine::general_purpose::STANDARD.encode(password);
            format!("Basic {password}")
        });
        let token = |url: &Url, value| Token::new(url, "GITHUB_TOKEN", value);
        let mut tokens = vec![token(&server, basic), token(&api, bearer.clone())];
        if place::is_github(&server) {
            let raw = Url::parse("https://raw.githubusercontent.com");
            tokens.extend(raw.map(|raw| token(&raw, bearer)));
        }
        Ok(tokens)
    }

    fn adopt(&self, repo: &str, context: &Context) -> Option<Result<Arc<dyn Source>>> {
        let place = Host::read(&context.environment).and_then(|host| host.place(repo));
        Some(place.map(|place| not_configured(place, context)))
    }

    fn recover(&self, key: &str, context: &Context) -> Option<Arc<dyn Source>> {
        let refs = cached_refs(&context.cache_dir, key);
        let mut place = Host::read(&context.environment).ok()?.place(key).ok()?;
        let server = place.server.to_string();
        let heads = refs.iter().filter_map(|reference| {
            let cache = RegistryCache::of_ref(&context.cache_dir, key, reference);
            Some(Cached::open(&cache).ok()??.head)
        });
        let mut origins = heads.map(|head| head.origin);
        origins.find(|origin| origin.fork && origin.repo == key && origin.server == server)?;
        place.refs = refs;
        Some(not_configured(place, context))
    }
}

/// A repository that the configuration does not name goes by its own name.
fn not_configured(place: RepositoryPlace, context: &Context) -> Arc<dyn Source> {
    let identity = Identity {
        key: place.repo.clone(),
        name: place.repo.clone(),
    };
    Arc::new(Repository::new(identity, place, true, context))
}
