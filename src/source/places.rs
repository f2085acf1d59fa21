//! Where the bytes of a model's parts are: as documents of their own, or as members of a zip.

use std::path::PathBuf;
use std::sync::Arc;

use crate::archive::{Directory, Member};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::manifest::Manifest;
use crate::relpath::{RelPath, below};
use crate::source::template::UrlTemplate;
use crate::url::Url;

/// Where the bytes of a model are.
#[derive(Debug, Clone)]
pub(crate) enum Places {
    /// Each part is a document that its digest names, below each of these URLs.
    Chunks(Vec<Url>),
    /// Each file is a document of its own, in a commit of a repository.
    Files {
        url: UrlTemplate,
        repo: String,
        commit: String,
        /// The folder in the repository; empty for the top.
        root: String,
        /// Where another tool of this machine may keep files of the commit.
        elsewhere: Option<Elsewhere>,
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

/// Folders of another tool or of a person, in which nothing is changed.
#[derive(Debug, Clone)]
pub(crate) struct Elsewhere {
    /// Where each file is named by what it is checked by.
    pub(crate) blobs: Option<PathBuf>,
    /// Where the files of the commit have their own names: links to the former, or files where there are no links.
    pub(crate) snapshot: PathBuf,
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
        if let Self::Chunks(bases) = self {
            let digest = manifest.parts()[part].digest;
            let digest = digest.and_then(|digest| digest.sha256());
            let urls = digest.map(|digest| data_urls(bases, &digest));
            return match urls {
                Some(urls) if !urls.is_empty() => Ok(Location::Document(urls)),
                _ => Err(Error::internal("a chunk has no location")),
            };
        }
        let file = manifest.file_of_part(part);
        let file = file.ok_or_else(|| Error::internal("a part belongs to no file"))?;
        self.of_file(&manifest.files()[file].path)
    }

    /// Where a file is that is a part of its own.
    pub(crate) fn of_file(&self, path: &RelPath) -> Result<Location> {
        match self {
            Self::Chunks(_) => Err(Error::internal(
                "a chunk was requested by the name of a file",
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

    /// Where another tool may keep the same bytes.
    pub(crate) fn elsewhere(&self) -> Option<&Elsewhere> {
        match self {
            Self::Files { elsewhere, .. } => elsewhere.as_ref(),
            _ => None,
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

/// Where a chunked registry has the document of a digest.
pub(crate) fn data_urls(bases: &[Url], digest: &Digest) -> Vec<Url> {
    let path = format!("data/{digest}");
    bases.iter().map(|base| base.join(&path)).collect()
}
