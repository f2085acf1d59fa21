//! Listing what the sources offer.

use std::mem;
use std::sync::Arc;

use crate::at_once::at_once;
use crate::catalog::registry::{Example, RemoteListing};
use crate::catalog::{LocalState, RemoteModel};
use crate::engine::Engine;
use crate::engine::local::list::Scope;
use crate::error::Result;
use crate::progress::CancelToken;
use crate::setters::setters;
use crate::source::{ListFilter, Source};
use crate::store::record::Records;

/// Which offers to list. Default: all.
///
/// ```
/// use modelrack::installed::Scope;
/// use modelrack::{CancelToken, Manager, RemoteOptions};
///
/// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
/// let options = RemoteOptions::default()
///     .scope(Scope::Model("digits/logistic".parse()?))
///     .source("digits")
///     .model_type("classification")
///     .offline(false)
///     .cancel(CancelToken::new());
/// assert_eq!(manager.list_remote(&options)?.models.len(), 3);
///
/// let of_branch = options.reference("develop");
/// assert!(manager.list_remote(&of_branch)?.models.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct RemoteOptions {
    /// The models to list. Default: all.
    pub scope: Scope,
    /// Only models of the source with this key or name. Default: of all sources.
    pub source: Option<String>,
    /// Only versions of this ref of a repository.
    pub reference: Option<String>,
    /// Only models of this type, such as `text-generation`.
    pub model_type: Option<String>,
    /// Open no socket: use cached registries only. Default: as configured.
    pub offline: bool,
    /// Cancels the listing.
    pub cancel: CancelToken,
}

setters!(RemoteOptions {
    scope: Scope,
    source: Some(impl Into<String>),
    reference: Some(impl Into<String>),
    model_type: Some(impl Into<String>),
    offline: bool,
    cancel: CancelToken,
});

impl Engine {
    /// Lists what the sources offer, and whether it is installed.
    pub(crate) fn list_remote(&self, options: &RemoteOptions) -> Result<RemoteListing> {
        let mut listing = self.list_offers(options)?;
        mark_installed(&self.records()?, &mut listing.models);
        Ok(listing)
    }

    /// Lists what the sources offer. What could not be read is in the listing, unless that is all there is.
    pub(crate) fn list_offers(&self, options: &RemoteOptions) -> Result<RemoteListing> {
        let call = self.call(options.offline, &options.cancel);
        let is_wanted = |remote: &RemoteModel| {
            options.scope.contains(&remote.model)
                && options.model_type.as_deref().is_none_or(|wanted| {
                    remote.metadata.facts().model_type.as_deref() == Some(wanted)
                })
        };
        let filter = ListFilter {
            reference: options.reference.as_deref(),
            is_named: options.source.is_some(),
            is_wanted: Some(&is_wanted),
        };
        let sources = self.listing_sources(options.source.as_deref())?;
        let mut all = join(ask_all(&sources, |source| source.list(&call, filter))?);
        all.models.retain(is_wanted);
        let order =
            |a: &RemoteModel, b: &RemoteModel| (&a.model, &a.source).cmp(&(&b.model, &b.source));
        // In place: a copy of 100,000 offers is large.
        all.models.sort_unstable_by(order);
        Ok(all)
    }

    /// The sources that a listing is about: those that can list, when there are any.
    fn listing_sources(&self, wanted: Option<&str>) -> Result<Vec<Arc<dyn Source>>> {
        let mut sources = self.sources.select(wanted)?;
        if wanted.is_none() && sources.iter().any(|source| source.can_list()) {
            sources.retain(|source| source.can_list());
        }
        Ok(sources)
    }

    /// Lists what registries say of models that belong together, in the order of names.
    pub(crate) fn examples(&self, options: &RemoteOptions) -> Result<Vec<Example>> {
        let mut all = Vec::new();
        for source in self.listing_sources(options.source.as_deref())? {
            all.extend(source.examples()?);
        }
        if let Some(wanted) = &options.reference {
            all.retain(|example| example.reference == *wanted);
        }
        all.sort_by(|a, b| (&a.name, &a.reference).cmp(&(&b.name, &b.reference)));
        Ok(all)
    }
}

/// Asks sources at the same time, so that one which cannot be reached makes nobody wait for the others. What could not be read is
/// in their answers, unless that is all there is.
pub(super) fn ask_all(
    sources: &[Arc<dyn Source>],
    ask: impl Fn(&dyn Source) -> Result<RemoteListing> + Sync,
) -> Result<Vec<RemoteListing>> {
    let mut listings = Vec::with_capacity(sources.len());
    for (source, answer) in sources
        .iter()
        .zip(at_once(sources, |source| ask(&**source)))
    {
        listings.push(match answer {
            Err(error) if error.is_cancelled() => return Err(error),
            Err(error) => RemoteListing {
                failures: vec![source.identity().failure(None, error)],
                ..RemoteListing::default()
            },
            Ok(listing) => listing,
        });
    }
    let is_read = |it: &RemoteListing| it.failures.is_empty() || !it.models.is_empty();
    if listings.iter().any(is_read) {
        return Ok(listings);
    }
    let mut failures = listings.into_iter().flat_map(|it| it.failures);
    // Nothing was asked where nothing failed.
    failures
        .next()
        .map_or(Ok(Vec::new()), |failed| Err(failed.error))
}

/// Puts answers into one.
pub(super) fn join(listings: Vec<RemoteListing>) -> RemoteListing {
    let mut all = RemoteListing::default();
    for mut listing in listings {
        // The larger list stays where it is, and the smaller one is copied.
        if all.models.len() < listing.models.len() {
            mem::swap(&mut all.models, &mut listing.models);
        }
        all.models.append(&mut listing.models);
        all.failures.extend(listing.failures);
    }
    all
}

/// Notes which of some offers are installed, and in which state.
pub(crate) fn mark_installed(records: &Records, offers: &mut [RemoteModel]) {
    for remote in offers {
        let Some(record) = records.get(&remote.model) else {
            continue;
        };
        // The same commit is the same state; another one may be.
        let is_same_commit =
            record.commit().is_some() && record.commit() == remote.commit.as_deref();
        // Whoever lists only names would have to be asked about each.
        remote.local =
            if remote.is_named_only || is_same_commit || record.offered() == remote.manifest_digest
            {
                LocalState::Current
            } else {
                LocalState::Outdated
            };
    }
}
