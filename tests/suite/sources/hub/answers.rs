//! Answers of the Hub that are malformed, hostile or short of facts.

use modelrack::{Manager, PullOptions, RemoteOptions, SearchOptions};
use serde_json::{Value, json};

use crate::sources::hub::machine::{Machine, WHISPER, WHISPER_BYTES, whisper};
use crate::support::disk::write_files;
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
            .map(|name| json!({"rfilename": name, "size": 1, "blobId": "0".repeat(40)}))
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
    // For the model, for the tag of the file that has no digest, and for the files.
    assert_eq!(
        machine.requests().len(),
        1 + 1 + 3,
        "{:?}",
        machine.requests()
    );
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

#[test]
fn what_only_describes_a_model_may_be_anything() {
    let good = || {
        json!({"id": "o/n", "sha": COMMIT, "siblings": [
            {"rfilename": "a.txt", "size": 6, "blobId": "ce013625030ba8dba906f756967f9e9ca394464a"},
        ]})
    };
    for (key, value) in [
        ("tags", json!(null)),
        ("tags", json!("gguf")),
        ("tags", json!(["license:mit", null, 7])),
        ("private", json!(null)),
        ("private", json!("no")),
        ("gated", json!(null)),
        ("gated", json!({"mode": "auto"})),
        ("pipeline_tag", json!(["text-generation"])),
        ("library_name", json!(3)),
        ("downloads", json!("1,234")),
        ("likes", json!(-1)),
        ("lastModified", json!(1_700_000_000)),
        ("id", json!(null)),
        ("modelId", json!("o/n")),
    ] {
        let machine = Machine::new();
        let mut about = good();
        about[key] = value.clone();
        machine.hub.server().put(ABOUT, about.to_string());
        serve_file(&machine, "a.txt", "hello\n");
        let report = machine.pull("hf/o/n");
        let report = report.unwrap_or_else(|error| panic!("{key} {value}: {error:?}"));
        assert_eq!(report.files_unverified, Vec::<String>::new(), "{key}");
        // The same in a list, where it takes nothing else with it.
        let mut entry = about.clone();
        entry["modelId"] = json!("o/n");
        let list = json!([null, {"tags": 1}, entry, {"id": "o/other", "sha": COMMIT}]);
        machine.hub.server().put(
            "/api/models?search=n&sort=downloads&direction=-1&limit=100&full=true",
            list.to_string(),
        );
        let options = SearchOptions::default().remote(true);
        let found = machine.manager().search("n", &options).unwrap().remote;
        let names: Vec<String> = found.iter().map(|it| it.model.to_string()).collect();
        assert_eq!(names, ["hf/o/n main", "hf/o/other main"], "{key} {value}");
    }
    // What is checked, or decides what is fetched, stays strict.
    for (key, value) in [
        ("size", json!("6")),
        ("size", json!(-6)),
        ("blobId", json!("xyz")),
        ("blobId", json!(7)),
        ("lfs", json!({"sha256": "ab"})),
        ("rfilename", json!(null)),
    ] {
        let machine = Machine::new();
        let mut about = good();
        about["siblings"][0][key] = value.clone();
        machine.hub.server().put(ABOUT, about.to_string());
        let error = machine.pull("hf/o/n").unwrap_err();
        assert_eq!(error.code(), "REGISTRY_ERROR", "{key} {value}");
    }
    for siblings in [json!(null), json!([])] {
        let machine = Machine::new();
        serve(&machine, &siblings);
        let detail = machine
            .manager()
            .remote_detail(&address("hf/o/n"), &RemoteOptions::default())
            .unwrap();
        assert_eq!(detail.files.len(), 0);
    }
}

#[test]
fn digests_that_a_mirror_does_not_list_come_from_the_files() {
    let strict = PullOptions::default().require_hashes(true);
    for status in [404, 400] {
        let mirror = || {
            let (machine, repo, commit) = Machine::with_whisper();
            let queries = Rule::path_starts("/api/").and(|request| !request.query().is_empty());
            machine.hub.server().rule(queries.status(status));
            (machine, repo, commit)
        };
        let (machine, ..) = mirror();
        let report = machine.manager().pull(&address(WHISPER), &strict).unwrap();
        assert_eq!(report.files_unverified, Vec::<String>::new());
        machine
            .rack
            .assert_files("hf/openai/whisper-tiny main", &whisper());
        machine.hub.server().reset_counts();
        machine.pull(WHISPER).unwrap();
        assert_eq!(machine.requests().len(), 2, "it is known to be installed");
        // Other bytes of the same length, small and large.
        for place in ["config.json", "/cdn/"] {
            let (machine, ..) = mirror();
            let whole = Rule::path_contains(place)
                .and(|request| request.header("range") != Some("bytes=0-0"));
            machine.hub.server().rule(whole.flip(5));
            let error = machine.pull(WHISPER).unwrap_err();
            assert_eq!(error.code(), "HASH_MISMATCH", "{place}: {error:?}");
            assert!(machine.installed().is_empty());
        }
        // What the Hub's own tools have is found.
        let (machine, _, commit) = mirror();
        let home = tempfile::tempdir().unwrap();
        let model = "hub/models--openai--whisper-tiny/snapshots";
        let snapshot = home.path().join(model).join(commit);
        for (name, bytes) in whisper() {
            write_files(&snapshot, &[(name, &bytes)]);
        }
        let environment = machine.rack.environment();
        let environment = environment.variable("HF_HOME", home.path());
        let manager = machine.manager_in(environment);
        let report = manager.pull(&address(WHISPER), &strict).unwrap();
        let bytes = (report.bytes_fetched, report.bytes_reused);
        assert_eq!(bytes, (0, WHISPER_BYTES));
    }
}

#[test]
fn a_tag_that_is_no_digest_vouches_for_nothing() {
    let hello = "ce013625030ba8dba906f756967f9e9ca394464a";
    for (tag, is_verified) in [
        (format!("\"{hello}\""), true),
        (format!("W/\"{hello}\""), true),
        (hello.to_owned(), true),
        (format!("\"{}\"", modelrack::Digest::of(b"hello\n")), true),
        ("\"65f1-6\"".to_owned(), false),
        ("\"b1946ac92492d2347c6235b4d2611184\"".to_owned(), false),
        (format!("\"{hello}-gzip\""), false),
    ] {
        let machine = Machine::new();
        serve(&machine, &json!([{"rfilename": "a.txt"}]));
        serve_file(&machine, "a.txt", "hello\n");
        let rule = Rule::path_ends("/a.txt").header("etag", &tag);
        machine.hub.server().rule(rule);
        let report = machine.pull("hf/o/n").unwrap();
        assert_eq!(report.files_unverified.is_empty(), is_verified, "{tag}");
    }
}
