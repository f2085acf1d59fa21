//! One attempt at a pull: from what is offered to what is installed.

use std::time::Duration;

use tracing::info;

use super::{PullOptions, PullOutcome, PullReport, check_hashes};
use crate::disk::space::check_space;
use crate::engine::Engine;
use crate::engine::lookup::offer::Offer;
use crate::engine::pull::commit::{Committed, commit};
use crate::engine::pull::downloads::Meter;
use crate::engine::pull::measure::Measuring;
use crate::engine::pull::reuse::Holdings;
use crate::engine::transfer::Transfer;
use crate::engine::transfer::receive::Receiver;
use crate::error::{Error, ErrorKind, Result, chain};
use crate::http::call::Call;
use crate::manifest::Manifest;
use crate::progress::Phase;
use crate::source::Route;
use crate::source::places::Places;
use crate::store::ModelLock;
use crate::store::partial::{Claimed, Partial};
use crate::store::record::Records;

/// How long a partial that nobody comes back to is kept.
const PARTIAL_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// What an attempt works with.
pub(super) struct Attempt<'a> {
    pub(super) engine: &'a Engine,
    pub(super) options: &'a PullOptions,
    pub(super) concurrency: Option<usize>,
    pub(super) call: &'a Call,
    pub(super) meter: &'a Meter,
    pub(super) lock: &'a ModelLock<'a>,
    /// What was installed when the lock was taken.
    pub(super) records: &'a Records,
}

impl Attempt<'_> {
    /// Brings in what is offered, and enters what it did into the report. `manifest` is what it consists of, when that
    /// is known already.
    pub(super) fn run(
        &self,
        offer: &Offer,
        manifest: Option<&Manifest>,
        report: &mut PullReport,
    ) -> Result<()> {
        let places = offer.places(self.call)?;
        let Err(error) = self.run_at(offer, &places, manifest, report) else {
            return Ok(());
        };
        let is_wrong = is_of_source(&error);
        offer.source.distrust(&places, is_wrong);
        if !(places.is_shared() && is_wrong) || self.call.is_offline() {
            return Err(error);
        }
        // What a server packs may differ from what the commit has: attributes of git say so.
        let model = &offer.remote.model;
        info!(%model, error = %chain(&error), "the archive is of no use, fetching each file instead");
        let direct = Offer {
            route: Route::Direct,
            ..offer.clone()
        };
        let places = direct.places(self.call)?;
        self.run_at(&direct, &places, manifest, report)
    }

    fn run_at(
        &self,
        offer: &Offer,
        places: &Places,
        manifest: Option<&Manifest>,
        report: &mut PullReport,
    ) -> Result<()> {
        let engine = self.engine;
        let manifest = match manifest {
            Some(manifest) => manifest.clone(),
            None => engine.manifest(self.records, offer, self.call)?,
        };
        report.files_unverified = check_hashes(&manifest, self.options.require_hashes)?;
        let store = &engine.store;
        store.expire_partials(PARTIAL_AGE, &offer.remote.model);
        let model_type = self.options.type_of(&offer.remote);
        let claimed = Claimed {
            model_type: model_type.as_deref(),
            ..claimed(offer, &manifest)
        };
        let mut partial = Partial::claim(store.layout(), &claimed)?;
        let filled = self.fill(offer, &manifest, places, &mut partial, report);
        if let Err(error) = &filled {
            partial.fail(chain(error));
        }
        filled
    }

    /// Brings everything into the partial, and the partial into its place.
    fn fill(
        &self,
        offer: &Offer,
        offered: &Manifest,
        places: &Places,
        partial: &mut Partial,
        report: &mut PullReport,
    ) -> Result<()> {
        let (engine, meter) = (self.engine, self.meter);
        let model = &offer.remote.model;
        let mut new_bytes = 0;
        let manifest = match offered.is_measured() {
            true => offered.clone(),
            false => {
                let receiver = Receiver::new(self.call, meter, partial, 0);
                let digests = offered.files().iter().filter_map(|file| file.digest);
                let measuring = Measuring {
                    unmeasured: offered,
                    location: &offer.source.label(),
                    places,
                    partial,
                    receiver: &receiver,
                    meter,
                    held: &Holdings::sizes(&engine.store, self.records, model, digests),
                };
                let measured = measuring.run(self.concurrency);
                report.bytes_fetched += receiver.network_bytes();
                let measured = measured?;
                new_bytes = measured.new_bytes;
                partial.settle(&measured.manifest, &measured.here)?;
                measured.manifest
            }
        };
        let found = partial.found(&manifest);
        let planned = engine.plan_transfer(model, &manifest, places, &found)?;
        check_space(
            partial.dir(),
            manifest.known_bytes().saturating_sub(planned.bytes_resumed),
        )?;
        report.outcome = PullOutcome::Installed;
        report.files = manifest.files().len() as u64;
        report.total_bytes = manifest.known_bytes();
        report.bytes_reused = planned.bytes_reused;
        report.bytes_resumed = planned.bytes_resumed.saturating_sub(new_bytes);
        info!(%model, bytes = planned.bytes_to_fetch, "pulling");
        meter.expect(&manifest);
        meter.phase(Phase::Chunks);
        partial.lay_out(&manifest)?;
        let workers = planned.workers(self.concurrency);
        let transfer = Transfer {
            manifest: &manifest,
            partial,
            places,
            call: self.call,
            meter,
        };
        report.bytes_fetched += transfer.run(planned, workers)?.network_bytes;
        meter.phase(Phase::Extracting);
        let annotation = self.options.annotation();
        let committed = Committed {
            remote: &offer.remote,
            annotation: annotation.as_ref(),
        };
        report.path = commit(&engine.store, self.lock, partial, &manifest, &committed)?;
        Ok(())
    }
}

fn claimed<'a>(offer: &'a Offer, manifest: &'a Manifest) -> Claimed<'a> {
    let remote = &offer.remote;
    Claimed {
        model: &remote.model,
        source: &remote.source,
        offered: remote.manifest_digest,
        json: manifest.json(),
        total_bytes: manifest.total_bytes(),
        files: manifest.files().len() as u64,
        model_type: None,
    }
}

/// Whether an error is about what a source has, and not about this machine or what was asked for.
pub(super) fn is_of_source(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::HashMismatch { .. }
            | ErrorKind::SizeMismatch { .. }
            | ErrorKind::Registry { .. }
            | ErrorKind::Network { .. }
    )
}
