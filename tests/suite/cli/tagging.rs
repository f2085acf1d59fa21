//! `tag`: what is recorded of an installed model, changed by hand.

use serde_json::{Value, json};

use super::{Sinks, models, mount, run_words};
use crate::support::rack::Rack;
use crate::support::registry::Publication;

/// `g/m v1` installed, whose registry states a type, two tags and a description.
fn installed() -> Rack {
    let rack = Rack::new();
    publish(
        &rack,
        json!({"type": "text", "tags": ["wool", "draft"], "description": "Sheep"}),
        b"one",
    );
    models(&rack, "pull g/m v1").success();
    rack
}

fn publish(rack: &Rack, metadata: Value, bytes: &[u8]) {
    let options = Publication {
        metadata,
        ..Publication::default()
    };
    rack.publish_as("g/m v1", &[("a.txt", bytes)], &options);
}

#[test]
fn type_tags_and_metadata_are_changed_and_outlast_updates() {
    let rack = installed();
    let line = "tag g/m v1 --type audio --tag night,deep --tag wool --untag draft --set reviewed=yes --unset description";
    let ran = models(&rack, line);
    assert_eq!(ran.success(), "g/m v1: audio; wool, night, deep\n");
    let info = models(&rack, "info g/m v1 --json").json();
    assert_eq!(info["type"], "audio");
    let expected = json!({"type": "audio", "tags": ["wool", "night", "deep"], "reviewed": "yes"});
    assert_eq!(info["metadata"], expected);

    // The source states other tags: those set by hand stay beside them.
    publish(
        &rack,
        json!({"type": "text", "tags": ["draft", "new"], "description": "Sheep"}),
        b"two",
    );
    models(&rack, "update --apply").success();
    let info = models(&rack, "info g/m v1 --json").json();
    assert_eq!(info["tags"], json!(["new", "night", "deep", "wool"]));
    assert_eq!(
        (&info["type"], &info["metadata"]["description"]),
        (&json!("audio"), &Value::Null)
    );

    // What is said last holds, and an empty type is none.
    models(&rack, "tag g/m v1 --tag draft --untag deep").success();
    let words = ["tag", "g/m", "v1", "--type", "", "--json"];
    let model = run_words(&mount(&rack), &words, Sinks::Captured).json();
    assert_eq!(model["tags"], json!(["new", "night", "wool", "draft"]));
    assert_eq!(
        (&model["type"], &model["metadata"]["type"]),
        (&Value::Null, &Value::Null)
    );
    models(&rack, "pull g/m v1 --force").success();
    let model = models(&rack, "tag g/m v1 --json").json();
    assert_eq!(model["tags"], json!(["draft", "new", "night", "wool"]));
}

#[test]
fn without_changes_tag_shows_what_is_recorded_and_writes_nothing() {
    let rack = installed();
    let before = rack.record();
    assert_eq!(
        models(&rack, "tag g/m").success(),
        "g/m v1: text; wool, draft\n"
    );
    assert_eq!(rack.record(), before);
    let ran = models(&rack, "tag g/m --untag wool,draft --type=");
    assert_eq!(ran.success(), "g/m v1: no type; no tags\n");
}

#[test]
fn keys_with_options_of_their_own_and_what_is_not_installed_are_refused() {
    let rack = installed();
    for (line, code, expected) in [
        ("tag g/m --set type=x", 2, "'type' is changed with --type"),
        (
            "tag g/m --unset tags",
            2,
            "'tags' is changed with --tag and --untag",
        ),
        (
            "tag g/m --set novalue",
            2,
            "the metadata 'novalue' does not have the form key=value",
        ),
        ("tag g/n v1 --tag x", 4, "model 'g/n v1' is not installed"),
    ] {
        let ran = models(&rack, line);
        assert_eq!(ran.code, code, "{line}: {ran:?}");
        assert!(ran.err.contains(expected), "{line}: {ran:?}");
    }
}

#[test]
fn what_controls_a_terminal_is_shown_escaped() {
    let rack = installed();
    let words = [
        "tag",
        "g/m",
        "--type",
        "\u{1b}[2Jé",
        "--tag",
        "日本\u{202e}",
        "--set",
        "a\u{7}=\u{9b}",
    ];
    let ran = run_words(&mount(&rack), &words, Sinks::Columns(60));
    assert_eq!(
        ran.success(),
        "g/m v1: \\u{1b}[2Jé; wool, draft, 日本\\u{202e}\n"
    );
    let info = run_words(&mount(&rack), &["info", "g/m"], Sinks::Columns(60)).success();
    assert!(info.contains("a\\u{7}:      \\u{9b}"), "{info}");
    for words in [
        &["tag", "g/m", "--json"][..],
        &["list"],
        &["info", "g/m", "--json"],
    ] {
        let ran = run_words(&mount(&rack), words, Sinks::Captured);
        let is_control = |c: char| c.is_control() && !"\n\t".contains(c) || c == '\u{202e}';
        assert!(!ran.out.contains(is_control), "{ran:?}");
    }
    let model = models(&rack, "tag g/m --json").json();
    assert_eq!(model["tags"][2], "日本\u{202e}");
}
