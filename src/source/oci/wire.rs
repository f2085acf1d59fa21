//! What a registry answers about an artifact: a manifest, or an index of several.
//!
//! A [manifest] is what a tag usually names; version 2 of Docker's schema has the same fields under other media types. An
//! [index], or Docker's list of manifests, names one manifest for each platform, or for each of several forms of a model.
//! The media type that a registry sends is not always right, so the document's own fields tell what it is. Unknown fields
//! are ignored.
//!
//! [manifest]: https://github.com/opencontainers/image-spec/blob/v1.1.1/manifest.md
//! [index]: https://github.com/opencontainers/image-spec/blob/v1.1.1/image-index.md

use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Display};
use std::marker::PhantomData;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::platform::Platform;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::relpath::shown;

/// The largest manifest or index that is read, in bytes: what registries accept at least, and at most as a rule
/// (distribution specification 1.1, "Pushing Manifests").
pub(crate) const MAX_DOCUMENT_BYTES: u64 = 4 << 20;
/// How many layers a manifest may have, and manifests an index. It is what 4 MiB have room for at 512 bytes each, and a layer
/// with the annotations of ModelPack has about as many. Models that have a layer for each tensor have some thousand.
pub(crate) const MAX_DESCRIPTORS: usize = 8192;
/// How many annotations of a descriptor or document are kept; the known formats write less than ten.
const MAX_ANNOTATIONS: usize = 256;

/// Media types of manifests, in the order in which they are preferred.
const MANIFEST_TYPES: [&str; 2] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];
/// Media types of indexes.
const INDEX_TYPES: [&str; 2] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];

/// The media types of all documents that can be read, for the header `Accept`: without them, a registry answers 404, or with
/// something older.
pub(crate) const ACCEPT: &str = "application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json, \
    application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json";

pub(super) type Annotations = BTreeMap<String, String>;

/// What a tag or digest names.
#[allow(clippy::large_enum_variant, reason = "there is one at a time")]
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Document {
    Manifest(Box<ImageManifest>),
    Index(Index),
}

/// The layers of one artifact. No two layers give one digest two sizes, and the sizes of all add up to a `u64`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ImageManifest {
    /// What it says it is, or what the specification calls it.
    pub(super) media_type: &'static str,
    /// The artifact's type; without one, the configuration's media type takes its place.
    pub(super) artifact_type: Option<String>,
    pub(super) config: Descriptor,
    pub(super) layers: Vec<Descriptor>,
    pub(super) annotations: Annotations,
}

/// Several manifests, of which one is meant.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Index {
    /// What it says it is, or what the specification calls it.
    pub(super) media_type: &'static str,
    pub(super) manifests: Vec<Descriptor>,
    pub(super) annotations: Annotations,
}

/// A document or layer that is named by its digest.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Descriptor {
    /// Without parameters, in lower case; may be empty.
    pub(super) media_type: String,
    pub(super) artifact_type: Option<String>,
    pub(super) digest: Digest,
    pub(super) size_bytes: u64,
    pub(super) annotations: Annotations,
    /// Only in an index.
    pub(super) platform: Option<Platform>,
    /// The content itself, which agrees with digest and size.
    pub(super) data: Option<Vec<u8>>,
    /// What a layer of ollama is called: a tensor, or a file.
    pub(super) name: Option<String>,
}

impl Document {
    /// Reads a document; `location` names it in errors.
    ///
    /// # Errors
    /// [`Registry`](crate::error::ErrorKind::Registry) if it is malformed, too large, or of a form that is not known.
    pub(super) fn parse(json: &[u8], location: impl Display) -> Result<Self> {
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
    pub(super) fn media_type(&self) -> &'static str {
        match self {
            Self::Manifest(manifest) => manifest.media_type,
            Self::Index(index) => index.media_type,
        }
    }

    /// Returns the manifest of an artifact that an index names.
    ///
    /// # Errors
    /// [`Registry`](crate::error::ErrorKind::Registry) if it is an index again.
    pub(super) fn into_manifest(self, location: impl Display) -> Result<ImageManifest> {
        match self {
            Self::Manifest(manifest) => Ok(*manifest),
            Self::Index(_) => Err(nested(location)),
        }
    }
}

/// The error of an index in an index: nothing says how deep they go.
pub(super) fn nested(location: impl Display) -> Error {
    Error::registry(location, "the index names another index")
}

/// The error of an index, a part of which is not there.
pub(super) fn missing_manifest(location: impl Display) -> Error {
    Error::registry(location, "the index names a manifest that is not there")
}

impl Descriptor {
    /// Whether it names an index.
    pub(super) fn is_index(&self) -> bool {
        INDEX_TYPES.contains(&self.media_type.as_str())
    }

