//! How messages and help texts quote the command.

use modelrack::cli::{Console, Mount, models_command, run};
use modelrack::{Config, Environment};

use super::mount::{mount, untouchable};
use super::recording::Recording;
use crate::support::platform::SYSTEM;

#[test]
fn messages_quote_the_command_as_it_was_typed() {
    let quoted = |line: &[&str], name: &str, invoked_as: Option<&str>| {
        let mount = mount(&Recording::new()).name(name);
        let mount = match invoked_as {
            Some(command) => mount.invoked_as(command),
            None => mount,
        };
        let words = &line[line.iter().position(|word| *word == name).unwrap() + 1..];
        let (console, _, err) = Console::captured();
        let environment = Environment::empty(SYSTEM, "home").arguments(line.iter().copied());
        let mount = mount.console(console).environment(environment);
        let tree = models_command(&mount);
        let words = [name].into_iter().chain(words.iter().copied());
        let _ = run(&mount, &tree.try_get_matches_from(words).unwrap());
        let text = err.text();
        let (_, rest) = text.split_once('\'').unwrap();
        rest.split_once(" list --remote'").unwrap().0.to_owned()
    };
    for (line, expected) in [
        ("tool models list", "tool models"),
        ("/usr/local/bin/tool models list", "tool models"),
        ("./tool ai models list", "tool ai models"),
        ("tool.exe models list", "tool models"),
        (
            "tool --json-lines -v models --verbose list g",
            "tool models",
        ),
        // A word of ours that is the command's own name.
        ("tool models list models", "tool models"),
        ("tool models ls models", "tool models"),
    ] {
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(quoted(&words, "models", None), expected, "{line}");
    }
    assert_eq!(
        quoted(&["tool", "weights", "list"], "weights", None),
        "tool weights"
    );
    assert_eq!(
        quoted(&["tool", "models", "list"], "models", Some("cargo tool m")),
        "cargo tool m"
    );
}

#[test]
fn help_quotes_the_command_as_it_is_mounted() {
    let help = |mount: &Mount| {
        let mut tree = models_command(mount);
        tree.build();
        tree.find_subcommand_mut("pull")
            .unwrap()
            .render_help()
            .to_string()
    };
    let mount = Mount::new(untouchable()).name("weights");
    assert!(
        help(&mount).contains("\n  tool weights pull "),
        "{}",
        help(&mount)
    );
    let mount = mount.invoked_as("tool ai weights");
    assert!(
        help(&mount).contains("\n  tool ai weights pull "),
        "{}",
        help(&mount)
    );
}

/// A line that a terminal breaks looks like two commands.
#[test]
fn the_examples_of_every_help_fit_80_columns() {
    let mut tree = models_command(&Mount::new(Config::new("rack")));
    tree.build();
    let mut commands = vec![&tree];
    let mut lines = 0;
    while let Some(command) = commands.pop() {
        commands.extend(command.get_subcommands());
        let examples = command.get_after_help().map(ToString::to_string);
        for line in examples.unwrap_or_default().lines() {
            assert!(line.chars().count() <= 80, "{line}");
            lines += 1;
        }
    }
    assert!(lines > 50, "{lines}");
}
