//! Commands that look: `list`, `search`, `info`, `path`.

use std::fs;

use modelrack::cli::Mount;
use serde_json::{Value, json};

use super::{Sinks, cells, models, mount, run_line, run_words};
use crate::support::disk::flip;
use crate::support::rack::{Rack, sample};
use crate::support::registry::{HandMade, Publication, serve_index};
use crate::support::server::Rule;

/// `g/m v1` installed, `g/m v2` offered with an alias, `h/n v1` of a type with a description, `k/broken v1` half pulled.
fn furnished() -> Rack {
    let rack = Rack::with_model();
    rack.pull("g/m v1").unwrap();
    let described = |metadata| Publication {
        metadata,
        ..Publication::default()
    };
    let mut options = described(json!({"type": "text"}));
    options.aliases = &["latest"];
    rack.publish_as("g/m v2", &[("a.txt", b"two")], &options);
    let metadata = json!({
        "description": "Counts sheep",
        "type": "classification",
        "tags": ["night", "Wool"],
        "accuracy": "0.97",
    });
    rack.publish_as("h/n v1", &[("n.bin", b"sheep")], &described(metadata));
    rack.pull("h/n v1").unwrap();
    let broken = rack.publish("k/broken v1", &[("k.bin", crate::support::bytes(5000, 7))]);
    let rule = crate::support::rack::chunks_but(&[&broken]);
    rack.server.rule(rule.nth(3).status(404));
    let ran = models(&rack, "pull k/broken v1 --concurrency 1");
    assert_eq!(ran.code, 5, "{ran:?}");
    rack.server.clear_rules();
    rack
}

fn names(out: &str) -> Vec<String> {
    cells(out).iter().map(|row| row[..2].join(" ")).collect()
}

#[test]
fn an_empty_store_says_so_and_says_what_to_do() {
    let rack = Rack::with_model();
    let ran = models(&rack, "list");
    assert_eq!((ran.code, ran.out.as_str()), (0, ""));
    assert_eq!(
        ran.err,
        "No model is installed. 'rack models list --remote' shows what is offered.\n"
    );
    assert_eq!(models(&rack, "list --quiet").quiet_success(), "");
    let document = models(&rack, "list --json").quiet_success();
    let document: Value = serde_json::from_str(&document).unwrap();
    assert_eq!(document, json!({"models": [], "partials": []}));
    assert_eq!(rack.server.requests().len(), 0);
}

#[test]
fn list_shows_models_and_partials_and_asks_nobody() {
    let rack = furnished();
    rack.server.reset_counts();
    let out = models(&rack, "list").quiet_success();
    assert_eq!(names(&out), ["g/m v1", "h/n v1", "k/broken v1"]);
    let rows = cells(&out);
    assert_eq!(rows[0][2..4], ["available", "10.2 KB"]);
    assert_eq!(rows[2][2..4], ["failed", "2.0 KB of 5.0 KB"]);
    for status in ["error", "failed", "interrupted"] {
        let line = format!("list --status {status} --json");
        assert_eq!(
            models(&rack, &line).json()["partials"][0]["model"],
            "broken"
        );
    }
    // A terminal gets a head, and columns below it.
    let plain = mount(&rack).environment(rack.environment().variable("NO_COLOR", "1"));
    let ran = run_words(&plain, &["list"], Sinks::Terminal(""));
    let lines: Vec<&str> = ran.out.lines().collect();
    assert!(
        lines[0].starts_with("MODEL     VERSION  STATUS     SIZE"),
        "{}",
        ran.out
    );
    assert!(
        lines[1].starts_with("g/m       v1       available  10.2 KB"),
        "{}",
        ran.out
    );
    // Only what is complete, without anything else.
    assert_eq!(
        models(&rack, "list --quiet").quiet_success(),
        "g/m v1\nh/n v1\n"
    );
    let report = models(&rack, "list --json").json();
    assert_eq!(report["models"][1]["type"], "classification");
    assert_eq!(report["models"][1]["tags"], json!(["night", "Wool"]));
    assert_eq!(report["partials"][0]["bytes_done"], 2048);
    assert!(
        report["partials"][0]["last_error"]
            .as_str()
            .unwrap()
            .contains("chunk 3/5")
    );
    assert_eq!(rack.server.requests().len(), 0);
}

