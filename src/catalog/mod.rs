//! What sources offer.

mod metadata;
pub(crate) mod registry;
pub(crate) mod sync;

use std::sync::Arc;

use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};

use crate::digest::Digest;
use crate::manifest::{Manifest, ManifestFile};
use crate::model::ModelRef;

pub use metadata::{Facts, Metadata, RawMetadata};

/// One version that a source offers; [`RemoteListing`](crate::remote::RemoteListing) has an example.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RemoteModel {
    /// Its name, which begins with the name of the source.
    #[serde(flatten)]
    pub model: ModelRef,
    /// The key of the source; empty for the one given by a plain registry URL.
    pub source: Arc<str>,
    /// The state that is offered: the digest of its manifest, or, if its registry does not state the sizes of its files, of
    /// what it does state. It differs whenever a file does. Where a listing has only names, as that of an OCI registry, it
    /// says nothing yet.
    #[serde(rename = "manifest_hash")]
    pub manifest_digest: Digest,
    /// The commit that its files belong to; `None` if its source has no commits.
    pub commit: Option<Arc<str>>,
    /// The total size of its files; `None` if the index does not state it.
    pub total_bytes: Option<u64>,
    /// The number of files; `None` if the index does not state it.
    pub files: Option<u64>,
    /// The version that this one is an alias of; `None` if it is none.
    pub alias_of: Option<Arc<str>>,
    /// Whether it is installed, and in which state.
    #[serde(rename = "installed")]
    pub local: LocalState,
    /// What its registry states about it; may be empty.
    #[serde(flatten, serialize_with = "facts_and_metadata")]
    pub metadata: RawMetadata,
    /// Where its files are, for sources that name them by place.
    #[serde(skip)]
    pub(crate) pin: Option<Box<Pin>>,
    /// What it consists of, where that came along.
    #[serde(skip)]
    pub(crate) contents: Option<Arc<Manifest>>,
    /// Where its files are listed, for sources that keep lists of their own.
    #[serde(skip)]
    pub(crate) listing: Option<Box<ListingPlace>>,
    /// Whether somebody made its files by hand: no source offers it.
    #[serde(skip)]
    pub(crate) is_made_by_hand: bool,
    /// Whether only its name is known, so that its source has to be asked what it consists of.
    #[serde(skip)]
    pub(crate) is_named_only: bool,
}

/// Whether a version that a source offers is installed, and in which state.
///
/// ```
/// use modelrack::remote::LocalState;
/// use modelrack::{Manager, ManagerExt, RemoteOptions};
///
/// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
/// manager.pull_model("digits/logistic v1")?;
/// for offer in manager.list_remote(&RemoteOptions::default())?.models {
///     match offer.local {
///         LocalState::Absent => println!("{} can be pulled", offer.model),
///         LocalState::Outdated => println!("{} can be updated", offer.model),
///         LocalState::Current => assert_eq!(offer.model.version(), "v1"),
///         _ => {}
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LocalState {
    /// It is not installed.
    #[default]
    Absent,
    /// It is installed in a state other than the one that the source offers.
    Outdated,
    /// It is installed in exactly the state that the source offers.
    Current,
}

/// Writes whether it is installed in any state.
impl Serialize for LocalState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bool(*self != Self::Absent)
    }
}

/// Writes the facts that every tool understands, and then all metadata, as the index has them: of 100,000 versions, none is
/// read and written again.
fn facts_and_metadata<S: Serializer>(
    metadata: &RawMetadata,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let facts = metadata.raw_facts();
    let mut fields = serializer.serialize_struct("RawMetadata", 4)?;
    fields.serialize_field("type", &facts.model_type)?;
    fields.serialize_field("description", &facts.description)?;
    match facts.tags {
        Some(tags) => fields.serialize_field("tags", tags)?,
        None => fields.serialize_field("tags", &[(); 0])?,
    }
    fields.serialize_field("metadata", metadata)?;
    fields.end()
}

/// Where in a cached registry the files of a model are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ListingPlace {
    pub(crate) at: u64,
    pub(crate) length: u64,
}

/// The one place that a version's files come from: what is at it does not change, or is checked when it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pin {
    /// `OWNER/NAME`.
    pub(crate) repo: String,
    /// The commit, or the tag of the release.
    #[serde(flatten)]
    pub(crate) state: PinState,
    /// The folder there that the model's paths are relative to; empty for the top.
    pub(crate) root: String,
    /// Only files that match one of these patterns; all when there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) include: Vec<String>,
    /// No file that matches one of these patterns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) exclude: Vec<String>,
}

