//! Answers of the Hub that are malformed, hostile or short of facts.

use modelrack::{Manager, PullOptions, RemoteOptions};
use serde_json::{Value, json};

use crate::sources::hub::machine::{Machine, WHISPER};
use crate::support::server::Rule;
use crate::support::{address, bytes};

const ABOUT: &str = "/api/models/o/n/revision/main?blobs=true";
const COMMIT: &str = "0123456789012345678901234567890123456789";

fn serve(machine: &Machine, siblings: &Value) {
    let about = json!({"id": "o/n", "sha": COMMIT, "siblings": siblings});
    machine.hub.server().put(ABOUT, about.to_string());
}

fn serve_file(machine: &Machine, name: &str, bytes: impl Into<Vec<u8>>) {
    let path = format!("/o/n/resolve/{COMMIT}/{name}");
    machine.hub.server().put(&path, bytes);
}

#[test]
fn an_answer_that_is_none_is_an_error_of_the_registry() {
    for body in [
        "",
        "<!DOCTYPE html><p>Please sign in.",
        "[]",
        "{}",
        "{\"id\": \"o/n\", \"siblings\": 1}",
        "{\"id\": \"o/n\", \"siblings\": []}",
        "{\"id\": \"o/n\", \"sha\": \"../..\", \"siblings\": []}",
        "{\"id\": \"o/n\", \"sha\": \"\", \"siblings\": []}",
        "{\"id\": \"o/n\", \"sha\": \"c0ffee\", \"siblings\": [{\"rfilename\": \"a\", \"blobId\": \"x\"}]}",
    ] {
        let machine = Machine::new();
        machine.hub.server().put(ABOUT, body);
        let error = machine.pull("hf/o/n").unwrap_err();
        assert_eq!(error.code(), "REGISTRY_ERROR", "{body}: {error:?}");
        assert_eq!(machine.requests().len(), 1, "{body}");
    }
}

#[test]
fn hostile_names_of_files_are_refused_before_anything_is_fetched() {
    for names in [
        &["../x"][..],
        &["a/../../x"],
        &["/etc/x"],
        &["C:/x"],
        &["C:x"],
        &["//server/x"],
        &["a\\b"],
        &["con"],
        &["a."],
        &["a\u{7}"],
        &[""],
        &["model.bin", "MODEL.bin"],
        &["a", "a/b"],
        &["x", "x"],
        &[".rack/manifest.json"],
        &[".RACK/record.json"],
    ] {
        let machine = Machine::new();
        let siblings: Vec<Value> = names
            .iter()
            .map(|name| json!({"rfilename": name, "size": 1}))
            .collect();
        serve(&machine, &json!(siblings));
        let error = machine.pull("hf/o/n").unwrap_err();
        assert_eq!(error.code(), "REGISTRY_ERROR", "{names:?}: {error:?}");
        assert_eq!(machine.requests().len(), 1, "{names:?}");
        assert!(machine.installed().is_empty(), "{names:?}");
    }
}

#[test]
fn sizes_that_are_missing_show_when_the_files_come() {
    let machine = Machine::new();
    let sha256 = modelrack::Digest::of(b"weights").to_string();
    serve(
        &machine,
        &json!([
            {"rfilename": "a.txt"},
            {"rfilename": "b.txt", "blobId": "ce013625030ba8dba906f756967f9e9ca394464a"},
            {"rfilename": "w.bin", "lfs": {"sha256": sha256}},
        ]),
    );
    serve_file(&machine, "a.txt", "anything");
    serve_file(&machine, "b.txt", "hello\n");
    serve_file(&machine, "w.bin", "weights");
    let report = machine.pull("hf/o/n").unwrap();
    assert_eq!(report.files_unverified, ["a.txt"]);
    assert_eq!(report.total_bytes, 8 + 6 + 7);
    assert_eq!(machine.requests().len(), 1 + 3, "{:?}", machine.requests());
    let again = machine.pull("hf/o/n").unwrap();
    assert_eq!(
        again.outcome,
        modelrack::pull::PullOutcome::AlreadyInstalled
    );
    let strict = PullOptions::default().require_hashes(true).force(true);
    let error = machine.manager().pull(&address("hf/o/n"), &strict);
    assert_eq!(error.unwrap_err().code(), "REGISTRY_ERROR");
}

