//! The documents of an artifact: a manifest, or an index of several.
//!
//! A [manifest] is what a tag usually names; version 2 of Docker's schema has the same fields under other media types. An
//! [index], or Docker's list of manifests, names one manifest for each platform, or for each of several forms of a model.
//! The media type that a registry sends is not always right, so the document's own fields tell what it is. Unknown fields
//! are ignored.
//!
//! [manifest]: https://github.com/opencontainers/image-spec/blob/v1.1.1/manifest.md
//! [index]: https://github.com/opencontainers/image-spec/blob/v1.1.1/image-index.md

use std::collections::BTreeMap;
use std::fmt::Display;

use super::platform::Platform;
use super::wire::DocumentWire;
use super::{INDEX_TYPES, MAX_DOCUMENT_BYTES};
use crate::digest::Digest;
use crate::error::{Error, Result};

/// What documents and layers are described with.
pub(crate) type Annotations = BTreeMap<String, String>;

/// What a tag or digest names.
#[allow(clippy::large_enum_variant, reason = "there is one at a time")]
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Document {
    Manifest(ImageManifest),
    Index(Index),
}

/// The layers of one artifact. No two layers give one digest two sizes, and the sizes of all add up to a `u64`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ImageManifest {
    /// What it says it is, or what the specification calls it.
    pub(crate) media_type: &'static str,
    /// The artifact's type; without one, the configuration's media type takes its place.
    pub(crate) artifact_type: Option<String>,
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<Descriptor>,
    pub(crate) annotations: Annotations,
}

/// Several manifests, of which one is meant.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Index {
    /// What it says it is, or what the specification calls it.
    pub(crate) media_type: &'static str,
    pub(crate) manifests: Vec<Descriptor>,
    pub(crate) annotations: Annotations,
}

/// A document or layer that is named by its digest.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Descriptor {
    /// Without parameters, in lower case; may be empty.
    pub(crate) media_type: String,
    pub(crate) artifact_type: Option<String>,
    pub(crate) digest: Digest,
    pub(crate) size_bytes: u64,
    pub(crate) annotations: Annotations,
    /// Only in an index.
    pub(crate) platform: Option<Platform>,
    /// The content itself, which agrees with digest and size.
    pub(crate) data: Option<Vec<u8>>,
    /// What a layer of ollama is called: a tensor, or a file.
    pub(crate) name: Option<String>,
}

impl Document {
    /// Reads a document; `location` names it in errors.
    ///
    /// # Errors
    /// [`Registry`](crate::error::ErrorKind::Registry) if it is malformed, too large, or of a form that is not known.
    pub(crate) fn parse(json: &[u8], location: impl Display) -> Result<Self> {
        let refuse = |message: String| Error::registry(&location, message);
        if json.len() as u64 > MAX_DOCUMENT_BYTES {
            let message = format!("the manifest has more than {MAX_DOCUMENT_BYTES} bytes");
            return Err(refuse(message));
        }
        let wire: DocumentWire = serde_json::from_slice(json)
            .map_err(|error| Error::registry_from(&location, "the manifest is malformed", error))?;
        wire.read().map_err(refuse)
    }

    /// The media type that it has to be served with.
    pub(crate) fn media_type(&self) -> &'static str {
        match self {
            Self::Manifest(manifest) => manifest.media_type,
            Self::Index(index) => index.media_type,
        }
    }

    /// Returns the manifest of an artifact that an index names.
    ///
    /// # Errors
    /// [`Registry`](crate::error::ErrorKind::Registry) if it is an index again.
    pub(crate) fn into_manifest(self, location: impl Display) -> Result<ImageManifest> {
        match self {
            Self::Manifest(manifest) => Ok(manifest),
            Self::Index(_) => Err(nested(location)),
        }
    }
}

/// The error of an index in an index: nothing says how deep they go.
pub(crate) fn nested(location: impl Display) -> Error {
    Error::registry(location, "the index names another index")
}

/// The error of an index, a part of which is not there.
pub(crate) fn missing_manifest(location: impl Display) -> Error {
    Error::registry(location, "the index names a manifest that is not there")
}

impl Descriptor {
    /// Whether it names an index.
    pub(crate) fn is_index(&self) -> bool {
        INDEX_TYPES.contains(&self.media_type.as_str())
    }

