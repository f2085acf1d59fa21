//! What each layer is: a file with its name, or a tar with the folder it belongs to.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use super::kit::KitFolders;
use super::{ArtifactKind, EMPTY};
use crate::manifest::{ArchiveFormat, ManifestFile, RelPath};
use crate::oci::Descriptor;
use crate::relpath::below;

/// Says that a layer of `oras` is a folder.
const UNPACK: &str = "io.deis.oras.content.unpack";

/// What layers are called whose media type alone says what they are. Those of Docker are the names that its own runner gives
/// them; ollama keeps its layers without names.
const NAMES_BY_TYPE: [(&str, &str); 22] = [
    ("application/vnd.docker.ai.gguf.v3", "model.gguf"),
    ("application/vnd.docker.ai.gguf.v3.lora", "adapter.gguf"),
    ("application/vnd.docker.ai.safetensors", "model.safetensors"),
    ("application/vnd.docker.ai.dduf", "model.dduf"),
    ("application/vnd.docker.ai.mmproj", "model.mmproj"),
    (
        "application/vnd.docker.ai.chat.template.jinja",
        "template.jinja",
    ),
    ("application/vnd.docker.ai.license", "LICENSE"),
    ("application/vnd.cncf.model.weight.v1.gguf", "model.gguf"),
    (
        "application/vnd.cncf.model.weight.v1.safetensors",
        "model.safetensors",
    ),
    ("application/vnd.ollama.image.model", "model.gguf"),
    ("application/vnd.ollama.image.adapter", "adapter.gguf"),
    ("application/vnd.ollama.image.projector", "mmproj.gguf"),
    ("application/vnd.ollama.image.draft", "draft.gguf"),
    ("application/vnd.ollama.image.embed", "embed.bin"),
    ("application/vnd.ollama.image.template", "template"),
    ("application/vnd.ollama.image.prompt", "prompt"),
    ("application/vnd.ollama.image.system", "system"),
    ("application/vnd.ollama.image.params", "params.json"),
    ("application/vnd.ollama.image.messages", "messages.json"),
    ("application/vnd.ollama.image.license", "LICENSE"),
    // The next two have names, as a rule.
    ("application/vnd.ollama.image.tensor", "tensor.safetensors"),
    ("application/vnd.ollama.image.json", "config.json"),
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

/// How much of a digest is in the name of a tar: as much as container tools show.
const SHOWN_DIGITS: usize = 12;

/// The layers of an artifact.
#[derive(Debug, Default)]
pub(super) struct Layers {
    /// Those that are files, and then those that are tars.
    pub(super) files: Vec<ManifestFile>,
    pub(super) unusable: BTreeMap<String, String>,
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
        let mut folders = KitFolders::new(config);
        let (mut tars, mut seen) = (Vec::new(), BTreeSet::new());
        for layer in descriptors {
            if layer.media_type == EMPTY || layer.media_type == KIT_CONFIG {
                continue;
            }
            let shown = format!(
                "the layer sha256:{} ({})",
                layer.digest,
                layer.media_type.escape_debug()
            );
            let archive = packing(kind, layer).ok_or_else(|| {
                format!("{shown} is a compressed file, which its format does not have")
            })?;
            if let Some(format) = archive.filter(|format| format.is_tar()) {
                let folder = match kind {
                    ArtifactKind::Kit => folders.of_layer(layer)?,
                    _ => String::new(),
                };
                let file = tar(layer, format, &folder)?;
                if seen.insert((folder, layer.digest)) {
                    tars.push(file);
                }
            } else {
                let name = names.of_layer(layer);
                let name = name.ok_or_else(|| unnamed(layer, &shown))?;
                layers.add_file(layer, &name, archive);
            }
        }
        layers.files.append(&mut tars);
        match layers.files.is_empty() && layers.unusable.is_empty() {
            true => Err("the artifact has no files".into()),
            false => Ok(layers),
        }
    }

    fn add_file(&mut self, layer: &Descriptor, name: &str, archive: Option<ArchiveFormat>) {
        match RelPath::parse(name.strip_prefix("./").unwrap_or(name)) {
            Ok(path) => self.files.push(file(layer, path, archive)),
            Err(error) => {
                let reason = error.reason().to_owned();
                self.unusable.insert(name.to_owned(), reason);
            }
        }
    }
}

fn file(layer: &Descriptor, path: RelPath, archive: Option<ArchiveFormat>) -> ManifestFile {
    ManifestFile {
        size_bytes: Some(layer.size_bytes),
        digest: Some(layer.digest.into()),
        archive,
        ..ManifestFile::new(path)
    }
}

/// Returns a tar as the file that it is until it is unpacked: like any other, it is resumed, verified and taken from this machine.
/// What is in it is relative to the folder that it is in.
fn tar(layer: &Descriptor, format: ArchiveFormat, folder: &str) -> Result<ManifestFile, String> {
    let extension = match format {
        ArchiveFormat::TarGzip => "tar.gz",
        ArchiveFormat::TarZstd => "tar.zst",
        _ => "tar",
    };
    let name = format!("layer-{:.SHOWN_DIGITS$}.{extension}", layer.digest);
    let path = RelPath::parse(&below(folder, &name));
    let path = path.map_err(|error| error.to_string())?;
    Ok(file(layer, path, Some(format)))
}

/// How a layer is packed: not at all, as a tar, or as a compressed file; `None` if its format does not have that.
fn packing(kind: ArtifactKind, layer: &Descriptor) -> Option<Option<ArchiveFormat>> {
    use ArchiveFormat::{Gzip, Tar, TarGzip, TarZstd, Zstd};
    let media_type = layer.media_type.as_str();
    let (plain, compressed, tar) = match media_type.rsplit_once(['+', '.']) {
        Some((plain, "gzip" | "gz")) => (plain, Some(Gzip), TarGzip),
        Some((plain, "zstd" | "zst")) => (plain, Some(Zstd), TarZstd),
        _ => (media_type, None, Tar),
    };
    let is_tar = plain.ends_with(".tar");
    Some(match kind {
        // A folder is compressed by oras, whatever media type somebody gives it.
        _ if layer.annotation(UNPACK) == Some("true") => match compressed {
            None if !is_tar => Some(TarGzip),
            _ => Some(tar),
        },
        ArtifactKind::Oras | ArtifactKind::Other => None,
        _ if is_tar => Some(tar),
        ArtifactKind::Kit => compressed,
        _ if compressed.is_some() => return None,
        _ => None,
    })
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
        let (_, name) = types.find(|(known, _)| *known == layer.media_type)?;
        let (stem, extension) = name.split_at(name.find('.').unwrap_or(name.len()));
        let (count, number) = self.counts.get_mut(&*layer.media_type)?;
        *number += 1;
        Some(match count {
            1 => (*name).to_owned(),
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
