//! An artifact as it is in its registry, for others that shall have the same.
//!
//! A tag may name an index of several manifests. What is locked of a model are the layers of the one that is meant, and the digest
//! that the tag names; so all of an index is passed on, if all of it can be had, and else the manifest that is meant.

use std::collections::{BTreeMap, BTreeSet};

use tracing::warn;

use super::registry::Named;
use super::{Asked, config};
use crate::at_once::at_once;
use crate::catalog::RemoteModel;
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::manifest::{Manifest, ManifestFile, RelPath};
use crate::oci::{Descriptor, Document, ImageManifest, Index, Platform, missing_manifest};
use crate::source::verbatim::{TypedDocument, Verbatim};

/// How many manifests of an index are passed on, and how large they are together. Indexes of images have one or two for each
/// platform, and those of models one for each form of them.
const MAX_MANIFESTS: usize = 256;
const MAX_MANIFEST_BYTES: u64 = 64 << 20;

/// A manifest, and the document that it was read from.
struct Part {
    document: TypedDocument,
    manifest: ImageManifest,
}

/// Reads all documents of a version that was found.
pub(super) fn read(
    registry: &Asked<'_>,
    repository: &str,
    remote: &RemoteModel,
    digest: Digest,
) -> Result<Verbatim> {
    let root = fetch(registry, repository, digest)?;
    let document = Document::parse(&root.json, &root.url)?;
    let root = typed(root, document.media_type());
    let index = match document {
        Document::Manifest(manifest) => {
            let document = root;
            return collect(
                registry,
                repository,
                None,
                vec![Part { document, manifest }],
            );
        }
        Document::Index(index) => index,
    };
    // Whoever asks for a digest gets what has that digest.
    let is_digest = remote.model.version().contains(':');
    match read_parts(registry, repository, &index) {
        Ok(parts) => collect(registry, repository, Some(root), parts),
        Err(error) if !is_digest && matches!(error.kind(), ErrorKind::Registry { .. }) => {
            let model = &remote.model;
            let chosen = index.choose(&Platform::current(), &model.to_string())?;
            warn!(
                "of {model}, only the manifest that is meant is passed on, under a digest of its own: {error}"
            );
            let part = read_part(registry, repository, chosen)?;
            collect(registry, repository, None, vec![part])
        }
        Err(error) => Err(error),
    }
}

fn fetch(registry: &Asked<'_>, repository: &str, digest: Digest) -> Result<Named> {
    let missing = || missing_manifest(format!("{repository}@sha256:{digest}"));
    registry.manifest(repository, digest)?.ok_or_else(missing)
}

fn typed(named: Named, media_type: &'static str) -> TypedDocument {
    TypedDocument {
        digest: named.digest,
        media_type,
        json: named.json,
    }
}

/// Reads all manifests of an index, each once.
///
/// # Errors
/// [`Registry`](ErrorKind::Registry) if they are too many, or if one is not there or is none.
fn read_parts(registry: &Asked<'_>, repository: &str, index: &Index) -> Result<Vec<Part>> {
    let mut seen = BTreeSet::new();
    let manifests = index.manifests.iter();
    let manifests: Vec<&Descriptor> = manifests.filter(|it| seen.insert(it.digest)).collect();
    let sizes = manifests.iter().map(|it| it.size_bytes);
    let total_bytes = sizes.fold(0, u64::saturating_add);
    if manifests.len() > MAX_MANIFESTS || total_bytes > MAX_MANIFEST_BYTES {
        let message = format!("the index names {} manifests", manifests.len());
        return Err(Error::registry(repository, message));
    }
    let parts = at_once(&manifests, |it| read_part(registry, repository, it));
    parts.into_iter().collect()
}

fn read_part(registry: &Asked<'_>, repository: &str, descriptor: &Descriptor) -> Result<Part> {
    let found = fetch(registry, repository, descriptor.digest)?;
    if found.json.len() as u64 != descriptor.size_bytes {
        let message = "a manifest does not have the size that the index says";
        return Err(Error::registry(&found.url, message));
    }
    let document = Document::parse(&found.json, &found.url)?;
    let media_type = document.media_type();
    let manifest = document.into_manifest(&found.url)?;
    let document = typed(found, media_type);
    Ok(Part { document, manifest })
}

/// Adds what the manifests name: all of an index, or a single one.
fn collect(
    registry: &Asked<'_>,
    repository: &str,
    index: Option<TypedDocument>,
    manifests: Vec<Part>,
) -> Result<Verbatim> {
    let mut known: BTreeMap<Digest, Vec<u8>> = BTreeMap::new();
    let mut blobs: BTreeMap<Digest, u64> = BTreeMap::new();
    let mut parts = Vec::new();
    for Part { document, manifest } in manifests {
        parts.push(document);
        // What tells about the model was read when that was found, and kept.
        let config = config(registry, repository, &manifest)?;
        known.extend(config.map(|config| (config.digest, config.json)));
        for blob in manifest.layers.iter().chain([&manifest.config]) {
            if let Some(data) = &blob.data {
                known.insert(blob.digest, data.clone());
            } else if blob.size_bytes == 0 {
                known.insert(blob.digest, Vec::new());
            } else if *blobs.entry(blob.digest).or_insert(blob.size_bytes) != blob.size_bytes {
                let message = format!("the blob sha256:{} has two sizes", blob.digest);
                return Err(Error::registry(repository, message));
            }
        }
    }
    blobs.retain(|digest, _| !known.contains_key(digest));
    let files = blobs.into_iter().map(|(digest, size_bytes)| {
        let path = RelPath::parse(&digest.to_string());
        Ok(ManifestFile {
            size_bytes: Some(size_bytes),
            digest: Some(digest.into()),
            ..ManifestFile::new(path.map_err(Error::argument_name)?)
        })
    });
    let root = index.or_else(|| parts.pop());
    let root = root.ok_or_else(|| Error::internal("an artifact has no manifest"))?;
    Ok(Verbatim {
        root,
        parts,
        known: known.into_iter().collect(),
        blobs: Manifest::of_files(files.collect::<Result<_>>()?, "", repository)?,
    })
}
