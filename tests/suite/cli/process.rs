//! What only whole processes show: pipes, interrupts, two of them at once.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::{Map, Value, json};

use super::program::{Running, finish, rack};
use crate::support::rack::{Rack, chunks_but, manifest_path};
use crate::support::registry::{digest, serve_index};
use crate::support::server::{Gate, Rule};
use crate::support::{PATIENCE, bytes};

/// An index of this many versions, none of which is anywhere.
fn many_versions(rack: &Rack, count: usize) {
    let versions: Map<String, Value> = (0..count)
        .map(|number| (format!("v{number:05}"), json!({"hash": digest(b"nothing")})))
        .collect();
    serve_index(&rack.server, &json!({"g": {"m": versions}}));
}

#[test]
fn a_reader_that_hangs_up_ends_it_quietly() {
    let machine = Rack::new();
    many_versions(&machine, 10_000);
    for line in [
        "list --remote",
        "list --remote --json",
        "list --remote --quiet",
    ] {
        // Before the first byte.
        let gate = Gate::new();
        machine.server.rule(Rule::path("/models.json").hold(&gate));
        let mut running = Running::start(rack(&machine, line));
        drop(running.child.stdout.take());
        gate.open();
        let ran = running.end();
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{line}");
        machine.server.clear_rules();
        // In the middle of it, as `head` does.
        let mut running = Running::start(rack(&machine, line));
        let mut first = String::new();
        BufReader::with_capacity(16, running.child.stdout.take().unwrap())
            .read_line(&mut first)
            .unwrap();
        let ran = running.end();
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{line}");
        assert!(!first.is_empty());
    }
    let ran = finish(rack(&machine, "list --remote --quiet"));
    assert_eq!((ran.code, ran.out.lines().count()), (0, 10_000));
}

#[test]
fn a_closed_input_and_a_pipe_cannot_be_asked() {
    let machine = Rack::with_model();
    machine.pull("g/m v1").unwrap();
    let mut command = rack(&machine, "remove g/m v1");
    command.stdin(Stdio::piped());
    let ran = finish(command);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.err.contains("pass -y"), "{}", ran.err);
    machine.assert_sample_installed();
}

#[test]
fn progress_is_plain_lines_without_a_terminal_and_absent_for_programs() {
    let machine = Rack::new();
    let report = machine.publish("g/m v1", &[("a.bin", bytes(32 * 1024, 1))]);
    // Slow enough for something to be said, a second in all.
    machine.server.rule(
        chunks_but(&[&report])
            .throttle(256 * 1024)
            .delay(std::time::Duration::from_millis(15)),
    );
    let ran = finish(rack(&machine, "pull g/m v1 --concurrency 1"));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(!ran.err.is_empty());
    for line in ran.err.lines() {
        assert!(line.starts_with("g/m v1: "), "{line}");
        assert!(line.contains("% of 32.8 KB ("), "{line}");
    }
    assert!(!ran.err.contains(['\r', '\u{1b}']), "{:?}", ran.err);
    assert!(ran.err.lines().count() <= 11, "{}", ran.err);
    for line in ["pull g/m v1 --force --json", "pull g/m v1 --force --quiet"] {
        // Nothing to be had from the store.
        finish(rack(&machine, "remove g/m v1 -y"));
        let ran = finish(rack(&machine, &format!("{line} --concurrency 1")));
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{line}");
        assert_eq!(ran.out.is_empty(), line.ends_with("quiet"), "{line}");
    }
}

#[test]
fn removing_says_that_it_waits_for_a_pull() {
    // A pull is also waited for if it has not written anything, but nobody can say so then.
    for (line, is_told) in [
        ("remove g/m v1 -y", true),
        ("remove g/m --all -y", true),
        ("remove g/m@v1 -y", true),
        ("remove g/m v1 -y --verbose", false),
    ] {
        let machine = Rack::new();
        let report = machine.publish("g/m v1", &[("a.bin", bytes(5000, 1))]);
        let (under_way, go_on) = (Gate::new(), Gate::new());
        let open = under_way.clone();
        let held = match is_told {
            true => chunks_but(&[&report]),
            false => Rule::path(manifest_path(&report)),
        };
        let held = held.on_request(move || open.open());
        machine.server.rule(held.hold(&go_on));
        let pull = Running::start(rack(&machine, "pull g/m v1"));
        assert!(under_way.wait(PATIENCE));
        let waits = move |_, line: &str| match is_told {
            true => line == "Waiting for the pull of g/m v1 to end",
            false => line.contains("waiting for a pull to end"),
        };
        let remove = Running::watch(rack(&machine, line), waits);
        remove.wait();
        go_on.open();
        assert_eq!(pull.end().code, 0);
        let ran = remove.end();
        assert_eq!(ran.code, 0, "{ran:?}");
        assert!(ran.out.contains("Removed g/m v1"), "{ran:?}");
        assert_eq!(machine.listed(), (vec![], vec![]));
    }
}

