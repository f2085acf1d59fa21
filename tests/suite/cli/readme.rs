//! The command lines of the README and of help texts, held against the tree.

use std::fs;
use std::path::Path;

use clap::Command;
use modelrack::Config;
use modelrack::cli::{Mount, models_command};

use super::program::finish;
use super::workshop::Workshop;
use crate::support::disk::write_files;

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
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = fs::read_to_string(path).unwrap();
    let tree = models_command(&Mount::new(Config::new("rack")));
    let parent = Command::new("rack").subcommand(tree);
    let found: Vec<_> = shell_lines(&text)
        .iter()
        .flat_map(|line| commands(line))
        .collect();
    for command in &found {
        if let Err(error) = parent.clone().try_get_matches_from(command) {
            assert_eq!(error.exit_code(), 0, "{}: {error}", command.join(" "));
        }
    }
    assert!(!found.is_empty());
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

#[test]
fn the_examples_of_the_publishers_commands_work() {
    let workshop = Workshop::new();
    let yaml = b"models:\n  sir: {path: models/sir.py, class_name: SIR}\n".as_slice();
    let json = br#"{"models": {"gnn": {"file_path": "models/agent.md"}}}"#.as_slice();
    let files: [(&str, &[u8]); 6] = [
        ("tiny/t.bin", b"tiny"),
        ("a.bin", b"a"),
        ("b.json", b"{}"),
        ("registry.yaml", yaml),
        (".modelops-bundle/registry.yaml", yaml),
        ("output/model_registry.json", json),
    ];
    write_files(&workshop.root(), &files);
    let mut tree = models_command(&Mount::new(Config::new("rack")));
    tree.build();
    let verbs: Vec<&Command> = tree
        .find_subcommand("registry")
        .unwrap()
        .get_subcommands()
        .collect();
    let mut lines = Vec::new();
    for verb in verbs {
        let Some(after) = verb.get_after_help() else {
            assert_eq!(verb.get_name(), "help");
            continue;
        };
        let after = after.to_string();
        let examples = after
            .lines()
            .filter_map(|line| line.strip_prefix("  rack models registry "));
        let examples: Vec<String> = examples
            .map(|line| line.split("  ").next().unwrap().to_owned())
            .collect();
        assert!(!examples.is_empty(), "{}", verb.get_name());
        lines.extend(examples);
    }
    // Last what drops something; what needs a network has tests of its own.
    lines.retain(|line| !line.contains("--repo"));
    lines.sort_by_key(|line| (line.starts_with("remove"), line.starts_with("sync")));
    for line in lines {
        let mut words = words(&line);
        if words[0] == "remove" {
            words.push("-y".into());
        }
        if words[0] == "make" {
            write_files(&workshop.root(), &[("mf6/a/mfsim.nam", b"x")]);
            words.extend(["--output", "made"].map(str::to_owned));
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let ran = finish(workshop.process_of("", &words));
        assert_eq!(ran.code, 0, "{line}: {ran:?}");
    }
}
