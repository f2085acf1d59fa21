//! Names that mean harm, in an index or in a manifest.

use modelrack::{ErrorKind, Manager, RemoteOptions};
use serde_json::json;

use super::hostile::{assert_untouched, rack};
use crate::support::disk::files_below;
use crate::support::rack::{CHUNK, Rack, sample};
use crate::support::registry::{HandMade, serve_index};
use crate::support::{address, bytes, chain};

#[test]
fn names_in_an_index_that_could_not_be_folders_are_refused() {
    let hash = "a".repeat(64);
    let rack = rack();
    for name in hostile_names() {
        rack.server.reset_counts();
        for index in [
            json!({&name: {"m": {"v": {"hash": hash}}}}),
            json!({"g": {&name: {"v": {"hash": hash}}}}),
        ] {
            // A model need not have a group, and a group may be long.
            if index.get("").is_some() || name.starts_with("y/") {
                continue;
            }
            serve_index(&rack.server, &index);
            let error = rack
                .manager()
                .list_remote(&RemoteOptions::default())
                .unwrap_err();
            assert_eq!(error.code(), "REGISTRY_ERROR", "{name:?}");
            assert!(
                !chain(&error).chars().any(char::is_control),
                "{name:?}: {}",
                chain(&error)
            );
        }
        // In a version some of them are refs, and are encoded on disk.
        serve_index(&rack.server, &json!({"g": {"m": {&name: {"hash": hash}}}}));
        if let Ok(all) = rack.manager().list_remote(&RemoteOptions::default()) {
            assert!(
                !name.contains("..") && !name.starts_with('/') && !name.contains('\\'),
                "{name:?}"
            );
            assert_eq!(all.models.len(), 1);
        }
        assert_untouched(&rack, &name);
    }
}

fn hostile_names() -> Vec<String> {
    let plain = [
        "",
        ".",
        "..",
        "../x",
        "a/../../x",
        "a/..",
        "/etc/x",
        "//host/share",
        "\\x",
        "..\\x",
        "a\\b",
        "\\\\host\\share\\x",
        "C:x",
        "C:\\x",
        "c:/x",
        "x:stream",
        "a//b",
        "a/",
        "./a",
        "con",
        "NUL",
        "nul.txt",
        "aux.tar.gz",
        "a/COM1/b",
        "lpt9.x",
        "CONIN$",
        "a.",
        "a ",
        "a./b",
        "a /b",
        "a\0b",
        "a\nb",
        "a\rb",
        "a\u{1b}[31mb",
        "a\u{7f}",
        "a\u{202e}b",
        "a\u{200b}b",
        "a*",
        "a?",
        "a\"b",
        "a<b",
        "a>b",
        "a|b",
    ];
    let long = ["x".repeat(256), "y/".repeat(400) + "z"];
    plain.into_iter().map(str::to_owned).chain(long).collect()
}

#[test]
fn names_in_a_manifest_that_could_lead_elsewhere_are_refused() {
    let rack = rack();
    for name in hostile_names() {
        rack.server.reset_counts();
        HandMade::plain(&[("good", &bytes(10, 1)), (&name, &bytes(10, 2))], CHUNK).serve_as(
            &rack.server,
            "g",
            "m",
            "v",
        );
        let error = rack.pull("g/m v").unwrap_err();
        assert_eq!(
            error.code(),
            "REGISTRY_ERROR",
            "{name:?}: {}",
            chain(&error)
        );
        assert!(
            !chain(&error).chars().any(char::is_control),
            "{name:?}: {}",
            chain(&error)
        );
        assert_eq!(
            rack.data_requests().len(),
            1,
            "{name:?}: the manifest, and no chunk"
        );
        assert_untouched(&rack, &name);
    }
}

#[test]
fn names_in_a_manifest_that_meet_on_some_system_are_refused() {
    let rack = rack();
    for names in [
        ["a", "a"],
        ["a", "A"],
        ["readme.md", "README.md"],
        ["dir/x", "DIR/X"],
        ["dir/x", "DIR/y"],
        ["a", "a/b"],
        ["a/b", "a"],
        ["A", "a/b"],
        ["ä", "Ä"],
        [".rack/manifest.json", "x"],
        [".rack/x", "x"],
        [".RACK/x", "x"],
        [".rack", "x"],
    ] {
        rack.server.reset_counts();
        let files: Vec<(&str, &[u8])> = names
            .iter()
            .map(|name| (*name, b"12345".as_slice()))
            .collect();
        HandMade::plain(&files, CHUNK).serve_as(&rack.server, "g", "m", "v");
        let error = rack.pull("g/m v").unwrap_err();
        assert_eq!(
            error.code(),
            "REGISTRY_ERROR",
            "{names:?}: {}",
            chain(&error)
        );
        assert_eq!(rack.data_requests().len(), 1, "{names:?}");
        assert_untouched(&rack, names[0]);
    }
}

