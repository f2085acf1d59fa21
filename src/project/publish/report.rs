//! What was published.

use serde::Serialize;

use crate::digest::Digest;
use crate::model::ModelRef;
use crate::publish::PublishTarget;
use crate::publish::chunked::WrittenVersion;

/// What was published, as [`Project::publish`](crate::project::Project::publish) returns it for each model.
///
/// ```
/// use modelrack::project::{AddOptions, Project, ProjectOptions, PublishOptions};
///
/// # let folder = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/project.rs"));
/// let mut project = Project::open(folder.path(), &ProjectOptions::default())?;
/// project.add(&[folder.path().join("models")], &AddOptions::default())?;
/// let registry = folder.path().join("public");
/// for report in project.publish(&[], &registry, &PublishOptions::default())? {
///     println!("{} {:?} in {}", report.model, report.aliases, report.registry);
///     println!("  {} files, {} bytes, {}", report.files, report.total_bytes, report.manifest_digest);
///     println!("  {} of {} chunks are new, {} bytes", report.chunks_written, report.chunks, report.bytes_written);
///     println!("  {} were there, {} bytes", report.chunks_there, report.bytes_there);
///     assert!(report.left_out.is_empty());
///     assert_eq!(report.replaced, None, "none of them was there before");
/// }
/// assert!(registry.join("models.json").is_file());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PublishReport {
    /// The version that was published.
    #[serde(flatten)]
    pub model: ModelRef,
    /// Where the registry is.
    pub registry: PublishTarget,
    /// What one pulls to get an artifact, such as `oci://ghcr.io/acme/tiny:v1`; `None` in a chunked registry, whose address is
    /// where somebody serves it, and in an image layout of several models.
    pub address: Option<String>,
    /// The aliases that it was given.
    pub aliases: Vec<String>,
    /// The digest of its manifest.
    #[serde(rename = "manifest_hash")]
    pub manifest_digest: Digest,
    /// The digest of the manifest that the version had before; `None` if it is new or unchanged.
    pub replaced: Option<Digest>,
    /// The number of files.
    pub files: usize,
    /// The total size of its files.
    pub total_bytes: u64,
    /// The number of chunks.
    pub chunks: usize,
    /// The number of chunks that the registry did not have yet.
    pub chunks_written: usize,
    /// The total size of the chunks that the registry did not have yet.
    pub bytes_written: u64,
    /// The number of chunks that the registry had already.
    pub chunks_there: usize,
    /// The total size of the chunks that the registry had already.
    pub bytes_there: u64,
    /// The paths that were passed over, in order: a system, an editor or a download tool left them behind. Empty for registered
    /// models, whose files are known.
    pub left_out: Vec<String>,
}

impl PublishReport {
    pub(super) fn new(
        written: WrittenVersion,
        registry: &PublishTarget,
        left_out: Vec<String>,
    ) -> Self {
        Self {
            model: written.model,
            registry: registry.clone(),
            address: written.address,
            aliases: written.aliases,
            manifest_digest: written.manifest_digest,
            replaced: written.replaced,
            files: written.files,
            total_bytes: written.total_bytes,
            chunks: written.chunks,
            chunks_written: written.chunks_written,
            bytes_written: written.bytes_written,
            chunks_there: written.there.0,
            bytes_there: written.there.1,
            left_out,
        }
    }
}
