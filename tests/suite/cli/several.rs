//! Commands that take several models.

use modelrack::cli::Mount;
use serde_json::json;

use super::{Ran, Sinks, models, mount, run_line, run_words};
use crate::sources::repository::models::{ModelsToml, below, small_models};
use crate::support::disk::flip;
use crate::support::forge::{Forge, zip};
use crate::support::rack::{Rack, chunks_but};
use crate::support::registry::digest;

/// `g/m v1`, and `h/n` in two versions, offered.
fn offered() -> Rack {
    let rack = Rack::with_model();
    rack.publish("h/n v1", &[("n.txt", b"one")]);
    rack.publish("h/n v2", &[("n.txt", b"two!")]);
    rack
}

/// The same, with `g/m v1` and `h/n v1` installed.
fn installed() -> Rack {
    let rack = offered();
    rack.pull("g/m v1").unwrap();
    rack.pull("h/n v1").unwrap();
    rack.server.reset_counts();
    rack
}

#[test]
fn several_pulls_end_as_those_of_a_pattern_do() {
    let rack = offered();
    let out = models(&rack, "pull g/m h/n@v2 --dry-run").quiet_success();
    let expected = "g/m\tv1\t-\t3 files\t10.2 KB\nh/n\tv2\t-\t1 file\t4 B\n";
    assert_eq!(out, expected);
    let out = models(&rack, "pull h/n@v2 g/m h/n@v2 h/n@v1").success();
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 4, "each once, and a sum: {out}");
    for (line, beginning) in lines.iter().zip([
        "Installed g/m v1: 3 files, 10.2 KB; ",
        "Installed h/n v1: 1 file, 3 B; ",
        "Installed h/n v2: 1 file, 4 B; ",
        "3 models: 10.2 KB downloaded",
    ]) {
        assert!(line.starts_with(beginning), "{out}");
    }
    rack.assert_files("h/n v2", &[("n.txt", b"two!")]);
    let report = models(&rack, "pull g/m h/n@v2 --json").json();
    let all = report["models"].as_array().unwrap();
    let outcomes: Vec<_> = all.iter().map(|one| &one["outcome"]).collect();
    assert_eq!(outcomes, ["already_installed"; 2]);
    assert_eq!(
        (&report["failed"], &report["bytes_archives"]),
        (&json!([]), &json!(0))
    );
    // With patterns, too; and one model is a document of its own, as ever.
    let report = models(&rack, "pull h/* g/m --json").json();
    assert_eq!(report["models"].as_array().unwrap().len(), 3);
    assert_eq!(models(&rack, "pull g/m --json").json()["model"], "m");
}

#[test]
fn a_pull_that_fails_stops_no_other() {
    let rack = offered();
    let ran = models(&rack, "pull g/mm h/n@v9 g/m");
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(
        ran.out.ends_with("1 model, 2 failed: 10.2 KB downloaded\n"),
        "{ran:?}"
    );
    // On a busy machine, a pull takes so long that it has a line of progress.
    let said = ran.err.lines().filter(|line| !line.contains("elapsed:"));
    let said: Vec<&str> = said.collect();
    let expected = [
        "Failed: pull g/mm: no source offers the model 'g/mm'",
        "hint: did you mean g/m?",
        "Failed: pull h/n@v9: model 'h/n' has no version 'v9'",
        "hint: did you mean v1 or v2?",
    ];
    assert_eq!(said, expected);
    rack.assert_sample_installed();
    let broken = rack.publish("k/broken v1", &[("k.bin", crate::support::bytes(5000, 7))]);
    let other = rack.publish("h/n v3", &[("n.txt", b"three")]);
    let chunk = format!("/data/{}", digest(b"three"));
    let chunks = chunks_but(&[&broken, &other]).and(move |request| request.path != chunk);
    rack.server.rule(chunks.status(404));
    let ran = models(&rack, "pull k/broken h/n@v3 g/mm --json");
    assert_eq!(ran.code, 3, "{ran:?}");
    let report = ran.json();
    assert_eq!(report["models"][0]["version"], "v3", "{report}");
    let failed = &report["failed"];
    assert_eq!(
        (&failed[0]["address"], &failed[0]["error"]["code"]),
        (&json!("g/mm"), &json!("MODEL_NOT_FOUND"))
    );
    assert_eq!(failed[1]["address"], "k/broken v1");
    assert_eq!(
        (&failed[1]["model"], &failed[1]["error"]["code"]),
        (&json!("broken"), &json!("NETWORK_ERROR"))
    );
    assert_eq!(models(&rack, "pull g/m ../m").code, 2);
}

