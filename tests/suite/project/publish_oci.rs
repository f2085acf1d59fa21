//! Publishing artifacts: into an image layout, and into OCI registries.

use std::fs;
use std::path::Path;

use modelrack::project::{Project, PublishOptions, PublishReport, PublishTarget};
use modelrack::{Digest, Error};
use serde_json::{Value, json};

use crate::support::disk::{files_below, write_files};
use crate::support::rack::{Rack, model_ref};

const REF_NAME: &str = "org.opencontainers.image.ref.name";

fn publish(
    folder: &Path,
    model: &str,
    to: &str,
    options: &PublishOptions,
) -> Result<PublishReport, Error> {
    let target = PublishTarget::parse(to)?;
    Project::publish_files(&[folder.to_owned()], &model_ref(model), target, options)
}

fn json_of(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_layout_has_an_artifact_for_each_version() {
    let rack = Rack::new();
    let (model, layout) = (
        rack.temp.path().join("model"),
        rack.temp.path().join("layout"),
    );
    let weights = vec![7; 70_000];
    write_files(
        &model,
        &[
            ("config.json", b"{}"),
            ("sub/model.bin", &weights),
            ("sub/same.bin", &weights),
        ],
    );
    let to = |tag: &str| format!("oci-layout:{}{tag}", layout.display());
    let options = PublishOptions::default().metadata(
        json!({"license": "mit", "type": "other"})
            .as_object()
            .unwrap()
            .clone(),
    );
    let first = publish(
        &model,
        "g/tiny 1.0.0",
        &to(""),
        &options.clone().aliases(["latest"]),
    );
    let first = first.unwrap();
    // Equal files are one layer's blob.
    assert_eq!(
        (
            first.files,
            first.chunks,
            first.chunks_written,
            first.bytes_written
        ),
        (3, 2, 2, 70_002)
    );
    assert_eq!(
        json_of(&layout.join("oci-layout")),
        json!({"imageLayoutVersion": "1.0.0"})
    );
    let tags = || {
        let index = json_of(&layout.join("index.json"));
        let manifests = index["manifests"].as_array().unwrap().iter();
        let tags = manifests.map(|manifest| {
            let tag = manifest["annotations"][REF_NAME]
                .as_str()
                .unwrap()
                .to_owned();
            (tag, manifest["digest"].as_str().unwrap().to_owned())
        });
        tags.collect::<Vec<_>>()
    };
    let named = format!("sha256:{}", first.manifest_digest);
    assert_eq!(
        tags(),
        [
            ("1.0.0".to_owned(), named.clone()),
            ("latest".to_owned(), named.clone())
        ]
    );
    let blobs = layout.join("blobs/sha256");
    for (name, bytes) in files_below(&blobs) {
        assert_eq!(Digest::of(&bytes).to_string(), name);
    }
    let manifest = json_of(&blobs.join(first.manifest_digest.to_string()));
    let layers = manifest["layers"].as_array().unwrap();
    let names: Vec<&Value> = layers
        .iter()
        .map(|layer| &layer["annotations"]["org.cncf.model.filepath"])
        .collect();
    assert_eq!(names, ["config.json", "sub/model.bin", "sub/same.bin"]);
    assert_eq!(
        manifest["annotations"]["org.opencontainers.image.licenses"],
        "mit"
    );

    // The same again sends nothing; another version shares what it has in common, and a tag moves.
    let again = publish(&model, "g/tiny 1.0.0", &to(""), &options).unwrap();
    assert_eq!(
        (again.chunks_written, again.manifest_digest),
        (0, first.manifest_digest)
    );
    fs::write(model.join("config.json"), "{\"a\": 1}").unwrap();
    let second = publish(
        &model,
        "g/tiny 1.0.0",
        &to(":v2"),
        &options.aliases(["latest"]),
    )
    .unwrap();
    assert_eq!((second.model.version(), second.bytes_written), ("v2", 8));
    let moved = format!("sha256:{}", second.manifest_digest);
    assert_eq!(
        tags(),
        [
            ("1.0.0".to_owned(), named),
            ("v2".to_owned(), moved.clone()),
            ("latest".to_owned(), moved)
        ]
    );
}

#[test]
fn places_that_are_none_are_refused() {
    for (to, message) in [
        ("oci-layout:", "the image layout has no folder"),
        ("oci://ghcr.io/acme/tiny:a:b", "'a:b' is no tag"),
        ("oci://ghcr.io/acme/tiny:", "'' is no tag"),
        (
            "https://example.org/models",
            "cannot publish to https://example.org/models: name a folder, or a place of artifacts (oci://…, oci-layout:…)",
        ),
    ] {
        let error = PublishTarget::parse(to).unwrap_err();
        assert_eq!(
            (error.to_string().as_str(), error.code()),
            (message, "INVALID_ARGUMENT"),
            "{to}"
        );
    }
    for to in [
        "oci://localhost:5000/acme/tiny:v1",
        "oci://ghcr.io/acme",
        "oci://ghcr.io/a/b/",
    ] {
        assert_eq!(PublishTarget::parse(to).unwrap().to_string(), to);
    }
    let rack = Rack::new();
    let folder = rack.temp.path().join("model");
    write_files(&folder, &[("a", b"a")]);
    let error = publish(
        &folder,
        "g/m v",
        "oci://localhost:1/Acme/m",
        &PublishOptions::default(),
    );
    let message = error.unwrap_err().to_string();
    assert!(
        message.starts_with("'Acme/m' cannot be the name of a repository"),
        "{message}"
    );
}
