//! The text of a registry: the same state gives the same text, which other readers understand.

use std::fs;
use std::path::PathBuf;

use modelrack::project::{AddOptions, Project};
use modelrack::{Manager, ModelManager, PullOptions, RemoteOptions, SyncOptions};

use super::folder::{Folder, SIR, TARGET, failures, gnn, weights};
use crate::support::address;
use crate::support::disk::{files_below, write_files};
use crate::support::forge::Forge;
use crate::support::rack::Rack;

fn small() -> Folder {
    let folder = Folder::with(&[
        ("models/sir.py", SIR.as_bytes()),
        ("models/common.py", b"RATE = 2\n"),
        (
            "models/w.md",
            gnn("W \"quoted\"", "## ModelVersion\n0.9\n").as_bytes(),
        ),
        ("targets/incidence.py", TARGET.as_bytes()),
        ("data/observed.csv", b"day,cases\n"),
    ]);
    let with = AddOptions::default()
        .code(vec![folder.path("models/common.py")])
        .model_type("epidemic")
        .tags(["b", "a"]);
    folder.add_with(&["models/sir.py"], &with);
    folder.add(&["models/w.md"]);
    let set = AddOptions::default().target_set("main");
    folder.add_with(&["targets"], &set);
    folder
}

#[test]
fn a_small_project_is_written_readably() {
    let folder = small();
    folder.write(&[("models/w.md", gnn("W", "## ModelVersion\n0.9\n"))]);
    folder.add(&["models/w.md"]);
    let expected = include_str!("small.models.toml");
    // Git on Windows may check text out with CRLF.
    assert_eq!(folder.text(), expected.replace("\r\n", "\n"));
}

#[test]
fn the_order_of_registration_does_not_matter() {
    let (one, other) = (Folder::new(), Folder::new());
    let files = [
        ("a/x.md", gnn("X", "")),
        ("b/y.md", gnn("Y", "")),
        ("c/sir.py", SIR.to_owned()),
        ("t/incidence.py", TARGET.to_owned()),
        (
            "t/deaths.py",
            "@target(model_output='deaths')\ndef deaths():\n    pass\n".to_owned(),
        ),
    ];
    one.write(&files);
    other.write(&files);
    let set = AddOptions::default().target_set("main");
    one.add_with(&["."], &set);
    for (name, _) in files.iter().rev() {
        other.add_with(&[name], &set);
    }
    assert_eq!(one.text(), other.text());
    // Removing and adding an entry again leaves no trace.
    let ids = ["x", "deaths"];
    other
        .project()
        .remove(&ids, &modelrack::CancelToken::new())
        .unwrap();
    assert_ne!(one.text(), other.text());
    other.add_with(&["a", "t"], &set);
    assert_eq!(one.text(), other.text());
}

#[test]
fn a_registry_survives_a_round_trip() {
    let folder = small();
    let once = fs::read(folder.project().registry_path()).unwrap();
    let registry = folder.project().registry().clone();
    // A change and its reversal write all of it twice.
    folder.write(&[("z.md", gnn("Z", ""))]);
    folder.add(&["z.md"]);
    let ids = ["z"];
    folder
        .project()
        .remove(&ids, &modelrack::CancelToken::new())
        .unwrap();
    assert_eq!(*folder.project().registry(), registry);
    assert_eq!(fs::read(folder.project().registry_path()).unwrap(), once);
}

#[test]
fn unknown_tables_and_keys_are_kept() {
    let folder = small();
    let path = folder.project().registry_path();
    let text = fs::read_to_string(&path).unwrap();
    let text = text.replacen('\n', "\ngenerated_at = \"today\"\n", 1)
        + "\n[_meta]\nby = \"another\"\n[_meta.deep]\nlist = [1, 2]\n";
    let text = text.replace(
        "[entries.sir]\n",
        "[entries.sir]\nowner = { name = \"x\", since = 2026-01-31 }\n",
    );
    fs::write(&path, text).unwrap();
    folder.write(&[("models/w.md", gnn("W2", ""))]);
    folder.add(&["models/w.md"]);
    let text: toml::Table = fs::read_to_string(&path).unwrap().parse().unwrap();
    assert_eq!(text["generated_at"].as_str(), Some("today"));
    assert_eq!(text["_meta"]["deep"]["list"][1].as_integer(), Some(2));
    let owner = &text["entries"]["sir"]["owner"];
    assert_eq!(owner["name"].as_str(), Some("x"));
    assert_eq!(owner["since"].to_string(), "2026-01-31");
}

#[test]
fn a_file_of_two_models_is_served_as_last_registered() {
    let folder = Folder::with(&[
        ("z.md", gnn("Z", "")),
        ("b.md", gnn("B", "")),
        ("c.py", "1".into()),
    ]);
    let code = AddOptions::default().code(vec![folder.path("c.py")]);
    folder.add_with(&["z.md"], &code);
    folder.write(&[("c.py", "2")]);
    folder.add_with(&["b.md"], &code);
    let stated = || {
        let text: toml::Table = folder.text().replace("TIME", "1").parse().unwrap();
        text["files"]["c.py"]["hash"].as_str().unwrap().to_owned()
    };
    let of_b = stated();
    let registry = folder.project().registry().clone();
    // Another change writes it again.
    folder.write(&[("n.md", gnn("N", ""))]);
    folder.add(&["n.md"]);
    assert_eq!(stated(), of_b);
    for id in ["z", "b"] {
        let project = folder.project();
        assert_eq!(project.registry().entries[id], registry.entries[id], "{id}");
    }
}

