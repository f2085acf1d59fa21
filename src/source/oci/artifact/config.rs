//! What configurations say: facts about the model, by the names that our own readers of formats give them.
//!
//! Each fact is looked up where the format has it; one that is missing, or of another type than expected, says nothing.

use serde_json::{Value, json};

use super::ArtifactKind;
use crate::catalog::Metadata;
use crate::oci::{Annotations, METADATA, SOURCE};
use crate::text::{long_text, short_text};

/// How many entries of a list or table are kept.
const MAX_ENTRIES: usize = 100;
/// The longest metadata of a publisher that is read: much more than files and people say.
const MAX_METADATA_BYTES: usize = 64 << 10;

/// Where a fact is in a configuration, and what we call it. Of several places, the first that has it counts.
type Facts = &'static [(&'static str, &'static str)];

/// [ModelPack](https://github.com/modelpack/model-spec/blob/main/docs/config.md).
const MODEL_PACK: Facts = &[
    ("/descriptor/name", "name"),
    ("/descriptor/title", "name"),
    ("/descriptor/version", "version"),
    ("/descriptor/description", "description"),
    ("/descriptor/family", "family"),
    ("/descriptor/licenses", "license"),
    ("/descriptor/authors", "author"),
    ("/descriptor/vendor", "author"),
    ("/descriptor/createdAt", "created"),
    ("/descriptor/sourceURL", "source_url"),
    ("/descriptor/docURL", "documentation_url"),
    ("/config/architecture", "architecture"),
    ("/config/format", "format"),
    ("/config/paramSize", "size_label"),
    ("/config/precision", "precision"),
    ("/config/quantization", "quantization"),
    ("/config/architecture_config/numLayers", "layers"),
    ("/config/architecture_config/hiddenSize", "hidden_size"),
    ("/config/capabilities/languages", "languages"),
];
/// [Docker AI](https://github.com/docker/model-spec/blob/main/config.md); its runner writes more than that names.
const DOCKER_AI: Facts = &[
    ("/config/gguf/general.name", "name"),
    ("/config/gguf/general.description", "description"),
    ("/config/gguf/general.license", "license"),
    ("/descriptor/created", "created"),
    ("/descriptor/createdAt", "created"),
    ("/config/architecture", "architecture"),
    ("/config/gguf/architecture", "architecture"),
    ("/config/gguf/general.architecture", "architecture"),
    ("/config/safetensors/architecture", "architecture"),
    ("/config/format", "format"),
    ("/config/parameters", "size_label"),
    ("/config/gguf/parameter_count", "size_label"),
    ("/config/safetensors/parameter_count", "size_label"),
    ("/config/quantization", "quantization"),
    ("/config/gguf/quantization", "quantization"),
    ("/config/context_size", "context_length"),
];
/// [The Kitfile](https://kitops.org/docs/kitfile/format/), as JSON.
const KIT: Facts = &[
    ("/package/name", "name"),
    ("/model/name", "name"),
    ("/package/version", "version"),
    ("/model/version", "version"),
    ("/package/description", "description"),
    ("/model/description", "description"),
    ("/model/license", "license"),
    ("/package/license", "license"),
    ("/package/authors", "author"),
    ("/model/framework", "framework"),
    ("/model/format", "format"),
];
/// [ollama](https://github.com/ollama/ollama/blob/main/types/model/config.go).
const OLLAMA: Facts = &[
    ("/base_name", "name"),
    ("/model_format", "format"),
    ("/model_family", "architecture"),
    ("/model_type", "size_label"),
    ("/file_type", "quantization"),
    ("/context_length", "context_length"),
    ("/embedding_length", "hidden_size"),
];
/// [Annotations of images](https://github.com/opencontainers/image-spec/blob/v1.1.1/annotations.md).
const ANNOTATIONS: Facts = &[
    ("org.opencontainers.image.title", "name"),
    ("org.opencontainers.image.version", "version"),
    ("org.opencontainers.image.description", "description"),
    ("org.opencontainers.image.licenses", "license"),
    ("org.opencontainers.image.authors", "author"),
    ("org.opencontainers.image.vendor", "author"),
    ("org.opencontainers.image.created", "created"),
    ("org.opencontainers.image.source", "source_url"),
    ("org.opencontainers.image.url", "source_url"),
    (
        "org.opencontainers.image.documentation",
        "documentation_url",
    ),
];

