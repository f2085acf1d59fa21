//! Publishing artifacts: into an image layout, and into OCI registries.

use std::fs;
use std::path::Path;
use std::process::Command;

use modelrack::config::System;
use modelrack::project::{Project, PublishOptions, PublishReport, PublishTarget};
use modelrack::{Digest, Error, Manager, PullOptions};
use serde_json::{Value, json};

use crate::support::disk::{age, files_below, write_files};
use crate::support::platform::SYSTEM;
use crate::support::rack::{Rack, model_ref};
use crate::support::{address, chain};

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

/// The names in a tar, as the program of this machine lists them; without one, as its headers have them.
fn names_in(tar: &Path) -> Vec<String> {
    let Ok(output) = Command::new("tar").arg("-tf").arg(tar).output() else {
        return names_of_headers(&fs::read(tar).unwrap());
    };
    assert!(output.status.success(), "{output:?}");
    let names = String::from_utf8(output.stdout).unwrap();
    names.lines().map(str::to_owned).collect()
}

fn names_of_headers(mut tar: &[u8]) -> Vec<String> {
    let text = |field: &[u8]| {
        let text = field.split(|byte| *byte == 0).next().unwrap();
        String::from_utf8(text.to_vec()).unwrap()
    };
    let mut names = Vec::new();
    while tar[0] != 0 {
        names.push(text(&tar[..100]));
        let size = usize::from_str_radix(text(&tar[124..136]).trim(), 8).unwrap();
        tar = &tar[512 + size.next_multiple_of(512)..];
    }
    names
}

#[test]
fn a_layout_may_be_a_tar() {
    let rack = Rack::new();
    let temp = rack.temp.path();
    let (model, tar) = (temp.join("model"), temp.join("out").join("tiny.tar"));
    let weights = vec![7; 70_000];
    let files = [("config.json", b"{}".to_vec()), ("sub/model.bin", weights)];
    let entries = files
        .each_ref()
        .map(|(name, content)| (*name, &content[..]));
    write_files(&model, &entries);
    let options = PublishOptions::default();
    let publish_as = |tag: &str| {
        let to = format!("oci-layout:{}:{tag}", tar.display());
        publish(
            &model,
            "g/tiny 1.0.0",
            &to,
            &options.clone().aliases(["latest"]),
        )
    };
    let first = publish_as("v1").unwrap();
    assert_eq!((first.chunks_written, first.bytes_written), (2, 70_002));
    let written = fs::read(&tar).unwrap();
    let names = names_in(&tar);
    assert_eq!(names.len(), 6, "{names:?}");
    assert_eq!((&*names[0], &*names[5]), ("oci-layout", "index.json"));

    // The same again changes nothing, and is the same anywhere else.
    let again = publish_as("v1").unwrap();
    assert_eq!(
        (again.chunks_written, again.manifest_digest),
        (0, first.manifest_digest)
    );
    assert_eq!(fs::read(&tar).unwrap(), written);
    assert_eq!(files_below(tar.parent().unwrap()).len(), 1);

    // Another version comes behind what is there, and a tag moves.
    fs::write(model.join("config.json"), "{\"a\": 1}").unwrap();
    let second = publish_as("v2").unwrap();
    assert_eq!((second.chunks_written, second.bytes_written), (1, 8));
    let names = names_in(&tar);
    assert_eq!(names.len(), 9, "{names:?}");
    assert_eq!(names.iter().filter(|name| *name == "index.json").count(), 1);

    let url = modelrack::transport::Url::from_path(&tar)
        .unwrap()
        .to_string();
    let place = url.replace("file://", "oci-layout://");
    let manager = rack.manager_of(rack.bare_config().offline(true));
    let pull = |tag: &str| {
        let model = address(&format!("{place}:{tag}"));
        manager.pull(&model, &PullOptions::default()).unwrap();
    };
    pull("v1");
    rack.assert_files("oci-layout/tiny v1", &files);
    pull("latest");
    let moved = [("config.json", b"{\"a\": 1}".to_vec()), files[1].clone()];
    rack.assert_files("oci-layout/tiny latest", &moved);

    // What is none is left alone.
    fs::write(&tar, [1; 5000]).unwrap();
    let error = publish_as("v1").unwrap_err();
    assert!(
        chain(&error).contains("not a tar archive"),
        "{}",
        chain(&error)
    );
    assert_eq!(fs::read(&tar).unwrap(), [1; 5000]);
    assert_eq!(files_below(tar.parent().unwrap()).len(), 1);
}

