//! One attempt at a pull: from what is offered to what is installed.

use std::iter;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use super::commit::commit;
use super::learn::learn;
use super::measure::Measuring;
use super::{PullOptions, PullOutcome, PullReport, check_hashes};
use crate::catalog::RemoteModel;
use crate::disk::space::check_space;
use crate::engine::Engine;
use crate::engine::lookup::offer::{LockedOrigin, Offer, nothing_selected};
use crate::engine::pull::selection::Selection;
use crate::engine::transfer::Transfer;
use crate::engine::transfer::local_copies::local_sizes;
use crate::engine::transfer::members::largest_member;
use crate::engine::transfer::pace::{MAX_CONNECTIONS, fixed_connections};
use crate::engine::transfer::plan::Leftovers;
use crate::engine::transfer::receive::Receiver;
use crate::engine::transfer::tally::Tally;
use crate::error::{Error, ErrorKind, Result, chain};
use crate::http::call::Call;
use crate::manifest::Manifest;
use crate::progress::Phase;
use crate::source::Route;
use crate::source::places::Places;
use crate::store::ModelLock;
use crate::store::partial::{Claim, PartialWriter, UnpackOptions, remove_partial};
use crate::store::record::Records;

/// How long an abandoned partial is kept.
const PARTIAL_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// Who takes files that were pulled, instead of the store.
#[derive(Clone, Copy)]
pub(crate) struct HandOver<'a> {
    /// Takes them, with what they are and the folder that they are in.
    pub(crate) take: &'a (dyn Fn(&Manifest, &Path) -> Result<()> + Sync),
    /// Whether archives are taken as they are, and not what is in them.
    pub(crate) is_packed: bool,
}

/// What is pulled, and how.
#[derive(Clone, Copy)]
pub(super) struct Pull<'a> {
    pub(super) offer: &'a Offer,
    /// Its files, if they are known already.
    pub(super) manifest: Option<&'a Manifest>,
    pub(super) options: &'a PullOptions,
    pub(super) call: &'a Call,
    pub(super) tally: &'a Tally,
    /// Takes the files instead of the store, if there is somebody.
    pub(super) hand_over: Option<HandOver<'a>>,
}

/// What an attempt works with.
#[derive(Clone, Copy)]
pub(super) struct Attempt<'a> {
    pub(super) engine: &'a Engine,
    pub(super) pull: &'a Pull<'a>,
    pub(super) concurrency: Option<usize>,
    pub(super) lock: &'a ModelLock<'a>,
    /// What was installed when the lock was taken.
    pub(super) records: &'a Records,
}

