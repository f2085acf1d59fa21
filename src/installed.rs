//! What is installed, and what listing, verifying, updating, copying and removing it reports.
//!
//! | name | what it is |
//! |---|---|
//! | [`ListOptions`], [`Scope`], [`Status`] | which models to list |
//! | [`Listing`], [`InstalledModel`], [`InstalledDetail`], [`PartialModel`] | what is installed, and unfinished pulls |
//! | [`Annotation`] | what to change of a model's record |
//! | [`InstallOptions`], [`InstallReport`] | installing a model from files that were made by hand |
//! | [`VerifyOptions`], [`VerifyReport`], [`VerifiedModel`], [`DamagedFile`], [`Damage`] | verifying |
//! | [`UpdateOptions`], [`UpdateReport`], [`UpdateEntry`], [`Freshness`], [`Change`] | updating |
//! | [`UsageOptions`], [`UsageReport`], [`ModelUsage`] | what takes space on the disk |
//! | [`CopyOptions`], [`CopyReport`] | copying into a workspace |
//! | [`RemoveReport`], [`PruneOptions`], [`PrunePlan`], [`PruneReport`], [`PrunedPartial`] | removing models and partials |
//!
//! [`Manager`](crate::Manager) has an example for each operation.
//!
//! # On disk
//!
//! The store of an app, by default in `<data dir>/<app>/models`:
//!
//! ```text
//! registry.json                  what is installed
//! registry.json.bak              its backup, which is read if it is damaged
//! registry.json.lock             held while either is written
//! cache/                         unfinished pulls, and the locks of models
//! <group…>/<model>/<version>/
//! ├── .<app>/manifest.json       the manifest as the registry serves it, and what it lacks as it came: sizes, digests
//! ├── .<app>/record.json         the entry in registry.json
//! ├── .<app>/clones.json         which files were cloned, and so share blocks with others
//! └── …                          the files of the model
//! ```
//!
//! The names of folders are percent-encoded where some file system would refuse them. `registry.json` has an entry for each
//! version:
//!
//! ```json
//! {"<group>": {"<model>": {"<version>": {
//!   "manifest_hash": "<sha256>", "total_size": 12, "file_count": 1, "installed_at": "2026-01-31T12:00:00Z",
//!   "source": "weights", "type": "classification", "tags": ["digits"], "metadata": {"description": "…"},
//!   "offered_hash": "<sha256>", "pin": {"repo": "o/n", "commit": "<commit>", "root": "mf6/test001a"},
//!   "annotation": {"type": "classification", "metadata": {"accuracy": 0.9, "description": null}},
//!   "unsettled": "<boot>"
//! }}}}
//! ```
//!
//! The last four lines are optional: a store that another implementation of this format wrote has none of them. A model that
//! was made by hand has `"made_by_hand": true` in place of `source`. Unknown fields are ignored when the file is read, and kept when it is changed.
//!
//! # After a power cut
//!
//! On Linux, a pull of a model of which nothing is installed yet does not wait until the disk has all files, if the store is on
//! a local file system of a kind that stays with its machine: not FAT, exFAT or NTFS, nor the file system of a container.
//! Its record is on the disk, and says under which boot of the system the model was installed (`unsettled`). Everywhere else,
//! and with [`Config::durable`](crate::Config::durable), a pull ends when the disk has the files.
//!
//! When the system has been restarted since, the model is listed as [`Status::Unverified`]. Before its folder is returned or
//! its files are copied, they are verified, once; then it is like any other. If bytes are lost, [`Manager::path`] and
//! [`Manager::get`] fail with [`ErrorKind::Damaged`], [`Manager::verify`] can repair the model, and
//! [`Manager::pull`], [`ManagerExt::ensure`] and [`Manager::copy`] do. Only what is lost is fetched.
//!
//! Verifying a model, and pulling or copying it again a minute or more after it was installed, makes sure that the disk has
//! it, and records that; so does any other pull, for some models at a time. Whoever only reads changes nothing, so after a
//! regular restart, too, a model may have to be verified. A disk that is unplugged while the system runs is not noticed, and
//! copies of a store are verified on the machines that they are made for: [`Config::durable`](crate::Config::durable) is for
//! these.
//!
//! [`Manager::path`]: crate::Manager::path
//! [`Manager::get`]: crate::Manager::get
//! [`Manager::verify`]: crate::Manager::verify
//! [`Manager::pull`]: crate::Manager::pull
//! [`Manager::copy`]: crate::Manager::copy
//! [`ManagerExt::ensure`]: crate::ManagerExt::ensure
//! [`ErrorKind::Damaged`]: crate::ErrorKind::Damaged
//!
//! # Reports of your own
//!
//! An implementation of [`Manager`](crate::Manager), such as a fake one for tests, makes the same reports: `new` takes what a
//! report cannot do without, and the other fields can be set.
//!
//! ```
//! use modelrack::installed::{
//!     Change, CopyReport, Damage, DamagedFile, Freshness, InstallReport, InstalledDetail, InstalledModel, Listing,
//!     ModelUsage, PartialModel, PrunePlan, PrunedPartial, Status, UpdateEntry, UsageReport, VerifiedModel,
//! };
//! use modelrack::pull::PullPlan;
//! use modelrack::{Digest, Manifest, ModelRef};
//!
//! let model = ModelRef::new("whisper", "tiny", "fp16")?;
//! let json = br#"{"total_size": 0, "chunk_size": 1, "chunks": [], "files": []}"#;
//! let manifest = Manifest::parse(json.to_vec(), "a test")?;
//!
//! let mut installed = InstalledModel::new(model.clone(), "/models/whisper/tiny/fp16".into(), manifest.digest());
//! installed.tags = vec!["speech".to_owned()];
//! let mut listing = Listing::default();
//! listing.models.push(installed.clone());
//! assert!(InstallReport::new(installed.clone()).left_out.is_empty());
//! listing.partials.push(PartialModel::new(model.clone(), Status::Error));
//! let detail = InstalledDetail::new(installed, manifest);
//! assert!(detail.files().is_empty());
//!
//! let change = Change::new(Digest::of(b"another state"), PullPlan::new(model.clone()));
//! let entry = UpdateEntry::new(model.clone(), detail.manifest.digest(), Freshness::Changed(Box::new(change)));
//! assert!(entry.applied.is_none());
//!
//! let mut verified = VerifiedModel::new(model.clone());
//! verified.damaged.push(DamagedFile::new("model.bin", Damage::Missing));
//! assert!(!verified.is_whole());
//!
//! let copied = CopyReport::new(model.clone(), "/workspace".into());
//! assert_eq!(copied.copied, 0);
//! let mut usage = UsageReport::default();
//! usage.models.push(ModelUsage::new(model.clone(), "/models/whisper/tiny/fp16".into()));
//! let mut plan = PrunePlan::default();
//! plan.partials.push(PrunedPartial::new(model, "/models/.cache/1".into(), 512));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub use crate::engine::local::copy::{CopyOptions, CopyReport};
pub use crate::engine::local::install::{InstallOptions, InstallReport};
pub use crate::engine::local::list::{
    InstalledDetail, InstalledModel, ListOptions, Listing, PartialModel, Scope, Status,
};
pub use crate::engine::local::prune::{PruneOptions, PrunePlan, PruneReport, PrunedPartial};
pub use crate::engine::local::remove::RemoveReport;
pub use crate::engine::local::update::{
    Change, Freshness, UpdateEntry, UpdateOptions, UpdateReport,
};
pub use crate::engine::local::usage::{ModelUsage, UsageOptions, UsageReport};
pub use crate::engine::local::verify::{
    Damage, DamagedFile, VerifiedModel, VerifyOptions, VerifyReport,
};
pub use crate::store::record::Annotation;
