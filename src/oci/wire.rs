//! The documents of an artifact as they are in JSON.

use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::document::{Annotations, Descriptor, Document, ImageManifest, Index};
use super::platform::Platform;
use super::{INDEX_TYPES, MANIFEST_TYPES, MAX_DESCRIPTORS, read_digest};
use crate::digest::Digest;

/// How many annotations of a descriptor or document are kept; the known formats write less than ten.
const MAX_ANNOTATIONS: usize = 256;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DocumentWire {
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
    pub(super) fn read(self) -> Result<Document, String> {
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
                Ok(Document::Manifest(manifest))
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
