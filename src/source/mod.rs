//! Kinds of source: each says what it offers and where the bytes are, and never moves them to disk.
//!
//! The engine stands between a source and the store. It hands a source its [`Documents`], through which registries come
//! revalidated and cached, and takes from it what a version consists of and the [`Places`] of its parts.

pub(crate) mod cache;
pub(crate) mod chunked;
pub(crate) mod hub;
pub(crate) mod places;
pub(crate) mod repository;
pub(crate) mod zips;

use std::fmt;
use std::fs::File;
use std::sync::Arc;

use crate::catalog::{Pin, RemoteModel};
use crate::config::{SourceConfig, SourcePlace};
use crate::error::{Error, Result};
use crate::manifest::Manifest;
use crate::model::ModelRef;
use crate::source::places::{Places, Zip};
use crate::source::repository::Cached;
use crate::url::Url;

/// A configured place that offers models.
pub(crate) trait Source: Send + Sync + fmt::Debug {
    /// The configuration it was made from.
    fn config(&self) -> &SourceConfig;

    /// The version that counts when none is named, where that is always the same.
    fn default_version(&self) -> Option<&str> {
        None
    }

    /// Everything it offers, in the order of names, and what could not be read of it.
    fn catalog(&self, documents: &dyn Documents) -> Result<Catalog>;

    /// What it finds for a query by itself; `None` where one looks through what it offers.
    fn search(&self, _: &dyn Documents, _: &str) -> Result<Option<Vec<RemoteModel>>> {
        Ok(None)
    }

    /// What it says of models that belong together: example → models, for each ref.
    fn examples(&self, _: &dyn Documents) -> Result<Vec<Examples>> {
        Ok(Vec::new())
    }

    /// One version of one model. `path` is the model's name without the source's; without a version it is the only one
    /// there is.
    ///
    /// # Errors
    /// [`ErrorKind::ModelNotFound`](crate::ErrorKind::ModelNotFound) and [`ErrorKind::VersionNotFound`](crate::ErrorKind::VersionNotFound) with near names; [`ErrorKind::InvalidRef`](crate::ErrorKind::InvalidRef) with the choices
    /// when the version is left out and there are several; [`ErrorKind::NotSynced`](crate::ErrorKind::NotSynced) when it may be in a registry that is not
    /// cached.
    fn find(
        &self,
        documents: &dyn Documents,
        path: &str,
        version: Option<&str>,
    ) -> Result<RemoteModel>;

    /// The files of a version that was found.
    fn contents(&self, documents: &dyn Documents, model: &RemoteModel) -> Result<Manifest>;

    /// Where the bytes of those files are.
    fn places(&self, documents: &dyn Documents, pin: Option<&Pin>) -> Result<Places>;
}

/// What a source offers.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    pub(crate) models: Vec<RemoteModel>,
    /// Registries that could not be read, each with its ref and why.
    pub(crate) failures: Vec<(String, Error)>,
}

/// What one registry says of models that belong together.
#[derive(Debug)]
pub(crate) struct Examples {
    pub(crate) reference: String,
    /// Each with its models, all with the source's name in front.
    pub(crate) examples: Vec<(String, Vec<ModelRef>)>,
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

    /// Fetches an answer that is not worth keeping, with the address of the next page when it is one of several.
    fn ask(&self, url: &Url, max_bytes: u64) -> Result<(Vec<u8>, Option<String>)>;

    /// The refs whose registries are cached, in the order of names.
    fn cached_refs(&self) -> Vec<String>;

    /// Opens the cached registry of a ref; `None` when there is none.
    fn cached(&self, reference: &str) -> Result<Option<Cached>>;

    /// Opens a zip of a release: over byte ranges where its server knows them, else fetched whole and kept with the
    /// registry of that tag.
    fn zip(&self, urls: Vec<Url>, tag: &str) -> Result<Arc<Zip>>;

    /// Opens the archive of a commit that a pull of many models fetched, with the folder that everything in it is in.
    fn kept_archive(&self, commit: &str) -> Result<Option<(Arc<Zip>, String)>>;
}

/// Makes the source that a configuration entry describes.
pub(crate) fn new(config: &SourceConfig) -> Result<Arc<dyn Source>> {
    match &config.place {
        SourcePlace::Chunked { .. } => Ok(Arc::new(chunked::Chunked::new(config.clone())?)),
        SourcePlace::Repository(place) => Ok(Arc::new(repository::Repository::new(
            config.clone(),
            place.as_ref().clone(),
        ))),
        SourcePlace::Hub { endpoint } => {
            Ok(Arc::new(hub::Hub::new(config.clone(), endpoint.clone())))
        }
    }
}