#[test]
fn lists_are_sorted_and_cut_and_say_what_is_left_out() {
    let rack = furnished();
    // The registry states no sizes, so nothing moves.
    for (line, expected, note) in [
        (
            "list --sort size",
            vec!["g/m v1", "h/n v1", "k/broken v1"],
            "",
        ),
        (
            "list --sort size --limit 1",
            vec!["g/m v1"],
            "2 more models not shown\n",
        ),
        (
            "list --limit 3",
            vec!["g/m v1", "h/n v1", "k/broken v1"],
            "",
        ),
        (
            "list --remote --sort size --limit 2",
            vec!["g/m latest", "g/m v1"],
            "3 more models not shown\n",
        ),
        (
            "list --remote --sort age --limit 4",
            vec!["g/m latest", "g/m v1", "g/m v2", "h/n v1"],
            "1 more model not shown\n",
        ),
    ] {
        let ran = models(&rack, line);
        assert_eq!(
            (ran.code, names(&ran.out), ran.err.as_str()),
            (
                0,
                expected.iter().map(|name| (*name).to_owned()).collect(),
                note
            ),
            "{line}"
        );
    }
    rack.pull("g/m v2").unwrap();
    let set = |version: &str, at: &str| {
        let path = rack.store().join("registry.json");
        let mut record: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        record["g"]["m"][version]["installed_at"] = at.into();
        std::fs::write(&path, record.to_string()).unwrap();
    };
    set("v1", "2026-01-02T00:00:00Z");
    set("v2", "2026-01-01T00:00:00Z");
    let out = models(&rack, "list g --sort age").quiet_success();
    assert_eq!(names(&out), ["g/m v2", "g/m v1"]);
    let out = models(&rack, "list g --filter age>30d --filter size<1KB").quiet_success();
    assert_eq!(names(&out), ["g/m v2"]);
    for line in ["list --limit 1 --json", "list --remote --limit 1 --json"] {
        let document = models(&rack, line).json();
        assert_eq!(document["models"].as_array().unwrap().len(), 1, "{line}");
        assert_eq!(
            document["not_shown"],
            if line.contains("remote") { 4 } else { 3 }
        );
    }
    let ran = models(&rack, "list --filter weight>1GB");
    assert_eq!(ran.code, 2);
    assert!(
        ran.err
            .contains("there is no field 'weight'; fields are size, age, name"),
        "{}",
        ran.err
    );
}

#[test]
fn list_narrows_by_name_status_type_and_source() {
    let rack = furnished();
    for (line, expected) in [
        ("list g", vec!["g/m v1"]),
        ("list g/m", vec!["g/m v1"]),
        ("list k/broken", vec!["k/broken v1"]),
        ("list h/n", vec!["h/n v1"]),
        ("list g/", vec![]),
        ("list m", vec![]),
        ("list --status available", vec!["g/m v1", "h/n v1"]),
        ("list --status error", vec!["k/broken v1"]),
        ("list --status downloading", vec![]),
        ("list --type classification", vec!["h/n v1"]),
        ("list --type text", vec![]),
        ("list --remote g", vec!["g/m latest", "g/m v1", "g/m v2"]),
        ("list --remote --type text", vec!["g/m latest", "g/m v2"]),
        ("list --remote nothing", vec![]),
        ("list --filter size>1KB", vec!["g/m v1", "k/broken v1"]),
        (
            "list --filter size>1KB --filter status=error",
            vec!["k/broken v1"],
        ),
        (
            "list --filter age<1h",
            vec!["g/m v1", "h/n v1", "k/broken v1"],
        ),
        ("list --filter age>1h", vec![]),
        (
            "list --remote --filter name=g/*",
            vec!["g/m latest", "g/m v1", "g/m v2"],
        ),
        (
            "list --remote --filter status=absent",
            vec!["g/m latest", "g/m v2", "k/broken v1"],
        ),
    ] {
        let ran = models(&rack, line);
        assert_eq!(names(&ran.out), expected, "{line}");
        assert_eq!(
            ran.err.is_empty(),
            !expected.is_empty(),
            "{line}: {}",
            ran.err
        );
    }
    let ran = models(&rack, "list nothing");
    assert!(
        ran.err.starts_with("No installed model matches."),
        "{}",
        ran.err
    );
}

