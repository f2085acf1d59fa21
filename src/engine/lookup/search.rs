//! Finding models by what is said about them.

use crate::catalog::registry::{RegistryFailure, RemoteListing};
use crate::catalog::{Facts, RemoteModel};
use crate::engine::Engine;
use crate::engine::local::list::{InstalledModel, ListOptions};
use crate::engine::lookup::list::{ask_all, join, mark_installed};
use crate::error::{Error, Result};
use crate::model::ModelRef;
use crate::progress::CancelToken;
use crate::setters::setters;
use crate::source::ListFilter;

/// What to search in.
///
/// ```
/// use modelrack::{CancelToken, Manager, SearchOptions};
///
/// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
/// let options = SearchOptions::default()
///     .remote(true)
///     .source("digits")
///     .offline(false)
///     .cancel(CancelToken::new());
/// assert_eq!(manager.search("logistic images", &options)?.remote.len(), 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct SearchOptions {
    /// Search what sources offer. Default: what is installed.
    pub remote: bool,
    /// Only offers of the source with this key or name.
    pub source: Option<String>,
    /// Open no socket: use cached registries only. Default: as configured.
    pub offline: bool,
    /// Cancels the search.
    pub cancel: CancelToken,
}

setters!(SearchOptions {
    remote: bool,
    source: Some(impl Into<String>),
    offline: bool,
    cancel: CancelToken,
});

/// What a search found, in the order of names: either installed models or offers.
///
/// ```
/// use modelrack::{Manager, ManagerExt, SearchOptions};
///
/// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
/// manager.pull_model("digits/logistic v1")?;
/// let report = manager.search("handwritten", &SearchOptions::default())?;
/// assert_eq!(report.installed[0].model.to_string(), "digits/logistic v1");
///
/// let report = manager.search("handwritten", &SearchOptions::default().remote(true))?;
/// assert_eq!(report.remote.len(), 3);
/// assert!(report.failures.is_empty(), "all registries could be read");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct SearchReport {
    /// Installed models.
    pub installed: Vec<InstalledModel>,
    /// Offers of sources.
    pub remote: Vec<RemoteModel>,
    /// Registries that could not be read, or were never synced.
    pub failures: Vec<RegistryFailure>,
}

impl Engine {
    /// Finds the models that have every word of the query in their name, description, type or tags.
    pub(crate) fn search(&self, query: &str, options: &SearchOptions) -> Result<SearchReport> {
        let words: Vec<String> = query.split_whitespace().map(str::to_lowercase).collect();
        if words.is_empty() {
            return Err(Error::argument("the query is empty"));
        }
        let mut report = SearchReport::default();
        if options.remote {
            let found = self.search_remote(query, &words, options)?;
            (report.remote, report.failures) = (found.models, found.failures);
        } else {
            report.installed = self.list(&ListOptions::default())?.models;
            report.installed.retain(|model| {
                let facts = Facts {
                    model_type: model.model_type.clone(),
                    description: model.description(),
                    tags: model.tags.clone(),
                };
                matches(&words, &model.model, &facts)
            });
        }
        Ok(report)
    }

    /// Asks the sources that search by themselves, and looks through what the others offer.
    fn search_remote(
        &self,
        query: &str,
        words: &[String],
        options: &SearchOptions,
    ) -> Result<RemoteListing> {
        let call = self.call(options.offline, &options.cancel);
        let is_found =
            |remote: &RemoteModel| matches(words, &remote.model, &remote.metadata.facts());
        let filter = ListFilter {
            reference: None,
            is_named: options.source.is_some(),
            is_wanted: Some(&is_found),
        };
        let sources = self.sources.select(options.source.as_deref())?;
        let mut listings = ask_all(&sources, |source| match source.can_list() {
            true => source.list(&call, filter),
            false => source.search(&call, query).map(|models| RemoteListing {
                models,
                ..RemoteListing::default()
            }),
        })?;
        for (source, listing) in sources.iter().zip(&mut listings) {
            if source.can_list() {
                listing.models.retain(is_found);
            }
        }
        let mut found = join(listings);
        found
            .models
            .sort_by(|a, b| (&a.model, &a.source).cmp(&(&b.model, &b.source)));
        mark_installed(&self.records()?, &mut found.models);
        Ok(found)
    }
}

fn matches(words: &[String], model: &ModelRef, facts: &Facts) -> bool {
    let mut text = model.to_string().to_lowercase();
    let said = facts.model_type.iter().chain(&facts.description);
    for more in said.chain(&facts.tags) {
        text.push('\n');
        text.push_str(&more.to_lowercase());
    }
    words.iter().all(|word| text.contains(word.as_str()))
}