#[test]
fn a_second_word_is_the_version_unless_it_is_a_model() {
    let rack = offered();
    rack.publish("g/m h/n", &[("x", b"a version")]);
    let pulled = |rack: &Rack, line: &str| {
        let report = models(rack, &format!("pull {line} --json")).json();
        let name =
            |of: &serde_json::Value| format!("{} {}", of["model"], of["version"]).replace('"', "");
        match report["models"].as_array() {
            Some(all) => all.iter().map(name).collect::<Vec<_>>(),
            None => vec![name(&report)],
        }
    };
    // Nothing is known of either, so the source is asked; h/n is one of its models, and g/m has such a version.
    let fresh = offered();
    assert_eq!(pulled(&fresh, "h/n@v1 g/m"), ["m v1", "n v1"]);
    assert_eq!(pulled(&offered(), "g/m h/n@v1"), ["m v1", "n v1"]);
    assert_eq!(pulled(&offered(), "g/m h/*").len(), 3);
    models(&rack, "list --remote").success();
    assert_eq!(
        pulled(&rack, "g/m h/n"),
        ["m h/n"],
        "a version that is known comes first"
    );
    assert_eq!(pulled(&rack, "h/n v1"), ["n v1"]);
    assert_eq!(models(&rack, "pull h/n@v1 v2").code, 2, "two versions");
    let ran = models(&rack, "pull h/n v1 v2 g/m");
    let expected = "'v2' is no model; several versions of one are written 'h/n@v1 h/n@v2'";
    assert!(ran.code == 2 && ran.err.contains(expected), "{ran:?}");
}

#[test]
fn models_without_a_group_are_told_from_versions_too() {
    let rack = Rack::new();
    rack.publish("tiny v1", &[("t.bin", b"tiny")]);
    rack.publish("base v1", &[("b.bin", b"base")]);
    models(&rack, "pull tiny base").success();
    assert_eq!(rack.listed().0, ["base v1", "tiny v1"]);
    let out = models(&rack, "pull tiny v1 --dry-run").quiet_success();
    assert_eq!(out, "tiny v1 is already installed\n");
    models(&rack, "remove tiny v1 -y").success();
    models(&rack, "pull tiny v1").success();
    models(&rack, "remove tiny base -y").success();
    assert_eq!(rack.listed().0, Vec::<String>::new());
}

#[test]
fn a_branch_with_slashes_is_told_from_a_model_without_asking() {
    let (rack, forge) = (Rack::new(), Forge::start());
    let files = small_models();
    let registry = ModelsToml::of(&files).root("mf6");
    let repo = forge.repo("o/models");
    let tree = below("mf6", &files);
    let registry = (".registry/models.toml".to_owned(), registry.into());
    repo.commit("feature/x", tree.into_iter().chain([registry]));
    let sources = format!(
        "[sources.testmodels]\nrepo = \"o/models\"\nname = \"mf6/test\"\nserver = \"{}\"\nrefs = [\"feature/x\"]\n",
        forge.url()
    );
    let mount = Mount::new(rack.bare_config().bootstrap(sources)).environment(rack.environment());
    // By the name of its source, even if nothing else is known of it.
    for second in ["mf6/test/other", "testmodels/other"] {
        let line = format!("pull mf6/test/test001a_Tharmonic {second} --json");
        let report = run_line(&mount, &line).json();
        assert_eq!(report["failed"][1]["address"], second, "{report}");
    }
    assert_eq!(forge.server().connections(), 0);
    run_line(&mount, "sync").success();
    forge.server().reset_counts();
    let planned = |line: &str| run_line(&mount, &format!("pull {line} --dry-run")).success();
    let one = planned("mf6/test/test001a_Tharmonic feature/x");
    assert!(one.starts_with("model:"), "{one}");
    for second in [
        "mf6/test/ex-gwf-twri01",
        "testmodels@feature/x/ex-gwf-twri01",
    ] {
        let two = planned(&format!("mf6/test/test001a_Tharmonic {second}"));
        assert_eq!(two.lines().count(), 2, "{two}");
    }
    let is_lookup = |path: &str| !path.contains("test001a") && !path.contains("twri");
    let requests = forge.server().requests();
    assert!(
        !requests.iter().any(|it| is_lookup(&it.path)),
        "{requests:?}"
    );
}

fn typed(rack: &Rack, line: &str, typed: &'static str) -> Ran {
    let words: Vec<&str> = line.split(' ').collect();
    run_words(&mount(rack), &words, Sinks::Terminal(typed))
}