#[test]
fn colours_come_when_forced_and_not_when_forbidden() {
    let machine = Rack::with_model();
    let run = |variables: &[(&str, &str)]| {
        let mut command = rack(&machine, "path g/m v1");
        command.envs(variables.iter().copied());
        let ran = finish(command);
        assert_eq!(ran.code, 4);
        ran.err
    };
    assert!(!run(&[]).contains('\u{1b}'));
    assert!(run(&[("CLICOLOR_FORCE", "1")]).contains("\u{1b}["));
    assert!(!run(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]).contains('\u{1b}'));
}

#[test]
fn messages_quote_the_program_by_its_name_alone() {
    let machine = Rack::with_model();
    let ran = finish(rack(&machine, "path g/m v1"));
    assert!(
        ran.err
            .contains("hint: install it with 'rack models pull g/m v1'"),
        "{}",
        ran.err
    );
}

#[test]
fn two_processes_that_want_one_model_fetch_it_once() {
    let machine = Rack::new();
    let report = machine.publish("g/m v1", &[("a.bin", bytes(20 * 1024, 1))]);
    let gate = Gate::new();
    machine.server.rule(chunks_but(&[&report]).hold(&gate));
    let first = Running::start(rack(&machine, "pull g/m v1 --json"));
    // The first of them is at its chunks, and so has the lock.
    assert!(machine.server.wait_for("/data/", 2, PATIENCE));
    let waits = |_, line: &str| line.contains("Waiting for process");
    let second = Running::watch(rack(&machine, "pull g/m v1"), waits);
    second.wait();
    gate.open();
    let (first, second) = (first.end(), second.end());
    assert_eq!(first.json()["outcome"], "installed", "{first:?}");
    assert_eq!(second.code, 0, "{second:?}");
    assert!(
        second.out.starts_with("g/m v1 is already installed\n"),
        "{second:?}"
    );
    assert!(
        second.err.starts_with("Waiting for process "),
        "{}",
        second.err
    );
    assert_eq!(machine.chunk_requests(&[&report]).len(), report.chunks);
    assert_eq!(machine.cache(), Vec::<String>::new());
}

/// Sends the signal of Ctrl-C; false where there is no such thing.
fn interrupt(process: u32) -> bool {
    cfg!(unix)
        && Command::new("kill")
            .arg("-INT")
            .arg(process.to_string())
            .status()
            .unwrap()
            .success()
}

#[test]
fn ctrl_c_stops_where_the_next_pull_goes_on() {
    let machine = Rack::new();
    let report = machine.publish("g/m v1", &[("a.bin", bytes(10 * 1024, 1))]);
    let (gate, chunks) = (Gate::new(), chunks_but(&[&report]));
    // Five chunks come, the sixth does not.
    machine.server.rule(chunks.clone().nth(6).hold(&gate));
    let running = Running::start(rack(&machine, "pull g/m v1 --concurrency 1 --json"));
    assert!(machine.server.wait_for("/data/", 1 + 6, PATIENCE));
    if !interrupt(running.child.id()) {
        gate.open();
        running.end();
        return;
    }
    let ran = running.end();
    assert_eq!(ran.code, 130, "{ran:?}");
    assert_eq!(ran.json()["error"]["code"], "CANCELLED");
    gate.open();
    machine.server.reset_counts();
    let ran = finish(rack(&machine, "pull g/m v1 --json"));
    assert_eq!(ran.json()["bytes_resumed"], 5 * 1024, "{ran:?}");
    assert_eq!(machine.chunk_requests(&[&report]).len(), 5);
}

// It lies beside the example, which only the crate's own tests build.
#[cfg(feature = "author")]
#[test]
fn the_registry_that_comes_with_the_example_can_be_pulled() {
    let machine = Rack::new();
    let with_its_own_sources = |line: &str| {
        let mut command = rack(&machine, line);
        command
            .env_remove("RACK_MODELS_REGISTRY_URL")
            .env_remove("RACK_MODELS_CONFIG");
        finish(command)
    };
    let ran = with_its_own_sources("list --remote --source digits --json");
    assert_eq!(ran.code, 0, "{ran:?}");
    let models = ran.json()["models"].as_array().unwrap().clone();
    assert!(!models.is_empty());
    for model in models {
        let [group, name, version] =
            ["group", "model", "version"].map(|key| model[key].as_str().unwrap().to_owned());
        let ran = with_its_own_sources(&format!("pull {group}/{name} {version}"));
        assert_eq!(ran.code, 0, "{ran:?}");
    }
    let kinds = with_its_own_sources("info --json").json();
    let kinds: Vec<_> = kinds["sources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["kind"].clone())
        .collect();
    assert_eq!(kinds, ["chunked", "hub", "repository", "repository"]);
    assert_eq!(finish(rack(&machine, "verify --quiet")).code, 0);
}

#[test]
fn the_reference_cli_completes_itself_in_every_shell() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let machine = Rack::new();
        let mut command = Command::new(rack(&machine, "").get_program());
        command.env_clear().args(["completions", shell]);
        let ran = finish(command);
        let script = ran.quiet_success();
        for word in [
            "rack",
            "models",
            "verify",
            "--repair",
            #[cfg(feature = "author")]
            "registry",
        ] {
            let word = if shell == "fish" {
                word.trim_start_matches('-')
            } else {
                word
            };
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}