#[test]
fn a_source_is_meant_by_its_key_and_by_its_name() {
    let rack = Rack::new();
    HandMade::plain(&[("x", b"x")], 1).serve_as(&rack.server, "g", "m", "v1");
    let toml = format!(
        "[sources.one]\nurl = \"{}\"\nname = \"first\"\n",
        rack.server.url()
    );
    let mount = Mount::new(rack.bare_config().bootstrap(toml)).environment(rack.environment());
    run_line(&mount, "pull first/g/m v1").success();
    for source in ["one", "first"] {
        for line in ["list", "list --remote"] {
            let ran = run_line(&mount, &format!("{line} --source {source}"));
            assert_eq!(names(&ran.success()), ["first/g/m v1"], "{line}");
        }
    }
    let ran = run_line(&mount, "list --source on");
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("did you mean 'one'?"), "{}", ran.err);
}

#[test]
fn list_remote_marks_what_is_installed_and_what_changed() {
    let rack = furnished();
    rack.publish("h/n v1", &[("n.bin", b"other sheep")]);
    let out = models(&rack, "list --remote").quiet_success();
    let rows = cells(&out);
    let shown: Vec<_> = rows
        .iter()
        .map(|row| (row[0], row[1], row[2], row[5]))
        .collect();
    assert_eq!(
        shown,
        [
            ("g/m", "latest", "-", "= v2"),
            ("g/m", "v1", "installed", "-"),
            ("g/m", "v2", "-", "-"),
            ("h/n", "v1", "update", "-"),
            ("k/broken", "v1", "-", "-"),
        ]
    );
    let quiet = models(&rack, "list --remote --quiet").quiet_success();
    assert_eq!(quiet.lines().next(), Some("g/m latest"));
    let report = models(&rack, "list --remote --json").json();
    assert_eq!(report["models"][0]["alias_of"], "v2");
    assert_eq!(report["models"][1]["installed"], true);
}

#[test]
fn search_finds_words_in_names_descriptions_types_and_tags() {
    let rack = furnished();
    for (line, expected) in [
        (&["search", "SHEEP"][..], vec!["h/n v1"]),
        (&["search", "wool counts"], vec!["h/n v1"]),
        (&["search", "wool", "counts"], vec!["h/n v1"]),
        (
            &["search", "--remote", "wool", "counts h/n"],
            vec!["h/n v1"],
        ),
        (&["search", "wool cattle"], vec![]),
        (&["search", "wool", "cattle"], vec![]),
        (&["search", "g/m"], vec!["g/m v1"]),
        (&["search", "text"], vec![]),
        (
            &["search", "text", "--remote"],
            vec!["g/m latest", "g/m v2"],
        ),
        (&["search", "classif", "--remote"], vec!["h/n v1"]),
        (&["search", "nowhere", "--remote"], vec![]),
    ] {
        let ran = run_words(&mount(&rack), line, Sinks::Captured);
        assert_eq!(ran.code, 0);
        assert_eq!(names(&ran.out), expected, "{line:?}");
        assert_eq!(
            ran.err.is_empty(),
            !expected.is_empty(),
            "{line:?}: {}",
            ran.err
        );
    }
    for line in ["search sheep --quiet", "search sheep --quiet --remote"] {
        assert_eq!(models(&rack, line).quiet_success(), "h/n v1\n", "{line}");
        let words: Vec<&str> = line.split(' ').collect();
        let ran = run_words(&mount(&rack), &words, Sinks::Terminal(""));
        assert_eq!(ran.out, "h/n v1\n", "{line}");
    }
    let row = models(&rack, "search sheep").quiet_success();
    assert_eq!(cells(&row)[0][2..4], ["available", "5 B"]);
    let report = models(&rack, "search sheep --json").json();
    assert_eq!(report["models"][0]["model"], "n");
}

