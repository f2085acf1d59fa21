//! `mirror`, up to a machine without a network.

use std::fs;
use std::path::Path;
use std::process::Command;

use modelrack::config::System;
use serde_json::json;

use super::program::{finish, rack as program};
use super::{Ran, Sinks, models, mount, run_words};
use crate::sources::hub::machine::{Machine, WHISPER, whisper};
use crate::support::disk::{flip, names_in};
use crate::support::platform::SYSTEM;
use crate::support::rack::Rack;
use crate::support::root;

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
    let ran = mirror(&rack, "");
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.err.contains("<MODEL|--locked"), "{ran:?}");
}

#[test]
fn a_dry_run_makes_no_folder_and_a_file_in_the_way_is_told() {
    let rack = Rack::with_model();
    let temp = rack.temp.path();
    let mirror = |to: &str, more: &str| {
        let to = temp.join(to);
        models(&rack, &format!("mirror g/m@v1 --to {}{more}", to.display()))
    };
    for to in ["new/one.tar", "new/one"] {
        mirror(to, " --dry-run").success();
        assert!(!temp.join("new").exists(), "{to}");
    }
    // Nor does it need a place that it may write to, or wait for who writes there.
    mirror("new/one.tar", "").success();
    let files = names_in(&temp.join("new"));
    mirror("new/one.tar", " --dry-run").success();
    assert_eq!(names_in(&temp.join("new")), files);

    fs::write(temp.join("plain"), "a file").unwrap();
    for dry_run in ["", " --dry-run"] {
        for to in ["plain/below", "plain/below.tar", "plain/far/below"] {
            let ran = mirror(to, dry_run);
            assert_eq!(ran.code, 2, "{ran:?}");
            let said = format!("{} is a file, and no folder", temp.join("plain").display());
            assert!(ran.err.contains(&said), "{ran:?}");
        }
        let ran = mirror("plain", dry_run);
        assert_eq!(ran.code, 1, "{ran:?}");
        let said = "a file is there, and no tar that could be added to: name a folder, or a file that ends with .tar";
        assert!(ran.err.contains(said), "{ran:?}");
    }
    assert_eq!(fs::read(temp.join("plain")).unwrap(), b"a file");
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
    if let Some(folder) = command.get_current_dir() {
        inside.current_dir(folder);
    }
    inside.stdin(std::process::Stdio::null());
    inside.stdout(std::process::Stdio::piped());
    inside.stderr(std::process::Stdio::piped());
    Some(inside)
}

/// The lines of the README from a laptop to a cluster; in them, the stick is here.
fn lines_of_the_readme(stick: &Path) -> (String, String) {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let (_, section) = readme
        .split_once("### Where there is no network\n")
        .unwrap();
    let (_, block) = section.split_once("```sh\n").unwrap();
    let (block, _) = block.split_once("```\n").unwrap();
    let block = block.replace("/media/stick", stick.to_str().unwrap());
    let (laptop, cluster) = block.split_once("\nexport ").unwrap();
    (laptop.to_owned(), format!("export {cluster}"))
}

/// A shell that runs lines on a machine, in a folder and a home of their own.
fn shell(lines: &str, machine: &Rack) -> Command {
    let work = machine.temp.path().join("work");
    fs::create_dir_all(&work).unwrap();
    let rack = program(machine, "");
    let rack = Path::new(rack.get_program()).parent().unwrap();
    let mut command = Command::new("sh");
    command.args(["-ec", lines]).current_dir(work).env_clear();
    command.env("PATH", format!("{}:/usr/bin:/bin", rack.display()));
    command.env("HOME", machine.temp.path().join("home"));
    command.env("RACK_MODELS_DIR", machine.store());
    command
}

#[test]
fn the_lines_of_the_readme_lead_from_a_laptop_to_a_cluster_without_a_network() {
    // The shells of Windows have other words. Without the publisher's side, the reference CLI is of a package that has no registry
    // with the digits.
    if SYSTEM == System::Windows || cfg!(not(feature = "author")) {
        return;
    }
    let (laptop, _, _) = Machine::with_whisper();
    let stick = laptop.rack.temp.path().join("stick");
    fs::create_dir(&stick).unwrap();
    let (on_laptop, on_cluster) = lines_of_the_readme(&stick);
    let mut command = shell(&on_laptop, &laptop.rack);
    command.env("HF_ENDPOINT", laptop.hub.url());
    let ran = finish(command);
    assert_eq!(ran.code, 0, "{ran:?}");
    // What the laptop had is lost.
    let url = laptop.hub.url();
    fs::remove_dir_all(laptop.rack.temp.path().join("home")).unwrap();
    for how in ["locked", "frozen"] {
        let cluster = Rack::new();
        let lines = on_cluster.replace("--locked", &format!("--{how}"));
        let mut command = shell(&lines, &cluster);
        command.env("HF_ENDPOINT", &url);
        // Elsewhere, its own word that it is offline has to do.
        let ran = finish(without_network(&command).unwrap_or(command));
        assert_eq!(ran.code, 0, "{how}: {ran:?}");
        cluster.assert_files(&format!("{WHISPER} main"), &whisper());
        assert!(!cluster.files_of("digits/logistic v1").is_empty(), "{how}");
    }
}

