//! What a model is in an OCI registry: an artifact of [ModelPack], with a layer for each file, as it is.
//!
//! The same files and metadata give the same bytes, so that an artifact which is published again has the same digest: files
//! come in the order of names, and nothing says when or by what it was made.
//!
//! [ModelPack]: https://github.com/modelpack/model-spec

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::catalog::Metadata;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::oci::{FILE_PATH, MANIFEST_TYPES, METADATA, SOURCE, TITLE};
use crate::relpath::RelPath;

/// The media types of ModelPack 0.0.7 and of the image specification 1.1.
const ARTIFACT: &str = "application/vnd.cncf.model.manifest.v1+json";
pub(super) const CONFIG: &str = "application/vnd.cncf.model.config.v1+json";
/// What its manifest is.
pub(super) const MANIFEST: &str = MANIFEST_TYPES[0];

/// What ModelPack calls a fact, and where its configuration has it.
const FACTS: [(&str, &str, &str); 11] = [
    ("name", "descriptor", "name"),
    ("version", "descriptor", "version"),
    ("description", "descriptor", "description"),
    ("family", "descriptor", "family"),
    ("author", "descriptor", "vendor"),
    ("source_url", "descriptor", "sourceURL"),
    ("documentation_url", "descriptor", "docURL"),
    ("architecture", "config", "architecture"),
    ("format", "config", "format"),
    ("precision", "config", "precision"),
    ("quantization", "config", "quantization"),
];
/// The facts that are annotations, too, for those who know no ModelPack.
const ANNOTATIONS: [(&str, &str); 5] = [
    ("name", TITLE),
    ("version", "org.opencontainers.image.version"),
    ("description", "org.opencontainers.image.description"),
    ("license", "org.opencontainers.image.licenses"),
    ("author", "org.opencontainers.image.authors"),
];

/// Formats of weights that are called like the extensions of their files.
const WEIGHT_FORMATS: [&str; 3] = ["safetensors", "gguf", "onnx"];

/// A file of a model, which is a layer of its own.
#[derive(Debug, Clone)]
pub(crate) struct Layer {
    pub(crate) name: RelPath,
    pub(crate) digest: Digest,
    pub(crate) size_bytes: u64,
}

/// The two documents of an artifact.
#[derive(Debug)]
pub(super) struct Artifact {
    pub(super) config: Vec<u8>,
    pub(super) manifest: Vec<u8>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DescriptorWire<'a> {
    media_type: &'a str,
    digest: String,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<Value>,
}

impl Artifact {
    /// Describes a model of these files, which are in the order of names, and are this state of a source if it is in a mirror.
    pub(super) fn new(
        layers: &[Layer],
        metadata: &Metadata,
        source: Option<&Digest>,
    ) -> Result<Self> {
        let config = to_json(&config(layers, metadata))?;
        let descriptors = layers.iter().map(|layer| DescriptorWire {
            media_type: media_type(&layer.name),
            digest: format!("sha256:{}", layer.digest),
            size: layer.size_bytes,
            annotations: Some(json!({
                FILE_PATH: layer.name.as_str(),
                TITLE: layer.name.as_str(),
            })),
        });
        let descriptors: Vec<_> = descriptors.collect();
        let mut manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": ARTIFACT,
            "config": DescriptorWire {
                media_type: CONFIG,
                digest: format!("sha256:{}", Digest::of(&config)),
                size: config.len() as u64,
                annotations: None,
            },
            "layers": descriptors,
        });
        let mut annotations = annotations(metadata)?;
        if let Some(source) = source {
            annotations.insert(SOURCE.to_owned(), source.to_string().into());
        }
        if !annotations.is_empty() {
            manifest["annotations"] = Value::Object(annotations);
        }
        Ok(Self {
            manifest: to_json(&manifest)?,
            config,
        })
    }
}

