//! Repositories with a `models.toml`: configured, discovered, synced and cached.

mod automatic;
mod cache;
mod configuration;
mod damage;
mod discovery;
mod forks;
mod hashes;
mod hostile;
mod listings;
pub(crate) mod models;
mod network;
mod registries;
mod servers;
mod syncing;
mod together;
mod tokens;
mod values;

use std::fmt::Write as _;

use modelrack::remote::{SourceInfo, SyncReport};
use modelrack::{Environment, Manager, ModelManager, RemoteOptions, Result, SyncOptions};

use crate::sources::repository::models::{ModelsToml, NamedFile, below, small_models};
use crate::support::chain;
use crate::support::forge::{Forge, Repo, zip};
use crate::support::rack::Rack;

/// Where the registry is in a tree.
const REGISTRY: &str = ".registry/models.toml";
/// The models of [`registry`], in the order of names.
const MODELS: [&str; 3] = ["ex-gwf-twri01", "ex-gwt-keating/flow", "test001a_Tharmonic"];

/// A machine, and a Git host with the repository `o/models`.
struct Host {
    rack: Rack,
    forge: Forge,
    repo: Repo,
}

impl Host {
    /// With an empty repository.
    fn empty() -> Self {
        let forge = Forge::start();
        Self {
            rack: Rack::new(),
            repo: forge.repo("o/models"),
            forge,
        }
    }

    /// With the three models on the branch `develop`.
    fn new() -> Self {
        let host = Self::empty();
        host.repo.commit("develop", tree());
        host
    }

    /// The source `testmodels`, called `mf6/test`, with more keys.
    fn source(&self, keys: &str) -> String {
        self.source_of("testmodels", "mf6/test", "o/models", keys)
    }

    fn source_of(&self, key: &str, name: &str, repo: &str, keys: &str) -> String {
        format!(
            "[sources.{key}]\nrepo = \"{repo}\"\nname = \"{name}\"\nserver = \"{}\"\n{keys}\n",
            self.forge.url()
        )
    }

    /// A manager of the source `testmodels` with these refs.
    fn manager(&self, refs: &[&str]) -> ModelManager {
        self.manager_of(&self.source(&refs_key(refs)))
    }

    fn manager_of(&self, bootstrap: &str) -> ModelManager {
        self.manager_in(bootstrap, self.rack.environment())
    }

    /// A manager in an environment of its own.
    fn manager_in(&self, bootstrap: &str, environment: Environment) -> ModelManager {
        ModelManager::builder(self.rack.bare_config().bootstrap(bootstrap))
            .environment(environment)
            .build()
    }

    /// An environment in which the host is everybody's.
    fn environment(&self) -> Environment {
        let environment = self.rack.environment();
        environment.variable("GITHUB_SERVER_URL", self.forge.url())
    }

    /// The paths that were asked for since the last call, in order.
    fn paths(&self) -> Vec<String> {
        let requests = self.forge.server().requests().into_iter();
        let paths = requests.map(|request| request.path).collect();
        self.forge.server().reset_counts();
        paths
    }

    /// The paths that were asked for since the last call, sorted, as those of several refs come in any order.
    fn sorted_paths(&self) -> Vec<String> {
        let mut paths = self.paths();
        paths.sort();
        paths
    }
}

fn refs_key(refs: &[&str]) -> String {
    format!("refs = {refs:?}")
}

/// The three models below `mf6`, and their registry.
fn tree() -> Vec<NamedFile> {
    tree_of(registry())
}

/// The three models below `mf6`, and another registry.
fn tree_of(registry: impl Into<Vec<u8>>) -> Vec<NamedFile> {
    let mut tree = below("mf6", &small_models());
    tree.push((REGISTRY.to_owned(), registry.into()));
    tree
}

fn registry() -> ModelsToml {
    ModelsToml::of(&small_models()).root("mf6")
}

/// The assets of a release: the three models in `models.zip`, and their registry.
fn assets() -> Vec<NamedFile> {
    let registry = registry().asset("models.zip");
    let models = below("mf6", &small_models());
    vec![
        ("models.toml".to_owned(), registry.into()),
        ("models.zip".to_owned(), zip(&models)),
    ]
}

/// Where git says which refs a repository has.
fn advertisement(repo: &str) -> String {
    format!("/{repo}/info/refs?service=git-upload-pack")
}

fn release(tag: &str) -> String {
    format!("/o/models/releases/download/{tag}/models.toml")
}

fn raw(commit: &str) -> String {
    format!("/o/models/raw/{commit}/{REGISTRY}")
}

/// Syncs everything.
fn sync(manager: &dyn Manager) -> String {
    sync_with(manager, &SyncOptions::default())
}

/// Syncs, and tells what became of it in a line for each registry.
fn sync_with(manager: &dyn Manager, options: &SyncOptions) -> String {
    match manager.sync(options) {
        Ok(report) => told(&report),
        Err(error) => format!("{} {}", error.code(), chain(&error)),
    }
}

fn told(report: &SyncReport) -> String {
    let at = |reference: &Option<String>| reference.clone().unwrap_or_else(|| "-".to_owned());
    let mut told = String::new();
    for registry in &report.synced {
        let reference = at(&registry.reference);
        let (mode, models) = (registry.mode.as_str(), registry.versions);
        writeln!(told, "synced {}@{reference} {mode} {models}", registry.name).unwrap();
    }
    for skipped in &report.skipped {
        let reference = at(&skipped.reference);
        writeln!(
            told,
            "skipped {}@{reference} {}",
            skipped.name,
            skipped.reason.as_str()
        )
        .unwrap();
    }
    for failed in &report.failed {
        let reference = at(&failed.reference);
        let (code, error) = (failed.error.code(), chain(&failed.error));
        writeln!(told, "failed {}@{reference} {code} {error}", failed.name).unwrap();
    }
    told
}

/// The models that are offered, as references in the order of text.
fn offered(manager: &dyn Manager) -> Vec<String> {
    offered_with(manager, &RemoteOptions::default()).unwrap()
}

fn offered_with(manager: &dyn Manager, options: &RemoteOptions) -> Result<Vec<String>> {
    let listing = manager.list_remote(options)?;
    let models = listing.models.iter();
    let mut models: Vec<String> = models.map(|remote| remote.model.to_string()).collect();
    models.sort();
    Ok(models)
}

/// The three models of a source at a ref.
fn models_at(name: &str, reference: &str) -> Vec<String> {
    let models = MODELS.iter();
    models
        .map(|model| format!("{name}/{model} {reference}"))
        .collect()
}

/// The refs of a source in a line each: name, whether configured, mode, number of models.
fn state(info: &SourceInfo) -> Vec<String> {
    let refs = info.refs.iter().map(|reference| {
        let configured = if reference.is_configured {
            "configured"
        } else {
            "extra"
        };
        let cached = reference.cached.as_ref().map(|cached| {
            let commit = cached.commit.as_deref().unwrap_or("-");
            let (repo, mode, models) = (&cached.repo, cached.mode.as_str(), cached.versions);
            format!("{repo} {mode} {commit} {models}")
        });
        let cached = cached.as_deref().unwrap_or("missing");
        format!("{} {configured} {cached}", reference.reference)
    });
    refs.collect()
}
