//! The tree below parents that are built by hand, whatever these have themselves.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use modelrack::cli::{Console, Flag, Mount, Output, models_command, run};
use modelrack::{Config, Environment, Manager, ManagerExt, ModelAddress, Result};

use super::recording::Recording;
use super::{Ran, refused};
use crate::support::platform::SYSTEM;
use crate::support::root;

/// The command lines that every parent must understand, and what the manager is asked then.
const LINES: [(&str, &str); 18] = [
    ("list", "list"),
    ("ls g", "list"),
    (
        "list --remote --source s --type t",
        "list_remote offline=false",
    ),
    ("search word --remote", "search word"),
    (
        "pull g/m v1 --force --concurrency 2",
        "pull g/m v1 force=true offline=false",
    ),
    ("remove g/m@v1", "path g/m@v1"),
    ("info", "sources"),
    ("path g/m v1", "path g/m v1"),
    ("update --apply", "update"),
    ("verify g/m --repair", "verify repair=true"),
    ("cp g/m v1 folder", "copy g/m v1 to folder"),
    ("copy g/m v1 --force folder", "copy g/m v1 to folder"),
    ("copy --force g/m v1 folder", "copy g/m v1 to folder"),
    ("sync --all", "sync"),
    ("lock g/m@v1 --file x.lock", "lock g/m@v1 in x.lock"),
    ("lock --check", "check_lock in models.lock"),
    ("du g/m", "disk_usage"),
    ("prune", "plan_prune"),
];

/// A configuration whose every place is below a file, so that whoever touches the disk fails.
pub(crate) fn untouchable() -> Config {
    let file = root().join("Cargo.toml");
    Config::new("tool")
        .data_dir(file.join("data"))
        .cache_dir(file.join("cache"))
        .config_file(file.join("models.toml"))
        .registry_url("https://models.example.org")
}

/// A mount with a manager that records, and with every question answered.
pub(crate) fn mount(manager: &Arc<Recording>) -> Mount {
    Mount::new(untouchable())
        .manager(manager.clone())
        .output(Output::default().yes(true))
        .environment(Environment::empty(SYSTEM, "home"))
}

fn flag(id: &'static str, long: &'static str) -> Arg {
    Arg::new(id)
        .long(long)
        .action(ArgAction::SetTrue)
        .global(true)
}

/// The innermost of the subcommands with these names.
fn below<'a>(mut matches: &'a ArgMatches, path: &[&str]) -> &'a ArgMatches {
    for name in path {
        matches = matches.subcommand_matches(name).unwrap();
    }
    matches
}

/// Runs a command line below a parent; the tree is where `path` says.
fn run_below(parent: &Command, mount: &Mount, path: &[&str], line: &str) -> Ran {
    let (console, out, err) = Console::captured();
    let words = line.split_whitespace();
    let line = ["tool"].into_iter().chain(words);
    let environment = Environment::empty(SYSTEM, "home").arguments(line.clone());
    let matches = match parent.clone().try_get_matches_from(line) {
        Ok(matches) => matches,
        Err(error) => return refused(&error),
    };
    let mount = mount.clone().console(console).environment(environment);
    let code = run(&mount, below(&matches, path)).code();
    Ran {
        code,
        out: out.text(),
        err: err.text(),
    }
}

#[test]
fn building_the_tree_touches_nothing() {
    let mount = Mount::new(untouchable());
    let parent = Command::new("tool").subcommand(models_command(&mount));
    parent.clone().debug_assert();
    let help = parent.try_get_matches_from(["tool", "models", "pull", "--help"]);
    assert_eq!(help.unwrap_err().exit_code(), 0);
    // The first command that needs a place says that it is of no use.
    let ran = super::run_line(
        &mount.environment(Environment::empty(SYSTEM, "home")),
        "list",
    );
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("models.toml"), "{}", ran.err);
}

