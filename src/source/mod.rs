//! Kinds of source: each says what it offers and where the bytes are, and never moves them to disk.
//!
//! The engine stands between a source and the store. It hands a source its [`Documents`], through which registries come
//! revalidated and cached, and takes from it manifests and locations of parts.

pub(crate) mod chunked;

use std::fmt;
use std::fs::File;
use std::sync::Arc;

use crate::catalog::RemoteModel;
use crate::config::{SourceConfig, SourcePlace};
use crate::error::{Error, Result};
use crate::manifest::{Manifest, Part};
use crate::url::Url;

/// A configured place that offers models.
pub(crate) trait Source: Send + Sync + fmt::Debug {
    /// The configuration it was made from.
    fn config(&self) -> &SourceConfig;

    /// Everything it offers, in the order of names.
    fn catalog(&self, documents: &dyn Documents) -> Result<Vec<RemoteModel>>;

    /// One version of one model. `path` is the model's name without the source's; without a version it is the only one
    /// there is.
    ///
    /// # Errors
    /// [`Error::ModelNotFound`] and [`Error::VersionNotFound`] with near names; [`Error::InvalidRef`] with the choices
    /// when the version is left out and there are several.
    fn find(
        &self,
        documents: &dyn Documents,
        path: &str,
        version: Option<&str>,
    ) -> Result<RemoteModel>;

    /// The files of a version that was found.
    fn manifest(&self, documents: &dyn Documents, model: &RemoteModel) -> Result<Manifest>;

    /// Where a part of a manifest is, at the source itself and then at each mirror; never empty.
    fn locate(&self, part: &Part) -> Vec<Url>;
}

/// A registry's document that is worth keeping between runs.
pub(crate) struct Document<'a> {
    /// Where it is, at the source itself and then at each mirror; never empty.
    pub(crate) urls: &'a [Url],
    /// Its size at most.
    pub(crate) max_bytes: u64,
    /// The minisign key that it must be signed with; the signature is beside it, with `.minisig` behind its name.
    pub(crate) public_key: Option<&'a str>,
    /// Refuses what came from the URL when it is no such document; it then does not replace the copy that is kept.
    pub(crate) check: &'a dyn Fn(&Url, File) -> Result<()>,
}

/// How a source reads documents; the engine's side of the bargain.
pub(crate) trait Documents {
    /// Opens the source's index: the cached copy when the server says that it is still the same, or when offline.
    fn index(&self, document: &Document<'_>) -> Result<File>;

    /// Fetches a document that its digest names, and lets `read` check it.
    fn fetch(
        &self,
        urls: &[Url],
        max_bytes: u64,
        read: &dyn Fn(&Url, Vec<u8>) -> Result<Manifest>,
    ) -> Result<Manifest>;
}

/// Makes the source that a configuration entry describes.
pub(crate) fn new(config: &SourceConfig) -> Result<Arc<dyn Source>> {
    match &config.place {
        SourcePlace::Chunked { .. } => Ok(Arc::new(chunked::Chunked::new(config.clone())?)),
        SourcePlace::Repository { .. } | SourcePlace::Hub { .. } => Err(Error::config(format!(
            "{}: the source '{}' is of kind {}, which this version does not read",
            config.origin,
            config.key,
            config.kind()
        ))),
    }
}
