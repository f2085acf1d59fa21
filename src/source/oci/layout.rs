//! An OCI [layout](crate::oci::layout) as a registry.
//!
//! It holds one repository as a rule, which is called like the folder or tar. A tag may also be a whole reference, as `podman`
//! and containerd write them: then, that is the repository, with `_` in front of a port, as on disk; where it is the only one,
//! the name of the folder stands for it, too. A tar is not unpacked: what is in it is read where it is.

use std::collections::BTreeSet;

use super::DEFAULT_TAG;
use super::registry::{Documents, Named, get};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::http::call::Call;
use crate::http::network;
use crate::oci::layout::{INDEX, REF_NAME, blob_path};
use crate::oci::{Descriptor, Document, MAX_DOCUMENT_BYTES, RegistryPlace};

/// Annotations with the name of a manifest, the whole one first: where one folder has several repositories, the other may be
/// the tag alone.
const NAMES: [&str; 2] = ["io.containerd.image.name", REF_NAME];

/// A layout while one operation uses it.
#[derive(Debug)]
pub(super) struct Layout<'a> {
    pub(super) place: &'a RegistryPlace,
    pub(super) call: &'a Call,
}

/// A manifest that has a tag.
struct Tagged {
    repository: String,
    tag: String,
    digest: Digest,
}

impl Layout<'_> {
    /// The manifests that have tags; if one tag occurs twice, the last is the newest.
    fn all(&self) -> Result<Vec<Tagged>> {
        let url = self.place.api.join(INDEX);
        let refuse = |message: &str| Error::registry(&self.place.api, message);
        let json = get(self.call, &url, MAX_DOCUMENT_BYTES, None)?;
        let json = json.ok_or_else(|| refuse("it is no OCI layout: it has no index.json"))?;
        let Document::Index(index) = Document::parse(&json, &url)? else {
            return Err(Error::registry(&url, "it is no index"));
        };
        if let [only] = &index.manifests[..]
            && name_of(only).is_none()
        {
            // As skopeo writes it that was told no tag.
            return Ok(vec![Tagged {
                repository: self.place.host.clone(),
                tag: DEFAULT_TAG.to_owned(),
                digest: only.digest,
            }]);
        }
        let manifests = index.manifests.iter().rev();
        Ok(manifests.filter_map(|it| self.tagged_as(it)).collect())
    }

    /// The repository that a name stands for: the folder's own name also stands for the only one in it, whatever other tools
    /// call that.
    fn meant<'n>(&self, tagged: &'n [Tagged], name: &'n str) -> &'n str {
        let is_there = || tagged.iter().any(|it| it.repository == name);
        match tagged {
            [first, rest @ ..]
                if name == self.place.host
                    && !is_there()
                    && rest.iter().all(|it| it.repository == first.repository) =>
            {
                &first.repository
            }
            _ => name,
        }
    }

    fn tagged_as(&self, manifest: &Descriptor) -> Option<Tagged> {
        let name = name_of(manifest)?;
        let begin = name.rfind('/').map_or(0, |slash| slash + 1);
        let (repository, tag) = match name[begin..].split_once(':') {
            Some((last, tag)) => (format!("{}{last}", &name[..begin]), tag),
            None if begin == 0 => (self.place.host.clone(), name),
            None => (name.to_owned(), DEFAULT_TAG),
        };
        Some(Tagged {
            // No name of a model has the colon of a port.
            repository: repository.replace(':', "_"),
            tag: tag.to_owned(),
            digest: manifest.digest,
        })
    }
}

fn name_of(manifest: &Descriptor) -> Option<&str> {
    NAMES.iter().find_map(|key| manifest.annotation(key))
}

impl Documents for Layout<'_> {
    fn tagged(&self, repository: &str, tag: &str) -> Result<Option<Named>> {
        let tagged = self.all()?;
        let meant = self.meant(&tagged, repository);
        let found = tagged
            .iter()
            .find(|it| it.repository == meant && it.tag == tag);
        let Some(&Tagged { digest, .. }) = found else {
            return Ok(None);
        };
        let url = self.place.api.join(&blob_path(&digest));
        let message = "the index names a manifest that is not there";
        let missing = || network(&url, Some(404), message, None);
        let found = self.manifest(repository, digest)?.ok_or_else(missing)?;
        Ok(Some(found))
    }

    fn manifest(&self, repository: &str, digest: Digest) -> Result<Option<Named>> {
        self.blob(repository, digest, MAX_DOCUMENT_BYTES)
    }

    fn blob(&self, _: &str, digest: Digest, most_bytes: u64) -> Result<Option<Named>> {
        let url = self.place.api.join(&blob_path(&digest));
        let json = get(self.call, &url, most_bytes, Some(&digest))?;
        Ok(json.map(|json| Named { digest, json, url }))
    }

    fn tags(&self, repository: &str) -> Result<Option<Vec<String>>> {
        let tagged = self.all()?;
        let meant = self.meant(&tagged, repository);
        let tags = tagged.iter().filter(|it| it.repository == meant);
        let tags: BTreeSet<String> = tags.map(|it| it.tag.clone()).collect();
        Ok((!tags.is_empty()).then(|| tags.into_iter().collect()))
    }

    fn catalogue(&self) -> Result<Option<Vec<String>>> {
        let names = self.all()?.into_iter().map(|it| it.repository);
        let names: BTreeSet<String> = names.collect();
        Ok(Some(names.into_iter().collect()))
    }
}
