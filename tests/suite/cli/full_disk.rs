//! A disk that is full, or becomes so: a real one of a few megabytes, where the system lets a test mount it.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use super::Ran;
use super::program::{finish, rack};
use crate::support::bytes;
use crate::support::rack::{Rack, chunks_but};
use crate::support::registry::{Publication, Published};

/// A file system in memory, mounted in a namespace of its own that ends with the value.
struct SmallDisk {
    holder: Child,
    root: PathBuf,
}

impl SmallDisk {
    /// `None` where it is not permitted, or no Linux.
    fn mount(at: &Path, bytes: u64) -> Option<Self> {
        let script = "mount -t tmpfs -o size=\"$1\" tmpfs \"$2\" && echo ready && exec cat";
        let holder = Command::new("unshare")
            .args(["--mount", "--map-root-user", "sh", "-c", script, "sh"])
            .arg(bytes.to_string())
            .arg(at)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut holder) = holder else {
            skipped("there is no way to mount a small disk here");
            return None;
        };
        let mut ready = String::new();
        let told = BufReader::new(holder.stdout.take().unwrap()).read_line(&mut ready);
        let below = at.strip_prefix("/").unwrap_or(at);
        let root = PathBuf::from(format!("/proc/{}/root", holder.id())).join(below);
        let disk = Self { holder, root };
        let writable = File::create(disk.filler()).is_ok();
        if told.is_err() || ready != "ready\n" || !writable {
            skipped("it is not permitted to mount a small disk here");
            return None;
        }
        Some(disk)
    }

    fn filler(&self) -> PathBuf {
        self.root.join("filler")
    }

    /// The same command as a process that sees the disk where it is mounted.
    fn inside(&self, command: &Command) -> Command {
        let mut entered = Command::new("nsenter");
        entered
            .args(["--user", "--mount", "--preserve-credentials", "--target"])
            .arg(self.holder.id().to_string())
            .arg(command.get_program())
            .args(command.get_args())
            .env_clear()
            .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
            .envs(
                command
                    .get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            )
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        entered
    }

    /// Makes room again.
    fn clear(&self) {
        fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Without its input the holder ends, and its mount with it.
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
    }
}

#[allow(clippy::print_stderr, reason = "whoever reads the log should know")]
fn skipped(why: &str) {
    eprintln!("skipped: {why}");
}

/// Writes into a file until nothing goes in any more, or so many bytes are in it.
fn fill(file: &Path, limit: u64) {
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(file)
        .unwrap();
    for _ in 0..limit / 4096 {
        if file.write_all(&[1; 4096]).is_err() {
            return;
        }
    }
}

#[cfg(feature = "author")]
#[test]
fn a_full_disk_leaves_the_registry_of_a_project_as_it_was() {
    let machine = Rack::new();
    let at = machine.temp.path().join("disk");
    fs::create_dir(&at).unwrap();
    let Some(disk) = SmallDisk::mount(&at, 1 << 20) else {
        return;
    };
    let project = disk.root.join("project");
    fs::create_dir(&project).unwrap();
    let add = |from: u32| {
        // Enough for the registry to be larger than what a full disk has left.
        for number in from..from + 40 {
            let name = project.join(format!("m{number}.md"));
            fs::write(name, super::registry::workshop::AGENT).unwrap();
        }
    };
    let registry = |words: &[&str]| {
        let mut command = rack(&machine, "registry");
        command.args(words).arg("--project").arg(at.join("project"));
        finish(disk.inside(&command))
    };
    add(0);
    let folder = at.join("project");
    let folder = folder.to_str().unwrap();
    registry(&["add", folder]).success();
    let before = fs::read(project.join(".registry").join("models.toml")).unwrap();
    add(40);
    fill(&disk.filler(), u64::MAX);
    let ran = registry(&["add", folder, "--json"]);
    assert_full(&ran);
    let hint = ran.json()["error"]["hint"].as_str().unwrap().to_owned();
    assert!(hint.contains("the registry is unchanged"), "{hint}");
    assert_eq!(
        fs::read(project.join(".registry").join("models.toml")).unwrap(),
        before
    );
    let models = |ran: Ran| ran.json()["models"].as_array().unwrap().len();
    assert_eq!(models(registry(&["list", "--json"])), 40);
    disk.clear();
    registry(&["add", folder]).success();
    assert_eq!(models(registry(&["list", "--json"])), 80);
}

