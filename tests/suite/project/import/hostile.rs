//! Malformed and hostile registries.

use std::fs::File;

use modelrack::project::{ImportOptions, Project, ProjectOptions};
use serde_json::{Value, json};

use super::{MODEL, Place, bundle, failures, ids};
use crate::support::chain;
use crate::support::platform::link_folder;

#[test]
fn the_error_about_another_file_says_what_is_accepted() {
    for (name, text) in [
        ("registry.yaml", ""),
        ("registry.yaml", "# nothing\n"),
        ("registry.yaml", "- a\n- b\n"),
        ("registry.yaml", "schema_version: 1\n"),
        ("registry.yaml", "[files]\n\"a\" = { size = 1 }\n"),
        ("model_registry.json", "{}"),
        ("model_registry.json", "[]"),
        ("model_registry.json", "models: {}\n"),
        ("model_registry.json", "{\"models\": NaN}"),
        ("registry", "{\"targets\": 1}"),
        ("registry", "just a text"),
    ] {
        let message = Place::empty().refusal(name, text);
        for accepted in ["registry.yaml", "model_registry.json", name] {
            assert!(message.contains(accepted), "{text:?}: {message}");
        }
    }
    let place = Place::empty();
    let error = place
        .project()
        .import(place.temp.path(), &ImportOptions::default())
        .unwrap_err();
    // Not every system can open a folder as a file.
    assert!(
        ["REGISTRY_ERROR", "PERMISSION_ERROR"].contains(&error.code()),
        "{error}"
    );
}

#[test]
fn alias_bombs_deep_nesting_and_repeated_keys_are_refused() {
    let mut bomb = String::from("models:\n  a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let before = format!("*a{}, ", level - 1).repeat(10);
        bomb += &format!("  a{level}: &a{level} [{before}]\n");
    }
    let deep_yaml = format!("models: {}", "[".repeat(100_000));
    let deep_json = format!("{{\"models\": {}", "[".repeat(100_000));
    for (name, text, words) in [
        ("registry.yaml", bomb.as_str(), "aliases"),
        ("registry.yaml", &deep_yaml, "registry.yaml"),
        ("model_registry.json", &deep_json, "recursion"),
        (
            "registry.yaml",
            "models:\n  a: {}\n  a: {}\n",
            "line 3: the key 'a' occurs twice",
        ),
        (
            "model_registry.json",
            "{\"models\": {\"a\": {}, \"a\": {}}}",
            "'a' occurs twice",
        ),
        (
            "registry.yaml",
            "models: !!python/object/apply:os.system [ls]\n",
            "python/object",
        ),
        (
            "registry.yaml",
            "models:\n  a: &a {b: *a}\n",
            "within what it stands for",
        ),
        ("registry.yaml", "models: 3\n", "'models' is neither"),
        (
            "registry.yaml",
            "models: {}\ntarget_sets: [a]\n",
            "'target_sets' is not a table",
        ),
    ] {
        let message = Place::empty().refusal(name, text);
        assert!(message.contains(words), "{words}: {message}");
    }
}

#[test]
fn huge_and_non_utf_8_files_are_refused() {
    let place = Place::empty();
    let path = place.write("registry.yaml", "models: {}\n");
    File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len((64 << 20) + 1)
        .unwrap();
    let import = |path: &std::path::Path| {
        let error = place.project().import(path, &ImportOptions::default());
        chain(&error.unwrap_err())
    };
    assert!(import(&path).contains("more than the 67.1 MB"));
    std::fs::write(&path, b"models: {\"\xff\xfe\": 1}\n").unwrap();
    assert!(import(&path).contains("UTF-8"));
    assert!(!place.temp.path().join(".registry").exists());
}

#[test]
fn paths_outside_of_the_project_are_refused() {
    let place = Place::new();
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("x.py"), MODEL).unwrap();
    let absolute = outside.path().join("x.py").display().to_string();
    for path in [
        "../x.py",
        "models/../../x.py",
        "/etc/passwd",
        absolute.as_str(),
        "C:\\Windows\\x.py",
        "\\\\host\\share\\x.py",
        "con",
        "models/NUL.py",
        "models/sir.py:stream",
        "models/sir.py ",
        "models//sir.py",
        "",
        "a\nb",
    ] {
        let bundled = json!({"models": {"m": {"path": path, "entrypoint": "a:B"}}});
        let as_data = json!({"models": {"m": {"path": "models/sir.py", "data": [path]}}});
        let target =
            json!({"targets": {"t": {"path": path, "model_output": "x", "entrypoint": "a:b"}}});
        // JSON is YAML.
        for text in [bundled, as_data, target] {
            let report = place.import("registry.yaml", &text.to_string()).unwrap();
            assert_eq!(ids(&report), [], "{text}");
            assert_eq!(report.failed.len(), 1, "{text}");
        }
        let recorded = json!({"models": {"m": {"file_path": path, "version": "1.0.0"}}});
        let report = place
            .import("model_registry.json", &recorded.to_string())
            .unwrap();
        assert_eq!(
            (report.registered.len(), report.failed.len()),
            (0, 1),
            "{path}"
        );
    }
}

#[test]
fn links_are_refused_anywhere_in_a_path() {
    let place = Place::new();
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("x.py"), MODEL).unwrap();
    if !link_folder(outside.path(), &place.temp.path().join("folder")) {
        return;
    }
    for path in ["folder/x.py", "folder"] {
        let text = json!({"models": {"m": {"path": path}}}).to_string();
        let report = place.import("registry.yaml", &text).unwrap();
        assert_eq!(
            (report.registered.len(), report.failed.len()),
            (0, 1),
            "{path}"
        );
    }
}

