//! What the Hub's interface answers ([model info] and lists of models).
//!
//! [model info]: https://huggingface.co/docs/hub/api

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

use crate::catalog::{Metadata, RawMetadata};
use crate::digest::{Checksum, Digest, GitBlobId};
use crate::error::{Error, Result};
use crate::manifest::{Manifest, ManifestFile};
use crate::relpath::RelPath;
use crate::url::Url;

/// The largest answer that is read, in bytes: a repository of some ten thousand files.
pub(super) const MAX_ANSWER_BYTES: u64 = 64 << 20;

/// A model as the Hub describes it; most is left out where it lists many, or by mirrors. What only describes may be
/// anything.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ModelInfo {
    id: Option<String>,
    /// What older mirrors call the id.
    model_id: Option<String>,
    /// The commit that the revision names.
    pub(super) sha: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    private: bool,
    #[serde(default, deserialize_with = "lenient")]
    gated: Gated,
    #[serde(default, deserialize_with = "lenient", rename = "pipeline_tag")]
    pipeline_tag: Option<String>,
    #[serde(default, deserialize_with = "lenient", rename = "library_name")]
    library_name: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    tags: Vec<Value>,
    #[serde(default, deserialize_with = "lenient")]
    downloads: Option<u64>,
    #[serde(default, deserialize_with = "lenient")]
    likes: Option<u64>,
    #[serde(default, deserialize_with = "lenient")]
    last_modified: Option<String>,
    siblings: Option<Vec<SiblingWire>>,
}

/// Reads what only describes a model: anything else than expected says nothing.
fn lenient<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned + Default,
{
    let value = Value::deserialize(deserializer)?;
    Ok(T::deserialize(value).unwrap_or_default())
}

/// Reads a digest, which may be missing or empty, but not malformed.
fn digest<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    let value = Value::deserialize(deserializer)?;
    let value = Some(value).filter(|value| !value.is_null() && value != "");
    let read = value.map(T::deserialize).transpose();
    read.map_err(serde::de::Error::custom)
}

/// `false`, or how one gets access.
#[derive(Debug, Default, Deserialize)]
#[serde(untagged)]
enum Gated {
    How(String),
    Is(bool),
    #[default]
    Unknown,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SiblingWire {
    rfilename: String,
    size: Option<u64>,
    #[serde(default, deserialize_with = "digest")]
    blob_id: Option<GitBlobId>,
    lfs: Option<LfsWire>,
}

#[derive(Debug, Deserialize)]
struct LfsWire {
    #[serde(default, deserialize_with = "digest")]
    sha256: Option<Digest>,
    size: Option<u64>,
}

impl ModelInfo {
    pub(super) fn parse(json: &[u8], url: &Url) -> Result<Self> {
        serde_json::from_slice(json).map_err(|error| malformed(url, error))
    }

    /// Reads a list; an entry that cannot be read is left out.
    pub(super) fn parse_list(json: &[u8], url: &Url) -> Result<Vec<Self>> {
        let entries: Option<Vec<Value>> =
            serde_json::from_slice(json).map_err(|error| malformed(url, error))?;
        let entries = entries.into_iter().flatten();
        Ok(entries
            .filter_map(|entry| Self::deserialize(entry).ok())
            .collect())
    }

    /// The id, which may be missing.
    pub(super) fn id(&self) -> &str {
        let id = self.id.as_deref().or(self.model_id.as_deref());
        id.unwrap_or_default()
    }

    fn tags(&self) -> impl Iterator<Item = &str> {
        self.tags.iter().filter_map(Value::as_str)
    }

    /// The files, with what each is checked by: large ones by their digest, the others by the id that git gives them.
    pub(super) fn manifest(&self, commit: &str, url: &Url) -> Result<Manifest> {
        let (mut files, mut unusable) = (Vec::new(), BTreeMap::new());
        for sibling in self.siblings.iter().flatten() {
            let path = match RelPath::parse(&sibling.rfilename) {
                Ok(path) => path,
                Err(error) => {
                    unusable.insert(sibling.rfilename.clone(), error.reason().to_owned());
                    continue;
                }
            };
            let lfs = sibling.lfs.as_ref();
            let digest = lfs.and_then(|lfs| lfs.sha256).map(Checksum::Sha256);
            // The id of a large file is that of the text that stands for it.
            let blob = sibling
                .blob_id
                .filter(|_| lfs.is_none())
                .map(Checksum::GitBlob);
            files.push(ManifestFile {
                size_bytes: lfs.and_then(|lfs| lfs.size).or(sibling.size),
                digest: digest.or(blob),
                ..ManifestFile::new(path)
            });
        }
        Manifest::of_listing(files, unusable, commit, url)
    }