#[test]
fn the_tree_works_at_any_depth_and_under_any_name() {
    let places: [(&[&str], &str); 4] = [
        (&["models"], "models:"),
        (&["weights"], "weights:"),
        (&["ai", "models"], "models:"),
        (&["lab", "ai", "weights"], "weights:"),
    ];
    for (path, label) in places {
        let (name, above) = path.split_last().unwrap();
        let manager = Recording::new();
        let mount = mount(&manager).name(*name);
        let tree = above
            .iter()
            .rev()
            .fold(models_command(&mount), |tree, name| {
                Command::new(*name).subcommand(tree)
            });
        let parent = Command::new("tool").subcommand(tree);
        parent.clone().debug_assert();
        let before = path.join(" ");
        for (line, call) in LINES {
            let asked = manager.calls().len();
            let ran = run_below(&parent, &mount, path, &format!("{before} {line}"));
            assert_ne!(ran.code, 2, "{before} {line}: {ran:?}");
            assert_eq!(manager.calls()[asked], call, "{before} {line}");
        }
        // Its own words come back in messages.
        let ran = run_below(&parent, &mount, path, &format!("{before} list"));
        let expected = format!("'tool {before} list --remote' shows what is offered.");
        assert!(ran.err.contains(&expected), "{}", ran.err);
        let ran = run_below(&parent, &mount, path, &format!("{before} pull g/m"));
        assert!(ran.err.starts_with(label), "{}", ran.err);
    }
}

#[test]
fn parents_may_have_flags_of_the_same_names_ids_and_letters() {
    let count = Arg::new("verbose")
        .short('v')
        .action(ArgAction::Count)
        .global(true);
    let offline = Arg::new("offline")
        .long("offline")
        .value_name("WHY")
        .global(true);
    let short = |letter: char| {
        Arg::new(letter.to_string())
            .short(letter)
            .action(ArgAction::SetTrue)
            .global(true)
    };
    let text = |id: &'static str, long: &'static str| Arg::new(id).long(long).global(true);
    let number =
        |id: &'static str, long: &'static str| text(id, long).value_parser(value_parser!(u16));
    let parents: Vec<(&str, Vec<Arg>, Vec<Flag>)> = vec![
        ("--json", vec![flag("json", "json")], vec![Flag::Json]),
        (
            "--json of another type",
            vec![number("json", "json")],
            vec![Flag::Json],
        ),
        (
            "--quiet and -q",
            vec![flag("quiet", "quiet").short('q')],
            vec![Flag::Quiet],
        ),
        (
            "--verbose as a count",
            vec![count.clone().long("verbose")],
            vec![Flag::Verbose],
        ),
        ("-v as a count", vec![count.clone()], vec![]),
        (
            "--offline with a value",
            vec![offline.clone()],
            vec![Flag::Offline],
        ),
        (
            "--yes and -y",
            vec![flag("yes", "yes").short('y')],
            vec![Flag::Yes],
        ),
        ("-y alone", vec![short('y')], vec![Flag::Yes]),
        (
            "-q -v -y -f",
            ['q', 'v', 'y', 'f'].map(short).into(),
            vec![Flag::Yes],
        ),
        (
            "ids that are ours but for the prefix",
            vec![
                number("json", "as-json"),
                number("model", "vehicle"),
                number("version", "api"),
                number("name", "called"),
                number("source", "origin"),
                number("force", "strength"),
                flag("concurrency", "parallel"),
                flag("status", "state"),
                flag("type", "typed"),
                flag("yes", "sure"),
            ],
            vec![],
        ),
        (
            "all that a mount can leave out",
            vec![
                flag("json", "json"),
                flag("quiet", "quiet").short('q'),
                count.long("verbose"),
                offline,
                flag("yes", "yes").short('y'),
            ],
            vec![
                Flag::Json,
                Flag::Quiet,
                Flag::Verbose,
                Flag::Offline,
                Flag::Yes,
            ],
        ),
    ];
    for (what, args, without) in parents {
        let manager = Recording::new();
        let mount = mount(&manager).without(without);
        let parent = Command::new("tool")
            .args(args)
            .subcommand(models_command(&mount));
        parent.clone().debug_assert();
        for (line, call) in LINES {
            let asked = manager.calls().len();
            let ran = run_below(&parent, &mount, &["models"], &format!("models {line}"));
            assert_ne!(ran.code, 2, "{what}: {line}: {ran:?}");
            assert_eq!(manager.calls()[asked], call, "{what}: {line}");
        }
    }
}

#[test]
fn parents_may_pass_their_version_on() {
    let manager = Recording::new();
    let mount = mount(&manager);
    let parent = Command::new("tool")
        .version("1.2.3")
        .propagate_version(true)
        .subcommand(models_command(&mount));
    parent.clone().debug_assert();
    let ran = run_below(&parent, &mount, &["models"], "models cp g/m v1 folder");
    assert_eq!(manager.calls(), ["copy g/m v1 to folder"], "{ran:?}");
}