#[test]
fn info_without_a_model_shows_the_sources_and_asks_nobody() {
    let rack = Rack::with_model();
    let out = models(&rack, "info").quiet_success();
    assert_eq!(
        cells(&out),
        [[
            "-",
            "-",
            "chunked",
            &format!("{}/", rack.server.url()),
            "-",
            "not cached",
            "-",
            "-",
            "-",
            "-"
        ]]
    );
    assert_eq!(rack.server.requests().len(), 0);
    models(&rack, "list --remote").success();
    let report = models(&rack, "info --json").json();
    assert_eq!(report["sources"][0]["versions"], 1);
    assert!(
        report["sources"][0]["fetched_at"]
            .as_str()
            .unwrap()
            .ends_with('Z')
    );
}

#[test]
fn whoever_has_no_source_reads_what_to_write_and_where() {
    let rack = Rack::new();
    let file = rack.temp.path().join("models.toml");
    let environment = rack.environment().variable("RACK_MODELS_CONFIG", &file);
    let mount = Mount::new(rack.bare_config()).environment(environment);
    let how = format!(
        "write a source into {}, or set RACK_MODELS_REGISTRY_URL to the URL of a registry",
        file.display()
    );
    fs::write(&file, "").unwrap();
    let said = run_line(&mount, "info").err;
    let lines = said.strip_prefix(&format!("No source is configured: {how}.\n"));
    let lines: Vec<&str> = lines.unwrap().lines().map(str::trim).collect();
    let error = run_line(&mount, "pull g/m");
    assert_eq!(error.code, 1);
    assert!(error.err.contains(&format!("hint: {how}\n")), "{error:?}");
    let copied: Vec<&str> = error.err.lines().skip(2).map(str::trim).collect();
    assert_eq!(copied, lines);
    let error = run_line(&mount, "pull g/m --json");
    assert_eq!(error.json()["error"]["hint"], how);
    assert_eq!(error.err, "");
    // As they are, and with each of what the comment offers instead.
    let [table, url, others, oci] = *lines else {
        panic!("{lines:?}")
    };
    let (hub, repo) = others.split_once(", or: ").unwrap();
    for (line, kind) in [
        (url, "chunked"),
        (hub.strip_prefix("# or: ").unwrap(), "hub"),
        (repo, "repository"),
        (oci.strip_prefix("# or: ").unwrap(), "oci"),
    ] {
        fs::write(&file, format!("{table}\n{line}\n{others}\n")).unwrap();
        let sources = run_line(&mount, "info --json").json();
        assert_eq!(sources["sources"][0]["kind"], kind, "{line}");
    }
}

#[test]
fn info_shows_a_model_here_or_at_its_source() {
    let rack = furnished();
    let out = models(&rack, "info h/n").quiet_success();
    for line in [
        "model:       h/n\n",
        "version:     v1\n",
        "size:        5 B in 1 file\n",
        "description: Counts sheep\n",
        "accuracy:    0.97\n",
    ] {
        assert!(out.contains(line), "{line}: {out}");
    }
    assert!(
        out.contains(&rack.dir_of("h/n v1").display().to_string()),
        "{out}"
    );
    assert!(out.contains("\nn.bin\t5 B\t"), "{out}");
    assert!(
        !models(&rack, "info h/n --quiet")
            .quiet_success()
            .contains("n.bin")
    );
    let report = models(&rack, "info h/n v1 --json").json();
    assert_eq!(report["content"][0]["path"], "n.bin");

    rack.server.reset_counts();
    let out = models(&rack, "info g/m@latest --remote").quiet_success();
    for line in [
        "version:   latest\n",
        "installed: no\n",
        "alias of:  v2\n",
        "type:      text\n",
        "\na.txt\t3 B\t",
    ] {
        assert!(out.contains(line), "{line}: {out}");
    }
    assert_eq!(rack.data_requests().len(), 1, "the manifest and no chunk");
    let report = models(&rack, "info h/n v1 --remote --json").json();
    assert_eq!(report["installed"], true);
    assert_eq!(models(&rack, "info g/m v2").code, 4);
}