/// What of a repository files are of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PinState {
    /// They are under version control, at this commit.
    Commit(String),
    /// They are members of a zip of this release.
    Release {
        /// Its tag.
        tag: String,
        /// The zip's name.
        asset: String,
    },
}

impl Pin {
    /// Pins all files of a folder.
    pub(crate) fn new(repo: impl Into<String>, state: PinState, root: impl Into<String>) -> Self {
        Self {
            repo: repo.into(),
            state,
            root: root.into(),
            include: Vec::new(),
            exclude: Vec::new(),
        }
    }
}

impl PinState {
    /// The commit, when it is one.
    pub(crate) fn commit(&self) -> Option<&str> {
        match self {
            Self::Commit(commit) => Some(commit),
            Self::Release { .. } => None,
        }
    }

    /// The digest of the document that names the files, where that is what the commit is.
    pub(crate) fn digest(&self) -> Option<Digest> {
        self.commit()?.strip_prefix("sha256:")?.parse().ok()
    }
}

impl RemoteModel {
    /// Creates an offer without an alias or metadata; for [implementations of
    /// `Manager`](crate::remote#reports-of-your-own).
    #[must_use]
    pub fn new(model: ModelRef, source: impl Into<Arc<str>>, manifest_digest: Digest) -> Self {
        Self {
            model,
            source: source.into(),
            manifest_digest,
            commit: None,
            files: None,
            total_bytes: None,
            alias_of: None,
            local: LocalState::Absent,
            metadata: RawMetadata::default(),
            pin: None,
            contents: None,
            listing: None,
            is_made_by_hand: false,
            is_named_only: false,
        }
    }

    /// The key of the source to record.
    pub(crate) fn source_key(&self) -> Option<String> {
        (!self.is_made_by_hand).then(|| self.source.to_string())
    }

    /// Makes the offer of a source whose files are known.
    pub(crate) fn of_contents(model: ModelRef, source: &str, contents: Manifest) -> Self {
        let offer = Self::new(model, source, contents.digest());
        Self {
            files: Some(contents.files().len() as u64),
            total_bytes: contents.total_bytes(),
            contents: Some(Arc::new(contents)),
            ..offer
        }
    }
}

/// One version that a source offers, with its files, as [`Manager::remote_detail`](crate::Manager::remote_detail) returns it.
///
/// ```
/// use modelrack::{Manager, RemoteOptions};
///
/// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
/// let detail = manager.remote_detail(&"digits/logistic v1".parse()?, &RemoteOptions::default())?;
/// for file in &detail.files {
///     println!("{} {:?} bytes", file.path, file.size_bytes);
/// }
/// println!("fetched in {} parts of {:?} bytes", detail.parts, detail.chunk_bytes);
/// assert_eq!(detail.remote.files, Some(detail.files.len() as u64));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct RemoteDetail {
    /// What the index states, with the number of files and, if the size of each is known, their total size.
    #[serde(flatten)]
    pub remote: RemoteModel,
    /// The number of parts that the files are fetched in.
    #[serde(rename = "chunks")]
    pub parts: usize,
    /// The size of a chunk, as [`Manifest::chunk_bytes`] returns it; `None` if each file is one part.
    #[serde(rename = "chunk_size")]
    pub chunk_bytes: Option<u64>,
    /// The files, in the order of the manifest.
    #[serde(rename = "content")]
    pub files: Vec<ManifestFile>,
}

impl RemoteDetail {
    /// Combines an offer with its files, each of which is one part; for [implementations of
    /// `Manager`](crate::remote#reports-of-your-own).
    #[must_use]
    pub fn new(remote: RemoteModel, files: Vec<ManifestFile>) -> Self {
        Self {
            remote: RemoteModel {
                total_bytes: files.iter().map(|file| file.size_bytes).sum(),
                files: Some(files.len() as u64),
                ..remote
            },
            parts: files.len(),
            chunk_bytes: None,
            files,
        }
    }

    /// Joins an offer and what is known of its files.
    pub(crate) fn of(remote: RemoteModel, manifest: &Manifest) -> Self {
        let mut detail = Self::new(remote, manifest.files().to_vec());
        if manifest.is_measured() {
            detail.parts = manifest.parts().len();
        }
        detail.chunk_bytes = manifest.chunk_bytes();
        detail
    }
}