#[test]
fn what_killed_publishers_left_in_layouts_goes_a_day_later() {
    let rack = Rack::new();
    let temp = rack.temp.path();
    write_files(&temp.join("model"), &[("a.bin", b"weights")]);
    let to = |name: &str| format!("oci-layout:{}:v1", temp.join(name).display());
    let publish = |name: &str| {
        let options = PublishOptions::default();
        publish(&temp.join("model"), "g/tiny v1", &to(name), &options).unwrap();
    };
    let blob = format!("out/blobs/sha256/{}.41-0.tmp", "0a".repeat(32));
    let left = ["out/index.json.41-1.tmp", "out/oci-layout.41-0.tmp", &blob];
    let others = ["out/notes.41-1.tmp", "out/blobs/sha256/x.41-0.tmp"];
    for name in left.iter().chain(&others) {
        write_files(temp, &[(name, b"half")]);
        age(&temp.join(name), 25);
    }
    publish("out");
    for name in left {
        assert!(!temp.join(name).exists(), "{name}");
    }
    for name in others {
        assert!(temp.join(name).exists(), "{name}");
    }

    // A tar that was killed has taken as much space as the next one needs, and who has its lock writes to it alone.
    let (old, other) = ("tars/tiny.tar.41-0.tmp", "tars/tiny.tar.gz.41-0.tmp");
    let young = "tars/tiny.tar.42-0.tmp";
    for (name, hours) in [(old, 25), (other, 25), (young, 23)] {
        write_files(temp, &[(name, b"half")]);
        age(&temp.join(name), hours);
    }
    publish("tars/tiny.tar");
    let names = crate::support::disk::names_in(&temp.join("tars"));
    assert_eq!(names, ["tiny.tar", "tiny.tar.gz.41-0.tmp"]);
}

#[test]
fn skopeo_copies_from_a_tar() {
    if SYSTEM != System::Linux {
        return;
    }
    let rack = Rack::new();
    let (model, copy) = (
        rack.temp.path().join("model"),
        rack.temp.path().join("copy"),
    );
    write_files(&model, &[("model.bin", &[7; 70_000])]);
    let tar = rack.temp.path().join("tiny.tar");
    let to = format!("oci-layout:{}:v1", tar.display());
    let report = publish(&model, "g/tiny 1", &to, &PublishOptions::default()).unwrap();
    let mut skopeo = Command::new("skopeo");
    skopeo.arg("--tmpdir").arg(rack.temp.path()).arg("copy");
    skopeo.arg(format!("oci-archive:{}:v1", tar.display()));
    skopeo.arg(format!("oci:{}:v1", copy.display()));
    let output = skopeo.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let manifest = report.manifest_digest.to_string();
    assert!(copy.join("blobs/sha256").join(manifest).is_file());
}

#[test]
fn places_that_are_none_are_refused() {
    for (to, message) in [
        ("oci-layout:", "the image layout has no folder"),
        ("oci://ghcr.io/acme/tiny:a:b", "'a:b' is no tag"),
        ("oci://ghcr.io/acme/tiny:", "'' is no tag"),
        (
            "https://example.org/models",
            "cannot publish to https://example.org/models: name a folder, a bucket (s3://…), or a place of artifacts (oci://…, \
             oci-layout:…)",
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

#[test]
fn a_registry_in_chunks_may_be_a_tar() {
    let rack = Rack::new();
    let folder = rack.temp.path().join("model");
    write_files(&folder, &[("a", b"a")]);
    let tar = rack.temp.path().join("public.tar");
    let to = tar.to_str().unwrap();
    let publish_as = |model: &str| publish(&folder, model, to, &PublishOptions::default());
    let first = publish_as("g/m v1").unwrap();
    assert_eq!(first.chunks_written, 1);
    let written = fs::read(&tar).unwrap();
    assert_eq!(publish_as("g/m v1").unwrap().chunks_written, 0);
    assert_eq!(fs::read(&tar).unwrap(), written);
    assert_eq!(publish_as("g/m v2").unwrap().chunks_written, 0);
    let names = names_in(&tar);
    assert_eq!(names.len(), 3, "{names:?}");
    assert_eq!(names[2], "models.json");

    let url = modelrack::transport::Url::from_path(&tar).unwrap().expose();
    let manager = rack.manager_of(rack.bare_config().registry_url(url));
    for model in ["g/m v1", "g/m v2"] {
        manager
            .pull(&address(model), &PullOptions::default())
            .unwrap();
        rack.assert_files(model, &[("a", b"a")]);
    }
}