    /// An annotation that is not empty.
    pub(crate) fn annotation(&self, key: &str) -> Option<&str> {
        let text = self.annotations.get(key).map(String::as_str);
        text.filter(|text| !text.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::oci::{MANIFEST_TYPES, MAX_DESCRIPTORS};

    const HEX: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    fn descriptor(size: u64) -> Value {
        json!({"mediaType": "application/x", "digest": format!("sha256:{HEX}"), "size": size})
    }

    fn parse(json: &Value) -> Result<Document> {
        Document::parse(json.to_string().as_bytes(), "here")
    }

    fn refusal(json: &Value) -> String {
        let error = parse(json).unwrap_err();
        assert_eq!(error.code(), "REGISTRY_ERROR");
        crate::error::chain(&error)
    }

    #[test]
    fn a_manifest_is_read_whatever_else_it_has() {
        let layer = json!({
            "mediaType": "Application/X; charset=utf-8", "digest": format!("sha256:{}", HEX.to_uppercase()), "size": 7,
            "annotations": {"a": "b", "number": 1, "list": []}, "urls": ["x"], "name": "model.norm",
        });
        for (media_type, annotations) in [
            (json!(MANIFEST_TYPES[0]), json!({"k": "v"})),
            (json!(MANIFEST_TYPES[1]), Value::Null),
            (Value::Null, json!({})),
        ] {
            let document = parse(&json!({
                "schemaVersion": 2, "mediaType": media_type, "artifactType": "application/vnd.a; v=1", "new": [{}],
                "config": descriptor(2), "layers": [layer, layer], "annotations": annotations, "subject": null,
            }));
            let manifest = document.unwrap().into_manifest("here").unwrap();
            assert_eq!(manifest.artifact_type.as_deref(), Some("application/vnd.a"));
            let layer = &manifest.layers[1];
            assert_eq!(layer.digest, HEX.parse().unwrap());
            assert_eq!((&*layer.media_type, layer.size_bytes), ("application/x", 7));
            assert_eq!(layer.name.as_deref(), Some("model.norm"));
            assert!(layer.annotations.iter().eq([(&"a".into(), &"b".into())]));
        }
    }

    #[test]
    fn an_index_is_told_by_its_manifests() {
        let manifests = json!([descriptor(7)]);
        for media_type in [json!(INDEX_TYPES[0]), json!(INDEX_TYPES[1]), Value::Null] {
            let json = json!({"schemaVersion": 2, "mediaType": media_type, "manifests": manifests});
            let document = parse(&json).unwrap();
            let Document::Index(index) = &document else {
                panic!("{document:?}");
            };
            assert_eq!(index.manifests.len(), 1);
            let error = document.into_manifest("here").unwrap_err();
            assert_eq!(error.to_string(), "the index names another index (here)");
        }
    }

    #[test]
    fn what_is_in_the_manifest_itself_must_be_what_its_digest_says() {
        let empty = json!({
            "mediaType": "application/vnd.oci.empty.v1+json", "data": "e30=", "size": 2,
            "digest": format!("sha256:{}", Digest::of(b"{}")),
        });
        let manifest = parse(&json!({"config": empty, "layers": []})).unwrap();
        let manifest = manifest.into_manifest("here").unwrap();
        assert_eq!(manifest.config.data.as_deref(), Some(&b"{}"[..]));
        for (key, value) in [
            ("data", json!("e30")),
            ("data", json!("{}")),
            ("size", json!(3)),
            ("digest", json!(format!("sha256:{HEX}"))),
        ] {
            let mut lying = empty.clone();
            lying[key] = value;
            let refusal = refusal(&json!({"config": lying, "layers": []}));
            assert!(refusal.contains("is not what its digest says"), "{refusal}");
        }
    }

    #[test]
    fn refuses_what_is_no_manifest() {
        let layer = descriptor(7);
        let other = |digest: &str| json!({"digest": digest, "size": 7});
        let zero = descriptor(0);
        let manifest = |layers: Value| json!({"config": layer, "layers": layers});
        for (document, expected) in [
            (json!([]), "malformed"),
            (json!({}), "neither a manifest nor an index"),
            (json!({"layers": []}), "neither a manifest nor an index"),
            (json!({"schemaVersion": 1, "fsLayers": []}), "version 1"),
            (
                json!({"mediaType": INDEX_TYPES[0], "config": layer, "layers": []}),
                "neither",
            ),
            (
                json!({"mediaType": MANIFEST_TYPES[0], "manifests": []}),
                "neither",
            ),
            (
                json!({"config": layer, "layers": [], "manifests": []}),
                "and of an index",
            ),
            (json!({"layers": [], "manifests": []}), "and of an index"),
            (manifest(json!(7)), "malformed"),
            (manifest(json!([{"size": 7}])), "malformed"),
            (
                manifest(json!([{"digest": format!("sha256:{HEX}"), "size": -1}])),
                "malformed",
            ),
            (manifest(json!([other("sha256:aa")])), "is no digest"),
            (manifest(json!([other(HEX)])), "is no digest"),
            (
                manifest(json!([other(&format!("sha512:{HEX}{HEX}"))])),
                "algorithm 'sha512'",
            ),
            (
                manifest(json!([layer, descriptor(8)])),
                "cannot have the size 8",
            ),
            (manifest(json!([zero])), "cannot have the size 0"),
            (
                manifest(json!([{"digest": format!("sha256:{}", Digest::of(b"")), "size": 1}])),
                "cannot have the size 1",
            ),
            (
                manifest(json!([
                    descriptor(u64::MAX),
                    {"digest": format!("sha256:{}", Digest::of(b"x")), "size": 1},
                ])),
                "too large",
            ),
            (
                manifest(json!(vec![&layer; 10_000])),
                "more than 8192 entries",
            ),
            (
                json!({"manifests": vec![&layer; 10_000]}),
                "more than 8192 entries",
            ),
        ] {
            let refusal = refusal(&document);
            assert!(refusal.contains(expected), "{refusal}: {expected}");
        }
        assert!(parse(&manifest(json!(vec![&layer; MAX_DESCRIPTORS]))).is_ok());
        let large = vec![b' '; MAX_DOCUMENT_BYTES as usize + 1];
        let error = Document::parse(&large, "here").unwrap_err();
        assert!(error.to_string().contains("more than 4194304 bytes"));
    }
}
