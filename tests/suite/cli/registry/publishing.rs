//! What a project has registered, as those see it who pull it.

use std::fs;

use modelrack::cli::Mount;

use super::workshop::Workshop;
use crate::cli::{Sinks, models, mount, run_line, run_words};
use crate::support::bytes;
use crate::support::disk::{files_below, write_files};
use crate::support::forge::Forge;
use crate::support::rack::Rack;

#[test]
fn what_is_published_can_be_pulled_and_the_project_stays_as_it_was() {
    let workshop = Workshop::registered();
    let public = workshop.machine.registry();
    let publish = |line: &str| {
        let before = files_below(&workshop.root());
        let ran = workshop.run(&format!("publish {line} --to {}", public.display()));
        assert_eq!(files_below(&workshop.root()), before, "{line}");
        ran.success()
    };
    publish("sir");
    assert_eq!(
        models(&workshop.machine, "list --remote --quiet").success(),
        "models/sir 1.0.0\n"
    );
    publish("--alias latest --group ours");
    models(&workshop.machine, "pull ours/tiny latest").success();
    workshop.machine.assert_files(
        "ours/tiny latest",
        &[
            ("labels.txt", b"zero\none\n".to_vec()),
            ("w.bin", vec![7; 3000]),
        ],
    );
    models(&workshop.machine, "pull models/sir").success();
    let remote = models(&workshop.machine, "info ours/agent --remote --json").json();
    assert_eq!(remote["metadata"]["name"], "Agent");
    // A new version comes beside the old one.
    workshop.edit("models/sir.py", "recovered", "removed");
    workshop.run("sync").success();
    publish("sir");
    models(&workshop.machine, "pull models/sir 1.0.1").success();
    let found = models(&workshop.machine, "search removed --remote --json").json();
    assert_eq!(found["models"][0]["version"], "1.0.1");
}

#[test]
fn the_registry_of_a_project_is_one_of_a_repository_as_it_is() {
    let workshop = Workshop::registered();
    let forge = Forge::start();
    let commit = || {
        let files = files_below(&workshop.root());
        forge.repo("us/models").commit("main", files)
    };
    commit();
    let config = workshop.machine.bare_config();
    let config = config.bootstrap("[sources.ours]\nrepo = \"us/models\"\nrefs = [\"main\"]\n");
    let environment = workshop.machine.environment();
    let environment = environment.variable("GITHUB_SERVER_URL", forge.url());
    let mount = Mount::new(config).environment(environment);
    run_line(&mount, "sync").success();
    let list = run_line(&mount, "list --remote --quiet").success();
    assert_eq!(list, "ours/agent main\nours/sir main\nours/tiny main\n");
    run_line(&mount, "pull ours/tiny").success();
    let files = workshop.machine.files_of("ours/tiny main");
    let sizes: Vec<_> = files
        .iter()
        .map(|(name, bytes)| (name.as_str(), bytes.len()))
        .collect();
    assert_eq!(sizes, [("labels.txt", 9), ("w.bin", 3000)]);
    run_line(&mount, "verify").success();
    // What is registered next is there after the next commit.
    workshop.edit("weights/labels.txt", "one", "two");
    workshop.run("sync").success();
    commit();
    run_line(&mount, "sync").success();
    run_line(&mount, "update --apply").success();
    let files = workshop.machine.files_of("ours/tiny main");
    assert_eq!(files[0].1, b"zero\ntwo\n");
}

#[test]
fn publish_writes_what_others_pull() {
    let rack = Rack::new();
    let folder = rack.temp.path().join("mine");
    write_files(
        &folder,
        &[
            ("a.bin", &bytes(5000, 1)),
            ("sub/b.txt", b"b"),
            (".rack/x", b"own"),
        ],
    );
    let (from, to) = (folder.to_str().unwrap().to_owned(), rack.registry());
    let to = to.to_str().unwrap();
    let publish = |more: &[&str]| {
        let words: Vec<&str> = [
            "registry",
            "push",
            &from,
            "--to",
            to,
            "--chunk-size",
            "1KiB",
        ]
        .iter()
        .chain(more)
        .copied()
        .collect();
        run_words(&mount(&rack), &words, Sinks::Captured)
    };
    let out = publish(&["--group", "lab/a", "--version", "v1", "--alias", "latest"]).success();
    assert!(
        out.starts_with("Published lab/a/mine v1: 2 files, 5.0 KB, "),
        "{out}"
    );
    assert!(
        out.contains("\nlatest is another name for it\nAny static server can serve it; RACK_MODELS_REGISTRY_URL=file:"),
        "{out}"
    );
    models(&rack, "pull lab/a/mine latest").success();
    rack.assert_files(
        "lab/a/mine latest",
        &[("a.bin", bytes(5000, 1)), ("sub/b.txt", b"b".to_vec())],
    );
    fs::write(folder.join("sub").join("b.txt"), "c").unwrap();
    let ran = publish(&[
        "--group",
        "lab/a",
        "--version",
        "v1",
        "--metadata",
        "type=x",
        "--json",
    ]);
    assert_eq!(ran.code, 0);
    assert!(ran.json()["replaced"].is_string());
    assert_eq!(rack.index()["lab/a"]["mine"]["v1"]["metadata"]["type"], "x");
    assert_eq!(publish(&["--model", "../x"]).code, 2);
    assert_eq!(publish(&["--metadata", "novalue"]).code, 2);
}

#[test]
fn a_tag_in_the_address_is_the_version() {
    let rack = Rack::new();
    let model = rack.temp.path().join("tiny");
    write_files(&model, &[("w.bin", b"weights")]);
    let layout = rack.temp.path().join("layout");
    let publish = |more: &str| {
        let (model, layout) = (model.display(), layout.display());
        let line = format!("registry publish {model} --to oci-layout:{layout}:v1 {more}");
        run_line(&mount(&rack), &line)
    };
    let both = publish("--version v2");
    assert_eq!(both.code, 2, "{both:?}");
    assert!(both.err.contains("the tag in --to is 'v1'"), "{both:?}");
    assert!(!layout.exists());
    publish("--version v1").success();
    // What goes wrong is told of that version.
    fs::write(layout.join("index.json"), "{").unwrap();
    let failed = publish("");
    assert!(failed.err.contains("publish models/tiny v1"), "{failed:?}");
}
