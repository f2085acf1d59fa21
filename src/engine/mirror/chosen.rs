//! Which versions a mirror is to have, and which of them it has.

use std::collections::BTreeMap;

use super::{MirrorReport, MirrorState, Mirroring, Missing};
use crate::at_once::at_once;
use crate::digest::Digest;
use crate::engine::lock::pull::LockedOptions;
use crate::engine::lookup::offer::Offer;
use crate::error::{Error, Result};
use crate::model::ModelRef;
use crate::publish::WrittenVersion;
use crate::source::Prefetched;

/// A version that was asked for.
pub(super) struct Chosen {
    pub(super) offer: Offer,
    /// Other names that it was asked for by.
    pub(super) aliases: Vec<String>,
    /// What it is to the mirror if that has another state of it, or none.
    pub(super) state: MirrorState,
}

/// What a mirror has of a version.
pub(super) enum Comparison {
    New,
    /// Another state of it.
    Changed,
    Unchanged(Box<There>),
}

/// A version that is in the mirror as it is offered.
pub(super) struct There {
    pub(super) manifest_digest: Digest,
    /// What the index has to say, if that is not what it says.
    pub(super) relabelled: Option<WrittenVersion>,
}

impl Mirroring<'_> {
    /// Finds what was asked for, each version once; what cannot be found is in the report.
    pub(super) fn choose(&self, report: &mut MirrorReport) -> Result<Vec<Chosen>> {
        let options = self.options;
        let mut chosen: BTreeMap<ModelRef, Chosen> = BTreeMap::new();
        if let Some(file) = &options.locked {
            let locked = LockedOptions::default()
                .file(file)
                .models(options.models.iter().cloned())
                .patterns(options.patterns.iter().cloned());
            let offers = self
                .engine
                .locked_offers(&locked, &self.records, &self.call)?;
            offers.into_iter().try_for_each(|it| add(&mut chosen, it))?;
            return Ok(chosen.into_values().collect());
        }
        if options.models.is_empty() && options.patterns.is_empty() {
            let message = "nothing is to be mirrored: name models, patterns or a lock";
            return Err(Error::argument(message));
        }
        let found = at_once(&options.models, |address| {
            let reading = self.engine.reading(address)?;
            self.engine.find_remote(&reading, &self.call)
        });
        for (address, found) in options.models.iter().zip(found) {
            match found {
                Ok(offer) => add(&mut chosen, offer)?,
                Err(error) if error.is_cancelled() => return Err(error),
                Err(error) => report.fail(address.to_string(), error),
            }
        }
        for pattern in &options.patterns {
            match self.engine.find_matching(pattern, &self.pull, &self.call) {
                Ok(offers) => offers.into_iter().try_for_each(|it| add(&mut chosen, it))?,
                Err(error) if error.is_cancelled() => return Err(error),
                Err(error) => report.fail(pattern.to_string(), error),
            }
        }
        self.call.cancel.check()?;
        Ok(chosen.into_values().collect())
    }

    /// Returns what the mirror has of a version, compared with what is offered.
    pub(super) fn compare(&self, chosen: &Chosen) -> Result<Comparison> {
        if let Some(comparison) = self.compare_artifact(chosen)? {
            return Ok(comparison);
        }
        let remote = &chosen.offer.remote;
        let published = self.opened.version(&remote.model, &chosen.aliases)?;
        let Some(published) = published else {
            return Ok(Comparison::New);
        };
        let offered = remote.manifest_digest;
        if published.manifest != offered && published.source != Some(offered) {
            return Ok(Comparison::Changed);
        }
        let metadata = remote.metadata.to_map();
        let mut aliases = chosen.aliases.iter();
        let is_as_said = published.metadata == metadata
            && aliases.all(|alias| published.aliases.contains(alias));
        let relabelled = (!is_as_said).then(|| WrittenVersion {
            aliases: chosen.aliases.clone(),
            source: published.source,
            ..WrittenVersion::new(remote.model.clone(), &metadata, published.manifest)
        });
        if relabelled.is_some() && self.opened.registry().is_none() {
            // An artifact says itself what describes it.
            return Ok(Comparison::Changed);
        }
        Ok(Comparison::Unchanged(Box::new(There {
            manifest_digest: published.manifest,
            relabelled,
        })))
    }

    /// Fetches what makes pulling several models together cheaper than one by one.
    pub(super) fn prefetch(&self, missing: &[Missing]) -> Result<Prefetched> {
        let offers: Vec<&Offer> = missing
            .iter()
            .map(|missing| &missing.chosen.offer)
            .collect();
        self.engine.prefetch(&offers, &self.pull)
    }
}

/// Adds an offer; an alias as the version that it stands for.
fn add(chosen: &mut BTreeMap<ModelRef, Chosen>, offer: Offer) -> Result<()> {
    let asked = &offer.remote.model;
    let (model, alias) = match &offer.remote.alias_of {
        None => (asked.clone(), None),
        Some(target) => {
            let model = asked.name().clone().version(&**target);
            let model = model.map_err(Error::argument_name)?;
            (model, Some(asked.version().to_owned()))
        }
    };
    let entry = chosen.entry(model);
    let offer = offer.named(entry.key());
    let chosen = entry.or_insert_with(|| Chosen {
        offer,
        aliases: Vec::new(),
        state: MirrorState::New,
    });
    chosen.aliases.extend(alias);
    chosen.aliases.sort();
    chosen.aliases.dedup();
    Ok(())
}
