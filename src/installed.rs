//! What is installed, and what listing, verifying, updating, copying and removing it reports.

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