#[test]
fn a_malformed_entry_is_reported_and_the_rest_is_imported() {
    let deep = (0..40).fold(json!(1), |value, _| json!([value]));
    for (entry, words) in [
        (json!(3), "it is not a table"),
        (json!({}), "'path' is missing"),
        (json!({"path": 3}), "'path' is not a string"),
        (
            json!({"path": "models/sir.py", "outputs": "incidence"}),
            "'outputs' is not a list of strings",
        ),
        (
            json!({"path": "models/sir.py", "outputs": [1]}),
            "'outputs' is not a list of strings",
        ),
        (
            json!({"path": "models/sir.py", "data": {"a": 1}}),
            "'data' is not a list of paths",
        ),
        (
            json!({"path": "models/sir.py", "data_digests": [1]}),
            "'data_digests' is not a table",
        ),
        (
            json!({"path": "models/sir.py", "metadata": {"deep": deep}}),
            "nested too deeply",
        ),
        (json!({"path": "models/bad.py"}), "line 1"),
    ] {
        let place = Place::new();
        place.write("models/bad.py", "def (:\n");
        let mut text: Value = json!({"models": {"sir": {"path": "models/sir.py"}}});
        text["models"]["bad"] = entry;
        let report = place.import("registry.yaml", &text.to_string()).unwrap();
        assert_eq!(ids(&report), [("sir", Some("1.0.0"))], "{text}");
        let failures = failures(&report);
        assert!(failures[0].1.starts_with("model 'bad': "), "{failures:?}");
        assert!(failures[0].1.contains(words), "{failures:?}");
    }
}

#[test]
fn a_malformed_record_is_reported_and_the_rest_is_imported() {
    let file = "models/sir.py";
    for entry in [
        json!({"file_path": file, "version": "../1"}),
        json!({"file_path": file, "version": "1.0.0", "file_size_bytes": -1}),
        json!({"file_path": file, "version": "1.0.0", "file_size_bytes": 1u64 << 63}),
        json!({"file_path": file, "version": "1.0.0", "registered_at": "soon"}),
        json!({"file_path": file, "version": "1.0.0", "registered_at": "-000044-03-15T12:00:00Z"}),
        json!({"file_path": file, "current_version": "1", "versions": {"1": 1}}),
        json!({"file_path": file, "current_version": "1", "versions": {"1": {"files": {"../x": {"sha256": "a", "size_bytes": 1}}}}}),
        json!({"file_path": file, "current_version": "1", "versions": {"1": {"files": {"x": {"sha256": "a", "size_bytes": 1}}}}}),
        json!({"version": "1.0.0"}),
    ] {
        let place = Place::new();
        let text =
            json!({"models": {"bad": entry, "sir": {"file_path": file, "version": "1.0.0"}}});
        let report = place
            .import("model_registry.json", &text.to_string())
            .unwrap();
        assert_eq!(ids(&report), [("sir", Some("1.0.0"))], "{text}");
        assert_eq!(report.failed.len(), 1, "{text}");
    }
}

#[test]
fn invalid_ids_are_reported() {
    let place = Place::new();
    let mut models = serde_json::Map::new();
    for id in ["", "../x", "con", "a b", "a@b", "a\u{1b}[2J", "SIR", "sir"] {
        models.insert(id.into(), json!({"path": "models/sir.py"}));
    }
    let mut targets = serde_json::Map::new();
    let target = json!({"path": "targets/incidence.py", "model_output": "incidence"});
    for id in ["", "a\nb", "\"]\n[x", "with space"] {
        targets.insert(id.into(), target.clone());
    }
    let text =
        json!({"models": models, "targets": targets, "target_sets": {"\"]\n": ["with space"]}});
    let report = place.import("registry.yaml", &text.to_string()).unwrap();
    let registered: Vec<&str> = ids(&report).iter().map(|(id, _)| *id).collect();
    assert_eq!(registered, ["SIR", "a b", "with space"]);
    assert!(
        failures(&report)
            .iter()
            .any(|(_, why)| why.contains("from 'SIR' only in case")),
        "{report:?}"
    );
    // What was written can be read.
    assert_eq!(place.project().registry().entries.len(), 2);
    assert_eq!(place.project().registry().target_sets.len(), 1);
}

#[test]
fn metadata_that_toml_cannot_express_is_stable() {
    let place = Place::new();
    let metadata = json!({
        "none": null, "list": [null, 1, u64::MAX], "large": u64::MAX, "small": i64::MIN,
        "real": 1e300, "": {"a.b": [], "\u{7f}\"": {}}, "text": "\u{1}\n\u{2028}",
    });
    let text = json!({"models": {"m": {
        "file_path": "models/sir.py", "version": "1.0.0", "metadata": metadata,
    }}});
    place
        .import("model_registry.json", &text.to_string())
        .unwrap();
    let again = place
        .import("model_registry.json", &text.to_string())
        .unwrap();
    assert_eq!(again.unchanged, ["m"], "{again:?}");
}

#[test]
fn a_failed_write_leaves_the_registry_as_it_was() {
    let place = Place::new();
    place.import("registry.yaml", &bundle()).unwrap();
    let before = place.registry();
    let file = place.write("registry.yaml", &bundle().replace("sir:\n", "other:\n"));
    let options = ProjectOptions::default().max_bytes(100);
    let mut project = Project::open(place.temp.path(), &options).unwrap();
    let error = project
        .import(&file, &ImportOptions::default())
        .unwrap_err();
    assert_eq!(error.code(), "REGISTRY_ERROR");
    assert_eq!(place.registry(), before);
}
