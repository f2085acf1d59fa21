//! Commands that change the store: `pull`, `remove`, `update`, `verify`, `copy`, `prune`.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::json;

use super::{Sinks, models, mount, run_words};
use crate::support::disk::{files_below, names_in, write_files};
use crate::support::rack::{Rack, sample};
use crate::support::registry::HandMade;
use crate::support::server::Rule;

#[test]
fn pull_says_what_it_took_and_the_second_one_says_that_it_is_there() {
    let rack = Rack::with_model();
    let ran = models(&rack, "pull g/m v1");
    assert_eq!(ran.code, 0);
    let expected = "Installed g/m v1: 3 files, 10.2 KB; downloaded 10.2 KB in ";
    assert!(ran.out.starts_with(expected), "{}", ran.out);
    // The last line is what one goes on with.
    let last = ran.out.lines().last();
    assert_eq!(last, Some(&*rack.dir_of("g/m v1").display().to_string()));
    rack.assert_sample_installed();
    rack.server.reset_counts();
    for line in ["pull g/m v1", "pull g/m@v1", "pull g/m"] {
        let out = models(&rack, line).quiet_success();
        let folder = rack.dir_of("g/m v1");
        let expected = format!("g/m v1 is already installed\n{}\n", folder.display());
        assert_eq!(out, expected, "{line}");
    }
    assert_eq!(rack.data_requests(), Vec::<String>::new());
    assert_eq!(models(&rack, "pull g/m v1 --quiet").quiet_success(), "");
    let report = models(&rack, "pull g/m v1 --json").json();
    assert_eq!(report["outcome"], "already_installed");
    let out = models(&rack, "pull g/m v1 --force --concurrency 3").success();
    assert!(out.starts_with("Installed g/m v1: "), "{out}");
    rack.assert_sample_installed();
}

#[test]
fn a_dry_run_tells_the_cost_and_fetches_the_manifest_only() {
    let rack = Rack::with_model();
    let out = models(&rack, "pull g/m v1 --dry-run").quiet_success();
    for line in [
        "size:        10.2 KB in 3 files\n",
        "to download: 10.2 KB in 11 requests\n",
    ] {
        assert!(out.contains(line), "{out}");
    }
    let report = models(&rack, "pull g/m v1 --dry-run --json").json();
    assert_eq!(
        (&report["outcome"], &report["requests"]),
        (&json!("planned"), &json!(11))
    );
    assert!(!rack.store().join("registry.json").exists());
    assert_eq!(rack.cache(), Vec::<String>::new());
    assert!(rack.data_requests().len() <= 2);
    models(&rack, "pull g/m v1").success();
    let out = models(&rack, "pull g/m v1 --dry-run").quiet_success();
    assert_eq!(out, "g/m v1 is already installed\n");
    let out = models(&rack, "pull g/m v1 --dry-run --force").quiet_success();
    assert!(out.contains("from this store: 10.2 KB\n"), "{out}");
}

#[test]
fn an_alias_is_pulled_under_its_own_name() {
    let rack = Rack::new();
    let hash = HandMade::plain(&[("x", b"x")], 1).serve(&rack.server);
    let index = json!({"g": {"m": {"v1": {"hash": hash}, "latest": {"alias_of": "v1"}}}});
    crate::support::registry::serve_index(&rack.server, &index);
    let out = models(&rack, "pull g/m latest").success();
    assert!(
        out.starts_with("Installed g/m latest (= v1): 1 file, 1 B; "),
        "{out}"
    );
}

#[test]
fn remove_takes_one_version_or_all_of_them() {
    let rack = Rack::with_model();
    rack.publish("g/m v2", &sample());
    rack.publish("g/other v1", &sample());
    for model in ["g/m v1", "g/m v2", "g/other v1"] {
        rack.pull(model).unwrap();
    }
    assert_eq!(
        models(&rack, "remove g/m v1 -y").quiet_success(),
        "Removed g/m v1\nFreed 10.2 KB\n"
    );
    assert_eq!(rack.listed().0, ["g/m v2", "g/other v1"]);
    rack.pull("g/m v1").unwrap();
    let report = models(&rack, "rm g/m --all --yes --json").json();
    assert_eq!(report["removed"].as_array().unwrap().len(), 2);
    assert_eq!(rack.listed().0, ["g/other v1"]);
    assert_eq!(
        models(&rack, "remove g/other -y --quiet").quiet_success(),
        ""
    );
    assert_eq!(names_in(&rack.store().join("g")), Vec::<String>::new());
    let ran = models(&rack, "remove g/other -y");
    assert_eq!(
        (ran.code, ran.err.lines().last()),
        (
            4,
            Some("hint: list what is installed with 'rack models list'")
        )
    );
}

