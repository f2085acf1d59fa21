//! What a registry says of a version's files before they are fetched: a manifest whose sizes may be missing.
//!
//! ```json
//! {"total_size": 12, "revision": "<commit>", "files": [{"path": "mfsim.nam", "size": 12, "sha256": "<sha256>"}]}
//! ```
//!
//! `size` and `sha256` stand where the registry states them, `total_size` where it states all sizes: then the document is
//! a [`Manifest`]. `revision` stands where a digest is missing: nothing else would tell two states of the files apart.

use std::fmt::Display;

use serde::{Deserialize, Serialize};

use crate::digest::{Checksum, Digest, GitBlobId};
use crate::error::{Error, ErrorKind, Result};
use crate::manifest::{Manifest, checksum};
use crate::relpath::{RelPath, check_distinct};

/// The files of a version, as far as its registry states them.
#[derive(Debug, Clone)]
pub(crate) struct Outline {
    digest: Digest,
    json: Vec<u8>,
    revision: Option<String>,
    files: Vec<OutlineFile>,
}

/// A file, as far as the registry states it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutlineFile {
    pub(crate) path: RelPath,
    pub(crate) size_bytes: Option<u64>,
    pub(crate) digest: Option<Checksum>,
}

/// What a source knows of a version's files.
#[derive(Debug, Clone)]
pub(crate) enum Contents {
    /// All of it.
    Manifest(Manifest),
    /// Not all sizes: they show when the files are fetched.
    Outline(Outline),
}

impl Contents {
    /// What tells this state from another.
    pub(crate) fn digest(&self) -> Digest {
        match self {
            Self::Manifest(manifest) => manifest.digest(),
            Self::Outline(outline) => outline.digest(),
        }
    }
}

impl PartialEq for Contents {
    fn eq(&self, other: &Self) -> bool {
        self.digest() == other.digest()
    }
}

#[derive(Serialize, Deserialize)]
struct OutlineWire {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    total_size: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revision: Option<String>,
    files: Vec<FileWire>,
}

#[derive(Serialize, Deserialize)]
struct FileWire {
    path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    git_blob: Option<GitBlobId>,
}

impl Outline {
    /// Makes the outline of files; `revision` is what they are of.
    ///
    /// # Errors
    /// [`ErrorKind::Registry`] when two names meet on some system, or the sizes are beyond reason.
    pub(crate) fn new(
        files: Vec<OutlineFile>,
        revision: &str,
        location: impl Display,
    ) -> Result<Self> {
        check_distinct(files.iter().map(|file| &file.path))
            .map_err(|error| Error::registry(&location, error.to_string()))?;
        let mut total = Some(0_u64);
        for file in &files {
            total = match (total, file.size_bytes) {
                (Some(total), Some(size)) => Some(total.checked_add(size).ok_or_else(|| {
                    Error::registry(&location, "the sizes of the files are beyond reason")
                })?),
                _ => None,
            };
        }
        let all_digests = files.iter().all(|file| file.digest.is_some());
        let wire = OutlineWire {
            total_size: total,
            revision: (!all_digests).then(|| revision.to_owned()),
            files: files
                .iter()
                .map(|file| FileWire {
                    path: file.path.to_string(),
                    size: file.size_bytes,
                    sha256: file.digest.and_then(|digest| digest.sha256()),
                    git_blob: file.digest.and_then(|digest| digest.git_blob()),
                })
                .collect(),
        };
        let json = serde_json::to_vec(&wire).map_err(|error| Error::internal(error.to_string()))?;
        Ok(Self {
            digest: Digest::of(&json),
            json,
            revision: wire.revision,
            files,
        })
    }

