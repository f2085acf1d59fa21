//! What systems, editors and download tools leave behind is no part of a model, and a pointer is not the file that is meant.

use std::fs;

use modelrack::project::{
    AddOptions, ImportOptions, Project, PublishOptions, ResyncOptions, StatusOptions,
};

use super::folder::{Folder, failures, files_of, ids, weights};
use crate::support::rack::model_ref;

/// How a file begins in which macOS keeps what it knows about another.
pub(super) const SIDECAR: &[u8] = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        \x00\x02";

/// The text that Git LFS puts in the place of a file.
pub(super) const POINTER: &str = "version https://git-lfs.github.com/spec/v1\n\
    oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 9\n";

const CONFIG: &[u8] = br#"{"model_type": "llama"}"#;

/// What is in a folder after downloading a model into it, unpacking a zip, and editing.
fn littered() -> Folder {
    Folder::with(&[
        ("m/config.json", CONFIG),
        ("m/model.safetensors", &weights(&[4])),
        ("m/._model.safetensors", SIDECAR),
        ("m/__MACOSX/._config.json", SIDECAR),
        ("m/desktop.ini", b"[.ShellClassInfo]\r\nIconIndex=0\r\n"),
        ("m/.config.json.swp", b"b0VIM 9.1"),
        ("m/config.json~", CONFIG),
        ("m/.cache/huggingface/.gitignore", b"*"),
        ("m/.cache/huggingface/trees/1.json", b"{}"),
        (
            "m/.cache/huggingface/download/config.json.metadata",
            b"1\n2\n1764.5\n",
        ),
        ("m/.DS_Store", b"\0\0\0\x01Bud1"),
        // Only their names are like it.
        ("m/._notes", b"x"),
        ("m/.a.swp", b"x"),
    ])
}

const KEPT: [&str; 4] = [
    "m/._notes",
    "m/.a.swp",
    "m/config.json",
    "m/model.safetensors",
];

const LEFT_OUT: [&str; 6] = [
    "m/.cache/huggingface",
    "m/.config.json.swp",
    "m/._model.safetensors",
    "m/__MACOSX/._config.json",
    "m/config.json~",
    "m/desktop.ini",
];

fn sorted(paths: &[&str]) -> Vec<String> {
    let mut paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
    paths.sort();
    paths
}

#[test]
fn leftovers_are_passed_over_when_models_are_registered() {
    let folder = littered();
    for options in [AddOptions::default(), AddOptions::default().id("n")] {
        let report = folder.add_with(&["m"], &options);
        assert_eq!(failures(&report.failed), []);
        assert_eq!(report.left_out, sorted(&LEFT_OUT));
        let project = folder.project();
        assert_eq!(files_of(&project, ids(&report)[0]), KEPT);
    }
    // They change nothing afterwards, either.
    fs::write(
        folder.path("m/.cache/huggingface/download/config.json.metadata"),
        "later",
    )
    .unwrap();
    let report = folder.add(&["m"]);
    assert_eq!((ids(&report).len(), report.unchanged.len()), (0, 1));
    let status = folder.project().status(&StatusOptions::default()).unwrap();
    assert_eq!(status.findings, []);
}

#[test]
fn a_sidecar_is_no_model() {
    let folder = Folder::with(&[
        ("m/model.safetensors", &*weights(&[4])),
        ("m/._model.safetensors", SIDECAR),
    ]);
    let report = folder.add(&["m"]);
    assert_eq!(failures(&report.failed), []);
    assert_eq!(
        (report.registered.len(), report.registered[0].files),
        (1, 1)
    );
    assert_eq!(report.left_out, ["m/._model.safetensors"]);
}

#[test]
fn leftovers_are_passed_over_when_folders_are_published() {
    let (folder, registry) = (littered(), tempfile::tempdir().unwrap());
    let (model, options) = (model_ref("g/m 1"), PublishOptions::default());
    let publish =
        || Project::publish_files(&[folder.path("m")], &model, registry.path(), &options).unwrap();
    let report = publish();
    assert_eq!(report.files, KEPT.len());
    let left_out = LEFT_OUT.map(|path| folder.path(path).display().to_string());
    let mut left_out = left_out.to_vec();
    left_out.sort();
    assert_eq!(report.left_out, left_out);
    fs::write(folder.path("m/.cache/huggingface/trees/1.json"), "later").unwrap();
    assert_eq!(publish().manifest_digest, report.manifest_digest);
}