/// A machine whose store lies on a small disk, with `g/keep v1` installed.
fn machine(megabytes: u64) -> Option<(Rack, SmallDisk)> {
    let machine = Rack::new();
    let at = machine.temp.path().join("disk");
    fs::create_dir(&at).unwrap();
    let disk = SmallDisk::mount(&at, megabytes << 20)?;
    machine.publish("g/keep v1", &[("keep.bin", bytes(3000, 77))]);
    run(&machine, &disk, "pull g/keep v1").success();
    machine.server.reset_counts();
    Some((machine, disk))
}

/// Publishes one file of these many bytes in chunks of 64 KiB.
fn publish(machine: &Rack, size: usize) -> Published {
    let options = Publication {
        chunk_bytes: 64 << 10,
        ..Publication::default()
    };
    machine.publish_as("g/m v1", &[("m.bin", bytes(size, 1))], &options)
}

fn run(machine: &Rack, disk: &SmallDisk, line: &str) -> Ran {
    let mut command = rack(machine, line);
    command.env("RACK_MODELS_DIR", disk.root.join("store"));
    finish(command)
}

#[track_caller]
fn assert_full(ran: &Ran) {
    assert_eq!(ran.code, 7, "{ran:?}");
    assert_eq!(ran.json()["error"]["code"], "INSUFFICIENT_SPACE", "{ran:?}");
}

/// What is listed is whole; returns the bytes of the one unfinished pull.
#[track_caller]
fn partial_bytes(machine: &Rack, disk: &SmallDisk) -> u64 {
    let list = run(machine, disk, "list --json").json();
    assert_eq!(list["models"].as_array().unwrap().len(), 1);
    assert_eq!(list["models"][0]["model"], "keep");
    assert_eq!(run(machine, disk, "verify").code, 0);
    list["partials"][0]["bytes_done"]
        .as_u64()
        .unwrap_or_default()
}

#[test]
fn a_model_that_does_not_fit_is_refused_before_its_first_byte() {
    let Some((machine, disk)) = machine(8) else {
        return;
    };
    let report = publish(&machine, 3 << 20);
    fill(&disk.filler(), 6 << 20);
    let ran = run(&machine, &disk, "pull g/m v1 --json");
    assert_full(&ran);
    let message = ran.json()["error"]["message"].as_str().unwrap().to_owned();
    let store = disk.root.join("store");
    let expected = format!(" MB free on the disk of {}", store.display());
    assert!(
        message.contains("not enough space: 4.2 MB needed, "),
        "{message}"
    );
    assert!(message.ends_with(&expected), "{message}");
    let (needed, margin) = (3 << 20, 1 << 20);
    assert_eq!(ran.json()["error"]["needed_bytes"], needed + margin);
    assert!(ran.json()["error"]["available_bytes"].as_u64().unwrap() < needed + margin);
    assert_eq!(machine.chunk_requests(&[&report]), Vec::<String>::new());
    partial_bytes(&machine, &disk);
    let ran = run(&machine, &disk, "pull g/m v1");
    assert!(
        ran.err
            .contains("hint: free some space with 'rack models remove' or 'rack models prune'"),
        "{}",
        ran.err
    );
    disk.clear();
    run(&machine, &disk, "pull g/m v1").success();
    assert_eq!(run(&machine, &disk, "verify").code, 0);
}

#[test]
fn a_disk_that_fills_up_on_the_way_ends_the_pull_and_the_next_goes_on() {
    let Some((machine, disk)) = machine(8) else {
        return;
    };
    let report = publish(&machine, 2 << 20);
    let filler = Arc::new(disk.filler());
    // Half of it is there when somebody else takes the rest of the disk.
    let rule = chunks_but(&[&report]).nth(17);
    machine
        .server
        .rule(rule.on_request(move || fill(&filler, u64::MAX)));
    let ran = run(&machine, &disk, "pull g/m v1 --json --concurrency 1");
    assert_full(&ran);
    let message = ran.json()["error"]["message"].as_str().unwrap().to_owned();
    let expected = format!(
        "no space left on the disk of {}",
        disk.root.join("store").display()
    );
    assert!(message.ends_with(&expected), "{message}");
    let done = partial_bytes(&machine, &disk);
    assert_eq!(done, 1 << 20);
    // Still full: again refused, and again nothing lost.
    assert_full(&run(&machine, &disk, "pull g/m v1 --json"));
    assert_eq!(partial_bytes(&machine, &disk), done);
    disk.clear();
    let report = run(&machine, &disk, "pull g/m v1 --json").json();
    assert_eq!(report["bytes_resumed"], done);
    assert_eq!(report["bytes_fetched"], (2 << 20) - done);
    assert_eq!(run(&machine, &disk, "verify").code, 0);
}

