//! Artifacts to push.

use modelrack::Digest;
use serde_json::{Value, json};

pub(crate) const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";

/// A model in an artifact, by the conventions of ModelPack.
#[derive(Clone)]
pub(crate) struct Artifact {
    pub(crate) config: Value,
    layers: Vec<(Value, Vec<u8>)>,
    /// The media types of the artifact and of its configuration.
    types: [&'static str; 2],
}

impl Artifact {
    /// A layer for each file.
    pub(crate) fn model_pack<B: AsRef<[u8]>>(files: &[(&str, B)]) -> Self {
        let layers = files.iter().map(|(name, bytes)| {
            let bytes = bytes.as_ref().to_vec();
            let layer = json!({
                "mediaType": "application/vnd.cncf.model.weight.v1.raw",
                "digest": sha256(&bytes),
                "size": bytes.len(),
                "annotations": {"org.cncf.model.filepath": name},
            });
            (layer, bytes)
        });
        Self {
            config: json!({
                "descriptor": {"name": "llama", "family": "llama3", "licenses": ["MIT"]},
                "config": {"architecture": "transformer", "format": "gguf", "paramSize": "8b"},
                "modelfs": {"type": "layers", "diffIds": []},
            }),
            layers: layers.collect(),
            types: [
                "application/vnd.cncf.model.manifest.v1+json",
                "application/vnd.cncf.model.config.v1+json",
            ],
        }
    }

    /// A ModelKit of this Kitfile, without layers yet.
    pub(crate) fn kit(kitfile: Value) -> Self {
        Self {
            config: kitfile,
            types: [
                "application/vnd.kitops.modelkit.manifest.v1+json",
                "application/vnd.kitops.modelkit.config.v1+json",
            ],
            ..Self::model_pack::<&[u8]>(&[])
        }
    }

    /// Adds a layer without a name.
    pub(crate) fn with_layer(mut self, media_type: &str, bytes: Vec<u8>) -> Self {
        let layer = json!({"mediaType": media_type, "digest": sha256(&bytes), "size": bytes.len()});
        self.layers.push((layer, bytes));
        self
    }

    /// Changes what is said of a layer.
    pub(crate) fn layer(mut self, index: usize, change: impl FnOnce(&mut Value)) -> Self {
        change(&mut self.layers[index].0);
        self
    }

    pub(crate) fn manifest(&self) -> Value {
        let config = self.config.to_string();
        let layers = self.layers.iter().map(|(layer, _)| layer);
        json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "artifactType": self.types[0],
            "config": {
                "mediaType": self.types[1],
                "digest": sha256(config.as_bytes()),
                "size": config.len(),
            },
            "layers": layers.collect::<Vec<_>>(),
            "annotations": {"org.opencontainers.image.description": "Speaks to llamas"},
        })
    }

    /// The layers, followed by the configuration.
    pub(crate) fn blobs(&self) -> Vec<Vec<u8>> {
        let layers = self.layers.iter().map(|(_, bytes)| bytes.clone());
        layers
            .chain([self.config.to_string().into_bytes()])
            .collect()
    }
}

/// The digest of some bytes as registries write it.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    format!("sha256:{}", Digest::of(bytes))
}