#[test]
fn what_nothing_vouches_for_is_still_no_page_and_no_pointer() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3000\n";
    for (name, body) in [
        ("model.bin", pointer),
        (
            "config.json",
            "<!DOCTYPE html>\n<html><body>Please sign in.</body></html>\n",
        ),
        ("config.json", "\n<HTML><head></head></HTML>"),
    ] {
        let machine = Machine::new();
        serve(&machine, &json!([{"rfilename": name}]));
        serve_file(&machine, name, body);
        let error = machine.pull("hf/o/n").unwrap_err();
        assert_eq!(error.code(), "REGISTRY_ERROR", "{body}: {error:?}");
        assert!(machine.installed().is_empty());
    }
    let machine = Machine::new();
    serve(&machine, &json!([{"rfilename": "docs/index.html"}]));
    serve_file(&machine, "docs/index.html", "<!DOCTYPE html><p>A page.");
    machine.pull("hf/o/n").unwrap();
}

#[test]
fn a_size_that_is_wrong_is_no_model() {
    for size in [0, 5, 7, u64::MAX] {
        let machine = Machine::new();
        serve(&machine, &json!([{"rfilename": "b.txt", "size": size}]));
        serve_file(&machine, "b.txt", "hello\n");
        let result = machine.pull("hf/o/n");
        if size == 0 {
            // Nothing is asked for.
            assert_eq!(result.unwrap().total_bytes, 0);
        } else {
            let code = result.unwrap_err().code();
            assert!(
                ["HASH_MISMATCH", "REGISTRY_ERROR", "INSUFFICIENT_SPACE"].contains(&code),
                "{code}"
            );
            assert!(machine.installed().is_empty());
        }
    }
}

#[test]
fn a_repository_of_ten_thousand_files_is_read_at_once() {
    let machine = Machine::new();
    let repo = machine.hub.repo("o/many");
    let files = (0..10_000).map(|number| (format!("part/{number:05}.txt"), number.to_string()));
    let commit = repo.commit("main", files);
    let manager = machine.manager();
    let detail = manager
        .remote_detail(&address("hf/o/many"), &RemoteOptions::default())
        .unwrap();
    assert_eq!(detail.files.len(), 10_000);
    machine.assert_requests(&["/api/models/o/many/revision/main"]);
    machine.hub.server().reset_counts();
    let options = PullOptions::default().include(["part/0999?.txt"]);
    let report = manager.pull(&address("hf/o/many"), &options).unwrap();
    assert_eq!(report.files, 10);
    assert_eq!(machine.requests().len(), 1 + 10);
    let file = format!("/o/many/resolve/{commit}/part/09990.txt");
    assert_eq!(machine.hub.server().count(&file), 1);
}

#[test]
fn names_with_spaces_and_signs_are_asked_for_as_they_are() {
    let machine = Machine::new();
    let files = [
        ("a b.txt", bytes(10, 1)),
        ("100%.txt", bytes(11, 2)),
        ("a#b+c&d.txt", bytes(12, 3)),
        ("größe/模型.bin", bytes(13, 4)),
        ("%2e%2e.txt", bytes(14, 5)),
    ];
    machine.hub.repo("o/n").commit("main", files.clone());
    machine.pull("hf/o/n").unwrap();
    machine.rack.assert_files("hf/o/n main", &files);
}

#[test]
fn a_file_that_the_hub_names_and_does_not_have_is_told() {
    let (machine, _, _) = Machine::with_whisper();
    machine.hub.server().rule(
        Rule::path_contains("config.json")
            .status(404)
            .header("x-error-code", "EntryNotFound"),
    );
    let error = machine.pull(WHISPER).unwrap_err();
    assert_eq!(error.code(), "NETWORK_ERROR");
    assert!(crate::support::chain(&error).contains("config.json"));
    assert!(machine.installed().is_empty());
}
