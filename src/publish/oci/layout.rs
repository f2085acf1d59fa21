//! Writing into an image [layout](crate::oci::layout): a registry in a folder, which other tools copy from and to.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::ArtifactWriter;
use crate::digest::Digest;
use crate::disk::write::{remove_abandoned, replace_file};
use crate::error::{Error, IoContext, Result};
use crate::http::transport::Payload;
use crate::model::address_of_folder;
use crate::oci::layout::{INDEX, LAYOUT, REF_NAME};
use crate::oci::{INDEX_TYPES, MAX_DESCRIPTORS, MAX_DOCUMENT_BYTES, read_digest};
use crate::progress::CancelToken;
use crate::publish::folder::{has_size, is_document, put_document};
use crate::small_file::read_small;
use crate::source::verbatim::TypedDocument;
use crate::store::lock::{FileLock, RECORD_LIMIT};

/// Writes artifacts into an image layout.
#[derive(Debug)]
pub(crate) struct LayoutWriter {
    folder: PathBuf,
    /// What stands before each tag, with a colon: the name of the model, where a layout has several.
    name: Option<String>,
}

impl LayoutWriter {
    /// The folder is created with the first blob.
    pub(crate) fn new(folder: &Path, name: Option<&str>) -> Self {
        Self {
            folder: folder.to_owned(),
            name: name.map(str::to_owned),
        }
    }

    fn index_path(&self) -> PathBuf {
        self.folder.join(INDEX)
    }

    fn read_index(&self) -> Result<Option<Value>> {
        let path = self.index_path();
        let json = read_small(&path, MAX_DOCUMENT_BYTES).at("read", &path)?;
        let malformed =
            |error: serde_json::Error| Error::damaged_target(path.display(), Some(error.into()));
        json.map(|json| serde_json::from_slice(&json).map_err(malformed))
            .transpose()
    }
}

fn blobs(layout: &Path) -> PathBuf {
    layout.join("blobs").join("sha256")
}

/// Removes what killed processes left in a layout.
pub(super) fn tidy(layout: &Path) {
    remove_abandoned(layout, |name| [LAYOUT, INDEX].contains(&name));
    remove_abandoned(&blobs(layout), is_document);
}

/// What one pulls to get the tag of a layout with one model.
pub(super) fn address(layout: &Path, tag: &str) -> Option<String> {
    Some(format!("{}:{tag}", address_of_folder(layout)?))
}

/// Tags that shall name a manifest.
pub(super) struct Tagging<'a> {
    /// What stands before each tag, with a colon.
    pub(super) name: Option<&'a str>,
    pub(super) tags: &'a [&'a str],
    /// Names the index in errors.
    pub(super) location: &'a Path,
}

/// Returns which manifest an index has under a tag, or under a digest; [`tag_name`] says what the tag is called.
pub(super) fn tagged(index: &Value, name: Option<&str>, reference: &str) -> Option<Digest> {
    let manifests = index["manifests"].as_array()?;
    let tag = tag_name(name, reference);
    let found = manifests.iter().rfind(|it| {
        it["annotations"][REF_NAME] == *tag || reference.contains(':') && it["digest"] == *reference
    })?;
    read_digest(found["digest"].as_str()?).ok()
}

/// What a tag is called in an index; `name` stands before it where a layout has several models.
pub(super) fn tag_name(name: Option<&str>, tag: &str) -> String {
    match name {
        Some(name) => format!("{name}:{tag}"),
        None => tag.to_owned(),
    }
}