#[test]
fn a_mirror_is_verified_and_the_exit_code_says_what_is_wrong() {
    let rack = Rack::with_model();
    mirror(&rack, "g/m v1").success();
    let folder = rack.temp.path().join("mirror");
    let line = format!("verify --registry {}", folder.display());
    let shown = folder.display();
    let out = models(&rack, &line).quiet_success();
    let said = format!("{shown}: 1 model ok, 12 documents, ");
    assert!(out.starts_with(&said), "{out}");
    let report = models(&rack, &format!("{line} --json")).json();
    assert_eq!(report["models"][0]["ok"], true);
    assert_eq!(report["damaged"], json!([]));

    let data = folder.join("data");
    let manifest = rack.index()["g"]["m"]["v1"]["hash"].clone();
    let chunks = names_in(&data).into_iter();
    let chunks: Vec<_> = chunks
        .filter(|name| Some(name.as_str()) != manifest.as_str())
        .collect();
    fs::remove_file(data.join(&chunks[0])).unwrap();
    let ran = models(&rack, &line);
    assert_eq!(ran.code, 5, "{ran:?}");
    assert!(ran.err.contains("Failed: g/m v1: not found ("), "{ran:?}");
    assert!(ran.err.contains(&chunks[0]), "{ran:?}");
    assert!(ran.out.contains("1 of 1 model damaged"), "{ran:?}");
    flip(&data.join(&chunks[1]), 7);
    let ran = models(&rack, &format!("{line} --json"));
    assert_eq!(ran.code, 6, "{ran:?}");
    let report = ran.json();
    assert_eq!(report["damaged"][0]["digest"], json!(chunks[1]));
    assert_eq!(report["damaged"][0]["models"][0]["version"], "v1");
    assert_eq!(report["damaged"][0]["error"]["code"], "HASH_MISMATCH");
    let ran = models(&rack, &line);
    let failed = ran.err.lines().find(|line| line.contains(&chunks[1]));
    let failed = failed.unwrap_or_default();
    assert!(
        failed.starts_with("Failed: g/m v1: the document (file://"),
        "{ran:?}"
    );
    assert_eq!(
        failed.matches(&chunks[1]).count(),
        2,
        "in the URL, and as what was expected"
    );
    assert!(ran.err.contains("hint: to mend a mirror, "), "{ran:?}");
    // Again, only what is wrong is copied.
    fs::remove_file(folder.join("models.json")).unwrap();
    mirror(&rack, "g/m v1").success();
    models(&rack, &line).success();
    for line in [
        format!("{line} --repair"),
        format!("{line} g/m"),
        "verify --public-key x".to_owned(),
    ] {
        assert_eq!(models(&rack, &line).code, 2, "{line}");
    }
    assert_eq!(
        run_words(
            &mount(&rack),
            &["verify", "--registry", ""],
            Sinks::Captured
        )
        .code,
        2
    );
    let nothing = rack.temp.path().join("nothing");
    let ran = models(&rack, &format!("verify --registry {}", nothing.display()));
    assert_eq!(ran.code, 5, "{ran:?}");
    assert!(
        ran.err
            .contains("hint: check the folder or URL that was given: a registry has a models.json"),
        "{ran:?}"
    );
    // What is on this machine does not become right by reading it again.
    flip(&data.join(manifest.as_str().unwrap()), 7);
    let ran = models(&rack, &format!("{line} --verbose"));
    assert_eq!(ran.code, 6, "{ran:?}");
    assert!(!ran.err.contains("retry"), "{ran:?}");
}

#[test]
fn a_registry_that_cannot_be_meant_is_refused_before_it_is_looked_for() {
    let rack = Rack::with_model();
    let here = rack.registry().display().to_string();
    for (words, said) in [
        (
            format!("{here} --public-key nonsense"),
            "invalid value 'nonsense' for '--public-key <KEY>'",
        ),
        ("s3:/bucket/prefix".to_owned(), "begins with s3://"),
        ("oci:ghcr.io/acme".to_owned(), "begins with oci://"),
        ("oci://".to_owned(), "the registry has no host"),
        ("oci-layout:".to_owned(), "the image layout has no folder"),
        ("http://".to_owned(), "the URL has no host"),
    ] {
        let ran = models(&rack, &format!("verify --registry {words}"));
        assert_eq!(ran.code, 2, "{words}: {ran:?}");
        assert!(ran.err.contains(said), "{words}: {ran:?}");
    }
    // Nothing is kept of it that a second run could go on with.
    let ran = models(&rack, "verify --registry http://127.0.0.1:1/");
    assert_eq!(ran.code, 5, "{ran:?}");
    assert!(
        ran.err.contains("hint: check the host in the URL"),
        "{ran:?}"
    );
    // A configured source is corrected where it is configured.
    let config = rack
        .bare_config()
        .bootstrap("[sources.w]\nurl = \"file:///nosuch\"\n");
    let mount = modelrack::cli::Mount::new(config).environment(rack.environment());
    let ran = run_words(&mount, &["verify", "--registry", "w"], Sinks::Captured);
    assert_eq!(ran.code, 5, "{ran:?}");
    assert!(ran.err.contains("hint: check the URL in "), "{ran:?}");
    assert!(ran.err.contains("sources.w.url"), "{ran:?}");
}