#[test]
fn remove_all_goes_on_past_a_failure_and_says_what_remains() {
    let rack = Rack::with_model();
    for version in ["v2", "v3"] {
        rack.publish(&format!("g/m {version}"), &sample());
    }
    for version in ["v1", "v2", "v3"] {
        rack.pull(&format!("g/m {version}")).unwrap();
    }
    // A file where the folder for the removal of v2 belongs.
    let key = crate::support::registry::digest(b"g/m v2")[..16].to_owned();
    let removal = rack.store().join("cache").join(format!("{key}-removed"));
    fs::write(&removal, "in the way").unwrap();
    let ran = models(&rack, "remove g/m --all -y");
    assert_eq!(ran.code, 7, "{ran:?}");
    assert!(
        ran.err
            .contains("1 of 3 versions remain: g/m v2: remove g/m v2: "),
        "{}",
        ran.err
    );
    assert_eq!(rack.listed().0, ["g/m v2"]);
    fs::remove_file(removal).unwrap();
    models(&rack, "remove g/m --all -y").success();
    assert_eq!(rack.listed().0, Vec::<String>::new());
}

#[test]
fn copy_keeps_folders_pulls_first_and_never_overwrites_unasked() {
    let rack = Rack::with_model();
    let workspace = rack.temp.path().join("work space");
    let place = workspace.to_str().unwrap();
    let copy = |more: &[&str]| {
        let words: Vec<&str> = ["copy", "g/m@v1", place]
            .iter()
            .chain(more)
            .copied()
            .collect();
        run_words(&mount(&rack), &words, Sinks::Captured)
    };
    let out = copy(&[]).success();
    assert_eq!(out, format!("Copied g/m v1 to {place}: 3 files\n"));
    assert_eq!(
        files_below(&workspace),
        sample()
            .into_iter()
            .map(|(name, bytes)| (name.to_owned(), bytes))
            .collect()
    );
    assert_eq!(rack.listed().0, ["g/m v1"]);
    let out = copy(&[]).quiet_success();
    assert_eq!(
        out,
        format!("Copied g/m v1 to {place}: 0 files, 3 unchanged\n")
    );
    fs::write(workspace.join("labels.txt"), "mine").unwrap();
    let ran = copy(&[]);
    assert_eq!(ran.code, 7, "{ran:?}");
    assert!(
        ran.err.contains("hint: replace it with --force"),
        "{}",
        ran.err
    );
    assert_eq!(fs::read(workspace.join("labels.txt")).unwrap(), b"mine");
    let report = copy(&["--force", "--json"]).json();
    assert_eq!(
        (&report["copied"], &report["unchanged"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(copy(&["--quiet"]).quiet_success(), "");
    // Under its short name, with the version apart.
    let other = rack.temp.path().join("other");
    let words = ["cp", "g/m", "v1", other.to_str().unwrap()];
    run_words(&mount(&rack), &words, Sinks::Captured).success();
    assert_eq!(files_below(&other).len(), 3);
}

#[test]
fn a_copy_is_no_folder_that_is_called_like_a_version() {
    let rack = Rack::with_model();
    rack.publish("g/m v2", &sample());
    rack.pull("g/m v1").unwrap();
    rack.server.reset_counts();
    // Installed; offered, as the cached index says; and at a source that has to be asked first.
    let fresh = Rack::with_model();
    for (rack, version) in [(&rack, "v1"), (&rack, "v2"), (&fresh, "v1")] {
        let ran = models(rack, &format!("copy g/m {version}"));
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{ran:?}");
        let expected = format!("'{version}' is a version of g/m, and there is no such folder: ");
        assert!(ran.err.contains(&expected), "{ran:?}");
        let advice = format!("'rack models copy g/m {version} DEST' copies that version");
        assert!(ran.err.contains(&advice), "{ran:?}");
        assert!(!Path::new(version).exists());
    }
    assert_eq!(rack.server.requests().len(), 0, "what is installed is here");
    assert_eq!(fresh.listed().0, Vec::<String>::new());
}

#[test]
fn prune_removes_what_unfinished_pulls_left() {
    let rack = Rack::with_model();
    assert_eq!(
        models(&rack, "prune").quiet_success(),
        "There is nothing to remove.\n"
    );
    let report = models(&rack, "prune --json").json();
    assert_eq!(report["removed"], json!([]));
    let manifest = rack.index()["g"]["m"]["v1"]["hash"]
        .as_str()
        .unwrap()
        .to_owned();
    let chunk = || {
        let (rule, manifest) = (Rule::path_starts("/data/"), manifest.clone());
        rule.and(move |request| !request.path.contains(&manifest))
    };
    rack.server.rule(chunk().nth(4).status(404));
    assert_eq!(models(&rack, "pull g/m v1 --concurrency 1").code, 5);
    // By when the pull has last written to it, or the folder was.
    let partial = rack.partial().unwrap();
    let debris = rack.store().join("cache").join("debris");
    let old = SystemTime::now() - Duration::from_secs(40 * 86_400);
    let journal = partial.join("journal");
    write_files(&debris, &[("x", b"12345")]);
    File::options()
        .append(true)
        .open(journal)
        .unwrap()
        .set_modified(old)
        .unwrap();
    for (line, sizes) in [
        ("prune --dry-run --json", (1, 1)),
        ("prune --dry-run --json --older-than 30d", (1, 0)),
        ("prune --dry-run --json --older-than 60d", (0, 0)),
    ] {
        let plan = models(&rack, line).json();
        let count = |key: &str| plan[key].as_array().unwrap().len();
        assert_eq!((count("removed"), count("leftovers")), sizes, "{line}");
    }
    let out = models(&rack, "prune --dry-run").quiet_success();
    assert!(out.starts_with("g/m\tv1\t3.1 KB\t"), "{out}");
    assert_eq!(rack.listed().1, ["g/m v1"]);
    let removed = models(&rack, "prune -y --older-than 60d").quiet_success();
    assert_eq!(removed, "There is nothing to remove.\n");
    let report = models(&rack, "prune -y --older-than 30d --json").json();
    assert_eq!(report["removed"][0]["model"], "m");
    assert_eq!(report["in_use"], json!([]));
    assert!(debris.exists());
    assert_eq!(models(&rack, "prune --older-than 30 -y").code, 2);
    rack.server.rule(chunk().nth(4).status(404));
    assert_eq!(models(&rack, "pull g/m v1 --concurrency 1").code, 5);
    let out = models(&rack, "prune -y").quiet_success();
    assert!(
        out.starts_with("Removed ") && out.contains("\nFreed "),
        "{out}"
    );
    assert_eq!(rack.listed().1, Vec::<String>::new());
    assert_eq!(rack.cache(), Vec::<String>::new());
}

#[test]
fn du_shows_the_largest_first_and_sums_up() {
    let rack = Rack::with_model();
    let ran = models(&rack, "du");
    assert_eq!((ran.code, ran.out.as_str()), (0, ""));
    assert_eq!(
        ran.err,
        "No model is installed, and no registry is cached.\n"
    );
    rack.publish("g/n v1", &[("n", crate::support::bytes(100_000, 1))]);
    rack.pull("g/m v1").unwrap();
    rack.pull("g/n v1").unwrap();
    let out = models(&rack, "du").quiet_success();
    let rows: Vec<Vec<&str>> = out.lines().map(|line| line.split('\t').collect()).collect();
    let kinds: Vec<[&str; 2]> = rows.iter().map(|row| [row[0], row[2]]).collect();
    assert_eq!(kinds[..2], [["g/n", "model"], ["g/m", "model"]]);
    assert_eq!(kinds[2][1], "registry");
    let terminal = run_words(&mount(&rack), &["du", "g/n@v1"], Sinks::Terminal(""));
    let lines: Vec<&str> = terminal.out.lines().collect();
    assert!(
        lines[0].starts_with("NAME  VERSION  KIND   SIZE"),
        "{lines:?}"
    );
    assert!(lines.last().unwrap().ends_with(" on the disk"), "{lines:?}");
    let report = models(&rack, "du g/n --json").json();
    assert_eq!(report["models"][0]["model"], "n");
    assert_eq!(report["models"][0]["bytes"], report["bytes"]);
    assert_eq!(report["partials"], json!([]));
    assert_eq!(models(&rack, "du g/none").code, 4);
}
