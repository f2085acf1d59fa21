//! What each layer is: a file with its name, or a tar with the folder it belongs to.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::{ArchiveLayer, ArtifactKind, Compression, EMPTY, config};
use crate::manifest::{ArchiveFormat, ManifestFile, RelPath};
use crate::source::oci::wire::Descriptor;

/// Says that a layer of `oras` is a folder.
const UNPACK: &str = "io.deis.oras.content.unpack";

/// What layers are called whose media type alone says what they are: the name, its extension. Those of Docker are the names
/// that its own runner gives them; ollama keeps its layers without names.
const NAMES_BY_TYPE: [(&str, &str, &str); 22] = [
    ("application/vnd.docker.ai.gguf.v3", "model", ".gguf"),
    ("application/vnd.docker.ai.gguf.v3.lora", "adapter", ".gguf"),
    (
        "application/vnd.docker.ai.safetensors",
        "model",
        ".safetensors",
    ),
    ("application/vnd.docker.ai.dduf", "model", ".dduf"),
    ("application/vnd.docker.ai.mmproj", "model", ".mmproj"),
    (
        "application/vnd.docker.ai.chat.template.jinja",
        "template",
        ".jinja",
    ),
    ("application/vnd.docker.ai.license", "LICENSE", ""),
    (
        "application/vnd.cncf.model.weight.v1.gguf",
        "model",
        ".gguf",
    ),
    (
        "application/vnd.cncf.model.weight.v1.safetensors",
        "model",
        ".safetensors",
    ),
    ("application/vnd.ollama.image.model", "model", ".gguf"),
    ("application/vnd.ollama.image.adapter", "adapter", ".gguf"),
    ("application/vnd.ollama.image.projector", "mmproj", ".gguf"),
    ("application/vnd.ollama.image.draft", "draft", ".gguf"),
    ("application/vnd.ollama.image.embed", "embed", ".bin"),
    ("application/vnd.ollama.image.template", "template", ""),
    ("application/vnd.ollama.image.prompt", "prompt", ""),
    ("application/vnd.ollama.image.system", "system", ""),
    ("application/vnd.ollama.image.params", "params", ".json"),
    ("application/vnd.ollama.image.messages", "messages", ".json"),
    ("application/vnd.ollama.image.license", "LICENSE", ""),
    // The next two have names, as a rule.
    (
        "application/vnd.ollama.image.tensor",
        "tensor",
        ".safetensors",
    ),
    ("application/vnd.ollama.image.json", "config", ".json"),
];
/// The layers of ollama with names: of a tensor, to which its format is added, and of a file.
const TENSOR: &str = "application/vnd.ollama.image.tensor";
const JSON: &str = "application/vnd.ollama.image.json";
/// The configuration of Kit, which is a layer where Kit writes ModelPack.
const KIT_CONFIG: &str = "application/vnd.kitops.modelkit.config.v1+json";
/// What layers of container images are.
const IMAGE_LAYERS: [&str; 2] = [
    "application/vnd.oci.image.layer.",
    "application/vnd.docker.image.rootfs.",
];

/// The layers of an artifact.
#[derive(Debug, Default)]
pub(super) struct Layers {
    pub(super) files: Vec<ManifestFile>,
    pub(super) unusable: BTreeMap<String, String>,
    pub(super) archives: Vec<ArchiveLayer>,
}

impl Layers {
    /// Reads the layers of a manifest; what cannot be read is an error with the reason.
    pub(super) fn read(
        kind: ArtifactKind,
        descriptors: &[Descriptor],
        config: Option<&Value>,
    ) -> Result<Self, String> {
        let mut layers = Self::default();
        let mut names = NamesByType::of(descriptors);
        let mut folders = config::KitFolders::new(config);
        for layer in descriptors {
            if layer.media_type == EMPTY || layer.media_type == KIT_CONFIG {
                continue;
            }
            let shown = || {
                format!(
                    "the layer sha256:{} ({})",
                    layer.digest,
                    layer.media_type.escape_debug()
                )
            };
            match packing(kind, layer) {
                Packing::File(archive) => {
                    let name = names
                        .of_layer(layer)
                        .ok_or_else(|| unnamed(layer, &shown()))?;
                    layers.add_file(layer, &name, archive);
                }
                Packing::Tar(compression) => layers.archives.push(ArchiveLayer {
                    digest: layer.digest,
                    size_bytes: layer.size_bytes,
                    compression,
                    folder: match kind {
                        ArtifactKind::Kit => folders.of_layer(layer)?,
                        _ => String::new(),
                    },
                }),
                Packing::Unknown => {
                    return Err(format!(
                        "{} is a compressed file, which its format does not have",
                        shown()
                    ));
                }
            }
        }
        match layers.files.is_empty() && layers.unusable.is_empty() && layers.archives.is_empty() {
            true => Err("the artifact has no files".into()),
            false => Ok(layers),
        }
    }