#[test]
fn several_are_removed_after_one_question() {
    let rack = installed();
    let question = "Remove g/m v1 (10.2 KB), h/n v1 (3 B)? [y/N] ";
    let ran = typed(&rack, "remove g/m h/n", "n\n");
    assert!(ran.err.starts_with(question), "{ran:?}");
    assert_eq!((ran.code, rack.listed().0.len()), (1, 2));
    let ran = typed(&rack, "remove g/m h/n g/m@v1", "y\n");
    assert_eq!((ran.code, ran.err.as_str()), (0, question));
    assert_eq!(ran.out, "Removed g/m v1\nRemoved h/n v1\nFreed 10.2 KB\n");

    let rack = installed();
    rack.pull("h/n v2").unwrap();
    rack.server.reset_counts();
    let ran = models(&rack, "remove g/m@v7 h/n g/m@v1 -y --json");
    assert_eq!(ran.code, 2, "{ran:?}");
    let report = ran.json();
    assert_eq!(report["removed"][0]["model"], "m");
    let failed = report["failed"].as_array().unwrap();
    let failed = failed
        .iter()
        .map(|of| (&of["address"], &of["error"]["code"]));
    let expected = [
        // That is seen before anything is removed.
        (&json!("h/n"), &json!("INVALID_REF")),
        (&json!("g/m@v7"), &json!("NOT_INSTALLED")),
    ];
    assert_eq!(failed.collect::<Vec<_>>(), expected);
    assert_eq!(rack.listed().0, ["h/n v1", "h/n v2"]);
    let ran = models(&rack, "remove k/none h/n --all -y");
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (4, "Removed h/n v1\nRemoved h/n v2\nFreed 7 B\n")
    );
    assert_eq!(models(&rack, "remove g/m h/n -y").code, 4);
    assert_eq!(rack.server.requests().len(), 0);
}

#[test]
fn several_are_verified_and_the_damage_of_one_is_told() {
    let rack = installed();
    rack.pull("h/n v2").unwrap();
    let out = models(&rack, "verify g/m h/n h/n@v1").quiet_success();
    assert_eq!(out.lines().count(), 3, "all versions of the second: {out}");
    flip(&rack.dir_of("h/n v2").join("n.txt"), 0);
    let ran = models(&rack, "verify g/m h/n@v2 --json");
    assert_eq!((ran.code, &ran.json()["failed"]), (6, &json!([])));
    let ran = models(&rack, "verify k/none h/n@v2");
    assert_eq!(ran.code, 4, "{ran:?}");
    assert_eq!(ran.out, "h/n v2: damaged\n  n.txt: wrong digest\n");
    assert!(ran.err.starts_with("Failed: "), "{ran:?}");
    models(&rack, "verify g/m h/n@v2 --repair").success();
    rack.assert_files("h/n v2", &[("n.txt", b"two!")]);
}

/// The addresses and commands that the design of modflow-devtools prints.
#[test]
fn what_modellers_type_works_as_it_is_printed() {
    let (rack, forge) = (Rack::new(), Forge::start());
    let files = small_models();
    let listed = |registry: ModelsToml| (".registry/models.toml".to_owned(), registry.into());
    let folder = below("mf6", &files);
    let folder = folder
        .into_iter()
        .chain([listed(ModelsToml::of(&files).root("mf6"))]);
    forge.repo("o/testmodels").commit("develop", folder);
    let examples = forge.repo("o/examples");
    let zip = zip(&files);
    let registry: Vec<u8> = ModelsToml::of(&files).into();
    examples.release(
        "v1.2.3",
        [("models.toml", registry), ("mf6examples.zip", zip)],
    );
    let sources = [
        ("examples", "example", "v1.2.3"),
        ("testmodels", "test", "develop"),
    ];
    let sources = sources.map(|(key, name, reference)| {
        format!(
            "[sources.modflow6-{key}]\nrepo = \"o/{key}\"\nname = \"mf6/{name}\"\nserver = \"{}\"\nrefs = [\"{reference}\"]\n",
            forge.url()
        )
    });
    let mount = Mount::new(rack.bare_config().bootstrap(sources.concat()));
    let mount = mount.environment(rack.environment());
    for line in [
        "info",
        "sync",
        "sync --force",
        "sync --source modflow6-testmodels",
        "sync --source modflow6-testmodels --ref develop",
        "sync --repo o/examples --ref v1.2.3",
        "info modflow6-testmodels",
        "list --remote --verbose",
        "list --remote --source mf6/test",
        "list --remote --source mf6/test --ref develop --verbose",
        "pull modflow6-examples@v1.2.3/ex-gwf-twri01",
        "pull modflow6-testmodels@develop/mf6/test001a_Tharmonic",
        "clear --source mf6/test --ref develop --force",
        "clear --force",
        "clean --force",
    ] {
        let ran = run_line(&mount, line);
        assert_eq!(ran.code, 0, "{line}: {ran:?}");
    }
    let expected = [
        "mf6/example/ex-gwf-twri01 v1.2.3",
        "mf6/test/test001a_Tharmonic develop",
    ];
    assert_eq!(rack.listed().0, expected);
    let report = run_line(&mount, "info --json").json();
    let cached = |source: &serde_json::Value| source["refs"][0]["cached"] == true;
    let sources = report["sources"].as_array().unwrap();
    assert!(!sources.iter().any(cached), "{report}");
}
