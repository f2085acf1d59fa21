//! What a pull would do: decided without changing anything, and then run as it stands.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::{PullOptions, check_hashes};
use crate::engine::Engine;
use crate::engine::lookup::offer::Offer;
use crate::engine::transfer;
use crate::engine::transfer::local_copies::{LocalCopies, local_sizes};
use crate::engine::transfer::plan::{Leftovers, TransferPlan, plan};
use crate::error::{Error, Result};
use crate::http::call::Call;
use crate::manifest::Manifest;
use crate::model::{ModelAddress, ModelRef};
use crate::source::places::Places;
use crate::store::partial::{MeasuredFile, Partial, find_partials};
use crate::store::record::{ModelRecord, Records};

/// What a pull will do. [`Manager::execute`](crate::Manager::execute) does exactly that, with the options that the plan was
/// made with. The [module documentation](crate::pull) has an example.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct PullPlan {
    /// The model.
    #[serde(flatten)]
    pub model: ModelRef,
    /// Whether exactly this state is installed already, so that there is nothing to do.
    #[serde(rename = "outcome", serialize_with = "outcome")]
    pub installed: bool,
    /// The number of files of the model.
    pub files: usize,
    /// The number of files without a digest, whose bytes cannot be verified.
    pub files_unverified: usize,
    /// The paths of those files, sorted.
    pub unverified: Vec<String>,
    /// The number of files whose sizes the registry does not state. The bytes below do not include them, and each takes a
    /// request.
    pub files_unsized: usize,
    /// The size of the model, in bytes.
    pub total_bytes: u64,
    /// Bytes to fetch.
    pub bytes_to_fetch: u64,
    /// Bytes that other models or unfinished pulls on this machine have.
    pub bytes_reused: u64,
    /// Bytes that an unfinished pull of this model left; they are verified again.
    pub bytes_resumed: u64,
    /// The number of requests, without those for the index and the manifest.
    pub requests: usize,
    #[serde(skip)]
    pub(crate) target: Option<Arc<PullTarget>>,
    #[serde(skip)]
    pub(crate) options: PullOptions,
}

fn outcome<S: Serializer>(installed: &bool, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match installed {
        true => "already_installed",
        false => "planned",
    })
}

impl PullPlan {
    /// Creates the plan of a pull that has nothing to do, for implementations of [`Manager`](crate::Manager): a
    /// [`ModelManager`](crate::ModelManager) does not execute it. The [module documentation](crate::pull) has an example.
    #[must_use]
    pub fn new(model: ModelRef) -> Self {
        Self {
            model,
            installed: false,
            total_bytes: 0,
            bytes_to_fetch: 0,
            bytes_reused: 0,
            bytes_resumed: 0,
            files: 0,
            requests: 0,
            files_unverified: 0,
            unverified: Vec::new(),
            files_unsized: 0,
            target: None,
            options: PullOptions::default(),
        }
    }

    /// Returns the files of the version, if it was found at its source.
    pub(crate) fn manifest(&self) -> Option<&Manifest> {
        match self.target.as_deref()? {
            PullTarget::Offer(_, manifest) => manifest.as_ref(),
            PullTarget::Installed(..) => None,
        }
    }

    pub(crate) fn target(&self) -> Result<&PullTarget> {
        let target = self.target.as_deref();
        target.ok_or_else(|| Error::argument("this plan was not made by a manager"))
    }
}

/// What is pulled, once it has been looked up.
pub(crate) enum PullTarget {
    /// An installed model whose source cannot have another state, or cannot be asked.
    Installed(ModelRef, ModelRecord),
    /// A version at its source, and its files if they are known.
    Offer(Offer, Option<Manifest>),
}

impl PullTarget {
    pub(crate) fn model(&self) -> &ModelRef {
        match self {
            Self::Installed(model, _) => model,
            Self::Offer(offer, _) => &offer.remote.model,
        }
    }
}

impl fmt::Debug for PullTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PullTarget({})", self.model())
    }
}

impl Engine {
    /// Returns what a pull would do.
    pub(crate) fn plan_pull(
        &self,
        address: &ModelAddress,
        options: &PullOptions,
    ) -> Result<PullPlan> {
        let call = self.call(options.offline, &options.cancel);
        let call = call.with_progress(options.progress.as_ref());
        match self.resolve(&self.reading(address)?, options, &call)? {
            (PullTarget::Installed(model, record), _) => {
                self.plan_installed(model, record, options)
            }
            (PullTarget::Offer(offer, _), records) => {
                let records = records.map_or_else(|| self.records(), Ok)?;
                self.plan_offer(&records, offer, options, &call)
            }
        }
    }

    pub(crate) fn plan_installed(
        &self,
        model: ModelRef,
        record: ModelRecord,
        options: &PullOptions,
    ) -> Result<PullPlan> {
        let unverified = self.unverified(&model, &record, options)?;
        Ok(PullPlan {
            installed: true,
            total_bytes: record.total_size,
            files: usize::try_from(record.file_count).unwrap_or(usize::MAX),
            files_unverified: unverified.len(),
            unverified,
            options: options.clone(),
            target: Some(Arc::new(PullTarget::Installed(model.clone(), record))),
            ..PullPlan::new(model)
        })
    }

