//! What is printed where: data, status, colours, events, and text that is not to be trusted.

use std::io::{self, Write};
use std::time::Duration;

use modelrack::cli::{Console, Mount, models_command, run};
use modelrack::{Error, ErrorKind};
use serde_json::json;

use super::recording::Recording;
use super::{Sinks, models, mount, run_line, run_words};
use crate::support::rack::{Rack, chunks_but};
use crate::support::registry::Publication;
use crate::support::server::Rule;

/// Moves the cursor in two ways, reverses what follows, hides a joiner, rings, breaks the line.
const HOSTILE: &str =
    "a\u{1b}[2Jb\u{9b}31mc\u{202e}d\u{200b}e\u{7}f\r\n\tg\u{7f}h\u{2066}i\u{feff}j\u{61c}k";

fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[track_caller]
fn assert_harmless(text: &str) {
    let found = text
        .chars()
        .find(|c| is_hidden(*c) && !matches!(c, '\n' | '\t'));
    assert_eq!(found, None, "{text:?}");
}

fn hostile() -> Rack {
    let rack = Rack::new();
    let metadata = json!({
        "description": HOSTILE,
        "type": "t\u{1b}]0;title\u{7}",
        "tags": [HOSTILE],
        "key\u{1b}[1m": {"deep": HOSTILE},
    });
    let options = Publication {
        metadata,
        ..Publication::default()
    };
    rack.publish_as("g/m v1", &[("x", b"x")], &options);
    rack
}

#[test]
fn hostile_text_reaches_neither_terminal_nor_pipe() {
    let rack = hostile();
    models(&rack, "pull g/m v1").success();
    for line in [
        "list --remote",
        "list",
        "search a --remote",
        "search g",
        "info g/m",
        "info g/m --remote",
        "list --type nothing",
    ] {
        for sinks in [Sinks::Captured, Sinks::Terminal("")] {
            for more in ["", "--verbose", "--quiet"] {
                let words: Vec<&str> = line
                    .split(' ')
                    .chain([more])
                    .filter(|word| !word.is_empty())
                    .collect();
                // The only escape sequences would be those of colours.
                let environment = rack.environment().variable("NO_COLOR", "1");
                let ran = run_words(&mount(&rack).environment(environment), &words, sinks);
                assert_eq!(ran.code, 0, "{words:?}");
                assert_harmless(&ran.out);
                assert_harmless(&ran.err);
            }
        }
    }
    let out = models(&rack, "list --remote").success();
    assert!(
        out.contains(r"a\u{1b}[2Jb\u{9b}31mc\u{202e}d\u{200b}e\u{7}f\u{d}\u{a}\u{9}g"),
        "{out}"
    );
    assert_eq!(out.lines().count(), 1);
}

#[test]
fn hostile_text_is_escaped_in_documents_and_reads_back_as_it_was() {
    let rack = hostile();
    models(&rack, "pull g/m v1").success();
    for line in [
        "list --json",
        "list --remote --json",
        "info g/m --json",
        "search a --remote --json",
    ] {
        let ran = models(&rack, line);
        assert_harmless(&ran.out);
        let document = ran.json();
        let model = document
            .get("models")
            .map_or(&document, |models| &models[0]);
        assert_eq!(model["metadata"]["description"], HOSTILE, "{line}");
    }
    let ran = run_line(&failing(HOSTILE), "list --json");
    assert_harmless(&ran.out);
    assert!(
        ran.json()["error"]["message"]
            .as_str()
            .unwrap()
            .contains(HOSTILE)
    );
}

fn failing(text: &str) -> Mount {
    let error = Error::from(ErrorKind::Registry {
        location: text.to_owned(),
        message: text.to_owned(),
        source: Some(text.into()),
    });
    mount(&Rack::new()).manager(Recording::failing(error))
}

#[test]
fn hostile_text_in_errors_is_escaped() {
    for sinks in [Sinks::Captured, Sinks::Terminal("")] {
        let rack = Rack::new();
        let environment = rack.environment().variable("NO_COLOR", "1");
        let ran = run_words(&failing(HOSTILE).environment(environment), &["list"], sinks);
        assert_harmless(&ran.err);
        assert_eq!(ran.err.lines().count(), 1, "{}", ran.err);
        assert!(ran.err.contains(r"\u{202e}"), "{}", ran.err);
    }
}

#[test]
fn a_name_that_cannot_be_one_is_refused_and_shown_escaped() {
    let rack = Rack::new();
    rack.server.put(
        "/models.json",
        json!({"g\u{1b}[2J": {"m": {"v": {"hash": "00"}}}}).to_string(),
    );
    let ran = models(&rack, "list --remote");
    assert_harmless(&ran.out);
    assert_harmless(&ran.err);
    let ran = run_words(&mount(&rack), &["pull", "g/\u{202e}m"], Sinks::Captured);
    assert_eq!(ran.code, 2);
    assert_harmless(&ran.err);
}

