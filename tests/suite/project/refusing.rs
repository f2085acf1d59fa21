//! What cannot be registered is reported, and the rest is registered.

use std::fs;
use std::path::PathBuf;
use std::slice;

use modelrack::project::AddOptions;

use super::folder::{Folder, failures, files_of, gguf, ids};
use crate::support::disk::names_in;
use crate::support::platform::{link_file, link_folder, name_without_unicode};

fn options() -> AddOptions {
    AddOptions::default()
}

#[test]
fn an_invalid_id_is_refused_before_anything_is_written() {
    let folder = Folder::with(&[("a.gguf", gguf(&[])), ("b.gguf", gguf(&[]))]);
    for id in ["", "..", "/a", "a//b", "a\\b", "con", "a\u{7}"] {
        let error = folder.try_add(&["a.gguf"], &options().id(id));
        assert_eq!(error.unwrap_err().code(), "INVALID_ARGUMENT", "{id:?}");
    }
    for one in [options().id("x"), options().version("2")] {
        let error = folder.try_add(&["a.gguf", "b.gguf"], &one).unwrap_err();
        assert_eq!(error.code(), "INVALID_ARGUMENT");
        assert!(error.to_string().contains("2 were found"), "{error}");
    }
    assert!(!folder.path(".registry").exists());
}

#[test]
fn ids_that_differ_only_in_case_are_reported_and_the_rest_is_registered() {
    let folder = Folder::with(&[
        ("a/Same.gguf", gguf(&[])),
        ("b/same.gguf", gguf(&[])),
        ("c.gguf", gguf(&[])),
    ]);
    let report = folder.add(&["."]);
    assert_eq!(ids(&report), ["Same", "b/same", "c"]);
    let error = folder.add_with(&["c.gguf"], &options().id("sAME"));
    let failed = failures(&error.failed);
    assert!(failed[0].1.contains("'Same'"), "{failed:?}");
    assert_eq!(folder.project().registry().entries.len(), 3);
}

#[test]
fn failures_are_reported_and_the_rest_is_registered() {
    let folder = Folder::with(&[
        ("m/good.gguf", gguf(&[])),
        ("m/short.safetensors", b"123".to_vec()),
        ("m/broken.py", b"def f(:\n".to_vec()),
        ("m/same.gguf", gguf(&[("general.version", "3")])),
    ]);
    folder.add(&["m/same.gguf"]);
    fs::create_dir(folder.path("empty")).unwrap();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("x.gguf"), gguf(&[])).unwrap();
    let paths: Vec<PathBuf> = vec![
        folder.path("m"),
        folder.path("none.gguf"),
        folder.path("empty"),
        outside.path().join("x.gguf"),
    ];
    let report = folder.project().add(&paths, &options()).unwrap();
    assert_eq!(ids(&report), ["good"]);
    assert_eq!(report.unchanged, ["same"]);
    assert_eq!((report.processed, report.failed.len()), (7, 5));
    let failed = failures(&report.failed);
    for (at, path, reason) in [
        (0, "m/broken.py", "line 1"),
        (1, "m/short.safetensors", "shorter than"),
        (2, "none.gguf", "none.gguf"),
        (3, "empty", "no files below"),
        (4, "x.gguf", "is not in the project"),
    ] {
        assert!(failed[at].0.ends_with(path), "{failed:?}");
        assert!(failed[at].1.contains(reason), "{failed:?}");
    }
}

#[test]
fn folders_of_tools_are_skipped_and_refused_when_named() {
    let folder = Folder::with(&[
        ("a.gguf", gguf(&[])),
        (".git/b.gguf", gguf(&[])),
        ("__pycache__/c.gguf", gguf(&[])),
    ]);
    folder.add(&["."]);
    folder.add(&["."]);
    for name in [".registry", ".registry/models.toml", ".git", ".git/b.gguf"] {
        for options in [options(), options().id("x")] {
            let report = folder.add_with(&[name], &options);
            let failed = failures(&report.failed);
            assert!(failed[0].1.contains("belongs to"), "{name}: {failed:?}");
        }
    }
    let project = folder.project();
    assert_eq!(project.registry().entries.keys().collect::<Vec<_>>(), ["a"]);
    // A whole project as one model does not include these either.
    folder.add_with(&["."], &options().id("all"));
    assert_eq!(files_of(&folder.project(), "all"), ["a.gguf"]);
}

