//! Chunked registries: static files named by their digests, which any web server or bucket serves.
//!
//! | path | holds |
//! |---|---|
//! | `models.json` | the index, see `wire` |
//! | `models.json.minisig` | its signature, when there is one |
//! | `data/<sha256>` | a manifest, see [`crate::manifest`], or a chunk |
//!
//! The index says the digest of each manifest, and a manifest that of each chunk, so who trusts the index needs to trust
//! nothing else.

mod wire;

use std::io::{BufReader, Read};

use crate::catalog::{Pin, RemoteModel};
use crate::config::{SourceConfig, SourcePlace};
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::manifest::{MAX_MANIFEST_BYTES, Manifest};
use crate::source::places::{Places, data_urls};
use crate::source::{Catalog, Document, Documents, Source};
use crate::url::Url;

/// The largest index that is read, in bytes: about half a million versions.
const MAX_INDEX_BYTES: u64 = 64 << 20;

#[derive(Debug)]
pub(crate) struct Chunked {
    config: SourceConfig,
    bases: Vec<Url>,
    indexes: Vec<Url>,
    public_key: Option<String>,
}

impl Chunked {
    pub(crate) fn new(config: SourceConfig) -> Result<Self> {
        let SourcePlace::Chunked { urls, public_key } = &config.place else {
            return Err(Error::internal("a chunked source of another kind"));
        };
        let (bases, public_key) = (urls.clone(), public_key.clone());
        let indexes = bases.iter().map(|base| base.join("models.json")).collect();
        Ok(Self {
            config,
            bases,
            indexes,
            public_key,
        })
    }

    fn index(&self, documents: &dyn Documents) -> Result<std::fs::File> {
        documents.index(&Document {
            urls: &self.indexes,
            max_bytes: MAX_INDEX_BYTES,
            public_key: self.public_key.as_deref(),
            check: &|url, file| {
                wire::check_shape(BufReader::with_capacity(256 << 10, file))
                    .map_err(|error| malformed(url, error))
            },
        })
    }
}

impl Source for Chunked {
    fn config(&self) -> &SourceConfig {
        &self.config
    }

    fn catalog(&self, documents: &dyn Documents) -> Result<Catalog> {
        let mut file = self.index(documents)?;
        let mut text = Vec::new();
        // It is as large as it was when it was fetched, which was checked then.
        file.read_to_end(&mut text)
            .at("read", std::path::Path::new("models.json"))?;
        let models = wire::read_all(&text, &self.config).map_err(|error| self.malformed(error))?;
        Ok(Catalog {
            models,
            failures: Vec::new(),
        })
    }

    fn find(
        &self,
        documents: &dyn Documents,
        path: &str,
        version: Option<&str>,
    ) -> Result<RemoteModel> {
        let (group, model) = path.rsplit_once('/').unwrap_or(("", path));
        let file = self.index(documents)?;
        let reader = BufReader::with_capacity(256 << 10, file);
        let versions =
            wire::read_model(reader, group, model).map_err(|error| self.malformed(error))?;
        match versions {
            wire::Lookup::Found(versions) => {
                wire::choose(&versions, &self.config, group, model, version).map_err(|error| {
                    match error {
                        wire::Unchosen::Malformed(error) => self.malformed(error),
                        wire::Unchosen::Error(error) => error,
                    }
                })
            }
            wire::Lookup::Near(near) => Err(ErrorKind::ModelNotFound {
                model: wire::full_name(&self.config, path),
                near: near
                    .iter()
                    .map(|near| wire::full_name(&self.config, near))
                    .collect(),
            }
            .into()),
        }
    }

    fn contents(&self, documents: &dyn Documents, model: &RemoteModel) -> Result<Manifest> {
        let expected = model.manifest_digest;
        let urls = data_urls(&self.bases, &expected);
        documents.fetch(&urls, MAX_MANIFEST_BYTES, &|url, json| {
            let actual = Digest::of(&json);
            if actual != expected {
                return Err(ErrorKind::HashMismatch {
                    what: format!("the manifest ({url})"),
                    expected: expected.to_string(),
                    actual: actual.to_string(),
                }
                .into());
            }
            let manifest = Manifest::parse(json, url)?;
            let has_digests = manifest.parts().iter().all(|part| part.digest.is_some());
            if !manifest.is_measured() || !has_digests {
                return Err(Error::registry(url, "the manifest lists no chunks"));
            }
            Ok(manifest)
        })
    }

    fn places(&self, _: &dyn Documents, _: Option<&Pin>) -> Result<Places> {
        Ok(Places::Chunks(self.bases.clone()))
    }
}

/// Checks an index as those who pull will.
#[cfg(feature = "author")]
pub(crate) fn check_index(json: &[u8]) -> Result<(), String> {
    if json.len() as u64 > MAX_INDEX_BYTES {
        return Err(format!(
            "the index would have {} bytes, and may have {MAX_INDEX_BYTES}",
            json.len()
        ));
    }
    wire::check(json).map_err(|malformed| match malformed.source {
        Some(source) => format!("{}: {source}", malformed.message),
        None => malformed.message,
    })
}

impl Chunked {
    fn malformed(&self, error: wire::Malformed) -> Error {
        malformed(&self.indexes[0], error)
    }
}

fn malformed(url: &Url, error: wire::Malformed) -> Error {
    Error::from(ErrorKind::Registry {
        location: url.to_string(),
        message: error.message,
        source: error.source.map(Into::into),
    })
}