#[test]
fn verbose_tells_each_request_with_its_status_and_time() {
    let rack = Rack::with_model();
    rack.server
        .rule(Rule::path("/models.json").times(1).status(503));
    let ran = models(&rack, "pull g/m v1 --verbose");
    assert!(ran.out.starts_with("Installed g/m v1"), "{}", ran.out);
    let requests = ran
        .err
        .lines()
        .filter(|line| line.contains("debug: request "));
    // The index twice, the manifest, and each chunk.
    assert_eq!(requests.count(), 2 + 1 + 11, "{}", ran.err);
    for part in [
        "status=503",
        "status=200",
        "millis=",
        "retry ",
        "moved into place",
        "info: installed",
    ] {
        assert!(ran.err.contains(part), "{part}: {}", ran.err);
    }
    assert!(
        ran.err
            .lines()
            .all(|line| line.trim_start().starts_with(|c: char| c.is_ascii_digit()))
    );
    // Data stays apart, and one document stays one.
    let ran = models(&rack, "list --json --verbose");
    assert_eq!(ran.json()["models"].as_array().unwrap().len(), 1);
    assert!(models(&rack, "list").quiet_success().starts_with("g/m"));
}

#[test]
fn verbose_tells_how_often_the_record_is_read() {
    let rack = Rack::with_model();
    rack.publish("g/n v1", &[("n", "bytes")]);
    models(&rack, "pull g/m v1").success();
    // While there is one listener only, an event that another thread meets first counts as one that nobody wants.
    let _second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default());
    for (line, expected) in [
        ("list", 1),
        ("pull g/n v1", 2),
        ("pull g/n v1", 1),
        ("pull g/m v1 --force", 2),
        ("pull g/m v1 --dry-run", 1),
        ("pull g/n v1 --type other", 2),
        ("update g/n v1 --apply", 1),
    ] {
        let ran = models(&rack, &format!("{line} --verbose"));
        assert_eq!(ran.code, 0, "{line}: {}", ran.err);
        let parsed = ran.err.matches("parsing registry.json").count();
        assert_eq!(parsed, expected, "{line}: {}", ran.err);
    }
}

#[test]
fn verbose_shows_no_secret() {
    let rack = Rack::with_model();
    let url = rack.server.url().replace("http://", "http://me:s3cret@");
    let mount = Mount::new(rack.bare_config().registry_url(url)).environment(rack.environment());
    rack.server
        .rule(Rule::path("/models.json").nth(2).status(401));
    for line in [
        "pull g/m v1 --verbose",
        "list --remote --verbose",
        "info --verbose",
        "info --json",
    ] {
        let ran = run_line(&mount, line);
        let text = ran.out + &ran.err;
        assert!(!text.contains("s3cret"), "{line}: {text}");
    }
}

#[test]
fn colours_are_for_terminals_unless_somebody_says_otherwise() {
    let rack = Rack::with_model();
    let coloured = |variables: &[(&str, &str)], sinks: Sinks| {
        let environment = variables
            .iter()
            .fold(rack.environment(), |environment, (name, value)| {
                environment.variable(*name, *value)
            });
        let mount = mount(&rack).environment(environment);
        let ran = run_words(&mount, &["path", "g/m"], sinks);
        assert!(
            ran.err.contains("models:") && ran.err.contains("hint:"),
            "{}",
            ran.err
        );
        ran.err.contains("\u{1b}[")
    };
    let terminal = || Sinks::Terminal("");
    assert!(coloured(&[], terminal()));
    assert!(!coloured(&[], Sinks::Captured));
    assert!(!coloured(&[("NO_COLOR", "1")], terminal()));
    assert!(
        coloured(&[("NO_COLOR", "")], terminal()),
        "an empty variable counts as not set"
    );
    assert!(!coloured(&[("TERM", "dumb")], terminal()));
    assert!(!coloured(&[("CLICOLOR", "0")], terminal()));
    assert!(coloured(&[("CLICOLOR_FORCE", "1")], Sinks::Captured));
    assert!(!coloured(
        &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")],
        terminal()
    ));
}

/// A sink that fails.
struct Broken(io::ErrorKind);

impl Write for Broken {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(self.0.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Err(self.0.into())
    }
}

fn run_into(mount: &Mount, line: &[&str], kind: io::ErrorKind) -> (u8, String) {
    let (_, _, err) = Console::captured();
    let mount = mount
        .clone()
        .console(Console::new(Broken(kind), err.clone()));
    let words = ["models"].iter().chain(line);
    let matches = models_command(&mount).try_get_matches_from(words).unwrap();
    (run(&mount, &matches).code(), err.text())
}