#[test]
fn a_disk_that_fills_up_at_the_very_end_costs_no_byte_twice() {
    let Some((machine, disk)) = machine(8) else {
        return;
    };
    // Two pages of four chunks each, so that the last chunk needs no page of its own.
    let report = machine.publish("g/m v1", &[("m.bin", bytes(8 << 10, 1))]);
    let filler = Arc::new(disk.filler());
    let rule = chunks_but(&[&report]).nth(8);
    machine
        .server
        .rule(rule.on_request(move || fill(&filler, u64::MAX)));
    assert_full(&run(&machine, &disk, "pull g/m v1 --json --concurrency 1"));
    assert_eq!(partial_bytes(&machine, &disk), 8 << 10);
    // Not even a model can be removed without a few bytes; nothing happens to it.
    let ran = run(&machine, &disk, "remove g/keep v1 -y --json");
    if ran.code != 0 {
        assert_full(&ran);
        partial_bytes(&machine, &disk);
    }
    disk.clear();
    machine.server.reset_counts();
    let pulled = run(&machine, &disk, "pull g/m v1 --json").json();
    assert_eq!(pulled["bytes_fetched"], 0);
    assert_eq!(machine.chunk_requests(&[&report]), Vec::<String>::new());
    assert_eq!(run(&machine, &disk, "verify").code, 0);
}

#[test]
fn where_the_disk_of_a_mirror_is_full_the_hint_is_about_that_disk() {
    let Some((machine, disk)) = machine(4) else {
        return;
    };
    publish(&machine, 8 << 20);
    let store = machine.temp.path().join("store");
    let line = format!("mirror g/m v1 --to {}", disk.root.join("mirror").display());
    let mut command = rack(&machine, &line);
    command.env("RACK_MODELS_DIR", store);
    let ran = finish(command);
    assert_eq!(ran.code, 7, "{ran:?}");
    let hint = "hint: free some space there and try again";
    assert!(ran.err.contains(hint), "{ran:?}");
}

#[test]
fn a_mirror_whose_disk_fills_up_tells_what_is_in_it() {
    let Some((machine, disk)) = machine(4) else {
        return;
    };
    let options = Publication {
        chunk_bytes: 64 << 10,
        ..Publication::default()
    };
    for (model, megabytes) in [("g/a v1", 1), ("g/b v1", 8), ("g/c v1", 1)] {
        let file = ("m.bin", bytes(megabytes << 20, megabytes as u64));
        machine.publish_as(model, &[file], &options);
    }
    let folder = disk.root.join("mirror").display().to_string();
    let mirror = |models: &str| {
        let mut command = rack(&machine, &format!("mirror {models} --to {folder} --json"));
        command.env("RACK_MODELS_DIR", machine.temp.path().join("store"));
        finish(command)
    };
    mirror("g/keep@v1").success();
    let ran = mirror("g/*");
    assert_eq!(ran.code, 7, "{ran:?}");
    let report = ran.json();
    let models = |list: &str| {
        let list = report[list].as_array().unwrap().iter();
        list.map(|of| of["model"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(models("models"), ["a", "keep"], "{report}");
    assert_eq!(models("not_tried"), ["c"], "{report}");
    let [failed] = report["failed"].as_array().unwrap().as_slice() else {
        panic!("{report}");
    };
    assert_eq!(failed["address"], "g/b v1");
    assert_eq!(failed["error"]["code"], "INSUFFICIENT_SPACE");
    let hint = "free some space there and try again, or choose another place";
    assert_eq!(failed["error"]["hint"], hint);
    // What the report says is there can be pulled from there.
    let line = format!("verify --registry {folder} --json");
    let verified = finish(rack(&machine, &line)).success();
    let verified: serde_json::Value = serde_json::from_str(&verified).unwrap();
    assert_eq!(
        verified["models"].as_array().unwrap().len(),
        2,
        "{verified}"
    );
}
