//! `registry make`: what it is told, and what it says.

use std::path::Path;

use modelrack::cli::{Console, models_command, run};

use crate::cli::{Ran, Sinks, mount, run_words};
use crate::support::bytes;
use crate::support::disk::{names_in, write_files};
use crate::support::forge::{Forge, zip};
use crate::support::rack::Rack;
use crate::support::server::{Gate, Rule};

/// A rack with a folder of one model, which the host serves too.
fn rack() -> (Rack, Forge) {
    let (rack, forge) = (Rack::new(), Forge::start());
    let files = [("mf6/a/mfsim.nam", "one"), ("mf6/a/mfsim.lst", "x")];
    let repo = forge.repo("o/models");
    repo.commit("develop", files);
    repo.release("v1", [("all.zip", zip(&files))]);
    let files = files.map(|(name, text)| (name, text.as_bytes()));
    write_files(&rack.temp.path().join("work"), &files);
    (rack, forge)
}

fn make(rack: &Rack, forge: &Forge, words: &[&str]) -> Ran {
    let environment = rack.environment();
    let environment = environment.variable("GITHUB_SERVER_URL", forge.url());
    let output = rack.temp.path().join("output");
    let words = [&["registry", "make", "--output", text(&output)], words].concat();
    run_words(
        &mount(rack).environment(environment),
        &words,
        Sinks::Captured,
    )
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn it_says_what_was_made_and_of_what() {
    let (rack, forge) = rack();
    let path = rack.temp.path().join("output").join("models.toml");
    let archive = ["--repo", "o/models", "--ref", "develop", "--path", "mf6"];
    let said = make(&rack, &forge, &archive).quiet_success();
    assert_eq!(
        said,
        format!(
            "Made {}: 1 model, 0 examples, 1 file, 3 B ({}/o/models/archive/develop.zip)\n",
            path.display(),
            forge.url()
        )
    );
    assert_eq!(
        make(&rack, &forge, &[&archive[..], &["--quiet"]].concat()).quiet_success(),
        ""
    );
    let work = rack.temp.path().join("work");
    write_files(&work, &[("mf6/a/mfsim.nam~", b"x")]);
    let ran = make(&rack, &forge, &["--path", text(&work)]);
    assert!(ran.err.contains("left behind: mf6/a/mfsim.nam~"), "{ran:?}");

    let asset = [
        "--asset-file",
        "another.zip",
        "--repo",
        "o/models",
        "--ref",
        "v1",
        "--asset-file",
        "all.zip",
        "--json",
    ];
    let json = make(&rack, &forge, &asset).json();
    let url = format!("{}/o/models/releases/download/v1/all.zip", forge.url());
    assert_eq!(
        json,
        serde_json::json!({
            "path": text(&path), "source": url, "models": 1, "examples": 1, "files": 1,
            "total_bytes": 3, "notes": [], "left_out": [],
        })
    );
}

#[test]
fn a_path_says_whether_it_is_of_this_machine() {
    let (rack, forge) = rack();
    let work = rack.temp.path().join("work");
    let source = |words: &[&str]| {
        let json = make(&rack, &forge, &[words, &["--json"]].concat()).json();
        json["source"].as_str().unwrap_or_default().to_owned()
    };
    let named = [
        "--repo",
        "o/models",
        "--ref",
        "develop",
        "--path",
        text(&work),
    ];
    assert_eq!(source(&named), text(&work));
    assert_eq!(source(&named[4..]), text(&work));
    assert!(source(&[&named[..5], &["mf6"]].concat()).starts_with("http:"));
    assert!(source(&named[..4]).starts_with("http:"));
}

#[test]
fn what_does_not_go_together_is_refused() {
    let (rack, forge) = rack();
    let work = rack.temp.path().join("work");
    for (words, named) in [
        (&["--repo", "o/models"][..], "--ref"),
        (&["--ref", "develop"], "--repo"),
        (&["--asset-file", "all.zip"], "--repo"),
        (&["--path", text(&work), "--urls"], "URLs"),
        (
            &[
                "--repo",
                "o/models",
                "--ref",
                "v1",
                "--asset-file",
                "all.zip",
                "--path",
                text(&work),
            ],
            "--asset-file",
        ),
        (&["--path", text(&work), "--namefile", "none"], "'none'"),
        (&["--repo", "nonsense", "--ref", "v1"], "repo: 'nonsense'"),
        (&["--repo", "o/models", "--ref", "a/../b"], "refs: 'a/../b'"),
    ] {
        let ran = make(&rack, &forge, words);
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.err.contains(named), "{ran:?}");
    }
    let offline = ["--repo", "o/models", "--ref", "develop", "--offline"];
    assert_eq!(make(&rack, &forge, &offline).code, 5);
    assert_eq!(forge.server().connections(), 0);
}

#[test]
fn a_registry_may_have_another_name() {
    let (rack, forge) = rack();
    let work = rack.temp.path().join("work");
    let file = rack.temp.path().join("made").join("test.toml");
    let words = [
        "registry",
        "make",
        "--path",
        text(&work),
        "--registry",
        text(&file),
    ];
    run_words(&mount(&rack), &words, Sinks::Captured).success();
    assert_eq!(names_in(&rack.temp.path().join("made")), ["test.toml"]);
    let both = make(&rack, &forge, &words[2..]);
    assert_eq!(both.code, 2, "{both:?}");
}

#[test]
fn a_terminal_shows_how_much_of_the_archive_has_come() {
    let (rack, forge) = (Rack::new(), Forge::start());
    let noise = bytes(1_000_000, 1);
    let files = [("a/mfsim.nam", &b"one"[..]), ("a/noise", &noise)];
    forge
        .repo("o/models")
        .release("v1", [("all.zip", zip(&files))]);
    let gate = Gate::new();
    let held = Rule::path_contains("/all.zip").hold_after(600_000, &gate);
    forge.server().rule(held);
    let environment = rack.environment();
    let environment = environment.variable("GITHUB_SERVER_URL", forge.url());
    let (console, _, err) = Console::captured();
    let console = console.terminal(100, std::io::empty());
    let mount = mount(&rack).environment(environment).console(console);
    let output = rack.temp.path().join("output");
    let line = "models registry make --repo o/models --ref v1 --asset-file all.zip --output";
    let words = line.split(' ').chain([text(&output)]);
    let matches = models_command(&mount).try_get_matches_from(words).unwrap();
    let code = std::thread::scope(|scope| {
        let make = scope.spawn(|| run(&mount, &matches).code());
        while !err.text().contains(" KB / 1.0 MB") {
            assert!(!make.is_finished(), "{err:?}");
            std::thread::yield_now();
        }
        gate.open();
        make.join().unwrap()
    });
    assert_eq!(code, 0, "{err:?}");
    assert!(err.text().contains("Downloading all.zip, "), "{err:?}");
}
