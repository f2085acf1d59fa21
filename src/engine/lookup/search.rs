//! Finding models by what is said about them.

use crate::catalog::registry::RegistryFailure;
use crate::catalog::{Facts, RemoteModel};
use crate::engine::Engine;
use crate::engine::local::list::{InstalledModel, ListOptions};
use crate::engine::lookup::list::{RemoteOptions, mark_installed};
use crate::error::{Error, Result};
use crate::model::ModelRef;
use crate::progress::CancelToken;
use crate::setters::setters;

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
            self.search_remote(query, &words, options, &mut report)?;
        } else {
            report.installed = self.list(&ListOptions::default())?.models;
            report.installed.retain(|model| {
                let facts = Facts {
                    model_type: model.model_type.clone(),
                    description: model.description().map(str::to_owned),
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
        report: &mut SearchReport,
    ) -> Result<()> {
        let mut remote = RemoteOptions::default()
            .offline(options.offline)
            .cancel(options.cancel.clone());
        remote.source.clone_from(&options.source);
        let sources = self.sources.select(options.source.as_deref())?;
        let (listing, searching): (Vec<_>, Vec<_>) =
            sources.iter().partition(|source| source.can_list());
        if !listing.is_empty() {
            match self.list_offers(&remote) {
                Ok(listing) => {
                    (report.remote, report.failures) = (listing.models, listing.failures);
                    report
                        .remote
                        .retain(|remote| matches(words, &remote.model, &remote.metadata.facts()));
                }
                Err(error) if searching.is_empty() || error.is_cancelled() => return Err(error),
                Err(error) => report.failures.push(RegistryFailure::new("", error)),
            }
        }
        let call = self.call(options.offline, &options.cancel);
        for source in searching {
            match source.search(&call, query) {
                Ok(found) => report.remote.extend(found),
                Err(error) if sources.len() == 1 || error.is_cancelled() => return Err(error),
                Err(error) => report.failures.push(source.identity().failure(None, error)),
            }
        }
        report.remote.sort_by(|a, b| a.model.cmp(&b.model));
        mark_installed(&self.records()?, &mut report.remote);
        Ok(())
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