#[test]
fn info_of_several_versions_lists_them() {
    let rack = furnished();
    rack.pull("g/m latest").unwrap();
    rack.server.reset_counts();
    let out = models(&rack, "info g/m").quiet_success();
    assert_eq!(names(&out), ["g/m latest", "g/m v1"]);
    assert_eq!(cells(&out)[1][2..4], ["available", "10.2 KB"]);
    assert_eq!(rack.server.requests().len(), 0);
    let report = models(&rack, "info g/m --json").json();
    assert_eq!(report["models"].as_array().unwrap().len(), 2);
    assert_eq!(report["partials"], json!([]));

    let out = models(&rack, "info g/m --remote").quiet_success();
    let rows = cells(&out);
    let shown = rows.iter().map(|row| (row[1], row[2], row[5]));
    let expected = [
        ("latest", "installed", "= v2"),
        ("v1", "installed", "-"),
        ("v2", "-", "-"),
    ];
    assert_eq!(shown.collect::<Vec<_>>(), expected);
    assert_eq!(rack.data_requests(), Vec::<String>::new());
    let report = models(&rack, "info g/m --remote --json").json();
    assert_eq!(report["models"][0]["alias_of"], "v2");
}

#[test]
fn info_of_a_source_shows_it_alone() {
    let rack = Rack::with_model();
    let url = rack.server.url();
    let toml = format!(
        "[sources.one]\nurl = \"{url}\"\nname = \"first\"\n[sources.two]\nurl = \"{url}/2\"\n"
    );
    let environment = rack.environment().variable("NO_COLOR", "1");
    let mount = Mount::new(rack.bare_config().bootstrap(toml)).environment(environment);
    for word in ["one", "first"] {
        let out = run_line(&mount, &format!("info {word}")).quiet_success();
        let rows = cells(&out);
        assert_eq!((rows.len(), &rows[0][..2]), (1, &["one", "first"][..]));
        let report = run_line(&mount, &format!("info {word} --json")).json();
        let sources = report["sources"].as_array().unwrap();
        assert_eq!((sources.len(), &sources[0]["key"]), (1, &json!("one")));
        let ran = run_words(&mount, &["info", word], Sinks::Terminal(""));
        assert!(ran.out.starts_with("first  ("), "{ran:?}");
        assert_eq!(ran.out.lines().count(), 2, "{ran:?}");
    }
    assert_eq!(rack.server.requests().len(), 0);
    assert_eq!(run_line(&mount, "info fir").code, 4);
    // A model comes before a source of the same name.
    run_line(&mount, "pull first/g/m v1").success();
    let other = Mount::new(rack.bare_config().bootstrap(
        "[sources.other]\nname = \"first/g/m\"\nurl = \"https://models.example.org\"\n",
    ));
    let other = other.environment(rack.environment());
    let out = run_line(&other, "info first/g/m").quiet_success();
    assert!(out.starts_with("model:"), "{out}");
}

#[test]
fn path_prints_the_folder_and_nothing_else() {
    let rack = Rack::with_model();
    rack.pull("g/m v1").unwrap();
    let expected = rack.dir_of("g/m v1").display().to_string();
    for line in [
        "path g/m v1",
        "path g/m@v1",
        "path g/m",
        "path g/m v1 --quiet",
    ] {
        let out = models(&rack, line).quiet_success();
        assert_eq!(out, format!("{expected}\n"), "{line}");
    }
    assert_eq!(
        models(&rack, "path g/m --json").json(),
        json!({"path": expected})
    );
}