/// The configuration: what is known of the model, and the digest of each layer as it is unpacked, which is as it is.
fn config(layers: &[Layer], metadata: &Metadata) -> Value {
    let mut config = json!({
        "descriptor": {},
        "config": {},
        "modelfs": {
            "type": "layers",
            "diffIds": layers.iter().map(|layer| format!("sha256:{}", layer.digest)).collect::<Vec<_>>(),
        },
    });
    for (key, table, name) in FACTS {
        if let Some(text) = text(metadata, key) {
            config[table][name] = text.into();
        }
    }
    // A folder of the Hub is described by its configuration; the format of its weights is another.
    let largest = layers.iter().max_by_key(|layer| layer.size_bytes);
    let extension = largest.and_then(|layer| layer.name.as_str().rsplit_once('.'));
    if let Some((_, format)) = extension.filter(|(_, format)| WEIGHT_FORMATS.contains(format)) {
        config["config"]["format"] = format.into();
    }
    if let Some(license) = text(metadata, "license") {
        config["descriptor"]["licenses"] = json!([license]);
    }
    if let Some(size) = size_label(metadata) {
        config["config"]["paramSize"] = size.into();
    }
    config
}

/// Reads what the manifest of an artifact says of the state of a source that it is, and of the model; `None` if it is no mirror's.
pub(super) fn mirrored(manifest: &[u8]) -> Option<(Digest, Metadata)> {
    #[derive(Deserialize)]
    struct ManifestWire {
        annotations: Map<String, Value>,
    }
    let ManifestWire { annotations } = serde_json::from_slice(manifest).ok()?;
    let source = annotations.get(SOURCE)?.as_str()?.parse().ok()?;
    let metadata = match annotations.get(METADATA) {
        Some(json) => serde_json::from_str(json.as_str()?).ok()?,
        None => Metadata::new(),
    };
    Some((source, metadata))
}

fn annotations(metadata: &Metadata) -> Result<Map<String, Value>> {
    let mut annotations = Map::new();
    for (key, name) in ANNOTATIONS {
        if let Some(text) = text(metadata, key) {
            annotations.insert(name.to_owned(), text.into());
        }
    }
    if !metadata.is_empty() {
        // What the configuration of ModelPack has no place for is not lost.
        let json = String::from_utf8(to_json(metadata)?);
        let json = json.map_err(|error| Error::internal(error.to_string()))?;
        annotations.insert(METADATA.to_owned(), json.into());
    }
    Ok(annotations)
}

/// A fact that is a text which says something.
fn text<'a>(metadata: &'a Metadata, key: &str) -> Option<&'a str> {
    let text = metadata.get(key)?.as_str()?;
    Some(text).filter(|text| !text.is_empty())
}

/// How large the model is, as people call it: what its files say, else the number of parameters, such as `1.5b`.
fn size_label(metadata: &Metadata) -> Option<String> {
    if let Some(label) = text(metadata, "size_label") {
        return Some(label.to_ascii_lowercase());
    }
    let parameters = metadata.get("parameters")?.as_u64()?;
    let units = [(1_000_000_000, "b"), (1_000_000, "m"), (1_000, "k")];
    let unit = units.iter().find(|(unit, _)| parameters >= *unit);
    Some(match unit {
        Some((unit, name)) => {
            let tenths = parameters / (unit / 10);
            match tenths % 10 {
                0 => format!("{}{name}", tenths / 10),
                rest => format!("{}.{rest}{name}", tenths / 10),
            }
        }
        None => parameters.to_string(),
    })
}

/// The media type of a file: by its extension, what it is in the model.
fn media_type(name: &RelPath) -> &'static str {
    let name = name.as_str().rsplit('/').next().unwrap_or_default();
    let lower = name.to_ascii_lowercase();
    let (stem, extension) = lower.rsplit_once('.').unwrap_or((&lower, ""));
    match extension {
        "json" | "yaml" | "yml" | "toml" | "jinja" | "model" | "vocab" | "nam" => {
            "application/vnd.cncf.model.weight.config.v1.raw"
        }
        "md" | "rst" | "pdf" | "html" => "application/vnd.cncf.model.doc.v1.raw",
        "py" | "sh" | "rs" | "jl" | "r" | "c" | "h" | "cpp" | "js" | "ts" | "ipynb" => {
            "application/vnd.cncf.model.code.v1.raw"
        }
        "csv" | "tsv" | "parquet" | "arrow" | "jsonl" => {
            "application/vnd.cncf.model.dataset.v1.raw"
        }
        _ if matches!(
            stem,
            "license" | "licence" | "notice" | "readme" | "copying"
        ) =>
        {
            "application/vnd.cncf.model.doc.v1.raw"
        }
        _ => "application/vnd.cncf.model.weight.v1.raw",
    }
}

