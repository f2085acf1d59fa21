//! What is installed, and what listing, verifying, updating, copying and removing it reports.
//!
//! | name | what it is |
//! |---|---|
//! | [`ListOptions`], [`Scope`], [`Status`] | which models to list |
//! | [`Listing`], [`InstalledModel`], [`InstalledDetail`], [`PartialModel`] | what is installed, and unfinished pulls |
//! | [`Annotation`] | what to change of a model's record |
//! | [`VerifyOptions`], [`VerifyReport`], [`VerifiedModel`], [`DamagedFile`], [`Damage`] | verifying |
//! | [`UpdateOptions`], [`UpdateReport`], [`UpdateEntry`], [`Freshness`], [`Change`] | updating |
//! | [`CopyOptions`], [`CopyReport`] | copying into a workspace |
//! | [`RemoveReport`], [`PrunePlan`], [`PruneReport`], [`PrunedPartial`] | removing models and partials |
//!
//! [`Manager`](crate::Manager) has an example for each operation.

pub use crate::engine::local::copy::{CopyOptions, CopyReport};
pub use crate::engine::local::list::{
    InstalledDetail, InstalledModel, ListOptions, Listing, PartialModel, Scope, Status,
};
pub use crate::engine::local::prune::{PrunePlan, PruneReport, PrunedPartial};
pub use crate::engine::local::remove::RemoveReport;
pub use crate::engine::local::update::{
    Change, Freshness, UpdateEntry, UpdateOptions, UpdateReport,
};
pub use crate::engine::local::verify::{
    Damage, DamagedFile, VerifiedModel, VerifyOptions, VerifyReport,
};
pub use crate::store::record::Annotation;