impl Tagging<'_> {
    /// Which other manifest the first tag names in an index.
    pub(super) fn replaced(&self, index: &Value, manifest: &TypedDocument) -> Option<Digest> {
        let before = tagged(index, self.name, self.tags.first()?)?;
        (before != manifest.digest).then_some(before)
    }

    /// Makes the index anew, in which each of the tags names the manifest.
    pub(super) fn apply(&self, mut index: Value, manifest: &TypedDocument) -> Result<Value> {
        let location = self.location.display();
        let malformed = || Error::damaged_target(&location, None);
        let manifests = index
            .as_object_mut()
            .ok_or_else(malformed)?
            .entry("manifests")
            .or_insert_with(|| json!([]))
            .as_array_mut()
            .ok_or_else(malformed)?;
        let digest = format!("sha256:{}", manifest.digest);
        let mut entry = json!({
            "mediaType": manifest.media_type,
            "digest": digest,
            "size": manifest.json.len(),
        });
        for tag in self.tags {
            let tag = tag_name(self.name, tag);
            manifests.retain(|other| other["annotations"][REF_NAME] != *tag);
            entry["annotations"] = json!({REF_NAME: tag});
            manifests.push(entry.clone());
        }
        // What no tag names must be in the index, too: else it is of no use to others, who may remove it.
        if self.tags.is_empty() && !manifests.iter().any(|other| other["digest"] == *digest) {
            manifests.push(entry);
        }
        if manifests.len() > MAX_DESCRIPTORS {
            return Err(Error::argument(format!(
                "{location} is full: a layout can have {MAX_DESCRIPTORS} tags; write into another one, or a chunked \
                 registry"
            )));
        }
        Ok(index)
    }
}

/// The content of [`LAYOUT`].
pub(super) fn version() -> String {
    json!({"imageLayoutVersion": "1.0.0"}).to_string()
}

pub(super) fn empty_index() -> Value {
    json!({"schemaVersion": 2, "mediaType": INDEX_TYPES[0], "manifests": []})
}

impl ArtifactWriter for LayoutWriter {
    fn address(&self, tag: &str) -> Option<String> {
        match self.name {
            Some(_) => None,
            None => address(&self.folder, tag),
        }
    }

    fn has_blob(&self, digest: &Digest, size_bytes: u64) -> Result<bool> {
        let path = blobs(&self.folder).join(digest.to_string());
        Ok(has_size(&path, size_bytes))
    }

    fn put_blob(&self, digest: &Digest, blob: &dyn Payload) -> Result<bool> {
        put_document(&blobs(&self.folder), digest, blob)
    }

    fn read_manifest(&self, tag: &str) -> Result<Option<Vec<u8>>> {
        let index = self.read_index()?.unwrap_or_else(empty_index);
        let Some(digest) = tagged(&index, self.name.as_deref(), tag) else {
            return Ok(None);
        };
        let path = blobs(&self.folder).join(digest.to_string());
        read_small(&path, MAX_DOCUMENT_BYTES).at("read", &path)
    }

    fn digest_of(&self, reference: &str) -> Result<Option<Digest>> {
        let manifest = self.read_manifest(reference)?;
        Ok(manifest.map(|json| Digest::of(&json)))
    }

    fn put_part(&self, manifest: &TypedDocument) -> Result<()> {
        put_document(&blobs(&self.folder), &manifest.digest, &manifest.json).map(drop)
    }

    fn put_manifest(&self, manifest: &TypedDocument, tags: &[&str]) -> Result<Option<Digest>> {
        self.put_part(manifest)?;
        let _lock = FileLock::acquire(
            &self.folder.join(".index.json.lock"),
            true,
            Some(RECORD_LIMIT),
            &CancelToken::new(),
            &|_| {},
        )?;
        let path = self.index_path();
        let index = match self.read_index()? {
            Some(index) => index,
            None => {
                replace_file(&self.folder.join(LAYOUT), version().as_bytes())?;
                empty_index()
            }
        };
        let tagging = Tagging {
            name: self.name.as_deref(),
            tags,
            location: &path,
        };
        let replaced = tagging.replaced(&index, manifest);
        let index = tagging.apply(index, manifest)?;
        replace_file(&path, index.to_string().as_bytes())?;
        Ok(replaced)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::MANIFEST_TYPES;

    #[test]
    fn a_layout_has_no_more_tags_than_can_be_read() {
        let manifest = TypedDocument {
            digest: Digest::of(b"{}"),
            media_type: MANIFEST_TYPES[0],
            json: b"{}".to_vec(),
        };
        let tags: Vec<String> = (0..=MAX_DESCRIPTORS).map(|tag| tag.to_string()).collect();
        let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
        let apply = |tags| {
            let location = Path::new("l/index.json");
            let tagging = Tagging {
                name: None,
                tags,
                location,
            };
            tagging.apply(empty_index(), &manifest)
        };
        assert!(apply(&tags[1..]).is_ok());
        assert!(
            apply(&tags)
                .unwrap_err()
                .to_string()
                .contains("l/index.json is full")
        );
    }
}