    fn add_file(&mut self, layer: &Descriptor, name: &str, archive: Option<ArchiveFormat>) {
        match RelPath::parse(name.strip_prefix("./").unwrap_or(name)) {
            Ok(path) => self.files.push(ManifestFile {
                size_bytes: Some(layer.size_bytes),
                digest: Some(layer.digest.into()),
                archive,
                ..ManifestFile::new(path)
            }),
            Err(error) => {
                self.unusable
                    .insert(name.to_owned(), error.reason().to_owned());
            }
        }
    }
}

/// How the bytes of a layer are to be read.
enum Packing {
    /// A file, compressed or not.
    File(Option<ArchiveFormat>),
    Tar(Compression),
    /// A compressed file where the specification has none.
    Unknown,
}

fn packing(kind: ArtifactKind, layer: &Descriptor) -> Packing {
    let media_type = layer.media_type.as_str();
    let (plain, compression) = match media_type.rsplit_once(['+', '.']) {
        Some((plain, "gzip" | "gz")) => (plain, Compression::Gzip),
        Some((plain, "zstd" | "zst")) => (plain, Compression::Zstd),
        _ => (media_type, Compression::None),
    };
    let is_tar = plain.ends_with(".tar");
    // A folder is compressed by oras, whatever media type somebody gives it.
    if layer.annotation(UNPACK) == Some("true") {
        return Packing::Tar(match compression {
            Compression::None if !is_tar => Compression::Gzip,
            compression => compression,
        });
    }
    match kind {
        ArtifactKind::Oras | ArtifactKind::Other => Packing::File(None),
        _ if is_tar => Packing::Tar(compression),
        _ => match compression {
            Compression::None => Packing::File(None),
            _ if kind != ArtifactKind::Kit => Packing::Unknown,
            Compression::Gzip => Packing::File(Some(ArchiveFormat::Gzip)),
            Compression::Zstd => Packing::File(Some(ArchiveFormat::Zstd)),
        },
    }
}

/// Why a layer that nothing names cannot be a file.
fn unnamed(layer: &Descriptor, shown: &str) -> String {
    let is_image = |prefix: &&str| layer.media_type.starts_with(*prefix);
    match IMAGE_LAYERS.iter().any(is_image) {
        true => "it is a container image, and no artifact of files".into(),
        false => format!("{shown} has no file name"),
    }
}

/// Names by media type, numbered where several layers have one type.
struct NamesByType<'a> {
    /// How many layers have a type, and how many of them have been named.
    counts: HashMap<&'a str, (usize, usize)>,
}

impl<'a> NamesByType<'a> {
    fn of(layers: &'a [Descriptor]) -> Self {
        let mut counts = HashMap::new();
        for layer in layers.iter().filter(|layer| own_name(layer).is_none()) {
            let (count, _): &mut (usize, usize) = counts.entry(&*layer.media_type).or_default();
            *count += 1;
        }
        Self { counts }
    }

    fn of_layer(&mut self, layer: &Descriptor) -> Option<String> {
        if let Some(name) = own_name(layer) {
            return Some(name);
        }
        let mut types = NAMES_BY_TYPE.iter();
        let (_, stem, extension) = types.find(|(known, ..)| *known == layer.media_type)?;
        let (count, number) = self.counts.get_mut(&*layer.media_type)?;
        *number += 1;
        Some(match count {
            1 => format!("{stem}{extension}"),
            _ => format!("{stem}-{number:05}-of-{count:05}{extension}"),
        })
    }
}

/// The name that a layer states, with which it needs no other.
fn own_name(layer: &Descriptor) -> Option<String> {
    let stated = layer.name.as_deref().filter(|name| !name.is_empty());
    match (super::name(layer), stated) {
        (Some(name), _) => Some(name.to_owned()),
        (None, Some(name)) if layer.media_type == TENSOR => Some(format!("{name}.safetensors")),
        (None, Some(name)) if layer.media_type == JSON => Some(name.to_owned()),
        _ => None,
    }
}