    /// Reads the document; `location` names it in errors.
    pub(crate) fn parse(json: Vec<u8>, location: impl Display) -> Result<Self> {
        let wire: OutlineWire = serde_json::from_slice(&json).map_err(|error| {
            Error::from(ErrorKind::Registry {
                location: location.to_string(),
                message: "the list of files is malformed".into(),
                source: Some(error.into()),
            })
        })?;
        let files = wire
            .files
            .into_iter()
            .map(|file| {
                Ok(OutlineFile {
                    path: RelPath::parse(&file.path)
                        .map_err(|error| Error::registry(&location, error.to_string()))?,
                    size_bytes: file.size,
                    digest: checksum(file.sha256, file.git_blob),
                })
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Self {
            digest: Digest::of(&json),
            json,
            revision: wire.revision,
            files,
        })
    }

    /// Makes the outline of the files that are wanted.
    pub(crate) fn select(
        contents: &Contents,
        revision: &str,
        location: impl Display,
        is_wanted: impl Fn(&str) -> bool,
    ) -> Result<Self> {
        let files: Vec<OutlineFile> = match contents {
            Contents::Outline(outline) => outline.files.clone(),
            Contents::Manifest(manifest) => manifest
                .files()
                .iter()
                .map(|file| OutlineFile {
                    path: file.path.clone(),
                    size_bytes: Some(file.size_bytes),
                    digest: file.digest,
                })
                .collect(),
        };
        let wanted = files
            .into_iter()
            .filter(|file| is_wanted(file.path.as_str()));
        Self::new(wanted.collect(), revision, location)
    }

    /// Returns the digest of the document: what tells this state from another.
    pub(crate) fn digest(&self) -> Digest {
        self.digest
    }

    pub(crate) fn json(&self) -> &[u8] {
        &self.json
    }

    pub(crate) fn files(&self) -> &[OutlineFile] {
        &self.files
    }

    /// Makes the manifest when no size is missing.
    pub(crate) fn into_contents(self, location: impl Display) -> Result<Contents> {
        if self.files.iter().any(|file| file.size_bytes.is_none()) {
            return Ok(Contents::Outline(self));
        }
        Manifest::parse(self.json, location).map(Contents::Manifest)
    }

    /// Makes the manifest with the sizes that turned out, one for each file.
    ///
    /// # Errors
    /// [`ErrorKind::SizeMismatch`] when the registry states another.
    pub(crate) fn with_sizes(&self, sizes: &[u64], location: impl Display) -> Result<Manifest> {
        let mut files = self.files.clone();
        for (file, actual) in files.iter_mut().zip(sizes) {
            if let Some(stated) = file.size_bytes
                && stated != *actual
            {
                return Err(ErrorKind::SizeMismatch {
                    what: format!("the file '{}'", file.path),
                    expected_bytes: stated,
                    actual_bytes: *actual,
                }
                .into());
            }
            file.size_bytes = Some(*actual);
        }
        let revision = self.revision.as_deref().unwrap_or_default();
        Manifest::parse(Self::new(files, revision, &location)?.json, location)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, size_bytes: Option<u64>, digest: Option<&[u8]>) -> OutlineFile {
        OutlineFile {
            path: RelPath::parse(path).unwrap(),
            size_bytes,
            digest: digest.map(|bytes| Digest::of(bytes).into()),
        }
    }

    #[test]
    fn an_outline_with_all_sizes_is_a_manifest_of_the_same_digest() {
        let files = vec![
            file("a/x", Some(2), Some(b"xy")),
            file("empty", Some(0), Some(b"")),
            file("z", Some(1), None),
        ];
        let outline = Outline::new(files.clone(), "c0ffee", "here").unwrap();
        let digest = outline.digest();
        let again = Outline::parse(outline.json().to_vec(), "here").unwrap();
        assert_eq!((again.digest(), again.files()), (digest, outline.files()));
        let Contents::Manifest(manifest) = outline.into_contents("here").unwrap() else {
            panic!("all sizes are stated")
        };
        assert_eq!(manifest.digest(), digest);
        let parts: Vec<_> = manifest
            .parts()
            .iter()
            .map(|p| (p.size_bytes, p.digest))
            .collect();
        assert_eq!(parts, [(2, Some(Digest::of(b"xy").into())), (1, None)]);
        let moved = Outline::new(files, "another", "here").unwrap();
        assert_ne!(
            moved.digest(),
            digest,
            "a file without a digest is of its commit"
        );
    }

    #[test]
    fn sizes_that_turn_out_complete_it() {
        let files = vec![file("x", None, Some(b"xy")), file("y", Some(1), Some(b"y"))];
        let outline = Outline::new(files, "c0ffee", "here").unwrap();
        assert!(matches!(
            outline.clone().into_contents("here"),
            Ok(Contents::Outline(_))
        ));
        assert_eq!(
            outline.with_sizes(&[2, 1], "here").unwrap().total_bytes(),
            3
        );
        let error = outline.with_sizes(&[2, 2], "here").unwrap_err();
        assert_eq!(error.code(), "HASH_MISMATCH");
    }

    #[test]
    fn names_that_meet_and_sizes_beyond_reason_are_refused() {
        for files in [
            vec![file("x", None, None), file("X", None, None)],
            vec![file("x", Some(u64::MAX), None), file("y", Some(1), None)],
        ] {
            assert!(Outline::new(files, "r", "here").is_err());
        }
    }
}
