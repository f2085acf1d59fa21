//! Questions before something is destroyed.

use super::{Ran, Sinks, models, mount, run_words};
use crate::support::rack::Rack;
use crate::support::server::Rule;

/// `g/m v1` installed, and a pull of `g/m v2` cut short.
fn furnished() -> Rack {
    let rack = Rack::with_model();
    rack.pull("g/m v1").unwrap();
    let broken = rack.publish("g/m v2", &[("k.bin", crate::support::bytes(5000, 7))]);
    let rule = crate::support::rack::chunks_but(&[&broken]);
    rack.server.rule(rule.nth(3).status(404));
    assert_eq!(models(&rack, "pull g/m v2 --concurrency 1").code, 5);
    rack.server.clear_rules();
    rack.server.rule(Rule::any().reset());
    rack
}

fn typed(rack: &Rack, line: &str, typed: &'static str) -> Ran {
    let words: Vec<&str> = line.split(' ').collect();
    run_words(&mount(rack), &words, Sinks::Terminal(typed))
}

const QUESTIONS: [(&str, &str); 4] = [
    ("remove g/m v1", "Remove g/m v1 (10.2 KB)? [y/N] "),
    (
        "remove g/m --all",
        "Remove 1 version and 1 unfinished pull of g/m (12.2 KB)? [y/N] ",
    ),
    (
        "remove g/m v2",
        "Remove the unfinished pull of g/m v2 (2.0 KB)? [y/N] ",
    ),
    ("prune", "Remove 1 unfinished pull (2.0 KB)? [y/N] "),
];

fn is_done(rack: &Rack, line: &str) -> bool {
    let (models, partials) = rack.listed();
    match line {
        "prune" | "remove g/m v2" => partials.is_empty(),
        "remove g/m --all" => partials.is_empty() && models.is_empty(),
        _ => models.is_empty(),
    }
}

#[test]
fn a_clear_yes_is_a_yes() {
    for (line, question) in QUESTIONS {
        for answer in ["y\n", "YES\r\n", " yes"] {
            let rack = furnished();
            let ran = typed(&rack, line, answer);
            assert!(ran.err.starts_with(question), "{line}: {ran:?}");
            assert_eq!(ran.code, 0, "{line}: {answer:?}: {ran:?}");
            assert!(is_done(&rack, line), "{line}: {answer:?}");
        }
    }
}

#[test]
fn everything_else_is_a_no() {
    let rack = furnished();
    for (line, question) in QUESTIONS {
        for answer in [
            "n\n",
            "no\n",
            "\n",
            "",
            "yep\n",
            "yy\n",
            "\u{1b}[Ay\n",
            "n\ny\n",
        ] {
            let ran = typed(&rack, line, answer);
            assert!(ran.err.starts_with(question), "{line}: {ran:?}");
            assert!(ran.err.ends_with("Nothing was changed.\n"), "{ran:?}");
            assert_eq!(
                (ran.code, ran.out.as_str()),
                (1, ""),
                "{line}: {answer:?}: {ran:?}"
            );
            assert!(!is_done(&rack, line), "{line}: {answer:?}");
        }
    }
}

#[test]
fn a_status_line_never_stands_behind_a_question_that_nobody_answered() {
    let ran = typed(&furnished(), "prune", "");
    assert!(
        ran.err.ends_with("[y/N] \nNothing was changed.\n"),
        "{ran:?}"
    );
}

#[test]
fn nobody_is_asked_who_said_yes_or_who_cannot_answer() {
    for (line, question) in QUESTIONS {
        let rack = furnished();
        // No terminal, or a program: refused, and nothing done.
        for (ran, out) in [
            (models(&rack, line), false),
            (typed(&rack, &format!("{line} --json"), "y\n"), true),
        ] {
            assert_eq!(ran.code, 2, "{line}: {ran:?}");
            let (told, silent) = if out {
                (&ran.out, &ran.err)
            } else {
                (&ran.err, &ran.out)
            };
            let question = question.trim_end_matches(" [y/N] ");
            let expected =
                format!("cannot ask '{question}' without a terminal: pass -y to answer yes");
            assert!(told.contains(&expected), "{line}: {ran:?}");
            assert_eq!(silent, "", "{line}");
            assert!(!is_done(&rack, line));
        }
        let ran = typed(&rack, &format!("{line} -y"), "n\n");
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{line}");
        assert!(is_done(&rack, line));
    }
}

#[test]
fn a_model_that_is_damaged_can_be_removed_all_the_same() {
    let rack = furnished();
    let manifest = rack.dir_of("g/m v1").join(".rack").join("manifest.json");
    std::fs::write(manifest, "{").unwrap();
    let ran = typed(&rack, "remove g/m v1", "y\n");
    assert!(
        ran.err
            .starts_with("Remove g/m v1, which is damaged? [y/N] "),
        "{ran:?}"
    );
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(is_done(&rack, "remove"));
    let rack = furnished();
    std::fs::remove_dir_all(rack.dir_of("g/m v1")).unwrap();
    assert_eq!(typed(&rack, "remove g/m v1 -y", "").code, 0);
    assert!(is_done(&rack, "remove"));
}

#[test]
fn clearing_is_confirmed_by_either_name_of_the_flag() {
    for flag in ["-y", "--yes", "--force"] {
        let rack = Rack::with_model();
        assert_eq!(models(&rack, "sync").code, 0);
        assert_eq!(models(&rack, "clear").code, 2, "without a terminal");
        let ran = models(&rack, &format!("clear {flag}"));
        assert_eq!(ran.code, 0, "{ran:?}");
        assert!(ran.out.contains("Removed the registry"), "{ran:?}");
    }
}

#[test]
fn a_half_is_removed_as_a_whole_would_be() {
    let rack = furnished();
    // What is installed is not what was asked for.
    let ran = models(&rack, "remove g/m v2 -y");
    assert_eq!(ran.quiet_success(), "Removed g/m v2\nFreed 2.0 KB\n");
    assert_eq!(rack.listed(), (vec!["g/m v1".to_owned()], vec![]));
    assert_eq!(models(&rack, "remove g/m v2 -y").code, 4);
    let rack = furnished();
    models(&rack, "remove g/m v1 -y").success();
    let report = models(&rack, "remove g/m --all -y --json").json();
    assert_eq!(report["removed"][0]["version"], "v2");
    assert_eq!(
        (report["bytes_freed"].as_u64(), rack.cache()),
        (Some(2048), vec![])
    );
}

#[test]
fn info_of_a_half_says_how_far_it_is_and_how_to_go_on() {
    let rack = furnished();
    let ran = models(&rack, "info g/m v2");
    assert_eq!(ran.code, 4, "{ran:?}");
    for line in [
        "status:     error\n",
        "downloaded: 2.0 KB of 5.0 KB\n",
        "error:      ",
    ] {
        assert!(ran.out.contains(line), "{line}: {}", ran.out);
    }
    assert_eq!(
        models(&rack, "info g/m v2 --json").json()["error"]["code"],
        "NOT_INSTALLED"
    );
}
