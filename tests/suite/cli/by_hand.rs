//! Models that were made by hand: `tag` installs them, and every other command takes them as they are.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use modelrack::installed::InstallOptions;
use modelrack::{CancelToken, Manager, ModelRef, Progress, ProgressEvent, PullOptions};
use serde_json::json;

use super::{Ran, Sinks, models, mount, run_words};
use crate::support::disk::{flip, names_in, write_files};
use crate::support::platform::{link_file, link_folder};
use crate::support::rack::{Rack, sample};
use crate::support::{address, bytes};

/// A folder of weights as somebody made it, with what tools leave in one.
fn weights(rack: &Rack) -> PathBuf {
    let folder = rack.temp.path().join("weights");
    let model = bytes(70_000, 5);
    write_files(
        &folder,
        &[
            ("config.json", b"{}"),
            ("part/model.bin", &model),
            ("part/copy.bin", &model),
            ("empty.txt", b""),
            (".git/HEAD", b"ref"),
            ("config.json~", b"{"),
            (".rack/manifest.json", b"of another store"),
        ],
    );
    folder
}

/// Its files, as they are installed.
fn files() -> Vec<(&'static str, Vec<u8>)> {
    let model = bytes(70_000, 5);
    vec![
        ("config.json", b"{}".to_vec()),
        ("empty.txt", Vec::new()),
        ("part/copy.bin", model.clone()),
        ("part/model.bin", model),
    ]
}

fn run(rack: &Rack, words: &[&str]) -> Ran {
    run_words(&mount(rack), words, Sinks::Captured)
}

/// `tag MODEL --from PATH`, with more words.
fn tag_from(rack: &Rack, model: &str, from: &Path, more: &[&str]) -> Ran {
    let words = ["tag", model, "--from", from.to_str().unwrap()];
    run(rack, &[&words, more].concat())
}

#[test]
fn a_folder_becomes_a_model_that_every_command_knows() {
    let rack = Rack::new();
    let from = weights(&rack);
    let more = ["--type", "embedding", "--tag", "mine", "--set", "base=tiny"];
    let ran = tag_from(&rack, "mine/tiny@v1", &from, &more);
    let dir = rack.dir_of("mine/tiny v1");
    let expected = format!(
        "Installed mine/tiny v1: 4 files, 140.0 KB\n{}\n",
        dir.display()
    );
    assert_eq!(ran.out, expected);
    let note = "left out what a system, an editor or a download tool left behind: config.json~\n";
    assert_eq!((ran.code, ran.err.as_str()), (0, note));
    rack.assert_files("mine/tiny v1", &files());
    assert_eq!(rack.cache(), Vec::<String>::new());
    assert!(
        from.join("part").join("model.bin").is_file(),
        "it was not moved"
    );
    assert_eq!(rack.server.requests().len(), 0);

    let record = &rack.record()["mine"]["tiny"]["v1"];
    assert_eq!(record["made_by_hand"], true);
    assert!(
        record.get("source").is_none() && record.get("pin").is_none(),
        "{record}"
    );
    let info = models(&rack, "info mine/tiny --json").json();
    assert_eq!(
        (&info["type"], &info["tags"]),
        (&json!("embedding"), &json!(["mine"]))
    );
    assert_eq!(
        info["metadata"],
        json!({"base": "tiny", "tags": ["mine"], "type": "embedding"})
    );
    assert_eq!(
        (&info["made_by_hand"], &info["source"]),
        (&json!(true), &json!(null))
    );
    let info = models(&rack, "info mine/tiny").success();
    assert!(info.contains("source:    none, made by hand\n"), "{info}");
    let listed = models(&rack, "list --type embedding --json").json();
    assert_eq!(listed["models"][0]["model"], "tiny");
    let found = models(&rack, "search mine").success();
    assert!(found.contains("mine/tiny"), "{found}");
    assert_eq!(
        models(&rack, "path mine/tiny").success(),
        format!("{}\n", dir.display())
    );
    assert_eq!(
        models(&rack, "verify").success(),
        "mine/tiny v1: ok, 140.0 KB\n"
    );
    let workspace = rack.temp.path().join("workspace");
    run(&rack, &["copy", "mine/tiny", workspace.to_str().unwrap()]).success();
    assert_eq!(names_in(&workspace), ["config.json", "empty.txt", "part"]);

    let ran = models(&rack, "tag mine/tiny --tag good --untag mine");
    assert_eq!(ran.success(), "mine/tiny v1: embedding; good\n");
    models(&rack, "remove mine/tiny -y").success();
    assert!(!rack.store().join("mine").exists() && from.is_dir());
    assert_eq!(rack.server.requests().len(), 0, "no source was asked");
}