#[test]
fn links_are_not_followed() {
    let folder = Folder::with(&[
        ("real/w.gguf", gguf(&[])),
        ("one/config.json", br#"{"model_type": "bert"}"#.to_vec()),
    ]);
    if !link_folder(&folder.path("real"), &folder.path("link")) {
        return;
    }
    assert!(link_file(
        &folder.path("real/w.gguf"),
        &folder.path("w2.gguf")
    ));
    assert!(link_folder(
        &folder.path("real"),
        &folder.path("one").join("inner")
    ));
    for name in ["link", "w2.gguf"] {
        let failed = folder.add(&[name]).failed;
        assert!(failures(&failed)[0].1.contains("is a link"), "{failed:?}");
    }
    // A link to a folder is ignored in a folder of models; a model that is a link or contains one is reported.
    let report = folder.add(&["."]);
    assert_eq!(ids(&report), ["w"]);
    let failed = failures(&report.failed);
    let paths: Vec<&str> = failed.iter().map(|(path, _)| *path).collect();
    assert_eq!(paths, ["one", "w2.gguf"], "{failed:?}");
}

#[test]
fn names_that_are_not_portable_are_reported() {
    let folder = Folder::with(&[("m/good.gguf", gguf(&[]))]);
    for name in ["con.gguf", "a:b.gguf", "trailing.", "back\\slash.gguf"] {
        let path = folder.path("m").join(name);
        let _ = fs::write(&path, gguf(&[]));
        let mut others = names_in(&folder.path("m"));
        others.retain(|there| there != "good.gguf");
        // Only on systems that allow such names; others may change them.
        if others != [name] {
            for other in others {
                fs::remove_file(folder.path("m").join(other)).unwrap();
            }
            continue;
        }
        let report = folder.add(&["m"]);
        let failed = failures(&report.failed);
        assert_eq!(failed[0].0, format!("m/{name}"), "{failed:?}");
        let report = folder
            .project()
            .add(slice::from_ref(&path), &options())
            .unwrap();
        assert_eq!(report.failed.len(), 1, "{name}");
        fs::remove_file(path).unwrap();
    }
    assert!(folder.add(&["m"]).failed.is_empty());
    assert_eq!(folder.project().registry().entries.len(), 1);
}

#[test]
fn a_name_that_is_not_utf_8_is_reported() {
    let folder = Folder::with(&[("m/good.gguf", gguf(&[]))]);
    let path = folder.path("m").join(name_without_unicode(".gguf"));
    // Only on systems that allow such names.
    if fs::write(&path, gguf(&[])).is_err() {
        return;
    }
    let report = folder.add(&["m"]);
    assert_eq!(ids(&report), ["good"]);
    let failed = failures(&report.failed);
    assert!(failed[0].1.contains("UTF-8"), "{failed:?}");
    let report = folder.project().add(&[path], &options()).unwrap();
    assert!(failures(&report.failed)[0].1.contains("UTF-8"));
}

#[test]
fn files_that_differ_only_in_case_are_reported_and_the_rest_is_registered() {
    let folder = Folder::with(&[("a.gguf", gguf(&[])), ("b.gguf", gguf(&[]))]);
    folder.write(&[("A.gguf", gguf(&[("general.name", "Big")]))]);
    // Only on systems that distinguish them.
    if names_in(folder.root()).len() != 3 {
        return;
    }
    let report = folder.add(&["."]);
    assert_eq!(ids(&report), ["A", "b"]);
    assert_eq!(failures(&report.failed)[0].0, "a.gguf");
}
