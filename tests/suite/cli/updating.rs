//! Commands that compare and mend: `update`, `verify`.

use std::fs;

use serde_json::json;

use super::{Sinks, models, mount, run_words};
use crate::support::bytes;
use crate::support::disk::flip;
use crate::support::rack::{CHUNK, Rack};
use crate::support::server::Rule;

/// Three files of which a new state adds one, changes one and drops one.
fn two_states(rack: &Rack) {
    rack.publish(
        "g/m v1",
        &[
            ("a.bin", bytes(3 * CHUNK, 1)),
            ("b.txt", b"old".to_vec()),
            ("c.txt", b"gone".to_vec()),
        ],
    );
    models(rack, "pull g/m v1").success();
    rack.publish(
        "g/m v1",
        &[
            ("a.bin", bytes(3 * CHUNK, 1)),
            ("b.txt", b"newer".to_vec()),
            ("d.txt", b"there".to_vec()),
        ],
    );
    rack.server.reset_counts();
}

#[test]
fn update_tells_first_and_applies_when_asked_to() {
    let rack = Rack::new();
    two_states(&rack);
    let ran = models(&rack, "update");
    assert_eq!(ran.code, 0);
    assert_eq!(
        ran.out,
        "g/m v1: changed, 10 B of 3.1 KB to download\n  + d.txt\n  ~ b.txt\n  - c.txt\n"
    );
    assert_eq!(
        ran.err,
        "Run 'rack models update --apply' to apply the changes.\n"
    );
    let ran = models(&rack, "update g/m --quiet");
    assert_eq!(
        ran.quiet_success(),
        "g/m v1: changed, 10 B of 3.1 KB to download\n"
    );
    let report = models(&rack, "update --json").json();
    assert_eq!(report["models"][0]["state"], "changed");
    assert_eq!(report["models"][0]["applied"], json!(null));
    assert!(rack.dir_of("g/m v1").join("c.txt").exists());

    let report = models(&rack, "update g/m v1 --apply --json").json();
    let entry = &report["models"][0];
    assert_eq!(entry["state"], "updated");
    assert_eq!(entry["removed"], json!(["c.txt"]));
    assert_eq!(entry["applied"]["bytes_fetched"], entry["bytes_to_fetch"]);
    assert!(!rack.dir_of("g/m v1").join("c.txt").exists());
    assert_eq!(
        models(&rack, "update").quiet_success(),
        "g/m v1: up to date\n"
    );
    assert_eq!(models(&rack, "update --quiet").quiet_success(), "");
}

#[test]
fn update_applies_for_people_too_and_tells_what_is_gone() {
    let rack = Rack::new();
    two_states(&rack);
    let out = models(&rack, "update --apply").success();
    assert!(
        out.starts_with("Updated g/m v1: 3 files, 3.1 KB; downloaded 10 B in "),
        "{out}"
    );
    assert!(
        out.ends_with("\n  + d.txt\n  ~ b.txt\n  - c.txt\n"),
        "{out}"
    );
    crate::support::registry::serve_index(&rack.server, &json!({}));
    let ran = models(&rack, "update --apply");
    assert_eq!(
        (ran.code, ran.out.as_str(), ran.err.as_str()),
        (3, "g/m v1: no source offers it any more\n", "")
    );
    let ran = models(&rack, "update g/m");
    assert_eq!((ran.code, ran.out.as_str()), (3, ""));
    assert!(ran.err.contains("check g/m v1: "), "{}", ran.err);
    let ran = models(&rack, "update --json");
    let entry = &ran.json()["models"][0];
    assert_eq!((&entry["state"], ran.code), (&"gone".into(), 3));
    assert_eq!(entry["error"]["code"], "MODEL_NOT_FOUND");
    let empty = Rack::with_model();
    let ran = models(&empty, "update");
    assert_eq!(
        (ran.code, ran.err.as_str()),
        (0, "No model is installed.\n")
    );
}

#[test]
fn verify_repairs_with_the_damaged_bytes_alone() {
    let rack = Rack::with_model();
    models(&rack, "pull g/m v1").success();
    assert_eq!(
        models(&rack, "verify").quiet_success(),
        "g/m v1: ok, 10.2 KB\n"
    );
    assert_eq!(models(&rack, "verify --quiet").quiet_success(), "");
    let dir = rack.dir_of("g/m v1");
    flip(&dir.join("weights").join("model.bin"), 2 * CHUNK);
    fs::remove_file(dir.join("labels.txt")).unwrap();
    let ran = models(&rack, "verify g/m");
    assert_eq!(ran.code, 6);
    assert_eq!(
        ran.out,
        "g/m v1: damaged\n  labels.txt: missing\n  weights/model.bin: wrong digest\n"
    );
    rack.server.reset_counts();
    let ran = models(&rack, "verify --repair --json");
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let entry = &ran.json()["models"][0];
    assert_eq!(entry["ok"], true);
    assert_eq!(entry["damaged"].as_array().unwrap().len(), 2);
    assert_eq!(rack.data_requests().len(), 2);
    rack.assert_sample_installed();
    let empty = Rack::with_model();
    assert_eq!(models(&empty, "verify").err, "No model is installed.\n");
}