    /// What the Hub says about the model.
    pub(super) fn metadata(&self) -> RawMetadata {
        let mut metadata: Metadata = Map::new();
        let mut add = |key: &str, value: Value| {
            if !value.is_null() {
                metadata.insert(key.to_owned(), value);
            }
        };
        add("type", json!(self.pipeline_tag.as_deref().map(model_type)));
        add("pipeline_tag", json!(self.pipeline_tag));
        add("tags", json!(self.tags().collect::<Vec<_>>()));
        add("library_name", json!(self.library_name));
        let license = self.tags().find_map(|tag| tag.strip_prefix("license:"));
        add("license", json!(license));
        add("gated", self.gated.to_json());
        add("private", json!(self.private));
        add("downloads", json!(self.downloads));
        add("likes", json!(self.likes));
        add("last_modified", json!(self.last_modified));
        (&metadata).into()
    }
}

impl Gated {
    fn to_json(&self) -> Value {
        match self {
            Self::How(how) => json!(how),
            Self::Is(is) => json!(is),
            Self::Unknown => Value::Null,
        }
    }
}

/// The type of a model by the task that the Hub says it is for
/// ([tasks](https://huggingface.co/docs/hub/models-tasks)).
fn model_type(task: &str) -> &'static str {
    match task {
        "text-generation"
        | "text2text-generation"
        | "conversational"
        | "summarization"
        | "translation" => "text-generation",
        "text-to-image" | "image-to-image" | "unconditional-image-generation" => "text-to-image",
        "image-to-text"
        | "image-text-to-text"
        | "visual-question-answering"
        | "document-question-answering" => "image-to-text",
        "automatic-speech-recognition" | "audio-text-to-text" => "audio-to-text",
        "text-to-speech" | "text-to-audio" => "text-to-audio",
        "feature-extraction" | "sentence-similarity" | "image-feature-extraction" | "fill-mask" => {
            "embedding"
        }
        task if task.ends_with("-classification") => "classification",
        _ => "other",
    }
}

/// Reads what a tag of a file says it is checked by: the SHA-256 of a large one, the id that git gives any other.
pub(super) fn checksum_of_tag(tag: &str) -> Option<Checksum> {
    let tag = tag.trim_start_matches("W/").trim_matches('"');
    match tag.len() {
        64 => tag.parse().ok().map(Checksum::Sha256),
        _ => tag.parse().ok().map(Checksum::GitBlob),
    }
}

fn malformed(url: &Url, error: serde_json::Error) -> Error {
    Error::registry_from(url, "the response of the Hub is malformed", error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_checked_by_what_the_hub_says_of_them() {
        let url = Url::parse("https://hub.example/api/models/o/n").unwrap();
        let sha256 = "ab".repeat(32);
        let json = format!(
            r#"{{"_id": "1", "id": "o/n", "sha": "c0ffee", "gated": "auto", "private": false,
                "pipeline_tag": "automatic-speech-recognition", "tags": ["license:mit", "asr"], "new": {{}},
                "siblings": [
                  {{"rfilename": "config.json", "size": 7, "blobId": "ce013625030ba8dba906f756967f9e9ca394464a"}},
                  {{"rfilename": "model.bin", "size": 9, "blobId": "ce013625030ba8dba906f756967f9e9ca394464a",
                    "lfs": {{"sha256": "{sha256}", "size": 9, "pointerSize": 135}}}},
                  {{"rfilename": "unknown"}}
                ]}}"#
        );
        let info = ModelInfo::parse(json.as_bytes(), &url).unwrap();
        let manifest = info.manifest("c0ffee", &url).unwrap();
        let shown: Vec<_> = manifest
            .files()
            .iter()
            .map(|f| {
                (
                    f.path.as_str(),
                    f.size_bytes,
                    f.digest.map(|d| d.to_string()),
                )
            })
            .collect();
        let blob = "ce013625030ba8dba906f756967f9e9ca394464a".to_owned();
        assert_eq!(
            shown,
            [
                ("config.json", Some(7), Some(blob)),
                ("model.bin", Some(9), Some(sha256)),
                ("unknown", None, None),
            ]
        );
        let facts = info.metadata().facts();
        assert_eq!(facts.model_type.as_deref(), Some("audio-to-text"));
        assert_eq!(info.metadata().to_map()["license"], "mit");
        assert_eq!(info.metadata().to_map()["gated"], "auto");
        assert!(ModelInfo::parse(br#"{"siblings": 1}"#, &url).is_err());
    }

    #[test]
    fn hostile_names_are_kept_apart() {
        let url = Url::parse("https://hub.example/").unwrap();
        for name in ["../x", "/x", "a\\b", "con", "C:x"] {
            let json = json!({"id": "o/n", "siblings": [{"rfilename": name}, {"rfilename": "x"}]});
            let info = ModelInfo::parse(json.to_string().as_bytes(), &url).unwrap();
            let manifest = info.manifest("c", &url).unwrap();
            assert_eq!(manifest.files().len(), 1);
            assert!(manifest.faults().keys().eq([name]));
        }
    }
}