#[test]
fn looking_goes_on_offline_with_what_is_cached() {
    let rack = furnished();
    models(&rack, "list --remote").success();
    rack.server.reset_counts();
    rack.server.rule(Rule::any().reset());
    for line in [
        "list --remote --offline",
        "search sheep --remote --offline",
        "info g/m v1 --remote --offline",
        "--offline list --remote",
        "update --offline",
        "verify --offline",
    ] {
        assert_eq!(models(&rack, line).code, 0, "{line}");
    }
    assert_eq!(models(&rack, "info g/m v2 --remote --offline").code, 5);
    let environment = rack.environment().variable("RACK_MODELS_OFFLINE", "1");
    let ran = run_line(&mount(&rack).environment(environment), "list --remote");
    assert_eq!(ran.code, 0);
    assert_eq!(rack.server.requests().len(), 0);
}

#[test]
fn models_without_a_group_are_listed_by_their_name() {
    let rack = Rack::new();
    let made = HandMade::plain(&sample_refs(), 64);
    let hash = made.serve(&rack.server);
    serve_index(
        &rack.server,
        &json!({"": {"gpt2": {"main": {"hash": hash}}}}),
    );
    models(&rack, "pull gpt2").success();
    assert_eq!(names(&models(&rack, "list gpt2").out), ["gpt2 main"]);
    assert_eq!(
        models(&rack, "list --json").json()["models"][0]["group"],
        ""
    );
}

fn sample_refs() -> Vec<(&'static str, &'static [u8])> {
    let names = sample().into_iter().map(|(name, _)| name);
    names.map(|name| (name, &b"bytes"[..])).collect()
}

#[test]
fn entries_that_are_left_out_are_said_once() {
    let rack = Rack::with_model();
    let hash = "a".repeat(64);
    let versions = json!({"v": {"hash": hash}, "w": {"hash": "zz"}});
    serve_index(
        &rack.server,
        &json!({"con": {"m": versions}, "g": {"m": versions}}),
    );
    let expected = "warning: 2 entries of the registry are left out: the name 'con' has a component that Windows reserves for a device; g/m: version 'w': ";
    for line in [
        "list --remote",
        "search --remote g",
        "sync",
        "pull g/* --dry-run",
    ] {
        let ran = models(&rack, line);
        let warnings = ran.err.lines().filter(|line| line.starts_with("warning: "));
        let warnings: Vec<_> = warnings.collect();
        assert_eq!(warnings.len(), 1, "{line}: {ran:?}");
        assert!(warnings[0].starts_with(expected), "{line}: {ran:?}");
    }
    let listed = models(&rack, "list --remote --json").json();
    assert_eq!(listed["models"].as_array().unwrap().len(), 1);
    assert_eq!(models(&rack, "list --remote --quiet").err, "");
    // Who names a model hears nothing of others.
    assert_eq!(
        models(&rack, "info g/m --remote")
            .err
            .matches("warning")
            .count(),
        0
    );
}

#[test]
fn what_a_power_cut_took_is_listed_named_and_repaired() {
    let rack = Rack::with_model();
    rack.pull("g/m v1").unwrap();
    let mut record = rack.record();
    record["g"]["m"]["v1"]["unsettled"] = json!("another boot");
    std::fs::write(rack.store().join("registry.json"), record.to_string()).unwrap();
    flip(&rack.dir_of("g/m v1").join("labels.txt"), 0);
    let status = || models(&rack, "list --json").json()["models"][0]["status"].clone();
    assert_eq!(status(), "unverified");
    let listed = models(&rack, "list --status unverified --quiet").success();
    assert_eq!(listed.trim(), "g/m v1");
    for line in ["path g/m v1", "info g/m v1"] {
        let ran = models(&rack, line);
        assert_eq!((ran.code, ran.out.as_str()), (6, ""), "{ran:?}");
        for told in ["'labels.txt' was lost", "models verify --repair g/m v1'"] {
            assert!(ran.err.contains(told), "{ran:?}");
        }
    }
    models(&rack, "verify --repair g/m v1").success();
    assert_eq!(status(), "available");
    models(&rack, "path g/m v1").quiet_success();
}
