//! Texts kept as files. `UPDATE_SNAPSHOTS=1 cargo test` writes them anew.

use std::fs;

use crate::support::root;

/// Compares a text with the file of this name in `tests/suite/snapshots`, of which a build without the publisher's side
/// has a part.
#[track_caller]
#[allow(
    clippy::disallowed_methods,
    reason = "only a person at the tests sets the variable"
)]
pub(crate) fn assert_snapshot(name: &str, actual: &str) {
    let path = root()
        .join("tests")
        .join("suite")
        .join("snapshots")
        .join(name);
    let actual = normal(actual);
    let kept = fs::read_to_string(&path)
        .map(|text| normal(&text))
        .unwrap_or_default();
    if kept == actual || !cfg!(feature = "author") && is_part_of(&actual, &kept) {
        return;
    }
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::write(path, actual).unwrap();
        return;
    }
    let line = kept
        .lines()
        .zip(actual.lines())
        .position(|(kept, actual)| kept != actual);
    let line = line.unwrap_or_else(|| kept.lines().count().min(actual.lines().count()));
    let around = |text: &str| {
        let from = text.lines().skip(line.saturating_sub(3)).take(9);
        from.collect::<Vec<_>>().join("\n")
    };
    panic!(
        "{name} differs from line {} on; UPDATE_SNAPSHOTS=1 writes it anew\n--- kept\n{}\n--- now\n{}",
        line + 1,
        around(&kept),
        around(&actual)
    );
}

/// Whether each section of a text, which `$ ` begins, is one of a longer text.
fn is_part_of(text: &str, whole: &str) -> bool {
    let sections = |text: &str| -> Vec<String> {
        let text = format!("\n{}\n", text.trim_end());
        text.split("\n$ ")
            .map(|part| part.trim().to_owned())
            .collect()
    };
    let whole = sections(whole);
    sections(text).iter().all(|section| whole.contains(section))
}

/// One form on every system: no carriage returns, no space at a line's end, one line break at the end of the text.
fn normal(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n").trim_end().to_owned() + "\n"
}

#[test]
fn line_ends_and_spaces_behind_a_line_do_not_count() {
    assert_eq!(normal("a  \r\nb\r\n\r\n"), "a\nb\n");
    assert_eq!(normal("a\nb"), "a\nb\n");
}
