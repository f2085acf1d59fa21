//! The command line and a Hub: what is shown, what is chosen, what is advised.

use modelrack::cli::Mount;

use super::{Ran, Sinks, cells, run_line, run_words};
use crate::sources::hub::machine::{Machine, WHISPER, whisper};
use crate::support::disk::write_files;
use crate::support::server::Rule;

/// `rack models <line>` on a machine whose one source is its Hub.
fn models(machine: &Machine, line: &str) -> Ran {
    run_line(&mount(machine, ""), line)
}

fn models_with_token(machine: &Machine, token: &str, line: &str) -> Ran {
    run_line(&mount(machine, token), line)
}

fn mount(machine: &Machine, token: &str) -> Mount {
    let environment = machine.rack.environment().variable("HF_TOKEN", token);
    Mount::new(machine.config()).environment(environment)
}

#[test]
fn files_and_a_type_are_chosen_with_flags() {
    let (machine, _, _) = Machine::with_whisper();
    let line = "pull hf/openai/whisper-tiny --include *.json --include onnx/ --exclude *.md \
                --type embedding --json";
    let report = models(&machine, line).json();
    assert_eq!(report["files"], 2);
    assert_eq!(report["source"], "hf");
    let listed = models(&machine, "list --type embedding --json").json();
    let model = &listed["models"][0];
    assert_eq!(model["include"], serde_json::json!(["*.json", "onnx/"]));
    assert_eq!(model["exclude"], serde_json::json!(["*.md"]));
    let shown = models(&machine, "list").success();
    assert!(shown.contains("available (some files)"), "{shown}");
    let at_terminal = run_words(&mount(&machine, ""), &["list"], Sinks::Columns(60)).success();
    assert!(
        at_terminal.contains("main     some files  "),
        "{at_terminal}"
    );
    let shown = models(&machine, "info hf/openai/whisper-tiny").success();
    assert!(
        shown.contains("*.json onnx/") && shown.contains("*.md"),
        "{shown}"
    );
    assert_eq!(
        (&model["group"], &model["model"], &model["version"]),
        (&"hf/openai".into(), &"whisper-tiny".into(), &"main".into())
    );
    assert_eq!(model["type"], "embedding");
    assert_eq!(model["status"], "available");
    assert_eq!(
        model["metadata"]["pipeline_tag"],
        "automatic-speech-recognition"
    );
    let listed = models(&machine, "list --type classification --json").json();
    assert_eq!(listed["models"], serde_json::json!([]));
    let ran = models(&machine, "pull hf/openai/whisper-tiny --include *.gguf");
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(
        ran.err
            .contains("no file of hf/openai/whisper-tiny main matches"),
        "{}",
        ran.err
    );
}

/// Most people know a model by the name that it has on the Hub.
#[test]
fn a_name_without_its_source_is_completed_in_the_hint() {
    let (machine, _, _) = Machine::with_whisper();
    for (name, hint) in [
        (
            "openai/whisper-tiny",
            "did you mean hf/openai/whisper-tiny?",
        ),
        ("gpt2", "did you mean hf/gpt2?"),
        ("a/b/c", "list all models with 'rack models list --remote'"),
    ] {
        let ran = models(&machine, &format!("pull {name}"));
        assert_eq!(ran.code, 3, "{ran:?}");
        assert!(ran.err.ends_with(&format!("hint: {hint}\n")), "{}", ran.err);
    }
    assert_eq!(machine.hub.server().requests().len(), 0);
}

