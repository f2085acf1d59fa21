//! The command lines of the README and of help texts, held against the tree.

use std::fs;

use clap::Command;
use modelrack::Config;
use modelrack::cli::{Mount, models_command};

use crate::support::root;

/// The lines of its blocks of shell commands, with those that end in a backslash joined to the next.
fn shell_lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let (mut inside, mut joined) = (false, false);
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            let kind = line.trim_start().trim_start_matches('`').trim();
            inside = !inside && ["sh", "bash", "console", "shell"].contains(&kind);
            continue;
        }
        if !inside {
            continue;
        }
        let (line, more) = match line.trim_end().strip_suffix('\\') {
            Some(line) => (line, true),
            None => (line, false),
        };
        match lines.last_mut().filter(|_| joined) {
            Some(last) => last.push_str(line),
            None => lines.push(line.to_owned()),
        }
        joined = more;
    }
    lines
}

/// The words of one command as a shell would split them: up to a pipe, a redirection, a comment or a second command.
pub(super) fn words(command: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in command.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => break,
            (None, '|' | ';' | '&' | '>' | '<' | ')') => break,
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// Every command line of the reference CLI in a line of shell, wherever in it, as it would be typed.
fn commands(line: &str) -> Vec<Vec<String>> {
    let runs = ["rack models ", "--example rack -- models "];
    let found = runs.iter().flat_map(|run| {
        line.match_indices(run).map(|(at, run)| {
            let rest = words(&line[at + run.len()..]);
            ["rack", "models"]
                .map(str::to_owned)
                .into_iter()
                .chain(rest)
                .collect()
        })
    });
    found.collect()
}

#[test]
fn every_command_of_the_readme_is_understood() {
    let path = root().join("README.md");
    let text = fs::read_to_string(path).unwrap();
    let tree = models_command(&Mount::new(Config::new("rack")));
    let parent = Command::new("rack").subcommand(tree);
    let found: Vec<_> = shell_lines(&text)
        .iter()
        .flat_map(|line| commands(line))
        .collect();
    for command in &found {
        if command[2] == "registry" && !cfg!(feature = "author") {
            continue;
        }
        if let Err(error) = parent.clone().try_get_matches_from(command) {
            assert_eq!(error.exit_code(), 0, "{}: {error}", command.join(" "));
        }
    }
    assert!(!found.is_empty());
}

#[test]
fn the_end_of_the_long_help_has_what_the_readme_lists() {
    let mount = Mount::new(Config::new("my-tool")).name("ai");
    let help = models_command(&mount).render_long_help().to_string();
    let (_, end) = help.split_once("\nEnvironment:\n").unwrap();
    let path = root().join("README.md");
    let text = fs::read_to_string(path).unwrap();
    let mut rows = 0;
    for line in text.lines().filter(|line| line.starts_with("| ")) {
        let first = line.split('|').nth(1).unwrap().trim();
        let name = match first.trim_matches('`').strip_prefix("<APP>") {
            Some(suffix) => format!("MY_TOOL{suffix}"),
            None if first.parse::<u8>().is_ok() => first.to_owned(),
            None => continue,
        };
        rows += 1;
        let named = |line: &str| line.split_whitespace().next() == Some(&name);
        assert!(end.lines().any(named), "{name}: {help}");
    }
    assert!(rows > 15, "{rows}");
    assert!(end.contains("\n  ~/.config/my-tool/models.toml, "), "{end}");
    assert!(end.contains("'my-tool ai info'"), "{end}");
    assert!(
        !models_command(&mount)
            .render_help()
            .to_string()
            .contains(end)
    );
}

#[test]
fn shell_is_split_into_words() {
    for (line, expected) in [
        ("rack models list # all of them", vec!["list"]),
        (
            "rack models search 'tiny fp16' --remote | head",
            vec!["search", "tiny fp16", "--remote"],
        ),
        (
            "cd \"$(rack models path g/m v1)\"",
            vec!["path", "g/m", "v1"],
        ),
        ("A=1 rack models pull g/m@v1 && ls", vec!["pull", "g/m@v1"]),
        (
            "cargo run --example rack -- models list --json",
            vec!["list", "--json"],
        ),
    ] {
        assert_eq!(commands(line)[0][2..], expected, "{line}");
    }
    assert_eq!(
        shell_lines("x\n```sh\na \\\n  b\nc\n```\n```rust\nd\n```\n"),
        ["a   b", "c"]
    );
}