    /// Returns what pulling a version from its source would do.
    pub(crate) fn plan_offer(
        &self,
        records: &Records,
        offer: Offer,
        options: &PullOptions,
        call: &Call,
    ) -> Result<PullPlan> {
        // A plan fetches little, whatever it may cost to pull.
        let call = &call.without_archives();
        let model = &offer.remote.model;
        self.store.check_place(records, model)?;
        let record = records.get(model);
        let is_same = |record: &ModelRecord| record.offered() == offer.remote.manifest_digest;
        // What has to be verified first may have to be fetched; a plan does not find out.
        let is_sure = |record: &ModelRecord| !self.store.is_unverified(model, record);
        let installed = record.is_some_and(|record| is_same(record) && is_sure(record))
            && self.store.layout().model_dir(model).is_dir();
        let manifest = self.manifest(records, &offer, call)?;
        let unverified = check_hashes(&manifest, options.require_hashes)?;
        let plan = if installed && !options.force && manifest.is_measured() {
            PullPlan {
                installed,
                total_bytes: manifest.known_bytes(),
                files: manifest.files().len(),
                ..PullPlan::new(model.clone())
            }
        } else {
            self.plan_files(records, &offer, &manifest, call)?
        };
        Ok(PullPlan {
            files_unverified: unverified.len(),
            unverified,
            options: options.clone(),
            target: Some(Arc::new(PullTarget::Offer(offer, Some(manifest)))),
            ..plan
        })
    }

    fn plan_files(
        &self,
        records: &Records,
        offer: &Offer,
        manifest: &Manifest,
        call: &Call,
    ) -> Result<PullPlan> {
        let model = &offer.remote.model;
        let measured = self.measured_before(model, manifest);
        let manifest = measured.as_ref().unwrap_or(manifest);
        if !manifest.is_measured() {
            let mut plan = self.plan_unmeasured(model, manifest, records);
            if plan.requests > 0
                && let Places::WholeZip { size_bytes } = offer.places(call)?
            {
                (plan.requests, plan.bytes_to_fetch) = (1, size_bytes.unwrap_or(plan.total_bytes));
            }
            return Ok(plan);
        }
        let unpacked = self.with_unpacked(records, offer, manifest);
        let manifest = unpacked.as_ref().unwrap_or(manifest);
        let places = offer.places(call)?;
        let mut partials = find_partials(self.store.layout()).into_iter();
        let own = partials.find(|partial| partial.is_of(model, manifest));
        let members =
            |partial: &Partial| Some(partial.raw_members(&places.zip()?.directory.digest));
        let left = Leftovers {
            ranges: own.as_ref().map(Partial::journal).unwrap_or_default(),
            members: own.as_ref().and_then(members),
        };
        let plan = self.plan_transfer(model, manifest, &places, &left, records)?;
        Ok(PullPlan {
            total_bytes: manifest.known_bytes(),
            bytes_to_fetch: plan.bytes_to_fetch,
            bytes_reused: plan.bytes_reused,
            bytes_resumed: plan.bytes_resumed,
            files: manifest.files().len(),
            requests: plan.requests,
            ..PullPlan::new(model.clone())
        })
    }

    /// Returns the manifest with the sizes that an unfinished pull measured, if there is one.
    fn measured_before(&self, model: &ModelRef, manifest: &Manifest) -> Option<Manifest> {
        if manifest.is_measured() {
            return None;
        }
        Partial::find(self.store.layout(), model, &manifest.digest())?.manifest()
    }

    /// Plans as far as sizes are known: from the registry, an unfinished pull, or other models of the store.
    fn plan_unmeasured(
        &self,
        model: &ModelRef,
        manifest: &Manifest,
        records: &Records,
    ) -> PullPlan {
        let local = local_sizes(&self.store, records, model, manifest);
        let partial = Partial::find(self.store.layout(), model, &manifest.digest());
        let measured = partial.map(|partial| partial.measured());
        let measured: HashMap<usize, MeasuredFile> = measured.into_iter().flatten().collect();
        let mut plan = PullPlan {
            files: manifest.files().len(),
            ..PullPlan::new(model.clone())
        };
        let mut planned = HashSet::new();
        for (index, file) in manifest.files().iter().enumerate() {
            let measured = measured.get(&index);
            let local = file.digest.and_then(|digest| local.get(&digest).copied());
            let measured_bytes = measured.map(|measured| measured.size_bytes);
            let size_bytes = file.size_bytes.or(measured_bytes).or(local);
            let known_bytes = size_bytes.unwrap_or(0);
            plan.total_bytes += known_bytes;
            plan.files_unsized += usize::from(size_bytes.is_none());
            if measured.is_some_and(|measured| measured.is_here) {
                plan.bytes_resumed += known_bytes;
            } else if local.is_some() {
                plan.bytes_reused += known_bytes;
            } else if size_bytes != Some(0)
                && file.digest.is_none_or(|digest| planned.insert(digest))
            {
                plan.bytes_to_fetch += known_bytes;
                plan.requests += 1;
            }
        }
        plan
    }

    /// Decides where each byte comes from.
    pub(crate) fn plan_transfer(
        &self,
        model: &ModelRef,
        manifest: &Manifest,
        places: &Places,
        left: &Leftovers,
        records: &Records,
    ) -> Result<TransferPlan> {
        let elsewhere = places.elsewhere();
        let copies = LocalCopies::find(&self.store, records, model, manifest, elsewhere);
        let mut plan = plan(manifest, &left.ranges, &copies, places.has_ranges());
        match places {
            Places::Zip { zip, .. } if zip.kept.is_some() => {
                (plan.requests, plan.bytes_to_fetch) = (0, 0);
            }
            Places::Zip { .. } => transfer::members::plan(places, manifest, left, &mut plan)?,
            Places::WholeZip { size_bytes } if plan.requests > 0 => {
                (plan.requests, plan.bytes_to_fetch) =
                    (1, size_bytes.unwrap_or(plan.bytes_to_fetch));
            }
            _ => {}
        }
        Ok(plan)
    }
}