#[test]
fn a_parents_choice_counts_as_the_flag_would() {
    let manager = Recording::new();
    let mount = mount(&manager).without([Flag::Json, Flag::Offline]);
    let parent = Command::new("tool")
        .arg(flag("json", "json"))
        .subcommand(models_command(&mount));
    for line in [
        "--json models list --remote",
        "models --json list --remote",
        "models list --remote --json",
    ] {
        let matches = parent
            .clone()
            .try_get_matches_from(["tool"].into_iter().chain(line.split_whitespace()));
        let json = matches.unwrap().get_flag("json");
        let mount = mount
            .clone()
            .output(Output::default().json(json).offline(true));
        let ran = run_below(&parent, &mount, &["models"], line);
        assert_eq!(
            ran.json(),
            serde_json::json!({"models": [], "failures": []}),
            "{line}"
        );
    }
    assert!(
        manager
            .calls()
            .iter()
            .any(|call| call == "list_remote offline=true")
    );
    assert!(
        !manager
            .calls()
            .iter()
            .any(|call| call == "list_remote offline=false")
    );
}

#[test]
fn our_flags_stand_before_and_behind_the_verb() {
    for line in [
        "models --json list",
        "models list --json",
        "models --json list --json",
    ] {
        let manager = Recording::new();
        let mount = mount(&manager);
        let parent = Command::new("tool").subcommand(models_command(&mount));
        let ran = run_below(&parent, &mount, &["models"], line);
        assert_eq!(
            ran.json(),
            serde_json::json!({"models": [], "partials": []}),
            "{line}"
        );
    }
    for line in [
        "models --offline pull g/m",
        "models pull --offline g/m",
        "models pull g/m --offline",
    ] {
        let manager = Recording::new();
        let mount = mount(&manager);
        let parent = Command::new("tool").subcommand(models_command(&mount));
        let ran = run_below(&parent, &mount, &["models"], line);
        assert_eq!(
            manager.calls(),
            ["pull g/m force=false offline=true"],
            "{line}: {ran:?}"
        );
    }
}

#[test]
fn a_tree_without_a_command_explains_itself() {
    let mount = mount(&Recording::new());
    let parent = Command::new("tool").subcommand(models_command(&mount));
    for line in [
        "models",
        #[cfg(feature = "author")]
        "models registry",
    ] {
        let ran = run_below(&parent, &mount, &["models"], line);
        assert_eq!(ran.code, 2, "{line}");
        assert!(ran.err.contains("Usage:"), "{line}: {}", ran.err);
    }
    // Matches of another tree are refused, not misread.
    let other = Command::new("models").subcommand(Command::new("dance"));
    let (console, _, err) = Console::captured();
    let matches = other
        .clone()
        .try_get_matches_from(["models", "dance"])
        .unwrap();
    assert_eq!(run(&mount.clone().console(console), &matches).code(), 1);
    assert!(err.text().contains("no command 'dance'"), "{}", err.text());
    let (console, _, err) = Console::captured();
    let matches = other.try_get_matches_from(["models"]).unwrap();
    assert_eq!(run(&mount.console(console), &matches).code(), 2);
    assert!(
        err.text().contains("a command is missing"),
        "{}",
        err.text()
    );
}

#[test]
fn a_fake_manager_implements_only_what_is_called() {
    #[derive(Debug)]
    struct Fake;
    impl Manager for Fake {
        fn path(&self, model: &ModelAddress) -> Result<PathBuf> {
            Ok(PathBuf::from("fakes").join(model.to_string()))
        }
    }
    let fake: Arc<dyn Manager> = Arc::new(Fake);
    let tiny = PathBuf::from("fakes").join("tiny");
    assert_eq!(fake.ensure("tiny").unwrap(), tiny);
    assert!(fake.is_installed("tiny").unwrap());
    assert_eq!(fake.cancel(&"tiny".parse().unwrap()), 0);
    let mount = mount(&Recording::new()).manager(fake);
    let ran = super::run_line(&mount, "path tiny");
    assert_eq!(ran.quiet_success(), format!("{}\n", tiny.display()));
    // What it cannot do is refused by name, whichever method a default would call.
    for (line, method) in [
        ("list", "list"),
        ("pull g/m", "plan_pull"),
        ("pull g/*", "plan_matching"),
    ] {
        let ran = super::run_line(&mount, &format!("{line} --json"));
        let error = &ran.json()["error"];
        assert_eq!((ran.code, &error["code"]), (1, &"UNSUPPORTED".into()));
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(&format!("'{method}'")), "{message}");
    }
}