#[test]
fn pointers_are_not_registered() {
    for (name, beside) in [
        ("model.onnx", false),
        ("weights.bin", true),
        ("model.gguf", false),
    ] {
        let folder = Folder::with(&[(&*format!("m/{name}"), POINTER.as_bytes())]);
        if beside {
            folder.write(&[("m/config.json", CONFIG)]);
        }
        for options in [AddOptions::default(), AddOptions::default().id("m")] {
            let report = folder.add_with(&["m"], &options);
            assert_eq!(ids(&report), [""; 0], "{name}");
            let failed = failures(&report.failed);
            let message = &failed[0].1;
            assert_eq!(report.failed[0].error.code(), "REGISTRY_ERROR");
            assert!(
                message.contains(name) && message.contains("Git LFS"),
                "{message}"
            );
        }
        // What is needed by a model counts as well.
        folder.write(&[("w.safetensors", weights(&[1]))]);
        let options = AddOptions::default().data([folder.path("m").join(name)]);
        let report = folder.add_with(&["w.safetensors"], &options);
        assert!(failures(&report.failed)[0].1.contains("Git LFS"), "{name}");
    }
    let about = format!("Pointers look like this:\n\n{POINTER}");
    let folder = Folder::with(&[("m/about.txt", about)]);
    assert_eq!(ids(&folder.add(&["m"])), ["m"]);
}

#[test]
fn pointers_are_not_published() {
    let folder = Folder::with(&[("m/a.txt", "a"), ("m/w.bin", POINTER)]);
    let registry = tempfile::tempdir().unwrap();
    for path in ["m", "m/w.bin"] {
        let (model, options) = (model_ref("g/m 1"), PublishOptions::default());
        let paths = [folder.path(path)];
        let error = Project::publish_files(&paths, &model, registry.path(), &options).unwrap_err();
        let message = error.to_string();
        assert!(
            message.contains("w.bin") && message.contains("git lfs pull"),
            "{message}"
        );
    }
    assert!(!registry.path().join("models.json").exists());
}

#[test]
fn leftovers_are_reported_when_models_are_synced_and_imported() {
    let folder = littered();
    folder.write(&[
        ("d/a.csv", "1"),
        ("d/a.csv~", "0"),
        ("code/x.py", "x = 1\n"),
        ("code/x.py~", ""),
    ]);
    let with = |mut paths: Vec<String>| {
        paths.extend(["code/x.py~".to_owned(), "d/a.csv~".to_owned()]);
        paths.sort();
        paths
    };
    // In folders of data and code as well.
    let needed = AddOptions::default()
        .data([folder.path("d")])
        .code([folder.path("code")]);
    let report = folder.add_with(&["m"], &needed);
    assert_eq!(failures(&report.failed), []);
    assert_eq!(report.left_out, with(sorted(&LEFT_OUT)));
    for report in [
        folder.sync(&ResyncOptions::default()),
        folder.plan_sync(&ResyncOptions::default()),
    ] {
        assert!(report.difference.is_empty());
        assert_eq!(report.left_out, sorted(&LEFT_OUT));
    }
    folder.write(&[(
        "registry.yaml",
        "models:\n  n:\n    path: m\n    data: [d]\n    code: [code]\n",
    )]);
    let (file, options) = (folder.path("registry.yaml"), ImportOptions::default());
    let plan = folder.project().plan_import(&file, &options).unwrap();
    assert_eq!(plan.report.left_out, with(sorted(&LEFT_OUT)));
    let report = folder.project().import(&file, &options).unwrap();
    assert_eq!(failures(&report.failed), []);
    assert_eq!(report.left_out, with(sorted(&LEFT_OUT)));
}