    /// An annotation that is not empty.
    pub(super) fn annotation(&self, key: &str) -> Option<&str> {
        let text = self.annotations.get(key).map(String::as_str);
        text.filter(|text| !text.is_empty())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DocumentWire {
    schema_version: Option<u64>,
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<DescriptorWire>,
    #[serde(default, deserialize_with = "bounded")]
    layers: Option<Vec<DescriptorWire>>,
    #[serde(default, deserialize_with = "bounded")]
    manifests: Option<Vec<DescriptorWire>>,
    #[serde(default, deserialize_with = "texts")]
    annotations: Annotations,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DescriptorWire {
    #[serde(default)]
    media_type: Option<String>,
    artifact_type: Option<String>,
    digest: String,
    size: u64,
    #[serde(default, deserialize_with = "texts")]
    annotations: Annotations,
    platform: Option<Platform>,
    data: Option<String>,
    name: Option<String>,
}

impl DocumentWire {
    fn read(self) -> Result<Document, String> {
        let media_type = self.media_type.as_deref().map(essence).unwrap_or_default();
        let stated = |types: &[&'static str]| types.iter().copied().find(|it| *it == media_type);
        let is_stated = |types: &[&'static str]| stated(types).is_some();
        match (self.config, self.layers, self.manifests) {
            // What one reader takes for a manifest, another takes for an index (CVE-2021-41190).
            (Some(_), _, Some(_)) | (_, Some(_), Some(_)) => {
                Err("the document has the fields of a manifest and of an index".into())
            }
            (Some(config), layers, None) if !is_stated(&INDEX_TYPES) => {
                let layers = layers.unwrap_or_default();
                let layers = layers.into_iter().map(DescriptorWire::read);
                let layers: Vec<_> = layers.collect::<Result<_, _>>()?;
                check_sizes(&layers)?;
                let manifest = ImageManifest {
                    media_type: stated(&MANIFEST_TYPES).unwrap_or(MANIFEST_TYPES[0]),
                    artifact_type: self.artifact_type.as_deref().map(essence),
                    config: config.read()?,
                    layers,
                    annotations: self.annotations,
                };
                Ok(Document::Manifest(manifest.into()))
            }
            (None, None, Some(manifests)) if !is_stated(&MANIFEST_TYPES) => {
                let manifests = manifests.into_iter().map(DescriptorWire::read);
                Ok(Document::Index(Index {
                    media_type: stated(&INDEX_TYPES).unwrap_or(INDEX_TYPES[0]),
                    manifests: manifests.collect::<Result<_, _>>()?,
                    annotations: self.annotations,
                }))
            }
            _ if self.schema_version == Some(1) => {
                Err("the manifest is of version 1 of Docker's schema, which is not read".into())
            }
            _ => Err("the document is neither a manifest nor an index".into()),
        }
    }
}

impl DescriptorWire {
    fn read(self) -> Result<Descriptor, String> {
        let digest = read_digest(&self.digest)?;
        let data = self.data.map(|data| {
            let data = BASE64_STANDARD.decode(data).ok();
            let data = data.filter(|data| data.len() as u64 == self.size);
            let data = data.filter(|data| Digest::of(data) == digest);
            data.ok_or_else(|| format!("the data of sha256:{digest} is not what its digest says"))
        });
        Ok(Descriptor {
            media_type: self.media_type.as_deref().map(essence).unwrap_or_default(),
            artifact_type: self.artifact_type.as_deref().map(essence),
            digest,
            size_bytes: self.size,
            annotations: self.annotations,
            platform: self.platform,
            data: data.transpose()?,
            name: self.name,
        })
    }
}

/// Reads a digest with the name of its algorithm in front.
pub(super) fn read_digest(text: &str) -> Result<Digest, String> {
    let malformed = || format!("'{}' is no digest", shown(text));
    let (algorithm, hex) = text.split_once(':').ok_or_else(malformed)?;
    match algorithm {
        "sha256" => hex.parse().map_err(|_| malformed()),
        "" => Err(malformed()),
        other => {
            let other = shown(other);
            Err(format!(
                "a digest is of the algorithm '{other}', and only sha256 is read"
            ))
        }
    }
}

/// A media type without its parameters.
fn essence(media_type: &str) -> String {
    let essence = media_type.split(';').next().unwrap_or_default();
    essence.trim().to_ascii_lowercase()
}

/// Refuses sizes that cannot be right.
fn check_sizes(layers: &[Descriptor]) -> Result<(), String> {
    let mut total = 0_u64;
    let mut size_of = HashMap::from([(Digest::of(b""), 0)]);
    for layer in layers {
        let (digest, size) = (layer.digest, layer.size_bytes);
        if *size_of.entry(digest).or_insert(size) != size || size == 0 && digest != Digest::of(b"")
        {
            return Err(format!(
                "the layer sha256:{digest} cannot have the size {size}"
            ));
        }
        let sum = total.checked_add(size);
        total = sum.ok_or("the sizes of the layers are too large")?;
    }
    Ok(())
}

/// Reads a list of at most [`MAX_DESCRIPTORS`] entries, or `null`.
fn bounded<'de, D, T>(deserializer: D) -> Result<Option<Vec<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Bounded<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for Bounded<T> {
        type Value = Option<Vec<T>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
            let mut read = Vec::new();
            while let Some(entry) = entries.next_element()? {
                if read.len() == MAX_DESCRIPTORS {
                    let message = format!("a list has more than {MAX_DESCRIPTORS} entries");
                    return Err(A::Error::custom(message));
                }
                read.push(entry);
            }
            Ok(Some(read))
        }
    }
    deserializer.deserialize_any(Bounded(PhantomData))
}

/// Reads annotations: what is no text says nothing.
fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Annotations, D::Error> {
    struct Texts;
    impl<'de> Visitor<'de> for Texts {
        type Value = Annotations;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("annotations")
        }

        fn visit_unit<E>(self) -> Result<Annotations, E> {
            Ok(Annotations::new())
        }

        fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Annotations, A::Error> {
            let mut read = Annotations::new();
            while let Some((key, value)) = entries.next_entry::<String, &RawValue>()? {
                if read.len() < MAX_ANNOTATIONS
                    && let Ok(text) = serde_json::from_str(value.get())
                {
                    read.insert(key, text);
                }
            }
            Ok(read)
        }
    }
    deserializer.deserialize_any(Texts)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

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
