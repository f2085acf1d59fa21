//! Which manifest of an index is meant.

use super::artifact::ArtifactKind;
use crate::error::{Error, ErrorKind, Result};
use crate::oci::{Descriptor, Index, Platform, nested};

/// What Docker adds to an index beside each image: how that was built.
const REFERENCE_TYPE: &str = "vnd.docker.reference.type";

impl Index {
    /// Returns the manifest that is meant: the only one of a model, else the only one at all, else the one for the platform.
    /// `model` is the full name of what is pulled.
    ///
    /// # Errors
    /// [`InvalidRef`](ErrorKind::InvalidRef) with the choices if several may be meant;
    /// [`Registry`](ErrorKind::Registry) if there is none, or if it is an index again.
    pub(super) fn choose(&self, platform: &Platform, model: &str) -> Result<&Descriptor> {
        let mut all: Vec<_> = self.manifests.iter().collect();
        all.retain(|it| !it.annotations.contains_key(REFERENCE_TYPE));
        let mut models = all.clone();
        models.retain(|it| {
            let stated = it.artifact_type.as_deref();
            stated.is_some_and(ArtifactKind::is_of_models)
        });
        let pool = if models.is_empty() { all } else { models };
        let mut of_platform = pool.clone();
        of_platform.retain(|it| it.platform.as_ref() == Some(platform));
        match (pool.as_slice(), of_platform.as_slice()) {
            ([], _) => Err(Error::registry(model, "the index names no manifest")),
            ([only], _) | (_, [only]) if only.is_index() => Err(nested(model)),
            ([only], _) | (_, [only]) => Ok(only),
            (several, _) => Err(ErrorKind::InvalidRef {
                message: "is an index of several manifests".into(),
                choices: several.iter().map(|it| choice(model, it)).collect(),
                input: model.to_owned(),
            }
            .into()),
        }
    }
}

/// How a manifest of an index is asked for, and for which platform it is.
fn choice(model: &str, manifest: &Descriptor) -> String {
    let name = format!("{model}@sha256:{}", manifest.digest);
    let platform = manifest.platform.as_ref().filter(|it| it.is_known());
    match platform {
        Some(platform) => format!("{name} ({})", platform.to_string().escape_debug()),
        None => name,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::digest::Digest;
    use crate::oci::Document;

    const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    const MODEL: &str = "application/vnd.cncf.model.manifest.v1+json";

    fn digest(name: &str) -> Digest {
        Digest::of(name.as_bytes())
    }

    fn index(manifests: &Value) -> Index {
        let json = json!({"schemaVersion": 2, "manifests": manifests}).to_string();
        match Document::parse(json.as_bytes(), "here").unwrap() {
            Document::Index(index) => index,
            Document::Manifest(manifest) => panic!("{manifest:?}"),
        }
    }

    fn entry(name: &str, more: Value) -> Value {
        let mut entry =
            json!({"mediaType": MANIFEST, "size": 7, "digest": format!("sha256:{}", digest(name))});
        let Value::Object(more) = more else {
            panic!("{more}");
        };
        entry.as_object_mut().unwrap().extend(more);
        entry
    }

    fn platform(os: &str, architecture: &str) -> Value {
        json!({"platform": {"os": os, "architecture": architecture, "variant": "v8", "features": []}})
    }

    #[test]
    fn the_manifest_of_a_model_comes_before_that_of_the_platform() {
        let here = Platform {
            os: "linux".into(),
            architecture: "arm64".into(),
        };
        let attestation = json!({
            "platform": {"os": "unknown", "architecture": "unknown"},
            "annotations": {"vnd.docker.reference.type": "attestation-manifest"},
        });
        let (amd, arm) = (platform("linux", "amd64"), platform("linux", "arm64"));
        let model = json!({"artifactType": MODEL});
        let mut arm_model = arm.clone();
        arm_model["artifactType"] = json!("application/vnd.docker.ai.model.config.v0.1+json");
        for (manifests, expected) in [
            (json!([entry("a", json!({}))]), "a"),
            (
                json!([entry("a", attestation.clone()), entry("b", amd.clone())]),
                "b",
            ),
            (
                json!([entry("a", amd.clone()), entry("b", arm.clone())]),
                "b",
            ),
            (
                json!([entry("a", arm.clone()), entry("b", model.clone())]),
                "b",
            ),
            (
                json!([
                    entry("a", arm.clone()),
                    entry("b", model.clone()),
                    entry("c", arm_model)
                ]),
                "c",
            ),
        ] {
            let index = index(&manifests);
            let chosen = index.choose(&here, "ghcr/llama").unwrap();
            assert_eq!(chosen.digest, digest(expected), "{manifests}");
        }
        let index = index(&json!([
            entry("a", amd),
            entry("b", platform("windows", "arm64")),
            entry("c", json!({}))
        ]));
        let error = index.choose(&here, "ghcr/llama").unwrap_err();
        assert_eq!(error.code(), "INVALID_REF");
        let ErrorKind::InvalidRef { choices, .. } = error.kind() else {
            panic!("{error:?}");
        };
        let digest = |name| format!("ghcr/llama@sha256:{}", digest(name));
        let expected = [
            format!("{} (linux/amd64)", digest("a")),
            format!("{} (windows/arm64)", digest("b")),
            digest("c"),
        ];
        assert_eq!(*choices, expected);
    }

    #[test]
    fn an_index_without_a_manifest_is_refused() {
        let here = Platform::current();
        for (manifests, expected) in [
            (json!([]), "the index names no manifest"),
            (
                json!([entry("a", json!({"mediaType": INDEX}))]),
                "the index names another index",
            ),
        ] {
            let error = index(&manifests).choose(&here, "ghcr/llama").unwrap_err();
            assert_eq!(error.to_string(), format!("{expected} (ghcr/llama)"));
            assert_eq!(error.code(), "REGISTRY_ERROR");
        }
    }
}
