//! `registry import` and `registry report`: what they are told, and what they say.

use std::path::PathBuf;

use modelrack::Digest;
use modelrack::project::Project;
use serde_json::json;

use crate::cli::{Ran, Sinks, mount, run_words};
use crate::support::disk::write_files;
use crate::support::rack::Rack;

const MODEL: &str = "class SIR(BaseModel):\n    outputs = [\"incidence\"]\n";
const TARGET: &str = "def incidence(paths):\n    return None\n";
const REGISTRY: &str = "models:
  gone: {path: models/gone.py}
  sir: {path: models/sir.py, class_name: SIR, model_digest: 'sha256:OLD'}
targets:
  incidence:
    path: targets/incidence.py
    entrypoint: targets.incidence:incidence
    model_output: incidence
target_sets: {main: [incidence]}
";

/// A rack with a project in its folder, and the registry of modelops in that.
fn rack() -> Rack {
    let rack = Rack::new();
    let old = Digest::of(b"another text").to_string();
    let files = [
        ("models/sir.py", MODEL),
        ("targets/incidence.py", TARGET),
        ("registry.yaml", &REGISTRY.replace("OLD", &old)),
    ];
    let files = files.map(|(name, text)| (name, text.as_bytes()));
    write_files(&folder(&rack), &files);
    rack
}

fn folder(rack: &Rack) -> PathBuf {
    rack.temp.path().join("project")
}

fn registry(rack: &Rack, words: &[&str]) -> Ran {
    let project = folder(rack).display().to_string();
    let words = [&["registry"], words, &["--project", &project]].concat();
    run_words(&mount(rack), &words, Sinks::Captured)
}

fn path(rack: &Rack, name: &str) -> String {
    folder(rack).join(name).display().to_string()
}

#[test]
fn an_import_says_what_was_registered_what_was_stale_and_what_failed() {
    let rack = rack();
    let file = path(&rack, "registry.yaml");
    let dry = registry(&rack, &["import", &file, "--dry-run"]);
    assert_eq!(dry.code, 7, "a file is not there: {dry:?}");
    assert_eq!(
        dry.out,
        "Would register sir 1.0.0: 1 file, 50 B\n\
         Would register target incidence: 1 file, 38 B\n\
         Would register target set main\n\
         Processed 3: 2 to register, 0 unchanged, 1 failed\n"
    );
    assert!(!folder(&rack).join(".registry").exists());

    let ran = registry(&rack, &["import", &file]);
    assert_eq!(ran.code, 7);
    assert_eq!(
        ran.out,
        "Registered sir 1.0.0: 1 file, 50 B\n\
         Registered target incidence: 1 file, 38 B\n\
         Registered target set main\n\
         Processed 3: 2 registered, 0 unchanged, 1 failed\n"
    );
    let lines: Vec<&str> = ran.err.lines().collect();
    assert_eq!(
        lines[0],
        "model sir: the imported registry was stale: 'models/sir.py' has changed"
    );
    assert_eq!(
        lines[1],
        "Failed models/gone.py: model 'gone': no such file or folder"
    );
    assert_eq!(lines.len(), 2);

    let quiet = registry(&rack, &["import", &file, "--quiet"]);
    assert_eq!((quiet.code, quiet.out.as_str()), (7, ""), "nothing is new");
}

#[test]
fn the_document_of_an_import() {
    let rack = rack();
    let file = path(&rack, "registry.yaml");
    let mut json = registry(&rack, &["import", &file, "--json"]).json();
    let failed = json["failed"].take();
    assert_eq!(failed[0]["path"], "models/gone.py");
    assert_eq!(failed[0]["code"], "STORAGE_ERROR");
    let registry_path = Project::open(folder(&rack), &Default::default())
        .unwrap()
        .registry_path();
    assert_eq!(
        json,
        json!({
            "registry": registry_path.display().to_string(),
            "dry_run": false,
            "processed": 3,
            "registered": [
                {"kind": "model", "id": "sir", "version": "1.0.0", "previous": null, "new": true,
                 "files": 1, "total_bytes": MODEL.len()},
                {"kind": "target", "id": "incidence", "version": null, "previous": null, "new": true,
                 "files": 1, "total_bytes": TARGET.len()},
            ],
            "unchanged": [],
            "failed": null,
            "left_out": [],
            "target_sets": ["main"],
            "notes": [{
                "entity": {"kind": "model", "id": "sir"},
                "message": "the imported registry was stale: 'models/sir.py' has changed",
            }],
        })
    );
}

#[test]
fn a_file_that_is_no_registry_is_an_error_that_says_what_is_one() {
    let rack = rack();
    let ran = registry(&rack, &["import", &path(&rack, "models/sir.py")]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("model_registry.json"), "{ran:?}");
    let ran = registry(&rack, &["import", &path(&rack, "none.yaml")]);
    assert_eq!(ran.code, 7, "{ran:?}");
    let names = "models:\n  \"a\\e[2J\": {path: x}\n";
    write_files(&folder(&rack), &[("names.yaml", names.as_bytes())]);
    let ran = registry(&rack, &["import", &path(&rack, "names.yaml")]);
    assert!(!ran.err.contains('\u{1b}'), "{ran:?}");
}

#[test]
fn a_report_says_what_it_wrote_and_removed() {
    let rack = rack();
    registry(&rack, &["import", &path(&rack, "registry.yaml")]);
    let output = folder(&rack).join("out");
    let to = output.display().to_string();
    let file = output.join("model_registry.json").display().to_string();
    let ran = registry(&rack, &["report", "--output", &to]);
    assert_eq!(
        ran.quiet_success(),
        format!("Wrote {file}: 1 model, 1 target, 3 files\n")
    );
    let json = registry(&rack, &["report", "--output", &to, "--json"]).json();
    assert_eq!(
        json,
        json!({"path": file, "models": 1, "targets": 1, "files": 3, "removed": [], "failed": []})
    );
    registry(&rack, &["remove", "sir", "-y"]).success();
    let dropped = output.join("sir").join("sir_metadata.json");
    let ran = registry(&rack, &["report", "--output", &to]);
    let expected = format!(
        "Removed {}\nWrote {file}: 0 models, 1 target, 2 files; 1 error\n",
        dropped.display()
    );
    // The target lost the model that it belongs to.
    assert_eq!((ran.code, ran.out), (9, expected));
    assert!(
        ran.err.starts_with("Failed target incidence: "),
        "{}",
        ran.err
    );
    // What others wrote stays.
    write_files(&output, &[("model_registry.json", b"{}")]);
    let ran = registry(&rack, &["report", "--output", &to]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.err.contains("another program"), "{ran:?}");
    assert_eq!(registry(&rack, &["report"]).code, 2);
}