#[test]
fn an_update_and_a_pull_leave_it_alone() {
    let rack = Rack::with_model();
    let from = weights(&rack);
    tag_from(&rack, "g/m@v1", &from, &[]).success();
    let said = "g/m v1: made by hand, so there is no source to ask\n";
    assert_eq!(models(&rack, "update g/m").success(), said);
    assert_eq!(models(&rack, "update --apply").success(), said);
    let report = models(&rack, "update --json").json();
    assert_eq!(report["models"][0]["state"], "no_source");
    // A source offers another model of this name.
    let ran = models(&rack, "pull g/m v1");
    assert!(
        ran.out.starts_with("g/m v1 is already installed\n"),
        "{ran:?}"
    );
    rack.assert_files("g/m v1", &files());
    models(&rack, "pull g/m v1 --force").success();
    rack.assert_files("g/m v1", &sample());
    assert!(rack.record()["g"]["m"]["v1"].get("made_by_hand").is_none());
    assert_eq!(models(&rack, "update").success(), "g/m v1: up to date\n");

    tag_from(&rack, "mine/tiny@v1", &from, &[]).success();
    let ran = models(&rack, "pull mine/tiny");
    assert!(
        ran.out.starts_with("mine/tiny v1 is already installed\n"),
        "{ran:?}"
    );
    assert_eq!(
        models(&rack, "update").success(),
        "1 up to date, 1 made by hand\n"
    );
}

#[test]
fn damage_is_found_and_nobody_can_repair_it() {
    let rack = Rack::new();
    tag_from(&rack, "mine/tiny@v1", &weights(&rack), &[]).success();
    flip(
        &rack.dir_of("mine/tiny v1").join("part").join("model.bin"),
        9,
    );
    let ran = models(&rack, "verify --repair");
    let expected = "mine/tiny v1: damaged\n  part/model.bin: wrong digest\n";
    assert_eq!((ran.code, ran.out.as_str()), (6, expected));
    assert_eq!(
        ran.err,
        "mine/tiny v1 was made by hand: no source has its files\n"
    );
}

#[test]
fn files_in_their_place_in_the_store_stay_there() {
    let rack = Rack::new();
    let dir = rack.dir_of("mine/deep/tiny v1");
    write_files(&dir, &[("model.bin", b"weights"), ("a/b.txt", b"b")]);
    assert_eq!(models(&rack, "list").out, "", "nobody knows what it is");
    let ran = models(&rack, "tag mine/deep/tiny v1 --type embedding");
    let expected = format!(
        "Installed mine/deep/tiny v1: 2 files, 8 B\n{}\n",
        dir.display()
    );
    assert_eq!(ran.success(), expected);
    rack.assert_files(
        "mine/deep/tiny v1",
        &[
            ("model.bin", b"weights".to_vec()),
            ("a/b.txt", b"b".to_vec()),
        ],
    );
    assert_eq!(
        models(&rack, "verify").success(),
        "mine/deep/tiny v1: ok, 8 B\n"
    );
    let ran = models(&rack, "tag mine/deep/tiny");
    assert_eq!(ran.success(), "mine/deep/tiny v1: embedding; no tags\n");
    // What the record said is in the folder, too.
    fs::write(rack.store().join("registry.json"), "[]").unwrap();
    fs::remove_file(rack.store().join("registry.json.bak")).unwrap();
    let info = models(&rack, "info mine/deep/tiny --json").json();
    assert_eq!(
        (&info["type"], &info["made_by_hand"]),
        (&json!("embedding"), &json!(true))
    );
    // The folder is named, and is the place itself.
    let other = rack.dir_of("mine/other v1");
    write_files(&other, &[("model.bin", b"weights")]);
    tag_from(&rack, "mine/other@v1", &other, &[]).success();
    assert_eq!(rack.cache(), Vec::<String>::new());
}

#[test]
fn nothing_is_overwritten() {
    let rack = Rack::with_model();
    rack.pull("g/m v1").unwrap();
    let from = weights(&rack);
    let before = rack.record();
    let ran = tag_from(&rack, "g/m@v1", &from, &[]);
    assert_eq!(ran.code, 7, "{ran:?}");
    assert!(
        ran.err
            .contains("exists already and is not overwritten\nhint: remove the model first"),
        "{ran:?}"
    );
    rack.assert_sample_installed();
    assert_eq!(rack.record(), before);
    // A folder that nobody has recorded is somebody's only copy.
    write_files(&rack.dir_of("mine/tiny v1"), &[("model.bin", b"mine")]);
    assert_eq!(tag_from(&rack, "mine/tiny@v1", &from, &[]).code, 7);
    rack.assert_files("mine/tiny v1", &[("model.bin", b"mine".to_vec())]);
    // Neither inside another model nor around one.
    assert_eq!(tag_from(&rack, "g/m/v1@x", &from, &[]).code, 7);
    write_files(
        &rack.dir_of("g/m v1").join("x").join("y"),
        &[("model.bin", b"mine")],
    );
    assert_eq!(models(&rack, "tag g/m/v1/x y").code, 7);
    assert_eq!(models(&rack, "tag g m").code, 7);
}