/// The hint is typed as it stands.
#[test]
fn a_refusal_names_what_to_exclude() {
    let machine = Machine::new();
    let good = ["config.json", "runs/ok", "it's"];
    let bad = [
        "nul",
        "runs/12:30/a",
        "runs/12:30/b",
        "-x:y",
        "a b:c",
        "CONFIG.json",
        "b\\c",
        "[x]?",
    ];
    let files = good.into_iter().chain(bad).map(|name| (name, name));
    machine.hub.repo("o/n").commit("main", files);
    let ran = models(&machine, "pull hf/o/n");
    assert_eq!(ran.code, 1, "{ran:?}");
    let (_, options) = ran
        .err
        .split_once("hint: pull the other files with ")
        .unwrap();
    let mut words = vec!["pull", "hf/o/n"];
    for option in options.trim_end().split("--exclude").skip(1) {
        let glob = option.trim().trim_start_matches('=').trim_matches('\'');
        words.push(Box::leak(format!("--exclude={glob}").into_boxed_str()));
    }
    assert_eq!(words.len(), 2 + bad.len() - 1, "{options}");
    let ran = run_words(&mount(&machine, ""), &words, Sinks::Captured);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(machine.rack.files_of("hf/o/n main").len(), good.len());

    let many = (0..20).map(|number| (format!("x:{number}"), "x"));
    machine.hub.repo("o/many").commit("main", many);
    let ran = models(&machine, "pull hf/o/many");
    assert!(
        ran.err
            .contains("hint: pull only the files that you need with --include"),
        "{ran:?}"
    );
}

#[test]
fn a_dry_run_says_what_a_selection_costs() {
    let (machine, _, _) = Machine::with_whisper();
    let plan = models(
        &machine,
        "pull hf/openai/whisper-tiny --include *.safetensors --dry-run --json",
    );
    let plan = plan.json();
    assert_eq!(
        (&plan["files"], &plan["bytes_to_fetch"]),
        (&1.into(), &3000.into())
    );
    assert_eq!(machine.hub.server().count("/openai/"), 0);
}

#[test]
fn a_model_is_shown_before_it_is_pulled() {
    let (machine, repo, commit) = Machine::with_whisper();
    repo.gate("hf_reader");
    repo.describe(|facts| facts.tags = vec!["audio"]);
    let out = models(&machine, "info hf/openai/whisper-tiny --remote").quiet_success();
    for part in [
        "5.0 KB",
        "audio-to-text",
        "automatic-speech-recognition",
        "auto",
        "onnx/model.onnx",
        &commit,
    ] {
        assert!(out.contains(part), "{part}: {out}");
    }
    let info = models(&machine, "info hf/openai/whisper-tiny --remote --json").json();
    assert_eq!(info["commit"], commit.as_str());
    assert_eq!(info["installed"], false);
    assert_eq!(info["metadata"]["gated"], "auto");
    let tags = info["tags"].as_array().unwrap();
    assert!(tags.contains(&"audio".into()), "{tags:?}");
    let content = info["content"].as_array().unwrap();
    assert_eq!(content.len(), whisper().len());
    assert_eq!(content[0]["sha256"], serde_json::Value::Null);
    assert_eq!(content[0]["git_blob"].as_str().unwrap().len(), 40);
    assert_eq!(content[2]["sha256"].as_str().unwrap().len(), 64);
    assert_eq!(machine.hub.server().count("/openai/"), 0);
}

#[test]
fn a_search_shows_what_is_installed_and_what_has_another_commit() {
    let (machine, repo, _) = Machine::with_whisper();
    machine
        .hub
        .repo("o/whisper")
        .commit("main", [("config.json", "{}")]);
    machine.pull(WHISPER).unwrap();
    let states = || {
        let out = models(&machine, "search whisper --remote --source hf").quiet_success();
        let rows = cells(&out);
        rows.iter()
            .map(|row| (row[0].to_owned(), row[2].to_owned()))
            .collect::<Vec<_>>()
    };
    let row = |name: &str, state: &str| (name.to_owned(), state.to_owned());
    assert_eq!(
        states(),
        [row("hf/o/whisper", "-"), row(WHISPER, "installed")]
    );
    repo.commit_with("main", [("config.json", "{}")]);
    assert_eq!(states(), [row("hf/o/whisper", "-"), row(WHISPER, "update")]);
    let found = models(&machine, "search whisper --remote --json").json();
    assert_eq!(found["models"][1]["installed"], true);
    assert_eq!(found["models"][1]["type"], "audio-to-text");
    assert_eq!(found["failures"], serde_json::json!([]));
    let ran = models(&machine, "list --remote");
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.err.contains("search"), "{}", ran.err);
}