/// What is known of the model: its configuration comes before the manifest's annotations.
pub(super) fn metadata(
    kind: ArtifactKind,
    config: Option<&Value>,
    annotations: &Annotations,
) -> Metadata {
    let mut metadata = Metadata::new();
    let mut add = |key: &str, value: Option<Value>| {
        if let Some(value) = value.filter(|_| !metadata.contains_key(key)) {
            metadata.insert(key.to_owned(), value);
        }
    };
    add("artifact", Some(kind.name().into()));
    if let Some(published) = annotations.get(METADATA)
        && published.len() <= MAX_METADATA_BYTES
        && let Ok(published) = serde_json::from_str::<Metadata>(published)
    {
        for (key, value) in published.into_iter().take(MAX_ENTRIES) {
            add(&key, Some(value));
        }
    }
    if let Some(config) = config {
        for (place, key) in facts(kind) {
            add(
                key,
                config.pointer(place).and_then(|value| fact(key, value)),
            );
        }
        let capabilities = config.pointer("/capabilities");
        add("type", model_type(config).map(Value::from));
        add("tags", capabilities.and_then(tags));
    }
    for (place, key) in ANNOTATIONS {
        let text = annotations.get(*place).map(|text| json!(text));
        add(key, text.and_then(|text| fact(key, &text)));
    }
    let all = annotations.iter().take(MAX_ENTRIES);
    let own = [METADATA, SOURCE];
    let all = all.filter(|(key, _)| !own.contains(&key.as_str()));
    let all = all.filter_map(|(key, text)| Some((short_text(key)?, long_text(text)?.into())));
    let all: Metadata = all.collect();
    add(
        "annotations",
        Some(all).filter(|all| !all.is_empty()).map(Value::Object),
    );
    metadata
}

fn facts(kind: ArtifactKind) -> Facts {
    match kind {
        ArtifactKind::ModelPack => MODEL_PACK,
        ArtifactKind::DockerAi => DOCKER_AI,
        ArtifactKind::Kit => KIT,
        ArtifactKind::Ollama => OLLAMA,
        ArtifactKind::Oras | ArtifactKind::Other => &[],
    }
}

/// A fact as it is kept: a text, a number that is not zero, or the texts of a list.
fn fact(key: &str, value: &Value) -> Option<Value> {
    match value {
        Value::String(text) if key == "description" => long_text(text).map(Value::from),
        Value::String(text) => short_text(text).map(Value::from),
        // Zero is what Go writes for what it does not know.
        Value::Number(number) => number.as_u64().filter(|it| *it != 0).map(Value::from),
        Value::Array(entries) => {
            let entries = entries.iter().filter_map(Value::as_str).take(MAX_ENTRIES);
            long_text(&entries.collect::<Vec<_>>().join(", ")).map(Value::from)
        }
        _ => None,
    }
}

fn texts(value: Option<&Value>) -> impl Iterator<Item = &str> {
    let entries = value.and_then(Value::as_array);
    entries.into_iter().flatten().filter_map(Value::as_str)
}

fn tags(value: &Value) -> Option<Value> {
    let tags = texts(Some(value)).filter_map(short_text).take(MAX_ENTRIES);
    let tags: Vec<String> = tags.collect();
    (!tags.is_empty()).then(|| tags.into())
}

/// What a model does, by what it takes and gives (ModelPack), or by what it is able to do (ollama).
fn model_type(config: &Value) -> Option<&'static str> {
    let takes =
        |kind| texts(config.pointer("/config/capabilities/inputTypes")).any(|it| it == kind);
    let gives =
        |kind| texts(config.pointer("/config/capabilities/outputTypes")).any(|it| it == kind);
    let is_able = |to| texts(config.pointer("/capabilities")).any(|it| it == to);
    Some(match () {
        () if gives("embedding") || is_able("embedding") => "embedding",
        () if gives("image") || is_able("image") => "text-to-image",
        () if gives("audio") => "text-to-audio",
        () if gives("text") && takes("audio") => "audio-to-text",
        () if gives("text") && takes("image") => "image-to-text",
        () if gives("text") || is_able("completion") => "text-generation",
        () => return None,
    })
}
