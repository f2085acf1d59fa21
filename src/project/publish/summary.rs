//! What became of each of the models that were published.

use serde::Serialize;

use super::report::PublishReport;
use crate::error::{Error, Result};

/// What became of each of several models, as [`Project::publish_each`](crate::project::Project::publish_each) returns it.
///
/// ```
/// use modelrack::project::{AddOptions, Project, ProjectOptions, PublishOptions, PublishTarget};
///
/// # let folder = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/project.rs"));
/// let mut project = Project::open(folder.path(), &ProjectOptions::default())?;
/// // No tag can be called so.
/// let odd = AddOptions::default().version("1.0.0+gpu");
/// project.add(&[folder.path().join("models/sir.py")], &odd)?;
///
/// # let layout = folder.path().join("layout");
/// let layout = PublishTarget::parse(format!("oci-layout:{}", layout.display()))?;
/// let summary = project.publish_each(&[], layout, &PublishOptions::default())?;
/// assert!(summary.models.is_empty() && summary.not_tried.is_empty());
/// for failed in &summary.failed {
///     eprintln!("{}: {}", failed.id, failed.error);
/// }
/// assert_eq!(summary.into_result().unwrap_err().code(), "INVALID_ARGUMENT");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default, Serialize)]
#[non_exhaustive]
pub struct PublishSummary {
    /// The models that were published, in the order of ids.
    pub models: Vec<PublishReport>,
    /// Those that failed, in the same order. Of a registry whose index gets all of the models or none, the others are not published
    /// either.
    pub failed: Vec<FailedPublish>,
    /// The ids of those that were not tried any more, because what failed before is not about one model: in order.
    pub not_tried: Vec<String>,
    /// The number of all of them.
    #[serde(skip)]
    pub(super) of: usize,
}

/// A model that could not be published; [`PublishSummary`] has an example.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct FailedPublish {
    /// The id of the model.
    pub id: String,
    /// Why.
    pub error: Error,
}

impl PublishSummary {
    /// Returns what was published, if nothing failed.
    ///
    /// # Errors
    /// That of the model, if there was only one; else [`Several`](crate::ErrorKind::Several), which counts those that failed.
    pub fn into_result(self) -> Result<Vec<PublishReport>> {
        let errors = self.failed.into_iter().map(|failed| failed.error);
        let failed = Error::of_models(errors.collect(), self.of, self.not_tried.len());
        failed.map_or(Ok(self.models), Err)
    }
}