#[test]
fn places_and_flags_that_nobody_means_are_refused() {
    let rack = Rack::with_model();
    let place = |name: &str| rack.temp.path().join(name).display().to_string();
    for words in [
        "--to s3:/bucket/prefix".to_owned(),
        "--to oci:ghcr.io/acme".to_owned(),
        "--to file://".to_owned(),
        format!("--to {}", place("m.tar.gz")),
        format!("--to oci-layout:{}", place("m.zip")),
        format!("--to oci-layout:{} --chunking content", place("l")),
        format!("--to oci-layout:{} --chunk-size 8MiB", place("l")),
        format!("--to oci-layout:{} --shards", place("l")),
    ] {
        let ran = models(&rack, &format!("mirror g/m v1 {words} --json"));
        assert_eq!(
            (ran.code, &ran.json()["error"]["code"]),
            (2, &json!("INVALID_ARGUMENT")),
            "{words}"
        );
    }
    for name in ["m.tar.gz", "m.zip", "l"] {
        assert!(!rack.temp.path().join(name).exists(), "{name}");
    }
}

#[test]
fn an_index_that_is_none_keeps_its_place_and_is_named() {
    let rack = Rack::with_model();
    let folder = rack.temp.path().join("taken");
    fs::create_dir(&folder).unwrap();
    let theirs = "{\"name\": \"x\"}";
    fs::write(folder.join("models.json"), theirs).unwrap();
    let ran = models(&rack, &format!("mirror g/m v1 --to {}", folder.display()));
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("/models.json): "), "{ran:?}");
    let left = fs::read_to_string(folder.join("models.json")).unwrap();
    assert_eq!(left, theirs);
}

#[test]
fn a_login_in_an_address_is_refused_and_never_shown() {
    let rack = Rack::with_model();
    for line in [
        "pull oci://me:hunter2@127.0.0.1:1/x",
        "pull oci://me:hun/ter2@127.0.0.1:1/a/x:v1",
        "pull oci://me:hunter2@127.0.0.1:1/x v1",
        "pull oci://me:hunter2@127.0.0.1:1/x*",
        "pull https://me:hunter2@127.0.0.1:1/x",
        "pull OCI://me:hunter2@127.0.0.1:1/x",
        "info oci://hunter2@127.0.0.1:1/x --remote",
        "lock oci://me:hunter2@127.0.0.1:1/x",
        "mirror g/m v1 --to oci://me:hunter2@127.0.0.1:1/x",
        "mirror g/m v1 --to s3://me:hunter2@bucket/x",
        "verify --registry oci://me:hunter2@127.0.0.1:1/x",
        "verify --registry s3://me:hunter2@bucket/x",
        "list --remote --source https://me:hunter2@127.0.0.1:1/x",
        "sync --repo https://me:hunter2@127.0.0.1:1/a/b --ref x",
    ] {
        let ran = models(&rack, &format!("{line} --json --verbose"));
        assert_eq!(ran.code, 2, "{line}: {ran:?}");
        let said = format!("{}{}", ran.out, ran.err);
        assert!(
            !said.contains("hunter2") && !said.contains("ter2"),
            "{line}: {said}"
        );
        let message = ran.json()["error"]["message"].to_string();
        assert!(
            message.contains("127.0.0.1") || message.contains("bucket"),
            "{line}: {message}"
        );
    }
    assert_eq!(rack.listed().0, Vec::<String>::new());
    // What is no login: the digest of an artifact.
    let ran = models(&rack, "pull oci://127.0.0.1:1/a/x@sha256:0 --json");
    let message = ran.json()["error"]["message"].to_string();
    assert!(message.contains("is no digest"), "{message}");
    // Nor is a bucket the address of a model.
    let ran = models(&rack, "pull s3://bucket/x");
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(
        ran.err.contains("configure what is elsewhere as a source"),
        "{ran:?}"
    );
}

#[test]
fn what_a_killed_mirror_left_of_a_tar_makes_room_for_the_next() {
    let rack = Rack::with_model();
    let tar = rack.temp.path().join("m.tar");
    let left = rack.temp.path().join("m.tar.77-0.tmp");
    let other = rack.temp.path().join("n.tar.77-0.tmp");
    for path in [&left, &other] {
        fs::write(path, "half of it").unwrap();
    }
    let line = format!("mirror g/m v1 --to {}", tar.display());
    models(&rack, &line).success();
    assert!(tar.is_file() && !left.exists() && other.exists());
}
