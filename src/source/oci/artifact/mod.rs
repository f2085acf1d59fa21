//! What an artifact consists of: its files, by the conventions of whoever made it.
//!
//! | kind | told by | a layer is | its name |
//! |---|---|---|---|
//! | [ModelPack] | `application/vnd.cncf.model.…` | a file, or a tar by its media type | annotation, or in the tar |
//! | [Docker AI] | `application/vnd.docker.ai.…` | a file, or a tar by its media type | annotation, or by its media type |
//! | [Kit] | `application/vnd.kitops.modelkit.…` | a tar, or a file by its media type, perhaps compressed | in the tar, or annotation |
//! | [ollama] | layers `application/vnd.ollama.image.…` | a file | by its media type, or `name` |
//! | [oras] | layers with a title | a file, or a tar by an annotation | annotation, or in the tar |
//!
//! The annotation is `org.cncf.model.filepath`, else `org.opencontainers.image.title`. What `oras` pushes has the media type
//! of a tar where it is a file, so that type counts only in formats of models. Where nothing names the files of a model,
//! their media types do: `model.gguf`, or `model-00001-of-00002.gguf` if there are several of one type.
//!
//! The configuration describes the model, and is not needed to pull it: one that is too large to be read says nothing, and so
//! does a field of another type. The exception is a ModelKit of the first versions of Kit, whose configuration says to which
//! folders its tars belong.
//!
//! [ModelPack]: https://github.com/modelpack/model-spec/blob/main/docs/spec.md
//! [Docker AI]: https://github.com/docker/model-spec/blob/main/spec.md
//! [Kit]: https://kitops.org/docs/modelkit/spec/
//! [ollama]: https://github.com/ollama/ollama
//! [oras]: https://oras.land/docs/how_to_guides/pushing_and_pulling/

mod config;
mod kit;
mod layers;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt::Display;

use serde_json::Value;

use crate::catalog::Metadata;
use crate::error::{Error, Result};
use crate::manifest::{Manifest, ManifestFile};
use crate::oci::{Descriptor, FILE_PATH, ImageManifest, TITLE};

use layers::Layers;

/// The largest configuration that is read, in bytes. They have some kilobytes; that of ModelPack has a digest of 75 bytes for
/// each layer.
pub(super) const MAX_CONFIG_BYTES: u64 = 1 << 20;
/// The configuration of artifacts that have none.
const EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// Annotations that name the file that a layer is, the most exact first: that of ModelPack, the same in its beginnings, and
/// that of the image specification.
const NAMES: [&str; 3] = [FILE_PATH, "org.cnai.model.filepath", TITLE];

/// An artifact, as far as it is known before a layer is fetched.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Artifact {
    pub(super) kind: ArtifactKind,
    /// The layers that are a file each, as it is or compressed, and then those that are tars.
    pub(super) files: Vec<ManifestFile>,
    /// The names of layers that are none on some system, and why.
    pub(super) unusable: BTreeMap<String, String>,
    /// What is known of the model.
    pub(super) metadata: Metadata,
}

/// By whose conventions an artifact is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ArtifactKind {
    ModelPack,
    DockerAi,
    Kit,
    Ollama,
    /// Files with titles, which may be anything.
    Oras,
    Other,
}

impl ArtifactKind {
    /// What people and registries call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ModelPack => "modelpack",
            Self::DockerAi => "docker-ai",
            Self::Kit => "kit",
            Self::Ollama => "ollama",
            Self::Oras => "oras",
            Self::Other => "other",
        }
    }

    /// Whether the type of an artifact says that it is a model.
    pub(super) fn is_of_models(artifact_type: &str) -> bool {
        Self::of_type(artifact_type).is_some()
    }

    fn of_type(media_type: &str) -> Option<Self> {
        const PREFIXES: [(&str, ArtifactKind); 5] = [
            ("application/vnd.cncf.model.", ArtifactKind::ModelPack),
            // What ModelPack was called in its beginnings.
            ("application/vnd.cnai.model.", ArtifactKind::ModelPack),
            ("application/vnd.docker.ai.", ArtifactKind::DockerAi),
            ("application/vnd.kitops.modelkit.", ArtifactKind::Kit),
            ("application/vnd.ollama.image.", ArtifactKind::Ollama),
        ];
        let mut prefixes = PREFIXES.into_iter();
        prefixes.find_map(|(prefix, kind)| media_type.starts_with(prefix).then_some(kind))
    }
}

impl ImageManifest {
    /// By whose conventions it is made.
    pub(super) fn kind(&self) -> ArtifactKind {
        // The configuration tells how layers are named; the artifact's type may be of a wider family.
        let types = [Some(&self.config.media_type), self.artifact_type.as_ref()];
        let mut types = types.into_iter().flatten();
        if let Some(kind) = types.find_map(|media_type| ArtifactKind::of_type(media_type)) {
            return kind;
        }
        let mut layers = self.layers.iter();
        let has_names = layers.clone().any(|layer| name(layer).is_some());
        let kind = layers.find_map(|layer| ArtifactKind::of_type(&layer.media_type));
        kind.unwrap_or(match has_names {
            true => ArtifactKind::Oras,
            false => ArtifactKind::Other,
        })
    }

    /// The configuration, if it says something about the model and must be fetched to be read.
    pub(super) fn config_to_fetch(&self) -> Option<&Descriptor> {
        let config = &self.config;
        let says_something = !matches!(self.kind(), ArtifactKind::Oras | ArtifactKind::Other);
        let is_wanted = says_something
            && config.data.is_none()
            && config.media_type != EMPTY
            && config.size_bytes <= MAX_CONFIG_BYTES;
        is_wanted.then_some(config)
    }
}

impl Artifact {
    /// Reads what a manifest says. `config` is [what was fetched](ImageManifest::config_to_fetch); `location` names the
    /// manifest in errors.
    ///
    /// # Errors
    /// [`Registry`](crate::error::ErrorKind::Registry) if it is no artifact of files, or one that cannot be read.
    pub(super) fn read(
        manifest: &ImageManifest,
        config: Option<&[u8]>,
        location: impl Display,
    ) -> Result<Self> {
        let kind = manifest.kind();
        let config = config.or(manifest.config.data.as_deref());
        let config = config.map(serde_json::from_slice::<Value>).transpose();
        let malformed = "the configuration of the artifact is not JSON";
        let config = config.map_err(|error| Error::registry_from(&location, malformed, error))?;
        let layers = Layers::read(kind, &manifest.layers, config.as_ref());
        let layers = layers.map_err(|message| Error::registry(&location, message))?;
        Ok(Self {
            kind,
            files: layers.files,
            unusable: layers.unusable,
            metadata: config::metadata(kind, config.as_ref(), &manifest.annotations),
        })
    }

    /// The layers as files, with the names that cannot be used; those with files in them are archives to be unpacked.
    ///
    /// # Errors
    /// [`Registry`](crate::error::ErrorKind::Registry) as for [`Manifest::of_listing`].
    pub(super) fn listing(&self, location: impl Display) -> Result<Manifest> {
        // Every file has its digest, so that no revision tells two states apart.
        Manifest::of_listing(self.files.clone(), self.unusable.clone(), "", location)
    }
}

/// The name that an annotation gives a layer.
fn name(layer: &Descriptor) -> Option<&str> {
    NAMES.iter().find_map(|key| layer.annotation(key))
}