fn to_json(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| Error::internal(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(name: &str) -> Layer {
        Layer {
            name: RelPath::parse(name).unwrap(),
            digest: Digest::of(name.as_bytes()),
            size_bytes: name.len() as u64,
        }
    }

    #[test]
    fn an_artifact_says_what_is_known_of_the_model() {
        let layers = [
            layer("LICENSE"),
            layer("config.json"),
            layer("sub/model.gguf"),
        ];
        let metadata = json!({
            "name": "Tiny", "license": "mit", "parameters": 1_540_000_000_u64, "format": "hub",
            "architecture": "llama", "tags": ["a"], "description": "",
        });
        let metadata = metadata.as_object().unwrap().clone();
        let artifact = Artifact::new(&layers, &metadata, None).unwrap();
        assert_eq!(mirrored(&artifact.manifest), None);
        let source = Digest::of(b"a state");
        let of_mirror = Artifact::new(&layers, &metadata, Some(&source)).unwrap();
        let told = mirrored(&of_mirror.manifest);
        assert_eq!(told, Some((source, metadata.clone())));
        let config: Value = serde_json::from_slice(&artifact.config).unwrap();
        assert_eq!(
            config["descriptor"],
            json!({"name": "Tiny", "licenses": ["mit"]})
        );
        assert_eq!(
            config["config"],
            json!({"architecture": "llama", "format": "gguf", "paramSize": "1.5b"})
        );
        assert_eq!(
            config["modelfs"]["diffIds"][2],
            format!("sha256:{}", layers[2].digest)
        );
        let manifest: Value = serde_json::from_slice(&artifact.manifest).unwrap();
        assert_eq!(manifest["artifactType"], ARTIFACT);
        assert_eq!(
            manifest["config"]["digest"],
            format!("sha256:{}", Digest::of(&artifact.config))
        );
        let layers = manifest["layers"].as_array().unwrap();
        let layers = layers.iter().map(|layer| {
            assert_eq!(layer["annotations"][FILE_PATH], layer["annotations"][TITLE]);
            layer["mediaType"].as_str().unwrap()
        });
        assert_eq!(
            layers.collect::<Vec<_>>(),
            [
                "application/vnd.cncf.model.doc.v1.raw",
                "application/vnd.cncf.model.weight.config.v1.raw",
                "application/vnd.cncf.model.weight.v1.raw"
            ]
        );
        let annotations = manifest["annotations"].as_object().unwrap();
        assert_eq!(annotations["org.opencontainers.image.licenses"], "mit");
        let kept: Metadata = serde_json::from_str(annotations[METADATA].as_str().unwrap()).unwrap();
        assert_eq!(kept, metadata);
        let again = Artifact::new(&[layer("a")], &Metadata::new(), None).unwrap();
        let same = Artifact::new(&[layer("a")], &Metadata::new(), None).unwrap();
        assert_eq!(again.manifest, same.manifest);
        let manifest: Value = serde_json::from_slice(&again.manifest).unwrap();
        assert_eq!(manifest.get("annotations"), None);
    }

    #[test]
    fn the_number_of_parameters_is_said_in_short() {
        for (parameters, expected) in [
            (650_u64, "650"),
            (1_000, "1k"),
            (1_550, "1.5k"),
            (7_000_000, "7m"),
            (8_030_261_248, "8b"),
        ] {
            let metadata = Metadata::from_iter([("parameters".to_owned(), parameters.into())]);
            assert_eq!(size_label(&metadata).as_deref(), Some(expected));
        }
        let stated = Metadata::from_iter([("size_label".to_owned(), "8x7B".into())]);
        assert_eq!(size_label(&stated).as_deref(), Some("8x7b"));
        assert_eq!(size_label(&Metadata::new()), None);
    }
}
