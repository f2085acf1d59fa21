//! Where the bytes of a model's parts are: as documents of their own, or as members of a zip.

use std::path::PathBuf;
use std::sync::Arc;

use crate::archive::{Directory, Member};
use crate::digest::{Checksum, Digest};
use crate::error::{Error, Result};
use crate::http::authority::Authority;
use crate::http::call::Call;
use crate::manifest::Manifest;
use crate::relpath::{RelPath, below};
use crate::source::template::UrlTemplate;
use crate::url::Url;

/// Where the bytes of a model are.
#[derive(Debug, Clone)]
pub(crate) enum Places {
    /// Each part is a document that its digest names.
    ByDigest(DigestPlaces),
    /// Each file is a document of its own, in a commit of a repository.
    Files {
        url: UrlTemplate,
        repo: String,
        commit: String,
        /// The folder in the repository; empty for the top.
        root: String,
        /// Where other tools of this machine may keep files of the commit.
        elsewhere: Vec<Elsewhere>,
    },
    /// Each file is a member of a zip.
    Zip {
        zip: Arc<Zip>,
        /// The folder in the zip; empty for the top.
        root: String,
        /// Whether it was fetched for many models, so that there is another way.
        is_shared: bool,
    },
    /// The files are in a zip of this size, which comes only as a whole and is not here: [`Call::without_archives`].
    ///
    /// [`Call::without_archives`]: crate::http::call::Call::without_archives
    WholeZip { size_bytes: Option<u64> },
}

/// Where documents are that their digests name.
#[derive(Debug, Clone)]
pub(crate) struct DigestPlaces {
    /// The folder that they are below, followed by those of mirrors; empty for what the store itself has.
    pub(crate) bases: Vec<Url>,
    /// Returns the path of a document below a base.
    pub(crate) path: fn(&Digest) -> String,
    /// What authorizes requests for them.
    pub(crate) authority: Option<Arc<dyn Authority>>,
    /// Where other tools of this machine may keep the same documents.
    pub(crate) elsewhere: Vec<Elsewhere>,
}

/// A folder of another tool or of a person, in which nothing is changed.
#[derive(Debug, Clone)]
pub(crate) struct Elsewhere {
    pub(crate) folder: PathBuf,
    pub(crate) naming: Naming,
}

/// How files are named in a folder of another tool.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Naming {
    /// As in the model.
    ByPath,
    /// By what each is checked by; `None` for a checksum that the tool does not know.
    ByChecksum(fn(&Checksum) -> Option<String>),
}

/// A zip whose directory is read.
#[derive(Debug)]
pub(crate) struct Zip {
    /// Where it is, and then its other places; never empty.
    pub(crate) urls: Vec<Url>,
    pub(crate) directory: Directory,
    /// The media type to request.
    pub(crate) accept: Option<&'static str>,
    /// Where it lies, when it was fetched whole.
    pub(crate) kept: Option<PathBuf>,
}

/// Where the bytes of one part are.
#[derive(Debug)]
pub(crate) enum Location {
    /// A document, at the source itself and then at each mirror; never empty.
    Document(Vec<Url>),
    /// A member of a zip.
    Member(Member),
}

impl Places {
    /// Where a part of a manifest is.
    pub(crate) fn of_part(&self, manifest: &Manifest, part: usize) -> Result<Location> {
        if let Self::ByDigest(places) = self {
            let digest = manifest.parts()[part].digest;
            let digest = digest.and_then(|digest| digest.sha256());
            let digest = digest.ok_or_else(|| Error::internal("a part has no digest"))?;
            return match places.urls(&digest) {
                // Only what the store has of other models: one of the copies is not what it was.
                none if none.is_empty() => {
                    let message = format!("the copy of {digest} is damaged");
                    Err(Error::registry("the store", message))
                }
                urls => Ok(Location::Document(urls)),
            };
        }
        let file = manifest.file_of_part(part);
        let file = file.ok_or_else(|| Error::internal("a part belongs to no file"))?;
        self.of_file(&manifest.files()[file].path)
    }

    /// Where a file is that is a part of its own.
    pub(crate) fn of_file(&self, path: &RelPath) -> Result<Location> {
        match self {
            Self::ByDigest(_) => Err(Error::internal(
                "what its digest names was requested by the name of a file",
            )),
            Self::Files {
                url,
                repo,
                commit,
                root,
                ..
            } => {
                let url = url.fill(repo, commit, &below(root, path.as_str()))?;
                Ok(Location::Document(vec![url]))
            }
            Self::Zip { zip, root, .. } => zip
                .member(&below(root, path.as_str()))
                .map(Location::Member),
            Self::WholeZip { .. } => Err(Error::internal(
                "a file was requested of a zip that is not here",
            )),
        }
    }

    /// Whether a part may be fetched in pieces.
    pub(crate) fn has_ranges(&self) -> bool {
        !matches!(self, Self::Zip { .. } | Self::WholeZip { .. })
    }

    /// Whether they were fetched for many models, so that there is another way to this one.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(
            self,
            Self::Zip {
                is_shared: true,
                ..
            }
        )
    }

    /// Where other tools may keep the same bytes.
    pub(crate) fn elsewhere(&self) -> &[Elsewhere] {
        match self {
            Self::Files { elsewhere, .. } => elsewhere,
            Self::ByDigest(places) => &places.elsewhere,
            _ => &[],
        }
    }

    /// The call for the bytes, with what authorizes it.
    pub(crate) fn authorized(&self, call: &Call) -> Call {
        match self {
            Self::ByDigest(places) => call.authorized(places.authority.as_ref()),
            _ => call.clone(),
        }
    }

    /// The zip, when it is one.
    pub(crate) fn zip(&self) -> Option<&Arc<Zip>> {
        match self {
            Self::Zip { zip, .. } => Some(zip),
            _ => None,
        }
    }
}

impl Zip {
    /// A member that a registry names.
    pub(crate) fn member(&self, name: &str) -> Result<Member> {
        let missing = || {
            let shown = name.escape_debug();
            let message = format!("the zip has no file '{shown}', which the registry names");
            Error::registry(&self.urls[0], message)
        };
        self.directory.member(name)?.cloned().ok_or_else(missing)
    }
}

impl DigestPlaces {
    /// Where the document of a digest is; never empty.
    pub(crate) fn urls(&self, digest: &Digest) -> Vec<Url> {
        let path = (self.path)(digest);
        self.bases.iter().map(|base| base.join(&path)).collect()
    }
}