#[test]
fn models_are_listed_by_status() {
    let (machine, _, _) = Machine::with_whisper();
    machine
        .hub
        .repo("gpt2")
        .commit("main", [("config.json", "{}")]);
    machine
        .hub
        .server()
        .rule(Rule::path_starts("/cdn/").status(404));
    let ran = models(&machine, "pull hf/openai/whisper-tiny --concurrency 1");
    assert_eq!(ran.code, 5);
    let path = models(&machine, "pull hf/gpt2 --json").json()["path"].clone();
    std::fs::remove_dir_all(path.as_str().unwrap()).unwrap();
    let names = |status: &str| {
        let out = models(&machine, &format!("list --status {status}")).success();
        cells(&out)
            .iter()
            .map(|row| row[0].to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names("error"), [WHISPER]);
    assert_eq!(names("deleted"), ["hf/gpt2"]);
    for status in ["available", "pending", "downloading"] {
        assert_eq!(names(status), Vec::<String>::new(), "{status}");
    }
    let partial = &models(&machine, "list --status error --json").json()["partials"][0];
    assert_eq!(partial["status"], "error");
    assert!(
        partial["last_error"]
            .as_str()
            .unwrap()
            .contains("model.safetensors")
    );
    let ran = run_words(
        &mount(&machine, ""),
        &["list", "--status", "gone"],
        Sinks::Captured,
    );
    assert_eq!(ran.code, 2);
}

#[test]
fn each_refusal_comes_with_its_own_advice() {
    type Prepare = fn(&Machine);
    let cases: [(&str, Prepare, &str, &str, u8, &str); 9] = [
        (
            "missing",
            |_| {},
            "",
            "pull hf/o/none",
            3,
            "set HF_TOKEN to a token that may read it",
        ),
        (
            "a version",
            |_| {},
            "",
            "pull hf/o/m v9",
            3,
            "branches, tags, commits",
        ),
        (
            "private",
            |machine| machine.hub.repo("o/m").make_private("hf_reader"),
            "",
            "pull hf/o/m",
            3,
            "set HF_TOKEN to a token that may read it",
        ),
        (
            "gated",
            |machine| machine.hub.repo("o/m").gate("hf_reader"),
            "",
            "pull hf/o/m",
            8,
            "accept the terms on the web page of the model, and set HF_TOKEN",
        ),
        (
            "gated to this one",
            |machine| {
                machine.hub.token("hf_other");
                machine.hub.repo("o/m").gate("hf_reader");
            },
            "hf_other",
            "pull hf/o/m",
            8,
            "accept the terms on the web page of the model",
        ),
        (
            "a bad token",
            |machine| machine.hub.repo("o/m").make_private("hf_reader"),
            "hf_bad",
            "pull hf/o/m",
            8,
            "put a valid token with access into HF_TOKEN",
        ),
        (
            "limited",
            |machine| machine.hub.limit(100, 90),
            "",
            "pull hf/o/m",
            5,
            "set HF_TOKEN to a token to raise the limit",
        ),
        (
            "offline",
            |_| {},
            "",
            "pull hf/o/m --offline",
            5,
            "without --offline",
        ),
        (
            "no file",
            |_| {},
            "",
            "info hf/o/m",
            4,
            "install it with 'rack models pull hf/o/m'",
        ),
    ];
    for (what, prepare, token, line, code, advice) in cases {
        let machine = Machine::new();
        machine
            .hub
            .repo("o/m")
            .commit("main", [("config.json", "{}")]);
        prepare(&machine);
        let ran = models_with_token(&machine, token, line);
        assert_eq!(ran.code, code, "{what}: {ran:?}");
        assert_eq!(ran.out, "", "{what}");
        let hint = ran.err.lines().last().unwrap_or_default();
        assert!(
            hint.starts_with("hint: ") && hint.contains(advice),
            "{what}: {}",
            ran.err
        );
        assert!(!ran.err.contains("hf_"), "{what}: {}", ran.err);
    }
}

#[test]
fn the_document_of_a_limit_says_for_how_long() {
    let (machine, _, _) = Machine::with_whisper();
    machine.hub.limit(100, 90);
    let ran = models(&machine, "pull hf/openai/whisper-tiny --json");
    assert_eq!((ran.code, ran.err.as_str()), (5, ""));
    let error = &ran.json()["error"];
    assert_eq!(error["code"], "RATE_LIMITED");
    assert_eq!(error["retry_after"], 90);
}

#[test]
fn a_model_is_updated_verified_and_removed_like_any_other() {
    let (machine, repo, _) = Machine::with_whisper();
    models(&machine, "pull hf/openai/whisper-tiny").success();
    repo.commit_with("main", [("config.json", "{}")]);
    let out = models(&machine, "update").success();
    assert_eq!(
        out,
        "hf/openai/whisper-tiny main: changed, 2 B of 5.0 KB to download\n  ~ config.json\n"
    );
    models(&machine, "update --apply").success();
    assert_eq!(
        models(&machine, "verify").quiet_success(),
        "hf/openai/whisper-tiny main: ok, 5.0 KB\n"
    );
    let out = models(&machine, "path hf/openai/whisper-tiny").quiet_success();
    assert!(
        std::path::Path::new(out.trim_end())
            .join("config.json")
            .is_file()
    );
    models(&machine, "remove hf/openai/whisper-tiny -y").success();
    assert!(machine.installed().is_empty());
}

#[test]
fn a_token_that_has_expired_closes_nothing_that_is_public() {
    let (machine, repo, _) = Machine::with_whisper();
    let home = machine.rack.temp.path().join("home");
    let file = home.join(".cache").join("huggingface").join("token");
    write_files(&home, &[(".cache/huggingface/token", b"hf_old")]);
    let host = machine.hub.url().replace("http://", "");
    let warning = |origin: &str| {
        format!("warning: {host} refuses the token in {origin}, so requests go on without it\n")
    };
    let ran = models(&machine, "search whisper --remote");
    assert_eq!(
        (ran.code, ran.err),
        (0, warning(&file.display().to_string()))
    );
    let ran = models(&machine, "pull hf/openai/whisper-tiny");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.err.contains(&warning(&file.display().to_string())),
        "{}",
        ran.err
    );
    let ran = models_with_token(&machine, "hf_old", "pull hf/openai/whisper-tiny --force");
    assert!(ran.err.contains(&warning("HF_TOKEN")), "{}", ran.err);
    // What is not public says which token it was.
    repo.make_private("hf_good");
    for (token, origin) in [
        ("", file.display().to_string()),
        ("hf_older", "HF_TOKEN".to_owned()),
    ] {
        let ran = models_with_token(&machine, token, "pull hf/openai/whisper-tiny --force");
        assert_eq!(ran.code, 8, "{ran:?}");
        let said = format!("the server refuses the token in {origin} (");
        let hint =
            format!("hint: put a valid token with access into {origin}, or remove the one there\n");
        assert!(
            ran.err.contains(&said) && ran.err.ends_with(&hint),
            "{}",
            ran.err
        );
        assert!(!ran.err.contains("hf_old"), "{}", ran.err);
    }
    let pull = "pull hf/openai/whisper-tiny --force";
    for name in ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"] {
        let environment = machine.rack.environment().variable(name, "hf_good\n");
        let mount = Mount::new(machine.config()).environment(environment);
        assert_eq!(run_line(&mount, pull).code, 0, "{name}");
    }
}

#[test]
fn the_token_stays_at_home_where_the_hub_s_own_switch_says_so() {
    let (machine, _, _) = Machine::with_whisper();
    let environment = machine.rack.environment().variable("HF_TOKEN", "hf_any");
    let environment = environment.variable("HF_HUB_DISABLE_IMPLICIT_TOKEN", "YES");
    let mount = Mount::new(machine.config()).environment(environment);
    assert_eq!(run_line(&mount, "pull hf/openai/whisper-tiny").code, 0);
    let requests = machine.hub.server().requests();
    assert!(
        requests
            .iter()
            .all(|request| request.header("authorization").is_none())
    );
}