#[test]
fn a_reader_that_is_gone_ends_it_quietly_and_a_full_disk_does_not() {
    let rack = Rack::with_model();
    rack.pull("g/m v1").unwrap();
    let lines: [&[&str]; 6] = [
        &["list"],
        &["list", "--json"],
        &["list", "--remote", "--quiet"],
        &["path", "g/m"],
        &["verify"],
        &["path", "g/none", "--json"],
    ];
    for line in lines {
        let (code, err) = run_into(&mount(&rack), line, io::ErrorKind::BrokenPipe);
        let expected = if line.contains(&"g/none") { 4 } else { 0 };
        assert_eq!((code, err.as_str()), (expected, ""), "{line:?}");
    }
    let (code, err) = run_into(&mount(&rack), &["list"], io::ErrorKind::StorageFull);
    assert_eq!(code, 7);
    assert!(err.starts_with("rack: cannot print: "), "{err}");
}

#[test]
fn a_status_that_cannot_be_printed_stops_nothing() {
    let rack = Rack::with_model();
    let (_, out, _) = Console::captured();
    let console = Console::new(out.clone(), Broken(io::ErrorKind::BrokenPipe));
    let mount = mount(&rack).console(console);
    let words = ["models", "pull", "g/m", "--verbose"];
    let matches = models_command(&mount).try_get_matches_from(words).unwrap();
    assert_eq!(run(&mount, &matches).code(), 0);
    assert!(out.text().starts_with("Installed g/m v1"));
    rack.assert_sample_installed();
}

#[test]
fn metadata_with_line_breaks_stay_one_line_of_json() {
    let rack = Rack::new();
    let metadata = json!({"description": "two\nlines", "tags": ["a", "b"], "n": {"o": [1, 2]}});
    let hash = "a".repeat(64);
    let index = json!({"g": {"m": {"v": {"hash": hash, "metadata": metadata}}}});
    for text in [
        serde_json::to_string_pretty(&index).unwrap(),
        serde_json::to_string_pretty(&index)
            .unwrap()
            .replace('\n', "\r\n\t"),
    ] {
        rack.server.put("/models.json", text);
        for line in ["list --remote --json", "search --remote lines --json"] {
            let ran = models(&rack, line);
            assert_eq!(ran.out.lines().count(), 1, "{}", ran.out);
            assert!(ran.out.ends_with('\n') && !ran.out.contains('\r'));
            assert_eq!(ran.json()["models"][0]["metadata"], metadata);
        }
    }
}

/// What a terminal shows in the end of one line that was drawn over and over.
fn shown(drawn: &str) -> String {
    let mut line: Vec<char> = Vec::new();
    for piece in drawn.split('\r') {
        for (column, c) in piece.chars().enumerate() {
            match line.get_mut(column) {
                Some(cell) => *cell = c,
                None => line.push(c),
            }
        }
    }
    line.into_iter().collect::<String>().trim_end().to_owned()
}

/// Publishes `g/m v1`, whose 32 chunks come one after the other and take a second.
fn slow(rack: &Rack) -> impl Fn() -> Rule {
    let report = rack.publish("g/m v1", &[("a.bin", crate::support::bytes(32 * 1024, 1))]);
    move || chunks_but(&[&report]).delay(Duration::from_millis(25))
}

#[test]
fn a_terminal_gets_a_bar_that_is_gone_in_the_end() {
    let rack = Rack::new();
    let chunks = slow(&rack);
    rack.server.rule(chunks());
    let words = ["pull", "g/m", "--concurrency", "1"];
    let ran = run_words(&mount(&rack), &words, Sinks::Terminal(""));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.err.contains("\rg/m v1 ["), "{:?}", ran.err);
    assert!(ran.err.contains(" / 32.8 KB"), "{:?}", ran.err);
    assert!(!ran.err.contains('\n'), "{:?}", ran.err);
    for line in ran.err.split('\r') {
        // The last column stays free.
        assert!(line.chars().count() <= 99, "{line}");
    }
    assert_eq!(shown(&ran.err), "");
}

#[test]
fn an_error_begins_on_a_clean_line() {
    let rack = Rack::new();
    let chunks = slow(&rack);
    rack.server.rule(chunks().nth(25).status(404));
    rack.server.rule(chunks());
    let mount = mount(&rack).environment(rack.environment().variable("NO_COLOR", "1"));
    let words = ["pull", "g/m", "--concurrency", "1"];
    let ran = run_words(&mount, &words, Sinks::Terminal(""));
    assert_eq!(ran.code, 5, "{ran:?}");
    let (bar, error) = ran.err.rsplit_once('\r').unwrap();
    assert!(bar.contains("g/m v1 ["), "{:?}", ran.err);
    assert_eq!(shown(bar), "");
    assert!(error.starts_with("models: pull g/m v1: "), "{error:?}");
}

#[test]
fn programs_and_who_wants_quiet_get_no_bar_on_a_terminal_either() {
    let rack = Rack::new();
    let chunks = slow(&rack);
    rack.server.rule(chunks());
    for more in ["--json", "--quiet"] {
        let words = ["pull", "g/m", "--concurrency", "1", more];
        let ran = run_words(&mount(&rack), &words, Sinks::Terminal(""));
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{more}");
        models(&rack, "remove g/m -y").success();
    }
}