impl Attempt<'_> {
    /// Pulls what is offered and completes the report. What a lock says comes from one source after another, until one has it.
    pub(super) fn run(&self, offer: &Offer, report: &mut PullReport) -> Result<()> {
        match offer.locked.as_deref() {
            Some(origin) => self.run_locked(offer, origin, report),
            None => self.run_from(offer, report),
        }
    }

    fn run_locked(
        &self,
        offer: &Offer,
        origin: &LockedOrigin,
        report: &mut PullReport,
    ) -> Result<()> {
        let mut sources: Vec<_> = iter::once(&offer.source).chain(&origin.others).collect();
        origin.unreachable.put_last(&mut sources);
        let mut first_error = None;
        for source in sources {
            let offered = match Arc::ptr_eq(source, &offer.source) {
                true => Ok(Some(offer.clone())),
                false => origin.offer(source, &offer.remote, self.pull.call),
            };
            let offered = match offered {
                Ok(Some(offered)) => offered,
                Ok(None) => continue,
                Err(error) => {
                    origin.unreachable.learn(&**source, &error);
                    continue;
                }
            };
            if let Some(error) = &first_error {
                warn!(error = %chain(error), "{} cannot come from the first source; trying {}", offer.remote.model, source.label());
            }
            match self.run_from(&offered, report) {
                Err(error) if may_be_elsewhere(&error) => {
                    origin.unreachable.learn(&**source, &error);
                    first_error.get_or_insert(error);
                }
                result => return result,
            }
        }
        Err(first_error.unwrap_or_else(|| Error::internal("no source to pull from")))
    }

    fn run_from(&self, offer: &Offer, report: &mut PullReport) -> Result<()> {
        // What keeps one source off the network does not keep the next one.
        let call = &offer.call(self.pull.call);
        let pull = &Pull { call, ..*self.pull };
        Attempt { pull, ..*self }.run_allowed(offer, report)
    }

    fn run_allowed(&self, offer: &Offer, report: &mut PullReport) -> Result<()> {
        let fetched_before = self.pull.tally.network_bytes();
        let places = offer.places(self.pull.call)?;
        // An archive that comes only as a whole.
        report.bytes_fetched += self.pull.tally.network_bytes() - fetched_before;
        let Err(error) = self.run_at(offer, &places, report) else {
            return Ok(());
        };
        let is_wrong = is_of_source(&error);
        offer.source.distrust(&places, is_wrong);
        if !(places.is_shared() && is_wrong) || self.pull.call.is_offline() {
            return Err(error);
        }
        // What a server packs may differ from what the commit has, as attributes of git can say.
        let model = &offer.remote.model;
        warn!(error = %chain(&error), "the archive with {model} cannot be used; fetching each file instead");
        let direct = Offer {
            route: Route::Direct,
            ..offer.clone()
        };
        let places = direct.places(self.pull.call)?;
        self.run_at(&direct, &places, report)
    }

    fn run_at(&self, offer: &Offer, places: &Places, report: &mut PullReport) -> Result<()> {
        let store = &self.engine.store;
        // Another source of the same version may have cut it otherwise.
        let is_first = Arc::ptr_eq(&offer.source, &self.pull.offer.source);
        let manifest = match self.pull.manifest.filter(|_| is_first) {
            Some(manifest) => manifest.clone(),
            None => self.engine.manifest(self.records, offer, self.pull.call)?,
        };
        report.files_unverified = check_hashes(&manifest, self.pull.options.require_hashes)?;
        store.expire_partials(PARTIAL_AGE, &offer.remote.model);
        store.settle_some(self.records);
        if !self.keeps_archives()
            && let Some(with_unpacked) = self.engine.with_unpacked(self.records, offer, &manifest)
        {
            match self.run_with(offer, with_unpacked, places, report) {
                // What is installed need not be what it was.
                Err(error) if is_of_source(&error) => {
                    warn!(error = %chain(&error), "what is installed of {} cannot be used; fetching its archives", offer.remote.model);
                }
                result => return result,
            }
        }
        self.run_with(offer, manifest, places, report)
    }

    fn run_with(
        &self,
        offer: &Offer,
        manifest: Manifest,
        places: &Places,
        report: &mut PullReport,
    ) -> Result<()> {
        let store = &self.engine.store;
        let model_type = self.pull.options.type_of(&offer.remote);
        let remote = RemoteModel {
            // Where the bytes are in an unfinished pull depends on what is in it.
            manifest_digest: manifest.digest(),
            ..offer.remote.clone()
        };
        let claim = Claim {
            remote: match manifest.has_unpacked() {
                true => &remote,
                false => &offer.remote,
            },
            manifest: &manifest,
            model_type: model_type.as_deref(),
            is_alone: self.lock.is_real(),
            boot: store.boot(),
            unsettled: store.boot_to_mark(&offer.remote.model),
        };
        let mut partial = PartialWriter::claim(store.layout(), &claim)?;
        let filled = self.fill(offer, manifest, places, &mut partial, report);
        if let Err(error) = &filled {
            partial.fail(chain(error));
        }
        filled
    }

    /// Brings all bytes into the partial, and the partial into its place.
    fn fill(
        &self,
        offer: &Offer,
        mut manifest: Manifest,
        places: &Places,
        partial: &mut PartialWriter,
        report: &mut PullReport,
    ) -> Result<()> {
        let (engine, store, tally) = (self.engine, &self.engine.store, self.pull.tally);
        let model = &offer.remote.model;
        let mut new_bytes = 0;
        if !manifest.is_measured() {
            (manifest, new_bytes) = self.measure(offer, &manifest, places, partial, report)?;
        }
        let manifest = Arc::new(manifest);
        partial.take_from_others(store.layout(), &manifest, &self.pull.call.cancel)?;
        let mut members = None;
        if let Some(zip) = places.zip().filter(|_| !places.is_shared()) {
            let begun = partial.begin_members(&zip.directory.digest, &manifest)?;
            members = Some(begun).filter(|_| zip.kept.is_none());
        }
        let mut left = Leftovers {
            ranges: partial.resumed(&manifest),
            members,
        };
        let plan = engine.plan_transfer(model, &manifest, places, &left, self.records)?;
        let total_bytes = manifest.known_bytes();
        let missing_bytes = total_bytes.saturating_sub(plan.bytes_resumed);
        check_space(partial.bulk_dir(), missing_bytes)?;
        if let Some(members) = &mut left.members {
            let member_bytes = largest_member(places, &manifest, &plan.tasks)?;
            let connections = self.concurrency.unwrap_or(MAX_CONNECTIONS);
            let room_bytes = member_bytes.saturating_mul(connections as u64);
            let room = check_space(partial.bulk_dir(), missing_bytes.saturating_add(room_bytes));
            members.has_room = room.is_ok();
        }
        report.outcome = PullOutcome::Installed;
        report.files = manifest.files().len() as u64;
        report.total_bytes = total_bytes;
        report.bytes_reused = plan.bytes_reused;
        report.bytes_resumed = plan.bytes_resumed.saturating_sub(new_bytes);
        info!(%model, bytes = plan.bytes_to_fetch, "pulling");
        tally.expect(&manifest, &plan);
        tally.phase(Phase::Chunks);
        partial.lay_out(&manifest)?;
        let transfer = Transfer {
            manifest: &manifest,
            partial,
            members: left.members.as_ref(),
            places,
            call: &places.authorized(self.pull.call),
            tally,
            connections: self.concurrency,
        };
        report.bytes_fetched += transfer.run(plan)?;
        let is_packed = manifest.archives().next().is_some() && !self.keeps_archives();
        let manifest = match is_packed {
            true => {
                tally.phase(Phase::Unpacking);
                self.unpack(offer, manifest, partial, report)?
            }
            false => manifest,
        };
        tally.phase(Phase::Extracting);
        let annotation = self.pull.options.annotation();
        let lock = self.lock;
        let learned = learn(&manifest, &partial.files_dir(), &self.pull.call.cancel)?;
        if let Some(hand_over) = self.pull.hand_over {
            partial.close();
            (hand_over.take)(&learned, &partial.files_dir())?;
            return remove_partial(partial.dir());
        }
        report.path = commit(lock, partial, &learned, &offer.remote, annotation.as_ref())?;
        Ok(())
    }

    /// Whether archives are of use as they are.
    fn keeps_archives(&self) -> bool {
        self.pull.hand_over.is_some_and(|it| it.is_packed)
    }

    /// Replaces archives by what is in them.
    fn unpack(
        &self,
        offer: &Offer,
        manifest: Arc<Manifest>,
        partial: &PartialWriter,
        report: &mut PullReport,
    ) -> Result<Arc<Manifest>> {
        let pin = offer.remote.pin.as_deref();
        let selection = pin.map(Selection::pinned).unwrap_or_default();
        let options = UnpackOptions {
            wants: &|path| selection.wants(path),
            cancel: &self.pull.call.cancel,
        };
        let Some(unpacked) = partial.unpack(&manifest, options)? else {
            return Ok(manifest);
        };
        self.engine.refuse_faults(offer, &unpacked.manifest)?;
        if unpacked.manifest.files().is_empty() {
            let model = &offer.remote.model;
            return Err(match selection.is_everything() {
                true => Error::registry(
                    offer.source.label(),
                    format!("the archives of {model} have no files"),
                ),
                false => nothing_selected(model),
            });
        }
        let manifest = unpacked.put_in_place()?;
        report.files = manifest.files().len() as u64;
        report.total_bytes = manifest.known_bytes();
        Ok(Arc::new(manifest))
    }

    /// Learns the sizes that the registry does not state; returns the manifest that has them, and the number of bytes that
    /// came with them.
    fn measure(
        &self,
        offer: &Offer,
        unmeasured: &Manifest,
        places: &Places,
        partial: &mut PartialWriter,
        report: &mut PullReport,
    ) -> Result<(Manifest, u64)> {
        let limit = self.pull.call.client.rate_limit();
        let connections = self.concurrency.unwrap_or_else(|| fixed_connections(limit));
        let call = places.authorized(self.pull.call);
        let receiver = Receiver::new(&call, self.pull.tally, partial, Some(connections));
        let (store, model) = (&self.engine.store, &offer.remote.model);
        let measuring = Measuring {
            unmeasured,
            location: &offer.source.label(),
            places,
            partial,
            receiver: &receiver,
            tally: self.pull.tally,
            local_sizes: &local_sizes(store, self.records, model, unmeasured),
        };
        let measured = measuring.run();
        report.bytes_fetched += receiver.network_bytes();
        let measured = measured?;
        partial.set_manifest(&measured.manifest, &measured.here)?;
        Ok((measured.manifest, measured.new_bytes))
    }
}

/// Whether another source may have what one does not give.
fn may_be_elsewhere(error: &Error) -> bool {
    is_of_source(error)
        || matches!(
            error.kind(),
            ErrorKind::Offline { .. }
                | ErrorKind::RateLimited { .. }
                | ErrorKind::Authentication { .. }
        )
}

/// Whether an error is about what a source has, and not about this machine or what was asked for.
fn is_of_source(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::HashMismatch { .. }
            | ErrorKind::SizeMismatch { .. }
            | ErrorKind::Registry { .. }
            | ErrorKind::Network { .. }
            | ErrorKind::Certificate { .. }
            | ErrorKind::Tls { .. }
            | ErrorKind::Proxy { .. }
            | ErrorKind::WebPage { .. }
    )
}
