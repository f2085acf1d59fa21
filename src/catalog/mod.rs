//! What sources offer.

pub(crate) mod registry;

use std::fmt;
use std::sync::Arc;

use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::digest::Digest;
use crate::manifest::{Manifest, ManifestFile};
use crate::model::ModelRef;

/// Free-form facts that a registry states about a version: `description`, `type`, `tags` and whatever else.
pub type Metadata = serde_json::Map<String, serde_json::Value>;

/// One version that a source offers.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RemoteModel {
    /// Its name, with the source's name in front.
    #[serde(flatten)]
    pub model: ModelRef,
    /// The key of the source; empty for the one given by a plain registry URL.
    pub source: String,
    /// What tells whether it changed: the digest of its manifest, or of what its registry says of its files where that
    /// leaves their sizes out.
    #[serde(rename = "manifest_hash")]
    pub manifest_digest: Digest,
    /// The commit that its files are of; `None` where there are no commits.
    pub commit: Option<String>,
    /// The size of all files together; `None` where only its manifest says it, or nothing does.
    pub total_bytes: Option<u64>,
    /// How many files it has; `None` where only its manifest says it.
    pub files: Option<u64>,
    /// The version that this one is another name for.
    pub alias_of: Option<String>,
    /// Whether it is installed.
    #[serde(rename = "installed")]
    pub local: LocalState,
    /// What the registry says about it; may be empty.
    #[serde(flatten, serialize_with = "facts_and_metadata")]
    pub metadata: RemoteMetadata,
    /// Where its files are, for sources that name them by place.
    #[serde(skip)]
    pub(crate) pin: Option<Pin>,
    /// What it consists of, where that came along.
    #[serde(skip)]
    pub(crate) contents: Option<Arc<Manifest>>,
    /// Where its files are listed, for sources that keep lists of their own.
    #[serde(skip)]
    pub(crate) listing: Option<ListingPlace>,
}

/// Whether the store has a model that a source offers, and in which state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LocalState {
    /// It is not installed.
    #[default]
    Absent,
    /// It is installed in another state than the source offers.
    Outdated,
    /// It is installed as the source offers it.
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
    metadata: &RemoteMetadata,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let facts = metadata.raw_facts();
    let mut fields = serializer.serialize_struct("RemoteMetadata", 4)?;
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
}

impl RemoteModel {
    /// Makes the offer of a source, with no alias and no metadata.
    #[must_use]
    pub fn new(model: ModelRef, source: impl Into<String>, manifest_digest: Digest) -> Self {
        Self {
            model,
            source: source.into(),
            manifest_digest,
            commit: None,
            files: None,
            total_bytes: None,
            alias_of: None,
            local: LocalState::Absent,
            metadata: RemoteMetadata::default(),
            pin: None,
            contents: None,
            listing: None,
        }
    }
}

/// What a registry states about a version: a JSON object, kept as it was written until somebody reads it.
#[derive(Clone, Default)]
pub struct RemoteMetadata(Option<Box<RawValue>>);

/// The facts that every tool understands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Facts {
    /// The `type`, such as `text-generation`.
    pub model_type: Option<String>,
    /// The `description`.
    pub description: Option<String>,
    /// The `tags`; may be empty.
    pub tags: Vec<String>,
}

impl RemoteMetadata {
    /// Keeps a value that is an object; `None` for another.
    pub(crate) fn of_json(json: Box<RawValue>) -> Option<Self> {
        let is_object = json.get().trim_start().starts_with('{');
        is_object.then_some(Self(Some(json)))
    }

    /// Returns the object as it was written; `{}` when the registry states nothing.
    #[must_use]
    pub fn json(&self) -> &str {
        self.0.as_ref().map_or("{}", |json| json.get())
    }

    /// Reads all of it; empty when it is nested beyond reason.
    #[must_use]
    pub fn to_map(&self) -> Metadata {
        serde_json::from_str(self.json()).unwrap_or_default()
    }

    /// Reads what every tool understands; a fact of another form than it should have is left out.
    #[must_use]
    pub fn facts(&self) -> Facts {
        let raw = self.raw_facts();
        let text = |json: Option<&RawValue>| serde_json::from_str(json?.get()).ok();
        let tags = raw.tags.map(|json| serde_json::from_str(json.get()));
        Facts {
            model_type: text(raw.model_type),
            description: text(raw.description),
            tags: tags.and_then(Result::ok).unwrap_or_default(),
        }
    }

    /// Returns what every tool understands, as it is written: strings and a list, to be passed on.
    pub(crate) fn raw_facts(&self) -> RawFacts<'_> {
        let raw: RawFacts<'_> = serde_json::from_str(self.json()).unwrap_or_default();
        RawFacts {
            model_type: raw.model_type.filter(|json| json.get().starts_with('"')),
            description: raw.description.filter(|json| json.get().starts_with('"')),
            tags: raw.tags.filter(|json| json.get().starts_with('[')),
        }
    }
}

/// [`Facts`], as they are written.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct RawFacts<'a> {
    #[serde(borrow, default, rename = "type")]
    pub(crate) model_type: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) description: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) tags: Option<&'a RawValue>,
}

impl From<&Metadata> for RemoteMetadata {
    fn from(metadata: &Metadata) -> Self {
        let json = serde_json::value::to_raw_value(metadata).ok();
        json.and_then(Self::of_json).unwrap_or_default()
    }
}

impl Serialize for RemoteMetadata {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Some(json) => json.serialize(serializer),
            None => Metadata::new().serialize(serializer),
        }
    }
}

impl PartialEq for RemoteMetadata {
    fn eq(&self, other: &Self) -> bool {
        self.json() == other.json()
    }
}

impl fmt::Debug for RemoteMetadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.json())
    }
}

/// One version that a source offers, with its files.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct RemoteDetail {
    /// What the index says, with the number of the files and the size of all together, if the size of each is known.
    #[serde(flatten)]
    pub remote: RemoteModel,
    /// How many parts the files are fetched in.
    #[serde(rename = "chunks")]
    pub parts: usize,
    /// The files, in the order of the stream.
    #[serde(rename = "content")]
    pub files: Vec<ManifestFile>,
}

impl RemoteDetail {
    /// Joins an offer and its files, each a part of its own.
    #[must_use]
    pub fn new(remote: RemoteModel, files: Vec<ManifestFile>) -> Self {
        Self {
            remote: RemoteModel {
                total_bytes: files.iter().map(|file| file.size_bytes).sum(),
                files: Some(files.len() as u64),
                ..remote
            },
            parts: files.len(),
            files,
        }
    }

    /// Joins an offer and what is known of its files.
    pub(crate) fn of(remote: RemoteModel, manifest: &Manifest) -> Self {
        let mut detail = Self::new(remote, manifest.files().to_vec());
        if manifest.is_measured() {
            detail.parts = manifest.parts().len();
        }
        detail
    }
}