#[test]
fn damage_that_stays_is_a_failure_and_damage_that_is_repaired_is_none() {
    let rack = Rack::with_model();
    rack.pull("g/m v1").unwrap();
    crate::support::disk::flip(&rack.dir_of("g/m v1").join("weights").join("model.bin"), 2);
    let ran = super::models(&rack, "verify");
    assert_eq!(ran.code, 6);
    assert_eq!(
        ran.out,
        "g/m v1: damaged\n  weights/model.bin: wrong digest\n"
    );
    assert_eq!(
        ran.err,
        "hint: repair them with 'rack models verify --repair'\n"
    );
    let ran = super::models(&rack, "verify --json");
    assert_eq!((ran.code, ran.err.as_str()), (6, ""));
    assert_eq!(ran.json()["models"][0]["ok"], false);
    let ran = super::models(&rack, "verify g/m v1 --repair");
    assert_eq!(ran.code, 0, "{ran:?}");
    rack.assert_sample_installed();
}

#[test]
fn a_failure_for_one_of_several_models_is_told_and_the_others_go_on() {
    let rack = Rack::with_model();
    rack.publish("g/n v1", &[("n.bin", b"new")]);
    rack.pull("g/m v1").unwrap();
    rack.pull("g/n v1").unwrap();
    // A new state of one, whose chunks are gone; and of the other.
    let broken = rack.publish("g/m v1", &[("m.bin", b"never seen")]);
    rack.publish("g/n v1", &[("n.bin", b"newer")]);
    let manifest = format!("/data/{}", broken.manifest_digest);
    rack.server.rule(Rule::path(manifest).status(500));
    let ran = super::models(&rack, "update --apply");
    assert_eq!(ran.code, 5, "{ran:?}");
    assert!(
        ran.out.contains("g/m v1: unknown: check g/m v1: "),
        "{}",
        ran.out
    );
    assert!(
        ran.out.contains("500"),
        "the reason is missing: {}",
        ran.out
    );
    assert!(ran.out.contains("Updated g/n v1"), "{}", ran.out);
    assert!(
        ran.out
            .ends_with("\n1 updated (5 B downloaded), 1 unknown\n"),
        "{}",
        ran.out
    );
    assert!(ran.err.contains("500"), "{}", ran.err);
    let ran = super::models(&rack, "update --json");
    assert_eq!((ran.code, ran.err.as_str()), (5, ""));
    let report = ran.json();
    assert_eq!(report["models"][0]["state"], "unknown");
    assert_eq!(report["models"][0]["error"]["code"], "NETWORK_ERROR");
    assert_eq!(report["models"][1]["state"], "up_to_date");
}

#[test]
fn of_many_models_those_that_are_up_to_date_are_only_counted() {
    let rack = Rack::with_model();
    for model in ["g/n v1", "g/o v1"] {
        rack.publish(model, &[("n.bin", b"old")]);
    }
    for model in ["g/m v1", "g/n v1", "g/o v1"] {
        rack.pull(model).unwrap();
    }
    assert_eq!(models(&rack, "update").quiet_success(), "3 up to date\n");
    rack.publish("g/n v1", &[("n.bin", b"newer")]);
    let ran = models(&rack, "update");
    assert_eq!(
        ran.out,
        "g/n v1: changed, 5 B of 5 B to download\n  ~ n.bin\n2 up to date, 1 changed (5 B to download)\n"
    );
    assert_eq!(
        ran.err,
        "Run 'rack models update --apply' to apply the changes.\n"
    );
    let quiet = models(&rack, "update --quiet").quiet_success();
    assert_eq!(quiet, "g/n v1: changed, 5 B of 5 B to download\n");
    let mut index = rack.index();
    index["g"].as_object_mut().unwrap().remove("o");
    crate::support::registry::serve_index(&rack.server, &index);
    let ran = models(&rack, "update");
    assert_eq!(
        (ran.code, ran.err.contains("models: ")),
        (3, false),
        "{ran:?}"
    );
    let sum = "\n1 up to date, 1 changed (5 B to download), 1 no longer offered\n";
    assert!(ran.out.ends_with(sum), "{}", ran.out);
}

#[test]
fn whatever_downloads_takes_a_limit_of_the_rate_over_that_of_the_environment() {
    let rack = Rack::with_model();
    let set = |value| rack.environment().variable("RACK_MODELS_LIMIT_RATE", value);
    let run = |value, line: &str| {
        let mount = mount(&rack).environment(set(value));
        run_words(
            &mount,
            &line.split(' ').collect::<Vec<_>>(),
            Sinks::Captured,
        )
    };
    let workspace = rack.temp.path().join("workspace");
    let copy = format!("copy g/m@v1 {}", workspace.display());
    let check = |line: &str, prepare: &dyn Fn()| {
        prepare();
        let ran = run("fast", line);
        assert!(
            ran.code != 0
                && ran
                    .err
                    .contains("RACK_MODELS_LIMIT_RATE: expected a number"),
            "{line}: {ran:?}"
        );
        let ran = run("fast", &format!("{line} --limit-rate 500MB"));
        assert_eq!(ran.code, 0, "{line}: {ran:?}");
    };
    check("pull g/m v1", &|| {});
    check("update --apply", &|| {
        rack.publish("g/m v1", &[("a", bytes(3000, 3))]);
    });
    check("verify --repair", &|| {
        flip(&rack.dir_of("g/m v1").join("a"), 7)
    });
    check(&copy, &|| {
        models(&rack, "remove g/m v1 -y").success().clear()
    });
    assert_eq!(run("20M", "pull g/m v1 --force").code, 0);
    // What needs no network does not mind.
    assert_eq!(run("fast", "list").code, 0);
    let ran = models(&rack, "pull g/m v1 --limit-rate fast");
    assert_eq!(ran.code, 2);
    assert!(
        ran.err
            .contains("expected a number of bytes, such as 8MiB or 500KB"),
        "{}",
        ran.err
    );
}