#[test]
fn one_file_is_a_model_and_links_are_followed() {
    let rack = Rack::new();
    let from = weights(&rack);
    let file = from.join("part").join("model.bin");
    tag_from(&rack, "mine/one@v1", &file, &[]).success();
    rack.assert_files("mine/one v1", &[("model.bin", bytes(70_000, 5))]);
    let linked = rack.temp.path().join("linked");
    fs::create_dir(&linked).unwrap();
    if link_file(&file, &linked.join("model.bin"))
        && link_folder(&from.join("part"), &linked.join("d"))
    {
        tag_from(&rack, "mine/linked@v1", &linked, &[]).success();
        rack.assert_files(
            "mine/linked v1",
            &[
                ("d/copy.bin", bytes(70_000, 5)),
                ("d/model.bin", bytes(70_000, 5)),
                ("model.bin", bytes(70_000, 5)),
            ],
        );
        // In its place, a link could lead to something else tomorrow.
        let dir = rack.dir_of("mine/place v1");
        fs::create_dir_all(&dir).unwrap();
        assert!(link_file(&file, &dir.join("model.bin")));
        let ran = models(&rack, "tag mine/place v1");
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(
            ran.err.contains("is a link, which a model cannot have"),
            "{ran:?}"
        );
    }
}

#[test]
fn what_cannot_be_a_model_is_refused_and_leaves_nothing() {
    let rack = Rack::new();
    let from = weights(&rack);
    let empty = rack.temp.path().join("empty");
    fs::create_dir(&empty).unwrap();
    for (model, from, code, expected) in [
        ("mine/tiny", &from, 2, "'mine/tiny' has no version"),
        ("mine/tiny@v1", &empty, 2, "there is no file in "),
        ("mine/tiny@v1", &from.join("gone"), 7, "cannot read "),
    ] {
        let ran = tag_from(&rack, model, from, &[]);
        assert_eq!(ran.code, code, "{ran:?}");
        assert!(ran.err.contains(expected), "{ran:?}");
    }
    let ran = models(&rack, "tag mine/tiny v1 --tag x");
    assert_eq!(ran.code, 4, "{ran:?}");
    assert!(names_in(&rack.store()).iter().all(|name| name != "mine"));
    // What was never fetched.
    let digest = "4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393";
    let pointer =
        format!("version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize 9\n");
    fs::write(from.join("lfs.bin"), pointer).unwrap();
    let ran = tag_from(&rack, "mine/tiny@v1", &from, &[]);
    assert!(
        ran.code == 1 && ran.err.contains("lfs.bin") && ran.err.contains("'git lfs pull' does"),
        "{ran:?}"
    );
    assert!(names_in(&rack.store()).iter().all(|name| name != "mine"));
    // Names that other systems cannot have.
    fs::write(empty.join(" a.bin"), "x").unwrap();
    let ran = tag_from(&rack, "mine/tiny@v1", &empty, &[]);
    assert!(
        ran.code == 2 && ran.err.contains("the name ' a.bin' "),
        "{ran:?}"
    );
}

#[test]
fn names_are_shown_escaped() {
    let rack = Rack::new();
    let from = weights(&rack);
    let more = ["--type", "a\u{1b}[2J", "--tag", "日本\u{202e}"];
    tag_from(&rack, "mine/日本@v1", &from, &more).success();
    for words in [
        &["list"][..],
        &["info", "mine/日本"],
        &["update"],
        &["tag", "mine/日本"],
        &["list", "--json"],
    ] {
        let ran = run(&rack, words);
        let is_control = |c: char| c.is_control() && !"\n\t".contains(c) || c == '\u{202e}';
        assert!(
            ran.out.contains("日本") && !ran.out.contains(is_control),
            "{ran:?}"
        );
    }
    let ran = run_words(&mount(&rack), &["list"], Sinks::Columns(40));
    assert!(ran.out.contains("mine/日本  v1"), "{ran:?}");
}

#[test]
fn a_manager_without_sources_installs_it_and_finds_it_pulled() {
    let rack = Rack::new();
    let manager = rack.manager_of(rack.bare_config());
    let options = InstallOptions::default().from(weights(&rack));
    let report = manager.install(&address("mine/tiny v1"), &options).unwrap();
    assert_eq!(report.left_out, ["config.json~"]);
    let pulled = manager.pull(&address("mine/tiny v1"), &PullOptions::default());
    let pulled = pulled.unwrap();
    assert_eq!((pulled.source.as_str(), pulled.bytes_fetched), ("", 0));
}

/// Cancels an installation once its files are hashed and brought in.
#[derive(Debug)]
struct CancelsPulls(CancelToken);

impl Progress for CancelsPulls {
    fn on_event(&self, _: &ModelRef, _: &ProgressEvent) {
        self.0.cancel();
    }
}

#[test]
fn no_pull_is_recommended_for_what_was_made_by_hand() {
    let rack = Rack::new();
    let cancel = CancelToken::new();
    let options = InstallOptions::default()
        .from(weights(&rack))
        .progress(Arc::new(CancelsPulls(cancel.clone())))
        .cancel(cancel);
    let error = rack.manager().install(&address("mine/tiny v1"), &options);
    assert!(error.unwrap_err().is_cancelled());
    let ran = run_words(&mount(&rack), &["list"], Sinks::Terminal(""));
    assert!(ran.out.contains("mine/tiny"), "{}", ran.out);
    let said = ran.out + &ran.err;
    assert!(!said.contains("pull mine/tiny"), "{said}");
}