#[test]
fn nothing_is_written_through_a_link() {
    let rack = rack();
    // The model's place is a link that somebody made to a folder elsewhere.
    let elsewhere = rack.temp.path().join("index-cache");
    std::fs::create_dir_all(rack.store().join("g").join("m")).unwrap();
    if !crate::support::platform::link_folder(
        &elsewhere,
        &rack.store().join("g").join("m").join("v1"),
    ) {
        return;
    }
    let before = files_below(&elsewhere).keys().cloned().collect::<Vec<_>>();
    rack.publish("g/m v1", &sample());
    let _ = rack.pull("g/m v1");
    let after = files_below(&elsewhere).keys().cloned().collect::<Vec<_>>();
    assert_eq!(before, after);
    rack.assert_files("safe/m v1", &sample());
}

#[test]
fn an_entry_that_cannot_be_offered_leaves_the_others() {
    let rack = rack();
    let hash = "a".repeat(64);
    let version = || json!({"hash": hash});
    let good = json!({"m": {"v": {"hash": hash}}});
    let (odd, others) = (json!({"V": version(), "v": version()}), json!({"m": {}}));
    for (what, index, wanted) in [
        ("a group", json!({"good": good, "con": good}), None),
        (
            "a model",
            json!({"good": good, "g": {"a\\b": {"v": version()}}}),
            None,
        ),
        (
            "a version",
            json!({"good": good, "g": {"m": {"a//b": version()}}}),
            Some("g/m"),
        ),
        (
            "a short hash",
            json!({"good": good, "g": {"m": {"v": {"hash": "abc"}}}}),
            Some("g/m v"),
        ),
        (
            "no hash",
            json!({"good": good, "g": {"m": {"v": {}}}}),
            Some("g/m v"),
        ),
        (
            "no entry",
            json!({"good": good, "g": {"m": {"v": 7}}}),
            Some("g/m v"),
        ),
        (
            "no model",
            json!({"good": good, "g": {"m": "gone"}}),
            Some("g/m v"),
        ),
        ("null", json!({"good": good, "g": {"m": null}}), Some("g/m")),
        (
            "an alias of nothing",
            json!({"good": good, "g": {"m": {"v": {"alias_of": "w"}}}}),
            Some("g/m v"),
        ),
        (
            "a loop",
            json!({"good": good, "g": {"m": {"v": {"alias_of": "v"}}}}),
            Some("g/m v"),
        ),
        (
            "models but for case",
            json!({"good": good, "g": {"m": {"v": version()}, "M": {"v": version()}}}),
            Some("g/M v"),
        ),
        (
            "groups but for case",
            json!({"good": good, "g": {"m": {"v": version()}}, "G": others}),
            Some("g/m v"),
        ),
        (
            "versions but for case",
            json!({"good": good, "g": {"m": odd}}),
            Some("g/m V"),
        ),
    ] {
        serve_index(&rack.server, &index);
        let manager = rack.manager();
        let listed = manager.list_remote(&RemoteOptions::default());
        let listed = listed.unwrap_or_else(|error| panic!("{what}: {}", chain(&error)));
        let listed: Vec<String> = listed
            .models
            .iter()
            .map(|it| it.model.to_string())
            .collect();
        assert_eq!(listed, ["good/m v"], "{what}");
        let found = manager.get_remote(&address("good/m"), &RemoteOptions::default());
        assert!(found.is_ok(), "{what}: {found:?}");
        if let Some(wanted) = wanted {
            let error = manager.get_remote(&address(wanted), &RemoteOptions::default());
            assert_eq!(error.unwrap_err().code(), "REGISTRY_ERROR", "{what}");
        }
    }
    // Of one model, the versions that can be offered are the choice.
    let versions =
        json!({"v": version(), "w": {"hash": "abc"}, "con": version(), "x": {"alias_of": "w"}});
    serve_index(&rack.server, &json!({"g": {"m": versions}}));
    let found = rack
        .manager()
        .get_remote(&address("g/m"), &RemoteOptions::default());
    assert_eq!(found.unwrap().model.version(), "v");
}

#[test]
fn another_case_is_a_near_name() {
    let rack = Rack::with_model();
    for (typed, expected) in [("G/M", "g/m"), ("g/M v1", "g/m"), ("G/m", "g/m")] {
        let error = rack.pull(typed).unwrap_err();
        match error.kind() {
            ErrorKind::ModelNotFound { near, .. } => assert_eq!(*near, [expected], "{typed}"),
            _ => panic!("{typed}: {}", chain(&error)),
        }
    }
    let error = rack.pull("g/m V1").unwrap_err();
    match error.kind() {
        ErrorKind::VersionNotFound { near, .. } => assert_eq!(*near, ["v1"]),
        _ => panic!("{}", chain(&error)),
    }
}