#[test]
fn registered_models_can_be_pulled_from_a_repository() {
    let (rack, forge) = (Rack::new(), Forge::start());
    let repo = forge.repo("o/models");
    let work = rack.temp.path().join("work");
    let project = work.join("project");
    let weights = weights(&[4]);
    let files: [(&str, &[u8]); 4] = [
        ("project/m/config.json", br#"{"model_type": "bert"}"#),
        ("project/m/w.safetensors", &weights),
        ("project/sir.py", SIR.as_bytes()),
        (".git/HEAD", b"ref: refs/heads/main\n"),
    ];
    write_files(&work, &files);
    let paths: Vec<PathBuf> = vec![project.clone()];
    let mut opened = Project::open(&project, &Default::default()).unwrap();
    let report = opened.add(&paths, &AddOptions::default()).unwrap();
    assert_eq!(report.registered.len(), 2);
    let mut tree: Vec<(String, Vec<u8>)> = files_below(&work).into_iter().collect();
    tree.retain(|(name, _)| !name.starts_with(".git/"));
    repo.commit("main", tree);
    let source = format!(
        "[sources.s]\nrepo = \"o/models\"\nname = \"lab\"\nserver = \"{}\"\nrefs = [\"main\"]\nregistry_path = \"project/.registry\"\n",
        forge.url()
    );
    let manager = ModelManager::builder(rack.bare_config().bootstrap(&source))
        .environment(rack.environment())
        .build();
    let synced = manager.sync(&SyncOptions::default()).unwrap();
    assert!(synced.failed.is_empty(), "{synced:?}");
    let offered = manager.list_remote(&RemoteOptions::default()).unwrap();
    let names: Vec<String> = offered
        .models
        .iter()
        .map(|model| model.model.to_string())
        .collect();
    assert_eq!(names, ["lab/m main", "lab/sir main"]);
    let options = PullOptions::default().require_hashes(true);
    manager.pull(&address("lab/m@main"), &options).unwrap();
    let installed = rack.files_of("lab/m main");
    let served = files_below(&project.join("m"));
    assert_eq!(installed, served.into_iter().collect::<Vec<_>>());
    manager.pull(&address("lab/sir@main"), &options).unwrap();
    rack.assert_files("lab/sir main", &[("sir.py", SIR)]);
}

#[test]
fn made_models_stay_beside_registered_ones() {
    let folder = Folder::with(&[("w.md", gnn("W", "")), ("flow/a.txt", "x".into())]);
    let made = "schema_version = \"1.0\"\nasset = \"all.zip\"\n\n[files]\n\"flow/a.txt\" = { url = \"https://example.org/o/r/releases/download/v1/all.zip\" }\n\n[models]\n\"flow\" = [\n    \"flow/a.txt\",\n]\n\n[examples]\n\"ex\" = [\n    \"flow\",\n]\n";
    folder.write(&[(".registry/models.toml", made)]);
    let is_kept = || {
        let (text, made): (toml::Table, toml::Table) = (
            folder.text().replace("TIME", "1").parse().unwrap(),
            made.parse().unwrap(),
        );
        let of = |table: &toml::Table, key: &str, name: &str| table[key][name].clone();
        [
            ("files", "flow/a.txt"),
            ("models", "flow"),
            ("examples", "ex"),
        ]
        .iter()
        .all(|(key, name)| of(&text, key, name) == of(&made, key, name))
            && text["asset"] == made["asset"]
    };
    folder.add(&["w.md"]);
    assert!(is_kept(), "{}", folder.text());
    for (id, reason) in [
        ("flow", "is a model found by 'make'"),
        ("Flow", "only in case"),
    ] {
        let report = folder.add_with(&["w.md"], &AddOptions::default().id(id));
        let failed = failures(&report.failed);
        assert!(failed[0].1.contains(reason), "{failed:?}");
    }
    // The same folder gets a free id, and its files are stated in full.
    assert_eq!(failures(&folder.add(&["flow"]).failed).len(), 1);
    let named = AddOptions::default().id("mine");
    folder.add_with(&["flow"], &named);
    let text = folder.text();
    assert!(
        text.contains("\"flow/a.txt\" = { hash = \"sha256:"),
        "{text}"
    );
    assert!(
        text.contains("size = 1, url = \"https://example.org/"),
        "{text}"
    );
    let ids = ["w", "mine"];
    folder
        .project()
        .remove(&ids, &modelrack::CancelToken::new())
        .unwrap();
    assert!(folder.project().registry().entries.is_empty());
    assert!(folder.text().contains("\"flow\" = ["), "{}", folder.text());
}
