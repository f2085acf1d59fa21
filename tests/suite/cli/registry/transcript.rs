//! All that a publisher, and a program, reads in one session with a project's registry.

use std::fmt::Write as _;
use std::fs;

use serde_json::json;

use super::workshop::Workshop;
use crate::cli::readme::words;
use crate::cli::shapes::stable;
use crate::cli::snapshot::assert_snapshot;
use crate::cli::{Ran, Sinks};
use crate::support::disk::write_files;

/// What a run printed, without what is another each time.
fn told(workshop: &Workshop, ran: &Ran) -> String {
    let real = fs::canonicalize(workshop.machine.temp.path()).unwrap();
    let real = real.to_str().unwrap().trim_start_matches(r"\\?\");
    let escaped = json!(real).to_string();
    let url = modelrack::transport::Url::from_path(workshop.machine.temp.path()).unwrap();
    let text = format!("{}{}", ran.out, ran.err)
        .replace(url.to_string().trim_end_matches('/'), "file://<temp>")
        .replace(real, "<temp>")
        .replace(escaped.trim_matches('"'), "<temp>");
    let text = plain(&stable(&workshop.machine, &text));
    let mut told = String::new();
    // What takes long on a slow machine is told while it lasts.
    let steps = ["Reading ", "Hashing ", "Chunking "];
    let is_step = |line: &&str| steps.iter().any(|step| line.starts_with(step));
    for line in text.lines().filter(|line| !is_step(line)) {
        let line = match line.contains("<temp>") {
            true => line.replace("\\\\", "/").replace('\\', "/"),
            false => line.to_owned(),
        };
        // Files that are as young as the registry are hashed, and how young they are depends on the machine.
        let line = match line.trim_start().starts_with("\"files_hashed\"") {
            true => "  \"files_hashed\": <number>,".to_owned(),
            false => without_time(&line),
        };
        writeln!(told, "{line}").unwrap();
    }
    told
}

/// A line without the time to the minute that it may have.
fn without_time(line: &str) -> String {
    let is_time = |text: &str| {
        let form = text
            .chars()
            .map(|c| if c.is_ascii_digit() { '0' } else { c });
        form.collect::<String>() == "0000-00-00 00:00"
    };
    let mut starts = line.char_indices().map(|(at, _)| at);
    let time = starts.find_map(|at| line.get(at..at + 16).filter(|text| is_time(text)));
    time.map_or_else(|| line.to_owned(), |time| line.replace(time, "<time>"))
}

/// Text without colours.
fn plain(text: &str) -> String {
    let mut pieces = text.split("\u{1b}[");
    let mut plain = pieces.next().unwrap().to_owned();
    for piece in pieces {
        plain.push_str(piece.split_once('m').unwrap().1);
    }
    plain
}

/// What a terminal has in the end: on a busy machine, it draws a line of progress, and draws over it.
fn left(text: &str) -> String {
    let lines = text.split_inclusive('\n');
    let left = lines.map(|line| line.rsplit_once('\r').map_or(line, |(_, left)| left));
    left.collect()
}

/// A session of somebody who publishes, each line with what became of it.
fn session(workshop: &Workshop, lines: &[&str], flags: &str) -> String {
    let mut text = String::new();
    for line in lines {
        let ran = match line.strip_prefix("! ") {
            Some(edit) => {
                writeln!(text, "! {edit}\n").unwrap();
                match edit {
                    "rename the class, and an output" => {
                        workshop.edit("models/sir.py", "SIR", "Sir");
                        workshop.edit("models/sir.py", "prevalence", "deaths");
                    }
                    "rename the target" => {
                        workshop.edit("targets/incidence.py", "def incidence_", "def new_");
                    }
                    "edit the data" => workshop.edit("data/observed.csv", "2", "3"),
                    "add a file with a space" => {
                        write_files(
                            &workshop.root(),
                            &[("models/my sir.py", super::workshop::SIR.as_bytes())],
                        );
                    }
                    "delete the weights" => fs::remove_dir_all(workshop.path("weights")).unwrap(),
                    other => panic!("{other}"),
                }
                continue;
            }
            None => {
                let words: Vec<String> = words(line).into_iter().chain(words(flags)).collect();
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                let mut ran = workshop.run_words(&words, Sinks::Terminal("y\n"));
                ran.err = left(&ran.err);
                if flags == "--json" {
                    ran.json();
                    // Beside the document only where paths are from.
                    let notes = ran.err.lines().filter(|line| !line.starts_with("Paths "));
                    assert_eq!(notes.count(), 0, "{line}: {ran:?}");
                }
                ran
            }
        };
        writeln!(
            text,
            "$ registry {line}\n{}[{}]\n",
            told(workshop, &ran),
            ran.code
        )
        .unwrap();
    }
    text
}

const SESSION: [&str; 43] = [
    "list",
    "list --targets",
    "search sir",
    "status",
    "sync",
    "publish --to {temp}/public",
    "show sir",
    "remove sir",
    "add {p}/models {p}/targets --target-set main",
    "add {p}/models",
    "add {p}/weights --id tiny --type embedding --tag small --tag fast",
    "list",
    "list --type embedding",
    "list --tag slow",
    "list --targets",
    "search 'small world'",
    "search nothing",
    "show agent",
    "show sir",
    "show incidence_target",
    "show sri",
    "status",
    "! rename the class, and an output",
    "! rename the target",
    "! edit the data",
    "! add a file with a space",
    "status",
    "publish --to {temp}/public",
    "publish agent --to {temp}/public",
    "sync --dry-run",
    "sync",
    "sync",
    "publish --to {temp}/public --alias latest",
    "publish tiny agent --to {temp}/public",
    "publish tinny --to {temp}/public",
    "publish tiny tinny --to {temp}/public",
    "publish incidence_target --to {temp}/public",
    "publish tiny --to {temp}/public --version 2.0.0",
    "! delete the weights",
    "status --strict",
    "sync --dry-run",
    "sync",
    "sync --force",
];

#[test]
fn what_a_publisher_reads() {
    let workshop = Workshop::new();
    let mut text = session(&workshop, &SESSION, "");
    text.push_str(&session(
        &workshop,
        &["remove sir incidence_target", "remove agent -y", "list"],
        "",
    ));
    assert_snapshot("registry.txt", &text);
}

#[test]
fn what_a_program_reads() {
    let workshop = Workshop::new();
    let mut text = session(&workshop, &SESSION, "--json");
    text.push_str(&session(
        &workshop,
        &["remove sir", "remove sir incidence_target -y"],
        "--json",
    ));
    assert_snapshot("registry-json.txt", &text);
}
