//! `mirror`, up to a machine without a network.

use std::fs;
use std::process::Command;

use modelrack::transport::Url;
use serde_json::json;

use super::program::{finish, rack as program};
use super::{Ran, models};
use crate::support::rack::{Rack, sample};

fn mirror(rack: &Rack, words: &str) -> Ran {
    let to = rack.temp.path().join("mirror");
    models(rack, &format!("mirror {words} --to {}", to.display()))
}

#[test]
fn it_says_what_is_new_and_what_a_dry_run_would_take() {
    let rack = Rack::with_model();
    let shown = rack.temp.path().join("mirror").display().to_string();
    let plan = mirror(&rack, "g/m v1 --dry-run").quiet_success();
    assert!(plan.contains("new"), "{plan}");
    assert!(!rack.temp.path().join("mirror").exists());
    let out = mirror(&rack, "g/m v1").quiet_success();
    let lines: Vec<&str> = out.lines().collect();
    assert!(lines[0].starts_with("Mirrored g/m v1: 3 files, "), "{out}");
    assert!(
        lines[1].starts_with(&format!("{shown}: 1 model; ")),
        "{out}"
    );
    assert_eq!(
        mirror(&rack, "g/m v1").quiet_success(),
        format!("{shown}: 1 model, 1 of them unchanged; 0 B downloaded, 0 B written\n")
    );
    let report = mirror(&rack, "g/m v1 --json").json();
    assert_eq!(report["registry"], json!(shown));
    assert_eq!(report["models"][0]["state"], "unchanged");
    assert_eq!(report["failed"], json!([]));

    let ran = mirror(&rack, "g/m@v1 g/nosuch@v1 --json");
    assert_eq!(ran.code, 3);
    assert_eq!(ran.json()["failed"][0]["address"], "g/nosuch@v1");
    let ran = mirror(&rack, "g/nosuch v1");
    assert_eq!(ran.code, 3, "{ran:?}");
    assert_eq!(mirror(&rack, "").code, 2);
}

/// The same command in a network namespace of its own, which has no routes; `None` where none can be made.
fn without_network(command: &Command) -> Option<Command> {
    let made = Command::new("unshare").args(["-n", "true"]).output();
    if !made.is_ok_and(|made| made.status.success()) {
        return None;
    }
    let mut inside = Command::new("unshare");
    inside.arg("-n").arg(command.get_program());
    inside.args(command.get_args()).env_clear();
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            inside.env(name, value);
        }
    }
    inside.stdin(std::process::Stdio::null());
    inside.stdout(std::process::Stdio::piped());
    inside.stderr(std::process::Stdio::piped());
    Some(inside)
}

#[test]
fn from_a_laptop_to_a_cluster_without_a_network() {
    let laptop = Rack::with_model();
    let stick = laptop.temp.path().join("stick");
    let lock = stick.join("models.lock");
    fs::create_dir(&stick).unwrap();
    models(&laptop, &format!("lock g/m v1 --file {}", lock.display())).success();
    let line = format!(
        "mirror --locked={} --to {}",
        lock.display(),
        stick.join("models").display()
    );
    models(&laptop, &line).success();
    for how in ["locked", "frozen"] {
        let cluster = Rack::new();
        let line = format!("pull --{how}={}", lock.display());
        let mut command = program(&cluster, &line);
        command.env(
            "RACK_MODELS_REGISTRY_URL",
            Url::from_path(&stick.join("models")).unwrap().expose(),
        );
        command.env("RACK_MODELS_OFFLINE", "1");
        // Elsewhere, its own word that it is offline has to do.
        let command = without_network(&command).unwrap_or(command);
        let ran = finish(command);
        assert_eq!(ran.code, 0, "{how}: {ran:?}");
        cluster.assert_files("g/m v1", &sample());
    }
}
