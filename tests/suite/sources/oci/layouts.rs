//! OCI layouts: the documents of a registry in a folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use modelrack::cli::Mount;
use modelrack::config::System;
use modelrack::lock::{LockOptions, LockedOptions};
use modelrack::transport::Url;
use modelrack::{ListOptions, Manager, ModelManager, PullOptions, RemoteOptions, UpdateOptions};
use serde_json::{Value, json};

use super::llama;
use super::tars::tar;
use crate::cli::run_line;
use crate::support::disk::{files_below, flip, write_files};
use crate::support::oci::{Artifact, INDEX_TYPE, MANIFEST_TYPE, sha256};
use crate::support::platform::SYSTEM;
use crate::support::rack::Rack;
use crate::support::{address, bytes, chain};

pub(super) const TAG: &str = "org.opencontainers.image.ref.name";

/// A folder with artifacts, as `oras` and `skopeo` write one.
pub(super) struct Folder {
    path: PathBuf,
    manifests: Vec<Value>,
}

impl Folder {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            manifests: Vec::new(),
        }
    }

    /// Adds an artifact with a name; returns the digest of its manifest.
    pub(super) fn add(&mut self, annotation: &str, name: &str, artifact: &Artifact) -> String {
        let manifest = artifact.manifest().to_string().into_bytes();
        let digest = sha256(&manifest);
        self.manifests.push(json!({
            "mediaType": MANIFEST_TYPE, "digest": digest, "size": manifest.len(), "annotations": {annotation: name},
        }));
        for blob in artifact.blobs().into_iter().chain([manifest]) {
            write_files(&self.path, &[(&blob_path(&blob), &blob)]);
        }
        let index =
            json!({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": self.manifests});
        let index = index.to_string().into_bytes();
        let layout = br#"{"imageLayoutVersion": "1.0.0"}"#.to_vec();
        write_files(
            &self.path,
            &[("index.json", &index), ("oci-layout", &layout)],
        );
        digest
    }
}

fn blob_path(blob: &[u8]) -> String {
    sha256(blob).replace("sha256:", "blobs/sha256/")
}

/// The address of a layout, without a tag.
pub(super) fn url(path: &Path) -> String {
    let url = Url::from_path(path).unwrap().to_string();
    url.replace("file://", "oci-layout://")
}

/// A manager that knows a folder as the source `stick`.
fn manager(rack: &Rack, path: &Path) -> ModelManager {
    let toml = format!("[sources.stick]\noci = \"{}\"\n", url(path));
    rack.manager_of(rack.bare_config().bootstrap(toml).offline(true))
}

fn folder(rack: &Rack) -> Folder {
    Folder::new(rack.temp.path().join("media").join("Llama"))
}

#[test]
fn a_layout_is_a_registry_in_a_folder() {
    let rack = Rack::new();
    let mut folder = folder(&rack);
    let digest = folder.add(TAG, "q4", &Artifact::model_pack(&llama()));
    let other = [("model.gguf", bytes(10, 3))];
    folder.add(TAG, "ghcr.io/acme/other:v1", &Artifact::model_pack(&other));
    let named = "io.containerd.image.name";
    folder.add(
        named,
        "docker.io/ai/third:v2",
        &Artifact::model_pack(&other),
    );
    // As podman has it of a registry with a port.
    let own = "localhost:5000/acme/fourth:v3";
    folder.add(TAG, own, &Artifact::model_pack(&other));
    let before = files_below(&folder.path);
    let manager = manager(&rack, &folder.path);
    let listed = manager.list_remote(&RemoteOptions::default()).unwrap();
    let listed: Vec<_> = listed
        .models
        .iter()
        .map(|it| it.model.to_string())
        .collect();
    assert_eq!(
        listed,
        [
            "stick/Llama q4",
            "stick/docker.io/ai/third v2",
            "stick/ghcr.io/acme/other v1",
            "stick/localhost_5000/acme/fourth v3",
        ]
    );
    let options = RemoteOptions::default();
    let detail = manager.remote_detail(&address("stick/Llama"), &options);
    let detail = detail.unwrap();
    assert_eq!(detail.files.len(), 3);
    assert_eq!(detail.remote.metadata.to_map()["size_label"], "8b");
    for model in [
        "stick/Llama q4",
        "stick/ghcr.io/acme/other:v1",
        "stick/localhost_5000/acme/fourth",
    ] {
        manager
            .pull(&address(model), &PullOptions::default())
            .unwrap();
    }
    let by_digest = format!("stick/Llama@{digest}");
    let pinned = manager.pull(&address(&by_digest), &PullOptions::default());
    let pinned = pinned.unwrap();
    assert_eq!(pinned.bytes_fetched, 0);
    rack.assert_files("stick/Llama q4", &llama());
    rack.assert_files("stick/ghcr.io/acme/other v1", &other);
    assert_eq!(files_below(&folder.path), before);

    // The tag moves.
    let moved = [("model.gguf", bytes(10, 4))];
    folder.add(TAG, "q4", &Artifact::model_pack(&moved));
    manager.update(&UpdateOptions::default()).unwrap();
    rack.assert_files("stick/Llama q4", &moved);
    assert_eq!(
        fs::read(pinned.path.join("model.gguf")).unwrap(),
        llama()[1].1
    );
    for (model, code) in [
        ("stick/Llama q5", "VERSION_NOT_FOUND"),
        ("stick/none q4", "MODEL_NOT_FOUND"),
    ] {
        let error = manager.pull(&address(model), &PullOptions::default());
        assert_eq!(error.unwrap_err().code(), code, "{model}");
    }
}

#[test]
fn a_layout_needs_no_configuration() {
    let rack = Rack::new();
    let mut folder = folder(&rack);
    folder.add(TAG, "q4", &Artifact::model_pack(&llama()));
    let manager = rack.manager_of(rack.bare_config().offline(true));
    let place = url(&folder.path);
    for (model, stored) in [
        (format!("{place}:q4"), "oci-layout/Llama q4"),
        (place, "oci-layout/Llama q4"),
    ] {
        let report = manager.pull(&address(&model), &PullOptions::default());
        assert_eq!(report.unwrap().model.to_string(), stored);
    }
    rack.assert_files("oci-layout/Llama q4", &llama());
    let moved = [("model.gguf", bytes(10, 4))];
    folder.add(TAG, "q4", &Artifact::model_pack(&moved));
    manager.update(&UpdateOptions::default()).unwrap();
    rack.assert_files("oci-layout/Llama q4", &moved);
}

#[test]
fn a_layout_that_is_not_configured_says_what_is_in_it() {
    let rack = Rack::new();
    let mount = Mount::new(rack.bare_config().offline(true)).environment(rack.environment());
    let pull = |path: &Path, tag: &str| run_line(&mount, &format!("pull {}{tag}", url(path)));
    // One model, which has the name of where it is from.
    let mut podman = Folder::new(rack.temp.path().join("podman"));
    let artifact = Artifact::model_pack(&llama());
    podman.add(TAG, "ghcr.io/acme/llama:q4", &artifact);
    pull(&podman.path, ":q4").success();
    rack.assert_files("oci-layout/podman q4", &llama());
    pull(&podman.path, "").success();
    run_line(&mount, "verify oci-layout/podman").success();
    run_line(&mount, "update").success();
    // The last of many tags, none of which is alike.
    for number in 10..30 {
        let tag = format!("ghcr.io/acme/llama:{number}");
        podman.add(TAG, &tag, &artifact);
    }
    let ran = pull(&podman.path, ":abcdefgh");
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(
        ran.err
            .contains("hint: did you mean q4 or 29 or 28 or 27 or 26?"),
        "{ran:?}"
    );
    // Several, and none.
    podman.add(TAG, "ghcr.io/acme/other:v1", &artifact);
    let ran = pull(&podman.path, ":q4");
    let said = format!(
        "the OCI layout has several models, ghcr.io/acme/llama, ghcr.io/acme/other: a source names one of them, with \
         oci = \"{}\" in the configuration",
        url(&podman.path)
    );
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.err.contains(&said), "{ran:?}");
    let empty = rack.temp.path().join("empty");
    write_files(
        &empty,
        &[("index.json", br#"{"schemaVersion": 2, "manifests": []}"#)],
    );
    let ran = pull(&empty, ":q4");
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(
        ran.err
            .contains("the OCI layout has no manifest with a tag")
    );
}

#[test]
fn a_lock_of_what_is_not_configured_holds_on_another_machine() {
    let one = Rack::new();
    let mut folder = folder(&one);
    folder.add(TAG, "q4", &Artifact::model_pack(&llama()));
    let manager = one.manager_of(one.bare_config().offline(true));
    let pulled = manager.pull(&address(&url(&folder.path)), &PullOptions::default());
    pulled.unwrap();
    let file = one.temp.path().join("models.lock");
    let report = manager.lock(&LockOptions::default().file(&file)).unwrap();
    assert!(report.is_written, "{report:?}");
    for frozen in [false, true] {
        let other = Rack::new();
        let manager = other.manager_of(other.bare_config().offline(true));
        let options = LockedOptions::default().file(&file).frozen(frozen);
        let plans = manager.plan_locked(&options).unwrap();
        manager.execute_all(&plans).unwrap();
        other.assert_files("oci-layout/Llama q4", &llama());
    }
}

#[test]
fn what_is_damaged_in_a_layout_is_not_installed() {
    let pull = |rack: &Rack, path: &Path| {
        let pulled = manager(rack, path).pull(&address("stick/Llama q4"), &PullOptions::default());
        let listed = rack.manager().list(&ListOptions::default()).unwrap();
        assert!(listed.models.is_empty());
        pulled.unwrap_err()
    };
    let artifact = Artifact::model_pack(&llama());
    for blob in [
        llama()[1].1.clone(),
        artifact.manifest().to_string().into_bytes(),
    ] {
        let rack = Rack::new();
        let mut folder = folder(&rack);
        folder.add(TAG, "q4", &artifact);
        flip(&folder.path.join(blob_path(&blob)), 5);
        assert_eq!(pull(&rack, &folder.path).code(), "HASH_MISMATCH");
    }
    // A copy that is not whole, and what is no file at all.
    let rack = Rack::new();
    let mut incomplete = folder(&rack);
    incomplete.add(TAG, "q4", &artifact);
    let manifest = blob_path(artifact.manifest().to_string().as_bytes());
    let manifest = incomplete.path.join(manifest);
    fs::remove_file(&manifest).unwrap();
    let error = pull(&rack, &incomplete.path).to_string();
    assert!(
        error.contains("names a manifest that is not there"),
        "{error}"
    );
    let made = Command::new("mkfifo").arg(&manifest).status();
    if made.is_ok_and(|status| status.success()) {
        let error = pull(&rack, &incomplete.path).to_string();
        assert!(
            error.contains("names a manifest that is not there"),
            "{error}"
        );
    }
    let rack = Rack::new();
    let folder = folder(&rack);
    let error = pull(&rack, &folder.path).to_string();
    assert!(error.contains("it is no OCI layout"), "{error}");
    fs::create_dir_all(folder.path.parent().unwrap()).unwrap();
    fs::write(&folder.path, "tar").unwrap();
    let error = pull(&rack, &folder.path);
    assert_eq!(error.code(), "REGISTRY_ERROR");
    assert!(chain(&error).contains("truncated"), "{}", chain(&error));
    fs::write(&folder.path, bytes(5000, 1)).unwrap();
    let error = chain(&pull(&rack, &folder.path));
    assert!(error.contains("not a tar archive"), "{error}");
    fs::write(&folder.path, tar(&[("blobs/x", b"x")])).unwrap();
    let error = chain(&pull(&rack, &folder.path));
    assert!(error.contains("it is no OCI layout"), "{error}");
}

/// The files of a folder in a tar, and one more of a name that occurs twice.
fn packed(folder: &Folder) -> PathBuf {
    let mut files = vec![("index.json".to_owned(), b"{}".to_vec())];
    files.extend(files_below(&folder.path));
    let entries: Vec<_> = files
        .iter()
        .map(|(name, content)| (&**name, content))
        .collect();
    let path = folder.path.with_extension("tar");
    fs::write(&path, tar(&entries)).unwrap();
    path
}

#[test]
fn a_layout_may_be_in_a_tar() {
    let rack = Rack::new();
    let mut folder = folder(&rack);
    let files = [
        ("model.gguf", bytes(3_000_000, 1)),
        ("README.md", b"# Llama\n".to_vec()),
    ];
    folder.add(TAG, "q4", &Artifact::model_pack(&files));
    let path = packed(&folder);
    fs::remove_dir_all(&folder.path).unwrap();
    let before = fs::read(&path).unwrap();
    let bare = rack.manager_of(rack.bare_config().offline(true));
    let place = url(&path);
    for manager in [bare, manager(&rack, &path)] {
        for model in [format!("{place}:q4"), place.clone()] {
            let report = manager.pull(&address(&model), &PullOptions::default());
            assert_eq!(report.unwrap().model.to_string(), "oci-layout/Llama q4");
        }
    }
    rack.assert_files("oci-layout/Llama q4", &files);
    let stick = manager(&rack, &path);
    let listed = stick.list_remote(&RemoteOptions::default()).unwrap();
    assert_eq!(listed.models[0].model.to_string(), "stick/Llama q4");
    assert_eq!(fs::read(&path).unwrap(), before);
    assert_eq!(files_below(path.parent().unwrap()).len(), 1);

    // Another tar takes its place while the manager is open.
    let moved = [("model.gguf", bytes(10, 4))];
    folder.add(TAG, "q4", &Artifact::model_pack(&moved));
    packed(&folder);
    let updated = stick.update(&UpdateOptions::default()).unwrap();
    assert_eq!(updated.entries.len(), 1);
    rack.assert_files("oci-layout/Llama q4", &moved);
}

/// What `skopeo` makes of a layout, with a tag and without.
#[test]
fn a_tar_of_skopeo_is_read() {
    if SYSTEM != System::Linux {
        return;
    }
    let rack = Rack::new();
    let mut folder = folder(&rack);
    folder.add(TAG, "q4", &Artifact::model_pack(&llama()));
    for (tag, model) in [(":v1", "Copy v1"), ("", "Copy latest")] {
        let path = folder.path.with_file_name("Copy.tar");
        let mut skopeo = Command::new("skopeo");
        skopeo.arg("--tmpdir").arg(rack.temp.path()).arg("copy");
        skopeo.arg(format!("oci:{}:q4", folder.path.display()));
        skopeo.arg(format!("oci-archive:{}{tag}", path.display()));
        let output = skopeo.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let manager = rack.manager_of(rack.bare_config().offline(true));
        let report = manager.pull(&address(&url(&path)), &PullOptions::default());
        assert_eq!(
            report.unwrap().model.to_string(),
            format!("oci-layout/{model}")
        );
        rack.assert_files(&format!("oci-layout/{model}"), &llama());
        fs::remove_file(path).unwrap();
    }
}
